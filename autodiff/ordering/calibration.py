"""The rates of the cost model, measured: products and Jacobians on this machine, and a fit."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.registry import REGISTRY
from autodiff.ordering import execute
from autodiff.ordering.graph.planning import decide
from autodiff.ordering.local import local_jacobian, operation_at
from autodiff.ordering.maps import Dense, Diagonal, IndexMap, LinearMap, kind_of
from autodiff.transforms.jacobian.decision import Choice
from autodiff.transforms.jacobian.forward import forward
from autodiff.transforms.jacobian.problem import Problem
from autodiff.transforms.jacobian.question import Question
from autodiff.transforms.jacobian.rates import Rates, Way, keep_rates, sweep_seconds, use_rates
from autodiff.transforms.jacobian.reverse import reverse
from autodiff.transforms.jacobian.work import sweep_edges

__all__ = ["Calibration", "calibrate"]

_FEWEST_RUNS = 5
WAYS = ("reverse", "forward", "graph")


class Sweep(NamedTuple):
    """A way to accumulate a whole Jacobian, as it was measured.

    Attributes
    ----------
    way : {"reverse", "forward", "graph"}
    operations, light : int
        Those that it comes by, and those with light rules among them.
    work : float
        Predicted seconds of its products.
    seconds : float
        Measured.
    """

    way: str
    operations: int
    light: int
    work: float
    seconds: float

    def predicted(self, chosen: Rates) -> float:
        """Predicted time."""
        way: Way = getattr(chosen, self.way)
        return way.seconds(self.operations, self.light, self.work)


Measured = tuple[str, int, int, float]
"""Kind, fma and bytes of a product, and the seconds it took."""


class Calibration:
    """Fitted rates, and how well they describe the measurements.

    Parameters
    ----------
    fitted : Rates
        Kept as ``rates``.
    measurements : sequence of (kind, fma, bytes, seconds)
        Products.
    sweeps : sequence of Sweep, optional
        Whole Jacobians.

    Attributes
    ----------
    error : float
        Root mean square of ``log(predicted / measured)``: 0.1 is about 10 per cent.
    worst : float
        Largest ratio between predicted and measured time, whichever way.

    Raises
    ------
    AttributeError
        The kind of a measurement is none of "dense", "diagonal" and "opaque".
    ValueError
        There are no measurements.

    Examples
    --------
    >>> rates = Rates(dense=1e-9, byte=0.0, call=0.0)
    >>> fit = Calibration(rates, [("dense", 10**6, 0, 0.001), ("dense", 10**6, 0, 0.002)])
    >>> round(fit.error, 2), round(fit.worst, 2)
    (0.49, 2.0)
    """

    def __init__(
        self,
        fitted: Rates,
        measurements: Sequence[Measured],
        sweeps: Sequence[Sweep] = (),
    ) -> None:
        self.rates = fitted
        self.measurements = list(measurements)
        self.sweeps = list(sweeps)
        logs = [
            float(np.log(fitted.seconds(kind, fma, nbytes) / seconds))
            for kind, fma, nbytes, seconds in self.measurements
        ]
        logs += [float(np.log(one.predicted(fitted) / one.seconds)) for one in self.sweeps]
        self.error = float(np.sqrt(np.mean(np.square(logs))))
        self.worst = float(np.exp(np.max(np.abs(logs))))

    def __str__(self) -> str:
        fitted = self.rates
        lines = [
            f"seconds per fma: dense {fitted.dense:.2e}, diagonal {fitted.diagonal:.2e}, "
            f"opaque {fitted.opaque:.2e}",
            f"seconds per byte {fitted.byte:.2e}, per product {fitted.call:.2e}, of a rule "
            f"{fitted.opaque_call:.2e}",
            *(
                f"{name}: {way.start:.2e} seconds to start, {way.each:.2e} for each operation, "
                f"{way.light:.2e} of a light one, {way.work:.2f} times the work"
                for name, way in zip(
                    ("reverse", "forward", "elimination"),
                    (fitted.reverse, fitted.forward, fitted.graph),
                    strict=True,
                )
            ),
            f"fit over {len(self.measurements)} products and {len(self.sweeps)} Jacobians: "
            f"rms error {100 * self.error:.0f} %, at worst {self.worst:.2f} times off",
        ]
        return "\n".join(lines)


def _typical_time(work: Callable[[], object], seconds: float) -> float:
    """Median time of several runs: the least would be that of caches nobody else uses."""
    work()
    times: list[float] = []
    while sum(times) < seconds or len(times) < _FEWEST_RUNS:
        start = time.perf_counter()
        work()
        times.append(max(time.perf_counter() - start, 1e-7))
    return statistics.median(times)


def _cases(sizes: Sequence[int]) -> list[tuple[LinearMap, LinearMap]]:
    """Pairs to multiply, of all kinds and over the sizes."""
    generator = np.random.default_rng(0)
    pairs: list[tuple[LinearMap, LinearMap]] = []
    for size in sizes:
        dense = Dense(generator.standard_normal((size, size)))
        thin = Dense(generator.standard_normal((size, 8)))
        diagonal = Diagonal(generator.standard_normal(size))
        index = IndexMap(generator.permutation(size), (size,), (size,))
        x = generator.standard_normal(size)
        scan = REGISTRY["cumsum"]
        opaque = local_jacobian(operation_at(scan, (True,), (x,), np.cumsum(x), {"axis": 0}), 0)
        pairs += [
            (dense, dense),
            (dense, thin),
            (diagonal, dense),
            (dense, diagonal),
            (index, dense),
            (opaque, dense),
            (dense, opaque),
        ]
    return pairs


def _problems() -> Iterator[tuple[Callable[[Any], Any], Any]]:
    """Functions whose Jacobians are timed: layers, few and many, and steps of a simulation."""
    generator = np.random.default_rng(0)
    for size, depth in ((8, 1), (8, 3), (8, 9), (40, 1), (40, 3), (40, 9), (200, 3)):
        weight = generator.standard_normal((size, size)) / np.sqrt(size)

        def layers(x: Any, weight: Any = weight, depth: int = depth) -> Any:
            for _ in range(depth):
                x = np.tanh(weight @ x)
            return x

        yield layers, generator.standard_normal(size)

    def steps(x: Any) -> Any:
        for _ in range(10):
            x = x + 0.1 * (np.roll(x, 1) - x) * x
        return x

    def kinetics(x: Any) -> Any:
        for _ in range(6):
            first = np.tanh(coupling @ x) - x
            x = x + 0.05 * (first + (np.tanh(coupling @ (x + 0.1 * first)) - x))
        return x

    coupling = generator.standard_normal((20, 20)) / 20
    yield steps, generator.standard_normal(20)
    yield kinetics, generator.standard_normal(20)
    for size in (200, 500):
        yield lambda x: np.sin(x) * np.exp(-x * x), generator.standard_normal(size)


def _sweeps(chosen: Rates, seconds: float) -> list[Sweep]:
    """Time whole Jacobians each way."""
    found = []
    free = Way(0.0, 0.0)
    bare = replace(chosen, reverse=free, forward=free, graph=free)
    for function, x in _problems():
        problem = Problem(function, 0, (x,), {}, False, None, "jacobian")
        question = Question(problem)
        edges = list(sweep_edges(question.nodes))
        light = sum(is_light for *_, is_light in edges)
        ahead, back = sweep_seconds(edges, question.rows, question.columns, bare)
        recorded = question.recorded
        graph = execute.graph_of(question)
        assert graph is not None
        decision = decide(graph, bare)
        choice = Choice("cross-country", decision.seconds, decision.order)
        ways: list[tuple[str, float, Callable[[], object]]] = [
            ("reverse", back, lambda: reverse(problem, recorded)),  # noqa: B023 called below, at once
            ("forward", ahead, lambda: forward(problem)),  # noqa: B023
            ("graph", decision.seconds, lambda: execute.cross_country(problem, question, choice)),  # noqa: B023
        ]
        for way, work, run in ways:
            found.append(Sweep(way, len(edges), light, work, _typical_time(run, seconds)))
    return found


def calibrate(
    sizes: Sequence[int] = (32, 128, 512),
    seconds: float = 0.02,
    use: bool = True,
    keep: bool | None = None,
) -> Calibration:
    """Measure products of each kind and whole Jacobians on this machine, and fit the rates.

    Parameters
    ----------
    sizes : sequence of int
        Lengths of the vectors between the maps.
    seconds : float
        Time to spend on each product.
    use : bool
        Whether plans are made with the fitted rates from now on.
    keep : bool, optional
        Whether later processes on this machine find them, in the user's cache folder (that of
        compiled code, see ``AUTODIFF_CACHE_DIR``); by default where they are used.

    Returns
    -------
    Calibration
        Its text gives the rates and the error of the fit.

    Raises
    ------
    ValueError
        `sizes` is empty or holds a size below 1.

    Examples
    --------
    >>> fit = calibrate(sizes=[8], seconds=0.001, use=False)
    >>> fit.rates.dense >= 0, len(fit.measurements)
    (True, 7)
    """
    if not sizes or min(sizes) < 1:
        raise ValueError(f"calibrate: sizes={sizes!r} must be positive lengths, at least one")
    measurements = _products(sizes, seconds)
    fitted = _fitted(measurements)
    sweeps = _sweeps(fitted, seconds)
    calibration = Calibration(_with_sweeps(fitted, sweeps), measurements, sweeps)
    if use:
        use_rates(calibration.rates)
    if use if keep is None else keep:
        keep_rates(calibration.rates)
    return calibration


def _products(sizes: Sequence[int], seconds: float) -> list[Measured]:
    """Time products of each kind."""
    measurements = []
    for outer, inner in _cases(sizes):
        fma = outer.fma_compose(inner)
        product = outer.compose(inner)
        nbytes = outer.nbytes + inner.nbytes + product.nbytes
        taken = _typical_time(lambda outer=outer, inner=inner: outer.compose(inner), seconds)  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        measurements.append((kind_of(outer, inner), fma, nbytes, taken))
    return measurements


def _fitted(measurements: Sequence[Measured]) -> Rates:
    """Rates of products."""
    kinds = ("dense", "diagonal", "opaque")
    rows = [
        [*(fma if kind == own else 0 for own in kinds), nbytes, kind != "opaque", kind == "opaque"]
        for kind, fma, nbytes, _ in measurements
    ]
    found = _least_squares(rows, [0.0] * len(rows), [m[3] for m in measurements])
    dense, diagonal, opaque, byte, call, opaque_call = found
    return Rates(dense, diagonal, opaque, byte, call, opaque_call)


def _with_sweeps(fitted: Rates, sweeps: Sequence[Sweep]) -> Rates:
    """The same rates, with what the ways to accumulate need besides the work."""
    found: dict[str, Way] = {}
    for way in WAYS:
        swept = [sweep for sweep in sweeps if sweep.way == way]
        # The products of an elimination were measured; a sweep's rules do some more
        free = way != "graph"
        rows = [
            [1.0, own.operations - own.light, own.light, *((own.work,) if free else ())]
            for own in swept
        ]
        known = [0.0 if free else own.work for own in swept]
        found[way] = Way(*_least_squares(rows, known, [own.seconds for own in swept]))
    return replace(fitted, reverse=found["reverse"], forward=found["forward"], graph=found["graph"])


def _least_squares(
    rows: Sequence[Sequence[float]], known: Sequence[float], wanted: Sequence[float]
) -> list[float]:
    """Factors of the columns, none negative, that leave the least relative errors.

    By projected coordinate descent; `known` is what each row holds besides.
    """
    # Relative errors: each row is divided by its measured time, so that the target is 1
    times = np.array(wanted)
    scaled = np.array(rows, float) / times[:, None]
    norms = np.maximum(np.linalg.norm(scaled, axis=0), 1e-300)
    unit = scaled / norms
    solution = np.zeros(scaled.shape[1])
    residual = 1.0 - np.array(known) / times
    for _ in range(2000):
        for column in range(len(solution)):
            step = max(float(unit[:, column] @ residual), -solution[column])
            solution[column] += step
            residual -= step * unit[:, column]
    return [float(value) for value in solution / norms]
