"""Whole functions as primitives: recomputed ones, and ones with derivative rules of their own.

A function called on Tensors becomes a `Call`, a primitive made for that call. Its inputs are the
Tensors among the arguments and those that the function uses from outside (closed over, global,
attributes of its objects): they are found by running the function once under a `Capture`, an
interpreter to which every operation on an outside Tensor is handed. Every later evaluation runs
under a `Capture` again, which puts the values at hand in the place of the outside Tensors. So the
function is closed, and each interpreter treats it as one operation: reverse mode keeps its inputs
alone, a tape shows it by name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.batch import Batch
from autodiff.cotangent import cast, zeros
from autodiff.dispatch import Box, Interpreter, innermost, lower_to, modes, open_scope, thread_state
from autodiff.errors import RuleError, TapeError
from autodiff.forward import Forward
from autodiff.ops.index import loop_over_batch
from autodiff.primitive import Primitive
from autodiff.reverse import Reverse, sweep
from autodiff.rules import Pullback
from autodiff.spec import Spec, is_inexact, protected, spec_of
from autodiff.tensor import Tensor
from autodiff.transforms import Function

__all__ = ["CustomFunction", "checkpoint", "custom_jvp", "custom_vjp"]

Values = Sequence[Any]
FlatFunction = Callable[..., tuple[Any, ...]]
Run = Callable[[Any, Any, Sequence[Any], Callable[[Any], Any]], Any]
"""Function of arguments, keywords, all their leaves, and `Capture.below`."""

# --- running a function whose outside Tensors are inputs ------------------------------------------


class Capture(Interpreter):
    """Evaluates a function and sees every Tensor from outside that it uses.

    Payloads only mark that a box is no constant.
    """

    transform = "a function with its own derivative"

    def __init__(self, substitutes: dict[int, Any], unknown: Callable[[Box], Any]) -> None:
        super().__init__(Tensor)
        self.substitutes = substitutes
        self.unknown = unknown
        self.outer: Interpreter | None = None
        self.flops = 0

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hand operations on outside Tensors to this interpreter."""
        self.outer = thread_state.capture
        with open_scope(self), modes.changed(capture=self):
            yield

    def own(self, value: Any) -> Any:
        """Box a value for the function."""
        return self.make(value, self)

    def below(self, value: Any) -> Any:
        """Value below this level: a box's own, or what stands for an outside Tensor."""
        value = lower_to(value, self.level)
        if not isinstance(value, Box):
            return value
        if value._interpreter is self:
            return value._value
        key = id(value)
        if key not in self.substitutes:
            self.substitutes[key] = self.unknown(value)
        return self.substitutes[key]

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive one level below, where this interpreter is not in charge."""
        inner = thread_state.capture
        if inner is not None and self.level < inner.level:
            return inner.process(primitive, inputs, params)
        values = [self.below(value) for value in inputs]
        thread_state.capture = self.outer
        try:
            out = primitive.call(*values, **params)
        finally:
            thread_state.capture = inner
        outs = out if isinstance(out, tuple) else (out,)
        first = spec_of(outs[0])
        self.flops += primitive.cost(tuple(map(spec_of, values)), first, params)
        boxes = tuple(
            self.own(part) if isinstance(part, Box) or is_inexact(spec_of(part).dtype) else part
            for part in outs
        )
        return boxes if isinstance(out, tuple) else boxes[0]


def _example(box: Any) -> Any:
    """Plain array under a box; of a batch, the first example."""
    if not isinstance(box, Box):
        return box
    value = _example(box._value)
    if box._interpreter.leading:
        return value[0] if len(value) else np.zeros(value.shape[1:], value.dtype)[()]
    return value


def _is_differentiated(box: Any) -> bool:
    """Whether a derivative with respect to a box is being taken, at any level."""
    while isinstance(box, Box):
        interpreter = box._interpreter
        suspended = interpreter.level < thread_state.no_grad_level
        carries = isinstance(interpreter, (Reverse, Forward)) and box._payload is not None
        if carries and not suspended:
            return True
        box = box._value
    return False


def _is_array(value: Any) -> bool:
    return isinstance(value, (Box, np.ndarray, np.generic))


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.view()
        value.setflags(write=False)
    return value


class _Output(NamedTuple):
    """Place in a container of a value that an evaluation computes."""

    position: int


class _Input(NamedTuple):
    """Place in a container of an input's value."""

    position: int


class _Closed:
    """One call of a function: its arguments, and the Tensors from outside that it uses.

    ``values`` in the methods are those of the Tensors among the arguments, then of the outside
    ones.
    """

    def __init__(self, name: str, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        self.name = name
        leaves, self.structure = tree.flatten((args, dict(keywords)))
        self.slots = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Box)]
        self.boxes = [leaves[i] for i in self.slots]
        self.leaves = [None if isinstance(leaf, Box) else protected(leaf) for leaf in leaves]
        self.outside: list[Box] = []
        self.flops = 0

    def inputs(self) -> list[Any]:
        """Tensors that the function is a function of."""
        return [*self.boxes, *self.outside]

    def discover(self, run: Run, tensors: bool) -> Any:
        """Evaluate once on plain arrays, and find the outside Tensors."""

        def unknown(box: Box) -> Any:
            self.outside.append(box)
            return _example(box)

        return self._run(run, [_example(box) for box in self.boxes], {}, unknown, tensors)

    def rerun(self, run: Run, values: Values, tensors: bool) -> Any:
        """Evaluate again on other values."""
        count = len(self.boxes)
        substitutes = {
            id(box): value for box, value in zip(self.outside, values[count:], strict=True)
        }

        def unknown(box: Box) -> Any:
            raise TapeError(
                f"{self.name}: evaluated again, it uses a Tensor of shape {spec_of(box).shape} "
                "from outside that it did not use before; it must do the same each time"
            )

        return self._run(run, values[:count], substitutes, unknown, tensors)

    def _run(
        self,
        run: Run,
        values: Values,
        substitutes: dict[int, Any],
        unknown: Callable[[Box], Any],
        tensors: bool,
    ) -> Any:
        capture = Capture(substitutes, unknown)
        with capture.opened():
            leaves = list(self.leaves)
            for slot, value in zip(self.slots, values, strict=True):
                leaves[slot] = (
                    capture.own(value) if tensors or isinstance(value, Box) else _read_only(value)
                )
            arguments, keywords = tree.unflatten(self.structure, leaves)
            result = run(arguments, keywords, leaves, capture.below)
        self.flops = capture.flops
        return result


class _Result:
    """What an evaluation gave, taken apart: arrays, and how to put containers together of them."""

    def __init__(self) -> None:
        self.arrays: list[Any] = []
        self.specs: list[Spec] = []
        self.trees: list[tuple[tree.PyTreeSpec, list[Any]]] = []

    def add(self, container: Any, known: Mapping[int, Any], below: Callable[[Any], Any]) -> None:
        """Take apart a container; leaves that are `known` by identity are kept as their place."""
        leaves, structure = tree.flatten(container)
        template: list[Any] = []
        for leaf in leaves:
            if id(leaf) in known:
                template.append(known[id(leaf)])
            elif _is_array(leaf):
                template.append(_Output(len(self.arrays)))
                value = below(leaf)
                self.arrays.append(value)
                self.specs.append(spec_of(value))
            else:
                template.append(leaf)
        self.trees.append((structure, template))

    def build(self, which: int, inputs: Values, outputs: Values) -> Any:
        """Put a container together again, of the values of inputs and outputs."""
        structure, template = self.trees[which]
        return tree.unflatten(
            structure,
            [
                outputs[entry.position]
                if isinstance(entry, _Output)
                else inputs[entry.position]
                if isinstance(entry, _Input)
                else entry
                for entry in template
            ],
        )

    def check_same(self, other: _Result, name: str) -> None:
        """Raise if another evaluation gave other containers or shapes."""
        first = [structure for structure, _ in self.trees]
        second = [structure for structure, _ in other.trees]
        shapes = [spec.shape for spec in self.specs]
        other_shapes = [spec.shape for spec in other.specs]
        if first != second or shapes != other_shapes:
            raise TapeError(
                f"{name}: evaluated again, it returned {second} with shapes {other_shapes}, before "
                f"{first} with shapes {shapes}; it must do the same each time"
            )


# --- a function as a primitive --------------------------------------------------------------------


class _CallPullbacks(dict[tuple[bool, ...], "Pullback | None"]):
    """Pullbacks of a `Call`: all cotangents at once."""

    def __init__(self, call: Call) -> None:
        self.owner = call

    def __missing__(self, active: tuple[bool, ...]) -> Pullback:
        call = self.owner

        def save(out: Any, params: Any, *xs: Any) -> tuple[Any, ...]:
            if call.recomputes:
                return (xs,)
            return _kept(xs, call.kept_inputs), _kept(out, call.kept_outputs)

        def pull(g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
            if call.recomputes:
                return call.pull(active, saved[0], (), g)
            xs, outs = saved
            return call.pull(active, _stood_for(xs), _stood_for(outs), g)

        rules = tuple(f"{call.name}.backward ({name})" for name in call.paths)
        saves = (True,) * len(active)
        self[active] = joint = Pullback(call, save, pull, saves, (), rules)
        return joint


def _kept(values: Values, positions: frozenset[int] | None) -> tuple[Any, ...]:
    """Values to keep on the tape; of the others their specs."""
    if positions is None:
        return tuple(values)
    return tuple(value if i in positions else spec_of(value) for i, value in enumerate(values))


def _stood_for(kept: Values) -> list[Any]:
    """Zeros that take no memory, in the place of the values that were not kept."""
    return [
        np.broadcast_to(np.zeros((), value.dtype), value.shape)
        if isinstance(value, Spec)
        else value
        for value in kept
    ]


PullRule = Callable[[Sequence[bool], Values, Values, Values], Sequence[Any]]
PushRule = Callable[[Values, Values, Values], Sequence[Any]]


class Call(Primitive):
    """A function of flat inputs as a primitive, with as many outputs as it returns.

    Parameters
    ----------
    name : str
    function : callable
        From input values to a tuple of arrays; closed, so that it can be run at any time.
    paths : names of the inputs, for messages.
    pull_rule : function of the pattern of inputs differentiated, inputs, outputs and cotangents
        Returns a cotangent (or None) per input. Without one, reverse mode runs the function again
        and differentiates it.
    push_rule : function of inputs, tangents and outputs
        Returns a tangent per output. Without one, forward mode runs the function again, or
        transposes `pull_rule`.
    kept_inputs, kept_outputs : positions that `pull_rule` looks at the values of; None: all.
    loops : bool
        Whether a function that cannot take batches is evaluated example by example.
    """

    def __init__(
        self,
        name: str,
        function: FlatFunction,
        paths: Sequence[str],
        *,
        pull_rule: PullRule | None = None,
        push_rule: PushRule | None = None,
        kept_inputs: frozenset[int] | None = None,
        kept_outputs: frozenset[int] | None = None,
        flops: int = 0,
        loops: bool = False,
    ) -> None:
        def forward(*xs: Any) -> tuple[Any, ...]:
            return function(*xs)

        rule = f"{name} has one rule for all inputs"
        super().__init__(
            forward,
            "general",
            {"vjp_xs": lambda g: _unreachable(rule)},
            name=name,
            batch=self._batch,
            cost=lambda out_spec: flops,
        )
        self.function = function
        self.paths = tuple(paths)
        self.pull_rule = pull_rule
        self.push_rule = push_rule
        self.recomputes = pull_rule is None and push_rule is None
        self.kept_inputs = kept_inputs
        self.kept_outputs = kept_outputs
        self.flops = flops
        self.loops = loops
        self.pullbacks = _CallPullbacks(self)  # type: ignore[assignment] # the same mapping
        self.joint_jvp = self._push

    def pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> tuple[Any, ...]:
        """Cotangent of each input marked in `active`, None for the others."""
        rule = self.pull_rule
        if rule is not None:
            ends = len(xs), len(xs) + len(outs)

            def flat(*values: Any) -> Sequence[Any]:
                return rule(active, values[: ends[0]], values[ends[0] : ends[1]], values[ends[1] :])

            return _example_by_example(flat, (*xs, *outs, *gs))
        if self.push_rule is not None:
            return tuple(self._transposed_push(active, xs, outs, gs))
        derived = Call(
            f"{self.name}.vjp",
            functools.partial(_vjp_of, self.function, tuple(active)),
            [*self.paths, *[f"cotangent {i}" for i in range(len(gs))]],
            flops=3 * self.flops,
        )
        found = iter(derived.call(*xs, *gs))
        return tuple(next(found) if flag else None for flag in active)

    def _push(self, xs: Values, ts: Values, outs: Values) -> tuple[Any, ...]:
        """Tangent of each output."""
        rule = self.push_rule
        if rule is not None:
            ends = len(xs), len(xs) + len(ts)

            def flat(*values: Any) -> Sequence[Any]:
                return rule(values[: ends[0]], values[ends[0] : ends[1]], values[ends[1] :])

            return _example_by_example(flat, (*xs, *ts, *outs))
        if self.pull_rule is not None:
            return self._transposed_pull(xs, ts, outs)
        active = tuple(t is not None for t in ts)
        derived = Call(
            f"{self.name}.jvp",
            functools.partial(_jvp_of, self.function, active),
            [*self.paths, *[f"tangent {i}" for i in range(sum(active))]],
            flops=3 * self.flops,
        )
        return tuple(derived.call(*xs, *[t for t in ts if t is not None]))

    def _transposed_pull(self, xs: Values, ts: Values, outs: Values) -> tuple[Any, ...]:
        """JVP from the VJP, which is linear in the cotangents."""
        active = [t is not None for t in ts]
        recorder = Reverse(Tensor)
        with open_scope(recorder):
            gs = _linear_variables(recorder, outs)
            cotangents = self.pull(active, xs, outs, gs)
            reached = _sweep_pairs(recorder, zip(cotangents, ts, strict=True))
        return _collected(gs, outs, reached)

    def _transposed_push(
        self, active: Sequence[bool], xs: Values, outs: Values, gs: Values
    ) -> Sequence[Any]:
        """VJP from the JVP, which is linear in the tangents."""
        recorder = Reverse(Tensor)
        with open_scope(recorder):
            ts = [
                variable if flag else None
                for flag, variable in zip(active, _linear_variables(recorder, xs), strict=True)
            ]
            tangents = self._push(xs, ts, outs)
            reached = _sweep_pairs(recorder, zip(tangents, gs, strict=True))
        found = _collected(ts, xs, reached)
        return [g if flag else None for flag, g in zip(active, found, strict=True)]

    def _batch(self, batched: Sequence[bool], inputs: Values, params: Any) -> Any:
        """Evaluate on a batch, as a call of the batched function with batched rules."""
        size = next(len(x) for x, flag in zip(inputs, batched, strict=True) if flag)
        function = functools.partial(_vectorized, self.function, tuple(batched), size, self.loops)
        call = Call(
            self.name,
            function,
            self.paths,
            pull_rule=None if self.pull_rule is None else self._batched_pull(batched, size),
            push_rule=None if self.push_rule is None else self._batched_push(batched, size),
            kept_inputs=self.kept_inputs,
            kept_outputs=self.kept_outputs,
            flops=size * self.flops,
        )
        return call.call(*inputs)

    def _batched_pull(self, batched: Sequence[bool], size: int) -> PullRule:
        def pull(active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> list[Any]:
            count, outputs = len(xs), len(outs)
            chosen = [i for i, flag in enumerate(active) if flag]

            def flat(*values: Any) -> tuple[Any, ...]:
                found = self.pull(
                    active,
                    values[:count],
                    values[count : count + outputs],
                    values[count + outputs :],
                )
                return tuple(
                    zeros(spec_of(values[i])) if found[i] is None else found[i] for i in chosen
                )

            flags = [*batched, *[True] * (2 * outputs)]
            found = _vectorized(flat, flags, size, True, *xs, *outs, *gs)
            result: list[Any] = [None] * count
            for i, g in zip(chosen, found, strict=True):
                result[i] = g if batched[i] else np.sum(g, axis=0)
            return result

        return pull

    def _batched_push(self, batched: Sequence[bool], size: int) -> PushRule:
        def push(xs: Values, ts: Values, outs: Values) -> Sequence[Any]:
            count = len(xs)
            chosen = [i for i, t in enumerate(ts) if t is not None]

            def flat(*values: Any) -> tuple[Any, ...]:
                given: list[Any] = [None] * count
                for i, t in zip(chosen, values[count : count + len(chosen)], strict=True):
                    given[i] = t
                return self._push(values[:count], given, values[count + len(chosen) :])

            flags = [*batched, *[batched[i] for i in chosen], *[True] * len(outs)]
            return _vectorized(flat, flags, size, True, *xs, *[ts[i] for i in chosen], *outs)

        return push


def _unreachable(message: str) -> Any:
    raise RuleError(message)


def _linear_variables(recorder: Reverse, values: Values) -> list[Any]:
    """Variables of the shapes of values, for recording what is linear in them.

    Their numbers are arbitrary but not zero: a rule may iterate until it has converged.
    """
    return [
        recorder.variable(_irregular(spec_of(value)))
        if is_inexact(spec_of(value).dtype)
        else zeros(spec_of(value))
        for value in values
    ]


def _irregular(spec: Spec) -> Any:
    """Array of different numbers between -1 and 1."""
    numbers = np.cos(np.arange(1.0, spec.size + 1.0)).reshape(spec.shape)
    return numbers.astype(spec.dtype)[()]


def _sweep_pairs(recorder: Reverse, pairs: Any) -> dict[Any, Any]:
    """Sweep back from recorded values, each with its cotangent."""
    seeds = []
    for value, g in pairs:
        own = isinstance(value, Box) and value._interpreter is recorder
        if own and value._payload is not None and g is not None:
            seeds.append((value._payload, cast(g, value.dtype)))
    return sweep(seeds)


def _collected(variables: Values, values: Values, reached: dict[Any, Any]) -> tuple[Any, ...]:
    """What a sweep brought to each variable, zeros where nothing."""
    found = []
    for variable, value in zip(variables, values, strict=True):
        leaf = variable._payload if isinstance(variable, Box) else None
        found.append(reached[leaf] if leaf in reached else zeros(spec_of(value)))
    return tuple(found)


def _vjp_of(function: FlatFunction, active: tuple[bool, ...], *values: Any) -> tuple[Any, ...]:
    """Run a function again, recording, and pull cotangents back through it."""
    count = len(active)
    recorder = Reverse(Tensor)
    with open_scope(recorder):
        inputs = [
            recorder.variable(value) if flag else value
            for flag, value in zip(active, values[:count], strict=True)
        ]
        outs = function(*inputs)
        reached = _sweep_pairs(recorder, zip(outs, values[count:], strict=True))
    chosen = [box for box, flag in zip(inputs, active, strict=True) if flag]
    originals = [value for value, flag in zip(values, active, strict=False) if flag]
    return _collected(chosen, originals, reached)


def _jvp_of(function: FlatFunction, active: tuple[bool, ...], *values: Any) -> tuple[Any, ...]:
    """Run a function again with tangents."""
    count = len(active)
    pusher = Forward(Tensor)
    tangents = iter(values[count:])
    with open_scope(pusher):
        inputs = [
            pusher.make(value, next(tangents)) if flag else value
            for flag, value in zip(active, values[:count], strict=True)
        ]
        outs = function(*inputs)
        return tuple(
            out._payload
            if isinstance(out, Box) and out._interpreter is pusher and out._payload is not None
            else zeros(spec_of(out))
            for out in outs
        )


def _vectorized(
    function: FlatFunction, batched: Sequence[bool], size: int, loops: bool, *values: Any
) -> tuple[Any, ...]:
    """Evaluate a function on a batch at once, or else example by example."""
    batch = Batch(Tensor, size)
    try:
        with open_scope(batch):
            inputs = [
                batch.make(value, size) if flag else value
                for flag, value in zip(batched, values, strict=True)
            ]
            return tuple(batch.values(out) for out in function(*inputs))
    except TypeError:
        # Code that Tensors do not go through; a fault of its own shows again below.
        if not loops or size == 0:
            raise
    stacked: tuple[Any, ...] = loop_over_batch(function, batched, values)
    return stacked


def _example_by_example(rule: Callable[..., Sequence[Any]], values: Values) -> tuple[Any, ...]:
    """Evaluate a rule; on a batch that it cannot take at once, on one example after the other."""
    try:
        return tuple(rule(*values))
    except TypeError:
        batch = innermost(values)
        if not isinstance(batch, Batch) or batch.size == 0:
            raise
    flags = [isinstance(value, Box) and value._interpreter is batch for value in values]
    below = [value._value if flag else value for value, flag in zip(values, flags, strict=True)]
    missing: list[bool] = []

    def present(*example: Any) -> tuple[Any, ...]:
        found = _example_by_example(rule, example)
        missing[:] = [part is None for part in found]
        return tuple(part for part in found if part is not None)

    stacked = iter(loop_over_batch(present, flags, below))
    return tuple(None if gap else batch.make(next(stacked), batch.size) for gap in missing)


class _Remembered:
    """A flat function that need not evaluate again what discovery has evaluated already."""

    def __init__(self, function: FlatFunction, inputs: Values, result: _Result) -> None:
        self.function = function
        self.values: Values | None = [_example(x) for x in inputs]
        self.outs: Values = result.arrays
        result.arrays = []

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        known = self.values
        if known is not None and all(a is b for a, b in zip(known, values, strict=True)):
            return tuple(self.outs)
        return self.function(*values)

    def forget(self) -> None:
        """Let go of the arrays."""
        self.values = None
        self.outs = ()


def _evaluated(call: Call, inputs: Values) -> Any:
    """Outputs of a call."""
    try:
        return call.call(*inputs)
    finally:
        if isinstance(call.function, _Remembered):
            call.function.forget()


def _input_paths(closed: _Closed) -> list[str]:
    """Name each input as the user would reach it."""
    names = tree.paths(closed.structure, "")
    arguments = []
    for slot in closed.slots:
        which, rest = names[slot][:3], names[slot][3:]
        arguments.append(f"{'args' if which == '[0]' else 'keywords'}{rest}")
    return [*arguments, *[f"outside Tensor {i}" for i in range(len(closed.outside))]]


def _name(f: Function) -> str:
    return getattr(f, "__name__", type(f).__name__)


# --- recomputing ----------------------------------------------------------------------------------


def checkpoint(f: Function) -> Function:
    """Return the same function, recomputed in the sweep instead of stored.

    Of an evaluation, reverse mode keeps the inputs alone; the backward sweep runs `f` again,
    recording, and goes back through that. A chain of n steps cut into sqrt(n) checkpointed pieces
    keeps O(sqrt(n)) values for one more evaluation (Griewank and Walther 2008, chapter 12); pieces
    may be cut again.

    Parameters
    ----------
    f : callable on containers of arrays, returning one
        Tensors that it uses from outside (parameters, what it closes over) are found and
        differentiated as its arguments are. It must compute the same each time it is called: draw
        random numbers outside and pass them in. Arrays that it is given are read-only.

    Returns
    -------
    callable
        Takes what `f` takes, under every transform.

    Raises
    ------
    TapeError
        `f`, evaluated again, used other Tensors or returned other shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def loss(x):
    ...     for _ in range(3):
    ...         x = ad.checkpoint(np.tanh)(x)
    ...     return np.sum(x)
    >>> ad.grad(loss)(np.zeros(2))
    array([1., 1.])
    >>> [entry.primitive.name for entry in ad.record(loss)(np.zeros(2))]
    ['tanh', 'tanh', 'tanh', 'sum']
    """
    name = _name(f)

    def run(arguments: Any, keywords: Any, leaves: Any, below: Callable[[Any], Any]) -> _Result:
        result = _Result()
        result.add(f(*arguments, **keywords), {}, below)
        return result

    @functools.wraps(f)
    def recomputed(*args: Any, **keywords: Any) -> Any:
        closed = _Closed(f"checkpoint of {name}", args, keywords)
        result = closed.discover(run, tensors=True)
        inputs = closed.inputs()
        if not inputs:
            return result.build(0, (), result.arrays)

        def flat(*values: Any) -> tuple[Any, ...]:
            again = closed.rerun(run, values, tensors=True)
            result.check_same(again, closed.name)
            return tuple(again.arrays)

        call = Call(
            name, _Remembered(flat, inputs, result), _input_paths(closed), flops=closed.flops
        )
        return result.build(0, inputs, _evaluated(call, inputs))

    return recomputed


# --- rules of one's own ---------------------------------------------------------------------------


class CustomFunction:
    """A function with derivative rules of its own; made by `custom_vjp` and `custom_jvp`."""

    def __init__(self, f: Function) -> None:
        if not callable(f):
            raise TypeError(f"custom_vjp: {f!r} is not a function")
        functools.update_wrapper(self, f)
        self.f = f
        self.name = _name(f)
        self.forward: Function | None = None
        self.backward: Function | None = None
        self.rule: Function | None = None

    def def_vjp(self, forward: Function, backward: Function) -> CustomFunction:
        """Set the reverse rule; see `custom_vjp`."""
        for what, function in (("forward", forward), ("backward", backward)):
            if not callable(function):
                raise TypeError(f"{self.name}.def_vjp: {what} is not a function: {function!r}")
        self.forward, self.backward = forward, backward
        return self

    def def_jvp(self, rule: Function) -> CustomFunction:
        """Set the forward rule; see `custom_jvp`."""
        if not callable(rule):
            raise TypeError(f"{self.name}.def_jvp: the rule is not a function: {rule!r}")
        self.rule = rule
        return self

    def __repr__(self) -> str:
        return f"<function {self.name} with its own derivative>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Evaluate on arrays, numbers or Tensors."""
        return _CustomCall(self, args, keywords).evaluate()


class _CustomCall:
    """One call of a `CustomFunction`."""

    def __init__(
        self, owner: CustomFunction, args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> None:
        self.owner = owner
        self.name = owner.name
        self.closed = _Closed(owner.name, args, keywords)
        self.arguments = [tree.flatten(argument)[1] for argument in args]
        self.positional = sum(structure.num_leaves for structure in self.arguments)
        self.paths = _input_paths(self.closed)
        for slot, box, path in zip(self.closed.slots, self.closed.boxes, self.paths, strict=True):
            if slot >= self.positional and _is_differentiated(box):
                raise TypeError(
                    f"{self.name}: {path} is differentiated, but keyword arguments have no "
                    "derivative rule here; pass it by position"
                )
        wants_rule = any(not _only_batched(box) for box in self.closed.boxes)
        self.with_residuals = owner.forward is not None and wants_rule

    def evaluate(self) -> Any:
        """Outputs, with the rules attached."""
        closed = self.closed
        result = closed.discover(self._run, tensors=False)
        for box in closed.outside:
            if _is_differentiated(box):
                raise self._outside_error(self.name, box)
        self.result: _Result = result
        inputs = closed.inputs()
        if not inputs:
            return result.build(0, (), result.arrays)
        self.paths = _input_paths(closed)
        self.visible = sum(isinstance(entry, _Output) for entry in result.trees[0][1])
        extras = range(self.visible, len(result.specs))
        has_vjp = self.with_residuals
        has_jvp = self.owner.rule is not None
        derived = any(is_inexact(result.specs[i].dtype) for i in extras)
        kept_inputs: frozenset[int] | None = None
        kept_outputs: frozenset[int] | None = None
        if has_vjp:
            template = result.trees[1][1]
            if not derived:
                kept_inputs = frozenset(e.position for e in template if isinstance(e, _Input))
            kept_outputs = frozenset(e.position for e in template if isinstance(e, _Output))
        call = Call(
            self.name,
            _Remembered(self._flat, inputs, result),
            self.paths,
            pull_rule=self._pull if has_vjp or not has_jvp else None,
            push_rule=self._push if has_jvp and not derived else None,
            kept_inputs=kept_inputs,
            kept_outputs=kept_outputs,
            flops=closed.flops,
            loops=True,
        )
        return result.build(0, inputs, _evaluated(call, inputs))

    def _outside_error(self, who: str, box: Any) -> TypeError:
        return TypeError(
            f"{who}: it uses a Tensor of shape {spec_of(box).shape} from outside, for which its "
            f"rule gives no derivative; pass it as an argument of {self.name}, or use "
            "stop_gradient on it if it is a constant"
        )

    def _run(
        self,
        arguments: Any,
        keywords: Any,
        leaves: Sequence[Any],
        below: Callable[[Any], Any],
    ) -> _Result:
        """Evaluate the function, or its forward rule, on leaves that stand for the inputs."""
        result = _Result()
        if not self.with_residuals:
            result.add(self.owner.f(*arguments, **keywords), {}, below)
            return result
        forward = self.owner.forward
        assert forward is not None
        returned = forward(*arguments, **keywords)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise RuleError(
                f"{self.name}.forward must return a pair (output, residuals), it returned "
                f"{_described(returned)}"
            )
        out, residuals = returned
        result.add(out, {}, below)
        known: dict[int, Any] = {}
        for leaf, entry in zip(tree.leaves(out), result.trees[0][1], strict=True):
            if isinstance(entry, _Output):
                known[id(leaf)] = entry
        for leaf in leaves:
            if _is_array(leaf):
                known[id(leaf)] = leaf
        for position, slot in enumerate(self.closed.slots):
            known[id(leaves[slot])] = _Input(position)
        result.add(residuals, known, below)
        return result

    def _flat(self, *values: Any) -> tuple[Any, ...]:
        again: _Result = self.closed.rerun(self._run, values, tensors=False)
        self.result.check_same(again, self.name)
        return tuple(again.arrays)

    def _guarded(self, who: str, rule: Callable[..., Any], *containers: Any) -> Any:
        """Run a rule on values of the level at hand; Tensors from outside are refused."""

        def unknown(box: Box) -> Any:
            if _is_differentiated(box):
                raise self._outside_error(who, box)
            return box

        capture = Capture({}, unknown)

        def inside(leaf: Any) -> Any:
            return capture.own(leaf) if isinstance(leaf, Box) else _read_only(leaf)

        with capture.opened():
            returned = rule(*[tree.map_leaves(inside, c) for c in containers])
            return tree.map_leaves(capture.below, returned)

    def _check_outside(self, active: Sequence[bool]) -> None:
        for flag, box in zip(active[len(self.closed.boxes) :], self.closed.outside, strict=True):
            if flag:
                raise self._outside_error(self.name, box)
        for flag, slot, path in zip(active, self.closed.slots, self.paths, strict=False):
            if flag and slot >= self.positional:
                raise TypeError(
                    f"{self.name}: {path} is differentiated, but keyword arguments have no "
                    "derivative rule here; pass it by position"
                )

    def _pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> Sequence[Any]:
        """Cotangents of the inputs, from the user's backward rule."""
        self._check_outside(active)
        if not self.with_residuals:
            raise TypeError(
                f"{self.name} has no derivative rule yet; give it one with "
                f"{self.name}.def_vjp(forward, backward) or {self.name}.def_jvp(rule)"
            )
        who = f"{self.name}.backward"
        residuals = self.result.build(1, xs, outs)
        returned = self._guarded(who, self._backward, residuals, self._cotangent_tree(gs))
        found = self._checked_cotangents(who, returned, active, xs)
        extra = gs[self.visible :]
        if any(isinstance(g, Box) or np.any(g) for g in extra):
            self._add_residual_terms(found, active, xs, gs)
        return found

    def _backward(self, residuals: Any, g: Any) -> Any:
        backward = self.owner.backward
        assert backward is not None
        return backward(residuals, g)

    def _cotangent_tree(self, gs: Values) -> Any:
        structure, template = self.result.trees[0]
        return tree.unflatten(
            structure,
            [
                gs[entry.position]
                if isinstance(entry, _Output)
                else 0.0
                if isinstance(entry, (int, float, complex))
                else None
                for entry in template
            ],
        )

    def _add_residual_terms(
        self, found: list[Any], active: Sequence[bool], xs: Values, gs: Values
    ) -> None:
        """Higher derivatives reach the residuals: differentiate what computed them."""
        derived = Call(
            f"{self.name}.forward.vjp",
            functools.partial(_vjp_of, self._flat, tuple(active)),
            [*self.paths, *[f"cotangent {i}" for i in range(len(gs))]],
        )
        outputs = [zeros(spec_of(g)) if i < self.visible else g for i, g in enumerate(gs)]
        terms = iter(derived.call(*xs, *outputs))
        for i, flag in enumerate(active):
            if flag:
                term = next(terms)
                found[i] = term if found[i] is None else found[i] + term

    def _checked_cotangents(
        self, who: str, returned: Any, active: Sequence[bool], xs: Values
    ) -> list[Any]:
        """Check arity, structure, shape and dtype of what backward returned; flatten it."""
        count = len(self.arguments)
        if not isinstance(returned, tuple) or len(returned) != count:
            raise RuleError(
                f"{who} must return a tuple of {count} cotangents, one per argument; it returned "
                f"{_described(returned)}"
            )
        by_leaf: list[Any] = []
        for i, (cotangent, structure) in enumerate(zip(returned, self.arguments, strict=True)):
            if cotangent is None:
                by_leaf += [None] * structure.num_leaves
                continue
            leaves, own = tree.flatten(cotangent)
            if own != structure:
                raise RuleError(
                    f"{who}: cotangent of args[{i}] has structure {own}, wanted {structure}"
                )
            by_leaf += leaves
        found: list[Any] = [None] * len(xs)
        for position, slot in enumerate(self.closed.slots):
            if slot < self.positional and active[position]:
                what = f"{who}: cotangent of {self.paths[position]}"
                found[position] = _checked(what, by_leaf[slot], spec_of(xs[position]))
        return found

    def _push(self, xs: Values, ts: Values, outs: Values) -> Sequence[Any]:
        """Tangents of the outputs, from the user's forward rule."""
        self._check_outside([t is not None for t in ts])
        rule = self.owner.rule
        assert rule is not None
        who = f"{self.name}.def_jvp rule"
        primals, keywords = self._arguments(xs)
        tangents = self._tangent_arguments(xs, ts)
        returned = self._guarded(who, lambda p, t, k: rule(p, t, **k), primals, tangents, keywords)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise RuleError(
                f"{who} must return a pair (output, tangent of the output), it returned "
                f"{_described(returned)}"
            )
        structure, template = self.result.trees[0]
        names = tree.paths(structure, "output")
        found: list[Any] = [None] * len(outs)
        for what, container in (("output", returned[0]), ("tangent of the output", returned[1])):
            leaves, own = tree.flatten(container)
            if own != structure:
                raise RuleError(f"{who}: {what} has structure {own}, wanted {structure}")
            for leaf, entry, name in zip(leaves, template, names, strict=True):
                if isinstance(entry, _Output) and is_inexact(spec_of(outs[entry.position]).dtype):
                    described = name if what == "output" else f"tangent of {name}"
                    found[entry.position] = _checked(
                        f"{who}: {described}", leaf, spec_of(outs[entry.position])
                    )
        return [zeros(spec_of(o)) if t is None else t for t, o in zip(found, outs, strict=True)]

    def _arguments(self, xs: Values) -> Any:
        leaves = list(self.closed.leaves)
        for slot, x in zip(self.closed.slots, xs, strict=False):
            leaves[slot] = x
        return tree.unflatten(self.closed.structure, leaves)

    def _tangent_arguments(self, xs: Values, ts: Values) -> Any:
        """Tangents beside the arguments: zeros for constants, None for what is no float array."""
        leaves = [
            zeros(spec_of(leaf))
            if isinstance(leaf, (float, complex, np.ndarray, np.generic))
            and is_inexact(spec_of(leaf).dtype)
            else None
            for leaf in self.closed.leaves
        ]
        for slot, x, t in zip(self.closed.slots, xs, ts, strict=False):
            leaves[slot] = zeros(spec_of(x)) if t is None else t
        return tree.unflatten(self.closed.structure, leaves)[0]


def _only_batched(box: Any) -> bool:
    """Whether nothing but batches and plain evaluation look at a box."""
    while isinstance(box, Box):
        if not isinstance(box._interpreter, (Batch, Capture)):
            return False
        box = box._value
    return True


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__}"


def _checked(what: str, value: Any, spec: Spec) -> Any:
    """Give a cotangent or tangent its dtype; refuse one of another shape or kind."""
    if value is None:
        return zeros(spec)
    if not _is_array(value):
        if not isinstance(value, (bool, int, float, complex)):
            raise RuleError(f"{what} is a {type(value).__name__}, wanted an array of {spec}")
        value = np.asarray(value)
    if value.shape != spec.shape:
        raise RuleError(f"{what} has shape {value.shape}, wanted {spec.shape}")
    if value.dtype.kind not in "fciub" or (value.dtype.kind == "c" and spec.dtype.kind != "c"):
        raise RuleError(f"{what} has dtype {value.dtype}, wanted {spec.dtype}")
    return cast(value, spec.dtype) if is_inexact(spec.dtype) else value


def custom_vjp(
    f: Function, forward: Function | None = None, backward: Function | None = None
) -> CustomFunction:
    """Give a whole function a reverse rule of its own.

    Use it as a decorator and set the rule with ``f.def_vjp(forward, backward)``, or pass both.

    Parameters
    ----------
    f : callable on containers of arrays
        Evaluated where no derivative is wanted. It gets plain arrays, so it may call code that
        Tensors do not go through (SciPy, compiled code).
    forward : function of what `f` takes
        Returns ``(f(...), residuals)``: a container of whatever `backward` will need.
    backward : function of ``(residuals, g)``
        `g` is the cotangent of the output, in its structure. Returns a tuple with one cotangent
        per positional argument of `f`, in the argument's structure, or None for zero. For
        derivatives of higher order, and for forward mode, it must be written with functions that
        Tensors go through: forward mode transposes it, by recording it for some cotangent.

    Returns
    -------
    CustomFunction
        Called as `f` is, under every transform. Keyword arguments pass through undifferentiated.

    Raises
    ------
    RuleError
        At the first use of a rule that returns the wrong number, structure, shape or dtype of
        cotangents; the message has the argument's path.
    TypeError
        `f` or a rule uses a Tensor from outside that is being differentiated: its derivative would
        be lost. Pass it as an argument.

    Notes
    -----
    Second derivatives differentiate `backward`, and `forward` where it computes residuals that are
    neither arguments nor outputs. Under `vmap`, functions and rules that cannot take a batch are
    evaluated example by example.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.custom_vjp
    ... def log1pexp(x):
    ...     return np.logaddexp(0.0, x)
    >>> def forward(x):
    ...     return log1pexp(x), x
    >>> def backward(x, g):
    ...     return (g / (1 + np.exp(-x)),)
    >>> log1pexp.def_vjp(forward, backward)
    <function log1pexp with its own derivative>
    >>> ad.grad(log1pexp)(0.0)
    np.float64(0.5)
    """
    custom = CustomFunction(f)
    if forward is not None or backward is not None:
        custom.def_vjp(_given(forward, "forward"), _given(backward, "backward"))
    return custom


def _given(function: Function | None, what: str) -> Function:
    if function is None:
        raise TypeError(f"custom_vjp: give both forward and backward; {what} is missing")
    return function


def custom_jvp(f: Function, rule: Function | None = None) -> CustomFunction:
    """Give a whole function a forward rule of its own.

    Use it as a decorator and set the rule with ``f.def_jvp(rule)``, or pass it. Reverse mode
    transposes the rule.

    Parameters
    ----------
    f : callable on containers of arrays
        As for `custom_vjp`.
    rule : function of ``(primals, tangents)``
        Both are tuples with one entry per positional argument; tangents of constants are zeros
        (None for what is no float array). Returns ``(out, tangent_out)``, and must be linear in
        the tangents and written with functions that Tensors go through.

    Returns
    -------
    CustomFunction
        Called as `f` is, under every transform.

    Raises
    ------
    RuleError, TypeError
        As for `custom_vjp`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> @ad.custom_jvp
    ... def cube(x):
    ...     return x**3
    >>> cube.def_jvp(lambda primals, tangents: (cube(*primals), 3 * primals[0] ** 2 * tangents[0]))
    <function cube with its own derivative>
    >>> ad.jvp(cube, (2.0,), (1.0,)), ad.grad(cube)(2.0)
    ((np.float64(8.0), np.float64(12.0)), np.float64(12.0))
    """
    custom = CustomFunction(f)
    return custom if rule is None else custom.def_jvp(rule)
