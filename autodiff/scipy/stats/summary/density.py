"""Kernel densities, and the likelihood of Box and Cox's transform.

Silverman, B. W. (1986), Density Estimation, section 3.4; Scott, D. W. (1992), Multivariate Density
Estimation, 6.42: bandwidths. Box, G. E. P. and Cox, D. R. (1964), J. Royal Statist. Soc. B 26,
211-252 (equation 8).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.elementwise import stop_gradient
from autodiff.ops.operands import operand
from autodiff.scipy.linalg import solve_triangular
from autodiff.scipy.special.errors import LOG_ROOT_TWO_PI, ndtr
from autodiff.scipy.special.exponentials import boxcox
from autodiff.scipy.stats.summary.samples import along, of_tensors, sample

__all__ = ["boxcox_llf", "gaussian_kde"]


class gaussian_kde:
    """Density of a sample, a normal one around each point, as ``scipy.stats.gaussian_kde``.

    Differentiable by the points at which it is evaluated, by the sample, its weights, and a
    bandwidth that is a number.

    Parameters
    ----------
    dataset : array or Tensor, shape (n,) or (d, n)
    bw_method : "scott", "silverman", number, Tensor or function of the estimate, optional
    weights : array or Tensor, shape (n,), optional

    Raises
    ------
    ValueError
        There are fewer than two points, weights do not fit, or the bandwidth is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> data = np.array([0.0, 1.0, 3.0])
    >>> ad.grad(lambda data: gaussian_kde(data).logpdf(0.5)[0])(data).round(6)
    array([ 0.321309, -0.114278, -0.312883])
    """

    def __init__(self, dataset: Any, bw_method: Any = None, weights: Any = None) -> None:
        dataset = operand(dataset)
        if spec_of(dataset).ndim < 2:
            dataset = np.reshape(dataset, (1, -1))
        self.dataset = dataset
        self.d, self.n = spec_of(dataset).shape
        if self.n < 2:
            raise ValueError("stats.gaussian_kde: the dataset should have several points")
        if weights is None:
            self.weights: Any = np.full(self.n, 1 / self.n)
        else:
            weights = operand(weights) * 1.0
            if spec_of(weights).shape != (self.n,):
                raise ValueError(
                    f"stats.gaussian_kde: weights of shape {spec_of(weights).shape} do not fit "
                    f"{self.n} points"
                )
            self.weights = weights / np.sum(weights)
        self.neff = 1 / np.sum(np.square(self.weights))
        self.set_bandwidth(bw_method)

    def scotts_factor(self) -> Any:
        """Scott's bandwidth."""
        return self.neff ** (-1.0 / (self.d + 4))

    def silverman_factor(self) -> Any:
        """Silverman's bandwidth."""
        return (self.neff * (self.d + 2.0) / 4.0) ** (-1.0 / (self.d + 4))

    def covariance_factor(self) -> Any:
        """The bandwidth, relative to the spread of the sample."""
        return self.factor

    def set_bandwidth(self, bw_method: Any = None) -> None:
        """Choose the bandwidth; parameters as of the class."""
        if bw_method is None or (isinstance(bw_method, str) and bw_method == "scott"):
            self.factor = self.scotts_factor()
        elif isinstance(bw_method, str):
            if bw_method != "silverman":
                raise ValueError(
                    f"stats.gaussian_kde: bw_method is 'scott', 'silverman', a number or a "
                    f"function, not {bw_method!r}"
                )
            self.factor = self.silverman_factor()
        else:
            self.factor = bw_method(self) if callable(bw_method) else bw_method
        middle = np.sum(self.weights * self.dataset, axis=1, keepdims=True)
        gaps = self.dataset - middle
        # That of a sample with weights, without bias.
        spread = (self.weights * gaps) @ np.transpose(gaps) / (1 - 1 / self.neff)
        self.covariance = spread * np.square(self.factor)
        self._root = np.linalg.cholesky(self.covariance)

    def logpdf(self, x: Any) -> Any:
        """Logarithm of the density at points of shape (d, k), or (k,) in one dimension."""
        x = operand(x)
        x = np.reshape(x, (1, -1)) if spec_of(x).ndim < 2 else x
        d, k = spec_of(x).shape
        if d != self.d:
            if d == 1 and k == self.d:  # one point
                x, k = np.reshape(x, (self.d, 1)), 1
            else:
                raise ValueError(
                    f"stats.gaussian_kde: points have dimension {d}, the dataset has {self.d}"
                )
        gaps = np.expand_dims(x, 2) - np.expand_dims(self.dataset, 1)
        z = solve_triangular(self._root, np.reshape(gaps, (self.d, k * self.n)), lower=True)
        square = np.reshape(np.sum(np.square(z), axis=0), (k, self.n))
        log_root = np.sum(np.log(np.diagonal(self._root)))
        # Weights may be 0, where their logarithm has no derivative, but the sum has
        highest = stop_gradient(np.max(-0.5 * square, axis=1, keepdims=True))
        total = np.sum(self.weights * np.exp(-0.5 * square - highest), axis=1)
        return np.log(total) + highest[:, 0] - log_root - self.d * LOG_ROOT_TWO_PI

    def evaluate(self, points: Any) -> Any:
        """Density at points of shape (d, k), or (k,) in one dimension."""
        return np.exp(self.logpdf(points))

    __call__ = pdf = evaluate

    def integrate_box_1d(self, low: Any, high: Any) -> Any:
        """Probability of an interval, in one dimension."""
        if self.d != 1:
            raise ValueError("stats.gaussian_kde.integrate_box_1d: the dataset has more dimensions")
        scale = self._root[0, 0]
        below = ndtr((low - self.dataset[0]) / scale)
        return np.sum(self.weights * (ndtr((high - self.dataset[0]) / scale) - below))


@of_tensors
def boxcox_llf(
    lmb: Any,
    data: Any,
    *,
    axis: int = 0,
    keepdims: bool = False,
    nan_policy: str = "propagate",
) -> Any:
    """Logarithm of the likelihood of Box and Cox's transform, as ``scipy.stats.boxcox_llf``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda lmb: boxcox_llf(lmb, np.array([1.0, 2.0, 4.0])))(0.0).round(12)
    np.float64(0.0)
    """
    data, axis = sample("boxcox_llf", data, axis, nan_policy)
    n = along(data, axis)
    logs = np.sum(np.log(data), axis=axis, keepdims=keepdims)
    spread = np.var(boxcox(data, lmb), axis=axis, keepdims=keepdims)
    return (lmb - 1) * logs - 0.5 * n * np.log(spread)
