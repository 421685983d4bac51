"""Sparse matrices with differentiable values: against SciPy's classes and dense matrices."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import autodiff as ad

sp = pytest.importorskip("scipy.sparse")

from autodiff import tree  # noqa: E402 after the check that SciPy is there
from autodiff.scipy import sparse  # noqa: E402
from autodiff.scipy.sparse.arrays import as_sparse  # noqa: E402
from autodiff.scipy.sparse.patterns import Pattern  # noqa: E402

RNG = np.random.default_rng(3)


def drawn(shape, density=0.5, kind="f"):
    numbers = RNG.uniform(0.5, 1.5, shape) * RNG.choice([-1.0, 1.0], shape)
    if kind == "c":
        numbers = numbers + 1j * RNG.uniform(-1, 1, shape)
    return numbers * (RNG.random(shape) < density)


SQUARE = drawn((4, 4))
OTHER = drawn((4, 4))
WIDE = drawn((3, 4))
V, W = RNG.uniform(-1, 1, 4), RNG.uniform(-1, 1, (4, 2))
FULL = RNG.uniform(0.5, 1.5, (4, 4))
FORMATS = ("csr", "csc", "coo")


def dense_of(x):
    return x.toarray() if sparse.issparse(x) else np.asarray(x)


OPERATIONS = {
    "vector": lambda A, B: A @ V,
    "matrix": lambda A, B: A @ W,
    "vector on the left": lambda A, B: V @ A,
    "matrix on the left": lambda A, B: W.T @ A,
    "dot": lambda A, B: A.dot(V) + A.dot(2.0) @ V,
    "sparse": lambda A, B: A @ B,
    "power of products": lambda A, B: A @ B @ A.T,
    "sum of matrices": lambda A, B: A + B,
    "difference": lambda A, B: A - 2.0 * B,
    "same pattern": lambda A, B: A + A * 3.0,
    "hadamard": lambda A, B: A * B,
    "multiply": lambda A, B: A.multiply(B) + A.multiply(2.0),
    "dense factor": lambda A, B: A * FULL,
    "row factor": lambda A, B: A * V,
    "column factor": lambda A, B: A * V[:, None],
    "dense factor on the left": lambda A, B: FULL * A,
    "number": lambda A, B: 2.0 * A / 3.0,
    "dense divisor": lambda A, B: A / FULL,
    "dense summand": lambda A, B: A + FULL,
    "dense minuend": lambda A, B: FULL - A,
    "negative": lambda A, B: -A + B,
    "power": lambda A, B: A**2 + A.power(3),
    "transposes": lambda A, B: A.T + B.transpose(),
    "sine": lambda A, B: np.sin(A) + np.tanh(B),
    "absolute": lambda A, B: abs(A) + np.expm1(B),
    "sum": lambda A, B: A.sum(),
    "sum 0": lambda A, B: A.sum(axis=0),
    "sum 1": lambda A, B: A.sum(axis=-1),
    "mean": lambda A, B: A.mean() + A.mean(axis=0),
    "diagonals": lambda A, B: A.diagonal(1).sum() + A.diagonal() + A.diagonal(-2).sum(),
    "outside diagonal": lambda A, B: A.diagonal(7),
    "trace": lambda A, B: A.trace() + B.trace(offset=-1),
    "toarray": lambda A, B: A.toarray() + B.todense(),
    "conversions": lambda A, B: A.tocsr().tocsc().tocoo().tocsr(),
    "rows": lambda A, B: A.tocsr()[1:3],
    "columns": lambda A, B: A.tocsr()[:, 1:],
    "steps": lambda A, B: A.tocsc()[::-2, [2, 0]],
    "element": lambda A, B: A.tocsr()[2, 1] + A.tocsr()[-1, -1],
    "one row": lambda A, B: A.tocsr()[2],
    "one column": lambda A, B: A.tocsc()[:, -1],
    "copy": lambda A, B: A.copy(),
    "real": lambda A, B: A.real + A.conj(),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name, format):
    f = OPERATIONS[name]
    if name in ("rows", "columns", "steps", "element", "one row", "one column"):
        theirs = (sp.csr_array(SQUARE), sp.csr_array(OTHER))
    else:
        theirs = (sp.csr_array(SQUARE).asformat(format), sp.csr_array(OTHER).asformat(format))
    A, B = (as_sparse(x, format) for x in (sp.csr_array(SQUARE), sp.csr_array(OTHER)))
    wanted = dense_of(f(*theirs))
    found = f(A, B)
    if sparse.issparse(f(*theirs)) and "one" not in name:
        assert sparse.issparse(found)
    np.testing.assert_allclose(dense_of(found), wanted, rtol=1e-13)
    assert dense_of(found).shape == wanted.shape
    assert found.dtype == wanted.dtype

    def of_values(a, b):
        out = f(A._with(a), B._with(b))
        return out.toarray() if sparse.issparse(out) else out

    order = 1 if name == "absolute" else 2
    ad.check_grads(of_values, (A.data, B.data), order=order)


def test_dense_operands_are_differentiated():
    A = sparse.csr_array(SQUARE)
    functions = (
        lambda x: A @ x,
        lambda x: x @ A,
        lambda x: (A * x).toarray(),
        lambda x: (x * A).toarray(),
        lambda x: A - x,
        lambda x: x + A,
    )
    for f in functions:
        x = FULL[:, :4]
        np.testing.assert_allclose(f(ad.Tensor(x)).data, f(x))
        ad.check_grads(f, (x,), order=2)
    t = ad.Tensor(V)
    assert isinstance(t @ A, ad.Tensor)
    np.testing.assert_array_equal(np.matmul(A, W), A @ W)
    np.testing.assert_array_equal(np.matmul(W.T, A), W.T @ A)
    assert isinstance(np.matmul(t, A), ad.Tensor)
    assert isinstance(np.multiply(t, A), sparse.SparseArray)


def test_complex_matrices():
    dense = drawn((3, 3), 0.6, "c")
    A, z = sparse.csr_array(dense), RNG.uniform(-1, 1, 3) + 1j
    np.testing.assert_allclose(A.H.toarray(), dense.conj().T)
    np.testing.assert_allclose((A.conj() @ z), dense.conj() @ z)

    def f(d, z):
        A2 = A._with(d)
        return A2.H @ (A2 @ A2 @ z) + np.conj(A2 @ z)

    ad.check_grads(f, (A.data, z), order=2)
    real = sparse.csr_array(SQUARE)
    g = ad.grad(lambda A: np.sum(np.abs(A @ (V + 1j * V[::-1])) ** 2))(real)
    assert g.dtype == np.float64


# --- classes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_constructors_agree_with_scipys(format):
    ours, theirs = getattr(sparse, f"{format}_array"), getattr(sp, f"{format}_array")
    rows, columns = np.array([0, 2, 2, 0]), np.array([1, 0, 0, 3])
    data = np.array([1.0, 2.0, 3.0, 0.0])
    cases = [
        (((data, (rows, columns)),), {"shape": (3, 5)}),
        (((data, (rows, columns)),), {}),
        (((data, (rows, columns)),), {"dtype": np.float32}),
        ((WIDE,), {}),
        ((WIDE.tolist(),), {}),
        ((sp.csc_array(WIDE),), {}),
        ((sp.lil_matrix(WIDE),), {}),
        (((3, 4),), {}),
        ((np.arange(6).reshape(2, 3),), {}),
        ((np.zeros((0, 3)),), {}),
    ]
    if format != "coo":
        cases.append((((data, [1, 0, 2, 2], [0, 1, 3, 4]),), {"shape": (3, 3)}))
    for args, keywords in cases:
        found, wanted = ours(*args, **keywords), theirs(*args, **keywords)
        assert found.format == format
        assert (found.shape, found.nnz, found.dtype) == (wanted.shape, wanted.nnz, wanted.dtype)
        np.testing.assert_array_equal(found.data, wanted.data)
        np.testing.assert_array_equal(found.toarray(), wanted.toarray())
        np.testing.assert_array_equal(found.toscipy().toarray(), wanted.toarray())
        if format != "coo":
            np.testing.assert_array_equal(found.indices, wanted.indices)
            np.testing.assert_array_equal(found.indptr, wanted.indptr)
        again = ours(found)
        assert again.pattern == found.pattern


def test_duplicates_add_up_and_explicit_zeros_stay():
    places = ([0, 0, 1, 1], [1, 1, 0, 2])

    def f(d):
        return sparse.coo_array((d, places), shape=(2, 3)).tocsr()

    d = np.array([1.0, 2.0, 0.0, 5.0])
    assert f(d).nnz == 3
    np.testing.assert_array_equal(f(d).toarray(), sp.coo_array((d, places), (2, 3)).toarray())
    g = ad.grad(lambda d: np.sum(f(d).toarray() ** 2 + f(d).toarray()))(d)
    np.testing.assert_allclose(g, [7.0, 7.0, 1.0, 11.0])
    coo = sparse.coo_array((d, places), shape=(2, 3))
    assert coo.nnz == 4
    np.testing.assert_array_equal(coo @ V[:3], coo.toscipy() @ V[:3])
    np.testing.assert_array_equal((coo**2).toarray(), coo.toarray() ** 2)
    unsorted = sparse.csr_array((np.ones(3), [2, 0, 0], [0, 3]), shape=(1, 3))
    assert not unsorted.has_canonical_format
    assert unsorted.canonical().nnz == 2
    np.testing.assert_array_equal((unsorted + unsorted).toarray(), [[4.0, 0.0, 2.0]])


def test_a_dense_tensor_keeps_its_derivative():
    ad.check_grads(lambda x: sparse.csr_array(x) @ V, (np.where(SQUARE == 0, 1.0, SQUARE),))
    assert ad.grad(lambda x: np.sum(sparse.csc_array(x) @ V))(SQUARE).shape == (4, 4)
    with pytest.raises(TypeError, match="not zero"):
        ad.vmap(lambda x: sparse.csr_array(x) @ V)(np.stack([SQUARE, SQUARE]))


CONSTRUCTIONS = {
    "kron": lambda s, a, b: s.kron(a, b),
    "kronsum": lambda s, a, b: s.kronsum(a, b),
    "hstack": lambda s, a, b: s.hstack([a, b]),
    "vstack": lambda s, a, b: s.vstack([a, b]),
    "block_diag": lambda s, a, b: s.block_diag([a, b, a]),
    "block_array": lambda s, a, b: s.block_array([[a, None], [None, b], [b, a]]),
    "tril": lambda s, a, b: s.tril(a, 1) + s.tril(b),
    "triu": lambda s, a, b: s.triu(a, -1, format="csr") + s.triu(b, 1),
}


@pytest.mark.parametrize("name", CONSTRUCTIONS)
@pytest.mark.parametrize("format", FORMATS)
def test_constructions(name, format):
    f = CONSTRUCTIONS[name]
    theirs = [sp.csr_array(x).asformat(format) for x in (SQUARE, OTHER)]
    A, B = map(as_sparse, theirs)
    wanted = f(sp, *theirs)
    np.testing.assert_allclose(f(sparse, A, B).toarray(), wanted.toarray())
    ad.check_grads(
        lambda a, b: f(sparse, A._with(a), B._with(b)).toarray(), (A.data, B.data), order=2
    )


def test_diagonals():
    cases = [
        ([V], {"offsets": [0]}),
        (V, {}),
        ([V, V[:3], 2.0], {"offsets": [0, 1, -1], "shape": (4, 4)}),
        ([V, [1.0, 2.0]], {"offsets": [1, -3], "shape": (5, 5)}),
        (V[:3], {"offsets": -1}),
        ([1.0, -2.0], {"offsets": [0, 2], "shape": (3, 4), "dtype": np.float32}),
    ]
    for diagonals, keywords in cases:
        found = sparse.diags_array(diagonals, **keywords)
        wanted = sp.diags_array(diagonals, **keywords)
        np.testing.assert_array_equal(found.toarray(), wanted.toarray())
        assert found.dtype == wanted.dtype
    ad.check_grads(
        lambda v: sparse.diags_array([v, v[1:]], offsets=[0, 1], format="csr").toarray(), (V,)
    )
    for args, keywords in (((3,), {}), ((3, 4), {"k": 1}), ((3,), {"k": -1, "dtype": int})):
        found, wanted = sparse.eye_array(*args, **keywords), sp.eye_array(*args, **keywords)
        np.testing.assert_array_equal(found.toarray(), wanted.toarray())
        assert found.dtype == wanted.dtype
    row, col, values = sparse.find(sp.csr_array(SQUARE))
    theirs = sp.find(sp.csr_array(SQUARE))
    np.testing.assert_array_equal(sp.coo_array((values, (row, col))).toarray(), SQUARE)
    assert len(values) == len(theirs[2])
    assert sparse.issparse(sp.csr_array(SQUARE))
    assert not sparse.issparse(SQUARE)


# --- transforms -----------------------------------------------------------------------------------


def loss(A, x=V):
    return np.sum(np.tanh(A @ (A.T @ x)) ** 2)


@pytest.mark.parametrize("format", FORMATS)
def test_a_gradient_is_a_matrix_of_the_same_pattern(format):
    A = as_sparse(SQUARE, format)
    value, g = ad.value_and_grad(loss)(A)
    assert type(g) is type(A)
    assert g.pattern is A.pattern
    step = 1e-6
    direction = RNG.standard_normal(A.nnz)
    ahead, behind = (loss(A._with(A.data + s * direction)) for s in (step, -step))
    np.testing.assert_allclose((ahead - behind) / (2 * step), g.data @ direction, rtol=1e-7)
    tangent = ad.jvp(loss, (A,), (A._with(direction),))[1]
    np.testing.assert_allclose(tangent, g.data @ direction)
    hv = ad.hvp(loss, (A,), (A._with(direction),))
    gradients = [ad.grad(loss)(A._with(A.data + s * direction)).data for s in (step, -step)]
    np.testing.assert_allclose(
        (gradients[0] - gradients[1]) / (2 * step), hv.data, rtol=1e-6, atol=1e-8
    )
    assert value == pytest.approx(loss(A))


def test_variables_closures_and_transforms():
    A = sparse.csr_array(SQUARE)
    w = ad.Tensor(A.data)
    B = A._with(w)
    loss(B).backward()
    wanted = ad.grad(loss)(A).data
    np.testing.assert_allclose(w.grad, wanted)
    closed = ad.grad(lambda x: loss(B, x))(V)
    np.testing.assert_allclose(closed.data, ad.grad(lambda x: loss(A, x))(V))
    stack = np.stack([A.data, 2.0 * A.data, -A.data])
    rows = [loss(A._with(row)) for row in stack]
    np.testing.assert_allclose(ad.vmap(lambda d: loss(A._with(d)))(stack), rows)
    np.testing.assert_allclose(ad.vmap(loss)(A._with(stack)), rows)
    found = ad.vmap(ad.grad(loss))(A._with(stack))
    np.testing.assert_allclose(found.data, [ad.grad(loss)(A._with(row)).data for row in stack])
    vectors = RNG.standard_normal((3, 4))
    np.testing.assert_allclose(
        ad.vmap(lambda x: A @ x)(vectors), np.stack([SQUARE @ x for x in vectors])
    )
    matrices = RNG.standard_normal((3, 4, 2))
    np.testing.assert_allclose(ad.vmap(lambda x: A @ x)(matrices), SQUARE @ matrices)
    compiled = ad.compile(ad.value_and_grad(loss))
    for scale in (1.0, 0.5):
        value, g = compiled(A * scale)
        np.testing.assert_allclose(value, loss(A * scale))
        np.testing.assert_allclose(g.data, ad.grad(loss)(A * scale).data)
    tape = ad.record(loss)(A)
    np.testing.assert_allclose(tape.evaluate(A * 2.0), loss(A * 2.0))
    np.testing.assert_allclose(ad.checkpoint(loss)(A), loss(A))


def test_sparse_jacobians_go_on_here():
    def f(x):
        return np.sin(x[1:]) * x[:-1]

    J = ad.jacobian(f, structure="sparse")(V)
    A = as_sparse(J, "csr")
    np.testing.assert_allclose(A @ V, J @ V)
    # A product with a constant sparse matrix is known to be sparse
    L = sparse.diags_array([1.0, -2.0], offsets=[0, 1], shape=(40, 40), format="csr")
    x = np.linspace(0.0, 1.0, 40)
    J = ad.jacobian(lambda x: L @ np.sin(x), structure="sparse")(x)
    assert J.nnz == L.nnz
    np.testing.assert_allclose(J.toarray(), L.toarray() * np.cos(x))


def test_products_cost_what_the_entries_cost():
    n = 200_000
    A = sparse.diags_array([np.ones(n), np.ones(n - 1)], offsets=[0, 1], shape=(n, n), format="csr")
    g = ad.grad(lambda A: np.sum((A @ np.ones(n)) ** 2))(A)  # dense, it would take 320 GB
    assert g.nnz == 2 * n - 1


def test_matrices_are_copied_pickled_and_compared():
    A = sparse.csr_array(SQUARE)
    for twin in (pickle.loads(pickle.dumps(A)), copy.deepcopy(A), copy.copy(A), A.copy()):
        np.testing.assert_array_equal(twin.toarray(), SQUARE)
        assert tree.flatten(twin)[1] == tree.flatten(A)[1]
    other = sparse.csr_array(OTHER)
    assert tree.flatten(other)[1] != tree.flatten(A)[1]
    assert A.pattern.transposed.transposed is A.pattern
    assert Pattern.of(sp.csr_array(SQUARE)) == A.pattern
    assert "csr_array" in repr(A)
    assert A.detach().toscipy().nnz == A.nnz
    assert A.count_nonzero() == np.count_nonzero(SQUARE)
    np.testing.assert_array_equal(A.nonzero(), np.nonzero(SQUARE))


def test_precision_stays():
    A = sparse.csr_array(SQUARE.astype(np.float32))
    x = V.astype(np.float32)
    for out in (A @ x, (A @ A).data, (A + A.T).data, (A * 2.0).data, A.sum(0), A.toarray()):
        assert out.dtype == np.float32
    g = ad.grad(lambda A: np.sum(A @ x))(A)
    assert g.dtype == np.float32
    assert (sparse.csr_array(np.eye(3, dtype=int)) @ np.arange(3)).dtype == np.int64


def test_empty_matrices():
    A = sparse.csr_array((3, 4))
    np.testing.assert_array_equal(A @ V, np.zeros(3))
    assert (A @ A.T).nnz == 0
    assert (A + A).shape == (3, 4)
    assert sparse.csr_array((0, 4)).sum(0).shape == (4,)
    assert ad.grad(lambda d: np.sum(A._with(d) @ V))(np.zeros(0)).shape == (0,)
    one = sparse.csr_array(np.array([[2.0]]))
    assert float((one @ one).toarray()[0, 0]) == 4.0


# --- errors ---------------------------------------------------------------------------------------

A = sparse.csr_array(SQUARE)
REFUSED = {
    "shapes of a product": (lambda: A @ V[:3], ValueError, r"\(4, 4\) and \(3,\)"),
    "shapes of sparse": (lambda: A @ sparse.csr_array(WIDE), ValueError, r"\(3, 4\)"),
    "stack": (lambda: A @ np.ones((2, 4, 4)), ValueError, "vmap"),
    "scalar product": (lambda: A @ 2.0, ValueError, r"use \*"),
    "shapes of a sum": (lambda: A + sparse.csr_array(WIDE), ValueError, "add"),
    "shapes by elements": (lambda: A * np.ones(3), ValueError, "broadcast"),
    "sum with a number": (lambda: A + 1.0, NotImplementedError, "toarray"),
    "exp": (lambda: np.exp(A), TypeError, "np.exp"),
    "reduce": (lambda: np.add.reduce(A), TypeError, "np.add"),
    "dense by itself": (lambda: np.asarray(A), TypeError, "toarray"),
    "np.sum": (lambda: np.sum(np.asarray(A)), TypeError, "toarray"),
    "power": (lambda: A**-1, TypeError, "positive"),
    "quotient": (lambda: A / A, TypeError, "0/0"),
    "reflected quotient": (lambda: 1.0 / A, TypeError, "zero"),
    "assignment": (lambda: A.__setitem__((0, 0), 1.0), TypeError, "in place"),
    "method": (lambda: A.setdiag(1.0), AttributeError, "setdiag"),
    "nonsense": (lambda: A.nonsense, AttributeError, "nonsense"),
    "indptr of coo": (lambda: A.tocoo().indptr, AttributeError, "row and col"),
    "format": (lambda: A.asformat("dia"), ValueError, "dia"),
    "old class": (lambda: sparse.csr_matrix, AttributeError, "csr_array"),
    "unknown": (lambda: sparse.nonsense, AttributeError, "nonsense"),
    "index": (lambda: A[7], IndexError, "out of bounds"),
    "pairs": (lambda: A[[0, 1], [0, 1]], IndexError, "index arrays"),
    "axis": (lambda: A.sum(axis=2), ValueError, "axis 2"),
    "out": (lambda: A.sum(axis=0, out=np.ones(4)), TypeError, "out"),
    "truth": (lambda: bool(A), ValueError, "ambiguous"),
    "length": (lambda: len(A), TypeError, "ambiguous"),
    "keyword": (lambda: sparse.csr_array(SQUARE, nonsense=1), TypeError, "nonsense"),
    "three axes": (lambda: sparse.csr_array(np.ones((2, 2, 2))), ValueError, r"\(2, 2, 2\)"),
    "values": (
        lambda: sparse.coo_array((np.ones(3), ([0, 1], [0, 1]))),
        ValueError,
        r"coo_array: values of shape \(3,\)",
    ),
    "outside": (
        lambda: sparse.coo_array((np.ones(1), ([5], [0])), shape=(2, 2)),
        ValueError,
        "coo_array",
    ),
    "float index": (lambda: sparse.coo_array((np.ones(1), ([0.5], [0]))), TypeError, "integers"),
    "Tensor index": (
        lambda: sparse.coo_array((np.ones(1), (ad.Tensor([0.0]), [0]))),
        TypeError,
        "row is a Tensor",
    ),
    "indptr": (
        lambda: sparse.csr_array((np.ones(2), [0, 1], [0, 1])),
        ValueError,
        "csr_array",
    ),
    "constant of a Tensor": (lambda: A._with(ad.Tensor(A.data)).toscipy(), TypeError, "detach"),
    "diagonals": (
        lambda: sparse.diags_array([V], offsets=[0, 1]),
        ValueError,
        "1 diagonals for 2",
    ),
    "diagonal length": (
        lambda: sparse.diags_array([V], offsets=[1], shape=(4, 4)),
        ValueError,
        "has 3 elements",
    ),
    "blocks": (lambda: sparse.hstack([SQUARE, WIDE]), ValueError, "row 0"),
    "kronsum": (lambda: sparse.kronsum(WIDE, WIDE), ValueError, "square"),
    "half": (lambda: sparse.csr_array(np.ones((2, 2), np.float16)), ValueError, "float16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_scipys_classes_name_the_ones_for_tensors():
    t = ad.Tensor(V)
    calls = (
        lambda: sp.csr_array(SQUARE) @ t,
        lambda: t @ sp.csr_array(SQUARE),
        lambda: sp.coo_array((t, (np.arange(4), np.arange(4)))),
        lambda: sp.diags_array([t], offsets=[0]),
    )
    for call in calls:
        with pytest.raises(TypeError, match=r"autodiff\.scipy\.sparse"):
            call()


def test_importing_the_namespace_does_not_load_it():
    program = (
        "import sys, autodiff.scipy as s; "
        "assert 'autodiff.scipy.sparse' not in sys.modules; "
        "s.sparse.linalg; assert 'sparse' in dir(s)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
