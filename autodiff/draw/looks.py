"""How things look: shapes, lines and colours.

The hues are those of the colour-blind-safe palette of Okabe and Ito (2008), lightened for text;
shapes, borders and lines differ too, for print without colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "DIRECTIONS",
    "EDGES",
    "FONT",
    "FRAMES",
    "MANY_NODES",
    "MARKS",
    "STYLES",
    "Look",
    "heat",
    "layout_limits",
    "roomy",
]

DIRECTIONS = ("TB", "LR", "BT", "RL")


@dataclass(frozen=True)
class Look:
    """How a scene is drawn; the fields are arguments of `Tape.draw`."""

    direction: str = "TB"
    title: str | None = None
    legend: bool = True
    values: bool = False
    gradients: bool = False
    costs: bool = False
    marks: Mapping[int, str] = field(default_factory=dict)
    """Operations that stand out, by their positions: "fresh" or "changed"."""

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(
                f"direction is {self.direction!r}; it must be one of {', '.join(DIRECTIONS)}"
            )


# Fonts whose widths every Graphviz knows by heart. A viewer that has neither Helvetica nor Arial
# may put a wider one in their place, so labels get some room to spare.
FONT = "Helvetica"
BOLD_FONT = "Helvetica-Bold"
SPARE_INCHES = 0.01
"""Room to spare, a character and side."""

MARKS = {
    "fresh": {"color": "#d55e00", "penwidth": "3.5"},
    "changed": {"color": "#d55e00", "penwidth": "1.6"},
}
"""Borders of operations that stand out beside another tape."""

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
    "value": {
        "shape": "record",
        "style": "filled",
        "fillcolor": "#fbfbf4",
        "color": "#8a8a6a",
        "fontsize": "11",
        "margin": "0.06,0.03",
    },
    "call": {
        "shape": "folder",
        "style": "filled",
        "fillcolor": "#e9edf3",
        "color": "#4d6382",
        "margin": "0.16,0.09",
    },
    "run": {
        "shape": "box3d",
        "style": "filled",
        "fillcolor": "#f4f0f7",
        "color": "#6c5a7d",
        "margin": "0.16,0.09",
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

FRAMES: dict[str, dict[str, str]] = {
    "forward": {"color": "#7fa8c9", "bgcolor": "#f3f8fc", "style": "rounded", "penwidth": "1.4"},
    "backward": {"color": "#d9a27c", "bgcolor": "#fdf6f0", "style": "rounded", "penwidth": "1.4"},
    "module": {"color": "#8090a8", "style": "rounded", "penwidth": "1"},
    "function": {"color": "#9a9a9a", "style": "rounded,dashed", "penwidth": "1"},
    "repeat": {"color": "#a3467f", "style": "rounded", "penwidth": "2"},
}

EDGES: dict[str, dict[str, str]] = {
    "value": {},
    "constant": {"style": "dashed", "color": "#767676"},
    "crossing": {"color": "#0072b2", "style": "solid"},
    "carried": {"color": "#a3467f", "fontcolor": "#a3467f", "penwidth": "1.8"},
    "cotangent": {
        "style": "dotted",
        "color": "#d55e00",
        "arrowhead": "empty",
        "constraint": "false",
        "penwidth": "1.3",
    },
}

# Layout times explode on tangled graphs: these caps on its iterations, and bent lines in place of
# curves, keep a picture within seconds.
MANY_NODES = 100
VERY_MANY_NODES = 150
QUICK_LAYOUT = {"nslimit": "2", "nslimit1": "2", "mclimit": "0.2"}
QUICKEST_LAYOUT = {"nslimit": "0.5", "nslimit1": "0.5", "mclimit": "0.05", "splines": "polyline"}


def layout_limits(size: int) -> dict[str, str]:
    """Graph attributes that keep the layout of a picture of this many nodes affordable."""
    if size <= MANY_NODES:
        return {}
    return QUICK_LAYOUT if size <= VERY_MANY_NODES else QUICKEST_LAYOUT


_LIGHTEST, _DARKEST = (0.985, 0.01), (0.70, 0.15)
_HUE_A, _HUE_B = 0.64, 0.77  # direction in the plane of a and b: 50 degrees, an orange


def heat(share: float) -> str:
    """Colour for a share between 0 and 1: one hue, in even steps of perceived lightness.

    Interpolated in the Oklab space of B. Ottosson (2020), dark text stays legible on all of it.

    Examples
    --------
    >>> heat(0.0), heat(1.0)
    ('#fff8f4', '#e77f3d')
    """
    light, chroma = (a + (b - a) * share for a, b in zip(_LIGHTEST, _DARKEST, strict=True))
    a, b = chroma * _HUE_A, chroma * _HUE_B
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(part)):02x}" for part in linear)


def _encoded(linear: float) -> float:
    """Encode a linear component as sRGB does (IEC 61966-2-1)."""
    linear = min(max(linear, 0.0), 1.0)
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def roomy(attributes: dict[str, str]) -> dict[str, str]:
    """Widen a node's margin by what its longest line may need in another font."""
    longest = max(len(line) for line in attributes["label"].split("\\n"))
    across, along = attributes["margin"].split(",")
    return {**attributes, "margin": f"{float(across) + SPARE_INCHES * longest:.2f},{along}"}
