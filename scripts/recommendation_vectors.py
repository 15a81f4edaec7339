"""Vectors of users and items from interactions alone: truncated SVD of the train matrix, in numpy.

The matrix has 1 / sqrt(items of the user * users of the item) where a person has an item. Both
sides are scaled by the square root of the singular values, which puts them into one space. The SVD
is the randomised one of Halko, Martinsson and Tropp (2011) with subspace iteration.
"""

import numpy as np

OVERSAMPLING = 16
ITERATIONS = 6
CHUNK_ROWS = 1 << 16


class SparseRows:
    """A matrix by rows that can be multiplied with a dense one."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, row_count: int):
        order = np.argsort(rows, kind="stable")
        self._columns, self._values = columns[order], values[order].astype(np.float32)
        self._present, self._starts = np.unique(rows[order], return_index=True)
        self._row_count = row_count

    def times(self, dense: np.ndarray) -> np.ndarray:
        result = np.zeros((self._row_count, dense.shape[1]), dtype=np.float32)
        ends = np.append(self._starts[1:], len(self._columns))
        first = 0
        while first < len(self._starts):
            # As many whole rows as fit into a chunk, at least one.
            last = int(np.searchsorted(ends, self._starts[first] + CHUNK_ROWS, side="right"))
            last = max(last, first + 1)
            low, high = self._starts[first], ends[last - 1]
            block = dense[self._columns[low:high]] * self._values[low:high, None]
            sums = np.add.reduceat(block, self._starts[first:last] - low, axis=0)
            result[self._present[first:last]] = sums
            first = last
        return result


def svd_vectors(pairs: np.ndarray, user_count: int, item_count: int, dim: int,
                seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of users and items from `pairs` (user, item), each counted once. Rows of zeros: no
    train data. With fewer than `dim` singular vectors the rest of the columns is zero."""
    pairs = np.unique(pairs, axis=0)
    users, items = pairs[:, 0], pairs[:, 1]
    values = 1 / np.sqrt(np.bincount(users, minlength=user_count)[users]
                         * np.bincount(items, minlength=item_count)[items])
    forward = SparseRows(users, items, values, user_count)
    backward = SparseRows(items, users, values, item_count)
    width = min(dim + OVERSAMPLING, user_count, item_count)
    random = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(forward.times(random.normal(size=(item_count, width))
                                          .astype(np.float32)))
    for _ in range(ITERATIONS):
        back, _ = np.linalg.qr(backward.times(basis))
        basis, _ = np.linalg.qr(forward.times(back))
    # basis^T A, transposed: items x width.
    right, singular, small = np.linalg.svd(backward.times(basis), full_matrices=False)
    scale = np.sqrt(singular[:dim])
    left = (basis @ small.T)[:, :dim] * scale
    right = right[:, :dim] * scale
    # A factorisation leaves rounding noise where there is no data, and noise has a direction.
    left[np.bincount(users, minlength=user_count) == 0] = 0
    right[np.bincount(items, minlength=item_count) == 0] = 0
    missing = dim - right.shape[1]
    return (np.pad(left, ((0, 0), (0, missing))).astype(np.float64),
            np.pad(right, ((0, 0), (0, missing))).astype(np.float64))
