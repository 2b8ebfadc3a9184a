"""A cluster that somebody made by hand, with an etcd of their own on another machine: taken up, upgraded, removed."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.components import PARTS
from lab.containers import container_name
from lab.settings import address
from tests.e2e.harness import (
    FRONT,
    MACHINES,
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    all_is_well,
    cluster_uid,
    eventually,
    fresh,
    nodes,
    on,
    power_on,
    ready_nodes,
    true_on,
    untouched,
)

from .kubeadm_by_hand import documents, initialize
from .upgrades import (
    AFTER,
    IMAGES,
    Watch,
    hosts_of,
    images_of,
    kubelets,
    nothing_is_left_to_do,
    says_from_and_to,
    watched,
)

COVERS = (
    "tests/proof/kubeadm_by_hand.py",
    "kubefab/facts/etcd.py",
    "kubefab/etcd.py",
    "kubefab/upgrading.py",
    "kubefab/steps/upgrade*.py",
    "scripts/look/etcd.sh",
    "scripts/upgrade.sh",
)
BEFORE = "1.37.1"
PAIR = (MASTER, WORKER)
ETCD = FRONT  # the machine that is theirs: no hosts.yml names it
PROGRAM = "/usr/local/bin/etcd"
KEYS = "/etc/kubernetes/pki"
SIGNED = {"local": {"serverCertSANs": [address(ETCD)]}}
THEIRS = {
    "external": {
        "endpoints": [f"https://{address(ETCD)}:2379"],
        "caFile": f"{KEYS}/etcd/ca.crt",
        "certFile": f"{KEYS}/apiserver-etcd-client.crt",
        "keyFile": f"{KEYS}/apiserver-etcd-client.key",
    }
}
RUN = (
    f"systemd-run --unit their-etcd {PROGRAM} --name theirs --data-dir /var/lib/their-etcd"
    f" --listen-client-urls https://{address(ETCD)}:2379 --advertise-client-urls https://{address(ETCD)}:2379"
    " --cert-file /root/etcd/server.crt --key-file /root/etcd/server.key"
    " --client-cert-auth --trusted-ca-file /root/etcd/ca.crt"
)


@dataclass(frozen=True)
class Story:
    inv: Kubefab
    up: Done
    uid: str
    uid_after: str
    plan: Done
    upgraded: Done
    watch: Watch


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    """Its hosts.yml says the version before."""
    folder = tmp_path_factory.mktemp("etcd-elsewhere")
    power_on("--kubernetes", BEFORE, machines=(*MACHINES, ETCD))
    fresh(*PAIR, SPARE, ETCD)
    inv = Kubefab(hosts_of(folder / "hosts.yml", BEFORE, [MASTER], [WORKER]), folder)
    inv("install-kubeadm").well()
    yield inv
    fresh(*PAIR, ETCD)


@pytest.fixture(scope="module")
def up(inv: Kubefab) -> Done:
    make_their_etcd()
    initialize(given(THEIRS))
    return inv("cluster.up").well()


@pytest.fixture(scope="module")
def story(up: Done, inv: Kubefab) -> Story:
    uid = cluster_uid()
    hosts_of(inv.hosts, AFTER, [MASTER], [WORKER])
    with untouched(*PAIR):
        plan = inv("--dry", "cluster.upgrade").well()
    with watched("with an etcd of their own", [MASTER], [WORKER], inv.state) as watch:
        upgraded = inv("cluster.upgrade", "--yes")
    return Story(inv, up, uid, cluster_uid(), plan, upgraded, watch)


def make_their_etcd() -> None:
    """With certificates that kubeadm has made for it; the authority's key and the server's are kept off the master."""
    for name in ("etcd-ca", "etcd-server", "apiserver-etcd-client"):
        initialize(given(SIGNED), f"phase certs {name}")
    on(ETCD, "mkdir -m 700 /root/etcd")
    for name in ("ca.crt", "server.crt", "server.key"):
        on(ETCD, f"cat >/root/etcd/{name}", stdin=on(MASTER, f"cat {KEYS}/etcd/{name}"))
    on(MASTER, f"cd {KEYS}/etcd && rm ca.key server.crt server.key")
    subprocess.run(["podman", "cp", PARTS["etcd"].place / "etcd", f"{container_name(ETCD)}:{PROGRAM}"], check=True)
    on(ETCD, RUN)
    eventually(lambda: true_on(ETCD, f"ss -Hltn | grep -q '{address(ETCD)}:2379'"))


def given(etcd: dict[str, Any]) -> str:
    """The master takes pods, and the writer goes by its own address."""
    networking, server = {"podSubnet": "10.244.0.0/16"}, {"certSANs": ["127.0.0.1"]}
    return documents(BEFORE, {"networking": networking, "apiServer": server, "etcd": etcd}, taints=[])


def test_it_is_taken_up(up: Done, inv: Kubefab) -> None:
    assert ready_nodes() == set(PAIR)
    all_is_well(inv)
    assert "nothing to do" in inv("cluster.up").well().stdout


@pytest.mark.parametrize("task", [("etcd.status",), ("etcd.backup",), ("etcd.defragment",)])
def test_what_is_done_to_etcd_itself_is_left_to_its_owner(up: Done, inv: Kubefab, task: tuple[str, ...]) -> None:
    with untouched(*PAIR, ETCD):
        said = inv(*task).badly().stderr
    assert "this cluster's etcd is not of kubeadm's making" in said
    assert f"https://{address(ETCD)}:2379" in said
    assert not (inv.state / "kubefab" / "backups").exists()


def test_there_is_no_second_master(up: Done, inv: Kubefab) -> None:
    """It would have an etcd of its own, which the first one does not know."""
    more = hosts_of(inv.state / "more.yml", BEFORE, [MASTER, SPARE], [WORKER])
    with untouched(*PAIR, ETCD):
        said = inv("cluster.up", hosts=more).badly().stderr
    assert "kubeadm keeps etcd on the masters" in said


def test_its_certificates_are_shown_without_those_of_the_owner(up: Done, inv: Kubefab) -> None:
    said = inv("certs.status").well().stdout
    assert "apiserver-etcd-client" in said
    assert "2379" not in said


def test_the_plan_says_from_and_to_and_nothing_of_etcd(story: Story) -> None:
    says_from_and_to(story.plan, BEFORE, PAIR)
    assert "etcd is backed up" not in story.plan.stdout


def test_it_is_upgraded_and_nobody_notices(story: Story) -> None:
    story.upgraded.well()
    story.watch.nobody_noticed()
    assert kubelets(nodes()) == dict.fromkeys(PAIR, f"v{AFTER}")
    assert images_of(MASTER) == {name: {f"registry.k8s.io/{image}"} for name, image in IMAGES.items() if name != "etcd"}


def test_it_is_the_same_cluster_and_there_is_nothing_to_do(story: Story) -> None:
    assert story.uid == story.uid_after
    all_is_well(story.inv)
    nothing_is_left_to_do(story.inv)


def test_a_reset_leaves_their_etcd_as_it_is(story: Story) -> None:
    """Its data, too: they are their owner's, and the machine is in no hosts.yml."""
    with untouched(ETCD):
        story.inv("cluster.reset", "--yes").well()
    assert on(ETCD, "systemctl is-active their-etcd").strip() == "active"
    assert true_on(ETCD, "test -d /var/lib/their-etcd/member")
