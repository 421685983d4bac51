"""``scipy.integrate``: initial value problems and integrals, of functions and of samples."""

from typing import Any

from autodiff.scipy.integrate.ivp import odeint, solve_ivp
from autodiff.scipy.integrate.quadrature import quad, quad_vec
from autodiff.scipy.integrate.sampled import (
    cumulative_simpson,
    cumulative_trapezoid,
    fixed_quad,
    romb,
    simpson,
    trapezoid,
)

__all__ = [
    "cumulative_simpson",
    "cumulative_trapezoid",
    "fixed_quad",
    "odeint",
    "quad",
    "quad_vec",
    "romb",
    "simpson",
    "solve_ivp",
    "trapezoid",
]


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("integrate", name)
