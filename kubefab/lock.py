"""The lock on runs of one host: ours for as long as we are heard of there, and not a moment longer."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import paramiko

from kubefab.framing import Frame

BEAT_SECONDS = 15.0
SILENT_SECONDS = 90.0  # after which scripts/lock.sh lets go
LET_GO_SECONDS = 3.0


def _awake() -> float:
    """Seconds that go on while this computer sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lock:
    """A host's lock that is ours, until it is lost: nothing may be changed from then on."""

    lost = ""  # why it is no longer ours


class Held(Lock):
    """A lock that scripts/lock.sh holds there: it is sent a byte every quarter of a minute, and says that it heard it.

    What was heard last was sent some time before, so that we count it as lost well before it is let go of there.
    """

    def __init__(self, channel: paramiko.Channel, beat: float = BEAT_SECONDS, clock: Callable[[], float] = _awake):
        self._channel = channel
        self._beat = beat
        self._clock = clock
        self._heard = clock()
        self._why = ""
        self._done = threading.Event()
        threading.Thread(target=self._beating, daemon=True).start()

    @property
    def lost(self) -> str:  # type: ignore[override]
        silent = self._clock() - self._heard
        if not self._why and (self._channel.closed or self._channel.eof_received):
            self._why = f"the connection that held it was lost{_reason(self._channel)}"
        if not self._why and silent > SILENT_SECONDS - self._beat:
            self._why = f"it was not heard of for {silent:.0f} s"
        return self._why

    def _beating(self) -> None:
        self._channel.settimeout(self._beat)
        with suppress(OSError, EOFError, paramiko.SSHException):
            while not (self._done.wait(self._beat) or self.lost):
                sent = self._clock()
                self._channel.sendall(b".")
                with suppress(TimeoutError):
                    if self._channel.recv(64):
                        self._heard = sent

    def let_go(self) -> None:
        """The next run, right after this one, shall find it free."""
        self._done.set()
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown_write()
        self._channel.status_event.wait(LET_GO_SECONDS)
        self._channel.close()


def _reason(channel: paramiko.Channel) -> str:
    """In paramiko's words, which it keeps until somebody asks for them."""
    error = channel.get_transport().saved_exception
    return f" ({str(error) or type(error).__name__})" if error else ""


def first_line(channel: paramiko.Channel, frame: Frame) -> str:
    """What lock.sh says first; it goes on saying that it heard us."""
    said = b""
    for part in frame.stream(iter(lambda: channel.recv(4096), b"")):
        said += part
        if b"\n" in said:
            break
    return said.partition(b"\n")[0].decode(errors="replace")
