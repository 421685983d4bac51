"""Reverse mode on functions: gradients, pullbacks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn, overload

import numpy as np

from autodiff import tree
from autodiff.core.arrays import ones, scalar_form, unit, zeros_of
from autodiff.core.memory import owned
from autodiff.core.spec import is_inexact, spec_of
from autodiff.interpret.boxed import run_flattened
from autodiff.interpret.graph import Leaf, Node
from autodiff.interpret.reverse import recorder
from autodiff.interpret.sweep import sweep
from autodiff.tensor import Tensor
from autodiff.transforms.arguments import (
    Argnums,
    Function,
    P,
    check_transform,
    checked_pair,
    differentiable_leaf,
    function_name,
    not_holomorphic,
    positions_of,
    returned_value,
    seeds_for,
)
from autodiff.transforms.transformed import Transformed
from autodiff.views import handed_out

__all__ = ["Recorded", "elementwise_grad", "grad", "value_and_grad", "vjp"]


class Recorded:
    """A function recorded for reverse mode: its outputs, and the leaves it is a function of."""

    __slots__ = ("aux", "leaves", "nodes", "out_tree", "outs", "transform", "trees")

    def __init__(
        self,
        f: Function,
        args: tuple[Any, ...],
        keywords: dict[str, Any],
        positions: Sequence[int],
        has_aux: bool,
        transform: str,
    ) -> None:
        self.transform = transform
        interpreter = recorder(Tensor)
        boxes: list[Any] = []
        self.trees: list[tree.PyTreeSpec] = []
        for position in positions:
            values, structure = tree.flatten(args[position])
            for i, value in enumerate(values):
                path = tree.LeafPath(structure, i, f"argument {position}")
                boxes.append(interpreter.variable(differentiable_leaf(value, path, transform)))
            self.trees.append(structure)
        self.leaves: list[Leaf] = [box._payload for box in boxes]

        def called(*leaves: Any) -> Any:
            arguments = list(args)
            for position, container in zip(positions, self._grouped(leaves), strict=True):
                arguments[position] = container
            out = f(*arguments, **keywords)
            return checked_pair(out, transform) if has_aux else out

        outs, self.out_tree = run_flattened(interpreter, called, boxes)
        self.aux: Any = None
        if has_aux:
            self.out_tree, aux_tree = self.out_tree.children()
            beside = outs[self.out_tree.num_leaves :]
            outs = outs[: self.out_tree.num_leaves]
            self.aux = tree.unflatten(aux_tree, [value for value, _ in beside])
        self.nodes: list[Node | None] = [node for _, node in outs]
        self.outs: list[Any] = [
            returned_value(out, "the output" if len(outs) == 1 else f"output {i}", transform)
            if node is None
            else out
            for i, (out, node) in enumerate(outs)
        ]

    def output(self) -> Any:
        """What the function returned, below the level it was recorded at."""
        return tree.unflatten(self.out_tree, self.outs)

    def pull(self, cotangents: Sequence[Any], keep_tape: bool) -> list[Any]:
        """Cotangent of each leaf, grouped by argument; zeros where the output does not depend."""
        seeds = [
            (node, g) for node, g in zip(self.nodes, cotangents, strict=True) if node is not None
        ]
        reached = sweep(seeds, keep_tape=keep_tape)
        given = {id(g) for g in cotangents}
        return self._grouped(
            [
                handed_out(owned(reached[leaf], given))
                if leaf in reached
                else scalar_form(zeros_of(leaf.value))
                for leaf in self.leaves
            ]
        )

    def _grouped(self, values: Sequence[Any]) -> list[Any]:
        """Values of the leaves, as containers like the arguments."""
        if len(self.trees) == 1:
            return [tree.unflatten(self.trees[0], values)]
        following = iter(values)
        return [
            tree.unflatten(structure, list(itertools.islice(following, structure.num_leaves)))
            for structure in self.trees
        ]


Pullback = Callable[[Any], tuple[Any, ...]]
"""From a cotangent of the output to one cotangent per argument."""


@overload
def vjp(
    f: Function, *xs: Any, has_aux: Literal[False] = False, **keywords: Any
) -> tuple[Any, Pullback]: ...


@overload
def vjp(
    f: Function, *xs: Any, has_aux: Literal[True], **keywords: Any
) -> tuple[Any, Pullback, Any]: ...


@overload
def vjp(f: Function, *xs: Any, has_aux: bool, **keywords: Any) -> tuple[Any, ...]: ...


def vjp(f: Function, *xs: Any, has_aux: bool = False, **keywords: Any) -> tuple[Any, ...]:
    """Evaluate `f` and return its pullback.

    Parameters
    ----------
    f : callable
    *xs : containers of arrays
        Arguments; all of them are differentiated.
    has_aux : bool
        `f` returns ``(output, aux)``; aux is returned as it is.
    **keywords
        Passed to `f`, not differentiated.

    Returns
    -------
    out : what `f` returned
    pullback : function of a cotangent of `out`'s structure and shapes
        Returns a tuple with one cotangent per argument; may be called any number of times.
    aux : only with ``has_aux=True``

    Raises
    ------
    TypeError
        An argument is not of a float or complex dtype, or `f` returned something that is no array;
        from the pullback: a cotangent has another structure than the output, or a complex dtype
        where the output has a real one.
    ValueError
        From the pullback: a cotangent has another shape than the output.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> out, pullback = ad.vjp(np.multiply, 2.0, 3.0)
    >>> out, pullback(1.0)
    (np.float64(6.0), (np.float64(3.0), np.float64(2.0)))
    """
    recorded = Recorded(f, xs, keywords, range(len(xs)), has_aux, "vjp")
    pullback = _Pullback(recorded)
    if has_aux:
        return recorded.output(), pullback, recorded.aux
    return recorded.output(), pullback


class _Pullback:
    """The pullback of one evaluation."""

    __slots__ = ("_recorded",)

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    def __call__(self, g: Any) -> tuple[Any, ...]:
        recorded = self._recorded
        seeds = seeds_for(g, recorded.outs, recorded.out_tree, "cotangent", "pullback")
        return tuple(recorded.pull(seeds, keep_tape=True))

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a pullback holds what its evaluation recorded, which cannot be copied or pickled; "
            "call ad.vjp where it is used, or pickle the function that ad.linearize returns"
        )


def _described(recorded: Recorded) -> str:
    """A function's result in words: ``None``, ``a list of 2 arrays``."""
    kind: Any = recorded.out_tree.type
    if kind is None or kind is type(None):
        return "None"
    count = len(recorded.outs)
    return f"a {kind.__name__} of {count} array{'s' * (count != 1)}"


def _scalar_seed(recorded: Recorded, f: Function, holomorphic: bool) -> Any:
    """Check that there is one scalar output, and return the cotangent 1 for it."""
    transform = recorded.transform
    if len(recorded.outs) != 1 or recorded.out_tree != _LEAF:
        raise TypeError(
            f"{transform}: {function_name(f)} must return one scalar, it returned "
            f"{_described(recorded)}; use has_aux=True for what comes beside the scalar, or "
            "jacobian"
        )
    spec = spec_of(recorded.outs[0])
    if spec.shape != ():
        raise TypeError(
            f"{transform}: {function_name(f)} must return a scalar, it returned shape "
            f"{spec.shape}; reduce it (np.sum), or use jacobian, vjp or elementwise_grad"
        )
    if holomorphic:
        if spec.dtype.kind != "c" or any(leaf.spec.dtype.kind != "c" for leaf in recorded.leaves):
            raise not_holomorphic(transform, [leaf.spec for leaf in recorded.leaves], [spec])
    elif spec.dtype.kind == "c":
        raise TypeError(
            f"{transform}: {function_name(f)} returned a complex number; take its real part or "
            "modulus, or pass holomorphic=True for a complex-differentiable function"
        )
    dtype = spec.dtype if is_inexact(spec.dtype) else np.dtype(np.float64)
    return unit(dtype, recorded.outs[0])


_LEAF = tree.flatten(0.0)[1]


@overload
def value_and_grad(
    f: np.ufunc, argnums: Argnums = ..., has_aux: bool = ..., holomorphic: bool = ...
) -> Callable[..., tuple[Any, Any]]: ...


@overload
def value_and_grad(
    f: Callable[P, Any], argnums: Argnums = ..., has_aux: bool = ..., holomorphic: bool = ...
) -> Callable[P, tuple[Any, Any]]: ...


def value_and_grad(
    f: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """Return a function that gives `f`'s value and its gradient.

    Parameters
    ----------
    f : callable that returns a real scalar
    argnums : int or tuple of int
        Arguments to differentiate; a tuple gives a tuple of gradients.
    has_aux : bool
        `f` returns ``(scalar, aux)``; the new function returns ``((scalar, aux), gradient)``.
    holomorphic : bool
        `f` is complex-differentiable, from complex to complex.

    Returns
    -------
    callable
        Takes what `f` takes; returns the value and the gradient, which is a container like the
        argument.

    Raises
    ------
    TypeError
        `f` is no function; or, when the new function is called, `f` does not return a real scalar,
        or an argument is not of a float or complex dtype.
    ValueError
        `argnums` names an argument that the call does not have, or one twice.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.value_and_grad(lambda p: p["w"] ** 2)({"w": 3.0})
    (np.float64(9.0), {'w': np.float64(6.0)})
    """
    check_transform(f, "grad", argnums)
    return Transformed(_value_and_grad, f, argnums, has_aux, holomorphic)


def _value_and_grad(
    f: Function,
    argnums: Argnums,
    has_aux: bool,
    holomorphic: bool,
    /,
    *args: Any,
    **keywords: Any,
) -> tuple[Any, Any]:
    recorded, gradient = _differentiated(f, argnums, has_aux, holomorphic, args, keywords)
    value = recorded.outs[0]
    return ((value, recorded.aux) if has_aux else value), gradient


def _differentiated(
    f: Function,
    argnums: Argnums,
    has_aux: bool,
    holomorphic: bool,
    args: tuple[Any, ...],
    keywords: dict[str, Any],
) -> tuple[Recorded, Any]:
    """Evaluate a function that returns one scalar, and its gradient."""
    positions = positions_of(argnums, len(args), "grad")
    recorded = Recorded(f, args, keywords, positions, has_aux, "grad")
    seed = _scalar_seed(recorded, f, holomorphic)
    gradients = recorded.pull([seed], keep_tape=False)
    return recorded, (gradients[0] if isinstance(argnums, (int, np.integer)) else tuple(gradients))


@overload
def grad(
    f: np.ufunc, argnums: Argnums = ..., has_aux: bool = ..., holomorphic: bool = ...
) -> Callable[..., Any]: ...


@overload
def grad(
    f: Callable[P, Any], argnums: Argnums = ..., has_aux: bool = ..., holomorphic: bool = ...
) -> Callable[P, Any]: ...


def grad(
    f: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """Return the gradient function of `f`: what takes the same arguments and returns df/dx.

    `f` is a Python function written with NumPy that returns one real number, such as a loss. The
    new function evaluates it once and sweeps back through what it did; the gradient has the shape
    of the argument, and where that is a container (a dict of weights, a list, a module) it is such
    a container, with an array in the place of each. It is a function like any other, so
    ``ad.grad(ad.grad(f))`` is a second derivative and ``ad.vmap(ad.grad(f))`` a batch of gradients.

    For complex z = x + iy the gradient of a real-valued function is df/dx - i df/dy.
    `value_and_grad` returns the value of `f` too, `jacobian` takes functions of many outputs.

    Parameters
    ----------
    f : callable that returns a real scalar
    argnums : int or tuple of int
        Which arguments to differentiate by, counted from 0; by default the first. A tuple gives a
        tuple of gradients.
    has_aux : bool
        `f` returns ``(scalar, aux)``; the new function returns ``(gradient, aux)``.
    holomorphic : bool
        `f` is complex-differentiable, from complex to complex.

    Returns
    -------
    callable
        Takes what `f` takes; returns the gradient, which is a container like the argument.

    Raises
    ------
    TypeError
        `f` is no function; or, when the new function is called, `f` does not return a real scalar,
        or an argument is not of a float or complex dtype.
    ValueError
        `argnums` names an argument that the call does not have, or one twice.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    >>> ad.grad(ad.grad(np.sin))(np.pi / 2)
    np.float64(-1.0)
    """
    check_transform(f, "grad", argnums)
    return Transformed(_grad, f, argnums, has_aux, holomorphic)


def _grad(
    f: Function,
    argnums: Argnums,
    has_aux: bool,
    holomorphic: bool,
    /,
    *args: Any,
    **keywords: Any,
) -> Any:
    recorded, gradient = _differentiated(f, argnums, has_aux, holomorphic, args, keywords)
    return (gradient, recorded.aux) if has_aux else gradient


@overload
def elementwise_grad(f: np.ufunc, argnums: Argnums = ...) -> Callable[..., Any]: ...


@overload
def elementwise_grad(f: Callable[P, Any], argnums: Argnums = ...) -> Callable[P, Any]: ...


def elementwise_grad(f: Function, argnums: Argnums = 0) -> Function:
    """Return the derivative of a function that acts on each element separately.

    It is the gradient of the sum of the outputs; for a function that mixes elements that is the
    column sum of its Jacobian.

    Parameters
    ----------
    f : callable on arrays, or containers of them
    argnums : int or tuple of int
        Arguments to differentiate; a tuple gives a tuple of derivatives.

    Returns
    -------
    callable
        Takes what `f` takes; returns the derivative, which is a container like the argument.

    Raises
    ------
    TypeError
        `f` is no function; or, when the new function is called, an argument is not of a float or
        complex dtype.
    ValueError
        `argnums` names an argument that the call does not have, or one twice.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.elementwise_grad(np.tanh)(np.zeros(2))
    array([1., 1.])
    """
    check_transform(f, "elementwise_grad", argnums)
    return Transformed(_elementwise_grad, f, argnums)


def _elementwise_grad(f: Function, argnums: Argnums, /, *args: Any, **keywords: Any) -> Any:
    positions = positions_of(argnums, len(args), "elementwise_grad")
    recorded = Recorded(f, args, keywords, positions, False, "elementwise_grad")
    seeds = [ones(out.shape, out.dtype, out) for out in recorded.outs]
    gradients = recorded.pull(seeds, keep_tape=False)
    return gradients[0] if isinstance(argnums, (int, np.integer)) else tuple(gradients)
