"""Three masters and two workers come from 1.36.3 to 1.37.2, killed at three points: etcd by way of the newest 3.6."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import (
    LONGEST,
    MACHINES,
    MASTER,
    WORKER,
    Kubefab,
    catch,
    fresh,
    kill_change,
    on,
    power_on,
)

from .upgrades import AFTER, Watch, hosts_of, images_of, is_upgraded, watched

COVERS = (
    "kubefab/upgrading.py",
    "kubefab/steps/upgrade*.py",
    "kubefab/steps/versions.py",
    "kubefab/steps/etcd.py",
    "scripts/*etcd*",
    "scripts/shared/manifest.sh",
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
BEFORE, GAP = "1.36.3", 5  # seconds that a client of the API may wait, with three masters
WORKERS = tuple(os.environ.get("KUBEFAB_E2E_WORKERS", "client3,client4").split(","))
ALL = (*MACHINES, *WORKERS)
MANIFESTS = "/etc/kubernetes/manifests"
# A host, and a shell command that is true there once the run has come so far.
POINTS = {
    "etcd of the second master on its way": (WORKER, f"grep -q etcd:3.6.1 {MANIFESTS}/etcd.yaml"),
    "the control plane of the second master half new": (WORKER, f"grep -q etcd:3.7 {MANIFESTS}/etcd.yaml"),
    "the kubelet of a worker half new": (WORKERS[0], f"dpkg-query -W kubelet | grep -q {AFTER}"),
}


def made(folder: Path) -> Kubefab:
    power_on("--everything", "--kubernetes", BEFORE, machines=ALL)
    fresh(*ALL)
    inv = Kubefab(hosts_of(folder / "hosts.yml", AFTER, MACHINES, WORKERS), folder)
    inv("cluster.up", hosts=hosts_of(folder / "before.yml", BEFORE, MACHINES, WORKERS)).well()
    return inv


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    """Its cluster is at the version before, and its hosts.yml says the new one."""
    inv = made(tmp_path_factory.mktemp("upgrade-masters"))
    yield inv
    inv("cluster.reset", "--yes").well()


@pytest.fixture(scope="module")
def watch(inv: Kubefab) -> Watch:
    assert images_of(MASTER)["etcd"] == {"registry.k8s.io/etcd:3.6.8-0"}
    with watched("three masters, killed three times", MACHINES, WORKERS, inv.state) as watch:
        for host, condition in POINTS.values():
            with inv.started("cluster.upgrade", "--yes") as run:
                catch(run, host, condition, LONGEST)
                run.is_killed()
                for each in ALL:
                    kill_change(each)
        inv("cluster.upgrade", "--yes").well()
    return watch


def test_all_is_of_the_new_version_and_there_is_nothing_to_do(watch: Watch, inv: Kubefab) -> None:
    is_upgraded(inv, MACHINES, WORKERS)


def test_no_tag_of_etcd_is_left_in_the_stored_configuration(watch: Watch) -> None:
    stored = on(MASTER, "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system get cm kubeadm-config -o yaml")
    assert "imageTag" not in stored


def test_nobody_notices(watch: Watch) -> None:
    watch.nobody_noticed()


def test_the_api_is_away_for_a_moment_at_most(watch: Watch) -> None:
    watch.writer.gaps("while three masters are upgraded", watch.began, GAP)
