"""Reverse mode: record what was computed, then sweep it backwards.

Each operation on a boxed input adds a `Node`: the compiled pullback, the parents, and the values
that the rules name. Nodes are numbered as they are made, so descending numbers are a topological
order of the graph: the sweep keeps the numbers that have a cotangent in a heap, and never
recurses.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from heapq import heappop, heappush, heappushpop
from operator import attrgetter
from typing import Any

import numpy as np

from autodiff.cotangent import Parts, Slot, conform, keep_zero
from autodiff.debug import check_finite, source_line
from autodiff.dispatch import Box, Interpreter, modes, thread_state
from autodiff.errors import RuleError, TapeReleasedError
from autodiff.ops.index import Scattered
from autodiff.ops.protocol import as_input
from autodiff.primitive import Primitive
from autodiff.reuse import LARGE, only_holder
from autodiff.rules import Pullback
from autodiff.spec import Spec, is_inexact, protected, spec_of

__all__ = ["Leaf", "Node", "Projection", "Reverse", "add_hook", "nodes_behind", "owned", "sweep"]

_next_sequence = itertools.count().__next__
_SEQUENCE = attrgetter("sequence")
_NO_PARAMS: dict[str, Any] = {}
_PLAIN = frozenset({np.ndarray, np.float64, float, int, np.float32, np.complex128})
_SCALARS = frozenset({np.float64, np.float32, np.complex128})
_new = object.__new__
_array = np.ndarray


class Node:
    """One recorded operation.

    ``parents`` has one entry per input: a node, or for a constant its number or `Spec`. ``saved``
    is None once a sweep has released it. ``form`` describes the result: the type of a NumPy
    scalar, which says all there is to know, or else (shape, dtype). Only some nodes have
    ``params`` (there are any), ``outputs`` (there are several), ``source`` (recorded under
    ``debug()``), ``name``, ``grad`` and ``hooks``.

    There is no ``__init__``: an object made empty and filled in costs a third of one that is made
    by a constructor in Python (`_node`, off the hot path, is the same with less to write).
    """

    __slots__ = (
        "form",
        "grad",
        "hooks",
        "name",
        "outputs",
        "params",
        "parents",
        "pullback",
        "saved",
        "sequence",
        "source",
    )

    sequence: int
    pullback: Pullback | Projection | None
    parents: tuple[Any, ...]
    saved: tuple[Any, ...] | None
    form: Any
    params: dict[str, Any]
    outputs: tuple[Spec, ...]
    source: str | None
    name: str | None
    grad: Any
    hooks: list[Callable[[Any], Any]]

    @property
    def spec(self) -> Spec:
        """Shape and dtype of the result."""
        form = self.form
        return Spec(*form) if type(form) is tuple else Spec((), np.dtype(form))


class Leaf(Node):
    """An input of the graph: what derivatives are taken with respect to.

    ``value`` is its present value, and ``assigned`` the sequence number at which it got that.
    """

    __slots__ = ("assigned", "value")

    def __init__(self, value: Any, name: str | None = None) -> None:
        self.sequence = _next_sequence()
        self.pullback = None
        self.parents = ()
        self.saved = ()
        self.form = _form_of(value)
        self.grad = None
        self.name = name
        self.value = value
        self.assigned = self.sequence

    def assign(self, value: Any) -> None:
        """Replace the value; what was recorded before keeps the former one."""
        self.value = value
        self.assigned = _next_sequence()


def _form_of(value: Any) -> Any:
    return type(value) if type(value) in _SCALARS else (value.shape, value.dtype)


def _node(
    pullback: Pullback | Projection,
    parents: tuple[Any, ...],
    saved: tuple[Any, ...],
    out: Any,
) -> Node:
    node = Node()
    node.sequence = _next_sequence()
    node.pullback = pullback
    node.parents = parents
    node.saved = saved
    node.form = _form_of(out)
    return node


class Projection:
    """Pullback of choosing one output of an operation that has several."""

    __slots__ = ("position", "rule_names")

    # As of a `Pullback`
    trusted = False
    pull_over = None

    def __init__(self, position: int) -> None:
        self.position = position
        self.rule_names = (f"output {position}",)

    def pull(self, g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        """Hand the cotangent on as one output's."""
        return (Slot(self.position, g),)


class Reverse(Interpreter):
    """Records operations as nodes. A box's payload is its node; None marks a constant."""

    transform = "grad or vjp"

    # The two entries below do what `process` does, for the operations that programs are made of,
    # with what a small array's arithmetic would notice left out: tuples of inputs and activity,
    # parameters, and constructors. What is not plain sailing (a mode, a constant, a first use)
    # goes to `process`.
    #
    # - A function that hangs on an object is put in a local variable before it is called: Python
    #   3.11 has a fast path for methods of a class, and one for reading an attribute, but none for
    #   calling what it reads.
    # - Making an array's form, (shape, dtype), costs as much as recording a number. Where the
    #   primitive is `closed`, operands of one form give that form, so it is handed on; equal forms
    #   are made one object on the way, and from then on compared by identity, in the sweep too.

    def process_unary(self, primitive: Primitive, x: Any) -> Any:
        """Record a primitive of one input and no parameters."""
        parent = x._payload
        pullback = primitive.pullback_unary
        if pullback is None or parent is None or modes.open:
            return self.process(primitive, (x,), _NO_PARAMS)
        value = x._value
        # Where no box lies below, the function itself can be called.
        if self.level and type(value) not in _PLAIN:
            out = primitive.call(value)
        else:
            try:
                forward = primitive.forward
                out = forward(value)
            except (TypeError, ValueError, IndexError) as error:
                raise primitive.explained(error, value) from error
        node = Node()
        node.sequence = _next_sequence()
        node.pullback = pullback
        node.parents = (parent,)
        if pullback.saves_inputs:
            node.saved = (value,)
        elif pullback.saves_out:
            node.saved = (out,)
        else:
            save = pullback.save
            node.saved = save(out, _NO_PARAMS, value)
        kind = type(out)
        form = parent.form
        if kind is not form and not (primitive.closed and kind is _array and out.dtype is form[1]):
            form = kind if kind in _SCALARS else (out.shape, out.dtype)
        node.form = form
        box = _new(self.box)
        box._value = out
        box._interpreter = self
        box._payload = node
        return box

    def process_binary(self, primitive: Primitive, x: Any, y: Any) -> Any:
        """Record a primitive of two inputs and no parameters."""
        pullback: Pullback | None
        if type(y) is self.box and y._interpreter is self:
            y_parent = y._payload
            y_value = y._value
            if type(x) is self.box and x._interpreter is self:
                x_parent = x._payload
                x_value = x._value
                pullback = primitive.pullback_both
                if pullback is None or x_parent is None or y_parent is None or modes.open:
                    return self.process(primitive, (x, y), _NO_PARAMS)
                form = x_parent.form
                if form is not y_parent.form:
                    if form == y_parent.form:
                        y_parent.form = form  # one object: identity decides from now on
                    else:
                        form = None
            else:
                if type(x) not in _PLAIN:
                    return super().process_binary(primitive, x, y)
                pullback = primitive.pullback_second
                if pullback is None or y_parent is None or modes.open:
                    return self.process(primitive, (x, y), _NO_PARAMS)
                x_value = x_parent = x
                form = y_parent.form
                if type(x) is _array:
                    if x.dtype.kind not in "fciub":
                        return self.process(primitive, (x, y), _NO_PARAMS)
                    x_parent = Spec(x.shape, x.dtype)
                    if form != x_parent:
                        form = None
                    if pullback.saves[0]:
                        x_value = protected(x)
        else:
            if type(y) not in _PLAIN:
                return super().process_binary(primitive, x, y)
            pullback = primitive.pullback_first
            x_parent = x._payload
            if pullback is None or x_parent is None or modes.open:
                return self.process(primitive, (x, y), _NO_PARAMS)
            x_value = x._value
            y_value = y_parent = y
            form = x_parent.form
            if type(y) is _array:
                if y.dtype.kind not in "fciub":
                    return self.process(primitive, (x, y), _NO_PARAMS)
                y_parent = Spec(y.shape, y.dtype)
                if form != y_parent:
                    form = None
                if pullback.saves[1]:
                    y_value = protected(y)
        if self.level and not (type(x_value) in _PLAIN and type(y_value) in _PLAIN):
            out = primitive.call(x_value, y_value)
        else:
            try:
                forward = primitive.forward
                out = forward(x_value, y_value)
            except (TypeError, ValueError, IndexError) as error:
                raise primitive.explained(error, x_value, y_value) from error
        node = Node()
        node.sequence = _next_sequence()
        node.pullback = pullback
        node.parents = (x_parent, y_parent)
        if pullback.saves_inputs:
            node.saved = (x_value, y_value)
        elif pullback.names:
            save = pullback.save
            node.saved = save(out, _NO_PARAMS, x_value, y_value)
        else:
            node.saved = ()
        kind = type(out)
        if kind is not form and not (
            primitive.closed and kind is _array and form is not None and out.dtype is form[1]
        ):
            form = kind if kind in _SCALARS else (out.shape, out.dtype)
        node.form = form
        box = _new(self.box)
        box._value = out
        box._interpreter = self
        box._payload = node
        return box

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate and record any primitive."""
        special = modes.open
        if special:
            capture = self.capturing()
            if capture is not None:
                return capture.process(primitive, inputs, params)
        constant = primitive.constant
        values: list[Any] = []
        parents: list[Any] = []
        active: list[bool] = []
        for value in inputs:
            parent: Any = None
            if isinstance(value, Box) and value._interpreter is self:
                parent = value._payload
                value = value._value
            else:
                value = as_input(value, primitive)
            is_active = parent is not None and not (
                constant and primitive.input_name(len(values)) in constant
            )
            if not is_active:
                parent = value if isinstance(value, (int, float, complex)) else spec_of(value)
            values.append(value)
            parents.append(parent)
            active.append(is_active)
        out = primitive.call(*values, **params)
        if special and thread_state.debug:
            check_finite(out, f"forward of {primitive.name}", source_line())
        pattern = tuple(active)
        suspended = special and self.level < thread_state.no_grad_level
        pullback = None if suspended or True not in pattern else primitive.pullbacks[pattern]
        if pullback is None:
            if isinstance(out, tuple):
                return tuple(self._constant(part) for part in out)
            return self._constant(out)
        if False in pattern:
            for position, saves in enumerate(pullback.saves):
                if saves and not active[position]:
                    values[position] = protected(values[position])
        saved = pullback.save(out, params, *values)
        if isinstance(out, tuple):
            return self._record_outputs(pullback, tuple(parents), saved, out, params)
        if not is_inexact(out.dtype):
            return out
        node = _node(pullback, tuple(parents), saved, out)
        if params:
            node.params = params
        elif not primitive.params:
            primitive.remember(pattern, pullback)
        if special:
            if thread_state.debug:
                node.source = source_line()
            if thread_state.observer is not None:
                thread_state.observer.recorded(node, out)
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
        node = _node(pullback, parents, saved, outs[0])
        node.params = params
        node.outputs = tuple(map(spec_of, outs))
        observer = thread_state.observer if modes.open else None
        if observer is not None:
            observer.recorded(node, outs[0])
        boxes = []
        for position, out in enumerate(outs):
            if not is_inexact(out.dtype):
                boxes.append(out)
                continue
            projection = _node(Projection(position), (node,), (), out)
            if observer is not None:
                observer.recorded(projection, out)
            boxes.append(self.make(out, projection))
        return tuple(boxes)

    def variable(self, value: Any, name: str | None = None) -> Any:
        """Box a value as an input to differentiate with respect to."""
        leaf = Leaf(value, name)
        if modes.open and thread_state.observer is not None:
            thread_state.observer.recorded(leaf, value)
        return self.make(value, leaf)

    def backward(self, box: Box, gradient: Any, keep_tape: bool, keep_grads: bool) -> None:
        """Sweep from a box and add to the ``grad`` of the leaves."""
        node = box._payload
        if node is None:
            raise ValueError(
                "backward() on a constant Tensor: it depends on no variable (it comes from "
                "detach(), stop_gradient, or was computed under no_grad)"
            )
        given = {id(gradient)}
        reached = sweep([(node, gradient)], keep_tape=keep_tape, keep_grads=keep_grads)
        for leaf, cotangent in reached.items():
            _accumulate_grad(leaf, owned(cotangent, given))


def owned(cotangent: Any, given: set[int]) -> Any:
    """Array that a caller may keep and write to: nobody else sees its memory.

    `given` holds the identities of arrays that are somebody's already: the seeds, and what was
    handed out before. A rule is linear in its cotangent, so what it returns is new, or the
    cotangent itself, or a view: never a saved array.
    """
    if isinstance(cotangent, np.ndarray):
        shared = cotangent.base is not None or not cotangent.flags.writeable
        if not cotangent.ndim:
            return cotangent[()]
        if shared or id(cotangent) in given:
            return np.array(cotangent)
        given.add(id(cotangent))
    return cotangent


def _accumulate_grad(node: Node, cotangent: Any) -> None:
    """Add to ``.grad``, an array also where the cotangent is a NumPy scalar."""
    former = getattr(node, "grad", None)
    if former is not None:
        cotangent = former + cotangent
    node.grad = cotangent if isinstance(cotangent, Box) else np.asarray(cotangent)


def add_hook(node: Node, hook: Callable[[Any], Any]) -> Callable[[], None]:
    """Call `hook` with a node's cotangent in each sweep; returns a function that removes it."""
    _Hooks.exist = True
    if not hasattr(node, "hooks"):
        node.hooks = []
    node.hooks.append(hook)
    return lambda: node.hooks.remove(hook)


def nodes_behind(outputs: Iterable[Node | None]) -> list[Node]:
    """Nodes that the outputs depend on, themselves included, in the order of evaluation."""
    seen = {node for node in outputs if node is not None}
    stack = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=_SEQUENCE)


class _Hooks:
    """Whether any hook was ever added: sweeps look for hooks only then."""

    exist = False


def _run_hooks(node: Node, g: Any) -> Any:
    for hook in list(node.hooks):
        replaced = hook(g)
        if replaced is not None:
            replaced = replaced if isinstance(replaced, Box) else np.asarray(replaced)
            if spec_of(replaced) != node.spec:
                raise RuleError(
                    f"hook {getattr(hook, '__name__', hook)!r} returned a cotangent "
                    f"{spec_of(replaced)} for a Tensor {node.spec}"
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
    observer = thread_state.observer if modes.open else None
    if observer is None:
        return _sweep(seeds, keep_tape, keep_grads)
    with observer.sweeping():
        leaves = _sweep(seeds, keep_tape, keep_grads)
        for leaf, cotangent in leaves.items():
            observer.received(leaf, cotangent)
    return leaves


def _sweep(seeds: Iterable[tuple[Node, Any]], keep_tape: bool, keep_grads: bool) -> dict[Node, Any]:
    received: dict[Node, Any] = {}
    heap: list[tuple[int, Node]] = []
    careful = modes.open and (
        thread_state.strong_zero or thread_state.debug or thread_state.observer is not None
    )
    hooked = _Hooks.exist
    observed = hooked or keep_grads
    in_parts = reusing = shown = False
    for node, g in seeds:
        _deliver(node, g, received, heap)
    # The last node that got its first cotangent waits outside the heap: in a chain it is the next
    # one to go, and the heap stays empty.
    ready: Node | None = None
    cotangents: Any
    cotangent: Any
    former: Any
    while True:
        if ready is None:
            if not heap:
                break
            node = heappop(heap)[1]
        elif heap:
            node = heappushpop(heap, (-ready.sequence, ready))[1]
        else:
            node = ready
        ready = None
        g = received.pop(node)
        if in_parts and type(g) is Parts:
            g = g.total(getattr(node, "outputs", None))
        saved = node.saved
        if saved is None:
            raise _released(node)
        pullback: Any = node.pullback
        if observed:
            if hooked and getattr(node, "hooks", None):
                g = _run_hooks(node, g)
                shown = True
            if keep_grads and type(g) is not tuple:
                _accumulate_grad(node, g if isinstance(g, Box) else np.array(g))
        pull = pullback.pull
        if reusing:
            # What the last round left behind must neither hold memory nor count as a holder.
            cotangents = cotangent = former = None
            if (
                type(g) is _array
                and pullback.pull_over is not None
                and g.nbytes >= LARGE
                and only_holder(g, 1)
            ):
                pull = pullback.pull_over
        cotangents = _pulled(node, g, saved) if careful else pull(g, saved)
        if not keep_tape:
            node.saved = None
        position = -1  # counted by hand: zip and enumerate cost more than the loop
        for parent in node.parents:
            position += 1
            cotangent = cotangents[position]
            if cotangent is None:
                continue
            if careful:
                cotangent = _inspected(cotangent, g, node, position)
            kind: Any = type(cotangent)
            form = parent.form
            if (
                kind is not form
                and not (form is node.form and pullback.trusted)
                and not (kind is _array and (cotangent.shape, cotangent.dtype) == form)
            ):
                if kind is Scattered or kind is Slot:
                    in_parts = True
                    _deliver(parent, cotangent, received, heap)
                    continue
                cotangent = _mend(cotangent, node, position)
                kind = None  # no longer what the rule returned: not looked at for reuse
            former = received.get(parent)
            if former is None:
                received[parent] = cotangent
                if kind is _array and not reusing and cotangent.nbytes >= LARGE:
                    reusing = not careful
                if parent.pullback is not None:
                    if ready is not None:
                        heappush(heap, (-ready.sequence, ready))
                    ready = parent
            elif reusing:
                # See `reuse`: `former` is the one holder now, `cotangent` and `cotangents` are two.
                received[parent] = None
                arrays = kind is _array and type(former) is _array
                if arrays and only_holder(former, 1):
                    received[parent] = np.add(former, cotangent, out=former)
                elif arrays and only_holder(cotangent, 2):
                    received[parent] = np.add(former, cotangent, out=cotangent)
                else:
                    received[parent] = former + cotangent
            else:
                received[parent] = former + cotangent
    # Leaves are never pushed, so they are what is left.
    for leaf, g in received.items():
        if type(g) is Parts:
            g = g.total(None)
        if hooked and getattr(leaf, "hooks", None):
            g = _run_hooks(leaf, g)
            shown = True
        received[leaf] = g
    if shown:
        # Hooks may keep what they were given, and what they returned is theirs.
        for leaf, g in received.items():
            received[leaf] = np.array(g) if isinstance(g, np.ndarray) else g
    return received


def _pulled(node: Node, g: Any, saved: tuple[Any, ...]) -> Any:
    """Cotangents under a mode: where strong zeros stand in, NumPy need not warn of 0/0."""
    assert node.pullback is not None
    if thread_state.observer is not None:
        thread_state.observer.pulling(node, g)
    if not thread_state.strong_zero:
        return node.pullback.pull(g, saved)
    with np.errstate(divide="ignore", invalid="ignore"):
        return node.pullback.pull(g, saved)


def _deliver(node: Node, g: Any, received: dict[Node, Any], heap: list[tuple[int, Node]]) -> None:
    """Add one cotangent, whole or in parts, to what a node has received."""
    in_parts = isinstance(g, (Scattered, Slot))
    former = received.get(node)
    if former is None and node.pullback is not None:
        heappush(heap, (-node.sequence, node))
    if in_parts:
        if type(former) is not Parts:
            received[node] = Parts(former)
        received[node].parts.append(g)
    else:
        received[node] = g if former is None else former + g


def _inspected(cotangent: Any, g: Any, node: Node, position: int) -> Any:
    """Apply ``strong_zero()`` and ``debug()`` to what a rule returned."""
    if isinstance(cotangent, (Scattered, Slot)):
        return cotangent
    pullback = node.pullback
    if (
        thread_state.strong_zero
        and isinstance(pullback, Pullback)
        and pullback.primitive.has_partials
    ):
        cotangent = keep_zero(g, cotangent)
    if thread_state.debug:
        assert pullback is not None
        rule = pullback.rule_names[position]
        check_finite(cotangent, f"rule {rule}", getattr(node, "source", None))
    return cotangent


def _mend(cotangent: Any, node: Node, position: int) -> Any:
    """Sum out broadcasting and cast; refuse what cannot be a cotangent of the input."""
    pullback = node.pullback
    assert pullback is not None
    rule = pullback.rule_names[position]
    spec: Spec = node.parents[position].spec
    if not isinstance(cotangent, (Box, np.ndarray, np.generic)):
        if not isinstance(cotangent, (int, float, complex)):
            raise RuleError(
                f"{rule} returned {type(cotangent).__name__}; it must return an array or Tensor"
            )
        cotangent = np.asarray(cotangent)
    got = spec_of(cotangent)
    if got.dtype.kind not in "fciub":
        raise RuleError(f"{rule} returned an array of dtype {got.dtype}")
    broadcasts = isinstance(pullback, Pullback) and pullback.primitive.has_partials
    if got.shape != spec.shape and not broadcasts:
        raise RuleError(
            f"{rule} returned a cotangent of shape {got.shape} for an input of shape {spec.shape}"
        )
    try:
        return conform(cotangent, spec.shape, spec.dtype)
    except ValueError as error:
        raise RuleError(
            f"{rule} returned a partial that does not broadcast to the output: "
            f"cotangent of shape {got.shape} for an input of shape {spec.shape}"
        ) from error


def _released(node: Node) -> TapeReleasedError:
    name = node.pullback.primitive.name if isinstance(node.pullback, Pullback) else "output"
    return TapeReleasedError(
        f"backward: the values saved for {name} were released by an earlier backward sweep; pass "
        "keep_tape=True to the earlier one, or run the forward computation again"
    )
