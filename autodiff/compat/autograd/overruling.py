"""Rules that packages give to functions which have derivatives here: they are used instead.

A name of the tree is a function of the tree's own, which can be sent another way; so whoever holds
it has the rule. NumPy's ufuncs are NumPy's own objects, for speed: those are replaced where the
tree's modules keep them, and what comes as an operation of this engine (an operator, a name that
was taken before) is met in the interpreters of the tree's own transforms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.compat.autograd.primitives import (
    PrimitiveCall,
    holds_boxes,
    primitive_jvps,
    primitive_vjps,
)
from autodiff.compat.autograd.util import warn
from autodiff.core.arrays import ARRAY
from autodiff.core.dispatch import Box, Interpreter
from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY
from autodiff.interpret.forward import Forward
from autodiff.ops.operands import holds_box, joined
from autodiff.ops.protocol import UNARY_UFUNCS
from autodiff.tensor import Tensor

__all__ = ["chosen", "interpose", "keeps_names", "of_the_tree", "overrule"]

Function = Callable[..., Any]
Space = dict[str, Any]

_SPACES: list[Space] = []
_REPLACED: dict[Any, Overruled] = {}
_OPERATIONS: dict[Primitive, Overruled] = {}


class Overruled:
    """A function that has a derivative here, with the rules that a package gave.

    A rule for one mode serves both, as that of a primitive does; but one for forward mode alone
    leaves reverse mode as it is, where packages add what the library lacks.

    Parameters
    ----------
    function : what rules are given to
    raw : the same with this engine's derivative
    """

    def __init__(self, function: Function, raw: Function) -> None:
        self.function = function
        self.raw = raw
        functools.update_wrapper(self, raw, updated=())
        self._is_autograd_primitive = True  # what packages look at

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (holds_boxes(args) and self.applies(tree.leaves(args))):
            return self.raw(*args, **kwargs)
        call = PrimitiveCall(self.function, self.raw, args, kwargs, differentiable=True)
        return call.evaluate()

    def __reduce__(self) -> Any:
        # NumPy's ufunc is to be had where the rule is not; any other function by its name alone
        is_ufunc = isinstance(self.function, np.ufunc)
        return (chosen, (self.function,)) if is_ufunc else self.function.__name__

    def applies(self, leaves: Iterable[Any]) -> bool:
        """Whether a rule is to be used on these."""
        boxes = [leaf for leaf in leaves if isinstance(leaf, Box)]
        if not boxes:
            return False
        return self.function in primitive_vjps or (
            self.function in primitive_jvps and any(map(_moves, boxes))
        )


def _moves(box: Any) -> bool:
    """Whether forward mode looks at a box, at any level."""
    while isinstance(box, Box):
        if isinstance(box._interpreter, Forward):
            return True
        box = box._value
    return False


def of_the_tree(
    function: Function, module: str, name: str | None = None, *, lists: bool = False
) -> Function:
    """A function under a name of the tree's, which rules can be given to.

    Parameters
    ----------
    function : of NumPy or of this engine
    module, name : where it is kept, by which it pickles
    lists : bool
        Whether it takes lists, and arrays of objects, that hold Tensors for arrays.
    """
    target = function

    def wrapped(*args: Any, **keywords: Any) -> Any:
        return target(*args, **keywords)

    def wrapped_of_lists(*args: Any, **keywords: Any) -> Any:
        for a in args:  # nearly always none is a list, so that a generator costs more than it saves
            listed = a.dtype.hasobject if type(a) is ARRAY else isinstance(a, (list, tuple))
            if listed and holds_box(a):
                args = tuple(map(joined, args))
                break
        return target(*args, **keywords)

    def redirect() -> None:
        nonlocal target
        if target is function:
            target = Overruled(found, function)

    made: Function = wrapped_of_lists if lists else wrapped
    found: Any = functools.update_wrapper(made, function, updated=())
    found._redirect = redirect
    # pickle looks the name up so; doctests would look for examples in what is of the very module
    package, _, last = module.rpartition(".")
    name = name or function.__name__
    found.__module__, found.__qualname__ = (package, f"{last}.{name}") if package else (last, name)
    result: Function = found
    return result


def keeps_names(space: Space) -> None:
    """Have a module's names replaced where rules are given to what they stand for."""
    _SPACES.append(space)


def chosen(value: Any) -> Any:
    """What a name stands for: a function, or what has taken its place."""
    try:
        return _REPLACED.get(value, value) if _REPLACED else value
    except TypeError:  # not hashable: no function
        return value


def overrule(function: Any) -> None:
    """Let the rules that the tables have, or will have, for a function be used.

    It says so where they are not: nowhere, or not in all ways that lead to the function.
    """
    name = getattr(function, "__name__", repr(function))
    if hasattr(function, "_redirect"):
        function._redirect()
        if callable(getattr(Tensor, name, None)) and hasattr(np, name):
            warn(
                f"{name}: the rule that is given is used by the function, not by the method of "
                f"that name: x.{name}(...) keeps this engine's own derivative"
            )
        return
    if function in _REPLACED:
        return
    if not any(value is function for space in _SPACES for value in space.values()):
        warn(
            f"{name} is no primitive here: the rule that is given is left out of account, and "
            f"derivatives stay this engine's own; primitive({name}) makes a function with the rule"
        )
        return
    _REPLACED[function] = own = Overruled(function, function)
    for space in _SPACES:
        space.update({key: own for key, value in space.items() if value is function})
    operation = _operation_of(function)
    if operation is not None:
        _OPERATIONS[operation] = own
    else:
        warn(
            f"{name}: the rule that is given is used from here on where the name is looked up; "
            "whoever has taken the function before keeps this engine's own derivative"
        )


def _operation_of(function: Any) -> Primitive | None:
    """Operation of this engine that a ufunc is."""
    if not isinstance(function, np.ufunc):
        return None
    return UNARY_UFUNCS.get(function) or REGISTRY.get(function.__name__)


def interpose(interpreter: Any) -> None:
    """Let a transform of the tree's use the rules given to ufuncs, in operators as well.

    Entries of the interpreter itself are replaced, as its end does; so nobody else pays for it.
    """
    if not _OPERATIONS or "process" in vars(interpreter):
        return
    own: Interpreter = interpreter
    process, unary, binary = own.process, own.process_unary, own.process_binary

    def overruled(primitive: Primitive, inputs: tuple[Any, ...]) -> Overruled | None:
        found = _OPERATIONS.get(primitive)
        return found if found is not None and found.applies(inputs) else None

    def any_process(primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        found = None if params else overruled(primitive, inputs)
        return process(primitive, inputs, params) if found is None else found(*inputs)

    def process_unary(primitive: Primitive, x: Any) -> Any:
        found = overruled(primitive, (x,))
        return unary(primitive, x) if found is None else found(x)

    def process_binary(primitive: Primitive, x: Any, y: Any) -> Any:
        found = overruled(primitive, (x, y))
        return binary(primitive, x, y) if found is None else found(x, y)

    entries = {
        "process": any_process,
        "process_unary": process_unary,
        "process_binary": process_binary,
    }
    for name, entry in entries.items():
        setattr(interpreter, name, entry)
