"""Functions of matrices: exponential, logarithm, powers, sign, sines (Higham 2008)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from autodiff.core.declare import primitive
from autodiff.core.dispatch import Box
from autodiff.core.spec import Spec, spec_of
from autodiff.errors import NonDifferentiableError
from autodiff.ops import structures
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.linalg.contractions import mT
from autodiff.ops.linalg.matrices import batch_stack, square_matrices, stack_size
from autodiff.ops.operands import operands
from autodiff.ops.samples import Sample
from autodiff.scipy.linalg.equations import sylvester
from autodiff.scipy.linalg.inputs import (
    each_matrix,
    no_draw,
    refuse_half,
    require_finite,
    same_precision,
    square,
)

__all__ = [
    "coshm",
    "cosm",
    "expm",
    "expm_frechet",
    "fractional_matrix_power",
    "logm",
    "signm",
    "sinhm",
    "sinm",
    "sqrtm",
    "tanhm",
    "tanm",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_linalg: Any = scipy.linalg


def _off_diagonal(function: Any, a: Any, direction: Any) -> Any:
    """Derivative of a matrix function at `a` in a direction.

    It is the upper right block of f([[a, direction], [0, a]]) (Higham 2008, theorem 3.6).
    """
    n = a.shape[-1]
    top = np.concatenate([a, direction], axis=-1)
    bottom = np.concatenate([0.0 * a, a], axis=-1)
    return function(np.concatenate([top, bottom], axis=-2))[..., :n, n:]


def _matrix_cost(factor: int) -> Any:
    return lambda x_spec: factor * stack_size(x_spec) * x_spec.shape[-1] ** 3


@primitive(
    name="expm",
    vjp_x=lambda g, x: _off_diagonal(_expm, mT(x), g),
    jvp_x=lambda t, x: _off_diagonal(_expm, x, t),
    batch=batch_stack(lambda: _expm),
    cost=_matrix_cost(40),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
def _expm(x: Any) -> Any:
    """Exponential of square matrices."""
    refuse_half("expm", x)
    return same_precision(scipy_linalg.expm(x), x)


@primitive(
    name="logm",
    vjp_x=lambda g, x: _off_diagonal(_logm, mT(x), g),
    jvp_x=lambda t, x: _off_diagonal(_logm, x, t),
    batch=batch_stack(lambda: _logm),
    cost=_matrix_cost(80),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
@no_draw()
def _logm(x: Any) -> Any:
    """Principal logarithm of square matrices."""
    refuse_half("logm", x)
    # In double precision: in single, SciPy's own check of the result warns of its rounding.
    result = each_matrix(scipy_linalg.logm, x.astype(np.result_type(x, np.float64)))
    return result.astype(x.dtype, copy=False)


@primitive(
    name="sqrtm",
    vjp_x=lambda g, out: sylvester(mT(out), mT(out), g),
    jvp_x=lambda t, out: sylvester(out, out, t),
    batch=batch_stack(lambda: _sqrtm),
    cost=_matrix_cost(30),
    sample=square_matrices((2, 2), (2, 2, 2)),
    pattern=structures.stacks,
)
def _sqrtm(x: Any) -> Any:
    """Principal square root of square matrices; out dx + dx out = dA."""
    refuse_half("sqrtm", x)
    return each_matrix(scipy_linalg.sqrtm, x)


def expm(A: Any) -> Any:
    """Exponential of square matrices.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square.

    Examples
    --------
    >>> import numpy as np
    >>> expm(np.array([[0.0, 1.0], [0.0, 0.0]]))
    array([[1., 1.],
           [0., 1.]])
    """
    return _expm(square("expm", A))


@primitive(
    name="signm",
    vjp_x=lambda g, x, out: _signm_transposed(mT(x @ out), mT(out), g),
    jvp_x=lambda t, x, out: sylvester(x @ out, x @ out, t - out @ t @ out),
    batch=batch_stack(lambda: _signm),
    cost=_matrix_cost(60),
    sample=lambda rng: [
        Sample((np.diag([1.0, -2.5, 3.0])[:n, :n] + 0.3 * rng.uniform(-1, 1, (n, n)),), {})
        for n in (2, 3)
    ],
    pattern=structures.stacks,
)
def _signm(x: Any) -> Any:
    """Sign of square matrices: with N = A sign(A), N dS + dS N = dA - S dA S (Higham 2008, 5.3)."""
    refuse_half("signm", x)
    return each_matrix(scipy_linalg.signm, x)


def _signm_transposed(root: Any, sign: Any, g: Any) -> Any:
    inner = sylvester(root, root, g)
    return inner - sign @ inner @ sign


def _power_samples(rng: np.random.Generator) -> list[Sample]:
    draw = square_matrices((3, 3), (2, 2))(rng)
    return [
        Sample((sample.inputs[0], power), {})
        for sample, power in zip(draw, (0.3, -1.6), strict=True)
    ]


def _power_vjp_p(g: Any, x: Any, out: Any, p_spec: Spec) -> Any:
    total = np.sum(g * (_logm(x) @ out))
    return (total if p_spec.dtype.kind == "c" else np.real(total)).astype(p_spec.dtype)


@primitive(
    name="fractional_matrix_power",
    vjp_x=lambda g, x, p: _off_diagonal(lambda block: _power(block, p), mT(x), g),
    vjp_p=_power_vjp_p,
    jvp_x=lambda t, x, p: _off_diagonal(lambda block: _power(block, p), x, t),
    jvp_p=lambda t, x, out: t * (_logm(x) @ out),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda x, p: _power(x, p), batched, inputs
    ),
    cost=lambda x_spec: 100 * stack_size(x_spec) * x_spec.shape[-1] ** 3,
    sample=_power_samples,
)
@no_draw()
def _power(x: Any, p: Any) -> Any:
    """Power exp(p log A) of a square matrix."""
    refuse_half("fractional_matrix_power", x)
    if np.iscomplexobj(p):
        return same_precision(each_matrix(scipy_linalg.expm, p * _logm(x)), x, p)
    return each_matrix(lambda matrix: scipy_linalg.fractional_matrix_power(matrix, float(p)), x)


def logm(A: Any, disp: bool | None = None) -> Any:
    """Principal logarithm of square matrices without eigenvalues on the closed negative axis.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)
    disp : bool, optional
        Must not be False.

    Raises
    ------
    LinAlgError
        The matrices are not square.
    NonDifferentiableError
        ``disp=False``, which also asks for an estimate of the error.

    Examples
    --------
    >>> import numpy as np
    >>> logm(np.eye(2))
    array([[0., 0.],
           [0., 0.]])
    """
    _refuse_estimate("logm", disp)
    return _logm(square("logm", A))


def _refuse_estimate(function: str, disp: bool | None) -> None:
    if disp is not None and not disp:
        raise NonDifferentiableError(f"{function}: disp=False is not supported; leave it out")


def sqrtm(A: Any, disp: bool | None = None, blocksize: int | None = None) -> Any:
    """Principal square root of square matrices without eigenvalues on the closed negative axis.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)
    disp : bool, optional
        Must not be False.
    blocksize : int, optional
        Accepted as SciPy does, which ignores it in newer versions.

    Raises
    ------
    LinAlgError
        The matrices are not square.
    NonDifferentiableError
        ``disp=False``, which also asks for an estimate of the error.

    Examples
    --------
    >>> import numpy as np
    >>> sqrtm(4.0 * np.eye(2))
    array([[2., 0.],
           [0., 2.]])
    """
    _refuse_estimate("sqrtm", disp)
    return _sqrtm(square("sqrtm", A))


def signm(A: Any, disp: bool | None = None) -> Any:
    """Sign of square matrices without eigenvalues on the imaginary axis.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)
    disp : bool, optional
        Must not be False.

    Raises
    ------
    LinAlgError
        The matrices are not square.
    NonDifferentiableError
        ``disp=False``, which also asks for an estimate of the error.

    Examples
    --------
    >>> import numpy as np
    >>> signm(np.array([[2.0, 0.0], [0.0, -3.0]]))
    array([[ 1.,  0.],
           [ 0., -1.]])
    """
    _refuse_estimate("signm", disp)
    return _signm(square("signm", A))


def fractional_matrix_power(A: Any, t: Any) -> Any:
    """Power of a square matrix, differentiable in the exponent too.

    Parameters
    ----------
    A : array or Tensor, shape (n, n)
    t : number or Tensor
        A plain integer gives repeated products.

    Raises
    ------
    LinAlgError
        The matrix is not square.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> np.round(fractional_matrix_power(4.0 * np.eye(2), 0.5), 12)
    array([[2., 0.],
           [0., 2.]])
    >>> ad.grad(lambda t: fractional_matrix_power(4.0 * np.eye(2), t)[0, 0])(0.5)
    np.float64(2.772588722239781)
    """
    A, t = operands(A, t)
    A = square("fractional_matrix_power", A)
    if spec_of(t).shape or len(spec_of(A).shape) != 2:
        raise ValueError(
            "fractional_matrix_power: takes one matrix and one exponent, got shapes "
            f"{spec_of(A).shape} and {spec_of(t).shape}"
        )
    if not isinstance(t, Box) and t == int(t):
        return np.linalg.matrix_power(A, int(t))
    return _power(A, t)


def expm_frechet(
    A: Any,
    E: Any,
    method: str | None = None,
    compute_expm: bool = True,
    check_finite: bool = True,
) -> Any:
    """Exponential of a square matrix, and its derivative in a direction.

    Parameters
    ----------
    A, E : arrays or Tensors, shape (..., n, n)
    method : {"blockEnlarge", "SPS"}, optional
        Both give the same derivative; it is computed from the block matrix.
    compute_expm : bool
        False returns the derivative alone.
    check_finite : bool

    Raises
    ------
    LinAlgError
        A matrix is not square.
    ValueError
        The shapes differ, there is no such method, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> expm_frechet(np.zeros((1, 1)), np.array([[3.0]]), compute_expm=False)
    array([[3.]])
    """
    if method not in (None, "blockEnlarge", "SPS"):
        raise ValueError(f"expm_frechet: method must be 'blockEnlarge' or 'SPS', got {method!r}")
    A, E = (square("expm_frechet", x) for x in operands(A, E))
    if spec_of(A).shape != spec_of(E).shape:
        raise ValueError(
            f"expm_frechet: A has shape {spec_of(A).shape} and E {spec_of(E).shape}; they must be "
            "the same"
        )
    if check_finite:
        require_finite("expm_frechet", A, E)
    derivative = _off_diagonal(_expm, A, E)
    return (_expm(A), derivative) if compute_expm else derivative


def cosm(A: Any) -> Any:
    """Cosine of square matrices.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square.

    Examples
    --------
    >>> import numpy as np
    >>> cosm(np.zeros((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    A = square("cosm", A)
    turned = _expm(1j * A)
    if spec_of(A).dtype.kind != "c":
        return np.real(turned)
    return 0.5 * (turned + _expm(-1j * A))


def sinm(A: Any) -> Any:
    """Sine of square matrices.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square.

    Examples
    --------
    >>> import numpy as np
    >>> sinm(np.zeros((1, 1)))
    array([[0.]])
    """
    A = square("sinm", A)
    turned = _expm(1j * A)
    if spec_of(A).dtype.kind != "c":
        return np.imag(turned)
    return -0.5j * (turned - _expm(-1j * A))


def tanm(A: Any) -> Any:
    """Tangent of square matrices, the inverse of the cosine times the sine.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square, or the cosine is singular.

    Examples
    --------
    >>> import numpy as np
    >>> tanm(np.zeros((1, 1)))
    array([[0.]])
    """
    A = square("tanm", A)
    return np.linalg.solve(cosm(A), sinm(A))


def coshm(A: Any) -> Any:
    """Hyperbolic cosine of square matrices.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square.

    Examples
    --------
    >>> import numpy as np
    >>> coshm(np.zeros((1, 1)))
    array([[1.]])
    """
    A = square("coshm", A)
    return 0.5 * (_expm(A) + _expm(-A))


def sinhm(A: Any) -> Any:
    """Hyperbolic sine of square matrices.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square.

    Examples
    --------
    >>> import numpy as np
    >>> sinhm(np.zeros((1, 1)))
    array([[0.]])
    """
    A = square("sinhm", A)
    return 0.5 * (_expm(A) - _expm(-A))


def tanhm(A: Any) -> Any:
    """Hyperbolic tangent of square matrices.

    Parameters
    ----------
    A : array or Tensor, shape (..., n, n)

    Raises
    ------
    LinAlgError
        The matrices are not square, or the hyperbolic cosine is singular.

    Examples
    --------
    >>> import numpy as np
    >>> tanhm(np.zeros((1, 1)))
    array([[0.]])
    """
    A = square("tanhm", A)
    grown, shrunk = _expm(A), _expm(-A)
    return np.linalg.solve(0.5 * (grown + shrunk), 0.5 * (grown - shrunk))
