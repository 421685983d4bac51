"""Native code of kernels: against a reference that goes element by element, and against NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

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
logical_not invert isnan isinf isfinite positive deg2rad rad2deg cbrt erf erfc expit
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
    steps = (*fills(draw), Nest(outer, tuple(stages)))
    check(Kernels(tuple(draw.buffers), steps, draw.workspace), *draw.read, rtol=3e-6, atol=1e-6)


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
