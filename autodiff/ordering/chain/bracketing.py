"""Dynamic programmes over the bracketings of a chain, exact and vectorised over splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["ADJOINTS", "MULTIPLY", "TANGENTS", "Bracketing", "Node", "bracket"]

MULTIPLY, TANGENTS, ADJOINTS = 0, 1, 2
_INT64 = 2**62


class Node(NamedTuple):
    """How a range of factors is put together: after ``split``, by a move, on some machines."""

    first: int
    last: int
    move: int
    split: int
    machines: int
    left_machines: int
    right_machines: int
    side_by_side: bool


class Bracketing:
    """The tables of a finished dynamic programme; factors are numbered from 0 here."""

    def __init__(
        self, values: list[Any], choices: list[Any], factors: int, leaf_values: list[int]
    ) -> None:
        self._values = values
        self._choices = choices
        self._factors = factors
        self._leaves = leaf_values

    def value(self, first: int, last: int, machines: int = 1) -> int:
        """Cost of a range of factors, or its makespan on several machines."""
        if first == last:
            return self._leaves[first]
        return int(self._values[machines - 1][first, last - first])

    def node(self, first: int, last: int, machines: int = 1) -> Node:
        """The choice made for a range of at least two factors."""
        code = int(self._choices[machines - 1][first, last - first])
        code, split = divmod(code, self._factors)
        share, move = divmod(code, 3)
        side = 0 < share < machines
        left = machines - share if side else machines
        right = share if side else machines
        return Node(first, last, move, first + split, machines, left, right, side)


def bracket(
    rows: Sequence[int],
    columns: Sequence[int],
    edges: Sequence[int],
    leaves: Sequence[int],
    moves: Sequence[int] = (MULTIPLY, TANGENTS, ADJOINTS),
    memory: int | None = None,
    machines: int = 1,
    worst: bool = False,
    unit: Sequence[bool] | None = None,
) -> Bracketing:
    """Solve a chain by dynamic programming in O(q^3 machines^2) (Naumann, 2020; Godbole, 1973).

    Parameters
    ----------
    rows, columns, edges : sequence of int
        Of each factor, the first to be applied first.
    leaves : sequence of int
        Cost of having each factor as a matrix.
    moves : sequence of int
        Those allowed to join two ranges of factors.
    memory : int, optional
        Most edges that adjoints may go through at once.
    machines : int
        Among which the two halves of a product may be divided; the makespan is then minimised.
    worst : bool
        Find the dearest bracketing instead.
    unit : sequence of bool, optional
        Factors whose products are free, and are units again where both are.

    Notes
    -----
    Numbers are of 64 bits where a bound shows that they suffice, else Python's own.
    """
    count = len(rows)
    widest = max(*rows, *columns)
    # Every factor is swept or multiplied once, so no plan costs more than this
    most = sum(leaves) + widest * sum(edges) + count * widest**3
    exact: Any = np.int64 if 4 * most < _INT64 else object
    m, n = np.array(rows, dtype=exact), np.array(columns, dtype=exact)
    total = np.array([0, *edges], dtype=exact).cumsum()
    never: Any = -1 if worst else 2 * most + 1
    pick = np.argmax if worst else np.argmin
    limit = None if memory is None else min(memory, int(total[-1]))
    fixed = None if unit is None else np.array([0, *(not flag for flag in unit)]).cumsum()

    # By first factor and length, and by last factor and length: both halves are slices
    starts = [np.zeros((count, count), dtype=exact) for _ in range(machines)]
    ends = [np.zeros((count, count), dtype=exact) for _ in range(machines)]
    choices = [np.zeros((count, count), dtype=np.int64) for _ in range(machines)]
    for table in (*starts, *ends):
        table[:, 0] = np.array(leaves, dtype=exact)
    for length in range(1, count):
        ranges = count - length
        every = np.arange(ranges)
        outer_rows, outer_columns = m[length:, None], n[:ranges, None]
        inner = sliding_window_view(m, length)[:ranges]
        until = sliding_window_view(total[1:], length)[:ranges]
        below = until - total[:ranges, None]
        above = total[length + 1 :, None] - until
        product = outer_rows * outer_columns * inner
        if fixed is not None:
            middle = sliding_window_view(fixed[1:], length)[:ranges]
            free = (middle == fixed[:ranges, None]) | (middle == fixed[length + 1 :, None])
            product = np.where(free, 0, product)
        pushed, pulled = outer_columns * above, outer_rows * below
        refused = None if limit is None else below > limit
        for number in range(machines):
            left = starts[number][:ranges, :length]
            right = ends[number][length:, :length][:, ::-1]
            offers = []
            if MULTIPLY in moves:
                offers.append((MULTIPLY, 0, left + right + product))
                offers += [
                    (
                        MULTIPLY,
                        share,
                        product
                        + np.maximum(
                            ends[share - 1][length:, :length][:, ::-1],
                            starts[number - share][:ranges, :length],
                        ),
                    )
                    for share in range(1, number + 1)
                ]
            if TANGENTS in moves:
                offers.append((TANGENTS, 0, left + pushed))
            if ADJOINTS in moves:
                swept = right + pulled
                if refused is not None:
                    swept = np.where(refused, never, swept)
                offers.append((ADJOINTS, 0, swept))
            value = None
            for move, share, offer in offers:
                split = pick(offer, axis=1)
                offered = offer[every, split]
                code = (share * 3 + move) * count + split
                if value is None:
                    value, choice = offered, code
                else:
                    better = offered > value if worst else offered < value
                    better = better.astype(bool)
                    value = np.where(better, offered, value)
                    choice = np.where(better, code, choice)
            starts[number][:ranges, length] = value
            ends[number][length:, length] = value
            choices[number][:ranges, length] = choice
    return Bracketing(starts, choices, count, list(leaves))
