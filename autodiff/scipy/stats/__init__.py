"""``scipy.stats``: densities and distribution functions on arrays and Tensors.

>>> import autodiff as ad
>>> ad.grad(norm.logpdf, argnums=1)(1.0, 0.0, 2.0)
np.float64(0.25)
"""

from typing import TYPE_CHECKING, Any

from autodiff.scipy.stats.continuous import beta, chi2, expon, f, gamma, norm, t
from autodiff.scipy.stats.discrete import (
    bernoulli,
    betabinom,
    binom,
    geom,
    hypergeom,
    nbinom,
    poisson,
    randint,
    zipf,
)
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
from autodiff.scipy.stats.extremes import (
    exponweib,
    genextreme,
    genpareto,
    gompertz,
    halfcauchy,
    loguniform,
    powerlaw,
    reciprocal,
    triang,
    truncexpon,
    weibull_max,
)
from autodiff.scipy.stats.gaussians import (
    chi,
    foldnorm,
    invgauss,
    rice,
    skewnorm,
    truncnorm,
    vonmises,
)
from autodiff.scipy.stats.multivariate import dirichlet, multivariate_normal

__all__ = [
    "bernoulli",
    "beta",
    "betabinom",
    "binom",
    "cauchy",
    "chi",
    "chi2",
    "dirichlet",
    "expon",
    "exponweib",
    "f",
    "foldnorm",
    "gamma",
    "genextreme",
    "genpareto",
    "geom",
    "gompertz",
    "gumbel_l",
    "gumbel_r",
    "halfcauchy",
    "halfnorm",
    "hypergeom",
    "invgamma",
    "invgauss",
    "laplace",
    "logistic",
    "lognorm",
    "loguniform",
    "multivariate_normal",
    "nbinom",
    "norm",
    "pareto",
    "poisson",
    "powerlaw",
    "randint",
    "rayleigh",
    "reciprocal",
    "rice",
    "skewnorm",
    "t",
    "triang",
    "truncexpon",
    "truncnorm",
    "uniform",
    "vonmises",
    "weibull_max",
    "weibull_min",
    "zipf",
]


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        """Say what there is in the place of a name of SciPy's that is not here."""
        from autodiff.neighbours import missing

        raise missing(__name__, name, __all__)
