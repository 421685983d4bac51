"""What is loaded when it is first asked for, and by whom: the one place above everything it names.

Tapes can be drawn, Jacobians accumulated by elimination, without `import autodiff` loading what
draws and eliminates. The layers below own the questions (`core.deferred.Deferred`); this module,
which the package imports, says where the answers are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.tape.readers import READERS

__all__ = ["readers_of_tapes"]

Function = Callable[..., Any]


def _values() -> Function:
    from autodiff.tape.values import values_of

    return values_of


def _gradients() -> Function:
    from autodiff.tape.values import gradients_of

    return gradients_of


def _saved() -> Function:
    from autodiff.tape.values import saved_by

    return saved_by


def _callee() -> Function:
    from autodiff.tape.values import callee

    return callee


def _inlined() -> Function:
    from autodiff.tape.rewrite import inlined

    return inlined


def _pruned() -> Function:
    from autodiff.tape.rewrite import pruned

    return pruned


def _replace() -> Function:
    from autodiff.tape.rewrite import replaced

    return replaced


def _subtape() -> Function:
    from autodiff.tape.rewrite import subtape

    return subtape


def _listing() -> Function:
    from autodiff.tape.listing import listing

    return listing


def _summary() -> Function:
    from autodiff.tape.summary import summarize

    return summarize


def _to_dot() -> Function:
    from autodiff.draw import tape_to_dot

    return tape_to_dot


def _draw() -> Function:
    from autodiff.draw import draw_tape

    return draw_tape


def _notebook_svg() -> Function:
    from autodiff.draw import notebook_svg

    return notebook_svg


def _to_html() -> Function:
    from autodiff.draw.page import tape_to_html

    return tape_to_html


def _jacobian_graph() -> Function:
    from autodiff.ordering.execute import jacobian_graph

    return jacobian_graph


def readers_of_tapes() -> dict[str, Callable[[], Function]]:
    """Return who answers what a tape is asked, by the name of the question."""
    return {
        "values": _values,
        "gradients": _gradients,
        "saved": _saved,
        "callee": _callee,
        "inlined": _inlined,
        "pruned": _pruned,
        "replace": _replace,
        "subtape": _subtape,
        "listing": _listing,
        "summary": _summary,
        "to_dot": _to_dot,
        "draw": _draw,
        "notebook_svg": _notebook_svg,
        "to_html": _to_html,
        "jacobian_graph": _jacobian_graph,
    }


for _name, _load in readers_of_tapes().items():
    READERS.defer(_name, _load)
