"""A worker that is off, and a run of which nothing is heard any more."""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import (
    CHANGE,
    DPKG,
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    Running,
    address,
    cut_power,
    eventually,
    freeze,
    fresh,
    hosts_file,
    in_time,
    kubectl,
    mended,
    on,
    power_on,
    ready_nodes,
    thaw,
    untouched,
)

COVERS = ("kubefab/lock.py", "kubefab/locks.py", "kubefab/wires.py", "scripts/lock.sh")

PAIR = (MASTER, WORKER)


# --- a worker that is off


@dataclass(frozen=True)
class Down:
    up: Done
    ready: set[str]
    status: Done
    absent: Done
    absent_again: Done
    back: Done


@pytest.fixture(scope="module")
def down(inv: Kubefab, three: Path) -> Down:
    """One worker of two is off, and the other one is still to be joined; then it is there again."""
    mended(inv)
    fresh(SPARE)
    without = hosts_file(inv.state / "absent.yml", MASTER, WORKER, SPARE, hosts={WORKER: {"absent": True}})
    cut_power(WORKER)
    try:
        up = inv("cluster.up", hosts=three)
        ready = ready_nodes()
        status = inv("cluster.status", hosts=three)
        absent, again = (inv("cluster.up", hosts=without) for _ in range(2))
        power_on()
        return Down(up, ready, status, absent, again, inv("cluster.up", hosts=three))
    finally:
        power_on()
        kubectl("delete", "node", SPARE, "--ignore-not-found")


def test_a_worker_that_is_off_hides_no_other(down: Down) -> None:
    assert re.search(rf"^{SPARE}\s+\S the host is a node", down.up.badly().stdout, re.MULTILINE), down.up.stdout
    assert SPARE in down.ready


def test_one_error_names_the_host_that_is_off_and_what_to_do(down: Down) -> None:
    said = down.up.stderr
    assert re.findall(r"^(\S+): FAILED:", said, re.MULTILINE) == [WORKER], said
    assert address(WORKER) in said
    assert "absent: true" in said


def test_a_worker_that_is_off_keeps_nobody_waiting(down: Down) -> None:
    for done in (down.up, down.absent, down.absent_again):
        in_time("up while a worker is off", 30, done)


def test_status_names_the_host_that_is_off(down: Down) -> None:
    assert WORKER in down.status.badly().stdout


def test_a_worker_marked_absent_is_left_out(down: Down) -> None:
    assert WORKER not in down.absent.well().said
    assert "nothing to do" in down.absent_again.well().stdout


def test_a_worker_that_is_on_again_is_found_well(down: Down) -> None:
    down.back.well()


# --- a run that falls silent


@dataclass(frozen=True)
class Silent:
    run: Running
    hosts: Path


@pytest.fixture(scope="module")
def silent(inv: Kubefab, down: Down) -> Iterator[Silent]:
    """A run on the third machine, which has its lock, and of which nothing is heard any more."""
    fresh(SPARE)
    hosts = hosts_file(inv.state / "silent.yml", SPARE, cluster={"name": "other"})
    with inv.started("install-kubeadm", hosts=hosts) as run:
        freeze(run, SPARE, DPKG)
        run.is_told(signal.SIGSTOP)
        thaw(SPARE, DPKG)
        on(SPARE, f"timeout 300 flock {CHANGE} true")
        yield Silent(run, hosts)


def test_a_holder_that_is_silent_has_the_lock_for_some_time(silent: Silent, inv: Kubefab) -> None:
    """What comes after it lets that time pass."""
    assert f"process {silent.run.process.pid}" in inv("install-kubeadm", hosts=silent.hosts).badly().stderr


def test_a_lock_whose_holder_is_silent_is_free_again_and_the_holder_changes_nothing_more(
    silent: Silent, inv: Kubefab
) -> None:
    eventually(lambda: not inv("install-kubeadm", hosts=silent.hosts).status, 300, 5)
    on(SPARE, "apt-mark unhold kubelet")  # so that there is something to change again
    with untouched(SPARE):
        silent.run.is_told(signal.SIGCONT)
        assert f"the lock on {SPARE} was lost" in silent.run.ends().badly().stderr
