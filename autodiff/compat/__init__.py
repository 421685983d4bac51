"""Other libraries' module trees on this engine.

`autodiff.compat.autograd` has the modules and the conventions of HIPS/autograd. After
``install("autograd")``, ``import autograd`` gives it, so that packages which were written for that
library run on this one unmodified; ``python -m autodiff.compat autograd -m pytest ...`` does so
for a whole process.
"""

from __future__ import annotations

from autodiff.compat.installing import install

__all__ = ["install"]
