"""Indexing and assignment.

An index is kept as a template: NumPy's index with integer arrays in place (as frozen copies), or a
`Hole` in place of an interpreter's box, which is then an input of the primitive. Boolean masks
are turned into the integer indices they stand for.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.chunked import is_chunked
from autodiff.core.arrays import (
    ARRAY,
    as_array,
    as_numpy,
    as_value,
    copied,
    empty,
    has_memory,
    is_foreign,
    scalar_form,
    scatter_add,
    zeros,
)
from autodiff.core.declare import linear
from autodiff.core.dispatch import Box, concrete
from autodiff.core.memory import LARGE, freeze, protected, updatable
from autodiff.core.parts import Erased, Scattered
from autodiff.core.spec import Shape, Spec, spec_of
from autodiff.ops import structures
from autodiff.ops.descriptions import Description, Operation, Sums
from autodiff.ops.examples import loop_over_batch
from autodiff.ops.lowered import Gathered, Indices, Lowering, Piece, Pieces, Viewed, at_index
from autodiff.ops.operands import operand
from autodiff.ops.samples import Sample, array
from autodiff.ops.shape import broadcast_to, moveaxis_, reshape, unbroadcast
from autodiff.ops.writes import last_writes, write_in_order
from autodiff.views import View, base_of

Template = tuple[Any, ...]


class Hole(NamedTuple):
    """Place of an index array that is an input of the primitive."""

    position: int


def _filled(template: Template, arrays: Sequence[Any]) -> Any:
    """NumPy index from a template and the arrays for its holes."""
    if not arrays:
        return template
    return tuple(arrays[e.position] if isinstance(e, Hole) else e for e in template)


_NO_INTEGERS = frozenset({slice, type(None), type(Ellipsis), bool, np.bool_})
"""Types of the entries of a template that are no integers and no arrays of them."""

_NO_ARRAYS = _NO_INTEGERS | {int}


def _has_arrays(template: Template) -> bool:
    return any(type(entry) not in _NO_ARRAYS for entry in template)


def add_at(buffer: Any, template: Template, g: Any) -> None:
    """Add into a buffer in place, once per occurrence of an index."""
    if _has_arrays(template) or is_chunked(buffer):
        scatter_add(buffer, template, g)
    else:
        buffer[template] += g


def _is_split(template: Template) -> bool:
    """Whether NumPy moves the axes of the integer arrays to the front (they are not adjacent)."""
    if not _has_arrays(template):
        return False
    advanced = [i for i, e in enumerate(template) if type(e) not in _NO_INTEGERS]
    return advanced != list(range(advanced[0], advanced[-1] + 1))


def _array_ndim(template: Template) -> int:
    """Number of axes that the integer arrays of an index broadcast to."""
    return max(entry.ndim for entry in template if has_memory(entry))


def _with_batch_axis(template: Template) -> Template:
    return (slice(None), *template)


# --- primitives -----------------------------------------------------------------------------------


def _index_transpose(g: Any, x_spec: Spec, arrays: Any, template: Template) -> Any:
    if arrays:
        return scatter_dynamic(
            g, *arrays, template=template, shape=x_spec.shape, dtype=x_spec.dtype
        )
    return Scattered(g, template, x_spec.shape, x_spec.dtype)


def _batch_index(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    template = params["template"]
    if len(inputs) > 1:
        return _batch_index_dynamic(batched, inputs, params)
    if not _is_split(template):
        return index(inputs[0], template=_with_batch_axis(template))
    read = index(inputs[0], template=_with_batch_axis(template))
    return moveaxis_(read, _array_ndim(template), 0)


def _batch_index_dynamic(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    """Index arrays differ between examples: read each example with its own."""
    template = params["template"]
    if not isinstance(template[0], Hole) or _is_split(template):
        return loop_over_batch(lambda *each: index(*each, template=template), batched, inputs)
    x, *arrays = inputs
    count = next(value.shape[0] for value, flag in zip(inputs, batched, strict=True) if flag)
    ranks = [len(a.shape) - flag for a, flag in zip(arrays, batched[1:], strict=True)]
    rank = max(*ranks, *(e.ndim for e in template if has_memory(e)), 0)
    aligned = [
        reshape(a, shape=(count, *(1,) * (rank - own), *a.shape[1:])) if flag else a
        for a, flag, own in zip(arrays, batched[1:], ranks, strict=True)
    ]
    if not batched[0]:
        return index(x, *aligned, template=template)
    examples = freeze(np.arange(count).reshape(count, *(1,) * rank))
    return index(x, *aligned, template=(examples, *template))


def _region(template: Template, shape: Shape, inputs: int) -> Callable[[Any], Any] | Indices:
    """Part of an array at an index whose holes stand for the inputs from a position on."""
    if not any(isinstance(entry, Hole) or has_memory(entry) for entry in template):
        return at_index(template)
    used = sum(entry is not None and entry is not Ellipsis for entry in template)
    missing = (slice(None),) * (len(shape) - used)
    if Ellipsis not in [entry if entry is Ellipsis else None for entry in template]:
        template = (*template, Ellipsis)
    entries: list[Any] = []
    for entry in template:
        entries += missing if entry is Ellipsis else [entry]
    axes, sources, basic, kept = [], [], [], []
    axis = 0
    for entry in entries:
        is_array = isinstance(entry, Hole) or has_memory(entry)
        if is_array:
            axes.append(axis)
            sources.append(entry.position + inputs if isinstance(entry, Hole) else entry)
        basic.append(0 if is_array else entry)
        kept.append(type(entry) in _NO_INTEGERS)
        axis += entry is not None
    advanced = [i for i, is_kept in enumerate(kept) if not is_kept]
    adjacent = advanced == list(range(advanced[0], advanced[-1] + 1))
    return Indices(
        at_index(tuple(basic)), tuple(axes), tuple(sources), advanced[0] if adjacent else 0
    )


def _read(operation: Lowering) -> Viewed | Gathered:
    region = _region(operation.params["template"], operation.inputs[0].shape, 1)
    return Gathered(region) if isinstance(region, Indices) else Viewed(region)


def _index_samples(rng: np.random.Generator) -> list[Sample]:
    templates: list[Template] = [
        (slice(None, None, 2),),
        (1,),
        (Ellipsis, None, -1),
        (np.array([0, 2, 0]),),
        (np.array([0, 1]), slice(None), np.array([1, 0])),
        (slice(1, None), np.array([[0, 1], [1, 1]])),
        (2, 1, 0),
    ]
    return [Sample((array(rng, (3, 2, 2)),), {"template": t}) for t in templates]


@linear(
    transpose_x=_index_transpose,
    constant=("arrays",),
    batch=_batch_index,
    label="[ ]",
    sample=_index_samples,
    local=structures.moves,
    lower=_read,
)
def index(x: Any, *arrays: Any, template: Template) -> Any:
    """Read through an index."""
    return x[_filled(template, arrays)]


def _batch_scatter(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    count = next(g.shape[0] for g, flag in zip(inputs, batched, strict=True) if flag)
    moved = []
    for g, flag, template in zip(inputs, batched, params["templates"], strict=True):
        full = g if flag else broadcast_to(g, shape=(count, *g.shape))
        moved.append(moveaxis_(full, 0, _array_ndim(template)) if _is_split(template) else full)
    return scatter(
        *moved,
        templates=tuple(map(_with_batch_axis, params["templates"])),
        shape=(count, *params["shape"]),
        dtype=params["dtype"],
    )


def _scatter_samples(rng: np.random.Generator) -> list[Sample]:
    params = {"shape": (3, 2), "dtype": np.dtype(float)}
    return [
        Sample((array(rng, (2,)),), {"templates": ((np.array([1, 1]), 0),), **params}),
        Sample(
            (array(rng, (2, 2)), array(rng, ())),
            {"templates": ((slice(0, 2),), (1, 1)), **params},
        ),
    ]


def _scattered(operation: Operation, position: int) -> Description:
    """Each element is added where its template says."""
    template = operation.params["templates"][position]
    return Sums(lambda: operation.places[template])


@linear(
    transpose_gs=lambda g, templates, index: read_template(g, templates[index]),
    batch=_batch_scatter,
    cost=lambda gs_spec: sum(spec.size for spec in gs_spec),
    sample=_scatter_samples,
    local=_scattered,
    lower=lambda operation: Pieces(
        tuple(
            [
                Piece(i, _region(t, operation.out.shape, 0), "add")
                for i, t in enumerate(operation.params["templates"])
            ]
        )
    ),
)
def scatter(*gs: Any, templates: tuple[Template, ...], shape: Shape, dtype: np.dtype[Any]) -> Any:
    """Zeros of a shape, with each array added at its index: the transpose of several reads."""
    buffer = zeros(shape, np.result_type(dtype, *{as_array(g).dtype for g in gs}), like=gs[0])
    for position, (g, template) in enumerate(zip(gs, templates, strict=True)):
        if position == 0 and not (_has_arrays(template) or is_chunked(buffer)):
            buffer[template] = g  # nothing to add to yet
        else:
            add_at(buffer, template, g)
    return scalar_form(buffer)


def _dynamic_samples(rng: np.random.Generator) -> list[Sample]:
    params = {"template": (Hole(0),), "shape": (3, 2), "dtype": np.dtype(float)}
    return [Sample((array(rng, (2, 2)), np.array([2, 2])), params)]


def _scattered_dynamically(operation: Operation, position: int) -> Description | None:
    """As `_scattered`, where the arrays of the index are known."""
    arrays = list(operation.fixed.values())
    if any(array is None for array in arrays):
        return None
    template = _filled(operation.params["template"], arrays)
    return Sums(lambda: operation.places[template])


@linear(
    transpose_g=lambda g, arrays, template: index(g, *arrays, template=template),
    constant=("arrays",),
    batch=lambda batched, inputs, params: loop_over_batch(
        lambda g, *arrays: scatter_dynamic(g, *arrays, **params), batched, inputs
    ),
    cost=lambda g_spec: g_spec.size,
    sample=_dynamic_samples,
    local=_scattered_dynamically,
    lower=lambda operation: Pieces(
        (Piece(0, _region(operation.params["template"], operation.out.shape, 1), "add"),)
    ),
)
def scatter_dynamic(
    g: Any, *arrays: Any, template: Template, shape: Shape, dtype: np.dtype[Any]
) -> Any:
    """Zeros of a shape with `g` added at an index whose arrays are inputs."""
    buffer = zeros(shape, np.result_type(dtype, as_array(g).dtype), like=g)
    add_at(buffer, _filled(template, arrays), g)
    return buffer


def read_template(x: Any, template: Template) -> Any:
    """Read through a template without holes."""
    return index(x, template=template)


def _kept_transpose(g: Any, v_spec: Spec, arrays: Any, template: Template) -> Any:
    if type(g) is ARRAY and g.nbytes >= LARGE and not arrays:
        return Erased(g, template)
    return assign(g, zeros((), v_spec.dtype, like=g), *arrays, template=template)


def _assigned_transpose(g: Any, x_spec: Spec, v_spec: Spec, arrays: Any, template: Template) -> Any:
    read = index(g, *arrays, template=template)
    if type(read) is ARRAY and read.base is not None and 2 * read.nbytes <= g.nbytes:
        read = copied(read)  # a view would keep `g` from being erased in place
    if _has_arrays(template):
        if any(isinstance(a, Box) for a in arrays):
            raise TypeError("assign: the index arrays of an assignment must be plain arrays here")
        under = concrete(read)
        stays = last_writes(x_spec.shape, _filled(template, arrays), under)
        stays = as_array(stays, like=under)
        read = np.where(stays, read, 0.0)
    lead = len(v_spec.shape) - len(read.shape)
    if lead > 0:
        return reshape(unbroadcast(read, shape=v_spec.shape[lead:]), shape=v_spec.shape)
    return unbroadcast(read, shape=v_spec.shape)


def _batch_assign(batched: Any, inputs: Any, params: dict[str, Any]) -> Any:
    template = params["template"]
    x, v, *arrays = inputs
    if arrays or _is_split(template):
        return loop_over_batch(
            lambda x, v, *arrays: assign(x, v, *arrays, **params), batched, inputs
        )
    x_batched, v_batched = batched
    count = x.shape[0] if x_batched else v.shape[0]
    if not x_batched:
        x = broadcast_to(x, shape=(count, *x.shape))
    if v_batched:
        selected = empty(x.shape[1:], bool)[template].ndim
        v_shape = v.shape[1:]
        v_shape = v_shape[max(len(v_shape) - selected, 0) :]
        v = reshape(v, shape=(count, *(1,) * (selected - len(v_shape)), *v_shape))
    return assign(x, v, template=_with_batch_axis(template))


def _assigned(operation: Lowering) -> Pieces:
    region = _region(operation.params["template"], operation.out.shape, 2)
    return Pieces((Piece(1, region),), base=0)


def _assign_samples(rng: np.random.Generator) -> list[Sample]:
    cases: list[tuple[Shape, Template]] = [
        ((2,), (1,)),
        ((), (slice(None), 0)),
        ((3, 2), (slice(None),)),
        ((3,), (np.array([0, 2, 0]), 1)),
    ]
    return [Sample((array(rng, (3, 2)), array(rng, s)), {"template": t}) for s, t in cases]


@linear(
    transpose_x=_kept_transpose,
    transpose_v=_assigned_transpose,
    constant=("arrays",),
    batch=_batch_assign,
    label="[ ]=",
    sample=_assign_samples,
    local=structures.moves,
    lower=_assigned,
)
def assign(x: Any, v: Any, *arrays: Any, template: Template) -> Any:
    """Copy of `x` with `v` written at an index; of values written to one place the last stays."""
    updated = updatable(x, np.result_type(x, v) if np.iscomplexobj(v) else None)
    if is_foreign(updated) and (_has_arrays(template) or is_chunked(updated)):
        write_in_order(updated, _filled(template, arrays), v)
    else:
        updated[_filled(template, arrays)] = v
    return updated if updated.shape else scalar_form(updated)


# --- Python's indexing ----------------------------------------------------------------------------


def parse_key(key: Any, shape: Shape, function: str) -> tuple[Template, list[Any]]:
    """Turn what is between brackets into a template and the boxed index arrays.

    Raises
    ------
    IndexError
        An entry is not an integer, slice, ellipsis, None, or integer or boolean array.
    """
    entries = key if isinstance(key, tuple) else (key,)
    template: list[Any] = []
    arrays: list[Any] = []
    for entry in entries:
        if isinstance(entry, Box) and entry._interpreter.guards_masks and entry.dtype.kind == "b":
            entry = entry._interpreter.expose(entry, "a mask")
        if entry is None or entry is Ellipsis:
            template.append(entry)
        elif isinstance(entry, slice):
            template.append(slice(*map(_slice_bound, (entry.start, entry.stop, entry.step))))
        elif isinstance(entry, Box):
            _check_index_dtype(spec_of(entry).dtype, entry, function)
            if spec_of(entry).dtype.kind == "b":
                raise IndexError(
                    f"{function}: a boolean mask must be a plain array, because the shape of "
                    "the result depends on its values; use np.where(mask, x, 0)"
                )
            template.append(Hole(len(arrays)))
            arrays.append(entry)
        elif isinstance(entry, (bool, np.bool_)):
            template.append(entry)
        elif isinstance(entry, (int, np.integer)):
            template.append(int(entry))
        else:
            values = as_array(entry)
            if values.size == 0 and not has_memory(entry):
                values = values.astype(np.intp)
            _check_index_dtype(values.dtype, entry, function)
            if values.dtype.kind == "b" and values.ndim:
                _check_mask(values, template, shape, function)
                # How many there are is the shape of the result: of what is lazy it is computed
                known = as_numpy(values) if is_chunked(values) else values
                template.extend(known.nonzero())
            elif values.ndim == 0 and values.dtype.kind != "b":
                template.append(int(as_numpy(values)))
            else:
                template.append(protected(values))
    return tuple(template), arrays


def _slice_bound(bound: Any) -> int | None:
    if isinstance(bound, Box):
        raise IndexError("a slice bound is a Tensor; use a plain integer (tensor.item())")
    return None if bound is None else operator.index(bound)


def _check_mask(mask: Any, template: Sequence[Any], shape: Shape, function: str) -> None:
    """NumPy checks a mask's shape against the axes it stands for; ``nonzero`` loses that."""
    if Ellipsis in [e for e in template if not has_memory(e)]:
        return
    axis = sum(1 for e in template if e is not None)
    wanted = shape[axis : axis + mask.ndim]
    if mask.shape != wanted:
        raise IndexError(
            f"{function}: boolean mask of shape {mask.shape} does not match axes of shape "
            f"{wanted} of an array of shape {shape}"
        )


def _check_index_dtype(dtype: np.dtype[Any], entry: Any, function: str) -> None:
    if dtype.kind not in "iub":
        kind = "Tensor" if isinstance(entry, Box) else type(entry).__name__
        raise IndexError(
            f"{function}: an index must be an integer, slice, None, ... or an array of integers "
            f"or booleans; got a {kind} of dtype {dtype}"
        )


item = View(
    read=index,
    write=lambda x, v, template: assign(x, v, template=template),
    place=lambda keywords: keywords["template"],
)
"""What is between brackets, where it holds no Tensors."""


def getitem(x: Any, key: Any) -> Any:
    """``x[key]``: a view where NumPy gives one."""
    if type(key) is int:  # what loops do, n times
        return item(x, template=(key,))
    template, arrays = parse_key(key, spec_of(x).shape, "index")
    return index(x, *arrays, template=template) if arrays else item(x, template=template)


def pick(x: Any, key: Any) -> Any:
    """``x[key]`` as a copy, whatever the key."""
    template, arrays = parse_key(key, spec_of(x).shape, "index")
    return index(x, *arrays, template=template)


def setitem(x: Any, key: Any, value: Any) -> Any:
    """Return `x` with `value` written at `key`."""
    template, arrays, value = assignment(x, key, value)
    return assign(x, value, *arrays, template=template)


def assignment(x: Any, key: Any, value: Any) -> tuple[Template, list[Any], Any]:
    """Check what is to be written where: the template, its index arrays, and the value."""
    template, arrays = parse_key(key, spec_of(x).shape, "assign")
    if isinstance(value, (list, tuple)):
        value = operand(value, like=x)
    elif not isinstance(value, Box):
        value = as_value(value)
    if spec_of(value).dtype.kind == "c" and spec_of(x).dtype.kind != "c":
        raise TypeError("assign: a complex value cannot be written into a real Tensor")
    return template, arrays, value


def shows(value: Any, x: Any, template: Template) -> bool:
    """Whether a value is the view of `x` under an index: then writing it there changes nothing."""
    link = base_of(value) if isinstance(value, Box) else None
    if link is None or link[0] is not x or link[1] is not item:
        return False
    own = link[2]["template"]
    return own is template or (not _has_arrays(own) and own == template)
