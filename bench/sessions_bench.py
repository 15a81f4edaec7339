"""Sessions of the daemon: what many open ones take, and what a later round costs beside a plain
query whose filter grows with what was returned.

Starts a tesserad of its own in a temporary folder and stops it however the run ends.
docs/benchmarks.md says what the figures mean. Exit status 0, 1 (failed) or 2 (wrong arguments).
"""

import argparse
import json
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
from progress import Progress  # noqa: E402
from tessera_client import Client, TesseraError  # noqa: E402

COLLECTION = "/collections/sessions-bench"


class Daemon:
    def __init__(self, program, folder):
        self.command = [str(program), "--port", "0", "--data", str(folder / "data"),
                        "--port-file", str(folder / "port"),
                        "--set", "sessions.count_max=1000000", "--set", "log.level=warn"]
        self.port_file = folder / "port"
        self.process = None

    def start(self):
        """Seconds until requests are served."""
        self.port_file.unlink(missing_ok=True)
        started = time.perf_counter()
        self.process = subprocess.Popen(self.command)
        while not self.port_file.exists() or not self.port_file.read_text().strip():
            if self.process.poll() is not None:
                raise TesseraError(0, f"tesserad ended with {self.process.returncode}")
            time.sleep(0.002)
        self.client = Client(f"http://127.0.0.1:{int(self.port_file.read_text())}")
        self.client.wait_ready(60, interval_s=0.002)
        return time.perf_counter() - started

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise TesseraError(0, "the daemon's memory cannot be read")


def load(client, rows, dim, generator):
    centres = generator.normal(size=(200, dim))
    vectors = centres[generator.integers(200, size=rows)] + 0.4 * generator.normal(size=(rows, dim))
    client.call("PUT", COLLECTION, {"vectors": {"size": dim, "distance": "Cosine"}})
    progress = Progress("points", rows)
    for begin in range(0, rows, 1000):
        block = vectors[begin:begin + 1000]
        client.upsert("sessions-bench", list(range(begin, begin + len(block))),
                      np.round(block, 4).tolist())
        progress.add(len(block))
    progress.finish()
    while client.call("GET", COLLECTION)["status"] != "green":
        time.sleep(0.1)
    return vectors


def measure_open(daemon, vectors, count, dim):
    """Memory, store and restart with `count` sessions of one round each."""
    client = daemon.client
    queries = np.round(vectors[:500], 4).tolist()
    for query in queries[:200]:  # Caches and buffers of searches are not the sessions'.
        client.query("sessions-bench", {"query": query, "limit": 10})
    daemon.stop()
    empty_start_s = daemon.start()
    client = daemon.client
    for query in queries[:200]:
        client.query("sessions-bench", {"query": query, "limit": 10})
    before = daemon.resident_bytes()
    sessions = []
    started = time.perf_counter()
    progress = Progress("sessions", count)
    for i in range(count):
        answer = client.call("POST", COLLECTION + "/sessions",
                             {"query": queries[i % len(queries)], "limit": 10, "ttl": "1d"})
        sessions.append(answer["session"])
        progress.add(1)
    seconds = time.perf_counter() - started
    progress.finish()
    after = daemon.resident_bytes()
    stored = client.call("GET", f"{COLLECTION}/sessions/{sessions[0]}")["bytes"]
    daemon.stop()
    full_start_s = daemon.start()
    alive = daemon.client.call("GET", COLLECTION + "/sessions")["count"]
    if alive != count:
        raise TesseraError(0, f"{alive} of {count} sessions are left after a restart")
    return {"count": count, "dim": dim, "start_ms": 1000 * seconds / count,
            "memory_bytes_each_while_started": (after - before) / count,
            "memory_bytes_after_restart": daemon.resident_bytes(), "memory_bytes_empty": before,
            "store_bytes_each": stored, "restart_s": full_start_s,
            "restart_without_sessions_s": empty_start_s}


def body_bytes(body):
    return len(json.dumps(body, separators=(",", ":")).encode())


def measure_rounds(client, vectors, runs, limit, rounds):
    """Round `rounds` of a session, and the same page of a plain query that excludes by filter."""
    times = {"session": [], "plain": []}
    sent = {"session": 0, "plain": 0}
    progress = Progress("conversations", runs)
    for run in range(runs):
        query = np.round(vectors[run], 4).tolist()
        answer = client.call("POST", COLLECTION + "/sessions", {"query": query, "limit": limit})
        path = f"{COLLECTION}/sessions/{answer['session']}"
        seen = [point["id"] for point in answer["points"]]
        for number in range(2, rounds + 1):
            ids = [point["id"] for point in answer["points"]]
            calls = {"session": (path + "/next", {"feedback": {"positive": ids[:2],
                                                              "negative": ids[2:4]}}),
                     "plain": (COLLECTION + "/points/query",
                               {"query": query, "limit": limit,
                                "filter": {"must_not": [{"has_id": list(seen)}]}})}
            turns = ["session"]
            if number == rounds:
                turns = ["session", "plain"] if run % 2 else ["plain", "session"]
            for turn in turns:
                started = time.perf_counter()
                result = client.call("POST", *calls[turn])
                if number == rounds:
                    times[turn].append(time.perf_counter() - started)
                    sent[turn] += body_bytes(calls[turn][1])
                if turn == "session":
                    answer = result
            seen += [point["id"] for point in answer["points"]]
        if len(set(seen)) != len(seen):
            raise TesseraError(0, "a session repeated a point")
        client.call("DELETE", path)
        progress.add(1)
    progress.finish()
    return {"round": rounds, "limit": limit, "runs": runs,
            **{f"{kind}_p50_ms": 1000 * statistics.median(times[kind]) for kind in times},
            **{f"{kind}_body_bytes": sent[kind] / runs for kind in sent}}


def show(report):
    opened = report["open"]
    print(f"{opened['count']:,} sessions of {opened['dim']} dimensions: "
          f"{opened['store_bytes_each']:,} bytes each in the store, "
          f"{opened['memory_bytes_each_while_started']:,.0f} bytes of memory each while begun "
          f"(write buffers included), {opened['start_ms']:.2f} ms each to begin")
    print(f"memory after a restart {opened['memory_bytes_after_restart'] / 2**20:,.1f} MiB, "
          f"before there were any {opened['memory_bytes_empty'] / 2**20:,.1f} MiB; "
          f"restart {opened['restart_s']:.2f} s, without them "
          f"{opened['restart_without_sessions_s']:.2f} s")
    for rounds in report["rounds"]:
        print(f"limit {rounds['limit']}, round {rounds['round']}: session "
              f"{rounds['session_body_bytes']:,.0f} bytes, p50 {rounds['session_p50_ms']:.2f} ms; "
              f"plain query with has_id {rounds['plain_body_bytes']:,.0f} bytes, "
              f"p50 {rounds['plain_p50_ms']:.2f} ms")


def main():
    parser = argparse.ArgumentParser(prog="bench/run sessions", description=__doc__)
    parser.add_argument("--daemon", type=pathlib.Path,
                        default=ROOT / "build/release/bin/tesserad", help="the tesserad to start")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=200, help="conversations that are measured")
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go as well")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.sessions, arguments.runs = 10_000, 1_000, 30
    generator = np.random.default_rng(42)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tessera-bench-"))
    daemon = Daemon(arguments.daemon, folder)
    try:
        daemon.start()
        vectors = load(daemon.client, arguments.rows, arguments.dim, generator)
        report = {"open": measure_open(daemon, vectors, arguments.sessions, arguments.dim)}
        report["rounds"] = [measure_rounds(daemon.client, vectors, arguments.runs, limit, 5)
                            for limit in (10, 100)]
    except (TesseraError, OSError) as error:
        print(f"sessions_bench: {error}", file=sys.stderr)
        return 1
    finally:
        daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
