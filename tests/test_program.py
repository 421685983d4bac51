"""Running tapes: functions called directly on arrays, primitives on Tensors, memory used again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from allocation import traced

import autodiff as ad
from autodiff.core.memory import LARGE
from autodiff.core.primitive import Primitive
from autodiff.errors import TapeError
from autodiff.tape.program import Program


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls of the primitives of these tests through their entries, by name."""
    counted: Counter[str] = Counter()
    for name in ("multiply", "sin", "sum", "add", "cos"):
        primitive = ad.REGISTRY[name]

        def counting(
            *args: Any, _name: str = name, _call: Any = primitive.call, **params: Any
        ) -> Any:
            counted[_name] += 1
            return _call(*args, **params)

        monkeypatch.setattr(primitive, "call", counting)
    return counted


def loss(x: Any) -> Any:
    return np.sum(np.sin(x) * x)


class TestDirectCalls:
    def test_plain_arrays_pass_no_entry(self, calls):
        tape = ad.record(ad.grad(loss))(np.ones(3))
        calls.clear()
        found = tape.evaluate(np.arange(3.0))
        assert not calls
        np.testing.assert_array_equal(found, ad.grad(loss)(np.arange(3.0)))

    def test_tensors_do(self, calls):
        tape = ad.record(loss)(np.ones(3))
        calls.clear()
        found = ad.grad(tape.evaluate)(np.arange(3.0))
        assert {"sin", "multiply", "sum"} <= calls.keys()
        np.testing.assert_array_equal(found, ad.grad(loss)(np.arange(3.0)))

    def test_a_tape_over_outer_tensors_differentiates_through_them(self):
        def through_constant(w):
            tape = ad.record(lambda x: np.sum(x * w))(np.ones(3))
            return tape.evaluate(np.array([1.0, 2.0, 3.0]))

        np.testing.assert_array_equal(ad.grad(through_constant)(np.ones(3)), [1.0, 2.0, 3.0])

    def test_functions_made_primitives_are_called(self):
        @ad.checkpoint
        def squared(x):
            return x * x

        tape = ad.record(lambda x: np.sum(squared(x)))(np.ones(2))
        assert tape.evaluate(np.array([3.0, 4.0])) == 25.0

    def test_complex_constants_keep_single_precision(self):
        tape = ad.record(lambda x: x * 2j)(np.float32(1.0))
        assert tape.evaluate(np.float32(3.0)).dtype == np.complex64

    def test_several_outputs(self):
        x = np.array([[2.0, 1.0], [0.0, 3.0]])
        tape = ad.record(lambda x: tuple(np.linalg.svd(x)))(np.eye(2))
        for ours, numpys in zip(tape.evaluate(x), np.linalg.svd(x), strict=True):
            np.testing.assert_allclose(ours, numpys)

    def test_a_single_output_in_a_tuple(self):
        alone = Primitive(
            lambda x: (2 * x,), "general", {"vjp_x": lambda g: (2 * g[0],)}, name="alone"
        )
        tape = ad.record(lambda x: alone(x)[0] + 1.0)(3.0)
        assert tape.evaluate(4.0) == 9.0


class TestWhatIsSaid:
    def test_errors_name_the_primitive_and_its_inputs(self):
        @ad.elementwise(d_x=1.0)
        def only_small(x):
            if np.any(x > 5):
                raise ValueError("too large")
            return x * 1.0

        tape = ad.record(lambda x: only_small(x + 1.0))(np.ones(2))
        with pytest.raises(ValueError, match=r"only_small\(float64\[2\]\): too large$"):
            tape.evaluate(np.full(2, 7.0))
        with pytest.raises(ValueError, match=r"only_small\(float64\[2\]\): too large$"):
            ad.grad(lambda x: np.sum(tape.evaluate(x)))(np.full(2, 7.0))

    def test_guards_hold(self):
        def f(x):
            y = x * 2
            return y if y > 0 else -y

        tape = ad.record(f)(1.0)
        assert tape.evaluate(2.0) == 4.0
        with pytest.raises(TapeError, match="took bool"):
            tape.evaluate(-2.0)


class TestPlaces:
    def test_a_chain_needs_few(self):
        def chain(x):
            for _ in range(50):
                x = np.sin(x) * 1.5
            return x

        tape = ad.record(chain)(np.ones(3))
        program = Program.compact(tape)
        memory = program.run([np.ones(3)])
        assert len(tape.slots) > 100
        assert len(memory) == 2  # the constant, and the one value at hand

    def test_outputs_and_values_that_nothing_uses_keep_apart(self):
        def f(x):
            np.cos(x)
            y = np.sin(x)
            np.exp(y)
            return y, y * 2, x

        tape = ad.record(f)(1.0)
        assert tape.evaluate(2.0) == (np.sin(2.0), np.sin(2.0) * 2, 2.0)

    def test_large_values_go_after_their_last_use(self):
        size = 64 * LARGE // 8

        def f(x):
            y = x * 2.0
            z = y * 3.0
            total = np.sum(y * z)  # y and z and their product go here
            for _ in range(10):
                total = total + np.sum(x * 5.0)
            return total

        x = np.ones(size)
        x.setflags(write=False)
        tape = ad.record(f)(x)
        tape.evaluate(x)
        with traced() as memory:
            tape.evaluate(x)
        assert memory.peak < 3.5 * x.nbytes


def test_evaluations_do_not_share_memory() -> None:
    tape = ad.record(lambda x: np.sin(x) * 2.0)(np.ones(3))
    first = tape.evaluate(np.ones(3))
    second = tape.evaluate(np.zeros(3))
    np.testing.assert_array_equal(first, 2.0 * np.sin(np.ones(3)))
    np.testing.assert_array_equal(second, np.zeros(3))
