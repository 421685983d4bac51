"""mypy agrees with `test_api.py`, and would notice if a transform lost its signature."""

from pathlib import Path

import numpy as np
import pytest
from mypy import api

HERE = Path(__file__).parent
CONFIGURATION = HERE.parent.parent / "pyproject.toml"
PROGRAM = (HERE / "test_api.py").read_text(encoding="utf-8")

TRANSFORMS = (
    "grad",
    "value_and_grad",
    "elementwise_grad",
    "jacobian",
    "hessian",
    "vmap",
    "checkpoint",
    "compile",
    "record",
    "custom_vjp",
    "custom_jvp",
)

LOST = """
def lost(transform: Any) -> Callable[..., Callable[..., Any]]:
    kept: Callable[..., Callable[..., Any]] = transform
    return kept
"""

WRONG = {
    "type": ("(ad.jvp(loss, (X, 1.0), (X, 1.0)), tuple[Any, Any])", "(ad.jvp(loss, (), ()), int)"),
    "value": ("(ad.vmap(curve)(X, power=3), Array)", "(ad.vmap(curve)(X, power=3), int)"),
    "keyword": ("ad.record(curve)(X, power=3)", "ad.record(curve)(X, exponent=3)"),
    "argument": ("ad.name(X, 3)  # type: ignore[arg-type]", "ad.name(X, 3)"),
    "name": ("ad.nowhere  # type: ignore[attr-defined]", "ad.nowhere"),
}


def altered() -> dict[str, str]:
    """Programs with a fault each, by its name."""
    programs = {}
    for transform in TRANSFORMS:
        program = PROGRAM.replace(f"ad.{transform}(", f"lost(ad.{transform})(")
        program = program.replace(f"@ad.{transform}\n", f"@lost(ad.{transform})\n")
        programs[f"lost_{transform}"] = program.replace("\nX: Array", f"{LOST}\n\nX: Array", 1)
    for what, (before, after) in WRONG.items():
        assert PROGRAM.count(before) == 1, before
        programs[f"wrong_{what}"] = PROGRAM.replace(before, after)
    return programs


def test_types_are_as_said_and_faults_are_noticed(tmp_path: Path) -> None:
    """One test, for one run of mypy: two at a time would write to one cache."""
    if np.lib.NumpyVersion(np.__version__) < "2.2.0":
        pytest.skip("NumPy's own types say less")
    paths = [HERE / "test_api.py"]
    for name, program in altered().items():
        paths.append(tmp_path / f"{name}.py")
        paths[-1].write_text(program, encoding="utf-8")
    output, errors, _ = api.run(["--config-file", str(CONFIGURATION), *map(str, paths)])
    assert not errors, errors
    found: dict[str, list[str]] = {path.stem: [] for path in paths}
    for line in output.splitlines():
        path, is_error, complaint = line.partition(": error: ")
        if is_error:
            found[Path(path.rpartition(":")[0]).stem].append(complaint)
    assert found.pop("test_api") == []
    for name, complaints in found.items():
        if name.startswith("lost_"):
            assert any("[assert-type]" in text for text in complaints), (name, complaints)
        else:
            assert len(complaints) == 1, (name, complaints)
