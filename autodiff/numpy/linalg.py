"""``numpy.linalg``, whose functions work on Tensors."""

from numpy.linalg import *  # noqa: F403  # the whole namespace, as NumPy defines it
