"""What the end of an end-to-end run tells."""

import subprocess
import sys
from pathlib import Path

from tests.e2e import summary


def test_the_slowest_suite_comes_first_and_all_of_them_last() -> None:
    spent = [
        ("tests/e2e/test_a.py::test_x", 60.0),
        ("tests/e2e/test_b.py::test_y[1]", 30),
        ("tests/e2e/test_b.py::z", 90),
    ]
    assert summary.suites(spent) == ["  2.0 b", "  1.0 a", "  3.0 in all"]


def test_a_time_is_told_beside_the_one_that_is_wanted() -> None:
    assert summary.times([("a dry run", 10, 12.4)]) == ["a dry run: 12.4 s, wanted 10 s"]


def test_a_reason_for_skipping_is_told_once_for_a_suite() -> None:
    reports = [(f"tests/e2e/test_a.py::{name}", ("conftest.py", 7, "Skipped: no KVM")) for name in "xy"]
    assert summary.skipped([*reports, ("tests/e2e/test_b.py::x", "odd")]) == [
        "2 of a: no KVM",
        "1 of b: odd",
    ]


UNIT_TESTS = """
import pytest
def test_it(): pass
@pytest.mark.skip("NOT TRIED: there is no strace here")
def test_marked(): pass
def test_within(): pytest.skip("NOT TRIED: only root can")
"""


def test_what_the_unit_tests_left_untried_half_an_hour_before_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(UNIT_TESTS)
    said = tmp_path / "unit-tests.xml"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={said}", str(tmp_path / "test_a.py")]
    subprocess.run([sys.executable, *words], cwd=tmp_path, check=True, capture_output=True)
    assert summary.skipped(summary.skipped_before(str(said))) == [
        "1 of a: NOT TRIED: only root can",
        "1 of a: NOT TRIED: there is no strace here",
    ]


def test_where_nobody_names_a_run_before_it_there_was_none(tmp_path: Path) -> None:
    assert list(summary.skipped_before(None)) == []
    assert summary.skipped(summary.skipped_before(f"{tmp_path}/none.xml")) == [
        f"1 of unit: nobody knows what: {tmp_path}/none.xml is not there"
    ]
