"""Eigenvalue problems."""
