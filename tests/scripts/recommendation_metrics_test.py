"""scripts/recommendation_metrics.py and scripts/recommendation_bootstrap.py against values worked
out by hand, against other implementations, and against what is known of normal means."""

import gzip
import json
import math
import pathlib
import tempfile
import unittest

import numpy as np
import recommendation_data as recs
import recommendation_metrics as metrics
import trec_metrics as trec
from recommendation_bootstrap import Bootstrap, gain

SEED = 5


class Ranking(unittest.TestCase):
    def test_by_hand(self):
        # Relevant at ranks 2 and 12, three wanted.
        relevant = [rank in (2, 12) for rank in range(1, 31)]
        row = metrics.ranking_measures(relevant, 3)
        self.assertEqual((row["recall@10"], row["recall@20"]), (1 / 3, 2 / 3))
        self.assertEqual((row["hit@10"], row["hit@20"]), (1, 1))
        ideal = 1 + 1 / math.log2(3) + 1 / 2
        self.assertAlmostEqual(row["ndcg@10"], 1 / math.log2(3) / ideal)
        self.assertAlmostEqual(row["ndcg@20"], (1 / math.log2(3) + 1 / math.log2(13)) / ideal)
        self.assertEqual(metrics.ranking_measures([False] * 20, 2)["hit@20"], 0)

    def test_ideal_list_is_cut_at_the_depth(self):
        row = metrics.ranking_measures([True] * 10, 40, (10,))
        self.assertEqual((row["ndcg@10"], row["recall@10"]), (1, 0.25))

    def test_as_text_retrieval_measures_them(self):
        random = np.random.default_rng(SEED)
        for _ in range(50):
            items = random.permutation(60)[:40].tolist()
            wanted = set(random.choice(60, random.integers(1, 15), replace=False).tolist())
            row = metrics.ranking_measures([item in wanted for item in items], len(wanted))
            other = trec.evaluate({"q": {str(item): 1 for item in wanted}},
                                  trec.run_from_lists({"q": [str(item) for item in items]}))
            self.assertAlmostEqual(row["ndcg@10"], other["nDCG@10"], msg=f"seed {SEED}")
            self.assertAlmostEqual(row["recall@100"], other["Recall@100"], msg=f"seed {SEED}")


class OfOnePerson(unittest.TestCase):
    def setUp(self):
        vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [0, 0], [-1, 0]], dtype=np.float32)
        parts = {"train": {0: [0, 1], 1: [0], 2: [0, 2], 3: [4]}, "valid": {3: [2]},
                 "test": {0: [2, 4]}}
        self.data = recs.RecommendationSet("made up", parts, vectors, np.ones((4, 2)))
        self.categories = [frozenset(c) for c in ([0], [1, 2], [2], [], [3])]
        self.known = metrics.background(self.data, "test", self.categories)
        self.person = recs.Person(0, np.array([0, 1]), np.array([1.0, 0]), frozenset({2, 4}))

    def test_diversity_is_one_less_the_mean_cosine_of_pairs(self):
        row = metrics.judge_one(self.known, self.person, [0, 1, 2])
        self.assertAlmostEqual(row["diversity@20"], 1 - (0 + 0.6 + 0.8) / 3, places=6)
        self.assertEqual(metrics.judge_one(self.known, self.person, [2])["diversity@20"], 0)

    def test_categories_are_those_of_the_history_that_are_shown(self):
        # The history has 0, 1 and 2; item 2 shows one of them, item 4 none.
        self.assertAlmostEqual(
            metrics.judge_one(self.known, self.person, [2, 4])["categories@20"], 1 / 3)

    def test_novelty_is_the_surprise_in_bits(self):
        # Of four people two have item 2 before the test part, one has item 4.
        self.assertAlmostEqual(metrics.judge_one(self.known, self.person, [2, 4])["novelty@20"],
                               (math.log2(4 / 2) + math.log2(4 / 1)) / 2)
        valid = metrics.background(self.data, "valid", self.categories)
        self.assertAlmostEqual(valid.novelty[2], 2)  # Person 3 takes it in the valid part.

    def test_coverage_counts_items_with_a_vector(self):
        self.assertEqual(metrics.coverage(self.known, [[0, 1], [1, 2]]), 0.75)

    def test_judging_keeps_the_order_of_people(self):
        other = recs.Person(1, np.array([0]), np.array([1.0, 0]), frozenset({1}))
        values = metrics.judge(self.known, [self.person, other], [[2, 1], [1]])
        self.assertEqual(values["recall@20"].tolist(), [0.5, 1])
        self.assertEqual(set(values), set(metrics.MEASURES))

    def test_buckets_cover_all_lengths(self):
        names = [metrics.bucket_name(bucket) for bucket in metrics.BUCKETS]
        self.assertEqual(names, ["<= 5", "6 to 20", "21 to 50", "> 50"])
        self.assertEqual([metrics.bucket_of(n) for n in (1, 5, 6, 20, 21, 50, 51, 9999)],
                         [0, 0, 1, 1, 2, 2, 3, 3])


class Categories(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_lines_and_objects(self):
        lines = self.folder / "items.jsonl.gz"
        with gzip.open(lines, "wt") as file:
            file.write('{"id": 0, "genres": ["a", "b"]}\n{"id": 2, "genres": ["b"]}\n{"id": 9}\n')
        found = metrics.read_categories(lines, 4)
        self.assertEqual([len(values) for values in found], [2, 0, 1, 0])
        self.assertTrue(found[2] < found[0])
        self.assertEqual(metrics.find_categories(str(self.folder)), lines)
        mapping = self.folder / "x_attributes.json"
        mapping.write_text(json.dumps({"1": [7, 8], "3": 7}))
        found = metrics.read_categories(mapping, 4)
        self.assertEqual([len(values) for values in found], [0, 2, 0, 1])
        self.assertTrue(found[3] < found[1])

    def test_what_cannot_be_read_is_named(self):
        bad = self.folder / "items.jsonl"
        for text in ("{", '{"id": 1, "title": "x"}\n', '{"genres": ["a"]}\n'):
            bad.write_text(text)
            with self.assertRaisesRegex(recs.DataError, "items.jsonl"):
                metrics.read_categories(bad, 4)


class Intervals(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(SEED)

    def test_of_a_mean_as_the_normal_distribution_has_it(self):
        values = self.random.normal(3, 2, size=(4000, 1))
        low, high = Bootstrap(4000, SEED).means(values)[0]
        half = 1.96 * values.std() / math.sqrt(4000)
        self.assertAlmostEqual(low, values.mean() - half, delta=0.15 * half)
        self.assertAlmostEqual(high, values.mean() + half, delta=0.15 * half)

    def test_of_a_small_sample_as_of_all_resamples(self):
        """Three people have 27 resamples, all equally likely."""
        values = np.array([0.0, 1.0, 5.0])
        everything = [(a + b + c) / 3 for a in values for b in values for c in values]
        low, high = Bootstrap(3, SEED, resamples=20000, level=0.8).means(values[:, None])[0]
        self.assertAlmostEqual(low, np.percentile(everything, 10), delta=0.34)
        self.assertAlmostEqual(high, np.percentile(everything, 90), delta=0.34)

    def test_differences_of_the_same_people_are_paired(self):
        base = self.random.normal(10, 5, size=1000)
        better = base + self.random.normal(0.2, 0.3, size=1000)
        bootstrap = Bootstrap(1000, SEED)
        low, high = bootstrap.differences(better[:, None], base)[0]
        self.assertLess(0.1, low)  # Unpaired the interval would be +-.4 wide and hold 0.
        self.assertLess(high, 0.3)
        low, high = bootstrap.gains(better[:, None], base)[0]
        self.assertLess(0, low)
        self.assertTrue(low < gain(better, base) < high)

    def test_a_method_gains_nothing_over_itself(self):
        values = self.random.random(50)
        bounds = Bootstrap(50, SEED).gains(np.column_stack([values, 2 * values]), values)
        np.testing.assert_allclose(bounds, [[0, 0], [1, 1]], atol=1e-12)

    def test_covers_the_truth_as_often_as_it_says(self):
        inside = 0
        for trial in range(300):
            values = self.random.exponential(1, size=(100, 1))
            low, high = Bootstrap(100, trial, resamples=400).means(values)[0]
            inside += low <= 1 <= high
        self.assertTrue(0.88 * 300 <= inside <= 0.99 * 300, f"{inside} of 300, seed {SEED}")

    def test_no_base_is_no_number(self):
        zeros = np.zeros(10)
        self.assertTrue(math.isnan(gain(np.ones(10), zeros)))
        self.assertTrue(np.isnan(Bootstrap(10, SEED).gains(np.ones((10, 1)), zeros)).all())
        with self.assertRaises(ValueError):
            Bootstrap(0, SEED)


if __name__ == "__main__":
    unittest.main()
