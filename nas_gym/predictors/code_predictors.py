"""Regression of the performance of architectures on their codes (AT-NAS paper, section 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_gym.spaces import SearchSpace

_TREES = 100  # AT-NAS paper, Fig. 6
_SMOOTHING = 1e-3  # of radial basis functions, so that noise cannot make the system singular


def predict_from_codes(
    kind: str,
    space: SearchSpace,
    genotypes: NDArray[np.int64],
    values: NDArray[np.float64],
    candidates: NDArray[np.int64],
    seed: int,
) -> NDArray[np.float64]:
    """Fit a regression to evaluated architectures and predict others.

    The inputs are one-hot codes, because the numbers of operations have no order.

    Args:
        kind: A key of :data:`CODE_PREDICTORS`: ``forest`` (random forest of 100 trees), ``gp``
            (Gaussian process) or ``rbf`` (radial basis functions).
        space: Search space of the architectures.
        genotypes: Distinct evaluated architectures, ``(m, L)``, at least 2.
        values: Performance of these, ``(m,)``.
        candidates: Architectures to predict, ``(n, L)``.
        seed: Seed of the regression.

    Returns:
        Predicted performance, ``(n,)`` float64.
    """
    codes = (space.one_hot(genotypes), space.one_hot(candidates))
    inputs, outputs = (each.astype(np.float64) for each in codes)
    return np.asarray(CODE_PREDICTORS[kind](inputs, values, outputs, seed), np.float64)


def _predict_by_forest(inputs: Any, values: Any, candidates: Any, seed: int) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(_TREES, random_state=seed % 2**32)
    return forest.fit(inputs, values).predict(candidates)


def _predict_by_gp(inputs: Any, values: Any, candidates: Any, seed: int) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    kernel = RBF() + WhiteKernel(noise_level_bounds=(1e-8, 1e2))
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed % 2**32)
    return process.fit(inputs, values).predict(candidates)


def _predict_by_rbf(inputs: Any, values: Any, candidates: Any, seed: int) -> Any:
    from scipy.interpolate import RBFInterpolator

    return RBFInterpolator(inputs, values, kernel="linear", smoothing=_SMOOTHING)(candidates)


CODE_PREDICTORS: dict[str, Callable[[Any, Any, Any, int], Any]] = {
    "forest": _predict_by_forest,
    "gp": _predict_by_gp,
    "rbf": _predict_by_rbf,
}
"""Functions that fit and predict, by the name of the regression."""
