"""Names of `scipy.stats`; distributions that HIPS/autograd has are modules, as there."""

from __future__ import annotations

import scipy.stats

import autodiff.scipy.stats
from autodiff.compat.autograd.scipy.names import names_of
from autodiff.compat.autograd.scipy.stats import (
    beta,
    chi2,
    dirichlet,
    gamma,
    multivariate_normal,
    norm,
    poisson,
    t,
)

__all__ = ["beta", "chi2", "dirichlet", "gamma", "multivariate_normal", "norm", "poisson", "t"]

__getattr__, __dir__ = names_of(autodiff.scipy.stats, scipy.stats, globals())
