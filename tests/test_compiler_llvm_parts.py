"""Large nests in parts that several threads take."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler import llvm
from autodiff.compiler.kernels import Access, Buffer, Kernels, Loop, Nest, Node, Reduction, Stage
from autodiff.compiler.kernels import Store as Put
from tests import test_compiler_llvm as nests

if not llvm.available():
    pytest.skip("llvmlite is not installed", allow_module_level=True)

from autodiff.compiler.llvm import columns, parts
from autodiff.compiler.llvm import sharing as llvm_sharing
from autodiff.compiler.machine import sharing

F8, I8 = nests.F8, nests.I8

EXTENT = 30_000


@pytest.fixture
def small(monkeypatch):
    """Parts so small that nests of a few elements have some."""
    monkeypatch.setattr(parts, "PART", 20)
    monkeypatch.setattr(parts, "FEWEST", 2)
    monkeypatch.setattr(parts, "LINE", 4)


def parted(kernels):
    return parts.in_parts(columns.in_strips(kernels), len(kernels.buffers))


def loops(kernels):
    return [step for step in parted(kernels).steps if isinstance(step, Loop)]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(
    "test",
    [nests.test_random_nests_of_one_stage, nests.test_random_nests_of_stages_with_reductions],
)
def test_random_nests(small, test, seed):
    test(seed)


@pytest.mark.parametrize("strip", [5, 1024])
@pytest.mark.parametrize("seed", range(12))
def test_reductions_along_columns(small, seed, strip, monkeypatch):
    nests.test_reductions_along_columns(seed, strip, monkeypatch)


def one_stage(*stores, inner=(EXTENT,), outer=(), reductions=(), buffers, strides=(1,)):
    load = Node("load", (), F8, Access(0, 0, strides))
    stage = Stage(inner, (load, Node("exp", (0,), F8)), stores, reductions)
    return Kernels(buffers, (Nest(outer, (stage,)),), 0)


def test_what_writes_elsewhere_in_each_pass_is_parted(small):
    buffers = (Buffer(F8, EXTENT, "input", 0), Buffer(F8, EXTENT, "output", 0))
    kernels = one_stage(Put(Access(1, 0, (1,)), 1), buffers=buffers)
    [loop] = loops(kernels)
    assert loop.at_once
    assert loop.count * loop.steps[0].part >= EXTENT
    nests.check(kernels, np.linspace(-1, 1, EXTENT))


@pytest.mark.parametrize("op", ["add", "maximum", "minimum", "multiply"])
def test_what_all_parts_add_to_is_added_up_at_the_end(small, op):
    buffers = (Buffer(F8, EXTENT, "input", 0), Buffer(F8, 1, "output", 0))
    kernels = one_stage(Put(Access(1, 0, (0,)), 0, op), buffers=buffers)
    assert len(loops(kernels)) == 1
    filled = Kernels(buffers, (nests.filled(1, 1, F8, 1.5), *kernels.steps), 0)
    nests.check(filled, np.linspace(0.999, 1.001, EXTENT))


@pytest.mark.parametrize("columns", [3, 7])
def test_rows_that_all_parts_add_to(small, columns):
    rows = EXTENT // columns
    buffers = (Buffer(F8, rows * columns, "input", 0), Buffer(F8, columns, "output", 0))
    kernels = one_stage(
        Put(Access(1, 0, (0, 1)), 0, "add"),
        inner=(rows, columns),
        strides=(columns, 1),
        buffers=buffers,
    )
    assert len(loops(kernels)) == 1
    filled = Kernels(buffers, (nests.filled(1, columns, F8), *kernels.steps), 0)
    nests.check(filled, np.random.default_rng(0).normal(size=rows * columns))


def test_a_reduction_of_everything_and_what_follows(small):
    buffers = (
        Buffer(F8, EXTENT, "input", 0),
        Buffer(F8, 1, "output", 0),
        Buffer(F8, EXTENT, "output", 1),
    )
    load = Node("load", (), F8, Access(0, 0, (1,)))
    reductions = (Reduction("add", 1, 0), Reduction("maximum", 0, 1, 0.25))
    first = Stage(
        (EXTENT,),
        (load, Node("exp", (0,), F8)),
        (),
        reductions,
    )
    second = Stage(
        (),
        (Node("register", (), F8, 0), Node("register", (), F8, 1), Node("add", (0, 1), F8)),
        (Put(Access(1, 0, ()), 2),),
    )
    third = Stage(
        (EXTENT,),
        (load, Node("register", (), F8, 0), Node("divide", (0, 1), F8)),
        (Put(Access(2, 0, (1,)), 2),),
    )
    kernels = Kernels(buffers, (Nest((), (first, second, third)),), 0)
    assert len(loops(kernels)) == 2, "the first stage and the last"
    nests.check(kernels, np.linspace(-1, 1, EXTENT))


def indexed(extent, store, *, inner=(EXTENT,), size=None, op="exp"):
    """A nest that reads a table of some extent at computed indices."""
    strides = (0,) * (len(inner) - 1) + (1,)
    nodes = (
        Node("load", (), I8, Access(0, 0, strides)),
        Node("load", (0,), F8, Access(1, 0, (0,) * len(inner), (), ((1, extent),))),
        Node(op, (1,), F8),
    )
    buffers = (
        Buffer(I8, inner[-1], "input", 0),
        Buffer(F8, extent, "input", 1),
        Buffer(F8, size or EXTENT, "output", 0),
    )
    begin = nests.filled(2, size or EXTENT, F8, 0.5)
    return Kernels(buffers, (begin, Nest((), (Stage(inner, nodes, (store,)),))), 0)


def test_elements_at_computed_indices_are_read_in_parts(small):
    kernels = indexed(50, Put(Access(2, 0, (1,)), 2))
    random = np.random.default_rng(0)
    assert len(loops(kernels)) == 2  # that and the filling
    nests.check(kernels, random.integers(-50, 50, EXTENT), random.normal(size=50))


@pytest.mark.parametrize("op", ["add", "maximum", "minimum", "multiply"])
def test_what_is_added_at_computed_indices_is_added_up_at_the_end(small, op):
    kernels = indexed(5, Put(Access(2, 0, (0,), (), ((1, 7),)), 2, op, (0,)), size=7, op="tanh")
    assert len(loops(kernels)) == 1
    random = np.random.default_rng(0)
    nests.check(kernels, random.integers(-5, 5, EXTENT), random.normal(size=5))


@pytest.mark.parametrize("place", [0, 1, EXTENT // 2, EXTENT - 1])
@pytest.mark.parametrize("wrong", [50, -51, 1 << 40])
def test_an_index_outside_is_found_in_each_part(small, place, wrong):
    kernels = indexed(50, Put(Access(2, 0, (1,)), 2))
    at = np.arange(EXTENT) % 50
    run = llvm.compile_kernels(kernels, cache=None)
    workspace, out = np.empty(64, np.uint8), np.empty(EXTENT)
    table = np.linspace(0, 1, 50)
    assert run(at, table, workspace, out) == 0
    at[place] = wrong
    assert run(at, table, workspace, out) == 1
    at[place] = 0
    assert run(at, table, workspace, out) == 0


def test_what_cannot_be_parted_stays_whole(small):
    """Writes to computed places, two stores to one buffer, windows that overlap, too much."""
    source = Buffer(F8, EXTENT, "input", 0)
    indices = Buffer(I8, EXTENT, "input", 1)
    value, index = (
        Node("load", (), F8, Access(0, 0, (1,))),
        Node("load", (), I8, Access(1, 0, (1,))),
    )
    out = Buffer(F8, EXTENT, "output", 0)
    anywhere = Access(2, 0, (0,), (), ((1, EXTENT),))
    for combine in (None, "add"):
        scatters = Stage((EXTENT,), (value, index), (Put(anywhere, 0, combine, (1,)),))
        assert not loops(Kernels((source, indices, out), (Nest((), (scatters,)),), 0))

    twice = Stage(
        (EXTENT,), (value,), (Put(Access(1, 0, (0,)), 0, "add"), Put(Access(1, 1, (0,)), 0, "add"))
    )
    assert not loops(Kernels((source, Buffer(F8, 2, "output", 0)), (Nest((), (twice,)),), 0))

    over = Node("load", (), F8, Access(0, 0, (1, 1)))
    window = Stage((EXTENT - 9, 9), (over,), (Put(Access(1, 0, (1, 1)), 0, "add"),))
    assert not loops(Kernels((source, out), (Nest((), (window,)),), 0))

    wide = Stage(
        (2, EXTENT // 2),
        (Node("load", (), F8, Access(0, 0, (EXTENT // 2, 1))),),
        (Put(Access(1, 0, (0, 1)), 0, "add"),),
    )
    assert not loops(Kernels((source, out), (Nest((), (wide,)),), 0))


def test_small_nests_stay_whole():
    buffers = (Buffer(F8, EXTENT, "input", 0), Buffer(F8, EXTENT, "output", 0))
    assert not loops(one_stage(Put(Access(1, 0, (1,)), 1), buffers=buffers))


# --- threads --------------------------------------------------------------------------------------


@pytest.fixture
def helpers(monkeypatch):
    """Three helpers, on however few processors and whatever the environment says."""
    llvm_sharing.prepare(None)
    help_out = ctypes.CFUNCTYPE(None, ctypes.c_int64)(sharing.adopted()[sharing.HELP])
    made = tuple(sharing._Helper(help_out, 90 + number) for number in range(3))
    monkeypatch.setattr(sharing, "_helpers", lambda: made)
    yield made
    for helper in made:
        helper.end()
    assert not any(helper.thread.is_alive() for helper in made)


def loss(x, w):
    return np.sum(np.tanh(x * w) * np.exp(-x * x)) / x.size


def large(size=400_000):
    random = np.random.default_rng(0)
    return random.normal(size=size), random.normal(size=size)


def native(function, *values):
    compiled = ad.compile(function, backend="llvm")
    compiled(*values)
    return compiled


def test_compiled_functions_of_large_arrays_agree_with_eager_ones(helpers):
    x, w = large()
    compiled = native(ad.value_and_grad(loss, argnums=(0, 1)), x, w)
    value, gradients = compiled(x, w)
    expected, wanted = ad.value_and_grad(loss, argnums=(0, 1))(x, w)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for own, other in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-11, atol=1e-18)
    assert f"@{sharing.SHARE}" in compiled.lower(x, w).source


def test_results_do_not_depend_on_who_takes_which_part(helpers):
    x, w = large()
    compiled = native(ad.value_and_grad(loss), x, w)
    first = compiled(x, w)
    for _ in range(30):
        again = compiled(x, w)
        assert again[0] == first[0]
        np.testing.assert_array_equal(again[1], first[1])


def picked(table, at, weights):
    return np.sum(np.tanh(table[at]) * weights)


def test_gathers_of_large_arrays_in_several_threads(helpers):
    random = np.random.default_rng(0)
    table, weights = random.normal(size=100), random.normal(size=600_000)
    at = random.integers(-100, 100, 600_000)
    compiled = native(ad.value_and_grad(picked, (0, 2)), table, at, weights)
    first = compiled(table, at, weights)
    expected = ad.value_and_grad(picked, (0, 2))(table, at, weights)
    for own, other in zip(ad.tree.leaves(first), ad.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-10, atol=1e-10)
    assert f"@{sharing.SHARE}" in compiled.lower(table, at, weights).source
    for _ in range(20):
        again = compiled(table, at, weights)
        assert ad.tree.leaves(again)[0] == ad.tree.leaves(first)[0]
        np.testing.assert_array_equal(again[1][0], first[1][0])
    at[599_999] = 100
    with pytest.raises(IndexError, match="index 100 is out of bounds"):
        compiled(table, at, weights)
    at[599_999] = 99
    compiled(table, at, weights)


PROGRAM = """
import numpy as np, autodiff as ad
from tests.test_compiler_llvm_parts import large, loss, native, picked
x, w = large()
compiled = native(ad.value_and_grad(loss), x, w)
for _ in range(5):
    value, gradient = compiled(x, w)
at = np.arange(len(x)) * 7 % 100
of_table = native(ad.grad(picked), x[:100], at, w)(x[:100], at, w)
print(value.hex(), float(gradient.sum()).hex(), of_table.tobytes().hex())
"""


def run_apart(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout


def test_results_do_not_depend_on_the_number_of_threads():
    """And the process ends well, helpers awake or asleep."""
    found = {run_apart(PROGRAM, OMP_NUM_THREADS=str(threads)) for threads in (1, 2, 5)}
    assert len(found) == 1


def test_callers_in_several_threads_get_their_own_results(helpers):
    inputs = [large(300_000 + 1000 * k) for k in range(4)]
    compiled = [native(ad.grad(loss), *values) for values in inputs]
    expected = [function(*values) for function, values in zip(compiled, inputs, strict=True)]

    def repeated(k):
        return [compiled[k](*inputs[k]) for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        for results, wanted in zip(pool.map(repeated, range(4)), expected, strict=True):
            for result in results:
                np.testing.assert_array_equal(result, wanted)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_computes_without_its_parents_threads(helpers):
    x, w = large()
    compiled = native(ad.grad(loss), x, w)
    expected = compiled(x, w)
    # As if a helper had just been looking at a loop: nobody of the child's will ever leave it
    address = sharing.own_memory()[sharing.MEMORY] + 8 * llvm_sharing._PLACES["inside"]
    inside = ctypes.c_int64.from_address(address)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=lambda: results.put(float(compiled(x, w).sum()).hex()))
    inside.value = 1
    try:
        child.start()
    finally:
        inside.value = 0
    child.join(60)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0
    assert results.get() == float(expected.sum()).hex()


def test_helpers_sleep_when_there_is_nothing_to_do(helpers):
    x, w = large()
    compiled = native(ad.grad(loss), x, w)
    compiled(x, w)
    time.sleep(0.2)
    assert all(helper.sleeps for helper in helpers)
    begin = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - begin < 0.1


def test_sharing_gives_each_pass_to_one_thread(helpers, monkeypatch):
    """Thousands of short loops with more helpers than processors."""
    monkeypatch.setattr(parts, "PART", 50)
    monkeypatch.setattr(parts, "FEWEST", 2)
    monkeypatch.setattr(parts, "LINE", 1)
    size = 4000
    buffers = (Buffer(F8, size, "input", 0), Buffer(F8, size, "output", 0))
    add = Node("add", (0, 1), F8)
    stage = Stage(
        (size,),
        (Node("load", (), F8, Access(0, 0, (1,))), Node("constant", (), F8, 1.0), add),
        (Put(Access(1, 0, (1,)), 2, "add"),),
    )
    kernels = Kernels(buffers, (nests.filled(1, size, F8), *[Nest((), (stage,))] * 40), 0)
    compiled = llvm.compile_kernels(kernels, cache=None)
    x, workspace = np.arange(size, dtype=F8), nests.workspace(kernels.workspace)
    for _ in range(100):
        out = np.empty(size)
        for helper in helpers:
            helper.wake()
        assert compiled(x, workspace, out) == 0
        np.testing.assert_array_equal(out, 40 * (x + 1))
