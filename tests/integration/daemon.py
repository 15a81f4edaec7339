"""Starts and ends real daemons for tests: a free port, a data directory of their own."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from tessera_client import Client, TesseraError

TESSERAD = os.environ.get("TESSERAD", "build/release/bin/tesserad")
TESSERA = os.environ.get("TESSERA", "build/release/bin/tessera")
DATA = pathlib.Path(os.environ.get(
    "TESSERA_DATA_DIR", pathlib.Path(__file__).parents[2] / ".." / "shared" / "data"))


def inherited_environment():
    """Without the variables that steer tests: the daemon takes none that is not a setting's."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("TESSERA_") or name == "TESSERA_CPU"}


class Daemon:
    """One tesserad process. `folder` holds its data and its log; restart() keeps both."""

    def __init__(self, folder, settings=(), environment=None):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.log_path = self.folder / "tesserad.log"
        self.settings = list(settings)
        self.environment = environment or {}
        self.process = None
        self.url = None
        self.start()

    def start(self, wait_s=60):
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        command = [TESSERAD, "--port", "0", "--data", str(self.data), "--port-file", str(port_file)]
        for setting in self.settings:
            command += ["--set", setting]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            env={**inherited_environment(), **self.environment})
        deadline = time.monotonic() + wait_s
        while not port_file.exists() or not port_file.read_text().strip():
            if self.process.poll() is not None:
                raise AssertionError(f"tesserad ended at once with {self.process.returncode}:\n"
                                     f"{self.log_tail()}")
            if time.monotonic() > deadline:
                raise AssertionError("tesserad wrote no port file:\n" + self.log_tail())
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{int(port_file.read_text())}"
        self.client().wait_ready(wait_s, interval_s=0.02)

    def client(self, timeout_s=120):
        return Client(self.url, timeout_s)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, wait_s=30):
        """Asks it to end; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(wait_s)

    def restart(self):
        self.stop()
        self.start()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def log_tail(self, line_count=20):
        return "\n".join(self.log().splitlines()[-line_count:])


class DaemonTest(unittest.TestCase):
    """A test with a daemon of its own, and its log shown when the test fails."""

    settings = ()

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tessera-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.daemon = Daemon(self.folder, self.settings)
        self.addCleanup(self._end)
        self.client = self.daemon.client()

    def _end(self):
        if self.daemon.process.poll() is None:
            self.daemon.kill()
        outcome = getattr(self, "_outcome", None)
        result = getattr(outcome, "result", None)
        if result is not None and any(test is self for test, _ in result.failures + result.errors):
            print(f"\n--- last lines of the daemon's log ---\n{self.daemon.log_tail(30)}")

    def restart(self):
        self.daemon.restart()
        self.client = self.daemon.client()

    def assertFails(self, status, text, method, path, body=None):
        """The call is answered with this status and a message that holds this text."""
        with self.assertRaises(TesseraError) as caught:
            self.client.call(method, path, body)
        self.assertEqual(caught.exception.status, status, str(caught.exception))
        self.assertIn(text, str(caught.exception))

    def wait_green(self, collection, timeout_s=240):
        """Returns the collection's info once no index build is due."""
        deadline = time.monotonic() + timeout_s
        while True:
            info = self.client.call("GET", f"/collections/{collection}")
            if info["status"] == "green":
                return info
            self.assertLess(time.monotonic(), deadline, f"still {info['status']}: {info}")
            time.sleep(0.05)
