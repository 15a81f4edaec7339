#!/usr/bin/python3
"""Judges sessions (rounds with feedback) on a running daemon with simulated people.

A simulated person likes the held-out items that they are shown, and the session goes on from there.
Compared with plain paging: the same first query repeated with a growing filter. Counted are the
wanted items found after every round, the rounds until the first and the third, items shown twice,
bytes sent and time; docs/evaluation.md says how.

  scripts/evaluate_sessions.py FOLDER...                    every strategy, on the test part
  scripts/evaluate_sessions.py FOLDER... --choose           chosen on validation, then test
  scripts/evaluate_sessions.py FOLDER... --split ratio --holdout 0.5 --min-wanted 3
"""

import argparse
import fnmatch
import json
import sys
from typing import Any

import numpy as np

import recommendation_data as recs
from recommendation_bootstrap import Bootstrap, gain
from recommendation_daemon import LoadedSet, Loading, default_cluster_count, say
from recommendation_report import aligned, interval, percent
from session_simulation import Conversations, PagingRounds, SessionRounds, converse
from session_strategies import Body, first_round, first_round_by_adapter, starts, strategies
from tessera_client import DEFAULT_URL, Client, TesseraError

FEEDBACK_ROUNDS = 3  # The round after them is the one that is compared.


def main() -> int:
    arguments = parse_arguments()
    try:
        client = Client(arguments.url)
        client.wait_ready(5)
        report = {"settings": vars(arguments), "sets": [
            evaluate(client, folder, arguments) for folder in arguments.folders]}
    except (recs.DataError, TesseraError) as error:
        print(f"evaluate_sessions: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folders", nargs="+", metavar="FOLDER", help="recommendation sets")
    add("--url", default=DEFAULT_URL, help="the daemon (default %(default)s)")
    add("--split", choices=recs.SPLITS, default="given")
    add("--holdout", type=float, default=0.2, metavar="SHARE", help="of --split ratio")
    add("--users", type=int, default=500, metavar="N", help="people; 0: all (default %(default)s)")
    add("--seed", type=int, default=42)
    add("--min-wanted", type=int, default=1, metavar="N",
        help="only people with so many held-out items (default %(default)s)")
    add("--limit", type=int, default=20, metavar="N", help="of a round (default %(default)s)")
    add("--rounds", type=int, default=FEEDBACK_ROUNDS + 2, metavar="N",
        help="rounds, the first without feedback (default %(default)s)")
    add("--negatives", type=int, default=0, metavar="N",
        help="dislike the first N unwanted items of every round (default %(default)s), but for "
             "strategies that are named with a number of their own")
    add("--adapter", nargs=2, metavar=("COLLECTION", "NAME"),
        help="also sessions by this trained adapter, which must not have learned from the part; "
             "for a single folder")
    add("--starts", nargs="+", default=["*"], metavar="PATTERN",
        help="first queries: " + ", ".join(starts()))
    add("--strategies", nargs="+", default=["*"], metavar="PATTERN",
        help="session strategies: " + ", ".join(strategies()))
    add("--choose", action="store_true",
        help="per start, the strategy that finds most on validation, reported on test")
    add("--clusters", type=int, default=0, metavar="N",
        help="item clusters (default: 4 * sqrt(items), one per 39 items at most)")
    add("--resamples", type=int, default=2000, metavar="N", help="of the bootstrap")
    add("--json", metavar="FILE", help="write everything there as well")
    arguments = parser.parse_args()
    if arguments.rounds < FEEDBACK_ROUNDS + 1:
        parser.error(f"--rounds must be {FEEDBACK_ROUNDS + 1} or larger")
    if min(arguments.limit, arguments.min_wanted, arguments.resamples) < 1:
        parser.error("--limit, --min-wanted and --resamples must be 1 or larger")
    if min(arguments.users, arguments.seed, arguments.negatives, arguments.clusters) < 0:
        parser.error("--users, --seed, --negatives and --clusters must not be negative")
    if arguments.adapter and len(arguments.folders) > 1:
        parser.error("--adapter is for a single folder")
    if not 0 < arguments.holdout < 1:
        parser.error("--holdout must be between 0 and 1")
    for name, known in (("starts", starts()), ("strategies", strategies())):
        if not picked(known, getattr(arguments, name)):
            parser.error(f"--{name}: none has such a name; known: {', '.join(known)}")
    return arguments


def picked(known: dict[str, Any], patterns: list[str]) -> dict[str, Any]:
    return {name: value for name, value in known.items()
            if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)}


def evaluate(client: Client, folder: str, arguments: argparse.Namespace) -> dict[str, Any]:
    data = recs.load_set(folder, arguments.split, arguments.seed, arguments.holdout)
    wanted = picked(strategies(), arguments.strategies)
    choice = {start: wanted for start in picked(starts(), arguments.starts)}
    report: dict[str, Any] = {"set": data.name}
    if arguments.choose:
        talks = _talks(client, data, "valid", choice, arguments)
        report["valid"] = _report(talks, arguments)
        for start, of_start in talks.items():
            best = max(wanted, key=lambda name, of_start=of_start:
                       of_start[name].found[:, FEEDBACK_ROUNDS].mean())
            choice[start] = {best: wanted[best]}
        report["chosen"] = {start: next(iter(names)) for start, names in choice.items()}
        say(f"{data.name}, chosen: " + "; ".join(f"{start}: {name}" for start, name in
                                                 report["chosen"].items()))
    talks = _talks(client, data, "test", choice, arguments)
    report["test"] = _report(talks, arguments)
    print(_tables(data.name, report["test"]) + "\n", flush=True)
    return report


def _people(data: recs.RecommendationSet, part: str,
            arguments: argparse.Namespace) -> list[recs.Person]:
    everybody, _ = data.people(part, 0, arguments.seed)
    everybody = [person for person in everybody if len(person.wanted) >= arguments.min_wanted]
    if not everybody:
        raise recs.DataError(f"{data.name}: nobody wants {arguments.min_wanted} items in the "
                             f"{part} part")
    if 0 < arguments.users < len(everybody):
        drawn = np.random.default_rng(arguments.seed).choice(len(everybody), arguments.users,
                                                             replace=False)
        everybody = [everybody[place] for place in sorted(drawn)]
    return everybody


def _talks(client: Client, data: recs.RecommendationSet, part: str,
           choice: dict[str, dict[str, Any]],
           arguments: argparse.Namespace) -> dict[str, dict[str, Conversations]]:
    """Start -> "paging" and the strategies -> what came of it. The single vectors are always
    paged, because one of them is what everything is compared with."""
    people = _people(data, part, arguments)
    name = f"recs-{data.name}-{part}" if arguments.split == "given" else (
        f"recs-{data.name}-{arguments.split}-{arguments.seed}-{arguments.holdout:g}-{part}")
    loading = Loading(arguments.clusters or default_cluster_count(len(data.items)), arguments.seed)
    collection = LoadedSet(client, name, data, part, loading).collection
    talks: dict[str, dict[str, Conversations]] = {}
    for start, method in starts().items():
        if start not in choice and method.family != "single vector":
            continue
        body = first_round(data, method, arguments.limit)
        talker = Talker(client, collection, people, f"{data.name}, {part}: {start}",
                        arguments.rounds)
        talks[start] = {"paging": talker.paging(body)}
        for strategy_name, strategy in choice.get(start, {}).items():
            negatives = arguments.negatives if strategy.negatives is None else strategy.negatives
            talks[start][strategy_name] = talker.session(strategy_name, body, strategy.body,
                                                         negatives)
    if arguments.adapter:
        collection, adapter = arguments.adapter
        start_body, query = first_round_by_adapter(adapter, arguments.limit)
        talker = Talker(client, collection, people, f"{data.name}, {part}: adapter",
                        arguments.rounds)
        talks["adapter"] = {"paging": talker.paging(query), adapter: talker.session(
            adapter, start_body, None, arguments.negatives)}
    return talks


class Talker:
    """Conversations of the same people with one collection."""

    def __init__(self, client: Client, collection: str, people: list[recs.Person], label: str,
                 round_count: int):
        self._client, self._collection, self._people = client, collection, people
        self._label, self._round_count = label, round_count

    def paging(self, body: Body) -> Conversations:
        return converse(f"{self._label}, paging", self._people,
                        lambda: PagingRounds(self._client, self._collection), body,
                        self._round_count, 0)

    def session(self, name: str, body: Body, strategy: dict[str, Any] | None,
                negatives: int) -> Conversations:
        return converse(f"{self._label}, {name}", self._people,
                        lambda: SessionRounds(self._client, self._collection, strategy), body,
                        self._round_count, negatives)


# ---- report -------------------------------------------------------------------------------------


def _report(talks: dict[str, dict[str, Conversations]],
            arguments: argparse.Namespace) -> dict[str, Any]:
    round_ = FEEDBACK_ROUNDS
    singles = {start: ways["paging"] for start, ways in talks.items()
               if start not in ("interests", "adapter")}
    base_name = max(singles, key=lambda start: singles[start].found[:, round_].mean())
    base = singles[base_name]
    bootstrap = Bootstrap(len(base.found), arguments.seed, arguments.resamples)
    rows = []
    for start, ways in talks.items():
        for name, talk in ways.items():
            found = talk.found.astype(float)
            row = {"start": start, "way": name, "repeats": talk.repeats,
                   "found": [interval(mean, bounds) for mean, bounds in
                             zip(found.mean(axis=0), bootstrap.means(found), strict=True)],
                   "rounds_to_first": float(talk.first.mean()),
                   "rounds_to_third": float(talk.third.mean()),
                   "reached_first": float((talk.first <= talk.round_count).mean()),
                   "reached_third": float((talk.third <= talk.round_count).mean()),
                   "bytes_sent": talk.sent.mean(axis=0).tolist(),
                   "ms": (1000 * np.median(talk.seconds, axis=0)).tolist()}
            for key, other in (("gain_over_its_paging", ways["paging"]),
                               ("gain_over_best_paging", base)):
                values = found[:, [round_]]
                against = other.found[:, round_].astype(float)
                row[key] = interval(gain(values, against), bootstrap.gains(values, against)[0])
            own = ways["paging"].sent.mean(axis=0)
            row["bytes_saved_last_round"] = float(own[-1] / max(talk.sent[:, -1].mean(), 1e-9))
            rows.append(row)
    return {"people": len(base.found), "best_paging": base_name,
            "compared_round": FEEDBACK_ROUNDS + 1, "rows": rows}


def _tables(name: str, part: dict[str, Any]) -> str:
    rounds = len(part["rows"][0]["found"])
    quality = [["start, way"] + [f"found {number}" for number in range(1, rounds + 1)]
               + ["to 1st", "to 3rd", "repeats", "over its paging", "over the best paging"]]
    cost = [["start, way"] + [f"bytes {number}" for number in range(1, rounds + 1)]
            + [f"ms {number}" for number in range(1, rounds + 1)] + ["fewer bytes"]]
    for row in part["rows"]:
        label = f"{row['start']}, {row['way']}"
        quality.append([label] + [f"{entry['value']:.3f}" for entry in row["found"]]
                       + [f"{row['rounds_to_first']:.2f}", f"{row['rounds_to_third']:.2f}",
                          str(row["repeats"]), percent(row["gain_over_its_paging"]),
                          percent(row["gain_over_best_paging"])])
        cost.append([label] + [f"{sent:,.0f}" for sent in row["bytes_sent"]]
                    + [f"{ms:.2f}" for ms in row["ms"]]
                    + [f"{row['bytes_saved_last_round']:.1f}x"])
    return (f"{name}: {part['people']:,} people; wanted items found after each round; gains at "
            f"round {part['compared_round']}; best paging: {part['best_paging']}\n\n"
            + aligned(quality) + "\n\n" + aligned(cost))


if __name__ == "__main__":
    sys.exit(main())
