"""`report`: from a loss and its parameters to a table, findings and a picture."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from autodiff import tree
from autodiff.core.arrays import as_numpy, is_array
from autodiff.core.dispatch import Box, concrete
from autodiff.core.spec import describe, is_inexact
from autodiff.errors import TapeReleasedError
from autodiff.flow.findings import Finding, findings_of
from autodiff.flow.measure import (
    ActivationFlow,
    Parameter,
    ParameterFlow,
    measure_activations,
    measure_parameter,
)
from autodiff.flow.trace import Trace
from autodiff.interpret.graph import Leaf, Node
from autodiff.tensor import Tensor
from autodiff.transforms.arguments import differentiable_leaf
from autodiff.transforms.gradient import Recorded

__all__ = ["Report", "report"]

Cells = Sequence[Sequence[str]]
MOST_ROWS = 60
"""A table with more rows shows its ends."""


class Report:
    """How gradients flow through a computation; made by `report`.

    ``print`` shows tables and findings, a notebook shows them as HTML, `plot` draws them.

    Parameters
    ----------
    loss : float
    parameters : sequence of ParameterFlow
    activations : sequence of ActivationFlow
    notes : sequence of str

    Attributes
    ----------
    loss : float
    parameters : tuple of ParameterFlow
        In the order in which they were given.
    activations : tuple of ActivationFlow
        In order of evaluation.
    findings : tuple of Finding
        What is wrong; empty if nothing is.
    notes : tuple of str
        What the numbers could not say.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> report = ad.report(lambda w: np.sum(w**2), np.array([3.0, 4.0]))
    >>> report.loss, report.findings
    (25.0, ())
    >>> report
    <Report on 1 parameter and 0 activations: no findings>
    """

    def __init__(
        self,
        loss: float,
        parameters: Sequence[ParameterFlow],
        activations: Sequence[ActivationFlow],
        notes: Sequence[str] = (),
    ) -> None:
        self.loss = loss
        self.parameters = tuple(parameters)
        self.activations = tuple(activations)
        self.findings: tuple[Finding, ...] = findings_of(loss, parameters, activations)
        self.notes = tuple(notes)

    def __str__(self) -> str:
        count = sum(math.prod(row.shape) for row in self.parameters)
        lines = [f"loss {self.loss:.6g}, {_counted(count, 'parameter')}"]
        for head, rows in self._tables():
            lines += ["", *_aligned([head, *_ends(rows)])]
        for line in self._verdict():
            lines += ["", *textwrap.wrap(line, 100, subsequent_indent="  ")]
        return "\n".join(lines)

    def __repr__(self) -> str:
        kinds = ", ".join(finding.kind for finding in self.findings) or "no findings"
        return (
            f"<Report on {_counted(len(self.parameters), 'parameter')} and "
            f"{_counted(len(self.activations), 'activation')}: {kinds}>"
        )

    def _repr_html_(self) -> str:
        parts = [f"<p>loss {self.loss:.6g}</p>"]
        for head, rows in self._tables():
            body = "".join(f"<tr>{_html_cells('td', row)}</tr>" for row in _ends(rows))
            parts.append(f"<table><tr>{_html_cells('th', head)}</tr>{body}</table>")
        verdict = "".join(f"<li>{html.escape(line)}</li>" for line in self._verdict())
        return "".join([*parts, f"<ul>{verdict}</ul>"])

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw root mean squares by parameter, and the dead and flat shares by activation.

        Needs matplotlib (the extra ``viz``); changes none of its global state.

        Parameters
        ----------
        path : path, optional
            Where to write the picture; its suffix says the format (``.png``, ``.svg``, ``.pdf``).

        Returns
        -------
        pathlib.Path or matplotlib.figure.Figure
            `path` if it was given, else the figure, which a notebook shows.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            matplotlib does not know the suffix.
        FileNotFoundError
            The folder of `path` does not exist.

        Examples
        --------
        >>> import numpy as np
        >>> import autodiff as ad
        >>> report = ad.report(lambda w: np.sum(w**2), np.array([3.0, 4.0]))
        >>> type(report.plot()).__name__
        'Figure'
        """
        from autodiff.flow.picture import draw

        figure = draw(self.parameters, self.activations)
        if path is None:
            return figure
        figure.savefig(Path(path), dpi=150)
        return Path(path)

    def _tables(self) -> Iterator[tuple[Sequence[str], Cells]]:
        yield _PARAMETER_HEAD, [_parameter_cells(row) for row in self.parameters]
        if self.activations:
            yield _ACTIVATION_HEAD, [_activation_cells(row) for row in self.activations]

    def _verdict(self) -> list[str]:
        found = [str(finding) for finding in self.findings] or ["nothing found wrong"]
        return [*found, *(f"note: {note}" for note in self.notes)]


def report(loss: Any, params: Any, *args: Any, **keywords: Any) -> Report:
    """Say how the gradient of a loss flows to its parameters, and what is wrong with it.

    Two forms, as there are two styles:

    - ``report(loss, params)``: `loss` is a Tensor computed from the variables in `params`.
    - ``report(f, params, *args, **keywords)``: `f` is called with them and returns the loss;
      `params` may hold arrays then.

    Nothing else changes: every ``grad`` stays as it is, the tape can still run backward, hooks
    are not called. After a ``backward()`` that released the tape, what is left is in ``grad``: the
    report shows that (the sum over all sweeps since it was last None), without activations.

    Parameters
    ----------
    loss : scalar Tensor, or function that returns a real scalar
    params : Module, container of Tensors, ``model.parameters()``; for a function also of arrays
        A Tensor that occurs more than once is one parameter.
    *args, **keywords
        Further arguments of the function.

    Returns
    -------
    Report
        A row for each parameter and for each activation (relu, sigmoid, tanh, softplus, arctan,
        erf, clip, maximum and minimum with a number), and findings in plain words: gradients that
        vanish or explode, dead and saturated units, parameters without gradient, NaN.

    Raises
    ------
    TypeError
        The loss is not a real scalar or no Tensor of reverse mode, or a leaf of `params` is no
        variable; says which. Or further arguments were given with a Tensor.
    ValueError
        There are no parameters, or the loss depends on none of them.
    TapeReleasedError
        The tape was released and no parameter has a ``grad``.

    Notes
    -----
    A finding is *vanishing* where the root mean square of a gradient is less than a thousandth of
    a later layer's, *exploding* where it is more than a thousand times the last layer's or its own
    value's, *dead* where at least half of the units have slope 0 for every one of at least 8
    examples, *saturated* where more than half of the outputs of a function that is flat at both
    ends lie on the flat parts. Gradients neither vanish nor explode in layers that keep
    their variance (Glorot and Bengio 2010, section 4).

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((50, 4))
    >>> W = ad.Tensor(rng.standard_normal((4, 3)), name="W")
    >>> b = ad.Tensor([-100.0, -100.0, 0.0], name="b")
    >>> loss = np.mean(ad.relu(x @ W + b))
    >>> report = ad.report(loss, [W, b])
    >>> report
    <Report on 2 parameters and 1 activation: dead>
    >>> print(report.findings[0].message)
    2 of 3 units of relu after W have slope 0 for each of 50 examples, so nothing before them
    learns through them
    >>> W.grad is None
    True
    """
    if isinstance(loss, Box):
        if args or keywords:
            raise TypeError(
                "report: further arguments go to a function, but the loss is a Tensor; "
                "pass report(loss, params), or the function that computes it"
            )
        return _of_tensor(loss, params)
    if not callable(loss):
        raise TypeError(
            f"report: the loss is a {type(loss).__name__}; pass the scalar Tensor that was "
            "computed from the parameters, or the function that computes it"
        )
    return _of_function(loss, params, args, keywords)


def _of_tensor(loss: Box, params: Any) -> Report:
    node = loss._payload
    if not isinstance(node, Node):
        raise TypeError(
            "report: the loss is a constant or belongs to a transform; compute it from the "
            "parameters outside of no_grad, or pass the function that computes it"
        )
    _check_scalar(concrete(loss), "the loss")
    parameters = _variables(params)
    return _measured(concrete(loss), node, parameters)


def _of_function(
    f: Callable[..., Any], params: Any, args: tuple[Any, ...], keywords: dict[str, Any]
) -> Report:
    leaves, structure = tree.flatten(params)
    names = _leaf_names(params)
    for leaf, name in zip(leaves, names, strict=True):
        if isinstance(leaf, Box) and concrete(leaf).shape != leaf.shape:
            raise TypeError(
                f"report: {name} stands for many examples inside vmap; call report outside of it"
            )
    leaves = [
        differentiable_leaf(concrete(leaf), name, "report")
        for leaf, name in zip(leaves, names, strict=True)
    ]
    arguments = (tree.unflatten(structure, leaves), *args)
    recorded = Recorded(f, arguments, keywords, [0], False, "report")
    what = f"what {getattr(f, '__name__', type(f).__name__)} returned"
    if len(recorded.outs) != 1:
        raise TypeError(f"report: {what} must be one scalar, it is {tree.shown(recorded.out_tree)}")
    value = concrete(recorded.outs[0])
    _check_scalar(value, what)
    parameters = [
        Parameter(name, as_numpy(leaf), node)
        for name, leaf, node in zip(names, leaves, recorded.leaves, strict=True)
    ]
    return _measured(value, recorded.nodes[0], parameters)


def _check_scalar(value: Any, what: str) -> None:
    if value.shape != ():
        raise TypeError(
            f"report: {what} has shape {value.shape}, it must be a scalar; reduce it (np.mean, "
            "np.sum)"
        )
    if value.dtype.kind != "f":
        raise TypeError(f"report: {what} has dtype {value.dtype}, it must be a real number")


def _measured(value: Any, node: Node | None, parameters: Sequence[Parameter]) -> Report:
    names = ", ".join(p.name for p in parameters)
    if not parameters:
        raise ValueError("report: params holds no parameters")
    trace = None if node is None else Trace(node, value)
    if trace is None or not any(trace.holds(p.node) for p in parameters):
        raise ValueError(
            f"report: the loss depends on none of the parameters ({names}); pass the Tensors that "
            "it was computed from, and compute it from them, not from their .data or detached"
        )
    notes = []
    if trace.released:
        if all(p.node.grad is None for p in parameters):
            raise TapeReleasedError(
                "report: an earlier backward() released the tape, and the parameters hold no grad "
                f"({names}); report before backward(), or pass keep_tape=True to it"
            )
        notes.append(
            "backward() has released the tape: the gradients are what .grad holds, and nothing is "
            "known of the activations; report before backward(), or pass keep_tape=True to it"
        )
    return Report(
        float(as_numpy(value)),
        [measure_parameter(parameter, trace) for parameter in parameters],
        measure_activations(parameters, trace),
        notes,
    )


def _variables(params: Any) -> list[Parameter]:
    """Parameters of a container of variables, each once."""
    found: dict[Node, Parameter] = {}
    for leaf, name in zip(tree.leaves(params), _leaf_names(params), strict=True):
        if not isinstance(leaf, Box):
            if is_array(leaf) and is_inexact(leaf.dtype):
                kind = "an array, which a loss does not depend on; make it a Tensor, or pass the "
                kind += "function that computes the loss"
            else:
                kind = f"of type {type(leaf).__name__}; params is a module, list or dict of Tensors"
            raise TypeError(f"report: {name} is {kind}")
        # An assignment into a variable makes it a computed value; the variable stays reachable
        node = getattr(leaf, "_variable", leaf._payload)
        if not isinstance(node, Leaf):
            what = "a constant" if node is None else "a computed Tensor"
            raise TypeError(f"report: {name} is {what}, no variable; pass what it comes from")
        found.setdefault(node, Parameter(name, as_numpy(concrete(leaf)), node))
    return list(found.values())


def _leaf_names(params: Any) -> list[str]:
    """Each leaf's own name, or how it is reached: ``layers[0].weight``, ``params['w']``."""
    leaves, structure = tree.flatten(params)
    names = []
    for leaf, path in zip(leaves, tree.paths(structure, ""), strict=True):
        own = leaf.name if isinstance(leaf, Tensor) else None
        reached = path.removeprefix(".") if path.startswith(".") else f"params{path}"
        names.append(own or reached)
    return names


# --- text -----------------------------------------------------------------------------------------

_PARAMETER_HEAD = (
    "parameter",
    "",
    "‖value‖",
    "‖gradient‖",
    "ratio",
    "mean |g|",
    "zeros",
    "min g",
    "max g",
    "not finite",
)
_ACTIVATION_HEAD = ("activation", "examples", "units", "dead", "flat", "rms output", "‖cotangent‖")


def _parameter_cells(row: ParameterFlow) -> list[str]:
    cells = [row.name, describe(row.shape, row.dtype), _number(row.value_norm)]
    if not row.used:
        return [*cells, "unused", *[""] * 5, str(row.nonfinite_value or "")]
    return [
        *cells,
        _number(row.gradient_norm),
        _number(row.ratio),
        _number(row.mean_magnitude),
        _share(row.zeros),
        _number(row.minimum),
        _number(row.maximum),
        str(row.nonfinite_value + row.nonfinite_gradient or ""),
    ]


def _activation_cells(row: ActivationFlow) -> list[str]:
    return [
        row.name,
        str(row.examples),
        str(row.units),
        str(row.dead),
        _share(row.flat),
        _number(row.output_rms),
        _number(row.cotangent_norm),
    ]


def _number(x: float) -> str:
    return "-" if math.isnan(x) else "0" if x == 0 else f"{x:.2e}"


def _share(x: float) -> str:
    """Percentage that is 0 % or 100 % only where nothing or everything is."""
    if math.isnan(x):
        return "-"
    return "<1%" if 0 < x < 0.005 else ">99%" if 0.995 < x < 1 else f"{x:.0%}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _ends(rows: Cells) -> Cells:
    if len(rows) <= MOST_ROWS:
        return rows
    half = MOST_ROWS // 2
    hidden = len(rows) - 2 * half
    return [*rows[:half], [f"... {hidden} more ..."] + [""] * (len(rows[0]) - 1), *rows[-half:]]


def _aligned(rows: Cells) -> list[str]:
    """First column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _html_cells(tag: str, cells: Sequence[str]) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
