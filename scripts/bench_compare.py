"""Compares two results of `bench/run search --json` or `bench/run http --json`.

    bench_compare.py OLD.json NEW.json [--tolerance PERCENT]

Machines differ and are busy; what a run compared with a rival in the same process is steadier. So
only the ratios of the two runs are compared. Exit status 0, 1 (a ratio got worse by more than the
tolerance, or is missing from the new result) or 2 (the results cannot be compared).
"""

import argparse
import json
import math
import sys
from dataclasses import dataclass

# What must agree before ratios mean the same.
SAME = ["benchmark", "data"]
SAME_SETTING = ["rows", "dim", "metric", "queries", "m", "ef_construct", "build_threads"]


class ResultError(Exception):
    """A file is no result, or the two are of different work; the text says where."""


@dataclass
class Change:
    name: str
    label: str
    old: float
    new: float | None    # None: not in the new result.
    worse_percent: float  # Negative: better.
    verdict: str          # "same", "better", "WORSE", "MISSING"

    @property
    def is_regression(self) -> bool:
        return self.verdict in ("WORSE", "MISSING")


def load(path: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    except (OSError, ValueError) as error:
        raise ResultError(f"{path}: {error}") from error
    if not isinstance(result, dict) or not isinstance(result.get("ratios"), list):
        raise ResultError(f"{path}: ratios: not a list; is it a result of bench/run?")
    for i, ratio in enumerate(result["ratios"]):
        check_ratio(f"{path}: ratios[{i}]", ratio)
    return result


def check_ratio(place: str, ratio) -> None:
    if not isinstance(ratio, dict) or not isinstance(ratio.get("name"), str):
        raise ResultError(f"{place}.name: not a string")
    value = ratio.get("value")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (
            math.isfinite(value) and value > 0):
        raise ResultError(f"{place}.value: not a number above 0")
    if ratio.get("better") not in ("higher", "lower"):
        raise ResultError(f"{place}.better: neither \"higher\" nor \"lower\"")


def check_same_work(old: dict, new: dict) -> None:
    pairs = [(name, old.get(name), new.get(name)) for name in SAME]
    settings = [result.get("setting", {}) for result in (old, new)]
    pairs += [(f"setting.{name}", *(setting.get(name) for setting in settings))
              for name in SAME_SETTING]
    for name, before, after in pairs:
        if before != after:
            raise ResultError(f"{name}: {before} and {after}: not the same work")


def worse_percent(old: float, new: float, better: str) -> float:
    """How much more of the bad there is: 50 when a speed falls to two thirds, or a cost rises by
    half, so that a change there and one back cancel out."""
    return 100 * ((old / new if better == "higher" else new / old) - 1)


def compare(old: dict, new: dict, tolerance: float) -> list[Change]:
    """In the order of the old result; ratios that only the new one has are left out."""
    check_same_work(old, new)
    by_name = {ratio["name"]: ratio for ratio in new["ratios"]}
    changes = []
    for before in old["ratios"]:
        name, label = before["name"], before.get("label", before["name"])
        after = by_name.get(name)
        if after is None:
            changes.append(Change(name, label, before["value"], None, math.inf, "MISSING"))
            continue
        worse = worse_percent(before["value"], after["value"], before["better"])
        better = worse_percent(after["value"], before["value"], before["better"])
        verdict = "WORSE" if worse > tolerance else "better" if better > tolerance else "same"
        changes.append(Change(name, label, before["value"], after["value"], worse, verdict))
    return changes


def table(changes: list[Change]) -> str:
    width = max([len(change.label) for change in changes], default=0)
    lines = [f"{'ratio':{width}}  {'old':>8}  {'new':>8}  {'worse by':>8}"]
    for change in changes:
        new = "-" if change.new is None else f"{change.new:.2f}"
        worse = "-" if change.new is None else f"{change.worse_percent:+.0f} %"
        lines.append(f"{change.label:{width}}  {change.old:8.2f}  {new:>8}  {worse:>8}  "
                     f"{change.verdict}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench/run compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", metavar="OLD.json")
    parser.add_argument("new", metavar="NEW.json")
    parser.add_argument("--tolerance", type=float, default=15, metavar="PERCENT",
                        help="how much worse is still the same (15)")
    given = parser.parse_args(arguments)
    if not given.tolerance >= 0:
        parser.error("--tolerance: not a number from 0 on")
    try:
        changes = compare(load(given.old), load(given.new), given.tolerance)
    except ResultError as error:
        print(f"bench/run compare: {error}", file=sys.stderr)
        return 2
    print(table(changes))
    regressions = [change for change in changes if change.is_regression]
    if not changes:
        print("bench/run compare: the old result has no ratios", file=sys.stderr)
        return 2
    print(f"\n{len(regressions)} of {len(changes)} ratios are worse by more than "
          f"{given.tolerance:g} % or missing")
    return 1 if regressions else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
