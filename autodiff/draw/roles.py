"""Which inputs of a tape are parameters, and what its outputs are called."""

from __future__ import annotations

from collections.abc import Sequence

from autodiff import tree
from autodiff.tape.entries import Variable
from autodiff.tape.ir import Tape

__all__ = ["output_names", "parameter_positions"]


def output_names(tape: Tape) -> list[str]:
    """What outputs are called: ``gradient of params['w']``, else by their place, ``output[0]``."""
    if tape.out_tree is None:
        names = [output.name or "output" for output in tape.outputs if isinstance(output, Variable)]
        names = names if len(names) == len(tape.outputs) else ["output"] * len(tape.outputs)
    else:
        names = tree.paths(tape.out_tree, "output")
    # An addition has one cotangent for both its inputs: outputs take them in the inputs' order
    inputs: dict[Variable, list[str]] = {}
    called = tape.names()
    for variable in tape.inputs:
        cotangent = tape.cotangents.get(variable)
        if cotangent is not None:
            inputs.setdefault(cotangent, []).append(called[variable])
    for position, output in enumerate(tape.outputs):
        waiting = inputs.get(output) if isinstance(output, Variable) else None
        if waiting:
            names[position] = f"gradient of {waiting[0]}"
            del waiting[0]
    return names


def parameter_positions(tape: Tape, parameters: Sequence[str] | None) -> set[int]:
    """Positions of the inputs that are drawn as parameters.

    Raises
    ------
    ValueError
        A name in `parameters` is no input of the tape.
    """
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
