"""scripts/evaluate_adapter.py: cases, measures and gains against a made-up ranking."""

import argparse
import gzip
import math
import os
import tempfile
import unittest

import evaluate_adapter
import numpy as np
import recommendation_data as recs
from evaluate_adapter import Case

SEED = 9


def arguments(**change):
    return argparse.Namespace(**{
        "collection": "c", "adapter": "a", "rounds": [5], "limit": 100, "seed": SEED,
        "context_includes_history": False, "exact": False, "resamples": 200} | change)


class Cases(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        for name, lines in (("train", "1\t5\n1\t6\n2\t5\n"), ("valid", "1\t7\n2\t9\n"),
                            ("test", "1\t6\n")):
            with gzip.open(os.path.join(self.folder, f"{name}.tsv.gz"), "wt") as file:
                file.write(lines)

    def test_the_last_item_of_those_with_three(self):
        self.assertEqual(evaluate_adapter.read_cases(self.folder, "test"), [Case(1, [5, 6, 7], 6)])
        self.assertEqual(evaluate_adapter.read_cases(self.folder, "valid"), [Case(1, [5, 6], 7)])

    def test_nobody_to_judge_and_no_folder_are_errors(self):
        for name in ("valid", "test"):
            with gzip.open(os.path.join(self.folder, f"{name}.tsv.gz"), "wt"):
                pass
        with self.assertRaisesRegex(recs.DataError, "three events"):
            evaluate_adapter.read_cases(self.folder, "test")
        with self.assertRaisesRegex(recs.DataError, "no such folder"):
            evaluate_adapter.read_cases("/nowhere", "test")

    def test_the_sample_is_drawn_by_seed(self):
        cases = [Case(user, [1, 2], 3) for user in range(50)]
        drawn = evaluate_adapter.draw(cases, 10, 4)
        self.assertEqual(drawn, evaluate_adapter.draw(cases, 10, 4))
        self.assertEqual(len({case.user for case in drawn}), 10)
        self.assertEqual(evaluate_adapter.draw(cases, 0, 4), cases)


class Searches(unittest.TestCase):
    CASE = Case(1, [5, 6, 7], 6)

    def test_the_history_is_left_out_but_not_the_wanted_item(self):
        body = evaluate_adapter.search_of(self.CASE, 5, arguments(exact=True))
        self.assertEqual(body["filter"], {"must_not": [{"has_id": [5, 7]}]})
        self.assertEqual(body["query"]["refine"], {"history": [5, 6, 7], "rounds": 5,
                                                   "strategy": {"adapter": "a"}})
        self.assertEqual(body["params"], {"exact": True})
        body = evaluate_adapter.search_of(self.CASE, 5, arguments(context_includes_history=True))
        self.assertNotIn("filter", body)
        self.assertTrue(body["query"]["refine"]["context_includes_history"])

    def test_one_wanted_item_at_a_rank(self):
        row = evaluate_adapter.measured(self.CASE, [1, 2, 6] + list(range(10, 90)))
        self.assertEqual((row["hit@10"], row["ndcg@50"]), (1, 1 / math.log2(4)))
        for bad, text in (([1, 1], "repeats"), ([1, 5], "history")):
            with self.assertRaisesRegex(recs.DataError, text):
                evaluate_adapter.measured(self.CASE, bad)


class Daemon:
    """Ranks 200 items so that more rounds find the wanted one more often."""

    def __init__(self):
        self.random = np.random.default_rng(SEED)

    def query_batch(self, collection, searches):
        results = []
        for search in searches:
            rounds = search["query"]["refine"]["rounds"]
            found = [item for item in self.random.permutation(np.arange(100, 300)).tolist()][:99]
            is_hit = self.random.random() < (0.8 if rounds > 1 else 0.4)
            found.insert(60 if rounds > 1 else 20, 6 if is_hit else 99)
            results.append({"points": [{"id": item} for item in found]})
        return results


class Gains(unittest.TestCase):
    def test_several_rounds_are_compared_with_one(self):
        cases = [Case(user, [5, 7], 6) for user in range(400)]
        report = evaluate_adapter.evaluate(Daemon(), cases, arguments())
        one, five = report["rows"]
        self.assertEqual((one["rounds"], five["rounds"]), (1, 5))
        self.assertEqual(five["measures"]["hit@50"]["value"], 0)
        gain = five["gain"]["hit@100"]
        self.assertAlmostEqual(gain["value"], five["measures"]["hit@100"]["value"]
                               / one["measures"]["hit@100"]["value"] - 1)
        self.assertTrue(0.4 < gain["low"] < gain["value"] < gain["high"] < 1.9, gain)
        self.assertIn("5 against 1", evaluate_adapter.table(report))


if __name__ == "__main__":
    unittest.main()
