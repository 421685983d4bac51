"""A program that is a derivative of one formula: what engines need to know to compute it.

The formula is written once, in NumPy's words, for a `Library`: the functions of one engine. How an
engine differentiates it follows from the problem's kind, so that no engine needs a line of its own
for a new problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from autodiff.bench.lazy import Lazy
from autodiff.bench.program import Implementation, Inputs

__all__ = ["KINDS", "Library", "Problem", "advance", "converted", "loop", "repeat"]

KINDS = {
    "gradient": "value and gradient",
    "curvature": "gradient, and its derivative along ones in the first variable, of that variable",
    "rows": "for each row of the result: the gradient of its sum",
    "columns": "Jacobian of a large result by one vector of few elements, forward",
    "descent": "place, value and slope where a descent along the slope of one number ends",
}
"""What is asked of a formula, in the order of the results."""


class Library(Lazy):
    """NumPy's functions as one engine has them, and a few that NumPy does not have.

    Parameters
    ----------
    name : str
        Of a module that has NumPy's names.
    others : callable or str
        By name: what the module lacks or calls otherwise; a text ``"module:name"`` is looked up
        when it is first used. Formulas use ``loop(step, carry, xs)`` and
        ``repeat(step, carry, count)`` where the state of a simulation or a network moves on,
        ``advance(going, step, carry)`` where the state says how long; ``grad``, ``sigmoid``,
        ``ndtr``, ``logsumexp(x, axis)``, ``cross_entropy(scores, labels)`` and
        ``convolve(images, filters)``, channels last, without padding.

    Examples
    --------
    >>> library = Library("math", double=lambda x: 2 * x, minus="operator:neg")
    >>> library.sqrt(4.0), library.double(4.0), library.minus(4.0)
    (2.0, 8.0, -4.0)
    """

    def __init__(self, name: str, **others: Callable[..., Any] | str) -> None:
        super().__init__(name)
        self._elsewhere = {name: text for name, text in others.items() if isinstance(text, str)}
        vars(self).update({name: f for name, f in others.items() if not isinstance(f, str)})

    def __getattr__(self, name: str) -> Any:
        if name not in self._elsewhere:
            return super().__getattr__(name)
        module, _, attribute = self._elsewhere[name].partition(":")
        value = getattr(Lazy(module), attribute)
        setattr(self, name, value)
        return value


@dataclass(frozen=True)
class Problem:
    """Which derivative of which formula.

    Parameters
    ----------
    kind : str
        Key of `KINDS`.
    variables : tuple of str
        Inputs to differentiate by; those of a list one after the other.
    formula : callable
        ``formula(library, inputs)`` is the function of the variables.
    by_hand : callable
        The same derivative as a person writes it with NumPy.
    """

    kind: str
    variables: tuple[str, ...]
    formula: Callable[[Any, Inputs], Callable[..., Any]]
    by_hand: Implementation

    def values(self, inputs: Inputs) -> list[Any]:
        """Values of the variables, lists laid out.

        Examples
        --------
        >>> problem = Problem("gradient", ("a", "b"), lambda library, inputs: max, len)
        >>> problem.values({"a": [1, 2], "b": 3, "c": 4})
        [1, 2, 3]
        """
        found: list[Any] = []
        for name in self.variables:
            value = inputs[name]
            found += value if isinstance(value, list) else [value]
        return found


def advance(going: Callable[[Any], Any], step: Callable[[Any], Any], carry: Any) -> Any:
    """Take a state through the same step for as long as a condition holds.

    Examples
    --------
    >>> advance(lambda x: x < 100, lambda x: 2 * x, 1)
    128
    """
    while going(carry):
        carry = step(carry)
    return carry


def converted(inputs: Inputs, convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Inputs with every array converted, also those in lists; numbers and texts as they are.

    Examples
    --------
    >>> import numpy as np
    >>> converted({"x": np.ones(2), "n": 3}, np.ndarray.tolist)
    {'x': [1.0, 1.0], 'n': 3}
    """
    return {name: _converted(value, convert) for name, value in inputs.items()}


def _converted(value: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [_converted(part, convert) for part in value]
    return convert(value) if hasattr(value, "dtype") else value


def loop(step: Callable[[Any, Any], Any], carry: Any, xs: Iterable[Any]) -> Any:
    """Take a state through the elements of a sequence, as a ``for`` statement does.

    Examples
    --------
    >>> loop(lambda total, x: total + x, 0, [1, 2, 3])
    6
    """
    for x in xs:
        carry = step(carry, x)
    return carry


def repeat(step: Callable[[Any], Any], carry: Any, count: int) -> Any:
    """Take a state through the same step several times.

    Examples
    --------
    >>> repeat(lambda x: 2 * x, 1, 10)
    1024
    """
    for _ in range(count):
        carry = step(carry)
    return carry
