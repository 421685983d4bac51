"""Values under Tensors, and functions that a package declares as primitives.

A primitive here is a function with rules of its own: one call of it becomes one operation of this
engine, whose rules are the package's. Rules are looked up when they are needed, by the function, in
the tables `primitive_vjps` and `primitive_jvps`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import autodiff.numpy as anp
from autodiff import tree
from autodiff.compat.autograd.util import toposort, warn
from autodiff.compat.autograd.wrap_util import wraps
from autodiff.core.arrays import ARRAY, as_value
from autodiff.core.dispatch import Box as EngineBox
from autodiff.core.dispatch import concrete
from autodiff.core.spec import spec_of
from autodiff.tape.entries import Variable
from autodiff.tensor import Tensor
from autodiff.transforms.call import Call
from autodiff.transforms.closure import Closed, is_differentiated
from autodiff.transforms.record import record

__all__ = [
    "Box",
    "JVPNode",
    "Node",
    "SparseObject",
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
    "toposort",
    "trace",
]

Function = Callable[..., Any]
Values = Sequence[Any]

_ONE_LEAF = tree.flatten(0.0)[1]

primitive_vjps: dict[Any, Function] = {}
"""By primitive: ``(argnums, ans, args, kwargs)`` to a function of the cotangent."""

primitive_jvps: dict[Any, Function] = {}
"""By primitive: ``(argnums, tangents, ans, args, kwargs)`` to the tangent of the output."""


class _BoxType(type):
    """Tensors are instances of the classes that packages ask for."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) or super().__instancecheck__(instance)


class Box(metaclass=_BoxType):
    """What a function sees while it is differentiated: a Tensor, of this engine.

    Packages ask ``isinstance(x, Box)``, and read ``x._value``.
    """

    @classmethod
    def register(cls, value_type: type) -> None:
        """Let a type of values be differentiated; here containers and arrays are."""


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
    """The kind of trace of reverse mode, as packages name it."""


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
    """Put a rule into a table, and say so if nothing will look it up."""
    if not getattr(fun, "_is_autograd_primitive", False):
        name = getattr(fun, "__name__", repr(fun))
        warn(
            f"{name} is no primitive here: the rule that is given is left out of account, and "
            f"derivatives stay this engine's own; primitive({name}) makes a function with the rule"
        )
    rules[fun] = rule


class SparseObject:
    """A cotangent that is zero but for some entries: `mut_add` adds those into an array.

    Parameters
    ----------
    vs : VSpace
        Of the whole.
    mut_add : function
        Takes a value of `vs`, adds the entries to it, and returns it.
    """

    __slots__ = ["mut_add", "vs"]

    def __init__(self, vs: Any, mut_add: Function) -> None:
        self.vs = vs
        self.mut_add = mut_add

    def dense(self) -> Any:
        """The same with its zeros."""
        return self.mut_add(self.vs.zeros())


def isbox(x: Any) -> bool:
    """Whether a value is a Tensor of a function that is being differentiated."""
    return isinstance(x, EngineBox)


def getval(x: Any) -> Any:
    """Array or number under a Tensor, and under the Tensors of all transforms around it."""
    return concrete(x) if isinstance(x, EngineBox) else x


def new_box(value: Any, trace: Any, node: Any) -> Any:
    """Box a value; only this engine's transforms do that."""
    raise TypeError("new_box: boxes are this engine's Tensors; use grad, make_vjp or make_jvp")


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
        if not any(isinstance(leaf, EngineBox) for leaf in tree.leaves(args)):
            return f_raw(*args, **kwargs)
        return _PrimitiveCall(f_wrapped, f_raw, args, kwargs).evaluate()

    f_wrapped.fun = f_raw  # type: ignore[attr-defined] # what packages look at
    f_wrapped._is_autograd_primitive = True  # type: ignore[attr-defined] # likewise
    return f_wrapped


class _PrimitiveCall:
    """One call of a primitive on Tensors."""

    def __init__(
        self, function: Function, raw: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.function = function
        self.raw = raw
        self.name = getattr(raw, "__name__", "primitive")
        self.closed = Closed(self.name, args, kwargs, boxed=False)
        self.arguments = [tree.flatten(argument)[1] for argument in args]
        counts = [structure.num_leaves for structure in self.arguments]
        self.starts = [sum(counts[:i]) for i in range(len(counts) + 1)]
        for slot, box in zip(self.closed.slots, self.closed.boxes, strict=True):
            if slot >= self.starts[-1] and is_differentiated(box):
                raise TypeError(
                    f"{self.name}: a keyword argument is differentiated, for which a primitive "
                    "has no rule; pass it by position"
                )

    def evaluate(self) -> Any:
        """Output, with the rules attached."""
        closed = self.closed

        def run(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
            args, kwargs = tree.map_leaves(_own, (args, kwargs))
            return (tree.map_leaves(_as_array, self.raw(*args, **kwargs)),)

        result = closed.discover(run)
        if any(map(is_differentiated, closed.outside)):
            raise TypeError(
                f"{self.name}: the primitive uses a Tensor from outside that is being "
                "differentiated, for which it has no rule; pass it as an argument"
            )
        if not closed.inputs() or not result.arrays:
            return result.build(0, (), result.arrays)
        vjp, jvp = primitive_vjps.get(self.function), primitive_jvps.get(self.function)
        call = Call(
            self.name,
            closed,
            closed.paths(),
            pull_rule=self._pull if vjp is not None or jvp is None else None,
            push_rule=self._push if jvp is not None or vjp is None else None,
            flops=closed.flops,
            loops=True,
            made_of=self.raw,
        )
        return closed.evaluate(call)

    def _arguments(self, xs: Values) -> tuple[tuple[Any, ...], dict[str, Any]]:
        leaves = list(self.closed.leaves)
        for slot, x in zip(self.closed.slots, xs, strict=False):
            leaves[slot] = x
        args, kwargs = tree.unflatten(self.closed.structure, leaves)
        return args, kwargs

    def _argnums(self, active: Sequence[bool]) -> list[int]:
        """Arguments that hold an input which is differentiated."""
        slots = [s for s, flag in zip(self.closed.slots, active, strict=False) if flag]
        bounds = zip(self.starts, self.starts[1:], strict=False)
        return [
            i for i, (start, stop) in enumerate(bounds) if any(start <= s < stop for s in slots)
        ]

    def _pull(self, active: Sequence[bool], xs: Values, outs: Values, gs: Values) -> Sequence[Any]:
        """Cotangents of the inputs, by the package's rule."""
        argnums = self._argnums(active)
        maker = primitive_vjps.get(self.function)
        if maker is None:
            raise NotImplementedError(f"VJP of {self.name} wrt argnums {argnums} not defined")
        args, kwargs = self._arguments(xs)
        result = self.closed.result
        pullback = maker(argnums, result.build(0, xs, outs), args, kwargs)
        returned = list(pullback(result.build(0, xs, list(map(_own, gs)))))
        by_slot: dict[int, Any] = {}
        for argnum, cotangent in zip(argnums, returned, strict=True):
            if isinstance(cotangent, SparseObject):
                cotangent = cotangent.dense()
            if cotangent is not None:
                by_slot.update(self._leaves_of(argnum, cotangent))
        return [
            _fitting(by_slot.get(slot), x, self.name) if flag else None
            for slot, x, flag in zip(
                [*self.closed.slots, *[-1] * len(self.closed.outside)], xs, active, strict=True
            )
        ]

    def _leaves_of(self, argnum: int, cotangent: Any) -> Iterable[tuple[int, Any]]:
        expected = self.arguments[argnum]
        if isinstance(cotangent, (list, tuple)) and expected == _ONE_LEAF:
            cotangent = anp.array(cotangent)
        leaves, structure = tree.flatten(cotangent)
        if len(leaves) != expected.num_leaves:
            raise TypeError(
                f"{self.name}: the cotangent of argument {argnum} has structure "
                f"{tree.shown(structure)}, wanted {tree.shown(expected)}"
            )
        return zip(range(self.starts[argnum], self.starts[argnum + 1]), leaves, strict=True)

    def _push(self, xs: Values, ts: Values, outs: Values) -> Sequence[Any]:
        """Tangents of the outputs, by the package's rule."""
        active = [t is not None for t in ts]
        argnums = self._argnums(active)
        maker = primitive_jvps.get(self.function)
        if maker is None:
            raise NotImplementedError(f"JVP of {self.name} wrt argnums {argnums} not defined")
        args, kwargs = self._arguments(xs)
        moving = [x * 0.0 if t is None else t for x, t in zip(xs, ts, strict=True)]
        tangents, _ = self._arguments(moving)
        result = self.closed.result
        chosen = [tangents[i] for i in argnums]
        tangent = maker(argnums, chosen, result.build(0, xs, outs), args, kwargs)
        leaves = [None] * len(outs) if tangent is None else tree.leaves(tangent)
        return [
            out * 0.0 if leaf is None else _fitting(leaf, out, self.name)
            for leaf, out in zip(leaves, outs, strict=True)
        ]


def _own(value: Any) -> Any:
    """A copy that a function may write into."""
    return np.array(value) if isinstance(value, ARRAY) else value


def _as_array(value: Any) -> Any:
    """Python's numbers in an output depend on the inputs as its arrays do."""
    return as_value(value) if isinstance(value, (int, float, complex)) else value


def _fitting(g: Any, x: Any, name: str) -> Any:
    """A cotangent or tangent with the shape, and of the kind, of what it belongs to.

    Rules of packages may leave out the sum over broadcast axes, or give numbers for arrays, or flat
    arrays for others.
    """
    if g is None:
        return None
    spec = spec_of(x)
    if np.shape(g) != spec.shape:
        g = _shaped(g, spec.shape, name)
    dtype = spec_of(g).dtype if isinstance(g, EngineBox) else np.result_type(g)
    if dtype.kind == "c" and spec.dtype.kind != "c":
        g = np.real(g)
    elif isinstance(g, (int, float, complex)) or dtype != spec.dtype:
        g = g * np.ones((), spec.dtype)
    return g


def _shaped(g: Any, shape: tuple[int, ...], name: str) -> Any:
    own = np.shape(g)
    long, wanted = ([n for n in part if n != 1] for part in (own, shape))
    is_flat = min(len(long), len(wanted)) <= 1
    if np.size(g) == math.prod(shape) and (is_flat or long == wanted):
        return np.reshape(g, shape)
    try:
        joint = np.broadcast_shapes(own, shape)
    except ValueError:
        joint = ()
    if joint == shape:
        return np.broadcast_to(g, shape)
    if joint == own:
        return _summed(g, shape)
    raise ValueError(f"{name}: a rule gave an array of shape {own} for one of shape {shape}")


def _summed(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum over the axes along which an array of a shape was repeated."""
    extra = np.ndim(g) - len(shape)
    g = np.sum(g, axis=tuple(range(extra))) if extra else g
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and np.shape(g)[i] != 1)
    return np.sum(g, axis=axes, keepdims=True) if axes else g
