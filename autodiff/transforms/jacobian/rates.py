"""The cost model: what a product of Jacobians takes, and what a sweep takes.

A product, be it of two matrices or of one operation's Jacobian with a batch of cotangents, takes

    seconds = per_call + per_fma[kind] * fma + per_byte * bytes

with the kind of its work: "dense" (matrix products), "diagonal" (one factor or one move per
element) or "opaque" (VJPs and JVPs of primitives). All orders of accumulating a Jacobian are priced
with these rates, sweeps by the operations they pass, others by the products they carry out;
``autodiff.ordering.calibrate`` measures them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FEW_SEEDS", "Rates", "SweepEdge", "rates", "sweep_seconds", "use_rates"]

_SWEEP_CALLS = 2.0
"""A batched sweep spends about twice the fixed time of a product on each operation."""
_FORWARD_CALLS = 2.5
_FORWARD_START = 16.0
"""A forward sweep evaluates the function again, batched: more on each operation, and opening the
transforms, in fixed times of a product (fitted to tanh networks of 2 to 6 layers)."""

FEW_SEEDS = 4
"""Tangents that are pushed while the function is evaluated, all at once. So many of them take about
what a tape of them would keep, which bounds their number otherwise."""
_FEW_START = 8.0
_FEW_CALLS = 1.5

SweepEdge = tuple[str, int, int]
"""An operation's input as a sweep passes it: kind of work, and fma and bytes for each seed."""


@dataclass(frozen=True)
class Rates:
    """Seconds of the parts of a product.

    Attributes
    ----------
    dense, diagonal, opaque : float
        Seconds per fused multiply-add.
    byte : float
        Seconds per byte read or written.
    call : float
        Seconds per product, whatever its size.

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
        return self.call + float(getattr(self, kind)) * fma + self.byte * nbytes


_current = [Rates()]


def rates() -> Rates:
    """Return the rates that orders are priced with: of an ordinary core, until others are set.

    Returns
    -------
    Rates

    Examples
    --------
    >>> rates().seconds("dense", 10**9, 0) < 1.0
    True
    """
    return _current[0]


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
    work = 0.0
    for kind, fma, nbytes in edges:
        count += 1
        work += float(getattr(chosen, kind)) * fma + chosen.byte * nbytes
    start, each = (
        (_FEW_START, _FEW_CALLS) if columns <= FEW_SEEDS else (_FORWARD_START, _FORWARD_CALLS)
    )
    forward = chosen.call * (start + each * count) + columns * work
    return forward, chosen.call * _SWEEP_CALLS * count + rows * work
