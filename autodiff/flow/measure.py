"""Numbers about parameters and activations: norms, shares of zeros, flat and dead units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autodiff.core.arrays import as_numpy, foreign_among, ones, zeros
from autodiff.core.dispatch import concrete
from autodiff.core.rules import Pullback
from autodiff.core.spec import Shape
from autodiff.flow.trace import Trace
from autodiff.interpret.graph import Node

__all__ = [
    "ActivationFlow",
    "Kind",
    "Parameter",
    "ParameterFlow",
    "measure_activations",
    "measure_parameter",
]


class Parameter(NamedTuple):
    """A parameter to report on: its name, its value, and its variable."""

    name: str
    value: NDArray[Any]
    node: Node


class ParameterFlow(NamedTuple):
    """What arrives at one parameter.

    Norms are Euclidean, over all elements; root mean squares (rms) are norms over the square root
    of the number of elements, so they compare across sizes. All are in float64. What is not
    defined (a ratio to a value of zeros, the extremes of no elements) is NaN.

    Attributes
    ----------
    name : str
    shape : tuple of int
    dtype : dtype
    used : bool
        Whether the loss depends on it; where it does not, all that concerns the gradient is zero.
    depth : int
        Grows with the position of the parameter's first use in the computation.
    value_norm, value_rms, gradient_norm, gradient_rms : float
    ratio : float
        ``gradient_rms / value_rms``.
    mean_magnitude : float
        Mean of the gradient's absolute values.
    zeros : float
        Share of the gradient's elements that are exactly 0.
    minimum, maximum : float
        Of the gradient's elements; of their moduli if they are complex.
    nonfinite_gradient, nonfinite_value : int
        How many elements are NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> row = ad.report(lambda w: np.sum(w**2), np.array([3.0, 4.0])).parameters[0]
    >>> row.value_norm, row.gradient_norm, row.ratio
    (5.0, 10.0, 2.0)
    """

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    used: bool
    depth: int
    value_norm: float
    value_rms: float
    gradient_norm: float
    gradient_rms: float
    ratio: float
    mean_magnitude: float
    zeros: float
    minimum: float
    maximum: float
    nonfinite_gradient: int
    nonfinite_value: int


class ActivationFlow(NamedTuple):
    """What one application of an activation function lets through.

    The last axis counts units, the axes before it count examples.

    Attributes
    ----------
    name : str
        ``tanh after layers[0]``: the function, and the parameters between it and the activations
        before it; or the name that the Tensor was given.
    function : str
        The primitive's name.
    shape : tuple of int
        Of the output.
    units, examples : int
    dead : int
        Units whose slope is exactly 0 in all examples: nothing that comes before learns through
        them.
    flat : float
        Share of the outputs where the slope is at most 6 % of the steepest: tanh outside ±0.97,
        the sigmoid outside 0.015 ... 0.985, relu off. About half of a relu's outputs are flat in a
        healthy network.
    two_sided : bool
        Whether the function is flat at both ends, so that flat means saturated.
    output_rms : float
    cotangent_norm, cotangent_rms : float
        Of the cotangent of the output.
    nonfinite : int
        How many outputs are NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> x = np.array([[1.0, -1.0], [2.0, -2.0]])
    >>> row = ad.report(lambda w: np.sum(ad.relu(x * w)), np.ones(2)).activations[0]
    >>> row.function, row.units, row.examples, row.dead, row.flat
    ('relu', 2, 2, 1, 0.5)
    """

    name: str
    function: str
    shape: Shape
    units: int
    examples: int
    dead: int
    flat: float
    two_sided: bool
    output_rms: float
    cotangent_norm: float
    cotangent_rms: float
    nonfinite: int


class Kind(NamedTuple):
    """An activation function: its steepest slope, and whether it is flat at both ends."""

    steepest: float
    two_sided: bool


ACTIVATIONS = {
    "arctan": Kind(1.0, True),
    "clip": Kind(1.0, True),
    "erf": Kind(2 / math.sqrt(math.pi), True),
    "expit": Kind(0.25, True),
    "maximum": Kind(1.0, False),
    "minimum": Kind(1.0, False),
    "relu": Kind(1.0, False),
    "sigmoid": Kind(0.25, True),
    "softplus": Kind(1.0, False),
    "tanh": Kind(1.0, True),
}
"""Primitives that saturate or rectify, by name; maximum and minimum with a constant."""

FLAT = 1 - 0.97**2
"""Slope, relative to the steepest, below which an output counts as flat: that of tanh at ±0.97."""


# --- parameters -----------------------------------------------------------------------------------


def measure_parameter(parameter: Parameter, trace: Trace) -> ParameterFlow:
    """Numbers about one parameter; its gradient counts as zero where none arrives."""
    value, node = parameter.value, parameter.node
    used = trace.holds(node)
    gradient = trace.cotangent(node) if used else None
    g = zeros(value.shape, value.dtype) if gradient is None else as_numpy(gradient)
    magnitude = np.abs(wide(g))
    signed = magnitude if g.dtype.kind == "c" else wide(g)
    empty = g.size == 0
    value_rms, gradient_rms = rms(value), rms(g)
    return ParameterFlow(
        name=parameter.name,
        shape=value.shape,
        dtype=value.dtype,
        used=used,
        depth=trace.first_use(node) if used else -1,
        value_norm=norm(value),
        value_rms=value_rms,
        gradient_norm=norm(g),
        gradient_rms=gradient_rms,
        ratio=gradient_rms / value_rms if value_rms else math.nan,
        mean_magnitude=math.nan if empty else float(np.mean(magnitude)),
        zeros=math.nan if empty else float(np.mean(g == 0)),
        minimum=math.nan if empty else float(np.min(signed)),
        maximum=math.nan if empty else float(np.max(signed)),
        nonfinite_gradient=count_nonfinite(g),
        nonfinite_value=count_nonfinite(value),
    )


def wide(x: Any) -> NDArray[Any]:
    """Array in double precision."""
    array = as_numpy(x)
    return as_numpy(array, np.complex128 if array.dtype.kind == "c" else np.float64)


def norm(x: Any) -> float:
    """Euclidean norm over all elements, scaled so that squares neither overflow nor vanish."""
    magnitude = np.abs(wide(x))
    largest = float(np.max(magnitude, initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm((magnitude / largest).ravel()))


def rms(x: Any) -> float:
    """Root mean square of the elements; 0 if there are none."""
    return norm(x) / math.sqrt(max(1, np.size(x)))


def count_nonfinite(x: Any) -> int:
    """How many elements are NaN or infinite."""
    return int(np.size(x) - np.count_nonzero(np.isfinite(x)))


# --- activations ----------------------------------------------------------------------------------


def measure_activations(
    parameters: Sequence[Parameter], trace: Trace
) -> tuple[ActivationFlow, ...]:
    """Numbers about each activation on the tape that has an axis of units, in order."""
    if trace.released:
        return ()
    found = [node for node in trace.nodes if _is_activation(node)]
    names = _names(found, parameters, trace)
    return tuple(_measure(node, names[node], trace) for node in found)


def _is_activation(node: Node) -> bool:
    pullback = node.pullback
    if not isinstance(pullback, Pullback) or pullback.primitive.name not in ACTIVATIONS:
        return False
    # Of two variables the larger is a choice, no activation: max pooling, a leaky maximum(x, x / 9)
    active = sum(isinstance(parent, Node) for parent in node.parents)
    numbers = all(isinstance(p, Node) or getattr(p, "shape", ()) == () for p in node.parents)
    return active == 1 and numbers and len(node.spec.shape) > 0 and node.spec.size > 0


def _measure(node: Node, name: str, trace: Trace) -> ActivationFlow:
    pullback = node.pullback
    assert isinstance(pullback, Pullback)
    kind = ACTIVATIONS[pullback.primitive.name]
    shape = node.spec.shape
    slope = np.abs(_slope(node, pullback)).reshape(-1, shape[-1])
    output = as_numpy(_output(node, pullback))
    cotangent = trace.cotangent(node)
    g = 0.0 if cotangent is None else cotangent
    return ActivationFlow(
        name=name,
        function=pullback.primitive.name,
        shape=shape,
        units=shape[-1],
        examples=slope.shape[0],
        dead=int(np.count_nonzero(np.all(slope == 0, axis=0))),
        flat=float(np.mean(slope <= FLAT * kind.steepest)),
        two_sided=kind.two_sided,
        output_rms=rms(output),
        cotangent_norm=norm(g),
        cotangent_rms=rms(g),
        nonfinite=count_nonfinite(output),
    )


def _slope(node: Node, pullback: Pullback) -> NDArray[Any]:
    """Local partial: what a cotangent of ones becomes."""
    position = next(i for i, parent in enumerate(node.parents) if isinstance(parent, Node))
    assert node.saved is not None
    saved = tuple(map(concrete, node.saved))
    seed = ones(node.spec.shape, node.spec.dtype, like=foreign_among(saved))
    with np.errstate(all="ignore"):
        pulled = pullback.pull(seed, saved)[position]
    return np.broadcast_to(as_numpy(concrete(pulled)), node.spec.shape)


def _output(node: Node, pullback: Pullback) -> Any:
    """Result of the operation: kept by its rule, or computed again from the inputs that are."""
    assert node.saved is not None
    kept = dict(zip(pullback.names, map(concrete, node.saved), strict=True))
    if "out" in kept:
        return kept["out"]
    if not all(name in kept for name in pullback.primitive.inputs):
        return np.full(node.spec.shape, np.nan)
    with np.errstate(all="ignore"):
        return pullback.primitive.forward(*[kept[name] for name in pullback.primitive.inputs])


def _names(
    activations: Sequence[Node], parameters: Sequence[Parameter], trace: Trace
) -> dict[Node, str]:
    """Names from the parameters between each activation and the ones before it."""
    order = {p.node: (i, p.name) for i, p in enumerate(parameters)}
    stops = set(activations)
    names: dict[Node, str] = {}
    for node in activations:
        own = getattr(node, "name", None)
        pullback = node.pullback
        assert isinstance(pullback, Pullback)
        near = sorted(order[leaf] for leaf in _sources(node, stops) if leaf in order)
        after = _common([name for _, name in near])
        function = pullback.primitive.name
        names[node] = own or (f"{function} after {after}" if after else function)
    return _numbered(names)


def _sources(activation: Node, stops: set[Node]) -> set[Node]:
    """Variables that reach an activation without passing another one."""
    found: set[Node] = set()
    seen: set[Node] = set()
    stack = [activation]
    while stack:
        for parent in stack.pop().parents:
            if not isinstance(parent, Node) or parent in stops or parent in seen:
                continue
            seen.add(parent)
            (found.add if parent.pullback is None else stack.append)(parent)
    return found


def _common(names: Sequence[str]) -> str:
    """``layers[0]`` of ``layers[0].weight`` and ``layers[0].bias``; else the first of them."""
    owners = {name.rpartition(".")[0] for name in names}
    return (owners.pop() if len(owners) == 1 else "") or next(iter(names), "")


def _numbered(names: dict[Node, str]) -> dict[Node, str]:
    """Tell applications of the same name apart: the second of `tanh` is ``tanh #2``."""
    counters: dict[str, itertools.count[int]] = {}
    numbered: dict[Node, str] = {}
    for node, name in names.items():
        number = next(counters.setdefault(name, itertools.count(1)))
        numbered[node] = name if number == 1 else f"{name} #{number}"
    return numbered
