"""Distribution functions under SciPy's old names, binomials and factorials.

They are incomplete gamma and beta functions (DLMF 8.2.4, 8.17.2, 8.17.5), whose rules they take.
What counts (successes, failures) carries no derivative; probabilities, means and the parameters of
continuous distributions do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.arrays import has_memory, scalar_form
from autodiff.core.dispatch import Box
from autodiff.core.spec import Spec
from autodiff.ops.protocol import UFUNCS
from autodiff.ops.samples import Sample, array
from autodiff.scipy.special.declare import (
    as_factor,
    declare,
    declare_with_parameters,
    ranges,
    refuse_derivative,
)
from autodiff.scipy.special.gammas import binom, gamma, poch
from autodiff.scipy.special.incomplete import (
    beta_density,
    beta_moment,
    betaincinv,
    gamma_density,
    gamma_moment,
    gammainccinv,
    gammaincinv,
)

# --- chi square, gamma, F -----------------------------------------------------------------------


def _chi_square(ufunc: Any, upper: bool) -> Any:
    sign = -1.0 if upper else 1.0
    return declare(
        ufunc,
        inputs=("v", "x"),
        d_v=lambda v, x: 0.5 * gamma_moment.call(0.5 * v, 0.5 * x, order=1, upper=upper),
        d_x=lambda v, x: sign * 0.5 * gamma_density.call(0.5 * v, 0.5 * x),
        cost=100,
        sample=ranges((1.2, 5.0), (0.5, 6.0)),
    )


def _gamma_distribution(ufunc: Any, upper: bool) -> Any:
    sign = -1.0 if upper else 1.0
    return declare(
        ufunc,
        inputs=("a", "b", "x"),
        d_a=lambda a, b, x: sign * x * gamma_density.call(b, a * x),
        d_b=lambda a, b, x: gamma_moment.call(b, a * x, order=1, upper=upper),
        d_x=lambda a, b, x: sign * a * gamma_density.call(b, a * x),
        cost=100,
        sample=ranges((0.6, 2.0), (0.6, 3.0), (0.5, 3.0)),
    )


def _ratio(dfn: Any, dfd: Any, x: Any) -> tuple[Any, Any, Any]:
    """The beta distribution's parameters and argument of the F distribution."""
    return 0.5 * dfn, 0.5 * dfd, dfn * x / (dfd + dfn * x)


def _f_distribution(ufunc: Any, upper: bool) -> Any:
    sign = -1.0 if upper else 1.0

    def by_shape(dfn: Any, dfd: Any, x: Any, m: int) -> Any:
        a, b, share = _ratio(dfn, dfd, x)
        shape = 0.5 * beta_moment.call(a, b, share, m=m, n=1 - m, upper=upper)
        # The share's slopes: share (1 - share) / dfn and its negative by dfd.
        change = share * (1 - share) / (dfn if m else -dfd)
        return shape + sign * change * beta_density.call(a, b, share)

    def d_x(dfn: Any, dfd: Any, x: Any) -> Any:
        change = dfn * dfd / np.square(dfd + dfn * x)
        return sign * change * beta_density.call(*_ratio(dfn, dfd, x))

    return declare(
        ufunc,
        inputs=("dfn", "dfd", "x"),
        d_dfn=lambda dfn, dfd, x: by_shape(dfn, dfd, x, 1),
        d_dfd=lambda dfn, dfd, x: by_shape(dfn, dfd, x, 0),
        d_x=d_x,
        cost=200,
        sample=ranges((1.5, 5.0), (1.5, 5.0), (0.3, 3.0)),
    )


chdtr = _chi_square(sc.chdtr, upper=False)
chdtrc = _chi_square(sc.chdtrc, upper=True)
gdtr = _gamma_distribution(sc.gdtr, upper=False)
gdtrc = _gamma_distribution(sc.gdtrc, upper=True)
fdtr = _f_distribution(sc.fdtr, upper=False)
fdtrc = _f_distribution(sc.fdtrc, upper=True)

# --- quantiles ---------------------------------------------------------------------------------


def _of_arrays_or(ufunc: Any, function: Any) -> Any:
    """SciPy's ufunc of arrays, and a function of inverses that have a derivative of Tensors."""

    def public(*inputs: Any) -> Any:
        if any(isinstance(value, Box) for value in inputs):
            return function(*inputs)
        return ufunc(*inputs)

    public.__name__ = public.__qualname__ = ufunc.__name__
    public.__doc__ = f"``scipy.special.{ufunc.__name__}``, by the inverses that it consists of."
    UFUNCS[ufunc] = public
    return public


def _fdtri(dfn: Any, dfd: Any, p: Any) -> Any:
    share = betaincinv(0.5 * dfn, 0.5 * dfd, p)
    return dfd * share / (dfn * (1 - share))


chdtri = _of_arrays_or(sc.chdtri, lambda v, p: 2 * gammainccinv(0.5 * v, p))
fdtri = _of_arrays_or(sc.fdtri, _fdtri)
gdtrix = _of_arrays_or(sc.gdtrix, lambda a, b, p: gammaincinv(b, p) / a)
betainccinv = _of_arrays_or(sc.betainccinv, lambda a, b, y: 1 - betaincinv(b, a, y))

# --- counts -------------------------------------------------------------------------------------


def _poisson(ufunc: Any, sign: float) -> Any:
    def d_m(k: Any, m: Any, m_spec: Spec) -> Any:
        return sign * gamma_density.call(as_factor(np.floor(k) + 1.0, m_spec), m)

    return declare_with_parameters(
        ufunc, ("k", "m"), d_m=d_m, cost=100, sample=ranges((0.5, 4.0), (0.5, 4.0))
    )


def _trials(ufunc: Any, shapes: Callable[[Any, Any], tuple[Any, Any]], sign: float) -> Any:
    def d_p(k: Any, n: Any, p: Any, p_spec: Spec) -> Any:
        a, b = (as_factor(shape, p_spec) for shape in shapes(k, n))
        return sign * beta_density.call(a, b, p)

    def draw(rng: np.random.Generator) -> list[Sample]:
        return [
            Sample((np.array([[1], [2]]), 5, array(rng, (3,), 0.2, 0.8)), {}),
            Sample((2, 4, array(rng, (), 0.2, 0.8)), {}),
        ]

    return declare_with_parameters(ufunc, ("k", "n", "p"), d_p=d_p, cost=150, sample=draw)


def _binomial(k: Any, n: Any) -> tuple[Any, Any]:
    return np.floor(k) + 1.0, n - np.floor(k)


def _negative_binomial(k: Any, n: Any) -> tuple[Any, Any]:
    return n, np.floor(k) + 1.0


pdtr = _poisson(sc.pdtr, -1.0)
pdtrc = _poisson(sc.pdtrc, 1.0)
bdtr = _trials(sc.bdtr, _binomial, -1.0)
bdtrc = _trials(sc.bdtrc, _binomial, 1.0)
nbdtr = _trials(sc.nbdtr, _negative_binomial, 1.0)
nbdtrc = _trials(sc.nbdtrc, _negative_binomial, -1.0)


def _as_scalar(x: Any) -> Any:
    return scalar_form(x) if has_memory(x) else x


def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """Combinations of `N` things taken `k` at a time, as ``scipy.special.comb``.

    Differentiable in both through `binom`, where ``exact=False``.

    Raises
    ------
    NonDifferentiableError
        ``exact=True`` of an argument that carries a derivative: integers have none.

    Examples
    --------
    >>> import autodiff as ad
    >>> comb(5, 2)
    np.float64(10.0)
    >>> ad.grad(lambda n: comb(n, 2.0))(5.0).round(12)
    np.float64(4.5)
    """
    if exact:
        refuse_derivative("comb(exact=True)", N=N, k=k)
        return sc.comb(N, k, exact=True, repetition=repetition)
    N, k = np.multiply(N, 1.0), np.multiply(k, 1.0)
    if repetition:
        is_none = np.equal(k, 0) & np.greater_equal(N, 0)
        return _as_scalar(np.where(is_none, 1.0, binom(np.where(is_none, 1.0, N + k - 1), k)))
    is_counted = np.less_equal(k, N) & np.greater_equal(N, 0) & np.greater_equal(k, 0)
    safe = binom(np.where(is_counted, N, 1.0), np.where(is_counted, k, 1.0))
    return _as_scalar(np.where(is_counted, safe, 0.0))


def perm(N: Any, k: Any, exact: bool = False) -> Any:
    """Sequences of `k` of `N` things, as ``scipy.special.perm``: Pochhammer's (N - k + 1)_k.

    Raises
    ------
    NonDifferentiableError
        ``exact=True`` of an argument that carries a derivative: integers have none.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda n: perm(n, 2.0))(5.0).round(12)
    np.float64(9.0)
    """
    if exact:
        refuse_derivative("perm(exact=True)", N=N, k=k)
    if not isinstance(N, Box) and not isinstance(k, Box):
        return sc.perm(N, k, exact=exact)  # type: ignore[call-overload]
    N, k = np.multiply(N, 1.0), np.multiply(k, 1.0)
    is_counted = np.less_equal(k, N) & np.greater_equal(N, 0) & np.greater_equal(k, 0)
    safe, count = np.where(is_counted, N, 1.0), np.where(is_counted, k, 1.0)
    return _as_scalar(np.where(is_counted, poch(safe - count + 1, count), 0.0))


def factorial(n: Any, exact: bool = False, extend: str = "zero") -> Any:
    """n!, as ``scipy.special.factorial``: the gamma function of n + 1, and 0 for negative n.

    Raises
    ------
    NonDifferentiableError
        ``exact=True`` of an argument that carries a derivative: integers have none.
    ValueError
        `extend` is not "zero".

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(factorial)(1.0).round(12)
    np.float64(0.422784335098)
    """
    if extend != "zero":
        raise ValueError(
            f"factorial: extend={extend!r} is not here; write autodiff.scipy.special.gamma(n + 1)"
        )
    if exact:
        refuse_derivative("factorial(exact=True)", n=n)
        return sc.factorial(n, exact=True)
    is_counted = np.greater_equal(n, 0)
    return _as_scalar(np.where(is_counted, gamma(np.where(is_counted, n, 0.0) + 1), 0.0))
