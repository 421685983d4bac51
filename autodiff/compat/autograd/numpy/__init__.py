"""NumPy's names, as HIPS/autograd has them: ``import autodiff.compat.autograd.numpy as np``."""

from __future__ import annotations

import numpy as _np

from autodiff.compat.autograd.numpy import (
    fft as fft,
)
from autodiff.compat.autograd.numpy import (
    linalg as linalg,
)
from autodiff.compat.autograd.numpy import (
    numpy_boxes as numpy_boxes,
)
from autodiff.compat.autograd.numpy import (
    numpy_jvps as numpy_jvps,
)
from autodiff.compat.autograd.numpy import (
    numpy_vjps as numpy_vjps,
)
from autodiff.compat.autograd.numpy import (
    numpy_vspaces as numpy_vspaces,
)
from autodiff.compat.autograd.numpy import (
    numpy_wrapper,
)
from autodiff.compat.autograd.numpy import (
    random as random,
)
from autodiff.compat.autograd.on_demand import on_demand

__version__ = _np.__version__

__all__ = list(_np.__all__)

__getattr__, __dir__ = on_demand(globals(), _np, numpy_wrapper.lookup)
