"""Equations for matrices: Sylvester, Lyapunov, Stein and Riccati.

Derivatives come from the equations, by the implicit function theorem. Riccati's (Laub,
A. J. 1979, IEEE Trans. Automat. Control 24, 913-921): with the gain K, the equation that is linear
in the change of the solution is Lyapunov's (or Stein's) with the closed loop A - B K.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.declare import primitive
from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.ops import structures
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import adjoint, as_matrices, conj, require_square, stack_size
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import refuse_half, same_precision, square

__all__ = [
    "solve_continuous_are",
    "solve_continuous_lyapunov",
    "solve_discrete_are",
    "solve_discrete_lyapunov",
    "solve_lyapunov",
    "solve_sylvester",
    "sylvester",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


def _sylvester_samples(rng: np.random.Generator) -> list[Sample]:
    def one(m: int, n: int) -> Sample:
        a = np.diag(np.arange(1.0, m + 1)) + 0.3 * rng.uniform(-1, 1, (m, m))
        b = np.diag(np.arange(2.0, n + 2)) + 0.3 * rng.uniform(-1, 1, (n, n))
        return Sample((a, b, rng.uniform(-1, 1, (m, n))), {})

    stack = [np.stack(parts) for parts in zip(one(2, 2).inputs, one(2, 2).inputs, strict=True)]
    return [one(3, 2), one(2, 2), Sample(tuple(stack), {})]


def _batch_sylvester(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    if all(batched):
        return sylvester(*inputs)
    return loop_over_batch(lambda a, b, q: sylvester(a, b, q), batched, inputs)


@primitive(
    name="solve_sylvester",
    vjp_a=lambda g, a, b, out: -(sylvester(mT(a), mT(b), g) @ mT(out)),
    vjp_b=lambda g, a, b, out: -(mT(out) @ sylvester(mT(a), mT(b), g)),
    vjp_q=lambda g, a, b: sylvester(mT(a), mT(b), g),
    jvp_a=lambda t, a, b, out: -sylvester(a, b, t @ out),
    jvp_b=lambda t, a, b, out: -sylvester(a, b, out @ t),
    jvp_q=lambda t, a, b: sylvester(a, b, t),
    batch=_batch_sylvester,
    cost=lambda a_spec, b_spec: (
        25 * (a_spec.shape[-1] ** 3 + b_spec.shape[-1] ** 3) * stack_size(a_spec)
    ),
    sample=_sylvester_samples,
    pattern=structures.stacks,
)
def sylvester(a: Any, b: Any, q: Any) -> Any:
    """Solution of a x + x b = q for square matrices a and b, or for stacks of one shape."""
    refuse_half("solve_sylvester", a, b, q)
    out = np.empty(q.shape, np.result_type(a, b, q))
    for place in np.ndindex(*q.shape[:-2]):
        out[place] = scipy_linalg.solve_sylvester(a[place], b[place], q[place])
    return out


def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Solve a x + x b = q, Sylvester's equation.

    Raises
    ------
    LinAlgError
        `a` or `b` is not square, or they have eigenvalues that sum to 0.
    ValueError
        The shape of `q` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> solve_sylvester(np.eye(2), np.eye(2), np.array([[2.0, 4.0], [6.0, 8.0]]))
    array([[1., 2.],
           [3., 4.]])
    """
    a, b, q = (as_matrices("solve_sylvester", x) for x in operands(a, b, q))
    require_square("solve_sylvester", a)
    require_square("solve_sylvester", b)
    shapes = spec_of(a).shape, spec_of(b).shape
    wanted = (*shapes[0][:-1], shapes[1][-1])
    if spec_of(q).shape != wanted or shapes[0][:-2] != shapes[1][:-2]:
        raise ValueError(
            f"solve_sylvester: q has shape {spec_of(q).shape}; for a of shape {shapes[0]} and b of "
            f"shape {shapes[1]}, stacks of one shape, it must be {wanted}"
        )
    return sylvester(a, b, q)


# --- Lyapunov and Stein ---------------------------------------------------------------------------


def _with_right_side(function: str, a: Any, q: Any) -> tuple[Any, Any]:
    a, q = operands(a, q)
    a, q = square(function, a), square(function, q)
    if spec_of(a).shape != spec_of(q).shape:
        raise ValueError(
            f"{function}: a has shape {spec_of(a).shape} and q {spec_of(q).shape}; they must "
            "be the same"
        )
    return a, q


def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """Solve a x + x a^H = q, Lyapunov's equation.

    Parameters
    ----------
    a, q : arrays or Tensors, shape (..., n, n)

    Raises
    ------
    LinAlgError
        A matrix is not square, or a and -a^H have an eigenvalue in common.
    ValueError
        The shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> solve_continuous_lyapunov(np.eye(2), np.array([[2.0, 4.0], [6.0, 8.0]]))
    array([[1., 2.],
           [3., 4.]])
    """
    a, q = _with_right_side("solve_continuous_lyapunov", a, q)
    return sylvester(a, adjoint(a), q)


solve_lyapunov = solve_continuous_lyapunov


def _stein_vjp_a(g: Any, a: Any, out: Any, method: str | None) -> Any:
    y = stein(adjoint(a), conj(g), method=method)
    return conj(y @ a @ adjoint(out) + adjoint(y) @ a @ out)


def _stein_jvp_a(t: Any, a: Any, out: Any, method: str | None) -> Any:
    return stein(a, t @ out @ adjoint(a) + a @ out @ adjoint(t), method=method)


def _stein_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((0.4 * rng.uniform(-1, 1, (n, n)), rng.uniform(-1, 1, (n, n))), {"method": method})
        for n, method in ((3, "direct"), (2, "bilinear"))
    ]


@primitive(
    name="solve_stein",
    vjp_a=_stein_vjp_a,
    vjp_q=lambda g, a, method: conj(stein(adjoint(a), conj(g), method=method)),
    jvp_a=_stein_jvp_a,
    jvp_q=lambda t, a, method: stein(a, t, method=method),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda a, q: stein(a, q, **params), batched, inputs
    ),
    cost=lambda a_spec: 50 * stack_size(a_spec) * a_spec.shape[-1] ** 3,
    sample=_stein_samples,
)
def stein(a: Any, q: Any, *, method: str | None) -> Any:
    """Solution of a x a^H - x + q = 0, for one matrix."""
    refuse_half("solve_discrete_lyapunov", a, q)
    if a.size == 0:
        return np.zeros(q.shape, np.result_type(a, q))
    return same_precision(scipy_linalg.solve_discrete_lyapunov(a, q, method), a, q)


def solve_discrete_lyapunov(a: Any, q: Any, method: str | None = None) -> Any:
    """Solve a x a^H - x + q = 0, Stein's equation.

    Parameters
    ----------
    a, q : arrays or Tensors, shape (n, n)
    method : {"direct", "bilinear"}, optional
        A system of n² equations, the default for n below 10, or Lyapunov's equation.

    Raises
    ------
    LinAlgError
        A matrix is not square, or the equation is singular.
    ValueError
        The shapes differ, or there is no such method.

    Examples
    --------
    >>> import numpy as np
    >>> np.round(solve_discrete_lyapunov(0.5 * np.eye(2), np.eye(2)), 12)
    array([[1.33333333, 0.        ],
           [0.        , 1.33333333]])
    """
    a, q = _with_right_side("solve_discrete_lyapunov", a, q)
    if method is None:
        method = "direct" if spec_of(a).shape[-1] < 10 else "bilinear"
    method = method.lower()
    if method not in ("direct", "bilinear"):
        raise ValueError(
            f"solve_discrete_lyapunov: method must be 'direct' or 'bilinear', got {method!r}"
        )
    if len(spec_of(a).shape) != 2:
        raise ValueError(f"solve_discrete_lyapunov: needs one matrix, got {spec_of(a).shape}")
    return stein(a, q, method=method)


# --- Riccati --------------------------------------------------------------------------------------


def _gain(x: Any, b: Any, r: Any, s: Any, past: Any, is_discrete: bool) -> Any:
    """The gain K of the feedback that the solution stands for; `past` is x e, or x a."""
    inner = r + adjoint(b) @ x @ b if is_discrete else r
    return np.linalg.solve(inner, adjoint(b) @ past + adjoint(s))


def _riccati_cotangents(g: Any, out: Any, a: Any, b: Any, r: Any, e: Any, s: Any, kind: str) -> Any:
    """Cotangents of all coefficients.

    The solution is Hermitian, and so is all that its cotangent can see. With y the solution of the
    adjoint linear equation and the closed loop c = a - b k, the coefficients' cotangents follow
    from the derivative of the residual by each.
    """
    is_discrete = kind == "discrete"
    bar = conj(g)
    bar = 0.5 * (bar + adjoint(bar))
    gain = _gain(out, b, r, s, out @ (a if is_discrete else e), is_discrete)
    closed = a - b @ gain
    loop = np.linalg.solve(e, closed)
    right = np.linalg.solve(e, adjoint(np.linalg.solve(e, bar)))
    right = adjoint(right)
    if is_discrete:
        y = -stein(loop, right, method="bilinear" if a.shape[-1] > 9 else "direct")
        weight = out @ closed @ y
        by_e = 2 * (out @ e @ y)
    else:
        y = sylvester(loop, adjoint(loop), right)
        weight = out @ e @ y
        by_e = -2 * (out @ closed @ y)
    along = y @ adjoint(gain)
    cotangents = {
        "a": -2 * weight,
        "b": 2 * (weight @ adjoint(gain)),
        "q": -y,
        "r": -(gain @ along),
        "e": by_e,
        "s": 2 * along,
    }
    return {name: conj(value) for name, value in cotangents.items()}


def _riccati_rule(name: str, kind: str) -> Any:
    def rule(g: Any, out: Any, a: Any, b: Any, r: Any, e: Any, s: Any) -> Any:
        return _riccati_cotangents(g, out, a, b, r, e, s, kind)[name]

    return rule


def _riccati_samples(rng: np.random.Generator) -> list[Sample]:
    def definite(n: int) -> Any:
        x = np.eye(n) + 0.2 * rng.uniform(-1, 1, (n, n))
        return x @ x.T

    a, b = 0.5 * rng.uniform(-1, 1, (3, 3)), rng.uniform(-1, 1, (3, 2))
    e = np.eye(3) + 0.1 * rng.uniform(-1, 1, (3, 3))
    s = 0.1 * rng.uniform(-1, 1, (3, 2))
    return [Sample((a, b, definite(3), definite(2), e, s), {"balanced": True})]


def _declare_riccati(kind: str) -> Any:
    solver = getattr(scipy_linalg, f"solve_{kind}_are")

    def forward(
        a: Any, b: Any, q: Any, r: Any, e: Any, s: Any, *, balanced: bool, has_e: bool = True
    ) -> Any:
        refuse_half(f"solve_{kind}_are", a, b, q, r, e, s)
        q, r = (0.5 * (x + x.conj().T) for x in (q, r))
        # With e, what SciPy balances does not solve the equation (seen in 1.17).
        x = solver(a, b, q, r, e if has_e else None, s, balanced=balanced and not has_e)
        return same_precision(x, a, b, q, r, e, s)

    forward.__doc__ = f"Stabilising solution of the {kind} algebraic Riccati equation."
    declared = primitive(
        name=f"solve_{kind}_are",
        **{f"vjp_{name}": _riccati_rule(name, kind) for name in ("a", "b", "q", "r", "e", "s")},
        batch=lambda batched, inputs, params: loop_over_batch(
            lambda *parts: declared(*parts, **params), batched, inputs
        ),
        cost=lambda a_spec: 200 * a_spec.shape[-1] ** 3,
        sample=_riccati_samples,
    )(forward)
    return declared


_continuous_are = _declare_riccati("continuous")
_discrete_are = _declare_riccati("discrete")


def _are(kind: str, a: Any, b: Any, q: Any, r: Any, e: Any, s: Any, balanced: bool) -> Any:
    function = f"solve_{kind}_are"
    a, b, q, r, *rest = operands(a, b, q, r, *(x for x in (e, s) if x is not None))
    a, b, q, r = (as_matrices(function, np.atleast_2d(x)) for x in (a, b, q, r))
    shapes = {name: spec_of(x).shape for name, x in zip("abqr", (a, b, q, r), strict=True)}
    n, k = shapes["a"][-1], shapes["b"][-1]
    e_given = rest.pop(0) if e is not None else None
    s_given = rest.pop(0) if s is not None else None
    e = np.eye(n) if e_given is None else as_matrices(function, np.atleast_2d(e_given))
    s = np.zeros((n, k)) if s_given is None else as_matrices(function, np.atleast_2d(s_given))
    # Of no higher precision than the others, which they must not raise.
    e, s = (
        x if given is not None else x.astype(np.finfo(spec_of(a).dtype).dtype)
        for x, given in ((e, e_given), (s, s_given))
    )
    shapes.update(e=spec_of(e).shape, s=spec_of(s).shape)
    wanted = {"a": (n, n), "b": (n, k), "q": (n, n), "r": (k, k), "e": (n, n), "s": (n, k)}
    for name, shape in wanted.items():
        if shapes[name] != shape:
            raise ValueError(f"{function}: {name} has shape {shapes[name]}; it must be {shape}")
    for name, x in (("q", q), ("r", r)):
        plain = concrete(x)
        size = np.abs(plain).sum(axis=-2).max(initial=0.0)
        gap = np.abs(plain - np.swapaxes(np.conj(plain), -1, -2)).sum(axis=-2).max(initial=0.0)
        if gap > size * np.spacing(1.0) * 100:
            raise ValueError(f"{function}: {name} must be symmetric (or Hermitian)")
    solver = _discrete_are if kind == "discrete" else _continuous_are
    return solver(a, b, q, r, e, s, balanced=bool(balanced), has_e=e_given is not None)


def solve_continuous_are(
    a: Any, b: Any, q: Any, r: Any, e: Any = None, s: Any = None, balanced: bool = True
) -> Any:
    """Solve a^H x e + e^H x a - (e^H x b + s) r^-1 (b^H x e + s^H) + q = 0 (Riccati).

    Parameters
    ----------
    a : array or Tensor, shape (n, n)
    b : array or Tensor, shape (n, k)
    q : array or Tensor, shape (n, n)
        Symmetric or Hermitian; so is its gradient.
    r : array or Tensor, shape (k, k)
        Likewise, and regular.
    e : array or Tensor, shape (n, n), optional
        Regular; the identity if left out.
    s : array or Tensor, shape (n, k), optional
    balanced : bool
        Whether SciPy balances the matrix pencil first; with `e` it never does here, because its
        balanced solution then does not solve the equation.

    Returns
    -------
    array or Tensor, shape (n, n)
        The stabilising solution.

    Raises
    ------
    LinAlgError
        There is no stabilising solution.
    ValueError
        Shapes do not fit, or q or r is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def solution(q):
    ...     return solve_continuous_are([[0.0]], [[1.0]], q, [[1.0]])[0, 0]
    >>> solution(np.array([[4.0]]))
    np.float64(2.0)
    >>> ad.grad(solution)(np.array([[4.0]]))
    array([[0.25]])
    """
    return _are("continuous", a, b, q, r, e, s, balanced)


def solve_discrete_are(
    a: Any, b: Any, q: Any, r: Any, e: Any = None, s: Any = None, balanced: bool = True
) -> Any:
    """Solve the discrete Riccati equation.

    It is a^H x a - e^H x e - (a^H x b + s) (r + b^H x b)^-1 (b^H x a + s^H) + q = 0.

    Parameters
    ----------
    a, b, q, r, e, s, balanced : as of `solve_continuous_are`

    Returns
    -------
    array or Tensor, shape (n, n)
        The stabilising solution.

    Raises
    ------
    LinAlgError
        There is no stabilising solution.
    ValueError
        Shapes do not fit, or q or r is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> np.round(solve_discrete_are([[0.0]], [[1.0]], [[4.0]], [[1.0]]), 12)
    array([[4.]])
    """
    return _are("discrete", a, b, q, r, e, s, balanced)
