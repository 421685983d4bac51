"""One call of a function of this package: its settings, and its way through the other modules.

The arguments are divided (`cutting`), what all shards share is put where workers find it
(`carriers`), tasks run (`running`) and evaluate shards (`work`, with what `derivatives` makes of
the function), and results come back by number, to be put together (`combining`).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, Protocol

from autodiff.core.modes import modes
from autodiff.parallel.carriers import carrier_of
from autodiff.parallel.cutting import Divided, constant, divided
from autodiff.parallel.running import executor_of, run
from autodiff.parallel.work import Common, Transform

__all__ = ["Executors", "Settings", "checked_shards", "evaluated"]


class MakesExecutor(Protocol):
    """A function that returns an executor that works."""

    def __call__(self) -> Executor:
        """Return one."""


Executors = Executor | MakesExecutor
"""What functions of this package run on."""


def checked_shards(shards: int | None, name: str) -> int | None:
    """Refuse a number of shards that there cannot be."""
    number = None if shards is None else operator.index(shards)
    if number is not None and number < 1:
        raise ValueError(f"{name}: shards must be at least 1, got {number}")
    return number


class Settings(NamedTuple):
    """What a function was told besides what to compute."""

    name: str
    executor: Any
    in_axes: Any
    shards: int | None
    retries: int
    timeout: float | None

    def checked(self) -> Settings:
        """Refuse numbers that mean nothing, when the function is made.

        Raises
        ------
        TypeError, ValueError
        """
        if not callable(self.executor):
            carrier_of(self.executor, self.name)
        shards = checked_shards(self.shards, self.name)
        retries = operator.index(self.retries)
        if retries < 0:
            raise ValueError(f"{self.name}: retries must be at least 0, got {retries}")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(
                f"{self.name}: timeout must be a positive number of seconds, got {self.timeout!r}"
            )
        return self._replace(shards=shards, retries=retries)


def evaluated(
    settings: Settings,
    transform: Transform,
    f: Any,
    args: Sequence[Any],
    keywords: dict[str, Any],
) -> tuple[Divided, list[Any]]:
    """Evaluate a function on shards of its arguments.

    Returns
    -------
    divided : Divided
        Which rows each shard has.
    results : list
        What `transform` of `f` gave, by shard.
    """
    name = settings.name
    executor = executor_of(settings.executor)
    carrier = carrier_of(executor, name)
    split = divided(
        args, settings.in_axes, lambda: settings.shards or carrier.workers(), carrier.place, name
    )
    switched_on = tuple(mode for mode in ("debug", "strong_zero") if getattr(modes.here, mode))
    keywords = constant(keywords, "keywords", name)
    common = Common(transform, f, split.whole, keywords, switched_on, name)
    results = run(settings.executor, carrier, common, split, settings.retries, settings.timeout)
    return split, results
