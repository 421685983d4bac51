"""`autodiff.scipy.optimize`: SciPy's values; derivatives against re-solving and formulas."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.optimize as so

import autodiff as ad
from autodiff import nn
from autodiff.scipy import optimize

METHODS = (
    *("Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA"),
    *("SLSQP", "trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov"),
)
A = np.array([1.0, 2.0, 3.0])


def bowl(x: Any, a: Any) -> Any:
    return np.sum((x - a) ** 2) + np.sum(x**4)


def rosenbrock(x: Any) -> Any:
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def differences(f: Any, x: Any, step: float = 1e-3) -> Any:
    """Jacobian by differences of re-solving, of order four: solvers stop at some tolerance."""
    x = np.asarray(x, float)
    columns = []
    for i in range(x.size):
        e = np.zeros(x.size)
        e[i] = step
        e = e.reshape(x.shape)
        near, far = (np.asarray(f(x + k * e)) - np.asarray(f(x - k * e)) for k in (1, 2))
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=-1).reshape(np.shape(columns[0]) + x.shape)


# --- optima ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_differentiable(method: str) -> None:
    tol = 1e-9 if method != "trust-krylov" else 1e-5

    def best(a: Any) -> Any:
        return optimize.minimize(bowl, np.ones(3), args=(a,), method=method, tol=tol).x

    x = best(A)
    assert isinstance(x, np.ndarray)
    np.testing.assert_allclose(ad.jacobian(best)(A), np.diag(2 / (2 + 12 * x**2)), rtol=1e-5)


@pytest.mark.parametrize("method", [None, "BFGS", "L-BFGS-B", "SLSQP", "TNC", "Newton-CG"])
def test_on_arrays_it_is_scipys_with_exact_derivatives(method: str | None) -> None:
    ours = optimize.minimize(rosenbrock, np.zeros(5), method=method)
    options = {"hessp": so.rosen_hess_prod} if method == "Newton-CG" else {}
    theirs = so.minimize(so.rosen, np.zeros(5), jac=so.rosen_der, method=method, **options)
    assert set(ours) == set(theirs)
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-5)
    assert abs(ours.nfev - theirs.nfev) <= 2
    assert type(ours.x) is np.ndarray


def test_value_and_gradient_are_one_evaluation() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(1)
        return rosenbrock(x)

    result = optimize.minimize(f, np.zeros(4))
    assert len(calls) == result.nfev == result.njev


def test_gradient_through_minimize_takes_three_gradients_and_a_solve() -> None:
    calls = []
    n = 1000

    def f(x: Any, a: Any) -> Any:
        calls.append(1)
        return np.sum(np.cosh(x - a)) + 0.5 * np.sum((x[1:] - x[:-1]) ** 2)

    def loss(a: Any, x0: Any) -> Any:
        return np.sum(optimize.minimize(f, x0, args=(a,), method="L-BFGS-B", tol=1e-12).x ** 3)

    a = np.sin(np.arange(n) / 9.0)
    x = optimize.minimize(f, np.zeros(n), args=(a,), method="L-BFGS-B", tol=1e-12).x
    calls.clear()
    optimize.minimize(f, x, args=(a,), method="L-BFGS-B", tol=1e-12)
    alone = len(calls)
    calls.clear()
    slope = ad.grad(loss)(a, x)
    # one for the residual, one for `fun`, one in the sweep; the sparse Hessian is the linear solve
    assert len(calls) - alone <= 6
    matrix = ad.hessian(lambda x: f(x, a))(x)
    mixed = np.diag(-np.cosh(x - a))
    np.testing.assert_allclose(slope, -mixed @ np.linalg.solve(matrix, 3 * x**2), rtol=1e-4)


def test_closures_args_and_higher_orders() -> None:
    def best(a: Any) -> Any:
        def valley(x: Any) -> Any:
            return (x[0] - a) ** 2 + 10.0 * (x[1] - x[0] ** 2) ** 2

        return optimize.minimize(valley, np.zeros(2), tol=1e-10).x

    np.testing.assert_allclose(ad.jacobian(best)(3.0), [1.0, 6.0], rtol=1e-7)
    np.testing.assert_allclose(ad.jacobian(ad.jacobian(best))(3.0), [0.0, 2.0], atol=1e-6)
    np.testing.assert_allclose(ad.jvp(best, (3.0,), (1.0,))[1], [1.0, 6.0], rtol=1e-7)
    np.testing.assert_allclose(ad.vmap(best)(np.array([1.0, 3.0])), [[1, 1], [3, 9]], rtol=1e-6)
    slopes = ad.vmap(ad.jacobian(best))(np.array([1.0, 3.0]))
    np.testing.assert_allclose(slopes, [[1, 2], [1, 6]], rtol=1e-6)
    compiled = ad.compile(lambda a: np.sum(best(a)))
    assert compiled(3.0) == pytest.approx(12.0)
    assert compiled(2.0) == pytest.approx(6.0)


def test_the_optimal_value_has_the_derivative_of_the_envelope() -> None:
    def value(a: Any) -> Any:
        return optimize.minimize(bowl, np.ones(3), args=(a,), tol=1e-10).fun

    x = optimize.minimize(bowl, np.ones(3), args=(A,), tol=1e-10).x
    np.testing.assert_allclose(ad.grad(value)(A), -2 * (x - A), rtol=1e-6)
    curvature = np.diag(2 - 4 / (2 + 12 * x**2))
    np.testing.assert_allclose(ad.hessian(value)(A), curvature, atol=1e-6)


def test_containers_and_modules() -> None:
    x = np.linspace(-1, 1, 20)[:, None]
    found = optimize.minimize(
        lambda q: np.mean((x @ q["w"] + q["b"] - 2 * x - 1) ** 2), {"w": np.zeros((1, 1)), "b": 0.0}
    )
    assert found.success
    np.testing.assert_allclose(found.x["w"], [[2.0]], rtol=1e-4)
    assert found.jac["w"].shape == (1, 1)
    model = nn.MLP([1, 3, 1])
    before = np.mean((model(x) - np.sin(3 * x)) ** 2)
    fitted = optimize.minimize(lambda m: np.mean((m(x) - np.sin(3 * x)) ** 2), model)
    assert isinstance(fitted.x, nn.MLP)
    assert fitted.fun < 0.1 * before

    def best(target: Any) -> Any:
        return optimize.minimize(
            lambda q: np.sum((q["m"] - target) ** 2), {"m": np.zeros((2, 2))}, tol=1e-10
        ).x["m"]

    slope = ad.jacobian(best)(np.ones((2, 2)))
    np.testing.assert_allclose(slope.reshape(4, 4), np.eye(4), atol=1e-9)


def test_a_bar_counts_evaluations(capsys: pytest.CaptureFixture[str]) -> None:
    optimize.minimize(rosenbrock, np.zeros(3), progress=True)
    assert "evaluations" in capsys.readouterr().err
    optimize.minimize(rosenbrock, np.zeros(3))
    assert not capsys.readouterr().err


def test_own_derivatives_are_used() -> None:
    calls = []

    def slope(x: Any, a: Any) -> Any:
        calls.append(1)
        return 2 * (x - a) + 4 * x**3

    def best(a: Any) -> Any:
        return optimize.minimize(bowl, np.ones(3), args=(a,), jac=slope, tol=1e-10).x

    x = best(A)
    assert calls
    np.testing.assert_allclose(ad.jacobian(best)(A), np.diag(2 / (2 + 12 * x**2)), rtol=1e-6)
    both = optimize.minimize(lambda x, a: (bowl(x, a), slope(x, a)), np.ones(3), (A,), jac=True)
    np.testing.assert_allclose(both.x, x, rtol=1e-5)
    by_differences = optimize.minimize(so.rosen, np.zeros(3), jac="2-point")
    np.testing.assert_allclose(by_differences.x, np.ones(3), rtol=1e-4)


# --- bounds and constraints -----------------------------------------------------------------------


def allocated(p: Any, method: Any = None) -> Any:
    """Nearest point to p["a"] whose numbers are positive and add up to p["b"]."""
    return optimize.minimize(
        lambda x: np.sum((x - p["a"]) ** 2),
        np.zeros(3),
        method=method,
        bounds=[(0, None)] * 3,
        constraints={"type": "eq", "fun": lambda x: np.sum(x) - p["b"]},
        tol=1e-12,
    )


P: dict[str, Any] = {"a": np.array([1.0, 2.0, -3.0]), "b": 1.5}


@pytest.mark.parametrize("method", [None, "SLSQP", "trust-constr"])
def test_an_active_set_and_its_multipliers(method: Any) -> None:
    result = allocated(P, method)
    np.testing.assert_allclose(result.x, [0.25, 1.25, 0.0], atol=1e-5)
    np.testing.assert_allclose(result.multipliers_of_constraints[0], [-1.5], rtol=1e-4)
    np.testing.assert_allclose(result.multipliers_of_bounds, [0, 0, 7.5], rtol=1e-4, atol=1e-6)
    slopes = ad.jacobian(lambda p: allocated(p, method).x)(P)
    half = [[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]]
    np.testing.assert_allclose(slopes["a"], half, atol=1e-6)
    np.testing.assert_allclose(slopes["b"], [0.5, 0.5, 0], atol=1e-6)
    rate = ad.grad(lambda b: allocated({**P, "b": b}, method).fun)(1.5)
    np.testing.assert_allclose(rate, -1.5, rtol=1e-4)
    moved = ad.jacobian(lambda p: allocated(p, method).multipliers_of_bounds)(P)
    np.testing.assert_allclose(moved["b"], [0, 0, -1], atol=1e-6)


def test_each_example_of_a_batch_has_its_own_active_set() -> None:
    totals = np.array([1.5, 0.5, 8.0, 12.0])

    def x(b: Any) -> Any:
        return allocated({**P, "b": b}).x

    found = ad.vmap(ad.jacobian(x))(totals)
    wanted = [[0.5, 0.5, 0], [0, 1, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(found, wanted, atol=1e-8)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "COBYLA", "COBYQA"])
def test_nonlinear_and_linear_constraints(method: str) -> None:
    options = {"maxiter": 5000}

    def best(c: Any, top: Any) -> Any:
        return optimize.minimize(
            lambda x: (x[0] - 1) ** 2 + (x[1] - 2.5) ** 2,
            np.array([1.0, 0.5]),
            method=method,
            constraints=[
                optimize.NonlinearConstraint(lambda x: x @ x, -np.inf, c),
                optimize.LinearConstraint(np.array([[1.0, 1.0]]), -1.0, top),
            ],
            tol=1e-10,
            options=options,
        )

    # the point of the disc that is nearest to (1, 2.5)
    point = np.array([1.0, 2.5]) / np.sqrt(7.25)
    np.testing.assert_allclose(best(2.0, 10.0).x, np.sqrt(2) * point, rtol=1e-4)
    slope = ad.jacobian(lambda c: best(c, 10.0).x)(2.0)
    np.testing.assert_allclose(slope, point / (2 * np.sqrt(2)), rtol=1e-4)
    rate = ad.grad(lambda c: best(c, 10.0).fun)(2.0)
    np.testing.assert_allclose(best(2.0, 10.0).multipliers_of_constraints[0], [rate], rtol=1e-4)
    # the line x + y = 1 holds it
    slope = ad.jacobian(lambda top: best(9.0, top).x)(1.0)
    np.testing.assert_allclose(slope, [0.5, 0.5], atol=1e-5)


def test_bounds_and_matrices_may_be_tensors() -> None:
    def best(lower: Any) -> Any:
        return optimize.minimize(
            lambda x: np.sum((x - 1.0) ** 2), np.zeros(2), bounds=[(lower, None), (None, 5.0)]
        ).x

    np.testing.assert_allclose(ad.jacobian(best)(2.0), [1.0, 0.0])

    def on_line(a: Any, b: Any) -> Any:
        return optimize.minimize(
            lambda x: x @ x,
            np.ones(2),
            constraints=optimize.LinearConstraint(np.reshape(a, (1, 2)), b, b),
            tol=1e-13,
        ).x  # b a / |a|²

    a = np.array([1.0, 3.0])
    found = ad.jacobian(on_line)(a, 2.0)
    wanted = ad.jacobian(lambda a: 2.0 * a / (a @ a))(a)
    np.testing.assert_allclose(found, wanted, atol=1e-7)


def test_many_variables_with_bounds() -> None:
    n = 300
    a = np.sin(np.arange(n) * 0.37)

    def f(a: Any) -> Any:
        return optimize.minimize(
            lambda x: np.sum((x - a) ** 2) + np.sum((x[1:] - x[:-1]) ** 2),
            np.zeros(n),
            bounds=optimize.Bounds(0.0, np.inf),
            tol=1e-14,
            options={"gtol": 1e-10, "ftol": 1e-16},
        ).x

    x, v = f(a), np.cos(np.arange(n))
    free = x > 1e-9
    assert 50 < free.sum() < 250
    matrix = ad.hessian(lambda x: np.sum(x**2) + np.sum((x[1:] - x[:-1]) ** 2))(x)
    wanted = np.zeros(n)
    wanted[free] = np.linalg.solve(matrix[free][:, free], 2 * v[free])
    np.testing.assert_allclose(ad.jvp(f, (a,), (v,))[1], wanted, rtol=1e-8, atol=1e-10)


def test_a_degenerate_active_set_says_so() -> None:
    def best(a: Any) -> Any:
        return optimize.minimize(lambda x: (x[0] - a) ** 2, np.ones(1), bounds=[(0.0, None)]).x[0]

    with pytest.warns(ad.ConvergenceWarning, match=r"degenerate: bound of x\[0\] holds"):
        ad.grad(best)(0.0)


def test_dependent_constraints_are_singular() -> None:
    def best(a: Any) -> Any:
        return optimize.minimize(
            lambda x: np.sum((x - a) ** 2),
            np.ones(2),
            constraints=[optimize.LinearConstraint(np.ones((2, 2)), 1.0, 1.0)],
            method="trust-constr",
        ).x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ad.SingularSystemError, match="depend on one another"):
            ad.jacobian(best)(np.zeros(2))


# --- optima of one number -------------------------------------------------------------------------


def test_minimize_scalar() -> None:
    theirs = so.minimize_scalar(lambda x: (x - 2.0) ** 2)
    ours = optimize.minimize_scalar(lambda x: (x - 2.0) ** 2)
    assert ours.x == theirs.x
    assert set(ours) == set(theirs)

    def f(a: Any) -> Any:
        return optimize.minimize_scalar(
            lambda x, a: np.cosh(x - a) + 0.1 * x * a, args=(a,), tol=1e-10
        ).x

    # sinh(x - a) = -a/10
    slope = 1 - 0.1 / np.sqrt(1 + 0.01 * 4)
    np.testing.assert_allclose(ad.grad(f)(2.0), slope, rtol=1e-6)

    def at_bound(u: Any) -> Any:
        return optimize.minimize_scalar(lambda x: (x - 5) ** 2, bounds=(0.0, u), method="bounded").x

    assert ad.grad(at_bound)(1.3) == pytest.approx(1.0)


# --- roots ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["hybr", "lm", "broyden1", "broyden2", "krylov", "df-sane"])
def test_root(method: str) -> None:
    def system(x: Any, a: Any) -> Any:
        return np.stack([x[0] + 0.2 * x[1] ** 2 - a, x[1] + 0.1 * np.sin(x[0])])

    def f(a: Any) -> Any:
        return optimize.root(system, np.zeros(2), args=(a,), method=method, tol=1e-11)

    x = f(1.0).x
    slope = np.linalg.solve(ad.jacobian(system)(x, 1.0), [1.0, 0.0])
    np.testing.assert_allclose(ad.jacobian(lambda a: f(a).x)(1.0), slope, rtol=1e-6)
    theirs = so.root(system, np.zeros(2), args=(1.0,), method=method, tol=1e-11)
    np.testing.assert_allclose(x, theirs.x, atol=1e-8)


def test_root_of_containers_and_fsolve() -> None:
    def f(a: Any) -> Any:
        return optimize.root(
            lambda x: {"u": x["u"] ** 3 - a, "v": x["v"] - x["u"]},
            {"u": np.ones(2), "v": np.ones(2)},
        ).x["v"]

    np.testing.assert_allclose(
        ad.jacobian(f)(np.array([8.0, 27.0])), np.diag([1 / 12, 1 / 27]), atol=1e-9
    )

    def g(a: Any) -> Any:
        return optimize.fsolve(lambda x: x * np.exp(x) - a, 0.5)[0]

    ad.check_grads(g, (np.e,), order=2)
    _, info, flag, message = optimize.fsolve(lambda x: x - 1.0, 0.0, full_output=True)
    assert flag == 1
    assert info["nfev"] > 0
    assert message
    with pytest.warns(RuntimeWarning, match="progress"):
        optimize.fsolve(lambda x: x**2 + 1.0, 1.0)


@pytest.mark.parametrize("name", ["bisect", "brentq", "brenth", "ridder", "toms748"])
def test_searches_between_two_ends(name: str) -> None:
    ours, theirs = getattr(optimize, name), getattr(so, name)

    def f(x: Any) -> Any:
        return x**3 - x - 2.0

    assert ours(f, 1.0, 2.0) == theirs(f, 1.0, 2.0)
    x, result = ours(f, 1.0, 2.0, xtol=1e-12, full_output=True)
    assert result.converged
    assert x == theirs(f, 1.0, 2.0, xtol=1e-12)

    def solve(a: Any) -> Any:
        return ours(lambda x, a: x**3 - x - a, 1.0, 4.0, args=(a,), xtol=1e-13)

    ad.check_grads(solve, (2.0,), order=2)

    def by_closure(a: Any) -> Any:
        return ours(lambda x: x**3 - x - a, 1.0, 4.0, xtol=1e-13)

    np.testing.assert_allclose(ad.vmap(ad.grad(by_closure))(np.array([2.0, 6.0])), [
        1 / (3 * solve(2.0) ** 2 - 1), 1 / 11,
    ])  # fmt: skip
    with pytest.raises(ValueError, match="different signs"):
        ours(f, 3.0, 4.0)
    with pytest.raises(ad.SingularSystemError):
        ad.grad(lambda a: ours(lambda x: (x - a) ** 3, -1.0, 1.5))(0.25)


@pytest.mark.parametrize("method", ["newton", "halley", "secant", "brentq", None])
def test_root_scalar(method: str | None) -> None:
    start: dict[str, Any] = {"bracket": (0.0, 3.0)} if method == "brentq" else {"x0": 1.0}
    if method in ("secant", None):
        start["x1"] = 1.5

    def f(a: Any) -> Any:
        return optimize.root_scalar(lambda x: x**2 - a, method=method, xtol=1e-12, **start)

    assert f(2.0).converged
    ad.check_grads(lambda a: f(a).root, (2.0,), order=2)
    assert int(f(2.0).iterations) > 0


def test_newton_of_many_at_once() -> None:
    a = np.linspace(1.0, 30.0, 300)

    def f(a: Any) -> Any:
        return optimize.newton(lambda x: x**3 - a, np.full(a.shape, 2.0), maxiter=200)

    np.testing.assert_allclose(f(a), np.cbrt(a))
    np.testing.assert_allclose(ad.elementwise_grad(f)(a), a ** (-2 / 3) / 3, rtol=1e-9)
    assert optimize.newton(lambda x: x**2 - 2, 1.0) == so.newton(lambda x: x**2 - 2, 1.0)


def test_fixed_point() -> None:
    def f(a: Any) -> Any:
        return optimize.fixed_point(lambda x: np.cos(a * x), 0.5, xtol=1e-12)

    assert f(1.0) == so.fixed_point(np.cos, 0.5, xtol=1e-12)
    ad.check_grads(f, (1.0,), order=2)

    def g(a: Any) -> Any:
        return optimize.fixed_point(lambda x: np.cos(a * x), np.full(2, 0.5), xtol=1e-12)

    ad.check_grads(g, (np.array([0.5, 1.0]),), order=2)


# --- least squares --------------------------------------------------------------------------------

T = np.linspace(0.0, 3.0, 12)
Y = 2.0 * np.exp(-0.7 * T) + 0.05 * np.cos(5 * T)


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "huber", "cauchy", "arctan"])
@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(method: str, loss: str) -> None:
    if method == "lm" and loss != "linear":
        pytest.skip("SciPy: lm has the linear loss alone")

    def f(y: Any) -> Any:
        return optimize.least_squares(
            lambda x: x[0] * np.exp(-x[1] * T) - y, np.ones(2), method=method, loss=loss,
            f_scale=0.1, ftol=1e-15, xtol=1e-15, gtol=1e-15,
        )  # fmt: skip

    theirs = so.least_squares(
        lambda x: x[0] * np.exp(-x[1] * T) - Y, np.ones(2), method=method, loss=loss,
        f_scale=0.1, ftol=1e-15, xtol=1e-15, gtol=1e-15,
    )  # fmt: skip
    np.testing.assert_allclose(f(Y).x, theirs.x, rtol=1e-6)
    np.testing.assert_allclose(
        ad.jacobian(lambda y: f(y).x)(Y), differences(lambda y: f(y).x, Y), rtol=1e-4, atol=1e-6
    )
    recorded = ad.value_and_grad(lambda y: f(y).cost)(Y)[0]
    np.testing.assert_allclose(recorded, theirs.cost, rtol=1e-9)


def test_least_squares_at_a_bound_and_sparse() -> None:
    def f(u: Any) -> Any:
        return optimize.least_squares(
            lambda x: x[0] * np.exp(-x[1] * T) - Y, np.array([1.0, 0.2]), bounds=([0, 0], [9, u])
        ).x

    slope = ad.jacobian(f)(0.5)
    np.testing.assert_allclose(slope[1], 1.0, rtol=1e-6)
    np.testing.assert_allclose(slope, differences(f, 0.5, 1e-4), rtol=1e-4)
    n = 200
    b = np.sin(np.arange(n))

    def g(b: Any) -> Any:
        return optimize.least_squares(
            lambda x: np.concatenate([x + 0.1 * x**3 - b, 0.5 * (x[1:] - x[:-1])]), np.zeros(n)
        )

    assert callable(getattr(g(b).jac, "tocsr", None))
    v = np.cos(np.arange(n))
    near, far = (g(b + k * 1e-3 * v).x - g(b - k * 1e-3 * v).x for k in (1, 2))
    slope = ad.jvp(lambda b: g(b).x, (b,), (v,))[1]
    np.testing.assert_allclose(slope, (8 * near - far) / 0.012, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sigma", ["none", "vector", "matrix"])
@pytest.mark.parametrize("absolute", [False, True])
def test_curve_fit(sigma: str, absolute: bool) -> None:
    def curve(x: Any, a: Any, b: Any) -> Any:
        return a * np.exp(-b * x)

    s = {
        "none": None,
        "vector": 0.1 + 0.02 * T,
        "matrix": 0.01 * (np.eye(12) + 0.3 * np.ones((12, 12))),
    }[sigma]

    def f(y: Any) -> Any:
        return optimize.curve_fit(
            curve, T, y, sigma=s, absolute_sigma=absolute, ftol=1e-14, xtol=1e-14
        )

    popt, pcov = so.curve_fit(curve, T, Y, sigma=s, absolute_sigma=absolute, ftol=1e-14, xtol=1e-14)
    np.testing.assert_allclose(f(Y)[0], popt, rtol=1e-7)
    np.testing.assert_allclose(f(Y)[1], pcov, rtol=1e-5)
    (value, covariance), slopes = f(Y), ad.jacobian(f)(Y)
    assert type(value) is np.ndarray
    np.testing.assert_allclose(slopes[0], differences(lambda y: f(y)[0], Y), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(slopes[1], differences(lambda y: f(y)[1], Y), rtol=1e-3, atol=1e-7)
    through = ad.vjp(f, Y)[0]
    np.testing.assert_allclose(through[1], covariance, rtol=1e-6)


def test_curve_fit_by_sigma_and_xdata_and_missing_data() -> None:
    def line(x: Any, a: Any, b: Any) -> Any:
        return a + b * x

    weights = 0.1 + 0.05 * T

    def f(x: Any, s: Any) -> Any:
        return optimize.curve_fit(line, x, Y, sigma=s)[0]

    ad.check_grads(f, (T, weights), order=1, rtol=1e-4)
    holes = np.where(T > 2.5, np.nan, Y)
    ours = optimize.curve_fit(line, T, holes, nan_policy="omit")
    theirs = so.curve_fit(line, T, holes, nan_policy="omit")
    np.testing.assert_allclose(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1])
    slope = ad.jacobian(lambda y: optimize.curve_fit(line, T, y, nan_policy="omit")[0])(holes)
    assert np.isfinite(slope).all()


def test_nnls() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((6, 4)), rng.standard_normal(6)
    x, norm = optimize.nnls(a, b)
    np.testing.assert_allclose(x, so.nnls(a, b)[0])
    assert (x == 0).any()
    assert (x > 0).any()
    assert norm == so.nnls(a, b)[1]
    ad.check_grads(lambda a, b: optimize.nnls(a, b), (a, b), order=2)


# --- what goes wrong ------------------------------------------------------------------------------


def test_no_convergence() -> None:
    short = {"maxiter": 2}

    def f(a: Any, on_failure: str = "warn") -> Any:
        return optimize.minimize(
            lambda x: rosenbrock(a * x), np.zeros(4), options=short, on_failure=on_failure
        ).x[0]

    assert np.isfinite(f(1.0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ad.grad(f)(1.0)
    messages = [str(w.message) for w in caught if w.category is ad.ConvergenceWarning]
    assert any("did not converge: Maximum number of iterations" in text for text in messages)
    assert any("a Newton step would change x by" in text for text in messages)
    with pytest.raises(ad.SolverError, match="did not converge"):
        f(1.0, "raise")
    with pytest.raises(ValueError, match="on_failure must be"):
        f(1.0, "shout")


def test_what_is_no_objective() -> None:
    with pytest.raises(ValueError, match=r"must return a number, it returned .*shape \(2,\)"):
        optimize.minimize(lambda x: x, np.ones(2))
    with pytest.raises(TypeError, match=r"x0 is .*complex"):
        optimize.minimize(lambda x: np.sum(x), np.ones(2) + 1j)
    with pytest.raises(TypeError, match="jac='2-point'") as caught:
        optimize.minimize(so.rosen, np.ones(2))
    assert "differences" in "".join(caught.value.__notes__)


def test_what_are_no_constraints() -> None:
    with pytest.raises(ValueError, match=r"constraints\[0\] must have 'type'"):
        optimize.minimize(rosenbrock, np.ones(2), constraints={"fun": lambda x: x})
    with pytest.raises(TypeError, match=r"constraints\[0\] is a float"):
        optimize.minimize(rosenbrock, np.ones(2), constraints=[1.0])
    with pytest.raises(ValueError, match=r"one pair .* for each of the 2 unknowns, got 1"):
        optimize.minimize(rosenbrock, np.ones(2), bounds=[(0, 1)])


def test_results_say_what_they_leave_out() -> None:
    def f(a: Any) -> Any:
        return optimize.minimize(lambda x: np.sum((x - a) ** 2), np.ones(2)).jac

    with pytest.raises(AttributeError, match="has no 'jac' here"):
        ad.jacobian(f)(1.0)


def test_solvers_whose_results_jump_are_refused() -> None:
    cost = np.array([[4.0, 1.0], [2.0, 3.0]])
    _, columns = optimize.linear_sum_assignment(cost)
    np.testing.assert_array_equal(columns, [1, 0])
    with pytest.raises(ad.NonDifferentiableError, match="linear_sum_assignment has no derivative"):
        ad.grad(lambda c: optimize.linear_sum_assignment(c)[0].sum())(cost)
    assert optimize.linprog(np.ones(2)).success
    with pytest.raises(ad.NonDifferentiableError, match="linprog"):
        ad.grad(lambda c: optimize.linprog(c).fun)(np.ones(2))
    with pytest.raises(ad.NonDifferentiableError, match="milp"):
        ad.grad(lambda c: optimize.milp(c).fun)(np.ones(2))


# --- searches -------------------------------------------------------------------------------------


def wells(x: Any, a: Any) -> Any:
    return np.sum((x**2 - a) ** 2 + 0.5 * x)


@pytest.mark.parametrize("name", ["differential_evolution", "direct", "dual_annealing", "shgo"])
def test_searches_between_bounds(name: str) -> None:
    ours, theirs = getattr(optimize, name), getattr(so, name)
    bounds = [(-3.0, 3.0), (-2.5, 3.5)]
    options: dict[str, Any] = {} if name in ("direct", "shgo") else {"rng": 0}
    if name == "direct":
        options = {"maxfun": 4000, "len_tol": 1e-7, "vol_tol": 1e-26}
    plain = ours(wells, bounds, (2.0,), **options)
    np.testing.assert_allclose(plain.x, theirs(wells, bounds, args=(2.0,), **options).x)
    assert plain.nfev == theirs(wells, bounds, args=(2.0,), **options).nfev

    def best(a: Any) -> Any:
        return ours(lambda x: wells(x, a), bounds, on_failure="ignore", **options).x

    x = best(2.0)
    np.testing.assert_allclose(ad.jacobian(best)(2.0), 4 * x / (12 * x**2 - 8), rtol=1e-3)

    def at_bound(low: Any) -> Any:
        return ours(lambda x: np.sum(x**2 + x), [(low, 3.0)], on_failure="ignore", **options).x[0]

    if name != "direct":
        np.testing.assert_allclose(ad.grad(at_bound)(0.5), 1.0)
    with pytest.raises(ad.NonDifferentiableError, match="maxiter"):
        ours(wells, bounds, (2.0,), maxiter=ad.Tensor(3.0))


def test_basinhopping_and_brute() -> None:
    def hop(module: Any, a: Any) -> Any:
        return module.basinhopping(lambda x: wells(x, a), np.ones(2), niter=8, rng=0)

    np.testing.assert_allclose(hop(optimize, 2.0).x, hop(so, 2.0).x, atol=1e-5)
    x = hop(optimize, 2.0).x
    np.testing.assert_allclose(
        ad.jacobian(lambda a: hop(optimize, a).x)(2.0), 4 * x / (12 * x**2 - 8), rtol=1e-4
    )
    with pytest.raises(TypeError, match="'bounds'"):
        optimize.basinhopping(wells, [1.0], minimizer_kwargs={"bounds": [(0, 1)]})
    ranges = ((-3.0, 3.0), slice(-2.0, 2.0, 0.25))
    for full in (False, True):
        ours, theirs = (
            module.brute(wells, ranges, (2.0,), full_output=full, Ns=11)
            for module in (optimize, so)
        )
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    slope = ad.jacobian(lambda a: optimize.brute(lambda x: wells(x, a), ranges))(2.0)
    x = optimize.brute(wells, ranges, (2.0,))
    np.testing.assert_allclose(slope, 4 * x / (12 * x**2 - 8), rtol=1e-3)


def test_methods_of_ones_own() -> None:
    def descent(fun: Any, x0: Any, jac: Any = None, **_: Any) -> Any:
        x = np.array(x0, float)
        for _i in range(200):
            fun(x)
            x = x - 0.2 * jac(x)
        return so.OptimizeResult(x=x, fun=fun(x))

    def best(a: Any) -> Any:
        return optimize.minimize(lambda x: np.sum((x - a) ** 2), np.ones(2), method=descent).x

    np.testing.assert_allclose(ad.jacobian(best)(2.0), [1.0, 1.0])


def test_every_name_of_scipys_is_here_or_says_what_to_write() -> None:
    names = {
        name
        for name, value in vars(so).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "test"
    }
    missing = names - set(optimize.__all__)
    for name in missing:
        with pytest.raises(AttributeError, match=f"has no '{name}'.*here: "):
            getattr(optimize, name)
    assert set(optimize.__all__) - {"Result"} <= names
