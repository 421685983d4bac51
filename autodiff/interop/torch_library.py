"""PyTorch's arrays and transforms, as the two ways across need them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import autodiff as ad
from autodiff.core import arrays, memory

__all__ = ["Torch", "device_of", "is_inexact", "to_array", "to_tensor"]

Flat = Callable[..., tuple[Any, ...]]
Split = Callable[..., tuple[tuple[Any, ...], tuple[Any, ...]]]
Values = Sequence[Any]


def is_inexact(tensor: Any) -> bool:
    """Whether a tensor can carry a derivative."""
    return bool(tensor.dtype.is_floating_point or tensor.dtype.is_complex)


def to_array(tensor: Any, who: str) -> Any:
    """Frozen array of its own memory with a tensor's numbers; the scalar of a 0-d tensor."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise TypeError(
            f"{who}: a tensor of layout {tensor.layout} is no array for NumPy; pass the dense one, "
            "x.to_dense() or x.dequantize()"
        )
    try:
        shared = tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
    except RuntimeError as error:
        if "Batching rule" in str(error):
            error.add_note(
                f"{who}: is_grads_batched and vectorize=True batch in a way of their own, which "
                "Python does not see; use torch.func.vmap, jacrev or jacfwd"
            )
        raise
    except TypeError:
        raise TypeError(
            f"{who}: NumPy has no {tensor.dtype}; pass x.float(), through which PyTorch "
            "differentiates"
        ) from None
    return arrays.scalar_form(memory.freeze(np.array(shared)))


def to_tensor(value: Any, device: Any, who: str) -> Any:
    """Tensor of its own memory with an array's numbers."""
    if isinstance(value, ad.Tensor):
        try:
            value = arrays.as_numpy(value)
        except TypeError:
            raise TypeError(
                f"{who}: the result depends on a Tensor from outside, and PyTorch would lose that "
                "derivative; pass it as an argument, or use its numbers, tensor.data"
            ) from None
    array = np.array(value, order="C")
    if array.dtype.kind in "fciub":
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    try:
        tensor = torch.from_numpy(array)
    except TypeError:
        raise TypeError(f"{who}: PyTorch has no tensors of dtype {array.dtype}") from None
    return tensor.to(device)


def device_of(tensors: Sequence[Any]) -> Any:
    """Where results go: the first device that is not the CPU, which goes with any other."""
    found = (tensor.device for tensor in tensors if tensor.device.type != "cpu")
    return next(found, torch.device("cpu"))


class Torch:
    """What `foreign` asks of a library."""

    conjugates = True
    """The gradient by z = x + iy is df/dx + i df/dy, the conjugate of this engine's."""

    def __init__(self, device: Any = None) -> None:
        self.device = torch.device("cpu" if device is None else device)

    def is_tensor(self, value: Any) -> bool:
        """Whether a value is one of the library's arrays."""
        return isinstance(value, torch.Tensor)

    def takes(self, value: Any, positional: bool) -> bool:
        """Whether a value that is no array becomes one: PyTorch's functions take no floats."""
        return positional and isinstance(value, (float, complex))

    def tensor(self, value: Any, who: str) -> Any:
        """Tensor with an array's numbers."""
        return to_tensor(value, self.device, who)

    def made(self, value: Any) -> Any:
        """Tensor of a number that the library's function returned."""
        return torch.as_tensor(np.array(value), device=self.device)

    def array(self, tensor: Any, who: str) -> Any:
        """Array with a tensor's numbers, which its owner may write to."""
        value = to_array(tensor, who)
        return np.array(value) if value.shape else value

    def is_inexact(self, tensor: Any) -> bool:
        """Whether a tensor can carry a derivative."""
        return is_inexact(tensor)

    def conj(self, tensor: Any) -> Any:
        """Conjugate of a tensor."""
        return torch.conj(tensor)

    def vjp(self, f: Split, xs: Values) -> tuple[Values, Callable[..., Any], Values]:
        """Outputs that carry derivatives, the pullback, the other outputs."""
        with torch.enable_grad():
            outs, pull, others = torch.func.vjp(f, *xs, has_aux=True)
        return outs, lambda gs: pull(tuple(gs)), others

    def jvp(self, f: Split, xs: Values, ts: Values) -> tuple[Values, Values, Values]:
        """Outputs that carry derivatives, their tangents, the other outputs."""
        try:
            outs, tangents, others = torch.func.jvp(f, tuple(xs), tuple(ts), has_aux=True)
        except (NotImplementedError, RuntimeError) as error:
            if "forward" not in str(error).lower():
                raise
            # An operation has no forward rule. A VJP is linear in its cotangents, and its VJP the
            # JVP.
            outs, pull, others = self.vjp(f, xs)
            arbitrary = tuple(map(torch.zeros_like, outs))
            _, push, _ = self.vjp(lambda *gs: (tuple(pull(gs)), ()), arbitrary)
            tangents = push(ts)
        return outs, tangents, others

    def vmap(self, f: Flat, axes: Sequence[int | None]) -> Flat:
        """Batched function."""
        batched: Flat = torch.func.vmap(f, in_dims=tuple(axes))
        return batched
