"""Set-up for all tests."""

import os
import shutil
import tempfile

# Before NumPy is first imported: with small matrices and several test processes, BLAS threads only
# wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

try:
    import hypothesis
except ModuleNotFoundError:  # the tests on a device run without it
    pass
else:
    # The same examples in each run; how long one takes decides nothing.
    hypothesis.settings.register_profile(
        "repeatable", derandomize=True, deadline=None, database=None
    )
    hypothesis.settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled code in a folder of this run, which all of its processes share."""
    if "AUTODIFF_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="autodiff-")
        os.environ["AUTODIFF_CACHE_DIR"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
