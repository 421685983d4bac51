"""``scipy.linalg`` on arrays and Tensors.

Sources of the rules: Giles, M. (2008), "An extended collection of matrix derivative results for
forward and reverse mode algorithmic differentiation", Oxford University Computing Laboratory,
report 08/01 (triangular systems: section 2.3.1); Higham, N. J. (2008), "Functions of Matrices",
SIAM: theorem 3.6 and equation 3.16 (the derivative of a matrix function from the function of a
block triangular matrix), theorem 5.3 (sign), section 6.1 (square root).

Matrices may come in stacks where SciPy's documentation says so, and for triangular systems too.
Conventions where values coincide, and of null spaces, are those of ``np.linalg`` on Tensors.
"""

from typing import TYPE_CHECKING, Any

from scipy.linalg import (
    LinAlgError,
    LinAlgWarning,
    bandwidth,
    dft,
    hadamard,
    helmert,
    hilbert,
    invhilbert,
    invpascal,
    ishermitian,
    issymmetric,
    pascal,
)

from autodiff.scipy.linalg.banded import (
    cho_solve_banded,
    cholesky_banded,
    solve_banded,
    solveh_banded,
)
from autodiff.scipy.linalg.basic import (
    det,
    inv,
    lstsq,
    norm,
    pinv,
    pinvh,
    solve,
)
from autodiff.scipy.linalg.decompositions import (
    null_space,
    orth,
    orthogonal_procrustes,
    polar,
    qr,
    svd,
    svdvals,
)
from autodiff.scipy.linalg.eigenvalues.bands import (
    eig_banded,
    eigh_tridiagonal,
    eigvals_banded,
    eigvalsh_tridiagonal,
)
from autodiff.scipy.linalg.eigenvalues.dense import (
    eig,
    eigh,
    eigvals,
    eigvalsh,
)
from autodiff.scipy.linalg.equations import (
    solve_continuous_are,
    solve_continuous_lyapunov,
    solve_discrete_are,
    solve_discrete_lyapunov,
    solve_lyapunov,
    solve_sylvester,
)
from autodiff.scipy.linalg.factors import (
    cho_factor,
    cho_solve,
    cholesky,
    lu,
    lu_factor,
    lu_solve,
)
from autodiff.scipy.linalg.forms import (
    rq,
    schur,
    subspace_angles,
)
from autodiff.scipy.linalg.matrix_functions import (
    coshm,
    cosm,
    expm,
    expm_frechet,
    fractional_matrix_power,
    logm,
    signm,
    sinhm,
    sinm,
    sqrtm,
    tanhm,
    tanm,
)
from autodiff.scipy.linalg.special_matrices.construction import (
    block_diag,
    circulant,
    companion,
    convolution_matrix,
    diagsvd,
    fiedler,
    fiedler_companion,
    hankel,
    khatri_rao,
    leslie,
    toeplitz,
)
from autodiff.scipy.linalg.special_matrices.toeplitz import (
    matmul_toeplitz,
    solve_circulant,
    solve_toeplitz,
)
from autodiff.scipy.linalg.triangular import (
    solve_triangular,
)

__all__ = [
    "LinAlgError",
    "LinAlgWarning",
    "bandwidth",
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cho_solve_banded",
    "cholesky",
    "cholesky_banded",
    "circulant",
    "companion",
    "convolution_matrix",
    "coshm",
    "cosm",
    "det",
    "dft",
    "diagsvd",
    "eig",
    "eig_banded",
    "eigh",
    "eigh_tridiagonal",
    "eigvals",
    "eigvals_banded",
    "eigvalsh",
    "eigvalsh_tridiagonal",
    "expm",
    "expm_frechet",
    "fiedler",
    "fiedler_companion",
    "fractional_matrix_power",
    "hadamard",
    "hankel",
    "helmert",
    "hilbert",
    "inv",
    "invhilbert",
    "invpascal",
    "ishermitian",
    "issymmetric",
    "khatri_rao",
    "leslie",
    "logm",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_solve",
    "matmul_toeplitz",
    "norm",
    "null_space",
    "orth",
    "orthogonal_procrustes",
    "pascal",
    "pinv",
    "pinvh",
    "polar",
    "qr",
    "rq",
    "schur",
    "signm",
    "sinhm",
    "sinm",
    "solve",
    "solve_banded",
    "solve_circulant",
    "solve_continuous_are",
    "solve_continuous_lyapunov",
    "solve_discrete_are",
    "solve_discrete_lyapunov",
    "solve_lyapunov",
    "solve_sylvester",
    "solve_toeplitz",
    "solve_triangular",
    "solveh_banded",
    "sqrtm",
    "subspace_angles",
    "svd",
    "svdvals",
    "tanhm",
    "tanm",
    "toeplitz",
]


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        """Say what there is in the place of a name of SciPy's that is not here."""
        from autodiff.neighbours import missing

        raise missing(__name__, name, __all__)
