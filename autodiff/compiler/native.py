"""A tape as a primitive whose derivatives and batched forms are compiled tapes again.

Under a transform a compiled function is one operation, a `Native`. Its VJP by some of its inputs,
its JVP and its batched form are recorded when first asked for, from the tape, and compiled as it
was: they are `Native` too, so that derivatives of any order are. Rules may look at values, as
functions may; so a derived tape, too, can have several paths.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from autodiff import tree
from autodiff.compiler.paths import Options, Path, Paths
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
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
        tape = path.tape
        super().__init__(
            name,
            lambda *xs: path.run(xs),
            [variable.name or f"input {i}" for i, variable in enumerate(tape.inputs)],
            flops=tape.cost().flops,
            made_of=tape.signature,
        )
        self.path = path
        self.held_tape = tape
        self.derived: dict[Hashable, Derived] = {}
        self.lock = threading.Lock()

    def replayed(self, *xs: Any) -> tuple[Any, ...]:
        """Evaluate the tape operation by operation, on anything."""
        tape = self.path.tape
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
        key = tuple([spec_of(value) for value in values])
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
    outs: tuple[Any, ...] = path.native.call(*values)
    if all(reached):
        return outs
    return tuple(out if own else example(out) for out, own in zip(outs, reached, strict=True))
