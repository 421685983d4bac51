"""Programs that are one formula and its derivatives, topic by topic: inputs, formula, and by hand.

>>> PROBLEMS["lstm"].variables
('parameters',)
"""

from autodiff.bench.problem import Problem
from autodiff.bench.problems import gradbench, models, networks
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS"]

_TOPICS = (networks, models, gradbench)

PROBLEMS: dict[str, Problem] = {
    name: problem for topic in _TOPICS for name, problem in topic.PROBLEMS.items()
}
"""Every problem by the name of its program."""

WORKLOADS: tuple[Workload, ...] = tuple(
    workload for topic in _TOPICS for workload in topic.WORKLOADS
)
"""Their workloads."""
