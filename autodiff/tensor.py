"""The Tensor class: operators and NumPy's protocols, once for all interpretations.

Every method leads to a primitive's ``call`` or to the function that implements NumPy's; nothing is
computed here. NumPy's methods that need nothing but that are in `autodiff.ops.methods`; here is
what differentiates, what leaves the program, and what writes in place.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex

import numpy as np

from autodiff.chunked import MET
from autodiff.conversions import array_of_objects, refusal
from autodiff.copying import MAKERS, deep_copy, reduced
from autodiff.core.arrays import as_array, as_numpy, copied, scalar_form, shown, unit
from autodiff.core.dispatch import Box, concrete, depends, imperative_interpreter, set_name
from autodiff.core.memory import protected, read_only
from autodiff.core.primitive import Primitive
from autodiff.errors import NonDifferentiableError
from autodiff.interpret.graph import Leaf, Node, add_hook
from autodiff.interpret.reverse import Reverse, recorder
from autodiff.ops import elementwise as ew
from autodiff.ops import index as indexing
from autodiff.ops.elementwise_functions import (
    absolute_,
    divmod_,
    power_,
    round_,
)
from autodiff.ops.linalg import contractions
from autodiff.ops.operands import HoldsTensors, NamedAxes, joined, joined_within
from autodiff.ops.protocol import FUNCTIONS, UFUNCS, UNARY_UFUNCS, name_of
from autodiff.ops.ufunc_methods import apply_ufunc_method
from autodiff.ops.variables import variable_value
from autodiff.standard import Standard, comparison, reflected
from autodiff.tape.from_nodes import tape_of
from autodiff.tape.ir import Tape
from autodiff.writing import augmented, update_views, write_item

__all__ = ["Tensor", "make_root"]


_OPERATORS: dict[np.ufunc, Primitive] = {
    np.add: ew.add,
    np.subtract: ew.subtract,
    np.multiply: ew.multiply,
    np.divide: ew.divide,
    np.matmul: contractions.matmul,
}
"""What an operator with an array on its left comes as, and the shortest way to its primitive."""


def _binary(primitive: Primitive) -> Any:
    """Operator with a Tensor on the left: no need to look whether it is one."""

    def operate(self: Tensor, other: Any) -> Any:
        try:
            return self._interpreter.process_binary(primitive, self, other)
        except HoldsTensors:
            return operate(self, joined(other))
        except NamedAxes:  # its own operator knows what to do
            return NotImplemented

    return operate


class Tensor(Standard):
    """An array whose operations are recorded, so that derivatives can be taken.

    Tensors are variables; arrays and numbers are constants. Any NumPy function, operator or method
    works on a Tensor.

    Parameters
    ----------
    value : array_like
        Copied. Integers and booleans become float64; float16/32/64 and complex64/128 keep their
        dtype. Inside a transform it may be a Tensor of that transform, which then still
        differentiates through the variable.
    name : str, optional
        Shown in listings and pictures.

    Raises
    ------
    TypeError
        `value` is not numeric, or a Tensor whose derivative the new variable would cut.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> w = ad.Tensor([1.0, 2.0], name="w")
    >>> loss = np.sum(w * w)
    >>> loss.backward()
    >>> w.grad
    array([2., 4.])
    """

    __slots__ = ()

    def __init__(self, value: Any, name: str | None = None) -> None:
        interpreter = imperative_interpreter(ROOT, make_root)
        self._interpreter = interpreter
        self._value = variable_value(value, interpreter.level)
        self._payload = Leaf(self._value, name)

    # --- what it is -------------------------------------------------------------------------------

    @property
    def is_variable(self) -> bool:
        """Whether it was made and not computed, so that optimisers may update it."""
        return isinstance(self._payload, Leaf) and not isinstance(self._value, Box)

    @property
    def data(self) -> Any:
        """The numbers: a read-only array, not recorded. Assign to replace a variable's value."""
        return read_only(as_array(self._interpreter.expose(self, ".data")))

    @data.setter
    def data(self, value: Any) -> None:
        if not self.is_variable:
            raise TypeError(
                "data: only a variable's value can be replaced; this Tensor was computed. "
                "Use tensor[...] = value, or a new variable"
            )
        array = protected(as_array(concrete(value), self._value.dtype, self._value))
        if array.shape != self._value.shape:
            raise ValueError(
                f"data: the variable has shape {self._value.shape}, the new value {array.shape}"
            )
        self._value = scalar_form(array)
        self._payload.assign(self._value)
        update_views(self)

    @property
    def name(self) -> str | None:
        """Name in listings and pictures."""
        return self._interpreter.name_of(self)

    @name.setter
    def name(self, name: str | None) -> None:
        if not set_name(self, name):
            raise TypeError(
                "name: only Tensors that are recorded can be named; this one is a constant"
            )

    @property
    def grad(self) -> Any:
        """What backward sweeps have accumulated: an array of this shape and dtype, or None.

        After ``x[i] = v`` it stays the gradient with respect to the variable as it was created.
        """
        return getattr(self._graph_node("grad"), "grad", None)

    @grad.setter
    def grad(self, value: Any) -> None:
        node = self._graph_node("grad")
        if value is None:
            node.grad = None
            return
        array = value if isinstance(value, Box) else as_array(value, node.spec.dtype, self)
        if array.shape != node.spec.shape:
            raise ValueError(f"grad: shape {array.shape} for a Tensor {node.spec}")
        node.grad = array

    def _graph_node(self, reader: str) -> Any:
        try:
            node = self._variable
        except AttributeError:
            node = self._payload
        if not isinstance(node, Node) and node is not None:
            raise TypeError(
                f"{reader}: a Tensor inside {self._interpreter.transform} has none; "
                "use what the transform returns"
            )
        return node

    # --- differentiation --------------------------------------------------------------------------

    def backward(
        self, gradient: Any = None, keep_tape: bool = False, keep_grads: bool = False
    ) -> None:
        """Add the gradient of this Tensor to the ``grad`` of every variable it depends on.

        Parameters
        ----------
        gradient : array_like, optional
            Cotangent to start from, of this Tensor's shape; 1 for a scalar.
        keep_tape : bool
            Keep saved values, so that backward can run again.
        keep_grads : bool
            Fill the ``grad`` of intermediate Tensors too.

        Raises
        ------
        TypeError
            The Tensor is not a real scalar and no gradient is given, or it belongs to a transform.
        ValueError
            The gradient has another shape, or the Tensor is a constant.
        TapeReleasedError
            An earlier backward released the tape.

        Examples
        --------
        >>> import autodiff as ad
        >>> x = ad.Tensor([1.0, 2.0])
        >>> (x * x).backward(gradient=[1.0, 10.0])
        >>> x.grad
        array([ 2., 40.])
        """
        if gradient is None:
            if self.shape != () or self.dtype.kind == "c":
                what = "complex" if self.dtype.kind == "c" else f"of shape {self.shape}"
                raise TypeError(
                    f"backward() needs a real scalar, this Tensor is {what}; reduce it (np.sum) or "
                    "pass gradient=..., a cotangent of its shape"
                )
            gradient = unit(self.dtype, self._value)
        else:
            gradient = gradient if isinstance(gradient, Box) else as_array(gradient, like=self)
            if gradient.shape != self.shape:
                raise ValueError(
                    f"backward(): gradient has shape {gradient.shape}, the Tensor {self.shape}"
                )
            if not isinstance(gradient, Box):
                gradient = scalar_form(copied(gradient, self.dtype))
        self._interpreter.backward(self, gradient, keep_tape, keep_grads)

    @property
    def tape(self) -> Tape:
        """The operations that led here, as a `Tape`."""
        node = self._payload
        if not isinstance(node, Node):
            raise TypeError(
                "tape: this Tensor is a constant or belongs to a transform; use ad.record(f)(x)"
            )
        return tape_of(node)

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call `hook` with this Tensor's cotangent in each backward sweep.

        Parameters
        ----------
        hook : callable
            Takes the cotangent; may return a replacement of the same shape, or None.

        Returns
        -------
        callable
            Removes the hook.

        Raises
        ------
        TypeError
            The Tensor is a constant, or belongs to a transform; `hook` is not callable.

        Examples
        --------
        >>> import autodiff as ad
        >>> x = ad.Tensor(3.0)
        >>> y = x * x
        >>> remove = y.register_hook(lambda g: 10 * g)
        >>> y.backward()
        >>> x.grad
        array(60.)
        >>> remove()
        """
        node = self._graph_node("register_hook")
        if node is None:
            raise TypeError("register_hook: a constant Tensor receives no cotangent")
        return add_hook(node, hook)

    def detach(self) -> Tensor:
        """Return a constant Tensor with the same numbers: derivatives stop here.

        Returns
        -------
        Tensor

        Raises
        ------
        EscapedTensorError
            The transform that made this Tensor has returned.

        Examples
        --------
        >>> import autodiff as ad
        >>> x = ad.Tensor(3.0)
        >>> (x * x.detach()).backward()
        >>> x.grad
        array(3.)
        """
        constant: Tensor = ew.stop_gradient.call(self)
        return constant

    # --- numbers out of it ------------------------------------------------------------------------

    def item(self, *index: Any) -> Any:
        """One element as a Python number."""
        array = as_array(self._interpreter.expose(self, ".item()"))
        return (array if hasattr(array, "item") else as_numpy(array)).item(*index)

    def tolist(self) -> Any:
        """The numbers as nested lists."""
        return as_numpy(self._interpreter.expose(self, ".tolist()")).tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if depends(self) and not (dtype and np.dtype(dtype).kind in "iub"):  # as int() and bool()
            return array_of_objects(self, dtype)
        value = as_numpy(self._interpreter.expose(self, "np.asarray"), dtype)
        return read_only(value) if copy is False else copied(value)

    def __bool__(self) -> bool:
        return bool(self._interpreter.expose(self, "bool()"))

    def __int__(self) -> int:
        return int(self._interpreter.expose(self, "int()"))

    def __float__(self) -> float:
        return float(self._number("float"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def _number(self, converter: str) -> Any:
        """Number of a constant; of a variable only by ``.item()``, which says what it does.

        ``math.sin(t)`` and ``array[i] = t`` convert without asking: they would go on with a
        constant where a derivative is expected.
        """
        if depends(self):
            raise refusal(converter)
        return self._interpreter.expose(self, f"{converter}()")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d Tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d Tensor")
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, element: Any) -> bool:
        return bool(np.any(np.equal(self, element)))

    def __repr__(self) -> str:
        numbers = shown(concrete(self), "Tensor(")
        extra = "" if self.dtype == np.float64 else f", dtype={self.dtype.name}"
        extra += f", name={self.name!r}" if self.name else ""
        where = "" if self._interpreter is ROOT else f" in {self._interpreter.transform}"
        return f"Tensor({numbers}{extra}){where}"

    def __format__(self, form: str) -> str:
        if not form:
            return str(self)
        return format(self.item(), form)

    __hash__ = object.__hash__

    def __copy__(self) -> Any:
        made = self.copy()
        set_name(made, self.name)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deep_copy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return reduced(self)

    # --- operators --------------------------------------------------------------------------------

    __add__ = _binary(ew.add)
    __sub__ = _binary(ew.subtract)
    __mul__ = _binary(ew.multiply)
    __truediv__ = _binary(ew.divide)
    __floordiv__ = _binary(ew.floor_divide)
    __mod__ = _binary(ew.remainder)
    __matmul__ = _binary(contractions.matmul)
    __radd__ = reflected(ew.add.call)
    __rsub__ = reflected(ew.subtract.call)
    __rmul__ = reflected(ew.multiply.call)
    __rtruediv__ = reflected(ew.divide.call)
    __rfloordiv__ = reflected(ew.floor_divide.call)
    __rmod__ = reflected(ew.remainder.call)
    __rmatmul__ = reflected(contractions.matmul.call)
    __pow__ = power_
    __rpow__ = reflected(power_)
    __divmod__ = divmod_
    __rdivmod__ = reflected(divmod_)
    __neg__ = ew.negative.call
    __pos__ = ew.positive.call
    __lt__ = _binary(ew.less)
    __le__ = _binary(ew.less_equal)
    __gt__ = _binary(ew.greater)
    __ge__ = _binary(ew.greater_equal)
    __eq__ = comparison(ew.equal, _binary(ew.equal))
    __ne__ = comparison(ew.not_equal, _binary(ew.not_equal))
    __and__ = _binary(ew.bitwise_and)
    __or__ = _binary(ew.bitwise_or)
    __xor__ = _binary(ew.bitwise_xor)
    __rand__ = reflected(ew.bitwise_and.call)
    __ror__ = reflected(ew.bitwise_or.call)
    __rxor__ = reflected(ew.bitwise_xor.call)
    __invert__ = ew.invert.call

    __abs__ = absolute_

    def __round__(self, ndigits: SupportsIndex = 0) -> Any:
        return round_(self, operator.index(ndigits))

    __getitem__ = indexing.getitem

    def __setitem__(self, key: Any, value: Any) -> None:
        write_item(self, key, value)

    __iadd__ = augmented(_binary(ew.add), "+=")
    __isub__ = augmented(_binary(ew.subtract), "-=")
    __imul__ = augmented(_binary(ew.multiply), "*=")
    __itruediv__ = augmented(_binary(ew.divide), "/=")
    __ifloordiv__ = augmented(_binary(ew.floor_divide), "//=")
    __imod__ = augmented(_binary(ew.remainder), "%=")
    __ipow__ = augmented(power_, "**=")
    __imatmul__ = augmented(_binary(contractions.matmul), "@=")

    # --- NumPy's protocols ------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        try:
            if method == "__call__" and not keywords:
                primitive = UNARY_UFUNCS.get(ufunc)
                if primitive is not None:
                    return self._interpreter.process_unary(primitive, self)
                primitive = _OPERATORS.get(ufunc)
                if primitive is not None:
                    return self._interpreter.process_binary(primitive, *inputs)
                call = UFUNCS.get(ufunc)
                if call is not None:
                    return call(*inputs)
            return apply_ufunc_method(ufunc, method, inputs, keywords)
        except HoldsTensors:
            return getattr(ufunc, method)(*map(joined, inputs), **keywords)
        except NamedAxes:  # the other's `__array_ufunc__` is asked next
            return NotImplemented

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...],
        keywords: dict[str, Any],
    ) -> Any:
        implementation = FUNCTIONS.get(function)
        if implementation is None:
            raise NonDifferentiableError(
                f"{name_of(function)} has no derivative rule for Tensors; write it with functions "
                "that have one, declare it with ad.primitive, or pass tensor.data to treat it as "
                "a constant"
            )
        try:
            return implementation(*args, **keywords)
        except HoldsTensors:
            return implementation(*joined_within(args), **keywords)

    # --- methods that leave the program -----------------------------------------------------------

    def nonzero(self) -> Any:
        """Indices of the elements that are not zero: plain arrays."""
        return np.nonzero(self)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Cast; to integers or booleans, which have no derivative, as they are elsewhere."""
        target = np.dtype(dtype)
        if not copy and target == self.dtype:
            return self
        return ew.convert.call(self, dtype=target)


ROOT: Reverse


def make_root() -> Reverse:
    """Interpreter for the variables made in one scope."""
    return recorder(Tensor)


ROOT = Reverse(Tensor, level=0)
MAKERS.append(Tensor)
MET.watchers.append(lambda: setattr(ROOT, "asks", True))
