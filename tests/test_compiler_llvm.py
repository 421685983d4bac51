"""Native code of kernels: against a reference that goes element by element, and against NumPy."""

from __future__ import annotations

import gc
import itertools
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autodiff import host
from autodiff.compiler import llvm
from autodiff.compiler.kernels import (
    Access,
    Buffer,
    Kernels,
    Loop,
    Matrix,
    Nest,
    Node,
    Product,
    Reduction,
    Stage,
    Store,
)
from autodiff.compiler.llvm import engine
from autodiff.compiler.llvm.alike import content
from tests import kernel_reference

if not llvm.available():
    pytest.skip("llvmlite is not installed", allow_module_level=True)

Array = np.ndarray[Any, Any]

F8 = np.dtype(np.float64)
F4 = np.dtype(np.float32)
I8 = np.dtype(np.int64)
B1 = np.dtype(np.bool_)


def workspace(size: int) -> Array:
    """Memory that begins on a multiple of 64, full of what must not matter."""
    whole = np.full(size + 64, 0xFF, np.uint8)
    start = -whole.ctypes.data % 64
    return whole[start : start + size]


def run_native(kernels: Kernels, *arrays: Array, **options: Any) -> int:
    native = llvm.compile_kernels(kernels, cache=None, **options)
    outputs = len(kernels.with_role("output"))
    read, written = arrays[: len(arrays) - outputs], arrays[len(arrays) - outputs :]
    return native(*read, workspace(kernels.workspace), *written)


def check(
    kernels: Kernels, *read: Array, rtol: float = 1e-12, atol: float = 1e-12, **options: Any
) -> list[Array]:
    """Native code and reference agree; the native outputs."""
    results = []
    for run in (run_native, kernel_reference.run):
        outputs = [np.full(b.size, 77).astype(b.dtype) for b in kernels.with_role("output")]
        before = [x.copy() for x in read]
        more = options if run is run_native else {}
        status = run(kernels, *read, *outputs, **more)
        for x, y in zip(read, before, strict=True):
            np.testing.assert_array_equal(x, y)
        results.append((status, outputs))
    (status, native), (expected_status, expected) = results
    assert status == expected_status
    if status == 0:
        for x, y in zip(native, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)
    return native


def elementwise(op: str, dtypes: list[np.dtype[Any]], result: np.dtype[Any], n: int) -> Kernels:
    buffers = [Buffer(dtype, n, "input", i) for i, dtype in enumerate(dtypes)]
    buffers.append(Buffer(result, n, "output", 0))
    nodes = [Node("load", (), dtype, Access(i, 0, (1,))) for i, dtype in enumerate(dtypes)]
    nodes.append(Node(op, tuple(range(len(dtypes))), result))
    store = Store(Access(len(dtypes), 0, (1,)), len(dtypes))
    stage = Stage((n,), tuple(nodes), (store,))
    return Kernels(tuple(buffers), (Nest((), (stage,)),), 0)


# --- Scalar operations ---------------------------------------------------------------------------

UNARY = """
negative absolute fabs square sqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan sinh
cosh tanh arcsin arccos arctan arcsinh arccosh arctanh floor ceil rint trunc sign signbit
logical_not invert isnan isinf isfinite positive deg2rad rad2deg cbrt erf erfc expit ndtr
"""
BINARY = """
add subtract multiply divide arctan2 power maximum minimum fmax fmin copysign remainder fmod
floor_divide hypot logaddexp logaddexp2 heaviside less less_equal greater greater_equal equal
not_equal logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor left_shift
right_shift
"""


def operands(dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        numbers = [0, 1, 2, 3, 5, 7, 8, 63, info.min, info.max, info.min + 1, 100]
        return np.array(numbers, dtype)
    values = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 3.5, 1e-3, -1e-3, 3.0, 7.0, -7.0]
    values += [np.inf, -np.inf, np.nan, 1e-30, -1e-30, 100.25, -100.25, 1e30]
    info = np.finfo(dtype)
    values += [float(info.tiny), float(info.smallest_subnormal), -float(info.smallest_subnormal)]
    return np.array([*values, float(info.max), -float(info.max)]).astype(dtype)


def numpy_result(op: str, *args: Array) -> Array | None:
    """What NumPy's loop without conversion of operands gives, None where it has none."""
    ufunc = getattr(np, op, None)
    if ufunc is None:
        ufunc = getattr(pytest.importorskip("scipy.special"), op)
    try:
        with np.errstate(all="ignore"):
            result = ufunc(*args)
    except (TypeError, ValueError):  # no such loop; integers to negative powers
        return None
    return np.asarray(result)


def pairs(dtype: np.dtype[Any], count: int) -> list[Array]:
    base = operands(dtype)
    if count == 1:
        return [np.tile(base, 3)]
    return [np.ascontiguousarray(x.ravel()) for x in np.meshgrid(base, base)]


@pytest.mark.parametrize("dtype", [F8, F4, I8, np.dtype(np.int32), np.dtype(np.uint8), B1], ids=str)
@pytest.mark.parametrize("op", (UNARY + BINARY).split())
def test_scalar_operation_is_numpys(op: str, dtype: np.dtype[Any]) -> None:
    args = pairs(dtype, 1 if op in UNARY.split() else 2)
    if op in ("left_shift", "right_shift") and dtype.kind in "iu":
        args[1] = np.abs(args[1] % 16).astype(dtype)
    expected = numpy_result(op, *args)
    if not llvm.supports(op, dtype):
        known = expected is not None and expected.dtype in (F8, F4) and dtype.kind == "f"
        assert not known, "an operation on floats is missing"
        return
    assert expected is not None, "NumPy has no such loop"
    n = len(args[0])
    kernels = elementwise(op, [dtype] * len(args), expected.dtype, n)
    out = np.empty(n, expected.dtype)
    assert run_native(kernels, *args, out) == 0
    if expected.dtype.kind == "f":
        # Functions that NumPy and SciPy compose of others are less accurate there
        tolerance = 1e-14 if expected.dtype == F8 else 5e-7
        tiny = float(np.finfo(expected.dtype).tiny)
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tiny)
        same_sign = np.signbit(out) == np.signbit(expected)
        assert np.all(same_sign | np.isnan(expected)), [a[~same_sign] for a in args]
    else:
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    "source", [F8, F4, I8, np.dtype(np.int8), np.dtype(np.uint64), B1], ids=str
)
@pytest.mark.parametrize(
    "target", [F8, F4, I8, *map(np.dtype, ("i4", "i2", "i1", "u8", "u4", "u2", "u1")), B1], ids=str
)
def test_cast_is_astype(source: np.dtype[Any], target: np.dtype[Any]) -> None:
    x = operands(source)
    if source.kind == "f" and target.kind in "iu":
        # What is outside the target's range has no meaning in C
        info = np.iinfo(target)
        x = np.array([0, 0.5, 1.5, -0.5, 100.7, float(info.max // 2), 3.0]).astype(source)
        if target.kind == "i":
            x = np.concatenate([x, -x])
    with np.errstate(all="ignore"):
        expected = x.astype(target)
    out = np.empty(len(x), target)
    assert run_native(elementwise("cast", [source], target, len(x)), x, out) == 0
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("target", [I8, np.dtype(np.int32)], ids=str)
def test_cast_of_what_is_outside_is_that_of_this_processor(target: np.dtype[Any]) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 2.0**63, 2.0**31, -(2.0**31) - 0.5])
    with np.errstate(all="ignore"):
        expected = np.concatenate([v.reshape(1).astype(target) for v in x])
    out = np.empty(len(x), target)
    assert run_native(elementwise("cast", [F8], target, len(x)), x, out) == 0
    if expected[0] == np.iinfo(target).min:  # elsewhere C's conversion saturates
        np.testing.assert_array_equal(out, expected)


# --- Random programs -----------------------------------------------------------------------------


class Draw:
    """Draws random programs of kernels over a few buffers."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.buffers: list[Buffer] = []
        self.read: list[Array] = []
        self.workspace = 0
        self.counts = {"input": 0, "constant": 0, "output": 0}

    def buffer(self, dtype: np.dtype[Any], size: int, role: str) -> int:
        if role == "temporary":
            place = self.workspace
            self.workspace += -(-size * dtype.itemsize // 64) * 64
        else:
            place = self.counts[role]
            self.counts[role] += 1
        self.buffers.append(Buffer(dtype, size, role, place))  # type: ignore[arg-type]
        return len(self.buffers) - 1

    def values(self, dtype: np.dtype[Any], size: int) -> Array:
        if dtype.kind == "f":
            return self.random.normal(size=size).astype(dtype)
        return self.random.integers(-3 if dtype.kind == "i" else 0, 4, size).astype(dtype)

    def source(self, dtype: np.dtype[Any], size: int) -> int:
        """An input with values."""
        self.read.append(self.values(dtype, size))
        return self.buffer(dtype, size, "input")

    def shape(self, most: int) -> tuple[int, ...]:
        rank = int(self.random.integers(0, most + 1))
        return tuple(int(x) for x in self.random.choice([1, 2, 3, 5, 9, 17], rank))

    def dense(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...], int]:
        """Offset, strides and size of a layout in which every index has an element of its own."""
        order = self.random.permutation(len(shape))
        strides = [0] * len(shape)
        size = 1
        for axis in order:
            strides[axis] = size
            size *= shape[axis] + int(self.random.integers(0, 2))
        offset = 0
        for axis, extent in enumerate(shape):
            if self.random.random() < 0.3:
                offset += strides[axis] * (extent - 1)
                strides[axis] = -strides[axis]
        return offset, tuple(strides), size

    def some(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...], int]:
        """The same with axes along which the element stays."""
        still = self.random.random(len(shape)) < 0.3
        used = tuple(1 if s else extent for s, extent in zip(still, shape, strict=True))
        offset, strides, size = self.dense(used)
        return offset, tuple(0 if s else x for s, x in zip(still, strides, strict=True)), size

    def nodes(
        self, shape: tuple[int, ...], registers: dict[int, np.dtype[Any]], more: list[Node]
    ) -> list[Node]:
        nodes = list(more)
        for dtype in (F8, F8, F4, I8, B1)[: int(self.random.integers(1, 6))]:
            offset, strides, size = self.some(shape)
            nodes.append(Node("load", (), dtype, Access(self.source(dtype, size), offset, strides)))
        for register, dtype in registers.items():
            nodes.append(Node("register", (), dtype, register))
        if shape and self.random.random() < 0.5:
            nodes.append(Node("index", (), I8, int(self.random.integers(0, len(shape)))))
        nodes.append(Node("constant", (), F8, 1.5))
        for _ in range(int(self.random.integers(1, 7))):
            self.operation(nodes)
        return nodes

    def operation(self, nodes: list[Node]) -> None:
        a = int(self.random.integers(0, len(nodes)))
        dtype = nodes[a].dtype
        same = [i for i, node in enumerate(nodes) if node.dtype == dtype]
        b = int(self.random.choice(same))
        flags = [i for i, node in enumerate(nodes) if node.dtype == B1]
        match int(self.random.integers(0, 5)):
            case 0 if dtype.kind != "b":
                nodes.append(Node("subtract", (a, b), dtype))
            case 1:
                nodes.append(Node("less", (a, b), B1))
            case 2 if flags:
                nodes.append(Node("where", (int(self.random.choice(flags)), a, b), dtype))
            case 3 if dtype.kind == "f":
                nodes.append(Node(str(self.random.choice(["tanh", "exp", "sin"])), (a,), dtype))
            case 4 if dtype == F8:
                nodes.append(Node("maximum", (a, b), dtype))
            case _:
                nodes.append(Node("cast", (a,), F8))

    def store(self, shape: tuple[int, ...], node: int, dtype: np.dtype[Any]) -> Store:
        offset, strides, size = self.dense(shape)
        return Store(Access(self.buffer(dtype, size, "output"), offset, strides), node)


def filled(buffer: int, size: int, dtype: np.dtype[Any], value: float = 0.0) -> Nest:
    """Fills a buffer."""
    constant = Node("constant", (), dtype, value)
    return Nest((), (Stage((size,), (constant,), (Store(Access(buffer, 0, (1,)), 0),)),))


def fills(draw: Draw) -> list[Nest]:
    """Fills all outputs, gaps included, so that both runs begin the same."""
    return [
        filled(i, b.size, b.dtype)
        for i, b in enumerate(draw.buffers)
        if b.role in ("output", "temporary")
    ]


@pytest.mark.parametrize("seed", range(40))
def test_random_nests_of_one_stage(seed: int) -> None:
    draw = Draw(seed)
    outer, inner = draw.shape(2), draw.shape(2)
    shape = outer + inner
    nodes = draw.nodes(shape, {}, [])
    last = len(nodes) - 1
    stores = [draw.store(shape, n, nodes[n].dtype) for n in {last, max(0, last - 1)}]
    if seed % 3 == 0:
        offset, strides, size = draw.some(shape)
        combine = str(draw.random.choice(["add", "maximum", "minimum"]))
        numbers = [i for i, n in enumerate(nodes) if n.dtype == F8]
        access = Access(draw.buffer(F8, size, "output"), offset, strides)
        stores.append(Store(access, int(draw.random.choice(numbers)), combine))
    nest = Nest(outer, (Stage(inner, tuple(nodes), tuple(stores)),))
    steps = (*fills(draw), nest)
    check(Kernels(tuple(draw.buffers), steps, draw.workspace), *draw.read, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_random_nests_of_stages_with_reductions(seed: int) -> None:
    draw = Draw(1000 + seed)
    outer = draw.shape(2)
    registers: dict[int, np.dtype[Any]] = {}
    stages = []
    for number in range(int(draw.random.integers(1, 4))):
        inner = draw.shape(2)
        if seed % 7 == 3 and number == 0:
            inner = (*inner, 0)
        nodes = draw.nodes(outer + inner, registers, [])
        stores = [draw.store(outer + inner, len(nodes) - 1, nodes[-1].dtype)]
        reductions = []
        floats = [i for i, n in enumerate(nodes) if n.dtype == F8]
        for op in draw.random.choice(["add", "maximum", "minimum"], 2):
            node = int(draw.random.choice(floats))
            initial = 2.5 if draw.random.random() < 0.2 else None
            reductions.append(Reduction(str(op), node, len(registers), initial))
            registers[len(registers)] = F8
        flags = [i for i, n in enumerate(nodes) if n.dtype == B1]
        if flags:
            op = str(draw.random.choice(["logical_and", "logical_or"]))
            reductions.append(Reduction(op, flags[0], len(registers)))
            registers[len(registers)] = B1
        stages.append(Stage(inner, tuple(nodes), tuple(stores), tuple(reductions)))
    seen = [Node("register", (), dtype, register) for register, dtype in registers.items()]
    stores = [draw.store(outer, number, node.dtype) for number, node in enumerate(seen)]
    stages.append(Stage((), tuple(seen), tuple(stores)))
    steps = (*fills(draw), Nest(outer, tuple(stages)))
    check(Kernels(tuple(draw.buffers), steps, draw.workspace), *draw.read, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("strip", [4, 7, 1024])
@pytest.mark.parametrize("seed", range(8))
def test_reductions_along_columns(seed: int, strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A softmax along the first axis, in strips, with the column's number in it."""
    from autodiff.compiler.llvm import columns

    monkeypatch.setattr(columns, "STRIP", strip)
    random = np.random.default_rng(seed)
    n, m = (int(x) for x in random.integers(4, 20, 2))
    draw = Draw(4000 + seed)
    x, y = draw.source(F8, n * m), draw.buffer(F8, n * m, "output")
    peak = draw.buffer(F8, m, "output")
    load = Node("load", (), F8, Access(x, 0, (1, m)))
    number = (Node("index", (), I8, 0), Node("cast", (1,), F8), Node("add", (0, 2), F8))
    rest = (Node("register", (), F8, 0), Node("subtract", (3, 4), F8), Node("exp", (5,), F8))
    share = (Node("register", (), F8, 1), Node("divide", (6, 7), F8))
    more = 50.0 if seed % 2 else None
    stages = (
        Stage((n,), (load, *number), (), (Reduction("maximum", 3, 0),)),
        Stage((n,), (load, *number, *rest), (), (Reduction("add", 6, 1, more),)),
        Stage((n,), (load, *number, *rest, *share), (Store(Access(y, 0, (1, m)), 8),)),
        Stage((), (Node("register", (), F8, 0),), (Store(Access(peak, 0, (1,)), 0),)),
    )
    kernels = Kernels(tuple(draw.buffers), (Nest((m,), stages),), draw.workspace)
    assert len(columns.in_strips(kernels).buffers) > len(kernels.buffers)
    check(kernels, *draw.read)


@pytest.mark.parametrize("seed", range(40))
def test_random_gathers_and_scatters(seed: int) -> None:
    draw = Draw(2000 + seed)
    shape = draw.shape(2) or (4,)
    count = int(draw.random.integers(1, 3))
    extents = tuple(int(x) for x in draw.random.integers(2, 6, count))
    offset, strides, size = draw.dense(shape)
    indices = []
    nodes: list[Node] = []
    for extent in extents:
        source = draw.source(I8, size)
        low, high = -extent, extent
        draw.read[-1][:] = draw.random.integers(low, high, size)
        if seed % 5 == 4:
            draw.read[-1][draw.random.integers(0, size)] = draw.random.choice([extent, -extent - 1])
        indices.append(len(nodes))
        nodes.append(Node("load", (), I8, Access(source, offset, strides)))
    steps_of = [int(np.prod(extents[k + 1 :])) for k in range(count)]
    computed = tuple(zip(steps_of, extents, strict=True))
    table = draw.source(F8, int(np.prod(extents)))
    gathered = Access(table, 0, (0,) * len(shape), (), computed)
    nodes.append(Node("load", tuple(indices), F8, gathered))
    nodes = draw.nodes(shape, {}, nodes)
    stores = [draw.store(shape, len(indices), F8)]
    for combine in (None, "add", "maximum"):
        target = draw.buffer(F8, int(np.prod(extents)), "output")
        access = Access(target, 0, (0,) * len(shape), (), computed)
        stores.append(Store(access, len(indices), combine, tuple(indices)))
    cut = int(draw.random.integers(0, len(shape) + 1))
    nest = Nest(shape[:cut], (Stage(shape[cut:], tuple(nodes), tuple(stores)),))
    steps = (*fills(draw), nest)
    check(Kernels(tuple(draw.buffers), steps, draw.workspace), *draw.read, rtol=3e-6, atol=1e-6)


def matrix(rows: int, columns: int, transposed: bool, buffer: int, **more: Any) -> Matrix:
    strides = (1, rows) if transposed else (columns, 1)
    return Matrix(buffer, 0, strides, **more)


def product(
    m: int,
    k: int,
    n: int,
    flags: tuple[bool, bool, bool],
    dtype: np.dtype[Any] = F8,
    **more: Any,
) -> Kernels:
    sizes = (m * k, k * n, m * n)
    batch = more.get("batch", ())
    matrices = []
    for number, (rows, columns) in enumerate(((m, k), (k, n), (m, n))):
        strides = tuple(
            sizes[number] * int(np.prod(batch[axis + 1 :])) for axis in range(len(batch))
        )
        matrices.append(matrix(rows, columns, flags[number], number, batch=strides))
    total = int(np.prod(batch))
    buffers = (
        Buffer(dtype, total * sizes[0], "input", 0),
        Buffer(dtype, total * sizes[1], "input", 1),
        Buffer(dtype, total * sizes[2], "output", 0),
    )
    steps: tuple[Any, ...] = (Product(*matrices, m, k, n, **more),)
    if more.get("accumulates"):
        steps = (filled(2, total * sizes[2], dtype, 0.25), *steps)
    return Kernels(buffers, steps, 0)


SIZES = [(1, 1, 1), (3, 4, 5), (8, 16, 4), (1, 9, 7), (7, 9, 1), (5, 1, 6), (33, 17, 35), (4, 0, 3)]


@pytest.mark.parametrize("dtype", [F8, F4], ids=str)
@pytest.mark.parametrize("size", [*SIZES, (40, 50, 30), (64, 64, 64)], ids=str)
@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=3)), ids=str)
def test_products_of_all_layouts(
    size: tuple[int, int, int], flags: tuple[bool, bool, bool], dtype: np.dtype[Any]
) -> None:
    m, k, n = size
    random = np.random.default_rng(sum(size))
    a, b = random.normal(size=(m, k)).astype(dtype), random.normal(size=(k, n)).astype(dtype)
    stored = [
        np.ascontiguousarray(x.T if t else x).ravel()
        for x, t in zip((a, b), flags[:2], strict=True)
    ]
    for more in ({}, {"accumulates": True, "scale": -0.5}):
        out = np.full(m * n, np.nan, dtype)
        assert run_native(product(m, k, n, flags, dtype, **more), *stored, out) == 0
        result = out.reshape(n, m).T if flags[2] else out.reshape(m, n)
        expected = -0.5 * (a @ b) + 0.25 if more else a @ b
        tolerance = 1e-12 if dtype == F8 else 1e-4
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("batch", [(3,), (2, 3), (0,)], ids=str)
def test_batches_of_products(size: tuple[int, int, int], batch: tuple[int, ...]) -> None:
    random = np.random.default_rng(sum(size))
    kernels = product(*size, (False, True, False), batch=batch)
    read = [random.normal(size=b.size) for b in kernels.with_role("input")]
    check(kernels, *read)


def test_product_of_matrices_without_contiguous_rows_or_columns() -> None:
    random = np.random.default_rng(0)
    m = k = n = 40
    buffers = (
        Buffer(F8, 4 * m * k, "input", 0),
        Buffer(F8, n, "input", 1),
        Buffer(F8, m * n, "output", 0),
    )
    a = Matrix(0, 1, (2 * 2 * k, 2))
    b = Matrix(1, n - 1, (0, -1))  # one row for all, backwards
    step = Product(a, b, Matrix(2, 0, (n, 1)), m, k, n)
    x, y = random.normal(size=4 * m * k), random.normal(size=n)
    [out] = check(Kernels(buffers, (step,), 0), x, y)
    left = x[1:].reshape(-1)[: 4 * m * k]
    rows = np.array([[left[i * 4 * k + 2 * j] for j in range(k)] for i in range(m)])
    np.testing.assert_allclose(out.reshape(m, n), rows @ np.tile(y[::-1], (k, 1)))


def test_loops_advance() -> None:
    """A recurrence, h[t + 1] = tanh(W @ h[t] + x[t]), in a loop in a loop."""
    t, n, runs = 6, 5, 3
    random = np.random.default_rng(1)
    buffers = (
        Buffer(F8, n * n, "input", 0),
        Buffer(F8, runs * t * n, "input", 1),
        Buffer(F8, runs * (t + 1) * n, "output", 0),
        Buffer(F8, n, "temporary", 64),
    )
    size = (t + 1) * n
    times = Product(
        Matrix(0, 0, (n, 1)),
        Matrix(2, 0, (1, 1), advance=(size, n)),
        Matrix(3, 0, (1, 1)),
        n,
        n,
        1,
    )
    nodes = (
        Node("load", (), F8, Access(3, 0, (1,))),
        Node("load", (), F8, Access(1, 0, (1,), (t * n, n))),
        Node("add", (0, 1), F8),
        Node("tanh", (2,), F8),
    )
    step = Nest((), (Stage((n,), nodes, (Store(Access(2, n, (1,), (size, n)), 3),)),))
    steps = (
        filled(2, runs * size, F8, 0.5),
        Loop(runs, (Loop(t, (times, step)),)),
        Loop(0, (step,)),
    )
    kernels = Kernels(buffers, steps, 192)
    w, x = random.normal(size=n * n), random.normal(size=runs * t * n)
    [out] = check(kernels, w, x)
    h = np.full(n, 0.5)
    for k in range(t):
        h = np.tanh(w.reshape(n, n) @ h + x.reshape(runs, t, n)[1, k])
        np.testing.assert_allclose(out.reshape(runs, t + 1, n)[1, k + 1], h)


# --- Straight lines ------------------------------------------------------------------------------


def straight_line(seed: int, operations: int) -> tuple[Kernels, list[Array]]:
    """Scalar operations in stages without loops, some of which write where they read."""
    draw = Draw(seed)
    source = draw.source(F8, 8)
    kept = draw.buffer(F8, 4, "temporary")
    result = draw.buffer(F8, 6, "output")
    steps: list[Nest] = [filled(kept, 4, F8, 0.5)]
    for part in range(3):
        nodes = [Node("load", (), F8, Access(source, i, ())) for i in range(8)]
        nodes += [Node("load", (), F8, Access(kept, i, ())) for i in range(4)]
        nodes += [Node("load", (), F4, Access(draw.source(F4, 1), 0, ()))]
        nodes.append(Node("constant", (), F8, 0.75))
        for _ in range(operations):
            draw.operation(nodes)
        floats = [i for i, n in enumerate(nodes) if n.dtype == F8]
        chosen = draw.random.choice(floats, 6)
        bounded = []
        for node in chosen:
            nodes.append(Node("tanh", (int(node),), F8))
            bounded.append(len(nodes) - 1)
        stores = [Store(Access(kept, i, ()), bounded[i]) for i in range(4)]
        places = (part * 2, part * 2 + 1)
        stores += [
            Store(Access(result, place, ()), bounded[4 + i]) for i, place in enumerate(places)
        ]
        steps.append(Nest((), (Stage((), tuple(nodes), tuple(stores)),)))
    return Kernels(tuple(draw.buffers), tuple(steps), draw.workspace), draw.read


@pytest.mark.parametrize("piece", [7, 40, 2000])
@pytest.mark.parametrize("seed", range(6))
def test_straight_lines(seed: int, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from autodiff.compiler.llvm import straight

    monkeypatch.setattr(straight, "PIECE", piece)
    kernels, read = straight_line(3000 + seed, 150)
    check(kernels, *read, rtol=1e-5, atol=1e-5)
    if piece < 2000:
        assert len(straight.chunked(kernels).steps) > len(kernels.steps)


# --- The way in ----------------------------------------------------------------------------------


def scaled_sum(n: int) -> Kernels:
    """A number times an array, and the sum of it; the workspace holds what is in between."""
    buffers = (
        Buffer(F8, 1, "input", 0),
        Buffer(F8, n, "input", 1),
        Buffer(F8, 2, "constant", 0),
        Buffer(F8, n, "temporary", 0),
        Buffer(F8, n, "output", 0),
        Buffer(F8, 1, "output", 1),
    )
    one = (
        Node("load", (), F8, Access(0, 0, (0,))),
        Node("load", (), F8, Access(1, 0, (1,))),
        Node("multiply", (0, 1), F8),
    )
    two = (
        Node("load", (), F8, Access(3, 0, (1,))),
        Node("load", (), F8, Access(2, 1, (0,))),
        Node("add", (0, 1), F8),
    )
    last = (Node("register", (), F8, 0),)
    steps = (
        Nest((), (Stage((n,), one, (Store(Access(3, 0, (1,)), 2),)),)),
        Nest(
            (),
            (
                Stage((n,), two, (Store(Access(4, 0, (1,)), 2),), (Reduction("add", 2, 0),)),
                Stage((), last, (Store(Access(5, 0, ()), 0),)),
            ),
        ),
    )
    return Kernels(buffers, steps, 8 * n)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("n", [3, 50_000])
def test_numbers_and_arrays_go_in_both_ways(fast: bool, n: int) -> None:
    kernels = scaled_sum(n)
    native = llvm.compile_kernels(kernels, cache=None, scalars=frozenset({0}), fast=fast)
    arrays = llvm.compile_kernels(kernels, cache=None, fast=fast)
    x, c = np.random.default_rng(0).normal(size=n), np.array([0.0, 2.0])
    for run, factor in ((native, 3.0), (native, np.float64(3.0)), (arrays, np.array([3.0]))):
        out, total = np.empty(n), np.empty(1)
        assert run(factor, x, c, workspace(8 * n), out, total) == 0
        np.testing.assert_array_equal(out, 3.0 * x + 2.0)
        np.testing.assert_allclose(total[0], out.sum(), rtol=1e-13)
        with pytest.raises(TypeError):
            run(factor, x)


def test_float32_numbers_go_in() -> None:
    kernels = elementwise("negative", [F4], F4, 1)
    native = llvm.compile_kernels(kernels, cache=None, scalars=frozenset({0}))
    out = np.empty(1, F4)
    assert native(np.float32(1.25), workspace(0), out) == 0
    assert out[0] == -1.25


def test_threads_share_a_function() -> None:
    n = 40_000
    native = llvm.compile_kernels(scaled_sum(n), cache=None, scalars=frozenset({0}))
    x, c = np.random.default_rng(0).normal(size=n), np.array([0.0, 2.0])
    right: list[bool] = []

    def work(factor: float) -> None:
        memory, out, total = workspace(8 * n), np.empty(n), np.empty(1)
        for _ in range(50):
            status = native(factor, x, c, memory, out, total)
            right.append(status == 0 and np.array_equal(out, factor * x + 2))

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(right)
    assert len(right) == 200


def test_functions_come_and_go() -> None:
    """Functions that nobody holds any more leave others as they are."""
    x, out = np.ones(3), np.empty(3)
    kept = llvm.compile_kernels(elementwise("exp", [F8], F8, 3), cache=None)
    call = llvm.compile_kernels(elementwise("negative", [F8], F8, 3), cache=None).call
    for _ in range(3):
        llvm.compile_kernels(elementwise("tanh", [F8], F8, 3), cache=None)
        gc.collect()
    assert kept(x, workspace(0), out) == 0
    np.testing.assert_allclose(out, np.exp(1))
    assert call(x, workspace(0), out) == 0
    np.testing.assert_array_equal(out, -x)


CYCLES = """
import gc
import numpy as np
import autodiff as ad

for number in range(20):
    f = ad.compile(lambda x: np.sum(np.sin(x) * number), backend="llvm")
    f(np.ones(3))
    del f
    gc.collect()
"""


def test_the_collector_takes_nothing_that_a_function_still_reads() -> None:
    """Where memory is overwritten as it is freed, as GNU's C library does if it is asked to."""
    perturbed = {"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "2"}
    subprocess.run([sys.executable, "-c", CYCLES], env=os.environ | perturbed, check=True)


@pytest.mark.parametrize("fast", [False, True])
def test_finalisers_of_a_cycle_may_call_a_function_of_it(fast: bool) -> None:
    x, out, found = np.ones(3), np.empty(3), []

    class Last:
        def __init__(self) -> None:
            self.itself = self
            kernels = elementwise("negative", [F8], F8, 3)
            self.call = llvm.compile_kernels(kernels, cache=None, fast=fast).call

        def __del__(self) -> None:
            found.append(self.call(x, workspace(0), out))

    closed: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        close = engine._close
        patch.setattr(engine, "_close", lambda *args: (closed.append(len(found)), close(*args)))
        Last()
        gc.collect()
    assert found == [0]
    assert closed == [1]
    np.testing.assert_array_equal(out, -x)


def test_code_of_a_program_is_the_same_each_time() -> None:
    """Nothing of this process is in it, so that it can be found again on disk."""
    first, second = (llvm.compile_kernels(scaled_sum(9), cache=None) for _ in range(2))
    assert first.ir == second.ir
    assert first.build_seconds > 0


def test_sums_of_single_precision_lose_little() -> None:
    n = 2_000_000
    buffers = (Buffer(F4, n, "input", 0), Buffer(F4, 1, "output", 0))
    nodes = (Node("load", (), F4, Access(0, 0, (1,))),)
    stages = (
        Stage((n,), nodes, (), (Reduction("add", 0, 0),)),
        Stage((), (Node("register", (), F4, 0),), (Store(Access(1, 0, ()), 0),)),
    )
    x = np.random.default_rng(0).uniform(size=n).astype(F4)
    out = np.empty(1, F4)
    assert run_native(Kernels(buffers, (Nest((), stages),), 0), x, out) == 0
    exact = math.fsum(x.tolist())
    assert abs(out[0] - exact) <= 4 * np.spacing(np.float32(exact))


def test_unknown_dtypes_are_refused() -> None:
    with pytest.raises(TypeError, match="complex128"):
        llvm.compile_kernels(elementwise("exp", [np.dtype(complex)], np.dtype(complex), 3))
    assert not llvm.supports("exp", np.dtype(complex))
    assert not llvm.supports("no such function", F8)


# --- The tester ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bug", ["backwards", "combine", "gather"])
def test_planted_bugs_are_noticed(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from autodiff.compiler.llvm import loops, scalars

    if bug == "backwards":
        moved = loops.Memory.moved
        monkeypatch.setattr(
            loops.Memory,
            "moved",
            lambda self, place, kind, index, stride: moved(
                self, place, kind, index, max(stride, 0)
            ),
        )
        run = test_random_nests_of_one_stage
    elif bug == "combine":
        monkeypatch.setattr(scalars, "neutral", lambda fn, op, kind: fn.constant(kind, 0))
        run = test_random_nests_of_stages_with_reductions
    else:
        monkeypatch.setattr(loops._StageWriter, "_note", lambda self, outside: None)
        run = test_random_gathers_and_scatters
    caught = 0
    for seed in range(12):
        try:
            run(seed)
        except AssertionError:
            caught += 1
    assert caught


# --- The cache -----------------------------------------------------------------------------------

CHILD = """
import numpy as np, sys
from autodiff.compiler import llvm
from tests.test_compiler_llvm import scaled_sum, workspace
native = llvm.compile_kernels(scaled_sum(5))
out, total = np.empty(5), np.empty(1)
status = native(np.array([2.0]), np.arange(5.0), np.array([0.0, 1.0]), workspace(40), out, total)
print(native.from_disk, status, total[0])
"""


def child(folder: str) -> list[str]:
    root = Path(__file__).parent.parent
    environment = {**os.environ, "AUTODIFF_CACHE_DIR": folder, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", CHILD]
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_later_process_finds_the_code(tmp_path: Path) -> None:
    assert child(str(tmp_path)) == ["False", "0", "25.0"]
    assert child(str(tmp_path)) == ["True", "0", "25.0"]
    [file] = (tmp_path / "kernels").iterdir()
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    assert child(str(tmp_path)) == ["False", "0", "25.0"], "what is corrupt is ignored"
    file.write_bytes(data[:50])
    assert child(str(tmp_path)) == ["False", "0", "25.0"]
    assert child("") == ["False", "0", "25.0"], "switched off"


def test_the_folder_stays_small(tmp_path: Path) -> None:
    from autodiff.compiler.machine.disk import Disk

    store = Disk(tmp_path / "deep" / "folder", most_bytes=1000)
    for number in range(10):
        store.put(store.key(str(number)), bytes(200))
        os.utime(store._path(store.key(str(number))), (number, number))
    assert store.get(store.key("0")) is None
    assert store.get(store.key("9")) == bytes(200)
    assert sum(file.stat().st_size for file in Path(store.folder).iterdir()) <= 1000
    assert store.key("a", "bc") != store.key("ab", "c")


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    from autodiff.compiler.machine.disk import Disk

    file = tmp_path / "file"
    file.write_text("here")
    store = Disk(file / "below")
    native = llvm.compile_kernels(scaled_sum(4), cache=store)
    assert not native.from_disk
    assert store.get(store.key("x")) is None


def test_a_folder_of_others_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autodiff.compiler.machine import disk

    monkeypatch.setenv(host.CACHE_VARIABLE, str(tmp_path / "new"))
    assert disk.default() is not None
    monkeypatch.setenv(host.CACHE_VARIABLE, str(tmp_path))
    assert disk.default() is not None
    if hasattr(os, "getuid"):
        for folder in (tmp_path / "kernels", tmp_path):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
            assert disk.default() is None, "anybody could put code there"
            folder.chmod(0o700)
    monkeypatch.delenv(host.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    usual = disk.default()
    assert usual is not None
    assert Path(usual.folder).name == "kernels"


def test_much_between_steps_is_not_on_the_stack() -> None:
    """Columns by the thousand, of many reductions, in a thread with little stack."""
    n, m = 6, 3000
    load = Node("load", (), F8, Access(0, 0, (1, m)))
    ops = ("add", "maximum", "minimum", "multiply") * 3
    reductions = tuple(Reduction(op, 0, i) for i, op in enumerate(ops))
    buffers = [Buffer(F8, n * m, "input", 0)]
    nodes, stores = [], []
    for i in range(len(ops)):
        buffers.append(Buffer(F8, m, "output", i))
        nodes.append(Node("register", (), F8, i))
        stores.append(Store(Access(1 + i, 0, (1,)), i))
    stages = (Stage((n,), (load,), (), reductions), Stage((), tuple(nodes), tuple(stores)))
    kernels = Kernels(tuple(buffers), (Nest((m,), stages),), 0)
    native = llvm.compile_kernels(kernels, cache=None)
    assert "@malloc" in native.ir
    x = np.random.default_rng(0).normal(size=(n, m))
    outputs = [np.empty(m) for _ in ops]
    assert native(x.ravel(), workspace(0), *outputs) == 0
    for op, out in zip(ops, outputs, strict=True):
        np.testing.assert_allclose(out, getattr(np, op).reduce(x, axis=0), rtol=1e-12)


def test_steps_with_other_constants_are_not_alike() -> None:
    def filling(value: float) -> Nest:
        node = Node("constant", (), np.dtype(float), value)
        return Nest((), (Stage((3,), (node,), (Store(Access(0, 0, (1,)), 0),)),))

    assert content([filling(0.0)]) == content([filling(0.0)])
    assert content([filling(np.nan)]) == content([filling(np.nan)])
    assert len({content([filling(v)]) for v in (0.0, -0.0, 1.0, np.nan)}) == 4
