"""Rank filters, morphology and measurements: values against SciPy's, derivatives by differences."""

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import NonDifferentiableError

sn = pytest.importorskip("scipy.ndimage")

from autodiff.scipy import ndimage  # noqa: E402 after the check that SciPy is there

RNG = np.random.default_rng(4)
IMAGE = RNG.permutation(20).reshape(4, 5) + RNG.uniform(0.0, 0.5, (4, 5))
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
CORNER = np.array([[1, 1], [1, 0]], bool)
HILL = np.array([[0.1, 0.5, 0.2], [0.4, 1.3, 0.6]])
MODES = ("reflect", "constant", "nearest", "mirror", "wrap", "grid-constant")

RANKS = {
    "rank_filter": lambda f, x, **k: f(x, 1, **k),
    "percentile_filter": lambda f, x, **k: f(x, 70, **k),
    "median_filter": lambda f, x, **k: f(x, **k),
    "minimum_filter": lambda f, x, **k: f(x, **k),
    "maximum_filter": lambda f, x, **k: f(x, **k),
}
MORPHOLOGY = (
    *("grey_erosion", "grey_dilation", "grey_opening", "grey_closing", "morphological_gradient"),
    *("morphological_laplace", "white_tophat", "black_tophat"),
)
WAYS = {
    "size": {"size": 3},
    "sizes": {"size": (2, 3), "origin": (-1, 1)},
    "cross": {"footprint": CROSS},
    "corner": {"footprint": CORNER, "origin": (0, -1)},
    **{mode: {"size": (3, 2), "mode": mode, "cval": 7.3} for mode in MODES},
}


def the_same(call, x):
    """Values on Tensors are SciPy's; derivatives are differences, by image and by constant."""
    wanted = call(sn, x)
    np.testing.assert_array_equal(call(ndimage, x), wanted)
    found = ad.vjp(lambda x: call(ndimage, x), x)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-14)
    assert found.dtype == wanted.dtype
    ad.check_grads(lambda x: call(ndimage, x), (x,), order=1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RANKS)
def test_filters_that_choose(name, way):
    the_same(lambda s, x: RANKS[name](getattr(s, name), x, **WAYS[way]), IMAGE)


@pytest.mark.parametrize("name", ["minimum_filter1d", "maximum_filter1d"])
def test_filters_along_an_axis(name):
    for keywords in ({"axis": 0}, {"mode": "constant", "cval": 9.2, "origin": 1}):
        the_same(lambda s, x, k=keywords: getattr(s, name)(x, 3, **k), IMAGE)


@pytest.mark.parametrize("way", ["size", "corner", "constant", "wrap"])
@pytest.mark.parametrize("name", MORPHOLOGY)
def test_flat_morphology(name, way):
    the_same(lambda s, x: getattr(s, name)(x, **WAYS[way]), IMAGE)


@pytest.mark.parametrize("mode", ["reflect", "constant", "wrap"])
@pytest.mark.parametrize("name", MORPHOLOGY)
def test_morphology_with_a_structure(name, mode):
    keywords = {"mode": mode, "cval": 3.2, "origin": (0, 1)}
    the_same(lambda s, x: getattr(s, name)(x, structure=HILL, **keywords), IMAGE)
    if name in MORPHOLOGY[:2]:
        used = np.array([[1, 0, 1], [0, 1, 1]], bool)
        the_same(
            lambda s, x: getattr(s, name)(x, structure=HILL, footprint=used, **keywords), IMAGE
        )
        ad.check_grads(lambda h: getattr(ndimage, name)(IMAGE, structure=h), (HILL,), order=1)


def test_the_constant_beyond_the_edge_and_equal_elements():
    ad.check_grads(
        lambda c: ndimage.median_filter(IMAGE, 3, mode="constant", cval=c), (6.2,), order=1
    )
    ad.check_grads(
        lambda c: ndimage.grey_dilation(IMAGE, structure=HILL, mode="constant", cval=c), (20.1,)
    )
    g = ad.grad(lambda x: np.sum(ndimage.maximum_filter(x, 3)))(np.ones((3, 3)))
    assert g.sum() == 9.0
    assert (g >= 0).all()


def test_transforms_of_choices():
    def loss(x):
        return np.sum(ndimage.median_filter(x, 3) ** 2)

    rows = np.stack([IMAGE, IMAGE[::-1] + 1.0])
    np.testing.assert_allclose(ad.vmap(ad.grad(loss))(rows)[1], ad.grad(loss)(rows[1]))
    compiled = ad.compile(ad.grad(loss))
    for x in rows:
        np.testing.assert_allclose(compiled(x), ad.grad(loss)(x))
    np.testing.assert_allclose(ad.hvp(loss, (IMAGE,), (IMAGE,)), ad.grad(loss)(IMAGE))
    single = ad.grad(loss)(IMAGE.astype(np.float32))
    assert single.dtype == np.float32
    axes = {"axes": (1,)}
    np.testing.assert_array_equal(
        ad.vjp(lambda x: ndimage.median_filter(x, 3, **axes), IMAGE)[0],
        sn.median_filter(IMAGE, 3, **axes),
    )


LABELS = np.array([[1, 1, 0, 2, 2], [1, 0, 0, 2, 2], [3, 3, 0, 0, 2], [0, 3, 4, 0, 0]])
MEASURES = ("sum", "sum_labels", "mean", "variance", "standard_deviation", "minimum", "maximum")
INDICES = {
    "whole": (),
    "positive": (LABELS,),
    "one": (LABELS, 3),
    "some": (LABELS, [3, 1, 3, 2]),
    "nested": (LABELS, np.array([[1, 2], [3, 1]])),
    "rows": (LABELS[:, :1], [1, 3]),
}


@pytest.mark.parametrize("which", INDICES)
@pytest.mark.parametrize("name", [*MEASURES, "median"])
def test_measurements(name, which):
    given = INDICES[which]
    call = getattr(ndimage, name)
    if which == "rows" and name in ("variance", "standard_deviation"):
        pytest.skip("SciPy's does not broadcast labels there")
    wanted = getattr(sn, name)(IMAGE, *given)
    np.testing.assert_array_equal(call(IMAGE, *given), wanted)
    found = ad.vjp(lambda x: call(x, *given), IMAGE)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert np.shape(found) == np.shape(wanted)
    ad.check_grads(lambda x: call(x, *given), (IMAGE,), order=1 + (name in MEASURES[:5]))
    single = IMAGE.astype(np.float32)
    found = ad.vjp(lambda x: call(x, *given), single)[0]
    if name not in ("variance", "standard_deviation"):
        assert found.dtype == getattr(sn, name)(single, *given).dtype or which == "positive"


def test_centres_and_positions():
    for given in ((), (LABELS,), (LABELS, 2), (LABELS, [2, 3])):
        wanted = sn.center_of_mass(IMAGE, *given)
        found = ad.vjp(lambda x, g=given: ndimage.center_of_mass(x, *g), IMAGE)[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
        assert type(found) is type(wanted)
        ad.check_grads(
            lambda x, g=given: np.stack(
                [np.stack(c) if isinstance(c, tuple) else c for c in ndimage.center_of_mass(x, *g)]
            ),
            (IMAGE,),
            order=2,
        )
        for found, wanted in zip(
            ndimage.extrema(ad.Tensor(IMAGE), *given), sn.extrema(IMAGE, *given), strict=True
        ):
            np.testing.assert_array_equal(np.asarray(getattr(found, "data", found)), wanted)
    assert ad.vjp(lambda x: ndimage.minimum(x, LABELS, [1, 9]), IMAGE)[0][1] == 0.0
    rows = np.stack([IMAGE, -IMAGE])
    many = ad.vmap(ad.grad(lambda x: np.sum(ndimage.median(x, LABELS, [1, 2]) ** 2)))(rows)
    np.testing.assert_allclose(many[0], many[1] * -1.0)
    compiled = ad.compile(ad.grad(lambda x: np.sum(ndimage.maximum(x, LABELS, [1, 2]) ** 2)))
    for x in rows:
        wanted = ad.grad(lambda x: np.sum(ndimage.maximum(x, LABELS, [1, 2]) ** 2))(x)
        np.testing.assert_array_equal(compiled(x), wanted)


@pytest.mark.parametrize(
    ("name", "value"),
    [("gaussian", (0.5, 1.0)), ("uniform", 2.0), ("ellipsoid", 2.0), ("shift", (0.3, -1.0))],
)
def test_filters_of_fourier_transforms(name, value):
    call = getattr(ndimage, f"fourier_{name}")
    theirs = getattr(sn, f"fourier_{name}")
    for x in (IMAGE, IMAGE * (1 + 0.5j), IMAGE.astype(np.float32)):
        for keywords in ({}, {"n": 8, "axis": 1}):
            wanted = theirs(x, value, **keywords)
            np.testing.assert_array_equal(call(x, value, **keywords), wanted)
            found = ad.vjp(lambda x, k=keywords: call(x, value, **k), x)[0]
            np.testing.assert_allclose(found, wanted, rtol=1e-6)
            assert found.dtype == wanted.dtype
        if x.dtype != np.float32:
            ad.check_grads(lambda x: call(x, value), (x,), order=2)
    with pytest.raises(NonDifferentiableError, match=f"fourier_{name}"):
        ad.grad(lambda v: np.sum(np.abs(call(IMAGE, v))))(2.0)


WRONG = {
    "output": (lambda x: ndimage.median_filter(x, 3, output=float), TypeError, "output"),
    "complex": (lambda x: ndimage.maximum_filter(x + 1j, 3), TypeError, "complex"),
    "footprint": (
        lambda x: ndimage.grey_erosion(IMAGE, footprint=x[:2, :2]),
        (TypeError, NonDifferentiableError),
        "footprint",
    ),
    "labels": (
        lambda x: ndimage.sum_labels(IMAGE, x),
        (TypeError, NonDifferentiableError),
        "labels",
    ),
    "shape": (lambda x: ndimage.mean(x, LABELS[:2]), ValueError, r"labels of shape \(2, 5\)"),
    "empty": (lambda x: ndimage.mean(x, LABELS, [1, 9]), ValueError, "empty"),
    "index": (lambda x: ndimage.mean(x, None, 1), ValueError, "index without labels"),
    "structure": (lambda x: ndimage.grey_erosion(x, structure=[1.0]), RuntimeError, "structure"),
    "mode": (lambda x: ndimage.grey_erosion(x, structure=HILL, mode="no"), ValueError, "mode"),
    "cval": (lambda x: ndimage.median_filter(x, 3, cval=x), ValueError, "cval"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs_are_named(name):
    call, error, text = WRONG[name]
    with pytest.raises(error, match=text):
        ad.vjp(call, IMAGE)


def test_every_name_of_scipys_is_here_or_says_why():
    for name in dir(sn):
        if name.startswith("_") or type(getattr(sn, name)).__name__ == "module" or name == "test":
            continue
        if name in ndimage.__all__:
            assert getattr(ndimage, name) is not None
            continue
        with pytest.raises(AttributeError, match="here: "):
            getattr(ndimage, name)


def test_functions_of_constants_refuse_tensors():
    """They are SciPy's own, and no other is named in their place."""
    for name in ("label", "binary_erosion", "find_objects"):
        with pytest.raises(TypeError, match=r"tensor\.data") as refused:
            getattr(ndimage, name)(ad.Tensor(IMAGE))
        assert f"write autodiff.scipy.ndimage.{name}" not in str(refused.value)
    with pytest.raises(TypeError, match=r"autodiff\.scipy\.ndimage\.median_filter"):
        sn.median_filter(ad.Tensor(IMAGE), 3)
