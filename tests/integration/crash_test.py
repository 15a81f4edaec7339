"""kill -9 under mixed writes: nothing acknowledged is lost, nothing deleted comes back.

One ledger entry a point: the state last acknowledged and the states sent after it. After a
restart a point must be in one of them. Three sets are checked: lost, resurrected, invented.
"""

import os
import random
import threading
import time
import unittest

from daemon import DaemonTest
from tessera_client import TesseraError

CYCLES = int(os.environ.get("TESSERA_CRASH_CYCLES", "20"))
WRITERS = 3
IDS_PER_WRITER = 150
DIM = 16


class Writer(threading.Thread):
    """Writes to its own ids until the daemon dies. State of a point: None, or (number, label)."""

    def __init__(self, client, index, ledger, seed):
        super().__init__(daemon=True)
        self.client, self.ledger = client, ledger
        self.random = random.Random(seed)
        self.ids = range(index * IDS_PER_WRITER, (index + 1) * IDS_PER_WRITER)
        self.acknowledged = 0
        self.unexpected = None

    def run(self):
        while True:
            ids = self.random.sample(self.ids, self.random.randint(1, 12))
            kind = self.random.choices(("upsert", "delete", "label"), (6, 2, 3))[0]
            number = self.random.randrange(1 << 30)
            new_states = {}
            for point in ids:
                possible = self.ledger[point]
                if kind == "upsert":
                    new_states[point] = (number, "fresh")
                elif kind == "delete":
                    new_states[point] = None
                elif possible[-1] is not None:
                    new_states[point] = (possible[-1][0], f"label-{number}")
            if not new_states:
                continue
            for point, state in new_states.items():
                self.ledger[point].append(state)
            try:
                self.send(kind, sorted(new_states), number)
            except TesseraError as error:
                if error.status != 0:
                    self.unexpected = error
                return
            for point, state in new_states.items():
                self.ledger[point][:] = [state]
            self.acknowledged += 1

    def send(self, kind, ids, number):
        if kind == "upsert":
            self.client.upsert("crash", ids, [vector(number)] * len(ids),
                               [{"number": number, "label": "fresh"}] * len(ids))
        elif kind == "delete":
            self.client.call("POST", "/collections/crash/points/delete?wait=true", {"points": ids})
        else:
            self.client.call("POST", "/collections/crash/points/payload?wait=true",
                             {"points": ids, "payload": {"label": f"label-{number}"}})


def vector(number):
    generator = random.Random(number)
    return [generator.uniform(-1, 1) for _ in range(DIM)]


def close_to(values, number):
    return max(abs(a - b) for a, b in zip(values, vector(number))) < 1e-6


class Crash(DaemonTest):
    # With small thresholds below, indexes are built, merged and published all the time.
    settings = ("index.build_idle_ms=0",)
    is_trained = False

    def test_acknowledged_writes_survive_kill_9(self):
        seed = int(os.environ.get("TESSERA_SEED", time.time_ns() % 1_000_000))
        print(f"seed {seed} (TESSERA_SEED repeats it), {CYCLES} cycles")
        rng = random.Random(seed)
        self.client.call("PUT", "/collections/crash", {
            "vectors": {"size": DIM, "distance": "Euclid"},
            "optimizers_config": {"indexing_threshold": 2, "vacuum_min_vector_number": 100}})
        self.client.call("PUT", "/collections/crash/index?wait=true",
                         {"field_name": "label", "field_schema": "keyword"})
        ledger = {point: [None] for point in range(WRITERS * IDS_PER_WRITER)}
        total = 0
        for cycle in range(CYCLES):
            writers = [Writer(self.daemon.client(), i, ledger, rng.random())
                       for i in range(WRITERS)]
            for writer in writers:
                writer.start()
            time.sleep(rng.uniform(0.05, 0.8))
            self.daemon.kill()
            for writer in writers:
                writer.join(60)
                self.assertFalse(writer.is_alive(), "a writer hangs")
                self.assertIsNone(writer.unexpected)
                total += writer.acknowledged
            self.daemon.start()
            self.client = self.daemon.client()
            self.check(ledger, cycle)
        print(f"{total} acknowledged writes over {CYCLES} kills: none lost, none undone")
        self.assertGreater(total, CYCLES)

    def check_clusters(self, ledger, cycle):
        """The sizes are those that come of asking for every point's cluster; trained once."""
        alive = [point for point, states in ledger.items() if states[0]]
        if not self.is_trained and alive:
            self.is_trained = True
            job = self.client.call("POST", "/collections/crash/clusters", {"count": 16})["job"]
            while self.client.call("GET", f"/jobs/{job}")["state"] not in ("done", "failed"):
                time.sleep(0.01)
        if not self.is_trained:
            return
        info = self.client.call("GET", "/collections/crash/clusters")
        sizes = [0] * info["count"]
        for point in alive:
            profile = self.client.query("crash", {
                "query": {"interests": {"history": [vector(ledger[point][0][0])]}}, "limit": 0})
            sizes[profile["interests"][0]["cluster"]] += 1
        self.assertEqual(info["sizes"], sizes, f"cycle {cycle}")

    def check(self, ledger, cycle):
        stored = {}
        offset = None
        while True:
            page = self.client.call("POST", "/collections/crash/points/scroll", {
                "limit": 200, "with_vector": True, "with_payload": True,
                **({} if offset is None else {"offset": offset})})
            for record in page["points"]:
                stored[record["id"]] = record
            offset = page["next_page_offset"]
            if offset is None:
                break
        for point, possible in ledger.items():
            record = stored.pop(point, None)
            state = None if record is None else (record["payload"]["number"],
                                                 record["payload"]["label"])
            self.assertIn(state, possible, f"cycle {cycle}, point {point}")
            if record is not None:
                self.assertTrue(close_to(record["vector"], state[0]),
                                f"cycle {cycle}, point {point}: the vector is another write's")
            ledger[point][:] = [state]
        self.assertEqual(stored, {}, "points that nobody wrote")
        self.check_search_and_filter(ledger, cycle)
        self.check_clusters(ledger, cycle)

    def check_search_and_filter(self, ledger, cycle):
        """Search and payload index agree with the points themselves."""
        alive = {point: states[0] for point, states in ledger.items() if states[0]}
        self.assertEqual(self.client.call("POST", "/collections/crash/points/count", {})["count"],
                         len(alive), f"cycle {cycle}")
        for point in list(alive)[:5]:
            number, label = alive[point]
            hits = self.client.query("crash", {"query": vector(number), "limit": 200})["points"]
            same = {p for p, state in alive.items() if state[0] == number}
            self.assertEqual({hit["id"] for hit in hits if hit["score"] < 1e-4}, same,
                             f"cycle {cycle}")
            self.assertEqual(len(hits), min(200, len(alive)))
            count = self.client.call("POST", "/collections/crash/points/count", {
                "filter": {"must": [{"key": "label", "match": {"value": label}}]}})["count"]
            self.assertEqual(count, sum(state[1] == label for state in alive.values()))


if __name__ == "__main__":
    unittest.main()
