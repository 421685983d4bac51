"""Scenes as DOT text: what each node and edge shows, and how it looks.

The text depends on the tape alone, so that the same computation gives the same file. Labels are
plain or record labels, never HTML-like ones: not every Graphviz has an XML parser.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import graphviz
from graphviz import nohtml

from autodiff.draw.compose import compose
from autodiff.draw.legend import add_legend
from autodiff.draw.looks import (
    EDGES,
    FONT,
    FRAMES,
    MARKS,
    STYLES,
    Look,
    heat,
    layout_limits,
    roomy,
)
from autodiff.draw.scene import CLOSED, Edge, Group, Node, Scene
from autodiff.draw.texts import (
    amount_text,
    constant_text,
    escaped,
    name_label,
    range_text,
    record_escaped,
    short_name,
    value_text,
    wrapped,
)
from autodiff.tape.entries import Constant, Entry, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.texts import params_text, short_source

__all__ = ["scene_to_dot", "tape_to_dot"]


def tape_to_dot(
    tape: Tape,
    *,
    depth: int | None = None,
    fold: bool | None = None,
    values: bool = False,
    gradients: bool = False,
    costs: bool = False,
    direction: str = "TB",
    title: str | None = None,
    legend: bool = True,
    parameters: Sequence[str] | None = None,
) -> str:
    """Write a tape as a graph in the DOT language; `Tape.draw` says more of the arguments.

    Nodes are ``n0``, ``n1``, ... in order of the tape.

    Parameters
    ----------
    tape : Tape
    depth : int, optional
        Levels of calls that are opened.
    fold : bool, optional
        Whether equal consecutive blocks are drawn once; None leaves it to the size of the picture.
    values, gradients, costs : bool
        Whether to write them at the nodes.
    direction : {"TB", "LR", "BT", "RL"}
    title : str, optional
    legend : bool
    parameters : sequence of str, optional
        Names of the inputs that are drawn as parameters.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        Unknown direction, a negative depth, a name that is no input; or as `Tape.values` and
        `Tape.gradients`, which it asks.
    TapeError
        As `Tape.values`.

    Examples
    --------
    >>> import numpy as np
    >>> import autodiff as ad
    >>> text = tape_to_dot(ad.record(np.sin)(1.0), legend=False)
    >>> print(text.splitlines()[0], "...", text.count(" -> "))
    digraph tape { ... 2
    """
    look = Look(direction, title, legend, values, gradients, costs)
    scene = compose(tape, depth=depth, fold=fold, values=values or gradients, parameters=parameters)
    return scene_to_dot(scene, look)


def scene_to_dot(scene: Scene, look: Look) -> str:
    """Write a scene as a graph in the DOT language.

    Examples
    --------
    >>> import autodiff as ad
    >>> scene = compose(ad.record(lambda x: x * x)(3.0))
    >>> print(scene_to_dot(scene, Look(direction="LR")).splitlines()[0])
    digraph tape {
    """
    source: str = _Writer(scene, look).graph.source
    return source


class _Writer:
    """Builds the graph of one scene."""

    def __init__(self, scene: Scene, look: Look) -> None:
        self.scene = scene
        self.look = look
        self.names = scene.tape.names()
        self.outputs = set(scene.tape.outputs)
        self.values = scene.tape.values() if look.values else {}
        self.gradients = scene.tape.gradients() if look.gradients else {}
        self.record_values = look.values or look.gradients
        self.saved = scene.tape.saved()
        self.read = {id(edge.source) for edge in scene.edges if edge.kind != "cotangent"}
        self.used: set[str] = set()
        # Roles of inputs and outputs in their own shape, where values have another
        self.drawn: set[str] = {"operation", "constant", *CLOSED}
        self.ids = {id(node): f"n{i}" for i, node in enumerate(scene.nodes)}
        self.late = _late_nodes(scene)
        self.clusters = itertools.count()
        self.flops = sum(entry.flops for entry in scene.tape)
        flops = [_total(n.entries, "flops") for n in scene.nodes if n.entries]
        self.most = max(flops, default=0)
        self.graph = graphviz.Digraph(
            "tape",
            graph_attr={
                "rankdir": look.direction,
                "bgcolor": "white",
                "fontname": FONT,
                "fontsize": "14",
                "labelloc": "t",
                "nodesep": "0.3",
                "ranksep": "0.3",
                "pad": "0.15",
                **layout_limits(len(scene.nodes)),
                **({} if look.title is None else {"label": escaped(look.title)}),
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
        self._group(self.graph, scene.root)
        for edge in scene.edges:
            self._edge(edge)
        if look.legend:
            share = self.most / self.flops if look.costs and self.most else None
            add_legend(self.graph, self.used, self._boxed(), share, scene.saved_bytes)

    def _boxed(self) -> set[str]:
        """Roles drawn as the boxes of values, not in their own shape."""
        own_shape = self.drawn if self.record_values else STYLES.keys()
        return {"value"} | (STYLES.keys() - own_shape)

    # --- groups ---

    def _group(self, graph: Any, group: Group) -> None:
        for member in group.members:
            if isinstance(member, Node):
                self._node(graph, member)
                continue
            self.used.add(member.kind)
            with graph.subgraph(name=f"cluster_{next(self.clusters)}") as cluster:
                look = FRAMES["repeat" if member.count > 1 else member.kind]
                if member.count > 1:
                    self.used.add("repeat")
                ink = _INK.get("repeat" if member.count > 1 else member.kind, "#333333")
                text = {"fontsize": "11", "labeljust": "l", "fontcolor": ink}
                cluster.attr(label=self._group_label(member), margin="10", **text, **look)
                self._group(cluster, member)

    def _group_label(self, group: Group) -> str:
        times = f"× {group.count:,}" if group.count > 1 else ""
        # Blocks without a name of their own: "block × 6"
        name = short_name(group.label) or ("block" if times else group.kind)
        lines = ["   ".join(filter(None, (name, times)))]
        if self.look.costs:
            repeats = 1 if group.parent is None else group.parent.repeats
            lines.append(self._cost_text(group.entries, repeats))
        # Room to spare at both ends, lines begin at the left
        text: str = nohtml("".join(f"  {escaped(line)}  \\l" for line in lines))
        return text

    def _cost_text(self, entries: Sequence[Entry], repeats: int = 1, divisor: int = 1) -> str:
        flops = _total(entries, "flops") * repeats // divisor
        nbytes = _total(entries, "nbytes") * repeats // divisor
        return f"{amount_text(flops, 'flop')} · {amount_text(nbytes, 'B')}"

    # --- nodes ---

    def _node(self, graph: Any, node: Node) -> None:
        self.used.add(node.role)
        style = dict(STYLES[node.role])
        if node.role == "operation":
            label, tooltip = self._operation(node, style)
        elif node.role in CLOSED:
            label, tooltip = self._closed(node)
        elif node.role == "value" or (self.record_values and node.role != "output"):
            label, tooltip = self._record(node, style)
        else:
            self.drawn.add(node.role)
            label, tooltip = self._terminal(node, style)
        if self.look.costs and node.entries:
            share = _total(node.entries, "flops") / self.most if self.most else 0.0
            style["fillcolor"] = heat(share)
        marks = {self.look.marks.get(entry.position) for entry in node.entries}
        for mark in ("fresh", "changed"):
            if mark in marks:
                self.used.add(mark)
                style |= MARKS[mark]
                break
        texts = {"label": label, "tooltip": escaped(tooltip)}
        graph.node(self.ids[id(node)], **roomy({**texts, **style}))

    def _operation(self, node: Node, style: dict[str, str]) -> tuple[str, str]:
        entry = node.entries[0]
        primitive = entry.primitive
        params = range_text([params_text(entry) for entry in node.entries])
        lines = [primitive.label, *wrapped(params)]
        if self.look.costs:
            lines.append(self._cost_text(node.entries, divisor=len(node.entries)))
        flops = f"{entry.flops:,} flop{'s' * (entry.flops != 1)}"
        details = [primitive.name + (f" [{params}]" if params else ""), flops]
        if len(node.entries) > 1:
            details.append(f"{len(node.entries):,} times")
        if entry.source:
            details.append(short_source(entry.source))
        tooltip = "\n".join(details)
        if len(entry.outputs) == 1 or self.record_values:
            return escaped("\n".join(lines)), tooltip
        # Ports in a record: which of the outputs an edge carries must show
        ports = "|".join(f"<p{i}>{i}" for i in range(len(entry.outputs)))
        head = "\\n".join(record_escaped(line) for line in lines)
        style.update(shape="Mrecord", style="filled", margin="0.1,0.03")
        return f"{{{head}|{{{ports}}}}}", tooltip

    def _closed(self, node: Node) -> tuple[str, str]:
        operations = f"{node.count:,} operation{'s' * (node.count > 1)}"
        times = f"   × {node.times:,}" if node.times > 1 else ""
        lines = [short_name(node.name) + times, operations]
        if node.role == "run":
            lines = [f"… {operations}"]
        if self.look.costs:
            lines.append(self._cost_text(node.entries, divisor=node.group.repeats))
        names = sorted({entry.primitive.name for entry in node.entries})
        return escaped("\n".join(lines)), ", ".join(names)

    def _terminal(self, node: Node, style: dict[str, str]) -> tuple[str, str]:
        """Label and tooltip of an input, a constant or an output."""
        operand = node.operands[0]
        if node.role == "constant":
            texts = [constant_text(o) for o in node.operands if isinstance(o, Constant)]
            return escaped(range_text(texts)), f"constant {operand.spec}"
        several = len(node.operands)
        kind, of, name = node.name.partition("gradient of ")
        # On two lines, for paths are long
        label = (
            f"{escaped('gradient of')}\\n{name_label(name)}"
            if of and not kind
            else name_label(node.name)
        )
        if several > 1:
            style["peripheries"] = str(int(style.get("peripheries", "1")) + 1)
            if not node.name[0].isdigit():
                label += escaped(f"\n× {several:,}")
        if node.role == "output":
            return label, f"{node.name}: {operand.spec}"
        return label, f"{node.role} {node.name}"

    def _record(self, node: Node, style: dict[str, str]) -> tuple[str, str]:
        """Label and tooltip of a value, with what it is at the inputs of the tape."""
        operand = node.operands[0]
        fields = [short_name(node.name)] if node.name else []
        if node.role == "constant":
            constants = [o for o in node.operands if isinstance(o, Constant)]
            fields = [range_text([constant_text(constant) for constant in constants])]
        elif operand.spec.shape != () or operand.spec.dtype != "float64":
            fields = ["\n".join([*fields, str(operand.spec)])]
        if node.role != "constant":
            fields += self._quantity("value", self.values, node)
            fields += self._quantity("grad", self.gradients, node)
        if node.role == "value" and len(node.operands) == 1 and operand in self.outputs:
            self.used.add("output")
            for key in ("fillcolor", "color"):
                style[key] = STYLES["output"][key]
            style["penwidth"] = "2.4"
        if len(node.operands) > 1 and node.role != "constant":
            fields.append(f"× {len(node.operands):,}")
        style.update(shape="record", fontname=FONT, fontsize="11", margin="0.08,0.03")
        label = "|".join("\\n".join(map(record_escaped, field.split("\n"))) for field in fields)
        if self.look.direction in ("LR", "RL"):
            label = f"{{{label}}}"
        return label, f"{node.role} {node.name}: {operand.spec}"

    def _quantity(self, what: str, known: dict[Variable, Any], node: Node) -> list[str]:
        """A field for a value, or for the first and the last of several."""
        found = [known[o] for o in node.operands if isinstance(o, Variable) and o in known]
        if not found:
            return []
        texts = list(dict.fromkeys([value_text(found[0]), value_text(found[-1])]))
        return [f"{what} {' … '.join(texts)}".replace(", mean", "\nmean")]

    # --- edges ---

    def _edge(self, edge: Edge) -> None:
        source, target = edge.source, edge.target
        style = dict(EDGES[edge.kind])
        if edge.kind == "value" and not edge.differentiable:
            style = dict(EDGES["constant"])
        if edge.kind == "cotangent":
            self.used.add("cotangent")
            style["dir"] = "forward"
        else:
            if edge.kind == "carried":
                self.used.add("carried")
            elif not edge.differentiable:
                self.used.add("dashed")
            style["label"] = self._edge_label(edge)
        tail = self.ids[id(source)] + ("" if edge.port is None else f":p{edge.port}")
        head = self.ids[id(target)]
        # A value that is a node has its mark where it leaves that, unless nothing reads it
        marked = target.role != "value" or id(target) not in self.read
        if edge.saved and edge.kind != "cotangent" and marked:
            self.used.add("saved")
            style.update(dir="both", arrowtail="dot")
        upwards = id(target) in self.late
        if upwards and id(source) not in self.late:
            # A label would push the passes apart, and the same value has one in its own pass
            style["constraint"] = "false"
            style.pop("label", None)
            if edge.kind == "value":
                self.used.add("crossing")
                style.update(EDGES["crossing"])
        elif upwards and edge.kind != "cotangent":
            # A backward sweep runs against the direction of the picture
            tail, head = head, tail
            style["arrowtail"], style["arrowhead"] = "normal", style.pop("arrowtail", "none")
            style["dir"] = "both"
        if edge.kind == "carried":
            style["constraint"] = "false"
        self.graph.edge(tail, head, **style)

    def _edge_label(self, edge: Edge) -> str:
        """Shape and dtype, with what else must be known of a value at this end of its way."""
        if self.record_values:
            text = self._ordinal_text(edge).strip()
            return nohtml(f"  {text}  ") if text else ""
        operand = edge.operands[0]
        label = self._edge_text(edge)
        if isinstance(operand, Variable) and edge.source.role not in ("input", "parameter"):
            names = [self.names[o] for o in edge.operands if isinstance(o, Variable) and o.name]
            if len(names) == len(edge.operands):
                label = f"{name_label(range_text(names))}: {label}"
        label = self._ordinal_text(edge) + label
        spare = " " * (2 + len(label) // 8)
        padded: str = nohtml(f"{spare}{label}{spare}")
        return padded

    def _edge_text(self, edge: Edge) -> str:
        operand = edge.operands[0]
        if isinstance(operand, Constant):
            # A plain Python number has no dtype of its own: it takes that of its partner
            weak = type(operand.value) in (bool, int, float, complex)
            return escaped(type(operand.value).__name__ if weak else str(operand.spec))
        specs = {str(operand.spec) for operand in edge.operands}
        several = len(edge.operands)
        blocks = edge.target.repeats
        if several % blocks == 0:
            several //= blocks
        if len(specs) > 1:
            return escaped(f"{several:,} values")
        text = specs.pop()
        if edge.first or edge.last:
            ends = (("from the last", edge.last), ("to the first", edge.first))
            text = " ".join([text, *(words for words, is_so in ends if is_so)])
        elif several > 1 and edge.kind != "carried" and (edge.slot is None or blocks == 1):
            text = f"{several:,} × {text}"
        return escaped(text)

    def _ordinal_text(self, edge: Edge) -> str:
        """``1st``, ``2nd``, ... where the inputs of an operation may not change places."""
        if edge.slot is None or edge.target.role != "operation":
            return ""
        entry = edge.target.entries[0]
        # x @ W is not W @ x, and layout is free to put either on the left
        primitive = entry.primitive
        fixed = primitive.input_name(edge.slot) not in primitive.symmetric
        ordered = fixed and len(set(entry.inputs)) > 1
        return f"{_ordinal(edge.slot + 1)} " if ordered else ""


_INK = {"forward": "#2b5f87", "backward": "#9a5424", "repeat": "#a3467f"}


def _late_nodes(scene: Scene) -> set[int]:
    """Nodes of a backward sweep and of what follows it, with their constants and outputs."""
    late = {
        id(node)
        for node in scene.nodes
        if any(group.kind == "backward" for group in node.group.chain())
    }
    if not late:
        return late
    for edge in scene.edges:
        if edge.kind == "value" and id(edge.source) in late:
            late.add(id(edge.target))
    for edge in scene.edges:
        if edge.source.role == "constant" and id(edge.target) in late:
            late.add(id(edge.source))
    return late


def _total(entries: Sequence[Entry], quantity: str) -> int:
    total: int = sum(getattr(entry, quantity) for entry in entries)
    return total


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ... 11th, ... 21st."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if number // 10 % 10 == 1 else endings.get(number % 10, "th")
    return f"{number}{ending}"
