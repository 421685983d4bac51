"""``scipy.spatial.distance`` on arrays and Tensors.

Where two points coincide, the derivative of a distance that has a corner there is 0, as of
``np.linalg.norm``. Euclidean distances of all pairs take no more memory than the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.spatial.distance

from autodiff.core.dispatch import Box
from autodiff.core.spec import spec_of
from autodiff.ops.operands import holds_box, operand
from autodiff.scipy.spatial.differences import euclidean_pairs

__all__ = [
    "braycurtis",
    "canberra",
    "cdist",
    "chebyshev",
    "cityblock",
    "correlation",
    "cosine",
    "euclidean",
    "mahalanobis",
    "minkowski",
    "pdist",
    "seuclidean",
    "sqeuclidean",
    "squareform",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_distance: Any = scipy.spatial.distance


def boxed(*values: Any) -> bool:
    """Whether any of the values is, or holds, a Tensor: else SciPy's own code serves."""
    return any(isinstance(value, Box) or holds_box(value) for value in values)


def _points(function: str, x: Any, ndim: int) -> Any:
    x = operand(x)
    spec = spec_of(x)
    if spec.dtype.kind == "c":
        raise TypeError(f"{function}: points must be real, got {spec}")
    if spec.ndim != ndim:
        raise ValueError(f"{function}: {ndim} axes are needed, got shape {spec.shape}")
    return x if spec.dtype == np.float64 else x.astype(np.float64)


# --- metrics of vectors along the last axis -------------------------------------------------------


def _length(x: Any) -> Any:
    return np.linalg.norm(x, axis=-1)


def _weighted(x: Any, w: Any) -> Any:
    return x if w is None else x * w


def _euclidean(u: Any, v: Any, w: Any = None) -> Any:
    return _length(u - v if w is None else (u - v) * np.sqrt(w))


def _sqeuclidean(u: Any, v: Any, w: Any = None) -> Any:
    return np.sum(_weighted((u - v) ** 2, w), axis=-1)


def _cityblock(u: Any, v: Any, w: Any = None) -> Any:
    return np.sum(_weighted(np.abs(u - v), w), axis=-1)


def _chebyshev(u: Any, v: Any, w: Any = None) -> Any:
    gaps = np.abs(u - v)
    if w is not None:
        gaps = np.where(operand(w) > 0, gaps, 0.0)
    return np.max(gaps, axis=-1)


def _minkowski(u: Any, v: Any, p: Any = 2, w: Any = None) -> Any:
    if boxed(p):
        raise TypeError("minkowski: there is no derivative by p; pass a number")
    if not p > 0:
        raise ValueError(f"minkowski: p must be positive, got {p}")
    if p == 1:
        return _cityblock(u, v, w)
    if p == 2:
        return _euclidean(u, v, w)
    if math.isinf(p):
        return _chebyshev(u, v, w)
    gaps = np.abs(u - v)
    # Powers below 2 have a corner at 0, where the derivative is that of a norm: 0
    same = gaps == 0
    powers = np.where(same, 0.0, np.where(same, 1.0, gaps) ** p)
    total = np.sum(_weighted(powers, w), axis=-1)
    equal = total == 0
    return np.where(equal, 0.0, np.where(equal, 1.0, total) ** (1.0 / p))


def _seuclidean(u: Any, v: Any, V: Any) -> Any:
    return _length((u - v) / np.sqrt(V))


def _mahalanobis(u: Any, v: Any, VI: Any) -> Any:
    gaps = u - v
    square = np.sum((gaps @ VI) * gaps, axis=-1)
    same = square == 0
    return np.where(same, 0.0, np.sqrt(np.where(same, 1.0, square)))


def _correlation(u: Any, v: Any, w: Any = None, centered: bool = True) -> Any:
    w = 1.0 / spec_of(u).shape[-1] if w is None else w / np.sum(w)
    if centered:
        u = u - np.sum(u * w, axis=-1, keepdims=True)
        v = v - np.sum(v * w, axis=-1, keepdims=True)
    product = np.sum(u * v * w, axis=-1)
    lengths = np.sqrt(np.sum(u * u * w, axis=-1) * np.sum(v * v * w, axis=-1))
    return np.clip(1.0 - product / lengths, 0.0, 2.0)


def _cosine(u: Any, v: Any, w: Any = None) -> Any:
    return _correlation(u, v, w, centered=False)


def _canberra(u: Any, v: Any, w: Any = None) -> Any:
    sizes = np.abs(u) + np.abs(v)
    empty = sizes == 0
    shares = np.where(empty, 0.0, np.abs(u - v) / np.where(empty, 1.0, sizes))
    return np.sum(_weighted(shares, w), axis=-1)


def _braycurtis(u: Any, v: Any, w: Any = None) -> Any:
    gaps, sums = np.abs(u - v), np.abs(u + v)
    return np.sum(_weighted(gaps, w), axis=-1) / np.sum(_weighted(sums, w), axis=-1)


_METRICS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "euclidean": (_euclidean, ("w",)),
    "sqeuclidean": (_sqeuclidean, ("w",)),
    "cityblock": (_cityblock, ("w",)),
    "chebyshev": (_chebyshev, ("w",)),
    "minkowski": (_minkowski, ("p", "w")),
    "seuclidean": (_seuclidean, ("V",)),
    "mahalanobis": (_mahalanobis, ("VI",)),
    "correlation": (_correlation, ("w",)),
    "cosine": (_cosine, ("w",)),
    "canberra": (_canberra, ("w",)),
    "braycurtis": (_braycurtis, ("w",)),
}
_SHORT = {
    **dict.fromkeys(("euclid", "eu", "e"), "euclidean"),
    **dict.fromkeys(("sqe", "sqeuclid"), "sqeuclidean"),
    **dict.fromkeys(("cblock", "cb", "c", "manhattan"), "cityblock"),
    **dict.fromkeys(("cheby", "cheb", "ch", "chebychev"), "chebyshev"),
    **dict.fromkeys(("mi", "m", "pnorm"), "minkowski"),
    **dict.fromkeys(("se", "s"), "seuclidean"),
    **dict.fromkeys(("mahal", "mah"), "mahalanobis"),
    **dict.fromkeys(("co",), "correlation"),
    **dict.fromkeys(("cos",), "cosine"),
}


def _chosen(function: str, metric: Any, out: Any, given: dict[str, Any]) -> tuple[str, Any]:
    """Name and function of a metric; its parameters and `out` checked."""
    if out is not None:
        raise TypeError(f"{function}: out cannot be given for Tensors, which are not written into")
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", repr(metric))
    name = _SHORT.get(name.lower(), name.lower())
    if name not in _METRICS:
        raise ValueError(
            f"{function}: metric {metric!r} has no derivative here; those that have are "
            f"{', '.join(_METRICS)}"
        )
    measure, allowed = _METRICS[name]
    for keyword in given:
        if keyword not in allowed:
            raise TypeError(f"{function}: metric {name!r} takes no {keyword!r}, only {allowed}")
    return name, measure


def _completed(function: str, name: str, given: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Parameters that follow from the points where they are not given."""
    given = {key: value for key, value in given.items() if value is not None}
    if name == "seuclidean" and "V" not in given:
        given["V"] = np.var(rows, axis=0, ddof=1)
    if name == "mahalanobis" and "VI" not in given:
        count, width = spec_of(rows).shape
        if count <= width:
            raise ValueError(
                f"{function}: {count} points in {width} dimensions have a singular covariance; "
                "give VI"
            )
        given["VI"] = np.linalg.inv(np.cov(rows.T)).T
    return given


def cdist(XA: Any, XB: Any, metric: Any = "euclidean", *, out: Any = None, **kwargs: Any) -> Any:
    """Distance of each of one set of points from each of another.

    Differentiable by the points and by the parameters of metrics (`w`, `V`, `VI`, not `p`).

    Parameters
    ----------
    XA, XB : arrays or Tensors, shapes (m, n) and (k, n)
    metric : str
        "euclidean", "sqeuclidean", "cityblock", "chebyshev", "minkowski", "seuclidean",
        "mahalanobis", "correlation", "cosine", "canberra" or "braycurtis".
    out : refused for Tensors
    **kwargs : parameters of the metric

    Returns
    -------
    array or Tensor, shape (m, k)

    Raises
    ------
    TypeError
        The metric has no such parameter, or points are complex.
    ValueError
        Shapes do not fit, or the metric has no derivative.

    Examples
    --------
    >>> import autodiff as ad
    >>> points = np.array([[0.0, 3.0], [4.0, 0.0]])
    >>> ad.grad(lambda x: np.sum(cdist(x, np.zeros((1, 2)))))(points)
    array([[0., 1.],
           [1., 0.]])
    """
    if not boxed(XA, XB, *kwargs.values()):
        return scipy_distance.cdist(XA, XB, metric, out=out, **kwargs)
    name, measure = _chosen("cdist", metric, out, kwargs)
    a, b = _points("cdist", XA, 2), _points("cdist", XB, 2)
    if spec_of(a).shape[1] != spec_of(b).shape[1]:
        raise ValueError(
            f"cdist: points in {spec_of(a).shape[1]} and {spec_of(b).shape[1]} dimensions"
        )
    if name == "euclidean" and kwargs.get("w") is None:
        return euclidean_pairs(a, b)
    needs_rows = name in ("seuclidean", "mahalanobis")
    rows = np.concatenate([a, b]) if needs_rows else a
    return measure(a[:, None, :], b[None, :, :], **_completed("cdist", name, kwargs, rows))


def pdist(X: Any, metric: Any = "euclidean", *, out: Any = None, **kwargs: Any) -> Any:
    """Distance of each pair of points: (0, 1), (0, 2), ..., (1, 2), ...

    Parameters
    ----------
    X : array or Tensor, shape (m, n)
    metric, out, kwargs : as of `cdist`

    Returns
    -------
    array or Tensor, shape (m (m - 1) / 2,)

    Raises
    ------
    TypeError, ValueError
        As `cdist`.

    Examples
    --------
    >>> pdist(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]]))
    array([5., 4., 3.])
    """
    if not boxed(X, *kwargs.values()):
        return scipy_distance.pdist(X, metric, out=out, **kwargs)
    name, measure = _chosen("pdist", metric, out, kwargs)
    x = _points("pdist", X, 2)
    first, second = np.triu_indices(spec_of(x).shape[0], 1)
    if name == "euclidean" and kwargs.get("w") is None:
        return euclidean_pairs(x, x)[first, second]
    return measure(x[first], x[second], **_completed("pdist", name, kwargs, x))


def squareform(X: Any, force: str = "no", checks: bool = True) -> Any:
    """Turn distances of pairs into a symmetric matrix, or such a matrix into them.

    Parameters
    ----------
    X : array or Tensor, shape (m (m - 1) / 2,) or (m, m)
    force : "no", "tovector" or "tomatrix"
    checks : bool
        Whether to look that a matrix is symmetric, with zeros on its diagonal.

    Raises
    ------
    ValueError
        The shape is none of the two, or a check fails.

    Examples
    --------
    >>> squareform(np.array([1.0, 2.0, 3.0]))
    array([[0., 1., 2.],
           [1., 0., 3.],
           [2., 3., 0.]])
    """
    if not boxed(X):
        return scipy_distance.squareform(X, force, checks)
    x = operand(X)
    shape = spec_of(x).shape
    if len(shape) not in (1, 2):
        raise ValueError(f"squareform: one or two axes are needed, got shape {shape}")
    wanted = {"tomatrix": 1, "tovector": 2}.get(force.lower(), len(shape))
    if len(shape) != wanted:
        raise ValueError(f"squareform: force={force!r} of shape {shape}")
    if len(shape) == 1:
        m = math.ceil(math.sqrt(2 * shape[0])) or 1
        if m * (m - 1) != 2 * shape[0]:
            raise ValueError(f"squareform: {shape[0]} distances are not those of all pairs")
        first, second = np.triu_indices(m, 1)
        places = np.zeros((m, m), np.intp)
        places[first, second] = places[second, first] = np.arange(shape[0]) + 1
        return np.concatenate([np.zeros(1, spec_of(x).dtype), x])[places]
    if shape[0] != shape[1]:
        raise ValueError(f"squareform: the matrix is not square: {shape}")
    if checks:
        value = x
        while isinstance(value, Box):
            value = value._value
        if not np.allclose(value, np.swapaxes(value, -1, -2), rtol=0, atol=1e-8):
            raise ValueError("squareform: the matrix is not symmetric")
        if np.any(np.diagonal(value, axis1=-2, axis2=-1) != 0):
            raise ValueError("squareform: the diagonal is not zero")
    first, second = np.triu_indices(shape[0], 1)
    return x[first, second]


def _of_vectors(name: str, signature: tuple[str, ...], required: bool = False) -> Any:
    """SciPy's function of two vectors."""
    measure = _METRICS[name][0]

    def function(u: Any, v: Any, *rest: Any, **given: Any) -> Any:
        options = dict(zip(signature, rest, strict=False))
        options.update(given)
        if not boxed(u, v, *options.values()):
            return getattr(scipy_distance, name)(u, v, **options)
        unknown = options.keys() - set(signature)
        if unknown or len(rest) > len(signature):
            raise TypeError(f"{name}: takes u, v and {signature}, got {sorted(options)}")
        if required and signature[0] not in options:
            raise TypeError(f"{name}: {signature[0]} is missing")
        u, v = _points(name, u, 1), _points(name, v, 1)
        if spec_of(u).shape != spec_of(v).shape:
            raise ValueError(f"{name}: vectors of shapes {spec_of(u).shape}, {spec_of(v).shape}")
        return measure(u, v, **{key: value for key, value in options.items() if value is not None})

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"``scipy.spatial.distance.{name}(u, v, {', '.join(signature)})`` of two vectors.\n\n"
        "    Raises\n    ------\n    TypeError, ValueError\n"
        "        Vectors are complex, or their shapes differ.\n    "
    )
    return function


euclidean = _of_vectors("euclidean", ("w",))
sqeuclidean = _of_vectors("sqeuclidean", ("w",))
cityblock = _of_vectors("cityblock", ("w",))
chebyshev = _of_vectors("chebyshev", ("w",))
minkowski = _of_vectors("minkowski", ("p", "w"))
seuclidean = _of_vectors("seuclidean", ("V",), required=True)
mahalanobis = _of_vectors("mahalanobis", ("VI",), required=True)
correlation = _of_vectors("correlation", ("w", "centered"))
cosine = _of_vectors("cosine", ("w",))
canberra = _of_vectors("canberra", ("w",))
braycurtis = _of_vectors("braycurtis", ("w",))
