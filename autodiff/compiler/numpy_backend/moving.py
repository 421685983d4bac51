"""Lines of primitives that move elements: views where NumPy gives views, else copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.compiler.numpy_backend.elementwise import elementwise, layout_of
from autodiff.compiler.numpy_backend.planner import Planner, compact
from autodiff.compiler.numpy_backend.values import Value
from autodiff.core.arrays import has_memory, scatter_add
from autodiff.tape.entries import Entry

__all__ = [
    "assign",
    "broadcast_to",
    "concatenate",
    "convert",
    "imag",
    "index",
    "itself",
    "pad_zeros",
    "real",
    "reshape",
    "scatter",
    "stack",
    "transpose",
]

_NO_ARRAYS = (slice, type(None), type(Ellipsis), int)


def _is_basic(template: Sequence[Any]) -> bool:
    return all(type(item) in _NO_ARRAYS for item in template)


def reshape(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A view of what stands in C order; else a copy, as NumPy makes it."""
    (value,) = operands
    variable = entry.output
    shape = variable.spec.shape
    if value.spec.shape == shape and value.storages:
        planner.alias(variable, value)
        return True
    if not shape:
        if variable.slot in planner.handed_out or not value.spec.shape:
            return False
        planner.number(variable, f"{{0}}[{', '.join('0' * value.spec.ndim)}]", [value])
        return True
    if not value.spec.shape:
        if value.storages:
            return False
        result = planner.output(variable)
        planner.line(f"{_copyto(planner)}({{out}}, {{0}})", [value], result, "effect")
        return True
    text = f"{{0}}.reshape({shape})"
    view = _reshaped(planner.assumed(value), shape)
    if view is not None or not value.is_static:
        planner.view(variable, text, value, view)
        return True
    result = planner.output(variable)
    whole = result.prototype.reshape(value.spec.shape)
    target = planner.temporary_view(f"{{0}}.reshape({value.spec.shape})", result, whole)
    planner.line(f"{_copyto(planner)}({{1}}, {{0}})", [value, target], result, "effect")
    return True


def _reshaped(array: Any, shape: tuple[int, ...]) -> Any:
    """View under another shape, or None where NumPy would have to copy."""
    if compact(array):
        return array.reshape(shape)
    if _without_ones(array.shape) == _without_ones(shape):
        return array.reshape(shape)
    return None


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [length for length in shape if length != 1]


def transpose(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A view."""
    (value,) = operands
    axes = tuple(entry.params["axes"])
    if not value.spec.shape:
        return False
    view = planner.assumed(value).transpose(axes)
    planner.view(entry.output, f"{{0}}.transpose({axes})", value, view)
    return True


def broadcast_to(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A view; operations on elements take what it is a broadcast of."""
    (value,) = operands
    variable = entry.output
    shape = variable.spec.shape
    if not shape:
        return False
    if value.spec.shape == shape:
        planner.alias(variable, value)
        return True
    if not value.spec.shape:
        if value.storages or value.is_constant:
            return False
        name = planner.bind(entry.primitive.forward, "broadcast_to")
        result = planner.array(variable, f"{name}({{0}}, shape={shape})", [value])
        result.storages[0].kind = "input"  # a view of a number, which nobody may write to
    else:
        view = np.broadcast_to(planner.assumed(value), shape)
        name = planner.bind(entry.primitive.forward, "broadcast_to")
        result = planner.view(variable, f"{name}({{0}}, shape={shape})", value, view)
    result.source = value
    planner.keep(value, result.last_use)
    return True


def index(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A view under integers and slices; else new memory."""
    template = entry.params["template"]
    value, *arrays = operands
    variable = entry.output
    if arrays or not value.spec.shape:
        return False
    if not _is_basic(template):
        if not variable.spec.shape or not any(has_memory(item) and item.ndim for item in template):
            return False
        planner.array(variable, f"{{0}}[{planner.bind(template, 'template')}]", [value])
        return True
    text = f"{{0}}[{_written(template)}]"
    if not variable.spec.shape:
        if any(item is Ellipsis for item in template):
            return False
        planner.number(variable, text, [value])
        return True
    view = planner.assumed(value)[template]
    planner.view(variable, text, value, view)
    return True


def _written(template: Sequence[Any]) -> str:
    if not template:
        return "()"
    return ", ".join(map(_entry, template)) + ("," if len(template) == 1 else "")


def _entry(item: Any) -> str:
    if type(item) is slice:
        start, stop, step = (
            "" if b is None else str(b) for b in (item.start, item.stop, item.step)
        )
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    return "..." if item is Ellipsis else repr(item)


def real(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A view of the real parts; of real numbers, themselves."""
    (value,) = operands
    if not value.spec.shape:
        return False
    if value.spec.dtype.kind != "c":
        planner.alias(entry.output, value)
    else:
        view = planner.assumed(value).real
        planner.view(entry.output, "{0}.real", value, view)
    return True


def imag(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A view of the imaginary parts."""
    (value,) = operands
    if not value.spec.shape or value.spec.dtype.kind != "c":
        return False
    view = planner.assumed(value).imag
    planner.view(entry.output, "{0}.imag", value, view)
    return True


def itself(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """The value itself: what is handed out is no memory of the program anyway."""
    (value,) = operands
    if not value.spec.shape or value.spec.dtype.kind not in "iufc":
        return False
    if not compact(planner.assumed(value)):
        return elementwise(planner, entry, operands)
    planner.alias(entry.output, value)
    return True


def convert(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A copy into a buffer of the dtype."""
    (value,) = operands
    variable = entry.output
    source, target = value.spec.dtype, variable.spec.dtype
    if not variable.spec.shape or (source.kind == "c" and target.kind not in "cb"):
        return False
    if source == target:
        planner.alias(variable, value)
        return True
    result = planner.output(variable, layout_of(planner, operands, variable.spec))
    planner.line(f'{_copyto(planner)}({{out}}, {{0}}, "unsafe")', [value], result, "effect", True)
    return True


def concatenate(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """Joined into a buffer."""
    return _joined(planner, entry, operands, np.concatenate)


def stack(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """Joined into a buffer along a new axis."""
    return _joined(planner, entry, operands, np.stack)


def _joined(planner: Planner, entry: Entry, operands: Sequence[Value], function: Any) -> bool:
    variable = entry.output
    if not all(is_compact(planner, value) for value in operands):
        return False
    result = planner.output(variable)
    places = ", ".join(f"{{{i}}}" for i in range(len(operands)))
    text = (
        f"{planner.bind(function, function.__name__)}(({places},), {entry.params['axis']}, {{out}})"
    )
    planner.line(text, operands, result, "buffer")
    return True


def is_compact(planner: Planner, value: Value) -> bool:
    """Whether a value is known, or assumed, to stand in C order."""
    return compact(planner.assumed(value))


def pad_zeros(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """Zeros, and the value copied into them."""
    (value,) = operands
    variable = entry.output
    widths = entry.params["widths"]
    if not variable.spec.shape or not is_compact(planner, value):
        return False
    result = planner.output(variable)
    planner.line("{out}.fill(0)", [], result, "effect")
    inside = tuple(
        slice(before, before + length)
        for (before, _), length in zip(widths, value.spec.shape, strict=True)
    )
    target = planner.temporary_view(f"{{0}}[{_written(inside)}]", result, result.prototype[inside])
    planner.line(f"{_copyto(planner)}({{1}}, {{0}})", [value, target], result, "effect")
    return True


def scatter(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """Zeros, and each value added at its index."""
    variable = entry.output
    templates = entry.params["templates"]
    spec = variable.spec
    if not spec.shape or any(value.spec.dtype != spec.dtype for value in operands):
        return False
    result = planner.output(variable)
    planner.line("{out}.fill(0)", [], result, "effect")
    for number, (value, template) in enumerate(zip(operands, templates, strict=True)):
        if not _is_basic(template):
            name = planner.bind(template, "template")
            text = f"{planner.bind(scatter_add, 'scatter_add')}({{out}}, {name}, {{0}})"
            planner.line(text, [value], result, "effect")
            continue
        if result.prototype[template].shape == ():
            sign = "=" if number == 0 else "+="
            planner.line(f"{{out}}[{_written(template)}] {sign} {{0}}", [value], result, "effect")
            continue
        target = planner.temporary_view(
            f"{{0}}[{_written(template)}]", result, result.prototype[template]
        )
        text = (
            f"{_copyto(planner)}({{1}}, {{0}})"
            if number == 0
            else f"{planner.bind(np.add, 'add')}({{1}}, {{0}}, {{1}})"
        )
        planner.line(text, [value, target], result, "effect")
    return True


def assign(planner: Planner, entry: Entry, operands: Sequence[Value]) -> bool:
    """A copy written into, or the memory of the former value where nobody needs that any more."""
    template = entry.params["template"]
    x, v, *arrays = operands
    variable = entry.output
    if arrays or not variable.spec.shape or x.spec.dtype != variable.spec.dtype:
        return False
    if v.spec.dtype.kind == "c" and variable.spec.dtype.kind != "c":
        return False
    if not x.spec.shape:
        return False
    shared = {storage for storage in v.storages if storage in x.storages}
    if x.is_static and not shared and planner.is_free(x):
        result = Value(variable.spec, x.storage.name, (x.storage,), x.storage.prototype)
        result.last_use = planner.last_use(variable)
        planner.set(variable, result)
    else:
        result = planner.output(variable, layout_of(planner, [x], variable.spec))
        planner.line(f"{_copyto(planner)}({{out}}, {{0}})", [x], result, "effect")
    if _is_basic(template) and result.prototype[template].shape:
        target = planner.temporary_view(
            f"{{0}}[{_written(template)}]", result, result.prototype[template]
        )
        if len(v.spec.shape) <= target.spec.ndim:
            planner.line(
                f'{_copyto(planner)}({{1}}, {{0}}, "unsafe")', [v, target], result, "effect"
            )
            return True
    name = _written(template) if _is_basic(template) else planner.bind(template, "template")
    planner.line(f"{{out}}[{name}] = {{0}}", [v], result, "effect")
    return True


def _copyto(planner: Planner) -> str:
    return planner.bind(np.copyto, "copyto")
