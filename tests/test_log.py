"""The log of a run: for its owner alone, there only where something was told, and not kept for ever."""

import stat
from pathlib import Path

from kubefab.log import KEPT, Log


def test_a_run_that_has_told_nothing_leaves_no_log(tmp_path: Path) -> None:
    log = Log(tmp_path / "kubefab")
    assert (log.written, list(tmp_path.iterdir())) == (False, [])
    log.write_line("one")
    assert (log.written, log.path.read_text()) == (True, "one\n")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (log.path, log.path.parent)] == [0o600, 0o700]


def test_it_has_every_character_that_a_host_may_print_whatever_the_locale(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write_line("schl\udcfcssel… done")
    assert log.path.read_bytes() == "schl\\udcfcssel… done\n".encode()


def test_the_logs_of_the_newest_runs_stay(tmp_path: Path) -> None:
    for number in range(KEPT + 10):
        (tmp_path / f"2026-01-01T00-00-{number:03}-1.log").touch()
    (tmp_path / "mine.txt").touch()
    log = Log(tmp_path)
    log.write_line("one")
    log.write_line("two")
    kept = sorted(path.name for path in tmp_path.glob("*.log"))
    assert len(kept) == KEPT
    assert log.path.name in kept
    assert kept[0] == "2026-01-01T00-00-011-1.log"
    assert (tmp_path / "mine.txt").exists()
