"""Tapes as DOT text: which node and edge stands for what, and how it looks.

The text depends on the tape alone, so that the same computation gives the same file. Labels are
plain or record labels, never HTML-like ones: not every Graphviz has an XML parser.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Sequence

import graphviz
import numpy as np
from graphviz import nohtml

from autodiff import tree
from autodiff.spec import is_inexact
from autodiff.tape import Constant, Entry, Tape, Variable, params_text, short_source

__all__ = ["DIRECTIONS", "tape_to_dot"]

DIRECTIONS = ("TB", "LR", "BT", "RL")

# Fonts whose widths every Graphviz knows by heart. A viewer that has neither Helvetica nor Arial
# may put a wider one in their place, so labels get some room to spare.
FONT = "Helvetica"
BOLD_FONT = "Helvetica-Bold"
_SPARE_INCHES = 0.01  # a character and side

# Fill, border and shape by role. The hues are those of the colour-blind-safe palette of Okabe and
# Ito (2008), lightened for text; shapes and borders differ too, for print without colour.
STYLES: dict[str, dict[str, str]] = {
    "input": {
        "shape": "ellipse",
        "fillcolor": "#d6ebf8",
        "color": "#0072b2",
        "fontname": BOLD_FONT,
        "margin": "0.05,0.04",
    },
    "parameter": {
        "shape": "cylinder",
        "fillcolor": "#ffe7bd",
        "color": "#b36b00",
        "fontname": BOLD_FONT,
        "margin": "0.16,0.07",
    },
    "constant": {
        "shape": "box",
        "style": "filled,dashed",
        "fillcolor": "#f2f2f2",
        "color": "#767676",
        "fontsize": "10",
        "margin": "0.07,0.03",
    },
    "operation": {
        "shape": "box",
        "style": "filled,rounded",
        "fillcolor": "#ffffff",
        "color": "#333333",
        "margin": "0.14,0.06",
    },
    "output": {
        "shape": "octagon",
        "peripheries": "2",
        "fillcolor": "#cdeee1",
        "color": "#00704f",
        "fontname": BOLD_FONT,
        "margin": "0.05,0.04",
    },
}

# Layout times explode on tangled graphs: these caps on its iterations, and straight edges in place
# of curves around what is in the way, keep a picture within seconds.
MANY_NODES = 100
VERY_MANY_NODES = 150
QUICK_LAYOUT = {"nslimit": "2", "nslimit1": "2", "mclimit": "0.2"}
QUICKEST_LAYOUT = {"nslimit": "0.5", "nslimit1": "0.5", "mclimit": "0.05", "splines": "line"}

# Operations whose inputs may change places
_SYMMETRIC = {"add", "multiply", "maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp"} | {
    "equal",
    "not_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
}

_NAME_LENGTH = 36
_PARAMS_WIDTH = 26
_PARAMS_LINES = 3
_SHOWN_ELEMENTS = 4


def tape_to_dot(
    tape: Tape,
    *,
    direction: str = "TB",
    title: str | None = None,
    legend: bool = True,
    parameters: Sequence[str] | None = None,
) -> str:
    """Write a tape as a graph in the DOT language.

    Inputs, parameters, constants, operations and outputs are nodes ``n0``, ``n1``, ... in order of
    the tape; values are edges, labelled with their dtype and shape. Dashed edges carry no
    derivative.

    Parameters
    ----------
    direction : {"TB", "LR", "BT", "RL"}
        Where the computation flows: top to bottom, left to right, ...
    title : str, optional
        Stands above the picture.
    legend : bool
        Whether to explain the shapes.
    parameters : sequence of str, optional
        Which inputs are drawn as parameters: names as in the tape's listing, or the name of the
        argument that holds them. By default: the variables of ``loss.tape``, and of a recorded
        function the leaves of its first argument where that is a container.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        `direction` is none of the four, or a name in `parameters` is no input of the tape.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> text = ad.record(np.sin)(1.0).to_dot(legend=False)
    >>> print(text.splitlines()[0], "...", text.count(" -> "))
    digraph tape { ... 2
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is {direction!r}; it must be one of {', '.join(DIRECTIONS)}")
    source: str = _Writer(tape, direction, title, legend, parameters).graph.source
    return source


class _Writer:
    """Builds the graph of one tape."""

    def __init__(
        self,
        tape: Tape,
        direction: str,
        title: str | None,
        legend: bool,
        parameters: Sequence[str] | None,
    ) -> None:
        self.tape = tape
        self.names = tape.names()
        self.count = 0
        self.used: set[str] = set()
        self.dashed = False
        # What edges start from: a node, or a port of one with several outputs
        self.ends: dict[int, str] = {}
        self.graph = graphviz.Digraph(
            "tape",
            graph_attr={
                "rankdir": direction,
                "bgcolor": "white",
                "fontname": FONT,
                "fontsize": "14",
                "labelloc": "t",
                "nodesep": "0.3",
                "ranksep": "0.3",
                "pad": "0.15",
                **_layout_limits(tape),
                **({} if title is None else {"label": escaped(title)}),
            },
            node_attr={
                "fontname": FONT,
                "fontsize": "13",
                "fontcolor": "#111111",
                "style": "filled",
                "penwidth": "1.3",
                "height": "0.3",
                "width": "0.4",
            },
            edge_attr={
                "fontname": FONT,
                "fontsize": "9.5",
                "fontcolor": "#444444",
                "color": "#444444",
                "arrowsize": "0.7",
            },
        )
        chosen = _parameter_positions(tape, parameters)
        for position, variable in enumerate(tape.inputs):
            role = "parameter" if position in chosen else "input"
            name = self.names[id(variable)]
            self.ends[id(variable)] = self._node(role, _name_label(name), f"{role} {name}")
        for entry in tape:
            self._operation(entry)
        for name, output in zip(_output_names(tape), tape.outputs, strict=True):
            node = self._node("output", _name_label(name), f"{name}: {output.spec}")
            self._edge(output, node, differentiable=True)
        if legend:
            self._legend()

    def _node(self, role: str, label: str, tooltip: str, **attributes: str) -> str:
        """Add a node; `label` is escaped already, `tooltip` is not."""
        node = f"n{self.count}"
        self.count += 1
        self.used.add(role)
        texts = {"label": label, "tooltip": escaped(tooltip)}
        self.graph.node(node, **_roomy({**texts, **STYLES[role], **attributes}))
        return node

    def _operation(self, entry: Entry) -> None:
        primitive = entry.primitive
        params = params_text(entry)
        lines = [primitive.label, *_wrapped(params)]
        details = [primitive.name + (f" [{params}]" if params else ""), f"{entry.flops:,} flops"]
        if entry.source:
            details.append(short_source(entry.source))
        tooltip = "\n".join(details)
        if len(entry.outputs) == 1:
            node = self._node("operation", escaped("\n".join(lines)), tooltip)
            self.ends[id(entry.output)] = node
        else:
            # Ports in a record: which of the outputs an edge carries must show
            ports = "|".join(f"<p{i}>{i}" for i in range(len(entry.outputs)))
            head = "\\n".join(_record_escaped(line) for line in lines)
            style = {"shape": "Mrecord", "style": "filled", "margin": "0.1,0.03"}
            node = self._node("operation", f"{{{head}|{{{ports}}}}}", tooltip, **style)
            for i, variable in enumerate(entry.outputs):
                self.ends[id(variable)] = f"{node}:p{i}"
        # x @ W is not W @ x, and layout is free to put either on the left
        ordered = primitive.name not in _SYMMETRIC and len(set(map(id, entry.inputs))) > 1
        for position, operand in enumerate(entry.inputs):
            name = primitive.input_name(position)
            self._edge(
                operand,
                node,
                differentiable=name not in primitive.constant,
                prefix=f"{_ordinal(position + 1)} " if ordered else "",
            )

    def _edge(
        self,
        operand: Variable | Constant,
        target: str,
        *,
        differentiable: bool,
        prefix: str = "",
    ) -> None:
        if isinstance(operand, Variable):
            source = self.ends[id(operand)]
            label = escaped(str(operand.spec))
            if operand.name and not self._is_input(operand):
                label = f"{_name_label(self.names[id(operand)])}: {label}"
            carries = differentiable and is_inexact(operand.spec.dtype)
        else:
            text = _constant_text(operand)
            source = self._node("constant", escaped(text), f"constant {operand.spec}")
            # A plain Python number has no dtype of its own: it takes that of its partner
            weak = type(operand.value) in (bool, int, float, complex)
            label = type(operand.value).__name__ if weak else str(operand.spec)
            carries = False
        style = {} if carries else {"style": "dashed", "color": "#767676"}
        self.dashed |= not carries
        label = prefix + label
        spare = " " * (2 + len(label) // 8)
        self.graph.edge(source, target, label=nohtml(f"{spare}{label}{spare}"), **style)

    def _is_input(self, variable: Variable) -> bool:
        return variable.role in ("input", "parameter")

    def _legend(self) -> None:
        """Explain the roles that occur, in a column (or row) of their own beside the graph."""
        roles = [role for role in STYLES if role in self.used]
        with self.graph.subgraph(name="cluster_legend") as cluster:
            cluster.attr(
                label="legend", color="#bbbbbb", style="rounded", fontsize="11", margin="10"
            )
            for role in roles:
                look = {**STYLES[role], "fontsize": "11"}
                cluster.node(f"legend_{role}", **_roomy({"label": role, "tooltip": role, **look}))
            for above, below in itertools.pairwise(roles):
                cluster.edge(f"legend_{above}", f"legend_{below}", style="invis")
            if self.dashed:
                node = "legend_dashed"
                text = "dashed edge:\\nno derivative"
                cluster.node(node, text, shape="plaintext", style="", fontsize="10", tooltip="")
                cluster.edge(f"legend_{roles[-1]}", node, style="invis")


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ... 11th, ... 21st."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if number // 10 % 10 == 1 else endings.get(number % 10, "th")
    return f"{number}{ending}"


def _roomy(attributes: dict[str, str]) -> dict[str, str]:
    """Widen a node's margin by what its longest line may need in another font."""
    longest = max(len(line) for line in attributes["label"].split("\\n"))
    across, along = attributes["margin"].split(",")
    return {**attributes, "margin": f"{float(across) + _SPARE_INCHES * longest:.2f},{along}"}


def _layout_limits(tape: Tape) -> dict[str, str]:
    """Graph attributes that keep the layout of a large tape affordable."""
    size = picture_size(tape)
    if size <= MANY_NODES:
        return {}
    return QUICK_LAYOUT if size <= VERY_MANY_NODES else QUICKEST_LAYOUT


def picture_size(tape: Tape) -> int:
    """Number of nodes in the picture of a tape, its legend apart."""
    operands: Iterable[Variable | Constant] = (o for entry in tape for o in entry.inputs)
    constants = sum(isinstance(o, Constant) for o in (*operands, *tape.outputs))
    return len(tape.inputs) + len(tape) + len(tape.outputs) + constants


def _parameter_positions(tape: Tape, parameters: Sequence[str] | None) -> set[int]:
    """Positions of the inputs that are drawn as parameters."""
    if parameters is not None:
        return _named_positions(tape, parameters)
    if tape.in_tree is None:
        return {i for i, v in enumerate(tape.inputs) if v.role == "parameter"}
    first = [
        i
        for i, path in enumerate(tree.paths(tape.in_tree, ""))
        if path.startswith("[0]") and path != "[0]"
    ]
    return set(first)


def _named_positions(tape: Tape, parameters: Sequence[str]) -> set[int]:
    if isinstance(parameters, str):
        parameters = (parameters,)
    positions: set[int] = set()
    names = [variable.name or "" for variable in tape.inputs]
    for wanted in parameters:
        found = {
            i
            for i, name in enumerate(names)
            if name == wanted or (name.startswith(wanted) and name[len(wanted)] in "[.")
        }
        if not found:
            raise ValueError(
                f"parameters: no input is named {wanted!r}; the inputs are {', '.join(names)}"
            )
        positions |= found
    return positions


def _output_names(tape: Tape) -> list[str]:
    """``output``, ``output[0]``, ``output['w']``: how each output is reached in the result."""
    if tape.out_tree is None:
        names = [output.name or "output" for output in tape.outputs if isinstance(output, Variable)]
        return names if len(names) == len(tape.outputs) else ["output"] * len(tape.outputs)
    return tree.paths(tape.out_tree, "output")


def _constant_text(constant: Constant) -> str:
    """A number or a short vector by value, any other constant by its kind."""
    value = constant.value
    if not constant.known or not isinstance(
        value, (bool, int, float, complex, np.ndarray, np.generic)
    ):
        return "constant"
    array = np.asarray(value)
    if array.ndim == 0:
        return _number_text(array.item())
    if array.ndim == 1 and array.size <= _SHOWN_ELEMENTS:
        return f"[{', '.join(_number_text(item) for item in array.tolist())}]"
    return "constant"


def _number_text(number: object) -> str:
    return f"{number:.6g}" if isinstance(number, (float, complex)) else str(number)


def _wrapped(params: str) -> list[str]:
    if not params:
        return []
    lines = textwrap.wrap(params, _PARAMS_WIDTH, break_on_hyphens=False)
    if len(lines) > _PARAMS_LINES:
        lines = [*lines[: _PARAMS_LINES - 1], "…"]
    return lines


def _name_label(name: str) -> str:
    """Label of a name on one line; a long one loses its middle, since its ends tell it apart."""
    if len(name) > _NAME_LENGTH:
        half = _NAME_LENGTH // 2
        name = f"{name[:half]}…{name[-half:]}"
    return escaped(name.replace("\n", "⏎"))


def escaped(text: str) -> str:
    r"""Escape a text for a plain label: what stands in it is what is shown.

    Newlines become line breaks; other characters that cannot be printed are shown by their escape
    sequence.

    Examples
    --------
    >>> print(escaped('a"\\b&lt;'))
    a\"\\b&amp;lt;
    """
    printable = "".join(c if c.isprintable() or c == "\n" else _code(c) for c in text)
    # Graphviz replaces character entities even in plain labels
    text = printable.replace("&", "&amp;").replace("\\", "\\\\")
    label: str = nohtml(text.replace('"', '\\"').replace("\n", "\\n"))
    return label


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _record_escaped(text: str) -> str:
    """Escape a text for a field of a record label."""
    return "".join("\\" + c if c in "{}|<> " else c for c in escaped(text))
