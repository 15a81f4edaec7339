"""Restart, damage, locks, shutdown: what an operator relies on."""

import os
import random
import subprocess
import threading
import time
import unittest

import numpy as np
from daemon import Daemon, DaemonTest, TESSERA, TESSERAD
from tessera_client import TesseraError

DIM = 24
ROWS = 3000


def rows(seed, count=ROWS):
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def brute_force(vectors, query, limit):
    distances = np.sqrt(((vectors - query) ** 2).sum(axis=1))
    return np.argsort(distances, kind="stable")[:limit].tolist()


class Recovery(DaemonTest):
    def load(self, index=None):
        config = {"size": DIM, "distance": "Euclid"}
        if index:
            config["index"] = index
        self.client.call("PUT", "/collections/r", {"vectors": config,
                                                   "optimizers_config": {"indexing_threshold": 10}})
        self.vectors = rows(1)
        for begin in range(0, ROWS, 500):
            self.client.upsert("r", list(range(begin, begin + 500)),
                               self.vectors[begin:begin + 500].tolist())
        info = self.wait_green("r")
        self.assertEqual(info["indexed_vectors_count"], ROWS)

    def answers(self, exact=False):
        queries = rows(2, 20)
        return [[(hit["id"], hit["score"]) for hit in self.client.query("r", {
            "query": query.tolist(), "limit": 10,
            "params": {"hnsw_ef": 64, "exact": exact}})["points"]] for query in queries]

    def segment_files(self):
        return sorted((self.daemon.data / "segments").rglob("*.seg"))

    def index_jobs(self):
        return [job for job in self.client.call("GET", "/jobs")["jobs"] if job["kind"] == "index"]

    def test_restart_loads_index_files_and_gives_the_same_answers(self):
        self.load()
        before, files = self.answers(), self.segment_files()
        self.assertTrue(files)
        stamps = [(path.name, path.stat().st_mtime_ns) for path in files]
        self.restart()
        self.assertEqual(self.answers(), before)
        self.assertEqual(self.index_jobs(), [], "an index was built again")
        self.assertEqual(stamps, [(p.name, p.stat().st_mtime_ns) for p in self.segment_files()])

    def test_a_flipped_bit_is_found_said_and_repaired_with_the_same_answers(self):
        self.load()
        exact = self.answers(exact=True)
        seed = time.time_ns() % 1_000_000
        print("seed", seed)
        rng = random.Random(seed)
        for round_index in range(3):
            self.daemon.stop()
            path = rng.choice(self.segment_files())
            size = path.stat().st_size
            position = rng.randrange(size)
            with open(path, "r+b") as file:
                file.seek(position)
                byte = file.read(1)[0]
                file.seek(position)
                file.write(bytes([byte ^ (1 << rng.randrange(8))]))
            self.daemon.start()
            self.client = self.daemon.client()
            with self.subTest(round=round_index, position=position, size=size):
                self.assertEqual(self.answers(exact=True), exact)
                self.assertIn("will be rebuilt from the store", self.daemon.log())
                info = self.wait_green("r")
                self.assertEqual(info["indexed_vectors_count"], ROWS)
                self.assertEqual(self.answers(exact=True), exact)
                metrics = self.client.raw("GET", "/metrics")[1].decode()
                self.assertIn("tessera_index_files_rebuilt_total 1", metrics)

    def test_a_missing_index_file_is_rebuilt(self):
        self.load()
        exact = self.answers(exact=True)
        self.daemon.stop()
        for path in self.segment_files():
            path.unlink()
        self.daemon.start()
        self.client = self.daemon.client()
        self.assertEqual(self.answers(exact=True), exact)
        self.assertEqual(self.wait_green("r")["indexed_vectors_count"], ROWS)

    def test_every_index_type_survives_a_restart_and_finds_what_brute_force_finds(self):
        self.load()
        queries = rows(3, 20)
        truth = [brute_force(self.vectors, query, 10) for query in queries]
        for kind in ("ivf_flat", "ivf_sq8", "ivf_pq", "flat", "hnsw"):
            job = self.client.call("POST", "/collections/r/reindex", {"index": {"type": kind}})
            self.client.wait_job(job["job"])
            config = self.client.call("GET", "/collections/r")["config"]["params"]["vectors"]
            self.assertEqual(config["index"]["type"], kind)
            for _ in range(2):
                hits = [[hit["id"] for hit in self.client.query("r", {
                    "query": query.tolist(), "limit": 10,
                    "params": {"hnsw_ef": 128}})["points"]] for query in queries]
                recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(hits, truth)])
                self.assertGreaterEqual(recall, 0.9, kind)
                self.restart()

    def test_deleted_and_replaced_points_stay_so_after_a_restart(self):
        self.load()
        self.client.call("POST", "/collections/r/points/delete?wait=true",
                         {"points": list(range(0, ROWS, 2))})
        moved = rows(9, 100)
        self.client.upsert("r", list(range(1, 201, 2)), moved.tolist())
        expected = self.vectors.copy()
        expected[1:201:2] = moved
        alive = np.arange(1, ROWS, 2)
        for _ in range(2):
            for query in rows(4, 10):
                found = [hit["id"] for hit in self.client.query("r", {
                    "query": query.tolist(), "limit": 10, "params": {"exact": True}})["points"]]
                self.assertTrue(set(found) <= set(alive.tolist()))
                distances = np.sqrt(((expected.astype(np.float64) - query) ** 2).sum(axis=1))
                np.testing.assert_allclose(distances[found], np.sort(distances[alive])[:10],
                                           rtol=1e-5)
            self.wait_green("r")
            self.restart()

    def test_searches_go_on_during_a_reindex(self):
        self.load()
        exact = self.answers(exact=True)
        job = self.client.call("POST", "/collections/r/reindex",
                               {"hnsw_config": {"m": 32, "ef_construct": 400}})["job"]
        answered = 0
        while self.client.call("GET", f"/jobs/{job}")["state"] in ("queued", "running"):
            self.assertEqual(self.answers(exact=True), exact)
            answered += 1
        self.client.wait_job(job)
        self.assertGreater(answered, 0)
        self.assertEqual(self.answers(exact=True), exact)

    def wait_for(self, condition, what, timeout_s=120):
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def test_a_reindex_goes_on_after_kill_9_and_keeps_what_is_finished(self):
        self.client.call("PUT", "/collections/r", {
            "vectors": {"size": DIM, "distance": "Euclid"},
            "optimizers_config": {"indexing_threshold": 10}})
        vectors, first = rows(1, 4600), 0
        # Too different in size to be merged.
        for count in (3000, 1200, 400):
            self.client.upsert("r", list(range(first, first + count)),
                               vectors[first:first + count].tolist())
            first += count
            self.wait_for(lambda: self.client.call("GET", "/collections/r")
                          ["indexed_vectors_count"] == first, "the rows were not indexed")
        old = set(self.segment_files())
        self.assertEqual(len(old), 3)
        self.client.call("POST", "/collections/r/reindex",
                         {"hnsw_config": {"m": 48, "ef_construct": 2000}})
        # The old file goes last.
        self.wait_for(lambda: old - set(self.segment_files()), "no step of the reindex ended")
        self.daemon.kill()
        finished = set(self.segment_files()) - old
        self.assertEqual(len(finished), 1, "the kill came too late to say anything")
        stamp = next(iter(finished)).stat().st_mtime_ns

        self.daemon.start()
        self.client = self.daemon.client()
        self.assertIn("going on with a reindex", self.daemon.log())
        job = next(job for job in self.client.call("GET", "/jobs")["jobs"]
                   if job["kind"] == "reindex")
        self.client.wait_job(job["id"])
        self.assertEqual(list((self.daemon.data / "segments").rglob("*.tmp")), [])
        files = set(self.segment_files())
        self.assertEqual(files & old, set(), "a segment with the old settings was left")
        self.assertTrue(finished <= files, "a finished segment was built again")
        self.assertEqual(next(iter(finished)).stat().st_mtime_ns, stamp)
        config = self.client.call("GET", "/collections/r")["config"]["params"]["vectors"]
        self.assertEqual(config["hnsw_config"]["ef_construct"], 2000)
        for query in rows(2, 10):
            found = [hit["id"] for hit in self.client.query("r", {
                "query": query.tolist(), "limit": 10, "params": {"exact": True}})["points"]]
            self.assertEqual(found, brute_force(vectors, query, 10))
        self.restart()
        self.assertNotIn("reindex", [job["kind"] for job in
                                     self.client.call("GET", "/jobs")["jobs"]])

    def test_a_second_daemon_on_the_directory_is_refused_with_a_reason(self):
        process = subprocess.run(
            [TESSERAD, "--port", "0", "--data", str(self.daemon.data)],
            capture_output=True, text=True, timeout=30)
        self.assertEqual(process.returncode, 1)
        self.assertIn(str(self.daemon.data), process.stderr)
        self.assertIn(str(self.daemon.process.pid), process.stderr)

    def test_shutdown_during_an_index_build_is_quick_and_clean(self):
        self.client.call("PUT", "/collections/big", {
            "vectors": {"size": 256, "distance": "Cosine",
                        "hnsw_config": {"m": 48, "ef_construct": 800}}})
        big = np.random.default_rng(5).normal(size=(30_000, 256)).astype(np.float32)
        for begin in range(0, len(big), 1000):
            self.client.upsert("big", list(range(begin, begin + 1000)),
                               big[begin:begin + 1000].round(3).tolist())
        deadline = time.monotonic() + 60
        while not any(job["state"] == "running" for job in self.index_jobs()):
            self.assertLess(time.monotonic(), deadline, "no index build began")
            time.sleep(0.02)
        start = time.monotonic()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertLess(time.monotonic() - start, 8)
        self.daemon.start()
        self.client = self.daemon.client()
        self.assertEqual(self.client.call("POST", "/collections/big/points/count", {})["count"],
                         len(big))

    def test_in_flight_requests_finish_when_it_is_told_to_stop(self):
        self.load()
        outcomes = []

        def ask():
            client = self.daemon.client()
            while True:
                try:
                    outcomes.append(len(client.query("r", {
                        "query": self.vectors[0].tolist(), "limit": 50})["points"]))
                except TesseraError as error:
                    # Refused, told to come back, or closed between two requests; never cut short.
                    outcomes.append(error.status)
                    return

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        self.assertEqual(self.daemon.stop(), 0)
        for thread in threads:
            thread.join(30)
        self.assertLessEqual(set(outcomes), {50, 0, 503})

    def test_verify_finds_no_fault_and_then_the_fault(self):
        self.load()
        busy = subprocess.run([TESSERA, "verify", "--data", str(self.daemon.data)],
                              capture_output=True, text=True, timeout=60)
        self.assertNotEqual(busy.returncode, 0, "verify must refuse while the daemon runs")
        self.daemon.stop()
        good = subprocess.run([TESSERA, "verify", "--data", str(self.daemon.data)],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(good.returncode, 0, good.stdout + good.stderr)
        path = self.segment_files()[0]
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 4]))
        bad = subprocess.run([TESSERA, "verify", "--data", str(self.daemon.data)],
                             capture_output=True, text=True, timeout=60)
        self.assertNotEqual(bad.returncode, 0)
        self.assertIn(path.name, bad.stdout + bad.stderr)


class Environment(unittest.TestCase):
    def test_settings_come_from_file_environment_and_flags_in_that_order(self):
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "t.toml")
            with open(config, "w") as file:
                file.write('[log]\nformat = "json"\nlevel = "error"\n')
            daemon = Daemon(folder, ["log.level=info"],
                            {"TESSERA_LOG_FORMAT": "text", "TESSERA_LOG_LEVEL": "error"})
            try:
                self.assertEqual(daemon.client().call("GET", "/collections"), {"collections": []})
            finally:
                self.assertEqual(daemon.stop(), 0)
            self.assertIn("INFO", daemon.log())


if __name__ == "__main__":
    unittest.main()
