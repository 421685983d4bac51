"""The coverage page says what the library does now."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "docs" / "make_coverage.py"


def test_page_is_current():
    pytest.importorskip("scipy")
    if np.lib.NumpyVersion(np.__version__) < "2.4.0":
        pytest.skip("the page is of a newer NumPy's functions")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
