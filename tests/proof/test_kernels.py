"""A whole cluster of one machine with a kernel of its own, and nothing said for the lab's sake."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Done, Kubefab, nodes, on, ready_nodes
from tests.proof.kernels import VM, a_pod_answers, brought_up, machine_as_new, of_one, switched_off

COVERS = (
    "lab/qemu.py",
    "lab/vm*.py",
    "lab/machines.py",
    "lab/network.py",
    "lab/image-kernels/**",
    "lab/image/machine/etc/**",
    "tests/proof/kernels.py",
    "kubefab/crashes.py",
)


@pytest.fixture(scope="module")
def hosts(inv: Kubefab) -> Iterator[Path]:
    machine_as_new()
    yield of_one(inv.state / "one.yml", {}, {})
    switched_off()


@pytest.fixture(scope="module")
def up(inv: Kubefab, hosts: Path) -> Done:
    return brought_up(inv, hosts)


def test_a_cluster_of_one_machine_comes_up(up: Done) -> None:
    up.well()
    assert ready_nodes(VM) == {VM}


def test_nothing_was_said_for_the_labs_sake(up: Done, hosts: Path) -> None:
    told = on(
        VM,
        "cat /var/lib/kubelet/config.yaml; kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system "
        "get configmap kube-proxy -o yaml",
    )
    assert "failCgroupV1" not in hosts.read_text()
    assert "maxPerCore: 0" not in told


def test_a_pod_answers_by_its_services_name(up: Done) -> None:
    assert not nodes(VM)[VM]["spec"].get("taints")
    a_pod_answers("registry.k8s.io/lab/tools:1")


def test_a_second_up_has_nothing_to_do(up: Done, hosts: Path, inv: Kubefab) -> None:
    assert "nothing to do" in inv("cluster.up", hosts=hosts).well().stdout
