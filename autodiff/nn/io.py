"""Saving and loading: one file of arrays with a header, without pickle.

A file is a zip archive of ``.npy`` members, one for each leaf and named by its path (so that
``numpy.load`` reads it too), and ``autodiff.json``: the format, its version, and each leaf's path,
shape and dtype.
"""

from __future__ import annotations

import json
import math
import os
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

import autodiff as ad
from autodiff.core.arrays import as_numpy, is_number, is_scalar, scalar_form
from autodiff.nn.module import named_leaves

__all__ = ["load", "save"]

_HEADER = "autodiff.json"
_FORMAT = "autodiff-tree"
_VERSION = 1
_ROOT = "value"  # path of the only leaf of a bare array
_DATE = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes

PathLike = str | os.PathLike[str]


def save(path: PathLike, tree: Any) -> None:
    """Write a module or another container of arrays, Tensors and numbers to one file.

    The file appears complete or not at all: it is written under another name, then renamed.

    Parameters
    ----------
    path : str or path
    tree : module, dict, list, tuple, dataclass, array, ...

    Raises
    ------
    TypeError
        A leaf is not numeric; names its path.
    FileNotFoundError
        The folder of `path` does not exist.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from autodiff import nn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.npz"
    >>> model = nn.Linear(2, 1, seed=0)
    >>> nn.save(path, model)
    >>> copy = nn.load(path, like=model)
    >>> bool(np.all(copy.weight.data == model.weight.data))
    True
    """
    target = Path(path)
    arrays = {name or _ROOT: _array_of(leaf, name or _ROOT) for name, leaf in named_leaves(tree)}
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "entries": [
            {"path": name, "shape": list(array.shape), "dtype": array.dtype.str}
            for name, array in arrays.items()
        ],
    }
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with open(temporary, "xb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr(zipfile.ZipInfo(_HEADER, _DATE), json.dumps(header, indent=1))
                for name, array in arrays.items():
                    info = zipfile.ZipInfo(_member(name), _DATE)
                    with archive.open(info, "w", force_zip64=True) as member:
                        npy.write_array(member, array, version=(1, 0), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: PathLike, like: Any = None) -> Any:
    """Read a file that `save` wrote.

    Parameters
    ----------
    path : str or path
    like : container, optional
        What to load into the shape of: a module or another container whose paths, shapes and
        dtypes are those in the file. It is not changed.

    Returns
    -------
    dict or container
        Without `like` a dict of path to read-only array. With it a container of its structure,
        whose Tensors are new variables, whose Python numbers are Python numbers, and whose arrays
        are read-only.

    Raises
    ------
    FileFormatError
        The file is damaged, not of this format, of a later version, or does not fit `like`; names
        the entry, what was found and what was wanted.
    FileNotFoundError
        There is no such file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from autodiff import nn
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tree.npz"
    >>> nn.save(path, {"w": np.ones(2), "step": 3})
    >>> nn.load(path)
    {"['step']": array(3), "['w']": array([1., 1.])}
    >>> nn.load(path, like={"w": np.zeros(2), "step": 0})
    {'w': array([1., 1.]), 'step': 3}
    """
    source = Path(path)
    found = _read(source)
    if like is None:
        return found
    structure = ad.tree.flatten(like)[1]
    wanted = [(name or _ROOT, leaf) for name, leaf in named_leaves(like)]
    names = [name for name, _ in wanted]
    missing = [name for name in names if name not in found]
    unexpected = [name for name in found if name not in set(names)]
    if missing or unexpected:
        lacks = f"lacks {_listing(missing)}" if missing else ""
        has = f"has {_listing(unexpected)}, which `like` has not" if unexpected else ""
        raise ad.FileFormatError(
            f"{source}: {' and '.join(filter(None, (lacks, has)))}; build `like` as the saved "
            "container was built, or load without `like` to see what is there"
        )
    return ad.tree.unflatten(
        structure, [_fitted(found[name], leaf, name, source) for name, leaf in wanted]
    )


def _member(name: str) -> str:
    return f"{name}.npy"


def _listing(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:4]))
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _array_of(leaf: Any, name: str) -> NDArray[Any]:
    array = as_numpy(leaf.data if isinstance(leaf, ad.Tensor) else leaf)
    if array.dtype.kind not in "fciub":
        raise TypeError(
            f"save: {name} is a {type(leaf).__name__} of dtype {array.dtype}; only numbers, "
            "numeric arrays and Tensors can be saved"
        )
    return array


def _fitted(array: NDArray[Any], leaf: Any, name: str, source: Path) -> Any:
    """Check an entry against the leaf it replaces, and make the same kind of leaf of it."""
    wanted = leaf if isinstance(leaf, ad.Tensor) else as_numpy(leaf)
    if array.shape != wanted.shape:
        raise ad.FileFormatError(
            f"{source}: {name} has shape {array.shape} in the file, `like` has {wanted.shape}; "
            "build `like` with the sizes that were saved"
        )
    if array.dtype != wanted.dtype:
        raise ad.FileFormatError(
            f"{source}: {name} has dtype {array.dtype} in the file, `like` has {wanted.dtype}; "
            "build `like` with the dtype that was saved, and convert afterwards"
        )
    if isinstance(leaf, ad.Tensor):
        return ad.Tensor(array, name=leaf.name)
    if is_scalar(leaf):
        return scalar_form(array)
    return array.item() if is_number(leaf) else array


# --- reading --------------------------------------------------------------------------------------


_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    NotImplementedError,  # zipfile's answer to what it does not know
    RuntimeError,  # and to encrypted members
)


def _read(source: Path) -> dict[str, NDArray[Any]]:
    with open(source, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except _ERRORS as error:
            raise ad.FileFormatError(
                f"{source}: not a zip archive ({error}); it is damaged, or not from nn.save. Take "
                "another copy"
            ) from error
        with archive:
            entries = _entries(archive, source)
            extra = set(archive.namelist()) - {_HEADER} - {_member(name) for name in entries}
            if extra:
                raise ad.FileFormatError(
                    f"{source}: the archive holds {_listing(sorted(extra))}, which its header does "
                    "not list; it was changed after it was saved. Take another copy"
                )
            return {
                name: _entry(archive, name, shape, dtype, source)
                for name, (shape, dtype) in entries.items()
            }


def _damaged(source: Path, what: str, why: object) -> ad.FileFormatError:
    return ad.FileFormatError(f"{source}: {what} is damaged ({why}); take another copy of the file")


def _entries(
    archive: zipfile.ZipFile, source: Path
) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Read and check the header."""
    if _HEADER not in archive.namelist():
        raise ad.FileFormatError(
            f"{source}: has no {_HEADER}, so it is not from nn.save; read a file of numpy.savez "
            "with numpy.load"
        )
    try:
        header = json.loads(archive.read(_HEADER))
    except _ERRORS as error:
        raise _damaged(source, _HEADER, error) from error
    form = header.get("format") if isinstance(header, dict) else None
    if form != _FORMAT:
        raise ad.FileFormatError(
            f"{source}: {_HEADER} says format {form!r}, wanted {_FORMAT!r}; it is not from nn.save"
        )
    version = header.get("version")
    if version != _VERSION:
        raise ad.FileFormatError(
            f"{source}: is of format version {version!r}, this autodiff reads version {_VERSION}; "
            "read it with the autodiff that wrote it"
        )
    try:
        entries = {
            str(entry["path"]): (
                tuple(int(length) for length in entry["shape"]),
                np.dtype(str(entry["dtype"])),
            )
            for entry in header["entries"]
        }
    except _ERRORS as error:
        raise _damaged(source, _HEADER, f"entry list: {error!r}") from error
    for name, (shape, dtype) in entries.items():
        if dtype.kind not in "fciub" or any(length < 0 for length in shape):
            raise _damaged(source, _HEADER, f"{name} of shape {shape} and dtype {dtype}")
    return entries


def _entry(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], source: Path
) -> NDArray[Any]:
    """Read one array; its size is known before anything is allocated."""
    try:
        info = archive.getinfo(_member(name))
    except KeyError:
        raise ad.FileFormatError(
            f"{source}: the header lists {name!r}, but the archive lacks it; the file is "
            "incomplete. Take another copy"
        ) from None
    size = math.prod(shape) * dtype.itemsize
    try:
        with archive.open(info) as member:
            version = npy.read_magic(member)
            if version != (1, 0):
                raise ValueError(f"array format version {version}")
            own_shape, fortran, own_dtype = npy.read_array_header_1_0(member)
            if (own_shape, own_dtype) != (shape, dtype):
                raise ValueError(
                    f"it is {own_dtype} of shape {own_shape}, the header says {dtype} of shape "
                    f"{shape}"
                )
            content = member.read(size)
            if len(content) != size or member.read(1):
                raise ValueError(f"it has not {size} bytes")
    except _ERRORS as error:
        raise _damaged(source, repr(name), error) from error
    flat = np.frombuffer(content, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
