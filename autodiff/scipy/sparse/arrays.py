"""Sparse matrices whose values are arrays or Tensors: the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse

from autodiff import tree
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops import elementwise as ew
from autodiff.ops.operands import operand
from autodiff.scipy.sparse import operations as ops
from autodiff.scipy.sparse.inputs import parsed
from autodiff.scipy.sparse.operations import Entries
from autodiff.scipy.sparse.operators import CLASSES, Operators, as_sparse, issparse, refuse, wrap
from autodiff.scipy.sparse.patterns import Pattern

__all__ = ["SparseArray", "as_sparse", "coo_array", "csc_array", "csr_array", "issparse"]

scipy_sparse: Any = scipy.sparse


class SparseArray(Operators):
    """A sparse matrix: values that may be a Tensor, at places that are plain and constant.

    Made by `csr_array`, `csc_array` and `coo_array`, whose base it is. It is a container with one
    leaf, its ``data``: so `autodiff.grad` by a sparse matrix gives a sparse matrix of the same
    pattern, and it may be an argument or a result of any transform.

    Operators and methods mean what they mean for SciPy's sparse *arrays*: ``*`` is by elements,
    ``@`` is the matrix product. Nothing is changed in place. Explicit zeros stay, and so do entries
    that cancel.

    Attributes
    ----------
    data : array or Tensor, shape (nnz,)
        The stored values.
    pattern : Pattern
        Format, shape and index arrays.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.sparse import csr_array
    >>> A = csr_array(np.array([[2.0, 0.0], [1.0, 3.0]]))
    >>> x = np.array([1.0, 2.0])
    >>> ad.grad(lambda A: np.sum((A @ x) ** 2))(A).toarray()
    array([[ 4.,  0.],
           [14., 28.]])
    """

    format: ClassVar[str]
    __slots__ = ("data", "pattern")

    data: Any
    pattern: Pattern

    def __init__(
        self, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False, **keywords: Any
    ) -> None:
        if keywords.keys() - {"maxprint"}:
            raise TypeError(
                f"{type(self).__name__}: keyword {sorted(keywords)[0]!r} is not one of its own"
            )
        if isinstance(arg1, SparseArray):
            entries = ops.converted(arg1.entries, self.format)
        else:
            entries = parsed(type(self).__name__, arg1, self.format, shape)
        if shape is not None and tuple(shape) != entries.pattern.shape:
            raise ValueError(
                f"{type(self).__name__}: shape {tuple(shape)} given, but the matrix has "
                f"{entries.pattern.shape}"
            )
        self.pattern, data = entries
        if dtype is not None and spec_of(data).dtype != np.dtype(dtype):
            data = data.astype(dtype)
        self.data = data

    # --- what it is -------------------------------------------------------------------------------

    @property
    def entries(self) -> Entries:
        """Pattern and values."""
        return Entries(self.pattern, self.data)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.pattern.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return spec_of(self.data).dtype

    ndim = 2

    @property
    def nnz(self) -> int:
        """Number of stored values, explicit zeros included."""
        return self.pattern.nnz

    size = nnz

    @property
    def indices(self) -> Any:
        """Column (by columns: row) of each value."""
        self._require_compressed()
        return self.pattern.first

    @property
    def indptr(self) -> Any:
        """Where each row (column) begins in ``data``."""
        self._require_compressed()
        return self.pattern.second

    def _require_compressed(self) -> None:
        if self.format == "coo":
            raise AttributeError  # `__getattr__` says why

    @property
    def row(self) -> Any:
        """Row of each value."""
        return self.pattern.rows

    @property
    def col(self) -> Any:
        """Column of each value."""
        return self.pattern.columns

    @property
    def coords(self) -> tuple[Any, Any]:
        """Row and column of each value."""
        return self.row, self.col

    @property
    def has_canonical_format(self) -> bool:
        """Whether each place is stored once, in order."""
        return self.pattern.is_canonical

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.nnz} stored values, shape {self.shape}, dtype "
            f"{self.dtype}>"
        )

    def __len__(self) -> int:
        raise TypeError("the length of a sparse array is ambiguous; use A.shape[0] or A.nnz")

    def __bool__(self) -> bool:
        raise ValueError("the truth value of a sparse array is ambiguous; use A.nnz")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError(
            "a sparse array does not become a dense one by itself; use A.toarray(), or A.toscipy() "
            "for SciPy's own class. NumPy's functions that are no ufuncs (np.dot, np.sum) do not "
            "take it: use its operators and methods (A @ x, A.sum(axis))"
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("indices", "indptr"):
            raise AttributeError(f"a coo_array has no {name}; it has row and col, or use .tocsr()")
        if not name.startswith("_") and hasattr(scipy_sparse.csr_array, name):
            raise AttributeError(
                f"{type(self).__name__} has no {name}: SciPy's sparse arrays have it, these do "
                "not; compute it from A.data, A.row and A.col, or of the constant A.toscipy()"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "a sparse array is not changed in place: its pattern is fixed. Build it from its "
            "values, csr_array((data, (row, col)), shape)"
        )

    # --- conversions ------------------------------------------------------------------------------

    def _with(self, data: Any) -> Self:
        made = object.__new__(type(self))
        made.pattern, made.data = self.pattern, data
        return made

    def toscipy(self) -> Any:
        """SciPy's sparse array of the same numbers, a constant.

        Raises
        ------
        TypeError
            The values are a Tensor: their derivative would be lost. Take ``A.detach()`` first.
        """
        data = self.data
        if isinstance(data, Box):
            raise TypeError(
                "toscipy: the values are a Tensor, whose derivative would be lost; use "
                "A.detach().toscipy() for a constant"
            )
        return self.pattern.array(operand(data))

    def detach(self) -> Self:
        """The same numbers as constants: plain arrays, but inside a transform of them."""
        data = self.data
        while isinstance(data, Box):
            stopped = ew.stop_gradient.call(data)
            if data._interpreter.leading:
                return self._with(stopped)
            data = data._value
        return self._with(data)

    def asformat(self, format: str | None, copy: bool = False) -> SparseArray:
        """In another format: "csr", "csc" or "coo"; duplicates of a "coo" add up."""
        if format is None:
            return self
        if format not in CLASSES:
            raise ValueError(f"asformat: {format!r} is not one of 'csr', 'csc' and 'coo'")
        return wrap(ops.converted(self.entries, format))

    def tocsr(self, copy: bool = False) -> SparseArray:
        """By rows."""
        return self.asformat("csr")

    def tocsc(self, copy: bool = False) -> SparseArray:
        """By columns."""
        return self.asformat("csc")

    def tocoo(self, copy: bool = False) -> SparseArray:
        """By coordinates."""
        if self.format == "coo":
            return self
        pattern = self.pattern
        return wrap(Entries(Pattern("coo", self.shape, pattern.rows, pattern.columns), self.data))

    def canonical(self) -> Self:
        """Each place once, in order: what SciPy's ``sum_duplicates`` does in place."""
        made: Any = wrap(ops.canonical(self.entries))
        return made  # type: ignore[no-any-return]

    def toarray(self, order: Any = None, out: Any = None) -> Any:
        """The whole matrix, as an array or Tensor."""
        refuse("toarray", order=order, out=out)
        return ops.dense(self.entries)

    todense = toarray

    def copy(self) -> Self:
        """A matrix with values of its own."""
        return self._with(self.data.copy())

    def astype(self, dtype: Any, casting: str = "unsafe", copy: bool = True) -> Self:
        """With values of another type."""
        target = np.dtype(dtype)
        if not np.can_cast(self.dtype, target, casting):  # type: ignore[arg-type]
            raise TypeError(f"astype: {self.dtype} does not become {target} by {casting!r} rules")
        return self._with(self.data.astype(target))

    # --- unary ------------------------------------------------------------------------------------

    @property
    def T(self) -> SparseArray:
        """The transposed matrix, with the same values."""
        return wrap(Entries(self.pattern.transposed, self.data))

    def transpose(self, axes: Any = None, copy: bool = False) -> SparseArray:
        """The transposed matrix."""
        if axes not in (None, (1, 0), (-1, -2)):
            raise ValueError(f"transpose: axes {axes} do not exchange rows and columns")
        return self.T

    def conj(self, copy: bool = True) -> Self:
        """Complex conjugate."""
        return self._with(np.conjugate(self.data))

    conjugate = conj

    @property
    def H(self) -> SparseArray:
        """Conjugate transpose."""
        return self.conj().T

    @property
    def real(self) -> Self:
        """Real part."""
        return self._with(np.real(self.data))

    @property
    def imag(self) -> Self:
        """Imaginary part."""
        return self._with(np.imag(self.data))

    def __neg__(self) -> Self:
        return self._with(-self.data)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self._applied(np.absolute)

    def _applied(self, ufunc: Any) -> Self:
        own = self if ufunc in (np.negative, np.conjugate) else self.canonical()
        return own._with(ufunc(own.data))

    def power(self, n: Any, dtype: Any = None) -> Self:
        """Each element to a power, which must be positive: 0 stays 0."""
        if isinstance(n, Box) or not np.isscalar(n) or concrete(n) <= 0:
            raise NonDifferentiableError(
                f"power: the exponent must be a positive number, so that 0 stays 0; got {n!r}"
            )
        own = self.canonical()
        made = own._with(own.data**n)
        return made if dtype is None else made.astype(dtype)

    def __pow__(self, n: Any) -> Self:
        return self.power(n)


class csr_array(SparseArray):
    """A sparse matrix by rows; see `SparseArray`, and SciPy's class of this name.

    Parameters
    ----------
    arg1 : matrix
        A sparse array of SciPy's or of this module; a dense array or Tensor, whose elements that
        are not zero are stored; ``(data, (row, col))``, where values of one place add up;
        ``(data, indices, indptr)``; or a shape, for a matrix without entries. `data` may be a
        Tensor, index arrays may not.
    shape : (int, int), optional
        Otherwise as large as the indices need.
    dtype : dtype, optional
    copy : bool
        Ignored: index arrays are copied, values never change.

    Raises
    ------
    ValueError
        Index arrays and shapes do not fit.
    TypeError
        Index arrays are Tensors, or a keyword is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> A = csr_array((np.array([1.0, 2.0, 3.0]), ([0, 1, 1], [0, 0, 0])), shape=(2, 2))
    >>> A.toarray()
    array([[1., 0.],
           [5., 0.]])
    """

    __slots__ = ()
    format = "csr"


class csc_array(SparseArray):
    """A sparse matrix by columns; takes what `csr_array` takes.

    Examples
    --------
    >>> import numpy as np
    >>> csc_array(np.eye(2)).indptr
    array([0, 1, 2], dtype=int32)
    """

    __slots__ = ()
    format = "csc"


class coo_array(SparseArray):
    """A sparse matrix by coordinates, which may repeat; takes what `csr_array` takes.

    Examples
    --------
    >>> import numpy as np
    >>> coo_array((np.ones(2), ([0, 0], [1, 1])), shape=(2, 2)).toarray()
    array([[0., 2.],
           [0., 0.]])
    """

    __slots__ = ()
    format = "coo"


CLASSES.update(csr=csr_array, csc=csc_array, coo=coo_array)


def _registered(cls: type[SparseArray]) -> None:
    def unflatten(pattern: Pattern, children: Sequence[Any]) -> Any:
        made = object.__new__(cls)
        made.pattern = pattern
        (made.data,) = children
        return made

    tree.register(cls, lambda a: ((a.data,), a.pattern, ("data",)), unflatten)


for _cls in CLASSES.values():
    _registered(_cls)
