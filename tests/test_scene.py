"""What pictures of tapes show: folded repeats, closed calls, passes side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autodiff as ad
from autodiff import nn
from autodiff.draw.compose import LEGIBLE, compose, tape_size
from autodiff.draw.folding import fold
from autodiff.draw.looks import heat
from autodiff.draw.outline import Block, Item, outline
from autodiff.draw.scene import Edge, Group, Node, Scene
from autodiff.draw.texts import amount_text, range_text, value_text
from autodiff.tape.ir import Tape

Structure = list[Any]


def folded(tape: Tape) -> Structure:
    """The outline after folding: names of primitives, and (number, inside) of repeats."""
    outlined = outline(tape)
    fold(outlined, tape)

    def described(items: list[Item]) -> Structure:
        found: Structure = []
        for item in items:
            if isinstance(item, int):
                found.append(outlined.entries[item].primitive.name)
            elif item.kind == "repeat":
                found.append((len(item.periods), described(item.items)))
            else:
                found.append([item.kind, *described(item.items)])
        return found

    return described(outlined.root.items)


def counts(tape: Tape) -> list[int]:
    """Numbers of the repeats in a folded outline, outer before inner."""

    def numbers(block: Block) -> list[int]:
        found = [len(block.periods)] if block.kind == "repeat" else []
        for item in block.items:
            if isinstance(item, Block):
                found += numbers(item)
        return found

    outlined = outline(tape)
    fold(outlined, tape)
    return numbers(outlined.root)


def nodes(scene: Scene, role: str) -> list[Node]:
    return [node for node in scene.nodes if node.role == role]


def primitive(node: Node) -> str:
    return node.entries[0].primitive.name


def edge(scene: Scene, source: str, target: str, kind: str = "value") -> Edge:
    """The edge between two nodes, each given by its name or its primitive."""
    found = [
        e
        for e in scene.edges
        if e.kind == kind
        and source in (e.source.name, e.source.entries and primitive(e.source))
        and target in (e.target.name, e.target.entries and primitive(e.target))
    ]
    assert len(found) == 1
    return found[0]


def check(scene: Scene) -> None:
    """What holds of every scene: nothing is left out, nothing is counted twice."""
    assert scene.operations == len(scene.tape)
    open_nodes = {id(node) for node in nodes(scene, "operation")}
    for node in nodes(scene, "operation"):
        assert len(node.entries) == node.repeats
        assert len({primitive(node), *(e.primitive.name for e in node.entries)}) == 1
    if not any(node.role in ("call", "run") for node in scene.nodes):
        uses = sum(e.uses for e in scene.edges if id(e.target) in open_nodes)
        given_inputs = sum(len(entry.inputs) for entry in scene.tape)
        assert uses == given_inputs + sum(e.kind == "cotangent" and e.uses for e in scene.edges)
    listed = {id(node) for node in scene.nodes}
    inside = [m for g in [scene.root, *scene.groups()] for m in g.members if isinstance(m, Node)]
    assert {id(node) for node in inside} == listed
    assert len(inside) == len(scene.nodes)
    for each in scene.edges:
        assert {id(each.source), id(each.target)} <= listed


# --- folding --------------------------------------------------------------------------------------


def loop(w: Any, x: Any) -> Any:
    for _ in range(500):
        x = np.tanh(x * w)
    return x


def test_loop_is_drawn_once_with_its_number() -> None:
    scene = compose(ad.record(loop)(0.5, 1.0))
    (group,) = scene.groups()
    assert (group.kind, group.count) == ("repeat", 500)
    assert [primitive(node) for node in nodes(scene, "operation")] == ["multiply", "tanh"]
    carried = edge(scene, "tanh", "multiply", "carried")
    assert (carried.uses, len(carried.operands)) == (499, 499)
    entering = edge(scene, "x", "multiply")
    assert (entering.uses, entering.first) == (1, True)
    shared = edge(scene, "w", "multiply")
    assert (shared.uses, shared.first, len(shared.operands)) == (500, False, 1)
    leaving = edge(scene, "tanh", "output")
    assert (leaving.uses, leaving.last) == (1, True)
    check(scene)


@pytest.mark.parametrize("times", [1, 2, 3, 4, 7, 40])
def test_three_make_a_repeat(times: int) -> None:
    def f(x: Any) -> Any:
        for _ in range(times):
            x = np.exp(np.sin(x))
        return x

    once = ["sin", "exp"]
    assert folded(ad.record(f)(1.0)) == ([(times, once)] if times >= 3 else once * times)


def test_repeats_inside_repeats() -> None:
    def f(w: Any, x: Any) -> Any:
        for _ in range(10):
            for _ in range(5):
                x = np.tanh(x * w)
            x = x + w
        return x

    tape = ad.record(f)(0.5, 1.0)
    assert folded(tape) == [(10, [(5, ["multiply", "tanh"]), "add"])]
    scene = compose(tape)
    assert {node.repeats for node in nodes(scene, "operation")} == {10, 50}
    carried = [e for e in scene.edges if e.kind == "carried"]
    # Within the inner loop, and from the end of the outer one to its begin
    assert sorted(e.uses for e in carried) == [9, 40]
    check(scene)


def test_blocks_of_modules_fold_with_all_their_weights() -> None:
    model = nn.arrays(nn.MLP([8] * 13))
    scene = compose(ad.record(lambda m, x: np.sum(m(x)))(model, np.ones((2, 8))))
    (repeat,) = [group for group in scene.groups() if group.kind == "repeat"]
    (layer,) = [group for group in scene.groups() if group.parent is repeat]
    assert repeat.count == 11
    assert layer.label == "layers[0…10]: Linear"
    stacks = {(node.name, len(node.operands)) for node in nodes(scene, "parameter")}
    assert stacks == {("weight", 11), ("bias", 11), ("weight", 1), ("bias", 1)}
    check(scene)


def test_blocks_begin_with_a_call() -> None:
    model = nn.arrays(nn.MLP([5, *[8] * 9, 3]))
    tape = ad.record(lambda m, x: np.sum(m(x)))(model, np.ones((2, 5)))
    layer = ["module", "matmul", "add"]
    assert folded(tape)[0] == ["module", layer, "tanh", (8, [layer, "tanh"]), layer]


def test_weights_without_modules_stand_in_one_stack() -> None:
    def f(weights: Any, shift: Any, x: Any) -> Any:
        for w in weights:
            x = np.tanh(w * x + shift)
        return x

    tape = ad.record(f)([float(i) for i in range(12)], 0.5, 1.0)
    scene = compose(tape, fold=True)
    names = {(node.name, len(node.operands)) for node in scene.nodes if node.operands}
    assert ("weights[0…11]", 12) in names
    assert ("shift", 1) in names
    assert edge(scene, "weights[0…11]", "multiply").uses == 12
    check(scene)


def test_index_that_counts_up_is_the_same_block() -> None:
    def f(x: Any, places: Any) -> Any:
        total = 0.0 * x[0]
        for i in places:
            total = np.tanh(total + x[i])
        return total

    assert counts(ad.record(lambda x: f(x, range(20)))(np.ones(20))) == [20]
    assert counts(ad.record(lambda x: f(x, range(19, -1, -2)))(np.ones(20))) == [10]
    irregular = [0, 1, 2, 7, 3, 4, 5]
    assert counts(ad.record(lambda x: f(x, irregular))(np.ones(20))) == [3, 3]


def test_values_carried_over_two_blocks() -> None:
    def fibonacci(a: Any, b: Any) -> Any:
        for _ in range(20):
            a, b = b, np.tanh(a + b)
        return b

    scene = compose(ad.record(fibonacci)(1.0, 1.0), fold=True)
    (group,) = scene.groups()
    assert group.count == 20
    assert sorted(e.uses for e in scene.edges if e.kind == "carried") == [18, 19]
    check(scene)


def differing(change: Callable[[int, Any], Any]) -> Tape:
    """Nine equal blocks, of which the middle one may differ."""

    def f(x: Any) -> Any:
        for i in range(9):
            x = np.tanh(change(i, x))
        return np.sum(x)

    tape: Tape = ad.record(f)(np.ones((4, 4)))
    return tape


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda i, x: x * (0.7 if i == 4 else 0.5), id="constant"),
        pytest.param(lambda i, x: np.flip(x, 1 if i == 4 else 0), id="parameter"),
        pytest.param(lambda i, x: np.sin(x) if i == 4 else np.cos(x), id="primitive"),
        pytest.param(lambda i, x: x + x if i == 4 else x + 1.0, id="wiring"),
    ],
)
def test_block_that_differs_is_not_folded_with_the_others(change: Any) -> None:
    found = folded(differing(change))
    assert [item[0] for item in found if isinstance(item, tuple)] == [4, 4]
    assert len(found) > 3


def test_equal_blocks_fold() -> None:
    assert counts(differing(lambda i, x: x * 0.5)) == [9]


def test_constants_of_each_block_are_one_stack() -> None:
    tape = differing(lambda i, x: x * (i / 10))
    assert counts(tape) == [9]
    scene = compose(tape, fold=True)
    (constant,) = [node for node in nodes(scene, "constant") if len(node.operands) == 9]
    assert constant.times == 1
    assert "0, 0.1 … 0.8" in tape.to_dot(fold=True) or "0 … 0.8" in tape.to_dot(fold=True)


def test_other_shape_in_the_middle_is_not_folded() -> None:
    def f(x: Any) -> Any:
        for i in range(9):
            x = np.tanh(np.exp(x))
            if i == 3:
                x = x[:2]
        return np.sum(x)

    assert folded(ad.record(f)(np.ones(4))) == [
        (4, ["exp", "tanh"]),
        "index",
        (5, ["exp", "tanh"]),
        "sum",
    ]


def test_skip_connection_into_the_middle_begins_another_repeat() -> None:
    def f(x: Any) -> Any:
        start = x
        for i in range(9):
            x = np.tanh(x + (start if i == 5 else x))
        return x

    tape = ad.record(f)(1.0)
    assert counts(tape) == [5, 4]
    scene = compose(tape, fold=True)
    skips = [e for e in scene.edges if e.source.name == "x"]
    # Both inputs of the first block, and one of the first block of the other repeat
    assert [(e.uses, e.first, e.target.repeats) for e in skips] == [
        (1, True, 5),
        (1, True, 5),
        (1, True, 4),
    ]


def test_value_taken_out_of_the_middle_ends_a_repeat() -> None:
    def f(x: Any) -> Any:
        middle = x
        for i in range(9):
            x = np.tanh(np.exp(x))
            if i == 4:
                middle = x
        return x * middle

    assert folded(ad.record(f)(1.0)) == [(5, ["exp", "tanh"]), (4, ["exp", "tanh"]), "multiply"]


def test_equal_calls_with_different_purposes_are_not_folded() -> None:
    def f(weights: Any, x: Any) -> Any:
        query, key, value = (x @ w for w in weights)
        return np.sum(ad.softmax(query @ key.T) @ value)

    assert counts(ad.record(f)([np.eye(3)] * 3, np.eye(3))) == []


def test_results_used_by_different_operations_are_not_folded() -> None:
    users = (np.sin, np.cos, np.square, np.negative, np.exp)

    def f(weights: Any) -> Any:
        values = [np.tanh(np.sqrt(w)) for w in weights]
        return [use(value) for use, value in zip(users, values, strict=True)]

    assert counts(ad.record(f)([1.0, 2.0, 3.0, 4.0, 5.0])) == []


def test_blocks_of_other_shapes_are_not_folded() -> None:
    def f(arrays: Any) -> Any:
        return [np.sum(np.exp(x)) for x in arrays]

    tape = ad.record(f)([np.zeros(n) for n in (2, 2, 2, 3, 3, 3, 3)])
    assert counts(tape) == [3, 4]


def test_first_block_that_is_wired_otherwise_is_not_folded() -> None:
    def f(start: Any, x: Any) -> Any:
        for i in range(9):
            grown, bent = np.exp(x), np.sin(x)
            x = np.tanh(grown + (start if i == 0 else bent))
        return x

    assert counts(ad.record(f)(1.0, 0.5)) == [8]


def test_layer_that_all_blocks_share_is_drawn_outside() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 3)

        def __call__(self, x: Any) -> Any:
            for _ in range(12):
                x = np.tanh(self.layer(x))
            return x

    tape = ad.record(lambda m, x: np.sum(m(x)))(nn.arrays(Shared()), np.ones((1, 3)))
    scene = compose(tape, fold=True)
    weight, bias = nodes(scene, "parameter")
    assert weight.repeats == bias.repeats == 1
    assert edge(scene, weight.name, "matmul").uses == 12
    check(scene)


def test_what_all_blocks_give_to_one_operation_is_folded() -> None:
    def f(x: Any) -> Any:
        states = []
        for _ in range(8):
            x = np.tanh(np.exp(x))
            states.append(x)
        return np.stack(states)

    assert folded(ad.record(f)(1.0))[0] == (8, ["exp", "tanh"])


def test_outputs_of_all_blocks_are_one_stack() -> None:
    def f(x: Any) -> Any:
        states = []
        for _ in range(8):
            x = np.tanh(np.exp(x))
            states.append(x)
        return states

    scene = compose(ad.record(f)(1.0), fold=True)
    (output,) = nodes(scene, "output")
    assert (output.name, len(output.operands)) == ("output[0…7]", 8)
    check(scene)


def test_small_tapes_are_folded_only_on_demand() -> None:
    def f(x: Any) -> Any:
        for _ in range(5):
            x = np.sin(x)
        return x

    tape = ad.record(f)(0.0)
    assert not list(compose(tape).groups())
    assert [group.count for group in compose(tape, fold=True).groups()] == [5]
    large = ad.record(loop)(0.5, 1.0)
    assert len(compose(large, fold=False).nodes) == tape_size(large)


# --- programs at random ---------------------------------------------------------------------------

STEPS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "tanh": lambda x, y, w: (np.tanh(x), y),
    "scale": lambda x, y, w: (x * w, y),
    "swap": lambda x, y, w: (y, x + y),
    "keep": lambda x, y, w: (x - y, x),
    "half": lambda x, y, w: (x, 0.5 * y),
}

programs = st.recursive(
    st.sampled_from(sorted(STEPS)),
    lambda inner: st.tuples(st.integers(1, 6), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6,
)


def run(program: Any, x: Any, y: Any, w: Any) -> tuple[Any, Any]:
    if isinstance(program, str):
        x, y = STEPS[program](x, y, w)
        return x, y
    times, body = program
    for _ in range(times):
        for step in body:
            x, y = run(step, x, y, w)
    return x, y


@settings(max_examples=60, deadline=None)
@given(st.lists(programs, min_size=1, max_size=4))
def test_folding_keeps_every_operation_and_every_use(body: Any) -> None:
    def f(x: Any, y: Any, w: Any) -> Any:
        x, y = run((1, body), x, y, w)
        return np.tanh(x) + y

    with np.errstate(all="ignore"):
        for function in (f, ad.grad(f)):
            tape = ad.record(function)(0.3, 0.2, 0.9)
            check(compose(tape, fold=True, depth=20))
            check(compose(tape, fold=False, depth=20))
            check(compose(tape))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(1, 9)), min_size=1))
def test_programs_without_order_keep_every_operation(steps: Any) -> None:
    primitives = (np.add, np.multiply, np.subtract)

    def f(x: Any) -> Any:
        values = [x, 2 * x]
        for kind, a, b in steps * 4:
            values.append(primitives[kind](values[-a % len(values)], values[-b % len(values)]))
        return values[-1]

    with np.errstate(all="ignore"):
        tape = ad.record(f)(1.0)
    check(compose(tape, fold=True))


# --- large tapes ----------------------------------------------------------------------------------


def tangle(length: int, reach: int) -> Callable[[Any], Any]:
    """A program without calls and repetition."""
    primitives = (np.add, np.subtract, np.maximum, np.minimum)

    def f(x: Any) -> Any:
        random = np.random.default_rng(0)
        values = [x, 2 * x]
        for _ in range(length):
            a, b = random.integers(max(0, len(values) - reach), len(values), 2)
            values.append(primitives[random.integers(4)](values[a], values[b]))
        return values[-1]

    return f


@pytest.mark.parametrize("reach", [6, 1000])
@pytest.mark.parametrize("named", [False, True])
def test_program_without_repetition_is_cut_into_runs(reach: int, named: bool) -> None:
    def program(x: Any) -> Any:
        return tangle(1000, reach)(x)

    with np.errstate(all="ignore"):
        tape = ad.record(program if named else tangle(1000, reach))(1.0)
    scene = compose(tape)
    assert sum(node.role == "run" for node in scene.nodes) >= 5
    assert len(scene.nodes) <= LEGIBLE
    assert len(scene.edges) <= LEGIBLE
    check(scene)


def test_deep_network_with_its_backward_pass() -> None:
    model = nn.arrays(nn.MLP([8] * 51))
    step = ad.value_and_grad(lambda m, x: np.sum(m(x) ** 2))
    scene = compose(ad.record(step)(model, np.ones((2, 8))))
    assert len(scene.nodes) <= 40
    assert [group.count for group in scene.groups() if group.count > 1] == [49, 49]
    gradients = {(n.name, len(n.operands)) for n in nodes(scene, "output")}
    assert ("gradient of m.layers[1…49].weight", 49) in gradients
    check(scene)


class Mixer(nn.Module):
    """A block with a skip connection around two layers."""

    def __init__(self, size: int, seed: int) -> None:
        self.up = nn.Linear(size, 2 * size, seed=seed)
        self.down = nn.Linear(2 * size, size, seed=seed + 1)

    def __call__(self, x: Any) -> Any:
        return x + self.down(np.tanh(self.up(x)))


class Stack(nn.Module):
    """Blocks one after another."""

    def __init__(self, size: int, length: int) -> None:
        self.blocks = [Mixer(size, 2 * i) for i in range(length)]
        self.head = nn.Linear(size, 3, seed=99)

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def stack_tape(**options: Any) -> Tape:
    model = nn.arrays(Stack(4, 12))
    tape: Tape = ad.record(lambda m, x: np.sum(m(x)))(model, np.ones((2, 4)))
    return tape


def test_modules_are_nested_frames() -> None:
    scene = compose(stack_tape())
    labels = [(group.label, group.count) for group in scene.groups()]
    assert labels == [
        ("Stack", 1),
        ("blocks[0…11]: Mixer", 12),
        ("up: Linear", 1),
        ("down: Linear", 1),
        ("head: Linear", 1),
    ]
    check(scene)


def test_depth_closes_calls() -> None:
    tape = stack_tape()
    (whole,) = nodes(compose(tape, depth=0), "call")
    assert (whole.name, whole.count) == ("Stack", len(tape) - 1)
    boxes = nodes(compose(tape, depth=1), "call")
    assert [(box.name, box.count, box.times) for box in boxes] == [
        ("blocks[0…11]: Mixer", 6, 12),
        ("head: Linear", 2, 1),
    ]
    inner = nodes(compose(tape, depth=2), "call")
    assert [(box.name, box.repeats) for box in inner] == [("up: Linear", 12), ("down: Linear", 12)]
    for depth in range(5):
        check(compose(tape, depth=depth))
        check(compose(tape, depth=depth, fold=False))


def test_many_parameters_of_a_box_are_one_node() -> None:
    scene = compose(stack_tape(), depth=1)
    labels = [node.name for node in nodes(scene, "parameter")]
    assert labels == ["48 parameters", "m.head.weight", "m.head.bias"]


def test_negative_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="depth is -1; it must be at least 0"):
        compose(stack_tape(), depth=-1)


def test_recursion_without_end_in_sight() -> None:
    def descend(x: Any, times: int) -> Any:
        return np.tanh(x) if times == 0 else descend(np.sin(x), times - 1) + x

    tape = ad.record(lambda x: descend(x, 150))(1.0)
    scene = compose(tape)
    assert len(scene.nodes) <= LEGIBLE
    check(scene)


# --- forward and backward -------------------------------------------------------------------------


def neuron(params: Any, x: Any) -> Any:
    return np.tanh(params["w"] * x + params["b"]) ** 2


def test_passes_lie_side_by_side_with_their_cotangents() -> None:
    tape = ad.record(ad.value_and_grad(neuron))({"w": 0.5, "b": 0.1}, 2.0)
    scene = compose(tape)
    assert [(g.kind, len(g.entries)) for g in scene.groups()] == [("forward", 4), ("backward", 5)]
    for node in nodes(scene, "operation"):
        pulled = node.entries[0].pulls is not None
        assert node.group.kind == ("backward" if pulled else "forward")
    dotted = {(e.source.name or primitive(e.source)) for e in scene.edges if e.kind == "cotangent"}
    assert dotted == {"params['w']", "params['b']", "multiply", "add", "tanh"}
    check(scene)


def test_cotangents_of_repeated_blocks_lie_in_repeated_blocks() -> None:
    scene = compose(ad.record(ad.grad(loop))(0.5, 1.0))
    dotted = [e for e in scene.edges if e.kind == "cotangent" and e.source.repeats > 1]
    assert sorted(primitive(e.source) for e in dotted) == ["multiply", "tanh"]
    assert {e.target.repeats for e in dotted} == {498}
    assert [group.kind for group in scene.groups()] == ["forward", "repeat", "backward", "repeat"]


def test_backward_frames_mirror_the_modules() -> None:
    model = nn.arrays(nn.MLP([3, 4, 2]))
    step = ad.value_and_grad(lambda m, x: np.sum(m(x)))
    scene = compose(ad.record(step)(model, np.ones((2, 3))))

    def labels(kind: str) -> list[str]:
        groups = [g for g in scene.groups() if g.kind == kind]
        return [m.label for g in groups for m in g.members if isinstance(m, Group)]

    assert labels("forward") == labels("backward") == ["MLP"]
    mirrored = [g.label for g in scene.groups() if g.label.startswith("layers")]
    assert sorted(mirrored) == sorted(["layers[0]: Linear", "layers[1]: Linear"] * 2)


def test_what_follows_a_sweep_is_in_neither_pass() -> None:
    def step(w: Any) -> Any:
        return w - 0.1 * ad.grad(lambda w: np.tanh(w) * w)(w)

    scene = compose(ad.record(step)(1.0))
    outside = [primitive(n) for n in nodes(scene, "operation") if n.group is scene.root]
    assert outside == ["multiply", "subtract"]
    check(scene)


def test_saved_values_are_marked() -> None:
    tape = ad.record(lambda x: np.sum(np.exp(np.sin(x) + 1.0)))(np.ones(3))
    scene = compose(tape)
    assert {e.operands[0] for e in scene.edges if e.saved} == set(tape.saved())
    assert scene.saved_bytes == 2 * 3 * 8
    assert edge(scene, "x", "sin").saved
    assert not edge(scene, "sin", "add").saved


# --- texts and colours ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "a"], "a"),
        (["w[0]", "w[1]"], "w[0, 1]"),
        (["w[3]", "w[2]", "w[1]"], "w[3…1]"),
        (["w[0]", "w[2]", "w[4]"], "w[0, 2…4]"),
        (["a[0][1]", "a[1][2]", "a[2][3]"], "a[0][1] … a[2][3]"),
        (["q", "k", "v"], "q … v"),
        (["x1", "y"], "x1, y"),
    ],
)
def test_range_text(texts: list[str], text: str) -> None:
    assert range_text(texts) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (999, "999 B"), (999.9, "1 kB"), (1_500_000, "1.5 MB"), (2e16, "20 PB")],
)
def test_amount_text(amount: float, text: str) -> None:
    assert amount_text(amount, "B") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.1"),
        (3, "3"),
        (np.array([[1.0, 2.0], [3.0, 4.5]]), "[[1, 2], [3, 4.5]]"),
        (np.full(9, 2.0), "norm 6, mean 2"),
        (np.full(9, np.float16(300.0)), "norm 900, mean 300"),
        (np.full(5, np.nan), "norm nan, mean nan"),
        (np.arange(6) < 2, "2 of 6 true"),
        (np.full(5, 1j), "norm 2.236, mean 0+1j"),
        (np.zeros((0, 3)), "[]"),
    ],
)
def test_value_text(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_colours_of_costs_grow_darker_evenly() -> None:
    def lightness(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return float(116 * luminance ** (1 / 3) - 16)

    steps = -np.diff([lightness(heat(share)) for share in np.linspace(0, 1, 6)])
    assert steps.min() > 0
    assert steps.max() / steps.min() < 1.3
    # Dark text on the darkest: a contrast of at least 4.5 to 1 for an ink of lightness 5
    assert lightness(heat(1.0)) > 55
