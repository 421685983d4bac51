"""What the code of a function names: globals, attributes; and whose code it is."""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Any

from autodiff.conversions import is_installed

__all__ = [
    "EVERYTHING",
    "attributes_named",
    "calls_without_arguments",
    "globals_named",
    "is_builtin_or_ours",
    "is_method",
    "is_numpys_or_ours",
    "is_program_class",
    "is_program_code",
    "is_program_module",
    "methods",
    "slot_names",
]

_DYNAMIC = frozenset({"getattr", "vars", "__dict__", "attrgetter", "eval", "exec", "__slots__"})
EVERYTHING = "*"
"""Stands for every attribute, where the code finds them by names that it computes."""


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Return a code and those of the functions that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


@functools.lru_cache(maxsize=4096)
def attributes_named(code: CodeType) -> frozenset[str]:
    """Names that a code looks up in objects (and in its globals: the two look alike there)."""
    names = {name for each in _codes(code) for name in each.co_names}
    return frozenset(names | {EVERYTHING} if names & _DYNAMIC else names)


@functools.lru_cache(maxsize=4096)
def globals_named(code: CodeType) -> tuple[str, ...]:
    """Names that a code looks up in its globals, or binds there."""
    found = {
        instruction.argval
        for each in _codes(code)
        for instruction in dis.get_instructions(each)
        if instruction.opname in _GLOBAL
    }
    return tuple(sorted(found))


_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"})


def calls_without_arguments(code: CodeType) -> Iterator[tuple[str, ...]]:
    """Names of what a code calls without an argument, as ``("time", "time")``."""
    for each in _codes(code):
        chain: tuple[str, ...] = ()
        for instruction in dis.get_instructions(each):
            name = instruction.opname
            if name in _ROOTS:
                chain = (instruction.argval,)
            elif name in _ATTRIBUTES and chain:
                chain += (instruction.argval,)
            elif name == "CALL":
                if chain and instruction.arg == 0:
                    yield chain
                chain = ()
            elif name not in _BETWEEN:
                chain = ()


_ROOTS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_BETWEEN = frozenset({"PUSH_NULL", "PRECALL", "CACHE", "NOP", "EXTENDED_ARG"})


def is_program_code(function: Any) -> bool:
    """Whether a function is the program's own, and none of an installed library."""
    return isinstance(function, FunctionType) and not is_installed(function.__code__.co_filename)


def is_program_module(module: ModuleType) -> bool:
    """Whether a module is the program's own."""
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ == "__main__"
    return not is_installed(file)


_OURS = ("autodiff.nn.", "autodiff.optim.", "autodiff.numpy.")
"""Modules of this package whose objects hold arrays of the program's."""


def is_program_class(cls: type) -> bool:
    """Whether objects of a class are the program's own: what they hold is looked at one by one."""
    name = cls.__module__
    if name.startswith(_OURS) or cls is SimpleNamespace:
        return True
    module = sys.modules.get(name)
    if module is None:
        return bool(cls.__flags__ & 1 << 9) and name not in sys.stdlib_module_names
    return is_program_module(module)


_UNCALLED = frozenset(
    {
        *("__new__", "__init__", "__init_subclass__", "__repr__", "__str__", "__reduce__"),
        *("__reduce_ex__", "__getstate__", "__setstate__", "__del__", "__class_getitem__"),
        *("__copy__", "__deepcopy__", "__sizeof__", "__dir__", "__format__", "__subclasshook__"),
    }
)


def methods(cls: type, names: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Functions of a class, of those that the language calls, and those that are named.

    A property counts as the function that computes it.
    """
    seen: set[str] = set()
    for owner in cls.__mro__[:-1]:
        for name, found in vars(owner).items():
            if name in seen:
                continue
            special = name.startswith("__") and name.endswith("__") and name not in _UNCALLED
            if not special and name not in names:
                continue
            seen.add(name)
            function = found
            if isinstance(found, property):
                function = found.fget
            elif isinstance(found, functools.cached_property):
                function = found.func
            elif isinstance(found, (staticmethod, classmethod)):
                function = found.__func__
            if isinstance(function, FunctionType):
                yield name, found if function is found else function


def slot_names(owner: type) -> list[str]:
    """Names of the slots that a class itself declares."""
    given = vars(owner).get("__slots__", ())
    names = (given,) if isinstance(given, str) else tuple(given)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def is_method(cls: type, name: str) -> bool:
    """Whether an object finds a plain function of its class under a name."""
    for owner in cls.__mro__:
        if name in vars(owner):
            return isinstance(vars(owner)[name], FunctionType)
    return False


def is_numpys_or_ours(function: FunctionType) -> bool:
    """Whether a function belongs to this package or to NumPy, which keep nothing of the program."""
    return function.__module__.split(".")[0] in ("autodiff", "numpy")


def is_builtin_or_ours(cls: type) -> bool:
    """Whether a class belongs to this package, NumPy or Python itself."""
    return cls.__module__.split(".")[0] in ("autodiff", "numpy", "builtins")
