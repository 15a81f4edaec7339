"""Sessions through the daemon: nothing is returned twice, whatever is restarted, killed or deleted
in between; feedback moves the query as its formula says; every wrong request is told what is wrong.
"""

import json
import math
import os
import random
import subprocess
import threading
import time
import unittest

from daemon import TESSERA, DaemonTest
from tessera_client import TesseraError

CYCLES = int(os.environ.get("TESSERA_CRASH_CYCLES", "20")) // 4
DIM = 8
GROUPS = 4
ITEMS = 400
UNKNOWN = "0123456789abcdef0123456789abcdef"


def unit(values):
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values]


def item_vector(item):
    """Items are around one of GROUPS corners."""
    generator = random.Random(item)
    values = [generator.uniform(-0.4, 0.4) for _ in range(DIM)]
    values[item % GROUPS] += 1
    return unit(values)


def ids_of(answer):
    return [point["id"] for point in answer["points"]]


class SessionTest(DaemonTest):
    settings = ("index.build_idle_ms=0",)

    def create(self, name="c", items=ITEMS):
        self.client.call("PUT", f"/collections/{name}",
                         {"vectors": {"size": DIM, "distance": "Cosine"}})
        self.client.upsert(name, list(range(items)), [item_vector(i) for i in range(items)],
                           [{"group": i % GROUPS, "odd": bool(i % 2)} for i in range(items)])

    def train(self):
        job = self.client.call("POST", "/collections/c/clusters", {"count": GROUPS})["job"]
        while self.client.call("GET", f"/jobs/{job}")["state"] in ("queued", "running"):
            time.sleep(0.01)

    def start(self, query, limit=10, **more):
        return self.client.call("POST", "/collections/c/sessions",
                                {"query": query, "limit": limit, "params": {"exact": True}, **more})

    def next(self, session, **body):
        return self.client.call("POST", f"/collections/c/sessions/{session}/next", body)

    def get(self, session, parameters=""):
        return self.client.call("GET", f"/collections/c/sessions/{session}{parameters}")

    def change(self, session, what):
        return self.client.call("POST", f"/collections/c/sessions/{session}/{what}")

    def count(self):
        return self.client.call("GET", "/collections/c/sessions")["count"]


class Rounds(SessionTest):
    def test_rounds_page_through_everything_once(self):
        self.create(items=95)
        query = item_vector(1000)
        plain = self.client.query("c", {"query": query, "limit": 95, "params": {"exact": True}})
        answer = self.start(query)
        session, seen = answer["session"], ids_of(answer)
        self.assertEqual((answer["round"], answer["returned"], answer["shift"]), (1, 10, 1))
        self.assertEqual(answer["points"][0]["score"], plain["points"][0]["score"])
        self.assertEqual(answer["points"][0]["round"], 1)
        for number in range(2, 12):
            answer = self.next(session)
            self.assertEqual((answer["round"], answer["shift"]), (number, 1))
            seen += ids_of(answer)
        self.assertEqual(seen, ids_of(plain))
        self.assertEqual(len(ids_of(self.next(session))), 0)

    def test_feedback_moves_the_query_by_rocchio(self):
        self.create()
        query = item_vector(1000)
        answer = self.start(query, limit=5, strategy={"rocchio": {"alpha": 1, "beta": 0.5,
                                                                 "gamma": 0.25}})
        session, ids = answer["session"], ids_of(answer)
        liked, disliked = ids[:2], ids[2:3]
        answer = self.next(session, feedback={"positive": liked, "negative": disliked})
        mean = [sum(item_vector(i)[d] for i in liked) / len(liked) for d in range(DIM)]
        moved = unit([q + 0.5 * m - 0.25 * n
                      for q, m, n in zip(query, mean, item_vector(disliked[0]))])
        self.assertAlmostEqual(answer["shift"], sum(a * b for a, b in zip(moved, query)), places=5)
        ranked = sorted((i for i in range(ITEMS) if i not in ids),
                        key=lambda i: -sum(a * b for a, b in zip(moved, item_vector(i))))
        self.assertEqual(ids_of(answer), ranked[:5])
        info = self.get(session, "?with_vectors=true")
        for found, expected in zip(info["rounds"][1]["vector"], moved):
            self.assertAlmostEqual(found, expected, places=5)
        self.assertEqual(info["rounds"][1]["feedback"],
                         [{"id": i, "score": 1} for i in liked] +
                         [{"id": disliked[0], "score": -1}])
        self.assertEqual([r["points"] for r in info["rounds"]], [ids, ids_of(answer)])
        self.assertNotIn("vector", self.get(session)["rounds"][1])
        # Without new feedback: the next page of the same vector.
        self.assertEqual(ids_of(self.next(session)), ranked[5:10])

    def test_undo_and_reset_leave_no_trace(self):
        self.create()
        first = self.start(item_vector(1000), limit=6)
        session = first["session"]
        second = self.next(session, feedback={"positive": ids_of(first)[:2]})
        third = self.next(session, feedback={"negative": ids_of(second)[:3]})
        info = self.change(session, "undo")
        self.assertEqual((info["round"], info["returned"]), (2, 12))
        again = self.next(session, feedback={"negative": ids_of(second)[:3]})
        self.assertEqual(ids_of(again), ids_of(third))
        self.change(session, "undo")
        plain = self.next(session)
        self.assertNotEqual(ids_of(plain), ids_of(third))
        info = self.change(session, "reset")
        self.assertEqual((info["round"], info["returned"], info["rounds"]), (0, 0, []))
        self.assertFails(400, "has no round to take back", "POST",
                         f"/collections/c/sessions/{session}/undo")
        self.assertFails(400, "was not returned by this session", "POST",
                         f"/collections/c/sessions/{session}/next",
                         {"feedback": {"positive": ids_of(first)[:1]}})
        answer = self.next(session)
        self.assertEqual((answer["round"], ids_of(answer)), (1, ids_of(first)))

    def test_a_filter_a_point_as_query_and_what_is_shown_stay_for_the_session(self):
        self.create()
        answer = self.start(8, limit=7, with_payload=["odd"], with_vector=True,
                            filter={"must": [{"key": "odd", "match": {"value": False}}]})
        session, seen = answer["session"], []
        self.restart()
        for _ in range(4):
            for point in answer["points"]:
                self.assertEqual(point["payload"], {"odd": False})
                self.assertEqual(len(point["vector"]), DIM)
                self.assertNotEqual(point["id"], 8)
            seen += ids_of(answer)
            answer = self.next(session)
        self.assertEqual(len(set(seen)), 28)

    def test_deleted_points_do_not_appear_and_reinserted_ones_do_not_again(self):
        self.create()
        answer = self.start(item_vector(1000))
        session, first = answer["session"], ids_of(answer)
        upcoming = ids_of(self.next(session))
        self.change(session, "undo")
        points = "/collections/c/points"
        self.client.call("POST", points + "/delete?wait=true", {"points": first + upcoming[:3]})
        self.client.upsert("c", first, [item_vector(i) for i in first])
        seen = set(first)
        for _ in range(10):
            ids = ids_of(self.next(session))
            self.assertEqual(len(ids), 10)
            self.assertFalse(seen & set(ids))
            self.assertFalse(set(upcoming[:3]) & set(ids))
            seen |= set(ids)
        # Nor after a restart, when slots may be other ones, and where feedback's point is gone.
        self.client.call("POST", points + "/delete?wait=true", {"points": first[:5]})
        self.restart()
        self.client.upsert("c", first[:5], [item_vector(i) for i in first[:5]])
        ids = ids_of(self.next(session, feedback={"positive": upcoming[:0] + first[:1]}))
        self.assertFalse(seen & set(ids))

    def test_all_strategies_go_on_without_repeats(self):
        self.create()
        for strategy in ({"rocchio": {}}, {"relevance_feedback": {"a": 1, "b": 1, "c": 0.3}},
                         {"explore": {"beta": 0.4}}, {"attention": {"gamma": 0.3}}, None):
            answer = self.start(item_vector(1000), limit=8, strategy=strategy)
            seen, shifts = ids_of(answer), []
            for _ in range(4):
                ids = ids_of(answer)
                answer = self.next(answer["session"], feedback={
                    "positive": ids[:1], "negative": ids[1:2],
                    "scores": [{"id": ids[2], "score": 0.5}]})
                seen += ids_of(answer)
                shifts.append(answer["shift"])
            self.assertEqual(len(set(seen)), 40, strategy)
            self.assertLess(min(shifts), 0.9999, strategy)

    def test_works_for_documents(self):
        """Feedback finds the rest of a group that the query only touches."""
        self.create()
        query = unit([1, 0.9, 0, 0, 0, 0, 0, 0])
        answer = self.start(query, limit=20)
        liked = [p for p in ids_of(answer) if p % GROUPS == 1]
        disliked = [p for p in ids_of(answer) if p % GROUPS == 0]
        self.assertTrue(liked and disliked)
        judged = self.next(answer["session"], feedback={"positive": liked, "negative": disliked})
        self.change(answer["session"], "undo")
        unjudged = self.next(answer["session"])

        def hits(round_answer):
            return sum(i % GROUPS == 1 for i in ids_of(round_answer))
        self.assertGreater(hits(judged), hits(unjudged))


class Interests(SessionTest):
    def test_the_first_round_is_the_query_and_feedback_moves_the_weights(self):
        self.create()
        self.train()
        interests = {"history": [0, 4, 8, 12, 1, 5, 2], "max_components": 3}
        plain = self.client.query("c", {"query": {"interests": interests}, "limit": 21,
                                        "params": {"exact": True}})
        answer = self.start({"interests": interests}, limit=21)
        self.assertEqual(ids_of(answer), ids_of(plain))
        self.assertEqual([(i["quota"], i["cluster"], i["medoid"]) for i in answer["interests"]],
                         [(i["quota"], i["cluster"], i["medoid"]) for i in plain["interests"]])
        session, seen = answer["session"], set(ids_of(answer))
        before = {i["component"]: i["weight"] for i in answer["interests"]}
        liked = [p["id"] for p in answer["points"] if p["interest"]["component"] == 1]
        disliked = [p["id"] for p in answer["points"] if p["interest"]["component"] == 0]
        answer = self.next(session, feedback={"positive": liked, "negative": disliked})
        after = {i["component"]: i for i in answer["interests"]}
        self.assertGreater(after[1]["weight"], before[1])
        self.assertLess(after[0]["weight"], before[0])
        self.assertAlmostEqual(sum(i["weight"] for i in after.values()), 1)
        self.assertEqual(sum(i["quota"] for i in after.values()), 21)
        raw = {0: before[0] / (2 + len(disliked)),
               1: before[1] * (1 + len(liked)) / (2 + len(liked)), 2: before[2] / 2}
        for component, weight in raw.items():
            self.assertAlmostEqual(after[component]["weight"], weight / sum(raw.values()), places=6)
        self.assertLess(after[1]["shift"], 1)
        self.assertEqual(after[2]["shift"], 1)
        self.assertFalse(seen & set(ids_of(answer)))
        self.assertFalse({0, 4, 8, 12, 1, 5, 2} & set(ids_of(answer)))
        info = self.get(session, "?with_vectors=true")
        self.assertEqual(len(info["rounds"][1]["interests"][0]["vector"]), DIM)
        self.assertNotEqual(info["rounds"][0]["interests"][0]["vector"],
                            info["rounds"][1]["interests"][0]["vector"])

    def test_a_stored_users_history_stays_out_also_what_comes_meanwhile(self):
        self.create()
        self.train()
        users = "/collections/c/users"
        self.client.call("PUT", users, {"users": [{"id": "u", "history": [0, 4, 1]}]})
        answer = self.start({"interests": {"user": "u"}}, limit=10)
        session = answer["session"]
        coming = ids_of(self.next(session))
        self.change(session, "undo")
        self.client.call("POST", users + "/u/events?wait=true", {"events": coming[:4]})
        self.restart()
        out = {0, 4, 1} | set(coming[:4]) | set(ids_of(answer))
        for _ in range(5):
            ids = set(ids_of(self.next(session)))
            self.assertFalse(out & ids)
            out |= ids
        self.client.call("DELETE", users + "/u?wait=true")
        self.assertFails(404, "There is no such session", "POST",
                         f"/collections/c/sessions/{session}/next", {})

    def test_every_round_is_a_page_of_its_own_also_after_a_restart(self):
        self.create()
        self.train()
        plain = {"history": [0, 4, 1], "max_components": 3, "blend": 0.5,
                 "blend_with": "history", "quota_power": 1.5}
        paged = plain | {"page": 9, "page_blend": 0.1, "diversity": {"mmr": {"lambda": 0.3}}}
        query = self.client.query("c", {"query": {"interests": paged}, "limit": 20,
                                        "params": {"exact": True}})
        sessions = [self.start({"interests": interests}, limit=20)
                    for interests in (paged, paged, plain)]
        self.assertEqual(ids_of(sessions[0]), ids_of(query))
        self.assertNotEqual(ids_of(sessions[2]), ids_of(query))
        scores = [point["score"] for point in query["points"]]
        self.assertEqual(scores[9:], sorted(scores[9:], reverse=True))
        before = self.next(sessions[0]["session"])
        self.restart()
        after, unpaged = (self.next(answer["session"]) for answer in sessions[1:])
        self.assertEqual(ids_of(after), ids_of(before))
        self.assertEqual(set(ids_of(after)), set(ids_of(unpaged)))
        self.assertNotEqual(ids_of(after), ids_of(unpaged))
        # Asked for again, a round is what it was, places within the interests too.
        again = self.next(sessions[1]["session"], round=2)
        self.assertEqual(again["points"], after["points"])
        ranks = {point["id"]: point["interest"]["rank"] for point in after["points"]}
        self.assertEqual(ranks, {point["id"]: point["interest"]["rank"]
                                 for point in unpaged["points"]})

    def test_how_a_page_was_arranged_does_not_change_what_comes_next(self):
        self.create()
        self.train()
        plain = {"history": [0, 4, 1], "max_components": 3}
        paged = plain | {"page": 20, "diversity": {"mmr": {"lambda": 0.3}}}
        # Pairs of equal scores are those of the first and the last hits.
        strategy = {"relevance_feedback": {"a": 1, "b": 1, "c": 1}}
        answers = [self.start({"interests": interests}, limit=20, strategy=strategy)
                   for interests in (plain, paged)]
        self.assertNotEqual(ids_of(answers[0]), ids_of(answers[1]))
        liked, disliked = sorted(ids_of(answers[0]))[:9], sorted(ids_of(answers[0]))[9:]
        moved = [self.next(answer["session"], feedback={"positive": liked, "negative": disliked})
                 for answer in answers]
        self.assertLess(moved[0]["shift"], 1)
        self.assertEqual(moved[0]["shift"], moved[1]["shift"])
        self.assertEqual(set(ids_of(moved[0])), set(ids_of(moved[1])))

    def test_components_keep_their_filters_and_clusters_may_be_trained_again(self):
        self.create()
        self.train()
        components = [{"vector": item_vector(0), "filter": {"must": [
                          {"key": "odd", "match": {"value": False}}]}},
                      {"vector": item_vector(1), "weight": 2}]
        answer = self.start({"interests": {"components": components}}, limit=12)
        self.restart()
        for _ in range(3):
            for point in answer["points"]:
                if point["interest"]["component"] == 0:
                    self.assertEqual(point["id"] % 2, 0)
            answer = self.next(answer["session"])
        answer = self.start({"interests": {"history": [0, 4, 1], "scope": "cluster"}}, limit=12)
        self.train()
        again = self.next(answer["session"])
        self.assertEqual(len(again["points"]), 12)
        self.assertEqual({p["id"] % GROUPS for p in again["points"]}, {0, 1})


class Lasting(SessionTest):
    def test_a_session_goes_on_after_a_restart_and_an_answer_can_be_had_again(self):
        self.create()
        first = self.start(item_vector(1000))
        session = first["session"]
        body = {"round": 2, "feedback": {"positive": ids_of(first)[:3]}}
        second = self.next(session, **body)
        self.restart()
        repeated = self.next(session, **body)
        for answer in (second, repeated):
            answer.pop("expires_at")
        self.assertEqual(repeated, second)
        self.assertEqual(self.get(session)["round"], 2)
        third = self.next(session, round=3)
        self.assertEqual(len(set(ids_of(first) + ids_of(second) + ids_of(third))), 30)

    def test_killed_at_any_moment_nothing_acknowledged_is_lost_or_repeated(self):
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"seed {seed}", flush=True)
        generator = random.Random(seed)
        self.create()
        ledgers = []
        for i in range(4):
            answer = self.start(item_vector(1000 + i), limit=3)
            ledgers.append({"session": answer["session"], "rounds": [ids_of(answer)],
                            "feedback": [[]]})
        refused = []
        for _ in range(CYCLES):
            stop = threading.Event()

            def work(ledger, own):
                client = self.daemon.client()
                while not stop.is_set() and len(ledger["rounds"]) < 100:
                    number = len(ledger["rounds"]) + 1
                    liked = own.sample(ledger["rounds"][-1], min(1, len(ledger["rounds"][-1])))
                    ledger["sent"] = (number, liked)
                    try:
                        answer = client.call(
                            "POST", f"/collections/c/sessions/{ledger['session']}/next",
                            {"round": number, "feedback": {"positive": liked}})
                    except (TesseraError, OSError) as error:
                        # Only a connection that ended with the daemon is no answer.
                        if getattr(error, "status", 0) != 0:
                            refused.append(str(error))
                        return
                    ledger["rounds"].append(ids_of(answer))
                    ledger["feedback"].append(liked)
            threads = [threading.Thread(target=work,
                                        args=(ledger, random.Random(generator.random())))
                       for ledger in ledgers]
            for thread in threads:
                thread.start()
            time.sleep(generator.uniform(0.05, 0.4))
            self.daemon.kill()
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(refused, [])
            self.daemon.start()
            self.client = self.daemon.client()
            for ledger in ledgers:
                stored = [r["points"] for r in self.get(ledger["session"])["rounds"]]
                known = len(ledger["rounds"])
                self.assertEqual(stored[:known], ledger["rounds"])
                # The round that was under way is there as a whole, or it is not.
                self.assertLessEqual(len(stored), known + 1)
                if len(stored) == known + 1:
                    number, liked = ledger["sent"]
                    self.assertEqual(number, known + 1)
                    answer = self.next(ledger["session"], round=number,
                                       feedback={"positive": liked})
                    self.assertEqual(ids_of(answer), stored[-1])
                    ledger["rounds"].append(stored[-1])
                    ledger["feedback"].append(liked)
                ids = [i for r in ledger["rounds"] for i in r]
                self.assertEqual(len(ids), len(set(ids)), "a point was returned twice")
        self.daemon.stop()
        report = json.loads(subprocess.run(
            [TESSERA, "--json", "verify", "--data", str(self.daemon.data)], check=True,
            capture_output=True).stdout)
        self.assertEqual((report["errors"], report["sessions"]), (0, 4))

    def test_calls_at_once_on_one_session_follow_each_other(self):
        self.create()
        session = self.start(item_vector(1000), limit=5)["session"]
        answers, lock = [], threading.Lock()

        def work():
            client = self.daemon.client()
            for _ in range(8):
                answer = client.call("POST", f"/collections/c/sessions/{session}/next", {})
                with lock:
                    answers.append(answer)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(a["round"] for a in answers), list(range(2, 50)))
        ids = [i for a in answers for i in ids_of(a)]
        self.assertEqual(len(ids), len(set(ids)))

    def test_sessions_end_with_the_collection_and_when_deleted(self):
        self.create()
        sessions = [self.start(0)["session"] for _ in range(3)]
        self.assertEqual(len(set(sessions)), 3)
        self.assertEqual(self.count(), 3)
        self.assertIs(self.client.call("DELETE", f"/collections/c/sessions/{sessions[0]}"), True)
        self.assertEqual(self.count(), 2)
        status, metrics = self.client.raw("GET", "/metrics")
        self.assertIn(b"tessera_sessions_open 2", metrics)
        self.client.call("DELETE", "/collections/c")
        self.create()
        self.assertEqual(self.count(), 0)
        for session in sessions:
            self.assertFails(404, "There is no such session", "GET",
                             f"/collections/c/sessions/{session}")
        # A session is of its collection only.
        session = self.start(0)["session"]
        self.create("d")
        self.assertFails(404, "There is no such session", "GET",
                         f"/collections/d/sessions/{session}")


class Limits(SessionTest):
    settings = ("index.build_idle_ms=0", "sessions.count_max=3", "sessions.round_count_max=4",
                "sessions.returned_count_max=50", "sessions.ttl_s_max=600",
                "sessions.bytes_max=4KiB")

    def test_a_session_ends_with_its_time(self):
        self.create()
        kept = self.start(0, ttl="10m")
        short = self.start(0, ttl=1)["session"]
        self.assertEqual(self.get(kept["session"])["ttl"], 600)
        deadline = time.monotonic() + 30
        while self.client.raw("GET", f"/collections/c/sessions/{short}")[0] == 200:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        for method, path in (("POST", "/next"), ("POST", "/undo"), ("POST", "/reset"),
                             ("DELETE", ""), ("GET", "")):
            self.assertFails(404, "There is no such session", method,
                             f"/collections/c/sessions/{short}{path}")
        self.assertEqual(self.count(), 1)
        self.restart()
        self.assertEqual(self.count(), 1)

    def test_limits_are_kept_and_named(self):
        self.create()
        self.assertFails(400, "ttl: 601 seconds are more than the 600 that sessions.ttl_s_max",
                         "POST", "/collections/c/sessions", {"query": 0, "ttl": 601})
        self.assertFails(400, "limit: 51 points", "POST", "/collections/c/sessions",
                         {"query": 0, "limit": 51})
        self.assertFails(400, "sessions.bytes_max", "POST", "/collections/c/sessions",
                         {"query": 0, "filter": {"must": [{"has_id": list(range(2000))}]}})
        sessions = [self.start(0)["session"] for _ in range(3)]
        self.assertFails(429, "sessions.count_max", "POST", "/collections/c/sessions", {"query": 0})
        for _ in range(3):
            self.next(sessions[0])
        next_path = f"/collections/c/sessions/{sessions[0]}/next"
        self.assertFails(400, "sessions.round_count_max", "POST", next_path, {})
        next_path = f"/collections/c/sessions/{sessions[1]}/next"
        self.assertFails(400, "limit: 41 points", "POST", next_path, {"limit": 41})
        self.next(sessions[1], limit=40)
        self.assertFails(400, "sessions.returned_count_max", "POST", next_path, {"limit": 1})
        self.change(sessions[1], "undo")
        self.next(sessions[1], limit=5)


class WrongRequests(SessionTest):
    def test_each_is_told_what_is_wrong(self):
        self.create()
        self.train()
        start = "/collections/c/sessions"
        session = self.start(0, limit=3)["session"]
        known = self.get(session)["rounds"][0]["points"]
        following = f"{start}/{session}/next"
        million = list(range(1_000_000))
        for status, text, body in (
                (400, "query", {}),
                (400, "query: expected", {"query": True}),
                (400, "exactly one of `nearest` and `interests`", {"query": {}}),
                (400, "unknown field", {"query": {"recommend": {"positive": [1]}}}),
                (404, "No point with id 4711 found", {"query": 4711}),
                (400, "expected dim: 8, got 2", {"query": [1, 2]}),
                (400, "Not existing vector name error: x", {"query": 0, "using": "x"}),
                (422, "limit: value 0 invalid, must be 1 or larger", {"query": 0, "limit": 0}),
                (400, "limit", {"query": 0, "limit": -1}),
                (422, "ttl: value 0.0 invalid", {"query": 0, "ttl": 0}),
                (400, "ttl", {"query": 0, "ttl": "soon"}),
                (400, "sessions.ttl_s_max", {"query": 0, "ttl": "9000d"}),
                (400, "bogus", {"query": 0, "bogus": 1}),
                (400, "strategy", {"query": 0, "strategy": {}}),
                (400, "strategy", {"query": 0, "strategy": {"rocchio": {}, "explore": {}}}),
                (400, "magic", {"query": 0, "strategy": {"magic": {}}}),
                (422, "strategy.rocchio.gamma", {"query": 0,
                                                 "strategy": {"rocchio": {"gamma": -1}}}),
                (422, "strategy.rocchio", {"query": 0,
                                           "strategy": {"rocchio": {"alpha": 0, "beta": 0}}}),
                (400, "strategy.relevance_feedback", {"query": 0,
                                                      "strategy": {"relevance_feedback": {}}}),
                (422, "strategy.relevance_feedback.b", {"query": 0, "strategy": {
                    "relevance_feedback": {"a": 1, "b": -1, "c": 1}}}),
                (422, "strategy.attention.temperature", {"query": 0, "strategy": {
                    "attention": {"temperature": 0}}}),
                (404, "No adapter `sasrec` found", {"query": 0,
                                                   "strategy": {"adapter": "sasrec"}}),
                (400, "query.interests.diversity", {"query": {"interests": {
                    "history": [1], "diversity": {"mmr": {}}}}}),
                (404, "No user with id nobody found", {"query": {"interests": {"user": "nobody"}}}),
                (400, "filter", {"query": 0, "filter": {"never": []}}),
                (501, "shard_key", {"query": 0, "shard_key": "a"}),
        ):
            with self.subTest(body=body):
                self.assertFails(status, text, "POST", start, body)
        for status, text, body in (
                (400, "feedback.positive[1]: point 77 was not returned by this session",
                 {"feedback": {"positive": [known[0], 77]}}),
                (400, "feedback.negative[0]: point 4711", {"feedback": {"negative": [4711]}}),
                (400, "feedback.scores[0]: point 77",
                 {"feedback": {"scores": [{"id": 77, "score": 1}]}}),
                (400, f"feedback.negative[0]: point {known[0]} is given twice",
                 {"feedback": {"positive": known[:1], "negative": known[:1]}}),
                (422, "feedback.positive: length 1000000", {"feedback": {"positive": million}}),
                (422, "feedback.scores[0].score", {"feedback": {
                    "scores": [{"id": known[0], "score": 1e7}]}}),
                (400, "feedback.scores[0]", {"feedback": {"scores": [{"id": known[0]}]}}),
                (400, "feedback.positive[0]", {"feedback": {"positive": ["x"]}}),
                (400, "feedback: unknown field `liked`", {"feedback": {"liked": []}}),
                (400, "feedback", {"feedback": []}),
                (422, "limit: value 0 invalid", {"limit": 0}),
                (400, "limit: ", {"limit": 10 ** 6}),
                (422, "round: value 0 invalid", {"round": 0}),
                (409, "round: the session has had 1 rounds, so this call cannot make round 1000000",
                 {"round": 10 ** 6}),
                (409, "round: round 1 was made with other feedback or another limit",
                 {"round": 1, "limit": 7}),
                (400, "bogus", {"bogus": 1}),
        ):
            with self.subTest(body=str(body)[:80]):
                self.assertFails(status, text, "POST", following, body)
        for unknown in (UNKNOWN, "x", session[:-1], session.upper() + "0", "%20"):
            for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/next"), ("POST", "/undo"),
                                 ("POST", "/reset")):
                self.assertFails(404, "There is no such session", method,
                                 f"{start}/{unknown}{path}")
        self.assertFails(404, "doesn't exist", "POST", "/collections/none/sessions", {"query": 0})
        self.assertFails(404, "doesn't exist", "GET", f"/collections/none/sessions/{session}")
        self.assertFails(400, "with_vectors", "GET", f"{start}/{session}?with_vectors=maybe")
        # None of them left anything behind.
        self.assertEqual(self.count(), 1)
        self.assertEqual(self.get(session)["round"], 1)

    def test_pairs_need_a_similarity(self):
        self.client.call("PUT", "/collections/e", {"vectors": {"size": 2, "distance": "Euclid"}})
        self.client.upsert("e", [1], [[1, 2]])
        self.assertFails(400, "strategy.relevance_feedback: needs vectors compared by Cosine or "
                              "Dot",
                         "POST", "/collections/e/sessions", {"query": [1, 2], "strategy": {
                             "relevance_feedback": {"a": 1, "b": 1, "c": 1}}})


if __name__ == "__main__":
    unittest.main()
