"""How the result of an operation depends on each input: descriptions of linear maps, as data.

A declaration's ``local=`` rule describes the local Jacobian of a primitive by one input, its
``pattern=`` rule which elements depend on which. Both are functions of an `Operation` and the
position of the input, and return a description, or None to leave it to the primitive's kind
(partials on a diagonal for elementwise ones; for others a map known only by its VJP, and a result
that depends on every element). Without a pattern of its own a primitive has that of its map.

========== =========================================================================================
`Nothing`  no dependence
`Same`     the elements in their order, times a number, or each times its own
`Reads`    each result reads one element
`Sums`     each element is added to one result
`Blocks`   the same small matrices along the axes
`Groups`   (a pattern only) each result depends on all elements of its group
`Pairs`    (a pattern only) the places of the matrix, one by one
========== =========================================================================================

Elements are numbered in C order. Nothing is computed until it is asked for: planners follow
structures without numbers, so indices and arrays are given as functions that make them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autodiff.core import arrays
from autodiff.core.rules import Pullback
from autodiff.core.spec import Shape, Spec

if TYPE_CHECKING:
    from autodiff.core.primitive import Primitive

__all__ = [
    "Blocks",
    "Description",
    "Groups",
    "Nothing",
    "Operation",
    "Pairs",
    "Reads",
    "Same",
    "StructureRule",
    "Sums",
    "numbered",
]

Integers = NDArray[np.intp]
Factor = float | Callable[[], Any]
"""A number, or a function that returns an array of one number per element."""


class Nothing:
    """The result does not depend on the input.

    Examples
    --------
    >>> isinstance(Nothing(), Description)
    True
    """

    __slots__ = ()


class Same:
    """The elements in their order (the shapes may differ), times a factor.

    Parameters
    ----------
    factor : number, or function that returns one number per element

    Examples
    --------
    >>> Same(-1.0).factor  # of a negation
    -1.0
    """

    __slots__ = ("factor",)

    def __init__(self, factor: Factor = 1.0) -> None:
        self.factor = factor


class Reads:
    """Each result reads one element.

    Parameters
    ----------
    sources : function that returns an array of integers
        For each result the number of the element it reads, -1 for none.
    factor : number, or function that returns one number per result
    jointly : function that returns an array of integers, optional
        The same for all inputs that carry a derivative at once, their elements numbered on from 1,
        one input after the other; 0 for none. It spares one pass over the result per input.

    Examples
    --------
    >>> Reads(lambda: [2, 1, 0]).sources()  # three elements, from the last to the first
    [2, 1, 0]
    """

    __slots__ = ("factor", "jointly", "sources")

    def __init__(
        self,
        sources: Callable[[], Any],
        factor: Factor = 1.0,
        jointly: Callable[[], Any] | None = None,
    ) -> None:
        self.sources = sources
        self.factor = factor
        self.jointly = jointly


class Sums:
    """Each element is added to one result.

    Parameters
    ----------
    targets : function that returns an array of integers
        For each element the number of the result it is added to.
    factor : number, or function that returns one number per element

    Examples
    --------
    >>> Sums(lambda: [0, 0, 1]).targets()  # the first two elements, and the last
    [0, 0, 1]
    """

    __slots__ = ("factor", "targets")

    def __init__(self, targets: Callable[[], Any], factor: Factor = 1.0) -> None:
        self.targets = targets
        self.factor = factor


class Blocks:
    """The same small matrices along the axes: dense, block-diagonal, Kronecker products.

    With the input seen as (lead, columns, trail) and the result as (lead, rows, trail),

        out[l, p, r] = sum over q of array[l, p, q, r] * x[l, q, r]

    Parameters
    ----------
    shape : (lead or 1, rows, columns, trail or 1)
        Of the array; 1 where the block is the same for all.
    array : function that returns the array
    lead, trail : int
    kept : bool
        Whether the array is there anyway (a factor of a product), so that it costs nothing to make.
        Large blocks that would be made are not: the map stays known by its VJP.
    axes : two tuples of int, optional
        Orders in which the axes of the input, and of the result, are (lead, columns or rows,
        trail), where they are not as they stand.

    Examples
    --------
    >>> import numpy as np
    >>> Blocks((1, 1, 2, 1), lambda: np.ones((1, 1, 2, 1)), lead=3).shape  # sums of three pairs
    (1, 1, 2, 1)
    """

    __slots__ = ("array", "axes", "kept", "lead", "shape", "trail")

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        array: Callable[[], Any],
        lead: int = 1,
        trail: int = 1,
        kept: bool = False,
        axes: tuple[Shape, Shape] | None = None,
    ) -> None:
        self.shape = shape
        self.array = array
        self.lead = lead
        self.trail = trail
        self.kept = kept
        self.axes = axes


class Groups:
    """Each result may depend on all elements of its group. A pattern, no map.

    Parameters
    ----------
    elements : function that returns an array of integers
        Group of each element.
    results : function that returns an array of integers
        Group that each result depends on, -1 for none.
    total : int
        Number of groups.

    Examples
    --------
    >>> Groups(lambda: [0, 0, 1], lambda: [0, 1], 2).results()  # of two elements, and of the last
    [0, 1]
    """

    __slots__ = ("elements", "results", "total")

    def __init__(self, elements: Callable[[], Any], results: Callable[[], Any], total: int) -> None:
        self.elements = elements
        self.results = results
        self.total = total


class Pairs:
    """The places of the matrix that may differ from zero. A pattern, no map.

    Parameters
    ----------
    places : function that returns two arrays of integers, of results and of elements
    total : int
        How many places there are, repeated ones included.
    within : description, optional
        A coarser one, for where these are too many to list.

    Examples
    --------
    >>> Pairs(lambda: ([0, 0, 1], [0, 1, 1]), 3).total  # a triangle
    3
    """

    __slots__ = ("places", "total", "within")

    def __init__(
        self, places: Callable[[], tuple[Any, Any]], total: int, within: Groups | None = None
    ) -> None:
        self.places = places
        self.total = total
        self.within = within


Description = Nothing | Same | Reads | Sums | Blocks | Groups | Pairs


def numbered(shape: Shape, start: int = 0) -> Integers:
    """Consecutive numbers in the shape of an array.

    Parameters
    ----------
    shape : tuple of int
    start : int

    Returns
    -------
    array of integers

    Examples
    --------
    >>> numbered((2, 2))
    array([[0, 1],
           [2, 3]])
    """
    return np.arange(start, start + math.prod(shape)).reshape(shape)


class Operation:
    """One operation as the rules of structure see it: at a point, or its shapes alone.

    Parameters
    ----------
    primitive : Primitive
    pullback : Pullback or None
        Compiled for the inputs that are differentiated; None where only a pattern is asked for.
    saved : tuple or None
        What the pullback keeps; None where numbers are left out.
    inputs, outputs : sequences of Spec
    params : mapping
    constants : sequence, optional
        Values of the inputs that are known beforehand, None for the others.
    output : int
        Position of the output that is asked about.

    Attributes
    ----------
    out : Spec
        Of the output that is asked about.
    values : dict
        What the pullback keeps, by the names of the rules; only at a point.
    partials : tuple
        Cotangents of ones, one per input: the partials, where no element belongs to two results.
    places : array of integers
        Numbers of the results, in their shape.
    fixed : dict
        Values of the inputs without a derivative by position, None where not known.

    Raises
    ------
    IndexError
        There is no such output.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> vector = Spec((3,), np.dtype(float))
    >>> operation = Operation(ad.sigmoid, None, None, [vector], [vector], {})
    >>> operation.known, operation.places
    (False, array([0, 1, 2]))
    """

    def __init__(
        self,
        primitive: Primitive,
        pullback: Pullback | None,
        saved: tuple[Any, ...] | None,
        inputs: Sequence[Spec],
        outputs: Sequence[Spec],
        params: Mapping[str, Any],
        constants: Sequence[Any] = (),
        output: int = 0,
    ) -> None:
        self.primitive = primitive
        self.pullback = pullback
        self.saved = saved
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.constants = constants
        self.output = output
        self.out = self.outputs[output]
        # Most operations have none: the primitive's own, never written to, stand in
        self.params: Mapping[str, Any] = (
            {**primitive.params, **params} if params else primitive.params
        )

    @property
    def known(self) -> bool:
        """Whether the numbers are there."""
        return self.saved is not None

    def at(self, output: int) -> Operation:
        """Return the operation with another output asked about.

        Parameters
        ----------
        output : int
            Its position.

        Returns
        -------
        Operation

        Raises
        ------
        IndexError
            There is no such output.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> matrix, vector = Spec((2, 2), np.dtype(float)), Spec((2,), np.dtype(float))
        >>> operation = Operation(ad.REGISTRY["eigh"], None, None, [matrix], [vector, matrix], {})
        >>> operation.at(1).out.shape
        (2, 2)
        """
        if output == self.output:
            return self
        return Operation(
            self.primitive,
            self.pullback,
            self.saved,
            self.inputs,
            self.outputs,
            self.params,
            self.constants,
            output,
        )

    @cached_property
    def values(self) -> dict[str, Any]:
        """Saved values by the names of the rules."""
        assert self.saved is not None
        assert self.pullback is not None
        return dict(zip(self.pullback.names, self.saved, strict=True))

    @cached_property
    def partials(self) -> tuple[Any, ...]:
        """Cotangents of ones: the partials, where no element belongs to two results."""
        return self.pull(arrays.ones(self.out.shape, self.out.dtype))

    def pull(self, g: Any) -> tuple[Any, ...]:
        """Cotangent of each input for one of the output that is asked about.

        Parameters
        ----------
        g : array
            Cotangent of the output.

        Returns
        -------
        tuple
            One for each input that is differentiated.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> one, exp = Spec((), np.dtype(float)), ad.REGISTRY["exp"]
        >>> operation = Operation(exp, exp.pullbacks[(True,)], (0.25,), [one], [one], {})
        >>> operation.pull(4.0)
        (1.0,)
        """
        assert self.saved is not None
        assert self.pullback is not None
        seed = g
        if len(self.outputs) > 1 or self.primitive.gives_tuple:
            seed = tuple(
                g if position == self.output else arrays.zeros(spec.shape, spec.dtype)
                for position, spec in enumerate(self.outputs)
            )
        return self.pullback.pull(seed, self.saved)

    @cached_property
    def places(self) -> Integers:
        """Numbers of the results, in their shape."""
        return numbered(self.out.shape)

    def array(self, shape: tuple[int, ...], values: Callable[[], Any]) -> Any:
        """Array of a shape, or where numbers are left out the shape.

        Parameters
        ----------
        shape : tuple of int
        values : function that returns an array of this size

        Returns
        -------
        array or tuple of int

        Raises
        ------
        ValueError
            The values are more or fewer.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> one = Spec((), np.dtype(float))
        >>> Operation(ad.sigmoid, None, None, [one], [one], {}).array((1, 1), lambda: 0.25)
        (1, 1)
        """
        if not self.known:
            return shape
        return arrays.as_factor(values()).reshape(shape)

    def constant(self, position: int) -> Any:
        """Value of an input that is known beforehand, None if it is not.

        Parameters
        ----------
        position : int
            Of the input.

        Returns
        -------
        array, number or None

        Raises
        ------
        IndexError
            There is no such input.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> one = Spec((), np.dtype(float))
        >>> Operation(ad.sigmoid, None, None, [one], [one], {}, [7.0]).constant(0)
        7.0
        """
        return self.constants[position] if self.constants else None

    @cached_property
    def fixed(self) -> dict[int, Any]:
        """Inputs without a derivative by position: their values, None where not known."""
        primitive = self.primitive
        if not primitive.constant:
            return {}
        return {
            position: self.constant(position)
            for position in range(len(self.inputs))
            if primitive.input_name(position) in primitive.constant
        }


StructureRule = Callable[[Operation, int], "Description | None"]


# --- in a declaration -----------------------------------------------------------------------------
