"""Optimisers: update rules for parameters, as objects that hold state or as pure functions.

Imperative, on the variables of a model:

>>> import numpy as np
>>> import autodiff as ad
>>> from autodiff import optim
>>> w = ad.Tensor([1.0, 2.0])
>>> optimizer = optim.SGD([w], lr=0.1)
>>> np.sum(w**2).backward()
>>> optimizer.step()
>>> optimizer.zero_grad()
>>> w.data
array([0.8, 1.6])

Functional, on containers of arrays:

>>> optimizer = optim.SGD(lr=0.1)
>>> params = {"w": np.array([1.0, 2.0])}
>>> state = optimizer.init(params)
>>> gradients = ad.grad(lambda params: np.sum(params["w"] ** 2))(params)
>>> params, state = optimizer.update(gradients, state, params)
>>> params
{'w': array([0.8, 1.6])}

Both run the same rule. State is a container of arrays and integers, which ``nn.save`` writes; an
optimiser that holds variables has its own as ``optimizer.state``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import autodiff as ad

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSProp"]


class Optimizer:
    """Base of the optimisers: where state is kept, and how a rule runs over parameters.

    A subclass names its slots, the arrays that it keeps for each parameter, and gives the rule for
    one parameter.

    Parameters
    ----------
    params : iterable of Tensor, optional
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
        `params` is no list of Tensors, or `lr` is no number.
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

    def __init__(self, params: Iterable[Any] | None, lr: float) -> None:
        self.lr = _at_least_zero(lr, type(self).__name__, "lr")
        self.variables = self._checked(params)
        self.state = self.init([variable.data for variable in self.variables])

    def _checked(self, params: Iterable[Any] | None) -> list[Any]:
        name = type(self).__name__
        if params is None:
            return []
        if isinstance(params, (int, float)):
            raise TypeError(
                f"{name}: the first argument is the parameters, got the number {params}; write "
                f"{name}(lr={params}) for the functional form"
            )
        if isinstance(params, ad.Tensor):
            raise TypeError(
                f"{name}: params must be a list of Tensors, got a Tensor; pass [tensor]"
            )
        variables: list[Any] = []
        seen: set[int] = set()
        for position, variable in enumerate(params):
            if not isinstance(variable, ad.Tensor):
                raise TypeError(
                    f"{name}: params[{position}] is a {type(variable).__name__}, not a Tensor; "
                    "pass model.parameters(), or use init and update for plain arrays"
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
            _dtype_of(leaf)
        state = {"step": ad.tree.unflatten(structure, [0] * len(leaves))}
        for slot in self.slots:
            zeros = [self._zeros(leaf, slot in self.real_slots) for leaf in leaves]
            state[slot] = ad.tree.unflatten(structure, zeros)
        return state

    def _zeros(self, leaf: Any, real: bool) -> Any:
        dtype = _computing_dtype(_dtype_of(leaf))
        zeros = np.zeros(np.shape(leaf), np.zeros(0, dtype).real.dtype if real else dtype)
        zeros.setflags(write=False)
        return zeros[()]

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
        paths = ad.tree.paths(structure, "gradients")
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
                    f"{name}.update: {what} has structure {own}, params have {structure}"
                )
        results = []
        for i, (value, gradient, path) in enumerate(
            zip(values, flat["gradients"], paths, strict=True)
        ):
            if np.shape(gradient) != np.shape(value):
                raise ValueError(
                    f"{name}.update: {path} has shape {np.shape(gradient)}, the parameter "
                    f"{np.shape(value)}"
                )
            slots = [flat[slot][i] for slot in self.slots]
            results.append(self._apply(gradient, value, slots, int(flat["step"][i]) + 1))
        counts = [int(count) + 1 for count in flat["step"]]
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
        dtype = _dtype_of(value)
        if not isinstance(gradient, ad.Tensor) and np.asarray(gradient).dtype.kind not in "fc":
            gradient = np.asarray(gradient, dtype)[()]  # squares of integers overflow
        if dtype.kind == "c":
            # For z = x + iy the gradient is df/dx - i df/dy: its conjugate points uphill
            gradient = np.conj(gradient)
        computing = _computing_dtype(dtype)
        if computing != dtype:
            gradient, value = gradient.astype(computing), value.astype(computing)
        change, new_slots = self.rule(gradient, value, slots, count)
        others = (gradient, value, *slots, *new_slots)
        if (
            type(change) is type(value) is np.ndarray
            and change.dtype == computing
            and change.shape == value.shape
            and change.base is None
            and change.flags.writeable
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


class SGD(Optimizer):
    """Gradient descent, with classical or Nesterov momentum.

    With momentum μ, learning rate ε and gradient g::

        v = μ v + g
        θ = θ - ε v                 classical
        θ = θ - ε (g + μ v)         Nesterov

    This is Sutskever, Martens, Dahl & Hinton 2013, eq. 1-4, with their velocity divided by -ε, and
    for Nesterov in the variable θ + μv at which their gradient is taken. Weight decay λ adds λθ to
    the gradient.

    Parameters
    ----------
    params : iterable of Tensor, optional
    lr : float
    momentum : float, at least 0 and below 1
    nesterov : bool
    weight_decay : float

    Raises
    ------
    ValueError
        A hyperparameter is out of range, or `params` is empty.
    TypeError
        A hyperparameter is no number, or `params` is no list of Tensors.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import optim
    >>> optimizer = optim.SGD(lr=0.1, momentum=0.9)
    >>> state = optimizer.init(np.zeros(1))
    >>> params, state = optimizer.update(np.ones(1), state, np.zeros(1))
    >>> params, state
    (array([-0.1]), {'step': 1, 'velocity': array([1.])})
    """

    def __init__(
        self,
        params: Iterable[Any] | None = None,
        lr: float = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum = _fraction(momentum, "SGD", "momentum")
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: nesterov=True needs a momentum above 0, for example 0.9")
        self.weight_decay = _at_least_zero(weight_decay, "SGD", "weight_decay")
        if self.momentum:
            self.slots = ("velocity",)
        super().__init__(params, lr)

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """One step of gradient descent."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        if not slots:
            return self.lr * gradient, ()
        velocity = _plus(self.momentum * slots[0], gradient)
        if not self.nesterov:
            return self.lr * velocity, (velocity,)
        direction = _plus(self.momentum * velocity, gradient)
        direction *= self.lr
        return direction, (velocity,)


class Adam(Optimizer):
    """Adam: Kingma & Ba 2015, Algorithm 1.

    With gradient g at step t::

        m = β1 m + (1 - β1) g,   v = β2 v + (1 - β2) g²
        θ = θ - ε (m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + eps)

    Parameters
    ----------
    params : iterable of Tensor, optional
    lr : float
        The ε above.
    betas : pair of floats, each at least 0 and below 1
    eps : float

    Raises
    ------
    ValueError
        A hyperparameter is out of range, or `params` is empty.
    TypeError
        A hyperparameter is no number, or `params` is no list of Tensors.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import optim
    >>> optimizer = optim.Adam(lr=0.1)
    >>> params = np.zeros(2)
    >>> optimizer.update(np.array([3.0, -4.0]), optimizer.init(params), params)[0].round(6)
    array([-0.1,  0.1])
    """

    slots = ("first_moment", "second_moment")
    real_slots = frozenset({"second_moment"})

    def __init__(
        self,
        params: Iterable[Any] | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        name = type(self).__name__
        try:
            first, second = betas
        except (TypeError, ValueError):
            raise ValueError(
                f"{name}: betas must be a pair of numbers such as (0.9, 0.999), got {betas!r}"
            ) from None
        self.betas = (_fraction(first, name, "betas[0]"), _fraction(second, name, "betas[1]"))
        self.eps = _at_least_zero(eps, name, "eps")
        super().__init__(params, lr)

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """One step of Adam."""
        beta_1, beta_2 = self.betas
        # In place wherever the left side is new: temporaries cost more than the arithmetic
        first = _plus(beta_1 * slots[0], (1 - beta_1) * gradient)
        second = _moving(beta_2, slots[1], _squared(gradient))
        change = np.sqrt(second)
        change *= 1 / math.sqrt(1 - beta_2**count)
        change += self.eps
        change = first / change
        change *= self.lr / (1 - beta_1**count)
        return change, (first, second)


class AdamW(Adam):
    """Adam with decoupled weight decay: Loshchilov & Hutter 2019, Algorithm 2.

    Adam's step, and ``θ = θ - ε λ θ`` separately: line 12 of the algorithm, with the learning rate
    ε as its schedule multiplier η_t and with α = 1.

    Parameters
    ----------
    params : iterable of Tensor, optional
    lr : float
    betas : pair of floats, each at least 0 and below 1
    eps : float
    weight_decay : float
        The λ above.

    Raises
    ------
    ValueError
        A hyperparameter is out of range, or `params` is empty.
    TypeError
        A hyperparameter is no number, or `params` is no list of Tensors.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import optim
    >>> optimizer = optim.AdamW(lr=0.1, weight_decay=0.5)
    >>> params = np.ones(1)
    >>> optimizer.update(np.zeros(1), optimizer.init(params), params)[0]
    array([0.95])
    """

    def __init__(
        self,
        params: Iterable[Any] | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        self.weight_decay = _at_least_zero(weight_decay, type(self).__name__, "weight_decay")
        super().__init__(params, lr, betas, eps)

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """One step of Adam and of weight decay."""
        change, new_slots = super().rule(gradient, value, slots, count)
        return _plus(change, (self.lr * self.weight_decay) * value), new_slots


class RMSProp(Optimizer):
    """RMSProp: Tieleman & Hinton 2012, lecture 6.5.

    With gradient g::

        s = ρ s + (1 - ρ) g²
        θ = θ - ε g / (sqrt(s) + eps)

    Parameters
    ----------
    params : iterable of Tensor, optional
    lr : float
        The ε above.
    decay : float, at least 0 and below 1
        The ρ above.
    eps : float

    Raises
    ------
    ValueError
        A hyperparameter is out of range, or `params` is empty.
    TypeError
        A hyperparameter is no number, or `params` is no list of Tensors.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import optim
    >>> optimizer = optim.RMSProp(lr=0.1, decay=0.75)
    >>> params = np.zeros(1)
    >>> optimizer.update(np.array([2.0]), optimizer.init(params), params)[0].round(6)
    array([-0.2])
    """

    slots = ("mean_square",)
    real_slots = frozenset(slots)

    def __init__(
        self,
        params: Iterable[Any] | None = None,
        lr: float = 1e-2,
        decay: float = 0.9,
        eps: float = 1e-8,
    ) -> None:
        self.decay = _fraction(decay, "RMSProp", "decay")
        self.eps = _at_least_zero(eps, "RMSProp", "eps")
        super().__init__(params, lr)

    def rule(
        self, gradient: Any, value: Any, slots: Sequence[Any], count: int
    ) -> tuple[Any, Sequence[Any]]:
        """One step of RMSProp."""
        mean_square = _moving(self.decay, slots[0], _squared(gradient))
        scale = np.sqrt(mean_square)
        scale += self.eps
        return self.lr * gradient / scale, (mean_square,)


# --- helpers --------------------------------------------------------------------------------------


def _number(value: Any, optimizer: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{optimizer}: {name} must be a number, got {value!r}")
    return float(value)


def _at_least_zero(value: Any, optimizer: str, name: str) -> float:
    number = _number(value, optimizer, name)
    if not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"{optimizer}: {name} must be finite and at least 0, got {number}")
    return number


def _fraction(value: Any, optimizer: str, name: str) -> float:
    number = _number(value, optimizer, name)
    if not 0 <= number < 1:
        raise ValueError(f"{optimizer}: {name} must be at least 0 and below 1, got {number}")
    return number


def _dtype_of(leaf: Any) -> np.dtype[Any]:
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    if dtype.kind not in "fc":
        raise TypeError(
            f"a parameter has dtype {dtype}, which cannot be trained; make it floating-point"
        )
    return np.dtype(dtype)


def _computing_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for float16, whose smallest positive number exceeds eps and most squares."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _squared(gradient: Any) -> Any:
    """Squared modulus."""
    if gradient.dtype.kind == "c":
        return np.square(np.real(gradient)) + np.square(np.imag(gradient))
    return np.square(gradient)


def _plus(new: Any, other: Any) -> Any:
    """Sum of both, in the memory of `new` where both are arrays."""
    if type(new) is np.ndarray and type(other) is np.ndarray:
        return np.add(new, other, out=new)
    return new + other


def _moving(decay: float, average: Any, new: Any) -> Any:
    """Exponential moving average; `new` is written over."""
    new *= 1 - decay
    return _plus(new, decay * average)


def _freeze(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    return value
