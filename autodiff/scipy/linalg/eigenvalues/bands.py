"""Eigenvalues of tridiagonal and banded matrices.

The derivatives are those of ``np.linalg.eigh`` by the entries of the bands alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.declare import primitive
from autodiff.core.spec import spec_of
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.linalg.decompositions import eigh_jvp, eigh_vjp
from autodiff.ops.linalg.matrices import diagonal_of
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.banded import full_of_hermitian_band
from autodiff.scipy.linalg.eigenvalues.dense import chosen
from autodiff.scipy.linalg.inputs import floating, matrices, refuse_half, require_finite

__all__ = ["eig_banded", "eigh_tridiagonal", "eigvals_banded", "eigvalsh_tridiagonal"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


def _full_tridiagonal(d: Any, e: Any) -> Any:
    """The lower triangle of a symmetric tridiagonal matrix; the other is not read."""
    return np.diag(d) + np.diag(e, -1)


def _tridiagonal_vjp_d(g: Any, out: Any) -> Any:
    return diagonal_of(eigh_vjp(g, out, "L"))


def _tridiagonal_vjp_e(g: Any, out: Any) -> Any:
    return np.diagonal(eigh_vjp(g, out, "L"), -1)


def _tridiagonal_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((np.arange(n) * 1.5 + 0.3 * rng.uniform(-1, 1, n), rng.uniform(0.3, 1, n - 1)), {})
        for n in (4, 3)
    ]


@primitive(
    vjp_d=_tridiagonal_vjp_d,
    vjp_e=_tridiagonal_vjp_e,
    jvp_d=lambda t, e, out: eigh_jvp(_full_tridiagonal(t, 0.0 * e), out, "L"),
    jvp_e=lambda t, d, out: eigh_jvp(_full_tridiagonal(0.0 * d, t), out, "L"),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda d, e: tridiagonal_eigh(d, e), batched, inputs
    ),
    cost=lambda d_spec: 9 * d_spec.size**3,
    sample=_tridiagonal_samples,
)
def tridiagonal_eigh(d: Any, e: Any) -> Any:
    """Eigenvalues and vectors of the real symmetric matrix with diagonals d and e."""
    refuse_half("eigh_tridiagonal", d, e)
    w, v = scipy_linalg.eigh_tridiagonal(d, e, check_finite=False)
    dtype = np.result_type(d, e)
    return w.astype(dtype, copy=False), v.astype(dtype, copy=False)


def _selection(function: str, select: Any, bounds: Any) -> dict[str, Any]:
    """SciPy's older way to say which eigenvalues, in terms of the newer one."""
    kinds = {"a": None, "v": "by_value", "i": "by_index", 0: None, 1: "by_value", 2: "by_index"}
    if select not in kinds:
        raise ValueError(f"{function}: select must be 'a', 'v' or 'i', got {select!r}")
    chosen: dict[str, Any] = {"by_index": None, "by_value": None}
    kind = kinds[select]
    if kind:
        if bounds is None or len(bounds) != 2:
            raise ValueError(f"{function}: select={select!r} needs select_range=(low, high)")
        chosen[kind] = bounds
    return chosen


def eigh_tridiagonal(
    d: Any,
    e: Any,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: Any = None,
    check_finite: bool = True,
    tol: float = 0.0,
    lapack_driver: str = "auto",
) -> Any:
    """Eigenvalues, ascending, and eigenvectors of a real symmetric tridiagonal matrix.

    Parameters
    ----------
    d : array or Tensor, shape (n,)
    e : array or Tensor, shape (n - 1,)
    eigvals_only : bool
    select : {"a", "v", "i"}
        All; those in the half-open interval `select_range`; those with indices in it, both ends.
    select_range : (low, high), optional
    check_finite : bool
    tol : float
        Must be 0: eigenvalues are computed as accurately as they can be.
    lapack_driver : {"auto", "stemr", "stev", "stevd", "sterf", "stebz"}
        Vectors differ by signs alone; all are computed and then chosen from.

    Returns
    -------
    w, or (w, v)

    Raises
    ------
    ValueError
        Shapes do not fit, there is no such choice or driver, or a number is not finite.
    TypeError
        The diagonals are complex.

    Examples
    --------
    >>> import numpy as np
    >>> eigh_tridiagonal(np.zeros(2), np.array([3.0]), eigvals_only=True)
    array([-3.,  3.])
    """
    d, e = (floating(x) for x in operands(d, e))
    shapes = spec_of(d).shape, spec_of(e).shape
    if len(shapes[0]) != 1 or shapes[1] != (max(shapes[0][0] - 1, 0),):
        raise ValueError(
            f"eigh_tridiagonal: diagonals of shapes {shapes[0]} and {shapes[1]} are not (n,) and "
            "(n - 1,)"
        )
    if "c" in (spec_of(d).dtype.kind, spec_of(e).dtype.kind):
        raise TypeError("eigh_tridiagonal: the diagonals must be real; eigh takes complex matrices")
    if lapack_driver not in ("auto", "stemr", "stev", "stevd", "sterf", "stebz"):
        raise ValueError(f"eigh_tridiagonal: no driver {lapack_driver!r}")
    if tol:
        raise ValueError("eigh_tridiagonal: tol must be 0; eigenvalues are accurate to rounding")
    if check_finite:
        require_finite("eigh_tridiagonal", d, e)
    w, v = tridiagonal_eigh(d, e)
    kept = chosen("eigh_tridiagonal", w, **_selection("eigh_tridiagonal", select, select_range))
    return w[kept] if eigvals_only else (w[kept], v[:, kept])


def eigvalsh_tridiagonal(
    d: Any,
    e: Any,
    select: str = "a",
    select_range: Any = None,
    check_finite: bool = True,
    tol: float = 0.0,
    lapack_driver: str = "auto",
) -> Any:
    """Eigenvalues of a real symmetric tridiagonal matrix, ascending.

    Parameters
    ----------
    d, e, select, select_range, check_finite, tol, lapack_driver : as of `eigh_tridiagonal`

    Raises
    ------
    ValueError, TypeError
        As of `eigh_tridiagonal`.

    Examples
    --------
    >>> import numpy as np
    >>> eigvalsh_tridiagonal(np.zeros(2), np.array([3.0]))
    array([-3.,  3.])
    """
    return eigh_tridiagonal(d, e, True, select, select_range, check_finite, tol, lapack_driver)


def eig_banded(
    a_band: Any,
    lower: bool = False,
    eigvals_only: bool = False,
    overwrite_a_band: bool = False,
    select: str = "a",
    select_range: Any = None,
    max_ev: int = 0,
    check_finite: bool = True,
) -> Any:
    """Eigenvalues, ascending, and eigenvectors of a Hermitian banded matrix, as of a full one.

    Parameters
    ----------
    a_band : array or Tensor, shape (u + 1, n)
        Diagonals: ``a[i, j]`` is ``a_band[u + i - j, j]``, or ``a_band[i - j, j]`` if `lower`.
    lower, eigvals_only : bool
    overwrite_a_band : accepted as SciPy does; nothing is overwritten.
    select, select_range : as of `eigh_tridiagonal`
    max_ev : int
        Accepted as SciPy does: the number is found.
    check_finite : bool

    Returns
    -------
    w, or (w, v)

    Raises
    ------
    ValueError
        There is no such choice, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> eig_banded(np.array([[0.0, 3.0], [0.0, 0.0]]), eigvals_only=True)
    array([-3.,  3.])
    """
    a_band = matrices("eig_banded", a_band, check_finite)
    w, v = np.linalg.eigh(full_of_hermitian_band("eig_banded", a_band, lower))
    kept = chosen("eig_banded", w, **_selection("eig_banded", select, select_range))
    return w[kept] if eigvals_only else (w[kept], v[:, kept])


def eigvals_banded(
    a_band: Any,
    lower: bool = False,
    overwrite_a_band: bool = False,
    select: str = "a",
    select_range: Any = None,
    check_finite: bool = True,
) -> Any:
    """Eigenvalues of a Hermitian banded matrix, ascending.

    Parameters
    ----------
    a_band, lower, overwrite_a_band, select, select_range, check_finite : as of `eig_banded`

    Raises
    ------
    ValueError
        As of `eig_banded`.

    Examples
    --------
    >>> import numpy as np
    >>> eigvals_banded(np.array([[0.0, 3.0], [0.0, 0.0]]))
    array([-3.,  3.])
    """
    return eig_banded(a_band, lower, True, False, select, select_range, 0, check_finite)
