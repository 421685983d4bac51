"""The rates of the cost model, measured: products that the library carries out, and a fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from autodiff.core.registry import REGISTRY
from autodiff.ordering.local import local_jacobian, operation_at
from autodiff.ordering.maps import Dense, Diagonal, IndexMap, LinearMap, kind_of
from autodiff.transforms.jacobian.rates import Rates, use_rates

__all__ = ["Calibration", "calibrate"]


class Calibration:
    """Fitted rates, and how well they describe the measurements.

    Parameters
    ----------
    fitted : Rates
        Kept as ``rates``.
    measurements : sequence of (kind, fma, bytes, seconds)

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

    def __init__(self, fitted: Rates, measurements: Sequence[tuple[str, int, int, float]]) -> None:
        self.rates = fitted
        self.measurements = list(measurements)
        logs = [
            float(np.log(fitted.seconds(kind, fma, nbytes) / seconds))
            for kind, fma, nbytes, seconds in self.measurements
        ]
        self.error = float(np.sqrt(np.mean(np.square(logs))))
        self.worst = float(np.exp(np.max(np.abs(logs))))

    def __str__(self) -> str:
        fitted = self.rates
        lines = [
            f"seconds per fma: dense {fitted.dense:.2e}, diagonal {fitted.diagonal:.2e}, "
            f"opaque {fitted.opaque:.2e}",
            f"seconds per byte {fitted.byte:.2e}, per product {fitted.call:.2e}",
            f"fit over {len(self.measurements)} products: rms error "
            f"{100 * self.error:.0f} %, at worst {self.worst:.2f} times off",
        ]
        return "\n".join(lines)


def _best_time(work: Callable[[], object], seconds: float) -> float:
    """Least time of several runs."""
    work()
    best, spent = np.inf, 0.0
    while spent < seconds:
        start = time.perf_counter()
        work()
        taken = time.perf_counter() - start
        best, spent = min(best, taken), spent + max(taken, 1e-7)
    return float(best)


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


def calibrate(
    sizes: Sequence[int] = (32, 128, 512), seconds: float = 0.02, use: bool = True
) -> Calibration:
    """Measure products of each kind on this machine and fit the rates.

    Parameters
    ----------
    sizes : sequence of int
        Lengths of the vectors between the maps.
    seconds : float
        Time to spend on each product.
    use : bool
        Whether plans are made with the fitted rates from now on.

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
    measurements = []
    for outer, inner in _cases(sizes):
        fma = outer.fma_compose(inner)
        product = outer.compose(inner)
        nbytes = outer.nbytes + inner.nbytes + product.nbytes
        taken = _best_time(lambda outer=outer, inner=inner: outer.compose(inner), seconds)  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        measurements.append((kind_of(outer, inner), fma, nbytes, taken))
    calibration = Calibration(_fitted(measurements), measurements)
    if use:
        use_rates(calibration.rates)
    return calibration


def _fitted(measurements: Sequence[tuple[str, int, int, float]]) -> Rates:
    """Non-negative least squares of relative errors, by projected coordinate descent."""
    kinds = ("dense", "diagonal", "opaque")
    rows = np.array(
        [
            [*(fma if kind == own else 0 for own in kinds), nbytes, 1.0]
            for kind, fma, nbytes, _ in measurements
        ]
    )
    # Relative errors: each row is divided by its measured time, so that the target is 1
    scaled = rows / np.array([m[3] for m in measurements])[:, None]
    norms = np.maximum(np.linalg.norm(scaled, axis=0), 1e-300)
    unit = scaled / norms
    solution = np.zeros(rows.shape[1])
    residual = np.ones(len(rows))
    for _ in range(2000):
        for column in range(len(solution)):
            step = max(float(unit[:, column] @ residual), -solution[column])
            solution[column] += step
            residual -= step * unit[:, column]
    values = [float(value) for value in solution / norms]
    return Rates(*values)
