"""What is written on this computer, on its disk: a power cut leaves it there."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """A file, or the names that are in a folder. OSError where that fails."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
