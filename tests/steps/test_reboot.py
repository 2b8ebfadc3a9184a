"""A node as a reboot should have left it."""

import pytest

from kubefab.facts import ClusterFacts, Facts, Unit
from kubefab.steps import reboot
from kubefab.steps.network import DAEMON_SET
from tests.facts import known
from tests.fakes import cluster, step, world
from tests.members import M
from tests.steps.test_runtime import serving, three, titles

RUNS = Unit("active", "enabled", since=1)


def test_a_machine_that_is_no_node_is_no_matter_of_a_reboot() -> None:
    made = cluster()
    node = step(reboot.steps(made, made.founder), "the host has joined a cluster")
    assert node.gap(known()) == "/etc/kubernetes/kubelet.conf is missing"
    assert (node.close, node.hint) == (None, "`inv cluster.up` makes it one")
    assert node.gap(known(kubelet_ca="aaa")) is None


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(swap=("/swap.img, 2048 MiB",)), "swap is off", "/swap.img, 2048 MiB"),
        (known(), "kernel modules are loaded", "overlay, br_netfilter"),
        (known(units={"containerd": Unit("failed", "enabled")}), "containerd runs", "failed"),
        (known(), "the container runtime answers", "missing"),
        (known(units={"kubelet": Unit("activating", "enabled")}), "kubelet runs", "activating"),
        (known(units={"kubelet": RUNS}), "kubelet runs", None),
    ],
)
def test_what_the_guide_cures_by_hand_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(reboot.steps(made, made.founder), title).gap(facts) == gap


def test_nothing_is_installed() -> None:
    made = cluster()
    assert not [one.title for one in reboot.steps(made, made.founder) if "install" in one.title]


def test_nothing_is_taken_away_and_no_network_is_waited_for_that_is_not_there() -> None:
    made = cluster()
    steps = reboot.steps(made, made.founder)
    for one in steps:
        if one.close:
            one.close(made.founder)
    assert not [ran for ran in world(made, "manager").ran if "tear-down" in ran or "join" in ran]
    there = known(cluster=ClusterFacts())
    assert step(steps, f"the cluster has {DAEMON_SET}").gap(there) == "its DaemonSet is missing"
    titles = [one.title for one in reboot.steps(made, made.hosts["client"])]
    assert not [title for title in titles if title.startswith("the cluster has")]


def test_after_a_reboot_masters_that_serve_by_docker_take_turns_and_wait_for_nothing_else() -> None:
    """All that runs in Docker ends with it: at once that would be every API server and every etcd."""
    made = three()
    for host in made.masters:
        assert reboot.at_once(made, host) == []
        first, *between, last = titles(reboot.in_turn(made, host))
        assert (first, last) == ("etcd can do without this master for a moment", "the API server is healthy")
        assert between == titles(reboot.steps(made, host))


@pytest.mark.parametrize(
    "facts",
    [
        serving("m1", mtimes={}, swap=("/swap.img, 2048 MiB",)),  # no pod ends by what it misses
        serving("m1", readyz="refused", member=None),  # others may wait for what it will serve
    ],
    ids=["Docker is well", "nothing serves"],
)
def test_a_master_that_loses_nothing_by_it_is_mended_before_those_that_wait_for_it(facts: Facts) -> None:
    made = three(m1=facts)
    host = made.hosts["m1"]
    assert reboot.in_turn(made, host) == []
    assert titles(reboot.at_once(made, host)) == titles(reboot.steps(made, host))


def test_after_a_reboot_of_all_no_master_waits_for_an_api_server() -> None:
    made = three(**{name: serving(name, readyz="refused", member=None) for name in M})
    assert [reboot.in_turn(made, host) for host in made.masters] == [[], [], []]
    assert all(reboot.at_once(made, host) for host in made.masters)
