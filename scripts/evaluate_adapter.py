#!/usr/bin/python3
"""Judges a trained adapter on a running daemon: leave-one-out, all items ranked.

The collection and the adapter are those that scripts/train_adapter.py uploads (point id = item id).
Of everybody with three events or more the last item is looked for with the history before it, in
one round and in several; the gain of several over one comes with a bootstrap interval over people,
for the whole list and after every round.

  scripts/evaluate_adapter.py FOLDER --collection beauty --adapter default
  scripts/evaluate_adapter.py FOLDER --collection beauty --adapter default --rounds 5 2 --users 0
"""

import argparse
import json
import pathlib
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

import recommendation_data as recs
from progress import Progress
from recommendation_bootstrap import Bootstrap, gain
from recommendation_metrics import ranking_measures
from recommendation_report import aligned, interval, percent
from tessera_client import DEFAULT_URL, Client, TesseraError, chunks, path_of

CUTOFFS = (10, 50, 100)
HISTORY_MAX = 10_000  # That a request may hold.
SEARCHES_PER_REQUEST = 50
MEASURES = [f"{measure}@{k}" for measure in ("hit", "ndcg") for k in CUTOFFS]
OF_ROUNDS = ("hit", "ndcg", "recall")


@dataclass(frozen=True)
class Case:
    """A person's history, oldest first, and the item that came next."""
    user: int
    history: list[int]
    wanted: int


def main() -> int:
    arguments = parse_arguments()
    try:
        cases = draw(read_cases(arguments.folder, arguments.part), arguments.users, arguments.seed)
        client = Client(arguments.url)
        client.wait_ready(5)
        info = client.call("GET", f"{path_of(arguments.collection)}/adapters/{arguments.adapter}")
        report = evaluate(client, cases, arguments) | {"adapter": info, "settings": {
            key: value for key, value in vars(arguments).items() if key != "json"}}
    except (recs.DataError, TesseraError) as error:
        print(f"evaluate_adapter: {error}", file=sys.stderr)
        return 1
    print(table(report))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="the interactions: {train,valid,test}.tsv.gz")
    add("--collection", required=True, help="the item vectors and the adapter")
    add("--adapter", default="default", metavar="NAME", help="default: %(default)s")
    add("--url", default=DEFAULT_URL, help="the daemon (default %(default)s)")
    add("--part", choices=["valid", "test"], default="test",
        help="look for the last item, or for the one before it (default %(default)s)")
    add("--rounds", type=int, nargs="+", default=[5], metavar="N",
        help="compared with one round (default %(default)s)")
    add("--limit", type=int, default=100, metavar="N", help="items in all (default %(default)s)")
    add("--users", type=int, default=3000, metavar="N",
        help="people drawn by seed; 0: all (default %(default)s)")
    add("--seed", type=int, default=42)
    add("--context-includes-history", action="store_true",
        help="items of the history may be context of later rounds, as in the paper's evaluation")
    add("--exact", action="store_true", help="search by brute force")
    add("--resamples", type=int, default=2000, metavar="N", help="of the bootstrap")
    add("--json", metavar="FILE", help="write everything there as well")
    arguments = parser.parse_args()
    if min(arguments.limit, arguments.resamples, *arguments.rounds) < 1:
        parser.error("--rounds, --limit and --resamples must be 1 or larger")
    if min(arguments.users, arguments.seed) < 0:
        parser.error("--users and --seed must not be negative")
    arguments.rounds = [rounds for rounds in dict.fromkeys(arguments.rounds) if rounds > 1]
    return arguments


def read_cases(folder: str, part: str) -> list[Case]:
    """Everybody's items in order, the three files one after another; nothing is held out of people
    with fewer than three."""
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise recs.DataError(f"{folder}: no such folder")
    parts = [recs.load_split(root / f"{name}.tsv.gz") for name in recs.PARTS]
    back = 1 if part == "test" else 2
    cases = []
    for user in sorted(set().union(*parts)):
        items = [item for one in parts for item in one.get(user, ())]
        if len(items) >= 3:
            cases.append(Case(user, items[:-back][-HISTORY_MAX:], items[-back]))
    if not cases:
        raise recs.DataError(f"{folder}: nobody has three events")
    return cases


def draw(cases: list[Case], count: int, seed: int) -> list[Case]:
    if not 0 < count < len(cases):
        return cases
    chosen = np.random.default_rng(seed).choice(len(cases), count, replace=False)
    return [cases[place] for place in sorted(chosen)]


def search_of(case: Case, rounds: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The daemon leaves the history out of the answer. Where the wanted item is one of it, a filter
    leaves out the rest instead, but for context_includes_history, which has no such exception:
    there the item cannot be found."""
    refine: dict[str, Any] = {"history": case.history, "rounds": rounds,
                              "strategy": {"adapter": arguments.adapter}}
    body: dict[str, Any] = {"query": {"refine": refine}, "limit": arguments.limit}
    if arguments.context_includes_history:
        refine["context_includes_history"] = True
    elif case.wanted in case.history:
        refine["exclude_history"] = False
        known = sorted(set(case.history) - {case.wanted})
        body["filter"] = {"must_not": [{"has_id": known}]}
    if arguments.exact:
        body["params"] = {"exact": True}
    return body


def checked(case: Case, found: list[int]) -> list[bool]:
    """Which place of an answer holds the wanted item."""
    if len(set(found)) != len(found):
        raise recs.DataError(f"user {case.user}: the answer repeats an item")
    if set(found).intersection(case.history) - {case.wanted}:
        raise recs.DataError(f"user {case.user}: the answer holds an item of the history")
    return [item == case.wanted for item in found]


def round_ends(limit: int, rounds: int) -> list[int]:
    """How many items there are after every round."""
    size = -(-limit // rounds)
    return [min(limit, begin + size) for begin in range(0, limit, size)]


def run_rounds(client: Client, cases: list[Case], rounds: int,
               arguments: argparse.Namespace) -> tuple[list[list[bool]], float]:
    """Which places hold the wanted item, and milliseconds a query."""
    rows, seconds = [], 0.0
    progress = Progress(f"{rounds} round{'s' if rounds > 1 else ''}", len(cases))
    for group in chunks(cases, SEARCHES_PER_REQUEST):
        searches = [search_of(case, rounds, arguments) for case in group]
        started = time.monotonic()
        results = client.query_batch(arguments.collection, searches)
        seconds += time.monotonic() - started
        rows += [checked(case, [point["id"] for point in result["points"]])
                 for case, result in zip(group, results, strict=True)]
        progress.add(len(group))
    progress.finish()
    return rows, 1000 * seconds / len(cases)


def values_at(rows: list[list[bool]], measures: tuple[str, ...], begin: int,
              ends: tuple[int, ...]) -> dict[str, np.ndarray]:
    """A value a person: "hit@50" and so on, over the places from `begin` on up to each of `ends`.
    With one wanted item recall is the hit rate, and nDCG 1 / log2(rank + 1)."""
    depths = tuple(end - begin for end in ends)
    judged = [ranking_measures(row[begin:], 1, depths) for row in rows]
    return {f"{measure}@{end}": np.array([one[f"{measure}@{depth}"] for one in judged])
            for measure in measures for end, depth in zip(ends, depths, strict=True)}


class Comparison:
    """Means and paired gains, all with the same resamples of people."""

    def __init__(self, bootstrap: Bootstrap):
        self._bootstrap = bootstrap

    def means(self, values: dict[str, np.ndarray]) -> dict[str, Any]:
        return {name: interval(one.mean(), self._bootstrap.means(one[:, None])[0])
                for name, one in values.items()}

    def gains(self, values: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict[str, Any]:
        return {name: interval(gain(one, base[name]),
                               self._bootstrap.gains(one[:, None], base[name])[0])
                for name, one in values.items()}

    def per_round(self, rows: list[list[bool]], base_rows: list[list[bool]],
                  ends: list[int]) -> list[dict[str, Any]]:
        """After every round against as many items of one round; and every round's own items."""
        result = []
        for number, end in enumerate(ends, 1):
            so_far, base = (values_at(some, OF_ROUNDS, 0, (end,)) for some in (rows, base_rows))
            begin = ends[number - 2] if number > 1 else 0
            own = values_at(rows, OF_ROUNDS, begin, (end,))
            result.append({"round": number, "items": end} | {
                name: {measure.partition("@")[0]: value for measure, value in part.items()}
                for name, part in (("cumulative", self.means(so_far)), ("one", self.means(base)),
                                   ("gain", self.gains(so_far, base)), ("own", self.means(own)))})
        return result


def evaluate(client: Client, cases: list[Case], arguments: argparse.Namespace) -> dict[str, Any]:
    comparison = Comparison(Bootstrap(len(cases), arguments.seed, arguments.resamples))
    base_rows, base_ms = run_rounds(client, cases, 1, arguments)
    base = values_at(base_rows, ("hit", "ndcg"), 0, CUTOFFS)
    rows = [{"rounds": 1, "ms_per_query": base_ms, "measures": comparison.means(base)}]
    for rounds in arguments.rounds:
        found, milliseconds = run_rounds(client, cases, rounds, arguments)
        values = values_at(found, ("hit", "ndcg"), 0, CUTOFFS)
        rows.append({"rounds": rounds, "ms_per_query": milliseconds,
                     "measures": comparison.means(values), "gain": comparison.gains(values, base),
                     "per_round": comparison.per_round(found, base_rows,
                                                       round_ends(arguments.limit, rounds))})
    return {"people": len(cases), "rows": rows}


def table(report: dict[str, Any]) -> str:
    rows = [["rounds"] + MEASURES + ["ms"]]
    for row in report["rows"]:
        rows.append([str(row["rounds"])]
                    + [f"{row['measures'][measure]['value']:.4f}" for measure in MEASURES]
                    + [f"{row['ms_per_query']:.2f}"])
    text = f"{report['people']:,} people, leave-one-out, all items ranked\n\n" + aligned(rows)
    gains = [["rounds"] + MEASURES]
    gains += [[f"{row['rounds']} against 1"] + [percent(row["gain"][measure])
                                                for measure in MEASURES]
              for row in report["rows"] if "gain" in row]
    text += "\n\n" + aligned(gains) if len(gains) > 1 else ""
    return text + "".join("\n\n" + rounds_table(row) for row in report["rows"]
                          if "per_round" in row)


def rounds_table(row: dict[str, Any]) -> str:
    names = {"hit": "HR", "ndcg": "NDCG", "recall": "Recall"}
    head = ["after round", "items"]
    for text in ("{}", "{}, 1 round", "{} gain", "{} of its own"):
        head += [text.format(names[measure]) for measure in OF_ROUNDS]
    rows = [head]
    for one in row["per_round"]:
        cells = [str(one["round"]), str(one["items"])]
        for part in ("cumulative", "one", "gain", "own"):
            cells += [percent(one[part][measure]) if part == "gain"
                      else f"{one[part][measure]['value']:.4f}" for measure in OF_ROUNDS]
        rows.append(cells)
    return f"{row['rounds']} rounds, one by one\n\n" + aligned(rows)


if __name__ == "__main__":
    sys.exit(main())
