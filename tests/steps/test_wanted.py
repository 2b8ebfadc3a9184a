"""What hosts.yml asks of a cluster beyond being there."""

import json

import pytest

from kubefab.errors import HostError
from kubefab.facts import ClusterFacts, Facts, Node
from kubefab.releases import CONTROL_PLANE, MASTER
from kubefab.step import NO_CLUSTER
from kubefab.steps import wanted
from tests.fakes import HOSTS, cluster, looked, world

SCHEDULABLE = HOSTS.replace("role: master", "role: master, schedulable: true")


def node(*taints: str) -> Facts:
    return Facts(
        machine_id="abc", cluster=ClusterFacts(nodes={"m": Node("m", "abc", taints=dict.fromkeys(taints, ""))})
    )


@pytest.mark.parametrize(
    ("facts", "gap"),
    [
        (Facts(), NO_CLUSTER),
        (Facts(cluster=ClusterFacts()), "it is not a node yet"),
        (node(), None),
        (node("node.kubernetes.io/not-ready", "mine"), None),
        (node(CONTROL_PLANE, "mine"), CONTROL_PLANE),
        (node(MASTER, CONTROL_PLANE), f"{MASTER}, {CONTROL_PLANE}"),
    ],
)
def test_a_master_takes_ordinary_pods_without_kubeadms_taints(facts: Facts, gap: str | None) -> None:
    assert wanted.tainted(facts) == gap


def test_only_masters_that_hosts_yml_calls_schedulable_are_untainted_by_up() -> None:
    plain, told = cluster(), cluster(SCHEDULABLE)
    assert wanted.steps(plain, plain.master) == []
    assert [one.title for one in wanted.steps(told, told.master)] == ["it takes ordinary pods"]
    assert wanted.steps(told, told.hosts["client"]) == []


def test_asked_for_directly_it_always_acts() -> None:
    made = cluster()
    assert [one.title for one in wanted.untainted(made, made.master)] == ["it takes ordinary pods"]


def test_only_the_taints_that_are_there_are_taken_away() -> None:
    taints = [{"key": "mine"}, {"key": MASTER}, {"key": CONTROL_PLANE}]
    item = {
        "kind": "Node",
        "metadata": {"name": "m"},
        "spec": {"taints": taints},
        "status": {"nodeInfo": {"machineID": "abc"}},
    }
    made = looked({"manager": {"system": "machine_id abc", "cluster": "answer " + json.dumps({"items": [item]})}})
    close = wanted.untainted(made, made.master)[0].close
    assert close
    close(made.master)
    assert world(made, "manager").ran == [f"kubectl.sh taint node m {MASTER}- {CONTROL_PLANE}-"]


def test_a_master_that_is_no_node_is_an_error_for_people() -> None:
    made = looked({"manager": {}})
    close = wanted.untainted(made, made.master)[0].close
    assert close
    with pytest.raises(HostError, match="it is not a node yet"):
        close(made.master)
