"""Logistic regression of 1,000,000 x 50: what a gradient takes on two workers and on one.

    python benchmarks/parallel.py [--rows 1000000] [--rounds 15] [--on processes threads loky]

Data stay with the workers, BLAS has one thread, and rounds take turns: each ratio is one of two
times in the same round. "plain" is `ad.value_and_grad` in this process, without workers. "by hand"
is the derivative in NumPy, handed to the same processes without this library, on the same files:
what the machine gains by a second process for this problem, which is bound by memory.
"""

import os

# Before NumPy is first imported
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

import autodiff as ad
from autodiff import parallel

COLUMNS = 50


def loss(w: Any, batch: tuple[Any, Any]) -> Any:
    """Mean logistic loss."""
    x, y = batch
    return np.mean(np.logaddexp(0.0, -y * (x @ w)))


def by_hand(w: Any, shard: Any) -> tuple[Any, Any]:
    """Value and gradient of a shard."""
    x, y = shard.fetch()
    margin = -y * (x @ w)
    value = np.mean(np.logaddexp(0.0, margin))
    slope = y / (1.0 + np.exp(-margin))
    return value, (slope @ x) / -len(y)


@contextmanager
def executor_on(kind: str, workers: int) -> Iterator[Executor]:
    """Executor with some workers."""
    if kind == "threads":
        with ThreadPoolExecutor(workers) as pool:
            yield pool
    elif kind == "processes":
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            yield pool
    else:
        from loky import ProcessPoolExecutor as Loky

        pool = Loky(workers)
        try:
            yield pool
        finally:
            pool.shutdown()


def hand_over(executor: Executor, batch: parallel.Shards, w: Any) -> tuple[Any, Any]:
    """Compute by hand on shards of one size."""
    pieces = batch._pieces
    found = [task.result() for task in [executor.submit(by_hand, w, piece) for piece in pieces]]
    values, gradients = zip(*found, strict=True)
    return sum(values) / len(found), sum(gradients) / len(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--on", nargs="+", default=["processes", "threads"])
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    x = rng.standard_normal((options.rows, COLUMNS))
    w = rng.standard_normal(COLUMNS)
    y = np.where(x @ w + rng.standard_normal(options.rows) > 0, 1.0, -1.0)
    for array in (x, y):
        array.setflags(write=False)  # a tape keeps it as it is
    plain = ad.value_and_grad(loss)
    expected = plain(w, (x, y))
    runs: dict[str, Callable[[], Any]] = {"plain": lambda: plain(w, (x, y))}
    with ExitStack() as stack:
        for kind in options.on:
            for workers in (1, 2):
                executor = stack.enter_context(executor_on(kind, workers))
                batch = parallel.scatter(executor, (x, y))
                step = parallel.value_and_grad(loss, executor, in_axes=(None, 0), reduce="mean")
                runs[f"{kind} {workers}"] = lambda step=step, batch=batch: step(w, batch)
                if kind == "processes":
                    runs[f"by hand {workers}"] = lambda executor=executor, batch=batch: hand_over(
                        executor, batch, w
                    )
        for run in runs.values():
            for _ in range(2):
                value, gradient = run()
            assert np.allclose(value, expected[0])
            assert np.allclose(gradient, expected[1])
        times: dict[str, list[float]] = {name: [] for name in runs}
        names = list(runs)
        for turn in range(options.rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                start = time.perf_counter()
                runs[name]()
                times[name].append(time.perf_counter() - start)
    print(f"{options.rows:,} x {COLUMNS}, {os.cpu_count()} cores, {options.rounds} rounds")
    for name, found in times.items():
        print(f"{name:<12} {statistics.median(found) * 1e3:8.1f} ms")
    for name in names:
        if name.endswith(" 2"):
            for other in (f"{name[:-2]} 1", "plain"):
                pairs = zip(times[other], times[name], strict=True)
                ratios = sorted(one / two for one, two in pairs)
                low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
                middle = statistics.median(ratios)
                print(f"{other} / {name}: {middle:.2f} (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
