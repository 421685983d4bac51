"""The recorded graph under a loss, read without changing it: its nodes and their cotangents."""

from __future__ import annotations

from typing import Any

from autodiff.core.arrays import unit
from autodiff.core.dispatch import concrete
from autodiff.interpret.graph import Leaf, Node, nodes_behind
from autodiff.interpret.sweep import sweep

__all__ = ["Trace"]


class Trace:
    """Every node that a scalar depends on, and its cotangent.

    Attributes
    ----------
    nodes : tuple of Node
        In order of evaluation, the variables among them.
    released : bool
        Whether a backward sweep has released saved values, so that there are no cotangents.
    """

    def __init__(self, loss: Node, value: Any) -> None:
        self.nodes = tuple(nodes_behind([loss]))
        self.released = any(node.saved is None for node in self.nodes)
        self._cotangents = {} if self.released else _cotangents(self.nodes, loss, value)
        self._first_use: dict[Node, int] = {}
        for node in self.nodes:
            for parent in node.parents:
                if isinstance(parent, Node):
                    self._first_use.setdefault(parent, node.sequence)

    def holds(self, node: Node) -> bool:
        """Whether the loss depends on this node."""
        return node in self._first_use or (bool(self.nodes) and node is self.nodes[-1])

    def cotangent(self, node: Node) -> Any:
        """Array, or None where no derivative arrives."""
        if self.released:
            return concrete(getattr(node, "grad", None))
        return self._cotangents.get(node)

    def first_use(self, node: Node) -> int:
        """Sequence number of the first operation on a node: how early it enters."""
        return self._first_use.get(node, node.sequence)


def _cotangents(nodes: tuple[Node, ...], loss: Node, value: Any) -> dict[Node, Any]:
    """Sweep a copy of the graph, which shares the saved values and nothing that a sweep changes.

    No ``grad`` is touched, no value released and no hook called.
    """
    copies: dict[Any, Node] = {}
    for node in nodes:
        copies[node] = _copy(node, copies)
    seed = unit(loss.spec.dtype, value)
    leaves = sweep([(copies[loss], seed)], keep_tape=True, keep_grads=True)
    found: dict[Node, Any] = {}
    for node, copy in copies.items():
        g = leaves.get(copy) if node.pullback is None else getattr(copy, "grad", None)
        if g is not None:
            found[node] = concrete(g)
    return found


_SHARED = ("form", "name", "outputs", "params", "pullback", "saved", "sequence", "source")


def _copy(node: Node, copies: dict[Any, Node]) -> Node:
    copy: Node = object.__new__(Leaf if node.pullback is None else Node)
    for slot in _SHARED:
        if hasattr(node, slot):
            setattr(copy, slot, getattr(node, slot))
    copy.parents = tuple(
        copies[parent] if isinstance(parent, Node) else parent for parent in node.parents
    )
    return copy
