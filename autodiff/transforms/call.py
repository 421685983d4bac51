"""A function of flat values as a primitive, made for one call.

Each interpreter treats a `Call` as one operation: reverse mode keeps its inputs alone, a tape shows
it by name. Its VJP, JVP and batched form are calls again. They come from rules that it is given, or
from evaluating the function again; where only one of VJP and JVP has a rule, the other is its
transpose.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_value, zeros_of
from autodiff.core.dispatch import innermost
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.errors import RuleError
from autodiff.interpret.batch import Batch
from autodiff.interpret.boxed import pull_back, run, run_batched
from autodiff.interpret.cotangents import zeros
from autodiff.interpret.forward import Forward
from autodiff.ops.examples import loop_over_batch
from autodiff.tape.calls import Calls
from autodiff.tape.ir import Tape
from autodiff.tape.staging import Stage, stage
from autodiff.tensor import Tensor

__all__ = ["Call", "chosen", "jvp_of", "substituted", "vectorized", "vjp_of"]

Values = Sequence[Any]
FlatFunction = Callable[..., tuple[Any, ...]]
PullRule = Callable[[Sequence[bool], Values, Values, Values], Sequence[Any]]
PushRule = Callable[[Values, Values, Values], Sequence[Any]]


class _CallPullbacks(dict[tuple[bool, ...], "Pullback | None"]):
    """Pullbacks of a `Call`: all cotangents at once."""

    def __init__(self, call: Call) -> None:
        self.owner = call

    def __missing__(self, active: tuple[bool, ...]) -> Pullback:
        call = self.owner

        def save(out: Any, params: Any, *xs: Any) -> tuple[Any, ...]:
            return _kept(xs, call.kept_inputs), _kept(out, call.kept_outputs)

        def pull(g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
            xs, outs = saved
            return call.pull(active, _stood_for(xs, g[0]), _stood_for(outs, g[0]), g)

        rules = tuple(f"{call.name}.backward ({name})" for name in call.paths)
        saves = (True,) * len(active)
        self[active] = joint = Pullback(call, save, pull, saves, ("xs", "outs"), rules)
        return joint


def _kept(values: Values, positions: frozenset[int] | None) -> tuple[Any, ...]:
    """Values to keep on the tape; of the others their specs."""
    if positions is None:
        return tuple(values)
    return tuple(value if i in positions else spec_of(value) for i, value in enumerate(values))


def _stood_for(kept: Values, like: Any) -> list[Any]:
    """Zeros that take no memory, in the place of the values that were not kept."""
    return [
        np.broadcast_to(zeros(Spec((), value.dtype), like), value.shape)
        if isinstance(value, Spec)
        else value
        for value in kept
    ]


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
    takes_batches : bool
        Whether to try a batch at all: compiled code of others says in its own ways that it cannot.
    body : callable, optional
        What to record as `held_tape`; by default `function`.
    differentiated : callable, optional
        What is run again to be differentiated, where that is better done otherwise than by
        `function`; it computes the same.
    made_of : hashable
        What tells functions of one name apart, as `code_of` gives it.

    Attributes
    ----------
    held_tape : Tape or None
        What the function computes, once somebody asked for it: see `stage_body`.
    whole_tape : Tape or None
        What stands for the whole operation: the same, but for a loop, which calls its body often.
    """

    gives_tuple = True

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
        takes_batches: bool = True,
        body: FlatFunction | None = None,
        differentiated: FlatFunction | None = None,
        made_of: Hashable = None,
    ) -> None:
        def forward(*xs: Any) -> tuple[Any, ...]:
            return function(*xs)

        def vjp_xs(g: Any) -> Any:
            raise RuleError(f"{name} has one rule for all inputs")

        super().__init__(
            forward,
            "general",
            {"vjp_xs": vjp_xs},
            name=name,
            batch=self._batch,
            cost=lambda out_spec: flops,
        )
        self.function = function
        self.paths = tuple(paths)
        self.pull_rule = pull_rule
        self.push_rule = push_rule
        self.kept_inputs = kept_inputs
        recomputes = pull_rule is None and push_rule is None
        self.kept_outputs = frozenset() if recomputes else kept_outputs
        self.flops = flops
        self.loops = loops
        self.takes_batches = takes_batches
        self.held_tape: Tape | None = None
        self.whole_tape: Tape | None = None
        self.body = function if body is None else body
        self.differentiated = function if differentiated is None else differentiated
        self.made_of = made_of
        self.pullbacks = _CallPullbacks(self)  # type: ignore[assignment] # the same mapping
        self.joint_jvp = self._push

    @property
    def identity(self) -> Hashable:
        """Name and code: calls are made anew each time, and alike where these are."""
        return type(self), self.name, self.made_of

    def stage_body(self, values: Values) -> None:
        """Record what the function computes, at given inputs, as `held_tape`.

        It stays None where the function calls code that Tensors do not go through.
        """
        self.held_tape = self.staged(self.body, values, self.paths)

    def stage_whole(self, values: Values) -> None:
        """Record all that an evaluation computes, at given inputs, as `whole_tape`."""
        if self.held_tape is None:
            self.stage_body(values)
        self.whole_tape = self.held_tape

    @staticmethod
    def staged(function: FlatFunction, values: Values, paths: Sequence[str]) -> Tape | None:
        """Tape of a flat function; None where it calls code that Tensors do not go through."""
        structure = tree.flatten(tuple(values))[1]
        # Compiled code reports in its own way that it was given a Tensor
        with suppress(Exception):
            return stage(function, Stage(Tensor, Calls()), values, paths, structure)[0]
        return None

    def pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> tuple[Any, ...]:
        """Cotangent of each input marked in `active`, None for the others."""
        if self.pull_rule is not None:
            return _example_by_example(functools.partial(self.pull_rule, active), xs, outs, gs)
        if self.push_rule is not None:
            return tuple(self._transposed_push(active, xs, outs, gs))
        derived = Call(
            f"{self.name}.vjp",
            functools.partial(vjp_of, self.differentiated, tuple(active)),
            [*self.paths, *[f"cotangent {i}" for i in range(len(gs))]],
            flops=3 * self.flops,
            made_of=self.made_of,
        )
        found = iter(derived.call(*xs, *gs))
        return tuple(next(found) if flag else None for flag in active)

    def _push(self, xs: Values, ts: Values, outs: Values) -> tuple[Any, ...]:
        """Tangent of each output."""
        if self.push_rule is not None:
            return _example_by_example(self.push_rule, xs, ts, outs)
        if self.pull_rule is not None:
            return self._transposed_pull(xs, ts, outs)
        active = tuple(t is not None for t in ts)
        derived = Call(
            f"{self.name}.jvp",
            functools.partial(jvp_of, self.differentiated, active),
            [*self.paths, *[f"tangent {i}" for i in range(sum(active))]],
            flops=3 * self.flops,
            made_of=self.made_of,
        )
        return tuple(derived.call(*xs, *[t for t in ts if t is not None]))

    def _transposed_pull(self, xs: Values, ts: Values, outs: Values) -> tuple[Any, ...]:
        """JVP from the VJP, which is linear in the cotangents."""
        active = [t is not None for t in ts]

        def pull(*gs: Any) -> tuple[Any, ...]:
            return self.pull(active, xs, outs, gs)

        return tuple(pull_back(Tensor, pull, _arbitrary(outs), ts))

    def _transposed_push(
        self, active: Sequence[bool], xs: Values, outs: Values, gs: Values
    ) -> Sequence[Any]:
        """VJP from the JVP, which is linear in the tangents."""
        constants = [None] * len(xs)

        def push(*ts: Any) -> tuple[Any, ...]:
            return self._push(xs, substituted(constants, active, ts), outs)

        found = pull_back(Tensor, push, _arbitrary(chosen(xs, active)), gs)
        return substituted(constants, active, found)

    def _batch(self, batched: Sequence[bool], inputs: Values, params: Any) -> Any:
        """Evaluate on a batch, as a call of the batched function with batched rules."""
        size = next(len(x) for x, flag in zip(inputs, batched, strict=True) if flag)
        function, differentiated = (
            functools.partial(vectorized, own, tuple(batched), size, self.loops)
            if self.takes_batches
            else functools.partial(_one_by_one, own, tuple(batched))
            for own in (self.function, self.differentiated)
        )
        call = Call(
            self.name,
            function,
            self.paths,
            pull_rule=None if self.pull_rule is None else self._batched_pull(batched, size),
            push_rule=None if self.push_rule is None else self._batched_push(batched, size),
            kept_inputs=self.kept_inputs,
            kept_outputs=self.kept_outputs,
            flops=size * self.flops,
            takes_batches=self.takes_batches,
            differentiated=differentiated,
            made_of=self.made_of,
        )
        return call.call(*inputs)

    def _batched_pull(self, batched: Sequence[bool], size: int) -> PullRule:
        def pull(active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> list[Any]:
            chosen = [i for i, flag in enumerate(active) if flag]

            def flat(*values: Any) -> tuple[Any, ...]:
                found = self.pull(active, *_divided(values, (xs, outs, gs)))
                return tuple(zeros_of(values[i]) if found[i] is None else found[i] for i in chosen)

            flags = [*batched, *[True] * (len(outs) + len(gs))]
            found = vectorized(flat, flags, size, True, *xs, *outs, *gs)
            result: list[Any] = [None] * len(xs)
            for i, g in zip(chosen, found, strict=True):
                result[i] = g if batched[i] else np.sum(g, axis=0)
            return result

        return pull

    def _batched_push(self, batched: Sequence[bool], size: int) -> PushRule:
        def push(xs: Values, ts: Values, outs: Values) -> Sequence[Any]:
            def flat(*values: Any) -> tuple[Any, ...]:
                return self._push(*_divided(values, (xs, ts, outs)))

            moving = [flag and t is not None for flag, t in zip(batched, ts, strict=True)]
            flags = [*batched, *moving, *[True] * len(outs)]
            return vectorized(flat, flags, size, True, *xs, *ts, *outs)

        return push


def chosen(values: Values, flags: Sequence[bool]) -> list[Any]:
    """Values that are marked."""
    return [value for value, flag in zip(values, flags, strict=True) if flag]


def substituted(values: Values, flags: Sequence[bool], others: Iterable[Any]) -> list[Any]:
    """Values, with others in the places that are marked."""
    following = iter(others)
    return [next(following) if flag else value for value, flag in zip(values, flags, strict=True)]


def _arbitrary(values: Values) -> list[Any]:
    """Where to record what is linear in arrays of the shapes of these.

    Their numbers are not zero: a rule may iterate until it has converged.
    """
    return [
        _irregular(value) if is_inexact(spec_of(value).dtype) else zeros_of(value)
        for value in values
    ]


def _irregular(value: Any) -> Any:
    """Array like another, of different numbers between -1 and 1."""
    spec = spec_of(value)
    numbers = np.cos(np.arange(1.0, spec.size + 1.0)).reshape(spec.shape)
    return as_value(numbers.astype(spec.dtype), like=value)


def vjp_of(function: FlatFunction, active: tuple[bool, ...], *values: Any) -> tuple[Any, ...]:
    """Run a function again, recording, and pull cotangents back through it."""
    inputs, cotangents = values[: len(active)], values[len(active) :]

    def of_active(*variables: Any) -> tuple[Any, ...]:
        return function(*substituted(inputs, active, variables))

    return tuple(pull_back(Tensor, of_active, chosen(inputs, active), cotangents))


def jvp_of(function: FlatFunction, active: tuple[bool, ...], *values: Any) -> tuple[Any, ...]:
    """Run a function again with tangents."""
    inputs, tangents = values[: len(active)], values[len(active) :]
    pusher = Forward(Tensor)
    moving = map(pusher.make, chosen(inputs, active), tangents)
    return tuple(
        zeros_of(out) if tangent is None else tangent
        for out, tangent in run(pusher, function, substituted(inputs, active, moving))
    )


def vectorized(
    function: FlatFunction, batched: Sequence[bool], size: int, loops: bool, *values: Any
) -> tuple[Any, ...]:
    """Evaluate a function on a batch at once, or else example by example."""
    try:
        return tuple(run_batched(Tensor, size, function, batched, values))
    except Exception:
        # Code that Tensors do not go through, which compiled code reports in its own way; a fault
        # of the function itself shows again below.
        if not loops or size == 0:
            raise
    return _one_by_one(function, batched, *values)


def _one_by_one(function: FlatFunction, batched: Sequence[bool], *values: Any) -> tuple[Any, ...]:
    """Evaluate a function on one example after the other."""
    stacked: tuple[Any, ...] = loop_over_batch(function, batched, values)
    return stacked


def _divided(values: Values, groups: Sequence[Values]) -> list[Values]:
    """Cut values in a row into groups of the same lengths as others."""
    remaining = iter(values)
    return [list(itertools.islice(remaining, len(group))) for group in groups]


def _example_by_example(rule: Callable[..., Sequence[Any]], *groups: Values) -> tuple[Any, ...]:
    """Evaluate a rule; on a batch that it cannot take at once, on one example after the other."""
    values = list(itertools.chain(*groups))
    try:
        return tuple(rule(*groups))
    except Exception:  # as above
        batch = innermost(values)
        if not isinstance(batch, Batch) or batch.size == 0:
            raise
    below, sizes = zip(*map(batch.unbox, values), strict=True)
    flags = [size is not None for size in sizes]
    missing: list[bool] = []

    def present(*example: Any) -> tuple[Any, ...]:
        found = _example_by_example(rule, *_divided(example, groups))
        missing[:] = [part is None for part in found]
        return tuple(part for part in found if part is not None)

    stacked = iter(loop_over_batch(present, flags, below))
    return tuple(None if gap else batch.make(next(stacked), batch.size) for gap in missing)
