"""Transforms of functions on nested containers: reverse, forward, batched, staged.

Each opens a scope with its interpreter, boxes the leaves it acts on, calls the function, and
unwraps what comes out. Keyword arguments pass through undifferentiated.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff import tree
from autodiff.batch import Batch
from autodiff.cotangent import zeros
from autodiff.dispatch import Box, Interpreter, lower_to, open_scope
from autodiff.forward import Forward
from autodiff.ops import elementwise as ew
from autodiff.ops.shape import moveaxis_
from autodiff.reverse import Node, Reverse, owned, sweep
from autodiff.spec import is_inexact, protected, spec_of
from autodiff.stage import Stage, record_calls
from autodiff.tape import Tape
from autodiff.tensor import Tensor

__all__ = [
    "elementwise_grad",
    "grad",
    "hvp",
    "jvp",
    "linearize",
    "value_and_grad",
    "vjp",
    "vmap",
]

Function = Callable[..., Any]
Argnums = int | Sequence[int]

# --- leaves -------------------------------------------------------------------------------------


def _name(f: Function) -> str:
    return getattr(f, "__name__", type(f).__name__)


def differentiable_leaf(leaf: Any, path: str | tree.LeafPath, transform: str) -> Any:
    """Check a leaf to differentiate with respect to; arrays are frozen or copied.

    Raises
    ------
    TypeError
        The leaf is not of a float or complex dtype; names its path and the remedy.
    """
    if isinstance(leaf, Box):
        return leaf
    if isinstance(leaf, (float, complex)) and not isinstance(leaf, np.generic):
        return np.asarray(leaf)[()]
    if isinstance(leaf, (np.ndarray, np.generic)):
        if is_inexact(leaf.dtype):
            # NumPy computes scalars from 0-d arrays: a derivative by one would have another form
            return protected(leaf) if leaf.shape else np.asarray(leaf)[()]
        what = f"an array of dtype {leaf.dtype}"
    else:
        what = f"of type {type(leaf).__name__}"
    remedy = (
        "convert it to float (1.0 for 1, x.astype(float) for an array)"
        if isinstance(leaf, (int, np.ndarray, np.generic))
        else "pass it as a keyword argument, or in an argument that is not differentiated"
    )
    raise TypeError(f"{transform}: {path} is {what}, which cannot carry a derivative; {remedy}")


def check_transform(f: Any, transform: str, argnums: Any = 0) -> None:
    """Refuse, when a transform is applied, what can only be a slip: a value, or a point.

    Raises
    ------
    TypeError
        `f` is not callable, or `argnums` holds no argument numbers.
    """
    if not callable(f):
        raise TypeError(
            f"{transform}: takes a function, got {type(f).__name__}; write "
            f"ad.{transform}(function)(x)"
        )
    numbers = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in numbers):
        raise TypeError(
            f"{transform}: argnums must be an int or a tuple of ints, got {argnums!r}; the point "
            f"goes into a second pair of parentheses: ad.{transform}(f)(x)"
        )


def positions_of(argnums: Argnums, count: int, transform: str) -> tuple[int, ...]:
    """Check argument numbers and make them non-negative."""
    given = (argnums,) if isinstance(argnums, (int, np.integer)) else tuple(argnums)
    positions = []
    for number in given:
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TypeError(f"{transform}: argnums must be an int or a tuple of ints: {argnums!r}")
        if not -count <= number < count:
            raise ValueError(
                f"{transform}: argnums={argnums!r}, but the function was called with {count} "
                "positional arguments"
            )
        positions.append(int(number) % count)
    if len(set(positions)) != len(positions):
        raise ValueError(f"{transform}: argnums={argnums!r} names an argument twice")
    return tuple(positions)


def as_value(out: Any, path: str, transform: str) -> Any:
    """Check a leaf that a function returned, and make an array of a Python number."""
    if isinstance(out, (Box, np.ndarray, np.generic)):
        value = out
    elif isinstance(out, (bool, int, float, complex)):
        value = np.asarray(out)[()]
    else:
        raise TypeError(
            f"{transform}: {path} is a {type(out).__name__}; the function must return numbers, "
            "arrays or Tensors, or containers of them (has_aux=True for anything else beside them)"
        )
    return value


def _split_aux(out: Any, has_aux: bool, transform: str) -> tuple[Any, Any]:
    if not has_aux:
        return out, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(
            f"{transform}: has_aux=True needs the function to return a pair (output, aux)"
        )
    return out


def _unboxed(value: Any, interpreter: Interpreter) -> Any:
    """Value below an interpreter's level, for what a function returns beside its output."""
    value = lower_to(value, interpreter.level)
    if isinstance(value, Box) and value._interpreter is interpreter:
        return value._value
    return value


# --- reverse ------------------------------------------------------------------------------------


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
        interpreter = Reverse(Tensor)
        with open_scope(interpreter):
            arguments = list(args)
            self.leaves: list[Node] = []
            self.trees: list[tree.PyTreeSpec] = []
            for position in positions:
                values, structure = tree.flatten(args[position])
                boxes = []
                for i, value in enumerate(values):
                    path = tree.LeafPath(structure, i, f"argument {position}")
                    box = interpreter.variable(differentiable_leaf(value, path, transform))
                    self.leaves.append(box._payload)
                    boxes.append(box)
                self.trees.append(structure)
                arguments[position] = tree.unflatten(structure, boxes)
            out, aux = _split_aux(f(*arguments, **keywords), has_aux, transform)
            outs, self.out_tree = tree.flatten(out)
            self.nodes: list[Node | None] = []
            self.outs: list[Any] = []
            for i, leaf in enumerate(outs):
                path_out = "the output" if len(outs) == 1 else f"output {i}"
                leaf = lower_to(as_value(leaf, path_out, transform), interpreter.level)
                if isinstance(leaf, Box) and leaf._interpreter is interpreter:
                    self.nodes.append(leaf._payload)
                    self.outs.append(leaf._value)
                else:
                    self.nodes.append(None)
                    self.outs.append(leaf)
            self.aux = aux
            if has_aux:
                self.aux = tree.map_leaves(lambda leaf: _unboxed(leaf, interpreter), aux)

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
        pulled = iter(
            [
                owned(reached[leaf], given) if leaf in reached else zeros(leaf.spec)[()]
                for leaf in self.leaves
            ]
        )
        return [
            tree.unflatten(structure, [next(pulled) for _ in range(structure.num_leaves)])
            for structure in self.trees
        ]


def _seed_of(g: Any, out: Any, path: str, transform: str) -> Any:
    """Check a cotangent or tangent against the value it belongs to, and cast it."""
    spec = spec_of(out)
    if not isinstance(g, (Box, np.ndarray, np.generic)):
        if not isinstance(g, (bool, int, float, complex, list, tuple)):
            raise TypeError(f"{transform}: {path} is a {type(g).__name__}; give an array")
        g = np.asarray(g)[()]
    if g.shape != spec.shape:
        raise ValueError(f"{transform}: {path} has shape {g.shape}, it must have {spec.shape}")
    if g.dtype.kind not in "fciub" or (g.dtype.kind == "c" and spec.dtype.kind != "c"):
        raise TypeError(
            f"{transform}: {path} has dtype {g.dtype}, which does not go with {spec.dtype}"
        )
    if g.dtype != spec.dtype and is_inexact(spec.dtype):
        g = ew.convert(g, dtype=spec.dtype)
    return g


def _seeds(
    given: Any, values: Sequence[Any], structure: Any, what: str, transform: str
) -> list[Any]:
    """Flatten cotangents or tangents and check each against its value."""
    leaves, own_structure = tree.flatten(given)
    if own_structure != structure:
        raise TypeError(
            f"{transform}: {what} has structure {own_structure}, it must have {structure}"
        )
    paths = tree.paths(structure, what)
    return [
        _seed_of(g, value, path, transform)
        for g, value, path in zip(leaves, values, paths, strict=True)
    ]


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

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> out, pullback = ad.vjp(np.multiply, 2.0, 3.0)
    >>> out, pullback(1.0)
    (np.float64(6.0), (np.float64(3.0), np.float64(2.0)))
    """
    recorded = Recorded(f, xs, keywords, range(len(xs)), has_aux, "vjp")

    def pullback(g: Any) -> tuple[Any, ...]:
        seeds = _seeds(g, recorded.outs, recorded.out_tree, "cotangent", "pullback")
        return tuple(recorded.pull(seeds, keep_tape=True))

    if has_aux:
        return recorded.output(), pullback, recorded.aux
    return recorded.output(), pullback


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
            f"{transform}: {_name(f)} must return one scalar, it returned "
            f"{_described(recorded)}; use has_aux=True for what comes beside the scalar, or "
            "jacobian"
        )
    spec = spec_of(recorded.outs[0])
    if spec.shape != ():
        raise TypeError(
            f"{transform}: {_name(f)} must return a scalar, it returned shape {spec.shape}; reduce "
            "it (np.sum), or use jacobian, vjp or elementwise_grad"
        )
    if holomorphic:
        if spec.dtype.kind != "c" or any(leaf.spec.dtype.kind != "c" for leaf in recorded.leaves):
            raise TypeError(
                f"{transform}: holomorphic=True needs complex inputs and a complex output, got "
                f"an output of dtype {spec.dtype}"
            )
    elif spec.dtype.kind == "c":
        raise TypeError(
            f"{transform}: {_name(f)} returned a complex number; take its real part or modulus, or "
            "pass holomorphic=True for a complex-differentiable function"
        )
    return spec.dtype.type(1) if is_inexact(spec.dtype) else np.float64(1)


_LEAF = tree.flatten(0.0)[1]


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

    Raises
    ------
    TypeError
        `f` does not return a real scalar, or an argument is not of a float or complex dtype.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.value_and_grad(lambda p: p["w"] ** 2)({"w": 3.0})
    (np.float64(9.0), {'w': np.float64(6.0)})
    """
    check_transform(f, "grad", argnums)

    @functools.wraps(f)
    def evaluate(*args: Any, **keywords: Any) -> tuple[Any, Any]:
        positions = positions_of(argnums, len(args), "grad")
        recorded = Recorded(f, args, keywords, positions, has_aux, "grad")
        seed = _scalar_seed(recorded, f, holomorphic)
        gradients = recorded.pull([seed], keep_tape=False)
        gradient = gradients[0] if isinstance(argnums, (int, np.integer)) else tuple(gradients)
        value = recorded.outs[0]
        return ((value, recorded.aux) if has_aux else value), gradient

    return evaluate


def grad(
    f: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """Return the gradient function of `f`.

    Parameters are those of `value_and_grad`; with ``has_aux=True`` the new function returns
    ``(gradient, aux)``. For complex z = x + iy the gradient of a real-valued function is
    df/dx - i df/dy.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    >>> ad.grad(ad.grad(np.sin))(np.pi / 2)
    np.float64(-1.0)
    """
    both = value_and_grad(f, argnums, has_aux, holomorphic)

    @functools.wraps(f)
    def gradient(*args: Any, **keywords: Any) -> Any:
        value, result = both(*args, **keywords)
        return (result, value[1]) if has_aux else result

    return gradient


def elementwise_grad(f: Function, argnums: Argnums = 0) -> Function:
    """Return the derivative of a function that acts on each element by itself.

    It is the gradient of the sum of the outputs; for a function that mixes elements that is the
    column sum of its Jacobian.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.elementwise_grad(np.tanh)(np.zeros(2))
    array([1., 1.])
    """
    check_transform(f, "elementwise_grad", argnums)

    @functools.wraps(f)
    def derivative(*args: Any, **keywords: Any) -> Any:
        positions = positions_of(argnums, len(args), "elementwise_grad")
        recorded = Recorded(f, args, keywords, positions, False, "elementwise_grad")
        seeds = [np.ones(spec_of(out).shape, spec_of(out).dtype) for out in recorded.outs]
        gradients = recorded.pull(seeds, keep_tape=False)
        return gradients[0] if isinstance(argnums, (int, np.integer)) else tuple(gradients)

    return derivative


# --- forward ------------------------------------------------------------------------------------


def _tangent_values(
    primals: tuple[Any, ...], tangents: tuple[Any, ...], transform: str
) -> tuple[list[Any], list[Any], tree.PyTreeSpec]:
    """Flatten primals and tangents together, and check them."""
    if not all(isinstance(given, (tuple, list)) for given in (primals, tangents)):
        raise TypeError(f"{transform}: primals and tangents must be tuples, one entry per argument")
    values, structure = tree.flatten(tuple(primals))
    paths = tree.paths(structure, "primals")
    values = [
        differentiable_leaf(value, path, transform)
        for value, path in zip(values, paths, strict=True)
    ]
    return values, _seeds(tuple(tangents), values, structure, "tangents", transform), structure


def push_tangents(
    f: Function,
    values: Sequence[Any],
    tangents: Sequence[Any],
    structure: tree.PyTreeSpec,
    keywords: dict[str, Any],
    transform: str,
) -> tuple[list[Any], list[Any], tree.PyTreeSpec]:
    """Evaluate `f` on values with tangents; returns flat outputs, flat tangents, structure."""
    interpreter = Forward(Tensor)
    with open_scope(interpreter):
        boxes = [interpreter.make(v, t) for v, t in zip(values, tangents, strict=True)]
        outs, out_tree = tree.flatten(f(*tree.unflatten(structure, boxes), **keywords))
        primals_out, tangents_out = [], []
        for i, leaf in enumerate(outs):
            leaf = lower_to(as_value(leaf, f"output {i}", transform), interpreter.level)
            own = isinstance(leaf, Box) and leaf._interpreter is interpreter
            primal = leaf._value if own else leaf
            tangent = leaf._payload if own else None
            primals_out.append(primal)
            tangents_out.append(zeros(spec_of(primal))[()] if tangent is None else tangent)
    return primals_out, tangents_out, out_tree


def jvp(
    f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], **keywords: Any
) -> tuple[Any, Any]:
    """Evaluate `f` and its derivative in one direction.

    Parameters
    ----------
    f : callable
    primals, tangents : tuples of containers, one entry per argument of `f`
        Of the same structure and shapes.

    Returns
    -------
    out, tangent_out : of the structure that `f` returns

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    values, seeds, structure = _tangent_values(primals, tangents, "jvp")
    outs, out_tangents, out_tree = push_tangents(f, values, seeds, structure, keywords, "jvp")
    return tree.unflatten(out_tree, outs), tree.unflatten(out_tree, out_tangents)


def tangent_tape(
    f: Function,
    values: Sequence[Any],
    structure: tree.PyTreeSpec,
    keywords: dict[str, Any],
    transform: str,
) -> tuple[list[Any], tree.PyTreeSpec, Tape]:
    """Evaluate `f` once; returns flat outputs, their structure, and the tape of the tangents.

    The tape maps tangents of `values` to tangents of the outputs; what `f` computes on the way is
    constant on it.
    """
    results: list[Any] = []

    def tangent_program(*tangents: Any) -> list[Any]:
        outs, out_tangents, out_tree = push_tangents(
            f, values, tree.leaves(tangents), structure, keywords, transform
        )
        results.extend((outs, out_tree))
        return out_tangents

    start = [zeros(spec_of(value))[()] for value in values]
    tape, _ = record_calls(tangent_program, Stage(Tensor), start, [None] * len(start), structure)
    outs, out_tree = results
    return outs, out_tree, tape


def linearize(f: Function, *xs: Any, **keywords: Any) -> tuple[Any, Function]:
    """Evaluate `f` once and return its derivative at that point as a function.

    The derivative replays the recorded tangent operations, without running `f` again.

    Returns
    -------
    out : what `f` returned
    linear_f : function of one tangent per argument; returns a tangent of `out`

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> out, linear_f = ad.linearize(np.square, 3.0)
    >>> out, linear_f(1.0), linear_f(2.0)
    (np.float64(9.0), np.float64(6.0), np.float64(12.0))
    """
    values, structure = tree.flatten(xs)
    paths = tree.paths(structure, "xs")
    values = [
        differentiable_leaf(value, path, "linearize")
        for value, path in zip(values, paths, strict=True)
    ]
    outs, out_tree, tape = tangent_tape(f, values, structure, keywords, "linearize")

    def linear_f(*tangents: Any) -> Any:
        seeds = _seeds(tangents, values, structure, "tangents", "linear_f")
        return tree.unflatten(out_tree, tape.evaluate(*tree.unflatten(structure, seeds)))

    return tree.unflatten(out_tree, outs), linear_f


def hvp(f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], **keywords: Any) -> Any:
    """Product of the Hessian of a scalar function with a vector, forward over reverse.

    Parameters
    ----------
    f : callable that returns a real scalar
    primals, tangents : tuples of containers, one entry per argument of `f`

    Returns
    -------
    For one argument its product; for several a tuple, one per argument.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> ad.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
    array([6., 0.])
    """
    values, seeds, structure = _tangent_values(primals, tangents, "hvp")
    gradient = grad(f, argnums=tuple(range(len(primals))))
    _, products, out_tree = push_tangents(gradient, values, seeds, structure, keywords, "hvp")
    found = tree.unflatten(out_tree, products)
    return found[0] if len(primals) == 1 else found


# --- batching -----------------------------------------------------------------------------------


def _leaf_axes(axes: Any, values: Sequence[Any], structure: Any, what: str) -> list[Any]:
    """Spread axes given for whole subtrees over the leaves below them."""
    if axes is None or isinstance(axes, (int, np.integer)):
        return [axes] * len(values)
    try:
        flat: list[Any] = []
        _spread_axes(axes, tree.unflatten(structure, list(range(len(values)))), flat)
    except (TypeError, KeyError, ValueError, IndexError):
        flat = []
    if len(flat) != len(values):
        raise ValueError(f"vmap: {what}={axes!r} does not fit the structure {structure}")
    return flat


def _spread_axes(axes: Any, subtree: Any, flat: list[Any]) -> None:
    """Walk two containers of one shape, the first of which may end early."""
    pending = [(axes, subtree)]
    while pending:
        axis, node = pending.pop()
        if axis is None or isinstance(axis, (int, np.integer)):
            flat.extend((leaf, axis) for leaf in tree.leaves(node))
        elif isinstance(axis, dict):
            if set(axis) != set(node):
                raise ValueError("keys differ")
            pending.extend((axis[key], node[key]) for key in axis)
        else:
            pending.extend(zip(axis, node, strict=True))
    flat.sort(key=lambda pair: pair[0])
    flat[:] = [axis for _, axis in flat]


def _batch_size(values: Sequence[Any], axes: Sequence[Any], paths: Sequence[str]) -> int:
    """Common length of the mapped axes."""
    size: int | None = None
    first = ""
    for value, axis, path in zip(values, axes, paths, strict=True):
        if axis is None:
            continue
        shape = spec_of(value).shape
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"vmap: in_axes {axis} is out of range for {path} of shape {shape}")
        if size is None:
            size, first = shape[axis], path
        elif shape[axis] != size:
            raise ValueError(
                f"vmap: {path} of shape {shape} has {shape[axis]} examples along axis {axis}, "
                f"{first} has {size}"
            )
    if size is None:
        raise ValueError("vmap: in_axes maps no axis of any argument")
    return size


def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """Return a function that evaluates `f` on many examples at once.

    Parameters
    ----------
    f : callable, written for one example
    in_axes : int, None, or a container of them
        Which axis of each argument (or of each leaf) counts the examples; None: the argument is
        the same for all. A tuple gives one entry per positional argument.
    out_axes : int or a container of them
        Where the examples' axis goes in each output.

    Raises
    ------
    ValueError
        Arguments disagree on the number of examples, or an axis is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> w, x = np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 3.0]])
    >>> ad.vmap(ad.grad(lambda w, x: (w @ x) ** 2), (None, 0))(w, x)
    array([[ 2.,  0.],
           [ 0., 36.]])
    """
    check_transform(f, "vmap")

    @functools.wraps(f)
    def batched(*args: Any, **keywords: Any) -> Any:
        values, structure = tree.flatten(args)
        axes_given = in_axes
        if isinstance(axes_given, list):
            axes_given = tuple(axes_given)
        if isinstance(axes_given, tuple) and len(axes_given) != len(args):
            raise ValueError(
                f"vmap: in_axes has {len(axes_given)} entries for {len(args)} positional arguments"
            )
        axes = _leaf_axes(axes_given, values, structure, "in_axes")
        values = [v if hasattr(v, "shape") else np.asarray(v)[()] for v in values]
        size = _batch_size(values, axes, tree.paths(structure, "args"))
        interpreter = Batch(Tensor, size)
        with open_scope(interpreter):
            boxes = [
                value if axis is None else interpreter.make(_to_front(value, axis), size)
                for value, axis in zip(values, axes, strict=True)
            ]
            outs, out_tree = tree.flatten(f(*tree.unflatten(structure, boxes), **keywords))
            results = []
            for i, (out, axis) in enumerate(
                zip(outs, _leaf_axes(out_axes, outs, out_tree, "out_axes"), strict=True)
            ):
                out = lower_to(as_value(out, f"output {i}", "vmap"), interpreter.level)
                results.append(_from_front(interpreter.values(out), axis))
        return tree.unflatten(out_tree, results)

    return batched


def _to_front(value: Any, axis: int) -> Any:
    return value if axis == 0 else moveaxis_(value, axis, 0)


def _from_front(value: Any, axis: int | None) -> Any:
    if axis is None:
        raise ValueError("vmap: out_axes must be integers")
    if not -value.ndim <= axis < value.ndim:
        raise ValueError(
            f"vmap: out_axes {axis} is out of range for an output of {value.ndim} axes"
        )
    return value if axis == 0 else moveaxis_(value, 0, axis)
