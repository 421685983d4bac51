"""What is known of a recorded function before any sweep: its signature, pattern and core.

Many functions begin by gathering: the arrays of a bundle adjustment are read at the camera and the
point of each observation, a stencil reads its neighbours. Sweeps back need not pass that. They end
at the values that hold nothing but elements of the inputs (the *cut*), and what they find there
belongs to those elements. The Jacobian by the cut, the *core*, has the same rows and more columns;
two rows that read one element do so at different places of the cut, so they may share a sweep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.core.arrays import as_array, as_numpy
from autodiff.core.dispatch import Box
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback, Rule
from autodiff.core.spec import Spec, is_inexact, spec_of
from autodiff.interpret.graph import Node, Projection
from autodiff.ops.descriptions import Nothing, Operation, Reads, Same
from autodiff.ordering import patterns
from autodiff.ordering.patterns import Integers, OverfullError, Pattern, result_pattern, stacked
from autodiff.tape.from_nodes import constant_input
from autodiff.tape.signature import operation_key, value_key

__all__ = ["Recording", "overfull", "read", "signature"]


class Recording(NamedTuple):
    """The structure of a recorded function.

    Attributes
    ----------
    pattern : Pattern
        Outputs by inputs, elements numbered through all of them.
    core : Pattern
        Outputs by the values of the cut.
    cut : tuple of int
        Positions of those values among the nodes.
    origin : array of int
        For each element of the cut the element of the inputs that it is, -1 for none.
    """

    pattern: Pattern
    core: Pattern
    cut: tuple[int, ...]
    origin: Integers


# --- nodes ----------------------------------------------------------------------------------------


def _maker(node: Node) -> tuple[Node, int] | None:
    """Node of the operation that computes a value, and which output it is; None for an input."""
    pullback = node.pullback
    if isinstance(pullback, Projection):
        return node.parents[0], pullback.position
    if not isinstance(pullback, Pullback) or hasattr(node, "outputs"):
        return None
    return node, 0


def _operation(maker: Node, output: int) -> Operation:
    pullback = maker.pullback
    assert isinstance(pullback, Pullback)
    inputs: list[Spec] = []
    constants: list[Any] = []
    for position, parent in enumerate(maker.parents):
        if isinstance(parent, Node):
            inputs.append(parent.spec)
            constants.append(None)
            continue
        value = constant_input(maker, position)
        inputs.append(value if isinstance(value, Spec) else spec_of(value))
        constants.append(None if isinstance(value, (Spec, Box)) else value)
    outputs = getattr(maker, "outputs", None) or (maker.spec,)
    params = getattr(maker, "params", {})
    return Operation(pullback.primitive, None, None, inputs, outputs, params, constants, output)


def signature(
    leaves: Sequence[Node], outputs: Sequence[Node | None], nodes: Sequence[Node]
) -> Hashable:
    """What the structure follows from: equal for two recordings of one pattern and one core.

    Beside operations and shapes these are the indices, the constant inputs (conditions, places),
    and where other constants are zero.

    Parameters
    ----------
    leaves, outputs : sequences of Node
        Of the recorded function.
    nodes : sequence of Node
        Those behind the outputs, in the order of evaluation.
    """
    numbers: dict[Node, int] = {leaf: -1 - i for i, leaf in enumerate(leaves)}
    rows: list[Hashable] = []
    for number, node in enumerate(nodes):
        numbers.setdefault(node, number)
        made = _maker(node)
        if made is None:
            continue
        maker, output = made
        pullback = maker.pullback
        assert isinstance(pullback, Pullback)
        primitive = pullback.primitive
        sources: list[Hashable] = []
        for position, parent in enumerate(maker.parents):
            if isinstance(parent, Node):
                sources.append(numbers[parent])
            else:
                sources.append(_constant_key(primitive, maker, position))
        params = _digested(getattr(maker, "params", {}))
        form = getattr(maker, "outputs", None) or node.form
        rows.append((operation_key(primitive, params, tuple(sources), form), output))
    ends = tuple([None if node is None else numbers[node] for node in outputs])
    return tuple([leaf.form for leaf in leaves]), tuple(rows), ends


def _constant_key(primitive: Primitive, maker: Node, position: int) -> Hashable:
    """What the pattern may follow from of a constant input."""
    name = primitive.input_name(position)
    value = constant_input(maker, position)
    if isinstance(value, (Spec, Box)):
        return spec_of(value)
    described = primitive.local is not None or primitive.pattern is not None
    if name in primitive.constant:
        # A condition chooses between branches, and both belong to the pattern
        return _digest(as_numpy(value)) if described else spec_of(value)
    if not described and not _is_factor(primitive, name):
        return spec_of(value)
    array = as_numpy(value)
    zeros = array.size - np.count_nonzero(array)
    if zeros in (0, array.size):
        return spec_of(value), zeros
    return spec_of(value), _digest(np.packbits(array != 0))


def _is_factor(primitive: Primitive, name: str) -> bool:
    """Whether an input of an elementwise primitive is the partial by another one."""
    rules = primitive.reverse_rules.values() if primitive.kind == "elementwise" else ()
    return any(isinstance(rule, Rule) and rule.passes_on and name in rule.needs for rule in rules)


def _digest(array: Any) -> Hashable:
    if array.size <= 64:
        return value_key(array)
    content = hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16)
    return array.shape, array.dtype, content.digest()


def _digested(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters with short texts in the place of long arrays, for keys that are kept."""
    return {name: _short(value) for name, value in params.items()}


def _short(value: Any) -> Any:
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple([_short(part) for part in value])
    size = getattr(value, "nbytes", 0)
    return _digest(as_numpy(value)) if type(size) is int and size > 64 * 8 else value


# --- propagation ----------------------------------------------------------------------------------


def overfull(node: Node, columns: int) -> ValueError:
    """Say that what a node holds depends on the inputs in too many places."""
    name = "an input"
    made = _maker(node)
    if made is not None:
        name = made[0].pullback.primitive.name  # type: ignore[union-attr]
    return ValueError(
        f"sparsity pattern: the result of {name}, {node.spec}, depends on {columns} inputs in more "
        f"than {patterns.MAX_NONZEROS} places, so it is not sparse; use structure='dense'"
    )


def read(
    leaves: Sequence[Node],
    outputs: Sequence[Node | None],
    sizes: Sequence[int],
    nodes: Sequence[Node],
    peeled: bool = True,
) -> Recording:
    """Find the pattern and the core of a recorded function.

    Parameters
    ----------
    leaves, outputs, nodes
        As for `signature`.
    sizes : sequence of int
        Elements of each output, also of those that depend on no input.
    peeled : bool
        Whether sweeps may end before the inputs.

    Raises
    ------
    ValueError
        A pattern has more than `patterns.MAX_NONZEROS` entries.
    """
    origins = _origins(leaves, nodes, peeled)
    if not peeled:
        return _propagated(leaves, outputs, sizes, nodes, origins)
    try:
        return _propagated(leaves, outputs, sizes, nodes, origins)
    except ValueError:
        # Values that are read many times may have too many entries, and their inputs not
        return read(leaves, outputs, sizes, nodes, peeled=False)


def _origins(leaves: Sequence[Node], nodes: Sequence[Node], peeled: bool) -> dict[Node, Integers]:
    """For values that hold elements of the inputs and nothing else: which element each one is."""
    origins: dict[Node, Integers] = {}
    start = 0
    for leaf in leaves:
        stop = start + leaf.spec.size
        origins[leaf] = np.arange(start, stop)
        start = stop
    for node in nodes if peeled else ():
        made = _maker(node)
        if made is None or node.spec.dtype.kind != "f" or hasattr(node, "hooks"):
            continue
        maker, output = made
        parents = [(i, p) for i, p in enumerate(maker.parents) if isinstance(p, Node)]
        if any(parent not in origins for _, parent in parents):
            continue
        found = _moved(_operation(maker, output), [(i, origins[p]) for i, p in parents])
        if found is not None:
            origins[node] = found
    return origins


def _moved(operation: Operation, sources: Sequence[tuple[int, Integers]]) -> Integers | None:
    """Elements of the inputs that a result holds; None where it computes with them."""
    local = operation.primitive.local
    if local is None:
        return None
    described = [local(operation, position) for position, _ in sources]
    found: Integers | None = None
    for description, (_, origin) in zip(described, sources, strict=True):
        if isinstance(description, Nothing):
            continue
        if not isinstance(description, (Same, Reads)) or callable(description.factor):
            return None
        if description.factor != 1:
            return None
        own = origin
        if isinstance(description, Reads):
            if description.jointly is not None and len(described) > 1:
                return _all_moved(operation, sources, description.jointly())
            places = as_array(description.sources(), np.intp).reshape(-1)
            own = (
                np.where(places < 0, -1, origin[places])
                if origin.size
                else np.full_like(places, -1)
            )
        if found is not None and ((own >= 0) & (found >= 0)).any():
            return None
        found = own if found is None else np.maximum(found, own)
    return found


def _all_moved(
    operation: Operation, sources: Sequence[tuple[int, Integers]], places: Any
) -> Integers:
    """As `_moved`, of elements from several inputs, in one pass over the result."""
    known = dict(sources)
    parts = [np.full(1, -1)]
    for position, spec in enumerate(operation.inputs):
        if position in known:
            parts.append(known[position])
        elif position not in operation.fixed:
            parts.append(np.full(spec.size, -1))
    taken: Integers = np.concatenate(parts)[as_array(places, np.intp).reshape(-1)]
    return taken


def _propagated(
    leaves: Sequence[Node],
    outputs: Sequence[Node | None],
    sizes: Sequence[int],
    nodes: Sequence[Node],
    origins: dict[Node, Integers],
) -> Recording:
    made = {node: _maker(node) for node in nodes if node not in origins}
    uses = {
        parent
        for makes in made.values()
        if makes is not None
        for parent in makes[0].parents
        if isinstance(parent, Node)
    }
    uses |= {node for node in outputs if node is not None}
    cut = [(place, node) for place, node in enumerate(nodes) if node in origins and node in uses]
    columns = sum(node.spec.size for _, node in cut)
    known: dict[Node, Pattern | None] = {}
    start = 0
    for _, node in cut:
        stop = start + node.spec.size
        known[node] = Pattern.identity(start, stop, columns)
        start = stop
    last_use = {
        parent: node
        for node, makes in made.items()
        if makes is not None
        for parent in makes[0].parents
        if isinstance(parent, Node)
    }
    kept = {node for node in outputs if node is not None}
    for node, makes in made.items():
        if makes is None:
            continue
        maker, output = makes
        patterns = [known.get(p) if isinstance(p, Node) else None for p in maker.parents]
        try:
            inexact = is_inexact(node.spec.dtype)
            known[node] = result_pattern(_operation(maker, output), patterns) if inexact else None
        except OverfullError:
            raise overfull(node, sum(leaf.spec.size for leaf in leaves)) from None
        for parent in set(maker.parents) - kept if len(maker.parents) > 1 else maker.parents:
            if isinstance(parent, Node) and last_use[parent] is node and parent not in kept:
                known.pop(parent, None)
    rows = [
        (None if node is None else known[node]) or Pattern.empty(size, columns)
        for node, size in zip(outputs, sizes, strict=True)
    ]
    core = stacked(rows) if rows else Pattern.empty(0, columns)
    count = sum(leaf.spec.size for leaf in leaves)
    origin = np.concatenate([np.zeros(0, np.intp), *(origins[node] for _, node in cut)])
    places = tuple([place for place, _ in cut])
    if np.array_equal(origin, np.arange(count)):
        return Recording(core, core, places, origin)
    return Recording(renamed(core, origin, count), core, places, origin)


def renamed(pattern: Pattern, columns: Integers, count: int) -> Pattern:
    """Pattern whose columns get other numbers, of `count` ones; -1 leaves a column out."""
    targets = columns[pattern.indices]
    keys = pattern.row_indices() * count + targets
    return Pattern.from_keys(keys[targets >= 0], pattern.rows, count)
