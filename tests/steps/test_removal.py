"""Add-ons that are to go."""

import pytest

from kubefab.facts import ADDON, Ceph, ClusterFacts, Facts, Volume, Workload
from kubefab.step import Step
from kubefab.steps import removal
from tests.facts import known
from tests.fakes import cluster, step, world


def live(mark: str | None = None) -> Facts:
    annotations = {} if mark is None else {ADDON: mark}
    return known(cluster=ClusterFacts(workloads={"kube-system/metrics-server": Workload(annotations=annotations)}))


def going(name: str) -> list[Step]:
    made = cluster()
    return removal.steps(name)(made, made.founder)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (known(), None),
        (known(cluster=ClusterFacts()), "the API server does not tell which volumes there are"),
        (known(cluster=ClusterFacts(), volumes_told=True), None),
        (known(persistent=(Volume("default/data", "local-path"),)), "volumes of these claims: default/data"),
        (known(persistent=(Volume("default/data", "other"),)), None),
    ],
)
def test_storage_that_keeps_volumes_is_not_removed(found: Facts, told: str | None) -> None:
    assert step(going("local-path"), "nothing is kept by local-path").gap(found) == told


def test_an_addon_is_gone_when_its_mark_is() -> None:
    gone = step(going("metrics-server"), "metrics-server is not there")
    assert gone.gap(live("metrics-server 0.9.0")) == "metrics-server 0.9.0, with all that it serves"
    assert gone.gap(live()) is None


def test_a_volume_of_no_class_is_no_addons() -> None:
    found = known(cluster=ClusterFacts(), persistent=(Volume("default/mine"),), volumes_told=True)
    assert step(going("headlamp"), "nothing is kept by headlamp").gap(found) is None


def test_a_ceph_cluster_goes_before_its_operator() -> None:
    made = cluster()
    first = removal.steps("rook")(made, made.founder)[0]
    assert first.gap(known()) is None
    assert first.gap(known(applied=Ceph("1"))) == "a Ceph cluster; its data stay on its disks and below /var/lib/rook"
    assert first.close
    first.close(made.founder)
    assert world(made, "manager").ran[0].endswith("--namespace rook-ceph cephblockpools,cephclusters --all")
