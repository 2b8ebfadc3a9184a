"""Files of this computer: on its disk, where a power cut leaves them; their sha256; and why they cannot be had."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubefab.errors import HostError, reason


def sync(path: Path) -> None:
    """A file, or the names that are in a folder. OSError where that fails."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def here(path: Path) -> Iterator[None]:
    """What this computer's own files do not do is no fault of the connection: a HostError that says where it was."""
    try:
        yield
    except OSError as error:
        what = f"{path} on this computer: {reason(error)}"
        raise HostError(what, hint="is there room for it, and may you write there?") from error
