"""How programs become root, against a server in a thread and stubs for sudo."""

import os
import pty
import subprocess
import sys
import termios

import pytest

from kubefab.errors import HostError
from kubefab.framing import Frame
from kubefab.host import Host
from kubefab.log import Log
from kubefab.ssh import Link
from kubefab.sudo import SUDO_PASSWORD, Sudo
from tests.sshd import Sshd

SUDO = r"""
printf '%s\n' "$*" >>"$0.log"
case "$1" in -n) shift; [ "$1" != -- ] || shift; exec "$@" ;; esac
"""
# As sudoers has it with `admin ALL=(ALL) ALL` and `Defaults!/bin/sh !authenticate`: sh needs none, all else does.
SUDO_FOR_SH_WITHOUT = r"""
case "$1" in
    -n) shift; [ "$1" != -- ] || shift
        [ "$1" = sh ] || { echo "sudo: a password is required" >&2; exit 1; } ;;
    -k) shift 4; [ "$1" != -- ] || shift ;;
esac
exec "$@"
"""
SUDO_WITH_PASSWORD = r"""
case "$1 $2" in
    "-n "*) echo "sudo: a password is required" >&2; exit 1 ;;
    "-k -S")
        IFS= read -r password
        [ "$password" = "right" ] || { echo "Sorry, try again." >&2; exit 1; }
        shift 4
        [ "$1" != -- ] || shift
        exec "$@" ;;
esac
"""


def of_user(server: Sshd) -> Host:
    """That server as a host where we are not root; KUBEFAB_SUDO_PASSWORD is read now."""
    wanted = server.host("admin")
    return Host(wanted, Link(wanted, Sudo()), Log(server.folder / "logs"))


def test_root_needs_no_sudo(host: Host, server: Sshd) -> None:
    host.link.execute("true", b"")
    assert server.commands == ["true"]


def ran(host: Host, program: str, *args: str) -> str:
    frame = Frame()
    command, stdin = host.link.sudo.wrap(host.link, frame.command(args), frame.program(program), frame)
    return frame.answer(host.link.execute(command, stdin, 10)).output


def test_a_program_for_sudo_goes_over_standard_input(server: Sshd) -> None:
    server.stub("sudo", SUDO)
    assert ran(of_user(server), "echo $1; echo $((6 * 7))", "a") == "a\n42\n"
    assert server.commands[-1] == "sudo -n -- sh -s -- a"
    assert not any("6 * 7" in command for command in server.commands)


def test_the_sudo_password_goes_before_the_program(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "right")
    server.stub("sudo", SUDO_WITH_PASSWORD)
    assert ran(of_user(server), "echo $1", "a") == "a\n"
    assert server.commands[-1].startswith("sudo -k -S -p '' -- sh -c ")
    assert not any("right" in command for command in server.commands)


def test_the_password_is_given_to_a_sudo_that_asks_in_other_words(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "right")
    in_rust = "interactive authentication is required"
    server.stub("sudo", SUDO_WITH_PASSWORD.replace("a password is required", in_rust))
    assert ran(of_user(server), "echo $1", "a") == "a\n"


def test_sudo_is_asked_about_the_command_that_is_used_later(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "hunter2")
    server.stub("sudo", SUDO_FOR_SH_WITHOUT)
    assert ran(of_user(server), "echo well") == "well\n"
    assert not any(b"hunter2" in said for said in server.stdin)


def test_a_password_that_sudo_does_not_read_is_not_run_as_a_command(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, f"touch {server.folder}/ran")
    server.stub("sudo", SUDO_FOR_SH_WITHOUT.replace('[ "$1" = sh ] ||', ""))
    with pytest.raises(HostError, match="sudo asks for a password, and does not read it"):
        of_user(server).link.transport()
    assert not (server.folder / "ran").exists()


def test_what_a_login_says_of_passwords_is_not_sudos_word(server: Sshd) -> None:
    server.stub("sudo", "echo 'admin is not in the sudoers file.' >&2; exit 1")
    server.greeting = "echo your password expires soon >&2"
    with pytest.raises(HostError, match="sudo does not work") as told:
        of_user(server).link.transport()
    assert "not in the sudoers file" in told.value.lines
    assert "expires" not in told.value.lines


def test_the_password_is_in_nothing_that_is_shown_or_logged(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "right")
    server.stub("sudo", SUDO_WITH_PASSWORD)
    server.stub("kubectl", "echo it was right; exit 1")
    host = of_user(server)
    with pytest.raises(HostError) as failed:
        host.ask("kubectl.sh", "get")
    assert failed.value.lines == "it was (the sudo password)\n"
    assert "right" not in host.log.path.read_text()


def test_a_password_is_sent_as_the_bytes_that_were_typed(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of Latin-1, say: its ü is no UTF-8."""
    monkeypatch.setenv(SUDO_PASSWORD, os.fsdecode(b"r\xfcght"))
    server.stub("sudo", SUDO_WITH_PASSWORD.replace('"right"', '"$(printf "r\\374ght")"'))
    assert ran(of_user(server), "echo $1", "a") == "a\n"


def test_a_wrong_sudo_password_is_told_each_time(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "wrong")
    server.stub("sudo", SUDO_WITH_PASSWORD)
    host = of_user(server)
    for _ in range(2):
        with pytest.raises(HostError, match="sudo does not take this password for admin"):
            host.link.transport()


def test_a_sudo_password_that_nobody_can_be_asked_for_is_named_by_its_variable(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda stream: False)
    server.stub("sudo", SUDO_WITH_PASSWORD)
    with pytest.raises(HostError, match="sudo needs a password") as told:
        of_user(server).link.transport()
    assert SUDO_PASSWORD in told.value.hint


# The terminal is its own; what a shell starts in the background ignores SIGINT.
AT_A_TERMINAL = """
import fcntl, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def at_a_terminal(program: str) -> tuple["subprocess.Popen[bytes]", int]:
    """A Python that runs this with a terminal of its own: its process, and the terminal's other end."""
    terminal, its = pty.openpty()
    words = [sys.executable, "-c", AT_A_TERMINAL + program]
    process = subprocess.Popen(words, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    return process, terminal


def said_until(terminal: int, words: str) -> str:
    said = ""
    while words not in said:
        said += os.read(terminal, 1000).decode()
    return said


def test_the_sudo_password_is_asked_for_once_and_not_shown() -> None:
    program = "from kubefab.sudo import Sudo; s = Sudo(); print([s.password(), s.password()])"
    process, terminal = at_a_terminal(program)
    said_until(terminal, "sudo password: ")
    os.write(terminal, b"right\n")
    assert said_until(terminal, "]").strip() == "['right', 'right']"
    process.wait()


def test_a_terminal_that_controls_nobody_will_do() -> None:
    """As in a container that is given one without a session."""
    program = """
import fcntl, signal, termios
from kubefab.sudo import Sudo
signal.signal(signal.SIGHUP, signal.SIG_IGN)
fcntl.ioctl(0, termios.TIOCNOTTY)
print(Sudo().password() + "!")
"""
    process, terminal = at_a_terminal(program)
    said_until(terminal, "sudo password: ")
    os.write(terminal, b"right\n")
    said_until(terminal, "right!")
    process.wait()


def test_the_end_of_input_is_no_sudo_password() -> None:
    process, terminal = at_a_terminal("from kubefab.sudo import Sudo; Sudo().password()")
    said_until(terminal, "sudo password: ")
    os.write(terminal, b"\x04")
    said_until(terminal, "sudo needs a password, and none was given")
    process.wait()


def test_ctrl_c_ends_the_question_for_the_sudo_password() -> None:
    """Though it is asked in another thread than the one that hears of Ctrl-C; and the terminal is as it was."""
    program = """
from concurrent.futures import ThreadPoolExecutor
from kubefab.sudo import Sudo
sudo = Sudo()
with ThreadPoolExecutor() as pool:
    try:
        list(pool.map(lambda _: sudo.password(), range(3)))
    except KeyboardInterrupt:
        sudo.give_up()
        print("interrupted")
"""
    process, terminal = at_a_terminal(program)
    said_until(terminal, "sudo password: ")
    os.write(terminal, b"\x03")
    said_until(terminal, "interrupted")
    process.wait()
    assert termios.tcgetattr(terminal)[3] & termios.ECHO


def test_a_user_without_sudo_is_told_what_it_said(server: Sshd) -> None:
    server.stub("sudo", "echo 'admin is not in the sudoers file.' >&2; exit 1")
    with pytest.raises(HostError, match="sudo does not work") as told:
        of_user(server).link.transport()
    assert "not in the sudoers file" in told.value.lines
