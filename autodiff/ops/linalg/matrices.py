"""What the rules of linear algebra share: adjoints, triangles, guarded division, samples.

Rules of functions that are not holomorphic (anything with an adjoint in it) are written for the
conjugate of the cotangent, ``conj(g)``, which pairs with a tangent as ``Re tr(conj(g)^H t)``: that
is the pairing of the literature. For real matrices conjugation costs nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, largest
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Shape, Spec, spec_of
from autodiff.ops import elementwise as ew
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.samples import Sample, Sampler

__all__ = [
    "adjoint",
    "as_matrices",
    "batch_stack",
    "conj",
    "diagonal_of",
    "divided",
    "from_triangle",
    "hermitian",
    "identity",
    "is_zero",
    "require_square",
    "scaled_tolerance",
    "square_matrices",
    "stack_size",
    "triangle",
]


def conj(x: Any) -> Any:
    """Complex conjugate; a real array as it is."""
    return ew.conjugate.call(x) if x.dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """Conjugate transpose of matrices."""
    return mT(conj(x))


def identity(x: Any, dtype: Any = None) -> Any:
    """Identity matrix of the length of the last axis of `x`, of its dtype if none is given."""
    return as_array(np.eye(x.shape[-1], dtype=dtype or x.dtype), like=x)


def triangle(x: Any, uplo: str) -> Any:
    """Ones in a triangle, halves on the diagonal: keeps half of a Hermitian matrix like `x`."""
    n, dtype = x.shape[-1], _real_dtype(x.dtype)
    half = np.tri(n, dtype=dtype) - 0.5 * np.eye(n, dtype=dtype)
    return as_array(half if uplo == "L" else half.T, like=x)


def hermitian(x: Any, uplo: str) -> Any:
    """Hermitian matrix of which a LAPACK routine reads one triangle.

    The imaginary part of the diagonal is not read either.
    """
    half = x * triangle(x, uplo)
    return half + adjoint(half)


def from_triangle(bar: Any, uplo: str) -> Any:
    """Adjoint of `hermitian`: what a cotangent of the whole matrix means for the triangle read."""
    return triangle(bar, uplo) * (bar + adjoint(bar))


def diagonal_of(x: Any) -> Any:
    """Main diagonal of square matrices, as the last axis."""
    steps = np.arange(min(x.shape[-2:]))
    return x[..., steps, steps]


def is_zero(cotangent: Any) -> bool:
    """Whether a cotangent is known to be zero: the sweep fills in those of unused outputs."""
    return not isinstance(cotangent, Box) and not np.any(cotangent)


def _real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.finfo(dtype).dtype


def scaled_tolerance(n: int, dtype: np.dtype[Any]) -> float:
    """How close computed numbers must be, relative to the largest, to count as equal."""
    return float(8 * max(n, 1) * np.finfo(dtype).eps)


def divided(numerator: Any, gap: Any, size: Any, evidence: Any, tolerance: float) -> Any:
    """numerator / gap; where the gap vanishes 0 if the evidence does, too, and NaN if it does not.

    Parameters
    ----------
    numerator, gap : of shapes that broadcast
    size : largest of the numbers whose difference is the gap, broadcasting with it.
    evidence : magnitudes, of the numerator's shape: what makes a result depend on how a basis was
        chosen among vectors that belong together.
    tolerance : see `scaled_tolerance`.

    Notes
    -----
    A vanishing numerator over a vanishing gap may have any limit, so it is no evidence: for a
    matrix function V f(w) V^H the numerator is f(w_i) - f(w_j), and the limit f'(w).
    """
    size, found = ew.stop_gradient.call(size), ew.stop_gradient.call(evidence)
    vanishing = np.abs(ew.stop_gradient.call(gap)) <= tolerance * size
    most = largest(found, (-2, -1), True)
    negligible = found <= tolerance * most
    one = np.where(vanishing, np.nan, 1.0)
    quotient = numerator * (one / np.where(vanishing, 1.0, gap))
    return np.where(np.logical_and(vanishing, negligible), 0.0, quotient)


def require_square(function: str, x: Any) -> None:
    """Raise for what is not a stack of square matrices.

    Raises
    ------
    LinAlgError
        Names the function and the shape.
    """
    shape = spec_of(x).shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise np.linalg.LinAlgError(
            f"{function}: needs square matrices (the last two axes of equal length), got shape "
            f"{shape}"
        )


def as_matrices(function: str, x: Any) -> Any:
    """Check for at least two axes; integers and lists become float arrays.

    Raises
    ------
    LinAlgError
        Names the function and the shape.
    """
    if not isinstance(x, Box):
        x = as_array(x)
        if x.dtype.kind in "iub":
            x = x.astype(np.float64)
    if len(x.shape) < 2:
        raise np.linalg.LinAlgError(
            f"{function}: needs a matrix or a stack of matrices, got shape {tuple(x.shape)}"
        )
    return x


def stack_size(spec: Spec) -> int:
    """How many matrices a stack holds."""
    size = 1
    for length in spec.shape[:-2]:
        size *= length
    return size


def batch_stack(primitive: Any) -> Any:
    """Batch a function of one stack of matrices: the batch axis is one more axis of the stack."""

    def batch(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
        found: Primitive = primitive()
        return found.call(*inputs, **params)

    return batch


def square_matrices(
    *shapes: Shape, kind: str = "general", params: Sequence[dict[str, Any]] = ({},)
) -> Sampler:
    """Sample well-conditioned square matrices, with eigenvalues and singular values apart.

    Parameters
    ----------
    kind : "general", or "definite" for symmetric positive definite ones.
    """

    def draw(rng: np.random.Generator) -> list[Sample]:
        samples = []
        for shape in shapes:
            for chosen in params:
                noise = rng.uniform(-1.0, 1.0, shape)
                ladder = np.diag(1.0 + 1.5 * np.arange(shape[-1]))
                x = ladder + 0.3 * noise
                if kind == "definite":
                    x = 0.5 * (x + mT(x))
                samples.append(Sample((x,), dict(chosen)))
        return samples

    return draw
