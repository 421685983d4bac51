"""Gradient flow: what arrives at each parameter and through each activation, and what is wrong."""

from autodiff.flow.findings import Finding
from autodiff.flow.gradient_report import Report, report
from autodiff.flow.measure import ActivationFlow, ParameterFlow

__all__ = ["ActivationFlow", "Finding", "ParameterFlow", "Report", "report"]
