"""``scipy.stats``: distributions, summaries and tests on arrays and Tensors.

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
from autodiff.scipy.stats.summary.comparisons import (
    linregress,
    pearsonr,
    ttest_1samp,
    ttest_ind,
    ttest_rel,
)
from autodiff.scipy.stats.summary.density import (
    boxcox_llf,
    gaussian_kde,
)
from autodiff.scipy.stats.summary.descriptive import (
    describe,
    gmean,
    gzscore,
    hmean,
    kurtosis,
    moment,
    pmean,
    sem,
    skew,
    variation,
    zmap,
    zscore,
)
from autodiff.scipy.stats.summary.entropies import (
    differential_entropy,
    entropy,
)
from autodiff.scipy.stats.summary.robust import (
    iqr,
    median_abs_deviation,
    tmean,
    trim_mean,
    tsem,
    tstd,
    tvar,
)

__all__ = [
    "bernoulli",
    "beta",
    "betabinom",
    "binom",
    "boxcox_llf",
    "cauchy",
    "chi",
    "chi2",
    "describe",
    "differential_entropy",
    "dirichlet",
    "entropy",
    "expon",
    "exponweib",
    "f",
    "foldnorm",
    "gamma",
    "gaussian_kde",
    "genextreme",
    "genpareto",
    "geom",
    "gmean",
    "gompertz",
    "gumbel_l",
    "gumbel_r",
    "gzscore",
    "halfcauchy",
    "halfnorm",
    "hmean",
    "hypergeom",
    "invgamma",
    "invgauss",
    "iqr",
    "kurtosis",
    "laplace",
    "linregress",
    "logistic",
    "lognorm",
    "loguniform",
    "median_abs_deviation",
    "moment",
    "multivariate_normal",
    "nbinom",
    "norm",
    "pareto",
    "pearsonr",
    "pmean",
    "poisson",
    "powerlaw",
    "randint",
    "rayleigh",
    "reciprocal",
    "rice",
    "sem",
    "skew",
    "skewnorm",
    "t",
    "tmean",
    "triang",
    "trim_mean",
    "truncexpon",
    "truncnorm",
    "tsem",
    "tstd",
    "ttest_1samp",
    "ttest_ind",
    "ttest_rel",
    "tvar",
    "uniform",
    "variation",
    "vonmises",
    "weibull_max",
    "weibull_min",
    "zipf",
    "zmap",
    "zscore",
]


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        """Say what there is in the place of a name of SciPy's that is not here."""
        from autodiff.neighbours import missing

        raise missing(__name__, name, __all__)
