"""Whether the masters back etcd up as hosts.yml says, by their own word."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubefab.facts import Facts, Unit
from kubefab.inventory import Schedule
from kubefab.render import BACKUP_TIMER
from kubefab.schedule import SERVICE, TIMER, Kept
from tests.facts import known, with_

NOW = datetime(2026, 11, 26, 12, 5, tzinfo=UTC)
EVERY = Schedule(every="6h")


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def master(*made: float, failed: tuple[float, str] | None = None, since: float = 99, unit: str = "inactive") -> Facts:
    """One that has made backups so many hours ago."""
    timer = Unit("active", "enabled", since=ago(0.1).timestamp())  # booted since
    said: dict[str, Any] = {"backups": {ago(one): 9 for one in made}, "units": {TIMER: timer, SERVICE: Unit(unit)}}
    said["mtimes"] = {BACKUP_TIMER: ago(since).timestamp()}
    if failed:
        said |= {"backup_failed_at": ago(failed[0]).timestamp(), "backup_failed": failed[1]}
    return known(**said)


def kept(unheard: tuple[str, ...] = (), **masters: Facts) -> Kept:
    return Kept(EVERY, masters, NOW, unheard)


def wrong(unheard: tuple[str, ...] = (), **masters: Facts) -> list[tuple[str, str]]:
    return list(kept(unheard, **masters).problems())


def test_the_last_one_is_that_of_all_masters() -> None:
    told = kept(m1=master(12, 24), m2=master(6), m3=master()).told
    assert told == ["etcd was backed up last at 2026-11-26 06:05:00 UTC, on m2; wanted: every 6h"]


def test_the_last_failure_is_told_however_long_ago_it_was() -> None:
    told = kept(m1=master(1, failed=(90, "no space left")), m2=master(failed=(95, "refused"))).told
    assert told[1:] == ["a backup of etcd failed last at 2026-11-22 18:05:00 UTC, on m1: no space left"]


def test_before_the_first_one_that_is_told() -> None:
    assert kept(m1=master()).told == ["the masters have not backed etcd up yet; wanted: every 6h"]


def test_a_failure_is_wrong_until_any_master_has_made_one_after_it() -> None:
    failed = master(failed=(3, "no space left"))
    text = "the last backup of etcd failed: 2026-11-26 09:05:00 UTC, on m1: no space left"
    assert wrong(m1=failed, m2=master(6)) == [(text, "m1")]
    assert wrong(m1=failed, m2=master(2)) == []


@pytest.mark.parametrize(("seconds", "failed"), [(50, False), (70, True)])
def test_clocks_of_two_masters_differ_by_a_moment(seconds: float, failed: bool) -> None:
    """The one failed in the round in which the other made the backup."""
    other = master(failed=(6, "no answer"))
    found = wrong(m1=other, m2=master(6 + seconds / 3600))
    assert [host for _, host in found] == ["m1"] * failed
    assert wrong(m1=master(6 + seconds / 3600, failed=(6, "no space left")), m2=master())[0][1] == "m1"


def test_what_a_wrong_clock_says_to_be_of_the_future_is_passed_over() -> None:
    wonder = master(13, -9000, failed=(-9000, "no space left"))
    found = kept(m1=wonder, m2=master())
    assert (str(found.success), found.failure) == ("2026-11-25 23:05:00 UTC, on m1", None)
    assert [text.startswith(OVERDUE) for text, _ in wrong(m1=wonder, m2=master())] == [True]
    assert str(kept(m1=master(-0.1)).success) == "2026-11-26 12:11:00 UTC, on m1"


def test_what_a_former_cluster_has_left_is_no_success_of_this_one() -> None:
    this = with_(master(3, 9), former_backups=(ago(3),))
    assert str(kept(m1=this).success) == "2026-11-26 03:05:00 UTC, on m1"


def test_a_failure_that_could_not_be_noted_is_systemds_to_tell() -> None:
    """On a disk that is full, say."""
    text = "m2: kubefab-backup.service has failed, and could not say why"
    assert wrong(m1=master(1), m2=master(unit="failed")) == [(text, "m2")]


OVERDUE = "no backup of etcd was made when it was due, every 6h: "


@pytest.mark.parametrize(("hours", "late"), [(12, False), (12.1, False), (12.2, True)])
def test_one_that_was_due_twice_and_is_not_there_is_told(hours: float, late: bool) -> None:
    found = wrong(m1=master(20), m2=master(hours))
    assert [(text.startswith(f"{OVERDUE}the last one is of "), host) for text, host in found] == [(True, "m2")] * late


@pytest.mark.parametrize(("since", "late"), [(12, False), (12.2, True)])
def test_the_first_one_is_due_as_long_after_its_timer_began(since: float, late: bool) -> None:
    assert wrong(m1=master(since=since), m2=master(since=90)) == [(f"{OVERDUE}there is none", "m1")] * late


def test_a_boot_begins_nothing_anew() -> None:
    assert wrong(m1=master(90, since=99)) != []


def test_of_a_master_that_was_not_heard_it_may_be() -> None:
    assert wrong(("m2",), m1=master(90)) == []
    assert wrong() == []


def test_a_timer_that_does_not_run_is_told_elsewhere() -> None:
    there = {BACKUP_TIMER: ago(99).timestamp()}
    assert wrong(m1=known(units={TIMER: Unit("inactive")}, mtimes=there, backups={ago(90): 9})) == []
