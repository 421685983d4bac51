"""Rules of structure that declarations share: what moves, what is summed, what stays apart.

Each is a function of an operation and the position of an input (`ops.descriptions`), to be given as
``local=`` or ``pattern=``. `elementwise` is what follows from that kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.core import arrays
from autodiff.core.rules import Rule
from autodiff.core.spec import Shape, Spec
from autodiff.ops.descriptions import (
    Blocks,
    Description,
    Groups,
    Nothing,
    Operation,
    Pairs,
    Reads,
    Same,
    Sums,
    numbered,
)

__all__ = [
    "along",
    "elementwise",
    "group_of_axes",
    "moves",
    "one_row",
    "real_same",
    "reduced",
    "running",
    "same",
    "stacks",
    "systems",
    "triangles",
    "unbroadcast",
]


def group_of_axes(shape: Shape, axes: Sequence[int]) -> tuple[int, int, int] | None:
    """Lengths before, of and after axes that stand side by side (lengths of 1 do not count).

    None where other axes stand between them.

    Parameters
    ----------
    shape : tuple of int
    axes : sequence of int
        In ascending order, not negative.

    Returns
    -------
    tuple of three int, or None

    Raises
    ------
    IndexError
        There is no such axis.

    Examples
    --------
    >>> group_of_axes((2, 3, 4, 5), (1, 2))
    (2, 12, 5)
    """
    long = [axis for axis in axes if shape[axis] > 1]
    if not long:
        return math.prod(shape), 1, 1
    first, last = long[0], long[-1]
    between = [axis for axis in range(first, last + 1) if shape[axis] > 1]
    if between != long:
        return None
    return (
        math.prod(shape[:first]),
        math.prod(shape[first : last + 1]),
        math.prod(shape[last + 1 :]),
    )


def _kept(shape: Shape, axes: Sequence[int]) -> Shape:
    return tuple(1 if axis in axes else length for axis, length in enumerate(shape))


def _axes(operation: Operation) -> Shape:
    """The parameter ``axis``, one or several."""
    axis = operation.params["axis"]
    return axis if isinstance(axis, tuple) else (axis,)


def _to_reduced(operation: Operation, position: int) -> Callable[[], Any]:
    """Number of the result that each element is reduced to along the parameter ``axis``."""
    shape = operation.inputs[position].shape
    kept = _kept(shape, _axes(operation))
    return lambda: np.broadcast_to(numbered(kept), shape)


# --- what follows from the kind -------------------------------------------------------------------


def elementwise(operation: Operation, position: int) -> Description:
    """Pattern of an elementwise primitive: its own element, broadcast.

    Where the partial is zero everywhere, or is another input that is known to be zero, nothing.
    """
    inp, out = operation.inputs[position], operation.out
    rule = operation.primitive.reverse_rules[operation.primitive.input_name(position)]
    zero: Any = None
    if isinstance(rule, Rule):
        if rule.passes_on and rule.needs[0] in operation.primitive.inputs:
            factor = operation.constant(operation.primitive.inputs.index(rule.needs[0]))
            if factor is not None and not np.all(factor):
                zero = np.equal(factor, 0)
    elif rule == 0:
        return Nothing()
    if inp.shape == out.shape and zero is None:
        return Same()

    def sources() -> Any:
        places = np.broadcast_to(numbered(inp.shape), out.shape)
        return places if zero is None else np.where(zero, -1, places)

    return Reads(sources)


# --- elements that move ---------------------------------------------------------------------------


def same(operation: Operation, position: int) -> Description:
    """Elements stay in their order: a reshape.

    Parameters
    ----------
    operation : Operation
    position : int
        Of the input.

    Returns
    -------
    Same

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.core.spec import spec_of
    >>> vector, matrix = spec_of(np.ones(4)), spec_of(np.ones((2, 2)))
    >>> operation = Operation(
    ...     ad.REGISTRY["reshape"], None, None, [vector], [matrix], {"shape": (2, 2)}
    ... )
    >>> same(operation, 0).factor
    1.0
    """
    return Same()


def real_same(operation: Operation, position: int) -> Description | None:
    """Elements stay as they are where they are real; of complex ones the kind decides."""
    kinds = operation.inputs[position].dtype.kind + operation.out.dtype.kind
    return None if "c" in kinds else Same()


def _as_numpy(value: Any) -> Any:
    """A constant, or what an index is made of, to count elements with, wherever those are."""
    if isinstance(value, tuple):
        return tuple(_as_numpy(part) for part in value)
    return arrays.as_numpy(value) if arrays.is_foreign(value) else value


def moves(operation: Operation, position: int) -> Description | None:
    """Elements are moved and repeated: found by running the function on their numbers.

    For functions that put elements of their inputs, or zeros, somewhere else (transposes, slices,
    concatenations) and do nothing to them. Inputs without a derivative (index arrays) must be
    known.

    Parameters
    ----------
    operation : Operation
    position : int
        Of the input.

    Returns
    -------
    Reads or None

    Raises
    ------
    IndexError
        There is no such input.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.core.spec import spec_of
    >>> wide, tall = spec_of(np.ones((2, 3))), spec_of(np.ones((3, 2)))
    >>> operation = Operation(
    ...     ad.REGISTRY["transpose"], None, None, [wide], [tall], {"axes": (1, 0)}
    ... )
    >>> moves(operation, 0).sources()
    array([[0, 3],
           [1, 4],
           [2, 5]])
    """
    inp, primitive = operation.inputs[position], operation.primitive
    constants = operation.fixed
    if any(value is None for value in constants.values()):
        return None
    constants = {i: _as_numpy(value) for i, value in constants.items()}
    params = {name: _as_numpy(value) for name, value in operation.params.items()}

    def moved(numbers: Callable[[int, Spec], Any]) -> Any:
        operands = [
            constants[i] if i in constants else numbers(i, spec)
            for i, spec in enumerate(operation.inputs)
        ]
        return arrays.as_array(primitive.forward(*operands, **params)).astype(np.intp)

    def sources() -> Any:
        own = numbered(inp.shape, 1)
        none = np.intp(0)
        return moved(lambda i, spec: own if i == position else np.full(spec.shape, none)) - 1

    def jointly() -> Any:
        start = 1
        numbers: dict[int, Any] = {}
        for i, spec in enumerate(operation.inputs):
            if i not in constants:
                numbers[i] = numbered(spec.shape, start)
                start += spec.size
        return moved(lambda i, spec: numbers[i])

    return Reads(sources, jointly=jointly)


def reduced(operation: Operation, position: int, factor: float = 1.0) -> Description:
    """Sum over the parameter ``axis``, times a number.

    Parameters
    ----------
    operation : Operation
    position : int
        Of the input.
    factor : float

    Returns
    -------
    Sums, or Same where each result is one element

    Raises
    ------
    IndexError
        There is no such input.
    KeyError
        The primitive has no parameter ``axis``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.core.spec import spec_of
    >>> matrix, row = spec_of(np.ones((2, 3))), spec_of(np.ones(3))
    >>> operation = Operation(ad.REGISTRY["sum"], None, None, [matrix], [row], {"axis": 0})
    >>> reduced(operation, 0).targets()
    array([[0, 1, 2],
           [0, 1, 2]])
    """
    if operation.inputs[position].size == operation.out.size:
        return Same(factor)
    return Sums(_to_reduced(operation, position), factor)


def one_row(operation: Operation, position: int) -> Description:
    """Reduction over the parameter ``axis``: one row of partials per result.

    No element belongs to two results.

    Parameters
    ----------
    operation : Operation
    position : int
        Of the input.

    Returns
    -------
    Blocks, or Sums where other axes stand between those of ``axis``

    Raises
    ------
    IndexError
        There is no such input.
    KeyError
        The primitive has no parameter ``axis``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.core.spec import spec_of
    >>> matrix, row = spec_of(np.ones((2, 3))), spec_of(np.ones(3))
    >>> operation = Operation(ad.REGISTRY["max"], None, None, [matrix], [row], {"axis": 0})
    >>> one_row(operation, 0).shape
    (1, 1, 2, 3)
    """
    shape = operation.inputs[position].shape
    group = group_of_axes(shape, _axes(operation))
    if group is None:
        return Sums(_to_reduced(operation, position), lambda: operation.partials[position])
    lead, columns, trail = group
    return Blocks((lead, 1, columns, trail), lambda: operation.partials[position], lead, trail)


def along(operation: Operation, position: int) -> Description:
    """Pattern: results depend on the elements that differ from them along ``axis`` alone.

    The result has the same axes as the input; its length along ``axis`` may be another one.

    Parameters
    ----------
    operation : Operation
    position : int
        Of the input.

    Returns
    -------
    Groups

    Raises
    ------
    IndexError
        There is no such input.
    KeyError
        The primitive has no parameter ``axis``.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.core.spec import spec_of
    >>> matrix = spec_of(np.ones((2, 3)))
    >>> cumsum = ad.REGISTRY["cumsum"]
    >>> along(Operation(cumsum, None, None, [matrix], [matrix], {"axis": 0}), 0).elements()
    array([[0, 1, 2],
           [0, 1, 2]])
    """
    axes = _axes(operation)
    kept = _kept(operation.inputs[position].shape, axes)
    return Groups(
        _to_reduced(operation, position),
        lambda: np.broadcast_to(numbered(kept), operation.out.shape),
        math.prod(kept),
    )


def running(operation: Operation, position: int) -> Description:
    """Pattern of a running sum: a result depends on the elements up to it along ``axis``."""
    shape, axis = operation.inputs[position].shape, operation.params["axis"]
    length = shape[axis]

    def places() -> tuple[Any, Any]:
        lanes = np.moveaxis(operation.places, axis, -1).reshape(-1, length)
        later, earlier = np.tril_indices(length)
        return lanes[:, later], lanes[:, earlier]

    return Pairs(places, operation.out.size * (length + 1) // 2)


def triangles(operation: Operation, position: int) -> Description:
    """Running sum along the parameter ``axis``: triangles of ones."""
    shape, axis = operation.inputs[position].shape, operation.params["axis"]
    length = shape[axis]
    ends = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    dtype = operation.inputs[position].dtype
    blocks = (1, length, length, 1)
    return Blocks(blocks, lambda: np.tri(length, dtype=dtype).reshape(blocks), *ends)


def stacks(operation: Operation, position: int) -> Description | None:
    """Pattern of functions of stacks of matrices: each matrix gives its own results.

    The last two axes of an input are a matrix, those before broadcast between the inputs and come
    first in the result.

    Parameters
    ----------
    operation : Operation
    position : int
        Of the input.

    Returns
    -------
    Groups, or None where there is one matrix

    Raises
    ------
    IndexError
        There is no such input.
    ValueError
        The stacks do not broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.core.spec import spec_of
    >>> matrices = spec_of(np.ones((5, 2, 2)))
    >>> stacks(Operation(ad.REGISTRY["inv"], None, None, [matrices], [matrices], {}), 0).total
    5
    """
    shapes = [spec.shape[:-2] for spec in operation.inputs]
    stack = np.broadcast_shapes(*shapes)
    own, inp, out = shapes[position], operation.inputs[position], operation.out
    matrix = inp.shape[len(own) :]
    if not stack:
        return None

    def elements() -> Any:
        places = numbered(own).reshape((*own, *(1,) * len(matrix)))
        return np.broadcast_to(places, inp.shape)

    def results() -> Any:
        places = np.broadcast_to(numbered(own), stack)
        places = places.reshape((*stack, *(1,) * (out.ndim - len(stack))))
        return np.broadcast_to(places, out.shape)

    return Groups(elements, results, math.prod(own))


def systems(operation: Operation, position: int) -> Description | None:
    """Pattern of solvers of a x = b: column k of x depends on column k of b.

    On the matrix a everything depends, but stacks are apart.

    Parameters
    ----------
    operation : Operation
    position : int
        Of the input.

    Returns
    -------
    Groups, or None for the matrix where there is one

    Raises
    ------
    IndexError
        There is no such input.
    ValueError
        The stacks do not broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff.core.spec import spec_of
    >>> a, b = spec_of(np.ones((2, 2))), spec_of(np.ones((2, 3)))
    >>> systems(Operation(ad.REGISTRY["solve"], None, None, [a, b], [b], {}), 1).elements()
    array([[0, 1, 2],
           [0, 1, 2]])
    """
    if position == 0:
        return stacks(operation, position)
    stack = np.broadcast_shapes(*[spec.shape[:-2] for spec in operation.inputs])
    inp, out = operation.inputs[position], operation.out
    kept = _kept(inp.shape, (inp.ndim - 2,))

    def results() -> Any:
        return np.broadcast_to(
            np.broadcast_to(numbered(kept), (*stack, 1, out.shape[-1])), out.shape
        )

    return Groups(lambda: np.broadcast_to(numbered(kept), inp.shape), results, math.prod(kept))


def unbroadcast(operation: Operation, position: int) -> Description:
    """Sum over the axes that broadcasting from the result's shape would make."""
    inp, out = operation.inputs[position], operation.out
    if inp.size == out.size:
        return Same()
    return Sums(lambda: np.broadcast_to(operation.places, inp.shape))
