"""What is told before anything is changed, all of it at once."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .harness import (
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    hosts_file,
    machine_id,
    never_used,
    on,
    untouched,
    wait_on,
)

PORTS = (6443, 10250)
TASKS = ("preflight", "cluster.up", "init-master")


@pytest.fixture(scope="module")
def bad(inv: Kubefab) -> dict[str, Done]:
    """What is said of a machine that was never used, with much that only its owner can change."""
    never_used(SPARE)
    hosts = hosts_file(inv.state / "bad.yml", SPARE, cluster={"name": "bad"})
    for port in PORTS:
        on(SPARE, f"systemd-run --quiet --collect --unit=e2e-port-{port} socat TCP-LISTEN:{port},fork -")
        wait_on(SPARE, f"ss -Hltn | grep -q :{port}")
    on(SPARE, "mkdir -p /etc/kubernetes/manifests; touch /etc/kubernetes/manifests/etcd.yaml")
    with untouched(SPARE):
        said = {task: inv(task, hosts=hosts) for task in TASKS}
    on(SPARE, "rm -r /etc/kubernetes; systemctl stop 'e2e-port-*'")
    return said


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "words", ["6443 is held by socat", "10250 is held by socat", "/etc/kubernetes/manifests/etcd.yaml"]
)
def test_all_that_only_the_owner_can_change_is_told_at_once(bad: dict[str, Done], task: str, words: str) -> None:
    assert words in bad[task].badly().stderr


def test_every_complaint_says_what_to_do(bad: dict[str, Done]) -> None:
    said = bad["preflight"].stderr
    assert f"inv restart --host {SPARE}" in said


@contextmanager
def given_the_id(machine: str) -> Iterator[None]:
    """The third machine has this machine-id."""
    kept = machine_id(SPARE)
    on(SPARE, "cat >/etc/machine-id", stdin=machine)
    try:
        yield
    finally:
        on(SPARE, "cat >/etc/machine-id", stdin=f"{kept}\n")


def test_a_cloned_machine_is_told(bad: dict[str, Done], well: Kubefab, three: Path) -> None:
    """The third machine as a copy of the worker's disk."""
    with given_the_id(f"{machine_id(WORKER)}\n"), untouched(MASTER, WORKER, SPARE):
        said = well("cluster.up", hosts=three).badly().stderr
    assert re.search(rf"{SPARE}: FAILED: no other host has this machine-id\n.*{WORKER}", said), said


def test_an_unfit_host_hides_no_other(bad: dict[str, Done], well: Kubefab, three: Path) -> None:
    with given_the_id(""):
        done = well("cluster.up", hosts=three).badly()
    assert set(re.findall(r"^(\S+): FAILED:", done.stderr, re.MULTILINE)) == {SPARE}
    assert "/etc/machine-id is empty" in done.stderr
