"""JAX's arrays and transforms, as the two ways across need them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from autodiff.core import arrays, memory

__all__ = ["Jax", "to_array"]

Flat = Callable[..., tuple[Any, ...]]
Split = Callable[..., tuple[tuple[Any, ...], tuple[Any, ...]]]
Values = Sequence[Any]


def to_array(x: Any, who: str) -> Any:
    """Read-only array with the numbers of one of JAX's; the scalar of a 0-d one."""
    array = arrays.as_numpy(x)
    if array.dtype.kind not in "fciub":
        raise TypeError(
            f"{who}: NumPy has no {x.dtype}; pass x.astype(jnp.float32), through which JAX "
            "differentiates"
        )
    return arrays.scalar_form(memory.read_only(array))


class Jax:
    """What `foreign` asks of a library."""

    conjugates = False

    def is_tensor(self, value: Any) -> bool:
        """Whether a value is one of the library's arrays."""
        return isinstance(value, jax.Array)

    def takes(self, value: Any, positional: bool) -> bool:
        """Whether a value that is no array becomes one: JAX takes numbers as they are."""
        return False

    def tensor(self, value: Any, who: str) -> Any:
        """Array of JAX with an array's numbers."""
        return jnp.array(arrays.as_numpy(value))

    def made(self, value: Any) -> Any:
        """Array of a number that the library's function returned."""
        return jnp.asarray(value)

    def array(self, tensor: Any, who: str) -> Any:
        """Array with the numbers, which its owner may write to."""
        value = to_array(tensor, who)
        return np.array(value) if value.shape else value

    def is_inexact(self, tensor: Any) -> bool:
        """Whether an array can carry a derivative."""
        return bool(jnp.issubdtype(tensor.dtype, jnp.inexact))

    def conj(self, tensor: Any) -> Any:
        """Conjugate of an array."""
        return jnp.conj(tensor)

    def vjp(self, f: Split, xs: Values) -> tuple[Values, Callable[..., Any], Values]:
        """Outputs that carry derivatives, the pullback, the other outputs."""
        outs, pull, others = jax.vjp(f, *xs, has_aux=True)
        return outs, lambda gs: pull(tuple(gs)), others

    def jvp(self, f: Split, xs: Values, ts: Values) -> tuple[Values, Values, Values]:
        """Outputs that carry derivatives, their tangents, the other outputs."""
        outs, tangents, others = jax.jvp(f, tuple(xs), tuple(ts), has_aux=True)
        return outs, tangents, others

    def vmap(self, f: Flat, axes: Sequence[int | None]) -> Flat:
        """Batched function."""
        batched: Flat = jax.vmap(f, in_axes=tuple(axes))
        return batched
