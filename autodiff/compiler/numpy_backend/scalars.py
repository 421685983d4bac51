"""Tapes of numbers, as plain Python arithmetic.

A NumPy scalar costs ten times what a Python float does. Where every value of a tape is a float64
number or a truth value, the program is written in floats and functions of `math`, whose results are
NumPy's but for rounding in the last place. Where NumPy gives an infinity or NaN with a warning,
Python raises; then the program is run in NumPy's numbers instead.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.numpy_backend.handlers import ALIASES
from autodiff.compiler.numpy_backend.planner import identifier
from autodiff.core.primitive import Primitive
from autodiff.ops import elementwise as ew
from autodiff.ops import slopes
from autodiff.ops.shape import stack
from autodiff.tape.entries import Constant, Entry, Operand
from autodiff.tape.ir import Tape

__all__ = ["ScalarProgram", "scalar_program"]

CHUNK = 500
"""Lines of one function."""

LENGTH = 120
"""Characters from which on an expression gets a name."""

_FLOAT, _BOOL = np.dtype(float), np.dtype(bool)

TEMPLATES: dict[Any, str] = {
    operator.add: "({0} + {1})",
    operator.sub: "({0} - {1})",
    operator.mul: "({0} * {1})",
    operator.truediv: "({0} / {1})",
    operator.neg: "(-{0})",
    operator.pow: "power({0}, {1})",
    np.reciprocal: "(1.0 / {0})",
    np.absolute: "abs({0})",
    np.exp: "exp({0})",
    np.exp2: "exp2({0})",
    np.expm1: "expm1({0})",
    np.log: "log({0})",
    np.log1p: "log1p({0})",
    np.log2: "log2({0})",
    np.log10: "log10({0})",
    np.sqrt: "sqrt({0})",
    np.sin: "sin({0})",
    np.cos: "cos({0})",
    np.tan: "tan({0})",
    np.arcsin: "asin({0})",
    np.arccos: "acos({0})",
    np.arctan: "atan({0})",
    np.sinh: "sinh({0})",
    np.cosh: "cosh({0})",
    np.tanh: "tanh({0})",
    np.arcsinh: "asinh({0})",
    np.arccosh: "acosh({0})",
    np.arctanh: "atanh({0})",
    np.arctan2: "atan2({0}, {1})",
    np.greater: "({0} > {1})",
    np.greater_equal: "({0} >= {1})",
    np.less: "({0} < {1})",
    np.less_equal: "({0} <= {1})",
    np.equal: "({0} == {1})",
    np.not_equal: "({0} != {1})",
}
"""Expressions by what evaluates an elementwise primitive."""

_WITH_NAMES: dict[Any, str] = {
    np.square: "({0} * {0})",
    np.maximum: "({0} if {0} > {1} or {0} != {0} else {1})",
    np.minimum: "({0} if {0} < {1} or {0} != {0} else {1})",
    np.isnan: "({0} != {0})",
}
"""Expressions that say an operand more than once, which so needs a name."""

_BY_PRIMITIVE: dict[Primitive, str] = {
    ew.where: "({1} if {0} else {2})",
    ew.sigmoid: "logistic({0})",
    slopes.tanh_slope: "tanh_slope({0}, {1})",
    slopes.sigmoid_slope: "logistic_slope({0})",
}


def logistic(x: float) -> float:
    """1 / (1 + exp(-x))."""
    small = math.exp(-abs(x))
    return (1.0 if x >= 0 else small) / (1.0 + small)


def logistic_slope(x: float) -> float:
    """Derivative of the logistic function, as `slopes.sigmoid_slope`."""
    out = logistic(x)
    if out > 1 - slopes.SATURATED:
        half = math.exp(-abs(0.5 * x))
        half /= half * half + 1
        return half * half
    return (1 - out) * out


def tanh_slope(x: float, t: float) -> float:
    """1 - t² for t = tanh(x), as `slopes.tanh_slope`."""
    slope = 1 - t * t
    if slope < slopes.SATURATED:
        sech = math.exp(-abs(x))
        sech = (sech + sech) / (sech * sech + 1)
        return sech * sech
    return slope


NAMES: dict[str, Any] = {
    **{name: thing for name, thing in vars(math).items() if not name.startswith("_")},
    "power": math.pow,
    "float64": np.float64,
    "truth": np.bool_,
    "array": np.array,
    "logistic": logistic,
    "logistic_slope": logistic_slope,
    "tanh_slope": tanh_slope,
}


class ScalarProgram:
    """A program in Python floats, and what it consists of."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.names = dict(NAMES)
        self.kernels: list[tuple[int, str]] = []
        uses: dict[int, int] = {}
        for entry in tape.entries:
            for operand in entry.inputs:
                uses[operand.slot] = uses.get(operand.slot, 0) + 1
        for output in tape.outputs:
            uses[output.slot] = uses.get(output.slot, 0) + 2
        self._uses = uses
        # By slot: the expression; a value that is used once stands where it is used
        self._texts: dict[int, str] = {}
        self._lines: list[tuple[str, str, list[str]]] = []
        self._read: dict[int, list[str]] = {}
        for number, variable in enumerate(tape.inputs):
            self._name(variable, f"x{number}")
        for entry in tape.entries:
            self._add(entry)
        self.source = self._written()

    def function(self, in_numpy: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
        """The program, ready to be called; `in_numpy` is what it calls where Python raises."""
        names = {**self.names, "in_numpy": in_numpy}
        exec(compile(self.source, "<autodiff program>", "exec"), names)
        program: Callable[..., tuple[Any, ...]] = names["program"]
        return program

    def _name(self, operand: Operand, name: str) -> None:
        self._texts[operand.slot] = name
        self._read[operand.slot] = [name]

    def _text(self, operand: Operand) -> str:
        text = self._texts.get(operand.slot)
        if text is None:
            assert isinstance(operand, Constant)
            value = operand.value
            if operand.spec.dtype == _BOOL:
                text = repr(bool(value))
            else:
                value = float(value)
                text = repr(value) if math.isfinite(value) else f"float('{value}')"
                text = f"({text})" if text.startswith("-") else text
            self._texts[operand.slot] = text
            self._read[operand.slot] = []
        return text

    def _named(self, operand: Operand) -> str:
        """Text of a value that is a name or a literal."""
        text = self._text(operand)
        read = self._read[operand.slot]
        if read and read != [text]:
            self._assign(operand, text, read)
        return self._texts[operand.slot]

    def _assign(self, operand: Operand, text: str, read: list[str]) -> None:
        name = f"n{operand.slot}"
        self._lines.append((name, text, read))
        self._name(operand, name)

    def _add(self, entry: Entry) -> None:
        primitive = entry.primitive
        output = entry.output
        operands = entry.inputs
        if primitive is stack:
            texts = [self._named(operand) for operand in operands]
            read = [name for operand in operands for name in self._read[operand.slot]]
            self._assign(output, f"array([{', '.join(texts)}])", read)
            return
        if primitive in ALIASES and operands[0].spec.dtype == output.spec.dtype:
            self._text(operands[0])
            self._named(operands[0])
            self._texts[output.slot] = self._texts[operands[0].slot]
            self._read[output.slot] = self._read[operands[0].slot]
            return
        template = TEMPLATES.get(primitive.forward)
        if template is None:
            template = _BY_PRIMITIVE.get(primitive)
        if template is not None:
            texts = [self._text(operand) for operand in operands]
        else:
            template = _WITH_NAMES.get(primitive.forward)
            texts = [self._named(operand) for operand in operands]
            if template is None:
                template = self._call(primitive, operands, output)
        text = template.format(*texts)
        read = [name for operand in operands for name in self._read[operand.slot]]
        self._texts[output.slot] = text
        self._read[output.slot] = read
        self.kernels.append((entry.position, text))
        if self._uses.get(output.slot, 0) != 1 or len(text) > LENGTH:
            self._assign(output, text, read)

    def _call(self, primitive: Primitive, operands: Sequence[Operand], output: Operand) -> str:
        """Expression that calls a primitive's own function, on NumPy's numbers."""
        name = f"f_{identifier(primitive.name)}"
        while self.names.setdefault(name, primitive.forward) is not primitive.forward:
            name += "_"
        kinds = ["truth" if o.spec.dtype == _BOOL else "float64" for o in operands]
        given = ", ".join(f"{kind}({{{i}}})" for i, kind in enumerate(kinds))
        return f"{'bool' if output.spec.dtype == _BOOL else 'float'}({name}({given}))"

    def _written(self) -> str:
        tape = self.tape
        results = []
        for output in tape.outputs:
            text = self._named(output)
            kind = "truth" if output.spec.dtype == _BOOL else "float64"
            results.append((text, "" if output.spec.shape else kind))
        inputs = [f"x{number}" for number in range(len(tape.inputs))]
        head = [
            f"{name} = {'bool' if v.spec.dtype == _BOOL else 'float'}({name})"
            for name, v in zip(inputs, tape.inputs, strict=True)
        ]
        lines = [f"{name} = {text}" for name, text, _ in self._lines]
        parts: list[str] = []
        if len(lines) > CHUNK:
            parts, lines, results = self._in_parts(inputs, results)
        given = ", ".join(inputs)
        last = "".join(f"{kind}({text}), " for text, kind in results)
        main = [f"def program({given}):", "    try:"]
        main += [f"        {line}" for line in (*head, *lines, f"return ({last})")]
        main += ["    except Exception:", f"        return in_numpy({given})", ""]
        return "\n".join([*parts, *main])

    def _in_parts(
        self, inputs: list[str], results: list[tuple[str, str]]
    ) -> tuple[list[str], list[str], list[tuple[str, str]]]:
        """Functions that pass on what later ones need in a list."""
        parts = [self._lines[i : i + CHUNK] for i in range(0, len(self._lines), CHUNK)]
        made = dict.fromkeys(inputs, -1)
        for number, part in enumerate(parts):
            for name, _, _ in part:
                made[name] = number
        needed: dict[str, int] = {text: len(parts) for text, _ in results if text in made}
        for number in reversed(range(len(parts))):
            for _, _, read in parts[number]:
                for name in read:
                    needed.setdefault(name, number)
        places: dict[str, int] = {}
        for name in inputs:
            if name in needed:
                places[name] = len(places)
        texts = []
        for number, part in enumerate(parts):
            loads = dict.fromkeys(
                name for _, _, read in part for name in read if made[name] < number
            )
            body = [f"    {name} = m[{places[name]}]" for name in loads]
            for name, text, _ in part:
                if needed.get(name, -1) > number:
                    place = places[name] = len(places)
                    body.append(f"    m[{place}] = {name} = {text}")
                else:
                    body.append(f"    {name} = {text}")
            texts.append("\n".join([f"def part{number}(m):", *body, ""]))
        main = [f"m = [None] * {len(places)}"]
        main += [f"m[{places[name]}] = {name}" for name in inputs if name in places]
        main += [f"part{number}(m)" for number in range(len(parts))]
        last = [(f"m[{places[text]}]" if text in places else text, kind) for text, kind in results]
        return texts, main, last


def scalar_program(tape: Tape) -> ScalarProgram | None:
    """Program of a tape of numbers; None for any other tape, and where it would not pay.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    ScalarProgram or None
    """
    foreign = 0
    joined = {entry.output.slot for entry in tape.entries if entry.primitive is stack}
    for slot in tape.slots:
        if (slot.spec.shape and slot.slot not in joined) or not _is_number(slot):
            return None
    for entry in tape.entries:
        primitive = entry.primitive
        if len(entry.outputs) != 1 or primitive.gives_tuple:
            return None
        if any(operand.slot in joined for operand in entry.inputs):
            return None
        if primitive is stack:
            continue
        if primitive in ALIASES:
            if entry.inputs[0].spec.dtype != entry.output.spec.dtype:
                return None
            continue
        if entry.params or primitive.kind != "elementwise":
            return None
        forward = primitive.forward
        known = forward in TEMPLATES or forward in _WITH_NAMES or primitive in _BY_PRIMITIVE
        foreign += not known
    return ScalarProgram(tape) if 4 * foreign <= len(tape.entries) else None


def _is_number(slot: Operand) -> bool:
    dtype = slot.spec.dtype
    if isinstance(slot, Constant):
        if not slot.known:
            return False
        if type(slot.value) is int:
            return abs(slot.value) <= 2**53
    return dtype in (_FLOAT, _BOOL)
