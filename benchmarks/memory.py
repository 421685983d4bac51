"""Bytes that the tape of a 30-layer 512-wide tanh MLP keeps, beside activations and parameters."""

import tracemalloc

import numpy as np

import autodiff as ad

LAYERS, WIDTH, BATCH = 30, 512, 512


def main() -> None:
    """Print the ratio."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, WIDTH))
    x.setflags(write=False)
    tracemalloc.start()
    weights = [ad.Tensor(rng.standard_normal((WIDTH, WIDTH)) / 22.6) for _ in range(LAYERS)]
    biases = [ad.Tensor(np.zeros(WIDTH)) for _ in range(LAYERS)]
    h = x
    for w, b in zip(weights, biases, strict=True):
        h = np.tanh(h @ w + b)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    np.sum(h).backward()
    sweep_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    activations = LAYERS * BATCH * WIDTH * 8
    parameters = LAYERS * (WIDTH + 1) * WIDTH * 8
    print(f"activations + parameters      {(activations + parameters) / 1e6:8.1f} MB")
    ratio = held / (activations + parameters)
    print(f"held after the forward pass   {held / 1e6:8.1f} MB   x {ratio:.3f}")
    print(f"peak of the forward pass      {peak / 1e6:8.1f} MB")
    print(f"peak of the sweep             {sweep_peak / 1e6:8.1f} MB (with all gradients)")


if __name__ == "__main__":
    main()
