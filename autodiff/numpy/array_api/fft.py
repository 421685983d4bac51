"""The standard's extension ``fft``: ``numpy.fft``, with frequencies of either float dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.fft
from numpy.fft import *  # noqa: F403  # the whole namespace, as NumPy defines it

from autodiff.numpy.array_api import constant

__all__ = list(numpy.fft.__all__)


def _frequencies(name: str) -> Callable[..., Any]:
    make = getattr(numpy.fft, name)

    def function(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
        frequencies = make(n, d=d, device=device)
        return constant(frequencies if dtype is None else frequencies.astype(dtype))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"``np.fft.{name}``, as a constant Tensor of any float dtype."
    return function


fftfreq = _frequencies("fftfreq")
rfftfreq = _frequencies("rfftfreq")
