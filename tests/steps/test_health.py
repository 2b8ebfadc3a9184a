"""The one long wait."""

import pytest

from kubefab.facts import ClusterFacts, Facts, Node, Workload
from kubefab.step import NO_CLUSTER
from kubefab.steps import health
from tests.fakes import cluster, step

READY, FLANNEL, PROXY, COREDNS = (
    "it is Ready",
    "kube-flannel/kube-flannel-ds is rolled out",
    "kube-system/kube-proxy is rolled out",
    "kube-system/coredns is rolled out",
)


def live(ready: bool = True, nodes: int = 2, **workloads: Workload) -> Facts:
    mine = Node("n0", "abc", ready=ready, trouble="" if ready else "cni plugin not initialized")
    others = {f"n{number}": Node(f"n{number}") for number in range(1, nodes)}
    names = {"flannel": "kube-flannel/kube-flannel-ds", "proxy": "kube-system/kube-proxy", "dns": health.COREDNS}
    found = {names[name]: workload for name, workload in workloads.items()}
    return Facts(machine_id="abc", cluster=ClusterFacts(nodes={"n0": mine, **others}, workloads=found))


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (Facts(), READY, NO_CLUSTER),
        (Facts(cluster=ClusterFacts()), READY, "it is not a node yet"),
        (live(ready=False), READY, "cni plugin not initialized"),
        (live(), READY, None),
        (live(), FLANNEL, "it is not there"),
        (live(flannel=Workload(2, 1)), FLANNEL, "1 of 2 pods answer"),
        (live(flannel=Workload(2, 2)), FLANNEL, None),
        # A node that joined a moment ago is not counted by its DaemonSets yet.
        (live(nodes=3, flannel=Workload(2, 2)), FLANNEL, "2 of 3 pods answer"),
        (live(nodes=3, proxy=Workload(2, 2)), PROXY, "2 of 3 pods answer"),
        (live(nodes=3, dns=Workload(2, 2)), COREDNS, None),
        (live(dns=Workload(2, 1)), COREDNS, "1 of 2 pods answer"),
        (live(dns=Workload(0, 0)), COREDNS, "0 of 1 pods answer"),
    ],
)
def test_what_is_not_well_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(health.steps(made, made.master), title).gap(facts) == gap


def test_workloads_are_the_masters_to_tell() -> None:
    made = cluster()
    assert [one.title for one in health.steps(made, made.master)] == [READY, FLANNEL, PROXY, COREDNS]
    assert [one.title for one in health.steps(made, made.hosts["client"])] == [READY]


def test_all_of_it_is_waited_for_and_nothing_is_changed() -> None:
    made = cluster()
    for one in health.steps(made, made.master):
        assert (one.close, one.within, one.touches, one.parts) == (None, 300, "cluster", ())
