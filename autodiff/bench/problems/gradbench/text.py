"""GradBench's lstm: a network with diagonal weights that guesses the next character of a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bench.problem import Problem
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import Workload

__all__ = ["PROBLEMS", "WORKLOADS"]

_BITS = 14
"""Of a character, and so elements of every state."""


def _text(layers: int, characters: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    text = random.integers(0, 2, (characters, _BITS)).astype(np.float64)
    return {
        "main": random.random((2 * layers, 4 * _BITS)),
        "extra": random.random((3, _BITS)),
        "state": [row.copy() for row in random.random((2 * layers, _BITS))],
        "pairs": np.stack([text[:-1], text[1:]], axis=1),
        "layers": layers,
    }


def _loss(library: Any, inputs: Inputs) -> Callable[..., Any]:
    state, pairs, layers = inputs["state"], inputs["pairs"], inputs["layers"]
    bits = pairs.shape[2]
    sigmoid, tanh, concatenate = library.sigmoid, library.tanh, library.concatenate
    log, exp, total = library.log, library.exp, library.sum
    gates = 3 * bits

    def loss(main: Any, extra: Any) -> Any:
        weights = [main[2 * layer] for layer in range(layers)]
        biases = [main[2 * layer + 1] for layer in range(layers)]
        first, last, shift = extra[0], extra[1], extra[2]

        def step(carry: Any, pair: Any) -> Any:
            score, *before = carry
            x, after = pair[0] * first, []
            for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                hidden, cell = before[2 * layer], before[2 * layer + 1]
                z = concatenate([x, hidden, x, hidden]) * weight + bias
                opened = sigmoid(z[:gates])
                kept = cell * opened[:bits]
                cell = kept + opened[bits : 2 * bits] * tanh(z[gates:])
                x = opened[2 * bits :] * tanh(cell)
                after += [x, cell]
            guess = x * last + shift
            guess = guess - log(total(exp(guess)) + 2.0)
            return (score + total(pair[1] * guess), *after)

        score, *_ = library.loop(step, (total(0.0 * first), *state), pairs)
        return -score / (len(pairs) * bits)

    return loss


def _loss_by_hand(inputs: Inputs) -> Program:
    main, extra, pairs = inputs["main"], inputs["extra"], inputs["pairs"]
    layers, steps = inputs["layers"], len(pairs)
    gates = 3 * _BITS
    weights, biases = main[::2], main[1::2]

    def run() -> list[Any]:
        # Inputs of the gates, the gates, cells before and tanh of cells after, by step and layer
        given = np.empty((steps, layers, 4 * _BITS))
        opened = np.empty((steps, layers, 4 * _BITS))
        cells = np.empty((steps + 1, layers, _BITS))
        bent = np.empty((steps, layers, _BITS))
        tops = np.empty((steps, _BITS))
        hidden = np.stack(inputs["state"][::2])
        cells[0] = inputs["state"][1::2]
        for t in range(steps):
            x = pairs[t, 0] * extra[0]
            for layer in range(layers):
                row, gate, cell = given[t, layer], opened[t, layer], cells[t + 1, layer]
                row[:_BITS] = row[2 * _BITS : gates] = x
                row[_BITS : 2 * _BITS] = row[gates:] = hidden[layer]
                np.multiply(row, weights[layer], out=gate)
                gate += biases[layer]
                np.tanh(gate[gates:], out=gate[gates:])
                np.negative(gate[:gates], out=gate[:gates])
                np.exp(gate[:gates], out=gate[:gates])
                gate[:gates] += 1
                np.reciprocal(gate[:gates], out=gate[:gates])
                np.multiply(cells[t, layer], gate[:_BITS], out=cell)
                cell += gate[_BITS : 2 * _BITS] * gate[gates:]
                np.tanh(cell, out=bent[t, layer])
                x = hidden[layer] = gate[2 * _BITS : gates] * bent[t, layer]
            tops[t] = x
        guesses = tops * extra[1] + extra[2]
        shares = np.exp(guesses)
        totals = shares.sum(axis=1, keepdims=True) + 2.0
        wanted = pairs[:, 1]
        scale = -1.0 / wanted.size
        value = scale * (wanted * (guesses - np.log(totals))).sum()
        g_guesses = shares
        g_guesses *= -wanted.sum(axis=1, keepdims=True) / totals
        g_guesses += wanted
        g_guesses *= scale
        g_tops = g_guesses * extra[1]

        g_main, g_extra = np.zeros_like(main), np.empty_like(extra)
        g_extra[1], g_extra[2] = (g_guesses * tops).sum(axis=0), g_guesses.sum(axis=0)
        g_first = np.zeros(_BITS)
        g_hidden, g_cells = np.zeros((layers, _BITS)), np.zeros((layers, _BITS))
        # Slopes of the gates by what goes in, for all steps at once
        slopes = opened * (1 - opened)
        slopes[:, :, gates:] = 1 - opened[:, :, gates:] ** 2
        g = np.empty(4 * _BITS)
        for t in reversed(range(steps)):
            g_x = g_tops[t]
            for layer in reversed(range(layers)):
                gate, g_cell = opened[t, layer], g_cells[layer]
                g_h = g_hidden[layer] + g_x
                g[2 * _BITS : gates] = g_h * bent[t, layer]
                g_cell += g_h * gate[2 * _BITS : gates] * (1 - bent[t, layer] ** 2)
                np.multiply(g_cell, cells[t, layer], out=g[:_BITS])
                np.multiply(g_cell, gate[gates:], out=g[_BITS : 2 * _BITS])
                np.multiply(g_cell, gate[_BITS : 2 * _BITS], out=g[gates:])
                g_cell *= gate[:_BITS]
                g *= slopes[t, layer]
                g_main[2 * layer] += g * given[t, layer]
                g_main[2 * layer + 1] += g
                back = g * weights[layer]
                g_x = back[:_BITS] + back[2 * _BITS : gates]
                np.add(back[_BITS : 2 * _BITS], back[gates:], out=g_hidden[layer])
            g_first += g_x * pairs[t, 0]
        g_extra[0] = g_first
        return [value, g_main, g_extra]

    return Program(run)


PROBLEMS = {"diagonal_lstm": Problem("gradient", ("main", "extra"), _loss, _loss_by_hand)}

WORKLOADS = (
    Workload(
        "gradbench-lstm",
        "lstm",
        "diagonal_lstm",
        "gradbench",
        _text,
        {
            f"l{layers}_c{characters}": {"layers": layers, "characters": characters}
            for layers, characters in ((2, 64), (2, 256), (2, 1_024))
        },
        quick=("l2_c64",),
    ),
)
