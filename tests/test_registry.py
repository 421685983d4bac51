"""Each primitive against NumPy, finite differences, and itself under each interpretation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from registry import (
    CASES,
    EXAMPLES,
    PRIMITIVES,
    SMOOTH,
    Case,
    arrays_in,
    check_vmap,
    close,
    generator,
    holomorphic,
    like,
    pairing,
    poison,
    recorded_node,
)

import autodiff as ad
from autodiff import tree
from autodiff.core.primitive import Primitive
from autodiff.core.rules import Pullback
from autodiff.core.spec import is_inexact, spec_of

all_cases = pytest.mark.parametrize("case", CASES, ids=repr)
smooth_cases = pytest.mark.parametrize("case", SMOOTH, ids=repr)
all_primitives = pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda p: p.name)

# --- declarations -----------------------------------------------------------------------------


@all_primitives
def test_every_primitive_has_a_sample(primitive: Primitive) -> None:
    assert primitive.sample is not None, f"{primitive.name}: a library primitive needs sample=..."
    assert any(case.primitive is primitive for case in CASES)


@all_primitives
def test_every_primitive_can_be_batched_without_a_loop_by_default(primitive: Primitive) -> None:
    assert primitive.kind == "elementwise" or primitive.batch_rule is not None


@all_primitives
def test_every_primitive_says_what_it_is(primitive: Primitive) -> None:
    assert primitive.__doc__
    assert primitive.name in repr(primitive)
    assert ad.REGISTRY[primitive.name] is primitive


@all_cases
def test_samples_are_finite_and_cost_is_an_integer(case: Case) -> None:
    out = case.call(*case.inputs)
    for leaf in tree.leaves(out):
        assert np.isfinite(leaf).all()
    specs = tuple(map(spec_of, case.inputs))
    cost = case.primitive.cost(specs, spec_of(tree.leaves(out)[0]), case.params)
    assert type(cost) is int
    assert cost >= 0


@all_cases
def test_unknown_keyword_is_refused_by_name(case: Case) -> None:
    boxed = [ad.Tensor(x) if is_inexact(spec_of(x).dtype) else x for x in case.inputs]
    for inputs in (case.inputs, boxed):
        with pytest.raises(TypeError, match="nonsense") as raised:
            case.primitive(*inputs, **case.params, nonsense=1)
        assert case.primitive.name in str(raised.value)


# --- values -------------------------------------------------------------------------------------


def _join(function: Any) -> Any:
    return lambda *xs, axis: function(xs, axis=axis)


def _scattered(*gs: Any, templates: Any, shape: Any, dtype: Any) -> Any:
    result = np.zeros(shape, dtype)
    for g, template in zip(gs, templates, strict=True):
        np.add.at(result, template, g)
    return result


def _assigned(x: Any, v: Any, *, template: Any) -> Any:
    result = x.copy()
    result[template] = v
    return result


def _normalised(x: Any, *, axis: Any) -> Any:
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


REFERENCES: dict[str, Any] = {
    "assign": _assigned,
    "concatenate": _join(np.concatenate),
    "convert": lambda x, *, dtype: np.asarray(x).astype(dtype),
    "einsum": lambda *xs, subscripts: np.einsum(subscripts, *xs),
    "index": lambda x, *, template: x[template],
    "log_softmax": lambda x, *, axis: np.log(_normalised(x, axis=axis)),
    "logsumexp": lambda x, *, axis: np.log(np.exp(x).sum(axis)),
    "pad_zeros": lambda x, *, widths: np.pad(x, widths),
    "relu": lambda x: x * (x > 0),
    "root_of_squares": np.sqrt,
    "scatter": _scattered,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": _normalised,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "stack": _join(np.stack),
    "stop_gradient": lambda x: x,
}
"""NumPy for the primitives that do not bear the name of a NumPy function."""


def _reference(case: Case) -> Any:
    return REFERENCES.get(case.primitive.name) or getattr(np, case.primitive.name, None)


@pytest.mark.parametrize("case", [c for c in CASES if _reference(c) is not None], ids=repr)
def test_value_is_numpys(case: Case) -> None:
    with np.errstate(all="ignore"):
        try:
            wanted = _reference(case)(*case.inputs, **case.params)
        except TypeError:  # of NumPy before 2.1: no keyword "shape" yet
            wanted = _reference(case)(*case.inputs, *case.params.values())
    found = case.call(*case.inputs)
    for ours, theirs in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
        assert np.shape(ours) == np.shape(theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-14)


def _plain(value: Any) -> Any:
    return tree.map_leaves(lambda x: x.data if isinstance(x, ad.Tensor) else np.asarray(x), value)


@all_cases
def test_value_is_the_same_under_each_interpretation(case: Case) -> None:
    wanted = _plain(case.call(*case.inputs))
    inexact = [i for i, x in enumerate(case.inputs) if is_inexact(spec_of(x).dtype)]

    def of_inexact(*values: Any) -> Any:
        inputs = list(case.inputs)
        for position, value in zip(inexact, values, strict=True):
            inputs[position] = value
        return case.call(*inputs)

    values = [case.inputs[i] for i in inexact]
    tensors = list(map(ad.Tensor, values))
    close(_plain(of_inexact(*tensors)), wanted, rtol=0, atol=0)
    close(_plain(ad.record(of_inexact)(*values).evaluate(*values)), wanted, rtol=0, atol=0)
    if values:
        zeros = tuple(np.zeros_like(v) for v in values)
        close(_plain(ad.jvp(of_inexact, tuple(values), zeros)[0]), wanted, rtol=0, atol=0)
        close(_plain(ad.vjp(of_inexact, *values)[0]), wanted, rtol=0, atol=0)


# --- derivatives --------------------------------------------------------------------------------


@smooth_cases
def test_first_and_second_derivative(case: Case) -> None:
    ad.check_grads(case.within_domain, case.active, order=2)


@pytest.mark.parametrize(
    "case", [c for c in SMOOTH if c.primitive.kind == "elementwise" and c.number < 2], ids=repr
)
def test_third_derivative_of_elementwise_primitives(case: Case) -> None:
    entry = case.with_inputs(lambda x: np.ravel(x)[:1])
    if case.primitive.constant:
        entry = case
    ad.check_grads(entry.of_active, entry.active, order=3)


@smooth_cases
def test_each_input_alone_gets_the_derivative_it_gets_among_all(case: Case) -> None:
    rng = generator(case)
    out, pullback = ad.vjp(case.of_active, *case.active)
    g = like(rng, out)
    together = pullback(g)
    for i, value in enumerate(case.active):

        def alone(x: Any, i: int = i) -> Any:
            return case.of_active(*case.active[:i], x, *case.active[i + 1 :])

        (found,) = ad.vjp(alone, value)[1](g)
        close(found, together[i])
        tangent = like(rng, value)
        tangents = [np.zeros_like(x) for x in case.active]
        tangents[i] = tangent
        close(
            ad.jvp(alone, (value,), (tangent,))[1],
            ad.jvp(case.of_active, case.active, tuple(tangents))[1],
        )


def test_some_primitives_take_complex_inputs() -> None:
    names = {case.primitive.name for case in COMPLEX}
    assert {"add", "exp", "matmul", "sum", "prod", "index", "einsum", "power"} <= names


COMPLEX = [
    case
    for case in SMOOTH
    if all(spec_of(x).dtype.kind == "f" for x in case.active) and holomorphic(case)
]


@pytest.mark.parametrize("case", COMPLEX, ids=repr)
def test_complex_derivative(case: Case) -> None:
    rng = generator(case)
    lifted = case.with_inputs(lambda x: np.asarray(x) * (1 + 0.05j))
    ad.check_grads(lifted.of_active, lifted.active, order=1)
    out, pullback = ad.vjp(lifted.of_active, *lifted.active)
    tangents, cotangent = like(rng, lifted.active), like(rng, out)
    tangent_out = ad.jvp(lifted.of_active, lifted.active, tangents)[1]
    np.testing.assert_allclose(
        pairing(pullback(cotangent), tangents), pairing(cotangent, tangent_out), rtol=1e-11
    )
    turned = ad.jvp(lifted.of_active, lifted.active, tuple(1j * t for t in tangents))[1]
    close(turned, tree.map_leaves(lambda t: 1j * t, tangent_out), rtol=1e-11, atol=1e-12)


@smooth_cases
def test_mixed_real_and_complex_inputs_keep_their_dtypes(case: Case) -> None:
    if len(case.active) < 2 or case.params.get("dtype") is not None:
        assert len(case.active) == 1 or "dtype" in case.params
        return
    mixed = list(case.active)
    mixed[0] = np.asarray(mixed[0]) * (1 + 0.05j)
    try:
        out, pullback = ad.vjp(case.of_active, *mixed)
    except TypeError:
        assert not holomorphic(case)
        return
    for cotangent, value in zip(pullback(like(generator(case), out)), mixed, strict=True):
        assert spec_of(cotangent) == spec_of(value)


# --- vmap ---------------------------------------------------------------------------------------


@all_cases
def test_vmap_is_a_stacked_loop(case: Case) -> None:
    check_vmap(case.call, case.examples())


@smooth_cases
def test_vmap_of_the_vjp_is_a_stacked_loop(case: Case) -> None:
    rng = generator(case)
    count = len(case.inputs)

    def gradient(*values: Any) -> Any:
        inputs, g = values[:count], values[count:]
        active = [inputs[i] for i in case.positions]
        own = case._replace(inputs=inputs)
        out, pullback = ad.vjp(lambda *xs: _rejoined(own, case.positions, xs), *active)
        return pullback(tree.unflatten(tree.flatten(out)[1], list(g)))

    examples = [(*e, *tree.leaves(like(rng, case.call(*e)))) for e in case.examples()]
    check_vmap(gradient, examples)


@smooth_cases
def test_vmap_of_the_jvp_is_a_stacked_loop(case: Case) -> None:
    rng = generator(case)
    count = len(case.inputs)

    def derivative(*values: Any) -> Any:
        inputs, tangents = values[:count], values[count:]
        active = tuple(inputs[i] for i in case.positions)
        own = case._replace(inputs=inputs)
        return ad.jvp(lambda *xs: _rejoined(own, case.positions, xs), active, tangents)[1]

    examples = [(*e, *like(rng, tuple(e[i] for i in case.positions))) for e in case.examples()]
    check_vmap(derivative, examples)


def _rejoined(case: Case, positions: tuple[int, ...], active: tuple[Any, ...]) -> Any:
    """Call with some inputs replaced; the others may be Tensors."""
    inputs = list(case.inputs)
    for position, value in zip(positions, active, strict=True):
        inputs[position] = value
    return case.call(*inputs)


def test_batches_have_more_than_one_example() -> None:
    assert EXAMPLES > 1


# --- shapes of elementwise primitives -----------------------------------------------------------

SHAPES: dict[int, list[tuple[tuple[int, ...], ...]]] = {
    1: [((),), ((0,),), ((2, 0, 3),), ((1, 1),)],
    2: [((), (3,)), ((2, 1), (3,)), ((3,), (2, 1)), ((0, 3), (3,)), ((1,), (0,)), ((2, 3), ())],
    3: [((3,), (2, 1), ()), ((), (), (3,)), ((0, 2), (1, 2), (2,)), ((2, 1), (3,), (2, 3))],
    4: [((), (2, 1), (3,), (2, 3)), ((), (), (), ())],
}
ELEMENTWISE = [c for c in CASES if c.primitive.kind == "elementwise" and c.number == 0]


@pytest.mark.parametrize(
    ("case", "shapes"),
    [(case, shapes) for case in ELEMENTWISE for shapes in SHAPES[len(case.inputs)]],
    ids=repr,
)
def test_elementwise_shapes(case: Case, shapes: tuple[tuple[int, ...], ...]) -> None:
    inputs = tuple(np.resize(x, s)[()] for x, s in zip(case.inputs, shapes, strict=True))
    shaped = case._replace(inputs=inputs)
    out = shaped.call(*inputs)
    assert np.shape(out) == np.broadcast_shapes(*shapes)
    if shaped.primitive.differentiable:
        rng = generator(case)
        value, pullback = ad.vjp(shaped.of_active, *shaped.active)
        close(value, out, rtol=0, atol=0)
        tangents, g = like(rng, shaped.active), like(rng, out)
        gradients = pullback(g)
        for gradient, x in zip(gradients, shaped.active, strict=True):
            assert spec_of(gradient) == spec_of(x)
        tangent_out = ad.jvp(shaped.of_active, shaped.active, tangents)[1]
        assert spec_of(tangent_out) == spec_of(out)
        np.testing.assert_allclose(
            pairing(gradients, tangents), pairing(g, tangent_out), rtol=1e-11, atol=1e-12
        )
        ad.check_grads(shaped.within_domain, shaped.active, order=1, modes=["reverse"])


# --- dtypes and layouts -------------------------------------------------------------------------


@pytest.mark.parametrize("case", [c for c in SMOOTH if "dtype" not in c.params], ids=repr)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_low_precision_stays(case: Case, dtype: Any) -> None:
    if case.active[0].dtype.kind == "c":
        dtype = np.complex64
    low = case.with_inputs(lambda x: np.asarray(x).astype(dtype)[()])
    if dtype is np.float16 and _refuses_half(low):
        with pytest.raises(TypeError, match="float16 is unsupported in linalg"):
            low.call(*map(ad.Tensor, low.inputs))
        return
    # A Python number beside the array must not widen it either.
    out, pullback = ad.vjp(lambda *xs: low.of_active(*[x * 1.0 for x in xs]), *low.active)
    g = like(generator(case), out)
    kept = np.dtype(dtype)
    # The narrowest complex numbers are those of two float32.
    narrow = {np.finfo(kept).dtype, np.dtype(np.complex64)}
    assert {spec_of(leaf).dtype for leaf in tree.leaves(out)} <= narrow
    gradients = pullback(g)
    for gradient, x in zip(gradients, low.active, strict=True):
        assert spec_of(gradient) == spec_of(x)
    tangent_out = ad.jvp(low.of_active, low.active, like(generator(case), low.active))[1]
    assert [*map(spec_of, tree.leaves(tangent_out))] == [*map(spec_of, tree.leaves(out))]

    def twice(*xs: Any) -> Any:
        return ad.vjp(low.of_active, *xs)[1](g)

    again = ad.vjp(twice, *low.active)[1](gradients)
    for gradient, x in zip(again, low.active, strict=True):
        assert spec_of(gradient) == spec_of(x)
    if dtype is np.float32:
        full = case.with_inputs(lambda x: x)
        wanted = ad.vjp(full.of_active, *full.active)[1](
            tree.map_leaves(lambda leaf: leaf.astype(np.result_type(leaf, np.float64)), g)
        )
        for gradient, reference in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(gradient, reference, rtol=2e-4, atol=2e-4)


def _refuses_half(case: Case) -> bool:
    """Whether NumPy itself takes no half precision here: its linear algebra does not."""
    try:
        case.call(*case.inputs)
    except TypeError as error:
        return "float16 is unsupported in linalg" in str(error)
    return False


def _read_only(x: Any) -> Any:
    copy = np.array(x)
    copy.setflags(write=False)
    return copy


def _strided(x: Any) -> Any:
    """The same numbers with every stride doubled, axes stored the other way round, backwards."""
    x = np.asarray(x)
    buffer = np.full([2 * n + 1 for n in x.shape[::-1]], np.nan, x.dtype)
    view = buffer.T[(..., *(slice(2 * n - 1 if n else None, None, -2) for n in x.shape))]
    view = view[(..., *(slice(n) for n in x.shape))]
    view[...] = x
    return view


@smooth_cases
@pytest.mark.parametrize("layout", [_read_only, _strided])
def test_memory_layout_changes_nothing(case: Case, layout: Any) -> None:
    rng = generator(case)
    laid = case.with_inputs(layout)
    out, pullback = ad.vjp(case.of_active, *case.active)
    value, laid_pullback = ad.vjp(laid.of_active, *laid.active)
    close(value, out)
    g, tangents = like(rng, out), like(rng, case.active)
    laid_g = tree.map_leaves(lambda x: layout(x)[()], g)
    close(laid_pullback(laid_g), pullback(g))
    close(
        ad.jvp(laid.of_active, laid.active, tuple(layout(t)[()] for t in tangents))[1],
        ad.jvp(case.of_active, case.active, tangents)[1],
    )
    for x, original in zip(laid.active, case.active, strict=True):
        np.testing.assert_array_equal(x, original)


# --- what the tape keeps --------------------------------------------------------------------------


@smooth_cases
def test_derivative_needs_only_what_the_tape_saved(case: Case) -> None:
    for active in {(True,) * len(case.positions), *_singles(len(case.positions))}:
        inputs = [np.array(x) if isinstance(x, np.ndarray) else x for x in case.inputs]
        boxed = list(inputs)
        for position, flag in zip(case.positions, active, strict=True):
            if flag:
                boxed[position] = ad.Tensor(inputs[position])
        tensors = [x for x in boxed if isinstance(x, ad.Tensor)]
        out = case.call(*boxed)
        g = like(generator(case), out)
        wanted = ad.vjp(
            lambda *xs, flags=active: case.of_active(*_chosen(case.active, flags, xs)),
            *[x for x, flag in zip(case.active, active, strict=True) if flag],
        )[1](g)
        node = recorded_node(out)
        pullback = node.pullback
        assert isinstance(pullback, Pullback)
        assert node.saved is not None
        assert len(node.saved) == len(pullback.names)
        kept = arrays_in(node.saved)
        outs = [leaf._value for leaf in tree.leaves(out) if isinstance(leaf, ad.Tensor)]
        poisoned = poison([*inputs, *[t._value for t in tensors], *outs], kept)
        assert poisoned or not any(np.ndim(x) for x in inputs)
        total = sum(
            np.sum(np.real(leaf * seed))
            for leaf, seed in zip(tree.leaves(out), tree.leaves(g), strict=True)
            if isinstance(leaf, ad.Tensor)
        )
        total.backward()
        for tensor, gradient in zip(tensors, wanted, strict=True):
            found = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad
            np.testing.assert_allclose(found, gradient, rtol=1e-12, atol=1e-13)


def _singles(count: int) -> list[tuple[bool, ...]]:
    return [tuple(i == j for j in range(count)) for i in range(count)]


def _chosen(active: tuple[Any, ...], flags: tuple[bool, ...], given: tuple[Any, ...]) -> list[Any]:
    replacements = iter(given)
    return [next(replacements) if flag else x for x, flag in zip(active, flags, strict=True)]


# --- staging --------------------------------------------------------------------------------------


@smooth_cases
def test_staged_tape_has_the_same_value_and_derivatives(case: Case) -> None:
    tape = ad.record(case.of_active)(*case.active)
    tape.check()
    assert any(entry.primitive is case.primitive for entry in tape)
    rng = generator(case)
    other = tuple(case.examples()[1][i] for i in case.positions)
    out, pullback = ad.vjp(case.of_active, *other)
    staged, staged_pullback = ad.vjp(tape.evaluate, *other)
    close(staged, out)
    g, tangents = like(rng, out), like(rng, other)
    close(staged_pullback(g), pullback(g))
    close(ad.jvp(tape.evaluate, other, tangents)[1], ad.jvp(case.of_active, other, tangents)[1])
    gradient_tape = ad.record(lambda g, *xs: ad.vjp(case.of_active, *xs)[1](g))(g, *other)
    close(gradient_tape.evaluate(g, *other), pullback(g))


def test_parametrisation_covers_the_registry() -> None:
    kinds = {case.primitive.kind for case in CASES}
    assert {"elementwise", "linear", "multilinear", "general"} <= kinds
    assert len(SMOOTH) > 100
    assert all(len(list(group)) for _, group in itertools.groupby(CASES, lambda c: c.primitive))
