"""Reading values anew: one straight-line function that walks to all of them.

It gives the values, or None where a witness differs: where something on the way is not what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.core.arrays import has_memory
from autodiff.core.dispatch import Box
from autodiff.core.memory import same_content
from autodiff.errors import CompileError
from autodiff.tape.constants import scalar_key

__all__ = ["Read", "Reading"]

MOST = 50_000
"""Values that are looked at before a function is said to reach too many."""

Read = Callable[[Any, Any], "tuple[Any, ...] | None"]
"""From the function and the leaves of its arguments to the values that it reads from outside."""


class Reading:
    """The text of such a function in the making, and what it refers to."""

    def __init__(self) -> None:
        self._given: list[str] = []
        self._lines: list[tuple[str, str | None]] = []
        self._space: dict[str, Any] = {"differs": _differs, "Box": Box}
        self.path = ""
        """How the program names what is looked at just now."""

    def finish(self) -> Read:
        """Make the function."""
        given = "".join(f"{name}, " for name in self._given)
        read: Read = self._made(None, f"({given})")
        return read

    def difference(self, function: Any, leaves: Any) -> str:
        """Name what is not as it was."""
        name: str = self._made("path", "''")(function, leaves)
        return name

    def _made(self, otherwise: str | None, result: str) -> Any:
        """Function that gives `result`; where something differs None, or by "path" its name."""
        lines = [
            text if path is None else f"{text}: return {otherwise and path!r}"
            for text, path in self._lines
        ]
        body = "\n        ".join([*lines, f"return {result}"])
        text = (
            f"def read(F, L):\n    try:\n        {body}\n    except MISSING:\n"
            f"        return {otherwise and 'what is outside'!r}"
        )
        self._space["MISSING"] = (AttributeError, KeyError, IndexError, TypeError, ValueError)
        space = dict(self._space)
        exec(compile(text, "<reads of a compiled function>", "exec"), space)
        return space["read"]

    def constant(self, value: Any) -> str:
        """Name of a value in the text."""
        name = f"k{len(self._space)}"
        self._space[name] = value
        return name

    def value(self, expression: str) -> str:
        """Name of what an expression gives."""
        if len(self._lines) > MOST:
            raise CompileError(
                f"compile: the function reaches more than {MOST:,} values from outside; pass the "
                "arrays that it needs as arguments"
            )
        name = f"v{len(self._lines)}"
        self._lines.append((f"{name} = {expression}", None))
        return name

    def demand(self, condition: str) -> None:
        """Give None where a condition does not hold."""
        self._lines.append((f"if not ({condition})", self.path))

    def same(self, value: Any, var: str) -> Any:
        """Demand the very object; returns it."""
        self.demand(f"{var} is {self.constant(value)}")
        return value

    def equal(self, value: Any, var: str) -> None:
        """Demand the same number or array, to the last bit."""
        held = self.constant(value)
        # An array may be written to, and stay the same one
        at_once = "" if has_memory(value) else f"{var} is {held} or "
        self.demand(f"{at_once}not differs({var}, {held})")

    def kind(self, value: Any, var: str, more: str = "") -> None:
        """Demand a type, and more."""
        self.demand(f"type({var}) is {self.constant(type(value))}{more}")

    def give(self, var: str) -> None:
        """Give a value when all demands are met."""
        self._given.append(var)


def _differs(value: Any, held: Any) -> bool:
    """Whether a number or an array is another than it was: in type, shape or any bit."""
    if type(value) is not type(held):
        return True
    if has_memory(held):
        if held.dtype.kind in "OVUSMmT":
            return bool(value.dtype != held.dtype or value.tolist() != held.tolist())
        return not same_content(value, held)
    return value is not held and scalar_key(value) != scalar_key(held)
