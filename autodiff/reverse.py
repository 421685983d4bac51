"""Reverse mode: record what was computed, then sweep it backwards.

Each operation on a boxed input adds a `Node`: the compiled pullback, the parents, and the values
that the rules name. Nodes are numbered as they are made, so descending numbers are a topological
order of the graph: the sweep keeps the numbers that have a cotangent in a heap, and never
recurses.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Any

import numpy as np

from autodiff.cotangent import Parts, Slot, conform, keep_zero
from autodiff.debug import check_finite, source_line
from autodiff.dispatch import Box, Interpreter, modes, thread_state
from autodiff.errors import RuleError, TapeReleasedError
from autodiff.ops.index import Scattered
from autodiff.ops.protocol import as_input
from autodiff.primitive import Primitive
from autodiff.rules import Pullback
from autodiff.spec import Shape, Spec, is_inexact, protected, spec_of

__all__ = ["Leaf", "Node", "Projection", "Reverse", "add_hook", "sweep"]

_next_sequence = itertools.count().__next__
_UNARY = (True,)
_BOTH = (True, True)
_FIRST = (True, False)
_SECOND = (False, True)
_NO_PARAMS: dict[str, Any] = {}
_PLAIN = frozenset({np.ndarray, np.float64, float, int, np.float32, np.complex128, complex})
_new = object.__new__


class Node:
    """One recorded operation.

    ``parents`` has one entry per input: a node, or for a constant its number or `Spec`. ``saved``
    is None once a sweep has released it. ``outputs`` exists for operations with several outputs.
    """

    __slots__ = (
        "__weakref__",
        "dtype",
        "grad",
        "name",
        "outputs",
        "params",
        "parents",
        "pullback",
        "saved",
        "sequence",
        "shape",
        "source",
    )

    pullback: Pullback | Projection | None
    name: str | None
    grad: Any
    outputs: tuple[Spec, ...]
    source: str | None

    def __init__(
        self,
        pullback: Pullback | Projection | None,
        parents: tuple[Any, ...],
        saved: tuple[Any, ...] | None,
        shape: Shape,
        dtype: np.dtype[Any],
        params: dict[str, Any],
    ) -> None:
        self.sequence = _next_sequence()
        self.pullback = pullback
        self.parents = parents
        self.saved = saved
        self.shape = shape
        self.dtype = dtype
        self.params = params


class Leaf(Node):
    """An input of the graph: what derivatives are taken with respect to."""

    __slots__ = ()

    def __init__(self, shape: Shape, dtype: np.dtype[Any], name: str | None = None) -> None:
        super().__init__(None, (), (), shape, dtype, _NO_PARAMS)
        self.grad = None
        self.name = name


class Projection:
    """Pullback of choosing one output of an operation that has several."""

    __slots__ = ("position", "rule_names")

    def __init__(self, position: int) -> None:
        self.position = position
        self.rule_names = (f"output {position}",)

    def pull(self, g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        return (Slot(self.position, g),)


class Reverse(Interpreter):
    """Records operations as nodes. A box's payload is its node; None marks a constant."""

    transform = "grad or vjp"

    def process_unary(self, primitive: Primitive, x: Any) -> Any:
        if modes.open:
            return self.process(primitive, (x,), _NO_PARAMS)
        node = x._payload
        value = x._value
        out = primitive.call(value)
        pullback = primitive.pullbacks[_UNARY]
        if node is None or pullback is None or type(out) is tuple:
            return self.process(primitive, (x,), _NO_PARAMS)
        box = _new(self.box)
        box._value = out
        box._interpreter = self
        box._payload = Node(
            pullback,
            (node,),
            pullback.save(out, _NO_PARAMS, value),
            out.shape,
            out.dtype,
            _NO_PARAMS,
        )
        return box

    def process_binary(self, primitive: Primitive, x: Any, y: Any) -> Any:
        if modes.open:
            return self.process(primitive, (x, y), _NO_PARAMS)
        x_parent: Any
        y_parent: Any
        if isinstance(x, Box) and x._interpreter is self:
            x_parent = x._payload
            x_value = x._value
            if isinstance(y, Box) and y._interpreter is self:
                y_parent = y._payload
                y_value = y._value
                if x_parent is None or y_parent is None:
                    return self.process(primitive, (x, y), _NO_PARAMS)
                pullback = primitive.pullbacks[_BOTH]
            else:
                if x_parent is None or type(y) not in _PLAIN:
                    return self.process(primitive, (x, y), _NO_PARAMS)
                pullback = primitive.pullbacks[_FIRST]
                y_value = y_parent = y
                if type(y) is np.ndarray:
                    if y.dtype.kind not in "fciub" or pullback is None:
                        return self.process(primitive, (x, y), _NO_PARAMS)
                    y_parent = Spec(y.shape, y.dtype)
                    if pullback.saves[1]:
                        y_value = protected(y)
        else:
            y_parent = y._payload
            y_value = y._value
            if y_parent is None or type(x) not in _PLAIN:
                return self.process(primitive, (x, y), _NO_PARAMS)
            pullback = primitive.pullbacks[_SECOND]
            x_value = x_parent = x
            if type(x) is np.ndarray:
                if x.dtype.kind not in "fciub" or pullback is None:
                    return self.process(primitive, (x, y), _NO_PARAMS)
                x_parent = Spec(x.shape, x.dtype)
                if pullback.saves[0]:
                    x_value = protected(x)
        if pullback is None:
            return self.process(primitive, (x, y), _NO_PARAMS)
        out = primitive.call(x_value, y_value)
        if type(out) is tuple:
            return self.process(primitive, (x, y), _NO_PARAMS)
        box = _new(self.box)
        box._value = out
        box._interpreter = self
        box._payload = Node(
            pullback,
            (x_parent, y_parent),
            pullback.save(out, _NO_PARAMS, x_value, y_value),
            out.shape,
            out.dtype,
            _NO_PARAMS,
        )
        return box

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        values: list[Any] = []
        parents: list[Any] = []
        active: list[bool] = []
        for position, value in enumerate(inputs):
            parent: Any = None
            if isinstance(value, Box) and value._interpreter is self:
                parent = value._payload
                value = value._value
            else:
                value = as_input(value, primitive)
            is_active = (
                parent is not None and primitive.input_name(position) not in primitive.constant
            )
            if not is_active:
                parent = value if isinstance(value, (int, float, complex)) else spec_of(value)
            values.append(value)
            parents.append(parent)
            active.append(is_active)
        out = primitive.call(*values, **params)
        if modes.open and thread_state.debug:
            check_finite(out, f"forward of {primitive.name}", source_line())
        suspended = modes.open and self.level < thread_state.no_grad_level
        pullback = None if suspended or not any(active) else primitive.pullbacks[tuple(active)]
        if pullback is None:
            if isinstance(out, tuple):
                return tuple(self._constant(part) for part in out)
            return self._constant(out)
        for position, saves in enumerate(pullback.saves):
            if saves and not active[position]:
                values[position] = protected(values[position])
        saved = pullback.save(out, params, *values)
        if isinstance(out, tuple):
            return self._record_outputs(pullback, tuple(parents), saved, out, params)
        if not is_inexact(out.dtype):
            return out
        node = Node(pullback, tuple(parents), saved, out.shape, out.dtype, params)
        if modes.open and thread_state.debug:
            node.source = source_line()
        return self.make(out, node)

    def _constant(self, out: Any) -> Any:
        """Box a result without derivative; booleans and integers stay plain arrays."""
        return self.make(out, None) if is_inexact(spec_of(out).dtype) else out

    def _record_outputs(
        self,
        pullback: Pullback,
        parents: tuple[Any, ...],
        saved: tuple[Any, ...],
        outs: tuple[Any, ...],
        params: dict[str, Any],
    ) -> tuple[Any, ...]:
        """Record an operation with several outputs: its node, and a projection for each output."""
        node = Node(pullback, parents, saved, (), np.dtype(float), params)
        node.outputs = tuple(map(spec_of, outs))
        boxes = []
        for position, out in enumerate(outs):
            if not is_inexact(out.dtype):
                boxes.append(out)
                continue
            projection = Node(
                Projection(position), (node,), (), out.shape, out.dtype, _NO_PARAMS
            )
            boxes.append(self.make(out, projection))
        return tuple(boxes)

    def variable(self, value: Any, name: str | None = None) -> Any:
        """Box a value as an input to differentiate with respect to."""
        return self.make(value, Leaf(value.shape, value.dtype, name))

    def backward(self, box: Box, gradient: Any, keep_tape: bool, keep_grads: bool) -> None:
        node = box._payload
        if node is None:
            raise ValueError(
                "backward() on a constant Tensor: it depends on no variable (it comes from "
                "detach(), stop_gradient, or was computed under no_grad)"
            )
        for leaf, cotangent in sweep(
            [(node, gradient)], keep_tape=keep_tape, keep_grads=keep_grads
        ).items():
            _accumulate_grad(leaf, cotangent)


def _accumulate_grad(node: Node, cotangent: Any) -> None:
    """Add to ``.grad``; it never shares memory with the tape, the seed, or another ``.grad``."""
    former = getattr(node, "grad", None)
    if former is not None:
        node.grad = former + cotangent
    elif isinstance(cotangent, Box):
        node.grad = cotangent
    else:
        node.grad = np.array(cotangent)


_hooks: weakref.WeakKeyDictionary[Node, list[Callable[[Any], Any]]] = weakref.WeakKeyDictionary()


def add_hook(node: Node, hook: Callable[[Any], Any]) -> Callable[[], None]:
    """Call `hook` with a node's cotangent in each sweep; returns a function that removes it."""
    hooks = _hooks.setdefault(node, [])
    hooks.append(hook)
    return lambda: hooks.remove(hook)


def _run_hooks(node: Node, g: Any) -> Any:
    for hook in list(_hooks.get(node, ())):
        replaced = hook(g)
        if replaced is not None:
            replaced = replaced if isinstance(replaced, Box) else np.asarray(replaced)
            if replaced.shape != node.shape:
                raise RuleError(
                    f"hook {getattr(hook, '__name__', hook)!r} returned a cotangent of shape "
                    f"{replaced.shape} for a Tensor of shape {node.shape}"
                )
            g = replaced
    return g


def sweep(
    seeds: Iterable[tuple[Node, Any]], *, keep_tape: bool = False, keep_grads: bool = False
) -> dict[Node, Any]:
    """Pull cotangents back from the seeded nodes to the leaves.

    Parameters
    ----------
    seeds : pairs of a node and its cotangent (of the node's shape and dtype)
    keep_tape : keep saved values, so that another sweep can follow.
    keep_grads : add each intermediate's cotangent to its ``grad``.

    Returns
    -------
    dict
        Cotangent by leaf, for the leaves that were reached.

    Raises
    ------
    TapeReleasedError
        An earlier sweep released what this one needs.
    RuleError
        A rule returned something that is not a cotangent of its input.
    """
    leaves: dict[Node, Any] = {}
    pending: dict[int, list[Any]] = {}
    heap: list[int] = []
    strong = modes.open and thread_state.strong_zero
    debug = modes.open and thread_state.debug
    for node, g in seeds:
        _deliver(node, g, pending, heap, leaves)
    while heap:
        node, g = pending.pop(-heappop(heap))
        if type(g) is Parts:
            g = g.total(getattr(node, "outputs", None))
        if _hooks and node in _hooks:
            g = _run_hooks(node, g)
        if keep_grads and type(g) is not tuple:
            _accumulate_grad(node, g)
        saved = node.saved
        if saved is None:
            raise _released(node)
        pullback = node.pullback
        cotangents = pullback.pull(g, saved)
        if not keep_tape:
            node.saved = None
        position = -1
        for parent, cotangent in zip(node.parents, cotangents):
            position += 1
            if cotangent is None:
                continue
            kind = type(cotangent)
            if kind is not Scattered and kind is not Slot:
                if strong and pullback.primitive.has_partials:
                    cotangent = keep_zero(g, cotangent)
                try:
                    if cotangent.shape != parent.shape or cotangent.dtype is not parent.dtype:
                        cotangent = _mend(cotangent, parent, pullback, position)
                except AttributeError:
                    cotangent = _mend(cotangent, parent, pullback, position)
                if debug:
                    source = getattr(node, "source", None)
                    check_finite(cotangent, f"rule {pullback.rule_names[position]}", source)
                if parent.pullback is not None:
                    sequence = parent.sequence
                    entry = pending.get(sequence)
                    if entry is None:
                        pending[sequence] = [parent, cotangent]
                        heappush(heap, -sequence)
                        continue
                    if type(entry[1]) is not Parts:
                        entry[1] = entry[1] + cotangent
                        continue
            _deliver(parent, cotangent, pending, heap, leaves)
    for leaf, g in leaves.items():
        if type(g) is Parts:
            leaves[leaf] = g = g.total(None)
        if _hooks and leaf in _hooks:
            leaves[leaf] = _run_hooks(leaf, g)
    return leaves


def _deliver(
    node: Node, g: Any, pending: dict[int, list[Any]], heap: list[int], leaves: dict[Node, Any]
) -> None:
    """Add one cotangent, whole or in parts, to what a node or leaf has received."""
    is_leaf = node.pullback is None
    if is_leaf:
        former = leaves.get(node)
    else:
        entry = pending.get(node.sequence)
        former = None if entry is None else entry[1]
    if isinstance(g, (Scattered, Slot)):
        if type(former) is Parts:
            former.parts.append(g)
            return
        total = Parts()
        total.parts.append(g)
        total.whole = former
        g = total
    elif type(former) is Parts:
        former.whole = g if former.whole is None else former.whole + g
        return
    elif former is not None:
        g = former + g
    if is_leaf:
        leaves[node] = g
    elif former is None:
        pending[node.sequence] = [node, g]
        heappush(heap, -node.sequence)
    else:
        pending[node.sequence][1] = g


def _mend(cotangent: Any, parent: Node, pullback: Pullback | Projection, position: int) -> Any:
    """Sum out broadcasting and cast; refuse what cannot be a cotangent of the input."""
    rule = pullback.rule_names[position]
    if not isinstance(cotangent, (Box, np.ndarray, np.generic)):
        if not isinstance(cotangent, (int, float, complex)):
            raise RuleError(
                f"{rule} returned {type(cotangent).__name__}; it must return an array or Tensor"
            )
        cotangent = np.asarray(cotangent)
    if cotangent.dtype.kind not in "fciub":
        raise RuleError(f"{rule} returned an array of dtype {cotangent.dtype}")
    if cotangent.shape != parent.shape and not (
        isinstance(pullback, Pullback) and pullback.primitive.has_partials
    ):
        raise RuleError(
            f"{rule} returned a cotangent of shape {cotangent.shape} for an input of shape "
            f"{parent.shape}"
        )
    try:
        return conform(cotangent, parent.shape, parent.dtype)
    except ValueError as error:
        raise RuleError(
            f"{rule} returned a partial that does not broadcast to the output: cotangent of "
            f"shape {cotangent.shape} for an input of shape {parent.shape}"
        ) from error


def _released(node: Node) -> TapeReleasedError:
    name = node.pullback.primitive.name if isinstance(node.pullback, Pullback) else "output"
    return TapeReleasedError(
        f"backward: the values saved for {name} were released by an earlier backward sweep; pass "
        "keep_tape=True to the earlier one, or run the forward computation again"
    )
