"""Functions whose operations are recorded once, and graphs of operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from autodiff import tree
from autodiff.compat.autograd.tracer import Node, getval, trace
from autodiff.transforms.record import record

__all__ = ["FullGraphNode", "const_graph", "const_graph_unary", "full_graph"]

Function = Callable[..., Any]


def const_graph(fun: Function, *args: Any, **kwargs: Any) -> Function:
    """Record a function at its first call; later calls run what was recorded.

    Parameters
    ----------
    fun : function
        Its operations must not depend on the values.
    *args, **kwargs
        Arguments that stay the same; they come first.
    """
    fixed = partial(fun, *args, **kwargs)
    tapes: list[Any] = []

    def recorded(*args: Any) -> Any:
        if tapes:
            return tapes[0].evaluate(*args)
        outs: list[Any] = []

        def observed(*args: Any) -> Any:
            outs.append(fixed(*args))
            return outs[0]

        tapes.append(record(observed)(*args))
        return tree.map_leaves(getval, outs[0])

    return recorded


def const_graph_unary(fun: Function) -> Function:
    """`const_graph` of a function of one argument."""
    return const_graph(fun)


class FullGraphNode(Node):
    """An operation: its `value`, and as `recipe` the function, its arguments, and its parents.

    Those are pairs of the number of an argument and the node that computed it.
    """

    __slots__ = ["recipe", "value"]

    def __init__(
        self,
        value: Any,
        fun: Function,
        args: Any,
        kwargs: dict[str, Any],
        parent_argnums: Sequence[int],
        parents: Sequence[Any],
    ) -> None:
        self.value = value
        self.recipe = (fun, args, kwargs, list(zip(parent_argnums, parents, strict=True)))

    def initialize_root(self, *args: Any, **kwargs: Any) -> None:
        """Set up the node of the inputs."""
        self.value = None
        self.recipe = (lambda x: x, (), {}, [])


def full_graph(fun: Function, *args: Any, **kwargs: Any) -> Any:
    """Evaluate a function, and return the node of the operation that its value is of.

    Examples
    --------
    >>> import numpy as np
    >>> node = full_graph(lambda x, y: np.sin(x * y), 2.0, 3.0)
    >>> fun, args, kwargs, parents = node.recipe
    >>> fun.__name__, [argnum for argnum, parent in parents], parents[0][1].recipe[0].__name__
    ('sin', [0], 'multiply')
    """
    _, node = trace(FullGraphNode.new_root(), lambda xs: fun(*xs, **kwargs), args)
    return node
