"""The tables of feature gates agree with each other."""

from itertools import combinations

from kubefab import gates, releases


def test_a_gate_goes_once_and_nothing_is_fixed_that_is_gone() -> None:
    for former, later in combinations(releases.MINORS, 2):
        assert not set(gates.gone(former)) & {*gates.gone(later), *gates.fixed(later), *gates.fixed(former)}


def test_before_1_32_to_which_no_upgrade_is_made_there_are_none() -> None:
    assert [minor for minor in releases.MINORS if gates.gone(minor) or gates.fixed(minor)] == [
        minor for minor in releases.MINORS if releases.release(f"{minor}.0").upgrades
    ]
