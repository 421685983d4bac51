"""Pictures of tapes as files, bytes, or what a notebook shows."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from autodiff.draw.compose import compose
from autodiff.draw.dot import scene_to_dot, tape_to_dot
from autodiff.draw.looks import Look
from autodiff.draw.page import tape_to_html
from autodiff.draw.render import FORMATS, for_notebooks, render
from autodiff.errors import DrawingError
from autodiff.host import target_of
from autodiff.tape.comparing import compare
from autodiff.tape.ir import Tape

__all__ = ["MAX_NODES", "Svg", "draw_tape", "notebook_svg"]

MAX_NODES = 1000
"""Largest picture that is drawn: a larger one takes long to lay out, and nobody can read it."""

_NOTEBOOK_OPERATIONS = 10_000
_SUFFIXES = {"gv": "dot", "htm": "html"}


class Svg(str):
    """SVG text that notebooks show as a picture.

    Examples
    --------
    >>> Svg("<svg/>")._repr_svg_()
    '<svg/>'
    """

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return for_notebooks(str(self))


def draw_tape(
    tape: Tape,
    path: str | PathLike[str] | None = None,
    format: str | None = None,
    *,
    depth: int | None = None,
    fold: bool | None = None,
    values: bool = False,
    gradients: bool = False,
    costs: bool = False,
    direction: str = "TB",
    title: str | None = None,
    legend: bool = True,
    parameters: Sequence[str] | None = None,
    against: Tape | None = None,
) -> Path | Svg | str | bytes:
    """Draw a tape: what `Tape.draw` calls, which says more of the arguments.

    Parameters
    ----------
    tape : Tape
    path : path, optional
        File to write; its folder must exist.
    format : {"svg", "png", "pdf", "dot", "html"}, optional
        By default the suffix of `path`, and SVG where there is none.
    depth : int, optional
        Levels of calls that are opened.
    fold : bool, optional
        Whether equal consecutive blocks are drawn once; None leaves it to the size of the picture.
    values, gradients, costs : bool
        Whether to write them at the nodes.
    direction : {"TB", "LR", "BT", "RL"}
    title : str, optional
    legend : bool
    parameters : sequence of str, optional
        Names of the inputs that are drawn as parameters.
    against : Tape, optional
        Operations that it does not have stand out.

    Returns
    -------
    pathlib.Path, Svg, str or bytes
        `path` if it was given, else the picture: SVG, HTML and DOT as text, PNG and PDF as bytes.

    Raises
    ------
    ValueError
        Unknown format or direction, a negative depth, a name that is no input; or as `Tape.values`
        and `Tape.gradients`, which it asks.
    FileNotFoundError
        The folder of `path` does not exist.
    DrawingError
        There is no Graphviz for this format, or the picture would be too large. With a `path` the
        graph is left beside it as ``.dot``.
    TapeError
        As `Tape.values`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> tape = ad.record(np.sin)(1.0)
    >>> draw_tape(tape, format="dot").splitlines()[0]
    'digraph tape {'
    """
    target = None if path is None else Path(path)
    if format is None:
        format = target.suffix[1:].lower() if target and target.suffix else "svg"
        format = _SUFFIXES.get(format, format)
    if format not in (*FORMATS, "html"):
        known = ", ".join((*FORMATS, "html"))
        raise ValueError(f"draw: format is {format!r}; it must be one of {known}")
    marks: dict[int, str] = {}
    if against is not None:
        found = compare(against, tape)
        marks = {entry.position: "changed" for _, entry in found.changed}
        marks |= {entry.position: "fresh" for entry in found.added}
    look = Look(direction, title, legend, values, gradients, costs, marks)
    if format == "html":
        return tape_to_html(tape, path, title=title, parameters=parameters)
    if target is not None:
        target_of(target, "draw")
    scene = compose(tape, depth=depth, fold=fold, values=values or gradients, parameters=parameters)
    source = scene_to_dot(scene, look)
    try:
        if format != "dot" and len(scene.nodes) > MAX_NODES:
            raise DrawingError(
                f"draw: the picture would have {len(scene.nodes)} nodes, more than {MAX_NODES}; "
                "leave `depth` and `fold` at None, which keeps it legible, or print the tape as "
                "text"
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
    """SVG of a tape for a notebook; None where it is very large or there is no Graphviz.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    str or None

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> picture = notebook_svg(ad.record(np.sin)(1.0))
    >>> picture is None or "<svg" in picture
    True
    """
    if len(tape) > _NOTEBOOK_OPERATIONS:
        return None
    try:
        return for_notebooks(render(tape_to_dot(tape), "svg").decode("utf-8"))
    except DrawingError:
        return None
