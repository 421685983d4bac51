"""Views: which Tensors show the memory of which.

Where NumPy gives a view, a Tensor shows the memory of another, and an update of either is an update
of both. Values are never changed in memory, so somebody has to know: each view knows its base, the
Tensor that it was made of, and how; each base knows the views that are in use. `writing` follows
them when a Tensor is updated. What was a view and what was a copy NumPy decided itself: the values
share memory, or they do not.

Only Tensors that a program holds have bases and views. What an interpreter keeps is a `snapshot`,
and what it gives back of that is `handed_out` as a Tensor of the program's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import ref

from autodiff.core.arrays import ARRAY, copied, is_foreign
from autodiff.core.dispatch import Box, concrete
from autodiff.core.memory import memory_of, memory_order, shares_memory
from autodiff.core.primitive import Primitive

__all__ = [
    "View",
    "base_of",
    "handed_out",
    "is_memory",
    "origin",
    "overlap",
    "snapshot",
    "views_of",
]


class View:
    """A way to make a view, and to write through it.

    Parameters
    ----------
    read : Primitive or callable
        Gives the view: takes the base and keywords.
    write : callable, optional
        Gives the updated base: takes the base, the updated view, and the same keywords. Left out
        for views that NumPy makes read-only.
    place : callable, optional
        Takes the keywords; gives the index under which the base shows the view.
    copies : bool
        Whether `read` gives a copy although NumPy shows the base's own memory.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> x = ad.Tensor([[1.0, 2.0], [3.0, 4.0]]) * 1.0
    >>> row = x[0]
    >>> row *= 10.0
    >>> x
    Tensor([[10., 20.],
            [ 3.,  4.]])
    """

    __slots__ = ("copies", "place", "primitive", "read", "write")

    def __init__(
        self,
        read: Primitive | Callable[..., Any],
        write: Callable[..., Any] | None = None,
        place: Callable[[Mapping[str, Any]], tuple[Any, ...] | None] = lambda keywords: None,
        copies: bool = False,
    ) -> None:
        self.primitive = read if isinstance(read, Primitive) else None
        self.read: Callable[..., Any] = read.call if isinstance(read, Primitive) else read
        self.write = write
        self.place = place
        self.copies = copies

    def __call__(self, base: Any, **keywords: Any) -> Any:
        """Make the view, and note that it is one if the base is a Tensor."""
        if not isinstance(base, Box):
            return self.read(base, **keywords)
        primitive = self.primitive
        if primitive is None:
            view = self.read(base, **keywords)
        else:
            view = base._interpreter.process(primitive, (base,), keywords)
        if not isinstance(view, Box):
            return view
        shown = view._value
        if type(shown) is not ARRAY or view._interpreter.leading:
            shown = concrete(shown)
            is_known = type(shown) is ARRAY or is_foreign(shown)
            if not is_known or (shown.ndim and self._is_number(view, keywords)):
                return view
        owner = base._value
        if type(owner) is not ARRAY:
            owner = concrete(owner)
        if not self.copies and not _shares(shown, owner):
            return view
        # A view that nothing is differentiated through must not keep alive what was recorded
        holds = view._payload is not None or base._payload is None
        view._base = (base if holds else ref(base), self, keywords)
        try:
            views = base._views
        except AttributeError:
            views = base._views = _Views()
        views.append(ref(view))
        if len(views) > views.most:
            views.drop_dead()
        if views.detached and type(shown) is ARRAY and 2 * shown.nbytes <= owner.nbytes:
            _detach(view)
        return view

    def _is_number(self, view: Any, keywords: Mapping[str, Any]) -> bool:
        """Whether an axis of numbers is one for each example of a batch, and no view of any."""
        place = self.place(keywords)
        return not view.shape and place is not None and Ellipsis not in place


def _shares(shown: Any, owner: Any) -> bool:
    """Whether an array shows the memory of another."""
    if type(shown) is not ARRAY:
        return shares_memory(shown, owner)
    memory = shown.base
    if memory is owner or shown is owner:
        return True
    return memory is not None and memory_of(memory) is memory_of(owner)


class _Views(list[Any]):
    """Weak references to the views of a Tensor; those of views no longer in use go by and by.

    ``detached`` says that views get memory of their own: a tape that saves one would else keep all
    of the base's, once for each write.
    """

    __slots__ = ("detached", "most")

    def __init__(self) -> None:
        super().__init__()
        self.most = 8
        self.detached = False

    def drop_dead(self) -> None:
        """Forget the views that are no longer in use."""
        count = len(self)  # another thread may add to the end meanwhile
        self[:count] = [view for view in self[:count] if view() is not None]
        self.most = 2 * len(self) + 8


def _detach(view: Any) -> None:
    """Give a view memory of its own, if views of it can be told from copies there as well."""
    while isinstance(view._value, Box):
        view = view._value
    if memory_order(view._value) != "K":
        view._value = copied(view._value)


def base_of(view: Any) -> tuple[Any, View, Mapping[str, Any]] | None:
    """Base of a view, the way it was made, and its keywords; None for what is no view.

    Parameters
    ----------
    view : Tensor

    Returns
    -------
    base, View, keywords, or None
    """
    try:
        base, how, keywords = view._base
    except AttributeError:
        return None
    if type(base) is ref:
        base = base()
    return None if base is None or how is None else (base, how, keywords)


def views_of(base: Any) -> Iterator[Any]:
    """Views of a Tensor that are in use."""
    for reference in getattr(base, "_views", ()):
        view = reference()
        if view is not None:
            yield view


def is_memory(tensor: Any) -> bool:
    """Whether a Tensor is an array that can be written into, and no number."""
    return bool(tensor.shape) or base_of(tensor) is not None or is_foreign(concrete(tensor))


def overlap(
    one: tuple[Any, ...] | None, other: tuple[Any, ...] | None, shape: Sequence[int]
) -> bool:
    """Whether two indices may show one element: whether they meet on every axis that they name.

    Parameters
    ----------
    one, other : index, as a tuple, or None where it is not known
    shape : sequence of int
        Of what they are indices of.

    Examples
    --------
    >>> overlap((0,), (1,), (2, 3)), overlap((0,), (slice(1, None), 2), (2, 3))
    (False, False)
    >>> overlap((0,), (-2, slice(None)), (2, 3))
    True
    """
    if one is None or other is None:
        return True
    for first, second, length in zip(one, other, shape, strict=False):
        if type(first) not in _SIMPLE or type(second) not in _SIMPLE:
            break
        (start, stop), (low, high) = _extent(first, length), _extent(second, length)
        if stop <= low or high <= start:
            return False
    return True


_SIMPLE = frozenset({int, slice})
"""Types of the entries of an index that stand for one axis and say at once what they show of it."""


def _extent(entry: Any, length: int) -> tuple[int, int]:
    """Lowest place that an entry shows of its axis, and the one behind the highest."""
    if type(entry) is int:
        place = entry + length if entry < 0 else entry
        return place, place + 1
    places = range(length)[entry]
    return (min(places[0], places[-1]), max(places[0], places[-1]) + 1) if places else (0, 0)


def snapshot(value: Any) -> Any:
    """Give what an interpreter may keep of a value: a Tensor that no program holds.

    A program may update its Tensors, and what an interpreter saved must stay as it was seen.
    Anything but a Tensor is given back as it is. A snapshot knows its `origin`.

    Parameters
    ----------
    value : Tensor, array or number

    Examples
    --------
    >>> import autodiff as ad
    >>> x = ad.Tensor([1.0, 2.0])
    >>> kept = snapshot(x)
    >>> with ad.no_grad():
    ...     x += 5.0
    >>> kept
    Tensor([1., 2.])
    >>> origin(kept) is x
    True
    """
    if not isinstance(value, Box):
        return value
    kept = value._interpreter.make(value._value, value._payload)
    kept._base = (origin(value), None, {})
    return kept


def handed_out(value: Any) -> Any:
    """Give what a program may hold of a value that an interpreter keeps: a Tensor of its own."""
    return (
        value._interpreter.make(value._value, value._payload) if isinstance(value, Box) else value
    )


def origin(value: Any) -> Any:
    """Tensor of the program that a snapshot was taken of; anything else itself."""
    link = getattr(value, "_base", None)
    return link[0] if link is not None and link[1] is None else value
