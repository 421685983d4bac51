"""What recording costs, in calls and looks: never in times."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.core.modes import modes
from autodiff.core.primitive import Primitive
from autodiff.interpret import sweep
from autodiff.interpret.graph import Hooks
from autodiff.interpret.reverse import Reverse
from autodiff.tape import calls
from autodiff.tape.constants import Interner
from autodiff.tape.ir import Tape
from autodiff.tape.staging import Stage


def chain(x: Any) -> Any:
    for _ in range(50):
        x = np.sin(x) * 1.5 + x
    return x


def pickled(tape: Tape) -> Any:
    return pickle.loads(pickle.dumps(tape))


def counting(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, inputs: list[Any]
) -> list[Any]:
    """Note each call of a method: the primitive, if there is one."""
    method = getattr(owner, name)

    def noted(self: Any, *args: Any, **keywords: Any) -> Any:
        inputs.append(args[0] if args else None)
        return method(self, *args, **keywords)

    monkeypatch.setattr(owner, name, noted)
    return inputs


class TestWayOfAnOperation:
    def test_recording_switches_no_mode_on(self):
        seen = []

        def f(x):
            seen.append(modes.open)
            return ad.grad(lambda y: y * y)(x)

        former = modes.open
        ad.record(f)(2.0)
        assert seen == [former]

    def test_reverse_mode_keeps_to_its_fast_path(self, monkeypatch):
        gradient = ad.record(ad.grad(chain))
        gradient(0.5)
        noted: list[Any] = counting(monkeypatch, Reverse, "process", [])
        gradient(0.5)
        assert not noted

    def test_stage_keeps_to_its_own(self, monkeypatch):
        noted: list[Any] = counting(monkeypatch, Stage, "process", [])
        tape = ad.record(ad.grad(chain))(0.5)
        assert len(tape) > 200
        assert not noted

    def test_numbers_are_interned_without_a_look_at_their_bits(self, monkeypatch):
        noted: list[Any] = counting(monkeypatch, Interner, "intern", [])
        ad.record(lambda x: chain(x) * np.float32(2.0) + np.float32(2.0))(0.5)
        assert len(noted) == 2  # 1.5 and 2.0, once each

    def test_cotangents_below_a_recorder_need_no_mending(self, monkeypatch):
        mended: list[str] = []
        conform = sweep.conform

        def noted(cotangent: Any, *rest: Any) -> Any:
            mended.append(type(cotangent).__name__)
            return conform(cotangent, *rest)

        monkeypatch.setattr(sweep, "conform", noted)
        ad.record(ad.grad(chain))(0.5)
        ad.record(ad.grad(lambda x: np.sum(chain(x))))(np.ones(3))
        assert not mended


class TestLooksAtTheStack:
    def test_a_loop_in_one_call_is_followed_once(self, monkeypatch):
        noted: list[Any] = counting(monkeypatch, calls.Calls, "_follow", [])
        tape = ad.record(chain)(0.5)
        assert len(tape) == 150
        assert len(noted) == 1

    def test_a_sweep_is_followed_once(self, monkeypatch):
        noted: list[Any] = counting(monkeypatch, calls.Calls, "_follow", [])
        tape = ad.record(ad.grad(chain))(0.5)
        assert len(tape) > 300
        assert len(noted) == 2

    def test_depth_costs_nothing(self, monkeypatch):
        looked: list[Any] = []
        table = calls._codes

        class Noting(dict[int, Any]):
            def get(self, key: int, default: Any = None) -> Any:
                looked.append(key)
                return table.get(key, default)

        monkeypatch.setattr(calls, "_codes", Noting())

        def at_depth(depth: int) -> int:
            def deep(x: Any, left: int) -> Any:
                return deep(x, left - 1) if left else chain(x)

            ad.record(lambda x: deep(x, depth))(0.5)  # learns the code
            looked.clear()
            tape = ad.record(lambda x: deep(x, depth))(0.5)
            return len(looked) // len(tape)

        assert at_depth(200) <= at_depth(0) + 5

    def test_a_generator_has_the_scope_of_whoever_resumes_it(self):
        def steps(x):
            while True:
                x = x * 2
                yield x

        def one(source):
            return next(source) + 1

        def other(source):
            return next(source) + 3

        def f(x):
            source = steps(x)
            return one(source) + other(source) + one(source)

        tape = ad.record(f)(1.0)
        scopes = [entry.scope.path for entry in tape if entry.primitive.name == "multiply"]
        assert scopes == [("one", "steps"), ("other", "steps"), ("one", "steps")]

    def test_a_rule_of_the_users_is_seen_within_the_sweep(self):
        def helper(x):
            return 3 * x * x

        def rule(g, x):
            return g * helper(x)

        cube = Primitive(lambda x: x**3, "elementwise", {"d_x": rule}, name="cubed")
        tape = ad.record(ad.grad(lambda x: np.sum(cube(x)) + np.sum(cube(x) * 2.0)))(np.ones(2))
        lines = {entry.source for entry in tape if entry.pulls is not None}
        code = helper.__code__
        assert f"{code.co_filename}:{code.co_firstlineno + 1}" in lines
        assert None in lines  # the sweep itself was not called from the recorded function

    def test_a_hook_is_seen_within_the_sweep(self):
        def doubled(g):
            return g * 2.0

        def loss(x):
            y = np.sin(x)
            y.register_hook(doubled)
            return np.sum(y * y)

        tape = ad.record(ad.grad(loss))(np.ones(2))
        line = f"{doubled.__code__.co_filename}:{doubled.__code__.co_firstlineno + 1}"
        assert [entry.source for entry in tape].count(line) == 1

    def test_a_sweep_asks_for_its_line_once(self, monkeypatch):
        monkeypatch.setattr(Hooks, "exist", False)  # of other tests
        asked: list[Any] = counting(monkeypatch, calls.Calls, "here", [])
        tape = ad.record(ad.grad(chain))(0.5)
        forward = [entry for entry in tape if entry.pulls is None]
        assert len(tape) > 2 * len(forward)
        assert len(asked) <= len(forward) + 1

    def test_the_line_of_a_sweep_is_that_of_its_call(self):
        def f(x):
            first = ad.grad(lambda y: np.sum(np.sin(y)))(x)
            second = ad.grad(lambda y: np.sum(np.sin(y)))(x)
            return first + second

        tape = ad.record(f)(np.ones(2))
        line = f.__code__.co_firstlineno
        found = {e.source.rpartition(":")[2] for e in tape if e.pulls is not None}
        assert found == {str(line + 1), str(line + 2)}

    def test_code_that_comes_and_goes_is_forgotten(self, monkeypatch):
        monkeypatch.setattr(calls, "_MOST_CODES", 50)
        for number in range(40):
            scope: dict[str, Any] = {}
            exec(f"def made_{number}(x):\n    return x * {number + 2}", scope)
            tape = ad.record(lambda x, f=scope[f"made_{number}"]: f(x))(1.0)
            assert tape[0].scope.name == f"made_{number}"
        assert len(calls._codes) <= 50


class TestPuttingTogether:
    def test_waits_until_somebody_looks(self):
        tape = ad.record(chain)(0.5)
        assert "entries" not in vars(tape)
        assert len(tape) == 150
        assert {"entries", "slots", "guards"} <= vars(tape).keys()
        tape.check()

    def test_what_is_said_later_does_not_count(self):
        held: list[Any] = []

        def f(x):
            y = np.sin(x)
            held.append(y)
            return y * 2

        tape = ad.record(f)(0.5)
        ad.name(held[0], "late")
        assert held[0].item() == np.sin(0.5)
        assert tape[0].output.name is None
        assert not tape.guards

    def test_threads_that_look_first_get_one_tape(self):
        for _ in range(20):
            tape = ad.record(chain)(0.5)
            found: list[Any] = []
            start = threading.Barrier(4)

            def look(tape: Tape = tape, start: Any = start, found: list[Any] = found) -> None:
                start.wait()
                found.append((tape.entries, tape.inputs, tape.slots))

            threads = [threading.Thread(target=look) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert all(
                one is other for parts in found for one, other in zip(parts, found[0], strict=True)
            )

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
    def test_copies_of_a_tape_nobody_looked_at(self, duplicate: Callable[[Tape], Tape]) -> None:
        tape = ad.record(np.sin)(0.5)
        assert duplicate(tape).evaluate(1.0) == np.sin(1.0)

    def test_no_such_attribute(self):
        tape = ad.record(np.sin)(0.5)
        assert not hasattr(tape, "nodes")
        with pytest.raises(AttributeError, match="'Tape' object has no attribute 'nodes'"):
            tape.nodes  # noqa: B018


def test_a_broadcast_constant_and_its_copy_are_one() -> None:
    wide = np.broadcast_to(2.0, (3,))
    interner = Interner()
    kept = interner.intern(wide)
    assert interner.intern(np.full(3, 2.0)) is kept
    assert interner.intern(wide) is kept
    other = Interner()
    plain = other.intern(np.full(3, 2.0))
    assert other.intern(wide) is plain


@pytest.mark.parametrize("size", [3, 4000])
def test_what_was_kept_is_found_by_itself(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    interner = Interner()
    array = np.arange(float(size))
    kept = interner.intern(array)
    for name in ("_small", "_large"):
        noted: list[Any] = counting(monkeypatch, Interner, name, [])
        assert interner.intern(kept) is kept
        assert not noted
    array[0] = 5.0
    assert interner.intern(array) is not kept
    assert kept[0] == 0.0


@pytest.mark.parametrize("order", ["C", "F"])
def test_orders_of_memory_stay_apart(order: Any) -> None:
    interner = Interner()
    first = interner.intern(np.ones((2, 3), order=order))
    other = interner.intern(np.ones((2, 3), order="F" if order == "C" else "C"))
    assert first is not other
    assert first.strides != other.strides


class TestNamesOfInputs:
    """Names are those that ``inspect.signature`` tells."""

    @staticmethod
    def names(f: Any, *xs: Any) -> list[str | None]:
        return [variable.name for variable in ad.record(f)(*xs).inputs]

    def test_of_functions_and_transforms_of_them(self):
        def f(a, /, b, *rest, c=1.0):
            return a * b * c

        assert self.names(f, 1.0, 2.0) == ["a", "b"]
        assert self.names(f, 1.0, 2.0, 3.0) == ["a", "b", "x2"]
        assert self.names(ad.grad(ad.grad(f)), 1.0, 2.0) == ["a", "b"]
        assert self.names(ad.vmap(ad.grad(f)), np.ones(2), np.ones(2)) == ["a", "b"]

    def test_of_what_is_none(self):
        class Scaled:
            def __call__(self, t):
                return t * 2

            def method(self, s):
                return s * 2

        @functools.wraps(np.sin)
        def wrapped(*args):
            return np.sin(*args)

        def signed(*args):
            return args[0] * 2

        signed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter("told", inspect.Parameter.POSITIONAL_ONLY)]
        )
        assert self.names(Scaled(), 1.0) == ["t"]
        assert self.names(ad.grad(Scaled().method), 1.0) == ["s"]
        assert self.names(functools.partial(lambda a, b: a * b, 2.0), 1.0) == ["b"]
        assert self.names(signed, 1.0) == ["told"]
        assert self.names(wrapped, 1.0) == self.names(np.sin, 1.0)

    def test_of_leaves(self):
        assert self.names(lambda p, q: p["a"][1] * q, {"a": [1.0, 2.0]}, 3.0) == [
            "p['a'][0]",
            "p['a'][1]",
            "q",
        ]
        assert self.names(lambda p, q: q * 1.0, None, 3.0) == ["q"]
        assert self.names(lambda p, q: q[0] * 1.0, (), [3.0]) == ["q[0]"]
        assert self.names(lambda p, q: p[0] * 1.0, [3.0], ()) == ["p[0]"]
