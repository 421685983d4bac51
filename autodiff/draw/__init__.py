"""Pictures of tapes: DOT text, SVG, PNG or PDF by Graphviz, and pages to step through."""

from autodiff.draw.dot import tape_to_dot
from autodiff.draw.picture import MAX_NODES, Svg, draw_tape, notebook_svg

__all__ = ["MAX_NODES", "Svg", "draw_tape", "notebook_svg", "tape_to_dot"]
