"""Interests and rounds by brute force in numpy: a check of the daemon that shares no code with it.
Formulas as in docs/methods.md, in double precision; the whole catalogue is scored for every vector.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ITERATIONS = 20


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


@dataclass(frozen=True)
class Order:
    """How hits follow each other: by turns ("interleave") or by score, the first `page` of them so
    chosen that each is unlike those before it (`mmr`: lambda; 1: by relevance alone), those behind
    by score. With a `page_blend` relevance is nearness to the interest so blended."""
    merge: str = "interleave"
    page: int | None = None  # None: all.
    mmr: float | None = None
    page_blend: float | None = None

    @classmethod
    def of(cls, interests: dict[str, Any]) -> "Order":
        merge, page = interests.get("merge", "interleave"), interests.get("page")
        diversity = interests.get("diversity")
        page_blend = interests.get("page_blend")
        if diversity is None:
            return cls(merge, page, None if page_blend is None else 1.0, page_blend)
        mmr = diversity.get("mmr")
        if page is None or mmr is None or not set(mmr) <= {"lambda"}:
            raise Unsupported("diversity without a page, or other than mmr by lambda")
        return cls(merge, page, mmr.get("lambda", 0.5), page_blend)


@dataclass
class Answer:
    ids: list[int]
    quotas: dict[int, int] = field(default_factory=dict)  # By cluster; without those left out.
    scores: dict[int, float] = field(default_factory=dict)  # Of every item in `ids`.
    shares: dict[int, float] = field(default_factory=dict)  # Of the turns, by cluster.
    vectors: dict[int, np.ndarray] = field(default_factory=dict)  # By cluster.
    page_vectors: dict[int, np.ndarray] = field(default_factory=dict)  # By cluster.
    excluded: set[int] = field(default_factory=set)
    order: Order = Order()


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


def filtered_out(search: dict[str, Any]) -> set[int]:
    return {item for condition in search.get("filter", {}).get("must_not", [])
            for item in condition["has_id"]}


def round_sizes(limit: int, rounds: int) -> list[int]:
    """ceil(limit / rounds) in each round, the last ones the rest."""
    size = -(-limit // rounds)
    return [min(size, limit - begin) for begin in range(0, limit, size)]


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


def share_place(share: np.ndarray | float) -> np.ndarray:
    """What shares are compared by: those that differ by rounding alone are equal."""
    return np.floor(np.asarray(share, dtype=float) * 1e9 + 0.3819660112501051)


def largest_remainder(weights: np.ndarray, total: int) -> list[int]:
    exact = np.asarray(weights, dtype=np.longdouble) / np.sum(weights, dtype=np.longdouble) * total
    seats = np.floor(exact).astype(int)
    left, size = share_place(exact - seats), share_place(weights / np.sum(weights))
    order = sorted(range(len(weights)), key=lambda c: (-left[c], -size[c], c))
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


def active(weights: np.ndarray, limit: int,
           settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the budget, and of the turns: of a page by the weights themselves. 0 for components
    that are left out; `weights` are heaviest first and sum to 1."""
    min_quota = settings.get("min_quota", 1)
    if settings.get("allocation", "proportional") == "equal":
        count = min(len(weights), max(1, limit // min_quota) if min_quota else len(weights))
        shares = (np.arange(len(weights)) < count).astype(float)
        turns = shares
    else:
        raised = np.where(weights > 0, weights ** settings.get("quota_power", 1), 0)
        raised /= raised.sum()
        keep = share_place(limit * raised) >= share_place(min_quota)
        keep[0] = True
        shares = np.where(keep, raised, 0)
        turns = np.where(keep, weights, 0) if "page" in settings else shares
    return shares / shares.sum(), turns / turns.sum()


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
        query, limit, excluded = search["query"], search["limit"], filtered_out(search)
        if isinstance(query, dict) and "refine" in query:
            return self._refine(query["refine"], limit, excluded)
        if isinstance(query, dict):
            return self._interests(query["interests"], limit, excluded)
        return self._nearest(unit(np.array(query)), limit, excluded)

    def score(self, item: int, vector: np.ndarray) -> float:
        return float(self._vectors[item] @ as_stored(vector))

    def is_stable(self, answer: Answer, owners: dict[int, int], tolerance: float) -> bool:
        """Whether another distribution of items (item -> cluster) is an outcome of the same
        deferred acceptance but for scores that differ by less than `tolerance`: nothing that a
        component would rather have than its last item is free, or with one that scores it worse."""
        clusters = list(answer.vectors)
        scores = np.array([self._vectors[self._items] @ as_stored(answer.vectors[cluster])
                           for cluster in clusters])
        place_of = {int(item): place for place, item in enumerate(self._items)}
        holder = np.full(len(self._items), -1)
        for item, cluster in owners.items():
            if item in answer.excluded or item not in place_of or cluster not in clusters:
                return False
            holder[place_of[item]] = clusters.index(cluster)
        held = np.where(holder >= 0, scores[holder, np.arange(len(holder))], -np.inf)
        held[[place_of[item] for item in answer.excluded if item in place_of]] = np.inf
        for row, own in enumerate(scores):
            mine = holder == row
            if mine.any() and np.any(~mine & (own > own[mine].min() + tolerance)
                                     & (own > held + tolerance)):
                return False
        return True

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
        if interests.get("allocation") == "sampled":
            raise Unsupported("sampled allocation")
        order = Order.of(interests)
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
        groups.sort(key=lambda group: (-share_place(group.weight), group.cluster))
        groups = groups[:interests.get("max_components", 5)]
        weights = np.array([group.weight for group in groups])
        blend = interests.get("blend", 0)
        page_blend = blend if order.page_blend is None else order.page_blend
        vectors, page_vectors = (
            [self._component(group, interests, history, vector, share) for group in groups]
            for share in (blend, page_blend))
        shares, turns = active(weights / weights.sum(), limit, interests)
        answer, quotas = self._mixture(vectors, page_vectors, (shares, turns), limit,
                                       excluded | set(history), order)
        answer.excluded = excluded | set(history)
        answer.order = order
        for group, quota, share, own, page in zip(groups, quotas, turns, vectors, page_vectors,
                                                  strict=True):
            if share > 0:
                answer.page_vectors[group.cluster] = page
                answer.quotas[group.cluster] = quota
                answer.shares[group.cluster] = float(share)
                answer.vectors[group.cluster] = own
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
                   vector: np.ndarray | None, blend: float) -> np.ndarray:
        represent = interests.get("represent", "centroid")
        if represent not in ("centroid", "medoid"):
            raise Unsupported(f"represent {represent}")
        own = unit(group.mean)
        if represent == "medoid" or not np.any(group.mean):
            newest_first = group.items[::-1]
            own = self._vectors[newest_first[int(np.argmax(self._vectors[newest_first] @ own))]]
        own = as_stored(own)
        if not blend:
            return own
        towards = vector
        if interests.get("blend_with", "vector") == "history":
            towards = unit(self._vectors[history].mean(axis=0))
        return unit(blend * towards + (1 - blend) * own)

    def _mixture(self, vectors: list[np.ndarray], page_vectors: list[np.ndarray],
                 shares: tuple[np.ndarray, np.ndarray], limit: int, excluded: set[int],
                 order: Order) -> tuple[Answer, list[int]]:
        """One search a component; an item goes to the component that scores it best, and the
        other one takes its next. A component never needs more than `limit` of its list."""
        limit = min(limit, len(self._items) - int(np.isin(self._items, list(excluded)).sum()))
        quotas = largest_remainder(shares[0], limit)
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
        relevance = {item: self.score(item, page_vectors[component])
                     for item, component in owner.items()}
        return Answer(self._ordered(lists, shares[1], scores, relevance, order), {},
                      scores), quotas

    def _ordered(self, lists: list[list[int]], shares: np.ndarray, scores: dict[int, float],
                 relevance: dict[int, float], order: Order) -> list[int]:
        nearest_first = sorted(scores, key=lambda item: (-scores[item], item))
        page = len(scores) if order.page is None else min(order.page, len(scores))
        left: list[list[int]] = [list(found) for found in lists]
        turns = turns_of([len(found) for found in lists], shares)
        if order.merge == "score":
            left, turns = [list(nearest_first)], [0] * len(scores)
        ids: list[int] = []
        for turn in turns[:page]:
            place = 0
            if order.mmr is not None:
                place = int(np.argmax(self.marginal_relevance(left[turn], relevance, ids,
                                                              order.mmr)))
            ids.append(left[turn].pop(place))
        return ids + [item for item in nearest_first if item not in ids]

    def marginal_relevance(self, items: list[int], relevance: dict[int, float], chosen: list[int],
                           share: float) -> np.ndarray:
        """What each of `items` is worth beside those chosen; the first is worth its relevance."""
        own = np.array([relevance[item] for item in items])
        if not chosen:
            return own
        redundancy = (self._vectors[items] @ self._vectors[chosen].T).max(axis=1)
        return share * own - (1 - share) * redundancy

    # ---- rounds ---------------------------------------------------------------------------------

    def _refine(self, refine: dict[str, Any], limit: int, excluded: set[int]) -> Answer:
        if isinstance(refine["query"], dict):
            raise Unsupported("rounds over interests")
        answer = Answer([])
        last: list[int] = []
        for size in round_sizes(limit, refine["rounds"]):
            vector = self._of_round(refine, answer.ids, last)
            found = self._nearest(vector, size, excluded | set(answer.ids))
            last = found.ids
            answer.ids += last
            answer.scores |= found.scores
            if len(last) < size:
                break
        return answer

    def difference_of_rounds(self, search: dict[str, Any], points: list[dict[str, Any]],
                             tolerance: float) -> str:
        """What is wrong with an answer to one vector or to rounds from it, if anything. Every round
        is asked again with what the answer's own earlier rounds hold, so that items of the same
        score may stand for one another there without making all that follows wrong. Each place must
        hold an item whose own score is the one that belongs there."""
        query, excluded = search["query"], filtered_out(search)
        refine = query["refine"] if isinstance(query, dict) else {"query": query, "rounds": 1}
        ids = [point["id"] for point in points]
        known = set(self._items.tolist()) - excluded
        if len(set(ids)) != len(ids) or not known.issuperset(ids):
            return "an item twice, or one that is excluded or unknown"
        begin, last = 0, []
        for size in round_sizes(search["limit"], refine["rounds"]):
            vector = self._of_round(refine, ids[:begin], last)
            best = self._nearest(vector, size, excluded.union(ids[:begin]))
            last = ids[begin:begin + len(best.ids)]
            own = self._vectors[last] @ as_stored(vector)
            for place, (item, score) in enumerate(zip(best.ids, best.scores.values(), strict=True)):
                if place >= len(last) or abs(own[place] - score) > tolerance:
                    return f"place {begin + place + 1}: wanted {item}, which scores {score:.7f}"
                if abs(points[begin + place]["score"] - score) > tolerance:
                    return f"place {begin + place + 1}: another score than {score:.7f}"
            begin += len(last)
            if len(last) < size:
                break
        return "" if begin == len(ids) else f"{len(ids)} hits, wanted {begin}"

    def _of_round(self, refine: dict[str, Any], found: list[int], last: list[int]) -> np.ndarray:
        first = unit(np.array(refine["query"]))
        if not found:
            return first
        return self._moved(first, refine["strategy"], self._vectors[refine["history"]], found, last)

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


def turns_of(sizes: list[int], shares: np.ndarray) -> list[int]:
    """At every place the component that is furthest behind its share, ties to the first."""
    turns: list[int] = []
    taken = [0] * len(sizes)
    while len(turns) < sum(sizes):
        open_ones = [c for c in range(len(sizes)) if taken[c] < sizes[c]]
        component = max(open_ones, key=lambda c: share_place(
            shares[c] * (len(turns) + 1) - taken[c]))
        turns.append(component)
        taken[component] += 1
    return turns
