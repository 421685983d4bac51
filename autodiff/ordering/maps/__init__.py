"""Linear maps with structure, and the table of their products."""

from autodiff.ordering.maps.all_ import (
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
    multiply,
    right_multiplication,
)

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
    "left_multiplication",
    "multiply",
    "right_multiplication",
]
