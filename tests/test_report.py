"""What people see: lines, and the one error at the end."""

import io
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import quote

import pytest

from kubefab import report, status
from kubefab.errors import HostError, UnknownHostKey
from kubefab.facts import ClusterFacts, Node
from kubefab.report import ANSWERS, Failure, Report
from kubefab.status import Found
from tests.fakes import inventory

NO_LOG = Path("/nonexistent/kubefab.log")


@pytest.fixture
def two() -> Iterator[Report]:
    made = Report(["manager", "client"])
    yield made
    made.close()


def test_the_error_at_the_end_says_host_step_command_last_lines_hint_and_log(tmp_path: Path) -> None:
    log = tmp_path / "kubefab.log"
    log.touch()
    words = "".join(f"line {number}\n" for number in range(1, 21))
    error = HostError("scripts/join.sh ended with exit status 1", words, "see journalctl -u kubelet")
    assert report.failures([Failure("client", "the host is a node", error)], log) == (
        "\n"
        "client: FAILED: the host is a node\n"
        "  scripts/join.sh ended with exit status 1\n"
        + "".join(f"    line {number}\n" for number in range(13, 21))
        + "  what to do: see journalctl -u kubelet\n"
        f"full log: {log}"
    )


def test_a_log_that_was_never_written_is_not_named() -> None:
    told = report.failures([Failure("client", "swap is off", HostError("no"))], NO_LOG)
    assert told == "\nclient: FAILED: swap is off\n  no"


def test_every_failure_has_its_block() -> None:
    found = [Failure(name, "swap is off", HostError("no")) for name in ("client", "client2")]
    told = report.failures(found, NO_LOG)
    assert [line for line in told.splitlines() if ": FAILED: " in line] == [
        "client: FAILED: swap is off",
        "client2: FAILED: swap is off",
    ]


def unknown(name: str, file: Path) -> Failure:
    line = f"{name} ssh-ed25519 KEY-OF-{name}"
    what = f"its SSH key is not known: ssh-ed25519 SHA256:{name}"
    return Failure(name, "it answers", UnknownHostKey(what, accepting=line, file=str(file)))


def test_unknown_keys_of_all_hosts_are_one_message_with_one_command(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    other = Failure("third", "it answers", HostError("cannot be reached"))
    told = report.failures([unknown("manager", file), other, unknown("client", file)], NO_LOG)
    assert told.count("unknown SSH keys") == 1
    assert "  manager: its SSH key is not known: ssh-ed25519 SHA256:manager" in told
    assert told.count("cat >>") == 1
    assert (
        f"cat >>{quote(str(file))} <<END\nmanager ssh-ed25519 KEY-OF-manager\nclient ssh-ed25519 KEY-OF-client\nEND\n"
        in told
    )
    assert told.index("client ssh-ed25519") < told.index("third: FAILED: it answers")


def test_the_command_that_accepts_keys_works_wherever_the_file_is(tmp_path: Path) -> None:
    file = tmp_path / "a new home" / ".ssh" / "known_hosts"
    command = report.failures([unknown("manager", file)], NO_LOG).partition("accept them:\n\n")[2]
    subprocess.run(["sh", "-ec", command], check=True)
    assert file.read_text() == "manager ssh-ed25519 KEY-OF-manager\n"
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_key_behind_a_jump_host_is_accepted_once() -> None:
    same = "gate ssh-ed25519 KEY"
    found = [
        Failure(name, "it answers", UnknownHostKey("unknown", accepting=same, file="/k"))
        for name in ("manager", "client")
    ]
    assert report.failures(found, NO_LOG).count(same) == 1


def test_in_a_pipe_every_line_is_plain(two: Report, capsys: pytest.CaptureFixture[str]) -> None:
    two.running("client", "swap is off", "/swap.img, 2048 MiB")
    two.came_true("client", "swap is off", "~")
    two.stopped("manager", "it answers: [red]no[/red]")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["client   ~ swap is off  0.0 s", "manager  ! it answers: [red]no[/red]"]


@pytest.mark.parametrize("odd", ["\x1b]0;mine\x07", "\r", "\x9b2J", "\u202e", "\u2028", "\udcff"])
def test_nothing_that_a_host_says_moves_the_cursor(two: Report, capsys: pytest.CaptureFixture[str], odd: str) -> None:
    two.say("client", "~", f"so{odd}far")
    two.stopped("client", f"so{odd}far")
    live = ClusterFacts(nodes={"manager": Node("manager", version=f"so{odd}far")})
    found = Found(inventory(), live, {}, {"client": f"so{odd}far"})
    print(report.status(status.as_data(status.status(found))))
    print(report.failures([Failure("client", f"so{odd}far", HostError(f"so{odd}far", "a", f"so{odd}far"))], NO_LOG))
    said = capsys.readouterr().out
    assert odd not in said
    assert said.replace("\n", "").isprintable()


def test_of_a_line_that_was_written_over_the_last_is_told() -> None:
    error = HostError("no", "10 %\r20 %\r30 %\r\nfailed\r\n")
    assert report.failures([Failure("client", "a", error)], NO_LOG).splitlines()[3:] == ["    30 %", "    failed"]


def test_a_failure_elsewhere_names_the_host_that_was_talked_to() -> None:
    error = HostError("scripts/kubectl.sh ended with exit status 1", host="manager")
    told = report.failures([Failure("client", "flannel is applied", error)], NO_LOG)
    assert told == "\nclient: FAILED: flannel is applied\n  manager: scripts/kubectl.sh ended with exit status 1"


def test_what_waits_for_a_host_that_is_gone_is_told_in_that_hosts_one_block() -> None:
    lost = HostError("the connection was lost", host="manager")
    found = [Failure(name, "the node is Ready", lost) for name in ("client", "client2")]
    told = report.failures([Failure("manager", ANSWERS, HostError("cannot be reached")), *found], NO_LOG)
    assert told == (
        "\nmanager: FAILED: it answers\n  cannot be reached\n"
        "  what waits for it: client (the node is Ready), client2 (the node is Ready)"
    )


def test_in_a_pipe_what_says_nothing_is_told_again_and_again(
    two: Report, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "AGAIN", 0.02)
    monkeypatch.setattr(report, "TICK", 0.01)
    two.running("client", "swap is off", "/swap.img")
    said = ""
    while said.count("/swap.img") < 3:
        time.sleep(0.01)
        said += capsys.readouterr().out
    two.close()
    lines = [line for line in said.splitlines() if "/swap.img" in line]
    assert lines[1] == "client   · waiting for 0 s: swap is off: /swap.img"


def test_where_nobody_reads_on_a_reminder_ends_without_a_word(two: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind `| head`: Python would print its traceback."""
    ended: list[object] = []

    def hung_up(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(report, "AGAIN", 0.01)
    monkeypatch.setattr(report, "TICK", 0.01)
    monkeypatch.setattr(threading, "excepthook", ended.append)
    monkeypatch.setattr("builtins.print", hung_up)
    two.running("client", "swap is off", "/swap.img")
    reminder = two._reminder
    assert reminder
    reminder.join(5)
    assert (reminder.is_alive(), ended) == (False, [])


def test_in_a_pipe_a_long_wait_is_told_once_in_half_a_minute(
    two: Report, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    two.running("client", "the API server is healthy", "/readyz: [+]etcd ok")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(report, "LONG", 0.0)
    for _ in range(3):
        two.running("client", "the API server is healthy", "/readyz: [+]etcd ok\nmore")
    assert capsys.readouterr().out == "client   · waiting: the API server is healthy: /readyz: [+]etcd ok\n"


def test_what_changed_is_counted_and_what_was_waited_for_is_not(two: Report) -> None:
    two.came_true("client", "swap is off", "~")
    two.came_true("client", "the host is a node", "+")
    two.came_true("manager", "the node is Ready", "·")
    assert two.summary(0).startswith("done in ")
    assert two.summary(0).endswith(" s; changes: client 2")


def test_nothing_changed_is_nothing_to_do(two: Report) -> None:
    two.came_true("manager", "the node is Ready", "·")
    assert two.summary(0).startswith("nothing to do (")


@pytest.mark.parametrize(
    ("planned", "unknown", "line"),
    [
        (0, 0, "nothing to do ("),
        (1, 0, "1 change to make"),
        (3, 1, "3 changes to make; not known whether to make 1 change"),
        (0, 2, "not known whether to make 2 changes"),
    ],
)
def test_a_plan_is_summed_up(two: Report, planned: int, unknown: int, line: str) -> None:
    assert two.summary(planned, unknown).startswith(line)


def test_a_quiet_report_says_nothing(two: Report, capsys: pytest.CaptureFixture[str]) -> None:
    two.quiet = True
    two.stopped("client", "it answers: no")
    assert capsys.readouterr().out == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_terminal_the_running_steps_are_shown_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    shown = Report(["client", "manager"])
    shown.running("client", "swap is off [now]", "/swap[0].img, 2048 MiB")
    shown.running("manager", "the API server is healthy", "/readyz: [+]etcd ok\nmore")
    shown.came_true("client", "swap is off [now]", "~")
    shown.close()
    seen = screen.getvalue()
    assert "client   \x1b[33m~\x1b[0m swap is off [now]" in seen
    assert "the API server is healthy" in seen
    assert "/readyz: [+]etcd ok" in seen
    assert "more" not in seen
    assert "[dim]" not in seen


def test_a_host_at_work_has_one_line_however_much_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    shown = Report(["client"])
    shown.running("client", "the node is Ready", "the runtime's network is not ready: " + "word " * 50)
    shown.close()
    assert "the runtime's network" in screen.getvalue()
    assert "…" in screen.getvalue()
    assert screen.getvalue().count("\n") == 1


def test_a_change_of_which_nothing_is_known_yet_is_told_by_its_title(
    two: Report, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "LONG", 0.0)
    two.running("client", "containerd is installed", "")
    assert capsys.readouterr().out == "client   · waiting: containerd is installed\n"


def test_verdicts_have_colours_in_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    error = report.failures([Failure("client", "swap is off", HostError("no", hint="a hint"))], NO_LOG)
    assert report.painted(error, io.StringIO()) == error
    painted = report.painted(error, Terminal())
    assert "\x1b[1;31mclient: FAILED: swap is off\x1b[0m\n  no\n\x1b[1m  what to do:\x1b[0m a hint" in painted
    assert "lab: \x1b[32mall is well\x1b[0m" in report.painted("lab: all is well", Terminal())
    doubtful = report.painted("lab: not known whether all is well", Terminal())
    assert "lab: \x1b[33mnot known whether all is well\x1b[0m" in doubtful


def test_the_verdict_on_etcd_has_its_colour_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", Terminal())
    told = report.judged({"cluster": "lab", "problems": ["m3: away"]}, (), (), "etcd is well", "etcd is not well:")
    assert told == "lab: \x1b[1;31metcd is not well:\x1b[0m\n  m3: away"


def test_a_log_in_ones_home_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    log = tmp_path / "kubefab.log"
    log.touch()
    assert report.failures([], log) == "full log: ~/kubefab.log"


def test_hosts_that_begin_at_once_share_one_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds none has rich to import first, which takes a while."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    shown = Report(["client", "manager"])
    both = threading.Barrier(2, timeout=30)
    start = shown._start

    def together() -> None:
        both.wait()
        start()

    monkeypatch.setattr(shown, "_start", together)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: shown.running(name, "swap is off", "/swap.img"), ("client", "manager")))
    shown.close()
    assert [screen.getvalue().count(cursor) for cursor in ("\x1b[?25l", "\x1b[?25h")] == [1, 1]


def test_in_a_terminal_the_end_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    shown = Report(["client"])
    shown.came_true("client", "swap is off", "~")
    words = [line.split() for line in shown.summary(0).splitlines()]
    assert ["client", "1", "swap", "is", "off,", "0.0", "s"] in words


def test_in_a_terminal_a_table_has_words_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put between other lines is looked through for what would move the cursor, once more."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", Terminal())
    assert report.table(("node", "ready"), [("client", "yes")]).split() == ["node", "ready", "client", "yes"]
