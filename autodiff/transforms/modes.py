"""Constants, and modes of a context: what records nothing, what checks, what zeros do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any, TypeVar, cast

from autodiff import tree
from autodiff.core.dispatch import next_level
from autodiff.core.modes import modes, owner_of
from autodiff.ops import elementwise as ew
from autodiff.ops.operands import holds_box, joined
from autodiff.transforms.transformed import Transformed

__all__ = ["debug", "no_grad", "stop_gradient", "strong_zero"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def stop_gradient(x: T) -> T:
    """Return `x` as a constant: no derivative passes, in any mode.

    Parameters
    ----------
    x : Tensor, array, number or container of them
        What is no Tensor is a constant already, and passes unchanged.

    Returns
    -------
    Container like `x`, of the same values

    Raises
    ------
    EscapedTensorError
        A Tensor in `x` belongs to a transform that has returned.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.grad(lambda x: x * ad.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    constant: T = tree.map_leaves(
        lambda leaf: ew.stop_gradient(joined(leaf)) if holds_box(leaf) else leaf, x
    )
    return constant


class _Mode(ContextDecorator):
    """A mode of a context, as a ``with`` block or as a decorator; entered any number of times."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._entered: list[Any] = []

    def _recreate_cm(self) -> _Mode:
        return type(self)(**self._settings)

    def __call__(self, func: F) -> F:
        made: Any = Transformed(_within, func, self)
        return cast(F, made)

    def settings(self) -> dict[str, Any]:
        """What to set on entry."""
        return self._settings

    def __enter__(self) -> None:
        entered = modes.changed(owner_of(sys._getframe(1)), **self.settings())
        entered.__enter__()
        self._entered.append(entered)

    def __exit__(self, *error: Any) -> None:
        self._entered.pop().__exit__(*error)


def _within(f: Callable[..., Any], mode: _Mode, /, *args: Any, **keywords: Any) -> Any:
    with mode._recreate_cm():
        return f(*args, **keywords)


class no_grad(_Mode):
    """Within it, operations on existing Tensors record nothing: results are constants.

    Transforms opened inside work as usual. It is a ``with`` block or, as ``@ad.no_grad()``, a
    decorator.

    Examples
    --------
    >>> import autodiff as ad
    >>> w = ad.Tensor(2.0)
    >>> with ad.no_grad():
    ...     y = w * w
    >>> (y * w).backward()
    >>> w.grad
    array(4.)
    """

    def __init__(self) -> None:
        super().__init__()

    def _recreate_cm(self) -> no_grad:
        return no_grad()

    def settings(self) -> dict[str, Any]:
        """Suspend what is below a level made now, and nothing above."""
        return {"no_grad_level": next_level()}


class strong_zero(_Mode):
    """Within it, a zero cotangent or tangent stays zero past an infinite or NaN partial.

    The branch of ``np.where`` that was not taken then contributes nothing. It is a ``with`` block
    or, as ``@ad.strong_zero()``, a decorator.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> def f(x):
    ...     return np.where(x > 0, np.sqrt(x), 0.0)
    >>> with ad.strong_zero():
    ...     ad.grad(f)(0.0)
    np.float64(0.0)
    """

    def __init__(self) -> None:
        super().__init__(strong_zero=True)

    def _recreate_cm(self) -> strong_zero:
        return strong_zero()


class debug(_Mode):
    """Within it, the first NaN or infinity, forward or backward, raises `FloatingPointError`.

    The message names the primitive, the rule and the line of your program. It is a ``with`` block
    or, as ``@ad.debug()``, a decorator.

    Raises
    ------
    NonFiniteError
        A `FloatingPointError`: an operation, a rule or a tangent gave a NaN or an infinity.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> with ad.debug(), np.errstate(divide="ignore"):
    ...     ad.grad(np.log)(0.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    autodiff.errors.NonFiniteError: forward of log gave -inf at index () of shape () ...
    """

    def __init__(self) -> None:
        super().__init__(debug=True)

    def _recreate_cm(self) -> debug:
        return debug()
