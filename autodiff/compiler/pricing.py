"""What kernels cost: operations and bytes, counted from their loops."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from autodiff.compiler.kernels import Kernels, Loop, Nest, Product, Step

__all__ = ["KernelCost", "kernel_costs"]

_FREE = frozenset({"load", "constant", "register", "index", "cast", "positive"})
"""Operations that compute nothing."""


class KernelCost(NamedTuple):
    """One kernel: what is fused into it, the space it loops over, what that takes.

    Attributes
    ----------
    title : str
        Names of the operations that it does.
    space : str
        As ``128 x (256)``: rows, and in parentheses the loop over each.
    flops : int
        Operations on numbers, of any kind.
    nbytes : int
        Bytes read and written, each access of a loop counted once per element.
    """

    title: str
    space: str
    flops: int
    nbytes: int

    def __str__(self) -> str:
        return f"{self.title:<48} {self.space:>16} {self.flops:>14,} flops {self.nbytes:>14,} B"


def kernel_costs(kernels: Kernels) -> list[KernelCost]:
    """Cost of each kernel, in order; a loop is one."""
    return [_cost(step, kernels) for step in kernels.steps]


def _cost(step: Step, kernels: Kernels) -> KernelCost:
    if isinstance(step, Loop):
        inside = [_cost(inner, kernels) for inner in step.steps]
        titles = "; ".join(dict.fromkeys(cost.title for cost in inside))
        title = f"{step.title} [{titles if len(titles) <= 60 else f'{len(inside)} kernels'}]"
        flops = step.count * sum(cost.flops for cost in inside)
        nbytes = step.count * sum(cost.nbytes for cost in inside)
        return KernelCost(title, f"{step.count} times", flops, nbytes)
    if isinstance(step, Product):
        times = math.prod(step.batch)
        size = kernels.buffers[step.out.buffer].dtype.itemsize
        elements = step.m * step.k + step.k * step.n + step.m * step.n
        space = f"{step.m}x{step.k}x{step.n}" + (f" {times} times" if times != 1 else "")
        flops = 2 * times * step.m * step.k * step.n
        return KernelCost(step.title, space, flops, times * elements * size)
    return _nest_cost(step, kernels)


def _nest_cost(nest: Nest, kernels: Kernels) -> KernelCost:
    rows = math.prod(nest.outer)
    flops = nbytes = 0
    for stage in nest.stages:
        times = rows * math.prod(stage.inner)
        flops += times * sum(node.op not in _FREE for node in stage.nodes)
        flops += times * len(stage.reductions)
        flops += times * sum(store.combine is not None for store in stage.stores)
        accesses = [n.detail for n in stage.nodes if n.op == "load"]
        accesses += [store.access for store in stage.stores]
        for access in accesses:
            # Along an axis that does not move it, an element is read once
            steps = zip((*nest.outer, *stage.inner), access.strides, strict=True)
            moved = math.prod(length for length, stride in steps if stride or access.extents)
            nbytes += moved * kernels.buffers[access.buffer].dtype.itemsize
    inner = max((stage.inner for stage in nest.stages), key=len)
    loops = f"({_times(inner)})" if inner else ""
    space = f"{_times(nest.outer)} x {loops}" if nest.outer else _times(inner)
    return KernelCost(nest.title, space or "1", flops, nbytes)


def _times(lengths: Iterable[int]) -> str:
    return "x".join(map(str, lengths))
