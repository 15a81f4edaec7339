#!/usr/bin/python3
"""Judges sessions (rounds with feedback) on a running daemon with simulated people.

A simulated person likes the wanted items that they are shown - held-out ones of a recommendation
set, or a query's relevant documents of a BEIR folder - and the session goes on from there. Compared
with plain paging: the same first query repeated with a growing filter. Counted are the wanted items
found after every round, the rounds until the first and the third, items shown twice, bytes sent and
time; docs/evaluation.md says how.

  scripts/evaluate_sessions.py FOLDER...                    every strategy, on the test part
  scripts/evaluate_sessions.py FOLDER... --choose           chosen on validation, then test
  scripts/evaluate_sessions.py FOLDER... --split ratio --holdout 0.5 --min-wanted 3
  scripts/evaluate_sessions.py BEIR_FOLDER --limit 10 --min-wanted 3 --choose
"""

import argparse
import fnmatch
import json
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

import beir_daemon
import beir_data
import recommendation_data as recs
from recommendation_bootstrap import Bootstrap, gain
from recommendation_daemon import say
from recommendation_report import aligned, interval, percent
from session_audience import TEXT_START, Source, source_of
from session_simulation import Conversations, PagingRounds, SessionRounds, converse
from session_strategies import Body, first_round_by_adapter, starts, strategies
from tessera_client import DEFAULT_URL, Client, TesseraError
from trec_metrics import FormatError

PAGING = "paging"
FEEDBACK_ROUNDS = 3  # The round after them is the one that is compared.


def main() -> int:
    arguments = parse_arguments()
    try:
        client = Client(arguments.url)
        client.wait_ready(5)
        report = {"settings": vars(arguments), "sets": [
            evaluate(client, source_of(folder, arguments), arguments)
            for folder in arguments.folders]}
    except (recs.DataError, FormatError, TesseraError, OSError) as error:
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
    add("folders", nargs="+", metavar="FOLDER",
        help="recommendation sets, BEIR folders")
    add("--url", default=DEFAULT_URL, help="the daemon (default %(default)s)")
    add("--split", choices=recs.SPLITS, default="given")
    add("--holdout", type=float, default=0.2, metavar="SHARE", help="of --split ratio")
    beir_daemon.add_vector_arguments(parser)
    add("--users", type=int, default=500, metavar="N",
        help="people or queries; 0: all (default %(default)s)")
    add("--seed", type=int, default=42)
    add("--min-wanted", type=int, default=1, metavar="N",
        help="only those who want so many (default %(default)s)")
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
        help="first queries: " + ", ".join(known_starts()))
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
    texts = [folder for folder in arguments.folders if beir_data.is_folder(folder)]
    if arguments.adapter and texts:
        parser.error("--adapter is for recommendation sets")
    if len(texts) > 1 and (arguments.corpus_vectors or arguments.query_vectors):
        parser.error("--corpus-vectors and --query-vectors are for a single BEIR folder")
    if texts:
        if not (arguments.corpus_vectors or arguments.query_vectors):
            arguments.embed = "lsa"
        beir_daemon.check_vector_arguments(parser, arguments)
    elif arguments.corpus_vectors or arguments.query_vectors or arguments.embed:
        parser.error("--corpus-vectors, --query-vectors and --embed are for BEIR folders")
    if not 0 < arguments.holdout < 1:
        parser.error("--holdout must be between 0 and 1")
    for name, known in (("starts", known_starts()), ("strategies", list(strategies()))):
        if not picked(known, getattr(arguments, name)):
            parser.error(f"--{name}: none has such a name; known: {', '.join(known)}")
    return arguments


def known_starts() -> list[str]:
    return [*starts(), TEXT_START]


def picked(known: list[str], patterns: list[str]) -> list[str]:
    return [name for name in known if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


@dataclass(frozen=True)
class Talks:
    """Start -> "paging" and the strategies -> what came of it."""
    of: dict[str, dict[str, Conversations]]
    singles: frozenset[str]  # Starts of one vector.


def evaluate(client: Client, source: Source, arguments: argparse.Namespace) -> dict[str, Any]:
    wanted = {name: strategies()[name] for name in picked(list(strategies()),
                                                          arguments.strategies)}
    own_starts = picked(source.start_names, arguments.starts)
    if not own_starts:
        raise recs.DataError(f"{source.name}: --starts names none of its first queries: "
                             + ", ".join(source.start_names))
    choice = dict.fromkeys(own_starts, wanted)
    report: dict[str, Any] = {"set": source.name}
    if arguments.choose:
        talks = _talks(client, source, "valid", choice, arguments)
        report["valid"] = _report(talks, arguments)
        for start in own_starts:
            best = max(wanted, key=lambda name, of_start=talks.of[start]:
                       of_start[name].found[:, FEEDBACK_ROUNDS].mean())
            choice[start] = {best: wanted[best]}
        report["chosen"] = {start: next(iter(names)) for start, names in choice.items()}
        say(f"{source.name}, chosen: " + "; ".join(f"{start}: {name}" for start, name in
                                                   report["chosen"].items()))
    talks = _talks(client, source, "test", choice, arguments)
    report["test"] = _report(talks, arguments)
    print(_tables(source.name, report["test"]) + "\n", flush=True)
    return report


def _talks(client: Client, source: Source, part: str, choice: dict[str, dict[str, Any]],
           arguments: argparse.Namespace) -> Talks:
    """The single vectors are always paged, because one of them is what everything is compared
    with."""
    audience = source.audience(client, part)
    label = f"{source.name}, {part}"
    talks: dict[str, dict[str, Conversations]] = {}
    for start, body in audience.starts.items():
        if start not in choice and start not in audience.singles:
            continue
        talker = Talker(client, audience.collection, audience.people, f"{label}: {start}",
                        arguments.rounds)
        talks[start] = {PAGING: talker.paging(body)}
        for strategy_name, strategy in choice.get(start, {}).items():
            negatives = arguments.negatives if strategy.negatives is None else strategy.negatives
            talks[start][strategy_name] = talker.session(strategy_name, body, strategy.body,
                                                         negatives)
    if arguments.adapter:
        collection, adapter = arguments.adapter
        start_body, query = first_round_by_adapter(adapter, arguments.limit)
        talker = Talker(client, collection, audience.people, f"{label}: adapter",
                        arguments.rounds)
        talks["adapter"] = {PAGING: talker.paging(query), adapter: talker.session(
            adapter, start_body, None, arguments.negatives)}
    return Talks(talks, audience.singles)


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


def _report(talks: Talks, arguments: argparse.Namespace) -> dict[str, Any]:
    round_ = FEEDBACK_ROUNDS
    singles = {start: talks.of[start][PAGING] for start in talks.of if start in talks.singles}
    base_name = max(singles, key=lambda start: singles[start].found[:, round_].mean())
    base = singles[base_name]
    bootstrap = Bootstrap(len(base.found), arguments.seed, arguments.resamples)

    def gain_of(found: np.ndarray, against: np.ndarray) -> dict[str, Any]:
        values = found[:, None].astype(float)
        against = against.astype(float)
        return interval(gain(values, against), bootstrap.gains(values, against)[0])
    rows = []
    for start, ways in talks.of.items():
        paging = ways[PAGING].found
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
            row["gain_over_its_paging"] = gain_of(found[:, round_], paging[:, round_])
            row["gain_over_best_paging"] = gain_of(found[:, round_], base.found[:, round_])
            # The first round has no feedback yet: both ways answer it alike.
            row["gain_of_feedback_rounds"] = gain_of(found[:, round_] - found[:, 0],
                                                     paging[:, round_] - paging[:, 0])
            own = ways[PAGING].sent.mean(axis=0)
            row["bytes_saved_last_round"] = float(own[-1] / max(talk.sent[:, -1].mean(), 1e-9))
            rows.append(row)
    return {"people": len(base.found), "best_paging": base_name,
            "compared_round": FEEDBACK_ROUNDS + 1, "rows": rows}


def _tables(name: str, part: dict[str, Any]) -> str:
    rounds = len(part["rows"][0]["found"])
    quality = [["start, way"] + [f"found {number}" for number in range(1, rounds + 1)]
               + ["to 1st", "to 3rd", "repeats", "over its paging",
                  "the same, rounds with feedback", "over the best paging"]]
    cost = [["start, way"] + [f"bytes {number}" for number in range(1, rounds + 1)]
            + [f"ms {number}" for number in range(1, rounds + 1)] + ["fewer bytes"]]
    for row in part["rows"]:
        label = f"{row['start']}, {row['way']}"
        quality.append([label] + [f"{entry['value']:.3f}" for entry in row["found"]]
                       + [f"{row['rounds_to_first']:.2f}", f"{row['rounds_to_third']:.2f}",
                          str(row["repeats"]), percent(row["gain_over_its_paging"]),
                          percent(row["gain_of_feedback_rounds"]),
                          percent(row["gain_over_best_paging"])])
        cost.append([label] + [f"{sent:,.0f}" for sent in row["bytes_sent"]]
                    + [f"{ms:.2f}" for ms in row["ms"]]
                    + [f"{row['bytes_saved_last_round']:.1f}x"])
    return (f"{name}: {part['people']:,} people; wanted items found after each round; gains at "
            f"round {part['compared_round']}; best paging: {part['best_paging']}\n\n"
            + aligned(quality) + "\n\n" + aligned(cost))


if __name__ == "__main__":
    sys.exit(main())
