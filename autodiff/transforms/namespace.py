"""Functions whose arrays are all of one kind: for libraries that take arrays of any, but not two.

An integer or boolean result is a plain array here, so a program meets Tensors and plain arrays. A
library that asks all arrays of a call for their namespace wants one answer. So one interpreter
boxes everything that is computed, whatever its dtype, and does nothing else to it.
"""

from __future__ import annotations

from typing import Any

from autodiff import tree
from autodiff.core.arrays import is_array, scalar_form
from autodiff.core.dispatch import Box, Interpreter
from autodiff.core.primitive import Primitive
from autodiff.interpret.boxed import run_flattened
from autodiff.ops.operands import as_input
from autodiff.tensor import Tensor
from autodiff.transforms.arguments import Function, check_transform, returned_value
from autodiff.transforms.transformed import Transformed
from autodiff.views import snapshot

__all__ = ["OneNamespace", "one_namespace"]


class OneNamespace(Interpreter):
    """Evaluates primitives and boxes what they give; a payload says nothing."""

    transform = "one_namespace"
    guards_masks = True  # a mask has a value: it is looked at

    def process(self, primitive: Primitive, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Evaluate any primitive on the values below."""
        capture = self.capturing()
        if capture is not None:
            return capture.process(primitive, inputs, params)
        values = [
            value._value
            if isinstance(value, Box) and value._interpreter is self
            else as_input(value, primitive)
            for value in inputs
        ]
        out = primitive.call(*values, **params)
        if isinstance(out, tuple):
            return tuple([self.make(part, ()) for part in out])
        return self.make(out, ())

    def constant(self, value: Any) -> Any:
        """Box a value: here that makes no difference."""
        return self.make(value, ())

    def carries(self, box: Box) -> bool:
        """Nothing depends on this interpreter; what is below is asked next."""
        return False


def one_namespace(f: Function) -> Function:
    """Return a function that gives `f` nothing but Tensors, integers and booleans included.

    What `f` computes with has one namespace then, ``x.__array_namespace__()``, as libraries ask
    for that take arrays of any kind but not of two: ``x > 0`` is a Tensor too, and so is an array
    of data among the arguments. Derivatives are what they are without it.

    Parameters
    ----------
    f : callable

    Returns
    -------
    callable
        Takes what `f` takes: arrays in its arguments, also in containers, become constant Tensors,
        numbers stay what they are. Returns what `f` returns, with plain arrays in the place of
        what depends on no Tensor.

    Raises
    ------
    TypeError
        `f` is no function, or returned something that is no array.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def largest(x, data):
    ...     xp = x.__array_namespace__()
    ...     assert data.__array_namespace__() is xp
    ...     assert (x > data).__array_namespace__() is xp
    ...     return xp.sum(xp.where(x > data, x**2, data))
    >>> ad.grad(ad.one_namespace(largest))(np.array([1.0, 5.0]), np.array([3, 4]))
    array([ 0., 10.])
    """
    check_transform(f, "one_namespace")
    return Transformed(_one_namespace, f)


def _one_namespace(f: Function, /, *args: Any, **keywords: Any) -> Any:
    values, structure = tree.flatten((args, keywords))
    interpreter = OneNamespace(Tensor)

    def boxed(value: Any) -> Any:
        if isinstance(value, Box):
            return interpreter.make(snapshot(value), ())
        if is_array(value) and value.dtype.kind in "fciub":
            return interpreter.make(value if value.shape else scalar_form(value), ())
        return value

    def call(*leaves: Any) -> Any:
        positional, named = tree.unflatten(structure, leaves)
        return f(*positional, **named)

    outs, out_tree = run_flattened(interpreter, call, map(boxed, values))
    returned = [
        returned_value(value, f"output {i}", "one_namespace") for i, (value, _) in enumerate(outs)
    ]
    return tree.unflatten(out_tree, returned)
