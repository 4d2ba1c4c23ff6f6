"""95 % intervals: how much a figure varies when the people (or images) that it was measured on are drawn anew."""

import numpy as np

LEVELS = (0.025, 0.975)


class Bootstrap:
    """Resamples of a set of faces that draw whole units, with replacement (cluster bootstrap; Field and Welsh, 2007).

    A figure that follows from sums over faces costs a product of two matrices, however many faces a person has. The
    same resamples serve all figures and models, so differences are paired.
    """

    def __init__(self, unit: np.ndarray, resamples: int, seed: int) -> None:
        """Draw; `unit`, texts (n,), names the person on each face, or the face itself where each stands alone."""
        names, self.unit = np.unique(np.asarray(unit, str), return_inverse=True)
        self.units = len(names)
        random = np.random.default_rng(seed)
        self.weights = np.empty((resamples, self.units))
        for weights in self.weights:
            weights[:] = np.bincount(random.integers(self.units, size=self.units), minlength=self.units)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum over the faces of each resample, float (resamples, k), of `values` (n, k); of (n,), (resamples,)."""
        columns = np.asarray(values, float).reshape(len(self.unit), -1)
        by_unit = np.stack([np.bincount(self.unit, column, self.units) for column in columns.T], axis=1)
        return (self.weights @ by_unit).reshape(-1, *np.shape(values)[1:])

    def means(self, values: np.ndarray, some: np.ndarray) -> np.ndarray:
        """The mean of `values` (n,) over the faces for which `some`, bool (n,), is true, float (resamples,).

        NaN in a resample without any of them.
        """
        return ratio(self.sums(values * some), self.sums(some))

    def mean(self, values: np.ndarray, some: np.ndarray) -> tuple[float, float, float]:
        """The mean over these faces as they are, and its `interval`; all NaN if there are none."""
        return values[some].mean() if some.any() else np.nan, *interval(self.means(values, some))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part` / `whole`, NaN where `whole` is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole != 0))


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of a figure's values in the resamples (percentile interval; Efron and Tibshirani, 1993).

    A resample in which the figure does not exist (NaN) does not count; both ends are NaN if it exists in none.
    """
    known = resampled[~np.isnan(resampled)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, LEVELS)
    return float(low), float(high)
