"""Functions of this engine inside PyTorch and JAX, and theirs inside this one.

`torch_function` and `jax_function` make a function that is written in NumPy one of the other
library: called on its tensors, differentiated by its transforms, to any order. `from_torch` and
`from_jax` go the other way. Each needs the library that it names, which is imported when it is
first called; nothing here is a dependency of the package.
"""

from autodiff.interop.functions import from_jax, from_torch, jax_function, torch_function

__all__ = ["from_jax", "from_torch", "jax_function", "torch_function"]
