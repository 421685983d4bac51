"""The multivariate normal distribution and Dirichlet's.

Kotz, S., Balakrishnan, N. and Johnson, N. L. (2000), Continuous Multivariate Distributions, volume
1, 2nd edition: normal (45.1), Dirichlet (49.1).
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import scipy.stats

from autodiff.core.arrays import ones, zeros
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops.operands import operands
from autodiff.scipy.linalg import solve_triangular
from autodiff.scipy.special.errors import LOG_ROOT_TWO_PI
from autodiff.scipy.special.exponentials import xlogy
from autodiff.scipy.special.gammas import digamma, gammaln
from autodiff.scipy.special.incomplete import gammainc, gammaincc
from autodiff.scipy.stats.continuous import gamma
from autodiff.scipy.stats.distribution import is_batched

__all__ = ["dirichlet", "multivariate_normal"]


def _of_numbers(name: str, method: str, *args: Any, **keywords: Any) -> Any:
    if any(isinstance(value, Box) for value in (*args, *keywords.values())):
        raise NonDifferentiableError(
            f"stats.{name}.{method}: SciPy integrates numerically here, so there is no derivative; "
            "pass numbers or arrays (tensor.data, or stop_gradient(...))"
        )
    return getattr(getattr(scipy.stats, name), method)(*args, **keywords)


_LEAST = {"f": 1e3, "d": 1e6}
"""Which part of the largest eigenvalue SciPy takes for zero, in units of the rounding."""


def _floor(values: Any) -> Any:
    """Largest eigenvalue that SciPy takes for zero."""
    return _LEAST[values.dtype.char] * np.finfo(values.dtype).eps * np.max(np.abs(values))


def _on_support(gaps: Any, cov: Any, values: Any, vectors: Any) -> Any:
    """Logarithm of the density of a covariance that may be singular, where it is not zero.

    The pseudodeterminant is the determinant of the covariance plus the projector on its null space.
    Derivatives are those along matrices of the same rank, as the pseudoinverse's are (Golub, G. H.
    and Pereyra, V., 1973, equation 4.12).
    """
    floor = _floor(values)
    if np.min(values) < -floor:
        raise np.linalg.LinAlgError("multivariate_normal: cov is not positive semidefinite")
    symmetric = 0.5 * (cov + np.transpose(cov))
    inverse = np.linalg.pinv(symmetric, rcond=floor / (np.max(values) or 1.0), hermitian=True)
    projector = np.eye(len(values), dtype=values.dtype) - symmetric @ inverse
    log_det = np.linalg.slogdet(symmetric + projector)[1]
    distance = np.sum((gaps @ inverse) * gaps, axis=-1)
    rank = np.count_nonzero(values > floor)
    density = -0.5 * (distance + log_det) - rank * LOG_ROOT_TWO_PI
    missing = vectors[:, values <= floor]
    outside = np.linalg.norm(concrete(gaps) @ missing, axis=-1) >= 1e3 * floor
    return np.where(outside, -np.inf, density) if np.any(outside) else density


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
            Whether eigenvalues of `cov` may be zero. The density is then one on the support, and
            its derivatives by `cov` are along matrices of the same rank.

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
        if allow_singular:
            matrix = cov if ndim == 2 else cov * np.eye(n)
            values, vectors = np.linalg.eigh(concrete(matrix))
            if np.min(values) <= _floor(values):
                return _on_support(x - mean, matrix, values, vectors)
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

    def entropy(self, mean: Any = None, cov: Any = 1) -> Any:
        """Differential entropy, in nats; the mean says no more than the dimension."""
        _, _, factor, n = self._parameters(mean, cov)
        log_root = np.sum(np.log(np.diagonal(factor)))
        return log_root + n * (LOG_ROOT_TWO_PI + 0.5)

    def rvs(self, mean: Any = None, cov: Any = 1, size: Any = 1, random_state: Any = None) -> Any:
        """Draws, SciPy's own; of Tensors they move with mean and covariance.

        A draw is the mean and a factor of the covariance times what stays (Kingma, D. P. and
        Welling, M., 2014, section 2.4). Under ``vmap`` what stays is drawn, the same for every
        example.

        Parameters
        ----------
        mean : array or Tensor, shape (n,), optional
        cov : array or Tensor, as of `logpdf`
        size : int or tuple of int
        random_state : None, int, Generator or RandomState

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> from autodiff.scipy.stats import multivariate_normal
        >>> draw = lambda m: multivariate_normal.rvs(m, np.eye(2), random_state=0).sum()
        >>> ad.grad(draw)(np.zeros(2))
        array([1., 1.])
        """
        if not any(isinstance(value, Box) for value in (mean, cov)):
            return scipy.stats.multivariate_normal.rvs(mean, cov, size, random_state)
        mean, cov, factor, n = self._parameters(mean, cov)
        if is_batched(mean) or is_batched(cov):
            rows = scipy.stats.multivariate_normal.rvs(np.zeros(n), np.eye(n), size, random_state)
            z = np.reshape(rows, (-1, n))
        else:
            known = concrete(mean), concrete(factor)
            rows = scipy.stats.multivariate_normal.rvs(known[0], concrete(cov), size, random_state)
            z = np.transpose(
                solve_triangular(
                    known[1], np.transpose(np.reshape(rows, (-1, n)) - known[0]), lower=True
                )
            )
        return np.reshape(mean + z @ np.transpose(factor), np.shape(rows))

    def _parameters(self, mean: Any, cov: Any) -> tuple[Any, Any, Any, int]:
        """Mean, covariance, its factor, and the dimension."""
        n = self._dimension(None, mean, cov)
        cov = operands(cov)[0] * 1.0
        mean = zeros((n,), np.float64, like=cov) if mean is None else operands(mean)[0] * 1.0
        if spec_of(cov).ndim < 2:
            cov = cov * np.eye(n)
        mean = np.reshape(mean, (1,)) if n == 1 else mean
        return mean, cov, np.linalg.cholesky(0.5 * (cov + np.transpose(cov))), n

    def cdf(self, x: Any, *args: Any, **keywords: Any) -> Any:
        """Probability of a box, SciPy's: of numbers and arrays only.

        Raises
        ------
        NonDifferentiableError
            Something is a Tensor.
        """
        return _of_numbers("multivariate_normal", "cdf", x, *args, **keywords)

    def logcdf(self, x: Any, *args: Any, **keywords: Any) -> Any:
        """Logarithm of `cdf`, of numbers and arrays only."""
        return _of_numbers("multivariate_normal", "logcdf", x, *args, **keywords)

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

    def _given(self, alpha: Any) -> Any:
        alpha = operands(alpha)[0]
        if spec_of(alpha).ndim != 1:
            raise ValueError(f"dirichlet: alpha must be a vector, got shape {spec_of(alpha).shape}")
        if not np.all(concrete(alpha) > 0):
            raise ValueError("dirichlet: every alpha must be positive")
        return alpha * 1.0

    def mean(self, alpha: Any) -> Any:
        """Mean shares."""
        alpha = self._given(alpha)
        return alpha / np.sum(alpha)

    def var(self, alpha: Any) -> Any:
        """Variances of the shares."""
        alpha = self._given(alpha)
        total = np.sum(alpha)
        return alpha * (total - alpha) / (np.square(total) * (total + 1))

    def cov(self, alpha: Any) -> Any:
        """Covariance of the shares."""
        alpha = self._given(alpha)
        total = np.sum(alpha)
        share = alpha / total
        return (np.diag(share) - np.outer(share, share)) / (total + 1)

    def entropy(self, alpha: Any) -> Any:
        """Differential entropy, in nats."""
        alpha = self._given(alpha)
        total, count = np.sum(alpha), spec_of(alpha).shape[0]
        constant = np.sum(gammaln(alpha)) - gammaln(total)
        slopes = (total - count) * digamma(total) - np.sum((alpha - 1) * digamma(alpha))
        return constant + slopes

    def rvs(self, alpha: Any, size: Any = 1, random_state: Any = None) -> Any:
        """Draws, SciPy's own; of a Tensor they move with the concentrations.

        Shares are independent gamma variables over their sum, which is independent of them: a sum
        is drawn too, and each variable moves as the quantile of its level (Figurnov, Mohamed and
        Mnih, 2018, section 4.2).

        Parameters
        ----------
        alpha : array or Tensor, shape (K,)
        size : int or tuple of int
        random_state : None, int, Generator or RandomState

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> from autodiff.scipy.stats import dirichlet
        >>> draw = lambda a: dirichlet.rvs(a, random_state=0).sum()
        >>> np.abs(ad.grad(draw)(np.array([1.0, 2.0]))).round(9)
        array([0., 0.])
        """
        if not isinstance(alpha, Box):
            return scipy.stats.dirichlet.rvs(alpha, size, random_state)
        if is_batched(alpha):
            raise NonDifferentiableError(
                "stats.dirichlet.rvs: under vmap there are no draws of a batch of alpha; divide "
                "draws of gamma.rvs(alpha) by their sum"
            )
        alpha = self._given(alpha)
        known = concrete(alpha)
        shares = scipy.stats.dirichlet.rvs(known, size, random_state)
        generator = np.random.default_rng(crc32(shares.tobytes()))
        sums = generator.gamma(np.sum(known), size=shares.shape[:-1])
        draws = np.maximum(shares * sums[..., None], np.finfo(np.float64).tiny)
        moving = gamma._at_level(gammainc(known, draws), gammaincc(known, draws), [alpha])
        return moving / np.sum(moving, axis=-1, keepdims=True)


multivariate_normal = MultivariateNormal()
dirichlet = Dirichlet()
