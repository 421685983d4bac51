"""Functions of this engine as PyTorch's: one `torch.autograd.Function` for all of them.

Its backward pass and its tangents are the same Function of derived programs, so PyTorch
differentiates them in turn, and batches them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import get_proxy_mode

import autodiff as ad
from autodiff.interop.programs import Program, Root
from autodiff.interop.torch_library import device_of, is_inexact, to_array, to_tensor

__all__ = ["call"]


class Evaluation(torch.autograd.Function):
    """Evaluation of a program on tensors."""

    @staticmethod
    def forward(program: Program, wanted: tuple[bool, ...] | None, *tensors: Any) -> Any:
        """Outputs; where derivatives are `wanted`, what the sweep needs is kept."""
        if get_proxy_mode() is not None or torch.jit.is_tracing():
            raise TypeError(
                f"{program.name}: PyTorch is writing down its operations (make_fx, jit.trace, "
                "func.linearize), and what is computed here would be a constant for it; use "
                "torch.func.jvp for linearize, and trace around this function"
            )
        xs = [to_array(tensor, program.name) for tensor in tensors]
        outs = program(*xs) if wanted is None else program.recorded(xs, wanted)
        device = device_of(tensors)
        return tuple(to_tensor(out, device, program.name) for out in outs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        program, _, *tensors = inputs
        ctx.program = program
        ctx.inexact = tuple(map(is_inexact, output))
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*[out for out in output if not is_inexact(out)])
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *gs: Any) -> Any:
        tensors = ctx.saved_tensors
        active = tuple(ctx.needs_input_grad[2:])
        given = tuple(g is not None for g in gs)
        found: Any = [None] * len(tensors)
        if any(given) and any(active):
            derived = ctx.program.pulled(active, given)
            results = iter(apply(derived, *tensors, *[g for g in gs if g is not None]))
            found = [
                next(results).to(x.device) if flag else None
                for x, flag in zip(tensors, active, strict=True)
            ]
        return (None, None, *found)

    @staticmethod
    def jvp(ctx: Any, *given: Any) -> Any:
        ts = given[2:]
        active = tuple(t is not None for t in ts)
        derived = ctx.program.pushed(active, ctx.inexact)
        results = iter(apply(derived, *ctx.saved_tensors, *[t for t in ts if t is not None]))
        return tuple(next(results) if flag else None for flag in ctx.inexact)

    @staticmethod
    def vmap(info: Any, dims: Any, program: Program, wanted: Any, *tensors: Any) -> Any:
        dims = dims[2:]
        rows = [
            tensor if dim is None else tensor.movedim(dim, 0)
            for tensor, dim in zip(tensors, dims, strict=True)
        ]
        flags = tuple(dim is not None for dim in dims)
        outs = apply(program.batched(flags, info.batch_size), *rows)
        return outs, (0,) * len(outs)


def apply(program: Program, *tensors: Any) -> tuple[Any, ...]:
    """Evaluate a program; where PyTorch follows the tensors, keep what its sweep will need."""
    active = tuple(bool(tensor.requires_grad) and is_inexact(tensor) for tensor in tensors)
    wanted = active if torch.is_grad_enabled() and any(active) else None
    outs: tuple[Any, ...] = Evaluation.apply(program, wanted, *tensors)
    return outs


def call(f: Callable[..., Any], name: str, /, *args: Any, **keywords: Any) -> Any:
    """Evaluate a function of this engine on tensors and constants."""
    leaves, structure = ad.tree.flatten((args, keywords))
    slots = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    tensors = [leaves[i] for i in slots]
    for slot in slots:
        leaves[slot] = None
    program = Root(f, name, leaves, structure, slots, conjugate=True)
    outs = apply(program, *tensors)
    assert program.out is not None
    return ad.tree.unflatten(program.out[1], outs)
