"""SciPy's names on arrays and Tensors: `special`, `stats`, `linalg`, `signal` and `sparse`.

Needs SciPy, the extra ``scipy`` of this package; ``import autodiff`` alone does not import it.
Importing this package also teaches SciPy's own ufuncs about Tensors: afterwards
``scipy.special.erf(tensor)`` is the same as ``autodiff.scipy.special.erf(tensor)``. The functions
of SciPy's other subpackages are no ufuncs, so NumPy's protocols do not reach them: they must be
called from here.

>>> import autodiff as ad
>>> from autodiff.scipy import special
>>> ad.grad(special.ndtr)(0.0)
np.float64(0.3989422804014327)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import scipy
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'autodiff.scipy needs SciPy, which is not installed: pip install "autodiff[scipy]"',
        name="scipy",
    ) from error

from autodiff.scipy import linalg, signal, special, stats

if TYPE_CHECKING:
    from autodiff.scipy import sparse as sparse

__all__ = ["linalg", "signal", "sparse", "special", "stats"]

_LATER = ("sparse",)
"""Modules that are imported when first asked for: SciPy's own take their time."""

del scipy


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return import_module(f"autodiff.scipy.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
