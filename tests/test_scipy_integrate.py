"""`autodiff.scipy.integrate`: values of SciPy's, derivatives of closed forms and differences."""

from __future__ import annotations

import functools
import inspect
import itertools
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from allocation import traced

import autodiff as ad
from autodiff.scipy import integrate
from autodiff.scipy.integrate.events import crossing

TIGHT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}
EXPLICIT = ("RK23", "RK45", "DOP853")
IMPLICIT = ("Radau", "BDF", "LSODA")
MATRIX = np.array([[-0.3, 1.0], [-1.2, -0.1]])
START = np.array([1.0, 0.5])
WEIGHTS = np.array([1.0, 2.0])
TIMES = np.linspace(0.1, 2.0, 7)


def differences(f: Any, x: Any, h: float = 1e-6) -> Any:
    """Central differences of a function of an array."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = h
        out[i] = (f(x + e) - f(x - e)) / (2 * h)
    return out


def linear(matrix: Any, y0: Any, end: Any, times: Any = None, **options: Any) -> Any:
    """Number computed from a solution of a linear equation."""
    solution = integrate.solve_ivp(
        lambda t, y: matrix @ y, (0.0, end), y0, t_eval=times, **TIGHT, **options
    )
    last = np.sum(solution.y[:, -1] * WEIGHTS)
    return last if times is None else last + np.sum(solution.y**2)


def exact(matrix: Any, y0: Any, end: Any, times: Any = None) -> Any:
    """The same by the matrix exponential."""
    last = scipy.linalg.expm(matrix * end) @ y0 @ WEIGHTS
    if times is None:
        return last
    return last + sum(np.sum((scipy.linalg.expm(matrix * t) @ y0) ** 2) for t in times)


@pytest.mark.parametrize("times", [None, TIMES], ids=["steps", "t_eval"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        *[(method, {}) for method in (*EXPLICIT, *IMPLICIT)],
        *[("RK45", {"checkpoint": kind}) for kind in (3, "binomial")],
        *[(method, {"adjoint": "continuous"}) for method in EXPLICIT[1:]],
    ],
)
def test_gradients_of_a_linear_equation(method: str, options: Any, times: Any) -> None:
    found = ad.grad(lambda m, y, e: linear(m, y, e, times, method=method, **options), (0, 1, 2))(
        MATRIX, START, 2.0
    )
    rough = {"rtol": 1e-6, "atol": 3e-7}
    np.testing.assert_allclose(
        found[0], differences(lambda m: exact(m, START, 2.0, times), MATRIX), **rough
    )
    np.testing.assert_allclose(
        found[1], differences(lambda y: exact(MATRIX, y, 2.0, times), START), **rough
    )
    by_end = 0.0
    if times is None:
        by_end = differences(lambda e: exact(MATRIX, START, e[0]), np.array([2.0]))[0]
    np.testing.assert_allclose(found[2], by_end, **rough)


@pytest.mark.parametrize("method", [*EXPLICIT, *IMPLICIT])
@pytest.mark.parametrize("times", [None, [0.2, 0.9], [1.0, 2.0]])
def test_values_on_arrays_are_scipys(method: str, times: Any) -> None:
    options = {"method": method, "t_eval": times, "dense_output": True, "max_step": 0.3}
    events = [lambda t, y: y[0] - 0.7, lambda t, y: y[1]]
    args = (lambda t, y: MATRIX @ y, (0.0, 2.0), START)
    ours = integrate.solve_ivp(*args, events=events, **options)
    theirs = scipy.integrate.solve_ivp(*args, events=events, **options)
    assert type(ours) is type(theirs)
    np.testing.assert_array_equal(ours.t, theirs.t)
    np.testing.assert_array_equal(ours.y, theirs.y)
    np.testing.assert_array_equal(ours.sol(0.33), theirs.sol(0.33))
    for one, other in zip(ours.t_events, theirs.t_events, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (ours.nfev, ours.njev, ours.nlu) == (theirs.nfev, theirs.njev, theirs.nlu)


@pytest.mark.parametrize("method", EXPLICIT)
def test_values_on_tensors_are_those_on_arrays(method: str) -> None:
    args = ((0.0, 2.0), START)
    for times in (None, TIMES):
        ours = integrate.solve_ivp(
            lambda t, y, m: m @ y, *args, args=(ad.Tensor(MATRIX),), method=method, t_eval=times
        )
        theirs = scipy.integrate.solve_ivp(
            lambda t, y: MATRIX @ y, *args, method=method, t_eval=times
        )
        np.testing.assert_array_equal(ours.y.data, theirs.y)


def decay(rate: Any, method: str = "RK45", **options: Any) -> Any:
    """Solution at t = 2, where it is exp(-2 rate)."""
    return integrate.solve_ivp(
        lambda t, y: -rate * y, (0.0, 2.0), [1.0], method, [1.0, 2.0], **TIGHT, **options
    ).y[0, -1]


@pytest.mark.parametrize("method", ["RK45", "DOP853", *IMPLICIT])
def test_forward_mode_and_second_derivatives(method: str) -> None:
    def f(rate: Any) -> Any:
        return decay(rate, method)

    e = np.exp(-1.0)
    close = {"rtol": 1e-6}
    np.testing.assert_allclose(ad.jvp(f, (0.5,), (1.0,))[1], -2 * e, **close)
    np.testing.assert_allclose(ad.grad(ad.grad(f))(0.5), 4 * e, **close)
    np.testing.assert_allclose(ad.jvp(ad.grad(f), (0.5,), (1.0,))[1], 4 * e, **close)


def test_memory_grows_with_the_root_of_the_steps_where_there_are_checkpoints() -> None:
    start = np.ones(2000)

    def peak(steps: int, checkpoint: Any) -> int:
        def last(rate: Any) -> Any:
            found = integrate.solve_ivp(
                lambda t, y: -rate * y,
                (0.0, 1.0),
                start,
                t_eval=[1.0],
                max_step=1.0 / steps,
                first_step=1.0 / steps,
                checkpoint=checkpoint,
            )
            return np.sum(found.y[:, -1])

        with traced() as memory:
            slope = ad.grad(last)(0.5)
        np.testing.assert_allclose(slope, -np.exp(-0.5) * len(start), rtol=1e-6)
        return memory.peak

    assert peak(100, 10) < 0.3 * peak(100, None)
    assert peak(320, "binomial") < 1.7 * peak(80, "binomial")


@pytest.mark.parametrize("places", [1, 9, 30])
@pytest.mark.parametrize("checkpoint", [10, "binomial"])
def test_live_states_are_those_asked_for_and_a_root_of_the_steps(
    places: int, checkpoint: Any
) -> None:
    start = np.ones(4000)
    times = np.linspace(1.0, 0.02, places)[::-1]

    def live(steps: int) -> float:
        """Peak of the memory, in states."""

        def last(rate: Any) -> Any:
            found = integrate.solve_ivp(
                lambda t, y: -rate * y,
                (0.0, 1.0),
                start,
                t_eval=times,
                max_step=1.0 / steps,
                first_step=1.0 / steps,
                checkpoint=checkpoint,
            )
            return np.sum(found.y * np.arange(1.0, places + 1.0))

        with traced() as memory:
            slope = ad.grad(last)(0.5)
        wanted = -np.sum(np.arange(1, places + 1) * times * np.exp(-0.5 * times)) * len(start)
        np.testing.assert_allclose(slope, wanted, rtol=1e-5)
        return memory.peak / start.nbytes

    few, many = live(60), live(240)
    assert many < 70 + 8 * places + 4 * np.sqrt(240)
    assert many < few + 4 * (np.sqrt(240) - np.sqrt(60)) + 5


@pytest.mark.parametrize("checkpoint", [7, "binomial"])
@pytest.mark.parametrize("places", [2, 25])
def test_derivatives_with_checkpoints_are_those_without(places: int, checkpoint: Any) -> None:
    times = np.linspace(0.05, 2.0, places)

    def f(rate: Any, times: Any, start: Any = 1.0, checkpoint: Any = checkpoint) -> Any:
        y = integrate.solve_ivp(
            lambda t, y: -rate * y**2,
            (0.0, 2.0),
            [start],
            "DOP853",
            times,
            max_step=0.15,
            checkpoint=checkpoint,
        ).y[0]
        return np.sum(np.sin(y))

    def without(rate: Any, times: Any, start: Any = 1.0) -> Any:
        return f(rate, times, start, None)

    for transform in (
        lambda f: ad.grad(f, (0, 1, 2)),
        lambda f: ad.hessian(f),
        lambda f: lambda *x: ad.jvp(f, x, (1.0, np.cos(times), 0.5)),
        lambda f: ad.compile(ad.grad(f, (0, 1))),
        lambda f: lambda rate, *x: ad.vmap(lambda r: ad.grad(f)(r, *x))(rate + np.arange(3.0)),
    ):
        ours, theirs = (transform(g)(0.7, times, 1.2) for g in (f, without))
        for one, other in zip(ad.tree.leaves(ours), ad.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_third_derivative_batches_and_compiling() -> None:
    rates = np.array([0.5, 1.0])
    first = -2 * np.exp(-2 * rates)
    np.testing.assert_allclose(ad.grad(ad.grad(ad.grad(decay)))(0.5), -8 * np.exp(-1.0), rtol=1e-6)
    np.testing.assert_allclose(ad.vmap(decay)(rates), np.exp(-2 * rates), rtol=1e-7)
    np.testing.assert_allclose(ad.vmap(ad.grad(decay))(rates), first, rtol=1e-6)
    batch_first = ad.grad(lambda k: np.sum(ad.vmap(decay)(k)))
    np.testing.assert_allclose(batch_first(rates), first, rtol=1e-6)
    np.testing.assert_allclose(ad.vmap(ad.grad(ad.grad(decay)))(rates), -2 * first, rtol=1e-6)
    compiled = ad.compile(ad.grad(decay))
    for rate in (0.5, 1.0):
        np.testing.assert_allclose(compiled(rate), -2 * np.exp(-2 * rate), rtol=1e-6)


def fall(p: Any, method: str = "RK45", **options: Any) -> Any:
    """A ball let go at a height, until it hits the ground; p is the height and the pull."""

    def hit(t: Any, y: Any, pull: Any) -> Any:
        return y[0]

    hit.terminal = True  # type: ignore[attr-defined] # as SciPy wants it
    return integrate.solve_ivp(
        lambda t, y, pull: [y[1], -pull],
        (0.0, 100.0),
        [p[0], 0.0],
        method,
        events=hit,
        args=(p[1],),
        **TIGHT,
        **options,
    )


@pytest.mark.parametrize("method", ["RK45", "DOP853", "Radau"])
def test_events(method: str) -> None:
    p = np.array([10.0, 9.8])

    def time(p: Any) -> Any:
        return np.sqrt(2 * p[0] / p[1])

    def speed(p: Any) -> Any:
        return -np.sqrt(2 * p[0] * p[1])

    for of_fall, form in (
        (lambda s: s.t_events[0][0], time),
        (lambda s: s.t[-1], time),
        (lambda s: s.y[1, -1], speed),
        (lambda s: s.y_events[0][0, 1], speed),
    ):
        found = ad.grad(lambda p, g=of_fall: g(fall(p, method)))(p)
        np.testing.assert_allclose(found, ad.grad(form)(p), rtol=1e-7)
    found = ad.hessian(lambda p: fall(p).t_events[0][0])(p)
    np.testing.assert_allclose(found, ad.hessian(time)(p), rtol=1e-6)


@pytest.mark.parametrize("method", ["RK45", "DOP853"])
def test_events_have_derivatives_of_higher_order(method: str) -> None:
    """When exp(-k t) y0 is 0.3, and what another state is then, for which there are formulas."""

    def event(t: Any, y: Any) -> Any:
        return y[0] ** 2 - 0.09

    def solved(k: Any, y0: Any, of_state: bool) -> Any:
        found = integrate.solve_ivp(
            lambda t, y: np.stack([-k * y[0], np.cos(t) + 0 * y[1]]),
            (0.0, 5.0),
            np.stack([y0, 0.0 * y0]),
            method,
            events=event,
            **TIGHT,
        )
        return found.y_events[0][0, 1] if of_state else found.t_events[0][0]

    def formula(k: Any, y0: Any, of_state: bool) -> Any:
        time = np.log(y0 / 0.3) / k
        return np.sin(time) if of_state else time

    for of_state, *orders in ((False, 0, 1, 0), (True, 0, 0, 1), (True, 1, 1, 1, 1)):
        one: Any = solved
        other: Any = formula
        for i in orders:
            one, other = ad.grad(one, i), ad.grad(other, i)
        expected = other(0.7, 1.3, of_state)
        np.testing.assert_allclose(one(0.7, 1.3, of_state), expected, rtol=1e-5)
    pushed = ad.jvp(ad.hessian(lambda k: solved(k, 1.3, False)), (0.7,), (1.0,))[1]
    np.testing.assert_allclose(pushed, -6 * np.log(1.3 / 0.3) / 0.7**4, rtol=1e-5)


def test_grazing_event_is_named() -> None:
    def slope(t: Any, y: Any) -> Any:
        return np.stack([y[1], -9.8 + 0.0 * y[0]])

    def height(t: Any, y: Any) -> Any:
        return y[0] - 1.0

    time, _ = crossing("solve_ivp", slope, height, 0.4, np.array([1.0, 0.3]), ())
    np.testing.assert_allclose(time, 0.4)
    with pytest.raises(ad.SingularSystemError, match="touches zero"):
        crossing("solve_ivp", slope, height, 0.4, np.array([1.0, 0.0]), ())


@pytest.mark.parametrize("method", ["RK23", "RK45", "DOP853", "BDF"])
def test_dense_output(method: str) -> None:
    def at(rate: Any, t: Any) -> Any:
        solution = integrate.solve_ivp(
            lambda t, y: -rate * y, (0.0, 2.0), [1.0], method, dense_output=True, **TIGHT
        )
        return np.sum(solution.sol(t))

    found = ad.grad(at, (0, 1))(0.5, 1.3)
    np.testing.assert_allclose(found, np.array([-1.3, -0.5]) * np.exp(-0.65), rtol=1e-6)
    several = np.array([0.5, 1.7, 0.1])
    found = ad.grad(at)(0.5, several)
    np.testing.assert_allclose(found, -np.sum(several * np.exp(-0.5 * several)), rtol=1e-6)


@pytest.mark.parametrize("method", ["RK45", "BDF"])
def test_containers_and_complex_states(method: str) -> None:
    def oscillation(k: Any) -> Any:
        start = {"x": np.array([1.0, 2.0]), "v": np.zeros(2)}
        solution = integrate.solve_ivp(
            lambda t, s: {"x": s["v"], "v": -k * s["x"]}, (0.0, 1.0), start, method, **TIGHT
        )
        return np.sum(solution.y["x"][:, -1])

    root = np.sqrt(2.0)
    np.testing.assert_allclose(ad.grad(oscillation)(2.0), -1.5 * np.sin(root) / root, rtol=1e-6)

    def turned(w: Any) -> Any:
        start = np.array([1.0 + 0.0j])
        return integrate.solve_ivp(
            lambda t, y: 1j * w * y, (0.0, 1.0), start, method, **TIGHT
        ).y.real[0, -1]

    np.testing.assert_allclose(ad.grad(turned)(2.0), -np.sin(2.0), rtol=1e-6)


@pytest.mark.parametrize("method", ["RK45", "Radau"])
def test_start_times_and_direction(method: str) -> None:
    def solved(start: Any, end: Any, times: Any = None) -> Any:
        return integrate.solve_ivp(
            lambda t, y: -t * y, (start, end), [1.0], method, times, **TIGHT
        ).y[0]

    found = ad.grad(lambda t: solved(t, 1.0)[-1])(0.2)
    np.testing.assert_allclose(found, 0.2 * np.exp(0.02 - 0.5), rtol=1e-6)
    times = np.array([0.2, 0.5])
    found = ad.grad(lambda t: np.sum(solved(0.0, 1.0, t)))(times)
    np.testing.assert_allclose(found, -times * np.exp(-(times**2) / 2), rtol=1e-6)
    back = ad.grad(lambda s: np.sum(s * solved(1.0, 0.0, [0.7, 0.1])))(1.0)
    np.testing.assert_allclose(back, np.exp([0.255, 0.495]).sum(), rtol=1e-6)


def test_failures_and_wrong_input() -> None:
    def blown_up(k: Any, **options: Any) -> Any:
        return integrate.solve_ivp(lambda t, y: k * y**2, (0.0, 3.0), [1.0], **options).y[0, -1]

    with pytest.warns(ad.ConvergenceWarning, match="step size"):
        ad.grad(blown_up)(1.0)
    with pytest.raises(ad.SolverError, match="step size"):
        blown_up(1.0, on_failure="raise")
    wrong = (
        ({"method": "Euler"}, "method"),
        ({"adjoint": "forward"}, "adjoint"),
        ({"adjoint": "discrete", "method": "BDF"}, "RK23"),
        ({"checkpoint": 3, "method": "BDF"}, "checkpoint"),
        ({"on_failure": "ignore"}, "on_failure"),
    )
    for options, match in wrong:
        with pytest.raises(ValueError, match=match):
            blown_up(1.0, **options)
    with pytest.raises(ValueError, match="1-dimensional"):
        integrate.solve_ivp(lambda t, y: y, (0.0, 1.0), np.ones((2, 2)))
    with pytest.raises(ad.NonDifferentiableError, match="rtol"):
        ad.grad(lambda r: blown_up(1.0, rtol=r))(1e-3)


def test_odeint() -> None:
    def slope(y: Any, t: Any, k: Any) -> Any:
        return [y[1], -k * y[0]]

    times = np.linspace(0.0, 2.0, 5)
    theirs = scipy.integrate.odeint(slope, [1.0, 0.0], times, (2.0,))
    np.testing.assert_array_equal(integrate.odeint(slope, [1.0, 0.0], times, (2.0,)), theirs)
    ours = integrate.odeint(slope, [1.0, 0.0], times, (ad.Tensor(2.0),))
    np.testing.assert_allclose(ours.data, theirs, rtol=1e-6, atol=1e-6)

    def last(k: Any, end: Any, **options: Any) -> Any:
        grid = end * times
        return integrate.odeint(slope, [1.0, 0.0], grid, (k,), **options)[-1, 0]

    root = np.sqrt(2.0)
    tight: dict[str, Any] = {"rtol": 1e-11, "atol": 1e-12}
    found = ad.grad(lambda k, e: last(k, e, **tight), (0, 1))(2.0, 0.5)
    wanted = [-0.5 * np.sin(root) / root, -2 * root * np.sin(root)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    flipped = ad.grad(
        lambda k: integrate.odeint(
            lambda t, y: -k * y,
            1.0,
            [0.0, 2.0],
            tfirst=True,
            Dfun=lambda t, y: np.array([[-0.5]]),
            **tight,
        )[-1, 0]
    )
    np.testing.assert_allclose(flipped(0.5), -2 * np.exp(-1.0), rtol=1e-6)
    with pytest.raises(TypeError, match="mxstep"):
        ad.grad(lambda k: last(k, 0.5, mxstep=7))(2.0)


# --- integrals of functions -----------------------------------------------------------------------


def test_quad() -> None:
    def sine(k: Any, a: Any, b: Any) -> Any:
        return integrate.quad(lambda x, k: np.sin(k * x), a, b, args=(k,))[0]

    ad.check_grads(sine, (1.3, 0.2, 1.5), order=2)
    ends = np.array([1.0, 2.0])
    found = ad.vmap(ad.grad(lambda b: sine(1.0, 0.0, b)))(ends)
    np.testing.assert_allclose(found, np.sin(ends))

    def gaussian(width: Any) -> Any:
        return integrate.quad(lambda x: np.exp(-((x / width) ** 2)), -np.inf, np.inf)[0]

    np.testing.assert_allclose(ad.grad(gaussian)(2.0), np.sqrt(np.pi), rtol=1e-10)

    def laplace(k: Any) -> Any:
        return integrate.quad(lambda x: np.exp(-k * x), 0, np.inf)[0]

    np.testing.assert_allclose(ad.grad(ad.grad(laplace))(2.0), 0.25, rtol=1e-9)
    plain = integrate.quad(np.cos, 0.0, 1.0, full_output=1)
    theirs = scipy.integrate.quad(np.cos, 0.0, 1.0, full_output=1)
    assert plain[:2] == theirs[:2]


@pytest.mark.parametrize(
    "options",
    [
        {"points": [0.5, 0.8]},
        {"weight": "cos", "wvar": 3.0},
        {"weight": "sin", "wvar": 3.0},
        {"weight": "cauchy", "wvar": 0.5},
        {"complex_func": True},
    ],
)
def test_options_of_quad(options: Any) -> None:
    factor = 1.0 + 2.0j if "complex_func" in options else 1.0

    def integral(k: Any, a: Any, b: Any) -> Any:
        found = integrate.quad(lambda x: np.exp(k * x) * factor, a, b, **options)[0]
        return np.real(found) + 3.0 * np.imag(found)

    ad.check_grads(integral, (0.7, 0.1, 1.3), order=2)


def test_weights_of_quad_at_singular_ends_and_at_infinity() -> None:
    def weighted(k: Any, b: Any, weight: str) -> Any:
        return integrate.quad(lambda x: np.exp(k * x), 0.0, b, weight=weight, wvar=(0.5, -0.3))[0]

    for weight in ("alg", "alg-loga", "alg-logb", "alg-log"):
        ad.check_grads(lambda k, w=weight: weighted(k, 1.0, w), (0.7,), order=1)
        with pytest.raises(ad.NonDifferentiableError, match=f"weight='{weight}'.*by the limits"):
            ad.grad(lambda b, w=weight: weighted(0.7, b, w))(1.0)

    def transform(k: Any) -> Any:
        return integrate.quad(lambda x: np.exp(-k * x), 0.0, np.inf, weight="cos", wvar=2.0)[0]

    np.testing.assert_allclose(ad.grad(transform)(1.5), (4.0 - 1.5**2) / (4.0 + 1.5**2) ** 2)
    for keyword in ("wvar", "points", "epsabs"):
        with pytest.raises(ad.NonDifferentiableError, match=keyword):
            integrate.quad(np.exp, 0.0, 1.0, **{keyword: ad.Tensor(1.0)})


def test_nquad() -> None:
    def moment(k: Any, c: Any, d: Any) -> Any:
        return integrate.nquad(
            lambda y, x, k: k**2 * x * y + c * y,
            [lambda x, k: (c * x, x * d), (0.0, d)],
            args=(k,),
            opts={"epsabs": 1e-12},
        )[0]

    def formula(k: Any, c: Any, d: Any) -> Any:
        return (d**2 - c**2) / 2.0 * (k**2 * d**4 / 4.0 + c * d**3 / 3.0)

    point = (0.7, 0.5, 1.2)
    for transform in (
        lambda f: f,
        lambda f: ad.grad(f, (0, 1, 2)),
        lambda f: ad.grad(lambda k, c, d: ad.grad(f, 1)(k, c, d), (0, 2)),
        lambda f: lambda *x: ad.jvp(f, x, (1.0, 0.5, -2.0))[1],
    ):
        np.testing.assert_allclose(transform(moment)(*point), transform(formula)(*point))
    by_inner = ad.grad(lambda s: integrate.nquad(lambda y, x: x * y, [(0.0, s), (0.0, 1.0)])[0])
    np.testing.assert_allclose(by_inner(2.0), 1.0)
    ranges = [lambda x: (0.0, x), (0.0, 2.0)]
    for full in (False, True):
        ours, theirs = (
            module.nquad(lambda y, x: x * y, ranges, opts=[{}, {"points": [0.5]}], full_output=full)
            for module in (integrate, scipy.integrate)
        )
        assert ours == theirs
    with pytest.raises(TypeError, match="options that are functions"):
        ad.grad(
            lambda k: integrate.nquad(
                lambda y, x: k * x, ranges, opts=[lambda *x: {}, lambda *x: {}]
            )[0]
        )(1.0)


def test_dblquad_and_tplquad() -> None:
    def mass(k: Any, top: Any) -> Any:
        return integrate.dblquad(lambda y, x: k * x + y, 0.0, 1.0, 0.0, lambda x: top * x)[
            0
        ]  # k top / 3 + top² / 6

    np.testing.assert_allclose(ad.grad(mass, (0, 1))(2.0, 3.0), [1.0, 2.0 / 3.0 + 1.0])
    args = (lambda y, x: x * y, 0.0, 1.0, 0.0, lambda x: x)
    assert integrate.dblquad(*args) == scipy.integrate.dblquad(*args)

    def solid(k: Any, side: Any) -> Any:
        return integrate.tplquad(
            lambda z, y, x, k: k * x * z, 0.0, side, 0.0, 1.0, 0.0, lambda x, y: x, (k,)
        )[0]  # k side⁴ / 8

    np.testing.assert_allclose(ad.grad(solid, 1)(2.0, 1.5), 1.5**3)
    box = (lambda z, y, x: x * y * z, 0.0, 1.0, 0.0, lambda x: x, 0.0, lambda x, y: y)
    assert integrate.tplquad(*box) == scipy.integrate.tplquad(*box)


def test_quad_vec() -> None:
    def decays(w: Any, a: Any, b: Any) -> Any:
        return integrate.quad_vec(lambda x: np.exp(-w * x), a, b)[0]

    ad.check_grads(decays, (np.array([1.0, 2.0]), 0.1, 0.9), order=2)
    plain = integrate.quad_vec(lambda x: np.array([x, x * x]), 0.0, 1.0)
    np.testing.assert_array_equal(
        plain[0], scipy.integrate.quad_vec(lambda x: np.array([x, x * x]), 0.0, 1.0)[0]
    )


# --- integrals of samples -------------------------------------------------------------------------

SAMPLED = ("trapezoid", "simpson", "cumulative_trapezoid", "cumulative_simpson")


@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("axis", [0, -1])
def test_samples_as_scipy(name: str, count: int, axis: int) -> None:
    rng = np.random.default_rng(count)
    y = rng.normal(size=(count, count + 1))
    x = np.cumsum(rng.uniform(0.5, 1.5, size=y.shape), axis=axis)
    one = x[:, 0] if axis == 0 else x[0]
    for options in ({}, {"dx": 0.3}, {"x": x}, {"x": one}):
        theirs = getattr(scipy.integrate, name)(y, axis=axis, **options)
        ours = getattr(integrate, name)(ad.Tensor(y), axis=axis, **options)
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(getattr(integrate, name)(y, axis=axis, **options), theirs)


@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_gradients_of_samples(name: str, count: int) -> None:
    rng = np.random.default_rng(count)
    x = np.cumsum(rng.uniform(0.5, 1.5, count))
    function = getattr(integrate, name)
    ad.check_grads(lambda y, x: function(y, x=x), (rng.normal(size=count), x), order=2)


def test_romb_initial_and_fixed_quad() -> None:
    y = np.random.default_rng(0).normal(size=(9, 2))
    ours = integrate.romb(ad.Tensor(y), 0.3, axis=0)
    np.testing.assert_allclose(ours.data, scipy.integrate.romb(y, 0.3, axis=0))
    with pytest.raises(ValueError, match="power of 2"):
        integrate.romb(ad.Tensor(np.ones(6)))
    ours = integrate.cumulative_simpson(ad.Tensor(y), axis=0, initial=2.0)
    theirs = scipy.integrate.cumulative_simpson(y, axis=0, initial=2.0)
    np.testing.assert_allclose(ours.data, theirs)
    ours = integrate.cumulative_trapezoid(ad.Tensor(y), initial=0)
    theirs = scipy.integrate.cumulative_trapezoid(y, initial=0)
    np.testing.assert_allclose(ours.data, theirs)
    plain = scipy.integrate.fixed_quad(np.cos, 0.1, 0.7)[0]
    np.testing.assert_allclose(integrate.fixed_quad(np.cos, 0.1, 0.7)[0], plain)
    ad.check_grads(
        lambda a, b, k: integrate.fixed_quad(lambda x, k: np.cos(k * x), a, b, (k,))[0],
        (0.1, 0.7, 1.3),
        order=2,
    )


def test_scipys_own_function_names_this_one() -> None:
    with pytest.raises(TypeError, match="autodiff"):
        scipy.integrate.solve_ivp(lambda t, y: ad.Tensor([1.0]) * y, (0.0, 1.0), [1.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"number of times in the result; here they are 4 and 23: pass t_eval="),
        ({"t_eval": TIMES, "events": lambda t, y: y[0] - 0.1}, r"number of times of events\[0\]"),
    ],
)
def test_lengths_that_differ_in_a_batch_are_named(options: Any, message: str) -> None:
    def path(rate: Any) -> Any:
        return integrate.solve_ivp(lambda t, y: -rate * y, (0.0, 2.0), [1.0], **options).y[0]

    rates = np.array([0.5, 20.0])
    for f in (ad.vmap(path), ad.vmap(ad.grad(lambda rate: np.sum(path(rate))))):
        with pytest.raises(ad.TapeError, match=message):
            f(rates)


def test_every_name_of_scipys_is_here_or_says_what_to_write() -> None:
    names = {
        name
        for name, value in vars(scipy.integrate).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "test"
    }
    missing = names - set(integrate.__all__)
    assert {"ode", "complex_ode", "qmc_quad"} <= missing
    for name in missing:
        with pytest.raises(AttributeError, match=f"has no '{name}'.*here: "):
            getattr(integrate, name)
    assert set(integrate.__all__) <= names


def test_solver_classes_refuse_tensors_by_name() -> None:
    for name in (*EXPLICIT, *IMPLICIT):
        with pytest.raises(TypeError, match=r"solve_ivp"):
            getattr(integrate, name)(lambda t, y: -y, 0.0, ad.Tensor(START), 1.0)


# --- boundary value problems ----------------------------------------------------------------------


def between(k: Any, top: Any, at: Any, **options: Any) -> Any:
    """Solution of y'' = k² y with y(0) = 0 and y(1) = top."""
    mesh = np.linspace(0.0, 1.0, 5)
    return integrate.solve_bvp(
        lambda x, y: [y[1], k**2 * y[0]],
        lambda ya, yb: [ya[0], yb[0] - top],
        mesh,
        np.zeros((2, 5)),
        **{"tol": 1e-8, **options},
    ).sol(at)[0]


def test_solve_bvp() -> None:
    def exact(k: Any, top: Any, at: Any) -> Any:
        return top * np.sinh(at * k) / np.sinh(k)

    point = (2.0, 1.3, 0.3)
    close: dict[str, Any] = {"rtol": 1e-6}
    for transform in (
        lambda f: ad.grad(f, (0, 1, 2)),
        lambda f: ad.grad(ad.grad(f)),
        lambda f: lambda *x: ad.jvp(f, x, (1.0, 0.5, -2.0))[1],
    ):
        np.testing.assert_allclose(transform(between)(*point), transform(exact)(*point), **close)
    times = np.array([0.0, 0.4, 1.0])
    slopes = ad.jacobian(lambda k: between(k, 1.3, times))(2.0)
    np.testing.assert_allclose(
        slopes, ad.jacobian(lambda k: exact(k, 1.3, times))(2.0), atol=1e-9, **close
    )


def test_solve_bvp_of_arrays_is_scipys_and_sol_has_derivatives() -> None:
    def problem(module: Any, k: Any) -> Any:
        return module.solve_bvp(
            lambda x, y: np.stack([y[1], k * y[0]]),
            lambda ya, yb: np.stack([ya[0], yb[0] - 1.0]),
            np.linspace(0.0, 1.0, 5),
            np.zeros((2, 5)),
        )

    theirs = problem(scipy.integrate, 2.0)
    plain, boxed = problem(integrate, 2.0), problem(integrate, ad.Tensor(2.0))
    assert type(plain) is type(theirs) is type(boxed)
    assert set(boxed) == set(theirs)
    np.testing.assert_array_equal(plain.y, theirs.y)
    np.testing.assert_allclose(boxed.y.data, theirs.y)
    np.testing.assert_allclose(boxed.yp.data, theirs.yp)
    points = np.array([0.0, 0.13, 0.5, 1.0, 1.1])
    for order in (0, 1, 2):
        np.testing.assert_allclose(
            boxed.sol(points, order).data, theirs.sol(points, order), atol=1e-12
        )


def test_solve_bvp_with_unknown_parameters_and_a_singular_term() -> None:
    def frequency(c: Any) -> Any:
        return integrate.solve_bvp(
            lambda x, y, p: np.stack([y[1], -c * p[0] ** 2 * y[0]]),
            lambda ya, yb, p: np.stack([ya[0], yb[0], ya[1] - p[0]]),
            np.linspace(0.0, 1.0, 5),
            np.array([[0.0, 1.0, 0.0, -1.0, 0.0], [0.0] * 5]),
            p=[6.0],
            tol=1e-6,
            max_nodes=3000,
        ).p[0]

    np.testing.assert_allclose(frequency(1.0), 2 * np.pi)
    np.testing.assert_allclose(ad.grad(frequency)(1.0), -np.pi, rtol=1e-6)

    def emden(end: Any, tol: float = 1e-6) -> Any:  # y = end / (1 + end⁴ x² / 3)^(1/2) at 1
        return integrate.solve_bvp(
            lambda x, y: np.stack([y[1], -(y[0] ** 5)]),
            lambda ya, yb: np.stack([ya[1], yb[0] - end]),
            np.linspace(0.0, 1.0, 5),
            np.ones((2, 5)),
            S=np.array([[0.0, 0.0], [0.0, -2.0]]),
            tol=tol,
        ).sol(0.0)[0]

    def at_end(start: Any) -> Any:
        return start / np.sqrt(1.0 + start**4 / 3.0)

    start = emden(np.sqrt(0.75))
    np.testing.assert_allclose(start, 1.0, rtol=1e-5)
    np.testing.assert_allclose(ad.grad(emden)(np.sqrt(0.75)), 1.0 / ad.grad(at_end)(1.0), rtol=1e-4)


def test_solve_bvp_says_what_it_cannot() -> None:
    with pytest.raises(ad.NonDifferentiableError, match="mesh x"):
        integrate.solve_bvp(None, None, ad.Tensor(np.ones(3)), np.ones((1, 3)))
    for keyword in ("S", "tol", "bc_tol"):
        with pytest.raises(ad.NonDifferentiableError, match=keyword):
            between(1.0, 1.0, 0.5, **{keyword: ad.Tensor(1.0)})
    with pytest.raises(ad.TapeError, match="one mesh; here are two, of"):
        ad.vmap(lambda k: between(k, 1.0, 0.5))(np.array([0.5, 9.0]))
    with pytest.warns(ad.ConvergenceWarning, match="did not converge: The maximum number of mesh"):
        ad.grad(lambda k: between(k, 1.0, 0.5, max_nodes=6))(9.0)
    with pytest.raises(ad.SolverError, match="maximum number of mesh"):
        between(9.0, 1.0, 0.5, max_nodes=6, on_failure="raise")


# --- what the solver is given ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["RK45", "LSODA"])
def test_a_right_hand_side_with_tensors_from_outside_is_recorded_for_the_solver(
    method: str,
) -> None:
    counter = itertools.count()  # nobody sees that it changes

    def solved(matrix: Any, others: Any = ()) -> Any:
        def slope(t: Any, y: Any, *args: Any) -> Any:
            next(counter)
            return np.tanh(matrix @ y) + sum(args)

        return integrate.solve_ivp(
            slope, (0.0, 9.0), START, method, TIMES, args=others or None, **TIGHT
        )

    theirs = solved(MATRIX)
    for others in ((), (ad.Tensor(0.0),)):
        before = next(counter)
        ours = solved(ad.Tensor(MATRIX), others)
        assert next(counter) - before < 30 < theirs.nfev
        close: dict[str, Any] = {"rtol": 0 if method == "RK45" else 1e-7}
        np.testing.assert_allclose(ours.y.data, theirs.y, **close)
    found = ad.grad(lambda m: np.sum(solved(m).y))(MATRIX)
    wanted = differences(lambda m: np.sum(solved(m).y), MATRIX)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_recorded_right_hand_side_goes_other_ways_and_meets_other_tensors() -> None:
    def solved(a: Any, b: Any, c: Any) -> Any:
        def slope(t: Any, y: Any) -> Any:
            if t < 0.7:
                return -a * y
            return -b * y if y[0] > 0.3 else -c * y

        return integrate.solve_ivp(slope, (0.0, 3.0), [1.0], max_step=0.05, **TIGHT).y[0, -1]

    point = np.array([0.5, 1.1, 0.3])
    boxed = solved(*map(ad.Tensor, point))
    np.testing.assert_array_equal(boxed.data, solved(*point))
    found = np.array(ad.grad(lambda p: solved(*p))(point))
    one, half = np.array([0.0, 0.0, 1e-6]), 1e-6
    by_last = (solved(*(point + one)) - solved(*(point - one))) / (2 * half)
    np.testing.assert_allclose(found[2], by_last, rtol=1e-4)
    assert (found < 0.0).all()


def test_a_right_hand_side_that_computes_something_else_each_time_is_asked_each_time() -> None:
    rng = np.random.default_rng(0)
    calls = 0

    def slope(t: Any, y: Any) -> Any:
        nonlocal calls
        calls += 1
        return -rate * y * (1.0 + 1e-3 * rng.normal())

    rate = ad.Tensor(0.5)
    found = integrate.solve_ivp(slope, (0.0, 2.0), [1.0], max_step=0.2)
    assert calls >= found.nfev


class Remembering:
    """Right-hand sides that keep something from call to call, each in a way of its own."""

    total = 0

    def __init__(self) -> None:
        self.on = False
        self.since = 0.0
        self.before: list[Any] = []
        self.counts = {"calls": 0}
        self.flags = np.zeros(2, bool)

    def count_in_a_cell(self, rate: Any) -> Any:
        calls = 0

        def slope(t: Any, y: Any) -> Any:
            nonlocal calls
            calls += 1
            return -rate * y * (1.5 if calls > 50 else 1.0)

        return slope

    def count_in_a_container(self, rate: Any) -> Any:
        counts = self.counts

        def slope(t: Any, y: Any) -> Any:
            counts["calls"] += 1
            return -rate * y * (1.5 if counts["calls"] > 50 else 1.0)

        return slope

    def count_in_a_global(self, rate: Any) -> Any:
        def slope(t: Any, y: Any) -> Any:
            EVALUATED[0] += 1
            return -rate * y * (1.5 if EVALUATED[0] > 50 else 1.0)

        return slope

    def count_in_a_class(self, rate: Any) -> Any:
        def slope(t: Any, y: Any) -> Any:
            Remembering.total += 1
            return -rate * y * (1.5 if Remembering.total > 50 else 1.0)

        return slope

    def earlier_times(self, rate: Any) -> Any:
        def slope(t: Any, y: Any) -> Any:
            self.before.append(t)
            return -rate * y * (1.0 + self.before[max(0, len(self.before) - 20)])

        return slope

    def switch(self, rate: Any) -> Any:
        def slope(t: Any, y: Any) -> Any:
            if y[0] > 0.9:
                self.on = False
            elif y[0] < 0.4:
                self.on = True
            return rate - rate * y if self.on else -rate * y

        return slope

    def switch_in_an_array(self, rate: Any) -> Any:
        flags = self.flags

        def slope(t: Any, y: Any) -> Any:
            if y[0] > 0.9 or y[0] < 0.4:
                flags[0] = bool(y[0] < 0.4)
            return rate - rate * y if flags[0] else -rate * y

        return functools.partial(slope)

    def held(self, rate: Any) -> Any:
        self.rate = rate
        return self.method

    def method(self, t: Any, y: Any) -> Any:
        if t > self.since + 0.4:
            self.since = t
        return -self.rate * y * (1.0 + self.since)


EVALUATED = [0]


@pytest.mark.parametrize(
    "name",
    [n for n, f in vars(Remembering).items() if n[0] != "_" and callable(f) and n != "method"],
)
def test_a_right_hand_side_that_remembers_its_calls_is_asked_each_time(name: str) -> None:
    def solved(rate: Any) -> Any:
        EVALUATED[0] = Remembering.total = 0
        slope = getattr(Remembering(), name)(rate)
        return integrate.solve_ivp(slope, (0.0, 3.0), [1.0], max_step=0.1)

    theirs, ours = solved(0.7), solved(ad.Tensor(0.7))
    np.testing.assert_array_equal(ours.y.data, theirs.y)
    assert int(ours.nfev) == theirs.nfev
    with pytest.raises(ad.TapeError, match="returned something else, so the solution has no"):
        ad.grad(lambda rate: solved(rate).y[0, -1])(0.7)


@pytest.mark.parametrize("way", ["outside", "args", "y0", "vectorized"])
def test_a_solution_of_what_remembers_has_no_derivative_wherever_the_tensors_are(way: str) -> None:
    def solved(rate: Any) -> Any:
        calls = 0

        def slope(t: Any, y: Any, *args: Any) -> Any:
            nonlocal calls
            calls += 1
            of = args[0] if args else 0.7 if way == "y0" else rate
            return -of * y * (1.5 if calls > 50 else 1.0)

        options: dict[str, Any] = {"args": (rate,)} if way == "args" else {}
        start = np.stack([rate]) if way == "y0" else [1.0]
        vectorized = way == "vectorized"
        return integrate.solve_ivp(
            slope, (0.0, 3.0), start, max_step=0.1, vectorized=vectorized, **options
        ).y[0, -1]

    np.testing.assert_array_equal(solved(ad.Tensor(0.7)).data, solved(0.7))
    with pytest.raises(ad.TapeError, match="returned something else"):
        ad.grad(solved)(0.7)


def test_what_a_right_hand_side_keeps_without_using_it_does_no_harm() -> None:
    def solved(rate: Any) -> Any:
        def slope(t: Any, y: Any) -> Any:
            times.append(t)
            return -rate * y

        return integrate.solve_ivp(slope, (0.0, 2.0), [1.0], **TIGHT)

    times: list[Any] = []
    count = solved(0.5).nfev
    assert len(times) == count
    times.clear()
    np.testing.assert_allclose(
        ad.grad(lambda rate: solved(rate).y[0, -1])(0.5), -2.0 * np.exp(-1.0), rtol=1e-7
    )
    assert len(times) >= count


def test_what_the_first_call_leaves_behind_is_no_memory() -> None:
    counter, table = itertools.count(), {}

    def slope(t: Any, y: Any) -> Any:
        next(counter)
        if "factor" not in table:
            table["factor"] = 2.0
        return -rate * table["factor"] * y

    rate = ad.Tensor(0.5)
    found = integrate.solve_ivp(slope, (0.0, 9.0), [1.0], **TIGHT)
    assert next(counter) < 30 < int(found.nfev)


def test_a_solution_with_random_numbers_has_no_derivative() -> None:
    def solved(rate: Any) -> Any:
        rng = np.random.default_rng(0)
        return integrate.solve_ivp(
            lambda t, y: -rate * y * (1.0 + 1e-3 * rng.normal()), (0.0, 2.0), [1.0], max_step=0.2
        ).y[0, -1]

    np.testing.assert_array_equal(solved(ad.Tensor(0.5)).data, solved(0.5))
    with pytest.raises(ad.TapeError, match="returned something else"):
        ad.grad(solved)(0.5)


def test_what_a_step_computes_again_is_computed_once() -> None:
    matrix = ad.Tensor(MATRIX)
    products = 0

    @ad.primitive(vjp_x=lambda g, x: heavy(g))
    def heavy(x: Any) -> Any:
        nonlocal products
        products += 1
        return 2.0 * x

    def last(p: Any) -> Any:
        return integrate.solve_ivp(
            lambda t, y, p: matrix @ y * 0.1 + heavy(p),
            (0.0, 1.0),
            START,
            args=(p,),
            max_step=0.01,
            first_step=0.01,
        ).y[0, -1]

    steps = 100
    ad.grad(last)(START)
    # Six stages of a step in the solver; going back, once in a step, there and back
    assert products < 6 * steps + 3 * steps
