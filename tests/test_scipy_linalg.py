"""``autodiff.scipy.linalg`` beside SciPy's: values, derivatives, keywords, refusals."""

import functools
import inspect

import numpy as np
import pytest
from test_numpy_functions import test_float32_stays_float32 as check_float32
from test_numpy_functions import test_value_and_derivatives as check_call

import autodiff as ad

scipy = pytest.importorskip("scipy")
reference = pytest.importorskip("scipy.linalg")

import autodiff.scipy as ads  # noqa: E402 after the check that SciPy is there
from autodiff.errors import NonDifferentiableError  # noqa: E402
from autodiff.neighbours import KNOWN  # noqa: E402
from autodiff.scipy import linalg  # noqa: E402

RNG = np.random.default_rng(11)
V = np.array([0.3, -1.2, 2.1])
M = RNG.standard_normal((2, 3))
SQUARE = np.diag([1.0, 2.2, 3.5])[[1, 0, 2]] + 0.3 * RNG.uniform(-1, 1, (3, 3))
EASY = np.diag([1.0, 2.2, 3.5]) + 0.3 * RNG.uniform(-1, 1, (3, 3))
DEFINITE = EASY @ EASY.T
TALL = np.eye(4, 3) * [1.0, 2.2, 3.5] + 0.3 * RNG.uniform(-1, 1, (4, 3))
WIDE = TALL.T
STABLE = 0.4 * RNG.uniform(-1, 1, (3, 3))
CONTROL = RNG.uniform(-1, 1, (3, 2))
MASS = np.eye(3) + 0.1 * RNG.uniform(-1, 1, (3, 3))
BAND = np.array([[0.0, 0.3, -0.4], [2.0, 3.0, 2.5]])
COMPLEX = SQUARE + 0.2j * RNG.uniform(-1, 1, (3, 3))
SYM2 = np.array([[2.0, 0.3], [0.3, 1.5]])


def sym(x):
    return 0.5 * (x + np.swapaxes(x, -1, -2))


CALLS = {
    # basic
    "solve sym": (lambda s, x: s.linalg.solve(x, V, assume_a="sym"), SQUARE),
    "solve her lower": (lambda s, x: s.linalg.solve(x, V, True, assume_a="her"), SQUARE),
    "solve pos": (lambda s, x: s.linalg.solve(x, V, assume_a="pos"), DEFINITE),
    "solve transposed": (lambda s, x: s.linalg.solve(x, x[:, :2], transposed=True), SQUARE),
    "inv": (lambda s, x: s.linalg.inv(x, False, True), SQUARE),
    "pinv": (lambda s, x: s.linalg.pinv(x, rtol=1e-3), TALL),
    "pinv atol": (lambda s, x: s.linalg.pinv(x, atol=1e-3), TALL),
    "pinvh": (lambda s, x: s.linalg.pinvh(sym(x)), DEFINITE),
    "pinvh upper": (lambda s, x: s.linalg.pinvh(x, None, None, False), DEFINITE),
    "lstsq": (lambda s, x: s.linalg.lstsq(x, np.arange(4.0))[0], TALL),
    "lstsq residues": (lambda s, x: s.linalg.lstsq(x, np.eye(4, 2))[1], TALL),
    "lstsq residue": (lambda s, x: s.linalg.lstsq(x, np.arange(4.0))[1] + 0.0, TALL),
    "lstsq wide": (lambda s, x: s.linalg.lstsq(x, x[:, :2], lapack_driver="gelsy")[0], WIDE),
    # factors
    "lu_factor": (lambda s, x: s.linalg.lu_factor(x)[0], SQUARE),
    "lu_factor tall": (lambda s, x: s.linalg.lu_factor(x)[0], TALL[[1, 3, 0, 2]]),
    "lu_factor wide": (lambda s, x: s.linalg.lu_factor(x)[0], WIDE[[1, 0, 2]]),
    "lu_solve": (lambda s, x: s.linalg.lu_solve(s.linalg.lu_factor(x), V), SQUARE),
    "lu_solve trans": (lambda s, x: s.linalg.lu_solve(s.linalg.lu_factor(x), x, 1), SQUARE),
    "lu": (lambda s, x: s.linalg.lu(x)[1] @ s.linalg.lu(x)[2][:, :2], SQUARE),
    "lu product": (lambda s, x: functools.reduce(np.matmul, s.linalg.lu(x)) ** 2, SQUARE),
    "lu permuted": (lambda s, x: s.linalg.lu(x, permute_l=True)[0], TALL[[1, 3, 0, 2]]),
    "lu indices": (lambda s, x: s.linalg.lu(x, p_indices=True)[2], WIDE),
    "qr": (lambda s, x: s.linalg.qr(x)[1], SQUARE),
    "qr full": (lambda s, x: s.linalg.qr(x)[0] ** 2, TALL),
    "qr r": (lambda s, x: s.linalg.qr(x, mode="r")[0], TALL),
    "qr economic": (lambda s, x: s.linalg.qr(x, mode="economic")[0], TALL),
    "qr wide": (lambda s, x: s.linalg.qr(x)[1], WIDE),
    "qr pivoting": (lambda s, x: s.linalg.qr(x, mode="economic", pivoting=True)[1], TALL),
    "svd": (lambda s, x: s.linalg.svd(x)[0] ** 2, TALL),
    "svd reduced": (lambda s, x: s.linalg.svd(x, False)[2] ** 2, WIDE),
    "svd values": (lambda s, x: s.linalg.svd(x, compute_uv=False), TALL),
    "svdvals": (lambda s, x: s.linalg.svdvals(x), WIDE),
    "polar": (lambda s, x: s.linalg.polar(x)[0], SQUARE),
    "polar p": (lambda s, x: s.linalg.polar(x)[1], TALL),
    "polar left": (lambda s, x: s.linalg.polar(x, "left")[1], WIDE),
    "polar left tall": (lambda s, x: s.linalg.polar(x, side="left")[0], TALL),
    "polar wide": (lambda s, x: s.linalg.polar(x)[1], WIDE),
    "orth": (lambda s, x: s.linalg.orth(x) ** 2, TALL),
    "null_space": (lambda s, x: s.linalg.null_space(x) ** 2, WIDE),
    "orthogonal_procrustes": (lambda s, x: s.linalg.orthogonal_procrustes(x, TALL)[0], TALL * 2),
    "orthogonal_procrustes scale": (
        lambda s, x: s.linalg.orthogonal_procrustes(TALL, x)[1],
        TALL[::-1],
    ),
    # eigenvalues
    "eigh": (lambda s, x: s.linalg.eigh(sym(x))[1] ** 2, DEFINITE),
    "eigh upper": (lambda s, x: s.linalg.eigh(x, lower=False, eigvals_only=True), EASY),
    "eigh subset": (lambda s, x: s.linalg.eigh(x, subset_by_index=[1, 2])[1] ** 2, DEFINITE),
    "eigh interval": (
        lambda s, x: s.linalg.eigh(x, eigvals_only=True, subset_by_value=(1.5, 5.0)),
        np.diag([1.0, 3.0, 6.0]) + np.tril(0.1 * EASY, -1),
    ),
    "eigh driver": (lambda s, x: s.linalg.eigh(x, driver="evd")[0], DEFINITE),
    "eigvalsh": (lambda s, x: s.linalg.eigvalsh(x), DEFINITE),
    "eigh generalised": (lambda s, x: s.linalg.eigh(x, DEFINITE)[1] ** 2, EASY),
    "eigh of b": (lambda s, x: s.linalg.eigh(EASY, sym(x), lower=False)[0], DEFINITE),
    "eigh type 2": (lambda s, x: s.linalg.eigh(x, DEFINITE, type=2)[1] ** 2, DEFINITE[::-1, ::-1]),
    "eigh type 3": (lambda s, x: s.linalg.eigh(DEFINITE, sym(x), type=3)[1] ** 2, DEFINITE),
    "eigh_tridiagonal": (lambda s, x: s.linalg.eigh_tridiagonal(x, V[:2])[1] ** 2, V),
    "eigh_tridiagonal of e": (lambda s, x: s.linalg.eigh_tridiagonal(V, x)[0], V[1:]),
    "eigvalsh_tridiagonal": (
        lambda s, x: s.linalg.eigvalsh_tridiagonal(V, x[:2], "i", (1, 2)),
        V,
    ),
    "eig_banded": (lambda s, x: s.linalg.eig_banded(x)[1] ** 2, BAND),
    "eigvals_banded": (
        lambda s, x: s.linalg.eigvals_banded(x, True, select="v", select_range=(0.0, 9.0)),
        BAND[::-1],
    ),
    "eig": (lambda s, x: np.real(s.linalg.eig(x)[0]), EASY),
    "eig vectors": (lambda s, x: s.linalg.eig(x)[1] ** 2, EASY),
    "eigvals complex": (
        lambda s, x: np.abs(s.linalg.eigvals(x)),
        EASY + np.array([[0, 3, 0], [-3, 0, 0], [0, 0, 0]]),
    ),
    # banded
    "cholesky_banded": (lambda s, x: s.linalg.cholesky_banded(x), BAND),
    "cho_solve_banded": (
        lambda s, x: s.linalg.cho_solve_banded((s.linalg.cholesky_banded(x), False), V),
        BAND,
    ),
    "cho_solve_banded lower": (
        lambda s, x: s.linalg.cho_solve_banded((x, True), M.T),
        BAND[::-1],
    ),
    "solveh_banded": (lambda s, x: s.linalg.solveh_banded(x, V), BAND),
    "solveh_banded lower": (
        lambda s, x: s.linalg.solveh_banded(BAND[::-1], x.T, lower=True),
        M,
    ),
    # structured
    "toeplitz": (lambda s, x: s.linalg.toeplitz(x, V), V),
    "toeplitz column": (lambda s, x: s.linalg.toeplitz(x), V),
    "circulant": (lambda s, x: s.linalg.circulant(x), V),
    "hankel": (lambda s, x: s.linalg.hankel(x), V),
    "hankel row": (lambda s, x: s.linalg.hankel(x, V[:2]), V),
    "companion": (lambda s, x: s.linalg.companion(x), V),
    "convolution_matrix": (
        lambda s, x: np.concatenate(
            [s.linalg.convolution_matrix(x, n, m) for n in (3,) for m in ("full", "same", "valid")]
        ),
        M[0, :2],
    ),
    "diagsvd": (lambda s, x: s.linalg.diagsvd(x, 3, 5), V),
    "fiedler": (lambda s, x: s.linalg.fiedler(x), V),
    "leslie": (lambda s, x: s.linalg.leslie(x, x[1:]), V),
    "khatri_rao": (lambda s, x: s.linalg.khatri_rao(x, SQUARE), M),
    "solve_toeplitz": (lambda s, x: s.linalg.solve_toeplitz(x, V), np.array([3.0, 0.4, -0.3])),
    "solve_toeplitz pair": (
        lambda s, x: s.linalg.solve_toeplitz((x, np.array([9.0, 0.2, 0.5])), x[:, None]),
        np.array([3.0, 0.4, -0.3]),
    ),
    "matmul_toeplitz": (lambda s, x: s.linalg.matmul_toeplitz((V, x), SQUARE[:2]), V[:2]),
    "matmul_toeplitz of x": (lambda s, x: s.linalg.matmul_toeplitz(V, x), V),
    "solve_circulant": (lambda s, x: s.linalg.solve_circulant(x, V), np.array([3.0, 0.4, -0.3])),
    "solve_circulant axes": (
        lambda s, x: s.linalg.solve_circulant(SQUARE + 3 * np.eye(3)[:, ::-1], x, baxis=1),
        RNG.uniform(1, 2, (3, 3)),
    ),
    "solve_circulant singular": (
        lambda s, x: s.linalg.solve_circulant([1.0, 1.0, 1.0], x, "lstsq"),
        V,
    ),
    # equations
    "solve_continuous_lyapunov": (
        lambda s, x: s.linalg.solve_continuous_lyapunov(x, DEFINITE),
        EASY,
    ),
    "solve_discrete_lyapunov": (lambda s, x: s.linalg.solve_discrete_lyapunov(x, EASY), STABLE),
    "solve_discrete_lyapunov q": (
        lambda s, x: s.linalg.solve_discrete_lyapunov(STABLE, x, "bilinear"),
        EASY,
    ),
    **{
        f"solve_{kind}_are {name}": (
            lambda s, x, k=kind, n=name: getattr(s.linalg, f"solve_{k}_are")(
                **{
                    "a": STABLE,
                    "b": CONTROL,
                    "q": DEFINITE,
                    "r": SYM2,
                    **({"e": MASS, "balanced": False} if n == "e" else {}),
                    n: sym(x) if n in "qr" else x,
                }
            ),
            {"a": STABLE, "b": CONTROL, "q": DEFINITE, "r": SYM2, "e": MASS, "s": 0.1 * CONTROL}[
                name
            ],
        )
        for kind in ("continuous", "discrete")
        for name in "abqres"
    },
    # functions of matrices
    **{
        name: (lambda s, x, n=name: getattr(s.linalg, n)(0.4 * x), EASY)
        for name in ("cosm", "sinm", "tanm", "coshm", "sinhm", "tanhm")
    },
    "signm": (lambda s, x: s.linalg.signm(x), EASY * [1.0, -1.0, 1.0]),
    "fractional_matrix_power": (lambda s, x: s.linalg.fractional_matrix_power(x, 0.7), EASY),
    "fractional_matrix_power -2": (lambda s, x: s.linalg.fractional_matrix_power(x, -2), EASY),
    "expm_frechet": (lambda s, x: s.linalg.expm_frechet(0.3 * x, SQUARE)[1], EASY),
    "expm_frechet of E": (
        lambda s, x: s.linalg.expm_frechet(0.3 * EASY, x, "SPS", compute_expm=False),
        SQUARE,
    ),
}

OTHERS = ("get_", "find_", "LinAlg", "decomp", "basic", "matfuncs", "misc", "special_matrices")


@pytest.fixture(autouse=True)
def table(monkeypatch):
    calls = {name: (functools.partial(call, ads), x) for name, (call, x) in CALLS.items()}
    monkeypatch.setattr("test_numpy_functions.CALLS", calls)


@pytest.mark.parametrize("name", CALLS)
def test_value_is_scipys(name):
    call, x = CALLS[name]
    found, wanted = call(ads, x), np.asarray(call(scipy, x))
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)
    assert np.asarray(found).dtype == wanted.dtype
    assert np.shape(found) == wanted.shape
    assert not isinstance(found, ad.Tensor)


@pytest.mark.parametrize("name", CALLS)
def test_value_and_derivatives(name):
    check_call(name)


@pytest.mark.parametrize("name", CALLS)
def test_float32_stays_float32(name):
    check_float32(name)


COMPLEX_CALLS = {
    "lu": lambda x: linalg.lu_factor(x)[0],
    "lu_solve": lambda x: linalg.lu_solve(linalg.lu_factor(x), V + 0j, 2),
    "qr": lambda x: np.abs(linalg.qr(x)[1]),
    "polar": lambda x: linalg.polar(x)[0],
    "polar p": lambda x: linalg.polar(x[:, :2])[1],
    "eigh": lambda x: np.abs(linalg.eigh(x, DEFINITE + 0.1j * np.triu(SQUARE, 1), lower=False)[1]),
    "lyapunov": lambda x: linalg.solve_continuous_lyapunov(x + 3 * np.eye(3), x),
    "stein": lambda x: linalg.solve_discrete_lyapunov(0.2 * x, x),
    "care": lambda x: linalg.solve_continuous_are(x, CONTROL, DEFINITE, SYM2),
    "dare": lambda x: linalg.solve_discrete_are(STABLE, x[:, :2], DEFINITE, SYM2),
    "solve her": lambda x: linalg.solve(x, V, assume_a="her"),
    "solve sym": lambda x: linalg.solve(x, V, assume_a="sym", lower=True),
    "cosm": lambda x: linalg.cosm(0.3 * x) + linalg.tanhm(0.3 * x),
    "solveh_banded": lambda x: linalg.solveh_banded(
        np.stack([0.2 * x[0], np.array([2.0, 3.0, 2.0]) + 0 * x[0]]), V
    ),
    "cholesky_banded": lambda x: linalg.cholesky_banded(
        np.stack([np.array([2.0, 3.0, 2.0]) + 0 * x[0], 0.2 * x[0]]), lower=True
    ),
    "eig_banded": lambda x: linalg.eigvals_banded(
        np.stack([np.array([2.0, 3.0, 2.0]) + 0 * x[0], 0.2 * x[0]]), lower=True
    ),
    "toeplitz": lambda x: linalg.toeplitz(x[0]),
    "solve_toeplitz": lambda x: linalg.solve_toeplitz(x[2, ::-1], x),
    "matmul_toeplitz": lambda x: linalg.matmul_toeplitz(x[0], x),
    "solve_circulant": lambda x: linalg.solve_circulant(x[2], x),
    "power": lambda x: linalg.fractional_matrix_power(x + 3 * np.eye(3), 0.3),
}


@pytest.mark.parametrize("name", COMPLEX_CALLS)
def test_complex_matrices(name):
    ad.check_grads(COMPLEX_CALLS[name], (COMPLEX,), order=2)


STACKED = {
    "lu": lambda x: linalg.lu(x)[1],
    "lu p": lambda x: linalg.lu(x)[0] + x,
    "lu_factor": lambda x: linalg.lu_factor(x)[0],
    "lu_solve": lambda x: linalg.lu_solve(linalg.lu_factor(x), x),
    "qr": lambda x: linalg.qr(x, pivoting=True)[1],
    "eigh": lambda x: linalg.eigh(x, DEFINITE)[0],
    "eigvals": lambda x: np.real(linalg.eigvals(x)),
    "polar": lambda x: linalg.polar(x, "left")[1],
    "solve": lambda x: linalg.solve(x, x, assume_a="sym"),
    "toeplitz": lambda x: linalg.toeplitz(x[0], x[1]),
    "null_space": lambda x: linalg.null_space(x[:2]) ** 2,
    "solve_toeplitz": lambda x: linalg.solve_toeplitz(3.0 + x[0], x[1]),
    "solveh_banded": lambda x: linalg.solveh_banded(BAND + 0.1 * x[:2], x[2]),
    "eigh_tridiagonal": lambda x: linalg.eigh_tridiagonal(x[0], x[1, :2])[0],
    "signm": lambda x: linalg.signm(x),
    "are": lambda x: linalg.solve_continuous_are(x, CONTROL, DEFINITE, SYM2),
}


@pytest.mark.parametrize("name", STACKED)
def test_batches(name):
    call = STACKED[name]
    examples = np.stack([EASY, SQUARE + 0.2 * EASY.T + 4 * np.eye(3)])
    wanted = np.stack([call(x) for x in examples])
    np.testing.assert_allclose(ad.vmap(call)(examples), wanted, rtol=1e-9, atol=1e-12)
    slopes = [ad.grad(lambda x: np.sum(call(x) ** 2))(x) for x in examples]
    found = ad.vmap(ad.grad(lambda x: np.sum(call(x) ** 2)))(examples)
    np.testing.assert_allclose(found, slopes, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["lu_solve", "qr", "eigh", "polar", "solve", "solve_toeplitz", "are"]
)
def test_programs_compile(name):
    def loss(x):
        return np.sum(STACKED[name](x) ** 2)

    gradient = ad.compile(ad.grad(loss))
    for x in (EASY, EASY + 0.01):
        np.testing.assert_allclose(gradient(x), ad.grad(loss)(x), rtol=1e-9)


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_riccatis_equation_with_all_its_parts_is_solved(kind):
    s, e = 0.1 * CONTROL, MASS
    x = getattr(linalg, f"solve_{kind}_are")(STABLE, CONTROL, DEFINITE, SYM2, e, s)
    if kind == "continuous":
        past = CONTROL.T @ x @ e + s.T
        rest = STABLE.T @ x @ e + e.T @ x @ STABLE - past.T @ np.linalg.solve(SYM2, past)
    else:
        past = CONTROL.T @ x @ STABLE + s.T
        inner = SYM2 + CONTROL.T @ x @ CONTROL
        rest = STABLE.T @ x @ STABLE - e.T @ x @ e - past.T @ np.linalg.solve(inner, past)
    np.testing.assert_allclose(rest + DEFINITE, 0.0, atol=1e-10)


def test_the_exponent_of_a_power_has_a_derivative():
    ad.check_grads(lambda t: linalg.fractional_matrix_power(EASY, t), (0.4,), order=2)


def test_a_polar_factor_has_a_derivative_where_singular_values_coincide():
    def rotated(x):
        return linalg.polar(x)[0]

    found = ad.jacobian(rotated)(np.eye(2))
    np.testing.assert_allclose(found[0, 1], [[0.0, 0.5], [-0.5, 0.0]], atol=1e-12)
    ad.check_grads(rotated, (np.eye(2),), order=2)


@pytest.mark.parametrize("structure", [None, "diagonal", "tridiagonal", "upper triangular", "gen"])
def test_structures_say_what_is_read(structure):
    mask = {
        "diagonal": np.eye(3, dtype=bool),
        "tridiagonal": np.abs(np.subtract.outer(np.arange(3), np.arange(3))) < 2,
        "upper triangular": np.tri(3, dtype=bool).T,
    }.get(structure, np.ones((3, 3), bool))
    np.testing.assert_allclose(
        linalg.solve(EASY, V, assume_a=structure), np.linalg.solve(EASY * mask, V)
    )
    gradient = ad.grad(lambda x: np.sum(linalg.solve(x, V, assume_a=structure)))(EASY)
    assert np.array_equal(gradient != 0, mask)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: linalg.solve(x, V, assume_a="odd"), ValueError, "assume_a='odd'"),
        (lambda x: linalg.solve(-x, V, assume_a="pos"), np.linalg.LinAlgError, "definite"),
        (lambda x: linalg.solve(x, V[:2]), ValueError, "right-hand side of shape"),
        (lambda x: linalg.inv(x * np.nan), ValueError, "NaN"),
        (lambda x: linalg.det(x[:2]), np.linalg.LinAlgError, "det: needs square"),
        (lambda x: linalg.pinv(x, atol=-1.0), ValueError, "negative"),
        (lambda x: linalg.lstsq(x, V[:2]), ValueError, "as many rows"),
        (lambda x: linalg.lstsq(x, V, lapack_driver="no"), ValueError, "lapack_driver"),
        (lambda x: linalg.qr(x, mode="odd"), ValueError, "mode"),
        (lambda x: linalg.qr(x, mode="raw"), NonDifferentiableError, "raw"),
        (lambda x: linalg.lu_solve(linalg.lu_factor(x), V, 3), ValueError, "trans"),
        (lambda x: linalg.eigvals(x, homogeneous_eigvals=True), NonDifferentiableError, "homog"),
        (lambda x: linalg.eigh(x, type=4), ValueError, "type"),
        (lambda x: linalg.eigh(x, driver="gv"), ValueError, "driver"),
        (lambda x: linalg.eigh(x, subset_by_index=(2, 5)), ValueError, "indices"),
        (lambda x: linalg.eigh(x, -DEFINITE), np.linalg.LinAlgError, "definite"),
        (lambda x: linalg.polar(x, "up"), ValueError, "side"),
        (lambda x: linalg.svd(x, lapack_driver="no"), ValueError, "lapack_driver"),
        (lambda x: linalg.solveh_banded(-x[:2], V), np.linalg.LinAlgError, "definite"),
        (lambda x: linalg.eigh_tridiagonal(x[0], x[0]), ValueError, "diagonals of shapes"),
        (lambda x: linalg.eigh_tridiagonal(x[0], x[0, 1:], tol=1.0), ValueError, "tol"),
        (lambda x: linalg.solve_circulant(0 * x[0], V), np.linalg.LinAlgError, "singular"),
        (lambda x: linalg.solve_toeplitz(x[0], V[:2]), ValueError, "do not fit"),
        (lambda x: linalg.companion(0 * x[0]), ValueError, "first coefficient"),
        (lambda x: linalg.solve_continuous_are(x, CONTROL, SQUARE, SYM2), ValueError, "q must be"),
        (lambda x: linalg.solve_discrete_are(x, CONTROL.T, x, SYM2), ValueError, "b has shape"),
        (lambda x: linalg.solve_discrete_lyapunov(x, x, "odd"), ValueError, "method"),
        (lambda x: linalg.expm_frechet(x, x, "odd"), ValueError, "method"),
        (lambda x: linalg.signm(x, disp=False), NonDifferentiableError, "disp"),
    ],
)
def test_errors_name_the_argument(call, error, text):
    for x in (EASY, ad.Tensor(EASY)):
        with pytest.raises(error, match=text):
            call(x)


def test_missing_names_say_what_to_write():
    for name in reference.__all__:
        is_other = inspect.ismodule(getattr(reference, name)) or name.startswith(OTHERS)
        if name in linalg.__all__ or is_other:
            continue
        assert name in KNOWN["autodiff.scipy.linalg"], name
        with pytest.raises(AttributeError, match="here: "):
            getattr(linalg, name)
    with pytest.raises(ImportError, match="cholesky"):
        from autodiff.scipy.linalg import ldl  # noqa: F401


def test_scipys_function_on_a_tensor_names_this_one():
    for name, call in {
        "solve_toeplitz": lambda x: reference.solve_toeplitz(x[0], V),
        "eigh": lambda x: reference.eigh(x),
        "solve_continuous_are": lambda x: reference.solve_continuous_are(x, x, x, x),
    }.items():
        with pytest.raises(TypeError, match=f"autodiff.scipy.linalg.{name}"):
            call(ad.Tensor(EASY))


def _parameters(function):
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", [n for n in linalg.__all__ if not n.startswith("LinAlg")])
def test_parameters_are_scipys(name):
    if not hasattr(reference, name):
        pytest.skip("newer than this SciPy")
    ours, theirs = _parameters(getattr(linalg, name)), _parameters(getattr(reference, name))
    # Older SciPy lacks some of the newer keywords, and names of first arguments changed.
    assert [p for p in ours if p in theirs] == [p for p in theirs if p in ours]
    assert len(ours) >= len(theirs)
    assert set(theirs[1:]) <= set(ours) | {"kwargs", "args"}


def test_empty_and_single():
    nothing = np.zeros((0, 0))
    for name in ("inv", "pinv", "svdvals", "eigvals", "expm", "solve_lyapunov"):
        call = getattr(linalg, name)
        found = call(nothing, nothing) if name == "solve_lyapunov" else call(nothing)
        assert found.size == 0
    for function in (linalg.lu_factor, linalg.qr, linalg.eigh):
        assert all(np.size(part) == 0 for part in function(nothing))
    assert linalg.toeplitz(2.0).shape == (1, 1)


@pytest.mark.parametrize(
    "function",
    [linalg.logm, lambda a: linalg.fractional_matrix_power(a, 0.3)],
    ids=["logm", "fractional_matrix_power"],
)
def test_a_matrix_function_draws_no_numbers_that_a_program_sees(function):
    """SciPy draws starts of its estimates of norms; a program with them compiles all the same."""
    a = 6.0 * np.eye(3) + np.random.default_rng(0).random((3, 3))
    before = np.random.mtrand.get_bit_generator().state
    expected = function(a)
    after = np.random.mtrand.get_bit_generator().state
    assert repr(before) == repr(after)
    np.testing.assert_allclose(ad.compile(function)(a), expected, rtol=1e-12)
