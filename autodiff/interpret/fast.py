"""The fast path of recording: operations of one or two inputs without parameters.

Nearly every operation of a program is one of these, and on a small array the arithmetic takes less
time than the bookkeeping around it. So this module does what `Reverse.process` does for them, with
what a small array would notice left out. It exists for speed alone: whatever is out of the ordinary
(a mode, a constant, a first use, an inner transform) is handed to `process`, which is complete.

- A function that hangs on an object is put in a local variable before it is called: Python
  3.11 has a fast path for methods of a class, and one for reading an attribute, but none for
  calling what it reads.
- Making an array's form, (shape, dtype), costs as much as recording a number. Where the
  primitive is `closed`, operands of one form give that form, so it is handed on; equal forms
  are made one object on the way, and from then on compared by identity, in the sweep too.
- The two branches for a plain operand, on the right and on the left, mirror each other. Merged,
  with a flag for the side, they take three to six per cent more instructions.
"""

from __future__ import annotations

from typing import Any

from autodiff.core.arrays import ARRAY, PLAIN, SCALARS
from autodiff.core.dispatch import Interpreter
from autodiff.core.faults import FAULTS
from autodiff.core.memory import protected
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import Spec
from autodiff.interpret.graph import Node, next_sequence
from autodiff.interpret.roots import of_square
from autodiff.ops.elementwise import multiply, square

__all__ = ["FastRecording"]

_NO_PARAMS: dict[str, Any] = {}
_PLAIN = PLAIN
_new = object.__new__
_array = ARRAY
_SCALARS = SCALARS
_next_sequence = next_sequence
_square = square
_multiply = multiply


class FastRecording(Interpreter):
    """Records operations of one or two inputs; `Reverse` adds all others."""

    def process_unary(self, primitive: Primitive, x: Any) -> Any:
        """Record a primitive of one input and no parameters."""
        parent = x._payload
        pullback = primitive.pullback_unary
        if pullback is None or parent is None or (modes.open and self.is_hindered()):
            return self.process(primitive, (x,), _NO_PARAMS)
        value = x._value
        # Where NumPy's arrays lie below, the function itself can be called.
        if self.asks and type(value) not in _PLAIN:
            out = primitive.call(value)
        else:
            try:
                forward = primitive.forward
                out = forward(value)
            except FAULTS as error:
                raise primitive.explained(error, value) from error
        node = Node()
        node.sequence = _next_sequence()
        node.pullback = pullback
        node.parents = (parent,)
        if pullback.saves_inputs:
            node.saved = (value,)
            if primitive is _square:
                above = parent.pullback
                if above is not None and above.is_root:
                    node.pullback = of_square(pullback)
        elif pullback.saves_out:
            node.saved = (out,)
        else:
            save = pullback.save
            node.saved = save(out, _NO_PARAMS, value)
        kind = type(out)
        form = parent.form
        if kind is not form and not (
            primitive.closed
            and (kind is _array or (kind is self.box and type(form) is tuple))
            and out.dtype is form[1]
        ):
            form = kind if kind in _SCALARS else (out.shape, out.dtype)
        node.form = form
        box = _new(self.box)
        box._value = out
        box._interpreter = self
        box._payload = node
        return box

    def process_binary(self, primitive: Primitive, x: Any, y: Any) -> Any:
        """Record a primitive of two inputs and no parameters."""
        pullback: Pullback | None
        if type(y) is self.box and y._interpreter is self:
            y_parent = y._payload
            y_value = y._value
            if type(x) is self.box and x._interpreter is self:
                x_parent = x._payload
                x_value = x._value
                pullback = primitive.pullback_both
                if (
                    pullback is None
                    or x_parent is None
                    or y_parent is None
                    or (modes.open and self.is_hindered())
                ):
                    return self.process(primitive, (x, y), _NO_PARAMS)
                form = x_parent.form
                if form is not y_parent.form:
                    if form == y_parent.form:
                        y_parent.form = form  # one object: identity decides from now on
                    else:
                        form = None
                elif x_parent is y_parent and primitive is _multiply:
                    above = x_parent.pullback
                    if above is not None and above.is_root:
                        pullback = of_square(pullback)
            else:
                if type(x) not in _PLAIN:
                    return super().process_binary(primitive, x, y)
                pullback = primitive.pullback_second
                if pullback is None or y_parent is None or (modes.open and self.is_hindered()):
                    return self.process(primitive, (x, y), _NO_PARAMS)
                x_value = x_parent = x
                form = y_parent.form
                if type(x) is _array:
                    if x.dtype.kind not in "fciub":
                        return self.process(primitive, (x, y), _NO_PARAMS)
                    x_parent = Spec(x.shape, x.dtype)
                    if form != x_parent:
                        form = None
                    if pullback.saves[0]:
                        x_value = protected(x)
        else:
            if type(y) not in _PLAIN:
                return super().process_binary(primitive, x, y)
            pullback = primitive.pullback_first
            x_parent = x._payload
            if pullback is None or x_parent is None or (modes.open and self.is_hindered()):
                return self.process(primitive, (x, y), _NO_PARAMS)
            x_value = x._value
            y_value = y_parent = y
            form = x_parent.form
            if type(y) is _array:
                if y.dtype.kind not in "fciub":
                    return self.process(primitive, (x, y), _NO_PARAMS)
                y_parent = Spec(y.shape, y.dtype)
                if form != y_parent:
                    form = None
                if pullback.saves[1]:
                    y_value = protected(y)
        if self.asks and not (type(x_value) in _PLAIN and type(y_value) in _PLAIN):
            out = primitive.call(x_value, y_value)
        else:
            try:
                forward = primitive.forward
                out = forward(x_value, y_value)
            except FAULTS as error:
                raise primitive.explained(error, x_value, y_value) from error
        node = Node()
        node.sequence = _next_sequence()
        node.pullback = pullback
        node.parents = (x_parent, y_parent)
        if pullback.saves_inputs:
            node.saved = (x_value, y_value)
        elif pullback.names:
            save = pullback.save
            node.saved = save(out, _NO_PARAMS, x_value, y_value)
        else:
            node.saved = ()
        kind = type(out)
        if kind is not form and not (
            primitive.closed
            and (kind is _array or kind is self.box)
            and type(form) is tuple
            and out.dtype is form[1]
        ):
            form = kind if kind in _SCALARS else (out.shape, out.dtype)
        node.form = form
        box = _new(self.box)
        box._value = out
        box._interpreter = self
        box._payload = node
        return box
