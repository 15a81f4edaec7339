"""Prefetches, fusions, groups and batches through the daemon, with interests and rounds inside."""

import time
import unittest

import numpy as np
from daemon import DaemonTest

DIM = 8
ITEMS = 300
SHOPS = 7


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Prefetches(DaemonTest):
    settings = ("index.build_idle_ms=0",)

    def setUp(self):
        super().setUp()
        random = np.random.default_rng(7)
        corners = random.normal(size=(5, DIM))
        self.vectors = unit(corners[np.arange(ITEMS) % 5] + 0.4 * random.normal(size=(ITEMS, DIM)))
        self.vectors = self.vectors.astype(np.float32)
        self.client.call("PUT", "/collections/c", {"vectors": {"size": DIM, "distance": "Cosine"}})
        self.client.call("PUT", "/collections/c/points?wait=true", {"points": [
            {"id": i, "vector": self.vectors[i].tolist(), "payload": self.payload(i)}
            for i in range(ITEMS)]})
        self.client.call("PUT", "/collections/shops",
                         {"vectors": {"size": 1, "distance": "Dot"}})
        self.client.call("PUT", "/collections/shops/points?wait=true", {"points": [
            {"id": shop, "vector": [1], "payload": {"name": f"shop {shop}"}}
            for shop in range(1, SHOPS)]})
        job = self.client.call("POST", "/collections/c/clusters", {"count": 5})["job"]
        while self.client.call("GET", f"/jobs/{job}")["state"] in ("queued", "running"):
            time.sleep(0.01)

    @staticmethod
    def payload(item):
        return {"shop": item % SHOPS, "tags": [f"t{item % 3}", f"t{item % 4}"], "new": item > 200}

    def query(self, body, **more):
        return self.client.query("c", {**body, **more})

    def groups(self, body, **more):
        return self.client.call("POST", "/collections/c/points/query/groups", {**body, **more})

    def nearest(self, query, allowed, limit):
        score = self.vectors @ np.float32(unit(np.array(query)))
        return sorted((i for i in range(ITEMS) if allowed(i)), key=lambda i: -score[i])[:limit]

    def test_fusion_adds_up_reciprocal_ranks(self):
        one, two = self.vectors[3].tolist(), self.vectors[4].tolist()
        first = self.nearest(one, lambda i: i % SHOPS == 2, 20)
        second = self.nearest(two, lambda i: i > 200 and i % SHOPS == 2, 15)
        sums = {}
        for weight, ids in ((3, first), (1, second)):
            for place, item in enumerate(ids):
                sums[item] = sums.get(item, 0) + 1 / ((place + 1) / weight + 59)
        expected = sorted(sums, key=lambda item: (-np.float32(sums[item]), item))[:12]
        answer = self.query(
            {"prefetch": [{"query": one, "limit": 20},
                          {"query": two, "limit": 15,
                           "filter": {"must": [{"key": "new", "match": {"value": True}}]}}],
             "query": {"rrf": {"k": 60, "weights": [3, 1]}}, "limit": 12,
             "filter": {"must": [{"key": "shop", "match": {"value": 2}}]}})
        self.assertEqual([point["id"] for point in answer["points"]], expected)
        for point in answer["points"]:
            self.assertAlmostEqual(point["score"], sums[point["id"]], 6)

    def test_a_vector_over_prefetches_ranks_their_union_with_the_same_scores(self):
        one, two = self.vectors[3].tolist(), self.vectors[4].tolist()
        top = unit(np.ones(DIM)).tolist()
        union = set(self.nearest(one, lambda i: True, 30)) | set(
            self.nearest(two, lambda i: True, 10))
        answer = self.query({"prefetch": [{"query": one, "limit": 30}, {"query": two}],
                             "query": top, "limit": 100})
        whole = self.query({"query": top, "limit": ITEMS})
        self.assertEqual([(p["id"], p["score"]) for p in answer["points"]],
                         [(p["id"], p["score"]) for p in whole["points"] if p["id"] in union])

    def test_interests_and_rounds_as_prefetches_keep_their_places(self):
        history = {"interests": {"history": [0, 5, 10, 1, 6], "max_components": 3}}
        alone = self.query({"query": history, "limit": 40})
        rounds = self.query({"query": {"refine": {"query": history, "rounds": 4}}, "limit": 40})
        places = {point["id"]: point["interest"] for point in alone["points"]}
        for top in ({"fusion": "dbsf"}, self.vectors[9].tolist()):
            answer = self.query({"prefetch": [
                {"query": history, "limit": 40}, {"query": self.vectors[2].tolist(), "limit": 40}],
                "query": top, "limit": 100})
            self.assertEqual(answer["interests"], alone["interests"])
            for point in answer["points"]:
                self.assertEqual(point.get("interest"), places.get(point["id"]))
        answer = self.query({"prefetch": {"query": {"refine": {"query": history, "rounds": 4}},
                                          "limit": 40},
                             "query": {"fusion": "rrf"}, "limit": 40})
        # The order of one list is kept.
        self.assertEqual([p["id"] for p in answer["points"]], [p["id"] for p in rounds["points"]])
        self.assertEqual([p["round"] for p in answer["points"]],
                         [p["round"] for p in rounds["points"]])
        self.assertEqual(answer["rounds"], rounds["rounds"])

    def test_a_batch_answers_as_its_queries_alone(self):
        history = {"interests": {"history": [0, 5, 10, 1, 6]}}
        searches = [{"query": {"interests": {"history": [i, i + 1, i + 5]}}, "limit": 30}
                    for i in range(70)]
        searches += [{"query": self.vectors[i].tolist(), "with_payload": True} for i in range(70)]
        searches.append({"prefetch": {"query": history, "limit": 20}, "query": {"fusion": "rrf"}})
        searches.append({"query": {"refine": {"query": history}}, "limit": 20})
        batch = self.client.call("POST", "/collections/c/points/query/batch",
                                 {"searches": searches})
        self.assertEqual(batch, [self.query(search) for search in searches])
        searches[50] = {"query": 4711}
        self.assertFails(404, "No point with id 4711 found", "POST",
                         "/collections/c/points/query/batch", {"searches": searches})

    def test_groups_hold_the_nearest_of_each_value_and_what_is_looked_up(self):
        query = self.vectors[3].tolist()
        order = self.nearest(query, lambda i: True, ITEMS)
        answer = self.groups({"query": query}, group_by="shop", group_size=4, limit=SHOPS,
                             with_lookup="shops", with_payload=["shop"])
        self.assertEqual(set(answer), {"groups"})
        shops = list(dict.fromkeys(item % SHOPS for item in order))
        self.assertEqual([group["id"] for group in answer["groups"]], shops)
        for group in answer["groups"]:
            self.assertEqual([hit["id"] for hit in group["hits"]],
                             [item for item in order if item % SHOPS == group["id"]][:4])
            self.assertEqual(group["hits"][0]["payload"], {"shop": group["id"]})
            if group["id"] == 0:
                self.assertNotIn("lookup", group)
            else:
                self.assertEqual(group["lookup"], {"id": group["id"],
                                                   "payload": {"name": f"shop {group['id']}"}})
        bare = self.groups({"query": query}, group_by="shop", limit=2, with_lookup={
            "collection": "shops", "with_payload": False})
        self.assertEqual({len(group["hits"]) for group in bare["groups"]}, {3})
        self.assertTrue(all(set(group.get("lookup", {"id": 0})) == {"id"}
                            for group in bare["groups"]))
        tags = self.groups({"query": query}, group_by="tags", limit=10, group_size=300)
        for group in tags["groups"]:
            self.assertEqual([hit["id"] for hit in group["hits"]],
                             [item for item in order if group["id"] in self.payload(item)["tags"]])
        self.assertFails(404, "Collection nope not found", "POST",
                         "/collections/c/points/query/groups",
                         {"query": query, "group_by": "shop", "with_lookup": "nope"})
        self.assertFails(400, "group_by", "POST", "/collections/c/points/query/groups",
                         {"query": query})

    def test_groups_of_interests_rounds_and_prefetches(self):
        history = {"interests": {"history": [0, 5, 10, 1, 6], "max_components": 3}}
        for body, keys in (
                ({"query": history}, {"groups", "interests"}),
                ({"query": {"refine": {"query": history}}}, {"groups", "interests", "rounds"}),
                ({"prefetch": {"query": history, "limit": 60}, "query": {"fusion": "rrf"}},
                 {"groups", "interests"})):
            answer = self.groups(body, group_by="shop", limit=5)
            self.assertEqual(set(answer), keys)
            self.assertEqual(len(answer["groups"]), 5)
            for group in answer["groups"]:
                for hit in group["hits"]:
                    self.assertEqual(hit["id"] % SHOPS, group["id"])
                    self.assertIn(hit["interest"]["component"], range(3))


if __name__ == "__main__":
    unittest.main()
