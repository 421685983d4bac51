"""How SciPy's ufuncs become primitives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import as_array, as_value, scalar_form
from autodiff.core.declare import elementwise
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.spec import Spec
from autodiff.errors import NonDifferentiableError
from autodiff.ops.elementwise import convert
from autodiff.ops.protocol import UFUNCS, UNARY_UFUNCS
from autodiff.ops.samples import Sample, Sampler, array

__all__ = [
    "as_factor",
    "declare",
    "declare_with_order",
    "declare_with_parameters",
    "orders",
    "ranges",
    "refuse_derivative",
    "with_constants",
]


def _dtype_keeping(ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate in the precision of the inputs: SciPy has no loop for float16 and widens it."""

    def forward(*inputs: Any) -> Any:
        out = ufunc(*inputs)
        typed = [x.dtype for x in inputs if hasattr(x, "dtype")]
        if typed:
            wanted = np.result_type(*typed)
            if wanted != out.dtype and wanted.kind == out.dtype.kind:
                return out.astype(wanted)
        return out

    return forward


def declare(
    ufunc: Any, inputs: tuple[str, ...] = ("x",), name: str | None = None, **options: Any
) -> Primitive:
    """Declare a ufunc of SciPy as an elementwise primitive, and let Tensors find it.

    Parameters
    ----------
    ufunc : ufunc, or a function that acts on each element
    inputs : names of its inputs, as the rules use them
    options : what `autodiff.elementwise` takes
    """
    name = name or ufunc.__name__
    forward = _dtype_keeping(ufunc)
    forward.__doc__ = f"``scipy.special.{name}``, elementwise."
    declared: Primitive = elementwise(name=name, inputs=inputs, **options)(forward)
    if isinstance(ufunc, np.ufunc):
        UFUNCS[ufunc] = declared.call
        if len(inputs) == 1:
            UNARY_UFUNCS[ufunc] = declared
    return declared


def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.finfo(dtype).dtype


def declare_with_order(
    function: Any, inputs: tuple[str, str], name: str | None = None, **options: Any
) -> Primitive:
    """Declare a function of an order and an argument; the order carries no derivative.

    The order takes the argument's precision, so that it does not widen float32 to float64.
    """
    name = name or function.__name__

    def forward(order: Any, x: Any) -> Any:
        order, x = as_value(order), as_array(x)
        if x.dtype.kind not in "fc":
            x = x.astype(np.float64)
        if isinstance(function, np.ufunc):
            order = order.astype(_real(x.dtype))
        return as_value(function(order, x), x.dtype)

    forward.__doc__ = f"``scipy.special.{name}``, elementwise."
    declared: Primitive = elementwise(name=name, inputs=inputs, constant=inputs[:1], **options)(
        forward
    )
    return declared


def declare_with_parameters(
    ufunc: Any, inputs: tuple[str, ...], name: str | None = None, **options: Any
) -> Callable[..., Any]:
    """Declare a ufunc whose inputs but the last are parameters without a derivative.

    Parameters that are integers stay so, because SciPy sums recurrences there; others take the
    precision of the last input, so that they do not widen float32 to float64.

    Returns
    -------
    function
        The public form, whose attribute ``primitive`` is what rules call.
    """
    name = name or ufunc.__name__

    def forward(*given: Any) -> Any:
        x = as_array(given[-1])
        if x.dtype.kind not in "fc":
            x = x.astype(np.float64)
        wide = x.astype(np.result_type(x.dtype, np.float32))
        parameters = [as_value(value) for value in given[:-1]]
        parameters = [
            value.astype(np.int64 if value.dtype.kind in "iub" else _real(wide.dtype))
            for value in parameters
        ]
        return as_value(ufunc(*parameters, wide), x.dtype)

    forward.__doc__ = f"``scipy.special.{name}``, elementwise."
    declared: Primitive = elementwise(name=name, inputs=inputs, constant=inputs[:-1], **options)(
        forward
    )
    public = with_constants(declared, ufunc)
    public.primitive = declared  # type: ignore[attr-defined]
    return public


def refuse_derivative(function: str, **given: Any) -> None:
    """Raise for arguments that carry a derivative the function has no rule for.

    A Tensor that is only batched (by ``vmap``), or that nothing is differentiated by, may pass.

    Raises
    ------
    NonDifferentiableError
        A ``TypeError`` that names the function and the argument.
    """
    for name, value in given.items():
        box = value
        while isinstance(box, Box):
            if box._payload is not None and not box._interpreter.leading:
                raise NonDifferentiableError(
                    f"{function}: there is no derivative with respect to {name!r}; pass a number "
                    f"or array (tensor.data, or stop_gradient({name}))"
                )
            box = box._value


def with_constants(declared: Primitive, ufunc: Any = None) -> Callable[..., Any]:
    """Public form of a primitive some of whose inputs carry no derivative: it says so."""

    def public(*inputs: Any) -> Any:
        if len(inputs) != len(declared.inputs):
            raise TypeError(
                f"{declared.name} takes {len(declared.inputs)} arguments "
                f"({', '.join(declared.inputs)}) by position, got {len(inputs)}"
            )
        given = dict(zip(declared.inputs, inputs, strict=True))
        refuse_derivative(declared.name, **{name: given[name] for name in declared.constant})
        return declared.call(*inputs)

    public.__name__ = public.__qualname__ = declared.name
    public.__doc__ = (
        f"``scipy.special.{declared.name}({', '.join(declared.inputs)})``; "
        f"no derivative with respect to {' and '.join(declared.constant)}."
    )
    if isinstance(ufunc, np.ufunc):
        UFUNCS[ufunc] = public
    return public


def as_factor(order: Any, spec: Spec) -> Any:
    """An order as a factor of values like `spec`: in their precision."""
    return convert.call(order, dtype=_real(spec.dtype))


def ranges(*limits: tuple[float, float], **options: Any) -> Sampler:
    """Sample broadcasting inputs, one (low, high) for each; `options` go to `array`."""
    shapes: list[tuple[tuple[int, ...], ...]] = [((2, 1), (3,), (2, 3))[: len(limits)]]
    shapes.append(((),) * len(limits))

    def draw(rng: np.random.Generator) -> list[Sample]:
        return [
            Sample(
                tuple(
                    array(rng, shape, *limit, **options)
                    for shape, limit in zip(case, limits, strict=True)
                ),
                {},
            )
            for case in shapes
        ]

    return draw


def orders(smallest: int, largest: int, low: float, high: float) -> Sampler:
    """Sample integer orders in [smallest, largest] and arguments in [low, high), broadcasting."""

    def draw(rng: np.random.Generator) -> list[Sample]:
        shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((2, 1), (3,)), ((), ())]
        return [
            Sample(
                (
                    scalar_form(rng.integers(smallest, largest + 1, first)),
                    array(rng, second, low, high),
                ),
                {},
            )
            for first, second in shapes
        ]

    return draw
