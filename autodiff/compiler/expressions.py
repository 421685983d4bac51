"""Elementwise primitives as scalar expressions, found by running them on symbols.

An elementwise primitive computes each element by itself, so it is known once it is known on
numbers: its function runs on a `Scalar`, which writes down what NumPy's functions are asked of it.
Where the function looks at a number (``a if x > 0 else b``), both ways are run, and an element
takes the one that its condition says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from autodiff.compiler.kernels import Node
from autodiff.core.arrays import is_number, is_scalar

__all__ = ["BOOL", "INDEX", "Expression", "NoExpression", "Nodes", "Scalar", "expression_of"]

BOOL = np.dtype(bool)
INDEX = np.dtype(np.int64)

_MOST_BRANCHES = 16


class NoExpression(Exception):
    """A function is no expression of numbers in NumPy's elementary functions."""


class Expression(NamedTuple):
    """Scalar operations that a function is made of.

    Attributes
    ----------
    nodes : tuple of Node
        Those called ``"operand"`` stand for the input with the number `detail`.
    result : int
    single : (str, tuple of int, np.dtype) or None
        Where it is one operation on inputs: its name, their numbers and its dtype.
    """

    nodes: tuple[Node, ...]
    result: int
    single: tuple[str, tuple[int, ...], np.dtype[Any]] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the result."""
        return self.nodes[self.result].dtype


_node = tuple.__new__
"""As `Node` makes one, without a call of Python's."""


class Nodes:
    """Scalar operations in the making, each written down once.

    Parameters
    ----------
    supports : function of an operation's name and its operands' dtype, optional
        Whether there is code for it; by default there is for all.
    """

    def __init__(self, supports: Callable[[str, np.dtype[Any]], bool] | None = None) -> None:
        self.supports = supports
        self.nodes: list[Node] = []
        self._known: dict[Any, int] = {}

    def add(self, op: str, args: Sequence[int], dtype: np.dtype[Any], detail: Any = None) -> int:
        """Position of an operation."""
        args = tuple(args)
        key: Any = (op, args, dtype.char, detail)
        if op == "constant":
            key = (op, dtype.char, type(detail), repr(detail))  # -0.0 is not 0.0, NaN is NaN
        position = self._known.get(key)
        if position is None:
            position = self._known[key] = len(self.nodes)
            self.nodes.append(Node(op, args, dtype, detail))
        return position

    def put(self, expression: Expression, operands: Sequence[int | None]) -> int:
        """Position of what an expression gives for operands at positions.

        An operand that is a number is part of the expression, and has no position.
        """
        known = self._known
        if expression.single is not None:
            # As `add` does, for most operations
            op, order, dtype = expression.single
            given = tuple([operands[number] for number in order])
            key = (op, given, dtype.char, None)
            found = known.get(key)
            if found is None:
                found = known[key] = len(self.nodes)
                self.nodes.append(_node(Node, (op, given, dtype, None)))
            return found
        places: list[int] = []
        for op, args, dtype, detail in expression.nodes:
            if op == "operand":
                position = operands[detail]
                assert position is not None
            else:
                position = self.add(op, [places[a] for a in args], dtype, detail)
            places.append(position)
        return places[expression.result]

    def constant(self, value: Any, dtype: np.dtype[Any]) -> int:
        """Position of a number as a dtype."""
        if not (is_number(value) or is_scalar(value)) or dtype.kind not in "biuf":
            raise NoExpression(f"no constant: {value!r}")
        return self.add("constant", (), dtype, dtype.type(value).item())

    def cast(self, position: int, dtype: np.dtype[Any]) -> int:
        """Position of a value as another dtype."""
        node = self.nodes[position]
        if node.dtype == dtype:
            return position
        if node.op == "constant":
            return self.constant(node.detail, dtype)
        return self.add("cast", (position,), dtype)

    def where(self, condition: int, x: int, y: int) -> int:
        """Position of a choice between two values of one dtype."""
        return x if x == y else self.add("where", (condition, x, y), self.nodes[x].dtype)


class Scalar(NDArrayOperatorsMixin):
    """A number that is not known yet: a position among `Nodes`."""

    __slots__ = ("branches", "nodes", "position")

    def __init__(self, nodes: Nodes, position: int, branches: _Branches | None = None) -> None:
        self.nodes = nodes
        self.position = position
        self.branches = branches

    shape = ()
    ndim = 0
    size = 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the number."""
        return self.nodes.nodes[self.position].dtype

    def astype(self, dtype: Any, copy: bool = True) -> Scalar:
        """Return the number as another dtype."""
        return self.at(self.nodes.cast(self.position, np.dtype(dtype)))

    def at(self, position: int) -> Scalar:
        """Return another number of the same expression."""
        return Scalar(self.nodes, position, self.branches)

    def __bool__(self) -> bool:
        if self.dtype != BOOL or self.branches is None:
            raise NoExpression("the truth of a number")
        return self.branches.decide(self.position)

    def __pow__(self, exponent: Any) -> Any:
        # NumPy's operator takes a shorter way for these, which differs at infinities
        short = _SHORT_POWERS.get(exponent) if type(exponent) in (int, float) else None
        if short is None or (self.dtype.kind != "f" and short is not np.square):
            return np.power(self, exponent)
        return short(self)

    def _refuse(self, *args: Any) -> NoReturn:
        raise NoExpression("the value of a number that is not known")

    __float__ = __int__ = __index__ = __complex__ = __array__ = __len__ = __iter__ = _refuse

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        # An update in place of a number gives the name another number
        updates = len(options) == 1 and options.get("out", (None,))[0] is inputs[0]
        if method != "__call__" or (options and not updates) or ufunc.nout != 1:
            raise NoExpression(f"{ufunc.__name__} with {sorted(options) or method}")
        return self.at(_apply(self.nodes, ufunc, [self._operand(x) for x in inputs]))

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Any:
        known = _FUNCTIONS.get(function)
        if known is None or options:
            raise NoExpression(f"{getattr(function, '__name__', function)} of numbers")
        return known(self, *args)

    def _operand(self, value: Any) -> Any:
        """Position of an operand; a plain number, whose dtype adapts, as it is."""
        if isinstance(value, Scalar):
            return value
        if is_number(value) or is_scalar(value):
            return value
        raise NoExpression(f"an operand that is a {type(value).__name__}")


_SHORT_POWERS: dict[float, np.ufunc] = {
    -1: np.reciprocal,
    0.5: np.sqrt,
    1: np.positive,
    2: np.square,
}


class _Branches:
    """Decisions that one run of a function takes, and those that are left for later runs."""

    def __init__(self, taken: list[tuple[int, bool]]) -> None:
        self.taken = taken
        self.at = 0

    def decide(self, condition: int) -> bool:
        for position, known in self.taken:
            if position == condition:
                return known
        self.taken.append((condition, True))
        if len(self.taken) > _MOST_BRANCHES:
            raise NoExpression("too many branches")
        return True


def _dtype_of(value: Any) -> Any:
    """What NumPy's promotion sees of an operand."""
    if isinstance(value, Scalar) or is_scalar(value):
        return value.dtype
    return type(value)


@functools.lru_cache(maxsize=4096)
def _resolved(ufunc: np.ufunc, kinds: tuple[Any, ...]) -> tuple[np.dtype[Any], ...] | None:
    try:
        return ufunc.resolve_dtypes((*kinds, None))
    except (TypeError, ValueError):
        return None


def _apply(nodes: Nodes, ufunc: np.ufunc, inputs: Sequence[Any]) -> int:
    """Write down a ufunc: its inputs as NumPy would cast them, then the operation."""
    kinds = tuple([bool if type(x) is bool else _dtype_of(x) for x in inputs])
    dtypes = _resolved(ufunc, kinds)
    if dtypes is None:
        raise NoExpression(f"{ufunc.__name__} of {kinds}")
    args = [
        nodes.cast(x.position, dtype) if isinstance(x, Scalar) else nodes.constant(x, dtype)
        for x, dtype in zip(inputs, dtypes[:-1], strict=True)
    ]
    name = _SPELLING.get(ufunc.__name__, ufunc.__name__)
    is_known = nodes.supports is None or nodes.supports(name, dtypes[0])
    if not is_known or dtypes[-1].kind not in "biuf":
        raise NoExpression(f"{name} of {dtypes[0]}")
    return nodes.add(name, args, dtypes[-1])


_SPELLING = {
    "abs": "absolute",
    "bitwise_invert": "invert",
    "conj": "positive",
    "conjugate": "positive",
    "degrees": "rad2deg",
    "pow": "power",
    "radians": "deg2rad",
    "true_divide": "divide",
}
"""Names of ufuncs that have several; a real number's conjugate is itself."""


def _where(like: Scalar, condition: Any, x: Any, y: Any) -> Any:
    nodes = like.nodes
    if not isinstance(condition, Scalar):
        return x if condition else y
    dtype = np.result_type(*[_plain(v) for v in (x, y)])
    test = nodes.cast(condition.position, BOOL) if condition.dtype == BOOL else None
    if test is None:
        zero = nodes.constant(0, condition.dtype)
        test = nodes.add("not_equal", (condition.position, zero), BOOL)
    chosen = [
        nodes.cast(v.position, dtype) if isinstance(v, Scalar) else nodes.constant(v, dtype)
        for v in (x, y)
    ]
    return like.at(nodes.where(test, *chosen))


def _plain(value: Any) -> Any:
    """Stand-in for promotion: the dtype of a symbol, or the number itself."""
    return value.dtype if isinstance(value, Scalar) or is_scalar(value) else value


def _clip(like: Scalar, x: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


def _real_only(like: Scalar, x: Any) -> Any:
    return x


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.clip: _clip,
    np.real: _real_only,
    np.iscomplexobj: lambda like, x: False,
    np.zeros_like: lambda like, x: like.at(like.nodes.constant(0, x.dtype)),
    np.ones_like: lambda like, x: like.at(like.nodes.constant(1, x.dtype)),
    np.shape: lambda like, x: (),
    np.ndim: lambda like, x: 0,
    np.result_type: lambda like, *xs: np.result_type(*[_plain(x) for x in xs]),
    np.broadcast_arrays: lambda like, *xs: xs,
}


def expression_of(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    supports: Callable[[str, np.dtype[Any]], bool] | None = None,
) -> Expression:
    """Find what a function computes of numbers.

    Parameters
    ----------
    function : callable
        Made of NumPy's elementary functions.
    inputs : sequence of np.dtype or number
        Plain Python numbers adapt to the others' dtype, as in NumPy.
    supports : function of an operation's name and its operands' dtype, optional

    Raises
    ------
    NoExpression
        It is none, or there is no code for one of its operations.

    Examples
    --------
    >>> import numpy as np
    >>> found = expression_of(lambda x, y: np.exp(x) * y, [np.dtype(float), 2])
    >>> [node.op for node in found.nodes]
    ['operand', 'exp', 'constant', 'multiply']
    """
    nodes = Nodes(supports)
    given = [
        Scalar(nodes, nodes.add("operand", (), x, i)) if isinstance(x, np.dtype) else x
        for i, x in enumerate(inputs)
    ]
    result = _written(nodes, function, given)
    return Expression(tuple(nodes.nodes), result, _single(nodes.nodes, result))


def _single(
    nodes: Sequence[Node], result: int
) -> tuple[str, tuple[int, ...], np.dtype[Any]] | None:
    op, args, dtype, detail = nodes[result]
    others = [node for number, node in enumerate(nodes) if number != result]
    if op == "operand" or detail is not None or any(node.op != "operand" for node in others):
        return None
    return op, tuple([nodes[arg].detail for arg in args]), dtype


def _written(nodes: Nodes, function: Callable[..., Any], inputs: Sequence[Any]) -> int:
    """Write down what a function computes, whichever way it goes; its position."""
    pending: list[list[tuple[int, bool]]] = [[]]
    found: list[tuple[list[tuple[int, bool]], int]] = []
    while pending:
        branches = _Branches(pending.pop())
        given = len(branches.taken)
        boxed = [
            Scalar(nodes, x.position, branches) if isinstance(x, Scalar) else x for x in inputs
        ]
        try:
            result = function(*boxed)
        except NoExpression:
            raise
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise NoExpression(str(error)) from error
        if isinstance(result, Scalar):
            position = result.position
        elif is_scalar(result):
            position = nodes.constant(result, result.dtype)
        else:
            raise NoExpression(f"it gives a {type(result).__name__}")
        found.append((branches.taken, position))
        if len(found) > _MOST_BRANCHES:
            raise NoExpression("too many branches")
        for count in range(len(branches.taken), given, -1):
            *earlier, (condition, _) = branches.taken[:count]
            pending.append([*earlier, (condition, False)])
    return _chosen(nodes, found, 0)


def _chosen(nodes: Nodes, found: list[tuple[list[tuple[int, bool]], int]], depth: int) -> int:
    """Choose among the ends of several runs by the conditions that tell them apart."""
    if len(found) == 1:
        return found[0][1]
    condition = found[0][0][depth][0]
    ways = {
        way: _chosen(nodes, [run for run in found if run[0][depth][1] is way], depth + 1)
        for way in (True, False)
    }
    dtype = np.result_type(nodes.nodes[ways[True]].dtype, nodes.nodes[ways[False]].dtype)
    return nodes.where(condition, nodes.cast(ways[True], dtype), nodes.cast(ways[False], dtype))
