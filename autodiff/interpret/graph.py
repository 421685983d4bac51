"""The graph that reverse mode records: nodes, the leaves that derivatives are taken by, hooks.

Each operation on a boxed input adds a `Node`: the compiled pullback, the parents, and the values
that the rules name. Nodes are numbered as they are made, so descending numbers are a topological
order of the graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np

from autodiff.core.arrays import SCALARS, as_array
from autodiff.core.dispatch import Box
from autodiff.core.memory import read_only
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec, spec_of
from autodiff.errors import RuleError
from autodiff.interpret.cotangents import Slot
from autodiff.views import handed_out, snapshot

__all__ = [
    "Hooks",
    "Leaf",
    "Node",
    "Projection",
    "add_hook",
    "make_node",
    "next_sequence",
    "nodes_behind",
    "projection",
    "run_hooks",
]

next_sequence = itertools.count().__next__
_SEQUENCE = attrgetter("sequence")


class Node:
    """One recorded operation.

    ``parents`` has one entry per input: a node, or for a constant its number or `Spec`. ``saved``
    is None once a sweep has released it. ``form`` describes the result: the type of a NumPy
    scalar, which says all there is to know, or else (shape, dtype). Only some nodes have
    ``params`` (there are any), ``outputs`` (there are several), ``source`` (recorded under
    ``debug()``), ``name``, ``grad`` and ``hooks``.

    There is no ``__init__``: an object made empty and filled in costs a third of one that is made
    by a constructor in Python (`make_node`, off the hot path, is the same with less to write).
    """

    __slots__ = (
        "form",
        "grad",
        "hooks",
        "name",
        "outputs",
        "params",
        "parents",
        "pullback",
        "saved",
        "sequence",
        "source",
    )

    sequence: int
    pullback: Pullback | Projection | None
    parents: tuple[Any, ...]
    saved: tuple[Any, ...] | None
    form: Any
    params: dict[str, Any]
    outputs: tuple[Spec, ...]
    source: str | None
    name: str | None
    grad: Any
    hooks: list[Callable[[Any], Any]]

    @property
    def spec(self) -> Spec:
        """Shape and dtype of the result."""
        form = self.form
        return Spec(*form) if type(form) is tuple else Spec((), np.dtype(form))


class Leaf(Node):
    """An input of the graph: what derivatives are taken with respect to.

    ``value`` is its present value, and ``assigned`` the sequence number at which it got that.
    """

    __slots__ = ("assigned", "value")

    def __init__(self, value: Any, name: str | None = None) -> None:
        self.sequence = next_sequence()
        self.pullback = None
        self.parents = ()
        self.saved = ()
        self.form = _form_of(value)
        self.grad = None
        self.name = name
        self.value = value
        self.assigned = self.sequence

    def assign(self, value: Any) -> None:
        """Replace the value; what was recorded before keeps the former one."""
        self.value = value
        self.assigned = next_sequence()


def _form_of(value: Any) -> Any:
    return type(value) if type(value) in SCALARS else (value.shape, value.dtype)


def make_node(
    pullback: Pullback | Projection,
    parents: tuple[Any, ...],
    saved: tuple[Any, ...],
    out: Any,
) -> Node:
    """Node of an operation whose (first) result is `out`."""
    node = Node()
    node.sequence = next_sequence()
    node.pullback = pullback
    node.parents = parents
    node.saved = saved
    node.form = _form_of(out)
    return node


class Projection:
    """Pullback of choosing one output of an operation that has several."""

    __slots__ = ("position", "rule_names")

    # As of a `Pullback`
    is_root = False
    trusted = False
    pull_over = None

    def __init__(self, position: int) -> None:
        self.position = position
        self.rule_names = (f"output {position}",)

    def pull(self, g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        """Hand the cotangent on as one output's."""
        return (Slot(self.position, g),)

    swept = pull


projection = cache(Projection)
"""The pullback of one position, the same object each time."""


def nodes_behind(outputs: Iterable[Node | None]) -> list[Node]:
    """Nodes that the outputs depend on, themselves included, in the order of evaluation."""
    seen = {node for node in outputs if node is not None}
    stack = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=_SEQUENCE)


class Hooks:
    """Whether any hook was ever added: sweeps look for hooks only then."""

    exist = False


def add_hook(node: Node, hook: Callable[[Any], Any]) -> Callable[[], None]:
    """Call `hook` with a node's cotangent in each sweep; returns a function that removes it."""
    if not callable(hook):
        raise TypeError(
            f"register_hook takes a function of the cotangent, not {type(hook).__name__}"
        )
    Hooks.exist = True
    if not hasattr(node, "hooks"):
        node.hooks = []
    node.hooks.append(hook)
    return lambda: node.hooks.remove(hook)


def run_hooks(node: Node, g: Any) -> Any:
    """Cotangent of a node after its hooks have seen it; one of them may replace it."""
    for hook in list(node.hooks):
        replaced = hook(handed_out(read_only(g)))
        if replaced is not None:
            replaced = snapshot(replaced) if isinstance(replaced, Box) else as_array(replaced)
            if spec_of(replaced) != node.spec:
                raise RuleError(
                    f"hook {getattr(hook, '__name__', hook)!r} returned a cotangent "
                    f"{spec_of(replaced)} for a Tensor {node.spec}"
                )
            g = replaced
    return g
