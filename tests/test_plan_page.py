"""Pages that play plans: what Python writes, and what a browser makes of it where there is one."""

from __future__ import annotations

import html
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, find_chromium

import autodiff as ad
from autodiff import nn
from autodiff.draw.webpage import Html
from autodiff.errors import DrawingError
from autodiff.ordering import Chain, JacobianGraph, playing
from autodiff.ordering.playing import Playable

MATRICES = [(30, 12), (60, 30), (6, 60), (50, 6), (40, 50), (25, 40)]
TAPES = [(8, 4, 90), (16, 8, 300), (4, 16, 200), (30, 4, 400), (2, 30, 100)]
CHAINS = {
    "matrices": Chain.from_shapes(MATRICES),
    "tapes": Chain(TAPES),
    "long": Chain.from_shapes([(2 + (7 * i) % 40, 2 + (7 * (i - 1)) % 40) for i in range(1, 31)]),
    "one": Chain([(2, 3, 5)]),
}


def recorded() -> JacobianGraph:
    def function(x: Any, w: Any) -> Any:
        hidden = np.tanh(x @ w)
        return np.sum((hidden * 2.0 + x @ w) ** 2, axis=0)

    return ad.record(function)(np.ones((3, 4)), np.ones((4, 3))).jacobian_graph()


def network() -> JacobianGraph:
    model = nn.MLP([4, 8, 8, 2], activation="tanh")
    return ad.record(lambda m, x: m(x))(model, np.ones((5, 4))).jacobian_graph()


def tangle(sizes: bool) -> JacobianGraph:
    rng = np.random.default_rng(2)
    edges = {(int(rng.integers(v)), v) for v in range(4, 24) for _ in range(2)}
    edges = {(s, t) for s, t in edges if s < 20 or t < 20}
    outputs = [v for v in range(4, 24) if not any(s == v for s, _ in edges)]
    return JacobianGraph(
        sorted(edges),
        range(4),
        outputs,
        sizes={v: 1 + v % 3 for v in range(24)} if sizes else None,
        unit=[(s + t) % 3 == 0 for s, t in sorted(edges)] if sizes else None,
    )


GRAPHS = {
    "recorded": recorded(),
    "network": network(),
    "scalars": tangle(False),
    "units": tangle(True),
}


LION = [(0, 1), (1, 2), (1, 5), (2, 3), (2, 4), (2, 5)]
"""Whichever of 1 and 2 goes first, it takes a product more than faces do (Naumann, 2004)."""

FACES = {
    "lion": JacobianGraph(LION, [0], [3, 4, 5], sizes={0: 2, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1}),
    "recorded": recorded(),
    "scalars": tangle(False),
}


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def totals(order: dict[str, Any], at: int) -> int:
    return sum(step[at] for step in order["steps"])


# --- what Python writes -------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["optimal", "preaccumulate", "worst", "forward", "reverse"])
@pytest.mark.parametrize("name", CHAINS)
def test_page_of_a_chain_holds_its_plans(name: str, order: str) -> None:
    chain = CHAINS[name]
    plan = chain.plan(order)
    data = data_of(str(plan.to_html()))
    assert data["factors"] == [list(factor) for factor in chain.factors]
    first = data["orders"][0]
    assert first["cost"] == plan.cost == totals(first, 3)
    assert [step[0] for step in first["steps"]] == [step.operation for step in plan.steps]
    assert [step[3] for step in first["steps"]] == [step.fma for step in plan.steps]
    # Forward and reverse are there, by themselves or because the plan is the same
    names = " = ".join(row["name"] for row in data["orders"]).split(" = ")
    assert set(names) == {order, "forward", "reverse"}
    for row in data["orders"][1:]:
        assert row["cost"] == totals(row, 3) == chain.sweep_cost(row["name"])


@pytest.mark.parametrize("name", ["matrices", "tapes"])
@pytest.mark.parametrize("options", [{}, {"machines": 3}, {"memory": 350}, {"memory": 0}])
def test_table_ends_in_the_plan(name: str, options: dict[str, int]) -> None:
    chain = CHAINS[name]
    plan = chain.plan("optimal", **options)
    table = data_of(str(plan.to_html()))["table"]
    cells = {(row[0], row[1]): row for row in table["cells"]}
    count = len(chain)
    assert len(cells) == count * (count + 1) // 2
    assert cells[1, count][2] == plan.makespan
    # A cell stands after those that it is made of
    lengths = [row[1] - row[0] for row in table["cells"]]
    assert lengths == sorted(lengths)
    if table["machines"] > 1:
        return
    for first, last, value, move, split, offers in cells.values():
        if first == last:
            continue
        chosen = [offer for offer in offers if offer[0] == split]
        assert [offer[1:3] for offer in chosen] == [[move, value]]
        assert value == min(offer[2] for offer in offers)
        assert [offer[0] for offer in offers] == list(range(first, last))
        for at, way, total, join in offers:
            halves = [cells[first, at][2], cells[at + 1, last][2]]
            assert total == join + sum([halves, halves[:1], halves[1:]][way])


def test_table_of_the_worst_order_is_its_own() -> None:
    chain = CHAINS["matrices"]
    cells = data_of(str(chain.to_html(plan="worst")))["table"]["cells"]
    assert cells[-1][2] == chain.plan("worst").cost
    assert max(offer[2] for offer in cells[-1][5]) == cells[-1][2]


def test_table_of_too_many_factors_is_left_out() -> None:
    chain = Chain.from_shapes([(2, 2)] * 60)
    data = data_of(str(chain.to_html()))
    assert data["table"] is None
    assert len(data["orders"][0]["steps"]) == 59


@pytest.mark.parametrize("order", ["markowitz", "forward", "reverse", "exact"])
@pytest.mark.parametrize("name", GRAPHS)
def test_page_of_a_graph_holds_every_product(name: str, order: str) -> None:
    graph = GRAPHS[name]
    plan = graph.plan(order)
    data = data_of(str(plan.to_html()))
    assert sorted({row[2] for row in data["vertices"]}) == ["", "input", "output"]
    first = data["orders"][0]
    assert first["cost"] == plan.cost
    for row, step in zip(first["steps"], plan.steps, strict=True):
        vertex, products, fma = row
        assert fma == step.fma == sum(product[2] for product in products)
        assert data["vertices"][vertex][0] == plan.names.get(
            step.operands[0], str(step.operands[0])
        )
        assert len(products) == len(step.result)
    for row in data["orders"]:
        assert totals(row, 2) == row["cost"]
    costs = {n: r["cost"] for r in data["orders"] for n in r["name"].split(" = ")}
    assert (costs["forward"], costs["reverse"]) == (plan.forward_cost, plan.reverse_cost)


@pytest.mark.parametrize("name", GRAPHS)
def test_products_lead_to_the_edges_that_are_left(name: str) -> None:
    """Playing the products on the edges, as the page does, leaves edges between ends alone."""
    graph = GRAPHS[name]
    data = data_of(str(graph.to_html(plan="markowitz")))
    roles = [row[2] for row in data["vertices"]]
    for order in data["orders"]:
        edges = {(s, t): word for s, t, word in data["edges"]}
        for vertex, products, _ in order["steps"]:
            for source, target, _, _, added in products:
                assert {(source, vertex), (vertex, target)} <= edges.keys()
                assert bool(added) == ((source, target) in edges)
            edges = {edge: word for edge, word in edges.items() if vertex not in edge}
            edges |= {(source, target): word for source, target, _, word, _ in products}
        assert all(roles[s] and roles[t] == "output" for s, t in edges)


@pytest.mark.parametrize("name", FACES)
def test_page_of_faces_holds_every_product(name: str) -> None:
    """Playing them as the page does, edge by edge, ends with edges between ends alone."""
    graph = FACES[name]
    plan = graph.plan("faces", iterations=300)
    data = data_of(str(plan.to_html()))
    order = data["orders"][0]
    assert order["cost"] == plan.cost == totals(order, 2)
    assert len(order["steps"]) == len(plan.faces)
    roles = [row[2] for row in data["vertices"]]
    edges = {number: tuple(row[:2]) for number, row in enumerate(data["edges"])}
    for row, step in zip(order["steps"], plan.steps, strict=True):
        vertex, [[source, target, fma, _, added]], cost, [inner, outer], changed, gone = row
        assert cost == fma == step.fma
        assert edges[inner] == (source, vertex)
        assert edges[outer] == (vertex, target)
        for number in gone:
            del edges[number]
        fresh = {number for number, *_ in changed} - edges.keys()
        assert len(fresh) == (not added) or not fresh
        edges |= {number: (s, t) for number, s, t, _ in changed}
        assert [e for e in edges.values() if e == (source, target)]
    assert all(roles[s] and roles[t] == "output" for s, t in edges.values())
    # The sweeps beside it go by vertices
    assert all(len(step) == 3 for row in data["orders"][1:] for step in row["steps"])


def test_page_says_how_scarce_the_jacobian_is() -> None:
    data = data_of(str(FACES["lion"].to_html(plan="reverse")))
    assert data["scarcity"] == str(FACES["lion"].scarcity())
    assert data_of(str(CHAINS["one"].to_html()))["scarcity"] == ""
    long = JacobianGraph([(i, i + 1) for i in range(60)], [0], [60])
    assert data_of(str(long.to_html(plan="reverse")))["scarcity"] == ""


def test_page_is_written_or_shown(tmp_path: Path) -> None:
    chain = CHAINS["matrices"]
    file = chain.to_html(tmp_path / "plan.html", title='a <b> & "plan"')
    assert file == tmp_path / "plan.html"
    text = file.read_bytes().decode("utf-8")
    assert html.escape('a <b> & "plan"') in text
    shown = chain.to_html(title='a <b> & "plan"')
    assert isinstance(shown, Html)
    assert shown == text
    assert len(text) < 700_000
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        chain.to_html(tmp_path / "nowhere" / "plan.html")


def test_other_plans_are_refused() -> None:
    chain, graph = CHAINS["matrices"], GRAPHS["recorded"]
    with pytest.raises(ValueError, match="was made for"):
        chain.to_html(plan=CHAINS["tapes"].plan())
    with pytest.raises(ValueError, match="was made for"):
        graph.to_html(plan=GRAPHS["network"].plan("reverse"))
    with pytest.raises(ValueError, match="order is 'fastest'"):
        chain.to_html(plan="fastest")


@pytest.mark.parametrize("problem", [CHAINS["tapes"], GRAPHS["recorded"]])
def test_pickled_plan_needs_its_problem(problem: Playable) -> None:
    plan = problem._planned("reverse")
    there = pickle.loads(pickle.dumps(plan))
    assert there == plan
    with pytest.raises(DrawingError, match=r"call to_html\(path, plan\) of a "):
        there.to_html()
    assert problem.to_html(plan=there) == plan.to_html()


def test_what_is_too_long_or_no_elimination_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DrawingError, match="has 601 vertices"):
        JacobianGraph([(i, i + 1) for i in range(600)], [0], [600]).to_html(plan="reverse")
    plan = GRAPHS["scalars"].plan("reverse")
    merged = tuple(step._replace(operation="merge") for step in plan.steps)
    faces = replace(plan, steps=merged)
    with pytest.raises(DrawingError, match="step 'merge'"):
        faces.to_html()
    monkeypatch.setattr(playing, "MAX_PLAYED", 3)
    with pytest.raises(DrawingError, match="has 5 steps, more than 3"):
        CHAINS["matrices"].to_html()


# --- in a browser -------------------------------------------------------------------------------

CHROMIUM = find_chromium()
NAMES = [*CHAINS, *GRAPHS]


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
    folder = tmp_path_factory.mktemp("plans")
    found = {}
    for name, problem in (CHAINS | GRAPHS).items():
        order = "optimal" if name in CHAINS else "markowitz"
        found[name] = Path(problem.to_html(folder / f"{name}.html", order))
    return found


def text_of(browser: Browser, identity: str) -> str:
    text: str = browser.run(f"document.getElementById({identity!r}).textContent")
    return text


def slide_to(browser: Browser, step: int) -> None:
    browser.run(
        "(() => { const s = document.getElementById('slider');"
        f"s.value = {step}; s.dispatchEvent(new Event('input')); }})()"
    )


def spent(browser: Browser) -> list[int]:
    texts = browser.run("[...document.querySelectorAll('p.spent strong')].map(e => e.textContent)")
    return [int(text.replace(",", "")) for text in texts]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_page_opens(browser: Browser, pages: dict[str, Path], name: str, dark: bool) -> None:
    browser.open(pages[name], dark=dark)
    browser.frame()
    assert browser.errors == []
    assert browser.requests == [pages[name].resolve().as_uri()]
    assert spent(browser) == [0] * len(spent(browser))
    names = ["dagre", "plan", "timeline", "tableCells"]
    assert browser.run(f"{names}.filter(name => name in window)") == []


@pytest.mark.parametrize("name", NAMES)
def test_running_totals_are_the_plans(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    data = data_of(pages[name].read_text(encoding="utf-8"))
    at = 3 if data["kind"] == "chain" else 2
    longest = max(len(order["steps"]) for order in data["orders"])
    last = int(browser.run("document.getElementById('slider').max"))
    for step in sorted({0, 1, longest // 2, longest - 1, longest}):
        slide_to(browser, last - longest + step)
        wanted = [sum(row[at] for row in order["steps"][:step]) for order in data["orders"]]
        assert spent(browser) == wanted
    assert wanted == [order["cost"] for order in data["orders"]]
    assert browser.errors == []


def test_table_fills_in_before_the_first_step(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["matrices"])
    count = len(MATRICES)
    there = "document.querySelectorAll('td.there').length"
    assert browser.run(there) == count
    slide_to(browser, 3)
    assert browser.run(there) == count + 3
    assert browser.run("document.querySelectorAll('td.filling').length") == 1
    assert browser.run("document.querySelectorAll('td.half').length") == 2
    assert "Ways to F4..F3" in text_of(browser, "now")
    slide_to(browser, count * (count - 1) // 2)
    assert browser.run(there) == count * (count + 1) // 2
    assert spent(browser)[0] == 0
    slide_to(browser, 10**6)
    assert browser.run("document.querySelectorAll('td.done').length") == count - 1
    # A long chain fills by diagonals
    browser.open(pages["long"])
    slide_to(browser, 1)
    assert browser.run("document.querySelectorAll('td.filling').length") == 29


def test_rectangles_are_in_proportion(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["matrices"])
    sheets = browser.run(
        "[...document.querySelector('.lane .chain').querySelectorAll('.sheet')].map("
        "r => [r.width.baseVal.value, r.height.baseVal.value])"
    )
    scale = sheets[1][0] / 50
    for (width, height), (rows, columns) in zip(sheets, reversed(MATRICES), strict=True):
        assert width == pytest.approx(columns * scale)
        assert height == pytest.approx(rows * scale)


def test_areas_are_in_proportion(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["matrices"])
    slide_to(browser, 10**6)
    costs = dict(zip(("planned", "forward", "reverse"), spent(browser), strict=True))
    sides = browser.run(
        "Object.fromEntries([...document.querySelectorAll('.square')].map("
        "r => [r.classList[1], r.width.baseVal.value]))"
    )
    for name, cost in costs.items():
        ratio = cost / costs["planned"]
        assert (sides[name] / sides["planned"]) ** 2 == pytest.approx(ratio)


def test_vertices_go_one_after_another(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["recorded"])
    data = data_of(pages["recorded"].read_text(encoding="utf-8"))
    steps = data["orders"][0]["steps"]
    for number, (vertex, products, _) in enumerate(steps, 1):
        slide_to(browser, number)
        goes = browser.run(
            "[...document.querySelectorAll('.lane.planned .vertex.goes title')].map("
            "e => e.textContent.split(',')[0])"
        )
        assert goes == [data["vertices"][vertex][0]]
        fresh = browser.run("document.querySelectorAll('.lane.planned .arc.fresh').length")
        assert fresh == len(products)
        assert browser.run("document.querySelectorAll('#now .term').length") == len(products)
    left = browser.run("document.querySelectorAll('.lane.planned .arc:not(.removed)').length")
    assert left == 2


@pytest.fixture(scope="module")
def face_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("faces")
    return {
        name: Path(graph.plan("faces", iterations=300).to_html(folder / f"{name}.html"))
        for name, graph in FACES.items()
    }


@pytest.mark.parametrize("name", FACES)
def test_faces_go_one_after_another(
    browser: Browser, face_pages: dict[str, Path], name: str
) -> None:
    browser.open(face_pages[name])
    data = data_of(face_pages[name].read_text(encoding="utf-8"))
    names = [row[0] for row in data["vertices"]]
    edges = {number: tuple(row[:2]) for number, row in enumerate(data["edges"])}
    spent_so_far = 0
    for number, step in enumerate(data["orders"][0]["steps"], 1):
        vertex, [[source, target, fma, _, added]], _, face, changed, gone = step
        slide_to(browser, number)
        spent_so_far += fma
        assert spent(browser)[0] == spent_so_far
        edges = {at: edge for at, edge in edges.items() if at not in gone}
        edges |= {at: (s, t) for at, s, t, _ in changed}
        lane = "document.querySelectorAll('.lane.planned .arc"
        assert browser.run(f"{lane}:not(.removed)').length") == len(edges)
        assert browser.run(f"{lane}.removed').length") == len(gone)
        assert browser.run(f"{lane}.fresh').length") == len(changed)
        assert browser.run(f"{lane}.used').length") == len(set(face) - set(gone))
        words = text_of(browser, "happening")
        assert f"{names[source]} → {names[vertex]} → {names[target]}" in words
        assert ("a new edge" in words) != bool(added)
        assert browser.run("document.querySelectorAll('#now .term').length") == 1
    # Vertices between the ends are gone, and no edge hides another
    between = sum(not row[2] for row in data["vertices"])
    faded = "'.lane.planned .vertex.gone, .lane.planned .vertex.goes'"
    assert browser.run(f"document.querySelectorAll({faded}).length") == between
    ways = browser.run(
        "[...document.querySelectorAll('.lane.planned .arc:not(.removed)')].map("
        "a => a.getAttribute('d'))"
    )
    assert len(set(ways)) == len(ways)
    assert browser.errors == []


def test_page_of_faces_says_what_is_scarce(browser: Browser, face_pages: dict[str, Path]) -> None:
    browser.open(face_pages["recorded"])
    assert "scarce, 75 numbers say the same" in text_of(browser, "work")
    for width, height in ((390, 844), (768, 1024), (1280, 800)):
        browser.open(face_pages["recorded"], width=width, height=height)
        slide_to(browser, 5)
        assert browser.run("document.documentElement.scrollWidth <= innerWidth") is True
        # What is said beside the work leaves the step its room
        wide = "(i => document.getElementById(i).getBoundingClientRect().width)"
        assert browser.run(f"{wide}('now')") > 250
        assert browser.run("(e => e.scrollWidth <= e.clientWidth)(document.getElementById('work'))")


def test_equal_work_is_a_race(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["matrices"])
    costs = [o["cost"] for o in data_of(pages["matrices"].read_text(encoding="utf-8"))["orders"]]
    browser.press("w")
    assert browser.run("document.getElementById('race').getAttribute('aria-pressed')") == "true"
    last = int(browser.run("document.getElementById('slider').max"))
    slide_to(browser, last // 4)
    quarter = round(max(costs) / 4)
    assert spent(browser) == [min(cost, quarter) for cost in costs]
    slide_to(browser, last)
    assert spent(browser) == costs
    browser.press("w")
    assert text_of(browser, "count").startswith("0 / ")
    assert browser.errors == []


def test_keyboard_alone_is_enough(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["tapes"])
    browser.press("End")
    assert "optimal" in text_of(browser, "happening")
    browser.press("3")
    pressed = "[...document.querySelectorAll('.tab')].map(t => t.getAttribute('aria-pressed'))"
    assert browser.run(pressed) == ["false", "false", "true"]
    assert "reverse" in text_of(browser, "happening")
    browser.press("ArrowLeft")
    browser.press(",")
    at, last = map(int, text_of(browser, "count").split(" / "))
    assert at == last - 2
    browser.press("Home")
    browser.press(".")
    assert text_of(browser, "count").startswith("1 / ")
    browser.press("p")
    browser.wait("Number(document.getElementById('slider').value) >= 3")
    browser.press("p")
    browser.press("?")
    assert browser.run("document.getElementById('help').open") is True
    browser.press("Escape")
    # Whatever Tab reaches has a name
    names = set()
    for _ in range(14):
        browser.press("Tab")
        names.add(
            browser.run(
                "(e => e.getAttribute('aria-label') ?? e.textContent)(document.activeElement)"
            )
        )
    assert "" not in names
    assert "forward order" in names
    assert browser.errors == []


@pytest.mark.parametrize("name", ["matrices", "long", "recorded", "scalars"])
def test_page_fits_a_telephone(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], width=390, height=844)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth") is True
    slider, count = (
        browser.run(
            f"(r => [r.left, r.right])(document.getElementById('{i}').getBoundingClientRect())"
        )
        for i in ("slider", "count")
    )
    assert slider[1] - slider[0] >= 195
    assert count[0] >= 0
    assert count[1] <= 390
    # One order is seen at a time, all totals are
    stages = "[...document.querySelectorAll('.stage')].filter(s => s.clientHeight).length"
    assert browser.run(stages) == 1
    assert len(spent(browser)) >= 2
    before = browser.run("document.querySelector('main').scrollTop")
    for _ in range(3):
        browser.press(".")
    assert browser.run("document.querySelector('main').scrollTop") == before
    assert browser.errors == []
