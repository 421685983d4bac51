"""The keyword ``out``: results that are written into what the program gives for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.errors import NonDifferentiableError

__all__ = ["store"]


def store(function: str, out: Any, result: Any, *, stretch: bool = False) -> Any:
    """Write a result into `out`, and return that.

    Parameters
    ----------
    function : str
        Its name, for messages.
    out : Tensor, or an array for a result that is none
    result : Tensor or array
    stretch : bool
        Whether `out` may have more axes or longer ones, which the result then fills.

    Raises
    ------
    NonDifferentiableError
        `out` is an array and the result a Tensor.
    TypeError
        The result's dtype does not go into that of `out`.
    ValueError
        Nor does its shape.
    """
    if isinstance(result, Box) and not isinstance(out, Box):
        raise NonDifferentiableError(
            f"{function}: keyword 'out' is an array, which cannot hold a Tensor; use the returned "
            "Tensor (x = x + t for x += t), or make the array a Tensor first (np.zeros_like(t))"
        )
    own, spec = spec_of(out), spec_of(result)
    fits = np.broadcast_shapes(spec.shape, own.shape) if stretch else spec.shape
    if fits != own.shape:
        raise ValueError(
            f"{function}: out of shape {own.shape} cannot hold a result of shape {spec.shape}"
        )
    if not np.can_cast(spec.dtype, own.dtype, "same_kind"):
        raise TypeError(
            f"{function}: out of dtype {own.dtype} cannot hold a result of dtype {spec.dtype}"
        )
    out[...] = result
    return out
