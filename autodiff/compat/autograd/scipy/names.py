"""Names of a module of SciPy's: this engine's where there is one, else a primitive of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.compat.autograd.tracer import primitive

__all__ = ["names_of"]


def names_of(own: Any, scipys: Any, space: dict[str, Any]) -> Callable[[str], Any]:
    """Return what looks a name up when it is first used, and keeps it.

    Parameters
    ----------
    own : module of `autodiff.scipy`, or a distribution of its `stats`
    scipys : the same of `scipy`
    space : dict
        Globals of the module that has the names.
    """

    def lookup(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {space['__name__']!r} has no attribute {name!r}")
        value = getattr(own, name, None)
        if value is None:
            value = getattr(scipys, name)
            if callable(value) and not isinstance(value, type) and not hasattr(value, "rvs"):
                value = primitive(value)
        space[name] = value
        return value

    return lookup
