"""The searches of recommendation_methods.py answered by brute force in numpy: a cross-check of the
daemon that shares no code with it. Formulas as in docs/methods.md."""

from collections import defaultdict
from typing import Any

import numpy as np

from recommendation_data import RecommendationSet, normalised

ITERATIONS = 20


def spherical_kmeans(vectors: np.ndarray, count: int, seed: int = 42) -> np.ndarray:
    """The cluster of every row of `vectors` (unit length)."""
    random = np.random.default_rng(seed)
    centroids = vectors[random.choice(len(vectors), count, replace=False)]
    for _ in range(ITERATIONS):
        cluster = (vectors @ centroids.T).argmax(axis=1)
        sums = np.zeros_like(centroids)
        np.add.at(sums, cluster, vectors)
        empty = np.bincount(cluster, minlength=count) == 0
        sums[empty] = vectors[random.choice(len(vectors), empty.sum())]
        centroids = normalised(sums)
    return (vectors @ centroids.T).argmax(axis=1)


def largest_remainder(weights: np.ndarray, total: int) -> list[int]:
    exact = weights / weights.sum() * total
    seats = np.floor(exact).astype(int)
    order = sorted(range(len(weights)), key=lambda c: (seats[c] - exact[c], -weights[c], c))
    for component in order[:total - seats.sum()]:
        seats[component] += 1
    return seats.tolist()


class Oracle:
    def __init__(self, data: RecommendationSet, cluster_count: int):
        self._vectors = data.item_vectors
        self._is_item = np.zeros(len(data.item_vectors), dtype=bool)
        self._is_item[data.items] = True
        self._cluster = np.full(len(data.item_vectors), -1)
        self._cluster[data.items] = spherical_kmeans(self._vectors[data.items], cluster_count)

    def answer(self, searches: list[dict[str, Any]]) -> list[list[int]]:
        return [self._answer_one(search) for search in searches]

    def _answer_one(self, search: dict[str, Any]) -> list[int]:
        query, limit = search["query"], search["limit"]
        excluded = set()
        for condition in search.get("filter", {}).get("must_not", []):
            excluded.update(condition["has_id"])
        if isinstance(query, dict) and "refine" in query:
            return self._refine(query["refine"], limit, excluded)
        if isinstance(query, dict):
            components = self._components(query["interests"])
            excluded.update(query["interests"]["history"])
            return self._mixture(*components, limit, excluded)
        return self._nearest(np.array(query), limit, excluded)

    def _scores(self, vector: np.ndarray, excluded: set[int]) -> np.ndarray:
        scores = np.where(self._is_item, self._vectors @ vector, -np.inf)
        scores[list(excluded)] = -np.inf
        return scores

    def _nearest(self, vector: np.ndarray, limit: int, excluded: set[int]) -> list[int]:
        scores = self._scores(vector, excluded)
        order = np.argsort(-scores, kind="stable")[:limit]
        return order[scores[order] > -np.inf].tolist()

    def _components(self, interests: dict[str, Any]) -> tuple[list[np.ndarray], np.ndarray]:
        """Vectors and weights of the heaviest components of a history."""
        members = defaultdict(list)
        for item in interests["history"]:
            members[self._cluster[item]].append(item)
        heaviest = sorted(members.items(), key=lambda entry: (-len(entry[1]), entry[0]))
        heaviest = heaviest[:interests["max_components"]]
        vectors = [normalised(self._vectors[items].mean(axis=0)) for _, items in heaviest]
        blend = interests.get("blend", 0)
        if blend:
            towards = np.array(interests["vector"])
            if interests["blend_with"] == "history":
                towards = normalised(self._vectors[interests["history"]].mean(axis=0))
            vectors = [normalised(blend * towards + (1 - blend) * vector) for vector in vectors]
        weights = np.array([len(items) for _, items in heaviest], dtype=float)
        return vectors, weights / weights.sum()

    def _mixture(self, vectors: list[np.ndarray], weights: np.ndarray, limit: int,
                 excluded: set[int]) -> list[int]:
        """One search a component; an item goes to the component that scores it best, and the
        other one takes its next; merged so that every prefix is near the weights."""
        limit = min(limit, int(self._is_item.sum()) - len(excluded))
        quotas = largest_remainder(weights, limit)
        scores = [self._scores(vector, excluded) for vector in vectors]
        ranked = [np.argsort(-score, kind="stable").tolist() for score in scores]
        position = [0] * len(vectors)
        owner: dict[int, int] = {}
        wanting = [component for component, quota in enumerate(quotas) for _ in range(quota)]
        while wanting:
            component = wanting.pop(0)
            while True:
                item = ranked[component][position[component]]
                position[component] += 1
                other = owner.get(item)
                if other is None or scores[component][item] > scores[other][item]:
                    owner[item] = component
                    if other is not None:
                        wanting.append(other)
                    break
        lists = [[item for item in ranked[component][:position[component]]
                  if owner.get(item) == component] for component in range(len(vectors))]
        merged: list[int] = []
        taken = [0] * len(vectors)
        while len(merged) < limit:
            open_ones = [c for c in range(len(vectors)) if taken[c] < len(lists[c])]
            component = max(open_ones, key=lambda c: weights[c] * (len(merged) + 1) - taken[c])
            merged.append(lists[component][taken[component]])
            taken[component] += 1
        return merged

    def _refine(self, refine: dict[str, Any], limit: int, excluded: set[int]) -> list[int]:
        rounds = refine["rounds"]
        excluded = set(excluded)
        if isinstance(refine["query"], dict):
            first, weights = self._components(refine["query"]["interests"])
            excluded.update(refine["query"]["interests"]["history"])
        else:
            first, weights = [np.array(refine["query"])], np.ones(1)
        history = self._vectors[refine["history"]]
        found: list[int] = []
        last: list[int] = []
        for number in range(rounds):
            vectors = first if number == 0 else [
                self._moved(vector, refine["strategy"], history, found, last) for vector in first]
            size = min(-(-limit // rounds), limit - len(found))
            last = self._mixture(vectors, weights, size, excluded)
            found += last
            excluded.update(last)
        return found

    def _moved(self, first: np.ndarray, strategy: dict[str, Any], history: np.ndarray,
               found: list[int], last: list[int]) -> np.ndarray:
        (kind, settings), = strategy.items()
        seen = self._vectors[found]
        if kind == "explore":
            return normalised(first - settings["beta"] * seen.mean(axis=0))
        if kind == "rocchio":
            feedback = self._vectors[last[:settings["feedback"]]]
            return normalised(settings["alpha"] * first + settings["beta"] * feedback.mean(axis=0))
        logits = history @ seen.T / settings["temperature"]
        attention = np.exp(logits - logits.max(axis=1, keepdims=True))
        attention /= attention.sum(axis=1, keepdims=True)
        moved = normalised(history + settings["gamma"] * attention @ seen)
        return normalised(moved.mean(axis=0))
