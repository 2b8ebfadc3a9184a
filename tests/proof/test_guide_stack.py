"""The guide's own stack, Kubernetes 1.20.2 and Docker on Debian 12, and the failures that it names.

Where this computer has never built that Kubernetes, it takes ten minutes more.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from kubefab import backup
from lab.guide import FLANNEL, KUBERNETES
from lab.services import WWW
from lab.settings import GATEWAY
from tests.e2e.harness import (
    GUIDES,
    MASTER,
    ROOT,
    WORKER,
    Done,
    Kubefab,
    at_a_terminal,
    attempt,
    coredns_answers,
    eventually,
    fresh,
    has_the_guides_arguments,
    hosts_file,
    kubectl,
    nodes,
    objects,
    on,
    ready_nodes,
    reboot,
    true_on,
    untouched,
)
from tests.e2e.test_guide_stack import GUIDE
from tests.proof.test_dashboard import TOKEN, claims
from tests.proof.test_reboot import MAKE, UNIT, UNMAKE, swaps

COVERS = (
    "lab/guide.py",
    "lab/guide-stack/*",
    "kubefab/releases.py",
    "kubefab/steps/docker.py",
    "scripts/shared/etcd.sh",
    "scripts/shared/podded.sh",
    "scripts/print-snapshot.sh",
)

PAIR = (MASTER, WORKER)
DISK = "/var/lib/docker/e2e-disk"  # on a real file system, as a loop device wants it
TAINT = "node-role.kubernetes.io/master"
FLANNEL_YML = f"guide/raw.githubusercontent.com/flannel-io/flannel/v{FLANNEL}/Documentation/kube-flannel.yml"


def guide_hosts(path: Path, **documents: object) -> Path:
    kubeadm = yaml.safe_load((ROOT / GUIDE).read_text())["cluster"]["kubeadm"]
    kubeadm["ClusterConfiguration"] |= GUIDES | documents
    return hosts_file(path, *PAIR, cluster={"kubeadm": kubeadm}, like=GUIDE)


@dataclass(frozen=True)
class Story:
    """From machines as new to a cluster, by way of every failure that the guide meets."""

    typo: Done
    made_by_typo: bool
    init: Done
    without_network: Done
    other_network: str
    flannel: Done
    newer: Done
    up: Done
    again: Done


@pytest.fixture(scope="module")
def guide(inv: Kubefab) -> Kubefab:
    return Kubefab(guide_hosts(inv.state / "guide.yml"), inv.state)


@pytest.fixture(scope="module")
def story(guide: Kubefab) -> Iterator[Story]:
    fresh(*PAIR, stack="guide")
    typo = guide("init-master", hosts=guide_hosts(guide.state / "typo.yml", networking={"podSubnets": "10.0.0.0/8"}))
    made = true_on(MASTER, "ls /etc/kubernetes/pki /var/lib/etcd /etc/kubernetes/manifests/* /var/lib/kubefab")
    init = guide("init-master")
    without_network = guide("cluster.status")
    other_network = apply_a_flannel_of_another_network()
    flannel = guide("install-flannel")
    on(WORKER, "apt-get install -qy --allow-change-held-packages kubelet=1.20.99-*")
    newer = guide("join-worker")
    on(WORKER, newer.stderr[newer.stderr.index("apt-get install") :].splitlines()[0] + " -qy")
    yield Story(
        typo, made, init, without_network, other_network, flannel, newer, guide("cluster.up"), guide("cluster.up")
    )
    fresh(*PAIR)


def apply_a_flannel_of_another_network() -> str:
    """As somebody would who took flannel's file as it is. What flanneld says then."""
    text = (
        (WWW / FLANNEL_YML).read_text().replace("10.244.0.0/16", "10.200.0.0/16").replace("ghcr.io", "10.250.0.1:5001")
    )
    kubectl("apply", "-f", "-", stdin=text)
    logs = ("-n", "kube-flannel", "logs", "daemonset/kube-flannel-ds", "-c", "kube-flannel")

    def complaint() -> str:
        lines = kubectl(*logs).splitlines()
        return next((line for line in lines if "10.200.0.0/16" in line and "PodCIDR" in line), "")

    return eventually(complaint, 300, 1)


def test_a_key_that_this_kubeadm_only_warns_of_is_an_error_too(story: Story) -> None:
    assert 'unknown field "podSubnets"' in story.typo.badly().stderr
    assert not story.made_by_typo


def test_not_ready_for_lack_of_a_network_is_told_with_its_cure(story: Story) -> None:
    story.init.well()
    said = story.without_network.badly().stdout
    assert "network plugin is not ready: cni config uninitialized" in said
    assert "inv install-flannel" in said


def test_a_flannel_with_another_network_than_the_pod_subnet_is_put_right(story: Story) -> None:
    assert "10.200.0.0/16" in story.other_network
    assert "flannel is applied" in story.flannel.well().stdout
    assert "10.244.0.0/16" in kubectl("-n", "kube-flannel", "get", "configmap", "kube-flannel-cfg", "-o", "yaml")


def test_a_kubelet_newer_than_the_master_does_not_join_and_the_cure_is_told(story: Story) -> None:
    said = story.newer.badly().stderr
    assert "kubelet 1.20.99-1.1; hosts.yml says 1.20.2" in said
    assert "--allow-downgrades" in said


def test_the_guides_stack_comes_up(story: Story) -> None:
    story.up.well()
    assert ready_nodes() == set(PAIR)
    assert coredns_answers()
    told = [node["status"]["nodeInfo"] for node in nodes().values()]
    assert {one["kubeletVersion"] for one in told} == {f"v{KUBERNETES}"}
    assert all(one["containerRuntimeVersion"].startswith("docker://20.10.24") for one in told)
    assert {one["osImage"] for one in told} == {"Debian GNU/Linux 12 (bookworm)"}


def test_a_second_up_of_it_changes_nothing(story: Story) -> None:
    assert "nothing to do" in story.again.well().stdout


def test_the_guides_arguments_arrive_in_its_static_pods(story: Story) -> None:
    has_the_guides_arguments()


def test_its_older_etcd_is_backed_up_by_its_own_tools(story: Story, guide: Kubefab, tmp_path: Path) -> None:
    """In Docker, linked dynamically, and before there was an etcdutl."""
    assert "etcd is well" in guide("etcd.status").well().stdout
    guide("etcd.backup", "--output", str(tmp_path)).well()
    (folder,) = tmp_path.iterdir()
    about = json.loads((folder / "backup.json").read_text())
    assert about["snapshot"]["sha256"] == backup.check(folder / "snapshot.db")
    assert [one["version"] for one in about["members"]] == ["3.4.23"]
    assert "kind: ClusterConfiguration" in (folder / "kubeadm.yaml").read_text()


def test_its_master_takes_pods_after_untaint(story: Story, guide: Kubefab) -> None:
    assert [taint["key"] for taint in nodes()[MASTER]["spec"]["taints"]] == [TAINT]
    guide("untaint").well()
    assert "taints" not in nodes()[MASTER]["spec"]


def test_another_pod_subnet_than_the_clusters_is_refused(story: Story, guide: Kubefab, tmp_path: Path) -> None:
    document = yaml.safe_load(guide.hosts.read_text())
    document["cluster"]["pod_subnet"] = "10.200.0.0/16"
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(document))
    with untouched(*PAIR):
        said = guide("install-flannel", hosts=tmp_path / "hosts.yml").badly().stderr
    assert "the pod subnet is 10.244.0.0/16 there and 10.200.0.0/16 in hosts.yml" in said
    assert "inv cluster.reset" in said


def test_kubectl_without_a_kubeconfig_is_cured_by_the_task_that_makes_one(story: Story, guide: Kubefab) -> None:
    on(MASTER, "rm /root/.kube/config")
    assert "localhost:8080 was refused" in attempt(MASTER, "kubectl get nodes").stderr
    assert "kubectl works for the login user" in guide("init-master").well().stdout
    assert MASTER in on(MASTER, "kubectl get nodes")


def test_no_container_after_a_reboot_is_cured_by_fix_reboot(story: Story, guide: Kubefab) -> None:
    assert swaps() == [], "this computer swaps; this test cannot tell its own from it"
    on(WORKER, MAKE, stdin=UNIT)
    try:
        reboot(WORKER)
        eventually(swaps)
        eventually(lambda: not true_on(WORKER, "systemctl is-system-running --wait | grep -q starting"))
        assert on(WORKER, "docker ps --quiet") == ""
        # In the lab the master sees the worker's swap too, and may have found it before the worker was through.
        assert "swap is off" in guide("fix-reboot").stdout
        guide("fix-reboot").well()
        assert ready_nodes() == set(PAIR)
        eventually(lambda: on(WORKER, "docker ps --quiet --filter name=k8s_kube-flannel"))
    finally:
        attempt(WORKER, UNMAKE)


def naming(guide: Kubefab, addon: str, disks: Sequence[str] = ()) -> Kubefab:
    """For the same cluster, by a hosts.yml that names an add-on too, and disks of the worker."""
    document = yaml.safe_load(guide.hosts.read_text())
    document["cluster"]["addons"] = ["flannel", addon]
    document["hosts"][WORKER]["disks"] = list(disks)
    path = guide.state / f"{addon}.yml"
    path.write_text(yaml.safe_dump(document))
    return Kubefab(path, guide.state)


def test_the_guides_dashboard_lets_in_by_a_token_of_an_hour(story: Story, guide: Kubefab) -> None:
    status, seen = at_a_terminal(naming(guide, "kubernetes-dashboard@2.0.0"), "dashboard")
    token = TOKEN.search(seen)
    assert token, seen
    assert status == 0, seen
    about = claims(token[0])
    assert about["exp"] - about["iat"] == 3600
    guide("addon.remove", "--name", "kubernetes-dashboard", "--yes").well()


def test_its_api_server_accepts_the_guides_rook(story: Story, guide: Kubefab) -> None:
    """Up to where images of Ceph would be needed: the lab's operator is a stand-in, and says nothing."""
    disk = on(WORKER, f"truncate -s 64M {DISK} && losetup --find --show {DISK}").strip()
    try:
        done = naming(guide, "rook", [disk])("rook")
        assert "rook's operator reports neither a phase nor a message" in done.badly().stderr
        assert "is documented for" not in done.stdout
        (ceph,) = objects("cephclusters", "-n", "rook-ceph")
        assert ceph["spec"]["cephVersion"]["image"] == f"{GATEWAY}:5001/ceph/ceph:v14.2.10"
        (node,) = ceph["spec"]["storage"]["nodes"]
        assert node == {"name": WORKER, "devices": [{"name": disk.removeprefix("/dev/")}]}
    finally:
        on(WORKER, f"losetup --detach {disk}; rm {DISK}")
    guide("addon.remove", "--name", "rook", "--yes").well()
    assert "ceph" not in kubectl("get", "namespaces,crds", "-o", "name")


def test_a_reset_of_it_leaves_nothing(story: Story, guide: Kubefab) -> None:
    guide("cluster.reset", "--yes").well()
    for host in PAIR:
        assert on(host, "docker ps --all --quiet; ls /etc/kubernetes /var/lib/etcd 2>/dev/null; true") == ""
    assert "nothing to do" in guide("cluster.reset", "--yes").well().stdout
