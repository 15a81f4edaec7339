"""Interests and rounds by brute force in numpy: a check of the daemon that shares no code with it.
Formulas as in docs/methods.md, in double precision; the whole catalogue is scored for every vector.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ITERATIONS = 20
SAME_REMAINDER = 1e-9  # Shares that differ by less differ by rounding.


class Unsupported(Exception):
    """The oracle does not know this part of a search; the text names it."""


@dataclass(frozen=True)
class Catalogue:
    """`vectors`: row = item id, unit length; `clusters`: by item, -1 where there is none."""
    vectors: np.ndarray
    items: np.ndarray
    clusters: np.ndarray


@dataclass(frozen=True)
class StoredUser:
    vector: np.ndarray | None  # Unit length.
    history: list[int]  # Oldest first.


@dataclass
class Answer:
    ids: list[int]
    quotas: dict[int, int] = field(default_factory=dict)  # By cluster; without those left out.
    scores: dict[int, float] = field(default_factory=dict)  # Of every item in `ids`.


@dataclass
class Group:
    """The items of one cluster, or what smoothing makes of them: a weight and a mean."""
    cluster: int
    weight: float
    mean: np.ndarray
    items: list[int]


def unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms)


def as_stored(vector: np.ndarray) -> np.ndarray:
    """Queries travel as single precision."""
    return vector.astype(np.float32).astype(np.float64)


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
        centroids = unit(sums).astype(vectors.dtype)
    return (vectors @ centroids.T).argmax(axis=1)


def largest_remainder(weights: np.ndarray, total: int) -> list[int]:
    exact = np.asarray(weights, dtype=np.longdouble) / np.sum(weights, dtype=np.longdouble) * total
    seats = np.floor(exact).astype(int)
    left = np.round((exact - seats) / SAME_REMAINDER)
    order = sorted(range(len(weights)), key=lambda c: (-left[c], -weights[c], c))
    for component in order[:total - seats.sum()]:
        seats[component] += 1
    return seats.tolist()


def smoothed(own: list[Group], neighbors: list[list[Group]], share: float) -> list[Group]:
    """Equations 4 and 5 of kNN-Embed over all clusters; `neighbors` are those with a history."""
    if not neighbors or share == 0:
        return own
    if not own:
        share = 1
    by_cluster: dict[int, Group] = {group.cluster: group for group in own}
    others: dict[int, list[Group]] = defaultdict(list)
    for groups in neighbors:
        for group in groups:
            others[group.cluster].append(group)
    result = []
    for cluster in sorted(set(by_cluster) | set(others)):
        mine, theirs = by_cluster.get(cluster), others.get(cluster, [])
        if share == 1 and not theirs:
            continue
        weight = (1 - share) * mine.weight if mine else 0.0
        for group in theirs:
            weight += share * group.weight / len(neighbors)
        if not theirs:
            result.append(Group(cluster, weight, mine.mean, mine.items))
            continue
        mean = np.mean([group.mean for group in theirs], axis=0)
        if mine:
            mean = (1 - share) * mine.mean + share * mean
        items = mine.items if mine else [item for group in theirs for item in group.items]
        result.append(Group(cluster, weight, mean, items))
    return result


def active(weights: np.ndarray, limit: int, settings: dict[str, Any]) -> np.ndarray:
    """Shares of the budget, 0 for components that are left out; `weights` are heaviest first."""
    min_quota = settings.get("min_quota", 1)
    if settings.get("allocation", "proportional") == "equal":
        count = min(len(weights), max(1, limit // min_quota) if min_quota else len(weights))
        shares = (np.arange(len(weights)) < count).astype(float)
    else:
        keep = limit * weights >= min_quota
        keep[0] = True
        shares = np.where(keep, weights, 0)
    return shares / shares.sum()


class Oracle:
    def __init__(self, catalogue: Catalogue, users: dict[int, StoredUser] | None = None):
        self._vectors = catalogue.vectors.astype(np.float64)
        self._items, self._cluster = catalogue.items, catalogue.clusters
        self._users = users or {}
        self._with_vector = np.array([user for user, stored in sorted(self._users.items())
                                      if stored.vector is not None], dtype=int)
        if len(self._with_vector):
            self._user_matrix = np.array([self._users[user].vector for user in self._with_vector])

    def answer(self, searches: list[dict[str, Any]]) -> list[list[int]]:
        return [self.answer_one(search).ids for search in searches]

    def answer_one(self, search: dict[str, Any]) -> Answer:
        query, limit = search["query"], search["limit"]
        excluded: set[int] = set()
        for condition in search.get("filter", {}).get("must_not", []):
            excluded.update(condition["has_id"])
        if isinstance(query, dict) and "refine" in query:
            return self._refine(query["refine"], limit, excluded)
        if isinstance(query, dict):
            return self._interests(query["interests"], limit, excluded)
        return self._nearest(unit(np.array(query)), limit, excluded)

    # ---- one vector -----------------------------------------------------------------------------

    def _nearest(self, vector: np.ndarray, limit: int, excluded: set[int]) -> Answer:
        scores = self._vectors[self._items] @ as_stored(vector)
        if excluded:
            scores[np.isin(self._items, list(excluded))] = -np.inf
        limit = min(limit, int(np.isfinite(scores).sum()))
        if limit == 0:
            return Answer([])
        bound = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        places = np.flatnonzero(scores >= bound)
        places = places[np.lexsort((self._items[places], -scores[places]))][:limit]
        ids = self._items[places].tolist()
        return Answer(ids, {}, dict(zip(ids, scores[places].tolist(), strict=True)))

    # ---- interests ------------------------------------------------------------------------------

    def _interests(self, interests: dict[str, Any], limit: int, excluded: set[int]) -> Answer:
        for key, known in (("clustering", "global"), ("scope", "global")):
            if interests.get(key, known) != known:
                raise Unsupported(f"{key} {interests[key]}")
        if interests.get("allocation") == "sampled" or "diversity" in interests:
            raise Unsupported("sampled allocation or diversity")
        user = interests.get("user")
        stored = self._users[user] if user is not None else None
        history = stored.history if stored else interests["history"]
        vector = unit(np.array(interests["vector"])) if "vector" in interests else None
        if vector is None and stored is not None:
            vector = stored.vector
        groups = self._groups(history)
        if "smoothing" in interests:
            near = self._neighbors(vector, interests["smoothing"]["neighbors"], user)
            groups = smoothed(groups, near, interests["smoothing"]["lambda"])
        groups.sort(key=lambda group: (-group.weight, group.cluster))
        groups = groups[:interests.get("max_components", 5)]
        weights = np.array([group.weight for group in groups])
        vectors = [self._component(group, interests, history, vector) for group in groups]
        shares = active(weights / weights.sum(), limit, interests)
        answer, quotas = self._mixture(vectors, shares, limit, excluded | set(history),
                                       interests.get("merge", "interleave"))
        answer.quotas = {group.cluster: quota for group, quota, share
                         in zip(groups, quotas, shares, strict=True) if share > 0}
        return answer

    def _groups(self, history: list[int]) -> list[Group]:
        members: dict[int, list[int]] = defaultdict(list)
        for item in history:
            members[int(self._cluster[item])].append(item)
        return [Group(cluster, len(items) / len(history), self._vectors[items].mean(axis=0), items)
                for cluster, items in sorted(members.items())]

    def _neighbors(self, vector: np.ndarray | None, count: int,
                   user: int | None) -> list[list[Group]]:
        if vector is None or not len(self._with_vector):
            return []
        scores = self._user_matrix @ as_stored(vector)
        if user is not None:
            scores[self._with_vector == user] = -np.inf
        order = np.lexsort((self._with_vector, -scores))[:count]
        near = [self._users[int(self._with_vector[place])] for place in order
                if np.isfinite(scores[place])]
        return [self._groups(other.history) for other in near if other.history]

    def _component(self, group: Group, interests: dict[str, Any], history: list[int],
                   vector: np.ndarray | None) -> np.ndarray:
        represent = interests.get("represent", "centroid")
        if represent not in ("centroid", "medoid"):
            raise Unsupported(f"represent {represent}")
        own = unit(group.mean)
        if represent == "medoid" or not np.any(group.mean):
            newest_first = group.items[::-1]
            own = self._vectors[newest_first[int(np.argmax(self._vectors[newest_first] @ own))]]
        own = as_stored(own)
        blend = interests.get("blend", 0)
        if not blend:
            return own
        towards = vector
        if interests.get("blend_with", "vector") == "history":
            towards = unit(self._vectors[history].mean(axis=0))
        return unit(blend * towards + (1 - blend) * own)

    def _mixture(self, vectors: list[np.ndarray], shares: np.ndarray, limit: int,
                 excluded: set[int], merge: str) -> tuple[Answer, list[int]]:
        """One search a component; an item goes to the component that scores it best, and the
        other one takes its next. A component never needs more than `limit` of its list."""
        limit = min(limit, len(self._items) - int(np.isin(self._items, list(excluded)).sum()))
        quotas = largest_remainder(shares, limit)
        found = [self._nearest(vector, limit, excluded) if quota else Answer([])
                 for vector, quota in zip(vectors, quotas, strict=True)]
        position = [0] * len(vectors)
        owner: dict[int, int] = {}
        wanting = [component for component, quota in enumerate(quotas) for _ in range(quota)]
        while wanting:
            component = wanting.pop()
            while True:
                item = found[component].ids[position[component]]
                position[component] += 1
                other = owner.get(item)
                score = found[component].scores[item]
                if (other is None or score > found[other].scores[item]
                        or (score == found[other].scores[item] and component < other)):
                    owner[item] = component
                    if other is not None:
                        wanting.append(other)
                    break
        lists = [[item for item in found[component].ids[:position[component]]
                  if owner.get(item) == component] for component in range(len(vectors))]
        scores = {item: found[component].scores[item] for item, component in owner.items()}
        if merge == "score":
            ids = sorted(scores, key=lambda item: (-scores[item], item))
        else:
            ids = interleaved(lists, shares)
        return Answer(ids, {}, scores), quotas

    # ---- rounds ---------------------------------------------------------------------------------

    def _refine(self, refine: dict[str, Any], limit: int, excluded: set[int]) -> Answer:
        if isinstance(refine["query"], dict):
            raise Unsupported("rounds over interests")
        rounds, first = refine["rounds"], unit(np.array(refine["query"]))
        history = self._vectors[refine["history"]]
        answer = Answer([])
        last: list[int] = []
        for number in range(rounds):
            vector = first if number == 0 else self._moved(first, refine["strategy"], history,
                                                           answer.ids, last)
            size = min(-(-limit // rounds), limit - len(answer.ids))
            found = self._nearest(vector, size, excluded | set(answer.ids))
            last = found.ids
            answer.ids += last
            answer.scores |= found.scores
            if len(last) < size:
                break
        return answer

    def _moved(self, first: np.ndarray, strategy: dict[str, Any], history: np.ndarray,
               found: list[int], last: list[int]) -> np.ndarray:
        (kind, settings), = strategy.items()
        seen = self._vectors[found]
        if kind == "explore":
            return unit(first - settings["beta"] * seen.mean(axis=0))
        if kind == "rocchio":
            feedback = self._vectors[last[:settings["feedback"]]]
            return unit(settings["alpha"] * first + settings["beta"] * feedback.mean(axis=0))
        if kind != "attention":
            raise Unsupported(f"strategy {kind}")
        logits = history @ seen.T / settings["temperature"]
        attention = np.exp(logits - logits.max(axis=1, keepdims=True))
        attention /= attention.sum(axis=1, keepdims=True)
        moved = unit(history + settings["gamma"] * attention @ seen)
        return unit(moved.mean(axis=0))


def interleaved(lists: list[list[int]], shares: np.ndarray) -> list[int]:
    """At every place from the component that is furthest behind its share, ties to the first."""
    merged: list[int] = []
    taken = [0] * len(lists)
    while len(merged) < sum(map(len, lists)):
        open_ones = [c for c in range(len(lists)) if taken[c] < len(lists[c])]
        component = max(open_ones, key=lambda c: shares[c] * (len(merged) + 1) - taken[c])
        merged.append(lists[component][taken[component]])
        taken[component] += 1
    return merged
