"""In which order to multiply local Jacobians: chains, graphs, and plans that say what they cost.

>>> from autodiff import ordering
>>> ordering.Chain([(2, 4, 100), (32, 2, 100)]).plan("optimal").cost
600
"""

from autodiff.ordering.calibration import Calibration, calibrate
from autodiff.ordering.chain.chain import CHAIN_ORDERS, Chain
from autodiff.ordering.chain.elemental import Elemental
from autodiff.ordering.execute import local_jacobians
from autodiff.ordering.graph.elimination import EdgeMap
from autodiff.ordering.graph.jacobian_graph import GRAPH_ORDERS, JacobianGraph
from autodiff.ordering.graph.scarcity import Scarcity
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
from autodiff.ordering.plan import Plan
from autodiff.ordering.steps import Memory, Step
from autodiff.transforms.jacobian.rates import Rates, Way, rates, use_rates

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
    "Scarcity",
    "Step",
    "Way",
    "Zero",
    "block_diagonal",
    "calibrate",
    "left_multiplication",
    "local_jacobians",
    "rates",
    "right_multiplication",
    "use_rates",
]
