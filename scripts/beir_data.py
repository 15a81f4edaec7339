"""A BEIR folder (corpus.jsonl, queries.jsonl, qrels/<split>.tsv; the first two may end in .gz) and
vectors for its texts: either given as .npy files or made here by latent semantic analysis."""

import gzip
import json
import pathlib
import re
from collections import Counter

import numpy as np

from trec_metrics import FormatError, Qrels, read_qrels

Texts = dict[str, str]  # id -> text, in file order


def load_folder(folder: str, split: str) -> tuple[Texts, Texts, Qrels]:
    """Corpus, the queries that are judged in this split, and the judgements."""
    root = pathlib.Path(folder)
    qrels_path = root / "qrels" / f"{split}.tsv"
    if not qrels_path.is_file():
        raise FormatError(f"{qrels_path}: no such file")
    qrels = read_qrels(str(qrels_path))
    corpus = read_texts(find(root, "corpus.jsonl"))
    queries = read_texts(find(root, "queries.jsonl"))
    missing = [query for query in qrels if query not in queries]
    if missing:
        raise FormatError(f"{folder}: query {missing[0]} is judged but not in queries.jsonl "
                          f"({len(missing)} such)")
    return corpus, {query: queries[query] for query in queries if query in qrels}, qrels


def is_folder(folder: str) -> bool:
    return any((pathlib.Path(folder) / name).is_file()
               for name in ("corpus.jsonl", "corpus.jsonl.gz"))


def name_of(folder: str) -> str:
    return pathlib.Path(folder).resolve().name


def find(root: pathlib.Path, name: str) -> pathlib.Path:
    for path in (root / name, root / (name + ".gz")):
        if path.is_file():
            return path
    raise FormatError(f"{root / name}: no such file, nor with .gz")


def read_texts(path: pathlib.Path) -> Texts:
    """Title and text, joined by a space as dense models are given them."""
    texts: Texts = {}
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                key, text = str(row["_id"]), f"{row.get('title') or ''} {row['text']}".strip()
            except (ValueError, KeyError, TypeError) as error:
                raise FormatError(f"{path}:{number}: not a document ({error!r})") from None
            if key in texts:
                raise FormatError(f"{path}:{number}: id {key} is there twice")
            texts[key] = text
    if not texts:
        raise FormatError(f"{path}: empty")
    return texts


def load_vectors(path: str, ids_path: str | None, wanted: list[str]) -> np.ndarray:
    """A row for every id of `wanted`, in its order. Without a file of ids (one a line) the rows of
    `path` must be in the order of `wanted`."""
    try:
        vectors = np.load(path)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: {error}") from error
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise FormatError(f"{path}: not a matrix of finite numbers")
    if ids_path is not None:
        ids = pathlib.Path(ids_path).read_text(encoding="utf-8").splitlines()
        if len(ids) != len(vectors) or len(set(ids)) != len(ids):
            raise FormatError(f"{ids_path}: needs {len(vectors)} different ids, has {len(ids)}")
        row = {key: index for index, key in enumerate(ids)}
        missing = [key for key in wanted if key not in row]
        if missing:
            raise FormatError(f"{ids_path}: no line for id {missing[0]} ({len(missing)} such)")
        vectors = vectors[[row[key] for key in wanted]]
    if len(vectors) != len(wanted):
        raise FormatError(f"{path}: {len(vectors)} rows for {len(wanted)} texts")
    return vectors.astype(np.float32)


class Lsa:
    """Latent semantic analysis (Deerwester et al., 1990): TF-IDF, then its leading singular vectors
    by the randomised method of Halko, Martinsson and Tropp (2011). A stand-in for a text model: it
    needs none, is deterministic, and is good enough to exercise every step."""

    CHUNK_ROWS = 512
    POWER_ITERATIONS = 2
    OVERSAMPLING = 32
    WORDS_MAX = 30_000

    def __init__(self, texts: list[str], dim: int, seed: int = 42):
        documents = [Counter(words(text)) for text in texts]
        frequency = Counter(word for document in documents for word in document)
        # A word of one document links it to no other.
        kept = [word for word, count in frequency.most_common(self.WORDS_MAX) if count > 1]
        if len(kept) <= dim or len(texts) <= dim:
            raise FormatError(f"--dim {dim}: must be less than {min(len(kept), len(texts))}, the "
                              "number of documents and of repeated words")
        self._column = {word: index for index, word in enumerate(kept)}
        self._idf = np.array([np.log(len(texts) / frequency[word]) for word in kept], np.float32)
        rank = min(dim + self.OVERSAMPLING, len(kept), len(texts))
        basis = np.random.default_rng(seed).standard_normal((len(kept), rank)).astype(np.float32)
        sparse = [self._weighted(document) for document in documents]
        for _ in range(self.POWER_ITERATIONS):
            basis = np.linalg.qr(self._gram_times(sparse, basis))[0]
        values, vectors = np.linalg.eigh(basis.T @ self._gram_times(sparse, basis))
        self._projection = basis @ vectors[:, np.argsort(-values)[:dim]].astype(np.float32)

    def embed(self, texts: list[str]) -> np.ndarray:
        """Unit rows; a text without a known word gets the zero vector."""
        sparse = [self._weighted(Counter(words(text))) for text in texts]
        rows = np.vstack([chunk @ self._projection for chunk in self._dense(sparse)])
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(norms == 0, 1, norms)).astype(np.float32)

    def _weighted(self, document: Counter) -> tuple[np.ndarray, np.ndarray]:
        """Columns and TF-IDF weights (unit length) of a document's known words."""
        known = [(self._column[word], count) for word, count in document.items()
                 if word in self._column]
        columns = np.array([column for column, _ in known], dtype=np.int64)
        counts = np.array([count for _, count in known], dtype=np.float32)
        weights = (1 + np.log(counts)) * self._idf[columns]
        norm = np.linalg.norm(weights)
        return columns, weights / norm if norm > 0 else weights

    def _dense(self, sparse: list[tuple[np.ndarray, np.ndarray]]):
        """Some rows at a time: the whole would not fit into memory."""
        for start in range(0, len(sparse), self.CHUNK_ROWS):
            chunk = sparse[start:start + self.CHUNK_ROWS]
            rows = np.zeros((len(chunk), len(self._idf)), np.float32)
            for row, (columns, weights) in zip(rows, chunk):
                row[columns] = weights
            yield rows

    def _gram_times(self, sparse: list[tuple[np.ndarray, np.ndarray]],
                    matrix: np.ndarray) -> np.ndarray:
        product = np.zeros_like(matrix)
        for rows in self._dense(sparse):
            product += rows.T @ (rows @ matrix)
        return product


STOP_WORDS = frozenset("a an and are as at be by for from has have in into is it its of on or that "
                       "the their these they this to was were which will with".split())


def words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", text.lower())
            if word not in STOP_WORDS and len(word) > 1]
