"""Schur and RQ forms, generalised and left eigenvectors: against SciPy, and by identities."""

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import NonDifferentiableError

reference = pytest.importorskip("scipy.linalg")

from autodiff.scipy import linalg  # noqa: E402 after the check that SciPy is there

RNG = np.random.default_rng(3)
N = 4
REAL = np.diag([3.0, 1.0, -2.0, 5.0]) + 0.3 * RNG.uniform(-1, 1, (N, N))
TURNING = REAL + np.array([[0, 4, 0, 0], [-4, 0, 0, 0], [0] * 4, [0] * 4])
COMPLEX = REAL + 0.7j * RNG.uniform(-1, 1, (N, N))
MATRICES = {"real": REAL, "turning": TURNING, "complex": COMPLEX}
MASS = np.eye(N) + 0.2 * RNG.uniform(-1, 1, (N, N))
DIRECTION = np.arange(N * N).reshape(N, N) % 5 - 2.0


def as_scipys(found, wanted, rtol=1e-9):
    assert len(found) == len(wanted)
    for part, other in zip(found, wanted, strict=True):
        assert np.shape(part) == np.shape(other)
        assert np.asarray(part).dtype.kind == np.asarray(other).dtype.kind
        np.testing.assert_allclose(part, other, rtol=rtol, atol=1e-9)


@pytest.mark.parametrize("output", ["real", "complex"])
@pytest.mark.parametrize("kind", MATRICES)
def test_schur(kind, output):
    a = MATRICES[kind]
    wanted = reference.schur(a, output)
    as_scipys(linalg.schur(a, output), wanted, 0.0)
    if kind == "turning" and output == "real":
        with pytest.raises(NonDifferentiableError, match="output='complex'"):
            ad.vjp(lambda a: linalg.schur(a, output), a)
        return
    as_scipys(ad.vjp(lambda a: linalg.schur(a, output), a)[0], wanted)
    t, z = ad.jvp(lambda a: linalg.schur(a, output), (a,), (np.cos(a),))[1]
    full, basis = wanted
    # The definition, differentiated: T stays triangular, Z unitary, and Z T Z^H is a
    adjoint = np.conj(basis.T)
    np.testing.assert_allclose(np.tril(t, -1), 0.0, atol=1e-12)
    np.testing.assert_allclose(adjoint @ z + np.conj(z.T) @ basis, 0.0, atol=1e-9)
    change = z @ full @ adjoint + basis @ t @ adjoint + basis @ full @ np.conj(z.T)
    np.testing.assert_allclose(change, np.cos(a), atol=1e-9)

    def loss(a):
        t, z = linalg.schur(a, output)
        return np.sum(np.abs(t) ** 2 * WEIGHTS) + np.sum(np.abs(z) ** 4)

    ad.check_grads(loss, (a,), order=2)


WEIGHTS = RNG.uniform(0.5, 1.5, (N, N))


def test_schur_sorted_batched_and_compiled():
    wanted = reference.schur(REAL, sort="lhp")
    found = ad.vjp(lambda a: linalg.schur(a, sort="lhp")[:2], REAL)[0]
    as_scipys(found, wanted[:2])
    assert linalg.schur(ad.Tensor(REAL), sort="lhp")[2] == wanted[2]

    def loss(a):
        return np.sum(linalg.schur(a, "complex")[0][0].real ** 2)

    rows = np.stack([REAL, REAL.T])
    gradients = [ad.grad(loss)(a) for a in rows]
    np.testing.assert_allclose(ad.vmap(ad.grad(loss))(rows), gradients, rtol=1e-9, atol=1e-12)
    compiled = ad.compile(ad.grad(loss))
    for a, g in zip(rows, gradients, strict=True):
        np.testing.assert_allclose(compiled(a), g, rtol=1e-9, atol=1e-12)
    assert ad.grad(loss)(REAL.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("mode", ["full", "r", "economic"])
@pytest.mark.parametrize("shape", [(4, 4), (3, 4), (4, 3)])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_rq(kind, shape, mode):
    a = MATRICES[kind][: shape[0], : shape[1]]
    wanted = reference.rq(a, mode=mode)

    def parts(a):
        found = linalg.rq(a, mode=mode)
        return found if isinstance(found, tuple) else (found,)

    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    as_scipys(parts(a), wanted, 0.0)
    as_scipys(ad.vjp(parts, a)[0], wanted)
    rows = slice(None) if mode != "full" else slice(shape[1] - min(shape), None)
    ad.check_grads(lambda a: [np.abs(part[..., rows, :]) for part in parts(a)[-1:]], (a,), order=1)
    ad.check_grads(lambda a: parts(a)[0], (a,), order=2)


@pytest.mark.parametrize("mass", [None, MASS], ids=["standard", "generalised"])
@pytest.mark.parametrize("kind", MATRICES)
def test_left_and_generalised_eigenvectors(kind, mass):
    a = MATRICES[kind]
    for left, right in ((True, True), (True, False), (False, True), (False, False)):
        wanted = reference.eig(a, mass, left, right)

        def parts(a, left=left, right=right):
            found = linalg.eig(a, mass, left, right)
            return found if isinstance(found, tuple) else (found,)

        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        # Some of SciPy's left vectors are not of length 1
        wanted = (wanted[0], *(v / np.linalg.norm(v, axis=0) for v in wanted[1:]))
        as_scipys(parts(a), wanted, 1e-12)
        as_scipys(ad.vjp(parts, a)[0], wanted)

    def loss(a, b=mass):
        w, vl, vr = linalg.eig(a, b, left=True)
        return np.sum(np.abs(w) ** 3) + np.sum(np.abs(vl) ** 4) + np.sum(np.abs(vr) ** 3)

    ad.check_grads(loss, (a,), order=2)
    if mass is None:
        # Phases too: LAPACK's vectors have a real largest component, wherever the matrix goes
        vl, vr = ad.jvp(lambda a: linalg.eig(a, left=True)[1:], (a,), (DIRECTION,))[1]
        h = 1e-6
        one, other = (reference.eig(a + e * DIRECTION, left=True)[1:] for e in (h, -h))
        for found, up, down in zip((vl, vr), one, other, strict=True):
            np.testing.assert_allclose(found, (up - down) / (2 * h), rtol=1e-5, atol=1e-7)
    if mass is not None:
        ad.check_grads(lambda b: loss(a, b), (mass,), order=1)
        np.testing.assert_allclose(
            ad.vjp(lambda a: linalg.eigvals(a, mass), a)[0], reference.eigvals(a, mass)
        )


def test_subspace_angles():
    for widths in ((2, 2), (3, 1), (1, 3)):
        A, B = RNG.standard_normal((6, widths[0])), RNG.standard_normal((6, widths[1]))
        near = A[:, : min(widths)] + 1e-3 * B[:, : min(widths)]
        for other in (B, near):
            wanted = reference.subspace_angles(A, other)
            np.testing.assert_allclose(linalg.subspace_angles(A, other), wanted)
            found = ad.vjp(lambda A, o=other: linalg.subspace_angles(A, o), A)[0]
            np.testing.assert_allclose(found, wanted, rtol=1e-9)
        ad.check_grads(linalg.subspace_angles, (A, B), order=1)
    with pytest.raises(ValueError, match="A has 6 rows and B 5"):
        ad.vjp(lambda A: linalg.subspace_angles(A, B[:5]), A)


def test_fiedler_companion():
    for n in range(6):
        a = RNG.uniform(1, 2, n)
        wanted = reference.fiedler_companion(a)
        np.testing.assert_array_equal(linalg.fiedler_companion(a), wanted)
        if n > 1:
            found = ad.vjp(linalg.fiedler_companion, a)[0]
            np.testing.assert_allclose(found, wanted, rtol=1e-14)
            ad.check_grads(linalg.fiedler_companion, (a,), order=2)


def test_wrong_inputs_are_named():
    stack = np.stack([REAL, REAL])
    for call, error, text in (
        (lambda a: linalg.schur(a[:2]), np.linalg.LinAlgError, r"schur.*\(2, 4\)"),
        (lambda a: linalg.schur(a, "no"), ValueError, "schur: output"),
        (lambda a: linalg.schur(a + 0 * stack), ValueError, "schur: takes one matrix"),
        (lambda a: linalg.rq(a, mode="no"), ValueError, "rq: mode"),
        (lambda a: linalg.eig(a, MASS[:2, :2]), ValueError, "eig|solve"),
        (lambda a: linalg.eig(a + 0 * stack, left=True), ValueError, "eig: b= and left=True"),
        (
            lambda a: linalg.eig(a, homogeneous_eigvals=True),
            NonDifferentiableError,
            "homogeneous_eigvals",
        ),
        (lambda a: linalg.fiedler_companion(0 * a[0]), ValueError, "first coefficient"),
    ):
        with pytest.raises(error, match=text):
            ad.vjp(call, REAL)
