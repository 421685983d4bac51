"""``numpy.fft``, whose functions work on Tensors."""

from numpy.fft import *  # noqa: F403  # the whole namespace, as NumPy defines it
