"""Where things are in a picture that Graphviz drew, read off its SVG."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["Box", "Frame", "Parts", "Way", "cut", "moved", "parts_of", "pieces"]

_PART = re.compile(r'<g id="[^"]*" class="(cluster|node|edge)">\s*<title>([^<]*)')
_SHAPE = re.compile(r'<(?:path|polygon|polyline) [^>]*?(?:d|points)="([^"]*)"')
_OVAL = re.compile(r'<ellipse [^>]*?cx="(\S+)" cy="(\S+)" rx="(\S+)" ry="(\S+)"')
_CURVE = re.compile(r'<path [^>]*?d="([^"]*)"')
_PAIR = re.compile(r"([-\d.e]+),([-\d.e]+)")
_WORDS = re.compile(
    r'<text [^>]*?text-anchor="(\w+)" x="(\S+)" y="(\S+)"[^>]*? font-size="([\d.]+)"[^>]*>([^<]*)'
)
_STRAIGHT = 16
"""Straight pieces for one of a curve."""
_ASCENT, _DESCENT = 0.76, 0.22
"""How far letters reach over and under the line, in their size."""

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle; heights grow downwards, as in SVG."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: Box) -> bool:
        """Whether another one is inside."""
        return meeting([self, other]) == self

    def meets(self, other: Box) -> bool:
        """Whether another one has points in common with it."""
        beside = other.left < self.right and self.left < other.right
        return beside and other.top < self.bottom and self.top < other.bottom


class Frame(NamedTuple):
    """A frame, and where its title stands if it has one."""

    name: str
    box: Box
    title: Box | None


class Way(NamedTuple):
    """An edge's way, in straight pieces, and the nodes that it leads from and to."""

    ends: tuple[str, str]
    points: list[Point]
    box: Box


class Parts(NamedTuple):
    """What is drawn; `words` are the labels of edges."""

    frames: list[Frame]
    nodes: dict[str, Box]
    ways: list[Way]
    words: list[Box]


def parts_of(svg: str) -> Parts:
    """Read where everything is.

    Examples
    --------
    >>> from autodiff.draw.render import svg_without_system
    >>> parts = parts_of(svg_without_system("digraph { a -> b }").decode())
    >>> sorted(parts.nodes), [way.ends for way in parts.ways]
    (['a', 'b'], [('a', 'b')])
    """
    parts = Parts([], {}, [], [])
    for kind, name, body, _ in pieces(svg):
        words = list(_texts(body))
        if kind == "edge":
            tail, head = (end.partition(":")[0] for end in name.split("->"))
            for points in _curves(body):
                parts.ways.append(Way((tail, head), points, _around(points)))
            parts.words.extend(words)
            continue
        corners = _corners(body)
        box = [_around(corners)] if corners else []
        if kind == "cluster":
            parts.frames.append(Frame(name, box[0], meeting(words) if words else None))
        elif box or words:
            parts.nodes[name] = meeting([*box, *words])
    return parts


def pieces(svg: str) -> Iterator[tuple[str, str, str, int]]:
    """Kinds and names of what is drawn, its text, and where that begins."""
    found = list(_PART.finditer(svg))
    ends = [*(match.start() for match in found[1:]), len(svg)]
    for match, end in zip(found, ends, strict=False):
        yield match[1], html.unescape(match[2]), svg[match.end() : end], match.end()


def moved(body: str, dx: float, dy: float) -> str:
    """Return a piece with its text elsewhere."""

    def there(match: re.Match[str]) -> str:
        return f'{match[1]}x="{float(match[2]) + dx:g}" y="{float(match[3]) + dy:g}"'

    return re.sub(r'(<text [^>]*?)x="(\S+)" y="(\S+)"', there, body)


def meeting(boxes: Sequence[Box]) -> Box:
    """Return the least box around some."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def cut(way: Way, box: Box) -> Iterator[Point]:
    """From where to where pieces of a way are inside a box, from left to right.

    Examples
    --------
    >>> way = Way(("a", "b"), [(0.0, 0.0), (4.0, 8.0)], Box(0.0, 0.0, 4.0, 8.0))
    >>> list(cut(way, Box(0.0, 2.0, 9.0, 4.0)))
    [(1.0, 2.0)]
    """
    if not way.box.meets(box):
        return
    for (x0, y0), (x1, y1) in zip(way.points, way.points[1:], strict=False):
        if max(y0, y1) < box.top or min(y0, y1) > box.bottom:
            continue
        # The part that is as high as the box
        ends = sorted((y - y0) / (y1 - y0) for y in (box.top, box.bottom)) if y1 != y0 else ()
        xs = [x0 + (x1 - x0) * min(max(t, 0.0), 1.0) for t in ends or (0.0, 1.0)]
        if max(xs) >= box.left and min(xs) <= box.right:
            yield min(xs), max(xs)


def _around(points: Sequence[Point]) -> Box:
    xs, ys = zip(*points, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def _corners(body: str) -> list[Point]:
    corners = [point for shape in _SHAPE.findall(body) for point in _points(shape)]
    for oval in _OVAL.findall(body):
        x, y, across, along = map(float, oval)
        corners += [(x - across, y - along), (x + across, y + along)]
    return corners


def _points(text: str) -> list[Point]:
    return [(float(x), float(y)) for x, y in _PAIR.findall(text)]


def _curves(body: str) -> Iterator[list[Point]]:
    for shape in _CURVE.findall(body):
        points = _points(shape)
        way = points[:1]
        for k in range(0, len(points) - 3, 3):
            way += [_along(points[k : k + 4], i / _STRAIGHT) for i in range(1, _STRAIGHT + 1)]
        yield way


def _along(curve: Sequence[Point], t: float) -> Point:
    shares = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    x, y = (sum(s * p[i] for s, p in zip(shares, curve, strict=True)) for i in (0, 1))
    return x, y


def _texts(body: str) -> Iterator[Box]:
    """Where lines of text stand, without the spaces that pad them."""
    for anchor, x, y, size, words in _WORDS.findall(body):
        text, em = html.unescape(words), float(size)
        width = _width(text) * em
        left = float(x) - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        left += _width(text[: len(text) - len(text.lstrip())]) * em
        yield Box(
            left,
            float(y) - _ASCENT * em,
            left + _width(text.strip()) * em,
            float(y) + _DESCENT * em,
        )


def _width(text: str) -> float:
    """How wide a text is at most, in its size: Helvetica's letters, by their kinds."""
    return sum(map(_letter_width, text))


def _letter_width(letter: str) -> float:
    if letter in " \xa0":
        return 0.278
    if letter in "fijlrtI.,:;!|'/()[]":
        return 0.334
    if letter in "mwMW@%" or ord(letter) > 127:
        return 0.945
    return 0.778 if letter.isupper() else 0.584
