"""What a workload is: a program, its inputs at several sizes, and how results are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from autodiff.core.arrays import has_memory
from autodiff.core.memory import freeze

__all__ = ["FLOAT32", "FLOAT64", "GROUPS", "Case", "Workload", "make_inputs"]

FLOAT32 = 2e-3
FLOAT64 = 1e-9

GROUPS = {
    "operations": "Single operations, calls and scalar graphs",
    "arrays": "Elementwise programs",
    "networks": "Networks",
    "models": "Models: finance and simulation",
    "derivatives": "Jacobians and Hessians",
    "gradbench": "Problems of GradBench",
    "checkpoints": "Deep chains and checkpoints",
    "memory": "Peak memory",
}
"""Groups of workloads, in the order of the report, with the titles of their tables."""


@dataclass(frozen=True)
class Workload:
    """One program at several sizes.

    Parameters
    ----------
    name : str
        What ``--workloads`` calls it.
    title : str
    program : str
        Key of the implementations in the engines.
    group : str
        Key of `GROUPS`.
    inputs : callable
        Makes the inputs from the parameters of a case.
    sizes : dict
        Parameters of each case by the case's label.
    quick : tuple of str
        Labels that the quick set has.
    tolerance : float
        Largest difference of two engines, relative to the largest entry.
    measure : {"time", "memory"}
    calls : int
        Runs before results are compared; above 1 where a run changes the engine's own state.
    products : bool
        Whether matrix products decide, so that the kernel of the BLAS matters.
    axis : str
        Parameter that grows, for the plots of scaling; empty where cases are unrelated.
    axis_label : str
    tiny : dict
        Parameters of a small case that warms a process up before its memory is measured.
    """

    name: str
    title: str
    program: str
    group: str
    inputs: Callable[..., dict[str, Any]]
    sizes: dict[str, dict[str, Any]]
    quick: tuple[str, ...] = ()
    tolerance: float = FLOAT64
    measure: str = "time"
    calls: int = 1
    products: bool = False
    axis: str = ""
    axis_label: str = ""
    tiny: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One size of one workload."""

    workload: Workload
    label: str

    @property
    def name(self) -> str:
        """Key of the case: ``mlp-sgd/64-32-10, batch 32``."""
        return f"{self.workload.name}/{self.label}"

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the inputs."""
        return self.workload.sizes[self.label]

    @property
    def operations(self) -> int:
        """Operations in the program, where the time of one is what is asked; otherwise 1."""
        return int(self.parameters.get("length", self.parameters.get("nodes", 1)))

    @property
    def size(self) -> int | None:
        """The case's place on the workload's axis."""
        return int(self.parameters[self.workload.axis]) if self.workload.axis else None


def make_inputs(workload: Workload, parameters: dict[str, Any]) -> dict[str, Any]:
    """Inputs of a case: the same numbers in every process, arrays read-only.

    Examples
    --------
    >>> import numpy as np
    >>> workload = Workload("w", "", "", "arrays", lambda size: {"x": np.ones(size)}, {})
    >>> make_inputs(workload, {"size": 2})["x"].flags.writeable
    False
    """
    inputs = workload.inputs(**parameters)
    for value in inputs.values():
        for array in value if isinstance(value, list) else [value]:
            if has_memory(array):
                freeze(array)
    return inputs
