"""A recommendation set in a running daemon: items, item clusters, stored users, and answers.

One collection a set and part ("recs-beauty-test"), because the stored users of the validation part
must not know what those of the test part do."""

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from progress import Progress
from recommendation_data import RecommendationSet
from tessera_client import Client, chunks, path_of

UPSERT_ROWS = 500
USERS_PER_REQUEST = 500
SEARCHES_PER_REQUEST = 50
PROBES = 16


@dataclass(frozen=True)
class Loading:
    """How a set is to be loaded. `index`: a type, or None for the daemon's default."""
    cluster_count: int
    seed: int
    index: str | None = None
    reload: bool = False
    with_users: bool = False


def default_cluster_count(item_count: int) -> int:
    """4 * sqrt(items), but at least 39 items a cluster, which k-means needs to be meaningful."""
    return max(1, min(round(4 * item_count ** 0.5), item_count // 39))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class LoadedSet:
    """Answers searches about one part of a set. Not to be shared between threads."""

    def __init__(self, client: Client, collection: str, data: RecommendationSet, part: str,
                 loading: Loading):
        self.client, self.collection = client, collection
        started = time.monotonic()
        self._load_items(data, loading)
        if loading.with_users:
            self._load_users(data, part)
        client.wait_green(collection)
        settings = {"count": loading.cluster_count, "seed": loading.seed}
        job = client.call("POST", f"{path_of(collection)}/clusters", settings)
        client.wait_job(job["job"])
        self.clusters = client.call("GET", f"{path_of(collection)}/clusters")
        say(f"'{collection}' is ready with {self.clusters['count']} clusters after "
            f"{time.monotonic() - started:.1f} s")

    def describe(self) -> dict[str, Any]:
        status, root = self.client.raw("GET", "/")
        return {"backend": json.loads(root).get("tessera", {}) if status == 200 else {},
                "collection": self.collection, "clusters": self.clusters["count"]}

    def results(self, searches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.client.query_batch(self.collection, searches)

    def answer(self, searches: list[dict[str, Any]]) -> list[list[int]]:
        return [[point["id"] for point in result["points"]] for result in self.results(searches)]

    def item_clusters(self, items: list[int], size: int) -> np.ndarray:
        """By item the cluster that the daemon says it is in; -1 for those not asked about."""
        clusters = np.full(size, -1)
        for group in chunks(items, 1000):
            found = self.results([{"query": {"interests": {"history": [item]}}, "limit": 0}
                                  for item in group])
            clusters[list(group)] = [result["interests"][0]["cluster"] for result in found]
        return clusters

    def stored_vectors(self, items: list[int], shape: tuple[int, int]) -> np.ndarray:
        """The vectors as the daemon keeps them, to the bit. Zeros for those not asked about."""
        vectors = np.zeros(shape, dtype=np.float32)
        for group in chunks(items, 1000):
            points = self.client.call("POST", f"{path_of(self.collection)}/points", {
                "ids": list(group), "with_vector": True, "with_payload": False})
            for point in points:
                vectors[point["id"]] = point["vector"]
        return vectors

    # ---- loading --------------------------------------------------------------------------------

    def _load_items(self, data: RecommendationSet, loading: Loading) -> None:
        items = data.items
        if not loading.reload and self._holds(data):
            return
        params: dict[str, Any] = {"size": data.item_vectors.shape[1], "distance": "Cosine"}
        if loading.index:
            params["index"] = {"type": loading.index}
        self.client.recreate(self.collection, {"vectors": params})
        progress = Progress(f"items of {self.collection}", len(items))
        for rows in chunks(items.tolist(), UPSERT_ROWS):
            self.client.upsert(self.collection, rows, data.item_vectors[rows].tolist())
            progress.add(len(rows))
        progress.finish()

    def _holds(self, data: RecommendationSet) -> bool:
        """Whether the collection has as many points as there are items, and some of them agree."""
        if not self.client.exists(self.collection):
            return False
        info = self.client.call("GET", path_of(self.collection))
        items = data.items
        size = info["config"]["params"]["vectors"].get("size")
        if info["points_count"] != len(items) or size != data.item_vectors.shape[1]:
            return False
        probes = items[np.linspace(0, len(items) - 1, PROBES).astype(int)].tolist()
        stored = self.stored_vectors(probes, data.item_vectors.shape)
        return bool(np.allclose(stored[probes], data.item_vectors[probes], atol=1e-5))

    def _load_users(self, data: RecommendationSet, part: str) -> None:
        histories = data.histories(part)
        known = self.client.call("POST", f"{path_of(self.collection)}/users/count", {})["count"]
        rows = [self._user(data, histories, user) for user in self._users(data, histories)]
        if known == len(rows) and self._same_events(rows):
            return
        progress = Progress(f"users of {self.collection}", len(rows))
        for group in chunks(rows, USERS_PER_REQUEST):
            self.client.call("PUT", f"{path_of(self.collection)}/users?wait=true",
                             {"users": list(group)})
            progress.add(len(group))
        progress.finish()

    @staticmethod
    def _users(data: RecommendationSet, histories: dict[int, list[int]]) -> list[int]:
        has_vector = np.flatnonzero(np.abs(data.user_vectors).sum(axis=1) > 0)
        return sorted(set(has_vector.tolist()).union(histories))

    @staticmethod
    def _user(data: RecommendationSet, histories: dict[int, list[int]],
              user: int) -> dict[str, Any]:
        """Times are the places in the history, so that loading it again changes nothing."""
        row: dict[str, Any] = {"id": user, "history": [
            {"id": item, "at": 1 + place} for place, item in enumerate(histories.get(user, ()))]}
        if np.abs(data.user_vectors[user]).sum() > 0:
            row["vector"] = data.user_vectors[user].tolist()
        return row

    def _same_events(self, rows: list[dict[str, Any]]) -> bool:
        for place in np.linspace(0, len(rows) - 1, PROBES).astype(int):
            row = rows[place]
            path = f"{path_of(self.collection)}/users/{row['id']}/events?limit=10000"
            stored = self.client.call("GET", path)["events"]
            if {event["id"] for event in stored} != {event["id"] for event in row["history"]}:
                return False
        return True
