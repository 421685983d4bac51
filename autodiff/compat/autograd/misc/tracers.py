"""Functions whose operations are recorded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from autodiff import tree
from autodiff.compat.autograd.tracer import getval
from autodiff.transforms.record import record

__all__ = ["const_graph"]

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
