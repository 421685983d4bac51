"""Solvers whose results jump: they take plain arrays, and say what to do with Tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.optimize as so

from autodiff import tree
from autodiff.core.dispatch import Box
from autodiff.errors import NonDifferentiableError

__all__ = ["linear_sum_assignment", "linprog", "milp"]

_REMEDIES = {
    "linear_sum_assignment": (
        "the assignment jumps from one to another: find it of plain numbers, with "
        "linear_sum_assignment(cost.data), and differentiate what it costs, "
        "np.sum(cost[rows, columns])"
    ),
    "linprog": (
        "the solution of a linear programme jumps between corners: solve it of plain numbers and "
        "differentiate c @ x, or add a small quadratic term and use optimize.minimize"
    ),
    "milp": (
        "the solution of an integer programme jumps: solve it of plain numbers and differentiate "
        "c @ x"
    ),
}


def _refusing(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(so, name)

    def on_arrays(*args: Any, **options: Any) -> Any:
        if any(isinstance(leaf, Box) for leaf in tree.leaves((args, options))):
            raise NonDifferentiableError(f"{name} has no derivative; {_REMEDIES[name]}")
        return function(*args, **options)

    on_arrays.__name__ = on_arrays.__qualname__ = name
    on_arrays.__doc__ = f"""``scipy.optimize.{name}`` of plain arrays; Tensors are refused.

    Raises
    ------
    NonDifferentiableError
        An argument is a Tensor: {_REMEDIES[name].partition(":")[0]}.

    Examples
    --------
    >>> from autodiff.scipy import optimize
    >>> callable(optimize.{name})
    True
    """
    return on_arrays


linear_sum_assignment = _refusing("linear_sum_assignment")
linprog = _refusing("linprog")
milp = _refusing("milp")
