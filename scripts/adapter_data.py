"""Interactions to train on: files of a recommendation set or the events of a daemon's users."""

import copy
import gzip
import hashlib
import pathlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np
from progress import Progress
from tessera_client import Client, path_of

SPLITS = ("train", "valid", "test")
USERS_PER_PAGE = 1000
EVENTS_PER_PAGE = 1000


class DataError(Exception):
    """The interactions cannot be read; the text names file and line, or the user."""


@dataclass(frozen=True)
class Interactions:
    """Histories in rows of the item table, oldest first: row r is the item `item_ids[r - 1]`."""
    item_ids: list[int | str]
    sequences: list[np.ndarray]

    @property
    def count(self) -> int:
        return sum(len(sequence) for sequence in self.sequences)


def from_folder(folder: pathlib.Path, splits: Sequence[str] = SPLITS) -> Interactions:
    """train.tsv.gz, valid.tsv.gz, test.tsv.gz (user<TAB>item, in time order), one after another;
    only those of `splits`, in that order."""
    events: dict[str, list[int]] = defaultdict(list)
    for split in splits:
        path = folder / f"{split}.tsv.gz"
        try:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    fields = line.rstrip("\n").split("\t")
                    if len(fields) != 2 or not fields[1].isascii() or not fields[1].isdigit():
                        raise DataError(f"{path}:{number}: not 'user<TAB>item'")
                    events[fields[0]].append(int(fields[1]))
        except (OSError, UnicodeDecodeError, EOFError) as error:
            raise DataError(f"{path}: {error}") from error
    return _numbered(list(events.values()))


def from_daemon(client: Client, collection: str) -> Interactions:
    """The events of all users of a collection, in time order."""
    path = path_of(collection)
    progress = Progress("reading users", client.call("POST", f"{path}/users/count", {})["count"])
    histories, page = [], {"limit": USERS_PER_PAGE}
    while True:
        answer = client.call("POST", f"{path}/users/scroll", page)
        for user in answer["users"]:
            histories.append(_events_of(client, path, user["id"]))
            progress.add(1)
        if answer["next_page_offset"] is None:
            progress.finish()
            return _numbered([history for history in histories if history])
        page["offset"] = answer["next_page_offset"]


def _events_of(client: Client, path: str, user: int | str) -> list[int | str]:
    newest_first: list[int | str] = []
    name = path_of(str(user)).removeprefix("/collections/")
    while True:
        page = client.call("GET", f"{path}/users/{name}/events?limit={EVENTS_PER_PAGE}"
                                  f"&offset={len(newest_first)}")
        newest_first += [event["id"] for event in page["events"]]
        if not page["events"] or len(newest_first) >= page["count"]:
            return newest_first[::-1]


def _numbered(histories: list[list[int | str]]) -> Interactions:
    def order(item: int | str) -> tuple[bool, int | str]:
        return isinstance(item, str), item

    item_ids = sorted({item for history in histories for item in history}, key=order)
    if not item_ids:
        raise DataError("there are no interactions")
    row_of = {item: row for row, item in enumerate(item_ids, 1)}
    return Interactions(item_ids, [np.array([row_of[item] for item in history], dtype=np.int64)
                                   for history in histories])


class Samples:
    """(history, wanted item) pairs, histories padded on the left and cut to the newest
    `max_history`. Leave-one-out: of a person with three events or more the last is for the test,
    the one before it for validation; people with fewer only train."""

    def __init__(self, data: Interactions, max_history: int):
        self._max_history = max_history
        self._items = np.concatenate(data.sequences)
        begins = np.cumsum([0, *(len(sequence) for sequence in data.sequences)])
        self.fingerprint = hashlib.sha256(self._items.tobytes() + begins.tobytes()).hexdigest()
        train, valid, test = [], [], []
        for begin, end in zip(begins[:-1], begins[1:], strict=True):
            held_out = 2 if end - begin >= 3 else 0
            # The first event has no history to be foretold from.
            train += [(begin, place) for place in range(begin + 1, end - held_out)]
            if held_out:
                valid.append((begin, end - 2))
                test.append((begin, end - 1))
        self.of = {name: np.array(pairs, dtype=np.int64).reshape(-1, 2)
                   for name, pairs in zip(SPLITS, (train, valid, test), strict=True)}
        # Negatives are rejected against what a person trained on, never against held-out items.
        last_trained = np.full(len(self._items), 0)
        for begin, end in zip(begins[:-1], begins[1:], strict=True):
            last_trained[begin] = end - (2 if end - begin >= 3 else 0)
        self._trained_end = last_trained

    def with_validation_as_targets(self, seed: int, judged_share: float = 0.25) -> "Samples":
        """The same people, where the validation's items are trained on: those of most people, drawn
        by seed. The others' are the validation."""
        other = copy.copy(self)
        pairs = self.of["valid"]
        pairs = pairs[np.random.default_rng(seed).permutation(len(pairs))]
        judged = max(1, round(judged_share * len(pairs)))
        if judged == len(pairs):
            raise DataError("one person has a validation item: there is nobody else to learn from")
        other.of = self.of | {"valid": pairs[:judged], "train": pairs[judged:]}
        other._trained_end = self._trained_end.copy()
        other._trained_end[other.of["train"][:, 0]] = other.of["train"][:, 1] + 1
        return other

    def batch(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Histories B x longest (0: padding) and wanted items B."""
        begins, places = pairs[:, 0], pairs[:, 1]
        lengths = np.minimum(places - begins, self._max_history)
        columns = np.arange(-int(lengths.max()), 0)
        histories = self._items[np.maximum(places[:, None] + columns, 0)]
        histories[columns[None] < -lengths[:, None]] = 0
        return histories, self._items[places]

    def whole_histories(self, pairs: np.ndarray) -> np.ndarray:
        """Everything before the wanted item, B x longest: what an answer must not repeat."""
        begins, places = pairs[:, 0], pairs[:, 1]
        columns = np.arange(-int((places - begins).max()), 0)
        histories = self._items[np.maximum(places[:, None] + columns, 0)]
        histories[columns[None] < (begins - places)[:, None]] = 0
        return histories

    def trained(self, pairs: np.ndarray) -> np.ndarray:
        """All items that the pairs' people train on, B x longest, 0 behind."""
        begins = pairs[:, 0]
        ends = self._trained_end[begins]
        columns = np.arange(int((ends - begins).max()))
        items = self._items[np.minimum(begins[:, None] + columns, len(self._items) - 1)]
        items[columns[None] >= (ends - begins)[:, None]] = 0
        return items

    def shuffled(self, size: int, random: np.random.Generator,
                 share: float = 1.0) -> list[np.ndarray]:
        """Batches of training pairs in random order; those of a batch have histories of similar
        length, so that little is padding. `share`: of the pairs, drawn anew each time."""
        pairs = self.of["train"]
        pairs = pairs[random.permutation(len(pairs))[:max(1, round(share * len(pairs)))]]
        window = 32 * size
        batches = []
        for start in range(0, len(pairs), window):
            part = pairs[start:start + window]
            lengths = np.minimum(part[:, 1] - part[:, 0], self._max_history)
            part = part[np.argsort(lengths, kind="stable")]
            batches += [part[first:first + size] for first in range(0, len(part), size)]
        return [batches[index] for index in random.permutation(len(batches))]

    def in_order(self, split: str, size: int, count: int, seed: int) -> Iterator[np.ndarray]:
        """Batches of a split, longest histories last; `count` people (0: all) drawn by seed."""
        pairs = self.of[split]
        if 0 < count < len(pairs):
            pairs = pairs[np.random.default_rng(seed).permutation(len(pairs))[:count]]
        pairs = pairs[np.argsort(pairs[:, 1] - pairs[:, 0], kind="stable")]
        for start in range(0, len(pairs), size):
            yield pairs[start:start + size]
