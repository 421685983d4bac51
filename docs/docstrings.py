"""An extension of griffe: the library's docstrings as the Markdown that the reference pages want.

A literal block loses its second colon, an example in running text becomes a block of code, and a
name in backticks that has an entry in the reference becomes a link to it, unless it is one of the
function's own parameters.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

REFERENCE = Path(__file__).parent / "reference"

ENTRY = re.compile(r"^::: (autodiff\.[\w.]+)$", re.MULTILINE)
_LITERAL = re.compile(r"::$", re.MULTILINE)
_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
_SECTION = re.compile(r"^\w+\n-{3,}$", re.MULTILINE)
_NAME = re.compile(r"(?<![`\w\[])`([A-Za-z_][\w.]*)`(?!`)")


def entries() -> list[str]:
    """Objects that the reference pages document, by their dotted paths."""
    pages = sorted(REFERENCE.glob("*.md"))
    return [path for page in pages for path in ENTRY.findall(page.read_text(encoding="utf-8"))]


class Docstrings(griffe.Extension):
    """Turns docstrings into Markdown with links."""

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}
        for path in entries():
            for name in (path, path.removeprefix("autodiff."), path.rpartition(".")[2]):
                self.targets.setdefault(name, path)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is None:
            return
        own = {obj.name, *_parameters(obj)}

        def linked(match: re.Match[str]) -> str:
            name = match.group(1)
            target = self.targets.get(name)
            return match.group() if target is None or name in own else f"[`{name}`][{target}]"

        text = _LITERAL.sub(":", obj.docstring.value)
        section = _SECTION.search(text)
        end = section.start() if section else len(text)
        prose = _EXAMPLE.sub(r"```pycon\n\g<0>\n```", text[:end])
        obj.docstring.value = _NAME.sub(linked, prose + text[end:])


def _parameters(obj: griffe.Object) -> set[str]:
    """Parameter names of a function, or of what makes a class's instances."""
    if isinstance(obj, griffe.Class):
        made_by = obj.members.get("__init__")
        return _parameters(made_by) if isinstance(made_by, griffe.Object) else set()
    return {p.name for p in obj.parameters} if isinstance(obj, griffe.Function) else set()
