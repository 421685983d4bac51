"""Values under Tensors, and functions that a package declares as primitives.

A primitive here is a function with rules of its own: one call of it becomes one operation of this
engine, whose rules are the package's. Rules are looked up when they are needed, by the function, in
the tables `primitive_vjps` and `primitive_jvps`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from autodiff.compat.autograd.array_types import TypeMappings, plain_array
from autodiff.compat.autograd.overruling import Overruled, interpose, overrule
from autodiff.compat.autograd.primitives import (
    PrimitiveCall,
    SparseObject,
    holds_boxes,
    primitive_jvps,
    primitive_vjps,
)
from autodiff.compat.autograd.util import subvals, toposort
from autodiff.compat.autograd.wrap_util import wraps
from autodiff.core.arrays import as_value
from autodiff.core.dispatch import Box as EngineBox
from autodiff.core.dispatch import Interpreter, concrete, open_scope
from autodiff.interpret.reverse import recorder
from autodiff.tape.entries import Variable
from autodiff.tensor import Tensor
from autodiff.transforms.record import record

__all__ = [
    "Box",
    "JVPNode",
    "Node",
    "SparseObject",
    "TraceStack",
    "VJPNode",
    "getval",
    "give_rule",
    "isbox",
    "new_box",
    "notrace_primitive",
    "primitive",
    "primitive_jvps",
    "primitive_vjps",
    "register_notrace",
    "subvals",
    "toposort",
    "trace",
    "trace_stack",
]

Function = Callable[..., Any]
Values = Sequence[Any]


class _BoxType(type):
    """Tensors are instances of the classes that packages ask for."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) or super().__instancecheck__(instance)


class Box(metaclass=_BoxType):
    """What a function sees while it is differentiated: a Tensor, of this engine.

    Packages ask ``isinstance(x, Box)``, and read ``x._value``. A class with a constructor of its
    own is made of a value, a trace and a node; this one and `ArrayBox` give a Tensor then.
    """

    type_mappings: ClassVar[TypeMappings] = TypeMappings()
    types: ClassVar[set[type]] = set()

    def __new__(cls, value: Any, trace: Any, node: Any) -> Any:
        """Box a value in a trace; see `new_box`."""
        return _boxed(value, trace)

    @classmethod
    def register(cls, value_type: type) -> None:
        """Let a type of values be differentiated; here containers and arrays are."""
        Box.types.add(cls)
        Box.type_mappings[value_type] = cls


class Node:
    """A step of a trace of a package's own; see `trace`."""

    __slots__: list[str] = []

    def __init__(
        self,
        value: Any,
        fun: Function,
        args: Any,
        kwargs: dict[str, Any],
        parent_argnums: Sequence[int],
        parents: Sequence[Any],
    ) -> None:
        raise TypeError(f"{type(self).__name__} must define __init__ to be traced with")

    def initialize_root(self, *args: Any, **kwargs: Any) -> None:
        """Set up the node of the input."""
        raise TypeError(f"{type(self).__name__} must define initialize_root to be traced with")

    @classmethod
    def new_root(cls, *args: Any, **kwargs: Any) -> Any:
        """Node of the input."""
        root = cls.__new__(cls)
        root.initialize_root(*args, **kwargs)
        return root


class VJPNode(Node):
    """The kind of trace of reverse mode, as packages name it; a root says that a trace begins."""

    def initialize_root(self, *args: Any, **kwargs: Any) -> None:
        """Set up the node of the input, which has nothing to tell here."""


class Recorded:
    """What ``box._node`` is: a place in a trace, from which `core.backward_pass` goes back."""

    def __init__(self, box: Any) -> None:
        self.box = box


class JVPNode(Node):
    """The kind of trace of forward mode, as packages name it."""


def trace(start_node: Any, fun: Function, x: Any) -> tuple[Any, Any]:
    """Evaluate a function, and make a node of a package's own for each of its operations.

    Parameters
    ----------
    start_node : Node
        Of the input; those of operations are of its class.
    fun : function of one argument
    x : array, number or container

    Returns
    -------
    value : what the function returned, an array or a number
    node : Node or None
        Of the operation that computed it; None if it does not depend on `x`.

    Examples
    --------
    >>> import numpy as np
    >>> class Printing(Node):
    ...     def __init__(self, value, fun, args, kwargs, parent_argnums, parents):
    ...         print(fun.__name__, args, value)
    ...
    ...     def initialize_root(self): ...
    >>> value, node = trace(Printing.new_root(), lambda x: np.sqrt(x + 1.0), 3.0)
    add (np.float64(3.0), 1.0) 4.0
    sqrt (np.float64(4.0),) 2.0
    """
    tape = record(fun)(x)
    values = dict(tape.values())
    nodes: dict[Any, Any] = dict.fromkeys(tape.inputs, start_node)

    def value_of(operand: Any) -> Any:
        return values[operand] if isinstance(operand, Variable) else operand.value

    for entry in tape:
        argnums = tuple(i for i, operand in enumerate(entry.inputs) if operand in nodes)
        if not argnums:
            continue
        args = tuple(map(value_of, entry.inputs))
        parents = tuple(nodes[entry.inputs[i]] for i in argnums)
        for output in entry.outputs:
            nodes[output] = type(start_node)(
                values[output], entry.primitive, args, dict(entry.params), argnums, parents
            )
    (out,) = tape.outputs
    return value_of(out), nodes.get(out)


def give_rule(rules: dict[Any, Function], fun: Function, rule: Function) -> None:
    """Put a rule into a table, and have it looked up there for a function of this engine's."""
    if isinstance(fun, Overruled):
        fun = fun.function
    elif not getattr(fun, "_is_autograd_primitive", False):
        overrule(fun)
    rules[fun] = rule


def isbox(x: Any) -> bool:
    """Whether a value is a Tensor of a function that is being differentiated."""
    return isinstance(x, EngineBox)


def getval(x: Any) -> Any:
    """Array or number under a Tensor, and under the Tensors of all transforms around it."""
    return concrete(x) if isinstance(x, EngineBox) else x


class _Boxes(tuple[Any, ...]):
    """Tensors of a tuple that was boxed, and their trace."""

    _trace: Any


class _Numbered(threading.local):
    """Traces of a thread that packages name by numbers, without opening them."""

    def __init__(self) -> None:
        self.traces: dict[int, Interpreter] = {}


_numbered = _Numbered()


def new_box(value: Any, trace: Any, node: Any) -> Any:
    """Box an array, a number or a tuple in a trace of `trace_stack`, or in one by its number.

    Its operations are this engine's; `core.backward_pass` goes back to it from a box's ``_node``.
    """
    if type(trace) is int:
        trace = _numbered.traces.setdefault(trace, recorder(Tensor))
        interpose(trace)
    if isinstance(value, tuple):
        boxes = _Boxes(new_box(part, trace, node) for part in value)
        boxes._trace = trace
        return boxes
    return Box.type_mappings.get(type(value), Box)(value, trace, node)


def _boxed(value: Any, trace: Any) -> Any:
    value = plain_array(value)
    if trace is None:
        return value
    if not isinstance(trace, Interpreter):
        raise TypeError("new_box: the trace must be one that trace_stack.new_trace() gave")
    return trace.variable(as_value(value))  # type: ignore[attr-defined] # see `TraceStack`


class TraceStack:
    """Traces that a package opens itself, to see what depends on what: ``box._trace``."""

    @contextmanager
    def new_trace(self) -> Iterator[Any]:
        """Open a trace, for ``new_box(value, trace, node)``."""
        interpreter = recorder(Tensor)
        with open_scope(interpreter):
            yield interpreter


trace_stack = TraceStack()

# Packages compare the traces of boxes, to see what depends on what, and go back from their nodes.
setattr(Tensor, "_trace", property(lambda self: self._interpreter))  # noqa: B010 not declared there
setattr(Tensor, "_node", property(Recorded))  # noqa: B010 likewise


def notrace_primitive(f_raw: Function) -> Function:
    """Function that sees the values of Tensors, and has no derivative."""

    @wraps(f_raw)
    def f_wrapped(*args: Any, **kwargs: Any) -> Any:
        return f_raw(*map(getval, args), **kwargs)

    f_wrapped._is_primitive = True  # type: ignore[attr-defined] # what packages look at
    return f_wrapped


def register_notrace(trace_type: type, primitive_fun: Function) -> None:
    """Declare that a primitive has no derivative in one kind of trace: it is zero."""
    if issubclass(trace_type, JVPNode):
        give_rule(primitive_jvps, primitive_fun, _no_tangent)
    else:
        give_rule(primitive_vjps, primitive_fun, _no_cotangents)


def _no_cotangents(argnums: Sequence[int], ans: Any, args: Any, kwargs: Any) -> Function:
    return lambda g: [None] * len(argnums)


def _no_tangent(argnums: Sequence[int], gs: Values, ans: Any, args: Any, kwargs: Any) -> None:
    return None


def primitive(f_raw: Function) -> Function:
    """Declare a function whose derivative is given by `defvjp` and `defjvp`.

    Parameters
    ----------
    f_raw : function
        Gets plain arrays and numbers, its own copies, so it may be compiled code.

    Returns
    -------
    function
        Called as `f_raw` is, under every transform.

    Raises
    ------
    NotImplementedError
        From a transform: no rule has been given.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.compat.autograd.extend import defvjp
    >>> from autodiff.compat.autograd import grad
    >>> @primitive
    ... def cube(x):
    ...     return x**3
    >>> defvjp(cube, lambda ans, x: lambda g: 3.0 * g * x**2)
    >>> grad(cube)(2.0)
    np.float64(12.0)
    """

    @wraps(f_raw)
    def f_wrapped(*args: Any, **kwargs: Any) -> Any:
        if not holds_boxes(args):
            return f_raw(*args, **kwargs)
        return PrimitiveCall(f_wrapped, f_raw, args, kwargs).evaluate()

    f_wrapped.fun = f_raw  # type: ignore[attr-defined] # what packages look at
    f_wrapped._is_autograd_primitive = True  # type: ignore[attr-defined] # likewise
    return f_wrapped
