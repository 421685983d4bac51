"""In which order to multiply local Jacobians: chains, graphs, and plans that say what they cost.

>>> from autodiff import ordering
>>> ordering.Chain([(2, 4, 100), (32, 2, 100)]).plan("optimal").cost
600
"""

from importlib import import_module
from typing import Any

from autodiff.ordering.calibration import Calibration, Rates, calibrate, rates, use_rates
from autodiff.ordering.chain import CHAIN_ORDERS, Chain, Elemental
from autodiff.ordering.elimination import EdgeMap
from autodiff.ordering.execute import local_jacobians
from autodiff.ordering.graph import GRAPH_ORDERS, JacobianGraph
from autodiff.ordering.maps import (
    Block,
    Dense,
    Diagonal,
    Identity,
    IndexMap,
    LinearMap,
    Opaque,
    Product,
    Scaled,
    Zero,
    block_diagonal,
    left_multiplication,
    right_multiplication,
)
from autodiff.ordering.plan import Memory, Plan, Step

__all__ = [
    "CHAIN_ORDERS",
    "GRAPH_ORDERS",
    "Block",
    "Calibration",
    "Chain",
    "Dense",
    "Diagonal",
    "EdgeMap",
    "Elemental",
    "Identity",
    "IndexMap",
    "JacobianGraph",
    "LinearMap",
    "Memory",
    "Opaque",
    "Plan",
    "Product",
    "Rates",
    "Scaled",
    "Step",
    "Zero",
    "block_diagonal",
    "calibrate",
    "command",
    "left_multiplication",
    "local_jacobians",
    "rates",
    "right_multiplication",
    "use_rates",
]


def __getattr__(name: str) -> Any:
    """Import the command line's part when it is first used: planning needs nothing of it."""
    if name == "command":
        return import_module("autodiff.ordering.command")
    raise AttributeError(f"module 'autodiff.ordering' has no attribute {name!r}")
