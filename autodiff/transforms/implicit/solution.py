"""One solve: what a solver found, differentiable through the equation that it solves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from autodiff import tree
from autodiff.core.arrays import as_value, is_number, zeros_of
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.interpret.boxed import pull_back
from autodiff.tensor import Tensor
from autodiff.transforms.call import Call, chosen, jvp_of, substituted
from autodiff.transforms.closure import Closed, Output, is_operand
from autodiff.transforms.implicit.system import LinearSolver, System
from autodiff.transforms.implicit.vectors import Vectors
from autodiff.views import origin

__all__ = ["Solution"]

Values = Sequence[Any]


class Solution:
    """What ``solver(*args)`` found, a function of the arguments through an equation.

    The solver gets plain arrays, and what it computes of Tensors from outside is plain. At the
    solution, ``residual(x, *args)`` is zero, whatever the arguments and whatever it closes over.

    Parameters
    ----------
    name : str
        For messages and tapes.
    solver : callable
        Returns the solution, a container of numbers and arrays; what else there is to say, of which
        integers and booleans are the examples' own in a batch; and marks, a container of arrays of
        integers that say which equations hold (those of the constraints that are active).
    residual : function of the solution, the marks and the arguments
        Returns as many numbers as the solution has.
    args : tuple of containers of arrays
    unknowns : str
        What messages call the solution.
    linear : "auto", "dense", "iterative" or a function
        How systems with the residual's Jacobian are solved.
    symmetric : bool
        Whether that Jacobian is symmetric.
    checks : bool
        Whether to warn, where a derivative is taken, if the solution is none.
    thorough : bool
        Whether the residual may use Tensors from outside that the solver does not.
    made_of : hashable
    """

    def __init__(
        self,
        name: str,
        solver: Callable[..., tuple[Any, Any, Any]],
        residual: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        unknowns: str = "x",
        linear: LinearSolver = "auto",
        symmetric: bool = False,
        checks: bool = False,
        thorough: bool = True,
        made_of: Hashable = None,
    ) -> None:
        self.name = name
        self.unknowns = unknowns
        self.linear = linear
        self.symmetric = symmetric
        self.checks = checks
        self.made_of = made_of
        self.solving = Closed(name, args, {}, boxed=False, plain=True)
        self.result = self.solving.discover(functools.partial(_found, name, solver))
        structure, template = self.result.trees[0]
        self.count = len(template)
        for entry, path in zip(template, tree.paths(structure, unknowns), strict=True):
            what = self.result.specs[entry.position] if isinstance(entry, Output) else entry
            if not isinstance(what, Spec) or not is_inexact(what.dtype):
                raise TypeError(
                    f"{name}: the solver must return floating-point numbers or arrays, or "
                    f"containers of them; {path} is {what!r}"
                )
        leaves = self.result.arrays[: self.count]
        self.specs = self.result.specs[: self.count]
        self.inputs: list[Any] = self.solving.inputs()
        if not self.inputs and not thorough:
            return
        marks, places = self.result.trees[2]
        self.marks = [entry.position for entry in places if isinstance(entry, Output)]
        known = self.count + len(self.marks)
        slots = [*range(known), *[known + slot for slot in self.solving.slots]]
        found = tree.unflatten(structure, leaves)
        chosen = tree.unflatten(marks, [self.result.arrays[place] for place in self.marks])
        self.equation = Closed(
            f"{name}: the residual", (found, chosen, *args), {}, boxed=False, slots=slots
        )
        residuals = self.equation.discover(lambda *given: (residual(*given),))
        self.equation.known = None
        self._join_inputs()
        self.vectors = Vectors(self.specs)
        self.size = self.vectors.size
        self.residuals = self._vectors_of_residual(residuals.specs)

    def _vectors_of_residual(self, specs: Sequence[Spec]) -> Vectors:
        odd = next((spec for spec in specs if not is_inexact(spec.dtype)), None)
        if odd is not None:
            raise TypeError(
                f"{self.name}: the residual must return floating-point arrays, one is {odd}"
            )
        vectors = Vectors(specs)
        if vectors.size != self.size:
            raise ValueError(
                f"{self.name}: the residual has {vectors.size} numbers, shapes "
                f"{[spec.shape for spec in specs]}, for {self.size} unknowns, shapes "
                f"{[spec.shape for spec in self.specs]}; it must have as many equations as unknowns"
            )
        return vectors

    def _join_inputs(self) -> None:
        """Number the Tensors that the solver or the residual uses."""
        parameters = len(self.solving.boxes)
        self.inputs = list(self.solving.boxes)
        places: dict[int, int] = {}
        for box in (*self.solving.outside, *self.equation.outside):
            if id(origin(box)) not in places:
                places[id(origin(box))] = len(self.inputs)
                self.inputs.append(box)
        self.solver_inputs, self.equation_inputs = (
            [*range(parameters), *[places[id(origin(box))] for box in closed.outside]]
            for closed in (self.solving, self.equation)
        )

    def evaluate(self) -> tuple[Any, Any]:
        """Solution, differentiable, and what else there is to say."""
        if not self.inputs:
            arrays = self.result.arrays
            return self.result.build(0, (), arrays), self.result.build(1, (), arrays)
        paths = self.solving.paths()[: len(self.solving.boxes)]
        outside = len(self.inputs) - len(paths)
        call = Call(
            self.name,
            self._solved,
            [*paths, *[f"outside Tensor {i}" for i in range(outside)]],
            pull_rule=self._pull,
            push_rule=self._push,
            flops=self.solving.flops,
            takes_batches=False,
            made_of=self.made_of,
        )
        try:
            outs = call.call(*self.inputs)
        finally:
            self.solving.known = None
            self.result.arrays = []
        inputs = [self.inputs[i] for i in self.solver_inputs]
        return self.result.build(0, inputs, outs), self.result.build(1, inputs, outs)

    def _solved(self, *values: Any) -> tuple[Any, ...]:
        return self.solving(*[values[i] for i in self.solver_inputs])

    def residual(self, unknown: Any, *values: Any) -> Any:
        """Residual as a vector, of the unknowns as a vector."""
        marks, inputs = values[: len(self.marks)], values[len(self.marks) :]
        given = [inputs[i] for i in self.equation_inputs]
        return self.residuals.joined(self.equation(*self.vectors.parted(unknown), *marks, *given))

    def _pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> list[Any]:
        unknown, values = self._at_solution(xs, outs)
        (g,) = pull_back(Tensor, self.vectors.parted, [unknown], gs[: self.count])
        w = System(self, transposed=True).solve(g, unknown, *values)
        residual = self._residual_of(active, unknown, values)
        pulled = pull_back(Tensor, residual, chosen(xs, active), [-w])
        return substituted([None] * len(xs), active, pulled)

    def _push(self, xs: Values, ts: Values, outs: Values) -> list[Any]:
        unknown, values = self._at_solution(xs, outs)
        active = [t is not None for t in ts]
        residual = self._residual_of(active, unknown, values)
        moving = chosen(xs, active)
        tangents = [t for t in ts if t is not None]
        (change,) = jvp_of(residual, (True,) * len(moving), *moving, *tangents)
        moved = System(self, transposed=False).solve(-change, unknown, *values)
        return [*self.vectors.parted(moved), *map(zeros_of, outs[self.count :])]

    def _at_solution(self, xs: Values, outs: Values) -> tuple[Any, list[Any]]:
        """Unknowns as a vector, and what the residual takes besides."""
        marks = [outs[place] for place in self.marks]
        return self.vectors.joined(outs[: self.count]), [*marks, *xs]

    def _residual_of(
        self, active: Sequence[bool], unknown: Any, values: Values
    ) -> Callable[..., tuple[Any, ...]]:
        """Residual as a function of those inputs that are marked."""
        flags = [*[False] * len(self.marks), *active]

        def residual(*moving: Any) -> tuple[Any, ...]:
            return (self.residual(unknown, *substituted(values, flags, moving)),)

        return residual


def _found(name: str, solver: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """Solution with arrays in the place of Python's numbers, which solvers often return."""
    found, beside, marks = solver(*args)

    def array(leaf: Any) -> Any:
        value = as_value(leaf) if is_number(leaf) else leaf
        if is_operand(value) and spec_of(value).dtype.kind in "iub":
            return value.astype(float)
        return value

    return tree.map_leaves(array, found), tree.map_leaves(_counted, beside), marks


def _counted(leaf: Any) -> Any:
    """Integers and booleans as arrays, so that each example of a batch has its own."""
    return as_value(leaf) if isinstance(leaf, int) else leaf
