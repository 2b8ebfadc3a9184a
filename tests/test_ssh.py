"""One SSH connection, against a server in a thread."""

import re
import shlex
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import paramiko
import pytest

from kubefab.converge import Engine, Group
from kubefab.errors import HostError, KubefabError
from kubefab.host import Host
from kubefab.patience import USUAL
from kubefab.report import Report
from kubefab.ssh import Link
from kubefab.step import Step
from kubefab.sudo import Sudo
from tests import fakes
from tests.sshd import Sshd


def test_a_program_travels_as_standard_input_and_its_arguments_as_words(host: Host, server: Sshd) -> None:
    answer = host.link.execute(shlex.join(["printf", "%s,", "it's", "$HOME"]), b"")
    assert (answer.status, answer.output) == (0, "it's,$HOME,")


def test_what_a_program_says_and_how_it_ended(host: Host) -> None:
    answer = host.link.execute("cat; echo bad >&2; exit 7", b"in")
    assert (answer.status, answer.output, answer.errors) == (7, "in", "bad\n")


def test_round_trips_are_counted(host: Host) -> None:
    host.link.execute("true", b"")
    host.link.execute("true", b"")
    assert host.link.trips == 2


def test_nagle_is_off_and_the_connection_is_kept_alive(host: Host) -> None:
    connection = host.link.transport().sock
    assert isinstance(connection, socket.socket)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_lost_connection_is_told_with_what_to_do(host: Host, server: Sshd) -> None:
    server.drop = True
    with pytest.raises(HostError, match="the connection was lost") as lost:
        host.link.execute("true", b"")
    assert "goes on by itself" in lost.value.hint


def test_a_connection_that_is_only_just_lost_is_no_killed_program(
    host: Host, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transport that dies lets go of its channels first, and says that it is active meanwhile."""
    unlink = vars(paramiko.Channel)["_unlink"]

    def slow(channel: paramiko.Channel) -> None:
        unlink(channel)
        time.sleep(0.2)

    monkeypatch.setattr(paramiko.Channel, "_unlink", slow)
    server.drop = True
    with pytest.raises(HostError, match="the connection was lost"):
        host.link.execute("true", b"")


def test_a_blip_costs_nothing_that_had_not_begun(host: Host, server: Sshd) -> None:
    """Of twenty at once, six are on the wire; the others find another connection when it is their turn."""
    server.greeting = "sleep 0.2"
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(host.link.execute, "true", b"", 10) for _ in range(20)]
        while len(server.commands) < 6:
            time.sleep(0.01)
        host.link.transport().close()
        lost = [one.exception() for one in asked]
    assert sum(error is not None for error in lost) <= 6


def test_a_busy_machine_is_asked_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = host.link.transport()
    busy = [paramiko.SSHException("Timeout opening channel."), paramiko.ChannelException(2, "Connect failed")]
    session = transport.open_session

    def opened(timeout: float) -> paramiko.Channel:
        if busy:
            raise busy.pop()
        return session(timeout=timeout)

    monkeypatch.setattr(transport, "open_session", opened)
    assert host.link.execute("echo well", b"").output == "well\n"


def test_a_machine_that_stays_busy_is_told_as_that(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(timeout: float) -> paramiko.Channel:
        raise paramiko.SSHException("Timeout opening channel.")

    host.link.network.patience = replace(USUAL, busy=0.05)
    monkeypatch.setattr(host.link.transport(), "open_session", opened)
    with pytest.raises(HostError, match="is too busy to take a command: tried for 0 s"):
        host.link.execute("true", b"")


def test_an_sshd_that_opens_too_few_sessions_is_told_by_its_own_word(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock takes one for all of a run: where MaxSessions is 1, nothing else is ever begun."""

    def opened(timeout: float) -> paramiko.Channel:
        raise paramiko.ChannelException(2, "Connect failed")

    host.link.network.patience = replace(USUAL, busy=0.05)
    monkeypatch.setattr(host.link.transport(), "open_session", opened)
    with pytest.raises(HostError, match="its sshd opens no further session: tried for 0 s") as told:
        host.link.execute("true", b"")
    assert "MaxSessions" in told.value.hint


def test_a_link_that_was_closed_opens_no_more(host: Host) -> None:
    host.link.execute("true", b"")
    host.link.close()
    with pytest.raises(KubefabError, match="the run was interrupted"):
        host.link.execute("true", b"")


def test_after_ctrl_c_no_host_is_changed_any_more(server: Sshd) -> None:
    """Though what it waited for came true meanwhile."""
    answer = 'echo held; for part; do printf "== %s\\nend %s\\n" "$mark $part" "$mark $part"; done'
    server.stub("sh", f'[ "$1" != -c ] || exec /bin/sh "$@"; IFS= read -r begin; eval "$begin"; {answer}')
    cluster, link, closed = fakes.cluster(), Link(server.host(), Sudo()), threading.Event()
    cluster.hosts = {"manager": Host(link.wanted, link, cluster.log)}
    changed: list[str] = []

    def close() -> None:
        link.close()
        closed.set()

    def interrupt(_: float) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        closed.wait(5)

    steps = [
        Step("the node is Ready", lambda facts: None if closed.is_set() else "not yet", None, within=300),
        Step("swap is off", lambda facts: "on", lambda host: changed.append(host.name)),
    ]
    cluster.close = close  # type: ignore[method-assign]
    engine = Engine(cluster, Report(cluster.hosts), sleep=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.converge(Group.ALL, lambda cluster, host: steps)
    finally:
        engine.report.close()
        signal.signal(signal.SIGINT, before)
    assert (changed, link.wire.connection.is_connected) == ([], False)


def test_a_host_that_says_nothing_is_not_waited_for_for_ever(host: Host) -> None:
    with pytest.raises(HostError, match="said nothing for 0 s") as told:
        host.link.execute("sleep 1", b"", seconds=0.05)
    assert re.fullmatch(r"is the host overloaded\? its load of the last minute: [\d.]+", told.value.hint)


@pytest.mark.parametrize(
    ("says", "load"),
    [
        ("exit 1", ""),  # no process to be had, say
        ("echo cat: cannot fork: 12.5 GiB are in use", ""),
        ("echo Welcome to a cat; echo; echo 35.10 20.02 9.50 7/812 4711", " its load of the last minute: 35.10"),
    ],
    ids=["nothing", "something else", "a greeting before it"],
)
def test_a_host_that_does_not_tell_its_load_is_told_as_one_that_says_nothing(
    host: Host, server: Sshd, says: str, load: str
) -> None:
    """It was told as a fault of kubefab's own: IndexError."""
    server.stub("cat", says)
    with pytest.raises(HostError, match="said nothing for 0 s") as told:
        host.link.execute("sleep 1", b"", seconds=0.05)
    assert told.value.hint == f"is the host overloaded?{load}"
