"""A program on a host as if it ran here: what it is told, what it says, its terminal, and how it ends."""

import os
import pty
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from kubefab import streams
from kubefab.errors import HostError
from kubefab.host import Host
from kubefab.ssh import Link
from kubefab.sudo import SUDO_PASSWORD
from tests.sshd import Sshd, connected

SUDO = """\
[ "$1" = -k ] && { stty -echo 2>/dev/null; IFS= read -r word; stty echo 2>/dev/null; [ "$word" = right ] || exit 1; }
[ "$1" = -n ] && { echo 'sudo: a password is required' >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift; exec "$@"
"""


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """This process' input."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    monkeypatch.setattr("sys.stdin", os.fdopen(reader, encoding="utf-8"))


# --- through pipes


def test_output_errors_and_exit_status_are_those_of_the_program(
    host: Host, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert streams.run(host, "printf 'a\\377\\n'; echo no >&2; exit 7", hear_us=False) == 7
    assert capfdbinary.readouterr() == (b"a\xff\n", b"no\n")


def test_what_a_login_says_first_is_no_output(
    host: Host, server: Sshd, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    server.greeting = "echo Welcome; printf 'half a line' >&2"
    streams.run(host, "echo said; echo no >&2", hear_us=False)
    assert capfdbinary.readouterr() == (b"said\n", b"no\n")


def test_a_word_that_is_no_utf_8_arrives_as_its_bytes(host: Host, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert streams.run(host, "printf %s a\udcff", hear_us=False) == 0
    assert capfdbinary.readouterr().out == b"a\xff"


@pytest.mark.parametrize("data", [b"", b"one\ntwo", b"\0\xff" * 100_000, b"exit 3\n"])
def test_what_comes_through_a_pipe_is_its_input_to_the_last_byte(
    host: Host, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], data: bytes
) -> None:
    threading.Thread(target=piped_later, args=(reader := os.pipe(), data)).start()
    monkeypatch.setattr("sys.stdin", os.fdopen(reader[0], encoding="utf-8"))
    assert streams.run(host, "cat", hear_us=True) == 0
    assert capfdbinary.readouterr().out == data


def piped_later(pipe: tuple[int, int], data: bytes) -> None:
    with open(pipe[1], "wb") as writer:
        writer.write(data)


def test_a_long_program_takes_nothing_of_its_input(
    host: Host, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A shell reads its program block by block, and would begin with what comes after it."""
    piped(monkeypatch, b"mine")
    assert streams.run(host, f": {'x' * 50_000}\ncat", hear_us=True) == 0
    assert capfdbinary.readouterr().out == b"mine"


def test_input_that_is_not_asked_for_is_left_to_whoever_reads_it_next(
    host: Host, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """`while read -r node; do inv kubectl -- drain "$node"; done`."""
    piped(monkeypatch, b"next")
    assert streams.run(host, "cat", hear_us=False) == 0
    assert capfdbinary.readouterr().out == b""
    assert sys.stdin.buffer.read() == b"next"


def test_a_reader_that_hangs_up_is_no_fault_of_the_connection(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr("sys.stdout", os.fdopen(writer, "w", encoding="utf-8"))
    with pytest.raises(BrokenPipeError):
        streams.run(host, "echo said", hear_us=False)


def test_a_lost_connection_is_told_with_the_host(host: Host, server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    server.drop = True
    piped(monkeypatch, b"")
    with pytest.raises(HostError) as lost:
        streams.log_in(host, ["true"])
    assert (lost.value.what, lost.value.host) == ("the connection was lost", "manager")


def test_a_login_that_runs_nothing_of_ours_is_told_by_what_it_says(host: Host, server: Sshd) -> None:
    server.greeting = "echo This account is not available.; exit 1"
    with pytest.raises(HostError, match="its login does not run what it is told to") as never:
        streams.run(host, "true", hear_us=False)
    assert "not available" in never.value.lines


def test_a_program_that_a_signal_ends_has_a_status_of_its_own(host: Host) -> None:
    assert streams.run(host, "sh -c 'kill -9 $$'", hear_us=False) == 128 + 9


# --- at a terminal


@dataclass
class Terminal:
    """Ours, and the side of the person before it."""

    person: int
    ours: int
    said: bytes = b""

    def type(self, keys: bytes) -> None:
        os.write(self.person, keys)

    def until(self, word: bytes) -> bytes:
        while word not in self.said:
            assert select.select([self.person], [], [], 30)[0], f"it says no more than {self.said!r}"
            self.said += os.read(self.person, 4096)
        before, _, self.said = self.said.partition(word)
        return before


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    person, ours = pty.openpty()
    termios.tcsetwinsize(ours, (30, 100))
    monkeypatch.setenv("TERM", "xterm-256color")
    stdin, stdout = os.fdopen(ours, encoding="utf-8"), os.fdopen(os.dup(ours), "w", encoding="utf-8")
    # Not sys itself: pytest gives the test streams of its own once this fixture is made.
    monkeypatch.setattr(streams, "sys", SimpleNamespace(stdin=stdin, stdout=stdout, stderr=stdout))
    with stdin, stdout:
        yield Terminal(person, ours)
    os.close(person)


def begun(host: Host, program: str, ended: list[int]) -> threading.Thread:
    """A person types meanwhile. (Signals are for the main thread alone: these runs go without.)"""
    running = threading.Thread(target=lambda: ended.append(streams.run(host, program, hear_us=False)))
    running.start()
    return running


@pytest.fixture
def unsignalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda number, handler: signal.SIG_DFL)
    monkeypatch.setattr("signal.set_wakeup_fd", lambda fd, **_: -1)


@pytest.mark.usefixtures("unsignalled")
def test_a_terminal_there_is_like_ours_and_echoes_nothing_of_the_program(
    host: Host, server: Sshd, terminal: Terminal
) -> None:
    ended: list[int] = []
    running = begun(host, 'tty >/dev/null && stty size && read -r line && echo "<$line>"', ended)
    assert terminal.until(b"30 100\r\n") == b""
    terminal.type(b"typed\r")
    assert terminal.until(b"<typed>\r\n") == b"typed\r\n"
    running.join()
    assert (ended, server.terminals) == ([0], [("xterm-256color", 100, 30)])


@pytest.mark.usefixtures("unsignalled")
def test_an_interrupt_is_the_programs_and_its_status_arrives(host: Host, terminal: Terminal) -> None:
    ended: list[int] = []
    running = begun(host, "sh -c 'echo waits; exec sleep 60'", ended)
    terminal.until(b"waits\r\n")
    terminal.type(b"\x03")
    running.join()
    assert ended == [128 + signal.SIGINT]


@pytest.mark.usefixtures("unsignalled")
def test_our_terminal_is_afterwards_as_it_was(host: Host, terminal: Terminal) -> None:
    before = termios.tcgetattr(terminal.ours)
    begun(host, "true", []).join()
    assert termios.tcgetattr(terminal.ours) == before


@pytest.mark.usefixtures("unsignalled")
def test_a_password_for_sudo_is_not_echoed(server: Sshd, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "right")
    server.stub("sudo", SUDO)
    with connected(server, "user") as host:
        ended: list[int] = []
        begun(host, "echo said", ended).join()
    assert terminal.until(b"said\r\n") == b""
    assert ended == [0]


def test_the_terminal_there_follows_ours(host: Host, server: Sshd, terminal: Terminal) -> None:
    """Though this thread waits for the host, and the signal does not wake it."""

    def resize() -> None:
        terminal.until(b"begun\r\n")
        termios.tcsetwinsize(terminal.person, (40, 120))
        os.kill(os.getpid(), signal.SIGWINCH)
        while not server.sizes:
            time.sleep(0.01)
        terminal.type(b"\r")

    threading.Thread(target=resize, daemon=True).start()
    before = signal.getsignal(signal.SIGWINCH)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
    try:
        assert streams.run(host, "echo begun; read -r line", hear_us=False) == 0
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGWINCH})
    assert server.sizes == [(120, 40)]
    assert signal.getsignal(signal.SIGWINCH) is before


# --- as who logs in


def test_a_shell_is_that_of_who_logs_in(
    host: Host, server: Sshd, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    piped(monkeypatch, b"echo from here\nexit 4\n")
    assert streams.log_in(host, []) == 4
    assert capfdbinary.readouterr().out == b"from here\n"


def test_a_command_arrives_word_by_word(
    host: Host, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    piped(monkeypatch, b"")
    assert streams.log_in(host, ["printf", "%s,", "a  b", "$HOME", "it's"]) == 0
    assert capfdbinary.readouterr().out == b"a  b,$HOME,it's,"


def test_a_host_that_cannot_be_reached_is_told_by_its_name(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    server.know(None)
    with connected(server) as host, pytest.raises(HostError) as failed:
        streams.log_in(host, [])
    assert failed.value.host == "manager"
    assert isinstance(host.link, Link)
