#!/usr/bin/python3
"""Judges recommendation queries on a running daemon, on any number of data sets.

Loads every set (see recommendation_data.py) into collections of its own, trains item clusters, asks
for 100 items a person in many ways and compares them with what each person took next: recall, nDCG,
hit rate, diversity, category coverage, novelty, with bootstrap intervals over people and gains over
the best single vector. docs/evaluation.md says how each is measured.

  scripts/evaluate_recs.py FOLDER...                       every method on the test part
  scripts/evaluate_recs.py FOLDER... --choose each         settings chosen on validation, per set
  scripts/evaluate_recs.py FOLDER... --choose common       one choice for all sets
  scripts/evaluate_recs.py FOLDER... --rounds              strategies of query.refine, chosen
  scripts/evaluate_recs.py FOLDER... --check-oracle        the daemon against numpy, hit by hit
  scripts/evaluate_recs.py FOLDER... --oracle              numpy instead of a daemon
"""

import argparse
import fnmatch
import json
import pathlib
import sys
from typing import Any

import numpy as np

import recommendation_data as recs
import recommendation_metrics as metrics
import recommendation_report as reports
from recommendation_check import check, daemon_oracle, stored_users
from recommendation_daemon import LoadedSet, Loading, default_cluster_count, say
from recommendation_methods import (Method, all_methods, defaults, refinements, search_body,
                                    single_vectors)
from recommendation_oracle import Catalogue, Oracle, Unsupported, spherical_kmeans
from recommendation_plot import PlotError, draw_all
from recommendation_runs import (Draw, PartRun, chosen_common, chosen_each, merged, run_draw)
from tessera_client import DEFAULT_URL, Client, TesseraError

OVERLAP_MIN = 0.97  # Of the index's first hundred with the exact ones.
CHOICE_MEASURES = [f"{measure}@{k}" for measure in ("recall", "ndcg", "hit")
                   for k in metrics.CUTOFFS]


def main() -> int:
    arguments = parse_arguments()
    try:
        evaluation = Evaluation(arguments)
        if arguments.check_oracle:
            report, good = evaluation.check_oracle()
        elif arguments.rounds:
            report, good = evaluation.rounds(), True
        else:
            report, good = evaluation.compare(), True
        if arguments.plots:
            for path in draw_all(report.get("valid") or report["test"], arguments.plots):
                say(f"wrote {path}")
    except (recs.DataError, TesseraError, PlotError) as error:
        print(f"evaluate_recs: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return 0 if good else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folders", nargs="+", metavar="FOLDER", help="recommendation sets")
    add("--url", default=DEFAULT_URL, help="the daemon (default %(default)s)")
    add("--split", choices=recs.SPLITS, default="given",
        help="the files' parts as they are, or all of a person's items divided again, with vectors "
             "made from the train part (default %(default)s)")
    add("--holdout", type=float, default=0.2, metavar="SHARE",
        help="with --split ratio: the share of the test part (default %(default)s)")
    add("--part", choices=["valid", "test"], default="test")
    add("--users", type=int, default=1000, metavar="N",
        help="people drawn by each seed; 0: all (default %(default)s)")
    add("--history-max", type=int, default=0, metavar="N",
        help="only people with histories of at most N items; 0: all lengths")
    add("--seeds", type=int, nargs="+", default=[42], metavar="N",
        help="of the people, the item clusters and --split ratio; results are averaged")
    add("--methods", nargs="+", default=["*"], metavar="PATTERN",
        help="only methods with such names, for example 'interests 10*' user")
    add("--choose", nargs="?", const="each", choices=["each", "common"],
        help="per family, the settings that are best on validation, reported on test")
    add("--choose-by", choices=CHOICE_MEASURES,
        help="also decides which single vector is the best (default: recall@50, with --rounds "
             "recall@100)")
    add("--rounds", action="store_true", help="refine strategies, per round, against one round")
    add("--clusters", type=int, default=0, metavar="N",
        help="item clusters (default: 4 * sqrt(items), one per 39 items at most)")
    add("--index", choices=["hnsw", "flat", "ivf_flat", "ivf_sq8", "ivf_pq"],
        help="index type of newly created collections (default: the daemon's)")
    add("--exact", action="store_true", help="search by brute force")
    add("--reload", action="store_true", help="load again what is there already")
    add("--categories", metavar="FILE", help="of items, for a single set (default: found in its "
        "folder, else clusters of the items)")
    add("--resamples", type=int, default=2000, metavar="N", help="of the bootstrap")
    add("--check-oracle", action="store_true",
        help="compare the daemon's answers with a numpy implementation; fails on a difference")
    add("--oracle", action="store_true", help="answer with numpy instead of a daemon")
    add("--json", metavar="FILE", help="write everything there as well")
    add("--plots", metavar="FOLDER", help="write recall against diversity there, an SVG a set")
    arguments = parser.parse_args()
    arguments.choose_by = arguments.choose_by or f"recall@{100 if arguments.rounds else 50}"
    if min(arguments.clusters, arguments.users, arguments.history_max, *arguments.seeds) < 0:
        parser.error("--clusters, --users, --history-max and --seeds must not be negative")
    if arguments.resamples < 1:
        parser.error("--resamples must be 1 or larger")
    if not 0 < arguments.holdout < 1:
        parser.error("--holdout must be between 0 and 1")
    if arguments.categories and len(arguments.folders) > 1:
        parser.error("--categories is for a single set")
    if arguments.oracle and (arguments.check_oracle or arguments.rounds):
        parser.error("--oracle goes with neither --check-oracle nor --rounds")
    if arguments.plots and (arguments.check_oracle or arguments.rounds):
        parser.error("--plots goes with neither --check-oracle nor --rounds")
    return arguments


class Evaluation:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.client: Client | None = None
        if not arguments.oracle:
            self.client = Client(arguments.url)
            self.client.wait_ready(5)

    # ---- what can be asked for

    def compare(self) -> dict[str, Any]:
        arguments = self.arguments
        methods = self._selected(all_methods())
        report = self._head()
        if not arguments.choose:
            runs = [self._run(folder, arguments.part, methods) for folder in arguments.folders]
            report[arguments.part] = self._shown(runs)
            return report
        found = [self._run(folder, "valid", methods) for folder in arguments.folders]
        report["valid"] = self._shown(found)
        chosen = self._choices(found)
        report["chosen"] = {run.set_name: {family: method.as_json()
                                           for family, method in choice.items()}
                            for run, choice in zip(found, chosen, strict=True)}
        print(self._choice_table(found, chosen) + "\n")
        runs = [self._run(folder, "test", [method for method in methods if not method.has_choice]
                          + list(choice.values()))
                for folder, choice in zip(arguments.folders, chosen, strict=True)]
        report["test"] = self._shown(runs)
        return report

    def rounds(self) -> dict[str, Any]:
        """Per base the strategy that is best on validation, the single round among them."""
        arguments = self.arguments
        methods = single_vectors() + refinements(self._selected(single_vectors() + defaults()[:1]))
        report = self._head() | {"valid": [], "test": []}
        for folder in arguments.folders:
            found = self._run(folder, "valid", methods)
            report["valid"].append(reports.report_part(found, arguments.choose_by,
                                                       arguments.seeds[0], arguments.resamples))
            best = chosen_each(found, arguments.choose_by)
            wanted, against = list(single_vectors()), {}
            for family, method in best.items():
                single = next(one for one in methods if one.family == family)
                wanted += [single] if method is single else [single, method]
                against[method.name] = single.name
            run = self._run(folder, "test", wanted)
            part = reports.report_part(run, arguments.choose_by, arguments.seeds[0],
                                       arguments.resamples)
            part["rounds"] = reports.report_rounds(run, against, arguments.seeds[0],
                                                   arguments.resamples)
            report["test"].append(part)
            print(reports.rounds_table(part, against) + "\n", flush=True)
        return report

    def check_oracle(self) -> tuple[dict[str, Any], bool]:
        """The report, and whether everything was as wanted."""
        arguments = self.arguments
        methods = self._selected(all_methods() + refinements(single_vectors()))
        report, good = self._head() | {"checks": []}, True
        for folder in arguments.folders:
            data = recs.load_set(folder, arguments.split, arguments.seeds[0], arguments.holdout)
            loaded = self._loaded(data, arguments.part, arguments.seeds[0], methods)
            oracle = daemon_oracle(loaded, data, arguments.part)
            people, _ = data.people(arguments.part, arguments.users, arguments.seeds[0],
                                    arguments.history_max)
            result = check(loaded, oracle, data, people, methods)
            rows = [["method", "people", "same quotas", "same items", "same list",
                     "index overlap@100", "verdict"]]
            for one in result.checks:
                rows.append([one.name, str(one.answers), str(one.same_quotas), str(one.same_set),
                             str(one.same_list), f"{one.overlap:.4f}",
                             "same" if one.passed else one.first_difference])
            rows += [[name, "", "", "", "", "", f"not checked: {why}"]
                     for name, why in result.skipped.items()]
            print(f"{data.name} against numpy\n\n" + reports.aligned(rows) + "\n", flush=True)
            good = good and all(one.passed and one.overlap >= OVERLAP_MIN
                                for one in result.checks)
            report["checks"].append({"set": data.name, "people": len(people),
                                     "methods": [one.as_json() for one in result.checks],
                                     "skipped": result.skipped} | loaded.describe())
        return report, good

    # ---- steps

    def _head(self) -> dict[str, Any]:
        names = ("split", "holdout", "users", "history_max", "seeds", "choose", "choose_by",
                 "clusters", "index", "exact", "resamples")
        return {"settings": {name: getattr(self.arguments, name) for name in names}}

    def _selected(self, methods: list[Method]) -> list[Method]:
        """Those that --methods names, and always the single vectors that all are compared with."""
        patterns = self.arguments.methods
        found = [method for method in methods
                 if any(fnmatch.fnmatch(method.name, pattern) for pattern in patterns)]
        if not found:
            raise recs.DataError("--methods: no method has such a name; known: "
                                 + ", ".join(method.name for method in methods))
        if self.arguments.check_oracle or self.arguments.rounds:
            return found
        return single_vectors() + [method for method in found if method.family != "single vector"]

    def _run(self, folder: str, part: str, methods: list[Method]) -> PartRun:
        arguments = self.arguments
        runs = []
        for seed in arguments.seeds:
            data = recs.load_set(folder, arguments.split, seed, arguments.holdout)
            say(f"{data.name}: {len(data.items):,} of {len(data.item_vectors):,} items have a "
                f"vector, {data.item_vectors.shape[1]} dimensions")
            people, total = data.people(part, arguments.users, seed, arguments.history_max)
            categories, source = self._categories(folder, data)
            draw = Draw(data, part, people, metrics.background(data, part, categories))
            about = {"people_to_draw_from": total, "categories": source}
            if self.client is None:
                oracle = self._oracle(data, part, seed)
                usable = [method for method in methods if supported(oracle, method, draw)]
                runs.append(run_draw(draw, usable, oracle.answer, arguments.exact,
                                     about | {"backend": "numpy"}))
            else:
                loaded = self._loaded(data, part, seed, methods)
                runs.append(run_draw(draw, methods, loaded.answer, arguments.exact,
                                     about | loaded.describe()))
        return merged(runs)

    def _loaded(self, data: recs.RecommendationSet, part: str, seed: int,
                methods: list[Method]) -> LoadedSet:
        assert self.client is not None
        arguments = self.arguments
        name = f"recs-{data.name}-{part}"
        if arguments.split != "given":
            name = f"recs-{data.name}-{arguments.split}-{seed}-{part}"
        loading = Loading(arguments.clusters or default_cluster_count(len(data.items)), seed,
                          arguments.index, arguments.reload,
                          any(method.is_smoothed for method in methods))
        return LoadedSet(self.client, name, data, part, loading)

    def _oracle(self, data: recs.RecommendationSet, part: str, seed: int) -> Oracle:
        clusters = np.full(len(data.item_vectors), -1)
        count = self.arguments.clusters or default_cluster_count(len(data.items))
        clusters[data.items] = spherical_kmeans(data.item_vectors[data.items], count, seed)
        return Oracle(Catalogue(data.item_vectors, data.items, clusters), stored_users(data, part))

    def _categories(self, folder: str,
                    data: recs.RecommendationSet) -> tuple[list[frozenset[int]], str]:
        """By item; without a file, sqrt(items) clusters that are no method's own."""
        path = metrics.find_categories(folder)
        if self.arguments.categories:
            path = pathlib.Path(self.arguments.categories)
        if path is not None:
            return metrics.read_categories(path, len(data.item_vectors)), path.name
        count = max(1, round(len(data.items) ** 0.5))
        result: list[frozenset[int]] = [frozenset()] * len(data.item_vectors)
        clusters = spherical_kmeans(data.item_vectors[data.items], count, seed=7)
        for item, cluster in zip(data.items, clusters, strict=True):
            result[item] = frozenset([int(cluster)])
        return result, f"{count} clusters"

    # ---- what is shown

    def _shown(self, runs: list[PartRun]) -> list[dict[str, Any]]:
        arguments = self.arguments
        parts = []
        for run in runs:
            part = reports.report_part(run, arguments.choose_by, arguments.seeds[0],
                                       arguments.resamples)
            parts.append(part)
            names = [entry.method.name for entry in run.methods
                     if entry.method.family in ("single vector", "default", "smoothing")]
            print(reports.table(part) + "\n\n" + reports.bucket_table(part, names) + "\n",
                  flush=True)
        shown = list(dict.fromkeys(entry.method.name for run in runs for entry in run.methods
                                   if entry.method.family != "single vector"))
        if len(shown) <= 12 and shown:
            print(reports.summary(parts, shown) + "\n", flush=True)
        return parts

    def _choices(self, runs: list[PartRun]) -> list[dict[str, Method]]:
        measure = self.arguments.choose_by
        if self.arguments.choose == "each":
            return [chosen_each(run, measure) for run in runs]
        return [chosen_common(runs, measure)] * len(runs)

    def _choice_table(self, runs: list[PartRun], chosen: list[dict[str, Method]]) -> str:
        rows = [["set", "family", f"best by {self.arguments.choose_by}"]]
        rows += [[run.set_name, family, method.name]
                 for run, choice in zip(runs, chosen, strict=True)
                 for family, method in choice.items()]
        return f"Chosen on validation, {self.arguments.choose}\n\n" + reports.aligned(rows)


def supported(oracle: Oracle, method: Method, draw: Draw) -> bool:
    try:
        oracle.answer_one(search_body(method, draw.people[0], draw.data.item_vectors, True))
    except Unsupported as error:
        say(f"{method.name} is left out: the numpy implementation has no {error}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
