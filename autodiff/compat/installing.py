"""A module tree under another name: ``import autograd`` gives `autodiff.compat.autograd`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from autodiff.tensor import Tensor

__all__ = ["install"]

_TREES = {"autograd": "autodiff.compat.autograd"}

_BOXES = {"autograd": "autograd.numpy.numpy_boxes"}
"""Module that Tensors are of from then on: libraries dispatch on ``type(x).__module__``."""


def install(name: str = "autograd") -> None:
    """Make ``import <name>`` give this engine's modules, in this process.

    Parameters
    ----------
    name : {"autograd"}
        Whose module tree: HIPS/autograd's. It need not be installed, and is left alone if it is.

    Raises
    ------
    ValueError
        No such tree is here.
    ImportError
        The library itself has been imported already, so that there would be two of it; the message
        names the module that has it.

    Examples
    --------
    >>> import autodiff
    >>> autodiff.compat.install("autograd")
    >>> import autograd.numpy as np
    >>> from autograd import grad
    >>> grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    if name not in _TREES:
        raise ValueError(f"install: no module tree {name!r} is here; there is {', '.join(_TREES)}")
    if any(isinstance(finder, _Finder) and finder.name == name for finder in sys.meta_path):
        return
    if name in sys.modules:
        raise ImportError(
            f"install: {name} itself is in this process already{_importers(name)}; call "
            f"autodiff.compat.install({name!r}) before that, or run the program by "
            f"python -m autodiff.compat {name} ..."
        )
    sys.meta_path.insert(0, _Finder(name, _TREES[name]))
    Tensor.__module__ = _BOXES[name]


def _importers(name: str) -> str:
    """Say which modules hold the library, or something of it."""
    own = f"{name}."
    holders = sorted(
        holder
        for holder, module in list(sys.modules.items())
        if holder != name
        and not holder.startswith((own, "autodiff."))
        and any(_belongs(value, name) for value in list(getattr(module, "__dict__", {}).values()))
    )
    return f", imported by {', '.join(holders[:3])}" if holders else ""


def _belongs(value: object, name: str) -> bool:
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return isinstance(home, str) and (home == name or home.startswith(f"{name}."))


class _Finder(MetaPathFinder):
    """Finds modules of one tree under another's name."""

    def __init__(self, name: str, tree: str) -> None:
        self.name = name
        self.tree = tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Give the module that stands for a name, if there is one."""
        if fullname != self.name and not fullname.startswith(f"{self.name}."):
            return None
        own = self.tree + fullname.removeprefix(self.name)
        found = find_spec(own)
        if found is None:
            return None
        is_package = found.submodule_search_locations is not None
        return ModuleSpec(fullname, _Alias(own), is_package=is_package)


class _Alias(Loader):
    """Gives a module that is there already."""

    def __init__(self, own: str) -> None:
        self.own = own
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import the module under its own name."""
        module = import_module(self.own)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is; importing it again has given it another specification."""
        module.__spec__ = self.spec
