"""Running the shards of a call: all of them get a result, or the call raises.

A `Task` is one submission to the executor, of one shard as a rule. It may be submitted again: when
its function raised, when its worker died, and beside a copy that takes too long; the first result
of a shard counts. Results are put in order by number, so it does not matter who was first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from typing import Any

import autodiff as ad
from autodiff.parallel.carriers import Carrier, carrier_of
from autodiff.parallel.cutting import Divided
from autodiff.parallel.deaths import guilty_of
from autodiff.parallel.work import Common, Loadable, Outcome

__all__ = ["Task", "described", "executor_of", "run"]


class Task:
    """Shards that are submitted together, and how often they may be submitted again."""

    def __init__(self, numbers: Sequence[int], retries: int) -> None:
        self.numbers = list(numbers)
        """Those without a result, in order."""
        self.retries = retries
        self.started = 0.0


def executor_of(given: Any) -> Any:
    """Get the executor of a call: what was given, or what a function that was given returns."""
    return given if hasattr(given, "submit") or not callable(given) else given()


def run(
    given: Any,
    carrier: Carrier,
    common: Common,
    divided: Divided,
    retries: int,
    timeout: float | None,
) -> list[Any]:
    """Evaluate every shard.

    Parameters
    ----------
    given : executor, or function that returns one
        A function is asked again where the executor broke.
    carrier : Carrier
        Of the executor to begin with.
    common, divided : what all shards share, and what each has
    retries : int
        How often each shard may be tried again.
    timeout : float, optional
        Seconds after which a shard is tried again, or given up.

    Returns
    -------
    list
        Results by number.

    Raises
    ------
    ShardError
        A shard has no result after all tries.
    TypeError, ValueError
        What a transform says of its arguments, which would be the same for every shard.
    """
    count = len(divided.rows)
    groups = min(count, (carrier.grouped and carrier.known_workers()) or count)
    shares = [list(range(i * count // groups, (i + 1) * count // groups)) for i in range(groups)]
    waiting = [Task(numbers, retries) for numbers in shares]
    return _Run(given, carrier, common, divided, timeout).results(waiting)


class _Run:
    """The state of one call."""

    def __init__(
        self,
        given: Any,
        carrier: Carrier,
        common: Common,
        divided: Divided,
        timeout: float | None,
    ) -> None:
        self.given = given
        self.carrier = carrier
        self.common = common
        self.rows = divided.rows
        self.positions = list(divided.split)
        self.columns = [split.pieces for split in divided.split.values()]
        self.timeout = timeout
        self.live: dict[Future[list[Outcome]], tuple[Task, list[int]]] = {}
        """Submissions, and which shards each was for."""
        self.found: dict[int, Any] = {}
        self.alone = False
        """Whether one task runs at a time, so that it is known which one breaks the executor."""

    def results(self, waiting: list[Task]) -> list[Any]:
        """Run tasks until every shard has a result."""
        try:
            while len(self.found) < len(self.rows):  # once for each executor
                with self.carrier.shared(self.common) as shared:
                    waiting = self._until_broken(shared, waiting)
        finally:
            for future in self.live:  # after an error all that are left, else copies that lost
                future.cancel()
        return [self.found[number] for number in range(len(self.rows))]

    def _until_broken(self, shared: Loadable, waiting: list[Task]) -> list[Task]:
        """Run tasks on one executor; returns those that are left where it broke."""
        children: set[Any] = set()
        while len(self.found) < len(self.rows):
            try:
                while waiting and self._may_submit():
                    self._submit(shared, waiting[0])
                    del waiting[0]
                self._overdue(shared)
            except ad.ShardError:
                raise
            except RuntimeError as error:  # it is broken, or was shut down
                return self._another(error, shared, waiting, children)
            children |= self.carrier.children()
            done = wait(self.live, self._patience(), FIRST_COMPLETED).done
            broken: BrokenExecutor | None = None
            for future in sorted(done, key=self._first_of):
                reason = CancelledError() if future.cancelled() else future.exception()
                if isinstance(reason, BrokenExecutor):
                    broken = reason
                    continue
                task, numbers = self.live.pop(future)
                if reason is not None:
                    self._failed(task, reason, waiting)
                else:
                    self._finished(task, numbers, future.result(), waiting)
            if broken is not None:
                return self._another(broken, shared, waiting, children)
        return []

    def _may_submit(self) -> bool:
        """Whether a task may be submitted: where they are timed, none waits for a worker."""
        bound = 1 if self.alone else self.timeout and self.carrier.known_workers()
        return not bound or len(self._timed()) < bound

    def _first_of(self, future: Future[Any]) -> list[int]:
        return self.live[future][1]

    def _submit(self, shared: Loadable, task: Task) -> None:
        numbers = list(task.numbers)
        pieces = [column[number] for number in numbers for column in self.columns]
        task.started = time.monotonic()
        future = self.carrier.submit(shared, numbers, self.positions, pieces)
        self.live[future] = task, numbers

    def _timed(self) -> list[Task]:
        """Tasks that are under way and have no result yet, in order."""
        tasks = {id(task): task for task, _ in self.live.values() if task.numbers}
        return sorted(tasks.values(), key=lambda task: task.numbers)

    def _patience(self) -> float | None:
        """Seconds until the next task is overdue."""
        if self.timeout is None:
            return None
        starts = [task.started for task in self._timed()]
        return max(0.0, min(starts) + self.timeout - time.monotonic())

    def _overdue(self, shared: Loadable) -> None:
        """Submit copies of tasks that take too long, or give up."""
        if self.timeout is None:
            return
        now = time.monotonic()
        for task in self._timed():
            if now < task.started + self.timeout:
                continue
            if task.retries == 0:
                text = f"no result after {self.timeout} seconds"
                raise self._shard_error(task.numbers[:1], text)
            task.retries -= 1
            self._submit(shared, task)

    def _finished(
        self, task: Task, numbers: list[int], outcomes: Sequence[Outcome], waiting: list[Task]
    ) -> None:
        """Take in what a task gave: results, the last one perhaps a failure."""
        for number, outcome in zip(numbers, outcomes, strict=False):
            if number not in task.numbers:  # another copy was first
                continue
            if outcome.error is None:
                self.found[number] = outcome.value
                task.numbers.remove(number)
                continue
            if outcome.misuse:
                outcome.error.add_note(f"in {described(number, self.rows)}")
                raise outcome.error
            self._failed(task, outcome.error, waiting)

    def _failed(self, task: Task, error: BaseException, waiting: list[Task]) -> None:
        """Try the first shard of a task again, with those behind it, or give up."""
        if task not in self._timed() and task.numbers:  # else another copy may still have it
            if task.retries == 0:
                text = f"{type(error).__name__}: {error}".removesuffix(": ")
                raise self._shard_error(task.numbers[:1], text) from error
            task.retries -= 1
            waiting.append(task)

    def _another(
        self, error: Exception, shared: Loadable, waiting: list[Task], children: set[Any]
    ) -> list[Task]:
        """Tasks to run on another executor, where there may be one and they may be tried again."""
        under_way = self._timed()
        for future in self.live:
            future.cancel()
        self.live.clear()
        tasks = sorted([*under_way, *waiting], key=lambda task: task.numbers)
        numbers = [number for task in under_way or tasks[:1] for number in task.numbers]
        guilty = guilty_of(self.carrier.suspects(shared, numbers), children) or set(numbers)
        what = "its worker died" if under_way else "it could not be submitted"
        for task in tasks:
            if not guilty.isdisjoint(task.numbers):
                if task.retries == 0 or hasattr(self.given, "submit"):
                    text = _broken_text(what, error, self.given)
                    raise self._shard_error(sorted(guilty), text) from error
                task.retries -= 1
        self.carrier = carrier_of(executor_of(self.given), self.common.name)
        self.alone = True
        return tasks

    def _shard_error(self, numbers: Sequence[int], text: str) -> ad.ShardError:
        which = " or ".join(described(number, self.rows) for number in numbers[:3])
        if len(numbers) > 3:
            which += f" or one of {len(numbers) - 3} others"
        first = numbers[0]
        return ad.ShardError(f"{self.common.name}: {which}: {text}", first, self.rows[first])


def described(number: int, rows: Sequence[range]) -> str:
    """A shard in words."""
    part = rows[number]
    which = f"row {part.start}" if len(part) == 1 else f"rows {part.start} to {part.stop - 1}"
    return f"shard {number} of {len(rows)} ({which if len(part) else 'no rows'})"


def _broken_text(what: str, error: Exception, given: Any) -> str:
    text = f"{what} ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    if hasattr(given, "submit"):
        text += (
            "; such an executor takes no more tasks: to have the shard tried again, pass retries= "
            "and, in the executor's place, a function that returns one that works"
        )
    return text
