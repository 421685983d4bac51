"""Short texts of what stands on a tape: parameters, sources, names."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from typing import Any

from autodiff.core.arrays import has_memory
from autodiff.core.spec import describe
from autodiff.tape.entries import Entry, Variable

__all__ = ["letters", "one_line", "operation_text", "params_text", "short_source"]


def params_text(entry: Entry) -> str:
    """Parameters that differ from their defaults, as ``axis=(0,), keepdims=True``.

    An index is written as in Python: ``[:, 0]``.
    """
    shown = []
    for name, value in entry.params.items():
        default = entry.primitive.params.get(name)
        if value is default:
            continue
        if not has_memory(value) and not has_memory(default):
            try:
                if value == default:
                    continue
            except ValueError:
                pass
        if name == "template" and isinstance(value, tuple):
            shown.append(f"[{', '.join(map(_value_text, value)) or '()'}]")
        else:
            shown.append(f"{name}={_value_text(value)}")
    return ", ".join(shown)


def operation_text(entry: Entry, names: Mapping[Variable, str]) -> str:
    """Operation, what it reads, and its parameters: ``sum a [axis=(0,)]``."""
    params = params_text(entry)
    operands = [one_line(names[o]) if isinstance(o, Variable) else repr(o) for o in entry.inputs]
    operation = " ".join([entry.primitive.name, *operands])
    indexed = params.startswith("[") and params.endswith("]")
    return operation + (f" {params if indexed else f'[{params}]'}" if params else "")


def _value_text(value: Any) -> str:
    if has_memory(value):
        return f"array {describe(value.shape, value.dtype)}"
    if isinstance(value, tuple):
        inner = ", ".join(_value_text(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, slice):
        parts = ["" if part is None else str(part) for part in (value.start, value.stop)]
        return ":".join(parts if value.step is None else [*parts, str(value.step)])
    if value is Ellipsis:
        return "..."
    return str(value)


def short_source(source: str | None) -> str:
    """``model.py:7``: the file without its folders, empty for None; ``cell:7`` in a notebook."""
    if source is None:
        return ""
    folder, name = os.path.split(source)
    # Notebooks compile each cell as a file whose name is a number
    in_cell = os.path.basename(folder).startswith("ipykernel_") or name.startswith("<ipython")
    return f"cell:{name.rpartition(':')[2]}" if in_cell else name


def one_line(text: str) -> str:
    """Text without line breaks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def letters() -> Iterator[str]:
    """a, b, ..., z, aa, ab, ..."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    shorter = [""]
    while True:
        longer = [prefix + letter for prefix in shorter for letter in alphabet]
        yield from longer
        shorter = longer
