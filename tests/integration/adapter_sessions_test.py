"""Sessions by a trained adapter: without a word from the person they are the rounds of a
refinement, with feedback those of the formulas, over restarts and deletions of items."""

import unittest

from adapters_test import DIM, ITEMS, Reference, file_of, tensors_of
from daemon import DaemonTest

import numpy

SEED = 23
ROUND = 5  # As many as an adapter of tensors_of() reads.


class AdapterSessions(DaemonTest):
    settings = ("index.build_idle_ms=0",)

    def setUp(self):
        super().setUp()
        self.generator = numpy.random.default_rng(SEED)
        print("seed", SEED)

    def create(self, backbone="gru4rec"):
        self.client.call("PUT", "/collections/c", {"vectors": {"size": DIM, "distance": "Dot"}})
        items = self.generator.standard_normal((ITEMS, DIM)).astype("f4")
        self.client.upsert("c", list(range(ITEMS)), items.tolist())
        tensors = tensors_of(self.generator, backbone=backbone)
        self.client.call("PUT", "/collections/c/adapters/a", file_of(tensors, backbone=backbone))
        return items.astype(float), Reference(tensors, backbone)

    def start(self, **body):
        return self.client.call("POST", "/collections/c/sessions?wait=true", {
            "strategy": {"adapter": "a"}, "limit": ROUND, "params": {"exact": True}, **body})

    def next(self, session, **body):
        return self.client.call("POST", f"/collections/c/sessions/{session}/next?wait=true", body)

    def ids(self, answer):
        return [point["id"] for point in answer["points"]]

    def test_without_feedback_they_are_the_rounds_of_a_refinement(self):
        self.create()
        query = self.generator.standard_normal(DIM).tolist()
        self.client.call("PUT", "/collections/c/users?wait=true",
                         {"users": [{"id": "u", "history": [3, 8, 5]}]})
        for question in ({"history": [17, 9, 23]}, {"user": "u"},
                         {"history": [17, 9], "query": query},
                         {"history": [17, 9], "exclude_history": False}):
            with self.subTest(question=question):
                expected = self.client.query("c", {
                    "query": {"refine": {"strategy": {"adapter": "a"}, "rounds": 4, **question}},
                    "limit": 4 * ROUND, "params": {"exact": True}})
                answer = self.start(**question)
                found, shifts = self.ids(answer), [answer["shift"]]
                for number in range(3):
                    if number == 1:
                        self.daemon.restart()
                        self.client = self.daemon.client()
                    answer = self.next(answer["session"])
                    found += self.ids(answer)
                    shifts.append(answer["shift"])
                self.assertEqual(found, self.ids(expected))
                for shift, report in zip(shifts, expected["rounds"], strict=True):
                    self.assertAlmostEqual(shift, report["shift"], places=5)

    def test_feedback_changes_history_and_context(self):
        items, reference = self.create()
        history = [40, 41, 42]
        answer = self.start(history=history)
        returned, vectors, contexts = [], [], []
        liked, disliked = [], set()
        for number in range(4):
            d = items[history + liked]
            if number:
                contexts.append(items[[i for i in self.ids(answer) if i not in disliked]])
            vectors.append(reference.vector(d, contexts, vectors))
            if number:
                answer = self.next(answer["session"], feedback=feedback)
            scores = items @ vectors[-1]
            scores[history + returned] = -numpy.inf
            expected = [int(i) for i in numpy.argsort(-scores, kind="stable")[:ROUND]]
            self.assertEqual(self.ids(answer), expected, number)
            returned += expected
            # Said of this round, it counts from the next one on.
            feedback = {"positive": expected[1:3], "negative": expected[:1]}
            liked = liked + expected[1:3]
            disliked = set(expected[:1])
        info = self.client.call("GET", f"/collections/c/sessions/{answer['session']}"
                                       "?with_vectors=true")
        numpy.testing.assert_allclose(info["rounds"][-1]["vector"], vectors[-1], atol=1e-4)

    def test_what_is_gone_is_left_out(self):
        self.create()
        answer = self.start(history=[1, 2, 3])
        seen = set(self.ids(answer))
        self.client.call("POST", "/collections/c/points/delete?wait=true",
                         {"points": [2, *self.ids(answer)[:3]]})
        for _ in range(3):
            answer = self.next(answer["session"], feedback={"positive": self.ids(answer)[3:]})
            self.assertEqual(len(answer["points"]), ROUND)
            self.assertFalse(seen & set(self.ids(answer)))
            seen |= set(self.ids(answer))
        self.client.call("DELETE", "/collections/c/adapters/a")
        self.assertFails(404, "No adapter `a` found", "POST",
                         f"/collections/c/sessions/{answer['session']}/next", {})

    def test_wrong_beginnings_are_told(self):
        self.create()
        self.client.call("PUT", "/collections/c/users?wait=true", {"users": [{"id": "idle"}]})
        adapter = {"strategy": {"adapter": "a"}}
        for status, text, body in (
                (404, "No adapter `b` found", {"history": [1], "strategy": {"adapter": "b"}}),
                (400, "history", adapter),
                (400, "history", {**adapter, "history": []}),
                (404, "99999", {**adapter, "history": [99999]}),
                (404, "No user with id nobody found", {**adapter, "user": "nobody"}),
                (400, "user: idle has no events", {**adapter, "user": "idle"}),
                (400, "expected dim: 8, got 2", {**adapter, "history": [[1, 2]]}),
                (400, "query.interests", {**adapter, "query": {"interests": {"history": [1]}}}),
        ):
            with self.subTest(body=body):
                self.assertFails(status, text, "POST", "/collections/c/sessions", body)


if __name__ == "__main__":
    unittest.main()
