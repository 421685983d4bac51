"""HIPS/autograd's modules and conventions, on this engine.

``import autodiff.compat.autograd.numpy as np``, ``from autodiff.compat.autograd import grad``: what
a program wrote with ``autograd`` in these places. After ``autodiff.compat.install("autograd")``
``autograd`` itself names these modules.

Examples
--------
>>> import autodiff.compat.autograd.numpy as np
>>> from autodiff.compat.autograd import grad
>>> def tanh(x):
...     return (1.0 - np.exp(-2 * x)) / (1.0 + np.exp(-2 * x))
>>> grad(tanh)(1.0)
np.float64(0.419974341614026)
"""

from __future__ import annotations

from autodiff.compat.autograd import extend, numpy, test_util
from autodiff.compat.autograd.builtins import dict, isinstance, list, tuple, type
from autodiff.compat.autograd.core import primitive_with_deprecation_warnings as primitive
from autodiff.compat.autograd.differential_operators import (
    checkpoint,
    deriv,
    elementwise_grad,
    grad,
    grad_and_aux,
    grad_named,
    hessian,
    hessian_tensor_product,
    hessian_vector_product,
    holomorphic_grad,
    jacobian,
    make_ggnvp,
    make_hvp,
    make_jvp,
    make_vjp,
    multigrad_dict,
    tensor_jacobian_product,
    value_and_grad,
    vector_jacobian_product,
)

egrad = elementwise_grad

__all__ = [
    "checkpoint",
    "deriv",
    "dict",
    "egrad",
    "elementwise_grad",
    "extend",
    "grad",
    "grad_and_aux",
    "grad_named",
    "hessian",
    "hessian_tensor_product",
    "hessian_vector_product",
    "holomorphic_grad",
    "isinstance",
    "jacobian",
    "list",
    "make_ggnvp",
    "make_hvp",
    "make_jvp",
    "make_vjp",
    "multigrad_dict",
    "numpy",
    "primitive",
    "tensor_jacobian_product",
    "test_util",
    "tuple",
    "type",
    "value_and_grad",
    "vector_jacobian_product",
]
