"""NumPy's names, as HIPS/autograd has them: ``import autodiff.compat.autograd.numpy as np``."""

from __future__ import annotations

import numpy as _np

from autodiff.compat.autograd.numpy import (
    fft,
    linalg,
    numpy_boxes,
    numpy_jvps,
    numpy_vjps,
    numpy_vspaces,
    numpy_wrapper,
    random,
)
from autodiff.compat.autograd.on_demand import on_demand

__version__ = _np.__version__

__all__ = list(_np.__all__)

_MODULES = (fft, linalg, numpy_boxes, numpy_jvps, numpy_vjps, numpy_vspaces, numpy_wrapper, random)


__getattr__, __dir__ = on_demand(globals(), _np, numpy_wrapper.lookup)
