"""What hosts.yml asks of a cluster beyond being there."""

from kubefab.cluster import Cluster
from kubefab.errors import HostError
from kubefab.facts import ClusterFacts, Facts, Node
from kubefab.host import Host
from kubefab.releases import CONTROL_PLANE, MASTER
from kubefab.step import Gap, Step, complaint, on_cluster


def steps(cluster: Cluster, host: Host) -> list[Step]:
    return untainted(cluster, host) if host.wanted.schedulable else []


def untainted(cluster: Cluster, host: Host) -> list[Step]:
    """A master that takes ordinary pods: neither of the two taints that kubeadm ever gave."""

    def close(host: Host) -> None:
        _taint(cluster, host, *(f"{key}-" for key in kubeadms_taints(node_of(cluster, host))))

    return [_a_master(host), Step("the master takes ordinary pods", tainted, close, touches="cluster", parts=())]


def tainted_again(cluster: Cluster, host: Host) -> list[Step]:
    """A master as kubeadm made it: with the taints of its minor."""
    keys = cluster.release.taints

    def close(host: Host) -> None:
        taints = [f"{key}:NoSchedule" for key in keys]
        _taint(cluster, host, *taints, "--overwrite")

    otherwise = "it says `schedulable: true`, so `up` would undo this" if host.wanted.schedulable else None
    return [
        _a_master(host),
        complaint("hosts.yml agrees", lambda _: otherwise, "take it out there first", ()),
        Step("the master takes no ordinary pods", lacking(keys), close, touches="cluster", parts=()),
    ]


def _taint(cluster: Cluster, host: Host, *words: str) -> None:
    """By way of the speaker: the master that is meant may have no API server at this moment."""
    name = node_of(cluster, host).name
    cluster.speaker.during(host.title).change("kubectl.sh", "taint", "node", name, *words, about=f"taint {name}")


def node_of(cluster: Cluster, host: Host) -> Node:
    if not (node := cluster.facts(host).node):
        raise HostError("the host is not a node yet", hint="`inv cluster.up` makes it one")
    return node


def lacking(keys: tuple[str, ...]) -> Gap:
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        if not facts.node:
            return "the host is not a node yet"
        missing = [key for key in keys if key not in facts.node.barred_by]
        return f"without {', '.join(missing)}" if missing else None

    return gap


@on_cluster
def tainted(_: ClusterFacts, facts: Facts) -> str | None:
    if not facts.node:
        return "the host is not a node yet"
    return ", ".join(kubeadms_taints(facts.node)) or None


def kubeadms_taints(node: Node) -> list[str]:
    """Of the two that kubeadm ever gave a master: those that keep pods away."""
    return [key for key in node.barred_by if key in (CONTROL_PLANE, MASTER)]


def takes_ordinary(node: Node) -> bool:
    return not kubeadms_taints(node)


def _a_master(host: Host) -> Step:
    told = None if host.wanted.role == "master" else "a worker: kubeadm gives it no taint"
    return complaint("the host is a master", lambda _: told, "name a master, or none for all of them", ())
