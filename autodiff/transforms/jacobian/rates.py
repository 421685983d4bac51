"""The cost model: what a product of Jacobians takes, and what a sweep takes.

A product, be it of two matrices or of one operation's Jacobian with a batch of cotangents, takes

    seconds = per_call + per_fma[kind] * fma + per_byte * bytes

with the kind of its work: "dense" (matrix products), "diagonal" (one factor or one move per
element) or "opaque" (VJPs and JVPs of primitives, which are slower to call as well). A way to
accumulate takes some time to start, some for each operation that it comes by (`Way`),
and what its products take; a sweep makes those all together, so their calls are no part of it.

``autodiff.ordering.calibrate`` measures these rates, and keeps them for later processes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from autodiff import host

__all__ = [
    "FEW_SEEDS",
    "Rates",
    "SweepEdge",
    "Way",
    "keep_rates",
    "kept_rates",
    "rates",
    "sweep_seconds",
    "use_rates",
]

FEW_SEEDS = 4
"""Tangents that are pushed while the function is evaluated, all at once. So many of them take about
what a tape of them would keep, which bounds their number otherwise."""
_FEW = 0.5
"""They need no tape: that saves about so much of what a forward sweep takes besides the work."""

SweepEdge = tuple[str, int, int, bool]
"""An operation as a sweep passes it: kind of work, fma and bytes for each seed, and whether its
rules are light: they look at no value, as those of sums and of products with numbers."""


@dataclass(frozen=True)
class Way:
    """What a way to accumulate takes besides the products.

    Attributes
    ----------
    start : float
        Seconds, once.
    each : float
        Seconds for each operation that it comes by.
    light : float
        The same of one with light rules (`SweepEdge`).
    work : float
        What the products take, in times of what they take alone: rules compute their partials.

    Examples
    --------
    >>> Way(1e-4, 2e-5, 1e-5).seconds(operations=3, light=1, work=1e-3)
    0.00115
    """

    start: float
    each: float
    light: float = 0.0
    work: float = 1.0

    def seconds(self, operations: int, light: int, work: float) -> float:
        """Predicted time.

        Parameters
        ----------
        operations : int
            Those that it comes by.
        light : int
            Those with light rules among them.
        work : float
            Seconds that the products take.

        Returns
        -------
        float

        Raises
        ------
        TypeError
            One is no number.

        Examples
        --------
        >>> Way(1.0, 0.0).seconds(5, 0, 0.5)
        1.5
        """
        heavy = operations - light
        return self.start + self.each * heavy + self.light * light + self.work * work


@dataclass(frozen=True)
class Rates:
    """Seconds of the parts of a product, and of what the ways to accumulate need besides.

    Attributes
    ----------
    dense, diagonal, opaque : float
        Seconds per fused multiply-add.
    byte : float
        Seconds per byte read or written.
    call : float
        Seconds per product, whatever its size.
    opaque_call : float
        The same, of a product that calls the rule of a primitive.
    reverse, forward : Way
        The sweeps; forward evaluates the function again.
    graph : Way
        Making the graph for an elimination and the map on each edge.

    Examples
    --------
    >>> Rates(dense=1e-11).seconds("dense", 10**6, 0) < Rates().seconds("dense", 10**6, 0)
    True
    """

    dense: float = 5e-11
    diagonal: float = 6e-11
    opaque: float = 4.2e-9
    byte: float = 2.6e-11
    call: float = 7.8e-6
    opaque_call: float = 7e-5
    reverse: Way = Way(7.5e-5, 1.6e-5, 4e-6, 1.05)
    forward: Way = Way(2.8e-4, 4.7e-5, 3.9e-5, 1.15)
    graph: Way = Way(3.5e-5, 2.9e-5, 9.5e-6)

    def seconds(self, kind: str, fma: int, nbytes: int) -> float:
        """Predicted time of one product.

        Parameters
        ----------
        kind : {"dense", "diagonal", "opaque"}
        fma : int
            Fused multiply-adds.
        nbytes : int
            Bytes of both operands and of the result.

        Returns
        -------
        float

        Raises
        ------
        AttributeError
            `kind` is none of these.

        Examples
        --------
        >>> round(Rates(dense=1e-9, byte=0.0, call=0.0).seconds("dense", 3_000_000_000, 0), 6)
        3.0
        """
        call = self.opaque_call if kind == "opaque" else self.call
        return call + self.work(kind, fma, nbytes)

    def work(self, kind: str, fma: int, nbytes: int) -> float:
        """Predicted time of a product without what calling it takes.

        Parameters
        ----------
        kind : {"dense", "diagonal", "opaque"}
        fma, nbytes : int

        Returns
        -------
        float

        Raises
        ------
        AttributeError
            `kind` is none of these.

        Examples
        --------
        >>> Rates(dense=1e-9, byte=1e-9).work("dense", 2, 3)
        5e-09
        """
        return float(getattr(self, kind)) * fma + self.byte * nbytes


_current: list[Rates | None] = [None]


def rates() -> Rates:
    """Return the rates that orders are priced with.

    Those that were set in this process; or those that were measured on this machine and kept (see
    `calibrate`); or those of an ordinary core.

    Returns
    -------
    Rates

    Examples
    --------
    >>> rates().seconds("dense", 10**9, 0) < 1.0
    True
    """
    found = _current[0]
    if found is None:
        found = _current[0] = kept_rates() or Rates()
    return found


def use_rates(chosen: Rates) -> None:
    """Price orders with these rates from now on.

    Parameters
    ----------
    chosen : Rates

    Examples
    --------
    >>> use_rates(rates())
    """
    _current[0] = chosen


def kept_rates() -> Rates | None:
    """Rates that an earlier process kept for this machine; None where there are none to be used."""
    folder = host.cache_folder("rates")
    if folder is None:
        return None
    try:
        with open(os.path.join(folder, _file()), encoding="utf-8") as file:
            content = json.load(file)
        if content["machine"] != _machine():
            return None
        found: dict[str, Any] = dict(content["rates"])
        ways = [Way(**_checked(found.pop(name))) for name in ("reverse", "forward", "graph")]
        base = Rates(**_checked(found))
        return replace(base, reverse=ways[0], forward=ways[1], graph=ways[2])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    """Rates that may be.

    Raises
    ------
    ValueError
        One is no number, or negative.
    """
    if not all(type(rate) is float and 0.0 <= rate < math.inf for rate in found.values()):
        raise ValueError("these are no rates")
    return found


def keep_rates(chosen: Rates) -> bool:
    """Keep rates for later processes on this machine, in the user's folder; False if none is."""
    folder = host.cache_folder("rates")
    if folder is None:
        return False
    text = json.dumps({"machine": _machine(), "rates": asdict(chosen)}, indent=1)
    return host.put(os.path.join(folder, _file()), text.encode())


def _file() -> str:
    """One for each machine: some share the folder."""
    return hashlib.sha256(json.dumps(_machine()).encode()).hexdigest()[:16] + ".json"


def _machine() -> dict[str, str | int | None]:
    """What rates depend on."""
    return {
        "processor": host.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def sweep_seconds(
    edges: Iterable[SweepEdge], rows: int, columns: int, chosen: Rates
) -> tuple[float, float]:
    """Predicted time of a forward sweep with all columns as seeds, and of a reverse one.

    Parameters
    ----------
    edges : iterable of SweepEdge
    rows, columns : int
        Elements of the outputs and of the inputs.
    chosen : Rates
    """
    count = light = 0
    work = extra = 0.0
    for kind, fma, nbytes, is_light in edges:
        count += 1
        light += is_light
        work += chosen.work(kind, fma, nbytes)
        if kind == "opaque":
            extra += chosen.opaque_call
    forward = chosen.forward.seconds(count, light, 0.0)
    if columns <= FEW_SEEDS:
        forward *= _FEW
    forward += chosen.forward.work * columns * work
    return forward + extra, chosen.reverse.seconds(count, light, rows * work) + extra
