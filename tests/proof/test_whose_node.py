"""Machines that are not what the cluster, another one, or they themselves remember."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from tests.e2e.harness import (
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    address,
    cluster_uid,
    eventually,
    fresh,
    hosts_file,
    kubectl,
    machine_id,
    mended,
    never_used,
    nodes,
    on,
    ready_nodes,
    untouched,
)

COVERS = ("kubefab/steps/registration.py", "kubefab/steps/agreement.py", "kubefab/steps/worker.py")

PAIR = {MASTER, WORKER}


def uid(host: str) -> str:
    """Of its Node: one that was deleted and came back has another."""
    return kubectl("get", "node", host, "-o", "jsonpath={.metadata.uid}")


def test_a_worker_that_was_installed_anew_joins_over_its_old_node(cluster: Kubefab) -> None:
    old, node = machine_id(WORKER), uid(WORKER)
    kubectl("cordon", WORKER)
    fresh(WORKER)
    assert machine_id(WORKER) != old
    cluster("cluster.up").well()
    assert ready_nodes() == PAIR
    found = nodes()[WORKER]
    assert found["status"]["nodeInfo"]["machineID"] == machine_id(WORKER)
    assert found["spec"]["unschedulable"], "somebody's cordon was lifted"
    assert uid(WORKER) == node, "the Node was deleted, and all that others wrote on it"
    kubectl("uncordon", WORKER)


def of_its_own_network(host: str) -> bool:
    """Whether its flannel has announced it, and its bridge is in the Node's own subnet."""
    node = nodes()[host]
    told = "flannel.alpha.coreos.com/public-ip" in node["metadata"]["annotations"]
    bridges = on(host, "ip -o -4 addr show cni0 2>/dev/null | awk '{print $4}'").split()
    subnet = ip_network(node["spec"]["podCIDR"])
    return told and all(ip_interface(bridge).ip in subnet for bridge in bridges)


PRECIOUS = "/var/lib/rook/precious"


def test_a_worker_whose_node_was_deleted_comes_back_as_it_is(cluster: Kubefab) -> None:
    """Also where the subnet of its pods is another one: the old is given to a Node that comes before it."""
    node = uid(WORKER)
    on(WORKER, f"mkdir -p /var/lib/rook; touch {PRECIOUS}")
    on(WORKER, "systemctl stop kubelet")
    kubectl("delete", "node", WORKER)
    kubectl("apply", "-f", "-", stdin="{apiVersion: v1, kind: Node, metadata: {name: before}}")
    eventually(lambda: kubectl("get", "node", "before", "-o", "jsonpath={.spec.podCIDR}"))
    said = cluster("cluster.up").well().stdout
    kubectl("delete", "node", "before")
    assert "labels and taints set by others are lost" in said
    assert ready_nodes() == PAIR
    assert uid(WORKER) != node
    assert eventually(lambda: of_its_own_network(WORKER))
    on(WORKER, f"rm {PRECIOUS}; rmdir /var/lib/rook")
    assert "nothing to do" in cluster("cluster.up").well().stdout


def test_a_master_whose_node_was_deleted_comes_back_as_a_master(cluster: Kubefab) -> None:
    before, cluster_before = nodes()[MASTER], cluster_uid()
    kubectl("delete", "node", MASTER)
    cluster("cluster.up").well()
    # The node controller takes off its own taint of a Node that was not Ready yet with its next pass.
    assert eventually(lambda: nodes()[MASTER]["spec"]["taints"] == before["spec"]["taints"])
    found = nodes()[MASTER]
    marks = {name for name in before["metadata"]["labels"] if name.startswith("node")}
    assert marks <= set(found["metadata"]["labels"])
    assert cluster_uid() == cluster_before
    assert "nothing to do" in cluster("cluster.up").well().stdout


def test_a_worker_that_was_given_another_machine_id_is_restarted_and_no_more(cluster: Kubefab) -> None:
    """As preflight itself advises where machines were cloned, and before the reboot."""
    node, old = uid(WORKER), machine_id(WORKER)
    on(WORKER, "tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id")
    cluster("cluster.up").well()
    assert machine_id(WORKER) != old
    assert nodes()[WORKER]["status"]["nodeInfo"]["machineID"] == machine_id(WORKER)
    assert uid(WORKER) == node


def test_a_worker_without_a_machine_id_is_told_and_left_alone(cluster: Kubefab) -> None:
    kept = machine_id(WORKER)
    on(WORKER, ": >/etc/machine-id")
    try:
        with untouched(WORKER):
            said = cluster("cluster.up").badly().stderr
    finally:
        on(WORKER, f"echo {kept} >/etc/machine-id")
    assert "systemd-machine-id-setup" in said
    assert ready_nodes() == PAIR


def test_hosts_with_each_others_address_are_not_told_to_clean_anything(cluster: Kubefab, tmp_path: Path) -> None:
    swapped = {MASTER: {"address": address(WORKER)}, WORKER: {"address": address(MASTER)}}
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, hosts=swapped)
    with untouched(MASTER, WORKER):
        said = cluster("cluster.up", hosts=hosts).badly().stderr
    assert said.count(f"it is {WORKER} ({address(MASTER)})") == 2, said
    assert "swapped in hosts.yml?" in said
    assert f"inv restart --host {MASTER}" not in said


def test_a_machine_under_the_name_of_a_living_node_is_refused(cluster: Kubefab, tmp_path: Path) -> None:
    """The third machine, called as the worker that is there and well."""
    never_used(SPARE)
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, hosts={WORKER: {"address": address(SPARE)}})
    with untouched(MASTER, WORKER):
        said = cluster("cluster.up", hosts=hosts).badly().stderr
    assert WORKER in said
    assert "another name" in said
    assert nodes()[WORKER]["status"]["nodeInfo"]["machineID"] == machine_id(WORKER)


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
