"""What asks of a node that is to go, and what drains it: kubectl is a stub that answers from files."""

import pytest

from kubefab.facts import Kept, Pod, Replicas
from kubefab.programs import look_program
from kubefab.questions import Questions
from tests import sandbox
from tests.facts import known
from tests.test_look import ADMIN, found

pytestmark = sandbox.needed

# Its words without where its certificates are.
KUBECTL = """\
shift 4; [ "$1" != --request-timeout ] || shift 2
echo "$*" | head -n 1 | cut -d '{' -f 1 >>/mnt/asked
case "$*" in
    *poddisruptionbudgets*) [ -e /mnt/budgets ] || exit 0; cat /mnt/budgets; ;;
    *control-plane*) [ ! -e /mnt/static ] || cat /mnt/static ;;
    *"pods --namespace"*) cat /mnt/selected ;;
    *daemonsets.apps*) [ ! -e /mnt/daemons ] || cat /mnt/daemons ;;
    *deployments.apps*) [ -e /mnt/sets ] && cat /mnt/sets ;;
    *" pods "*) cat /mnt/pods ;;
    *replicasets*) cat /mnt/replicas ;;
    *persistentvolumes*) cat /mnt/kept ;;
    *"get volumeattachments --all"*) cat /mnt/attached ;;
    *"get volumeattachments"*) [ -e /mnt/attached ] || exit 1; cat /mnt/attached; : >/mnt/attached ;;
    *"get node"*) cat /mnt/by ;;
    drain*) sh /mnt/drain ;;
esac
"""
FILES = {"pods": "", "replicas": "", "kept": "", "attached": "", "by": "", "drain": "echo node drained", "selected": ""}


def cluster(**files: str) -> str:
    """Shell text: a master whose kubectl prints these, and nothing of what is not named here."""
    given = "".join(sandbox.file(f"/mnt/{name}", text) for name, text in {**FILES, **files}.items())
    return f"{ADMIN}{given}cat >/mnt/bin/kubectl <<'END'\n#!/bin/sh\n{KUBECTL}END\nstub sleep ''\n"


# --- the look


def test_a_node_is_told_by_its_pods_who_else_is_there_for_them_and_its_volumes() -> None:
    pods = (
        "pod default/web-1|ReplicaSet/web|ready Running|emptyDir data|claim own\n"
        'pod default/old||Succeeded\npod kube-system/etcd-m|Node/m|static ready Running|hostPath "/var/lib/etcd"\n'
    )
    replicas = "replicas default/ReplicaSet/web 2 Deployment/web\nreplicas default/StatefulSet/db 0 \n"
    text = cluster(
        pods=pods,
        replicas=replicas,
        kept="kept default/own pv here\nkept default/far far\n",
        attached="attached a pv\n",
    )
    this = found(text, "pods", questions=Questions(nodes=("client",))).pods
    assert this.pods == (
        Pod("default/web-1", "ReplicaSet/web", ready=True, phase="Running", volumes=("emptyDir data", "claim own")),
        Pod("default/old", phase="Succeeded"),
        Pod("kube-system/etcd-m", "Node/m", True, True, phase="Running", volumes=('hostPath "/var/lib/etcd"',)),
    )
    assert this.replicas == {
        "default/ReplicaSet/web": Replicas(2, "Deployment/web"),
        "default/StatefulSet/db": Replicas(),
    }
    assert this.kept == {"default/own": Kept("pv", here=True), "default/far": Kept("far")}
    assert (this.attached, this.held, this.pods_told) == ({"a": "pv"}, {}, True)


def test_where_no_node_is_to_go_nothing_is_asked() -> None:
    assert found(cluster(pods="pod default/x||Running\n"), "pods").pods == known().pods


def test_of_several_nodes_the_pods_of_all_are_asked_for_with_where_they_are() -> None:
    pods = "pod default/x||Running\non default/x client\npod default/y||Running\non default/y client2\n"
    text = cluster(pods=pods, attached="attached a pv\non a client2\n", budgets=BUDGET.format(policy="-", healthy=1))
    this = found(text, "pods", questions=Questions(nodes=("client", "client2"))).pods
    assert [[pod.name for pod in this.of(node)] for node in ("client", "client2")] == [["default/x"], ["default/y"]]
    assert [this.is_on("a", node) for node in ("client", "client2")] == [False, True]


@pytest.mark.parametrize("nodes", [("client",), ("client", "client2")])
def test_only_of_one_node_is_the_api_server_asked_for_its_own_pods(nodes: tuple[str, ...]) -> None:
    text = cluster(budgets=BUDGET.format(policy="-", healthy=1))
    program = sandbox.file("/mnt/look", look_program(Questions(nodes=nodes)))
    looked = f"{text}{program}sh /mnt/look pods >/dev/null\ngrep -o 'spec.nodeName[^ ]*' /mnt/asked"
    wanted = "spec.nodeName=client" if len(nodes) == 1 else "spec.nodeName!="
    assert set(sandbox.run(looked).splitlines()) == {wanted}


def test_every_workload_tells_how_many_pods_it_wants_and_has() -> None:
    daemons = "workload DaemonSet kube-system/kube-proxy 3 3\n"
    sets = "workload Deployment default/web 2 1\nworkload StatefulSet default/db 1 0\n"
    text = cluster(daemons=daemons, sets=sets, static="workload Pod kube-system/etcd-m 1 1 near/etcd:1\n")
    this = found(text, "workloads", questions=Questions(nodes=("client",))).workloads
    assert [str(one) for one in this.workloads if one.short] == [
        "Deployment default/web: 1 of 2 pods are ready",
        "StatefulSet default/db: 0 of 1 pods are ready",
    ]
    assert (this.workloads_told, len(this.workloads), this.workloads[-1].images) == (True, 4, ("near/etcd:1",))


def test_workloads_that_are_not_listed_are_not_whole() -> None:
    this = found(cluster(), "workloads", questions=Questions(nodes=("client",))).workloads
    assert not this.workloads_told


def test_a_list_that_was_not_to_be_had_is_no_empty_one() -> None:
    text = cluster(pods="pod default/x||Running\n", budgets="broken") + "chmod 000 /mnt/selected; rm /mnt/selected\n"
    assert not found(text, "pods", questions=Questions(nodes=("client",))).pods.pods_told


BUDGET = "default web {policy} {healthy} 2 0 app=web,tier in (front),\n"
TWO = "default web - 3 2 1 app=web,\ndefault own - 3 2 1 tier=front,\n"


@pytest.mark.parametrize(
    ("policy", "healthy", "pod", "holds"),
    [
        ("-", 1, "web-1 Running True- ReplicaSet,", True),
        ("-", 1, "web-1 Running False- ReplicaSet,", True),
        ("-", 2, "web-1 Running False- ReplicaSet,", False),
        ("-", 2, "web-1 Running True- ReplicaSet,", True),
        ("AlwaysAllow", 0, "web-1 Running False- ReplicaSet,", False),
        ("AlwaysAllow", 0, "web-1 Running True- ReplicaSet,", True),
        ("-", 1, "web-1 Running-ending True- ReplicaSet,", False),
        ("-", 1, "web-1 Pending False- ReplicaSet,", False),
        ("-", 1, "web-1 Failed False- ReplicaSet,", False),
        ("-", 1, "web-1 Running True- DaemonSet,", False),
        ("-", 1, "web-1 Running True- Node,", False),
        ("-", 1, "web-1 Running True- ", True),
    ],
)
def test_a_budget_holds_whom_an_eviction_would_not_let_go(policy: str, healthy: int, pod: str, holds: bool) -> None:
    text = cluster(budgets=BUDGET.format(policy=policy, healthy=healthy), selected=f"{pod}\n")
    assert found(text, "pods", questions=Questions(nodes=("client",))).pods.held == (
        {"default/web-1": "web"} if holds else {}
    )


@pytest.mark.parametrize(
    ("pod", "held"),
    [
        ("web-1 Running True- ReplicaSet,", {"default/web-1": "web,own"}),
        ("web-1 Running False- ReplicaSet,", {"default/web-1": "web,own"}),
        ("web-1 Running-ending True- ReplicaSet,", {}),
        ("web-1 Pending False- ReplicaSet,", {}),
        ("web-1 Running True- DaemonSet,", {}),
    ],
)
def test_a_pod_of_two_budgets_is_held_by_both_though_each_would_let_it_go(pod: str, held: dict[str, str]) -> None:
    """No eviction takes it, and all others of its node would be gone by the time that this is told."""
    text = cluster(budgets=TWO, selected=f"{pod}\n")
    assert found(text, "pods", questions=Questions(nodes=("client",))).pods.held == held


def test_a_budget_that_lets_its_pods_go_and_is_alone_in_its_namespace_is_not_asked_for_them() -> None:
    budgets = "default web - 3 2 1 app=web,\nothers web - 3 2 1 app=web,\n"
    asked = sandbox.run(f"{cluster(budgets=budgets)}{DRAIN} >/dev/null; grep selector /mnt/asked || echo none")
    assert asked == "none\n"


def test_whom_a_budget_is_about_the_api_server_says() -> None:
    text = cluster(budgets=BUDGET.format(policy="-", healthy=1))
    asked = sandbox.run(f"{text}{DRAIN} >/dev/null; grep selector /mnt/asked")
    assert asked.startswith(
        "get pods --namespace default --selector app=web,tier in (front) --field-selector spec.nodeName=client "
    )


# --- the drain

DRAIN = sandbox.script("drain.sh", "client", "60", "kubefab.internal/cordoned-by", "--delete-emptydir-data")
SHORT = sandbox.script("drain.sh", "client", "0", "kubefab.internal/cordoned-by", "--delete-emptydir-data")
PATCHED = "patch node client"
HELD = {"budgets": BUDGET.format(policy="-", healthy=1), "selected": "web-1 Running True- ReplicaSet,\n"}


def drained(text: str, drain: str = DRAIN) -> tuple[list[str], list[str]]:
    """What was said, with how it ended; and what was asked of kubectl that changes something."""
    said = sandbox.run(f"{text}{drain} 2>&1 || echo ended with $?\necho ASKED\ngrep -v ^get /mnt/asked || true")
    before, _, asked = said.partition("ASKED\n")
    return before.splitlines(), asked.splitlines()


def test_pods_are_evicted_by_kubectl_and_by_nothing_that_goes_past_a_budget() -> None:
    said, asked = drained(cluster())
    assert said == ["node drained"]
    (drain,) = asked
    assert drain.startswith("drain client --ignore-daemonsets --force --delete-emptydir-data --timeout ")
    assert "disable-eviction" not in drain


def test_no_pod_is_evicted_while_a_budget_holds_another() -> None:
    said, asked = drained(cluster(**HELD), SHORT)
    assert said == [
        "time is over, and nothing was evicted: default/web-1 is held by the budget web",
        "client was cordoned by a person, and stays so",
        "ended with 1",
    ]
    assert asked == []


def test_no_pod_is_evicted_while_another_is_of_two_budgets() -> None:
    said, asked = drained(cluster(budgets=TWO, selected="web-1 Running True- ReplicaSet,\n"), SHORT)
    assert said[0] == "time is over, and nothing was evicted: default/web-1 is held by several budgets: web and own"
    assert asked == []


def test_a_node_that_a_task_has_cordoned_takes_pods_again_when_time_is_over() -> None:
    said, asked = drained(cluster(**HELD, by="marked client\nours client\n"), SHORT)
    assert said[1:] == ["client takes pods again, as before", "ended with 1"]
    assert [line.startswith(PATCHED) for line in asked] == [True]


def test_a_persons_cordon_stays_though_a_task_has_left_its_annotation() -> None:
    """kubectl takes none away: of a drain that was killed it stays, through a person's uncordon and cordon."""
    said, asked = drained(cluster(**HELD, by="marked client\n"), SHORT)
    assert said[1:] == [
        "client stays cordoned, since a person may have done that: inv node.uncordon --host client ends it",
        "ended with 1",
    ]
    assert asked == []


def test_once_the_budget_lets_it_go_it_goes_on() -> None:
    freed = "stub sleep 'rm -f /mnt/budgets'\n"
    said, asked = drained(cluster(**HELD) + freed)
    assert said == ["default/web-1 is held by the budget web", "node drained"]
    assert len(asked) == 1


def test_an_api_server_that_says_nothing_of_budgets_has_not_said_that_there_are_none() -> None:
    silent = cluster(**HELD) + "rm /mnt/selected\n"
    said, asked = drained(silent, SHORT)
    assert said[0].startswith("time is over, and nothing was evicted: nobody says which budgets hold what:")
    assert asked == []


def test_where_nobody_can_be_asked_who_cordoned_it_that_is_said() -> None:
    said, asked = drained(cluster(**HELD) + "rm /mnt/by\n", SHORT)
    assert said[-2:] == ["and client stays cordoned: who did that cannot be asked just now", "ended with 1"]
    assert asked == []


def test_an_eviction_that_fails_lets_the_node_take_pods_again() -> None:
    said, _ = drained(cluster(by="marked client\nours client\n", drain="echo global timeout reached >&2; exit 1"))
    assert said == [
        "global timeout reached",
        "client is not drained: ",
        "client takes pods again, as before",
        "ended with 1",
    ]


def test_where_nobody_says_which_volumes_are_attached_none_is_taken_for_let_go() -> None:
    fails_once = "stub sleep 'echo >/mnt/attached'\nrm /mnt/attached\n"
    said, _ = drained(cluster() + fails_once, f"{DRAIN} va")
    assert said == ["node drained", "nobody says which volumes are attached still"]


def test_volumes_are_waited_for_those_alone_that_were_named() -> None:
    text = cluster(attached="va nobody pv client true 1m\n")
    assert drained(text)[0] == ["node drained"]
    said, _ = drained(text, f"{DRAIN} va")
    assert said == ["node drained", "attached still: va nobody pv client true 1m"]
