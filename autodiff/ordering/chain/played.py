"""What a page shows of a chain's plan."""

from __future__ import annotations

from typing import Any

from autodiff.ordering.chain.bracketing import MULTIPLY, TANGENTS, Bracketing
from autodiff.ordering.chain.steps import PlanBuilder
from autodiff.ordering.plan import Plan
from autodiff.ordering.playing import order_row

__all__ = ["chain_data"]

_MOST_TABLED = 40
"""Factors beyond which the table of the dynamic programme has too many cells to be read."""
_MOST_OFFERED = 14
"""Factors beyond which cells do not say what other splits would cost."""


def chain_data(builder: PlanBuilder, orders: list[Plan]) -> dict[str, Any]:
    """Sizes, the orders' steps, and the table of the first order's dynamic programme.

    Parameters
    ----------
    builder : PlanBuilder
        Of the chain, with the memory limit of the first order.
    orders : list of Plan
    """
    return {
        "kind": "chain",
        "explicit": int(builder.explicit),
        "factors": [list(factor) for factor in builder.factors],
        "orders": [
            order_row(
                plan,
                (
                    [step.operation, list(step.operands), step.result, step.fma, step.start]
                    for step in plan.steps
                ),
            )
            for plan in orders
        ],
        "table": _table(builder, orders[0]) if builder.count <= _MOST_TABLED else None,
    }


def _table(builder: PlanBuilder, plan: Plan) -> dict[str, Any]:
    """Cells by length: first and last factor from 1, value, move, split, and what splits cost.

    Orders that no programme finds (forward, reverse) have the table of the optimum beside them.
    """
    order = plan.name.partition(" ")[0]
    if order not in ("preaccumulate", "worst"):
        order = "optimal"
    machines = 1 if order == "worst" else min(plan.machines, builder.count)
    tables = builder.tables(order, machines)
    moves = builder.moves(order)
    cells: list[list[Any]] = []
    for length in range(builder.count):
        for first in range(builder.count - length):
            last = first + length
            value = tables.value(first, last, machines)
            if not length:
                cells.append([first + 1, last + 1, value, -1, 0, []])
                continue
            node = tables.node(first, last, machines)
            offers = []
            if machines == 1 and builder.count <= _MOST_OFFERED:
                offers = _offers(builder, tables, moves, first, last, order == "worst")
            cells.append([first + 1, last + 1, value, node.move, node.split + 1, offers])
    return {"order": order, "machines": machines, "cells": cells}


def _offers(
    builder: PlanBuilder,
    tables: Bracketing,
    moves: tuple[int, ...],
    first: int,
    last: int,
    worst: bool,
) -> list[list[int]]:
    """Best move of each split of a range: the split from 1, the move, the total, the join alone."""
    m, n = builder.rows[last], builder.columns[first]
    found = []
    for split in range(first, last):
        left, right = tables.value(first, split), tables.value(split + 1, last)
        offers = []
        for move in moves:
            if move == MULTIPLY:
                join = m * builder.rows[split] * n
                offers.append((left + right + join, move, join))
            elif move == TANGENTS:
                join = n * builder.sum_edges(split + 1, last)
                offers.append((left + join, move, join))
            elif builder.fits(first, split):
                join = m * builder.sum_edges(first, split)
                offers.append((right + join, move, join))
        best = max(offers, key=lambda o: o[0]) if worst else min(offers, key=lambda o: o[0])
        found.append([split + 1, best[1], best[0], best[2]])
    return found
