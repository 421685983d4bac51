"""Arrays of another library go through the engine as they are: shown with a strict double.

`strict.StrictArray` converts nothing, mixes with nothing, and counts the looks at its values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from registry import CASES, SMOOTH, Case, generator, like
from strict import StrictArray, numbers, strict, unseen

import autodiff as ad
from autodiff import nn, optim, tree
from autodiff.core.primitive import Primitive
from autodiff.core.spec import is_inexact, spec_of

OF_SCIPY_ALONE = {
    "elliptic_moment",
    "foldnorm_quantile",
    "invgauss_quantile",
    "rice_quantile",
    "rice_sf",
    "skewnorm_quantile",
    "von_mises_moment",
    "vonmises_quantile",
    "expm_cotangent",
    "expm_product",
    "expm_tangent",
    "fractional_matrix_power",
    "interpolated",
    "lambertw",
    "lu_factors",
    "lu_pivots",
    "operator_matmul",
    "order_slope",
    "qr_pivots",
    "rows_of_pivots",
    "region_places",
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
    "entry_products",
    "chosen_places",
    "eigenpairs",
    "order_of_values",
    "phases_of_vectors",
    "krylov_solve",
    "sampled_matmul",
    "sparse_matmul",
    "sparse_solve",
    "rational_filter",
    "sections_filter",
    "skew_log_tail",
    "zero_phase_filter",
    "zero_phase_transposed",
    "savgol",
    "savgol_transposed",
    "spectral_resampling",
    "polyphase",
    "filtered",
    "filtered_along",
    "beta_moment",
    "expm",
    "gamma_moment",
    "logm",
    "solve_sylvester",
    "spherical_in",
    "spherical_jn",
    "spherical_kn",
    "spherical_yn",
    "sqrtm",
    "trigonometric",
}
"""Primitives whose function is SciPy's, for NumPy's arrays alone."""

RULES_OF_SCIPY_ALONE = {
    "bdtr",
    "bdtrc",
    "chdtr",
    "chdtrc",
    "ellipeinc",
    "ellipkinc",
    "fdtr",
    "fdtrc",
    "gdtr",
    "gdtrc",
    "hyperbolic_sine_integral",
    "iv",
    "ive",
    "jv",
    "kv",
    "kve",
    "nbdtr",
    "nbdtrc",
    "polar_factors",
    "stdtrit",
    "yv",
    "betainc",
    "betaincc",
    "betaincinv",
    "gammainc",
    "gammaincc",
    "gammainccinv",
    "gammaincinv",
    "stdtr",
}
"""Primitives whose derivative needs one of those."""

FOR_ALL = [case for case in CASES if case.primitive.name not in OF_SCIPY_ALONE]
SMOOTH_FOR_ALL = [
    case for case in SMOOTH if case.primitive.name not in OF_SCIPY_ALONE | RULES_OF_SCIPY_ALONE
]
all_cases = pytest.mark.parametrize("case", FOR_ALL, ids=repr)
smooth_cases = pytest.mark.parametrize("case", SMOOTH_FOR_ALL, ids=repr)


def foreign(value: Any) -> Any:
    """The same numbers as strict arrays."""
    is_array = isinstance(value, (np.ndarray, np.generic, float, complex))
    return strict(np.asarray(value)) if is_array else value


def foreign_case(case: Case) -> Case:
    return case._replace(inputs=tuple(map(foreign, case.inputs)))


def same(found: Any, wanted: Any, rtol: float = 1e-10, atol: float = 1e-11) -> None:
    """Compare strict arrays with what NumPy's arrays give; nothing else may come out."""
    ours, theirs = tree.leaves(found), tree.leaves(wanted)
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        if isinstance(two, (bool, int, str)):
            assert one == two
            continue
        assert type(one) is StrictArray
        assert one.shape == np.shape(two)
        assert one.dtype == np.asarray(two).dtype
        np.testing.assert_allclose(numbers(one), two, rtol=rtol, atol=atol)


# --- the registry -------------------------------------------------------------------------------


@all_cases
def test_value(case: Case) -> None:
    other = foreign_case(case)
    with np.errstate(all="ignore"):
        same(other.call(*other.inputs), case.call(*case.inputs))


@smooth_cases
def test_pullback(case: Case) -> None:
    other = foreign_case(case)
    with np.errstate(all="ignore"):
        out, pullback = ad.vjp(case.of_active, *case.active)
        g = like(generator(case), out)
        found = ad.vjp(other.of_active, *other.active)[1](tree.map_leaves(foreign, g))
        same(found, pullback(g))


@smooth_cases
def test_tangent(case: Case) -> None:
    other = foreign_case(case)
    rng = generator(case)
    tangents = tuple(like(rng, x) for x in case.active)
    with np.errstate(all="ignore"):
        wanted = ad.jvp(case.of_active, case.active, tangents)
        found = ad.jvp(other.of_active, other.active, tuple(map(foreign, tangents)))
    same(found, wanted)


def energy(case: Case) -> Any:
    """A scalar made of a case's results, twice differentiable where they are once."""

    def function(*active: Any) -> Any:
        outs = tree.leaves(case.of_active(*active))
        terms = [np.sum(np.real(out * out)) for out in outs if is_inexact(spec_of(out).dtype)]
        return sum(terms[1:], start=terms[0])

    return function


@smooth_cases
def test_second_derivative(case: Case) -> None:
    other = foreign_case(case)
    rng = generator(case)
    tangents = tuple(like(rng, x) for x in case.active)
    if any(x.dtype.kind == "c" for x in map(spec_of, case.active)):
        pytest.skip("hvp is for real arguments")
    with np.errstate(all="ignore"):
        wanted = ad.hvp(energy(case), case.active, tangents)
        found = ad.hvp(energy(other), other.active, tuple(map(foreign, tangents)))
    same(found, wanted, rtol=1e-8, atol=1e-9)


@smooth_cases
def test_imperative_style(case: Case) -> None:
    other = foreign_case(case)
    ours, theirs = [tuple(map(ad.Tensor, c.active)) for c in (other, case)]
    with np.errstate(all="ignore"):
        energy(other)(*ours).backward()
        energy(case)(*theirs).backward()
    for one, two in zip(ours, theirs, strict=True):
        same(one.data, two.data)
        if two.grad is None:
            assert one.grad is None
        else:
            same(one.grad, two.grad)


@smooth_cases
def test_batch(case: Case) -> None:
    other = foreign_case(case)
    stacked = [np.stack([x, x]) for x in case.active]
    with np.errstate(all="ignore"):
        wanted = ad.vmap(case.of_active)(*stacked)
        same(ad.vmap(other.of_active)(*map(foreign, stacked)), wanted)


@smooth_cases
def test_tape(case: Case) -> None:
    other = foreign_case(case)
    with np.errstate(all="ignore"):
        tape = ad.record(other.of_active)(*other.active)
        same(tape.evaluate(*other.active), case.of_active(*case.active))


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.primitive.name in OF_SCIPY_ALONE - {"lu_pivots"}],  # of integers alone
    ids=repr,
)
def test_what_is_for_numpys_arrays_alone_says_so(case: Case) -> None:
    other = foreign_case(case)
    with pytest.raises(TypeError) as raised:
        other.call(*other.inputs)
    assert case.primitive.name in str(raised.value)
    assert "strict" in str(raised.value)


def test_a_function_that_a_library_lacks_is_named() -> None:
    rules = {"vjp_x": lambda g, y: g * y, "vjp_y": lambda g, x: g * x}
    mine = Primitive(np.vecdot, "multilinear", rules, name="my_vecdot", inputs=("x", "y"))
    x = strict(np.ones(3))
    with pytest.raises(TypeError, match=r"my_vecdot\(float64\[3\], float64\[3\]\): strict has no"):
        mine(x, x)
    with pytest.raises(TypeError, match=r"strict has no numpy\.vecdot; write it with"):
        ad.grad(mine)(x, x)


# --- transforms ---------------------------------------------------------------------------------

RNG = np.random.default_rng(11)
PARAMETERS = {
    "first": RNG.normal(size=(4, 8)),
    "shift": np.zeros(8),
    "last": RNG.normal(size=(8, 3)),
    "bias": np.zeros(3),
}
DATA, LABELS = RNG.normal(size=(5, 4)), np.array([0, 1, 2, 1, 0])
POINT = RNG.normal(size=4)


def network(p: Any, x: Any) -> Any:
    return np.tanh(x @ p["first"] + p["shift"]) @ p["last"] + p["bias"]


def loss(p: Any, x: Any, labels: Any) -> Any:
    return nn.softmax_cross_entropy(network(p, x), labels)


FOREIGN = tree.map_leaves(strict, PARAMETERS)


def test_a_training_step_looks_at_nothing() -> None:
    with unseen():
        found = ad.value_and_grad(loss)(FOREIGN, strict(DATA), strict(LABELS))
    same(found, ad.value_and_grad(loss)(PARAMETERS, DATA, LABELS))


def test_labels_may_be_numpys_and_a_wrong_one_gives_nan() -> None:
    same(loss(FOREIGN, strict(DATA), LABELS), loss(PARAMETERS, DATA, LABELS))
    for wrong in (3, -1):
        labels = np.array([0, wrong, 2, 1, 0])
        losses = nn.softmax_cross_entropy(strict(np.ones((5, 3))), strict(labels), "none")
        assert np.isnan(numbers(losses)).tolist() == [False, True, False, False, False]


def test_backward_looks_at_nothing() -> None:
    w = ad.Tensor(strict(PARAMETERS["first"]))
    with unseen():
        np.sum(np.tanh(strict(DATA) @ w) ** 2).backward()
    mine = ad.Tensor(PARAMETERS["first"])
    np.sum(np.tanh(DATA @ mine) ** 2).backward()
    same(w.grad, mine.grad)


@pytest.mark.parametrize("order", ["auto", "forward", "reverse", "cross-country"])
def test_jacobian(order: Any) -> None:
    def function(w: Any, unused: Any) -> Any:
        return np.sin(w) * np.sum(w), w[:2] ** 2

    wanted = ad.jacobian(function, argnums=(0, 1), order=order)(POINT, POINT)
    found = ad.jacobian(function, argnums=(0, 1), order=order)(strict(POINT), strict(POINT))
    same(found, wanted)


def smooth(w: Any) -> Any:
    return np.sum(np.exp(w) * w[0])


TRANSFORMED: dict[str, Any] = {
    "hessian": lambda x: ad.hessian(smooth)(x),
    "elementwise_grad": lambda x: ad.elementwise_grad(np.sin)(x),
    "linearize": lambda x: ad.linearize(np.sin, x)[1](x),
    "vmap of grad": lambda x: ad.vmap(ad.grad(smooth))(np.stack([x, 2 * x])),
    "grad of vmap": lambda x: ad.grad(lambda w: np.sum(ad.vmap(smooth)(np.stack([w, 2 * w]))))(x),
    "checkpoint": lambda x: ad.grad(ad.checkpoint(smooth))(x),
    "third": lambda x: ad.grad(lambda w: np.sum(ad.hvp(smooth, (w,), (w,))))(x),
    "scan": lambda x: ad.grad(
        lambda w: np.sum(ad.scan(lambda c, r: (c * 0.9 + r, c[0]), w, np.stack([w] * 6))[0] ** 2)
    )(x),
    "recorded gradient": lambda x: ad.record(ad.grad(smooth))(x).evaluate(x),
    "strong_zero": lambda x: _strong(x),
    "debug": lambda x: _debugged(x),
}


def _strong(x: Any) -> Any:
    with ad.strong_zero():
        return ad.grad(lambda w: np.sum(np.sqrt(w * w)))(x)


def _debugged(x: Any) -> Any:
    with ad.debug():
        return ad.grad(smooth)(x)


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transform(name: str) -> None:
    same(TRANSFORMED[name](strict(POINT)), TRANSFORMED[name](POINT))


def test_gradient_by_a_number() -> None:
    def function(scale: Any, x: Any) -> Any:
        return np.sum(scale * x)

    found = ad.grad(function)(2.0, strict(POINT))
    assert (found.shape, found.dtype) == ((), np.float64)
    same(found, ad.grad(function)(2.0, POINT))


# --- in place -----------------------------------------------------------------------------------


def _views(w: Any) -> Any:
    w = w * 1.0
    row = w[0]
    row *= 2
    w[1] += row
    w.T[0] = w[2, 0]
    flat = w.ravel()
    flat[3] = 5.0
    w.reshape(-1)[2] += w[1, 1]
    return np.sum(w**2)


def _twice(w: Any) -> Any:
    w = w * 1.0
    w[np.array([0, 1, 1])] = w[:3] ** 2  # the last value for a place stays
    return np.sum(w[np.array([2, 0, 0])] * w[0])


@pytest.mark.parametrize("program", [_views, _twice])
def test_program_in_place(program: Any) -> None:
    x = RNG.normal(size=(3, 4))
    same(program(strict(x)), program(x))
    same(ad.grad(program)(strict(x)), ad.grad(program)(x))


def test_a_number_of_a_library_without_scalars_is_an_array() -> None:
    def function(x: Any) -> Any:
        total = np.sum(x)
        same_total = total
        same_total += 1.0  # an array of no axes, so both names show it
        return total * 1.0

    x = strict(POINT)
    same(function(x), np.sum(POINT) + 1.0)
    same(ad.value_and_grad(function)(x), (np.sum(POINT) + 1.0, np.ones(4)))


def test_what_was_saved_stays() -> None:
    x, factor = ad.Tensor(strict(POINT)), strict(POINT.copy())
    y = np.sum(x * factor)
    factor[0] = 100.0
    y.backward()
    same(x.grad, POINT)
    shown = x.data
    shown[0] = 100.0
    same(x.data, POINT)


# --- nn and optim -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSProp])
def test_optimiser_as_a_function(rule: Any) -> None:
    ours, theirs = FOREIGN, PARAMETERS
    optimiser = rule(lr=0.1)
    state, other = optimiser.init(ours), optimiser.init(theirs)
    for _ in range(3):
        with unseen():
            gradient = ad.grad(loss)(ours, strict(DATA), strict(LABELS))
            ours, state = optimiser.update(gradient, state, ours)
        gradient = ad.grad(loss)(theirs, DATA, LABELS)
        theirs, other = optimiser.update(gradient, other, theirs)
    same(ours, theirs)


def test_module_of_foreign_parameters(tmp_path: Path) -> None:
    model = nn.MLP([4, 8, 3])
    ours = ad.tree.map_leaves(strict, nn.arrays(model))

    def of_model(m: Any, x: Any, labels: Any) -> Any:
        return nn.softmax_cross_entropy(m(x), labels)

    plain = nn.arrays(model)
    found = ad.grad(of_model)(ours, strict(DATA), strict(LABELS))
    wanted = ad.grad(of_model)(plain, DATA, LABELS)
    for one, two in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
        same(one, two)
    nn.save(tmp_path / "model.npz", ours)
    loaded = nn.load(tmp_path / "model.npz", like=ours)
    for one, two in zip(tree.leaves(loaded), tree.leaves(plain), strict=True):
        same(one, two)


def test_imperative_training() -> None:
    runs = []
    for convert in (strict, np.array):
        w = ad.Tensor(convert(PARAMETERS["first"]))
        optimiser = optim.Adam([w], lr=0.1)
        for _ in range(3):
            np.sum(np.tanh(convert(DATA) @ w) ** 2).backward()
            optimiser.step()
            w.grad = None
        runs.append(w.data)
    same(*runs)


def test_model_made_like_an_array() -> None:
    ours, theirs = (nn.MLP([4, 8, 3], seed=3, like=x) for x in (strict(DATA), None))
    same([p.data for p in ours.parameters()], [p.data for p in theirs.parameters()])
    histories = []
    for model, convert in ((ours, strict), (theirs, np.array)):

        def of_batch(m: Any, x: Any, labels: Any) -> Any:
            return nn.softmax_cross_entropy(m(x), labels)

        optimizer = optim.SGD(model, lr=0.1)
        data = convert(DATA), convert(LABELS)
        options: dict[str, Any] = {"optimizer": optimizer, "epochs": 2, "batch_size": 2}
        histories.append(nn.fit(model, of_batch, data, progress=False, **options))
    assert nn.accuracy(ours(strict(DATA)), strict(LABELS)) == nn.accuracy(theirs(DATA), LABELS)
    for one, two in zip(*histories, strict=True):
        assert one == pytest.approx(two)
    same([p.data for p in ours.parameters()], [p.data for p in theirs.parameters()])


LOSSES: dict[str, Any] = {
    "mean_squared_error": lambda x, y: nn.mean_squared_error(x, y),
    "binary_cross_entropy": lambda x, y: nn.binary_cross_entropy(x, y),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str) -> None:
    x, target = RNG.normal(size=(5, 3)), RNG.uniform(0.1, 0.9, (5, 3))
    with unseen():
        found = ad.value_and_grad(LOSSES[name])(strict(x), strict(target))
    same(found, ad.value_and_grad(LOSSES[name])(x, target))


def _with_a_rule_that_skips(x: Any) -> Any:
    @ad.custom_vjp
    def scaled(w: Any, factor: Any) -> Any:
        return w * factor

    scaled.def_vjp(lambda w, factor: (w * factor, factor), lambda factor, g: (g * factor, None))
    return ad.grad(lambda w, factor: np.sum(scaled(w, factor)), argnums=(0, 1))(x, x)


def test_a_rule_that_gives_no_cotangent() -> None:
    same(_with_a_rule_that_skips(strict(POINT)), _with_a_rule_that_skips(POINT))


def test_gradients_on_a_tape() -> None:
    def function(x: Any) -> Any:
        return np.sum(np.tanh(x) * x)

    found, wanted = [
        list(ad.record(function)(x).gradients().values()) for x in (strict(POINT), POINT)
    ]
    same(found, wanted)


NOTHING: dict[str, Any] = {
    "vmap": lambda x: ad.vmap(np.linalg.inv)(np.stack([np.outer(x, x)])[:0]),
    "scan": lambda x: ad.scan(lambda c, row: (c + row, c * row), x, np.stack([x])[:0]),
}


@pytest.mark.parametrize("name", NOTHING)
def test_of_no_examples(name: str) -> None:
    same(NOTHING[name](strict(POINT)), NOTHING[name](POINT))
