"""What an upgrade cannot go on with stops it before or at its node, by name; once that is gone, so does the upgrade."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from lab.settings import GATEWAY
from tests.e2e.asker import NAME, asking
from tests.e2e.harness import (
    MASTER,
    WORKER,
    Kubefab,
    eventually,
    fresh,
    is_ready,
    kubectl,
    nodes,
    on,
    power_on,
    untouched,
)

from .upgrades import AFTER, hosts_of, is_upgraded, kubelets

COVERS = (
    "kubefab/upgrading.py",
    "kubefab/steps/upgrade*.py",
    "kubefab/steps/versions.py",
    "scripts/**/*upgrade*",
    "scripts/shared/hasten.sh",
    "scripts/shared/marks.sh",
    "scripts/shared/servers.sh",
    "scripts/shared/named.sh",
    "scripts/shared/etcd.sh",
    "scripts/shared/podded.sh",
    "scripts/fetch-kubernetes.sh",
    "scripts/forget-copies.sh",
    "scripts/put-manifests.sh",
    "kubefab/images.py",
    "kubefab/steps/draining.py",
    "scripts/drain.sh",
    "scripts/shared/cordons.sh",
    "scripts/list-images.sh",
    "scripts/fetch-images.sh",
    "scripts/shared/kubernetes.sh",
    "scripts/shared/copies.sh",
)
BEFORE = "1.37.1"
FOLDER = "/etc/kubernetes"


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    """Its cluster is at the version before, and its hosts.yml says the new one."""
    folder = tmp_path_factory.mktemp("blocked-upgrades")
    power_on("--everything", "--kubernetes", BEFORE)
    fresh(MASTER, WORKER)
    inv = Kubefab(hosts_of(folder / "hosts.yml", AFTER, [MASTER], [WORKER]), folder)
    inv("cluster.up", hosts=hosts_of(folder / "before.yml", BEFORE, [MASTER], [WORKER])).well()
    yield inv
    inv("cluster.reset", "--yes").well()


def stopped(inv: Kubefab, *options: str) -> str:
    """What an upgrade said that could not go on; nothing of Kubernetes is another than before."""
    said = inv("cluster.upgrade", "--yes", *options).badly().said
    assert set(kubelets(nodes()).values()) == {f"v{BEFORE}"}
    return said


@contextmanager
def no_registry() -> Iterator[None]:
    rule = f"OUTPUT -d {GATEWAY} -p tcp --dport 5000 -j REJECT"
    on(WORKER, f"iptables -I {rule}")
    try:
        yield
    finally:
        on(WORKER, f"iptables -D {rule}")


@contextmanager
def full_disk() -> Iterator[None]:
    """Where kubeadm keeps a copy of etcd while it upgrades it: the same files, and no room beside them."""
    on(MASTER, f"mount -t tmpfs -o size=3m,mode=755 proof /mnt && cp -a {FOLDER}/. /mnt && mount --bind /mnt {FOLDER}")
    try:
        yield
    finally:
        on(MASTER, f"umount {FOLDER} /mnt")


@contextmanager
def not_ready() -> Iterator[None]:
    on(MASTER, "systemctl stop kubelet")
    try:
        eventually(lambda: not is_ready(nodes()[MASTER]))
        yield
    finally:
        on(MASTER, "systemctl start kubelet")
        eventually(lambda: is_ready(nodes()[MASTER]))


def test_an_image_that_cannot_be_pulled_stops_it_before_any_change(inv: Kubefab) -> None:
    """The first one here: those who are not stopped have all images by the end of any other."""
    with no_registry():
        said = stopped(inv)
    assert f"kube-proxy:v{AFTER}" in said
    assert f"kube-apiserver:v{BEFORE}" in on(MASTER, "cat /etc/kubernetes/manifests/kube-apiserver.yaml")


def test_a_master_that_is_not_ready_stops_it_before_any_change(inv: Kubefab) -> None:
    with not_ready():
        said = stopped(inv)
    assert f"{MASTER}: FAILED: the node is Ready before it is upgraded" in said


def test_a_disk_with_no_room_for_a_copy_of_etcd_stops_it_before_any_change(inv: Kubefab) -> None:
    with full_disk(), untouched(WORKER):
        said = stopped(inv)
    assert f"{MASTER}: FAILED: there is room for kubeadm's copy of etcd" in said


def test_a_budget_that_never_lets_go_stops_it_at_its_node_and_it_goes_on_without(inv: Kubefab) -> None:
    with asking([MASTER, WORKER]) as asker:
        budget(2)
        said = inv("cluster.upgrade", "--yes", "--timeout", "30").badly().said
        assert f"default/{NAME}" in said
        assert not asker.failed
        budget(1)
        inv("cluster.upgrade", "--yes").well()
    is_upgraded(inv, [MASTER], [WORKER])


def budget(available: int) -> None:
    kubectl("patch", "pdb", NAME, "--type", "merge", "-p", yaml.safe_dump({"spec": {"minAvailable": available}}))
