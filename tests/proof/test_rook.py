"""rook, up to where images of Ceph would be needed: the lab's operator is a stand-in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import MASTER, WORKER, Done, Kubefab, hosts_file, in_time, kubectl, mended, objects, on, true_on

COVERS = ("kubefab/addons/rook.py", "kubefab/steps/rook.py", "kubefab/facts/ceph.py", "scripts/wipe-disks.sh")

IMAGE = "/var/lib/containerd/e2e-disk"  # on a real file system, as a loop device wants it


@dataclass(frozen=True)
class Given:
    """A disk of the worker, and the hosts.yml that gives it to rook."""

    disk: str
    hosts: Path
    with_signature: Done
    raw: Done


@pytest.fixture(scope="module")
def given(inv: Kubefab) -> Iterator[Given]:
    """What `inv rook` says of a disk that somebody uses, and of the same when it is raw."""
    mended(inv)
    inv("addon.remove", "--name", "rook", "--yes").well()
    disk = on(WORKER, f"truncate -s 64M {IMAGE} && losetup --find --show {IMAGE}").strip()
    hosts = hosts_file(inv.state / "rook.yml", MASTER, WORKER, hosts={WORKER: {"disks": [disk]}})
    try:
        on(WORKER, f"mkswap {disk}")
        refused = inv("rook", hosts=hosts)
        assert "rook-ceph" not in kubectl("get", "namespaces", "-o", "name")
        on(WORKER, f"wipefs --all {disk}")
        yield Given(disk, hosts, refused, inv("rook", hosts=hosts))
    finally:
        on(WORKER, f"losetup --detach {disk}; rm {IMAGE}")
        inv("addon.remove", "--name", "rook", "--yes").well()


def test_a_disk_with_a_signature_is_refused_before_anything_is_deployed(given: Given) -> None:
    assert f"{WORKER} {given.disk}: swap" in given.with_signature.badly().stderr


def test_a_kubernetes_outside_the_documented_range_is_a_warning_that_names_it(given: Given) -> None:
    assert "rook 1.20.6 is documented for Kubernetes 1.31 to 1.36, and this is 1.37" in given.raw.stdout


def test_the_api_server_accepts_all_of_it(given: Given) -> None:
    (ceph,) = objects("cephclusters", "-n", "rook-ceph")
    assert ceph["metadata"]["name"] == "my-cluster"  # there are less than three nodes
    storage = ceph["spec"]["storage"]
    assert storage["nodes"] == [{"name": WORKER, "devices": [{"name": given.disk}]}]
    assert (storage["useAllNodes"], storage["useAllDevices"]) == (False, False)
    assert len(objects("drivers.csi.ceph.io", "-n", "rook-ceph")) == 2


def test_an_operator_that_never_answers_ends_in_a_clear_message(given: Given) -> None:
    done = given.raw.badly()
    assert "rook's operator reports neither a phase nor a message" in done.stderr
    assert "kubectl -n rook-ceph logs deploy/rook-ceph-operator" in done.stderr
    in_time("an operator that never answers is told", 120, done)


def test_status_tells_it_too(given: Given, inv: Kubefab) -> None:
    named = hosts_file(
        inv.state / "named.yml",
        MASTER,
        WORKER,
        cluster={"addons": ["flannel", "rook"]},
        hosts={WORKER: {"disks": [given.disk]}},
    )
    assert "rook's operator reports neither a phase nor a message" in inv("cluster.status", hosts=named).badly().stdout


def test_a_restart_takes_what_rook_left_and_disks_only_when_asked_to(given: Given, inv: Kubefab) -> None:
    on(WORKER, f"mkdir -p /var/lib/rook && echo mine >/var/lib/rook/keys && mkswap {given.disk}")
    spared = inv("restart", "--host", WORKER, "--wipe-disks", "--yes", hosts=given.hosts).badly()
    assert f"{given.disk}: swap" in spared.stderr
    assert true_on(WORKER, "test -e /var/lib/rook/keys")
    on(WORKER, f"wipefs --all {given.disk} && echo 'bluestore block device' | dd of={given.disk} conv=notrunc")
    plain = inv("restart", "--host", WORKER, "--yes", hosts=given.hosts).well()
    assert "/var/lib/rook" in plain.stdout
    assert given.disk not in plain.stdout
    assert not true_on(WORKER, "test -e /var/lib/rook")
    assert true_on(WORKER, f"blkid -p {given.disk}")
    asked = inv("restart", "--host", WORKER, "--wipe-disks", hosts=given.hosts).badly()
    assert f"{given.disk}, with all on it (Ceph's)" in asked.stdout
    inv("restart", "--host", WORKER, "--wipe-disks", "--yes", hosts=given.hosts).well()
    assert not true_on(WORKER, f"blkid -p {given.disk}")
    kubectl("delete", "node", WORKER)
    inv("cluster.up").well()


def test_it_is_removed_with_its_kinds(given: Given, inv: Kubefab) -> None:
    inv("addon.remove", "--name", "rook", "--yes", hosts=given.hosts).well()
    found = kubectl("get", "namespaces,crds", "-o", "name")
    assert "ceph" not in found
