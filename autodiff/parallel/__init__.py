"""Derivatives over shards of a batch, on any executor; and sums over the ranks of an MPI program.

A loss over a million rows is a sum of losses over some of them, and so is its gradient. The
functions here divide the batch, evaluate each shard on a worker of a `concurrent.futures.Executor`
(threads, processes, loky, Dask's ``client.get_executor()``, ``mpi4py.futures.MPIPoolExecutor``),
and put the results together in the order of the shards:

>>> from concurrent.futures import ThreadPoolExecutor
>>> import numpy as np
>>> import autodiff as ad
>>> def loss(w, x, y):
...     return np.mean((x @ w - y) ** 2)
>>> x, y = np.arange(12.0).reshape(6, 2), np.ones(6)
>>> with ThreadPoolExecutor(2) as pool:
...     step = ad.parallel.value_and_grad(loss, pool, in_axes=(None, 0, 0), reduce="mean")
...     step(np.zeros(2), x, y)
(np.float64(1.0), array([-10., -12.]))

``in_axes`` says which arguments are divided, as for `ad.vmap`; the others go to each worker once in
a call. `scatter` puts a batch on the workers once for many calls. Every shard has a result, or
there is none: a `ShardError` names the shard that has not.
"""

from typing import TYPE_CHECKING, Any

from autodiff.parallel.functions import grad, hvp, jacobian, map, value_and_grad, vmap
from autodiff.parallel.shards import Shards, scatter
from autodiff.parallel.spmd import allreduce

__all__ = [
    "Shards",
    "allreduce",
    "grad",
    "hvp",
    "jacobian",
    "map",
    "scatter",
    "value_and_grad",
    "vmap",
]


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        """Say what there is in the place of a name that people know from another library."""
        from autodiff.neighbours import missing

        raise missing(__name__, name, __all__)
