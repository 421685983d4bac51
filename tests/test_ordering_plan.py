"""Plans as values, as text and as pictures; the command that prints them."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path

import pytest

import autodiff as ad
from autodiff.cli import main
from autodiff.cli.order import parse_chain
from autodiff.draw.render import render
from autodiff.ordering import Chain, JacobianGraph, Memory, Plan


def chain_plan(order: str = "optimal") -> Plan:
    return Chain([(2, 4, 100), (4, 2, 100), (3, 4, 50)]).plan(order)


def graph_plan(order: str = "markowitz") -> Plan:
    edges = [("x", "u"), ("u", "v"), ("w", "v"), ("x", "w"), ("v", "y"), ("v", "z")]
    return JacobianGraph(edges, ["x"], ["y", "z"], sizes={"x": 3, "v": 2}).plan(order)


def can_render(format: str) -> bool:
    try:
        render("digraph { a -> b }", format)
    except ad.DrawingError:
        return False
    return True


needs_svg = pytest.mark.skipif(not can_render("svg"), reason="no Graphviz for SVG")


def test_plans_are_immutable_and_comparable():
    plan = chain_plan()
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.cost = 0
    assert plan == chain_plan()
    assert hash(plan) == hash(chain_plan())
    assert plan != chain_plan("forward")
    assert plan.signature == chain_plan("forward").signature
    assert plan.order == ()
    assert graph_plan().order == tuple(step.operands[0] for step in graph_plan().steps)


def test_the_table_lines_up_and_adds_up():
    for plan in (chain_plan(), chain_plan("worst"), graph_plan(), graph_plan("exact")):
        lines = str(plan).splitlines()
        if plan.kind == "graph":
            assert lines.pop() == str(plan.problem.scarcity())
        header, rows = lines[1], lines[2 : 2 + len(plan.steps)]
        assert len(lines) == len(plan.steps) + 4
        for row, step in zip(rows, plan.steps, strict=True):
            assert len(row) <= len(header)
            end = header.index("fma") + len("fma")
            assert row[:end].endswith(f" {step.fma:,}")
            assert f"{step.shape[0]}x{step.shape[1]}" in row
            assert step.bytes == 8 * step.shape[0] * step.shape[1]
        assert lines[-2].startswith(f"total {plan.cost:,} fma; forward {plan.forward_cost:,} (")
        assert f"reverse {plan.reverse_cost:,}" in lines[-2]
        assert f"{plan.memory.matrix_elements:,} matrix elements" in lines[-1]
        assert repr(plan).startswith(f"<Plan {plan.name!r} of a ")


def test_text_of_a_graph_plan():
    assert str(graph_plan()) == "\n".join(
        [
            "markowitz order of a graph of 6 vertices and 6 edges, 1 input -> 2 outputs: 24 fma",
            "step  operation  operands  result   shape  structure  fma  bytes",
            "   1  eliminate  u         1 edge   2x3    dense        6     48",
            "   2  eliminate  w         1 edge   2x3    dense        6     48",
            "   3  eliminate  v         2 edges  2x3    dense       12     48",
            "total 24 fma; forward 24 (1 times as much), reverse 20 (0.833 times as much)",
            "peak  20 matrix elements (160 bytes)",
            "Jacobian of 6 elements: not scarce, no graph says it in fewer numbers",
        ]
    )


def test_scheduled_plans_tell_when_steps_start():
    plan = Chain([(9, 9, 81)] * 4).plan("optimal", machines=2)
    text = str(plan)
    assert "start" in text.splitlines()[1]
    assert f"{plan.makespan:,} from start to end on 2 machines, proved to be the shortest" in text


def test_long_plans_are_cut_in_the_middle_of_their_text_alone():
    plan = JacobianGraph(itertools.pairwise(range(500)), [0], [499]).plan("forward")
    short, full = str(plan), plan.table()
    assert len(short.splitlines()) < 150 < 498 < len(full.splitlines())
    assert "378 steps more" in short
    assert "more" not in full
    assert len(plan.table(4).splitlines()) == 4 + 1 + 4


def test_memory_names_both_parts():
    memory = chain_plan("reverse").memory
    assert isinstance(memory, Memory)
    assert memory.tape_edges == 200
    assert graph_plan().memory == Memory(0, 20)


def test_a_plan_refuses_another_problem():
    plan = chain_plan()
    plan.check(plan.signature, "a chain")
    with pytest.raises(
        ValueError, match=r"order 'optimal'.*made for a chain of 3 factors.*not for X"
    ):
        plan.check("other", "X")


# --- pictures -------------------------------------------------------------------------------------


def test_bracketing_tree():
    plan = chain_plan("forward")
    dot = plan.to_dot()
    for number, step in enumerate(plan.steps, 1):
        assert f"{number}. {step.operation}" in dot
    assert dot.count("->") == 2 * sum("accumulate" not in s.operation for s in plan.steps)
    assert Chain.from_shapes([(2, 3), (4, 2)]).plan().to_dot().count("->") == 2


def test_elimination_graph_is_numbered():
    plan = graph_plan()
    dot = plan.to_dot()
    assert dot.count("->") == len(plan.edges) == 6
    for number, step in enumerate(plan.steps, 1):
        assert f"{step.operands[0]}\\n{number}. {step.fma:,} fma" in dot


def test_labels_are_escaped(tmp_path: Path):
    odd = 'a"\\<b>'
    plan = JacobianGraph([("x", odd), (odd, "<y>")], ["x"], ["<y>"]).plan("forward")
    assert r"a\"\\<b>" in plan.to_dot()
    if can_render("svg"):
        svg = plan.draw(tmp_path / "plan.svg").read_text(encoding="utf-8")
        assert "&lt;b&gt;" in svg


@needs_svg
@pytest.mark.parametrize("plan", [chain_plan(), graph_plan()], ids=["chain", "graph"])
def test_pictures_are_written(plan: Plan, tmp_path: Path):
    path = plan.draw(tmp_path / "plan.svg")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert plan._repr_svg_().rstrip().endswith("</svg>")
    assert plan.draw(tmp_path / "plan.dot").read_text(encoding="utf-8") == plan.to_dot()


def test_pictures_that_cannot_be_drawn(tmp_path: Path):
    with pytest.raises(ValueError, match="format is 'bmp'; it must be one of svg"):
        chain_plan().draw(tmp_path / "plan.bmp")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        chain_plan().draw(tmp_path / "none" / "plan.svg")
    long = JacobianGraph(itertools.pairwise(range(1500)), [0], [1499]).plan("forward")
    with pytest.raises(ad.DrawingError, match="1499 nodes, more than 1000"):
        long.draw(tmp_path / "plan.svg")
    assert long._repr_svg_() is None
    assert not list(tmp_path.iterdir())


# --- the command ----------------------------------------------------------------------------------


def test_shapes_stand_as_in_the_product():
    chain = parse_chain("1x50, 50X20,20x7")
    assert chain.factors == ((20, 7, 140), (50, 20, 1000), (1, 50, 50))
    for text, message in [
        ("3x4,5x6", "matrix 2 has 5 rows, but the one before it 4 columns"),
        ("3x4,4", "matrix 2 is '4'; write rows x columns"),
        ("3x4,4xtwo", "matrix 2 is '4xtwo'; write"),
        ("3x0", "matrix 1 is 3x0; sizes must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_chain(text)


def test_the_command_prints_costs_and_times(capsys: pytest.CaptureFixture[str]):
    assert main(["order", "--chain", "10x50,50x10,10x1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("optimal order of a chain of 3 matrices, R^1 -> R^10: 1,000 fma")
    table = {line.split()[0]: line.split()[1:] for line in lines[-4:]}
    assert list(table) == ["forward", "reverse", "optimal", "worst"]
    assert [row[0] for row in table.values()] == ["1,000", "5,100", "1,000", "5,100"]
    assert all(float(row[2]) > 0 and row[3] == "ms" for row in table.values())


def test_the_command_plans_a_function(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "waisted.py").write_text(
        "import numpy as np\n"
        "wide, narrow = np.full((2, 16), 0.1), np.full((16, 2), 0.1)\n"
        "def twice(x, c):\n"
        "    return np.tanh(narrow @ np.tanh(wide @ np.sin(narrow @ (wide @ (c * x)))))\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", sys.path.copy())
    arguments = ["--function", "waisted:twice", "--input", "16", "--input", "()"]
    assert main(["order", *arguments, "--seconds", "0.2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines[-5:]}
    assert list(table) == ["forward", "reverse", "markowitz", "min-fill", "search"]
    costs = [int(row[0].replace(",", "")) for row in table.values()]
    assert costs[-1] == min(costs) < costs[0]
    assert all(float(row[2]) > 0 for row in table.values())


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_command_draws(ending: str, tmp_path: Path):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"orders.{ending}"
    assert main(["order", "--chain", "8x9,9x3,3x8", "--plot", str(path)]) == 0
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chain", "3x4,5x6"], "--chain: matrix 2 has 5 rows"),
        (["--chain", "3x4", "--input", "3"], "--input goes with --function"),
        (["--chain", "3x4", "--function", "a:b"], "not allowed with argument --chain"),
        (["--function", "ordered"], "'ordered' is not of the form module:function"),
        (["--function", "no_such_module:f"], "there is no module 'no_such_module'"),
        (["--function", "math:nothing"], "'math' has no 'nothing'"),
        (["--function", "numpy:tanh"], "--function needs an --input for each argument"),
        (["--function", "numpy:tanh", "--input", "3y"], "'3y' is no input"),
        (["--function", "numpy:tanh", "--input", "0"], "no length may be 0"),
        (
            ["--function", "numpy:dot", "--input", "3", "--input", "2x3"],
            "numpy:dot fails at inputs of shape 3, 2x3: ValueError",
        ),
        (["--function", "numpy:tanh", "--seconds", "-1"], "'-1' is not a number of at least 0"),
        (["--chain", "3x4", "--plot", "a.bmp"], "the ending must be .png or .svg"),
        (["--chain", "3x4", "--plot", "no/folder/a.png"], "there is no folder 'no/folder'"),
        ([], "--chain"),
    ],
)
def test_wrong_arguments(arguments, message, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["order", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
