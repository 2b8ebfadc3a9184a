"""What the log keeps, and for whom."""

import stat
from pathlib import Path

import pytest

from kubefab.errors import KubefabError
from kubefab.log import Log
from kubefab.ssh import Answer


def test_the_log_is_for_its_owners_eyes(tmp_path: Path) -> None:
    log = Log(tmp_path / "state" / "kubefab")
    log.write("client", "swap is off", "scripts/swap-off.sh", Answer(0, "words", "", 0), "words")
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
