"""Elementwise primitives: local partials, one declaration each.

C functions are declared as they are (a ufunc, or ``operator``'s function where NumPy scalars have
a fast path there that the ufunc does not have); the others are written out.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from autodiff import chunked
from autodiff.core.arrays import (
    ARRAY,
    as_array,
    copied_value,
    empty,
    is_array,
    is_foreign,
    scalar_form,
)
from autodiff.core.declare import elementwise, linear
from autodiff.core.registry import REGISTRY
from autodiff.core.spec import spec_of
from autodiff.ops import structures
from autodiff.ops.descriptions import Description, Nothing, Operation
from autodiff.ops.lowered import Pointwise
from autodiff.ops.masked import larger_share, masked
from autodiff.ops.protocol import UFUNCS
from autodiff.ops.samples import Sample, array, cases, reals
from autodiff.ops.slopes import (
    arcsinh_slope,
    arctan_slope,
    folded,
    logistic,
    one_less_square,
    slope_of_sigmoid,
    slope_of_tanh,
    tanh_slope,
)
from autodiff.views import View

LOG_2 = float(np.log(2.0))
LOG_10 = float(np.log(10.0))

X = ("x",)
XY = ("x", "y")

# --- arithmetic -------------------------------------------------------------------------------

add = elementwise(name="add", inputs=XY, symmetric=XY, d_x=1, d_y=1, label="+", sample=reals(2))(
    operator.add
)
subtract = elementwise(name="subtract", inputs=XY, d_x=1, d_y=-1, label="−", sample=reals(2))(
    operator.sub
)
multiply = elementwise(
    name="multiply",
    inputs=XY,
    symmetric=XY,
    d_x=lambda y: y,
    d_y=lambda x: x,
    label="×",
    sample=reals(2),
)(operator.mul)
divide = elementwise(
    name="divide",
    inputs=XY,
    d_x=lambda g, y: g / y,
    d_y=lambda g, y, out: -(g * out) / y,
    label="÷",
    sample=reals(2, away_from=[0.0], ranges=[(-2, 2), (0.5, 2)]),
)(operator.truediv)
negative = elementwise(name="negative", inputs=X, d_x=-1, label="−", sample=reals())(operator.neg)
positive = elementwise(name="positive", inputs=X, d_x=1, sample=reals())(operator.pos)
square = elementwise(name="square", inputs=X, d_x=lambda x: 2 * x, label="x²", sample=reals())(
    np.square
)
reciprocal = elementwise(
    name="reciprocal",
    inputs=X,
    d_x=lambda out: -(out * out),
    label="1/x",
    sample=reals(low=0.5, high=2.0),
)(np.reciprocal)


def _power_d_x(x: Any, y: Any) -> Any:
    """y x^(y-1); 0 at y = 0, also where x = 0, because x^0 = 1 for every x."""
    if isinstance(y, (int, float)):
        return y * x ** (y - 1) if y else 0.0
    is_zero = np.equal(y, 0)
    return np.where(is_zero, 0.0, y * x ** np.where(is_zero, 1.0, y - 1))


def _power_d_y(x: Any, out: Any) -> Any:
    """x^y log x; 0 at x = 0, the limit for y > 0 (and one-sided what is left at y = 0)."""
    return out * np.log(np.where(np.equal(x, 0), 1.0, x))


power = elementwise(
    name="power",
    inputs=XY,
    d_x=_power_d_x,
    d_y=_power_d_y,
    label="xʸ",
    cost=2,
    sample=reals(2, ranges=[(0.5, 2.0), (-2.0, 2.0)]),
)(operator.pow)

floor_divide = elementwise(
    name="floor_divide",
    inputs=XY,
    d_x=0,
    d_y=0,
    label="//",
    sample=lambda rng: [Sample((np.array([1.3, -1.3, 2.6]), np.array([0.5, 0.5, -0.7])), {})],
)(operator.floordiv)
remainder = elementwise(
    name="remainder",
    inputs=XY,
    d_x=1,
    d_y=lambda x, y: -(x // y),
    label="%",
    sample=lambda rng: [Sample((np.array([1.3, -1.3, 2.6]), np.array([0.5, 0.5, -0.7])), {})],
)(operator.mod)

# --- sign, rounding -----------------------------------------------------------------------------

absolute = elementwise(
    name="absolute", inputs=X, d_x=np.sign, label="|x|", sample=reals(away_from=[0.0])
)(np.absolute)
absolute.square = square
sign = elementwise(name="sign", inputs=X, d_x=0, sample=reals(away_from=[0.0]))(np.sign)
_steps = reals(away_from=[-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
floor = elementwise(name="floor", inputs=X, d_x=0, sample=_steps)(np.floor)
ceil = elementwise(name="ceil", inputs=X, d_x=0, sample=_steps)(np.ceil)
rint = elementwise(name="rint", inputs=X, d_x=0, sample=_steps)(np.rint)
trunc = elementwise(name="trunc", inputs=X, d_x=0, sample=_steps)(np.trunc)

# --- exponentials and logarithms ----------------------------------------------------------------

_positive = reals(low=0.3, high=3.0)
exp = elementwise(name="exp", inputs=X, d_x=lambda out: out, cost=8, sample=reals())(np.exp)
# Not out + 1, which is 0 where the exponential is lost beside 1.
expm1 = elementwise(name="expm1", inputs=X, d_x=np.exp, cost=8, sample=reals())(np.expm1)
exp2 = elementwise(name="exp2", inputs=X, d_x=lambda out: LOG_2 * out, cost=8, sample=reals())(
    np.exp2
)
log = elementwise(name="log", inputs=X, d_x=lambda g, x: g / x, cost=8, sample=_positive)(np.log)
log1p = elementwise(name="log1p", inputs=X, d_x=lambda g, x: g / (1 + x), cost=8, sample=_positive)(
    np.log1p
)
log2 = elementwise(name="log2", inputs=X, d_x=lambda g, x: g / LOG_2 / x, cost=8, sample=_positive)(
    np.log2
)
log10 = elementwise(
    name="log10", inputs=X, d_x=lambda g, x: g / LOG_10 / x, cost=8, sample=_positive
)(np.log10)
sqrt = elementwise(
    name="sqrt", inputs=X, d_x=lambda g, out: 0.5 * g / out, label="√", sample=_positive
)(np.sqrt)


def _half_over_root(g: Any, out: Any) -> Any:
    at_zero = np.equal(out, 0)
    return masked(at_zero, 0.5 * g / np.where(at_zero, 1.0, out), False)


@elementwise(d_x=_half_over_root, label="√", sample=_positive)
def root_of_squares(x: Any) -> Any:
    """Square root of a sum or mean of squares; the derivative at 0 is 0, as the norm's is."""
    return np.sqrt(x)


root_of_squares.square = positive


def share_of_first(x: Any, y: Any, out: Any, unit: float = 1.0) -> Any:
    """Share of x in log(e^x + e^y), σ(x - y); 0 where both terms are exp(-inf) = 0, not NaN.

    It depends on the difference alone, which exp(x - out) would take from a rounded sum.
    `unit` is the logarithm of the base.
    """
    difference = x - np.where(np.equal(out, -np.inf), 0.0, y)
    return sigmoid(difference if unit == 1.0 else unit * difference)


logaddexp = elementwise(
    name="logaddexp",
    inputs=XY,
    symmetric=XY,
    d_x=lambda x, y, out: share_of_first(x, y, out),
    d_y=lambda x, y, out: share_of_first(y, x, out),
    cost=16,
    sample=reals(2),
)(np.logaddexp)

# --- trigonometric and hyperbolic ---------------------------------------------------------------

_inside = reals(low=-0.8, high=0.8)
sin = elementwise(name="sin", inputs=X, d_x=np.cos, cost=8, sample=reals())(np.sin)
cos = elementwise(name="cos", inputs=X, d_x=lambda x: -np.sin(x), cost=8, sample=reals())(np.cos)


def _tan_d_x(x: Any, out: Any) -> Any:
    """1 + tan(x)²; far from the real line, where tan(x) is nearly i, sech²(ix)."""
    return tanh_slope.call(1j * x, 1j * out) if np.iscomplexobj(out) else 1 + np.square(out)


def _arcsin_d_x(x: Any) -> Any:
    if np.iscomplexobj(x):
        return 1 / (np.sqrt(1 - x) * np.sqrt(1 + x))
    return 1 / np.sqrt(one_less_square.call(x))


def _arctan_d_x(x: Any) -> Any:
    return 1 / (1 + 1j * x) / (1 - 1j * x) if np.iscomplexobj(x) else arctan_slope.call(x)


def _arcsinh_d_x(x: Any) -> Any:
    if np.iscomplexobj(x):
        return 1 / (np.sqrt(1 + 1j * x) * np.sqrt(1 - 1j * x))
    return arcsinh_slope.call(x)


def _arctanh_d_x(g: Any, x: Any) -> Any:
    return g / (1 - x) / (1 + x) if np.iscomplexobj(x) else g / one_less_square.call(x)


tan = elementwise(name="tan", inputs=X, d_x=_tan_d_x, cost=8, sample=reals(low=-1.2, high=1.2))(
    np.tan
)
arcsin = elementwise(name="arcsin", inputs=X, d_x=_arcsin_d_x, cost=8, sample=_inside)(np.arcsin)
arccos = elementwise(
    name="arccos", inputs=X, d_x=lambda x: -_arcsin_d_x(x), cost=8, sample=_inside
)(np.arccos)
arctan = elementwise(name="arctan", inputs=X, d_x=_arctan_d_x, cost=8, sample=reals())(np.arctan)
sinh = elementwise(name="sinh", inputs=X, d_x=np.cosh, cost=8, sample=reals())(np.sinh)
cosh = elementwise(name="cosh", inputs=X, d_x=np.sinh, cost=8, sample=reals())(np.cosh)
tanh = elementwise(name="tanh", inputs=X, d_x=slope_of_tanh, cost=8, sample=reals())(np.tanh)
arcsinh = elementwise(name="arcsinh", inputs=X, d_x=_arcsinh_d_x, cost=8, sample=reals())(
    np.arcsinh
)
arccosh = elementwise(
    name="arccosh",
    inputs=X,
    d_x=lambda g, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)),
    cost=8,
    sample=reals(low=1.3, high=3.0),
)(np.arccosh)
arctanh = elementwise(name="arctanh", inputs=X, d_x=_arctanh_d_x, cost=8, sample=_inside)(
    np.arctanh
)


def _turn(g: Any, x: Any, y: Any) -> Any:
    """g x / (x² + y²), where the squares over- or underflow too."""
    radius = np.hypot(x, y)
    return g * (x / radius) / radius


arctan2 = elementwise(
    name="arctan2",
    inputs=XY,
    d_x=lambda g, x, y: _turn(g, y, x),
    d_y=lambda g, x, y: -_turn(g, x, y),
    cost=8,
    sample=reals(2, low=0.3, high=2.0),
)(np.arctan2)


def _over_radius(x: Any, radius: Any) -> Any:
    """x / radius, and 0 at the origin, where the subgradient of least norm is 0."""
    at_origin = np.equal(radius, 0)
    return np.where(at_origin, 0.0, x / np.where(at_origin, 1.0, radius))


@elementwise(
    # y² / r³ and -x y / r³; 0 at the origin, where there is none.
    d_x=lambda x, y: _over_radius(np.square(cosine.call(y, x)), np.hypot(x, y)),
    d_y=lambda x, y: -_over_radius(cosine.call(x, y) * cosine.call(y, x), np.hypot(x, y)),
    cost=6,
    sample=reals(2, away_from=[0.0]),
)
def cosine(x: Any, y: Any) -> Any:
    """x / sqrt(x² + y²), the derivative of the hypotenuse; 0 at the origin.

    A primitive, because differentiating the quotient takes x² / r³ from 1 / r.
    """
    return _over_radius(x, np.hypot(x, y))


def _hypot_d_x(x: Any, y: Any, out: Any) -> Any:
    return _over_radius(x, out) if is_array(out) else cosine.call(x, y)


hypot = elementwise(
    name="hypot",
    inputs=XY,
    symmetric=XY,
    d_x=_hypot_d_x,
    d_y=lambda x, y, out: _hypot_d_x(y, x, out),
    cost=4,
    sample=reals(2, away_from=[0.0]),
)(np.hypot)


@elementwise(
    symmetric=XY, d_x=lambda x: 2 * x, d_y=lambda y: 2 * y, label="hypot²", cost=5, sample=reals(2)
)
def squared_hypot(x: Any, y: Any) -> Any:
    """Square of the hypotenuse, with the derivative of x² + y², at the origin too."""
    return np.square(np.hypot(x, y))


hypot.square = squared_hypot

# --- selection ----------------------------------------------------------------------------------


maximum = elementwise(
    name="maximum",
    inputs=XY,
    symmetric=XY,
    d_x=lambda g, x, y: larger_share(g, x, y),
    d_y=lambda g, x, y: larger_share(g, y, x),
    label="max",
    sample=reals(2, distinct=True),
)(np.maximum)
minimum = elementwise(
    name="minimum",
    inputs=XY,
    symmetric=XY,
    d_x=lambda g, x, y: larger_share(g, y, x),
    d_y=lambda g, x, y: larger_share(g, x, y),
    label="min",
    sample=reals(2, distinct=True),
)(np.minimum)


def _selections(rng: np.random.Generator) -> list[Sample]:
    condition = np.array([[True, False, True], [False, False, True]])
    return [
        Sample((condition, array(rng), array(rng)), {}),
        Sample((condition[0], array(rng), array(rng, ())), {}),
        Sample((np.True_, array(rng, ()), array(rng, (3,))), {}),
    ]


@elementwise(
    constant=("condition",),
    d_x=lambda g, condition: masked(condition, g),
    d_y=lambda g, condition: masked(condition, g, holds=False),
    sample=_selections,
)
def where(condition: Any, x: Any, y: Any) -> Any:
    """Choose from `x` where the condition holds, from `y` elsewhere."""
    return np.where(condition, x, y)


def _between(rng: np.random.Generator) -> list[Sample]:
    x = np.array([[-1.7, -0.4, 0.3], [0.8, 1.6, 0.1]])
    low, high = np.array([-1.0, -0.9, -0.5]), np.array([[1.1], [0.9]])
    return [Sample((x, low, high), {}), Sample((x[0, 0], low[0], high[0, 0]), {})]


@elementwise(
    d_x=lambda g, x, low, high: masked((x >= low) & (x <= high), g),
    d_low=lambda g, x, low, high: masked((x < low) & (low <= high), g),
    d_high=lambda g, x, low, high: masked(np.maximum(x, low) > high, g),
    sample=_between,
    cost=2,
)
def clip(x: Any, low: Any, high: Any) -> Any:
    """Limit to [low, high]; at a bound the derivative is the one of the inside, 1."""
    return np.clip(x, low, high)


@elementwise(
    d_x=lambda g, x: masked(x > 0, g),
    sample=reals(away_from=[0.0]),
)
def relu(x: Any) -> Any:
    """max(x, 0); the derivative at 0 is 0.

    Fukushima 1969; as an activation of deep networks Glorot, Bordes & Bengio 2011.

    Parameters
    ----------
    x : array_like or Tensor

    Returns
    -------
    array or Tensor
        Of the same shape and dtype.

    Raises
    ------
    TypeError
        `x` is not numeric.

    Examples
    --------
    >>> import numpy as np
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return np.maximum(x, 0)


@elementwise(d_x=slope_of_sigmoid, label="σ", cost=10, sample=reals())
def sigmoid(x: Any) -> Any:
    """Logistic function 1 / (1 + exp(-x)), without overflow at either end.

    Parameters
    ----------
    x : array_like or Tensor

    Returns
    -------
    array or Tensor
        Of the same shape, from 0 to 1; of the same dtype, if it is a float or complex one.

    Raises
    ------
    TypeError
        `x` is not numeric, or boolean.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    return logistic(x)


@elementwise(d_x=lambda x: sigmoid(x), cost=16, sample=reals())
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow; its derivative is `sigmoid`.

    Dugas, Bengio, Bélisle, Nadeau & Garcia 2001.

    Parameters
    ----------
    x : array_like or Tensor

    Returns
    -------
    array or Tensor
        Of the same shape; of the same dtype, if it is a float or complex one.

    Raises
    ------
    TypeError
        `x` is not numeric, or boolean.

    Examples
    --------
    >>> import numpy as np
    >>> softplus(np.array([-1e4, 0.0, 1e4]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+04])
    """
    return np.where(np.real(x) >= 0, x, 0.0) + np.log1p(np.exp(-folded(x)))


# --- complex parts and dtypes -------------------------------------------------------------------
# Linear over the reals. For real-valued f of z = x + iy the gradient is df/dx - i df/dy, so the
# pairing of a cotangent g with a tangent t is Re(g t), and transposes are with respect to it.


def _complexes(rng: np.random.Generator) -> list[Sample]:
    return [Sample((array(rng) + 1j * array(rng),), {}), Sample((array(rng),), {})]


def _leading_batch(forward: Any) -> Any:
    """Batching of a function that treats every element alike: the batch axis is one more."""
    return lambda batched, inputs, params: forward(*inputs, **params)


@linear(
    transpose=lambda g: g,
    batch=_leading_batch(lambda x: real(x)),
    local=structures.real_same,
    pattern=structures.same,
    sample=_complexes,
    lower=lambda operation: Pointwise(np.real),
)
def real(x: Any) -> Any:
    """Real part."""
    return np.real(x)


def _nothing_of_real_numbers(operation: Operation, position: int) -> Description | None:
    return None if operation.inputs[position].dtype.kind == "c" else Nothing()


@linear(
    transpose=lambda g, x_spec: g * -1j if x_spec.dtype.kind == "c" else 0.0 * g,
    batch=_leading_batch(lambda x: imag(x)),
    sample=_complexes,
    local=_nothing_of_real_numbers,
    pattern=structures.same,
)
def imag(x: Any) -> Any:
    """Imaginary part."""
    return np.imag(x) if type(x) is ARRAY and x.dtype.kind == "c" else copied_value(np.imag(x))


def _foreign_complex(re: Any, im: Any) -> Any:
    """Complex number of its parts by pairs of them in memory: 1j * im would mix the two."""
    real_dtype = np.result_type(re, im)
    if real_dtype.kind != "f" or real_dtype.itemsize < 4:
        real_dtype = np.result_type(real_dtype, np.float32)
    pair = np.stack(
        np.broadcast_arrays(*[as_array(part, like=other) for part, other in ((re, im), (im, re))]),
        -1,
    ).astype(real_dtype)
    return pair.view(np.result_type(real_dtype, np.complex64))[..., 0]


@elementwise(d_re=1, d_im=lambda g: g * 1j, sample=reals(2), cost=0)
def complex_of(re: Any, im: Any) -> Any:
    """Complex number of its parts, also where one is infinite, or a zero with a sign."""
    if np.iscomplexobj(re) or np.iscomplexobj(im):
        return re + 1j * im
    if chunked.is_chunked(re) or chunked.is_chunked(im):
        return chunked.complex_of(re, im)
    if is_foreign(re) or is_foreign(im):
        return _foreign_complex(re, im)
    shape = np.broadcast_shapes(np.shape(re), np.shape(im))
    parts = empty(shape, np.result_type(re, im, np.complex64), like=re)
    parts.real, parts.imag = re, im
    return scalar_form(parts)


_real_part = View(
    read=real, write=lambda x, v: complex_of(v, imag(x)) if spec_of(x).dtype.kind == "c" else v
)
_imaginary_part = View(read=imag, write=lambda x, v: complex_of(real(x), v))
_no_imaginary_part = View(read=imag, copies=True)


def real_(val: Any) -> Any:
    """``np.real``: a view, of real numbers too."""
    return _real_part(val)


def imag_(val: Any) -> Any:
    """``np.imag``: a view; of real numbers, zeros that cannot be written."""
    return (_imaginary_part if spec_of(val).dtype.kind == "c" else _no_imaginary_part)(val)


@linear(
    transpose=lambda g: np.conjugate(g),
    batch=_leading_batch(lambda x: conjugate(x)),
    sample=_complexes,
    local=structures.real_same,
    pattern=structures.same,
    lower=lambda operation: Pointwise(np.conjugate),
)
def conjugate(x: Any) -> Any:
    """Complex conjugate."""
    return np.conjugate(x)


@linear(
    transpose=lambda g, x_spec: convert(g, dtype=x_spec.dtype),
    batch=_leading_batch(lambda x, dtype: convert(x, dtype=dtype)),
    sample=cases(
        (((2, 3),), {"dtype": np.dtype("complex128")}),
        ((((),)), {"dtype": np.dtype("float64")}),
    ),
    local=structures.real_same,
    pattern=structures.same,
    lower=lambda operation: Pointwise(lambda x, dtype: x.astype(dtype)),
)
def convert(x: Any, *, dtype: np.dtype[Any]) -> Any:
    """Cast to another dtype; complex to real keeps the real part."""
    if type(x) is not ARRAY:
        x = as_array(x)
    if dtype.kind not in "cb" and x.dtype.kind == "c":
        x = np.real(x)
    x = x.astype(dtype)
    return x if x.shape else scalar_form(x)


# --- functions without a derivative -------------------------------------------------------------


def _discrete(function: Any, label: str | None = None, symmetric: tuple[str, ...] = ()) -> Any:
    """Declare a ufunc whose values are booleans: no input carries a derivative."""
    names = XY if function.nin == 2 else X
    sample = reals(function.nin, distinct=True)
    return elementwise(
        name=function.__name__,
        inputs=names,
        constant=names,
        symmetric=symmetric,
        label=label,
        sample=sample,
    )(function)


def _discrete_logical(function: Any, label: str | None = None) -> Any:
    """Declare a ufunc on booleans."""
    names = XY if function.nin == 2 else X
    bits = (np.array([True, False, True]), np.array([True, True, False]))

    def sample(rng: np.random.Generator) -> list[Sample]:
        return [Sample(bits[: function.nin], {})]

    return elementwise(
        name=function.__name__,
        inputs=names,
        constant=names,
        symmetric=names if function.nin == 2 else (),
        label=label,
        sample=sample,
    )(function)


greater = _discrete(np.greater, ">")
greater_equal = _discrete(np.greater_equal, "≥")
less = _discrete(np.less, "<")
less_equal = _discrete(np.less_equal, "≤")
equal = _discrete(np.equal, "=", XY)
not_equal = _discrete(np.not_equal, "≠", XY)
isnan = _discrete(np.isnan)
isinf = _discrete(np.isinf)
isfinite = _discrete(np.isfinite)
signbit = _discrete(np.signbit)
logical_and = _discrete_logical(np.logical_and, "and")
logical_or = _discrete_logical(np.logical_or, "or")
logical_xor = _discrete_logical(np.logical_xor, "xor")
logical_not = _discrete_logical(np.logical_not, "not")
bitwise_and = _discrete_logical(np.bitwise_and, "&")
bitwise_or = _discrete_logical(np.bitwise_or, "|")
bitwise_xor = _discrete_logical(np.bitwise_xor, "^")
invert = _discrete_logical(np.invert, "~")

stop_gradient = elementwise(name="stop_gradient", inputs=X, constant=X, cost=0, sample=reals())(
    operator.pos
)

UFUNCS.update(
    {
        ufunc: primitive.call
        for name, primitive in REGISTRY.items()
        if isinstance(ufunc := getattr(np, name, None), np.ufunc)
    }
)
