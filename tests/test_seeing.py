"""What a tape tells: where operations come from, names, costs, values, gradients, saved values."""

import gc
import json
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn
from autodiff.tape.calls import Calls
from autodiff.tape.entries import Constant, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.summary import Usage


def double(x):
    return x * 2


def block(x):
    return double(np.tanh(x)) + 1


def paths(tape):
    return [entry.scope.path if entry.scope else () for entry in tape]


class Residual(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(3, 3, seed=1)
        self.blocks = {"a": nn.Linear(3, 3, seed=2), "b": nn.Linear(3, 3, seed=3)}

    def __call__(self, x):
        for layer in self.blocks.values():
            x = x + self.inner(layer(x))
        return self.scale(x)

    def scale(self, x):
        return x * 0.5


class TestScopes:
    def test_functions_nest(self):
        tape = ad.record(lambda x: np.sum(block(x)))(np.ones(2))
        assert [entry.primitive.name for entry in tape] == ["tanh", "multiply", "add", "sum"]
        assert paths(tape) == [("block",), ("block", "double"), ("block",), ()]
        assert tape[1].scope.parent is tape[0].scope
        assert tape[1].scope.depth == 2
        assert repr(tape[1].scope) == "<function block / double>"

    def test_two_calls_are_two_scopes(self):
        tape = ad.record(lambda x: double(double(x)))(1.0)
        assert paths(tape) == [("double",), ("double",)]
        assert tape[0].scope is not tape[1].scope

    def test_calls_in_a_loop_are_apart(self):
        def repeat(x):
            for _ in range(20):
                x = double(x)
            return x

        tape = ad.record(repeat)(1.0)
        assert len({entry.scope for entry in tape}) == 20

    def test_the_recorded_function_is_no_scope(self):
        assert paths(ad.record(double)(1.0)) == [()]
        assert paths(ad.record(np.sin)(1.0)) == [()]

    def test_lambdas_and_comprehensions_are_no_scopes(self):
        def f(x):
            return sum([(lambda y: y * 2)(x) for _ in range(2)])

        assert set(paths(ad.record(f)(1.0))) == {()}

    def test_modules_are_named_by_their_paths(self):
        model = Residual()
        tape = ad.record(lambda m, x: m(x))(nn.arrays(model), np.ones(3))
        assert paths(tape)[:4] == [
            ("Residual", "blocks['a']: Linear"),
            ("Residual", "blocks['a']: Linear"),
            ("Residual", "inner: Linear"),
            ("Residual", "inner: Linear"),
        ]
        assert paths(tape)[4] == ("Residual",)
        assert paths(tape)[-1] == ("Residual", "scale")
        assert tape[0].scope.kind == "module"
        assert (tape[0].scope.name, tape[0].scope.type) == ("blocks['a']", "Linear")

    def test_a_recorded_module_is_the_tape_itself(self):
        model = nn.MLP([3, 2], seed=0)
        # The class's own __call__ belongs to the library, so it is shown
        assert paths(ad.record(nn.arrays(model))(np.ones(3)))[0][-1] == "layers[0]: Linear"

    def test_losses_of_the_library_are_scopes(self):
        tape = ad.record(lambda z: nn.mean_squared_error(z, np.zeros(3)))(np.ones(3))
        assert set(paths(tape)) == {("mean_squared_error",)}

    def test_frames_are_let_go(self):
        class Token:
            pass

        def f(x):
            token = Token()
            references.append(weakref.ref(token))
            return double(x)

        references = []
        ad.record(f)(1.0)
        gc.collect()
        assert references[0]() is None

    def test_frames_are_let_go_after_an_error(self):
        class Token:
            pass

        def f(x):
            token = Token()
            references.append(weakref.ref(token))
            double(x)
            raise ZeroDivisionError

        references = []
        with pytest.raises(ZeroDivisionError):
            ad.record(f)(1.0)
        gc.collect()
        assert references[0]() is None

    def test_calls_of_another_thread(self):
        def f(x):
            results = []
            thread = threading.Thread(target=lambda: results.append(double(x)))
            thread.start()
            thread.join()
            return results[0]

        tape = ad.record(f)(1.0)
        assert len(tape) == 1

    def test_here_without_frames(self):
        calls = Calls()
        scope, source = calls.here()
        assert scope is None
        assert source is None


class TestBackward:
    def test_operations_of_the_sweep_know_whose_rule_they_are(self):
        tape = ad.record(ad.value_and_grad(lambda x: np.sum(block(x))))(np.ones(2))
        forward = [entry for entry in tape if entry.pulls is None]
        assert [entry.primitive.name for entry in forward] == ["tanh", "multiply", "add", "sum"]
        backward = [entry for entry in tape if entry.pulls is not None]
        assert backward
        for entry in backward:
            assert any(entry.pulls is other for other in forward)
            assert entry.scope is entry.pulls.scope
        assert backward[-1].pulls.primitive.name == "tanh"

    def test_cotangents(self):
        def f(x):
            return np.sum(np.sin(x) * x)

        x = np.array([1.0, 2.0])
        tape = ad.record(ad.value_and_grad(f))(x)
        values = tape.values()
        sine = tape[0].output
        np.testing.assert_allclose(
            values[tape.cotangents[tape.inputs[0]]], x * np.cos(x) + np.sin(x)
        )
        np.testing.assert_allclose(values[tape.cotangents[sine]], x)
        assert tape.cotangents[tape.inputs[0]] is tape.outputs[1]

    def test_after_the_sweep_operations_are_forward_again(self):
        tape = ad.record(lambda x: ad.grad(np.sin)(x) * 3.0)(1.0)
        assert tape[-1].pulls is None
        assert any(entry.pulls is not None for entry in tape)

    def test_after_a_failed_sweep_too(self):
        @ad.primitive(vjp_x=lambda g: "nonsense")
        def broken_for_seeing(x):
            return np.sin(x)

        def f(x):
            with pytest.raises(ad.RuleError):
                ad.grad(broken_for_seeing)(x)
            return x * 3.0

        tape = ad.record(f)(1.0)
        assert tape[-1].primitive.name == "multiply"
        assert tape[-1].pulls is None

    def test_second_order(self):
        tape = ad.record(ad.grad(ad.grad(lambda x: x**3)))(2.0)
        assert tape.evaluate(2.0) == 12.0
        orders = []
        for entry in tape:
            order = 0
            while entry.pulls is not None:
                entry = entry.pulls
                order += 1
            orders.append(order)
        assert orders == sorted(orders)
        assert set(orders) == {0, 1, 2}

    def test_imperative_backward_inside(self):
        def f(x):
            w = ad.Tensor(2.0)
            loss = np.sin(w * x)
            loss.backward()
            return w.grad

        tape = ad.record(f)(1.5)
        assert any(entry.pulls is not None for entry in tape)
        np.testing.assert_allclose(tape.evaluate(1.5), 1.5 * np.cos(3.0))

    def test_several_outputs(self):
        def f(a):
            values, vectors = np.linalg.eigh(a)
            return np.sum(values**2) + np.sum(vectors[:, 0] ** 2)

        tape = ad.record(ad.grad(f))(np.array([[2.0, 0.3], [0.3, 1.0]]))
        pulled = {entry.pulls.primitive.name for entry in tape if entry.pulls is not None}
        assert "eigh" in pulled


class TestNames:
    def test_under_record(self):
        tape = ad.record(lambda x: np.sum(ad.name(np.tanh(x), "hidden")))(np.ones(2))
        assert "hidden: float64[2] = tanh x" in str(tape)
        assert "= sum hidden" in str(tape)

    def test_on_a_tensor(self):
        x = ad.Tensor([1.0, 2.0], name="x")
        hidden = ad.name(np.tanh(x), "hidden")
        assert hidden.name == "hidden"
        assert "hidden: float64[2]" in str(np.sum(hidden).tape)

    def test_through_nested_transforms(self):
        def f(x):
            return np.sum(ad.name(np.sin(x), "wave"))

        assert "wave: float64[2]" in str(ad.record(ad.value_and_grad(f))(np.ones(2)))
        assert "wave: float64[" in str(ad.record(ad.vmap(f))(np.ones((3, 2))))

    def test_arrays_and_numbers_pass(self):
        array = np.ones(2)
        assert ad.name(array, "a") is array
        assert ad.name(2.5, "b") == 2.5

    @pytest.mark.parametrize(
        ("value", "name", "message"),
        [(1.0, 5, "must be a str, got int"), ([1.0, 2.0], "x", "names one Tensor, got a list")],
    )
    def test_wrong(self, value, name, message):
        with pytest.raises(TypeError, match=message):
            ad.name(value, name)

    def test_a_constant_tensor_cannot_be_named(self):
        constant = ad.Tensor(1.0).detach()
        with pytest.raises(TypeError, match="constant"):
            constant.name = "c"

    def test_line_breaks_in_names_do_not_break_lines(self):
        tape = ad.record(lambda x: ad.name(x * 2, "two\nlines"))(1.0)
        assert len(str(tape).splitlines()) == 3
        assert r"two\nlines" in str(tape)


class TestListing:
    def test_columns_are_aligned(self):
        text = str(ad.record(lambda x: np.sum(block(x) @ np.ones((30, 7))))(np.ones((40, 30))))
        rows = text.splitlines()[1:-1]
        assert len({row.index(" = ") for row in rows}) == 1
        assert len({row.index("  # ") for row in rows}) == 1
        assert len({row.index(" B  ") for row in rows}) == 1

    def test_long_tapes_show_head_tail_and_totals(self):
        def f(x):
            for _ in range(5000):
                x = np.sin(x) * 2
            return x

        tape = ad.record(f)(1.0)
        lines = str(tape).splitlines()
        assert len(lines) == 1 + 60 + 1 + 40 + 2
        assert lines[61] == "  ... 9,900 operations more ..."
        assert lines[-1] == "  # in all 10,000 operations, 45,000 flops, 200,000 B"
        assert len(tape.listing(limit=None).splitlines()) == 10_002
        assert len(tape.listing(limit=9).splitlines()) == 1 + 6 + 1 + 3 + 2

    @pytest.mark.parametrize("limit", [0, 1, 2])
    def test_what_is_left_out_at_the_end_is_counted_too(self, limit):
        tape = ad.record(lambda x: np.exp(np.sin(np.cos(x))))(1.0)
        lines = tape.listing(limit).splitlines()
        assert lines[1 + limit] == f"  ... {3 - limit} operations more ..."
        assert lines[-1].startswith("  # in all 3 operations")

    def test_a_limit_below_zero_is_refused(self):
        with pytest.raises(ValueError, match="limit is -1; it must be at least 0, or None"):
            ad.record(np.sin)(1.0).listing(-1)

    def test_wide_results_do_not_push_the_others_aside(self):
        def f(x):
            hidden = ad.name(np.sin(x), "a name that is a good deal longer than others are")
            return np.cos(hidden) * 2

        rows = str(ad.record(f)(1.0)).splitlines()[2:-1]
        assert [row.index(" = ") for row in rows] == [14, 14]

    def test_nothing_is_returned(self):
        assert str(ad.record(lambda x: ())(1.0)).endswith("  return")

    def test_many_inputs_are_shortened(self):
        head = str(ad.record(lambda xs: sum(xs))([1.0] * 500)).splitlines()[0]
        assert "... 460 more ..." in head
        assert "xs[0]" in head
        assert "xs[499]" in head

    def test_backward_is_set_apart(self):
        text = str(ad.record(ad.value_and_grad(lambda x: np.sin(np.cos(x))))(1.0))
        assert text.count("# backward sweep") == 1
        assert "cotangent of x" in text

    def test_guards_are_listed(self):
        text = str(ad.record(lambda x: x * 2 if x > 0 else x)(1.0))
        assert "guard: bool() of" in text
        assert "test_seeing.py:" in text.split("guard")[1]


class TestSummary:
    def test_totals_and_shares(self):
        model = nn.MLP([4, 8, 3], seed=0)

        def loss(m, x):
            return np.sum(m(x) ** 2)

        tape = ad.record(loss)(nn.arrays(model), np.ones((5, 4)))
        summary = tape.summary()
        cost = tape.cost()
        assert summary.total.operations == cost.operations
        assert summary.total.flops == cost.flops
        assert summary.total.nbytes == cost.nbytes
        assert sum(u.flops for u in summary.by_primitive.values()) == cost.flops
        assert summary.by_primitive["matmul"].operations == 2
        assert next(iter(summary.by_primitive)) == "matmul"
        layer = summary.by_scope[("MLP", "layers[0]: Linear")]
        assert (layer.operations, layer.calls) == (2, 1)
        assert layer.flops == 2 * 5 * 4 * 8 + 5 * 8
        outside = summary.by_scope[()]
        assert summary.by_scope[("MLP",)].operations + outside.operations == cost.operations
        assert summary.backward == Usage()
        text = str(summary)
        assert "module or function" in text
        assert "  layers[1]: Linear" in text

    def test_saved_bytes_count_each_value_once(self):
        tape = ad.record(lambda x: np.sum(np.sin(x) * np.cos(x)))(np.ones(10))
        # x for sin and cos, and both factors of the product
        assert tape.summary().total.saved == 3 * 80

    def test_saved_constants_count_once(self):
        weight = ad.Tensor(np.full((4, 4), 0.5))
        tape = ad.record(lambda x: np.exp(np.exp(x @ weight) @ weight))(np.ones((2, 4)))
        assert tape.summary().total.saved == 128 + 2 * 64
        assert "sweep: 256 B" in tape.to_dot()

    def test_calls_are_counted(self):
        tape = ad.record(lambda x: double(double(double(x))))(1.0)
        assert tape.summary().by_scope[("double",)].calls == 3

    def test_backward_is_part_of_the_total(self):
        summary = ad.record(ad.value_and_grad(block))(1.0).summary()
        assert 0 < summary.backward.operations < summary.total.operations
        assert "of these in backward sweeps" in str(summary)

    def test_without_calls_there_is_one_table(self):
        assert "module or function" not in str(ad.record(np.sin)(1.0).summary())

    def test_empty_tape(self):
        assert str(ad.record(lambda x: x)(1.0).summary()).startswith("0 operations")


class TestValuesAndGradients:
    def test_values(self):
        tape = ad.record(lambda x, y: x * y + x)(3.0, 4.0)
        assert [float(value) for value in tape.values().values()] == [3.0, 4.0, 12.0, 15.0]

    def test_inputs_are_not_changed_behind_the_tape(self):
        x = np.ones(2)
        tape = ad.record(lambda x: x * 2)(x)
        x[:] = 7.0
        np.testing.assert_array_equal(tape.values()[tape.outputs[0]], [2.0, 2.0])

    def test_gradients_are_those_of_backward(self):
        x = np.array([0.3, -0.7])
        tape = ad.record(lambda x: np.sum(np.sin(x) * x))(x)
        gradients = tape.gradients()
        np.testing.assert_allclose(gradients[tape.inputs[0]], np.cos(x) * x + np.sin(x))
        np.testing.assert_allclose(gradients[tape[0].output], x)
        assert gradients[tape.outputs[0]] == 1.0

    def test_gradients_of_a_recorded_sweep(self):
        tape = ad.record(ad.grad(lambda x: np.sin(x) * x))(2.0)
        gradients = tape.gradients()
        np.testing.assert_allclose(gradients[tape.inputs[0]], 2 * np.cos(2) + np.sin(2))

    def test_values_without_derivative_have_no_gradient(self):
        tape = ad.record(lambda x, n: np.sum(np.where(x > 0, x, 0.0)) + n)(np.ones(2), 3)
        gradients = tape.gradients()
        assert tape.inputs[0] in gradients
        assert tape.inputs[1] not in gradients

    def test_of_a_tensor(self):
        a = ad.Tensor(2.0, name="a")
        loss = np.sin(a * 3.0)
        loss.backward()
        tape = loss.tape
        assert [float(v) for v in tape.values().values()] == [2.0, 6.0, np.sin(6.0)]
        np.testing.assert_allclose(tape.gradients()[tape.inputs[0]], 3 * np.cos(6.0))
        np.testing.assert_allclose(a.grad, 3 * np.cos(6.0))

    def test_a_variable_assigned_since(self):
        a = ad.Tensor(2.0, name="a")
        loss = np.sin(a)
        a.data = np.array(5.0)
        with pytest.raises(ValueError, match="variable 'a' got a new value"):
            loss.tape.values()
        later = np.sin(a).tape
        assert later.values()[later.inputs[0]] == 5.0

    def test_constants_that_were_not_kept(self):
        a = ad.Tensor(np.ones(2))
        with pytest.raises(ad.TapeError, match="only the shape was kept"):
            np.sum(a + np.ones(2)).tape.values()

    def test_made_by_hand(self):
        tape = ad.record(lambda x: x * 2)(1.0)
        bare = Tape(tape.entries, tape.inputs, tape.outputs)
        with pytest.raises(ValueError, match="put together by hand"):
            bare.values()

    def test_gradients_want_a_scalar(self):
        with pytest.raises(
            ValueError, match=r"first output must be a real scalar, it is float64\[2\]"
        ):
            ad.record(np.sin)(np.ones(2)).gradients()
        with pytest.raises(ValueError, match="there is none; record a function that returns one"):
            ad.record(lambda x: ())(1.0).gradients()
        with pytest.raises(ValueError, match=r"it is int64.*that computes with floats"):
            ad.record(np.sum)(np.arange(3)).gradients()
        with pytest.raises(ValueError, match=r"it is complex128.*that returns a real number"):
            ad.record(lambda z: z * 2)(1j).gradients()

    def test_reading_repeats_no_warnings(self):
        with np.errstate(all="ignore"):
            tape = ad.record(lambda x: np.sum(np.log(x)))(np.array([0.0, -1.0, 2.0]))
        with np.errstate(all="raise"):
            values, gradients = tape.values(), tape.gradients()
        np.testing.assert_array_equal(values[tape[0].output], [-np.inf, np.nan, np.log(2.0)])
        np.testing.assert_array_equal(gradients[tape.inputs[0]], [np.inf, -1.0, 0.5])

    def test_inside_a_transform(self):
        shown = []

        def f(x):
            tape = ad.record(lambda y: y * y)(x)
            shown.append(float(tape.values()[tape.outputs[0]]))
            return tape.evaluate(x)

        assert ad.grad(f)(3.0) == 6.0
        assert shown == [9.0]


class TestSaved:
    def test_what_the_rules_name(self):
        tape = ad.record(lambda x, w: np.sum(np.exp(x @ w) + 1.0))(np.ones((4, 3)), np.ones((3, 2)))
        product, exp = tape[0], tape[1]
        saved = tape.saved()
        assert set(saved) == {tape.inputs[0], tape.inputs[1], exp.output}
        assert saved[exp.output] == (exp,)
        assert product.output not in saved

    def test_constants(self):
        c = np.array([1.0, 2.0])
        saved = ad.record(lambda x: x * c)(np.ones(2)).saved()
        assert [type(operand) for operand in saved] == [Constant]

    def test_integers_are_not_differentiated(self):
        assert ad.record(lambda n: n * n)(3).saved() == {}

    def test_of_a_recorded_sweep(self):
        tape = ad.record(ad.grad(lambda x: np.sum(np.exp(x))))(np.ones(2))
        assert list(tape.saved()) == [tape[0].output]


@pytest.mark.parametrize("backward", [False, True])
def test_model_explorer_gets_every_operation_and_edge(backward: bool, tmp_path: Path) -> None:
    model = nn.arrays(nn.MLP([3, 4, 2], activation="tanh"))

    def loss(model: Any, x: Any) -> Any:
        return np.sum(np.stack(np.split(model(x), 2))) + 1.0

    tape = ad.record(ad.value_and_grad(loss) if backward else loss)(model, np.ones((2, 3)))
    file = tape.to_model_explorer(tmp_path / "tape.json", title="a network")
    collection = json.loads(file.read_text(encoding="utf-8"))
    assert collection["label"] == "a network"
    (graph,) = collection["graphs"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert len(nodes) == len(tape.inputs) + len(tape) + len(tape.outputs)
    for entry in tape:
        node = nodes[f"operation {entry.position}"]
        assert node["label"] == entry.primitive.name
        operands = [o for o in entry.inputs if isinstance(o, Variable)]
        assert len(node["incomingEdges"]) == len(operands)
        for edge in node["incomingEdges"]:
            source = nodes[edge["sourceNodeId"]]
            shown = source["outputsMetadata"][int(edge["sourceNodeOutputId"])]["attrs"][0]["value"]
            assert shown == str(entry.inputs[int(edge["targetNodeInputId"])].spec)
    layers = {node["namespace"] for node in nodes.values()}
    assert any(layer.endswith("MLP/layers[1]: Linear") for layer in layers)
    assert any(layer.startswith("backward") for layer in layers) == backward
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        tape.to_model_explorer(tmp_path / "nowhere" / "tape.json")


class TestScarcity:
    def test_summary_says_that_a_jacobian_is_scarce(self):
        def fan(x):
            return np.sum(x) * np.arange(1.0, 7.0)

        tape = ad.record(fan)(np.ones(6))
        found = str(tape.jacobian_graph().scarcity())
        assert found.startswith("Jacobian of 36 elements: scarce, ")
        assert tape.summary().scarcity == found
        assert found in str(tape.summary()).splitlines()

    def test_summary_says_nothing_of_others(self):
        assert ad.record(lambda x: np.sum(x * x))(np.ones(6)).summary().scarcity == ""
        assert ad.record(lambda x: x + 1)(np.ones(2, int)).summary().scarcity == ""

    def test_long_tapes_are_not_searched(self, monkeypatch):
        from autodiff.ordering import JacobianGraph

        def refuse(self):
            raise AssertionError("searched")

        monkeypatch.setattr(JacobianGraph, "scarcity", refuse)

        def long(x):
            for _ in range(60):
                x = np.sin(x)
            return x

        assert ad.record(long)(1.0).summary().scarcity == ""
