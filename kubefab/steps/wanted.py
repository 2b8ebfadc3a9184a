"""What hosts.yml asks of a cluster beyond being there."""

from kubefab.cluster import Cluster
from kubefab.errors import HostError
from kubefab.facts import ClusterFacts, Facts
from kubefab.releases import CONTROL_PLANE, MASTER
from kubefab.remote import Host
from kubefab.step import Step, on_cluster


def steps(cluster: Cluster, host: Host) -> list[Step]:
    return untainted(cluster, host) if host.wanted.schedulable else []


def untainted(cluster: Cluster, host: Host) -> list[Step]:
    """A master that takes ordinary pods: neither of the two taints that kubeadm ever gave."""

    def close(host: Host) -> None:
        if not (node := cluster.facts(host).node):
            raise HostError("it is not a node yet", hint="`inv cluster.up` makes it one")
        keys = [f"{key}-" for key in node.taints if key in (CONTROL_PLANE, MASTER)]
        host.change("kubectl.sh", "taint", "node", node.name, *keys)

    return [Step("it takes ordinary pods", tainted, close, touches="cluster", parts=())]


@on_cluster
def tainted(_: ClusterFacts, facts: Facts) -> str | None:
    if not facts.node:
        return "it is not a node yet"
    return ", ".join(key for key in facts.node.taints if key in (CONTROL_PLANE, MASTER)) or None
