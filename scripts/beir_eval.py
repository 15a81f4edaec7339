#!/usr/bin/python3
"""Judges text retrieval on a running daemon: BEIR folder + vectors -> TREC run, nDCG@10, ...

Loads one vector per document into a collection of its own, searches with one vector per judged
query, writes the run and prints nDCG@10, Recall@100, MAP and MRR by trec_eval's rules, for the
index as it is and for exact search.

  scripts/beir_eval.py FOLDER --embed lsa
  scripts/beir_eval.py FOLDER --corpus-vectors corpus.npy --query-vectors queries.npy
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np

import beir_data
import trec_metrics as trec
from beir_daemon import add_vector_arguments, check_vector_arguments, load, vectors_of
from progress import Progress
from tessera_client import DEFAULT_URL, Client, TesseraError, chunks

QUERIES_PER_REQUEST = 10
OVERLAP_DEPTH = 10


def main() -> int:
    arguments = parse_arguments()
    try:
        corpus, queries, qrels = beir_data.load_folder(arguments.folder, arguments.split)
        print(f"{len(corpus):,} documents, {len(queries):,} judged queries")
        documents, questions = vectors_of(corpus, queries, arguments)
        client = Client(arguments.url)
        client.wait_ready(5)
        load(client, arguments.collection, list(corpus), documents, arguments.index)
        report = judge(client, list(corpus), list(queries), questions, qrels, arguments)
    except (trec.FormatError, TesseraError, OSError) as error:
        print(f"beir_eval: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="corpus.jsonl[.gz], queries.jsonl[.gz], qrels/")
    parser.add_argument("--split", default="test")
    add_vector_arguments(parser)
    parser.add_argument("--url", default=DEFAULT_URL, help="the daemon (default %(default)s)")
    parser.add_argument("--collection", default="beir", help="default %(default)s; replaced")
    parser.add_argument("--index", choices=["hnsw", "flat", "ivf_flat", "ivf_sq8", "ivf_pq"])
    parser.add_argument("--depth", type=int, default=1000, help="results a query")
    parser.add_argument("--keep-identical-ids", action="store_true",
                        help="do not drop a result that has its query's own id")
    parser.add_argument("--run", metavar="FILE", help="write the TREC run there")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    check_vector_arguments(parser, arguments)
    if arguments.depth < 1:
        parser.error("--depth must be at least 1")
    return arguments


def judge(client: Client, ids: list[str], query_ids: list[str], vectors: np.ndarray,
          qrels: trec.Qrels, arguments: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"folder": arguments.folder, "split": arguments.split,
                              "depth": arguments.depth, "documents": len(ids),
                              "queries": len(query_ids)}
    found: dict[str, trec.Run] = {}
    for name, exact in (("index", False), ("exact", True)):
        lists, seconds = search(client, ids, query_ids, vectors, exact, arguments)
        found[name] = trec.run_from_lists(lists)
        scores = trec.evaluate(qrels, found[name], not arguments.keep_identical_ids)
        report[name] = scores | {"ms_per_query": 1000 * seconds / len(query_ids)}
        if name == "index":
            print("\n" + " " * 6 + "".join(f"{column:>14}" for column in report[name]))
        print(f"{name:<6}" + "".join(f"{value:14.5f}" for value in report[name].values()))
    report[f"overlap@{OVERLAP_DEPTH}"] = overlap(found["index"], found["exact"])
    print(f"\noverlap of the first {OVERLAP_DEPTH} with exact search: "
          f"{report[f'overlap@{OVERLAP_DEPTH}']:.4f}")
    if arguments.run:
        trec.write_run(arguments.run, found["index"], "tessera")
        print(f"run written to {arguments.run}")
    return report


def search(client: Client, ids: list[str], query_ids: list[str], vectors: np.ndarray, exact: bool,
           arguments: argparse.Namespace) -> tuple[dict[str, list[str]], float]:
    """Ranked document ids of every query that has a vector; the query's own id is dropped."""
    lists: dict[str, list[str]] = {}
    seconds = 0.0
    rows = np.flatnonzero(np.abs(vectors).sum(axis=1) > 0).tolist()
    progress = Progress("searching", len(rows))
    for group in chunks(rows, QUERIES_PER_REQUEST):
        # One more, so that the list is full after its query's own document was dropped.
        searches = [{"query": vectors[row].tolist(), "limit": arguments.depth + 1,
                     "params": {"exact": exact}} for row in group]
        started = time.monotonic()
        answers = client.query_batch(arguments.collection, searches)
        seconds += time.monotonic() - started
        for row, answer in zip(group, answers, strict=True):
            ranked = [ids[point["id"]] for point in answer["points"]]
            if not arguments.keep_identical_ids:
                ranked = [document for document in ranked if document != query_ids[row]]
            lists[query_ids[row]] = ranked[:arguments.depth]
        progress.add(len(group))
    progress.finish()
    return lists, seconds


def overlap(run: trec.Run, exact: trec.Run) -> float:
    """Mean share of exact search's first results that the index found as well."""
    shares = []
    for query, scores in exact.items():
        wanted = trec.ranking(scores)[:OVERLAP_DEPTH]
        got = trec.ranking(run[query])[:OVERLAP_DEPTH]
        shares.append(len(set(wanted) & set(got)) / len(wanted) if wanted else 1.0)
    return float(np.mean(shares)) if shares else 1.0


if __name__ == "__main__":
    sys.exit(main())
