"""The documents of a BEIR folder in a running daemon: where their vectors are from, and loading."""

import argparse
import time
from typing import Any

import numpy as np

import beir_data
import trec_metrics as trec
from progress import Progress
from tessera_client import Client, chunks

UPSERT_ROWS = 200


def add_vector_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--corpus-vectors", metavar="NPY", help="row = document, in file order")
    add("--corpus-ids", metavar="TXT", help="the rows' ids, if in another order")
    add("--query-vectors", metavar="NPY",
        help="row = judged query, in the order of queries.jsonl")
    add("--query-ids", metavar="TXT", help="the rows' ids, if others or in another order")
    add("--embed", choices=["lsa"], help="make the vectors here instead")
    add("--dim", type=int, default=256, help="of --embed (default %(default)s)")


def check_vector_arguments(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.embed is None and not (arguments.corpus_vectors and arguments.query_vectors):
        parser.error("give --corpus-vectors and --query-vectors, or --embed lsa")
    if arguments.dim < 1:
        parser.error("--dim must be at least 1")


def vectors_of(corpus: beir_data.Texts, queries: beir_data.Texts,
               arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """A row a document and a row a query."""
    if arguments.embed is None:
        documents = beir_data.load_vectors(arguments.corpus_vectors, arguments.corpus_ids,
                                           list(corpus))
        questions = beir_data.load_vectors(arguments.query_vectors, arguments.query_ids,
                                           list(queries))
        if documents.shape[1] != questions.shape[1]:
            raise trec.FormatError(f"documents have {documents.shape[1]} dimensions, queries "
                                   f"{questions.shape[1]}")
        return documents, questions
    print(f"waiting for the {arguments.dim} leading singular vectors of the texts")
    started = time.monotonic()
    model = beir_data.Lsa(list(corpus.values()), arguments.dim)
    vectors = model.embed(list(corpus.values())), model.embed(list(queries.values()))
    print(f"vectors made in {time.monotonic() - started:.1f} s")
    return vectors


def load(client: Client, collection: str, ids: list[str], vectors: np.ndarray,
         index: str | None = None) -> None:
    """Documents get their row as id; a zero vector has no direction and is left out."""
    params: dict[str, Any] = {"size": vectors.shape[1], "distance": "Cosine"}
    if index:
        params["index"] = {"type": index}
    client.recreate(collection, {"vectors": params})
    rows = np.flatnonzero(np.abs(vectors).sum(axis=1) > 0).tolist()
    progress = Progress("loading", len(rows))
    started = time.monotonic()
    for group in chunks(rows, UPSERT_ROWS):
        client.upsert(collection, group, vectors[group].tolist(),
                      [{"document": ids[row]} for row in group])
        progress.add(len(group))
    progress.finish()
    client.wait_green(collection)
    print(f"{len(rows):,} documents loaded and indexed in {time.monotonic() - started:.1f} s"
          + (f", {len(ids) - len(rows)} without a vector left out" if len(rows) < len(ids) else ""))
