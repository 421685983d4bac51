"""Linear maps with structure: what the local Jacobians of a tape are, and how they multiply."""

from autodiff.ordering.maps.base import LinearMap
from autodiff.ordering.maps.blocks import (
    Block,
    Dense,
    Diagonal,
    block_diagonal,
    left_multiplication,
    right_multiplication,
)
from autodiff.ordering.maps.index import IndexMap
from autodiff.ordering.maps.opaque import Opaque
from autodiff.ordering.maps.product import Product
from autodiff.ordering.maps.products import kind_of, multiply
from autodiff.ordering.maps.scaled import Identity, Scaled
from autodiff.ordering.maps.zero import Zero

__all__ = [
    "Block",
    "Dense",
    "Diagonal",
    "Identity",
    "IndexMap",
    "LinearMap",
    "Opaque",
    "Product",
    "Scaled",
    "Zero",
    "block_diagonal",
    "kind_of",
    "left_multiplication",
    "multiply",
    "right_multiplication",
]
