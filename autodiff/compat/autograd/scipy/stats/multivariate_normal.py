"""Functions of the distribution `scipy.stats.multivariate_normal`."""

from __future__ import annotations

from scipy import stats as scipys

from autodiff.compat.autograd.scipy.names import names_of
from autodiff.scipy import stats

__getattr__, __dir__ = names_of(stats.multivariate_normal, scipys.multivariate_normal, globals())
