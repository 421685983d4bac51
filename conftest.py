"""What is collected besides the tests: examples in docstrings."""

from importlib.util import find_spec

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
