"""One master and one worker come from 1.36.3 to 1.37.2, etcd with them, and nobody notices; beside the same by hand."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from kubefab import backup
from tests.e2e.harness import MASTER, MEASURED, WORKER, Done, Kubefab, fresh, power_on, untouched

from . import upgrade_by_hand
from .upgrades import AFTER, IMAGES, Watch, hosts_of, images_of, is_upgraded, says_from_and_to, watched

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
BEFORE = "1.36.3"


@dataclass(frozen=True)
class Upgraded:
    inv: Kubefab
    plan: Done
    done: Done
    watch: Watch


@dataclass(frozen=True)
class ByHand:
    seconds: float
    watch: Watch


@pytest.fixture(scope="module")
def folder(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    power_on("--everything", "--kubernetes", BEFORE)
    return tmp_path_factory.mktemp("upgrade")


def old_cluster(folder: Path) -> Kubefab:
    """Of machines as new, and at the version before; its hosts.yml says the new one."""
    fresh(MASTER, WORKER)
    inv = Kubefab(hosts_of(folder / "hosts.yml", AFTER, [MASTER], [WORKER]), folder)
    inv("cluster.up", hosts=hosts_of(folder / "before.yml", BEFORE, [MASTER], [WORKER])).well()
    return inv


@pytest.fixture(scope="module")
def by_hand(folder: Path) -> ByHand:
    old_cluster(folder)
    with watched("by hand", [MASTER], [WORKER], folder) as watch:
        seconds = upgrade_by_hand.upgrade([MASTER], [WORKER], AFTER, IMAGES["coredns"])
    return ByHand(seconds, watch)


@pytest.fixture(scope="module")
def upgraded(by_hand: ByHand, folder: Path) -> Upgraded:
    inv = old_cluster(folder)
    assert images_of(MASTER)["etcd"] == {"registry.k8s.io/etcd:3.6.8-0"}
    with untouched(MASTER, WORKER):
        plan = inv("--dry", "cluster.upgrade").well()
    with watched("cluster.upgrade", [MASTER], [WORKER], folder) as watch:
        done = inv("cluster.upgrade", "--yes")
    return Upgraded(inv, plan, done.well(), watch)


def test_the_plan_says_from_and_to_for_every_host(upgraded: Upgraded) -> None:
    says_from_and_to(upgraded.plan, BEFORE, (MASTER, WORKER))


def test_nobody_notices(upgraded: Upgraded) -> None:
    upgraded.watch.nobody_noticed()


def test_all_is_of_the_new_version_and_there_is_nothing_to_do(upgraded: Upgraded) -> None:
    is_upgraded(upgraded.inv, [MASTER], [WORKER])


def test_etcd_was_backed_up_before_and_nothing_is_missing_of_it(upgraded: Upgraded) -> None:
    """As the cluster was: with the version that it had."""
    (made,) = (upgraded.inv.state / "kubefab" / "backups").iterdir()
    snapshot = backup.opened(made)  # it is what etcd has sent, by the sum in it
    assert (snapshot.host, snapshot.revision > 0) == (MASTER, True)
    assert f"kube-apiserver:v{BEFORE}" in (made / "manifests" / "kube-apiserver.yaml").read_text()


def test_it_takes_no_longer_than_by_hand(upgraded: Upgraded, by_hand: ByHand) -> None:
    MEASURED.append(("cluster.upgrade, beside the same by hand", by_hand.seconds, upgraded.done.seconds))
    assert upgraded.done.seconds < 3 * by_hand.seconds
