"""Wrong input on the command line: every command, every kind; one line, status 2, no traceback."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import pytest

import autodiff as ad
from autodiff.cli import main
from autodiff.cli.functions import load
from autodiff.cli.program import _parser

PROGRAM = """
import numpy as np

def good(x):
    return np.sum(x**2)

def bad(x):
    y = x + 1
    return y @ np.ones(99)

def deep(x):
    return bad(x)

def text(x):
    return "a"

def nothing(x):
    return None

def leaves(x):
    raise SystemExit(3)

number = 3
"""

FILES = {
    "program.py": PROGRAM,
    "broken.py": "def f(:\n",
    "dividing.py": "one = 1\none / 0\n",
    "leaving.py": "raise SystemExit(4)\n",
    "needing.py": "import no_such_module\n",
    "damaged.json": '{"schema": 1}',
    "other.json": "[1]",
    "text": "x",
}

FUNCTIONS = {
    "program.py:nothing_there": "'program.py' has no 'nothing_there'",
    "program:nothing_there": "'program' has no 'nothing_there'",
    "program:number": "'number' in 'program' is not a function",
    "program": "is not of the form module:function or file.py:function",
    "none.py:f": "there is no file 'none.py'",
    "nowhere:f": "there is no module 'nowhere'",
    "..:f": "'..' is not the name of a module",
    "folder/program:f": "a file's name ends in .py",
    "broken.py:f": "importing 'broken.py' fails: SyntaxError",
    "dividing.py:f": "fails at dividing.py:2, `one / 0`: ZeroDivisionError: division by zero",
    "leaving:f": "importing 'leaving' fails at leaving.py:1",
    "needing.py:f": "No module named 'no_such_module'",
    "program:bad": "at program.py:9, `return y @ np.ones(99)`: ValueError: ",
    "program.py:deep": "at program.py:9, `return y @ np.ones(99)`: ValueError: ",
    "program:leaves": "SystemExit: 3",
}
"""What may be wrong with a function, and what is said."""

INPUTS = {
    "3y4": "write a shape as in 3,4 or 3x4",
    "3,,4": "write a shape as in 3,4 or 3x4",
    "real:3": "there is no dtype 'real'",
    "str:3": "the dtype must be of numbers or truth values",
    "99999999999x9": "Unable to allocate",
    "9999999999999999999999": "'9999999999999999999999': ",
}

SPECIFIC: dict[str, dict[str, str]] = {
    "demo": {
        "--out text": "--out: text: File exists",
        "--epochs 0": "'0' is not an integer of at least 1",
    },
    "train": {
        "--save no/m.npz": "--save: there is no folder 'no'",
        "--save folder": "--save: 'folder' is a folder",
        "--load text": "not a zip archive",
        "--load folder": "--load: folder: Is a directory",
        "--hidden 99999999999": "--hidden: ",
        "--hidden 999999999999999999999999": "--hidden: ",
        "--optimizer adm": "did you mean adam?",
    },
    "draw": {
        **{f"{text} --input 3": message for text, message in FUNCTIONS.items()},
        **{f"program:good --input {text}": message for text, message in INPUTS.items()},
        "": "required: MODULE:FUNCTION",
        "program:good": "(give an --input for each argument): TypeError: ",
        "program:good --input 3 --out a.bmp": "the ending must be one of .svg",
        "program:good --input 3 --out no/a.svg": "there is no folder 'no'",
        "program:good --input 3 --out drawn.svg": "--out: 'drawn.svg' is a folder",
        "program:good program:bad --input 3": "one argument too many: program:bad",
    },
    "order": {
        **{f"--function {text} --input 3": message for text, message in FUNCTIONS.items()},
        **{f"--function program:good --input {text}": message for text, message in INPUTS.items()},
        "": "one of the arguments --chain --function --calibrate is required",
        "--function program:good": "--function needs an --input",
        "--function program:good --input 3 --input 4": "takes 1 positional argument",
        "--function program:good --input int64:3": "at least one must be of a float dtype",
        "--function program:good --input complex128:3": "none of a complex one",
        "--function program:text --input 3": "returns a str, which has no Jacobian",
        "--function program:nothing --input 3": "returns a container of nothing",
        "--chain 2x3,4x5": "matrix 2 has 4 rows",
        "--chain 2x3 --input 3": "--input goes with --function",
        "--chain 0x3": "sizes must be at least 1",
        "--chain ,": "write rows x columns",
        "--chain 2x3,3x2 --plot no/a.svg": "there is no folder 'no'",
        "--chain 2x3,3x2 --plot drawn.svg": "--plot: 'drawn.svg' is a folder",
        "--chain 2x3,3x2 --plot a.gif": "the ending must be .png or .svg",
    },
    "bench": {
        "--workloads nothing": "no workload 'nothing'",
        "--engines autodif": "did you mean autodiff?",
        "--python /no/such/python": "--python: there is no program '/no/such/python'",
        "--out text": "--out: text: File exists",
        "--from text": "is not JSON",
        "--from none.json": "No such file",
        "--from damaged.json": "is damaged",
        "--from other.json": "is not a bench.json of this version",
        "--quick --full": "not allowed with argument",
    },
}
"""Wrong arguments by command, and what is said."""


def commands() -> dict[str, Any]:
    """Every command's parser."""
    (action,) = (a for a in _parser()._actions if a.dest == "command")
    assert isinstance(action.choices, dict)
    return action.choices


def options(name: str) -> dict[str, Any]:
    """Long options of a command by name."""
    return {
        option: action
        for action in commands()[name]._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }


def kinds() -> dict[tuple[str, str], str]:
    """Kinds of wrong input that every command has, from what its parser says of itself."""
    found = {}
    for name in commands():
        for option, action in options(name).items():
            slip = option[:4] + option[3:]
            found[name, slip] = f"there is no option {slip}; did you mean --"
            if action.nargs == 0:
                found[name, f"{option}=1"] = "ignored explicit argument '1'"
                continue
            if action.nargs != "*":
                found[name, option] = f"argument {option}: expected "
            if action.type in (None, Path) and action.choices is None:
                continue
            found[name, f"{option} wrong"] = f"argument {option}: "
            if action.choices is None:
                found[name, f"{option} -1"] = f"argument {option}: "
                found[name, f"{option} nan"] = f"argument {option}: "
        found[name, "--nothing-like-it"] = "there is no option --nothing-like-it"
        found[name, "-q"] = ""
    return found


WRONG = {
    ("", ""): "required: COMMAND",
    ("", "drwa"): "did you mean draw?",
    ("", "--verison"): "there is no option --verison; did you mean --version?",
    **kinds(),
    **{(name, line): said for name, lines in SPECIFIC.items() for line, said in lines.items()},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with programs and files, and nothing imported from it."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in ("folder", "drawn.svg"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *sys.path])
    for name in FILES:
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    return tmp_path


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines that a command shows as it refuses its arguments."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    shown = capsys.readouterr()
    assert caught.value.code == 2
    assert shown.out == ""
    assert "Traceback" not in shown.err
    return shown.err.splitlines()


def test_every_command_is_here() -> None:
    assert SPECIFIC.keys() == commands().keys()


@pytest.mark.parametrize("name", SPECIFIC)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "-h"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: autodiff {name} ")
    assert all(option in shown for option in options(name))


@pytest.mark.parametrize(("name", "line"), WRONG)
def test_wrong_input_is_refused_in_one_line(
    name: str, line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = refusal([*([name] if name else []), *line.split()], capsys)
    prog = f"autodiff {name}".strip()
    assert lines[0].startswith(f"usage: {prog} ")  # of the command, not of the program
    assert [text.startswith(f"{prog}: error: ") for text in lines].index(True) == len(lines) - 1
    assert WRONG[name, line] in lines[-1]


def test_messages_of_several_lines_become_one(capsys: pytest.CaptureFixture[str]) -> None:
    lines = refusal(["draw", "a\nb:c"], capsys)
    assert lines[-1].startswith("autodiff draw: error: ")


@pytest.mark.parametrize("place", ["program", "program.py"])
@pytest.mark.parametrize("shape", ["3x4", "3,4", "(3,4)", "float32:3x4", "2.5"])
@pytest.mark.parametrize("command", ["draw {} --out tape.dot", "order --seconds 0 --function {}"])
def test_both_spellings_of_functions_and_shapes(
    command: str, shape: str, place: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.format(f"{place}:good").split(), "--input", shape]) == 0
    assert capsys.readouterr().err == ""


def test_chain_too_large_to_run_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["order", "--chain", "100000x100000,100000x100000,100000x1"]) == 0
    shown = capsys.readouterr().out
    assert "1,000,010,000,000,000" in shown
    assert shown.count("not run") == 5
    assert "ms" not in shown


def test_failure_of_the_program_itself_has_no_line(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^importing 'broken.py' fails: SyntaxError: "):
        load("broken.py:f")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"autodiff {ad.__version__}\n"
    assert importlib.metadata.version("autodiff") == ad.__version__


def test_out_of_memory_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhausted(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("autodiff.cli.order.measure", exhausted)
    assert main(["order", "--chain", "2x3,3x2"]) == 1
    assert capsys.readouterr().err == "autodiff order: not enough memory\n"
