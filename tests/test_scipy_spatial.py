"""Distances on Tensors: values against SciPy's, derivatives numerically, coincident points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad

sd = pytest.importorskip("scipy.spatial.distance")

from autodiff.scipy import spatial  # noqa: E402 after the check that SciPy is there
from autodiff.scipy.spatial import distance  # noqa: E402

RNG = np.random.default_rng(6)
A = RNG.standard_normal((6, 3))
B = RNG.standard_normal((4, 3))
W = np.array([0.5, 1.5, 1.0])
VI = np.diag([1.0, 2.0, 0.5]) + 0.1

METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (name, {})
        for name in (
            *("euclidean", "sqeuclidean", "cityblock", "chebyshev", "minkowski", "seuclidean"),
            *("mahalanobis", "correlation", "cosine", "canberra", "braycurtis"),
        )
    },
    "weighted": ("euclidean", {"w": W}),
    "weighted city": ("cityblock", {"w": W}),
    "weighted canberra": ("canberra", {"w": W}),
    "weighted cosine": ("cosine", {"w": W}),
    "p": ("minkowski", {"p": 3}),
    "p below 2": ("minkowski", {"p": 1.5, "w": W}),
    "p 1": ("minkowski", {"p": 1}),
    "V": ("seuclidean", {"V": W}),
    "VI": ("mahalanobis", {"VI": VI}),
    "short": ("cheb", {}),
}


@pytest.mark.parametrize("name", METRICS)
def test_values_and_derivatives(name: str) -> None:
    metric, options = METRICS[name]
    wanted = sd.cdist(A, B, metric, **options)
    np.testing.assert_array_equal(distance.cdist(A, B, metric, **options), wanted)
    found = distance.cdist(ad.Tensor(A), B, metric, **options)
    np.testing.assert_allclose(found.data, wanted, rtol=1e-11)
    pairs = distance.pdist(ad.Tensor(A), metric, **options)
    np.testing.assert_allclose(pairs.data, sd.pdist(A, metric, **options), rtol=1e-11)
    # Chosen without points: then it takes the others' spread, too
    ad.check_grads(lambda a, b: distance.cdist(a, b, metric, **options), (A, B), order=2)
    ad.check_grads(lambda a: distance.pdist(a, metric, **options), (A,), order=2)
    for key, value in options.items():
        if key != "p":
            ad.check_grads(
                lambda v, k=key: distance.cdist(A, B, metric, **{**options, k: v}),
                (value,),
                order=2,
            )


@pytest.mark.parametrize(
    "name",
    [name for name, (metric, given) in METRICS.items() if hasattr(sd, metric)],
)
def test_distances_of_vectors(name: str) -> None:
    metric, options = METRICS[name]
    if metric in ("seuclidean", "mahalanobis") and not options:
        options = {"V": W} if metric == "seuclidean" else {"VI": VI}
    ours, theirs = getattr(distance, metric), getattr(sd, metric)
    np.testing.assert_allclose(
        ours(ad.Tensor(A[0]), B[0], **options).data, theirs(A[0], B[0], **options)
    )
    assert ours(A[0], B[0], **options) == theirs(A[0], B[0], **options)
    ad.check_grads(lambda u, v: ours(u, v, **options), (A[0], B[0]), order=2)


@pytest.mark.parametrize("name", METRICS)
def test_coincident_points_have_no_nan(name: str) -> None:
    metric, options = METRICS[name]
    if metric in ("correlation", "cosine"):
        options = {}
    points = np.concatenate([A, A[1:2]])
    f = lambda x: np.sum(distance.pdist(x, metric, **options))  # noqa: E731
    assert np.isfinite(ad.grad(f)(points)).all()
    if metric in ("euclidean", "cityblock"):
        same = ad.grad(lambda x: np.sum(distance.cdist(x, x, metric)))(A[:1])
        np.testing.assert_array_equal(same, 0.0)


def test_near_points_keep_their_digits() -> None:
    a = 1e6 + np.array([[0.0, 0.0]])
    b = a + np.array([[3e-4, 4e-4]])
    gap = b - a
    gradient = ad.grad(lambda x: np.sum(distance.cdist(x, b)))(a)
    np.testing.assert_allclose(gradient, -gap / np.sqrt(np.sum(gap**2)), rtol=1e-12)


def test_vmap_float32_and_squareform() -> None:
    stack = np.stack([A, A[::-1] * 2])
    f = lambda a: distance.cdist(a, B)  # noqa: E731
    np.testing.assert_allclose(ad.vmap(f)(stack), np.stack([f(a) for a in stack]), rtol=1e-12)
    low = A.astype(np.float32)
    assert ad.grad(lambda a: np.sum(distance.pdist(a)))(low).dtype == np.float32
    assert distance.cdist(ad.Tensor(low), B).dtype == sd.cdist(low, B).dtype
    vector = sd.pdist(A)
    matrix = distance.squareform(ad.Tensor(vector))
    np.testing.assert_array_equal(matrix.data, sd.squareform(vector))
    np.testing.assert_array_equal(distance.squareform(matrix).data, vector)
    ad.check_grads(distance.squareform, (vector,), order=2)
    ad.check_grads(lambda m: distance.squareform(m, checks=False), (matrix.data,), order=2)


def test_errors_name_the_function() -> None:
    t = ad.Tensor(A)
    for call, error, match in (
        (lambda: distance.cdist(t, B, "hamming"), ValueError, "metric 'hamming' has no derivative"),
        (lambda: distance.cdist(t, B[:, :2]), ValueError, "in 3 and 2 dimensions"),
        (lambda: distance.cdist(t, B, "euclidean", p=3), TypeError, "takes no 'p'"),
        (lambda: distance.cdist(t, B, out=A), TypeError, "out cannot be given"),
        (lambda: distance.pdist(t[0]), ValueError, r"pdist: 2 axes are needed, got shape \(3,\)"),
        (lambda: distance.pdist(t * 1j), TypeError, "real"),
        (lambda: distance.cdist(t, B, "minkowski", p=-1.0), ValueError, "p must be positive"),
        (lambda: distance.squareform(t), ValueError, "not square"),
        (lambda: distance.squareform(t[:2, 0]), ValueError, "not those of all pairs"),
        (lambda: distance.squareform(t[:3]), ValueError, "not symmetric"),
        (lambda: distance.euclidean(t[0], B), ValueError, "euclidean: 1 axes"),
        (lambda: spatial.KDTree, AttributeError, "has no 'KDTree': SciPy's has no derivative"),
    ):
        with pytest.raises(error, match=match):
            call()
    with pytest.raises(TypeError, match=r"autodiff\.scipy\.spatial\.distance\.cdist"):
        sd.cdist(t, B)
