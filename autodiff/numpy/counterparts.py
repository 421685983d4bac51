"""Functions that take Tensors in the place of some that do not, by name."""

from __future__ import annotations

import ast
import pkgutil
from functools import cache

import numpy as np

from autodiff.numpy.creation import OVERRIDES
from autodiff.ops.protocol import FUNCTIONS, UFUNCS, UNARY_UFUNCS

__all__ = ["counterpart"]

_NUMPYS = {
    "scipy.linalg": np.linalg,
    "scipy.fft": np.fft,
    "scipy.fftpack": np.fft,
    "scipy.integrate": np,
    "math": np,
    "cmath": np,
}
"""Where NumPy has functions of the same names that compute the same."""

_OTHER_NAMES = {
    "math.fabs": "np.abs",
    "math.fsum": "np.sum",
    "math.erf": "autodiff.scipy.special.erf",
    "math.erfc": "autodiff.scipy.special.erfc",
    "math.gamma": "autodiff.scipy.special.gamma",
    "math.lgamma": "autodiff.scipy.special.gammaln",
}

_SCIPYS = {
    "scipy.fft": "scipy/fft.py",
    "scipy.interpolate": "scipy/interpolate/__init__.py",
    "scipy.integrate": "scipy/integrate/__init__.py",
    "scipy.linalg": "scipy/linalg/__init__.py",
    "scipy.optimize": "scipy/optimize/__init__.py",
    "scipy.sparse": "scipy/sparse/__init__.py",
    "scipy.sparse.linalg": "scipy/sparse/linalg/__init__.py",
    "scipy.ndimage": "scipy/ndimage/__init__.py",
    "scipy.signal": "scipy/signal/__init__.py",
    "scipy.spatial.distance": "scipy/spatial/distance.py",
    "scipy.special": "scipy/special/__init__.py",
    "scipy.stats": "scipy/stats/__init__.py",
}

_DENSITIES = ("pdf", "logpdf")
_PROBABILITIES = ("cdf", "logcdf", "sf", "logsf")
_OF_ALL = (
    *(*_PROBABILITIES, "ppf", "isf", "rvs", "mean", "var", "std", "entropy", "median"),
    *("interval", "support", "moment", "stats"),
)
_OF_COUNTS = ("pmf", "logpmf", *_OF_ALL)
_METHODS = {
    "dirichlet": (*_DENSITIES, "rvs", "mean", "var", "cov", "entropy"),
    "multivariate_normal": (*_DENSITIES, "rvs", "entropy"),
    "gaussian_kde": _DENSITIES,
    **dict.fromkeys(
        (
            *("bernoulli", "betabinom", "binom", "geom", "hypergeom"),
            *("nbinom", "poisson", "randint", "zipf"),
        ),
        _OF_COUNTS,
    ),
}
_METHODS_OF_OTHERS = (*_DENSITIES, *_OF_ALL)


def counterpart(name: str) -> str | None:
    """Return the dotted name of a function that takes Tensors and computes the same, or None.

    Parameters
    ----------
    name : str
        Of a function of NumPy, SciPy or the standard library.

    Examples
    --------
    >>> counterpart("math.sin"), counterpart("numpy.array"), counterpart("scipy.optimize.brentq")
    ('np.sin', 'autodiff.numpy.array', 'autodiff.scipy.optimize.brentq')
    """
    module, _, function = name.rpartition(".")
    if module == "numpy":
        return f"autodiff.numpy.{function}" if function in OVERRIDES else None
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    if _is_in_scipy(name):
        return f"autodiff.{name}"
    place = _NUMPYS.get(module)
    if place is None:
        return None
    value = getattr(place, function, None)
    known = FUNCTIONS.keys() | UFUNCS.keys() | UNARY_UFUNCS.keys()
    return f"np{place.__name__[5:]}.{function}" if value in known else None


def _is_in_scipy(name: str) -> bool:
    """Whether `autodiff.scipy` has a function of this name, or a distribution this method."""
    module, _, last = name.rpartition(".")
    if last in _names_of(module):
        return True
    package, _, rest = name.removeprefix("scipy.").partition(".")
    function, _, method = rest.partition(".")
    if (package, function) == ("sparse", "linalg"):
        return method in _names_of("scipy.sparse.linalg")
    if function not in _names_of(f"scipy.{package}"):
        return False
    if package == "sparse":
        return not method
    return not method or method in _METHODS.get(function, _METHODS_OF_OTHERS)


@cache
def _names_of(module: str) -> frozenset[str]:
    """Names of a module of `autodiff.scipy` but for SciPy's own: read, not imported.

    Importing it teaches SciPy's ufuncs about Tensors, and an error message should change nothing.
    """
    source = pkgutil.get_data("autodiff", _SCIPYS[module]) if module in _SCIPYS else None
    names: set[str] = set()
    theirs: set[str] = set()
    for node in ast.parse(source or b"").body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scipy."):
            theirs.update(alias.name for alias in node.names)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = set(ast.literal_eval(node.value))
    return frozenset(names - theirs)
