"""``solve_ivp`` and ``odeint``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.integrate

from autodiff.core.dispatch import Box
from autodiff.numpy import array
from autodiff.scipy.integrate.discrete import EXPLICIT, method_of
from autodiff.scipy.integrate.solve import Problem
from autodiff.scipy.special.declare import refuse_derivative
from autodiff.transforms.closure import Closed
from autodiff.transforms.scan.operation import Checkpoint

__all__ = ["odeint", "solve_ivp"]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_odeint: Any = scipy.integrate.odeint


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
        Written with functions that Tensors go through; it may return a list of numbers. It must
        compute the same each time. What it keeps from call to call is a constant to derivatives,
        and has it asked for every evaluation, where otherwise a record of it may answer.
    t_span : pair of float or Tensor
    y0 : array_like of shape (n,), or a container of arrays
        Where it is a dict, or a tuple or list of arrays, `fun`, `events` and the result have such
        containers in the place of vectors; in the result, time is the last axis of each array.
    method : str or OdeSolver class
    t_eval : array_like of shape (m,), optional
    dense_output : bool
        Whether to return the solution as a function of time, ``sol.sol``; it is differentiable.
    events : function of ``(t, y, *args)``, or a list of such, optional
        Times and states of events have derivatives of any order, by the implicit function theorem;
        an event that is `terminal` ends the solution at a time that depends on parameters.
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
    TapeError
        Where a derivative is taken: `fun` returned something else for the same time and state.

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


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    args: Any = (),
    Dfun: Any = None,  # SciPy's name
    col_deriv: bool = False,
    full_output: bool = False,
    ml: int | None = None,
    mu: int | None = None,
    rtol: float | None = None,
    atol: Any = None,
    tcrit: Any = None,
    h0: float = 0.0,
    hmax: float = 0.0,
    hmin: float = 0.0,
    ixpr: bool = False,
    mxstep: int = 0,
    mxhnil: int = 0,
    mxordn: int = 12,
    mxords: int = 5,
    printmessg: bool = False,
    tfirst: bool = False,
) -> Any:
    """``scipy.integrate.odeint``: states at times, differentiable as `solve_ivp` is.

    Of plain arrays this is SciPy's function. Where there are Tensors, in the arguments or in what
    `func` closes over, ``solve_ivp(method="LSODA")`` calls the same solver by another interface,
    whose states are equal to the tolerances.

    Parameters
    ----------
    func : function of ``(y, t, *args)``, or of ``(t, y, *args)`` with `tfirst`
    y0 : array_like
    t : array_like
        Increasing or decreasing; the first is where `y0` is.
    args : tuple
    Dfun : function of the same arguments, optional
        Jacobian of `func`.
    ml, mu, rtol, atol, h0, hmax, hmin, tfirst : as in SciPy
    col_deriv, full_output, tcrit, ixpr, mxstep, mxhnil, mxordn, mxords, printmessg
        As in SciPy, of plain arrays alone.

    Returns
    -------
    Array of shape (len(t), len(y0))

    Raises
    ------
    TypeError
        An argument is given, beside Tensors, that is for plain arrays alone.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.scipy.integrate import odeint
    >>> ad.grad(lambda k: odeint(lambda y, t: -k * y, 1.0, [0.0, 2.0])[-1, 0])(0.5).round(6)
    np.float64(-0.735759)
    """
    args = args if isinstance(args, tuple) else (args,)
    start: Any = array(y0) if not isinstance(y0, Box) else y0
    times: Any = array(t) if not isinstance(t, Box) else t

    def once(y: Any, t: Any, args: tuple[Any, ...]) -> Any:
        state = np.atleast_1d(y).astype(float)
        found = func(float(t[0]), state, *args) if tfirst else func(state, float(t[0]), *args)
        return found, None

    asked = Closed("odeint", (start, times, args), {}, boxed=False, plain=True)
    asked.discover(once)
    alone = {
        "col_deriv": (col_deriv, False),
        "full_output": (full_output, False),
        "tcrit": (tcrit, None),
        "ixpr": (ixpr, False),
        "mxstep": (mxstep, 0),
        "mxhnil": (mxhnil, 0),
        "mxordn": (mxordn, 12),
        "mxords": (mxords, 5),
        "printmessg": (printmessg, False),
    }
    if not asked.inputs():
        given = {name: value for name, (value, default) in alone.items() if value is not default}
        shared = {"ml": ml, "mu": mu, "rtol": rtol, "atol": atol, "Dfun": Dfun, "tfirst": tfirst}
        steps = {"h0": h0, "hmax": hmax, "hmin": hmin}
        return scipy_odeint(func, y0, t, args, **shared, **steps, **given)
    odd = next((name for name, (value, default) in alone.items() if value != default), None)
    if odd is not None:
        raise TypeError(
            f"odeint: {odd}= is for plain arrays; on Tensors, solve_ivp(method='LSODA') solves, "
            "whose options are max_step, first_step, min_step, rtol, atol, jac, lband and uband"
        )

    def ordered(function: Any) -> Any:
        if tfirst or function is None:
            return function
        return lambda t, y, *args: function(y, t, *args)

    options = {"lband": ml, "uband": mu, "jac": ordered(Dfun), "min_step": hmin}
    options |= {"rtol": 1.49012e-8 if rtol is None else rtol}
    options |= {"atol": 1.49012e-8 if atol is None else atol}
    options |= {"first_step": h0 or None, "max_step": hmax or np.inf}
    span = (times[0], times[-1])
    start = np.atleast_1d(start)
    return solve_ivp(ordered(func), span, start, "LSODA", times, args=args or None, **options).y.T
