"""A port of this computer that leads into the cluster, for as long as somebody looks through it."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import paramiko

from kubefab.errors import HostError, KubefabError
from kubefab.facts.api import FORBIDDEN
from kubefab.ssh import Link
from kubefab.wires import CONNECT_SECONDS, PROHIBITED

Address = tuple[str, int]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hung up, or a host that is away just now: the next request tries again."""


@contextmanager
def held(link: Link, target: Address, port: int = 0) -> Iterator[int]:
    """localhost's port, which leads to an address as the host sees it.

    Each connection is a channel of its own: where the SSH connection was lost, the next one opens it again.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError, EOFError, paramiko.SSHException, HostError):
                _relay(self.request, _channel(link, target, self.client_address))

    try:
        server = _Server(("localhost", port), Handler)
    except OSError as error:
        raise KubefabError(f"localhost:{port} cannot be listened on: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def refusal(link: Link, target: Address) -> str:
    """Why nothing at this address, as the host sees it, is to be reached; "" where it is. HostError without a host."""
    try:
        _channel(link, target, ("localhost", 0)).close()
    except paramiko.ChannelException as error:
        return FORBIDDEN if error.code == PROHIBITED else f"nobody listens at {target[0]}:{target[1]}"
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise HostError("the connection was lost", str(error), "run the same command again") from error
    return ""


def _channel(link: Link, target: Address, source: Address) -> paramiko.Channel:
    return link.transport().open_channel("direct-tcpip", target, source, timeout=CONNECT_SECONDS)


def _relay(near: socket.socket, far: paramiko.Channel) -> None:
    """What either end says, to the other, until one of them hangs up.

    By a thread each, and no select: a channel's fileno is that of a pipe, which paramiko's thread may write to while
    the channel is closed. That ends the whole connection (EBADF), or writes into whatever has this number by then.
    """

    def back() -> None:
        with suppress(OSError, EOFError, paramiko.SSHException):
            _pass_on(far, near)
        with suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)

    with far:
        threading.Thread(target=back, daemon=True).start()
        _pass_on(near, far)


def _pass_on(what: Any, to: Any) -> None:
    while said := what.recv(65536):
        to.sendall(said)
