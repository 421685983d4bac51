"""Chains of Jacobians, and how to bracket their products."""
