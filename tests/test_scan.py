"""Loops as one operation: `scan` against the loop that it stands for, in everything."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from allocation import traced

import autodiff as ad
from autodiff import tree
from autodiff.transforms.scan import operation, reversal, steps
from autodiff.transforms.scan.operation import Scan
from autodiff.transforms.scan.schedule import (
    evaluations,
    first_snapshots,
    longest,
    schedule,
    snapshots_for,
)

RNG = np.random.default_rng(7)
W = 0.5 * RNG.normal(size=(3, 3))
X = RNG.normal(size=(6, 3))
H = RNG.normal(size=3)
T = RNG.normal(size=5)


def loop(f, carry, xs=None, length=None, reverse=False):
    """What a scan stands for."""
    count = length if xs is None else len(tree.leaves(xs)[0])
    steps = range(count)[:: -1 if reverse else 1]
    ys: list[Any] = [None] * count
    for i in steps:
        carry, ys[i] = f(carry, tree.map_leaves(lambda a, i=i: a[i], xs))
    return carry, tree.map_leaves(lambda *parts: np.stack(parts), *ys)


def assert_close(found, wanted, rtol=1e-9):
    one, other = tree.leaves(found), tree.leaves(wanted)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-11)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.shape(a) == np.shape(b)


# --- programs: functions of a scan, and where to evaluate them ------------------------------------


class Program(NamedTuple):
    make: Callable[..., Any]
    args: tuple[Any, ...]


def recurrent(scan):
    def f(w, h, xs):
        def step(carry, x):
            i, h = carry
            h = np.tanh(w @ h + x) * (1 + 0.1 * i)
            return (i + 1, h), {"s": np.sum(h * x), "h": h, "i": i}

        (_, h), ys = scan(step, (0, h), xs)
        return np.sum(h**2) + np.sum(ys["s"] ** 2) + np.sum(np.sin(ys["h"])) * np.sum(ys["i"])

    return f


def nothing_collected(scan):
    def f(a, h):
        return np.sum(scan(lambda h, x: (np.sin(a * h) + x, None), h, T)[0] ** 2)

    return f


def without_slices(scan):
    def f(a, h):
        h, ys = scan(lambda h, _: (np.sin(a * h), h[0]), h, length=4)
        return np.sum(h) + np.sum(ys**2)

    return f


def paths_that_change(scan):
    """A counter decides, values decide, and a Tensor from outside is used late."""

    def f(a, b):
        def step(carry, x):
            i, s = carry
            s = s * b if i >= 3 else s + np.sin(a) * x
            if s > 1.0:
                s = s / 2
            return (i + 1, s), s

        (_, s), ys = scan(step, (0, a * 0 + 1.0), T)
        return s + np.sum(ys**2)

    return f


def tables(scan):
    table = np.arange(1.0, 7.0)

    def f(a):
        def step(c, k):
            return np.sin(c * table[k]) + np.take(table * a, k), c

        c, ys = scan(step, a * 1.0, np.array([1, 5, 2, 2, 3, 0, 4]))
        return c + np.sum(ys**2)

    return f


def dependence_that_spreads(scan):
    """Carries that depend on the parameter from the second and the third step on."""

    def f(a):
        def step(carry, x):
            p, q, r = carry
            return (q, r, a * x + np.sin(p)), (p, q)

        (p, q, r), ys = scan(step, (1.0, 2.0, 3.0), T)
        return p * q * r + np.sum(ys[0] * ys[1])

    return f


def written_in_place(scan):
    def f(a, h):
        def step(c, x):
            c[0] += a * x
            c[1:] *= np.cos(c[:-1])
            row = c[2:]
            row -= x
            return c, c[1:] * 1.0

        h, ys = scan(step, h + 0.0 * a, T)
        return np.sum(h * h) + np.sum(np.sin(ys))

    return f


def nested(scan):
    def f(a, h):
        def step(c, x):
            d, ys = scan(lambda s, z: (np.sin(s * a + z * x), s * c[0]), c[0] * 1.0, T)
            return ad.checkpoint(lambda q: np.tanh(q * a) + d)(c), np.sum(ys)

        h, ys = scan(step, h, T)
        return np.sum(h * h) + np.sum(np.sin(ys))

    return f


def in_a_checkpoint(scan):
    def f(a, h):
        def g(h):
            return np.sum(scan(lambda c, x: (np.sin(c * a) + x, c), h, T)[0] ** 2)

        return ad.checkpoint(g)(h)

    return f


def with_gradients_inside(scan):
    def f(a, h):
        def step(c, x):
            g = ad.grad(lambda q: np.sum(np.sin(q * a) * x))(c)
            return c - 0.1 * g, None

        return np.sum(scan(step, h, T)[0] ** 2)

    return f


def two_one_after_another(scan):
    def f(a, xs):
        c, ys = scan(lambda c, x: (c * a + x, c), 0.5, xs)
        d, zs = scan(lambda d, y: (np.sin(d) + y * a, d * y), c, ys)
        return d + np.sum(zs)

    return f


def values_handed_through(scan):
    """What is given is collected, and what is collected is what is outside."""

    def f(a, xs):
        c, ys = scan(lambda c, x: (c, (x, a, c, x * a)), a * 2, xs)
        return c * np.sum(ys[0]) * np.sum(ys[1]) + np.sum(ys[2] * ys[3])

    return f


def one_step(scan):
    def f(a, h):
        h, ys = scan(lambda c, x: (np.sin(a * c), c * x), h, T[:1])
        return np.sum(h) * np.sum(ys)

    return f


def unused_outputs(scan):
    def f(a, h):
        (h, _), ys = scan(lambda c, x: ((c[0] * a, c[1] * x), (c[0] * x, c[1])), (h, a), T)
        return np.sum(ys[0]) + 0 * np.sum(h)

    return f


PROGRAMS = {
    "recurrent": Program(recurrent, (W, H, X)),
    "nothing collected": Program(nothing_collected, (0.7, H)),
    "without slices": Program(without_slices, (0.7, H)),
    "paths that change": Program(paths_that_change, (0.3, 1.2)),
    "tables": Program(tables, (0.3,)),
    "dependence that spreads": Program(dependence_that_spreads, (0.3,)),
    "written in place": Program(written_in_place, (0.3, RNG.normal(size=4))),
    "nested": Program(nested, (0.3, H[:2])),
    "in a checkpoint": Program(in_a_checkpoint, (0.3, H[:2])),
    "gradients inside": Program(with_gradients_inside, (0.3, H[:2])),
    "two": Program(two_one_after_another, (0.3, T)),
    "handed through": Program(values_handed_through, (0.3, T)),
    "one step": Program(one_step, (0.3, H)),
    "unused outputs": Program(unused_outputs, (0.3, H)),
}

WAYS = [
    {},
    {"checkpoint": 2, "reverse": True},
    {"checkpoint": 3},
    {"checkpoint": "binomial"},
    {"checkpoint": "binomial", "reverse": True},
]


def direction(args):
    rng = np.random.default_rng(3)
    return tuple(rng.normal(size=np.shape(a)) for a in args)


def everything(f, args):
    return ad.grad(f, argnums=tuple(range(len(args))))


def along(f, args):
    g, t = everything(f, args), direction(args)
    return lambda *xs: sum(np.sum(v * w) for v, w in zip(g(*xs), t, strict=True))


def batched(f, args):
    """Examples that differ in the first argument."""
    first = np.stack([args[0], 0.5 * args[0], 0.1 - args[0]])
    return ad.vmap(f, (0, *[None] * (len(args) - 1)))(first, *args[1:])


def imperative(f, args):
    tensors = [ad.Tensor(a) for a in args]
    f(*tensors).backward()
    return [t.grad for t in tensors]


def replayed(f, args):
    tape = ad.record(everything(f, args))(*args)
    return tape.evaluate(*[0.9 * np.asarray(a) for a in args])


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "value": lambda f, args: f(*args),
    "grad": lambda f, args: everything(f, args)(*args),
    "backward": imperative,
    "jvp": lambda f, args: ad.jvp(f, args, direction(args)),
    "jvp of grad": lambda f, args: ad.jvp(everything(f, args), args, direction(args)),
    "grad of grad": lambda f, args: everything(along(f, args), args)(*args),
    "grad of jvp": lambda f, args: everything(lambda *xs: ad.jvp(f, xs, direction(args))[1], args)(
        *args
    ),
    "jvp of jvp": lambda f, args: ad.jvp(
        lambda *xs: ad.jvp(f, xs, direction(args))[1], args, direction(args)
    ),
    "hessian": lambda f, args: ad.hessian(f)(*args),
    "vmap": batched,
    "vmap of grad": lambda f, args: batched(everything(f, args), args),
    "grad of vmap": lambda f, args: everything(lambda *xs: np.sum(batched(f, xs) ** 2), args)(
        *args
    ),
    "vmap of jvp of grad": lambda f, args: batched(
        lambda *xs: ad.jvp(everything(f, args), xs, direction(args)), args
    ),
    "grad of vmap of grad": lambda f, args: everything(
        lambda *xs: np.sum(batched(ad.grad(f), xs) ** 2), args
    )(*args),
    "linearize": lambda f, args: ad.linearize(f, *args)[1](*direction(args)),
}
NOT_BATCHED = {"paths that change"}
"""Programs that look at values, of which a batch has several."""
COMBINED = ("grad", "backward", "jvp of grad", "grad of grad", "vmap of grad")
CASES = [
    (transform, way) for way in WAYS for transform in TRANSFORMS if not way or transform in COMBINED
]


@lru_cache
def wanted(program: str, transform: str, reverse: bool) -> Any:
    make, args = PROGRAMS[program]
    return TRANSFORMS[transform](make(functools.partial(loop, reverse=reverse)), args)


def named(value):
    return " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value


@pytest.mark.parametrize(("transform", "way"), CASES, ids=named)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_scan_is_its_loop(program, transform, way):
    if "vmap" in transform and program in NOT_BATCHED:
        pytest.skip("a batch has no single value")
    make, args = PROGRAMS[program]
    found = TRANSFORMS[transform](make(functools.partial(ad.scan, **way)), args)
    assert_close(found, wanted(program, transform, way.get("reverse", False)))


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_recorded_gradients_serve_other_inputs(program, checkpoint):
    make, args = PROGRAMS[program]
    f = make(functools.partial(ad.scan, checkpoint=checkpoint))
    assert_close(
        replayed(f, args), everything(make(loop), args)(*[0.9 * np.asarray(a) for a in args])
    )


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
def test_third_derivatives(checkpoint):
    make, (a,) = PROGRAMS["dependence that spreads"]
    f, g = make(functools.partial(ad.scan, checkpoint=checkpoint)), make(loop)
    assert_close(ad.grad(ad.grad(ad.grad(f)))(a), ad.grad(ad.grad(ad.grad(g)))(a))


# --- programs drawn at random ---------------------------------------------------------------------


def drawn(seed: int) -> Program:
    """A loop of a few operations on a few carries: some linear, some not, some in place."""
    rng = np.random.default_rng(seed)
    carries, length, n = rng.integers(1, 4), rng.integers(1, 8), 3
    numbers = rng.integers(0, n, size=length)
    table = rng.normal(size=n)
    code = [
        tuple(map(int, (*rng.integers(0, carries, 2), *rng.integers(0, 12, 1)))) for _ in "abcd"
    ]
    kind = rng.integers(0, 5)

    def operation(which, v, other, i, x, k, w, a):
        if which == 4:
            v = v * 1.0
            v[k] = np.cos(other[0])
            return v
        if which == 9:
            v = v + 0.0 * a
            v += other * 0.2
            v[1:] *= 0.5
            return v
        return (
            lambda: np.sin(v) + other,
            lambda: np.tanh(w @ v),
            lambda: v * x + a,
            lambda: v * 0.5 + other**2 * 0.1,
            None,
            lambda: np.where(v > 0, v, 0.3 * other),
            lambda: v / (1 + np.sum(v * v)),
            lambda: v + table[k] * a if i % 2 else v - a,
            lambda: np.concatenate([v[1:], v[:1]]) * 0.9,
            None,
            lambda: ad.checkpoint(lambda z: np.sin(z * a))(v),
            lambda: v * np.take(w[0], k),
        )[which]()

    def make(scan):
        def f(a, w, start, xs):
            def step(carry, x):
                i, c = carry[0], list(carry[1])
                for p, q, which in code:
                    c[p] = operation(which, c[p], c[q], i, x["u"], x["k"], w, a)
                collected = (
                    None,
                    c[0] * 1.0,
                    {"s": np.sum(c[-1]), "i": i},
                    (x["u"] * a,),
                    np.exp(-(c[0] ** 2)),
                )
                return (i + 1, tuple(c)), collected[kind]

            start = tuple(start[j] for j in range(carries))
            (i, c), ys = scan(step, (0, start), {"u": xs, "k": numbers})
            total = sum(np.sum(np.sin(z)) for z in c) * i
            return sum((np.sum(leaf * leaf) for leaf in tree.leaves(ys)), total)

        return f

    shapes = ((n, n), (carries, n), (length, n))
    return Program(make, (rng.normal(), *[0.5 * rng.normal(size=shape) for shape in shapes]))


@pytest.mark.parametrize("seed", range(24))
def test_programs_drawn_at_random(seed):
    make, args = drawn(seed)
    reverse = bool(seed % 2)
    plain = make(functools.partial(loop, reverse=reverse))
    for checkpoint in (None, 2, "binomial"):
        f = make(functools.partial(ad.scan, reverse=reverse, checkpoint=checkpoint))
        for name in ("value", "grad", "jvp of grad", "grad of grad", "vmap of grad"):
            assert_close(TRANSFORMS[name](f, args), TRANSFORMS[name](plain, args))


# --- what the loop cannot say: numbers from outside -----------------------------------------------


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
@pytest.mark.parametrize("program", ["nothing collected", "two", "written in place", "tables"])
def test_differences(program, checkpoint):
    make, args = PROGRAMS[program]
    order = 2 if program == "tables" else 1
    ad.check_grads(make(functools.partial(ad.scan, checkpoint=checkpoint)), args, order=order)


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
def test_complex_step(checkpoint):
    def f(w, h):
        h, ys = ad.scan(lambda h, x: (np.tanh(w @ h + x), h), h, X, checkpoint=checkpoint)
        return np.sum(h**2) + np.sum(np.sin(ys))

    found = ad.grad(f)(W, H)
    for place in np.ndindex(W.shape):
        moved = W.astype(complex)
        moved[place] += 1e-30j
        assert found[place] == pytest.approx(f(moved, H + 0j).imag / 1e-30, rel=1e-12)


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
def test_complex_numbers(checkpoint):
    def make(scan):
        def f(z, zs):
            z, ys = scan(lambda c, x: (np.sin(c * x) + np.conj(c), np.abs(c)), z, zs)
            return np.sum(np.abs(z) ** 2) + np.sum(ys)

        return f

    args = (RNG.normal(size=2) + 1j * RNG.normal(size=2), 0.5 * X[:3, :2] + 0.5j * X[3:, :2])
    f = make(functools.partial(ad.scan, checkpoint=checkpoint))
    assert_close(everything(f, args)(*args), everything(make(loop), args)(*args))
    ad.check_grads(f, args)


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
def test_float32_stays(checkpoint):
    def f(c, xs):
        c, ys = ad.scan(lambda c, x: (np.tanh(c * x), c * 2), c, xs, checkpoint=checkpoint)
        return np.sum(c) + np.sum(ys)

    args = (np.ones(3, np.float32), np.ones((4, 3), np.float32))
    assert f(*args).dtype == np.float32
    assert [g.dtype for g in everything(f, args)(*args)] == [np.float32] * 2
    assert ad.jvp(f, args, args)[1].dtype == np.float32
    assert_close(ad.hessian(f)(*args), ad.hessian(lambda c, xs: f(c, xs))(*args))
    assert ad.hessian(f)(*args).dtype == np.float32


def planted(monkeypatch: pytest.MonkeyPatch, mistake: Callable[..., Any]) -> None:
    right = steps.PullStep.__call__
    monkeypatch.setattr(
        steps.PullStep, "__call__", lambda self, *values: mistake(self, right(self, *values))
    )


def forget_sums(self, found):
    return (*found[: len(found) - 1], 0.999 * found[-1])


def swap_sign_of_carry(self, found):
    return (-found[0], *found[1:])


@pytest.mark.parametrize("mistake", [forget_sums, swap_sign_of_carry])
@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
def test_a_wrong_cotangent_is_caught(monkeypatch, mistake, checkpoint):
    planted(monkeypatch, mistake)
    make, args = PROGRAMS["nothing collected"]
    f = make(functools.partial(ad.scan, checkpoint=checkpoint))
    with pytest.raises(AssertionError):
        assert_close(everything(f, args)(*args), wanted("nothing collected", "grad", False))
    with pytest.raises(AssertionError):
        ad.check_grads(f, args)


# --- Jacobians ------------------------------------------------------------------------------------


def with_two_outputs(scan):
    def f(h):
        h, ys = scan(lambda c, x: (np.tanh(c * x) + c[::-1], c[:1] ** 2), h, T)
        return np.concatenate([h, ys.ravel()])

    return f


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
@pytest.mark.parametrize("order", ["forward", "reverse", "auto", "cross-country"])
def test_every_order_of_a_jacobian(order, checkpoint):
    f = with_two_outputs(functools.partial(ad.scan, checkpoint=checkpoint))
    found = ad.jacobian(f, order=order)(H)
    assert_close(found, ad.jacobian(with_two_outputs(loop))(H))


def test_a_plan_of_a_tape_serves_the_function():
    f = with_two_outputs(ad.scan)
    plan = ad.record(f)(H).jacobian_graph().plan("markowitz")
    assert_close(ad.jacobian(f, order=plan)(H), ad.jacobian(with_two_outputs(loop))(H))


# --- batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
def test_counters_stay_numbers_in_a_batch(checkpoint):
    def make(scan):
        def f(a):
            def step(carry, x):
                i, s = carry
                s = s + a * T[i] if i % 2 else s * x
                return (i + 1, s), (i, s)

            (i, s), (numbers, ss) = scan(step, (0, 1.0), T)
            return s * T[i - 1] + np.sum(ss * numbers)

        return f

    f, g = make(functools.partial(ad.scan, checkpoint=checkpoint)), make(loop)
    a = RNG.normal(size=3)
    for transform in (lambda h: h, ad.grad, lambda h: ad.grad(ad.grad(h))):
        assert_close(ad.vmap(transform(f))(a), ad.vmap(transform(g))(a))
    assert_close(ad.vmap(ad.vmap(ad.grad(f)))(a[None]), ad.vmap(ad.vmap(ad.grad(g)))(a[None]))


def test_a_batch_is_one_scan():
    f = recurrent(ad.scan)
    tape = ad.record(ad.vmap(f, (None, 0, None)))(W, np.stack([H] * 4), X)
    assert [e.primitive.name for e in tape].count("scan(step)") == 1
    tape = ad.record(ad.vmap(ad.grad(f), (None, 0, None)))(W, np.stack([H] * 4), X)
    names = [e.primitive.name for e in tape if "scan" in e.primitive.name]
    assert names == ["scan(step)", "scan(step).vjp"]


@pytest.mark.parametrize("size", [0, 1])
def test_small_batches(size):
    f, g = nothing_collected(ad.scan), nothing_collected(loop)
    h = np.ones((size, 3))
    for transform in (lambda k: k, ad.grad):
        found = ad.vmap(transform(f), (None, 0))(0.3, h)
        assert_close(found, ad.vmap(transform(g), (None, 0))(0.3, h))


# --- on a tape ------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", [None, 4, 7, "binomial"])
def test_entries_do_not_count_steps(checkpoint):
    def f(w, h, xs):
        h, ys = ad.scan(lambda h, x: (np.tanh(w @ h + x), h), h, xs, checkpoint=checkpoint)
        return np.sum(h) + np.sum(ys)

    def entries(function, length):
        return len(ad.record(function)(W, H, np.ones((length, 3))))

    gradient = ad.grad(f, argnums=(0, 1, 2))
    assert entries(f, 5) == entries(f, 501) == 4
    # Segments that do not divide the length leave one that is shorter
    assert entries(gradient, 28) == entries(gradient, 280) < 40
    assert max(entries(gradient, length) for length in (29, 290, 300)) < 40
    product = along(f, (W, H, np.ones((30, 3))))
    assert entries(lambda w, h, xs: ad.grad(product)(w, h, xs[:30]), 30) < 300


def test_what_a_recorded_gradient_is_made_of():
    """The gradient of a scan is a scan forward and one back, of one entry each."""

    def step(h, x):
        return np.tanh(h * x), h

    tape = ad.record(ad.grad(lambda h: np.sum(ad.scan(step, h, X)[0])))(H)
    forward, back = [entry for entry in tape if "scan" in entry.primitive.name]
    for entry in (forward, back):
        scan = entry.primitive
        assert isinstance(scan, Scan)
        assert (scan.length, scan.carries, scan.outside, scan.summed) == (6, 1, 0, 0)
        assert len(entry.inputs) == scan.carries + scan.scanned + scan.outside
    assert not forward.primitive.reverse
    assert back.primitive.reverse
    # The body takes carries, slices and what is outside, and gives carries and what is collected
    outs = forward.primitive.body(H, X[0])
    assert_close(outs, (np.tanh(H * X[0]), H))
    (g,) = back.primitive.body(np.ones(3), H, X[0])
    assert_close(g, (1 - np.tanh(H * X[0]) ** 2) * X[0])


def test_a_scan_holds_the_tape_of_its_body():
    def step(h, x):
        h = np.sin(h) * x
        return h, h

    tape = ad.record(lambda h: np.sum(ad.scan(step, h, X)[1]))(H)
    body = tape.callee(tape[0])
    assert [entry.primitive.name for entry in body] == ["sin", "multiply"]
    assert tape[0].flops == len(X) * body.cost().flops
    whole = tape.inlined()
    assert [entry.primitive.name for entry in whole].count("sin") == len(X)
    assert_close(whole.evaluate(2 * H), tape.evaluate(2 * H))
    assert "× 6" in tape.draw(format="dot", calls=True, fold=True)
    long = ad.record(lambda h: ad.scan(step, h, np.ones((5000, 3)))[0])(H)
    assert len(long.inlined()) == 1
    assert "scan(step)" in long.draw(format="dot", calls=True)


@pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
def test_tapes_of_tensors(checkpoint):
    w, h = ad.Tensor(W, name="w"), ad.Tensor(H, name="h")

    def step(h, x):
        return np.tanh(w @ h + x), None

    loss = np.sum(ad.scan(step, h, X, checkpoint=checkpoint)[0])
    tape = loss.tape
    assert len(tape) == 2
    gradients = tape.gradients()
    loss.backward()
    by_name = {variable.name: gradients[variable] for variable in tape.inputs}
    assert_close((by_name["w"], by_name["h"]), (w.grad, h.grad))
    kept = [operand for operand, entries in tape.saved().items() if tape[0] in entries]
    assert tape[0].outputs[-1] in kept
    assert len(str(tape).splitlines()) == 4


def test_guards_of_a_body_do_not_bind_the_tape():
    tape = ad.record(lambda a: ad.scan(lambda c, x: (c if c > 0 else -2 * c, c), a, T)[0])(-1.0)
    assert tape.evaluate(3.0) == 3.0


# --- what is kept, and what is evaluated again ----------------------------------------------------


@lru_cache
def fewest(length: int, snapshots: int) -> int:
    """Evaluations of the best schedule there is, by trying all of them."""
    if length == 1:
        return 0
    if snapshots == 1:
        return length * (length - 1) // 2
    return min(
        m + fewest(length - m, snapshots - 1) + fewest(m, snapshots) for m in range(1, length)
    )


@pytest.mark.parametrize("snapshots", [1, 2, 3, 4, 5, 8, 20])
def test_schedules_are_the_best_there_are(snapshots):
    for length in range(1, 61):
        actions = list(schedule(length, snapshots))
        advances = sum(a.stop - a.start for a in actions if a.kind == "advance")
        assert advances == evaluations(length, snapshots) == fewest(length, snapshots)
        pulls = [action.start for action in actions if action.kind == "pull"]
        assert pulls == list(range(length))[::-1]
        known = {0}
        for kind, start, stop in actions:
            assert start in known
            if kind == "advance":
                known.add(stop)
            else:
                known.remove(start)
            # The snapshots, and the state at hand
            assert len(known) <= snapshots + 1
        assert not known
        first = first_snapshots(length, snapshots)
        assert first[0] == 0
        assert first[-1] == length - 1
        assert len(first) <= snapshots + 1


@pytest.mark.parametrize("snapshots", range(1, 8))
def test_the_published_bound(snapshots):
    """C(s + r, s) steps can be reversed with r repetitions, and not one more."""
    for repetitions in range(1, 5):
        length = longest(snapshots, repetitions)
        beyond = evaluations(length + 1, snapshots) - evaluations(length, snapshots)
        assert beyond == repetitions + 1
        before = evaluations(length, snapshots) - evaluations(length - 1, snapshots)
        assert before == repetitions
    assert evaluations(0, snapshots) == 0


def test_the_number_of_snapshots_grows_slowly():
    for length, repetitions in ((10, 2), (1_000, 4), (1_000_000, 8)):
        snapshots = snapshots_for(length)
        assert snapshots <= np.log2(length) + 1
        assert longest(snapshots, repetitions) >= length


@pytest.mark.parametrize("length", [1, 2, 3, 10, 37, 100, 400])
def test_a_sweep_evaluates_what_the_schedule_says(monkeypatch, length):
    run = reversal.Revolve._run
    counts = {"advanced": 0, "pulled": 0}

    def counted(what, step):
        def noted(*values):
            counts[what] += 1
            return step(*values)

        return noted

    def count(self, step, pull, values):
        return run(self, counted("advanced", step), counted("pulled", pull), values)

    monkeypatch.setattr(reversal.Revolve, "_run", count)

    def f(h):
        xs = np.linspace(0.5, 1.0, length)
        return ad.scan(lambda h, x: (np.sin(h * x), None), h, xs, checkpoint="binomial")[0]

    assert ad.grad(f)(1.0) == pytest.approx(ad.grad(lambda h: f_plain(h, length))(1.0))
    # The first run through, which keeps the first snapshots, was that of the value
    advanced = evaluations(length, snapshots_for(length)) - (length - 1)
    assert counts == {"advanced": advanced, "pulled": length}


@pytest.mark.parametrize(("segments", "length"), [(5, 100), (7, 100), (1, 10), (100, 10), (3, 8)])
def test_segments_are_evaluated_once_more(monkeypatch, segments, length):
    run = Scan.run
    ran: list[Scan] = []

    def noted(self, *args, **keywords):
        ran.append(self)
        return run(self, *args, **keywords)

    monkeypatch.setattr(Scan, "run", noted)

    def f(h):
        xs = np.linspace(0.5, 1.0, length)
        return ad.scan(lambda h, x: (np.sin(h * x), None), h, xs, checkpoint=segments)[0]

    assert ad.grad(f)(1.0) == pytest.approx(ad.grad(lambda h: f_plain(h, length))(1.0))
    again = [scan.length for scan in ran if scan.name == "scan(<lambda>)"]
    pulled = [scan.length for scan in ran if scan.name == "scan(<lambda>).vjp"]
    assert again[0] == length
    # A segment is run by its scan, and by the program of all segments while that is recorded
    size = -(-length // min(segments, length))
    assert set(again[1:]) <= {size, length % size}
    assert sum(again[1:]) == sum(pulled) == length


def f_plain(h, length):
    for x in np.linspace(0.5, 1.0, length):
        h = np.sin(h * x)
    return h


def peak(function: Callable[[], Any]) -> int:
    with traced() as memory:
        function()
    return memory.peak


@pytest.mark.parametrize(
    ("checkpoint", "states"), [(45, 2 * 45), ("binomial", 11 + 1), (500, 500 + 4)]
)
def test_memory_of_checkpoints(checkpoint, states):
    carry = np.ones(12_500)  # 100 kB
    length = 2000

    def f(c):
        step = lambda c, _: (c * c * 0.99, None)  # noqa: E731
        return np.sum(ad.scan(step, c, length=length, checkpoint=checkpoint)[0])

    # Besides, one step is run and pulled back: some ten arrays of the carry's size
    used = peak(lambda: ad.grad(f)(carry))
    assert used < (states + 20) * carry.nbytes
    assert used < length * carry.nbytes / 1.5


def test_memory_of_a_scan_that_keeps_all_carries():
    carry = np.ones(12_500)

    def f(c):
        def step(c, _):
            for _ in range(10):
                c = c * c
            return c, None

        return np.sum(ad.scan(step, c, length=100)[0])

    assert peak(lambda: ad.grad(f)(carry)) < (100 + 40) * carry.nbytes


def test_memory_of_values_is_that_of_a_step():
    carry = np.ones(12_500)
    run = lambda: ad.scan(lambda c, _: (np.sin(c), None), carry, length=500)  # noqa: E731
    assert peak(run) < 10 * carry.nbytes


def test_second_derivatives_keep_no_sums():
    """Cotangents of what is outside are added up, and not kept step by step."""
    w = np.ones((200, 200)) / 400

    def f(w):
        return np.sum(ad.scan(lambda h, _: (np.tanh(w @ h), None), np.ones(200), length=50)[0])

    def product():
        return ad.grad(lambda w: np.sum(ad.grad(f)(w) ** 2))(w)

    assert peak(product) < 25 * w.nbytes


# --- what it is given -----------------------------------------------------------------------------


class TestTheSameEachTime:
    """A step is run again when derivatives are taken, and from a tape of one step."""

    TRANSFORMS = (
        ad.grad,
        lambda f: lambda a: ad.jvp(f, (a,), (1.0,)),
        lambda f: ad.grad(ad.grad(f)),
        lambda f: lambda a: ad.vmap(ad.grad(f))(np.array([a, a])),
        lambda f: lambda a: f(ad.Tensor(a)),
    )

    @pytest.mark.parametrize("transform", TRANSFORMS)
    @pytest.mark.parametrize("outside", [False, True])
    @pytest.mark.parametrize("length", [1, 2, 3, 20])
    def test_random_numbers_are_refused(self, transform, outside, length):
        rng = np.random.default_rng(0)

        def f(a):
            def step(c, x):
                return np.sin(c) + (a if outside else 1.0) * rng.normal(), None

            return ad.scan(step, a, np.ones(length))[0]

        with pytest.raises(ad.TapeError, match=r"evaluated again.*draw random numbers outside"):
            transform(f)(0.5)
        assert np.isfinite(f(0.5))

    def test_counting_is_refused(self):
        calls = []

        def f(a):
            def step(c, x):
                calls.append(x)
                return c * a * len(calls), None

            return ad.scan(step, 1.0, T)[0]

        with pytest.raises(ad.TapeError, match="evaluated again"):
            ad.grad(f)(0.5)

    @pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
    def test_what_is_closed_over_is_what_it_was(self, checkpoint):
        """A sweep and a tape know what the function saw, as elsewhere."""
        w = np.array([1.0, 2.0])

        def f(scan):
            def total(h):
                found = 0.0
                for k in range(3):
                    # That they do not bind it is what this is about
                    def wave(s, z):
                        return s * np.cos(w * s + k), s  # noqa: B023

                    def step(h, x):
                        return scan(wave, h, X[:2, 0])[0] * w * x * (k + 1), h  # noqa: B023

                    h, ys = scan(step, h, X[:, 0])
                    found = found + np.sum(h) + np.sum(ys**2)
                return found

            return total

        g = f(functools.partial(ad.scan, checkpoint=checkpoint))
        wanted = ad.grad(f(loop))(w * 0.3)
        assert_close(ad.grad(g)(w * 0.3), wanted)
        tape = ad.record(ad.grad(g))(w * 0.3)
        h = ad.Tensor(w * 0.3)
        loss = g(h)
        w *= 2.0
        loss.backward()
        assert_close(h.grad, wanted)
        assert_close(tape.evaluate(np.array([0.3, 0.6])), wanted)

    def test_a_function_that_changed_is_not_asked(self):
        """Where there is a path too many to record them, it must still compute what it did."""
        losses = []
        a = ad.Tensor(0.5)
        for k in range(2):

            def step(c, x):
                i, s = c
                return (i + 1, np.sin(s * a) + T[i % 5] * (k + 1)), None  # noqa: B023

            losses.append(ad.scan(step, (0, 1.0), np.ones(9))[0][1])
        losses[1].backward()
        with pytest.raises(ad.TapeError, match="a variable or array that it closes over has chan"):
            losses[0].backward()

    def test_modes_inside_a_step(self):
        def make(scan):
            def f(a):
                def step(c, x):
                    with ad.no_grad():
                        d = c * a
                    return ad.stop_gradient(c) * a + np.sin(c * x) * d + c.detach(), None

                return scan(lambda c, x: (step(c, x)[0], c), a * 1.0, T)[0]

            return f

        for transform in (ad.grad, lambda f: ad.grad(ad.grad(f))):
            assert_close(transform(make(ad.scan))(0.4), transform(make(loop))(0.4))

    def test_threads_evaluate_one_tape(self):
        def make(scan):
            return lambda a: scan(lambda c, x: (np.sin(c * a) + x, c), a, np.ones(20))[0]

        tape = ad.record(ad.grad(make(ad.scan)))(0.3)
        points = np.linspace(0.1, 0.9, 8)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda a: [tape.evaluate(a) for _ in range(5)], points))
        for a, values in zip(points, found, strict=True):
            assert_close(values, [ad.grad(make(loop))(a)] * 5)


class TestInputs:
    def test_the_callers_arrays_stay_as_they_are(self):
        def step(c, x):
            c += x
            x *= 0
            return c, c * 1

        carry, xs = np.zeros(3), X.copy()
        total, sums = ad.scan(step, carry, xs)
        assert not carry.any()
        assert_close(xs, X)
        assert_close((total, sums), (X.sum(0), X.cumsum(0)))

    def test_steps_share_no_memory(self):
        def step(c, x):
            a, b = c
            a += x
            b *= 1.0  # the same array was handed on twice
            return (a, a), a

        zero = np.zeros(3)
        (a, b), ys = ad.scan(step, (zero, zero), X)
        assert_close([a, b, ys], [X.sum(0), X.sum(0), X.cumsum(0)])
        (a, b), ys = ad.scan(step, (ad.Tensor(zero), ad.Tensor(zero)), X)
        assert_close([a.data, b.data, ys.data], [X.sum(0), X.sum(0), X.cumsum(0)])

    def test_containers(self):
        class_of = ad.tree

        def step(carry, x):
            return {"a": carry["a"] + x["u"], "b": [None, carry["b"][1] * x["v"][0]]}, (
                None,
                [x["u"], {}],
            )

        carry = {"a": 0.0, "b": [None, np.ones(2)]}
        xs = {"u": T, "v": (np.ones((5, 2)), None)}
        end, ys = ad.scan(step, carry, xs)
        assert class_of.flatten(end)[1] == class_of.flatten(carry)[1]
        assert_close(end["a"], T.sum())
        assert_close(ys[1][0], T)

    def test_integers_and_keys(self):
        def step(key, _):
            with np.errstate(over="ignore"):
                key = (key * np.uint64(6364136223846793005)) ^ (key >> np.uint64(7))
            return key, (key >> np.uint64(11)).astype(np.float64) / 2.0**53

        key, draws = ad.scan(step, np.uint64(12345), length=4)
        assert key.dtype == np.uint64
        assert len(set(draws.tolist())) == 4

        def f(a):
            def step_of(carry, _):
                key, s = carry
                key, draw = step(key, None)
                return (key, s + a * draw), draw

            return ad.scan(step_of, (np.uint64(12345), 0.0), length=4)[0][1]

        assert_close(ad.grad(f)(2.0), np.sum(draws))

    @pytest.mark.parametrize("checkpoint", [None, 2, "binomial"])
    @pytest.mark.parametrize("start", [None, 0])
    def test_carries_that_carry_no_derivative(self, start, checkpoint):
        def f(a, xs):
            def step(c, x):
                i = 0 if c is None else c
                return (c if c is None else c + 1), np.sin(x * a + i)

            return np.sum(ad.scan(step, start, xs, checkpoint=checkpoint)[1] ** 2)

        def g(a, xs):
            return np.sum(np.sin(xs * a + (0 if start is None else np.arange(5))) ** 2)

        for name in ("grad", "jvp of grad", "grad of grad", "vmap of grad"):
            assert_close(TRANSFORMS[name](f, (0.3, T)), TRANSFORMS[name](g, (0.3, T)))

    def test_a_tensor_from_outside_that_only_later_steps_use(self):
        """Found when it is met, also where the function catches every error."""

        def f(w, late):
            def step(c, i):
                try:
                    return c * w if i < 3 else c * late, None
                except ad.TapeError:
                    return c, None

            return ad.scan(step, 1.0, np.arange(5))[0]

        assert_close(ad.grad(f, argnums=(0, 1))(2.0, 3.0), (108.0, 48.0))
        w, late = ad.Tensor(2.0), ad.Tensor(3.0)
        f(w, late).backward()
        assert_close((w.grad, late.grad), (np.array(108.0), np.array(48.0)))

    def test_numbers_take_the_dtype_of_the_carry(self):
        def f(a):
            return ad.scan(lambda c, i: (0 if i == 2 else c + a, 1.5), 0.0, np.arange(5))

        (end, ys) = f(1.0)
        assert end == 2.0
        assert_close(ys, np.full(5, 1.5))
        assert ad.grad(lambda a: f(a)[0])(1.0) == 2.0

    def test_one_dimensional_slices_are_numbers(self):
        kinds = []
        ad.scan(lambda c, x: (kinds.append(type(x)) or c, x), 0.0, T)
        assert set(kinds) == {np.float64}

    @pytest.mark.parametrize("xs", [np.ones((0, 3)), ad.Tensor(np.ones((0, 3)))])
    def test_no_steps(self, xs):
        carry = {"h": np.ones(3, np.float32), "n": 1}
        end, ys = ad.scan(lambda c, x: (c, (x[:2], c["n"], None)), carry, xs)
        assert_close(end["h"], carry["h"])
        assert ys[0].shape == (0, 2)
        assert ys[1].shape == (0,)
        assert ys[1].dtype == int
        assert ys[2] is None
        gradient = ad.grad(lambda h: np.sum(ad.scan(lambda c, x: (c, c * x), h, xs)[0]))(np.ones(3))
        assert_close(gradient, np.ones(3))

    def test_no_steps_of_what_cannot_be_evaluated(self):
        def step(c, x):
            raise ArithmeticError("never")

        with pytest.raises(ValueError, match=r"scan\(step\): there are no steps.*never"):
            ad.scan(step, 0.0, length=0)

    def test_lengths_of_numpy(self):
        assert ad.scan(lambda c, _: (c + 1, None), 0, length=np.int64(3))[0] == 3
        total = ad.scan(lambda c, x: (c + x, None), 0.0, T, length=5, checkpoint=np.int64(2))[0]
        assert_close(total, T.sum())

    def test_functions_without_a_name(self):
        step = functools.partial(lambda a, c, x: (c + a * x, None), 2.0)
        assert_close(ad.scan(step, 0.0, T)[0], 2 * T.sum())

    def test_modes(self):
        def f(a):
            return ad.scan(lambda c, x: (np.sin(c * a) + x, None), a, T)[0]

        plain = ad.grad(f)(0.5)
        with ad.strong_zero():
            assert_close(ad.grad(f)(0.5), plain)
        with ad.debug():
            assert_close(ad.grad(f)(0.5), plain)
        a = ad.Tensor(0.5)
        with ad.no_grad():
            assert not ad.scan(lambda c, x: (c * a, None), a, T)[0].is_variable
        with ad.debug(), np.errstate(all="ignore"), pytest.raises(ad.NonFiniteError):
            ad.grad(lambda a: ad.scan(lambda c, x: (np.sqrt(c) - a, None), a, T)[0])(0.5)

    def test_variables_made_inside(self):
        def step(c, x):
            v = ad.Tensor(c)
            (v * v * x).backward()
            return c + v.grad, None

        def f(scan):
            return lambda a: scan(step, a, T)[0]

        assert_close(ad.grad(f(ad.scan))(0.5), ad.grad(f(loop))(0.5))

    def test_optimisers_step_over_a_scan(self):
        w = ad.Tensor(W)
        opt = ad.optim.SGD([w], lr=0.1)
        losses = []
        for _ in range(5):
            loss = np.sum(ad.scan(lambda h, x: (np.tanh(w @ h + x), None), H, X)[0] ** 2)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]


def add(c, x):
    return c + x, None


WRONG = {
    "no function": (lambda: ad.scan(X, 0.0, X), TypeError, "scan: takes a function"),
    "no pair": (
        lambda: ad.scan(lambda c, x: c + x, 0.0, T),
        TypeError,
        r"must return a pair \(carry, y\), it returned a float64; return \(carry, None\)",
    ),
    "a triple": (
        lambda: ad.scan(lambda c, x: (c, x, x), 0.0, T),
        TypeError,
        r"it returned a tuple of 3",
    ),
    "structure": (
        lambda: ad.scan(lambda c, x: ([c[0], x], None), (0.0, 0.0), T),
        TypeError,
        r"the carry comes out as \[\*, \*\], but went in as \(\*, \*\)",
    ),
    "shape": (
        lambda: ad.scan(lambda c, x: ({"h": c["h"] + x}, None), {"h": 0.0}, X),
        TypeError,
        r"carry\['h'\] comes out as float64\[3\], but went in as float64\[\]",
    ),
    "drift up": (
        lambda: ad.scan(add, np.float32(0), T),
        TypeError,
        r"carry comes out as float64\[\], but went in as float32\[\]; the dtype drifts from float32"
        r" to float64: convert it in the function with .astype\(np.float32\), or start with a "
        "carry of float64",
    ),
    "drift down": (
        lambda: ad.scan(lambda c, x: (c.astype(np.float32), None), X[0], X),
        TypeError,
        "drifts from float64 to float32",
    ),
    "integers": (
        lambda: ad.scan(add, 0, T),
        TypeError,
        r"carry comes out as float64\[\], but went in as int64\[\]; start with a carry of float64",
    ),
    "a text in the carry": (
        lambda: ad.scan(add, {"name": "x"}, T),
        TypeError,
        r"carry\['name'\] is a str; the carry must hold numbers, arrays or Tensors",
    ),
    "a text out of the carry": (
        lambda: ad.scan(lambda c, x: ("x", None), 0.0, T),
        TypeError,
        "carry comes out as a str",
    ),
    "a text collected": (
        lambda: ad.scan(lambda c, x: (c, {"k": "x"}), 0.0, T),
        TypeError,
        r"y\['k'\] is a str",
    ),
    "y of another structure": (
        lambda: ad.scan(lambda c, i: (c, i if i else None), 0.0, np.arange(3)),
        TypeError,
        r"y has the structure \*, in the steps before None",
    ),
    "y of another shape": (
        lambda: ad.scan(lambda c, i: (c, np.ones(2 + i)), 0.0, np.arange(3)),
        TypeError,
        r"y is float64\[3\], in the steps before float64\[2\]",
    ),
    "lengths": (
        lambda: ad.scan(add, 0.0, {"a": T, "b": X}),
        ValueError,
        r"xs\['a'\] has length 5 along its first axis, xs\['b'\] has 6",
    ),
    "length": (
        lambda: ad.scan(add, 0.0, T, length=4),
        ValueError,
        "length=4, but xs has length 5",
    ),
    "no length": (lambda: ad.scan(add, 0.0), ValueError, "give xs to scan over, or length="),
    "negative": (lambda: ad.scan(add, 0.0, length=-1), ValueError, "not be negative, got -1"),
    "a length that is none": (
        lambda: ad.scan(add, 0.0, length=2.0),
        TypeError,
        "length must be an int, got 2.0",
    ),
    "a list of numbers": (
        lambda: ad.scan(add, 0.0, [1.0, 2.0]),
        TypeError,
        r"xs\[0\] is a float; xs must hold arrays whose first axis counts the steps: np.array",
    ),
    "a number": (lambda: ad.scan(add, 0.0, np.float64(2)), TypeError, r"xs is a number, float64"),
    "a masked carry": (
        lambda: ad.scan(add, np.ma.masked_array([1.0], [True]), X),
        TypeError,
        "MaskedArray: a masked array would lose its mask",
    ),
    "masked slices": (
        lambda: ad.scan(add, 0.0, np.ma.masked_array(T, T > 0)),
        TypeError,
        "MaskedArray: a masked array would lose its mask",
    ),
    "checkpoint": (
        lambda: ad.scan(add, 0.0, T, checkpoint="sqrt"),
        TypeError,
        "checkpoint must be None, a number of segments, or 'binomial', got 'sqrt'",
    ),
    "a checkpoint that is true": (
        lambda: ad.scan(add, 0.0, T, checkpoint=True),
        TypeError,
        "got True",
    ),
    "no segments": (
        lambda: ad.scan(add, 0.0, T, checkpoint=0),
        ValueError,
        "checkpoint=0, but there must be a segment",
    ),
}


@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_messages(case, tensors):
    call, kind, message = WRONG[case]
    with pytest.raises(kind, match=message):
        ad.grad(lambda a: (call(), a)[1])(1.0) if tensors else call()


def test_a_failing_step_says_which():
    def step(c, i):
        return (c if i < 3 else c + np.ones(2)), None

    for a in (0.0, ad.Tensor(0.0)):
        with pytest.raises(TypeError, match=r"carry comes out as float64\[2\]") as caught:
            ad.scan(step, a, np.arange(5))
        assert caught.value.__notes__ == ["in step 3 of 5 of scan(step)"]


def test_errors_of_the_function_stay_what_they_are():
    def step(c, i):
        if i == 2:
            raise LookupError("nothing there")
        return c, None

    for a in (0.0, ad.Tensor(0.0)):
        with pytest.raises(LookupError, match="nothing there"):
            ad.scan(step, a, np.arange(5))


def test_modules_are_not_hidden():
    assert callable(ad.scan)
    assert operation.Scan is Scan
    assert reversal.Revolve.__name__ == "Revolve"


def test_what_a_step_computes_twice_is_shared_and_nothing_else() -> None:
    from autodiff.transforms.scan.replay import shared

    x = np.arange(6.0).reshape(2, 3)

    def f(x: Any) -> Any:
        one = np.sum(np.exp(x), axis=0) + np.sum(np.exp(x), axis=0)
        return one @ np.sum(x, axis=0) + np.sum(np.sum(np.exp(x), axis=1)) + x[0, 1] * x[1, 0]

    tape = ad.record(f)(x)
    short = shared(tape)
    assert len(short) == len(tape) - 3
    np.testing.assert_array_equal(short.evaluate(x), f(x))
