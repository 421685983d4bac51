"""Names of SciPy's modules: the engine's own functions, and SciPy's as primitives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.compat.autograd.on_demand import on_demand
from autodiff.compat.autograd.overruling import of_the_tree
from autodiff.compat.autograd.tracer import primitive

__all__ = ["names_of"]


def names_of(
    own: Any, scipys: Any, space: dict[str, Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a module's ``__getattr__`` and ``__dir__``.

    Parameters
    ----------
    own : module of `autodiff.scipy`, or a distribution of its `stats`
    scipys : the same of `scipy`
    space : dict
        Globals of the module that has the names.
    """

    def find(name: str) -> Any:
        value = getattr(own, name, None)
        if value is None:
            value = getattr(scipys, name)
            return primitive(value) if _is_function(value) else value
        return of_the_tree(value, space["__name__"], name) if _is_function(value) else value

    return on_demand(space, scipys, find)


def _is_function(value: Any) -> bool:
    """Whether a name is a function, and no class or distribution."""
    return callable(value) and not isinstance(value, type) and not hasattr(value, "rvs")
