"""Banded systems, Hermitian ones among them, and Cholesky factors of banded matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.arrays import as_array
from autodiff.core.declare import primitive
from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops import structures
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.linalg.matrices import as_matrices, conj, hermitian
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import columns_of, first_column, refuse_half, require_finite

__all__ = [
    "banded_solve",
    "cho_solve_banded",
    "cholesky_banded",
    "full_of_hermitian_band",
    "solve_banded",
    "solveh_banded",
]

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


# --- Hermitian ------------------------------------------------------------------------------------


def _hermitian_band(function: str, ab: Any) -> tuple[int, int]:
    """Numbers of diagonals beside the main one, and of columns."""
    shape = spec_of(ab).shape
    if len(shape) != 2 or shape[0] < 1:
        raise ValueError(f"{function}: a band has shape (u + 1, n), got {shape}")
    return shape[0] - 1, shape[1]


def _lower_band(ab: Any, width: int, lower: bool) -> Any:
    """The diagonals from the main one down; entries outside the matrix are 0."""
    return (
        np.where(_band_places(width, 0, ab.shape[-1])[1], ab, 0.0)
        if lower
        else _transposed_band(conj(ab), 0, width)
    )


def full_of_hermitian_band(function: str, ab: Any, lower: bool) -> Any:
    """The lower triangle of the matrix that a band of one side stands for, and 0 above it."""
    width, n = _hermitian_band(function, ab)
    below = _lower_band(ab, width, lower)
    distance = np.arange(n)[:, None] - np.arange(n)
    inside = (distance >= 0) & (distance <= width)
    places = np.clip(distance, 0, width), np.broadcast_to(np.arange(n), (n, n))
    return np.where(inside, below[places], 0.0)


def cholesky_banded(
    ab: Any, overwrite_ab: bool = False, lower: bool = False, check_finite: bool = True
) -> Any:
    """Cholesky factor of a Hermitian positive definite banded matrix, as a band.

    The derivative is that of the full matrix, of n² entries.

    Parameters
    ----------
    ab : array or Tensor, shape (u + 1, n)
        Diagonals: ``a[i, j]`` is ``ab[u + i - j, j]``, or ``ab[i - j, j]`` if `lower`.
    overwrite_ab : accepted as SciPy does; nothing is overwritten.
    lower : bool
    check_finite : bool

    Returns
    -------
    array or Tensor, shape (u + 1, n)
        Entries outside the matrix are 0.

    Raises
    ------
    LinAlgError
        The matrix is not positive definite.
    ValueError
        The shape is no band's, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> cholesky_banded(np.array([[0.0, 2.0], [4.0, 5.0]]))
    array([[0., 1.],
           [2., 2.]])
    """
    ab = as_matrices("cholesky_banded", operands(ab)[0])
    if check_finite:
        require_finite("cholesky_banded", ab)
    width, n = _hermitian_band("cholesky_banded", ab)
    below = full_of_hermitian_band("cholesky_banded", ab, lower)
    factor = np.linalg.cholesky(hermitian(below, "L"))
    places, exists = _band_places(width, 0, n)
    band = np.where(exists, factor[places, np.broadcast_to(np.arange(n), places.shape)], 0.0)
    return band if lower else _transposed_band(conj(band), width, 0)


def cho_solve_banded(
    cb_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """Solve a x = b from the Cholesky factor of a banded matrix.

    Parameters
    ----------
    cb_and_lower : (array or Tensor, bool)
        What `cholesky_banded` returned, and its `lower`.
    b : array or Tensor, shape (n,) or (n, k)
    overwrite_b : accepted as SciPy does; nothing is overwritten.
    check_finite : bool

    Raises
    ------
    ValueError
        Shapes do not fit, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> factor = cholesky_banded(np.array([[0.0, 2.0], [4.0, 5.0]]))
    >>> cho_solve_banded((factor, False), np.array([6.0, 7.0]))
    array([1., 1.])
    """
    cb, lower = cb_and_lower
    cb, b = operands(cb, b)
    cb = as_matrices("cho_solve_banded", cb)
    width, n = _hermitian_band("cho_solve_banded", cb)
    columns, is_vector = columns_of("cho_solve_banded", b, n)
    if check_finite:
        require_finite("cho_solve_banded", cb, columns)
    low = _lower_band(cb, width, lower)
    up = _transposed_band(conj(low), width, 0)
    half = banded_solve(low, columns, lower=width, upper=0)
    x = banded_solve(up, half, lower=0, upper=width)
    return first_column(x) if is_vector else x


def solveh_banded(
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    lower: bool = False,
    check_finite: bool = True,
) -> Any:
    """Solve a x = b for a Hermitian positive definite banded matrix.

    Parameters
    ----------
    ab : array or Tensor, shape (u + 1, n)
        Diagonals: ``a[i, j]`` is ``ab[u + i - j, j]``, or ``ab[i - j, j]`` if `lower`.
    b : array or Tensor, shape (n,) or (n, k)
    overwrite_ab, overwrite_b : accepted as SciPy does; nothing is overwritten.
    lower : bool
    check_finite : bool

    Raises
    ------
    LinAlgError
        The matrix is not positive definite.
    ValueError
        Shapes do not fit, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> solveh_banded(np.array([[0.0, 2.0], [4.0, 5.0]]), np.array([6.0, 7.0]))
    array([1., 1.])
    """
    ab, b = operands(ab, b)
    ab = as_matrices("solveh_banded", ab)
    width, n = _hermitian_band("solveh_banded", ab)
    columns, is_vector = columns_of("solveh_banded", b, n)
    if check_finite:
        require_finite("solveh_banded", ab, columns)
    _require_definite(as_array(concrete(ab)), lower)
    low = _lower_band(ab, width, lower)
    up = _transposed_band(conj(low), width, 0)
    x = banded_solve(
        np.concatenate([up[:-1], low[:1], low[1:]]),
        columns,
        lower=width,
        upper=width,
    )
    return first_column(x) if is_vector else x


def _require_definite(ab: Any, lower: bool) -> None:
    """Refuse what SciPy's solver refuses: a matrix without a Cholesky factor."""
    for band in ab.reshape(-1, *ab.shape[-2:]) if ab.size else ():
        try:
            scipy_linalg.cholesky_banded(band, lower=lower, check_finite=False)
        except np.linalg.LinAlgError:
            raise np.linalg.LinAlgError(
                "solveh_banded: the matrix is not positive definite; solve_banded takes any"
            ) from None
