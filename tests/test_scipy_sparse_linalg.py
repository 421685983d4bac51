"""Solvers of sparse systems: values against SciPy, derivatives numerically and densely."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import autodiff as ad

sp = pytest.importorskip("scipy.sparse")
sl = pytest.importorskip("scipy.sparse.linalg")
scipy_linalg = pytest.importorskip("scipy.linalg")

from autodiff.scipy import sparse  # noqa: E402 after the check that SciPy is there
from autodiff.scipy.sparse.arrays import as_sparse  # noqa: E402
from autodiff.scipy.sparse.linalg import factors  # noqa: E402

linalg = sparse.linalg

RNG = np.random.default_rng(11)
N = 5
DENSE = np.diag(np.arange(3.0, 3.0 + N)) + np.diag(RNG.uniform(-1, 1, N - 1), 1)
DENSE[3, 0], DENSE[1, 4] = 0.7, -0.4
COMPLEX = DENSE + 1j * np.diag(RNG.uniform(-1, 1, N - 1), -1)
B = RNG.uniform(-1, 1, N)
COLUMNS = RNG.uniform(-1, 1, (N, 3))


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
@pytest.mark.parametrize("b", [B, COLUMNS, COLUMNS[:, :1], B + 1j * B[::-1]], ids=np.shape)
@pytest.mark.parametrize("dense", [DENSE, COMPLEX], ids=["real", "complex"])
def test_spsolve(dense, b, format):
    theirs = sp.csr_array(dense).asformat(format)
    A = as_sparse(theirs)
    with pytest.warns() if format == "coo" else _silence():
        wanted = sl.spsolve(theirs, b)
    found = linalg.spsolve(A, b)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    np.testing.assert_array_equal(linalg.spsolve(theirs, b), found)
    ad.check_grads(lambda d, b: linalg.spsolve(A._with(d), b), (A.data, b), order=2)


def _silence():
    import contextlib

    return contextlib.nullcontext()


def test_gradient_is_the_dense_one_on_the_pattern():
    A = sparse.csc_array(DENSE)

    def loss(solve, A, b):
        return np.sum(np.sin(solve(A, b)) * np.arange(1.0, N + 1))

    g, h = ad.grad(lambda A, b: loss(linalg.spsolve, A, b), argnums=(0, 1))(A, B)
    wanted, other = ad.grad(lambda A, b: loss(np.linalg.solve, A, b), argnums=(0, 1))(DENSE, B)
    np.testing.assert_allclose(g.toarray(), np.where(DENSE != 0, wanted, 0.0), rtol=1e-12)
    np.testing.assert_allclose(h, other, rtol=1e-12)


@pytest.mark.parametrize("trans", ["N", "T", "H"])
@pytest.mark.parametrize("dense", [DENSE, COMPLEX], ids=["real", "complex"])
def test_splu(dense, trans):
    A = sparse.csr_array(dense)
    b = B.astype(A.dtype)
    wanted = sl.splu(sp.csc_array(dense)).solve(b, trans)
    np.testing.assert_allclose(linalg.splu(A).solve(b, trans), wanted, rtol=1e-12)
    ad.check_grads(lambda d, b: linalg.splu(A._with(d)).solve(b, trans), (A.data, COLUMNS), order=2)
    given = linalg.splu(A, "NATURAL", 0.1, 2, 4, {"Equil": False})
    np.testing.assert_allclose(given.solve(b, trans), wanted, rtol=1e-12)
    assert given.shape == (N, N)
    assert given.nnz >= A.nnz
    with pytest.raises(AttributeError, match="constant"):
        _ = given.L


def test_factorized_and_triangular():
    A = sparse.csc_array(DENSE)
    solve = linalg.factorized(A)
    np.testing.assert_allclose(solve(B), sl.factorized(sp.csc_array(DENSE))(B), rtol=1e-12)
    ad.check_grads(lambda d, b: linalg.factorized(A._with(d))(b), (A.data, B), order=2)
    for lower in (True, False):
        T = sparse.tril(A, format="csr") if lower else sparse.triu(A, format="csr")
        for b in (B, COLUMNS):
            for unit in (False, True):
                matrix = T.toarray()
                if unit:
                    np.fill_diagonal(matrix, 1.0)
                found = linalg.spsolve_triangular(T, b, lower, unit_diagonal=unit)
                np.testing.assert_allclose(found, np.linalg.solve(matrix, b), rtol=1e-12)
                if b.ndim == 1:
                    ad.check_grads(
                        lambda d, b, T=T, lower=lower, unit=unit: linalg.spsolve_triangular(
                            T._with(d), b, lower, unit_diagonal=unit
                        ),
                        (T.data, b),
                    )


def counted(monkeypatch):
    made = []
    own = factors.superlu

    def superlu(*args, **keywords):
        made.append(1)
        return own(*args, **keywords)

    monkeypatch.setattr(factors, "superlu", superlu)
    return made


def test_one_factor_serves_all(monkeypatch):
    made = counted(monkeypatch)
    A = sparse.csr_array(DENSE * 1.25)

    def loss(A, b):
        return np.sum(linalg.spsolve(A, b) ** 3)

    ad.value_and_grad(loss, argnums=(0, 1))(A, B)
    assert len(made) == 1
    ad.hvp(loss, (A, B), (A, B))
    ad.jvp(loss, (A, B), (A, B))
    ad.vmap(lambda b: loss(A, b))(np.stack([B, 2 * B]))
    ad.jacobian(lambda b: linalg.spsolve(A, b))(B)
    factor = linalg.splu(A)
    for trans in "NTH":
        factor.solve(COLUMNS, trans)
    assert len(made) == 1
    stack = np.stack([A.data * scale for scale in (2.0, 3.0, 4.0, 5.0)])
    made.clear()
    # All factors of a tape are there when its sweep needs them
    ad.grad(lambda s: sum(loss(A._with(s[i] * 1.0), B) for i in range(4)))(stack)
    assert len(made) == 4


def test_factors_go_when_nobody_needs_them():
    for scale in range(2, 8):
        linalg.spsolve(sparse.csr_array(DENSE * scale), B)
    gc.collect()
    assert sum(not f.holders for f in factors._factors.values()) <= factors.SPARE
    changed = DENSE.copy()
    A = sparse.csr_array(changed)
    first = linalg.spsolve(A, B)
    A.data[:] = 2.0 * A.data
    np.testing.assert_allclose(linalg.spsolve(A, B), first / 2.0)


def test_threads_share_a_factor():
    A = sparse.csr_array(DENSE)
    rows = RNG.standard_normal((40, N))

    def gradient(b):
        return ad.grad(lambda A: np.sum(linalg.spsolve(A, b) ** 2))(A).data

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(gradient, rows))
    np.testing.assert_array_equal(found, [gradient(b) for b in rows])


def test_transforms():
    A = sparse.csr_array(DENSE)
    stack = np.stack([A.data, 1.5 * A.data])
    solved = np.stack([linalg.spsolve(A._with(d), B) for d in stack])
    np.testing.assert_allclose(ad.vmap(lambda d: linalg.spsolve(A._with(d), B))(stack), solved)

    def loss(A):
        return np.sum(linalg.spsolve(A, B) ** 2)

    compiled = ad.compile(ad.grad(loss))
    for scale in (1.0, 2.0):
        np.testing.assert_allclose(compiled(A * scale).data, ad.grad(loss)(A * scale).data)
    np.testing.assert_allclose(ad.record(loss)(A).evaluate(A * 3.0), loss(A * 3.0))


def test_precision_and_empty_systems():
    A = sparse.csr_array(DENSE.astype(np.float32))
    b = B.astype(np.float32)
    assert linalg.spsolve(A, b).dtype == np.float32
    assert linalg.spsolve(A, B).dtype == np.float64
    assert ad.grad(lambda A: np.sum(linalg.spsolve(A, B)))(A).dtype == np.float32
    whole = sparse.csr_array(np.diag([1, 2]))
    np.testing.assert_array_equal(linalg.spsolve(whole, np.array([1, 4])), [1.0, 2.0])
    assert linalg.spsolve(sparse.csr_array((0, 0)), np.zeros(0)).shape == (0,)
    assert linalg.splu(A).solve(np.zeros((N, 0))).shape == (N, 0)


KRYLOV = {
    "cg": DENSE @ DENSE.T,
    "minres": DENSE + DENSE.T,
    **dict.fromkeys(
        ("gmres", "bicgstab", "bicg", "cgs", "qmr", "tfqmr", "lgmres", "gcrotmk"), DENSE
    ),
}
HERMITIAN = ("cg", "minres")
UNITS = sparse.eye_array(N, format="csr")


@pytest.mark.parametrize("name", KRYLOV)
def test_krylov_solvers(name):
    dense = KRYLOV[name]
    A = sparse.csr_array(dense)
    ours, theirs = getattr(linalg, name), getattr(sl, name)
    keywords = {"rtol": 1e-13}
    M = ("M1", "M2") if name == "qmr" else ("M",)
    for given in ({}, keywords, {"x0": np.ones(N)}, dict.fromkeys(M, UNITS)):
        plain = {k: sl.aslinearoperator(v.toscipy()) if k in M else v for k, v in given.items()}
        x, info = ours(A, B, **given)
        wanted, other = theirs(A.toscipy(), B, **plain)
        np.testing.assert_array_equal(x, wanted)
        assert info == other
    exact = ad.grad(lambda A, b: np.sum(linalg.spsolve(A, b) ** 3), argnums=(0, 1))(A, B)
    found = ad.grad(lambda A, b: np.sum(ours(A, b, **keywords)[0] ** 3), argnums=(0, 1))(A, B)
    np.testing.assert_allclose(found[0].data, exact[0].data, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found[1], exact[1], rtol=1e-9, atol=1e-10)
    second = [
        ad.hvp(lambda A, solve=solve: np.sum(solve(A, B) ** 3), (A,), (A,)).data
        for solve in (linalg.spsolve, lambda A, b: ours(A, b, **keywords)[0])
    ]
    np.testing.assert_allclose(second[1], second[0], rtol=1e-8, atol=1e-9)
    scale = sparse.diags_array(1.0 / np.diag(dense), format="csr")
    scaled = {} if name == "minres" else {**dict.fromkeys(M, UNITS), M[0]: scale}
    g = ad.grad(lambda b: np.sum(ours(A, b, rtol=1e-13, **scaled)[0]))(B)
    np.testing.assert_allclose(g, np.linalg.solve(dense.T, np.ones(N)), rtol=1e-9)
    rows = np.stack([B, 2.0 * B])
    many = ad.vmap(lambda b: ours(A, b, **keywords)[0])(rows)
    np.testing.assert_allclose(many, np.linalg.solve(dense, rows.T).T, rtol=1e-9)


def shifted(dense, w):
    """An operator whose product uses a Tensor from outside, and only that."""
    return linalg.LinearOperator((N, N), lambda x: dense @ x + w * x)


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("name", KRYLOV)
def test_krylov_solvers_of_operators(name, dtype):
    dense = KRYLOV[name].astype(dtype)
    if dtype is complex:
        extra = 0.3j * (COMPLEX.imag if name not in HERMITIAN else np.triu(DENSE, 1))
        dense = dense + extra + (0 if name not in HERMITIAN else extra.conj().T)
    ours, theirs = getattr(linalg, name), getattr(sl, name)
    w, b = np.linspace(0.1, 0.5, N), B.astype(dtype)
    if name == "minres" and dtype is complex:
        return  # SciPy's is for real matrices

    def solve(w, b, **keywords):
        return ours(shifted(dense, w), b, rtol=1e-13, **keywords)[0]

    whole = dense + np.diag(w)
    for plain in (
        sl.LinearOperator((N, N), lambda x: whole @ x, lambda x: whole.conj().T @ x),
        whole,
    ):
        wanted, info = theirs(plain, b, rtol=1e-13)
        x, ours_info = ours(shifted(dense, w), b, rtol=1e-13)
        np.testing.assert_allclose(x, wanted, rtol=1e-11)
        assert (x.dtype, ours_info) == (wanted.dtype, info)
    np.testing.assert_array_equal(solve(w, 0 * b), 0 * b)
    ad.check_grads(solve, (w, b), order=2 if dtype is float else 1)
    exact = ad.grad(lambda w: np.sum(np.abs(np.linalg.solve(dense + np.diag(w), b)) ** 2))(w)
    scale = np.linalg.inv(dense) if name not in HERMITIAN else np.eye(N)
    # SciPy's tfqmr does not reach the solution with a preconditioner
    for M in (None,) if name == "tfqmr" else (None, scale, linalg.aslinearoperator(scale)):
        given = {"M": M} if name != "qmr" else {"M1": M, "M2": UNITS if M is not None else None}
        found = ad.grad(lambda w, k=given: np.sum(np.abs(solve(w, b, **k)) ** 2))(w)
        np.testing.assert_allclose(found, exact, rtol=1e-9)
    rows = np.stack([w, 2.0 * w])
    many = ad.vmap(lambda w: solve(w, b))(rows)
    np.testing.assert_allclose(many, [solve(row, b) for row in rows], rtol=1e-10)
    gradient = ad.grad(lambda w: np.sum(np.abs(solve(w, b)) ** 2))
    compiled = ad.compile(gradient)
    for row in rows:
        np.testing.assert_allclose(compiled(row), gradient(row), rtol=1e-9)


def test_the_shift_of_minres_and_operators_of_scipys():
    dense = KRYLOV["minres"]
    found = ad.grad(
        lambda w: np.sum(linalg.minres(shifted(dense, w), B, shift=0.4, rtol=1e-13)[0] ** 3)
    )(0.9)
    exact = ad.grad(lambda w: np.sum(np.linalg.solve(dense + (w - 0.4) * np.eye(N), B) ** 3))(0.9)
    np.testing.assert_allclose(found, exact, rtol=1e-9)
    theirs = sl.aslinearoperator(DENSE)
    ad.check_grads(lambda b: linalg.gmres(theirs, b, rtol=1e-13)[0], (B,), order=2)
    np.testing.assert_array_equal(linalg.gmres(theirs, B)[0], sl.gmres(theirs, B)[0])
    with pytest.warns(ad.ConvergenceWarning, match="cg: no convergence"):
        ad.grad(lambda w: np.sum(linalg.cg(shifted(DENSE @ DENSE.T, w), B, maxiter=1)[0]))(0.1)


@pytest.mark.parametrize("dense", [DENSE[:3], COMPLEX[:3]], ids=["real", "complex"])
def test_operators_are_those_of_scipy(dense):
    given = {
        "matrix": linalg.aslinearoperator(dense),
        "sparse": linalg.aslinearoperator(sparse.csr_array(dense)),
        "functions": linalg.LinearOperator(dense.shape, lambda x: dense @ x),
        "theirs": linalg.aslinearoperator(sl.aslinearoperator(dense)),
    }
    theirs = sl.aslinearoperator(dense)
    x, y, X, Y = B + 1j, B[:3] - 2j, COLUMNS, COLUMNS[:3]
    uses = {
        "matvec": lambda A: A.matvec(x),
        "column": lambda A: A.matvec(X[:, :1]),
        "rmatvec": lambda A: A.rmatvec(y),
        "matmat": lambda A: A.matmat(X),
        "rmatmat": lambda A: A.rmatmat(Y),
        "T": lambda A: A.T @ y,
        "H": lambda A: A.H @ Y,
        "sum": lambda A: (A + 2j * A - A / 4 + (-A)) @ x,
        "sum H": lambda A: (A + A * 2j).H @ y,
        "product": lambda A: (A @ A.H @ A) @ x,
        "product H": lambda A: (A @ A.H @ A).rmatvec(y),
        "power": lambda A: ((A @ A.H) ** 2) @ y,
        "left": lambda A: y @ A,
    }
    for kind, A in given.items():
        assert (A.shape, A.dtype) == (theirs.shape, theirs.dtype), kind
        for use, function in uses.items():
            # SciPy's own take no row from the left, and soon no column as a vector
            plain = {"left": lambda: y @ dense, "column": lambda: dense @ X[:, :1]}
            wanted = plain[use]() if use in plain else function(theirs)
            np.testing.assert_allclose(function(A), wanted, rtol=1e-12, err_msg=f"{kind}.{use}")
        for function in (A.matvec, A.T.rmatvec, A.T.T.matvec, A.matvec):
            ad.check_grads(function, (B,), order=2)
        ad.check_grads(A.rmatvec, (B[:3],), order=2)

    def adjoint(w):
        return linalg.LinearOperator((N, N), lambda x: w * np.roll(x, 1)).rmatvec(B)

    ad.check_grads(adjoint, (0.7,), order=2)


def test_a_derivative_without_convergence_warns():
    A = sparse.csr_array(DENSE @ DENSE.T)
    info = linalg.cg(A, B, maxiter=1, rtol=1e-13)[1]
    assert info == 1
    with pytest.warns(ad.ConvergenceWarning, match="cg: no convergence"):
        ad.grad(lambda b: np.sum(linalg.cg(A, b, maxiter=1, rtol=1e-13)[0]))(B)
    seen = []
    ad.grad(lambda b: np.sum(linalg.cg(A, b, rtol=1e-10, callback=seen.append)[0]))(B)
    assert seen


@pytest.mark.parametrize("b", [B, COLUMNS, COLUMNS[:, :0], B * (1 + 2j)], ids=np.shape)
@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
@pytest.mark.parametrize("dense", [DENSE / 4, COMPLEX / 4], ids=["real", "complex"])
def test_expm_multiply(dense, format, b):
    A = sparse.csr_array(dense).asformat(format)
    found = linalg.expm_multiply(A, b)
    wanted = sl.expm_multiply(A.tocsr().toscipy(), b) if b.size else b.astype(A.dtype)
    np.testing.assert_allclose(found, wanted, rtol=1e-13)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    if b.size and format == "csr":
        order = 2 if found.dtype.kind == "f" else 1
        A, b = sparse.csr_array(dense[:3, :3]), b[:3]
        ad.check_grads(lambda d, b: linalg.expm_multiply(A._with(d), b), (A.data, b), order=order)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 5.0, -20.0, 5j])
def test_derivatives_of_expm_multiply_are_frechets(scale):
    dense = DENSE * scale
    A, e = sparse.csr_array(dense), sparse.csr_array(np.where(DENSE != 0, np.cos(DENSE), 0.0))
    change = scipy_linalg.expm_frechet(dense, e.toarray(), compute_expm=False) @ COLUMNS
    y, t = ad.jvp(
        lambda d: linalg.expm_multiply(A._with(d), COLUMNS), (A.data,), (e.data.astype(A.dtype),)
    )
    np.testing.assert_allclose(y, scipy_linalg.expm(dense) @ COLUMNS, rtol=1e-9)
    np.testing.assert_allclose(t, change, rtol=1e-9, atol=1e-11 * np.abs(change).max())
    pulled = ad.vjp(lambda d: linalg.expm_multiply(A._with(d), COLUMNS), A.data)[1]
    (g,) = pulled(np.ones_like(y))
    np.testing.assert_allclose(np.sum(g * e.data), np.sum(t), rtol=1e-9)
    huge = ad.jvp(lambda d: linalg.expm_multiply(A._with(d), COLUMNS), (A.data,), (1e9 * A.data,))
    np.testing.assert_allclose(huge[1] / 1e9, dense @ y, rtol=1e-8, atol=1e-9 * np.abs(y).max())


def test_transforms_of_expm_multiply():
    A = sparse.csr_array(DENSE / 4)
    ad.check_grads(lambda t: linalg.expm_multiply(t * A, B), (0.7,), order=3)
    rows = np.stack([B, 2 * B])
    many = ad.vmap(lambda b: linalg.expm_multiply(A, b))(rows)
    np.testing.assert_allclose(many, [linalg.expm_multiply(A, b) for b in rows], rtol=1e-12)
    many = ad.vmap(lambda t: linalg.expm_multiply(t * A, B))(np.array([0.5, 1.0]))
    np.testing.assert_allclose(many[0], linalg.expm_multiply(0.5 * A, B), rtol=1e-12)
    gradient = ad.grad(lambda A: np.sum(linalg.expm_multiply(A, B) ** 2))
    compiled = ad.compile(gradient)
    # The number of steps is that of each matrix, not that of the recording
    for scale in (0.01, 1.0, 12.0):
        wanted = gradient(A * scale).data
        np.testing.assert_allclose(compiled(A * scale).data, wanted, rtol=1e-10)
    assert linalg.expm_multiply(A.astype(np.float32), B.astype(np.float32)).dtype == np.float32
    whole = sparse.csr_array(np.diag([1, 2]))
    np.testing.assert_allclose(linalg.expm_multiply(whole, np.array([1, 0])), [np.e, 0.0])


NORMS = [None, "fro", 1, -1, np.inf, -np.inf]


@pytest.mark.parametrize("ord", NORMS)
def test_norms(ord):
    A = sparse.csr_array(DENSE)
    np.testing.assert_allclose(linalg.norm(A, ord), sl.norm(A.toscipy(), ord))
    ad.check_grads(lambda d: linalg.norm(A._with(d), ord), (A.data,), order=1)
    if ord in (None, 1):
        for axis in (0, 1):
            wanted = sl.norm(A.toscipy(), ord, axis)
            np.testing.assert_allclose(linalg.norm(A, ord, axis), wanted)


SINGULAR = sparse.csr_array(np.array([[1.0, 2.0], [2.0, 4.0]]))
REFUSED = {
    "singular": (lambda: linalg.spsolve(SINGULAR, B[:2]), np.linalg.LinAlgError, r"spsolve.*\(2"),
    "singular splu": (lambda: linalg.splu(SINGULAR), np.linalg.LinAlgError, r"splu.*singular"),
    "wide": (
        lambda: linalg.spsolve(sparse.csr_array(DENSE[:3]), B),
        np.linalg.LinAlgError,
        r"spsolve: needs a square matrix, got shape \(3, 5\)",
    ),
    "rows": (lambda: linalg.spsolve(DENSE, B[:3]), ValueError, r"\(3,\) for 5 equations"),
    "sparse b": (
        lambda: linalg.spsolve(DENSE, sparse.csr_array(DENSE)),
        TypeError,
        "right-hand side is sparse",
    ),
    "vector": (lambda: linalg.spsolve(B, B), np.linalg.LinAlgError, r"\(5,\)"),
    "trans": (lambda: linalg.splu(DENSE).solve(B, "X"), ValueError, "trans"),
    "triangle": (
        lambda: linalg.spsolve_triangular(DENSE, B),
        np.linalg.LinAlgError,
        "not lower triangular",
    ),
    "zero diagonal": (
        lambda: linalg.spsolve_triangular(np.tril(DENSE, -1), B),
        np.linalg.LinAlgError,
        "singular",
    ),
    "dense Tensor": (lambda: linalg.spsolve(ad.Tensor(DENSE), B), TypeError, "csr_array"),
    "operator": (lambda: linalg.cg(lambda x: x, B), TypeError, "LinearOperator"),
    "wide operator": (
        lambda: linalg.cg(linalg.aslinearoperator(DENSE[:3]), B),
        np.linalg.LinAlgError,
        r"\(3, 5\)",
    ),
    "operand": (lambda: linalg.aslinearoperator(DENSE) @ B[:2], ValueError, r"\(2,\)"),
    "result": (
        lambda: linalg.LinearOperator((N, N), lambda x: x[:2], dtype=float) @ B,
        ValueError,
        r"returned shape \(2,\)",
    ),
    "no operator": (lambda: linalg.aslinearoperator(len), TypeError, "LinearOperator"),
    "times": (lambda: linalg.expm_multiply(DENSE, B, stop=1.0), TypeError, r"stop.*t \* A"),
    "expm of an operator": (
        lambda: linalg.expm_multiply(linalg.aslinearoperator(DENSE), B),
        TypeError,
        "operator",
    ),
    "lobpcg": (lambda: linalg.lobpcg, AttributeError, "eigsh"),
    "spilu": (lambda: linalg.spilu, AttributeError, "splu"),
    "x0": (lambda: linalg.cg(DENSE, B, x0=ad.Tensor(B)), TypeError, "x0"),
    "M1": (lambda: linalg.qmr(DENSE, B, M1=ad.Tensor(DENSE)), TypeError, "M1 is a Tensor"),
    "M": (lambda: linalg.cg(DENSE, B, M=ad.Tensor(DENSE)), TypeError, "M is a Tensor"),
    "columns": (lambda: linalg.gmres(DENSE, COLUMNS), ValueError, "one right-hand side"),
    "ord": (lambda: linalg.norm(DENSE, -2), ValueError, "ord -2"),
    "ord of rows": (lambda: linalg.norm(DENSE, 7, 0), ValueError, "ord 7"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_scipys_functions_name_the_ones_for_tensors():
    t = ad.Tensor(B)
    A = sp.csc_array(DENSE)
    for name in ("spsolve", "spsolve_triangular"):
        with pytest.raises(TypeError, match=rf"autodiff\.scipy\.sparse\.linalg\.{name}"):
            getattr(sl, name)(A, t)
