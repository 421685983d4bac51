"""States on the way of any method, as a function of what the way depends on: the adjoint equation.

For ``y' = f(t, y, p)`` with cotangents g_j of the states at times t_j, λ solves ``λ' = -f_yᵀ λ``
backwards from the last of them, and jumps by g_j at each. At the start, λ is the cotangent of the
first state; that of the parameters is the integral of ``f_pᵀ λ``, that of t_j is ``g_j · f``, that
of the start ``-λ · f`` (Pontryagin; Cao, Li, Petzold and Serban, SIAM J. Sci. Comput. 24, 2003).
Both y and λ are SciPy's dense outputs; the integral is by Gauss's rule on each of their pieces.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.integrate

from autodiff.core.arrays import zeros_of
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import is_inexact, spec_of
from autodiff.errors import SolverError
from autodiff.interpret.boxed import pull_back
from autodiff.scipy.integrate.rhs import Opaque
from autodiff.tensor import Tensor
from autodiff.transforms.call import jvp_of, vectorized, vjp_of
from autodiff.transforms.scan.replay import Replayed

__all__ = ["Adjoint"]

Values = Sequence[Any]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)
scipy_ivp: Any = scipy.integrate.solve_ivp


class Adjoint:
    """States at times, differentiable by the adjoint equation.

    Parameters
    ----------
    name : str
    f : function of ``(t, y, *values)``
    method : class of SciPy's
    options : of SciPy's solver
    sol : SciPy's dense output
    solve : function of a right-hand side, an interval, a state, times and options
        Solves by the same method, differentiable again.
    """

    def __init__(
        self,
        name: str,
        f: Callable[..., Any],
        method: Any,
        options: Mapping[str, Any],
        sol: Any,
        solve: Callable[..., Any],
    ) -> None:
        self.solve = solve
        self.name = f"{name}.states"
        self.f = f
        self.method = method
        self.options = options
        self.sol = sol

    def nodes(self, y0: Any, t0: Any, t1: Any, values: Values) -> Any:
        """State after each step, a row for each."""
        ts = self.sol.ts
        last = t1 if ts[-1] == concrete(t1) else ts[-1]
        times = np.concatenate([ts[1:-1], np.reshape(last, (1,))])
        return self.points(y0, t0, t1, times, self.sol(concrete(times)).T, values)

    def points(self, y0: Any, t0: Any, t1: Any, times: Any, known: Any, values: Values) -> Any:
        """States at times in any order, a row for each, whose values are known."""
        plain = concrete(times)
        low, high = sorted((self.sol.ts[0], self.sol.ts[-1]))
        slack = 1e-9 * (high - low)
        if np.any(plain < low - slack) or np.any(plain > high + slack):
            raise ValueError(
                f"{self.name}: there is no derivative at times outside of [{low:.6g}, {high:.6g}]"
            )
        paths = ["y0", "t0", "times", *[f"value {i}" for i in range(len(values))]]
        call = Opaque(
            self.name,
            lambda *_: (known,),
            paths,
            pull_rule=self._pull,
            push_rule=self._push,
        )
        return call.call(y0, t0, times, *values)[0]

    # --- tangents ---------------------------------------------------------------------------------

    def _push(self, xs: Values, ts: Values, outs: Values) -> list[Any]:
        """Tangent of the states, by the equation that it solves together with them."""
        return [self._tangent(xs, ts)]

    def _tangent(self, xs: Values, ts: Values) -> Any:
        y0, t0, times, *values = xs
        of_y0, of_t0, of_times, *of_values = ts
        size = len(concrete(y0))
        start = zeros_of(y0) if of_y0 is None else of_y0
        if of_t0 is not None:
            start = start - self.f(t0, y0, *values) * of_t0
        moving = tuple(t is not None for t in of_values)
        given = [t for t in of_values if t is not None]
        f = self.f

        def both(t: Any, state: Any) -> Any:
            y, change = state[:size], state[size:]

            def at(y: Any, *moved: Any) -> tuple[Any, ...]:
                following = iter(moved)
                used = [
                    next(following) if flag else value
                    for value, flag in zip(values, moving, strict=True)
                ]
                return (f(t, y, *used),)

            points = [y, *[v for v, flag in zip(values, moving, strict=True) if flag]]
            slope = f(t, y, *values)
            turn = jvp_of(at, (True,) * len(points), *points, change, *given)[0]
            return np.concatenate([slope, turn])

        plain = concrete(times)
        distinct, first, back = np.unique(plain, return_index=True, return_inverse=True)
        end = self.sol.ts[-1]
        if end < self.sol.ts[0]:
            first, back = first[::-1], len(distinct) - 1 - back
        options = {
            name: value
            for name, value in self.options.items()
            if name in ("rtol", "atol", "max_step", "first_step", "min_step")
        }
        if np.ndim(options.get("atol", 0.0)):
            options["atol"] = np.concatenate([options["atol"]] * 2)
        found = self.solve(both, (t0, end), np.concatenate([y0, start]), times[first], options)
        rows = found.y.T[back]
        tangent = rows[:, size:]
        if of_times is not None:
            slopes = [f(times[i], rows[i, :size], *values) for i in range(len(plain))]
            tangent = tangent + np.stack(slopes) * of_times[:, None]
        return tangent

    # --- cotangents -------------------------------------------------------------------------------

    def _pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> list[Any]:
        chosen = [i for i, flag in enumerate(active) if flag]

        def backwards(*given: Any) -> tuple[Any, ...]:
            found = self._cotangents(active, given[: len(xs)], given[len(xs) :])
            return tuple(found[i] for i in chosen)

        def pull_again(
            wanted: Sequence[bool], given: Values, found: Values, ws: Values
        ) -> list[Any]:
            """Cotangents of cotangents: of the product of one with a tangent."""
            own, g = given[: len(xs)], given[-1]
            ts: list[Any] = [None] * len(xs)
            for i, w in zip(chosen, ws, strict=True):
                ts[i] = w
            result: list[Any] = [None] * len(given)

            def tangent(*moving: Any) -> tuple[Any, ...]:
                following = iter(moving)
                used = [
                    next(following) if flag else x for x, flag in zip(own, wanted, strict=False)
                ]
                return (self._tangent(used, ts),)

            if any(wanted[:-2]):
                moved = [x for x, flag in zip(own, wanted, strict=False) if flag]
                pulled = iter(pull_back(Tensor, tangent, moved, [g]))
                for i, flag in enumerate(wanted[:-2]):
                    result[i] = next(pulled) if flag else None
            if wanted[-1]:
                result[-1] = self._tangent(own, ts)
            return result

        paths = [f"input {i}" for i in range(len(xs))]
        derived = Opaque(
            f"{self.name}.vjp",
            backwards,
            [*paths, "states", "cotangent"],
            pull_rule=pull_again,
        )
        found = iter(derived.call(*xs, outs[0], gs[0]))
        return [next(found) if flag else None for flag in active]

    def _cotangents(self, active: Sequence[bool], xs: Values, given: Values) -> list[Any]:
        """Solve the adjoint equation backwards, on arrays."""
        y0, t0, times, *values = xs
        states, g = given
        if any(isinstance(value, Box) for value in (*xs, g)):
            raise TypeError("the adjoint equation is solved on arrays")
        result: list[Any] = [None] * len(xs)
        of_values = [i for i, flag in enumerate(active[3:]) if flag]
        if active[2]:
            slopes = [self.f(t, y, *values) for t, y in zip(times, states, strict=True)]
            result[2] = np.real(np.sum(np.stack(slopes) * g, axis=1))
        backwards = _Backwards(self, values, of_values)
        forward = self.sol.ts[-1] >= self.sol.ts[0]
        order = np.argsort(times if forward else -times, kind="stable")[::-1]
        adjoint = np.zeros_like(y0)
        totals = [zeros_of(values[i]) for i in of_values]
        at = times[order[0]] if len(order) else t0
        for i in order:
            if times[i] != at:
                adjoint = backwards.carried(adjoint, at, times[i], totals)
                at = times[i]
            adjoint = adjoint + g[i]
        if at != t0:
            adjoint = backwards.carried(adjoint, at, t0, totals)
        if active[0]:
            result[0] = adjoint
        if active[1]:
            result[1] = -np.real(np.sum(adjoint * self.f(t0, y0, *values)))
        for i, total in zip(of_values, totals, strict=True):
            result[3 + i] = total
        return result


class _Backwards:
    """The adjoint equation, and the integral along its solution."""

    def __init__(self, way: Adjoint, values: Values, wanted: Sequence[int]) -> None:
        self.way = way
        self.values = values
        self.wanted = [i for i in wanted if is_inexact(spec_of(values[i]).dtype)]
        self.by_state = Replayed(self._by_state)
        self.by_values = Replayed(self._by_values)

    def _by_state(self, t: Any, y: Any, adjoint: Any) -> tuple[Any, ...]:
        def at(state: Any) -> tuple[Any, ...]:
            return (self.way.f(t, state, *self.values),)

        return vjp_of(at, (True,), y, adjoint)

    def _by_values(self, t: Any, y: Any, adjoint: Any) -> tuple[Any, ...]:
        def at(*moving: Any) -> tuple[Any, ...]:
            used = list(self.values)
            for i, value in zip(self.wanted, moving, strict=True):
                used[i] = value
            return (self.way.f(t, y, *used),)

        moving = [self.values[i] for i in self.wanted]
        return tuple(pull_back(Tensor, at, moving, [adjoint]))

    def carried(self, adjoint: Any, start: Any, stop: Any, totals: list[Any]) -> Any:
        """Adjoint at an earlier time; adds to the cotangents of the values."""
        way = self.way
        method = way.method
        options: dict[str, Any] = {"rtol": _tightest(way.options.get("rtol", 1e-3))}
        scale = float(np.max(np.abs(adjoint))) if adjoint.size else 0.0
        if not scale:
            return adjoint
        options["atol"] = 1e-2 * options["rtol"] * scale
        if np.isfinite(way.options.get("max_step", np.inf)):
            options["max_step"] = way.options["max_step"]
        if method in (scipy.integrate.Radau, scipy.integrate.BDF, scipy.integrate.LSODA):
            options["jac"] = self._jacobian

        def slope(t: float, state: Any) -> Any:
            return -self.by_state(np.float64(t), way.sol(t), state)[0]

        found = scipy_ivp(
            slope,
            (float(start), float(stop)),
            adjoint,
            method=method,
            dense_output=bool(self.wanted),
            t_eval=None if self.wanted else [float(stop)],
            **options,
        )
        if not found.success:
            raise SolverError(f"{way.name}: the adjoint equation: {found.message}")
        if self.wanted:
            self._integrate(found.sol, float(start), float(stop), totals)
        return found.y[:, -1]

    def _integrate(self, sol: Any, start: float, stop: float, totals: list[Any]) -> None:
        low, high = min(start, stop), max(start, stop)
        cuts = np.concatenate([sol.ts, self.way.sol.ts])
        cuts = np.unique(np.clip(cuts, low, high))
        sign = 1.0 if start > stop else -1.0
        for left, right in itertools.pairwise(cuts):
            half, middle = 0.5 * (right - left), 0.5 * (right + left)
            for node, weight in zip(NODES, WEIGHTS, strict=True):
                t = middle + half * node
                parts = self.by_values(np.float64(t), self.way.sol(t), sol(t))
                for i, part in enumerate(parts):
                    totals[i] = totals[i] + (sign * half * weight) * part

    def _jacobian(self, t: float, adjoint: Any) -> Any:
        y = self.way.sol(t)
        time = np.float64(t)

        def row(unit: Any) -> tuple[Any, ...]:
            return self._by_state(time, y, unit)

        units = np.eye(len(y), dtype=y.dtype)
        rows = vectorized(row, (True,), len(y), True, units)[0]
        return -rows.T


def _tightest(rtol: Any) -> float:
    return float(max(min(np.min(rtol), 1e-6), 3e-14))
