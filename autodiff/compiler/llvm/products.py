"""Matrix products: by BLAS where they are large, as loops where a call would cost more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autodiff.compiler.kernels import (
    Access,
    Buffer,
    Matrix,
    Nest,
    Node,
    Product,
    Reduction,
    Stage,
    Step,
    Store,
)
from autodiff.compiler.llvm.loops import Memory
from autodiff.compiler.llvm.tiles import transposed
from autodiff.compiler.llvm.types import F32, I32, I64, Kind
from autodiff.compiler.llvm.writer import Module, Value
from autodiff.compiler.machine import blas

__all__ = ["as_nests", "by_blas", "write_blas"]

SMALL = 150_000
"""Multiplications that tiles do faster than a call; a product with a vector they always do."""


def by_blas(product: Product, buffers: tuple[Buffer, ...]) -> bool:
    """Whether a product is left to BLAS."""
    if product.m * product.n * product.k <= SMALL or min(product.m, product.n) == 1:
        return False
    dtype = buffers[product.out.buffer].dtype
    return blas.usable(dtype) and _layouts(product) is not None


def _leading(rows: int, columns: int, strides: tuple[int, int]) -> tuple[bool, int] | None:
    """Whether a matrix is transposed for BLAS, and the distance of its rows."""
    row, column = strides
    if (column == 1 or columns == 1) and (rows == 1 or row >= columns):
        return False, row if rows > 1 else columns
    if (row == 1 or rows == 1) and (columns == 1 or column >= rows):
        return True, column if columns > 1 else rows
    return None


def _layouts(product: Product) -> list[tuple[bool, int]] | None:
    m, k, n = product.m, product.k, product.n
    shapes = ((m, k), (k, n), (m, n))
    matrices = (product.a, product.b, product.out)
    found = [_leading(*shape, x.strides) for shape, x in zip(shapes, matrices, strict=True)]
    if any(layout is None for layout in found):
        return None
    return [layout for layout in found if layout is not None]


def write_blas(memory: Memory, product: Product) -> None:
    """Write the call, in loops over the batch."""
    fn = memory.function
    layouts = _layouts(product)
    assert layouts is not None
    if layouts[2][0]:
        product = transposed(product)
        layouts = _layouts(product)
        assert layouts is not None
    library = blas.found()
    assert library is not None
    kind = memory.kind(product.out.buffer)
    name = _helper(fn.module, library, kind)

    def call(places: Sequence[Value]) -> None:
        (ta, lda), (tb, ldb), (_, ldc) = layouts
        beta = fn.constant(kind, 1.0 if product.accumulates else 0.0)
        sizes = [fn.constant(I64, x) for x in (product.m, product.n, product.k)]
        arguments = [
            *(fn.constant(I32, flag) for flag in (ta, tb)),
            *sizes,
            fn.constant(kind, product.scale),
            places[0],
            fn.constant(I64, lda),
            places[1],
            fn.constant(I64, ldb),
            beta,
            places[2],
            fn.constant(I64, ldc),
        ]
        listed = ", ".join(f"{v.kind.name} {v.name}" for v in arguments)
        fn.line(f"call void @{name}({listed})")

    matrices = (product.a, product.b, product.out)
    places = [memory.begin(x.buffer, x.offset, x.advance) for x in matrices]
    _over_batch(memory, product, places, 0, call)


def _over_batch(
    memory: Memory,
    product: Product,
    places: Sequence[Value],
    axis: int,
    call: Callable[[Sequence[Value]], None],
) -> None:
    if 0 in product.batch:
        return
    if axis == len(product.batch):
        call(places)
        return
    fn = memory.function
    with fn.loop(fn.constant(I64, 0), fn.constant(I64, product.batch[axis])) as index:
        kind = memory.kind(product.out.buffer)
        matrices = (product.a, product.b, product.out)
        moved = [
            memory.moved(place, kind, index, x.batch[axis])
            for place, x in zip(places, matrices, strict=True)
        ]
        _over_batch(memory, product, moved, axis + 1, call)


def as_nests(product: Product, buffers: tuple[Buffer, ...]) -> list[Step]:
    """The product as loops over elements."""
    dtype = buffers[product.out.buffer].dtype
    space = (*product.batch, product.m, product.n)
    rows = product.a.strides
    columns = product.b.strides

    def access(x: Matrix, moves: tuple[int, ...]) -> Access:
        return Access(x.buffer, x.offset, (*x.batch, *moves), x.advance)

    a = access(product.a, (rows[0], 0, rows[1]))
    b = access(product.b, (0, columns[1], columns[0]))
    out = access(product.out, (*product.out.strides, 0))
    short = out._replace(strides=out.strides[:-1])
    elements = (Node("load", (), dtype, a), Node("load", (), dtype, b))
    times = Node("multiply", (0, 1), dtype)
    scale = Node("constant", (), dtype, product.scale)
    along_rows = product.n >= 4 and (columns[1] == 1 or product.n == 1)
    along_columns = product.m >= 4 and rows[0] == 1 and product.out.strides[0] == 1
    if (along_rows and product.out.strides[1] == 1) or along_columns:
        scaled = Node("multiply", (2, 3), dtype)
        stage = Stage(
            (*space, product.k), (*elements, times, scale, scaled), (Store(out, 4, "add"),)
        )
        steps: list[Step] = [Nest((), (stage,), product.title)]
        if not product.accumulates:
            zero = Node("constant", (), dtype, 0)
            fill = Stage(space, (zero,), (Store(short, 0),))
            steps.insert(0, Nest((), (fill,), product.title))
        return steps
    summing = Stage((product.k,), (*elements, times), (), (Reduction("add", 2, 0),))
    nodes = (Node("register", (), dtype, 0), scale, Node("multiply", (0, 1), dtype))
    combine = "add" if product.accumulates else None
    storing = Stage((), nodes, (Store(short, 2, combine),))
    return [Nest(space, (summing, storing), product.title)]


def _helper(module: Module, library: blas.Blas, kind: Kind) -> str:
    """The name of a function that multiplies matrices whose rows are contiguous.

    Its parameters: whether a, b are transposed (i32: 0 or 1), m, n, k (i64), scale, a, lda, b, ldb,
    beta, out, ldc.
    """
    letter = "s" if kind is F32 else "d"
    name = f"{letter}product"
    t = kind.name
    head = f"define internal void @{name}(i32 %ta, i32 %tb, i64 %m, i64 %n, i64 %k, {t} %alpha, "
    head += f"ptr %a, i64 %lda, ptr %b, i64 %ldb, {t} %beta, ptr %c, i64 %ldc) noinline"
    target = f"autodiff_{letter}gemm_{library.interface}"
    if library.interface == "c64":
        kinds = ["i32"] * 3 + ["i64"] * 3 + [t, "ptr", "i64", "ptr", "i64", t, "ptr", "i64"]
        module.declare(target, "void", kinds)
        body = f"""
  %tra = add i32 %ta, 111
  %trb = add i32 %tb, 111
  call void @{target}(i32 101, i32 %tra, i32 %trb, i64 %m, i64 %n, i64 %k, {t} %alpha,
                      ptr %a, i64 %lda, ptr %b, i64 %ldb, {t} %beta, ptr %c, i64 %ldc)
"""
    else:
        # Fortran's matrices are ours transposed: b^T a^T = (a b)^T
        module.declare(target, "void", ["ptr"] * 13)
        lines = []
        for word in ("n", "m", "k", "ldb", "lda", "ldc"):
            lines.append(f"%{word}.p = alloca i32\n  %{word}.i = trunc i64 %{word} to i32")
            lines.append(f"store i32 %{word}.i, ptr %{word}.p")
        for word in ("ta", "tb"):
            lines.append(f"%{word}.p = alloca i8\n  %{word}.b = icmp ne i32 %{word}, 0")
            lines.append(f"%{word}.c = select i1 %{word}.b, i8 84, i8 78")
            lines.append(f"store i8 %{word}.c, ptr %{word}.p")
        lines += [
            f"%{word}.p = alloca {t}\n  store {t} %{word}, ptr %{word}.p"
            for word in ("alpha", "beta")
        ]
        words = ("tb.p", "ta.p", "n.p", "m.p", "k.p", "alpha.p", "b", "ldb.p", "a", "lda.p")
        listed = ", ".join(f"ptr %{word}" for word in (*words, "beta.p", "c", "ldc.p"))
        lines.append(f"call void @{target}({listed})")
        body = "\n  " + "\n  ".join(lines) + "\n"
    module.functions[name] = f"{head} {{\nentry:{body}  ret void\n}}\n"
    return name
