#!/usr/bin/python3
"""Makes examples/movielens from a recommendation set of MovieLens latest-small (ratings >= 3.5).

The folder needs items.jsonl.gz, train/valid/test.tsv.gz and README.movielens.txt. All three splits
are used, so that every film has a vector: the example shows queries, it judges nothing.

  scripts/make_movielens_example.py FOLDER [TARGET]
"""

import gzip
import json
import pathlib
import re
import shutil
import sys

import numpy as np

DIM = 64


def main() -> int:
    if not 2 <= len(sys.argv) <= 3:
        print(__doc__, file=sys.stderr)
        return 2
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else
                          pathlib.Path(__file__).parent.parent / "examples" / "movielens")
    target.mkdir(parents=True, exist_ok=True)

    with gzip.open(source / "items.jsonl.gz", "rt", encoding="utf-8") as lines:
        films = [json.loads(line) for line in lines]
    if [film["id"] for film in films] != list(range(len(films))):
        raise SystemExit("items.jsonl.gz: ids are not 0, 1, 2, ...")
    histories = read_histories(source)
    matrix = np.zeros((max(histories) + 1, len(films)))
    for user, items in histories.items():
        matrix[user, items] = 1
    users, items = embed(matrix, DIM)

    np.save(target / "item_vectors.npy", np.ascontiguousarray(items, np.float16))
    np.save(target / "user_vectors.npy", np.ascontiguousarray(users, np.float16))
    write_lines(target / "items.jsonl", [film_line(film) for film in films])
    write_lines(target / "histories.jsonl",
                [{"user": user, "history": histories[user]} for user in sorted(histories)])
    shutil.copyfile(source / "README.movielens.txt", target / "README.movielens.txt")
    print(f"{len(films)} films, {len(histories)} people, {int(matrix.sum())} likes -> {target}")
    return 0


def read_histories(source: pathlib.Path) -> dict[int, list[int]]:
    """What each person liked, oldest first, each film once."""
    histories: dict[int, dict[int, None]] = {}
    for split in ("train", "valid", "test"):
        with gzip.open(source / f"{split}.tsv.gz", "rt", encoding="ascii") as lines:
            for line in lines:
                user, item = map(int, line.split("\t"))
                histories.setdefault(user, {})[item] = None
    return {user: list(items) for user, items in histories.items()}


def film_line(film: dict) -> dict:
    """The year is the one in the title's brackets (the first of a range), if there is one."""
    line = {"id": film["id"], "movie_id": film["movie_id"], "title": film["title"]}
    year = re.search(r"\((\d{4})(?:-\d{4})?\)\s*$", film["title"])
    if year:
        line["year"] = int(year[1])
    line["genres"] = [genre for genre in film["genres"] if genre != "(no genres listed)"]
    return line


def embed(matrix: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns in one space, unit length: truncated SVD of the matrix with entry (u, i)
    divided by sqrt(degree u * degree i), both sides scaled by the square root of the values."""
    row_degree = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    column_degree = np.maximum(matrix.sum(axis=0, keepdims=True), 1)
    left, values, right = np.linalg.svd(matrix / np.sqrt(row_degree * column_degree),
                                        full_matrices=False)
    scale = np.sqrt(values[:dim])
    rows, columns = left[:, :dim] * scale, right[:dim].T * scale
    for vectors, what in ((rows, "person"), (columns, "film")):
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if (norms == 0).any():
            raise SystemExit(f"a {what} without any like has no vector")
        vectors /= norms
    return rows, columns


def write_lines(path: pathlib.Path, rows: list[dict]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
