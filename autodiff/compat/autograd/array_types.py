"""Array types that packages bring along: subclasses of NumPy's, registered as what Tensors hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.arrays import ARRAY
from autodiff.core.dispatch import Box as EngineBox

__all__ = ["TypeMappings", "plain_array"]


class TypeMappings(dict[type, Callable[..., Any]]):
    """What boxes values of a type: ``Box.type_mappings[kind] = maker``."""

    def __setitem__(self, kind: type, maker: Callable[..., Any]) -> None:
        super().__setitem__(kind, maker)
        if issubclass(kind, ARRAY) and "__array_ufunc__" in vars(kind):
            _yield_to_tensors(kind)


def plain_array(value: Any) -> Any:
    """An array of NumPy's own type; other values as they are."""
    return value.view(ARRAY) if isinstance(value, ARRAY) and type(value) is not ARRAY else value


def _yield_to_tensors(kind: Any) -> None:
    """Let arrays of a type be plain ones where they meet a Tensor.

    HIPS/autograd's boxes take operators of such arrays over by their priority; a Tensor cannot,
    because it has ``__array_ufunc__`` as well, and NumPy asks that of the left operand first.
    """
    own = kind.__array_ufunc__

    def __array_ufunc__(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kw: Any) -> Any:
        if any(isinstance(x, EngineBox) for x in inputs):
            return getattr(ufunc, method)(*map(plain_array, inputs), **kw)
        return own(self, ufunc, method, *inputs, **kw)

    kind.__array_ufunc__ = __array_ufunc__
