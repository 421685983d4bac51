"""What is loaded when it is first asked for, and by whom: the one place above everything it names.

Tapes can be drawn, Jacobians accumulated by elimination, without `import autodiff` loading what
draws and eliminates. The layers below own the questions (`deferred.Deferred`); this module,
which the package imports, says where the answers are.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from autodiff.conversions import COUNTERPARTS
from autodiff.deferred import Deferred
from autodiff.standard import NAMESPACES
from autodiff.tape.readers import READERS
from autodiff.transforms.jacobian.tables import (
    GIVEN,
    HESSIANS,
    PRICES,
    RUNS,
    STRUCTURED,
    STRUCTURES,
)

__all__ = ["ANSWERS"]

ANSWERS: tuple[tuple[Deferred, dict[str, str]], ...] = (
    (
        READERS,
        {
            "values": "autodiff.tape.values:values_of",
            "gradients": "autodiff.tape.values:gradients_of",
            "saved": "autodiff.tape.values:saved_by",
            "callee": "autodiff.tape.values:callee",
            "inlined": "autodiff.tape.rewrite:inlined",
            "pruned": "autodiff.tape.rewrite:pruned",
            "replace": "autodiff.tape.rewrite:replaced",
            "subtape": "autodiff.tape.rewrite:subtape",
            "profile": "autodiff.tape.profile:profile",
            "listing": "autodiff.tape.listing:listing",
            "compare": "autodiff.tape.comparing:compare",
            "summary": "autodiff.tape.summary:summarize",
            "to_dot": "autodiff.draw.dot:tape_to_dot",
            "draw": "autodiff.draw.picture:draw_tape",
            "notebook_svg": "autodiff.draw.picture:notebook_svg",
            "to_model_explorer": "autodiff.draw.model_explorer:tape_to_model_explorer",
            "to_onnx": "autodiff.export.model:tape_to_onnx",
            "to_html": "autodiff.draw.page:tape_to_html",
            "jacobian_graph": "autodiff.ordering.execute:jacobian_graph",
            "scarcity": "autodiff.ordering.execute:scarcity_of",
        },
    ),
    (COUNTERPARTS, {"find": "autodiff.numpy.counterparts:counterpart"}),
    (NAMESPACES, {"array_api": "autodiff.numpy.array_api:namespace"}),
    (PRICES, {"cross-country": "autodiff.ordering.execute:price"}),
    (RUNS, {"cross-country": "autodiff.ordering.execute:cross_country"}),
    (GIVEN, {"plan": "autodiff.ordering.execute:execute_plan"}),
    (STRUCTURED, {"reverse": "autodiff.ordering.execute:structured_reverse"}),
    (STRUCTURES, {"sparse": "autodiff.ordering.sparse.recovery:sparse_jacobian"}),
    (
        HESSIANS,
        {
            "edge-pushing": "autodiff.ordering.hessian.dense:edge_pushing",
            "sparse": "autodiff.ordering.sparse.recovery:sparse_hessian",
        },
    ),
)
"""Who is asked, and for each question the module and function that answer."""


def _from(place: str) -> Callable[[], Callable[..., Any]]:
    """Return what imports a function when it is called."""

    def load() -> Callable[..., Any]:
        module, _, name = place.partition(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function

    return load


for _questions, _places in ANSWERS:
    for _name, _place in _places.items():
        _questions.defer(_name, _from(_place))
