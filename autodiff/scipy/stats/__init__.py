"""``scipy.stats``: densities and distribution functions on arrays and Tensors.

>>> import autodiff as ad
>>> ad.grad(norm.logpdf, argnums=1)(1.0, 0.0, 2.0)
np.float64(0.25)
"""

from typing import TYPE_CHECKING, Any

from autodiff.scipy.stats.continuous import beta, chi2, expon, f, gamma, norm, t
from autodiff.scipy.stats.discrete import bernoulli, binom, geom, nbinom, poisson
from autodiff.scipy.stats.elementary import (
    cauchy,
    gumbel_l,
    gumbel_r,
    halfnorm,
    invgamma,
    laplace,
    logistic,
    lognorm,
    pareto,
    rayleigh,
    uniform,
    weibull_min,
)
from autodiff.scipy.stats.multivariate import dirichlet, multivariate_normal

__all__ = [
    "bernoulli",
    "beta",
    "binom",
    "cauchy",
    "chi2",
    "dirichlet",
    "expon",
    "f",
    "gamma",
    "geom",
    "gumbel_l",
    "gumbel_r",
    "halfnorm",
    "invgamma",
    "laplace",
    "logistic",
    "lognorm",
    "multivariate_normal",
    "nbinom",
    "norm",
    "pareto",
    "poisson",
    "rayleigh",
    "t",
    "uniform",
    "weibull_min",
]


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        """Say what there is in the place of a name of SciPy's that is not here."""
        from autodiff.neighbours import missing

        raise missing(__name__, name, __all__)
