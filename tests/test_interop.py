"""Functions of this engine inside PyTorch and JAX, and theirs inside this one.

What is right is said by the other library's own derivative of the same formula.
"""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff import interop
from autodiff.interop.programs import Program, Root, Spec

torch = pytest.importorskip("torch") if importlib.util.find_spec("torch") else None
jax = pytest.importorskip("jax") if importlib.util.find_spec("jax") else None
jnp = None if jax is None else pytest.importorskip("jax.numpy")

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
needs_jax = pytest.mark.skipif(jax is None, reason="JAX is not installed")

LIBRARIES = [
    pytest.param("torch", marks=needs_torch),
    pytest.param("jax", marks=needs_jax),
]

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal(3), RNG.standard_normal(3)
ROWS = RNG.standard_normal((4, 3))
Z, W = X + 1j * Y, Y - 2j * X


def formula(np_, x, y):
    """A function of two vectors with a full third derivative, written for any library."""
    return np_.sum(np_.tanh(x) * y) * x[0] + np_.prod(x) * np_.sum(y * y)


def own(x, y):
    return formula(np, x, y)


def theirs(library):
    return lambda x, y: formula({"torch": torch, "jax": jnp}[library], x, y)


def complex_formula(np_, z, w):
    """Neither holomorphic nor real."""
    return np_.exp(z) * np_.conj(w) + np_.abs(z) * w.real


def tensor(value, library="torch", **options):
    if library == "torch":
        return torch.tensor(value, **options)
    return jnp.asarray(value)


def into(library, f, **options):
    return getattr(interop, f"{library}_function")(f, **options)


def out_of(library, g):
    return getattr(interop, f"from_{library}")(g)


@pytest.fixture(autouse=True)
def double_precision():
    """JAX computes in float32 unless it is told otherwise, for the whole process."""
    if jax is None:
        yield
        return
    with jax.enable_x64(True):
        yield


def same(found, wanted):
    """Compare trees of arrays of any library, dtypes included."""
    first, first_tree = ad.tree.flatten(found)
    second, second_tree = ad.tree.flatten(wanted)
    assert first_tree == second_tree
    for one, other in zip(first, second, strict=True):
        one, other = (v.detach().numpy() if hasattr(v, "detach") else v for v in (one, other))
        one, other = np.asarray(one), np.asarray(other)
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


# --- inside PyTorch -------------------------------------------------------------------------------

TORCH_TRANSFORMS = {
    "value": lambda F, f: f,
    "grad": lambda F, f: F.grad(f, (0, 1)),
    "vjp": lambda F, f: lambda x, y: F.vjp(f, x, y)[1](torch.ones((), dtype=x.dtype)),
    "jvp": lambda F, f: lambda x, y: F.jvp(f, (x, y), (y, x)),
    "jacrev": lambda F, f: F.jacrev(f),
    "jacfwd": lambda F, f: F.jacfwd(f),
    "hessian": lambda F, f: F.hessian(f),
    "reverse over reverse": lambda F, f: F.jacrev(F.jacrev(f)),
    "forward over forward": lambda F, f: F.jacfwd(F.jacfwd(f)),
    "reverse over forward": lambda F, f: F.jacrev(F.jacfwd(f)),
    "third": lambda F, f: F.jacrev(F.hessian(f)),
}

TORCH_BATCHES = {
    "vmap": lambda F, f: F.vmap(f, (0, None)),
    "vmap of both": lambda F, f: lambda rows, y: F.vmap(f)(rows, torch.stack([y] * len(rows))),
    "vmap along the last axis": lambda F, f: lambda rows, y: F.vmap(f, (1, None))(rows.T, y),
    "vmap of vmap": lambda F, f: (
        lambda rows, y: F.vmap(F.vmap(f, (None, 0)), (0, None))(rows, torch.stack([y, 2 * y]))
    ),
    "vmap of grad": lambda F, f: F.vmap(F.grad(f), (0, None)),
    "vmap of jvp": lambda F, f: F.vmap(lambda x, y: F.jvp(f, (x, y), (y, x))[1], (0, None)),
    "vmap of hessian": lambda F, f: F.vmap(F.hessian(f), (0, None)),
    "grad of vmap": lambda F, f: F.grad(
        lambda rows, y: F.vmap(f, (0, None))(rows, y).sum(), (0, 1)
    ),
    "hessian of vmap": lambda F, f: F.hessian(lambda rows, y: F.vmap(f, (0, None))(rows, y).sum()),
}


@needs_torch
@pytest.mark.parametrize("transform", TORCH_TRANSFORMS)
def test_transforms_of_torch(transform):
    F = torch.func
    make = TORCH_TRANSFORMS[transform]
    arguments = tensor(X), tensor(Y)
    same(make(F, into("torch", own))(*arguments), make(F, theirs("torch"))(*arguments))


@needs_torch
@pytest.mark.parametrize("transform", TORCH_BATCHES)
@pytest.mark.parametrize("looks", [False, True], ids=["batched", "one by one"])
def test_batches_of_torch(transform, looks):
    """A function that looks at values is evaluated for each example."""
    F = torch.func

    def f(x, y):
        return own(x, y) if not looks or x[0] < 10 else x

    make = TORCH_BATCHES[transform]
    arguments = tensor(ROWS), tensor(Y)
    same(make(F, into("torch", f))(*arguments), make(F, theirs("torch"))(*arguments))


@needs_torch
def test_gradcheck():
    f = into("torch", own)
    arguments = tensor(X, requires_grad=True), tensor(Y, requires_grad=True)
    assert torch.autograd.gradcheck(f, arguments, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, arguments, check_fwd_over_rev=True)
    constant = tensor(X, requires_grad=True), tensor(Y)
    assert torch.autograd.gradgradcheck(f, constant, check_fwd_over_rev=True)


@needs_torch
@pytest.mark.parametrize("real", [False, True], ids=["complex", "by a real argument"])
def test_gradcheck_of_complex_functions(real):
    """PyTorch's gradient is the conjugate of this engine's."""
    f = into("torch", lambda z, w: complex_formula(np, z, w))
    z, w = tensor(X if real else Z, requires_grad=True), tensor(W, requires_grad=True)
    assert torch.autograd.gradcheck(f, (z, w), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, (z, w), check_fwd_over_rev=True)
    g = tensor(W).conj()  # conjugated when it is looked at
    wanted = torch.autograd.grad(complex_formula(torch, z, w), (z, w), g)
    same(torch.autograd.grad(f(z, w), (z, w), g), wanted)


@needs_torch
def test_backward_of_a_graph_of_both():
    x = tensor(X, requires_grad=True)
    y = tensor(Y)
    loss = (into("torch", own)(x.sin(), y) * 2).exp()
    (first,) = torch.autograd.grad(loss, x, create_graph=True)
    first.sum().backward()
    second = x.grad
    x.grad = None
    (wanted,) = torch.autograd.grad((formula(torch, x.sin(), y) * 2).exp(), x, create_graph=True)
    same(first, wanted)
    wanted.sum().backward()
    same(second, x.grad)
    assert y.grad is None


@needs_torch
def test_sweep_does_not_evaluate_again():
    calls = []

    def f(x):
        calls.append(1)
        return np.sum(x * x)

    x = tensor(X, requires_grad=True)
    loss = into("torch", f)(x)
    loss.backward(retain_graph=True)
    loss.backward()
    assert len(calls) == 1
    same(x.grad, 4 * x)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@needs_torch
def test_only_what_is_asked_for_is_differentiated():
    x, y = tensor(X, requires_grad=True), tensor(Y, requires_grad=True)
    f = into("torch", lambda x, y: {"a": x * y, "b": np.sum(y), "count": x.size})
    out = f(x, y)
    assert not out["count"].requires_grad
    assert out["count"].dtype == torch.int64
    same(torch.autograd.grad(out["b"], y, retain_graph=True), (torch.ones(3, dtype=x.dtype),))
    same(torch.autograd.grad(out["a"].sum(), x), (y,))
    with torch.no_grad():
        assert not f(x, y)["a"].requires_grad


class Pair(NamedTuple):
    left: object
    right: object


@pytest.mark.parametrize("library", LIBRARIES)
def test_containers_and_constants(library):
    def f(pair, *, scale, how, labels):
        assert how == "square"
        x = pair.left["x"][labels]
        return {"loss": np.sum(x**2) * scale, "pair": Pair(x, [pair.right, None]), "n": 3}

    labels = np.array([2, 0])
    keywords = {"scale": 2.0, "how": "square", "labels": labels}
    pair = Pair({"x": tensor(X, library)}, tensor(Y, library))
    out = into(library, f)(pair, **keywords)
    numpy_out = f(Pair({"x": X}, Y), **keywords)
    same(out["loss"], numpy_out["loss"])
    same(out["pair"], Pair(X[labels], [Y, None]))
    keywords["labels"] = tensor(labels, library)
    assert into(library, f)(pair, **keywords).keys() == {"loss", "pair", "n"}

    def loss(x):
        return into(library, f)(Pair({"x": x}, Y), **keywords)["loss"]

    grad = torch.func.grad(loss) if library == "torch" else jax.grad(loss)
    same(grad(tensor(X, library)), ad.grad(lambda x: 2 * np.sum(x[labels] ** 2))(X))


@needs_torch
def test_a_constant_is_as_it_was_when_the_function_was_called():
    x, factor = tensor(X, requires_grad=True), Y.copy()
    out = into("torch", lambda x, factor: np.sum(x * x * factor))(x, factor)
    factor[:] = 0
    (grad,) = torch.autograd.grad(out, x, create_graph=True)
    same(grad, 2 * X * Y)


DTYPES = {
    "float16": "float16",
    "float32": "float32",
    "float64": "float64",
    "complex64": "complex64",
    "complex128": "complex128",
    "int64": "int64",
    "int32": "int32",
    "uint8": "uint8",
    "bool": "bool",
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("shape", [(), (2,), (0,), (2, 1, 3)], ids=str)
def test_dtypes_and_shapes_are_kept(library, dtype, shape):
    value = np.ones(shape, dtype)
    seen = []

    def f(x):
        seen.append((x.dtype, x.shape))
        return x if dtype == "bool" else x + x

    out = into(library, f)(tensor(value, library))
    assert np.asarray(out).dtype == dtype
    assert tuple(out.shape) == shape
    assert (np.dtype(dtype), shape) in seen
    back = out_of(library, lambda x: x if dtype == "bool" else x + x)(value)
    assert (back.dtype, back.shape) == (np.dtype(dtype), shape)
    if np.dtype(dtype).kind == "f":
        if library == "torch":
            x = tensor(value, requires_grad=True)
            into("torch", f)(x).sum().backward()
            gradient = x.grad
        else:
            gradient = jax.grad(lambda x: into("jax", f)(x).sum())(tensor(value, "jax"))
        assert np.asarray(gradient).dtype == dtype
        own_gradient = ad.grad(lambda x: np.sum(out_of(library, lambda x: x + x)(x)))(value)
        assert own_gradient.dtype == dtype
        assert own_gradient.shape == shape


@needs_torch
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.arange(12.0).reshape(3, 4)[::2, 1:].T,
        lambda: torch.ones(1).expand(3, 4),
        lambda: torch.tensor([1 + 2j, 3j]).conj(),
        lambda: torch.tensor([1 + 2j, 3j]).conj().imag,  # negated when it is looked at
        lambda: torch.nn.Parameter(torch.arange(3.0)),
    ],
    ids=["strided", "repeated", "conjugate", "negated", "parameter"],
)
def test_any_layout_of_memory(make):
    x = make()
    same(into("torch", lambda x: x * 2)(x), (x * 2).resolve_conj().resolve_neg())


@needs_torch
@pytest.mark.parametrize(
    "f",
    [
        lambda x: x,
        lambda x: x[::-1],
        lambda x: np.broadcast_to(x, (2, 3)),
        lambda x: KEPT,
        lambda x: x.astype(">f8"),
    ],
    ids=["itself", "reversed", "read-only", "of its own", "foreign byte order"],
)
def test_results_share_no_memory(f):
    x = tensor(X)
    out = into("torch", f)(x)
    wanted = f(X)
    np.testing.assert_array_equal(out.numpy(), wanted)
    out += 1
    same(x, X)
    np.testing.assert_array_equal(into("torch", f)(x).numpy(), wanted)
    frozen = out_of("torch", lambda x: x.add_(1))
    same(frozen(X), X + 1)
    assert frozen(X).flags.writeable


KEPT = np.arange(3.0)


@needs_torch
def test_arguments_are_not_shared():
    held = []

    def f(x):
        held.append(x)
        return np.sum(x)

    x = tensor(X)
    into("torch", f)(x)
    x.zero_()
    same(held[0], X)
    with pytest.raises(ValueError, match="read-only"):
        into("torch", lambda x: x.__setitem__(0, 1.0))(x)


@needs_torch
def test_a_tensor_changed_between_the_passes_is_an_error():
    x = tensor(X, requires_grad=True) * 1
    loss = into("torch", lambda x: np.sum(x * x))(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@needs_torch
@pytest.mark.parametrize(
    "trace",
    [
        lambda f, x: torch.func.linearize(f, x),
        lambda f, x: torch.fx.experimental.proxy_tensor.make_fx(f)(x),
        lambda f, x: torch.jit.trace(f, x),
    ],
    ids=["linearize", "make_fx", "jit.trace"],
)
def test_what_would_trace_a_constant_is_refused(trace):
    with pytest.raises(TypeError, match="PyTorch is writing down its operations"):
        trace(into("torch", np.sin), tensor(X))


@needs_torch
@pytest.mark.filterwarnings("ignore")  # PyTorch's compiler has many
def test_compiled_by_torch():
    f = torch.compiler.disable(into("torch", own))

    @torch.compile(backend="eager")
    def whole(x, y):
        return f(x * 2, y) + 1

    x, y = tensor(X, requires_grad=True), tensor(Y)
    (found,) = torch.autograd.grad(whole(x, y), x)
    same(found, torch.autograd.grad(formula(torch, x * 2, y), x)[0])


@needs_torch
def test_checkpointed_by_torch():
    from torch.utils.checkpoint import checkpoint

    x, y = tensor(X, requires_grad=True), tensor(Y)
    (found,) = torch.autograd.grad(checkpoint(into("torch", own), x, y, use_reentrant=False), x)
    same(found, torch.autograd.grad(formula(torch, x, y), x)[0])


# --- inside JAX -----------------------------------------------------------------------------------

JAX_TRANSFORMS = {
    "value": lambda f: f,
    "jit": lambda f: jax.jit(f),
    "grad": lambda f: jax.grad(f, (0, 1)),
    "jit of grad": lambda f: jax.jit(jax.grad(f, (0, 1))),
    "grad of jit": lambda f: jax.grad(jax.jit(f)),
    "jvp": lambda f: lambda x, y: jax.jvp(f, (x, y), (y, x)),
    "linearize": lambda f: lambda x, y: jax.linearize(f, x, y)[1](y, x),
    "transpose": lambda f: (
        lambda x, y: jax.linear_transpose(lambda t: jax.jvp(lambda x: f(x, y), (x,), (t,))[1], x)(
            np.float64(2.0)
        )
    ),
    "transpose of the transpose": lambda f: (
        lambda x, y: jax.linear_transpose(lambda g: jax.vjp(f, x, y)[1](g), np.float64(2.0))((x, y))
    ),
    "jacfwd": lambda f: jax.jacfwd(f),
    "jacrev": lambda f: jax.jacrev(f),
    "hessian": lambda f: jax.hessian(f),
    "jit of hessian": lambda f: jax.jit(jax.hessian(f)),
    "reverse over reverse": lambda f: jax.jacrev(jax.jacrev(f)),
    "forward over forward": lambda f: jax.jacfwd(jax.jacfwd(f)),
    "reverse over forward": lambda f: jax.jacrev(jax.jacfwd(f)),
    "third": lambda f: jax.jit(jax.jacrev(jax.hessian(f))),
    "checkpoint": lambda f: jax.grad(jax.checkpoint(f)),
    "scan": lambda f: jax.grad(
        lambda x, y: jax.lax.scan(lambda c, _: (c * f(c, y), f(c, y)), x, None, 3)[1].sum()
    ),
}

JAX_BATCHES = {
    "vmap": lambda f: jax.vmap(f, (0, None)),
    "vmap along the last axis": lambda f: lambda rows, y: jax.vmap(f, (1, None))(rows.T, y),
    "vmap of vmap": lambda f: (
        lambda rows, y: jax.vmap(jax.vmap(f, (None, 0)), (0, None))(rows, jnp.stack([y, 2 * y]))
    ),
    "jit of vmap of grad": lambda f: jax.jit(jax.vmap(jax.grad(f), (0, None))),
    "vmap of hessian": lambda f: jax.vmap(jax.hessian(f), (0, None)),
    "grad of vmap": lambda f: jax.grad(
        lambda rows, y: jax.vmap(f, (0, None))(rows, y).sum(), (0, 1)
    ),
    "hessian of vmap": lambda f: jax.hessian(lambda r, y: jax.vmap(f, (0, None))(r, y).sum()),
}


@needs_jax
@pytest.mark.parametrize("transform", JAX_TRANSFORMS)
def test_transforms_of_jax(transform):
    make = JAX_TRANSFORMS[transform]
    arguments = tensor(X, "jax"), tensor(Y, "jax")
    same(make(into("jax", own))(*arguments), make(theirs("jax"))(*arguments))


@needs_jax
@pytest.mark.parametrize("transform", JAX_BATCHES)
@pytest.mark.parametrize("looks", [False, True], ids=["batched", "one by one"])
def test_batches_of_jax(transform, looks):
    def f(x, y):
        return own(x, y) if not looks or x[0] < 10 else x

    make = JAX_BATCHES[transform]
    arguments = tensor(ROWS, "jax"), tensor(Y, "jax")
    same(make(into("jax", f))(*arguments), make(theirs("jax"))(*arguments))


@needs_jax
@pytest.mark.parametrize("real", [False, True], ids=["complex", "by a real argument"])
def test_complex_functions_in_jax(real):
    """JAX's convention is this engine's."""
    f = into("jax", lambda z, w: complex_formula(np, z, w))
    g = lambda z, w: complex_formula(jnp, z, w)  # noqa: E731
    z, w = tensor(X if real else Z, "jax"), tensor(W, "jax")
    same(jax.vjp(f, z, w)[1](w), jax.vjp(g, z, w)[1](w))
    same(jax.jvp(f, (z, w), (2 * z, z + 0j)), jax.jvp(g, (z, w), (2 * z, z + 0j)))
    scalar = lambda f: lambda z: jnp.sum(jnp.abs(f(z, w)) ** 2)  # noqa: E731
    same(jax.jit(jax.grad(scalar(f)))(z), jax.grad(scalar(g))(z))


@needs_jax
def test_float32_is_jaxs_default():
    with jax.enable_x64(False):
        x = jnp.asarray(X)
        f = into("jax", lambda x: np.sum(x * np.linspace(0.0, 1.0, 3)))  # float64 in NumPy
        assert f(x).dtype == jax.jit(f)(x).dtype == jnp.float32
        assert jax.hessian(f)(x).dtype == jnp.float32
        g = out_of("jax", lambda x: jnp.sum(x**2))
        assert g(X).dtype == np.float32
        assert ad.grad(g)(X).dtype == np.float64
        np.testing.assert_allclose(ad.grad(g)(X), 2 * X, rtol=1e-6)


@needs_jax
def test_integers_in_jax():
    f = into("jax", lambda x, i: {"taken": x[i], "next": i + 1})
    x, i = tensor(X, "jax"), jnp.array([2, 0])
    assert jax.jit(f)(x, i)["next"].tolist() == [3, 1]
    total = lambda x, i: f(x, i)["taken"].sum()  # noqa: E731
    by_x, by_i = jax.jit(jax.grad(total, (0, 1), allow_int=True))(x, i)
    assert by_x.tolist() == [1.0, 0.0, 1.0]
    assert by_i.dtype == jax.dtypes.float0


@needs_jax
def test_shapes_are_found_on_made_up_numbers_or_given():
    def f(x):
        return np.linalg.cholesky(x)

    x = np.eye(3) * 4
    same(into("jax", f)(jnp.asarray(x)), f(x))  # where there are values, nothing is made up
    loss = lambda f: lambda x: f(x).sum()  # noqa: E731
    same(jax.grad(loss(into("jax", f)))(jnp.asarray(x)), ad.grad(loss(f))(x))
    with pytest.raises(np.linalg.LinAlgError) as caught:
        jax.jit(into("jax", f))(jnp.asarray(x))
    assert "out=" in caught.value.__notes__[0]
    for out in (x, jax.ShapeDtypeStruct((3, 3), x.dtype), lambda x: x):
        given = into("jax", f, out=out)
        same(jax.jit(given)(jnp.asarray(x)), f(x))
        same(jax.jit(jax.hessian(loss(given)))(jnp.asarray(x)), ad.hessian(loss(f))(x))
    given = into("jax", lambda d: {"root": f(d["x"])}, out=lambda d: {"root": d["x"]})
    same(jax.jit(given)({"x": jnp.asarray(x)}), {"root": f(x)})


@needs_jax
def test_a_run_on_made_up_numbers_warns_of_nothing_and_decides_nothing():
    def f(x):
        return np.sum(np.log(x - 1)) if x[0] > 1.9 else np.sum(np.log(-x))

    x = tensor([2.0, 3.0], "jax")
    same(jax.jit(into("jax", f))(x), np.log(2.0))


@needs_jax
def test_shapes_that_depend_on_values_are_refused():
    with pytest.raises(Exception, match=r"must not depend on values"):
        jax.jit(into("jax", lambda x: x[x > 0]))(jnp.array([1.0, -1.0]))
    same(into("jax", lambda x: x[x > 0])(jnp.array([1.0, -1.0])), np.array([1.0]))


# --- their functions here -------------------------------------------------------------------------

OWN_TRANSFORMS = {
    "value": lambda f: f,
    "grad": lambda f: ad.grad(f, (0, 1)),
    "value_and_grad": lambda f: ad.value_and_grad(f),
    "vjp": lambda f: lambda x, y: ad.vjp(f, x, y)[1](2.0),
    "jvp": lambda f: lambda x, y: ad.jvp(f, (x, y), (y, x)),
    "linearize": lambda f: lambda x, y: ad.linearize(f, x, y)[1](y, x),
    "hvp": lambda f: lambda x, y: ad.hvp(f, (x, y), (y, x)),
    "hessian": lambda f: ad.hessian(f),
    "forward over forward": lambda f: ad.jacobian(ad.jacobian(f, order="forward"), order="forward"),
    "reverse over reverse": lambda f: ad.jacobian(ad.grad(f), order="reverse"),
    "third": lambda f: ad.jacobian(ad.hessian(f)),
    "vmap": lambda f: lambda x, y: ad.vmap(f, (0, None))(ROWS, y),
    "vmap of vmap": lambda f: lambda x, y: ad.vmap(ad.vmap(f, (None, 0)), (0, None))(ROWS, ROWS),
    "vmap of grad": lambda f: lambda x, y: ad.vmap(ad.grad(f), (0, None))(ROWS, y),
    "vmap of hessian": lambda f: lambda x, y: ad.vmap(ad.hessian(f), (0, None))(ROWS, y),
    "grad of vmap": lambda f: (
        lambda x, y: ad.grad(lambda r, y: np.sum(ad.vmap(f, (0, None))(r, y)), (0, 1))(ROWS, y)
    ),
    "checkpoint": lambda f: ad.grad(ad.checkpoint(f)),
    "compile": lambda f: ad.compile(ad.grad(f)),
    "evaluate": lambda f: lambda x, y: ad.record(f)(x, y).evaluate(y, x),
    "evaluate a gradient": lambda f: lambda x, y: ad.record(ad.grad(f))(x, y).evaluate(y, x),
    "grad of evaluate": lambda f: lambda x, y: ad.grad(ad.record(f)(x, y).evaluate)(y, x),
}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("transform", OWN_TRANSFORMS)
def test_transforms_of_their_functions(library, transform):
    make = OWN_TRANSFORMS[transform]
    same(make(out_of(library, theirs(library)))(X, Y), make(own)(X, Y))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("transform", [name for name in OWN_TRANSFORMS if name != "third"])
def test_there_and_back(library, transform):
    make = OWN_TRANSFORMS[transform]
    same(make(out_of(library, into(library, own)))(X, Y), make(own)(X, Y))


@pytest.mark.parametrize("library", LIBRARIES)
def test_back_and_there(library):
    f = into(library, out_of(library, theirs(library)))
    x, y = tensor(X, library), tensor(Y, library)
    if library == "torch":
        same(torch.func.hessian(f)(x, y), torch.func.hessian(theirs(library))(x, y))
        x.requires_grad_()
        assert torch.autograd.gradgradcheck(f, (x, y))
    else:
        same(jax.hessian(f)(x, y), jax.hessian(theirs(library))(x, y))
        same(jax.jit(jax.grad(f))(x, y), jax.grad(theirs(library))(x, y))


@pytest.mark.parametrize("library", LIBRARIES)
def test_complex_functions_of_theirs(library):
    module = {"torch": torch, "jax": jnp}[library]
    f = out_of(library, lambda z, w: complex_formula(module, z, w))

    def g(z, w):
        return complex_formula(np, z, w)

    same(ad.vjp(f, Z, W)[1](W), ad.vjp(g, Z, W)[1](W))
    same(ad.jvp(f, (Z, W), (W, Z)), ad.jvp(g, (Z, W), (W, Z)))
    same(ad.vjp(f, X, W)[1](W), ad.vjp(g, X, W)[1](W))
    ad.check_grads(f, (Z, W), order=2)


@pytest.mark.parametrize("library", LIBRARIES)
def test_on_a_tape_it_is_one_operation(library):
    def energy(x):
        return (x * x).sum()

    tape = ad.record(out_of(library, energy))(X)
    assert [entry.primitive.name for entry in tape] == ["energy"]
    assert tape.cost().flops == 0
    swept = ad.record(ad.grad(out_of(library, energy)))(X)
    assert [entry.primitive.name for entry in swept] == ["energy", "energy.vjp"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_containers_with_their_functions(library):
    def g(params, n, *, scale):
        assert isinstance(n, int)
        assert isinstance(scale, float)
        x = params["x"]
        return {"y": x**n * scale, "positive": x > 0, "what": "text", "n": n}

    f = out_of(library, g)
    out = f({"x": X}, 2, scale=0.5)
    assert out["what"] == "text"
    assert out["n"] == 2
    same(out["y"], 0.5 * X**2)
    same(out["positive"], X > 0)
    gradient = ad.grad(lambda params: np.sum(f(params, 2, scale=0.5)["y"]))({"x": X})
    same(gradient, {"x": X})


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_sweep_of_theirs_does_not_evaluate_again(library):
    calls = []

    def g(x):
        calls.append(1)
        return (x * x).sum()

    value, gradient = ad.value_and_grad(out_of(library, g))(X)
    same((value, gradient), (np.sum(X * X), 2 * X))
    assert len(calls) == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_pullback_is_not_used_for_other_values(library):
    """A tape that was recorded at one point is evaluated, and differentiated, at another."""
    f = out_of(library, lambda x: (x**3).sum())
    tape = ad.record(f)(X)
    same(ad.grad(tape.evaluate)(X), 3 * X**2)
    same(ad.grad(tape.evaluate)(Y), 3 * Y**2)
    same(ad.jvp(tape.evaluate, (Y,), (X,))[1], np.sum(3 * Y**2 * X))
    compiled = ad.compile(f)
    same(ad.grad(compiled)(X), 3 * X**2)
    same(ad.grad(compiled)(Y), 3 * Y**2)


@needs_torch
def test_modules_of_torch():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)
    ).double()
    f = out_of("torch", module)
    x = tensor(X, requires_grad=True)
    (wanted,) = torch.autograd.grad(module(x).sum(), x)
    same(ad.grad(lambda x: np.sum(f(x)))(X), wanted)
    assert all(parameter.grad is None for parameter in module.parameters())

    call = out_of("torch", lambda p, x: torch.func.functional_call(module, p, (x,)))
    params = {name: p.detach().numpy().copy() for name, p in module.named_parameters()}
    found = ad.grad(lambda p: np.sum(call(p, X) ** 2))(params)
    wanted = torch.autograd.grad((module(tensor(X)) ** 2).sum(), list(module.parameters()))
    same([found[name] for name in params], list(wanted))
    assert ad.hvp(lambda p: np.sum(call(p, X) ** 2), (params,), (params,)).keys() == params.keys()


@needs_torch
def test_operations_of_torch_without_a_forward_rule():
    class Cube(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x * x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return 3 * ctx.saved_tensors[0] ** 2 * g

    f = out_of("torch", Cube.apply)
    same(ad.jvp(f, (X,), (Y,)), (X**3, 3 * X**2 * Y))
    same(ad.hessian(lambda x: np.sum(f(x)))(X), np.diag(6 * X))


@pytest.mark.parametrize("library", LIBRARIES)
def test_theirs_under_vmap_where_they_look_at_values(library):
    f = out_of(library, lambda x: x * x if x > 0 else -x)
    same(ad.vmap(f)(X), np.where(X > 0, X * X, -X))
    same(ad.vmap(ad.grad(f))(X), np.where(X > 0, 2 * X, -1.0))


# --- in general -----------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_threads(library):
    f = into(library, own)
    points = [X * k for k in range(1, 9)]
    if library == "torch":

        def gradient(x):
            x = tensor(x, requires_grad=True)
            return torch.autograd.grad(f(x, tensor(Y)), x)[0].numpy()
    else:
        compiled = jax.jit(jax.grad(f))

        def gradient(x):
            with jax.enable_x64(True):
                return np.asarray(compiled(tensor(x, "jax"), tensor(Y, "jax")))

    with ThreadPoolExecutor(4) as pool:
        for x, found in zip(points, pool.map(gradient, points), strict=True):
            same(found, ad.grad(own)(x, Y))

    back = out_of(library, theirs(library))

    def own_gradient(x):
        if library == "jax":
            with jax.enable_x64(True):
                return ad.grad(back)(x, Y)
        return ad.grad(back)(x, Y)

    with ThreadPoolExecutor(4) as pool:
        for x, found in zip(points, pool.map(own_gradient, points), strict=True):
            same(found, ad.grad(own)(x, Y))


@pytest.mark.parametrize("library", LIBRARIES)
def test_name_documentation_pickling_and_methods(library):
    f = into(library, own)
    assert f.__name__ == "own"
    assert repr(f) == f"<{library}_function of own>"
    again = pickle.loads(pickle.dumps(f))
    same(again(tensor(X, library), tensor(Y, library)), f(tensor(X, library), tensor(Y, library)))

    class Model:
        scale = 2.0

        def scaled(self, x):
            return self.scale * x

        there = into(library, scaled)
        here = out_of(library, scaled)

    same(Model().there(tensor(X, library)), 2 * X)
    same(Model().here(X), 2 * X)


WAYS = ["torch_function", "jax_function", "from_torch", "from_jax"]


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_library_is_named(way, monkeypatch):
    package = "torch" if "torch" in way else "jax"
    for name in list(sys.modules):
        if name.startswith(
            ("autodiff.interop.into", "autodiff.interop.jax", "autodiff.interop.to")
        ):
            monkeypatch.delitem(sys.modules, name)
            monkeypatch.delattr(interop, name.rpartition(".")[2], raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"{way} needs .*pip install {package}"):
        getattr(interop, way)(np.sin)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_function_is_refused(way):
    if importlib.util.find_spec("torch" if "torch" in way else "jax") is None:
        pytest.skip("the library is not installed")
    with pytest.raises(TypeError, match=f"{way}: takes a function, got float"):
        getattr(interop, way)(3.0)


def test_libraries_are_loaded_when_asked_for():
    program = "import sys, autodiff; autodiff.interop; print({'torch', 'jax'} & set(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize("library", LIBRARIES)
def test_refusals(library):
    x = tensor(X, library)
    with pytest.raises(TypeError, match=r"output\[1\] is a str; the function must return numbers"):
        into(library, lambda x: (x, "text"))(x)
    w = ad.Tensor(Y)
    with pytest.raises(TypeError, match="depends on a Tensor from outside"):
        into(library, lambda x: x * w)(x)
    same(into(library, lambda x: x * w.data)(x), X * Y)
    same(into(library, lambda x: x * w.detach())(x), X * Y)
    half = x.bfloat16() if library == "torch" else x.astype(jnp.bfloat16)
    with pytest.raises(TypeError, match=r"NumPy has no .*bfloat16; pass x\.(float|astype)"):
        into(library, np.sum)(half)
    if library == "torch":
        with pytest.raises(TypeError, match=r"layout torch.sparse_coo .*x.to_dense"):
            into(library, np.sum)(torch.eye(2).to_sparse())
        with pytest.raises(TypeError, match="PyTorch has no tensors of dtype"):
            into(library, lambda x: x.astype(np.longdouble))(x)
        with pytest.raises(RuntimeError) as caught:
            torch.autograd.functional.jacobian(into(library, np.sin), x, vectorize=True)
        assert "torch.func.vmap" in caught.value.__notes__[0]


@pytest.mark.parametrize("library", LIBRARIES)
def test_errors_of_the_function_itself_come_through(library):
    def f(x):
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError, match="planted"):
        into(library, f)(tensor(X, library))
    with pytest.raises(ZeroDivisionError, match="planted"):
        ad.grad(out_of(library, f))(X)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "use",
    [
        lambda x: ad.grad(np.sum)(x),
        lambda x: ad.jvp(np.sin, (x,), (x,)),
        lambda x: ad.jacobian(np.sin)(x),
        lambda x: ad.vjp(np.sin, X)[1](x),
        lambda x: ad.grad(lambda y: x)(1.0),
    ],
    ids=["grad", "jvp", "jacobian", "cotangent", "output"],
)
def test_their_arrays_in_transforms_of_this_engine(library, use):
    with pytest.raises(TypeError, match=rf"ad\.interop\.{library}_function\(f\)"):
        use(tensor(X, library))


@needs_torch
def test_a_tensor_of_torch_in_record():
    with pytest.raises(TypeError, match=r"record: x is a Tensor; it is PyTorch's"):
        ad.record(np.sin)(tensor(X))


# --- programs, without any library ----------------------------------------------------------------


def program(f, *xs, conjugate=False):
    leaves, structure = ad.tree.flatten((xs, {}))
    return Root(f, "f", [None] * len(leaves), structure, range(len(leaves)), conjugate=conjugate)


def numbers(values):
    return [np.asarray(value) for value in values]


def test_programs_derive_programs():
    f = program(own, X, Y)
    both, one = (True, True), (True,)
    same(f(X, Y), (own(X, Y),))
    g = np.float64(2.0)
    same(f.pulled(both, one)(X, Y, g), ad.vjp(own, X, Y)[1](g))
    same(f.pushed(both, one)(X, Y, Y, X), (ad.jvp(own, (X, Y), (Y, X))[1],))
    same(f.batched((True, False), 4)(ROWS, Y), (ad.vmap(own, (0, None))(ROWS, Y),))
    assert f.pulled(both, one) is f.pulled(both, one)
    assert f.pushed(both, one).out_specs([Spec((3,), X.dtype)] * 4) == (Spec((), X.dtype),)


@pytest.mark.parametrize("kind", ["pushed", "pulled", "pushed, batched", "pulled, batched"])
def test_transposes_of_programs(kind):
    """<L(t), g> is <t, L'(g)>, whether the transpose is known or found."""
    f = program(own, X, Y)
    vector, scalar = Spec((3,), X.dtype), Spec((), X.dtype)
    if kind.startswith("pushed"):
        linear_map, inputs = f.pushed((True, True), (True,)), [X, Y]
        specs, ts, gs = [vector, vector], [Y + 1, X + 1], [np.float64(3.0)]
    else:
        linear_map, inputs = f.pulled((True, True), (True,)), [X, Y]
        specs, ts, gs = [scalar], [np.float64(3.0)], [Y + 1, X + 1]
    if kind.endswith("batched"):
        flags = (False,) * len(inputs) + (True,) * len(specs)
        linear_map = linear_map.batched(flags, 2)
        specs = [Spec((2, *spec.shape), spec.dtype) for spec in specs]
        ts = [np.stack([t, 2 * t]) for t in ts]
        gs = [np.stack([g, 3 * g]) for g in gs]
    transposed = linear_map.transposed([None, None, *specs], (True,) * len(gs))
    out = linear_map(*inputs, *ts)
    back = transposed(*inputs, *gs)
    assert [np.shape(b) for b in back] == [spec.shape for spec in specs]
    forth = sum(np.sum(a * b) for a, b in zip(out, gs, strict=True))
    assert np.isclose(forth, sum(np.sum(a * b) for a, b in zip(ts, back, strict=True)))
    general = Program.transposed(linear_map, [None, None, *specs], (True,) * len(gs))
    for one, other in zip(general(*inputs, *gs), back, strict=True):
        np.testing.assert_allclose(one, other)


def test_recorded_programs_know_their_inputs():
    f = program(own, X, Y)
    f.recorded([X, Y], (True, True))
    pulled = f.pulled((True, False), (True,))
    same(pulled(X, Y, np.float64(1.0)), (ad.grad(own)(X, Y),))
    same(pulled(Y, X, np.float64(1.0)), (ad.grad(own)(Y, X),))
    same(pulled(X, X, np.float64(1.0)), (ad.grad(own)(X, X),))
    assert f._recorded.serves([X.copy(), Y], (True, False), [np.float64(1.0)])
    assert not f._recorded.serves([Y, X], (True, False), [np.float64(1.0)])
