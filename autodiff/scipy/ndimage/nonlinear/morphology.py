"""Grey morphology: flat, it chooses among neighbours; with a structure, among sums with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import as_numpy
from autodiff.core.spec import spec_of
from autodiff.ops.operands import along, operands, plain
from autodiff.scipy.ndimage.boundaries import MODES, sources
from autodiff.scipy.ndimage.correlation import scipy_ndimage
from autodiff.scipy.ndimage.filters import (
    axes_of,
    boxed,
    checked_origin,
    image_of,
    refuse_output,
    several,
    with_axes,
)
from autodiff.scipy.ndimage.nonlinear.ranks import chosen_by

__all__ = [
    "black_tophat",
    "grey_closing",
    "grey_dilation",
    "grey_erosion",
    "grey_opening",
    "morphological_gradient",
    "morphological_laplace",
    "white_tophat",
]


def _flat_or_not(
    name: str,
    input: Any,
    size: Any,
    footprint: Any,
    structure: Any,
    output: Any,
    mode: Any,
    cval: Any,
    origin: Any,
    axes: Any,
) -> Any:
    """Erosion or dilation, of arrays or Tensors."""
    settings = {"size": size, "footprint": footprint, "mode": mode, "origin": origin}
    if structure is None:
        return chosen_by(name, input, output, cval, axes, **settings)
    if not boxed(input, cval, structure):
        return getattr(scipy_ndimage, name)(
            input,
            structure=structure,
            output=output,
            cval=cval,
            **settings,
            **with_axes(axes),
        )
    refuse_output(name, output)
    return _with_structure(name, input, footprint, structure, mode, cval, origin, axes)


def _with_structure(
    name: str,
    input: Any,
    footprint: Any,
    structure: Any,
    mode: Any,
    cval: Any,
    origin: Any,
    axes: Any,
) -> Any:
    """Extreme of the neighbours less (for a dilation, plus) the structure."""
    x, s, cval = operands(input, structure, cval)
    x = image_of(x)
    shape, dtype = spec_of(x).shape, spec_of(x).dtype
    if dtype.kind == "c":
        raise TypeError(f"{name}: complex numbers have no order")
    over = axes_of(axes, len(shape), name)
    widths = spec_of(s).shape
    if len(widths) != len(over):
        raise RuntimeError(f"{name}: a structure of shape {widths} over {len(over)} axes")
    if mode not in MODES:
        raise ValueError(f"{name}: mode must be one of {tuple(MODES)}, got {mode!r}")
    origins = [
        checked_origin(name, o, k)
        for o, k in zip(several(origin, len(over), name, "origin"), widths, strict=True)
    ]
    dilates = name == "grey_dilation"
    if dilates:
        s = np.flip(s)
        origins = [-o - (1 - k % 2) for o, k in zip(origins, widths, strict=True)]
    used = np.ones(widths, bool)
    if footprint is not None:
        used = as_numpy(plain(footprint, name)).astype(bool)
        used = np.flip(used) if dilates else used
    places = []
    for offsets in np.argwhere(used):
        where, inside = np.arange(int(np.prod(shape))).reshape(shape), np.ones(shape, bool)
        for axis, offset, k, o in zip(over, offsets, widths, origins, strict=True):
            own = sources(np.arange(shape[axis]) + offset - k // 2 - o, shape[axis], MODES[mode])
            where = where[along(axis, np.maximum(own, 0))]
            inside = inside & (own >= 0).reshape((-1,) + (1,) * (len(shape) - axis - 1))
        places.append(np.where(inside, where, int(np.prod(shape))))
    flat = np.concatenate([np.reshape(x, (-1,)), np.reshape(cval, (1,)).astype(dtype)])
    weights = np.reshape(s[used].astype(dtype), (-1,) + (1,) * len(shape))
    near = flat[np.stack(places)]
    return np.max(near + weights, axis=0) if dilates else np.min(near - weights, axis=0)


def grey_erosion(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Smallest of the neighbours, less a structure's value at each of them.

    Parameters
    ----------
    input : array or Tensor
    size : int, or one for each axis
        Of the neighbourhood; or `footprint` says which neighbours count.
    footprint : array of bool, optional
    structure : array or Tensor, optional
        What the neighbours are lessened by; without it, the derivative goes to the element that is
        chosen, with it, equal ones share it.
    output : refused for Tensors
    mode : str
        What is beyond the edge: "reflect", "constant", "nearest", "mirror", "wrap" or "grid-...".
    cval : number or Tensor
        What is there for "constant".
    origin : int, or one for each axis
    axes : int, sequence of int or None

    Raises
    ------
    TypeError
        The image is complex, or what must be a constant is a Tensor.
    RuntimeError, ValueError
        As SciPy's: there is no such mode, or the sizes do not fit.

    Examples
    --------
    >>> grey_erosion(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([1., 1., 1., 2.])
    """
    return _flat_or_not(
        "grey_erosion", input, size, footprint, structure, output, mode, cval, origin, axes
    )


def grey_dilation(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Largest of the neighbours, plus a structure's value; as `grey_erosion`.

    Examples
    --------
    >>> grey_dilation(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([3., 3., 5., 5.])
    """
    return _flat_or_not(
        "grey_dilation", input, size, footprint, structure, output, mode, cval, origin, axes
    )


def _in_turn(
    name: str,
    first: Callable[..., Any],
    second: Callable[..., Any],
    input: Any,
    given: tuple[Any, ...],
    axes: Any,
) -> Any:
    """One operation after the other, of Tensors; of plain arrays SciPy's function of the name."""
    size, footprint, structure, output, mode, cval, origin = given
    if not boxed(input, structure, cval):
        return getattr(scipy_ndimage, name)(input, *given, **with_axes(axes))
    refuse_output(name, output)
    alike = (size, footprint, structure, None, mode, cval, origin)
    return second(first(input, *alike, axes=axes), *alike, axes=axes)


def grey_opening(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Erosion, then dilation, which removes what is small and bright; as `grey_erosion`.

    Examples
    --------
    >>> grey_opening(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([1., 1., 2., 2.])
    """
    given = (size, footprint, structure, output, mode, cval, origin)
    return _in_turn("grey_opening", grey_erosion, grey_dilation, input, given, axes)


def grey_closing(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Dilation, then erosion, which fills what is small and dark; as `grey_erosion`.

    Examples
    --------
    >>> grey_closing(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([3., 3., 3., 5.])
    """
    given = (size, footprint, structure, output, mode, cval, origin)
    return _in_turn("grey_closing", grey_dilation, grey_erosion, input, given, axes)


def morphological_gradient(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Dilation less erosion; as `grey_erosion`.

    Examples
    --------
    >>> morphological_gradient(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([2., 2., 4., 3.])
    """
    given: tuple[Any, ...] = (size, footprint, structure, None, mode, cval, origin)
    if not boxed(input, structure, cval):
        return scipy_ndimage.morphological_gradient(
            input, size, footprint, structure, output, mode, cval, origin, **with_axes(axes)
        )
    refuse_output("morphological_gradient", output)
    dilated = grey_dilation(input, *given, axes=axes)
    return dilated - grey_erosion(input, *given, axes=axes)


def morphological_laplace(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """Dilation plus erosion, less twice the image; as `grey_erosion`.

    Examples
    --------
    >>> morphological_laplace(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([-2.,  2.,  2., -3.])
    """
    given: tuple[Any, ...] = (size, footprint, structure, None, mode, cval, origin)
    if not boxed(input, structure, cval):
        return scipy_ndimage.morphological_laplace(
            input, size, footprint, structure, output, mode, cval, origin, **with_axes(axes)
        )
    refuse_output("morphological_laplace", output)
    both = grey_dilation(input, *given, axes=axes) + grey_erosion(input, *given, axes=axes)
    return both - 2.0 * image_of(input)


def white_tophat(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """The image less its opening; as `grey_erosion`.

    Examples
    --------
    >>> white_tophat(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([2., 0., 0., 3.])
    """
    given: tuple[Any, ...] = (size, footprint, structure, None, mode, cval, origin)
    if not boxed(input, structure, cval):
        return scipy_ndimage.white_tophat(
            input, size, footprint, structure, output, mode, cval, origin, **with_axes(axes)
        )
    refuse_output("white_tophat", output)
    return image_of(input) - grey_opening(input, *given, axes=axes)


def black_tophat(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Any:
    """The closing less the image; as `grey_erosion`.

    Examples
    --------
    >>> black_tophat(np.array([3.0, 1.0, 2.0, 5.0]), size=3)
    array([0., 2., 1., 0.])
    """
    given: tuple[Any, ...] = (size, footprint, structure, None, mode, cval, origin)
    if not boxed(input, structure, cval):
        return scipy_ndimage.black_tophat(
            input, size, footprint, structure, output, mode, cval, origin, **with_axes(axes)
        )
    refuse_output("black_tophat", output)
    return grey_closing(input, *given, axes=axes) - image_of(input)
