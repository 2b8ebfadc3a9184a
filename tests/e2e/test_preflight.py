"""What is told before anything is changed, all of it at once. Half a minute."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import (
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    fresh,
    hosts_file,
    machine_id,
    on,
    untouched,
    wait_on,
)

BAD_NAME = "printf Not_A_Name >/proc/sys/kernel/hostname"  # hostname(1) would not
PORTS = (6443, 10250)
TASKS = ("preflight", "cluster.up", "init-master")


@pytest.fixture(scope="module")
def bad(inv: Kubefab) -> Iterator[dict[str, Done]]:
    """What is said of a machine, as new, with much that only its owner can change."""
    fresh(SPARE)
    hosts = hosts_file(inv.state / "bad.yml", SPARE, cluster={"name": "bad"})
    for port in PORTS:
        on(SPARE, f"systemd-run --quiet --collect --unit=e2e-port-{port} socat TCP-LISTEN:{port},fork -")
        wait_on(SPARE, f"ss -Hltn | grep -q :{port}", 10)
    on(SPARE, f"{BAD_NAME}; mkdir -p /etc/kubernetes/manifests; touch /etc/kubernetes/manifests/old.yaml")
    with untouched(SPARE):
        said = {task: inv(task, hosts=hosts) for task in TASKS}
    yield said
    fresh(SPARE)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "words", ["6443 is held by socat", "10250 is held by socat", "Not_A_Name", "/etc/kubernetes/manifests/old.yaml"]
)
def test_all_that_only_the_owner_can_change_is_told_at_once(bad: dict[str, Done], task: str, words: str) -> None:
    assert words in bad[task].badly().stderr


def test_every_complaint_says_what_to_do(bad: dict[str, Done]) -> None:
    said = bad["preflight"].stderr
    assert "hostnamectl set-hostname" in said
    assert f"inv restart --host {SPARE}" in said


def test_a_cloned_machine_is_told(cluster: Kubefab, tmp_path: Path) -> None:
    """The third machine as a copy of the worker's disk."""
    fresh(SPARE)
    on(SPARE, "cat >/etc/machine-id", stdin=f"{machine_id(WORKER)}\n")
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, SPARE)
    with untouched(MASTER, WORKER, SPARE):
        said = cluster("cluster.up", hosts=hosts).badly().stderr
    assert re.search(rf"{SPARE}: FAILED: the machine-id is its own\n.*{WORKER}", said), said
    fresh(SPARE)


def test_an_unfit_host_hides_no_other(cluster: Kubefab, three: Path) -> None:
    on(SPARE, BAD_NAME)
    try:
        done = cluster("cluster.up", hosts=three).badly()
        assert re.findall(r"^(\S+): FAILED:", done.stderr, re.MULTILINE) == [SPARE]
        assert "Not_A_Name" in done.stderr
    finally:
        on(SPARE, "hostname $(cat /etc/hostname)")
