"""The primitives, by topic, and NumPy's functions built on them."""

from autodiff.ops import elementwise, fronts, index, linalg, reduce, shape, special

__all__ = ["elementwise", "fronts", "index", "linalg", "reduce", "shape", "special"]
