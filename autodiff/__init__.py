"""Automatic differentiation of NumPy programs: right, light, clear and fast.

>>> import numpy as np
>>> import autodiff as ad
>>> ad.grad(lambda x: np.sum(np.tanh(x) ** 2))(np.zeros(3))
array([0., 0., 0.])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autodiff import loading as loading  # who answers what is asked later
from autodiff import tree
from autodiff.core.declare import elementwise, linear, multilinear, primitive
from autodiff.core.primitive import Primitive
from autodiff.core.registry import REGISTRY
from autodiff.errors import (
    AutodiffError,
    CompileError,
    ConvergenceWarning,
    DeclarationError,
    DrawingError,
    EscapedTensorError,
    ExportError,
    FileFormatError,
    NonDifferentiableError,
    NonFiniteError,
    RuleError,
    ShardError,
    SingularSystemError,
    SolverError,
    TapeError,
    TapeReleasedError,
)
from autodiff.ops.elementwise import relu, sigmoid, softplus
from autodiff.ops.samples import Sample
from autodiff.ops.special import log_softmax, logsumexp, softmax
from autodiff.tape.ir import Tape
from autodiff.tensor import Tensor
from autodiff.transforms.batching import vmap
from autodiff.transforms.gradient import elementwise_grad, grad, value_and_grad, vjp
from autodiff.transforms.modes import debug, no_grad, stop_gradient, strong_zero
from autodiff.transforms.record import name, record
from autodiff.transforms.tangent import hvp, jvp, linearize

if TYPE_CHECKING:
    from autodiff import bench as bench
    from autodiff import compat as compat
    from autodiff import data as data
    from autodiff import interop as interop
    from autodiff import lowering as lowering
    from autodiff import nn as nn
    from autodiff import numpy as numpy
    from autodiff import optim as optim
    from autodiff import ordering as ordering
    from autodiff import parallel as parallel
    from autodiff import scipy as scipy
    from autodiff import structure as structure
    from autodiff import testing as testing
    from autodiff.compiler.function import compile
    from autodiff.flow.gradient_report import report
    from autodiff.testing import check_grads
    from autodiff.transforms.checkpoint import checkpoint
    from autodiff.transforms.custom import custom_jvp, custom_vjp
    from autodiff.transforms.implicit.functions import fixed_point, root
    from autodiff.transforms.jacobian.functions import hessian, jacobian
    from autodiff.transforms.namespace import one_namespace
    from autodiff.transforms.scan.functions import scan

__version__ = "0.2.0"

__all__ = [
    "REGISTRY",
    "AutodiffError",
    "CompileError",
    "ConvergenceWarning",
    "DeclarationError",
    "DrawingError",
    "EscapedTensorError",
    "ExportError",
    "FileFormatError",
    "NonDifferentiableError",
    "NonFiniteError",
    "Primitive",
    "RuleError",
    "Sample",
    "ShardError",
    "SingularSystemError",
    "SolverError",
    "Tape",
    "TapeError",
    "TapeReleasedError",
    "Tensor",
    "check_grads",
    "checkpoint",
    "compile",
    "custom_jvp",
    "custom_vjp",
    "debug",
    "elementwise",
    "elementwise_grad",
    "fixed_point",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linear",
    "linearize",
    "log_softmax",
    "logsumexp",
    "lowering",
    "multilinear",
    "name",
    "no_grad",
    "one_namespace",
    "primitive",
    "record",
    "relu",
    "report",
    "root",
    "scan",
    "sigmoid",
    "softmax",
    "softplus",
    "stop_gradient",
    "strong_zero",
    "structure",
    "tree",
    "value_and_grad",
    "vjp",
    "vmap",
]

_LAZY = (
    "bench",
    "compat",
    "data",
    "interop",
    "nn",
    "numpy",
    "optim",
    "ordering",
    "parallel",
    "scipy",
    "structure",
    "testing",
    "lowering",
)
_LAZY_NAMES = {
    "check_grads": "autodiff.testing",
    "checkpoint": "autodiff.transforms.checkpoint",
    "compile": "autodiff.compiler.function",
    "custom_jvp": "autodiff.transforms.custom",
    "custom_vjp": "autodiff.transforms.custom",
    "hessian": "autodiff.transforms.jacobian.functions",
    "jacobian": "autodiff.transforms.jacobian.functions",
    "one_namespace": "autodiff.transforms.namespace",
    "report": "autodiff.flow",
    "fixed_point": "autodiff.transforms.implicit.functions",
    "root": "autodiff.transforms.implicit.functions",
    "scan": "autodiff.transforms.scan.functions",
}


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        """Import the packages and functions that few programs use when they are first used."""
        if name in _LAZY:
            return import_module(f"autodiff.{name}")
        if name in _LAZY_NAMES:
            found = globals()[name] = getattr(import_module(_LAZY_NAMES[name]), name)
            return found
        from autodiff.neighbours import missing

        raise missing(__name__, name, __dir__())

    def __dir__() -> list[str]:
        """What is meant to be used, loaded or not; not what this module imports to be made."""
        return sorted({*(name for name in globals() if name.startswith("__")), *__all__, *_LAZY})
