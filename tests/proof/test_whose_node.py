"""A worker that another cluster claims, and one that lost its kubeconfig."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import (
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    fresh,
    hosts_file,
    mended,
    nodes,
    on,
    ready_nodes,
    untouched,
)

COVERS = ("kubefab/steps/registration.py", "kubefab/steps/agreement.py", "kubefab/steps/worker.py")

PAIR = {MASTER, WORKER}


def test_a_worker_whose_kubelet_conf_was_taken_away_is_told_and_joins_after_what_was_advised(cluster: Kubefab) -> None:
    on(WORKER, "systemctl stop kubelet; rm /etc/kubernetes/kubelet.conf")
    with untouched(WORKER):
        said = cluster("cluster.up").badly().stderr
    assert f"inv restart --host {WORKER}" in said
    cluster("restart", "--host", WORKER, "--yes").well()
    cluster("cluster.up").well()
    assert ready_nodes() == PAIR
    assert on(WORKER, "systemctl is-active kubelet").strip() == "active"


# --- a worker of another cluster


@dataclass(frozen=True)
class Claimed:
    """Another cluster, whose hosts.yml names a worker of ours."""

    hosts: Path
    up: Done
    join: Done


@pytest.fixture(scope="module")
def claimed(inv: Kubefab) -> Iterator[Claimed]:
    mended(inv)
    fresh(SPARE)
    hosts = hosts_file(inv.state / "claimed.yml", SPARE, WORKER, cluster={"name": "other"})
    with untouched(MASTER, WORKER):
        up = inv("cluster.up", hosts=hosts)
        join = inv("node.join", "--host", WORKER, hosts=hosts)
    yield Claimed(hosts, up, join)
    fresh(SPARE)


def test_a_worker_of_another_cluster_is_refused_before_there_is_ours(claimed: Claimed) -> None:
    said = claimed.up.badly().stderr
    assert WORKER in said
    assert "the CA" in said
    assert f"inv restart --host {WORKER}" in said


def test_a_worker_of_another_cluster_is_refused_by_our_cluster(claimed: Claimed) -> None:
    said = claimed.join.badly().stderr
    assert WORKER in said
    assert said.count("CA") or said.count("cluster")
    assert f"inv restart --host {WORKER}" in said


def test_a_refused_worker_hides_not_its_master(claimed: Claimed) -> None:
    assert set(nodes(SPARE)) == {SPARE}
    assert ready_nodes(SPARE) == {SPARE}


def test_a_claimed_worker_stays_in_its_own_cluster(claimed: Claimed, inv: Kubefab) -> None:
    assert ready_nodes() == PAIR
    assert "nothing to do" in inv("cluster.up").well().stdout


def test_a_claimed_worker_joins_after_what_the_error_advised(claimed: Claimed, inv: Kubefab) -> None:
    """And then it is the first cluster that finds a worker of another one."""
    inv("restart", "--host", WORKER, "--yes", hosts=claimed.hosts).well()
    inv("cluster.up", hosts=claimed.hosts).well()
    assert ready_nodes(SPARE) == {SPARE, WORKER}
    with untouched(WORKER):
        inv("cluster.up").badly()
    inv("restart", "--host", WORKER, "--yes").well()
    inv("cluster.up").well()
    assert ready_nodes() == PAIR
