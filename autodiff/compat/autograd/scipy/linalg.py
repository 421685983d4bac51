"""Names of `scipy.linalg`; those without a rule here are primitives, which take rules."""

from __future__ import annotations

import scipy.linalg

import autodiff.scipy.linalg
from autodiff.compat.autograd.scipy.names import names_of

__all__ = list(scipy.linalg.__all__)

__getattr__, __dir__ = names_of(autodiff.scipy.linalg, scipy.linalg, globals())
