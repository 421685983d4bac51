"""Linear maps: every structure against its matrix, and the local Jacobian of every primitive."""

import itertools

import numpy as np
import pytest

import autodiff as ad
from autodiff import tree
from autodiff.core.spec import is_inexact, spec_of
from autodiff.errors import AutodiffError
from autodiff.ordering import maps
from autodiff.ordering.local import local_jacobian, operation_at
from tests.registry import DOMAINS, SMOOTH, Case

rng = np.random.default_rng(3)


def normal(*shape):
    return rng.standard_normal(shape)


def sampled():
    """Maps between arrays of 12 elements (and some others), of every structure."""
    shape = (2, 3, 2)
    permutation = rng.permutation(12)
    return {
        "zero": maps.Zero(shape, shape),
        "identity": maps.Identity(shape),
        "minus": maps.Scaled(-1, shape),
        "scaled": maps.Scaled(2.5, shape),
        "diagonal": maps.Diagonal(normal(12), shape, shape),
        "dense": maps.Dense(normal(12, 12), shape, shape),
        "left": maps.Block(normal(1, 2, 2, 1), 1, 6, shape, shape),
        "right": maps.Block(normal(1, 2, 2, 1), 6, 1, shape, shape),
        "middle": maps.Block(normal(1, 3, 3, 1), 2, 2, shape, shape),
        "blocks": maps.Block(normal(2, 3, 3, 2), 2, 2, shape, shape),
        "blocks of six": maps.Block(normal(2, 6, 6, 1), 2, 1, shape, shape),
        "blocks along trail": maps.Block(normal(1, 6, 6, 2), 1, 2, shape, shape),
        "half shared": maps.Block(normal(2, 3, 3, 1), 2, 2, shape, shape),
        "permutation": maps.IndexMap(permutation, shape, shape),
        "gather": maps.IndexMap(rng.integers(-1, 12, 12), shape, shape),
        "sums": maps.IndexMap(rng.integers(-1, 12, 12), shape, shape, sums=True, factor=0.5),
        "opaque": opaque(normal(12, 12), shape),
        "product": maps.Product(
            [
                maps.IndexMap(permutation, shape, shape),
                maps.Block(normal(1, 2, 2, 1), 6, 1, shape, shape),
                maps.IndexMap(permutation, shape, shape, sums=True),
            ]
        ),
    }


def opaque(matrix, shape):
    return maps.Opaque(
        lambda rows: rows @ matrix.T, lambda rows: rows @ matrix, matrix.size, shape, shape
    )


MAPS = sampled()


def check(linear_map):
    """Compare what a map does with its matrix."""
    matrix = linear_map.materialise()
    assert matrix.shape == (linear_map.out_size, linear_map.in_size)
    tangents = normal(3, *linear_map.in_shape)
    cotangents = normal(3, *linear_map.out_shape)
    pushed = linear_map.apply(tangents)
    pulled = linear_map.pull(cotangents)
    assert pushed.shape == (3, *linear_map.out_shape)
    assert pulled.shape == (3, *linear_map.in_shape)
    flat = pushed.reshape(3, -1), pulled.reshape(3, -1)
    np.testing.assert_allclose(flat[0], tangents.reshape(3, -1) @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(flat[1], cotangents.reshape(3, -1) @ matrix, atol=1e-12)
    turned = linear_map.transpose()
    np.testing.assert_allclose(turned.materialise(), matrix.T, atol=1e-13)
    np.testing.assert_allclose(turned.apply(cotangents), pulled, atol=1e-12)
    abstract = linear_map.abstract()
    for quantity in ("fma_apply", "fma_materialise"):
        assert type(getattr(linear_map, quantity)) is int
        assert getattr(linear_map, quantity) >= 0
        assert getattr(abstract, quantity) == getattr(linear_map, quantity)
    assert type(linear_map.nbytes) is int
    assert abstract.nbytes == linear_map.nbytes
    assert linear_map.apply(tangents[:0]).shape == (0, *linear_map.out_shape)


@pytest.mark.parametrize("name", MAPS)
def test_map_against_its_matrix(name):
    check(MAPS[name])


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(MAPS, MAPS)))
def test_products_and_sums(outer, inner):
    one, two = MAPS[outer], MAPS[inner]
    product = one.compose(two)
    np.testing.assert_allclose(
        product.materialise(), one.materialise() @ two.materialise(), atol=1e-12
    )
    check(product)
    total = one.add(two)
    np.testing.assert_allclose(
        total.materialise(), one.materialise() + two.materialise(), atol=1e-12
    )
    # Structure, sizes and costs are the same whether the numbers are there or not
    abstract = one.abstract().compose(two.abstract())
    assert type(one.fma_compose(two)) is int
    assert one.abstract().fma_compose(two.abstract()) == one.fma_compose(two)
    for found, planned in ((product, abstract), (total, one.abstract().add(two.abstract()))):
        assert type(planned) is type(found) or isinstance(found, maps.Scaled)
        assert planned.nbytes == found.nbytes
        assert planned.fma_apply == found.fma_apply or isinstance(found, maps.Scaled)


def test_structure_stays_where_it_can():
    diagonal, left, right = MAPS["diagonal"], MAPS["left"], MAPS["right"]
    assert diagonal.compose(diagonal).structure == "diagonal"
    assert diagonal.compose(diagonal).fma_apply == 12
    assert left.compose(left).structure == "kronecker 6 x [2,2]"
    assert left.compose(left).nbytes == 32
    assert diagonal.compose(right).structure == "block-diagonal 6 x [2,2]"
    assert MAPS["permutation"].compose(MAPS["gather"]).structure == "index"
    assert MAPS["identity"].add(diagonal).structure == "diagonal"
    assert MAPS["permutation"].compose(right).structure == "index . kronecker 6 x [2,2]"


def test_a_layers_parameter_jacobian_is_never_a_matrix():
    inputs, outputs = 300, 200
    x = normal(inputs)
    operation = operation_at(
        ad.REGISTRY["matmul"], (False, True), (x, normal(inputs, outputs)), np.zeros(outputs), {}
    )
    weights = local_jacobian(operation, 1)
    assert weights.structure == f"kronecker {outputs} x [1,{inputs}]"
    assert weights.nbytes == inputs * 8
    through_tanh = maps.Diagonal(normal(outputs)).compose(weights)
    assert through_tanh.structure == f"block-diagonal {outputs} x [1,{inputs}]"
    assert through_tanh.nbytes == inputs * outputs * 8
    assert through_tanh.fma_apply == inputs * outputs


def test_costs_are_exact_beyond_64_bits():
    size = 3_000_000_000
    one = maps.Dense((size, size))
    assert one.fma_compose(one) == size**3
    assert one.compose(one).nbytes == 8 * size**2


def test_wrong_shapes_and_missing_numbers_are_refused():
    with pytest.raises(ValueError, match=r"compose: .*\[3\].*shapes \(3,\) and \(2,\) differ"):
        maps.Identity((3,)).compose(maps.Identity((2,)))
    with pytest.raises(ValueError, match=r"add: .*not between the same shapes"):
        maps.Identity((3,)).add(maps.Identity((2,)))
    with pytest.raises(ValueError, match=r"tangents have shape \(2, 4\)"):
        maps.Identity((3,)).apply(np.ones((2, 4)))
    with pytest.raises(ValueError, match="do not map shape"):
        maps.Block(normal(2, 3, 3, 1), 2, 1, (5,), (6,))
    with pytest.raises(ValueError, match="sizes differ"):
        maps.Scaled(2.0, (3,), (4,))
    with pytest.raises(AutodiffError, match="made without numbers"):
        MAPS["dense"].abstract().materialise()


@pytest.mark.parametrize("name", [n for n in MAPS if n not in ("opaque", "zero")])
def test_float32_stays_float32(name):
    values = MAPS[name].materialise().astype(np.float32)
    shape = MAPS[name].in_shape
    single = maps.Dense(values, shape, shape)
    assert maps.Scaled(2.5, shape).compose(single).materialise().dtype == np.float32
    assert (
        maps.Diagonal(normal(12).astype(np.float32), shape, shape)
        .compose(single)
        .materialise()
        .dtype
        == np.float32
    )


# --- the local Jacobian of every primitive --------------------------------------------------------


def is_real(case):
    out = case.call(*case.inputs)
    leaves = [*tree.leaves(out), *case.active]
    return all(spec_of(leaf).dtype.kind != "c" for leaf in leaves)


REAL = [case for case in SMOOTH if is_real(case)]


def columns(case: Case, position: int, output: int):
    """Jacobian by forward mode, one tangent per element, and by central differences."""
    x = np.asarray(case.inputs[position], float)
    domain = DOMAINS.get(case.primitive.name, lambda value: value)

    def f(value):
        inputs = list(case.inputs)
        inputs[position] = value
        return case.call(*inputs)

    exact, numerical = [], []
    for i in range(x.size):
        unit = np.zeros(x.size)
        unit[i] = 1.0
        unit = unit.reshape(x.shape)
        pushed = ad.jvp(f, (x,), (unit,))[1]
        step = 1e-6
        ahead, behind = f(domain(x + step * unit)), f(domain(x - step * unit))
        if isinstance(pushed, tuple):
            pushed, ahead, behind = pushed[output], ahead[output], behind[output]
        exact.append(np.ravel(pushed))
        numerical.append(np.ravel((np.asarray(ahead) - behind) / (2 * step)))
    return np.stack(exact, 1), np.stack(numerical, 1)


@pytest.mark.parametrize("case", REAL, ids=repr)
def test_local_jacobian_of_every_primitive(case):
    out = case.call(*case.inputs)
    outs = out if isinstance(out, tuple) else (out,)
    every = tuple(i in case.positions for i in range(len(case.inputs)))
    for position in case.positions:
        alone = tuple(i == position for i in range(len(case.inputs)))
        for output, value in enumerate(outs):
            if not is_inexact(spec_of(value).dtype):
                continue
            exact, numerical = columns(case, position, output)
            for active in {every, alone}:
                operation = operation_at(case.primitive, active, case.inputs, out, case.params)
                found = local_jacobian(operation, position, output)
                assert found.in_shape == np.shape(case.inputs[position])
                assert found.out_shape == np.shape(value)
                check(found)
                np.testing.assert_allclose(found.materialise(), exact, rtol=1e-10, atol=1e-11)
                np.testing.assert_allclose(found.materialise(), numerical, rtol=2e-5, atol=2e-7)
                operation.saved = None
                planned = local_jacobian(operation, position, output)
                assert type(planned) in (type(found), maps.Identity, maps.Scaled)
                assert planned.nbytes == found.nbytes
                assert planned.fma_apply == found.fma_apply or isinstance(found, maps.Scaled)


APART, SUMMED = "block-diagonal 2 x [3,4]", "kronecker 2 x [1,4]"


@pytest.mark.parametrize(
    ("function", "shapes", "structure"),
    [
        (np.tanh, [(2, 3)], "diagonal"),
        (np.add, [(2, 3), (2, 3)], "identity"),
        (np.negative, [(2, 3)], "scaled"),
        (lambda x: x * 3.0, [(2, 3)], "scaled"),
        (lambda x, y: x + y, [(3,), (2, 3)], "index"),
        (lambda x, y: x * y, [(3,), (2, 3)], "block-diagonal 3 x [2,1]"),
        (lambda x, y: x * y, [(2, 1, 3), (4, 2, 5, 3)], "diagonal . index"),
        (lambda x: np.reshape(x, (3, 2)), [(2, 3)], "identity"),
        (lambda x: x.T, [(2, 3)], "index"),
        (lambda x: np.sum(x, axis=0), [(2, 3)], "sum"),
        (lambda x, y: x @ y, [(2, 3), (3, 4)], "kronecker 2 x [4,3]"),
        (lambda y, x: x @ y, [(3, 4), (2, 3)], "kronecker 4 x [2,3]"),
        (ad.softmax, [(5, 3)], "block-diagonal 5 x [3,3]"),
        (ad.logsumexp, [(5, 3)], "dense"),
        (lambda x: np.cumsum(x), [(3,)], "dense"),
        (lambda x: np.cumsum(x), [(100,)], "opaque"),
        (lambda x: np.cumsum(x, axis=1), [(2, 5, 3)], "kronecker 6 x [5,5]"),
        (lambda x, y: x @ y, [(5, 2, 3), (5, 3, 4)], "index . kronecker 10 x [4,3] . index"),
        (lambda y, x: x @ y, [(5, 3, 4), (5, 2, 3)], "kronecker 20 x [2,3]"),
        (lambda y, x: x @ y, [(3, 4), (5, 2, 3)], "kronecker 4 x [10,3]"),
        (lambda x, y: x @ y, [(1, 2, 3), (5, 3, 4)], "index . kronecker 2 x [20,3] . index"),
        (lambda x, y: np.einsum("ij,j->i", y, x), [(4,), (3, 4)], "dense"),
        (
            lambda x, y: np.einsum("bij,bj->bi", y, x),
            [(2, 4), (2, 3, 4)],
            "block-diagonal 2 x [3,4]",
        ),
        (lambda x, y: np.einsum("ij,jk->ik", x, y), [(2, 3), (3, 4)], "kronecker 2 x [4,3]"),
        (
            lambda x, y, z: np.einsum("i,ij,jk", z, y, x),
            [(4, 2), (3, 4), (3,)],
            "kronecker 2 x [1,4]",
        ),
    ],
)
def test_structures_of_common_operations(function, shapes, structure):
    values = [normal(*shape) for shape in shapes]
    tape = ad.record(function)(*values)
    entry = tape[-1]
    active = tuple(isinstance(operand, ad.tape.Variable) for operand in entry.inputs)
    inputs = [
        normal(*o.spec.shape) if is_variable else o.value
        for o, is_variable in zip(entry.inputs, active, strict=True)
    ]
    out = entry.primitive(*inputs, **entry.params)
    operation = operation_at(entry.primitive, active, inputs, out, entry.params)
    first = next((i for i, o in enumerate(entry.inputs) if o is tape.inputs[0]), 0)
    assert local_jacobian(operation, first).structure == structure


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("inner", [0, 1, 8, 16, 17])
def test_a_thin_product_in_blocks_of_rows_is_the_product(inner, dtype):
    rng = np.random.default_rng(0)
    left = rng.standard_normal((700, inner)).astype(dtype)
    right = rng.standard_normal((inner, 2 * 520)).astype(dtype)[:, ::2]
    product = maps.Dense(left).compose(maps.Dense(right)).materialise()
    assert product.dtype == dtype
    # Kernels of another width sum in another order; a sum near zero is off by the terms' rounding
    tolerance = 16 * inner * np.finfo(dtype).eps
    np.testing.assert_allclose(product, left @ right, rtol=tolerance, atol=tolerance)
