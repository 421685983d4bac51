"""The user's functions of ``(t, y, *args)`` as closed flat functions; calls of compiled code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_value
from autodiff.core.dispatch import Box
from autodiff.core.modes import modes
from autodiff.core.spec import spec_of
from autodiff.errors import TapeError
from autodiff.numpy import array
from autodiff.scipy.integrate.memory import Memory
from autodiff.transforms.call import Call, FlatFunction, jvp_of, vjp_of
from autodiff.transforms.closure import example
from autodiff.transforms.scan.body import Body
from autodiff.transforms.scan.frozen import Frozen
from autodiff.transforms.scan.replay import alike

__all__ = ["Arguments", "Impure", "Opaque", "Part", "Replaying", "State"]

Values = Sequence[Any]
OFTEN = 16
"""Calls at which it is always seen whether a function remembers them, before it is now and then."""


class State:
    """How a state of the user's, a vector or a container of arrays, becomes a vector, and back.

    Parameters
    ----------
    name : str
        For messages.
    y0 : array_like, or a container of arrays
        A dict, or a tuple or list that holds an array with axes, is a container.
    """

    def __init__(self, name: str, y0: Any) -> None:
        self.name = name
        leaves, structure = tree.flatten(y0)
        self.contained = isinstance(y0, dict) or (
            isinstance(y0, (tuple, list)) and any(np.ndim(leaf) for leaf in leaves)
        )
        if isinstance(y0, (tuple, list)):
            nested = any(isinstance(part, (tuple, list)) for part in y0)
            plain = not any(np.shape(leaf) for leaf in leaves)
            self.contained = self.contained or (nested and not plain)
        if not self.contained:
            vector: Any = y0 if isinstance(y0, Box) else array(y0)
            if spec_of(vector).ndim != 1:
                raise ValueError(
                    f"{name}: `y0` must be 1-dimensional, or a dict or tuple of arrays; it has "
                    f"shape {spec_of(vector).shape}"
                )
            self.vector = _floating(vector)
            return
        arrays = [_floating(leaf if isinstance(leaf, Box) else array(leaf)) for leaf in leaves]
        self.structure = structure
        self.shapes = [spec_of(leaf).shape for leaf in arrays]
        self.vector = self.joined(arrays)

    @staticmethod
    def joined(leaves: Sequence[Any]) -> Any:
        """Vector of the leaves."""
        return np.concatenate([np.reshape(leaf, (-1,)) for leaf in leaves])

    def built(self, vector: Any) -> Any:
        """State of a vector, or of an array whose first axis is the vector's."""
        if not self.contained:
            return vector
        leaves, start = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape, dtype=int))
            part = vector[start : start + size]
            leaves.append(np.reshape(part, (*shape, *spec_of(vector).shape[1:])))
            start += size
        return tree.unflatten(self.structure, leaves)

    def flat(self, state: Any, like: Any, vectorized: bool) -> Any:
        """Vector of what the right-hand side returned for a state."""
        spec = spec_of(like)
        if self.contained:
            leaves, structure = tree.flatten(state)
            shapes = [np.shape(leaf) for leaf in leaves]
            if structure != self.structure or shapes != self.shapes:
                raise ValueError(
                    f"{self.name}: fun returned {tree.shown(structure)} with shapes {shapes} for "
                    f"a state {tree.shown(self.structure)} with shapes {self.shapes}; it must "
                    "return the derivative of each array in the state"
                )
            return self.joined(leaves).astype(spec.dtype)
        vector: Any = state if isinstance(state, Box) else array(state)
        shape = spec_of(vector).shape
        if vectorized:
            vector = np.ravel(vector)
            shape = spec_of(vector).shape
        if shape != spec.shape:
            if shape not in ((), (1,)):
                raise ValueError(
                    f"{self.name}: fun returned an array of shape {shape} for a state of shape "
                    f"{spec.shape}; it must return the derivative of each element"
                )
            vector = np.broadcast_to(vector, spec.shape)
        return vector if vector.dtype == spec.dtype else vector.astype(spec.dtype)

    def on_vectors(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """Right-hand side of vectors, of one of containers."""

        def flat(t: Any, y: Any, *args: Any) -> Any:
            return self.flat(fun(t, self.built(y), *args), y, False)

        return flat

    def of_vectors(self, event: Callable[..., Any]) -> Callable[..., Any]:
        """Event of vectors, of one of containers."""

        def flat(t: Any, y: Any, *args: Any) -> Any:
            return event(t, self.built(y), *args)

        for name in ("terminal", "direction"):
            if hasattr(event, name):
                setattr(flat, name, getattr(event, name))
        return flat


def _floating(x: Any) -> Any:
    """Double precision, real or complex, which SciPy computes in."""
    wanted = np.complex128 if spec_of(x).dtype.kind == "c" else np.float64
    return x if spec_of(x).dtype == wanted else x.astype(wanted)


class Arguments:
    """``args`` of the user's functions, of which the Tensors are given anew each time."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.leaves, self.structure = tree.flatten(args)
        self.slots = [i for i, leaf in enumerate(self.leaves) if isinstance(leaf, Box)]
        self.constants = [None if isinstance(leaf, Box) else leaf for leaf in self.leaves]

    def filled(self, given: Values) -> tuple[Any, ...]:
        """Arguments with values in the places of the Tensors."""
        leaves = list(self.constants)
        for slot, value in zip(self.slots, given, strict=True):
            leaves[slot] = value
        args: tuple[Any, ...] = tree.unflatten(self.structure, leaves)
        return args


class Part:
    """A function of time and state, of the args that are Tensors, and of Tensors from outside.

    It computes, from then on, what it computed when it was made (see `transforms.scan.frozen`).

    Parameters
    ----------
    name : str
        For messages.
    function : function of time, the state as a vector, and args
        Returns an array.
    arguments : Arguments
    t, y : where it is evaluated first
    given : values of the args that are Tensors
    outside : Tensors from outside that it may use
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        arguments: Arguments,
        t: float,
        y: Any,
        given: Values,
        outside: Sequence[Box],
    ) -> None:
        def step(state: Any, x: Any) -> tuple[Any, Any]:
            time, values = x
            return state, function(time, state, *arguments.filled(values))

        start = as_value(float(t))
        xs = tree.flatten((start, list(given)))[1]
        body = Body(step, name, tree.flatten(y)[1], xs, [spec_of(y)])
        body.outside = self.outside = list(outside)
        self.frozen = Frozen(body, [y, start, *given, *map(example, outside)])

    def __call__(self, t: Any, y: Any, *values: Any) -> Any:
        """Evaluate, on arrays or Tensors; values are those of args, then those from outside."""
        return self.frozen(y, as_value(t) if type(t) is float else t, *values)[1]

    def described(self, t: float, y: Any, *values: Any) -> Any:
        """Evaluate on arrays, as it was recorded; None where the records do not say."""
        outs = self.frozen.described(y, np.float64(t), *values)
        return None if outs is None else outs[1]

    def extend(self, t: float, y: Any, *values: Any) -> None:
        """Record what it computes from there, if that is another way."""
        self.frozen.extend(y, np.float64(t), *values)

    def settle(self) -> None:
        """Know that what uses it has been evaluated."""
        self.frozen.settle()


class Impure(Exception):
    """A function computed something else than its record, of the same values."""

    @staticmethod
    def of(name: str) -> TapeError:
        """What is said where a derivative is asked for."""
        return TapeError(
            f"{name}: evaluated again at the same time and state, the function returned something "
            "else, so the solution has no derivative; it must compute the same each time: draw "
            "random numbers before, and keep nothing from call to call"
        )


class Replaying:
    """The user's function as a solver calls it, on arrays.

    Every operation on a Tensor from outside goes through an interpreter, which costs more than the
    arithmetic on a small state. So the function is recorded once such a Tensor was met, and the
    solver gets what the record computes: the same operations on arrays, bit by bit. Where the
    record does not describe a point, the function itself is asked. At every call whose number is a
    power of two both are, so that a function that draws random numbers is not taken for one that
    computes the same each time.

    A function that changes what it reads from outside (a list of former states, a switch, a count)
    may mean something else each time, and calls that are left out would be missing from what it
    remembers. So it is asked each time.

    Parameters
    ----------
    function : function of ``(t, y, *args)``
    user : callable
        The user's, on which that rests.
    flat : function of what that returns, and y
        Makes the vector of it.
    outside : Tensors from outside: a list, which grows as evaluations meet them
    given : values of the args that are Tensors
    boxed : bool
        Whether there are Tensors besides, so that derivatives may be wanted.
    part : function, optional
        Records the function as it is now. Without it, the function is asked each time, for one
        state or for several as columns, and what it returned is kept to compare.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        user: Callable[..., Any],
        flat: Callable[[Any, Any], Any],
        outside: Sequence[Box],
        given: Sequence[Any],
        boxed: bool,
        part: Callable[[], Part] | None,
    ) -> None:
        self.function = function
        self.user = user
        self.flat = flat
        self.outside = outside
        self.given = given
        self.boxed = boxed
        self.make = part
        self.part: Part | None = None
        self.values: list[Any] = []
        self.calls = 0
        self.asked = 0
        self.changed = False
        self.remembers = False
        self.samples: list[tuple[float, Any, list[Any], Any]] = []

    def __call__(self, t: float, y: Any, *args: Any) -> Any:
        """Evaluate; raises `Impure` where function and record differ."""
        part = self.part
        if self.remembers or part is None or len(part.outside) != len(self.outside):
            found = self._watched(t, y, *args)
            if self.make is not None and self.outside and not self.changed:
                self.part = self.make()
                self.values = self._values()
            return found
        found = part.described(t, y, *self.values)
        if found is None:
            found = self._watched(t, y, *args)
            if len(part.outside) == len(self.outside) and not self.remembers:
                part.extend(t, y, *self.values)
            return found
        self.calls += 1
        if not self.calls & (self.calls - 1):
            written = self.flat(self._watched(t, y, *args), y)
            if not alike([found], [written]):
                raise Impure
        return found

    def _values(self) -> list[Any]:
        capture: Any = modes.capture
        return [*self.given, *map(capture.below, self.outside)]

    def _watched(self, t: float, y: Any, *args: Any) -> Any:
        """Ask the function, and see whether it remembers that."""
        wanted = self.boxed or bool(self.outside)
        if self.asked and not wanted:
            return self.function(t, y, *args)
        self.asked += 1
        now = self.asked <= OFTEN or not self.asked & (self.asked - 1)
        memory = Memory(self.user) if now and not self.remembers else None
        found = self.function(t, y, *args)
        if memory is not None:
            # What the first call alone leaves behind was made for the others: a table, a cache
            self.changed = memory.changed()
            self.remembers = self.changed and self.asked > 1
        keeps = self.changed or self.make is None
        if now and keeps and (wanted or bool(self.outside)) and np.shape(y)[1:] in ((), (1,)):
            state = np.array(y).ravel()
            self.samples.append((t, state, self._values(), self.flat(found, state)))
        return found

    def differs(self, part: Part) -> bool:
        """Whether a record, made later, computes something else than a function that remembers."""
        return any(
            not alike([part(np.float64(t), y, *values)], [found])
            for t, y, values, found in self.samples
        )


class Opaque(Call):
    """A function evaluated on arrays, one example of a batch after the other.

    Its derivatives, which are evaluated in the same way, are those of `differentiated`.
    """

    def __init__(
        self, name: str, function: FlatFunction, paths: Sequence[str], **options: Any
    ) -> None:
        super().__init__(name, function, paths, takes_batches=False, **options)

    def pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> tuple[Any, ...]:
        """Cotangent of each input marked in `active`, None for the others."""
        if self.pull_rule is not None:
            return super().pull(active, xs, outs, gs)
        names = [f"cotangent {i}" for i in range(len(gs))]
        derived = self.derived(f"{self.name}.vjp", vjp_of, tuple(active), names)
        found = iter(derived.call(*xs, *gs))
        return tuple(next(found) if flag else None for flag in active)

    def _push(self, xs: Values, ts: Values, outs: Values) -> tuple[Any, ...]:
        """Tangent of each output."""
        if self.push_rule is not None or self.pull_rule is not None:
            return super()._push(xs, ts, outs)
        active = tuple(t is not None for t in ts)
        names = [f"tangent {i}" for i in range(sum(active))]
        derived = self.derived(f"{self.name}.jvp", jvp_of, active, names)
        return tuple(derived.call(*xs, *[t for t in ts if t is not None]))

    def derived(
        self,
        name: str,
        transform: Callable[..., Any],
        active: tuple[bool, ...],
        others: Sequence[str],
    ) -> Opaque:
        """Call of its cotangents or tangents, by `vjp_of` or `jvp_of`."""
        return Opaque(
            name,
            functools.partial(transform, self.differentiated, active),
            [*self.paths, *others],
            flops=3 * self.flops,
            made_of=self.made_of,
        )
