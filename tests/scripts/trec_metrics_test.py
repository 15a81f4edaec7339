"""The measures of scripts/trec_metrics.py against values worked out by hand."""

import math
import os
import tempfile
import unittest

import trec_metrics as trec


class Measures(unittest.TestCase):
    # d2, x, d1, y retrieved; d3 judged but missed. DCG = 1/1 + 2/2, ideal = 2 + 1/log2(3) + 1/2.
    grades = {"d1": 2, "d2": 1, "d3": 1}
    ranked = ["d2", "x", "d1", "y"]

    def test_worked_example(self):
        self.assertAlmostEqual(trec.ndcg_at(10, self.ranked, self.grades), 0.63879, places=5)
        self.assertAlmostEqual(trec.recall_at(10, self.ranked, self.grades), 2 / 3)
        self.assertAlmostEqual(trec.average_precision(self.ranked, self.grades), 0.55556, places=5)
        self.assertEqual(trec.reciprocal_rank(self.ranked, self.grades), 1)

    def test_second_rank_is_discounted_by_log2_of_three(self):
        self.assertAlmostEqual(trec.ndcg_at(10, ["x", "d"], {"d": 1}), 1 / math.log2(3))

    def test_gain_is_linear_in_the_grade(self):
        # 2^g - 1 would give 0.7098 here.
        expected = (1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3))
        self.assertAlmostEqual(trec.ndcg_at(10, ["b", "a"], {"a": 2, "b": 1}), expected)

    def test_ideal_is_cut_at_k_and_counts_what_was_not_retrieved(self):
        grades = {f"d{i}": 1 for i in range(20)}
        self.assertEqual(trec.ndcg_at(10, [f"d{i}" for i in range(10)], grades), 1)
        self.assertEqual(trec.recall_at(10, [f"d{i}" for i in range(10)], grades), 0.5)

    def test_grade_zero_and_below_are_not_relevant(self):
        grades = {"a": 0, "b": -1, "c": 1}
        self.assertEqual(trec.reciprocal_rank(["a", "b", "c"], grades), 1 / 3)
        self.assertAlmostEqual(trec.ndcg_at(10, ["b", "c"], grades), 1 / math.log2(3))


class Ties(unittest.TestCase):
    def test_equal_scores_go_by_document_id_descending_as_strings(self):
        self.assertEqual(trec.ranking({"10": 1.0, "9": 1.0, "2": 1.0, "a": 0.5, "z": 2.0}),
                         ["z", "9", "2", "10", "a"])

    def test_order_of_the_run_does_not_matter(self):
        qrels = {"q": {"a": 1}}
        self.assertEqual(trec.evaluate(qrels, {"q": {"a": 1, "b": 1}}),
                         trec.evaluate(qrels, {"q": {"b": 1, "a": 1}}))

    def test_a_list_keeps_its_own_order_through_a_run_file(self):
        run = trec.run_from_lists({"q": ["a", "c", "b"]})
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.txt")
            trec.write_run(path, run, "tessera")
            self.assertEqual(trec.read_run(path), run)
        self.assertEqual(trec.ranking(run["q"]), ["a", "c", "b"])


class Means(unittest.TestCase):
    def test_a_query_without_results_counts_as_zero(self):
        qrels = {"q1": {"a": 1}, "q2": {"b": 1}}
        self.assertEqual(trec.evaluate(qrels, {"q1": {"a": 1.0}}),
                         {"nDCG@10": 0.5, "Recall@100": 0.5, "MAP": 0.5, "MRR": 0.5})

    def test_a_query_without_relevant_documents_counts_as_zero(self):
        qrels = {"q1": {"a": 1}, "q2": {"b": 0}}
        self.assertEqual(trec.evaluate(qrels, {"q1": {"a": 1.0}, "q2": {"b": 1.0}})["MAP"], 0.5)

    def test_no_judgements_at_all_is_an_error(self):
        with self.assertRaisesRegex(trec.FormatError, "no judgements"):
            trec.evaluate({}, {"q": {"a": 1.0}})

    def test_identical_ids_are_dropped_before_counting(self):
        qrels, run = {"q": {"a": 1}}, {"q": {"q": 2.0, "a": 1.0}}
        self.assertEqual(trec.evaluate(qrels, run)["MRR"], 1)
        self.assertEqual(trec.evaluate(qrels, run, ignore_identical_ids=False)["MRR"], 0.5)

    def test_another_querys_document_stays(self):
        qrels = {"q": {"a": 1}, "r": {"b": 1}}
        self.assertEqual(trec.evaluate(qrels, {"q": {"r": 2.0, "a": 1.0}})["MRR"], 0.25)


class Files(unittest.TestCase):
    def write(self, text):
        file = tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False, encoding="utf-8")
        self.addCleanup(os.unlink, file.name)
        with file:
            file.write(text)
        return file.name

    def test_judgements_have_a_header_and_ids_stay_strings(self):
        path = self.write("query-id\tcorpus-id\tscore\n01\t1\t1\n01\t2\t0\n")
        self.assertEqual(trec.read_qrels(path), {"01": {"1": 1, "2": 0}})

    def test_a_bad_line_is_named(self):
        with self.assertRaisesRegex(trec.FormatError, ":3: not"):
            trec.read_qrels(self.write("query-id\tcorpus-id\tscore\nq\td\t1\nq\td\n"))

    def test_a_document_listed_twice_is_refused(self):
        with self.assertRaisesRegex(trec.FormatError, ":2: document d listed twice"):
            trec.read_run(self.write("q Q0 d 1 2 t\nq Q0 d 2 1 t\n"))
        with self.assertRaisesRegex(trec.FormatError, "listed twice"):
            trec.run_from_lists({"q": ["d", "d"]})


if __name__ == "__main__":
    unittest.main()
