"""One call of a function with derivative rules of its own.

It becomes a `Call` whose rules are the user's. Tensors from outside have no place in such rules, so
a derivative with respect to one is refused; what the rules return is checked against what it stands
for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import numpy as np

from autodiff import tree
from autodiff.core.arrays import as_array, as_value, is_array, is_number, zeros_of
from autodiff.core.dispatch import Box
from autodiff.core.memory import read_only
from autodiff.core.spec import is_inexact, spec_of
from autodiff.errors import RuleError
from autodiff.interpret.batch import Batch
from autodiff.interpret.cotangents import cast
from autodiff.transforms.arguments import Function, code_of
from autodiff.transforms.call import Call, vjp_of
from autodiff.transforms.closure import (
    Capture,
    Closed,
    Input,
    Output,
    is_differentiated,
    is_operand,
)

__all__ = ["BackwardRule", "CustomCall", "ForwardRule", "TangentRule", "being_shown"]

Values = Sequence[Any]
ForwardRule = Callable[..., tuple[Any, Any]]
"""What the function takes; returns the output and residuals."""
BackwardRule = Callable[[Any, Any], tuple[Any, ...]]
"""Residuals and a cotangent of the output; returns one cotangent per argument."""
TangentRule = Callable[..., tuple[Any, Any]]
"""Primals and tangents, and the function's keywords; returns the output and its tangent."""


class Rules(Protocol):
    """A function, and the rules that it was given so far."""

    name: str
    forward: ForwardRule | None
    backward: BackwardRule | None
    rule: TangentRule | None

    @property
    def f(self) -> Function:
        """The function."""


being_shown: ContextVar[frozenset[Any]] = ContextVar("being_shown", default=frozenset())
"""Functions of which it is being recorded what they compute: a call of one of these is no call."""


class CustomCall:
    """A function with rules, and the arguments of one call."""

    def __init__(self, owner: Rules, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.owner = owner
        self.name = owner.name
        self.closed = Closed(owner.name, args, keywords, boxed=False)
        self.arguments = [tree.flatten(argument)[1] for argument in args]
        self.positional = sum(structure.num_leaves for structure in self.arguments)
        self.paths = self.closed.paths()
        for slot, box, path in zip(self.closed.slots, self.closed.boxes, self.paths, strict=True):
            if slot >= self.positional and is_differentiated(box):
                raise self._keyword_error(path)
        wants_rule = not all(map(_only_batched, self.closed.boxes))
        self.with_residuals = owner.forward is not None and wants_rule

    def evaluate(self) -> Any:
        """Outputs, with the rules attached."""
        closed = self.closed
        f, who = self.owner.f, f"{self.name}.forward"
        forward = self.owner.forward if self.with_residuals else None

        def run(*args: Any, **keywords: Any) -> tuple[Any, ...]:
            if forward is None:
                returned: tuple[Any, ...] = (f(*args, **keywords),)
            else:
                returned = _checked_pair(who, "residuals", forward(*args, **keywords))
            return _with_arrays(returned) if closed.boxes else returned

        result = closed.discover(run)
        for box in closed.outside:
            if is_differentiated(box):
                raise self._outside_error(self.name, box)
        if not closed.inputs():
            return result.build(0, (), result.arrays)
        self.paths = closed.paths()
        self.visible = sum(isinstance(entry, Output) for entry in result.trees[0][1])
        extras = range(self.visible, len(result.specs))
        has_vjp = self.with_residuals
        has_jvp = self.owner.rule is not None
        derived = any(is_inexact(result.specs[i].dtype) for i in extras)
        kept_inputs: frozenset[int] | None = None
        kept_outputs: frozenset[int] | None = None
        if has_vjp:
            template = result.trees[1][1]
            if not derived:
                kept_inputs = frozenset(e.position for e in template if isinstance(e, Input))
            kept_outputs = frozenset(e.position for e in template if isinstance(e, Output))
        call = Call(
            self.name,
            closed,
            self.paths,
            pull_rule=self._pull if has_vjp or not has_jvp else None,
            push_rule=self._push if has_jvp and not derived else None,
            kept_inputs=kept_inputs,
            kept_outputs=kept_outputs,
            flops=closed.flops,
            loops=True,
            body=self._shown,
            made_of=code_of(self.owner.f),
        )
        return closed.evaluate(call)

    def _shown(self, *xs: Any) -> tuple[Any, ...]:
        """What the function computes; rules call the function, which is then not a call again."""
        former = being_shown.set(being_shown.get() | {self.owner})
        try:
            return self.closed(*xs)
        finally:
            being_shown.reset(former)

    def _keyword_error(self, path: str) -> TypeError:
        return TypeError(
            f"{self.name}: {path} is differentiated, but keyword arguments have no "
            "derivative rule here; pass it by position"
        )

    def _outside_error(self, who: str, box: Any) -> TypeError:
        return TypeError(
            f"{who}: it uses a Tensor of shape {spec_of(box).shape} from outside, for which its "
            f"rule gives no derivative; pass it as an argument of {self.name}, or use "
            "stop_gradient on it if it is a constant"
        )

    def _guarded(self, who: str, rule: Callable[..., Any], *containers: Any) -> Any:
        """Run a rule on values of the current level; Tensors from outside are refused."""

        def unknown(box: Box) -> Any:
            if is_differentiated(box):
                raise self._outside_error(who, box)
            return box

        capture = Capture({}, unknown)

        def inside(leaf: Any) -> Any:
            return capture.own(leaf) if isinstance(leaf, Box) else read_only(leaf)

        with capture.opened():
            returned = rule(*[tree.map_leaves(inside, c) for c in containers])
            return tree.map_leaves(capture.below, returned)

    def _check_outside(self, active: Sequence[bool]) -> None:
        for flag, box in zip(active[len(self.closed.boxes) :], self.closed.outside, strict=True):
            if flag:
                raise self._outside_error(self.name, box)
        for flag, slot, path in zip(active, self.closed.slots, self.paths, strict=False):
            if flag and slot >= self.positional:
                raise self._keyword_error(path)

    def _pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> Sequence[Any]:
        """Cotangents of the inputs, from the user's backward rule."""
        self._check_outside(active)
        if not self.with_residuals:
            raise TypeError(
                f"{self.name} has no derivative rule yet; give it one with "
                f"{self.name}.def_vjp(forward, backward) or {self.name}.def_jvp(rule)"
            )
        who = f"{self.name}.backward"
        residuals = self.closed.result.build(1, xs, outs)
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
        structure, template = self.closed.result.trees[0]
        return tree.unflatten(
            structure,
            [
                gs[entry.position]
                if isinstance(entry, Output)
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
            functools.partial(vjp_of, self.closed, tuple(active)),
            [*self.paths, *[f"cotangent {i}" for i in range(len(gs))]],
            made_of=code_of(self.owner.f),
        )
        outputs = [zeros_of(g) if i < self.visible else g for i, g in enumerate(gs)]
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
                    f"{who}: cotangent of args[{i}] has structure {tree.shown(own)}, "
                    f"wanted {tree.shown(structure)}"
                )
            by_leaf += leaves
        found: list[Any] = [None] * len(xs)
        for position, slot in enumerate(self.closed.slots):
            if slot < self.positional and active[position]:
                what = f"{who}: cotangent of {self.paths[position]}"
                found[position] = _checked(what, by_leaf[slot], xs[position])
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
        out, tangent = _checked_pair(who, "tangent of the output", returned)
        structure, template = self.closed.result.trees[0]
        names = tree.paths(structure, "output")
        found: list[Any] = [None] * len(outs)
        for what, container in (("output", out), ("tangent of the output", tangent)):
            leaves, own = tree.flatten(container)
            if own != structure:
                raise RuleError(
                    f"{who}: {what} has structure {tree.shown(own)}, wanted {tree.shown(structure)}"
                )
            for leaf, entry, name in zip(leaves, template, names, strict=True):
                if isinstance(entry, Output) and is_inexact(spec_of(outs[entry.position]).dtype):
                    described = name if what == "output" else f"tangent of {name}"
                    found[entry.position] = _checked(
                        f"{who}: {described}", leaf, outs[entry.position]
                    )
        return [zeros_of(o) if t is None else t for t, o in zip(found, outs, strict=True)]

    def _arguments(self, xs: Values) -> Any:
        leaves = list(self.closed.leaves)
        for slot, x in zip(self.closed.slots, xs, strict=False):
            leaves[slot] = x
        return tree.unflatten(self.closed.structure, leaves)

    def _tangent_arguments(self, xs: Values, ts: Values) -> Any:
        """Tangents beside the arguments: zeros for constants, None for what is no float array."""
        leaves = [
            zeros_of(leaf)
            if (is_array(leaf) or isinstance(leaf, (float, complex)))
            and is_inexact(spec_of(leaf).dtype)
            else None
            for leaf in self.closed.leaves
        ]
        for slot, x, t in zip(self.closed.slots, xs, ts, strict=False):
            leaves[slot] = zeros_of(x) if t is None else t
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


def _checked_pair(who: str, second: str, returned: Any) -> tuple[Any, Any]:
    """Refuse what is no pair of the output and what a rule returns in addition to it."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise RuleError(
            f"{who} must return a pair (output, {second}), it returned {_described(returned)}"
        )
    return returned


def _with_arrays(returned: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make arrays of the Python numbers that a function computed, which solvers often return.

    A number in the output depends on the inputs as far as anybody can know, and so it does where it
    is a residual too.
    """
    computed = {
        id(leaf): as_value(leaf)
        for leaf in tree.leaves(returned[0])
        if isinstance(leaf, (float, complex))
    }
    if not computed:
        return returned
    return tuple(
        tree.map_leaves(lambda leaf: computed.get(id(leaf), leaf), part) for part in returned
    )


def _checked(what: str, value: Any, primal: Any) -> Any:
    """Give a cotangent or tangent its primal's dtype; refuse one of another shape or kind."""
    if value is None:
        return zeros_of(primal)
    spec = spec_of(primal)
    if not is_operand(value):
        if not is_number(value):
            raise RuleError(f"{what} is a {type(value).__name__}, wanted an array of {spec}")
        value = as_array(value)
    if value.shape != spec.shape:
        raise RuleError(f"{what} has shape {value.shape}, wanted {spec.shape}")
    if value.dtype.kind not in "fciub" or (value.dtype.kind == "c" and spec.dtype.kind != "c"):
        raise RuleError(f"{what} has dtype {value.dtype}, wanted {spec.dtype}")
    return cast(value, spec.dtype) if is_inexact(spec.dtype) else value
