"""What is collected besides the tests: examples in docstrings."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

LIBRARIES = {
    "torch": ["functions.py", "into_torch.py", "torch_library.py"],
    "jax": ["functions.py", "into_jax.py", "jax_library.py"],
}
"""Modules of `autodiff.interop` that need a library, or whose examples do."""

collect_ignore = sorted(
    {
        f"autodiff/interop/{module}"
        for library, modules in LIBRARIES.items()
        if find_spec(library) is None
        for module in modules
    }
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Examples that install modules under another library's name find, and leave, none of it."""
    if not isinstance(item, pytest.DoctestItem):
        return (yield)
    finders = list(sys.meta_path)
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_autograds(name)}
    try:
        return (yield)
    finally:
        sys.meta_path[:] = finders
        for name in filter(_is_autograds, list(sys.modules)):
            del sys.modules[name]
        sys.modules.update(held)


def _is_autograds(name: str) -> bool:
    return name.partition(".")[0] == "autograd"
