"""Multivariate distributions: draws, entropies and moments beside SciPy's."""

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import NonDifferentiableError

reference = pytest.importorskip("scipy.stats")

from autodiff.scipy import stats  # noqa: E402 after the check that SciPy is there

MEAN = np.array([0.3, -1.0, 2.0])
ROOT = np.array([[1.2, 0.0, 0.0], [0.4, 0.9, 0.0], [-0.3, 0.2, 0.7]])
COV = ROOT @ ROOT.T
ALPHA = np.array([0.8, 2.0, 3.5])


@pytest.mark.parametrize("size", [1, 4, (2, 3)])
@pytest.mark.parametrize("seed", [3, "generator"])
def test_normal_draws_are_scipys_and_move(size, seed):
    def state():
        return np.random.default_rng(5) if seed == "generator" else seed

    normal = stats.multivariate_normal
    wanted = reference.multivariate_normal.rvs(MEAN, COV, size, state())
    np.testing.assert_array_equal(normal.rvs(MEAN, COV, size, state()), wanted)
    found = normal.rvs(ad.Tensor(MEAN), ad.Tensor(COV), size=size, random_state=state())
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.data, wanted, rtol=1e-10)
    jacobian = ad.jacobian(lambda m: normal.rvs(m, COV, size, state()))(MEAN)
    np.testing.assert_allclose(
        jacobian, np.broadcast_to(np.eye(3), jacobian.shape), rtol=1e-12, atol=1e-14
    )
    z = np.linalg.solve(ROOT, (wanted - MEAN).reshape(-1, 3).T)
    moved = ad.jvp(
        lambda root: normal.rvs(MEAN, root @ root.T, size, state()), (ROOT,), (np.tril(ROOT**2),)
    )[1]
    np.testing.assert_allclose(moved.reshape(-1, 3).T, np.tril(ROOT**2) @ z, rtol=1e-8, atol=1e-9)


def test_normal_draws_of_other_covariances():
    normal = stats.multivariate_normal
    for mean, cov in ((MEAN, 2.0), (None, COV), (MEAN, np.array([1.0, 2.0, 0.5])), (0.5, 2.0)):
        found = normal.rvs(mean, ad.Tensor(cov), size=3, random_state=1)
        wanted = reference.multivariate_normal.rvs(mean, cov, size=3, random_state=1)
        np.testing.assert_allclose(found.data, wanted, rtol=1e-10)
    many = ad.vmap(lambda m: normal.rvs(m, COV, size=2, random_state=1))(np.stack([MEAN, 2 * MEAN]))
    np.testing.assert_allclose(many[1] - many[0], np.broadcast_to(MEAN, (2, 3)), rtol=1e-10)


@pytest.mark.parametrize("cov", [COV, 2.0, np.array([1.0, 2.0, 0.5])])
def test_normal_entropy(cov):
    normal = stats.multivariate_normal
    found = normal.entropy(MEAN, cov)
    np.testing.assert_allclose(found, reference.multivariate_normal.entropy(MEAN, cov), rtol=1e-12)
    ad.check_grads(lambda c: normal.entropy(MEAN, c), (cov,), order=2)


def test_normal_probabilities_are_refused_by_name():
    normal = stats.multivariate_normal
    np.testing.assert_allclose(
        normal.cdf(np.zeros(3), MEAN, COV),
        reference.multivariate_normal.cdf(np.zeros(3), MEAN, COV),
        rtol=1e-3,
    )
    for method in ("cdf", "logcdf"):
        with pytest.raises(NonDifferentiableError, match=f"multivariate_normal.{method}"):
            getattr(normal, method)(np.zeros(3), ad.Tensor(MEAN), COV)


def test_dirichlet_moments_and_entropy():
    for method in ("mean", "var", "cov", "entropy"):
        call = getattr(stats.dirichlet, method)
        np.testing.assert_allclose(
            call(ALPHA), getattr(reference.dirichlet, method)(ALPHA), rtol=1e-12
        )
        ad.check_grads(call, (ALPHA,), order=2)
        with pytest.raises(ValueError, match="dirichlet"):
            call(-ALPHA)
        with pytest.raises(ValueError, match="dirichlet"):
            call(np.ones((2, 2)))


def test_dirichlet_draws():
    rvs = stats.dirichlet.rvs
    wanted = reference.dirichlet.rvs(ALPHA, size=(5,), random_state=2)
    np.testing.assert_array_equal(rvs(ALPHA, size=(5,), random_state=2), wanted)
    found = rvs(ad.Tensor(ALPHA), size=(5,), random_state=2)
    np.testing.assert_allclose(found.data, wanted, rtol=1e-8)
    # The mean of the derivatives of a function is that of its mean: here of share 0 squared.
    n = 4000

    def squared(alpha):
        return np.mean(np.square(rvs(alpha, size=n, random_state=7)[:, 0]))

    def known(alpha):
        return stats.dirichlet.var(alpha)[0] + stats.dirichlet.mean(alpha)[0] ** 2

    np.testing.assert_allclose(ad.grad(squared)(ALPHA), ad.grad(known)(ALPHA), rtol=0.1)
    with pytest.raises(NonDifferentiableError, match=r"dirichlet.rvs.*gamma"):
        ad.vmap(rvs)(np.stack([ALPHA, ALPHA]))


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_a_singular_covariance(rank):
    rng = np.random.default_rng(rank)
    root, mean = rng.normal(size=(4, rank)), rng.normal(size=4)
    points = mean + rng.normal(size=(3, rank)) @ root.T
    logpdf = stats.multivariate_normal.logpdf
    for x in (points, points + 1.0):
        wanted = reference.multivariate_normal.logpdf(x, mean, root @ root.T, allow_singular=True)
        found = logpdf(x, mean, root @ root.T, allow_singular=True)
        np.testing.assert_allclose(found, wanted, rtol=1e-10)

    def along_the_rank(root, mean):
        return np.sum(logpdf(mean + weights @ root.T, mean, root @ root.T, allow_singular=True))

    weights = rng.normal(size=(3, rank))
    ad.check_grads(along_the_rank, (root, mean), order=2)


def test_a_singular_covariance_of_other_forms():
    logpdf = stats.multivariate_normal.logpdf
    for cov in (2.0, np.array([1.0, 0.0, 3.0])):
        n = np.size(cov)
        x = np.array([[0.5, 0.0, -1.0]])[:, :n]
        wanted = reference.multivariate_normal.logpdf(x, np.zeros(n), cov, allow_singular=True)
        np.testing.assert_allclose(logpdf(x, np.zeros(n), cov, allow_singular=True), wanted)
