"""The commands that kubefab tells a person to type, where it does not do it itself: typed as they are told."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import (
    MASTER,
    ROOT,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    all_is_well,
    coredns_answers,
    eventually,
    kubectl,
    mended,
    on,
    ready_nodes,
    true_on,
    untouched,
)
from tests.e2e.renewals import SOON, aged, authorities

COVERS = (
    "kubefab/certificates.py",
    "kubefab/steps/drift.py",
    "kubefab/steps/drift_nodes.py",
    "kubefab/steps/drift_proxy.py",
    "kubefab/steps/marked.py",
    "scripts/look/kubeadm.sh",
)
KEPT = ("kubeadm-config", "kubelet-config", "kube-proxy")
FILE = "/root/of-the-backup.yaml"
CONFIG = "/root/.kube/config"


@dataclass(frozen=True)
class Forgotten:
    """What is told once somebody has deleted what kubeadm keeps in the cluster, and after what was told is done."""

    status: Done
    up: Done
    again: Done


@pytest.fixture(scope="module")
def well(inv: Kubefab) -> Iterator[Kubefab]:
    yield mended(inv)
    inv("cluster.reset", "--yes").well()


@pytest.fixture(scope="module")
def forgotten(well: Kubefab) -> Forgotten:
    backup = backed_up(well)
    kubectl("-n", "kube-system", "delete", "configmap", *KEPT)
    with untouched(MASTER, WORKER):
        status, up = well("cluster.status"), well("cluster.up")
    on(MASTER, f"cat >{FILE}", stdin=of_a_file(backup))
    for command in told(up.said):
        on(MASTER, command)
    return Forgotten(status, up, well("cluster.up"))


def backed_up(inv: Kubefab) -> str:
    """The kubeadm.yaml of a backup of now."""
    inv("etcd.backup", "--output", str(inv.state / "typed")).well()
    [found] = Path(inv.state / "typed").rglob("kubeadm.yaml")
    return found.read_text()


def of_a_file(backup: str) -> str:
    """As a person has it, who needs more of kube-proxy's configuration than kubeadm's defaults."""
    overlays = yaml.safe_load((ROOT / "hosts.yml").read_text())["cluster"]["kubeadm"]
    proxy = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        **overlays["KubeProxyConfiguration"],
    }
    return f"{backup}\n---\n{yaml.safe_dump(proxy)}"


def told(said: str) -> list[str]:
    """The commands of that hint, in its order."""
    hint = re.search(r"bring back what is missing: .*", said)
    assert hint, said
    upload, kubelets, proxy = re.fullmatch(
        rf".*?on {MASTER}, (kubeadm .*? --config FILE).*; kubelet-config by: (.*); kube-proxy.*by: (kubeadm .* FILE)",
        hint[0],
    ).groups()  # type: ignore[union-attr]
    return [command.replace("FILE", FILE) for command in (upload, kubelets, proxy)]


@pytest.mark.parametrize("name", KEPT)
def test_what_somebody_has_deleted_is_told(forgotten: Forgotten, name: str) -> None:
    assert re.search(rf"there is no ConfigMap .*{name}", forgotten.up.said), forgotten.up.said
    assert "inv --dry cluster.up shows each" in forgotten.status.stdout


def test_what_is_told_brings_all_of_it_back(forgotten: Forgotten) -> None:
    again = forgotten.again.well()
    assert "there is no ConfigMap" not in again.said
    for name in KEPT:
        kubectl("-n", "kube-system", "get", "configmap", name)


def test_the_cluster_is_well_and_there_is_nothing_to_do(forgotten: Forgotten, well: Kubefab) -> None:
    all_is_well(well)
    assert "nothing to do" in well("cluster.up").well().stdout
    kubectl("-n", "kube-system", "rollout", "status", "daemonset/kube-proxy", "--timeout=120s")
    assert coredns_answers()


def test_a_node_joins_by_it(forgotten: Forgotten, well: Kubefab, three: Path) -> None:
    well("node.join", "--host", SPARE, hosts=three).well()
    assert ready_nodes() == {MASTER, WORKER, SPARE}
    well("node.remove", "--host", SPARE, "--yes", hosts=three).well()


def test_a_kubeconfig_that_no_renewal_changes_follows_once_it_is_written_anew(well: Kubefab) -> None:
    aged(authorities(MASTER), [MASTER], SOON)
    eventually(lambda: true_on(MASTER, f"kubectl --kubeconfig {CONFIG} get --raw /readyz"))
    on(MASTER, f"kubectl --kubeconfig {CONFIG} config view --raw --flatten -o json >/root/it && cat /root/it >{CONFIG}")
    before = on(MASTER, f"cat {CONFIG}")
    said = well("certs.renew").said
    assert on(MASTER, f"cat {CONFIG}") == before
    hint = re.search(r"\(umask 077.*?\)", said)
    assert hint, said
    on(MASTER, hint[0])
    well("certs.renew").well()
    eventually(lambda: well("certs.status").well())
    assert on(MASTER, f"kubectl --kubeconfig {CONFIG} get nodes -o name")
    assert "client-certificate-data" in on(MASTER, f"cat {CONFIG}")
