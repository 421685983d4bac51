"""``scipy.spatial`` on arrays and Tensors: distances."""

from typing import Any

from autodiff.scipy.spatial import distance

__all__ = ["distance"]


def __getattr__(name: str) -> Any:
    from autodiff.scipy.absent import absent

    raise absent("spatial", name)
