"""Machines that join together, and while another worker is off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import (
    MACHINES,
    MASTER,
    SPARE,
    WORKER,
    Kubefab,
    address,
    cut_power,
    fresh,
    hosts_file,
    kubectl,
    mended,
    power_on,
    ready_nodes,
    wait_on,
)

COVERS = ("kubefab/steps/worker.py", "kubefab/steps/registration.py", "scripts/join.sh", "scripts/mint-token.sh")

OTHER = "called-otherwise"


@pytest.fixture(scope="module")
def joined(inv: Kubefab, three: Path) -> Iterator[None]:
    """A cluster of all three."""
    mended(inv)
    fresh(SPARE)
    inv("cluster.up", hosts=three).well()
    yield
    kubectl("delete", "node", SPARE, OTHER, "--ignore-not-found")


def test_two_machines_join_in_one_run(joined: None, inv: Kubefab, three: Path) -> None:
    for host in (WORKER, SPARE):
        inv("restart", "--host", host, "--yes", hosts=three).well()
    inv("join-worker", hosts=three).well()
    inv("cluster.up", hosts=three).well()
    assert ready_nodes() == set(MACHINES)


def test_a_machine_joins_while_another_worker_is_off(joined: None, inv: Kubefab, three: Path) -> None:
    """Under another name than its own, too: hosts.yml says what the node is called."""
    inv("restart", "--host", SPARE, "--yes", hosts=three).well()
    kubectl("delete", "node", SPARE)
    says = {OTHER: {"address": address(SPARE)}}
    hosts = hosts_file(inv.state / "other.yml", MASTER, WORKER, OTHER, hosts=says)
    cut_power(WORKER)
    try:
        done = inv("node.join", "--host", OTHER, hosts=hosts).well()
        assert WORKER not in done.said.replace(f"{WORKER} 0", "")
        assert OTHER in ready_nodes()
    finally:
        power_on()
        wait_on(WORKER, "pgrep -x flanneld")  # which installs its files anew before
