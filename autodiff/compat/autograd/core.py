"""Rules of primitives, spaces of values, and the two derivatives of a function of one argument."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import count
from typing import Any, ClassVar

import numpy as np

import autodiff.numpy as anp
from autodiff import tree
from autodiff.compat.autograd import tracer
from autodiff.compat.autograd.overruling import interpose
from autodiff.compat.autograd.tracer import (
    Box,
    JVPNode,
    Node,
    SparseObject,
    VJPNode,
    getval,
    give_rule,
    isbox,
    primitive_jvps,
    primitive_vjps,
    toposort,
    trace,
)
from autodiff.compat.autograd.util import func, subval, warn
from autodiff.core.arrays import is_array
from autodiff.core.dispatch import Box as EngineBox
from autodiff.core.spec import spec_of
from autodiff.interpret.cotangents import cast
from autodiff.interpret.sweep import sweep
from autodiff.transforms.gradient import vjp as engine_vjp
from autodiff.transforms.tangent import jvp as engine_jvp

__all__ = [
    "JVPNode",
    "Node",
    "SparseObject",
    "VJPNode",
    "VSpace",
    "backward_pass",
    "def_linear",
    "defjvp",
    "defjvp_argnum",
    "defjvp_argnums",
    "defvjp",
    "defvjp_argnum",
    "defvjp_argnums",
    "func",
    "getval",
    "isbox",
    "make_jvp",
    "make_vjp",
    "primitive",
    "primitive_jvps",
    "primitive_vjps",
    "primitive_with_deprecation_warnings",
    "toposort",
    "trace",
    "vspace",
]

Function = Callable[..., Any]


# --- derivatives of a function of one argument ----------------------------------------------------


def make_vjp(fun: Function, x: Any) -> tuple[Function, Any]:
    """Evaluate a function; return its pullback, and its value.

    Parameters
    ----------
    fun : function of one argument
    x : array, number, or container of such

    Returns
    -------
    vjp : function of a cotangent of the value
        Returns the cotangent of `x`.
    value : what `fun` returned
    """
    x = as_variable(x)
    value, pullback = engine_vjp(observed(fun), x)
    return (lambda g: pullback(fitted(g, value))[0]), value


def make_jvp(fun: Function, x: Any) -> Function:
    """Return a function from a tangent of `x` to the value of `fun` and its tangent."""
    x = as_variable(x)

    def jvp(g: Any) -> Any:
        moving = tree.map_leaves(_of_kind, fitted(g, x), x)
        return engine_jvp(observed(fun), (x,), (moving,))

    return jvp


def backward_pass(g: Any, end_node: Any) -> Any:
    """Return the cotangent of the input of a trace.

    Parameters
    ----------
    g : array, number or Tensor
        Cotangent of a value that was computed from the input.
    end_node : what ``_node`` of that value is

    Returns
    -------
    array, or Tensor if `g` is one

    Raises
    ------
    ValueError
        The value is a constant.
    """
    box = end_node.box
    if box._payload is None:
        raise ValueError("backward_pass: the value does not depend on the input of a trace")
    cotangent = cast(fitted(g, box), box.dtype)
    *_, found = sweep([(box._payload, cotangent)], keep_tape=True).values()
    return found


def as_variable(x: Any) -> Any:
    """Value to differentiate by: arrays of integers become floats, Python's are refused."""

    def converted(leaf: Any) -> Any:
        maker = Box.type_mappings.get(type(leaf))
        if maker is not None:  # of a package, which may refuse
            leaf = maker(leaf, None, None)
        if type(leaf) in (int, bool):
            raise TypeError(
                f"Can't differentiate w.r.t. type {type(leaf)}: {leaf!r}; use a float instead"
            )
        kind = spec_of(leaf).dtype.kind if hasattr(leaf, "dtype") else "f"
        return leaf.astype(float) if kind in "iub" else leaf

    if x is None:
        raise TypeError(f"Can't differentiate w.r.t. type {type(x)}")
    return tree.map_leaves(converted, x)


def _of_kind(g: Any, x: Any) -> Any:
    return g * spec_of(x).dtype.type(1)


def fitted(g: Any, x: Any) -> Any:
    """Cotangent or tangent in the structure and the shapes of the value that it belongs to.

    A list stands for a tuple, a tuple for a named one, and numbers are repeated, as packages that
    call pullbacks rely on. What does not fit stays as it is: the engine says so.
    """
    if isinstance(x, (list, tuple)):
        if not isinstance(g, (list, tuple)) or len(g) != len(x):
            return g
        parts = [fitted(part, value) for part, value in zip(g, x, strict=True)]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    if isinstance(x, dict):
        if not isinstance(g, dict) or g.keys() != x.keys():
            return g
        found = copy.copy(x)
        found.update({key: fitted(g[key], value) for key, value in x.items()})
        return found
    if not isinstance(x, (EngineBox, float, complex)) and not is_array(x):
        return g
    if isinstance(g, (list, tuple)):
        g = anp.array(g)
    own, shape = np.shape(g), spec_of(x).shape
    if own == shape:
        return g
    if np.size(g) == 1:
        return np.broadcast_to(np.reshape(g, ()), shape)
    pairs = zip(reversed(own), reversed(shape), strict=False)
    repeats = len(own) <= len(shape) and all(n in (1, m) for n, m in pairs)
    return np.broadcast_to(g, shape) if repeats else g


def observed(fun: Function) -> Function:
    """A function that says when its output does not depend on its input.

    Tensors that it keeps are constants afterwards, with the values that they had.
    """

    def observed(x: Any) -> Any:
        own = [leaf._interpreter for leaf in tree.leaves(x) if isinstance(leaf, EngineBox)]
        for interpreter in own[:1]:
            interpreter.leaves_constants = True
            interpose(interpreter)
        out = fun(x)
        if own and not any(_depends(leaf, own[0]) for leaf in tree.leaves(out)):
            warn("Output seems independent of input.")
        return out

    return observed


def _depends(leaf: Any, interpreter: Any) -> bool:
    while isinstance(leaf, EngineBox):
        if leaf._interpreter is interpreter:
            return True
        leaf = leaf._value
    return False


# --- rules ----------------------------------------------------------------------------------------


def defvjp_argnums(fun: Function, vjpmaker: Function) -> None:
    """Give the VJPs for any arguments: ``vjpmaker(argnums, ans, args, kwargs)(g)``."""
    give_rule(primitive_vjps, fun, vjpmaker)


def defvjp_argnum(fun: Function, vjpmaker: Function) -> None:
    """Give the VJP for an argument by its number: ``vjpmaker(argnum, ans, args, kwargs)(g)``."""

    def vjp_argnums(argnums: Sequence[int], *args: Any) -> Function:
        vjps = [vjpmaker(argnum, *args) for argnum in argnums]
        return lambda g: [vjp(g) for vjp in vjps]

    give_rule(primitive_vjps, fun, vjp_argnums)


def defvjp(
    fun: Function, *vjpmakers: Function | None, argnums: Iterable[int] | None = None
) -> None:
    """Give the VJPs of a primitive, one for each argument, in order.

    Parameters
    ----------
    fun : primitive
    *vjpmakers : function or None
        Each is called as ``vjpmaker(ans, *args, **kwargs)`` and returns a function of the
        cotangent of the output. None: there is no derivative with respect to this argument.
    argnums : sequence of int, optional
        Arguments that the rules are for.
    """
    makers = dict(zip(count() if argnums is None else argnums, vjpmakers, strict=False))
    for argnum, maker in makers.items():
        if maker is not None and not callable(maker):
            raise TypeError(f"Bad VJP '{maker}' for '{fun.__name__}', argument {argnum}")

    def vjp_argnums(wanted: Sequence[int], ans: Any, args: Any, kwargs: Any) -> Function:
        missing = [argnum for argnum in wanted if argnum not in makers]
        if missing:
            raise NotImplementedError(f"VJP of {fun.__name__} wrt argnums {missing} not defined")
        chosen = [makers[argnum] for argnum in wanted]
        vjps = [None if maker is None else maker(ans, *args, **kwargs) for maker in chosen]
        return lambda g: [None if vjp is None else vjp(g) for vjp in vjps]

    give_rule(primitive_vjps, fun, vjp_argnums)


def defjvp_argnums(fun: Function, jvpmaker: Function) -> None:
    """Give the JVP for any arguments: ``jvpmaker(argnums, tangents, ans, args, kwargs)``."""
    give_rule(primitive_jvps, fun, jvpmaker)


def defjvp_argnum(fun: Function, jvpmaker: Function) -> None:
    """Give the JVP for an argument by its number: ``jvpmaker(argnum, g, ans, args, kwargs)``."""

    def jvp_argnums(
        argnums: Sequence[int], gs: Sequence[Any], ans: Any, args: Any, kwargs: Any
    ) -> Any:
        return _sum(
            jvpmaker(argnum, g, ans, args, kwargs) for argnum, g in zip(argnums, gs, strict=True)
        )

    give_rule(primitive_jvps, fun, jvp_argnums)


def defjvp(
    fun: Function, *jvpfuns: Function | str | None, argnums: Iterable[int] | None = None
) -> None:
    """Give the JVPs of a primitive, one for each argument, in order.

    Parameters
    ----------
    fun : primitive
    *jvpfuns : function, "same" or None
        Each is called as ``jvp(g, ans, *args, **kwargs)`` and returns the tangent of the output;
        "same": `fun` is linear in this argument; None: there is no derivative.
    argnums : sequence of int, optional
        Arguments that the rules are for.
    """
    rules = dict(zip(count() if argnums is None else argnums, jvpfuns, strict=False))
    for argnum, rule in rules.items():
        if rule is not None and rule != "same" and not callable(rule):
            raise TypeError(f"Bad JVP '{rule}' for '{fun.__name__}', argument {argnum}")

    def jvp_argnums(
        wanted: Sequence[int], gs: Sequence[Any], ans: Any, args: Any, kwargs: Any
    ) -> Any:
        missing = [argnum for argnum in wanted if argnum not in rules]
        if missing:
            raise NotImplementedError(f"JVP of {fun.__name__} wrt argnums {missing} not defined")
        terms = []
        for argnum, g in zip(wanted, gs, strict=True):
            rule = rules[argnum]
            if rule == "same":
                terms.append(fun(*subval(args, argnum, g), **kwargs))
            elif callable(rule):
                terms.append(rule(g, ans, *args, **kwargs))
        return _sum(terms)

    give_rule(primitive_jvps, fun, jvp_argnums)


def def_linear(fun: Function) -> None:
    """Declare that a primitive is linear in each of its arguments."""

    def rule(argnum: int, g: Any, ans: Any, args: Any, kwargs: Any) -> Any:
        return fun(*subval(args, argnum, g), **kwargs)

    def jvp_argnums(argnums: Sequence[int], gs: Sequence[Any], *args: Any) -> Any:
        return _sum(rule(argnum, g, *args) for argnum, g in zip(argnums, gs, strict=True))

    give_rule(primitive_jvps, fun, jvp_argnums)


def _sum(terms: Iterable[Any]) -> Any:
    """Sum of tangents, which may be containers; None if there is none."""
    dense = [term.dense() if isinstance(term, SparseObject) else term for term in terms]
    if not dense:
        return None
    return reduce(lambda a, b: tree.map_leaves(lambda x, y: x + y, a, b), dense)


# --- spaces of values -----------------------------------------------------------------------------


class VSpace:
    """The vector space that a value is of: its zeros, its ones, its basis.

    Packages register spaces for types of their own; those of arrays, numbers and containers are
    there.
    """

    mappings: ClassVar[dict[type, Function]] = {}
    iscomplex = False

    def __init__(self, value: Any) -> None: ...

    def zeros(self) -> Any:
        """Zero of the space."""
        raise TypeError(f"{self!r} does not define zeros()")

    def ones(self) -> Any:
        """Value of ones."""
        raise TypeError(f"{self!r} does not define ones()")

    def standard_basis(self) -> Iterable[Any]:
        """Values that are one in one place."""
        raise TypeError(f"{self!r} does not define standard_basis()")

    def randn(self) -> Any:
        """Random value, of NumPy's global generator."""
        raise TypeError(f"{self!r} does not define randn()")

    def add(self, x_prev: Any, x_new: Any) -> Any:
        """Sum of two values."""
        return self._add(x_prev, x_new)

    def mut_add(self, x_prev: Any, x_new: Any) -> Any:
        """Add to a value, in place where it can be, and return it; None is zero."""
        total = self.zeros() if x_prev is None else x_prev
        if isinstance(x_new, SparseObject):
            return x_new.mut_add(total)
        return self._mut_add(total, x_new)

    def scalar_mul(self, x: Any, a: Any) -> Any:
        """A value times a number."""
        return self._scalar_mul(x, a)

    def inner_prod(self, x: Any, y: Any) -> Any:
        """Inner product of two values, a real number."""
        return self._inner_prod(x, y)

    def covector(self, x: Any) -> Any:
        """Cotangent that stands for a tangent: the conjugate."""
        return self._covector(x)

    def _add(self, x: Any, y: Any) -> Any:
        return x + y

    def _mut_add(self, x: Any, y: Any) -> Any:
        if isbox(y) and not isbox(x):  # an array cannot hold it
            return self._add(x, y)
        x += y
        return x

    def _scalar_mul(self, x: Any, a: Any) -> Any:
        return x * a

    def _inner_prod(self, x: Any, y: Any) -> Any:
        raise TypeError(f"{self!r} does not define an inner product")

    def _covector(self, x: Any) -> Any:
        return x

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment] # equal by content, which may change

    def __repr__(self) -> str:
        return f"{type(self).__name__}_{self.__dict__}"

    @classmethod
    def register(cls, value_type: type, vspace_maker: Function | None = None) -> None:
        """Say which space values of a type are of."""
        VSpace.mappings[value_type] = vspace_maker or cls


VSpace.register(SparseObject, lambda x: x.vs)


def vspace(value: Any) -> Any:
    """Space of a value.

    Raises
    ------
    TypeError
        Values of this type have none.
    """
    if isbox(value):
        value = getval(value)
    maker = VSpace.mappings.get(type(value))
    if maker is None:
        known = ", ".join(sorted(kind.__name__ for kind in VSpace.mappings))
        raise TypeError(
            f"Can't find vector space for value {value} of type {type(value)}. "
            f"Valid types are {known}"
        )
    return maker(value)


# --- the old way to give rules --------------------------------------------------------------------


def _warn_deprecated(name: str) -> None:
    warn(
        f"{name} of a primitive is an old way to give its rules; use defvjp of autograd.extend",
        DeprecationWarning,
    )


def primitive_with_deprecation_warnings(f_raw: Function) -> Function:
    """Declare a primitive, that also has the methods `defvjp`, `defgrad` and `defvjp_is_zero`."""
    f_wrapped = tracer.primitive(f_raw)
    makers: dict[int, Function | None] = {}

    def give(argnum: int, maker: Function | None) -> None:
        makers[argnum] = maker
        defvjp(f_wrapped, *makers.values(), argnums=list(makers))

    def old_defvjp(vjpmaker: Function, argnum: int = 0) -> None:
        _warn_deprecated("defvjp")

        def staged(ans: Any, *args: Any, **kwargs: Any) -> Function:
            return lambda g: vjpmaker(g, ans, vspace(args[argnum]), vspace(g), *args, **kwargs)

        give(argnum, staged)

    def defvjp_is_zero(argnums: Iterable[int] = (0,)) -> None:
        _warn_deprecated("defvjp_is_zero")
        for argnum in argnums:
            give(argnum, None)

    def defgrad(gradfun: Function, argnum: int = 0) -> None:
        _warn_deprecated("defgrad")
        give(argnum, gradfun)

    methods = {"defvjp": old_defvjp, "defvjp_is_zero": defvjp_is_zero, "defgrad": defgrad}
    for name, method in methods.items():
        setattr(f_wrapped, name, method)
    return f_wrapped


primitive = primitive_with_deprecation_warnings
