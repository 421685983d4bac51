"""Sparse direct solvers: one factorisation for the solution, its cotangents and its tangents.

With A x = b: A dx = db - dA x, and the cotangents are bbar = A^-T xbar and Abar = -bbar x^T at the
places of A's entries (Giles 2008, section 2.3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from autodiff.core.arrays import empty
from autodiff.core.declare import primitive
from autodiff.core.dispatch import Box
from autodiff.core.rules import Pullback
from autodiff.core.spec import spec_of
from autodiff.ops.descriptions import Description, Operation, Pairs
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import operand
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import refuse_half
from autodiff.scipy.sparse import operations as ops
from autodiff.scipy.sparse.arrays import SparseArray
from autodiff.scipy.sparse.linalg.factors import Settings, factor_of
from autodiff.scipy.sparse.operators import as_sparse, issparse, wrap
from autodiff.scipy.sparse.patterns import Pattern
from autodiff.scipy.sparse.products import columns_together, sampled_matmul, sparse_matmul

__all__ = ["SuperLU", "factorized", "sparse_solve", "splu", "spsolve", "spsolve_triangular"]

scipy_sparse: Any = scipy.sparse
scipy_linalg: Any = scipy.sparse.linalg


def _batch_solve(batched: Sequence[bool], inputs: Any, params: dict[str, Any]) -> Any:
    data, b = inputs
    if not batched[0]:
        return columns_together(lambda flat: sparse_solve(data, flat, **params), b)
    return loop_over_batch(lambda d, b: sparse_solve(d, b, **params), batched, inputs)


def _solve_samples(rng: np.random.Generator) -> list[Sample]:
    dense = np.array([[4.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 5.0]])
    samples = []
    for make, shape in ((scipy_sparse.csc_array, (3, 2)), (scipy_sparse.csr_array, (3,))):
        matrix = make(dense)
        data = matrix.data + rng.uniform(-0.3, 0.3, matrix.nnz)
        samples.append(Sample((data, rng.uniform(-1, 1, shape)), {"form": Pattern.of(matrix)}))
    return samples


def _solve_pattern(operation: Operation, position: int) -> Description:
    """Each solution depends on all of the matrix, and on its own right-hand side."""
    count = operation.inputs[position].size
    size = operation.out.size
    width = operation.out.shape[1] if operation.out.ndim > 1 else 1

    def places() -> tuple[Any, Any]:
        results, elements = (part.ravel() for part in np.indices((size, count)))
        own = results % width == elements % width if position else np.ones(len(results), bool)
        return results[own], elements[own]

    return Pairs(places, size * count // width if position else size * count)


@primitive(
    vjp_data=lambda g, data, out, form, settings: (
        -sampled_matmul(
            sparse_solve(data, g, form=form.transposed, settings=settings), out, form=form
        )
    ),
    vjp_b=lambda g, data, form, settings: sparse_solve(
        data, g, form=form.transposed, settings=settings
    ),
    jvp_data=lambda t, data, out, form, settings: (
        -sparse_solve(data, sparse_matmul(t, out, form=form), form=form, settings=settings)
    ),
    jvp_b=lambda t, data, form, settings: sparse_solve(data, t, form=form, settings=settings),
    batch=_batch_solve,
    cost=lambda data_spec, b_spec: 20 * data_spec.size + 10 * b_spec.size,
    label="A⁻¹b",
    sample=_solve_samples,
    pattern=_solve_pattern,
)
def sparse_solve(
    data: Any, b: Any, *, form: Pattern, settings: Settings = (), function: str = "spsolve"
) -> Any:
    """Solution of A x = b for a sparse matrix, given by its values, and a vector or matrix."""
    refuse_half("sparse solve", data, b)
    dtype = np.result_type(data, b.real.dtype, np.float32)
    out_dtype = np.result_type(data, b, np.float32)
    if not form.shape[0] or not b.size:
        return empty(b.shape, out_dtype)
    factor = factor_of(function, form, data, dtype, settings)
    # What is stored by rows is, read by columns, the transposed matrix
    return factor.solve(b, form.format == "csr").astype(out_dtype, copy=False)


def _save(out: Any, params: Any, data: Any, b: Any) -> tuple[Any, ...]:
    return data, out, params["form"], params.get("settings", ())


def _pull(g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    data, out, form, settings = saved
    b_bar = sparse_solve(data, g, form=form.transposed, settings=settings)
    return -sampled_matmul(b_bar, out, form=form), b_bar


# Both cotangents are of one transposed solve
sparse_solve.pullbacks[True, True] = Pullback(
    sparse_solve,
    _save,
    _pull,
    (True, False),
    ("data", "out", "form", "settings"),
    ("sparse_solve.vjp_data", "sparse_solve.vjp_b"),
)


# --- inputs ---------------------------------------------------------------------------------------


def square_system(function: str, A: Any) -> SparseArray:
    """A canonical square matrix of floats, by rows or columns.

    Raises
    ------
    LinAlgError, TypeError
        Names the function and the shape.
    """
    if not issparse(A) and spec_of(operand(A)).ndim != 2:
        raise np.linalg.LinAlgError(
            f"{function}: needs a square sparse matrix, got shape {spec_of(operand(A)).shape}"
        )
    A = as_sparse(A)
    if A.shape[0] != A.shape[1]:
        raise np.linalg.LinAlgError(f"{function}: needs a square matrix, got shape {A.shape}")
    pattern, data = ops.compressed(A.entries)
    made = wrap(ops.Entries(pattern, data))
    if made.dtype.kind not in "fc":
        made = made.astype(np.float64)
    refuse_half(function, made)
    return made


def right_hand_side(function: str, b: Any, rows: int) -> Any:
    """A vector or matrix of floats with so many rows.

    Raises
    ------
    ValueError, TypeError
        Names the function and the shapes.
    """
    if issparse(b):
        raise TypeError(
            f"{function}: the right-hand side is sparse, and its solution would be dense; pass "
            "b.toarray()"
        )
    b = operand(b)
    shape = spec_of(b).shape
    if len(shape) not in (1, 2) or shape[0] != rows:
        raise ValueError(f"{function}: right-hand side of shape {shape} for {rows} equations")
    refuse_half(function, spec_of(b))
    return b if spec_of(b).dtype.kind in "fc" else b.astype(np.float64)


# --- SciPy's names --------------------------------------------------------------------------------


def spsolve(A: Any, b: Any, permc_spec: str | None = None, use_umfpack: bool = True) -> Any:
    """Solve the sparse linear system A x = b.

    Parameters
    ----------
    A : sparse array, or dense matrix, shape (n, n)
        The values may be a Tensor; the gradient has A's pattern.
    b : array or Tensor, shape (n,) or (n, k)
    permc_spec : {"COLAMD", "NATURAL", "MMD_ATA", "MMD_AT_PLUS_A"}, optional
        How columns are ordered to keep the factor sparse.
    use_umfpack : bool
        Ignored: the factor is SuperLU's.

    Returns
    -------
    array or Tensor, of the shape of b
        SciPy flattens the solution for a `b` of shape (n, 1), and so it is here.

    Raises
    ------
    LinAlgError
        The matrix is singular, where SciPy warns and returns NaN, or it is not square.
    ValueError
        The right-hand side does not fit.
    TypeError
        The right-hand side is sparse.

    Notes
    -----
    One factorisation serves the solution, all cotangents and tangents, of any order (Giles 2008,
    section 2.3.1).

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.sparse import csc_array
    >>> A = csc_array(np.array([[2.0, 0.0], [1.0, 4.0]]))
    >>> b = np.array([2.0, 5.0])
    >>> spsolve(A, b)
    array([1., 1.])
    >>> ad.grad(lambda A: np.sum(spsolve(A, b)))(A).toarray()
    array([[-0.375,  0.   ],
           [-0.25 , -0.25 ]])
    """
    A = square_system("spsolve", A)
    b = right_hand_side("spsolve", b, A.shape[0])
    if spec_of(b).ndim == 2 and spec_of(b).shape[1] == 1:
        b = b[:, 0]
    settings = () if permc_spec is None else (("permc_spec", permc_spec),)
    return sparse_solve.call(A.data, b, form=A.pattern, settings=settings)


class SuperLU:
    """LU factor of a sparse matrix, for many solves; made by `splu`.

    Attributes
    ----------
    shape : (int, int)
    nnz : int
        Stored values of the two factors.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.scipy.sparse import csc_array
    >>> factor = splu(csc_array(np.array([[2.0, 0.0], [1.0, 4.0]])))
    >>> factor.solve(np.array([2.0, 5.0])), factor.solve(np.array([3.0, 4.0]), trans="T")
    (array([1., 1.]), array([1., 1.]))
    """

    def __init__(self, A: SparseArray, settings: Settings, function: str) -> None:
        self._matrix = A
        self._settings = settings
        self._function = function
        self.shape = A.shape
        if not isinstance(A.data, Box) and A.shape[0]:
            # A singular matrix is refused here and now
            self._factor = factor_of(function, A.pattern, A.data, A.dtype, settings)

    @property
    def nnz(self) -> int:
        """Stored values of the two factors."""
        A = self._matrix.detach()
        if isinstance(A.data, Box):
            raise TypeError("nnz: inside vmap there is a factor for each example")
        factor = factor_of(self._function, A.pattern, A.data, A.dtype, self._settings)
        return int(factor.lu.nnz)

    def solve(self, rhs: Any, trans: str = "N") -> Any:
        """Solve with the matrix, its transpose or its conjugate transpose.

        Parameters
        ----------
        rhs : array or Tensor, shape (n,) or (n, k)
        trans : {"N", "T", "H"}

        Returns
        -------
        array or Tensor, of the shape of `rhs`

        Raises
        ------
        ValueError
            The right-hand side does not fit, or there is no such `trans`.
        """
        if trans not in ("N", "T", "H"):
            raise ValueError(f"SuperLU.solve: trans must be 'N', 'T' or 'H', got {trans!r}")
        A = self._matrix
        b = right_hand_side("SuperLU.solve", rhs, self.shape[0])
        form = A.pattern if trans == "N" else A.pattern.transposed
        if trans == "H" and A.dtype.kind == "c":
            # conj(A^-T conj(b)) needs no other factor
            return np.conj(self._solved(np.conj(b), form))
        return self._solved(b, form)

    def _solved(self, b: Any, form: Pattern) -> Any:
        return sparse_solve.call(
            self._matrix.data, b, form=form, settings=self._settings, function=self._function
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("L", "U", "perm_c", "perm_r"):
            raise AttributeError(
                f"SuperLU has no {name} here: the factors have no derivative, solutions have; use "
                "scipy.sparse.linalg.splu(A.toscipy()) for a constant matrix"
            )
        raise AttributeError(f"SuperLU has no attribute {name!r}")


def splu(
    A: Any,
    permc_spec: str | None = None,
    diag_pivot_thresh: float | None = None,
    relax: int | None = None,
    panel_size: int | None = None,
    options: dict[str, Any] | None = None,
) -> SuperLU:
    """Factorise a sparse square matrix, for many solves.

    Parameters
    ----------
    A : sparse array, or dense matrix, shape (n, n)
    permc_spec, diag_pivot_thresh, relax, panel_size, options
        As for SciPy's function of this name.

    Returns
    -------
    SuperLU
        Its ``solve`` is differentiable by A's values and by the right-hand side.

    Raises
    ------
    LinAlgError
        The matrix is singular, or not square.

    Examples
    --------
    >>> import numpy as np
    >>> splu(np.array([[2.0, 0.0], [1.0, 4.0]])).solve(np.array([2.0, 5.0]))
    array([1., 1.])
    """
    A = square_system("splu", A)
    given: dict[str, Any] = {
        "permc_spec": permc_spec,
        "diag_pivot_thresh": diag_pivot_thresh,
        "relax": relax,
        "panel_size": panel_size,
        "options": None if options is None else tuple(sorted(options.items())),
    }
    settings = tuple((name, value) for name, value in given.items() if value is not None)
    return SuperLU(A, settings, "splu")


def factorized(A: Any) -> Callable[[Any], Any]:
    """Return a function that solves A x = b for many b, with one factorisation.

    Parameters
    ----------
    A : sparse array, or dense matrix, shape (n, n)

    Returns
    -------
    function of b
        Differentiable by A's values and by b.

    Raises
    ------
    LinAlgError
        The matrix is singular, or not square.

    Examples
    --------
    >>> import numpy as np
    >>> solve = factorized(np.array([[2.0, 0.0], [1.0, 4.0]]))
    >>> solve(np.array([2.0, 5.0]))
    array([1., 1.])
    """
    return SuperLU(square_system("factorized", A), (), "factorized").solve


_TRIANGULAR: Settings = (
    ("permc_spec", "NATURAL"),
    ("diag_pivot_thresh", 0.0),
)
"""No exchanges: the factor of a triangular matrix is the matrix."""


def spsolve_triangular(
    A: Any,
    b: Any,
    lower: bool = True,
    overwrite_A: bool = False,
    overwrite_b: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """Solve A x = b for a sparse triangular matrix.

    Parameters
    ----------
    A : sparse array, or dense matrix, shape (n, n)
        Triangular: other entries are refused.
    b : array or Tensor, shape (n,) or (n, k)
    lower : bool
        Whether it is the lower triangle.
    overwrite_A, overwrite_b : bool
        Ignored: nothing is written over.
    unit_diagonal : bool
        Take the diagonal for ones, whatever is stored.

    Returns
    -------
    array or Tensor, of the shape of b

    Raises
    ------
    LinAlgError
        There is a zero on the diagonal, an entry outside of the triangle, or the matrix is not
        square.

    Examples
    --------
    >>> import numpy as np
    >>> spsolve_triangular(np.array([[2.0, 0.0], [1.0, 4.0]]), np.array([2.0, 5.0]))
    array([1., 1.])
    """
    A = square_system("spsolve_triangular", A)
    b = right_hand_side("spsolve_triangular", b, A.shape[0])
    outside = A.row < A.col if lower else A.row > A.col
    if outside.any():
        which = "lower" if lower else "upper"
        raise np.linalg.LinAlgError(
            f"spsolve_triangular: the matrix of shape {A.shape} is not {which} triangular: "
            f"{int(outside.sum())} entries are outside; take sparse.tri{which[0]}(A)"
        )
    if unit_diagonal:
        A = with_unit_diagonal(A)
    elif np.count_nonzero(A.row == A.col) < A.shape[0]:
        raise np.linalg.LinAlgError(
            f"spsolve_triangular: the matrix of shape {A.shape} is singular: its diagonal has zeros"
        )
    return sparse_solve.call(
        A.data, b, form=A.pattern, settings=_TRIANGULAR, function="spsolve_triangular"
    )


def with_unit_diagonal(A: SparseArray) -> SparseArray:
    """The matrix with ones on its diagonal, whatever is there."""
    off = np.flatnonzero(A.row != A.col)
    steps = np.arange(A.shape[0])
    rows, columns = (np.concatenate([part[off], steps]) for part in (A.row, A.col))
    data = np.concatenate([A.data[off], np.ones(A.shape[0], A.dtype)])
    made = wrap(ops.Entries(Pattern("coo", A.shape, rows, columns), data))
    return made.asformat(A.format)
