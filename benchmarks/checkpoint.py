"""What `ad.checkpoint` saves: a 200-layer chain, stored whole or in about sqrt(200) pieces."""

import math
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff as ad

LAYERS, WIDTH, BATCH = 200, 128, 512


def segment(weights: list[Any], h: Any) -> Any:
    """Run some layers."""
    for w in weights:
        h = np.tanh(h @ w)
    return h


def held_by_tape(output: Any) -> int:
    """Bytes of the distinct arrays that the tape of a Tensor holds, parameters left out."""
    node = output._payload
    seen, stack, arrays = {node}, [node], {}

    def collect(value: Any) -> None:
        if isinstance(value, tuple):
            for item in value:
                collect(item)
        elif isinstance(value, np.ndarray) and value.shape == (BATCH, WIDTH):
            arrays[id(value)] = value.nbytes

    while stack:
        node = stack.pop()
        collect(node.saved or ())
        for parent in node.parents:
            if hasattr(parent, "saved") and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sum(arrays.values())


def run(name: str, piece: int, wrap: Callable[..., Any]) -> None:
    """Measure one way of storing the chain."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, WIDTH))
    x.setflags(write=False)
    weights = [ad.Tensor(rng.standard_normal((WIDTH, WIDTH)) / 11.3) for _ in range(LAYERS)]
    step = wrap(segment)
    tracemalloc.start()
    start = time.perf_counter()
    h = x
    for first in range(0, LAYERS, piece):
        h = step(weights[first : first + piece], h)
    loss = np.sum(h)
    held = tracemalloc.get_traced_memory()[0]
    saved = held_by_tape(loss)
    loss.backward()
    peak = tracemalloc.get_traced_memory()[1]
    seconds = time.perf_counter() - start
    tracemalloc.stop()
    activation = BATCH * WIDTH * 8
    gradients = LAYERS * WIDTH * WIDTH * 8
    print(
        f"{name:<24} {saved / activation:6.0f} activations saved, {held / 1e6:7.1f} MB held before "
        f"the sweep, peak {(peak - gradients) / 1e6:7.1f} MB beside the gradients, {seconds:5.2f} s"
    )


def main() -> None:
    """Compare storing everything with checkpoints."""
    piece = round(math.sqrt(LAYERS))
    run("stored", LAYERS, lambda f: f)
    run(f"pieces of {piece}", piece, ad.checkpoint)


if __name__ == "__main__":
    main()
