"""Flat vectors of containers."""

from __future__ import annotations

from autodiff.compat.autograd.misc.flatten import flatten
from autodiff.compat.autograd.misc.tracers import const_graph

__all__ = ["const_graph", "flatten"]
