"""What all optimisers have in common: parameters, their state, and how a rule runs over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.core.arrays import ARRAY, as_value, has_memory, scalar_form, zeros
from autodiff.core.memory import freeze, memory_of, writeable
from autodiff.optim.arithmetic import computing_dtype, dtype_of
from autodiff.optim.hyperparameters import at_least_zero

__all__ = ["Optimizer"]


class Optimizer:
    """Base of the optimisers: where state is kept, and how a rule runs over parameters.

    A subclass names its slots, the arrays that it keeps for each parameter, and gives the rule for
    one parameter.

    Parameters
    ----------
    params : iterable of Tensor, or Module, optional
        Variables to update with `step`; leave it out for `init` and `update`.
    lr : float
        Learning rate; the attribute may be changed between steps.

    Attributes
    ----------
    lr : float
    variables : list of Tensor
    state : dict
        State of the variables, as `init` makes it for their list.

    Raises
    ------
    TypeError
        `params` is no list of variables, one of them was computed or is a constant, or `lr` is no
        number.
    ValueError
        `params` is empty, or `lr` is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff import optim
    >>> class SignDescent(optim.Optimizer):
    ...     def rule(self, gradient, value, slots, count):
    ...         return self.lr * np.sign(gradient), ()
    >>> w = ad.Tensor([1.0, -2.0])
    >>> optimizer = SignDescent([w], lr=0.5)
    >>> np.sum(w**2).backward()
    >>> optimizer.step()
    >>> w.data
    array([ 0.5, -1.5])
    """

    slots: tuple[str, ...] = ()
    """Names of the arrays kept for each parameter."""

    real_slots: frozenset[str] = frozenset()
    """Those of `slots` that are real for complex parameters."""

    def __init__(self, params: Iterable[Any] | ad.nn.Module | None, lr: float) -> None:
        self.lr = at_least_zero(lr, type(self).__name__, "lr")
        self.variables = self._checked(params)
        self.state = self.init([variable.data for variable in self.variables])

    def _checked(self, params: Iterable[Any] | ad.nn.Module | None) -> list[Any]:
        name = type(self).__name__
        if params is None:
            return []
        if isinstance(params, ad.nn.Module):
            params = params.parameters()
        if isinstance(params, (int, float)):
            raise TypeError(
                f"{name}: the first argument is the parameters, got the number {params}; write "
                f"{name}(lr={params}) for the functional form"
            )
        if isinstance(params, ad.Tensor):
            raise TypeError(
                f"{name}: params must be a list of Tensors, got a Tensor; pass [tensor]"
            )
        if isinstance(params, dict) or not isinstance(params, Iterable):
            raise TypeError(
                f"{name}: params must be a list of Tensors or a module, got a "
                f"{type(params).__name__}; pass ad.tree.leaves(params) of a container, "
                "model.parameters() of a module"
            )
        variables: list[Any] = []
        seen: set[int] = set()
        for position, variable in enumerate(params):
            if not isinstance(variable, ad.Tensor):
                raise TypeError(
                    f"{name}: params[{position}] is a {type(variable).__name__}, not a Tensor; "
                    "pass model.parameters(), or use init and update for plain arrays"
                )
            if not variable.is_variable:
                named = f" ({variable.name!r})" if variable.name else ""
                raise TypeError(
                    f"{name}: params[{position}]{named} is no variable but was computed, or is a "
                    "constant, so no step could move it; pass the variables that it was computed "
                    "from, or make one with ad.Tensor(tensor.data)"
                )
            if id(variable) not in seen:
                seen.add(id(variable))
                variables.append(variable)
        if not variables:
            raise ValueError(f"{name}: params is empty; there is nothing to update")
        return variables

    # --- imperative -------------------------------------------------------------------------------

    def zero_grad(self) -> None:
        """Set the ``grad`` of every variable to None.

        Examples
        --------
        >>> import autodiff as ad
        >>> from autodiff import optim
        >>> w = ad.Tensor(3.0)
        >>> optimizer = optim.SGD([w])
        >>> (w * w).backward()
        >>> optimizer.zero_grad()
        >>> w.grad is None
        True
        """
        for variable in self.variables:
            variable.grad = None

    def step(self) -> None:
        """Update every variable by its ``grad``; those whose ``grad`` is None stay as they are.

        Raises
        ------
        ValueError
            The optimiser was made without parameters.
        TypeError
            Its class defines no `rule`, or one of its Tensors is not a variable (it was computed).

        Examples
        --------
        >>> import autodiff as ad
        >>> from autodiff import optim
        >>> w = ad.Tensor(3.0)
        >>> optimizer = optim.SGD([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> round(w.item(), 3)
        2.4
        """
        if not self.variables:
            raise ValueError(
                f"{type(self).__name__}.step() without parameters: make the optimizer with "
                "model.parameters(), or use init and update"
            )
        for position, variable in enumerate(self.variables):
            gradient = variable.grad
            if gradient is None:
                continue
            if isinstance(gradient, ad.Tensor):
                gradient = gradient.data
            slots = [self.state[slot][position] for slot in self.slots]
            count = self.state["step"][position] + 1
            variable.data, slots = self._apply(gradient, variable.data, slots, count)
            self.state["step"][position] = count
            for slot, value in zip(self.slots, slots, strict=True):
                self.state[slot][position] = value

    # --- functional -------------------------------------------------------------------------------

    def init(self, params: Any) -> dict[str, Any]:
        """State before the first update: zeros.

        Parameters
        ----------
        params : container of arrays

        Returns
        -------
        dict
            ``{"step": ..., slot: ..., ...}``, each of the structure of `params`.

        Raises
        ------
        TypeError
            A parameter is not of a float or complex dtype.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff import optim
        >>> optim.SGD(momentum=0.9).init({"w": np.ones(2)})
        {'step': {'w': 0}, 'velocity': {'w': array([0., 0.])}}
        """
        leaves, structure = ad.tree.flatten(params)
        for leaf in leaves:
            dtype_of(leaf)
        state = {"step": ad.tree.unflatten(structure, [0] * len(leaves))}
        for slot in self.slots:
            start = [self._zeros(leaf, slot in self.real_slots) for leaf in leaves]
            state[slot] = ad.tree.unflatten(structure, start)
        return state

    def _zeros(self, leaf: Any, real: bool) -> Any:
        dtype = computing_dtype(dtype_of(leaf))
        if real:
            dtype = np.finfo(dtype).dtype
        return scalar_form(freeze(zeros(np.shape(leaf), dtype, like=leaf)))

    def update(self, gradients: Any, state: dict[str, Any], params: Any) -> tuple[Any, Any]:
        """Apply the rule once to each parameter.

        It changes nothing in place: it returns new, read-only arrays, which transforms do
        not copy. The rule is made of NumPy's functions, so it can be differentiated; on Tensors it
        is recorded like any other computation. Train with ``nn.arrays(model)`` unless you want
        that.

        Parameters
        ----------
        gradients : container of the structure of `params`
        state : dict
            From `init` or the last `update`.
        params : container of arrays

        Returns
        -------
        params, state
            New containers of the same structures, dtypes kept.

        Raises
        ------
        ValueError
            Structures or shapes differ, or `state` was made by another optimiser.
        TypeError
            A parameter is not of a float or complex dtype, or the class defines no `rule`.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff import optim
        >>> optimizer = optim.SGD(lr=0.1)
        >>> params = {"w": np.ones(2)}
        >>> params, state = optimizer.update({"w": np.ones(2)}, optimizer.init(params), params)
        >>> params, state
        ({'w': array([0.9, 0.9])}, {'step': {'w': 1}})
        """
        name = type(self).__name__
        values, structure = ad.tree.flatten(params)
        given: Any = state
        if not isinstance(given, dict) or set(given) != {"step", *self.slots}:
            kind = sorted(given) if isinstance(given, dict) else type(given).__name__
            raise ValueError(
                f"{name}.update: state is {kind}, it must be a dict of step, "
                f"{', '.join(self.slots) or 'nothing else'}; make it with init(params)"
            )
        columns = {"gradients": gradients, **{key: state[key] for key in ("step", *self.slots)}}
        flat: dict[str, list[Any]] = {}
        for key, column in columns.items():
            flat[key], own = ad.tree.flatten(column)
            if own != structure:
                what = key if key == "gradients" else f"state[{key!r}]"
                raise ValueError(
                    f"{name}.update: {what} has structure {ad.tree.shown(own)}, "
                    f"params have {ad.tree.shown(structure)}"
                )
        # A recorded count stays one: otherwise a compiled step would be another at each count
        counts: list[Any] = [
            count + 1 if isinstance(count, ad.Tensor) else int(count) + 1 for count in flat["step"]
        ]
        results = []
        for i, (value, gradient) in enumerate(zip(values, flat["gradients"], strict=True)):
            if np.shape(gradient) != np.shape(value):
                path = ad.tree.LeafPath(structure, i, "gradients")
                raise ValueError(
                    f"{name}.update: {path} has shape {np.shape(gradient)}, the parameter "
                    f"{np.shape(value)}"
                )
            slots = [flat[slot][i] for slot in self.slots]
            results.append(self._apply(gradient, value, slots, counts[i]))
        new_state = {"step": ad.tree.unflatten(structure, counts)}
        for position, slot in enumerate(self.slots):
            column = [slots[position] for _, slots in results]
            new_state[slot] = ad.tree.unflatten(structure, column)
        return ad.tree.unflatten(structure, [value for value, _ in results]), new_state

    # --- the rule ---------------------------------------------------------------------------------

    def _apply(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, list[Any]]:
        """Run the rule in a precision that it can work in, and freeze what comes out."""
        dtype = dtype_of(value)
        # Python's numbers become NumPy's, which have a dtype
        value, gradient = (n if hasattr(n, "dtype") else as_value(n) for n in (value, gradient))
        if gradient.dtype.kind not in "fc":
            gradient = as_value(gradient, dtype)  # squares of integers overflow
        if dtype.kind == "c":
            # For z = x + iy the gradient is df/dx - i df/dy: its conjugate points uphill
            gradient = np.conj(gradient)
        computing = computing_dtype(dtype)
        if computing != dtype:
            gradient, value = gradient.astype(computing), value.astype(computing)
        change, new_slots = self.rule(gradient, value, slots, count)
        others = (gradient, value, *slots, *new_slots)
        if (
            type(change) is type(value) is ARRAY
            and change.dtype == computing
            and change.shape == value.shape
            and memory_of(change) is change
            and writeable(change)
            and not any(change is other for other in others)
        ):
            # The change is a new array, so its memory serves for the result
            result = np.subtract(value, change, out=change)
        else:
            result = value - change
        if result.dtype != dtype:
            result = result.astype(dtype)
        return _freeze(result), [_freeze(slot) for slot in new_slots]

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """What to subtract from one parameter, and its new slots; each optimiser defines it.

        The change may be written over: if it is an array that somebody else holds, return a copy.

        Parameters
        ----------
        gradient, value : array
        slots : sequence of array, in the order of the class attribute `slots`
        count : int
            1 in the first update of this parameter.

        Returns
        -------
        change : array
        new_slots : sequence of array

        Raises
        ------
        TypeError
            The class does not define it.

        Examples
        --------
        >>> import numpy as np
        >>> from autodiff import optim
        >>> optim.SGD(lr=0.5).rule(np.array([2.0]), np.array([1.0]), (), 1)
        (array([1.]), ())
        """
        raise TypeError(f"{type(self).__name__} does not define rule()")

    def __repr__(self) -> str:
        settings = {k: v for k, v in vars(self).items() if k not in ("slots", "state", "variables")}
        text = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        return f"{type(self).__name__}({text})"


def _freeze(value: Any) -> Any:
    return freeze(value) if has_memory(value) else value
