"""Automatic differentiation of NumPy programs: right, light, clear and fast.

>>> import numpy as np
>>> import autodiff as ad
>>> ad.grad(lambda x: np.sum(np.tanh(x) ** 2))(np.zeros(3))
array([0., 0., 0.])
"""

from autodiff import tree
from autodiff.errors import (
    AutodiffError,
    DeclarationError,
    EscapedTensorError,
    FileFormatError,
    NonDifferentiableError,
    NonFiniteError,
    RuleError,
    TapeError,
    TapeReleasedError,
)
from autodiff.ops.elementwise import relu, sigmoid, softplus
from autodiff.ops.special import log_softmax, logsumexp, softmax
from autodiff.primitive import REGISTRY, Primitive, elementwise, linear, multilinear, primitive
from autodiff.tape import Tape
from autodiff.tensor import Tensor
from autodiff.transforms import (
    debug,
    elementwise_grad,
    grad,
    hvp,
    jvp,
    linearize,
    no_grad,
    record,
    stop_gradient,
    strong_zero,
    value_and_grad,
    vjp,
    vmap,
)
