"""`numpy.linalg`, whose functions also take lists that hold Tensors."""

from __future__ import annotations

from typing import Any

import numpy as _np

from autodiff.compat.autograd.numpy.numpy_wrapper import taken_over
from autodiff.compat.autograd.on_demand import on_demand

__all__ = list(_np.linalg.__all__)


def _find(name: str) -> Any:
    return taken_over(getattr(_np.linalg, name), __name__)


__getattr__, __dir__ = on_demand(globals(), _np.linalg, _find)

for _name in __all__:  # packages take the names over from the module's dictionary
    globals()[_name] = _find(_name)
