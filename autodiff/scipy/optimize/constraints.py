"""Bounds and constraints, whose limits, matrices and arguments may be Tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.optimize as so

from autodiff.core.arrays import as_array
from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.operands import operand
from autodiff.scipy.optimize.objective import Point, jacobian_of
from autodiff.transforms.closure import is_operand
from autodiff.transforms.jacobian.functions import hessian, jacobian

__all__ = ["Bounds", "Constraint", "LinearConstraint", "NonlinearConstraint", "limits_of", "parsed"]


@dataclass
class Bounds:
    """Bounds of the unknowns, as ``scipy.optimize.Bounds``; they may be Tensors.

    Parameters
    ----------
    lb, ub : number or array of shape (n,)
    keep_feasible : bool or array of bool

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy import optimize
    >>> def nearest(lowest):
    ...     found = optimize.minimize(
    ...         lambda x: np.sum((x - 1.0) ** 2), np.zeros(2), bounds=optimize.Bounds(lowest, 5.0)
    ...     )
    ...     return found.x
    >>> ad.jacobian(nearest)(np.array([2.0, -1.0]))
    array([[1., 0.],
           [0., 0.]])
    """

    lb: Any = -np.inf
    ub: Any = np.inf
    keep_feasible: Any = False


@dataclass
class LinearConstraint:
    """``lb <= A x <= ub``, as ``scipy.optimize.LinearConstraint``; all three may be Tensors.

    Parameters
    ----------
    A : array of shape (m, n)
    lb, ub : number or array of shape (m,)
    keep_feasible : bool or array of bool
    """

    A: Any
    lb: Any = -np.inf
    ub: Any = np.inf
    keep_feasible: Any = False


@dataclass
class NonlinearConstraint:
    """``lb <= fun(x) <= ub``, as ``scipy.optimize.NonlinearConstraint``; the limits may be Tensors.

    Parameters
    ----------
    fun : callable
        Written with functions that Tensors go through; what it closes over is differentiated too.
    lb, ub : number or array of shape (m,)
    jac, hess : callable, optional
        By default the derivatives of `fun`.
    keep_feasible : bool or array of bool
    """

    fun: Callable[..., Any]
    lb: Any
    ub: Any
    jac: Any = None
    hess: Any = None
    keep_feasible: Any = False


@dataclass
class Constraint:
    """One constraint: how to evaluate it at a point, and its numbers, which may be Tensors.

    Attributes
    ----------
    fun : function of points, or None for the product of a matrix with the vector.
    data : matrix, or the arguments of `fun`.
    lb, ub : limits
    given : the user's own, whose options are passed on.
    """

    fun: Callable[..., Any] | None
    data: Any
    lb: Any
    ub: Any
    given: Any
    is_equality: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_equality = isinstance(self.given, dict) and self.given["type"] == "eq"

    def numbers(self) -> tuple[Any, Any, Any]:
        """What may be differentiated by."""
        return self.data, self.lb, self.ub

    def values(self, point: Point, v: Any, data: Any) -> Any:
        """Vector of what the limits are about."""
        if self.fun is None:
            return np.reshape(data @ v, (-1,))
        return np.reshape(np.stack(self._returned(point, v, data)), (-1,))

    def _returned(self, point: Point, v: Any, data: Any) -> Any:
        assert self.fun is not None
        found = self.fun(point.point(v), *data)
        if isinstance(found, (list, tuple)):
            return found
        return [found] if is_operand(found) or isinstance(found, Box) else [as_array(found)]

    def for_scipy(self, point: Point, numbers: tuple[Any, Any, Any], method: str) -> Any:
        """Constraint on plain vectors, in the form that the user gave it in."""
        data, lb, ub = numbers
        if self.fun is None:
            return so.LinearConstraint(data, lb, ub, self.given.keep_feasible)

        def values(v: Any) -> Any:
            return self.values(point, v, data)

        given = self.given
        if isinstance(given, dict) and method == "trust-constr":
            given = NonlinearConstraint(self.fun, lb, ub, jac=given.get("jac"))
        if isinstance(given, dict):
            kept = {key: self.given[key] for key in ("type",)}
            own = self.given.get("jac")
            if callable(own):
                return {**kept, "fun": values, "jac": point.of_vector(own, data)}
            return {**kept, "fun": values, "jac": own or jacobian(values)}
        own = given.jac
        derivative: Any
        if callable(own):
            derivative = point.of_vector(own, data)
        elif own is not None and own != "2-point":
            derivative = own
        else:
            exact = jacobian if method != "trust-constr" else None
            derivative = exact(values) if exact else jacobian_of(values, point.size)
        options: dict[str, Any] = {}
        if method == "trust-constr":
            second = given.hess
            is_default = second is None or isinstance(second, so.BFGS)
            options["hess"] = (
                (lambda v, m: hessian(lambda u: as_array(m) @ values(u))(v))
                if is_default
                else second
            )
        return so.NonlinearConstraint(
            values, lb, ub, jac=derivative, keep_feasible=given.keep_feasible, **options
        )


def parsed(constraints: Any) -> list[Constraint]:
    """Constraints from what `minimize` is given: one or several, dictionaries or objects.

    Raises
    ------
    TypeError
        One is neither.
    ValueError
        A dictionary lacks its type or function, or has an unknown type.
    """
    if isinstance(constraints, (dict, *_LINEAR, *_NONLINEAR)):
        constraints = [constraints]
    found = []
    for i, given in enumerate(constraints):
        if isinstance(given, dict):
            kind = str(given.get("type", "")).lower()
            if kind not in ("eq", "ineq") or not callable(given.get("fun")):
                raise ValueError(
                    f"minimize: constraints[{i}] must have 'type' ('eq' or 'ineq') and 'fun' (a "
                    f"function), it has {sorted(given)} and type {given.get('type')!r}"
                )
            args = given.get("args", ())
            args = args if isinstance(args, tuple) else (args,)
            upper = 0.0 if kind == "eq" else np.inf
            found.append(Constraint(given["fun"], args, 0.0, upper, {**given, "type": kind}))
        elif isinstance(given, _LINEAR):
            matrix: Any = given.A
            if callable(getattr(matrix, "toarray", None)):
                matrix = matrix.toarray()
            matrix = operand(matrix)
            if len(spec_of(matrix).shape) == 1:
                matrix = np.reshape(matrix, (1, -1))
            found.append(Constraint(None, matrix, operand(given.lb), operand(given.ub), given))
        elif isinstance(given, _NONLINEAR):
            found.append(Constraint(given.fun, (), operand(given.lb), operand(given.ub), given))
        else:
            raise TypeError(
                f"minimize: constraints[{i}] is a {type(given).__name__}; it must be a dictionary, "
                "a LinearConstraint or a NonlinearConstraint"
            )
    return found


_LINEAR = (LinearConstraint, so.LinearConstraint)
_NONLINEAR = (NonlinearConstraint, so.NonlinearConstraint)


def limits_of(function: str, bounds: Any, size: int) -> tuple[Any, Any] | None:
    """Lower and upper bounds of vectors, from `Bounds` or pairs; None where there are none.

    Raises
    ------
    ValueError
        There are more or fewer pairs than unknowns.
    """
    if bounds is None:
        return None
    if isinstance(bounds, (Bounds, so.Bounds)):
        lower, upper = operand(bounds.lb), operand(bounds.ub)
    else:
        pairs: Sequence[Any] = list(bounds)
        if len(pairs) != size or any(len(pair) != 2 for pair in pairs):
            raise ValueError(
                f"{function}: bounds must be one pair (lowest, highest) for each of the {size} "
                f"unknowns, got {len(pairs)}"
            )
        lower, upper = (
            _stacked([missing if pair[side] is None else pair[side] for pair in pairs])
            for side, missing in ((0, -np.inf), (1, np.inf))
        )
    for limit in (lower, upper):
        shape = spec_of(limit).shape
        if shape not in ((), (1,), (size,)):
            raise ValueError(
                f"{function}: bounds of shape {shape} for {size} unknowns; give a number or an "
                f"array of shape ({size},)"
            )
    return _spread(lower, size), _spread(upper, size)


def _stacked(numbers: Sequence[Any]) -> Any:
    if any(isinstance(number, Box) for number in numbers):
        return np.stack([np.reshape(operand(number), ()).astype(float) for number in numbers])
    return as_array(numbers).astype(float)


def _spread(limit: Any, size: int) -> Any:
    limit = limit if isinstance(limit, Box) else as_array(limit)
    return np.broadcast_to(limit.astype(float), (size,))
