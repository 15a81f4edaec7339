#!/usr/bin/python3
"""Judges a trained adapter on a running daemon: leave-one-out, all items ranked.

The collection and the adapter are those that scripts/train_adapter.py uploads (point id = item id).
Of everybody with three events or more the last item is looked for with the history before it, in
one round and in several; the gain of several over one comes with a bootstrap interval over people.

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
    """The history never comes back, but for the wanted item where it is one of it. With
    context_includes_history a filter would keep it out of the context as well: there the daemon
    leaves the history out of the answer by itself."""
    refine: dict[str, Any] = {"history": case.history, "rounds": rounds,
                              "strategy": {"adapter": arguments.adapter}}
    body: dict[str, Any] = {"query": {"refine": refine}, "limit": arguments.limit}
    if arguments.context_includes_history:
        refine["context_includes_history"] = True
    else:
        known = sorted(set(case.history) - {case.wanted})
        body["filter"] = {"must_not": [{"has_id": known}]}
    if arguments.exact:
        body["params"] = {"exact": True}
    return body


def measured(case: Case, found: list[int]) -> dict[str, float]:
    """Hit rate, and nDCG of the one wanted item: 1 / log2(rank + 1)."""
    if len(set(found)) != len(found):
        raise recs.DataError(f"user {case.user}: the answer repeats an item")
    if set(found).intersection(case.history) - {case.wanted}:
        raise recs.DataError(f"user {case.user}: the answer holds an item of the history")
    return ranking_measures([item == case.wanted for item in found], 1, CUTOFFS)


def run_rounds(client: Client, cases: list[Case], rounds: int,
               arguments: argparse.Namespace) -> tuple[dict[str, np.ndarray], float]:
    """A value a person and measure, and milliseconds a query."""
    rows, seconds = [], 0.0
    progress = Progress(f"{rounds} round{'s' if rounds > 1 else ''}", len(cases))
    for group in chunks(cases, SEARCHES_PER_REQUEST):
        searches = [search_of(case, rounds, arguments) for case in group]
        started = time.monotonic()
        results = client.query_batch(arguments.collection, searches)
        seconds += time.monotonic() - started
        rows += [measured(case, [point["id"] for point in result["points"]])
                 for case, result in zip(group, results, strict=True)]
        progress.add(len(group))
    progress.finish()
    return ({measure: np.array([row[measure] for row in rows]) for measure in MEASURES},
            1000 * seconds / len(cases))


def evaluate(client: Client, cases: list[Case], arguments: argparse.Namespace) -> dict[str, Any]:
    bootstrap = Bootstrap(len(cases), arguments.seed, arguments.resamples)
    base, base_ms = run_rounds(client, cases, 1, arguments)
    rows = [{"rounds": 1, "ms_per_query": base_ms, "measures": {
        measure: interval(base[measure].mean(), bootstrap.means(base[measure][:, None])[0])
        for measure in MEASURES}}]
    for rounds in arguments.rounds:
        values, milliseconds = run_rounds(client, cases, rounds, arguments)
        rows.append({"rounds": rounds, "ms_per_query": milliseconds, "measures": {
            measure: interval(values[measure].mean(),
                              bootstrap.means(values[measure][:, None])[0])
            for measure in MEASURES}, "gain": {
            measure: interval(gain(values[measure], base[measure]),
                              bootstrap.gains(values[measure][:, None], base[measure])[0])
            for measure in MEASURES}})
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
    return text + ("\n\n" + aligned(gains) if len(gains) > 1 else "")


if __name__ == "__main__":
    sys.exit(main())
