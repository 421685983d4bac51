"""Names of `scipy.special`; those without a rule here are primitives, which take rules."""

from __future__ import annotations

import scipy.special

import autodiff.scipy.special
from autodiff.compat.autograd.scipy.names import names_of

__all__ = list(scipy.special.__all__)

__getattr__, __dir__ = names_of(autodiff.scipy.special, scipy.special, globals())
