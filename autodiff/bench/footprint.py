"""Installed size of a distribution and of all that it requires, from its metadata."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

__all__ = ["installed_size", "own_requirements", "requirements"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def installed_size(distribution: str) -> tuple[int, dict[str, int]]:
    """Bytes of a distribution and of what it requires, those that are installed.

    Requirements of extras are left out. Compiled bytecode is not counted: when it is written is a
    matter of chance.

    Parameters
    ----------
    distribution : str

    Returns
    -------
    total : int
    by_name : dict
        Bytes by distribution.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        `distribution` is not installed.

    Examples
    --------
    >>> total, by_name = installed_size("optree")
    >>> total == sum(by_name.values()) and "optree" in by_name
    True
    """
    found: dict[str, int] = {}
    pending = [distribution]
    while pending:
        name = _normal(pending.pop())
        if name in found:
            continue
        if name == "autodiff":
            folder = Path(__file__).parents[1]
            found[name] = sum(_bytes(path) for path in folder.rglob("*"))
            pending += own_requirements()
            continue
        try:
            about = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name == _normal(distribution):
                raise
            continue  # for another platform or version of Python
        found[name] = sum(_bytes(Path(str(file.locate()))) for file in about.files or ())
        pending += requirements(about.requires or ())
    return sum(found.values()), dict(sorted(found.items()))


def own_requirements() -> list[str]:
    """What this package requires: from its metadata, or from the checkout that holds it.

    Examples
    --------
    >>> "numpy" in own_requirements()
    True
    """
    try:
        return requirements(metadata.requires("autodiff") or ())
    except metadata.PackageNotFoundError:
        import tomllib

        path = Path(__file__).parents[2] / "pyproject.toml"
        if not path.is_file():
            return []
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        return requirements(project["dependencies"])


def requirements(lines: tuple[str, ...] | list[str]) -> list[str]:
    """Names of requirements that are not those of an extra.

    Examples
    --------
    >>> requirements(["numpy>=2", "scipy>=1.14; extra == 'scipy'"])
    ['numpy']
    """
    names = []
    for line in lines:
        requirement, _, marker = line.partition(";")
        match = _NAME.match(requirement.strip())
        if match and "extra" not in marker and not _elsewhere(marker):
            names.append(match.group())
    return names


def _elsewhere(marker: str) -> bool:
    """Whether a marker plainly names another platform; an unclear one is taken to hold."""
    found = re.search(r"sys_platform\s*==\s*['\"](\w+)['\"]", marker)
    return found is not None and found.group(1) != sys.platform


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() and path.suffix != ".pyc" else 0
