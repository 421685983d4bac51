"""Tapes as pages: one HTML file to open, search and step through, that needs no network.

Python computes what the page shows (outline, values, order of the reverse sweep) and writes it as
JSON; the scripts in ``assets`` lay it out and draw it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from autodiff.core.arrays import as_numpy
from autodiff.core.dispatch import concrete
from autodiff.draw.boxes import Group, boxes, phases
from autodiff.draw.roles import output_names, parameter_positions
from autodiff.draw.steps import reverse_steps
from autodiff.draw.texts import constant_text
from autodiff.draw.webpage import Html, assemble, save
from autodiff.errors import DrawingError, TapeError
from autodiff.tape.entries import Entry, Operand, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.profile import Profile
from autodiff.tape.texts import params_text, short_source

__all__ = ["MAX_OPERATIONS", "Html", "heat_map", "page_of", "tape_data", "tape_to_html"]

MAX_OPERATIONS = 20_000
"""Longest tape of which a page is made: more boxes are too slow in a browser."""

SCRIPTS = (
    "model",
    "heat",
    "layout",
    "scene",
    "viewport",
    "timeline",
    "memory",
    "details",
    "search",
    "main",
)
"""The page's scripts in ``assets``, in the order in which they are put together."""

_SHOWN_ELEMENTS = 8
_NAME_LENGTH = 200
_DIGITS = 4
_MAP_SIDE = 16
"""Rows and columns of the largest array that is drawn as a picture."""


def tape_to_html(
    tape: Tape,
    path: str | PathLike[str] | None = None,
    *,
    title: str | None = None,
    parameters: Sequence[str] | None = None,
    profile: Profile | None = None,
) -> Path | Html:
    """Write a tape as a page; `Tape.to_html` documents it."""
    data = tape_data(tape, title=title, parameters=parameters, profile=profile)
    return save(page_of(data), path)


# --- from the tape to JSON ----------------------------------------------------------------------


def tape_data(
    tape: Tape,
    *,
    title: str | None = None,
    parameters: Sequence[str] | None = None,
    profile: Profile | None = None,
) -> dict[str, Any]:
    """What a page shows of a tape, as JSON; ``assets/model.js`` describes its form.

    Raises
    ------
    DrawingError
        The tape has more than `MAX_OPERATIONS` operations.
    ValueError
        A name in `parameters` is no input of the tape, or `profile` is another tape's.
    """
    names = tuple(entry.primitive.name for entry in tape)
    if profile is not None and profile.primitives != names:
        raise ValueError(
            "to_html: profile was measured on another tape; give tape.profile() of this one "
            "(with calls=True there are other operations than in the tape itself)"
        )
    if len(tape) > MAX_OPERATIONS:
        raise DrawingError(
            f"to_html: the tape has {len(tape):,} operations, more than {MAX_OPERATIONS:,}; record "
            "a part of the computation or smaller loops, or print the tape as text"
        )
    data = _Writer(tape, title, parameters).data
    # In nanoseconds, with as many digits as mean something
    measured = () if profile is None else profile.seconds
    data["times"] = [_number(seconds * 1e9) for seconds in measured]
    return data


class _Strings:
    """A table of texts, each of which is written once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str | None) -> int:
        return self.numbers.setdefault(text or "", len(self.numbers))


class _Writer:
    """Collects the data of one tape."""

    def __init__(self, tape: Tape, title: str | None, parameters: Sequence[str] | None) -> None:
        self.tape = tape
        self.text = _Strings()
        self.text("")
        self.names = tape.names()
        self.variables = tape.variables
        self.numbers = {variable: i for i, variable in enumerate(self.variables)}
        self.constants: list[list[int]] = []
        self.summaries: list[Any] = []
        self.maps: list[Any] = []
        chosen = parameter_positions(tape, parameters)
        operations = [
            self._operation(entry, phase) for entry, phase in zip(tape, phases(tape), strict=True)
        ]
        outputs = [
            [self.text(_short(name)), self._reference(output)]
            for name, output in zip(output_names(tape), tape.outputs, strict=True)
        ]
        values, no_values = _readings(tape.values)
        gradients, no_gradients = _readings(tape.gradients)
        sweep = [] if tape.cotangents or any(e.pulls for e in tape) else reverse_steps(tape)
        costs = tape.summary()
        self.data: dict[str, Any] = {
            "title": title or "tape",
            "inputs": [int(position in chosen) for position in range(len(tape.inputs))],
            "operations": operations,
            "outputs": outputs,
            "variables": self._variable_rows(values, gradients),
            "constants": self.constants,
            "summaries": self.summaries,
            "maps": self.maps,
            "groups": self._groups(boxes(tape, chosen)),
            "sweep": [
                [
                    step.entry,
                    [
                        [d.position, self.numbers[d.variable], self.text(d.rule), d.number, d.total]
                        for d in step.deliveries
                    ],
                ]
                for step in sweep
            ],
            "saved": costs.total.saved,
            "scarcity": costs.scarcity,
            "missing": {"values": no_values, "gradients": no_gradients},
            "strings": list(self.text.numbers),
        }

    def _operation(self, entry: Entry, phase: int) -> list[Any]:
        name = entry.primitive.name
        return [
            self.text(self._title(entry)),
            self.text(name),
            self.text(params_text(entry)),
            entry.flops,
            entry.nbytes,
            self.text(short_source(entry.source)),
            [self._reference(operand) for operand in entry.inputs],
            [self.numbers[variable] for variable in entry.outputs],
            [
                int(entry.primitive.input_name(i) not in entry.primitive.constant)
                for i in range(len(entry.inputs))
            ],
            [self.text(entry.primitive.input_name(i)) for i in range(len(entry.inputs))],
            -1 if entry.pulls is None else entry.pulls.position,
            phase,
            self.text(" / ".join(entry.scope.path) if entry.scope else ""),
        ]

    def _title(self, entry: Entry) -> str:
        """The operation as a formula where that is short: ``x × 0.5``, ``max(x, 0)``."""
        label, operands = entry.primitive.label, entry.inputs
        shown = [
            "·" if isinstance(operand, Variable) else constant_text(operand) for operand in operands
        ]
        if all(text == "·" for text in shown) or "constant" in shown:
            return label
        if len(shown) == 2 and not any(c.isalnum() for c in label):
            return f"{shown[0]} {label} {shown[1]}"
        if label == "xʸ":
            return f"{shown[0]} ^ {shown[1]}"
        title = f"{label}({', '.join(shown)})"
        return title if len(title) <= 28 else label

    def _reference(self, operand: Operand) -> int:
        """Number of a variable, or -1 minus that of a constant."""
        if isinstance(operand, Variable):
            return self.numbers[operand]
        text = constant_text(operand)
        self.constants.append([self.text(text), self.text(str(operand.spec))])
        return -len(self.constants)

    def _variable_rows(
        self, values: dict[Variable, Any], gradients: dict[Variable, Any]
    ) -> list[list[Any]]:
        keepers = self.tape.saved()
        cotangents = self.tape.cotangents
        return [
            [
                self.text(_short(self.names[variable])),
                int(bool(variable.name)),
                self.text(str(variable.spec)),
                variable.spec.nbytes,
                self._summary(values.get(variable)),
                self._summary(gradients.get(variable)),
                [entry.position for entry in keepers.get(variable, ())],
                self.numbers.get(cotangents[variable], -1) if variable in cotangents else -1,
                self._map(values.get(variable)),
                self._map(gradients.get(variable)),
            ]
            for variable in self.variables
        ]

    def _summary(self, value: Any) -> int:
        if value is None:
            return -1
        self.summaries.append(summary(value))
        return len(self.summaries) - 1

    def _map(self, value: Any) -> int:
        shown = None if value is None else heat_map(value)
        if shown is None:
            return -1
        self.maps.append(shown)
        return len(self.maps) - 1

    def _groups(self, root: Group) -> list[list[Any]]:
        """Rows of the outline, a group's before those inside it; a member -1 - n is group n."""
        rows: list[list[Any]] = []
        waiting: list[tuple[Group, list[int] | None, int]] = [(root, None, 0)]
        while waiting:
            group, holder, place = waiting.pop()
            members: list[int] = []
            if holder is not None:
                holder[place] = -1 - len(rows)
            rows.append(
                [group.kind, self.text(_short(group.label)), group.phase, group.repeats, members]
            )
            inner = []
            for i, member in enumerate(group.members):
                if isinstance(member, Group):
                    members.append(0)
                    inner.append((member, members, i))
                else:
                    members.append(member)
            waiting += reversed(inner)
        return rows


def _readings(
    reader: Callable[[], dict[Variable, Any]],
) -> tuple[dict[Variable, Any], str]:
    """What a tape knows about values, or why it knows nothing."""
    try:
        with np.errstate(all="ignore"):
            return reader(), ""
    except (ValueError, TapeError) as error:
        return {}, str(error)


def summary(value: Any) -> dict[str, Any]:
    """Least, mean and greatest element, norm, and how many are not finite; few elements as text.

    Complex values are summarised by their modulus. Numbers have four significant digits.

    Examples
    --------
    >>> summary(np.array([3.0, -4.0]))
    {'min': -4, 'mean': -0.5, 'max': 3, 'norm': 5, 'text': '[3, -4]'}
    """
    array = as_numpy(concrete(value))
    if array.size == 0:
        return {"text": "empty"}
    shown: dict[str, Any] = {}
    if array.dtype.kind == "c":
        shown["modulus"] = 1
    with np.errstate(all="ignore"):
        measured = np.abs(array) if array.dtype.kind == "c" else array
        wide = measured.astype(np.float64)
        finite = np.isfinite(wide)
        shown["min"] = _number(wide.min())
        shown["mean"] = _number(wide.mean())
        shown["max"] = _number(wide.max())
        shown["norm"] = _number(np.linalg.norm(wide.ravel()))
        if not finite.all():
            shown["infinite"] = int(np.count_nonzero(~finite))
    if array.size <= _SHOWN_ELEMENTS:
        shown["text"] = " ".join(
            np.array2string(
                array, separator=", ", max_line_width=200, formatter={"all": _element}
            ).split()
        )
    return shown


def heat_map(value: Any) -> list[Any] | None:
    """Rows, columns, and a letter for each element of a small array; None for others.

    ``a`` to ``i`` are below zero, ``i`` is zero, ``i`` to ``q`` are above, in proportion to the
    largest modulus; ``x`` is not finite. Leading axes of an array of more than two follow one
    another as rows.

    Examples
    --------
    >>> heat_map(np.array([[1.0, -2.0], [0.0, np.nan]]))
    [2, 2, 'maix']
    """
    array = as_numpy(concrete(value))
    if array.dtype.kind not in "fiu" or array.ndim == 0:
        return None
    columns = array.shape[-1]
    if array.size < 2 or columns > _MAP_SIDE or array.size > columns * _MAP_SIDE:
        return None
    wide = array.astype(np.float64).ravel()
    finite = np.isfinite(wide)
    most = np.max(np.abs(wide), where=finite, initial=0.0)
    with np.errstate(all="ignore"):
        levels = np.where(finite, np.rint(8 * wide / most) if most else 0.0, 0.0).astype(int) + 8
    letters = [
        "abcdefghijklmnopq"[level] if there else "x"
        for level, there in zip(levels.tolist(), finite.tolist(), strict=True)
    ]
    return [array.size // columns, columns, "".join(letters)]


def _number(value: Any) -> int | float | str:
    """Four significant digits; JSON has no infinities."""
    if not np.isfinite(value):
        return str(float(value))
    short = float(f"{float(value):.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e6 else short


def _element(value: Any) -> str:
    return f"{value:.{_DIGITS}g}" if isinstance(value, np.inexact) else str(value)


def _short(text: str) -> str:
    """A name of a length that a page can show; its ends distinguish it."""
    if len(text) <= _NAME_LENGTH:
        return text
    half = _NAME_LENGTH // 2
    return f"{text[:half]}…{text[-half:]}"


def page_of(data: dict[str, Any]) -> str:
    """Page of a tape's data."""
    return assemble("page", "page", SCRIPTS, data)
