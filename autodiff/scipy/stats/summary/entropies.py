"""Entropies of shares, and of samples.

Vasicek, O. (1976), J. Royal Statist. Soc. B 38, 54-59; van Es, B. (1992), Scand. J. Statist. 19,
61-72; Ebrahimi, N., Pflughoeft, K. and Soofi, E. S. (1994), Statist. Probab. Lett. 20, 225-234:
entropy by spacings.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.scipy.special.exponentials import entr, rel_entr
from autodiff.scipy.stats.summary.samples import (
    along,
    every_axis,
    lined_up,
    of_tensors,
    require,
    sample,
)

__all__ = ["differential_entropy", "entropy"]


@of_tensors
def entropy(
    pk: Any,
    qk: Any = None,
    base: Any = None,
    axis: Any = 0,
    *,
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Entropy of shares, or relative entropy to `qk`, as ``scipy.stats.entropy``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(entropy)(np.array([1.0, 3.0])).round(6)
    array([ 0.20599 , -0.068663])
    """
    pk, axis = sample("entropy", pk, axis, nan_policy)
    pk = pk / np.sum(pk, axis=axis, keepdims=True)
    if qk is None:
        terms = entr(pk)
    else:
        qk, _ = sample("entropy", qk, axis)
        pk, qk = np.broadcast_arrays(pk, qk)
        terms = rel_entr(pk, qk / np.sum(qk, axis=axis, keepdims=True))
    total = np.sum(terms, axis=axis, keepdims=keepdims)
    return total if base is None else total / math.log(base)


def _spacings(ordered: Any, m: int, n: int) -> Any:
    """X[i + m] - X[i - m], the ends repeated; along the last axis."""
    first = np.repeat(ordered[..., :1], m, axis=-1)
    last = np.repeat(ordered[..., -1:], m, axis=-1)
    padded = np.concatenate([first, ordered, last], axis=-1)
    return padded[..., 2 * m :] - padded[..., :n]


@of_tensors
def differential_entropy(
    values: Any,
    *,
    window_length: int | None = None,
    base: float | None = None,
    axis: int = 0,
    method: str = "auto",
    nan_policy: str = "propagate",
    keepdims: bool = False,
) -> Any:
    """Entropy of the density that a sample is of, as ``scipy.stats.differential_entropy``.

    Raises
    ------
    ValueError
        `method` is not "auto", "vasicek", "van es" or "ebrahimi"; or the window does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> f = lambda x: differential_entropy(x, window_length=1)
    >>> ad.grad(f)(np.array([0.0, 1.0, 3.0, 7.0])).round(6)
    array([-0.333333,  0.166667,  0.083333,  0.083333])
    """
    values, axis = sample("differential_entropy", values, axis, nan_policy)
    require("differential_entropy", "method", method, "auto", "vasicek", "van es", "ebrahimi")
    n = along(values, axis)
    m = math.floor(math.sqrt(n) + 0.5) if window_length is None else window_length
    if not 2 <= 2 * m < n:
        raise ValueError(
            f"stats.differential_entropy: window length {m} must be positive and less than half "
            f"of the sample size {n}"
        )
    if method == "auto":
        method = "van es" if n <= 10 else "ebrahimi" if n <= 1000 else "vasicek"
    ordered = np.sort(lined_up(values, axis), axis=-1)
    if method == "van es":
        gaps = ordered[..., m:] - ordered[..., : n - m]
        harmonic = float(np.sum(1 / np.arange(m, n + 1))) + math.log(m) - math.log(n + 1)
        result = np.mean(np.log((n + 1) / m * gaps), axis=-1) + harmonic
    else:
        gaps = _spacings(ordered, m, n)
        weights = np.full(n, 2.0)
        if method == "ebrahimi":
            i = np.arange(1, n + 1)
            weights = np.where(i <= m, 1 + (i - 1) / m, weights)
            weights = np.where(i >= n - m + 1, 1 + (n - i) / m, weights)
        weights = (weights * m).astype(spec_of(gaps).dtype)
        result = np.mean(np.log(n * gaps / weights), axis=-1)
    result = result if base is None else result / math.log(base)
    return np.expand_dims(result, every_axis(values, axis)) if keepdims else result
