"""Passes over tapes: what each leaves out, and what none may touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from registry import CASES, SMOOTH, Case, generator, like
from test_ir_properties import Drawn, moved, rich

import autodiff as ad
from autodiff import tree
from autodiff.compiler.passes import algebra, optimized, shapes
from autodiff.compiler.passes.algebra import with_simpler_algebra
from autodiff.compiler.passes.common import with_shared_subexpressions
from autodiff.compiler.passes.dead import without_dead_code
from autodiff.compiler.passes.draft import Draft
from autodiff.compiler.passes.folding import SMALL, with_folded_constants
from autodiff.compiler.passes.numbers import _WITHOUT_MINUS_ZERO, has_minus_zero
from autodiff.compiler.passes.shapes import with_fewer_moves
from autodiff.core.arrays import as_value
from autodiff.core.spec import Spec, spec_of
from autodiff.errors import TapeError
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.ir import Tape

FLOAT = np.dtype(float)
ODD = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.25, 5e-324, -1e308])
"""Numbers that arithmetic in a hurry gets wrong."""


def names(tape: Tape) -> list[str]:
    return [entry.primitive.name for entry in tape]


def same_numbers(found: Any, wanted: Any) -> None:
    """Same shapes, dtypes and bits; only which NaN it is may differ."""
    ours, theirs = tree.leaves(found), tree.leaves(wanted)
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        # Where NumPy gives an array of no axes, the number is as good, but not the other way
        assert isinstance(two, np.ndarray) or not isinstance(one, np.ndarray)
        a, b = np.array(one, order="C"), np.array(two, order="C")
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if a.dtype.kind == "c":
            same_numbers([a.real.copy(), a.imag.copy()], [b.real.copy(), b.imag.copy()])
            continue
        if a.dtype.kind == "f":
            gone = np.isnan(b)
            assert (np.isnan(a) == gone).all()
            a, b = np.where(gone, a.dtype.type(0), a), np.where(gone, b.dtype.type(0), b)
        assert a.tobytes() == b.tobytes()


def flat(tape: Tape, values: list[Any]) -> list[Any]:
    memory = tape.replay([as_value(value) for value in values])
    return [memory[output.slot] for output in tape.outputs]


def agree(tape: Tape, *others: list[Any]) -> Tape:
    """The optimised tape, once it computes the same at the recorded and at other inputs."""
    short = optimized(tape)
    short.check()
    assert [v.spec for v in short.inputs] == [v.spec for v in tape.inputs]
    assert [v.spec for v in short.outputs] == [v.spec for v in tape.outputs]
    assert (short.in_tree, short.out_tree) == (tape.in_tree, tape.out_tree)
    assert tape.arguments is not None
    with np.errstate(all="ignore"):
        same_numbers(flat(short, list(tape.arguments)), flat(tape, list(tape.arguments)))
        for values in others:
            try:
                wanted = flat(tape, values)
            except TapeError:
                with pytest.raises(TapeError, match="record again"):
                    flat(short, values)
            else:
                same_numbers(flat(short, values), wanted)
    return short


def recorded(f: Callable[..., Any], *args: Any) -> Tape:
    with np.errstate(all="ignore"):
        return ad.record(f)(*args)


# --- each pass ------------------------------------------------------------------------------------


def test_dead_code_is_what_no_output_and_no_guard_needs() -> None:
    def f(x: Any) -> Any:
        np.exp(x)
        if np.sum(np.abs(x)) > 0:
            return np.sin(x)
        return x

    tape = recorded(f, np.ones(2))
    short = without_dead_code(tape)
    assert names(short) == ["absolute", "sum", "greater", "sin"]
    assert len(short.guards) == len(tape.guards) == 1
    with pytest.raises(TapeError, match="different"):
        short.evaluate(np.zeros(2))


def test_a_tape_in_which_nothing_changes_is_itself() -> None:
    tape = recorded(lambda x: np.sin(x) * 2, 1.0)
    for change in (
        without_dead_code,
        with_shared_subexpressions,
        with_folded_constants,
        with_simpler_algebra,
        with_fewer_moves,
        optimized,
    ):
        assert change(tape) is tape


@pytest.mark.parametrize(
    ("f", "count"),
    [
        (lambda x, y: np.sin(x) + np.sin(x), 2),
        (lambda x, y: (x + y) * (y + x), 2),
        (lambda x, y: (x - y) * (y - x), 3),
        (lambda x, y: np.hypot(x, y) + np.hypot(y, x), 2),
        (lambda x, y: np.maximum(x, y) - np.maximum(y, x), 3),
        (lambda x, y: x * 1 + x * 1.0, 3),
        (lambda x, y: x * 0.0 + x * -0.0, 3),
        (lambda x, y: np.sum(x, axis=0) + np.sum(x, axis=0, keepdims=False), 2),
        (lambda x, y: np.sum(x, axis=0) + np.sum(x, axis=0, keepdims=True), 3),
        (lambda x, y: x[np.array([0, 1])] + x[np.array([0, 1])], 2),
        (lambda x, y: x[np.array([0, 1])] + x[np.array([1, 0])], 3),
        (lambda x, y: x[1:] + x[1:] + x[:-1], 4),
    ],
)
def test_common_subexpressions(f: Callable[..., Any], count: int) -> None:
    x, y = np.arange(3.0) - 1, np.arange(3.0) + 2
    tape = recorded(f, x, y)
    short = with_shared_subexpressions(tape)
    assert len(short) == count
    same_numbers(flat(short, [y, x]), flat(tape, [y, x]))


def test_calls_are_alike_only_where_they_are_one() -> None:
    def scaled(by: float) -> Callable[[Any], Any]:
        return ad.checkpoint(lambda x: x * by)

    tape = recorded(lambda x: scaled(2.0)(x) + scaled(3.0)(x), 1.0)
    assert len(tape) == 3
    assert agree(tape, [np.float64(-4.0)]) is tape


def built(
    primitive: str, inputs: list[Any], out: Spec, first: Any = None, **params: Any
) -> tuple[TapeBuilder, int]:
    """A builder with one operation on constants and, for None, the input."""
    builder = TapeBuilder()
    x = builder.input(spec_of(first), "x") if first is not None else -1
    slots = [x if value is None else builder.constant(value) for value in inputs]
    (found,) = builder.emit(ad.REGISTRY[primitive], slots, (out,), params)
    return builder, found


@pytest.mark.parametrize(
    ("primitive", "inputs", "params", "folds"),
    [
        ("multiply", [2.0, np.array([1.0, -0.0, np.nan])], {}, True),
        ("transpose", [np.ones((2, 3))], {"axes": (1, 0)}, True),
        ("divide", [np.ones(2), np.zeros(2)], {}, False),
        ("log", [np.float64(-1.0)], {}, False),
        ("exp", [np.float64(-1000.0)], {}, True),
        ("exp", [np.float64(1000.0)], {}, False),
        ("mean", [np.ones(0)], {"axis": (0,)}, False),
        ("matmul", [np.ones((2, 3)), np.ones((2, 3))], {}, False),
        ("broadcast_to", [np.float64(1.0)], {"shape": (SMALL // 8 + 1,)}, False),
        ("broadcast_to", [np.float64(1.0)], {"shape": (SMALL // 8,)}, True),
        ("negative", [np.ones(SMALL)], {}, True),
        ("inv", [np.eye(2)], {}, False),
    ],
)
def test_constants_are_folded_unless_they_are_large_or_something_is_said(
    primitive: str, inputs: list[Any], params: dict[str, Any], folds: bool
) -> None:
    with np.errstate(all="ignore"):
        try:
            wanted = ad.REGISTRY[primitive](*inputs, **params)
        except ValueError:
            wanted = np.ones(1)
        except RuntimeWarning:
            wanted = np.float64(np.nan)
    builder, slot = built(primitive, inputs, spec_of(wanted), **params)
    tape = builder.finish((slot,))
    short = with_folded_constants(tape)
    assert len(short) == (not folds)
    if folds:
        same_numbers(flat(short, []), [wanted])


def test_boxes_of_outer_transforms_are_no_constants_to_fold() -> None:
    def outer(w: Any) -> Any:
        builder = TapeBuilder()
        two = builder.emit(ad.REGISTRY["multiply"], [builder.constant(w)] * 2, (spec_of(w),))
        return optimized(builder.finish(two)).replay([])[-1] * 1.0

    assert ad.grad(outer)(3.0) == 6.0


def test_a_guard_on_what_becomes_constant_goes_or_stays() -> None:
    for seen, left in ((np.float64(2.0), 0), (np.float64(5.0), 1)):
        builder, slot = built("sqrt", [np.float64(4.0)], Spec((), FLOAT))
        builder.guard(slot, seen, ".item()", None)
        short = optimized(builder.finish((slot,)))
        assert (len(short), len(short.guards)) == (left, left)


X = ODD
with np.errstate(all="ignore"):
    SINGLE, HALF = X.astype(np.float32), X.astype(np.float16)
COMPLEX = np.array([complex(a, b) for a in ODD for b in ODD])


def power_of(exponent: float) -> Callable[[Any], Any]:
    """x ** y as the primitive, which operators do not always take."""
    return lambda x: ad.REGISTRY["power"](x, exponent)


@pytest.mark.parametrize(
    ("f", "x", "left"),
    [
        (lambda x: x * 1, X, []),
        (lambda x: 1.0 * x, X, []),
        (lambda x: x * np.ones(9), X, []),
        (lambda x: x / 1, X, []),
        (lambda x: x - 0.0, X, []),
        (lambda x: x + (-0.0), X, []),
        (lambda x: x + 0.0, X, ["add"]),
        (lambda x: x - (-0.0), X, ["subtract"]),
        (lambda x: np.exp(x) + 0.0, X, ["exp"]),
        (lambda x: 0 + np.square(x)[1:], X, ["square", "index", "add"]),
        (lambda x: 0 + np.square(x).reshape(3, 3).T, X, ["square", "reshape", "transpose"]),
        (lambda x: np.negative(-x), X, []),
        (lambda x: +x, X, []),
        (lambda x: x * -1, X, ["negative"]),
        (lambda x: (-x) * (-np.sin(x)), X, ["sin", "multiply"]),
        (lambda x: (-x) * 3.0, X, ["multiply"]),
        (lambda x: -(x * 3.0), X, ["multiply"]),
        (lambda x: -(3 / x), X, ["divide"]),
        (lambda x: -(0 / x), X, ["divide", "negative"]),
        (lambda x: -(0.0 / x), X, ["divide"]),
        (lambda x: x + (-np.sin(x)), X, ["sin", "subtract"]),
        (lambda x: (-x) + np.sin(x), X, ["sin", "subtract"]),
        (lambda x: np.sin(x) - (-x), X, ["sin", "add"]),
        (lambda x: 0.0 - x, X, ["subtract"]),
        (lambda x: -0.0 - x, X, ["negative"]),
        (lambda x: x / 4, X, ["multiply"]),
        (lambda x: x / -0.5, X, ["multiply"]),
        (lambda x: x / 3, X, ["divide"]),
        (lambda x: x / 2.0**1023, X, ["divide"]),
        (lambda x: x / np.inf, X, ["divide"]),
        (lambda x: x / 0.0, X, ["divide"]),
        (power_of(2), X, ["square"]),
        (power_of(1.0), X, []),
        (power_of(3), X, ["power"]),
        (power_of(2.0), np.float64(1.1), ["power"]),
        (lambda x: np.conjugate(x), X, []),
        (lambda x: np.real(x), X, []),
        (lambda x: np.abs(-x), X, ["absolute"]),
        (lambda x: np.square(-x), X, ["square"]),
        (lambda x: np.where(x > 0, x, x), X, []),
        (lambda x: np.maximum(x, x), X, []),
        (lambda x: x * 1, COMPLEX, ["multiply"]),
        (lambda x: x * -1, COMPLEX, ["multiply"]),
        (lambda x: x / 1, COMPLEX, ["divide"]),
        (lambda x: x / 2, COMPLEX, ["divide"]),
        (lambda x: np.negative(-x), COMPLEX, []),
        (lambda x: x + (-np.conjugate(x)), COMPLEX, ["conjugate", "subtract"]),
        (lambda x: (-x) * (-np.conjugate(x)), COMPLEX, ["conjugate", "multiply"]),
        (lambda x: np.conjugate(np.conjugate(x)), COMPLEX, []),
        (lambda x: x + -np.abs(x), COMPLEX, None),
        (lambda x: x - -np.abs(x), COMPLEX, None),
        (lambda x: (-x) * -np.abs(x), COMPLEX, None),
        (lambda x: np.conjugate(x), COMPLEX, ["conjugate"]),
        (lambda x: x * 1.0, np.arange(3), ["multiply"]),
        (lambda x: x * 1, np.arange(3), []),
        (lambda x: x + 0, np.arange(3), []),
        (lambda x: x / 2, np.arange(3), ["divide"]),
        (lambda x: x / 1, np.arange(3), ["divide"]),
        (lambda x: (-x) / 2, np.arange(3), ["negative", "divide"]),
        (lambda x: (-x) / 0, np.arange(3), ["negative", "divide"]),
        (lambda x: (-x) + x * 1j, np.arange(3), None),
        (lambda x: (-x) + np.sin(x), np.arange(3), ["negative", "sin", "add"]),
        (lambda x: (-x) * -1.5, np.arange(3), ["negative", "multiply"]),
        (lambda x: (-x) + x, np.arange(3), ["subtract"]),
        (lambda x: -(x / 2), np.arange(3), ["divide"]),
        (lambda x: (-x) + x.astype(np.int64), np.arange(-128, 3, dtype=np.int8), None),
        (lambda x: x * 1, np.array([True, False]), ["multiply"]),
        (lambda x: x * 1.0, SINGLE, []),
        (lambda x: x * np.float64(1.0), SINGLE, ["multiply"]),
        (lambda x: x * np.ones((2, 1)), X, ["multiply"]),
        (lambda x: x / 2, SINGLE, ["multiply"]),
        (lambda x: x / 2.0**127, SINGLE, ["divide"]),
        (lambda x: x / np.float64(2), SINGLE, ["divide"]),
        (lambda x: x / 2.0**15, HALF, ["divide"]),
        (lambda x: x * 1, 2.0, []),
        (lambda x: x[::2] * 1.0, X, ["index", "multiply"]),
    ],
)
def test_algebra(f: Callable[[Any], Any], x: Any, left: list[str] | None) -> None:
    tape = recorded(f, x)
    short = without_dead_code(with_simpler_algebra(tape))
    assert left is None or names(short) == left
    with np.errstate(all="ignore"):
        for values in ([x], [-x if x is X else x]):
            same_numbers(flat(short, values), flat(tape, values))
    final = agree(tape)
    assert left is None or names(final) == left


WIDE = np.arange(6.0).reshape(2, 3) - 2.5


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: x.T.T, []),
        (lambda x: np.transpose(x[None], (2, 0, 1)).transpose(1, 0, 2), ["reshape", "transpose"]),
        (lambda x: np.reshape(x, (2, 3)), []),
        (lambda x: np.reshape(np.reshape(x, 6), (2, 3)), ["reshape", "reshape"]),
        (lambda x: np.reshape(np.reshape(x, (2, 1, 3)), (2, 3)), []),
        (lambda x: np.reshape(np.reshape(x, (1, 6)), 6), ["reshape"]),
        (lambda x: np.broadcast_to(x, (2, 3)), []),
        (lambda x: np.broadcast_to(np.broadcast_to(x, (4, 2, 3)), (5, 4, 2, 3)), ["broadcast_to"]),
        (lambda x: np.broadcast_to(x[0], (2, 3)) * x, ["index", "multiply"]),
        (lambda x: np.broadcast_to(x[0], (2, 3)) * 2, ["index", "broadcast_to", "multiply"]),
        (lambda x: x[:], []),
        (lambda x: x[..., :], []),
        (lambda x: x[0:2, 0:7], []),
        (lambda x: x[::-1], ["index"]),
        (lambda x: x[:1], ["index"]),
        (lambda x: np.pad(x, 0), []),
        (
            ad.grad(lambda x: np.sum(np.sin(x[None]))),
            ["reshape", "cos", "multiply", "reshape"],
        ),
        (lambda x: ad.vjp(lambda x: x[:, None], x)[1](x[:, None])[0], []),
        (lambda x: ad.vjp(lambda x: x[:, 1:], x)[1](x[:, 1:])[0], ["index", "scatter"]),
        (lambda x: x.astype(float), []),
        (lambda x: x.astype(np.float32).astype(float), ["convert", "convert"]),
        (lambda x: x.astype(complex).astype(np.complex64), ["convert", "convert"]),
        (lambda x: x.astype(np.longdouble).astype(np.float32), ["convert"]),
        (lambda x: np.max(x[None], axis=0), []),
        (lambda x: np.sum(x[None], axis=0), ["reshape", "sum"]),
        (lambda x: np.sum(np.exp(x[:1, 1:2])), ["index", "exp", "index"]),
        (lambda x: np.max(x[0, :1]), ["index", "index"]),
        (lambda x: x[:, None, ..., None], ["reshape"]),
        (lambda x: np.sum(np.exp(x)[None], axis=0), ["exp"]),
        (lambda x: np.mean(np.square(x[:, None]), axis=1), ["reshape", "square", "reshape"]),
        (lambda x: np.sum(x, axis=()), ["sum"]),
        (lambda x: np.sum(np.exp(x), axis=()), ["exp"]),
    ],
)
def test_moves(f: Callable[[Any], Any], left: list[str]) -> None:
    for x in (WIDE, WIDE * -0.0, np.asfortranarray(WIDE)):
        tape = recorded(f, x)
        short = without_dead_code(with_fewer_moves(tape))
        assert names(short) == left
        same_numbers(flat(short, [x]), flat(tape, [x]))
        agree(tape)


# --- what comes along -----------------------------------------------------------------------------


def test_names_sources_scopes_and_rules_come_along() -> None:
    def layer(x: Any) -> Any:
        return ad.name(np.tanh(x * 1.0) + 0.0, "hidden")

    def loss(x: Any) -> Any:
        return np.sum(layer(x) * np.tanh(x))

    tape = recorded(ad.grad(loss), np.ones(3))
    short = agree(tape, [np.arange(3.0)])
    assert len(short) < len(tape)
    assert "hidden" in {variable.name for variable in short.variables}
    assert [v.name for v in short.inputs] == ["x"]
    forward = [entry for entry in short if entry.pulls is None]
    backward = [entry for entry in short if entry.pulls is not None]
    assert all(entry.source and __file__.rpartition("/")[2] in entry.source for entry in forward)
    assert any(entry.scope and "layer" in entry.scope.path for entry in forward)
    assert backward
    for entry in backward:
        rule = entry.pulls
        assert rule is not None
        assert rule.position == -1 or short[rule.position] is rule
    assert str(short).startswith("tape(")
    assert short.to_dot().startswith("digraph")


def test_cotangents_are_whole_or_not_said() -> None:
    """Of two values that have become one, neither knows what the other received."""

    def f(x: Any) -> Any:
        return np.sum(np.tanh(np.sin(x) * 2.0 + np.sin(x) * 3.0 + np.exp(x * 1.0)))

    x = np.arange(3.0)
    short = agree(recorded(ad.grad(f), x))
    known = {v.name: total for v, total in short.cotangents.items() if v.name}
    made = {entry.output: entry.primitive.name for entry in short}
    assert "exp" in [made.get(variable) for variable in short.cotangents]
    assert "sin" not in [made.get(variable) for variable in short.cotangents]
    if "x" in known:
        np.testing.assert_allclose(short.values()[known["x"]], ad.grad(f)(x))


def test_tapes_that_keep_only_the_shape_of_constants() -> None:
    w = ad.Tensor(np.arange(3.0))
    tape = np.sum(np.sin(w) * np.ones(3) + np.cos(w + np.ones(3)) * 1.0 + np.sin(w)).tape
    short = optimized(tape, reassociate=True)
    assert len(short) < len(tape)
    assert short.signature != tape.signature
    assert str(short).count("sin") == 1


def test_an_error_names_the_line_of_what_was_rewritten() -> None:
    def f(x: Any, y: Any) -> Any:
        return x + -np.log(y)

    tape = recorded(f, np.ones(3), np.ones(3))
    (difference,) = (entry for entry in optimized(tape) if entry.primitive.name == "subtract")
    assert difference.source == tape[-1].source


def test_an_output_may_be_an_input_or_another_output() -> None:
    tape = recorded(lambda x: (x * 1, np.sin(x), np.sin(x)), 2.0)
    short = optimized(tape)
    assert short.outputs[0] is short.inputs[0]
    assert short.outputs[1] is short.outputs[2]
    same_numbers(short.evaluate(0.5), tape.evaluate(0.5))


def test_values_known_to_be_no_minus_zero_are_none() -> None:
    """Of every primitive that is listed, at every sample and at zeros."""
    for case in CASES:
        if case.primitive not in _WITHOUT_MINUS_ZERO:
            continue
        for factor in (1.0, -0.0, 0.0):
            case_ = case.with_inputs(lambda x, factor=factor: np.asarray(x * factor)[()])
            out = np.asarray(case_.call(*case_.inputs))
            assert not (np.signbit(out.real) & (out.real == 0)).any(), case
    assert np.signbit(np.sum(np.array([-0.0]))) == np.False_


@pytest.mark.parametrize("value", [np.float64(-0.0), -0.0, np.array([1.0, -0.0]), 1j * 0])
def test_constants_with_a_minus_zero_are_seen(value: Any) -> None:
    builder = TapeBuilder()
    tape = builder.finish((builder.constant(value),))
    assert has_minus_zero(Draft(tape), tape.outputs[0].slot)


# --- all passes, on whatever there is -------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_primitive_computes_the_same(case: Case) -> None:
    tape = recorded(case.call, *case.inputs)
    agree(tape)


def derivatives(case: Case) -> list[Tape]:
    """Tapes of what the transforms make of a primitive."""
    rng = generator(case)
    out = case.of_active(*case.active)
    g, ts = like(rng, out), like(rng, case.active)
    batch = [np.stack([x, x]) for x in case.active]
    return [
        recorded(lambda *xs: ad.vjp(case.of_active, *xs)[1](g), *case.active),
        recorded(lambda *xs: ad.jvp(case.of_active, xs, ts), *case.active),
        recorded(ad.vmap(case.of_active), *batch),
    ]


@pytest.mark.parametrize("case", SMOOTH, ids=repr)
def test_derivatives_of_every_primitive_compute_the_same(case: Case) -> None:
    for tape in derivatives(case):
        agree(tape)


def summed(program: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p: sum(np.sum(leaf * leaf) for leaf in tree.leaves(program(p)["all"]))


TRANSFORMS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "itself": lambda f: f,
    "value and gradient": lambda f: ad.value_and_grad(summed(f)),
    "jvp": lambda f: lambda p: ad.jvp(f, (p,), (tree.map_leaves(np.ones_like, p),)),
    "vmap": lambda f: lambda p: ad.vmap(f)(tree.map_leaves(lambda x: np.stack([x, 0.5 * x]), p)),
    "jacobian": lambda f: ad.jacobian(lambda p: f(p)["last"][0]),
    "hessian": lambda f: ad.hessian(summed(f)),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@settings(max_examples=35)
@given(drawn=rich())
def test_random_programs_compute_the_same(transform: str, drawn: Drawn) -> None:
    program, inputs = drawn
    with np.errstate(all="ignore"):
        try:
            tape = ad.record(TRANSFORMS[transform](program))({"xs": list(inputs)})
        except TypeError as error:
            # It looks at a value
            if transform == "vmap" and "inside vmap" in str(error):
                return
            raise
        agree(tape, tree.leaves(moved(inputs)))
        assert optimized(optimized(tape)).signature == optimized(tape).signature


def degenerate(rng: np.random.Generator) -> tuple[Callable[..., Any], list[Any]]:
    """A program full of what the passes look for, on numbers of all kinds."""
    dtypes = [np.float64, np.float64, np.float32, np.float16, np.complex128, np.int64]
    inputs: list[Any] = []
    for _ in range(2):
        dtype = dtypes[rng.integers(len(dtypes))]
        x = rng.choice(ODD, (2, 3)) if rng.random() < 0.5 else rng.normal(size=(2, 3))
        with np.errstate(all="ignore"):
            x = np.nan_to_num(x, posinf=3, neginf=-3) if dtype is np.int64 else x
            x = x.astype(dtype)
        inputs.append(x if rng.random() < 0.8 else x[1, 2])
    numbers = [1, 1.0, -1, 0, 0.0, -0.0, 2, 0.5, -4.0, 3.0, np.float64(1), np.float32(-1)]
    numbers += [np.ones(3), np.zeros((2, 1)), -np.ones((2, 3)), np.full(3, 2.0, np.float32)]
    binary = [np.add, np.subtract, np.multiply, np.divide]
    unary: list[Callable[[Any], Any]] = [
        np.negative,
        np.positive,
        np.conjugate,
        np.real,
        np.abs,
        np.square,
        np.exp,
        np.transpose,
        lambda x: x[None],
        lambda x: np.sum(x, axis=0) if np.ndim(x) > 1 else x,
        lambda x: np.max(x, axis=0, keepdims=True) if np.ndim(x) and x.dtype != bool else x,
        lambda x: np.reshape(x, -1),
        lambda x: np.reshape(x, (-1, 1)),
        lambda x: x[...],
        lambda x: x[::2] if np.ndim(x) else x,
        lambda x: x.astype(x.dtype),
        lambda x: np.broadcast_to(x, (2, *np.shape(x))),
        lambda x: np.where(x == x, x, -x),
    ]
    steps: list[tuple[Any, int, int, Any]] = [
        (
            binary[rng.integers(4)] if rng.random() < 0.6 else unary[rng.integers(len(unary))],
            int(rng.integers(1 << 30)),
            int(rng.integers(1 << 30)),
            numbers[rng.integers(len(numbers))] if rng.random() < 0.6 else None,
        )
        for _ in range(12)
    ]

    def program(*xs: Any) -> Any:
        values = list(xs)
        for function, i, j, number in steps:
            x, y = values[i % len(values)], values[j % len(values)]
            try:
                if not isinstance(function, np.ufunc) or function.nin == 1:
                    found = function(x)
                elif number is None:
                    found = function(x, y)
                else:
                    found = function(x, number) if i % 2 else function(number, x)
            except (TypeError, ValueError):
                continue
            if np.size(found) <= 500:
                values.append(found)
        return tuple(values)

    return program, inputs


@pytest.mark.parametrize("seed", range(200))
def test_programs_of_all_that_can_be_left_out_compute_the_same(seed: int) -> None:
    program, inputs = degenerate(np.random.default_rng(seed))
    tape = recorded(program, *inputs)
    with np.errstate(all="ignore"):
        agree(tape, [-x for x in inputs], [x * 0 for x in inputs])


# --- the tests see what they should ---------------------------------------------------------------

WRONG = {
    "x + 0.0 is x": lambda draft, operation: algebra.same(draft, operation, operation.inputs[0]),
    "x + y is x - y": lambda draft, operation: (
        draft.emit(algebra.SUBTRACT, operation.inputs, operation.spec),
    ),
}


@pytest.mark.parametrize("rule", WRONG)
def test_a_wrong_rule_is_caught(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(algebra.ALGEBRA, algebra.ADD, (WRONG[rule],))

    def check() -> None:
        for seed in range(200):
            program, inputs = degenerate(np.random.default_rng(seed))
            tape = recorded(program, *inputs)
            with np.errstate(all="ignore"):
                same_numbers(flat(with_simpler_algebra(tape), inputs), flat(tape, inputs))

    with pytest.raises(AssertionError):
        check()


def test_a_wrong_move_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(draft: Draft, operation: Any) -> Any:
        return operation.inputs if draft.specs[operation.inputs[0]] == operation.spec else None

    monkeypatch.setitem(shapes.SHAPES, shapes.TRANSPOSE, (careless,))
    x = np.arange(4.0).reshape(2, 2)
    tape = recorded(lambda x: x.T + 1, x)
    with pytest.raises(AssertionError):
        same_numbers(flat(with_fewer_moves(tape), [x]), flat(tape, [x]))
