"""Interpolators on Tensors: values against SciPy's, derivatives numerically, by every argument."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import autodiff as ad

si = pytest.importorskip("scipy.interpolate")

from autodiff.scipy import interpolate  # noqa: E402 after the check that SciPy is there

RNG = np.random.default_rng(3)
X = np.cumsum(RNG.uniform(0.5, 1.5, 7))
Y = RNG.standard_normal((2, 7))
Q = np.linspace(X[0] - 0.8, X[-1] + 0.9, 8).reshape(2, 4)
INSIDE = np.linspace(X[0] + 0.1, X[-1] - 0.2, 6).reshape(2, 3)
ONES = np.ones(2)


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    found = found.data if isinstance(found, ad.Tensor) else found
    assert np.shape(found) == np.shape(wanted)
    assert np.asarray(found).dtype == np.asarray(wanted).dtype
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def closed(y: Any) -> Any:
    return np.concatenate([y[..., :-1], y[..., :1]], axis=-1)


CONDITIONS = {
    "not-a-knot": "not-a-knot",
    "natural": "natural",
    "clamped": "clamped",
    "mixed": ("natural", "not-a-knot"),
    "values": ((1, ONES), (2, -ONES)),
    "periodic": "periodic",
}
CUBICS: dict[str, Any] = {
    **{
        f"CubicSpline {name}": lambda s, x, y, bc=bc: s.CubicSpline(
            x, closed(y) if bc == "periodic" else y, axis=1, bc_type=bc
        )
        for name, bc in CONDITIONS.items()
    },
    "PchipInterpolator": lambda s, x, y: s.PchipInterpolator(x, y, axis=1),
    "akima": lambda s, x, y: s.Akima1DInterpolator(x, y, axis=1, extrapolate=True),
    "makima": lambda s, x, y: s.Akima1DInterpolator(
        x, y, axis=1, method="makima", extrapolate=True
    ),
    "CubicHermiteSpline": lambda s, x, y: s.CubicHermiteSpline(x, y, y**2, axis=1),
    "PPoly": lambda s, x, y: s.PPoly(np.moveaxis(y, 0, 1)[:6, None] * np.ones((1, 6, 1)), x),
}
SPLINES: dict[str, Any] = {
    **{
        f"degree {k} {bc}": lambda s, x, y, k=k, bc=bc: s.make_interp_spline(
            x, closed(y) if bc == "periodic" else y, k, None, bc, 1
        )
        for k, bc in (
            *((k, None) for k in range(6)),
            *((3, bc) for bc in ("natural", "clamped", "periodic")),
            (2, "periodic"),
            (5, "periodic"),
        )
    },
    "values": lambda s, x, y: s.make_interp_spline(
        x, y, 3, None, ([(1, ONES)], [(2, -ONES)]), axis=1
    ),
    "knots": lambda s, x, y: s.make_interp_spline(
        x, y, 2, np.concatenate([*[x[:1]] * 3, (x[1:-2] + x[2:-1]) / 2, *[x[-1:]] * 3]), None, 1
    ),
    "BSpline": lambda s, x, y: s.BSpline(x, y, 2, axis=1),
}
EVERY = {**CUBICS, **SPLINES}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("extrapolate", [None, True, False, "periodic"])
def test_values_are_scipys(name: str, extrapolate: Any) -> None:
    build = EVERY[name]
    theirs = build(si, X, Y)
    for ours in (
        build(interpolate, X, Y),
        build(interpolate, X, ad.Tensor(Y)),
        build(interpolate, ad.Tensor(X), Y),
    ):
        for nu in range(4 if "degree" not in name else min(int(name.split()[1]), 3) + 1):
            for q in (Q, Q[0, 0], X, Q[:0]):
                close(ours(q, nu, extrapolate), theirs(q, nu, extrapolate))
                close(ours(ad.Tensor(q), nu, extrapolate), theirs(q, nu, extrapolate))


@pytest.mark.parametrize("name", EVERY)
def test_derivatives_and_antiderivatives_are_scipys(name: str) -> None:
    build = EVERY[name]
    theirs = build(si, X, Y)
    for ours in (build(interpolate, X, Y), build(interpolate, X, ad.Tensor(Y))):
        for change in (
            lambda s: s.antiderivative(),
            lambda s: s.antiderivative(2),
            lambda s: s.derivative(0),
            *((lambda s: s.derivative(),) if name != "degree 0 None" else ()),
            *((lambda s: s.antiderivative(3).derivative(),) if name != "degree 0 None" else ()),
        ):
            found, wanted = change(ours), change(theirs)
            assert found.extrapolate == wanted.extrapolate
            assert np.shape(found.c) == np.shape(wanted.c)
            close(found(Q), wanted(Q))
        ends = ((X[0] - 1.0, X[2] + 0.2), (X[3], X[1]), (X[0], X[-1] + 9.0))
        for (a, b), outside in itertools.product(ends, (None, True, False, "periodic")):
            close(ours.integrate(a, b, outside), theirs.integrate(a, b, outside))
            close(ours.integrate(ad.Tensor(a), b, outside), theirs.integrate(a, b, outside))


@pytest.mark.parametrize("name", EVERY)
def test_derivatives_by_points_values_and_queries(name: str) -> None:
    build = EVERY[name]
    order = 1 if name in ("degree 4 None", "degree 5 None", "degree 5 periodic") else 2
    ad.check_grads(
        lambda x, y, q: build(interpolate, x, y)(q, 0, True), (X, Y, INSIDE[:1]), order=order
    )
    if name != "degree 0 None":
        ad.check_grads(lambda y, q: build(interpolate, X, y)(q, 1, True), (Y, INSIDE), order=1)
    ad.check_grads(
        lambda x, y, a, b: build(interpolate, x, y).integrate(a, b),
        (X, Y, X[1] + 0.1, X[4] + 0.3),
        order=1,
    )


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("name", CONDITIONS)
def test_short_splines(count: int, name: str) -> None:
    x, y = X[:count], Y[:, :count]
    build = CUBICS[f"CubicSpline {name}"]
    close(build(interpolate, x, ad.Tensor(y))(Q), build(si, x, y)(Q))
    if count < 5 and (count > 2 or name != "periodic"):  # of five and more, as of seven
        ad.check_grads(lambda x, y: build(interpolate, x, y)(Q, 0, True), (x, y), order=2)
    for kind in ("PchipInterpolator", "Akima1DInterpolator"):
        wanted = getattr(si, kind)(x, y, 1)(INSIDE)
        close(getattr(interpolate, kind)(x, ad.Tensor(y), 1)(INSIDE), wanted)


def test_end_values_carry_derivatives() -> None:
    def spline(a: Any, b: Any) -> Any:
        return interpolate.CubicSpline(X, Y[0], bc_type=((1, a), (2, b)))(Q)

    def fitted(a: Any) -> Any:
        return interpolate.make_interp_spline(X, Y[0], 3, bc_type=([(1, a)], [(2, 0.0)]))(Q)

    ad.check_grads(spline, (0.3, -0.2), order=2)
    ad.check_grads(fitted, (0.3,), order=2)


def test_knots_and_coefficients_carry_derivatives() -> None:
    t = np.array([-0.2, -0.1, 0.0, 0.7, 1.0, 1.1, 1.3])
    c = RNG.standard_normal((4, 2))
    q = np.array([0.1, 0.5, 0.8])
    ad.check_grads(lambda t, c, q: interpolate.BSpline(t, c, 2)(q), (t, c, q), order=2)
    close(interpolate.BSpline(t, ad.Tensor(c), 2)(q), si.BSpline(t, c, 2)(q))


def test_complex_values() -> None:
    z = Y[0] + 1j * Y[1]
    for name, build in {
        "spline": lambda s, y: s.CubicSpline(X, y),
        "ends": lambda s, y: s.CubicSpline(X, y, bc_type=((1, 1j), (2, 0.5))),
        "bspline": lambda s, y: s.make_interp_spline(X, y),
        "interp1d": lambda s, y: s.interp1d(X, y, fill_value="extrapolate"),
        "grid": lambda s, y: s.RegularGridInterpolator((X,), y, bounds_error=False),
    }.items():
        close(build(interpolate, ad.Tensor(z))(Q[0][:, None]), build(si, z)(Q[0][:, None]))
        if name != "grid":
            ad.check_grads(lambda y, b=build: b(interpolate, y)(INSIDE), (z,), order=2)
    for kind in ("PchipInterpolator", "Akima1DInterpolator"):
        with pytest.raises(ValueError, match="real"):
            getattr(interpolate, kind)(X, ad.Tensor(z))


def test_pchip_keeps_flat_what_is_flat() -> None:
    y = np.array([0.0, 1.0, 1.0, 2.0, 1.5, 1.5, 3.0])
    build = lambda s, y: s.PchipInterpolator(X, y)(INSIDE)  # noqa: E731
    close(build(interpolate, ad.Tensor(y)), build(si, y))
    assert np.isfinite(ad.jacobian(lambda y: build(interpolate, y))(y)).all()
    y = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0])
    for method in ("akima", "makima"):
        close(
            interpolate.Akima1DInterpolator(X, ad.Tensor(y), method=method)(INSIDE),
            si.Akima1DInterpolator(X, y, method=method)(INSIDE),
        )
        gradient = ad.jacobian(
            lambda y, m=method: interpolate.Akima1DInterpolator(X, y, method=m)(INSIDE)
        )(y)
        assert np.isfinite(gradient).all()


def test_roots_by_the_implicit_function_theorem() -> None:
    y = np.sin(2.0 * X)
    close(
        interpolate.CubicSpline(X, ad.Tensor(y)).roots(extrapolate=False),
        si.CubicSpline(X, y).roots(extrapolate=False),
    )
    ad.check_grads(
        lambda x, y: interpolate.CubicSpline(x, y).roots(extrapolate=False), (X, y), order=2
    )
    ad.check_grads(
        lambda y, v: interpolate.CubicSpline(X, y).solve(v, extrapolate=False), (y, 0.1), order=2
    )
    with pytest.raises(ValueError, match=r"CubicSpline\.solve: of one value"):
        interpolate.CubicSpline(X, ad.Tensor(Y.T)).roots()
    with pytest.raises(ValueError, match="whole interval"):
        interpolate.PchipInterpolator(X, ad.Tensor(np.zeros(7))).roots()


def test_power_basis_of_a_spline() -> None:
    spline = si.make_interp_spline(X, Y[0], 3)
    wanted = si.PPoly.from_spline(spline)(Q)
    ours = interpolate.make_interp_spline(X, ad.Tensor(Y[0]), 3)
    close(interpolate.PPoly.from_spline(ours)(Q), wanted, 1e-8)


# --- transforms -----------------------------------------------------------------------------------


def test_interpolators_are_containers() -> None:
    spline, pullback = ad.vjp(lambda y: interpolate.CubicSpline(X, y), Y[0])
    assert isinstance(spline, interpolate.CubicSpline)
    close(spline(Q), si.CubicSpline(X, Y[0])(Q))
    (gradient,) = pullback(ad.tree.map_leaves(np.ones_like, spline))
    assert gradient.shape == (7,)
    splines = ad.vmap(lambda y: interpolate.CubicSpline(X, y))(Y)
    assert splines.c.shape == (2, 4, 6)
    for made in (
        interpolate.make_interp_spline(X, Y[0]),
        interpolate.interp1d(X, Y[0]),
        interpolate.RegularGridInterpolator((X,), Y[0]),
    ):
        assert type(ad.tree.map_leaves(lambda leaf: leaf, made)) is type(made)
    closed_over = ad.grad(lambda c: np.sum(spline(INSIDE) * c))(1.0)
    close(closed_over, np.sum(si.CubicSpline(X, Y[0])(INSIDE)))


BATCHED: dict[str, Any] = {
    "CubicSpline": lambda x, y, q: interpolate.CubicSpline(x, y)(q),
    "periodic": lambda x, y, q: interpolate.CubicSpline(x, closed(y), bc_type="periodic")(q),
    "Pchip": lambda x, y, q: interpolate.PchipInterpolator(x, y)(q),
    "akima": lambda x, y, q: interpolate.Akima1DInterpolator(x, y, extrapolate=True)(q),
    "make_interp_spline": lambda x, y, q: interpolate.make_interp_spline(x, y)(q),
    "interp1d": lambda x, y, q: interpolate.interp1d(x, y, fill_value="extrapolate")(q),
    "grid": lambda x, y, q: interpolate.RegularGridInterpolator((x,), y, "cubic", False)(
        q[:, None]
    ),
}


@pytest.mark.parametrize("name", BATCHED)
def test_vmap_is_a_stacked_loop(name: str) -> None:
    f = BATCHED[name]
    xs, qs = np.stack([X, X + 0.1 * Y[0] ** 2]), INSIDE
    xs[1] = np.sort(xs[1])
    examples = [(xs, 0), (Y, 0), (qs, 0)]
    for flags in itertools.product((True, False), repeat=3):
        if not any(flags):
            continue
        arguments = [a if flag else a[0] for (a, _), flag in zip(examples, flags, strict=True)]
        axes = tuple(0 if flag else None for flag in flags)
        rows = [
            f(*[a[i] if flag else a[0] for (a, _), flag in zip(examples, flags, strict=True)])
            for i in range(2)
        ]
        close(ad.vmap(f, axes)(*arguments), np.stack(rows))
    gradient = ad.grad(lambda y, q: np.nansum(f(X, y, q)))
    close(ad.vmap(gradient)(Y, qs), np.stack([gradient(Y[i], qs[i]) for i in range(2)]))


@pytest.mark.parametrize("name", BATCHED)
def test_compiled_and_recorded(name: str) -> None:
    f = BATCHED[name]
    g = lambda y, q: f(X, y, q)  # noqa: E731
    compiled = ad.compile(g)
    for y, q in zip(Y, INSIDE, strict=True):
        close(compiled(y, q), g(y, q))
        close(ad.record(g)(Y[0], INSIDE[0]).evaluate(y, q), g(y, q))


def test_many_points_are_one_evaluation() -> None:
    q = np.linspace(X[0], X[-1], 100_000)
    tape = ad.record(lambda y, q: interpolate.CubicSpline(X, y)(q))(Y[0], q)
    assert len(tape.entries) < 120
    close(interpolate.CubicSpline(X, ad.Tensor(Y[0]))(q), si.CubicSpline(X, Y[0])(q))


# --- interp1d -------------------------------------------------------------------------------------

KINDS = ("linear", "nearest", "nearest-up", "previous", "next", "zero", "slinear", "quadratic")


@pytest.mark.parametrize("kind", [*KINDS, "cubic", 4])
@pytest.mark.parametrize("fill", [np.nan, 2.5, (1.0, np.array([2.0, 3.0])), "extrapolate"], ids=str)
def test_interp1d(kind: Any, fill: Any) -> None:
    shuffled = RNG.permutation(7)

    def build(s: Any, x: Any, y: Any) -> Any:
        return s.interp1d(x[shuffled], y[:, shuffled], kind, bounds_error=False, fill_value=fill)

    theirs = build(si, X, Y)
    for q in (Q, X, X[2], (X[1:] + X[:-1]) / 2):
        if kind in ("nearest", "nearest-up") and q is not Q:
            q = q + 0.01
        close(build(interpolate, X, Y)(q), theirs(q))
        close(build(interpolate, X, ad.Tensor(Y))(q), theirs(q))
        close(build(interpolate, X, Y)(ad.Tensor(q)), theirs(q))
    if fill == "extrapolate":  # within, the fill has no part in the derivatives
        ad.check_grads(lambda x, y, q: build(interpolate, x, y)(q), (X, Y, INSIDE[:1]), order=2)


def test_interp1d_outside_is_an_error_by_name() -> None:
    f = interpolate.interp1d(X, ad.Tensor(Y[0]))
    with pytest.raises(ValueError, match=rf"the query {X[-1] + 1} is above"):
        f(np.array([X[0], X[-1] + 1]))
    with pytest.raises(ValueError, match=r"the query -3.0 is below"):
        f(-3.0)
    with pytest.raises(ValueError, match="both extrapolate and raise"):
        interpolate.interp1d(X, ad.Tensor(Y[0]), bounds_error=True, fill_value="extrapolate")
    with pytest.raises(NotImplementedError, match="no kind 'wavy'"):
        interpolate.interp1d(X, ad.Tensor(Y[0]), "wavy")
    ad.check_grads(
        lambda b: interpolate.interp1d(X, Y[0], bounds_error=False, fill_value=(b, 2 * b))(Q),
        (0.4,),
        order=2,
    )


def test_interp1d_keeps_float32_where_it_only_chooses() -> None:
    y = Y.astype(np.float32)
    for kind in ("nearest", "linear"):
        wanted = si.interp1d(X, y, kind)(INSIDE)
        # In which precision SciPy interpolates single ones depends on its version
        close(interpolate.interp1d(X, ad.Tensor(y), kind)(INSIDE), wanted, 1e-6)
        gradient = ad.grad(lambda y, k=kind: np.sum(interpolate.interp1d(X, y, k)(INSIDE)))(y)
        assert gradient.dtype == np.float32


# --- grids ----------------------------------------------------------------------------------------

AXES = (X, np.linspace(0.0, 2.0, 6) ** 2)
VALUES = RNG.standard_normal((7, 6, 2))
POINTS = np.stack([RNG.uniform(X[0], X[-1], 5), RNG.uniform(0.0, 4.0, 5)], axis=-1)
METHODS = ("linear", "nearest", "slinear", "cubic", "quintic", "pchip")


@pytest.mark.parametrize("method", METHODS)
def test_grid_interpolators(method: str) -> None:
    # SciPy solves for splines iteratively
    tolerance = 1e-4 if method in ("cubic", "quintic", "slinear") else 1e-9
    outside = POINTS + 2.0
    for fill in (np.nan, 1.5, None):
        theirs = si.RegularGridInterpolator(AXES, VALUES, method, False, fill)
        for values in (VALUES, ad.Tensor(VALUES)):
            ours = interpolate.RegularGridInterpolator(AXES, values, method, False, fill)
            for q in (POINTS, outside, POINTS.reshape(5, 1, 2), POINTS[0]):
                close(ours(q), theirs(q), tolerance)
                close(ours(ad.Tensor(q)), theirs(q), tolerance)
    down = (AXES[0][::-1], AXES[1])
    close(
        interpolate.RegularGridInterpolator(down, ad.Tensor(VALUES), method)(POINTS),
        si.RegularGridInterpolator(down, VALUES, method)(POINTS),
        tolerance,
    )
    separate = (POINTS[:, 0], POINTS[:, 1])
    close(
        interpolate.interpn(AXES, ad.Tensor(VALUES), separate, method),
        si.interpn(AXES, VALUES, separate, method),
        tolerance,
    )
    ad.check_grads(
        lambda x, y, v, q: interpolate.RegularGridInterpolator((x, y), v, method)(q),
        (*AXES, VALUES, POINTS),
        order=1 if method == "quintic" else 2,
    )
    if method in ("cubic", "slinear"):
        known = si.RegularGridInterpolator(AXES, VALUES, method)
        for nu in ((0, 1), (1, 1)):
            grid = interpolate.RegularGridInterpolator(AXES, ad.Tensor(VALUES), method)
            close(grid(POINTS, nu=nu), known(POINTS, nu=nu), 1e-3)


def test_grid_errors() -> None:
    grid = interpolate.RegularGridInterpolator(AXES, ad.Tensor(VALUES))
    with pytest.raises(ValueError, match=r"the query 9.0 is out of bounds in dimension 1"):
        grid(np.array([X[1], 9.0]))
    with pytest.raises(ValueError, match="queries in 3 dimensions"):
        grid(np.ones((4, 3)))
    with pytest.raises(ValueError, match="method must be one of"):
        grid(POINTS, "spline")
    with pytest.raises(ValueError, match="nu"):
        grid(POINTS, nu=(1, 0))
    with pytest.raises(TypeError, match="solver"):
        interpolate.RegularGridInterpolator(AXES, ad.Tensor(VALUES), "cubic", solver=1)
    with pytest.raises(ValueError, match="at least 6 points, got 3 along axis 0"):
        interpolate.RegularGridInterpolator((X[:3],), ad.Tensor(X[:3]), "quintic")
    with pytest.raises(ValueError, match="splinef2d"):
        interpolate.interpn(AXES, ad.Tensor(VALUES[..., 0]), POINTS, "splinef2d")
    missing = np.array([[np.nan, 1.0], [X[1], 1.0]])
    outside_is_filled = interpolate.RegularGridInterpolator(
        AXES, ad.Tensor(VALUES), "nearest", bounds_error=False
    )
    assert np.isnan(outside_is_filled(missing).data[0]).all()


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call", "error", "match"),
    [
        ("x descends", lambda y: interpolate.CubicSpline(X[::-1], y), ValueError, "increasing"),
        ("lengths", lambda y: interpolate.CubicSpline(X[1:], y), ValueError, "7 values along"),
        ("axis", lambda y: interpolate.CubicSpline(X, y, 2), ValueError, "no axis 2"),
        ("bc", lambda y: interpolate.CubicSpline(X, y, bc_type="odd"), ValueError, "bc_type 'odd'"),
        ("open", lambda y: interpolate.CubicSpline(X, y, bc_type="periodic"), ValueError, "equal"),
        ("nan", lambda y: interpolate.CubicSpline(X, y * np.nan), ValueError, "NaN"),
        ("conditions", lambda y: interpolate.make_interp_spline(X, y, 5, bc_type="natural"),
         ValueError, "4 derivatives"),
        ("closed", lambda y: interpolate.make_interp_spline(X, y, bc_type="periodic"),
         ValueError, "equal"),
        ("method", lambda y: interpolate.Akima1DInterpolator(X, y, method="x"),
         NotImplementedError, "method"),
        ("complex queries", lambda y: interpolate.CubicSpline(X, y)(1j), TypeError, "real"),
        ("order", lambda y: interpolate.make_interp_spline(X, y).derivative(4), ValueError, "4"),
        ("knots", lambda y: interpolate.BSpline(X[::-1], y, 2), ValueError, "ascending"),
    ],
)  # fmt: skip
def test_errors_name_the_function(name: str, call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        call(ad.Tensor(Y[0]))


def test_names_that_are_not_here() -> None:
    with pytest.raises(AttributeError, match="make_interp_spline goes through"):
        _ = interpolate.UnivariateSpline
    with pytest.raises(ImportError, match="has no 'make_lsq_spline'"):
        from autodiff.scipy.interpolate import make_lsq_spline  # noqa: F401
    with pytest.raises(AttributeError, match=r"has no 'nothing'$"):
        _ = interpolate.nothing


def test_scipys_own_on_a_tensor_names_the_one_here() -> None:
    for name in ("CubicSpline", "make_interp_spline", "interp1d"):
        with pytest.raises(TypeError, match=rf"autodiff\.scipy\.interpolate\.{name}"):
            getattr(si, name)(X, ad.Tensor(Y[0]))
