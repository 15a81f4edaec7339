"""The daemon's answers against the numpy oracle, person by person and hit by hit.

The oracle takes from the daemon what is not the method's business: the stored vectors to the bit,
and which cluster every item is in. In exact mode quotas and lists must be the same; where they are
not, the scores of the hits that differ say whether two of them were merely too close for single
precision (SAME_SCORE).
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


@dataclass
class Check:
    """Of one method: how many answers were as wanted. `first_difference` names the first that is
    neither the same nor explained by equal scores."""
    name: str
    answers: int = 0
    same_list: int = 0
    same_set: int = 0
    close_scores: int = 0  # Another list, but no score at any place is off by more than SAME_SCORE.
    same_quotas: int = 0
    overlap: float = 0.0  # With the index: share of the exact list that came back, mean.
    first_difference: str = ""

    @property
    def passed(self) -> bool:
        return (self.same_quotas == self.answers
                and self.same_list + self.close_scores == self.answers)

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
    quotas = [interest["quota"] for interest in found.get("interests", [])]
    same_quotas = quotas == want.quotas
    one.same_quotas += same_quotas
    ids = [point["id"] for point in found["points"]]
    one.same_set += set(ids) == set(want.ids)
    if not same_quotas:
        return f"quotas {quotas}, wanted {want.quotas}"
    if ids == want.ids:
        one.same_list += 1
        return ""
    if len(ids) == len(want.ids):
        scores = [interest["score"] if (interest := point.get("interest")) else point["score"]
                  for point in found["points"]]
        apart = max(abs(score - want.scores[item])
                    for score, item in zip(scores, want.ids, strict=True))
        if apart <= SAME_SCORE:
            one.close_scores += 1
            return ""
    place = next((i for i, (a, b) in enumerate(zip(ids, want.ids)) if a != b),
                 min(len(ids), len(want.ids)))
    return (f"{len(ids)} hits, wanted {len(want.ids)}; at place {place + 1} "
            f"{ids[place:place + 1]}, wanted {want.ids[place:place + 1]}")
