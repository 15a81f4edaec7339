"""Vectors of float16 and of bytes through the daemon: what is stored is what is searched."""

import pathlib
import subprocess
import time
import unittest

import numpy as np
from daemon import TESSERA, DaemonTest

DIM = 48
ROWS = 2000
PATH = "/collections/z"


class Datatypes(DaemonTest):
    def setUp(self):
        super().setUp()
        self.seed = time.time_ns() % 1_000_000
        print("seed", self.seed)
        self.rng = np.random.default_rng(self.seed)
        centers = self.rng.normal(size=(30, DIM))
        self.vectors = centers[self.rng.integers(30, size=ROWS)] + 0.5 * self.rng.normal(
            size=(ROWS, DIM))

    def given(self, datatype):
        if datatype == "uint8":
            return np.clip(np.round(40 * self.vectors + 128), 0, 255).astype(np.float32)
        return self.vectors.astype(np.float32)

    def stored(self, datatype, distance):
        """What a client reads back."""
        given = self.given(datatype)
        if datatype == "float16" and distance == "Cosine":
            norms = np.sqrt(np.sum(given.astype(np.float64) ** 2, axis=1, keepdims=True))
            return (given / norms).astype(np.float32).astype(np.float16).astype(np.float32)
        return given.astype(np.float16 if datatype == "float16" else np.uint8).astype(np.float32)

    @staticmethod
    def scores(rows, query, distance):
        rows, query = rows.astype(np.float64), query.astype(np.float64)
        if distance == "Euclid":
            return np.linalg.norm(rows - query, axis=1)
        if distance == "Manhattan":
            return np.abs(rows - query).sum(axis=1)
        if distance == "Dot":
            return rows @ query
        return rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))

    def load(self, datatype, distance, **config):
        self.client.recreate("z", {
            "vectors": {"size": DIM, "distance": distance, "datatype": datatype, **config},
            "optimizers_config": {"indexing_threshold": 20}})
        rows = self.given(datatype)
        for begin in range(0, ROWS, 500):
            self.client.upsert("z", list(range(begin, begin + 500)),
                               rows[begin:begin + 500].tolist())

    def check(self, datatype, distance):
        rows = self.stored(datatype, distance)
        info = self.client.call("GET", PATH)
        self.assertEqual(info["config"]["params"]["vectors"]["datatype"], datatype)
        page = self.client.call("POST", PATH + "/points/scroll",
                                {"limit": ROWS, "with_vector": True})["points"]
        np.testing.assert_array_equal(
            np.array([point["vector"] for point in page], dtype=np.float32), rows)
        for id in range(0, ROWS, 400):
            query = self.given(datatype)[id] + self.rng.normal(size=DIM).astype(np.float32) * 0.1
            expected = self.scores(rows, query, distance)
            is_higher = distance in ("Cosine", "Dot")
            best = np.sort(expected)[::-1 if is_higher else 1][:10]
            for params in ({"exact": True}, {"hnsw_ef": 300}):
                hits = self.client.query("z", {"query": query.tolist(), "limit": 10,
                                               "params": params})["points"]
                found = [hit["score"] for hit in hits]
                # A rounded row of float16 is not exactly of unit length.
                tolerance = 2e-3 if datatype == "float16" and distance == "Cosine" else 1e-4
                np.testing.assert_allclose(found, expected[[hit["id"] for hit in hits]],
                                           rtol=tolerance, atol=tolerance)
                if "exact" in params:
                    np.testing.assert_allclose(found, best, rtol=tolerance, atol=tolerance)
        report = self.client.call("POST", PATH + "/recall", {"sample": 40,
                                                             "params": {"hnsw_ef": 200}})
        self.assertGreaterEqual(report["recall"], 0.9)

    def test_what_is_stored_is_searched_before_and_after_a_restart(self):
        for datatype in ("float16", "uint8"):
            for distance in ("Cosine", "Euclid", "Dot", "Manhattan"):
                with self.subTest(datatype=datatype, distance=distance):
                    self.load(datatype, distance)
                    self.check(datatype, distance)
                    self.wait_green("z")
                    self.check(datatype, distance)
                    if distance in ("Cosine", "Euclid"):
                        self.restart()
                        self.check(datatype, distance)

    def test_files_take_the_bytes_of_the_datatype(self):
        sizes = {}
        for datatype in ("float32", "float16", "uint8"):
            self.load(datatype, "Euclid", index={"type": "flat"})
            shown = self.client.call("GET", PATH)["config"]["params"]["vectors"]["datatype"]
            self.assertEqual(shown, datatype)
            self.wait_green("z")
            files = list(pathlib.Path(self.daemon.data, "segments").rglob("*.seg"))
            sizes[datatype] = sum(file.stat().st_size for file in files)
        values = ROWS * DIM
        self.assertLess(abs(sizes["float32"] - sizes["float16"] - 2 * values), 0.1 * values)
        self.assertLess(abs(sizes["float16"] - sizes["uint8"] - values), 0.1 * values)
        self.daemon.stop()
        verified = subprocess.run([TESSERA, "verify", "--data", str(self.daemon.data)],
                                  capture_output=True, text=True)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)

    def test_values_that_cannot_be_stored_are_refused(self):
        self.client.recreate("z", {"vectors": {
            "bytes": {"size": 3, "distance": "Dot", "datatype": "uint8"},
            "halves": {"size": 3, "distance": "Dot", "datatype": "float16"}}})

        def upsert(**vector):
            return {"points": [{"id": 1, "vector": vector}]}

        for value in (-1, 256, 0.5):
            self.assertFails(400, "Vector `bytes` of point 1", "PUT", PATH + "/points",
                             upsert(bytes=[1, 2, value]))
        self.assertFails(400, "cannot be stored as float16", "PUT", PATH + "/points",
                         upsert(halves=[1, 2, 70000]))
        self.assertFails(501, "vectors.datatype", "PUT", "/collections/y",
                         {"vectors": {"size": 3, "distance": "Dot", "datatype": "turbo4"}})
        self.client.call("PUT", PATH + "/points?wait=true",
                         upsert(bytes=[0, 255, 7], halves=[0.1, 1, -65504]))
        vectors = self.client.call("GET", PATH + "/points/1")["vector"]
        self.assertEqual(vectors["bytes"], [0, 255, 7])
        np.testing.assert_array_equal(np.float32(vectors["halves"]),
                                      np.float32(np.float16([0.1, 1, -65504])))

    def test_an_estimate_counts_the_bytes_of_the_datatype(self):
        self.client.recreate("z", {"vectors": {"size": DIM, "distance": "Dot",
                                               "datatype": "float16"}})
        own = self.client.call("POST", PATH + "/estimate", {"points": 1000})
        self.assertEqual(own["vectors"][""]["vector_bytes"], 1000 * DIM * 2)
        other = self.client.call("POST", PATH + "/estimate", {"points": 1000, "vectors": {
            "size": 100, "distance": "Dot", "datatype": "uint8"}})
        self.assertEqual(other["vectors"][""]["vector_bytes"], 1000 * 100)
        self.assertEqual(other["vectors"][""]["code_bytes"], 0)


if __name__ == "__main__":
    unittest.main()
