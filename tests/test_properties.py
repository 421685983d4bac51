"""Random programs, einsums and indices against finite differences and dense references."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import close, like, pairing

import autodiff as ad
from autodiff import tree
from autodiff.ops.index import setitem

Shape = tuple[int, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]

shapes = st.lists(st.sampled_from([1, 2, 3, 3, 0]), max_size=3).map(tuple)
seeds = st.integers(0, 2**32 - 1)

# --- programs -------------------------------------------------------------------------------------
# A program is a list of steps, each a function of the values so far; it is drawn once, with the
# shapes, and then run on arrays, Tensors, tangents and batches alike.

SMOOTH: list[Callable[[Any], Any]] = [
    np.sin,
    np.tanh,
    np.square,
    np.arctan,
    ad.sigmoid,
    ad.softplus,
    np.negative,
    lambda x: np.exp(x / 4),
    lambda x: np.log(x * x + 1),
    lambda x: np.sqrt(x**2 + 0.5),
    lambda x: 1 / (2 + np.cos(x)),
    lambda x: 2 - 3 * x,
]
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / (1.5 + np.sin(y)),
    lambda x, y: np.hypot(x, y + 7),
    np.logaddexp,
    lambda x, y: np.arctan2(x, 3 + np.tanh(y)),
    lambda x, y: (2 + np.tanh(x)) ** np.tanh(y),
]
REDUCING: list[Callable[..., Any]] = [np.sum, np.mean, ad.logsumexp, np.prod]


def _axes(draw: Draw, shape: Shape) -> Shape | int | None:
    if not shape:
        return None
    chosen = draw(st.lists(st.integers(-len(shape), len(shape) - 1), max_size=2))
    axes = tuple({a % len(shape): a for a in chosen}.values())
    return draw(st.sampled_from([None, axes, shape.index(max(shape))])) if axes else None


def _reshaped(draw: Draw, shape: Shape) -> Shape:
    size = int(np.prod(shape))
    divisors = [n for n in range(1, size + 1) if size % n == 0]
    options = [(size,), (1, size), (-1,), (*shape, 1)]
    options += [(n, size // n) for n in divisors]
    return draw(st.sampled_from(options)) if size else (*shape, 1)


def _step(draw: Draw, known: list[Shape]) -> Callable[[list[Any]], Any]:
    """Draw one operation on the values so far; raises nothing on their shapes."""
    i = draw(st.integers(0, len(known) - 1))
    shape = known[i]
    kind = draw(
        st.sampled_from(["smooth", "binary", "binary", "reduce", "shape", "index", "matmul"])
    )
    if kind == "binary":
        partners = [j for j, other in enumerate(known) if _broadcast(shape, other) is not None]
        j = draw(st.sampled_from(partners))
        operation = draw(st.sampled_from(BINARY))
        return lambda values: operation(values[i], values[j])
    if kind == "reduce":
        axis, keep = _axes(draw, shape), draw(st.booleans())
        reduce = draw(st.sampled_from(REDUCING))
        count = (
            int(np.prod([shape[a] for a in np.atleast_1d(axis)]))
            if axis is not None
            else (int(np.prod(shape)))
        )
        if not count and reduce is not np.prod:
            reduce = np.sum
        return lambda values: reduce(values[i], axis=axis, keepdims=keep)
    if kind == "shape":
        order = tuple(draw(st.permutations(range(len(shape)))))
        target = _reshaped(draw, shape)
        changes: list[Callable[[Any], Any]] = [
            lambda x: np.transpose(x, order),
            lambda x: np.reshape(x, target),
            lambda x: np.broadcast_to(x, (2, *shape)),
            lambda x: np.expand_dims(x, 0),
            np.squeeze,
            lambda x: np.stack([x, 2 * x], axis=-1),
            lambda x: np.concatenate([np.ravel(x), np.ravel(x) ** 2]),
            lambda x: np.pad(x, 1),
        ]
        change = draw(st.sampled_from(changes))
        return lambda values: change(values[i])
    if kind == "index" and shape:
        key = tuple(_basic(draw, n) for n in shape[: draw(st.integers(0, len(shape)))])
        return lambda values: values[i][key]
    if kind == "matmul" and shape:
        partners = [j for j, other in enumerate(known) if _multipliable(shape, other)]
        if partners:
            j = draw(st.sampled_from(partners))
            return lambda values: values[i] @ values[j]
    operation_ = draw(st.sampled_from(SMOOTH))
    return lambda values: operation_(values[i])


def _broadcast(one: Shape, other: Shape) -> Shape | None:
    try:
        return np.broadcast_shapes(one, other)
    except ValueError:
        return None


def _multipliable(one: Shape, other: Shape) -> bool:
    try:
        np.matmul(np.zeros(one), np.zeros(other))
    except ValueError:
        return False
    return True


def _basic(draw: Draw, length: int) -> Any:
    """Slice, or an integer where there is one to take."""
    bound = st.none() | st.integers(-length - 1, length + 1)
    step = draw(st.sampled_from([None, 1, 2, -1, -2]))
    piece = slice(draw(bound), draw(bound), step)
    return draw(st.integers(-length, length - 1) | st.just(piece)) if length else piece


@st.composite
def programs(draw: Draw) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A random program of one to three inputs, and inputs for it."""
    rng = np.random.default_rng(draw(seeds))
    inputs = [rng.uniform(-1.5, 1.5, draw(shapes))[()] for _ in range(draw(st.integers(1, 3)))]
    steps: list[Callable[[list[Any]], Any]] = []
    values: list[Any] = list(inputs)
    for _ in range(draw(st.integers(1, 6))):
        step = _step(draw, [np.shape(v) for v in values])
        value = step(values)
        if np.size(value) > 60 or not np.isfinite(value).all() or np.abs(value).max(initial=0) > 50:
            continue
        steps.append(step)
        values.append(value)

    def program(*xs: Any) -> Any:
        found = list(xs)
        for step in steps:
            found.append(step(found))
        return tuple(found[len(xs) :][-2:]) if steps else found[0] * 2

    return program, tuple(inputs)


@settings(max_examples=1000)
@given(programs(), seeds)
def test_random_program_has_the_derivative_of_its_differences(
    drawn: tuple[Callable[..., Any], tuple[Any, ...]], seed: int
) -> None:
    program, inputs = drawn
    rng = np.random.default_rng(seed)
    tangents = like(rng, inputs)
    out, tangent_out = ad.jvp(program, inputs, tangents)
    value, pullback = ad.vjp(program, *inputs)
    close(value, program(*inputs), rtol=1e-13)
    g = like(rng, out)
    gradients = pullback(g)
    for gradient, x in zip(gradients, inputs, strict=True):
        assert np.shape(gradient) == np.shape(x)

    def along(h: float) -> float:
        return pairing(g, program(*[x + h * t for x, t in zip(inputs, tangents, strict=True)]))

    quotients = [(along(h) - along(-h)) / (2 * h) for h in (2e-4, 1e-4)]
    wanted = (4 * quotients[1] - quotients[0]) / 3
    size = 1 + sum(float(np.abs(leaf).sum()) for leaf in (*gradients, *tangent_out))
    assert abs(pairing(g, tangent_out) - wanted) <= 1e-7 * size
    assert abs(pairing(gradients, tangents) - wanted) <= 1e-7 * size


@settings(max_examples=300)
@given(programs(), seeds)
def test_random_program_staged_batched_and_twice_differentiated(
    drawn: tuple[Callable[..., Any], tuple[Any, ...]], seed: int
) -> None:
    program, inputs = drawn
    rng = np.random.default_rng(seed)
    g = like(rng, program(*inputs))

    def gradient(*xs: Any) -> Any:
        return ad.vjp(program, *xs)[1](g)

    wanted = gradient(*inputs)
    close(ad.record(gradient)(*inputs).evaluate(*inputs), wanted)
    moved = [inputs, tuple(x * 0.9 for x in inputs)]
    stacked = tuple(np.stack(column) for column in zip(*moved, strict=True))
    rows = [gradient(*row) for row in moved]
    batched = ad.vmap(gradient)(*stacked)
    close(batched, tuple(np.stack(column) for column in zip(*rows, strict=True)), rtol=1e-10)
    # The Hessian of <g, program> is symmetric: u H v is v H u, forward over reverse and reverse
    # over forward.
    u, v = like(rng, inputs), like(rng, inputs)
    forward_over_reverse = pairing(v, ad.jvp(gradient, inputs, u)[1])

    def slope(*xs: Any) -> Any:
        tangents = tree.leaves(ad.jvp(program, xs, v)[1])
        return sum(np.sum(a * b) for a, b in zip(tree.leaves(g), tangents, strict=True))

    reverse_over_forward = pairing(ad.vjp(slope, *inputs)[1](1.0), u)
    size = 1 + abs(forward_over_reverse)
    assert abs(forward_over_reverse - reverse_over_forward) <= 1e-9 * size


# --- einsum ---------------------------------------------------------------------------------------


@st.composite
def einsums(draw: Draw) -> tuple[str, tuple[Any, ...]]:
    """Random subscripts: repeated labels, lonely labels, 0-d operands, an ellipsis."""
    rng = np.random.default_rng(draw(seeds))
    lengths = {label: draw(st.sampled_from([1, 2, 3])) for label in "ijkl"}
    terms = draw(st.lists(st.lists(st.sampled_from("ijkl"), max_size=3), min_size=1, max_size=3))
    used = sorted({label for term in terms for label in term})
    output = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
    dots = draw(st.booleans())
    operands = []
    for term in terms:
        shape = [lengths[label] for label in term]
        lead = [2] if dots and draw(st.booleans()) else []
        operands.append(rng.standard_normal([*lead, *shape])[()])
    prefix = "..." if dots else ""
    subscripts = ",".join(prefix + "".join(term) for term in terms)
    return f"{subscripts}->{prefix}{''.join(output)}", tuple(operands)


@settings(max_examples=500)
@given(einsums(), seeds)
def test_random_einsum(drawn: tuple[str, tuple[Any, ...]], seed: int) -> None:
    subscripts, operands = drawn
    rng = np.random.default_rng(seed)
    wanted = np.einsum(subscripts, *operands)
    out, pullback = ad.vjp(lambda *xs: np.einsum(subscripts, *xs), *operands)
    close(out, wanted, rtol=1e-12, atol=1e-12)
    g, tangents = like(rng, wanted), like(rng, operands)
    gradients = pullback(g)
    assert list(map(np.shape, gradients)) == list(map(np.shape, operands))
    # It is linear in each operand: the derivative is the product with one operand replaced.
    for i, (gradient, tangent) in enumerate(zip(gradients, tangents, strict=True)):
        replaced = [*operands[:i], tangent, *operands[i + 1 :]]
        expected = pairing(g, np.einsum(subscripts, *replaced))
        np.testing.assert_allclose(pairing(gradient, tangent), expected, rtol=1e-9, atol=1e-10)
    pushed = ad.jvp(lambda *xs: np.einsum(subscripts, *xs), operands, tangents)[1]
    np.testing.assert_allclose(
        pairing(g, pushed), pairing(gradients, tangents), rtol=1e-9, atol=1e-10
    )


# --- indexing -------------------------------------------------------------------------------------


def _advanced(draw: Draw, length: int) -> Any:
    shape = draw(st.sampled_from([(), (1,), (3,), (2, 1), (2, 3), (0,)]))
    if not length:
        return np.zeros((0,), int)
    size = int(np.prod(shape))
    numbers = draw(st.lists(st.integers(-length, length - 1), min_size=size, max_size=size))
    array = np.array(numbers, dtype=int).reshape(shape)
    return draw(st.sampled_from([array, array.tolist()]))


@st.composite
def keys(draw: Draw, shape: Shape) -> Any:
    """Random index: integers, slices, arrays, masks, None, an ellipsis."""
    entries: list[Any] = []
    axis = 0
    ellipsis = draw(st.booleans())
    stop = draw(st.integers(0, len(shape)))
    while axis < stop:
        kind = draw(st.sampled_from(["basic", "basic", "advanced", "mask", "mask2", "none"]))
        if kind == "none":
            entries.append(None)
            stop = max(stop - draw(st.integers(0, 1)), axis)
            continue
        if kind == "mask2" and axis + 2 <= stop:
            window = shape[axis : axis + 2]
        elif kind in ("mask", "mask2"):
            window = shape[axis : axis + 1]
        else:
            entries.append((_basic if kind == "basic" else _advanced)(draw, shape[axis]))
            axis += 1
            continue
        size = int(np.prod(window))
        bits = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        entries.append(np.array(bits, dtype=bool).reshape(window))
        axis += len(window)
    if ellipsis:
        # Arrays count from the left, so the ellipsis goes last or before a fresh tail.
        entries.append(Ellipsis)
        if axis < len(shape) and draw(st.booleans()):
            entries.append(_basic(draw, shape[-1]))
    if len(entries) == 1 and draw(st.booleans()) and not isinstance(entries[0], list):
        return entries[0]
    return tuple(entries)


@st.composite
def indexed(draw: Draw) -> tuple[Shape, Any]:
    """A shape and an index that NumPy accepts for it."""
    shape = draw(shapes)
    for _ in range(10):
        key = draw(keys(shape))
        try:
            np.zeros(shape)[key]
        except IndexError:
            continue
        return shape, key
    return shape, Ellipsis


@settings(max_examples=1000)
@given(indexed(), seeds)
def test_random_indexing_is_its_dense_matrix(drawn: tuple[Shape, Any], seed: int) -> None:
    shape, key = drawn
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)[()]
    wanted = np.asarray(x)[key]
    out, pullback = ad.vjp(lambda x: x[key], x)
    close(out, wanted[()] if isinstance(wanted, np.ndarray) else wanted, rtol=0, atol=0)
    g = like(rng, wanted)
    positions = np.arange(np.size(x)).reshape(shape)[key]
    dense = (
        np.bincount(np.ravel(positions), weights=np.ravel(g), minlength=np.size(x))
        .astype(float)
        .reshape(shape)
    )
    np.testing.assert_allclose(pullback(g)[0], dense, rtol=1e-13)
    tangent = like(rng, x)
    close(ad.jvp(lambda x: x[key], (x,), (tangent,))[1], np.asarray(tangent)[key][()])
    batch = np.stack([x, 2 * np.asarray(x)])
    close(ad.vmap(lambda x: x[key])(batch), np.stack([wanted, 2 * wanted]))
    close(
        ad.vmap(lambda x, g: ad.vjp(lambda x: x[key], x)[1](g)[0])(batch, np.stack([g, 2 * g])),
        np.stack([dense, 2 * dense]),
        rtol=1e-12,
    )


@settings(max_examples=800)
@given(indexed(), seeds, st.integers(0, 3))
def test_random_assignment_is_its_dense_matrix(
    drawn: tuple[Shape, Any], seed: int, variant: int
) -> None:
    shape, key = drawn
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    selected = np.shape(np.asarray(x)[key])
    value_shape = (
        selected,
        (),
        selected[1:],
        tuple(1 if i % 2 else n for i, n in enumerate(selected)),
    )[variant]
    v = rng.standard_normal(value_shape)

    def assigned(x: Any, v: Any) -> Any:
        x = x * 1.0
        x[key] = v * 1.0
        return x

    wanted = x.copy()
    wanted[key] = v
    out, pullback = ad.vjp(assigned, x[()], v[()])
    np.testing.assert_array_equal(out, wanted)
    # Which number of (x, v) stands at each place of the result.
    owner = np.arange(x.size).reshape(shape)
    owner[key] = x.size + np.arange(v.size).reshape(value_shape)
    g = like(rng, wanted)
    dense = np.bincount(np.ravel(owner), weights=np.ravel(g), minlength=x.size + v.size)
    found = pullback(g[()])
    np.testing.assert_allclose(found[0], dense[: x.size].reshape(shape), rtol=1e-13)
    np.testing.assert_allclose(found[1], dense[x.size :].reshape(value_shape), rtol=1e-13)
    tangents = like(rng, (x, v))
    pushed = ad.jvp(assigned, (x[()], v[()]), tangents)[1]
    joined = np.concatenate([np.ravel(tangents[0]), np.ravel(tangents[1])])
    np.testing.assert_allclose(pushed, joined[owner] if owner.size else np.zeros(shape))
    for axes in ((0, 0), (0, None), (None, 0)):
        xs = [x, x if axes[0] is None else 2 * x]
        vs = [v, v if axes[1] is None else 3 * v]
        rows = [np.array(row) for row in xs]
        for row, value in zip(rows, vs, strict=True):
            row[key] = value
        arguments = [
            column[0][()] if axis is None else np.stack(column)
            for column, axis in zip((xs, vs), axes, strict=True)
        ]
        close(ad.vmap(lambda x, v: setitem(x, key, v), axes)(*arguments), np.stack(rows))


# --- reductions, all keywords ---------------------------------------------------------------------


@settings(max_examples=500)
@given(shapes, st.data(), seeds)
def test_reductions_with_keywords(shape: Shape, data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.permutation(int(np.prod(shape))).reshape(shape) * 0.25 - 1.1
    axis = _axes(data.draw, shape)
    mask = rng.random(shape) < 0.7
    function = data.draw(
        st.sampled_from([np.sum, np.mean, np.prod, np.max, np.min, np.var, np.std])
    )
    keywords: dict[str, Any] = {"axis": axis, "keepdims": data.draw(st.booleans())}
    if function in (np.sum, np.prod, np.max, np.min) and data.draw(st.booleans()):
        keywords["initial"] = 0.37
        if data.draw(st.booleans()):
            keywords["where"] = mask
    lengths = [shape[a] for a in np.atleast_1d(axis)] if axis is not None else list(shape)
    if function in (np.mean, np.var, np.std) and int(np.prod(lengths)) < 2:
        function = np.sum
    if function in (np.max, np.min) and "initial" not in keywords and 0 in lengths:
        function = np.sum
    wanted = function(x, **keywords)
    out, pullback = ad.vjp(lambda x: function(x, **keywords), x[()])
    close(out, wanted, rtol=1e-12, atol=1e-12)
    if np.size(x) <= 12:
        ad.check_grads(lambda x: function(x, **keywords), (x[()],), order=1)
    assert np.shape(pullback(like(rng, wanted))[0]) == shape


def test_samplers_reach_the_corners() -> None:
    """Shapes of 0, 1, 2 and 3 axes with lengths 0 and 1 among them can be drawn."""
    found: set[Any] = set()

    @settings(max_examples=200)
    @given(shapes)
    def collect(shape: Shape) -> None:
        found.update([len(shape), *(("length", n) for n in shape)])

    collect()
    assert found >= {0, 1, 2, 3, ("length", 0), ("length", 1), ("length", 3)}
    assert len(list(itertools.product(SMOOTH, BINARY))) > 50
