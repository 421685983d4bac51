"""The tape as an intermediate representation: slots, constants, signature, rewriting, calls."""

import copy
import gc
import pickle

import numpy as np
import pytest

import autodiff as ad
from autodiff.core import arrays, memory
from autodiff.core.spec import Spec
from autodiff.tape import constants as constants_module
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.constants import Interner
from autodiff.tape.entries import Constant, Variable
from autodiff.tape.ir import Tape

NUMBER = Spec((), np.dtype(float))


def constants(tape):
    return [slot for slot in tape.slots if isinstance(slot, Constant)]


def names(tape):
    return [entry.primitive.name for entry in tape]


class TestSlots:
    def test_every_value_has_its_number(self):
        tape = ad.record(lambda x: np.sum(np.sin(x) * 2.0 + x))(np.ones(3))
        assert [slot.slot for slot in tape.slots] == list(range(len(tape.slots)))
        for entry in tape:
            for operand in (*entry.inputs, *entry.outputs):
                assert tape.slots[operand.slot] is operand
        assert [entry.position for entry in tape] == list(range(len(tape)))

    def test_a_tape_does_not_change(self):
        tape = ad.record(lambda x: x * 2.0)(1.0)
        assert isinstance(tape.entries, tuple)
        with pytest.raises(AttributeError):
            tape[0].params = {}
        with pytest.raises(TypeError):
            tape.cotangents[tape.inputs[0]] = tape.inputs[0]
        with pytest.raises(AttributeError, match="never changes"):
            tape.entries = ()
        with pytest.raises(AttributeError, match="never changes"):
            tape[0].output.name = "y"
        tape.names().clear()
        assert len(tape.names()) == 2

    def test_two_values_of_one_slot_are_refused(self):
        x, y = Variable(0, NUMBER), Variable(0, NUMBER)
        with pytest.raises(ad.TapeError, match="given twice"):
            Tape([], [x, y], [x])
        with pytest.raises(ad.TapeError, match="two values have the slot 0"):
            Tape([], [x], [Constant(0, 1.0)])

    def test_gaps_are_refused(self):
        with pytest.raises(ad.TapeError, match="not numbered"):
            Tape([], [Variable(3, NUMBER)], [])

    def test_rules_of_entries_made_anew_are_those_of_the_tape(self):
        tape = ad.record(ad.grad(lambda x: x * x))(3.0)
        renewed = {}
        for entry in tape:
            pulls = None if entry.pulls is None else renewed[entry.pulls.position]
            renewed[entry.position] = entry._replace(source="model.py:1", pulls=pulls)
        again = Tape(list(renewed.values()), tape.inputs, tape.outputs)
        for entry in again:
            assert entry.pulls is None or entry.pulls is again[entry.pulls.position]


class TestConstants:
    def test_one_array_is_kept_once(self):
        c = np.arange(1000.0)
        tape = ad.record(lambda x: sum(x * c for _ in range(10)))(np.ones(1000))
        assert len([k for k in constants(tape) if k.spec.shape == (1000,)]) == 1

    def test_equal_arrays_made_anew_are_one(self):
        tape = ad.record(lambda x: [x * np.arange(3.0) for _ in range(4)])(np.ones(3))
        assert len(constants(tape)) == 1

    def test_an_array_that_changes_between_two_uses_is_two(self):
        c = np.ones(3)

        def f(x):
            y = x * c
            c[1] = 5.0
            return y + x * c

        tape = ad.record(f)(np.ones(3))
        np.testing.assert_array_equal(tape.evaluate(np.ones(3)), [2.0, 6.0, 2.0])
        assert len(constants(tape)) == 2

    @pytest.mark.parametrize(
        "pair",
        [
            (1, 1.0),
            (1, True),
            (0.0, -0.0),
            (1.0, np.float64(1.0)),
            (np.float32(1.0), np.float64(1.0)),
            (np.zeros(2), -np.zeros(2)),
            (np.ones(2), np.ones(2, np.float32)),
            (np.ones((2, 3)), np.ones((2, 3), order="F")),
            (np.ones((1, 2)), np.ones((2, 1))),
            (np.arange(100.0), np.arange(100.0) + (np.arange(100) == 51)),
            (np.ones(3, complex), np.ones(3, complex) * (1 + 0j).conjugate() + 1e-300j),
        ],
    )
    def test_what_differs_stays_apart(self, pair):
        interner = Interner()
        first, second = (interner.intern(value) for value in pair)
        assert first is not second
        assert type(second) is type(pair[1])

    @pytest.mark.parametrize(
        "make",
        [
            lambda: np.array([np.nan, 1.0]),
            lambda: np.array([1 + 2j, np.nan]),
            lambda: np.array(3),
            lambda: np.zeros((0, 3)),
            lambda: np.arange(12.0).reshape(3, 4)[:, ::2],
            lambda: np.array([True, False]),
            lambda: np.longdouble([1, 2]),
            lambda: np.float16(2.0),
            lambda: float("1e300"),
            lambda: 10**20,
            lambda: 2.0 + 1j,
        ],
    )
    def test_what_is_equal_is_one(self, make):
        interner = Interner()
        assert interner.intern(make()) is interner.intern(make())

    def test_numbers_of_a_class_of_their_own_are_told_apart_by_value(self):
        class Quantity(float):
            def __repr__(self):
                return "quantity"

        tape = ad.record(lambda x: x * Quantity(2) + x * Quantity(3))(1.0)
        assert tape.evaluate(1.0) == 5.0

    def test_the_sign_of_nan_is_kept(self):
        f = lambda x: (np.copysign(x, np.nan), np.copysign(x, -np.nan))  # noqa: E731
        assert ad.record(f)(1.0).evaluate(1.0) == (1.0, -1.0)

    def test_many_arrays_that_differ_in_one_place(self, monkeypatch):
        compared = []
        same = constants_module.same_content
        monkeypatch.setattr(
            constants_module, "same_content", lambda *pair: compared.append(pair) or same(*pair)
        )
        interner = Interner()
        vectors = np.eye(200)
        first = [interner.intern(row) for row in vectors]
        again = [interner.intern(row) for row in vectors]
        assert all(a is b for a, b in zip(first, again, strict=True))
        assert len({id(row) for row in first}) == 200
        assert len(compared) < 20 * 200

    def test_reverse_mode_keeps_one_copy_of_a_large_array(self):
        c = np.arange(float(memory.SHARED))
        w = ad.Tensor(np.ones(memory.SHARED))
        products = [w * c for _ in range(3)]
        kept = [product._payload.saved for product in products]
        copies = {id(value) for saved in kept for value in saved if arrays.has_memory(value)}
        assert len(copies) == 1
        c[7] = -1.0
        changed = w * c
        np.sum(products[0] + changed).backward()
        np.testing.assert_array_equal(w.grad[6:9], [12.0, 6.0, 16.0])

    def test_the_copy_goes_with_the_tapes_that_keep_it(self):
        c = np.arange(float(memory.SHARED))
        before = len(memory._copies)
        ad.grad(lambda x: np.sum(x * c))(np.ones(memory.SHARED))
        gc.collect()
        assert len(memory._copies) <= before

    def test_memory_used_again_gives_no_former_copy(self):
        size = memory.SHARED // 8
        buffer = np.zeros(size)
        views = [buffer, buffer.view("i8"), buffer.view(">f8"), buffer[::-1], buffer[: size // 2]]
        copies = [memory.protected(view) for view in views]
        buffer[:] = np.arange(size)
        again = [memory.protected(view) for view in views]
        for view, copy_, renewed in zip(views, copies, again, strict=True):
            assert renewed.dtype == view.dtype
            assert not copy_.any()
            np.testing.assert_array_equal(renewed, view)
        assert memory.protected(buffer) is again[0]
        for value in range(50):
            fresh = np.full(size, float(value))
            kept = memory.protected(fresh)
            del fresh  # its memory is given to the next one
            assert (kept == value).all()

    def test_small_arrays_are_copied_without_a_look(self):
        array = np.ones(memory.SHARED // 8 - 1)
        assert memory.protected(array) is not memory.protected(array)


class TestSignature:
    def test_equal_for_one_structure(self):
        f = lambda x: np.sum(np.tanh(x) * np.array([1.0, 2.0]), axis=0)  # noqa: E731
        one, other = ad.record(f)(np.ones(2)), ad.record(f)(np.zeros(2))
        assert one.signature == other.signature
        assert hash(one.signature) == hash(other.signature)

    @pytest.mark.parametrize(
        ("f", "g"),
        [
            (np.sin, np.cos),
            (lambda x: np.sum(x, axis=0), lambda x: np.sum(x, axis=1)),
            (lambda x: x * 2.0, lambda x: x * 2),
            (lambda x: (x * x) + x, lambda x: x + (x * x)),
            (lambda x: x[0], lambda x: x[1]),
            (lambda x: x[np.array([0, 1])], lambda x: x[np.array([1, 0])]),
            (lambda x: (x, np.sin(x)), lambda x: (np.sin(x), x)),
            (ad.checkpoint(lambda x: np.sin(x)), ad.checkpoint(lambda x: np.cos(x))),
            (ad.checkpoint(np.sin), ad.checkpoint(np.cos)),
        ],
    )
    def test_tells_programs_apart(self, f, g):
        x = np.ones((2, 2))
        assert ad.record(f)(x).signature != ad.record(g)(x).signature

    def test_shapes_and_dtypes_count(self):
        signatures = {
            ad.record(np.sin)(x).signature
            for x in (np.ones(2), np.ones(3), np.ones(2, np.float32), 1.0)
        }
        assert len(signatures) == 4


class TestRewriting:
    def test_dead_code_goes_and_guards_stay(self):
        def f(x):
            np.cos(x)
            if np.sum(x) > 0:
                return ad.name(np.sin(x), "kept") * 2.0
            return x

        tape = ad.record(f)(np.ones(2))
        short = tape.pruned()
        assert names(short) == ["sum", "greater", "sin", "multiply"]
        assert [v.name for v in short.variables] == [
            *["x" if v.name == "x" else v.name for v in tape.inputs],
            None,
            None,
            "kept",
            None,
        ]
        assert short[2].source == tape[3].source
        np.testing.assert_array_equal(short.evaluate(np.ones(2)), tape.evaluate(np.ones(2)))
        with pytest.raises(ad.TapeError, match="bool"):
            short.evaluate(-np.ones(2))

    def test_the_old_tape_stays(self):
        tape = ad.record(lambda x: (np.sin(x), np.cos(x))[1])(1.0)
        before = str(tape)
        tape.pruned()
        assert str(tape) == before

    def test_backward_operations_stay_backward(self):
        tape = ad.record(ad.grad(lambda x: np.sum(np.sin(x))))(np.ones(2))
        short = tape.pruned()
        assert "sum" not in names(short)
        backward = [entry for entry in short if entry.pulls is not None]
        assert len(backward) == len([entry for entry in tape if entry.pulls is not None])
        for entry in backward:
            assert entry.pulls.position == -1 or entry.pulls is short[entry.pulls.position]
        assert "backward sweep" in str(short)
        assert short.to_dot()
        assert short.to_html()
        assert short.cotangents

    def test_part_from_the_middle(self):
        tape = ad.record(lambda x: np.sum(np.tanh(x) * np.array([2.0, 3.0])))(np.ones(2))
        part = tape.subtape([tape[2].output], [tape[0].output])
        assert names(part) == ["multiply", "sum"]
        assert part.evaluate(np.ones(2)) == 5.0
        several = tape.subtape([tape[0].output, tape[2].output])
        assert len(several.evaluate(np.zeros(2))) == 2
        with pytest.raises(ad.TapeError, match="neither an input nor computed"):
            tape.subtape([tape[1].output], [tape[2].output])

    def test_replacement_by_a_tape(self):
        tape = ad.record(lambda x: np.sum(np.square(x) * 3.0))(np.ones(2))
        by_hand = ad.record(lambda x: x * x)(np.ones(2))
        other = tape.replace({0: by_hand})
        assert names(other) == ["multiply", "multiply", "sum"]
        assert other[0].source == by_hand[0].source
        assert other[0].scope is tape[0].scope
        assert other.evaluate(np.array([1.0, 2.0])) == 15.0

    def test_replacement_by_a_value(self):
        tape = ad.record(lambda x: np.positive(np.sin(x)) + 1.0)(0.5)
        short = tape.replace({1: tape[0].output}).pruned()
        assert names(short) == ["sin", "add"]
        constant = next(iter(constants(tape)))
        assert tape.replace({1: constant}).pruned().evaluate(7.0) == 2.0

    @pytest.mark.parametrize("shape", [(3,), ()])
    def test_replacements_must_fit(self, shape):
        tape = ad.record(np.sin)(np.ones(2))
        with pytest.raises(ad.TapeError, match=r"replace: sin takes float64\[2\]"):
            tape.replace({0: ad.record(np.sin)(np.ones(shape))})
        wrong = ad.record(lambda x: np.sum(np.cos(x)))(np.ones(2))
        with pytest.raises(ad.TapeError, match="replace"):
            tape.replace({0: wrong})

    def test_a_value_computed_later_is_refused(self):
        tape = ad.record(lambda x: np.sin(np.cos(x)))(1.0)
        with pytest.raises(ad.TapeError, match="before it is used"):
            tape.replace({0: tape[1].output})

    def test_values_of_other_tapes_and_operations_that_are_not_there_are_refused(self):
        tape, other = (ad.record(lambda x, y: np.positive(x) + y)(1.0, 2.0) for _ in range(2))
        with pytest.raises(ad.TapeError, match=r"replace: .* no value of this tape"):
            tape.replace({0: other.inputs[1]})
        with pytest.raises(ad.TapeError, match=r"subtape: .* no value of this tape"):
            tape.subtape(other.outputs)
        with pytest.raises(ad.TapeError, match=r"subtape: .* no value of this tape"):
            tape.subtape(tape.outputs, other.inputs)
        with pytest.raises(ad.TapeError, match=r"subtape: .* no value of this tape"):
            tape.subtape([Constant(0, 1.0)])
        for position in (-1, 2):
            with pytest.raises(ad.TapeError, match=f"no operation has the position {position}"):
                tape.replace({position: tape.inputs[0]})

    def test_a_value_keeps_its_name_in_another_place(self):
        tape = ad.record(lambda x: ad.name(np.positive(ad.name(np.sin(x), "s")), "p") + 1.0)(0.5)
        assert [v.name for v in tape.replace({1: tape[0].output}).variables] == ["x", "s", None]
        assert [v.name for v in tape.replace({1: tape.inputs[0]}).variables] == ["x", "s", None]
        by_hand = ad.record(lambda x: ad.name(x * 1.0, "own"))(0.5)
        assert [v.name for v in tape.replace({1: by_hand}).variables] == ["x", "s", "p", None]

    def test_rules_of_a_replaced_operation_belong_to_nothing(self):
        tape = ad.record(ad.grad(lambda x: np.sum(np.positive(np.sin(np.cos(x))))))(np.ones(2))
        sine = next(entry for entry in tape if entry.primitive.name == "sin")
        other = tape.replace({sine.position: sine.inputs[0]})
        rules = [entry.pulls for entry in tape if entry.pulls is not None]
        assert any(rule is sine for rule in rules)
        replaced = [
            e.pulls for e in other if e.pulls is not None and e.pulls.primitive.name == "sin"
        ]
        assert replaced
        assert all(rule.position == -1 for rule in replaced)

    def test_rules_of_nothing_stay_so_when_they_are_put_in(self):
        f = lambda x, y: ad.grad(lambda x: np.sum(np.sin(x)))(x) + y  # noqa: E731
        part = ad.record(f)(np.ones(2), np.ones(2)).pruned()
        tape = ad.record(lambda x, y: np.exp(x) + np.cos(y))(np.ones(2), np.ones(2))
        other = tape.replace({2: part})
        pulls = [entry.pulls for entry in other if entry.primitive.name == "cos"]
        assert [None if p is None else (p.primitive.name, p.position) for p in pulls] == [
            None,
            ("sin", -1),
        ]

    def test_a_part_keeps_what_was_looked_at_on_the_way(self):
        def f(x):
            y = x * 2.0 if np.sum(x) > 0 else x * 3.0
            return (y, y * 2.0 if np.sum(y) < 9 else y)

        tape = ad.record(f)(np.ones(2))
        part = tape.subtape([tape.outputs[0]])
        assert [guard.source for guard in part.guards] == [tape.guards[0].source]
        assert "less" not in names(part)
        with pytest.raises(ad.TapeError, match="bool"):
            part.evaluate(-np.ones(2))

    def test_guards_of_what_is_put_in_come_along(self):
        part = ad.record(lambda x: x * 2.0 if x > 0 else x * 3.0)(1.0)
        tape = ad.record(np.sin)(1.0)
        other = tape.replace({0: part})
        assert other.evaluate(2.0) == 4.0
        with pytest.raises(ad.TapeError, match="bool"):
            other.evaluate(-2.0)

    def test_a_constant_that_was_looked_at(self):
        part = ad.record(lambda x, y: x * y.item())(1.0, 2.0)
        assert [guard.variable for guard in part.guards] == [part.inputs[1]]
        tape = ad.record(lambda x: (x + np.float64(2.0), x + np.float64(3.0)))(1.0)
        other = tape.replace({0: part})
        assert not other.guards
        assert other.evaluate(2.0) == (4.0, 5.0)
        with pytest.raises(ad.TapeError, match="would have gone another way"):
            tape.replace({1: part})
        flag = ad.record(lambda x: (x > 0, x * 2.0 if x > 0 else x))(1.0)
        positive = next(entry for entry in flag if entry.output is flag.guards[-1].variable)
        yes, no = (ad.record(lambda x, y, z=z: z)(1.0, 0) for z in (np.True_, np.False_))
        assert len(flag.replace({positive.position: yes}).guards) == len(flag.guards) - 1
        with pytest.raises(ad.TapeError, match="would have gone another way"):
            flag.replace({positive.position: no})

    def test_copies_and_pickles(self):
        tape = ad.record(ad.grad(lambda x: np.sum(np.sin(x) * np.array([1.0, 2.0]))))(np.ones(2))
        for other in (copy.copy(tape), copy.deepcopy(tape), pickle.loads(pickle.dumps(tape))):
            assert str(other) == str(tape)
            assert other.signature == tape.signature
            np.testing.assert_array_equal(other.evaluate(np.zeros(2)), [1.0, 2.0])
            assert len(other.gradients()) == len(tape.gradients())

    def test_rewriting_keeps_arguments_and_containers(self):
        tape = ad.record(lambda p: {"a": p["x"] * 2})({"x": np.ones(2)})
        again = tape.pruned()
        assert again.evaluate({"x": np.ones(2)})["a"].tolist() == [2.0, 2.0]
        assert list(again.values()) == list(again.variables)


class TestCalls:
    def test_a_checkpoint_holds_its_tape(self):
        w = np.array([1.0, 2.0])
        f = ad.checkpoint(lambda x: np.tanh(x) * w)
        tape = ad.record(lambda x: np.sum(f(x)))(np.ones(2))
        assert len(tape) == 2
        held = tape.callee(tape[0])
        assert names(held) == ["tanh", "multiply"]
        assert tape.callee(tape[0]) is held
        assert tape.callee(tape[1]) is None

    def test_inlined_computes_the_same(self):
        inner = ad.checkpoint(np.sin)
        outer = ad.checkpoint(lambda x: inner(x) * x)
        tape = ad.record(lambda x: np.sum(outer(x)))(np.ones(3))
        flat = tape.inlined()
        assert names(flat) == ["sin", "multiply", "sum"]
        assert flat[0].scope.path == ("<lambda>", "sin")
        x = np.array([0.1, 0.2, 0.3])
        assert flat.evaluate(x) == tape.evaluate(x)

    def test_inlined_keeps_what_a_call_looked_at(self):
        f = ad.checkpoint(lambda x: x * 2.0 if np.sum(x) > 0 else x * 3.0)
        tape = ad.record(f)(1.0)
        assert tape.evaluate(-1.0) == -3.0
        with pytest.raises(ad.TapeError, match="bool"):
            tape.inlined().evaluate(-1.0)

    def test_one_run_serves_all_calls(self):
        runs = []

        def f(x):
            runs.append(x)
            return np.tanh(x)

        def program(x):
            for _ in range(20):
                x = ad.checkpoint(f)(x)
            return x

        tape = ad.record(program)(1.0)
        runs.clear()
        assert len(tape.inlined()) == 20
        assert len(runs) <= 3 * 20

    def test_inlined_backward_sweeps_stay_backward(self):
        tape = ad.record(ad.grad(lambda x: np.sum(ad.checkpoint(np.sin)(x))))(np.ones(3))
        assert any(name.endswith(".vjp") for name in names(tape))
        flat = tape.inlined()
        assert "cos" in names(flat)
        cosine = next(entry for entry in flat if entry.primitive.name == "cos")
        assert cosine.pulls is not None
        np.testing.assert_allclose(flat.evaluate(np.zeros(3)), np.ones(3))

    def test_a_custom_rule_holds_its_tape(self):
        f = ad.custom_vjp(lambda x: np.exp(x) + 1, lambda x: (f(x), x), lambda x, g: (g,))
        tape = ad.record(f)(1.0)
        assert names(tape.callee(tape[0])) == ["exp", "add"]

    def test_code_that_tensors_do_not_go_through_stays_a_call(self):
        f = ad.custom_vjp(
            lambda x: np.asarray([float(v) for v in x]), lambda x: (f(x), None), lambda r, g: (g,)
        )
        tape = ad.record(f)(np.ones(2))
        assert tape.callee(tape[0]) is None
        assert names(tape.inlined()) == names(tape)

    def test_inlined_keeps_the_guards_of_what_is_called(self):
        f = ad.checkpoint(lambda x: x**2 if x > 0 else -10 * x)
        flat = ad.record(f)(2.0).inlined()
        assert flat.evaluate(3.0) == 9.0
        with pytest.raises(ad.TapeError, match="bool"):
            flat.evaluate(-1.0)
        branch = ad.record(lambda x, y: x * y if x > 0 else x)(1.0, 3.0)
        tape = ad.record(lambda x: x * 3.0)(1.0).replace({0: branch})
        with pytest.raises(ad.TapeError, match="bool"):
            tape.evaluate(-1.0)

    def test_a_function_that_its_rule_calls_is_one_scope(self):
        @ad.custom_vjp
        def halved(x):
            return x * 0.5

        halved.def_vjp(lambda x: (halved(x), None), lambda r, g: (g,))
        flat = ad.record(lambda x: np.sin(halved(x)))(1.0).inlined()
        assert flat[0].scope.path == ("halved",)

    def test_shown_on_demand(self):
        f = ad.checkpoint(lambda x: np.tanh(x) * 2.0)
        tape = ad.record(lambda x: np.sum(f(x)))(np.ones(2))
        assert "tanh" not in str(tape)
        assert "tanh" in tape.listing(calls=True)
        assert "tanh" not in tape.to_dot()
        assert "tanh" in tape.to_dot(calls=True)
        assert "tanh" in tape.draw(format="dot", calls=True)
        assert '"tanh"' not in tape.to_html()
        assert '"tanh"' in tape.to_html(calls=True)

    def test_without_inputs_it_says_so(self):
        tape = ad.record(ad.checkpoint(np.sin))(1.0)
        bare = Tape(tape.entries, tape.inputs, tape.outputs)
        with pytest.raises(ValueError, match="callee"):
            bare.callee(bare[0])


def test_builder_gives_what_was_used():
    builder = TapeBuilder()
    x = builder.input(NUMBER, "x")
    builder.constant(7.0)  # looked up, never used
    (y,) = builder.emit(ad.REGISTRY["multiply"], (x, builder.constant(2.0)), (NUMBER,))
    tape = builder.finish((y,))
    assert len(tape.slots) == 3
    assert tape.evaluate(4.0) == 8.0
