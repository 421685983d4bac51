"""Pictures of tapes: DOT text, and SVG, PNG or PDF by Graphviz."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from autodiff.draw.dot import picture_size, tape_to_dot
from autodiff.draw.render import FORMATS, render
from autodiff.errors import DrawingError
from autodiff.tape import Tape

__all__ = ["MAX_NODES", "Svg", "draw_tape", "notebook_svg", "render", "tape_to_dot"]

MAX_NODES = 1000
"""Largest picture that is drawn: a larger one takes long to lay out, and nobody can read it."""

_NOTEBOOK_NODES = 150


class Svg(str):
    """SVG text that notebooks show as a picture."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


def draw_tape(
    tape: Tape,
    path: str | PathLike[str] | None = None,
    format: str | None = None,
    *,
    direction: str = "TB",
    title: str | None = None,
    legend: bool = True,
    parameters: Sequence[str] | None = None,
) -> Path | Svg | str | bytes:
    """Draw a tape; `Tape.draw` documents it."""
    target = None if path is None else Path(path)
    if format is None:
        format = target.suffix[1:].lower() if target and target.suffix else "svg"
        format = "dot" if format == "gv" else format
    if format not in FORMATS:
        raise ValueError(f"draw: format is {format!r}; it must be one of {', '.join(FORMATS)}")
    if target is not None and not target.parent.is_dir():
        raise FileNotFoundError(f"draw: there is no folder {str(target.parent)!r} to write to")
    source = tape_to_dot(
        tape, direction=direction, title=title, legend=legend, parameters=parameters
    )
    try:
        if format != "dot" and picture_size(tape) > MAX_NODES:
            raise DrawingError(
                f"draw: the picture would have {picture_size(tape)} nodes, more than {MAX_NODES}; "
                "draw a part of the computation or smaller loops, or print the tape as text"
            )
        picture = render(source, format)
    except DrawingError as error:
        if target is None:
            raise DrawingError(f"{error}. tape.to_dot() gives the graph as text") from error
        fallback = target.with_suffix(".dot")
        fallback.write_text(source, encoding="utf-8")
        raise DrawingError(f"{error}. The graph is in {str(fallback)!r} as text") from error
    if target is not None:
        target.write_bytes(picture)
        return target
    if format == "svg":
        return Svg(picture.decode("utf-8"))
    return source if format == "dot" else picture


def notebook_svg(tape: Tape) -> str | None:
    """SVG of a tape for a notebook; None where it is too large or there is no Graphviz."""
    if picture_size(tape) > _NOTEBOOK_NODES:
        return None
    try:
        return render(tape_to_dot(tape), "svg").decode("utf-8")
    except DrawingError:
        return None
