"""``scipy.fft`` on arrays and Tensors.

The complex and real transforms are those of ``np.fft`` with SciPy's conventions; the cosine and
sine transforms are one linear primitive, whose transposes are transforms again: type 2 and type 3
of each other, types 1 and 4 of themselves (Makhoul, J. (1980), IEEE Trans. ASSP 28, 27-34).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft

from autodiff.core.arrays import as_array
from autodiff.core.declare import linear
from autodiff.core.dispatch import Box
from autodiff.core.spec import Spec, normalize_axes, spec_of
from autodiff.ops import structures
from autodiff.ops.operands import along, holds_box, operand
from autodiff.ops.reduce import batch_scan
from autodiff.ops.samples import cases

__all__ = [
    "dct",
    "dctn",
    "dst",
    "dstn",
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "idct",
    "idctn",
    "idst",
    "idstn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "next_fast_len",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

# Its stubs list overloads for known dtypes; here they are known when the program runs.
scipy_fft: Any = scipy.fft

fftfreq = scipy_fft.fftfreq
rfftfreq = scipy_fft.rfftfreq
next_fast_len = scipy_fft.next_fast_len


def _boxed(x: Any) -> bool:
    """Whether there is a Tensor: else SciPy's own code serves."""
    return isinstance(x, Box) or holds_box(x)


def _number(x: Any) -> Any:
    """Array or Tensor in a precision that SciPy transforms in: half becomes single."""
    x = operand(x)
    dtype = spec_of(x).dtype
    if dtype.kind not in "fc":
        return x.astype(np.float64)
    return x.astype(np.float32) if dtype == np.float16 else x


def _refuse(function: str, overwrite_x: bool, plan: Any) -> None:
    """Refuse a plan; memory of Tensors is never overwritten, whatever is allowed."""
    if plan is not None:
        raise NotImplementedError(f"{function}: there are no plans, got {plan!r}")


# --- Fourier transforms ---------------------------------------------------------------------------


def _one_axis(name: str) -> Callable[..., Any]:
    transform, known = getattr(np.fft, name), getattr(scipy_fft, name)

    def function(
        x: Any,
        n: int | None = None,
        axis: int = -1,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        plan: Any = None,
    ) -> Any:
        if not _boxed(x):
            return known(x, n, axis, norm, overwrite_x, workers, plan=plan)
        _refuse(name, overwrite_x, plan)
        return transform(_number(x), n, axis, norm)

    return _named(function, name, "(x, n=None, axis=-1, norm=None, ...)")


def _named(function: Callable[..., Any], name: str, signature: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"``scipy.fft.{name}{signature}`` of arrays and Tensors.\n\n"
        "    `overwrite_x` and `workers` change nothing for Tensors; a `plan` is refused.\n\n"
        "    Raises\n    ------\n    ValueError, TypeError\n"
        "        As SciPy: lengths, axes or `norm` do not fit, or a real transform of complex "
        "numbers.\n    "
    )
    return function


def _several_axes(name: str, is_2d: bool) -> Callable[..., Any]:
    transform, known = getattr(np.fft, name), getattr(scipy_fft, name)

    def function(
        x: Any,
        s: Any = None,
        axes: Any = (-2, -1) if is_2d else None,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        *,
        plan: Any = None,
    ) -> Any:
        if not _boxed(x):
            return known(x, s, axes, norm, overwrite_x, workers, plan=plan)
        _refuse(name, overwrite_x, plan)
        x = _number(x)
        if s is not None and axes is None:
            axes = range(-len(s), 0)
        axes = None if axes is None else tuple(np.atleast_1d(axes).tolist())
        return transform(x, s, axes, norm)

    return _named(function, name, "(x, s=None, axes=None, norm=None, ...)")


fft = _one_axis("fft")
ifft = _one_axis("ifft")
rfft = _one_axis("rfft")
irfft = _one_axis("irfft")
hfft = _one_axis("hfft")
ihfft = _one_axis("ihfft")
fft2 = _several_axes("fft2", True)
ifft2 = _several_axes("ifft2", True)
rfft2 = _several_axes("rfft2", True)
irfft2 = _several_axes("irfft2", True)
fftn = _several_axes("fftn", False)
ifftn = _several_axes("ifftn", False)
rfftn = _several_axes("rfftn", False)
irfftn = _several_axes("irfftn", False)


def fftshift(x: Any, axes: Any = None) -> Any:
    """Move frequency 0 to the middle.

    Examples
    --------
    >>> fftshift(np.arange(4.0))
    array([2., 3., 0., 1.])
    """
    return np.fft.fftshift(operand(x), axes)


def ifftshift(x: Any, axes: Any = None) -> Any:
    """Move frequency 0 back to the beginning.

    Examples
    --------
    >>> ifftshift(np.array([2.0, 3.0, 0.0, 1.0]))
    array([0., 1., 2., 3.])
    """
    return np.fft.ifftshift(operand(x), axes)


# --- cosine and sine transforms -------------------------------------------------------------------

_ROOT = 2.0**0.5
_INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}
_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _edge_scales(family: str, kind: int, n: int) -> tuple[Any, Any]:
    """What makes an orthogonal matrix of a transform: factors before it, factors after it."""
    before, after = np.ones(n), np.ones(n)
    edge = 0 if family == "dct" else -1
    if kind == 2:
        after[edge] /= _ROOT
    elif kind == 3:
        before[edge] *= _ROOT
    elif kind == 1 and family == "dct":
        before[[0, -1]] *= _ROOT
        after[[0, -1]] /= _ROOT
    return before, after


def _transpose(g: Any, family: str, kind: int, axis: int, norm: str, orthogonalize: bool) -> Any:
    """Transform back by the orthogonal matrix; without it, by that matrix between two diagonals."""
    options = {"family": family, "kind": _INVERSE[kind], "axis": axis, "norm": norm}
    if orthogonalize:
        return trigonometric(g, **options, orthogonalize=True)
    shape = g.shape
    before, after = (
        as_array(part, np.finfo(g.dtype).dtype).reshape((-1,) + (1,) * (len(shape) - axis - 1))
        for part in _edge_scales(family, kind, shape[axis])
    )
    return trigonometric(g / after, **options, orthogonalize=True) / before


def _cost(x_spec: Spec) -> int:
    return 5 * x_spec.size * max(x_spec.size, 1).bit_length()


@linear(
    transpose=_transpose,
    batch=batch_scan(lambda: trigonometric),
    cost=_cost,
    sample=cases(
        *(
            (
                ((2, 4),),
                {
                    "family": family,
                    "kind": kind,
                    "axis": 1,
                    "norm": norm,
                    "orthogonalize": orthogonalize,
                },
            )
            for family in ("dct", "dst")
            for kind, norm, orthogonalize in (
                (1, "backward", False),
                (2, "ortho", True),
                (2, "backward", False),
                (3, "forward", False),
                (4, "ortho", True),
            )
        )
    ),
    pattern=structures.along,
)
def trigonometric(
    x: Any, *, family: str, kind: int, axis: int, norm: str, orthogonalize: bool
) -> Any:
    """Cosine or sine transform (`family` "dct" or "dst") along an axis."""
    transform = getattr(scipy_fft, family)
    if x.dtype.kind == "c":  # SciPy's own way for these takes no notice of `orthogonalize`
        parts = [
            transform(part, kind, axis=axis, norm=norm, orthogonalize=orthogonalize)
            for part in (x.real, x.imag)
        ]
        return as_array(parts[0] + 1j * parts[1], x.dtype)
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    found = transform(wide, kind, axis=axis, norm=norm, orthogonalize=orthogonalize)
    return as_array(found, x.dtype)


def _resized(x: Any, n: Any, axis: int, function: str) -> Any:
    if n is None:
        return x
    n = operator.index(n)
    length = spec_of(x).shape[axis]
    if n < 1:
        raise ValueError(f"{function}: the number of points must be at least 1, got {n}")
    if n <= length:
        return x[along(axis, slice(n))]
    widths = [(0, 0)] * spec_of(x).ndim
    widths[axis] = (0, n - length)
    return np.pad(x, widths)


def _settings(function: str, kind: Any, norm: Any, orthogonalize: Any, inverse: bool) -> Any:
    norm = "backward" if norm is None else norm
    if kind not in _INVERSE:
        raise ValueError(f"{function}: type must be 1, 2, 3 or 4, got {kind!r}")
    if norm not in _SWAPPED:
        raise ValueError(f"{function}: norm must be 'backward', 'ortho' or 'forward', got {norm!r}")
    if orthogonalize is None:
        orthogonalize = norm == "ortho"
    if inverse:
        kind, norm = _INVERSE[kind], _SWAPPED[norm]
    return {"kind": int(kind), "norm": norm, "orthogonalize": bool(orthogonalize)}


def _cosines(name: str) -> Callable[..., Any]:
    known = getattr(scipy_fft, name)
    family, inverse = name[-3:], name.startswith("i")

    def function(
        x: Any,
        type: int = 2,
        n: int | None = None,
        axis: int = -1,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        orthogonalize: bool | None = None,
    ) -> Any:
        if not _boxed(x):
            return known(x, type, n, axis, norm, overwrite_x, workers, orthogonalize=orthogonalize)
        x = _number(x)
        settings = _settings(name, type, norm, orthogonalize, inverse)
        (place,) = normalize_axes(axis, spec_of(x).ndim, name)
        return trigonometric(_resized(x, n, place, name), family=family, axis=place, **settings)

    return _named(function, name, "(x, type=2, n=None, axis=-1, norm=None, ...)")


def _cosines_of_axes(name: str) -> Callable[..., Any]:
    known = getattr(scipy_fft, name)
    family, inverse = name[-4:-1], name.startswith("i")

    def function(
        x: Any,
        type: int = 2,
        s: Any = None,
        axes: Any = None,
        norm: str | None = None,
        overwrite_x: bool = False,
        workers: int | None = None,
        orthogonalize: bool | None = None,
    ) -> Any:
        if not _boxed(x):
            return known(x, type, s, axes, norm, overwrite_x, workers, orthogonalize=orthogonalize)
        x = _number(x)
        settings = _settings(name, type, norm, orthogonalize, inverse)
        lengths = None if s is None else np.atleast_1d(s).tolist()
        if axes is None and lengths is not None:
            axes = tuple(range(-len(lengths), 0))
        places = normalize_axes(axes, spec_of(x).ndim, name)
        if lengths is not None and len(lengths) != len(places):
            raise ValueError(f"{name}: s {s!r} and axes {axes!r} have different lengths")
        for i, place in enumerate(places):
            n = None if lengths is None or lengths[i] == -1 else lengths[i]
            x = trigonometric(_resized(x, n, place, name), family=family, axis=place, **settings)
        return x

    return _named(function, name, "(x, type=2, s=None, axes=None, norm=None, ...)")


dct = _cosines("dct")
idct = _cosines("idct")
dst = _cosines("dst")
idst = _cosines("idst")
dctn = _cosines_of_axes("dctn")
idctn = _cosines_of_axes("idctn")
dstn = _cosines_of_axes("dstn")
idstn = _cosines_of_axes("idstn")


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("fft", name)
