"""Frequency responses of filters: rational functions of their coefficients."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np

from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.ops.operands import holds_box, operand, operands, plain
from autodiff.scipy.signal.convolution import convolve
from autodiff.scipy.signal.filtering import coefficients, floating, scipy_signal, sections

__all__ = [
    "freqs",
    "freqs_zpk",
    "freqz",
    "freqz_sos",
    "freqz_zpk",
    "group_delay",
    "sos2tf",
    "sosfreqz",
]


def _angles(function: str, given: Any, whole: Any, fs: Any, dtype: Any, nyquist: Any) -> Any:
    """Angular frequencies of a number of them, or of some that are given."""
    if given is None:
        given = 512
    if not isinstance(given, Box) and np.ndim(given) == 0 and not isinstance(given, complex):
        try:
            count = operator.index(given)
        except TypeError:
            return _given(np.reshape(given, (1,)), fs, dtype)
        if count < 0:
            raise ValueError(f"{function}: the number of frequencies is negative, {count}")
        end = 2 * np.pi if whole else np.pi
        return np.linspace(0, end, count, endpoint=bool(nyquist and not whole), dtype=dtype)
    given = given.real if isinstance(given, complex) else given
    return _given(np.reshape(floating(given), (-1,)), fs, dtype)


def _given(w: Any, fs: Any, dtype: Any) -> Any:
    """Angles of frequencies that are given, in the precision of the coefficients."""
    return 2 * np.pi * (w if dtype is None or isinstance(w, Box) else w.astype(dtype)) / fs


def _real(*values: Any) -> Any:
    return np.finfo(np.result_type(*(spec_of(value).dtype for value in values))).dtype


def _polynomial(c: Any, w: Any) -> Any:
    """Sum of ``c[k] exp(-i k w)``, over the first axis of the coefficients."""
    count = spec_of(c).shape[0]
    k = np.arange(count).astype(spec_of(w).dtype)
    if spec_of(c).ndim == 1:
        return np.tensordot(c, np.exp(-1j * (k[:, None] * w)), 1)
    between = (1,) * (spec_of(c).ndim - 2)
    return np.sum(c * np.reshape(np.exp(-1j * (k[:, None] * w)), (count, *between, -1)), 0)


def _rows(c: Any) -> Any:
    c = floating(c)
    return np.reshape(c, (1,)) if spec_of(c).ndim == 0 else c


def freqz(
    b: Any,
    a: Any = 1,
    worN: Any = 512,
    whole: bool = False,
    plot: Any = None,
    fs: float = 2 * np.pi,
    include_nyquist: bool = False,
) -> tuple[Any, Any]:
    """Frequency response of a digital filter.

    Differentiable by both polynomials, and by the frequencies where `worN` is a Tensor.

    Parameters
    ----------
    b, a : arrays or Tensors
        Coefficients along the first axis.
    worN : int, array or Tensor, or None
        Number of frequencies, or frequencies in the unit of `fs`.
    whole : bool
        Whether frequencies go all the way round.
    plot : function of frequencies and response, or None
    fs : float
    include_nyquist : bool

    Returns
    -------
    frequencies, response

    Raises
    ------
    ValueError
        The number of frequencies is negative.

    Examples
    --------
    >>> import autodiff as ad
    >>> gain = lambda r: np.abs(freqz([1.0], np.stack([1.0, -r]), [0.0])[1][0])
    >>> ad.grad(gain)(0.5)
    np.float64(4.0)
    """
    if not any(holds_box(value) for value in (b, a, worN)):
        return scipy_signal.freqz(  # type: ignore[no-any-return]
            b, a, worN, whole, plot, fs, include_nyquist
        )
    b, a = operands(b, a)
    b, a = _rows(b), _rows(a)
    w = _angles("freqz", worN, whole, fs, _real(b, a), include_nyquist)
    h = _polynomial(b, w) / _polynomial(a, w)
    if spec_of(a).size == 1 and (worN is None or isinstance(worN, (int, np.integer))):
        # One number below the line changes no precision
        wanted = np.result_type(spec_of(b).dtype, np.complex64)
        h = h if spec_of(h).dtype == wanted else h.astype(wanted)
    w = w * (fs / (2 * np.pi))
    if plot is not None:
        plot(w, h)
    return w, h


def freqz_sos(
    sos: Any, worN: Any = 512, whole: bool = False, fs: float = 2 * np.pi
) -> tuple[Any, Any]:
    """Frequency response of a cascade of second-order sections.

    Parameters
    ----------
    sos : array or Tensor, shape (n, 6)
    worN, whole, fs : as of `freqz`

    Raises
    ------
    ValueError
        The shape is another, or there is no section.

    Examples
    --------
    >>> freqz_sos(np.array([[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]]), [0.0])[1]
    array([2.+0.j])
    """
    if not (holds_box(sos) or holds_box(worN)):
        return scipy_signal.sosfreqz(sos, worN, whole, fs)  # type: ignore[no-any-return]
    sos = sections("freqz_sos", sos)
    if spec_of(sos).shape[0] == 0:
        raise ValueError("freqz_sos: there are no sections")
    w = _angles("freqz_sos", worN, whole, fs, _real(sos), False)
    h: Any = 1.0
    for i in range(spec_of(sos).shape[0]):
        h = h * (_polynomial(sos[i, :3], w) / _polynomial(sos[i, 3:], w))
    return w * (fs / (2 * np.pi)), h


def sosfreqz(
    sos: Any, worN: Any = 512, whole: bool = False, fs: float = 2 * np.pi
) -> tuple[Any, Any]:
    """Frequency response of second-order sections: another name of `freqz_sos`.

    Examples
    --------
    >>> sosfreqz(np.array([[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]]), [0.0])[1]
    array([2.+0.j])
    """
    return freqz_sos(sos, worN, whole, fs)


def _roots(s: Any, roots: Any) -> Any:
    """Product of the distances of points from roots."""
    if spec_of(roots).size == 0:
        return np.ones(spec_of(s).shape, spec_of(s).dtype)
    return np.prod(s - np.reshape(roots, (-1, 1)), 0)


def freqz_zpk(
    z: Any, p: Any, k: Any, worN: Any = 512, whole: bool = False, fs: float = 2 * np.pi
) -> tuple[Any, Any]:
    """Frequency response of a digital filter of zeros, poles and a gain.

    Parameters
    ----------
    z, p : arrays or Tensors
    k : number or Tensor
    worN, whole, fs : as of `freqz`

    Raises
    ------
    ValueError
        The number of frequencies is negative.

    Examples
    --------
    >>> freqz_zpk([-1.0], [0.5], 2.0, [0.0])[1]
    array([8.+0.j])
    """
    if not any(holds_box(value) for value in (z, p, k, worN)):
        return scipy_signal.freqz_zpk(z, p, k, worN, whole, fs)  # type: ignore[no-any-return]
    z, p = floating(z), floating(p)
    w = _angles("freqz_zpk", worN, whole, fs, _real(z, p), False)
    points = np.exp(1j * w)
    h = k * (_roots(points, z) / _roots(points, p))
    return w * (fs / (2 * np.pi)), h


def _analog_frequencies(num: Any, den: Any, given: Any, kind: str) -> Any:
    """Given frequencies, or a number of those where an analogue filter changes."""
    given = 200 if given is None else given
    if isinstance(given, Box) or np.ndim(given):
        return np.reshape(floating(given), (-1,))
    try:
        count = operator.index(given)
    except TypeError:
        return np.reshape(operand(given), (1,))
    return scipy_signal.findfreqs(plain(num, "freqs"), plain(den, "freqs"), count, kind=kind)


def freqs(b: Any, a: Any, worN: Any = 200, plot: Any = None) -> tuple[Any, Any]:
    """Frequency response of an analogue filter.

    Differentiable by both polynomials, and by the frequencies where `worN` is a Tensor.

    Parameters
    ----------
    b, a : arrays or Tensors, shapes (p,) and (q,)
        Coefficients, of the highest power first.
    worN : int, array or Tensor, or None
        Number of frequencies, chosen by the roots, or angular frequencies.
    plot : function of frequencies and response, or None

    Raises
    ------
    ValueError
        `b` or `a` is no row of numbers.

    Examples
    --------
    >>> freqs([1.0], [1.0, 1.0], [1.0])
    (array([1.]), array([0.5-0.5j]))
    """
    if not any(holds_box(value) for value in (b, a, worN)):
        return scipy_signal.freqs(b, a, worN, plot)  # type: ignore[no-any-return]
    b, a = operands(b, a)
    b, a = coefficients("freqs", "b", b), coefficients("freqs", "a", a)
    w = _analog_frequencies(b, a, worN, "ba")
    s = 1j * w
    h = _horner(b, s) / _horner(a, s)
    if plot is not None:
        plot(w, h)
    return w, h


def _horner(c: Any, s: Any) -> Any:
    value = c[0] + 0.0 * s
    for i in range(1, spec_of(c).size):
        value = value * s + c[i]
    return value


def freqs_zpk(z: Any, p: Any, k: Any, worN: Any = 200) -> tuple[Any, Any]:
    """Frequency response of an analogue filter of zeros, poles and a gain.

    Parameters
    ----------
    z, p : arrays or Tensors
    k : number or Tensor
    worN : as of `freqs`

    Raises
    ------
    ValueError
        `k` is more than one number.

    Examples
    --------
    >>> freqs_zpk([], [-1.0], 2.0, [1.0])[1]
    array([1.-1.j])
    """
    if not any(holds_box(value) for value in (z, p, k, worN)):
        return scipy_signal.freqs_zpk(z, p, k, worN)  # type: ignore[no-any-return]
    z, p, k = floating(z), floating(p), operand(k)
    if spec_of(k).size != 1:
        raise ValueError(f"freqs_zpk: k must be one number, got shape {spec_of(k).shape}")
    w = _analog_frequencies(z, p, worN, "zp")
    s = 1j * w
    return w, k * (_roots(s, z) / _roots(s, p))


def group_delay(
    system: Any, w: Any = 512, whole: bool = False, fs: float = 2 * np.pi
) -> tuple[Any, Any]:
    """Group delay of a digital filter, in samples.

    Parameters
    ----------
    system : pair of arrays or Tensors, b and a
    w, whole, fs : as `worN`, `whole` and `fs` of `freqz`

    Raises
    ------
    ValueError
        `b` or `a` is no row of numbers.

    Examples
    --------
    >>> group_delay(([1.0, 1.0], [1.0]), [1.0])[1].round(12)
    array([0.5])
    """
    if not (holds_box(system) or holds_box(w)):
        return scipy_signal.group_delay(system, w, whole, fs)  # type: ignore[no-any-return]
    b, a = operands(*system)
    b, a = coefficients("group_delay", "b", b), coefficients("group_delay", "a", a)
    angles = _angles("group_delay", w, whole, fs, np.float64, False)
    c = convolve(b, np.conjugate(np.flip(a)))
    below = _polynomial(c, angles)
    above = _polynomial(c * np.arange(spec_of(c).size), angles)
    is_singular = np.equal(below, 0)
    if np.any(concrete(is_singular)):
        warnings.warn("group_delay: it is singular at some frequencies, set to 0", stacklevel=2)
    delay = np.real(above / np.where(is_singular, 1.0, below)) - spec_of(a).size + 1
    return angles * (fs / (2 * np.pi)), np.where(is_singular, 0.0, delay)


def sos2tf(sos: Any) -> tuple[Any, Any]:
    """Polynomials of a cascade of second-order sections.

    Parameters
    ----------
    sos : array or Tensor, shape (n, 6)

    Returns
    -------
    b, a : shapes (2 n + 1,)

    Raises
    ------
    ValueError
        The shape is another.

    Examples
    --------
    >>> sos2tf(np.array([[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]]))
    (array([1., 1., 0.]), array([1., 0., 0.]))
    """
    if not holds_box(sos):
        return scipy_signal.sos2tf(sos)  # type: ignore[no-any-return]
    sos = sections("sos2tf", sos)
    b: Any = np.ones(1, spec_of(sos).dtype)
    a: Any = b
    for i in range(spec_of(sos).shape[0]):
        b, a = convolve(b, sos[i, :3], "full", "direct"), convolve(a, sos[i, 3:], "full", "direct")
    return b, a
