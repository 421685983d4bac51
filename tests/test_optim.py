import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, optim

OPTIMIZERS = {
    "sgd": lambda *p: optim.SGD(*p, lr=0.1),
    "momentum": lambda *p: optim.SGD(*p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda *p: optim.SGD(*p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda *p: optim.Adam(*p, lr=0.1),
    "adamw": lambda *p: optim.AdamW(*p, lr=0.1, weight_decay=0.1),
    "rmsprop": lambda *p: optim.RMSProp(*p, lr=0.1),
}


def first_update(optimizer, theta, gradient):
    theta = np.array(theta)
    return optimizer.update(np.array(gradient), optimizer.init(theta), theta)[0]


# --- the first step by hand -----------------------------------------------------------------------


def test_first_step_of_sgd():
    assert first_update(optim.SGD(lr=0.5), [1.0], [0.5]).tolist() == [0.75]


def test_weight_decay_adds_to_the_gradient():
    # 1 - 0.5 (0.5 + 0.25 * 1)
    assert first_update(optim.SGD(lr=0.5, weight_decay=0.25), [1.0], [0.5]).tolist() == [0.625]


def test_two_steps_of_momentum():
    optimizer = optim.SGD(lr=0.5, momentum=0.5)
    theta = np.array([0.0])
    state = optimizer.init(theta)
    theta, state = optimizer.update(np.array([1.0]), state, theta)
    assert theta.tolist() == [-0.5]
    theta, state = optimizer.update(np.array([1.0]), state, theta)
    assert theta.tolist() == [-1.25]  # velocity 0.5 * 1 + 1
    assert state["velocity"].tolist() == [1.5]
    assert state["step"] == 2


def test_first_step_of_nesterov():
    # -0.5 (1 + 0.5 * 1)
    optimizer = optim.SGD(lr=0.5, momentum=0.5, nesterov=True)
    assert first_update(optimizer, [0.0], [1.0]).tolist() == [-0.75]


def test_nesterov_is_sutskevers_in_the_shifted_variable():
    """V = μ v - ε ∇f(θ + μ v), θ = θ + v (Sutskever et al. 2013, eq. 3-4)."""
    mu, rate = 0.8, 0.1

    def slope(theta):
        return np.cos(theta) + theta

    theta, velocity = np.array([1.0, -2.0]), np.zeros(2)
    optimizer = optim.SGD(lr=rate, momentum=mu, nesterov=True)
    shifted = theta
    state = optimizer.init(shifted)
    for _ in range(10):
        velocity = mu * velocity - rate * slope(theta + mu * velocity)
        theta = theta + velocity
        shifted, state = optimizer.update(slope(shifted), state, shifted)
        np.testing.assert_allclose(shifted, theta + mu * velocity, rtol=1e-12)


def test_first_step_of_adam_is_the_sign_of_the_gradient():
    # m / (1 - β1) = g and v / (1 - β2) = g²
    step = first_update(optim.Adam(lr=0.25, eps=0.0), [0.0, 0.0], [3.0, -1e-3])
    np.testing.assert_allclose(step, [-0.25, 0.25], rtol=1e-12)
    step = first_update(optim.Adam(lr=0.25, eps=1.0), [0.0], [3.0])
    np.testing.assert_allclose(step, [-0.25 * 3 / (3 + 1)], rtol=1e-12)


def test_first_step_of_adamw_shrinks_the_parameter_itself():
    step = first_update(optim.AdamW(lr=0.25, eps=0.0, weight_decay=0.5), [2.0], [3.0])
    np.testing.assert_allclose(step, [2 - 0.25 - 0.25 * 0.5 * 2], rtol=1e-12)


def test_first_step_of_rmsprop():
    # mean square 0.25 * 4² = 4, root 2
    step = first_update(optim.RMSProp(lr=0.5, decay=0.75, eps=0.0), [0.0], [4.0])
    np.testing.assert_allclose(step, [-0.5 * 4 / 2], rtol=1e-12)


# --- a plain NumPy reference ----------------------------------------------------------------------


def reference(name, gradient_of, theta, steps):
    m = v = np.zeros_like(theta)
    rate, b1, b2, eps = 0.1, 0.9, 0.999, 1e-8
    for t in range(1, steps + 1):
        g = gradient_of(theta)
        if name == "sgd":
            theta = theta - rate * g
        elif name == "momentum":
            m = 0.9 * m + g + 0.01 * theta
            theta = theta - rate * m
        elif name == "nesterov":
            m = 0.9 * m + g
            theta = theta - rate * (g + 0.9 * m)
        elif name in ("adam", "adamw"):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g**2
            decay = 0.1 * theta if name == "adamw" else 0.0
            m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
            theta = theta - rate * (m_hat / (np.sqrt(v_hat) + eps) + decay)
        elif name == "rmsprop":
            v = 0.9 * v + 0.1 * g**2
            theta = theta - rate * g / (np.sqrt(v) + eps)
    return theta


CURVATURE = np.array([[2.0, 0.5], [0.5, 1.0]])


def bowl(theta):
    return theta @ CURVATURE @ theta / 2 + np.sum(np.sin(theta))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_both_forms_follow_the_reference(name):
    start = np.array([1.0, -2.0])
    expected = reference(name, lambda t: CURVATURE @ t + np.cos(t), start, 25)

    optimizer = OPTIMIZERS[name]()
    theta, state = start, optimizer.init(start)
    for _ in range(25):
        theta, state = optimizer.update(ad.grad(bowl)(theta), state, theta)
    np.testing.assert_allclose(theta, expected, rtol=1e-9)

    variable = ad.Tensor(start)
    optimizer = OPTIMIZERS[name]([variable])
    for _ in range(25):
        optimizer.zero_grad()
        bowl(variable).backward()
        optimizer.step()
    assert np.array_equal(variable.data, theta)
    assert optimizer.state["step"] == [25]


# --- containers, dtypes, state --------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64])
def test_dtype_is_kept(name, dtype):
    theta = {"a": np.ones(3, dtype), "b": [np.array(2, dtype)[()]]}
    optimizer = OPTIMIZERS[name]()
    new, state = optimizer.update(theta, optimizer.init(theta), theta)
    new, state = optimizer.update(new, state, new)
    assert new["a"].dtype == dtype
    assert new["b"][0].dtype == dtype
    assert new["a"].shape == (3,)
    assert all(np.isfinite(leaf).all() for leaf in ad.tree.leaves(new))

    variable = ad.Tensor(np.ones(3, dtype))
    optimizer = OPTIMIZERS[name]([variable])
    variable.grad = np.ones(3, dtype)
    optimizer.step()
    assert variable.data.dtype == dtype


def test_float16_survives_a_zero_gradient():
    theta = np.ones(2, np.float16)
    optimizer = optim.Adam(lr=0.1)
    new, _ = optimizer.update(np.zeros(2, np.float16), optimizer.init(theta), theta)
    assert new.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_complex_parameters_go_downhill(name):
    target = np.array([1 - 2j, 0.5j])

    def distance(z):
        return np.sum(np.abs(z - target) ** 2)

    optimizer = OPTIMIZERS[name]()
    z = np.zeros(2, np.complex128)
    state = optimizer.init(z)
    for _ in range(60):
        z, state = optimizer.update(ad.grad(distance)(z), state, z)
    assert distance(z) < 0.5
    assert all(slot.dtype.kind == "f" for key, slot in state.items() if key == "second_moment")


def test_update_changes_nothing_in_place():
    theta, gradient = np.ones(2), np.ones(2)
    optimizer = optim.Adam(lr=0.1)
    state = optimizer.init(theta)
    first, after = optimizer.update(gradient, state, theta)
    again, _ = optimizer.update(gradient, state, theta)
    assert np.array_equal(first, again)
    assert theta.tolist() == [1.0, 1.0]
    assert state["first_moment"].tolist() == [0.0, 0.0]
    assert not first.flags.writeable
    assert not after["first_moment"].flags.writeable


def test_a_live_tape_does_not_see_a_step():
    w = ad.Tensor([3.0])
    loss = np.sum(w * w)
    optimizer = optim.SGD([w], lr=1.0)
    w.grad = np.array([1.0])
    optimizer.step()
    w.grad = None
    loss.backward()
    assert w.data.tolist() == [2.0]
    assert w.grad.tolist() == [6.0]


def test_gradient_none_is_skipped_and_counts_no_step():
    used, unused = ad.Tensor([1.0]), ad.Tensor([1.0])
    optimizer = optim.Adam([used, unused], lr=0.1)
    used.grad = np.array([1.0])
    optimizer.step()
    assert unused.data.tolist() == [1.0]
    assert optimizer.state["step"] == [1, 0]
    unused.grad = np.array([2.0])
    optimizer.step()
    np.testing.assert_allclose(unused.data, [0.9], rtol=1e-6)  # a first step: the full lr


def test_a_shared_parameter_is_updated_once():
    w = ad.Tensor([1.0])
    optimizer = optim.SGD([w, w], lr=0.5)
    w.grad = np.array([1.0])
    optimizer.step()
    assert w.data.tolist() == [0.5]


def test_models_of_arrays_train_functionally():
    model = nn.arrays(nn.MLP([2, 4, 1], seed=1, dtype=np.float32))
    optimizer = optim.Adam(lr=0.05)
    state = optimizer.init(model)
    x = np.random.default_rng(0).standard_normal((16, 2)).astype(np.float32)
    y = (x[:, :1] * x[:, 1:]).astype(np.float32)

    def loss(model):
        return nn.mean_squared_error(model(x), y)

    before = loss(model)
    for _ in range(100):
        model, state = optimizer.update(ad.grad(loss)(model), state, model)
    assert loss(model) < 0.2 * before
    assert isinstance(state["first_moment"], nn.MLP)
    assert model.layers[0].weight.dtype == np.float32


def test_an_update_can_be_differentiated():
    """θ_1 = θ_0 - ε θ_0 for f = θ²/2, so d(θ_1²)/dθ_0 = 2 (1 - ε)² θ_0."""
    optimizer = optim.SGD(lr=0.25, momentum=0.5)

    def after_one_step(theta):
        gradient = ad.grad(lambda t: np.sum(t**2) / 2)(theta)
        new, _ = optimizer.update(gradient, optimizer.init(np.zeros(2)), theta)
        return np.sum(new**2)

    theta = np.array([1.0, -3.0])
    np.testing.assert_allclose(ad.grad(after_one_step)(theta), 2 * 0.75**2 * theta, rtol=1e-12)


def test_state_survives_a_file(tmp_path):
    w = ad.Tensor([1.0, 2.0])
    optimizer = optim.Adam([w], lr=0.1)
    w.grad = np.array([0.5, -1.0])
    optimizer.step()
    nn.save(tmp_path / "state.npz", {"w": w, "state": optimizer.state})

    twin = ad.Tensor([0.0, 0.0])
    resumed = optim.Adam([twin], lr=0.1)
    loaded = nn.load(tmp_path / "state.npz", like={"w": twin, "state": resumed.state})
    twin.data, resumed.state = loaded["w"].data, loaded["state"]
    for variable, opt in ((w, optimizer), (twin, resumed)):
        variable.grad = np.array([1.0, 1.0])
        opt.step()
    assert np.array_equal(w.data, twin.data)
    assert resumed.state["step"] == [2]


def test_the_learning_rate_may_change_between_steps():
    w = ad.Tensor([1.0])
    optimizer = optim.SGD([w], lr=0.5)
    optimizer.lr = 0.25
    w.grad = np.array([1.0])
    optimizer.step()
    assert w.data.tolist() == [0.75]


# --- wrong use ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD(lr=-1), ValueError, "SGD: lr must be finite and at least 0, got -1.0"),
        (lambda: optim.SGD(lr=float("nan")), ValueError, "lr must be finite"),
        (lambda: optim.SGD(lr="fast"), TypeError, "SGD: lr must be a number, got 'fast'"),
        (
            lambda: optim.SGD(lr=0.1, momentum=1.0),
            ValueError,
            "momentum must be at least 0 and",
        ),
        (lambda: optim.SGD(lr=0.1, nesterov=True), ValueError, "nesterov=True needs a momentum"),
        (lambda: optim.SGD(weight_decay=-1), ValueError, "SGD: weight_decay must be"),
        (lambda: optim.Adam(betas=0.9), ValueError, "betas must be a pair of numbers"),
        (lambda: optim.Adam(betas=(0.9, 1.5)), ValueError, r"Adam: betas\[1\] must be at least 0"),
        (lambda: optim.Adam(eps=-1e-8), ValueError, "Adam: eps must be"),
        (lambda: optim.AdamW(weight_decay=-1), ValueError, "AdamW: weight_decay must be"),
        (lambda: optim.RMSProp(decay=2), ValueError, "RMSProp: decay must be"),
        (lambda: optim.SGD(0.1), TypeError, r"first argument is the parameters.*SGD\(lr=0.1\)"),
        (lambda: optim.SGD([]), ValueError, "params is empty"),
        (lambda: optim.SGD(ad.Tensor(1.0)), TypeError, "must be a list of Tensors, got a Tensor"),
        (lambda: optim.SGD([np.ones(2)]), TypeError, r"params\[0\] is a ndarray.*model.parameters"),
        (lambda: optim.SGD(lr=0.1).step(), ValueError, r"step\(\) without parameters"),
        (lambda: optim.SGD().init(np.arange(3)), TypeError, "dtype int64, which cannot be trained"),
    ],
)
def test_wrong_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_update_refuses_what_does_not_fit():
    optimizer = optim.Adam(lr=0.1)
    theta = {"w": np.ones(2)}
    state = optimizer.init(theta)
    with pytest.raises(
        ValueError, match=r"gradients\['w'\] has shape \(3,\), the parameter \(2,\)"
    ):
        optimizer.update({"w": np.ones(3)}, state, theta)
    with pytest.raises(ValueError, match="update: gradients has structure"):
        optimizer.update({"v": np.ones(2)}, state, theta)
    with pytest.raises(ValueError, match="make it with init"):
        optimizer.update(theta, optim.SGD().init(theta), theta)
    with pytest.raises(ValueError, match=r"state\['first_moment'\] has structure"):
        optimizer.update(theta, {**state, "first_moment": np.ones(2)}, theta)


def test_repr_shows_the_settings():
    assert repr(optim.SGD(lr=0.1, momentum=0.9)) == (
        "SGD(momentum=0.9, nesterov=False, weight_decay=0.0, lr=0.1)"
    )


class Plain(optim.Optimizer):
    """Subtracts the gradient itself, which is not its to write to."""

    slots = ("last",)

    def rule(self, gradient, value, slots, count):
        return gradient, (gradient,)


def test_a_rule_may_hand_on_what_it_was_given():
    optimizer = Plain(None, lr=1.0)
    value, gradient = np.array([3.0, 4.0]), np.array([1.0, 2.0])
    result, state = optimizer.update(gradient, optimizer.init(value), value)
    np.testing.assert_array_equal(result, [2.0, 2.0])
    np.testing.assert_array_equal(gradient, [1.0, 2.0])
    np.testing.assert_array_equal(state["last"], [1.0, 2.0])
    np.testing.assert_array_equal(value, [3.0, 4.0])


@pytest.mark.parametrize(
    "make", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSProp], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
def test_gradients_may_be_integers(make, dtype):
    optimizer, value = make(lr=0.1), np.ones((2, 1))
    gradient = np.array([[100], [3]], dtype)
    found, _ = optimizer.update(gradient, optimizer.init(value), value)
    wanted, _ = optimizer.update(gradient.astype(float), optimizer.init(value), value)
    np.testing.assert_array_equal(found, wanted)


class Fixed(optim.Optimizer):
    """Subtracts one array from every parameter."""

    def __init__(self, change):
        super().__init__(None, lr=1.0)
        self.change = change

    def rule(self, gradient, value, slots, count):
        return self.change, ()


@pytest.mark.parametrize("shape", [(1, 2), (2,), (3, 2)])
def test_a_change_may_be_read_only_and_broadcast(shape):
    change = np.full(shape, 0.5)
    if shape == (3, 2):
        change.setflags(write=False)
    optimizer, value = Fixed(change), np.ones((3, 2))
    result, _ = optimizer.update(np.ones((3, 2)), optimizer.init(value), value)
    np.testing.assert_array_equal(result, np.full((3, 2), 0.5))
    np.testing.assert_array_equal(change, np.full(shape, 0.5))


@pytest.mark.parametrize(
    "make", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSProp], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex128])
def test_an_update_changes_nothing_that_it_was_given(make, dtype):
    optimizer = make(lr=0.1)
    value, gradient = np.ones(5, dtype), np.full(5, 2, dtype)
    state = optimizer.init(value)
    for _ in range(3):
        former = {key: np.copy(entry) for key, entry in state.items()}
        result, new_state = optimizer.update(gradient, state, value)
        np.testing.assert_array_equal(value, np.ones(5))
        np.testing.assert_array_equal(gradient, np.full(5, 2))
        for key, entry in former.items():
            np.testing.assert_array_equal(state[key], entry)
        assert result.dtype == dtype
        state = new_state


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSProp])
@pytest.mark.parametrize("number", [2.0, 2, np.float32(2.0)], ids=lambda n: type(n).__name__)
def test_parameters_and_gradients_may_be_numbers(make, number):
    optimizer = make(lr=0.1)
    of_number = optimizer.update([number], optimizer.init([1.0]), [1.0])[0][0]
    array = np.array(1.0)
    of_array = optimizer.update([np.array(2.0)], optimizer.init([array]), [array])[0][0]
    np.testing.assert_allclose(of_number, of_array, rtol=1e-7)


def test_arrays_of_gradients_beside_tensors():
    value = ad.Tensor(np.ones(3))
    optimizer = optim.Adam(lr=0.1)
    result, _ = optimizer.update(np.ones(3), optimizer.init(np.ones(3)), value)
    assert isinstance(result, ad.Tensor)


def test_step_follows_a_count_that_is_recorded():
    """So that a compiled step is one program, whatever the count."""
    optimizer = optim.Adam(lr=0.1)
    state = optimizer.init([np.zeros(2)])

    def after(count, gradient):
        (moved,), _ = optimizer.update([gradient], {**state, "step": [count]}, [np.zeros(2)])
        return np.sum(moved)

    # The first moment is 0.1, the root of the second 0.001 ** 0.5; the count before is 3
    beta_1, beta_2 = 0.9**4.0, 0.999**4.0
    moved = -2 * 0.1 * 0.1 * np.sqrt((1 - beta_2) / 0.001) / (1 - beta_1)
    np.testing.assert_allclose(after(3, np.ones(2)), moved, rtol=1e-6)
    slope = beta_1 * np.log(0.9) / (1 - beta_1) - beta_2 * np.log(0.999) / (2 * (1 - beta_2))
    of_count, _ = ad.grad(after, argnums=(0, 1))(3.0, np.ones(2))
    np.testing.assert_allclose(of_count, moved * slope, rtol=1e-6)
