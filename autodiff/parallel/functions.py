"""Derivatives and maps over shards, as users call them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.parallel import derivatives
from autodiff.parallel.calls import Executors, Settings, evaluated
from autodiff.parallel.combining import combined, joined, total, weights_of
from autodiff.parallel.cutting import Axes, Divided, entries_of

__all__ = ["grad", "hvp", "jacobian", "map", "value_and_grad", "vmap"]

Function = Callable[..., Any]
Argnums = int | Sequence[int]

REDUCTIONS = ("sum", "mean")


def value_and_grad(
    f: Function,
    executor: Executors,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    in_axes: Any,
    reduce: str = "sum",
    shards: int | None = None,
    retries: int = 0,
    timeout: float | None = None,
) -> Function:
    """Return a function that gives `f`'s value and gradient, added up over shards of a batch.

    Parameters
    ----------
    f : callable that returns a real scalar
        A sum over the rows of a batch, or a mean. It runs on workers, on some of the rows.
    executor : concurrent.futures.Executor, or a function that returns one
        Threads, processes, loky, Dask's ``client.get_executor()``, MPI's ``MPIPoolExecutor``. A
        function is asked at each call, and again where the executor broke.
    argnums, has_aux, holomorphic
        As for `ad.value_and_grad`; aux is a list with one entry for each shard.
    in_axes : int, None, or a container of them
        Which axis of each argument (or of each leaf) counts the rows, as for `ad.vmap`; None: the
        argument goes to all workers whole, at most once to each. A tuple gives one entry for each
        positional argument. Keyword arguments are whole.
    reduce : "sum" or "mean"
        Whether results are added, or each weighed with its share of the rows: the mean over the
        batch, where `f` is a mean.
    shards : int, optional
        Into how many parts a batch is divided, at most one for each row; default: one for each
        worker. Results depend on it as sums depend on their order, and on nothing else.
    retries : int
        How often a shard is tried again whose function raised, whose worker died, or that has no
        result after `timeout` seconds (then beside the first copy, and whichever is first counts).
    timeout : float, optional
        Seconds that a shard may take; default: any time.

    Returns
    -------
    callable
        Takes what `f` takes, and `Shards` in the place of arguments that are split; returns the
        value and the gradient, which is a container like the argument, of plain arrays. Variables
        and modules are read like arrays: nothing is recorded across an executor. A gradient by a
        split argument is put together from its shards'.

    Raises
    ------
    ShardError
        A shard has no result after all tries; names it. No result is ever partial.
    TypeError
        What `ad.value_and_grad` raises; what goes to other processes cannot be pickled; a Tensor
        that was computed is among the arguments, or used by `f` from outside.
    ValueError
        `in_axes` splits no argument, arguments have different numbers of rows, or an option has no
        meaning.

    Examples
    --------
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
    """
    settings = Settings("parallel.value_and_grad", executor, in_axes, shards, retries, timeout)
    differentiated = _gradients(settings, f, argnums, has_aux, holomorphic, reduce)

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **keywords: Any) -> tuple[Any, Any]:
        value, aux, gradient = differentiated(args, keywords)
        return ((value, aux) if has_aux else value), gradient

    return value_and_gradient


def grad(
    f: Function,
    executor: Executors,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    in_axes: Any,
    reduce: str = "sum",
    shards: int | None = None,
    retries: int = 0,
    timeout: float | None = None,
) -> Function:
    """Return a function that gives `f`'s gradient, added up over shards of a batch.

    Parameters
    ----------
    f, executor, argnums, has_aux, holomorphic, in_axes, reduce, shards, retries, timeout
        As for `value_and_grad`.

    Returns
    -------
    callable
        Takes what `f` takes; returns the gradient, with ``has_aux=True`` the gradient and the list
        of aux by shard.

    Raises
    ------
    ShardError, TypeError, ValueError
        As `value_and_grad`.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import autodiff as ad
    >>> with ThreadPoolExecutor(2) as pool:
    ...     gradient = ad.parallel.grad(lambda w, x: np.sum(w * x**2), pool, in_axes=(None, 0))
    ...     gradient(1.0, np.arange(4.0))
    np.float64(14.0)
    """
    settings = Settings("parallel.grad", executor, in_axes, shards, retries, timeout)
    differentiated = _gradients(settings, f, argnums, has_aux, holomorphic, reduce)

    @functools.wraps(f)
    def gradient_of_batch(*args: Any, **keywords: Any) -> Any:
        _, aux, gradient = differentiated(args, keywords)
        return (gradient, aux) if has_aux else gradient

    return gradient_of_batch


def hvp(
    f: Function,
    executor: Executors,
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *batch: Any,
    in_axes: Any,
    reduce: str = "sum",
    shards: int | None = None,
    retries: int = 0,
    timeout: float | None = None,
    **keywords: Any,
) -> Any:
    """Product of a Hessian with a vector, added up over shards of a batch.

    Parameters
    ----------
    f : callable that returns a real scalar
        Called as ``f(*primals, *batch, **keywords)``, on some rows of the batch.
    executor : concurrent.futures.Executor, or a function that returns one
    primals, tangents : tuples of containers, as for `ad.hvp`
        They are whole.
    *batch
        Further arguments of `f`, which are not differentiated; may be `Shards`.
    in_axes : int, None, or a container of them
        One entry for each primal, which is None, and for each argument in `batch`.
    reduce, shards, retries, timeout
        As for `value_and_grad`.
    **keywords
        Passed to `f`.

    Returns
    -------
    For one primal its product; for several a tuple, one for each.

    Raises
    ------
    ShardError, TypeError
        As `value_and_grad`.
    ValueError
        As `value_and_grad`; or `in_axes` splits a primal.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import autodiff as ad
    >>> x = np.arange(4.0)
    >>> with ThreadPoolExecutor(2) as pool:
    ...     ad.parallel.hvp(
    ...         lambda w, x: np.sum(w**3 * x), pool, (2.0,), (1.0,), x, in_axes=(None, 0)
    ...     )
    np.float64(72.0)
    """
    name = "parallel.hvp"
    _check_reduce(reduce, name)
    if not all(isinstance(given, (tuple, list)) for given in (primals, tangents)):
        raise TypeError(f"{name}: primals and tangents must be tuples, one entry per argument")
    count = len(primals) + len(batch)
    entries = entries_of(in_axes, count, name)
    if any(axis is not None for axis in ad.tree.leaves(entries[: len(primals)])):
        raise ValueError(
            f"{name}: in_axes={in_axes!r} splits a primal, and a Hessian mixes its rows; give "
            "None for each primal"
        )
    settings = Settings(
        name, executor, (*entries, *[None] * len(tangents)), shards, retries, timeout
    ).checked()
    transform = functools.partial(derivatives.product, primals=len(primals), count=count)
    divided, results = evaluated(settings, transform, f, (*primals, *batch, *tangents), keywords)
    weights = weights_of(divided.rows, reduce)
    leaves = [total(column, weights) for column in zip(*results, strict=True)]
    products = ad.tree.unflatten(ad.tree.flatten(tuple(divided.whole[: len(primals)]))[1], leaves)
    return products[0] if len(primals) == 1 else products


def jacobian(
    f: Function,
    executor: Executors,
    argnums: Argnums = 0,
    order: Any = "auto",
    *,
    in_axes: Any,
    out_axes: Any = 0,
    holomorphic: bool = False,
    chunk_bytes: int | None = None,
    shards: int | None = None,
    retries: int = 0,
    timeout: float | None = None,
) -> Function:
    """Return a function that gives the Jacobian of `f`, whose rows are computed by shards.

    Parameters
    ----------
    f : callable that returns a container of arrays
        With one row, along `out_axes`, for each row of the batch.
    executor : concurrent.futures.Executor, or a function that returns one
    argnums : int or tuple of int
        Arguments to differentiate, which are whole.
    order, holomorphic, chunk_bytes
        As for `ad.jacobian`.
    in_axes, shards, retries, timeout
        As for `value_and_grad`.
    out_axes : int, or a container of them
        Which axis of each output counts the rows, as for `ad.vmap`.

    Returns
    -------
    callable
        Gives, for each leaf of the output, a container like the argument, whose leaves are arrays
        of shape ``output.shape + input.shape``.

    Raises
    ------
    ShardError, TypeError
        As `value_and_grad`.
    ValueError
        As `value_and_grad`; or an argument to differentiate is split, or an output does not have
        the rows of its shard along `out_axes`.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import autodiff as ad
    >>> with ThreadPoolExecutor(2) as pool:
    ...     ad.parallel.jacobian(lambda w, x: w * x, pool, in_axes=(None, 0))(1.0, np.arange(3.0))
    array([0., 1., 2.])
    """
    name = "parallel.jacobian"
    ad.jacobian(f, argnums, order, holomorphic=holomorphic, chunk_bytes=chunk_bytes)
    settings = Settings(name, executor, in_axes, shards, retries, timeout).checked()
    transform = functools.partial(
        derivatives.jacobian,
        argnums=argnums,
        order=order,
        holomorphic=holomorphic,
        chunk_bytes=chunk_bytes,
    )

    @functools.wraps(f)
    def jacobian_of_batch(*args: Any, **keywords: Any) -> Any:
        for i, entry in enumerate(entries_of(in_axes, len(args), name)):
            differentiated = i in _positions(argnums, len(args))
            if differentiated and any(axis is not None for axis in ad.tree.leaves([entry])):
                raise ValueError(
                    f"{name}: argument {i} is split by in_axes={in_axes!r}, and its Jacobian would "
                    "be zero but for blocks; use parallel.map of ad.vmap(ad.jacobian(f)) for those"
                )
        divided, results = evaluated(settings, transform, f, args, keywords)
        trees = [tree for tree, _ in results]
        return joined(trees, out_axes, divided.rows, name, inner=results[0][1])

    return jacobian_of_batch


def map(
    f: Function,
    executor: Executors,
    in_axes: Any = 0,
    out_axes: Any = 0,
    *,
    shards: int | None = None,
    retries: int = 0,
    timeout: float | None = None,
) -> Function:
    """Return a function that evaluates `f`, which takes a batch, on shards of one.

    Parameters
    ----------
    f : callable that returns a container of arrays
        With one row, along `out_axes`, for each row of the batch.
    executor : concurrent.futures.Executor, or a function that returns one
    in_axes, shards, retries, timeout
        As for `value_and_grad`.
    out_axes : int, or a container of them
        Which axis of each output counts the rows, as for `ad.vmap`.

    Returns
    -------
    callable
        Takes what `f` takes, and returns what `f` would return of the whole batch.

    Raises
    ------
    ShardError
        A shard has no result after all tries.
    TypeError, ValueError
        As `value_and_grad`; or an output does not have the rows of its shard along `out_axes`.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import autodiff as ad
    >>> with ThreadPoolExecutor(2) as pool:
    ...     ad.parallel.map(ad.elementwise_grad(np.sin), pool)(np.zeros(3))
    array([1., 1., 1.])
    """
    settings = Settings("parallel.map", executor, in_axes, shards, retries, timeout)
    return _mapped(settings, derivatives.unchanged, f, out_axes)


def vmap(
    f: Function,
    executor: Executors,
    in_axes: Any = 0,
    out_axes: Any = 0,
    *,
    shards: int | None = None,
    retries: int = 0,
    timeout: float | None = None,
) -> Function:
    """Return a function that evaluates `f`, written for one example, on many, shard by shard.

    Parameters
    ----------
    f : callable, written for one example
    executor : concurrent.futures.Executor, or a function that returns one
    in_axes, out_axes
        As for `ad.vmap`.
    shards, retries, timeout
        As for `value_and_grad`.

    Returns
    -------
    callable
        Takes what ``ad.vmap(f, in_axes, out_axes)`` takes, and returns what it returns.

    Raises
    ------
    ShardError
        A shard has no result after all tries.
    TypeError, ValueError
        As `ad.vmap` and `value_and_grad`.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import autodiff as ad
    >>> w, x = np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 3.0]])
    >>> with ThreadPoolExecutor(2) as pool:
    ...     ad.parallel.vmap(ad.grad(lambda w, x: (w @ x) ** 2), pool, (None, 0))(w, x)
    array([[ 2.,  0.],
           [ 0., 36.]])
    """
    settings = Settings("parallel.vmap", executor, in_axes, shards, retries, timeout)
    transform = functools.partial(derivatives.batched, in_axes=in_axes, out_axes=out_axes)
    return _mapped(settings, transform, f, out_axes)


def _mapped(settings: Settings, transform: Any, f: Function, out_axes: Any) -> Function:
    """Make a function that puts together what shards give."""
    ad.vmap(f)  # refuses what is no function
    settings = settings.checked()

    @functools.wraps(f)
    def of_batch(*args: Any, **keywords: Any) -> Any:
        divided, results = evaluated(settings, transform, f, args, keywords)
        return joined(results, out_axes, divided.rows, settings.name)

    return of_batch


def _gradients(
    settings: Settings,
    f: Function,
    argnums: Argnums,
    has_aux: bool,
    holomorphic: bool,
    reduce: str,
) -> Callable[[Sequence[Any], dict[str, Any]], tuple[Any, list[Any], Any]]:
    """Make a function of arguments that gives value, aux by shard, and gradient."""
    ad.value_and_grad(f, argnums, has_aux, holomorphic)  # refuses what is no function
    _check_reduce(reduce, settings.name)
    settings = settings.checked()
    transform = functools.partial(
        derivatives.gradient, argnums=argnums, has_aux=has_aux, holomorphic=holomorphic
    )

    def differentiated(args: Sequence[Any], keywords: dict[str, Any]) -> tuple[Any, list[Any], Any]:
        divided, results = evaluated(settings, transform, f, args, keywords)
        weights = weights_of(divided.rows, reduce)
        values, aux, gradients = zip(*results, strict=True)
        wanted = [_shape_of(divided, i) for i in _positions(argnums, len(args))]
        axes = [axis for _, its_axes in wanted for axis in its_axes]
        leaves = iter(combined(gradients, axes, weights))
        found = [
            ad.tree.unflatten(structure, list(itertools.islice(leaves, structure.num_leaves)))
            for structure, _ in wanted
        ]
        gradient = found[0] if isinstance(argnums, (int, np.integer)) else tuple(found)
        return total(values, weights), list(aux), gradient

    return differentiated


def _shape_of(divided: Divided, position: int) -> tuple[ad.tree.PyTreeSpec, Axes]:
    """Structure of an argument, and the axes along which its leaves are split."""
    if position in divided.split:
        return divided.split[position].structure, divided.split[position].axes
    structure = ad.tree.flatten(divided.whole[position])[1]
    return structure, [None] * structure.num_leaves


def _check_reduce(reduce: str, name: str) -> None:
    if reduce not in REDUCTIONS:
        raise ValueError(f"{name}: reduce={reduce!r} is not one of 'sum' and 'mean'")


def _positions(argnums: Argnums, count: int) -> list[int]:
    """Arguments to differentiate, counted from the first; who evaluates has checked the numbers."""
    numbers = [argnums] if isinstance(argnums, (int, np.integer)) else argnums
    return [int(number) % count for number in numbers]
