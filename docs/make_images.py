"""Draw the pictures of the documentation: ``python docs/make_images.py``.

The Graphviz of the extra ``viz`` lays out tapes, everywhere alike; ``howto_plots.py`` plots, and
``live_pages.py`` writes interactive pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import howto_plots
import live_pages
import numpy as np

import autodiff as ad
from autodiff import nn
from autodiff.draw.render import svg_without_system

IMAGES = Path(__file__).parent / "images"


def loss(model: Any, x: Any, y: Any) -> Any:
    """Cross-entropy of a network."""
    return nn.softmax_cross_entropy(model(x), y)


def neuron(params: Any, x: Any) -> Any:
    """One neuron, squared."""
    return np.tanh(params["w"] * x + params["b"]) ** 2


class Attention(nn.Module):
    """Self-attention with one head."""

    def __init__(self, size: int) -> None:
        self.query = nn.Linear(size, size, seed=1)
        self.key = nn.Linear(size, size, seed=2)
        self.value = nn.Linear(size, size, seed=3)
        self.out = nn.Linear(size, size, seed=4)

    def __call__(self, x: Any) -> Any:
        """Let each row of x look at the others."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        scores = query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1])
        return self.out(ad.softmax(scores) @ value)


class Block(nn.Module):
    """A block of a transformer, without normalisation."""

    def __init__(self, size: int) -> None:
        self.attention = Attention(size)
        self.up = nn.Linear(size, 4 * size, seed=5)
        self.down = nn.Linear(4 * size, size, seed=6)

    def __call__(self, x: Any) -> Any:
        """Add what attention finds, then what each row alone gives."""
        x = x + self.attention(x)
        return x + self.down(np.tanh(self.up(x)))


class Transformer(nn.Module):
    """Equal blocks, and a linear layer on their mean."""

    def __init__(self, size: int, length: int) -> None:
        self.blocks = [Block(size) for _ in range(length)]
        self.head = nn.Linear(size, 10, seed=7)

    def __call__(self, x: Any) -> Any:
        """Scores of the classes."""
        for block in self.blocks:
            x = block(x)
        return self.head(np.mean(x, axis=-2))


def shares(w: Any, x: Any) -> Any:
    """Sum of the squared shares of rectified scores."""
    return np.sum(ad.softmax(np.maximum(x @ w, 0.0)) ** 2)


def expression() -> Any:
    """A small expression of named scalars."""
    a, b = ad.Tensor(2.0, name="a"), ad.Tensor(-3.0, name="b")
    c, f = ad.Tensor(10.0, name="c"), ad.Tensor(-2.0, name="f")
    e = ad.name(a * b, "e")
    d = ad.name(e + c, "d")
    return ad.name(d * f, "L")


def pictures() -> dict[str, str]:
    """Return the pictures in the DOT language by their name."""
    data = ad.data.digits()
    x, y = data.x_train[:32], data.y_train[:32]
    model = nn.arrays(nn.MLP([64, 128, 10]))
    words = np.zeros((8, 20, 64))
    forward = ad.record(loss)(model, x, y)
    compiled = ad.compile(ad.value_and_grad(shares), backend="llvm")
    return {
        "tape": forward.to_dot(),
        "gradient": ad.record(ad.value_and_grad(neuron))({"w": 0.5, "b": 0.1}, 2.0).to_dot(),
        "gallery-modules": ad.record(loss)(nn.arrays(nn.MLP([64, 32, 16, 10])), x, y).to_dot(
            direction="LR"
        ),
        "gallery-folded": ad.record(loss)(
            nn.arrays(Transformer(64, 12)), words, np.zeros(8, int)
        ).to_dot(depth=2),
        "gallery-value-and-grad": ad.record(ad.value_and_grad(loss))(model, x, y).to_dot(),
        "gallery-scalar": expression().tape.to_dot(values=True, gradients=True, direction="LR"),
        "compiled": compiled.lower(np.ones((8, 4)), np.ones((16, 8))).grouped().to_dot(),
        "gallery-costs": forward.to_dot(costs=True),
    }


def diffusion() -> None:
    """Draw the true, the observed and the recovered fields of the page on a sparse solve."""
    import doctest

    from matplotlib.figure import Figure

    page = (IMAGES.parent / "howto" / "sparse-pde.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples(page):
        if not example.want:
            exec(example.source, names)
    n = names["n"]
    panels = {
        "true log k": (names["truth"], "viridis", (-0.2, 1.1)),
        "observed u": (names["observed"], "magma", (0.0, None)),
        "recovered log k": (names["found"].x, "viridis", (-0.2, 1.1)),
    }
    figure = Figure(figsize=(9.0, 2.9), layout="constrained")
    for axes, (title, (field, colors, (low, high))) in zip(
        figure.subplots(1, 3), panels.items(), strict=True
    ):
        shown = axes.imshow(
            field.reshape(n, n),
            cmap=colors,
            vmin=low,
            vmax=high,
            origin="lower",
            extent=(0, 1, 0, 1),
        )
        axes.set_title(title)
        axes.set_xticks([0, 0.5, 1])
        axes.set_yticks([0, 0.5, 1])
        figure.colorbar(shown, ax=axes, shrink=0.9)
    figure.savefig(IMAGES / "sparse-pde.png", dpi=110, metadata={"Software": None})


def spiral() -> None:
    """Draw the data, the fitted path and the field of the page on a neural ODE."""
    import doctest

    from matplotlib.figure import Figure

    page = (IMAGES.parent / "howto" / "neural-ode.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples(page):
        if example.want:
            break
        exec(example.source, names)
    times, data, model = names["times"], names["data"], names["model"]
    fine = np.linspace(0.0, 6.0, 200)
    solve = names["solve_ivp"]
    path = solve(lambda t, y: model(y), (0.0, 6.0), data[:, 0], t_eval=fine).y.data
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    plane, course = figure.subplots(1, 2)
    grid = np.stack(np.meshgrid(np.linspace(-0.9, 1.1, 14), np.linspace(-0.7, 0.9, 12)), axis=-1)
    slopes = model(grid.reshape(-1, 2)).data.reshape(grid.shape)
    plane.quiver(grid[..., 0], grid[..., 1], slopes[..., 0], slopes[..., 1], color="0.75")
    plane.plot(*data, "o", color="tab:orange", markersize=4, label="data")
    plane.plot(*path, color="tab:blue", label="solution")
    plane.set_title("the network as a field")
    plane.legend()
    for i, color in enumerate(("tab:blue", "tab:green")):
        course.plot(times, data[i], "o", color=color, markersize=3, alpha=0.6)
        course.plot(fine, path[i], color=color, label=f"y[{i}]")
    course.set_title("the fitted solution over time")
    course.set_xlabel("t")
    course.legend()
    figure.savefig(IMAGES / "neural-ode.png", dpi=110, metadata={"Software": None})


def main() -> None:
    """Write the pictures."""
    IMAGES.mkdir(exist_ok=True)
    for name, text in pictures().items():
        path = IMAGES / f"{name}.svg"
        path.write_bytes(svg_without_system(text))
        print(path, f"{path.stat().st_size / 1000:.0f} kB")
    diffusion()
    for path in howto_plots.write(IMAGES):
        print(path, f"{path.stat().st_size / 1000:.0f} kB")
    spiral()
    for path in (*live_pages.write(), *live_pages.photograph()):
        print(path, f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
