"""States on the way of an explicit method, as a function of what the way depends on.

The steps that SciPy's solver took are taken again: their number and their ends are constants, but
for the first and the last. So the derivative is that of the very numbers that the solver computed
(discretise, then differentiate), of any order, at one evaluation and one pullback of each stage.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.integrate

from autodiff.core.dispatch import concrete
from autodiff.scipy.integrate.stages import Tableau, flat_states, flat_step
from autodiff.transforms.scan.layout import Layout
from autodiff.transforms.scan.operation import Checkpoint, Scan
from autodiff.transforms.scan.replay import Written

__all__ = ["EXPLICIT", "IMPLICIT", "Record", "Steps", "Way", "method_of", "recording", "steps_of"]

Values = Sequence[Any]
EXPLICIT = (scipy.integrate.RK23, scipy.integrate.RK45, scipy.integrate.DOP853)
IMPLICIT = (scipy.integrate.Radau, scipy.integrate.BDF, scipy.integrate.LSODA)
MANY = 50
"""Steps from which on it pays to find what one computes more than once."""


class Steps:
    """What a solver did.

    Parameters
    ----------
    times : where its steps start, and where the last one ends
    states : at these times, a row for each; None where they are computed again
    whole : bool
        Whether the last step ends where the interval does, which the caller gave.
    """

    def __init__(self, times: Any, states: Any, whole: bool) -> None:
        self.times = times
        self.states = states
        self.whole = whole
        self.count = len(times) - 1

    def holding(self, times: Any) -> Any:
        """For each time which step it is in."""
        inner = self.times[1:-1]
        if self.times[-1] >= self.times[0]:
            return np.searchsorted(inner, times, side="left")
        return len(inner) - np.searchsorted(inner[::-1], times, side="right")


class _Known(Scan):
    """Steps that have been taken: what comes out, and the states before them, is known."""

    def __init__(self, *args: Any, known: tuple[Any, ...], **options: Any) -> None:
        super().__init__(*args, **options)
        self.known = known
        self.function = self._evaluated

    def _evaluated(self, *values: Any) -> tuple[Any, ...]:
        return self.known

    def pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> tuple[Any, ...]:
        """Cotangents; the state carries some in any case, so no sweep begins without it."""
        found = super().pull((True, *active[1:]), xs, outs, gs)
        return (found[0] if active[0] else None, *found[1:])


class Way:
    """Steps of a method, to be taken again.

    Parameters
    ----------
    name : str
    f : function of ``(t, y, *values)``
    method : class of SciPy's
    steps : Steps
    checkpoint : None, int or "binomial"
        As for `ad.scan`.
    """

    def __init__(
        self,
        name: str,
        f: Callable[..., Any],
        method: Any,
        steps: Steps,
        checkpoint: Checkpoint,
    ) -> None:
        self.name = f"{name}.steps"
        self.f = f
        self.tableau = Tableau(method)
        self.steps = steps
        self.checkpoint = checkpoint

    def nodes(self, y0: Any, t0: Any, t1: Any, values: Values) -> Any:
        """State after each step, a row for each."""
        steps = self.steps
        t, h = self._ends(t0, t1)
        moves, theta = np.ones(steps.count, bool), np.zeros((steps.count, 0))
        known = () if steps.states is None else (steps.states[-1], steps.states[1:])
        scan = self._scan(0, False, np.arange(steps.count), known, len(values))
        return scan(y0, t, h, moves, theta, *values)[1]

    def points(self, y0: Any, t0: Any, t1: Any, times: Any, known: Any, values: Values) -> Any:
        """States at times in any order, a row for each, whose values are known."""
        steps = self.steps
        holding = steps.holding(concrete(times))
        count = int(holding.max()) + 1
        counts = np.bincount(holding, minlength=count)
        sparing = self.checkpoint is not None
        stepping = np.count_nonzero(counts) if sparing else count
        width = int(min(counts.max(), 2 * -(-len(holding) // stepping)))
        rows = -(-counts // width)
        if not sparing:
            rows = np.maximum(1, rows)
        step_of = np.repeat(np.arange(count), rows)
        moves = np.append(step_of[1:] != step_of[:-1], True)
        order = np.argsort(holding, kind="stable")
        first = np.cumsum(counts) - counts
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order)) - first[holding[order]]
        place = (np.cumsum(rows) - rows)[holding] * width + rank
        source = np.zeros(len(step_of) * width, int)
        source[place] = np.arange(len(place))
        used = np.zeros(len(source), bool)
        used[place] = True
        shape = (len(step_of), width)
        t, h = (part[step_of] for part in self._ends(t0, t1))
        parts = (np.reshape(times[source], shape) - t[:, None]) / h[:, None]
        theta = np.where(used.reshape(shape), parts, 0.0)
        blocks = np.zeros((len(source), *known.shape[1:]), known.dtype)
        blocks[place] = known
        found = blocks.reshape(*shape, -1)
        if sparing:
            y = self._before(y0, t0, t1, count, step_of, values)
            step = functools.partial(flat_states, self.f, self.tableau)
            layout = Layout(0, 4, len(values), 1, 0)
            name = f"{self.name}.between"
            scan = _Known(
                name, step, layout, length=len(t), kept=range(len(t)), known=(found,), first=False
            )
            inner = scan.call(y, t, h, theta, *values)[0]
        else:
            results = (steps.states[count], found)
            steps_on = self._scan(width, not moves.all(), step_of, results, len(values))
            inner = steps_on(y0, t, h, moves, theta, *values)[1]
        return np.reshape(inner, blocks.shape)[place]

    def _before(self, y0: Any, t0: Any, t1: Any, count: int, step_of: Any, values: Values) -> Any:
        """States before some of the first `count` steps, a row for each.

        A scan that collects nothing keeps them, beside those that a sweep back through it needs. So
        there is nothing that grows with the number of steps but for times.
        """
        t, h = (part[:count] for part in self._ends(t0, t1))
        step = functools.partial(flat_step, self.f, self.tableau, None, False)
        layout = Layout(1, 4, len(values), 0, 0)
        scan = Scan(self.name, step, layout, length=count, checkpoint=self.checkpoint)
        kept = np.union1d(scan.positions(), step_of).astype(int)
        scan = scan.remade(kept=kept.tolist())
        moves, theta = np.ones(count, bool), np.zeros((count, 0))
        states = scan.call(y0, t, h, moves, theta, *values)[1]
        return states[np.searchsorted(kept, step_of)]

    def _ends(self, t0: Any, t1: Any) -> tuple[Any, Any]:
        """Start and length of each step, of where the interval starts and ends."""
        steps = self.steps
        inner = steps.times[1:-1]
        last = t1 if steps.whole else steps.times[-1]
        starts = np.concatenate([np.reshape(t0, (1,)), inner])
        stops = np.concatenate([inner, np.reshape(last, (1,))])
        return starts, stops - starts

    def _scan(
        self,
        width: int | None,
        waits: bool,
        numbers: Any,
        known: tuple[Any, ...],
        outside: int,
    ) -> Callable[..., tuple[Any, ...]]:
        """Scan over steps of these numbers, whose results are known where states were kept."""
        step: Any = functools.partial(flat_step, self.f, self.tableau, width, waits)
        if len(numbers) >= MANY:
            step = Written(step)
        layout = Layout(1, 4, outside, 0 if width is None else 1, 0)
        if self.checkpoint is not None:
            scan = Scan(self.name, step, layout, length=len(numbers), checkpoint=self.checkpoint)
            return lambda *values: scan.evaluate(values)
        states = self.steps.states[numbers]
        kept = range(len(states))
        return _Known(
            self.name, step, layout, length=len(states), kept=kept, known=(*known, states)
        ).call


class Record:
    """One solution: what it was found for, what SciPy returned, and how it was found."""

    def __init__(self, values: Values, result: Any, steps: Steps | None, sol: Any) -> None:
        self.values = list(values)
        self.result = result
        self.steps = steps
        self.sol = sol
        parts = [] if steps is None else [steps.times, steps.states]
        self.bytes = sum(part.nbytes for part in parts if part is not None)

    def is_of(self, values: Values) -> bool:
        """Whether it was found for these values."""
        return all(
            one is other or np.array_equal(one, other)
            for one, other in zip(self.values, values, strict=True)
        )


def recording(method: Any, times: list[float], states: list[Any] | None) -> Any:
    """The same method, which says when its steps end, and in what states if that is wanted."""

    class Recording(method):  # type: ignore[misc] # a class that the caller names
        def _step_impl(self) -> Any:
            done = super()._step_impl()
            if done[0]:
                times.append(self.t)
                if states is not None:
                    states.append(self.y)
            return done

    Recording.__name__ = method.__name__
    return Recording


def steps_of(
    times: Sequence[float], states: Sequence[Any] | None, y0: Any, t0: float, t1: float
) -> Steps:
    """What was taken, of what a method said."""
    rows = None if states is None else np.stack([y0, *states])
    return Steps(np.array([t0, *times]), rows, bool(times) and times[-1] == t1)


def method_of(name: str, method: Any) -> Any:
    """Class of a method that is named."""
    known = {cls.__name__: cls for cls in (*EXPLICIT, *IMPLICIT)}
    if isinstance(method, str) and method in known:
        return known[method]
    if inspect.isclass(method) and issubclass(method, scipy.integrate.OdeSolver):
        return method
    raise ValueError(
        f"{name}: `method` must be one of {', '.join(known)}, or an OdeSolver class; got {method!r}"
    )
