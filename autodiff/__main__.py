"""``python -m autodiff``: the command line."""

import sys

from autodiff.cli import main

sys.exit(main())
