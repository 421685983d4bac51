"""Every primitive, by the module that declares it and its name.

Two packages may both declare ``cube``; the plain name then stands for neither. A declaration that
is executed again (a notebook's cell run twice, a module reloaded) takes the place of the former
one; two declarations of one name in one module are a mistake.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autodiff.errors import DeclarationError

if TYPE_CHECKING:
    from autodiff.core.primitive import Primitive

__all__ = ["REGISTRY", "Registry"]

_LIBRARY = "autodiff."
_MISSING: Any = object()


def _execution(module: str) -> Any:
    """What tells one execution of a module from the next: importing it anew makes a new spec."""
    return getattr(sys.modules.get(module), "__spec__", None)


class Registry(Mapping[str, "Primitive"]):
    """Primitives by name, in order of declaration.

    A primitive is known as ``module.name``, and by its plain name where that can mean only one: the
    library's own comes before anybody else's, and a name that two packages declare is looked up
    with its module. Iterating gives one key for each primitive, the plain name where that leads to
    it.

    Examples
    --------
    >>> REGISTRY["sin"] is REGISTRY["autodiff.ops.elementwise.sin"]
    True
    >>> "no_such_function" in REGISTRY
    False
    """

    def __init__(self) -> None:
        self._primitives: dict[str, Primitive] = {}
        self._executions: dict[str, Any] = {}
        self._modules: dict[str, list[str]] = {}  # by plain name, in order of declaration

    def add(self, declared: Primitive) -> None:
        """Take in a declaration.

        Raises
        ------
        DeclarationError
            The module has declared another primitive of this name.
        """
        module, name = declared.module, declared.name
        key = f"{module}.{name}"
        execution = _execution(module)
        former = self._primitives.get(key)
        if former is not None and module != "__main__" and execution is self._executions[key]:
            raise DeclarationError(
                f"a primitive named {name!r} is declared already in {module}: {former!r}; give "
                "this one another name with name=..."
            )
        self._primitives[key] = declared
        self._executions[key] = execution
        modules = self._modules.setdefault(name, [])
        if module not in modules:
            modules.append(module)

    def knows(self, declared: Primitive) -> bool:
        """Whether this very primitive is the one of its module and name."""
        return self._primitives.get(f"{declared.module}.{declared.name}") is declared

    def key_of(self, declared: Primitive) -> str:
        """Shortest key that leads to a registered primitive."""
        chosen = self._chosen(declared.name)
        return declared.name if chosen == declared.module else f"{declared.module}.{declared.name}"

    def _chosen(self, name: str) -> str | None:
        """Module of the primitive that a plain name stands for, None where there is not one."""
        modules = self._modules.get(name, ())
        if len(modules) > 1:
            modules = [module for module in modules if module.startswith(_LIBRARY)]
        return modules[0] if len(modules) == 1 else None

    def __getitem__(self, key: str) -> Primitive:
        module = self._chosen(key)
        found = self._primitives.get(key if module is None else f"{module}.{key}")
        if found is not None:
            return found
        owners = self._modules.get(key)
        if owners:
            ways = " or ".join(repr(f"{module}.{key}") for module in owners)
            raise KeyError(f"several modules declare a primitive {key!r}: look up {ways}")
        raise KeyError(f"no primitive is declared as {key!r}")

    def __iter__(self) -> Iterator[str]:
        return iter([self.key_of(declared) for declared in self._primitives.values()])

    def __len__(self) -> int:
        return len(self._primitives)

    def __repr__(self) -> str:
        return f"<registry of {len(self)} primitives>"

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Forget a primitive and return it; where there is none, return `default`.

        Raises
        ------
        KeyError
            There is none, or several, and no default.
        """
        try:
            found = self[key]
        except KeyError:
            if default is _MISSING:
                raise
            return default
        full = f"{found.module}.{found.name}"
        del self._primitives[full], self._executions[full]
        modules = self._modules[found.name]
        modules.remove(found.module)
        if not modules:
            del self._modules[found.name]
        return found


REGISTRY = Registry()
"""Every primitive, in order of declaration; the test-suite walks it."""


def restored(module: str, name: str) -> Primitive:
    """Primitive of a module and name, for copies and pickles; imports the module if need be."""
    key = f"{module}.{name}"
    if key not in REGISTRY and module not in sys.modules:
        import_module(module)
    return REGISTRY[key]
