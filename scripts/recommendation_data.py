"""Recommendation sets, the people to judge by, and the three measures (numpy only).

A set is a folder: train.tsv.gz, valid.tsv.gz, test.tsv.gz (lines of user<TAB>item, in time order
where the source has one), item_vectors.npy and user_vectors.npy (row = id; both in one space; a row
of zeros has no train data).
"""

import gzip
import pathlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

CUTOFFS = (10, 20, 50, 100)
DIVERSITY_DEPTH = 20


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
    splits: dict[str, dict[int, list[int]]]  # split -> user -> items in file order
    item_vectors: np.ndarray  # float32, unit length or zero
    user_vectors: np.ndarray

    @property
    def items(self) -> np.ndarray:
        """Ids of the items that have a vector: those that can be recommended."""
        return np.flatnonzero(np.abs(self.item_vectors).sum(axis=1) > 0)

    def people(self, split: str, count: int, seed: int) -> tuple[list[Person], int]:
        """`count` people (0: all) drawn by seed, and how many there were to draw from.

        The history is everything before the split: train for "valid", train and valid for "test".
        Left out: people without a vector, without a history, or with nothing new to find.
        """
        before = {"valid": ("train",), "test": ("train", "valid")}[split]
        has_vector = np.abs(self.item_vectors).sum(axis=1) > 0
        people = []
        for user, wanted in sorted(self.splits[split].items()):
            seen = [item for part in before for item in self.splits[part].get(user, ())]
            history = [item for item in dict.fromkeys(seen) if has_vector[item]]
            new = frozenset(wanted) - set(seen)
            if history and new and np.abs(self.user_vectors[user]).sum() > 0:
                people.append(Person(user, np.array(history), self.user_vectors[user], new))
        if not people:
            raise DataError(f"{self.name}: nobody in split '{split}' can be judged")
        total = len(people)
        if 0 < count < total:
            chosen = np.random.default_rng(seed).choice(total, count, replace=False)
            people = [people[index] for index in sorted(chosen)]
        return people, total


def load_set(folder: str) -> RecommendationSet:
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise DataError(f"{folder}: no such folder")
    item_vectors = _load_vectors(root / "item_vectors.npy")
    user_vectors = _load_vectors(root / "user_vectors.npy")
    if item_vectors.shape[1] != user_vectors.shape[1]:
        raise DataError(f"{folder}: items have {item_vectors.shape[1]} dimensions, "
                        f"users {user_vectors.shape[1]}")
    shape = (len(user_vectors), len(item_vectors))
    splits = {split: _load_split(root / f"{split}.tsv.gz", shape)
              for split in ("train", "valid", "test")}
    return RecommendationSet(root.resolve().name, splits, item_vectors, user_vectors)


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


def _load_split(path: pathlib.Path, shape: tuple[int, int]) -> dict[int, list[int]]:
    pairs: dict[int, list[int]] = defaultdict(list)
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    user, item = map(int, line.split("\t"))
                except ValueError:
                    raise DataError(f"{path}:{number}: not 'user<TAB>item'") from None
                if not (0 <= user < shape[0] and 0 <= item < shape[1]):
                    raise DataError(f"{path}:{number}: user or item without a vector row")
                pairs[user].append(item)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    return dict(pairs)


@dataclass
class Scores:
    """Means over people. Recall@K: share of a person's wanted items in the first K. Diversity:
    1 - mean pairwise cosine of the first 20. Coverage: share of all items recommended to anyone."""
    recall: dict[int, float]
    diversity: float
    coverage: float


def judge(data: RecommendationSet, people: list[Person], lists: list[list[int]]) -> Scores:
    recall = {
        cutoff: float(np.mean([len(person.wanted.intersection(items[:cutoff])) / len(person.wanted)
                               for person, items in zip(people, lists, strict=True)]))
        for cutoff in CUTOFFS
    }
    diversity = float(np.mean([list_diversity(data.item_vectors[items[:DIVERSITY_DEPTH]])
                               for items in lists]))
    recommended = set().union(*lists)
    return Scores(recall, diversity, len(recommended) / len(data.items))


def list_diversity(vectors: np.ndarray) -> float:
    """1 - mean cosine over all pairs of unit vectors; 0 for fewer than two."""
    count = len(vectors)
    if count < 2:
        return 0.0
    total = np.square(vectors.sum(axis=0, dtype=np.float64)).sum() - count
    return float(1 - total / (count * (count - 1)))
