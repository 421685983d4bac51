"""The multivariate normal distribution and Dirichlet's.

Kotz, S., Balakrishnan, N. and Johnson, N. L. (2000), Continuous Multivariate Distributions, volume
1, 2nd edition: normal (45.1), Dirichlet (49.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.arrays import ones, zeros
from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops.operands import operands
from autodiff.scipy.linalg import solve_triangular
from autodiff.scipy.special.errors import LOG_ROOT_TWO_PI
from autodiff.scipy.special.exponentials import xlogy
from autodiff.scipy.special.gammas import gammaln

__all__ = ["dirichlet", "multivariate_normal"]


class MultivariateNormal:
    """Normal vectors with a mean and a positive definite covariance.

    The covariance is made symmetric first, so its gradient is a symmetric matrix.
    """

    def __repr__(self) -> str:
        return "autodiff.scipy.stats.multivariate_normal"

    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
        """Logarithm of the density.

        Parameters
        ----------
        x : array or Tensor, shape (..., n)
            Points; with n = 1 also shape (k,), k points.
        mean : array or Tensor, shape (n,), optional
        cov : array or Tensor, shape (n, n), (n,) for a diagonal, or a number for a multiple of 1
        allow_singular : bool
            Must be False.

        Returns
        -------
        array or Tensor, shape (...)

        Raises
        ------
        LinAlgError
            The covariance is not positive definite.
        ValueError
            Shapes do not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> ad.grad(multivariate_normal.logpdf, argnums=1)(np.array([1.0, 2.0]), np.zeros(2))
        array([1., 2.])
        """
        if allow_singular:
            raise ValueError(
                "multivariate_normal: allow_singular=True has no derivative here; add a small "
                "multiple of the identity to cov"
            )
        given = [x, cov] if mean is None else [x, cov, mean]
        x, cov, *means = operands(*given)
        n = self._dimension(x, mean, cov)
        mean = zeros((n,), np.float64, like=x) if mean is None else means[0]
        shape = spec_of(x).shape
        if n == 1 and (not shape or shape[-1] != 1):
            x = np.reshape(x, (*shape, 1))
        elif not shape or shape[-1] != n:
            raise ValueError(
                f"multivariate_normal: points of shape {shape} do not have dimension {n}"
            )
        ndim = spec_of(cov).ndim
        if ndim < 2:
            if not np.all(concrete(cov) > 0):
                raise np.linalg.LinAlgError("multivariate_normal: a variance is not positive")
            root = np.sqrt(cov) * ones((n,), np.float64, like=cov)
            z = (x - mean) / root
            return -0.5 * np.sum(np.square(z), axis=-1) - np.sum(np.log(root)) - n * LOG_ROOT_TWO_PI
        factor = np.linalg.cholesky(0.5 * (cov + np.transpose(cov)))
        gaps = np.reshape(x - mean, (-1, n))
        z = solve_triangular(factor, np.transpose(gaps), lower=True)
        log_root = np.sum(np.log(np.diagonal(factor)))
        result = -0.5 * np.sum(np.square(z), axis=0) - log_root - n * LOG_ROOT_TWO_PI
        return np.reshape(result, spec_of(x).shape[:-1])

    def pdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
        """Density; parameters as of `logpdf`."""
        return np.exp(self.logpdf(x, mean, cov, allow_singular))

    def _dimension(self, x: Any, mean: Any, cov: Any) -> int:
        """Length of the vectors: that of the mean, else the covariance's, else 1."""
        cov_shape = spec_of(cov).shape
        if len(cov_shape) > 2 or (len(cov_shape) == 2 and cov_shape[0] != cov_shape[1]):
            raise ValueError(f"multivariate_normal: cov has shape {cov_shape}; it must be square")
        mean_shape = () if mean is None else spec_of(mean).shape
        if len(mean_shape) > 1:
            raise ValueError(f"multivariate_normal: mean has shape {mean_shape}; it is a vector")
        lengths = {shape[0] for shape in (mean_shape, cov_shape) if shape}
        if len(lengths) > 1:
            raise ValueError(
                f"multivariate_normal: mean has shape {mean_shape}, cov has shape {cov_shape}"
            )
        return lengths.pop() if lengths else 1


class Dirichlet:
    """Vectors of shares that sum to 1, with concentrations `alpha`."""

    def __repr__(self) -> str:
        return "autodiff.scipy.stats.dirichlet"

    def logpdf(self, x: Any, alpha: Any) -> Any:
        """Logarithm of the density.

        Parameters
        ----------
        x : array or Tensor, shape (K, ...) or (K - 1, ...)
            Shares along the first axis; the last one may be left out.
        alpha : array or Tensor, shape (K,)
            Concentrations, positive.

        Raises
        ------
        ValueError
            A concentration is not positive, a share is negative, or they do not sum to 1.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> ad.grad(dirichlet.logpdf, argnums=1)(np.array([0.25, 0.75]), np.array([1.0, 1.0]))
        array([-0.38629436,  0.71231793])
        """
        x, alpha = operands(x, alpha)
        shape, shares = spec_of(alpha).shape, spec_of(x).shape
        if len(shape) != 1:
            raise ValueError(f"dirichlet: alpha must be a vector, got shape {shape}")
        if not np.all(concrete(alpha) > 0):
            raise ValueError("dirichlet: every alpha must be positive")
        count = shape[0]
        if not shares or shares[0] not in (count, count - 1):
            raise ValueError(
                f"dirichlet: shares of shape {shares} do not fit alpha of shape {shape}"
            )
        if shares[0] == count - 1:
            x = np.concatenate([x, 1 - np.sum(x, axis=0, keepdims=True)])
        if not np.all(concrete(x) >= 0):
            raise ValueError("dirichlet: a share is negative")
        if not np.all(np.abs(concrete(np.sum(x, axis=0)) - 1) < 1e-6):
            raise ValueError("dirichlet: the shares must sum to 1 along the first axis")
        column = np.reshape(alpha, (count, *(1,) * (len(shares) - 1)))
        constant = np.sum(gammaln(alpha)) - gammaln(np.sum(alpha))
        return np.sum(xlogy(column - 1, x), axis=0) - constant

    def pdf(self, x: Any, alpha: Any) -> Any:
        """Density; parameters as of `logpdf`."""
        return np.exp(self.logpdf(x, alpha))


multivariate_normal = MultivariateNormal()
dirichlet = Dirichlet()
