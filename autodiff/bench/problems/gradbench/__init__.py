"""The problems of GradBench, written anew from their definitions; inputs come from a seed."""

from autodiff.bench.problem import Problem
from autodiff.bench.problems.gradbench import bundle, hand_tracking, mixture, particle, small, text
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS"]

_TOPICS = (mixture, text, bundle, hand_tracking, small, particle)

PROBLEMS: dict[str, Problem] = {
    name: problem for topic in _TOPICS for name, problem in topic.PROBLEMS.items()
}

WORKLOADS: tuple[Workload, ...] = tuple(
    workload for topic in _TOPICS for workload in topic.WORKLOADS
)
