"""Pictures in which no edge passes through words.

Graphviz keeps room for a frame's title along its top, and leads edges through it as if nothing
stood there. So in the picture that it draws, a title that an edge crosses is moved: along the top
to where it is free, or else further down in its frame. A frame without a free place is drawn again,
and wider. Edges are led around nodes, but for those between nodes of one layer with another one in
between; such an edge arrives from another side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from autodiff.draw.svg import Box, Parts, cut, moved, parts_of, pieces

__all__ = ["cleared", "crossed_nodes", "crossed_titles"]

_SIDES = "ewnsewns"
"""Sides on which an edge that passes through a node arrives instead, one after another."""
_WIDER = 24 * " "
"""What a frame's title is padded with to make the frame wider: more, the more often it is tried."""
_CLEAR = 2.0
"""Points around a title that are kept free."""
_ASIDE, _DOWN = 14.0, 4.0
"""Points from the sides of a frame, and from one height that is tried to the next."""
_TOUCHED = 4.5
"""Points of a node that an edge may touch: Graphviz counts one of two borders."""

_TITLE = r'(subgraph {} \{{\s*[^\n]*?label="(?:\\[^l]|[^"\\])*)(\\l)'
_EDGE = r"(\n\t{}(?::\w+)? -> {}(?::\w+)? \[)(?:headport=\w )?"


def cleared(source: str, draw: Callable[[str], bytes]) -> bytes:
    """Draw a graph so that no edge passes through a frame's title, or a node it does not end at.

    Parameters
    ----------
    source : str
        In the DOT language.
    draw : callable
        Lays a graph out and gives its SVG.

    Returns
    -------
    bytes
        SVG.

    Examples
    --------
    >>> from autodiff.draw.render import svg_without_system
    >>> cleared("digraph { a -> b }", lambda source: b"<svg/>")
    b'<svg/>'
    """
    for tried, side in enumerate(_SIDES, 1):
        svg = _with_free_titles(draw(source).decode("utf-8"))
        parts = parts_of(svg)
        again = source
        for name in crossed_titles(parts):
            pattern = _TITLE.format(re.escape(name))
            again = re.sub(pattern, rf"\1{tried * _WIDER}\2", again, count=1)
        for (tail, head), _ in crossed_nodes(parts):
            pattern = _EDGE.format(re.escape(tail), re.escape(head))
            again = re.sub(pattern, rf"\1headport={side} ", again)
        if again == source:
            break
        source = again
    return svg.encode("utf-8")


def crossed_titles(parts: Parts) -> list[str]:
    """Names of the frames through whose titles an edge passes."""
    return [
        frame.name
        for frame in parts.frames
        if frame.title is not None and _is_crossed(parts, frame.title)
    ]


def crossed_nodes(parts: Parts) -> Iterator[tuple[tuple[str, str], str]]:
    """Edges, by their ends, with nodes that they pass through."""
    owners = np.repeat(np.arange(len(parts.ways)), [len(way.points) - 1 for way in parts.ways])
    begins = np.array([p for way in parts.ways for p in way.points[:-1]]).reshape(-1, 2)
    ends = np.array([p for way in parts.ways for p in way.points[1:]]).reshape(-1, 2)
    left, top = np.minimum(begins, ends).T
    right, bottom = np.maximum(begins, ends).T
    for name, box in parts.nodes.items():
        core = Box(
            box.left + _TOUCHED, box.top + _TOUCHED, box.right - _TOUCHED, box.bottom - _TOUCHED
        )
        near = (left <= core.right) & (right >= core.left)
        near &= (top <= core.bottom) & (bottom >= core.top)
        for number in np.unique(owners[near]).tolist():
            way = parts.ways[number]
            if name not in way.ends and any(cut(way, core)):
                yield way.ends, name


def _is_crossed(parts: Parts, box: Box) -> bool:
    return any(any(cut(way, box)) for way in parts.ways)


def _with_free_titles(svg: str) -> str:
    """Move titles that an edge crosses to where it does not, if there is such a place."""
    parts = parts_of(svg)
    frames = iter(parts.frames)
    done, rest = "", 0
    for kind, _, body, start in pieces(svg):
        if kind != "cluster":
            continue
        _, box, title = next(frames)
        if title is None or not _is_crossed(parts, title):
            continue
        place = _free_place(box, title, parts)
        if place is not None:
            done += svg[rest:start] + moved(body, place[0] - title.left, place[1] - title.top)
            rest = start + len(body)
    return done + svg[rest:]


def _free_place(frame: Box, title: Box, parts: Parts) -> tuple[float, float] | None:
    """Upper left corner of the first place for a title, from the top down and from the left."""
    width, height = title.right - title.left, title.bottom - title.top
    inside = [other.box for other in parts.frames if not other.box.holds(frame)]
    boxes = [*parts.nodes.values(), *parts.words, *inside]
    top = title.top
    while top + height <= frame.bottom:
        band = Box(frame.left, top - _CLEAR, frame.right, top + height + _CLEAR)
        taken = [piece for way in parts.ways for piece in cut(way, band)]
        taken += [(box.left, box.right) for box in boxes if box.meets(band)]
        left = frame.left + _ASIDE
        for start, end in sorted(taken):
            if start - _CLEAR >= left + width:
                break
            left = max(left, end + _CLEAR)
        if left + width <= frame.right - _ASIDE:
            return left, top
        top += _DOWN
    return None
