"""Numerical checks of derivatives against what the function does.

`check_grads` compares forward and reverse mode with central differences, Richardson-extrapolated
over three steps (Richardson, L. F. (1911), Phil. Trans. R. Soc. A 210, 307-357), so that the
estimate is good to many more digits than any plausible mistake in a rule. A derivative of order k
is checked as the derivative of the derivative of order k - 1, which was itself checked before.
"""

from autodiff.testing.gradients import check_grads

__all__ = ["check_grads"]
