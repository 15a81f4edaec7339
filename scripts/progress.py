"""One progress line on standard error: redrawn on a terminal, a line every ten seconds in a log."""

import sys
import time


class Progress:
    def __init__(self, label: str, total: int):
        self._label, self._total = label, total
        self._done, self._started = 0, time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._shown_at = 0.0 if self._is_terminal else self._started

    def add(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._shown_at >= (0.1 if self._is_terminal else 10):
            self._shown_at = now
            self._show(now)

    def finish(self) -> None:
        """Removes the line from a terminal; leaves a log as it is."""
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _show(self, now: float) -> None:
        rate = self._done / max(now - self._started, 1e-9)
        left_s = (self._total - self._done) / rate if rate else 0
        text = (f"  {self._label}: {self._done:,} of {self._total:,}, {rate:,.0f}/s, "
                f"{left_s:.0f} s left")
        if self._is_terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
