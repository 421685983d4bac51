"""The command line: ``python -m autodiff``, or ``autodiff`` where it is installed."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import autodiff as ad
from autodiff.draw import command as draw_command

__all__ = ["main"]

DEMO_ACCURACY = 0.97
_LEARNING_RATES = {"sgd": 0.1, "adam": 2e-3, "adamw": 2e-3, "rmsprop": 1e-3}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 1 if the command ran and failed.

    Raises
    ------
    SystemExit
        With status 2 for wrong arguments, with 0 after ``--help``.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except _UsageError as error:
        arguments.parser.error(str(error))
    except BrokenPipeError:
        # Who reads the output has seen enough (``autodiff order ... | head``). Python would
        # complain once more when it flushes the stream on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ad.AutodiffError, AssertionError, OSError) as error:
        print(f"{arguments.parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{arguments.parser.prog}: interrupted", file=sys.stderr)
        return 130
    return status


class _UsageError(Exception):
    """An argument that only its use shows to be wrong."""


# --- arguments ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="autodiff", description="Reverse-mode automatic differentiation on NumPy."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

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
        "--epochs", type=_count, default=40, metavar="N", help="passes over the data (%(default)s)"
    )
    _add_seed(demo)
    demo.set_defaults(run=_demo, parser=demo)

    train = commands.add_parser(
        "train",
        help="train a network of your own making on handwritten digits",
        description="Train a fully connected network on handwritten digits of 8x8 pixels.",
    )
    train.add_argument(
        "--hidden",
        type=_count,
        nargs="*",
        default=[128],
        metavar="N",
        help="units of each hidden layer (128; none for a linear classifier)",
    )
    train.add_argument(
        "--activation",
        choices=sorted(ad.nn.ACTIVATIONS),
        default="tanh",
        help="of the hidden layers (%(default)s)",
    )
    train.add_argument(
        "--epochs", type=_count, default=20, metavar="N", help="passes over the data (%(default)s)"
    )
    train.add_argument(
        "--batch-size", type=_count, default=32, metavar="N", help="images a step (%(default)s)"
    )
    train.add_argument(
        "--optimizer", choices=list(_LEARNING_RATES), default="adam", help="(%(default)s)"
    )
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in _LEARNING_RATES.items())
    train.add_argument(
        "--learning-rate", type=_positive, metavar="RATE", help=f"size of a step ({rates})"
    )
    _add_seed(train)
    train.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float64",
        help="of parameters and images (%(default)s)",
    )
    train.add_argument("--load", type=Path, metavar="FILE", help="start from a saved network")
    train.add_argument("--save", type=Path, metavar="FILE", help="save the network, as .npz")
    train.set_defaults(run=_train, parser=train)

    draw_command.add_command(commands)
    ad.ordering.command.add_command(commands)
    ad.bench.command.add_command(commands)
    return parser


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="of the initial weights and the order of the images (%(default)s)",
    )


def _count(text: str) -> int:
    count: int = _number(text, int, 1, "an integer of at least 1")
    return count


def _seed(text: str) -> int:
    seed: int = _number(text, int, 0, "an integer of at least 0")
    return seed


def _positive(text: str) -> float:
    number: float = _number(text, float, math.ulp(0.0), "a finite number above 0")
    return number


def _number(text: str, kind: Callable[[str], Any], least: float, wanted: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


# --- demo -----------------------------------------------------------------------------------------


def _loss(model: Any, x: Any, y: Any) -> Any:
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
        raise _UsageError(f"--out: {folder}: {error.strerror}") from error
    data = ad.data.digits()
    model = nn.MLP([64, 128, 10], seed=arguments.seed)
    print(model)

    x, y = data.x_train[:8], data.y_train[:8]
    ad.check_grads(lambda model: _loss(model, x, y), (nn.arrays(model),))
    print("gradient     agrees with finite differences to second order, forward and reverse")

    def evaluate(model: Any) -> dict[str, float]:
        return {"accuracy": nn.accuracy(model(data.x_test), data.y_test)}

    history = nn.fit(
        model,
        _loss,
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
        return _loss(model, x, y)

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


# --- train ----------------------------------------------------------------------------------------


def _train(arguments: argparse.Namespace) -> int:
    """Train, print a table by epoch, and save."""
    nn, optim = ad.nn, ad.optim
    begin = time.perf_counter()
    if arguments.save is not None and not arguments.save.parent.is_dir():
        raise _UsageError(f"--save: there is no folder {str(arguments.save.parent)!r}")
    data = ad.data.digits(dtype=arguments.dtype)
    model = nn.MLP(
        [64, *arguments.hidden, 10],
        activation=arguments.activation,
        seed=arguments.seed,
        dtype=arguments.dtype,
    )
    if arguments.load is not None:
        try:
            model = nn.load(arguments.load, like=model)
        except ad.FileFormatError as error:
            raise _UsageError(
                f"--load: {error} (here: give the --hidden and --dtype it was saved with)"
            ) from error
        except OSError as error:
            raise _UsageError(f"--load: {arguments.load}: {error.strerror}") from error
    kinds = {
        "sgd": optim.SGD,
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "rmsprop": optim.RMSProp,
    }
    rate = arguments.learning_rate or _LEARNING_RATES[arguments.optimizer]
    optimizer = kinds[arguments.optimizer](model.parameters(), lr=rate)
    print(model)
    print(optimizer)
    if arguments.load is not None:
        print(f"start: {nn.accuracy(model(data.x_test), data.y_test):.2%} of the test images")
    print(f"{'epoch':>5}  {'loss':>9}  {'training':>8}  {'test':>7}")

    def evaluate(model: Any) -> dict[str, float]:
        return {
            "training": nn.accuracy(model(data.x_train), data.y_train),
            "test": nn.accuracy(model(data.x_test), data.y_test),
        }

    for epoch in range(arguments.epochs):
        (record,) = nn.fit(
            model,
            _loss,
            (data.x_train, data.y_train),
            optimizer=optimizer,
            batch_size=arguments.batch_size,
            seed=arguments.seed + epoch,
            evaluate=evaluate,
            progress=False,
        )
        print(
            f"{epoch + 1:>5}  {record['loss']:>9.4g}  {record['training']:>8.2%}  "
            f"{record['test']:>7.2%}",
            flush=True,
        )
    if arguments.save is not None:
        nn.save(arguments.save, model)
        print(f"saved {arguments.save}")
    print(f"time {time.perf_counter() - begin:.1f} s")
    return 0
