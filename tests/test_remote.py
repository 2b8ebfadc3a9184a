"""Hosts over SSH, against a server in a thread: whom to believe, how to become root, what the log keeps."""

import shlex
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from paramiko.hostkeys import HostKeys

from kubefab import remote
from kubefab.converge import Engine
from kubefab.errors import HostError, KubefabError, UnknownHostKey
from kubefab.remote import Answer, Host, Link, Log, Sudo
from kubefab.report import Report
from kubefab.step import Step
from tests import fakes, sshd
from tests.sshd import HOST_KEY, OTHER_KEY, Sshd

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


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    monkeypatch.delenv(remote.SUDO_PASSWORD, raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with sshd.running(tmp_path) as running:
        yield running


@pytest.fixture
def host(server: Sshd, tmp_path: Path) -> Iterator[Host]:
    yield from connected(server, tmp_path)


def connected(server: Sshd, folder: Path, user: str = "root") -> Iterator[Host]:
    wanted = server.host(user)
    link = Link(wanted, Sudo())
    yield Host(wanted, link, Log(folder / "state" / "logs"), "swap is off")
    link.close()


def of_user(server: Sshd, folder: Path) -> Host:
    return next(connected(server, folder, "admin"))


# --- one connection


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


def test_a_link_that_was_closed_opens_no_more(host: Host) -> None:
    host.link.execute("true", b"")
    host.link.close()
    with pytest.raises(KubefabError, match="the run was broken off"):
        host.link.execute("true", b"")


def test_after_ctrl_c_no_host_is_changed_any_more(server: Sshd) -> None:
    """Though what it waited for came true meanwhile."""
    server.stub("sh", '[ "$1" != -c ] || exec /bin/sh "$@"; echo held; for part; do echo "== $part"; done')
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
        Step("it is Ready", lambda facts: None if closed.is_set() else "not yet", None, within=300),
        Step("swap is off", lambda facts: "on", lambda host: changed.append(host.name)),
    ]
    cluster.close = close  # type: ignore[method-assign]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            Engine(cluster, Report(cluster.hosts), sleep=interrupt).converge("all", lambda cluster, host: steps)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (changed, link.connection.is_connected) == ([], False)


def test_a_host_that_says_nothing_is_not_waited_for_for_ever(host: Host) -> None:
    with pytest.raises(HostError, match="said nothing for 0 s"):
        host.link.execute("sleep 1", b"", seconds=0.05)


def test_a_host_that_is_not_there_is_told_by_its_address(server: Sshd, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    wanted = server.host()
    away = Link(wanted.model_copy(update={"ssh": wanted.ssh.model_copy(update={"port": port})}), Sudo())
    with pytest.raises(HostError, match=f"cannot be reached at 127.0.0.1:{port}: Connection refused") as told:
        away.transport()
    assert "absent: true" in told.value.hint


def test_a_user_who_is_not_let_in_is_told_how_to_try_by_hand(server: Sshd, tmp_path: Path) -> None:
    OTHER_KEY.write_private_key_file(str(tmp_path / "key"))
    with pytest.raises(HostError, match="does not let root in") as told:
        Link(server.host(), Sudo()).transport()
    words = f"-i {tmp_path}/key -o UserKnownHostsFile={server.known_hosts}"
    assert told.value.hint == f"try the same by hand: ssh -o BatchMode=yes -p {server.port} {words} root@127.0.0.1"


def with_key(server: Sshd, key: Path | None) -> Link:
    wanted = server.host()
    return Link(wanted.model_copy(update={"ssh": wanted.ssh.model_copy(update={"key": key})}), Sudo())


def test_a_key_that_is_not_there_is_told(server: Sshd, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"`ssh\.key` in hosts\.yml names a file that is not there: .*/none$"):
        with_key(server, tmp_path / "none").transport()


def test_a_key_with_a_passphrase_is_for_the_agent(server: Sshd, tmp_path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(tmp_path / "locked")]
    subprocess.run(words, check=True)
    with pytest.raises(HostError, match="does not let root in") as told:
        with_key(server, tmp_path / "locked").transport()
    assert told.value.hint == f"unlock it for all of them: ssh-add {tmp_path}/locked"


def test_whoever_has_no_key_is_told_how_to_make_one(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HostError, match="does not let root in") as told:
        with_key(server, None).transport()
    hint = f"there is no key here: ssh-keygen -t ed25519, then ssh-copy-id -p {server.port} root@127.0.0.1"
    assert told.value.hint == hint


def test_a_config_of_ssh_that_paramiko_cannot_read_is_told(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Match final all\n")
    with pytest.raises(HostError, match=r"the files in ~/\.ssh cannot be used: Match does not allow 'all'"):
        Link(server.host(), Sudo()).transport()


# --- whose key


def test_a_key_that_nobody_knows_is_refused_with_the_line_that_would_accept_it(server: Sshd) -> None:
    server.know(None)
    with pytest.raises(UnknownHostKey) as refused:
        Link(server.host(), Sudo()).transport()
    error = refused.value
    assert error.what == f"its SSH key is not known: {HOST_KEY.get_name()} {HOST_KEY.fingerprint}"
    assert error.lines == f"[127.0.0.1]:{server.port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    assert error.hint == str(server.known_hosts)
    server.known_hosts.write_text(f"{error.lines}\n")
    Link(server.host(), Sudo()).transport()


def test_a_changed_key_is_refused_by_the_line_that_knows_another(server: Sshd) -> None:
    server.know(OTHER_KEY)
    with pytest.raises(HostError) as refused:
        Link(server.host(), Sudo()).transport()
    where = f"{server.known_hosts}:1"
    assert refused.value.what == (
        f"its SSH key has changed: now {HOST_KEY.get_name()} {HOST_KEY.fingerprint}; known from {where}"
    )
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}' -f {server.known_hosts}" in refused.value.hint


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ("10.0.0.1", 2),
        ("[10.0.0.1]:22,10.0.0.1,manager", 2),
        (HostKeys.hash_host("10.0.0.1"), 2),
        ("10.0.0.10", None),
        (HostKeys.hash_host("10.0.0.10"), None),
    ],
)
def test_the_line_of_a_key_is_found_by_plain_and_hashed_names(tmp_path: Path, names: str, line: int | None) -> None:
    file = tmp_path / "known_hosts"
    key = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    file.write_text(f"other {key}\n{names} {key}\n")
    found = remote._where("10.0.0.1", [file])
    assert found == (f"{file}:{line or '?'}")


@pytest.mark.parametrize("hashed", [False, True])
def test_a_port_is_part_of_a_name(tmp_path: Path, hashed: bool) -> None:
    name = "[10.0.0.1]:2222"
    file = tmp_path / "known_hosts"
    key = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    file.write_text(f"10.0.0.1 {key}\n{HostKeys.hash_host(name) if hashed else name} {key}\n")
    assert remote._where(name, [file]) == f"{file}:2"


@pytest.mark.parametrize("line", ["# a comment", "", "other ssh-rsa", "other ssh-rsa AAAA", "# 10.0.0.1 x y"])
def test_lines_that_are_no_keys_are_passed_over(tmp_path: Path, line: str) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{line}\n10.0.0.1 {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    assert remote._where("10.0.0.1", [file]) == f"{file}:2"


# --- how to become root


def test_root_needs_no_sudo(host: Host, server: Sshd) -> None:
    host.link.execute("true", b"")
    assert server.commands == ["true"]


def test_a_program_for_sudo_goes_over_standard_input(server: Sshd, tmp_path: Path) -> None:
    server.stub("sudo", SUDO)
    host = of_user(server, tmp_path)
    command, stdin = host.link.sudo.wrap(host.link, "sh -s -- a", b"echo $1")
    assert (command, stdin) == ("sudo -n -- sh -s -- a", b"echo $1")
    assert host.link.execute(command, stdin).output == "a\n"


def test_the_sudo_password_goes_before_the_program(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(remote.SUDO_PASSWORD, "right")
    server.stub("sudo", SUDO_WITH_PASSWORD)
    host = of_user(server, tmp_path)
    command, stdin = host.link.sudo.wrap(host.link, "sh -s -- a", b"echo $1")
    assert (command, stdin) == ("sudo -k -S -p '' -- sh -s -- a", b"right\necho $1")
    assert host.link.execute(command, stdin).output == "a\n"
    assert not any("right" in command for command in server.commands)


def test_the_password_is_given_to_a_sudo_that_asks_in_other_words(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(remote.SUDO_PASSWORD, "right")
    in_rust = "interactive authentication is required"
    server.stub("sudo", SUDO_WITH_PASSWORD.replace("a password is required", in_rust))
    host = of_user(server, tmp_path)
    assert host.link.execute(*host.link.sudo.wrap(host.link, "sh -s -- a", b"echo $1")).output == "a\n"


def test_a_wrong_sudo_password_is_told_each_time(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(remote.SUDO_PASSWORD, "wrong")
    server.stub("sudo", SUDO_WITH_PASSWORD)
    host = of_user(server, tmp_path)
    for _ in range(2):
        with pytest.raises(HostError, match="sudo does not take this password for admin"):
            host.link.transport()


def test_a_sudo_password_that_nobody_can_be_asked_for_is_named_by_its_variable(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda stream: False)
    server.stub("sudo", SUDO_WITH_PASSWORD)
    with pytest.raises(HostError, match="sudo wants a password") as told:
        of_user(server, tmp_path).link.transport()
    assert remote.SUDO_PASSWORD in told.value.hint


def test_the_sudo_password_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.delenv(remote.SUDO_PASSWORD, raising=False)
    monkeypatch.setattr("os.isatty", lambda stream: True)
    monkeypatch.setattr(remote, "getpass", lambda prompt: asked.append(prompt) or "right")  # type: ignore[func-returns-value]
    sudo = Sudo()
    assert [sudo.password(), sudo.password()] == ["right", "right"]
    assert asked == ["sudo password: "]


def test_the_end_of_input_is_no_sudo_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(prompt: str) -> str:
        raise EOFError

    monkeypatch.delenv(remote.SUDO_PASSWORD, raising=False)
    monkeypatch.setattr("os.isatty", lambda stream: True)
    monkeypatch.setattr(remote, "getpass", end)
    with pytest.raises(KubefabError, match="sudo wants a password, and none was given"):
        Sudo().password()


def test_a_user_without_sudo_is_told_what_it_said(server: Sshd, tmp_path: Path) -> None:
    server.stub("sudo", "echo 'admin is not in the sudoers file.' >&2; exit 1")
    with pytest.raises(HostError, match="sudo does not work") as told:
        of_user(server, tmp_path).link.transport()
    assert "not in the sudoers file" in told.value.lines


# --- look, change, ask


def recording(host: Host, answer: Answer) -> tuple[Host, list[tuple[str, str]]]:
    """The host with a link that answers by itself; what it was asked to run, and its standard input."""
    asked: list[tuple[str, str]] = []

    class Recording(Link):
        def execute(self, command: str, stdin: bytes, seconds: float | None = None) -> Answer:
            asked.append((command, stdin.decode()))
            return answer

    link = Recording(host.wanted, host.link.sudo)
    vars(link)["connection"] = host.link.connection
    link.transport = host.link.transport  # type: ignore[method-assign]
    return replace(host, link=link), asked


def said(output: str, status: int = 0) -> Answer:
    return Answer(status, output, "", 0)


def test_a_look_is_one_round_trip_for_all_its_parts(host: Host) -> None:
    there, asked = recording(host, said("== system\nhostname a\n== node"))
    found = there.look(("system", "node"), ["/etc/a b"])
    assert found["node"] == ""
    assert found["system"].startswith("hostname a\nasked ")
    ((command, program),) = asked
    assert command == "sh -s -- system node -- '/etc/a b'"
    assert program == remote.look_program()


def test_a_look_that_broke_off_is_no_look(host: Host) -> None:
    there, _ = recording(host, said("== system\nhostname a"))
    with pytest.raises(HostError, match="the look broke off before 'node'") as broken:
        there.look(("system", "node"), [])
    assert broken.value.lines == "== system\nhostname a"


def test_a_change_names_its_step_and_carries_its_script_and_payload(host: Host) -> None:
    there, asked = recording(host, said("done"))
    assert there.change("load-modules.sh", "overlay", payload="it's") == "done"
    ((command, program),) = asked
    assert command == "sh -s -- 'swap is off' overlay"
    script = shlex.quote(remote.script_text("load-modules.sh"))
    assert program == f"program={script}\npayload=aXQncw==\n{remote.script_text('change.sh')}"


def test_a_secret_is_in_no_argument_and_in_no_log(host: Host) -> None:
    there, asked = recording(host, said("token abcdef.0123456789abcdef"))
    assert there.ask("mint-token.sh", payload="hunter2", secret=True) == "token abcdef.0123456789abcdef"
    there.change("join.sh", "/run/x", payload="hunter2", secret=True)
    assert not any("hunter2" in command for command, _ in asked)
    assert "aHVudGVyMg==" in asked[0][1]
    log = there.log.path.read_text()
    assert "not shown: it may hold secrets" in log
    assert "hunter2" not in log
    assert "aHVudGVyMg==" not in log
    assert "$ scripts/mint-token.sh" in log
    assert "abcdef" not in log


def test_a_payload_is_its_scripts_standard_input(server: Sshd, host: Host) -> None:
    server.stub("kubectl", 'echo "$@"; cat')
    text = "first 'line'\n$second\n"
    assert host.ask("kubectl.sh", "apply", payload=text).endswith(f" apply\n{text}")


def test_a_script_that_failed_is_told_with_its_last_words(host: Host) -> None:
    there, _ = recording(host, said("\x1b[31mno such module\x1b[0m\n", status=1))
    with pytest.raises(HostError) as failed:
        there.change("load-modules.sh", "over lay")
    assert failed.value.what == "scripts/load-modules.sh 'over lay' ended with exit status 1"
    assert failed.value.lines == "no such module\n"


def test_a_secret_that_failed_is_not_told(host: Host) -> None:
    there, _ = recording(host, said("hunter2", status=1))
    with pytest.raises(HostError) as failed:
        there.ask("mint-token.sh", secret=True)
    assert "hunter2" not in str(failed.value) + failed.value.lines


# --- log and lock


def test_the_log_is_for_its_owners_eyes(tmp_path: Path) -> None:
    log = Log(tmp_path / "state" / "kubefab")
    log.write("client", "swap is off", "scripts/swap-off.sh", said("words"), "words")
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700
    lines = log.path.read_text().splitlines()
    assert lines[0].endswith(" client: swap is off")
    assert lines[1:3] == ["$ scripts/swap-off.sh", "words"]
    assert lines[3].startswith("exit status 0 after ")


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(KubefabError, match=r"the log cannot be written: .*Not a directory.*XDG_STATE_HOME"):
        Log(tmp_path / "state" / "kubefab").write_line("round trips: 2")


def test_a_run_that_changes_nothing_leaves_no_log(tmp_path: Path) -> None:
    assert not Log(tmp_path / "state").path.parent.exists()


def test_somebody_elses_lock_is_told_by_its_holder() -> None:
    told = remote._busy(["busy", "1795377600", "eve@desk, process 7\n"], "manager")
    assert told.startswith("another run is under way: eve@desk, process 7, since ")
    assert told.endswith(" (its lock is on manager); wait for its end")


@pytest.mark.parametrize("answer", [[], ["busy"], ["sh:", "flock:", "not found"]])
def test_a_lock_that_cannot_be_taken_is_no_lock(answer: list[str]) -> None:
    assert remote._busy(answer, "manager").startswith("manager: cannot take the lock: ")


def test_a_lock_is_held_as_long_as_its_context(host: Host, server: Sshd, tmp_path: Path) -> None:
    server.stub(
        "sh", f'[ "$1" != -c ] || exec /bin/sh "$@"; echo held; cat >{tmp_path}/beats; echo let go >{tmp_path}/end'
    )
    with host.lock("me@desk, process 7"):
        assert server.commands == ["sh -s -- 'me@desk, process 7'"]
        assert not (tmp_path / "end").exists()
    assert (tmp_path / "end").exists()  # the next run, right after this one, finds it free


def test_a_lock_that_another_has_is_an_error_for_all(host: Host, server: Sshd) -> None:
    server.stub("sh", '[ "$1" != -c ] || exec /bin/sh "$@"; echo "busy 1795377600 eve@desk, process 7"')
    with pytest.raises(KubefabError, match="another run is under way: eve@desk, process 7, since"), host.lock("me"):
        pytest.fail("held")


def test_the_look_is_made_of_every_part_and_ends_with_what_runs_them() -> None:
    program = remote.look_program()
    for part in ("change", "system", "files", "packages", "services", "runtime", "node", "leftovers", "cluster"):
        assert f"look_{part}() (" in program
    assert program.endswith(remote.script_text("look/look.sh"))


def test_keys_that_a_client_does_not_like_end_no_server(server: Sshd) -> None:
    server.know(None)
    with pytest.raises(UnknownHostKey):
        Link(server.host(), Sudo()).transport()
    server.know(HOST_KEY)
    assert isinstance(Link(server.host(), Sudo()).transport(), paramiko.Transport)
