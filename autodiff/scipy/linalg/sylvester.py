"""Sylvester's equation."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.declare import primitive
from autodiff.core.parts import loop_over_batch
from autodiff.core.spec import spec_of
from autodiff.ops import structures
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import as_matrices, require_square, stack_size
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.inputs import refuse_half

__all__ = ["solve_sylvester", "sylvester"]

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
