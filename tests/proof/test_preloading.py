"""Images for machines that cannot pull them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import (
    MASTER,
    SPARE,
    WORKER,
    Kubefab,
    attempt,
    cut_off,
    fresh,
    hosts_file,
    kubectl,
    mended,
    on,
    untouched,
)

COVERS = (
    "kubefab/images.py",
    "kubefab/carry.py",
    "kubefab/steps/images.py",
    "scripts/list-images.sh",
    "scripts/move-images.sh",
)

TOOLS = "registry.k8s.io/lab/tools:1"
OTHER = "registry.k8s.io/lab/other:2"
# Another first byte: of a file of another size the rest would not even be asked.
BROKEN_CAT = """#!/bin/sh
[ $# = 0 ] || exec /bin/cat "$@"
head -c 1 >/dev/null
printf 1
exec /bin/cat
"""


def images(host: str) -> set[str]:
    return set(on(host, "ctr -n k8s.io images ls -q").split())


@pytest.fixture(scope="module")
def listed_by_the_new(inv: Kubefab) -> set[str]:
    """What is listed while there is but one machine, as new, that runs no program from /var/tmp."""
    fresh(SPARE)
    on(SPARE, "mount -t tmpfs -o noexec tmpfs /var/tmp")
    with untouched(SPARE):
        return set(inv("images.list", hosts=hosts_file(inv.state / "new.yml", SPARE)).well().stdout.split())


@pytest.fixture(scope="module")
def three(inv: Kubefab, three: Path, listed_by_the_new: set[str]) -> Iterator[Path]:
    """A cluster of two, and a third machine with a runtime, cut off from the registry."""
    mended(inv)
    inv("install-docker", hosts=three).well()
    cut_off(SPARE)
    yield three
    fresh(SPARE)


def test_what_a_cluster_needs_is_listed_as_its_kubeadm_names_it(inv: Kubefab, three: Path) -> None:
    listed = inv("images.list", hosts=three).well().stdout.split()
    asked = on(MASTER, "kubeadm config images list --kubernetes-version v1.37.2").split()
    assert set(listed) == {*asked, *(one for one in listed if one.startswith("ghcr.io/flannel-io/"))}
    running = kubectl("get", "pods", "-A", "-o", "jsonpath={.items[*].spec['containers','initContainers'][*].image}")
    assert set(running.split()) <= set(listed)


def test_what_a_cluster_needs_is_known_before_anything_is_installed(
    inv: Kubefab, three: Path, listed_by_the_new: set[str]
) -> None:
    assert set(inv("images.list", hosts=three).well().stdout.split()) == listed_by_the_new


def test_what_rooks_operators_start_is_listed_too(inv: Kubefab, three: Path, listed_by_the_new: set[str]) -> None:
    hosts = hosts_file(inv.state / "rook.yml", MASTER, WORKER, cluster={"addons": ["flannel", "rook"]})
    listed = set(inv("images.list", hosts=hosts).well().stdout.split())
    assert {image.rpartition(":")[0] for image in listed - listed_by_the_new} == {
        "docker.io/rook/ceph",
        "quay.io/ceph/ceph",
        "quay.io/cephcsi/ceph-csi-operator",
        "quay.io/cephcsi/cephcsi",
        *(
            f"registry.k8s.io/sig-storage/csi-{name}"
            for name in ("attacher", "node-driver-registrar", "provisioner", "resizer", "snapshotter")
        ),
    }


def test_a_machine_that_cannot_pull_gets_all_it_needs_from_one_that_has_it(inv: Kubefab, three: Path) -> None:
    assert images(SPARE) == set()
    done = inv("images.preload", "--host", SPARE, hosts=three).well()
    assert "the images are present" in done.stdout
    found = images(SPARE)
    assert any("kube-proxy" in one for one in found)
    assert not any("etcd" in one for one in found)  # a worker runs none
    assert on(SPARE, "ls -A /var/lib/kubefab-images").split() == []


def test_what_is_there_is_not_brought_again(inv: Kubefab, three: Path) -> None:
    assert "nothing to do" in inv("images.preload", "--host", SPARE, hosts=three).well().stdout


def test_one_image_is_pulled_where_it_can_be_and_copied_where_it_cannot(inv: Kubefab, three: Path) -> None:
    for host in (MASTER, WORKER, SPARE):
        attempt(host, f"ctr -n k8s.io images rm --sync {TOOLS}")
    inv("images.preload", "--image", TOOLS, "--host", SPARE, "--host", MASTER, hosts=three).well()
    assert TOOLS in images(SPARE) & images(MASTER)
    assert TOOLS not in images(WORKER)


def test_an_image_that_nobody_can_pull_is_named_with_what_to_do(inv: Kubefab, three: Path) -> None:
    said = inv("images.preload", "--image", "registry.k8s.io/no/such:1", "--host", SPARE, hosts=three).badly().stderr
    assert "no host has registry.k8s.io/no/such:1, and none can pull it" in said
    assert "--from FILE.tar.gz" in said


@pytest.fixture(scope="module")
def archive(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As somebody would carry it over from elsewhere: exported and gzipped."""
    on(MASTER, f"ctr -n k8s.io images tag --force {TOOLS} {OTHER}")
    on(MASTER, f"ctr -n k8s.io images export - {OTHER} | gzip -1 | base64 -w0 >/run/other")
    file = tmp_path_factory.mktemp("images") / "other.tar.gz"
    text = on(MASTER, "cat /run/other; rm /run/other")
    subprocess.run(["sh", "-c", f"base64 -d >{file}"], input=text, text=True, check=True)
    return file


def test_a_file_that_was_saved_elsewhere_is_loaded(inv: Kubefab, three: Path, archive: Path) -> None:
    inv("images.preload", "--from", str(archive), "--host", SPARE, hosts=three).well()
    assert OTHER in images(SPARE)
    assert "nothing to do" in inv("images.preload", "--from", str(archive), "--host", SPARE, hosts=three).well().stdout


def test_a_file_that_arrived_otherwise_than_it_was_sent_is_not_loaded(inv: Kubefab, three: Path, archive: Path) -> None:
    on(SPARE, f"ctr -n k8s.io images rm --sync {OTHER}")
    # A stand-in for a disk that keeps something else than it was given: what only reads a file stays itself.
    on(SPARE, "cat >/usr/local/bin/cat && chmod +x /usr/local/bin/cat", stdin=BROKEN_CAT)
    try:
        said = inv("images.preload", "--from", str(archive), "--host", SPARE, hosts=three).badly().stderr
    finally:
        on(SPARE, "rm /usr/local/bin/cat")
    assert "checksum" in said
    assert OTHER not in images(SPARE)
    assert on(SPARE, "ls -A /var/lib/kubefab-images").split() == []


def test_what_was_loaded_is_where_the_kubelet_looks(inv: Kubefab, three: Path) -> None:
    """The CRI puts this label on all that it sees."""
    for line in on(SPARE, "ctr -n k8s.io images ls | grep lab/").splitlines():
        assert "io.cri-containerd.image=managed" in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--image", "x", "--from", "y"), "not both"),
        (("--from", "/nonexistent.tar"), "/nonexistent.tar: No such file"),
        (("--from", "README.md"), "images that docker save or ctr export wrote"),
        (("--host", "nobody"), "found no host 'nobody'"),
    ],
)
def test_what_cannot_be_is_one_message(inv: Kubefab, three: Path, words: tuple[str, ...], told: str) -> None:
    done = inv("images.preload", *words, hosts=three).badly()
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
