"""Chains of Jacobians F_q' ... F_2' F_1': which bracketing costs least."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import Any, Protocol, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodiff.ordering.bracketing import ADJOINTS, MULTIPLY, TANGENTS, bracket
from autodiff.ordering.plan import Memory, Plan, Step, format_range

__all__ = ["CHAIN_ORDERS", "Chain", "Elemental"]

CHAIN_ORDERS = ("forward", "reverse", "preaccumulate", "optimal", "worst")
_ITEM_BYTES = 8
_ACCUMULATE_TANGENTS = "accumulate tangents"
_ACCUMULATE_ADJOINTS = "accumulate adjoints"
_STEP_NAMES = {
    MULTIPLY: "multiply",
    TANGENTS: "push tangents through",
    ADJOINTS: "pull adjoints through",
}
_Range = tuple[int, int]


class Elemental(Protocol):
    """A factor that is known by its products alone."""

    def jvp(self, tangents: NDArray[Any], /) -> NDArray[Any]:
        """Jacobian times a matrix whose columns are tangents, shape (n, s) to (m, s)."""

    def vjp(self, adjoints: NDArray[Any], /) -> NDArray[Any]:
        """A matrix whose rows are adjoints times the Jacobian, shape (s, m) to (s, n)."""


class Chain:
    """A chain of functions F_q o ... o F_2 o F_1, to accumulate its Jacobian at least cost.

    One tangent or one adjoint of a factor goes through its tape and costs as many fused
    multiply-adds (fma) as that has edges. A factor can be made a matrix by as many tangents as it
    has inputs, or adjoints as it has outputs; matrices can be multiplied, and pushed or pulled
    through the tapes of further factors.

    Parameters
    ----------
    factors : sequence of (m, n, edges)
        F_1, which is applied first, stands first; F_i maps R^n to R^m, and `edges` is what one
        tangent or adjoint of it costs.

    Raises
    ------
    TypeError
        A size is no integer.
    ValueError
        There are no factors, a size is not positive, or sizes do not meet; says which factor's.

    Notes
    -----
    The matrix-free dense Jacobian chain bracketing problem of Naumann, "On the computational cost
    of Jacobian chain products" (2020). Costs are exact Python integers.

    Examples
    --------
    >>> chain = Chain([(2, 4, 100), (32, 2, 100)])
    >>> chain.plan("forward").cost, chain.plan("reverse").cost, chain.plan("optimal").cost
    (800, 6400, 600)
    """

    def __init__(
        self, factors: Sequence[tuple[SupportsIndex, SupportsIndex, SupportsIndex]]
    ) -> None:
        self._build([_factor(number, entry) for number, entry in enumerate(factors, 1)], False)

    @classmethod
    def from_shapes(cls, shapes: Sequence[tuple[SupportsIndex, SupportsIndex]]) -> Chain:
        """A chain of matrices that are there already, so that products are the only steps.

        Parameters
        ----------
        shapes : sequence of (m, n)
            Of the matrix applied first, first.

        Examples
        --------
        >>> Chain.from_shapes([(5, 1000), (1000, 5), (1, 1000)]).plan("optimal").cost
        10000
        """
        chain = cls.__new__(cls)
        chain._build(
            [_factor(number, (*shape, None)) for number, shape in enumerate(shapes, 1)], True
        )
        return chain

    @classmethod
    def from_arrays(cls, matrices: Sequence[ArrayLike]) -> Chain:
        """A chain of given matrices, the one applied first first.

        Examples
        --------
        >>> import numpy as np
        >>> Chain.from_arrays([np.ones((2, 3)), np.ones((4, 2))])
        <Chain of 2 matrices, R^3 -> R^4>
        """
        shapes = []
        for number, matrix in enumerate(matrices, 1):
            shape = np.shape(matrix)
            if len(shape) != 2:
                raise ValueError(f"factor {number} has shape {shape}; a matrix has two axes")
            shapes.append(shape)
        return cls.from_shapes(shapes)

    def _build(self, factors: list[tuple[int, int, int]], explicit: bool) -> None:
        if not factors:
            raise ValueError("a chain needs at least one factor")
        for number, (before, after) in enumerate(pairwise(factors), 1):
            if before[0] != after[1]:
                raise ValueError(
                    f"factor {number + 1} takes {after[1]} inputs, but factor {number} before it "
                    f"has {before[0]} outputs; n of each factor must be m of the one before"
                )
        self.factors: tuple[tuple[int, int, int], ...] = tuple(factors)
        self.explicit = explicit
        self._rows = [m for m, _, _ in factors]
        self._columns = [n for _, n, _ in factors]
        self._edges = [edges for _, _, edges in factors]
        text = f"chain {explicit} {factors}"
        self.signature = hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.factors)

    def __repr__(self) -> str:
        return f"<Chain of {self._subject()}>"

    def _subject(self) -> str:
        kind = "matrix" if self.explicit else "factor"
        plural = {"matrix": "matrices", "factor": "factors"}[kind]
        count = f"{len(self)} {kind if len(self) == 1 else plural}"
        return f"{count}, R^{self._columns[0]} -> R^{self._rows[-1]}"

    # --- planning ---------------------------------------------------------------------------------

    def plan(self, order: str = "optimal", memory: int | None = None, machines: int = 1) -> Plan:
        """Plan the accumulation of the chain's Jacobian.

        Parameters
        ----------
        order : {"forward", "reverse", "preaccumulate", "optimal", "worst"}
            "forward" pushes tangents through all factors, "reverse" pulls adjoints;
            "preaccumulate" makes each factor a matrix and brackets the product best; "optimal" is
            the cheapest mixture of all moves, by dynamic programming in O(q^3); "worst" is the
            dearest, for comparison.
        memory : int, optional
            Most tape edges that adjoints may go through at once; by default any number. Tangents
            need no tape.
        machines : int
            Among which the two halves of a product may be divided to run side by side. The
            makespan is then what "optimal" and "preaccumulate" minimise.

        Returns
        -------
        Plan

        Raises
        ------
        ValueError
            Unknown order; `machines` below 1, a negative `memory`; or adjoints of a factor that
            has more edges than `memory` are needed ("reverse"): says which factor.
        """
        if order not in CHAIN_ORDERS:
            raise ValueError(f"order is {order!r}; it must be one of {', '.join(CHAIN_ORDERS)}")
        machines = index(machines)
        if machines < 1:
            raise ValueError(f"machines is {machines}; it must be at least 1")
        if memory is not None:
            memory = index(memory)
            if memory < 0:
                raise ValueError(f"memory is {memory}; it cannot be negative")
        builder = _PlanBuilder(self, memory)
        proven = False
        makespan: int | None = None
        if order == "forward":
            builder.forward()
        elif order == "reverse":
            builder.reverse()
        else:
            makespan = builder.bracketed(order, machines)
            proven = order == "optimal"
        cost = sum(step.fma for step in builder.steps)
        finish = cost if makespan is None else makespan
        name = order if memory is None else f"{order} (at most {memory:,} tape edges)"
        return Plan(
            kind="chain",
            name=name,
            steps=tuple(builder.steps),
            cost=cost,
            memory=builder.memory(),
            makespan=finish,
            machines=machines,
            proven_optimal=proven,
            lower_bound=(finish if machines > 1 else cost) if proven else None,
            forward_cost=self.sweep_cost("forward"),
            reverse_cost=self.sweep_cost("reverse"),
            signature=self.signature,
            subject=f"a chain of {self._subject()}",
        )

    def sweep_cost(self, mode: str) -> int:
        """Cost of the whole chain in one sweep, ``"forward"`` or ``"reverse"``.

        Examples
        --------
        >>> Chain([(2, 4, 100), (32, 2, 100)]).sweep_cost("forward")
        800
        """
        if mode not in ("forward", "reverse"):
            raise ValueError(f"mode is {mode!r}; it must be 'forward' or 'reverse'")
        # A matrix that is there already need not be accumulated
        if mode == "forward":
            return self._columns[0] * sum(self._edges[1:] if self.explicit else self._edges)
        return self._rows[-1] * sum(self._edges[:-1] if self.explicit else self._edges)

    # --- execution --------------------------------------------------------------------------------

    def execute(self, plan: Plan, elementals: Sequence[ArrayLike | Elemental]) -> NDArray[Any]:
        """Accumulate the Jacobian of real factors as planned, one step after another.

        Parameters
        ----------
        plan : Plan
            Made by this chain, or by one of the same sizes.
        elementals : sequence of array or Elemental
            The factors' Jacobians, F_1's first: a matrix of shape (m, n), or an object with the
            methods ``jvp`` (tangents as columns) and ``vjp`` (adjoints as rows).

        Returns
        -------
        ndarray
            Of shape (m of the last factor, n of the first).

        Raises
        ------
        TypeError
            An elemental is neither.
        ValueError
            The plan is another chain's, there are more or fewer elementals than factors, or one
            has another shape.

        Examples
        --------
        >>> import numpy as np
        >>> matrices = [np.ones((2, 3)), np.ones((4, 2))]
        >>> chain = Chain.from_arrays(matrices)
        >>> chain.execute(chain.plan("optimal"), matrices).shape
        (4, 3)
        """
        plan.check(self.signature, f"the chain of {self._subject()}")
        if len(elementals) != len(self):
            raise ValueError(f"got {len(elementals)} elementals for {len(self)} factors")
        sweeps = [
            _sweep(number, entry, (m, n))
            for number, (entry, (m, n, _)) in enumerate(
                zip(elementals, self.factors, strict=True), 1
            )
        ]
        matrices: dict[_Range, NDArray[Any]] = {}
        if self.explicit:
            for number, sweep in enumerate(sweeps, 1):
                if not isinstance(sweep, _Matrix):
                    raise TypeError(
                        f"elemental {number} is no matrix, but the chain is one of matrices"
                    )
                matrices[number, number] = sweep.matrix
        for step in plan.steps:
            result = _range(step.result)
            if step.operation == _ACCUMULATE_TANGENTS:
                factor = sweeps[result[0] - 1]
                value = factor.jvp(np.eye(self._columns[result[0] - 1]))
            elif step.operation == _ACCUMULATE_ADJOINTS:
                factor = sweeps[result[0] - 1]
                value = factor.vjp(np.eye(self._rows[result[0] - 1]))
            else:
                outer, inner = map(_range, step.operands)
                if step.operation == _STEP_NAMES[MULTIPLY]:
                    value = matrices.pop(outer) @ matrices.pop(inner)
                elif step.operation == _STEP_NAMES[TANGENTS]:
                    value = matrices.pop(inner)
                    for number in range(outer[0], outer[1] + 1):
                        value = sweeps[number - 1].jvp(value)
                else:
                    value = matrices.pop(outer)
                    for number in range(inner[1], inner[0] - 1, -1):
                        value = sweeps[number - 1].vjp(value)
            if value.shape != step.shape:
                raise ValueError(
                    f"{step.operation}: {format_range(result)} came out in shape {value.shape}, "
                    f"not {step.shape}; check the elementals' jvp and vjp"
                )
            matrices[result] = value
        return matrices[1, len(self)]


class _PlanBuilder:
    """Collects the steps of a chain's plan."""

    def __init__(self, chain: Chain, memory: int | None) -> None:
        self.chain = chain
        self.limit = memory
        self.steps: list[Step] = []
        self.rows, self.columns, self.edges = chain._rows, chain._columns, chain._edges
        self.count = len(chain)
        self.total = [0]
        for edges in self.edges:
            self.total.append(self.total[-1] + edges)

    def sum_edges(self, first: int, last: int) -> int:
        """Edges of the tape of a range of factors, counted from 0."""
        return self.total[last + 1] - self.total[first]

    def fits(self, first: int, last: int) -> bool:
        return self.limit is None or self.sum_edges(first, last) <= self.limit

    def add(
        self, operation: str, operands: tuple[_Range, ...], result: _Range, fma: int, start: int
    ) -> None:
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
        if self.chain.explicit:
            return
        seeds = self.rows[number] if adjoints else self.columns[number]
        operation = _ACCUMULATE_ADJOINTS if adjoints else _ACCUMULATE_TANGENTS
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
        self.add(_STEP_NAMES[move], operands, (first, last), fma, start)
        return fma

    def forward(self) -> None:
        """Tangents of all inputs through all factors; of matrices, products from the right."""
        last = self.count - 1
        self.accumulate(0, False, 0)
        spent = self.steps[-1].fma if self.steps else 0
        if self.chain.explicit:
            for number in range(1, self.count):
                spent += self.join(MULTIPLY, 0, number - 1, number, spent)
        elif last:
            self.join(TANGENTS, 0, 0, last, spent)

    def reverse(self) -> None:
        """Adjoints of all outputs through all factors, in parts that fit the memory."""
        last = self.count - 1
        if self.chain.explicit:
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

    def bracketed(self, order: str, machines: int) -> int:
        """Steps of the best or worst bracketing; returns its makespan."""
        worst = order == "worst"
        adjoint = []
        leaves = []
        for number in range(self.count):
            m, n = self.rows[number], self.columns[number]
            chosen = self.fits(number, number) and (m > n if worst else m < n)
            adjoint.append(chosen)
            cost = (m if chosen else n) * self.edges[number]
            leaves.append(0 if self.chain.explicit else cost)
        moves: tuple[int, ...] = (MULTIPLY, TANGENTS, ADJOINTS)
        if self.chain.explicit or order == "preaccumulate":
            moves = (MULTIPLY,)
        if worst:
            machines = 1
        machines = min(machines, self.count)
        tables = bracket(
            self.rows, self.columns, self.edges, leaves, moves, self.limit, machines, worst
        )
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
        if self.chain.explicit:
            held = {(i, i): m * n for i, (m, n, _) in enumerate(self.chain.factors, 1)}
            peak = sum(held.values())
        now = peak
        for step in self.steps:
            if step.operation == _ACCUMULATE_ADJOINTS:
                swept = _range(step.operands[0])
            elif step.operation == _STEP_NAMES[ADJOINTS]:
                swept = _range(step.operands[1])
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


def _range(factors: Any) -> _Range:
    first, last = factors
    return int(first), int(last)


def _factor(number: int, entry: Sequence[Any]) -> tuple[int, int, int]:
    """Check (m, n, edges); edges of None are those of a dense matrix."""
    try:
        m, n, edges = entry
    except (TypeError, ValueError):
        raise ValueError(f"factor {number} is {entry!r}; it must be (m, n, edges)") from None
    checked: list[int] = []
    for name, value in (("m", m), ("n", n), ("edges", edges)):
        if name == "edges" and value is None:
            value = checked[0] * checked[1]
        try:
            size = index(value)
        except TypeError:
            raise TypeError(
                f"factor {number}: {name} is {value!r}; it must be an integer"
            ) from None
        if size < 1:
            raise ValueError(f"factor {number}: {name} is {size}; it must be at least 1")
        checked.append(size)
    return checked[0], checked[1], checked[2]


class _Matrix:
    """A matrix as an elemental."""

    def __init__(self, matrix: NDArray[Any]) -> None:
        self.matrix = matrix

    def jvp(self, tangents: NDArray[Any]) -> NDArray[Any]:
        product: NDArray[Any] = self.matrix @ tangents
        return product

    def vjp(self, adjoints: NDArray[Any]) -> NDArray[Any]:
        product: NDArray[Any] = adjoints @ self.matrix
        return product


def _sweep(number: int, entry: Any, shape: tuple[int, int]) -> Elemental:
    if callable(getattr(entry, "jvp", None)) and callable(getattr(entry, "vjp", None)):
        elemental: Elemental = entry
        return elemental
    matrix = np.asarray(entry)
    if matrix.dtype == object:
        raise TypeError(
            f"elemental {number} is a {type(entry).__name__}; it must be a matrix or have the "
            "methods jvp and vjp"
        )
    if matrix.shape != shape:
        raise ValueError(f"elemental {number} has shape {matrix.shape}; factor {number}: {shape}")
    return _Matrix(matrix)
