"""Engines: what each one is called, where it lives, and what it needs.

Peers are imported by name and on use (`autodiff.bench.lazy`): none of them is a dependency, and
neither documentation tools nor type checkers need them.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

from autodiff.bench.program import Implementation

__all__ = ["ENGINES", "OWN", "REFERENCE", "Engine", "distinct", "offered", "programs"]

OWN = "autodiff"
"""The engine that is compared with the others."""

REFERENCE = "numpy"
"""The engine whose results the others must have: derivatives written by hand."""


class Engine(NamedTuple):
    """One column of the comparison.

    Parameters
    ----------
    title : str
        For tables and plots.
    module : str
        Module of this package with its implementations.
    table : str
        Name of the dict of implementations in it.
    requires : str
        What to import, which is also what its import time is taken of.
    distribution : str
        Name under which it is installed.
    numpy_based : bool
        Whether it computes with NumPy, so that NumPy's BLAS decides.
    compiles : bool
        Whether the first call of a function makes a program of it, which the report shows apart.
    helper : str
        Distribution that it computes with where that is installed, which the report names.
    """

    title: str
    module: str
    table: str
    requires: str
    distribution: str
    numpy_based: bool
    compiles: bool = False
    helper: str = ""


ENGINES = {
    "autodiff": Engine("autodiff", "own", "PROGRAMS", "autodiff", "autodiff", True),
    "autodiff-grad": Engine("ad.grad", "functional", "FUNCTIONAL", "autodiff", "autodiff", True),
    "autodiff-compiled": Engine(
        "compiled",
        "compiled",
        "PROGRAMS",
        "autodiff",
        "autodiff",
        True,
        compiles=True,
        helper="llvmlite",
    ),
    "numpy": Engine("NumPy by hand", "hand", "PROGRAMS", "numpy", "numpy", True),
    "torch": Engine("PyTorch", "pytorch", "PROGRAMS", "torch", "torch", False),
    "jax": Engine("JAX jit", "xla", "PROGRAMS", "jax", "jax", False, compiles=True),
    "autograd": Engine("HIPS/autograd", "hips", "PROGRAMS", "autograd", "autograd", True),
    "mygrad": Engine("MyGrad", "numpy_tensors", "PROGRAMS", "mygrad", "mygrad", True),
    "micrograd": Engine("micrograd", "scalars", "PROGRAMS", "micrograd", "micrograd", False),
    "scalars": Engine("class of scalars", "scalars", "OWN", "autodiff", "autodiff", False),
}
"""Engines by the name that ``--engines`` takes."""


def distinct(engines: Iterable[str]) -> list[str]:
    """Engines that are installed apart from those before: one of each distribution.

    Examples
    --------
    >>> distinct(["autodiff", "autodiff-grad", "numpy"])
    ['autodiff', 'numpy']
    """
    found: dict[str, str] = {}
    for name in engines:
        found.setdefault(ENGINES[name].distribution, name)
    return list(found.values())


def programs(engine: str) -> dict[str, Implementation]:
    """Set an engine up; its implementations by program.

    Raises
    ------
    ModuleNotFoundError
        The engine is not installed.

    Examples
    --------
    >>> sorted(programs("scalars"))
    ['binary_chain', 'determinant', 'graph']
    """
    import_module(ENGINES[engine].requires)
    set_up = getattr(_module(engine), "set_up", None)
    if set_up is not None:
        set_up()
    return offered(engine)


def offered(engine: str) -> dict[str, Implementation]:
    """What an engine implements, without setting it up: it need not be installed.

    Examples
    --------
    >>> "hessian" in offered("jax"), "hessian" in offered("micrograd")
    (True, False)
    """
    table: dict[str, Implementation] = getattr(_module(engine), ENGINES[engine].table)
    return table


def _module(engine: str) -> Any:
    return import_module(f"autodiff.bench.engines.{ENGINES[engine].module}")
