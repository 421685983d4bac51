"""How much work a program is, in scalar operations."""

from __future__ import annotations

from math import prod

from autodiff.compiler.kernels import Kernels, Loop, Nest, Step

__all__ = ["RELEASES", "of", "of_step"]

RELEASES = 20_000
"""Operations from which on other threads of Python run meanwhile: some microseconds."""


def of(kernels: Kernels) -> int:
    """Scalar operations of a program."""
    return sum(map(of_step, kernels.steps))


def of_step(step: Step) -> int:
    """Scalar operations of a step."""
    if isinstance(step, Loop):
        return step.count * sum(map(of_step, step.steps))
    if isinstance(step, Nest):
        inner = sum(prod(stage.inner) * len(stage.nodes) for stage in step.stages)
        return prod(step.outer) * inner
    return prod(step.batch) * step.m * step.n * step.k
