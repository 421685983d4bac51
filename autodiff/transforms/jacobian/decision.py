"""In which order a Jacobian is accumulated: the one place that decides.

Ways to accumulate register here, and all are priced in seconds by one cost model
(`transforms.jacobian.rates`). The reverse sweep is what the others are compared with, for the
function is recorded already. Another way is asked three questions, from the cheapest to the
dearest: whether sizes leave hope (`Method.worth`), what it takes at least, as the recorded nodes
tell (`Method.bound`), and what it takes (`PRICES`). Prices and ways to run may be loaded when they
are first asked for. So elimination, which registers from above, is loaded only where its bound
beats the sweeps, and functions for which it cannot pay never load it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple

from autodiff.transforms.jacobian.bounds import (
    fma_of_unit_products,
    least_elimination_seconds,
)
from autodiff.transforms.jacobian.forward import forward
from autodiff.transforms.jacobian.problem import Blocks, Problem
from autodiff.transforms.jacobian.question import Question
from autodiff.transforms.jacobian.rates import rates
from autodiff.transforms.jacobian.reverse import reverse
from autodiff.transforms.jacobian.tables import (
    GIVEN,
    PRICES,
    RUNS,
    STRUCTURED,
    STRUCTURES,
    Remembered,
)
from autodiff.transforms.transformed import Sealed

__all__ = [
    "GIVEN",
    "METHODS",
    "MOST_VERTICES",
    "PRICES",
    "RUNS",
    "STRUCTURES",
    "Choice",
    "GivenOrder",
    "Method",
    "check_order",
    "decide",
    "execute",
    "orders",
]

_GAIN = {"reverse": 0.8, "forward": 0.9}
"""Another way is taken where its price is below this share of a sweep's: of the reverse one, for
which the function is recorded already, or of the forward one, which needs no plan."""
_WORTH_PRICING = 2**17
"""Bytes of the cotangents of one sweep below which starting a forward sweep, which evaluates the
function once more, takes longer than the whole sweep back."""
_WORTH_STRUCTURE = 5e-4
"""Seconds that structure saves in the order that was asked for, below which sweeps stay."""
_FEWEST_SEEDS = 16
"""Rows or columns below which no order can gain much on a reverse sweep."""
_FEWEST_ELEMENTS = 100_000
"""Elements that a reverse sweep would move, below which planning does not pay."""
MOST_VERTICES = 1000
"""Longer graphs are left to the sweeps: planning them would take longer than it may save."""


class Choice(NamedTuple):
    """A way to accumulate, and its price.

    Attributes
    ----------
    name : str
    seconds : float
    detail : object
        What the way needs to know to be run, such as an order of elimination.
    instead_of : float or None
        What the best way so far takes, where pricing this one has told more of it than was known:
        the two are then compared by the same facts.
    """

    name: str
    seconds: float
    detail: Any = None
    instead_of: float | None = None

    @property
    def to_beat(self) -> float:
        """Seconds below which another way is taken instead."""
        return self.seconds * _GAIN.get(self.name, 1.0)


class Method(NamedTuple):
    """What a way to accumulate says of itself without being loaded.

    Attributes
    ----------
    worth : function of a Question and the best Choice so far
        Whether it can serve, and sizes leave hope of a gain. Asked at every call: it counts.
    bound : function of a Question
        Seconds that it takes at least.
    """

    worth: Callable[[Question, Choice], bool]
    bound: Callable[[Question], float]


METHODS: dict[str, Method] = {}
"""Ways beside the reverse sweep, in the order in which they are asked."""


class GivenOrder(Sealed):
    """An order that somebody made and hands to `jacobian`: what plans are.

    Attributes
    ----------
    given : str
        Who carries it out: a name in `GIVEN`.
    """

    given: ClassVar[str]


# --- the decision ---------------------------------------------------------------------------------

_REVERSE = Choice("reverse", math.inf)
_choices: Remembered[Choice] = Remembered()
_sweeps: Remembered[Choice] = Remembered()
_PULLBACK = attrgetter("pullback")


def _choose(question: Question) -> Choice:
    """Decide once for all functions that are alike."""
    for method in METHODS.values():
        if method.worth(question, _REVERSE):
            break
    else:
        return _REVERSE
    sketch = _sketch(question)
    if sketch in _sweeps:
        return _sweeps[sketch]
    # Hooks stand in no signature: a way that cannot serve because of them says so when it is run
    key = (question.signature, question.problem.chunk_bytes, question.needs_sweep, rates())
    found = _choices.get(key)
    if found is None:
        found = _choices.keep(key, decide(question))
    if found.detail is None:
        _sweeps.keep(sketch, found)
    return found


def _sketch(question: Question) -> Hashable:
    """Most of what a decision depends on, in a fifth of the time that a signature takes.

    It leaves out which operation reads which value. A sweep is right all the same, so whether one
    was the best is looked up by this: a signature takes a tenth of a sweep over small arrays.
    """
    problem = question.problem
    code = getattr(problem.f, "__code__", type(problem.f))
    rules = tuple(map(_PULLBACK, question.nodes))
    sizes = question.rows, question.columns, question.elements
    return code, rules, *sizes, problem.chunk_bytes, question.needs_sweep, rates()


def decide(question: Question) -> Choice:
    """Return the cheapest way, pricing only those whose bound leaves hope.

    Parameters
    ----------
    question : Question
    """
    best: Choice = PRICES["reverse"](question, _REVERSE)
    for name, method in METHODS.items():
        if not method.worth(question, best) or method.bound(question) >= best.to_beat:
            continue
        found: Choice | None = PRICES[name](question, best)
        if found is None:
            continue
        if found.instead_of is not None:
            best = best._replace(seconds=found.instead_of)
        if found.seconds < best.to_beat:
            best = found
    return best


def _auto(problem: Problem) -> Blocks:
    """Record, compare what the orders cost, and go the cheapest way."""
    question = Question(problem)
    choice = _choose(question)
    if question.needs_sweep:
        problem.note_sweeps(question.swept_because)
    blocks: Blocks | None = RUNS[choice.name](problem, question, choice)
    return _run_reverse(problem, question) if blocks is None else blocks


# --- sweeps ---------------------------------------------------------------------------------------


def _price_reverse(question: Question, best: Choice) -> Choice:
    return Choice("reverse", question.sweep_seconds[1])


def _run_reverse(
    problem: Problem, question: Question | None = None, choice: Choice | None = None
) -> Blocks:
    if question is None:
        question = Question(problem)
        blocks: Blocks | None = None
        if _multiplies_units(question):
            blocks = STRUCTURED["reverse"](question)
        return reverse(problem, question.recorded) if blocks is None else blocks
    return reverse(problem, question.recorded, question.measure)


def _multiplies_units(question: Question) -> bool:
    """Whether a sweep back begins with large products that structure would save."""
    if question.rows * question.columns < _FEWEST_ELEMENTS or question.needs_sweep:
        return False
    return rates().dense * fma_of_unit_products(question.recorded.nodes) >= _WORTH_STRUCTURE


def _worth_forward(question: Question, best: Choice) -> bool:
    """Whether there are fewer columns than rows, and enough work to evaluate once more."""
    if question.rows <= question.columns:
        return False
    return question.rows * question.measure.held_bytes >= _WORTH_PRICING


def _bound_forward(question: Question) -> float:
    return question.sweep_seconds[0]


def _price_forward(question: Question, best: Choice) -> Choice:
    return Choice("forward", question.sweep_seconds[0])


def _run_forward(
    problem: Problem, question: Question | None = None, choice: Choice | None = None
) -> Blocks:
    if question is not None:
        problem.again = "forward"
        question.release()
    return forward(problem)


# --- elimination: priced and run from above -------------------------------------------------------


def _worth_eliminating(question: Question, best: Choice) -> bool:
    """Whether there is enough for planning to pay, and nothing that needs sweeps."""
    # A forward sweep is slow to start: what beats it need not be large
    if best.name == "reverse" and not _moves_much(question):
        return False
    return not question.needs_sweep and 0 < len(question.nodes) <= MOST_VERTICES


def _moves_much(question: Question) -> bool:
    """Whether a reverse sweep has much to move."""
    rows, columns = question.rows, question.columns
    fewest = min(rows, columns)
    if fewest < _FEWEST_SEEDS:
        return False
    # Inputs and outputs alone are counted first: where they suffice the nodes are left alone
    return rows * columns >= _FEWEST_ELEMENTS or fewest * question.elements >= _FEWEST_ELEMENTS


def _bound_elimination(question: Question) -> float:
    return least_elimination_seconds(question.nodes, question.recorded.nodes, rates())


PRICES.register("reverse", _price_reverse)
PRICES.register("forward", _price_forward)
RUNS.register("forward", _run_forward)
RUNS.register("reverse", _run_reverse)
METHODS["forward"] = Method(_worth_forward, _bound_forward)
METHODS["cross-country"] = Method(_worth_eliminating, _bound_elimination)


# --- orders by name, and given ones ---------------------------------------------------------------


def orders() -> tuple[str, ...]:
    """Names that ``jacobian(order=...)`` takes, the sweeps first."""
    return tuple(dict.fromkeys(("auto", "forward", "reverse", *RUNS)))


def execute(order: Any, problem: Problem) -> Blocks:
    """Accumulate a Jacobian in an order: one of `orders`, or a given one."""
    if not isinstance(order, str):
        given: Blocks = GIVEN[order.given](problem, order)
        return given
    if order == "auto":
        return _auto(problem)
    blocks: Blocks = RUNS[order](problem)
    return blocks


def check_order(order: Any) -> None:
    """Refuse what is no order.

    Raises
    ------
    ValueError
        It is none.
    """
    known = order in orders() if isinstance(order, str) else isinstance(order, GivenOrder)
    if not known:
        names = ", ".join(map(repr, orders()))
        raise ValueError(f"jacobian: order={order!r} is not one of {names}, nor a plan")
