"""The graph of local Jacobians behind a recorded function or a tape.

Vertices are numbered: the inputs first, then every value that depends on them and that an output
depends on, in the order of evaluation. The same function recorded for reverse mode and on a tape
gives the same graph, so a plan made for one serves the other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from autodiff import tree
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.interpret.graph import Node, Projection, nodes_behind
from autodiff.ordering.local import Operation, local_jacobian
from autodiff.ordering.maps import Identity, LinearMap
from autodiff.ordering.pairs import as_pairs, paired_jacobian
from autodiff.tape.entries import Constant, Entry, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.signature import vertex_key
from autodiff.tape.values import differentiated

__all__ = ["Made", "TapeGraph", "of_nodes", "of_tape"]

Edge = tuple[int, int]


class Made(NamedTuple):
    """How a vertex is computed: one output of an operation.

    ``sources`` pairs positions of inputs with the vertices at those places.
    """

    primitive: Primitive
    pullback: Pullback
    saved: tuple[Any, ...] | None
    params: dict[str, Any]
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    output: int
    sources: tuple[Edge, ...]


class TapeGraph:
    """Vertices, how each is made, and the maps on the edges.

    Attributes
    ----------
    specs : list of Spec
        Of every vertex, as its numbers count for the derivative.
    count_inputs : int
        The first so many vertices are inputs.
    made : list of Made
        Of the vertices after the inputs.
    outputs : list of int or None
        Vertex of each output leaf; None where it depends on no input.
    paired : bool
        Whether inputs and outputs are real: complex values between them are pairs of numbers.
    names : list of str
        Of the vertices, where a tape gave them: inputs and named values by their own, others by
        their primitive's.
    """

    def __init__(
        self,
        inputs: Sequence[Spec],
        made: Sequence[Made],
        outputs: Sequence[int | None],
        names: Sequence[str] = (),
    ) -> None:
        self.count_inputs = len(inputs)
        self.made = list(made)
        self.outputs = list(outputs)
        self.names = list(names)
        self.specs = [*inputs, *(entry.outputs[entry.output] for entry in self.made)]
        ends = [*inputs, *(self.specs[v] for v in outputs if v is not None)]
        self.paired = all(spec.dtype.kind == "f" for spec in ends)
        if self.paired:
            self.specs = list(map(as_pairs, self.specs))

    def __len__(self) -> int:
        return len(self.specs)

    @cached_property
    def signature(self) -> Hashable:
        """What plans depend on: equal for the nodes and the tape of one function."""
        rows: list[Hashable] = []
        for entry in self.made:
            sources: list[Hashable] = list(entry.inputs)
            for position, source in entry.sources:
                sources[position] = source
            key = vertex_key(entry.primitive, entry.params, sources, entry.outputs, entry.output)
            rows.append(key)
        return tuple(self.specs[: self.count_inputs]), tuple(rows), tuple(self.outputs)

    def maps(
        self, known: bool = True, observe: Callable[[LinearMap, LinearMap], Any] | None = None
    ) -> dict[Edge, LinearMap]:
        """Local Jacobian on each edge (source, target); without numbers if not `known`.

        `observe` is called with two maps on one edge before they are added.
        """
        found: dict[Edge, LinearMap] = {}
        for vertex, entry in enumerate(self.made, start=self.count_inputs):
            saved = entry.saved if known else None
            operation = Operation(
                entry.primitive, entry.pullback, saved, entry.inputs, entry.outputs, entry.params
            )
            for position, source in entry.sources:
                kinds = entry.inputs[position].dtype.kind + entry.outputs[entry.output].dtype.kind
                of = paired_jacobian if self.paired and "c" in kinds else local_jacobian
                own = of(operation, position, entry.output)
                own = own if known else own.abstract()
                edge = source, vertex
                former = found.get(edge)
                if former is not None and observe is not None:
                    observe(former, own)
                found[edge] = own if former is None else former.add(own)
        return found

    def ends(self) -> list[int | None]:
        """Vertex at which each output leaf's Jacobian is found.

        That is the output's own where nothing follows it and it is given once, else a sink behind
        it, numbered on after the vertices, so that the output itself can be eliminated.
        """
        followed = {source for entry in self.made for _, source in entry.sources}
        followed.update(range(self.count_inputs))
        found: list[int | None] = []
        for position, vertex in enumerate(self.outputs):
            last = vertex
            if vertex in followed and vertex is not None:
                last = len(self.specs) + position
            elif vertex is not None:
                followed.add(vertex)
            found.append(last)
        return found

    def middle(self) -> list[int]:
        """Vertices to eliminate, in the order of evaluation."""
        last = set(self.ends())
        return [v for v in range(self.count_inputs, len(self.specs)) if v not in last]

    def with_sinks(self, maps: dict[Edge, LinearMap]) -> dict[Edge, LinearMap]:
        """Add the sinks of `ends`, joined to their outputs by identities."""
        complete = dict(maps)
        for vertex, last in zip(self.outputs, self.ends(), strict=True):
            if vertex is not None and last is not None and last >= len(self.specs):
                spec = self.specs[vertex]
                complete[vertex, last] = Identity(spec.shape, dtype=spec.dtype)
        return complete


def of_nodes(
    leaves: Sequence[Node], outputs: Sequence[Node | None], nodes: Sequence[Node] | None = None
) -> TapeGraph | None:
    """Graph of a function recorded for reverse mode; None where a node carries hooks.

    `nodes`: what `nodes_behind` found, where that is known.
    """
    numbers: dict[Node, int] = {leaf: i for i, leaf in enumerate(leaves)}
    # A node makes a new Spec each time it is asked, and each node that uses it asks
    specs: dict[Node, Spec] = {leaf: leaf.spec for leaf in leaves}
    made: list[Made] = []
    for node in nodes_behind(outputs) if nodes is None else nodes:
        if hasattr(node, "hooks"):
            return None
        if node not in specs:
            specs[node] = node.spec
        pullback = node.pullback
        maker, output = node, 0
        if isinstance(pullback, Projection):
            maker, output = node.parents[0], pullback.position
            pullback = maker.pullback
        if not isinstance(pullback, Pullback) or (maker is node and hasattr(node, "outputs")):
            continue
        parents = maker.parents
        inputs = []
        sources = []
        for i, parent in enumerate(parents):
            if isinstance(parent, Node):
                inputs.append(specs[parent])
                sources.append((i, numbers[parent]))
            else:
                inputs.append(parent if isinstance(parent, Spec) else spec_of(parent))
        numbers[node] = len(leaves) + len(made)
        made.append(
            Made(
                pullback.primitive,
                pullback,
                maker.saved,
                getattr(maker, "params", {}),
                tuple(inputs),
                getattr(maker, "outputs", None) or (specs[node],),
                output,
                tuple(sources),
            )
        )
    ends = [None if node is None else numbers[node] for node in outputs]
    return TapeGraph([specs[leaf] for leaf in leaves], made, ends)


def of_tape(
    tape: Tape, values: Sequence[Any] | None = None, argnums: Sequence[int] | None = None
) -> TapeGraph:
    """Graph of a tape, at a point or (`values` None) without numbers.

    Raises
    ------
    ValueError
        No input is of a float dtype, or `argnums` names an argument that is not there.
    """
    chosen = _chosen_inputs(tape, argnums)
    memory = [] if values is None else _evaluated(tape, values)
    needed = {output.slot for output in tape.outputs}
    kept: list[tuple[Entry, tuple[bool, ...]]] = []
    for entry, pattern in reversed(list(differentiated(tape, chosen))):
        if any(variable.slot in needed for variable in entry.outputs):
            kept.append((entry, pattern))
            needed |= {o.slot for o, flag in zip(entry.inputs, pattern, strict=True) if flag}
    numbers = {variable.slot: i for i, variable in enumerate(chosen)}
    made: list[Made] = []
    names = [variable.name or "input" for variable in chosen]
    for entry, pattern in reversed(kept):
        pullback = entry.primitive.pullbacks[pattern]
        assert pullback is not None
        saved = None
        if values is not None:
            operands = [_value(operand, memory) for operand in entry.inputs]
            outs = tuple(memory[variable.slot] for variable in entry.outputs)
            several = len(outs) > 1 or entry.primitive.gives_tuple
            saved = pullback.save(outs if several else outs[0], entry.params, *operands)
        sources = tuple(
            (i, numbers[operand.slot])
            for i, (operand, flag) in enumerate(zip(entry.inputs, pattern, strict=True))
            if flag
        )
        for output, variable in enumerate(entry.outputs):
            if variable.slot in needed and is_inexact(variable.spec.dtype):
                numbers[variable.slot] = len(chosen) + len(made)
                names.append(variable.name or entry.primitive.name)
                made.append(
                    Made(
                        entry.primitive,
                        pullback,
                        saved,
                        entry.params,
                        tuple(operand.spec for operand in entry.inputs),
                        tuple(v.spec for v in entry.outputs),
                        output,
                        sources,
                    )
                )
    ends = [numbers.get(output.slot) for output in tape.outputs]
    return TapeGraph([variable.spec for variable in chosen], made, ends, names)


def _chosen_inputs(tape: Tape, argnums: Sequence[int] | None) -> list[Variable]:
    """Inputs of a float dtype, of all arguments or of those named."""
    inputs: Sequence[Variable] = tape.inputs
    if argnums is not None:
        if tape.in_tree is None:
            arguments: Any = tuple(range(len(inputs)))
        else:
            arguments = tree.unflatten(tape.in_tree, list(range(len(inputs))))
        count = len(arguments)
        for position in argnums:
            if not -count <= position < count:
                raise ValueError(
                    f"jacobian_graph: argument {position} of a function of {count} arguments"
                )
        inputs = [inputs[i] for n in argnums for i in tree.leaves(arguments[n])]
    chosen = [variable for variable in inputs if is_inexact(variable.spec.dtype)]
    if not chosen:
        raise ValueError("jacobian_graph: no input of the tape is of a float or complex dtype")
    return chosen


def _evaluated(tape: Tape, values: Sequence[Any]) -> list[Any]:
    """Every value of the tape at a point, by slot."""
    memory = tape.replay(tape.flat_arguments(values))
    if any(isinstance(value, Box) for value in memory):
        raise TypeError(
            "jacobian_graph: the point is given by Tensors of a transform in progress; give plain "
            "arrays"
        )
    return memory


def _value(operand: Variable | Constant, memory: Sequence[Any]) -> Any:
    if isinstance(operand, Variable):
        return memory[operand.slot]
    return (
        operand.value
        if operand.known
        else np.broadcast_to(np.zeros((), operand.spec.dtype), operand.spec.shape)
    )
