"""Eigenvalues and singular values by ARPACK: functions of SciPy's names and signatures."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from autodiff.core.arrays import zeros
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops.operands import operand
from autodiff.scipy.sparse.arrays import SparseArray
from autodiff.scipy.sparse.construction import block_array
from autodiff.scipy.sparse.linalg.eigen.operators import operator_pairs
from autodiff.scipy.sparse.linalg.eigen.pairs import eigenpairs
from autodiff.scipy.sparse.linalg.interface import LinearOperator
from autodiff.scipy.sparse.linalg.solves import square_system
from autodiff.scipy.sparse.operations import Entries
from autodiff.scipy.sparse.operators import as_sparse, issparse, wrap
from autodiff.scipy.sparse.patterns import Pattern
from autodiff.scipy.special.declare import refuse_derivative

__all__ = ["eigs", "eigsh", "svds"]

scipy_linalg: Any = scipy.sparse.linalg


class _Arpack:
    """`eigsh` or `eigs` with its settings.

    Parameters
    ----------
    name : str
    settings : dict
        Keywords of SciPy's function, without the matrices.
    alone : bool
        Whether only values are asked for, which then come in another order.
    """

    def __init__(self, name: str, settings: dict[str, Any], alone: bool) -> None:
        self.name = name
        self.hermitian = name == "eigsh"
        self.settings = settings
        self.alone = alone

    def __repr__(self) -> str:
        return f"<{self.name}, k={self.settings['k']}>"

    def pairs(self, matrix: Any, mass: Any) -> tuple[Any, Any]:
        """Values, and vectors of length 1 as columns."""
        settings = {**self.settings, "M": mass}
        if self.settings["sigma"] is not None and hasattr(matrix, "tocsc"):
            matrix = matrix.tocsc()
            settings["M"] = mass if mass is None else mass.tocsc()
        if settings["v0"] is None:
            settings["v0"] = _start(matrix.shape[0], matrix.dtype)
        solver = getattr(scipy_linalg, self.name)
        w, v = solver(matrix, **settings)
        if self.alone:
            order = solver(matrix, **settings, return_eigenvectors=False)
            w, v = _as_ordered(w, v, order)
        return w, v


def _start(size: int, dtype: Any) -> Any:
    """Where ARPACK begins: any vector serves, and the same one gives the same signs."""
    start = np.random.default_rng(0).uniform(-1.0, 1.0, size)
    return start.astype(np.result_type(dtype, np.float32))


def _as_ordered(w: Any, v: Any, order: Any) -> tuple[Any, Any]:
    """Pairs in the order in which the values come alone; of a conjugate pair the one that does."""
    values, vectors, left = [], [], list(range(len(w)))
    for value in order:
        near = min(left, key=lambda i: min(abs(w[i] - value), abs(np.conj(w[i]) - value)))
        left.remove(near)
        turned = abs(w[near] - value) > abs(np.conj(w[near]) - value)
        values.append(np.conj(w[near]) if turned else w[near])
        vectors.append(np.conj(v[:, near]) if turned else v[:, near])
    return np.array(values, w.dtype), np.stack(vectors, axis=1)


def _full(function: str, A: Any) -> SparseArray:
    """A square matrix by its values; of a dense Tensor, all of them."""
    if issparse(A) or not isinstance(A, Box) or spec_of(A).ndim != 2:
        return square_system(function, A)
    return square_system(function, _everywhere(A))


def _everywhere(A: Any) -> SparseArray:
    """A dense matrix by the values at all of its places."""
    m, n = spec_of(A).shape
    rows, columns = (part.ravel() for part in np.indices((m, n)))
    return wrap(Entries(Pattern("coo", (m, n), rows, columns), np.reshape(A, (-1,))))


def _hermitian(A: SparseArray) -> Any:
    """Hermitian part: so a derivative is that of Hermitian matrices, whatever is changed."""
    return ((A + A.H) * 0.5).asformat("csr")


def _is_variable(A: Any) -> bool:
    return isinstance(A.data if isinstance(A, SparseArray) else A, Box)


def _plain(A: Any) -> Any:
    return A.toscipy() if isinstance(A, SparseArray) else A


def _is_operator(A: Any) -> bool:
    return isinstance(A, (LinearOperator, scipy_linalg.LinearOperator))


def _count(function: str, k: Any, size: int) -> int:
    refuse_derivative(function, k=k)
    if not 0 < int(k) <= size:
        raise ValueError(f"{function}: k={k!r} of {size}: it must be from 1 to the size")
    return int(k)


def _refuse(function: str, given: dict[str, Any]) -> None:
    refuse_derivative(function, **given)
    for name, value in given.items():
        if isinstance(value, (Box, LinearOperator, SparseArray)):
            raise TypeError(f"{function}: {name} is a constant; pass SciPy's or NumPy's arrays")


def _found(name: str, A: Any, M: Any, vectors: bool, settings: dict[str, Any]) -> Any:
    """Pairs, or the values alone, of whatever kind of matrix there is."""
    sigma, v0 = settings["sigma"], settings["v0"]
    _refuse(name, {"sigma": sigma, "v0": v0, "Minv": settings["Minv"], "OPinv": settings["OPinv"]})
    method = _Arpack(name, settings, not vectors)
    if _is_operator(A) or _is_operator(M):
        if not isinstance(A, LinearOperator) and M is None:
            return getattr(scipy_linalg, name)(A, **settings, return_eigenvectors=vectors)
        if sigma is not None and settings["OPinv"] is None:
            raise ValueError(
                f"{name}: sigma of an operator needs OPinv, an operator of SciPy's that solves "
                "with A - sigma I; a sparse matrix is factorised"
            )
        w, v = operator_pairs(A, M, method)
        return (w, v) if vectors else w
    if not (_is_variable(A) or _is_variable(M)):
        return getattr(scipy_linalg, name)(
            _plain(A), M=_plain(M), **settings, return_eigenvectors=vectors
        )
    A = _full(name, A)
    _count(name, settings["k"], A.shape[0])
    mass, mass_form = zeros((1,), np.finfo(A.dtype).dtype), None
    if M is not None:
        M = _full(name, M)
        if M.shape != A.shape:
            raise ValueError(f"{name}: M has shape {M.shape} and A {A.shape}")
        M = _hermitian(M)
        mass, mass_form = M.data, M.pattern
    if method.hermitian:
        A = _hermitian(A)
    w, v = eigenpairs(A.data, mass, form=A.pattern, mass_form=mass_form, method=method)
    return (w, v) if vectors else w


def _drawing(function: str, rng: Any) -> dict[str, Any]:
    """Keyword of newer SciPy, left out where it says nothing."""
    if rng is None or "rng" not in inspect.signature(getattr(scipy_linalg, function)).parameters:
        return {}
    return {"rng": rng}


def eigsh(
    A: Any,
    k: int = 6,
    M: Any = None,
    sigma: Any = None,
    which: str = "LM",
    v0: Any = None,
    ncv: int | None = None,
    maxiter: int | None = None,
    tol: float = 0,
    return_eigenvectors: bool = True,
    Minv: Any = None,
    OPinv: Any = None,
    mode: str = "normal",
    rng: Any = None,
) -> Any:
    """Some eigenvalues, and eigenvectors, of a sparse Hermitian matrix or operator.

    Parameters
    ----------
    A : sparse array, dense array, Tensor or `LinearOperator`, shape (n, n)
        Taken to be Hermitian; the gradient has the pattern of A and its transpose's, and is
        Hermitian. An operator's functions may use Tensors from outside.
    k : int
    M : sparse array, dense array or Tensor, shape (n, n), optional
        Hermitian positive definite: A v = w M v, v^H M v = 1.
    sigma : number, optional
        Eigenvalues near it; a constant.
    which : {"LM", "SM", "LA", "SA", "BE"}
    v0 : array, shape (n,), optional
        Where the iteration begins, a constant. For Tensors it is always the same vector if none is
        given, so that signs do not change from call to call.
    ncv, maxiter, tol : as of SciPy's function
    return_eigenvectors : bool
        False gives the values alone, in the order in which SciPy gives them then.
    Minv, OPinv : optional
        As SciPy's, constants.
    mode : {"normal", "cayley", "buckling"}
        Of the shift. "buckling" is another problem, and refused for Tensors.
    rng : optional
        For plain arrays, what draws `v0`.

    Returns
    -------
    w : array or Tensor, shape (k,)
    v : array or Tensor, shape (n, k)
        Unless only values are asked for.

    Raises
    ------
    NonDifferentiableError
        Mode "buckling".
    LinAlgError, ValueError
        A matrix is not square, shapes do not fit, or k is not in range; in the derivative of a
        vector whose eigenvalue is multiple, that system is singular.
    TypeError
        What must be a constant is a Tensor.

    Notes
    -----
    An eigenvalue changes by v^H dA v - w v^H dM v. Its vector, and the second derivatives of both,
    take one sparse factorisation of A - w M, bordered by the vector, for each pair (Nelson 1976).
    Values of multiple eigenvalues have derivatives as sums; those of their vectors are NaN, or an
    error where the system is singular in all its digits. The derivative of a complex vector is that
    of one turned as little as possible, as for ``np.linalg.eigh``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.sparse import diags_array
    >>> A = diags_array([1.0, 2.0, 4.0, 3.0, 5.0], format="csr")
    >>> ad.grad(lambda A: eigsh(A, k=1, return_eigenvectors=False)[0])(A).data.round(6) + 0.0
    array([0., 0., 0., 0., 1.])
    """
    variable = _is_variable(A) or _is_variable(M) or isinstance(A, LinearOperator)
    if mode == "buckling" and variable:
        raise NonDifferentiableError(
            "eigsh: mode='buckling' has no derivative rule; use 'normal' or 'cayley'"
        )
    settings = {"k": k, "sigma": sigma, "which": which, "v0": v0, "ncv": ncv, "maxiter": maxiter}
    settings |= {"tol": tol, "Minv": Minv, "OPinv": OPinv, "mode": mode}
    settings |= _drawing("eigsh", rng)
    return _found("eigsh", A, M, bool(return_eigenvectors), settings)


def eigs(
    A: Any,
    k: int = 6,
    M: Any = None,
    sigma: Any = None,
    which: str = "LM",
    v0: Any = None,
    ncv: int | None = None,
    maxiter: int | None = None,
    tol: float = 0,
    return_eigenvectors: bool = True,
    Minv: Any = None,
    OPinv: Any = None,
    OPpart: Any = None,
    rng: Any = None,
) -> Any:
    """Some eigenvalues, and right eigenvectors, of a sparse square matrix or operator.

    Parameters
    ----------
    A : sparse array, dense array, Tensor or `LinearOperator`, shape (n, n)
        The gradient has A's pattern.
    k, M, sigma, v0, ncv, maxiter, tol, return_eigenvectors, Minv, OPinv, rng : as of `eigsh`
    which : {"LM", "SM", "LR", "SR", "LI", "SI"}
    OPpart : {"r", "i"}, optional
        As SciPy's.

    Returns
    -------
    w : array or Tensor, shape (k,), complex
    v : array or Tensor, shape (n, k), complex
        Unless only values are asked for.

    Raises
    ------
    LinAlgError, ValueError, TypeError
        As of `eigsh`; the system is singular for values alone too.

    Notes
    -----
    ARPACK leaves a vector's phase open: its derivative is that of one turned as little as possible.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.sparse import diags_array
    >>> A = diags_array([1.0, 2.0, 4.0, 3.0, 5.0], format="csr")
    >>> loss = lambda A: np.real(eigs(A, k=1, return_eigenvectors=False)[0])
    >>> ad.grad(loss)(A).data.round(6) + 0.0
    array([0., 0., 0., 0., 1.])
    """
    settings = {"k": k, "sigma": sigma, "which": which, "v0": v0, "ncv": ncv, "maxiter": maxiter}
    settings |= {"tol": tol, "Minv": Minv, "OPinv": OPinv, "OPpart": OPpart}
    settings |= _drawing("eigs", rng)
    return _found("eigs", A, M, bool(return_eigenvectors), settings)


# --- singular values ------------------------------------------------------------------------------


class _Singular:
    """`svds` with its settings: triplets as pairs of [[0, A], [A^H, 0]]."""

    name, hermitian = "svds", True

    def __init__(self, rows: int, settings: dict[str, Any]) -> None:
        self.rows = rows
        self.settings = settings

    def __repr__(self) -> str:
        return f"<svds, k={self.settings['k']}>"

    def pairs(self, matrix: Any, mass: Any) -> tuple[Any, Any]:
        """Singular values, and left above right vectors."""
        block = matrix.tocsr()[: self.rows, self.rows :]
        settings = dict(self.settings)
        if settings["v0"] is None and settings["solver"] == "arpack":
            settings["v0"] = _start(min(block.shape), block.dtype)
        elif settings["v0"] is None:
            settings["random_state"] = np.random.default_rng(0)
        u, s, vh = scipy_linalg.svds(block, **settings)
        return s, np.concatenate([u, np.conj(vh.T)]) * np.sqrt(0.5)


def svds(
    A: Any,
    k: int = 6,
    ncv: int | None = None,
    tol: float = 0,
    which: str = "LM",
    v0: Any = None,
    maxiter: int | None = None,
    return_singular_vectors: Any = True,
    solver: str = "arpack",
    rng: Any = None,
    options: dict[str, Any] | None = None,
    *,
    random_state: Any = None,
) -> Any:
    """Some singular values, and vectors, of a sparse matrix.

    Parameters
    ----------
    A : sparse array, dense array, Tensor, or for constants an operator, shape (m, n)
        The gradient has A's pattern.
    k, ncv, tol, v0, maxiter : as of `eigsh`
    which : {"LM", "SM"}
    return_singular_vectors : bool, "u" or "vh"
        False gives the values alone; "u" and "vh" give None in the place of the others.
    solver : {"arpack", "lobpcg", "propack"}
    rng, random_state : optional
        For plain arrays, what draws where the iteration begins.
    options : dict, optional

    Returns
    -------
    s, or (u, s, vh) : arrays or Tensors, shapes (k,), (m, k) and (k, n)

    Raises
    ------
    TypeError
        A is an operator that computes with Tensors, or what must be a constant is a Tensor.
    LinAlgError, ValueError
        A is no matrix, or k is not in range; in the derivative of a vector whose singular value is
        zero or multiple, the system is singular.

    Notes
    -----
    Triplets are eigenpairs of [[0, A], [A^H, 0]] (Golub and Van Loan 2013, section 8.6.1), whose
    derivative they have: conditions are not squared. Complex vectors turn together as little as
    possible.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.sparse import csr_array
    >>> A = csr_array(np.array([[0.0, 3.0, 0.0], [4.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> loss = lambda A: svds(A, k=1, return_singular_vectors=False)[0]
    >>> ad.grad(loss)(A).data.round(6) + 0.0
    array([0., 1., 0.])
    """
    given = {"k": k, "ncv": ncv, "tol": tol, "which": which, "v0": v0, "maxiter": maxiter}
    settings: dict[str, Any] = {**given, "solver": solver, "options": options}
    _refuse("svds", {"v0": v0})
    wanted = return_singular_vectors
    if isinstance(A, LinearOperator):
        raise TypeError(
            "svds: A is an operator that computes with Tensors; it takes sparse and dense "
            "matrices, or for constants an operator of SciPy's; eigsh takes A.H @ A"
        )
    if not _is_variable(A):
        drawn = {"random_state": random_state} if rng is None else {"random_state": rng}
        return scipy_linalg.svds(_plain(A), return_singular_vectors=wanted, **settings, **drawn)
    A = _rectangular(A)
    m, n = A.shape
    _count("svds", k, min(m, n))
    double = block_array([[None, A], [A.H, None]], format="csr")
    s, pairs = eigenpairs(
        double.data,
        zeros((1,), np.finfo(A.dtype).dtype),
        form=double.pattern,
        mass_form=None,
        method=_Singular(m, settings),
    )
    if wanted is False:
        return s
    u, vh = pairs[:m] * np.sqrt(2.0), np.conj(pairs[m:]).T * np.sqrt(2.0)
    return (None if wanted == "vh" else u), s, (None if wanted == "u" else vh)


def _rectangular(A: Any) -> Any:
    """A matrix of floats by its values; of a dense Tensor, all of them."""
    if not issparse(A):
        A = operand(A)
        shape = spec_of(A).shape
        if len(shape) != 2:
            raise np.linalg.LinAlgError(f"svds: needs a matrix, got shape {shape}")
        A = _everywhere(A)
    A = as_sparse(A).canonical()
    return A if A.dtype.kind in "fc" else A.astype(np.float64)
