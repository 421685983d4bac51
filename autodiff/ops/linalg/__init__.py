"""Linear algebra: products, decompositions, solvers, norms."""

from autodiff.ops.linalg import (
    contractions,
    decompositions,
    matrices,
    norms,
    products,
    solvers,
)

__all__ = ["contractions", "decompositions", "matrices", "norms", "products", "solvers"]
