"""Local Jacobians: the linear map of one operation with respect to one input.

The kind of the primitive decides. An elementwise primitive gives its partials on a diagonal, with
an index map where the input is broadcast. Linear primitives that move or sum elements give index
maps, a matrix product gives Kronecker products, reductions and softmax give blocks; the functions
that know this stand in `LOCAL_JACOBIANS` by name. Any other operation is opaque: its VJP pulls
batches of cotangents back, and the transpose of its VJP pushes tangents forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from autodiff.core.dispatch import Box, open_scope
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback, Rule
from autodiff.core.spec import Shape, Spec, axes_to_sum, is_inexact, spec_of
from autodiff.interpret.batch import Batch
from autodiff.interpret.cotangents import cast, conform, zeros
from autodiff.interpret.forward import materialised
from autodiff.interpret.reverse import Reverse
from autodiff.interpret.sweep import sweep
from autodiff.ops.reduce import kept_shape
from autodiff.ordering.maps import (
    Block,
    Dense,
    Diagonal,
    Identity,
    IndexMap,
    LinearMap,
    Opaque,
    Product,
    Scaled,
    Zero,
)
from autodiff.tensor import Tensor

__all__ = ["LARGEST_BLOCK", "LOCAL_JACOBIANS", "Operation", "local_jacobian"]

LARGEST_BLOCK = 64
"""Longest row for which the block of a softmax is written out."""


class Operation:
    """One operation at a point, or with ``saved`` None its shapes alone.

    Parameters
    ----------
    primitive : Primitive
    pullback : Pullback
        Compiled for the inputs that are differentiated.
    saved : tuple or None
        What the pullback keeps.
    inputs, outputs : sequences of Spec
    params : mapping
    """

    def __init__(
        self,
        primitive: Primitive,
        pullback: Pullback,
        saved: tuple[Any, ...] | None,
        inputs: Sequence[Spec],
        outputs: Sequence[Spec],
        params: Mapping[str, Any],
    ) -> None:
        self.primitive = primitive
        self.pullback = pullback
        self.saved = saved
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        # Most operations have none: the primitive's own, never written to, stand in
        self.params: Mapping[str, Any] = (
            {**primitive.params, **params} if params else primitive.params
        )

    @property
    def known(self) -> bool:
        """Whether the numbers are there."""
        return self.saved is not None

    @property
    def out(self) -> Spec:
        """Spec of the (first) output."""
        return self.outputs[0]

    @cached_property
    def values(self) -> dict[str, Any]:
        """Saved values by the names of the rules."""
        assert self.saved is not None
        return dict(zip(self.pullback.names, self.saved, strict=True))

    @cached_property
    def partials(self) -> tuple[Any, ...]:
        """Cotangents of ones, which of an elementwise primitive are its partials."""
        assert self.saved is not None
        return self.pullback.pull(np.ones(self.out.shape, self.out.dtype), self.saved)

    def array(self, shape: tuple[int, ...], values: Callable[[], Any]) -> Any:
        """Array of a shape, or where numbers are left out the shape."""
        if not self.known:
            return shape
        return np.asarray(values()).reshape(shape)

    def has_constants(self) -> bool:
        """Whether an input without a derivative is given."""
        names = [self.primitive.input_name(i) for i in range(len(self.inputs))]
        return any(name in self.primitive.constant for name in names)

    def fma(self, position: int) -> int:
        """Cost of one tangent or cotangent where nothing else is known."""
        flops = self.primitive.cost(self.inputs, self.out, self.params)
        moved = max(self.inputs[position].size, *(spec.size for spec in self.outputs))
        return max(-(-flops // 2), moved)


LocalRule = Callable[[Operation, int], "LinearMap | None"]
LOCAL_JACOBIANS: dict[str, LocalRule] = {}
"""Local Jacobians by primitive, where the kind alone would not see the structure: functions of the
operation and the position of the input; None leaves it to the kind."""


def local_jacobian(operation: Operation, position: int, output: int = 0) -> LinearMap:
    """Return the linear map of one output of an operation with respect to one input."""
    inp, out = operation.inputs[position], operation.outputs[output]
    if not is_inexact(inp.dtype) or not is_inexact(out.dtype):
        return Zero(inp.shape, out.shape)
    if inp.size == 0 or out.size == 0:
        return Zero(inp.shape, out.shape, inp.dtype)
    primitive = operation.primitive
    found: LinearMap | None = None
    if len(operation.outputs) == 1:
        rule = LOCAL_JACOBIANS.get(primitive.name)
        if rule is not None:
            found = rule(operation, position)
        elif primitive.kind == "elementwise":
            found = _elementwise(operation, position)
    return _opaque(operation, position, output) if found is None else found


# --- elementwise ----------------------------------------------------------------------------------


def _constant_partial(operation: Operation, rule: Rule) -> bool:
    """Whether all elements have one partial: the rule looks at values of one element alone."""
    names = operation.primitive.inputs
    for need in rule.needs:
        if need == "out":
            spec = operation.out
        elif need in names:
            spec = operation.inputs[names.index(need)]
        else:
            continue
        if spec.size != 1:
            return False
    return True


def _elementwise(operation: Operation, position: int) -> LinearMap:
    inp, out = operation.inputs[position], operation.out
    rule = operation.primitive.reverse_rules[operation.primitive.input_name(position)]
    factor: float | None = None
    is_constant = True
    if not isinstance(rule, Rule):
        if rule == 0:
            return Zero(inp.shape, out.shape, inp.dtype)
        factor = rule
    elif out.size > 1 and _constant_partial(operation, rule):
        if operation.known:
            factor = _python(np.asarray(operation.partials[position]).reshape(-1)[0])
    else:
        is_constant = False

    def partial() -> Any:
        found = np.asarray(operation.partials[position])
        return found if found.shape == out.shape else np.broadcast_to(found, out.shape)

    if inp.size == out.size:
        if is_constant:
            return Scaled(factor, inp.shape, out.shape, inp.dtype)
        factors = operation.array((out.size,), partial)
        return Diagonal(factors, inp.shape, out.shape, inp.dtype)
    if inp.size == 1:
        column = operation.array(
            (out.size, 1),
            partial if factor is None else lambda: np.full(out.shape, factor, inp.dtype),
        )
        return Dense(column, inp.shape, out.shape, inp.dtype)
    spread = IndexMap(
        lambda: np.broadcast_to(np.arange(inp.size).reshape(inp.shape), out.shape),
        inp.shape,
        out.shape,
        dtype=inp.dtype,
    )
    if is_constant:
        return spread.rescaled(factor, inp.shape, out.shape)
    group = _group(out.shape, axes_to_sum(out.shape, inp.shape))
    if group is not None:
        lead, rows, trail = group
        array = operation.array((lead, rows, 1, trail), partial)
        return Block(array, lead, trail, inp.shape, out.shape, inp.dtype)
    factors = operation.array((out.size,), partial)
    return Product([Diagonal(factors, out.shape, out.shape, inp.dtype), spread])


def _python(number: Any) -> float:
    """Python number, which leaves the dtype of what it multiplies alone."""
    value: float = number.item()
    return value


def _group(shape: Shape, axes: Sequence[int]) -> tuple[int, int, int] | None:
    """Lengths before, of and after axes that stand side by side (lengths of 1 do not count)."""
    long = [axis for axis in axes if shape[axis] > 1]
    if not long:
        return math.prod(shape), 1, 1
    first, last = long[0], long[-1]
    between = [axis for axis in range(first, last + 1) if shape[axis] > 1]
    if between != long:
        return None
    return (
        math.prod(shape[:first]),
        math.prod(shape[first : last + 1]),
        math.prod(shape[last + 1 :]),
    )


# --- opaque ---------------------------------------------------------------------------------------


def _opaque(operation: Operation, position: int, output: int) -> LinearMap:
    inp, out = operation.inputs[position], operation.outputs[output]
    fma = operation.fma(position)
    if not operation.known:
        return Opaque(None, None, fma, inp.shape, out.shape, inp.dtype)
    saved = operation.saved
    assert saved is not None
    pullback = operation.pullback

    def cotangent_of(g: Any) -> Any:
        seed = g
        if len(operation.outputs) > 1:
            seed = tuple(
                g if i == output else zeros(spec) for i, spec in enumerate(operation.outputs)
            )
        cotangent = materialised(pullback.pull(seed, saved)[position])
        if not isinstance(cotangent, (Box, np.ndarray, np.generic)):
            cotangent = np.asarray(cotangent)
        return conform(cotangent, inp.shape, inp.dtype)

    def pull(rows: Any) -> Any:
        count = len(rows)
        if not count:
            return np.zeros((0, inp.size), inp.dtype)
        interpreter = Batch(Tensor, count)
        with open_scope(interpreter):
            g = rows.reshape((count, *out.shape)).astype(out.dtype, copy=False)
            result = interpreter.values(cotangent_of(interpreter.make(g, count)))
        return result.reshape((count, inp.size))

    def push(rows: Any) -> Any:
        count = len(rows)
        if not count:
            return np.zeros((0, out.size), out.dtype)
        interpreter = Batch(Tensor, count)
        with open_scope(interpreter):
            values = rows.reshape((count, *inp.shape)).astype(inp.dtype, copy=False)
            result = interpreter.values(pushed(interpreter.make(values, count)))
        return result.reshape((count, out.size))

    def pushed(tangent: Any) -> Any:
        primitive = operation.primitive
        if primitive.kind == "linear" and not operation.has_constants():
            seeds = [tangent if i == position else zeros(s) for i, s in enumerate(operation.inputs)]
            return primitive.call(*seeds, **operation.params)
        # The pullback is linear in the cotangent, so its own pullback pushes tangents forward
        recorder = Reverse(Tensor)
        with open_scope(recorder):
            seed = recorder.variable(zeros(out))
            cotangent = cotangent_of(seed)
            leaf = seed._payload
            reached: dict[Any, Any] = {}
            own = isinstance(cotangent, Box) and cotangent._interpreter is recorder
            if own and cotangent._payload is not None:
                reached = sweep([(cotangent._payload, cast(tangent, cotangent.dtype))])
        return reached[leaf] if leaf in reached else zeros(out)

    return Opaque(push, pull, fma, inp.shape, out.shape, inp.dtype)


# --- primitives that move and sum elements --------------------------------------------------------


def _identity(operation: Operation, position: int) -> LinearMap:
    inp = operation.inputs[position]
    return Identity(inp.shape, operation.out.shape, inp.dtype)


def _reads(operation: Operation, position: int) -> LinearMap | None:
    """Index map of a primitive that moves elements: what it does to their numbers."""
    if operation.has_constants():
        return None
    inp, out = operation.inputs[position], operation.out
    forward, params = operation.primitive.forward, operation.params

    def index() -> Any:
        numbers = np.arange(1, inp.size + 1).reshape(inp.shape)
        operands = [
            numbers if i == position else np.zeros(spec.shape, numbers.dtype)
            for i, spec in enumerate(operation.inputs)
        ]
        return np.asarray(forward(*operands, **params)).astype(np.intp) - 1

    return IndexMap(index, inp.shape, out.shape, dtype=inp.dtype)


def _sums(index: Callable[[], Any], inp: Spec, out: Spec, factor: float = 1.0) -> LinearMap:
    if inp.size == out.size:
        return Scaled(factor, inp.shape, out.shape, inp.dtype)
    return IndexMap(index, inp.shape, out.shape, True, factor, inp.dtype)


def _reduced(operation: Operation, position: int) -> LinearMap:
    """Sum or mean over axes."""
    inp, out, axis = operation.inputs[0], operation.out, operation.params["axis"]
    factor = 1.0 if operation.primitive.name == "sum" else out.size / inp.size

    def index() -> Any:
        return np.broadcast_to(np.arange(out.size).reshape(kept_shape(inp.shape, axis)), inp.shape)

    return _sums(index, inp, out, factor)


def _unbroadcast(operation: Operation, position: int) -> LinearMap:
    inp, out = operation.inputs[0], operation.out
    return _sums(
        lambda: np.broadcast_to(np.arange(out.size).reshape(out.shape), inp.shape), inp, out
    )


def _scatter(operation: Operation, position: int) -> LinearMap:
    inp, out = operation.inputs[position], operation.out
    template = operation.params["templates"][position]
    return IndexMap(
        lambda: np.arange(out.size).reshape(out.shape)[template],
        inp.shape,
        out.shape,
        True,
        dtype=inp.dtype,
    )


# --- products and blocks --------------------------------------------------------------------------


def _matmul(operation: Operation, position: int) -> LinearMap | None:
    """Kronecker products: of the identity with y transposed, or of x with the identity."""
    x, y = operation.inputs
    inp, out = operation.inputs[position], operation.out
    if position == 0 and y.ndim <= 2:
        inner = x.shape[-1]
        count = x.size // inner
        columns = y.shape[1] if y.ndim == 2 else 1
        array = operation.array(
            (1, columns, inner, 1), lambda: operation.values["y"].T.reshape((columns, inner))
        )
        if count == 1:
            return Dense(_as_matrix(array), inp.shape, out.shape, inp.dtype)
        return Block(array, count, 1, inp.shape, out.shape, inp.dtype)
    if position == 1:
        stack = y.shape[:-2]
        if stack and x.ndim > 2 and x.shape[:-2] != stack:
            return None
        if x.ndim > 2 and not stack and y.ndim == 1:
            count, rows = 1, x.size // x.shape[-1]
        elif x.ndim > 2 and not stack:
            # The one y goes into every product of the stack
            count, rows = 1, x.size // x.shape[-1]
        else:
            count, rows = math.prod(stack), x.shape[-2] if x.ndim > 1 else 1
        inner = x.shape[-1]
        trail = y.shape[-1] if y.ndim > 1 else 1
        shared = 1 if x.ndim <= 2 else count
        array = operation.array((shared, rows, inner, 1), lambda: operation.values["x"])
        if count * trail == 1:
            return Dense(_as_matrix(array), inp.shape, out.shape, inp.dtype)
        return Block(array, count, trail, inp.shape, out.shape, inp.dtype)
    return None


def _as_matrix(array: Any) -> Any:
    return array[1:3] if isinstance(array, tuple) else array[0, :, :, 0]


def _reduction(operation: Operation, position: int) -> LinearMap | None:
    """One row of partials per result: no input element belongs to two."""
    inp, out = operation.inputs[0], operation.out
    group = _group(inp.shape, operation.params["axis"])
    if group is None:
        return None
    lead, columns, trail = group
    array = operation.array((lead, 1, columns, trail), lambda: operation.partials[0])
    if lead * trail == 1:
        return Dense(_as_matrix(array), inp.shape, out.shape, inp.dtype)
    return Block(array, lead, trail, inp.shape, out.shape, inp.dtype)


def _normaliser(operation: Operation, position: int) -> LinearMap | None:
    """Softmax and its logarithm: one square block per row, where rows are short."""
    inp, out = operation.inputs[0], operation.out
    group = _group(inp.shape, operation.params["axis"])
    if group is None or group[1] > LARGEST_BLOCK:
        return None
    lead, length, trail = group

    def blocks() -> Any:
        result = operation.values["out"].reshape((lead, length, 1, trail))
        eye = np.eye(length, dtype=out.dtype).reshape((1, length, length, 1))
        if operation.primitive.name == "softmax":
            return result * (eye - result.swapaxes(1, 2))
        return eye - np.exp(result).swapaxes(1, 2)

    array = operation.array((lead, length, length, trail), blocks)
    if lead * trail == 1:
        return Dense(_as_matrix(array), inp.shape, out.shape, inp.dtype)
    return Block(array, lead, trail, inp.shape, out.shape, inp.dtype)


def _real_part(operation: Operation, position: int) -> LinearMap | None:
    """Of a real array the real part and the conjugate are the array itself."""
    if operation.inputs[0].dtype.kind == "c" or operation.out.dtype.kind == "c":
        return None
    return _identity(operation, position)


LOCAL_JACOBIANS.update(dict.fromkeys(("reshape",), _identity))
LOCAL_JACOBIANS.update(dict.fromkeys(("real", "conjugate", "convert"), _real_part))
LOCAL_JACOBIANS.update(
    dict.fromkeys(
        ("transpose", "broadcast_to", "index", "concatenate", "stack", "pad_zeros", "assign"),
        _reads,
    )
)
LOCAL_JACOBIANS.update(dict.fromkeys(("sum", "mean"), _reduced))
LOCAL_JACOBIANS.update(dict.fromkeys(("prod", "max", "min", "logsumexp"), _reduction))
LOCAL_JACOBIANS.update(dict.fromkeys(("softmax", "log_softmax"), _normaliser))
LOCAL_JACOBIANS.update({"unbroadcast": _unbroadcast, "scatter": _scatter, "matmul": _matmul})


def operation_at(
    primitive: Primitive,
    active: Sequence[bool],
    inputs: Sequence[Any],
    out: Any,
    params: Mapping[str, Any],
) -> Operation:
    """Return the operation of a primitive evaluated on values, some of them differentiated."""
    pullback = primitive.pullbacks[tuple(active)]
    if pullback is None:
        raise ValueError(f"{primitive.name} has no derivative")
    outs = out if isinstance(out, tuple) else (out,)
    return Operation(
        primitive,
        pullback,
        pullback.save(out, dict(params), *inputs),
        [spec_of(value) for value in inputs],
        [spec_of(value) for value in outs],
        params,
    )
