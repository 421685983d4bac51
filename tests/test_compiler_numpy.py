"""The `numpy` backend of compiled programs computes what the tape computes, bit by bit."""

import multiprocessing
import os
import random
import threading
import warnings

import numpy as np
import pytest
from registry import CASES, SMOOTH, generator, like
from test_inplace_programs import program as random_program

import autodiff as ad
from autodiff import tree
from autodiff.compiler.numpy_backend import allocation, blocks, build, runner
from autodiff.core.primitive import Primitive
from autodiff.core.spec import is_inexact, spec_of
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.ir import Tape


def flat(tape):
    """The tape without containers and guards: what a backend gets."""
    return Tape(tape.entries, tape.inputs, tape.outputs)


def eager(tape, values):
    memory = tape.replay(values)
    return [memory[output.slot] for output in tape.outputs]


def copies(values):
    return [np.array(v, order="K") if isinstance(v, np.ndarray) else v for v in values]


def same(found, wanted, exact=True):
    assert np.shape(found) == np.shape(wanted)
    assert spec_of(found).dtype == spec_of(wanted).dtype
    if np.ndim(found):
        assert isinstance(found, np.ndarray)
    if exact:
        np.testing.assert_array_equal(found, wanted)
        if is_inexact(spec_of(found).dtype):
            np.testing.assert_array_equal(np.signbit(np.real(found)), np.signbit(np.real(wanted)))
    elif exact is None and spec_of(found).dtype.kind == "f":
        np.testing.assert_array_max_ulp(found, wanted, 2)
    else:
        rtol = 1e-5 if spec_of(found).dtype.char in "fF" else 1e-11
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * 1e-2)


def memories(values):
    return [v for v in values if isinstance(v, np.ndarray) and v.size]


def check(tape, values, exact=True, layouts=False):
    """Build, run twice, and compare with the tape; outputs are the caller's, inputs stay.

    What runs in Python's floats is rounded by `math`, whose last digit is not NumPy's on every
    processor.
    """
    tape = flat(tape)
    with np.errstate(all="ignore"):
        wanted = eager(tape, values)
        program = build(tape)
        exact = None if exact and isinstance(program, runner.ScalarRunner) else exact
        before = copies(values)
        first = program(*values)
        assert len(first) == len(wanted)
        for found, expected in zip(first, wanted, strict=True):
            same(found, expected, exact)
            if layouts and exact and isinstance(found, np.ndarray):
                assert found.flags.f_contiguous == expected.flags.f_contiguous
        kept = copies(first)
        for array in memories(first):
            assert array.flags.writeable
            for given in memories(values):
                assert not np.shares_memory(array, given)
        for i, one in enumerate(memories(first)):
            for j, other in enumerate(memories(first)[:i]):
                assert one is other or not np.shares_memory(one, other), (i, j)
        second = program(*values)
        for found, expected in zip(second, wanted, strict=True):
            same(found, expected, exact)
        for found, expected in zip(first, kept, strict=True):
            np.testing.assert_array_equal(found, expected)
        for array in memories([*first, *second]):
            array[...] = 7 if array.dtype.kind != "b" else True
        for found, expected in zip(program(*values), wanted, strict=True):
            same(found, expected, exact)
        for value, expected in zip(values, before, strict=True):
            np.testing.assert_array_equal(value, expected)
    return program


def record(function, *values):
    with np.errstate(all="ignore"):
        return ad.record(function)(*values)


NARROW = {np.dtype("float64"): np.float32, np.dtype("complex128"): np.complex64}


def narrowed(value):
    dtype = spec_of(value).dtype
    return np.asarray(value).astype(NARROW[dtype])[()] if dtype in NARROW else value


def leaves(values):
    return tree.leaves(tuple(values))


# --- every primitive ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", ["double", "single"])
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_primitive(case, width):
    inputs = case.inputs if width == "double" else tuple(map(narrowed, case.inputs))
    try:
        tape = record(case.call, *inputs)
    except TypeError:
        assert width == "single"  # linear algebra that has no single precision
        return
    check(tape, leaves(inputs))


@pytest.mark.parametrize("width", ["double", "single"])
@pytest.mark.parametrize("case", SMOOTH, ids=repr)
def test_vjp(case, width):
    convert = (lambda value: value) if width == "double" else narrowed
    case = case.with_inputs(convert)
    out, _ = ad.vjp(case.of_active, *case.active)
    g = tree.map_leaves(convert, like(generator(case), out))

    def pulled(g, *active):
        return ad.vjp(case.of_active, *active)[1](g)

    check(record(pulled, g, *case.active), leaves((g, *case.active)))


@pytest.mark.parametrize("case", SMOOTH, ids=repr)
def test_jvp(case):
    tangents = tuple(like(generator(case), x) for x in case.active)

    def pushed(*values):
        half = len(values) // 2
        return ad.jvp(case.of_active, values[:half], values[half:])

    values = (*case.active, *tangents)
    check(record(pushed, *values), leaves(values))


@pytest.mark.parametrize("case", SMOOTH, ids=repr)
def test_complex(case):
    rng = generator(case)
    moved = case.with_inputs(lambda x: x + 0.05j * rng.uniform(-1, 1, np.shape(x)))
    try:
        tape = record(moved.call, *moved.inputs)
    except TypeError:
        return
    check(tape, leaves(moved.inputs))


@pytest.mark.parametrize("case", SMOOTH, ids=repr)
def test_batched(case):
    examples = case.examples()
    try:
        stacked = tuple(np.stack(parts) for parts in zip(*examples, strict=True))
    except ValueError:
        return
    check(record(ad.vmap(case.call), *stacked), leaves(stacked))


# --- layouts of inputs ----------------------------------------------------------------------------


def fortran(x):
    return np.asfortranarray(x)


def reversed_(x):
    return np.ascontiguousarray(x[::-1])[::-1]


def strided(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def frozen(x):
    x = x.copy()
    x.setflags(write=False)
    return x


def several(x, y):
    h = np.tanh(x @ y.T + np.mean(x))
    z = np.reshape(h.T * 2.0, (-1,))
    return z, h.T, np.max(h, axis=0), np.where(h > 0, h, 0.0), np.sum(h * z.reshape(h.shape))


@pytest.mark.parametrize("layout", [fortran, reversed_, strided, frozen])
def test_layouts_of_inputs(layout):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 4))

    def function(x, y):
        return several(x, y), ad.grad(lambda x: several(x, y)[4])(x)

    tape = record(function, x, y)
    check(tape, [layout(x), layout(y)], exact=False)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_zero_size(shape):
    def function(x):
        y = np.exp(x) * 2 + x
        return y, np.sum(y), np.sum(y, axis=0), y.T, np.concatenate([y, x]), y.reshape(-1)

    check(record(function, np.ones(shape)), [np.ones(shape)])
    check(record(ad.grad(lambda x: np.sum(np.sin(x) * x)), np.ones(shape)), [np.ones(shape)])


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), np.array(0.5)])
def test_numbers_as_inputs(value):
    def function(a, x):
        return a * x, np.exp(a) + a**2, np.sum(x * a), -a

    x = np.arange(3.0)
    check(record(function, 0.25, x), [value, x])
    assert type(build(flat(record(function, 0.25, x)))(value, x)[1]) is np.float64


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool", "float16", "float32"])
def test_dtypes(dtype):
    x = np.array([[1, 0, 1], [1, 1, 0]], dtype)

    def function(x):
        total = np.sum(x, axis=0)
        return x * 2, x + x, total, x / 2, np.sum(x), np.maximum(x, x.T[0, 0]), np.mean(x, axis=1)

    check(record(function, x), [x])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool", "float16", "float32"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reductions_in_the_middle_have_the_dtype_of_their_results(dtype, order):
    x = np.array([[[1, 0, 1], [1, 1, 1]]] * 2, dtype, order=order)

    def function(x):
        x = x * x
        totals = [
            reduce(x, axis=axis, keepdims=keepdims) * np.ones(1, int)
            for reduce in (np.sum, np.prod, np.max, np.mean)
            for axis in (0, 1, (0, 2), (0, 1, 2))
            for keepdims in (False, True)
        ]
        return tuple(totals)

    check(record(function, x), [x])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [8, 1000])
def test_functions_of_several_steps(dtype, size):
    x = np.concatenate([np.linspace(-40, 40, size), np.linspace(-1, 1, 20 * size)])
    x = np.append(x, [0.0, -0.0, np.inf, -np.inf, np.nan]).astype(dtype)

    def function(x):
        y = np.tanh(x * 1.0) + ad.sigmoid(x) * ad.softplus(x) + ad.relu(x) * np.clip(x, -1, 1)
        return y * 2.0

    for values in (x, x[: size // 2], x[-size:]):
        tape = record(function, values)
        check(tape, [values])
        check(record(lambda x: ad.vjp(function, x)[1](x), values), [values])
        check(record(lambda x: ad.jvp(function, (x,), (x,)), values), [values])


def test_promotion_of_numbers():
    x = np.ones((2, 3), np.float32)

    def function(x):
        strong = np.float64(2.0)
        return x * 2.0, x * strong, x + 1, x * 1e-50, (x * 2.0) ** 2, x**3, x**0.5, x**-1.0, x**x

    check(record(function, x), [x])


def test_broadcasts_larger_than_memory():
    x = np.arange(3.0)

    def function(x):
        wide = np.broadcast_to(x[:, None, None], (3, 1 << 30, 1 << 20))
        return wide[1, 5, :4] * 2.0, np.sum(wide[:, 3, :2])

    check(record(function, x), [x])


def test_names_that_are_none_in_python():
    names = ["not a name", "lambda", "idle", "b0", "x0", "take", "sin", "explain", "m"]
    general, elementwise = (
        ("linear", {"transpose": lambda g: g * 2.0}),
        ("elementwise", {"d_x": 2.0}),
    )
    functions = [Primitive(lambda x: x * 2.0, *general, name=name) for name in names]
    numbers = [Primitive(lambda x: x * 2.0, *elementwise, name=name) for name in names]

    def function(x):
        for each in functions:
            x = np.sin(each(x))
        return x

    def of_number(x):
        for each in numbers:
            for _ in range(5):
                x = np.sin(x)
            x = each(x)
        return x

    check(record(function, np.ones(3)), [np.ones(3)])
    check(record(of_number, 0.5), [0.5], exact=False)


# --- outputs --------------------------------------------------------------------------------------


def test_outputs_that_are_inputs_constants_and_views():
    constant = np.arange(6.0).reshape(2, 3)

    def function(x):
        y = x * 2.0
        return x, ad.Tensor(constant) * 1.0, y, y.T, y[0], y, y.T, x.T, x[0], 3.0

    x = np.ones((2, 3))
    check(record(function, x), [x])


def test_one_number_in_every_place():
    ones = np.broadcast_to(1.0, (2, 3))

    def function(x, s):
        spread = np.broadcast_to(s, (2, 3))
        row = np.broadcast_to(x[0], (2, 3))
        views = (spread * 3.0).T, np.reshape(spread + row, (-1,)), np.sin(row)[:]
        return -spread, spread * 2.0, ones * s, ones * x, row * 2.0, row + spread, views

    x = np.arange(6.0).reshape(2, 3)
    check(record(function, x, 0.5), [x, 0.5])
    for view in (lambda y: y, lambda y: y[:, 1:], lambda y: y.T):
        tape = record(lambda x, view=view: view(np.broadcast_to(np.exp(x[0]), (2, 3))), x)
        check(tape, [x])
    builder = TapeBuilder()
    slot = builder.constant(ones)
    spec = spec_of(ones)
    (negated,) = builder.emit(ad.REGISTRY["negative"], (slot,), (spec,))
    (twice,) = builder.emit(ad.REGISTRY["multiply"], (negated, slot), (spec,))
    check(builder.finish((negated, twice)), [])


def test_large_outputs_are_used_again_only_when_nobody_holds_them():
    program = build(flat(record(lambda x: np.exp(x) * 2.0, np.zeros(100_000))))
    x = np.zeros(100_000)
    (kept,) = program(x)
    views = [program(x)[0][10:20] for _ in range(5)]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(views) for b in views[:i])
    for other in range(5):
        program(np.full(100_000, float(other)))
    assert (kept == 2.0).all()
    assert all((view == 2.0).all() for view in views)
    place = kept.__array_interface__["data"][0]
    del kept, views
    places = set()
    for _ in range(8):
        (result,) = program(x)
        places.add(result.__array_interface__["data"][0])
        del result
    assert len(places) <= 2, (place, places)


# --- random programs ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_in_place(seed):
    function = random_program(seed)
    x = np.random.default_rng(seed).normal(size=(3, 4))
    check(record(ad.value_and_grad(function), x), [x])


def test_order_of_memory():
    def function(x, y):
        t = np.sin(x.T) * 2.0
        u = t + y.T
        return u, np.exp(x).T * 1.0, np.where(u > 0, u, 0.0), np.sum(u[..., None] * u.T, axis=2)

    x, y = np.random.default_rng(0).normal(size=(2, 3, 3))
    check(record(function, x, y), [x, y], layouts=True)


UNARY = [np.tanh, np.sin, np.negative, np.abs, ad.sigmoid, ad.relu, lambda x: x * 2.0, np.square]
BINARY = [np.add, np.multiply, np.subtract, np.maximum, np.arctan2, lambda x, y: x / (y * y + 1)]
MOVES = [
    lambda x: x.T,
    lambda x: x[::-1],
    lambda x: x[..., None],
    lambda x: x[0],
    lambda x: x[1:],
    lambda x: x[[0, -1, 0]],
    lambda x: x.reshape(-1),
    lambda x: np.moveaxis(x, 0, -1),
    lambda x: np.concatenate([x, x[:1] * 3.0]),
    lambda x: np.stack([x, x * 2.0], axis=-1),
    lambda x: np.pad(x, 1),
    lambda x: np.where(x > 0.1, x, 0.5),
    lambda x: np.where(x > 0.1, 0.5, x),
    lambda x: np.clip(x, -0.5, 0.5),
    lambda x: x.astype(np.float32),
    lambda x: x.astype(np.float64),
    lambda x: np.sum(x, axis=0),
    lambda x: np.mean(x, axis=-1, keepdims=True),
    lambda x: np.max(x, axis=-1),
    lambda x: np.cumsum(x, axis=0),
    lambda x: x.copy(),
]


def random_array_program(seed):
    """Random function of arrays that broadcast, reduce, multiply, and are views of one another."""

    def function(*xs):
        draw = random.Random(seed)
        values = list(xs)
        for _ in range(draw.randint(4, 25)):
            a, b = draw.choice(values), draw.choice(values)
            which = draw.random()
            if which < 0.3:
                values.append(draw.choice(UNARY)(a))
            elif which < 0.6:
                fits = all(
                    m == n or 1 in (m, n)
                    for m, n in zip(a.shape[::-1], b.shape[::-1], strict=False)
                )
                values.append(draw.choice(BINARY)(a, b if fits else np.mean(b)))
            elif which < 0.7 and a.ndim == b.ndim == 2:
                values.append(np.tanh(a @ (b if a.shape[1] == b.shape[0] else a.T)))
            else:
                move = draw.choice(MOVES)
                if a.ndim and a.size < 200 and len(a) > 1:
                    values.append(move(a))
        return values[-1], draw.choice(values), np.sum(values[-1] * 2.0)

    return function


@pytest.mark.parametrize("seed", range(120))
def test_random_array_programs(seed):
    function, rng = random_array_program(seed), np.random.default_rng(seed)
    xs = [
        rng.normal(size=(3, 4)),
        rng.normal(size=(4,)).astype(np.float32),
        rng.normal(size=(3, 1)),
    ]
    check(record(function, *xs), xs)
    check(record(ad.value_and_grad(lambda *xs: function(*xs)[2], argnums=(0, 1, 2)), *xs), xs)


@pytest.mark.parametrize("seed", range(120, 200))
def test_random_array_programs_in_blocks(seed, tiny_blocks):
    function, rng = random_array_program(seed), np.random.default_rng(seed)
    xs = [
        rng.normal(size=(3, 4)),
        rng.normal(size=(4,)).astype(np.float32),
        rng.normal(size=(3, 1)),
    ]
    check(
        record(ad.value_and_grad(lambda *xs: function(*xs)[2], argnums=(0, 1, 2)), *xs), xs, False
    )


# --- blocks ---------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 3], ids=["alone", "threads"])
def tiny_blocks(request, monkeypatch):
    """Run everything that can be in blocks of one row or two."""
    monkeypatch.setattr(blocks, "thread_count", lambda most: request.param)
    monkeypatch.setattr(blocks, "LARGEST", 1)
    monkeypatch.setattr(blocks, "FEWEST", 2)
    monkeypatch.setattr(blocks, "BLOCK", 24)


def waves(x, y):
    a = np.tanh(x) * y
    b = np.exp(-a * a) + x[0] * np.where(a > 0, a, y)
    c = b * a - np.sqrt(np.abs(b)) / (y * y + 1.0)
    d = c[::-1] * c + ad.sigmoid(c) * ad.softplus(b)
    return np.sum(d) + np.mean(d * c.T.reshape(c.shape) + b), d


def test_blocks(tiny_blocks):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 9, 4))
    program = check(record(waves, x, y), [x, y], exact=False)
    assert program.source.count("def group") >= 2
    gradient = ad.grad(lambda x, y: waves(x, y)[0], argnums=(0, 1))
    program = check(record(gradient, x, y), [x, y], exact=False)
    assert program.source.count("def group") >= 2
    for layout in (fortran, reversed_, strided):
        check(record(gradient, x, y), [layout(x), layout(y)], exact=False)


@pytest.mark.parametrize("tiny_blocks", [1], indirect=True)
@pytest.mark.parametrize("case", SMOOTH, ids=repr)
def test_vjp_in_blocks(case, tiny_blocks):
    out, _ = ad.vjp(case.of_active, *case.active)
    g = like(generator(case), out)

    def pulled(g, *active):
        return ad.vjp(case.of_active, *active)[1](g)

    check(record(pulled, g, *case.active), leaves((g, *case.active)), exact=False)


@pytest.mark.parametrize("seed", range(60, 160))
def test_random_programs_in_blocks(seed, tiny_blocks):
    function = random_program(seed)
    x = np.random.default_rng(seed).normal(size=(3, 4))
    check(record(ad.value_and_grad(function), x), [x], exact=False)


def test_sums_wait_for_the_end_of_a_group(tiny_blocks):
    x = np.random.default_rng(0).normal(size=(9, 4))
    tape = record(ad.value_and_grad(lambda x: np.sum(np.sin(x) * np.exp(x))), x)
    program = check(tape, [x], exact=False)
    assert program.source.count("def group") == 1


def test_planted_mistake_in_the_order_is_caught(tiny_blocks, monkeypatch):
    x = np.random.default_rng(0).normal(size=(9, 4))

    def function(x):
        y = np.sin(x) * 2.0
        total = np.mean(y, axis=0)
        return np.exp(y) - np.cos(y) * total

    check(record(function, x), [x], exact=False)
    monkeypatch.setattr(blocks, "_may_change_places", lambda first, second: True)
    with pytest.raises(AssertionError):
        check(record(function, x), [x], exact=False)


def test_blocks_need_less_memory():
    x = np.random.default_rng(0).normal(size=(1 << 19))
    tape = record(lambda x: np.exp(-np.sin(x) * np.cos(x)) * 2.0 + np.sin(x), x)
    program = build(flat(tape))
    assert program.source.count("def group") == 1
    assert program.peak_bytes < x.nbytes * blocks.thread_count(8)
    np.testing.assert_allclose(program(x)[0], eager(flat(tape), [x])[0], rtol=1e-14)


def test_no_thread_writes_into_the_rows_of_another(monkeypatch):
    """Memory of elements of another size has its rows elsewhere."""
    monkeypatch.setattr(blocks, "thread_count", lambda most: 3)
    monkeypatch.setattr(blocks, "LARGEST", 1)
    monkeypatch.setattr(blocks, "BLOCK", 240)
    x = np.linspace(-3.0, 3.0, 300).astype(np.float32)
    tape = ad.record(ad.grad(lambda x: np.sum(np.tanh(x) * np.exp(-x * x))))(x)
    (group,) = runner.Planner(flat(tape), runner.HANDLERS, runner.elementwise).groups
    assert group.threads == 3
    assert len({storage.spec.dtype.itemsize for storage in group.inner}) > 1
    for number, one in enumerate(group.inner):
        for other in group.inner[:number]:
            ours, theirs = [
                [
                    (s.offset + s.spec.nbytes * t // 3, s.offset + s.spec.nbytes * (t + 1) // 3)
                    for t in range(3)
                ]
                for s in (one, other)
            ]
            for t, (begin, end) in enumerate(ours):
                for u, (start, stop) in enumerate(theirs):
                    assert t == u or end <= start or stop <= begin


def test_blocks_in_threads_treat_errors_as_the_caller_does(tiny_blocks):
    x = np.zeros((9, 4))
    program = build(flat(record(lambda x: np.exp(1.0 / (x * 2.0) + x) * x, x + 1.0)))
    with np.errstate(all="ignore"):
        assert np.isnan(program(x)[0]).all()
    x[8] = 1.0
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        program(x)
    x[:] = 1.0
    np.testing.assert_allclose(program(x)[0], np.exp(1.5))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_blocks_in_threads_after_a_fork(monkeypatch):
    monkeypatch.setattr(blocks, "thread_count", lambda most: 2)
    x = np.random.default_rng(0).normal(size=(1 << 19))
    program = build(flat(record(lambda x: np.exp(-np.sin(x)) * 2.0 + x, x)))
    assert "in_parts" in program.source
    (wanted,) = program(x)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(float(np.sum(program(x)[0]))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads is what this is about
        child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() == np.sum(wanted)


def test_planted_mistake_in_blocks_is_caught(tiny_blocks, monkeypatch):
    x = np.random.default_rng(0).normal(size=(9, 4))

    def function(x):
        y = np.sin(x) * 2.0
        return y[::-1] * y + np.cos(y)

    check(record(function, x), [x], exact=False)
    monkeypatch.setattr(blocks, "_read_partly", lambda line: set())
    with pytest.raises(AssertionError):
        check(record(function, x), [x], exact=False)


# --- threads, errors ------------------------------------------------------------------------------


def test_threads():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 64, 64))
    tape = flat(record(lambda x, y: several(x, y), x, y))
    program = build(tape)
    wanted = {k: eager(tape, [x + k, y]) for k in range(4)}
    failures = []

    def work(k):
        for _ in range(200):
            for found, expected in zip(program(x + k, y), wanted[k], strict=True):
                if not np.array_equal(found, expected):
                    failures.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_reentrant():
    holder = []

    @ad.primitive(name="calls_itself", vjp_x=lambda g: g)
    def again(x):
        if holder and x[0] < 3:
            inner = holder[0](x + 1.0)[0]
            return inner * 2.0
        return x * 2.0

    x = np.zeros(4)
    tape = flat(record(lambda x: again(np.sin(x) * 0.0 + x) + x * 10.0, x))
    holder.append(build(tape))
    (result,) = holder[0](x)

    def by_hand(x):
        return (by_hand(x + 1.0) * 2.0 if x < 3 else x * 2.0) + x * 10.0

    np.testing.assert_allclose(result, by_hand(0.0))


def test_errors_are_those_of_the_tape():
    a = np.eye(3)
    tape = flat(record(lambda a: np.linalg.inv(a * 2.0) + 1.0, a))
    program = build(tape)
    with pytest.raises(np.linalg.LinAlgError) as wanted:
        tape.replay([np.zeros((3, 3))])
    with pytest.raises(np.linalg.LinAlgError) as found:
        program(np.zeros((3, 3)))
    assert str(found.value) == str(wanted.value)
    np.testing.assert_array_equal(program(a)[0], np.linalg.inv(a * 2.0) + 1.0)


# --- numbers --------------------------------------------------------------------------------------


def chain(a, b, n=40):
    for k in range(n):
        c = a * b + b
        a = np.tanh(c) * 0.5 + a
        b = b - c * a * 0.1 + np.where(a > b, a, np.exp(-b)) / (k + 2.0)
        if k % 7 == 0:
            a = np.maximum(a, np.sin(b)) ** 2 + np.sqrt(np.abs(b)) - a % 0.7
    return a * b


def test_numbers_are_computed_in_floats():
    tape = record(ad.value_and_grad(chain, argnums=(0, 1)), 0.3, -0.2)
    program = check(tape, [0.3, -0.2], exact=False)
    assert isinstance(program, runner.ScalarRunner)
    assert all(type(result) is np.float64 for result in program(0.3, np.float64(-0.2)))
    tape = record(ad.hessian(lambda a: chain(a, 0.5, 4)), 0.3)
    check(tape, [0.3], exact=False)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a / b,
        lambda a, b: np.log(b) + a,
        lambda a, b: np.exp(a * 1e4),
        lambda a, b: (a * 1e200) ** 2.0,
        lambda a, b: (a - 1.0) ** 0.5,
        lambda a, b: b**-1.0,
        lambda a, b: np.sqrt(a - 1.0),
        lambda a, b: np.arctanh(a + 1.0),
        lambda a, b: np.sin(a * 1e308 * 10.0),
        lambda a, b: np.maximum(b, b * -1.0),
        lambda a, b: np.minimum(b * -1.0, b),
        lambda a, b: a * 1e300 * 1e300 - np.inf,
        lambda a, b: np.where(b == 0.0, a, b) * np.nan,
        lambda a, b: (a > b, np.isnan(a), np.logical_and(a > b, b > a)),
        lambda a, b: (a, 2.0, a, b * 1, -b),
    ],
)
def test_numbers_where_python_raises(function):
    check(record(function, 0.5, 0.0), [0.5, 0.0])


@pytest.mark.parametrize("case", [c for c in CASES if not any(map(np.shape, c.inputs))], ids=repr)
def test_primitive_of_numbers(case):
    tape = record(case.call, *case.inputs)
    values = leaves(case.inputs)
    found, wanted = build(flat(tape))(*values), eager(tape, values)
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-14)
        assert spec_of(one) == spec_of(two)


def test_long_tape_of_numbers():
    tape = record(ad.value_and_grad(lambda a, b: chain(a, b, 300), argnums=(0, 1)), 0.3, -0.2)
    program = check(tape, [0.3, -0.2], exact=False)
    assert program.source.count("def ") > 3


# --- long tapes -----------------------------------------------------------------------------------


def test_long_tape_of_arrays():
    def function(x, n=1500):
        y = x
        total = np.zeros(())
        for k in range(n):
            y = np.sin(y) * 1.1 + x
            if k % 100 == 0:
                total = total + np.sum(y)
        return y, total

    x = np.linspace(-1, 1, 5)
    program = check(record(function, x), [x])
    assert program.source.count("def ") > 5
    assert program.peak_bytes <= 4 * 64


# --- planted mistakes -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_planted_wrong_liveness_is_caught(seed, monkeypatch):
    def broken(storages):
        for storage in storages:
            storage.end = min(storage.end, storage.begin + 1)
        return allocation.allocate(storages)

    def function(x, y):
        parts = [np.sin(x + k) * y for k in range(6)]
        return parts[0] * parts[5] + parts[1] * parts[4] + parts[2] * parts[3]

    x, y = np.random.default_rng(seed).normal(size=(2, 5))
    tape = record(function, x, y)
    check(tape, [x, y])
    monkeypatch.setattr(runner, "allocate", broken)
    with pytest.raises(AssertionError):
        check(tape, [x, y])


def test_planted_overwriting_is_caught(monkeypatch):
    from autodiff.compiler.numpy_backend.values import Storage

    x = np.random.default_rng(1).normal(size=5)

    def function(x):
        y = np.sin(x)
        return y * np.cos(y) + np.exp(y)

    tape = record(function, x)
    check(tape, [x])
    monkeypatch.setattr(Storage, "dies_at", lambda self, position: True)
    with pytest.raises(AssertionError):
        check(tape, [x])
