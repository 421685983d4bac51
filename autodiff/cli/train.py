"""The command ``autodiff train``: a network of the user's own making on handwritten digits."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import autodiff as ad
from autodiff.cli.arguments import UsageError, add_seed, check_target, count, positive
from autodiff.cli.demo import cross_entropy

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command"]

_LEARNING_RATES = {"sgd": 0.1, "adam": 2e-3, "adamw": 2e-3, "rmsprop": 1e-3}


def add_command(commands: _SubParsersAction[Any]) -> None:
    """Add ``train`` to the commands of a parser."""
    train = commands.add_parser(
        "train",
        help="train a network of your own making on handwritten digits",
        description="Train a fully connected network on handwritten digits of 8x8 pixels.",
    )
    train.add_argument(
        "--hidden",
        type=count,
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
        "--epochs", type=count, default=20, metavar="N", help="passes over the data (%(default)s)"
    )
    train.add_argument(
        "--batch-size", type=count, default=32, metavar="N", help="images a step (%(default)s)"
    )
    train.add_argument(
        "--optimizer", choices=list(_LEARNING_RATES), default="adam", help="(%(default)s)"
    )
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in _LEARNING_RATES.items())
    train.add_argument(
        "--learning-rate", type=positive, metavar="RATE", help=f"size of a step ({rates})"
    )
    add_seed(train)
    train.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float64",
        help="of parameters and images (%(default)s)",
    )
    train.add_argument("--load", type=Path, metavar="FILE", help="start from a saved network")
    train.add_argument("--save", type=Path, metavar="FILE", help="save the network, as .npz")
    train.set_defaults(run=_train, parser=train)


def _train(arguments: argparse.Namespace) -> int:
    """Train, print a table by epoch, and save."""
    nn, optim = ad.nn, ad.optim
    begin = time.perf_counter()
    if arguments.save is not None:
        check_target(arguments.save, "--save")
    data = ad.data.digits(dtype=arguments.dtype)
    try:
        model = nn.MLP(
            [64, *arguments.hidden, 10],
            activation=arguments.activation,
            seed=arguments.seed,
            dtype=arguments.dtype,
        )
    except (MemoryError, OverflowError, ValueError) as error:  # NumPy's, of an array too large
        raise UsageError(f"--hidden: {error}") from error
    if arguments.load is not None:
        try:
            model = nn.load(arguments.load, like=model)
        except ad.FileFormatError as error:
            raise UsageError(
                f"--load: {error} (here: give the --hidden and --dtype it was saved with)"
            ) from error
        except OSError as error:
            raise UsageError(f"--load: {arguments.load}: {error.strerror}") from error
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
            cross_entropy,
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
