"""Reading and writing at an index, by ONNX's operators.

What is read goes by axes: slices, then what is gathered. What is written goes by the places of the
elements in the array seen as one row, which are read off a row of numbers by the same index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autodiff.core.arrays import has_memory
from autodiff.core.spec import Shape
from autodiff.export.elementwise import Rule
from autodiff.export.writer import Operation, Places, Refused, Value, Writer, size_of
from autodiff.ops.index import Hole, Template

__all__ = ["PLACES"]

MANY = 1024
"""Places above which a model has how they are found instead of themselves."""


def _entries(template: Template, ndim: int) -> list[Any]:
    """An index with a slice for every axis that it does not name."""
    if any(isinstance(entry, (bool, np.bool_)) for entry in template):
        raise Refused("its index holds a truth value")
    used = sum(entry is not None and entry is not Ellipsis for entry in template)
    missing = [slice(None)] * (ndim - used)
    entries: list[Any] = []
    dots = False
    for entry in template:
        dots = dots or entry is Ellipsis
        entries += missing if entry is Ellipsis else [entry]
    return entries if dots else entries + missing


def _is_gathered(entry: Any) -> bool:
    return isinstance(entry, Hole) or has_memory(entry)


def _sliced(w: Writer, x: Value, entries: Sequence[Any]) -> Value:
    """Apply the slices of an index, one entry an axis, that leave anything out."""
    starts, ends, axes, steps, shape = [], [], [], [], list(x.shape)
    for axis, entry in enumerate(entries):
        if not isinstance(entry, slice):
            continue
        length = x.shape[axis]
        start, stop, step = entry.indices(length)
        if (start, stop, step) == (0, length, 1):
            continue
        starts.append(start)
        ends.append(-length - 1 if step < 0 and stop < 0 else stop)
        axes.append(axis)
        steps.append(step)
        shape[axis] = len(range(start, stop, step))
    if not axes:
        return x
    rows = [w.integers(row) for row in (starts, ends, axes, steps)]
    return w.node("Slice", x, *rows, shape=tuple(shape))


def _unsqueezed(w: Writer, x: Value, axes: list[int]) -> Value:
    if not axes:
        return x
    shape = list(x.shape)
    for axis in axes:
        shape.insert(axis, 1)
    return w.node("Unsqueeze", x, w.integers(axes), shape=tuple(shape))


def _gathered(w: Writer, x: Value, index: Value, axis: int) -> Value:
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    return w.node("Gather", x, index, axis=axis, shape=shape)


def read(w: Writer, x: Value, template: Template, arrays: Sequence[Value]) -> Value:
    """Read through an index, as NumPy does."""
    entries = _entries(template, len(x.shape))
    x = _sliced(w, x, [entry for entry in entries if entry is not None])
    chosen = [i for i, entry in enumerate(entries) if not isinstance(entry, slice | None)]
    if not any(_is_gathered(entries[i]) for i in chosen):
        return _read_numbers(w, x, entries)
    indices = []
    for i in chosen:
        entry = entries[i]
        found = arrays[entry.position] if isinstance(entry, Hole) else w.constant(entry, np.int64)
        indices.append(w.cast(found, np.int64))
    lead = sum(entry is not None for entry in entries[: chosen[0]])
    axes = [sum(e is not None for e in entries[:i]) for i in chosen]
    together = chosen == list(range(chosen[0], chosen[-1] + 1))
    if len(axes) == 1:
        common = indices[0].shape
        x = _gathered(w, x, indices[0], axes[0])
    else:
        others = [axis for axis in range(len(x.shape)) if axis not in axes]
        common = np.broadcast_shapes(*[index.shape for index in indices])
        x = w.transpose(x, [*axes, *others])
        last = len(common)
        columns = [_unsqueezed(w, w.expand(index, common), [last]) for index in indices]
        shape = (*common, len(axes))
        x = w.node(
            "GatherND",
            x,
            w.node("Concat", *columns, axis=last, shape=shape),
            shape=(*common, *x.shape[len(axes) :]),
        )
        place = lead if together else 0
        front = range(len(common), len(common) + place)
        back = range(len(common) + place, len(x.shape))
        x = w.transpose(x, [*front, *range(len(common)), *back])
    return _with_new_axes(w, x, entries, chosen, len(common), together)


def _with_new_axes(
    w: Writer, x: Value, entries: list[Any], chosen: list[int], count: int, together: bool
) -> Value:
    """Put in the axes of length 1 that an index asks for, beside `count` axes of its arrays."""
    new: list[int] = []
    axis = 0 if together else count
    for i, entry in enumerate(entries):
        if entry is None:
            new.append(axis)
        if i not in chosen:
            axis += 1
        elif together and i == chosen[0]:
            axis += count
    return _unsqueezed(w, x, new)


def _read_numbers(w: Writer, x: Value, entries: list[Any]) -> Value:
    """Read at integers, whose axes go."""
    kept = [entry for entry in entries if entry is not None]
    for axis in reversed(range(len(kept))):
        if not isinstance(kept[axis], slice):
            x = _gathered(w, x, w.constant(int(kept[axis]), np.int64), axis)
    left = [entry for entry in entries if isinstance(entry, slice | None)]
    return _unsqueezed(w, x, [i for i, entry in enumerate(left) if entry is None])


def _index(w: Writer, operation: Operation) -> Value:
    x, *arrays = operation.inputs
    return read(w, x, operation.params["template"], arrays)


# --- writing ----------------------------------------------------------------------------------


def _region(shape: Shape, template: Template, arrays: Sequence[Value]) -> Shape:
    """Shape of what stands at an index."""
    numbers = [np.zeros(array.shape, np.int64) for array in arrays]
    index = tuple(numbers[e.position] if isinstance(e, Hole) else e for e in template)
    return np.broadcast_to(np.int8(0), shape)[index].shape


def _known_places(shape: Shape, template: Template) -> Places:
    """Places in the array as one row, of an index without holes."""
    return np.arange(size_of(shape)).reshape(shape)[template].reshape(-1)


def _places(w: Writer, shape: Shape, template: Template, arrays: Sequence[Value]) -> Value:
    size = size_of(shape)
    if not arrays:
        known = _known_places(shape, template)
        if known.size <= MANY or any(map(_is_gathered, template)):
            return w.integers(known)
    ends = [w.constant(number, np.int64) for number in (0, size, 1)]
    numbers = w.reshape(w.node("Range", *ends, dtype=np.int64, shape=(size,)), shape)
    found = read(w, numbers, template, arrays)
    return w.reshape(found, (size_of(_region(shape, template, arrays)),))


def _written(w: Writer, x: Value, shape: Shape, places: Value, values: Value, **how: Any) -> Value:
    """Write a row of values at places into an array of a shape."""
    row = w.node("ScatterElements", w.reshape(x, (size_of(shape),)), places, values, axis=0, **how)
    return w.reshape(row, shape)


def _row(w: Writer, value: Value, region: Shape) -> Value:
    """Values for a region that they broadcast to, as one row."""
    while len(value.shape) > len(region):
        value = w.reshape(value, value.shape[1:])
    return w.reshape(w.expand(value, region), (size_of(region),))


def _is_block(template: Template) -> bool:
    """Whether an index says where a block without gaps lies."""
    return all(
        entry is None
        or entry is Ellipsis
        or (isinstance(entry, slice) and entry.step in (None, 1))
        or (isinstance(entry, int) and not isinstance(entry, bool))
        for entry in template
    )


def _padded(w: Writer, g: Value, template: Template, shape: Shape) -> Value:
    """Zeros around a block."""
    entries = [entry for entry in _entries(template, len(shape)) if entry is not None]
    bounds = []
    for entry, length in zip(entries, shape, strict=True):
        first = int(entry) % length if not isinstance(entry, slice) else 0
        start, stop = (first, first + 1)
        if isinstance(entry, slice):
            start, stop, _ = entry.indices(length)
        bounds.append((start, max(start, stop)))
    block = w.reshape(g, tuple([stop - start for start, stop in bounds]))
    after = [length - stop for length, (_, stop) in zip(shape, bounds, strict=True)]
    if not shape:
        return block
    ends = [start for start, _ in bounds] + after
    return w.node("Pad", block, w.integers(ends), shape=shape)


def _scattered(
    w: Writer, operation: Operation, gs: Sequence[Value], templates: Sequence[Template], arrays: Any
) -> Value:
    """Zeros with each array added at its index."""
    shape, dtype = operation.shape, operation.dtype
    total: Value | None = None
    rest = []
    for g, template in zip(gs, templates, strict=True):
        g = w.cast(g, dtype)
        region = _region(shape, template, arrays)
        if _is_block(template):
            block = _padded(w, w.expand(g, region), template, shape)
            total = block if total is None else w.node("Add", total, block, shape=shape)
        elif size_of(region):
            rest.append((template, _row(w, g, region)))
    found = w.full(0, shape, dtype) if total is None else total
    for template, row in rest:
        places = _places(w, shape, template, arrays)
        found = _written(w, found, shape, places, row, reduction="add")
    return found


def _scatter(w: Writer, operation: Operation) -> Value:
    return _scattered(w, operation, operation.inputs, operation.params["templates"], ())


def _scatter_dynamic(w: Writer, operation: Operation) -> Value:
    g, *arrays = operation.inputs
    return _scattered(w, operation, (g,), (operation.params["template"],), arrays)


def _assign(w: Writer, operation: Operation) -> Value:
    x, v, *arrays = operation.inputs
    template = operation.params["template"]
    if arrays:
        # Of two values for one place NumPy keeps the last, ONNX either
        raise Refused("it assigns at an index that is computed")
    shape, dtype = operation.shape, operation.dtype
    x, v = w.cast(x, dtype), w.cast(v, dtype)
    region = _region(shape, template, ())
    if not size_of(region):
        return x
    row = _row(w, v, region)
    if not any(map(_is_gathered, template)):
        return _written(w, x, shape, _places(w, shape, template, ()), row)
    places = _known_places(shape, template)
    backwards, first = np.unique(places[::-1], return_index=True)
    if backwards.size < places.size:
        row = w.node("Gather", row, w.integers(places.size - 1 - first), axis=0)
        places = backwards
    return _written(w, x, shape, w.integers(places), row)


PLACES: Mapping[str, Rule] = {
    "ops.index.assign": _assign,
    "ops.index.index": _index,
    "ops.index.scatter": _scatter,
    "ops.index.scatter_dynamic": _scatter_dynamic,
}
"""Rules by the module that declares the primitive, without ``autodiff.``, and its name."""
