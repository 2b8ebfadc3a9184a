"""A node's pods, by way of a master: who is kept off it, who has to go, what that costs, and what holds it up."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import CORDONED_BY, ClusterFacts, Facts, Node, Pod, Pods, clock_time
from kubefab.host import Host
from kubefab.step import Close, Gap, Step, Subject, complaint, on_cluster, when

TOLD_SECONDS = 10  # between two words on what holds a drain up


def cordoned(node: str) -> Subject:
    """A person's cordon, which no task undoes; one that a task has made becomes it."""
    step = Step(f"{node} takes no new pods", takes_pods(node), cordon(node), touches="cluster", parts=())
    return lambda *_: [is_a_node(node), step]


def uncordoned(node: str) -> Subject:
    """A person's word counts for every cordon."""
    step = Step(f"{node} takes pods", takes_none(node), uncordon(node), touches="cluster", parts=())
    return lambda *_: [is_a_node(node), step]


def drained(node: str, seconds: int, task: str) -> Subject:
    """A node that is Ready has no pods but those of every node; a cordon of ours keeps others off meanwhile."""

    def steps(cluster: Cluster, _: Host) -> list[Step]:
        by = f"{task} at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        under_way = f"no earlier drain of {node} is under way"
        cordoned, empty = f"{node} takes no new pods meanwhile", f"{node} has no pods but those of every node"
        return [
            Step(under_way, drains(node), None, within=seconds, parts=("change",), again=TOLD_SECONDS),
            Step(cordoned, is_open(node), cordon_by(cluster, node, by), touches="cluster", parts=()),
            Step(
                empty,
                has_pods(node),
                drain(cluster, node, seconds),
                HELD,
                touches="cluster",
                parts=("pods",),
                again=TOLD_SECONDS,
            ),
        ]

    return steps


def price(node: str) -> Subject:
    """What a drain of it costs, a line each: told and asked for, and brought about by nobody."""
    gap = of(node, lambda _, facts: "\n".join(lost(node, facts)) or None)
    return lambda *_: [Step(f"{node} can go without a loss", gap, _nothing, parts=("pods",))]


def well(node: str) -> Subject:
    """For who wants the node back: on one that is not Ready nobody ends its pods."""
    return lambda *_: [is_a_node(node), complaint(f"{node} is Ready", not_ready(node), _NOT_READY.format(node))]


def is_a_node(node: str) -> Step:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        return None if node in live.nodes else f"its nodes are {', '.join(live.nodes)}"

    return complaint(f"the cluster has a Node {node}", gap)


# --- what is so instead


def of(node: str, gap: Callable[[Node, Facts], str | None]) -> Gap:
    """A gap of a Node: where there is none, nothing is amiss."""

    @on_cluster
    def wrapped(live: ClusterFacts, facts: Facts) -> str | None:
        found = live.nodes.get(node)
        return gap(found, facts) if found else None

    return wrapped


def takes_pods(node: str) -> Gap:
    """Or will, once the task that keeps them off has ended."""
    return of(node, lambda found, _: _cordoned(found) if found.mark else _open(found))


def takes_none(node: str) -> Gap:
    return of(node, lambda found, _: _cordoned(found) if found.cordoned or found.mark else None)


def is_open(node: str) -> Gap:
    return of(node, lambda found, _: _open(found))


def _open(node: Node) -> str | None:
    return None if node.cordoned else "it takes them"


def _cordoned(node: Node) -> str:
    """Or has been: `kubectl uncordon` leaves the word of a task that was killed."""
    if node.cordoned:
        return f"cordoned by {node.cordoner}"
    return f"it takes them, and the word of {node.mark} is left, which kept them off"


def not_ready(node: str) -> Gap:
    return of(node, lambda found, _: None if found.ready else found.trouble)


def drains(node: str) -> Gap:
    """One whose caller was killed goes on to its own end."""

    def gap(facts: Facts) -> str | None:
        found = next((change for change in facts.change.changes if change.about == _about(node)), None)
        return f"since {clock_time(found.since)}" if found else None

    return gap


def has_pods(node: str) -> Gap:
    """On a node that is not Ready nobody ends them: they go with it."""
    return of(node, lambda found, facts: ", ".join(pod.name for pod in going(node, facts) if found.ready) or None)


# --- its pods


def told(facts: Facts) -> Pods:
    """Silent where the API server has not said which there are."""
    if not facts.pods.pods_told:
        raise Silent("the API server does not list the node's pods")
    return facts.pods


def going(node: str, facts: Facts) -> list[Pod]:
    return [pod for pod in told(facts).of(node) if not pod.stays]


def lost(node: str, facts: Facts) -> list[str]:
    """What is lost or stands still without this node's pods, and what cannot be evicted now: a line for each."""
    pods = _running(node, facts)
    why = {pod.name: [*_reasons(pod, facts.pods)] for pod in pods}
    return [*(f"{name}: {'; '.join(reasons)}" for name, reasons in why.items() if reasons), *_last(pods, facts.pods)]


def lost_together(nodes: Sequence[str], facts: Facts) -> list[str]:
    """What stands still since all of these go at one time, and would not without any one of them alone."""
    alone = [line for node in nodes for line in _last(_running(node, facts), facts.pods)]
    pods = [pod for node in nodes for pod in _running(node, facts)]
    return [line for line in _last(pods, facts.pods) if line not in alone]


def _running(node: str, facts: Facts) -> list[Pod]:
    return [pod for pod in going(node, facts) if not (pod.over or pod.ending)]


def _reasons(pod: Pod, known: Pods) -> Iterator[str]:
    if budget := known.held.get(pod.name):
        yield (_SEVERAL if "," in budget else _NONE).format(budget)
    if not pod.controller:
        yield "gone for good, for nobody makes it anew"
    if emptied := [*pod.of("emptyDir"), *pod.of("ephemeral")]:
        yield f"loses what is in {' and '.join(emptied)} (emptyDir)"
    here = [claim for claim in pod.claims if claim in known.kept and known.kept[claim].here]
    if stays := [*pod.of("hostPath"), *here]:
        yield f"goes without {' and '.join(stays)}, which stays on this machine"


def _last(pods: Sequence[Pod], known: Pods) -> Iterator[str]:
    """Sets of which no pod is ready anywhere else."""
    for name, ready in Counter(pod.set for pod in pods if pod.ready).items():
        found, (namespace, _, own) = known.replicas.get(name), name.partition("/")
        if found and found.ready <= ready:
            yield f"{found.owner or own} in {namespace}: stands still meanwhile, for no other of its pods is ready"


# --- what is done


def _nothing(_: Host) -> None:
    """A price has no other end than the drain."""


def cordon(node: str) -> Close:
    """Keeps new pods off it, until a person lets it take them again."""
    return _patch(node, True, None)


def cordon_by(cluster: Cluster, node: str, by: str) -> Close:
    """Keeps new pods off it, for a task that lets it take them again, where kubectl can be told whose patch it is."""
    return _patch(node, True, by, *when(cluster.release.names_itself, "--field-manager", CORDONED_BY))


def uncordon(node: str) -> Close:
    """It takes pods again, whoever has kept them off."""
    return _patch(node, None, None)


def _patch(node: str, unschedulable: bool | None, by: str | None, *under: str) -> Close:
    """Both in one: a cordon of a task's without its mark would be a person's."""
    patch = {"metadata": {"annotations": {CORDONED_BY: by}}, "spec": {"unschedulable": unschedulable}}
    return by_kubectl(node, "patch", "node", node, "--type", "merge", *under, "--patch", json.dumps(patch))


def by_kubectl(node: str, *words: str) -> Close:
    """A change of the cluster that is about this node."""

    def close(host: Host) -> None:
        host.change("kubectl.sh", *words, about=f"{words[0]} {node}")

    return close


def drain(cluster: Cluster, node: str, seconds: int) -> Close:
    """By way of the host that it is given: a master that was asked for the pods of this node."""

    def close(host: Host) -> None:
        attached = _attached(node, cluster.facts(host))
        words = (node, str(seconds), CORDONED_BY, cluster.release.empties, *attached)
        host.change("drain.sh", *words, about=_about(node))

    return close


def _attached(node: str, facts: Facts) -> list[str]:
    """The VolumeAttachments that end with the pods that go."""
    pods = told(facts)
    stay = {pods.kept[claim].name for pod in pods.of(node) if pod.stays for claim in pod.claims if claim in pods.kept}
    here = {name: volume for name, volume in pods.attached.items() if pods.is_on(name, node)}
    return [name for name, volume in here.items() if volume not in stay]


def _about(node: str) -> str:
    return f"drain {node}"


HELD = (
    "where a budget holds it: more replicas, or another budget (kubectl edit pdb); where several do: all but one of "
    "them away; where time is short: --timeout SECONDS. kubefab never goes past a budget"
)
_NONE = "cannot be evicted now, for the budget {} allows none"
_SEVERAL = "cannot be evicted, for it is of several budgets ({}): Kubernetes evicts no such pod, whatever they allow"
_NOT_READY = (
    "nobody there would end its pods: see what is wrong (inv cluster.status); if its machine is off and stays off: "
    "`inv node.remove --host {} --dead`"
)
