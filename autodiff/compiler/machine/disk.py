"""Object code on disk, so that a later process need not compile it again, and what uses it.

A file holds a digest of its content and the content, nothing that Python would run; a file that
does not hold what its digest says is ignored.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

from autodiff import host

__all__ = ["OBJECTS", "PROGRAMS", "Disk", "default"]

MOST_BYTES = 64 * 2**20
"""Of all files together; the ones that were not used for longest go first."""

OBJECTS = ".object"
PROGRAMS = ".program"


class Disk:
    """A folder of object code, or of one other kind of file.

    Parameters
    ----------
    folder : path
    most_bytes : int, optional
    kind : str, optional
        How names of files end.
    """

    def __init__(
        self, folder: str | os.PathLike[str], most_bytes: int = MOST_BYTES, kind: str = OBJECTS
    ) -> None:
        self.folder = os.fspath(folder)
        self.most_bytes = most_bytes
        self.kind = kind

    @staticmethod
    def key(*parts: str) -> str:
        """The name of what depends on the parts."""
        digest = hashlib.sha256()
        for part in parts:
            data = part.encode()
            digest.update(len(data).to_bytes(8, "little") + data)
        return digest.hexdigest()

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, key + self.kind)

    def get(self, key: str) -> bytes | None:
        """The code of the name, if it is here and whole."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            self.forget(key)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data[32:]

    def put(self, key: str, image: bytes) -> None:
        """Keep the code. A folder that cannot be written to is no error."""
        if host.put(self._path(key), hashlib.sha256(image).digest() + image):
            self._prune()

    def forget(self, key: str) -> None:
        """Remove the code of the name."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(key))

    def _prune(self) -> None:
        files: list[tuple[float, int, str]] = []
        with contextlib.suppress(OSError):
            for found in os.scandir(self.folder):
                if found.name.endswith(self.kind):
                    with contextlib.suppress(OSError):
                        status = found.stat()
                        files.append((status.st_mtime, status.st_size, found.path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files, key=lambda file: file[:2]):
            if total <= self.most_bytes:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
                total -= size


def default(kind: str = OBJECTS) -> Disk | None:
    """The folder of this user, or the one that the environment names; None if it is switched off.

    Code of a folder that others can write to would be run as one's own, so such a folder is not
    used.
    """
    folder = host.cache_folder("kernels")
    return None if folder is None else Disk(folder, kind=kind)
