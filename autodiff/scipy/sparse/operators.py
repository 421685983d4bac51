"""Operators of sparse arrays: sums, products, elements, and NumPy's protocol."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse

from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand
from autodiff.scipy.sparse import operations as ops
from autodiff.scipy.sparse.operations import Entries

if TYPE_CHECKING:
    from autodiff.scipy.sparse.arrays import SparseArray
    from autodiff.scipy.sparse.patterns import Pattern

__all__ = ["CLASSES", "Operators", "as_sparse", "issparse", "refuse", "wrap"]

scipy_sparse: Any = scipy.sparse

CLASSES: dict[str, Any] = {}
"""Class of each format: filled by the module that defines them."""

_ZERO_STAYS = frozenset(
    (
        *("absolute", "arcsin", "arcsinh", "arctan", "arctanh", "cbrt", "ceil", "conjugate"),
        *("deg2rad", "degrees", "expm1", "fabs", "floor", "log1p", "negative", "positive"),
        *("rad2deg", "radians", "rint", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh"),
        "trunc",
    )
)
"""Ufuncs of one input that make 0 of 0: they act on the stored values."""


class Operators:
    """What a pair of a pattern and values does with others; `SparseArray` is one."""

    __slots__ = ()
    # A Tensor on the left of an operator leaves it to this class
    computes_with_tensors = True
    __array_priority__ = 20.0

    if TYPE_CHECKING:
        format: ClassVar[str]
        data: Any
        pattern: Pattern
        toarray: Any
        canonical: Any
        detach: Any
        _with: Any
        _applied: Any
        __neg__: Any

        @property
        def entries(self) -> Entries:
            """Pattern and values."""

        @property
        def shape(self) -> tuple[int, int]:
            """Numbers of rows and columns."""

        @property
        def row(self) -> Any:
            """Row of each value."""

        @property
        def col(self) -> Any:
            """Column of each value."""

        @property
        def T(self) -> SparseArray:
            """The transposed matrix."""

    # --- sums and products ------------------------------------------------------------------------

    def __matmul__(self, other: Any) -> Any:
        if not issparse(other):
            return ops.matmul_dense(self.entries, other) if ops.is_dense(other) else NotImplemented
        return wrap(ops.matmul_sparse(self.entries, as_sparse(other).entries, self._result()))

    def __rmatmul__(self, other: Any) -> Any:
        if issparse(other):
            return as_sparse(other) @ self
        if not ops.is_dense(other):
            return NotImplemented
        return _transposed(self.T @ _transposed(operand(other)))

    def dot(self, other: Any) -> Any:
        """Matrix product, or product with a number."""
        return self * other if np.ndim(getattr(other, "data", other)) == 0 else self @ other

    def multiply(self, other: Any) -> Any:
        """Product element by element, with a number, a dense or a sparse matrix; sparse."""
        return self * other

    def _result(self) -> str:
        return "csr" if self.format == "coo" else self.format

    def __mul__(self, other: Any) -> Any:
        if issparse(other):
            right = as_sparse(other)
            return wrap(ops.multiplied(self.entries, right.entries, self._result()))
        return self._scaled(operator.mul, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if issparse(other):
            raise TypeError(
                "divide: a quotient of sparse arrays is 0/0 where neither has an entry; divide "
                "dense arrays, or the values"
            )
        return self._scaled(operator.truediv, other)

    def __rtruediv__(self, other: Any) -> Any:
        raise TypeError("divide: dividing by a sparse array divides by zero; use A.toarray()")

    def _scaled(self, function: Callable[..., Any], other: Any) -> Any:
        if not ops.is_dense(other):
            return NotImplemented
        other = operand(other) if isinstance(other, (list, tuple)) else other
        if spec_of(other).ndim == 0:
            return self._with(function(self.data, other))
        return wrap(ops.scaled_by_dense(self.entries, function, other))

    def __add__(self, other: Any) -> Any:
        if issparse(other):
            return wrap(ops.added(self.entries, as_sparse(other).entries, self._result()))
        if not ops.is_dense(other):
            return NotImplemented
        other = operand(other)
        if spec_of(other).ndim == 0:
            if not isinstance(other, Box) and other == 0:
                return self
            raise NotImplementedError(
                "add: a sparse array and a number make a dense array; use A.toarray() + number"
            )
        return self.toarray() + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + (-as_sparse(other) if issparse(other) else -operand(other))

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Sum of all elements, or along an axis: a dense vector."""
        refuse("sum", out=out)
        axes = {None: None, 0: 0, 1: 1, -1: 1, -2: 0, (0, 1): None, (1, 0): None}
        if axis not in axes:
            raise ValueError(f"sum: axis {axis} of a matrix; it has axes 0 and 1")
        data = self.data if dtype is None else self.data.astype(dtype)
        if axes[axis] is None:
            return np.sum(data)
        if spec_of(data).dtype.kind not in "fc":
            return self.pattern.array(data).sum(axis)
        lines, size = (self.col, self.shape[1]) if axes[axis] == 0 else (self.row, self.shape[0])
        return ops.summed(data, lines, size)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Mean of all elements, or along an axis; zeros that are not stored count."""
        refuse("mean", out=out)
        total = self.sum(axis, dtype)
        return total / (self.shape[0] * self.shape[1] / max(np.size(concrete(total)), 1))

    def diagonal(self, k: int = 0) -> Any:
        """A diagonal as a dense vector."""
        return ops.diagonal(self.entries, k)

    def trace(self, offset: int = 0) -> Any:
        """Sum of a diagonal."""
        return np.sum(self.diagonal(offset))

    def count_nonzero(self, axis: Any = None) -> Any:
        """Number of values that are not zero: plain."""
        return self.detach().canonical().toscipy().count_nonzero(axis)

    def nonzero(self) -> Any:
        """Rows and columns of the elements that are not zero: plain."""
        return self.detach().toscipy().nonzero()

    # --- elements ---------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        """An element, or a sparse matrix of rows and columns; one row or column is dense."""
        if not isinstance(key, tuple):
            key = (key, slice(None))
        if len(key) != 2 or any(entry is None or entry is Ellipsis for entry in key):
            raise IndexError(f"a sparse array takes two indices (rows, columns), got {key}")
        single = [isinstance(entry, (int, np.integer)) for entry in key]
        rows, columns = [
            slice(entry, entry + 1 or None) if flag else entry
            for entry, flag in zip(key, single, strict=True)
        ]
        for entry, flag, length, axis in zip(key, single, self.shape, (0, 1), strict=True):
            if flag and not -length <= entry < length:
                raise IndexError(f"index {entry} is out of bounds for axis {axis} of {self.shape}")
        format = self._result()

        def chosen(matrix: Any) -> Any:
            found = matrix.asformat(format)[rows, columns]
            if found.ndim != 2:
                raise IndexError(
                    "two index arrays pick single elements; use A.toarray()[rows, columns], or "
                    "A[rows][:, columns] for a matrix of them"
                )
            return found

        part = wrap(ops.moved(self.entries, chosen, format))
        if all(single):
            return part.toarray()[0, 0]
        if any(single):
            return part.toarray()[0] if single[0] else part.toarray()[:, 0]
        return part

    # --- NumPy's protocol -------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method != "__call__" or keywords:
            what = "keywords" if method == "__call__" else method
            raise TypeError(f"np.{ufunc.__name__}: sparse arrays take no {what}")
        if len(inputs) == 1 and ufunc.__name__ in _ZERO_STAYS:
            return self._applied(ufunc)
        binary = _BINARY.get(ufunc)
        if binary is None:
            raise TypeError(
                f"np.{ufunc.__name__} of a sparse array has no sparse result, or none that is "
                "known here; apply it to A.data, or to A.toarray()"
            )
        left, right = inputs
        own, reflected = binary
        if isinstance(left, Operators):
            return getattr(left, own)(right)
        return getattr(right, reflected)(left)


_BINARY: dict[np.ufunc, tuple[str, str]] = {
    np.matmul: ("__matmul__", "__rmatmul__"),
    np.multiply: ("__mul__", "__rmul__"),
    np.add: ("__add__", "__radd__"),
    np.subtract: ("__sub__", "__rsub__"),
    np.divide: ("__truediv__", "__rtruediv__"),
    np.power: ("__pow__", "__rpow__"),
}


def refuse(function: str, **keywords: Any) -> None:
    """Raise for keywords of SciPy's that were given."""
    for name, value in keywords.items():
        if value is not None:
            raise TypeError(f"{function}: {name} is not supported for sparse arrays here; leave it")


def _transposed(x: Any) -> Any:
    return x if spec_of(x).ndim < 2 else np.swapaxes(x, -1, -2)


def wrap(entries: Entries) -> SparseArray:
    """Sparse array of a pattern and values."""
    cls = CLASSES[entries.pattern.format]
    made: SparseArray = object.__new__(cls)
    made.pattern, made.data = entries
    return made


def issparse(x: Any) -> bool:
    """Whether a value is a sparse array, of this module or of SciPy's.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.scipy.sparse import csr_array
    >>> issparse(csr_array(np.eye(2))), issparse(np.eye(2))
    (True, False)
    """
    return isinstance(x, Operators) or bool(scipy_sparse.issparse(x))


def as_sparse(x: Any, format: str | None = None) -> SparseArray:
    """Sparse array of this module, of one of SciPy's or of a dense matrix."""
    if isinstance(x, Box):
        raise TypeError(
            "a dense Tensor where a sparse matrix is needed: csr_array(x) makes one, with "
            "derivatives by the elements that are not zero alone; np.linalg.solve and the like "
            "have them by all"
        )
    if not isinstance(x, Operators):
        own = getattr(x, "format", None)
        x = CLASSES[own if own in CLASSES else "csr"](x)
    found: SparseArray = x.asformat(format)
    return found
