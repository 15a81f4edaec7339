"""The daemon's answers against the numpy oracle, person by person and hit by hit.

The oracle takes from the daemon what is not the method's business: the stored vectors to the bit,
and which cluster every item is in. In exact mode quotas and items must be the same; where they are
not, the scores say whether hits were merely too close for single precision (SAME_SCORE). The order
must be the same too, but for components of the same weight, whose turns rounding decides: there it
must follow the rule of the merge with the weights that the daemon reports.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from progress import Progress
from recommendation_daemon import SEARCHES_PER_REQUEST, LoadedSet
from recommendation_data import Person, RecommendationSet
from recommendation_methods import Method, search_body
from recommendation_oracle import Answer, Catalogue, Oracle, StoredUser, Unsupported, unit
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
    for person, want, found, walked in zip(group, wanted, loaded.results(exact), through_index,
                                           strict=True):
        one.answers += 1
        one.overlap += len(set(want.ids).intersection(walked)) / max(1, len(want.ids))
        difference = compare(want, found, one)
        if difference and not one.first_difference:
            one.first_difference = f"user {person.user}: {difference}"


def compare(want: Answer, found: dict[str, Any], one: Check) -> str:
    """Counts one answer; what is wrong with it, if anything."""
    interests = found.get("interests", [])
    quotas = {interest["cluster"]: interest["quota"] for interest in interests}
    ids = [point["id"] for point in found["points"]]
    one.same_quotas += quotas == want.quotas
    one.same_list += ids == want.ids
    one.same_set += set(ids) == set(want.ids)
    wrong = _difference(want, found, quotas, ids)
    one.passes += not wrong
    return wrong


def _difference(want: Answer, found: dict[str, Any], quotas: dict[int, int],
                ids: list[int]) -> str:
    if quotas != want.quotas:
        return f"quotas by cluster {quotas}, wanted {want.quotas}"
    if ids == want.ids:
        return ""
    if len(ids) != len(want.ids) or len(set(ids)) != len(ids):
        return f"{len(ids)} hits, {len(set(ids))} different, wanted {len(want.ids)}"
    if set(ids) != set(want.ids):
        apart = np.abs(np.sort([_score(point) for point in found["points"]])
                       - np.sort(list(want.scores.values())))
        if apart.max() > SAME_SCORE:
            more, less = set(ids) - set(want.ids), set(want.ids) - set(ids)
            return f"found {sorted(more)[:5]} instead of {sorted(less)[:5]}"
    if not follows_merge(found):
        place = next(i for i, (a, b) in enumerate(zip(ids, want.ids, strict=True)) if a != b)
        return f"another order from place {place + 1} on"
    return ""


def _score(point: dict[str, Any]) -> float:
    return point["interest"]["score"] if "interest" in point else point["score"]


def follows_merge(found: dict[str, Any]) -> bool:
    """Whether the order is one that the weights and scores of the answer itself allow: by turns,
    each to a component that is furthest behind its share; or by score."""
    scores = np.array([_score(point) for point in found["points"]])
    if np.all(np.diff(scores) <= SAME_SCORE):
        return True
    if not found.get("interests"):
        return False
    weights = np.array([interest["weight"] for interest in found["interests"]])
    left = np.array([interest["returned"] for interest in found["interests"]])
    taken = np.zeros(len(weights))
    last = np.full(len(weights), np.inf)
    for place, point in enumerate(found["points"], 1):
        component = point["interest"]["component"]
        behind = np.where(left > taken, weights * place - taken, -np.inf)
        if (behind[component] < behind.max() - SAME_SHARE
                or point["interest"]["rank"] != taken[component]
                or scores[place - 1] > last[component] + SAME_SCORE):
            return False
        taken[component] += 1
        last[component] = scores[place - 1]
    return True
