"""Tapes as ONNX models, run by ONNX's own reference implementation.

The registry is enumerated: a primitive is written, and what runs is held against the primitive, or
it is refused by name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from registry import CASES, PRIMITIVES, SMOOTH, Case

import autodiff as ad
from autodiff import nn, tree
from autodiff.core.primitive import Primitive
from autodiff.export.table import OPERATIONS, key_of
from autodiff.tape.entries import Variable

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")

BY_THEIR_DECLARATION = {
    "nn.losses.binary_cross_entropy",
    "nn.losses.softmax_cross_entropy",
    "nn.losses.softmax_excess",
    "ops.elementwise.squared_hypot",
    "ops.extrema.shares",
    "ops.linalg.norms.squared_norm",
    "ops.polynomials.horner",
    "scipy.ndimage.boundaries.extended",
    "scipy.sparse.products.entry_products",
    "scipy.sparse.products.sampled_matmul",
    "scipy.spatial.differences.across",
    "scipy.spatial.differences.euclidean_pairs",
    "scipy.spatial.differences.over_others",
}
"""Primitives without a rule, which are written as what they are declared to be made of."""

WRITTEN = {*OPERATIONS, *BY_THEIR_DECLARATION}

TOLERANCES = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-12}

SINGLE = {"erf"}
"""What the reference implementation computes in single precision whatever it is given."""


def loaded(content: bytes) -> Any:
    """The model, checked again as a reader would."""
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(content: bytes, *values: Any) -> list[Any]:
    """Run a model on values for its inputs in their order."""
    model = loaded(content)
    named = {
        entry.name: np.asarray(value)
        for entry, value in zip(model.graph.input, values, strict=True)
    }
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the reference overflows where it does not matter
        found = reference.ReferenceEvaluator(model).run(None, named)
    return [np.asarray(value) for value in found]


def agree(found: list[Any], wanted: Any, rtol: float | None = None) -> None:
    """Hold results against others: shapes, dtypes, numbers."""
    leaves, _ = tree.flatten(wanted)
    assert len(found) == len(leaves)
    for one, two in zip(found, leaves, strict=True):
        two = np.asarray(two)
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        near = TOLERANCES.get(two.dtype.name, 0.0) if rtol is None else rtol
        np.testing.assert_allclose(one, two, rtol=near, atol=near / 10)


def check(function: Callable[..., Any], *values: Any, rtol: float | None = None) -> Any:
    """Write what a function does, run it on the same values, return the model."""
    tape = ad.record(function)(*values)
    content = tape.to_onnx()
    leaves, _ = tree.flatten(values)
    agree(run(content, *leaves), tape.evaluate(*values), rtol)
    return loaded(content)


def is_complex(case: Case) -> bool:
    return any(
        np.iscomplexobj(x) for x in (*case.inputs, *tree.flatten(case.call(*case.inputs))[0])
    )


# --- the registry -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_primitive_is_written_or_refused_by_name(case: Case) -> None:
    tape = ad.record(case.call)(*case.inputs)
    written = key_of(case.primitive) in WRITTEN and not is_complex(case)
    if case.primitive.name == "sinc_derivative":
        written = case.params["order"] == 0
    if written:
        rtol = 1e-6 if case.primitive.name in SINGLE else None
        agree(run(tape.to_onnx(), *case.inputs), case.call(*case.inputs), rtol)
        return
    with pytest.raises(ad.ExportError, match="to_onnx: ONNX") as caught:
        tape.to_onnx()
    if is_complex(case):
        assert "complex numbers" in str(caught.value)
    else:
        assert f"\n  {case.primitive.name}, registry.py:" in str(caught.value)
        assert "What can be written: absolute, add," in str(caught.value)


DIFFERENTIATED = [
    case for case in SMOOTH if key_of(case.primitive) in WRITTEN and not is_complex(case)
]
WITHOUT = {"det", "exprel", "extended", "sampled_matmul", "sinc_derivative"}
"""Primitives whose derivatives are none that can be written."""


@pytest.mark.parametrize("case", DIFFERENTIATED, ids=repr)
def test_derivatives_are_written_as_well(case: Case) -> None:
    def total(*active: Any) -> Any:
        leaves, _ = tree.flatten(case.of_active(*active))
        return sum(np.sum(np.square(leaf)) for leaf in leaves)

    gradient = ad.grad(total, argnums=tuple(range(len(case.active))))
    tape = ad.record(gradient)(*case.active)
    if case.primitive.name in WITHOUT:
        with pytest.raises(ad.ExportError, match="to_onnx: ONNX models cannot hold"):
            tape.to_onnx()
        return
    rtol = 1e-6 if case.primitive.name in SINGLE else 1e-10
    agree(run(tape.to_onnx(), *case.active), gradient(*case.active), rtol)


def test_tables_name_primitives_that_exist() -> None:
    known = {key_of(p) for p in ad.REGISTRY.values()}
    there = {
        key
        for key in WRITTEN
        if not key.startswith("scipy.") or "scipy.special.declare.erf" in known
    }
    assert there <= known, "a rule for nothing"
    sampled = {key_of(case.primitive) for case in CASES}
    assert len(there & sampled) >= 80
    assert there - sampled == {key for key in there if key.startswith("nn.")} - sampled


def _singles(case: Case) -> tuple[Any, ...]:
    return tuple(
        np.asarray(x).astype(np.float32)[()] if np.asarray(x).dtype.kind == "f" else x
        for x in case.inputs
    )


SINGLES = [
    case
    for case in CASES
    if key_of(case.primitive) in OPERATIONS and not is_complex(case) and "dtype" not in case.params
]


@pytest.mark.parametrize("case", SINGLES, ids=repr)
def test_single_precision_stays(case: Case) -> None:
    values = _singles(case)
    wanted = case.call(*values)
    if case.params.get("order", 0):
        return  # refused above
    content = ad.record(case.call)(*values).to_onnx()
    agree(run(content, *values), wanted, 2e-5)
    kinds = {info.type.tensor_type.elem_type for info in loaded(content).graph.value_info}
    if all(x.dtype != np.float64 for x in tree.flatten(wanted)[0]):
        assert onnx.TensorProto.DOUBLE not in kinds


# --- numbers at the edge ----------------------------------------------------------------------

EDGES = np.array(
    [
        *(0.0, -0.0, 1.0, -1.0, 0.5, -0.3, 1e-10, -1e-10, 1e-300, 3.7, -2.5, 2.5, 30.0, -30.0),
        *(
            700.0,
            -750.0,
            1e4,
            -1e4,
            1e200,
            -1e200,
            np.inf,
            -np.inf,
            np.nan,
            0.999999,
            0.49999,
            0.5000001,
        ),
    ]
)


def _grid(primitive: Primitive, dtype: Any) -> Iterator[Any]:
    """Every value with every other, of the dtypes that the primitive takes."""
    axes = [EDGES, EDGES, EDGES[:8]][: len(primitive.inputs)]
    sample = next(case for case in CASES if case.primitive is primitive)
    values = [part.ravel() for part in np.meshgrid(*axes, indexing="ij")]
    for value, example in zip(values, sample.inputs, strict=True):
        kind = np.asarray(example).dtype.kind
        if kind == "b":
            yield value > 0
        elif kind == "i":
            yield np.clip(np.nan_to_num(value), -2000, 2000).astype(np.int64)
        else:
            yield value.astype(dtype)


ELEMENTWISE = [
    p for p in PRIMITIVES if p.kind == "elementwise" and key_of(p) in OPERATIONS and p.name != "erf"
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("primitive", ELEMENTWISE, ids=lambda p: p.name)
def test_infinities_and_zeros_are_as_numpy_has_them(primitive: Primitive, dtype: Any) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = list(_grid(primitive, dtype))
        if primitive.name == "tanh_slope":
            values = [values[0], np.tanh(values[0])]  # it is a function of these alone
        tape = ad.record(lambda *xs: primitive(*xs))(*values)
        (found,) = run(tape.to_onnx(), *values)
        wanted = np.asarray(primitive(*values))
    assert found.dtype == wanted.dtype
    tiny = float(np.finfo(dtype).tiny)
    np.testing.assert_allclose(found, wanted, rtol=TOLERANCES[np.dtype(dtype).name], atol=tiny)


@pytest.mark.parametrize("function", [ad.softmax, ad.log_softmax, ad.logsumexp])
def test_rows_without_any_share(function: Any) -> None:
    x = np.array([[1e4, -np.inf, 0.0], [-np.inf, -np.inf, -np.inf], [800.0, 799.0, -800.0]])
    with np.errstate(all="ignore"):
        check(lambda x: function(x, axis=-1), x)


# --- dtypes -----------------------------------------------------------------------------------

INTEGERS = np.array([7, -7, 6, -6, 2**53 + 1, 0]), np.array([2, 2, -4, -3, 3, 5])


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: x * y,
        lambda x, y: x / y,
        lambda x, y: x // y,
        lambda x, y: x % y,
        lambda x, y: np.fmod(x, y),
        lambda x, y: x & y,
        lambda x, y: x | y,
        lambda x, y: x ^ y,
        lambda x, y: ~x,
        lambda x, y: -x,
        lambda x, y: np.where(x > y, x, y),
        lambda x, y: np.maximum(x, y),
        lambda x, y: np.floor(x),
        lambda x, y: np.trunc(x),
        lambda x, y: np.sqrt(np.abs(x)),
        lambda x, y: np.isfinite(x),
        lambda x, y: np.sum(x > 0) + np.mean(y),
        lambda x, y: np.cumsum(x > 0),
        lambda x, y: np.max(x > y),
        lambda x, y: np.argmax(x > y),
        lambda x, y: (x > 0) * (y > 2) + (x < 0),
        lambda x, y: (x > 0) > (y > 2),
        lambda x, y: (x == 7) & (y != 2.0),
        lambda x, y: x.astype(np.float32) * 1.5,
        lambda x, y: (x % 100 * 0.3).astype(np.int32),
        lambda x, y: x.astype(bool),
    ],
)
def test_integers_and_truth_values(function: Any) -> None:
    check(function, *INTEGERS)


def test_numbers_have_no_dtype_of_their_own() -> None:
    x = np.array([0.1, -0.2], np.float32)
    model = check(lambda x: (x * 2 + 0.1 > 0.30000001) * x**2 / 3, x)
    kinds = {info.type.tensor_type.elem_type for info in model.graph.value_info}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL}


def test_half_precision() -> None:
    x = np.linspace(-2, 2, 12).astype(np.float16).reshape(3, 4)
    check(lambda x: np.mean(np.tanh(x) * 2, axis=0), x)


def test_a_number_that_does_not_fit_is_refused() -> None:
    tape = ad.record(lambda x: x < 300)(np.array([1, 2], np.uint8))
    with pytest.raises(ad.ExportError, match="300 is no uint8"):
        tape.to_onnx()


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex64])
def test_dtypes_that_do_not_exist_there(dtype: Any) -> None:
    name = np.dtype(dtype).name
    with pytest.raises(ad.ExportError, match=f"know no .*{name}"):
        ad.record(lambda x: x * 2)(np.ones(2, dtype)).to_onnx()
    with pytest.raises(ad.ExportError, match=f"know no .*{name}"):
        ad.record(lambda x: np.real(x.astype(dtype)).astype(float))(np.ones(2)).to_onnx()


def test_an_operator_that_takes_no_such_dtype_is_refused() -> None:
    x = np.arange(6, dtype=np.int16).reshape(2, 3)
    with pytest.raises(ad.ExportError, match="ONNX's MatMul takes no int16"):
        ad.record(lambda x: x @ x.T)(x).to_onnx()


# --- places -----------------------------------------------------------------------------------

ROWS, COLUMNS = np.array([[0, 2], [-1, 1]]), np.array([1, -2])
KEYS: list[Any] = [
    (),
    1,
    -1,
    None,
    Ellipsis,
    slice(1, None),
    slice(None, None, -1),
    slice(-2, 0, -1),
    slice(5, 2),
    (0, slice(1, 3), -1),
    (slice(None), None, 2, slice(None, None, 2)),
    (Ellipsis, None, 0),
    (1, 2, 3),
    ROWS,
    (ROWS, None),
    (None, ROWS),
    (slice(None), ROWS),
    (slice(None), ROWS, COLUMNS),
    (ROWS, slice(None), COLUMNS),
    (ROWS, None, COLUMNS),
    (None, slice(None), ROWS, None, COLUMNS),
    (slice(None), 1, COLUMNS),
    (1, slice(None), COLUMNS),
    (ROWS, COLUMNS, ROWS),
    (slice(None, None, 2), slice(1, None), COLUMNS),
    np.arange(24).reshape(3, 4, 2)[..., 0] % 2 == 0,
]


def _array() -> Any:
    return np.arange(60.0).reshape(3, 4, 5) / 7


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_reading_at_an_index(key: Any) -> None:
    check(lambda x: x[key], _array())
    check(ad.grad(lambda x: np.sum(np.square(x[key]))), _array())


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_writing_at_an_index(key: Any) -> None:
    def function(x: Any, v: Any) -> Any:
        x = x * 1
        x[key] = v
        return x

    shape = _array()[key].shape
    check(function, _array(), -1.0)
    check(function, _array(), np.arange(float(np.prod(shape))).reshape(shape))
    if shape:
        check(function, _array(), np.arange(float(np.prod(shape))).reshape((1, *shape)))


def test_many_places_are_not_in_the_file() -> None:
    def function(x: Any) -> Any:
        x = x * 1
        x[::2, 1:] = 0.0
        return x

    content = ad.record(function)(np.ones((200, 100))).to_onnx()
    assert len(content) < 5000
    check(function, np.ones((200, 100)))


@pytest.mark.parametrize(
    "read",
    [
        lambda x, i, j: x[i],
        lambda x, i, j: x[:, j],
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[i, :, j],
        lambda x, i, j: x[:, i, None, j],
        lambda x, i, j: np.take_along_axis(x[0, :2], i, axis=1),
    ],
)
def test_indices_that_are_inputs(read: Any) -> None:
    check(read, _array(), ROWS, COLUMNS)
    check(ad.grad(lambda x, i, j: np.sum(np.square(read(x, i, j)))), _array(), ROWS, COLUMNS)


def test_assignment_at_a_computed_index_is_refused() -> None:
    def function(x: Any, i: Any) -> Any:
        x = x * 1
        x[i] = 0.0
        return x

    tape = ad.record(function)(_array(), COLUMNS)
    with pytest.raises(ad.ExportError, match="assigns at an index that is computed"):
        tape.to_onnx()


# --- programs ---------------------------------------------------------------------------------


def network(dtype: Any = float) -> Any:
    return tree.map_leaves(
        lambda w: w.astype(dtype), nn.arrays(nn.MLP([3, 5, 4], activation="tanh", seed=0))
    )


def loss(model: Any, x: Any, labels: Any) -> Any:
    return nn.softmax_cross_entropy(model(x), labels)


BATCH = np.linspace(-1, 1, 6).reshape(2, 3), np.array([1, 3])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_training_step(dtype: Any) -> None:
    x, labels = BATCH

    def step(model: Any, x: Any, labels: Any) -> Any:
        value, slopes = ad.value_and_grad(loss)(model, x, labels)
        return value, tree.map_leaves(lambda w, g: w - 0.1 * g, model, slopes)

    model = check(step, network(dtype), x.astype(dtype), labels, rtol=1e-5)
    kinds = {output.type.tensor_type.elem_type for output in model.graph.output}
    assert kinds == {onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))}


def convolution(image: Any, kernels: Any, weights: Any) -> Any:
    patches = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(1, 2))
    features = ad.relu(np.einsum("bijkl,okl->boij", patches, kernels))
    return np.mean(features, axis=(2, 3)) @ weights


def attention(x: Any, queries: Any, keys: Any, values: Any) -> Any:
    scores = (x @ queries) @ np.swapaxes(x @ keys, -1, -2) / np.sqrt(4.0)
    mask = np.tril(np.ones(scores.shape[-2:], bool))
    return ad.softmax(np.where(mask, scores, -np.inf), axis=-1) @ (x @ values)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (convolution, [(2, 6, 7), (4, 3, 3), (4, 3)]),
        (attention, [(2, 5, 4), (4, 4), (4, 4), (4, 4)]),
        (lambda x, k: np.convolve(x, k, "same"), [(9,), (4,)]),
        (lambda x: np.std(np.sort(x, axis=0), axis=1), [(4, 3)]),
        (lambda x: np.linalg.norm(x, axis=1) + np.var(x, axis=1), [(4, 3)]),
        (lambda x: np.stack(np.split(np.roll(x, 1, axis=0), 2)), [(4, 3)]),
        (lambda x: np.outer(x, x)[np.triu_indices(3)], [(3,)]),
        (lambda x: ad.scan(lambda c, v: (np.tanh(c + v), c * v), x[0] * 0, x), [(5, 2)]),
        (lambda x: ad.checkpoint(lambda x: np.sin(x) ** 2)(x), [(3,)]),
        (lambda x: ad.vmap(lambda x: np.cumsum(x)[::-1] * np.max(x))(x), [(3, 4)]),
        (lambda x: ad.hessian(lambda x: np.sum(np.tanh(x) ** 3))(x), [(3,)]),
    ],
)
def test_programs_and_their_gradients(function: Any, shapes: Any) -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape) for shape in shapes]
    check(function, *values, rtol=1e-9)

    def total(*xs: Any) -> Any:
        leaves, _ = tree.flatten(function(*xs))
        return sum(np.sum(np.square(leaf)) for leaf in leaves)

    check(ad.value_and_grad(total, argnums=tuple(range(len(values)))), *values, rtol=1e-9)


def test_the_tape_of_a_loss() -> None:
    w = ad.Tensor(np.linspace(-1, 1, 3), name="w")
    tape = np.sum(np.tanh(w) ** 2).tape
    found = run(tape.to_onnx(), w.data)
    agree(found, np.sum(np.tanh(w.data) ** 2))


def test_a_primitive_of_ones_own_is_written_as_its_function() -> None:
    @ad.elementwise(d_x=lambda x: 1.0)
    def swish(x: Any) -> Any:
        return x / (1.0 + np.exp(-x))

    check(lambda x: swish(x) * 2, np.linspace(-1, 1, 4))


# --- names ------------------------------------------------------------------------------------


def test_names_are_the_tapes(tmp_path: Path) -> None:
    tape = ad.record(ad.value_and_grad(loss))(network(), *BATCH)
    path = tape.to_onnx(tmp_path / "step.onnx", title="a step")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    names = tape.names()
    assert [entry.name for entry in model.graph.input] == [names[v] for v in tape.inputs]
    outputs = [entry.name for entry in model.graph.output]
    assert outputs[:2] == ["output[0]", "gradient of model.layers[0].weight"]
    assert len(set(outputs)) == len(tape.outputs)
    nodes = [node.name for node in model.graph.node]
    assert len(set(nodes)) == len(nodes)
    assert nodes[0] == "MLP/layers[0]/matmul"
    assert any(name.startswith("backward/MLP/layers[1]/") for name in nodes)
    assert model.graph.node[0].doc_string.startswith("test_onnx.py:")
    assert model.graph.name == "a step"
    assert model.producer_name == "autodiff"
    assert model.producer_version == ad.__version__
    assert model.doc_string.startswith(f"Written by autodiff {ad.__version__} from a tape of ")


def test_every_value_has_its_shape_and_dtype() -> None:
    tape = ad.record(ad.value_and_grad(loss))(network(), *BATCH)
    graph = loaded(tape.to_onnx()).graph
    known = {info.name: info for info in (*graph.value_info, *graph.input, *graph.output)}
    for node in graph.node:
        for name in node.output:
            assert known[name].type.tensor_type.HasField("shape"), name
            assert known[name].type.tensor_type.elem_type
    names = tape.names()
    outputs = {o for o in tape.outputs if isinstance(o, Variable)}
    for variable in tape.variables:
        if variable not in outputs:
            dims = known[names[variable]].type.tensor_type.shape.dim
            assert tuple(dim.dim_value for dim in dims) == variable.spec.shape


def test_calls_have_paths_of_their_own() -> None:
    def block(x: Any) -> Any:
        return np.tanh(x)

    graph = check(lambda x: block(block(x)), np.ones(2)).graph
    assert [node.name for node in graph.node] == ["block/tanh", "block_2/tanh"]


def test_outputs_that_nothing_computes() -> None:
    constant = np.arange(3.0)

    def function(x: Any) -> Any:
        y = x * 2
        return x, y, y, constant, {"x": x}

    graph = check(function, np.ones(3)).graph
    names = [entry.name for entry in graph.output]
    assert names == ["output[0]", "output[1]", "output[2]", "output[3]", "output[4]['x']"]


def test_names_that_collide() -> None:
    def function(output: Any, tanh: Any) -> Any:
        return np.tanh(output) * ad.name(np.sinh(tanh), "constant") * 3.0

    graph = check(function, np.ones(3), np.ones(3)).graph
    assert [entry.name for entry in graph.input] == ["output", "tanh"]
    assert [entry.name for entry in graph.output] == ["output_2"]


# --- what is refused --------------------------------------------------------------------------


def test_a_tape_that_looked_at_a_value_is_refused() -> None:
    tape = ad.record(lambda x: x * 2 if x > 0 else x)(1.0)
    with pytest.raises(ad.ExportError, match=r"looked at a value \(bool\(\), test_onnx.py:\d+\)"):
        tape.to_onnx()


def test_a_solver_is_refused_or_written_as_what_it_did() -> None:
    """What looks at values stops when it is done, which a model could not."""

    def newton(p: Any) -> Any:
        x = 2.0
        for _ in range(20):
            x = x - (x**3 + x - p) / (3 * x * x + 1)
        return x

    def until_done(p: Any) -> Any:
        x = newton(p)
        while abs(x**3 + x - p) > 1e-6:
            x = newton(p)
        return x

    check(ad.root(lambda x, p: x**3 + x - p, newton), 10.0)
    with pytest.raises(ad.ExportError, match="looked at a value"):
        ad.record(ad.root(lambda x, p: x**3 + x - p, until_done))(10.0).to_onnx()


def test_all_refused_operations_are_named() -> None:
    tape = ad.record(lambda x: np.linalg.inv(np.linalg.cholesky(x)))(np.eye(3))
    with pytest.raises(ad.ExportError) as caught:
        tape.to_onnx()
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("  cholesky, test_onnx.py:")
    assert lines[2].startswith("  inv, test_onnx.py:")


def test_where_a_refused_derivative_comes_from() -> None:
    with pytest.raises(ad.ExportError) as caught:
        ad.record(ad.grad(lambda x: np.linalg.det(x)))(np.eye(2)).to_onnx()
    line = str(caught.value).splitlines()[1]
    assert line.startswith("  cofactors, in the derivative of det, test_onnx.py:")


def test_constants_without_values_are_refused() -> None:
    w = ad.Tensor(np.ones(3))
    tape = np.sum(w + np.arange(3.0)).tape
    with pytest.raises(ad.ExportError, match=r"add.*: the tape keeps only the shape of a constant"):
        tape.to_onnx()


def test_files(tmp_path: Path) -> None:
    tape = ad.record(lambda x: x * 2)(1.0)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        tape.to_onnx(tmp_path / "nowhere" / "tape.onnx")


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install \"autodiff\[onnx\]\""):
        ad.record(lambda x: x * 2)(1.0).to_onnx()
