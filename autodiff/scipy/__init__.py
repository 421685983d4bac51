"""SciPy's names on arrays and Tensors: `special`, `stats`, `linalg`, `signal`, and others.

Needs SciPy, the extra ``scipy`` of this package; ``import autodiff`` alone does not import it.
Importing this package also teaches SciPy's own ufuncs about Tensors: afterwards
``scipy.special.erf(tensor)`` is the same as ``autodiff.scipy.special.erf(tensor)``. The functions
of SciPy's other packages are no ufuncs, so NumPy's protocols do not reach them: they must be called
from here. Packages other than `special` are loaded when first used: SciPy's own take a second.

>>> import autodiff as ad
>>> from autodiff.scipy import special
>>> ad.grad(special.ndtr)(0.0)
np.float64(0.3989422804014327)
"""

from importlib import import_module
from types import ModuleType

try:
    import scipy
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'autodiff.scipy needs SciPy, which is not installed: pip install "autodiff[scipy]"',
        name="scipy",
    ) from error

from autodiff.scipy import special

LAZY = (
    *("fft", "integrate", "interpolate", "linalg", "ndimage", "optimize", "signal", "sparse"),
    *("spatial", "stats"),
)
"""Packages that are loaded when first used."""

__all__ = [
    "fft",
    "integrate",
    "interpolate",
    "linalg",
    "ndimage",
    "optimize",
    "signal",
    "sparse",
    "spatial",
    "special",
    "stats",
]

del scipy


def __getattr__(name: str) -> ModuleType:
    if name in LAZY:
        return import_module(f"autodiff.scipy.{name}")
    raise AttributeError(f"module 'autodiff.scipy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *LAZY})
