"""The command ``autodiff order``: what the orders of a Jacobian cost, counted and measured."""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import autodiff as ad
from autodiff.cli.arguments import UsageError, check_target, natural
from autodiff.cli.functions import failure, load, parse_input
from autodiff.core.arrays import as_array
from autodiff.ordering import Chain, Plan, calibrate

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_command", "measure", "parse_chain", "report"]

_CHAIN_ORDERS = ("forward", "reverse", "optimal", "worst")
_GRAPH_ORDERS = ("forward", "reverse", "markowitz", "min-fill", "search")
_REPEATS = 3
_LONG = 1.0
_MOST_FMA = 2 * 10**11
_MOST_BYTES = 4 * 2**30
_COLORS = {
    "forward": "#0072b2",
    "reverse": "#d55e00",
    "optimal": "#009e73",
    "worst": "#767676",
    "markowitz": "#cc79a7",
    "min-fill": "#56b4e9",
    "search": "#009e73",
}


def parse_chain(text: str) -> Chain:
    """A chain of dense matrices from text; the matrix applied last comes first, as in a product.

    Parameters
    ----------
    text : str
        Shapes ``rows x columns``, with commas between them.

    Raises
    ------
    ValueError
        A shape cannot be read, or sizes do not meet.

    Examples
    --------
    >>> parse_chain("1x50,50x20")
    <Chain of 2 matrices, R^20 -> R^1>
    """
    shapes: list[tuple[int, int]] = []
    for number, part in enumerate(text.split(","), 1):
        sizes = part.lower().replace("×", "x").split("x")
        try:
            rows, columns = map(int, sizes)
        except ValueError:
            raise ValueError(
                f"matrix {number} is {part.strip()!r}; write rows x columns, as in 1000x5000"
            ) from None
        if min(rows, columns) < 1:
            raise ValueError(f"matrix {number} is {part.strip()}; sizes must be at least 1")
        if shapes and shapes[-1][1] != rows:
            raise ValueError(
                f"matrix {number} has {rows} rows, but the one before it {shapes[-1][1]} columns"
            )
        shapes.append((rows, columns))
    return Chain.from_shapes(shapes[::-1])


def measure(run: Callable[[], object]) -> float:
    """Seconds that a call takes: the best of a few.

    Examples
    --------
    >>> measure(lambda: sum(range(100))) > 0
    True
    """
    best = float("inf")
    begin = time.perf_counter()
    for _ in range(_REPEATS):
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if now - begin > _LONG:
            break
    return best


def report(costs: dict[str, int], seconds: dict[str, float]) -> str:
    """A table of costs and times by order.

    Examples
    --------
    >>> print(report({"forward": 200, "optimal": 100}, {"forward": 0.002}))
    order    multiply-adds  of the least       time
    forward            200             2   2.000 ms
    optimal            100             1   not run
    """
    width = max(len("multiply-adds"), *(len(f"{cost:,}") for cost in costs.values()))
    name = max(len("order"), *map(len, costs))
    lines = [f"{'order':<{name}}  {'multiply-adds':>{width}}  {'of the least':>12}  {'time':>9}"]
    least = min(costs.values())
    for order, cost in costs.items():
        ratio = f"{cost / least:.4g}" if least else "1"
        spent = f"{seconds[order] * 1e3:.3f} ms" if order in seconds else "not run"
        lines.append(f"{order:<{name}}  {cost:>{width},}  {ratio:>12}  {spent:>9}")
    return "\n".join(lines)


def _run(arguments: argparse.Namespace) -> int:
    """Plan, print, execute, plot."""
    if arguments.calibrate:
        print(calibrate())
        return 0
    plot: Path | None = arguments.plot
    if plot is not None:
        if plot.suffix.lower() not in (".png", ".svg"):
            arguments.parser.error(f"--plot: {plot}: the ending must be .png or .svg")
        check_target(plot, "--plot")
    if arguments.chain is not None and arguments.input:
        arguments.parser.error("--input goes with --function; a chain's shapes say it all")
    plans, run = (_of_chain if arguments.chain is not None else _of_function)(arguments)
    print(min(plans.values(), key=lambda plan: (plan.cost, not plan.proven_optimal)))
    print()
    costs = {order: plan.cost for order, plan in plans.items()}
    seconds = {
        order: measure(functools.partial(run, plan))
        for order, plan in plans.items()
        if _is_affordable(plan)
    }
    print(report(costs, seconds))
    if len(seconds) < len(plans):
        most = f"{_MOST_FMA:.0e} multiply-adds or {_MOST_BYTES / 2**30:g} GiB"
        print(f"\nWhat needs more than {most} is counted, and not run.")
    if plot is None:
        return 0
    try:
        _plot(plot, costs, seconds)
    except ImportError:
        print(
            'autodiff order: the plot needs matplotlib: pip install "autodiff[viz]"',
            file=sys.stderr,
        )
        return 1
    print(f"plot {plot}")
    return 0


def _is_affordable(plan: Plan) -> bool:
    """Whether a plan is run too: with its factors, it must fit into memory and not take hours."""
    needed = plan.memory.matrix_elements * np.dtype(np.float64).itemsize
    return plan.cost <= _MOST_FMA and needed <= _MOST_BYTES


_Planned = tuple[dict[str, Plan], Callable[[Plan], object]]


def _of_chain(arguments: argparse.Namespace) -> _Planned:
    """Plans of a chain of dense matrices, and what executes one."""
    try:
        chain = parse_chain(arguments.chain)
    except ValueError as error:
        arguments.parser.error(f"--chain: {error}")
    plans = {order: chain.plan(order) for order in _CHAIN_ORDERS}
    random = np.random.default_rng(arguments.seed)

    @functools.cache
    def matrices() -> list[Any]:
        return [random.standard_normal((m, n)) / np.sqrt(n) for m, n, _ in chain.factors]

    return plans, lambda plan: chain.execute(plan, matrices())


def _of_function(arguments: argparse.Namespace) -> _Planned:
    """Plans of a function's tape at random inputs, and what executes one."""
    try:
        function = load(arguments.function)
    except ValueError as error:
        arguments.parser.error(f"--function: {error}")
    if not arguments.input:
        arguments.parser.error("--function needs an --input for each argument of the function")
    random = np.random.default_rng(arguments.seed)
    try:
        inputs = [parse_input(text, random) for text in arguments.input]
    except ValueError as error:
        arguments.parser.error(f"--input: {error}")
    if not all(as_array(value).size for value in inputs):
        arguments.parser.error("--input: no length may be 0: there is nothing to order")
    kinds = [as_array(value).dtype.kind for value in inputs]
    argnums = tuple(i for i, kind in enumerate(kinds) if kind == "f")
    if not argnums or "c" in kinds:
        arguments.parser.error(
            "--input: orders are of real Jacobians; at least one must be of a float dtype, and "
            "none of a complex one"
        )
    returned: list[Any] = []

    def watched(*xs: Any) -> Any:
        out = function(*xs)
        returned.extend(ad.tree.leaves(out))
        return out

    failed = (
        f"--function: {arguments.function} fails at inputs of shape {', '.join(arguments.input)}"
    )
    try:
        tape = ad.record(watched)(*inputs)
        graph = tape.jacobian_graph()
    except (Exception, SystemExit) as error:  # whatever the user's function raises
        arguments.parser.error(f"{failed}{failure(error)}")
    others = [leaf for leaf in returned if not _is_numeric(leaf)]
    if others or not returned:
        what = type(others[0]).__name__ if others else "container of nothing"
        arguments.parser.error(
            f"--function: {arguments.function} returns a {what}, which has no Jacobian"
        )
    plans = {}
    for order in _GRAPH_ORDERS:
        searched = order == "search"
        seconds = arguments.seconds if searched else None
        plans[order] = graph.plan(order, seconds=seconds, seed=arguments.seed)

    def run(plan: Plan) -> object:
        try:
            return ad.jacobian(function, argnums=argnums, order=plan)(*inputs)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise UsageError(f"{failed}{failure(error)}") from error

    return plans, run


def _is_numeric(leaf: Any) -> bool:
    """Whether a leaf that a function returned is a Tensor, an array or a number."""
    dtype = leaf.dtype if isinstance(leaf, ad.Tensor) else as_array(leaf).dtype
    return dtype.kind in "fciub"


def _plot(path: Path, costs: dict[str, int], seconds: dict[str, float]) -> None:
    """Bars of costs and of times."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, 2)
    values: tuple[dict[str, Any], ...] = (costs, seconds)
    titles = ("Predicted: multiply-adds", "Measured: seconds")
    for axes, title, bars in zip(panels, titles, values, strict=True):
        names = list(bars)
        axes.barh(
            names,
            [max(bars[name], 1e-9) for name in names],
            color=[_COLORS[name] for name in names],
        )
        axes.set(title=title, xscale="log")
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for at, name in enumerate(names):
            axes.annotate(
                f"{bars[name]:.3g}",
                (max(bars[name], 1e-9), at),
                xytext=(4, 0),
                textcoords="offset points",
                verticalalignment="center",
                fontsize=9,
            )
        # A bar on a logarithmic axis begins where one likes: a decade below the least
        heights = [max(value, 1e-9) for value in bars.values()] or [1.0]
        axes.set_xlim(min(heights) / 10, max(heights) * 10)
    figure.savefig(path, dpi=150)


def add_command(commands: _SubParsersAction[Any]) -> None:
    """Add ``order`` to the commands of a parser.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> add_command(parser.add_subparsers())
    >>> parser.parse_args(["order", "--chain", "1x9,9x2"]).chain
    '1x9,9x2'
    """
    order = commands.add_parser(
        "order",
        help="in which order to multiply the Jacobians of a chain or a function",
        description="Count and measure what the orders of accumulating a Jacobian cost. Of a chain "
        "of dense matrices: forward (from the right, as tangents go), reverse (from the left, as "
        "adjoints go), the cheapest and the dearest. Of a function: the orders in which the "
        "vertices of its tape are eliminated.",
    )
    subject = order.add_mutually_exclusive_group(required=True)
    subject.add_argument(
        "--chain",
        metavar="SHAPES",
        help="shapes as they stand in the product, as in 1000x5000,5000x1000,1000x1",
    )
    subject.add_argument(
        "--function",
        metavar="MODULE:FUNCTION",
        help="a function of arrays, whose tape is recorded at random inputs: package.module:name, "
        "or path/to/file.py:name",
    )
    subject.add_argument(
        "--calibrate",
        action="store_true",
        help="measure on this machine the rates by which order='auto' chooses, and keep them",
    )
    order.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="SHAPE",
        help="of an argument of the function, as in 7 or 3x4 or 3,4 or float32:10 or scalar, or a "
        "number such as 0.5; once for each",
    )
    order.add_argument(
        "--seconds",
        type=_seconds,
        default=3.0,
        metavar="S",
        help="that the search for a function's order may take (%(default)s)",
    )
    order.add_argument(
        "--plot", type=Path, metavar="PATH", help="draw costs and times, as .png or .svg"
    )
    order.add_argument(
        "--seed",
        type=natural,
        default=0,
        metavar="N",
        help="of the entries and of the search (%(default)s)",
    )
    order.set_defaults(run=_run, parser=order)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return seconds
