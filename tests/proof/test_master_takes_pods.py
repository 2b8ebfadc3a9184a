"""Ordinary pods on the master: `untaint`, `taint`, and `schedulable: true`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import MASTER, WORKER, Kubefab, hosts_file, kubectl, mended, nodes

COVERS = ("kubefab/steps/control_plane.py",)

POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: ordinary}}
spec:
  nodeSelector: {{kubernetes.io/hostname: {node}}}
  terminationGracePeriodSeconds: 0
  containers: [{{name: tools, image: "registry.k8s.io/lab/tools:1", command: [sleep, "3600"]}}]
"""
TAINT = "node-role.kubernetes.io/control-plane"
OLD_TAINT = "node-role.kubernetes.io/master"


@pytest.fixture
def tainted(inv: Kubefab) -> Iterator[Kubefab]:
    """A cluster whose master is as kubeadm made it."""
    mended(inv)
    kubectl("taint", "node", MASTER, f"{TAINT}:NoSchedule", "--overwrite")
    yield inv
    kubectl("delete", "pod", "ordinary", "--ignore-not-found")
    kubectl("taint", "node", MASTER, f"{TAINT}:NoSchedule", "--overwrite")


def takes_a_pod() -> None:
    kubectl("apply", "-f", "-", stdin=POD.format(node=MASTER))
    kubectl("wait", "--for=condition=Ready", "pod/ordinary", "--timeout=180s")


def taints() -> list[str]:
    return [taint["key"] for taint in nodes()[MASTER]["spec"].get("taints", ())]


def test_up_leaves_the_taint_where_hosts_yml_asks_for_nothing_else(tainted: Kubefab) -> None:
    assert "nothing to do" in tainted("cluster.up").well().stdout
    assert taints() == [TAINT]


def test_after_untaint_the_master_takes_a_pod_without_tolerations(tainted: Kubefab) -> None:
    tainted("untaint").well()
    assert taints() == []
    takes_a_pod()
    assert "nothing to do" in tainted("untaint").well().stdout


def test_both_names_of_the_taint_go_and_one_comes_back(tainted: Kubefab) -> None:
    kubectl("taint", "node", MASTER, f"{OLD_TAINT}:NoSchedule")
    tainted("untaint", "--host", MASTER).well()
    assert taints() == []
    tainted("taint", "--host", MASTER).well()
    assert taints() == [TAINT]
    assert "nothing to do" in tainted("taint").well().stdout


def test_a_worker_is_not_tainted(tainted: Kubefab) -> None:
    assert "a worker: kubeadm gives it no taint" in tainted("taint", "--host", WORKER).badly().stderr


def test_a_schedulable_master_takes_a_pod_after_up(tainted: Kubefab, tmp_path: Path) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, hosts={MASTER: {"schedulable": True}})
    planned = tainted("--dry", "cluster.up", hosts=hosts).well().stdout
    assert "takes ordinary pods" in planned
    assert taints() == [TAINT]
    tainted("cluster.up", hosts=hosts).well()
    takes_a_pod()
    assert "nothing to do" in tainted("cluster.up", hosts=hosts).well().stdout
