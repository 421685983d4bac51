"""Recomputing a function in the backward sweep instead of storing what it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np

from autodiff.transforms.arguments import Function, P, R, check_transform, code_of, function_name
from autodiff.transforms.call import Call
from autodiff.transforms.closure import Closed
from autodiff.transforms.transformed import Transformed

__all__ = ["checkpoint"]


@overload
def checkpoint(f: np.ufunc) -> Callable[..., Any]: ...


@overload
def checkpoint(f: Callable[P, R]) -> Callable[P, R]: ...


def checkpoint(f: Function) -> Function:
    """Return the same function, recomputed in the sweep instead of stored.

    Of an evaluation, reverse mode keeps the inputs alone; the backward sweep runs `f` again,
    recording, and goes back through that. A chain of n steps cut into sqrt(n) checkpointed pieces
    keeps O(sqrt(n)) values for one more evaluation (Griewank and Walther 2008, chapter 12); pieces
    may be cut again.

    Parameters
    ----------
    f : callable on containers of arrays, returning one
        Tensors that it uses from outside (parameters, what it closes over) are found and
        differentiated as its arguments are. It must compute the same each time it is called: draw
        random numbers outside and pass them in. Arrays that it is given are read-only.

    Returns
    -------
    callable
        Takes what `f` takes, under every transform.

    Raises
    ------
    TypeError
        `f` is no function.
    TapeError
        In the backward sweep: `f`, evaluated again, used other Tensors or returned other shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def loss(x):
    ...     for _ in range(3):
    ...         x = ad.checkpoint(np.tanh)(x)
    ...     return np.sum(x)
    >>> ad.grad(loss)(np.zeros(2))
    array([1., 1.])
    >>> [entry.primitive.name for entry in ad.record(loss)(np.zeros(2))]
    ['tanh', 'tanh', 'tanh', 'sum']
    """
    check_transform(f, "checkpoint")
    return Transformed(_checkpoint, f)


def _checkpoint(f: Function, /, *args: Any, **keywords: Any) -> Any:
    def run(*args: Any, **keywords: Any) -> tuple[Any, ...]:
        return (f(*args, **keywords),)

    name = function_name(f)
    closed = Closed(f"checkpoint of {name}", args, keywords, boxed=True)
    result = closed.discover(run)
    if not closed.inputs():
        return result.build(0, (), result.arrays)
    call = Call(name, closed, closed.paths(), flops=closed.flops, made_of=code_of(f))
    return closed.evaluate(call)
