"""Draw the pictures of the documentation: ``python docs/make_images.py``.

They are laid out by the Graphviz of the extra ``viz``, whatever the system has, so that the same
version gives the same files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.draw.render import svg_without_system

IMAGES = Path(__file__).parent / "images"


def loss(model: Any, x: Any, y: Any) -> Any:
    """Cross-entropy of a network."""
    return ad.nn.softmax_cross_entropy(model(x), y)


def neuron(params: Any, x: Any) -> Any:
    """One neuron, squared."""
    return np.tanh(params["w"] * x + params["b"]) ** 2


def tapes() -> dict[str, ad.Tape]:
    """Return the tapes by the name of their picture."""
    data = ad.data.digits()
    model = ad.nn.arrays(ad.nn.MLP([64, 128, 10]))
    return {
        "tape": ad.record(loss)(model, data.x_train[:32], data.y_train[:32]),
        "gradient": ad.record(ad.value_and_grad(neuron))({"w": 0.5, "b": 0.1}, 2.0),
    }


def main() -> None:
    """Write the pictures."""
    IMAGES.mkdir(exist_ok=True)
    for name, tape in tapes().items():
        path = IMAGES / f"{name}.svg"
        path.write_bytes(svg_without_system(tape.to_dot()))
        print(path)


if __name__ == "__main__":
    main()
