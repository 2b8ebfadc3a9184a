"""Machines that are not what the cluster, or they themselves, remember. Two minutes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .harness import (
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    address,
    cluster_uid,
    fresh,
    hosts_file,
    kubectl,
    machine_id,
    mended,
    nodes,
    on,
    ready_nodes,
    untouched,
)

PAIR = {MASTER, WORKER}


def test_a_worker_that_was_installed_anew_takes_its_old_nodes_place(cluster: Kubefab) -> None:
    old = machine_id(WORKER)
    fresh(WORKER)
    assert machine_id(WORKER) != old
    assert nodes()[WORKER]["status"]["nodeInfo"]["machineID"] == old
    said = cluster("cluster.up").well().stdout
    assert old in said or "no other machine's Node" in said
    assert ready_nodes() == PAIR
    assert nodes()[WORKER]["status"]["nodeInfo"]["machineID"] == machine_id(WORKER)


def test_a_worker_whose_node_was_deleted_is_cleaned_and_joins_again(cluster: Kubefab) -> None:
    uid = cluster_uid()
    kubectl("delete", "node", WORKER)
    cluster("cluster.up").well()
    assert ready_nodes() == PAIR
    assert cluster_uid() == uid


def test_a_worker_whose_kubelet_conf_was_taken_away_joins_again(cluster: Kubefab) -> None:
    on(WORKER, "systemctl stop kubelet; rm /etc/kubernetes/kubelet.conf")
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


def test_hosts_with_each_others_address_are_not_told_to_clean_anything(cluster: Kubefab, tmp_path: Path) -> None:
    swapped = {MASTER: {"address": address(WORKER)}, WORKER: {"address": address(MASTER)}}
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, hosts=swapped)
    with untouched(MASTER, WORKER):
        said = cluster("cluster.up", hosts=hosts).badly().stderr
    assert said.count(f"it is {WORKER} ({address(MASTER)})") == 2, said
    assert "exchanged in hosts.yml?" in said
    assert f"inv restart --host {MASTER}" not in said


def test_a_machine_under_the_name_of_a_living_node_is_refused(cluster: Kubefab, tmp_path: Path) -> None:
    """The third machine, called as the worker that is there and well."""
    fresh(SPARE)
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, hosts={WORKER: {"address": address(SPARE)}})
    with untouched(MASTER, WORKER):
        said = cluster("cluster.up", hosts=hosts).badly().stderr
    assert WORKER in said
    assert "another name" in said
    assert nodes()[WORKER]["status"]["nodeInfo"]["machineID"] == machine_id(WORKER)
