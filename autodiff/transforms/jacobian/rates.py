"""The cost model: what a product of Jacobians takes, and what a sweep takes.

A product, be it of two matrices or of one operation's Jacobian with a batch of cotangents, takes

    seconds = per_call + per_fma[kind] * fma + per_byte * bytes

with the kind of its work: "dense" (matrix products), "diagonal" (one factor or one move per
element) or "opaque" (VJPs and JVPs of primitives, which are slower to call as well). A way to
accumulate takes some time to start, some for each operation it comes by, and what its products
take, without their calls for a sweep, which carries them out all together.

``autodiff.ordering.calibrate`` measures these rates, and keeps them for later processes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autodiff import host

__all__ = [
    "FEW_SEEDS",
    "Rates",
    "SweepEdge",
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

SweepEdge = tuple[str, int, int]
"""An operation's input as a sweep passes it: kind of work, and fma and bytes for each seed."""


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
    reverse_start, reverse_each : float
        Seconds of a reverse sweep, and of each operation's input that it passes, without the work.
    forward_start, forward_each : float
        The same of a forward sweep, which evaluates the function again.
    graph_start, graph_each : float
        Seconds of making the graph for an elimination, and of the map on each edge.

    Examples
    --------
    >>> Rates(dense=1e-11).seconds("dense", 10**6, 0) < Rates().seconds("dense", 10**6, 0)
    True
    """

    dense: float = 4.5e-11
    diagonal: float = 1.5e-10
    opaque: float = 2e-9
    byte: float = 8e-11
    call: float = 9e-6
    opaque_call: float = 4e-5
    reverse_start: float = 1.2e-4
    reverse_each: float = 1.8e-5
    forward_start: float = 3e-4
    forward_each: float = 4e-5
    graph_start: float = 1.5e-4
    graph_each: float = 2e-5

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
        content = json.loads((folder / _file()).read_text(encoding="utf-8"))
        found = Rates(**content["rates"]) if content["machine"] == _machine() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
    good = found is not None and all(
        type(rate) is float and 0.0 <= rate < math.inf for rate in vars(found).values()
    )
    return found if good else None


def keep_rates(chosen: Rates) -> bool:
    """Keep rates for later processes on this machine, in the user's folder; False if none is."""
    folder = host.cache_folder("rates")
    if folder is None:
        return False
    text = json.dumps({"machine": _machine(), "rates": vars(chosen)}, indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(
            "w", dir=folder, suffix=".part", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        Path(file.name).replace(folder / _file())
    except OSError:
        return False
    return True


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
    edges : iterable of (kind, fma, bytes), the last two for each seed
    rows, columns : int
        Elements of the outputs and of the inputs.
    chosen : Rates
    """
    count = 0
    work = extra = 0.0
    for kind, fma, nbytes in edges:
        count += 1
        work += chosen.work(kind, fma, nbytes)
        if kind == "opaque":
            extra += chosen.opaque_call
    forward = chosen.forward_start + chosen.forward_each * count
    if columns <= FEW_SEEDS:
        forward *= _FEW
    reverse = chosen.reverse_start + chosen.reverse_each * count
    return forward + extra + columns * work, reverse + extra + rows * work
