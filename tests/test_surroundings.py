"""The computer like nobody's that the unit tests run on once more."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import sandbox, surroundings

ROOT = Path(__file__).parent.parent


@sandbox.needed
def test_a_command_finds_another_computer_and_this_one_stays_as_it_is() -> None:
    before = sorted(Path("/etc").iterdir())
    words = ["sh", "-c", 'cat /etc/hosts.allow; umask; echo "$TZ"; uname -n; exit 7']
    told = subprocess.run(
        [sys.executable, "-m", "tests.surroundings", *words],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert told.stdout.splitlines() == ["odd: odd", "0077", "Pacific/Kiritimati", "Odd-Host.example.org"]
    assert told.returncode == 7
    assert sorted(Path("/etc").iterdir()) == before


def test_a_locale_that_this_computer_cannot_make_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(surroundings, "TURKISH", tmp_path / "tr_TR")
    assert surroundings.locale(tmp_path) == {"LC_ALL": "C"}
    assert capsys.readouterr().err == "NOT TRIED: a locale that is not of UTF-8; Debian's package locales has it\n"
