"""A function of flat values as a primitive, made for one call.

Each interpreter treats a `Call` as one operation: reverse mode keeps its inputs alone, a tape shows
it by name. Its VJP, JVP and batched form are calls again. They come from rules that it is given, or
from evaluating the function again; where only one of VJP and JVP has a rule, the other is its
transpose.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from autodiff.core.dispatch import Box, innermost, open_scope
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.errors import RuleError
from autodiff.interpret.batch import Batch
from autodiff.interpret.cotangents import cast, zeros
from autodiff.interpret.forward import Forward
from autodiff.interpret.reverse import Reverse
from autodiff.interpret.sweep import sweep
from autodiff.ops.index import loop_over_batch
from autodiff.tensor import Tensor

__all__ = ["Call", "vjp_of"]

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
        self.pullbacks = _CallPullbacks(self)  # type: ignore[assignment] # the same mapping
        self.joint_jvp = self._push

    def pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> tuple[Any, ...]:
        """Cotangent of each input marked in `active`, None for the others."""
        if self.pull_rule is not None:
            return _example_by_example(functools.partial(self.pull_rule, active), xs, outs, gs)
        if self.push_rule is not None:
            return tuple(self._transposed_push(active, xs, outs, gs))
        derived = Call(
            f"{self.name}.vjp",
            functools.partial(vjp_of, self.function, tuple(active)),
            [*self.paths, *[f"cotangent {i}" for i in range(len(gs))]],
            flops=3 * self.flops,
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
            chosen = [i for i, flag in enumerate(active) if flag]

            def flat(*values: Any) -> tuple[Any, ...]:
                found = self.pull(active, *_divided(values, (xs, outs, gs)))
                return tuple(
                    zeros(spec_of(values[i])) if found[i] is None else found[i] for i in chosen
                )

            flags = [*batched, *[True] * (len(outs) + len(gs))]
            found = _vectorized(flat, flags, size, True, *xs, *outs, *gs)
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
            return _vectorized(flat, flags, size, True, *xs, *ts, *outs)

        return push


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


def _sweep_pairs(recorder: Reverse, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
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


def vjp_of(function: FlatFunction, active: tuple[bool, ...], *values: Any) -> tuple[Any, ...]:
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
    except Exception:
        # Code that Tensors do not go through, which compiled code reports in its own way; a fault
        # of the function itself shows again below.
        if not loops or size == 0:
            raise
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
    flags = [isinstance(value, Box) and value._interpreter is batch for value in values]
    below = [value._value if flag else value for value, flag in zip(values, flags, strict=True)]
    missing: list[bool] = []

    def present(*example: Any) -> tuple[Any, ...]:
        found = _example_by_example(rule, *_divided(example, groups))
        missing[:] = [part is None for part in found]
        return tuple(part for part in found if part is not None)

    stacked = iter(loop_over_batch(present, flags, below))
    return tuple(None if gap else batch.make(next(stacked), batch.size) for gap in missing)
