"""How programs become root, against a server in a thread and stubs for sudo."""

import pytest

from kubefab.errors import HostError, KubefabError
from kubefab.host import Host
from kubefab.log import Log
from kubefab.ssh import Link
from kubefab.sudo import SUDO_PASSWORD, Sudo
from tests.sshd import Sshd

SUDO = r"""
printf '%s\n' "$*" >>"$0.log"
case "$1" in -n) shift; [ "$1" != -- ] || shift; exec "$@" ;; esac
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


def test_a_program_for_sudo_goes_over_standard_input(server: Sshd) -> None:
    server.stub("sudo", SUDO)
    host = of_user(server)
    command, stdin = host.link.sudo.wrap(host.link, "sh -s -- a", b"echo $1")
    assert (command, stdin) == ("sudo -n -- sh -s -- a", b"echo $1")
    assert host.link.execute(command, stdin).output == "a\n"


def test_the_sudo_password_goes_before_the_program(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "right")
    server.stub("sudo", SUDO_WITH_PASSWORD)
    host = of_user(server)
    command, stdin = host.link.sudo.wrap(host.link, "sh -s -- a", b"echo $1")
    assert (command, stdin) == ("sudo -k -S -p '' -- sh -s -- a", b"right\necho $1")
    assert host.link.execute(command, stdin).output == "a\n"
    assert not any("right" in command for command in server.commands)


def test_the_password_is_given_to_a_sudo_that_asks_in_other_words(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "right")
    in_rust = "interactive authentication is required"
    server.stub("sudo", SUDO_WITH_PASSWORD.replace("a password is required", in_rust))
    host = of_user(server)
    assert host.link.execute(*host.link.sudo.wrap(host.link, "sh -s -- a", b"echo $1")).output == "a\n"


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
    with pytest.raises(HostError, match="sudo wants a password") as told:
        of_user(server).link.transport()
    assert SUDO_PASSWORD in told.value.hint


def test_the_sudo_password_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.delenv(SUDO_PASSWORD, raising=False)
    monkeypatch.setattr("os.isatty", lambda stream: True)
    monkeypatch.setattr("kubefab.sudo.getpass", lambda prompt: asked.append(prompt) or "right")  # type: ignore[func-returns-value]
    sudo = Sudo()
    assert [sudo.password(), sudo.password()] == ["right", "right"]
    assert asked == ["sudo password: "]


def test_the_end_of_input_is_no_sudo_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(prompt: str) -> str:
        raise EOFError

    monkeypatch.delenv(SUDO_PASSWORD, raising=False)
    monkeypatch.setattr("os.isatty", lambda stream: True)
    monkeypatch.setattr("kubefab.sudo.getpass", end)
    with pytest.raises(KubefabError, match="sudo wants a password, and none was given"):
        Sudo().password()


def test_a_user_without_sudo_is_told_what_it_said(server: Sshd) -> None:
    server.stub("sudo", "echo 'admin is not in the sudoers file.' >&2; exit 1")
    with pytest.raises(HostError, match="sudo does not work") as told:
        of_user(server).link.transport()
    assert "not in the sudoers file" in told.value.lines
