"""debug, strong_zero, no_grad and hooks."""

import numpy as np
import pytest

import autodiff as ad

HERE = r"test_debug\.py:\d+"


def test_debug_names_primitive_and_line_of_a_forward_fault():
    x = ad.Tensor([1.0, 0.0])
    with (
        ad.debug(),
        np.errstate(divide="ignore"),
        pytest.raises(
            ad.NonFiniteError, match=rf"forward of log gave -inf at index \(1,\).*{HERE}"
        ),
    ):
        np.log(x)


@pytest.mark.parametrize("way", ["imperative", "grad", "jvp"])
def test_debug_names_rule_and_line_of_a_derivative_fault(way):
    def f(x):
        return np.sum(np.sqrt(x))

    wanted = r"tangent of sqrt" if way == "jvp" else r"rule sqrt\.d_x"
    point = np.array([4.0, 0.0])
    ways = {
        "imperative": lambda: f(ad.Tensor(point)).backward(),
        "grad": lambda: ad.grad(f)(point),
        "jvp": lambda: ad.jvp(f, (point,), (np.ones(2),)),
    }
    with (
        ad.debug(),
        np.errstate(divide="ignore"),
        pytest.raises(ad.NonFiniteError, match=rf"{wanted}.* inf at index \(1,\).*{HERE}"),
    ):
        ways[way]()


def test_debug_is_quiet_about_finite_programs_and_ends_with_the_block():
    with ad.debug():
        assert ad.grad(np.sin)(0.0) == 1.0
    with np.errstate(divide="ignore"):
        assert np.isinf(ad.grad(np.sqrt)(0.0))

    @ad.debug()
    def decorated(x):
        return ad.grad(np.sqrt)(x)

    with np.errstate(divide="ignore"), pytest.raises(FloatingPointError):
        decorated(0.0)


def test_debug_reaches_into_a_checkpoint():
    def f(x):
        return ad.checkpoint(lambda y: np.sqrt(y) * 2)(x)

    with (
        ad.debug(),
        np.errstate(divide="ignore"),
        pytest.raises(ad.NonFiniteError, match=rf"rule sqrt\.d_x.*{HERE}"),
    ):
        ad.grad(f)(0.0)


def guarded(x):
    return np.sum(np.where(x > 0, np.sqrt(np.abs(x)), 0.0))


X = np.array([4.0, 0.0, -1.0])


@pytest.mark.parametrize("way", ["imperative", "grad", "jvp"])
def test_strong_zero_kills_the_untaken_branch(way):
    with np.errstate(divide="ignore", invalid="ignore"):
        assert np.isnan(ad.grad(guarded)(X)[1])
    with ad.strong_zero():
        if way == "imperative":
            x = ad.Tensor(X)
            guarded(x).backward()
            found = x.grad
        elif way == "grad":
            found = ad.grad(guarded)(X)
        else:
            found = ad.jacobian(guarded, order="forward")(X)
    np.testing.assert_array_equal(found, [0.25, 0.0, 0.0])


def test_strong_zero_in_second_derivatives_and_batches():
    with ad.strong_zero():
        second = ad.hessian(lambda x: guarded(x) ** 2)(X)
        batched = ad.vmap(ad.grad(guarded))(np.stack([X, X + 5]))
    np.testing.assert_allclose(second, np.zeros((3, 3)), atol=1e-15)
    np.testing.assert_allclose(batched, [[0.25, 0, 0], 0.5 / np.sqrt(X + 5)])


def test_hooks_see_and_replace_cotangents():
    seen = []
    x = ad.Tensor([1.0, 2.0])
    y = x * 3
    remove = y.register_hook(lambda g: seen.append(np.array(g)))
    np.sum(y * y).backward()
    np.testing.assert_array_equal(seen[0], [6.0, 12.0])
    remove()
    x.grad = None
    y = x * 3
    y.register_hook(lambda g: np.clip(g, -7, 7))
    np.sum(y * y).backward()
    np.testing.assert_array_equal(x.grad, [18.0, 21.0])
    assert len(seen) == 1


def test_a_hook_on_a_variable_and_a_wrong_one():
    x = ad.Tensor([1.0, 2.0])
    x.register_hook(lambda g: g * 10)
    np.sum(x).backward()
    np.testing.assert_array_equal(x.grad, [10.0, 10.0])
    y = x * 1
    y.register_hook(lambda g: g[:1])
    with pytest.raises(ad.RuleError, match=r"hook .*float64\[1\] for a Tensor float64\[2\]"):
        np.sum(y).backward()


def test_hooks_where_there_is_no_cotangent():
    x = ad.Tensor(1.0)
    with pytest.raises(TypeError, match="a constant Tensor receives no cotangent"):
        x.detach().register_hook(print)
    with pytest.raises(TypeError, match="register_hook takes a function of the cotangent, not int"):
        x.register_hook(3)
    with pytest.raises(TypeError, match="register_hook: a Tensor inside"):
        ad.jvp(lambda t: t.register_hook(print), (1.0,), (1.0,))
    with pytest.raises(TypeError, match="register_hook: a Tensor inside"):
        ad.checkpoint(lambda t: t.register_hook(print))(x)


def test_no_grad_inside_and_around():
    w = ad.Tensor(2.0)
    with ad.no_grad():
        constant = w * w
        assert ad.grad(lambda x: x**2 * w)(3.0).item() == 12.0
    (constant * w).backward()
    assert w.grad == 4.0

    def f(x):
        with ad.no_grad():
            scale = x * 2
        return x * scale

    assert ad.grad(f)(3.0) == 6.0
    assert ad.jvp(f, (3.0,), (1.0,))[1] == 6.0
