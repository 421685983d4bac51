"""Kernels made by CuPy from their text: one for each text, for the whole process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from autodiff.compiler.cupy_backend.source import KernelText, type_name

__all__ = ["REDUCTIONS", "elementwise_kernel", "identity_of", "reduction_kernel"]

_OPTIONS = ("--fmad=false",)
"""A product and a sum are rounded one after the other, as in NumPy."""

REDUCTIONS = {
    "add": ("a + b", "0", "fiu"),
    "multiply": ("a * b", "1", "fiu"),
    "maximum": ("(a >= b || a != a) ? a : b", "(-1.0 / 0.0)", "f"),
    "minimum": ("(a <= b || a != a) ? a : b", "(1.0 / 0.0)", "f"),
    "logical_and": ("a && b", "true", "b"),
    "logical_or": ("a || b", "false", "b"),
}
"""By NumPy's name: the expression, what it begins with, and the kinds of dtypes that it is for."""

_known: dict[Any, Any] = {}
_lock = threading.Lock()


def identity_of(op: str, dtype: np.dtype[Any]) -> str | None:
    """What a reduction begins with; None where there is no kernel for it."""
    row = REDUCTIONS.get(op)
    return row[1] if row is not None and dtype.kind in row[2] else None


def _kernel(text: KernelText, make: Callable[[Any], Any]) -> Any:
    cupy = import_module("cupy")
    key = (id(cupy), text)
    with _lock:
        if key not in _known:
            _known[key] = make(cupy)
        return _known[key]


def _parameters(rows: tuple[tuple[np.dtype[Any], str], ...]) -> str:
    return ", ".join(f"{dtype.name} {name}" for dtype, name in rows)


def elementwise_kernel(text: KernelText) -> Any:
    """Kernel that computes each element by itself."""
    return _kernel(
        text,
        lambda cupy: cupy.ElementwiseKernel(
            _parameters(text.inputs),
            _parameters(text.outputs),
            "\n".join(text.body),
            text.name,
            options=_OPTIONS,
        ),
    )


def reduction_kernel(text: KernelText) -> Any:
    """Kernel that computes and reduces."""
    expression, identity, _ = REDUCTIONS[text.kind]
    ((dtype, out),) = text.outputs
    given = ", ".join(f"const {type_name(of)} {name}" for of, name in text.inputs)
    mapped = "\n".join(
        [
            f"static __device__ {type_name(dtype)} mapped({given}) {{",
            *[f"  {line}" for line in text.body],
            f"  return {text.result};",
            "}",
        ]
    )
    names = ", ".join(name for _, name in text.inputs)
    return _kernel(
        text,
        lambda cupy: cupy.ReductionKernel(
            _parameters(text.inputs),
            _parameters(text.outputs),
            f"mapped({names})",
            expression,
            f"{out} = a",
            identity,
            text.name,
            preamble=mapped,
            options=_OPTIONS,
        ),
    )
