"""Trained adapters through the daemon: what is wrong with a file is said by name, rounds are those
of the formulas, and nothing acknowledged is lost by kill -9."""

import json
import math
import os
import random
import struct
import threading
import time
import unittest

from daemon import DaemonTest
from tessera_client import TesseraError

import numpy

CYCLES = int(os.environ.get("TESSERA_CRASH_CYCLES", "20")) // 4
DIM = 8
CONTEXT = 5
ITEMS = 400
GAP_MIN = 3e-5


def tensors_of(generator, dim=DIM, context=CONTEXT, backbone="mean"):
    """Random weights by name, as docs/adapters.md lists them."""
    def normal(*shape, scale=None):
        scale = 1 / math.sqrt(shape[-1]) if scale is None else scale
        return (scale * generator.standard_normal(shape)).astype("<f4")

    tensors = {"filter.kernel": normal(context, dim, scale=0.3)}
    for name, out, inner in (("filter.linear", dim, dim), ("fuse.hidden", 2 * dim, 2 * dim),
                             ("fuse.output", dim, 2 * dim)):
        tensors[name + ".weight"] = normal(out, inner)
        tensors[name + ".bias"] = normal(out, scale=0.1)
    for name in ("filter.norm", "attention.norm", "fuse.norm"):
        tensors[name + ".weight"] = 1 + normal(dim, scale=0.2)
        tensors[name + ".bias"] = normal(dim, scale=0.2)
    grus = [("gru", dim)] + ([("backbone.gru", dim + 1)] if backbone == "gru4rec" else [])
    for name, hidden in grus:
        tensors[name + ".weight_ih"] = normal(3 * hidden, dim)
        tensors[name + ".weight_hh"] = normal(3 * hidden, hidden)
        tensors[name + ".bias_ih"] = normal(3 * hidden, scale=0.1)
        tensors[name + ".bias_hh"] = normal(3 * hidden, scale=0.1)
    if backbone == "gru4rec":
        tensors["backbone.dense.weight"] = normal(dim, dim + 1)
        tensors["backbone.dense.bias"] = normal(dim, scale=0.1)
    return tensors


def file_of(tensors, metadata=None, backbone="mean", **more):
    metadata = {"format": "tessera-adapter-1", "backbone": backbone, **more} \
        if metadata is None else metadata
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        begin = len(data)
        data += tensor.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Reference:
    """The formulas in double precision, one person."""

    def __init__(self, tensors, backbone):
        self.t = {name: tensor.astype(float) for name, tensor in tensors.items()}
        self.backbone = backbone

    def norm(self, name, x):
        x = (x - x.mean(-1, keepdims=True)) / numpy.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * self.t[name + ".weight"] + self.t[name + ".bias"]

    def linear(self, name, x):
        return x @ self.t[name + ".weight"].T + self.t[name + ".bias"]

    def gru(self, name, rows):
        state = numpy.zeros(self.t[name + ".weight_hh"].shape[1])
        for row in rows:
            i = self.t[name + ".weight_ih"] @ row + self.t[name + ".bias_ih"]
            h = self.t[name + ".weight_hh"] @ state + self.t[name + ".bias_hh"]
            (i_r, i_z, i_n), (h_r, h_z, h_n) = numpy.split(i, 3), numpy.split(h, 3)
            reset, update = 1 / (1 + numpy.exp(-(i_r + h_r))), 1 / (1 + numpy.exp(-(i_z + h_z)))
            fresh = numpy.tanh(i_n + reset * h_n)
            state = (1 - update) * fresh + update * state
        return state

    def filtered(self, items):
        padded = numpy.zeros_like(self.t["filter.kernel"])
        padded[:len(items)] = items[:len(padded)]
        spectrum = numpy.fft.rfft(self.t["filter.kernel"], axis=0) * numpy.fft.rfft(padded, axis=0)
        z = numpy.fft.irfft(spectrum, len(padded), axis=0)
        return self.norm("filter.norm", self.linear("filter.linear", z) + padded)[:len(items)]

    def vector(self, history, rounds, vectors):
        h = history
        if rounds:
            f = numpy.concatenate([self.filtered(items) for items in rounds])
            scores = h @ f.T / math.sqrt(h.shape[1])
            weights = numpy.exp(scores - scores.max(1, keepdims=True))
            h = self.norm("attention.norm", weights / weights.sum(1, keepdims=True) @ f + h)
        v = h.mean(0) if self.backbone == "mean" \
            else self.linear("backbone.dense", self.gru("backbone.gru", h))
        if not vectors:
            return v
        g = self.gru("gru", vectors)
        hidden = numpy.maximum(self.linear("fuse.hidden", numpy.concatenate([v, g])), 0)
        return self.norm("fuse.norm", self.linear("fuse.output", hidden) + v)


class Ambiguous(Exception):
    """Two scores are so near that the rounding of a vector decides."""


class Adapters(DaemonTest):
    settings = ("index.build_idle_ms=0", "adapters.count_max=4", "adapters.bytes_max=64KiB")

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("TESSERA_SEED", time.time_ns() % 1_000_000))
        print(f"seed {self.seed} (TESSERA_SEED repeats it)")
        self.generator = numpy.random.default_rng(self.seed)

    def create(self, distance="Dot", bias=False, name="c"):
        size = DIM + bias
        self.client.call("PUT", f"/collections/{name}",
                         {"vectors": {"size": size, "distance": distance}})
        items = self.generator.standard_normal((ITEMS, size)).astype("f4")
        if distance == "Cosine":
            items /= numpy.linalg.norm(items, axis=1, keepdims=True)
        self.client.upsert(name, list(range(ITEMS)), items.tolist(),
                           [{"even": i % 2 == 0} for i in range(ITEMS)])
        return items.astype(float)

    def put(self, name, file, collection="c"):
        return self.client.call("PUT", f"/collections/{collection}/adapters/{name}", file)

    def refine(self, limit=20, name="a", collection="c", more=None, **refine):
        body = {"query": {"refine": {"strategy": {"adapter": name}, **refine}}, "limit": limit,
                "params": {"exact": True}, **(more or {})}
        return self.client.query(collection, body)

    def expected(self, items, tensors, backbone, history, limit, rounds, bias=False, cosine=False,
                 known=frozenset(), context_known=False, query=None, allowed=None):
        """Ids of the answer: the method by numpy over all items."""
        reference = Reference(tensors, backbone)
        size = -(-limit // rounds)
        d = items[:, :DIM]

        def search(u, excluded, count):
            scores = items @ (numpy.append(u, 1) if bias else u / numpy.linalg.norm(u)
                              if cosine else u)
            order = [int(i) for i in numpy.argsort(-scores, kind="stable")
                     if i not in excluded and (allowed is None or allowed(i))]
            if numpy.diff(-scores[order[:count + 1]]).min(initial=1) < GAP_MIN:
                raise Ambiguous()
            return order[:count]

        vectors, contexts, seen = [], [], set() if context_known else set(known)
        for number in range(rounds):
            u = reference.vector(d[history], contexts, vectors)
            if number == 0 and query is not None:
                u = query
            vectors.append(u)
            found = search(u, seen, size)
            seen |= set(found)
            contexts.append(d[found])
        answer, listed = [], set(known)
        for u in vectors:
            found = search(u, listed, min(size, limit - len(answer)))
            answer += found
            listed |= set(found)
        return answer

    def ids(self, result):
        return [point["id"] for point in result["points"]]

    def test_rounds_are_those_of_the_formulas(self):
        for distance, bias, backbone in (("Dot", False, "mean"), ("Dot", True, "gru4rec"),
                                         ("Cosine", False, "gru4rec")):
            name = f"{distance}-{bias}"
            items = self.create(distance, bias, name)
            tensors = tensors_of(self.generator, backbone=backbone)
            more = {"item_bias": "last_dimension"} if bias else {}
            self.put("a", file_of(tensors, backbone=backbone, **more), name)
            for length in (1, 2, 9, 50):
                with self.subTest(name=name, length=length):
                    while not self.compare_rounds(name, items, tensors, backbone, length,
                                                  dict(bias=bias, cosine=distance == "Cosine")):
                        pass

    def compare_rounds(self, name, items, tensors, backbone, length, common):
        """Whether a history could be compared: everything that can be left out, or read."""
        history = [int(i) for i in self.generator.choice(ITEMS, length, replace=False)]
        known = frozenset(history)

        def expected(limit, rounds, **more):
            return self.expected(items, tensors, backbone, history, limit, rounds, **common, **more)

        try:
            plain = expected(20, 5, known=known)
            authors = expected(25, 3, known=known, context_known=True)
            everything = expected(20, 5)
            filtered = expected(20, 5, known=known, allowed=lambda i: i % 2 == 0)
        except Ambiguous:
            return False
        result = self.refine(collection=name, history=history)
        self.assertEqual(self.ids(result), plain)
        self.assertEqual([r["returned"] for r in result["rounds"]], [4] * 5)
        self.assertEqual([p["round"] for p in result["points"]], [1 + i // 4 for i in range(20)])
        self.assertEqual(result, self.refine(collection=name, history=history))
        self.assertEqual(self.ids(self.refine(collection=name, history=history, rounds=3, limit=25,
                                              context_includes_history=True)), authors)
        self.assertEqual(self.ids(self.refine(collection=name, history=history,
                                              exclude_history=False)), everything)
        self.assertEqual(self.ids(self.refine(collection=name, history=history, more={
            "filter": {"must": [{"key": "even", "match": {"value": True}}]}})), filtered)
        # Inline vectors are no points: nothing is left out for them.
        given = [items[i].tolist() for i in history]
        self.assertEqual(self.ids(self.refine(collection=name, history=given)), everything)
        return True

    def test_a_query_replaces_the_first_vector(self):
        items = self.create()
        tensors = tensors_of(self.generator)
        self.put("a", file_of(tensors))
        history = [3, 1, 4]
        expected = None
        while expected is None:
            query = self.generator.standard_normal(DIM).astype("f4")
            try:
                expected = self.expected(items, tensors, "mean", history, 20, 5,
                                         known=frozenset(history), query=query.astype(float))
            except Ambiguous:
                pass
        result = self.refine(history=history, query=query.tolist())
        self.assertEqual(self.ids(result), expected)
        one = self.refine(history=history, query=query.tolist(), rounds=1, exclude_history=False)
        plain = self.client.query("c", {"query": query.tolist(), "limit": 20,
                                        "params": {"exact": True}})
        self.assertEqual([(p["id"], p["score"]) for p in one["points"]],
                         [(p["id"], p["score"]) for p in plain["points"]])

    def test_stored_users_and_interests(self):
        self.create("Cosine")
        self.put("a", file_of(tensors_of(self.generator)))
        events = [{"id": i, "at": 1000 + i} for i in (5, 9, 70, 200)]
        self.client.call("PUT", "/collections/c/users?wait=true",
                         {"users": [{"id": "u", "history": events}, {"id": "none"}]})
        self.assertEqual(self.refine(user="u"), self.refine(history=[5, 9, 70, 200]))
        self.assertFails(404, "No user with id nobody found", "POST", "/collections/c/points/query",
                         {"query": {"refine": {"user": "nobody", "strategy": {"adapter": "a"}}}})
        self.assertFails(400, "query.refine.user: user none has no events", "POST",
                         "/collections/c/points/query",
                         {"query": {"refine": {"user": "none", "strategy": {"adapter": "a"}}}})

        self.client.train_clusters("c", 16)
        interests = {"interests": {"history": list(range(12))}}
        plain = self.client.query("c", {"query": interests, "limit": 30})
        result = self.refine(query=interests, limit=30)
        quotas = [(i["component"], i["quota"]) for i in plain["interests"]]
        self.assertEqual([(i["component"], i["quota"]) for i in result["interests"]], quotas)
        self.assertEqual(sum(i["returned"] for i in result["interests"]), 30)
        ids = self.ids(result)
        self.assertEqual(len(set(ids)), 30)
        self.assertFalse(set(ids) & set(range(12)))
        self.assertEqual(result, self.refine(query=interests, limit=30))
        moved = self.refine(query=interests, limit=30, context_includes_history=True)
        self.assertFalse(set(self.ids(moved)) & set(range(12)))

    def test_a_batch_answers_as_single_queries_do(self):
        self.create()
        self.put("a", file_of(tensors_of(self.generator, backbone="gru4rec"), backbone="gru4rec"))
        searches = [{"query": {"refine": {"history": [i, i + 1, 3 * i], "strategy": {
            "adapter": "a"}}}, "limit": 15} for i in range(6)]
        together = self.client.query_batch("c", searches)
        self.assertEqual(together, [self.client.query("c", search) for search in searches])

    def test_versions_list_and_deletion(self):
        self.create()
        self.assertEqual(self.client.call("GET", "/collections/c/adapters"), {"adapters": []})
        file = file_of(tensors_of(self.generator), max_history="7")
        before = time.time()
        first = self.put("b%20%C3%A9", file)
        self.assertEqual({**first, "created_at": ""}, {
            "name": "b é", "version": 1, "created_at": "", "bytes": len(file),
            "parameters": sum(t.size for t in tensors_of(self.generator).values()),
            "backbone": "mean", "dim": DIM, "context_size": CONTEXT, "max_history": 7,
            "item_bias": False})
        self.assertGreaterEqual(first["created_at"],
                                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before)))
        self.assertEqual(self.put("b%20%C3%A9", file)["version"], 2)
        self.assertEqual(self.put("a", file)["version"], 1)
        listed = self.client.call("GET", "/collections/c/adapters")["adapters"]
        self.assertEqual([(a["name"], a["version"]) for a in listed], [("a", 1), ("b é", 2)])
        self.restart()
        self.assertEqual(self.client.call("GET", "/collections/c/adapters")["adapters"], listed)
        self.assertEqual(self.client.call("GET", "/collections/c/adapters/a"), listed[0])
        before = self.refine(history=[1, 2])
        self.put("a", file)
        self.assertEqual(self.client.call("GET", "/collections/c/adapters/a")["version"], 2)
        self.assertEqual(self.refine(history=[1, 2]), before)
        self.client.call("DELETE", "/collections/c/adapters/a")
        self.assertFails(404, "No adapter `a` found", "GET", "/collections/c/adapters/a")
        self.assertFails(404, "No adapter `a` found", "DELETE", "/collections/c/adapters/a")
        self.assertFails(404, "No adapter `a` found", "POST", "/collections/c/points/query",
                         {"query": {"refine": {"history": [1], "strategy": {"adapter": "a"}}}})
        self.restart()
        self.assertFails(404, "No adapter `a` found", "GET", "/collections/c/adapters/a")
        # With the collection its adapters go.
        self.client.call("DELETE", "/collections/c")
        self.create()
        self.assertEqual(self.client.call("GET", "/collections/c/adapters"), {"adapters": []})

    def test_limits(self):
        self.create()
        file = file_of(tensors_of(self.generator))
        for name in "abcd":
            self.put(name, file)
        self.assertFails(400, "adapters.count_max is 4", "PUT", "/collections/c/adapters/e", file)
        self.assertEqual(self.put("d", file)["version"], 2)
        self.client.call("DELETE", "/collections/c/adapters/b")
        self.assertEqual(self.put("e", file)["version"], 1)
        self.assertFails(400, "adapters.bytes_max is 65536", "PUT", "/collections/c/adapters/e",
                         bytes(64 * 1024 + 1))
        self.assertFails(422, "adapter_name: ", "PUT", "/collections/c/adapters/a%3Ab", file)
        self.assertFails(400, "the content type must be application/octet-stream", "PUT",
                         "/collections/c/adapters/a", {})
        self.assertFails(404, "doesn't exist", "PUT", "/collections/none/adapters/a", file)

    def test_bad_files_are_refused_with_a_reason(self):
        self.create()
        tensors = tensors_of(self.generator)
        good = file_of(tensors)
        self.put("a", good)
        kept = self.client.call("GET", "/collections/c/adapters/a")

        def changed(name, tensor):
            return file_of({**tensors, name: tensor})

        nan = tensors["gru.bias_hh"].copy()
        nan[3] = math.nan
        without = {name: tensor for name, tensor in tensors.items() if name != "fuse.norm.bias"}
        bad = {
            "too few for the length of its header": b"",
            "9223372036854775808 bytes": struct.pack("<Q", 1 << 63) + good[8:],
            "18446744073709551615 bytes": b"\xff" * 8 + good[8:],
            "ends within its header": good[:100],
            f"tensor '{list(tensors)[-1]}': reaches to byte": good[:-4],
            "not valid JSON": struct.pack("<Q", 4) + b"{{{{",
            "tensor 'wrong.name': is not a part": changed("wrong.name", nan * 0),
            "tensor 'fuse.norm.bias': is missing": file_of(without),
            "tensor 'gru.bias_hh': element 3 is not finite": changed("gru.bias_hh", nan),
            "tensor 'attention.norm.weight': has the shape [9], and needs [8]":
                changed("attention.norm.weight", numpy.ones(9)),
            "tensor 'filter.linear.weight': is for vectors of 4 values, and vector `` has 8":
                file_of(tensors_of(self.generator, dim=4)),
            "__metadata__.format: is missing": file_of(tensors, {"backbone": "mean"}),
            "__metadata__.backbone: 'x' is none of": file_of(tensors, backbone="x"),
            "__metadata__.item_bias": file_of(tensors, item_bias="1"),
            "tensor 'backbone.gru.weight_hh': is missing": file_of(tensors, backbone="gru4rec"),
            "bytes at the end of the file belong to no tensor": good + b"1234",
        }
        for text, file in bad.items():
            with self.subTest(text):
                self.assertFails(400, text, "PUT", "/collections/c/adapters/a", file)
        generator = random.Random(self.seed)
        for _ in range(200):
            file = bytearray(good)
            for _ in range(generator.randint(1, 4)):
                file[generator.randrange(len(file))] = generator.randrange(256)
            status, _ = self.client.raw("PUT", "/collections/c/adapters/fuzzed", bytes(file))
            self.assertIn(status, (200, 400))
        self.assertEqual(self.client.call("GET", "/collections/c/adapters/a"), kept)

    def test_an_adapter_fits_a_vector_of_the_collection(self):
        for distance in ("Euclid", "Manhattan"):
            self.client.call("PUT", f"/collections/{distance}",
                             {"vectors": {"size": DIM, "distance": distance}})
            self.assertFails(400, "adapters need Dot or Cosine", "PUT",
                             f"/collections/{distance}/adapters/a",
                             file_of(tensors_of(self.generator)))
        self.client.call("PUT", "/collections/Cosine",
                         {"vectors": {"size": DIM + 1, "distance": "Cosine"}})
        self.assertFails(400, "a bias needs the distance Dot", "PUT",
                         "/collections/Cosine/adapters/a",
                         file_of(tensors_of(self.generator), item_bias="last_dimension"))
        self.client.call("PUT", "/collections/named", {"vectors": {
            "text": {"size": 3, "distance": "Euclid"}, "items": {"size": DIM, "distance": "Dot"}}})
        self.put("a", file_of(tensors_of(self.generator)), "named")
        self.client.call("PUT", "/collections/named/points?wait=true", {"points": [
            {"id": i, "vector": {"text": [1, 2, i], "items": [i + d for d in range(DIM)]}}
            for i in range(9)]})
        result = self.refine(collection="named", history=[1, 2], limit=4, more={"using": "items"})
        self.assertEqual(len(result["points"]), 4)
        self.assertFails(400, "query.refine.strategy.adapter: it is for vectors of 8 values",
                         "POST", "/collections/named/points/query",
                         {"query": {"refine": {"history": [1], "strategy": {"adapter": "a"}}},
                          "using": "text"})
        for body, text in (({"history": []}, "query.refine.history: an adapter needs"),
                           ({}, "query.refine.history: an adapter needs"),
                           ({"history": [1], "query": [1, 2]}, "Vector dimension error"),
                           ({"history": [[1, 2]]}, "Vector dimension error")):
            self.assertFails(400, text, "POST", "/collections/named/points/query",
                             {"query": {"refine": {**body, "strategy": {"adapter": "a"}}},
                              "using": "items"})

    def test_acknowledged_uploads_survive_kill_9(self):
        self.create()
        files = [file_of(tensors_of(self.generator), max_history=str(1 + i)) for i in range(50)]
        state = {"version": 0, "sent": 0}

        def upload(client):
            while True:
                state["sent"] = state["version"] + 1
                file = files[state["sent"] % len(files)]
                try:
                    info = client.call("PUT", "/collections/c/adapters/a", file)
                except TesseraError as error:
                    state["unexpected"] = error if error.status != 0 else None
                    return
                state["version"] = info["version"]

        generator = random.Random(self.seed)
        for _ in range(max(1, CYCLES)):
            writer = threading.Thread(target=upload, args=(self.daemon.client(),), daemon=True)
            writer.start()
            time.sleep(generator.uniform(0.05, 0.4))
            self.daemon.kill()
            writer.join(60)
            self.assertIsNone(state.get("unexpected"))
            self.daemon.start()
            self.client = self.daemon.client()
            info = self.client.call("GET", "/collections/c/adapters/a")
            self.assertIn(info["version"], (state["version"], state["sent"]))
            self.assertEqual(info["max_history"], 1 + info["version"] % len(files))
            state["version"] = info["version"]
            self.refine(history=[1, 2, 3])
        print(f"{state['version']} uploads over {max(1, CYCLES)} kills")
        self.assertGreater(state["version"], CYCLES)


if __name__ == "__main__":
    unittest.main()
