"""A small HTTP client for the scripts of this folder: Python's standard library only.

One Client holds one keep-alive connection (not to be shared between threads). Every call returns
the `result` of the answer or raises TesseraError, whose text is fit to be shown to a person.
"""

import http.client
import json
import time
import urllib.parse
from typing import Any, Callable, Iterator, Sequence

DEFAULT_URL = "http://127.0.0.1:6333"


class TesseraError(Exception):
    """The daemon could not be reached (status 0) or answered with an error."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


class Client:
    def __init__(self, url: str = DEFAULT_URL, timeout_s: float = 300, api_key: str | None = None):
        parts = urllib.parse.urlsplit(url if "//" in url else "//" + url, scheme="http")
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise TesseraError(0, f"'{url}' is not an address like {DEFAULT_URL}")
        self.url = f"http://{parts.hostname}:{parts.port or 6333}"
        self._connection = http.client.HTTPConnection(
            parts.hostname, parts.port or 6333, timeout=timeout_s
        )
        self._headers = {"api-key": api_key} if api_key else {}

    def raw(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body, whatever they are. Bytes are sent as they are, anything else as JSON. A
        connection that the daemon closed between two requests is opened again once."""
        headers = dict(self._headers)
        data = None
        if isinstance(body, (bytes, bytearray, memoryview)):
            data = bytes(body)
            headers["Content-Type"] = "application/octet-stream"
        elif body is not None:
            data = json.dumps(body, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        for attempt in (1, 2):
            reused = self._connection.sock is not None
            try:
                self._connection.request(method, path, data, headers)
                response = self._connection.getresponse()
                return response.status, response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if attempt == 2 or not reused or isinstance(error, TimeoutError):
                    reason = str(error) or type(error).__name__
                    raise TesseraError(0, f"{method} {self.url}{path}: {reason}") from error
        raise AssertionError("unreachable")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        status, data = self.raw(method, path, body)
        try:
            answer = json.loads(data)
        except ValueError:
            answer = {}
        if status in (200, 201) and isinstance(answer, dict) and "result" in answer:
            return answer["result"]
        reason = data[:300].decode(errors="replace")
        if isinstance(answer, dict) and isinstance(answer.get("status"), dict):
            reason = answer["status"].get("error", reason)
        raise TesseraError(status, f"{method} {path}: {status} {reason}")

    # ---- what the scripts need of the daemon ----------------------------------------------------

    def wait_ready(self, timeout_s: float = 60, interval_s: float = 0.2) -> None:
        """Returns when /readyz answers 200."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                status, data = self.raw("GET", "/readyz")
                if status == 200:
                    return
                reason = f"/readyz answers {status} {data[:200].decode(errors='replace')}"
            except TesseraError as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise TesseraError(0, f"the daemon is not ready after {timeout_s:.0f} s: {reason}")
            time.sleep(interval_s)

    def exists(self, collection: str) -> bool:
        return self.call("GET", f"{path_of(collection)}/exists")["exists"]

    def recreate(self, collection: str, config: dict[str, Any]) -> None:
        self.call("DELETE", path_of(collection))
        self.call("PUT", path_of(collection), config)

    def upsert(self, collection: str, ids: Sequence[int | str], vectors: Sequence[Sequence[float]],
               payloads: Sequence[dict[str, Any]] | None = None) -> None:
        batch: dict[str, Any] = {"ids": ids, "vectors": vectors}
        if payloads is not None:
            batch["payloads"] = payloads
        self.call("PUT", f"{path_of(collection)}/points?wait=true", {"batch": batch})

    def query(self, collection: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.call("POST", f"{path_of(collection)}/points/query", body)

    def query_batch(self, collection: str, searches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.call("POST", f"{path_of(collection)}/points/query/batch",
                         {"searches": searches})

    def train_clusters(self, collection: str, count: int | None = None) -> dict[str, Any]:
        """Starts the clusters job, waits for it and returns what is known of the clusters."""
        settings = {"count": count} if count else {}
        job = self.call("POST", f"{path_of(collection)}/clusters", settings)
        self.wait_job(job["job"])
        return self.call("GET", f"{path_of(collection)}/clusters")

    def wait_job(self, job_id: int | str, timeout_s: float = 1800) -> dict[str, Any]:
        def done() -> dict[str, Any] | None:
            job = self.call("GET", f"/jobs/{job_id}")
            if job["state"] in ("failed", "cancelled"):
                raise TesseraError(0, f"job {job_id} ({job['kind']}) {job['state']}: "
                                      f"{job.get('error') or 'no reason given'}")
            return job if job["state"] == "done" else None
        return poll(done, timeout_s, f"job {job_id}")

    def wait_green(self, collection: str, timeout_s: float = 1800) -> dict[str, Any]:
        """Waits until no index of the collection is being built; returns its info."""
        def green() -> dict[str, Any] | None:
            info = self.call("GET", path_of(collection))
            if info["status"] == "red":
                raise TesseraError(0, f"collection {collection} is red: {info['optimizer_status']}")
            return info if info["status"] == "green" else None
        return poll(green, timeout_s, f"collection {collection}")


def path_of(collection: str) -> str:
    return "/collections/" + urllib.parse.quote(collection, safe="")


def poll(probe: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Calls `probe` with growing pauses (10 ms to 500 ms) until it returns something."""
    deadline = time.monotonic() + timeout_s
    pause_s = 0.01
    while True:
        value = probe()
        if value is not None:
            return value
        if time.monotonic() > deadline:
            raise TesseraError(0, f"{what} is not done after {timeout_s:.0f} s")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.5)


def chunks(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start:start + size]
