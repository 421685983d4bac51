"""Random programs as tapes: rewriting keeps what they compute, signatures tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import Draw, programs

import autodiff as ad
from autodiff import tree
from autodiff.interpret.graph import nodes_behind
from autodiff.ordering.graph.tapegraph import of_nodes, of_tape
from autodiff.tape.builder import TapeBuilder
from autodiff.tape.ir import Tape
from autodiff.transforms.gradient import Recorded
from autodiff.transforms.jacobian.question import node_signature

Program = Callable[..., Any]
Drawn = tuple[Program, tuple[Any, ...]]


# --- programs with everything that a tape can hold ------------------------------------------------


def _rule(residuals: Any, g: Any) -> Any:
    return (g * residuals,)


soft = ad.custom_vjp(
    lambda x: np.tanh(x) * 0.5, lambda x: (soft(x), 0.5 - 0.5 * np.tanh(x) ** 2), _rule
)
wave = ad.checkpoint(lambda x: np.sin(x) * np.cos(x))


def guarded(x: Any) -> Any:
    """Look at a value, in a call; the same way for all finite inputs."""
    return x * 1.5 if np.sum(np.abs(x)) >= 0 else x


def changing(x: Any) -> Any:
    """Use an array, change it, and use it again."""
    c = np.ones(np.shape(x))
    first = x * c
    c[...] = 2
    return first + x * c


def picking(x: Any) -> Any:
    """Take elements by an array of integers."""
    flat = np.ravel(x)
    return np.stack([flat, flat])[np.array([1, 0, 1])] if flat.size else flat


def descending(x: Any) -> Any:
    """Value and gradient of a function inside."""
    value, gradient = ad.value_and_grad(lambda y: np.sum(np.sin(y) * y))(x)
    return gradient * 2 + value


SYMMETRIC = np.array([[1.0, 0.5], [0.5, 3.0]])
EXTRAS: list[Program] = [
    soft,
    wave,
    guarded,
    ad.checkpoint(guarded),
    ad.checkpoint(lambda x: soft(wave(x) + 1)),
    changing,
    picking,
    descending,
    lambda x: ad.name(np.positive(x), "named"),
    lambda x: x + np.arange(3)[:, None, None, None, None, None],
    lambda x: np.linalg.eigh(SYMMETRIC * (2 + np.tanh(np.sum(x))))[1] * 2,
    lambda x: np.linalg.slogdet(SYMMETRIC * (2 + np.tanh(np.sum(x))))[1],
    lambda x: np.where(x > 0, x, 0.25 * x),
    lambda x: np.sort(np.ravel(x)) * np.argsort(np.ravel(x)),
    lambda x: np.ravel(x)[np.argmax(x)] * x if np.size(x) else x,
]


@st.composite
def rich(draw: Draw) -> Drawn:
    """A random program that goes on with some of the `EXTRAS`, in containers."""
    program, inputs = draw(programs())
    extras = draw(st.lists(st.sampled_from(EXTRAS), max_size=3))
    dead = draw(st.booleans())

    def whole(p: dict[str, Any]) -> Any:
        found = program(*p["xs"])
        found = list(found) if isinstance(found, tuple) else [found]
        if dead:
            np.exp(found[0])
        for extra in extras:
            found.append(extra(found[-1]))
        return {"all": found, "last": (found[-1], p["xs"][0], 3.0)}

    return whole, inputs


def moved(inputs: tuple[Any, ...]) -> dict[str, Any]:
    return {"xs": [0.9 * x for x in inputs]}


def flat_results(tape: Tape, argument: Any) -> list[Any]:
    memory = tape.replay(tree.leaves(argument))
    return [memory[output.slot] for output in tape.outputs]


def same_bits(one: list[Any], other: list[Any]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def origins(tape: Tape) -> list[Any]:
    return [
        (
            entry.primitive.name,
            entry.source,
            None if entry.scope is None else entry.scope.path,
            None if entry.pulls is None else entry.pulls.primitive.name,
            [variable.name for variable in entry.outputs],
        )
        for entry in tape
    ]


def looks(tape: Tape) -> list[Any]:
    return [(guard.reader, guard.source) for guard in tape.guards]


def read(tape: Tape) -> None:
    """Everything that a tape can be asked works on it, and agrees with its entries."""
    if tape.arguments is not None:
        assert list(tape.values()) == list(tape.variables)
    text = str(tape)
    assert text.startswith("tape(")
    assert tape.to_dot().startswith("digraph")
    assert tape.to_html().startswith("<!DOCTYPE html>")
    assert len(tape.names()) == len(set(tape.names().values())) == len(tape.variables)
    assert tape.cost().operations == len(tape)
    for entry in tape:
        rule = entry.pulls
        assert rule is None or rule.position == -1 or tape[rule.position] is rule


@settings(max_examples=60)
@given(rich())
def test_rewritten_tapes_compute_the_same(drawn: Drawn) -> None:
    program, inputs = drawn
    with np.errstate(all="ignore"):
        tape = ad.record(program)({"xs": list(inputs)})
        elsewhere = moved(inputs)
        wanted = flat_results(tape, elsewhere)
        same_bits(tree.leaves(tape.evaluate(elsewhere)), wanted)
        copy = tape.subtape(tape.outputs)
        short = tape.pruned()
        flat = tape.inlined()
        for other in (short, flat, copy, flat.pruned(), short.inlined()):
            other.check()
            same_bits(flat_results(other, elsewhere), wanted)
            assert [v.name for v in other.inputs] == [v.name for v in tape.inputs]
        for other in (short, flat):
            same_bits(tree.leaves(other.evaluate(elsewhere)), wanted)
        assert looks(short) == looks(tape)
        assert len(looks(flat)) >= len(looks(tape))
        kept = origins(tape)
        following = iter(kept)
        assert all(origin in following for origin in origins(short))
        assert short.pruned().signature == short.signature
        assert flat.inlined().signature == flat.signature
        for other in (short, flat):
            read(other)


@settings(max_examples=60)
@given(rich(), st.integers(0, 1000))
def test_an_operation_replaced_by_itself_changes_nothing(drawn: Drawn, which: int) -> None:
    program, inputs = drawn
    with np.errstate(all="ignore"):
        tape = ad.record(program)({"xs": list(inputs)})
        if not len(tape):
            return
        entry = tape[which % len(tape)]
        builder = TapeBuilder()
        slots = [builder.input(operand.spec) for operand in entry.inputs]
        specs = [variable.spec for variable in entry.outputs]
        alone = builder.finish(builder.emit(entry.primitive, slots, specs, entry.params))
        other = tape.replace({entry.position: alone})
        elsewhere = moved(inputs)
        same_bits(flat_results(other, elsewhere), flat_results(tape, elsewhere))
        assert origins(other) == origins(tape)
        assert looks(other) == looks(tape)
        assert other.signature == tape.signature
        assert [v.name for v in other.variables] == [v.name for v in tape.variables]
        read(other)


@settings(max_examples=60)
@given(rich())
def test_signature_is_of_the_program_not_of_its_numbers(drawn: Drawn) -> None:
    program, inputs = drawn
    with np.errstate(all="ignore"):
        tape = ad.record(program)({"xs": list(inputs)})
        again = ad.record(program)(moved(inputs))
    assert tape.signature == again.signature
    assert hash(tape.signature) == hash(again.signature)
    negated = tape.outputs[-1]
    more = ad.record(lambda p: (program(p), 1.0))({"xs": list(inputs)})
    assert more.signature != tape.signature
    wider = ad.record(program)({"xs": [np.float32(x) for x in inputs]})
    assert wider.signature != tape.signature
    assert tape.subtape([*tape.outputs, negated]).signature != tape.signature
    if len(tape.inputs) > 1:
        turned = tape.subtape(tape.outputs, tape.inputs[::-1])
        used = {operand for entry in tape for operand in entry.inputs} | set(tape.outputs)
        if used & set(tape.inputs):
            same = [v.spec for v in tape.inputs] == [v.spec for v in turned.inputs]
            assert turned.signature != tape.signature or same


# --- one graph, read off nodes and off tapes ------------------------------------------------------


def recorded(f: Program, args: tuple[Any, ...]) -> Recorded:
    return Recorded(f, args, {}, tuple(range(len(args))), False, "jacobian")


def signatures(f: Program, args: tuple[Any, ...]) -> list[Any]:
    nodes = recorded(f, args)
    behind = nodes_behind(nodes.nodes)
    graph = of_nodes(nodes.leaves, nodes.nodes)
    assert graph is not None
    tape = ad.record(f)(*args)
    return [
        node_signature(nodes.leaves, nodes.nodes, behind),
        graph.signature,
        of_tape(tape).signature,
        of_tape(tape, args).signature,
    ]


@settings(max_examples=100)
@given(rich())
def test_nodes_and_tape_have_one_signature(drawn: Drawn) -> None:
    program, inputs = drawn
    with np.errstate(all="ignore"):
        first, *others = signatures(program, ({"xs": list(inputs)},))
    for other in others:
        assert other == first
        assert hash(other) == hash(first)


@settings(max_examples=60)
@given(rich())
def test_a_plan_of_the_tape_serves_its_function_and_no_other(drawn: Drawn) -> None:
    program, inputs = drawn
    argument = {"xs": list(inputs)}

    def f(p: dict[str, Any]) -> Any:
        return program(p)["all"]

    def g(p: dict[str, Any]) -> Any:
        return [np.sin(x) for x in f(p)]

    with np.errstate(all="ignore"):
        plan = ad.record(f)(argument).jacobian_graph().plan("reverse")
        wanted = tree.leaves(ad.jacobian(f, order="reverse")(argument))
        found = tree.leaves(ad.jacobian(f, order=plan)(argument))
        for one, two in zip(found, wanted, strict=True):
            assert np.shape(one) == np.shape(two)
            scale = 1 + np.abs(two).max(initial=0)
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9 * scale)
        with pytest.raises(ValueError, match="plan"):
            ad.jacobian(g, order=plan)(argument)


# --- size and threads -----------------------------------------------------------------------------


def test_long_chains_need_no_recursion() -> None:
    def chain(x: Any) -> Any:
        for _ in range(20_000):
            x = -x
        return x

    tape = ad.record(chain)(0.5)
    short = tape.pruned()
    assert hash(short.signature) == hash(tape.signature)
    assert short.evaluate(0.25) == 0.25
    assert len(short.gradients()) == 20_001
    assert tape.to_dot().startswith("digraph")
    weight = ad.Tensor(0.5)
    assert len(chain(weight).tape) == 20_000


def test_threads_record_at_the_same_time() -> None:
    def whole(x: Any) -> Any:
        for extra in EXTRAS:
            x = x + np.sum(extra(x))
        return x

    def work(seed: int) -> tuple[Any, Any, Any]:
        tape = ad.record(whole)(np.full(3, 0.01 * seed))
        flat = tape.inlined().pruned()
        return tape.signature, flat.signature, flat.evaluate(np.full(3, 0.01 * seed)).tolist()

    with np.errstate(all="ignore"):
        wanted = [work(seed) for seed in range(8)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(work, range(8)))
    assert found == wanted
