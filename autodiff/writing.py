"""Writing into Tensors: the name goes on as the updated value, what was recorded keeps the former.

Values are never changed in memory. A write computes the new value as an operation, which every
interpretation sees like any other, and puts it in the box: so all names of one Tensor see the
update, as all names of one array do, while operations recorded before it keep what they saw.

What shows the same memory is updated as well. A write through a view is, step by step down to the
array that owns the memory, a write into the base; then the other views in use that may show what
was written are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from autodiff.core.arrays import as_value, is_foreign, updates_in_place
from autodiff.core.dispatch import Box, concrete
from autodiff.core.memory import yielding
from autodiff.core.modes import modes
from autodiff.core.spec import spec_of
from autodiff.interpret.graph import Leaf
from autodiff.ops.elementwise import convert
from autodiff.ops.index import Template, assign, assignment, item, shows
from autodiff.overwriting import ENOUGH, overwritable
from autodiff.views import View, base_of, is_memory, overlap, views_of

__all__ = ["augmented", "update_views", "write", "write_item"]

Index = tuple[Any, ...]
Link = tuple[Any, View, Mapping[str, Any]]


def write(box: Any, result: Any, place: Index | None = None) -> None:
    """Make a box stand for an updated value of its shape and dtype.

    A variable that is updated where nothing is recorded (under ``no_grad``) stays a variable with
    a new value. Elsewhere the box goes on as the dependent value, and the variable that it was
    still receives its gradient.

    Parameters
    ----------
    box : Tensor
    result : Tensor or array
        All of the new value.
    place : index, optional
        Where it differs from the former value, if that is known.

    Raises
    ------
    TypeError
        The new value belongs to a transform further inside than the box does.
    ValueError
        The box shows the memory of another read-only, as ``np.broadcast_to`` does.
    """
    if not isinstance(result, Box):
        result = box._interpreter.constant(as_value(result))
    steps = _steps_down(box, result)
    views, results = [box], [result]
    for base, how, keywords in steps:
        if how is item:
            result = _assigned(base, result, (), keywords["template"])
        else:
            assert how.write is not None
            result = _laid_out(base, how.write(base, result, **keywords))
        views.append(base)
        results.append(result)
    _replace(views.pop(), results.pop())
    # From the owner of the memory back to the box: each is what its base shows now
    while steps:
        step, view, value = steps.pop(), views.pop(), results.pop()
        if _suspends(view) or not _same_layout(view, value):
            _read_again(view, step)
        else:
            _replace(view, value)
        base, how, keywords = step
        update_views(base, how.place(keywords), but=view)
    update_views(box, place)


def _steps_down(box: Any, result: Any) -> list[Link]:
    """Links from a box to the owner of its memory, all of which the result can be written into.

    Nothing has been written where this raises.
    """
    steps = []
    _check_level(box, result)
    link = base_of(box)
    while link is not None:
        base, how, _ = link
        if how.write is None:
            raise ValueError(
                f"assignment destination is read-only: this Tensor of shape {box.shape} is a "
                "view that NumPy makes read-only too; write into its base, or make a copy"
            )
        _check_level(base, result)
        steps.append(link)
        box, link = base, base_of(base)
    return steps


def write_item(box: Any, key: Any, value: Any) -> None:
    """Do ``box[key] = value``."""
    template, arrays, value = assignment(box, key, value)
    if not shows(value, box, template):  # x[i] += v updates the view, and then assigns it
        write(box, _assigned(box, value, arrays, template), template)


def _assigned(box: Any, value: Any, arrays: Sequence[Any], template: Template) -> Any:
    """New value of a box that is written at an index, where it can be in the former's memory."""
    former = concrete(box)
    if getattr(former, "nbytes", 0) < ENOUGH or not _stays(box, value):
        return assign(box, value, *arrays, template=template)
    del former
    stale = _showing(box, template)
    memory = [] if any(view is value for view in stale) else overwritable(box, stale)
    if not memory and hasattr(box, "_views"):
        box._views.detached = True
    with yielding(memory):
        return assign(box, value, *arrays, template=template)


def _stays(box: Any, value: Any) -> bool:
    """Whether what is written into a box will not be refused as belonging further inside."""
    inside = isinstance(value, Box) and value._interpreter.level > box._interpreter.level
    return not inside and not (modes.open and modes.capture is not None)


def _check_level(box: Any, result: Any) -> None:
    if result._interpreter is not box._interpreter:
        raise TypeError(
            "assignment into a Tensor that belongs to an outer transform, of a value that "
            "belongs to an inner one; make a copy inside the inner transform (x = x + 0) or "
            "build the result with np.where"
        )


def _replace(box: Any, result: Any) -> None:
    """Put a new value in a box."""
    if result._payload is None and isinstance(box._payload, Leaf):
        box._value = result._value
        box._payload.assign(result._value)
        return
    if not hasattr(box, "_variable"):
        box._variable = box._payload
    box._value = result._value
    box._payload = result._payload


def update_views(base: Any, written: Index | None = None, but: Any = None) -> None:
    """Read again what shows the part of a base that was written, and what shows that."""
    for view in _showing(base, written, but):
        link = base_of(view)
        if link is not None:
            _read_again(view, link)


def _showing(base: Any, written: Index | None, but: Any = None) -> list[Any]:
    """Views in use that may show a part of a base, each after what it is a view of."""
    if not hasattr(base, "_views"):
        return []
    found = [
        view
        for view in views_of(base)
        if view is not but and overlap(written, _place_of(view), base.shape)
    ]
    for view in found:  # grows on the way
        found += views_of(view)
    return found


def _place_of(view: Any) -> Index | None:
    link = base_of(view)
    return None if link is None else link[1].place(link[2])


def _read_again(view: Any, link: Link) -> None:
    base, how, keywords = link
    with _recording(view):
        _replace(view, how.read(base, **keywords))


def _suspends(view: Any) -> bool:
    """Whether a view that something is differentiated through is updated without recording."""
    suspended = modes.open and view._interpreter.level < modes.no_grad_level
    return bool(suspended) and view._payload is not None


def _recording(view: Any) -> AbstractContextManager[None]:
    """A view of a variable stays one when the variable is updated without recording."""
    return modes.changed(no_grad_level=0) if _suspends(view) else nullcontext()


def _same_layout(box: Any, result: Any) -> bool:
    """Whether NumPy would make views of both alike: whether their strides are the same."""
    former, new = concrete(box), concrete(result)
    if is_foreign(former) and not hasattr(former, "strides"):
        return False
    return bool(getattr(former, "strides", ()) == getattr(new, "strides", ()))


def _laid_out(box: Any, result: Any) -> Any:
    """Updated value in the memory order of the former: what is a view of it depends on that."""
    if _same_layout(box, result):
        return result
    return assign(box, result, template=(Ellipsis,))


def augmented(operate: Callable[[Any, Any], Any], symbol: str) -> Callable[[Any, Any], Any]:
    """Build an augmented operator, ``x += y``, of a plain one, with NumPy's rules.

    The Tensor stays the same object, and so do its shape and dtype. A number has no memory to
    update: there the name is bound anew, as with NumPy's scalars.
    """

    def update(self: Any, other: Any) -> Any:
        result = operate(self, other)
        if result is NotImplemented or not is_memory(self) or not updates_in_place(concrete(self)):
            return result
        shape = self.shape
        own, spec = self.dtype, spec_of(result)
        if spec.shape != shape:
            raise ValueError(
                f"x {symbol} y: the result has shape {spec.shape}, which does not fit into x of "
                f"shape {shape}; write x = x {symbol[:-1]} y"
            )
        if spec.dtype != own:
            if not np.can_cast(spec.dtype, own, "same_kind"):
                raise TypeError(
                    f"x {symbol} y: the result has dtype {spec.dtype}, which does not fit into x "
                    f"of dtype {own}; write x = x {symbol[:-1]} y"
                )
            result = convert(result, dtype=own)
        write(self, result if not isinstance(result, Box) else _laid_out(self, result))
        return self

    return update
