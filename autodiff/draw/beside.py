"""Pictures with their legend beside them.

In one layout the rows of a legend stand as far apart as the layers of the picture do, and push
those apart in turn. So both are laid out, and put together as SVG.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from autodiff.draw.titles import cleared

__all__ = ["with_legend"]

_LEGEND = re.compile(r"\n\tsubgraph cluster_legend \{\n.*?\n\t\}(?=\n)", re.DOTALL)
_HEAD = "digraph legend {\n\tgraph [bgcolor=white fontname=Helvetica nodesep=0.15 ranksep=0.1]\n"
_NODES = re.compile(r"^\tnode \[.*\]$", re.MULTILINE)
_SIZE = re.compile(r'<svg width="(\d+)pt" height="(\d+)pt"\s+viewBox="0\.00 0\.00 [\d.]+ [\d.]+"')
_GRAPH = re.compile(
    r'<g id="graph0" class="graph" transform="scale\(1 1\) rotate\(0\) '
    r'translate\(([-\d.]+) ([-\d.]+)\)">\s*(?:<title>[^<]*</title>\s*)?'
    r'<polygon fill="white"[^>]*? points="[^"]*"/>'
)


class _Picture(NamedTuple):
    svg: str
    width: int
    height: int
    start: re.Match[str]

    @classmethod
    def of(cls, drawn: bytes) -> _Picture | None:
        svg = drawn.decode("utf-8")
        size, start = _SIZE.search(svg), _GRAPH.search(svg)
        if size is None or start is None:
            return None
        return cls(svg, int(size[1]), int(size[2]), start)


def with_legend(source: str, draw: Callable[[str], bytes]) -> bytes:
    """Draw a graph, and its legend to the right or below, where less room is taken.

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
    >>> with_legend("digraph { a -> b }", lambda source: b"<svg/>")
    b'<svg/>'
    """
    found = _LEGEND.search(source)
    nodes = _NODES.search(source)
    if found is None or nodes is None:
        return cleared(source, draw)
    drawn = cleared(source[: found.start()] + source[found.end() :], draw)
    main, legend = _Picture.of(drawn), _Picture.of(draw(f"{_HEAD}{nodes[0]}{found[0]}\n}}\n"))
    if main is None or legend is None:
        return cleared(source, draw)
    return _joined(main, legend).encode("utf-8")


def _joined(main: _Picture, legend: _Picture) -> str:
    beside = main.width + legend.width, max(main.height, legend.height)
    below = max(main.width, legend.width), main.height + legend.height
    right = beside[0] * beside[1] <= below[0] * below[1]
    width, height = beside if right else below
    x, y = (main.width, 0) if right else (0, main.height)
    left, top = map(float, main.start.groups())
    corners = [(0, 0), (0, height), (width, height), (width, 0), (0, 0)]
    ground = " ".join(f"{across - left:g},{down - top:g}" for across, down in corners)
    across, down = map(float, legend.start.groups())
    inner = legend.svg[legend.start.end() : legend.svg.rindex("</svg>")]
    inner = re.sub(r'<g id="', '<g id="legend_', inner)
    place = f'<g id="legend" class="graph" transform="translate({x + across:g} {y + down:g})">'
    start = re.sub(r'points="[^"]*"', f'points="{ground}"', main.start[0])
    svg = main.svg.replace(main.start[0], start, 1)
    size = (
        f'<svg width="{width}pt" height="{height}pt"\n viewBox="0.00 0.00 {width}.00 {height}.00"'
    )
    svg = _SIZE.sub(size, svg, count=1)
    end = svg.rindex("</svg>")
    return f"{svg[:end]}{place}{inner}{svg[end:]}"
