"""A host's programs over its one SSH connection: run, listened to, and told in words where that fails."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import paramiko

from kubefab import inventory, ways
from kubefab.errors import HostError, KubefabError, Unheard
from kubefab.wires import Network, Wire

if TYPE_CHECKING:
    from kubefab.sudo import Sudo

BUSY_PAUSE = 1.0
LOAD = re.compile(r"^([\d.]+) [\d.]+ [\d.]+ \d+/\d+ \d+$", re.MULTILINE)  # /proc/loadavg
CHANNELS = 6  # sshd's MaxSessions is ten, and somebody may be logged in by hand


@dataclass(frozen=True)
class Answer:
    """What a program on a host said, and its exit status."""

    status: int
    output: str
    errors: str
    began: float  # seconds of the epoch


class Link:
    """The connection to a host of hosts.yml, shared by all threads, on which we are root."""

    def __init__(self, wanted: inventory.Host, sudo: "Sudo", network: Network | None = None) -> None:
        self.wanted = wanted
        self.sudo = sudo
        self.network = network or Network()
        self.wire = Wire(lambda: ways.way(wanted.ssh, str(wanted.address)), wanted.ssh, self.network)
        self.trips = 0
        self._over = False
        self._preparing = threading.Lock()
        self._prepared: paramiko.Transport | None = None
        self._channels = threading.Semaphore(CHANNELS)

    @property
    def user(self) -> str:
        """Who logs in."""
        return self.wire.way.user

    @property
    def known_as(self) -> str:
        """The name by which known_hosts has its key."""
        return self.wire.way.name

    def transport(self) -> paramiko.Transport:
        """The open transport, on which sudo is known to work. HostError where there is none to be had."""
        with self._preparing:
            if self._over:
                raise KubefabError("the run was interrupted")  # which is no fault of this host
            transport = self.wire.transport()
            if transport is not self._prepared:
                try:
                    self.sudo.prepare(self, transport)
                except HostError:
                    self.wire.close()  # so that the next caller is told the same
                    raise
                self._prepared = transport
            if self._over:
                self.wire.close()
                raise KubefabError("the run was interrupted")
            return transport

    def execute(
        self, command: str, stdin: bytes, seconds: float | None = None, hear: Callable[[bytes], None] = lambda _: None
    ) -> Answer:
        """Runs a command on a bare channel; `hear` is given its output as it comes.

        `seconds` without a word from it are too many; None: never.
        """
        with self.channel(command, seconds) as channel:
            return self._conversation(channel, stdin, seconds, hear)

    def converse(self, transport: paramiko.Transport, command: str, stdin: bytes, seconds: float) -> Answer:
        """The same on a transport that is just being made ready."""
        with talking(seconds), self._begun(transport, command, seconds) as channel:
            return self._conversation(channel, stdin, seconds, lambda _: None)

    @contextmanager
    def channel(self, command: str, seconds: float | None) -> Iterator[paramiko.Channel]:
        """A command's bare channel. HostError where there is none to be had; what goes wrong on it see `talking`."""
        with self._channels, self.begin(command, seconds) as channel:
            yield channel

    def begin(
        self, command: str, seconds: float | None, prepare: Callable[[paramiko.Channel], None] = lambda _: None
    ) -> paramiko.Channel:
        """A command's channel, whatever others there are; `channel` is for what is over soon. "" is a login's shell.

        Tried again as long as nothing has begun: after a blip of the connection, and where the host is busy.
        """
        busy, blips = self.network.patience.busy, 0
        until = time.monotonic() + busy
        while True:
            transport = self.transport()
            try:
                return self._begun(transport, command, seconds, prepare)
            except (OSError, EOFError, paramiko.SSHException) as error:
                if transport.is_active():
                    if time.monotonic() >= until:
                        raise _too_busy(error, busy) from error
                    time.sleep(BUSY_PAUSE)
                elif blips:
                    raise lost(error) from error
                blips += not transport.is_active()

    def _begun(
        self,
        transport: paramiko.Transport,
        command: str,
        seconds: float | None,
        prepare: Callable[[paramiko.Channel], None] = lambda _: None,
    ) -> paramiko.Channel:
        self.trips += 1
        # A busy machine is not a lost one; and a channel that was given up would come all the same, and stay.
        channel = transport.open_session(timeout=self.network.patience.busy)
        channel.settimeout(seconds)
        prepare(channel)
        if command:
            channel.exec_command(command)
        else:
            channel.invoke_shell()
        return channel

    def _conversation(
        self, channel: paramiko.Channel, stdin: bytes, seconds: float | None, hear: Callable[[bytes], None]
    ) -> Answer:
        began = time.time()
        said: list[bytes] = []
        with talking(seconds, partial(_load, channel.get_transport(), self.network.patience.connect)):
            if taken(channel, stdin):
                channel.shutdown_write()
            while part := channel.recv(1 << 16):
                said.append(part)
                hear(part)
            errors = channel.makefile_stderr("rb").read()
            status = channel.recv_exit_status()
        if status == -1:
            raise lost(errors.decode(errors="replace"), killed=killed_there(channel))
        return Answer(status, b"".join(said).decode(errors="replace"), errors.decode(errors="replace"), began)

    def close(self) -> None:
        """For good: a thread that still works with this host goes no further."""
        self._over = True
        self.sudo.give_up()
        self.wire.close()
        self.network.close()


def killed_there(channel: paramiko.Channel) -> bool:
    """Of a program without an exit status: whether it was ended there, or the connection was lost.

    A transport that dies lets go of its channels first, and counts as active meanwhile; but says no end of theirs.
    """
    return bool(channel.eof_received and channel.get_transport().is_active())


@contextmanager
def talking(seconds: float | None, load: Callable[[], str] = lambda: "") -> Iterator[None]:
    """What goes wrong on a channel, as HostError: nothing said for so long, or the connection lost."""
    try:
        yield
    except TimeoutError as error:
        raise Unheard(f"said nothing for {seconds:.0f} s", hint=f"is the host overloaded?{load()}") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise lost(error) from error


def taken(channel: paramiko.Channel, data: bytes) -> bool:
    """Whether it was read. A login that ends at once, with a word why, takes no program: the word is wanted then."""
    try:
        channel.sendall(data)
    except TimeoutError:
        raise
    except OSError:
        if not channel.get_transport().is_active():
            raise
        return False
    return True


def lost(error: object, killed: bool = False) -> HostError:
    hint = "a change that has begun there goes on by itself; run the same command again to continue"
    if killed:
        return HostError("what ran there was killed from outside", str(error), "has it run out of memory?")
    return Unheard("the connection was lost", str(error), hint)


def _too_busy(error: object, seconds: float) -> HostError:
    if isinstance(error, paramiko.ChannelException):  # an answer, and at once: it is not busy
        hint = f"let MaxSessions in its sshd_config be 10, as it is by default: kubefab uses up to {CHANNELS + 1}"
        return HostError(f"its sshd opens no further session: tried for {seconds:.0f} s", str(error), hint)
    what = f"is too busy to take a command: tried for {seconds:.0f} s"
    return HostError(what, str(error), "is the host overloaded? nothing was begun there; run the same command again")


def _load(transport: paramiko.Transport, seconds: float) -> str:
    """The load of a host that says nothing, where it says at least that."""
    with suppress(OSError, EOFError, paramiko.SSHException), transport.open_session(timeout=seconds) as channel:
        channel.settimeout(seconds)
        channel.exec_command("cat /proc/loadavg")
        said = LOAD.search(channel.makefile("rb").read(1 << 16).decode(errors="replace"))
        return f" its load of the last minute: {said[1]}" if said else ""
    return ""
