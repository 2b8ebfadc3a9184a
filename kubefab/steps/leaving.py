"""A node that goes for good: etcd without its member, its volumes without it, and then no Node.

All of it by way of another master (Cluster.leave).
"""

from collections.abc import Collection

from kubefab import etcd
from kubefab.cluster import Cluster
from kubefab.errors import NotAsked, Silent
from kubefab.facts import OUT_OF_SERVICE, ClusterFacts, Facts, Known, Member
from kubefab.host import Host
from kubefab.step import Gap, Step, Subject, complaint, on_cluster, when
from kubefab.steps.draining import TOLD_SECONDS, by_kubectl, of, told
from kubefab.steps.etcd import take_out

NOTICED_SECONDS = 90  # a cluster takes 50 s to notice that a kubelet is silent
DETACH_SECONDS = 300
ANSWER_SECONDS = 20  # in which members choose another leader, or a busy one answers


def dispensable(node: str, address: str, seconds: int) -> Subject:
    """The others can do without this master: asked again for so long, since a member may be silent for a moment."""
    title, gap = f"etcd has a quorum without {node}", no_quorum(node, address)
    return lambda *_: [
        complaint("another master speaks for the cluster", last_master(node), _LAST),
        Step(title, gap, None, _QUORUM, within=seconds, touches="masters", parts=("etcd",)),
    ]


def without_member(node: str, address: str) -> Subject:
    """etcd without the member of this node's host."""

    def steps(cluster: Cluster, _: Host) -> list[Step]:
        def close(host: Host) -> None:
            for one in members(cluster.facts(host), node, address):
                take_out(host, one.id)

        return [Step(f"etcd has no member {node}", is_member(node, address), close, _QUORUM, parts=("etcd",))]

    return steps


def unready(node: str) -> Subject:
    """What a machine that is off comes to by itself."""
    gap = of(node, lambda found, _: "it is, still" if found.ready else None)
    hint = _ALIVE.format(node)
    return lambda *_: [
        Step(f"{node} is not Ready", gap, None, hint, within=NOTICED_SECONDS, touches="cluster", parts=())
    ]


def given_up(node: str) -> Subject:
    """Its volumes are taken from it by force, since its machine is off and stays off, by a person's word."""
    taint = by_kubectl(node, "taint", "node", node, f"{OUT_OF_SERVICE}=nodeshutdown:NoExecute", "--overwrite")

    def steps(cluster: Cluster, _: Host) -> list[Step]:
        tainted = Step(f"{node} is out of service", in_service(node), taint, touches="cluster", parts=())
        empty = Step(
            f"{node} holds no volume",
            holds(node),
            None,
            _HOLDS,
            within=DETACH_SECONDS,
            progress=lambda facts: -len(_held(node, facts)),
            touches="cluster",
            parts=("pods",),
            again=TOLD_SECONDS,
        )
        return [*when(cluster.release.forces_off, tainted, empty)]

    return steps


def forgotten(node: str) -> Subject:
    """The last of it, once nothing there can register it again."""
    gap = of(node, lambda found, _: f"at {found.address}")
    delete = by_kubectl(node, "delete", "node", node, "--timeout=60s")
    return lambda *_: [Step(f"the cluster has no Node {node}", gap, delete, touches="cluster", parts=())]


def in_service(node: str) -> Gap:
    return of(node, lambda found, _: None if OUT_OF_SERVICE in found.taints else "its pods and volumes wait for it")


def holds(node: str) -> Gap:
    return of(node, lambda _, facts: ", ".join(_held(node, facts)) or None)


def _held(node: str, facts: Facts) -> list[str]:
    pods = told(facts)
    attached = [f"volume {volume} ({name})" for name, volume in pods.attached.items() if pods.is_on(name, node)]
    return attached + [f"pod {pod.name}" for pod in pods.of(node) if pod.ending and not pod.static]


def last_master(node: str) -> Gap:
    """Whoever resets the machine of the last one takes the cluster away."""

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        return f"{node} is the only one that answers" if facts.node and facts.node.name == node else None

    return gap


def members(facts: Facts, node: str, address: str) -> list[Known]:
    """Its members of etcd, as the host that is asked knows them: by its name, or at its address.

    What another host answers for is that host's. Silent where its etcd does not say who they are, or the cluster not
    which Nodes it has.
    """
    if facts.cluster and facts.cluster.silent:
        raise Silent(facts.cluster.unheard)
    if not facts.etcd.membership and etcd.is_on(facts):
        raise Silent(f"{facts.name}: its etcd does not say who its members are: {facts.etcd.etcd_silent}")
    others = [other for other in facts.everyone.values() if (other.node.name if other.node else other.name) != node]
    theirs = {member.id for other in others if (member := _member(other))}
    nodes = facts.cluster.nodes if facts.cluster else {}
    return [one for one in facts.etcd.membership if one.id not in theirs and _is_its(one, node, address, nodes)]


def _is_its(member: Known, node: str, address: str, nodes: Collection[str]) -> bool:
    """Of two Nodes at one address, one of which is from before, the member's name decides."""
    of_another = node in nodes and member.name in nodes
    return member.name == node or (address in member.addresses and not of_another)


def _member(facts: Facts) -> Member | None:
    """A host whose etcd was not asked counts as one that does not answer."""
    try:
        return facts.etcd.member
    except NotAsked:
        return None


def is_member(node: str, address: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = members(facts, node, address)
        return ", ".join(f"{one.name or 'one that has never started'} ({one.id:x})" for one in found) or None

    return gap


def no_quorum(node: str, address: str) -> Gap:
    """etcd itself refuses it; this says so before anything is changed, and whom to mend."""

    def gap(facts: Facts) -> str | None:
        leaving = {one.id for one in members(facts, node, address)}
        left = [one for one in facts.etcd.membership if one.id not in leaving and not one.learner]
        answer = {member.id for one in facts.everyone.values() if (member := _member(one)) and member.leader}
        away = [one.name or f"{one.id:x}" for one in left if one.id not in answer]
        needed = len(left) // 2 + 1
        if not leaving or len(left) - len(away) >= needed:
            return None
        return f"{len(left)} members would be left, of which {needed} have to answer; away: {', '.join(away)}"

    return gap


_LAST = "mend another master, or join one, and let it do this; to take the whole cluster away: `inv cluster.reset`"
_QUORUM = "see who is away: inv etcd.status; mend it, or take it out first: `inv node.remove --host NAME`"
_ALIVE = (
    "its kubelet is alive: if the machine is to go, switch it off first; if only SSH is broken, mend that, and then: "
    "`inv node.remove --host {}`"
)
_HOLDS = "see why: kubectl get volumeattachments; kubectl get pods -A --field-selector spec.nodeName=NAME"
