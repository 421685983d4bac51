"""Graphs of local Jacobians, and in which order to eliminate their vertices."""
