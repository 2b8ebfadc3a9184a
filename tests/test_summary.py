"""What the end of an end-to-end run tells."""

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
