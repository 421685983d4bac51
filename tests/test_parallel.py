"""Derivatives over shards: the same on every executor, and all of it or an error."""

import functools
import gc
import itertools
import multiprocessing
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, parallel

ROOT = pathlib.Path(__file__).parents[1]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((23, 4))
Y = np.sign(RNG.standard_normal(23))
W = RNG.standard_normal(4)

# --- functions that workers import ----------------------------------------------------------------


def loss(w, x, y):
    return np.mean(np.log1p(np.exp(-(x @ w) * y)))


def loss_of_pair(w, batch):
    return loss(w, *batch)


def summed(w, x, y=0.0, scale=1.0):
    return scale * np.sum((x @ w - y) ** 2)


def with_aux(w, x, y):
    residual = x @ w - y
    return np.sum(residual**2), {"largest": np.max(np.abs(residual)), "rows": len(x)}


def model_loss(model, x, y):
    return nn.mean_squared_error(model(x)[:, 0], y)


def tree_loss(params, batch):
    return np.sum((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2 * batch["factor"])


def predictions(w, x):
    return {"linear": x @ w, "pair": (np.tanh(x @ w), x * w)}


def one_example(w, x):
    return np.tanh(w @ x)


def cubes(w, x):
    return np.sum(w**3 * np.sum(x, axis=0))


def total_of(w, x):
    return np.sum(w * x)


def raises_at_five(w, x):
    if np.any(x == 5.0):
        raise OddError(7, why="five")
    return np.sum(w * x)


def dies_at_five(w, x):
    if np.any(x == 5.0):
        os._exit(3)
    time.sleep(0.05)
    return np.sum(w * x)


def once(folder):
    """Whether this is called for the first time, in any process."""
    try:
        (pathlib.Path(folder) / "been").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def dies_once(w, x, folder):
    if np.any(x == 5.0) and once(folder):
        os._exit(3)
    return np.sum(w * x)


def raises_once(w, x, folder):
    if np.any(x == 5.0) and once(folder):
        raise ValueError("for once")
    return np.sum(w * x)


class OddError(Exception):
    """Takes other arguments than it keeps: it can be pickled, and not be read again."""

    def __init__(self, number, *, why):
        super().__init__(f"{number}, {why}")


class WithoutWayBack:
    def __reduce__(self):
        raise RuntimeError("stays")


def process_and_address(w, x):
    """Where this runs, and where the rows are in memory."""
    place = np.array([os.getpid(), x.__array_interface__["data"][0]])
    return np.broadcast_to(place, (len(x), 2))


def is_frozen(w, x):
    before = x.__array_interface__["data"][0]
    kept = ad.core.arrays.protected(x)
    return np.full(len(x), kept.__array_interface__["data"][0] == before)


LOADED = "autodiff-test-loaded"


class Counted:
    """Parameters that count how often they are unpickled, and where."""

    def __init__(self, folder, value):
        self.folder, self.value = folder, value

    def __reduce__(self):
        return unpickled, (self.folder, self.value)


def unpickled(folder, value):
    (pathlib.Path(folder) / f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return Counted(folder, value)


def with_counted(w, x, counted):
    return np.sum(w * x) * counted.value


def activated(w, x):
    return np.sum(np.tanh(x @ w))


def functions_unpickled(w, x):
    return np.full(len(x), parallel.work.function_of.cache_info().misses)


WEIGHT = ad.Tensor([1.0, 2.0, 3.0, 4.0], name="weight")
MODEL = nn.Linear(4, 1, seed=0)


def uses_outside(w, x):
    return np.sum((x @ (w + WEIGHT)) ** 2)


def uses_model(w, x):
    return np.sum(MODEL(x) * w[0])


# --- executors ------------------------------------------------------------------------------------


class Elsewhere(Executor):
    """Runs tasks at once, and through pickles: an executor that nothing is known of."""

    def __init__(self):
        self.messages = []

    def submit(self, function, /, *args, **keywords):
        message = pickle.dumps((function, args, keywords))
        self.messages.append(message)
        future = Future()
        try:
            function, args, keywords = pickle.loads(message)
            future.set_result(pickle.loads(pickle.dumps(function(*args, **keywords))))
        except Exception as error:
            future.set_exception(error)
        return future


class Sized(Elsewhere):
    num_workers = 2


def spawned(workers=2):
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes():
    with spawned() as pool:
        yield pool


@pytest.fixture(scope="module")
def loky():
    library = pytest.importorskip("loky", reason="loky is not installed")
    pool = library.get_reusable_executor(2, timeout=None)
    yield pool
    pool.shutdown()


@pytest.fixture(scope="module")
def client():
    """Client of a cluster of two processes."""
    library = pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    with (
        library.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        library.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def dask(client):
    return client.get_executor()


@pytest.fixture(scope="module")
def elsewhere():
    return Sized()


KINDS = ["threads", "processes", "loky", "dask", "elsewhere"]


@pytest.fixture(params=KINDS)
def pool(request):
    """Each kind of executor in turn."""
    return request.getfixturevalue(request.param)


def same(one, other):
    """Whether two trees have the same bits and dtypes."""
    first, second = ad.tree.leaves(one), ad.tree.leaves(other)
    return len(first) == len(second) and all(
        np.asarray(a).dtype == np.asarray(b).dtype and np.array_equal(a, b)
        for a, b in zip(first, second, strict=True)
    )


def close(one, other, tolerance=1e-12):
    pairs = zip(ad.tree.leaves(one), ad.tree.leaves(other), strict=True)
    return all(np.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in pairs)


def by_hand(f, args, in_axes, sizes, reduce):
    """Value and gradient of shards, one after another, added in order."""
    ends = np.cumsum([0, *sizes])
    found = None
    for start, end in itertools.pairwise(ends):
        own = [
            arg if axis is None else arg[start:end] for arg, axis in zip(args, in_axes, strict=True)
        ]
        result = ad.value_and_grad(f)(*own)
        if reduce == "mean":
            result = ad.tree.map_leaves(lambda v, n=end - start: v * (n / ends[-1]), result)
        found = result if found is None else ad.tree.map_leaves(np.add, found, result)
    return found


# --- the same results on every executor -----------------------------------------------------------


def test_value_and_gradient_are_those_of_shards_added_in_order(pool):
    for shards, sizes in ((None, (12, 11)), (2, (12, 11)), (5, (5, 5, 5, 4, 4))):
        step = parallel.value_and_grad(
            loss, pool, in_axes=(None, 0, 0), reduce="mean", shards=shards
        )
        found = step(W, X, Y)
        assert same(found, by_hand(loss, (W, X, Y), (None, 0, 0), sizes, "mean"))
        assert close(found, ad.value_and_grad(loss)(W, X, Y))
    found = parallel.value_and_grad(summed, pool, in_axes=(None, 0, 0))(W, X, Y)
    assert same(found, by_hand(summed, (W, X, Y), (None, 0, 0), (12, 11), "sum"))
    assert same(parallel.grad(summed, pool, in_axes=(None, 0, 0))(W, X, Y), found[1])


def test_trees_keywords_and_several_arguments(pool):
    params = {"w": W, "b": 0.5}
    batch = {"x": X.T, "y": Y, "factor": 2.0}
    axes = (None, {"x": 1, "y": 0, "factor": None})

    def reference(params):
        return tree_loss(params, {**batch, "x": X})

    found = parallel.grad(transposed_tree_loss, pool, in_axes=axes)(params, batch)
    assert close(found, ad.grad(reference)(params))
    assert type(found) is dict
    step = parallel.value_and_grad(summed, pool, argnums=(0, 2), in_axes=(None, 0, None))
    assert close(
        step(W, X, 0.5, scale=3.0),
        ad.value_and_grad(summed, argnums=(0, 2))(W, X, 0.5, scale=3.0),
    )
    nested = parallel.grad(loss_of_pair, pool, in_axes=(None, 0), reduce="mean")
    assert close(nested(W, (X, Y)), ad.grad(loss)(W, X, Y))


def transposed_tree_loss(params, batch):
    return tree_loss(params, {**batch, "x": batch["x"].T})


def test_aux_is_a_list_by_shard(pool):
    step = parallel.value_and_grad(with_aux, pool, has_aux=True, in_axes=(None, 0, 0), shards=3)
    (value, aux), gradient = step(W, X, Y)
    assert [part["rows"] for part in aux] == [8, 8, 7]
    assert max(part["largest"] for part in aux) == with_aux(W, X, Y)[1]["largest"]
    other = parallel.grad(with_aux, pool, has_aux=True, in_axes=(None, 0, 0), shards=3)(W, X, Y)
    assert same(other, (gradient, aux))
    assert np.isclose(value, with_aux(W, X, Y)[0])


def test_float32_stays_float32(pool):
    w, x, y = (array.astype(np.float32) for array in (W, X, Y))
    for reduce in ("sum", "mean"):
        value, gradient = parallel.value_and_grad(
            loss, pool, in_axes=(None, 0, 0), reduce=reduce, shards=3
        )(w, x, y)
        assert value.dtype == gradient.dtype == np.float32


def test_modules_and_variables_are_read_like_arrays(pool):
    model = nn.MLP([4, 3, 1], seed=0)
    step = parallel.grad(model_loss, pool, in_axes=(None, 0, 0), reduce="mean")
    expected = ad.grad(model_loss)(nn.arrays(model), X, Y)
    for given in (model, nn.arrays(model)):
        found = step(given, X, Y)
        assert type(found) is nn.MLP
        assert not any(isinstance(leaf, ad.Tensor) for leaf in ad.tree.leaves(found))
        assert close(found, expected)
    of_variable = parallel.grad(loss, pool, in_axes=(None, 0, 0))
    assert same(of_variable(ad.Tensor(W), X, Y), of_variable(W, X, Y))
    assert same(of_variable(ad.Tensor(W).detach(), ad.Tensor(X), Y), of_variable(W, X, Y))


def test_a_tied_module_has_one_gradient_for_one_parameter(threads):
    class Tied(nn.Module):
        def __init__(self):
            self.encode = nn.Linear(4, 4, seed=0)
            self.again = self.encode

        def __call__(self, x):
            return self.again(self.encode(x))

    model = Tied()
    found = parallel.grad(model_loss, threads, in_axes=(None, 0, 0), reduce="mean")(model, X, Y)
    assert found.again is found.encode
    assert close(found, ad.grad(model_loss)(nn.arrays(model), X, Y))


def test_complex_parameters(threads):
    z, x = W + 1j, X[:, 0]

    def real(z, x):
        return np.sum(np.abs(z[0] * x) ** 2)

    found = parallel.value_and_grad(real, threads, in_axes=(None, 0))(z, x)
    assert close(found, ad.value_and_grad(real)(z, x))
    whole = parallel.grad(total_of, threads, holomorphic=True, in_axes=(None, 0))
    assert close(whole(z, X + 0j), ad.grad(total_of, holomorphic=True)(z, X + 0j))
    with pytest.raises(TypeError, match="pass holomorphic=True"):
        parallel.grad(total_of, threads, in_axes=(None, 0))(z, X)


def test_hvp(pool):
    v = np.arange(4.0)
    expected = ad.hvp(lambda w: loss(w, X, Y), (W,), (v,))
    found = parallel.hvp(
        loss, pool, (W,), (v,), X, Y, in_axes=(None, 0, 0), reduce="mean", shards=3
    )
    assert close(found, expected)


def test_hvp_of_several_primals_and_containers(threads):
    def f(a, b, x, scale=1.0):
        return scale * np.sum(np.tanh(x @ a["w"]) * b)

    primals, tangents = ({"w": W}, 0.5), ({"w": np.ones(4)}, 2.0)
    found = parallel.hvp(f, threads, primals, tangents, X, in_axes=(None, None, 0), scale=3.0)
    expected = ad.hvp(lambda a, b: f(a, b, X, 3.0), primals, tangents)
    assert close(found, expected)
    assert type(found) is tuple
    with pytest.raises(ValueError, match="splits a primal"):
        parallel.hvp(f, threads, primals, tangents, X, in_axes=0)
    with pytest.raises(TypeError, match="must be tuples"):
        parallel.hvp(f, threads, W, W, X, in_axes=(None, 0))


def test_jacobian(pool):
    found = parallel.jacobian(predictions, pool, in_axes=(None, 0), shards=3)(W, X)
    assert close(found, ad.jacobian(predictions)(W, X))
    assert found["pair"][1].shape == (23, 4, 4)


def test_jacobian_of_several_arguments_and_other_axes(threads):
    def f(a, b, x):
        return np.stack([x @ a["w"], x[:, 0] * b])

    found = parallel.jacobian(
        f, threads, argnums=(0, 1), in_axes=(None, None, 0), out_axes=-1, order="reverse"
    )({"w": W}, 2.0, X)
    assert close(found, ad.jacobian(f, argnums=(0, 1))({"w": W}, 2.0, X))
    split = parallel.jacobian(f, threads, argnums=2, in_axes=(None, None, 0))
    with pytest.raises(ValueError, match="argument 2 is split"):
        split({"w": W}, 2.0, X)
    scalar = parallel.jacobian(total_of, threads, in_axes=(None, 0))
    with pytest.raises(
        ValueError, match="out_axes 0 is out of range for an output of shape \\(\\)"
    ):
        scalar(W, X)


def test_maps(pool):
    found = parallel.map(predictions, pool, in_axes=(None, 0), shards=3)(W, X)
    assert same(found, predictions(W, X)) or close(found, predictions(W, X))
    per_example = parallel.vmap(ad.grad(one_example), pool, in_axes=(None, 0), shards=3)(W, X)
    assert close(per_example, ad.vmap(ad.grad(one_example), (None, 0))(W, X))
    turned = parallel.vmap(ad.grad(one_example), pool, in_axes=(None, 1), out_axes=1)(W, X.T)
    assert close(turned, per_example.T)


def test_maps_refuse_what_has_other_rows(threads):
    with pytest.raises(ValueError, match=r"shard 0 of 2 \(rows 0 to 11\) gave 4 rows"):
        parallel.map(lambda x: np.sum(x, axis=0), threads)(X)
    with pytest.raises(ValueError, match="shard 1 gave"):
        parallel.map(lambda x: x if len(x) > 11 else (x, x), threads)(X)
    with pytest.raises(ValueError, match="does not fit the structure"):
        parallel.map(lambda x: x, threads, out_axes=(0, 0))(X)


def test_a_gradient_by_a_split_argument_is_put_together(pool):
    step = parallel.grad(loss, pool, argnums=(0, 1), in_axes=(None, 0, 0), reduce="mean", shards=3)
    assert close(step(W, X, Y), ad.grad(loss, argnums=(0, 1))(W, X, Y))


# --- shards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "parts", "sizes"),
    [
        (7, 3, [3, 2, 2]),
        (6, 3, [2, 2, 2]),
        (2, 5, [1, 1]),
        (1, 1, [1]),
        (0, 4, [0]),
    ],
)
def test_rows_are_divided_evenly(threads, rows, parts, sizes):
    seen = []

    def f(w, x):
        seen.append(x.tolist())
        return np.sum(w * x)

    x = np.arange(float(rows))
    gradient = parallel.grad(f, threads, in_axes=(None, 0), shards=parts)
    assert gradient(1.0, x) == x.sum()
    assert sorted(map(len, seen)) == sorted(sizes)
    assert sorted(number for part in seen for number in part) == x.tolist()
    assert list(parallel.scatter(threads, x, shards=parts).sizes) == sizes


def test_who_is_first_changes_no_bit(threads):
    numbered = np.column_stack([X[:20], np.repeat(np.arange(2.0), 10)])
    found, order = [], []
    for first in (0, 1):
        done = threading.Event()

        def f(w, x, first=first, done=done):
            number = int(x[0, -1])
            if number != first:
                done.wait(30.0)
            order.append(number)
            value = np.sum((x[:, :4] @ w) ** 2)
            done.set()
            return value

        found.append(parallel.value_and_grad(f, threads, in_axes=(None, 0))(W, numbered))
    assert order == [0, 1, 1, 0]
    assert same(*found)


def test_results_belong_to_the_caller(pool):
    for shards in (1, 3):
        x = X.copy()
        gradient = parallel.grad(total_of, pool, in_axes=(None, 0), shards=shards)(W, x)
        gradient += 1.0
        rows = parallel.map(predictions, pool, (None, 0), shards=shards)(W, x)["linear"]
        rows += 1.0
        assert np.array_equal(x, X)


# --- shards that stay -----------------------------------------------------------------------------


def handle(pool, batch, *args, folder=None, **options):
    if isinstance(pool, Elsewhere):
        options["folder"] = folder
    return parallel.scatter(pool, batch, *args, **options)


def test_scattered_batches_give_the_same_bits(pool, tmp_path):
    expected = parallel.grad(loss, pool, in_axes=(None, 0, 0), shards=3)(W, X, Y)
    x, y = (handle(pool, part, shards=3, folder=tmp_path) for part in (X, Y))
    step = parallel.grad(loss, pool, in_axes=(None, 0, 0))
    assert same(step(W, x, y), expected)
    assert same(step(W, x, Y), expected)  # what comes along is divided alike
    assert same(
        step(W + 1, x, y), parallel.grad(loss, pool, in_axes=(None, 0, 0), shards=3)(W + 1, X, Y)
    )
    pair = handle(pool, (X, Y), shards=3, folder=tmp_path)
    assert same(parallel.grad(loss_of_pair, pool, in_axes=(None, 0))(W, pair), expected)
    assert pair.sizes == (8, 8, 7)
    assert len(pair) == 3
    v = np.ones(4)
    assert close(
        parallel.hvp(loss_of_pair, pool, (W,), (v,), pair, in_axes=(None, 0)),
        parallel.hvp(loss, pool, (W,), (v,), X, Y, in_axes=(None, 0, 0), shards=3),
    )


def test_shards_in_files_are_mapped_and_never_copied(processes):
    fortran = np.asfortranarray(X)
    batch = parallel.scatter(processes, {"f": fortran, "c": X, "none": X[:, :0]}, shards=2)
    found = parallel.map(layouts, processes)(batch)
    assert found.all(axis=0).tolist() == [True] * 4
    objects = np.array([{"a": 1}, {"b": 2}, {"c": 3}], dtype=object)
    kept = parallel.scatter(processes, (objects, np.arange(3)), shards=2)
    assert parallel.map(keys_of, processes)(kept).tolist() == [1, 1, 1]


def layouts(batch):
    from autodiff.core.memory import frozen

    right = [
        batch["f"].flags.f_contiguous and not batch["f"].flags.c_contiguous,
        batch["c"].flags.c_contiguous,
        batch["none"].shape == (len(batch["c"]), 0),
        frozen(batch["f"]) and frozen(batch["c"]) and frozen(batch["c"][1:]),
    ]
    return np.broadcast_to(np.array(right), (len(batch["c"]), 4))


def keys_of(batch):
    return np.array([len(entry) for entry in batch[0]])


def test_files_go_with_the_last_reference(processes, tmp_path):
    batch = parallel.scatter(processes, X, folder=tmp_path)
    assert len(list(tmp_path.rglob("shard-*"))) == 2
    again = batch
    del batch
    gc.collect()
    assert list(tmp_path.iterdir())
    del again
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_shards_of_threads_are_frozen_copies(threads):
    from autodiff.core.memory import frozen

    x = X.copy()
    batch = parallel.scatter(threads, x)
    x[:] = 0.0
    assert same(parallel.map(lambda x: 1.0 * x, threads)(batch), X)
    assert parallel.map(lambda x: np.full(len(x), frozen(x)), threads)(batch).all()


def test_futures_of_dask_stay_where_they_are(client, dask):
    parts = [(X[:3], Y[:3]), (X[3:], Y[3:])]
    futures = [client.submit(tuple, part) for part in parts]
    batch = parallel.scatter(dask, futures)
    assert batch.sizes == (3, 20)
    step = parallel.grad(loss_of_pair, dask, in_axes=(None, 0), reduce="mean")
    assert close(step(W, batch), ad.grad(loss)(W, X, Y))
    different = [client.submit(tuple, parts[0]), client.submit(list, parts[1])]
    with pytest.raises(ValueError, match="shard 1 has structure"):
        parallel.scatter(dask, different)


def test_chunks_of_an_array_of_dask_stay_where_they_are(client, dask):
    array = pytest.importorskip("dask.array", reason="dask[array] is not installed")
    chunks = array.from_array(X, chunks=(10, -1)).to_delayed().ravel()
    batch = parallel.scatter(dask, client.compute(list(chunks)))
    assert batch.sizes == (10, 10, 3)
    assert close(parallel.grad(total_of, dask, in_axes=(None, 0))(W, batch), np.sum(X, axis=0))


def test_shards_say_what_is_wrong_with_them(threads, processes, tmp_path):
    batch = parallel.scatter(threads, X)
    assert repr(batch) == "Shards(sizes=(12, 11), in the memory of this process)"
    gradient = parallel.grad(total_of, processes, in_axes=(None, 0))
    with pytest.raises(TypeError, match=r"args\[1\] has its shards in the memory of this process"):
        gradient(W, batch)
    with pytest.raises(ValueError, match="whose shards were cut along axis 0"):
        parallel.grad(total_of, threads, in_axes=(None, 1))(W, batch)
    with pytest.raises(ValueError, match=r"args\[2\] has 5 rows, args\[1\] has 23"):
        parallel.grad(loss, threads, in_axes=(None, 0, 0))(W, batch, Y[:5])
    other = parallel.scatter(threads, Y, shards=3)
    with pytest.raises(ValueError, match=r"shards of \[8, 8, 7\] rows, another argument of"):
        parallel.grad(loss, threads, in_axes=(None, 0, 0))(W, batch, other)
    with pytest.raises(TypeError, match="stands for a whole argument"):
        parallel.grad(loss_of_pair, threads, in_axes=(None, 0))(W, (batch, Y))
    with pytest.raises(TypeError, match="stand for a batch in the process that scattered it"):
        pickle.dumps(batch)
    with pytest.raises(TypeError, match="scattered already"):
        parallel.scatter(threads, batch)
    with pytest.raises(ValueError, match="pass folder="):
        parallel.scatter(Sized(), X)
    with pytest.raises(ValueError, match="need no folder"):
        parallel.scatter(threads, X, folder=tmp_path)
    with pytest.raises(ValueError, match="splits nothing"):
        parallel.scatter(threads, X, None)


# --- what travels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["processes", "loky", "dask", "elsewhere"])
def test_parameters_travel_at_most_once_to_a_worker(kind, request, tmp_path):
    pool = request.getfixturevalue(kind)
    counted = Counted(str(tmp_path), 2.0)
    gradient = parallel.grad(with_counted, pool, in_axes=(None, 0, None), shards=8)
    x = np.arange(16.0)
    assert gradient(1.0, x, counted) == 240.0
    seen = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert len(seen) == len(set(seen)) or kind == "elsewhere"  # which is one process for all
    assert 1 <= len(seen) <= 2


def test_a_compiled_function_is_one_for_all_calls():
    with spawned(1) as pool:
        gradient = parallel.grad(ad.compile(activated), pool, in_axes=(None, 0))
        for w in (W, W, W + 1.0):
            assert close(gradient(w, X), ad.grad(activated)(w, X))
        count = parallel.map(functions_unpickled, pool, in_axes=(None, 0))
        assert count(W, X)[0] == 2


def test_functions_inside_functions_need_cloudpickle(processes, monkeypatch):
    factor = 2.0
    gradient = parallel.grad(lambda w, x: factor * np.sum(w * x), processes, in_axes=(None, 0))
    try:
        import cloudpickle  # noqa: F401
    except ImportError:
        pass
    else:
        assert gradient(1.0, np.arange(4.0)) == 12.0
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(TypeError, match=r"cannot be pickled: .*lambda.*install cloudpickle"):
        gradient(1.0, np.arange(4.0))


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_modes_of_the_caller_hold_on_workers(pool):
    gradient = parallel.grad(root_where_positive, pool, in_axes=(None, 0), shards=2)
    assert np.isnan(gradient(0.0, np.zeros(2)))
    with ad.strong_zero():
        assert gradient(0.0, np.zeros(2)) == 0.0
    with ad.debug(), pytest.raises(ad.ShardError, match=r"shard 1 of 2.*NonFiniteError") as caught:
        gradient(1.0, np.array([1.0, np.nan]))
    assert isinstance(caught.value.__cause__, ad.NonFiniteError)


def root_where_positive(w, x):
    return np.sum(np.where(x > 0, np.sqrt(w + x), 0.0))


# --- what is refused ------------------------------------------------------------------------------


def test_wrong_arguments_are_named(threads):
    gradient = parallel.grad(loss, threads, in_axes=(None, 0, 0))
    with pytest.raises(ValueError, match=r"args\[2\] has 22 rows, args\[1\] has 23"):
        gradient(W, X, Y[1:])
    with pytest.raises(ValueError, match=r"args\[1\]\['y'\] has 5 rows, args\[1\]\['x'\] has 23"):
        parallel.grad(tree_loss, threads, in_axes=(None, 0))(W, {"x": X, "y": Y[:5]})
    with pytest.raises(ValueError, match="splits no argument; name the axis of the batch"):
        parallel.grad(loss, threads, in_axes=None)(W, X, Y)
    with pytest.raises(ValueError, match="splits no argument"):
        parallel.grad(loss, threads, in_axes=(None, 0, 0))(W, [], {})
    with pytest.raises(ValueError, match=r"in_axes 3 is out of range for args\[1\] of shape"):
        parallel.grad(loss, threads, in_axes=(None, 3, 0))(W, X, Y)
    with pytest.raises(ValueError, match="one entry for each of the 3 positional arguments"):
        parallel.grad(loss, threads, in_axes=(None, 0))(W, X, Y)
    with pytest.raises(ValueError, match="does not fit the structure"):
        parallel.grad(loss, threads, in_axes=(None, {"x": 0}, 0))(W, X, Y)
    with pytest.raises(TypeError, match="in_axes"):
        parallel.grad(loss, threads)
    for option, value in (("shards", 0), ("retries", -1), ("timeout", 0.0), ("reduce", "max")):
        with pytest.raises(ValueError, match=option):
            parallel.grad(loss, threads, in_axes=(None, 0, 0), **{option: value})
    with pytest.raises(ValueError, match="shards must be at least 1"):
        parallel.scatter(threads, X, shards=0)


@pytest.mark.parametrize("make", [parallel.grad, parallel.value_and_grad, parallel.jacobian])
def test_wrong_functions_and_executors_are_refused_at_once(threads, make):
    with pytest.raises(TypeError, match="takes a function"):
        make(3.0, threads, in_axes=0)
    with pytest.raises(TypeError, match="argnums must be"):
        make(loss, threads, W, in_axes=0)
    with pytest.raises(TypeError, match=r"must be a concurrent\.futures\.Executor"):
        make(loss, 2, in_axes=0)


def test_what_has_submit_and_is_no_executor_is_refused(client):
    with pytest.raises(TypeError, match=r"pass client\.get_executor\(\)"):
        parallel.grad(loss, client, in_axes=(None, 0, 0))


def test_an_unknown_executor_may_need_a_number_of_shards():
    with pytest.raises(ValueError, match="pass shards="):
        parallel.map(np.sin, Elsewhere())(X)
    assert same(parallel.map(np.sin, Elsewhere(), shards=2)(X), np.sin(X))


def test_misuse_is_what_the_transform_says(pool):
    """It would be the same for every shard, and is no shard's fault."""
    with pytest.raises(TypeError, match=r"grad: predict.* must return a scalar.*") as caught:
        parallel.grad(rows_of_product, pool, in_axes=(None, 0), retries=3)(W, X)
    assert not isinstance(caught.value, ad.ShardError)
    assert any("in shard " in note for note in caught.value.__notes__)
    with pytest.raises(ValueError, match="argnums=5"):
        parallel.grad(loss, pool, argnums=5, in_axes=(None, 0, 0))(W, X, Y)
    with pytest.raises(TypeError, match="argument 0 is an array of dtype int64"):
        parallel.grad(total_of, pool, in_axes=(None, 0))(np.arange(4), X)


def predict(w, x):
    return x @ w


rows_of_product = predict


@pytest.mark.parametrize(
    ("f", "name"),
    [(uses_outside, "WEIGHT"), (uses_model, "MODEL")],
    ids=["WEIGHT", "MODEL"],
)
def test_tensors_from_outside_are_named(pool, f, name):
    with pytest.raises(TypeError, match=f"the function uses {name} from outside.*pass them as"):
        parallel.grad(f, pool, in_axes=(None, 0))(W, X)


def test_tensors_from_outside_are_named_wherever_they_are(threads):
    weight = ad.Tensor(W)

    def closed_over(w, x):
        return np.sum(x @ (w * weight))

    def plain(weight, w, x):
        return np.sum(x @ (w * weight))

    class Object:
        def __init__(self):
            self.weight = weight

        def __call__(self, w, x):
            return plain(self.weight, w, x)

        def method(self, w, x):
            return plain(self.weight, w, x)

    for f, name in (
        (closed_over, "weight"),
        (functools.partial(plain, weight), "argument 0"),
        (Object(), "Object"),
        (Object().method, "self"),
        (ad.checkpoint(closed_over), "weight"),
    ):
        with pytest.raises(TypeError, match=f"uses {name} from outside"):
            parallel.grad(f, threads, in_axes=(None, 0))(W, X)
        with pytest.raises(TypeError, match=f"uses {name} from outside"):
            parallel.vmap(f, threads, in_axes=(None, 0))(W, X)


def test_inside_a_transform_tensors_are_refused(threads):
    inner = parallel.grad(summed, threads, in_axes=(None, 0))
    outer = {
        "grad": lambda: ad.grad(lambda w: np.sum(inner(w, X)))(W),
        "jvp": lambda: ad.jvp(lambda w: inner(w, X), (W,), (W,)),
        "vmap": lambda: ad.vmap(lambda w: inner(w, X))(np.stack([W, W])),
        "record": lambda: ad.record(lambda w: inner(w, X))(W),
        "compile": lambda: ad.compile(lambda w: inner(w, X))(W),
        "computed": lambda: inner(2.0 * ad.Tensor(W), X),
        "in the batch": lambda: ad.grad(lambda x: np.sum(inner(W, x)))(X),
        "keyword": lambda: ad.grad(lambda s: np.sum(inner(W, X, scale=s)))(2.0),
        "scatter": lambda: ad.grad(lambda x: parallel.scatter(threads, x))(X),
    }
    for name, attempt in outer.items():
        with pytest.raises(TypeError, match="computed or belongs to a transform"):
            attempt()
        assert name
    assert ad.grad(lambda w: w * np.sum(inner(W, X)))(1.0) == np.sum(inner(W, X))


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_shard_that_raises_is_named(pool):
    gradient = parallel.grad(raises_at_five, pool, in_axes=(None, 0), shards=4)
    with pytest.raises(ad.ShardError, match=r"shard 1 of 4 \(rows 3 to 5\): .*7, five") as caught:
        gradient(1.0, np.arange(12.0))
    assert caught.value.shard == 1
    assert caught.value.rows == range(3, 6)
    cause = caught.value.__cause__
    assert "7, five" in str(cause)
    lines = "".join(getattr(cause, "__notes__", [])) if cause.__traceback__ is None else ""
    assert "raises_at_five" in lines or cause.__traceback__ is not None
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.shard, again.rows, str(again)) == (1, range(3, 6), str(caught.value))
    assert gradient(1.0, np.arange(4.0)) == 6.0  # the executor is as good as before


def test_a_shard_is_tried_again(pool, tmp_path):
    gradient = parallel.grad(raises_once, pool, in_axes=(None, 0, None), shards=4, retries=1)
    assert gradient(1.0, np.arange(12.0), str(tmp_path)) == 66.0


def test_a_shard_is_tried_as_often_as_was_said(threads):
    calls = []

    def f(w, x):
        calls.append(x[0])
        raise ValueError("again")

    with pytest.raises(ad.ShardError, match="shard 0 of 1"):
        parallel.grad(f, threads, in_axes=(None, 0), shards=1, retries=2)(1.0, np.arange(3.0))
    assert len(calls) == 3


def test_shards_that_are_waiting_are_cancelled_when_one_fails():
    begun, go_on = [], threading.Event()

    def f(w, x):
        begun.append(x[0])
        if x[0] == 0.0:
            raise ValueError("first")
        go_on.wait(30.0)
        return np.sum(w * x)

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ad.ShardError, match="shard 0 of 50"):
            parallel.grad(f, pool, in_axes=(None, 0), shards=50)(1.0, np.arange(50.0))
        go_on.set()
    assert len(begun) <= 2


def test_an_interrupt_cancels_the_shards(monkeypatch):
    begun, go_on = [], threading.Event()

    def f(w, x):
        begun.append(x[0])
        go_on.wait(30.0)
        return np.sum(w * x)

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("autodiff.parallel.running.wait", interrupted)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyboardInterrupt):
            parallel.grad(f, pool, in_axes=(None, 0), shards=50)(1.0, np.arange(50.0))
        go_on.set()
    assert len(begun) <= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dead_worker_is_an_error_that_names_the_shard(workers):
    with spawned(workers) as pool:
        gradient = parallel.grad(dies_at_five, pool, in_axes=(None, 0), shards=4, retries=2)
        with pytest.raises(ad.ShardError, match=r"shard 1 of 4.*worker died.*function") as caught:
            gradient(1.0, np.arange(12.0))
    assert caught.value.shard == 1
    with pytest.raises(ad.ShardError, match="could not be submitted"):
        gradient(1.0, np.arange(4.0))


class Pools:
    """Gives a pool of processes, another one when that broke."""

    def __init__(self):
        self.pools = []

    def __call__(self):
        if not self.pools or self.pools[-1]._broken:
            self.pools.append(spawned(2))
        return self.pools[-1]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for pool in self.pools:
            pool.shutdown()


def test_shards_of_a_dead_worker_are_tried_on_another_executor(tmp_path):
    with Pools() as pools:
        gradient = parallel.grad(dies_once, pools, in_axes=(None, 0, None), shards=4, retries=1)
        assert gradient(1.0, np.arange(12.0), str(tmp_path)) == 66.0
        assert len(pools.pools) == 2
        always = parallel.grad(dies_at_five, pools, in_axes=(None, 0), shards=4, retries=1)
        with pytest.raises(ad.ShardError, match="shard 1 of 4") as caught:
            always(1.0, np.arange(12.0))
        assert caught.value.shard == 1


class Fragile(Sized):
    """Breaks when it has `tasks` of them, and says nothing of which one it was."""

    def __init__(self, tasks):
        super().__init__()
        self.tasks, self.pending, self.most = tasks, [], 0
        self.pool = ThreadPoolExecutor(1)

    def submit(self, function, /, *args, **keywords):
        if self.tasks:
            future = Future()
            self.pending.append(future)
            if len(self.pending) == self.tasks:
                for one in self.pending:
                    one.set_exception(BrokenExecutor("one of them"))
            return future
        future = self.pool.submit(function, *args, **keywords)
        self.pending.append(future)
        self.most = max(self.most, sum(not one.done() for one in self.pending))
        return future


def test_after_a_break_shards_run_one_at_a_time(monkeypatch):
    """So that it is known of each whether it is the one that breaks executors."""
    monkeypatch.setattr(Fragile, "num_workers", 4)
    executors = [Fragile(4), Fragile(0)]
    left = iter(executors)
    gradient = parallel.grad(total_of, lambda: next(left), in_axes=(None, 0), shards=4, retries=1)
    assert gradient(1.0, np.arange(12.0)) == 66.0
    assert executors[1].most == 1
    assert len(executors[1].pending) == 4
    always = (Fragile(4) for _ in itertools.count())
    gradient = parallel.grad(total_of, lambda: next(always), in_axes=(None, 0), shards=4)
    with pytest.raises(ad.ShardError, match=r"shard 0 .* or shard 1 .* or shard 2 .* or one of 1"):
        gradient(1.0, np.arange(12.0))


def test_lokys_own_function_gives_another_executor(tmp_path):
    library = pytest.importorskip("loky", reason="loky is not installed")
    gradient = parallel.grad(
        dies_once, library.get_reusable_executor, in_axes=(None, 0, None), shards=2, retries=1
    )
    assert gradient(1.0, np.arange(12.0), str(tmp_path)) == 66.0
    library.get_reusable_executor().shutdown()


def test_a_straggler_is_named(threads):
    go_on = threading.Event()

    def f(w, x):
        if x[0] == 0.0:
            go_on.wait(30.0)
        return np.sum(w * x)

    try:
        gradient = parallel.grad(f, threads, in_axes=(None, 0), shards=3, timeout=0.1)
        with pytest.raises(ad.ShardError, match=r"shard 0 of 3.*no result after 0\.1 s") as caught:
            gradient(1.0, np.arange(6.0))
        assert caught.value.shard == 0
    finally:
        go_on.set()


def test_a_second_copy_of_a_straggler_may_win():
    stuck = threading.Event()
    begun = []

    def f(w, x):
        if x[0] == 0.0:
            begun.append(x[0])
            if len(begun) == 1:
                stuck.wait(30.0)
        return np.sum(w * x)

    with ThreadPoolExecutor(2) as pool:
        try:
            gradient = parallel.grad(f, pool, in_axes=(None, 0), shards=2, timeout=0.1, retries=99)
            assert gradient(1.0, np.arange(6.0)) == 15.0
            assert len(begun) >= 2
        finally:
            stuck.set()


def test_copies_that_lost_take_no_turn_of_others():
    """Two workers of three hang in first copies; the other one does everything."""
    stuck = threading.Event()
    begun = []

    def f(w, x):
        first = x[0] not in begun
        begun.append(x[0])
        if x[0] in (0.0, 1.0) and first:
            stuck.wait(30.0)
        return np.sum(w * x)

    with ThreadPoolExecutor(3) as pool:
        try:
            gradient = parallel.grad(f, pool, in_axes=(None, 0), shards=9, timeout=0.1, retries=99)
            assert gradient(1.0, np.arange(9.0)) == 36.0
        finally:
            stuck.set()


def test_what_cannot_be_sent_back_is_an_error_of_its_shard(processes):
    gradient = parallel.grad(stubborn, processes, has_aux=True, in_axes=(None, 0))
    with pytest.raises(ad.ShardError, match=r"shard [01] of 2"):
        gradient(1.0, np.arange(4.0))


def stubborn(w, x):
    return np.sum(w * x), WithoutWayBack()


def test_a_worker_of_dask_that_dies_is_an_error_that_names_a_shard():
    """One whose task Dask has given up: of those that its worker had when it died."""
    library = pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    import dask as settings

    with (
        settings.config.set({"distributed.scheduler.allowed-failures": 0}),
        library.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=50,
        ) as cluster,
        library.Client(cluster, set_as_default=False) as client,
    ):
        gradient = parallel.grad(dies_at_five, client.get_executor(), in_axes=(None, 0), shards=2)
        with pytest.raises(ad.ShardError, match=r"shard [01] of 2.*KilledWorker"):
            gradient(1.0, np.arange(12.0))


# --- groups: executors that get everything in their messages --------------------------------------


def test_workers_that_share_nothing_get_one_message_each(tmp_path):
    pool = Sized()
    gradient = parallel.grad(loss, pool, in_axes=(None, 0, 0), shards=6)
    assert close(
        gradient(W, X, Y), parallel.grad(loss, pool, in_axes=(None, 0, 0), shards=6)(W, X, Y)
    )
    assert len(pool.messages) == 4
    pool.messages.clear()
    batch = parallel.scatter(pool, (np.zeros((1000, 100)), np.ones(1000)), folder=tmp_path)
    parallel.grad(loss_of_pair, pool, in_axes=(None, 0))(np.zeros(100), batch)
    assert max(map(len, pool.messages)) < 5000


def test_a_failure_in_a_group_is_that_of_its_shard(tmp_path):
    pool = Sized()
    x = np.arange(12.0)
    with pytest.raises(ad.ShardError, match="shard 1 of 4") as caught:
        parallel.grad(raises_at_five, pool, in_axes=(None, 0), shards=4)(1.0, x)
    assert caught.value.shard == 1
    gradient = parallel.grad(raises_once, pool, in_axes=(None, 0, None), shards=4, retries=1)
    assert gradient(1.0, x, str(tmp_path)) == 66.0


# --- MPI ------------------------------------------------------------------------------------------


def mpiexec(ranks, *command):
    """Run a command on some ranks; skips where there is no MPI."""
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    beside = pathlib.Path(sys.executable).parent / "mpiexec"
    program = str(beside) if beside.exists() else shutil.which("mpiexec")
    if program is None:
        pytest.skip("there is no mpiexec")
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [program, "-n", str(ranks), sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SPMD = """
import sys
import numpy as np
from mpi4py import MPI
import autodiff as ad
from autodiff import nn, parallel
from test_parallel import W, X, Y, loss, same, summed

comm = MPI.COMM_WORLD
rank, ranks = comm.Get_rank(), comm.Get_size()
rows = parallel.cutting.rows_of(len(X), ranks)[rank]
x, y = X[rows.start:rows.stop], Y[rows.start:rows.stop]

from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool:
    options = dict(in_axes=(None, 0, 0), shards=ranks)
    expected = parallel.value_and_grad(summed, pool, **options)(W, X, Y)
    mean = parallel.value_and_grad(loss, pool, reduce="mean", **options)(W, X, Y)
found = parallel.allreduce(ad.value_and_grad(summed)(W, x, y), comm)
assert same(found, expected), (found, expected)
found = parallel.allreduce(ad.value_and_grad(loss)(W, x, y), comm, op="mean", weight=len(x))
assert same(found, mean), (found, mean)

tree = {"a": np.full((2, 3), rank, np.float32), "b": [rank, 1.5j], "c": np.zeros((0, 2)),
        "d": np.float16(rank), "e": (np.arange(5), None)}
found = parallel.allreduce(tree, comm)
assert found["a"].dtype == np.float32 and np.all(found["a"] == sum(range(ranks)))
assert found["b"] == [sum(range(ranks)), 1.5j * ranks]
assert found["c"].shape == (0, 2) and found["d"].dtype == np.float16
assert found["e"][0].tolist() == [i * ranks for i in range(5)] and found["e"][1] is None
found["a"] += 1.0
assert parallel.allreduce(np.arange(3), comm, op="mean").tolist() == [0.0, 1.0, 2.0]
model = nn.Linear(4, 1, seed=rank)
found = parallel.allreduce(model, comm)
assert type(found) is nn.Linear and not isinstance(found.weight, ad.Tensor)

def refused(error, text, *args, **options):
    try:
        parallel.allreduce(*args, comm, **options)
    except error as caught:
        assert text in str(caught), str(caught)
        return caught
    raise AssertionError(f"not refused: {text}")

refused(ValueError, "rank 1 has structure", [1.0] if rank else (1.0,))
refused(ValueError, "rank 1 has leaf 1", [1.0, np.zeros(2 + rank)])
refused(ValueError, "rank 1 has leaf 0", np.zeros(2, np.float32 if rank else np.float64))
refused(ValueError, "rank 1 has op", 1.0, op="mean" if rank else "sum")
refused(ValueError, "add up to 0", 1.0, op="mean", weight=0)
refused(ad.ShardError, "rank 0 of", 1.0, op="max")
refused(ad.ShardError, "rank 1 of", "text" if rank == 1 else 1.0)
refused(ad.ShardError, "computed or belongs", ad.Tensor(1.0) * 2.0 if rank == 1 else 1.0)
caught = refused(ad.ShardError, "rank 1 of", ValueError("odd rows") if rank == 1 else 1.0)
assert caught.shard == 1 and "odd rows" in str(caught)
assert (caught.__cause__ is not None) == (rank == 1)
assert parallel.allreduce(1.0, comm) == ranks  # nobody waits for anybody
print("fine", flush=True)
"""


@pytest.mark.parametrize("ranks", [2, 3])
def test_allreduce_over_ranks(tmp_path, ranks):
    program = tmp_path / "program.py"
    program.write_text(SPMD)
    assert mpiexec(ranks, str(program)).count("fine") == ranks


POOL = """
import sys
import numpy as np
from mpi4py.futures import MPIPoolExecutor
import autodiff as ad
from autodiff import parallel
from test_parallel import W, X, Y, by_hand, loss, loss_of_pair, raises_at_five, same

if __name__ == "__main__":
    with MPIPoolExecutor() as pool:
        for shards, sizes in ((None, (12, 11)), (5, (5, 5, 5, 4, 4))):
            step = parallel.value_and_grad(loss, pool, in_axes=(None, 0, 0), shards=shards)
            assert same(step(W, X, Y), by_hand(loss, (W, X, Y), (None, 0, 0), sizes, "sum"))
        batch = parallel.scatter(pool, (X, Y), folder=sys.argv[1])
        step = parallel.value_and_grad(loss_of_pair, pool, in_axes=(None, 0))
        assert same(step(W, batch), by_hand(loss, (W, X, Y), (None, 0, 0), (12, 11), "sum"))
        try:
            parallel.grad(raises_at_five, pool, in_axes=(None, 0), shards=4)(1.0, np.arange(12.0))
        except ad.ShardError as error:
            assert error.shard == 1
            print("fine")
"""


def test_pools_of_mpi(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(POOL)
    assert mpiexec(3, "-m", "mpi4py.futures", str(program), str(tmp_path)).split() == ["fine"]


class Alone:
    """A communicator of one rank."""

    def Get_size(self):
        return 1

    def Get_rank(self):
        return 0

    def allgather(self, value):
        return [value]

    def Alltoallv(self, sent, received):
        received[0][:] = sent[0]

    def Allgatherv(self, sent, received):
        received[0][:] = sent


def test_allreduce_of_one_rank_is_what_was_given():
    tree = {"w": W, "n": 3}
    found = parallel.allreduce(tree, Alone())
    assert same(found, tree)
    assert found["w"] is not W
    assert parallel.allreduce(tree, Alone(), op="mean")["n"] == 3.0
    with pytest.raises(ad.ShardError, match="has dtype bool, which is not added"):
        parallel.allreduce(True, Alone())
    with pytest.raises(ad.ShardError, match="weight=-1 is no number"):
        parallel.allreduce(1.0, Alone(), op="mean", weight=-1)


# --- the example ----------------------------------------------------------------------------------

EXAMPLE = ROOT / "examples" / "digits_parallel.py"
NEEDS = {"dask": "distributed", "mpi": "mpi4py"}


@functools.cache
def digits(kind):
    """What the example says after training somewhere."""
    if not EXAMPLE.exists():
        pytest.skip("the examples are not part of this distribution")
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind], reason=f"{NEEDS[kind]} is not installed")
    command = [str(EXAMPLE), "--on", kind, "--steps", "30"]
    if kind == "mpi":
        return mpiexec(2, "-m", "mpi4py", *command)
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["threads", "processes", "dask", "mpi"])
def test_digits_are_learnt_alike_wherever_the_gradient_is_computed(kind):
    said = digits(kind)
    assert float(said.rpartition(" ")[2]) > 0.9
    assert said == digits("threads")
