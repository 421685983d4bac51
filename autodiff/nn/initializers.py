"""What weights start from.

An initialiser is a function of a ``numpy.random.Generator`` and a shape ``(inputs, outputs)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autodiff.core.arrays import as_array

__all__ = [
    "INITIALIZERS",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "initial_weight",
    "zeros",
]

Initializer = Callable[[np.random.Generator, tuple[int, int]], Any]


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Uniform in ±sqrt(6 / (inputs + outputs)): Glorot & Bengio 2010, eq. 16.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Numbers of inputs and outputs.

    Returns
    -------
    ndarray of float64, of this shape

    Raises
    ------
    ValueError
        A length is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> weight = nn.glorot_uniform(np.random.default_rng(0), (100, 50))
    >>> weight.shape, bool(np.abs(weight).max() <= 0.2)
    ((100, 50), True)
    """
    bound = np.sqrt(6.0 / max(1, sum(shape)))
    return rng.uniform(-bound, bound, shape)


def glorot_normal(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Normal of variance 2 / (inputs + outputs): Glorot & Bengio 2010, eq. 12.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Numbers of inputs and outputs.

    Returns
    -------
    ndarray of float64, of this shape

    Raises
    ------
    ValueError
        A length is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> weight = nn.glorot_normal(np.random.default_rng(0), (100, 100))
    >>> round(100 * weight.var(), 1)
    np.float64(1.0)
    """
    return rng.normal(0.0, np.sqrt(2.0 / max(1, sum(shape))), shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Normal of variance 2 / inputs: He, Zhang, Ren & Sun 2015, eq. 10.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Numbers of inputs and outputs.

    Returns
    -------
    ndarray of float64, of this shape

    Raises
    ------
    ValueError
        A length is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> weight = nn.he_normal(np.random.default_rng(0), (100, 100))
    >>> round(100 * weight.var(), 1)
    np.float64(2.0)
    """
    return rng.normal(0.0, np.sqrt(2.0 / max(1, shape[0])), shape)


def he_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Uniform of variance 2 / inputs, in ±sqrt(6 / inputs): He, Zhang, Ren & Sun 2015, eq. 10.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Numbers of inputs and outputs.

    Returns
    -------
    ndarray of float64, of this shape

    Raises
    ------
    ValueError
        A length is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> weight = nn.he_uniform(np.random.default_rng(0), (150, 50))
    >>> weight.shape, bool(np.abs(weight).max() <= 0.2)
    ((150, 50), True)
    """
    bound = np.sqrt(6.0 / max(1, shape[0]))
    return rng.uniform(-bound, bound, shape)


def zeros(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Zeros."""
    return np.zeros(shape)


INITIALIZERS: dict[str, Initializer] = {
    function.__name__: function
    for function in (glorot_normal, glorot_uniform, he_normal, he_uniform, zeros)
}
"""The initialisers that layers know by name."""


def initial_weight(
    init: str | Initializer,
    rng: np.random.Generator,
    shape: tuple[int, int],
    dtype: Any,
    like: Any = None,
) -> Any:
    """Draw a weight matrix, of the library of `like`: of one seed the same numbers in all.

    Raises
    ------
    ValueError
        The name is not known, or a function returned another shape.
    """
    if isinstance(init, str):
        if init not in INITIALIZERS:
            raise ValueError(
                f"unknown initializer {init!r}; the known ones are {', '.join(INITIALIZERS)}, "
                "or pass a function of (rng, shape)"
            )
        init = INITIALIZERS[init]
    weight = as_array(init(rng, shape))
    if weight.shape != shape:
        raise ValueError(
            f"the initializer {getattr(init, '__name__', init)!r} returned shape {weight.shape} "
            f"where {shape} (inputs, outputs) was asked for"
        )
    return as_array(weight.astype(dtype), like=like)
