"""What the fast tests share: the golden files' switch, and no state left behind in anybody's home."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.parser import Argument
from invoke.tasks import Task

from kubefab.host import Host
from tests import sandbox, sshd
from tests.runs import Run, in_place
from tests.sshd import Sshd

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew: read the diff")


@pytest.fixture(autouse=True)
def of_nobody(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and an environment that are nobody's: those of who runs the tests count for nothing.

    What a process has from its start on stays as it is: locale, time zone, umask, the folder for temporary files.
    """
    for name in os.environ:
        if not name.startswith(("PYTEST_", "TMPDIR", "TZ")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", sandbox.PATH)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setattr("kubefab.ways.OF_ALL_USERS", "/nonexistent/ssh_config")


@pytest.fixture(autouse=True)
def help_can_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """invoke takes each option's help out of the task that it reads: a later test would find none."""
    read = Task.get_arguments

    def kept(task: "Task[Callable[..., object]]", ignore_unknown_help: bool | None = None) -> list[Argument]:
        with monkeypatch.context() as reading:
            reading.setattr(task, "help", dict(task.help))
            return read(task, ignore_unknown_help)

    monkeypatch.setattr(Task, "get_arguments", kept)


@pytest.fixture(autouse=True)
def no_run_goes_on_telling() -> Iterator[None]:
    """Of a host that a test has left in the middle of something its report would tell in the next one's output."""
    yield
    while Run.reports:
        Run.reports.pop().close()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with tests/golden/NAME."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        assert text == file.read_text(), f"unlike {file}; is it better? pytest --update-golden"

    return compare


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """An SSH server on this computer; nothing that its client tries again is waited for."""
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda seconds: None))  # and nobody else's sleep
    monkeypatch.setattr("kubefab.ssh.BUSY_PAUSE", 0.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    with sshd.running(tmp_path) as running:
        yield running


@pytest.fixture
def host(server: Sshd) -> Iterator[Host]:
    """That server as a host where we are root."""
    with sshd.connected(server) as connected:
        yield connected


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """One invocation over fake hosts."""
    return in_place(Run(), monkeypatch)


@pytest.fixture
def dry(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, as a dry run."""
    return in_place(Run(dry=True), monkeypatch)
