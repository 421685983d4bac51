"""``scipy.integrate``: initial value problems and integrals, of functions and of samples."""

from typing import Any

from scipy.integrate import (
    BDF,
    DOP853,
    LSODA,
    RK23,
    RK45,
    IntegrationWarning,
    ODEintWarning,
    Radau,
    newton_cotes,
)

from autodiff.scipy.integrate.bvp import solve_bvp
from autodiff.scipy.integrate.ivp import odeint, solve_ivp
from autodiff.scipy.integrate.nested import dblquad, nquad, tplquad
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
    "BDF",
    "DOP853",
    "LSODA",
    "RK23",
    "RK45",
    "IntegrationWarning",
    "ODEintWarning",
    "Radau",
    "cumulative_simpson",
    "cumulative_trapezoid",
    "dblquad",
    "fixed_quad",
    "newton_cotes",
    "nquad",
    "odeint",
    "quad",
    "quad_vec",
    "romb",
    "simpson",
    "solve_bvp",
    "solve_ivp",
    "tplquad",
    "trapezoid",
]


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("integrate", name)
