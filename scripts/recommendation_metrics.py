"""What a list of recommendations is worth to one person, and the intervals of means over people.

Every measure is an array with one value a person, so that any two methods can be compared person by
person. Definitions (K counts from the top of the list; relevant are the held-out items):

  recall@K      relevant items in the first K / all relevant items
  hit@K         1 if there is a relevant item in the first K
  ndcg@K        sum of 1 / log2(rank + 1) over relevant items in the first K, divided by the same
                sum for a list that begins with min(K, all) relevant ones
  diversity@K   1 - mean cosine over all pairs of the first K
  categories@K  share of the categories of the person's history that occur in the first K
  novelty@K     mean over the first K of log2(people / people who had the item before the part);
                an item that nobody had counts as one person's
"""

import gzip
import json
import pathlib
from dataclasses import dataclass

import numpy as np

from recommendation_data import DataError, Person, RecommendationSet

CUTOFFS = (10, 20, 50, 100)
DIVERSITY_DEPTHS = (20, 50, 100)
CATEGORY_DEPTHS = (20,)
NOVELTY_DEPTHS = (20,)
MEASURES = ([f"recall@{k}" for k in CUTOFFS] + [f"ndcg@{k}" for k in CUTOFFS]
            + [f"hit@{k}" for k in CUTOFFS] + [f"diversity@{k}" for k in DIVERSITY_DEPTHS]
            + [f"categories@{k}" for k in CATEGORY_DEPTHS]
            + [f"novelty@{k}" for k in NOVELTY_DEPTHS])
BUCKETS = ((1, 5), (6, 20), (21, 50), (51, None))  # History lengths, both ends included.
CATEGORY_FIELDS = ("categories", "category", "genres", "genre", "attributes", "tags")


@dataclass(frozen=True)
class Background:
    """What measures need to know of the whole set."""
    vectors: np.ndarray
    item_count: int
    novelty: np.ndarray  # By item.
    categories: list[frozenset[int]]  # By item.


def background(data: RecommendationSet, part: str, categories: list[frozenset[int]]) -> Background:
    histories = data.histories(part)
    people_with = np.zeros(len(data.item_vectors))
    for items in histories.values():
        people_with[items] += 1
    novelty = np.log2(len(histories) / np.maximum(people_with, 1))
    return Background(data.item_vectors, len(data.items), novelty, categories)


def judge(known: Background, people: list[Person], lists: list[list[int]]) -> dict[str, np.ndarray]:
    rows = [judge_one(known, person, items) for person, items in zip(people, lists, strict=True)]
    return {measure: np.array([row[measure] for row in rows]) for measure in MEASURES}


def judge_one(known: Background, person: Person, items: list[int]) -> dict[str, float]:
    row = ranking_measures([item in person.wanted for item in items], len(person.wanted))
    for depth in DIVERSITY_DEPTHS:
        row[f"diversity@{depth}"] = list_diversity(known.vectors[items[:depth]])
    liked = frozenset().union(*(known.categories[item] for item in person.history))
    for depth in CATEGORY_DEPTHS:
        shown = frozenset().union(*(known.categories[item] for item in items[:depth]))
        row[f"categories@{depth}"] = len(liked & shown) / len(liked) if liked else 0.0
    for depth in NOVELTY_DEPTHS:
        row[f"novelty@{depth}"] = float(known.novelty[items[:depth]].mean()) if items else 0.0
    return row


def ranking_measures(relevant: list[bool], wanted: int,
                     cutoffs: tuple[int, ...] = CUTOFFS) -> dict[str, float]:
    """`relevant` says of each rank whether it holds one of `wanted` relevant items."""
    ranks = [rank for rank, is_relevant in enumerate(relevant, 1) if is_relevant]
    row = {}
    for cutoff in cutoffs:
        found = [rank for rank in ranks if rank <= cutoff]
        ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(cutoff, wanted) + 1))
        row[f"recall@{cutoff}"] = len(found) / wanted
        row[f"hit@{cutoff}"] = float(bool(found))
        row[f"ndcg@{cutoff}"] = float(sum(1 / np.log2(rank + 1) for rank in found) / ideal)
    return row


def list_diversity(vectors: np.ndarray) -> float:
    """1 - mean cosine over all pairs of unit vectors; 0 for fewer than two."""
    count = len(vectors)
    if count < 2:
        return 0.0
    total = np.square(vectors.sum(axis=0, dtype=np.float64)).sum() - count
    return float(1 - total / (count * (count - 1)))


def coverage(known: Background, lists: list[list[int]]) -> float:
    """Share of all items that were recommended to anyone."""
    return len(set().union(*lists)) / known.item_count


def bucket_of(length: int) -> int:
    return next(place for place, (_, high) in enumerate(BUCKETS) if high is None or length <= high)


def bucket_name(bucket: tuple[int, int | None]) -> str:
    low, high = bucket
    return f"> {low - 1}" if high is None else f"<= {high}" if low <= 1 else f"{low} to {high}"


# ---- categories ---------------------------------------------------------------------------------


def read_categories(path: pathlib.Path, item_count: int) -> list[frozenset[int]]:
    """From a JSON object `{"item": [value, ...]}`, or lines of JSON with `id` and one of
    CATEGORY_FIELDS; either may be gzipped. Items that it leaves out have no category."""
    open_text = gzip.open if path.suffix == ".gz" else open
    numbers: dict[str, int] = {}
    result = [frozenset()] * item_count
    try:
        with open_text(path, "rt", encoding="utf-8") as file:
            if ".jsonl" in path.name:
                rows = [json.loads(line) for line in file]
                field = next((name for name in CATEGORY_FIELDS if any(name in row for row in rows)),
                             None)
                if field is None:
                    raise DataError(f"{path}: no line has one of {', '.join(CATEGORY_FIELDS)}")
                pairs = [(row["id"], row.get(field) or []) for row in rows]
            else:
                pairs = list(json.load(file).items())
        for item, values in pairs:
            values = values if isinstance(values, list) else [values]
            if 0 <= int(item) < item_count:
                result[int(item)] = frozenset(numbers.setdefault(str(value), len(numbers))
                                              for value in values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: {error!r}") from error
    return result


def find_categories(folder: str) -> pathlib.Path | None:
    """The file of a set's folder that looks as if it held categories."""
    root = pathlib.Path(folder)
    for pattern in ("items.jsonl.gz", "items.jsonl", "*categories.json*", "*attributes.json*"):
        found = sorted(root.glob(pattern))
        if found:
            return found[0]
    return None
