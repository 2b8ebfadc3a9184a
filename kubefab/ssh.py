"""One SSH connection to a host: opened when first needed, shared by all threads, told in words where it fails."""

import logging
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
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
                try:
                    self.sudo.prepare(self)
                except HostError:
                    self.connection.close()  # so that the next caller is told the same
                    raise
            if self._over:
                raise KubefabError("the run was broken off")  # which is no fault of this host
        transport: paramiko.Transport = self.connection.transport
        return transport

    def execute(self, command: str, stdin: bytes, seconds: float | None = None) -> Answer:
        """Runs a command on a bare channel. `seconds` without a word from it are too many; None: never."""
        transport = self.transport()
        with self._channels:
            return self.converse(transport, command, stdin, seconds)

    def converse(self, transport: paramiko.Transport, command: str, stdin: bytes, seconds: float | None) -> Answer:
        self.trips += 1
        began = time.time()
        try:
            channel = transport.open_session(timeout=CONNECT_SECONDS)
            channel.settimeout(seconds)
            channel.exec_command(command)
            channel.sendall(stdin)
            channel.shutdown_write()
            output = channel.makefile("rb").read()
            errors = channel.makefile_stderr("rb").read()
            status = channel.recv_exit_status()
        except TimeoutError as error:
            raise HostError(f"said nothing for {seconds:.0f} s", hint="is the host overloaded?") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            status, output, errors = -1, b"", str(error).encode()
        if status == -1:
            raise HostError(
                "the connection was lost",
                errors.decode(errors="replace"),
                "what was begun there goes on by itself; run the same command again to go on from there",
            )
        return Answer(status, output.decode(errors="replace"), errors.decode(errors="replace"), began)

    @contextmanager
    def channel(self, command: str) -> Iterator[paramiko.Channel]:
        """A command's bare channel, for what is too big for memory. HostError where the connection is lost."""
        transport = self.transport()
        with self._channels, ExitStack() as stack:
            self.trips += 1
            try:
                channel = transport.open_session(timeout=CONNECT_SECONDS)
                stack.callback(channel.close)
                channel.exec_command(command)
                yield channel
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise HostError("the connection was lost", str(error), "run the same command again") from error

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
        if "connection" in self.__dict__:
            self.connection.close()


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
