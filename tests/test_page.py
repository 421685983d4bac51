"""Pages of tapes: what Python writes, and what a browser makes of it where there is one."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, find_chromium

import autodiff as ad
from autodiff import nn
from autodiff.draw import page
from autodiff.draw.boxes import MAX_MEMBERS, Group, boxes
from autodiff.draw.page import Html, heat_map, page_of, summary, tape_data
from autodiff.draw.steps import reverse_steps
from autodiff.errors import DrawingError
from autodiff.tape.ir import Tape

HOSTILE = (
    '</script><script>alert("1")</script>&amp;\n\'"\\ {{data}} \u2028 \ud800 <!-- é 漢 \U0001d499'
)


class Parts(HTMLParser):
    """Elements of a page, and the texts of those that a browser does not read as markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside in ("script", "style", "title"):
            self.texts.append((self.inside, data))

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def text(self, tag: str, which: int = 0) -> str:
        return [text for name, text in self.texts if name == tag][which]


def data_of(text: str) -> dict[str, Any]:
    """The data of a page, read as a browser does."""
    found: dict[str, Any] = json.loads(Parts(text).text("script", 0))
    return found


def strings_of(data: dict[str, Any], numbers: list[int]) -> list[str]:
    return [data["strings"][number] for number in numbers]


def loss(model: nn.Module, x: Any, y: Any) -> Any:
    return np.mean((model(x) - y) ** 2)


def network() -> tuple[nn.MLP, Any, Any]:
    rng = np.random.default_rng(0)
    model = nn.MLP([4, 8, 8, 2], activation="tanh")
    return model, rng.standard_normal((5, 4)), rng.standard_normal((5, 2))


def chain(x: Any, length: int = 2000) -> Any:
    functions = (np.sin, np.tanh, np.cos, np.arctan)
    kinds = np.random.default_rng(3).integers(len(functions), size=length)
    for kind in kinds:
        x = functions[kind](x)
    return np.sum(x)


def tangle(x: Any, length: int = 2000) -> Any:
    """Random graph in which any operation may read any value before it."""
    rng = np.random.default_rng(1)
    values = [x]
    for _ in range(length):
        first, second = (values[i] for i in rng.integers(len(values), size=2))
        values.append((first + second) * 0.5 if rng.random() < 0.5 else np.sin(first))
    return np.sum(values[-1])


def groups_of(root: Group) -> Iterator[Group]:
    yield root
    for member in root.members:
        if isinstance(member, Group):
            yield from groups_of(member)


# --- the file -----------------------------------------------------------------------------------


def test_page_holds_the_tape() -> None:
    model, x, y = network()
    tape = ad.record(loss)(model, x, y)
    data = data_of(page_of(tape_data(tape, title="a network")))
    assert data["title"] == "a network"
    assert len(data["operations"]) == len(tape)
    assert len(data["variables"]) == len(tape.inputs) + len(tape)
    assert data["inputs"] == [1] * 6 + [0, 0]
    assert data["saved"] == tape.summary().total.saved
    assert data["scarcity"] == tape.summary().scarcity != ""
    for row, entry in zip(data["operations"], tape, strict=True):
        assert strings_of(data, [row[1]]) == [entry.primitive.name]
        assert (row[3], row[4]) == (entry.flops, entry.nbytes)
    names = strings_of(data, [row[0] for row in data["variables"]])
    assert "model.layers[0].weight" in names
    labels = strings_of(data, [row[1] for row in data["groups"]])
    assert "layers[1]: Linear" in labels


def test_page_allows_only_its_own_style_and_script() -> None:
    parts = Parts(page_of(tape_data(ad.record(np.sin)(1.0))))
    policies = [dict(a)["content"] for t, a in parts.tags if "http-equiv" in a and t == "meta"]
    assert len(policies) == 1
    policy = policies[0] or ""
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag, which in (("style", 0), ("script", 1)):
        digest = hashlib.sha256(parts.text(tag, which).encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert not [
        tag
        for tag, attributes in parts.tags
        if {"src", "href", "onclick", "style"} & attributes.keys()
    ]


def test_hostile_names_stay_texts(tmp_path: Path) -> None:
    x = ad.Tensor([1.0, 2.0], name=HOSTILE)
    tape = np.sum(x * x).tape
    file = tape.to_html(tmp_path / "page.html", title=HOSTILE)
    text = file.read_text(encoding="utf-8")
    parts = Parts(text)
    assert [tag for tag, _ in parts.tags].count("script") == 2
    data = data_of(text)
    assert strings_of(data, [data["variables"][0][0]]) == [HOSTILE]
    assert data["title"] == HOSTILE
    assert "alert(" not in parts.text("script", 1)


def test_long_names_keep_their_ends() -> None:
    tape = np.sum(ad.Tensor(1.0, name="a" * 300 + "z" * 300)).tape
    data = tape_data(tape)
    name = data["strings"][data["variables"][0][0]]
    assert len(name) < 210
    assert (name[0], name[-1]) == ("a", "z")


@pytest.mark.parametrize(("arguments", "members"), [((), []), ((1.0, 2.0), [0, 1])])
def test_page_of_what_returns_nothing(arguments: tuple[float, ...], members: list[int]) -> None:
    data = tape_data(ad.record(lambda *xs: ())(*arguments))
    assert [data["operations"], data["outputs"]] == [[], []]
    assert data["groups"][0][-1] == members


def test_same_tape_gives_the_same_page() -> None:
    model, x, y = network()
    first, second = (ad.record(ad.value_and_grad(loss))(model, x, y).to_html() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("function", [chain, tangle])
def test_page_of_two_thousand_operations_is_small(function: Any) -> None:
    tape = ad.record(function)(np.full(3, 0.1))
    assert len(tape) >= 2000
    assert len(tape.to_html().encode()) < 2e6


def test_page_of_too_long_a_tape_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_OPERATIONS", 2)
    tape = ad.record(lambda x: np.sin(np.cos(np.tanh(x))))(1.0)
    with pytest.raises(DrawingError, match=r"has 3 operations, more than 2; record a part"):
        tape.to_html()


def test_page_is_written_or_shown(tmp_path: Path) -> None:
    tape = ad.record(np.sin)(1.0)
    text = tape.to_html()
    assert isinstance(text, Html)
    file = tape.to_html(tmp_path / "page.html")
    assert file == tmp_path / "page.html"
    assert file.read_bytes().decode("utf-8") == text
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        tape.to_html(tmp_path / "nowhere" / "page.html")
    with pytest.raises(ValueError, match="no input is named 'w'"):
        tape.to_html(parameters=["w"])


def test_notebook_shows_the_page_in_a_frame_of_its_own() -> None:
    text = ad.record(np.sin)(1.0).to_html(title='a "title"')
    shown = text._repr_html_()
    parts = Parts(shown)
    assert [tag for tag, _ in parts.tags] == ["iframe"]
    frame = parts.tags[0][1]
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == text
    assert html.escape('a "title"') in text


def test_vendored_library_is_what_it_says() -> None:
    folder = resources.files("autodiff.draw") / "assets" / "vendor"
    library = (folder / "dagre.min.js").read_bytes()
    licence = (folder / "dagre.LICENSE.txt").read_text(encoding="utf-8")
    table = (folder / "VENDORED.md").read_text(encoding="utf-8")
    assert hashlib.sha256(library).hexdigest() in table
    text = ad.record(np.sin)(1.0).to_html()
    assert licence.strip() in text
    assert "sourceMappingURL" not in text


# --- values -------------------------------------------------------------------------------------


def test_page_has_values_and_gradients() -> None:
    tape = ad.record(lambda x: np.sum(np.tanh(x)))(np.array([0.0, 3.0]))
    data = tape_data(tape)
    rows = data["variables"]
    assert data["missing"] == {"values": "", "gradients": ""}
    assert data["summaries"][rows[0][4]]["text"] == "[0, 3]"
    assert data["summaries"][rows[-1][4]] == {
        "min": 0.9951, "mean": 0.9951, "max": 0.9951, "norm": 0.9951, "text": "0.9951",
    }  # fmt: skip
    assert data["summaries"][rows[0][5]]["max"] == 1
    # tanh's rule keeps its output
    assert rows[1][6] == [0]


def test_page_says_why_values_are_missing() -> None:
    vector = tape_data(ad.record(np.tanh)(np.ones(3)))
    assert vector["missing"]["values"] == ""
    assert "must be a real scalar" in vector["missing"]["gradients"]
    recorded = ad.record(np.sin)(1.0)
    by_hand = tape_data(Tape(recorded.entries, recorded.inputs, recorded.outputs))
    assert "put together by hand" in by_hand["missing"]["values"]
    assert all(row[4] == -1 for row in by_hand["variables"])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.zeros((0, 3)), {"text": "empty"}),
        (np.float32(2.5), {"min": 2.5, "mean": 2.5, "max": 2.5, "norm": 2.5, "text": "2.5"}),
        (
            np.array([True, False]),
            {"min": 0, "mean": 0.5, "max": 1, "norm": 1, "text": "[True, False]"},
        ),
        (
            np.array([3 + 4j]),
            {"modulus": 1, "min": 5, "mean": 5, "max": 5, "norm": 5, "text": "[3+4j]"},
        ),
        (
            np.array([np.inf, 1.0]),
            {"min": 1, "mean": "inf", "max": "inf", "norm": "inf", "infinite": 1}
            | {"text": "[inf, 1]"},
        ),
        (np.arange(9), {"min": 0, "mean": 4, "max": 8, "norm": 14.28}),
    ],
)  # fmt: skip
def test_summary(value: Any, wanted: dict[str, Any]) -> None:
    assert summary(value) == wanted
    json.dumps(summary(value), allow_nan=False)


def test_summary_of_half_precision_does_not_overflow() -> None:
    assert summary(np.full(100, 60000.0, np.float16))["norm"] == 600000


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.array([[1.0, -2.0], [0.0, np.nan]]), [2, 2, "maix"]),
        (np.array([3, 0, -3]), [1, 3, "qia"]),
        (np.zeros(2), [1, 2, "ii"]),
        (np.array([np.inf, 1.0]), [1, 2, "xq"]),
        (np.full((2, 3, 4), -1e-310), [6, 4, "a" * 24]),
        (np.float16(2.0), None),
        (np.array([True, False]), None),
        (np.array([1j, 2]), None),
        (np.zeros((0, 3)), None),
        (np.ones(17), None),
        (np.ones((17, 2)), None),
    ],
)
def test_small_arrays_are_pictures(value: Any, wanted: list[Any] | None) -> None:
    assert heat_map(value) == wanted


def test_profile_measures_every_operation() -> None:
    model, x, y = network()
    tape = ad.record(ad.value_and_grad(loss))(model, x, y)
    measured = tape.profile(repeats=2)
    assert measured.primitives == tuple(entry.primitive.name for entry in tape)
    assert measured.flops == tuple(entry.flops for entry in tape)
    assert min(measured.seconds) > 0
    assert measured.total == pytest.approx(sum(measured.seconds))
    rows = measured.by_primitive()
    assert sum(count for count, _, _ in rows.values()) == len(tape)
    assert sum(seconds for _, seconds, _ in rows.values()) == pytest.approx(measured.total)
    assert [*rows] == sorted(rows, key=lambda name: -rows[name][1])
    assert all(name in str(measured) for name in rows)
    # At other arguments too
    assert len(tape.profile(model, 2 * x, y).seconds) == len(tape)
    with pytest.raises(ValueError, match="repeats is 0"):
        tape.profile(repeats=0)


def test_page_has_measured_times() -> None:
    tape = ad.record(lambda x: np.sum(np.tanh(x)))(np.ones(3))
    measured = tape.profile()
    data = tape_data(tape, profile=measured)
    assert data["times"] == [pytest.approx(1e9 * s, rel=1e-3) for s in measured.seconds]
    assert tape_data(tape)["times"] == []
    with pytest.raises(ValueError, match="measured on another tape"):
        ad.record(np.sin)(1.0).to_html(profile=measured)


# --- boxes --------------------------------------------------------------------------------------


def deep() -> Tape:
    model = nn.MLP([16] * 42, activation="relu")
    x = np.ones((2, 16))
    return ad.record(ad.value_and_grad(loss))(model, x, x)


@pytest.mark.parametrize(
    "tape",
    [
        lambda: ad.record(chain)(np.ones(2)),
        lambda: ad.record(tangle)(np.ones(2)),
        lambda: ad.record(loss)(*network()),
        deep,
        lambda: ad.record(lambda *xs: list(xs))(*np.ones(100)),
    ],
)
def test_groups_hold_every_node_once_and_stay_small(tape: Any) -> None:
    tape = tape()
    root = boxes(tape)
    nodes = [m for group in groups_of(root) for m in group.members if isinstance(m, int)]
    assert sorted(nodes) == list(range(len(tape.inputs) + len(tape) + len(tape.outputs)))
    assert max(len(group.members) for group in groups_of(root)) <= MAX_MEMBERS


def test_weights_stand_with_their_layer_and_inputs_outside() -> None:
    model, x, y = network()
    tape = ad.record(ad.value_and_grad(loss))(model, x, y)
    root = boxes(tape, range(6))
    layer = next(g for g in groups_of(root) if g.label == "layers[1]: Linear" and g.phase == 0)
    assert [m for m in layer.members if isinstance(m, int) and m < len(tape.inputs)] == [2, 3]
    assert [m for m in root.members if isinstance(m, int) and m < len(tape.inputs)] == [6, 7]


def test_backward_operations_have_groups_of_their_own() -> None:
    tape = ad.record(ad.value_and_grad(loss))(*network())
    found = [(g.label, g.phase) for g in groups_of(boxes(tape)) if g.kind == "module"]
    assert found.count(("layers[0]: Linear", 0)) == 1
    assert found.count(("layers[0]: Linear", 1)) == 1
    data = tape_data(tape)
    for row, entry in zip(data["operations"], tape, strict=True):
        assert row[11] == (entry.pulls is not None)
        assert (row[10] >= 0) == (entry.pulls is not None)
        if entry.pulls is not None:
            assert tape[row[10]] is entry.pulls
    linked = [row for row in data["variables"] if row[7] >= 0]
    assert len(linked) == len(tape.cotangents) > 0
    assert data["sweep"] == []


def test_second_derivatives_have_phases() -> None:
    tape = ad.record(ad.grad(ad.grad(lambda x: np.sin(x) * x)))(1.0)
    assert {row[11] for row in tape_data(tape)["operations"]} == {0, 1, 2}


def test_repetitions_are_folded() -> None:
    model = nn.MLP([16] * 42, activation="relu")
    x = np.ones((2, 16))
    root = boxes(ad.record(loss)(model, x, x))
    repeats = [group.repeats for group in groups_of(root) if group.kind == "repeat"]
    assert len(repeats) == 1
    assert repeats[0] >= 38


def step(f: Any, y: Any, h: float) -> Any:
    first = f(y)
    return y + h / 2 * (first + f(y + h * first))


@pytest.mark.parametrize(
    ("function", "arguments", "wanted", "inside"),
    [
        pytest.param(
            lambda y: np.sum(_steps(y, 49)),
            (np.ones(3),),
            {("step", 49)},
            "step 1 to 12",
            id="function",
        ),
        pytest.param(
            lambda m, x: m(x),
            (nn.arrays(nn.MLP([8] * 31, activation="relu")), np.ones((2, 8))),
            {("block of Linear", 29)},
            None,
            id="modules",
        ),
        pytest.param(lambda x: _waves(x, 30), (np.ones(3),), {("block", 30)}, None, id="block"),
        pytest.param(lambda x: _sines(x, 40), (np.ones(3),), {("sin", 40)}, None, id="one"),
    ],
)  # fmt: skip
def test_repeated_blocks_have_names(
    function: Any, arguments: Any, wanted: set[tuple[str, int]], inside: str | None
) -> None:
    root = boxes(ad.record(function)(*arguments))
    groups = list(groups_of(root))
    assert {(group.label, group.repeats) for group in groups if group.repeats} == wanted
    labels = [group.label for group in groups]
    assert not [label for label in labels if label.startswith("around")]
    assert inside is None or inside in labels


def _steps(y: Any, count: int) -> Any:
    for _ in range(count):
        y = step(lambda z: np.sin(z) * 0.5, y, 0.1)
    return y


def _waves(x: Any, count: int) -> Any:
    for _ in range(count):
        x = np.sin(x * 2.0) + x
    return x


def _sines(x: Any, count: int) -> Any:
    for _ in range(count):
        x = np.sin(x)
    return x


# --- the order of the sweep -----------------------------------------------------------------------


def test_sweep_by_hand() -> None:
    def function(x: Any, n: Any) -> Any:
        squared = x * x  # 0: read by 2, 3 and 4
        np.greater(squared, 0)  # 1: no derivative
        a = np.sin(squared)  # 2
        b = np.where(squared > 1, squared, 0.0)  # 3 is >; 4 is where
        ad.stop_gradient(a) * 2.0  # 5, 6: leads nowhere
        return np.sum(a * b) * n  # 7, 8, 9

    tape = ad.record(function)(np.array([1.0, 2.0]), 3)
    steps = [
        (
            None if step.entry < 0 else tape[step.entry].primitive.name,
            [(d.rule, d.number, d.total) for d in step.deliveries],
        )
        for step in reverse_steps(tape)
    ]
    assert steps == [
        (None, [("seed", 1, 1)]),
        ("multiply", [("multiply.d_x", 1, 1)]),
        ("sum", [("sum.transpose", 1, 1)]),
        ("multiply", [("multiply.d_x", 1, 1), ("multiply.d_y", 1, 1)]),
        ("where", [("where.d_x", 1, 2)]),
        ("sin", [("sin.d_x", 2, 2)]),
        ("multiply", [("multiply.d_x", 1, 2), ("multiply.d_y", 2, 2)]),
    ]


def test_sweep_of_what_has_no_derivative_is_empty() -> None:
    assert reverse_steps(ad.record(lambda x: np.greater(x, 0) * 2.0)(1.5)) == []
    assert reverse_steps(ad.record(ad.stop_gradient)(1.5)) == []
    assert reverse_steps(ad.record(lambda x: x + 1)(1)) == []
    assert reverse_steps(ad.record(lambda x: 3.0)(1.0)) == []


def test_sweep_of_several_outputs_runs_a_rule_once() -> None:
    tape = ad.record(lambda x: np.sum(np.concatenate(np.split(x, 2)) * 2))(np.ones(4))
    entries = [step.entry for step in reverse_steps(tape)]
    assert len(entries) == len(set(entries))
    assert entries == [-1, *sorted(entries[1:], reverse=True)]


@pytest.mark.parametrize("seed", range(8))
def test_sweep_is_the_one_that_runs(seed: int) -> None:
    """Hooks on every Tensor see the order in which rules run, and how many parts were added."""
    rng = np.random.default_rng(seed)
    tensors = [ad.Tensor(rng.standard_normal(3), name="leaf")]
    order: list[str] = []
    for number in range(40):
        first, second = (tensors[i] for i in rng.integers(len(tensors), size=2))
        kind = rng.integers(5)
        if kind == 0:
            made = np.tanh(first)
        elif kind == 1:
            made = np.where(first > 0, first, second)
        elif kind == 2:
            made = first * second
        elif kind == 3:
            made = first + ad.stop_gradient(second)
        else:
            made = np.maximum(first, 0.3)
        made.name = f"t{number}"
        made.register_hook(lambda g, name=made.name: order.append(name))
        tensors.append(made)
    total = np.sum(tensors[-1] * tensors[-2])
    tape = total.tape
    total.backward()
    steps = reverse_steps(tape)
    swept = [tape[step.entry].output.name for step in steps[1:]]
    assert [name for name in swept if name] == order
    parts: dict[str | None, int] = {}
    for step in steps:
        for delivery in step.deliveries:
            name = delivery.variable.name
            parts[name] = parts.get(name, 0) + 1
            assert delivery.number == parts[name] or name is None
    for step in steps:
        for delivery in step.deliveries:
            assert delivery.total == parts[delivery.variable.name] or not delivery.variable.name


# --- in a browser -------------------------------------------------------------------------------

CHROMIUM = find_chromium()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH, in which the pages are tried")
    opened = Browser(CHROMIUM)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a few tapes."""
    folder = tmp_path_factory.mktemp("pages")

    def shared(x: Any, w: Any) -> Any:
        hidden = ad.name(np.tanh(x @ w), "hidden")
        return np.sum(hidden * hidden) + np.sum(np.exp(hidden))

    hostile = ad.Tensor([1.0, 2.0], name=HOSTILE)
    tapes = {
        "shared": ad.record(shared)(np.ones((3, 4)) * 0.1, np.ones((4, 2))),
        "network": ad.record(loss)(*network()),
        "two_sided": ad.record(ad.value_and_grad(loss))(*network()),
        "second": ad.record(ad.grad(ad.grad(lambda x: np.sin(x) * x)))(1.0),
        "chain": ad.record(chain)(np.ones(3)),
        "tangle": ad.record(tangle)(np.full(3, 0.1)),
        "hostile": np.sum(hostile * hostile).tape,
        "nothing": ad.record(lambda x: x)(1.0),
    }
    return {name: tape.to_html(folder / f"{name}.html") for name, tape in tapes.items()}


def boxes_shown(browser: Browser) -> int:
    shown: int = browser.run("document.querySelectorAll('[role=treeitem]').length")
    return shown


def middle_of(browser: Browser, selector: str) -> tuple[float, float]:
    found = browser.run(
        f"(() => {{ const box = document.querySelector({json.dumps(selector)});"
        "const r = box.getBoundingClientRect();"
        "return [r.x + r.width / 2, r.y + Math.min(r.height / 2, 8)]; })()"
    )
    return found[0], found[1]


def text_of(browser: Browser, identity: str) -> str:
    text: str = browser.run(f"document.getElementById({identity!r}).textContent")
    return text


def slide_to(browser: Browser, step: int) -> None:
    browser.run(
        "(() => { const s = document.getElementById('slider');"
        f"s.value = {step}; s.dispatchEvent(new Event('input')); }})()"
    )


NAMES = ["shared", "network", "two_sided", "second", "chain", "tangle", "hostile", "nothing"]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_page_opens(browser: Browser, pages: dict[str, Path], name: str, dark: bool) -> None:
    browser.open(pages[name], dark=dark)
    browser.frame()
    assert browser.errors == []
    assert browser.requests == [pages[name].resolve().as_uri()]
    # However long the tape, no more boxes than can be looked at
    assert 0 < boxes_shown(browser) <= 150
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 384) == dark
    globals_left = browser.run(
        "['dagre', 'model', 'layOut', 'views', 'timeline'].filter(name => name in window)"
    )
    assert globals_left == []


def test_hostile_names_are_shown_and_not_run(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"])
    shown = browser.run("document.querySelector('.parameter').getAttribute('aria-label')")
    assert shown.startswith(HOSTILE[:30])
    assert browser.run("document.querySelectorAll('script').length") == 2
    assert browser.errors == []


def test_click_opens_and_closes_a_group(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["chain"])
    before = boxes_shown(browser)
    browser.click(*middle_of(browser, ".group.closed"))
    after = boxes_shown(browser)
    assert after > before
    assert browser.run("document.querySelectorAll('.group.open[aria-expanded=true]').length") == 1
    browser.click(*middle_of(browser, ".group.open .head"))
    assert boxes_shown(browser) == before
    assert browser.errors == []


def test_boxes_of_a_layout_do_not_overlap(browser: Browser, pages: dict[str, Path]) -> None:
    for name in ("network", "two_sided", "second", "tangle"):
        browser.open(pages[name])
        overlaps = browser.run(
            """(() => {
                const found = [];
                for (const group of document.querySelectorAll('[role=group]')) {
                    const frames = [...group.children].map(
                        child => child.querySelector('.frame').getBoundingClientRect());
                    frames.forEach((a, i) => frames.slice(i + 1).forEach(b => {
                        if (a.left < b.right - 1 && b.left < a.right - 1 &&
                            a.top < b.bottom - 1 && b.top < a.bottom - 1) found.push([a.x, a.y]);
                    }));
                }
                return found;
            })()"""
        )
        assert overlaps == [], name


def test_all_groups_open_and_close(browser: Browser, pages: dict[str, Path]) -> None:
    for name in ("chain", "tangle", "two_sided"):
        browser.open(pages[name])
        data = json.loads(browser.run("document.getElementById('tape').textContent"))
        nodes = len(data["inputs"]) + len(data["operations"]) + len(data["outputs"])
        browser.press("e")
        browser.wait("document.getElementById('busy').hidden")
        assert boxes_shown(browser) == nodes + len(data["groups"]) - 1
        browser.press("c")
        browser.wait("document.getElementById('busy').hidden")
        assert boxes_shown(browser) == len(data["groups"][0][4])
        assert browser.errors == []


def test_slider_plays_forward_and_reverse(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["shared"])
    slider = "document.getElementById('slider')"
    steps = int(browser.run(f"{slider}.max"))
    tape = json.loads(browser.run("document.getElementById('tape').textContent"))
    forward = len(tape["operations"])
    assert steps == forward + len(tape["sweep"])
    count = "document.querySelectorAll('.box.{}').length"
    slide_to(browser, 1)
    assert browser.run(count.format("computed")) == 3  # two inputs, one operation
    assert browser.run(count.format("current")) == 1
    assert text_of(browser, "happening").startswith("forward")
    slide_to(browser, forward)
    assert browser.run(count.format("waiting")) == 0
    assert browser.run(count.format("cotangent")) == 0
    slide_to(browser, forward + 1)
    assert "the sweep starts" in text_of(browser, "happening")
    said = []
    for step in range(forward + 2, steps + 1):
        slide_to(browser, step)
        said.append(
            (
                text_of(browser, "happening"),
                browser.run("[...document.querySelectorAll('.badge')].map(b => b.textContent)"),
            )
        )
    assert browser.run(count.format("waiting")) == 0
    # exp's part of the cotangent of `hidden` comes first, the two of the product are added to it
    assert any(
        "exp.d_x → cotangent of hidden  (1 of 3)" in text and badges == ["1 of 3"]
        for text, badges in said
    )
    assert any(
        "multiply.d_x → cotangent of hidden  += 2 of 3" in text
        and "multiply.d_y → cotangent of hidden  += 3 of 3" in text
        and badges == ["+= 2 and 3 of 3"]
        for text, badges in said
    )
    assert any("VJP of tanh: tanh.d_x" in text for text, _ in said)
    assert browser.errors == []


def test_recorded_backward_sweep_plays_in_order(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["two_sided"])
    tape = json.loads(browser.run("document.getElementById('tape').textContent"))
    steps = int(browser.run("document.getElementById('slider').max"))
    assert steps == len(tape["operations"])
    slide_to(browser, steps)
    assert text_of(browser, "happening").startswith("backward")
    assert "cotangent of" in text_of(browser, "happening")
    # Backward operations stand to the right of the forward ones that they belong to
    sides = browser.run(
        """['.module.phase-0', '.module.phase-1'].map(
            selector => document.querySelector(selector).getBoundingClientRect().x)"""
    )
    assert sides[0] < sides[1]


def test_search_finds_counts_and_jumps(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["chain"])
    before = boxes_shown(browser)
    browser.press("/")
    browser.type("arctan")
    found = re.fullmatch(r"(\d+) found", text_of(browser, "found"))
    assert found is not None
    tape = json.loads(browser.run("document.getElementById('tape').textContent"))
    kinds = strings_of(tape, [row[1] for row in tape["operations"]])
    assert int(found[1]) == kinds.count("arctan")
    assert browser.run("document.querySelectorAll('.badge').length") > 0
    browser.press("Enter")
    assert text_of(browser, "found") == f"1 of {found[1]}"
    assert boxes_shown(browser) > before
    assert browser.run("document.querySelectorAll('.box.found.selected').length") == 1
    assert "arctan" in text_of(browser, "facts")
    browser.press("Enter", shift=True)
    assert text_of(browser, "found") == f"{found[1]} of {found[1]}"
    browser.press("Escape")
    assert browser.run("document.querySelectorAll('.box.hit').length") == 0


def test_keyboard_alone_is_enough(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["network"])
    focused = "document.activeElement.getAttribute('aria-label')"
    browser.run("document.querySelector('[role=treeitem][tabindex=\"0\"]').focus()")
    assert browser.run("document.querySelectorAll('[role=treeitem][tabindex=\"0\"]').length") == 1
    start = browser.run(focused)
    browser.press("ArrowDown")
    assert browser.run(focused) != start
    # Focus alone shows the details beside the box
    assert browser.run("document.getElementById('tip').hidden") is False
    seen = {browser.run(focused)}
    for _ in range(40):
        browser.press("ArrowDown")
        seen.add(browser.run(focused))
    assert "output, output, float64[]" in seen
    browser.run("document.querySelector('[role=treeitem].open').focus()")
    before = boxes_shown(browser)
    browser.press("Enter")
    assert boxes_shown(browser) < before
    assert browser.run("document.activeElement.getAttribute('aria-expanded')") == "false"
    browser.press("Enter")
    assert boxes_shown(browser) == before
    browser.press(".")
    browser.press(".")
    assert text_of(browser, "count").startswith("2 / ")
    browser.press(",")
    assert text_of(browser, "count").startswith("1 / ")
    browser.press("?")
    assert browser.run("document.getElementById('help').open") is True
    browser.press("Escape")
    assert browser.run("document.getElementById('help').open") is False
    assert browser.errors == []


def test_play_goes_on_and_pauses(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["shared"])
    browser.press("p")
    assert browser.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    browser.wait("Number(document.getElementById('slider').value) >= 2")
    browser.press("p")
    assert browser.run("document.getElementById('play').getAttribute('aria-pressed')") == "false"


def test_details_link_to_the_neighbours(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["shared"])
    browser.click(*middle_of(browser, "[aria-label^='hidden = tanh']"))
    shown = text_of(browser, "facts")
    for text in (
        "tanh",
        "float64",
        "shape (3, 2)",
        "norm",
        "gradient",
        "saved by",
        "flops",
        "source",
    ):
        assert text in shown
    assert "sum of 3 contributions" in shown
    browser.run(
        "[...document.querySelectorAll('#facts button.link')].find("
        "b => b.textContent === 'exp').click()"
    )
    assert "exp" in browser.run("document.querySelector('#facts h2').textContent")
    assert browser.run("document.activeElement.getAttribute('aria-label')").startswith("exp")


def test_pan_zoom_and_fit(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["network"])
    where = "document.getElementById('world').getAttribute('transform')"
    start = browser.run(where)
    browser.wheel(400, 400, -200)
    browser.wait(f"{where} !== {json.dumps(start)}")
    assert float(text_of(browser, "zoom")[:-1]) > 0
    closer = browser.run(where)
    browser.press("-")
    assert browser.run(where) != closer
    browser.press("f")
    browser.press("1")
    assert text_of(browser, "zoom") == "100%"
    inside = browser.run(
        """(() => { document.getElementById('whole').click();
            const all = document.getElementById('world').getBoundingClientRect();
            const room = document.getElementById('canvas').getBoundingClientRect();
            return all.top >= room.top && all.bottom <= room.bottom + 1; })()"""
    )
    assert inside is True


def test_theme_switches(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["shared"])
    ground = "getComputedStyle(document.body).backgroundColor"
    light = browser.run(ground)
    browser.press("t")
    assert browser.run(ground) != light
    browser.press("t")
    assert browser.run(ground) == light


def test_page_in_a_closed_frame(browser: Browser, tmp_path: Path) -> None:
    """As in a notebook: without an origin of its own, storage, or the parent's page."""
    shown = ad.record(np.sin)(1.0).to_html()._repr_html_()
    file = tmp_path / "notebook.html"
    file.write_text(
        f"<!DOCTYPE html><meta charset=utf-8><body>{shown}"
        "<script>document.querySelector('iframe').onload ="
        " () => { document.documentElement.dataset.ready = '1'; }</script>",
        encoding="utf-8",
    )
    browser.open(file)
    browser.frame()
    assert browser.errors == []


def test_page_prints(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.open(pages["network"], dark=True)
    browser.print_preview()
    height, width = browser.run(
        "(() => { const r = document.getElementById('canvas').getBoundingClientRect();"
        "return [r.height, r.width]; })()"
    )
    assert min(height, width) > 300
    for gone in ("header", "footer", "#panel"):
        assert browser.run(f"getComputedStyle(document.querySelector('{gone}')).display") == "none"
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert browser.errors == []


# --- playing ------------------------------------------------------------------------------------

TRANSFORM = "document.getElementById('world').getAttribute('transform')"


def test_what_fits_never_moves(browser: Browser, pages: dict[str, Path]) -> None:
    for name in ("shared", "network", "two_sided"):
        browser.open(pages[name])
        browser.press("f")
        before = browser.run(TRANSFORM)
        last = int(browser.run("document.getElementById('slider').max"))
        for _ in range(last):
            browser.press(".")
            assert browser.run(TRANSFORM) == before, name


def test_larger_picture_follows_no_further_than_it_must(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["two_sided"])
    browser.press("1")
    played = """(() => {
        const room = document.getElementById('canvas').getBoundingClientRect();
        const at = document.querySelector('.current .frame').getBoundingClientRect();
        return at.left >= room.left && at.right <= room.right + 1 &&
            at.top >= room.top && at.bottom <= room.bottom + 1; })()"""
    moves = 0
    last = int(browser.run("document.getElementById('slider').max"))
    for _ in range(last):
        before = browser.run(TRANSFORM)
        browser.press(".")
        assert browser.run(played) is True
        moves += browser.run(TRANSFORM) != before
    assert 0 < moves < last / 2


def test_panel_says_how_scarce_the_jacobian_is(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["two_sided"])
    told = ad.record(ad.value_and_grad(loss))(*network()).summary().scarcity
    assert told.startswith("Jacobian of ")
    assert told.removeprefix("Jacobian of ") in text_of(browser, "facts")
    # Nothing is said of long tapes
    browser.open(pages["chain"])
    assert "Jacobian" not in text_of(browser, "facts")


def test_panel_follows_what_is_played(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["shared"])
    tape = json.loads(browser.run("document.getElementById('tape').textContent"))
    names = strings_of(tape, [row[1] for row in tape["operations"]])
    for number, name in enumerate(names, 1):
        browser.press(".")
        assert text_of(browser, "count").startswith(f"{number} / ")
        assert browser.run("document.querySelector('#facts dd code').textContent") == name
    # What is chosen stays until the film goes on
    browser.click(*middle_of(browser, "[aria-label^='hidden = tanh']"))
    assert "hidden" in browser.run("document.querySelector('#facts h2').textContent")
    assert browser.run("document.querySelectorAll('.box.selected').length") == 1
    browser.press("Home")
    assert "The tape" in text_of(browser, "facts")
    assert browser.run("document.querySelectorAll('.box.selected').length") == 0


@pytest.mark.parametrize("name", ["chain", "tangle", "two_sided"])
def test_expanded_picture_is_legible_and_centred(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    browser.press("e")
    browser.wait("document.getElementById('busy').hidden")
    assert float(text_of(browser, "zoom")[:-1]) >= 45
    apart = browser.run(
        """(() => {
            const room = document.getElementById('canvas').getBoundingClientRect();
            const seen = [...document.querySelectorAll('.box:not(.group) > .frame')]
                .map(frame => frame.getBoundingClientRect())
                .filter(r => r.right > room.left && r.left < room.right &&
                    r.bottom > room.top && r.top < room.bottom);
            const middle = room.left + room.width / 2;
            return Math.min(...seen.map(r => Math.abs(r.left + r.width / 2 - middle))) / room.width;
        })()"""
    )
    assert apart < 0.25


def test_first_tab_stop_of_the_picture_answers(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["network"])
    browser.run("document.getElementById('keys').focus()")
    browser.press("Tab")
    assert browser.run("document.activeElement.getAttribute('role')") == "treeitem"
    here = browser.run("document.activeElement.getAttribute('data-id')")
    browser.press("ArrowDown")
    assert browser.run("document.activeElement.getAttribute('data-id')") != here
    browser.press("Enter")
    assert "The tape" not in text_of(browser, "facts")


def test_tip_neither_covers_nor_repeats(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["network"])
    browser.press("f")
    count = browser.run("document.querySelectorAll('.box:not(.open) > .frame').length")
    for number in range(count):
        x, y = browser.run(
            f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelectorAll("
            f"'.box:not(.open) > .frame')[{number}].getBoundingClientRect())"
        )
        browser.move(x, y)
        covered = browser.run(
            """(() => {
                const tip = document.getElementById('tip');
                if (tip.hidden) return -1;
                const t = tip.getBoundingClientRect();
                return [...document.querySelectorAll('.box:not(.open) > .frame')]
                    .map(f => f.getBoundingClientRect())
                    .filter(r => r.left < t.right && t.left < r.right &&
                        r.top < t.bottom && t.top < r.bottom).length;
            })()"""
        )
        assert covered == 0
    browser.click(x, y)
    browser.move(x - 300, y)
    browser.move(x, y)
    assert browser.run("document.getElementById('tip').hidden") is True


def held_by_hand(tape: dict[str, Any]) -> list[int]:
    """Bytes held at each step, counted value by value."""
    operations, sweep = tape["operations"], tape["sweep"]
    last = len(operations) + len(sweep)
    held = [0] * (last + 1)
    made = {v: i + 1 for i, row in enumerate(operations) for v in row[7]}
    rule = {entry: len(operations) + 1 + number for number, (entry, _) in enumerate(sweep)}
    arrival: dict[int, int] = {}
    for number, (_, deliveries) in enumerate(sweep):
        for delivery in deliveries:
            arrival.setdefault(delivery[1], len(operations) + 1 + number)
    for number, row in enumerate(tape["variables"]):
        size = row[3]
        until = [last] if number not in made else [made[number]]
        until += [i + 1 for i, op in enumerate(operations) if number in op[6]]
        until += [last for _, reference in tape["outputs"] if reference == number]
        until += [rule.get(keeper, 0) for keeper in row[6]]
        for step in range(made.get(number, 0), max(until) + 1):
            held[step] += size
        if number in arrival:
            end = rule.get(made[number] - 1, last) if number in made else last
            for step in range(arrival[number], end + 1):
                held[step] += size
    return held


@pytest.mark.parametrize("name", ["shared", "network", "two_sided", "second", "chain"])
def test_memory_is_shown_with_its_peak(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    tape = json.loads(browser.run("document.getElementById('tape').textContent"))
    held = held_by_hand(tape)
    assert browser.run("document.getElementById('memory').hasAttribute('hidden')") is False
    at = held.index(max(held))
    browser.run("document.getElementById('peak').click()")
    assert text_of(browser, "count").startswith(f"{at} / ")
    for step in {0, 1, at, len(held) // 2, len(held) - 1}:
        slide_to(browser, step)
        shown = text_of(browser, "held").removesuffix(" held")
        number, unit = shown.split(" ")
        size = held[step] / {"B": 1, "kB": 1e3, "MB": 1e6}[unit]
        assert float(number) == pytest.approx(size, abs=0.051 if "." in number else 0.51)


@pytest.mark.parametrize("name", ["shared", "network", "two_sided", "chain"])
def test_page_fits_a_telephone(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], width=390, height=844)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth") is True
    place = (
        "(r => [r.left, r.right, r.top, r.bottom])"
        "(document.getElementById({!r}).getBoundingClientRect())"
    )
    slider, count, canvas = (browser.run(place.format(i)) for i in ("slider", "count", "canvas"))
    assert slider[1] - slider[0] >= 195
    assert count[0] >= 0
    assert count[1] <= 390
    assert canvas[3] - canvas[2] >= 400
    # The panel is a sheet, which opens for what is chosen and closes again
    panel = "document.getElementById('panel').clientHeight"
    assert browser.run(panel) == 0
    click = "new MouseEvent('click', {bubbles: true})"
    browser.run(f"document.querySelector('.box .frame').dispatchEvent({click})")
    height = browser.run(panel)
    assert 0 < height <= 0.5 * (canvas[3] - canvas[2])
    browser.run("document.getElementById('panel-close').click()")
    assert browser.run(panel) == 0
    assert browser.errors == []


def test_pictures_and_times_are_shown(browser: Browser, tmp_path: Path) -> None:
    tape = ad.record(loss)(*network())
    file = tape.to_html(tmp_path / "page.html", profile=tape.profile())
    browser.open(file)
    assert "measured" in text_of(browser, "facts")
    data = json.loads(browser.run("document.getElementById('tape').textContent"))
    wanted = sum(row[8] >= 0 for row in data["variables"])
    shown = "[...document.querySelectorAll('.heat')].filter(h => h.getBoundingClientRect().width)"
    assert browser.run(f"{shown}.length") == wanted > 4
    # When the sweep has passed they show gradients
    slide_to(browser, 10**6)
    gradients = "document.querySelectorAll('.cotangent > .heat.gradient').length"
    assert browser.run(gradients) == sum(row[9] >= 0 for row in data["variables"])
    browser.click(*middle_of(browser, ".parameter"))
    assert browser.run("document.querySelectorAll('#facts .heat-image').length") == 2
    assert "Gflop/s" not in text_of(browser, "facts")
    browser.click(*middle_of(browser, "[aria-label^='@']"))
    assert "Gflop/s" in text_of(browser, "facts")
    assert browser.errors == []
