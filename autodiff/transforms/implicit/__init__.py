"""Derivatives of solutions, by the equations that they solve."""
