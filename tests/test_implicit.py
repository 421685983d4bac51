"""`ad.root` and `ad.fixed_point`: derivatives of solutions against closed forms and re-solving."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize as so

import autodiff as ad
from autodiff.transforms.implicit import system

P = np.array([5.0, 2.0])


def circle(x: Any, p: Any) -> Any:
    return np.stack([x[0] ** 2 + x[1] ** 2 - p[0], x[0] - p[1] * x[1]])


def by_minpack(p: Any) -> Any:
    found = so.root(circle, np.ones(2), args=(p,), jac=ad.jacobian(circle), tol=1e-13)
    return found.x


def closed_form(p: Any) -> Any:
    return np.sqrt(p[0] / (p[1] ** 2 + 1)) * np.stack([p[1], 1.0])


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f(P),
    "jacobian": lambda f: ad.jacobian(f)(P),
    "forward": lambda f: ad.jacobian(f, order="forward")(P),
    "reverse": lambda f: ad.jacobian(f, order="reverse")(P),
    "hessian": lambda f: ad.hessian(lambda p: f(p)[0])(P),
    "third": lambda f: ad.jacobian(ad.hessian(lambda p: f(p)[1]))(P),
    "jvp": lambda f: ad.jvp(f, (P,), (np.array([1.0, -1.0]),))[1],
    "hvp": lambda f: ad.hvp(lambda p: np.sum(f(p) ** 3), (P,), (np.array([1.0, -1.0]),)),
    "vmap": lambda f: ad.vmap(f)(np.stack([P, P + 1])),
    "vmap of jacobian": lambda f: ad.vmap(ad.jacobian(f))(np.stack([P, P + 1])),
    "jacobian of vmap": lambda f: ad.jacobian(ad.vmap(f))(np.stack([P, P + 1])),
    "empty batch": lambda f: ad.vmap(f)(np.ones((0, 2))),
    "compiled gradient": lambda f: ad.compile(ad.grad(lambda p: np.sum(f(p) * p)))(P),
    "checkpoint": lambda f: ad.grad(lambda p: np.sum(ad.checkpoint(f)(p)))(P),
    "tape": lambda f: ad.record(f)(P).evaluate(P + 0.5),
}


@pytest.mark.parametrize("linear", ["auto", "dense", "iterative", "own"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_agrees_with_the_closed_form(name: str, linear: Any) -> None:
    def own(product: Any, b: Any) -> Any:
        return np.linalg.solve(np.stack([product(e) for e in np.eye(2)], axis=1), b)

    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        solved = ad.root(circle, by_minpack, linear=own if linear == "own" else linear)
        found = TRANSFORMS[name](solved)
    np.testing.assert_allclose(found, TRANSFORMS[name](closed_form), rtol=1e-7, atol=1e-10)


def test_closures_are_differentiated_also_those_the_solver_does_not_use() -> None:
    def f(w: Any, shift: Any) -> Any:
        # the solver uses numbers of its own; the residual closes over both
        return ad.root(lambda x: x**3 + w * x - shift, lambda: 2.0)()

    # 8 + 2 w = shift at x = 2
    slopes = ad.grad(f, argnums=(0, 1))(1.0, 10.0)
    np.testing.assert_allclose(slopes, (-2 / 13, 1 / 13), rtol=1e-12)

    def by_closure(w: Any) -> Any:
        def residual(x: Any) -> Any:
            return x**3 + w * x - 10.0 * w

        return ad.root(residual, lambda: so.brentq(residual, 0.0, 10.0, xtol=1e-14))()

    ad.check_grads(by_closure, (1.0,), order=2)


def test_variables_of_the_imperative_style() -> None:
    p = ad.Tensor(P)
    np.sum(ad.root(circle, by_minpack)(p)).backward()
    np.testing.assert_allclose(p.grad, ad.grad(lambda p: np.sum(closed_form(p)))(P), rtol=1e-10)


def test_containers_in_and_out() -> None:
    def residual(x: Any, p: Any) -> Any:
        return {"u": x["u"] * p["a"] - x["v"], "v": x["v"] - p["b"]}

    def solver(p: Any) -> Any:
        return {"u": p["b"] / p["a"], "v": p["b"]}

    f = ad.root(residual, solver)
    p = {"a": 2.0, "b": np.array([1.0, 3.0])}
    slopes = ad.jacobian(lambda p: f(p)["u"])(p)
    np.testing.assert_allclose(slopes["a"], -p["b"] / 4)
    np.testing.assert_allclose(slopes["b"], np.eye(2) / 2)


def test_complex_solutions_of_equations_that_are_not_holomorphic() -> None:
    def residual(z: Any, a: Any) -> Any:
        return z**2 + a * np.conj(z) - 1j

    def solver(a: Any) -> Any:
        def real(v: Any) -> Any:
            r = residual(v[0] + 1j * v[1], a)
            return [r.real, r.imag]

        x, y = so.fsolve(real, [1.0, 0.5], xtol=1e-13)
        return x + 1j * y

    ad.check_grads(lambda a: ad.root(residual, solver)(a), (0.3 + 0.1j,), order=2)


def test_float32_stays() -> None:
    f = ad.root(lambda x, a: x * x - a, np.sqrt)
    a = np.array([4.0, 9.0], np.float32)
    slope = ad.grad(lambda a: np.sum(f(a)))(a)
    assert slope.dtype == np.float32
    np.testing.assert_allclose(slope, [0.25, 1 / 6], rtol=1e-6)


def test_aux_goes_along() -> None:
    f = ad.root(lambda x, a: x - a, lambda a: (a, {"steps": 3, "why": "exact"}), has_aux=True)
    x, aux = f(2.0)
    assert x == 2.0
    assert aux["steps"] == 3
    assert aux["why"] == "exact"
    assert ad.grad(lambda a: f(a)[0])(2.0) == 1.0


@pytest.mark.parametrize("linear", ["auto", "dense", "sparse", "iterative"])
def test_many_unknowns(linear: str) -> None:
    n = 400

    def residual(x: Any, b: Any) -> Any:
        left, right = np.pad(x[:-1], (1, 0)), np.pad(x[1:], (0, 1))
        return (3.0 + x**2) * x - left - right - b

    def solver(b: Any) -> Any:
        x = np.zeros(n)
        for _ in range(60):
            step = ad.jacobian(residual, structure="sparse")(x, b)
            x = x - system_solve(step, residual(x, b))
            if np.abs(residual(x, b)).max() < 1e-13:
                break
        return x

    b = np.sin(np.arange(n) / 7.0)
    f = ad.root(residual, solver, linear=linear)
    slope = ad.grad(lambda b: np.sum(f(b) ** 2))(b)
    x = solver(b)
    matrix = ad.jacobian(residual)(x, b)
    np.testing.assert_allclose(slope, np.linalg.solve(matrix.T, 2 * x), rtol=1e-9, atol=1e-12)


def system_solve(matrix: Any, b: Any) -> Any:
    import scipy.sparse.linalg as sl

    return sl.spsolve(matrix.tocsc(), b)


def test_a_matrix_is_made_where_iterating_does_not_converge() -> None:
    n = system.SMALL + 20
    turned = np.roll(np.eye(n), 1, axis=0) + 1e-3 * np.ones((n, n)) / n  # GMRES stagnates on it
    f = ad.root(lambda x, b: turned @ x - b, lambda b: np.linalg.solve(turned, b))
    b = np.cos(np.arange(n))
    slope = ad.grad(lambda b: np.sum(f(b) ** 2))(b)
    np.testing.assert_allclose(slope, np.linalg.solve(turned.T, 2 * f(b)), rtol=1e-8)


def test_a_fixed_point() -> None:
    rng = np.random.default_rng(0)
    w = 0.3 * rng.standard_normal((3, 3))

    def step(x: Any, w: Any, b: Any) -> Any:
        return np.tanh(w @ x + b)

    def iterate(w: Any, b: Any) -> Any:
        x = np.zeros(3)
        for _ in range(200):
            x = step(x, w, b)
        return x

    f = ad.fixed_point(step, iterate)
    ad.check_grads(f, (w, np.ones(3)), order=2)
    np.testing.assert_allclose(  # what unrolling the loop gives
        ad.jacobian(f)(w, np.ones(3)), ad.jacobian(iterate)(w, np.ones(3)), atol=1e-12
    )


# --- bad input ------------------------------------------------------------------------------------


def test_a_singular_jacobian_is_named() -> None:
    f = ad.root(lambda x, p: (x - p) ** 2, lambda p: p)
    with pytest.raises(ad.SingularSystemError, match=r"by x is singular at the solution .1 x 1"):
        ad.grad(f)(1.0)
    rank_one = np.ones((3, 3))
    g = ad.root(lambda x, p: rank_one @ x - p, lambda p: p / 3.0)
    with pytest.raises(ad.SingularSystemError, match="depend on one another"):
        ad.jacobian(g)(np.ones(3))


def test_what_is_no_solution_is_told() -> None:
    f = ad.root(lambda x, p: x * x - p, lambda p: 0.9 * np.sqrt(p))
    assert f(4.0) == pytest.approx(1.8)
    with pytest.warns(ad.ConvergenceWarning, match=r"no solution: a Newton step .* 1\.2e-01"):
        ad.grad(f)(4.0)


def test_a_residual_of_another_size_is_told() -> None:
    f = ad.root(lambda x, p: x[:1], lambda p: np.ones(2))
    with pytest.raises(ValueError, match=r"residual has 1 numbers.*for 2 unknowns"):
        f(1.0)


def test_integers_are_no_solution_but_become_floats() -> None:
    f = ad.root(lambda x, p: x - 2.0 * p, lambda p: np.array([2, 4]))
    assert f(np.array([1.0, 2.0])).dtype == np.float64
    with pytest.raises(TypeError, match="solver must return floating-point"):
        ad.root(lambda x, p: x, lambda p: "two")(1.0)


@pytest.mark.parametrize("transform", [ad.root, ad.fixed_point])
def test_wrong_arguments(transform: Any) -> None:
    with pytest.raises(TypeError, match="takes a function"):
        transform(1.0, lambda p: p)
    with pytest.raises(TypeError, match="solver must be a function"):
        transform(lambda x, p: x, 1.0)
    with pytest.raises(ValueError, match="linear must be"):
        transform(lambda x, p: x, lambda p: p, linear="fast")
    with pytest.raises(ValueError, match=r"must return what it is given|residual has"):
        transform(lambda x, p: np.ones(3), lambda p: np.ones(2))(1.0)


def test_a_planted_wrong_residual_is_caught() -> None:
    wrong = ad.root(lambda x, p: x * x - 1.1 * p, np.sqrt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AssertionError):
            ad.check_grads(wrong, (4.0,))
