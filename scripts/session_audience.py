"""Who talks to the index in an evaluation of sessions: people of a recommendation set, who want
their held-out items, or the queries of a BEIR folder, which want their relevant documents."""

import argparse
from dataclasses import dataclass
from typing import Protocol

import numpy as np

import beir_daemon
import beir_data
import recommendation_data as recs
from recommendation_daemon import LoadedSet, Loading, default_cluster_count
from session_strategies import Body, first_round, starts
from tessera_client import Client

TEXT_START = "query"


@dataclass(frozen=True)
class Audience:
    """People who talk to one collection. `starts`: the first rounds to compare, by name; those in
    `singles` are of one vector, and what is found is compared with the best of their pagings."""
    collection: str
    people: list[recs.Person]
    starts: dict[str, Body]
    singles: frozenset[str]


class Source(Protocol):
    """A folder. Parts are "valid", to choose on, and "test"."""
    name: str
    start_names: list[str]

    def audience(self, client: Client, part: str) -> Audience: ...


def source_of(folder: str, arguments: argparse.Namespace) -> Source:
    if beir_data.is_folder(folder):
        return TextSource(folder, arguments)
    return RecommendationSource(folder, arguments)


class RecommendationSource:
    def __init__(self, folder: str, arguments: argparse.Namespace):
        self._data = recs.load_set(folder, arguments.split, arguments.seed, arguments.holdout)
        self._arguments = arguments
        self.name = self._data.name
        self.start_names = list(starts())

    def audience(self, client: Client, part: str) -> Audience:
        data, arguments = self._data, self._arguments
        everybody, _ = data.people(part, 0, arguments.seed)
        people = _drawn(everybody, f"{data.name}, {part} part", arguments)
        name = f"recs-{data.name}-{part}" if arguments.split == "given" else (
            f"recs-{data.name}-{arguments.split}-{arguments.seed}-{arguments.holdout:g}-{part}")
        loading = Loading(arguments.clusters or default_cluster_count(len(data.items)),
                          arguments.seed)
        return Audience(
            LoadedSet(client, name, data, part, loading).collection, people,
            {start: first_round(data, method, arguments.limit)
             for start, method in starts().items()},
            frozenset(start for start, method in starts().items()
                      if method.family == "single vector"))


class TextSource:
    """With --choose half of the queries, drawn by seed, are "valid", the others "test"; without it
    all are "test". A query whose text has no vector is left out."""

    def __init__(self, folder: str, arguments: argparse.Namespace):
        corpus, queries, qrels = beir_data.load_folder(folder, "test")
        self._documents, vectors = beir_daemon.vectors_of(corpus, queries, arguments)
        self._ids = list(corpus)
        self._arguments = arguments
        self._is_loaded = False
        self.name = beir_data.name_of(folder)
        self.start_names = [TEXT_START]
        row_of = {document: row for row, document in enumerate(self._ids)
                  if np.abs(self._documents[row]).sum() > 0}
        self._people = []
        for row, query in enumerate(queries):
            wanted = frozenset(row_of[document] for document, grade in qrels[query].items()
                               if grade > 0 and document in row_of)
            if wanted and np.abs(vectors[row]).sum() > 0:
                self._people.append(recs.Person(row, np.array([], dtype=np.int64), vectors[row],
                                                wanted))

    def audience(self, client: Client, part: str) -> Audience:
        arguments = self._arguments
        people = self._people
        if arguments.choose:
            drawn = np.random.default_rng(arguments.seed).permutation(len(people))
            half = len(people) // 2
            places = drawn[:half] if part == "valid" else drawn[half:]
            people = [people[place] for place in sorted(places)]
        people = _drawn(people, f"{self.name}, {part} queries", arguments)
        collection = f"texts-{self.name}"
        if not self._is_loaded:
            beir_daemon.load(client, collection, self._ids, self._documents)
            self._is_loaded = True

        def body(person: recs.Person) -> dict[str, object]:
            return {"query": person.vector.tolist(), "limit": arguments.limit}
        return Audience(collection, people, {TEXT_START: body}, frozenset({TEXT_START}))


def _drawn(everybody: list[recs.Person], label: str,
           arguments: argparse.Namespace) -> list[recs.Person]:
    everybody = [person for person in everybody if len(person.wanted) >= arguments.min_wanted]
    if not everybody:
        raise recs.DataError(f"{label}: nobody wants {arguments.min_wanted} items")
    if 0 < arguments.users < len(everybody):
        drawn = np.random.default_rng(arguments.seed).choice(len(everybody), arguments.users,
                                                             replace=False)
        everybody = [everybody[place] for place in sorted(drawn)]
    return everybody
