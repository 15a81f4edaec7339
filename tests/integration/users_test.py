"""Stored users through the daemon: events count at once, nothing acknowledged is lost by kill -9,
who is deleted leaves nothing behind."""

import datetime
import json
import os
import random
import subprocess
import threading
import time
import unittest
import urllib.parse

from daemon import TESSERA, DaemonTest
from tessera_client import TesseraError

CYCLES = int(os.environ.get("TESSERA_CRASH_CYCLES", "20")) // 2
DIM = 8
GROUPS = 4
ITEMS = 200


def item_vector(item):
    """Items are around one of GROUPS corners."""
    generator = random.Random(item)
    values = [generator.uniform(-0.1, 0.1) for _ in range(DIM)]
    values[item % GROUPS] += 1
    return values


def path_of(user):
    return "/collections/c/users/" + urllib.parse.quote(str(user), safe="")


class Users(DaemonTest):
    settings = ("index.build_idle_ms=0",)

    def create(self, items=range(ITEMS)):
        self.client.call("PUT", "/collections/c", {"vectors": {"size": DIM, "distance": "Cosine"}})
        self.client.upsert("c", list(items), [item_vector(i) for i in items])

    def train(self):
        job = self.client.call("POST", "/collections/c/clusters", {"count": GROUPS})["job"]
        while self.client.call("GET", f"/jobs/{job}")["state"] in ("queued", "running"):
            time.sleep(0.01)

    def put(self, *users):
        self.client.call("PUT", "/collections/c/users?wait=true", {"users": list(users)})

    def append(self, user, events):
        self.client.call("POST", path_of(user) + "/events?wait=true", {"events": events})

    def query(self, limit=20, **interests):
        return self.client.query("c", {"query": {"interests": interests}, "limit": limit,
                                       "params": {"exact": True}})

    def test_a_stored_user_is_as_a_history_in_the_request(self):
        self.create()
        self.train()
        events = [{"id": i, "weight": 1 + i % 3, "at": 1_700_000_000 + i} for i in (0, 4, 8, 1, 5)]
        self.put({"id": "Zoë/1", "vector": item_vector(2), "history": events})
        for extra in ({}, {"half_life": 3}, {"blend": 0.5}, {"represent": "medoid"}):
            stored = self.query(user="Zoë/1", **extra)
            given = self.query(history=events, vector=item_vector(2), **extra)
            self.assertEqual(stored, given)
            self.assertFalse({0, 4, 8, 1, 5} & {p["id"] for p in stored["points"]})
        user = self.client.call("GET", path_of("Zoë/1"))
        self.assertEqual((user["id"], user["events"]), ("Zoë/1", 5))
        self.assertEqual([i["count"] for i in user["interests"]], [3, 2])
        self.assertAlmostEqual(sum(i["weight"] for i in user["interests"]), 1)
        self.assertEqual(set(user["interests"][0]["items"]), {0, 4, 8})
        self.assertIn(user["interests"][0]["medoid"], (0, 4, 8))
        restarted = self.query(user="Zoë/1")
        self.restart()
        self.assertEqual(self.query(user="Zoë/1"), restarted)
        self.assertEqual(self.client.call("GET", path_of("Zoë/1")), user)

    def test_events_count_at_once_whatever_becomes_of_their_items(self):
        self.create(range(1, ITEMS))
        self.train()
        self.append(7, [0, 5])
        interests = self.client.call("GET", path_of(7))["interests"]
        self.assertEqual([i["items"] for i in interests], [[5]], "item 0 is not there yet")
        self.client.upsert("c", [0], [item_vector(0)])
        interests = self.client.call("GET", path_of(7))["interests"]
        self.assertEqual(sorted(i["items"] for i in interests), [[0], [5]])
        self.client.call("POST", "/collections/c/points/delete?wait=true", {"points": [5]})
        interests = self.client.call("GET", path_of(7))["interests"]
        self.assertEqual([i["items"] for i in interests], [[0]])
        self.client.upsert("c", [0], [item_vector(3)])
        changed = self.client.call("GET", path_of(7))["interests"]
        self.assertNotEqual(changed[0]["cluster"], interests[0]["cluster"])
        self.append(7, [6])
        self.assertEqual(len(self.query(user=7)["interests"]), 2)
        self.assertEqual(self.client.call("GET", path_of(7))["events"], 3)

    def test_the_same_event_counts_once(self):
        self.create()
        event = {"id": 3, "at": "2026-01-05T10:00:00Z"}
        for _ in range(3):
            self.append("u", [event, event, {"id": 3, "at": "2026-01-05T11:00:00+01:00"}])
        page = self.client.call("GET", path_of("u") + "/events")
        self.assertEqual(page, {"events": [
            {"id": 3, "at": "2026-01-05T10:00:00.000000Z", "weight": 1.0}], "count": 1})
        self.append("u", [3, 3])
        page = self.client.call("GET", path_of("u") + "/events?limit=2")
        self.assertEqual(page["count"], 3, "events without a time are of the time of receipt")
        self.assertEqual([e["id"] for e in page["events"]], [3, 3])

    def test_users_without_events_or_vector(self):
        self.create()
        self.assertFails(404, "No user with id nobody found", "POST", "/collections/c/points/query",
                         {"query": {"interests": {"user": "nobody"}}})
        self.put({"id": "new"}, {"id": "seen", "vector": item_vector(2)})
        self.assertFails(400, "query.interests.user: user new has neither a vector nor events",
                         "POST", "/collections/c/points/query",
                         {"query": {"interests": {"user": "new"}}})
        self.append("new", [1])
        self.assertFails(400, "query.interests.user needs item clusters", "POST",
                         "/collections/c/points/query", {"query": {"interests": {"user": "new"}}})
        self.train()
        plain = self.client.query("c", {"query": item_vector(2), "limit": 20,
                                        "params": {"exact": True}})["points"]
        alone = self.query(user="seen")
        self.assertEqual([p["id"] for p in alone["points"]], [p["id"] for p in plain])
        self.assertEqual(len(alone["interests"]), 1)
        # Neighbours know more: a person without history is what they are.
        self.put({"id": 1, "vector": item_vector(2), "history": [0, 4, 1]},
                 {"id": 2, "vector": item_vector(3), "history": [3]})
        smoothed = self.query(user="seen", smoothing={"neighbors": 1, "lambda": 0.5})
        self.assertEqual([round(i["weight"], 6) for i in smoothed["interests"]],
                         [0.666667, 0.333333])
        both = self.query(user=1, smoothing={"neighbors": 1000, "lambda": 0.5})
        weights = [round(i["weight"], 6) for i in both["interests"]]
        # new: item 1, 2: item 3, seen: nothing; new has no vector and is no neighbour.
        self.assertEqual(weights, [0.5, 0.333333, 0.166667])

    def test_chosen_events_go_and_no_others(self):
        self.create()
        self.train()
        events = [{"id": i, "at": 1000 + i} for i in range(300)] + [{"id": 4, "at": 9000},
                                                                     {"id": 4, "at": 9001}]
        self.put({"id": "u", "vector": item_vector(1), "history": events})
        remove = path_of("u") + "/events/delete?wait=true"
        self.client.call("POST", remove, {"events": [
            {"id": 4, "at": 9000}, {"id": 7, "at": 1007}, {"id": 8, "at": 1007}, 9,
            *({"id": i, "at": 1000 + i} for i in range(100, 290))]})
        left = {(e["id"], e["at"]) for e in events} - {(4, 9000), (7, 1007), (9, 1009)}
        left = sorted(key for key in left if not 1100 <= key[1] < 1290)
        for _ in range(2):
            page = self.client.call("GET", path_of("u") + "/events?limit=1000")
            self.assertEqual(page["count"], len(left))
            self.assertEqual(sorted((e["id"], int(
                datetime.datetime.fromisoformat(e["at"].replace("Z", "+00:00")).timestamp()))
                for e in page["events"]), left)
            self.restart()
        # Counts at once, and what was removed may come again.
        self.assertIn(7, {p["id"] for p in self.query(user="u", limit=200)["points"]})
        self.append("u", [{"id": 7, "at": 1007}])
        self.assertNotIn(7, {p["id"] for p in self.query(user="u", limit=200)["points"]})
        self.client.call("POST", remove, {"events": list(range(300))})
        self.assertEqual(self.client.call("GET", path_of("u"))["events"], 0)
        self.assertFails(404, "No user with id nobody found", "POST",
                         path_of("nobody") + "/events/delete", {"events": [1]})

    def test_a_blend_of_a_user_without_a_vector_is_one_with_the_history(self):
        self.create()
        self.train()
        self.put({"id": "u", "history": [0, 4, 8, 1, 5]})
        self.assertEqual(self.query(user="u", blend=0.5),
                         self.query(user="u", blend=0.5, blend_with="history"))
        # Where the request speaks for itself, a vector that is not there is a mistake.
        self.assertFails(400, "query.interests.blend_with", "POST", "/collections/c/points/query",
                         {"query": {"interests": {"history": [0, 4], "blend": 0.5}}})

    def test_a_vector_that_does_not_fit_is_named_with_its_user(self):
        self.create()
        self.assertFails(400, "users[1].vector (user Zoë): Vector dimension error: expected dim: 8,"
                              " got 2", "PUT", "/collections/c/users",
                         {"users": [{"id": 1, "vector": item_vector(1)},
                                    {"id": "Zoë", "vector": [1, 2]}]})
        self.assertEqual(self.client.call("POST", "/collections/c/users/count", {})["count"], 0)

    def test_deletion_leaves_nothing(self):
        self.create()
        self.put(*({"id": f"user {i}", "vector": item_vector(i), "history": list(range(i, i + 9))}
                   for i in range(30)))
        self.client.call("DELETE", path_of("user 3") + "?wait=true")
        self.client.call("POST", "/collections/c/users/delete?wait=true",
                         {"ids": ["user 4", "user 5", "nobody"]})
        for round_ in range(2):
            count = self.client.call("POST", "/collections/c/users/count", {})["count"]
            self.assertEqual(count, 27)
            for i in (3, 4, 5):
                self.assertFails(404, f"No user with id user {i} found", "GET",
                                 path_of(f"user {i}"))
            if round_ == 0:
                self.restart()
        self.append("user 3", [1])
        self.assertEqual(self.client.call("GET", path_of("user 3") + "/events")["count"], 1)
        self.assertEqual(self.verify()["events"], 27 * 9 + 1)
        self.assertEqual([c["name"] for c in
                          self.client.call("GET", "/collections")["collections"]], ["c"])
        self.client.call("DELETE", "/collections/c")
        self.create()
        self.assertEqual(self.client.call("POST", "/collections/c/users/count", {})["count"], 0)
        report = self.verify()
        self.assertEqual((report["events"], report["points"]), (0, ITEMS))

    def verify(self):
        """Of the data directory, with the daemon stopped meanwhile."""
        self.daemon.stop()
        checked = subprocess.run([TESSERA, "verify", "--json", "--data", str(self.daemon.data)],
                                 stdout=subprocess.PIPE, check=False)
        self.assertEqual(checked.returncode, 0, checked.stdout.decode())
        self.daemon.start()
        self.client = self.daemon.client()
        return json.loads(checked.stdout)

    def test_a_million_events_in_one_call(self):
        self.create()
        events = [i % ITEMS for i in range(1_000_000)]
        self.append("much", events)
        self.assertEqual(self.client.call("GET", path_of("much"))["events"], 1_000_000)
        page = self.client.call("GET", path_of("much") + "/events?limit=3&offset=999997")
        self.assertEqual([e["id"] for e in page["events"]], [2, 1, 0])
        self.assertFails(422, "a request with 1000001 events, at most 1000000", "POST",
                         path_of("much") + "/events", {"events": events + [1]})

    def test_acknowledged_events_survive_kill_9(self):
        seed = int(os.environ.get("TESSERA_SEED", time.time_ns() % 1_000_000))
        print(f"seed {seed} (TESSERA_SEED repeats it), {CYCLES} cycles")
        rng = random.Random(seed)
        self.create()
        ledger, total = {}, 0
        for cycle in range(CYCLES):
            writers = [Writer(self.daemon.client(), i, ledger, rng.random()) for i in range(3)]
            for writer in writers:
                writer.start()
            time.sleep(rng.uniform(0.05, 0.6))
            self.daemon.kill()
            for writer in writers:
                writer.join(60)
                self.assertIsNone(writer.unexpected)
                total += writer.acknowledged
            self.daemon.start()
            self.client = self.daemon.client()
            self.check(ledger, cycle)
        print(f"{total} acknowledged writes of users over {CYCLES} kills: none lost, none undone")
        self.assertGreater(total, CYCLES)
        self.verify()

    def check(self, ledger, cycle):
        """Each user is in the last acknowledged state or in the one that was on its way."""
        stored, offset = {}, None
        while True:
            page = self.client.call("POST", "/collections/c/users/scroll", {
                "limit": 50, **({} if offset is None else {"offset": offset})})
            stored.update((user["id"], user) for user in page["users"])
            offset = page["next_page_offset"]
            if offset is None:
                break
        for user, states in ledger.items():
            events = None
            if stored.pop(user, None) is not None:
                page = self.client.call("GET", path_of(user) + "/events?limit=100000")
                events = frozenset((e["id"], e["at"]) for e in page["events"])
                self.assertEqual(page["count"], len(events))
            self.assertIn(events, states, f"cycle {cycle}, user {user}")
            ledger[user] = [events]
        self.assertEqual(stored, {}, "users that nobody wrote")


class Writer(threading.Thread):
    """Appends, replaces and deletes its own users until the daemon dies. State of a user: None, or
    its events."""

    def __init__(self, client, index, ledger, seed):
        super().__init__(daemon=True)
        self.client, self.ledger = client, ledger
        self.random = random.Random(seed)
        self.users = [f"user {index}.{i}" if i % 2 else index * 1000 + i for i in range(20)]
        self.acknowledged = 0
        self.unexpected = None

    def run(self):
        while True:
            chosen = self.random.sample(self.users, self.random.randint(1, 5))
            kind = self.random.choices(("append", "put", "delete"), (8, 2, 1))[0]
            events = {user: self.events() for user in chosen}
            for user in chosen:
                states = self.ledger.setdefault(user, [None])
                new = None
                if kind != "delete":
                    new = frozenset((e["id"], shown(e["at"])) for e in events[user])
                if kind == "append":
                    new |= states[-1] or frozenset()
                states.append(new)
            try:
                self.send(kind, events)
            except TesseraError as error:
                if error.status != 0:
                    self.unexpected = error
                return
            for user in chosen:
                self.ledger[user] = self.ledger[user][-1:]
            self.acknowledged += 1

    def events(self):
        # Few times, so that some are there already; many events, so that blocks are split.
        count = self.random.choice((1, 3, 10, 150))
        return [{"id": self.random.randrange(50), "at": self.random.randrange(100)}
                for _ in range(count)]

    def send(self, kind, events):
        if kind == "append":
            self.client.call("POST", "/collections/c/users/events?wait=true", {
                "users": [{"id": user, "events": own} for user, own in events.items()]})
        elif kind == "put":
            self.client.call("PUT", "/collections/c/users?wait=true", {
                "users": [{"id": user, "vector": item_vector(1), "history": own}
                          for user, own in events.items()]})
        else:
            self.client.call("POST", "/collections/c/users/delete?wait=true",
                             {"ids": list(events)})


def shown(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(seconds))


if __name__ == "__main__":
    unittest.main()
