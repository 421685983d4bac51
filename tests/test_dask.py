"""Dask's arrays go through the engine as graphs: lazy in, lazy out, and nothing is computed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from registry import CASES, SMOOTH, Case, generator, like

import autodiff as ad
from autodiff import chunked, nn, optim, tree
from autodiff.core import arrays

dask = pytest.importorskip("dask", reason="Dask is not installed")
da = pytest.importorskip("dask.array", reason="Dask's arrays are not installed")

pytestmark = pytest.mark.filterwarnings("error::FutureWarning")  # Dask's, where it computes


class ComputedError(Exception):
    """Something was computed where nothing may be."""


def refuse(*args: Any, **keywords: Any) -> Any:
    raise ComputedError


@contextmanager
def unseen() -> Iterator[None]:
    """Make any computation of Dask's an error."""
    with dask.config.set(scheduler=refuse):
        yield


def in_chunks(value: Any) -> Any:
    """Dask's array of the same numbers, in two chunks along each axis."""
    if not isinstance(value, (np.ndarray, np.generic, float, complex)):
        return value
    array = np.asarray(value)
    return da.from_array(array, chunks=tuple(max(1, (n + 1) // 2) for n in array.shape))


def in_one(value: Any) -> Any:
    """Dask's array of one chunk."""
    is_array = isinstance(value, (np.ndarray, np.generic, float, complex))
    return da.from_array(np.asarray(value), chunks=-1) if is_array else value


def same(found: Any, wanted: Any, rtol: float = 1e-9, atol: float = 1e-10) -> None:
    """Compare Dask's arrays with what NumPy's give; nothing else may come out."""
    ours, theirs = tree.leaves(found), tree.leaves(wanted)
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        if isinstance(two, (bool, int, str)):
            assert one == two
            continue
        assert type(one) is da.Array
        assert one.dtype == np.asarray(two).dtype
        assert one.shape == np.shape(two)
        np.testing.assert_allclose(one.compute(scheduler="sync"), two, rtol=rtol, atol=atol)


# --- the registry -------------------------------------------------------------------------------

arrays.is_foreign(da.ones(1))  # a primitive by itself does not ask which arrays there are

NO_FUNCTION = {
    **dict.fromkeys(
        (
            "airy_ai",
            "airy_ai_slope",
            "airy_bi",
            "airy_bi_slope",
            "fresnel_s",
            "fresnel_c",
            "sine_integral",
            "cosine_integral",
            "hyperbolic_sine_integral",
            "hyperbolic_cosine_integral",
        ),
        "dask has no scipy.special",
    ),
    **dict.fromkeys(
        (
            "foldnorm_quantile",
            "invgauss_quantile",
            "rice_quantile",
            "rice_sf",
            "skewnorm_quantile",
            "vonmises_quantile",
        ),
        "it takes NumPy's arrays",
    ),
    "argsort": "dask has no numpy.argsort",
    "chosen_places": "dask has no numpy.argsort",
    "region_places": "dask has no numpy.lexsort",
    "cofactors": "dask has no numpy.linalg.det",
    "convolve": "dask has no numpy.convolve",
    "det": "dask has no numpy.linalg.det",
    "eig": "dask has no numpy.linalg.eig",
    "eigh": "dask has no numpy.linalg.eigh",
    "partition_order": "dask has no numpy.partition",
    "pinv": "dask has no numpy.linalg.pinv",
    "polynomial_roots": "dask has no numpy.roots",
    "slogdet": "dask has no numpy.linalg.slogdet",
    "entry_products": "a sparse product takes NumPy's arrays",
    "sampled_matmul": "a sparse product takes NumPy's arrays",
    "sparse_matmul": "a sparse product takes NumPy's arrays",
}
"""Primitives whose function Dask does not have, and what is said."""

OF_SCIPY_ALONE = {
    "expm_cotangent",
    "expm_product",
    "expm_tangent",
    "interpolated",
    "lu_factors",
    "operator_matmul",
    "qr_pivots",
    "rows_of_pivots",
    "scattered",
    "signm",
    "solve_continuous_are",
    "solve_discrete_are",
    "solve_stein",
    "spline_coefficients",
    "spline_transposed",
    "toeplitz_solve",
    "tridiagonal_eigh",
    "banded_solve",
    "eigenpairs",
    "order_of_values",
    "phases_of_vectors",
    "krylov_solve",
    "sparse_solve",
    "rational_filter",
    "sections_filter",
    "zero_phase_filter",
    "zero_phase_transposed",
    "savgol",
    "savgol_transposed",
    "spectral_resampling",
    "polyphase",
    "filtered",
    "filtered_along",
    "convolve_nd",
    "expm",
    "logm",
    "polygamma",
    "solve_sylvester",
    "spherical_in",
    "spherical_jn",
    "spherical_kn",
    "spherical_yn",
    "sqrtm",
    "triangular_solve",
    "trigonometric",
}
"""Primitives whose function makes NumPy's arrays of what it gets."""

NEEDS_CHUNKS = {
    "convolve_nd": "single chunk|dask has no numpy.convolve",
    "cholesky": "chunks must be a square matrix|Dimension must be 2",
    "dft": "single chunk",
    "inv": "chunks must be a square matrix|Dimension must be 2",
    "inverse_dft": "single chunk",
    "inverse_real_dft": "single chunk",
    "lstsq": "tall-and-skinny",
    "polar_factors": "tall-and-skinny|must be 2D|in one dimension only",
    "qr": "tall-and-skinny|only mode='reduced'",
    "real_dft": "single chunk",
    "solve": "chunks must be a square matrix|Dimension must be 2|b must be 1 or 2 dimensional",
    "svd": "tall-and-skinny|full_matrices=False|must be 2D|dask has no numpy.linalg.eigh",
    "triangular_solve": "chunks must be a square matrix|Dimension must be 2",
}
"""Primitives for which Dask wants other chunks than these, or no stacks, and what it says."""

COMPUTING = {"fractional_matrix_power", "lu_pivots"}
"""Primitives that look at what Dask has not computed."""

LACKING = NO_FUNCTION.keys() | OF_SCIPY_ALONE | NEEDS_CHUNKS.keys() | COMPUTING


def cases(of: list[Case], names: Any = None) -> Any:
    """Parametrise by cases: of these primitives, or of all that need nothing."""
    chosen = [
        case
        for case in of
        if (
            case.primitive.name in names and max(np.shape(case.inputs[0]), default=2) > 1
            if names
            else case.primitive.name not in LACKING
        )
    ]
    return pytest.mark.parametrize("case", chosen, ids=repr)


def converted(case: Case, convert: Any) -> Case:
    return case._replace(inputs=tuple(map(convert, case.inputs)))


@cases(CASES)
def test_value(case: Case) -> None:
    ours = converted(case, in_chunks)
    with np.errstate(all="ignore"):
        with unseen():
            found = ours.call(*ours.inputs)
        same(found, case.call(*case.inputs))


@cases(SMOOTH)
def test_pullback(case: Case) -> None:
    check_pullback(case, in_chunks)


def check_pullback(case: Case, convert: Any) -> None:
    ours = converted(case, convert)
    with np.errstate(all="ignore"):
        out, pullback = ad.vjp(case.of_active, *case.active)
        g = like(generator(case), out)
        with unseen():
            found = ad.vjp(ours.of_active, *ours.active)[1](tree.map_leaves(convert, g))
        same(found, pullback(g), rtol=1e-7, atol=1e-8)


@cases(SMOOTH)
def test_tangent(case: Case) -> None:
    ours = converted(case, in_chunks)
    rng = generator(case)
    tangents = tuple(like(rng, x) for x in case.active)
    with np.errstate(all="ignore"):
        wanted = ad.jvp(case.of_active, case.active, tangents)
        with unseen():
            found = ad.jvp(ours.of_active, ours.active, tuple(map(in_chunks, tangents)))
        same(found, wanted)


@cases(CASES, LACKING - COMPUTING)
def test_what_dask_lacks_is_said(case: Case) -> None:
    ours, name = converted(case, in_chunks), case.primitive.name
    said = NO_FUNCTION.get(name) or NEEDS_CHUNKS.get(name, "to make one would compute all chunks")
    for call in (lambda: ours.call(*ours.inputs), lambda: ours.of_active(*boxed(ours))):
        with unseen(), pytest.raises((TypeError, ValueError), match=said) as raised:
            call()
        assert str(raised.value).startswith(f"{name}(")
        assert "dask" in str(raised.value)


def boxed(case: Case) -> tuple[Any, ...]:
    return tuple(map(ad.Tensor, case.active)) if case.primitive.differentiable else case.active


IN_ONE_CHUNK = [
    case
    for case in SMOOTH
    if case.primitive.name.endswith("dft")
    or (
        case.primitive.name in {"cholesky", "inv", "solve", "lstsq"}
        and all(np.ndim(x) == 2 for x in case.inputs)
    )
]


@pytest.mark.parametrize("case", IN_ONE_CHUNK, ids=repr)
def test_in_one_chunk(case: Case) -> None:
    if case.primitive.name == "lstsq" and repr(case) != "lstsq-0-3x2-3x2":
        pytest.skip("Dask's least squares are for tall matrices")
    ours = converted(case, in_one)
    with unseen():
        found = ours.call(*ours.inputs)
    same(found, case.call(*case.inputs))
    if case.primitive.name != "lstsq":  # its derivative needs a pseudo-inverse
        check_pullback(case, in_one)


@pytest.mark.parametrize("shape", [(6, 2), (2, 6), (3, 3)])
def test_factors_of_long_matrices(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    numbers = rng.normal(size=shape)
    x = da.from_array(numbers, chunks=(shape[0], -1))

    def product(w: Any) -> Any:
        u, s, vh = np.linalg.svd(w, full_matrices=False)
        return np.sum(np.sin((u * s**2) @ vh))

    with unseen():
        found = ad.value_and_grad(product)(x)
    same(found, ad.value_and_grad(product)(numbers))
    if shape[0] >= shape[1]:

        def square(w: Any) -> Any:
            return np.sum(np.sin(np.linalg.qr(w)[1] ** 2))

        with unseen():
            found = ad.value_and_grad(square)(x)
        same(found, ad.value_and_grad(square)(numbers))


# --- what computes is refused -------------------------------------------------------------------

POINT = np.random.default_rng(3).normal(size=(6, 4))


def lazy(numbers: Any = POINT) -> Any:
    return in_chunks(numbers)


@ad.linear(transpose=lambda g: np.flip(g), name="test_dask_trapezoid")
def trapezoid(x: Any) -> Any:
    return np.trapezoid(np.flip(x) * 2.0)


@pytest.mark.parametrize("wrap", [lambda f: f, ad.grad, ad.value_and_grad, ad.hessian])
def test_a_primitive_of_ones_own_does_not_compute(wrap: Any) -> None:
    with unseen(), pytest.raises(TypeError, match=r"dask has no numpy\.trapezoid") as raised:
        wrap(lambda x: trapezoid(x) * 1.0)(lazy(POINT[0]))
    assert str(raised.value).startswith("test_dask_trapezoid(float64[4])")


def test_nor_at_its_second_call_on_variables() -> None:
    @ad.linear(transpose=lambda g: g, name="test_dask_unwrapped")
    def mine(x: Any) -> Any:
        return np.unwrap(x) if type(x) is not np.ndarray else x

    plain, ours = ad.Tensor(POINT[0]), ad.Tensor(lazy(POINT[0]))
    for _ in range(2):
        mine(plain)  # the fast path knows it now
    for _ in range(2):
        with unseen(), pytest.raises(TypeError, match=r"test_dask_unwrapped.*numpy\.unwrap"):
            mine(ours)


def test_a_rule_does_not_compute() -> None:
    @ad.elementwise(d_x=lambda x: np.nextafter(x, 1.0) + np.trapezoid(x), name="test_dask_rule")
    def mine(x: Any) -> Any:
        return x * 1.0

    with unseen(), pytest.raises(TypeError, match=r"test_dask_rule.d_x.*no numpy.trapezoid"):
        ad.grad(lambda x: np.sum(mine(x)))(lazy(POINT[0]))


def test_a_function_that_gives_numbers_has_computed() -> None:
    @ad.linear(transpose=lambda g: g, name="test_dask_fetched")
    def mine(x: Any) -> Any:
        return x.compute() if hasattr(x, "compute") else x

    with pytest.raises(TypeError, match=r"test_dask_fetched\(.*dask \(it gave NumPy's array"):
        mine(lazy())


def test_numpys_own_arrays_go_on_as_before() -> None:
    lazy() + 1.0
    ad.Tensor(lazy())
    assert chunked.MET.any
    wanted = np.linalg.det(POINT[:4])
    np.testing.assert_allclose(
        ad.grad(np.linalg.det)(POINT[:4]), wanted * np.linalg.inv(POINT[:4]).T
    )


def test_masked_chunks_are_refused() -> None:
    array = da.ma.masked_greater(lazy(), 0)
    for call in (lambda: ad.Tensor(array), lambda: ad.grad(np.sum)(array)):
        with unseen(), pytest.raises(TypeError, match=r"masked chunks.*da\.ma\.filled"):
            call()


def test_unknown_lengths_are_refused() -> None:
    array = lazy(POINT[:, 0])
    unknown = array[array > 0]
    for call in (lambda: ad.Tensor(unknown), lambda: ad.grad(np.sum)(unknown)):
        with unseen(), pytest.raises(TypeError, match="compute_chunk_sizes"):
            call()
    unknown.compute_chunk_sizes()
    same(ad.grad(lambda x: np.sum(x**2))(unknown), 2 * POINT[:, 0][POINT[:, 0] > 0])


# --- indices and shapes -------------------------------------------------------------------------

CUBE = np.random.default_rng(4).normal(size=(5, 4, 6))
TABLE = np.array([[0, 2], [-1, 0]])

INDICES: dict[str, Any] = {
    "slices": np.s_[1:, ::-1, 2],
    "new axes": np.s_[None, 1, ..., None, ::2],
    "one array": np.s_[:, np.array([3, 0, 3])],
    "table": np.s_[TABLE],
    "table in the middle": np.s_[:, TABLE, 1:3],
    "two arrays": np.s_[np.array([0, 4, 0]), :, np.array([1, 1, 1])],
    "neighbours": np.s_[:, np.array([0, 3, 0]), np.array([5, 1, 5])],
    "that broadcast": np.s_[TABLE, 0, np.array([2, -1])],
    "with an integer": np.s_[2, :, np.array([0, 0, 5])],
    "with a new axis": np.s_[None, TABLE, None, 1:3],
    "all axes": np.s_[np.array([1, 1]), np.array([2, 2]), np.array([-1, 5])],
    "mask": np.s_[CUBE > 0.5],
    "mask of rows": np.s_[np.array([True, False, True, True, False])],
}


@pytest.mark.parametrize("name", INDICES)
def test_index(name: str) -> None:
    index = INDICES[name]

    def read(x: Any) -> Any:
        return np.sum(np.sin(x[index]) ** 2)

    def written(x: Any) -> Any:
        u = x * 1.0
        u[index] = np.cos(x[index]) * np.sum(x)
        u[index] += 0.5
        return np.sum(u**3)

    for function in (read, written):
        with unseen():
            found = ad.value_and_grad(function)(lazy(CUBE))
        same(found, ad.value_and_grad(function)(CUBE))


def test_indices_of_dask_are_not_looked_at() -> None:
    def function(x: Any, rows: Any) -> Any:
        return np.sum(x[rows] ** 2 * np.arange(4.0))

    with unseen():
        found = ad.value_and_grad(function)(lazy(), da.from_array(TABLE, chunks=1))
    same(found, ad.value_and_grad(function)(POINT, TABLE))


def test_a_mask_of_dask_is_counted() -> None:
    positive = lazy() > 0

    def function(x: Any, mask: Any) -> Any:
        u = x * 2.0
        u[mask] += 1.0
        return np.sum(u**3) + np.sum(x[mask] ** 2)

    same(ad.grad(function)(lazy(), positive), ad.grad(function)(POINT, POINT > 0))
    with unseen(), pytest.raises(ComputedError):
        ad.Tensor(lazy())[positive]


def test_an_index_out_of_bounds_is_refused() -> None:
    with pytest.raises(IndexError, match=r"index\(float64\[6,4\].*dask: .*length 6"):
        ad.Tensor(lazy())[np.array([[6]])]


@pytest.mark.parametrize("shape", [(4, 6), (24,), (2, 3, 4), (8, 3), (1, 24, 1), (3, 8)])
def test_reshape(shape: tuple[int, ...]) -> None:
    def function(x: Any) -> Any:
        return np.sum(np.cumsum(x.reshape(shape), axis=0) ** 2)

    with unseen():
        found = ad.value_and_grad(function)(lazy())
    same(found, ad.value_and_grad(function)(POINT))


FUNCTIONS: dict[str, Any] = {
    "zeros_like": lambda w: np.zeros_like(w) + w,
    "full_like": lambda w: np.full_like(w, 2.0) * w,
    "interp": lambda w: np.interp(w[0], [-1.0, 0.0, 1.0], [0.0, 1.0, 4.0]),
    "polyval": lambda w: np.polyval([1.0, 2.0, 3.0], w),
    "norm": lambda w: np.linalg.norm(w, np.inf, axis=0),
    "cov": lambda w: np.cov(w.T),
    "take_along_axis": lambda w: np.take_along_axis(w, TABLE.repeat(3, 0) % 4, axis=1),
    "tile": lambda w: np.tile(w, (2, 1)),
    "insert": lambda w: np.insert(w, 1, 0.0, axis=0),
    "block": lambda w: np.block([[w, w]]),
    "bincount": lambda w: np.bincount([0, 1, 1, 2], w[0]),
    "windows": lambda w: np.lib.stride_tricks.sliding_window_view(w[:, 0], 3),
    "nanmean": lambda w: np.nanmean(w, axis=0),
    "where": lambda w: np.where(w > 0, w, -(w**2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_of_numpy(name: str) -> None:
    def function(w: Any) -> Any:
        return np.sum(np.sin(FUNCTIONS[name](w)))

    with unseen():
        found = ad.value_and_grad(function)(lazy())
    same(found, ad.value_and_grad(function)(POINT))


# --- transforms ---------------------------------------------------------------------------------


def smooth(w: Any) -> Any:
    return np.sum(np.exp(w) * w[0])


def heat(u: Any) -> Any:
    """A stencil in place, and another in a circle."""
    u = u * 1.0
    for _ in range(3):
        u[1:-1] = u[1:-1] + 0.2 * (u[2:] - 2 * u[1:-1] + u[:-2])
        u = u + 0.1 * (np.roll(u, 1, 1) - 2 * u + np.roll(u, -1, 1))
    u[0] = 0.0
    u[:, -1] *= 2
    return np.sum(u**2)


def imperative(x: Any) -> Any:
    w = ad.Tensor(x)
    smooth(w).backward()
    smooth(w).backward()
    return w.grad


def strong(x: Any) -> Any:
    with ad.strong_zero():
        return ad.grad(lambda w: np.sum(np.sqrt(w * w)))(x)


TRANSFORMED: dict[str, Any] = {
    "value_and_grad": lambda x: ad.value_and_grad(smooth)(x),
    "imperative": imperative,
    "strong_zero": strong,
    "heat": lambda x: ad.value_and_grad(heat)(x),
    "jvp": lambda x: ad.jvp(np.sin, (x,), (x,)),
    "hvp": lambda x: ad.hvp(smooth, (x,), (x,)),
    "hvp of stencil": lambda x: ad.hvp(heat, (x,), (x,)),
    "jacobian": lambda x: ad.jacobian(lambda w: np.sin(w) * np.sum(w))(x[0]),
    "forward jacobian": lambda x: ad.jacobian(lambda w: np.sin(w) * w[0], order="forward")(x[0]),
    "reverse jacobian": lambda x: ad.jacobian(lambda w: np.sin(w) * w[0], order="reverse")(x[0]),
    "eliminated": lambda x: ad.jacobian(lambda w: np.sin(w) * w[0], order="cross-country")(x[0]),
    "hessian": lambda x: ad.hessian(smooth)(x[0]),
    "vmap": lambda x: ad.vmap(lambda row: np.sum(row**2) * row)(x),
    "vmap of grad": lambda x: ad.vmap(ad.grad(lambda row: np.sum(row**3)))(x),
    "linearize": lambda x: ad.linearize(np.sin, x)[1](x),
    "checkpoint": lambda x: ad.grad(ad.checkpoint(smooth))(x),
    "tape": lambda x: ad.record(smooth)(x).evaluate(x),
    "tape of a gradient": lambda x: ad.record(ad.grad(smooth))(x).evaluate(x),
    "scan": lambda x: ad.grad(
        lambda w: np.sum(ad.scan(lambda c, row: (c * 0.9 + row, c[0]), w[0], w)[0] ** 2)
    )(x),
    "by NumPy's array": lambda x: ad.grad(lambda b: np.sum(x * b))(
        np.ones(4) if x is POINT else lazy(np.ones(4))
    ),
    "with NumPy's constants": lambda x: ad.grad(lambda w: np.sum(np.sin(w) * np.arange(4.0)))(x),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transform(name: str) -> None:
    with unseen():
        found = TRANSFORMED[name](lazy())
    same(found, TRANSFORMED[name](POINT))


def test_what_a_tensor_says_of_itself() -> None:
    w = ad.Tensor(lazy(), name="w")
    with unseen():
        assert repr(w) == f"Tensor({lazy()!r}, name='w')"
        assert repr(w[0]).startswith("Tensor(dask.array<getitem, shape=(4,)")
        assert (w.shape, w.dtype, w.data.chunks) == ((6, 4), np.float64, ((3, 3), (2, 2)))
    np.testing.assert_array_equal(np.asarray(w.data), POINT)
    total = np.sum(w)
    assert total.item() == float(total.data) == pytest.approx(POINT.sum())
    assert bool(total > 0) == (POINT.sum() > 0)
    assert w.tolist() == POINT.tolist()


def test_a_view_is_a_copy_as_in_dask() -> None:
    x = lazy()
    w = ad.Tensor(x) * 1.0
    row = w[0]
    row *= 2.0
    same(w.data, POINT)
    same(row.data, 2 * POINT[0])


# --- training -----------------------------------------------------------------------------------

RNG = np.random.default_rng(11)
DATA, LABELS = RNG.normal(size=(12, 4)), RNG.integers(0, 3, 12)


def test_training_of_a_network() -> None:
    model = nn.MLP([4, 8, 3])
    theirs = nn.arrays(model)
    ours = tree.map_leaves(in_one, theirs)
    x, labels = da.from_array(DATA, chunks=(4, -1)), da.from_array(LABELS, chunks=4)

    def loss(m: Any, x: Any, labels: Any) -> Any:
        return nn.softmax_cross_entropy(m(x), labels)

    optimiser = optim.Adam(lr=0.1)
    state, other = optimiser.init(ours), optimiser.init(theirs)
    for _ in range(3):
        with unseen():
            value, gradient = ad.value_and_grad(loss)(ours, x, labels)
            ours, state = optimiser.update(gradient, state, ours)
        wanted, gradient = ad.value_and_grad(loss)(theirs, DATA, LABELS)
        theirs, other = optimiser.update(gradient, other, theirs)
        same(value, wanted)
        # A program computes now and then, or the graph would grow with every step
        values = dask.persist(*tree.leaves((ours, state)), scheduler="sync")
        ours, state = tree.unflatten(tree.flatten((ours, state))[1], list(values))
    for one, two in zip(tree.leaves(ours), tree.leaves(theirs), strict=True):
        same(one, two)


def test_imperative_training() -> None:
    runs = []
    for convert in (lazy, np.array):
        w = ad.Tensor(convert(POINT))
        optimiser = optim.Adam([w], lr=0.1)
        for _ in range(3):
            np.sum(np.tanh(convert(DATA) @ w.T) ** 2).backward()
            optimiser.step()
            w.grad = None
        runs.append(w.data)
    same(*runs)


def test_logistic_regression_over_rows() -> None:
    targets = (LABELS > 0).astype(float)

    def loss(w: Any, x: Any, t: Any) -> Any:
        z = x @ w
        return np.mean(np.logaddexp(0.0, z) - t * z)

    ours = theirs = np.zeros(4)
    x, t = da.from_array(DATA, chunks=(5, -1)), da.from_array(targets, chunks=5)
    for _ in range(4):
        with unseen():
            gradient = ad.grad(loss)(ours, x, t)
        ours = ours - 0.5 * gradient.compute(scheduler="sync")
        theirs = theirs - 0.5 * ad.grad(loss)(theirs, DATA, targets)
    np.testing.assert_allclose(ours, theirs)


def test_save_and_load(tmp_path: Path) -> None:
    plain = nn.arrays(nn.MLP([4, 8, 3]))
    ours = tree.map_leaves(in_chunks, plain)
    nn.save(tmp_path / "model.npz", ours)
    loaded = nn.load(tmp_path / "model.npz", like=ours)
    for one, two in zip(tree.leaves(loaded), tree.leaves(plain), strict=True):
        same(one, two)


# --- memory -------------------------------------------------------------------------------------

GRADIENT = """
import resource, sys
import numpy as np
import dask, dask.array as da
import autodiff as ad

allowance = 192 << 20
dask.config.set(scheduler="threads", num_workers=2)
length = 4 * allowance // 8
chunk = 1 << 19

def loss(w):
    return np.sum(np.log1p(np.exp(-w)) + 0.5 * w * w)

np.log1p(np.exp(-np.ones(3)))
small = da.arange(8.0, chunks=4)
dask.compute(ad.grad(loss)(small).sum())  # what is loaded and started once
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
limit = (used << 10) + allowance
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

if sys.argv[1] == "numpy":
    x = np.arange(length) / length
    print(ad.grad(loss)(x).sum())
else:
    x = da.arange(length, chunks=chunk) / length
    value, gradient = ad.value_and_grad(loss)(x)
    assert gradient.nbytes == 4 * allowance
    print(*dask.compute(value / length, gradient.mean()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what a process may allocate")
@pytest.mark.parametrize("kind", ["dask", "numpy"])
def test_a_gradient_of_four_times_the_memory(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GRADIENT), kind],
        capture_output=True,
        text=True,
        check=False,
    )
    if kind == "numpy":
        assert done.returncode != 0
        assert "MemoryError" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    value, slope = map(float, done.stdout.split())
    points = (np.arange(100_000) + 0.5) / 100_000
    np.testing.assert_allclose(value, np.mean(np.log1p(np.exp(-points)) + 0.5 * points**2), 1e-5)
    np.testing.assert_allclose(slope, np.mean(points - 1 / (1 + np.exp(points))), 1e-5)
