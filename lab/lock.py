"""One lab command at a time, also from different checkouts."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from lab.waiting import until

# An abstract socket: gone when its holder is, however that came about, and no file that could be stale.
NAME = "\0kubefab-lab"
FOREVER = 24 * 3600


def take(lock: socket.socket) -> bool:
    try:
        lock.bind(NAME)
    except OSError:
        return False
    lock.listen()
    return True


def holder() -> str:
    """The process that holds the lock, as the kernel knows it."""
    with socket.socket(socket.AF_UNIX) as ask, suppress(OSError):
        ask.connect(NAME)
        credentials = ask.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return f"process {struct.unpack('3i', credentials)[0]}"
    return "which has just ended"


@contextmanager
def held(say: Callable[[str], None]) -> Iterator[None]:
    """Wait for whoever is at work, and say who that is."""
    with socket.socket(socket.AF_UNIX) as lock:
        if not take(lock):
            say(f"waiting for another lab command, {holder()}")
            until(lambda: take(lock), FOREVER)
        yield
