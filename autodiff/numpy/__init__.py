"""NumPy's namespace, differentiable: ``import autodiff.numpy as np``.

Every name of ``numpy`` is here. NumPy itself hands functions that are called on Tensors to this
library, so most names are NumPy's own objects; here are in addition the functions that NumPy does
not hand over (``array``, ``asarray``, ``full``, ``vectorize``...), and those that join arrays also
take nested lists that hold Tensors.

Examples
--------
>>> import autodiff as ad
>>> import autodiff.numpy as np
>>> def determinant(angle):
...     return np.linalg.det(np.array([[np.cos(angle), 1.0], [2.0, np.sin(angle)]]))
>>> ad.grad(determinant)(0.0)
np.float64(1.0)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy

from autodiff.numpy import creation

__all__ = list(numpy.__all__)

_OWN_MODULES = ("fft", "linalg", "random")


def __getattr__(name: str) -> Any:
    """Look a name up in NumPy when it is first used, and keep it."""
    if name in _OWN_MODULES:
        return import_module(f"autodiff.numpy.{name}")
    if name.startswith("__") and name not in __all__:
        raise AttributeError(f"module 'autodiff.numpy' has no attribute {name!r}")
    value = creation.OVERRIDES.get(name)
    if value is None:
        value = getattr(numpy, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List NumPy's names."""
    return dir(numpy)
