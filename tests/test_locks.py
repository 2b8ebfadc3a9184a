"""The locks of a run: all or none, masters' first, and never waited for."""

import getpass
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kubefab.errors import Busy, KubefabError
from kubefab.locks import Locks
from tests.fakes import many_hosts
from tests.runs import Run, lost


@pytest.fixture
def run() -> Run:
    return Run(many_hosts(3))


@pytest.fixture
def locks(run: Run) -> Locks:
    return Locks(run.clock.now)


def test_masters_come_first_and_then_hosts_by_address(run: Run, locks: Locks) -> None:
    order: list[str] = []
    for name in run.cluster.hosts:
        run(name).on_lock = lambda name=name: order.append(name)  # type: ignore[misc]
    locks.take(reversed(run.cluster.hosts.values()))
    assert order == ["manager", "client1", "client2", "client3"]


def test_who_does_not_get_all_lets_go_of_all(run: Run, locks: Locks) -> None:
    run("client3").held_by = "eve@desk, process 7"
    with pytest.raises(Busy, match="eve@desk, process 7"):
        locks.take(run.cluster.hosts.values())
    assert not any(locks.holds(host) for host in run.cluster.hosts.values())


def test_what_was_ours_before_stays_ours(run: Run, locks: Locks) -> None:
    master, other = run.cluster.hosts["manager"], run.cluster.hosts["client3"]
    run("client3").held_by = "eve@desk, process 7"
    since = locks.take([master])
    with pytest.raises(Busy):
        locks.take([master, other])
    assert locks.holds(master)
    assert locks.take([master]) == since
    assert len(run("manager").locks) == 1


def test_those_who_want_the_same_lock_at_once_share_it(run: Run, locks: Locks) -> None:
    all_at_once = threading.Barrier(3, timeout=30)

    def take(name: str) -> float:
        all_at_once.wait()
        return locks.take([run.cluster.hosts["manager"], run.cluster.hosts[name]])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(take, ("client1", "client2", "client3")))
    assert [len(run(name).locks) for name in run.cluster.hosts] == [1, 1, 1, 1]


def test_a_lock_that_is_lost_is_told_by_its_host(run: Run, locks: Locks) -> None:
    host, other = run.cluster.hosts["client1"], run.cluster.hosts["client2"]
    locks.take([host, other])
    locks.check([host, other])
    lost(run("client1"))
    locks.check([other])
    with pytest.raises(
        KubefabError, match=r"the lock on client1 was lost: it was not heard of.*nothing more is changed"
    ):
        locks.check([host, other])


def test_a_holder_without_a_name_is_told_by_number(run: Run, locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nameless)
    locks.take([run.cluster.hosts["manager"]])
    assert "@" in run("manager").locks[0]
