"""Loading, dividing and choosing people by scripts/recommendation_data.py, vectors made by
scripts/recommendation_vectors.py, on made-up sets."""

import gzip
import os
import tempfile
import unittest

import numpy as np
import recommendation_data as recs
from recommendation_vectors import SparseRows, svd_vectors


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

    def test_without_vectors_they_are_made_from_the_train_part(self):
        for kind in ("item", "user"):
            os.remove(os.path.join(self.folder, f"{kind}_vectors.npy"))
        data = recs.load_set(self.folder)
        # Item 2 is in no train part, user 3 has none: no vector, and so nothing to recommend.
        self.assertEqual(data.items.tolist(), [0, 1, 3])
        self.assertEqual(np.flatnonzero(np.abs(data.user_vectors).sum(axis=1)).tolist(), [0, 1, 2])

    def test_an_empty_train_part_cannot_make_vectors(self):
        for kind in ("item", "user"):
            os.remove(os.path.join(self.folder, f"{kind}_vectors.npy"))
        with gzip.open(os.path.join(self.folder, "train.tsv.gz"), "wt"):
            pass
        with self.assertRaisesRegex(recs.DataError, "train part is empty"):
            recs.load_set(self.folder)


class Division(unittest.TestCase):
    PARTS = {"train": {1: [10, 11, 12, 13], 2: [20, 21], 3: [30]},
             "valid": {1: [14], 3: [31]}, "test": {1: [15, 10], 3: [32]}}

    def test_leave_last_out_takes_the_last_two_of_those_with_three(self):
        parts = recs.divided(self.PARTS, "leave-last-out", 1, 0.2)
        # Item 10 came back to person 1 at the end: it counts where it came first.
        self.assertEqual(parts["train"], {1: [10, 11, 12, 13], 2: [20, 21], 3: [30]})
        self.assertEqual((parts["valid"], parts["test"]), ({1: [14], 3: [31]}, {1: [15], 3: [32]}))

    def test_a_ratio_keeps_every_item_once_and_the_order_of_what_stays(self):
        wide = {"train": {user: list(range(50)) for user in range(20)}, "valid": {}, "test": {}}
        parts = recs.divided(wide, "ratio", 5, 0.2)
        for user in range(20):
            train, valid, test = (parts[part][user] for part in recs.PARTS)
            self.assertEqual((len(train), len(valid), len(test)), (35, 5, 10))
            self.assertEqual(sorted(train + valid + test), list(range(50)))
            self.assertEqual(train, sorted(train))
        self.assertEqual(parts, recs.divided(wide, "ratio", 5, 0.2))
        self.assertNotEqual(parts, recs.divided(wide, "ratio", 6, 0.2))

    def test_the_parts_as_given_stay(self):
        self.assertIs(recs.divided(self.PARTS, "given", 1, 0.2), self.PARTS)


class OwnVectors(unittest.TestCase):
    SEED = 3

    def setUp(self):
        self.random = np.random.default_rng(self.SEED)

    def test_sparse_rows_multiply_as_dense_ones(self):
        dense = (self.random.random((300, 200)) < 0.05) * self.random.random((300, 200))
        dense[7] = 0
        rows, columns = np.nonzero(dense)
        order = self.random.permutation(len(rows))
        rows, columns = rows[order], columns[order]
        sparse = SparseRows(rows, columns, dense[rows, columns], 300)
        other = self.random.normal(size=(200, 6)).astype(np.float32)
        np.testing.assert_allclose(sparse.times(other), dense @ other, atol=1e-5)

    def test_products_are_the_best_of_their_rank(self):
        """Against the full SVD of the same matrix."""
        # Three groups with tastes of their own, so that the first values stand apart.
        likes = np.kron(np.eye(3), np.ones((30, 40))) * 0.6 + 0.05
        matrix = self.random.random(likes.shape) < likes
        matrix[5], matrix[:, 9] = False, False
        users, items = svd_vectors(np.argwhere(matrix), *matrix.shape, dim=3)
        degrees = np.outer(matrix.sum(axis=1), matrix.sum(axis=0))
        scaled = np.where(matrix, 1 / np.sqrt(np.maximum(degrees, 1)), 0)
        left, singular, right = np.linalg.svd(scaled)
        wanted = left[:, :3] * singular[:3] @ right[:3]
        np.testing.assert_allclose(users @ items.T, wanted, atol=1e-4, err_msg=f"seed {self.SEED}")
        np.testing.assert_allclose(np.linalg.norm(users, axis=0), np.sqrt(singular[:3]), rtol=1e-4)
        self.assertFalse(users[5].any() or items[9].any())

    def test_more_dimensions_than_there_are_become_zeros(self):
        users, items = svd_vectors(np.array([[0, 0], [1, 1], [1, 1]]), 2, 2, dim=5)
        self.assertEqual((users.shape, items.shape), ((2, 5), (2, 5)))
        np.testing.assert_allclose(users @ items.T, np.eye(2), atol=1e-6)


if __name__ == "__main__":
    unittest.main()
