"""Texts in pictures: numbers, values and names made short, and made safe for DOT."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from graphviz import nohtml

from autodiff.core.arrays import as_numpy, is_array, is_number
from autodiff.core.dispatch import concrete
from autodiff.tape.entries import Constant

__all__ = [
    "amount_text",
    "constant_text",
    "escaped",
    "name_label",
    "number_text",
    "range_text",
    "record_escaped",
    "value_text",
    "wrapped",
]

_NAME_LENGTH = 36
_PARAMS_WIDTH = 26
_PARAMS_LINES = 3
_SHOWN_ELEMENTS = 4


def constant_text(constant: Constant) -> str:
    """Return a number or a short vector by value, any other constant by its kind."""
    value = constant.value
    if not constant.known or not (is_number(value) or is_array(value)):
        return "constant"
    array = as_numpy(value)
    if array.ndim == 0:
        return number_text(array.item(), 6)
    if array.ndim == 1 and array.size <= _SHOWN_ELEMENTS:
        return f"[{', '.join(number_text(item, 6) for item in array.tolist())}]"
    return "constant"


def number_text(number: object, digits: int = 4) -> str:
    """Write a number with a few digits."""
    return f"{number:.{digits}g}" if isinstance(number, (float, complex)) else str(number)


def value_text(value: Any) -> str:
    """Write a number or a few of them as they are, more of them as their norm and mean.

    Examples
    --------
    >>> value_text(2.0), value_text(np.array([1.0, 2.5])), value_text(np.ones((3, 3)))
    ('2', '[1, 2.5]', 'norm 3, mean 1')
    """
    array = as_numpy(concrete(value))
    if array.ndim == 0:
        return number_text(array.item())
    if array.size <= _SHOWN_ELEMENTS:
        return re.sub(r"'", "", str(_texts(array.tolist())))
    if array.dtype.kind == "b":
        return f"{int(array.sum())} of {array.size} true"
    if array.dtype.kind not in "iufc":
        return str(array.dtype)
    with np.errstate(all="ignore"):
        wide = array.astype(np.result_type(array.dtype, np.float64))
        norm, mean = float(np.linalg.norm(wide.ravel())), wide.mean().item()
    return f"norm {number_text(norm)}, mean {number_text(mean)}"


def _texts(values: Any) -> Any:
    if isinstance(values, list):
        return [_texts(value) for value in values]
    return number_text(values)


def amount_text(amount: float, unit: str) -> str:
    """Write an amount with a prefix of its unit.

    Examples
    --------
    >>> amount_text(1_234_567, "flop"), amount_text(24, "B"), amount_text(1000, "B")
    ('1.23 Mflop', '24 B', '1 kB')
    """
    prefixes = ("", "k", "M", "G", "T", "P")
    power = 0
    while float(f"{amount:.3g}") >= 1000 and power < len(prefixes) - 1:
        amount /= 1000
        power += 1
    return f"{amount:.3g} {prefixes[power]}{unit}"


def range_text(texts: Sequence[str]) -> str:
    """One text for several that differ in a number.

    Examples
    --------
    >>> range_text(["layers[0].w", "layers[1].w", "layers[2].w"])
    'layers[0…2].w'
    >>> range_text(["layers[1]", "layers[3]", "layers[5]"])
    'layers[1, 3…5]'
    >>> range_text(["first", "second", "third"])
    'first … third'
    """
    distinct = list(dict.fromkeys(texts))
    if len(distinct) < 2:
        return "".join(distinct)
    split = [re.split(r"(\d+)", text) for text in distinct]
    if {len(parts) for parts in split} == {len(split[0])}:
        differ = [i for i, parts in enumerate(zip(*split, strict=True)) if len(set(parts)) > 1]
        if len(differ) == 1 and differ[0] % 2:
            (place,) = differ
            numbers = [int(parts[place]) for parts in split]
            head, tail = "".join(split[0][:place]), "".join(split[0][place + 1 :])
            return f"{head}{_numbers_text(numbers)}{tail}"
    return ", ".join(distinct) if len(distinct) == 2 else f"{distinct[0]} … {distinct[-1]}"


def _numbers_text(numbers: Sequence[int]) -> str:
    if len(numbers) == 2:
        return f"{numbers[0]}, {numbers[1]}"
    if abs(numbers[1] - numbers[0]) == 1:
        return f"{numbers[0]}…{numbers[-1]}"
    return f"{numbers[0]}, {numbers[1]}…{numbers[-1]}"


def wrapped(params: str) -> list[str]:
    """Break the text of parameters into a few lines."""
    if not params:
        return []
    lines = textwrap.wrap(params, _PARAMS_WIDTH, break_on_hyphens=False)
    if len(lines) > _PARAMS_LINES:
        lines = [*lines[: _PARAMS_LINES - 1], "…"]
    return lines


def name_label(name: str) -> str:
    """Label of a name on one line; a long one loses its middle, since its ends distinguish it."""
    return escaped(short_name(name))


def short_name(name: str) -> str:
    """Put a name on one line, without its middle if it is long."""
    if len(name) > _NAME_LENGTH:
        half = _NAME_LENGTH // 2
        name = f"{name[:half]}…{name[-half:]}"
    return name.replace("\n", "⏎")


def escaped(text: str) -> str:
    r"""Escape a text for a plain label: it is shown as it is written.

    Newlines become line breaks; other characters that cannot be printed are shown by their escape
    sequence.

    Examples
    --------
    >>> print(escaped('a"\\b&lt;'))
    a\"\\b&amp;lt;
    """
    printable = "".join(c if c.isprintable() or c == "\n" else _code(c) for c in text)
    # Graphviz replaces character entities even in plain labels
    text = printable.replace("&", "&amp;").replace("\\", "\\\\")
    label: str = nohtml(text.replace('"', '\\"').replace("\n", "\\n"))
    return label


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def record_escaped(text: str) -> str:
    """Escape a text for a field of a record label."""
    return "".join("\\" + c if c in "{}|<> " else c for c in escaped(text))
