import copy

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, optim


class Tied(nn.Module):
    """One matrix used twice, and containers of parameters."""

    def __init__(self):
        self.encoder = nn.Linear(3, 3, seed=0)
        self.decoder = {"again": self.encoder.weight, "scales": [ad.Tensor(1.5), ad.Tensor(0.5)]}
        self.power = 2

    def __call__(self, x):
        first, second = self.decoder["scales"]
        return first * self.encoder(x) ** self.power @ self.decoder["again"] * second


def squared(model, x):
    return np.sum(model(x) ** 2)


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((5, 3))


# --- modules as trees -----------------------------------------------------------------------------


def test_parameters_are_named_by_path_and_listed_once():
    model = Tied()
    names = ["encoder.weight", "encoder.bias", "decoder['scales'][0]", "decoder['scales'][1]"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [parameter.name for parameter in model.parameters()] == names
    assert model.parameters()[0] is model.encoder.weight


def test_a_name_given_by_hand_stays():
    class Named(nn.Module):
        def __init__(self):
            self.w = ad.Tensor(1.0, name="gain")

    assert nn.Sequential(Named()).layers[0].w.name == "gain"


def test_names_appear_on_the_tape():
    model = nn.MLP([2, 3, 1])
    text = str(model(np.ones((1, 2))).tape)
    assert "layers[0].weight" in text
    assert "layers[1].bias" in text


def test_gradient_is_a_module_of_the_same_class_and_dtype(x):
    model = nn.MLP([3, 4, 2], activation="relu", dtype=np.float32)
    gradient = ad.grad(squared)(nn.arrays(model), x.astype(np.float32))
    assert type(gradient) is nn.MLP
    assert gradient.activation is ad.relu
    for leaf, parameter in zip(gradient.parameters(), model.parameters(), strict=True):
        assert type(leaf) is np.ndarray
        assert (leaf.shape, leaf.dtype) == (parameter.shape, parameter.dtype)


def test_imperative_and_functional_gradients_agree(x):
    model = nn.MLP([3, 4, 2])
    squared(model, x).backward()
    plain = ad.grad(squared)(nn.arrays(model), x)
    recorded = ad.grad(squared)(model, x)
    for parameter, a, b in zip(
        model.parameters(), plain.parameters(), recorded.parameters(), strict=True
    ):
        np.testing.assert_allclose(parameter.grad, a, rtol=1e-12)
        np.testing.assert_allclose(parameter.grad, b.data, rtol=1e-12)
    model.zero_grad()
    assert [parameter.grad for parameter in model.parameters()] == [None] * 4


def test_gradient_of_a_module_of_variables_can_be_differentiated():
    """A gradient penalty: d/dw of (d/dx sin(w x))² = (w cos(w x))² at x = 1."""
    model = nn.Linear(1, 1, bias=False, init=lambda rng, shape: np.full(shape, 0.7))
    slope = ad.grad(lambda x: np.sum(np.sin(model(x))))(np.ones((1, 1)))
    np.sum(slope**2).backward()
    w = 0.7
    expected = 2 * w * np.cos(w) * (np.cos(w) - w * np.sin(w))
    np.testing.assert_allclose(model.weight.grad, [[expected]], rtol=1e-12)


def test_a_shared_parameter_gets_the_sum_of_both_shares(x):
    model = Tied()
    squared(model, x).backward()
    gradient = ad.grad(squared)(nn.arrays(model), x)
    assert gradient.decoder["again"] is gradient.encoder.weight
    np.testing.assert_allclose(model.encoder.weight.grad, gradient.encoder.weight, rtol=1e-12)


def test_jvp_vmap_and_hvp_take_modules(x):
    model = nn.arrays(nn.MLP([3, 4, 2]))
    direction = ad.tree.map_leaves(np.ones_like, model)
    slope = ad.jvp(lambda model: squared(model, x), (model,), (direction,))[1]
    gradient = ad.grad(squared)(model, x)
    np.testing.assert_allclose(slope, sum(np.sum(leaf) for leaf in gradient.parameters()))

    each = ad.vmap(ad.grad(squared), (None, 0))(model, x)
    assert each.layers[0].weight.shape == (5, 3, 4)
    for total, leaf in zip(gradient.parameters(), each.parameters(), strict=True):
        np.testing.assert_allclose(leaf.sum(axis=0), total, rtol=1e-10, atol=1e-12)

    product = ad.hvp(lambda model: squared(model, x), (model,), (direction,))
    step = 1e-5
    ahead, behind = (
        ad.grad(squared)(ad.tree.map_leaves(lambda p, d, h=h: p + h * d, model, direction), x)
        for h in (step, -step)
    )
    for p, a, b in zip(product.parameters(), ahead.parameters(), behind.parameters(), strict=True):
        np.testing.assert_allclose(p, (a - b) / (2 * step), rtol=1e-5, atol=1e-6)


def test_leaves_may_become_anything_and_come_back():
    model = Tied()
    shapes = ad.tree.map_leaves(lambda leaf: str(leaf.shape), model)
    assert shapes.decoder["again"] == "(3, 3)"
    assert shapes.power == 2
    assert ad.tree.leaves(shapes) == ["(3, 3)", "(3,)", "()", "()"]
    assert "encoder: Linear  weight '(3, 3)'" in repr(shapes)
    assert list(vars(shapes)) == list(vars(model))


def test_arrays_and_variables_are_inverse(x):
    model = Tied()
    frozen = nn.arrays(model)
    assert all(isinstance(leaf, (np.ndarray, np.generic)) for leaf in ad.tree.leaves(frozen))
    assert not any(leaf.flags.writeable for leaf in ad.tree.leaves(frozen))
    np.testing.assert_array_equal(frozen(x), model(x).data)
    back = nn.variables(frozen)
    assert back.encoder.weight.name == "encoder.weight"
    np.testing.assert_array_equal(back(x).data, model(x).data)
    mine = np.ones(2)
    kept = nn.arrays([mine])
    mine[0] = 5.0
    assert kept[0].tolist() == [1.0, 1.0]
    assert nn.variables({"n": 3, "w": 1.0})["n"] == 3


def test_a_deep_copy_shares_nothing_but_keeps_ties():
    model = Tied()
    twin = copy.deepcopy(model)
    assert twin.encoder.weight is not model.encoder.weight
    assert twin.decoder["again"] is twin.encoder.weight
    twin.encoder.weight.data = np.zeros((3, 3))
    assert model.encoder.weight.data.any()


def test_parameters_appended_later_count():
    class Stack(nn.Module):
        def __init__(self):
            self.layers = []
            self.head = None
            for seed in range(3):
                self.layers.append(nn.Linear(2, 2, seed=seed))

    model = Stack()
    model.head = nn.Linear(2, 1)
    assert len(model.parameters()) == 8


def test_repr_shows_shapes_and_counts():
    assert repr(Tied()) == (
        "Tied(power=2): 14 parameters\n"
        "  decoder['again'] float64[3,3], decoder['scales'][0] float64[], "
        "decoder['scales'][1] float64[]\n"
        "  encoder: Linear  weight float64[3,3], bias float64[3]"
    )


def test_a_function_among_modules_is_refused_with_the_remedy():
    class Mixed(nn.Module):
        def __init__(self):
            self.steps = [nn.Linear(2, 2), np.tanh]

    with pytest.raises(TypeError, match=r"Mixed: steps\[1\] is a ufunc.*wrap.*nn.Activation"):
        Mixed()


def test_unhashable_static_attributes_are_refused_with_the_remedy():
    class Sized(nn.Module):
        def __init__(self):
            self.sizes = [1, 2]

    with pytest.raises(TypeError, match=r"Sized.sizes is a list without parameters.*use a tuple"):
        Sized()


def test_a_module_without_call_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(TypeError, match="Empty does not define __call__"):
        Empty()(1.0)


# --- layers ---------------------------------------------------------------------------------------


def test_linear_is_x_times_weight_plus_bias(x):
    layer = nn.Linear(3, 2, seed=0)
    layer.bias.data = [1.0, 2.0]
    np.testing.assert_array_equal(layer(x).data, x @ layer.weight.data + [1.0, 2.0])
    assert layer(x[0]).shape == (2,)
    assert layer(np.ones((4, 5, 3))).shape == (4, 5, 2)
    bare = nn.Linear(3, 2, bias=False, seed=0)
    np.testing.assert_array_equal(bare(x).data, x @ layer.weight.data)
    assert len(bare.parameters()) == 1


def test_mlp_composes_its_layers(x):
    model = nn.MLP([3, 4, 5, 2], activation="sin", output_activation="sigmoid", seed=1)
    h = x
    for layer in model.layers[:-1]:
        h = np.sin(h @ layer.weight.data + layer.bias.data)
    last = model.layers[-1]
    expected = 1 / (1 + np.exp(-(h @ last.weight.data + last.bias.data)))
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-12)


def test_sequential_takes_modules_functions_and_names(x):
    model = nn.Sequential(lambda x: x - 1.0, nn.Linear(3, 2, seed=0), "relu", np.exp)
    inner = model.layers[1]
    expected = np.exp(np.maximum((x - 1.0) @ inner.weight.data + inner.bias.data, 0))
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-12)
    assert len(model.parameters()) == 2


@pytest.mark.parametrize("activation", nn.ACTIVATIONS)
def test_every_named_activation_has_correct_derivatives(activation):
    model = nn.MLP([2, 3, 2], activation=activation, seed=0, init="glorot_normal")
    x = np.random.default_rng(1).standard_normal((4, 2))
    ad.check_grads(lambda model: np.sum(model(x) ** 2), (nn.arrays(model),), order=1)


def test_seeds_repeat_and_layers_differ():
    one, two, other = nn.MLP([4, 4, 4]), nn.MLP([4, 4, 4]), nn.MLP([4, 4, 4], seed=1)
    assert np.array_equal(one.layers[0].weight.data, two.layers[0].weight.data)
    assert not np.array_equal(one.layers[0].weight.data, one.layers[1].weight.data)
    assert not np.array_equal(one.layers[0].weight.data, other.layers[0].weight.data)
    rng = np.random.default_rng(0)
    assert np.array_equal(
        nn.Linear(4, 4, seed=0).weight.data, nn.Linear(4, 4, seed=rng).weight.data
    )
    assert not np.array_equal(nn.Linear(4, 4).weight.data, nn.Linear(4, 4).weight.data)


@pytest.mark.parametrize(
    ("init", "variance", "bound"),
    [
        ("glorot_uniform", 2 / (300 + 200), np.sqrt(6 / (300 + 200))),
        ("glorot_normal", 2 / (300 + 200), np.inf),
        ("he_uniform", 2 / 300, np.sqrt(6 / 300)),
        ("he_normal", 2 / 300, np.inf),
    ],
)
def test_initializers_have_their_variance(init, variance, bound):
    weight = nn.Linear(300, 200, init=init, seed=0).weight.data
    assert abs(np.var(weight) / variance - 1) < 0.02
    assert abs(np.mean(weight)) < 3 * np.sqrt(variance / weight.size)
    assert np.max(np.abs(weight)) <= bound


def test_mlp_chooses_the_initializer_by_activation():
    relu = nn.MLP([300, 200, 2], activation="relu").layers[0].weight.data
    assert abs(np.var(relu) / (2 / 300) - 1) < 0.02
    tanh = nn.MLP([300, 200, 2]).layers[0].weight.data
    assert abs(np.var(tanh) / (2 / 500) - 1) < 0.02
    assert not nn.MLP([3, 2], init="zeros").layers[0].weight.data.any()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: nn.MLP([2, 1], activation="gelu"),
            ValueError,
            "unknown activation 'gelu'; the known ones are identity, log_softmax, relu, sigmoid, "
            "sin, softmax, softplus, tanh, or pass a function",
        ),
        (lambda: nn.Activation(3), TypeError, "an activation is a name or a function, got 3"),
        (lambda: nn.MLP([2]), ValueError, "sizes must name the input's and the output's"),
        (lambda: nn.MLP([2, 0]), ValueError, r"MLP: sizes\[1\] must be at least 1, got 0"),
        (lambda: nn.MLP([2, 1.5]), TypeError, r"MLP: sizes\[1\] must be an integer, got 1.5"),
        (lambda: nn.Linear(-1, 2), ValueError, "Linear: inputs must be at least 1, got -1"),
        (lambda: nn.Linear(2, 2, dtype=int), TypeError, "dtype must be float16, float32 or"),
        (lambda: nn.Linear(2, 2, init="xavier"), ValueError, "known ones are glorot_normal, glo"),
        (
            lambda: nn.Linear(2, 3, init=lambda rng, shape: np.ones(2)),
            ValueError,
            r"returned shape \(2,\) where \(2, 3\)",
        ),
        (
            lambda: nn.Linear(3, 2)(np.ones((5, 4))),
            ValueError,
            r"last axis of x must have length 3 .*got x of shape \(5, 4\)",
        ),
    ],
)
def test_wrong_layers_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# --- losses ---------------------------------------------------------------------------------------


def test_mean_squared_error_and_reductions():
    p, t = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 0.0], [3.0, 4.0]])
    assert nn.mean_squared_error(p, t) == 1.25
    assert nn.mean_squared_error(p, t, "sum") == 5.0
    assert nn.mean_squared_error(p, t, "none").tolist() == [[0.0, 4.0], [0.0, 1.0]]
    np.testing.assert_allclose(ad.grad(nn.mean_squared_error)(p, t), 2 * (p - t) / 4)


def test_softmax_cross_entropy_is_the_formula():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = -np.log(probabilities[np.arange(6), labels])
    np.testing.assert_allclose(nn.softmax_cross_entropy(logits, labels, "none"), losses)
    np.testing.assert_allclose(nn.softmax_cross_entropy(logits, labels), losses.mean())
    onehot = np.eye(4)[labels]
    np.testing.assert_allclose(
        ad.grad(nn.softmax_cross_entropy)(logits, labels), (probabilities - onehot) / 6
    )


@pytest.mark.parametrize("logits", [[[1, 2], [3, 5]], np.array([[1, 2], [3, 5]], np.uint8)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_softmax_cross_entropy_of_integers(logits, reduction):
    found = nn.softmax_cross_entropy(logits, [0, 1], reduction)
    wanted = nn.softmax_cross_entropy(np.asarray(logits, float), [0, 1], reduction)
    np.testing.assert_array_equal(found, wanted)


def test_softmax_cross_entropy_averages_more_float16_losses_than_it_could_add():
    logits = np.zeros((70_000, 4), np.float16)
    found = nn.softmax_cross_entropy(logits, np.zeros(70_000, int))
    assert found == np.float16(np.log(4.0))
    assert found.dtype == np.float16


@pytest.mark.parametrize("shape", [(5,), (2, 3), (), (0,)])
def test_softmax_cross_entropy_at_every_rank_and_order(shape):
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal((*shape, 3)), rng.integers(0, 3, shape)
    ad.check_grads(lambda z: nn.softmax_cross_entropy(z, labels, "none"), (logits,), order=3)


def test_softmax_cross_entropy_under_vmap():
    rng = np.random.default_rng(2)
    logits, labels = rng.standard_normal((5, 2, 3)), rng.integers(0, 3, (5, 2))
    gradient = ad.grad(nn.softmax_cross_entropy)
    both = ad.vmap(gradient, (0, 0))(logits, labels)
    np.testing.assert_allclose(
        both, np.stack([gradient(z, t) for z, t in zip(logits, labels, strict=True)])
    )
    by_logits = ad.vmap(gradient, (0, None))(logits, labels[0])
    np.testing.assert_allclose(by_logits, np.stack([gradient(z, labels[0]) for z in logits]))
    by_labels = ad.vmap(gradient, (None, 0))(logits[0], labels)
    np.testing.assert_allclose(by_labels, np.stack([gradient(logits[0], t) for t in labels]))
    hessians = ad.vmap(lambda z: ad.hvp(lambda z: nn.softmax_cross_entropy(z, 1), (z,), (z,)))
    assert hessians(logits[:, 0]).shape == (5, 3)


def test_softmax_cross_entropy_is_stable():
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    losses = nn.softmax_cross_entropy(logits, [0, 0], "none")
    assert losses.tolist() == [0.0, 2e4]
    assert np.isfinite(ad.grad(nn.softmax_cross_entropy)(logits, [0, 0])).all()


def test_binary_cross_entropy_is_the_formula():
    z, t = np.array([-2.0, 0.5, 3.0]), np.array([0.0, 1.0, 0.25])
    s = 1 / (1 + np.exp(-z))
    losses = -t * np.log(s) - (1 - t) * np.log(1 - s)
    np.testing.assert_allclose(nn.binary_cross_entropy(z, t, "none"), losses)
    np.testing.assert_allclose(
        ad.grad(nn.binary_cross_entropy, argnums=(0, 1))(z, t), [(s - t) / 3, -z / 3]
    )
    ad.check_grads(lambda z: nn.binary_cross_entropy(z, t), (z,), order=3)


def test_binary_cross_entropy_is_stable():
    z, t = np.array([1e4, -1e4, 1e4, -1e4, 40.0]), np.array([1, 0, 0, 1, 1])
    losses = nn.binary_cross_entropy(z, t, "none")
    np.testing.assert_allclose(losses, [0.0, 0.0, 1e4, 1e4, np.exp(-40.0)], rtol=1e-12)
    slopes = ad.grad(lambda z: nn.binary_cross_entropy(z, t, "sum"))(z)
    np.testing.assert_allclose(slopes, [0.0, 0.0, 1.0, -1.0, -np.exp(-40.0)], rtol=1e-12)


def test_losses_keep_float32():
    z = np.zeros((2, 3), np.float32)
    for loss in (
        lambda z: nn.mean_squared_error(z, np.ones((2, 3))),
        lambda z: nn.binary_cross_entropy(z, np.ones((2, 3))),
        lambda z: nn.softmax_cross_entropy(z, np.array([0, 1])),
    ):
        value, gradient = ad.value_and_grad(loss)(z)
        assert value.dtype == np.float32
        assert gradient.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.mean_squared_error(np.ones(3), np.ones((3, 1))),
            ValueError,
            r"prediction has shape \(3,\), target \(3, 1\); they must be equal",
        ),
        (
            lambda: nn.mean_squared_error(np.ones(3), np.ones(3), "average"),
            ValueError,
            "reduction must be one of 'mean', 'sum', 'none', got 'average'",
        ),
        (
            lambda: nn.mean_squared_error(np.ones(1), np.array(["a"])),
            TypeError,
            "target has dtype <U1; give numbers",
        ),
        (
            lambda: nn.softmax_cross_entropy(np.ones((2, 3)), np.array([0.0, 1.0])),
            TypeError,
            "labels must be a plain array of integers, got an array of dtype float64",
        ),
        (
            lambda: nn.softmax_cross_entropy(np.ones((2, 3)), ad.Tensor([0, 1])),
            TypeError,
            "got a Tensor of dtype float64",
        ),
        (
            lambda: nn.softmax_cross_entropy(np.ones((2, 3)), np.array([True, False])),
            TypeError,
            "of dtype bool",
        ),
        (
            lambda: nn.softmax_cross_entropy(np.ones((2, 3)), np.array([0, 3])),
            ValueError,
            r"labels\[1\] is 3, but the logits have 3 classes, numbered from 0 to 2",
        ),
        (
            lambda: nn.softmax_cross_entropy(np.ones((2, 2, 3)), np.array([[0, 1], [-1, 0]])),
            ValueError,
            r"labels\[1, 0\] is -1",
        ),
        (
            lambda: nn.softmax_cross_entropy(np.ones((2, 3)), np.eye(2, 3, dtype=int)),
            ValueError,
            r"need labels of shape \(2,\), got \(2, 3\); use labels.argmax\(-1\)",
        ),
        (
            lambda: nn.softmax_cross_entropy(np.ones((2, 3)), np.array([0])),
            ValueError,
            r"need labels of shape \(2,\), got \(1,\); give one label per example",
        ),
        (
            lambda: nn.softmax_cross_entropy(1.0, 0),
            ValueError,
            r"logits need a last axis of classes, got shape \(\)",
        ),
        (
            lambda: nn.binary_cross_entropy(np.ones(2), np.array([-1, 1])),
            ValueError,
            r"probabilities from 0 to 1, got -1.0; for labels -1 and 1 pass",
        ),
        (
            lambda: nn.binary_cross_entropy(np.ones(2), np.array([np.nan, 1])),
            ValueError,
            "got nan",
        ),
        (
            lambda: nn.binary_cross_entropy(np.ones((2, 1)), np.ones(2)),
            ValueError,
            r"logits has shape \(2, 1\), targets \(2,\)",
        ),
        (
            lambda: nn.accuracy(np.ones((2, 3)), np.ones(3, int)),
            ValueError,
            r"need labels of shape \(2,\), got \(3,\)",
        ),
    ],
)
def test_wrong_losses_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_accuracy():
    logits = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.4]])
    assert nn.accuracy(logits, [1, 0, 0]) == 2 / 3
    assert nn.accuracy(ad.Tensor(logits), np.array([1, 0, 1])) == 1.0


# --- training -------------------------------------------------------------------------------------


def classify(model, x, labels):
    return nn.softmax_cross_entropy(model(x), labels)


def test_fit_learns_digits():
    digits = ad.data.digits(dtype=np.float32)
    model = nn.MLP([64, 32, 10], dtype=np.float32)
    history = nn.fit(
        model,
        classify,
        (digits.x_train, digits.y_train),
        optimizer=optim.Adam(model.parameters(), lr=5e-3),
        epochs=8,
        batch_size=64,
        evaluate=lambda model: {"accuracy": nn.accuracy(model(digits.x_test), digits.y_test)},
        progress=False,
    )
    assert [record["epoch"] for record in history] == list(range(1, 9))
    assert history[-1]["loss"] < history[0]["loss"] / 5
    assert history[-1]["accuracy"] > 0.9
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.layers[0].weight.dtype == np.float32


def test_fit_repeats_for_a_seed():
    x = np.random.default_rng(0).standard_normal((20, 2))
    weights = []
    for seed in (0, 0, 1):
        model = nn.MLP([2, 3, 2])
        nn.fit(
            model,
            classify,
            (x, (x[:, 0] > 0).astype(int)),
            optimizer=optim.SGD(model.parameters(), lr=0.1),
            epochs=2,
            batch_size=6,
            seed=seed,
            progress=False,
        )
        weights.append(model.layers[0].weight.data)
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_fit_averages_the_loss_over_examples():
    """With lr 0 the loss of an epoch is the loss of all data, also with a smaller last batch."""
    x = np.random.default_rng(0).standard_normal((10, 2))
    labels = (x[:, 0] > 0).astype(int)
    model = nn.MLP([2, 2])
    history = nn.fit(
        model,
        classify,
        (x, labels),
        optimizer=optim.SGD(model.parameters(), lr=0.0),
        batch_size=4,
        progress=False,
    )
    np.testing.assert_allclose(history[0]["loss"], classify(model, x, labels).item())


def test_fit_shows_progress_on_standard_error(capsys):
    model = nn.Linear(2, 2, seed=0)
    nn.fit(
        model,
        classify,
        (np.ones((4, 2)), np.zeros(4, int)),
        optimizer=optim.SGD(model.parameters(), lr=0.1),
        epochs=2,
        batch_size=2,
    )
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch 2/2, loss" in shown.err
    assert "4/4" in shown.err


def test_fit_stops_when_the_loss_is_not_finite():
    model = nn.Linear(1, 1, seed=0)
    with (
        np.errstate(all="ignore"),
        pytest.raises(ad.NonFiniteError, match=r"loss became inf in epoch \d+, batch 1; lower"),
    ):
        nn.fit(
            model,
            lambda model, x: np.sum(model(x) ** 2),
            [np.ones((4, 1))],
            optimizer=optim.SGD(model.parameters(), lr=1e30),
            epochs=100,
            progress=False,
        )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs must be at least 0, got -1"),
        ({"batch_size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"optimizer": optim.SGD(lr=0.1)}, ValueError, "optimizer has no parameters to train"),
        ({"data": (np.ones((4, 2)), np.ones(3))}, ValueError, "lengths 4, 3"),
    ],
)
def test_fit_refuses_wrong_arguments(change, error, message):
    model = nn.Linear(2, 2)
    arguments = {
        "data": (np.ones((4, 2)), np.zeros(4, int)),
        "optimizer": optim.SGD(model.parameters(), lr=0.1),
        "progress": False,
        **change,
    }
    with pytest.raises(error, match=message):
        nn.fit(model, classify, arguments.pop("data"), **arguments)
