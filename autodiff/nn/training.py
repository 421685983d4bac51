"""A training loop."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import autodiff as ad
from autodiff.core.arrays import as_array
from autodiff.nn.module import Module

__all__ = ["fit"]


class _Optimizer(Protocol):
    """What the loop asks of an optimiser."""

    @property
    def variables(self) -> Sequence[Any]: ...

    def step(self) -> None: ...

    def zero_grad(self) -> None: ...


def fit(
    model: Module,
    loss: Callable[..., Any],
    data: Sequence[Any],
    *,
    optimizer: _Optimizer,
    epochs: int = 1,
    batch_size: int = 32,
    seed: int = 0,
    evaluate: Callable[[Module], Mapping[str, float]] | None = None,
    progress: bool = True,
) -> list[dict[str, float]]:
    """Train a model by stochastic gradient descent, in place.

    Parameters
    ----------
    model : Module
    loss : function of ``(model, *batch)`` that returns a scalar, the mean over the batch
    data : sequence of arrays
        Of one length; a batch takes the same rows of each.
    optimizer : optimiser made with the model, or with its parameters
    epochs, batch_size : int
    seed : int
        Epoch number e shuffles the rows with seed ``seed + e``, counted from 0.
    evaluate : function of the model, optional
        Called after each epoch without recording; returns numbers by name.
    progress : bool
        Whether to show a progress bar, on standard error.

    Returns
    -------
    list of dict
        For each epoch ``{"epoch": 1, "loss": mean over its examples, **evaluate(model)}``.

    Raises
    ------
    NonFiniteError
        The loss became infinite or NaN; says in which epoch and batch.
    ValueError
        `epochs` is negative, the optimiser has no parameters, or `data` or `batch_size` are not
        what `data.batches` takes.
    TypeError
        `epochs` or `batch_size` is no integer.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn, optim
    >>> x = np.linspace(-1.0, 1.0, 64)[:, None]
    >>> model = nn.Linear(1, 1, seed=0)
    >>> history = nn.fit(
    ...     model,
    ...     lambda model, x, y: nn.mean_squared_error(model(x), y),
    ...     (x, 3 * x + 1),
    ...     optimizer=optim.SGD(model.parameters(), lr=0.2),
    ...     epochs=20,
    ...     progress=False,
    ... )
    >>> len(history), history[-1]["loss"] < 1e-3
    (20, True)
    """
    rounds = operator.index(epochs)
    if rounds < 0:
        raise ValueError(f"fit: epochs must be at least 0, got {rounds}")
    if not optimizer.variables:
        raise ValueError(
            "fit: the optimizer has no parameters to train; make it with them, as in "
            "optim.Adam(model.parameters(), lr=1e-3)"
        )
    arrays = [as_array(array) for array in data]
    ad.data.batches(*arrays, size=batch_size)  # refuses wrong data before the bar appears
    steps = rounds * -(-len(arrays[0]) // batch_size)
    history: list[dict[str, float]] = []
    with _progress_bar(steps, progress) as advance:
        for epoch in range(rounds):
            total = 0.0
            for number, batch in enumerate(
                ad.data.batches(*arrays, size=batch_size, seed=seed + epoch)
            ):
                optimizer.zero_grad()
                value = loss(model, *batch)
                value.backward()
                optimizer.step()
                number_value = value.item()
                if not math.isfinite(number_value):
                    raise ad.NonFiniteError(
                        f"fit: the loss became {number_value} in epoch {epoch + 1}, batch "
                        f"{number + 1}; lower the learning rate, or run inside `with ad.debug():` "
                        "to see the operation where it begins"
                    )
                total += number_value * len(batch[0])
                advance(f"epoch {epoch + 1}/{rounds}, loss {number_value:.4g}")
            record: dict[str, float] = {"epoch": epoch + 1, "loss": total / max(1, len(arrays[0]))}
            if evaluate is not None:
                with ad.no_grad():
                    record.update(evaluate(model))
            history.append(record)
    optimizer.zero_grad()
    return history


@contextmanager
def _progress_bar(steps: int, shown: bool) -> Iterator[Callable[[str], None]]:
    """Function that counts one step and shows a text."""
    if not shown:
        yield lambda text: None
        return
    from tqdm import tqdm  # only where a bar is shown

    with tqdm(total=steps, unit="step") as bar:

        def advance(text: str) -> None:
            bar.set_description_str(text, refresh=False)
            bar.update()

        yield advance
