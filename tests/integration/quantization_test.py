"""Quantization, vectors on disk, prefixes, recall and estimates through the daemon."""

import time
import unittest

import numpy as np
from daemon import DaemonTest

DIM = 32
ROWS = 3000
PATH = "/collections/z"
CONFIGS = (
    {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}},
    {"scalar": {"type": "int8"}},
    {"product": {"compression": "x8"}},
    {"binary": {"encoding": "one_bit"}},
)


class Quantization(DaemonTest):
    def setUp(self):
        super().setUp()
        self.seed = time.time_ns() % 1_000_000
        print("seed", self.seed)
        rng = np.random.default_rng(self.seed)
        centers = rng.normal(size=(30, DIM))
        self.vectors = (centers[rng.integers(30, size=ROWS)]
                        + 0.5 * rng.normal(size=(ROWS, DIM))).astype(np.float32)

    def load(self, on_disk=True, **config):
        vectors = {"size": DIM, "distance": "Cosine", "on_disk": on_disk}
        self.client.recreate("z", {"vectors": vectors,
                                   "optimizers_config": {"indexing_threshold": 20}, **config})
        for begin in range(0, ROWS, 500):
            self.client.upsert("z", list(range(begin, begin + 500)),
                               self.vectors[begin:begin + 500].tolist())
        self.wait_green("z")

    def config(self):
        return self.client.call("GET", PATH)["config"]

    def reindex(self, body):
        job = self.client.call("POST", PATH + "/reindex", body)["job"]
        self.assertEqual(self.client.wait_job(job)["state"], "done")

    def recall(self, **body):
        return self.client.call("POST", PATH + "/recall", {"sample": 60, **body})

    def test_every_setting_is_kept_searches_well_and_scores_exactly(self):
        self.load()
        self.assertIsNone(self.config()["quantization_config"])
        self.assertTrue(self.config()["params"]["vectors"]["on_disk"])
        unit = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        for quantization in CONFIGS:
            self.reindex({"quantization_config": quantization})
            self.assertEqual(self.config()["params"]["vectors"]["quantization_config"],
                             quantization)
            wide = {"hnsw_ef": 200, "quantization": {"rescore": True, "oversampling": 8}}
            report = self.recall(params=wide)
            enough = 0.6 if "binary" in quantization else 0.9
            self.assertGreaterEqual(report["recall"], enough, (quantization, report))
            self.assertEqual(self.recall(params=wide)["recall"], report["recall"])
            for query in range(0, ROWS, 500):
                for params in (wide, {"quantization": {"ignore": True}, "hnsw_ef": 200}):
                    hits = self.client.query("z", {"query": self.vectors[query].tolist(),
                                                   "limit": 5, "params": params})["points"]
                    self.assertEqual(hits[0]["id"], query)
                    ids = [hit["id"] for hit in hits]
                    np.testing.assert_allclose([hit["score"] for hit in hits],
                                               unit[ids] @ unit[query], atol=1e-5)
        self.restart()
        self.assertEqual(self.config()["params"]["vectors"]["quantization_config"], CONFIGS[-1])
        self.assertEqual(self.client.call("GET", PATH)["indexed_vectors_count"], ROWS)
        self.assertGreaterEqual(self.recall(params=wide)["recall"], 0.6)

    def resident_segment_bytes(self):
        """Of the index files, what is in the daemon's memory."""
        total, is_segment = 0, False
        for line in open(f"/proc/{self.daemon.process.pid}/smaps"):
            if "-" in line.split(" ")[0]:
                is_segment = "/segments/" in line
            elif is_segment and line.startswith("Rss:"):
                total += int(line.split()[1]) * 1024
        return total

    def test_vectors_on_disk_leave_the_memory(self):
        resident = {}
        for on_disk in (False, True):
            self.load(on_disk=on_disk)
            self.restart()
            resident[on_disk] = self.resident_segment_bytes()
        self.assertGreater(resident[False], ROWS * DIM * 4)
        self.assertLess(resident[True], resident[False] - 0.9 * ROWS * DIM * 4)
        query = self.vectors[7].tolist()
        self.assertEqual(self.client.query("z", {"query": query})["points"][0]["id"], 7)

    def test_a_collections_setting_is_shown_changed_and_disabled(self):
        self.load(quantization_config=CONFIGS[0])
        self.assertEqual(self.config()["quantization_config"], CONFIGS[0])
        self.client.call("PATCH", PATH, {"quantization_config": CONFIGS[2]})
        self.client.call("PATCH", PATH, {"vectors": {"": {"quantization_config": CONFIGS[3]}}})
        self.restart()
        self.assertEqual(self.config()["quantization_config"], CONFIGS[2])
        self.assertEqual(self.config()["params"]["vectors"]["quantization_config"], CONFIGS[3])
        self.client.call("PATCH", PATH, {"quantization_config": "Disabled",
                                         "vectors": {"": {"quantization_config": "Disabled"}}})
        self.assertIsNone(self.config()["quantization_config"])
        self.assertNotIn("quantization_config", self.config()["params"]["vectors"])
        self.assertFails(501, "quantization_config.turbo", "PATCH", PATH,
                         {"quantization_config": {"turbo": {}}})

    def test_recall_is_measured_beside_exact_search(self):
        self.load()
        report = self.recall(limit=5, params={"hnsw_ef": 64})
        self.assertEqual((report["sample"], report["limit"]), (60, 5))
        self.assertGreaterEqual(report["recall"], 0.85)
        self.assertEqual(self.recall(params={"exact": True})["recall"], 1)
        for way in ("approximate", "exact"):
            times = report[way]
            self.assertGreater(times["p50_us"], 0)
            self.assertLessEqual(times["p50_us"], times["p99_us"])
        self.assertEqual(report["exact"]["visited_mean"], ROWS)
        self.assertIsNone(self.recall(filter={"must": {"has_id": [10**9]}})["recall"])
        self.assertFails(404, "doesn't exist", "POST", "/collections/none/recall", {})
        self.assertFails(400, "Not existing vector name", "POST", PATH + "/recall",
                         {"vector": "none"})

    def test_prefixes_and_explanations(self):
        self.load()
        unit = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        for query in range(0, ROWS, 600):
            body = {"query": self.vectors[query].tolist(), "limit": 5, "explain": True,
                    "params": {"dims": 8, "hnsw_ef": 200}}
            answer = self.client.query("z", body)
            hits = answer["points"]
            ids = [hit["id"] for hit in hits]
            self.assertEqual(ids[0], query)
            np.testing.assert_allclose([hit["score"] for hit in hits], unit[ids] @ unit[query],
                                       atol=1e-5)
            for hit in hits:
                products = unit[hit["id"]] * unit[query]
                shown = hit["contributions"]
                np.testing.assert_allclose([part["contribution"] for part in shown],
                                           np.sort(products)[::-1][:5], atol=1e-5)
            segments = answer["plan"]["segments"]
            self.assertEqual(sum(segment["live"] for segment in segments), ROWS)
            self.assertEqual(sum(segment["visited"] for segment in segments),
                             answer["plan"]["visited_count"])
        self.assertFails(400, "params.dims: value 33 invalid, must be from 1 to 32", "POST",
                         PATH + "/points/query",
                         {"query": self.vectors[0].tolist(), "params": {"dims": 33}})

    def test_estimates_grow_with_what_is_asked_for(self):
        self.load()

        def estimate(**body):
            return self.client.call("POST", PATH + "/estimate", body)

        now = estimate()
        self.assertEqual(now["points"], ROWS)
        self.assertEqual(now["vectors"][""]["vector_bytes"], ROWS * DIM * 4)
        more = estimate(points=10**6, on_disk=False)
        less = estimate(points=10**6, on_disk=True,
                        quantization_config={"binary": {}}, hnsw_config={"m": 8})
        self.assertLess(less["ram_bytes"], more["ram_bytes"])
        self.assertGreater(more["build_minutes"], 0)
        other = estimate(vectors={"size": 768, "distance": "Dot"}, points=10**6)
        self.assertEqual(other["vectors"][""]["vector_bytes"], 10**6 * 768 * 4)
        self.assertEqual(estimate(vectors="", index={"type": "flat"})["vectors"][""]["index"],
                         "flat")
        self.assertFails(404, "doesn't exist", "POST", "/collections/none/estimate", {})
        self.assertFails(400, "Not existing vector name", "POST", PATH + "/estimate",
                         {"vectors": "none"})


if __name__ == "__main__":
    unittest.main()
