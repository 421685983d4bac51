"""mypy agrees with `test_api.py`, and would notice if a transform lost its signature."""

from pathlib import Path

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


def complaints(*paths: Path) -> list[str]:
    """What mypy, as the project configures it, has to say of some files."""
    output, errors, _ = api.run(["--config-file", str(CONFIGURATION), *map(str, paths)])
    assert not errors, errors
    assert output, "mypy says what it has found, or that it has found nothing"
    return [line for line in output.splitlines() if ": error: " in line]


@pytest.fixture(scope="module")
def altered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy says of altered programs, by the alteration. One run: most of one is its start."""
    folder = tmp_path_factory.mktemp("altered")
    programs = {}
    for transform in TRANSFORMS:
        program = PROGRAM.replace(f"ad.{transform}(", f"lost(ad.{transform})(")
        program = program.replace(f"@ad.{transform}\n", f"@lost(ad.{transform})\n")
        programs[f"lost_{transform}"] = program.replace("\nX: Array", f"{LOST}\n\nX: Array", 1)
    for what, (before, after) in WRONG.items():
        assert PROGRAM.count(before) == 1, before
        programs[f"wrong_{what}"] = PROGRAM.replace(before, after)
    for name, program in programs.items():
        (folder / f"{name}.py").write_text(program, encoding="utf-8")
    found = complaints(*[folder / f"{name}.py" for name in programs])
    return {name: [line for line in found if f"{name}.py:" in line] for name in programs}


def test_the_public_api_has_the_types_it_is_said_to_have() -> None:
    assert complaints(HERE / "test_api.py") == []


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_lost_signature_is_noticed(altered: dict[str, list[str]], transform: str) -> None:
    """As if the transform took any function and returned any other."""
    noticed = altered[f"lost_{transform}"]
    assert any("[assert-type]" in line for line in noticed), noticed


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_expectation_is_noticed(altered: dict[str, list[str]], what: str) -> None:
    assert len(altered[f"wrong_{what}"]) == 1, altered[f"wrong_{what}"]
