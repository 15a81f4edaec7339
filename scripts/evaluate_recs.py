#!/usr/bin/python3
"""Judges recommendation queries on a running daemon: recall, diversity, coverage, time.

Loads a recommendation set (see recommendation_data.py) into a collection of its own, trains item
clusters, asks for 100 items per person in several ways and compares them with what each person
took next. `--choose` picks the settings on the validation split and reports them on the test split.

  scripts/evaluate_recs.py FOLDER                      every method on the test split
  scripts/evaluate_recs.py FOLDER --choose             settings chosen on validation, then test
  scripts/evaluate_recs.py FOLDER --oracle             the same in numpy, without a daemon
"""

import argparse
import fnmatch
import json
import sys
import time
from typing import Any, Callable

import recommendation_data as recs
from progress import Progress
from recommendation_methods import LIMIT, Method, all_methods, search_body
from recommendation_oracle import Oracle
from tessera_client import DEFAULT_URL, Client, TesseraError, chunks, path_of

UPSERT_ROWS = 500
QUERIES_PER_REQUEST = 20

Answer = Callable[[list[dict[str, Any]]], list[list[int]]]  # search bodies -> lists of item ids


def main() -> int:
    arguments = parse_arguments()
    try:
        data = recs.load_set(arguments.folder)
        methods = [method for method in all_methods()
                   if any(fnmatch.fnmatch(method.name, pattern) for pattern in arguments.methods)]
        if not methods:
            raise recs.DataError("--methods: no method has such a name; known: "
                                 + ", ".join(method.name for method in all_methods()))
        cluster_count = arguments.clusters or default_cluster_count(len(data.items))
        print(f"{data.name}: {len(data.items):,} of {len(data.item_vectors):,} items have a "
              f"vector, {data.item_vectors.shape[1]} dimensions")
        if arguments.oracle:
            oracle = Oracle(data, cluster_count)
            answer, backend = oracle.answer, {"backend": "numpy", "clusters": cluster_count}
        else:
            client = Client(arguments.url)
            client.wait_ready(5)
            collection = arguments.collection or f"recs-{data.name}"
            backend = prepare(client, collection, data, cluster_count, arguments)
            answer = daemon_answer(client, collection)
        report = evaluate(data, methods, answer, arguments) | backend
    except (recs.DataError, TesseraError) as error:
        print(f"evaluate_recs: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the recommendation set")
    parser.add_argument("--url", default=DEFAULT_URL, help="the daemon (default %(default)s)")
    parser.add_argument("--collection", help="its collection (default recs-<folder>)")
    parser.add_argument("--reload", action="store_true", help="load again even if it is there")
    parser.add_argument("--index", choices=["hnsw", "flat", "ivf_flat", "ivf_sq8", "ivf_pq"],
                        help="index type of a newly created collection (default: the daemon's)")
    parser.add_argument("--exact", action="store_true", help="search by brute force")
    parser.add_argument("--clusters", type=int, default=0, metavar="N",
                        help="item clusters (default: 4 * sqrt(items))")
    parser.add_argument("--split", choices=["valid", "test"], default="test")
    parser.add_argument("--users", type=int, default=600, metavar="N",
                        help="people drawn by seed; 0: all (default %(default)s)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--methods", nargs="+", default=["*"], metavar="PATTERN",
                        help="only methods with such names, for example 'interests*' user")
    parser.add_argument("--choose", action="store_true",
                        help="per family, the best of the validation split, reported on test")
    parser.add_argument("--choose-by", choices=[f"recall@{k}" for k in recs.CUTOFFS],
                        default="recall@50")
    parser.add_argument("--oracle", action="store_true",
                        help="answer with numpy instead of a daemon, as a cross-check")
    parser.add_argument("--json", metavar="FILE", help="write everything there as well")
    arguments = parser.parse_args()
    for name in ("clusters", "users", "seed"):
        if getattr(arguments, name) < 0:
            parser.error(f"--{name} must not be negative")
    return arguments


def default_cluster_count(item_count: int) -> int:
    """4 * sqrt(items), but at least 39 items a cluster, which k-means needs to be meaningful."""
    return max(1, min(round(4 * item_count ** 0.5), item_count // 39))


def prepare(client: Client, collection: str, data: recs.RecommendationSet, cluster_count: int,
            arguments: argparse.Namespace) -> dict[str, Any]:
    """Loads the items unless they are there, waits for indexes and trains the clusters."""
    items = data.items
    info = client.call("GET", path_of(collection)) if client.exists(collection) else None
    if arguments.reload or info is None or info["points_count"] != len(items):
        params: dict[str, Any] = {"size": data.item_vectors.shape[1], "distance": "Cosine"}
        if arguments.index:
            params["index"] = {"type": arguments.index}
        client.recreate(collection, {"vectors": params})
        progress = Progress(f"loading {collection}", len(items))
        started = time.monotonic()
        for rows in chunks(items.tolist(), UPSERT_ROWS):
            client.upsert(collection, rows, data.item_vectors[rows].tolist())
            progress.add(len(rows))
        progress.finish()
        print(f"loaded {len(items):,} items into '{collection}' in "
              f"{time.monotonic() - started:.1f} s")
    else:
        print(f"'{collection}' is loaded already (--reload loads it again)")
    started = time.monotonic()
    client.wait_green(collection)
    clusters = client.train_clusters(collection, cluster_count)
    print(f"indexes ready and {clusters['count']} clusters trained in "
          f"{time.monotonic() - started:.1f} s")
    status, root = client.raw("GET", "/")
    return {"backend": json.loads(root).get("tessera", {}) if status == 200 else {},
            "collection": collection, "clusters": clusters["count"]}


def daemon_answer(client: Client, collection: str) -> Answer:
    def answer(searches: list[dict[str, Any]]) -> list[list[int]]:
        return [[point["id"] for point in result["points"]]
                for result in client.query_batch(collection, searches)]
    return answer


def evaluate(data: recs.RecommendationSet, methods: list[Method], answer: Answer,
             arguments: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"set": data.name, "seed": arguments.seed, "limit": LIMIT}
    if arguments.choose:
        found = run_split(data, "valid", methods, answer, arguments)
        report["valid"] = found
        methods = chosen_methods(methods, found["methods"], arguments.choose_by)
        report["chosen"] = [method.name for method in methods if method.family != "baseline"]
        print("chosen: " + ", ".join(report["chosen"]))
        report["test"] = run_split(data, "test", methods, answer, arguments)
    else:
        report[arguments.split] = run_split(data, arguments.split, methods, answer, arguments)
    return report


def chosen_methods(methods: list[Method], rows: list[dict[str, Any]], by: str) -> list[Method]:
    """All baselines and the best of every other family; ties to the one listed first."""
    value = {row["name"]: row[by] for row in rows}
    best: dict[str, Method] = {}
    for method in methods:
        if (method.family not in best
                or value[method.name] > value[best[method.family].name]):
            best[method.family] = method
    return [method for method in methods
            if method.family == "baseline" or best[method.family] is method]


def run_split(data: recs.RecommendationSet, split: str, methods: list[Method], answer: Answer,
              arguments: argparse.Namespace) -> dict[str, Any]:
    people, total = data.people(split, arguments.users, arguments.seed)
    print(f"\n{split} split, {len(people):,} of {total:,} people; recall in %\n")
    width = max(len(method.name) for method in methods)
    columns = [f"R@{cutoff}" for cutoff in recs.CUTOFFS] + ["D@20", "cover", "ms/query"]
    print(" " * width + "".join(f"{column:>9}" for column in columns))
    rows = []
    for method in methods:
        scores, seconds = run_method(data, people, method, answer, arguments.exact)
        milliseconds = 1000 * seconds / len(people)
        print(f"{method.name:<{width}}"
              + "".join(f"{100 * scores.recall[cutoff]:9.2f}" for cutoff in recs.CUTOFFS)
              + f"{scores.diversity:9.3f}{scores.coverage:9.3f}{milliseconds:9.2f}", flush=True)
        rows.append({"name": method.name, "family": method.family}
                    | {f"recall@{cutoff}": scores.recall[cutoff] for cutoff in recs.CUTOFFS}
                    | {f"diversity@{recs.DIVERSITY_DEPTH}": scores.diversity,
                       "coverage": scores.coverage, "ms_per_query": milliseconds})
    print()
    return {"people": len(people), "methods": rows}


def run_method(data: recs.RecommendationSet, people: list[recs.Person], method: Method,
               answer: Answer, exact: bool) -> tuple[recs.Scores, float]:
    """Scores, and the seconds spent waiting for answers (not for building the requests)."""
    lists: list[list[int]] = []
    seconds = 0.0
    progress = Progress(method.name, len(people))
    for group in chunks(people, QUERIES_PER_REQUEST):
        searches = [search_body(method, person, data.item_vectors, exact) for person in group]
        started = time.monotonic()
        lists.extend(answer(searches))
        seconds += time.monotonic() - started
        progress.add(len(group))
    progress.finish()
    for person, items in zip(people, lists, strict=True):
        if len(set(items)) != len(items) or set(items).intersection(person.history.tolist()):
            raise recs.DataError(f"{method.name}: the answer for user {person.user} repeats an "
                                 "item or holds one of the history")
    return recs.judge(data, people, lists), seconds


if __name__ == "__main__":
    sys.exit(main())
