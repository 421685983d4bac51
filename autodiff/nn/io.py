"""Saving and loading: one file of arrays with a header, without pickle.

A file is a zip archive of ``.npy`` members, one for each leaf and named by its path (so that
``numpy.load`` reads it too), and ``autodiff.json``: the format, its version, and each leaf's path,
shape and dtype.
"""

from __future__ import annotations

import io
import json
import math
import os
import reprlib
import uuid
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

import autodiff as ad
from autodiff.core.arrays import as_array, as_numpy, is_number, is_scalar, scalar_form
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
        the entry, what was found and what was wanted. No file, whoever made it, leads to another
        error, or takes memory out of proportion to its size.
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
    shown = ", ".join(map(reprlib.repr, names[:4]))
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
        return ad.Tensor(as_array(array, like=leaf), name=leaf.name)
    if is_scalar(leaf):
        return scalar_form(array)
    return array.item() if is_number(leaf) else as_array(array, like=leaf)


# --- reading --------------------------------------------------------------------------------------
#
# A file may come from anywhere, so it is compared with what `save` writes, and not interpreted: of
# the archive only stored members are read, of the header only what is listed below, and the
# array headers, which are Python expressions, are compared as text. Nothing is read before it is
# known that the file has as many bytes.

_DTYPES = {
    dtype.str: dtype
    for code in "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]
    for dtype in (np.dtype(order + np.dtype(code).str[1:]) for order in "<>")
}
"""Dtypes of arrays that can be saved, by the text in the header."""

_MAX_DIMS = 64
_UTF8 = 0x800
"""The only flag of a member that `save` sets: its name is in UTF-8."""

_Entries = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]


class _Bounded(io.BufferedReader):
    """A file that gives at most so many bytes at once, whatever its own tables promise."""

    limit = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, but no more than the limit."""
        wanted = self.limit if size is None or size < 0 else size
        return super().read(min(wanted, self.limit))


def _read(source: Path) -> dict[str, NDArray[Any]]:
    with _Bounded(io.FileIO(source)) as file:
        total = os.fstat(file.fileno()).st_size
        # The list of members, which zipfile reads whole, is less than half of any file of `save`
        file.limit = total // 2
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # of any kind: zipfile does not say what damage may lead to
            raise ad.FileFormatError(
                f"{source}: not a zip archive ({_short(error)}); it is damaged, or not from "
                "nn.save. Take another copy"
            ) from error
        file.limit = total
        with archive:
            members = _members(archive, total, source)
            entries = _entries(archive, members, source)
            extra = members.keys() - {_HEADER} - {_member(name) for name in entries}
            if extra:
                raise ad.FileFormatError(
                    f"{source}: the archive holds {_listing(sorted(extra))}, which its header does "
                    "not list; it was changed after it was saved. Take another copy"
                )
            return {
                name: _entry(archive, members, name, shape, dtype, source)
                for name, (shape, dtype) in entries.items()
            }


def _damaged(source: Path, what: str, why: object) -> ad.FileFormatError:
    return ad.FileFormatError(
        f"{source}: {what} is damaged ({_short(why)}); take another copy of the file"
    )


def _short(why: object) -> str:
    """Text of an error, which may quote the file at any length."""
    text = str(why)
    return text if len(text) <= 400 else f"{text[:400]}..."


def _members(archive: zipfile.ZipFile, total: int, source: Path) -> dict[str, zipfile.ZipInfo]:
    """Members by name: stored as they are, once each, and together not larger than the file."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = reprlib.repr(info.filename)
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ad.FileFormatError(
                f"{source}: {name} is compressed, which nn.save never does; it is not from nn.save"
            )
        if info.flag_bits & ~_UTF8:
            raise _damaged(source, name, f"flags {info.flag_bits:#x}")
        if info.filename in found:
            raise _damaged(source, name, "it is there twice")
        found[info.filename] = info
    if sum(info.file_size for info in found.values()) > total:
        raise _damaged(source, "the archive", "its members are larger than the file")
    return found


def _entries(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], source: Path
) -> _Entries:
    """Read and check the header."""
    if _HEADER not in members:
        raise ad.FileFormatError(
            f"{source}: has no {_HEADER}, so it is not from nn.save; read a file of numpy.savez "
            "with numpy.load"
        )
    # What the longest paths, with every character escaped, and shapes, which the arrays have too,
    # can take: objects made of text are larger than the text
    most = 256 + sum(
        12 * len(name) + min(4 * info.file_size, 24 * _MAX_DIMS) + 256
        for name, info in members.items()
        if name != _HEADER
    )
    try:
        if members[_HEADER].file_size > most:
            raise ValueError(f"{members[_HEADER].file_size} bytes for {len(members)} members")
        header = json.loads(archive.read(members[_HEADER]))
    except Exception as error:  # of any kind, as above
        raise _damaged(source, _HEADER, error) from error
    form = header.get("format") if isinstance(header, dict) else None
    if form != _FORMAT:
        raise ad.FileFormatError(
            f"{source}: {_HEADER} says format {reprlib.repr(form)}, wanted {_FORMAT!r}; it is not "
            "from nn.save"
        )
    version = header.get("version")
    if version != _VERSION or type(version) is not int:
        raise ad.FileFormatError(
            f"{source}: is of format version {reprlib.repr(version)}, this autodiff reads version "
            f"{_VERSION}; read it with the autodiff that wrote it"
        )
    listed = header.get("entries")
    if not isinstance(listed, list):
        raise _damaged(source, _HEADER, "it has no list 'entries'")
    entries: _Entries = {}
    for entry in listed:
        name, shape, dtype = _listed(entry, source)
        if name in entries:
            raise _damaged(source, _HEADER, f"it lists {reprlib.repr(name)} twice")
        entries[name] = (shape, dtype)
    return entries


def _listed(entry: Any, source: Path) -> tuple[str, tuple[int, ...], np.dtype[Any]]:
    """Path, shape and dtype of an entry of the header."""
    if not isinstance(entry, dict) or entry.keys() != {"path", "shape", "dtype"}:
        raise _damaged(
            source, _HEADER, f"an entry needs 'path', 'shape', 'dtype': {reprlib.repr(entry)}"
        )
    name, shape, dtype = entry["path"], entry["shape"], entry["dtype"]
    if (
        not isinstance(name, str)
        or not isinstance(shape, list)
        or len(shape) > _MAX_DIMS
        or not all(type(length) is int and length >= 0 for length in shape)
        or not isinstance(dtype, str)
        or dtype not in _DTYPES
    ):
        raise _damaged(
            source,
            _HEADER,
            f"{reprlib.repr(name)} of shape {reprlib.repr(shape)} and dtype {reprlib.repr(dtype)}",
        )
    return name, tuple(shape), _DTYPES[dtype]


def _entry(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    source: Path,
) -> NDArray[Any]:
    """Read one array; its size is known before anything is allocated."""
    info = members.get(_member(name))
    if info is None:
        raise ad.FileFormatError(
            f"{source}: the header lists {reprlib.repr(name)}, but the archive lacks it; the file "
            "is incomplete. Take another copy"
        )
    size = math.prod(shape) * dtype.itemsize
    try:
        if size > info.file_size:
            raise ValueError(
                f"it has {info.file_size} bytes, the header says {dtype} of shape "
                f"{reprlib.repr(shape)}"
            )
        with archive.open(info) as member:
            text = _array_header(member)
            orders = {_header_text(shape, dtype, fortran): fortran for fortran in (False, True)}
            if text not in orders:
                raise ValueError(
                    f"it is {text[:200]}, the header says {dtype} of shape {reprlib.repr(shape)}"
                )
            content = member.read(size)
            if len(content) != size or member.read(1):
                raise ValueError(f"it has not {size} bytes")
        flat = np.frombuffer(content, dtype)
        return flat.reshape(shape, order="F" if orders[text] else "C")
    except Exception as error:  # of any kind, as above
        raise _damaged(source, reprlib.repr(name), error) from error


def _array_header(member: IO[bytes]) -> str:
    """Text in front of an array in NumPy's format, version 1.0, without its padding."""
    start = member.read(len(_MAGIC) + 2)
    if start[:-2] != _MAGIC:
        raise ValueError("it is no array")
    return member.read(int.from_bytes(start[-2:], "little")).decode("latin1").rstrip(" \n")


_MAGIC = npy.magic(1, 0)


def _header_text(shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool) -> str:
    """What NumPy writes in front of an array."""
    return f"{{'descr': {dtype.str!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
