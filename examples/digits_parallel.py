"""Train a network that reads handwritten digits, with the gradient computed by several workers.

    python examples/digits_parallel.py --on threads
    python examples/digits_parallel.py --on processes --workers 4
    python examples/digits_parallel.py --on dask
    mpiexec -n 2 python -m mpi4py examples/digits_parallel.py --on mpi

On threads, processes and Dask one program hands out work: the images go to the workers once, the
parameters with each step. Under MPI each rank runs this program on images of its own, and gradients
are added up. With as many workers all four give the same network, to the last bit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

# Workers that fill the cores leave none to BLAS; it reads this when NumPy is first imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import autodiff as ad
from autodiff import nn, optim, parallel

Step = Callable[[Any], tuple[Any, Any]]
"""From parameters to the mean loss over all images and its gradient."""


def loss(model: Any, batch: tuple[Any, Any]) -> Any:
    """Mean loss over the images of a batch."""
    images, labels = batch
    return nn.softmax_cross_entropy(model(images), labels)


@contextmanager
def executor_on(kind: str, workers: int) -> Iterator[Executor]:
    """Executor with some workers."""
    if kind == "threads":
        with ThreadPoolExecutor(workers) as pool:
            yield pool
    elif kind == "processes":
        # A process that is started anew does not inherit the locks of this one's threads
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            yield pool
    else:
        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client.get_executor()


@contextmanager
def step_on(kind: str, workers: int, images: Any, labels: Any) -> Iterator[tuple[Step, bool]]:
    """Function that computes loss and gradient, and whether this process is the one to report."""
    if kind == "mpi":
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
        rank, ranks = comm.Get_rank(), comm.Get_size()
        own = np.array_split(images, ranks)[rank], np.array_split(labels, ranks)[rank]
        of_own = ad.value_and_grad(loss)

        def step(model: Any) -> tuple[Any, Any]:
            result: tuple[Any, Any] = parallel.allreduce(
                of_own(model, own), comm, op="mean", weight=len(own[1])
            )
            return result

        yield step, rank == 0
    else:
        with executor_on(kind, workers) as executor:
            batch = parallel.scatter(executor, (images, labels))
            of_all = parallel.value_and_grad(loss, executor, in_axes=(None, 0), reduce="mean")
            yield (lambda model: of_all(model, batch)), True


def main() -> None:
    """Train, and say how well the network reads images that it has not seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--on", choices=["threads", "processes", "dask", "mpi"], default="threads")
    parser.add_argument("--workers", type=int, default=2, help="not for mpi: mpiexec -n says it")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()

    digits = ad.data.digits()
    model = nn.arrays(nn.MLP([64, 32, 10], activation="tanh", seed=0))
    optimizer = optim.Adam(lr=0.02)
    state = optimizer.init(model)
    training = digits.x_train, digits.y_train
    with step_on(options.on, options.workers, *training) as (step, reports):
        value = float("nan")
        for _ in range(options.steps):
            value, gradient = step(model)
            model, state = optimizer.update(gradient, state, model)
    accuracy = nn.accuracy(model(digits.x_test), digits.y_test)
    if reports:
        print(f"loss {float(value)!r}, accuracy {float(accuracy):.3f}")


if __name__ == "__main__":
    main()
