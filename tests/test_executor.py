"""The end of a run: one error for all hosts, no traceback for anybody, and what comes next."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from invoke import Collection, Context, Exit, task
from invoke.parser import Argument, ParserContext, ParseResult

from kubefab import executor, runbook
from kubefab.errors import HostError, KubefabError
from kubefab.log import Log
from kubefab.passes import ALL
from kubefab.report import Failure
from tests.runs import Run

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_place(Run(), monkeypatch)


@pytest.fixture
def dry(monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_place(Run(dry=True), monkeypatch)


def in_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Its engine is made, as that of hosts.yml would be, once a task asks for one."""
    monkeypatch.setattr(executor, "_made", None)
    monkeypatch.setattr(executor, "make", lambda dry: run.engine)
    return run


def execute(run: Run, body: Any) -> None:
    @task(name="up")
    def up(c: Context) -> None:
        body()

    collection = Collection("cluster", up)
    outer = Collection()
    outer.add_collection(collection)
    executor.Executor(outer, run.context.config).execute(ParserContext("cluster.up"))


def used(run: Run) -> None:
    executor.engine_of(run.context)


def test_an_error_for_people_is_no_traceback(run: Run) -> None:
    def fail() -> None:
        raise KubefabError("another run is under way")

    with pytest.raises(Exit, match="another run is under way") as ended:
        execute(run, fail)
    assert ended.value.code == 1


def test_a_host_that_ends_a_run_is_told_with_what_it_said(run: Run) -> None:
    def fail() -> None:
        used(run)
        raise HostError("scripts/print-kubeconfig.sh ended with exit status 1", "no room", "make some", host="manager")

    with pytest.raises(Exit) as ended:
        execute(run, fail)
    assert ended.value.message == (
        "\nmanager: FAILED: cluster.up\n  scripts/print-kubeconfig.sh ended with exit status 1\n    no room\n"
        "  what to do: make some"
    )


def test_an_interruption_says_what_goes_on(run: Run) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(Exit, match="run the same command again to wait for them") as ended:
        execute(run, interrupt)
    assert ended.value.code == 130


def test_failures_are_one_error_at_the_end(run: Run) -> None:
    def fail() -> None:
        used(run)
        run.engine.failures += [Failure(name, "swap is off", HostError("no")) for name in ("manager", "client")]

    with pytest.raises(Exit) as ended:
        execute(run, fail)
    assert ended.value.code == 1
    assert str(ended.value.message).count("FAILED: swap is off") == 2


def test_failures_are_told_though_a_later_task_ends_the_run(run: Run) -> None:
    def fail() -> None:
        used(run)
        run.engine.failures.append(Failure("client", "swap is off", HostError("no")))
        raise KubefabError("another run is under way")

    with pytest.raises(Exit, match="another run is under way") as ended:
        execute(run, fail)
    assert "client: FAILED: swap is off" in str(ended.value.message)


def test_failures_are_told_though_the_log_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(line: str) -> None:
        raise KubefabError("the log cannot be written")

    def fail() -> None:
        used(run)
        run.engine.failures.append(Failure("client", "swap is off", HostError("no")))

    monkeypatch.setattr(run.cluster.log, "write_line", full)
    monkeypatch.setattr(Log, "written", True)
    with pytest.raises(Exit, match="the log cannot be written") as ended:
        execute(run, fail)
    assert "client: FAILED: swap is off" in str(ended.value.message)


def test_a_run_that_only_looked_writes_no_log_and_needs_no_place_for_one(run: Run, tmp_path: Path) -> None:
    readonly = tmp_path / "file"
    readonly.touch()
    run.cluster.log = Log(readonly / "below a file nothing can be made")
    execute(run, lambda: runbook.converge(run.context, ALL))
    assert list(tmp_path.iterdir()) == [readonly]


def test_a_run_that_went_well_names_the_next_command(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    execute(run, lambda: runbook.converge(run.context, ALL))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("nothing to do (")
    assert second.startswith("next: inv cluster.status")


def test_a_dry_run_names_no_next_command(dry: Run, capsys: pytest.CaptureFixture[str]) -> None:
    execute(dry, lambda: runbook.converge(dry.context, ALL))
    assert "next:" not in capsys.readouterr().out


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)
    with pytest.raises(KubefabError, match="this user has no home: set HOME"):
        executor.make(dry=True)


def test_no_room_on_this_computer_is_told_as_that(run: Run) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "/tmp/x")

    with pytest.raises(Exit, match="/tmp/x: No space left on device") as ended:
        execute(run, full)
    assert ended.value.code == 1


def test_no_room_is_told_as_that_though_something_else_had_failed_before(run: Run) -> None:
    def fail() -> None:
        try:
            raise OSError("Unable to connect to port 22")
        except OSError:
            raise OSError(28, "No space left on device") from None

    with pytest.raises(Exit, match=r"^No space left on device$"):
        execute(run, fail)


def test_what_a_locale_has_no_character_for_ends_no_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding="ascii", write_through=True))
    execute(run, lambda: print("· the node is Ready"))
    assert said.getvalue() == b"? the node is Ready\n"


def test_an_empty_name_of_a_hosts_yml_is_told_and_no_other_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of INV_HOSTS="$UNSET": what is in this folder's hosts.yml was not meant."""
    monkeypatch.setenv(executor.HOSTS, "")
    with pytest.raises(KubefabError, match="INV_HOSTS is empty: let it name a file, or unset it"):
        executor.make(dry=True)


def test_what_stands_behind_two_dashes_and_is_no_tasks_is_refused_before_anything_is_done(run: Run) -> None:
    """`inv taint -- --host manager` would be all masters, and `inv cluster.reset -- --dry` no dry run."""
    done: list[str] = []

    @task
    def taint(c: Context) -> None:
        done.append("taint")

    behind = ParseResult()
    behind.remainder = "--host manager"
    with pytest.raises(Exit, match="taint takes nothing behind --: found '--host manager'; write it"):
        executor.Executor(Collection(taint), run.context.config, behind).execute(ParserContext("taint"))
    assert done == []


@pytest.mark.parametrize("option", ["--dry", "--help", "-R", "--hots"])
@pytest.mark.parametrize("listed", [False, True])
def test_an_option_where_a_value_belongs_is_refused_before_anything_is_done(
    run: Run, option: str, listed: bool
) -> None:
    """`inv bundle.make --dry` and `--help` would make a bundle of that name: invoke takes what stands there for it."""
    done: list[str] = []

    @task
    def make(c: Context, output: str) -> None:
        done.append(output)

    typed = ParserContext("make", args=[Argument("output", kind=list if listed else str)])
    typed.args["output"].set_value(option, cast=True)
    words = f"make: --output needs a value, found '{option}'; --dry and --help stand before the task: inv --dry make"
    with pytest.raises(Exit, match=re.escape(words)):
        executor.Executor(Collection(make), run.context.config).execute(typed)
    assert done == []


def test_what_is_no_option_is_a_value(run: Run) -> None:
    done: list[str] = []

    @task
    def make(c: Context, output: str) -> None:
        done.append(output)

    for value in ("-", "a-b", ""):
        typed = ParserContext("make", args=[Argument("output")])
        typed.args["output"].value = value
        executor.Executor(Collection(make), run.context.config).execute(typed)
    assert done == ["-", "a-b", ""]


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_a_stream_that_is_closed_is_an_empty_one(run: Run, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    """As by `<&-` and `>&-`: Python has None for it, of which nobody can ask whether it is a terminal."""
    found: list[Any] = []
    monkeypatch.setattr(sys, closed, None)
    execute(run, lambda: found.append(getattr(sys, closed)))
    assert not found[0].isatty()


def test_connections_are_closed_whatever_happens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(run.cluster, "close", lambda: closed.append(True))

    def fail() -> None:
        used(run)
        raise KubefabError("no")

    with pytest.raises(Exit):
        execute(run, fail)
    assert closed == [True]


def test_a_hosts_yml_that_is_not_there_is_an_error_for_people(tmp_path: Path) -> None:
    ended = subprocess.run(
        [Path(sys.executable).parent / "inv", "preflight"],
        cwd=ROOT,
        env={**os.environ, "INV_HOSTS": str(tmp_path / "none.yml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{tmp_path}/none.yml: No such file or directory")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_list_of_tasks_that_nobody_reads_to_its_end_is_no_traceback(
    unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`inv --list | head`."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    reader, writer = os.pipe()
    os.close(reader)
    inv = Path(sys.executable).with_name("inv")
    done = subprocess.run([inv, "--list"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.stderr == ""
