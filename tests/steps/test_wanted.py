"""What hosts.yml asks of a cluster beyond being there."""

import json

import pytest

from kubefab.errors import HostError
from kubefab.facts import ClusterFacts, Facts, Node
from kubefab.releases import CONTROL_PLANE, MASTER
from kubefab.step import NO_CLUSTER, Subject
from kubefab.steps import wanted
from tests.facts import known
from tests.fakes import HOSTS, cluster, looked, step, world

SCHEDULABLE = HOSTS.replace("role: master", "role: master, schedulable: true")


def node(*taints: str, effect: str = "NoSchedule") -> Facts:
    told = Node("m", "abc", taints=dict.fromkeys(taints, effect))
    return known(machine_id="abc", cluster=ClusterFacts(nodes={"m": told}))


SOFT = node(CONTROL_PLANE, MASTER, effect="PreferNoSchedule")  # pods come where there is no room elsewhere


@pytest.mark.parametrize(
    ("facts", "gap"),
    [
        (known(), NO_CLUSTER),
        (known(cluster=ClusterFacts()), "the host is not a node yet"),
        (node(), None),
        (node("node.kubernetes.io/not-ready", "mine"), None),
        (node(CONTROL_PLANE, "mine"), CONTROL_PLANE),
        (node(MASTER, CONTROL_PLANE), f"{MASTER}, {CONTROL_PLANE}"),
        (node(CONTROL_PLANE, effect="NoExecute"), CONTROL_PLANE),
        (SOFT, None),
    ],
)
def test_a_master_takes_ordinary_pods_without_kubeadms_taints(facts: Facts, gap: str | None) -> None:
    assert wanted.tainted(facts) == gap


def test_only_masters_that_hosts_yml_calls_schedulable_are_untainted_by_up() -> None:
    plain, told = cluster(), cluster(SCHEDULABLE)
    assert wanted.steps(plain, plain.founder) == []
    assert [one.title for one in wanted.steps(told, told.founder)] == [
        "the host is a master",
        "the master takes ordinary pods",
    ]
    assert wanted.steps(told, told.hosts["client"]) == []


def test_asked_for_directly_it_always_acts() -> None:
    made = cluster()
    assert [one.title for one in wanted.untainted(made, made.founder)][1:] == ["the master takes ordinary pods"]


def test_only_the_taints_that_are_there_are_taken_away() -> None:
    off, soft = {"effect": "NoSchedule"}, {"effect": "PreferNoSchedule"}
    taints = [{"key": "mine", **off}, {"key": MASTER, **off}, {"key": CONTROL_PLANE, **off}, {"key": MASTER, **soft}]
    item = {
        "kind": "Node",
        "metadata": {"name": "m"},
        "spec": {"taints": taints},
        "status": {"nodeInfo": {"machineID": "abc"}},
    }
    made = looked({"manager": {"system": "machine_id abc", "cluster": "answer " + json.dumps({"items": [item]})}})
    close = wanted.untainted(made, made.founder)[-1].close
    assert close
    close(made.founder)
    assert world(made, "manager").ran == [f"kubectl.sh taint node m {MASTER}- {CONTROL_PLANE}-"]


def test_a_master_that_is_no_node_is_an_error_for_people() -> None:
    made = looked({"manager": {}})
    close = wanted.untainted(made, made.founder)[-1].close
    assert close
    with pytest.raises(HostError, match="the host is not a node yet"):
        close(made.founder)


@pytest.mark.parametrize("subject", [wanted.untainted, wanted.tainted_again])
def test_a_worker_that_is_named_is_told_to_be_none_of_those(subject: Subject) -> None:
    made = cluster()
    assert step(subject(made, made.hosts["client"]), "the host is a master").gap(known()) is not None
    assert step(subject(made, made.founder), "the host is a master").gap(known()) is None


@pytest.mark.parametrize(
    ("release", "facts", "gap"),
    [
        ("1.37.2", node(CONTROL_PLANE), None),
        ("1.37.2", node(MASTER), f"without {CONTROL_PLANE}"),
        ("1.24.0", node(CONTROL_PLANE), f"without {MASTER}"),
        ("1.37.2", SOFT, f"without {CONTROL_PLANE}"),
        ("1.37.2", known(cluster=ClusterFacts()), "the host is not a node yet"),
    ],
)
def test_a_master_is_tainted_as_kubeadm_of_its_minor_does(release: str, facts: Facts, gap: str | None) -> None:
    made = cluster(HOSTS.replace("1.37.2", release))
    assert step(wanted.tainted_again(made, made.founder), "the master takes no ordinary pods").gap(facts) == gap


def test_what_up_would_undo_is_told_and_not_done() -> None:
    made = cluster(SCHEDULABLE)
    told = step(wanted.tainted_again(made, made.founder), "hosts.yml agrees").gap(known())
    assert told == "it says `schedulable: true`, so `up` would undo this"
