"""Matrix products that are added to memory as they are computed.

``w - rate * (x.T @ g)`` is a product that begins with `w` in the place of zeros, and so is what a
loop adds to a total pass after pass: the product itself is never written down, nor read again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from autodiff.compiler.emission import used
from autodiff.compiler.kernels import Access, Loop, Nest, Node, Product, Stage, Step, Store

__all__ = ["added", "loaded", "stored"]


def stored(step: Step) -> Iterable[int]:
    """Buffers that a step writes to."""
    if isinstance(step, Product):
        return (step.out.buffer,)
    if isinstance(step, Loop):
        return dict.fromkeys(slot for inner in step.steps for slot in stored(inner))
    return dict.fromkeys(store.access.buffer for stage in step.stages for store in stage.stores)


def loaded(step: Step) -> Iterable[int]:
    """Buffers that a step reads."""
    if isinstance(step, Product):
        return (step.a.buffer, step.b.buffer)
    if isinstance(step, Loop):
        return dict.fromkeys(slot for inner in step.steps for slot in loaded(inner))
    return dict.fromkeys(
        node.detail.buffer for stage in step.stages for node in stage.nodes if node.op == "load"
    )


class _Sum(NamedTuple):
    """A nest that does no more than add a product to something.

    Attributes
    ----------
    store : Store
        Of the sum.
    scale : float
        Of the product.
    begin : Nest or None
        What writes the rest of the sum; None where that is there.
    """

    store: Store
    scale: float
    begin: Nest | None


def added(steps: Sequence[Step], own: Set[int]) -> list[Step]:
    """Steps in which products are added to what they are added to at once.

    Parameters
    ----------
    steps : sequence of Step
    own : set of int
        Buffers that nobody else looks at.
    """
    writers = Counter(buffer for step in _all(steps) for buffer in stored(step))
    readers = Counter(buffer for step in _all(steps) for buffer in loaded(step))
    once = {buffer for buffer in own if writers[buffer] == readers[buffer] == 1}
    return _added(steps, once)


def _all(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps, and in the place of loops those in them."""
    waiting = list(steps)
    while waiting:
        step = waiting.pop()
        if isinstance(step, Loop):
            waiting += step.steps
        else:
            yield step


def _added(steps: Sequence[Step], once: Set[int]) -> list[Step]:
    adding = _Adding(once)
    for step in steps:
        if isinstance(step, Loop):
            step = step._replace(steps=tuple(_added(step.steps, once)))
        adding.add(step)
    return [step for part in adding.found for step in part]


class _Adding:
    """Steps, with the sums in the places of the products.

    Attributes
    ----------
    found : list of list of Step
        By position in what was given: what is there now.
    """

    def __init__(self, once: Set[int]) -> None:
        self.once = once
        self.found: list[list[Step]] = []
        self.products: dict[int, int] = {}
        # By buffer the last position that writes to it, and the last that reads or writes it
        self.written: dict[int, int] = {}
        self.touched: dict[int, int] = {}

    def add(self, step: Step) -> None:
        """Go on with a step."""
        position = len(self.found)
        self.found.append([])
        if isinstance(step, Nest):
            for buffer in loaded(step):
                if buffer in self.products and self.joined(step, self.products[buffer]):
                    return
        self.put(step, position)
        if isinstance(step, Product) and step.out.buffer in self.once and not step.accumulates:
            self.products[step.out.buffer] = position

    def joined(self, nest: Nest, position: int) -> bool:
        """Whether a nest only adds the product at a position, which does that by itself now."""
        (product,) = self.found[position]
        assert isinstance(product, Product)
        total = _sum(nest, product)
        if total is None:
            return False
        waits = [self.touched.get(total.store.access.buffer, -1)]
        if total.begin is not None:
            waits += [self.written.get(buffer, -1) for buffer in loaded(total.begin)]
        if max(waits) >= position:
            return False
        self.found[position] = []
        for step in _at_once(product, total, nest.title):
            self.put(step, position)
        return True

    def put(self, step: Step, position: int) -> None:
        """Add a step at a position."""
        self.found[position].append(step)
        for buffer in stored(step):
            self.written[buffer] = max(position, self.written.get(buffer, -1))
        for buffer in (*stored(step), *loaded(step)):
            self.touched[buffer] = max(position, self.touched.get(buffer, -1))


def _at_once(product: Product, total: _Sum, title: str) -> list[Step]:
    """The steps of both."""
    access = total.store.access
    out = product.out._replace(buffer=access.buffer, offset=access.offset, advance=access.advance)
    whole = product._replace(
        out=out, scale=total.scale, accumulates=True, title=f"{product.title} {title}"
    )
    return [whole] if total.begin is None else [total.begin, whole]


def _sum(nest: Nest, product: Product) -> _Sum | None:
    """What a nest adds a product to; None where it does anything else."""
    if len(nest.stages) > 1 or nest.part:
        return None
    (stage,) = nest.stages
    space = (*nest.outer, *stage.inner)
    size = math.prod(product.batch) * product.m * product.n
    if len(stage.stores) != 1 or stage.reductions or math.prod(space) != size:
        return None
    (store,) = stage.stores
    loads = [
        position
        for position, node in enumerate(stage.nodes)
        if node.op == "load" and node.detail.buffer == product.out.buffer
    ]
    read: Access = stage.nodes[loads[0]].detail
    if (
        len(loads) > 1
        or store.access.extents
        or read.extents
        or (read.offset, read.advance) != (product.out.offset, product.out.advance)
        or read.strides != store.access.strides
        or not _is_dense(read.strides, space)
    ):
        return None
    if store.combine is not None:
        scale = _scale(stage, store.node, loads[0])
        return _Sum(store, scale, None) if store.combine == "add" and scale else None
    node = stage.nodes[store.node]
    if node.op not in ("add", "subtract"):
        return None
    for side, other in ((1, 0), (0, 1)):
        scale = _scale(stage, node.args[side], loads[0])
        if scale is None or (side == 0 and node.op == "subtract"):
            continue
        rest = used(stage.nodes, [store._replace(node=node.args[other])], [])
        if any(each.op == "load" and each.detail == read for each in rest.nodes):
            return None
        title = nest.title if len(rest.nodes) > 1 else "copy"
        begin = Nest(nest.outer, (rest._replace(inner=stage.inner),), title)
        return _Sum(store, -scale if node.op == "subtract" else scale, begin)
    return None


def _scale(stage: Stage, position: int, load: int) -> float | None:
    """By what number an operation multiplies what is loaded; None if it does anything else.

    Zero does not count, for BLAS does not look at what is multiplied with it.
    """
    if position == load:
        return 1.0
    node = stage.nodes[position]
    if node.op == "negative" and node.args[0] == load:
        return -1.0
    if node.op != "multiply" or load not in node.args:
        return None
    other: Node = stage.nodes[node.args[0] if node.args[1] == load else node.args[1]]
    if other.op != "constant" or not other.detail or not math.isfinite(other.detail):
        return None
    return float(other.detail)


def _is_dense(strides: tuple[int, ...], space: tuple[int, ...]) -> bool:
    """Whether a space is memory without gaps, in any order of its axes."""
    step = 1
    for stride, extent in sorted(zip(strides, space, strict=True)):
        if extent != 1:
            if stride != step:
                return False
            step *= extent
    return True
