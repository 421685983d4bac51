"""Levels, the interpreter protocol, and the transforms a thread has open.

Every transform in progress owns an `Interpreter` with a level; a `Box` is a value as one
interpreter sees it. A primitive called on boxes asks the interpreter with the highest level, the
innermost transform, which unwraps its own boxes and calls the primitive again on what is below.
Levels come from one counter: an inner transform always starts after the outer one, so a higher
level is always further inside, in any thread, and two transforms can never be confused.
"""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from autodiff.collecting import go_on, slow_down
from autodiff.core.modes import modes
from autodiff.errors import EscapedTensorError

if TYPE_CHECKING:
    from autodiff.core.primitive import Primitive

__all__ = [
    "Box",
    "Interpreter",
    "concrete",
    "depends",
    "innermost",
    "open_scope",
    "set_name",
    "thread_state",
]

R = TypeVar("R", bound="Interpreter")

_next_level = itertools.count(1).__next__


class Box:
    """A value as one interpreter sees it; `Tensor` gives it operators.

    ``_value`` is what the next lower level sees (at the outermost level: an array or a NumPy
    scalar), ``_interpreter`` owns the box, and ``_payload`` is what that interpreter attaches to
    the value: a tape node, a tangent, a batch size, a tape variable; None marks a constant.
    ``_variable`` is the first payload of a box that was assigned to; ``_base`` and ``_views`` tell
    with which boxes it shares memory (see `autodiff.views`).
    """

    # fmt: off
    __slots__ = ("__weakref__", "_base", "_interpreter", "_payload", "_value", "_variable",
                 "_views")
    # fmt: on

    _value: Any
    _interpreter: Interpreter
    _payload: Any
    _variable: Any
    _base: Any
    _views: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes that the program sees."""
        shape: tuple[int, ...] = self._value.shape
        return shape[self._interpreter.leading :]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        dtype: np.dtype[Any] = self._value.dtype
        return dtype


class Interpreter:
    """One way to evaluate primitives; a transform in progress has one.

    Subclasses define `process`. The arity-specific entries exist because nearly every operation
    has one or two inputs and no parameters, and packing a tuple and a dictionary for those costs
    as much as the arithmetic on a small array.
    """

    transform = "transform"
    observes = False
    """Whether it is told what reverse mode records and sweeps, once it is open."""
    leading = 0
    """How many leading axes of ``_value`` the program does not see (the batch axis of vmap)."""
    closed = False
    """Whether the transform has returned."""
    leaves_constants = False
    """Whether boxes stand for their values then, instead of being an error."""
    guards_masks = False
    """Whether a mask of this interpreter is looked at where it stands for an index."""

    def __init__(self, box: type[Box], level: int | None = None) -> None:
        self.box = box
        self.level = _next_level() if level is None else level
        self.asks = level != 0
        """Whether a value below may be other than NumPy's: a box, or an array to be adapted."""

    def make(self, value: Any, payload: Any) -> Any:
        """Box a value at this level."""
        box = object.__new__(self.box)
        box._value = value
        box._interpreter = self
        box._payload = payload
        return box

    def constant(self, value: Any) -> Any:
        """Box a value that depends on nothing of this level, to be written into."""
        return self.make(value, None)

    def carries(self, box: Box) -> bool:
        """Whether a box depends on what this interpreter was opened for."""
        return box._payload is not None

    def unbox(self, value: Any) -> tuple[Any, Any]:
        """Take apart what a function returned: the value below this level, and its payload.

        The payload is None for a constant, and for what is no box of this interpreter.
        """
        while isinstance(value, Box):
            if value._interpreter is self:
                return value._value, value._payload
            if value._interpreter.level <= self.level:
                break
            value = value._value
        return value, None

    def expose(self, box: Box, reader: str) -> Any:
        """Return the plain array under a box, for a `reader` that leaves the program."""
        value = box._value
        return value._interpreter.expose(value, reader) if isinstance(value, Box) else value

    def backward(self, box: Box, gradient: Any, keep_tape: bool, keep_grads: bool) -> None:
        """Run a backward sweep from a box; only reverse mode has one."""
        raise TypeError(
            f"backward() on a Tensor inside {self.transform}: it carries no tape of its own; use "
            "grad or vjp there"
        )

    def rename(self, box: Box, name: str | None) -> bool:
        """Name what a box stands for, in listings and pictures; False where names are not kept."""
        return False

    def name_of(self, box: Box) -> str | None:
        """Name of what a box stands for."""
        return None

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate `primitive`; at least one of `inputs` is a box of this interpreter."""
        raise TypeError(f"{type(self).__name__} does not define process()")

    def process_unary(self, primitive: Primitive, x: Any) -> Any:
        """Evaluate a primitive of one input and no parameters."""
        return self.process(primitive, (x,), {})

    def process_binary(self, primitive: Primitive, x: Any, y: Any) -> Any:
        """Evaluate a primitive of two inputs and no parameters.

        Called on the interpreter of whichever input is a box (the first, if both are): it hands
        over to the other input's if that is further inside.
        """
        interpreter = innermost((x, y))
        if interpreter is self or interpreter is None:
            return self.process(primitive, (x, y), {})
        return interpreter.process(primitive, (x, y), {})

    def stands_for(self, values: Iterable[Any]) -> bool:
        """Whether it has a value to put in the place of one of these boxes of outer levels."""
        return False

    def capturing(self) -> Interpreter | None:
        """Return the interpreter that operations of this level are handed to, if one is open."""
        capture = modes.capture if modes.open else None
        return capture if capture is not None and self.level < capture.level else None

    def is_hindered(self) -> bool:
        """Whether an open mode concerns operations of this level: then the short ways do not do."""
        here = modes.here
        concerned = max(here.no_grad_level, here.capture.level if here.capture else 0)
        return here.debug or self.level < concerned

    def close(self) -> None:
        """Make every later use of this interpreter's boxes an error.

        Replacing the entries costs the live path nothing; a flag would be tested at each operation.
        They do not refer to the interpreter, or it and all it recorded would outlive its use until
        the garbage collector finds the cycle.
        """
        level, transform, constants = self.level, self.transform, self.leaves_constants
        self.closed = True

        def escaped(primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
            capture = modes.capture if modes.open else None
            if capture is not None and level >= capture.level:
                capture = None
            if constants and (capture is None or not capture.stands_for(inputs)):
                return primitive.call(*map(_left_over, inputs), **params)
            if capture is not None:
                interpreter = innermost(inputs)
                if interpreter is not None and interpreter.level > capture.level:
                    return interpreter.process(primitive, inputs, params)
                return capture.process(primitive, inputs, params)
            raise EscapedTensorError(
                f"{primitive.name}: an input is a Tensor that escaped from the "
                f"{transform} that made it, which has returned. Return the value from the "
                "function instead of storing it, or store stop_gradient(tensor).data"
            )

        entries: dict[str, Callable[..., Any]] = {
            "process": escaped,
            "process_unary": lambda primitive, x: escaped(primitive, (x,), {}),
            "process_binary": lambda primitive, x, y: escaped(primitive, (x, y), {}),
        }
        for name, entry in entries.items():
            setattr(self, name, entry)


def _left_over(value: Any) -> Any:
    """Value under boxes that their transforms left as constants."""
    while isinstance(value, Box) and value._interpreter.closed:
        value = value._value
    return value


class _ThreadState(threading.local):
    """Transforms that are running in this thread. Each thread starts clean."""

    def __init__(self) -> None:
        self.open_transforms: list[OpenTransform] = []


thread_state = _ThreadState()


class OpenTransform:
    """A transform in progress in this thread.

    Variables made inside a transform (``Tensor(...)``) belong to an imperative interpreter of that
    scope: it is further inside than the transform, so the transform can differentiate through a
    whole imperative program, its ``backward()`` included. A ``with`` block holds it open, and on
    any way out closes the transform and what was made inside it.
    """

    __slots__ = ("imperative", "interpreter", "slows")

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.imperative: Any = None
        self.slows = False

    def __enter__(self) -> None:
        thread_state.open_transforms.append(self)

    def __exit__(self, *error: object) -> None:
        thread_state.open_transforms.remove(self)
        self.interpreter.close()
        if self.imperative is not None:
            self.imperative.close()
        if self.slows:
            go_on(self.interpreter.observes)


def _collected(phase: str, info: dict[str, int], state: _ThreadState = thread_state) -> None:
    """Slow the collector down where a transform has run through several collections."""
    # Every so many of the youngest objects an older generation is looked at
    if phase == "stop" and info["generation"] and state.open_transforms:
        outermost = state.open_transforms[0]
        if not outermost.slows:
            outermost.slows = slow_down(outermost.interpreter.observes)


gc.callbacks.append(_collected)

open_scope = OpenTransform
"""Hold a transform open for a ``with`` block."""


def imperative_interpreter(root: R, make: Callable[[], R]) -> R:
    """Return the interpreter for variables made here: `root`, or the innermost scope's own."""
    transforms = thread_state.open_transforms
    if not transforms:
        return root
    innermost_transform = transforms[-1]
    if innermost_transform.imperative is None:
        innermost_transform.imperative = make()
    interpreter: R = innermost_transform.imperative
    return interpreter


def innermost_opened() -> Interpreter | None:
    """Return the interpreter of the transform that is running in this thread."""
    transforms = thread_state.open_transforms
    return transforms[-1].interpreter if transforms else None


def observer() -> Any:
    """Return the innermost recorder of this thread that is told what reverse mode does, if any."""
    for transform in reversed(thread_state.open_transforms):
        if transform.interpreter.observes:
            return transform.interpreter
    return None


def next_level() -> int:
    """Return a level above every one handed out so far."""
    return _next_level()


def innermost(inputs: Iterable[Any]) -> Interpreter | None:
    """Return the highest-level interpreter among the inputs, or None if none is a box."""
    top: Interpreter | None = None
    for value in inputs:
        if isinstance(value, Box):
            interpreter = value._interpreter
            if top is None or interpreter.level > top.level:
                top = interpreter
    return top


def depends(value: Any) -> bool:
    """Whether a value depends on what an interpreter at any level was opened for."""
    while isinstance(value, Box):
        if value._interpreter.carries(value):
            return True
        value = value._value
    return False


def set_name(value: Any, name: str | None) -> bool:
    """Name a value for all interpretations that see it; False if none keeps names."""
    named = False
    while isinstance(value, Box):
        named |= value._interpreter.rename(value, name)
        value = value._value
    return named


def concrete(value: Any) -> Any:
    """Unwrap every level: the array or NumPy scalar underneath."""
    while isinstance(value, Box):
        value = value._value
    return value
