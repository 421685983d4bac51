"""``scipy.integrate.solve_ivp``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.core.dispatch import Box
from autodiff.numpy import array
from autodiff.scipy.integrate.discrete import EXPLICIT, method_of
from autodiff.scipy.integrate.solve import Problem
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.transforms.scan.operation import Checkpoint

__all__ = ["solve_ivp"]


def solve_ivp(
    fun: Callable[..., Any],
    t_span: Any,
    y0: Any,
    method: Any = "RK45",
    t_eval: Any = None,
    dense_output: bool = False,
    events: Any = None,
    vectorized: bool = False,
    args: Any = None,
    *,
    adjoint: str | None = None,
    checkpoint: Checkpoint = None,
    on_failure: str = "warn",
    progress: bool = False,
    **options: Any,
) -> Any:
    """``scipy.integrate.solve_ivp``: solve ``dy/dt = f(t, y)``, differentiable.

    SciPy's solver finds the solution. Its derivative is taken by `y0`, by the Tensors in `args` and
    those that the functions close over, by both ends of `t_span`, and by `t_eval`.

    Parameters
    ----------
    fun : function of ``(t, y, *args)``
        Written with functions that Tensors go through; it may return a list of numbers.
    t_span : pair of float or Tensor
    y0 : array_like of shape (n,), or a container of arrays
        Where it is a dict, or a tuple or list of arrays, `fun`, `events` and the result have such
        containers in the place of vectors; in the result, time is the last axis of each array.
    method : str or OdeSolver class
    t_eval : array_like of shape (m,), optional
    dense_output : bool
        Whether to return the solution as a function of time, ``sol.sol``; it is differentiable.
    events : function of ``(t, y, *args)``, or a list of such, optional
        Times and states of events have first and second derivatives, by the implicit function
        theorem; an event that is `terminal` ends the solution at a time that depends on parameters.
    vectorized : bool
    args : tuple, optional
    adjoint : {None, "discrete", "continuous"}
        The derivative: of the very steps that were taken, their lengths held fixed, to any order
        (the default for RK23, RK45 and DOP853, and for nothing else); or of the differential
        equation, by the adjoint equation, and for tangents by the equation of the tangent, to the
        accuracy of the tolerances and of SciPy's dense output.
    checkpoint : None, int or "binomial"
        What a sweep back through the steps keeps, as for `ad.scan`; the default is the state at
        each step, which the solver had.
    on_failure : {"warn", "raise"}
        What a solver that fails does: warn where a derivative is taken, or raise at once.
    progress : bool
        Whether to show a bar over time.
    **options
        Of SciPy's solver: rtol, atol, max_step, first_step, jac, jac_sparsity, lband, uband,
        min_step. Where something is to be differentiated and none of jac, jac_sparsity, lband and
        uband is given, Radau, BDF and LSODA get the Jacobian by automatic differentiation.

    Returns
    -------
    OdeResult
        SciPy's, with Tensors where it depends on Tensors.

    Raises
    ------
    ValueError, TypeError
        As SciPy; also where `fun` returns another shape than the state's, and where
        ``adjoint="discrete"`` is asked for with another method.
    SolverError
        The solver failed, and ``on_failure="raise"``.
    SingularSystemError
        Where a derivative is taken: an event touches zero without crossing it.

    Warns
    -----
    ConvergenceWarning
        Where a derivative is taken: the solver failed.

    Notes
    -----
    Solved example by example in a batch; `t_eval` must be given there, for each example takes steps
    of its own. Hairer, Nørsett and Wanner (1993), sections II.4 and II.6, have the methods.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import solve_ivp
    >>> def left(rate):
    ...     solution = solve_ivp(lambda t, y: -rate * y, (0.0, 2.0), [1.0], rtol=1e-10, atol=1e-12)
    ...     return solution.y[0, -1]
    >>> ad.grad(left)(0.5).round(6), np.round(-2 * np.exp(-1.0), 6)
    (np.float64(-0.735759), np.float64(-0.735759))
    """
    if not callable(fun):
        raise TypeError(f"solve_ivp: fun must be a function of (t, y), got {fun!r}")
    solver = method_of("solve_ivp", method)
    explicit = issubclass(solver, EXPLICIT)
    if adjoint is None:
        adjoint = "discrete" if explicit else "continuous"
    if adjoint not in ("discrete", "continuous"):
        raise ValueError(f"solve_ivp: adjoint must be 'discrete' or 'continuous', got {adjoint!r}")
    if adjoint == "discrete" and not explicit:
        raise ValueError(
            f"solve_ivp: adjoint='discrete' is there for RK23, RK45 and DOP853, not for "
            f"{solver.__name__}; leave it out, or say 'continuous'"
        )
    if checkpoint is not None and adjoint != "discrete":
        raise ValueError("solve_ivp: checkpoint= is about adjoint='discrete'")
    if on_failure not in ("warn", "raise"):
        raise ValueError(f"solve_ivp: on_failure must be 'warn' or 'raise', got {on_failure!r}")
    if t_eval is not None and not isinstance(t_eval, Box):
        t_eval = array(t_eval)
    try:
        given = () if args is None else tuple(args)
    except TypeError as error:
        raise TypeError(
            "solve_ivp: supplied 'args' cannot be unpacked; pass a tuple, args=(value,)"
        ) from error
    refuse_derivative("solve_ivp", **options)
    problem = Problem(
        "solve_ivp",
        fun,
        t_span,
        y0,
        solver,
        t_eval,
        dense_output,
        _as_list(events),
        vectorized,
        given,
        options,
        adjoint,
        checkpoint,
        on_failure,
        progress,
    )
    return problem.evaluate()


def _as_list(events: Any) -> list[Callable[..., Any]] | None:
    if events is None:
        return None
    return [events] if callable(events) else list(events)
