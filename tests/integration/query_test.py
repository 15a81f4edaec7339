"""Queries through the daemon beside brute force: metrics, filters, interests, rounds."""

import random
import time
import unittest

import numpy as np
from daemon import DATA, DaemonTest

DIM = 16
ROWS = 4000


def scores(metric, vectors, query):
    vectors, query = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "Cosine":
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit @ (query / np.linalg.norm(query))
    if metric == "Dot":
        return vectors @ query
    if metric == "Euclid":
        return np.sqrt(((vectors - query) ** 2).sum(axis=1))
    return np.abs(vectors - query).sum(axis=1)


def nearest(metric, vectors, ids, query, limit):
    value = scores(metric, vectors[ids], query)
    order = np.argsort(-value if metric in ("Cosine", "Dot") else value, kind="stable")[:limit]
    return ids[order].tolist(), value[order]


def payload_of(point):
    return {"group": f"g{point % 10}", "year": 1950 + point % 70, "rare": point % 1000 == 0,
            "tags": [f"t{point % 3}", f"t{point % 7}"], "nested": {"price": point / 7}}


# name -> (filter, the same as a Python test)
FILTERS = {
    "10 %": ({"must": [{"key": "group", "match": {"value": "g3"}}]},
             lambda p: p["group"] == "g3"),
    "0.1 %": ({"must": [{"key": "rare", "match": {"value": True}}]}, lambda p: p["rare"]),
    "range": ({"must": [{"key": "year", "range": {"gte": 1990, "lt": 2000}}]},
              lambda p: 1990 <= p["year"] < 2000),
    "float path": ({"must": [{"key": "nested.price", "range": {"lte": 30.5}}]},
                   lambda p: p["nested"]["price"] <= 30.5),
    "array": ({"must": [{"key": "tags", "match": {"any": ["t5", "t6"]}}]},
              lambda p: {"t5", "t6"} & set(p["tags"])),
    "nearly all": ({"must_not": [{"key": "group", "match": {"value": "g3"}}]},
                   lambda p: p["group"] != "g3"),
    "should": ({"should": [{"key": "group", "match": {"value": "g1"}},
                           {"key": "year", "range": {"gt": 2015}}]},
               lambda p: p["group"] == "g1" or p["year"] > 2015),
    "both": ({"must": [{"key": "group", "match": {"except": ["g1", "g2"]}}],
              "must_not": [{"key": "tags", "match": {"value": "t0"}}]},
             lambda p: p["group"] not in ("g1", "g2") and "t0" not in p["tags"]),
    "nothing": ({"must": [{"key": "year", "range": {"gt": 3000}}]}, lambda p: False),
}


class Queries(DaemonTest):
    def setUp(self):
        super().setUp()
        self.seed = time.time_ns() % 1_000_000
        print("seed", self.seed)
        rng = np.random.default_rng(self.seed)
        centers = rng.normal(size=(40, DIM))
        self.vectors = (centers[rng.integers(40, size=ROWS)]
                        + 0.4 * rng.normal(size=(ROWS, DIM))).astype(np.float32)
        self.queries = (centers[:12] + 0.4 * rng.normal(size=(12, DIM))).astype(np.float32)

    def load(self, metric, payloads=True, threshold=50):
        self.client.recreate("q", {"vectors": {"size": DIM, "distance": metric},
                                   "optimizers_config": {"indexing_threshold": threshold}})
        for begin in range(0, ROWS, 500):
            ids = list(range(begin, begin + 500))
            self.client.upsert("q", ids, self.vectors[begin:begin + 500].tolist(),
                               [payload_of(i) for i in ids] if payloads else None)

    def assertNearest(self, metric, ids, query, answer, limit, note=None):
        """`answer` are the nearest of `ids`, each once. Rows whose distances differ by less than a
        float32 can say may stand in either order."""
        expected, value = nearest(metric, self.vectors, ids, query, limit)
        self.assertEqual(len(set(answer)), len(expected), note)
        self.assertTrue(set(answer) <= set(ids.tolist()), note)
        np.testing.assert_allclose(scores(metric, self.vectors[np.array(answer, dtype=int)], query),
                                   value, rtol=5e-6, atol=2e-6, err_msg=str(note))

    def found(self, **body):
        return [hit["id"] for hit in self.client.query("q", body)["points"]]

    def test_exact_mode_equals_brute_force_and_the_index_comes_close_for_every_metric(self):
        ids = np.arange(ROWS)
        for metric in ("Cosine", "Dot", "Euclid", "Manhattan"):
            self.load(metric, payloads=False)
            self.wait_green("q")
            hits_in_common = 0
            for query in self.queries:
                answer = self.client.query("q", {"query": query.tolist(), "limit": 10,
                                                 "params": {"exact": True}})["points"]
                expected, value = nearest(metric, self.vectors, ids, query, 10)
                np.testing.assert_allclose([hit["score"] for hit in answer], value, rtol=1e-4,
                                           atol=1e-4)
                self.assertNearest(metric, ids, query, [hit["id"] for hit in answer], 10, metric)
                near = self.found(query=query.tolist(), limit=10, params={"hnsw_ef": 128})
                hits_in_common += len(set(near) & set(expected))
            self.assertGreaterEqual(hits_in_common, 0.95 * 10 * len(self.queries), metric)

    def test_filters_are_complete_and_right_with_and_without_payload_indexes(self):
        self.load("Euclid")
        self.wait_green("q")
        for with_index in (False, True):
            if with_index:
                for field, schema in (("group", "keyword"), ("year", "integer"), ("rare", "bool"),
                                      ("tags", "keyword"), ("nested.price", "float")):
                    self.client.call("PUT", "/collections/q/index?wait=true",
                                     {"field_name": field, "field_schema": schema})
            for name, (condition, test) in FILTERS.items():
                ids = np.array([i for i in range(ROWS) if test(payload_of(i))], dtype=int)
                count = self.client.call("POST", "/collections/q/points/count",
                                         {"filter": condition})["count"]
                self.assertEqual(count, len(ids), (name, with_index))
                common = 0
                for query in self.queries[:4]:
                    limit = 25
                    found = self.found(query=query.tolist(), limit=limit, filter=condition)
                    self.assertEqual(len(found), min(limit, len(ids)), (name, with_index))
                    self.assertTrue(set(found) <= set(ids.tolist()), (name, with_index))
                    exact = self.found(query=query.tolist(), limit=limit, filter=condition,
                                       params={"exact": True})
                    expected, _ = nearest("Euclid", self.vectors, ids, query, limit)
                    self.assertNearest("Euclid", ids, query, exact, limit, (name, with_index))
                    common += len(set(found) & set(expected))
                self.assertGreaterEqual(common, 0.9 * 4 * min(25, len(ids)), (name, with_index))

    def test_a_write_is_seen_by_the_next_query(self):
        self.load("Euclid")
        rng = random.Random(self.seed)
        for _ in range(50):
            point = rng.randrange(ROWS)
            target = [rng.uniform(50, 60) for _ in range(DIM)]
            self.client.upsert("q", [point], [target])
            self.assertEqual(self.found(query=target, limit=1), [point])
            self.client.call("POST", "/collections/q/points/delete?wait=true", {"points": [point]})
            self.assertNotIn(point, self.found(query=target, limit=5))

    def test_offset_threshold_id_queries_and_batches(self):
        self.load("Cosine")
        query = self.queries[0].tolist()
        ten = self.client.query("q", {"query": query, "limit": 10,
                                      "params": {"exact": True}})["points"]
        rest = self.client.query("q", {"query": query, "limit": 4, "offset": 6,
                                       "params": {"exact": True}})["points"]
        self.assertEqual(rest, ten[6:])
        cut = self.client.query("q", {"query": query, "limit": 10, "params": {"exact": True},
                                      "score_threshold": ten[4]["score"]})["points"]
        self.assertEqual(cut, ten[:5])
        near_seven = self.found(query=7, limit=5)
        self.assertNotIn(7, near_seven)
        self.assertEqual(len(near_seven), 5)
        batch = self.client.query_batch("q", [{"query": query, "limit": 10,
                                               "params": {"exact": True}}, {"limit": 3}])
        self.assertEqual(batch[0]["points"], ten)
        self.assertEqual([hit["id"] for hit in batch[1]["points"]], [0, 1, 2])
        self.assertEqual(len(self.found(query=query, limit=2**64 - 1)), ROWS)

    def test_interests_fill_the_budget_and_name_what_found_each_hit(self):
        self.load("Cosine")
        self.client.train_clusters("q", 40)
        rng = random.Random(self.seed)
        for limit in (1, 7, 100):
            history = rng.sample(range(ROWS), 12)
            for extra in ({}, {"allocation": "equal"}, {"merge": "score"},
                          {"represent": "medoid"}, {"blend": 0.5, "blend_with": "history"}):
                for condition in (None, FILTERS["10 %"][0], FILTERS["0.1 %"][0]):
                    body = {"query": {"interests": {"history": history, **extra}}, "limit": limit}
                    matches = set(range(ROWS))
                    if condition:
                        body["filter"] = condition
                        test = FILTERS["10 %" if condition is FILTERS["10 %"][0] else "0.1 %"][1]
                        matches = {i for i in range(ROWS) if test(payload_of(i))}
                    matches -= set(history)
                    answer = self.client.query("q", body)
                    ids = [hit["id"] for hit in answer["points"]]
                    self.assertEqual(len(ids), min(limit, len(matches)), body)
                    self.assertEqual(len(set(ids)), len(ids))
                    self.assertTrue(set(ids) <= matches)
                    interests = answer["interests"]
                    self.assertEqual(sum(i["quota"] for i in interests), limit)
                    self.assertEqual(sum(i["returned"] for i in interests), len(ids))
                    self.assertAlmostEqual(sum(i["weight"] for i in interests), 1, places=5)
                    for interest in interests:
                        mine = [h["interest"]["rank"] for h in answer["points"]
                                if h["interest"]["component"] == interest["component"]]
                        self.assertEqual(sorted(mine), list(range(interest["returned"])))
                        self.assertIn(interest["medoid"], history)
                    self.assertEqual(self.client.query("q", body), answer, "not deterministic")

    def test_a_profile_names_the_clusters_labels_and_items_of_a_history(self):
        self.load("Cosine")
        job = self.client.call("POST", "/collections/q/clusters",
                               {"count": 30, "labels": {"field": "group"}})
        self.client.wait_job(job["job"])
        clusters = self.client.call("GET", "/collections/q/clusters")
        self.assertEqual(sum(clusters["sizes"]), ROWS)
        self.assertEqual(clusters["label_field"], "group")
        self.assertEqual(len(clusters["labels"]), clusters["count"])
        history = random.Random(self.seed).sample(range(ROWS), 40)
        interests = {"history": history, "max_components": 20}
        answer = self.client.query("q", {"query": {"interests": interests}, "limit": 0})
        self.assertEqual(answer["points"], [])
        named = [item for i in answer["interests"] for item in i["items"]]
        self.assertEqual(len(set(named)), len(named))
        self.assertLessEqual(set(named), set(history))
        for interest in answer["interests"]:
            self.assertEqual(interest["quota"], 0)
            self.assertEqual(interest["medoid"], interest["items"][0])
            label = [v["value"] for v in clusters["labels"][interest["cluster"]]]
            self.assertEqual(interest["label"], label)
        # What a search inside a cluster returns has that cluster in a profile of its own.
        body = {"query": {"interests": {**interests, "scope": "cluster"}}, "limit": 50}
        for hit in self.client.query("q", body)["points"]:
            alone = self.client.query("q", {"query": {"interests": {"history": [hit["id"]]}},
                                            "limit": 0})["interests"][0]
            component = hit["interest"]["component"]
            self.assertEqual(alone["cluster"], answer["interests"][component]["cluster"])
            self.assertEqual(hit["interest"]["score"], hit["score"])
        # A deleted point is in no cluster, and a new one at once.
        self.client.call("POST", "/collections/q/points/delete?wait=true", {"points": [history[0]]})
        self.assertEqual(sum(self.client.call("GET", "/collections/q/clusters")["sizes"]), ROWS - 1)

    def test_diversity_chooses_as_its_rules_are_written(self):
        self.load("Cosine")
        query = self.vectors[11]
        interests = {"components": [{"vector": query.tolist()}]}
        unit = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        exact = {"params": {"exact": True}}
        found = self.client.query("q", {"query": {"interests": interests}, "limit": 80, **exact})
        score = {hit["id"]: hit["score"] for hit in found["points"]}

        def check(diversity, value):
            body = {"query": {"interests": {**interests, "diversity": diversity}}, "limit": 25}
            taken = []
            for hit in self.client.query("q", {**body, **exact})["points"]:
                best = max(value(i, taken) for i in score if i not in taken)
                self.assertAlmostEqual(value(hit["id"], taken), best, places=5)
                taken.append(hit["id"])
            self.assertEqual(len(taken), 25)

        check({"category": {"field": "group", "lambda": 0.05, "candidates": 80}},
              lambda i, taken: score[i] - 0.05 * sum(
                  payload_of(j)["group"] == payload_of(i)["group"] for j in taken))
        check({"mmr": {"lambda": 0.3, "candidates": 80}},
              lambda i, taken: score[i] if not taken else
              0.3 * score[i] - 0.7 * float((unit[taken] @ unit[i]).max()))

    def test_a_history_is_clustered_by_itself_without_trained_clusters(self):
        self.load("Cosine")
        body = {"query": {"interests": {"history": list(range(60)), "clustering": "ward"}},
                "limit": 30}
        answer = self.client.query("q", body)
        self.assertEqual(len(answer["points"]), 30)
        self.assertEqual(len(answer["interests"]), 5)
        self.assertTrue(all(i["cluster"] is None for i in answer["interests"]))
        self.assertEqual(self.client.query("q", body), answer)

    def test_rounds_are_disjoint_and_one_round_is_a_plain_query(self):
        self.load("Cosine")
        self.client.train_clusters("q", 40)
        query = self.queries[1].tolist()
        plain = self.found(query=query, limit=40)
        strategies = ({"explore": {"beta": 0.5}}, {"rocchio": {"alpha": 0.7, "beta": 0.3}},
                      {"attention": {"gamma": 0.3, "temperature": 0.1}})
        for strategy in strategies:
            one = self.found(query={"refine": {"query": query, "rounds": 1, "strategy": strategy}},
                             limit=40)
            self.assertEqual(one, plain)
            for inner in (query, {"interests": {"history": [1, 2, 3, 500, 900]}}):
                answer = self.client.query("q", {"query": {"refine": {
                    "query": inner, "history": [5, 9], "rounds": 5, "strategy": strategy}},
                    "limit": 40, "filter": FILTERS["nearly all"][0]})
                ids = [hit["id"] for hit in answer["points"]]
                self.assertEqual(len(ids), 40)
                self.assertEqual(len(set(ids)), 40)
                rounds = [hit["round"] for hit in answer["points"]]
                self.assertEqual(rounds, sorted(rounds))
                self.assertEqual([r["returned"] for r in answer["rounds"]], [8] * 5)
                self.assertAlmostEqual(answer["rounds"][0]["shift"], 1, places=5)
        still = self.found(query={"refine": {"query": query, "rounds": 5,
                                             "strategy": {"explore": {"beta": 0}}}}, limit=40)
        self.assertEqual(set(still), set(plain))


class Mnist(DaemonTest):
    def test_recall_on_mnist_at_ef_128(self):
        import gzip
        path = DATA / "mnist" / "train-images-reconstructed-idx3-ubyte.gz"
        if not path.exists():
            self.skipTest(f"{path} is not there; TESSERA_DATA_DIR names the folder that holds it")
        images = np.frombuffer(gzip.open(path).read(), np.uint8, offset=16).reshape(-1, 784)
        test = np.frombuffer(gzip.open(DATA / "mnist" / "t10k-images-idx3-ubyte.gz").read(),
                             np.uint8, offset=16).reshape(-1, 784)
        base = images[:20_000].astype(np.float32)
        self.client.call("PUT", "/collections/mnist",
                         {"vectors": {"size": 784, "distance": "Euclid"}})
        for begin in range(0, len(base), 500):
            self.client.upsert("mnist", list(range(begin, begin + 500)),
                               images[begin:begin + 500].tolist())
        info = self.wait_green("mnist", 600)
        self.assertEqual(info["indexed_vectors_count"], len(base))
        queries = test[:200].astype(np.float32)
        distances = (base ** 2).sum(1) - 2 * queries @ base.T
        truth = np.argsort(distances, axis=1)[:, :10]
        found = 0
        for query, expected in zip(test[:200].tolist(), truth):
            hits = self.client.query("mnist", {"query": query, "limit": 10,
                                               "params": {"hnsw_ef": 128}})["points"]
            found += len({hit["id"] for hit in hits} & set(expected.tolist()))
        recall = found / truth.size
        print(f"mnist, 20,000 rows: recall@10 {recall:.4f} at hnsw_ef 128")
        self.assertGreaterEqual(recall, 0.97)


if __name__ == "__main__":
    unittest.main()
