"""A cluster with add-ons out of one file, on machines that reach nothing else."""

import re
import tarfile
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import (
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    coredns_answers,
    cut_off,
    eventually,
    fresh,
    hosts_file,
    kubectl,
    objects,
    on,
    ready_nodes,
    true_on,
    untouched,
)

COVERS = (
    "kubefab/bundle.py",
    "kubefab/steps/bundle.py",
    "kubefab/carry.py",
    "scripts/pack-packages.sh",
    "scripts/use-bundle.sh",
    "files/etc/containerd/kubefab-bundle.d/*",
)

PAIR = (MASTER, WORKER)
WITH = ["flannel", "metrics-server", "local-path@0.0.30", "headlamp"]
STORED = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  storageClassName: local-path
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers:
  - name: busybox
    image: docker.io/library/busybox:1.37.0
    command: [sh, -c, "echo kept >/data/kept; sleep 3600"]
    volumeMounts: [{name: data, mountPath: /data}]
"""


@dataclass(frozen=True)
class Story:
    file: Path
    hosts: Path
    made: Done
    up: Done


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Iterator[Story]:
    """The third machine makes the bundle; the other two, as new, have nothing but it, and no mirror is named.

    It is made for several masters, and would do for them.
    """
    fresh(SPARE, *PAIR)
    file = inv.state / "cluster.bundle"
    several = {MASTER: {"role": "master"}}
    builder = hosts_file(inv.state / "builder.yml", SPARE, MASTER, WORKER, cluster={"addons": WITH}, hosts=several)
    made = inv("bundle.make", "--host", SPARE, "--output", str(file), hosts=builder).well()
    for host in PAIR:
        cut_off(host)
    break_off_apt(WORKER, file)
    hosts = hosts_file(inv.state / "bundled.yml", *PAIR, cluster={"addons": WITH})
    document = yaml.safe_load(hosts.read_text())
    del document["mirrors"]
    hosts.write_text(yaml.safe_dump(document | {"bundle": file.name}))
    yield Story(file, hosts, made, inv("cluster.up", hosts=hosts))
    fresh(*PAIR)
    file.unlink()


def break_off_apt(host: str, file: Path) -> None:
    """The kubelet is unpacked, and what it depends on is not there: as apt leaves it, broken off in the middle."""
    with tarfile.open(file) as bundle:
        (name,) = [name for name in bundle.getnames() if name.startswith("packages/kubelet_")]
        package = bundle.extractfile(name)
        assert package
        on(host, "base64 -d >/root/it.deb", stdin=b64encode(package.read()).decode())
    on(host, "dpkg --unpack /root/it.deb && rm /root/it.deb")
    assert "kubelet" in on(host, "dpkg --audit")


def test_it_has_haproxy_for_the_workers_of_several_masters(story: Story) -> None:
    with tarfile.open(story.file) as bundle:
        assert [name for name in bundle.getnames() if name.startswith("packages/haproxy_")]


@pytest.mark.parametrize("host", PAIR)
def test_the_machines_reach_no_other_source(story: Story, host: str) -> None:
    for port in (5000, 8080):
        assert not true_on(host, f"curl -s -m 3 -o /dev/null http://10.250.0.1:{port}/")
    assert not true_on(host, "apt-get -q update 2>&1 | grep -q '^Get:.* http'")


def test_a_cluster_comes_up_from_the_bundle_alone(story: Story) -> None:
    story.up.well()
    assert ready_nodes() == set(PAIR)
    assert eventually(coredns_answers)


@pytest.mark.parametrize("host", PAIR)
def test_packages_came_out_of_the_bundle(story: Story, host: str) -> None:
    policy = on(host, "apt-cache policy kubelet containerd")
    assert policy.count("file:/var/lib/kubefab-bundle/packages") == 2
    assert "10.250.0.1" not in policy


def test_a_broken_off_apt_is_mended_out_of_the_bundle(story: Story) -> None:
    mended = re.findall(r"^(\S+) +~ dpkg has no half-installed packages", story.up.stdout, re.MULTILINE)
    assert mended == [WORKER]
    assert on(WORKER, "dpkg --audit") == ""


def test_addons_work_out_of_the_bundle_and_no_image_is_ever_pulled(story: Story) -> None:
    told = eventually(lambda: kubectl("top", "nodes", "--no-headers"), pause=2)
    assert {line.split()[0] for line in told.splitlines()} == set(PAIR)
    kubectl("apply", "-f", "-", stdin=STORED)
    kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=180s")  # another pod made its directory
    assert "headlamp" in kubectl("get", "pods", "-A", "--field-selector=status.phase=Running", "-o", "name")
    assert objects("events", "-A", "--field-selector=reason=Pulling") == []


def test_no_publisher_is_asked_for_an_image(story: Story) -> None:
    config = on(MASTER, "cat /etc/containerd/config.toml")
    assert 'config_path = "/etc/containerd/certs.d:/etc/containerd/kubefab-bundle.d"' in config
    pull = "ctr -n k8s.io images pull --hosts-dir /etc/containerd/kubefab-bundle.d docker.io/library/nobody:1"
    assert "the-bundle-of-hosts.yml-is-the-only-source" in on(MASTER, f"{pull} 2>&1 || true")


def test_a_bundle_without_an_addon_is_refused_before_any_change(story: Story, inv: Kubefab) -> None:
    document = yaml.safe_load(story.hosts.read_text())
    document["cluster"]["addons"].append("rook")
    hosts = story.hosts.with_name("more.yml")
    hosts.write_text(yaml.safe_dump(document))
    with untouched(*PAIR):
        said = inv("cluster.up", hosts=hosts).badly().stderr
    assert "without https://raw.githubusercontent.com/rook/rook/" in said


@pytest.mark.parametrize("host", PAIR)
def test_a_worker_loads_no_control_plane(story: Story, host: str) -> None:
    images = on(host, "ctr -n k8s.io images ls -q")
    assert ("kube-apiserver" in images) is (host == MASTER)
    assert "coredns" in images


def test_a_second_up_from_the_bundle_changes_nothing(story: Story, inv: Kubefab) -> None:
    with untouched(*PAIR):
        assert "nothing to do" in inv("cluster.up", hosts=story.hosts).well().stdout
    assert "nothing to do" in inv("bundle.use", hosts=story.hosts).well().stdout


def test_a_bundle_for_another_release_is_refused_before_any_change(story: Story, inv: Kubefab, tmp_path: Path) -> None:
    document = yaml.safe_load(story.hosts.read_text())
    document["cluster"]["kubernetes"] = "1.36.3"
    document["bundle"] = str(story.file)
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(yaml.safe_dump(document))
    with untouched(*PAIR):
        said = inv("bundle.use", hosts=hosts).badly().stderr
    assert "it is for 1.37.2, here is 1.36.3" in said or "the version is 1.37.2 there" in said


@pytest.mark.parametrize(
    ("bundle", "told"),
    [("nowhere", "nowhere: No such file"), ("hosts.yml", "found no bundle"), ("", "hosts.yml names no bundle")],
)
def test_what_is_no_bundle_is_one_message(story: Story, inv: Kubefab, tmp_path: Path, bundle: str, told: str) -> None:
    document = yaml.safe_load(story.hosts.read_text())
    del document["bundle"]
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(yaml.safe_dump(document | ({"bundle": bundle} if bundle else {})))
    assert told in inv("bundle.use", hosts=hosts).badly().stderr
