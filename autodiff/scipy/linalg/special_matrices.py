"""Matrices put together from others."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.core.spec import spec_of
from autodiff.ops.operands import operands

__all__ = ["block_diag"]


def block_diag(*arrs: Any) -> Any:
    """Matrix with the given ones along its diagonal, and 0 elsewhere.

    Parameters
    ----------
    arrs : arrays or Tensors with at most two axes
        Numbers and vectors count as matrices with one row.

    Examples
    --------
    >>> import numpy as np
    >>> block_diag(np.ones((1, 2)), 3.0)
    array([[1., 1., 0.],
           [0., 0., 3.]])
    """
    if not arrs:
        return np.zeros((1, 0))
    blocks = operands(*arrs)
    for position, block in enumerate(blocks):
        if spec_of(block).ndim > 2:
            raise ValueError(
                f"block_diag: argument {position} has shape {spec_of(block).shape}; it must have "
                "at most two axes"
            )
    blocks = [np.atleast_2d(block) for block in blocks]
    widths = [spec_of(block).shape[1] for block in blocks]
    total, start, rows = sum(widths), 0, []
    for block, width in zip(blocks, widths, strict=True):
        rows.append(np.pad(block, ((0, 0), (start, total - start - width))))
        start += width
    return np.concatenate(rows)
