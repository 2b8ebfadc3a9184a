"""Whether the masters back etcd up as hosts.yml says, by their own word."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubefab.facts import Facts, Unit
from kubefab.inventory import Schedule
from kubefab.schedule import SERVICE, TIMER, Kept
from tests.facts import known

NOW = datetime(2026, 11, 26, 12, 5, tzinfo=UTC)
EVERY = Schedule(every="6h")


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def master(*made: float, failed: tuple[float, str] | None = None, since: float = 99, unit: str = "inactive") -> Facts:
    """One that has made backups so many hours ago."""
    timer = Unit("active", "enabled", since=ago(since).timestamp())
    said: dict[str, Any] = {"backups": {ago(one): 9 for one in made}, "units": {TIMER: timer, SERVICE: Unit(unit)}}
    if failed:
        said |= {"backup_failed_at": ago(failed[0]).timestamp(), "backup_failed": failed[1]}
    return known(**said)


def kept(unheard: tuple[str, ...] = (), **masters: Facts) -> Kept:
    return Kept(EVERY, masters, unheard)


def wrong(unheard: tuple[str, ...] = (), **masters: Facts) -> list[tuple[str, str]]:
    return list(kept(unheard, **masters).problems(NOW))


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


def test_of_a_master_that_was_not_heard_it_may_be() -> None:
    assert wrong(("m2",), m1=master(90)) == []
    assert wrong() == []


def test_a_timer_that_does_not_run_is_told_elsewhere() -> None:
    assert wrong(m1=known(units={TIMER: Unit("inactive")}, backups={ago(90): 9})) == []
