"""Tapes as graphs of Model Explorer (https://github.com/google-ai-edge/model-explorer), in JSON."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

from autodiff.draw.boxes import phases
from autodiff.draw.roles import output_names, parameter_positions
from autodiff.draw.texts import constant_text
from autodiff.host import target_of
from autodiff.tape.entries import Constant, Variable
from autodiff.tape.ir import Tape
from autodiff.tape.texts import params_text, short_source

__all__ = ["model_explorer_graph", "tape_to_model_explorer"]


def tape_to_model_explorer(
    tape: Tape, path: str | PathLike[str] | None = None, *, title: str | None = None
) -> Path | str:
    """Write a tape for Model Explorer; `Tape.to_model_explorer` documents it."""
    collection = {"label": title or "tape", "graphs": [model_explorer_graph(tape, title or "tape")]}
    text = json.dumps(collection, ensure_ascii=False, indent=1)
    if path is None:
        return text
    target = target_of(path, "to_model_explorer")
    target.write_text(text + "\n", encoding="utf-8", newline="\n")
    return target


def model_explorer_graph(tape: Tape, name: str) -> dict[str, Any]:
    """The graph alone: nodes with their layers, attributes, and edges from one to another.

    Examples
    --------
    >>> import autodiff as ad
    >>> graph = model_explorer_graph(ad.record(lambda x: x * x)(3.0), "square")
    >>> [node["label"] for node in graph["nodes"]]
    ['x', 'multiply', 'output']
    """
    names = tape.names()
    # Node and output that hold each variable
    sources: dict[Variable, tuple[str, int]] = {}
    nodes: list[dict[str, Any]] = []
    chosen = parameter_positions(tape, None)
    for position, variable in enumerate(tape.inputs):
        identity = f"input {position}"
        sources[variable] = (identity, 0)
        role = "parameter" if position in chosen else "input"
        nodes.append(_node(identity, names[variable], "", {"role": role}, [], [variable]))
    for entry, phase in zip(tape, phases(tape), strict=True):
        identity = f"operation {entry.position}"
        path = ["backward"] if phase else []
        path += [part.replace("/", "_") for part in (entry.scope.path if entry.scope else ())]
        facts = {
            "parameters": params_text(entry),
            "flops": f"{entry.flops:,}",
            "bytes moved": f"{entry.nbytes:,}",
            "source": short_source(entry.source),
        }
        edges = []
        for slot, operand in enumerate(entry.inputs):
            if isinstance(operand, Constant):
                facts[entry.primitive.input_name(slot)] = constant_text(operand)
            else:
                edges.append(_edge(sources[operand], slot))
        for port, variable in enumerate(entry.outputs):
            sources[variable] = (identity, port)
        label = entry.primitive.name
        nodes.append(_node(identity, label, "/".join(path), facts, edges, entry.outputs))
    for position, (title, output) in enumerate(zip(output_names(tape), tape.outputs, strict=True)):
        facts, edges = {}, []
        if isinstance(output, Constant):
            facts = {"value": constant_text(output)}
        else:
            edges = [_edge(sources[output], 0)]
        nodes.append(_node(f"output {position}", title, "", facts, edges, ()))
    return {"id": name, "nodes": nodes}


def _node(
    identity: str,
    label: str,
    namespace: str,
    facts: dict[str, str],
    edges: list[dict[str, str]],
    outputs: Any,
) -> dict[str, Any]:
    return {
        "id": identity,
        "label": label,
        "namespace": namespace,
        "attrs": [{"key": key, "value": value} for key, value in facts.items() if value],
        "incomingEdges": edges,
        "outputsMetadata": [
            {"id": str(port), "attrs": [{"key": "tensor_shape", "value": str(variable.spec)}]}
            for port, variable in enumerate(outputs)
        ],
    }


def _edge(source: tuple[str, int], slot: int) -> dict[str, str]:
    identity, port = source
    return {
        "sourceNodeId": identity,
        "sourceNodeOutputId": str(port),
        "targetNodeInputId": str(slot),
    }
