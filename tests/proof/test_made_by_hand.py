"""A master that somebody made with kubeadm, without us."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    address,
    cluster_uid,
    coredns_answers,
    disk,
    kubectl,
    on,
    ready_nodes,
    services,
    untouched,
    without_cluster,
)

from .kubeadm_by_hand import documents, initialize

COVERS = (
    "tests/proof/kubeadm_by_hand.py",
    "kubefab/kubeadm.py",
    "kubefab/steps/agreement.py",
    "kubefab/steps/control_plane.py",
    "scripts/set-endpoint.sh",
)

PAIR = (MASTER, WORKER)


@dataclass(frozen=True)
class TakenOver:
    without_subnet: Done
    uid: str
    dry: Done
    done: Done
    before: dict[str, str]
    after: dict[str, str]
    again: Done


@pytest.fixture(scope="module")
def taken_over(inv: Kubefab) -> Iterator[TakenOver]:
    without_cluster(inv)
    init({})
    with untouched(*PAIR):
        without_subnet = inv("cluster.up")
    inv("restart", "--host", MASTER, "--yes").well()
    init({"podSubnet": "10.244.0.0/16"})
    uid, before = cluster_uid(), disk(MASTER)
    dry = inv("--dry", "cluster.up")
    done = inv("cluster.up")
    yield TakenOver(without_subnet, uid, dry, done, before, disk(MASTER), inv("cluster.up"))
    inv("cluster.reset", "--yes").well()


def init(networking: dict[str, str]) -> None:
    initialize(documents("1.37.2", {"networking": networking}))


def test_a_cluster_without_a_pod_subnet_is_told_before_any_change(taken_over: TakenOver) -> None:
    said = taken_over.without_subnet.badly().stderr
    assert "pod subnet" in said
    assert "inv cluster.reset" in said


def test_a_plan_for_a_master_made_by_hand_does_not_touch_its_control_plane(taken_over: TakenOver) -> None:
    said = taken_over.dry.well().stdout
    assert "the control plane exists" not in said
    assert "broken off" not in said


def test_a_master_made_by_hand_is_taken_over(taken_over: TakenOver) -> None:
    taken_over.done.well()
    assert ready_nodes() == set(PAIR)
    assert coredns_answers()
    assert cluster_uid() == taken_over.uid


def test_nothing_of_its_control_plane_is_changed(taken_over: TakenOver) -> None:
    made = {path for path in taken_over.before if path.startswith("/etc/kubernetes/")}
    assert len(made) > 20
    assert [path for path in sorted(made) if taken_over.before[path] != taken_over.after.get(path)] == []


def test_a_master_made_by_hand_keeps_its_endpoint(taken_over: TakenOver) -> None:
    server = f"https://{address(MASTER)}:6443"
    assert kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}") == server
    assert server in on(WORKER, "cat /etc/kubernetes/kubelet.conf")


def test_a_second_up_has_nothing_to_do_either(taken_over: TakenOver) -> None:
    assert "nothing to do" in taken_over.again.well().stdout


def test_status_and_kubeconfig_work_there_too(taken_over: TakenOver, inv: Kubefab) -> None:
    assert "all is well" in inv("cluster.status").well().stdout
    inv("cluster.kubeconfig", "--output", str(inv.state / "by-hand.conf")).well()
    assert services(MASTER)
