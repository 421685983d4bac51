"""What is loaded when it is first asked for, and by whom: the one place above everything it names.

Tapes can be drawn, Jacobians accumulated by elimination, without `import autodiff` loading what
draws and eliminates. The layers below own the questions (`core.deferred.Deferred`); this module,
which the package imports, says where the answers are.
"""

from __future__ import annotations
