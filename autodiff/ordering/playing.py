"""Plans as pages that play them: one HTML file that needs no network.

Python writes what the page shows (sizes, structures, steps of three orders, the table of the
dynamic programme) as JSON; scripts among the assets of `autodiff.draw` draw it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodiff.errors import DrawingError

if TYPE_CHECKING:
    from autodiff.draw.webpage import Html
    from autodiff.ordering.plan import Plan

__all__ = ["MAX_PLAYED", "Playable", "compared", "order_row"]

MAX_PLAYED = 50_000
"""Most products of an order that a page plays: more are too slow in a browser."""

_SCRIPTS = ("rectangles", "plan-model", "plan-chain", "plan-graph", "plan-table", "plan-main")


class Playable:
    """A chain or a graph: what plans are made of, and pages play plans of."""

    def to_html(
        self,
        path: str | PathLike[str] | None = None,
        plan: Plan | str | None = None,
        *,
        title: str | None = None,
    ) -> Path | Html:
        """Write a page that plays a plan beside the forward and the reverse order.

        One file that loads nothing. Local Jacobians are rectangles in proportion to their shapes,
        drawn as they are structured; a slider plays the multiplications, with running totals. Of
        a chain the table of the dynamic programme is filled in first; of a graph one sees
        which vertex goes, or which face, and which edges that makes.

        Parameters
        ----------
        path : str or path-like, optional
            File to write. Without it the page is returned; notebooks show it.
        plan : Plan or str, optional
            A plan of this problem, or the name of an order to plan; by default what ``plan()``
            gives.
        title : str, optional
            By default what is planned, in words.

        Returns
        -------
        Path or str
            The file, or the page's text.

        Raises
        ------
        DrawingError
            There are too many steps to play, or they eliminate neither vertices nor faces.
        FileNotFoundError
            There is no such folder.
        ValueError
            Unknown order, or the plan is another problem's.

        Examples
        --------
        >>> from autodiff.ordering import Chain
        >>> page = Chain.from_shapes([(5, 1000), (1000, 5), (1, 1000)]).to_html()
        >>> page.splitlines()[0], "https://" in page.split("<script")[0]
        ('<!DOCTYPE html>', False)
        """
        from autodiff.draw.webpage import assemble, save

        if plan is None or isinstance(plan, str):
            plan = self._planned(plan)
        data = self._played(plan)
        data["title"] = title or f"{plan.name} order of {plan.subject}"
        data["subject"] = plan.subject
        data["scarcity"] = self.scarcity_text
        return save(assemble("plan", "plan", _SCRIPTS, data), path)

    @property
    def scarcity_text(self) -> str:
        """Whether fewer numbers than the Jacobian's elements say the same, if that is known."""
        return ""

    @abstractmethod
    def _planned(self, order: str | None) -> Plan:
        """Plan an order, or the default one."""

    @abstractmethod
    def _played(self, plan: Plan) -> dict[str, Any]:
        """What a page shows of a plan, as JSON; ``assets/plan-model.js`` describes its form."""


def compared(plan: Plan, forward: Plan, reverse: Plan) -> list[Plan]:
    """Orders to play side by side: the plan, then forward and reverse where it is neither."""
    same = [other.name for other in (forward, reverse) if other.steps == plan.steps]
    name = " = ".join(dict.fromkeys([plan.name, *same]))
    others = [other for other in (forward, reverse) if other.name not in same]
    return [replace(plan, name=name), *others]


def order_row(plan: Plan, steps: Iterable[list[Any]]) -> dict[str, Any]:
    """What a page shows of one order; refuses what is too long to play."""
    rows = list(steps)
    if len(rows) > MAX_PLAYED:
        raise DrawingError(
            f"to_html: the {plan.name} order has {len(rows):,} steps, more than {MAX_PLAYED:,}; "
            "print the plan as text"
        )
    return {
        "name": plan.name,
        "cost": plan.cost,
        "proven": int(plan.proven_optimal),
        "bound": plan.lower_bound,
        "machines": plan.machines,
        "makespan": plan.makespan,
        "held": plan.memory.matrix_elements,
        "tape": plan.memory.tape_edges,
        "steps": rows,
    }
