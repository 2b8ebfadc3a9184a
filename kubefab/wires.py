"""The connections themselves: straight or by way of others, opened a few at a time; in words where that fails."""

import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import paramiko
import tenacity
from fabric import Config, Connection
from paramiko.ssh_exception import NoValidConnectionsError

from kubefab import hostkeys, inventory, ways
from kubefab.errors import HostError, KubefabError, Refused, Unreachable
from kubefab.facts.api import FORBIDDEN
from kubefab.identities import NO_KEY, Identities
from kubefab.patience import USUAL, Patience
from kubefab.ways import Way

# Its threads would print what goes wrong beside the error that we raise from it.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

CONNECT_SECONDS = 8  # until a channel is open
FAILED_SECONDS = 60.0  # in which a jump host that failed is not tried again
OPENING = 8  # connections at one time
PROHIBITED = paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
NOT_REACHED = paramiko.common.OPEN_FAILED_CONNECT_FAILED


class Network:
    """What the connections of a run share: how many are being opened at one time, the jump hosts, and the patience."""

    def __init__(self) -> None:
        self.patience = USUAL
        self.opening = threading.Semaphore(OPENING)
        self.over = False
        self._jumps: dict[tuple[str, inventory.Ssh], Wire] = {}
        self._finding = threading.Lock()

    def jump(self, ssh: inventory.Ssh, jumps: tuple[str, ...]) -> "Wire":
        """The one connection to a jump host, for all behind it: sshd bears few that have not logged in yet.

        Of what hosts.yml says of a host behind it, the key and the known host keys are for the jump host as well.
        """
        shared = inventory.Ssh(key=ssh.key, known_hosts=ssh.known_hosts, jump=",".join(jumps[:-1]) or None)
        with self._finding:
            if (jumps[-1], shared) not in self._jumps:
                title = f"jump host {jumps[-1]}: "
                self._jumps[jumps[-1], shared] = Wire(lambda: ways.hop(shared, jumps), shared, self, title)
            return self._jumps[jumps[-1], shared]

    def close(self) -> None:
        """For good: nobody who still waits for a turn, or for the next try, gets one."""
        self.over = True
        for wire in self._jumps.values():
            wire.close()


class Wire:
    """One SSH connection, straight or by way of others; opened when first needed, and again when it is lost."""

    def __init__(self, way: Callable[[], Way], ssh: inventory.Ssh, network: Network, title: str = "") -> None:
        self.ssh = ssh
        self.network = network
        self.title = title
        self._way = way
        self._opening = threading.Lock()
        self._failed: tuple[float, HostError] | None = None

    @cached_property
    def way(self) -> Way:
        return self._way()

    @cached_property
    def connection(self) -> Connection:
        """Not opened yet. HostError where what ssh is told in files cannot be read."""
        way = self.way
        connection = Connection(
            way.host,
            user=way.user,
            port=way.port,
            gateway=self.gateway.connection if self.gateway else _proxy(way.command),
            connect_kwargs={
                "auth_strategy": Identities(way),
                "transport_factory": partial(_transport, hostkeys.known(way.name, way.known_hosts)),
            },
            config=Config(ssh_config=paramiko.SSHConfig()),  # ssh has read its own
        )
        connection.client.set_missing_host_key_policy(hostkeys.Checked(way.name, way.known_hosts))
        return connection

    @cached_property
    def gateway(self) -> "Wire | None":
        return self.network.jump(self.ssh, self.way.jumps) if self.way.jumps else None

    def transport(self) -> paramiko.Transport:
        """The open transport. HostError, in words for the user, where there is none to be had."""
        with self._opening:
            if not self.connection.is_connected:
                self._open()
            transport: paramiko.Transport = self.connection.transport
            return transport

    def _open(self) -> None:
        if self._failed and time.monotonic() - self._failed[0] < FAILED_SECONDS:
            raise copy(self._failed[1])  # each host behind a jump host would try it anew
        try:
            if self.gateway:
                self.gateway.transport()
            _open(self.connection, self.way, self.ssh, self.network)
        except HostError as error:
            if self.title:
                error.what, error.on_the_way = f"{self.title}{error.what}", True
                self._failed = time.monotonic(), copy(error)  # whoever hears of this one writes his host's name into it
            raise

    def close(self) -> None:
        if "connection" in self.__dict__:
            self.connection.close()


class Transport(paramiko.Transport):
    """One that remembers what the other end offers, by sshd_config's words: paramiko forgets it where it is no use."""

    offers: Mapping[str, list[str]] = MappingProxyType({})

    def _parse_kex_init(self, message: paramiko.Message) -> None:
        offered = paramiko.Message(message.get_remainder())
        offered.get_bytes(16)  # RFC 4253, 7.1: a cookie, then lists
        self.offers = {
            word: offered.get_list() for word in ("KexAlgorithms", "HostKeyAlgorithms", "", "Ciphers", "", "MACs")
        }
        super()._parse_kex_init(message)  # type: ignore[misc]


def _transport(found: list[hostkeys.Known], *args: Any, **kwargs: Any) -> Transport:
    """Asks for a key of the kinds that are known of this host."""
    transport = Transport(*args, **kwargs)
    options = transport.get_security_options()
    options.key_types = hostkeys.preferred(found, options.key_types)
    return transport


def _proxy(command: str) -> str | None:
    """As ssh runs it: by a shell, in whose place it stands."""
    return shlex.join(["sh", "-c", f"exec {command}"]).replace("%", "%%") if command else None


_FAILED = (OSError, EOFError, paramiko.SSHException, ValueError)


def _open(connection: Connection, way: Way, ssh: inventory.Ssh, network: Network) -> None:
    patience = network.patience
    _limit(connection, patience)
    connection.client.close()  # of the connection that was lost, else its key exchange would be taken for a new one's

    def once() -> None:
        with network.opening:
            if network.over:
                raise KubefabError("the run was interrupted")
            connection.open()

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: _passing(error, connection)),
        stop=tenacity.stop_after_attempt(patience.tries),
        wait=tenacity.wait_random(0.5, 2),  # not all at once again: sshd's MaxStartups
        reraise=True,
    )
    try:
        attempts(once)
    except _FAILED as error:
        raise _not_open(error, connection, way, ssh) from error
    transport = connection.transport
    transport.set_keepalive(15)
    if isinstance(transport.sock, socket.socket):
        # paramiko leaves Nagle on, which costs every exec 40 ms; and a pulled cable shall end a wait.
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)


def _limit(connection: Connection, patience: Patience) -> None:
    connection.connect_timeout = patience.connect
    connection.connect_kwargs |= {f"{what}_timeout": patience.banner for what in ("banner", "auth", "channel")}


def _passing(error: BaseException, connection: Connection) -> bool:
    """A host that is just starting, say. Keys and passwords stay wrong, and names unknown."""
    lasting = (socket.gaierror, paramiko.ssh_exception.IncompatiblePeer)
    return isinstance(error, _FAILED) and not isinstance(error, lasting) and not _reached(connection)


def _not_open(error: Exception, connection: Connection, way: Way, ssh: inventory.Ssh) -> HostError:
    if _reached(connection):
        hint = getattr(error, "hint", "") or _to_be_let_in(error, way, ssh)
        return HostError(f"does not let {way.user} in: {error}", hint=hint)
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return _nothing_in_common(error, connection)
    by = f" by way of {way.jumps[-1]}" if way.jumps else " by its ProxyCommand" if way.command else ""
    what = f"cannot be reached at {way.host}:{way.port}{by}: {_reason(error)}"
    kind = Refused if any(isinstance(one, ConnectionRefusedError) for one in _causes(error)) else Unreachable
    hint = "is it on, and is sshd there? `absent: true` in hosts.yml leaves out a worker"
    return kind(what, hint=hint, on_the_way=_is_jumps(error))


def _is_jumps(error: Exception) -> bool:
    """Whether a jump host gives a channel to no host, as where it forbids that."""
    return isinstance(error, paramiko.ChannelException) and error.code != NOT_REACHED


def _nothing_in_common(error: Exception, connection: Connection) -> HostError:
    """Whatever the user's own ssh can do: sshd's words for what paramiko can."""
    transport = connection.client.get_transport()
    can = transport.get_security_options()
    by_word = {
        "Ciphers": can.ciphers,
        "KexAlgorithms": can.kex,
        "HostKeyAlgorithms": can.key_types,
        "MACs": can.digests,
    }
    for word, usable in by_word.items():
        offered = transport.offers.get(word, [])
        if not set(offered) & set(usable):
            what = f"its sshd has no {word} that paramiko can use, only {', '.join(offered)}"
            return HostError(what, hint=f"let {word} in its sshd_config have one of: {', '.join(usable)}")
    return HostError(f"its sshd and paramiko do not understand each other: {error}")


def _to_be_let_in(error: Exception, way: Way, ssh: inventory.Ssh) -> str:
    who = f"{way.user}@{way.host}"
    if str(error) == NO_KEY:
        return f"make one and take it there: ssh-keygen -t ed25519, then ssh-copy-id -p {way.port} {who}"
    known_hosts = f"UserKnownHostsFile={ssh.known_hosts}" if ssh.known_hosts else None
    told = [("-J", ssh.jump), ("-i", ssh.key), ("-o", known_hosts)]
    words = [word for option, value in told if value for word in (option, str(value))]
    return "try the same by hand: " + shlex.join(["ssh", "-o", "BatchMode=yes", "-p", str(way.port), *words, who])


def _reached(connection: Connection) -> bool:
    """Whether there was a key exchange: what fails after it is a matter of being let in.

    paramiko does not always say so itself: a key of another kind than the last it tries is an SSHException.
    """
    transport = connection.client.get_transport()
    return bool(transport and transport.initial_kex_done)


def _reason(error: Exception) -> str:
    """paramiko gathers what went wrong for each address, and tells none of it."""
    if isinstance(error, paramiko.ChannelException):
        return FORBIDDEN if error.code == PROHIBITED else f"it says {error.text.lower()}"
    return "; ".join(getattr(one, "strerror", None) or str(one) or type(one).__name__ for one in _causes(error))


def _causes(error: Exception) -> list[Exception]:
    return [*error.errors.values()] if isinstance(error, NoValidConnectionsError) else [error]
