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
from recommendation_bootstrap import Bootstrap

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
                                                   "strategy": {"adapter": "a"},
                                                   "exclude_history": False})
        self.assertEqual(body["params"], {"exact": True})
        body = evaluate_adapter.search_of(Case(1, [5, 7], 6), 5, arguments())
        self.assertNotIn("filter", body)  # The daemon leaves out the whole history by itself.
        self.assertNotIn("exclude_history", body["query"]["refine"])
        body = evaluate_adapter.search_of(self.CASE, 5, arguments(context_includes_history=True))
        self.assertNotIn("filter", body)
        self.assertTrue(body["query"]["refine"]["context_includes_history"])

    def test_one_wanted_item_at_a_rank(self):
        row = evaluate_adapter.checked(self.CASE, [1, 2, 6] + list(range(10, 90)))
        values = evaluate_adapter.values_at([row], ("hit", "ndcg"), 0, (10, 50))
        self.assertEqual((values["hit@10"][0], values["ndcg@50"][0]), (1, 1 / math.log2(4)))
        for bad, text in (([1, 1], "repeats"), ([1, 5], "history")):
            with self.assertRaisesRegex(recs.DataError, text):
                evaluate_adapter.checked(self.CASE, bad)

    def test_every_round_for_itself_and_with_those_before(self):
        self.assertEqual(evaluate_adapter.round_ends(100, 5), [20, 40, 60, 80, 100])
        self.assertEqual(evaluate_adapter.round_ends(10, 4), [3, 6, 9, 10])
        self.assertEqual(evaluate_adapter.round_ends(2, 5), [1, 2])
        places = (0, 4, 5, 9, None)  # From 0; two rounds of five.
        rows = [[place == wanted for place in range(10)] for wanted in places]
        base = [[place == 9 for place in range(10)]] * len(rows)
        comparison = evaluate_adapter.Comparison(Bootstrap(len(rows), SEED, 50))
        first, second = comparison.per_round(rows, base, [5, 10])
        self.assertEqual((first["round"], first["items"], second["items"]), (1, 5, 10))
        for measure in ("hit", "recall"):
            for part, expected in (("cumulative", 0.4), ("own", 0.4), ("one", 0)):
                self.assertAlmostEqual(first[part][measure]["value"], expected)
            for part, expected in (("cumulative", 0.8), ("own", 0.4), ("one", 1), ("gain", -0.2)):
                self.assertAlmostEqual(second[part][measure]["value"], expected)
        discounts = [1 / math.log2(rank + 2) for rank in range(10)]
        self.assertAlmostEqual(second["cumulative"]["ndcg"]["value"],
                               sum(discounts[place] for place in (0, 4, 5, 9)) / 5)
        self.assertAlmostEqual(second["own"]["ndcg"]["value"], (discounts[0] + discounts[4]) / 5)


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
        self.assertEqual([one["items"] for one in five["per_round"]], [20, 40, 60, 80, 100])
        last = five["per_round"][-1]
        self.assertEqual(last["cumulative"]["hit"], five["measures"]["hit@100"])
        self.assertEqual(last["gain"]["ndcg"], five["gain"]["ndcg@100"])
        self.assertAlmostEqual(sum(one["own"]["hit"]["value"] for one in five["per_round"]),
                               last["cumulative"]["hit"]["value"])
        text = evaluate_adapter.table(report)
        self.assertIn("5 against 1", text)
        self.assertIn("NDCG of its own", text)


if __name__ == "__main__":
    unittest.main()
