"""A tape as a primitive whose derivatives and batched forms are compiled tapes again.

Under a transform a compiled function is one operation, a `Native`. Its VJP by some of its inputs,
its JVP and its batched form are recorded when first asked for, from the tape, and compiled as it
was: they are `Native` too, so that derivatives of any order are. Rules may look at values, as
functions may; so a derived tape, too, can have several paths.

Where reverse mode records one, and nothing further out does anything with it, the forward pass
keeps what the backward pass needs (`Stored`): two programs, cut out of one tape of both.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.compiler.paths import Options, Path, Paths
from autodiff.core.arrays import foreign_among, has_memory, ones, scalar_form
from autodiff.core.dispatch import Box, observer
from autodiff.core.memory import frozen
from autodiff.core.modes import modes
from autodiff.core.rules import Pullback
from autodiff.core.spec import is_inexact, spec_of
from autodiff.errors import TapeError
from autodiff.interpret.boxed import run
from autodiff.interpret.cotangents import zeros
from autodiff.interpret.reverse import Reverse
from autodiff.interpret.sweep import sweep
from autodiff.ops import elementwise as ew
from autodiff.tape.ir import Tape
from autodiff.tape.staging import Stage, stage
from autodiff.tensor import Tensor
from autodiff.transforms.call import Call, jvp_of, vectorized, vjp_of
from autodiff.transforms.closure import example

__all__ = ["Native", "call_path"]

FlatFunction = Callable[..., tuple[Any, ...]]
Values = Sequence[Any]


class Native(Call):
    """One path of a compiled function as a primitive of flat inputs.

    Its outputs are those of the path's flat tape: the results, then what its guards look at.
    """

    def __init__(self, name: str, path: Path) -> None:
        tape = path.flat  # not the optimised one: its derivatives are those of the program
        super().__init__(
            name,
            self._forward,
            [variable.name or f"input {i}" for i, variable in enumerate(tape.inputs)],
            flops=tape.cost().flops,
            made_of=tape.signature,
        )
        self.path = path
        self.held_tape = tape
        self.stored: dict[tuple[bool, ...], Stored | None] = {}
        self.derived: dict[Hashable, Derived] = {}
        self.lock = threading.Lock()

    def _forward(self, *xs: Any) -> tuple[Any, ...]:
        return self.path.run(xs)

    def storing(self, active: tuple[bool, ...], xs: Values) -> Native:
        """Return the primitive that keeps what its VJP by some inputs needs, if there is one."""
        if active not in self.stored:
            with self.lock:
                if active not in self.stored:
                    self.stored[active] = _stored(self, active, xs)
        return self.stored[active] or self

    def replayed(self, *xs: Any) -> tuple[Any, ...]:
        """Evaluate the tape operation by operation, on anything."""
        tape = self.path.flat
        memory = tape.replay(xs)
        return tuple([memory[output.slot] for output in tape.outputs])

    def pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> tuple[Any, ...]:
        """Cotangent of each input marked in `active`, None for the others."""
        count = self.path.results
        function = functools.partial(vjp_of, self._results, tuple(active))
        found = iter(self._derive("vjp", tuple(active), function)(*xs, *gs[:count]))
        return tuple(next(found) if flag else None for flag in active)

    def _push(self, xs: Values, ts: Values, outs: Values) -> tuple[Any, ...]:
        active = tuple(t is not None for t in ts)
        function = functools.partial(jvp_of, self.replayed, active)
        return self._derive("jvp", active, function)(*xs, *[t for t in ts if t is not None])

    def _batch(self, batched: Sequence[bool], inputs: Values, params: Any) -> Any:
        size = next(len(x) for x, flag in zip(inputs, batched, strict=True) if flag)
        function = functools.partial(vectorized, self.replayed, tuple(batched), size, False)
        return self._derive("vmap", (tuple(batched), size), function)(*inputs)

    def _results(self, *xs: Any) -> tuple[Any, ...]:
        return self.replayed(*xs)[: self.path.results]

    def _derive(self, kind: str, how: Hashable, function: FlatFunction) -> Derived:
        """Return a derived function, compiled for each form of inputs that it meets."""
        with self.lock:
            found = self.derived.get((kind, how))
            if found is None:
                name = self.name if kind == "vmap" else f"{self.name}.{kind}"
                found = self.derived[kind, how] = Derived(name, function, self.path.options)
            return found


class Derived:
    """A flat function that is recorded and compiled for each form of its inputs."""

    def __init__(self, name: str, function: FlatFunction, options: Options) -> None:
        self.name = name
        self.function = function
        self.options = options
        self.forms: dict[Hashable, Paths] = {}

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        key = (bool(modes.open) and modes.strong_zero, *map(spec_of, values))
        paths = self.forms.get(key)
        if paths is None:
            paths = self.forms.setdefault(key, Paths(self.name, self.options))
        found = paths.run(values, self._record, call_path)
        return self.function(*values) if found is None else found[1][: found[0].results]

    def _record(self, values: Values) -> tuple[Tape, list[Any], Any]:
        shown = [example(value) for value in values]
        structure = tree.flatten(tuple(shown))[1]
        names = [None] * len(shown)
        tape, _ = stage(self.function, Stage(Tensor), shown, names, structure)
        return tape, [], None


class _Outs(tuple[Any, ...]):
    """Outputs of a forward pass, with what it keeps for the backward pass."""

    residuals: tuple[Any, ...]


class Stored(Native):
    """A path that keeps what its VJP by some inputs needs.

    Only for calls that reverse mode alone looks at: what the pass keeps is no output, and nobody
    differentiates by it.
    """

    def __init__(
        self,
        native: Native,
        active: tuple[bool, ...],
        forward: Tape,
        needed: list[int],
        back: Tape,
        xs: Values,
    ) -> None:
        super().__init__(native.name, native.path)
        name, options = native.name, native.path.options
        self.count = len(native.path.flat.outputs)
        self.first = Path(name, options, forward, [], None, xs)
        # What it is given is of the type of what the first one was given
        behind = [foreign_among(xs)] * len(back.inputs)
        self.second = Path(f"{name}.vjp", options, back, [], None, behind)
        general = self.pullbacks[active]
        assert general is not None
        kept = [native.path.flat.outputs[i].spec.dtype for i in range(native.path.results)]

        saves = tuple([flag or i in needed for i, flag in enumerate(active)])

        def save(out: Any, params: Any, *xs: Any) -> tuple[Any, ...]:
            return out.residuals, [
                x if own or not has_memory(x) or frozen(x) else None
                for x, own in zip(xs, saves, strict=True)
            ]

        def pull(g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
            residuals, xs = saved
            gs = g[: native.path.results]
            if modes.open and modes.strong_zero:
                if any(x is None for x in xs):
                    raise TapeError(
                        f"{native.name}: a compiled function that was called outside of "
                        "strong_zero() keeps too little for a sweep inside of it; open it around "
                        "the call too"
                    )
                return native.pull(active, xs, (), gs)
            gs = [
                part if part.dtype == dtype else ew.convert.call(part, dtype=dtype)
                for part, dtype in zip(gs, kept, strict=True)
            ]
            found = iter(call_path(self.second, (*residuals, *[xs[i] for i in needed], *gs)))
            return tuple(next(found) if flag else None for flag in active)

        self.pullbacks[active] = Pullback(
            self, save, pull, saves, general.names, general.rule_names
        )

    def _forward(self, *xs: Any) -> tuple[Any, ...]:
        found = self.first.run(xs)
        outs = _Outs(found[: self.count])
        outs.residuals = found[self.count :]
        return outs


def _stored(native: Native, active: tuple[bool, ...], xs: Values) -> Stored | None:
    """Cut the tape of both passes in two; None where a rule looks at values."""
    path = native.path
    shown = [example(value) for value in xs]
    count = len(shown)
    outputs = path.flat.outputs
    like = foreign_among(shown)
    seeds = [scalar_form(ones(output.spec.shape, output.spec.dtype, like)) for output in outputs]
    seeds = seeds[: path.results]
    both = functools.partial(_both_passes, native.replayed, active)
    structure = tree.flatten((*shown, *seeds))[1]
    names = [variable.name for variable in path.flat.inputs] + [None] * len(seeds)
    with np.errstate(all="ignore"):
        tape, _ = stage(both, Stage(Tensor), [*shown, *seeds], names, structure)
    if tape.guards:
        return None
    behind = {variable.slot for variable in tape.inputs[count:]}
    before: dict[int, Any] = {}
    for entry in tape.entries:
        late = any(operand.slot in behind for operand in entry.inputs)
        if late:
            behind.update(variable.slot for variable in entry.outputs)
        else:
            before.update((variable.slot, variable) for variable in entry.outputs)
    gradients = tape.outputs[len(outputs) :]
    crossing: dict[int, Any] = {}
    for operand in (
        *[o for e in tape.entries if e.output.slot in behind for o in e.inputs],
        *gradients,
    ):
        if operand.slot in before:
            crossing[operand.slot] = operand
    given = {variable.slot: i for i, variable in enumerate(tape.inputs[:count])}
    residuals = list(crossing.values())
    used = {o.slot for e in tape.entries if e.output.slot in behind for o in e.inputs}
    used |= {gradient.slot for gradient in gradients}
    needed = [i for slot, i in given.items() if slot in used]
    forward = tape.subtape((*tape.outputs[: len(outputs)], *residuals), tape.inputs[:count])
    back = tape.subtape(
        gradients, (*residuals, *[tape.inputs[i] for i in needed], *tape.inputs[count:])
    )
    return Stored(native, active, forward, needed, back, shown)


def _both_passes(function: FlatFunction, active: tuple[bool, ...], *values: Any) -> tuple[Any, ...]:
    """Outputs of a function, and the cotangents of its active inputs."""
    inputs, seeds = values[: len(active)], values[len(active) :]
    recorder = Reverse(Tensor)
    boxes = [
        recorder.variable(value) if flag else value
        for value, flag in zip(inputs, active, strict=True)
    ]
    outs = run(recorder, function, boxes)
    reached = sweep(
        [(node, g) for (_, node), g in zip(outs, seeds, strict=False) if node is not None]
    )
    leaves = [recorder.unbox(box)[1] for box, flag in zip(boxes, active, strict=True) if flag]
    return (
        *[out for out, _ in outs],
        *[reached[leaf] if leaf in reached else zeros(leaf.spec, values[0]) for leaf in leaves],
    )


def _recorded_by(values: Values) -> tuple[bool, ...] | None:
    """Which inputs reverse mode differentiates by, where it alone looks at a call."""
    special = modes.open and (
        modes.debug or modes.no_grad_level or modes.capture or modes.strong_zero
    )
    if special or observer() is not None:
        return None
    active = []
    for value in values:
        if not isinstance(value, Box):
            active.append(False)
        elif isinstance(value._value, Box) or not isinstance(value._interpreter, Reverse):
            return None
        else:
            active.append(value._payload is not None and is_inexact(value.dtype))
    return tuple(active) if True in active else None


def call_path(path: Path, values: Values) -> tuple[Any, ...]:
    """Run a path on anything: under a transform as one operation.

    What depends on no Tensor is none, as in the program itself.
    """
    boxed = sum(1 << i for i, value in enumerate(values) if isinstance(value, Box))
    if not boxed:
        return path.run(values)
    reached = [bool(mask & boxed) for mask in path.dependences]
    if not any(reached):
        return path.run([example(value) for value in values])
    if path.native is None:
        with path.lock:
            if path.native is None:
                path.native = Native(path.name, path)
    active = _recorded_by(values)
    native = path.native if active is None else path.native.storing(active, values)
    outs: tuple[Any, ...] = native.call(*values)
    if all(reached):
        return outs
    return tuple(out if own else example(out) for out, own in zip(outs, reached, strict=True))
