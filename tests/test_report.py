"""`ad.report`: numbers by hand, findings on networks with a known fault, nothing disturbed."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 8))
Y = RNG.standard_normal((64, 3))
LABELS = RNG.integers(0, 3, 64)


def mlp(depth: int = 2, scale: float | None = None, **options: Any) -> nn.MLP:
    model = nn.MLP([8, *[16] * depth, 3], **options)
    if scale is not None:
        for layer in model.layers:
            layer.weight.data = scale * np.asarray(layer.weight.data)
    return model


def squared_error(model: Any, x: Any, y: Any) -> Any:
    return nn.mean_squared_error(model(x), y)


def kinds(report: Any) -> list[str]:
    return [finding.kind for finding in report.findings]


def norm(x: Any) -> float:
    return float(np.sqrt(np.sum(np.abs(np.asarray(x, np.float64)) ** 2)))


# --- the numbers ------------------------------------------------------------------------------


def test_parameter_row_equals_hand_computation() -> None:
    w = ad.Tensor([[1.0, -2.0], [0.5, 0.0]], name="w")
    x = np.array([[1.0, 2.0], [3.0, -4.0], [0.0, 0.0]])
    # loss = sum of x @ w in the first column: its gradient is the column sum of x there, else 0
    row = ad.report(np.sum((x @ w)[:, 0]), [w]).parameters[0]
    gradient = np.array([[4.0, 0.0], [-2.0, 0.0]])
    assert (row.name, row.shape, row.dtype, row.used) == ("w", (2, 2), np.float64, True)
    assert row.value_norm == pytest.approx(norm(w.data))
    assert row.value_rms == pytest.approx(norm(w.data) / 2)
    assert row.gradient_norm == pytest.approx(math.sqrt(20))
    assert row.gradient_rms == pytest.approx(math.sqrt(5))
    assert row.ratio == pytest.approx(math.sqrt(20) / norm(w.data))
    assert row.mean_magnitude == pytest.approx(np.mean(np.abs(gradient)))
    assert (row.zeros, row.minimum, row.maximum) == (0.5, -2.0, 4.0)
    assert (row.nonfinite_gradient, row.nonfinite_value) == (0, 0)


def test_activation_row_equals_hand_computation() -> None:
    z = np.array([[-1.0, 2.0, 0.0], [-3.0, -4.0, 5.0]])
    w = ad.Tensor(np.ones((2, 3)), name="w")
    weights = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    report = ad.report(np.sum(ad.relu(z * w) * weights), [w])
    (row,) = report.activations
    assert (row.name, row.function, row.shape) == ("relu after w", "relu", (2, 3))
    assert (row.units, row.examples) == (3, 2)
    assert row.dead == 1  # the first column is off in both rows
    assert row.flat == pytest.approx(4 / 6)
    assert row.output_rms == pytest.approx(math.sqrt((4 + 25) / 6))
    assert row.cotangent_norm == pytest.approx(norm(weights))
    assert row.cotangent_rms == pytest.approx(norm(weights) / math.sqrt(6))


SATURATION = {
    "tanh": (np.tanh, np.arctanh(0.97)),
    "sigmoid": (ad.sigmoid, 2 * np.arctanh(0.97)),
    "arctan": (np.arctan, math.sqrt(1 / (1 - 0.97**2) - 1)),
}


@pytest.mark.parametrize("name", SATURATION)
def test_flat_means_slope_below_that_of_tanh_at_097(name: str) -> None:
    function, edge = SATURATION[name]
    z = edge * np.array([[0.0, 0.999, -0.999, 1.001, -1.001]])
    w = ad.Tensor(1.0)
    (row,) = ad.report(np.sum(function(z * w)), [w]).activations
    assert row.function == name
    assert row.flat == pytest.approx(2 / 5)
    assert row.dead == 0


def test_gradients_are_those_of_grad() -> None:
    model = mlp(seed=3)
    report = ad.report(squared_error, model, X, Y)
    gradient = ad.grad(squared_error)(nn.arrays(model), X, Y)
    for row, (name, leaf) in zip(report.parameters, gradient.named_parameters(), strict=True):
        assert row.name == name
        assert row.gradient_norm == pytest.approx(norm(leaf), rel=1e-12)
    assert report.loss == squared_error(nn.arrays(model), X, Y)


def test_cotangent_of_activation_is_the_gradient_at_it() -> None:
    w, h = np.linspace(-1, 1, 24).reshape(8, 3), []
    tensor = ad.Tensor(w)
    h.append(np.tanh(X @ tensor))
    loss = np.mean(h[0] ** 3)
    (row,) = ad.report(loss, [tensor]).activations
    expected = ad.grad(lambda a: np.mean(a**3))(np.tanh(X @ w))
    assert row.cotangent_norm == pytest.approx(norm(expected))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64])
def test_norms_are_in_double_precision(dtype: Any) -> None:
    value = np.array([200, -200, 200, -200], dtype)
    w = ad.Tensor(value)
    row = ad.report(np.sum(np.real(w) * 300), [w]).parameters[0]  # 300² overflows float16
    assert row.dtype == dtype
    assert row.value_norm == pytest.approx(400)
    assert row.gradient_norm == pytest.approx(600)


def test_norms_of_huge_and_tiny_numbers_do_not_overflow() -> None:
    w = ad.Tensor([1e200, 1e200])
    row = ad.report(np.sum(w * 1e-200), [w]).parameters[0]
    assert row.value_norm == pytest.approx(math.sqrt(2) * 1e200)
    assert row.gradient_norm == pytest.approx(math.sqrt(2) * 1e-200)


def test_empty_parameter() -> None:
    w, empty = ad.Tensor(1.0), ad.Tensor(np.zeros((0, 3)))
    row = ad.report(w + np.sum(empty), [w, empty]).parameters[1]
    assert (row.value_norm, row.gradient_norm) == (0, 0)
    assert math.isnan(row.zeros)
    assert math.isnan(row.minimum)


# --- what it takes ----------------------------------------------------------------------------


def test_both_forms_agree() -> None:
    model = mlp(activation="relu", seed=1)
    tensor_form = ad.report(squared_error(model, X, Y), model)
    functional = ad.report(squared_error, nn.arrays(model), X, y=Y)
    assert str(tensor_form) == str(functional)


def test_names_come_from_tensors_or_from_the_container() -> None:
    a, b = ad.Tensor(1.0, name="slope"), ad.Tensor(2.0)
    report = ad.report(a * b, {"a": a, "nested": [b]})
    assert [row.name for row in report.parameters] == ["slope", "params['nested'][0]"]
    single = ad.report(lambda x: x * x, 3.0)
    assert [row.name for row in single.parameters] == ["params"]


def test_shared_parameter_is_one_row() -> None:
    w = ad.Tensor(2.0)
    report = ad.report(w**3, [w, w])
    assert [row.gradient_norm for row in report.parameters] == [12.0]


def test_list_of_parameters_and_module_give_the_same_rows() -> None:
    model = mlp()
    loss = squared_error(model, X, Y)
    assert str(ad.report(loss, model.parameters())) == str(ad.report(loss, model))


def test_several_applications_have_names_of_their_own() -> None:
    w = ad.Tensor(np.eye(3))
    h = np.ones((2, 3))
    for _ in range(3):
        h = np.tanh(h @ w)
    names = [row.name for row in ad.report(np.sum(h), {"w": w}).activations]
    assert names == [f"tanh after params['w']{n}" for n in ("", " #2", " #3")]


def test_named_activation_keeps_its_name() -> None:
    w = ad.Tensor(np.eye(3))
    hidden = ad.name(np.tanh(w), "hidden")
    assert [row.name for row in ad.report(np.sum(hidden), [w]).activations] == ["hidden"]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda z: np.maximum(z, 0), "maximum"),
        (lambda z: np.maximum(0.0, z), "maximum"),
        (lambda z: np.clip(z, 0, 6), "clip"),
    ],
)
def test_rectifiers_written_in_numpy_are_found(function: Any, name: str) -> None:
    w = ad.Tensor(np.array([1.0, -1.0]))
    (row,) = ad.report(np.sum(function(np.ones((9, 1)) * w)), [w]).activations
    assert (row.function, row.dead, row.examples) == (name, 1, 9)


def test_choice_between_two_variables_is_no_activation() -> None:
    w = ad.Tensor(np.array([1.0, -1.0]))
    assert ad.report(np.sum(np.maximum(w, 0.1 * w)), [w]).activations == ()


def test_erf_is_an_activation() -> None:
    special = pytest.importorskip("autodiff.scipy.special")
    w = ad.Tensor(np.array([5.0, 0.1]))
    (row,) = ad.report(np.sum(special.erf(w)), [w]).activations
    assert row.flat == 0.5


def test_variable_that_was_assigned_to() -> None:
    w = ad.Tensor(np.array([1.0, 2.0]), name="w")
    w[0] = 5.0
    row = ad.report(np.sum(w * w), [w]).parameters[0]
    assert row.used
    assert row.gradient_norm == 4.0  # of the variable as it was created: 0 where it was replaced


# --- nothing is disturbed ---------------------------------------------------------------------


def test_leaves_grads_tape_and_hooks_alone() -> None:
    model = mlp()
    loss = squared_error(model, X, Y)
    hidden = model.layers[0](X)
    called = []
    model.layers[0].weight.register_hook(called.append)
    former = np.full((8, 16), 7.0)
    model.layers[0].weight.grad = former
    ad.report(loss + np.sum(hidden), model)
    assert model.layers[0].weight.grad is former
    assert model.layers[1].weight.grad is None
    assert hidden.grad is None
    assert called == []
    loss.backward()
    expected = ad.grad(squared_error)(nn.arrays(model), X, Y).layers[0].weight
    np.testing.assert_allclose(model.layers[0].weight.grad - former, expected)


def test_two_reports_of_one_loss_agree_in_threads() -> None:
    model = mlp(depth=6)
    loss = squared_error(model, X, Y)
    expected, found = str(ad.report(loss, model)), []
    threads = [
        threading.Thread(target=lambda: found.append(str(ad.report(loss, model)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    loss.backward()


def test_after_backward_that_kept_the_tape() -> None:
    model = mlp()
    loss = squared_error(model, X, Y)
    before = str(ad.report(loss, model))
    loss.backward(keep_tape=True)
    assert str(ad.report(loss, model)) == before


def test_after_backward_shows_grad_and_says_so() -> None:
    model = mlp()
    loss = squared_error(model, X, Y)
    before = ad.report(loss, model)
    loss.backward()
    after = ad.report(loss, model)
    assert after.parameters == before.parameters
    assert after.activations == ()
    assert "backward() has released the tape" in after.notes[0]
    assert after.notes[0] in " ".join(str(after).split())


def test_after_backward_without_grads_there_is_nothing_left() -> None:
    model = mlp()
    loss = squared_error(model, X, Y)
    loss.backward()
    model.zero_grad()
    with pytest.raises(ad.TapeReleasedError, match="pass keep_tape=True"):
        ad.report(loss, model)


def test_inside_a_transform() -> None:
    reports = []

    def loss(w: Any) -> Any:
        out = np.sum(np.tanh(X[:, :2] @ w) ** 2)
        reports.append(ad.report(out, [w]))
        return out

    gradient = ad.grad(loss)(np.ones(2))
    assert reports[0].parameters[0].gradient_norm == pytest.approx(norm(gradient))


# --- findings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus", "sigmoid", "identity"])
@pytest.mark.parametrize("seed", range(5))
def test_healthy_networks_have_no_findings(activation: str, seed: int) -> None:
    report = ad.report(squared_error, mlp(activation=activation, seed=seed), X, Y)
    assert report.findings == ()
    assert "nothing found wrong" in str(report)


def test_fresh_and_trained_networks_on_digits_have_no_findings() -> None:
    digits = ad.data.digits()
    x, y = digits.x_train[:256], digits.y_train[:256]
    model = nn.MLP([64, 32, 10], activation="relu", seed=0)
    optimizer = ad.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        loss = nn.softmax_cross_entropy(model(x), y)
        assert ad.report(loss, model).findings == ()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def test_deep_sigmoid_network_with_small_weights_vanishes() -> None:
    report = ad.report(squared_error, mlp(6, 0.3, activation="sigmoid"), X, Y)
    assert kinds(report) == ["vanishing"]
    (finding,) = report.findings
    assert {"layers[0].weight", "layers[0].bias", "sigmoid after layers[0]"} <= set(finding.names)
    assert "layers[6].weight" not in finding.names
    assert "layers[0].weight" in finding.message
    assert "glorot_uniform" in finding.advice


def test_small_tanh_network_vanishes_by_its_biases() -> None:
    """Where the signal shrinks as the gradient does, the weights' gradients are all alike."""
    report = ad.report(squared_error, mlp(6, 0.05), X, Y)
    rms = [row.gradient_rms for row in report.parameters if row.name.endswith("weight")]
    assert max(rms) < 1e3 * min(rms)
    assert "vanishing" in kinds(report)


def test_threshold_of_vanishing_is_a_thousandth() -> None:
    first, second = ad.Tensor(np.ones(3), name="first"), ad.Tensor(np.ones(3), name="second")
    for factor, expected in ((1.01e-3, []), (0.99e-3, ["vanishing"])):
        loss = np.sum(first * factor) + np.sum(second)
        assert kinds(ad.report(loss, [first, second])) == expected


def test_linear_network_with_large_weights_explodes() -> None:
    report = ad.report(squared_error, mlp(8, 10.0, activation="identity"), X, Y)
    assert kinds(report) == ["exploding"]
    assert set(report.findings[0].names) >= {f"layers[{i}].weight" for i in range(9)}
    assert "smaller initialisation" in report.findings[0].advice


def test_gradient_that_grows_towards_the_input_explodes() -> None:
    """A relu network whose later weights are large: the cotangent grows on its way back."""
    model = mlp(4, activation="relu")
    for layer in model.layers[1:]:
        layer.weight.data = 30 * np.asarray(layer.weight.data)
    model.layers[0].weight.data = 1e3 * np.asarray(model.layers[0].weight.data)
    report = ad.report(lambda m: np.mean(m(X)), model)
    (finding,) = [f for f in report.findings if f.kind == "exploding"]
    assert "relu after layers[0]" in finding.names


def test_relu_with_a_bias_of_minus_100_is_dead() -> None:
    model = mlp(1, activation="relu")
    model.layers[0].bias.data = np.full(16, -100.0)
    report = ad.report(squared_error(model, X, Y), model)
    assert report.activations[0].dead == 16
    dead, zero = report.findings
    assert (dead.kind, dead.names) == ("dead", ("relu after layers[0]",))
    assert "16 of 16 units" in dead.message
    assert zero.kind == "zero"
    assert set(zero.names) == {"layers[0].weight", "layers[0].bias", "layers[1].weight"}


def test_few_examples_say_nothing_about_dead_units() -> None:
    w = ad.Tensor(-np.ones(4), name="w")
    for examples, expected in ((7, []), (8, ["dead"])):
        loss = np.sum(ad.relu(np.ones((examples, 1)) * w)) + np.sum(w)
        assert kinds(ad.report(loss, [w])) == expected


def test_saturated_tanh() -> None:
    model = mlp(1)
    model.layers[0].weight.data = 100 * np.asarray(model.layers[0].weight.data)
    report = ad.report(squared_error(model, X, Y), model)
    assert "saturated" in kinds(report)
    assert report.activations[0].flat > 0.9


def test_unused_parameter_is_named() -> None:
    model = mlp()
    spare = ad.Tensor(np.ones(3), name="spare")
    report = ad.report(squared_error(model, X, Y), [model, spare])
    assert [(f.kind, f.names) for f in report.findings] == [("unused", ("spare",))]
    row = report.parameters[-1]
    assert (row.used, row.gradient_norm, row.zeros, row.depth) == (False, 0, 1, -1)
    functional = ad.report(lambda p: p["a"] * 2, {"a": 1.0, "spare": np.ones(2)})
    assert functional.findings[0].names == ("params['spare']",)


def test_zero_gradient_is_not_unused() -> None:
    w = ad.Tensor(np.ones(2), name="w")
    assert kinds(ad.report(np.sum(w * 0.0), [w])) == ["zero"]


def test_nan_is_found_where_it_is() -> None:
    model = mlp(1)
    weight = np.array(model.layers[0].weight.data)
    weight[2, 5] = np.nan
    model.layers[0].weight.data = weight
    report = ad.report(squared_error(model, X, Y), model)
    finding = report.findings[0]
    assert finding.kind == "non-finite"
    assert finding.names[:2] == ("layers[0].weight", "tanh after layers[0]")
    assert "the loss is nan" in finding.message
    assert "1 of 128 elements of layers[0].weight" in finding.message
    assert "64 outputs of tanh after layers[0]" in finding.message
    assert "ad.debug()" in finding.advice
    assert report.parameters[0].nonfinite_value == 1
    assert kinds(report) == ["non-finite"]


def test_infinite_gradient() -> None:
    w = ad.Tensor([0.0, 1.0], name="w")
    with np.errstate(divide="ignore"):
        report = ad.report(np.sum(np.sqrt(w)), [w])
    assert report.parameters[0].nonfinite_gradient == 1
    assert report.parameters[0].gradient_norm == math.inf
    assert "1 of 2 gradient elements of w" in report.findings[0].message


def test_numbers_by_themselves_are_no_layers() -> None:
    """Physical parameters of different units have gradients of different sizes."""
    mass, rate = ad.Tensor(1.0), ad.Tensor(1.0)
    assert ad.report(mass * 1e-3 + rate * 1e2, [mass, rate]).findings == ()


# --- wrong input ------------------------------------------------------------------------------


def test_loss_must_be_a_real_scalar() -> None:
    w = ad.Tensor(np.ones(3))
    with pytest.raises(TypeError, match=r"the loss has shape \(3,\), it must be a scalar; reduce"):
        ad.report(w * 2, [w])
    with pytest.raises(TypeError, match="dtype complex128, it must be a real number"):
        ad.report(np.sum(w * 1j), [w])
    with pytest.raises(TypeError, match=r"what tanh returned has shape \(3,\)"):
        ad.report(np.tanh, np.ones(3))
    with pytest.raises(TypeError, match="must be one scalar"):
        ad.report(lambda p: (p, p), 1.0)
    with pytest.raises(TypeError, match="the loss is a float64; pass the scalar Tensor"):
        ad.report(np.float64(1.0), [w])
    with pytest.raises(TypeError, match="further arguments go to a function"):
        ad.report(np.sum(w), [w], X)


def test_constant_loss() -> None:
    w = ad.Tensor(1.0)
    with ad.no_grad():
        loss = w * w
    with pytest.raises(TypeError, match="the loss is a constant"):
        ad.report(loss, [w])


def test_inside_vmap_is_refused() -> None:
    def example(p: Any) -> Any:
        ad.report(lambda q: np.sum(q * q), p)
        return p

    with pytest.raises(TypeError, match="params stands for many examples inside vmap"):
        ad.vmap(example)(np.ones((2, 3)))


def test_parameters_of_another_model_are_named() -> None:
    loss = squared_error(mlp(), X, Y)
    other = ad.Tensor(1.0, name="other")
    with pytest.raises(ValueError, match=r"depends on none of the parameters \(other\)"):
        ad.report(loss, [other])
    with pytest.raises(ValueError, match=r"depends on none of the parameters \(params\)"):
        ad.report(lambda p: np.float64(1.0), 2.0)


def test_leaves_that_are_no_variables_are_named() -> None:
    w = ad.Tensor(np.ones(3), name="w")
    loss = np.sum(w)
    with pytest.raises(TypeError, match=r"params\['a'\] is an array, which a loss does not"):
        ad.report(loss, {"a": np.ones(3)})
    with pytest.raises(TypeError, match=r"params\[1\] is of type str"):
        ad.report(loss, [w, "w"])
    with pytest.raises(TypeError, match=r"params\[0\] is a computed Tensor, no variable"):
        ad.report(loss, [w * 1.0])
    with pytest.raises(TypeError, match=r"params\[0\] is a constant, no variable"):
        ad.report(loss, [w.detach()])
    with pytest.raises(ValueError, match="params holds no parameters"):
        ad.report(loss, [])
    with pytest.raises(TypeError, match="report: params is an array of dtype int64"):
        ad.report(np.sum, np.arange(3))


# --- text and picture -------------------------------------------------------------------------


def test_text_is_an_aligned_table_with_wrapped_findings() -> None:
    model = mlp(6, 0.3, activation="sigmoid")
    text = str(ad.report(squared_error(model, X, Y), model))
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("layers[")]
    assert len(table) == 14
    columns = [[i for i, c in enumerate(line) if c == "]"][-1] for line in table]
    assert len(set(columns)) == 1
    assert lines[0].endswith("1,555 parameters")
    vanishing = lines.index(next(line for line in lines if line.startswith("vanishing: ")))
    assert all(len(line) <= 100 for line in lines[vanishing:])


def test_long_tables_show_their_ends() -> None:
    params = [ad.Tensor(1.0) for _ in range(100)]
    text = str(ad.report(sum(params[1:], params[0]), params))
    assert "... 40 more ..." in text
    assert "params[0]" in text
    assert "params[99]" in text
    assert "params[50]" not in text


def test_repr_and_html() -> None:
    w = ad.Tensor(np.ones(2), name="<w>")
    report = ad.report(np.sum(np.tanh(w)), [w])
    assert repr(report) == "<Report on 1 parameter and 1 activation: no findings>"
    page = report._repr_html_()
    assert "<table>" in page
    assert "&lt;w&gt;" in page
    assert "<w>" not in page


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_plot_writes_by_suffix(tmp_path: Path, suffix: str, begin: bytes) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"flow.{suffix}"
    assert ad.report(squared_error, mlp(activation="relu"), X, Y).plot(path) == path
    assert path.read_bytes().startswith(begin)


def test_plot_shows_what_was_measured() -> None:
    pytest.importorskip("matplotlib")
    model = mlp(1, activation="relu")
    model.layers[0].bias.data = np.full(16, -100.0)
    report = ad.report(squared_error(model, X, Y), [model, ad.Tensor(1.0, name="spare")])
    left, right = report.plot().axes
    assert left.get_xscale() == "log"
    assert [label.get_text() for label in left.get_yticklabels()] == [
        row.name for row in report.parameters
    ]
    (drawn,) = [line for line in left.lines if line.get_label() == "gradient"]
    sizes = [row.gradient_rms for row in report.parameters if row.gradient_rms > 0]
    np.testing.assert_allclose(drawn.get_xdata(), sizes)
    notes = [text.get_text() for text in left.texts]
    assert notes.count("gradient: 0") == 3
    assert notes.count("gradient: unused") == 1
    assert [text.get_text() for text in right.texts] == ["100% flat, 16 of 16 dead"]
    assert max(bar.get_width() for bar in right.patches) == 1.0


def test_plot_without_activations_and_with_nan(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    w = ad.Tensor([np.nan, 1.0], name="w")
    figure = ad.report(np.sum(w * w), [w]).plot()
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["gradient: not finite"]
    figure.savefig(tmp_path / "nan.png")


def test_plot_does_not_touch_pyplot_and_import_not_matplotlib() -> None:
    pytest.importorskip("matplotlib")
    program = (
        "import sys, autodiff as ad\n"
        "assert 'autodiff.flow' not in sys.modules\n"
        "report = ad.report(lambda p: p * p, 2.0)\n"
        "assert 'matplotlib' not in sys.modules\n"
        "report.plot()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_plot_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"autodiff\[viz\]"):
        ad.report(lambda p: p * p, 2.0).plot()
