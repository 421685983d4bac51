"""`numpy.random`: numbers that are drawn are constants."""

from __future__ import annotations

from typing import Any

import numpy as _np

from autodiff.compat.autograd.on_demand import on_demand

__all__ = list(_np.random.__all__)


def _find(name: str) -> Any:
    return getattr(_np.random, name)


__getattr__, __dir__ = on_demand(globals(), _np.random, _find)

for _name in __all__:  # packages take the names over from the module's dictionary
    globals()[_name] = _find(_name)
