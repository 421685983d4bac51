"""Chains of Jacobians F_q' ... F_2' F_1': which bracketing costs least."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodiff.ordering.chain.bracketing import MULTIPLY, TANGENTS
from autodiff.ordering.chain.elemental import Elemental, Matrix, as_elemental
from autodiff.ordering.chain.played import chain_data
from autodiff.ordering.chain.steps import (
    ACCUMULATE_ADJOINTS,
    ACCUMULATE_TANGENTS,
    STEP_NAMES,
    PlanBuilder,
    Range,
    range_of,
)
from autodiff.ordering.plan import Plan
from autodiff.ordering.playing import Playable, compared
from autodiff.ordering.steps import format_range
from autodiff.tape.signature import digest

__all__ = ["CHAIN_ORDERS", "Chain"]

CHAIN_ORDERS = ("forward", "reverse", "preaccumulate", "optimal", "worst")


class Chain(Playable):
    """A chain of functions F_q o ... o F_2 o F_1, to accumulate its Jacobian at least cost.

    One tangent or one adjoint of a factor goes through its tape and costs as many fused
    multiply-adds (fma) as that has edges. A factor can be made a matrix by as many tangents as it
    has inputs, or adjoints as it has outputs; matrices can be multiplied, and pushed or pulled
    through the tapes of further factors.

    Parameters
    ----------
    factors : sequence of (m, n, edges)
        F_1, which is applied first, comes first; F_i maps R^n to R^m, and `edges` is what one
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

        Returns
        -------
        Chain

        Raises
        ------
        TypeError
            A size is no integer.
        ValueError
            There are no matrices, one has not two sizes, a size is not positive, or sizes do not
            meet; says which factor's.

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
        """A chain of given matrices.

        Parameters
        ----------
        matrices : sequence of array
            The one applied first comes first.

        Returns
        -------
        Chain

        Raises
        ------
        ValueError
            There are no matrices, an array has not two axes, or sizes do not meet; says which
            factor's.

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
        self.signature = digest(("chain", explicit, self.factors))

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
        TypeError
            `memory` or `machines` is no integer.
        ValueError
            Unknown order; `machines` below 1, a negative `memory`; or adjoints of a factor that
            has more edges than `memory` are needed ("reverse"): says which factor.

        Examples
        --------
        >>> plan = Chain([(2, 4, 100), (4, 2, 100)]).plan("optimal", machines=2)
        >>> plan.cost, plan.makespan
        (432, 232)
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
        builder = PlanBuilder(self.factors, self.explicit, memory)
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
            limit=memory,
            problem=self,
        )

    def _planned(self, order: str | None) -> Plan:
        return self.plan() if order is None else self.plan(order)

    def _played(self, plan: Plan) -> dict[str, Any]:
        plan.check(self.signature, f"the chain of {self._subject()}")
        builder = PlanBuilder(self.factors, self.explicit, plan.limit)
        return chain_data(builder, compared(plan, self.plan("forward"), self.plan("reverse")))

    def sweep_cost(self, mode: str) -> int:
        """Cost of the whole chain in one sweep.

        Parameters
        ----------
        mode : {"forward", "reverse"}

        Returns
        -------
        int
            Fused multiply-adds.

        Raises
        ------
        ValueError
            Unknown mode.

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
            as_elemental(number, entry, (m, n))
            for number, (entry, (m, n, _)) in enumerate(
                zip(elementals, self.factors, strict=True), 1
            )
        ]
        matrices: dict[Range, NDArray[Any]] = {}
        if self.explicit:
            for number, sweep in enumerate(sweeps, 1):
                if not isinstance(sweep, Matrix):
                    raise TypeError(
                        f"elemental {number} is no matrix, but the chain is one of matrices"
                    )
                matrices[number, number] = sweep.matrix
        for step in plan.steps:
            result = range_of(step.result)
            if step.operation == ACCUMULATE_TANGENTS:
                factor = sweeps[result[0] - 1]
                value = factor.jvp(np.eye(self._columns[result[0] - 1]))
            elif step.operation == ACCUMULATE_ADJOINTS:
                factor = sweeps[result[0] - 1]
                value = factor.vjp(np.eye(self._rows[result[0] - 1]))
            else:
                outer, inner = map(range_of, step.operands)
                if step.operation == STEP_NAMES[MULTIPLY]:
                    value = matrices.pop(outer) @ matrices.pop(inner)
                elif step.operation == STEP_NAMES[TANGENTS]:
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
