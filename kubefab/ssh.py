"""One SSH connection to a host: opened when first needed, shared by all threads, told in words where it fails."""

import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import paramiko
import tenacity
from fabric import Config, Connection
from paramiko.ssh_exception import NoValidConnectionsError

from kubefab import hostkeys, inventory
from kubefab.errors import HostError, KubefabError

if TYPE_CHECKING:
    from kubefab.sudo import Sudo

# Its threads would print what goes wrong beside the error that we raise from it.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

CONNECT_SECONDS = 8
BUSY_SECONDS = 60.0
CHANNELS = 6  # sshd's MaxSessions is ten, and somebody may be logged in by hand


@dataclass(frozen=True)
class Answer:
    """What a program on a host said, and its exit status."""

    status: int
    output: str
    errors: str
    began: float  # seconds of the epoch


class Link:
    """One SSH connection, opened when first needed and shared by all threads."""

    def __init__(self, wanted: inventory.Host, sudo: "Sudo") -> None:
        self.wanted = wanted
        self.sudo = sudo
        self.trips = 0
        self._over = False
        self._opening = threading.Lock()
        self._channels = threading.Semaphore(CHANNELS)

    @cached_property
    def connection(self) -> Connection:
        """Not opened yet. HostError where what ssh is told in files cannot be read."""
        try:
            return self._connection()
        except (OSError, ValueError, paramiko.SSHException) as error:
            hint = "paramiko reads them, and does not know all that ssh knows: leave that out"
            raise HostError(f"the files in ~/.ssh cannot be used: {error}", hint=hint) from error

    @property
    def user(self) -> str:
        """Who logs in."""
        return str(self.connection.user)

    def _connection(self) -> Connection:
        ssh = self.wanted.ssh
        if ssh.key and not ssh.key.exists():
            raise HostError(f"`ssh.key` in hosts.yml names a file that is not there: {ssh.key}")
        arguments: dict[str, Any] = {"banner_timeout": CONNECT_SECONDS, "auth_timeout": 2 * CONNECT_SECONDS}
        if ssh.key:
            arguments |= {"key_filename": [str(ssh.key)], "look_for_keys": False}
        gateway = Connection(ssh.jump, config=Config(), connect_kwargs=dict(arguments)) if ssh.jump else None
        connection = Connection(
            str(self.wanted.address),
            user=ssh.user,
            port=ssh.port,
            gateway=gateway,
            connect_timeout=CONNECT_SECONDS,
            connect_kwargs=arguments,
            config=Config(),
        )
        hostkeys.believe_only_known(connection, ssh.known_hosts)
        return connection

    def transport(self) -> paramiko.Transport:
        """The open transport. HostError, in words for the user, where there is none to be had."""
        with self._opening:
            if not (self._over or self.connection.is_connected):
                _open(self.connection, self.wanted.ssh)
                assert self.connection.transport is not None
                try:
                    self.sudo.prepare(self, self.connection.transport)
                except HostError:
                    self.connection.close()  # so that the next caller is told the same
                    raise
            if self._over:
                raise KubefabError("the run was broken off")  # which is no fault of this host
        transport: paramiko.Transport = self.connection.transport
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

    def begin(self, command: str, seconds: float | None) -> paramiko.Channel:
        """A command's channel, whatever others there are; `channel` is for what is over soon.

        Tried again as long as nothing has begun: after a blip of the connection, and where the host is busy.
        """
        until, blips = time.monotonic() + BUSY_SECONDS, 0
        while True:
            transport = self.transport()
            try:
                return self._begun(transport, command, seconds)
            except (OSError, EOFError, paramiko.SSHException) as error:
                if transport.is_active():
                    if time.monotonic() >= until:
                        raise _too_busy(error) from error
                    time.sleep(1)
                elif blips:
                    raise _lost(error) from error
                blips += not transport.is_active()

    def _begun(self, transport: paramiko.Transport, command: str, seconds: float | None) -> paramiko.Channel:
        self.trips += 1
        channel = transport.open_session(timeout=CONNECT_SECONDS)
        channel.settimeout(seconds)
        channel.exec_command(command)
        return channel

    def _conversation(
        self, channel: paramiko.Channel, stdin: bytes, seconds: float | None, hear: Callable[[bytes], None]
    ) -> Answer:
        began = time.time()
        said: list[bytes] = []
        with talking(seconds, partial(_load, channel.get_transport())):
            if taken(channel, stdin):
                channel.shutdown_write()
            while part := channel.recv(1 << 16):
                said.append(part)
                hear(part)
            errors = channel.makefile_stderr("rb").read()
            status = channel.recv_exit_status()
        if status == -1:
            raise _lost(errors.decode(errors="replace"), killed=channel.get_transport().is_active())
        return Answer(status, b"".join(said).decode(errors="replace"), errors.decode(errors="replace"), began)

    @contextmanager
    def forward(self, port: int, remote_port: int) -> Iterator[None]:
        """localhost:port here is localhost:remote_port there, as long as the context lasts."""
        self.transport()
        self.trips += 1
        with self.connection.forward_local(port, remote_port=remote_port, remote_host="localhost"):
            yield

    def close(self) -> None:
        """For good: a thread that still works with this host goes no further."""
        self._over = True
        self.sudo.give_up()
        if "connection" in self.__dict__:
            self.connection.close()


@contextmanager
def talking(seconds: float | None, load: Callable[[], str] = lambda: "") -> Iterator[None]:
    """What goes wrong on a channel, as HostError: nothing said for so long, or the connection lost."""
    try:
        yield
    except TimeoutError as error:
        raise HostError(f"said nothing for {seconds:.0f} s", hint=f"is the host overloaded?{load()}") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise _lost(error) from error


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


def _lost(error: object, killed: bool = False) -> HostError:
    hint = "what was begun there goes on by itself; run the same command again to go on from there"
    if killed:
        return HostError("what ran there was killed from outside", str(error), "has it run out of memory?")
    return HostError("the connection was lost", str(error), hint)


def _too_busy(error: object) -> HostError:
    what = f"is too busy to take a command: tried for {BUSY_SECONDS:.0f} s"
    return HostError(what, str(error), "is the host overloaded? nothing was begun there; run the same command again")


def _load(transport: paramiko.Transport) -> str:
    """The load of a host that says nothing, where it says at least that."""
    with suppress(OSError, EOFError, paramiko.SSHException), transport.open_session(timeout=CONNECT_SECONDS) as channel:
        channel.settimeout(CONNECT_SECONDS)
        channel.exec_command("cat /proc/loadavg")
        return f" its load of the last minute: {channel.recv(200).decode(errors='replace').split()[0]}"
    return ""


_FAILED = (OSError, EOFError, paramiko.SSHException)


def _open(connection: Connection, ssh: inventory.Ssh) -> None:

    def passing(error: BaseException) -> bool:
        """A host that is just starting, say. Keys and passwords stay wrong."""
        return isinstance(error, _FAILED) and not isinstance(error, socket.gaierror) and not _reached(connection)

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passing),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_fixed(1),
        reraise=True,
    )
    try:
        attempts(connection.open)
    except paramiko.BadHostKeyException as error:
        raise hostkeys.changed(error, connection, ssh.known_hosts) from error
    except (*_FAILED, ValueError) as error:
        if _reached(connection):
            hint = _to_be_let_in(error, connection, ssh)
            raise HostError(f"does not let {connection.user} in: {error}", hint=hint) from error
        hint = "is it on, and is sshd there? `absent: true` in hosts.yml leaves it out"
        what = f"cannot be reached at {connection.host}:{connection.port}: {_reason(error)}"
        raise HostError(what, hint=hint) from error
    transport = connection.transport
    assert transport is not None
    transport.set_keepalive(15)
    if isinstance(transport.sock, socket.socket):
        # paramiko leaves Nagle on, which costs every exec 40 ms; and a pulled cable shall end a wait.
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)


def _to_be_let_in(error: Exception, connection: Connection, ssh: inventory.Ssh) -> str:
    port, who = str(connection.port), f"{connection.user}@{connection.host}"
    if isinstance(error, paramiko.PasswordRequiredException):
        return "unlock it for all of them: " + shlex.join(["ssh-add", *([str(ssh.key)] if ssh.key else [])])
    if str(error) == "No authentication methods available":
        return f"there is no key here: ssh-keygen -t ed25519, then ssh-copy-id -p {port} {who}"
    known_hosts = f"UserKnownHostsFile={ssh.known_hosts}" if ssh.known_hosts else None
    told = [("-J", ssh.jump), ("-i", ssh.key), ("-o", known_hosts)]
    words = [word for option, value in told if value for word in (option, str(value))]
    return "try the same by hand: " + shlex.join(["ssh", "-o", "BatchMode=yes", "-p", port, *words, who])


def _reached(connection: Connection) -> bool:
    """Whether there was a key exchange: what fails after it is a matter of being let in.

    paramiko does not always say so itself: a key of another kind than the last it tries is an SSHException.
    """
    transport = connection.client.get_transport()
    return bool(transport and transport.initial_kex_done)


def _reason(error: Exception) -> str:
    """paramiko gathers what went wrong for each address, and tells none of it."""
    reasons = error.errors.values() if isinstance(error, NoValidConnectionsError) else [error]
    return "; ".join(getattr(reason, "strerror", None) or str(reason) for reason in reasons)
