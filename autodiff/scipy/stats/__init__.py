"""``scipy.stats``: densities and distribution functions on arrays and Tensors.

>>> import autodiff as ad
>>> ad.grad(norm.logpdf, argnums=1)(1.0, 0.0, 2.0)
np.float64(0.25)
"""

from autodiff.scipy.stats.continuous import beta, chi2, expon, gamma, norm, t
from autodiff.scipy.stats.discrete import poisson
from autodiff.scipy.stats.multivariate import dirichlet, multivariate_normal

__all__ = [
    "beta",
    "chi2",
    "dirichlet",
    "expon",
    "gamma",
    "multivariate_normal",
    "norm",
    "poisson",
    "t",
]
