"""The steps of a chain's plan: what each move costs, and what is held on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.ordering.chain.bracketing import (
    ADJOINTS,
    MULTIPLY,
    TANGENTS,
    Bracketing,
    bracket,
)
from autodiff.ordering.steps import Memory, Step

__all__ = [
    "ACCUMULATE_ADJOINTS",
    "ACCUMULATE_TANGENTS",
    "STEP_NAMES",
    "PlanBuilder",
    "Range",
    "range_of",
]

_ITEM_BYTES = 8
ACCUMULATE_TANGENTS = "accumulate tangents"
ACCUMULATE_ADJOINTS = "accumulate adjoints"
STEP_NAMES = {
    MULTIPLY: "multiply",
    TANGENTS: "push tangents through",
    ADJOINTS: "pull adjoints through",
}
Range = tuple[int, int]


def range_of(factors: Any) -> Range:
    """A range of factors as it stands in a step."""
    first, last = factors
    return int(first), int(last)


class PlanBuilder:
    """Collects the steps of a chain's plan."""

    def __init__(
        self, factors: Sequence[tuple[int, int, int]], explicit: bool, memory: int | None
    ) -> None:
        self.factors = factors
        self.explicit = explicit
        self.limit = memory
        self.steps: list[Step] = []
        self.rows = [m for m, _, _ in factors]
        self.columns = [n for _, n, _ in factors]
        self.edges = [edges for _, _, edges in factors]
        self.count = len(factors)
        self.total = [0]
        for edges in self.edges:
            self.total.append(self.total[-1] + edges)

    def sum_edges(self, first: int, last: int) -> int:
        """Edges of the tape of a range of factors, counted from 0."""
        return self.total[last + 1] - self.total[first]

    def fits(self, first: int, last: int) -> bool:
        """Whether adjoints may go through a range of factors at once."""
        return self.limit is None or self.sum_edges(first, last) <= self.limit

    def add(
        self, operation: str, operands: tuple[Range, ...], result: Range, fma: int, start: int
    ) -> None:
        """Add a step; factors are counted from 0 here, and from 1 in the step."""
        first, last = result
        shape = (self.rows[last], self.columns[first])
        self.steps.append(
            Step(
                operation,
                tuple((low + 1, high + 1) for low, high in operands),
                (first + 1, last + 1),
                shape,
                "dense",
                fma,
                _ITEM_BYTES * shape[0] * shape[1],
                start,
            )
        )

    def accumulate(self, number: int, adjoints: bool, start: int) -> None:
        """Make a factor a matrix, where it is not one already."""
        if self.explicit:
            return
        seeds = self.rows[number] if adjoints else self.columns[number]
        operation = ACCUMULATE_ADJOINTS if adjoints else ACCUMULATE_TANGENTS
        here = (number, number)
        self.add(operation, (here,), here, seeds * self.edges[number], start)

    def join(self, move: int, first: int, split: int, last: int, start: int) -> int:
        """Put F_first..F_split and the factors up to F_last together; return what it costs."""
        m, n = self.rows[last], self.columns[first]
        if move == MULTIPLY:
            fma = m * self.rows[split] * n
        elif move == TANGENTS:
            fma = n * self.sum_edges(split + 1, last)
        else:
            fma = m * self.sum_edges(first, split)
        operands = ((split + 1, last), (first, split))
        self.add(STEP_NAMES[move], operands, (first, last), fma, start)
        return fma

    def forward(self) -> None:
        """Tangents of all inputs through all factors; of matrices, products from the right."""
        last = self.count - 1
        self.accumulate(0, False, 0)
        spent = self.steps[-1].fma if self.steps else 0
        if self.explicit:
            for number in range(1, self.count):
                spent += self.join(MULTIPLY, 0, number - 1, number, spent)
        elif last:
            self.join(TANGENTS, 0, 0, last, spent)

    def reverse(self) -> None:
        """Adjoints of all outputs through all factors, in parts that fit the memory."""
        last = self.count - 1
        if self.explicit:
            spent = 0
            for number in range(last - 1, -1, -1):
                spent += self.join(MULTIPLY, number, number, last, spent)
            return
        for number in range(last, -1, -1):
            if not self.fits(number, number):
                raise ValueError(
                    f"reverse needs adjoints of factor {number + 1}, whose tape has "
                    f"{self.edges[number]:,} edges, more than memory={self.limit:,}; "
                    "order 'optimal' keeps to any memory"
                )
        self.accumulate(last, True, 0)
        spent = self.steps[-1].fma
        split = last - 1
        while split >= 0:
            first = split
            while first > 0 and self.fits(first - 1, split):
                first -= 1
            spent += self.join(ADJOINTS, first, split, last, spent)
            split = first - 1

    def leaves(self, worst: bool = False) -> list[tuple[int, bool]]:
        """What making each factor a matrix costs, and whether adjoints do it."""
        found = []
        for number in range(self.count):
            m, n = self.rows[number], self.columns[number]
            chosen = self.fits(number, number) and (m > n if worst else m < n)
            cost = (m if chosen else n) * self.edges[number]
            found.append((0 if self.explicit else cost, chosen))
        return found

    def moves(self, order: str) -> tuple[int, ...]:
        """Moves that join two ranges of factors in an order."""
        if self.explicit or order == "preaccumulate":
            return (MULTIPLY,)
        return (MULTIPLY, TANGENTS, ADJOINTS)

    def tables(self, order: str, machines: int) -> Bracketing:
        """The finished dynamic programme of an order, on no more machines than factors."""
        worst = order == "worst"
        leaves = [cost for cost, _ in self.leaves(worst)]
        moves = self.moves(order)
        return bracket(
            self.rows, self.columns, self.edges, leaves, moves, self.limit, machines, worst
        )

    def bracketed(self, order: str, machines: int) -> int:
        """Steps of the best or worst bracketing; returns its makespan."""
        worst = order == "worst"
        machines = 1 if worst else min(machines, self.count)
        tables = self.tables(order, machines)
        adjoint = [chosen for _, chosen in self.leaves(worst)]
        # Ranges still to be made, then joined: (first, last, machines, start, seen)
        last = self.count - 1
        stack: list[tuple[int, int, int, int, bool]] = [(0, last, machines, 0, False)]
        while stack:
            first, last, share, start, seen = stack.pop()
            if first == last:
                self.accumulate(first, adjoint[first], start)
                continue
            node = tables.node(first, last, share)
            left = (first, node.split, node.left_machines)
            right = (node.split + 1, last, node.right_machines)
            wanted = {MULTIPLY: (left, right), TANGENTS: (left,), ADJOINTS: (right,)}[node.move]
            if seen:
                values = [tables.value(*part) for part in wanted]
                ready = start + (max(values) if node.side_by_side else sum(values))
                self.join(node.move, first, node.split, last, ready)
                continue
            stack.append((first, last, share, start, True))
            begin = start
            for part in wanted:
                stack.append((*part, begin, False))
                if not node.side_by_side:
                    begin += tables.value(*part)
        return tables.value(0, self.count - 1, machines)

    def memory(self) -> Memory:
        """Largest tape of a step, and most elements of matrices held at once."""
        tape = 0
        held: dict[Any, int] = {}
        peak = 0
        if self.explicit:
            held = {(i, i): m * n for i, (m, n, _) in enumerate(self.factors, 1)}
            peak = sum(held.values())
        now = peak
        for step in self.steps:
            if step.operation == ACCUMULATE_ADJOINTS:
                swept = range_of(step.operands[0])
            elif step.operation == STEP_NAMES[ADJOINTS]:
                swept = range_of(step.operands[1])
            else:
                swept = None
            if swept is not None:
                tape = max(tape, self.sum_edges(swept[0] - 1, swept[1] - 1))
            held[step.result] = step.shape[0] * step.shape[1]
            now += held[step.result]
            peak = max(peak, now)
            if not step.operation.startswith("accumulate"):
                for operand in step.operands:
                    now -= held.pop(operand, 0)
        return Memory(tape, peak)
