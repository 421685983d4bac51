"""Views: what shares memory in NumPy is updated together on Tensors, and nothing else is."""

import gc
import inspect
import weakref

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from test_fft import CALLS as FFT
from test_linalg import CALLS as LINALG
from test_numpy_coverage import CALLS as COVERAGE
from test_numpy_functions import CALLS

import autodiff as ad
from autodiff import views
from autodiff.core.arrays import as_array
from autodiff.ops.protocol import FUNCTIONS

M = np.arange(1.0, 13.0).reshape(3, 4)
V = np.array([3.0, 1.0, 2.0, 5.0])
S = np.arange(1.0, 10.0).reshape(3, 3)
A = np.arange(1.0, 25.0).reshape(2, 3, 4)
ALL = np.ones((3, 4), bool)

EDGES = {
    "repeat once": (lambda x: np.repeat(x, 1), V),
    "repeat once along": (lambda x: np.repeat(x, 1, axis=0), M),
    "tile once": (lambda x: np.tile(x, 1), M),
    "roll by none": (lambda x: np.roll(x, 0), V),
    "roll by none along": (lambda x: np.roll(x, 0, axis=1), M),
    "take one": (lambda x: np.take(x, 1, axis=0), M),
    "take method": (lambda x: x.take(1, axis=0), M),
    "sum over no axes": (lambda x: np.sum(x, axis=()), M),
    "max over no axes": (lambda x: np.max(x, axis=()), M),
    "sum of one": (lambda x: np.sum(x[:1], axis=0), M),
    "max of one": (lambda x: np.max(x[:1], axis=0), M),
    "squeeze nothing": (lambda x: np.squeeze(x), M),
    "squeeze method": (lambda x: x[None].squeeze(), M),
    "atleast_1d": (lambda x: np.atleast_1d(x), M),
    "atleast_2d": (lambda x: np.atleast_2d(x), V),
    "atleast_3d": (lambda x: np.atleast_3d(x), M),
    "copy": (lambda x: np.copy(x), M),
    "copy method": (lambda x: x.copy(), M),
    "flatten": (lambda x: x.flatten(), M),
    "ravel K": (lambda x: np.ravel(x.T, "K"), M),
    "ravel F": (lambda x: np.ravel(x, "F"), M),
    "ravel of columns": (lambda x: np.ravel(x[:, :1]), M),
    "ravel of T": (lambda x: np.ravel(x.T), M),
    "ravel F of T": (lambda x: np.ravel(x.T, "F"), M),
    "reshape A of T": (lambda x: np.reshape(x.T, -1, order="A"), M),
    "reshape of columns": (lambda x: np.reshape(x[:, :1], -1), M),
    "array_split": (lambda x: np.array_split(x, 2), M),
    "hsplit": (lambda x: np.hsplit(x, 2), M),
    "vsplit": (lambda x: np.vsplit(x, 3), M),
    "split": (lambda x: np.split(x, [1, 2]), V),
    "iteration": (lambda x: list(x), M),
    "array of one element": (lambda x: x[1, 2, ...], M),
    "reshape to no axes": (lambda x: x[:1].reshape(()), V),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3, 4)), M),
    "broadcast_to its own": (lambda x: np.broadcast_to(x, (3, 4)), M),
    "broadcast_arrays of one shape": (lambda x: np.broadcast_arrays(x, np.ones((3, 4)))[0], M),
    "meshgrid": (lambda x: np.meshgrid(x, np.ones(3)), V),
    "meshgrid of views": (lambda x: np.meshgrid(x, V, sparse=True, copy=False), V),
    "meshgrid sparse": (lambda x: np.meshgrid(x, V, sparse=True), V),
    "diag": (lambda x: np.diag(x), M),
    "diag of one": (lambda x: np.diag(x), V[:1]),
    "diagonal method": (lambda x: x.diagonal(), M),
    "diagonal elsewhere": (lambda x: np.diagonal(x, 1, 1, 2), A),
    "linalg.diagonal": (lambda x: np.linalg.diagonal(x), M),
    "linalg.matrix_transpose": (lambda x: np.linalg.matrix_transpose(x), M),
    "einsum diagonal": (lambda x: np.einsum("ii->i", x), S),
    "einsum diagonals": (lambda x: np.einsum("...ii->i...", x), np.stack([S, S])),
    "einsum transpose": (lambda x: np.einsum("ij->ji", x), M),
    "einsum ellipsis": (lambda x: np.einsum("...i->i...", x), A),
    "einsum itself": (lambda x: np.einsum("ij", x), M),
    "einsum implicit": (lambda x: np.einsum("ji", x), M),
    "einsum sum": (lambda x: np.einsum("ij->i", x), M),
    "real": (lambda x: np.real(x), M),
    "real method": (lambda x: x.real, M),
    "imag": (lambda x: np.imag(x), M),
    "conj": (lambda x: np.conj(x), M),
    "conj method": (lambda x: x.conj(), M),
    "real of complex": (lambda x: np.real(x), M + 1j),
    "imag of complex": (lambda x: x.imag, M + 1j),
    "conj of complex": (lambda x: x.conj(), M + 1j),
    "real_if_close": (lambda x: np.real_if_close(x), M),
    "nan_to_num": (lambda x: np.nan_to_num(x), M),
    "clip nothing": (lambda x: np.clip(x, -1e9, 1e9), M),
    "round": (lambda x: x.round(), M),
    "positive": (lambda x: +x, M),
    "astype": (lambda x: x.astype(float), M),
    "astype without copy": (lambda x: x.astype(float, copy=False), M),
    "np.astype without copy": (lambda x: np.astype(x, float, copy=False), M),
    "delete nothing": (lambda x: np.delete(x, []), V),
    "insert nothing": (lambda x: np.insert(x, [], []), V),
    "append nothing": (lambda x: np.append(x, []), V),
    "concatenate one": (lambda x: np.concatenate([x]), V),
    "stack one": (lambda x: np.stack([x]), V),
    "hstack one": (lambda x: np.hstack([x]), V),
    "vstack one": (lambda x: np.vstack([x]), V),
    "dstack one": (lambda x: np.dstack([x]), V),
    "column_stack one": (lambda x: np.column_stack([x]), V),
    "block one": (lambda x: np.block([x]), V),
    "pad by none": (lambda x: np.pad(x, 0), M),
    "pad by none, edge": (lambda x: np.pad(x, 0, mode="edge"), M),
    "trim_zeros": (lambda x: np.trim_zeros(x), V),
    "resize to its own": (lambda x: np.resize(x, (3, 4)), M),
    "diff of order 0": (lambda x: np.diff(x, 0), V),
    "rot90 not at all": (lambda x: np.rot90(x, 0), M),
    "rot90": (lambda x: np.rot90(x), M),
    "rot90 twice": (lambda x: np.rot90(x, 2), M),
    "rot90 back": (lambda x: np.rot90(x, 3), M),
    "flip": (lambda x: np.flip(x), M),
    "rollaxis": (lambda x: np.rollaxis(x, 1), M),
    "rollaxis to its own": (lambda x: np.rollaxis(x, 0), M),
    "moveaxis to its own": (lambda x: np.moveaxis(x, 0, 0), M),
    "swapaxes of one": (lambda x: np.swapaxes(x, 0, 0), M),
    "transpose of a vector": (lambda x: np.transpose(x), V),
    "T": (lambda x: x.T, M),
    "mT": (lambda x: x.mT, A),
    "expand_dims": (lambda x: np.expand_dims(x, 1), M),
    "view": (lambda x: x.view(), M),
    "compress all": (lambda x: np.compress([1, 1, 1], x, axis=0), M),
    "extract all": (lambda x: np.extract(ALL, x), M),
    "where all": (lambda x: np.where(ALL, x, 0.0), M),
    "select all": (lambda x: np.select([ALL], [x]), M),
    "choose first": (lambda x: np.choose(np.zeros((3, 4), int), [x, x]), M),
    "piecewise": (lambda x: np.piecewise(x, [x > -1], [lambda v: v]), M),
    "mask of all": (lambda x: x[x > -1], M),
    "list of all": (lambda x: x[[0, 1, 2]], M),
    "list and slice": (lambda x: x[:, [0]], M),
    "True": (lambda x: x[True], M),
    "new axis": (lambda x: x[None, :, ::-1], M),
    "ellipsis": (lambda x: x[...], M),
    "empty index": (lambda x: x[()], M),
    "steps": (lambda x: x[::-2, 1:3], M),
    "tril of all": (lambda x: np.tril(x, 9), M),
    "sort": (lambda x: np.sort(x), M),
    "unique": (lambda x: np.unique(x), V),
    "cumsum of one": (lambda x: np.cumsum(x[:1]), V),
    "matrix_power 1": (lambda x: np.linalg.matrix_power(x, 1), S),
    "kron with 1": (lambda x: np.kron(1.0, x), M),
    "fftshift of one": (lambda x: np.fft.fftshift(x), V[:1]),
    "apply_along_axis": (lambda x: np.apply_along_axis(lambda v: v, 0, x), M),
    "median of one": (lambda x: np.median(x[:1], axis=0), M),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.zeros((3, 1), int), 1), M),
    "full_like": (lambda x: np.full_like(x, x), M),
    "sliding_window_view": (lambda x: sliding_window_view(x, 2), V),
    "sliding_window_view of axes": (lambda x: sliding_window_view(x, (2, 2)), M),
}
TABLE = {
    f"{kind}: {name}": entry
    for kind, table in (
        ("functions", CALLS),
        ("coverage", COVERAGE),
        ("linalg", LINALG),
        ("fft", FFT),
        ("edges", EDGES),
    )
    for name, entry in table.items()
    if len(entry) == 2 and np.ndim(entry[1]) and np.asarray(entry[1]).dtype.kind in "fc"
}


def parts(out):
    if isinstance(out, (tuple, list)):
        return [part for item in out for part in parts(item)]
    return [out]


def numbers(x):
    return x.data if isinstance(x, ad.Tensor) else np.asarray(x)


def is_array(value):
    """An array, or a Tensor that is one: no number."""
    return value.ndim > 0 or isinstance(as_array(getattr(value, "_value", value)), np.ndarray)


def write_through(f, x, i):
    """What x holds after its i-th result was written, or "refused"."""
    part = parts(f(x))[i]
    try:
        part[...] = np.zeros(part.shape) - 77.0
    except ValueError as error:
        assert "read-only" in str(error)  # noqa: PT017 (one of two outcomes)
        return "refused"
    return np.array(numbers(x))


def read_after_write(f, x, i):
    """What the i-th result shows after x was written."""
    part = parts(f(x))[i]
    x[...] = np.zeros(x.shape) - 55.0
    return np.array(numbers(part))


@pytest.mark.filterwarnings("ignore")  # of functions that are deprecated, or give NaN here
@pytest.mark.parametrize("name", TABLE)
def test_a_view_is_what_numpy_makes_one(name):
    f, x = TABLE[name]
    x = np.asarray(x)
    for i, part in enumerate(parts(f(x * 1.0))):
        if not isinstance(part, np.ndarray):
            continue  # numbers are no memory
        for effect in (write_through, read_after_write):
            expected = effect(f, x * 1.0, i)
            if not isinstance(parts(f(ad.Tensor(x) * 1.0))[i], ad.Tensor):
                continue  # plain results
            found = effect(f, ad.Tensor(x) * 1.0, i)
            if isinstance(expected, str) or isinstance(found, str):
                assert isinstance(expected, str)
                assert isinstance(found, str)
            else:
                np.testing.assert_allclose(found, expected)


# --- idioms ---------------------------------------------------------------------------------------


def unpacking(x, v):
    pos, vel = x[:2]
    pos += 0.1 * vel
    return x


def chained_index(x, v):
    x[0][1] = v[0]
    return x


def rows(x, v):
    for row in x:
        row *= v
    return x


def rows_set(x, v):
    for i, row in enumerate(x):
        row[:] = v * i
    return x


def alias(x, v):
    y = x
    y += v
    return x


def helper(x, v):
    def add(s):
        s += v

    add(x)
    add(x[0])
    return x


def dictionary(x, v):
    state = {"pos": x[0], "vel": x[1]}
    state["pos"] += v
    state["vel"] -= state["pos"]
    return x


def transposed(x, v):
    x.T[0] = v[:3]
    return x


def raveled(x, v):
    x.ravel()[0] = v[0]
    return x


def reshaped(x, v):
    x.reshape(-1)[2] = v[1]
    return x


def real_part(x, v):
    x.real[0] = v
    x.real = x * 2.0
    return x


def kept_view(x, v):
    w = v[:2]
    w[0] = 7.0 * x[0, 0]
    return v


def seen_in_view(x, v):
    w = x[1:]
    x[1] = v
    return w * x[1]


def view_of_view(x, v):
    block = x[1:]
    row = block[0]
    row *= v
    block += 1.0
    return x + row


def overlapping(x, v):
    x[1:] += x[:-1]
    x[:, 1:] = x[:, :-1]
    return x


def backwards(x, v):
    x[:] = x[::-1]
    return x


def swapped(x, v):
    x[0], x[1] = x[1].copy(), x[0].copy()
    x[[0, 1]] = x[[1, 0]]
    return x


def swapped_wrongly(x, v):
    x[0], x[1] = x[1], x[0]  # of views: both rows are the second one
    return x


def advanced_copies(x, v):
    y = x[[0, 1]]
    y += v
    return x + y[0]


def ravel_copies(x, v):
    y = x.T.ravel()
    y += 1.0
    return x * y[0]


def out_of_view(x, v):
    np.multiply(x[0], v, out=x[1])
    np.cumsum(x, axis=0, out=x)
    np.clip(x[2], 0.5, None, x[2])
    x[0].clip(0.1, 2.0, out=x[0])
    return x


def copied_over(x, v):
    np.copyto(x[1], v, where=np.array([True, False, True, False]))
    np.putmask(x[0], [1, 0, 0, 1], v)
    np.put(x[2], [0, 3], v[:2])
    np.place(x[2], [0, 1, 0, 0], v[3:])
    np.fill_diagonal(x, v[0])
    np.add.at(x[0], [1, 1], v[2])
    return x


def methods(x, v):
    x[0].fill(v[0])
    x[1].sort()
    x[2].partition(1)
    x.T[1].put([0], v[1])
    return x


def flat(x, v):
    x.T.flat[1] = v[0]
    x.flat[[2, 5]] = v[:2]
    x[1].flat = v[1]
    return x


def split(x, v):
    left, right = np.split(x, 2, axis=1)
    left *= right
    for part in np.array_split(x, 2):
        part += v
    return x


def moved(x, v):
    np.moveaxis(x, 0, 1)[0] = v[:3]
    np.swapaxes(x, 0, 1)[1] *= 2.0
    np.expand_dims(x, 0)[0, 0] += v
    np.squeeze(x[None])[1] -= v
    return x


def diagonal_of_einsum(x, v):
    np.einsum("ii->i", x[:, :3])[:] *= v[:3]
    return x


def element_without_axes(x, v):
    e = x[1, 2, ...]
    e += v[0]
    e[...] = e * e
    return x


def number(x, v):
    e = x[1, 2]
    e += v[0]  # a number: bound anew
    return x * e


def augmented_part(x, v):
    x[0] += v
    x[:, 1] *= v[0]
    x[1:][0] **= 2
    x[2] /= v
    return x


def filled(x, v):
    out = np.zeros_like(x)
    for row, source in zip(out, x, strict=True):
        row[...] = source * v
    return out


def order_of_memory_stays(x, v):
    y = np.zeros_like(x.T)
    y += x.T.copy()
    y.ravel()[0] = 5.0 * v[0]  # of a copy: the first axis of y runs fastest
    z = np.zeros_like(x[:, :3].T)
    np.einsum("ii->i", z)[:] = v[:3]
    z.ravel()[0] = 5.0 * v[0]
    return y @ z.T @ y.T


def walk(x, v):
    for i in range(1, 3):
        x[i] = np.sin(x[i - 1]) + v
    return x


IDIOMS = [
    unpacking,
    chained_index,
    rows,
    rows_set,
    alias,
    helper,
    dictionary,
    transposed,
    raveled,
    reshaped,
    real_part,
    kept_view,
    seen_in_view,
    view_of_view,
    overlapping,
    backwards,
    swapped,
    swapped_wrongly,
    advanced_copies,
    ravel_copies,
    out_of_view,
    copied_over,
    methods,
    flat,
    split,
    moved,
    diagonal_of_einsum,
    element_without_axes,
    number,
    augmented_part,
    filled,
    order_of_memory_stays,
    walk,
]
X0 = np.random.default_rng(5).uniform(0.5, 1.5, (3, 4))
V0 = np.random.default_rng(6).uniform(0.5, 1.5, 4)


def write_over_memory(monkeypatch):
    """As if every array were large."""
    for where in ("writing.ENOUGH", "ops.index.LARGE", "interpret.sweep.LARGE"):
        monkeypatch.setattr(f"autodiff.{where}", 0)


@pytest.mark.parametrize("large", [False, True], ids=["copies", "over memory"])
@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda f: f.__name__)
class TestIdioms:
    @pytest.fixture(autouse=True)
    def threshold(self, monkeypatch, large):
        if large:
            write_over_memory(monkeypatch)

    def test_value_and_derivatives(self, idiom):
        def f(x, v):
            return idiom(x * 1.0, v * 1.0)

        expected = f(X0, V0)
        np.testing.assert_allclose(f(ad.Tensor(X0), ad.Tensor(V0)).data, expected, rtol=1e-13)
        ad.check_grads(f, (X0, V0), order=2)

    def test_arguments_of_transforms_are_the_functions_own(self, idiom):
        x, v = X0.copy(), V0.copy()
        expected = np.sum(idiom(X0.copy(), V0.copy()))
        value, _ = ad.value_and_grad(lambda x, v: np.sum(idiom(x, v)), (0, 1))(x, v)
        np.testing.assert_allclose(value, expected, rtol=1e-13)
        np.testing.assert_array_equal(x, X0)
        np.testing.assert_array_equal(v, V0)

    def test_batches_and_tapes(self, idiom):
        def f(x, v):
            return idiom(x * 1.0, v * 1.0)

        xs, vs = np.stack([X0, X0 + 0.3]), np.stack([V0, V0 * 1.1])
        expected = np.stack([f(x, v) for x, v in zip(xs, vs, strict=True)])
        np.testing.assert_allclose(ad.vmap(f)(xs, vs), expected, rtol=1e-13)
        tape = ad.record(f)(X0, V0)
        if idiom is not methods:  # its order belongs to the values
            np.testing.assert_allclose(tape.evaluate(xs[1], vs[1]), expected[1], rtol=1e-13)


# --- what was recorded keeps what it saw ----------------------------------------------------------


def written_between(run):
    """The gradient of a function that writes after something was recorded, against arrays."""

    def outer(x):
        x = x * 1.0
        return run(x)

    return outer


def inner_gradient(x):
    def inner(y):
        z = np.sum(y**3)
        x[0] = 100.0
        return z

    return np.sum(ad.grad(inner)(x))


def inner_constant(x):
    def inner(y):
        z = np.sum(y * y * x)
        x[0] = 100.0
        return z

    return np.sum(ad.grad(inner)(np.ones(3)))


def inner_argument(x):
    def inner(y):
        y[1] = 5.0 * y[0]
        return np.sum(y**2)

    return np.sum(ad.grad(inner)(x) * x)


def pulled_back(x):
    y, pullback = ad.vjp(np.exp, x)
    y *= 2.0
    return np.sum(y * pullback(y)[0])


def seed_written(x):
    _, pullback = ad.vjp(lambda y: y * y, x)
    g = x * 1.0
    (first,) = pullback(g)
    g *= 3.0
    first += 1.0
    return np.sum(first * g)


def one_cotangent_for_two(x):
    first, second = ad.grad(lambda a, b: np.sum((a + b) ** 2), (0, 1))(x, x)
    first *= 2.0
    return np.sum(first * second)


def tangent_written(x):
    t = x * 1.0

    def inner(y):
        t[0] = 9.0
        return y * y

    return np.sum(ad.jvp(inner, (x,), (t,))[1])


def tangents_returned(x):
    _, (first, second) = ad.jvp(lambda y: (y, y), (x,), (x,))
    first *= 2.0
    return np.sum(first * second)


def recorded(x):
    tape = ad.record(lambda y: y * x)(np.ones(3))
    x[0] = 50.0
    return np.sum(tape.evaluate(np.ones(3)) ** 2)


def checkpointed(x):
    y = ad.checkpoint(lambda v: np.sin(v) * x)(x)
    x += 1.0
    return np.sum(y * x)


def hooked(x):
    def double(g):
        g *= 2.0
        return g

    def play(g):
        g *= 7.0

    w = ad.Tensor(x)
    w.register_hook(double)
    w.register_hook(play)
    np.sum(w * w * x).backward()
    return np.sum(w.grad * x)


def batched(x):
    def f(y):
        x[0] = 40.0
        return y * y

    return np.sum(ad.vmap(f)(x))


EXPECTED = {
    inner_gradient: lambda x: 3 * np.sum(x**2),
    inner_constant: lambda x: 2 * np.sum(x),
    inner_argument: lambda x: x[0] * (2 * x[0] + 50 * x[0]) + x[2] * 2 * x[2],
    pulled_back: lambda x: np.sum(2 * np.exp(x) * 2 * np.exp(2 * x)),
    seed_written: lambda x: np.sum((2 * x * x + 1) * 3 * x),
    one_cotangent_for_two: lambda x: np.sum(8 * x * 4 * x),
    tangent_written: lambda x: np.sum(2 * x * x),
    tangents_returned: lambda x: np.sum(2 * x * x),
    recorded: lambda x: np.sum(x**2),
    checkpointed: lambda x: np.sum(np.sin(x) * x * (x + 1)),
    hooked: lambda x: np.sum(4 * x * x * x),
    batched: lambda x: np.sum(x * x),
}


@pytest.mark.parametrize("run", EXPECTED, ids=lambda f: f.__name__)
def test_what_was_recorded_keeps_what_it_saw(run):
    x = np.array([0.3, 0.7, 1.1])

    def f(x):
        return run(x * 1.0)

    def expected(x):
        return EXPECTED[run](x * 1.0)

    np.testing.assert_allclose(ad.grad(f)(x), ad.grad(expected)(x), rtol=1e-12)
    t = np.array([1.0, -0.5, 0.2])
    np.testing.assert_allclose(ad.jvp(f, (x,), (t,))[0], expected(x), rtol=1e-12)
    np.testing.assert_allclose(ad.jvp(f, (x,), (t,))[1], ad.grad(expected)(x) @ t, rtol=1e-12)


class TestNumbers:
    def test_data_and_constants_stay_as_they_were(self):
        t = ad.Tensor(np.zeros(5000)) * 1.0
        before = t.data
        t[3] = 7.0
        t[4] = 8.0
        assert before[3] == 0.0
        again = t.data
        t[3] = 9.0
        assert again[3] == 7.0

    def test_what_a_tape_saved_is_not_written_over(self):
        w = ad.Tensor(np.full(5000, 2.0))
        x = w * 1.0
        x[0] = 3.0
        squares = np.sum(x * x)
        x[1] = 100.0
        squares.backward()
        assert w.grad[1] == 4.0
        assert w.grad[0] == 0.0

    def test_an_array_that_was_written_in_is_not_written_over(self):
        value = np.ones(5000)
        x = ad.Tensor(np.zeros(5000)) * 1.0
        x[...] = value
        x[0] = 5.0
        assert value[0] == 1.0
        x = np.zeros_like(x)
        y = np.zeros_like(x)
        x[0] = 1.0
        assert y[0].item() == 0.0


class TestVariables:
    def test_without_recording_views_of_a_variable_stay_ones(self):
        w = ad.Tensor(X0)
        row, column = w[0], w[:, 1]
        with ad.no_grad():
            w -= 0.5
            row += 0.25
            column[2] = 4.0
        expected = X0 - 0.5
        expected[0] += 0.25
        expected[2, 1] = 4.0
        np.testing.assert_allclose(w.data, expected)
        np.testing.assert_allclose(row.data, expected[0])
        np.testing.assert_allclose(column.data, expected[:, 1])
        (np.sum(row**2) + np.sum(column**2)).backward()
        gradient = np.zeros((3, 4))
        gradient[0] += 2 * expected[0]
        gradient[:, 1] += 2 * expected[:, 1]
        np.testing.assert_allclose(w.grad, gradient)

    def test_with_recording_the_variable_goes_on_as_dependent(self):
        w = ad.Tensor(X0)
        row = w[0]
        row *= 3.0
        np.sum(w**2).backward()
        expected = 2 * X0
        expected[0] *= 9.0
        np.testing.assert_allclose(w.grad, expected)

    def test_data_of_a_variable_is_new_for_its_views_too(self):
        w = ad.Tensor(X0)
        row = w[0]
        w.data = X0 * 2.0
        np.testing.assert_allclose(row.data, X0[0] * 2.0)
        np.sum(row).backward()
        assert w.grad[0, 0] == 1.0

    def test_a_view_without_gradient_does_not_keep_what_was_recorded(self):
        kept = []
        y = ad.Tensor(np.ones(4)) * 2.0
        node = weakref.ref(y)
        with ad.no_grad():
            kept.append(y[:2])
        del y
        gc.collect()
        assert node() is None
        np.testing.assert_allclose(kept[0].data, 2.0)

    def test_views_that_are_gone_are_forgotten(self):
        x = ad.Tensor(np.ones((2, 50))) * 1.0
        for _ in range(1000):
            x[0]
        assert len(x._views) < 50


class TestRefusals:
    @pytest.mark.parametrize(
        "view",
        [
            lambda x: np.broadcast_to(x, (2, 3, 4)),
            lambda x: np.broadcast_to(x, (2, 3, 4))[0],
            lambda x: np.diagonal(x),
            lambda x: np.diag(x),
            lambda x: sliding_window_view(x, 2, axis=0),
            lambda x: x.imag,
            lambda x: np.broadcast_arrays(x, np.ones((2, 3, 4)))[0],
        ],
    )
    def test_what_numpy_makes_read_only(self, view):
        x = ad.Tensor(M) * 1.0
        with pytest.raises(ValueError, match=r"read-only.*write into its base, or make a copy"):
            view(x)[...] = 1.0
        np.testing.assert_array_equal(x.data, M)

    def test_imaginary_part_of_real_numbers(self):
        with pytest.raises(ValueError, match="read-only"):
            ad.Tensor(M).imag = 3.0

    def test_resize(self):
        with pytest.raises(TypeError, match=r"x = np.resize\(x, shape\)"):
            ad.Tensor(M).resize(2, 2)

    def test_bits_as_another_type(self):
        with pytest.raises(TypeError, match="cast with astype"):
            ad.Tensor(M).view(np.int64)

    def test_strides_on_trust(self):
        with pytest.raises(TypeError, match="does not turn into an array"):
            as_strided(ad.Tensor(M), (2, 2), (8, 8))

    def test_shuffling_is_warned_of_by_numpy(self):
        with pytest.warns(UserWarning, match="shuffling a 'Tensor'"):
            np.random.default_rng(0).shuffle(ad.Tensor(M) * 1.0)

    def test_writing_through_windows(self):
        with pytest.raises(TypeError, match="write into the array itself"):
            sliding_window_view(ad.Tensor(V), 2, writeable=True)

    def test_an_inner_value_into_a_view_of_an_outer_tensor(self):
        def f(x):
            x = x * 1.0

            def inner(y):
                row = x[0]
                row += y
                return np.sum(row)

            return np.sum(ad.grad(inner)(np.ones(4)))

        with pytest.raises(TypeError, match="belongs to an outer transform"):
            ad.grad(f)(M)

    def test_an_assignment_that_fails_changes_nothing(self):
        x = ad.Tensor(np.ones((3, 5000))) * 1.0
        row = x[0]
        with pytest.raises(ValueError, match="broadcast"):
            x[0] = np.ones(7)
        with pytest.raises(ValueError, match="does not fit"):
            row += np.ones((2, 5000))
        np.testing.assert_array_equal(x.data, 1.0)
        np.testing.assert_array_equal(row.data, 1.0)


# --- keyword out ----------------------------------------------------------------------------------

SQUARE = np.linspace(0.5, 2.0, 9).reshape(3, 3)
WITH_OUT = {
    np.all: ((M,), {}),
    np.any: ((M,), {}),
    np.argmax: ((M,), {"axis": 0}),
    np.argmin: ((M,), {"axis": 0}),
    np.choose: ((np.array([0, 1, 0, 1]), [V, V * 2]), {}),
    np.clip: ((M, 2.0, 8.0), {}),
    np.compress: (([1, 0, 1], M), {"axis": 0}),
    np.concatenate: (([M, M],), {}),
    np.cumprod: ((V,), {}),
    np.cumsum: ((M,), {"axis": 1}),
    np.dot: ((SQUARE, SQUARE), {}),
    np.einsum: (("ij,jk->ik", SQUARE, SQUARE), {}),
    np.fix: ((V * 1.3,), {}),
    np.isneginf: ((V,), {}),
    np.isposinf: ((V,), {}),
    np.linalg.multi_dot: (([SQUARE, SQUARE, SQUARE],), {}),
    np.max: ((M,), {"axis": 0}),
    np.mean: ((M,), {"axis": 0}),
    np.median: ((M,), {"axis": 0}),
    np.min: ((M,), {"axis": 0}),
    np.nanargmax: ((M,), {"axis": 0}),
    np.nanargmin: ((M,), {"axis": 0}),
    np.nancumprod: ((V,), {}),
    np.nancumsum: ((M,), {"axis": 1}),
    np.nanmax: ((M,), {"axis": 0}),
    np.nanmean: ((M,), {"axis": 0}),
    np.nanmedian: ((M,), {"axis": 0}),
    np.nanmin: ((M,), {"axis": 0}),
    np.nanpercentile: ((M, 30), {"axis": 0}),
    np.nanprod: ((M,), {"axis": 0}),
    np.nanquantile: ((M, 0.3), {"axis": 0}),
    np.nanstd: ((M,), {"axis": 0}),
    np.nansum: ((M,), {"axis": 0}),
    np.nanvar: ((M,), {"axis": 0}),
    np.outer: ((V, V), {}),
    np.percentile: ((M, 30), {"axis": 0}),
    np.prod: ((M,), {"axis": 0}),
    np.ptp: ((M,), {"axis": 0}),
    np.quantile: ((M, 0.3), {"axis": 0}),
    np.round: ((M / 3, 1), {}),
    np.stack: (([V, V],), {}),
    np.std: ((M,), {"axis": 0}),
    np.sum: ((M,), {"axis": 0}),
    np.take: ((M, [0, 2]), {"axis": 1}),
    np.trace: ((A,), {}),
    np.var: ((M,), {"axis": 0}),
}
for _name in sorted({"cumulative_sum", "cumulative_prod"} & set(dir(np))):
    WITH_OUT[getattr(np, _name)] = (M,), {"axis": 1}
ALIASES = {np.around: np.round, np.amax: np.max, np.amin: np.min}


def of_numpy(function):
    return getattr(function, "__module__", "").split(".")[0] == "numpy"


def test_every_function_with_out_is_tried():
    fft = {f for f in FUNCTIONS if getattr(f, "__module__", "") == "numpy.fft"}
    named = set()
    for function in FUNCTIONS:
        try:
            signature = inspect.signature(function)
        except ValueError:
            continue
        if "out" in signature.parameters and of_numpy(function) and function not in fft:
            named.add(ALIASES.get(function, function))
    assert named - set(WITH_OUT) == set()


def boxed(value):
    if isinstance(value, list):
        return [boxed(item) for item in value]
    is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return ad.Tensor(value) * 1.0 if is_float else value


@pytest.mark.parametrize("function", WITH_OUT, ids=lambda f: f.__name__)
def test_out(function):
    args, keywords = WITH_OUT[function]
    expected = function(*args, **keywords)
    target = np.full(np.shape(expected), 9, np.asarray(expected).dtype)
    function(*args, **keywords, out=target)
    boxes = list(map(boxed, args))
    if target.dtype.kind == "f":
        whole = ad.Tensor(np.full((2, *target.shape), 9.0)) * 1.0
        given = whole[1] if target.ndim else whole[1, ...]
    else:
        given = np.full_like(target, 9)
    result = function(*boxes, **keywords, out=given)
    assert result is given
    np.testing.assert_allclose(numbers(given), target)
    if target.dtype.kind == "f":
        np.testing.assert_allclose(whole.data[1], target)
        with pytest.raises(TypeError, match="keyword 'out' is an array"):
            function(*boxes, **keywords, out=target)
        wrong = ad.Tensor(np.zeros((7, 7))) * 1.0
        with pytest.raises(ValueError, match="out of shape"):
            function(*boxes, **keywords, out=wrong)


class TestOut:
    def test_by_position_and_in_methods(self):
        x = ad.Tensor(M) * 1.0
        total = np.zeros_like(x[0])
        assert np.sum(x, 0, None, total) is total
        assert x.mean(0, out=total) is total
        np.testing.assert_allclose(total.data, M.mean(0))
        np.clip(x, 2.0, 5.0, x)
        np.testing.assert_allclose(x.data, np.clip(M, 2.0, 5.0))

    def test_of_ufunc_methods(self):
        x = ad.Tensor(M) * 1.0
        out = np.zeros_like(x[0])
        np.add.reduce(x, out=out)
        np.testing.assert_allclose(out.data, M.sum(0))
        table = np.zeros_like(x)
        np.multiply.accumulate(x, out=table)
        np.testing.assert_allclose(table.data, np.cumprod(M, 0))
        np.add.reduceat(x, [0, 2], out=table[:2])
        np.testing.assert_allclose(table[:2].data, np.add.reduceat(M, [0, 2]))

    def test_of_another_kind_is_refused(self):
        x = ad.Tensor(M + 1j) * 1.0
        with pytest.raises(TypeError, match="out of dtype float64"):
            np.sum(x, axis=0, out=np.zeros_like(x[0].real))

    def test_transforms(self):
        out = ad.Tensor(np.zeros(5, complex)) * 1.0
        np.fft.fft(ad.Tensor(np.arange(5.0)), out=out)
        np.testing.assert_allclose(out.data, np.fft.fft(np.arange(5.0)))


# --- cost -----------------------------------------------------------------------------------------


def chain(x):
    y = np.zeros_like(x)
    y[0] = x[0]
    for i in range(1, len(x)):
        y[i] = np.sin(y[i - 1]) + x[i]
    return np.sum(y)


def squared_rows(x):
    x = x * 1.0
    for row in x:
        row *= row
    return np.sum(x)


def scaled_rows(x):
    x = x * 1.0
    for row in x:
        row *= 0.5
    return np.sum(x)


def kept_rows(x):
    x = x * 1.0
    rows = list(x)
    for row in rows:
        row += 1.0
    return np.sum(x) + sum(np.sum(row) for row in rows[:2])


@pytest.fixture
def over_memory(monkeypatch):
    write_over_memory(monkeypatch)


@pytest.fixture
def traffic(monkeypatch):
    """Bytes of arrays that were copied to be written into."""
    copied = []

    def counting(array, dtype=None):
        result = np.array(array, dtype=dtype, order="K")
        copied.append(result.nbytes)
        return result

    monkeypatch.setattr("autodiff.core.arrays.copied", counting)
    return copied


@pytest.mark.parametrize("f", [chain, squared_rows, scaled_rows, kept_rows])
@pytest.mark.parametrize("transform", [ad.grad, lambda f: lambda x: ad.jvp(f, (x,), (x,))])
def test_loops_of_writes_are_linear(f, transform, traffic, over_memory):
    def copied(n):
        traffic.clear()
        shape = (8 * n,) if f is chain else (n, 64)
        transform(f)(np.linspace(0.1, 0.9, int(np.prod(shape))).reshape(shape))
        return sum(traffic)

    assert copied(400) <= 5 * copied(100)


def test_disjoint_views_are_left_alone():
    x = ad.Tensor(np.ones((200, 3))) * 1.0
    rows = list(x)
    before = [row._payload for row in rows]
    x[7] = 2.0
    changed = [i for i, row in enumerate(rows) if row._payload is not before[i]]
    assert changed == [7]
    x[:, 1] = 3.0
    assert all(row._payload is not old for row, old in zip(rows, before, strict=True))


@pytest.mark.parametrize(
    ("one", "other", "shape", "meet"),
    [
        ((0,), (1,), (3, 3), False),
        ((0,), (-3,), (3, 3), True),
        ((slice(0, 2),), (2,), (3, 3), False),
        ((slice(0, 2),), (slice(1, None),), (3, 3), True),
        ((slice(None), 0), (slice(None), 1), (3, 3), False),
        ((slice(None, None, -1),), (0,), (3, 3), True),
        ((slice(5, 9),), (0,), (3, 3), False),
        ((Ellipsis, 0), (0,), (3, 3), True),
        ((None, 0), (1,), (3, 3), True),
        (None, (1,), (3, 3), True),
    ],
)
def test_overlap(one, other, shape, meet):
    assert views.overlap(one, other, shape) is meet
    assert views.overlap(other, one, shape) is meet


# --- windows --------------------------------------------------------------------------------------


class TestWindows:
    def test_a_convolution_net_in_numpy(self):
        rng = np.random.default_rng(0)
        image, kernels = rng.normal(size=(2, 6, 7)), rng.normal(size=(3, 2, 2, 3))

        def layer(image, kernels):
            patches = sliding_window_view(image, (2, 3), axis=(1, 2))
            maps = np.maximum(np.einsum("chwij,kcij->khw", patches, kernels), 0.0)
            blocks = maps[:, :4, :4].reshape(3, 2, 2, 2, 2)
            return blocks.max(axis=(2, 4))

        ad.check_grads(layer, (image, kernels), order=2)
        images = np.stack([image, image + 0.1])
        batched = ad.vmap(layer, (0, None))(images, kernels)
        np.testing.assert_allclose(batched[1], layer(images[1], kernels))

    @pytest.mark.parametrize(
        ("shape", "window", "axis"),
        [((5,), 3, None), ((4, 5), (2, 2), None), ((4, 5), 2, 1), ((4, 5), (2, 3), (0, 0))],
    )
    def test_windows(self, shape, window, axis):
        x = np.random.default_rng(1).normal(size=shape)

        def f(x):
            return sliding_window_view(x, window, axis=axis) ** 2

        np.testing.assert_array_equal(f(ad.Tensor(x)).data, f(x))
        ad.check_grads(f, (x,), order=2)

    @pytest.mark.parametrize(
        ("window", "axis", "message"),
        [((2, 2, 2), None, "equally many"), (-1, 0, "negative"), (9, 0, "larger")],
    )
    def test_wrong_windows(self, window, axis, message):
        with pytest.raises(ValueError, match=message):
            sliding_window_view(ad.Tensor(V), window, axis=axis)


def test_strides_are_those_the_program_sees():
    t = ad.Tensor(A) * 1.0
    assert t.strides == A.strides
    assert t.T.strides == A.T.strides
    seen = []
    ad.vmap(lambda x: (seen.append(x.strides), x)[1])(A)
    assert seen == [A[0].strides]


@pytest.mark.parametrize("x", [A, A.T, A.transpose(1, 0, 2), A[:, ::2], A[..., ::-1]])
def test_memory_order_is_numpys(x):
    array, tensor = x + 0.0, ad.Tensor(np.zeros(1))[0] + x
    assert tensor.strides == array.strides
    for order in "CFAK":
        np.testing.assert_array_equal(np.ravel(tensor, order).data, np.ravel(array, order))
        np.testing.assert_array_equal(tensor.flatten(order).data, array.flatten(order))
        assert np.copy(tensor, order).strides == np.copy(array, order).strides
        assert tensor.copy(order).strides == array.copy(order).strides
        assert (
            np.zeros_like(tensor, order=order).strides == np.zeros_like(array, order=order).strides
        )
    for order in "CFA":
        np.testing.assert_array_equal(
            tensor.reshape(4, -1, order=order).data, array.reshape(4, -1, order=order)
        )


@pytest.mark.parametrize("large", [False, True], ids=["copies", "over memory"])
def test_a_write_that_is_refused_further_down_changes_nothing(large, monkeypatch):
    if large:
        write_over_memory(monkeypatch)
    x = ad.Tensor(M) * 1.0
    block = np.broadcast_to(x, (2, 3, 4))[0]
    row = block[1]
    for write in (lambda: row.fill(9.0), lambda: row.__iadd__(1.0), lambda: row.__setitem__(0, 1)):
        with pytest.raises(ValueError, match="read-only"):
            write()
    np.testing.assert_array_equal(x.data, M)
    np.testing.assert_array_equal(block.data, M)
    np.testing.assert_array_equal(row.data, M[1])

    def body(v):
        row = x[0]
        row *= v
        return np.sum(row)

    with pytest.raises(TypeError, match="belongs to an outer transform"):
        ad.checkpoint(body)(ad.Tensor(2.0))
    np.testing.assert_array_equal(x.data, M)
