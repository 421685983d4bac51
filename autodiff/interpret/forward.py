"""Forward mode: carry a tangent beside each value.

A box's payload is its tangent, of the value's shape and dtype; None marks a constant, whose
tangent would be zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import FORMED, as_array, is_array, is_number, zeros_of
from autodiff.core.dispatch import Box, Interpreter
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback, Rule, available_names
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.errors import RuleError
from autodiff.interpret.boxed import pull_back
from autodiff.interpret.call_sites import check_finite, source_line
from autodiff.interpret.cotangents import cast, keep_zero, materialised
from autodiff.ops.operands import as_input
from autodiff.ops.shape import broadcast_to

__all__ = ["Forward"]


class Forward(Interpreter):
    """Evaluates primitives on values and tangents together."""

    transform = "jvp"

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive and its tangent."""
        capture = self.capturing()
        if capture is not None:
            return capture.process(primitive, inputs, params)
        values: list[Any] = []
        tangents: list[Any] = []
        constant = primitive.constant
        for value in inputs:
            tangent = None
            if isinstance(value, Box) and value._interpreter is self:
                if not (constant and primitive.input_name(len(values)) in constant):
                    tangent = value._payload
                value = value._value
            else:
                value = as_input(value, primitive, inputs)
            values.append(value)
            tangents.append(tangent)
        out = primitive.call(*values, **params)
        debug = modes.open and modes.debug
        if debug:
            check_finite(out, f"forward of {primitive.name}", source_line())
        suspended = modes.open and self.level < modes.no_grad_level
        if suspended or not primitive.differentiable or all(t is None for t in tangents):
            tangent_out: Any = None
        else:
            tangent_out = self._push(primitive, values, tangents, out, params)
            if debug:
                check_finite(tangent_out, f"tangent of {primitive.name}", source_line())
        if isinstance(out, tuple):
            parts = tangent_out if tangent_out is not None else (None,) * len(out)
            return tuple(self._boxed(o, t) for o, t in zip(out, parts, strict=True))
        return self._boxed(out, tangent_out)

    def _boxed(self, out: Any, tangent: Any) -> Any:
        """Box a result; booleans and integers stay plain."""
        dtype = out.dtype if type(out) in FORMED else spec_of(out).dtype
        return self.make(out, tangent) if is_inexact(dtype) else out

    def _push(
        self,
        primitive: Primitive,
        values: Sequence[Any],
        tangents: Sequence[Any],
        out: Any,
        params: dict[str, Any],
    ) -> Any:
        """Tangent of the result, from the rules that the primitive's kind gives."""
        if primitive.joint_jvp is not None:
            return _fit(primitive.joint_jvp(values, tangents, out), out, primitive.name)
        if primitive.kind == "linear":
            seeds = [
                t
                if t is not None or primitive.input_name(i) in primitive.constant
                else zeros_of(values[i])
                for i, t in enumerate(tangents)
            ]
            full = [v if t is None else t for v, t in zip(values, seeds, strict=True)]
            return _fit(primitive.call(*full, **params), out, primitive.name)
        total: Any = None
        names: dict[str, Any] | None = None
        for position, tangent in enumerate(tangents):
            if tangent is None:
                continue
            name = primitive.input_name(position)
            if primitive.kind == "multilinear":
                substituted = [*values[:position], tangent, *values[position + 1 :]]
                term = primitive.call(*substituted, **params)
            elif primitive.kind == "elementwise":
                pullback = primitive.pullbacks[tuple([i == position for i in range(len(values))])]
                assert pullback is not None
                saved = pullback.save(out, params, *values)
                term = _elementwise_term(pullback, position, tangent, saved)
            else:
                if names is None:
                    names = available_names(primitive, values, out, params)
                names["index"] = position
                if name in primitive.forward_rules:
                    names["t"] = tangent
                    term = primitive.forward_rules[name](names)
                else:
                    term = self._transposed(primitive, name, tangent, names, out)
            term = _fit(term, out, f"{primitive.name}: tangent for {name}")
            total = term if total is None else _sum(total, term)
        return total

    def _transposed(
        self,
        primitive: Primitive,
        name: str,
        tangent: Any,
        names: dict[str, Any],
        out: Any,
    ) -> Any:
        """JVP from a VJP alone: the VJP is linear in its cotangent, so its own VJP is the JVP."""
        rule = primitive.reverse_rules[name]
        assert isinstance(rule, Rule)
        several = isinstance(out, tuple)

        def cotangent(*gs: Any) -> tuple[Any]:
            return (materialised(rule({**names, "g": gs if several else gs[0]})),)

        start = [zeros_of(o) for o in (out if several else (out,))]
        parts = pull_back(self.box, cotangent, start, [tangent])
        return tuple(parts) if several else parts[0]


def _elementwise_term(pullback: Pullback, position: int, tangent: Any, saved: Any) -> Any:
    """Local partial times tangent: what the VJP by this input alone does to a cotangent."""
    if modes.open and modes.strong_zero:
        with np.errstate(divide="ignore", invalid="ignore"):
            return keep_zero(tangent, pullback.pull(tangent, saved)[position])
    return pullback.pull(tangent, saved)[position]


def _sum(total: Any, term: Any) -> Any:
    if isinstance(total, tuple):
        return tuple(a + b for a, b in zip(total, term, strict=True))
    return total + term


def _fit(tangent: Any, out: Any, rule: str) -> Any:
    """Give a tangent its output's shape and dtype; refuse one that cannot have them."""
    is_formed = type(tangent) in FORMED and type(out) in FORMED
    if is_formed and tangent.shape == out.shape and tangent.dtype == out.dtype:
        return tangent
    if isinstance(out, tuple):
        if not isinstance(tangent, tuple) or len(tangent) != len(out):
            raise RuleError(f"{rule} must be a tuple of {len(out)} tangents, one per output")
        return tuple(_fit(t, o, rule) for t, o in zip(tangent, out, strict=True))
    spec: Spec = spec_of(out)
    if not (isinstance(tangent, Box) or is_array(tangent)):
        if not is_number(tangent):
            raise RuleError(f"{rule} is a {type(tangent).__name__}; it must be an array or Tensor")
        tangent = as_array(tangent)
    if tangent.shape != spec.shape:
        try:
            tangent = broadcast_to(tangent, shape=spec.shape)
        except ValueError:
            raise RuleError(
                f"{rule} has shape {tangent.shape}, the output has shape {spec.shape}"
            ) from None
    if tangent.dtype != spec.dtype and is_inexact(spec.dtype):
        tangent = cast(tangent, spec.dtype)
    return tangent
