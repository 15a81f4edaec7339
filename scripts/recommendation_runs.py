"""Asks all questions for all people and keeps one value a person, measure and method."""

import time
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np

import recommendation_metrics as metrics
from progress import Progress
from recommendation_data import DataError, Person, RecommendationSet
from recommendation_daemon import SEARCHES_PER_REQUEST
from recommendation_methods import LIMIT, ROUNDS, Method, search_body
from tessera_client import chunks

Answer = Callable[[list[dict[str, Any]]], list[list[int]]]  # Search bodies -> lists of item ids.
Values = dict[str, np.ndarray]  # Measure -> a value a person.
ROUND_ENDS = tuple(LIMIT // ROUNDS * number for number in range(1, ROUNDS + 1))


@dataclass
class MethodRun:
    method: Method
    values: Values
    coverage: float
    ms_per_query: float


@dataclass
class PartRun:
    """One part of one set. With several seeds a person's value is the mean over the draws that
    they were in, so that `users` are distinct."""
    set_name: str
    part: str
    users: np.ndarray
    lengths: np.ndarray  # Of the histories, in the order of `users`.
    methods: list[MethodRun]
    about: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> MethodRun:
        return next(run for run in self.methods if run.method.name == name)


@dataclass
class Draw:
    """The people of one seed, and what they are judged with."""
    data: RecommendationSet
    part: str
    people: list[Person]
    known: metrics.Background


def run_draw(draw: Draw, methods: list[Method], answer: Answer, exact: bool,
             about: dict[str, Any]) -> PartRun:
    runs = []
    progress = Progress(f"{draw.data.name}, {draw.part}", len(draw.people) * len(methods))
    for method in methods:
        lists, seconds = ask(draw, method, answer, exact, progress)
        values = metrics.judge(draw.known, draw.people, lists)
        values |= by_rounds(draw.people, lists)
        runs.append(MethodRun(method, values, metrics.coverage(draw.known, lists),
                              1000 * seconds / len(draw.people)))
    progress.finish()
    return PartRun(draw.data.name, draw.part, np.array([person.user for person in draw.people]),
                   np.array([len(person.history) for person in draw.people]), runs, about)


def ask(draw: Draw, method: Method, answer: Answer, exact: bool,
        progress: Progress) -> tuple[list[list[int]], float]:
    """Lists, and the seconds spent waiting for answers (not for building the requests)."""
    lists: list[list[int]] = []
    seconds = 0.0
    for group in chunks(draw.people, SEARCHES_PER_REQUEST):
        searches = [search_body(method, person, draw.data.item_vectors, exact) for person in group]
        started = time.monotonic()
        lists.extend(answer(searches))
        seconds += time.monotonic() - started
        progress.add(len(group))
    for person, items in zip(draw.people, lists, strict=True):
        if len(set(items)) != len(items) or set(items).intersection(person.history.tolist()):
            raise DataError(f"{method.name}: the answer for user {person.user} repeats an item or "
                            "holds one of the history")
    return lists, seconds


def by_rounds(people: list[Person], lists: list[list[int]]) -> Values:
    """Recall, hit and nDCG after every round, "recall@round 1" and so on: cumulative."""
    rows = [metrics.ranking_measures([item in person.wanted for item in items], len(person.wanted),
                                     ROUND_ENDS)
            for person, items in zip(people, lists, strict=True)]
    return {f"{measure}@round {number}": np.array([row[f"{measure}@{end}"] for row in rows])
            for measure in ("recall", "hit", "ndcg") for number, end in enumerate(ROUND_ENDS, 1)}


def merged(runs: list[PartRun]) -> PartRun:
    """The runs of several seeds, with the same methods, as one."""
    if len(runs) == 1:
        return runs[0]
    drawn = np.concatenate([run.users for run in runs])
    users, first, place = np.unique(drawn, return_index=True, return_inverse=True)
    counts = np.bincount(place)
    methods = []
    for position, entry in enumerate(runs[0].methods):
        entries = [run.methods[position] for run in runs]
        values = {measure: np.bincount(place, np.concatenate(
            [one.values[measure] for one in entries])) / counts for measure in entry.values}
        methods.append(MethodRun(entry.method, values,
                                 float(np.mean([one.coverage for one in entries])),
                                 float(np.mean([one.ms_per_query for one in entries]))))
    lengths = np.concatenate([run.lengths for run in runs])[first]
    return PartRun(runs[0].set_name, runs[0].part, users, lengths, methods, runs[0].about)


# ---- choice of settings on a validation part ------------------------------------------------


def best_single(run: PartRun, measure: str) -> MethodRun:
    singles = [entry for entry in run.methods if entry.method.family == "single vector"]
    if not singles:
        raise DataError("--methods leaves no single vector to compare with")
    return max(singles, key=lambda entry: entry.values[measure].mean())


def chosen_each(run: PartRun, measure: str) -> dict[str, Method]:
    """By family the settings with the best mean; ties to those listed first."""
    return _best_by_family([run], lambda entries: entries[0].values[measure].mean())


def chosen_common(runs: list[PartRun], measure: str) -> dict[str, Method]:
    """By family the one choice for all sets whose smallest gain over the sets' best single vectors
    is largest; ties to those listed first."""
    bases = [best_single(run, measure).values[measure].mean() for run in runs]

    def worst_gain(entries: list[MethodRun]) -> float:
        return min(entry.values[measure].mean() / base if base else 0.0
                   for entry, base in zip(entries, bases, strict=True))
    return _best_by_family(runs, worst_gain)


def _best_by_family(runs: list[PartRun],
                    worth: Callable[[list[MethodRun]], float]) -> dict[str, Method]:
    best: dict[str, tuple[float, Method]] = {}
    for entry in runs[0].methods:
        method = entry.method
        if not method.has_choice:
            continue
        value = worth([run.of(method.name) for run in runs])
        if method.family not in best or value > best[method.family][0]:
            best[method.family] = (value, method)
    return {family: method for family, (_, method) in best.items()}
