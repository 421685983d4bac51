"""Solving differential equations."""

from __future__ import annotations

import scipy.integrate

import autodiff.scipy.integrate
from autodiff.compat.autograd.scipy.names import names_of

__all__ = ["odeint"]

odeint = autodiff.scipy.integrate.odeint

__getattr__, __dir__ = names_of(autodiff.scipy.integrate, scipy.integrate, globals())
