"""Banded systems."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.declare import primitive
from autodiff.core.parts import loop_over_batch
from autodiff.core.spec import spec_of
from autodiff.ops import structures
from autodiff.ops.linalg.matrices import as_matrices
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import columns_of, first_column, refuse_half, require_finite

__all__ = ["banded_solve", "solve_banded"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


def _band_places(lower: int, upper: int, n: int) -> tuple[Any, Any]:
    """Row of the full matrix behind each entry of a band, and whether there is one."""
    rows = np.arange(lower + upper + 1)[:, None] - upper + np.arange(n)
    return np.clip(rows, 0, max(n - 1, 0)), (rows >= 0) & (rows < n)


def _transposed_band(ab: Any, lower: int, upper: int) -> Any:
    """Band of the transposed matrix: entry (r, i) holds a[i, i + r - lower]."""
    n = ab.shape[-1]
    columns, exists = _band_places(upper, lower, n)
    return np.where(exists, ab[np.arange(lower + upper, -1, -1)[:, None], columns], 0.0)


def _banded_vjp_ab(g: Any, ab: Any, out: Any, lower: int, upper: int) -> Any:
    inner = banded_solve(_transposed_band(ab, lower, upper), g, lower=upper, upper=lower)
    rows, exists = _band_places(lower, upper, ab.shape[-1])
    return np.where(exists, -np.sum(inner[rows] * out, axis=-1), 0.0)


def _banded_samples(rng: np.random.Generator) -> list[Sample]:
    samples = []
    for lower, upper, n, k in ((1, 2, 5, 2), (1, 1, 4, 1), (0, 1, 3, 2)):
        ab = 0.5 * rng.uniform(-1, 1, (lower + upper + 1, n))
        ab[upper] += 2.5
        samples.append(Sample((ab, rng.uniform(-1, 1, (n, k))), {"lower": lower, "upper": upper}))
    return samples


@primitive(
    vjp_ab=_banded_vjp_ab,
    vjp_b=lambda g, ab, lower, upper: banded_solve(
        _transposed_band(ab, lower, upper), g, lower=upper, upper=lower
    ),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda ab, b: banded_solve(ab, b, **params), batched, inputs
    ),
    cost=lambda ab_spec, b_spec, lower: 2 * ab_spec.size * (lower + b_spec.shape[-1]),
    sample=_banded_samples,
    pattern=structures.systems,
)
def banded_solve(ab: Any, b: Any, *, lower: int, upper: int) -> Any:
    """Solution of a x = b for a banded matrix given by its diagonals; `b` is a matrix."""
    refuse_half("solve_banded", ab, b)
    return scipy_linalg.solve_banded((lower, upper), ab, b, check_finite=False)


def solve_banded(
    l_and_u: tuple[int, int],
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solve a x = b for a banded matrix.

    Parameters
    ----------
    l_and_u : (int, int)
        Numbers of diagonals below and above the main one.
    ab : array or Tensor, shape (l + u + 1, n)
        The diagonals: ``ab[u + i - j, j]`` is ``a[i, j]``. Other entries are not read.
    b : array or Tensor, shape (n,) or (n, k)

    Raises
    ------
    ValueError
        Shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> solve_banded((0, 1), np.array([[0.0, 1.0], [2.0, 4.0]]), np.array([4.0, 8.0]))
    array([1., 2.])
    """
    lower, upper = map(int, l_and_u)
    ab, b = operands(ab, b)
    ab = as_matrices("solve_banded", ab)
    shape = spec_of(ab).shape
    if len(shape) != 2 or shape[0] != lower + upper + 1:
        raise ValueError(
            f"solve_banded: {lower} diagonals below and {upper} above take a band of shape "
            f"({lower + upper + 1}, n), got {shape}"
        )
    columns, is_vector = columns_of("solve_banded", b, shape[1])
    if check_finite:
        require_finite("solve_banded", ab, columns)
    x = banded_solve(ab, columns, lower=lower, upper=upper)
    return first_column(x) if is_vector else x
