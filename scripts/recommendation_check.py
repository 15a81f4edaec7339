"""The daemon's answers against the numpy oracle, person by person and hit by hit.

The oracle takes from the daemon what is not the method's business: the stored vectors to the bit,
and which cluster every item is in. In exact mode quotas and items must be the same. Where items are
not, two scores were too close for single precision (SAME_SCORE): interests must still be an outcome
of the same deferred acceptance with such scores taken as equal; of one vector, and of rounds from
it, every place must hold an item whose own score is the one that belongs there. The order must
follow the rule of the merge that was asked for: only components of the same weight may take their
turns differently, and only items of the same score stand the other way round.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from progress import Progress
from recommendation_daemon import SEARCHES_PER_REQUEST, LoadedSet
from recommendation_data import Person, RecommendationSet
from recommendation_methods import Method, search_body
from recommendation_oracle import (Answer, Catalogue, Oracle, Order, StoredUser, Unsupported,
                                   unit)
from tessera_client import chunks

SAME_SCORE = 2e-6
SAME_SHARE = 1e-6


@dataclass
class Check:
    """Of one method: how many answers were as wanted. `first_difference` names the first that was
    not, and was not explained by equal scores or weights either."""
    name: str
    answers: int = 0
    same_list: int = 0
    same_set: int = 0
    same_quotas: int = 0
    passes: int = 0
    overlap: float = 0.0  # With the index: share of the exact list that came back, mean.
    first_difference: str = ""

    @property
    def passed(self) -> bool:
        return self.passes == self.answers

    def as_json(self) -> dict[str, Any]:
        return self.__dict__ | {"passed": self.passed}


@dataclass
class Checked:
    checks: list[Check] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # Method -> what the oracle lacks.


def daemon_oracle(loaded: LoadedSet, data: RecommendationSet, part: str) -> Oracle:
    """An oracle over what the daemon stores."""
    items = data.items
    shape = data.item_vectors.shape
    vectors = loaded.stored_vectors(items.tolist(), shape)
    clusters = loaded.item_clusters(items.tolist(), shape[0])
    return Oracle(Catalogue(vectors, items, clusters), stored_users(data, part))


def stored_users(data: RecommendationSet, part: str) -> dict[int, StoredUser]:
    histories = data.histories(part)
    has_vector = np.abs(data.user_vectors).sum(axis=1) > 0
    users = sorted(set(np.flatnonzero(has_vector).tolist()).union(histories))
    return {user: StoredUser(unit(data.user_vectors[user]) if has_vector[user] else None,
                             histories.get(user, [])) for user in users}


def check(loaded: LoadedSet, oracle: Oracle, data: RecommendationSet, people: list[Person],
          methods: list[Method]) -> Checked:
    result = Checked()
    progress = Progress(f"{data.name} against numpy", len(people) * len(methods))
    for method in methods:
        one = Check(method.name)
        try:
            for group in chunks(people, SEARCHES_PER_REQUEST):
                _check_group(loaded, oracle, data, method, group, one)
                progress.add(len(group))
        except Unsupported as error:
            result.skipped[method.name] = str(error)
            continue
        one.overlap /= one.answers
        result.checks.append(one)
    progress.finish()
    return result


def _check_group(loaded: LoadedSet, oracle: Oracle, data: RecommendationSet, method: Method,
                 group: list[Person], one: Check) -> None:
    exact = [search_body(method, person, data.item_vectors, True) for person in group]
    wanted = [oracle.answer_one(search) for search in exact]
    through_index = loaded.answer([search_body(method, person, data.item_vectors, False)
                                   for person in group])
    for person, search, want, found, walked in zip(group, exact, wanted, loaded.results(exact),
                                                   through_index, strict=True):
        one.answers += 1
        one.overlap += len(set(want.ids).intersection(walked)) / max(1, len(want.ids))
        difference = compare(oracle, search, want, found, one)
        if difference and not one.first_difference:
            one.first_difference = f"user {person.user}: {difference}"


def compare(oracle: Oracle, search: dict[str, Any], want: Answer, found: dict[str, Any],
            one: Check) -> str:
    """Counts one answer; what is wrong with it, if anything."""
    interests = found.get("interests", [])
    quotas = {interest["cluster"]: interest["quota"] for interest in interests}
    ids = [point["id"] for point in found["points"]]
    one.same_quotas += quotas == want.quotas
    one.same_list += ids == want.ids
    one.same_set += set(ids) == set(want.ids)
    if want.vectors:
        wrong = _difference(oracle, want, found, quotas, ids)
    else:
        wrong = oracle.difference_of_rounds(search, found["points"], SAME_SCORE)
    one.passes += not wrong
    return wrong


def _difference(oracle: Oracle, want: Answer, found: dict[str, Any], quotas: dict[int, int],
                ids: list[int]) -> str:
    if quotas != want.quotas:
        return f"quotas by cluster {quotas}, wanted {want.quotas}"
    if len(ids) != len(want.ids) or len(set(ids)) != len(ids):
        return f"{len(ids)} hits, {len(set(ids))} different, wanted {len(want.ids)}"
    if set(ids) != set(want.ids) and not _is_tie(oracle, want, found):
        more, less = set(ids) - set(want.ids), set(want.ids) - set(ids)
        return f"found {sorted(more)[:5]} instead of {sorted(less)[:5]}"
    item = _wrong_score(oracle, want, found)
    if item is not None:
        return f"another score of {item}"
    place = first_out_of_order(found, want.shares, want.order, oracle, want.page_vectors)
    return f"another order from place {place} on" if place else ""


def _is_tie(oracle: Oracle, want: Answer, found: dict[str, Any]) -> bool:
    owners = _owners(found)
    counts = {interest["cluster"]: 0 for interest in found["interests"]}
    for cluster in owners.values():
        counts[cluster] += 1
    return counts == want.quotas and oracle.is_stable(want, owners, SAME_SCORE)


def _owners(found: dict[str, Any]) -> dict[int, int]:
    """Item -> cluster."""
    clusters = [interest["cluster"] for interest in found["interests"]]
    return {point["id"]: clusters[point["interest"]["component"]] for point in found["points"]}


def _wrong_score(oracle: Oracle, want: Answer, found: dict[str, Any]) -> int | None:
    """The first item whose score is not that of its own component."""
    owners = _owners(found)
    for point in found["points"]:
        score = oracle.score(point["id"], want.vectors[owners[point["id"]]])
        if abs(point["interest"]["score"] - score) > SAME_SCORE:
            return point["id"]
    return None


def first_out_of_order(found: dict[str, Any], shares: dict[int, float], order: Order,
                       oracle: Oracle | None = None,
                       page_vectors: dict[int, np.ndarray] | None = None) -> int:
    """The first place, from 1, that the order does not allow, 0 if there is none. "interleave": by
    turns, each to a component that is furthest behind its share (by cluster); "score": none scores
    more than the one before. With `mmr`, which needs the oracle and the vectors that relevance is
    nearness to, by cluster: nothing else of whose turn it is was worth more. Behind the page: by
    score."""
    points, interests = found["points"], found["interests"]
    scores = np.array([point["interest"]["score"] for point in points])
    components = np.array([point["interest"]["component"] for point in points])
    page = len(points) if order.page is None else min(order.page, len(points))
    if order.merge == "interleave":
        weights = np.array([shares[interest["cluster"]] for interest in interests])
        left = np.array([interest["returned"] for interest in interests])
        taken = np.zeros(len(weights))
        for place, component in enumerate(components[:page], 1):
            behind = np.where(left > taken, weights * place - taken, -np.inf)
            if behind[component] < behind.max() - SAME_SHARE:
                return place
            taken[component] += 1
    ids, relevance = [], {}
    if order.mmr is not None:
        ids = [point["id"] for point in points]
        owners = _owners(found)
        relevance = {item: oracle.score(item, page_vectors[owners[item]]) for item in ids}
    for place in range(page):
        of_turn = np.arange(place, len(points))
        if order.merge == "interleave":
            of_turn = of_turn[components[place:] == components[place]]
        worth = scores[of_turn]
        if order.mmr is not None:
            worth = oracle.marginal_relevance([ids[at] for at in of_turn], relevance, ids[:place],
                                              order.mmr)
        if worth[0] < worth.max() - SAME_SCORE:
            return place + 1
    rising = np.flatnonzero(np.diff(scores[page:]) > SAME_SCORE)
    return page + int(rising[0]) + 2 if len(rising) else _wrong_rank(points, scores)


def _wrong_rank(points: list[dict[str, Any]], scores: np.ndarray) -> int:
    """The place, from 1, of a hit whose rank is not that among its component's hits, nearest first;
    0: there is none."""
    nearest_first = sorted(range(len(points)), key=lambda at: points[at]["interest"]["rank"])
    last: dict[int, tuple[int, float]] = {}  # Component -> the rank and score before.
    for at in nearest_first:
        interest = points[at]["interest"]
        rank, score = last.get(interest["component"], (-1, np.inf))
        if interest["rank"] != rank + 1 or scores[at] > score + SAME_SCORE:
            return at + 1
        last[interest["component"]] = (interest["rank"], scores[at])
    return 0
