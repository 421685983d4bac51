"""Nodes of an ONNX graph, as rules write them: values by name, constants, casts.

What a rule writes is held against ONNX's own schemas: dtypes of results follow from them, and a
dtype that an operator does not take is refused here, before any runtime could see it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from autodiff.core.arrays import as_numpy
from autodiff.core.spec import Shape, Spec, spec_of

Places = np.ndarray[Any, Any]

__all__ = [
    "ELEMENTS",
    "IR_VERSION",
    "OPSET",
    "Node",
    "Operation",
    "Refused",
    "Value",
    "Writer",
    "onnx",
]

OPSET = 20
"""Version of ONNX's operators: what runtimes of the last years know."""

IR_VERSION = 9
"""Version of the file format that belongs to it."""

ELEMENTS = {
    "float16": "float16",
    "float32": "float",
    "float64": "double",
    "bool": "bool",
    **{f"{kind}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}
"""What ONNX calls the dtypes that models may have here."""


class Refused(Exception):
    """An operation cannot be written; the message says why."""


def onnx() -> Any:
    """The package `onnx`.

    Raises
    ------
    ModuleNotFoundError
        It is not installed; says how to install it.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'to_onnx needs onnx, which is not installed: pip install "autodiff[onnx]"', name="onnx"
        ) from None
    return onnx


@dataclass(frozen=True, eq=False)
class Value:
    """A value of the graph, or a constant that is not in it yet.

    Attributes
    ----------
    name : str
        Empty for a constant.
    spec : Spec
        Of an intermediate result only the dtype counts.
    constant : array, number or None
        Python's numbers stay what they are, because they have no dtype of their own.
    """

    name: str
    spec: Spec
    constant: Any = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of its elements."""
        return self.spec.dtype

    @property
    def shape(self) -> Shape:
        """Shape, where it is known."""
        return self.spec.shape

    @property
    def strength(self) -> Any:
        """What takes part in NumPy's promotion: a dtype, or one of Python's numbers."""
        return self.constant if type(self.constant) in (bool, int, float) else self.spec.dtype


@dataclass(eq=False)
class Node:
    """One operator of the graph."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    name: str = ""
    source: str = ""


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation to be written: values in the place of a tape's operands."""

    inputs: tuple[Value, ...]
    outputs: tuple[Spec, ...]
    params: dict[str, Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the first output."""
        return self.outputs[0].dtype

    @property
    def shape(self) -> Shape:
        """Shape of the first output."""
        return self.outputs[0].shape

    @property
    def common(self) -> np.dtype[Any]:
        """Dtype that NumPy brings the inputs to, where the output's is another: comparisons."""
        found = np.result_type(*[value.strength for value in self.inputs])
        whole = all(value.dtype.kind in "iub" for value in self.inputs)
        if found.kind == "f" and whole:
            raise Refused("int64 and uint64 have no common dtype there")
        for value in self.inputs:
            if type(value.constant) is int and found.kind in "iu":
                limits = np.iinfo(found)
                if not limits.min <= value.constant <= limits.max:
                    raise Refused(f"{value.constant} is no {found.name}")
        return found


@cache
def _types(operator: str) -> tuple[list[str], list[str], dict[str, frozenset[str]]]:
    """Types of an operator's inputs and outputs, and which elements each may stand for."""
    schema = onnx().defs.get_schema(operator, OPSET, "")
    allowed = {c.type_param_str: frozenset(c.allowed_type_strs) for c in schema.type_constraints}
    inputs = [entry.type_str for entry in schema.inputs]
    outputs = [entry.type_str for entry in schema.outputs]
    for name in (*inputs, *outputs):
        allowed.setdefault(name, frozenset((name,)))
    return inputs, outputs, allowed


@dataclass(eq=False)
class Writer:
    """The graph that is being written."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)
    _interned: dict[Any, str] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """Return the name for a value, with a number if it is taken."""
        wanted, count = name, self._counts.get(name, 1)
        while wanted in self._taken:
            count += 1
            wanted = f"{name}_{count}"
        self._counts[name] = count
        self._taken.add(wanted)
        return wanted

    def node(
        self,
        operator: str,
        *inputs: Value,
        dtype: Any = None,
        shape: Shape | None = None,
        **attributes: Any,
    ) -> Value:
        """Write a node of one output that is used.

        Raises
        ------
        Refused
            The operator does not take values of a dtype.
        """
        wanted, given, allowed = _types(operator)
        bound: dict[str, Any] = {}
        for position, value in enumerate(inputs):
            kind = wanted[min(position, len(wanted) - 1)]
            if f"tensor({ELEMENTS[value.dtype.name]})" not in allowed[kind]:
                raise Refused(f"ONNX's {operator} takes no {value.dtype.name}")
            bound.setdefault(kind, value.dtype)
        # Of TopK's outputs the second is wanted, where the values are
        kind = given[-1]
        if dtype is None:
            dtype = bound.get(kind) or {"tensor(bool)": bool}.get(kind)
        if dtype is None and allowed[kind] == {"tensor(bool)"}:
            dtype = bool
        if dtype is None and allowed[kind] == {"tensor(int64)"}:
            dtype = np.int64
        count = len(given) if operator == "TopK" else 1
        names = [self.unique(operator.lower()) for _ in range(count)]
        self.nodes.append(Node(operator, [self._name(v) for v in inputs], names, attributes))
        return Value(names[-1], Spec(() if shape is None else shape, np.dtype(dtype)))

    def _name(self, value: Value) -> str:
        if value.name:
            return value.name
        array = np.ascontiguousarray(as_numpy(value.constant, value.dtype)).reshape(value.shape)
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._interned:
            self._interned[key] = self.unique("constant")
            self.constants[self._interned[key]] = array
        return self._interned[key]

    def constant(self, value: Any, dtype: Any) -> Value:
        """A constant of a dtype."""
        array = as_numpy(value, dtype)
        return Value("", Spec(array.shape, array.dtype), array)

    def integers(self, values: Sequence[int] | Places) -> Value:
        """Axes, shapes, places: a row of integers."""
        return self.constant(values, np.int64)

    def cast(self, value: Value, dtype: Any) -> Value:
        """A value in a dtype; constants are cast here."""
        dtype = np.dtype(dtype)
        if value.constant is not None:
            with np.errstate(all="ignore"):
                array = as_numpy(value.constant).astype(dtype)
            return Value("", Spec(value.shape, dtype), array)
        if value.dtype == dtype:
            return value
        kind = onnx().helper.np_dtype_to_tensor_dtype(dtype)
        return self.node("Cast", value, dtype=dtype, shape=value.shape, to=int(kind))

    def reshape(self, value: Value, shape: Shape) -> Value:
        """The elements of a value in another shape."""
        zeros = {"allowzero": 1} if 0 in shape else {}
        return self.node("Reshape", value, self.integers(shape), shape=shape, **zeros)

    def expand(self, value: Value, shape: Shape) -> Value:
        """A value repeated to a shape that it broadcasts to."""
        if value.shape == shape:
            return value
        return self.node("Expand", value, self.integers(shape), shape=shape)

    def transpose(self, value: Value, axes: Sequence[int]) -> Value:
        """A value with its axes in another order."""
        if list(axes) == list(range(len(axes))):
            return value
        shape = tuple([value.shape[axis] for axis in axes])
        return self.node("Transpose", value, shape=shape, perm=list(axes))

    def full(self, number: Any, shape: Shape, dtype: Any) -> Value:
        """An array of one number."""
        return self.expand(self.constant(number, dtype), shape)


def size_of(shape: Shape) -> int:
    """Number of elements."""
    return math.prod(shape)


def value_of(constant: Any) -> Value:
    """What stands for a constant of a tape."""
    return Value("", spec_of(constant), constant)
