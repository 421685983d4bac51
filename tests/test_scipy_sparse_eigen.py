"""Eigenvalues, singular values and least squares of sparse matrices: against SciPy and NumPy."""

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import NonDifferentiableError

sp = pytest.importorskip("scipy.sparse")
sl = pytest.importorskip("scipy.sparse.linalg")

from autodiff.scipy import linalg as dense_linalg  # noqa: E402 after the check
from autodiff.scipy import sparse  # noqa: E402

linalg = sparse.linalg

RNG = np.random.default_rng(0)
N = 8
BAND = np.diag(np.arange(1.0, N + 1)) + np.diag(RNG.uniform(-1, 1, N - 1), 1)
GENERAL = BAND + np.diag(RNG.uniform(-1, 1, N - 1), -1)
MATRICES = {
    "symmetric": BAND + BAND.T,
    "hermitian": BAND + BAND.T + 1j * np.triu(GENERAL, 1) - 1j * np.triu(GENERAL, 1).T,
    "general": GENERAL,
    "complex": GENERAL + 1j * np.diag(RNG.uniform(-1, 1, N - 2), 2),
}
MASS = np.diag(RNG.uniform(1, 2, N)) + 0.2 * (np.eye(N, k=1) + np.eye(N, k=-1))
START = RNG.uniform(-1, 1, N)


def same_derivatives(ours, theirs, x, rtol=1e-9):
    """Values, gradients and Hessian-vector products of two functions of one array."""
    (v, g), (w, h) = (ad.value_and_grad(f)(x) for f in (ours, theirs))
    np.testing.assert_allclose(v, w, rtol=rtol)
    np.testing.assert_allclose(g, h, rtol=rtol, atol=rtol * np.abs(h).max())
    t = np.cos(np.arange(x.size)).reshape(x.shape).astype(x.dtype)
    v, w = (ad.hvp(f, (x,), (t,)) for f in (ours, theirs))
    np.testing.assert_allclose(v, w, rtol=rtol, atol=100 * rtol * np.abs(w).max())
    forward = ad.jvp(ours, (x,), (t,))[1]
    np.testing.assert_allclose(forward, np.sum(np.real(g * t)), rtol=rtol)


def hermitian(A, d):
    A = A._with(d)
    return (A + A.H) * 0.5


def loss(w, v):
    return np.sum(np.abs(w) ** 3) + np.sum(np.abs(v) ** 4)


WHICH = {
    "largest": ({"k": 3}, lambda w: np.argsort(np.abs(w))[-3:]),
    "algebraic": ({"k": 2, "which": "SA"}, lambda w: np.arange(2)),
    "inside": ({"k": 1, "sigma": 9.1, "tol": 1e-14}, lambda w: [np.argmin(np.abs(w - 9.1))]),
    "cayley": (
        {"k": 1, "sigma": 9.1, "mode": "cayley"},
        lambda w: [np.argmin(np.abs(w - 9.1))],
    ),
}


@pytest.mark.parametrize("mass", [None, MASS], ids=["standard", "generalised"])
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("kind", ["symmetric", "hermitian"])
def test_eigsh(kind, which, mass):
    dense = MATRICES[kind]
    keywords, choose = WHICH[which]
    if kind == "hermitian" and "mode" in keywords:
        pytest.skip("SciPy's other modes are for real matrices")
    A = sparse.csr_array(dense)
    M = None if mass is None else sparse.csc_array(mass)
    plain = {"M": None if M is None else M.toscipy(), "v0": START.astype(A.dtype), **keywords}
    w, v = linalg.eigsh(A, **{**plain, "M": M})
    wanted = sl.eigsh(A.toscipy(), **plain)
    np.testing.assert_array_equal(w, wanted[0])
    np.testing.assert_array_equal(v, wanted[1])
    inner, _ = ad.vjp(lambda d: linalg.eigsh(A._with(d), **{**plain, "M": M}), A.data)
    np.testing.assert_allclose(inner[0], w, rtol=1e-10)
    np.testing.assert_allclose(inner[1], v, rtol=1e-6, atol=1e-8)

    order = np.sort(choose(np.linalg.eigvalsh(dense) if mass is None else _values(dense)))
    ours = lambda d: loss(*linalg.eigsh(hermitian(A, d), M=M, **keywords))  # noqa: E731

    def reference(d, m=mass):
        w, v = dense_linalg.eigh(hermitian(A, d).toarray(), m)
        return loss(w[order], v[:, order])

    same_derivatives(ours, reference, A.data)
    if M is not None:
        same_derivatives(
            lambda m: loss(*linalg.eigsh(A, M=hermitian(M, m), **keywords)),
            lambda m: reference(A.data, hermitian(M, m).toarray()),
            M.data,
        )


def _values(dense):
    return dense_linalg.eigh(dense, MASS, eigvals_only=True)


@pytest.mark.parametrize("kind", ["general", "complex"])
@pytest.mark.parametrize("keywords", [{"k": 3}, {"k": 2, "which": "SR"}, {"k": 2, "sigma": 4.2}])
def test_eigs(kind, keywords):
    dense = MATRICES[kind]
    A = sparse.csr_array(dense)
    start = START.astype(A.dtype)
    w, v = linalg.eigs(A, v0=start, **keywords)
    wanted = sl.eigs(A.toscipy(), v0=start, **keywords)
    np.testing.assert_array_equal(w, wanted[0])
    np.testing.assert_array_equal(v, wanted[1])
    places = [np.argmin(np.abs(np.linalg.eigvals(dense) - one)) for one in w]

    def reference(d):
        w, v = np.linalg.eig(A._with(d).toarray())
        return loss(w[places], v[:, places])

    same_derivatives(lambda d: loss(*linalg.eigs(A._with(d), **keywords)), reference, A.data)


def test_eigs_with_a_matrix_on_the_right():
    A, M = sparse.csr_array(GENERAL), sparse.csr_array(MASS)

    def values(d, m):
        return linalg.eigs(A._with(d), k=2, M=hermitian(M, m), return_eigenvectors=False)

    def reference(d, m):
        w = np.linalg.eigvals(np.linalg.solve(hermitian(M, m).toarray(), A._with(d).toarray()))
        return w[places]

    at = (A.data, M.data)
    every = np.linalg.eigvals(np.linalg.solve(MASS, GENERAL))
    places = [np.argmin(np.abs(every - one)) for one in values(*at)]
    for i in range(2):
        same_derivatives(
            lambda x, i=i: np.sum(np.abs(values(*at[:i], x, *at[i + 1 :])) ** 3),
            lambda x, i=i: np.sum(np.abs(reference(*at[:i], x, *at[i + 1 :])) ** 3),
            at[i],
            rtol=1e-8,
        )


@pytest.mark.parametrize("name", ["eigsh", "eigs"])
def test_values_alone_come_in_scipys_order(name):
    dense = MATRICES["symmetric" if name == "eigsh" else "general"]
    for which in ("LM", "SM", "BE" if name == "eigsh" else "LR"):
        keywords = {"k": 4, "which": which, "v0": START, "return_eigenvectors": False}
        A = sparse.csr_array(dense)
        wanted = getattr(sl, name)(A.toscipy(), **keywords)
        np.testing.assert_array_equal(getattr(linalg, name)(A, **keywords), wanted)
        found = ad.vjp(lambda A, k=keywords: getattr(linalg, name)(A, **k), A)[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("shape", [(N, 5), (5, N), (N, N)])
@pytest.mark.parametrize("kind", ["general", "complex"])
def test_svds(kind, shape):
    dense = MATRICES[kind][: shape[0], : shape[1]]
    A = sparse.csc_array(dense)
    for wanted in (True, False, "u", "vh"):
        keywords = {"k": 2, "v0": START[: min(shape)].astype(dense.dtype)}
        keywords["return_singular_vectors"] = wanted
        found = linalg.svds(A, **keywords)
        boxed = ad.vjp(lambda A, k=keywords: [linalg.svds(A, **k)], A)[0][0]
        theirs = sl.svds(A.toscipy(), **keywords)
        for part, other, expected in zip(
            *(x if isinstance(x, tuple) else (x,) for x in (found, boxed, theirs)), strict=True
        ):
            if expected is None:
                assert part is None
                assert other is None
                continue
            np.testing.assert_array_equal(part, expected)
            np.testing.assert_allclose(other, expected, rtol=1e-6, atol=1e-8)

    def of(u, s, vh):
        return loss(s, u) + np.sum(np.abs(u @ vh) ** 3)

    def reference(d):
        u, s, vh = np.linalg.svd(A._with(d).toarray(), full_matrices=False)
        return of(u[:, :2], s[:2], vh[:2])

    same_derivatives(lambda d: of(*linalg.svds(A._with(d), k=2)), reference, A.data)
    s = ad.vjp(lambda A: linalg.svds(A, 2, solver="propack")[1], A)[0]
    np.testing.assert_allclose(np.sort(s), np.linalg.svd(dense)[1][1::-1], rtol=1e-9)
    np.testing.assert_allclose(linalg.norm(A, 2), np.linalg.norm(dense, 2))
    ad.check_grads(lambda d: linalg.norm(A._with(d), 2), (A.data,), order=1)


@pytest.mark.parametrize("kind", MATRICES)
def test_operators(kind):
    """What the operator's functions use is what the derivative is by."""
    dense = MATRICES[kind]
    name = "eigsh" if kind in ("symmetric", "hermitian") else "eigs"
    full = np.linalg.eigh if name == "eigsh" else np.linalg.eig
    t = np.linspace(0.1, 0.6, N)

    def pairs(t):
        A = linalg.LinearOperator((N, N), lambda x: dense @ x + t * x, dtype=dense.dtype)
        return getattr(linalg, name)(A, k=2)

    every = full(dense + np.diag(t))[0]
    places = [np.argmin(np.abs(every - one)) for one in pairs(t)[0]]

    def reference(t):
        w, v = full(dense + np.diag(t))
        return loss(w[places], v[:, places])

    same_derivatives(lambda t: loss(*pairs(t)), reference, t)
    rows = np.stack([t, 2 * t])
    np.testing.assert_allclose(ad.vmap(lambda t: pairs(t)[0])(rows)[1], pairs(2 * t)[0], rtol=1e-9)
    theirs = sl.aslinearoperator(dense)
    for found, wanted in zip(
        getattr(linalg, name)(theirs, 2, v0=START.astype(dense.dtype)),
        getattr(sl, name)(theirs, 2, v0=START.astype(dense.dtype)),
        strict=True,
    ):
        np.testing.assert_array_equal(found, wanted)


def test_an_operator_with_another_on_the_right():
    dense = MATRICES["symmetric"]

    def lowest(t):
        A = linalg.LinearOperator((N, N), lambda x: dense @ x + t * x, dtype=float)
        M = linalg.LinearOperator((N, N), lambda x: MASS @ x + t * x, dtype=float)
        return linalg.eigsh(A, 1, M, sigma=0.0, OPinv=np.linalg.inv(dense + 0.3 * np.eye(N)))

    def reference(t):
        w, v = dense_linalg.eigh(dense + t * np.eye(N), MASS + t * np.eye(N))
        place = int(np.argmin(np.abs(getattr(w, "data", w))))
        return w[place : place + 1], v[:, place : place + 1]

    same_derivatives(lambda t: loss(*lowest(t)), lambda t: loss(*reference(t)), np.array(0.3))


def test_transforms_of_eigenvalues():
    A = sparse.csr_array(MATRICES["symmetric"])

    def energy(A):
        w, v = linalg.eigsh(A, k=2, v0=START)
        return np.sum(w * v[0] ** 2)

    rows = np.stack([A.data, 1.5 * A.data])
    np.testing.assert_allclose(
        ad.vmap(lambda d: energy(A._with(d)))(rows), [energy(A._with(d)) for d in rows]
    )
    np.testing.assert_allclose(
        ad.vmap(ad.grad(lambda d: energy(A._with(d))))(rows)[1],
        ad.grad(energy)(A._with(rows[1])).data,
        rtol=1e-9,
    )
    compiled = ad.compile(ad.grad(energy))
    for scale in (1.0, 2.0):
        np.testing.assert_allclose(
            compiled(A * scale).data, ad.grad(energy)(A * scale).data, rtol=1e-9, atol=1e-12
        )
    np.testing.assert_allclose(ad.record(energy)(A).evaluate(A * 2.0), energy(A * 2.0))
    single = sparse.csr_array(A.toarray().astype(np.float32))
    g = ad.grad(energy)(single)
    assert g.dtype == np.float32
    np.testing.assert_allclose(g.data, ad.grad(energy)(A).data, atol=1e-3)
    whole = ad.grad(lambda a: linalg.eigsh(a, 1, return_eigenvectors=False)[0])(A.toarray())
    v = np.linalg.eigh(A.toarray())[1][:, -1]
    np.testing.assert_allclose(whole, np.outer(v, v), atol=1e-10)


def test_multiple_eigenvalues():
    A = sparse.csr_array(np.diag([1.0, 2.0, 3.0, 7.0, 7.0]))

    def values(A):
        return np.sum(linalg.eigsh(A, k=2, return_eigenvectors=False))

    g = ad.grad(values)(A).data
    np.testing.assert_allclose(g[:3], 0.0, atol=1e-12)
    assert np.isfinite(g).all()
    with pytest.raises(np.linalg.LinAlgError, match=r"eigsh: .*singular"):
        ad.grad(lambda A: linalg.eigsh(A, k=2)[1][3, 0])(A)
    turned = np.linalg.qr(RNG.standard_normal((5, 5)))[0]
    A = sparse.csr_array(turned @ A.toarray() @ turned.T)
    try:
        g = ad.grad(lambda A: linalg.eigsh(A, k=2)[1][3, 0])(A).data
    except np.linalg.LinAlgError:
        pass
    else:
        assert np.isnan(g).all()


TIGHT = {"atol": 1e-15, "btol": 1e-15}


@pytest.mark.parametrize("name", ["lsqr", "lsmr"])
@pytest.mark.parametrize("shape", [(7, 4), (4, 7)])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_least_squares(kind, shape, name):
    rng = np.random.default_rng(1)
    dense = rng.standard_normal(shape) * (rng.random(shape) < 0.8) + np.eye(*shape)
    b, x0 = rng.standard_normal(shape[0]), rng.standard_normal(shape[1])
    if kind == "complex":
        dense = dense * (1 + 0.4j * rng.standard_normal(shape))
        b, x0 = b + 0.3j, x0 + 0.1j
    A = sparse.csr_array(dense)
    ours, theirs = getattr(linalg, name), getattr(sl, name)
    for found, wanted in zip(ours(A, b, 0.1), theirs(A.toscipy(), b, 0.1), strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(ours(dense, b)[0], theirs(dense, b)[0])
    for start, damp in ((None, 0.0), (x0, 0.0), (x0, 0.7)):

        def solve(d, b, damp, start=start):
            return ours(A._with(d), b, damp, x0=start, **TIGHT)[0]

        def reference(d, b, damp, start=start):
            matrix = A._with(d).toarray()
            adjoint = np.conj(matrix.T)
            begin = np.zeros(shape[1]) if start is None else start
            r = b - matrix @ begin
            if shape[0] < shape[1]:
                inner = matrix @ adjoint + damp**2 * np.eye(shape[0])
                return begin + adjoint @ np.linalg.solve(inner, r)
            inner = adjoint @ matrix + damp**2 * np.eye(shape[1])
            return begin + np.linalg.solve(inner, adjoint @ r)

        at = (A.data, b, np.float64(damp))
        for i in range(3):
            for f in (lambda x: np.sum(np.abs(x) ** 3),):
                same_derivatives(
                    lambda x, i=i, f=f: f(solve(*at[:i], x, *at[i + 1 :])),  # noqa: B023
                    lambda x, i=i, f=f: f(reference(*at[:i], x, *at[i + 1 :])),  # noqa: B023
                    np.asarray(at[i]),
                    rtol=1e-8,
                )


def test_least_squares_of_operators_and_transforms():
    rng = np.random.default_rng(2)
    dense, b, t = rng.standard_normal((6, 3)), rng.standard_normal(6), np.linspace(0.5, 1.0, 3)

    def solve(t, b):
        A = linalg.LinearOperator((6, 3), lambda x: dense @ (t * x), dtype=float)
        return linalg.lsmr(A, b, **TIGHT)[0]

    ad.check_grads(solve, (t, b), order=2)
    rows = np.stack([b, 2 * b])
    many = ad.vmap(lambda b: solve(t, b))(rows)
    np.testing.assert_allclose(many[1], 2 * many[0], rtol=1e-9)
    A = sparse.csr_array(dense)
    gradient = ad.grad(lambda A: np.sum(linalg.lsqr(A, b, **TIGHT)[0] ** 2))
    np.testing.assert_allclose(ad.compile(gradient)(A).data, gradient(A).data, rtol=1e-9)
    single = A.astype(np.float32)
    loose = {"atol": 1e-7, "btol": 1e-7}
    g = ad.grad(lambda A: np.sum(linalg.lsqr(A, b.astype(np.float32), **loose)[0]))(single)
    assert g.dtype == np.float32


@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("kind", ["general", "complex"])
def test_matrices_of_matrices(kind, format):
    A = sparse.csr_array(MATRICES[kind] / 5).asformat(format)
    plain = sp.csc_array(A.toscipy())
    for ours, wanted in (
        (linalg.inv, sl.inv(plain)),
        (linalg.expm, sl.expm(plain)),
        (lambda A: linalg.matrix_power(A, 5), sl.matrix_power(plain, 5)),
        (lambda A: linalg.matrix_power(A, 1), sl.matrix_power(plain, 1)),
        (lambda A: linalg.matrix_power(A, 0), sl.matrix_power(plain, 0)),
    ):
        found = ours(A)
        assert found.format == format
        np.testing.assert_allclose(found.toarray(), wanted.toarray(), rtol=1e-9, atol=1e-11)
    small = sparse.csr_array(A.toarray()[:3, :3])
    for ours in (linalg.inv, linalg.expm, lambda A: linalg.matrix_power(A, 3)):
        ad.check_grads(lambda d, f=ours: f(small._with(d)).toarray(), (small.data,), order=2)


def test_shapes_of_patterns():
    for dense in (BAND, BAND.T, GENERAL, np.eye(3), np.zeros((2, 3)), GENERAL[:, :5]):
        A = sparse.csr_array(dense)
        rows, columns = np.nonzero(dense)
        assert linalg.spbandwidth(A) == (
            max((rows - columns).max(initial=0), 0),
            max((columns - rows).max(initial=0), 0),
        )
        if hasattr(sl, "is_sptriangular") and dense.any():
            assert linalg.spbandwidth(A) == sl.spbandwidth(A.toscipy())
            assert linalg.is_sptriangular(A) == sl.is_sptriangular(A.toscipy())


SYMMETRIC = MATRICES["symmetric"]
WRONG = {
    "k": (lambda A: linalg.eigsh(A, k=99), ValueError, r"eigsh: k=99"),
    "k of svds": (lambda A: linalg.svds(A, k=99), ValueError, r"svds: k=99"),
    "square": (lambda A: linalg.eigs(A[:3], k=1), np.linalg.LinAlgError, r"\(3, 8\)"),
    "mass": (lambda A: linalg.eigsh(A, 1, np.eye(3)), ValueError, r"M has shape \(3, 3\)"),
    "sigma": (lambda A: linalg.eigsh(SYMMETRIC, 1, sigma=A.data[0]), TypeError, "sigma"),
    "v0": (lambda A: linalg.svds(SYMMETRIC, 1, v0=A.data[:N]), TypeError, "v0"),
    "buckling": (
        lambda A: linalg.eigsh(A, 1, A, sigma=1.0, mode="buckling"),
        NonDifferentiableError,
        "buckling",
    ),
    "operator": (
        lambda A: linalg.eigsh(linalg.aslinearoperator(A), 1, sigma=1.0),
        ValueError,
        "OPinv",
    ),
    "svds of operator": (
        lambda A: linalg.svds(linalg.aslinearoperator(A)),
        TypeError,
        "svds: A is an operator",
    ),
    "rows": (lambda A: linalg.lsqr(A, START[:3]), ValueError, r"lsqr: right-hand side .*\(3,\)"),
    "damp": (lambda A: linalg.lsmr(A, START, A.data[:2]), ValueError, "lsmr: damp"),
    "x0": (lambda A: linalg.lsqr(A, START, x0=A.data[:N]), TypeError, "lsqr"),
    "power": (lambda A: linalg.matrix_power(A, -1), ValueError, "negative"),
    "no power": (lambda A: linalg.matrix_power(A, 0.5), TypeError, "matrix_power"),
    "half": (lambda A: linalg.eigsh(A.astype(np.float16), 1), TypeError, "float16"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs_are_named(name):
    call, error, text = WRONG[name]
    A = sparse.csr_array(SYMMETRIC)
    with pytest.raises(error, match=text):
        ad.vjp(lambda d: call(A._with(d)), A.data)


def test_scipys_functions_on_a_tensor_name_these():
    b = ad.Tensor(START)
    for name in ("lsqr", "lsmr", "bicg", "cgs", "qmr", "tfqmr", "gcrotmk"):
        with pytest.raises(TypeError, match=rf"autodiff\.scipy\.sparse\.linalg\.{name}"):
            getattr(sl, name)(SYMMETRIC, b)


def test_every_name_of_scipys_is_here_or_says_why():
    for name in dir(sl):
        value = getattr(sl, name)
        if name.startswith("_") or type(value).__name__ == "module" or name == "test":
            continue
        if name in linalg.__all__:
            assert getattr(linalg, name) is not None
            continue
        with pytest.raises(AttributeError, match="here: "):
            getattr(linalg, name)
