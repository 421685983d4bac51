"""Models of finance and simulation: option prices with their greeks, two species in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bench.lazy import Lazy
from autodiff.bench.problem import Problem
from autodiff.bench.problems import runge_kutta
from autodiff.bench.program import Inputs, Program
from autodiff.bench.workload import Workload

special = Lazy("scipy.special")

__all__ = ["PROBLEMS", "WORKLOADS"]

# --- Black & Scholes ------------------------------------------------------------------------------


def _options(options: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "spot": random.uniform(80.0, 120.0, options),
        "volatility": random.uniform(0.1, 0.5, options),
        "time": random.uniform(0.2, 2.0, options),
        "rate": random.uniform(0.0, 0.05, options),
        "strike": random.uniform(80.0, 120.0, options),
    }


def _black_scholes(library: Any, inputs: Inputs) -> Callable[..., Any]:
    """Sum of the prices of calls: its derivatives are those of each price (Black & Scholes 1973).

    The results are delta, vega, theta (with the sign of the derivative by the time to expiry), rho
    and gamma.
    """
    strike = inputs["strike"]

    def total(spot: Any, volatility: Any, time: Any, rate: Any) -> Any:
        spread = volatility * library.sqrt(time)
        drift = (rate + 0.5 * volatility * volatility) * time
        d1 = (library.log(spot / strike) + drift) / spread
        d2 = d1 - spread
        discounted = strike * library.exp(-rate * time)
        return library.sum(spot * library.ndtr(d1) - discounted * library.ndtr(d2))

    return total


def _black_scholes_by_hand(inputs: Inputs) -> Program:
    spot, volatility, time = inputs["spot"], inputs["volatility"], inputs["time"]
    rate, strike = inputs["rate"], inputs["strike"]

    def run() -> list[Any]:
        root = np.sqrt(time)
        spread = volatility * root
        d1 = np.log(spot / strike)
        d1 += (rate + 0.5 * volatility * volatility) * time
        d1 /= spread
        delta = special.ndtr(d1)
        certain = special.ndtr(d1 - spread)
        certain *= strike
        certain *= np.exp(-rate * time)
        # d1 has served: its memory takes the density
        density = np.multiply(d1, d1, out=d1)
        density *= -0.5
        np.exp(density, out=density)
        density *= 1 / math.sqrt(2 * math.pi)
        gamma = density / (spot * spread)
        vega = spot * density
        theta = vega * volatility
        theta /= 2 * root
        theta += rate * certain
        vega *= root
        certain *= time
        return [delta, vega, theta, certain, gamma]

    return Program(run)


# --- Lotka & Volterra -----------------------------------------------------------------------------


def _species(steps: int) -> dict[str, Any]:
    return {
        "start": np.array([1.2, 0.8]),
        "growth": np.array([1.1, -0.6]),
        "effects": np.array([[-0.05, -0.5], [0.4, -0.02]]),
        "target": np.array([1.0, 2.0]),
        "steps": steps,
        "h": 0.05,
    }


def _lotka_volterra(library: Any, inputs: Inputs) -> Callable[..., Any]:
    target, steps, h = inputs["target"], inputs["steps"], inputs["h"]

    def loss(start: Any, growth: Any, effects: Any) -> Any:
        def field(y: Any) -> Any:
            return y * (growth + effects @ y)

        end = library.repeat(lambda y: runge_kutta.step(field, y, h), start, steps)
        return library.sum((end - target) ** 2)

    return loss


def _lotka_volterra_by_hand(inputs: Inputs) -> Program:
    start, growth, effects = inputs["start"], inputs["growth"], inputs["effects"]
    target, steps, h = inputs["target"], inputs["steps"], inputs["h"]
    transposed = effects.T

    def field(y: Any) -> Any:
        return y * (growth + effects @ y)

    def run() -> list[Any]:
        g_growth, g_effects = np.zeros_like(growth), np.zeros_like(effects)

        def pull(y: Any, g: Any) -> Any:
            nonlocal g_growth, g_effects
            g_rate = g * y
            g_growth += g_rate
            g_effects += g_rate[:, None] * y
            g_y = transposed @ g_rate
            g_y += g * (growth + effects @ y)
            return g_y

        end, stages = runge_kutta.trajectory(field, start, h, steps)
        error = end - target
        g_start = runge_kutta.pull_back(pull, stages, h, 2 * error)
        return [error @ error, g_start, g_growth, g_effects]

    return Program(run)


# --- the list -------------------------------------------------------------------------------------

PROBLEMS = {
    "black_scholes": Problem(
        "curvature",
        ("spot", "volatility", "time", "rate"),
        _black_scholes,
        _black_scholes_by_hand,
    ),
    "lotka_volterra": Problem(
        "gradient", ("start", "growth", "effects"), _lotka_volterra, _lotka_volterra_by_hand
    ),
}

WORKLOADS = (
    Workload(
        "black-scholes",
        "Black-Scholes, five greeks, float64",
        "black_scholes",
        "models",
        _options,
        {f"{count:,} options": {"options": count} for count in (1_000, 100_000, 1_000_000)},
        quick=("100,000 options",),
    ),
    Workload(
        "rk4",
        "gradient of Lotka-Volterra, Runge-Kutta 4",
        "lotka_volterra",
        "models",
        _species,
        {f"{steps} steps": {"steps": steps} for steps in (200,)},
        quick=("200 steps",),
    ),
)
