"""Retrieval measures with trec_eval's rules (standard library only).

* A query's documents are ordered by score, highest first; equal scores by document id, highest
  first (string order). The order in which they were given does not matter.
* Gains are linear: DCG@k = sum of grade_i / log2(i + 1); the ideal uses the k highest grades of
  the query's judgements, retrieved or not. A negative grade gains nothing.
* A document is relevant from grade 1 on; recall divides by all relevant documents.
* Means are over every judged query: one that is missing from the run counts 0 (trec_eval does so
  only with -c), and so does one without any relevant document.
"""

import csv
import math
from typing import Iterable

Qrels = dict[str, dict[str, int]]    # query id -> document id -> grade
Run = dict[str, dict[str, float]]    # query id -> document id -> score


class FormatError(Exception):
    """A file or a run is not what it should be; the text says where."""


def ranking(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda document: (scores[document], document), reverse=True)


def dcg(gains: Iterable[int]) -> float:
    return sum(max(gain, 0) / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def ndcg_at(k: int, ranked: list[str], grades: dict[str, int]) -> float:
    ideal = dcg(sorted(grades.values(), reverse=True)[:k])
    return dcg(grades.get(document, 0) for document in ranked[:k]) / ideal if ideal > 0 else 0.0


def recall_at(k: int, ranked: list[str], grades: dict[str, int]) -> float:
    relevant = _relevant(grades)
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def average_precision(ranked: list[str], grades: dict[str, int]) -> float:
    relevant = _relevant(grades)
    found, total = 0, 0.0
    for rank, document in enumerate(ranked, 1):
        if document in relevant:
            found += 1
            total += found / rank
    return total / len(relevant) if relevant else 0.0


def reciprocal_rank(ranked: list[str], grades: dict[str, int]) -> float:
    relevant = _relevant(grades)
    return next((1 / rank for rank, document in enumerate(ranked, 1) if document in relevant), 0.0)


def evaluate(qrels: Qrels, run: Run, ignore_identical_ids: bool = True) -> dict[str, float]:
    """Means over the judged queries. `ignore_identical_ids` drops a document that has its query's
    own id before anything is counted (a query that is itself a document of the corpus)."""
    if not qrels:
        raise FormatError("there are no judgements")
    sums = {"nDCG@10": 0.0, "Recall@100": 0.0, "MAP": 0.0, "MRR": 0.0}
    for query, grades in qrels.items():
        ranked = ranking(run.get(query, {}))
        if ignore_identical_ids:
            ranked = [document for document in ranked if document != query]
        sums["nDCG@10"] += ndcg_at(10, ranked, grades)
        sums["Recall@100"] += recall_at(100, ranked, grades)
        sums["MAP"] += average_precision(ranked, grades)
        sums["MRR"] += reciprocal_rank(ranked, grades)
    return {name: total / len(qrels) for name, total in sums.items()}


def read_qrels(path: str) -> Qrels:
    """BEIR's judgements: tab-separated, a header line, then query id, document id, grade."""
    qrels: Qrels = {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if next(rows, None) is None:
            raise FormatError(f"{path}: empty")
        for row in rows:
            try:
                query, document, grade = row
                qrels.setdefault(query, {})[document] = int(grade)
            except ValueError:
                raise FormatError(
                    f"{path}:{rows.line_num}: not 'query-id<TAB>corpus-id<TAB>grade'") from None
    return qrels


def run_from_lists(ranked: dict[str, list[str]]) -> Run:
    """Keeps an engine's own order: scores are N - rank, so that no two are equal (scores that
    differ by less than a printed digit would be re-ordered by document id)."""
    run: Run = {}
    for query, documents in ranked.items():
        run[query] = {document: float(len(documents) - rank)
                      for rank, document in enumerate(documents)}
        if len(run[query]) != len(documents):
            raise FormatError(f"query {query}: a document is listed twice")
    return run


def write_run(path: str, run: Run, tag: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for query, scores in run.items():
            for rank, document in enumerate(ranking(scores), 1):
                file.write(f"{query} Q0 {document} {rank} {scores[document]:.6g} {tag}\n")


def read_run(path: str) -> Run:
    run: Run = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                query, _, document, _, score, _ = line.split()
                value = float(score)
            except ValueError:
                raise FormatError(
                    f"{path}:{number}: not 'query Q0 document rank score tag'") from None
            if document in run.setdefault(query, {}):
                raise FormatError(f"{path}:{number}: document {document} listed twice for {query}")
            run[query][document] = value
    return run


def _relevant(grades: dict[str, int]) -> set[str]:
    return {document for document, grade in grades.items() if grade >= 1}
