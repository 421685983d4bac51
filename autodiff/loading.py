"""What is loaded when it is first asked for, and by whom: the one place above everything it names.

Tapes can be drawn, Jacobians accumulated by elimination, without `import autodiff` loading what
draws and eliminates. The layers below own the questions (`core.deferred.Deferred`); this module,
which the package imports, says where the answers are.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from autodiff.transforms.jacobian import decision as _jacobian

__all__: list[str] = []


def _from(module: str, name: str) -> Callable[[], Callable[..., Any]]:
    """Return what imports a function when it is called."""

    def load() -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function

    return load


# Orders of accumulating a Jacobian beside the sweeps
_jacobian.PRICES.defer("cross-country", _from("autodiff.ordering.execute", "price"))
_jacobian.RUNS.defer("cross-country", _from("autodiff.ordering.execute", "cross_country"))
_jacobian.GIVEN.defer("plan", _from("autodiff.ordering.execute", "execute_plan"))
_jacobian.STRUCTURES.defer("sparse", _from("autodiff.ordering.sparse.recovery", "sparse_jacobian"))
