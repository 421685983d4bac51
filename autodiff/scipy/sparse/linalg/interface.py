"""Matrices given by functions that multiply with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from autodiff.core.declare import linear
from autodiff.core.spec import spec_of
from autodiff.interpret.boxed import pull_back
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.operands import operand
from autodiff.ops.samples import Sample
from autodiff.scipy.sparse.operators import as_sparse, issparse
from autodiff.tensor import Tensor

__all__ = ["LinearOperator", "aslinearoperator"]

scipy_linalg: Any = scipy.sparse.linalg


class LinearOperator:
    """A matrix given by its products, which may compute with Tensors from outside.

    Parameters
    ----------
    shape : (int, int)
    matvec : function of a vector of ``shape[1]`` numbers
        Linear, written with functions that Tensors go through where a derivative is wanted.
    rmatvec : function of a vector of ``shape[0]`` numbers, optional
        Product with the conjugate transpose. Without it, `matvec` is transposed by a reverse sweep.
    matmat, rmatmat : functions of matrices, optional
        Otherwise the products of the columns.
    dtype : dtype, optional
        Otherwise that of the product with a vector of small integers.

    Notes
    -----
    Operators add, subtract, scale, multiply with one another, and have ``T`` and ``H``, as SciPy's.
    It is no container: functions of an operator are differentiated by what its functions use.

    Raises
    ------
    ValueError
        The shape is not a pair, or an operand does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def loss(scale):
    ...     A = LinearOperator((3, 3), lambda x: scale * x + np.roll(x, 1))
    ...     return np.sum(A.rmatvec(np.arange(3.0)))
    >>> loss(2.0), ad.grad(loss)(2.0)
    (np.float64(9.0), np.float64(3.0))
    """

    ndim = 2
    __array_ufunc__ = None
    computes_with_tensors = True

    def __init__(
        self,
        shape: tuple[int, int],
        matvec: Callable[[Any], Any],
        rmatvec: Callable[[Any], Any] | None = None,
        matmat: Callable[[Any], Any] | None = None,
        dtype: Any = None,
        rmatmat: Callable[[Any], Any] | None = None,
    ) -> None:
        sizes: Any = tuple(shape)
        if len(sizes) != 2 or any(not isinstance(n, (int, np.integer)) or n < 0 for n in sizes):
            raise ValueError(f"LinearOperator: the shape must be a pair of sizes, got {shape!r}")
        self.shape = (int(sizes[0]), int(sizes[1]))
        self._matvec, self._rmatvec = matvec, rmatvec
        self._matmat, self._rmatmat = matmat, rmatmat
        if dtype is None:
            dtype = spec_of(operand(matvec(np.zeros(self.shape[1], np.int8)))).dtype
        self.dtype = np.dtype(dtype)

    def __repr__(self) -> str:
        return f"<{self.shape[0]}x{self.shape[1]} LinearOperator with dtype={self.dtype}>"

    # --- products ---------------------------------------------------------------------------------

    def matvec(self, x: Any) -> Any:
        """Product with a vector, of shape (n,) or (n, 1)."""
        return self._of_vector("matvec", self._matvec, x, self.shape[::-1])

    def rmatvec(self, x: Any) -> Any:
        """Product of the conjugate transpose with a vector, of shape (m,) or (m, 1)."""
        return self._of_vector("rmatvec", self._rmatvec or self._adjoint, x, self.shape)

    def matmat(self, X: Any) -> Any:
        """Product with a matrix of n rows."""
        return self._of_matrix("matmat", self._matmat, self.matvec, X, self.shape[::-1])

    def rmatmat(self, X: Any) -> Any:
        """Product of the conjugate transpose with a matrix of m rows."""
        return self._of_matrix("rmatmat", self._rmatmat, self.rmatvec, X, self.shape)

    def _adjoint(self, x: Any) -> Any:
        """What `rmatvec` is, by transposing `matvec`."""
        dtype = np.result_type(self.dtype, spec_of(x).dtype, np.float32)
        at = np.zeros(self.shape[1], dtype)
        out = spec_of(operand(self._matvec(at))).dtype
        seed = np.conj(x).astype(out)

        def product(v: Any) -> tuple[Any, ...]:
            return (np.reshape(self._matvec(v), (self.shape[0],)),)

        found = pull_back(Tensor, product, [at], [seed])[0]
        return np.conj(at if found is None else found)

    def _of_vector(self, name: str, product: Any, x: Any, sizes: tuple[int, int]) -> Any:
        x = operand(x)
        inner, outer = sizes
        shape = spec_of(x).shape
        if shape not in ((inner,), (inner, 1)):
            raise ValueError(
                f"LinearOperator.{name}: an operator of shape {self.shape} takes vectors of shape "
                f"({inner},) or ({inner}, 1), got {shape}"
            )
        y = operand(product(np.reshape(x, (inner,))))
        if spec_of(y).size != outer:
            raise ValueError(
                f"LinearOperator.{name}: the function returned shape {spec_of(y).shape}; an "
                f"operator of shape {self.shape} needs ({outer},)"
            )
        return np.reshape(y, (outer, *shape[1:]))

    def _of_matrix(self, name: str, product: Any, each: Any, x: Any, sizes: tuple[int, int]) -> Any:
        x = operand(x)
        inner, outer = sizes
        shape = spec_of(x).shape
        if len(shape) != 2 or shape[0] != inner:
            raise ValueError(
                f"LinearOperator.{name}: an operator of shape {self.shape} takes matrices of "
                f"{inner} rows, got shape {shape}"
            )
        if product is not None:
            return product(x)
        if not shape[1]:
            return np.zeros((outer, 0), np.result_type(self.dtype, spec_of(x).dtype))
        return np.stack([each(x[:, i]) for i in range(shape[1])], axis=1)

    def __matmul__(self, other: Any) -> Any:
        if np.isscalar(other):
            raise ValueError("matmul: an operator times a number is A * number")
        return self.dot(other)

    def __rmatmul__(self, other: Any) -> Any:
        if np.isscalar(other):
            raise ValueError("matmul: a number times an operator is number * A")
        return self._times_from_left(other)

    def dot(self, other: Any) -> Any:
        """Product with a vector, a matrix, another operator, or a number."""
        if isinstance(other, LinearOperator) or _is_scipys(other):
            return self._after(aslinearoperator(other))
        if issparse(other):
            other = as_sparse(other).toarray()
        ndim = spec_of(operand(other)).ndim
        if not ndim:
            return self._scaled(other)
        if ndim > 2:
            raise ValueError(
                f"LinearOperator: takes vectors and matrices, not {ndim} dimensions; use ad.vmap"
            )
        return self.matvec(other) if ndim == 1 else self.matmat(other)

    __call__ = __mul__ = dot

    def __rmul__(self, other: Any) -> Any:
        return self._scaled(other) if np.ndim(other) == 0 else self._times_from_left(other)

    def _times_from_left(self, other: Any) -> Any:
        other = operand(other)
        return self.T.dot(other if spec_of(other).ndim < 2 else other.T).T

    # --- operators of operators -------------------------------------------------------------------

    @property
    def H(self) -> LinearOperator:
        """Conjugate transpose."""
        return LinearOperator(
            self.shape[::-1], self.rmatvec, self.matvec, self.rmatmat, self.dtype, self.matmat
        )

    def adjoint(self) -> LinearOperator:
        """Conjugate transpose."""
        return self.H

    @property
    def T(self) -> LinearOperator:
        """Transpose."""

        def conjugated(product: Any) -> Any:
            return lambda x: np.conj(product(np.conj(x)))

        return LinearOperator(
            self.shape[::-1],
            conjugated(self.rmatvec),
            conjugated(self.matvec),
            conjugated(self.rmatmat),
            self.dtype,
            conjugated(self.matmat),
        )

    def transpose(self) -> LinearOperator:
        """Transpose."""
        return self.T

    def _scaled(self, factor: Any) -> LinearOperator:
        factor = operand(factor)
        dtype = np.result_type(self.dtype, spec_of(factor).dtype)
        return LinearOperator(
            self.shape,
            lambda x: factor * self.matvec(x),
            lambda x: np.conj(factor) * self.rmatvec(x),
            lambda x: factor * self.matmat(x),
            dtype,
            lambda x: np.conj(factor) * self.rmatmat(x),
        )

    def _after(self, other: LinearOperator) -> LinearOperator:
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"LinearOperator: shapes {self.shape} and {other.shape} do not fit")
        return LinearOperator(
            (self.shape[0], other.shape[1]),
            lambda x: self.matvec(other.matvec(x)),
            lambda x: other.rmatvec(self.rmatvec(x)),
            lambda x: self.matmat(other.matmat(x)),
            np.result_type(self.dtype, other.dtype),
            lambda x: other.rmatmat(self.rmatmat(x)),
        )

    def __add__(self, other: Any) -> Any:
        other = aslinearoperator(other)
        if self.shape != other.shape:
            raise ValueError(f"LinearOperator: cannot add shapes {self.shape} and {other.shape}")
        return LinearOperator(
            self.shape,
            lambda x: self.matvec(x) + other.matvec(x),
            lambda x: self.rmatvec(x) + other.rmatvec(x),
            lambda x: self.matmat(x) + other.matmat(x),
            np.result_type(self.dtype, other.dtype),
            lambda x: self.rmatmat(x) + other.rmatmat(x),
        )

    __radd__ = __add__

    def __neg__(self) -> LinearOperator:
        return self._scaled(-1)

    def __sub__(self, other: Any) -> Any:
        return self + (-aslinearoperator(other))

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def __truediv__(self, other: Any) -> LinearOperator:
        return self._scaled(1.0 / operand(other))

    def __pow__(self, power: Any) -> LinearOperator:
        if not isinstance(power, (int, np.integer)) or power < 0 or self.shape[0] != self.shape[1]:
            raise ValueError(
                f"LinearOperator: a power must be a whole number of a square operator, got "
                f"{power!r} of shape {self.shape}"
            )
        made = LinearOperator(self.shape, lambda x: x, lambda x: x, lambda x: x, self.dtype)
        for _ in range(power):
            made = self._after(made)
        return made


def _is_scipys(A: Any) -> bool:
    return isinstance(A, scipy_linalg.LinearOperator)


def aslinearoperator(A: Any) -> LinearOperator:
    """Return a matrix as a `LinearOperator`.

    Parameters
    ----------
    A : sparse array, dense array or Tensor of two dimensions, or an operator of SciPy's
        An operator of SciPy's is a constant, whose ``rmatvec`` cotangents need.

    Raises
    ------
    TypeError
        It is none of them.
    ValueError
        An array has other than two dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> aslinearoperator(np.array([[1.0, 2.0], [3.0, 4.0]])).rmatvec(np.array([1.0, 0.0]))
    array([1., 2.])
    """
    if isinstance(A, LinearOperator):
        return A
    if _is_scipys(A):
        return LinearOperator(
            A.shape,
            lambda x: operator_matmul.call(x, operator=A, form="N"),
            lambda x: operator_matmul.call(x, operator=A, form="H"),
            dtype=A.dtype,
        )
    if issparse(A):
        A = as_sparse(A)
    elif hasattr(A, "__array__") or isinstance(A, (Tensor, list, tuple)):
        A = operand(A)
        if spec_of(A).ndim != 2:
            raise ValueError(f"aslinearoperator: needs a matrix, got shape {spec_of(A).shape}")
    else:
        raise TypeError(
            f"aslinearoperator: a {type(A).__name__} is no matrix; LinearOperator(shape, matvec) "
            "makes an operator of a function"
        )
    dtype = A.dtype if issparse(A) else spec_of(A).dtype

    def times(x: Any) -> Any:
        return A @ x

    def adjoint_times(x: Any) -> Any:
        return np.conj(A.T @ np.conj(x))

    return LinearOperator(A.shape, times, adjoint_times, times, dtype, adjoint_times)


# --- operators of SciPy's -------------------------------------------------------------------------

_TRANSPOSED = {"N": "T", "T": "N", "H": "C", "C": "H"}
"""Matrix, transpose, conjugate transpose and conjugate: which is the transpose of which."""


def _samples(rng: np.random.Generator) -> list[Sample]:
    operator = scipy_linalg.LinearOperator(
        (2, 3),
        matvec=lambda x: np.stack([x[0] + 2 * x[1], 3 * x[2] - x[1]]),
        rmatvec=lambda y: np.stack([y[0], 2 * y[0] - y[1], 3 * y[1]]),
        dtype=np.float32,
    )
    return [
        Sample((rng.uniform(-1, 1, n),), {"operator": operator, "form": form})
        for n, form in ((3, "N"), (2, "T"), (2, "H"))
    ]


@linear(
    transpose=lambda g, operator, form: operator_matmul(
        g, operator=operator, form=_TRANSPOSED[form]
    ),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda x: operator_matmul(x, **params), batched, inputs
    ),
    cost=lambda operator: 2 * operator.shape[0] * operator.shape[1],
    label="@",
    sample=_samples,
)
def operator_matmul(x: Any, *, operator: Any, form: str) -> Any:
    """Product of one of SciPy's operators, or of what it is transposed, with a vector."""
    if form == "N":
        return operator.matvec(x)
    if form == "H":
        return operator.rmatvec(x)
    product = operator.rmatvec if form == "T" else operator.matvec
    return np.conj(product(np.conj(x)))
