"""Loading, choosing people and the measures of scripts/recommendation_data.py, on made-up sets;
the numpy oracle against searches that can be checked by hand."""

import gzip
import os
import tempfile
import unittest

import numpy as np
import recommendation_data as recs
from recommendation_oracle import Oracle, largest_remainder


def write_set(folder, train, valid, test, items, users):
    for name, pairs in (("train", train), ("valid", valid), ("test", test)):
        with gzip.open(os.path.join(folder, f"{name}.tsv.gz"), "wt") as file:
            file.writelines(f"{user}\t{item}\n" for user, item in pairs)
    np.save(os.path.join(folder, "item_vectors.npy"), np.array(items, dtype=np.float32))
    np.save(os.path.join(folder, "user_vectors.npy"), np.array(users, dtype=np.float32))


class Sets(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        # Item 3 has no vector; user 2 has none either; user 3 has no history before test.
        self.items = [[3, 0], [0, 2], [1, 1], [0, 0], [1e-30, 1e-30]]
        write_set(self.folder, [(0, 0), (0, 3), (1, 1), (2, 0)], [(0, 1), (0, 0)],
                  [(0, 2), (0, 1), (1, 1), (2, 1), (3, 1)], self.items,
                  [[1, 0], [0, 1], [0, 0], [1, 1]])

    def test_vectors_become_unit_length_even_the_smallest_and_zeros_are_left_out(self):
        data = recs.load_set(self.folder)
        self.assertEqual(data.items.tolist(), [0, 1, 2, 4])
        np.testing.assert_allclose(np.linalg.norm(data.item_vectors, axis=1), [1, 1, 1, 0, 1],
                                   atol=1e-6)

    def test_history_is_everything_before_the_split_without_repeats(self):
        people, total = recs.load_set(self.folder).people("test", 0, seed=1)
        self.assertEqual(total, 1)  # user 1 wants what it has, 2 has no vector, 3 no history
        self.assertEqual(people[0].history.tolist(), [0, 1])
        self.assertEqual(people[0].wanted, {2})
        people, _ = recs.load_set(self.folder).people("valid", 0, seed=1)
        self.assertEqual((people[0].history.tolist(), people[0].wanted), ([0], {1}))

    def test_a_bad_line_and_an_id_without_a_row_are_named(self):
        for text, line in (("0\t0\nx\n", 2), ("0\t5\n", 1), ("0\t-1\n", 1)):
            with gzip.open(os.path.join(self.folder, "valid.tsv.gz"), "wt") as file:
                file.write(text)
            with self.assertRaisesRegex(recs.DataError, f"valid.tsv.gz:{line}:"):
                recs.load_set(self.folder)

    def test_a_truncated_vector_file_is_an_error(self):
        path = os.path.join(self.folder, "item_vectors.npy")
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) - 4)
        with self.assertRaisesRegex(recs.DataError, "item_vectors.npy"):
            recs.load_set(self.folder)

    def test_recall_diversity_and_coverage(self):
        data = recs.load_set(self.folder)
        people = [recs.Person(0, np.array([4]), np.array([1.0, 0]), frozenset({0, 1}))]
        scores = recs.judge(data, people, [[0, 1]])
        self.assertEqual(scores.recall[10], 1)
        self.assertAlmostEqual(scores.diversity, 1, places=6)  # items 0 and 1 are orthogonal
        self.assertEqual(scores.coverage, 0.5)
        scores = recs.judge(data, people, [[2, 0]])
        self.assertEqual(scores.recall[10], 0.5)
        self.assertAlmostEqual(scores.diversity, 1 - 0.5 ** 0.5, places=6)


class TheOracle(unittest.TestCase):
    def test_seats_go_to_the_largest_remainders(self):
        self.assertEqual(largest_remainder(np.array([0.46, 0.31, 0.23]), 10), [5, 3, 2])
        self.assertEqual(largest_remainder(np.array([1.0, 1.0, 1.0]), 4), [2, 1, 1])

    def setUp(self):
        random = np.random.default_rng(7)
        vectors = recs.normalised(random.normal(size=(200, 8)))
        self.data = recs.RecommendationSet("made up", {}, vectors, vectors[:1])
        self.oracle = Oracle(self.data, 5)

    def test_a_filter_excludes_and_the_answer_stays_complete(self):
        query = self.data.item_vectors[0].tolist()
        plain, = self.oracle.answer([{"query": query, "limit": 12}])
        rest, = self.oracle.answer([{"query": query, "limit": 10,
                                     "filter": {"must_not": [{"has_id": plain[:2]}]}}])
        self.assertEqual(plain[0], 0)
        self.assertEqual(rest, plain[2:])

    def test_a_mixture_fills_its_budget_once_each_and_leaves_the_history_out(self):
        history = list(range(20))
        found, = self.oracle.answer([{"limit": 50, "query": {"interests": {
            "history": history, "max_components": 3, "vector": [1.0] + [0.0] * 7, "blend": 0.25,
            "blend_with": "vector"}}}])
        self.assertEqual(len(set(found)), 50)
        self.assertFalse(set(found) & set(history))

    def test_rounds_do_not_overlap_and_no_movement_means_the_plain_answer(self):
        query = self.data.item_vectors[3].tolist()
        plain, = self.oracle.answer([{"query": query, "limit": 30}])
        for strategy in ({"explore": {"beta": 0}}, {"rocchio": {"alpha": 1, "beta": 0,
                                                                "feedback": 3}}):
            refined, = self.oracle.answer([{"limit": 30, "query": {"refine": {
                "query": query, "history": [5], "rounds": 4, "strategy": strategy}}}])
            self.assertEqual(refined, plain)
        moved, = self.oracle.answer([{"limit": 30, "query": {"refine": {
            "query": query, "history": [5], "rounds": 5, "strategy": {"explore": {"beta": 0.5}}}}}])
        self.assertEqual(len(set(moved)), 30)
        self.assertEqual(moved[:6], plain[:6])


if __name__ == "__main__":
    unittest.main()
