"""Set-up for all tests."""

import os

# Before NumPy is first imported: with small matrices and several test processes, BLAS threads only
# wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis

# The same examples in each run; how long one takes decides nothing.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")
