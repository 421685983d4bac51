"""Recording what is to be compiled: arrays, numbers and outside Tensors become inputs of a tape.

The program computes on the recorder's boxes what it computes on arrays. Three things are other than
for `record`. A Python number stays weak: it takes the dtype of what it meets, as in NumPy. A Tensor
that the program uses from outside becomes an input when it is first met. And where the program
needs the value of a number itself (``range(n)``, ``math.sqrt(c)``) or of a mask, the tape gets a
guard, which makes another path for another value.
"""

from __future__ import annotations

import os.path
import sys
from types import FrameType
from typing import Any

import numpy as np

from autodiff.compiler.signatures import fits
from autodiff.core.arrays import ARRAY, SCALARS, as_value, is_array, is_foreign, is_number
from autodiff.core.dispatch import Box, Interpreter, concrete
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.core.spec import is_inexact, spec_of
from autodiff.errors import CompileError
from autodiff.interpret.call_sites import is_library
from autodiff.ops import elementwise as ew
from autodiff.ops.operands import as_input
from autodiff.tape.calls import Calls
from autodiff.tape.staging import Stage
from autodiff.tensor import Tensor
from autodiff.transforms.closure import example
from autodiff.transforms.scan.layout import Grown
from autodiff.views import origin

__all__ = ["Number", "Recorder", "recording"]

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


class Traced(Tensor):
    """A Tensor of a recorder, which stands for an array: to the program it is one.

    Not for an array of another library: its own code asks the same, to hand over what is none.
    """

    __slots__ = ()

    def _seen_as(self) -> type:
        """What ``isinstance`` in a program asks; this package and NumPy see what it is."""
        caller = sys._getframe(1).f_code
        if is_library(caller.co_filename) and caller.co_name != "isscalar":
            return type(self)
        return self._stands_for()

    __class__ = property(_seen_as)

    def _stands_for(self) -> type:
        if is_foreign(concrete(self)):
            return type(self)
        return ARRAY if self.shape else self.dtype.type

    def __repr__(self) -> str:
        return repr(concrete(self))

    def __str__(self) -> str:
        return str(concrete(self))


class Number(Traced):
    """A Python number that a compiled function was called with, or reads from outside."""

    __slots__ = ()

    def _stands_for(self) -> type:
        return _KINDS[self.dtype.kind]

    def __repr__(self) -> str:
        return repr(_python(self))

    def __str__(self) -> str:
        if self.dtype.kind == "i":  # names something, more likely than not
            return str(int(self))
        return str(_python(self))

    def __hash__(self) -> int:
        return hash(as_value(self._interpreter.expose(self, "hash()")).item())

    def _number(self, converter: str) -> Any:
        return self._interpreter.expose(self, f"{converter}()")

    def __index__(self) -> int:
        if self.dtype.kind != "i":
            raise TypeError("'float' object cannot be interpreted as an integer")
        return int(self._interpreter.expose(self, "int()"))


class Recorder(Stage):
    """Writes down what a function computes, with what it uses from outside as inputs.

    Attributes
    ----------
    captured : list of Tensor
        Outside Tensors that were met while recording, in the order of their inputs.
    raised : Exception or None
        The last error of an operation: a program that goes on after it took a way that no guard
        tells of.
    """

    guards_masks = True

    def __init__(self) -> None:
        super().__init__(Traced, Calls())
        self.captured: list[Any] = []
        self.raised: Exception | None = None
        self._known: dict[int, tuple[Any, int]] = {}

    def number(self, value: Any, name: str | None) -> Any:
        """Box a Python number as an input."""
        box = object.__new__(Number)
        box._value = as_value(value)
        box._interpreter = self
        box._payload = self.builder.input(spec_of(box._value), name)
        return box

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate a primitive and append an entry."""
        here = modes.here
        if here.debug:
            raise CompileError(
                "compile: ad.debug() inside a compiled function looks at each number of one call "
                "alone; open it around the call, which then runs as it is written"
            )
        inner = here.capture
        if inner is not None and self.level < inner.level:
            return inner.process(primitive, inputs, params)
        numbers = any(type(value) is Number for value in inputs)
        if numbers and primitive in _DIVISIONS and all(map(_is_weak, inputs)) and _by_operator():
            divisor = inputs[1]
            if not (divisor if type(divisor) is not Number else ew.not_equal.call(divisor, 0)):
                raise ZeroDivisionError("division by zero")
        if any(type(value) is int and not fits(value) for value in inputs):
            inputs = _without_large(inputs)
        if numbers:
            inputs = tuple([as_input(value, primitive, inputs) for value in inputs])
            given, inputs = inputs, self._promoted(primitive, inputs, params)
        try:
            out = super().process(primitive, inputs, params)
        except Grown:  # The scan asks its own transform to go again, and is always answered
            raise
        except Exception as error:
            self.raised = error
            raise
        if self.level < here.no_grad_level:
            return self._constants(out)
        if numbers and primitive in _ARITHMETIC and all(map(_is_weak, given)) and _by_operator():
            return self._weakened(out)
        return out

    def process_unary(self, primitive: Primitive, x: Any) -> Any:
        """Evaluate a primitive of one input and append an entry."""
        if type(x) is not Traced:
            return self.process(primitive, (x,), {})
        try:
            return super().process_unary(primitive, x)
        except Exception as error:
            self.raised = error
            raise

    def process_binary(self, primitive: Primitive, x: Any, y: Any) -> Any:
        """Evaluate a primitive of two inputs and append an entry."""
        if not (type(x) in _SIMPLE and type(y) in _SIMPLE):
            return Interpreter.process_binary(self, primitive, x, y)
        try:
            return super().process_binary(primitive, x, y)
        except Exception as error:
            self.raised = error
            raise

    def operand(self, value: Any) -> tuple[Any, int]:
        """Value and slot of an input: of an outside Tensor an input of the tape."""
        if not isinstance(value, Box):
            return super().operand(value)
        value, own = self.unbox(value)
        if own is not None or not isinstance(value, Box):
            return (value, own) if own is not None else super().operand(value)
        met = origin(value)
        if id(met) not in self._known:
            self.captured.append(met)
            shown = example(met)
            self._known[id(met)] = shown, self.builder.input(spec_of(shown), None, "parameter")
        return self._known[id(met)]

    def below(self, value: Any) -> Any:
        """What the program's value is below: its own, or what stands for an outside Tensor."""
        value, own = self.unbox(value)
        if own is not None or not isinstance(value, Box):
            return value
        return self.operand(value)[0]

    def _promoted(
        self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]
    ) -> tuple[Any, ...]:
        """Inputs in which Python's numbers have the dtype that they take in NumPy."""
        strong = [spec_of(value).dtype for value in inputs if not _is_weak(value)]
        if not strong:
            return inputs
        if primitive is ew.power and type(inputs[1]) is Number and inputs[1].dtype.kind == "i":
            return self._looked_at(inputs)  # a power by an integer is a product
        plain = [_python(value) if _is_weak(value) else value for value in inputs]
        if not primitive.has_partials:
            # Whatever the function does with a Python number, it may do other things with NumPy's
            one = primitive.call(*[self.unbox(value)[0] for value in plain], **params)
            other = primitive.call(*[self.unbox(value)[0] for value in inputs], **params)
            return inputs if _specs(one) == _specs(other) else self._looked_at(inputs)
        weak = [value for value, given in zip(plain, inputs, strict=True) if _is_weak(given)]
        target = np.result_type(*strong, *weak)
        if target == np.result_type(*[spec_of(value).dtype for value in inputs]):
            return inputs
        if not is_inexact(target):
            return self._looked_at(inputs)
        return tuple(
            super(Recorder, self).process(ew.convert, (value,), {"dtype": target})
            if type(value) is Number
            else value
            for value in inputs
        )

    def _looked_at(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Inputs with Python's numbers themselves, each guarded."""
        return tuple(
            as_value(self.expose(value, "the number")).item() if type(value) is Number else value
            for value in inputs
        )

    def _weakened(self, out: Any) -> Any:
        """What Python computes of its numbers is one again."""
        box = object.__new__(Number)
        box._value, box._interpreter, box._payload = out._value, self, out._payload
        return box

    def _constants(self, out: Any) -> Any:
        """Results under `no_grad`, through which no derivative passes."""
        if isinstance(out, tuple):
            return tuple(map(self._constants, out))
        if not is_inexact(out.dtype):
            return out
        return super().process(ew.stop_gradient, (out,), {})


_SIMPLE = frozenset({Traced, float, *SCALARS, ARRAY})
"""What needs none of the recorder's care; a Python integer may be too large for an array."""

_ARITHMETIC = frozenset(
    {
        *(ew.add, ew.subtract, ew.multiply, ew.divide, ew.floor_divide, ew.remainder),
        *(ew.power, ew.negative, ew.positive, ew.absolute),
    }
)


_DIVISIONS = frozenset({ew.divide, ew.floor_divide, ew.remainder})
_KINDS = {"f": float, "c": complex, "i": int}


def _without_large(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Inputs with floats for integers that NumPy has none for; beside integers it refuses them."""
    others = [spec_of(v).dtype for v in inputs if not (type(v) is int and not fits(v))]
    if not others or not is_inexact(np.result_type(*others)):
        return inputs
    return tuple([float(v) if type(v) is int and not fits(v) else v for v in inputs])


def _is_weak(value: Any) -> bool:
    """Whether a value is a Python number, or stands for one."""
    return type(value) is Number or (is_number(value) and not is_array(value))


def _python(value: Any) -> Any:
    return value._value.item() if type(value) is Number else value


def _specs(out: Any) -> Any:
    return tuple(map(spec_of, out)) if isinstance(out, tuple) else spec_of(out)


def _by_operator() -> bool:
    """Whether an operation was written as an operator, and not as a function of NumPy."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_code.co_name in ("__array_ufunc__", "__array_function__"):
            return False
        frame = frame.f_back
    return True


def recording() -> bool:
    """Whether a function is being recorded to be compiled, here and now."""
    return bool(modes.open) and isinstance(modes.capture, Recorder)
