"""The command ``autodiff demo``: train, check the gradient, draw the tape and the training."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import autodiff as ad
from autodiff.cli.arguments import UsageError, add_seed, count

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["DEMO_ACCURACY", "add_command", "cross_entropy"]

DEMO_ACCURACY = 0.97


def add_command(commands: _SubParsersAction[Any]) -> None:
    """Add ``demo`` to the commands of a parser."""
    demo = commands.add_parser(
        "demo",
        help="train a network on handwritten digits, check its gradient, draw its tape",
        description="Train a network with one hidden layer on 1,438 handwritten digits of 8x8 "
        f"pixels to at least {DEMO_ACCURACY:.0%} accuracy on 359 others, check the gradient of its "
        "loss numerically, and draw the tape of the loss and the course of the training.",
    )
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("out"),
        metavar="FOLDER",
        help="where to write (%(default)s)",
    )
    demo.add_argument(
        "--epochs", type=count, default=40, metavar="N", help="passes over the data (%(default)s)"
    )
    add_seed(demo)
    demo.set_defaults(run=_demo, parser=demo)


def cross_entropy(model: Any, x: Any, y: Any) -> Any:
    """Mean cross-entropy of the model's guesses."""
    return ad.nn.softmax_cross_entropy(model(x), y)


def _demo(arguments: argparse.Namespace) -> int:
    """Train, check and draw; 1 if the accuracy is not reached."""
    nn = ad.nn
    begin = time.perf_counter()
    folder: Path = arguments.out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: {folder}: {error.strerror}") from error
    data = ad.data.digits()
    model = nn.MLP([64, 128, 10], seed=arguments.seed)
    print(model)

    x, y = data.x_train[:8], data.y_train[:8]
    ad.check_grads(lambda model: cross_entropy(model, x, y), (nn.arrays(model),))
    print("gradient     agrees with finite differences to second order, forward and reverse")

    def evaluate(model: Any) -> dict[str, float]:
        return {"accuracy": nn.accuracy(model(data.x_test), data.y_test)}

    history = nn.fit(
        model,
        cross_entropy,
        (data.x_train, data.y_train),
        optimizer=ad.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True),
        epochs=arguments.epochs,
        seed=arguments.seed,
        evaluate=evaluate,
    )
    accuracy = history[-1]["accuracy"]
    _report("tape", folder / "tape.svg", lambda path: _draw_tape(path, model, x, y))
    _report("training", folder / "training.png", lambda path: _draw_training(path, history))
    print(
        f"accuracy     {accuracy:.2%} of {len(data.y_test)} test images after "
        f"{arguments.epochs} epochs"
    )
    print(f"time         {time.perf_counter() - begin:.1f} s")
    if accuracy < DEMO_ACCURACY:
        print(
            f"autodiff demo: the accuracy is below {DEMO_ACCURACY:.0%}; give it more --epochs",
            file=sys.stderr,
        )
        return 1
    return 0


def _report(what: str, path: Path, draw: Callable[[Path], None]) -> None:
    """Draw, and print where; a missing optional package is no failure, but is said."""
    try:
        draw(path)
    except (ad.DrawingError, ImportError) as error:
        print(f"{what:<12} not drawn: {error}")
    else:
        print(f"{what:<12} {path}")


def _draw_tape(path: Path, model: Any, x: Any, y: Any) -> None:
    def loss(model: Any, x: Any, y: Any) -> Any:
        return cross_entropy(model, x, y)

    tape = ad.record(loss)(ad.nn.arrays(model), x, y)
    tape.draw(path, title="The loss of a network with one hidden layer, on 8 images")


def _draw_training(path: Path, history: list[dict[str, float]]) -> None:
    """Loss and accuracy by epoch."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, PercentFormatter
    except ImportError as error:
        raise ImportError(
            'matplotlib is not installed; install it with: pip install "autodiff[viz]"'
        ) from error
    epochs = [record["epoch"] for record in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [record["loss"] for record in history], "o-", color="#0072b2", markersize=3)
    left.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy", yscale="log")
    scores = [record["accuracy"] for record in history]
    right.plot(epochs, scores, "o-", color="#d55e00", markersize=3)
    right.axhline(DEMO_ACCURACY, color="#767676", linestyle="--", linewidth=1)
    right.annotate(
        f"{DEMO_ACCURACY:.0%}",
        (1, DEMO_ACCURACY),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 3),
        textcoords="offset points",
        horizontalalignment="right",
        color="#555555",
    )
    right.set(title="Accuracy on the test images", xlabel="epoch")
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
