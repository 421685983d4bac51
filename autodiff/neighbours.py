"""Names that people bring along from JAX, PyTorch and HIPS/autograd, and what to write here.

A module's ``__getattr__`` asks here when a name is missing. Nothing is loaded, and nothing looks as
if it was there: `hasattr` stays false.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from opcode import opmap

import numpy as np

__all__ = ["KNOWN", "foreign_array", "missing"]

_JACOBIAN = "ad.jacobian(f), which chooses the mode itself; or order={!r}"
_ARRAYS = "autodiff.numpy.{0}, or np.{0} for plain arrays"
_OPTIMIZER = "write a subclass of optim.Optimizer, or take Adam, AdamW, RMSProp or SGD"
_LAYER = "there is no such layer: write an nn.Module, whose attributes are its parameters, {}"
_CONVOLUTION = _LAYER.format(
    "with np.lib.stride_tricks.sliding_window_view and np.einsum, or autodiff.scipy.signal.convolve"
)
_RECURRENT = _LAYER.format("with a loop over the steps")
_NORMAL = _LAYER.format("with np.mean and np.var")
_WITHOUT_RULE = "{} has it, for plain arrays; there is no derivative rule for it"

KNOWN: dict[str, dict[str, str]] = {
    "autodiff": {
        # transforms
        "jacfwd": _JACOBIAN.format("forward"),
        "jacrev": _JACOBIAN.format("reverse"),
        "jacobian_reverse": _JACOBIAN.format("reverse"),
        "jit": "ad.compile(f) runs f from an optimised tape",
        "make_jaxpr": "ad.record(f)(x), a Tape that also evaluates, prices and draws",
        "eval_shape": "ad.record(f)(x), whose outputs have a shape and a dtype",
        "pmap": "ad.parallel.vmap(f, executor), or ad.vmap(f)",
        "vectorize": "ad.vmap(f), or autodiff.numpy.vectorize",
        "remat": "ad.checkpoint(f)",
        "custom_gradient": "ad.custom_vjp",
        "custom_derivatives": "ad.custom_vjp and ad.custom_jvp",
        "Function": "ad.custom_vjp, or ad.primitive",
        "defvjp": "ad.custom_vjp, or ad.primitive with vjp_x=...",
        "defjvp": "ad.custom_jvp, or ad.primitive with jvp_x=...",
        "holomorphic_grad": "ad.grad(f, holomorphic=True)",
        "grad_and_aux": "ad.grad(f, has_aux=True)",
        "grad_and_value": "ad.value_and_grad(f), which returns the value first",
        "multigrad_dict": "ad.grad(f, argnums=(0, 1)), or one argument that is a dict",
        "egrad": "ad.elementwise_grad(f)",
        "deriv": "ad.grad(f)",
        "derivative": "ad.grad(f)",
        "gradient": "ad.grad(f), or np.gradient for differences of samples",
        "make_vjp": "ad.vjp(f, x), which returns the value first",
        "make_jvp": "ad.jvp(f, (x,), (v,))",
        "make_hvp": "ad.hvp(f, (x,), (v,))",
        "hessian_vector_product": "ad.hvp(f, (x,), (v,))",
        "vhp": "ad.hvp(f, (x,), (v,)): a Hessian is symmetric",
        "functional_call": "call the module: a module is a container, ad.grad(loss)(model, x)",
        "gradcheck": "ad.check_grads(f, args)",
        "gradgradcheck": "ad.check_grads(f, args, order=2)",
        "test_util": "ad.check_grads(f, args)",
        "detect_anomaly": "with ad.debug():",
        "debug_nans": "with ad.debug():",
        "autograd": "ad.grad, ad.vjp, tensor.backward()",
        "func": "ad.grad, ad.vjp, ad.jvp, ad.vmap",
        "backward": "loss.backward(), a method",
        "GradientTape": "ad.grad(f)(x), or ad.Tensor(x) and loss.backward()",
        "enable_grad": "leave ad.no_grad(), a context",
        "set_grad_enabled": "with ad.no_grad():",
        "inference_mode": "with ad.no_grad():",
        "pure_callback": "ad.custom_vjp, whose function gets plain arrays",
        "from_dlpack": "x.numpy(), or np.from_dlpack(x), an array; ad.interop for whole functions",
        "lax": "Python's for, while and if, ad.scan, and NumPy's functions",
        "cond": "Python's if, or np.where under vmap",
        "while_loop": "Python's while",
        "fori_loop": "Python's for, or ad.scan(f, carry, length=n)",
        # values
        "Variable": "ad.Tensor(x)",
        "Parameter": "ad.Tensor(x)",
        "Value": "ad.Tensor(x)",
        "as_tensor": "ad.Tensor(x), or plain arrays, which are constants",
        "from_numpy": "ad.Tensor(x), or plain arrays, which are constants",
        "array": "ad.Tensor(x) for a variable; autodiff.numpy.array joins lists that hold Tensors",
        "asarray": "ad.Tensor(x) for a variable; autodiff.numpy.asarray of lists that hold Tensors",
        **{name: _ARRAYS.format(name) for name in ("zeros", "ones", "empty", "full")},
        "randn": "np.random.default_rng(seed).standard_normal(shape)",
        "rand": "np.random.default_rng(seed).random(shape)",
        "random": "np.random.default_rng(seed)",
        "manual_seed": "np.random.default_rng(seed)",
        "PRNGKey": "np.random.default_rng(seed)",
        "cat": "np.concatenate",
        "mm": "the operator @",
        "bmm": "the operator @",
        "logdet": "np.linalg.slogdet(x)[1]",
        "detach": "tensor.detach(), or ad.stop_gradient(x)",
        "device": "arrays are NumPy's, in main memory",
        "device_put": "arrays are NumPy's, in main memory",
        "cuda": "arrays are NumPy's, in main memory",
        # packages
        "tree_util": "ad.tree",
        "tree_map": "ad.tree.map_leaves",
        "tree_flatten": "ad.tree.flatten",
        "tree_unflatten": "ad.tree.unflatten",
        "tree_leaves": "ad.tree.leaves",
        "erf": "autodiff.scipy.special.erf",
        "save": "ad.nn.save",
        "load": "ad.nn.load",
        "Module": "ad.nn.Module",
        "Linear": "ad.nn.Linear",
        "MLP": "ad.nn.MLP",
        "SGD": "ad.optim.SGD",
        "Adam": "ad.optim.Adam",
    },
    "autodiff.nn": {
        **dict.fromkeys(
            ("Conv1d", "Conv2d", "Conv3d", "Conv", "ConvTranspose2d", "MaxPool2d"), _CONVOLUTION
        ),
        **dict.fromkeys(("RNN", "LSTM", "GRU", "LSTMCell", "GRUCell"), _RECURRENT),
        **dict.fromkeys(
            ("BatchNorm", "BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm"), _NORMAL
        ),
        "MultiheadAttention": _LAYER.format("with ad.softmax and the operator @"),
        "Transformer": _LAYER.format("with ad.softmax and the operator @"),
        "Embedding": _LAYER.format("with table[indices]"),
        "Dropout": _LAYER.format("with x * (rng.random(x.shape) > p) / (1 - p)"),
        "Flatten": "nn.Activation(lambda x: x.reshape(len(x), -1))",
        "ReLU": 'nn.Activation("relu"), or the function ad.relu',
        "Sigmoid": 'nn.Activation("sigmoid"), or the function ad.sigmoid',
        "Tanh": 'nn.Activation("tanh"), or the function np.tanh',
        "Softplus": 'nn.Activation("softplus"), or the function ad.softplus',
        "Softmax": 'nn.Activation("softmax"), or the function ad.softmax',
        "LogSoftmax": 'nn.Activation("log_softmax"), or the function ad.log_softmax',
        "Identity": 'nn.Activation("identity")',
        "GELU": "nn.Activation(lambda x: x * autodiff.scipy.special.ndtr(x))",
        "SiLU": "nn.Activation(lambda x: x * ad.sigmoid(x))",
        "LeakyReLU": "nn.Activation(lambda x: np.where(x > 0, x, 0.01 * x))",
        "ELU": "nn.Activation(lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))))",
        **{name: f"the function ad.{name}" for name in ("relu", "sigmoid", "softplus", "softmax")},
        "log_softmax": "the function ad.log_softmax",
        "tanh": "the function np.tanh",
        "Dense": "nn.Linear(inputs, outputs)",
        "Parameter": "ad.Tensor(x) as an attribute of a module",
        "ModuleList": "a list as an attribute of a module",
        "ModuleDict": "a dict as an attribute of a module",
        "ParameterList": "a list as an attribute of a module",
        "functional": "the functions ad.relu, ad.softmax, nn.softmax_cross_entropy...",
        "init": "the functions nn.glorot_uniform, nn.he_normal...; nn.INITIALIZERS",
        "CrossEntropyLoss": "the function nn.softmax_cross_entropy(logits, labels)",
        "cross_entropy": "nn.softmax_cross_entropy(logits, labels)",
        "NLLLoss": "the function nn.softmax_cross_entropy(logits, labels), of the logits",
        "MSELoss": "the function nn.mean_squared_error(predicted, target)",
        "mse_loss": "nn.mean_squared_error(predicted, target)",
        "BCELoss": "the function nn.binary_cross_entropy(logits, labels), of the logits",
        "BCEWithLogitsLoss": "the function nn.binary_cross_entropy(logits, labels)",
        "L1Loss": "np.mean(np.abs(predicted - target))",
        **dict.fromkeys(
            ("DataParallel", "DistributedDataParallel"),
            "ad.parallel.value_and_grad(loss, executor, in_axes=(None, 0, 0))",
        ),
    },
    "autodiff.optim": {
        "RMSprop": "optim.RMSProp",
        "adamw": "optim.AdamW",
        "momentum": "optim.SGD(lr=..., momentum=0.9)",
        "GradientDescent": "optim.SGD",
        **dict.fromkeys(
            ("Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "Lion", "ASGD"), _OPTIMIZER
        ),
        "LBFGS": 'scipy.optimize.minimize(ad.value_and_grad(f), x, jac=True, method="L-BFGS-B")',
        "lr_scheduler": "set optimizer.lr between steps",
        "apply_updates": "params, state = optimizer.update(gradients, state, params)",
        "chain": "write a subclass of optim.Optimizer",
    },
    "autodiff.parallel": {
        "pmap": "parallel.vmap(f, executor)",
        "pmean": 'parallel.allreduce(tree, comm, op="mean")',
        "psum": "parallel.allreduce(tree, comm)",
        "all_reduce": "parallel.allreduce(tree, comm)",
        "hessian": "parallel.hvp(f, executor, primals, tangents, *batch, in_axes=...)",
        "jvp": "parallel.map of a function that calls ad.jvp",
        "DataParallel": "parallel.value_and_grad(loss, executor, in_axes=(None, 0, 0))",
    },
    "autodiff.scipy.stats": {
        **dict.fromkeys(
            ("nct", "ncx2", "ncf", "exponnorm", "johnsonsu", "fisk", "burr"),
            "scipy.stats has it, for plain arrays; write its logpdf with autodiff.scipy.special",
        ),
        **dict.fromkeys(
            ("nhypergeom", "skellam", "boltzmann", "logser"),
            "scipy.stats has it, for plain arrays; write its logpmf with special.xlogy and gammaln",
        ),
    },
    "autodiff.scipy.linalg": {
        "ldl": "cholesky, or solve(a, b, assume_a='sym')",
        "funm": "expm, logm, sqrtm, ..., or v @ np.diag(f(w)) @ inv(v) with w, v = eig(a)",
        "expm_cond": "np.linalg.norm of the Jacobian that ad.jacobian(expm) gives",
        "kron": "np.kron, which takes Tensors",
        "tril": "np.tril, which takes Tensors",
        "triu": "np.triu, which takes Tensors",
        "tri": "np.tri",
        **dict.fromkeys(
            (
                *("qz", "ordqz", "hessenberg", "cossin", "cdf2rdf", "rsf2csf", "matrix_balance"),
                *("qr_delete", "qr_insert", "qr_multiply", "qr_update"),
                "clarkson_woodruff_transform",
            ),
            _WITHOUT_RULE.format("scipy.linalg"),
        ),
    },
}
"""By module and missing name, what to write."""


_ARRAYS_OF = {
    "torch": ("PyTorch", "x.detach().cpu().numpy()", "torch"),
    "jax": ("JAX", "np.asarray(x)", "jax"),
    "jaxlib": ("JAX", "np.asarray(x)", "jax"),
}


def foreign_array(value: object) -> str | None:
    """Say what to do with an array of another library; None for anything else.

    Parameters
    ----------
    value : anything

    Returns
    -------
    str or None

    Examples
    --------
    >>> foreign_array(1.0) is None
    True
    """
    known = _ARRAYS_OF.get(type(value).__module__.partition(".")[0])
    if known is None or not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return None
    library, numbers, name = known
    return (
        f"it is {library}'s: {numbers} has its numbers alone; ad.interop.{name}_function(f) makes "
        f"a function one that {library} differentiates, ad.interop.from_{name}(g) makes one of "
        f"{library}'s differentiable here"
    )


def missing(module: str, name: str, there: Iterable[str]) -> Exception:
    """Return the error of a name that a module does not have.

    Parameters
    ----------
    module : str
    name : str
    there : iterable of str
        The names that there are.

    Returns
    -------
    AttributeError, or ImportError where ``from module import name`` asks
        Python would say no more than the name in place of the former.

    Examples
    --------
    >>> import autodiff as ad
    >>> ad.jacrev
    Traceback (most recent call last):
        ...
    AttributeError: module 'autodiff' has no attribute 'jacrev'; here: ad.jacobian(f), which...
    """
    text = f"module {module!r} has no attribute {name!r}"
    way = KNOWN.get(module, {}).get(name)
    if way is None and module == "autodiff" and callable(getattr(np, name, None)):
        way = f"np.{name}, which takes Tensors"
    if way is not None:
        text += f"; here: {way}"
    elif not name.startswith("_"):
        close = difflib.get_close_matches(name, [n for n in there if not n.startswith("_")], n=1)
        text += f"; did you mean {close[0]!r}?" if close else ""
    asking = sys._getframe(1).f_back
    if asking is not None and asking.f_code.co_code[asking.f_lasti] == opmap["IMPORT_FROM"]:
        return ImportError(f"cannot import name {name!r}: {text}", name=module)
    return AttributeError(text)
