"""Connections, straight and by way of others, against servers in threads."""

import errno
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from shlex import join
from typing import Any

import paramiko
import pytest
from fabric import Connection

from kubefab import wires
from kubefab.errors import HostError, Refused, UnknownHostKey, Unreachable
from kubefab.host import Host
from kubefab.log import Log
from kubefab.patience import SHORT, USUAL
from kubefab.ssh import Link
from kubefab.sudo import Sudo
from kubefab.wires import Network
from tests import sshd
from tests.sshd import ADDRESS, HOST_KEY, OTHER_KEY, Sshd, ssh_needed


def test_a_host_that_is_not_there_is_told_by_its_address(server: Sshd, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    wanted = server.host()
    away = Link(wanted.model_copy(update={"ssh": wanted.ssh.model_copy(update={"port": port})}), Sudo())
    with pytest.raises(Refused, match=f"cannot be reached at 127.0.0.1:{port}: Connection refused") as told:
        away.transport()
    assert "absent: true" in told.value.hint


def test_a_host_that_goes_off_after_it_has_answered_is_not_said_to_let_nobody_in(
    tmp_path: Path, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed is the new connection: that there was a key exchange on the one before says nothing of it."""
    (tmp_path / "other").mkdir()
    with sshd.running(tmp_path / "other") as other:
        link = Link(other.host(), Sudo())
        link.transport().close()
    tried, connect = list[Connection](), Connection.open

    def counted(connection: Connection) -> None:
        tried.append(connection)
        connect(connection)

    monkeypatch.setattr(Connection, "open", counted)
    with pytest.raises(Refused, match=f"cannot be reached at 127.0.0.1:{other.port}: Connection refused"):
        link.transport()
    assert len(tried) == USUAL.tries


def test_who_has_little_patience_tries_once(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def refused(connection: Connection) -> None:
        tried.append(connection.connect_timeout)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(Connection, "open", refused)
    away = Link(server.host(), Sudo())
    for patience in (USUAL, SHORT):
        away.network.patience = patience
        with pytest.raises(HostError, match="Connection refused"):
            away.transport()
    assert tried == [8, 8, 8, 3]


def test_after_ctrl_c_no_host_is_tried_any_more(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty that are away, behind a VPN that is off say, would be gone through for two minutes."""
    network, tried, closed = Network(), list[Connection](), threading.Event()
    links = [Link(server.host(), Sudo(), network) for _ in range(2 * wires.OPENING)]
    last = threading.Barrier(wires.OPENING)

    def away(connection: Connection) -> None:
        tried.append(connection)
        if not closed.is_set() and last.wait() == 0:
            for link in links:
                link.close()
            closed.set()
        closed.wait(5)
        raise TimeoutError(errno.ETIMEDOUT, "timed out")

    monkeypatch.setattr(Connection, "open", away)
    with ThreadPoolExecutor(len(links)) as pool:
        errors = [asked.exception() for asked in [pool.submit(link.transport) for link in links]]
    assert (len(tried), {str(error) for error in errors}) == (wires.OPENING, {"the run was interrupted"})


def test_a_user_who_is_not_let_in_is_told_how_to_try_by_hand(server: Sshd, tmp_path: Path) -> None:
    OTHER_KEY.write_private_key_file(str(tmp_path / "key"))
    with pytest.raises(HostError, match="does not let root in") as told:
        Link(server.host(), Sudo()).transport()
    words = join(["-i", f"{tmp_path}/key", "-o", f"UserKnownHostsFile={server.known_hosts}"])
    assert told.value.hint == f"try the same by hand: ssh -o BatchMode=yes -p {server.port} {words} root@127.0.0.1"


def with_key(server: Sshd, key: Path | None) -> Link:
    wanted = server.host()
    return Link(wanted.model_copy(update={"ssh": wanted.ssh.model_copy(update={"key": key})}), Sudo())


@pytest.mark.parametrize("name", ["none", "x" * 300])
def test_a_key_that_is_not_there_is_told(server: Sshd, tmp_path: Path, name: str) -> None:
    """Also where to look for it fails: a folder that is not for everybody, a name that is too long."""
    with pytest.raises(HostError, match=rf"names a file that is not there, or not for you to read: .*/{name}$"):
        with_key(server, tmp_path / name).transport()


def test_a_key_with_a_passphrase_is_for_the_agent(server: Sshd, tmp_path: Path) -> None:
    OTHER_KEY.write_private_key_file(str(tmp_path / "locked"), "secret")
    with pytest.raises(HostError, match="does not let root in") as told:
        with_key(server, tmp_path / "locked").transport()
    assert told.value.hint == f"unlock it for all of them: ssh-add {tmp_path}/locked"


def test_whoever_has_no_key_is_told_how_to_make_one(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HostError, match="does not let root in") as told:
        with_key(server, None).transport()
    hint = f"make one and take it there: ssh-keygen -t ed25519, then ssh-copy-id -p {server.port} root@127.0.0.1"
    assert told.value.hint == hint


# --- by way of others


def behind(server: Sshd, jump: str, network: Network, user: str = "root") -> Link:
    wanted = server.host(user)
    return Link(wanted.model_copy(update={"ssh": wanted.ssh.model_copy(update={"jump": jump})}), Sudo(), network)


@pytest.fixture
def bastion(tmp_path: Path) -> Iterator[Sshd]:
    """Another server, known like the first."""
    (tmp_path / "bastion").mkdir()
    with sshd.running(tmp_path / "bastion") as running:
        yield running


def test_twenty_hosts_behind_a_jump_host_that_bears_two_are_all_reached(
    server: Sshd, bastion: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share one connection to it: its MaxStartups counts those that have not logged in yet."""
    bastion.startups = 2
    server.know(HOST_KEY, f"[{ADDRESS}]:{server.port},[{ADDRESS}]:{bastion.port}")
    network = Network()
    network.patience = replace(USUAL, banner=60)  # all of them are threads of this one Python
    links = [behind(server, f"root@{ADDRESS}:{bastion.port}", network) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(lambda link: link.execute("echo well", b"", 60).output, links))
    assert said == ["well\n"] * 20
    assert bastion.logins == 1


def test_hosts_with_users_of_their_own_share_it_as_well(server: Sshd, bastion: Sshd) -> None:
    server.know(HOST_KEY, f"[{ADDRESS}]:{server.port},[{ADDRESS}]:{bastion.port}")
    network = Network()
    for user in ("ann", "eve"):
        behind(server, f"root@{ADDRESS}:{bastion.port}", network, user).wire.transport()
    assert (bastion.logins, server.logins) == (1, 2)


def test_a_jump_host_that_lets_nobody_in_is_told_as_that(server: Sshd, bastion: Sshd) -> None:
    server.know(HOST_KEY, f"[{ADDRESS}]:{server.port},[{ADDRESS}]:{bastion.port}")
    bastion.keys = []
    with pytest.raises(HostError) as told:
        behind(server, f"nobody@{ADDRESS}:{bastion.port}", Network()).transport()
    assert told.value.what.startswith(f"jump host nobody@{ADDRESS}:{bastion.port}: does not let nobody in: ")
    assert f"nobody@{ADDRESS}" in told.value.hint


def test_a_jump_host_whose_key_is_not_known_is_told_as_that(server: Sshd, bastion: Sshd) -> None:
    with pytest.raises(UnknownHostKey, match=f"jump host {ADDRESS}:{bastion.port}: its SSH key is not known") as told:
        behind(server, f"{ADDRESS}:{bastion.port}", Network()).transport()
    assert told.value.accepting.startswith(f"[{ADDRESS}]:{bastion.port} ")


def test_a_jump_host_that_is_away_is_asked_by_the_first_alone(server: Sshd, bastion: Sshd) -> None:
    network = Network()
    for _ in range(3):
        with pytest.raises(HostError, match=r"jump host .*: its SSH key is not known"):
            behind(server, f"{ADDRESS}:{bastion.port}", network).transport()
    assert bastion.connections == 1


def test_each_host_behind_a_jump_host_that_is_away_is_told_by_its_own_name(server: Sshd, bastion: Sshd) -> None:
    """What was remembered of the first one's failure is nobody's."""
    network, told = Network(), []
    for name in ("client1", "client2"):
        link = behind(server, f"{ADDRESS}:{bastion.port}", network)
        host = Host(link.wanted.model_copy(update={"name": name}), link, Log(server.folder))
        with pytest.raises(HostError) as error:
            host.ask("kubectl.sh")
        told.append(error.value.host)
    assert told == ["client1", "client2"]


def test_a_host_that_the_jump_host_does_not_reach_is_told_by_both(server: Sshd, bastion: Sshd) -> None:
    server.know(HOST_KEY, f"[{ADDRESS}]:{bastion.port}")
    bastion.forwards = False
    way = f"cannot be reached at {ADDRESS}:{server.port} by way of root@{ADDRESS}:{bastion.port}: sshd forbids TCP"
    with pytest.raises(HostError, match=way):
        behind(server, f"root@{ADDRESS}:{bastion.port}", Network()).transport()


def test_the_jump_hosts_connection_is_watched_like_any_other(server: Sshd, bastion: Sshd) -> None:
    server.know(HOST_KEY, f"[{ADDRESS}]:{server.port},[{ADDRESS}]:{bastion.port}")
    link = behind(server, f"root@{ADDRESS}:{bastion.port}", Network())
    link.transport()
    assert link.wire.gateway
    connection = link.wire.gateway.transport().sock
    assert isinstance(connection, socket.socket)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_a_jump_host_that_refuses_the_connection_tells_nothing_of_the_hosts_behind_it(server: Sshd) -> None:
    with socket.create_server((ADDRESS, 0)) as closed:
        port = closed.getsockname()[1]
    network = Network()
    for _ in range(2):  # told anew, and as it was remembered
        with pytest.raises(HostError, match=f"jump host {ADDRESS}:{port}: .* Connection refused") as told:
            behind(server, f"{ADDRESS}:{port}", network).transport()
        assert told.value.on_the_way


@pytest.mark.parametrize(("forwards", "on_the_way"), [(True, False), (False, True)])
def test_what_the_jump_host_forbids_tells_nothing_of_the_host_behind_it(
    server: Sshd, bastion: Sshd, forwards: bool, on_the_way: bool
) -> None:
    """Where it forwards, and the host refuses it, it says no more than that it failed to connect."""
    server.know(HOST_KEY, f"[{ADDRESS}]:{bastion.port}")
    bastion.forwards = forwards
    with socket.create_server((ADDRESS, 0)) as closed:
        port = closed.getsockname()[1]
    wanted = server.host()
    ssh = wanted.ssh.model_copy(update={"jump": f"root@{ADDRESS}:{bastion.port}", "port": port})
    with pytest.raises(Unreachable) as told:
        Link(wanted.model_copy(update={"ssh": ssh}), Sudo(), Network()).transport()
    assert (isinstance(told.value, Refused), told.value.on_the_way) == (False, on_the_way)


@ssh_needed
def test_a_proxy_command_is_run_by_a_shell(server: Sshd) -> None:
    relay = server.folder / "relay.py"
    relay.write_text(RELAY)
    (server.folder / ".ssh").mkdir()
    config = f"Host {ADDRESS}\n  ProxyCommand {sys.executable} '{relay}' %h %p 2>/dev/null\n"
    (server.folder / ".ssh" / "config").write_text(config)
    link = Link(server.host(), Sudo())
    assert link.execute("echo well", b"", 10).output == "well\n"
    assert not isinstance(link.transport().sock, socket.socket)
    link.close()


RELAY = """
import os, select, socket, sys
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    for one in select.select([0, far], [], [])[0]:
        said = os.read(0, 65536) if one == 0 else far.recv(65536)
        if not said:
            sys.exit()
        far.sendall(said) if one == 0 else os.write(1, said)
"""


def test_an_sshd_with_other_ciphers_than_paramikos_is_told_by_their_names(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def transport(*args: Any, **kwargs: Any) -> wires.Transport:
        made = wires.Transport(*args[1:], **kwargs)
        made.get_security_options().ciphers = ("aes128-ctr",)
        return made

    server.ciphers = ("aes256-gcm@openssh.com", "aes256-ctr")
    monkeypatch.setattr(wires, "_transport", transport)
    with pytest.raises(HostError) as told:
        Link(server.host(), Sudo()).transport()
    assert told.value.what == "its sshd has no Ciphers that paramiko can use, only aes256-gcm@openssh.com, aes256-ctr"
    assert told.value.hint == "let Ciphers in its sshd_config have one of: aes128-ctr"


def test_keys_that_a_client_does_not_like_end_no_server(server: Sshd) -> None:
    server.know(None)
    with pytest.raises(UnknownHostKey):
        Link(server.host(), Sudo()).transport()
    server.know(HOST_KEY)
    assert isinstance(Link(server.host(), Sudo()).transport(), paramiko.Transport)
