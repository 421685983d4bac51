"""Time of ``import autodiff`` over ``import numpy``, in fresh processes that take turns."""

import statistics
import subprocess
import sys
import time

ROUNDS = 25


def seconds(statement: str) -> float:
    """Wall-clock time of a fresh process that runs a statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print medians and their ratio, whole processes and less the interpreter's own start."""
    statements = ["pass", "import numpy", "import autodiff"]
    for statement in statements:
        seconds(statement)
    rounds = [[seconds(statement) for statement in statements] for _ in range(ROUNDS)]
    bare, numpy_, autodiff_ = (statistics.median(column) for column in zip(*rounds, strict=True))
    for name, median in (("python", bare), ("numpy", numpy_), ("autodiff", autodiff_)):
        print(f"{name:<9} {median * 1e3:5.0f} ms")
    print(f"whole process: x {autodiff_ / numpy_:.2f}")
    print(f"import alone:  x {(autodiff_ - bare) / (numpy_ - bare):.2f}")


if __name__ == "__main__":
    main()
