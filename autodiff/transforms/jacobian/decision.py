"""Which order a Jacobian is accumulated in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.core.spec import spec_of
from autodiff.transforms.jacobian.forward import forward as sweep_forward
from autodiff.transforms.jacobian.problem import Blocks, Problem
from autodiff.transforms.jacobian.reverse import measure_sweep
from autodiff.transforms.jacobian.reverse import reverse as sweep_reverse

__all__ = ["ORDERS", "check_order", "execute"]

_FEWEST_SEEDS = 16
"""Rows or columns below which no order can gain much on a sweep."""


_WORTH_PRICING = 2**14
"""Bytes of the cotangents of one sweep below which evaluating the function once more, for the
forward order, takes longer than the whole sweep back."""


def _auto(problem: Problem) -> Blocks:
    """Record, compare what the orders cost, and go the cheapest way."""
    recorded = problem.record()
    rows = sum(spec_of(out).size for out in recorded.outs)
    columns = sum(leaf.spec.size for leaf in recorded.leaves)
    forward = False
    measure = None
    if rows > columns:
        measure = measure_sweep(recorded.nodes, price=False)
    if measure is not None and rows * measure.held_bytes >= _WORTH_PRICING:
        measure = measure_sweep(recorded.nodes, price=True)
        forward = (columns + 1) * measure.tangent_flops < rows * measure.adjoint_flops
    if forward or min(rows, columns) >= _FEWEST_SEEDS:
        from autodiff.ordering.execute import auto

        blocks = auto(problem, recorded, forward)
        if blocks is not None:
            return blocks
    if forward:
        del recorded
        return sweep_forward(problem)
    return sweep_reverse(problem, recorded, measure)


def _cross_country(problem: Problem) -> Blocks:
    """Eliminate vertices of the recorded graph in the order that planning finds."""
    from autodiff.ordering.execute import cross_country

    return cross_country(problem)


ORDERS: dict[str, Callable[..., Blocks]] = {
    "auto": _auto,
    "forward": sweep_forward,
    "reverse": sweep_reverse,
    "cross-country": _cross_country,
}
"""How each order is carried out: a function of the problem."""


def execute(order: Any, problem: Problem) -> Blocks:
    """Accumulate a Jacobian in an order: one of `ORDERS`, or a plan."""
    if isinstance(order, str):
        return ORDERS[order](problem)
    from autodiff.ordering.execute import execute_plan

    return execute_plan(problem, order)


def _is_plan(order: Any) -> bool:
    from autodiff.ordering.plan import Plan

    return isinstance(order, Plan)


def check_order(order: Any) -> None:
    """Refuse what is no order."""
    known = order in ORDERS if isinstance(order, str) else _is_plan(order)
    if not known:
        names = ", ".join(map(repr, ORDERS))
        raise ValueError(f"jacobian: order={order!r} is not one of {names}, nor a plan")
