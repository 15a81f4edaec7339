"""Every wrong request gets a clear answer, and the daemon and its data stay as they were."""

import json
import socket
import unittest
import urllib.parse

from daemon import DaemonTest

GOOD = {"vectors": {"size": 4, "distance": "Dot"}}


class BadInput(DaemonTest):
    def setUp(self):
        super().setUp()
        self.client.call("PUT", "/collections/c", GOOD)
        self.client.upsert("c", [1, 2], [[1, 2, 3, 4], [4, 3, 2, 1]], [{"a": 1}, {"a": 2}])
        self.addCleanup(lambda: None)

    def tearDown(self):
        """Nothing was half-written, and the daemon goes on."""
        page = self.client.call("POST", "/collections/c/points/scroll", {"with_vector": True})
        self.assertEqual([(p["id"], p["payload"], p["vector"]) for p in page["points"]],
                         [(1, {"a": 1}, [1, 2, 3, 4]), (2, {"a": 2}, [4, 3, 2, 1])])
        self.assertIsNone(self.daemon.process.poll())

    def upsert(self, status, text, *points):
        self.assertFails(status, text, "PUT", "/collections/c/points?wait=true",
                         {"points": list(points)})

    def raw(self, method, path, body):
        """Sends these bytes as the body; status and text of the answer."""
        parts = urllib.parse.urlsplit(self.daemon.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
            head = (f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
            try:
                connection.sendall(head + body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # The daemon may answer before it has read everything.
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        self.assertTrue(answer, "the connection was closed without an answer")
        head, _, text = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), text.decode()

    def test_vectors(self):
        good = {"id": 9, "vector": [1, 1, 1, 1]}
        self.upsert(400, "Vector dimension error: expected dim: 4, got 3",
                    good, {"id": 3, "vector": [1, 2, 3]})
        self.upsert(422, "points[0].vector", {"id": 3, "vector": []})
        self.upsert(400, "Not existing vector name error: other",
                    good, {"id": 3, "vector": {"other": [1, 2, 3, 4]}})
        self.upsert(400, "points[0]", {"id": 3, "vector": "text"})
        self.upsert(400, "points[0]", {"id": 3, "vector": [1, 2, "3", 4]})
        for number in (b"1e39", b"NaN", b"Infinity", b"-1e400"):
            body = b'{"points":[{"id":3,"vector":[1,2,3,' + number + b']}]}'
            status, text = self.raw("PUT", "/collections/c/points?wait=true", body)
            self.assertEqual(status, 400, text)

    def test_ids(self):
        for bad in (-1, 1.5, "not-a-uuid", None, [1], 2**64):
            self.upsert(400, "points[0]", {"id": bad, "vector": [1, 2, 3, 4]})

    def test_collections(self):
        self.assertFails(404, "Collection `nope` doesn't exist!", "GET", "/collections/nope")
        self.assertFails(404, "Collection `nope` doesn't exist!", "PUT",
                         "/collections/nope/points", {"points": [{"id": 1, "vector": [1]}]})
        self.assertFails(409, "Collection `c` already exists!", "PUT", "/collections/c", GOOD)
        self.assertFails(422, "vectors.size: value 0 invalid, must be from 1 to 65536", "PUT",
                         "/collections/d", {"vectors": {"size": 0, "distance": "Dot"}})
        self.assertFails(400, "distance", "PUT", "/collections/d",
                         {"vectors": {"size": 4, "distance": "Hamming"}})
        self.assertEqual(self.client.call("GET", "/collections"), {"collections": [{"name": "c"}]})

    def test_interests_without_a_direction(self):
        self.client.call("PUT", "/collections/d", {"vectors": {"size": 4, "distance": "Cosine"}})
        self.client.upsert("d", [1], [[1, 2, 3, 4]])
        some, zeros = {"vector": [1, 2, 3, 4]}, [0, 0, 0, 0]
        for what, interests in (
                ("components[1]", {"components": [some, {"vector": zeros}]}),
                ("history[0]", {"history": [zeros]}),
                ("vector", {"components": [some], "vector": zeros})):
            for field, query in (("query", {"interests": interests}),
                                 ("query.refine.query",
                                  {"refine": {"query": {"interests": interests}}})):
                self.assertFails(400, f" {field}.interests.{what}: all values are 0", "POST",
                                 "/collections/d/points/query", {"query": query})

    def test_queries(self):
        def query(status, text, body):
            self.assertFails(status, text, "POST", "/collections/c/points/query", body)
        query(400, "expected dim: 4, got 2", {"query": [1, 2]})
        query(422, "limit: value 0 invalid, must be 1 or larger", {"query": [1, 2, 3, 4],
                                                                   "limit": 0})
        query(404, "No point with id 77 found", {"query": 77})
        query(400, "Not existing vector name error: v", {"query": [1, 2, 3, 4], "using": "v"})
        query(400, "", {"query": [1, 2, 3, 4], "filter": {"mist": []}})
        query(400, "clusters", {"query": {"interests": {"history": [1]}}})
        query(400, "query.interests.scope", {"query": {"interests": {
            "components": [{"vector": [1, 2, 3, 4]}], "scope": "cluster"}}})
        query(400, "query.interests.clustering", {"query": {"interests": {
            "components": [{"vector": [1, 2, 3, 4]}], "clustering": "ward"}}})
        query(400, "query.refine.query.interests.diversity", {"query": {"refine": {"query": {
            "interests": {"components": [{"vector": [1, 2, 3, 4]}], "diversity": {"mmr": {}}}}}}})
        query(400, "query.refine.query.interests.scope", {"query": {"refine": {"query": {
            "interests": {"components": [{"vector": [1, 2, 3, 4]}], "scope": "cluster"}}}}})
        query(400, "query.refine.query.interests.page_blend", {"limit": 10001, "query": {
            "refine": {"query": {"interests": {"components": [{"vector": [1, 2, 3, 4]}],
                                               "page": 5, "page_blend": 0.1}}}}})
        query(400, "query.interests.diversity.candidates", {"limit": 10001, "query": {"interests": {
            "components": [{"vector": [1, 2, 3, 4]}], "diversity": {"mmr": {}}}}})
        query(400, "Can't have a fusion without prefetches", {"query": {"fusion": "rrf"}})
        query(400, "Fusion queries cannot be combined with the 'using' field",
              {"query": {"fusion": "rrf"}, "using": "v", "prefetch": {"query": [1, 2, 3, 4]}})
        query(400, "Can't have prefetches without defining a query",
              {"prefetch": [{"query": [1, 2, 3, 4]}]})
        query(422, "internal.prefetch[1].limit: value 0 invalid, must be 1 or larger",
              {"query": {"fusion": "dbsf"}, "prefetch": [{"query": [1, 2, 3, 4]},
                                                         {"query": [1, 2, 3, 4], "limit": 0}]})
        query(422, "query.rrf.weights", {"query": {"rrf": {"weights": [1, 2]}},
                                         "prefetch": [{"query": [1, 2, 3, 4]}]})
        query(400, "expected dim: 4, got 2", {"query": [1, 2, 3, 4], "prefetch": {
            "query": {"fusion": "rrf"}, "prefetch": {"query": [1, 2]}}})
        query(404, "No point with id 77 found", {"query": [1, 2, 3, 4], "prefetch": {"query": 77}})
        query(422, "rounds", {"query": {"refine": {"query": [1, 2, 3, 4], "rounds": 0}}})
        query(422, "blend", {"query": {"interests": {"components": [
            {"vector": [1, 2, 3, 4], "weight": 1}], "blend": 2}}})
        query(400, "", {"query": {"interests": {"history": [1], "components": []},
                                  "refine": {}}})

    def test_bodies_that_are_no_json_or_too_deep(self):
        path = "/collections/c/points/query"
        for body in (b"", b"{", b"[]", b"nul", b'{"query": [1,2,3,4}', b'\xff\xfe{}',
                     b'{"limit": 01}', b'{"query":[1,2,3,4],"limit":3,"limit":4}'):
            status, text = self.raw("POST", path, body)
            self.assertEqual(status, 400, (body, text))
            self.assertIn("error", json.loads(text)["status"], body)
        for bomb in (b"[" * 1_000_000, b'{"a":' * 1_000_000,
                     b'{"points":[{"id":1,"vector":[1,2,3,4],"payload":{"a":' + b"[" * 1_000_000):
            status, text = self.raw("PUT", "/collections/c/points", bomb)
            self.assertEqual(status, 400, text[:200])
        nested = b'{"a":' * 40 + b"1" + b"}" * 40
        status, text = self.raw("PUT", "/collections/c/points?wait=true",
                                b'{"points":[{"id":1,"vector":[1,2,3,4],"payload":'
                                + b'{"x":' * 5000 + b"1" + b"}" * 5000 + b"}]}")
        self.assertEqual(status, 400, text[:200])
        self.assertLess(len(text), 4096, nested)

    def test_a_body_of_33_mib_is_refused_with_the_limit_named(self):
        status, text = self.raw("PUT", "/collections/c/points", b" " * (33 << 20))
        self.assertEqual(status, 413, text)
        self.assertIn("32", json.loads(text)["status"]["error"])
        self.assertEqual(self.client.call("POST", "/collections/c/points/count", {})["count"], 2)

    def test_bytes_that_are_no_http(self):
        parts = urllib.parse.urlsplit(self.daemon.url)
        for noise in (b"\x00\x01\x02\x03\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                      b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                      b"GET / HTTP/1.1\r\n" + b"a" * 100_000 + b": b\r\n\r\n"):
            with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
                try:
                    connection.sendall(noise)
                    answer = connection.recv(65536)
                except ConnectionResetError:
                    answer = b""
            if answer:
                self.assertIn(answer.split()[1][:1], (b"4", b"5"), noise[:40])

    def test_payload_changes_of_missing_points_say_so(self):
        self.assertFails(404, "No point with id 99 found", "POST",
                         "/collections/c/points/payload?wait=true",
                         {"payload": {"b": 1}, "points": [99]})


if __name__ == "__main__":
    unittest.main()
