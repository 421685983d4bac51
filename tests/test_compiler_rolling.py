"""Loops rolled: steps that are alike become one operation, and no bit changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff import tree
from autodiff.compiler import backends
from autodiff.compiler.passes import optimized
from autodiff.compiler.passes.loops import Loop
from autodiff.compiler.passes.repeats import periods
from autodiff.compiler.passes.rolling import LEAST, Rolling, rolled
from autodiff.tape.ir import Tape
from autodiff.transforms.scan.operation import Scan


def names(tape: Tape) -> list[str]:
    return [entry.primitive.name for entry in tape]


def loops(tape: Tape) -> list[Scan]:
    return [entry.primitive for entry in tape if isinstance(entry.primitive, Scan)]


def bits(values: Any) -> list[tuple[Any, ...]]:
    arrays = [np.array(value, order="C") for value in tree.leaves(values)]
    return [(array.shape, array.dtype.str, array.tobytes()) for array in arrays]


def both(f: Callable[..., Any], *args: Any) -> tuple[Tape, Tape]:
    """Tape of a function and the same with loops, which gives the same bits."""
    tape = optimized(ad.record(f)(*args))
    short = rolled(tape)
    short.check()
    assert bits(short.evaluate(*args)) == bits(tape.evaluate(*args))
    return tape, short


# --- a table of loops -----------------------------------------------------------------------------


class Case(NamedTuple):
    """A loop: how its function is made for a length, and how many operations stay at most."""

    make: Callable[[int], Callable[..., Any]]
    args: Callable[[int], tuple[Any, ...]]
    forward: int
    backward: int
    length: int = 24


RNG = np.random.default_rng(0)
CASES: dict[str, Case] = {}


def case(forward: int, backward: int, length: int = 24) -> Callable[[Any], Any]:
    def add(make: Callable[[int], tuple[Any, Any]]) -> Any:
        name = make.__name__
        CASES[name] = Case(lambda n: make(n)[0], lambda n: make(n)[1], forward, backward, length)
        return make

    return add


@case(3, 25)
def recurrence(n: int) -> Any:
    def f(x: Any, y: Any) -> Any:
        for _ in range(n):
            x = np.sin(x) * 1.1 + x * y
        return np.sum(x)

    return f, (np.array([0.3, -0.2, 1.0]), np.array([0.2, 0.1, 0.3]))


@case(3, 25)
def numbers(n: int) -> Any:
    def f(x: Any, y: Any) -> Any:
        for _ in range(n):
            x = np.sin(x) * 1.1 + x * y
        return x

    return f, (0.5, 0.25)


@case(45, 200)
def lstm(n: int) -> Any:
    def f(params: Any, xs: Any) -> Any:
        wx, wh, b = params
        h = np.zeros(3)
        c = np.zeros(3)
        total = 0.0
        for t in range(n):
            gates = xs[t] @ wx + h @ wh + b
            i, o, g, q = gates[:3], gates[3:6], gates[6:9], gates[9:]
            c = c / (1 + np.exp(-q)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            total = total + np.sum(h**2)
        return total

    rng = np.random.default_rng(1)
    params = rng.normal(size=(2, 12)), rng.normal(size=(3, 12)) / 2, rng.normal(size=12)
    return f, (params, rng.normal(size=(n, 2)))


@case(12, 130)
def runge_kutta(n: int) -> Any:
    def f(y: Any, k: Any) -> Any:
        def slope(y: Any) -> Any:
            return np.stack([y[1], -k * np.sin(y[0])])

        for _ in range(n):
            k1 = slope(y)
            k2 = slope(y + 0.05 * k1)
            k3 = slope(y + 0.05 * k2)
            k4 = slope(y + 0.1 * k3)
            y = y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return np.sum(y)

    return f, (np.array([1.0, 0.0]), 2.0)


@case(6, 60, 40)
def in_place(n: int) -> Any:
    def f(x: Any) -> Any:
        x = x.copy()
        for i in range(1, n):
            x[i] = np.sin(x[i - 1]) * x[i] + 0.5
        return np.sum(x)

    return f, (np.linspace(0.1, 1.0, n),)


@case(4, 12)
def stencil(n: int) -> Any:
    def f(u: Any) -> Any:
        u = u.copy()
        for _ in range(n):
            u[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
        return np.sum(u**2)

    return f, (np.linspace(0.0, 1.0, 7) ** 2,)


@case(8, 60, 20)
def layers(n: int) -> Any:
    def f(w: Any, b: Any, x: Any) -> Any:
        for i in range(n):
            x = np.tanh(w[i] @ x + b[i])
        return np.sum(x)

    rng = np.random.default_rng(2)
    return f, (rng.normal(size=(n, 3, 3)), rng.normal(size=(n, 3)), rng.normal(size=3))


@case(3, 40)
def fibonacci(n: int) -> Any:
    def f(a: Any, b: Any) -> Any:
        for _ in range(n):
            a, b = b, 0.3 * a + np.sin(b)
        return a * b

    return f, (1.0, 0.5)


@case(6, 40)
def two_steps(n: int) -> Any:
    def f(x: Any) -> Any:
        before, now = x, x * 0.5
        for _ in range(n):
            before, now = now, 0.5 * now - 0.1 * before + np.cos(before)
        return np.sum(now) + np.sum(before)

    return f, (np.array([0.5, 1.5]),)


@case(6, 40)
def backwards(n: int) -> Any:
    def f(xs: Any) -> Any:
        y = 0.0
        for i in reversed(range(n)):
            y = np.sin(y) + xs[i] * xs[i] * 0.5
        return y

    return f, (np.linspace(-1.0, 1.0, n),)


@case(12, 60)
def ends_differ(n: int) -> Any:
    def f(x: Any) -> Any:
        for i in range(n):
            x = np.exp(x) * 0.1 if i in (0, n - 1) else np.sin(x) * 1.5 + 0.25
        return np.sum(x)

    return f, (np.array([0.5, 0.1]),)


@case(4, 30, 40)
def changing_constants(n: int) -> Any:
    weights = np.random.default_rng(3).normal(size=(n, 2))

    def f(x: Any) -> Any:
        for i in range(n):
            x = np.sin(x) * weights[i] + (i + 0.5) / n
        return np.sum(x)

    return f, (np.array([0.5, 0.1]),)


@case(4, 20, 40)
def collected(n: int) -> Any:
    def f(x: Any) -> Any:
        found = []
        for _ in range(n):
            x = np.sin(x) * 1.5
            found.append(x)
        return np.stack(found, axis=1)

    return f, (np.array([0.5, 0.1]),)


@case(30, 200, 12)
def nested(n: int) -> Any:
    def f(x: Any, w: Any) -> Any:
        for i in range(n):
            for _ in range(30):
                x = np.sin(x) * 1.1 + x * 0.25
            x = np.exp(-x) * w[i]
        return np.sum(x)

    return f, (np.array([0.5, 0.1]), np.linspace(0.1, 0.5, n))


def scalar(f: Callable[..., Any]) -> Callable[..., Any]:
    """Sum of squares of what a function gives, with its arguments as one."""
    return lambda args: sum(np.sum(part**2) for part in tree.leaves(f(*args)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("way", ["forward", "backward"])
def test_loops_become_one_operation(name: str, way: str) -> None:
    found = CASES[name]
    lengths = []
    for n in (found.length, 2 * found.length):
        f, args = found.make(n), found.args(n)
        if way == "forward":
            tape, short = both(f, *args)
        else:
            tape, short = both(ad.grad(scalar(f)), args)
        assert len(tape) >= LEAST
        assert loops(short)
        lengths.append(len(short))
    assert lengths[0] == lengths[1]
    assert lengths[0] <= (found.forward if way == "forward" else found.backward)


@pytest.mark.parametrize("name", CASES)
def test_loops_are_differentiated_through(name: str) -> None:
    found = CASES[name]
    f, args = found.make(found.length), found.args(found.length)
    tape, short = both(scalar(f), args)
    ours, theirs = ad.grad(short.evaluate)(args), ad.grad(tape.evaluate)(args)
    for a, b in zip(tree.leaves(ours), tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_native_loops_compute_the_same(name: str) -> None:
    pytest.importorskip("llvmlite")
    found = CASES[name]
    f, args = found.make(found.length), found.args(found.length)
    gradient = ad.grad(scalar(f))
    compiled = ad.compile(gradient, backend="llvm")
    for a, b in zip(tree.leaves(compiled(args)), tree.leaves(gradient(args)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


# --- what looks alike -----------------------------------------------------------------------------


def one_differs(x: Any) -> Any:
    for i in range(100):
        x = np.sin(x) * 1.5 + (x if i == 53 else 0.25)
    return x


def places_jump(xs: Any) -> Any:
    order = np.random.default_rng(4).permutation(40).tolist()
    y = 0.0
    for i in order:
        y = np.sin(y) + xs[i] * 0.5
    return y


def separate_layers(*args: Any) -> Any:
    *weights, x = args
    for w in weights:
        x = np.tanh(w @ x) * 0.5 + 0.1
    return x


def from_the_first(x: Any) -> Any:
    first = np.sin(x)
    for i in range(40):
        x = np.sin(x) + first * 0.1
        if i == 0:
            first = x
    return x


def middle_is_kept(x: Any) -> Any:
    kept = x
    for i in range(40):
        x = np.sin(x) * 1.25
        if i == 17:
            kept = x
    return x * kept


LOOK_ALIKES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], int | None]] = {
    "one_differs": (one_differs, (np.array([0.3, 0.4]),), 2),
    "places_jump": (places_jump, (np.linspace(0.0, 1.0, 40),), 0),
    "separate_layers": (
        separate_layers,
        (*[RNG.normal(size=(2, 2)) for _ in range(20)], np.ones(2)),
        0,
    ),
    "from_the_first": (from_the_first, (np.array([0.3]),), 1),
    "middle_is_kept": (middle_is_kept, (np.array([0.3]),), 1),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_what_looks_alike_stays_right(name: str) -> None:
    f, args, count = LOOK_ALIKES[name]
    _, short = both(f, *args)
    if count is not None:
        assert len(loops(short)) == count
    both(ad.grad(scalar(f)), args)


def test_blocks_that_look_at_values_are_left_alone() -> None:
    def f(x: Any) -> Any:
        for _ in range(40):
            x = np.sin(x) * 1.5
            if x > 2:
                break
        return x

    tape = ad.record(f)(0.5)
    assert len(tape.guards) == 40
    short = rolled(tape)
    assert not loops(short)
    assert len(short.guards) == 40


def test_guards_after_a_loop_stay() -> None:
    def f(x: Any) -> Any:
        for _ in range(40):
            x = np.sin(x) * 1.5
        return x if x > 0 else -x

    tape = ad.record(f)(0.5)
    short = rolled(tape)
    assert len(loops(short)) == 1
    assert len(short.guards) == 1
    with pytest.raises(ad.TapeError, match="different for these inputs"):
        short.evaluate(-0.5)


def test_short_loops_are_left_alone() -> None:
    tape = ad.record(lambda x: np.sin(np.sin(np.sin(np.sin(np.sin(x))))))(0.5)
    assert rolled(tape) is tape


def test_signs_of_zeros_stay() -> None:
    def f(xs: Any) -> Any:
        y = 0.0
        for i in range(40):
            y = y + np.sin(xs[i]) * -0.0
        return y * 0.0

    both(ad.grad(f), np.zeros(40))


def test_errors_name_the_line_of_the_program() -> None:
    def f(x: Any) -> Any:
        for _ in range(40):
            x = np.sin(x) * 1.5
        return x

    tape = ad.record(f)(0.5)
    (loop,) = loops(rolled(tape))
    assert loop.held_tape is not None
    assert [e.source for e in loop.held_tape] == [e.source for e in tape.entries[:2]]


def test_the_time_to_roll_grows_with_the_tape() -> None:
    def f(x: Any, n: int) -> Any:
        for _ in range(n):
            x = np.sin(x) * 1.1 + x * 0.25
        return x

    counts = []
    for n in (100, 2000):
        tape = ad.record(lambda x, n=n: f(x, n))(0.5)
        counts.append(len(rolled(tape)))
    assert counts == [1, 1]


def test_periods_are_found_among_others() -> None:
    row = np.concatenate((np.arange(100, 150), np.tile(np.arange(7), 30), np.arange(200, 230)))
    assert periods(row)[0] == 7
    assert not periods(np.arange(1000))


# --- random programs ------------------------------------------------------------------------------


def random_program(seed: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A function with loops of random steps."""
    rng = np.random.default_rng(seed)
    length = int(rng.integers(12, 40))
    size = int(rng.choice([0, 2, 3]))
    shape = () if size == 0 else (size,)
    steps = [
        [
            (int(rng.integers(6)), *[int(k) for k in rng.integers(0, 6, 2)], float(rng.normal()))
            for _ in range(rng.integers(2, 6))
        ]
        for _ in range(2)
    ]
    odd = int(rng.integers(0, 2 * length))
    flips = bool(rng.integers(2))
    table = rng.normal(size=(length, *shape))

    def once(state: list[Any], xs: Any, i: int, step: list[Any]) -> list[Any]:
        values = [*state, xs[length - 1 - i if flips else i], table[i]]
        for kind, j, k, number in step:
            a, b = values[j % len(values)], values[k % len(values)]
            made = (
                lambda a, b, number: np.sin(a) * number,
                lambda a, b, number: a * 0.5 - b * 0.25,
                lambda a, b, number: np.tanh(a * b),
                lambda a, b, number: np.maximum(a, b),
                lambda a, b, number: a + number,
                lambda a, b, number: np.cos(b) * a,
            )[kind](a, b, number)
            values.append(np.tanh(made))
        return [values[-1], state[0], values[-2] * 0.5]

    def f(x: Any, xs: Any) -> Any:
        state = [x, x * 0.5, np.cos(x)]
        kept = []
        for step in steps:
            for i in range(length):
                state = once(state, xs, i, step)
                if i == odd:
                    state[0] = state[0] * 2
                kept.append(state[0])
        return np.sum(state[0] * state[2]) + np.sum(np.stack(kept)) + np.sum(kept[3])

    return f, (
        rng.normal(size=shape) if size else float(rng.normal()),
        rng.normal(size=(length, *shape)),
    )


@pytest.mark.parametrize("seed", range(60))
def test_random_loops(seed: int) -> None:
    f, args = random_program(seed)
    both(f, *args)
    both(ad.grad(scalar(f)), args)


def test_a_planted_fault_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(self: Any, base: int, spec: Any, template: Any, moves: Any, loop: Loop) -> int:
        order = Loop(0, 0, loop.count, not loop.reverse)
        return kept(self, base, spec, template, moves, order)

    kept = Rolling.rows
    monkeypatch.setattr(Rolling, "rows", turned)
    caught = 0
    for found in CASES.values():
        f, args = found.make(found.length), found.args(found.length)
        tape = optimized(ad.record(f)(*args))
        caught += bits(rolled(tape).evaluate(*args)) != bits(tape.evaluate(*args))
    assert caught


def test_compiled_functions_are_built_of_loops() -> None:
    pytest.importorskip("llvmlite")
    found = CASES["recurrence"]
    f, args = found.make(3000), found.args(3000)
    tape = optimized(Tape(*_flat(ad.record(f)(*args))))
    runner = backends._build_of("llvm")
    assert runner is not None
    native = runner(tape)
    assert len(native.segments) == 1  # type: ignore[attr-defined]
    np.testing.assert_allclose(native(*args)[0], f(*args), rtol=1e-9)


@pytest.mark.parametrize(("steps", "called"), [(60, "det"), (600, "loop")])
def test_short_loops_with_calls_are_written_out(steps: int, called: str) -> None:
    pytest.importorskip("llvmlite")

    def f(x: Any) -> Any:
        for _ in range(steps):
            x = np.sin(x) * 0.5 + np.linalg.det(np.cos(x)) * 0.1 + x * 0.25
        return x

    x = np.array([[0.5, 0.1], [0.2, 0.7]])
    runner: Any = backends._build_of("llvm")
    native = runner(optimized(Tape(*_flat(ad.record(f)(x)))))
    calls = {s.entry.primitive.name for s in native.segments if hasattr(s, "entry")}
    assert calls == {called}
    np.testing.assert_allclose(native(x)[0], f(x), rtol=1e-9)


def _flat(tape: Tape) -> tuple[Any, ...]:
    return tape.entries, tape.inputs, tape.outputs
