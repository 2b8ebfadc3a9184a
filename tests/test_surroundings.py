"""The computer like nobody's that the unit tests run on once more."""

import subprocess
import sys
from pathlib import Path

from tests import sandbox

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
