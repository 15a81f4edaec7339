"""Recommendation sets, how they are split, and the people to judge by (numpy only).

A set is a folder: train.tsv.gz, valid.tsv.gz, test.tsv.gz (lines of user<TAB>item, in time order
where the source has one), item_vectors.npy and user_vectors.npy (row = id; both in one space; a row
of zeros has no train data). Without vectors, or split in another way than the files, the vectors
are made from the train part (recommendation_vectors.py), which then know nothing else.
"""

import gzip
import pathlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from recommendation_vectors import svd_vectors

PARTS = ("train", "valid", "test")
BEFORE = {"valid": ("train",), "test": ("train", "valid")}
SPLITS = ("given", "leave-last-out", "ratio")
Split = dict[int, list[int]]  # user -> items in order


class DataError(Exception):
    """The folder is not a recommendation set; the text names file and line."""


@dataclass(frozen=True)
class Person:
    user: int
    history: np.ndarray  # Item ids with a vector, each once, oldest first.
    vector: np.ndarray   # Unit length.
    wanted: frozenset[int]  # Held-out items that are not in the history; never empty.


@dataclass(frozen=True)
class RecommendationSet:
    name: str
    splits: dict[str, Split]  # part -> user -> items in file order
    item_vectors: np.ndarray  # float32, unit length or zero
    user_vectors: np.ndarray

    @property
    def items(self) -> np.ndarray:
        """Ids of the items that have a vector: those that can be recommended."""
        return np.flatnonzero(np.abs(self.item_vectors).sum(axis=1) > 0)

    def seen(self, part: str, user: int) -> list[int]:
        """Everything of a person before the part, in order, repeats and all."""
        return [item for before in BEFORE[part] for item in self.splits[before].get(user, ())]

    def histories(self, part: str) -> dict[int, list[int]]:
        """What everybody did before the part: items with a vector, each once, oldest first."""
        has_vector = np.abs(self.item_vectors).sum(axis=1) > 0
        users = sorted(set().union(*(self.splits[before] for before in BEFORE[part])))
        found = {user: [item for item in dict.fromkeys(self.seen(part, user)) if has_vector[item]]
                 for user in users}
        return {user: items for user, items in found.items() if items}

    def people(self, part: str, count: int, seed: int) -> tuple[list[Person], int]:
        """`count` people (0: all) drawn by seed, and how many there were to draw from.

        The history is everything before the part: train for "valid", train and valid for "test".
        Left out: people without a vector, without a history, or with nothing new to find.
        """
        histories = self.histories(part)
        people = []
        for user, wanted in sorted(self.splits[part].items()):
            new = frozenset(wanted) - set(self.seen(part, user))
            if user in histories and new and np.abs(self.user_vectors[user]).sum() > 0:
                people.append(Person(user, np.array(histories[user]), self.user_vectors[user], new))
        if not people:
            raise DataError(f"{self.name}: nobody in split '{part}' can be judged")
        total = len(people)
        if 0 < count < total:
            chosen = np.random.default_rng(seed).choice(total, count, replace=False)
            people = [people[index] for index in sorted(chosen)]
        return people, total


def load_set(folder: str, split: str = "given", seed: int = 42,
             holdout: float = 0.2) -> RecommendationSet:
    """`split`: one of SPLITS; seed and holdout are those of "ratio"."""
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise DataError(f"{folder}: no such folder")
    name = root.resolve().name
    paths = [root / f"{kind}_vectors.npy" for kind in ("item", "user")]
    if not any(path.exists() for path in paths):
        parts = {part: load_split(root / f"{part}.tsv.gz") for part in PARTS}
        return _with_own_vectors(name, divided(parts, split, seed, holdout), None)
    items, users = map(_load_vectors, paths)
    if items.shape[1] != users.shape[1]:
        raise DataError(f"{folder}: items have {items.shape[1]} dimensions, users {users.shape[1]}")
    shape = (len(users), len(items))
    parts = {part: load_split(root / f"{part}.tsv.gz", shape) for part in PARTS}
    if split == "given":
        return RecommendationSet(name, parts, items, users)
    return _with_own_vectors(name, divided(parts, split, seed, holdout), (*shape, items.shape[1]))


def divided(parts: dict[str, Split], split: str, seed: int, holdout: float) -> dict[str, Split]:
    """The parts of a set, divided again.

    "leave-last-out": the last item of everybody is for the test, the one before it for validation;
    people with fewer than three stay in train. "ratio": of everybody's items the share `holdout`,
    drawn by seed, is for the test, half as many for validation, one each or more; again from three.
    """
    if split == "given":
        return parts
    random = np.random.default_rng(seed)
    result: dict[str, Split] = {part: {} for part in PARTS}
    for user in sorted(set().union(*parts.values())):
        items = [item for part in PARTS for item in parts[part].get(user, ())]
        items = list(dict.fromkeys(items))
        test = valid = 0
        if len(items) >= 3:
            is_ratio = split == "ratio"
            test = max(1, round(holdout * len(items))) if is_ratio else 1
            valid = max(1, test // 2) if is_ratio else 1
            test, valid = min(test, len(items) - 2), min(valid, len(items) - 1 - test)
            if is_ratio:
                drawn = set(random.choice(len(items), test + valid, replace=False).tolist())
                held = [item for place, item in enumerate(items) if place in drawn]
                items = [item for place, item in enumerate(items) if place not in drawn]
                items += random.permutation(held).tolist()
        end = len(items)
        for part, low, high in (("train", 0, end - test - valid),
                                ("valid", end - test - valid, end - test),
                                ("test", end - test, end)):
            if high > low:
                result[part][user] = items[low:high]
    return result


def _with_own_vectors(name: str, parts: dict[str, Split],
                      shape: tuple[int, int, int] | None) -> RecommendationSet:
    """`shape`: users, items and dimensions; without it from the data, 64 dimensions."""
    if shape is None:
        users = 1 + max((user for part in parts.values() for user in part), default=0)
        items = 1 + max((item for part in parts.values() for row in part.values() for item in row),
                        default=0)
        shape = (users, items, 64)
    pairs = np.array([(user, item) for user, row in parts["train"].items() for item in row],
                     dtype=np.int64).reshape(-1, 2)
    if not len(pairs):
        raise DataError(f"{name}: the train part is empty")
    users_v, items_v = svd_vectors(pairs, *shape)
    return RecommendationSet(name, parts, normalised(items_v), normalised(users_v))


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length; rows of zeros stay."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)


def _load_vectors(path: pathlib.Path) -> np.ndarray:
    try:
        # In double precision: the squares of the smallest rows vanish in single precision.
        vectors = np.load(path).astype(np.float64)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise DataError(f"{path}: not a matrix of finite numbers")
    return normalised(vectors)


def load_split(path: pathlib.Path, shape: tuple[int, int] | None = None) -> Split:
    pairs: Split = defaultdict(list)
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    user, item = map(int, line.split("\t"))
                except ValueError:
                    raise DataError(f"{path}:{number}: not 'user<TAB>item'") from None
                if min(user, item) < 0 or (shape and (user >= shape[0] or item >= shape[1])):
                    raise DataError(f"{path}:{number}: user or item without a vector row")
                pairs[user].append(item)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    return dict(pairs)
