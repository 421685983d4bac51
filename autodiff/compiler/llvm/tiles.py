"""Small matrix products in place: tiles of the result that stay in registers.

A tile has some rows and some vectors of columns; along the inner axis each step multiplies one
element of a row with the vectors. The second matrix is copied first where its rows are not
contiguous.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from autodiff.compiler.kernels import Matrix, Product
from autodiff.compiler.llvm.loops import ONCE, Memory
from autodiff.compiler.llvm.types import I64, Kind
from autodiff.compiler.llvm.writer import Value

__all__ = ["as_tiles", "transposed", "write_tiles"]

REGISTERS = 12
"""Vectors of a tile; processors have at least 16."""

PACKED = 32_768
"""Bytes of a copy of the second matrix."""


def transposed(product: Product) -> Product:
    """The same product from the other side: ``out.T = b.T @ a.T``."""

    def t(x: Matrix) -> Matrix:
        return x._replace(strides=(x.strides[1], x.strides[0]))

    return product._replace(
        a=t(product.b), b=t(product.a), out=t(product.out), m=product.n, n=product.m
    )


def as_tiles(product: Product, itemsize: int) -> tuple[Product, bool] | None:
    """From which side tiles compute a product, and whether with a copy; None if they do not."""
    sides = [
        p for p in (product, transposed(product)) if p.out.strides[1] == 1 and (p.n > 1 or p.m == 1)
    ]
    for side in sides:
        if side.b.strides[1] == 1:
            return side, False
    for side in sides:
        if side.m >= 4 and side.n > 1 and side.k * side.n * itemsize <= PACKED:
            return side, True
    return None


def _blocks(count: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Begin, size and number of blocks that are alike."""
    whole, rest = divmod(count, most)
    if whole:
        yield 0, most, whole
    if rest:
        yield whole * most, rest, 1


def _widths(n: int, lanes: int, overlapping: bool) -> list[tuple[int, int]]:
    """Begin and lanes of vectors that cover n columns, each with a power of two of lanes.

    The last one may overlap the one before, which writes the same there.
    """
    if overlapping and n > lanes:
        return [(min(begin, n - lanes), lanes) for begin in range(0, n, lanes)]
    widths = []
    begin = 0
    while begin < n:
        while lanes > n - begin:
            lanes //= 2
        widths.append((begin, lanes))
        begin += lanes
    return widths


def write_tiles(memory: Memory, product: Product, packs: bool) -> None:
    """Write the loops, from the side that `as_tiles` says."""
    fn = memory.function
    kind = memory.kind(product.out.buffer)
    matrices = (product.a, product.b, product.out)
    if 0 in product.batch or not product.m or not product.n:
        return
    with ExitStack() as stack:
        places = [memory.begin(x.buffer, x.offset, x.advance) for x in matrices]
        for axis, extent in enumerate(product.batch):
            index = stack.enter_context(fn.loop(fn.constant(I64, 0), fn.constant(I64, extent)))
            places = [
                memory.moved(place, kind, index, x.batch[axis])
                for place, x in zip(places, matrices, strict=True)
            ]
        if packs:
            places[1] = _packed(memory, product, kind, places[1])
            b = product.b._replace(strides=(product.n, 1))
            product = product._replace(b=b)
        _Tiles(memory, product, kind, places).write()


def _packed(memory: Memory, product: Product, kind: Kind, place: Value) -> Value:
    fn = memory.function
    copy = fn.array(kind, product.k * product.n)
    if not product.k:
        return copy
    row, column = product.b.strides
    zero = fn.constant(I64, 0)
    # Along what is contiguous in the matrix that is read
    inner_is_row = abs(row) <= abs(column)
    extents = (product.n, product.k) if inner_is_row else (product.k, product.n)
    steps = (column, row) if inner_is_row else (row, column)
    into = (1, product.n) if inner_is_row else (product.n, 1)
    with fn.loop(zero, fn.constant(I64, extents[0])) as i:
        source, target = (
            memory.moved(place, kind, i, steps[0]),
            memory.moved(copy, kind, i, into[0]),
        )
        with fn.loop(zero, fn.constant(I64, extents[1])) as j:
            element = fn.load(kind, memory.moved(source, kind, j, steps[1]))
            fn.store(element, memory.moved(target, kind, j, into[1]))
    return copy


class _Tiles:
    """Writes the tiles of one product."""

    def __init__(
        self, memory: Memory, product: Product, kind: Kind, places: Sequence[Value]
    ) -> None:
        self.memory = memory
        self.fn = memory.function
        self.product = product
        self.kind = kind
        self.a, self.b, self.out = places

    def write(self) -> None:
        """Write all tiles."""
        lanes = self.fn.module.vector_bytes // self.kind.size
        widths = _widths(self.product.n, lanes, not self.product.accumulates)
        across = self._across(len(widths))
        groups = [widths[i : i + across] for i in range(0, len(widths), across)]
        shapes = [[(b - group[0][0], w) for b, w in group] for group in groups]
        first = 0
        while first < len(groups):
            count = sum(shape == shapes[first] for shape in shapes[first:])
            rows = max(1, min(self.product.m, REGISTERS // len(groups[first])))
            self.columns(groups[first][0][0], shapes[first], count, rows)
            first += count

    def _across(self, vectors: int) -> int:
        """Vectors in a tile: the fewer rows there are, the more."""
        if self.product.m == 1:
            return 8
        if vectors <= 3:
            return vectors
        return 2 if vectors % 3 == 1 else 3

    def columns(self, begin: int, widths: Sequence[tuple[int, int]], count: int, rows: int) -> None:
        """Write blocks of columns that are alike, over all rows."""
        fn, kind = self.fn, self.kind
        size = sum(w for _, w in widths)
        for first, height, blocks in _blocks(self.product.m, rows):
            with ExitStack() as stack:
                column = fn.constant(I64, begin)
                row = fn.constant(I64, first)
                if count > 1:
                    zero, last = fn.constant(I64, 0), fn.constant(I64, count)
                    column = stack.enter_context(fn.loop(zero, last, None, ONCE)) * size + begin
                if blocks > 1:
                    zero, last = fn.constant(I64, 0), fn.constant(I64, blocks)
                    row = stack.enter_context(fn.loop(zero, last, None, ONCE)) * height + first
                a = self.memory.moved(self.a, kind, row, self.product.a.strides[0])
                b = self.memory.moved(self.b, kind, column, 1)
                out = self.memory.moved(self.out, kind, row, self.product.out.strides[0])
                self.tile(a, b, self.memory.moved(out, kind, column, 1), height, widths)

    def tile(
        self, a: Value, b: Value, out: Value, height: int, widths: Sequence[tuple[int, int]]
    ) -> None:
        fn, kind, product = self.fn, self.kind, self.product
        kinds = [kind.vector(w) for _, w in widths]
        totals = [[fn.slot(k) for k in kinds] for _ in range(height)]
        for line in totals:
            for slot, k in zip(line, kinds, strict=True):
                fn.write(fn.constant(k, 0.0), slot)
        if product.k:
            with fn.loop(fn.constant(I64, 0), fn.constant(I64, product.k), None, ONCE) as step:
                row = self.memory.moved(b, kind, step, product.b.strides[0])
                vectors = [
                    fn.load_vector(k, fn.element(kind, row, fn.constant(I64, start)))
                    for k, (start, _) in zip(kinds, widths, strict=True)
                ]
                along = self.memory.moved(a, kind, step, product.a.strides[1])
                for number, line in enumerate(totals):
                    where = fn.constant(I64, number * product.a.strides[0])
                    element = fn.load(kind, fn.element(kind, along, where))
                    spread = {k.lanes: fn.spread(element, k) for k in kinds}
                    for slot, k, vector in zip(line, kinds, vectors, strict=True):
                        total = fn.read(k, slot)
                        fn.write(fn.intrinsic("fmuladd", spread[k.lanes], vector, total), slot)
        for number, line in enumerate(totals):
            place = fn.element(kind, out, fn.constant(I64, number * product.out.strides[0]))
            for slot, k, (start, _) in zip(line, kinds, widths, strict=True):
                total = fn.read(k, slot)
                if product.scale != 1.0:
                    total = total * product.scale
                where = fn.element(kind, place, fn.constant(I64, start))
                if product.accumulates:
                    total = fn.load_vector(k, where) + total
                fn.store_vector(total, where)
