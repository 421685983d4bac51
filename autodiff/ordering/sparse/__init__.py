"""Sparse Jacobians: the columns that may be swept together, and how entries are found again."""
