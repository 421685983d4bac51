"""A function evaluated once, with every value and how it was made, for edge pushing.

Vertices are numbered as in `ordering.graph.tapegraph`: the inputs first, then every value that
depends on them, in the order of evaluation. An operation with several results has several.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from autodiff import tree
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.interpret.cotangents import conform, materialised
from autodiff.ops.descriptions import Operation
from autodiff.ops.elementwise import multiply, square
from autodiff.tape.entries import Variable
from autodiff.tape.ir import Tape
from autodiff.tape.staging import Stage, stage
from autodiff.tape.values import differentiated
from autodiff.tensor import Tensor

__all__ = ["Evaluated", "Step", "evaluated"]


class _Keeping(Stage):
    """Evaluates, writes down, and keeps what each operation gave."""

    def __init__(self) -> None:
        super().__init__(Tensor)
        self.results: list[Any] = []

    def _written(
        self, primitive: Primitive, operands: tuple[int, ...], out: Any, params: dict[str, Any]
    ) -> Any:
        self.results.append(out)
        return super()._written(primitive, operands, out, params)


class Step(NamedTuple):
    """One operation that the result depends on through its derivative.

    Attributes
    ----------
    primitive : Primitive
    params : dict
    operands : list
        Values of the inputs.
    out : value, or tuple of several
    active : tuple of bool
        Which inputs carry a derivative.
    sources : tuple of (position, vertex)
        Where those come from.
    vertices : tuple of int or None
        Vertex of each result; None for those without a derivative, or that nothing uses.
    """

    primitive: Primitive
    params: dict[str, Any]
    operands: list[Any]
    out: Any
    active: tuple[bool, ...]
    sources: tuple[tuple[int, int], ...]
    vertices: tuple[int | None, ...]

    @property
    def pullback(self) -> Pullback:
        """The compiled rules for the inputs that carry a derivative."""
        found = self.primitive.pullbacks[self.active]
        assert found is not None
        return found

    @property
    def is_curved(self) -> bool:
        """Whether a rule looks at what is differentiated: there may be second derivatives."""
        positions = [position for position, _ in self.sources]
        names = {"out", *(self.primitive.input_name(position) for position in positions)}
        return not names.isdisjoint(self.pullback.names)

    def specs(self) -> list[Spec]:
        """Of the results."""
        outs = self.out if isinstance(self.out, tuple) else (self.out,)
        return [spec_of(out) for out in outs]

    def operation(self, active: tuple[bool, ...] | None = None) -> Operation:
        """Return the operation with its numbers, differentiated by all or some of its inputs."""
        pullback = self.pullback if active is None else self.primitive.pullbacks[active]
        assert pullback is not None
        saved = pullback.save(self.out, self.params, *self.operands)
        inputs = [spec_of(value) for value in self.operands]
        return Operation(
            self.primitive, pullback, saved, inputs, self.specs(), self.params, self.operands
        )

    def pulled(self, cotangents: Sequence[Any], wanted: Sequence[int]) -> dict[int, Any]:
        """Cotangents of the inputs at some positions, of those of the results."""
        active = tuple([position in wanted for position in range(len(self.operands))])
        pullback = self.primitive.pullbacks[active]
        assert pullback is not None
        saved = pullback.save(self.out, self.params, *self.operands)
        found = pullback.pull(self.seed(cotangents), saved)
        specs = {position: spec_of(self.operands[position]) for position in wanted}
        return {
            position: conform(materialised(found[position]), spec.shape, spec.dtype)
            for position, spec in specs.items()
        }

    def seed(self, cotangents: Sequence[Any]) -> Any:
        """What the rules take: one cotangent, or those of all results."""
        several = isinstance(self.out, tuple)
        return tuple(cotangents) if several else cotangents[0]


class Evaluated:
    """A scalar function of arrays at a point.

    Attributes
    ----------
    inputs : list of Spec
    steps : list of Step
        In the order of evaluation.
    output : int or None
        Vertex of the result; None where it depends on no input.
    value
        The result.
    tape : Tape
    """

    def __init__(
        self, inputs: list[Spec], steps: list[Step], output: int | None, value: Any, tape: Tape
    ) -> None:
        self.inputs = inputs
        self.steps = steps
        self.output = output
        self.value = value
        self.tape = tape

    @property
    def signature(self) -> Hashable:
        """Of the tape: equal for functions of the same operations and shapes."""
        return self.tape.signature

    def is_plain(self) -> bool:
        """Whether all values are real numbers, not those of a transform further out."""
        for step in self.steps:
            outs = step.out if isinstance(step.out, tuple) else (step.out,)
            for value in (*step.operands, *outs):
                if isinstance(value, Box) or spec_of(value).dtype.kind == "c":
                    return False
        return True


def _past_root(step: Step, makers: dict[int, Step]) -> Step:
    """Return the square of what a root made as one operation on what that was made of."""
    is_square = step.primitive is square
    if step.primitive is multiply:
        is_square = len(step.sources) == 2 and step.sources[0][1] == step.sources[1][1]
    root = makers.get(step.sources[0][1]) if is_square else None
    if root is None or root.primitive.square is None:
        return step
    return root._replace(primitive=root.primitive.square, out=step.out, vertices=step.vertices)


def evaluated(
    function: Callable[..., Any], values: Sequence[Any], structure: tree.PyTreeSpec
) -> Evaluated | None:
    """Evaluate a function of flat inputs; None where it does not give one value."""
    keeping = _Keeping()
    tape, outs = stage(function, keeping, values, [None] * len(values), structure)
    if len(outs) != 1 or tape.out_tree is None or not tape.out_tree.is_leaf():
        return None
    memory: dict[int, Any] = {v.slot: value for v, value in zip(tape.inputs, values, strict=True)}
    for entry in tape:
        out = keeping.results[entry.position]
        results = out if isinstance(out, tuple) else (out,)
        memory.update({v.slot: r for v, r in zip(entry.outputs, results, strict=True)})
    needed = {output.slot for output in tape.outputs}
    kept = []
    for entry, active in reversed(list(differentiated(tape))):
        if any(variable.slot in needed for variable in entry.outputs):
            kept.append((entry, active))
            needed |= {o.slot for o, flag in zip(entry.inputs, active, strict=True) if flag}
    numbers = {variable.slot: i for i, variable in enumerate(tape.inputs)}
    count = len(numbers)
    steps = []
    makers: dict[int, Step] = {}
    for entry, active in reversed(kept):
        operands = [memory[o.slot] if isinstance(o, Variable) else o.value for o in entry.inputs]
        sources = tuple(
            [
                (position, numbers[operand.slot])
                for position, (operand, flag) in enumerate(zip(entry.inputs, active, strict=True))
                if flag
            ]
        )
        vertices: list[int | None] = []
        for variable in entry.outputs:
            own = variable.slot in needed and is_inexact(variable.spec.dtype)
            vertices.append(count if own else None)
            if own:
                numbers[variable.slot] = count
                count += 1
        out = keeping.results[entry.position]
        step = Step(entry.primitive, entry.params, operands, out, active, sources, tuple(vertices))
        step = _past_root(step, makers)
        makers.update({vertex: step for vertex in vertices if vertex is not None})
        steps.append(step)
    output = numbers.get(tape.outputs[0].slot)
    return Evaluated([v.spec for v in tape.inputs], steps, output, outs[0], tape)
