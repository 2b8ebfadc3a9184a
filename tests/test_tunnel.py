"""A port that leads to an address as a host sees it, and outlives the connection it goes through."""

import socket
import threading

import pytest

from kubefab import tunnel
from kubefab.errors import HostError, KubefabError
from kubefab.ssh import Link
from tests.fakes import cluster

TARGET = ("10.96.0.7", 80)


class Channel(socket.socket):
    """As paramiko's, whose fileno makes a pipe that its own thread writes to, also once it is closed."""

    def fileno(self) -> int:
        raise AssertionError("a channel that somebody selects may end its whole connection as it is closed")


class Lost(Link):
    """A link of which each connection is good for one channel: socket pairs take the place of SSH."""

    def __init__(self) -> None:
        super().__init__(cluster().founder.wanted, cluster().founder.link.sudo)
        self.opened = 0
        self.asked: list[tuple[str, int]] = []
        self.away = False

    def transport(self) -> "Lost":  # type: ignore[override]
        if self.away:
            raise HostError("the connection was lost")
        self.opened += 1
        return self

    def open_channel(
        self, kind: str, target: tuple[str, int], source: tuple[str, int], timeout: float
    ) -> socket.socket:
        near, far = socket.socketpair()
        self.asked.append(target)
        threading.Thread(target=echo, args=(far,), daemon=True).start()
        return Channel(fileno=near.detach())


def echo(far: socket.socket) -> None:
    with far:
        while said := far.recv(100):
            far.sendall(said.upper())


@pytest.fixture
def link() -> Lost:
    return Lost()


def answer(port: int) -> bytes:
    with socket.create_connection(("localhost", port), timeout=5) as end:
        end.sendall(b"hello")
        return end.recv(100)


def test_what_goes_in_comes_out_at_the_target(link: Lost) -> None:
    with tunnel.held(link, TARGET) as port:
        assert answer(port) == b"HELLO"
    assert link.asked == [TARGET]


def test_each_connection_opens_a_lost_link_again(link: Lost) -> None:
    with tunnel.held(link, TARGET) as port:
        assert answer(port) == b"HELLO"
        link.away = True
        assert answer(port) == b""
        link.away = False
        assert answer(port) == b"HELLO"
    assert link.opened == 2


def test_a_port_that_is_taken_is_told(link: Lost) -> None:
    with tunnel.held(link, TARGET) as port:
        taken = tunnel.held(link, TARGET, port)
        with pytest.raises(KubefabError, match=f"localhost:{port} cannot be listened on"), taken:
            pass
