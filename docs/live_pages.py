"""Interactive pages of the documentation, and pictures of them where there is a Chromium.

``docs/make_images.py`` writes them. They stand in ``docs/live`` and are linked as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import autodiff as ad
from autodiff import nn
from autodiff.ordering import Chain

LIVE = Path(__file__).parent / "live"
IMAGES = Path(__file__).parent / "images"

SHOTS = {
    "page-light": ("tape", 0.75, False),
    "page-dark": ("tape-and-gradient", 0.7, True),
    "plan-chain": ("plan-chain", 0.9, False),
    "plan-graph": ("plan-graph", 0.55, False),
}
"""Pictures: the page, how far it is played, and whether it is dark."""


def gated(x: Any, w: Any) -> Any:
    """Two layers of which the second reads the first twice, and a sum over examples."""
    hidden = np.tanh(x @ w)
    return np.sum((hidden * 2.0 + x @ w) ** 2, axis=0)


def loss(model: Any, x: Any, y: Any) -> Any:
    """Cross-entropy of a network."""
    return nn.softmax_cross_entropy(model(x), y)


def write() -> Iterator[Path]:
    """Write the pages."""
    LIVE.mkdir(exist_ok=True)
    chain = Chain.from_shapes([(30, 12), (60, 30), (6, 60), (50, 6), (40, 50), (25, 40)])
    yield Path(chain.to_html(LIVE / "plan-chain.html", title="A chain of six matrices"))
    graph = ad.record(gated)(np.ones((3, 4)), np.ones((4, 3))).jacobian_graph()
    title = "Eliminating the vertices of a small network"
    yield Path(graph.to_html(LIVE / "plan-graph.html", "exact", title=title))
    faces = graph.plan("faces", iterations=2000)
    title = "Eliminating the faces of a small network"
    yield Path(graph.to_html(LIVE / "plan-faces.html", faces, title=title))
    data = ad.data.digits()
    model = nn.arrays(nn.MLP([64, 32, 10], activation="tanh"))
    tape = ad.record(loss)(model, data.x_train[:32], data.y_train[:32])
    measured = tape.profile()
    yield Path(tape.to_html(LIVE / "tape.html", title="Loss of a network", profile=measured))
    small = nn.arrays(nn.MLP([4, 8, 2], activation="tanh"))
    x, y = np.linspace(-1.0, 1.0, 20).reshape(5, 4), np.array([0, 1, 0, 1, 1])
    both = ad.record(ad.value_and_grad(loss))(small, x, y)
    yield Path(both.to_html(LIVE / "tape-and-gradient.html", title="A loss and its gradient"))


def photograph() -> Iterator[Path]:
    """Take pictures of the pages, if there is a browser for it."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from browser import Browser, find_chromium

    chromium = find_chromium()
    if chromium is None:
        return
    browser = Browser(chromium)
    try:
        for name, (page, played, dark) in SHOTS.items():
            browser.open(LIVE / f"{page}.html", dark=dark)
            browser.run(
                f"(s => {{ s.value = Math.round(s.max * {played});"
                "s.dispatchEvent(new Event('input')); })(document.getElementById('slider'))"
            )
            path = IMAGES / f"{name}.png"
            browser.screenshot(path)
            yield path
    finally:
        browser.close()
