"""What the fast tests share: the golden files' switch, and no state left behind in anybody's home."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kubefab.host import Host
from kubefab.sudo import SUDO_PASSWORD
from tests import sshd
from tests.runs import Run, in_place
from tests.sshd import Sshd

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew: read the diff")


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
    monkeypatch.delenv(SUDO_PASSWORD, raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # whatever is in the ~/.ssh of who runs the tests
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
