"""Tapes: what they list, how they check themselves, what they evaluate."""

import itertools

import numpy as np
import pytest

import autodiff as ad
from autodiff.core.spec import Spec
from autodiff.tape.entries import Constant, Entry, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.texts import short_source


def loss(params, x):
    hidden = np.tanh(x @ params["w"] + params["b"])
    return np.sum(hidden**2)


@pytest.fixture
def arguments():
    rng = np.random.default_rng(0)
    return {"w": rng.standard_normal((3, 2)), "b": np.zeros(2)}, rng.standard_normal((4, 3))


class TestRecord:
    def test_entries(self, arguments):
        tape = ad.record(loss)(*arguments)
        assert [entry.primitive.name for entry in tape] == [
            "matmul",
            "add",
            "tanh",
            "square",
            "sum",
        ]
        assert len(tape) == 5
        first = tape[0]
        assert first.shape == (4, 2)
        assert first.dtype == np.float64
        assert first.inputs == (tape.inputs[2], tape.inputs[1])
        assert first.output.spec == Spec((4, 2), np.dtype(float))
        assert "test_tape.py:" in first.source

    def test_text(self, arguments):
        lines = str(ad.record(loss)(*arguments)).splitlines()
        assert lines[0] == (
            "tape(params['b']: float64[2], params['w']: float64[3,2], x: float64[4,3]):"
        )
        assert lines[1].split() == [
            "a:",
            "float64[4,2]",
            "=",
            "matmul",
            "x",
            "params['w']",
            "#",
            "48",
            "flops",
            "208",
            "B",
            lines[1].split()[-1],
        ]
        assert lines[1].split()[-1].startswith("test_tape.py:")
        assert "sum d [axis=(0, 1)]" in lines[5]
        assert lines[-1] == "  return e"

    def test_evaluate_equals_the_function(self, arguments):
        params, x = arguments
        tape = ad.record(loss)(params, x)
        other = {"w": params["w"] * 2, "b": params["b"] + 1}
        np.testing.assert_allclose(tape.evaluate(other, x), loss(other, x), rtol=1e-15)

    def test_evaluate_is_differentiable_and_batches(self, arguments):
        params, x = arguments
        tape = ad.record(loss)(params, x)
        ours = ad.grad(tape.evaluate)(params, x)
        theirs = ad.grad(loss)(params, x)
        np.testing.assert_allclose(ours["w"], theirs["w"])
        batch = ad.vmap(tape.evaluate, (None, 0))(params, np.stack([x, 2 * x]))
        np.testing.assert_allclose(batch, [loss(params, x), loss(params, 2 * x)])

    def test_forward_and_backward_together(self, arguments):
        params, x = arguments
        tape = ad.record(ad.value_and_grad(loss))(params, x)
        value, gradient = tape.evaluate(params, x)
        assert value == loss(params, x)
        np.testing.assert_allclose(gradient["w"], ad.grad(loss)(params, x)["w"])

    def test_several_outputs_and_containers(self):
        tape = ad.record(lambda x: {"a": x + 1, "b": (x, 2.0)})(3.0)
        assert tape.evaluate(5.0) == {"a": 6.0, "b": (5.0, 2.0)}

    def test_constants_are_kept(self):
        c = np.array([1.0, 2.0])
        tape = ad.record(lambda x: x * c)(np.ones(2))
        c[:] = 0.0
        np.testing.assert_array_equal(tape.evaluate(np.ones(2)), [1.0, 2.0])

    def test_comparisons_are_recorded(self):
        tape = ad.record(lambda x: np.where(x > 0, x, 0.1 * x))(np.array([1.0, -1.0]))
        np.testing.assert_allclose(tape.evaluate(np.array([-1.0, 1.0])), [-0.1, 1.0])

    def test_a_branch_is_guarded(self):
        tape = ad.record(lambda x: x * x if x > 0 else -x)(2.0)
        assert tape.evaluate(3.0) == 9.0
        with pytest.raises(ad.TapeError, match=r"took bool\(\) of a value at .*test_tape.py"):
            tape.evaluate(-3.0)

    def test_a_number_that_leaked_is_guarded(self):
        tape = ad.record(lambda x: x * x.item())(2.0)
        assert tape.evaluate(2.0) == 4.0
        with pytest.raises(ad.TapeError, match=r"took \.item\(\)"):
            tape.evaluate(3.0)

    @pytest.mark.parametrize(
        ("inputs", "error", "message"),
        [
            ((np.ones(3),), ValueError, r"xs\[0\] has shape \(3,\).*float64\[2\]"),
            ((np.ones(2), np.ones(2)), TypeError, "the tape was recorded for"),
            (({"a": np.ones(2)},), TypeError, "the tape was recorded for"),
        ],
    )
    def test_wrong_inputs(self, inputs, error, message):
        tape = ad.record(lambda x: x * 2)(np.ones(2))
        with pytest.raises(error, match=message):
            tape.evaluate(*inputs)

    def test_cost_is_exact(self, arguments):
        cost = ad.record(loss)(*arguments).cost()
        assert cost.by_primitive["matmul"] == 2 * 4 * 2 * 3
        assert cost.by_primitive["add"] == 8
        assert cost.operations == 5
        assert cost.flops == sum(cost.by_primitive.values())
        assert "matmul" in str(cost)

    def test_values_are_dropped_after_their_last_use(self):
        tape = ad.record(lambda x: np.sum(np.sin(np.cos(x))))(np.ones(3))
        assert [len(slots) for slots in tape.last_uses] == [1, 1, 1]


class TestTapeOfATensor:
    def test_reads_the_graph(self):
        w, b = ad.Tensor(np.ones((3, 2)), name="w"), ad.Tensor(np.zeros(2), name="b")
        result = np.sum(np.tanh(np.ones((4, 3)) @ w + b) * 2.0)
        tape = result.tape
        assert [e.primitive.name for e in tape] == ["matmul", "add", "tanh", "multiply", "sum"]
        assert {v.name for v in tape.inputs} == {"w", "b"}
        text = str(tape)
        assert "matmul constant float64[4,3] w" in text
        assert "multiply d 2" in text

    def test_evaluates_where_constants_are_known(self):
        w = ad.Tensor([1.0, 2.0])
        tape = np.sum(w * np.array([3.0, 4.0])).tape
        assert tape.evaluate(np.array([1.0, 1.0])) == 7.0

    def test_says_which_constant_is_not_known(self):
        w = ad.Tensor([1.0, 2.0])
        tape = np.sum(w + np.array([3.0, 4.0])).tape
        with pytest.raises(ad.TapeError, match=r"add needs a constant float64\[2\]"):
            tape.evaluate(np.ones(2))

    def test_survives_the_sweep(self):
        w = ad.Tensor([1.0, 2.0])
        y = np.sum(w * w)
        y.backward()
        assert len(y.tape) == 2

    def test_source_lines_under_debug(self):
        w = ad.Tensor([1.0, 2.0])
        with ad.debug():
            y = np.sum(w * w)
        assert all("test_tape.py:" in entry.source for entry in y.tape)

    def test_not_inside_a_transform(self):
        with pytest.raises(TypeError, match=r"ad\.record"):
            ad.jvp(lambda x: x.tape, (1.0,), (1.0,))


class TestCheck:
    """A malformed tape is refused when it is made."""

    spec = Spec((2,), np.dtype(float))
    add = ad.REGISTRY["add"]

    def entry(self, inputs, outputs, params=None):
        return Entry(self.add, inputs, outputs, params or {}, None)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda self, x, y, z: ([self.entry((x, z), (y,))], [x], [y]),
                r"entry 0 \(add\): uses a value that is not computed before",
            ),
            (
                lambda self, x, y, z: ([self.entry((x, x), (x,))], [x], [x]),
                "computes a value that exists already",
            ),
            (
                lambda self, x, y, z: ([self.entry((x,), (y,))], [x], [y]),
                "takes 2 inputs, has 1",
            ),
            (
                lambda self, x, y, z: ([self.entry((x, x), (y,), {"axis": 0})], [x], [y]),
                r"unknown parameters \['axis'\]",
            ),
            (lambda self, x, y, z: ([], [x], [z]), "an output is never computed"),
            (lambda self, x, y, z: ([], [x, x], [x]), "given twice"),
        ],
    )
    def test_messages(self, make, message):
        x, y, z = (Variable(slot, self.spec) for slot in range(3))
        entries, inputs, outputs = make(self, x, y, z)
        with pytest.raises(ad.TapeError, match=message):
            Tape(entries, inputs, outputs)

    def test_a_valid_one_passes(self):
        x, y = Variable(0, self.spec, "x"), Variable(2, self.spec)
        tape = Tape([self.entry((x, Constant(1, 1.0)), (y,))], [x], [y])
        np.testing.assert_array_equal(tape.evaluate(np.zeros(2)), np.ones(2))


def test_names_are_unique():
    x, y = (Variable(slot, TestCheck.spec, "x") for slot in range(2))
    tape = Tape([], [x, y], [x])
    assert str(tape).startswith("tape(x: float64[2], x_2: float64[2])")
    many = ad.record(lambda x: list(itertools.accumulate([x] * 40)))(1.0)
    assert len(set(many.names().values())) == len(many) + 1


def test_source_lines_of_notebooks_and_files():
    assert short_source("cells/ipykernel_12/745247403.py:15") == "cell:15"
    assert short_source("/home/model.py:7") == "model.py:7"
    assert short_source(None) == ""
