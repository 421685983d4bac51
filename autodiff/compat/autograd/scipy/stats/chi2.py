"""Functions of the distribution `scipy.stats.chi2`."""

from __future__ import annotations

import scipy.stats

import autodiff.scipy.stats
from autodiff.compat.autograd.scipy.names import names_of

__getattr__, __dir__ = names_of(autodiff.scipy.stats.chi2, scipy.stats.chi2, globals())
