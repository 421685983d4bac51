"""``numpy.random``, as it is: random numbers are constants."""

from numpy.random import *  # noqa: F403  # the whole namespace, as NumPy defines it
