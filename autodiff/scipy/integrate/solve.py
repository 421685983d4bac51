"""One initial value problem: SciPy's solution, and the same as a function that has derivatives."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.integrate

from autodiff import tree
from autodiff.core.arrays import as_numpy, as_value
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import spec_of
from autodiff.errors import ConvergenceWarning, SolverError, TapeError
from autodiff.numpy import array
from autodiff.scipy.integrate.adjoint import Adjoint
from autodiff.scipy.integrate.discrete import IMPLICIT, Record, Steps, Way, recording, steps_of
from autodiff.scipy.integrate.events import crossing
from autodiff.scipy.integrate.rhs import Arguments, Impure, Opaque, Part, Replaying, State
from autodiff.transforms.arguments import code_of, function_name
from autodiff.transforms.closure import Closed, example
from autodiff.transforms.jacobian.functions import jacobian
from autodiff.transforms.scan.operation import Checkpoint

__all__ = ["Problem"]

Values = Sequence[Any]
KEPT_BYTES = 1 << 26
"""Memory of solutions that are kept for sweeps to come, but for the last; others are redone."""

scipy_ivp: Any = scipy.integrate.solve_ivp


class Problem:
    """One call of `solve_ivp`, on arrays and Tensors.

    Parameters
    ----------
    name : str
        Of the public function, for messages.
    fun, t_span, y0, method, t_eval, events, vectorized, args : as for `solve_ivp`
    dense : bool
        Whether states at any time are asked for.
    options : of SciPy's solver
    adjoint : {"discrete", "continuous"}
    checkpoint : None, int or "binomial"
    on_failure : {"warn", "raise"}
    progress : bool
    """

    def __init__(
        self,
        name: str,
        fun: Callable[..., Any],
        t_span: Any,
        y0: Any,
        method: Any,
        t_eval: Any,
        dense: bool,
        events: Sequence[Callable[..., Any]] | None,
        vectorized: bool,
        args: tuple[Any, ...],
        options: Mapping[str, Any],
        adjoint: str,
        checkpoint: Checkpoint,
        on_failure: str,
        progress: bool,
    ) -> None:
        self.name = f"{name}({function_name(fun)})"
        self.fun = fun
        self.method = method
        self.dense = dense
        self.events = events
        self.vectorized = vectorized
        self.options = dict(options)
        self.adjoint = adjoint
        self.checkpoint = checkpoint
        self.on_failure = on_failure
        self.progress = progress
        self.state = State(name, y0)
        self.arguments = Arguments(args)
        t0, t1 = (_time(end) for end in t_span)
        self.fixed = [self.state.vector, t0, t1, t_eval]
        self.records: list[Record] = []
        self.latest: Any
        self.plain: Any = None
        self.f: Any = None
        self.replaying: Replaying | None = None
        self.impure = False
        self.solving = Closed(self.name, (*self.fixed, args), {}, boxed=False, plain=True)
        result = self.solving.discover(self._run)
        self.plain = self.latest[0]
        self.inputs = self.solving.inputs()
        if not self.inputs:
            return
        self.counted = len(result.arrays)
        self._remember(list(map(example, self.inputs)), *self.latest)
        self._make_parts()

    # --- on arrays --------------------------------------------------------------------------------

    def _run(self, y0: Any, t0: Any, t1: Any, t_eval: Any, args: tuple[Any, ...]) -> Any:
        """Solve by SciPy; returns the arrays of the result, and nothing else."""
        fun, events = self.fun, self.events
        if self.state.contained:
            fun = self.state.on_vectors(fun)
            events = None if events is None else [self.state.of_vectors(e) for e in events]
        options = dict(self.options)
        discrete = self.adjoint == "discrete"
        method = self.method
        times: list[float] = []
        states: list[Any] | None = [] if self.checkpoint is None else None
        if discrete:
            method = recording(method, times, states)
        elif method in IMPLICIT and self._supplies_jacobian(y0, t0, args):
            options["jac"] = self._jacobian(fun)

        def solved(fun: Callable[..., Any]) -> Any:
            with self._progress(fun, float(t0), float(t1)) as shown:
                return scipy_ivp(
                    shown,
                    (float(t0), float(t1)),
                    y0,
                    method=method,
                    t_eval=t_eval,
                    dense_output=self.dense or not discrete,
                    events=events,
                    vectorized=self.vectorized,
                    args=args,
                    **options,
                )

        try:
            result = solved(self._replaying(fun, args))
        except Impure:
            self.impure = True
            times.clear()
            states = None if states is None else []
            method = recording(self.method, times, states) if discrete else method
            result = solved(fun)
        if self.on_failure == "raise" and not result.success:
            raise SolverError(f"{self.name}: {result.message}")
        if self.plain is not None:
            self._check_lengths(result)
        sol = result.sol
        if not self.dense:
            result.sol = None
        taken = steps_of(times, states, y0, float(t0), float(t1)) if discrete else None
        self.latest = (result, taken, sol)
        arrays = [as_numpy(result.t, float), as_numpy(result.y)]
        for found in (result.t_events, result.y_events):
            arrays += [] if found is None else [as_numpy(part) for part in found]
        counts = [result.nfev, result.njev, result.nlu, result.status]
        return [*arrays, *[as_value(int(count)) for count in counts]], None

    def _replaying(self, fun: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
        """The right-hand side as the solver gets it."""
        leaves = tree.leaves(args)
        given = [leaves[slot] for slot in self.arguments.slots]

        def flat(found: Any, y: Any) -> Any:
            return self.state.flat(found, y, self.vectorized) if fun is self.fun else found

        part = None if self.vectorized else self._right_side
        boxed = bool(self.solving.boxes)
        found = Replaying(fun, self.fun, flat, self.solving.outside, given, boxed, part)
        if self.plain is None:
            self.replaying = found
        return found

    def _check_lengths(self, result: Any) -> None:
        """Raise if a solution for other values has arrays of other lengths."""
        before, now = len(self.plain.t), len(result.t)
        found = "times in the result"
        remedy = (
            "pass t_eval= (with dense_output=True, sol.sol), whose times are the same for all"
            if self.fixed[3] is None
            else "a solution that ends early, at an event or for a failure, has fewer of them: "
            "let it go on (no terminal event), or solve one example after the other"
        )
        pairs = zip(self.plain.t_events or [], result.t_events or [], strict=True)
        for number, (one, other) in enumerate(pairs):
            if before == now and len(one) != len(other):
                before, now = len(one), len(other)
                found = f"times of events[{number}]"
                remedy = "solve one example after the other, or end each at its first event"
        if before != now:
            raise TapeError(
                f"{self.name}: examples of a batch, or calls of a recorded program, must have the "
                f"same number of {found}; here they are {before} and {now}: {remedy}"
            )

    def _supplies_jacobian(self, y0: Any, t0: Any, args: tuple[Any, ...]) -> bool:
        """Whether SciPy is given a Jacobian: where derivatives are wanted, and none is given."""
        given = ("jac", "jac_sparsity", "lband", "uband")
        if any(self.options.get(name) is not None for name in given) or not np.size(y0):
            return False
        if spec_of(y0).dtype.kind == "c" or self.vectorized:
            return False
        if not self.solving.boxes and not self.solving.outside:
            self.fun(float(t0), self.state.built(y0), *args)  # finds Tensors from outside
        return bool(self.solving.boxes or self.solving.outside)

    def _jacobian(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        def jac(t: Any, y: Any, *args: Any) -> Any:
            def of_state(state: Any) -> Any:
                return _vector_of(fun(t, state, *args), state)

            return jacobian(of_state)(y)

        return jac

    @contextmanager
    def _progress(self, fun: Callable[..., Any], t0: float, t1: float) -> Iterator[Any]:
        if not self.progress:
            yield fun
            return
        from tqdm import tqdm  # only where a bar is shown

        reached = t0
        with tqdm(total=abs(t1 - t0), unit="t") as bar:

            def shown(t: Any, *rest: Any) -> Any:
                nonlocal reached
                if abs(t - t0) > abs(reached - t0):
                    bar.update(abs(t - reached))
                    reached = t
                return fun(t, *rest)

            yield shown

    # --- records ----------------------------------------------------------------------------------

    def _remember(self, values: Values, result: Any, steps: Steps | None, sol: Any) -> Record:
        record = Record(values, result, steps, sol)
        self.records.append(record)
        while len(self.records) > 1 and sum(r.bytes for r in self.records) > KEPT_BYTES:
            self.records.pop(0)
        return record

    def record_for(self, values: Values) -> Record:
        """Solution for values, found already or found again."""
        arrays = [concrete(value) for value in values]
        for record in reversed(self.records):
            if record.is_of(arrays):
                return record
        self._solved(*arrays)
        return self.records[-1]

    def _solved(self, *values: Any) -> tuple[Any, ...]:
        self.latest = None
        outs = self.solving(*values)
        if self.latest is not None:
            self._remember(values, *self.latest)
        return outs

    # --- on Tensors -------------------------------------------------------------------------------

    def _part(self, function: Callable[..., Any]) -> Part:
        """Keep a function as it is now."""
        y0, t0 = (example(part) for part in self.fixed[:2])
        given = [example(self.arguments.leaves[slot]) for slot in self.arguments.slots]
        outside = self.solving.outside
        return Part(self.name, function, self.arguments, float(t0), y0, given, outside)

    def _right_side(self) -> Part:
        """Keep the right-hand side, as a function of vectors, as it is now."""

        def right_side(t: Any, y: Any, *args: Any) -> Any:
            if self.vectorized:
                found = self.fun(t, np.reshape(y, (-1, 1)), *args)
            else:
                found = self.fun(t, self.state.built(y), *args)
            return self.state.flat(found, y, self.vectorized)

        part: Part | None = self.f
        if part is None or len(part.outside) != len(self.solving.outside):
            part = self.f = self._part(right_side)
        return part

    def _make_parts(self) -> None:
        """Keep the user's functions as they are now."""

        def value_of(event: Callable[..., Any]) -> Callable[..., Any]:
            def value(t: Any, y: Any, *args: Any) -> Any:
                return np.reshape(_arrayed(event(t, self.state.built(y), *args)), ())

            return value

        self._right_side()
        if self.replaying is not None:
            self.impure = self.impure or self.replaying.differs(self.f)
            self.replaying = None
        self.event_parts = [self._part(value_of(event)) for event in self.events or ()]

    def evaluate(self) -> Any:
        """Result, differentiable, as SciPy returns it."""
        if not self.inputs:
            return self._returned(self.plain, None)
        call = self._call(self.name, self._solved, self._again, self.inputs)
        try:
            outs = call.call(*self.inputs)
        finally:
            self.solving.known = None
            self.solving.result.arrays = []
        self.f.settle()
        for event in self.event_parts:
            event.settle()
        return self._returned(self.plain, outs)

    def _call(self, name: str, function: Any, again: Callable[..., Any], inputs: Values) -> Opaque:
        paths = self.solving.paths()
        paths += [f"input {i}" for i in range(len(paths), len(inputs))]
        return Opaque(
            name,
            function,
            paths,
            differentiated=again,
            flops=self.plain.nfev * self.solving.flops,
            made_of=code_of(self.fun),
        )

    def _returned(self, plain: Any, outs: Values | None) -> Any:
        """SciPy's result, with what was computed in the places of its arrays."""
        result = type(plain)(plain)
        if outs is not None:
            count = 0 if plain.t_events is None else len(plain.t_events)
            result.t, result.y = outs[:2]
            if count or plain.t_events is not None:
                result.t_events = list(outs[2 : 2 + count])
                result.y_events = list(outs[2 + count : 2 + 2 * count])
            result.nfev, result.njev, result.nlu, result.status = (
                out if isinstance(out, Box) else int(out) for out in outs[2 + 2 * count :]
            )
            result.success = result.status >= 0
            if self.dense:
                result.sol = Dense(self, plain.sol)
        if self.state.contained:
            result.y = self.state.built(result.y)
            if result.sol is not None and not isinstance(result.sol, Dense):
                inner = result.sol
                result.sol = lambda t: self.state.built(inner(t))
        return result

    def unpacked(self, values: Values) -> tuple[Any, Any, Any, Any, list[Any]]:
        """State, start, end, times asked for, and what the functions need besides."""
        following = iter(values)
        fixed = [next(following) if isinstance(part, Box) else part for part in self.fixed]
        y0, t0, t1, t_eval = fixed
        return y0, t0, t1, t_eval, list(following)

    def _way(self, record: Record) -> Any:
        if self.impure:
            raise Impure.of(self.name)
        if not record.result.success:
            warnings.warn(
                f"{self.name}: {record.result.message} The derivative is that of a solution that "
                f"ends at t = {float(record.result.t[-1]) if len(record.result.t) else None}",
                ConvergenceWarning,
                stacklevel=2,
            )
        if record.steps is not None:
            return Way(self.name, self.f, self.method, record.steps, self.checkpoint)
        return Adjoint(self.name, self.f, self.method, self.options, record.sol, self._solve_again)

    def _solve_again(
        self, fun: Callable[..., Any], t_span: Any, y0: Any, t_eval: Any, options: Any
    ) -> Any:
        """Solve another equation by the same method."""
        problem = Problem(
            "solve_ivp",
            fun,
            t_span,
            y0,
            self.method,
            t_eval,
            False,
            None,
            False,
            (),
            options,
            "continuous",
            None,
            self.on_failure,
            False,
        )
        return problem.evaluate()

    def _again(self, *values: Any) -> tuple[Any, ...]:
        """Compute the arrays of the result by operations that have derivatives."""
        record = self.record_for(values)
        y0, t0, t1, t_eval, others = self.unpacked(values)
        way = self._way(record)
        result = record.result
        found = result.t_events or []
        lists = [as_numpy(part, float) for part in found]
        at_events = np.concatenate([*lists, np.zeros(0)])
        states_there = [np.reshape(part, (-1, len(concrete(y0)))) for part in result.y_events or []]
        count = len(result.t)
        ends = result.status == 1
        last: Any = None
        if t_eval is None:
            inner = as_numpy(result.t[1:-1])
            last = result.t[-1] if ends or not result.success else t1
            times = np.concatenate([np.reshape(part, (-1,)) for part in (t0, inner, last)])
        else:
            times = array(t_eval)[:count]
        if t_eval is None and not len(at_events):
            rows = way.nodes(y0, t0, t1, others)
            states = np.concatenate([np.reshape(y0, (1, -1)), rows])
        else:
            known = [np.reshape(as_numpy(result.y).T, (count, -1)), *states_there]
            wanted = np.concatenate([times, at_events])
            if len(at_events) or count:
                rows = way.points(y0, t0, t1, wanted, np.concatenate(known), others)
                states, there = rows[:count], rows[count:]
            else:
                states = np.zeros((0, len(concrete(y0))))
        event_times, event_states = [], []
        start = 0
        for part, on in zip(self.event_parts, lists, strict=bool(lists)):
            pairs = [
                crossing(self.name, self.f, part, on[i], there[start + i], others)
                for i in range(len(on))
            ]
            start += len(on)
            event_times.append(np.stack([t for t, _ in pairs]) if pairs else np.zeros(0))
            event_states.append(np.stack([y for _, y in pairs]) if pairs else np.zeros(0))
        if ends and t_eval is None:
            which = next(i for i, on in enumerate(lists) if len(on) and on[-1] == result.t[-1])
            times = np.concatenate([times[:-1], event_times[which][-1:]])
            states = np.concatenate([states[:-1], event_states[which][-1:]])
        y = states.T if count else np.zeros(0)
        counts = [result.nfev, result.njev, result.nlu, result.status]
        return (times, y, *event_times, *event_states, *[as_value(int(n)) for n in counts])


class Dense:
    """Solution as a function of time, differentiable by the time and by what it depends on.

    Attributes
    ----------
    ts, t_min, t_max : as of SciPy's ``OdeSolution``, plain numbers.
    """

    def __init__(self, problem: Problem, plain: Any) -> None:
        self.problem = problem
        self.ts, self.t_min, self.t_max = plain.ts, plain.t_min, plain.t_max

    def __call__(self, t: Any) -> Any:
        """State at a time, or at times along the last axis."""
        problem = self.problem
        times: Any = t if isinstance(t, Box) else array(t)
        if spec_of(times).dtype.kind != "f":
            times = times.astype(float)
        if spec_of(times).ndim > 1:
            raise ValueError(f"{problem.name}: `t` must be a float or a 1-D array")
        inputs = [*problem.inputs, times]
        call = problem._call(f"{problem.name}.sol", self._at, self._again, inputs)
        return problem.state.built(call.call(*inputs)[0])

    def _at(self, *values: Any) -> tuple[Any, ...]:
        *others, times = values
        return (self.problem.record_for(others).sol(times),)

    def _again(self, *values: Any) -> tuple[Any, ...]:
        *others, times = values
        problem = self.problem
        record = problem.record_for(others)
        y0, t0, t1, _, rest = problem.unpacked(others)
        wanted = np.reshape(times, (-1,))
        known = record.sol(concrete(wanted)).T
        rows = problem._way(record).points(y0, t0, t1, wanted, known, rest)
        return (rows.T if spec_of(times).ndim else rows[0],)


def _time(t: Any) -> Any:
    """End of an interval: a Tensor, or a float as SciPy makes one."""
    if not isinstance(t, Box):
        return as_value(float(t))
    scalar: Any = np.reshape(t, ())  # type: ignore[call-overload] # through NumPy's protocol
    return scalar if spec_of(scalar).dtype.kind == "f" else scalar.astype(float)


def _arrayed(value: Any) -> Any:
    return value if isinstance(value, Box) else array(value)


def _vector_of(found: Any, like: Any) -> Any:
    vector = _arrayed(found)
    shape = spec_of(like).shape
    return vector if spec_of(vector).shape == shape else np.broadcast_to(vector, shape)
