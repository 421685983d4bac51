"""Losses, and the accuracy of a classifier."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.core.arrays import array_or_scalar, as_array, as_numpy, is_foreign, scalar_form

__all__ = ["accuracy", "binary_cross_entropy", "mean_squared_error", "softmax_cross_entropy"]

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "none": lambda losses: losses,
}


def _check_reduction(reduction: Any, loss: str) -> None:
    if not isinstance(reduction, str) or reduction not in _REDUCTIONS:
        raise ValueError(
            f"{loss}: reduction must be one of {', '.join(map(repr, _REDUCTIONS))}, got "
            f"{reduction!r}"
        )


def _reduced(losses: Any, reduction: str, loss: str) -> Any:
    _check_reduction(reduction, loss)
    return _REDUCTIONS[reduction](losses)


def _as_operands(prediction: Any, target: Any, loss: str, first: str, second: str) -> Any:
    """Check that shapes agree, and give a target that is a constant the prediction's dtype."""
    prediction = _array(prediction)
    if not isinstance(target, ad.Tensor):
        wanted = prediction.dtype if prediction.dtype.kind in "fc" else None
        target = as_array(target, like=prediction)
        if target.dtype.kind not in "fciub":
            raise TypeError(f"{loss}: {second} has dtype {target.dtype}; give numbers")
        if target.dtype.kind != "c":
            target = target.astype(wanted, copy=False)
    if target.shape not in (prediction.shape, ()):
        raise ValueError(
            f"{loss}: {first} has shape {prediction.shape}, {second} {target.shape}; they must be "
            "equal (reshape one of them: broadcasting would pair every example with every other)"
        )
    return prediction, target


def _array(x: Any) -> Any:
    return x if isinstance(x, ad.Tensor) else array_or_scalar(x)


# --- regression -----------------------------------------------------------------------------------


def mean_squared_error(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared difference, averaged over all entries.

    Parameters
    ----------
    prediction : array or Tensor
    target : array or Tensor, of the same shape, or a number
        A constant array is cast to the prediction's dtype.
    reduction : "mean", "sum" or "none"
        "none" returns one loss per entry.

    Returns
    -------
    array or Tensor
        A scalar, or for "none" of the prediction's shape; a Tensor if an argument is one.

    Raises
    ------
    ValueError
        Shapes differ, or `reduction` is unknown.
    TypeError
        The target is not numeric.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> nn.mean_squared_error(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    np.float64(2.0)
    """
    prediction, target = _as_operands(
        prediction, target, "mean_squared_error", "prediction", "target"
    )
    return _reduced(np.square(prediction - target), reduction, "mean_squared_error")


# --- classification -------------------------------------------------------------------------------


def _checked_labels(labels: Any, classes: int) -> Any:
    """Labels as one row; raises for one that is no class."""
    flat = np.reshape(labels, -1)
    # Seen as unsigned a negative label is a huge one, so one reduction finds both kinds of wrong
    unsigned = flat.view(flat.dtype.str.replace("i", "u"))
    if flat.size and np.maximum.reduce(unsigned) >= classes:
        wrong = int(np.flatnonzero((flat < 0) | (flat >= classes))[0])
        place = ", ".join(str(int(i)) for i in np.unravel_index(wrong, np.shape(labels)))
        raise ValueError(
            f"softmax_cross_entropy: labels[{place}] is {flat[wrong]}, but the logits have "
            f"{classes} classes, numbered from 0 to {classes - 1}"
        )
    return flat


def _samples(rng: np.random.Generator) -> list[ad.Sample]:
    return [
        ad.Sample((rng.uniform(-2.0, 2.0, (*shape, 4)), rng.integers(0, 4, shape)), params)
        for shape in ((3,), (2, 3), ())
        for params in ({}, {"reduction": "mean"}, {"reduction": "sum"})
    ]


def _excess_samples(rng: np.random.Generator) -> list[ad.Sample]:
    return [sample for sample in _samples(rng) if not sample.params]


def _aligned(batched: Any, inputs: Any) -> list[Any]:
    """Inputs that all have the batch axis."""
    size = next(x.shape[0] for x, flag in zip(inputs, batched, strict=True) if flag)
    return [
        x if flag else np.broadcast_to(x, (size, *np.shape(x)))
        for x, flag in zip(inputs, batched, strict=True)
    ]


def _batch(batched: Any, inputs: Any, params: Any) -> Any:
    losses = _softmax_cross_entropy(*_aligned(batched, inputs))
    reduction = params.get("reduction", "none")
    if reduction == "none":
        return losses
    return _REDUCTIONS[reduction](losses, axis=tuple(range(1, len(losses.shape))))


def _batch_excess(batched: Any, inputs: Any, params: Any) -> Any:
    return _softmax_excess(*_aligned(batched, inputs))


def _examples(logits: Any) -> int:
    count: int = math.prod(logits.shape[:-1])
    return max(count, 1)


def _pull(g: Any, logits: Any, labels: Any, reduction: str) -> Any:
    excess = _softmax_excess(logits, labels)
    if reduction == "none":
        return excess * g[..., None]
    if reduction == "sum":
        return excess * g
    count = _examples(logits)
    if logits.dtype == np.float16:  # it has few digits for g / count, or none
        return ((excess * g).astype(np.float32) / count).astype(np.float16)
    return excess * (g * (1.0 / count))


def _push(t: Any, logits: Any, labels: Any, reduction: str) -> Any:
    product = t * _softmax_excess(logits, labels)
    if reduction == "none":
        return np.sum(product, axis=-1)
    if reduction == "mean" and logits.dtype == np.float16:
        return np.mean(product) * product.shape[-1]
    return np.sum(product) * (1.0 / _examples(logits) if reduction == "mean" else 1.0)


def _row_per_loss(operation: ad.structure.Operation, position: int) -> ad.structure.Blocks:
    count = operation.out.size
    columns = operation.inputs[position].size // max(count, 1)
    return ad.structure.Blocks(
        (count, 1, columns, 1), lambda: operation.partials[position], lead=count
    )


def _block_per_example(operation: ad.structure.Operation, position: int) -> ad.structure.Blocks:
    *lead, classes = operation.out.shape
    count = math.prod(lead)

    def blocks() -> Any:
        shares = ad.softmax(operation.values["logits"]).reshape((count, classes, 1))
        is_larger, unit = shares > 0.5, np.eye(classes, dtype=shares.dtype)
        others = np.sum(np.where(is_larger, 0.0, shares), axis=1, keepdims=True)
        return shares * np.where(is_larger & (unit > 0), others, unit - shares.swapaxes(1, 2))

    return ad.structure.Blocks((count, classes, classes, 1), blocks, lead=count)


def _pull_excess(g: Any, logits: Any) -> Any:
    """The Jacobian of softmax, which is symmetric, times a cotangent.

    A constant in g does nothing. Without that of a share that is nearly 1, its own factor, 1 -
    share, is the sum of the others, which keeps its digits.
    """
    shares = ad.softmax(logits)
    g = g - np.sum(np.where(np.greater(shares, 0.5), g, 0.0), axis=-1, keepdims=True)
    return shares * (g - np.sum(g * shares, axis=-1, keepdims=True))


def _push_excess(t: Any, logits: Any) -> Any:
    return _pull_excess(t, logits)


def _shifted(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Logits less the largest, and those of the labels: reading these refuses wrong labels."""
    shifted = logits - np.max(logits, axis=-1, keepdims=True)
    classes = logits.shape[-1]
    # A negative label must not count from the end
    chosen = np.where(np.less(labels, 0), classes, labels)[..., None]
    return shifted, np.take_along_axis(shifted, chosen, axis=-1)


def _composed_excess(logits: Any, labels: Any) -> Any:
    """`_softmax_excess` in NumPy's functions."""
    shifted, own = _shifted(logits, labels)
    shares = np.exp(shifted)
    is_own = np.equal(np.arange(logits.shape[-1]), labels[..., None])
    others = np.sum(np.where(is_own, 0.0, shares), axis=-1, keepdims=True)
    return np.where(is_own, -others, shares) / (others + np.exp(own))


def _composed_cross_entropy(logits: Any, labels: Any, *, reduction: str = "none") -> Any:
    """`_softmax_cross_entropy` in NumPy's functions."""
    shifted, own = _shifted(logits, labels)
    losses = np.log(np.sum(np.exp(shifted), axis=-1)) - own[..., 0]
    if reduction == "none":
        return losses
    return np.mean(losses) if reduction == "mean" else np.sum(losses)


def _foreign_own(values: Any, labels: Any) -> tuple[Any, Any]:
    """Where each example's own class is, and its value: NaN for a label that is no class.

    To refuse such a label by name would be to wait for a device to give it.
    """
    labels = as_array(labels, like=values)
    is_own = np.equal(as_array(np.arange(values.shape[-1]), like=values), labels[..., None])
    own = np.sum(np.where(is_own, values, 0.0), axis=-1, keepdims=True)
    return is_own, np.where(np.any(is_own, axis=-1, keepdims=True), own, np.nan)


def _foreign_excess(logits: Any, labels: Any) -> Any:
    """`_softmax_excess` of another library's arrays, looking at no value."""
    shares = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    is_own, own = _foreign_own(shares, labels)
    others = np.sum(np.where(is_own, 0.0, shares), axis=-1, keepdims=True)
    return (np.where(is_own, -others, shares) / (others + own)).astype(logits.dtype)


def _foreign_cross_entropy(logits: Any, labels: Any, reduction: str) -> Any:
    """`_softmax_cross_entropy` of another library's arrays, looking at no value."""
    shifted = logits - np.max(logits, axis=-1, keepdims=True)
    _, own = _foreign_own(shifted, labels)
    losses = np.log(np.sum(np.exp(shifted), axis=-1)) - own[..., 0].astype(logits.dtype)
    return losses if reduction == "none" else _reductions[reduction](losses)


_reductions: dict[str, Callable[[Any], Any]] = {"mean": np.mean, "sum": np.sum}


@ad.primitive(
    name="softmax_excess",
    vjp_logits=_pull_excess,
    jvp_logits=_push_excess,
    constant=("labels",),
    batch=_batch_excess,
    cost=lambda logits_spec: 12 * logits_spec.size,
    local=_block_per_example,
    sample=_excess_samples,
    lower=lambda operation: ad.lowering.Composed(_composed_excess),
)
def _softmax_excess(logits: Any, labels: Any) -> Any:
    """softmax(logits) - onehot(labels): the derivative of each example's loss by its logits."""
    if is_foreign(logits):
        return _foreign_excess(logits, labels)
    largest = np.maximum.reduce(logits, axis=-1, keepdims=True)
    # In C order whatever the logits are in, so that rows are a view to write to
    result = np.subtract(logits, largest, order="C")
    np.exp(result, out=result)
    flat = np.reshape(labels, -1)
    rows, chosen = result.reshape((-1, logits.shape[-1])), (np.arange(flat.size), flat)
    # Not share - 1, which is 0 where the share is nearly 1, but less the sum of the others
    own = rows[chosen]
    rows[chosen] = 0
    others = np.add.reduce(rows, axis=-1)
    rows[chosen] = -others
    rows /= (others + own)[:, None]
    return result


@ad.primitive(
    name="softmax_cross_entropy",
    vjp_logits=_pull,
    jvp_logits=_push,
    constant=("labels",),
    batch=_batch,
    cost=lambda logits_spec: 12 * logits_spec.size,
    local=_row_per_loss,
    sample=_samples,
    lower=lambda operation: ad.lowering.Composed(_composed_cross_entropy),
)
def _softmax_cross_entropy(logits: Any, labels: Any, *, reduction: str = "none") -> Any:
    """log(sum(exp(logits))) - logits[label] of each example, or their sum or mean."""
    if is_foreign(logits):
        return _foreign_cross_entropy(logits, labels, reduction)
    classes = logits.shape[-1]
    flat = _checked_labels(labels, classes)
    shifted = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
    chosen = shifted.reshape((-1, classes))[np.arange(flat.size), flat]
    total = np.add.reduce(np.exp(shifted, out=shifted), axis=-1)
    losses = np.log(total) - chosen.reshape(total.shape)
    if reduction == "none":
        return scalar_form(losses)
    if reduction == "mean" and losses.dtype.char == "e":
        return np.mean(losses)  # adds in float32: neither sum nor count need fit into float16
    result = np.add.reduce(losses, axis=None)
    return result / result.dtype.type(flat.size) if reduction == "mean" else result


def softmax_cross_entropy(logits: Any, labels: Any, reduction: str = "mean") -> Any:
    """Cross-entropy of the softmax of logits with integer labels, averaged over the examples.

    For one example it is log(sum(exp(logits))) - logits[label]; its gradient by the logits is
    softmax(logits) - onehot(label). One primitive, differentiable to any order.

    Parameters
    ----------
    logits : array or Tensor, shape (..., classes)
    labels : integer array, shape (...)
        Each from 0 to classes - 1.
    reduction : "mean", "sum" or "none"
        "none" returns one loss per example.

    Returns
    -------
    array or Tensor
        A scalar, or for "none" of the labels' shape, of the logits' dtype; a Tensor if the logits
        are one.

    Raises
    ------
    TypeError
        Labels are not integers.
    ValueError
        Shapes do not fit, a label is out of range (with logits of another library than NumPy the
        loss is NaN instead: to look would be to wait for a device), or `reduction` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> from autodiff import nn
    >>> logits, labels = np.zeros((1, 2)), np.array([1])
    >>> nn.softmax_cross_entropy(logits, labels)
    np.float64(0.6931471805599453)
    >>> ad.grad(nn.softmax_cross_entropy)(logits, labels)
    array([[ 0.5, -0.5]])
    """
    logits = _array(logits)
    if logits.dtype.kind in "iub":
        logits = logits.astype(float)  # unsigned differences wrap around
    labels = _array(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"softmax_cross_entropy: labels must be a plain array of integers, got "
            f"{'a Tensor' if isinstance(labels, ad.Tensor) else 'an array'} of dtype "
            f"{labels.dtype}; use labels.astype(int), labels.argmax(-1) "
            "if they are one-hot, or binary_cross_entropy for probabilities"
        )
    if len(logits.shape) == 0 or logits.shape[-1] == 0:
        raise ValueError(
            f"softmax_cross_entropy: logits need a last axis of classes, got shape {logits.shape}"
        )
    if labels.shape != logits.shape[:-1]:
        remedy = (
            "use labels.argmax(-1) for one-hot rows"
            if labels.shape == logits.shape
            else "give one label per example"
        )
        raise ValueError(
            f"softmax_cross_entropy: logits of shape {logits.shape} need labels of shape "
            f"{logits.shape[:-1]}, got {labels.shape}; {remedy}"
        )
    _check_reduction(reduction, "softmax_cross_entropy")
    return _softmax_cross_entropy(logits, labels, reduction=reduction)


def _binary_samples(rng: np.random.Generator) -> list[ad.Sample]:
    return [
        ad.Sample((rng.uniform(0.2, 2.0, shape) * sign, rng.uniform(0.1, 0.9, shape)), {})
        for shape in ((2, 3), ())
        for sign in (1, -1)
    ]


@ad.elementwise(
    name="binary_cross_entropy",
    d_logits=lambda logits, targets: (
        (1 - targets) * ad.sigmoid(logits) - targets * ad.sigmoid(-logits)
    ),
    d_targets=lambda logits: -logits,
    cost=10,
    sample=_binary_samples,
)
def _binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """max(z, 0) - z t + log(1 + exp(-|z|)), which loses no digit to cancellation."""
    magnitude = np.log1p(np.exp(-np.abs(logits)))
    return np.maximum(logits, 0) - logits * targets + magnitude


def binary_cross_entropy(logits: Any, targets: Any, reduction: str = "mean") -> Any:
    """Cross-entropy of sigmoid(logits) with probabilities, averaged over all entries.

    For one entry it is -t log(s) - (1 - t) log(1 - s) with s = sigmoid(z), computed from z without
    overflow or cancellation; its derivative by z is s - t.

    Parameters
    ----------
    logits : array or Tensor
    targets : array or Tensor of the same shape, or a number
        Probabilities; booleans and integers 0 and 1 too.
    reduction : "mean", "sum" or "none"
        "none" returns one loss per entry.

    Returns
    -------
    array or Tensor
        A scalar, or for "none" of the logits' shape; a Tensor if an argument is one.

    Raises
    ------
    ValueError
        Shapes differ, a target is outside [0, 1] (if the targets are no Tensor; on a device the
        loss is NaN instead), or `reduction` is unknown.
    TypeError
        Targets are not numeric.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> nn.binary_cross_entropy(np.array([1e4, -1e4]), np.array([1, 0]))
    np.float64(0.0)
    """
    logits, targets = _as_operands(logits, targets, "binary_cross_entropy", "logits", "targets")
    if is_foreign(targets):  # NaN for what is refused below: to look would be to wait
        targets = np.where((targets >= 0) & (targets <= 1), targets, np.nan)
    elif not isinstance(targets, ad.Tensor):
        outside = ~((targets >= 0) & (targets <= 1))
        if outside.any():
            raise ValueError(
                "binary_cross_entropy: targets must be probabilities from 0 to 1, got "
                f"{targets[outside][0]}; for labels -1 and 1 pass (labels + 1) / 2"
            )
    losses = _binary_cross_entropy(logits, targets)
    return _reduced(losses, reduction, "binary_cross_entropy")


def accuracy(logits: Any, labels: Any) -> float:
    """Share of examples whose largest logit is that of their label.

    Parameters
    ----------
    logits : array or Tensor, shape (..., classes)
    labels : integer array, shape (...)

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        The labels are not of the logits' shape without its last axis, or there are no classes.

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff import nn
    >>> nn.accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    chosen = np.argmax(logits, axis=-1)
    labels = as_array(labels, like=chosen)
    if chosen.shape != labels.shape:
        raise ValueError(
            f"accuracy: logits of shape {np.shape(logits)} need labels of shape {chosen.shape}, "
            f"got {labels.shape}"
        )
    return float(as_numpy(np.mean(chosen == labels)))
