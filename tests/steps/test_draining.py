"""Who is kept off a node, who has to go from it, and what that costs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from kubefab import releases
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, Kept, Node, Pod, Replicas
from kubefab.facts.change import Change
from kubefab.step import Step
from kubefab.steps import draining
from tests.facts import known
from tests.fakes import looked, step, world
from tests.runs import ADMIN

NODE = Node("client", ready=True)
OURS = replace(NODE, cordoned=True, cordoned_by="node.drain at 1", mark="node.drain at 1")
MARKED = replace(NODE, cordoned=True, mark="node.drain at 1")
THEIRS = replace(NODE, cordoned=True)
DOUBT = "cordoned by a person, or still by node.drain at 1"
LEFT = "it takes them, and the word of node.drain at 1 is left, which kept them off"


def told(*pods: Pod, node: Node | None = NODE, pods_told: bool = True, **said: Any) -> Facts:
    """A master that speaks of a cluster with this node, and of these pods on it."""
    nodes = {node.name: node} if node else {}
    return known("manager", ClusterFacts(nodes=nodes), pods=pods, pods_told=pods_told, **said)


@pytest.mark.parametrize(
    ("node", "cordon", "uncordon", "task"),
    [
        (NODE, "it takes them", None, "it takes them"),
        (THEIRS, None, "cordoned by a person", None),
        (OURS, "cordoned by node.drain at 1", "cordoned by node.drain at 1", None),
        (MARKED, DOUBT, DOUBT, None),
        (replace(MARKED, cordoned=False), LEFT, LEFT, "it takes them"),
        (None, None, None, None),
    ],
)
def test_a_persons_word_counts_for_every_cordon_and_a_tasks_for_none_that_is_there(
    node: Node | None, cordon: str | None, uncordon: str | None, task: str | None
) -> None:
    facts = told(node=node)
    assert draining.takes_pods("client")(facts) == cordon
    assert draining.takes_none("client")(facts) == uncordon
    assert draining.is_open("client")(facts) == task


def of(title: str, subject: str = "drained") -> tuple[Step, list[str]]:
    """A step, and what its change runs on the master."""
    made = looked(
        {"manager": {"node": ADMIN, "cluster": 'answer {"items": []}', "pods": "pods_told yes"}, "client": {}}
    )
    subjects = {
        "drained": draining.drained("client", 60, "node.drain"),
        "cordoned": draining.cordoned("client"),
        "uncordoned": draining.uncordoned("client"),
    }
    found = step(subjects[subject](made, made.founder), title)
    made.look(made.founder, ("pods",))
    assert found.close
    found.close(made.founder)
    return found, [*world(made, "manager").ran, *world(made, "manager").about]


@pytest.mark.parametrize(
    ("title", "subject", "by", "unschedulable"),
    [
        ("client takes no new pods", "cordoned", None, True),
        ("client takes pods", "uncordoned", None, None),
        ("client takes no new pods meanwhile", "drained", "node.drain at ", True),
    ],
)
def test_a_cordon_and_whose_it_is_are_written_in_one(
    title: str, subject: str, by: str | None, unschedulable: bool | None
) -> None:
    _, (ran, about) = of(title, subject)
    words, _, text = ran.partition(" --patch ")
    under = " --field-manager kubefab.internal/cordoned-by" if by else ""
    assert words == f"kubectl.sh patch node client --type merge{under}"
    patch = json.loads(text)
    mark = patch["metadata"]["annotations"]["kubefab.internal/cordoned-by"]
    assert (mark or "").startswith(by or "")
    assert (mark is None, patch["spec"], about) == (by is None, {"unschedulable": unschedulable}, "patch client")


@pytest.mark.parametrize(("minor", "named"), [("1.18.0", False), ("1.19.0", True)])
def test_an_older_kubectl_is_not_told_in_whose_name_it_asks(minor: str, named: bool) -> None:
    assert releases.release(minor).names_itself == named


def test_a_drain_is_about_its_node_so_that_several_may_run_at_once() -> None:
    found, (ran, about) = of("client has no pods but those of every node")
    assert ran == "drain.sh client 60 kubefab.internal/cordoned-by --delete-emptydir-data"
    assert (about, found.again) == ("drain client", 10)


@pytest.mark.parametrize(("minor", "flag"), [("1.19.0", "--delete-local-data"), ("1.20.0", "--delete-emptydir-data")])
def test_an_older_kubectl_is_told_by_its_older_flag(minor: str, flag: str) -> None:
    assert releases.release(minor).empties == flag


def test_a_drain_whose_caller_was_killed_is_waited_for() -> None:
    changes = (Change("x", 0, "drain other"), Change("y", 0, "drain client"))
    assert draining.drains("client")(told(changes=changes)) is not None
    assert draining.drains("client")(told(changes=changes[:1])) is None


@pytest.mark.parametrize("controller", ["DaemonSet/flannel", "Node/client"])
def test_pods_of_every_node_stay(controller: str) -> None:
    assert draining.has_pods("client")(told(Pod("default/x", controller))) is None


def test_whoever_else_is_there_has_to_go() -> None:
    pods = Pod("default/web-1", "ReplicaSet/web"), Pod("default/static", static=True), Pod("default/alone")
    assert draining.has_pods("client")(told(*pods)) == "default/web-1, default/alone"


def test_from_a_node_that_is_not_ready_nobody_can_be_moved() -> None:
    assert draining.has_pods("client")(told(Pod("default/x"), node=replace(NODE, ready=False))) is None
    assert draining.not_ready("client")(told(node=replace(NODE, ready=False, trouble="silent"))) == "silent"


def test_a_list_that_nobody_has_told_is_not_empty() -> None:
    with pytest.raises(Silent, match="does not list the node's pods"):
        draining.has_pods("client")(told(pods_told=False))


WEB = Pod("default/web-1", "ReplicaSet/web-5f", ready=True, phase="Running")
ELSEWHERE = {"default/ReplicaSet/web-5f": Replicas(2, "Deployment/web")}


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (told(WEB, replicas=ELSEWHERE), None),
        (
            told(WEB, replicas=ELSEWHERE, held={"default/web-1": "web"}),
            "default/web-1: cannot be evicted now, for the budget web allows none",
        ),
        (
            told(WEB, replicas=ELSEWHERE, held={"default/web-1": "web,own"}),
            "default/web-1: cannot be evicted, for it is of several budgets (web,own): "
            "Kubernetes evicts no such pod, whatever they allow",
        ),
        (told(Pod("default/alone")), "default/alone: gone for good, for nobody makes it anew"),
        (
            told(replace(WEB, volumes=("emptyDir a", "ephemeral b")), replicas=ELSEWHERE),
            "default/web-1: loses what is in a and b (emptyDir)",
        ),
        (
            told(
                replace(WEB, volumes=('hostPath "/srv"', "claim own", "claim far", "claim unbound")),
                replicas=ELSEWHERE,
                kept={"default/own": Kept("pv", here=True), "default/far": Kept("pv2")},
            ),
            'default/web-1: goes without "/srv" and default/own, which stays on this machine',
        ),
        (
            told(WEB, replicas={"default/ReplicaSet/web-5f": Replicas(1, "Deployment/web")}),
            "Deployment/web in default: stands still meanwhile, for no other of its pods is ready",
        ),
        (
            told(replace(WEB, controller="StatefulSet/db"), replicas={"default/StatefulSet/db": Replicas(1)}),
            "StatefulSet/db in default: stands still meanwhile, for no other of its pods is ready",
        ),
        (told(replace(WEB, phase="Succeeded", ready=False, controller="")), None),
        (told(replace(WEB, ending=True, controller="")), None),
        (told(Pod("kube-system/p", "DaemonSet/p", volumes=('hostPath "/run"',))), None),
    ],
)
def test_what_is_lost_is_told_by_name(facts: Facts, line: str | None) -> None:
    assert draining.lost("client", facts) == ([line] if line else [])


def test_several_reasons_of_one_pod_are_one_line() -> None:
    facts = told(replace(WEB, controller="", volumes=("emptyDir a",)))
    assert draining.lost("client", facts) == [
        "default/web-1: gone for good, for nobody makes it anew; loses what is in a (emptyDir)"
    ]


def test_volumes_of_pods_that_stay_are_not_waited_for() -> None:
    daemons = Pod("default/d-1", "DaemonSet/d", volumes=("claim shared",))
    goes = replace(WEB, volumes=("claim own",))
    kept = {"default/shared": Kept("pv1"), "default/own": Kept("pv2")}
    facts = told(daemons, goes, kept=kept, attached={"a1": "pv1", "a2": "pv2"})
    assert draining._attached("client", facts) == ["a2"]
