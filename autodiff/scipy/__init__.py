"""SciPy's names on arrays and Tensors: `special`, `stats`, `linalg`, `signal`, `integrate`.

Needs SciPy, the extra ``scipy`` of this package; ``import autodiff`` alone does not import it.
Importing this package also teaches SciPy's own ufuncs about Tensors: afterwards
``scipy.special.erf(tensor)`` is the same as ``autodiff.scipy.special.erf(tensor)``. The functions
of ``scipy.linalg``, ``scipy.integrate`` and the others are no ufuncs, so NumPy's protocols do not
reach them: they must be called from here.

>>> import autodiff as ad
>>> from autodiff.scipy import special
>>> ad.grad(special.ndtr)(0.0)
np.float64(0.3989422804014327)
"""

try:
    import scipy
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'autodiff.scipy needs SciPy, which is not installed: pip install "autodiff[scipy]"',
        name="scipy",
    ) from error

from importlib import import_module as _import_module
from typing import Any as _Any

from autodiff.scipy import linalg, signal, special, stats

__all__ = ["integrate", "linalg", "signal", "special", "stats"]

del scipy

_LAZY = {"integrate"}
"""Packages that are loaded when they are first asked for."""


def __getattr__(name: str) -> _Any:
    if name in _LAZY:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
