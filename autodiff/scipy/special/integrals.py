"""Integrals and inverses: elliptic, Fresnel's, sine and cosine, Faddeeva's, Lambert's.

Derivatives: DLMF 19.4.1, 19.4.2 (elliptic), 7.2.7, 7.2.8 (Fresnel), 6.2.9, 6.2.11 (sine and
cosine), 7.10.2 (Faddeeva), 4.13.4 (Lambert), 25.12.2 (Spence). Where such a form is a difference
that vanishes, a hypergeometric series takes its place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as sc

from autodiff.core.arrays import as_array, as_value
from autodiff.core.declare import elementwise
from autodiff.ops.protocol import UFUNCS
from autodiff.ops.samples import Sample, array, reals
from autodiff.scipy.special.bessel import spherical_in
from autodiff.scipy.special.declare import declare, ranges, refuse_derivative
from autodiff.scipy.special.errors import ROOT_TWO
from autodiff.scipy.special.hypergeometric import hyp2f1
from autodiff.scipy.special.quadrature import in_blocks, nodes

ROOT_PI = math.sqrt(math.pi)

_anywhere = reals(low=-2.0, high=2.0, away_from=[0.0])
_positive = reals(low=0.3, high=3.0)

# --- elliptic integrals -------------------------------------------------------------------------


def _first_slope(m: Any, p: Any) -> Any:
    """The derivative of K by m = 1 - p."""
    is_near = np.less(np.abs(m), 0.3)
    far, rest = np.where(is_near, 0.5, m), np.where(is_near, 0.5, p)
    near = math.pi / 8 * hyp2f1(1.5, 1.5, 2.0, np.where(is_near, m, 0.1))
    difference = complement_e.call(rest) - rest * ellipkm1(rest)
    return np.where(is_near, near, difference / (2 * far * rest))


def _second_slope(m: Any, p: Any) -> Any:
    """The derivative of E by m = 1 - p."""
    is_near = np.less(np.abs(m), 0.3)
    far, rest = np.where(is_near, 0.5, m), np.where(is_near, 0.5, p)
    near = -math.pi / 8 * hyp2f1(1.5, 0.5, 2.0, np.where(is_near, m, 0.1))
    return np.where(is_near, near, (complement_e.call(rest) - ellipkm1(rest)) / (2 * far))


@elementwise(
    d_x=lambda x: -_second_slope(1 - x, x),
    cost=40,
    sample=reals(low=0.1, high=1.8),
    name="_ellipem1",
)
def complement_e(x: Any) -> Any:
    """The second elliptic integral of 1 - x, which keeps the digits of its slope near x = 0."""
    x = as_array(x)
    return as_value(sc.ellipe(1 - x), x.dtype)


ellipkm1 = declare(
    sc.ellipkm1,
    inputs=("p",),
    d_p=lambda p: -_first_slope(1 - p, p),
    cost=40,
    sample=reals(low=0.1, high=1.8),
)
ellipk = declare(
    sc.ellipk,
    inputs=("m",),
    d_m=lambda m: _first_slope(m, 1 - m),
    cost=40,
    sample=reals(low=-2.0, high=0.8),
)
ellipe = declare(
    sc.ellipe,
    inputs=("m",),
    d_m=lambda m: _second_slope(m, 1 - m),
    cost=40,
    sample=reals(low=-2.0, high=0.8),
)


def _integrand(phi: Any, m: Any, j: int, k: int) -> Any:
    """sin^(2j) (1 - m sin^2)^(-k - 1/2)."""
    square = np.square(np.sin(phi))
    return square**j * (1 - m * square) ** (-k - 0.5)


@elementwise(
    d_phi=_integrand,
    d_m=lambda phi, m, j, k: (k + 0.5) * elliptic_moment.call(phi, m, j=j + 1, k=k + 1),
    cost=2000,
    sample=lambda rng: [
        Sample((array(rng, (2, 3), -3.0, 3.0), array(rng, (3,), -0.4, 0.4)), {"j": 1, "k": 0})
    ],
)
def elliptic_moment(phi: Any, m: Any, *, j: int, k: int) -> Any:
    """The integral of sin^(2j) (1 - m sin^2)^(-k - 1/2) from 0 to phi, by quadrature.

    Closed under differentiation, and without a division by m; to full precision for m sin^2 below
    0.7 or so on the way.
    """
    if np.iscomplexobj(phi) or np.iscomplexobj(m):
        raise TypeError("elliptic integrals: phi and m must be real")
    phi, m = np.broadcast_arrays(as_array(phi), as_array(m))
    dtype = np.result_type(phi, m)
    phi, m = phi.astype(np.float64), m.astype(np.float64)
    position, weight = nodes(60)
    turns = np.rint(phi / math.pi)
    rest = phi - math.pi * turns

    def until(end: Any, m: Any) -> Any:
        values = _integrand(end[..., None] * position, m[..., None], j, k)
        return end * np.sum(weight * values, axis=-1)

    quarter = in_blocks(until, np.full_like(rest, math.pi / 2), m)
    return as_value(in_blocks(until, rest, m) + 2 * turns * quarter, dtype)


def _is_smooth(phi: Any, m: Any) -> Any:
    """Where the quadrature is exact."""
    largest = np.where(np.abs(phi) > 0.5 * math.pi, 1.0, np.square(np.sin(phi)))
    reached = m * largest
    return np.less(np.abs(reached), 0.6)


def _incomplete_first_d_m(phi: Any, m: Any, out: Any) -> Any:
    smooth = _is_smooth(phi, m)
    near = 0.5 * elliptic_moment.call(
        np.where(smooth, phi, 0.1), np.where(smooth, m, 0.1), j=1, k=1
    )
    phi, m = np.where(smooth, 1.5, phi), np.where(smooth, 0.9, m)
    edge = np.sin(2 * phi) / (2 * np.sqrt(1 - m * np.square(np.sin(phi))))
    far = (ellipeinc(phi, m) / (1 - m) - ellipkinc(phi, m) - m * edge / (1 - m)) / (2 * m)
    return np.where(smooth, near, far)


def _incomplete_second_d_m(phi: Any, m: Any) -> Any:
    smooth = _is_smooth(phi, m)
    near = -0.5 * elliptic_moment.call(
        np.where(smooth, phi, 0.1), np.where(smooth, m, 0.1), j=1, k=0
    )
    phi, m = np.where(smooth, 1.5, phi), np.where(smooth, 0.9, m)
    return np.where(smooth, near, (ellipeinc(phi, m) - ellipkinc(phi, m)) / (2 * m))


_amplitudes = ranges((-3.0, 3.0), (-1.5, 0.8))
ellipkinc = declare(
    sc.ellipkinc,
    inputs=("phi", "m"),
    d_phi=lambda phi, m: 1 / np.sqrt(1 - m * np.square(np.sin(phi))),
    d_m=_incomplete_first_d_m,
    cost=100,
    sample=_amplitudes,
)
ellipeinc = declare(
    sc.ellipeinc,
    inputs=("phi", "m"),
    d_phi=lambda phi, m: np.sqrt(1 - m * np.square(np.sin(phi))),
    d_m=_incomplete_second_d_m,
    cost=100,
    sample=_amplitudes,
)

# --- Fresnel, sine, cosine ----------------------------------------------------------------------


def _part(ufunc: Any, index: int, name: str, **options: Any) -> Any:
    """One of the results of a ufunc that has several, as a primitive."""

    def forward(x: Any) -> Any:
        return ufunc(x)[index]

    return declare(forward, name=name, cost=60, **options)


fresnel_s = _part(
    sc.fresnel,
    0,
    "fresnel_s",
    d_x=lambda x: np.sin(0.5 * math.pi * np.square(x)),
    sample=_anywhere,
)
fresnel_c = _part(
    sc.fresnel,
    1,
    "fresnel_c",
    d_x=lambda x: np.cos(0.5 * math.pi * np.square(x)),
    sample=_anywhere,
)
sine_integral = _part(
    sc.sici, 0, "sine_integral", d_x=lambda x: np.sinc(x / math.pi), sample=_anywhere
)
cosine_integral = _part(
    sc.sici, 1, "cosine_integral", d_x=lambda x: np.cos(x) / x, sample=_positive
)
hyperbolic_sine_integral = _part(
    sc.shichi, 0, "hyperbolic_sine_integral", d_x=lambda x: spherical_in(0, x), sample=_anywhere
)
hyperbolic_cosine_integral = _part(
    sc.shichi, 1, "hyperbolic_cosine_integral", d_x=lambda x: np.cosh(x) / x, sample=_positive
)


def fresnel(z: Any) -> tuple[Any, Any]:
    """Fresnel's integrals S and C, as ``scipy.special.fresnel`` (DLMF 7.2.7, 7.2.8).

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda z: fresnel(z)[1])(0.0)
    np.float64(1.0)
    """
    return fresnel_s.call(z), fresnel_c.call(z)


def sici(x: Any) -> tuple[Any, Any]:
    """Sine and cosine integrals, as ``scipy.special.sici`` (DLMF 6.2.9, 6.2.11).

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda x: sici(x)[0])(0.0)
    np.float64(1.0)
    """
    return sine_integral.call(x), cosine_integral.call(x)


def shichi(x: Any) -> tuple[Any, Any]:
    """Hyperbolic sine and cosine integrals, as ``scipy.special.shichi`` (DLMF 6.2.15, 6.2.16).

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda x: shichi(x)[0])(0.0)
    np.float64(1.0)
    """
    return hyperbolic_sine_integral.call(x), hyperbolic_cosine_integral.call(x)


UFUNCS.update({sc.fresnel: fresnel, sc.sici: sici, sc.shichi: shichi})

# --- Faddeeva and Voigt -------------------------------------------------------------------------


def _far_faddeeva(z: Any, order: int) -> Any:
    """Derivative of the asymptotic series in 1 / z (DLMF 7.12.1)."""
    total, factor = 0.0, 1.0
    for n in range(24):
        rising = math.prod(2 * n + 1 + i for i in range(order))
        total = total + factor * rising * z ** (-2 * n - 1 - order)
        factor *= (2 * n + 1) / 2
    return (-1) ** order * 1j / ROOT_PI * total


@elementwise(
    d_z=lambda z, order: faddeeva.call(z, order=order + 1),
    cost=200,
    sample=lambda rng: [
        Sample((array(rng, (2, 3)) + 1j * array(rng, (2, 3), 0.1, 1.0),), {"order": 1})
    ],
)
def faddeeva(z: Any, *, order: int) -> Any:
    """Derivative of Faddeeva's function; `order` 0 is ``scipy.special.wofz``.

    By w' = -2 z w + 2i / sqrt(pi) and its derivatives; far from 0, where that is a small
    difference, by the asymptotic series.
    """
    z = as_array(z)
    out = np.result_type(z.dtype, np.complex64)
    z = z.astype(np.complex128)
    before, value = np.full_like(z, -1j / ROOT_PI), sc.wofz(z)
    for n in range(order):
        before, value = value, -2 * z * value - 2 * n * before + (2j / ROOT_PI if n == 0 else 0)
    if order:
        is_far = (np.abs(z) > 8.0) & (z.imag >= 0)
        far = _far_faddeeva(np.where(is_far, z, 8.0), order)
        value = np.where(is_far, far + _bell_part(z, order), value)
    return as_value(value, out)


def _bell_part(z: Any, order: int) -> Any:
    """Derivative of exp(-z^2), which the asymptotic series lacks on the real axis."""
    is_real = z.imag == 0
    x = np.where(is_real, z.real, 0.0)
    bell = (-1) ** order * sc.eval_hermite(order, x) * np.exp(-np.square(x))
    return np.where(is_real, bell, 0.0)


def wofz(z: Any) -> Any:
    """Faddeeva's function exp(-z²) erfc(-iz), complex, as ``scipy.special.wofz`` (DLMF 7.2.3).

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda x: np.real(wofz(x)))(1.0)
    np.float64(-0.7357588823428847)
    """
    return faddeeva.call(z, order=0)


UFUNCS[sc.wofz] = wofz


def _voigt_z(x: Any, sigma: Any, gamma: Any) -> tuple[Any, Any, Any]:
    """Where the profile evaluates Faddeeva's function, the safe sigma, and where it is Cauchy's."""
    is_sharp = np.equal(sigma, 0)
    safe = np.where(is_sharp, 1.0, sigma)
    return (x + 1j * gamma) / (ROOT_TWO * safe), safe, is_sharp


def _voigt_slope(x: Any, sigma: Any, gamma: Any) -> Any:
    """The complex derivative by x + i gamma of what the profile is the real part of."""
    z, safe, is_sharp = _voigt_z(x, sigma, gamma)
    smooth = faddeeva.call(z, order=1) / (2 * ROOT_PI * np.square(safe))
    line = np.where(is_sharp, x + 1j * gamma, 1.0)
    return np.where(is_sharp, -1j / math.pi / np.square(line), smooth)


def _voigt_d_sigma(x: Any, sigma: Any, gamma: Any) -> Any:
    """Sigma times the second derivative by x: the heat equation."""
    z, safe, is_sharp = _voigt_z(x, sigma, gamma)
    curved = faddeeva.call(z, order=2) / (2 * ROOT_TWO * ROOT_PI * safe**3)
    line = np.where(is_sharp, x + 1j * gamma, 1.0)
    return sigma * np.real(np.where(is_sharp, 2j / math.pi / line**3, curved))


voigt_profile = declare(
    sc.voigt_profile,
    inputs=("x", "sigma", "gamma"),
    d_x=lambda x, sigma, gamma: np.real(_voigt_slope(x, sigma, gamma)),
    d_sigma=_voigt_d_sigma,
    d_gamma=lambda x, sigma, gamma: -np.imag(_voigt_slope(x, sigma, gamma)),
    cost=200,
    sample=ranges((-2.0, 2.0), (0.5, 2.0), (0.3, 2.0)),
)

# --- inverses of z e^z --------------------------------------------------------------------------


@elementwise(
    constant=("k",),
    d_z=lambda out: np.exp(-out) / (1 + out),
    cost=100,
    sample=lambda rng: [
        Sample((array(rng, (2, 3), 0.2, 3.0) + 0j, 0), {"tol": 1e-8}),
        Sample((array(rng, (2, 3), 0.2, 3.0) + 1j, -1), {"tol": 1e-8}),
    ],
    name="lambertw",
)
def _lambertw(z: Any, k: Any, *, tol: float) -> Any:
    """Lambert's function, elementwise."""
    z = as_array(z)
    single = z.dtype in (np.float16, np.float32, np.complex64)
    return as_value(sc.lambertw(z, k, tol), np.complex64 if single else np.complex128)


def lambertw(z: Any, k: Any = 0, tol: float = 1e-8) -> Any:
    """Lambert's function, complex: the solution w of w e^w = z, as ``scipy.special.lambertw``.

    Derivative: e^-w / (1 + w) (DLMF 4.13.4).

    Parameters
    ----------
    z : array or Tensor
    k : int or array of int
        The branch; no derivative with respect to it.
    tol : float
        SciPy's tolerance.

    Raises
    ------
    NonDifferentiableError
        `k` carries a derivative.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda z: np.real(lambertw(z)))(np.e).round(12)
    np.float64(0.183939720586)
    """
    refuse_derivative("lambertw", k=k)
    return _lambertw.call(z, k, tol=float(tol))


wrightomega = declare(
    sc.wrightomega, inputs=("z",), d_z=lambda out: out / (1 + out), cost=100, sample=_anywhere
)


def _spence_d_z(z: Any) -> Any:
    is_near = np.less(np.abs(z - 1), 0.3)
    near = -hyp2f1(1.0, 1.0, 2.0, 1 - np.where(is_near, z, 1.1))
    far = np.where(is_near, 2.0, z)
    return np.where(is_near, near, np.log(far) / (1 - far))


spence = declare(sc.spence, inputs=("z",), d_z=_spence_d_z, cost=60, sample=_positive)
