"""Confidence intervals by bootstrap over people (Efron, 1979; percentile method).

One set of resamples serves all methods, so the differences between them are paired: in a resample
every method is judged by the same people.
"""

import numpy as np

RESAMPLES = 2000
CHUNK = 100


class Bootstrap:
    """`level`: the probability that an interval claims to hold, two-sided."""

    def __init__(self, people_count: int, seed: int, resamples: int = RESAMPLES,
                 level: float = 0.95):
        if people_count < 1 or resamples < 1 or not 0 < level < 1:
            raise ValueError("people_count and resamples must be positive, level within 0 and 1")
        self._count, self._seed, self._resamples = people_count, seed, resamples
        self._draws: np.ndarray | None = None
        self._tails = (50 * (1 - level), 100 - 50 * (1 - level))

    def _resampled_means(self, values: np.ndarray) -> np.ndarray:
        """Means of the columns of `values` (people x columns) in every resample."""
        if self._draws is None:
            # How often each person is in each resample; that none is 256 times or more is certain
            # enough, and a byte each keeps the draws of many people small.
            random = np.random.default_rng(self._seed)
            shares = np.full(self._count, 1 / self._count)
            self._draws = np.concatenate([
                random.multinomial(self._count, shares, min(CHUNK, self._resamples - start))
                .astype(np.uint8) for start in range(0, self._resamples, CHUNK)])
        return np.concatenate([self._draws[start:start + CHUNK].astype(np.float64) @ values
                               for start in range(0, self._resamples, CHUNK)]) / self._count

    def means(self, values: np.ndarray) -> np.ndarray:
        """(low, high) of the mean of every column, as rows."""
        return self._interval(self._resampled_means(np.asarray(values, dtype=float)))

    def gains(self, values: np.ndarray, base: np.ndarray) -> np.ndarray:
        """(low, high) of mean(column) / mean(base) - 1 for every column, as rows. Where the base
        is 0 in a resample there is no ratio, and the interval is NaN."""
        both = np.column_stack([np.asarray(values, dtype=float), base])
        means = self._resampled_means(both)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = means[:, :-1] / means[:, -1:] - 1
        ratios[~np.isfinite(ratios)] = np.nan
        return self._interval(ratios)

    def differences(self, values: np.ndarray, base: np.ndarray) -> np.ndarray:
        """(low, high) of mean(column) - mean(base) for every column, as rows."""
        values = np.asarray(values, dtype=float)
        return self._interval(self._resampled_means(values - np.asarray(base)[:, None]))

    def _interval(self, means: np.ndarray) -> np.ndarray:
        return np.percentile(means, self._tails, axis=0).T


def gain(values: np.ndarray, base: np.ndarray) -> float:
    """mean(values) / mean(base) - 1; NaN where the base is 0."""
    mean = float(np.mean(base))
    return float(np.mean(values)) / mean - 1 if mean else float("nan")
