"""Looks, changes, questions and locks, against a server in a thread."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kubefab import host as hosts
from kubefab.errors import Busy, HostError
from kubefab.host import Host
from kubefab.programs import look_program, script_text
from kubefab.questions import Questions
from kubefab.ssh import Answer, Link
from tests.facts import read
from tests.sshd import Sshd

# Stands before sh, and lets our program say its mark as it would.
SH = '[ "$1" != -c ] || exec /bin/sh "$@"; IFS= read -r begin; eval "$begin"; '
GREETINGS = [
    "echo held",
    "echo == system; echo hostname of the login",
    "printf half",
    "printf 'half\\n%s\\nend' x; echo no >&2",
]


def recording(host: Host, answer: Answer) -> tuple[Host, list[tuple[str, str]]]:
    """The host with a link that answers by itself; what it was asked to run, and its standard input."""
    asked: list[tuple[str, str]] = []

    class Recording(Link):
        def execute(
            self,
            command: str,
            stdin: bytes,
            seconds: float | None = None,
            hear: Callable[[bytes], None] = lambda _: None,
        ) -> Answer:
            begin, _, program = stdin.decode().partition("\n")
            asked.append((command, program))
            mark = begin[len("mark=") :].partition(";")[0]
            return replace(answer, output=f"\n{mark}\n{answer.output.replace('MARK', mark)}")

    link = Recording(host.wanted, host.link.sudo)
    link.wire = host.link.wire
    link.transport = host.link.transport  # type: ignore[method-assign]
    return replace(host, link=link), asked


def said(output: str, status: int = 0) -> Answer:
    return Answer(status, output, "", 0)


def test_a_look_is_one_round_trip_for_all_its_parts(host: Host) -> None:
    there, asked = recording(host, said("== MARK system\nhostname a\nend MARK system\n== MARK node\nend MARK node\n"))
    found = there.look(("system", "node"), Questions(("/etc/a",)))
    assert found["node"] == ""
    assert found["system"].startswith("hostname a\nasked ")
    ((command, program),) = asked
    assert command == "sh -s -- system node"
    assert program == look_program(Questions(("/etc/a",)))


def test_a_clock_was_read_between_the_question_and_the_answer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    there, _ = recording(host, said("== MARK system\nclock 103\nend MARK system\n"))
    times = iter((100.0, 104.0))
    monkeypatch.setattr(hosts, "time", SimpleNamespace(time=lambda: next(times)))
    system = read(there.look(("system",), Questions())).system
    assert (system.skew, system.asked_within) == (1.0, 2.0)


@pytest.mark.parametrize("cut", ["== MARK system\nhostname a", "== MARK system\nhostname a\nend MARK node\n", ""])
def test_a_part_of_a_look_without_its_end_is_no_look(host: Host, cut: str) -> None:
    there, _ = recording(host, said(f"== MARK node\nend MARK node\n{cut}"))
    with pytest.raises(HostError, match="the look broke off in 'system'") as broken:
        there.look(("system", "node"), Questions())
    assert broken.value.host == "manager"


@pytest.mark.parametrize("greeting", GREETINGS)
def test_what_a_login_prints_is_no_part_of_an_answer(host: Host, server: Sshd, greeting: str) -> None:
    server.greeting = greeting
    server.stub("kubectl", "echo yes; echo oh >&2")
    assert host.ask("kubectl.sh") == "yes\n"
    found = host.look(("change", "system"), Questions())
    assert set(found) == {"change", "system"}
    assert "of the login" not in found["system"]


@pytest.mark.parametrize("greeting", GREETINGS)
def test_what_a_login_prints_is_no_lock(host: Host, server: Sshd, greeting: str) -> None:
    server.greeting = greeting
    server.stub("sh", f'{SH} echo "busy 1795377600 eve@desk, process 7"')
    with pytest.raises(Busy, match="another run is under way: eve@desk"), host.lock("me"):
        pytest.fail("held")


def test_a_login_that_runs_nothing_of_ours_is_told_by_what_it_says(host: Host, server: Sshd) -> None:
    server.greeting = "echo Please login as the user debian; exit"
    with pytest.raises(HostError, match="its login does not run what it is told to") as told:
        host.look(("system",), Questions())
    assert told.value.lines == "Please login as the user debian\n"
    with pytest.raises(HostError, match="its login does not run"), host.lock("me"):
        pytest.fail("held")


def test_a_program_that_was_cut_off_is_told_by_its_last_words_alone(host: Host) -> None:
    """As it was: power lost in the middle of a join, and the mark of kubefab's own told as what the host had said."""

    class Cut(Link):
        def execute(self, command: str, stdin: bytes, *_: object, **__: object) -> Answer:
            mark = stdin.decode()[len("mark=") :].partition(";")[0]
            raise HostError("the connection was lost", f"a greeting\n{mark}\nlast words")

    with pytest.raises(HostError, match="the connection was lost") as told:
        replace(host, link=Cut(host.wanted, host.link.sudo)).ask("kubectl.sh")
    assert told.value.lines == "last words"


def test_a_change_names_its_step_and_carries_its_script_and_payload(host: Host) -> None:
    there, asked = recording(host, said("done"))
    assert there.change("load-modules.sh", "overlay", payload="it's") == "done"
    ((command, program),) = asked
    assert command == "sh -s -- 'swap is off' '' overlay"
    script = shlex.quote(script_text("load-modules.sh"))
    assert program == f"program={script}\npayload=aXQncw==\nbeat=30.0\n{script_text('change.sh')}"


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
    assert failed.value.host == "manager"


def test_a_secret_that_failed_is_told_by_its_errors_alone_and_without_its_tokens(host: Host, server: Sshd) -> None:
    server.stub("kubeadm", "echo hunter2; echo bad token abcdef.0123456789abcdef: Unauthorized >&2; exit 1")
    with pytest.raises(HostError) as failed:
        host.ask("mint-token.sh", "client", secret=True)
    told = failed.value.lines
    assert "bad token (a token): Unauthorized" in told
    assert "hunter2" not in told + str(failed.value) + host.log.path.read_text()


def test_a_long_change_is_told_as_it_goes_on(host: Host, server: Sshd) -> None:
    told: list[str] = []
    server.stub("sh", f'{SH} echo "$mark reading lists"; echo "$mark "; echo done')
    assert replace(host, tell=told.append).change("install-packages.sh") == "done\n"
    assert [re.sub(r"\d+ s", "N s", line) for line in told] == [
        "goes on for N s, last said: reading lists",
        "goes on for N s",
    ]


def test_somebody_elses_lock_is_told_by_its_holder() -> None:
    told = str(hosts._busy(["busy", "1795377600", "eve@desk, process 7\n"], "manager"))
    assert told.startswith("another run is under way: eve@desk, process 7, since ")
    assert told.endswith(" (its lock is on manager); wait for its end")


@pytest.mark.parametrize("answer", [[], ["busy"], ["sh:", "flock:", "not found"]])
def test_a_lock_that_cannot_be_taken_is_no_lock(answer: list[str]) -> None:
    assert str(hosts._busy(answer, "manager")).startswith("manager: cannot take the lock: ")


def test_a_lock_is_held_as_long_as_its_context(host: Host, server: Sshd, tmp_path: Path) -> None:
    server.stub("sh", f"{SH} echo held; cat >'{tmp_path}/beats'; echo let go >'{tmp_path}/end'")
    with host.lock("me@desk, process 7") as lock:
        assert server.commands == ["sh -s -- 'me@desk, process 7'"]
        assert not (tmp_path / "end").exists()
        assert not lock.lost
    assert (tmp_path / "end").exists()  # the next run, right after this one, finds it free


def test_a_lock_whose_connection_is_lost_is_lost_though_the_next_command_connects_again(
    host: Host, server: Sshd
) -> None:
    server.stub("sh", f"{SH} echo held; cat")
    with host.lock("me") as lock:
        host.link.transport().close()
        host.link.execute("true", b"")
        assert lock.lost.startswith("the connection that held it was lost")


def test_the_look_is_made_of_every_part_and_ends_with_what_runs_them() -> None:
    program = look_program(Questions())
    for part in ("change", "system", "files", "packages", "services", "runtime", "node", "leftovers", "cluster"):
        assert f"look_{part}() (" in program
    assert program.endswith(script_text("look/look.sh"))
