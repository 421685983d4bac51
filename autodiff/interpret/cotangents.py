"""What travels in a backward sweep: cotangents, and the parts they are summed from.

Most cotangents are arrays (or boxes of an outer transform). Two rules would waste work if they
made arrays at once: indexing (an array of zeros per element read) and choosing one output of
several. They return parts, which the sweep collects and sums when it reaches the node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.core import arrays, memory
from autodiff.core.dispatch import Box, concrete
from autodiff.core.parts import Doubled, Erased, Scattered
from autodiff.core.spec import Shape, Spec
from autodiff.ops.elementwise import convert, equal, real, where
from autodiff.ops.index import add_at, assign, scatter
from autodiff.ops.shape import unbroadcast

__all__ = ["Parts", "Slot", "conform", "keep_zero", "materialised", "zeros"]


class Slot:
    """A cotangent for one output of a primitive that has several."""

    __slots__ = ("g", "position")

    def __init__(self, position: int, g: Any) -> None:
        self.position = position
        self.g = g


class Parts:
    """A cotangent being summed from parts (all `Scattered`, or all `Slot`), and whole arrays.

    The last of the whole ones may be `erased`: it is still to be set to zero at an index. What
    comes from squares of the value is `doubled`.
    """

    __slots__ = ("doubled", "erased", "parts", "whole")

    def __init__(self, whole: Any = None) -> None:
        self.parts: list[Any] = []
        self.whole = whole
        self.erased: Erased | None = None
        self.doubled: Doubled | None = None

    def add(self, part: Any) -> None:
        """Take in a part."""
        if type(part) is Doubled:
            former = self.doubled
            self.doubled = part if former is None else Doubled(former.g + part.g, part.value)
        elif type(part) is not Erased:
            self.parts.append(part)
        elif self.whole is None and self.erased is None:
            self.erased = part
        else:
            self.__add__(materialised(part))

    def __add__(self, cotangent: Any) -> Parts:
        """Take in a whole array too: a sweep adds what comes to what there is, whatever it is."""
        self._settle()
        self.whole = cotangent if self.whole is None else self.whole + cotangent
        return self

    def _settle(self) -> None:
        if self.erased is not None:
            self.whole, self.erased = materialised(self.erased), None

    def total(self, specs: Sequence[Spec] | None) -> Any:
        """Sum of everything collected: an array, or a tuple of arrays for several outputs."""
        if specs is not None:
            slots: list[Any] = [None] * len(specs)
            for part in self.parts:
                position = part.position
                former = slots[position]
                slots[position] = part.g if former is None else former + part.g
            return tuple(
                _nothing(spec, self.parts[0].g) if slot is None else slot
                for slot, spec in zip(slots, specs, strict=True)
            )
        self._settle()
        if not self.parts:
            return self.whole
        if self.whole is None:
            return _gathered(self.parts)
        whole, self.whole = self.whole, None
        if (
            type(whole) is not arrays.ARRAY
            or not memory.only_holder(whole, 1)
            or any(isinstance(part.g, Box) or part.g.dtype != whole.dtype for part in self.parts)
        ):
            return whole + _gathered(self.parts)
        for part in self.parts:
            add_at(whole, part.template, part.g)
        return whole


def _gathered(parts: Sequence[Scattered]) -> Any:
    """Sum scattered cotangents of one array."""
    shape, dtype = parts[0].shape, parts[0].dtype
    return scatter(
        *[part.g for part in parts],
        templates=tuple(part.template for part in parts),
        shape=shape,
        dtype=dtype,
    )


def materialised(cotangent: Any) -> Any:
    """Turn a cotangent that a rule left in parts into an array."""
    if isinstance(cotangent, Scattered):
        return _gathered([cotangent])
    if isinstance(cotangent, Doubled):
        return cotangent.g * (2 * cotangent.value)
    if isinstance(cotangent, Erased):
        g, cotangent.g = cotangent.g, None
        with memory.yielding([g] if memory.only_holder(g, 1) else []):
            return assign(g, arrays.zeros((), g.dtype, g), template=cotangent.template)
    return cotangent


def _nothing(spec: Spec, like: Any) -> Any:
    """Zero cotangent of an output that nothing uses; of a large one without its memory."""
    if spec.nbytes < memory.LARGE or arrays.is_foreign(concrete(like)):
        return zeros(spec, like)
    return arrays.repeated(spec.dtype.type(0), spec.shape)


def zeros(spec: Spec, like: Any = None) -> Any:
    """Zero cotangent of a spec."""
    return arrays.zeros(spec.shape, spec.dtype, like)


def conform(cotangent: Any, shape: Shape, dtype: np.dtype[Any]) -> Any:
    """Sum out broadcast axes and cast, so that a cotangent has its input's shape and dtype."""
    if cotangent.shape != shape:
        evaluate = unbroadcast.call if isinstance(cotangent, Box) else unbroadcast.forward
        cotangent = evaluate(cotangent, shape=shape)
    if cotangent.dtype != dtype:
        cotangent = cast(cotangent, dtype)
    return cotangent


def cast(cotangent: Any, dtype: np.dtype[Any]) -> Any:
    """Cast to an input's dtype; a real input keeps the real part."""
    if cotangent.dtype.kind == "c" and dtype.kind != "c":
        cotangent = real(cotangent)
    if cotangent.dtype == dtype:
        return cotangent
    if isinstance(cotangent, Box):
        return convert(cotangent, dtype=dtype)
    return cotangent.astype(dtype)


def keep_zero(seed: Any, product: Any) -> Any:
    """Zero wherever the seed is zero, also past an infinite or NaN partial."""
    kept = where(equal(seed, 0), 0.0, product)
    return kept if isinstance(kept, Box) else arrays.scalar_form(kept)
