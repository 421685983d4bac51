"""Krylov solvers, differentiated through the equation that they solve.

With A x = b the cotangents are bbar = A^-T xbar, by the same method on the transposed matrix, and
Abar = -bbar x^T at the places of A's entries. Iterations are not differentiated, so a derivative
is as accurate as its two solves are.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse.linalg

from autodiff.core.declare import primitive
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.errors import ConvergenceWarning
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import refuse_half
from autodiff.scipy.sparse.arrays import SparseArray
from autodiff.scipy.sparse.linalg.interface import LinearOperator, aslinearoperator
from autodiff.scipy.sparse.linalg.solves import right_hand_side, square_system
from autodiff.scipy.sparse.operators import as_sparse, issparse
from autodiff.scipy.sparse.patterns import Pattern
from autodiff.scipy.sparse.products import sampled_matmul, sparse_matmul
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.transforms.implicit.solution import Solution

__all__ = [
    "bicgstab",
    "cg",
    "gmres",
    "krylov_solve",
    "minres",
    "solved_by",
]

scipy_linalg: Any = scipy.sparse.linalg

_BREAK_DOWN = ("bicg", "bicgstab", "cgs", "qmr", "tfqmr")
"""Methods that may stop at a right-hand side which others solve for."""
_OF_GMRES = ("rtol", "atol", "maxiter", "M")


class Method:
    """A Krylov method with its settings, and the report of its last run.

    Parameters
    ----------
    name : str
        Of SciPy's function.
    keywords : dict
        What every solve is done with.
    first : dict
        What only the solve of the program's own equation is: where to begin, whom to call.
    """

    derives = False

    def __init__(self, name: str, keywords: dict[str, Any], first: dict[str, Any]) -> None:
        self.name = name
        self.keywords = keywords
        self.first = first
        self.info = 0

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def solved(self, matrix: Any, b: Any) -> Any:
        """Solution for one right-hand side."""
        x, self.info = getattr(scipy_linalg, self.name)(matrix, b, **self.keywords, **self.first)
        if self.derives and self.info != 0:
            if self.name in _BREAK_DOWN:
                # They break down for some right-hand sides, unit vectors among them
                keywords = {k: v for k, v in self.keywords.items() if k in _OF_GMRES}
                x, self.info = scipy_linalg.gmres(matrix, b, **keywords)
            if self.info != 0:
                warnings.warn(
                    f"{self.name}: no convergence (info {self.info}) in the linear system of the "
                    "derivative; allow more iterations, or precondition",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        return x

    def derived(self, transposed: bool = False) -> Method:
        """The method for tangents or cotangents, which say so where there was no convergence."""
        if self.info != 0:
            warnings.warn(
                f"{self.name}: no convergence (info {self.info}): the derivative is that of a "
                "point which does not solve the equation; allow more iterations, or precondition",
                ConvergenceWarning,
                stacklevel=2,
            )
        keywords = dict(self.keywords)
        if transposed and self.name == "qmr":
            left, right = keywords["M1"], keywords["M2"]
            keywords["M1"], keywords["M2"] = (m if m is None else m.T for m in (right, left))
        elif transposed and keywords.get("M") is not None:
            keywords["M"] = keywords["M"].T
        name = self.name
        if name == "tfqmr":
            # With a preconditioner SciPy's may stop too early, and say that it converged
            name, keywords = "gmres", {k: v for k, v in keywords.items() if k in _OF_GMRES}
        made = Method(name, keywords, {})
        made.derives = True
        return made


def _samples(rng: np.random.Generator) -> list[Sample]:
    dense = np.diag([4.0, 5.0, 6.0]) + np.diag([1.0, -1.0], 1) + np.diag([1.0, -1.0], -1)
    matrix: Any = scipy.sparse.csr_array(dense)
    method = Method("gmres", {"rtol": 1e-6, "atol": 0.0}, {})
    form = Pattern.of(matrix)
    data = matrix.data + rng.uniform(-0.3, 0.3, form.nnz)
    return [Sample((data, rng.uniform(0.5, 1.0, 3)), {"form": form, "method": method})]


def _batch(batched: Sequence[bool], inputs: Any, params: dict[str, Any]) -> Any:
    return loop_over_batch(lambda d, b: krylov_solve(d, b, **params), batched, inputs)


@primitive(
    vjp_data=lambda g, data, out, form, method: (
        -sampled_matmul(
            krylov_solve(data, g, form=form.transposed, method=method.derived(transposed=True)),
            out,
            form=form,
        )
    ),
    vjp_b=lambda g, data, form, method: krylov_solve(
        data, g, form=form.transposed, method=method.derived(transposed=True)
    ),
    jvp_data=lambda t, data, out, form, method: (
        -krylov_solve(data, sparse_matmul(t, out, form=form), form=form, method=method.derived())
    ),
    jvp_b=lambda t, data, form, method: krylov_solve(data, t, form=form, method=method.derived()),
    batch=_batch,
    cost=lambda data_spec, b_spec: 20 * (data_spec.size + 5 * b_spec.size),
    label="A⁻¹b",
    sample=_samples,
)
def krylov_solve(data: Any, b: Any, *, form: Pattern, method: Method) -> Any:
    """Solution of A x = b by a Krylov method, for a sparse matrix given by its values."""
    refuse_half(method.name, data, b)
    x = method.solved(form.array(data), np.ascontiguousarray(b))
    return x.astype(np.result_type(data, b), copy=False)


def solved_by(
    name: str,
    A: Any,
    b: Any,
    x0: Any,
    preconditioners: dict[str, Any],
    first: dict[str, Any],
    **keywords: Any,
) -> Any:
    """Check the inputs of a method, and run it; `first` is for the program's own solve alone."""
    given = isinstance(A, (LinearOperator, scipy_linalg.LinearOperator))
    if not given and not issparse(A) and not hasattr(A, "__array__"):
        raise TypeError(
            f"{name}: A is a {type(A).__name__}; it takes a sparse or dense matrix, or a "
            "LinearOperator(shape, matvec)"
        )
    A = aslinearoperator(A) if given else square_system(name, A)
    if A.shape[0] != A.shape[1]:
        raise np.linalg.LinAlgError(f"{name}: needs a square operator, got shape {A.shape}")
    b = right_hand_side(name, b, A.shape[0])
    if spec_of(b).ndim != 1:
        if spec_of(b).shape[1] != 1:
            raise ValueError(f"{name}: takes one right-hand side, got shape {spec_of(b).shape}")
        b = b[:, 0]
    refuse_derivative(name, x0=x0)
    if isinstance(x0, Box):
        raise TypeError(f"{name}: x0 is a Tensor; pass an array, which is where to begin")
    constants = {key: _plain(name, M, key) for key, M in preconditioners.items()}
    if name == "qmr":
        constants = {
            key: M if M is None else scipy_linalg.aslinearoperator(M)
            for key, M in constants.items()
        }
    method = Method(name, {**keywords, **constants}, {"x0": x0, **first})
    if isinstance(A, LinearOperator):
        return _solve_operator(A, b, method)
    x = krylov_solve.call(A.data, b, form=A.pattern, method=method)
    return x, method.info


def _solve_operator(A: LinearOperator, b: Any, method: Method) -> tuple[Any, int]:
    """Solve with an operator, whose functions may use Tensors from outside."""
    shift = method.keywords.get("shift", 0.0)

    def solver(b: Any) -> tuple[Any, Any, tuple[()]]:
        dtype = np.result_type(A.dtype, np.float32)
        operator = scipy_linalg.LinearOperator(A.shape, A.matvec, A.rmatvec, dtype=dtype)
        return method.solved(operator, np.ascontiguousarray(b)), method.info, ()

    def residual(x: Any, marks: Any, b: Any) -> Any:
        product = A.matvec(x)
        return (product - shift * x if shift else product) - b

    def derived(transposed: bool, product: Any, g: Any) -> Any:
        own = method.derived()
        own.keywords.pop("shift", None)
        if own.name in ("bicg", "qmr"):  # which take products with the adjoint as well
            own.name = "gmres"
            own.keywords = {k: v for k, v in own.keywords.items() if k in _OF_GMRES}
        if transposed and own.keywords.get("M") is not None:
            own.keywords["M"] = scipy_linalg.aslinearoperator(own.keywords["M"]).H
        if len(g) == A.shape[0]:
            operator = scipy_linalg.LinearOperator(A.shape, matvec=product, dtype=g.dtype)
            return own.solved(operator, g).astype(g.dtype, copy=False)
        # Complex unknowns are real parts, then imaginary parts: transposing is the adjoint
        dtype = np.result_type(g, np.complex64)
        operator = scipy_linalg.LinearOperator(
            A.shape, matvec=lambda w: _complex(product(_parts(w, g.dtype))), dtype=dtype
        )
        return _parts(own.solved(operator, _complex(g)), g.dtype)

    solution = Solution(
        method.name,
        solver,
        residual,
        (b,),
        linear=(functools.partial(derived, False), functools.partial(derived, True)),
        symmetric=method.name in ("cg", "minres"),
    )
    return solution.evaluate()[0], method.info


def _complex(v: Any) -> Any:
    half = len(v) // 2
    return v[:half] + 1j * v[half:]


def _parts(w: Any, dtype: Any) -> Any:
    w = np.reshape(w, (-1,))
    return np.concatenate([w.real, w.imag]).astype(dtype, copy=False)


def _plain(name: str, M: Any, keyword: str = "M") -> Any:
    """A preconditioner as SciPy takes it: it does not change the solution, so it is a constant."""
    if isinstance(M, Box):
        raise TypeError(
            f"{name}: {keyword} is a Tensor; the solution does not depend on it: pass "
            f"{keyword}.data"
        )
    if isinstance(M, SparseArray):
        return as_sparse(M).detach().toscipy()
    if isinstance(M, LinearOperator):
        return scipy_linalg.LinearOperator(M.shape, M.matvec, M.rmatvec, dtype=M.dtype)
    return M


def cg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    callback: Any = None,
) -> tuple[Any, int]:
    """Solve A x = b by conjugate gradients, for a Hermitian positive definite matrix.

    Parameters
    ----------
    A : sparse array, dense array or `LinearOperator`, shape (n, n)
        Its values may be a Tensor; the gradient has A's pattern. An operator's functions may use
        Tensors from outside, by which the solution is differentiated too.
    b : array or Tensor, shape (n,)
    x0 : array, optional
        Where to begin; the solution does not depend on it.
    rtol, atol : float
        Converged when the residual is at most ``max(rtol * norm(b), atol)``; cotangents and
        tangents are solved for to the same tolerance.
    maxiter : int, optional
    M : matrix or `scipy.sparse.linalg.LinearOperator`, optional
        Preconditioner, a constant. Its transpose serves for cotangents.
    callback : callable, optional
        Called with the iterates of this solve, not with those of its derivatives.

    Returns
    -------
    x : array or Tensor, shape (n,)
    info : int
        0 where it converged, else the number of iterations. Differentiating a solve that did not
        converge warns. In a recorded or compiled function, that of the recording.

    Raises
    ------
    TypeError
        A is no matrix and no operator, or x0 or M a Tensor.
    LinAlgError, ValueError
        The matrix is not square, or the right-hand side does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.sparse import csr_array
    >>> A, b = csr_array(np.array([[2.0, 1.0], [1.0, 3.0]])), np.array([4.0, 7.0])
    >>> cg(A, b, rtol=1e-12)
    (array([1., 2.]), 0)
    >>> ad.grad(lambda b: np.sum(cg(A, b, rtol=1e-12)[0]))(b).round(6)
    array([0.4, 0.2])
    """
    tolerances = {"rtol": rtol, "atol": atol, "maxiter": maxiter}
    found: tuple[Any, int] = solved_by(
        "cg", A, b, x0, {"M": M}, {"callback": callback}, **tolerances
    )
    return found


def bicgstab(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    callback: Any = None,
) -> tuple[Any, int]:
    """Solve A x = b by stabilised biconjugate gradients; parameters and results as for `cg`.

    Examples
    --------
    >>> import numpy as np
    >>> bicgstab(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]), rtol=1e-12)[1]
    0
    """
    tolerances = {"rtol": rtol, "atol": atol, "maxiter": maxiter}
    found: tuple[Any, int] = solved_by(
        "bicgstab", A, b, x0, {"M": M}, {"callback": callback}, **tolerances
    )
    return found


def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    restart: int | None = None,
    maxiter: int | None = None,
    M: Any = None,
    callback: Any = None,
    callback_type: str | None = None,
) -> tuple[Any, int]:
    """Solve A x = b by generalised minimal residuals; parameters and results as for `cg`.

    `restart` is the number of iterations between restarts, `callback_type` what the callback gets,
    as for SciPy's function.

    Examples
    --------
    >>> import numpy as np
    >>> gmres(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0]), rtol=1e-12)[1]
    0
    """
    keywords = {"rtol": rtol, "atol": atol, "maxiter": maxiter, "restart": restart}
    if callback is not None:
        keywords["callback_type"] = callback_type  # type: ignore[assignment]
    found: tuple[Any, int] = solved_by(
        "gmres", A, b, x0, {"M": M}, {"callback": callback}, **keywords
    )
    return found


def minres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    rtol: float = 1e-5,
    shift: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    callback: Any = None,
    show: bool = False,
    check: bool = False,
) -> tuple[Any, int]:
    """Solve (A - shift I) x = b by minimal residuals, for a symmetric matrix; as `cg`.

    Examples
    --------
    >>> import numpy as np
    >>> minres(np.array([[2.0, 1.0], [1.0, -3.0]]), np.array([4.0, -5.0]), rtol=1e-12)[1]
    0
    """
    refuse_derivative("minres", shift=shift)
    keywords = {"rtol": rtol, "shift": shift, "maxiter": maxiter, "show": show, "check": check}
    found: tuple[Any, int] = solved_by(
        "minres", A, b, x0, {"M": M}, {"callback": callback}, **keywords
    )
    return found
