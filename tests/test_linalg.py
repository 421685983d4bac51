"""``np.linalg`` on Tensors: every function and keyword, closed forms, degenerate points.

Each call is written once, for arrays and Tensors alike.
"""

import numpy as np
import pytest
from test_numpy_functions import test_float32_stays_float32 as check_float32
from test_numpy_functions import test_value_and_derivatives as check_call

import autodiff as ad
from autodiff.errors import NonDifferentiableError
from autodiff.ops.protocol import FUNCTIONS

la = np.linalg
RNG = np.random.default_rng(5)


def ladder(*shape):
    """Well-conditioned matrices with singular values and eigenvalues apart."""
    steps = np.eye(*shape[-2:]) * (1.0 + 1.5 * np.arange(shape[-1]))
    return steps + 0.3 * RNG.uniform(-1, 1, shape)


def mT(x):
    return np.swapaxes(x, -1, -2)


def symmetric(x):
    return 0.5 * (x + mT(x))


S = ladder(3, 3)
"""Square."""
STACK = ladder(2, 2, 2)
TALL = ladder(3, 2)
WIDE = ladder(2, 3)
WIDE_STACK = ladder(2, 2, 3)
B = RNG.standard_normal((3, 2))
V = np.array([0.3, -1.2, 2.1])
A = RNG.standard_normal((2, 3, 2))
FOUR = ladder(6, 6).reshape(2, 3, 3, 2)
TURN = np.array([[2.0, -3.0, 0.1], [1.5, 1.0, 0.3], [-0.2, 0.4, 4.0]])
"""Real, with a pair of complex eigenvalues."""
RANK_ONE = np.outer([1.0, 2.0, -1.0], [0.5, 1.0])


def both(pair):
    """One array of several outputs, each with a weight of its own."""
    return sum(np.sum(part * np.cos(np.arange(part.size).reshape(part.shape))) for part in pair)


CALLS = {
    "inv": (lambda x: la.inv(x), S),
    "inv stack": (lambda x: la.inv(x), STACK),
    "solve matrix": (lambda x: la.solve(x, B), S),
    "solve vector": (lambda x: la.solve(x, V), S),
    "solve right vector": (lambda x: la.solve(S, x), V),
    "solve right stack": (lambda x: la.solve(S, x), RNG.standard_normal((2, 3, 2))),
    "solve stacks": (lambda x: la.solve(x, STACK[0]), STACK),
    "solve broadcast": (lambda x: la.solve(x, STACK), STACK[0]),
    "solve vector of stack": (lambda x: la.solve(x, np.array([0.5, -1.0])), STACK),
    "solve list": (lambda x: la.solve(x, [1, 2, 3]), S),
    "det": (lambda x: la.det(x), S),
    "det stack": (lambda x: la.det(x), STACK),
    "det one": (lambda x: la.det(x), S[:1, :1]),
    "slogdet": (lambda x: la.slogdet(x)[1], S),
    "slogdet stack": (lambda x: la.slogdet(x).logabsdet * la.slogdet(x).sign, -STACK),
    "lstsq": (lambda x: la.lstsq(x, B)[0], TALL),
    "lstsq vector": (lambda x: la.lstsq(x, V)[0], TALL),
    "lstsq residuals": (lambda x: la.lstsq(x, B, rcond=1e-9)[1], TALL),
    "lstsq singular values": (lambda x: la.lstsq(x, B, rcond=-1)[3], TALL),
    "lstsq wide": (lambda x: la.lstsq(x, B[:2])[0], WIDE),
    "lstsq right": (lambda x: la.lstsq(TALL, x)[0], B),
    "pinv": (lambda x: la.pinv(x), TALL),
    "pinv wide rcond": (lambda x: la.pinv(x, 1e-10), WIDE),
    "pinv stack rtol": (lambda x: la.pinv(x, rtol=1e-10), STACK),
    "pinv default rtol": (lambda x: la.pinv(x, rtol=None), WIDE_STACK),
    "pinv array rcond": (lambda x: la.pinv(x, np.array([1e-9, 1e-8])), STACK),
    "pinv hermitian": (lambda x: la.pinv(x, hermitian=True), S),
    "cholesky": (lambda x: la.cholesky(symmetric(x)), S),
    "cholesky upper": (lambda x: la.cholesky(symmetric(x), upper=True), S),
    "cholesky of product": (lambda x: la.cholesky(x @ mT(x)), STACK),
    "qr q": (lambda x: la.qr(x)[0], TALL),
    "qr r": (lambda x: la.qr(x).R, TALL),
    "qr mode r": (lambda x: la.qr(x, mode="r"), S),
    "qr wide": (lambda x: both(la.qr(x)), WIDE_STACK),
    "qr wide r": (lambda x: la.qr(x, "r"), WIDE),
    "qr complete": (lambda x: both(la.qr(x, mode="complete")), TALL),
    "qr complete square": (lambda x: both(la.qr(x, mode="complete")), S),
    "qr complete null space": (
        lambda x: (lambda q: q @ mT(q))(la.qr(x, "complete").Q[:, 1:]),
        ladder(4, 1),
    ),
    "eigh": (lambda x: both(la.eigh(x)), symmetric(S)),
    "eigh upper": (lambda x: both(la.eigh(x, UPLO="U")), symmetric(S)),
    "eigh stack": (lambda x: la.eigh(x).eigenvectors, symmetric(STACK)),
    "eigvalsh": (lambda x: la.eigvalsh(x), S),
    "eigvalsh lower case": (lambda x: la.eigvalsh(x, "u"), STACK),
    "eig": (lambda x: np.real(both(la.eig(x))), S),
    "eig complex pair": (lambda x: la.eig(x).eigenvectors, TURN),
    "eigvals complex pair": (lambda x: la.eigvals(x), TURN),
    "eigvals stack": (lambda x: la.eigvals(x), STACK),
    "svd": (lambda x: both(la.svd(x)), S),
    "svd reduced": (lambda x: both(la.svd(x, full_matrices=False)), TALL),
    "svd full": (lambda x: both(la.svd(x)), WIDE),
    "svd full null space": (
        lambda x: (lambda u: u @ mT(u))(la.svd(x).U[:, 1:]),
        ladder(4, 1),
    ),
    "svd values": (lambda x: la.svd(x, compute_uv=False), WIDE_STACK),
    "svd hermitian": (lambda x: both(la.svd(x, hermitian=True)), symmetric(S) - 2 * np.eye(3)),
    "svd hermitian values": (lambda x: la.svd(x, compute_uv=False, hermitian=True), S),
    "svdvals": (lambda x: la.svdvals(x), TALL),
    "matrix_power": (lambda x: la.matrix_power(x, 5), S),
    "matrix_power negative": (lambda x: la.matrix_power(x, -3), STACK),
    "matrix_power zero": (lambda x: la.matrix_power(x, 0), STACK),
    "multi_dot": (lambda x: la.multi_dot([V, x, B, B.T, V]), S),
    "multi_dot repeated": (lambda x: la.multi_dot([x.T, S, x, x.T]), B),
    "multi_dot ends": (lambda x: la.multi_dot([x, S]) + la.multi_dot([S, x]), V),
    "tensorinv": (lambda x: la.tensorinv(x), FOUR),
    "tensorinv one": (lambda x: la.tensorinv(x.reshape(6, 2, 3), ind=1), FOUR),
    "tensorsolve": (lambda x: la.tensorsolve(x, B.T), FOUR),
    "tensorsolve axes": (
        lambda x: la.tensorsolve(np.moveaxis(x, 2, 0), B.T, axes=(0, 3)),
        FOUR,
    ),
    "norm": (lambda x: la.norm(x), A),
    "norm keepdims": (lambda x: la.norm(x, keepdims=True), A),
    "norm fro": (lambda x: la.norm(x, "fro") + la.norm(x, "f"), B),
    "norm nuc": (lambda x: la.norm(x, "nuc", axis=(2, 0)), A),
    "norm two": (lambda x: la.norm(x, 2), B),
    "norm minus two": (lambda x: la.norm(x, -2, axis=(0, 2), keepdims=True), A),
    "norm one": (lambda x: la.norm(x, 1), B),
    "norm minus one": (lambda x: la.norm(x, -1, axis=(1, 0)), A),
    "norm inf": (lambda x: la.norm(x, np.inf, axis=(-1, 0), keepdims=True), A),
    "norm minus inf": (lambda x: la.norm(x, -np.inf), B),
    "norm of axes": (lambda x: la.norm(x, axis=(0, 1)), A),
    "norm vector default": (lambda x: la.norm(x, axis=1), A),
    "norm vector two": (lambda x: la.norm(x, 2), V),
    "norm vector one": (lambda x: la.norm(x, 1, axis=-1, keepdims=True), A),
    "norm vector inf": (lambda x: la.norm(x, np.inf, axis=0), B),
    "norm vector minus inf": (lambda x: la.norm(x, -np.inf), V),
    "norm vector three": (lambda x: la.norm(x, 3, axis=0), A),
    "norm vector half": (lambda x: la.norm(x, 0.5), V),
    "norm vector minus one": (lambda x: la.norm(x, -1, axis=0), B),
    "norm vector zero": (lambda x: la.norm(x, 0, axis=1) * la.norm(x), A),
    "vector_norm": (lambda x: la.vector_norm(x), A),
    "vector_norm axes": (lambda x: la.vector_norm(x, axis=(0, 2), ord=3, keepdims=True), A),
    "vector_norm inf": (lambda x: la.vector_norm(x, axis=1, ord=np.inf), A),
    "matrix_norm": (lambda x: la.matrix_norm(x), A),
    "matrix_norm two": (lambda x: la.matrix_norm(x, ord=2, keepdims=True), STACK),
    "matrix_norm nuc": (lambda x: la.matrix_norm(x, ord="nuc"), STACK),
    "cond": (lambda x: la.cond(x), TALL),
    "cond minus two": (lambda x: la.cond(x, -2), STACK),
    "cond fro": (lambda x: la.cond(x, "fro"), STACK),
    "cond inf": (lambda x: la.cond(x, np.inf), S),
    "matmul": (lambda x: la.matmul(x, B), S),
    "outer": (lambda x: la.outer(x, V[:2]), V),
    "cross": (lambda x: la.cross(x, V), S),
    "cross axis": (lambda x: la.cross(x, S[:, :2], axis=0), B),
    "trace": (lambda x: la.trace(x, offset=1), STACK),
    "trace dtype": (lambda x: la.trace(x, dtype=np.float64), A),
    "diagonal": (lambda x: la.diagonal(x, offset=-1), A),
    "diagonal outside": (lambda x: la.diagonal(x, offset=1) * la.norm(x), B),
    "matrix_transpose": (lambda x: la.matrix_transpose(x), A),
    "vecdot": (lambda x: la.vecdot(x, V[:2]), A),
    "vecdot axis": (lambda x: la.vecdot(V[:, None], x, axis=0), B),
    "tensordot": (lambda x: la.tensordot(x, B, axes=((1, 2), (0, 1))), A),
}


@pytest.fixture(autouse=True)
def table(monkeypatch):
    monkeypatch.setattr("test_numpy_functions.CALLS", CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_value_and_derivatives(name):
    check_call(name)


@pytest.mark.parametrize("name", CALLS)
def test_float32_stays_float32(name):
    check_float32(name)


# --- complex matrices -----------------------------------------------------------------------------


def complex_ladder(*shape):
    return ladder(*shape) + 0.3j * RNG.uniform(-1, 1, shape)


def adjoint(x):
    return np.conj(mT(x))


def hermitian(x):
    return 0.5 * (x + adjoint(x))


Z = complex_ladder(2, 2)
Z_STACK = complex_ladder(2, 2, 2)
Z_TALL = complex_ladder(3, 2)
Z_WIDE = complex_ladder(2, 3)
C = RNG.standard_normal((3, 3)) + 1j * RNG.standard_normal((3, 3))
C2 = C[:2, :2]


def turned(vectors):
    """Vectors with a real first component: no phase is left to choose."""
    first = vectors[..., :1, :]
    return vectors * np.conj(first) / np.abs(first)


def phases_removed(u, s, vh):
    """Left singular vectors with a real first component, the right ones turned along."""
    factor = np.conj(u[:1, :]) / np.abs(u[:1, :])
    return u * factor, s, np.conj(factor).T * vh


COMPLEX = {
    "inv": (lambda z: la.inv(z), Z_STACK),
    "solve": (lambda z: la.solve(z, C2), Z),
    "solve real right": (lambda z: la.solve(z, B[:2]), Z),
    "det": (lambda z: la.det(z), Z_STACK),
    "slogdet sign": (lambda z: la.slogdet(z)[0], Z_STACK),
    "slogdet": (lambda z: la.slogdet(z)[1] * la.slogdet(z)[0], Z),
    "lstsq": (lambda z: la.lstsq(z, C)[0], Z_TALL),
    "lstsq residuals": (lambda z: la.lstsq(z, C)[1], Z_TALL),
    "lstsq right": (lambda z: la.lstsq(TALL, z)[0], Z_TALL),
    "pinv": (lambda z: la.pinv(z), Z_TALL),
    "pinv wide": (lambda z: la.pinv(z), Z_WIDE),
    "pinv hermitian": (lambda z: la.pinv(z, hermitian=True), Z),
    "cholesky": (lambda z: la.cholesky(hermitian(z)), Z_STACK),
    "cholesky upper": (lambda z: la.cholesky(hermitian(z), upper=True), Z),
    "qr q": (lambda z: la.qr(z)[0], Z_TALL),
    "qr r": (lambda z: la.qr(z)[1], Z_STACK),
    "qr wide": (lambda z: la.qr(z)[1], Z_WIDE),
    "qr complete": (lambda z: (lambda q: q @ adjoint(q))(la.qr(z, "complete")[0][:, 1:]), Z_TALL),
    "eigvalsh": (lambda z: la.eigvalsh(z), Z_STACK),
    "eigh": (lambda z: turned(la.eigh(z)[1]), hermitian(Z)),
    "eigh upper": (lambda z: turned(la.eigh(z, "U")[1]), hermitian(Z_STACK)),
    "eigh function": (
        lambda z: (lambda w, v: v * np.exp(w) @ adjoint(v))(*la.eigh(z)),
        hermitian(Z),
    ),
    "eig": (lambda z: la.eig(z)[1], Z_STACK),
    "eigvals": (lambda z: la.eigvals(z), Z),
    "svd u": (lambda z: phases_removed(*la.svd(z))[0], Z),
    "svd vh": (lambda z: phases_removed(*la.svd(z, full_matrices=False))[2], Z_WIDE),
    "svd tall": (lambda z: phases_removed(*la.svd(z, full_matrices=False))[0], Z_TALL),
    "svd full": (lambda z: (lambda u: u @ adjoint(u))(la.svd(z)[0][:, 1:]), Z_TALL),
    "svd full right": (lambda z: (lambda v: adjoint(v) @ v)(la.svd(z)[2][1:]), Z_WIDE),
    "svd hermitian": (lambda z: (lambda u: u @ adjoint(u))(la.svd(z, hermitian=True)[0][:, :1]), Z),
    "svdvals": (lambda z: la.svdvals(z), Z_STACK),
    "norm": (lambda z: la.norm(z) + la.norm(z, axis=1) + la.norm(z, 3, axis=0), Z),
    "norm nuc": (lambda z: la.norm(z, "nuc") + la.norm(z, 2) + la.norm(z, 1), Z),
    "norm inf": (lambda z: la.norm(z, np.inf) * la.norm(z, -np.inf, axis=0), Z),
    "cond": (lambda z: la.cond(z), Z),
    "vecdot": (lambda z: la.vecdot(z, C2) + la.vecdot(C2, z), Z),
    "tensordot trace": (lambda z: la.trace(la.matrix_power(z, 3)) * la.tensordot(z, C2), Z),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_value_and_derivatives(name):
    call, z = COMPLEX[name]
    expected = call(z)
    result = call(ad.Tensor(z))
    np.testing.assert_allclose(result.data, expected, rtol=1e-12, atol=1e-13)
    assert result.dtype == expected.dtype
    ad.check_grads(call, (z,), order=2)


@pytest.mark.parametrize("name", COMPLEX)
def test_complex64_stays(name):
    call, z = COMPLEX[name]
    t = ad.Tensor(z.astype(np.complex64))
    np.sum(np.real(call(t))).backward()
    assert t.grad.dtype == np.complex64


# --- two arguments, named results, vmap -----------------------------------------------------------


def test_both_arguments_of_solve_and_lstsq():
    ad.check_grads(la.solve, (S, B), order=2)
    ad.check_grads(la.solve, (STACK, WIDE), order=2)
    ad.check_grads(lambda a, b: la.lstsq(a, b)[0], (TALL, B), order=2)
    ad.check_grads(lambda a, b: la.lstsq(a, b)[0], (WIDE, B[:2]), order=2)


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        (la.eigh, ("eigenvalues", "eigenvectors")),
        (la.eig, ("eigenvalues", "eigenvectors")),
        (la.qr, ("Q", "R")),
        (la.svd, ("U", "S", "Vh")),
        (la.slogdet, ("sign", "logabsdet")),
    ],
)
def test_results_are_named_as_numpys(call, fields):
    expected, found = call(S), call(ad.Tensor(S))
    assert type(found) is type(expected)
    assert found._fields == fields
    for ours, theirs in zip(found, expected, strict=True):
        assert isinstance(ours, ad.Tensor)
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-13, atol=1e-14)


def test_lstsq_gives_four_results():
    x, residuals, rank, s = la.lstsq(ad.Tensor(TALL), B)
    expected = la.lstsq(TALL, B)
    for ours, theirs in zip((x.data, residuals.data, rank, s.data), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert la.lstsq(ad.Tensor(RANK_ONE), V)[2] == 1
    assert la.lstsq(ad.Tensor(RANK_ONE), V)[1].shape == (0,)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: la.solve(x, V),
        lambda x: la.solve(S, x),
        lambda x: la.lstsq(x[:, :2], V)[0],
        lambda x: la.lstsq(TALL, x)[0],
        lambda x: la.lstsq(x[:, :2], x[:, 2:])[1],
        lambda x: both(la.svd(x)),
        lambda x: both(la.eigh(x)),
        lambda x: la.cholesky(x @ x.T),
        lambda x: la.norm(x, np.inf) + la.norm(x, "nuc"),
        la.cond,
        la.det,
    ],
)
def test_vmap_of_value_and_gradient(function):
    batch = np.stack([S, S.T, S + 0.1])
    rows = np.stack([function(x) for x in batch])
    np.testing.assert_allclose(ad.vmap(function)(batch), rows, rtol=1e-12)
    gradient = ad.grad(lambda x: np.sum(function(x)))
    wanted = np.stack([gradient(x) for x in batch])
    np.testing.assert_allclose(ad.vmap(gradient)(batch), wanted, rtol=1e-10, atol=1e-12)


def test_matrix_rank_is_plain():
    assert la.matrix_rank(ad.Tensor(RANK_ONE)) == 1
    assert la.matrix_rank(ad.Tensor(S), rtol=0.99) == la.matrix_rank(S, rtol=0.99)
    assert isinstance(la.matrix_rank(ad.Tensor(STACK)), np.ndarray)


# --- Cholesky factors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "matrix", [symmetric(S), symmetric(STACK), hermitian(Z), hermitian(Z_STACK)]
)
@pytest.mark.parametrize("upper", [False, True])
class TestCholeskyOfHermitianMatrices:
    """The lower triangle is read, but derivatives are those along Hermitian matrices."""

    @staticmethod
    def loss(upper):
        return lambda x: np.sum(np.abs(la.cholesky(x, upper=upper) - 0.3) ** 2)

    def test_the_gradient_is_hermitian(self, matrix, upper):
        found = ad.grad(self.loss(upper))(matrix)
        np.testing.assert_allclose(found, adjoint(found), rtol=1e-13)
        through = ad.grad(lambda x: self.loss(upper)(hermitian(x)))(matrix)
        np.testing.assert_allclose(found, through, rtol=1e-12)

    def test_finite_differences_along_hermitian_directions(self, matrix, upper):
        rng = np.random.default_rng(5)
        direction = hermitian(rng.normal(size=matrix.shape) + 1j * rng.normal(size=matrix.shape))
        if matrix.dtype.kind != "c":
            direction = direction.real
        step = 1e-5
        loss = self.loss(upper)
        wanted = (loss(matrix + step * direction) - loss(matrix - step * direction)) / (2 * step)
        gradient = ad.grad(loss)(matrix)
        np.testing.assert_allclose(np.sum((gradient * direction).real), wanted, rtol=1e-8)
        np.testing.assert_allclose(ad.jvp(loss, (matrix,), (direction,))[1], wanted, rtol=1e-8)

    def test_a_tangent_is_read_as_its_hermitian_part(self, matrix, upper):
        rng = np.random.default_rng(6)
        tangent = rng.normal(size=matrix.shape).astype(matrix.dtype)
        factor = lambda x: la.cholesky(x, upper=upper)  # noqa: E731
        out, found = ad.jvp(factor, (matrix,), (tangent,))
        whole = ad.jvp(factor, (matrix,), (hermitian(tangent),))[1]
        np.testing.assert_allclose(found, whole, rtol=1e-12, atol=1e-14)
        g = rng.normal(size=out.shape).astype(out.dtype)
        (cotangent,) = ad.vjp(factor, matrix)[1](g)
        np.testing.assert_allclose(
            np.sum((g * found).real), np.sum((cotangent * tangent).real), rtol=1e-12
        )

    def test_second_derivatives(self, matrix, upper):
        loss = self.loss(upper)
        tangent = np.random.default_rng(7).normal(size=matrix.shape).astype(matrix.dtype)
        found = ad.jvp(ad.grad(loss), (matrix,), (tangent,))[1]
        through = ad.jvp(ad.grad(lambda x: loss(hermitian(x))), (matrix,), (tangent,))[1]
        np.testing.assert_allclose(found, through, rtol=1e-11, atol=1e-13)


# --- closed forms ---------------------------------------------------------------------------------


class TestClosedForms:
    """Magnus and Neudecker (2019), Matrix Differential Calculus, chapters 8 and 9."""

    def close(self, found, wanted):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)

    def test_determinant(self):
        self.close(ad.grad(la.det)(S), la.det(S) * la.inv(S).T)
        self.close(ad.grad(lambda x: la.slogdet(x)[1])(S), la.inv(S).T)

    def test_hessian_of_log_determinant(self):
        inverse = la.inv(S)
        wanted = -np.einsum("jk,li->ijkl", inverse, inverse)
        self.close(ad.hessian(lambda x: la.slogdet(x)[1])(S), wanted)

    def test_third_derivative_of_the_determinant(self):
        def along(t):
            return la.det(S + t * np.outer(V, V) + t * np.diag(V))

        third = ad.grad(ad.grad(ad.grad(along)))(0.0)
        steps = np.array([0.0, 1.0, 2.0, 3.0])
        cubic = np.polyfit(steps, [along(t) for t in steps], 3)
        self.close(third, 6 * cubic[0])

    def test_inverse_and_power(self):
        inverse = la.inv(S)
        self.close(ad.jacobian(la.inv)(S), -np.einsum("ik,lj->ijkl", inverse, inverse))
        self.close(ad.grad(lambda x: np.trace(la.matrix_power(x, 3)))(S), 3 * (S @ S).T)

    def test_quadratic_form_of_the_inverse(self):
        x = la.solve(S, V)
        self.close(ad.grad(lambda a: V @ la.solve(a, V))(S), -np.outer(la.solve(S.T, V), x))

    def test_least_squares(self):
        def misfit(b):
            return la.lstsq(TALL, b)[1][0]

        projector = np.eye(3) - TALL @ la.pinv(TALL)
        self.close(ad.grad(misfit)(V), 2 * projector @ V)

    def test_eigenvalues_and_singular_values(self):
        _, v = la.eigh(symmetric(S))
        gradient = ad.grad(lambda x: la.eigvalsh(symmetric(x))[1])(S)
        self.close(gradient, np.outer(v[:, 1], v[:, 1]))
        u, _, vh = la.svd(S)
        self.close(ad.grad(lambda x: la.svdvals(x)[0])(S), np.outer(u[:, 0], vh[0]))
        self.close(ad.grad(lambda x: la.norm(x, "nuc"))(S), u @ vh)

    def test_eigenvalues_of_a_general_matrix(self):
        _, right = la.eig(S)
        left = la.inv(right)
        # From NumPy 2.5 on they are complex where they are real, too
        gradient = ad.grad(lambda x: la.eigvals(x)[0].real)(S)
        self.close(gradient, np.outer(left[0], right[:, 0]).real)

    def test_cholesky_of_a_scaled_matrix(self):
        matrix = symmetric(S)
        _, tangent = ad.jvp(la.cholesky, (matrix,), (matrix,))
        self.close(tangent, 0.5 * la.cholesky(matrix))

    def test_gradient_lies_in_the_triangle_that_is_read(self):
        matrix = symmetric(S)
        lower = ad.grad(lambda x: np.sum(la.eigh(x)[1][0]))(matrix)
        self.close(lower, np.tril(lower))
        upper = ad.grad(lambda x: np.sum(la.eigh(x, "U")[1][0]))(matrix)
        self.close(upper, np.triu(upper))

    def test_norm(self):
        self.close(ad.grad(la.norm)(V), V / la.norm(V))
        projector = np.eye(3) - np.outer(V, V) / (V @ V)
        self.close(ad.hessian(la.norm)(V), projector / la.norm(V))


# --- where a derivative is hard to come by, or does not exist -------------------------------------


class TestNormsAtZeroAndTies:
    @pytest.mark.parametrize("order", [None, 2, 1, 3, 1.5, np.inf, -np.inf])
    def test_vector_of_zeros(self, order):
        gradient = ad.grad(lambda x: la.norm(x, order))(np.zeros(3))
        np.testing.assert_array_equal(gradient, np.zeros(3))
        _, tangent = ad.jvp(lambda x: la.norm(x, order), (np.zeros(3),), (np.ones(3),))
        assert tangent == 0

    @pytest.mark.parametrize("order", [None, "fro", 1, np.inf])
    def test_matrix_of_zeros(self, order):
        gradient = ad.grad(lambda x: la.norm(x, order))(np.zeros((2, 3)))
        np.testing.assert_array_equal(gradient, np.zeros((2, 3)))

    def test_one_zero_row_leaves_the_others_alone(self):
        x = np.array([[0.0, 0.0], [3.0, 4.0]])
        gradient = ad.grad(lambda x: np.sum(la.norm(x, axis=1)))(x)
        np.testing.assert_allclose(gradient, [[0, 0], [0.6, 0.8]])
        hessian = ad.hessian(lambda x: np.sum(la.norm(x, axis=1)))(x)
        assert np.isfinite(hessian).all()
        np.testing.assert_array_equal(hessian[0], 0)

    def test_zero_entries_of_a_p_norm(self):
        x = np.array([0.0, 3.0, -4.0])
        wanted = np.sign(x) * (np.abs(x) / la.norm(x, 3)) ** 2
        np.testing.assert_allclose(ad.grad(lambda x: la.norm(x, 3))(x), wanted)

    def test_equal_largest_entries_share(self):
        x = np.array([2.0, -2.0, 1.0])
        gradient = ad.grad(lambda x: la.norm(x, np.inf))(x)
        np.testing.assert_array_equal(gradient, [0.5, -0.5, 0])

    def test_complex_zero(self):
        gradient = ad.grad(la.norm)(np.zeros(2, complex))
        np.testing.assert_array_equal(gradient, np.zeros(2))


class TestSingularMatrices:
    def test_determinant_of_a_singular_matrix(self):
        x = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.5, -1.0, 1.0]])
        np.testing.assert_allclose(ad.grad(la.det)(x), cofactor_matrix(x), atol=1e-12)
        ad.check_grads(la.det, (x,), order=2)

    @pytest.mark.parametrize("n", [2, 3, 4])
    def test_determinant_at_zero(self, n):
        x = np.zeros((n, n))
        np.testing.assert_array_equal(ad.grad(la.det)(x), np.zeros((n, n)))
        ad.check_grads(la.det, (x,), order=2)

    def test_complex_singular_determinant(self):
        ad.check_grads(la.det, (np.outer(C[0], C[1]),), order=2)

    def test_pseudo_inverse_of_constant_rank(self):
        def parameters(u, v):
            return la.pinv(np.outer(u, v), rcond=1e-10)

        ad.check_grads(parameters, (V, np.array([0.5, 1.0])), order=1)
        ad.check_grads(parameters, (V, np.array([0.5, 1.0, -0.4])), order=1)

    def test_condition_number_is_infinite(self):
        singular = np.outer(V, V)
        assert la.cond(ad.Tensor(np.zeros((2, 2)))).data == np.inf
        assert la.cond(ad.Tensor(np.diag([1.0, 0.0])), 1).data == np.inf
        assert la.cond(ad.Tensor(singular)).data > 1e15
        stack = np.stack([np.diag([1.0, 0.0]), np.eye(2)])
        np.testing.assert_array_equal(la.cond(ad.Tensor(stack), 1).data, [np.inf, 1.0])

    def test_batches_of_which_one_matrix_is_singular(self):
        stack = np.stack([np.eye(2), np.diag([1.0, 0.0])])
        np.testing.assert_array_equal(ad.vmap(la.cond)(stack), [1.0, np.inf])
        with pytest.raises(la.LinAlgError):
            ad.vmap(lambda x: la.cond(x, 1))(stack)
        with pytest.raises(ValueError, match=r"different ranks \(\[1, 2\]\)"):
            ad.vmap(lambda x: la.lstsq(x, np.ones(2))[0])(stack)
        gradients = ad.vmap(ad.grad(la.det))(stack)
        np.testing.assert_allclose(gradients, [np.eye(2), np.diag([0.0, 1.0])], atol=1e-14)

    def test_zeroth_power_of_anything(self):
        x = np.full((2, 2), np.inf)
        np.testing.assert_array_equal(la.matrix_power(ad.Tensor(x), 0).data, np.eye(2))
        gradient = ad.grad(lambda x: np.sum(la.matrix_power(x, 0)))(S)
        np.testing.assert_array_equal(gradient, np.zeros((3, 3)))

    def test_inverse_raises_as_numpy_does(self):
        with pytest.raises(la.LinAlgError, match="Singular"):
            la.inv(ad.Tensor(np.zeros((2, 2))))


def cofactor_matrix(x):
    """Cofactors by deleting rows and columns."""
    n = len(x)
    minors = [
        [la.det(np.delete(np.delete(x, i, 0), j, 1)) * (-1) ** (i + j) for j in range(n)]
        for i in range(n)
    ]
    return np.array(minors)


ROTATION = la.qr(RNG.standard_normal((3, 3)))[0]
REPEATED = {
    "identity": np.eye(3),
    "pair": np.diag([1.0, 1.0, 2.5]),
    "turned pair": ROTATION @ np.diag([1.0, 1.0, 2.5]) @ ROTATION.T,
    "zero": np.zeros((3, 3)),
}


@pytest.mark.parametrize("matrix", REPEATED.values(), ids=REPEATED)
class TestRepeatedEigenvalues:
    """Derivatives that exist are right; those that do not are NaN, never a plausible number."""

    def test_sums_of_eigenvalue_functions(self, matrix):
        for function, slope in ((np.sum, np.ones(3)), (lambda w: np.sum(w**3), None)):
            found = ad.grad(lambda x, f=function: f(la.eigvalsh(symmetric(x))))(matrix)
            wanted = np.eye(3) if slope is not None else 3 * matrix @ matrix
            np.testing.assert_allclose(found, wanted, atol=1e-12)
            direction = np.outer(V, V)
            _, tangent = ad.jvp(
                lambda x, f=function: f(la.eigvalsh(symmetric(x))), (matrix,), (direction,)
            )
            np.testing.assert_allclose(tangent, np.sum(wanted * direction), atol=1e-12)

    def test_general_eigenvalues(self, matrix):
        found = ad.grad(lambda x: np.sum(np.real(la.eigvals(x)) ** 2))(matrix)
        np.testing.assert_allclose(found, 2 * matrix, atol=1e-12)

    def test_singular_values(self, matrix):
        found = ad.grad(lambda x: np.sum(la.svdvals(x) ** 2))(matrix)
        np.testing.assert_allclose(found, 2 * matrix, atol=1e-12)

    def test_vectors_used_in_a_way_that_does_not_depend_on_them(self, matrix):
        found = ad.grad(lambda x: np.sum(la.eigh(x)[1] ** 2))(matrix)
        np.testing.assert_allclose(found, np.zeros((3, 3)), atol=1e-12)

    def test_vectors_themselves(self, matrix):
        for function in (
            lambda x: la.eigh(x)[1][0, 0],
            lambda x: np.real(both(la.eig(x)[1:])),
            lambda x: la.svd(x)[0][0, -1],
            lambda x: both(la.svd(x)[2:]),
            lambda x: (lambda w, v: (v * np.exp(w)) @ v.T)(*la.eigh(x))[0, 1],
        ):
            assert np.isnan(ad.grad(function)(matrix)).any()
            _, tangent = ad.jvp(function, (matrix,), (np.outer(V, V),))
            assert np.isnan(tangent)

    def test_second_derivative_is_not_a_plausible_number(self, matrix):
        hessian = ad.hessian(lambda x: np.sum(la.eigvalsh(symmetric(x)) ** 2))(matrix)
        assert np.isnan(hessian).any()

    def test_norms(self, matrix):
        if not matrix.any():
            return
        found = ad.grad(lambda x: la.norm(x, "nuc"))(matrix)
        np.testing.assert_allclose(found, np.eye(3), atol=1e-12)
        largest = ad.grad(lambda x: la.norm(x, 2))(matrix)
        np.testing.assert_allclose(np.sum(largest * matrix), la.norm(matrix, 2))


def test_nearly_equal_eigenvalues_are_still_told_apart():
    matrix = np.diag([1.0, 1.0 + 1e-6, 3.0])
    _, tangent = ad.jvp(lambda x: la.eigh(x)[1], (matrix,), (np.diag([1.0], 2) * 1.0 + np.eye(3),))
    assert np.isfinite(tangent).all()
    direction = np.zeros((3, 3))
    direction[1, 0] = 1.0
    _, tangent = ad.jvp(lambda x: la.eigh(x)[1][1, 0], (matrix,), (direction,))
    np.testing.assert_allclose(np.abs(tangent), 1e6, rtol=1e-8)


def test_large_and_small_numbers_are_not_mistaken_for_equal_ones():
    for scale in (1e-30, 1e30):
        matrix = symmetric(S) * scale
        gradient = ad.grad(lambda x: la.eigh(x)[1][0, 0])(matrix)
        wanted = ad.grad(lambda x: la.eigh(x)[1][0, 0])(symmetric(S)) / scale
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9)
        gradient = ad.grad(lambda x: la.svd(x)[0][0, 0])(S * scale)
        wanted = ad.grad(lambda x: la.svd(x)[0][0, 0])(S) / scale
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9)


@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0)])
def test_empty_matrices(shape):
    x = np.ones(shape)
    for function in (la.det, la.inv, lambda x: la.eigh(x)[0], la.norm, lambda x: la.slogdet(x)[1]):
        assert ad.grad(lambda x, f=function: np.sum(f(x)))(x).shape == shape


def test_every_function_that_numpy_dispatches_is_there():
    names = {n for n in dir(la) if hasattr(getattr(la, n), "_implementation")}
    assert {"svd", "norm", "vecdot", "tensorsolve"} <= names
    assert {n for n in names if getattr(la, n) not in FUNCTIONS} == set()


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: la.qr(t, mode="raw"), NonDifferentiableError, "raw"),
        (lambda t: la.qr(t, mode="best"), ValueError, "best"),
        (lambda t: la.inv(t[:2]), la.LinAlgError, r"inv: needs square matrices.*\(2, 3\)"),
        (lambda t: la.det(t[0]), la.LinAlgError, r"det: .*\(3,\)"),
        (lambda t: la.svd(t[0]), la.LinAlgError, "svd: needs a matrix"),
        (lambda t: la.eigh(t, UPLO="X"), ValueError, "UPLO"),
        (lambda t: la.norm(t, "nuc", axis=0), ValueError, "nuc"),
        (lambda t: la.norm(t, 5), ValueError, "5"),
        (lambda t: la.norm(t[None], 2), ValueError, "3 axes"),
        (lambda t: la.norm(t, axis=(0, 0)), ValueError, "twice"),
        (lambda t: la.norm(t, axis=2), ValueError, "axis 2"),
        (lambda t: la.norm(t, axis=0.5), TypeError, "0.5"),
        (lambda t: la.pinv(t, 1e-3, rtol=1e-3), ValueError, "rtol or rcond"),
        (lambda t: la.multi_dot([t]), ValueError, "two"),
        (lambda t: la.multi_dot([t, t[None], t]), la.LinAlgError, "array 1"),
        (lambda t: la.multi_dot([t, t], out=np.zeros((3, 3))), NonDifferentiableError, "out"),
        (lambda t: la.matrix_power(t, 0.5), TypeError, "0.5"),
        (lambda t: la.tensorinv(t, ind=0), ValueError, "ind"),
        (lambda t: la.tensorinv(t[:2]), la.LinAlgError, "tensorinv"),
        (lambda t: la.tensorsolve(t, V[:2]), la.LinAlgError, "tensorsolve"),
        (lambda t: la.lstsq(t, V[:2]), la.LinAlgError, "as many rows"),
        (lambda t: la.outer(t, t), ValueError, "two vectors"),
        (lambda t: la.cross(t[:, :2], t), ValueError, "length 3"),
        (lambda t: la.vecdot(t, V[:2]), ValueError, "3 and 2"),
        (lambda t: la.cholesky(-t @ t.T), la.LinAlgError, "positive definite"),
    ],
)
def test_wrong_input_is_explained(call, error, message):
    with pytest.raises(error, match=message):
        call(ad.Tensor(S))
