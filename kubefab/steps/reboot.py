"""A node as a reboot should have left it: what the guide cures by hand."""

from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.step import Step, complaint, service, when
from kubefab.steps import endpoint, health, runtime, system
from kubefab.steps.network import DAEMON_SET


def at_once(cluster: Cluster, host: Host) -> list[Step]:
    """Of all but the masters that wait for their turn: those may need a majority that has to be mended first."""
    return [] if runtime.waits(cluster, host, runtime.running) else steps(cluster, host)


def in_turn(cluster: Cluster, host: Host) -> list[Step]:
    if not runtime.waits(cluster, host, runtime.running):
        return []
    return [runtime.bears(cluster), *steps(cluster, host), health.api_server()]


def steps(cluster: Cluster, host: Host) -> list[Step]:
    return [
        complaint("the host has joined a cluster", no_node, "`inv cluster.up` makes it one"),
        *when(
            host.name == cluster.speaker.name,
            health.has_kube_proxy(cluster),
            health.has(DAEMON_SET, "`inv install-flannel`"),
        ),
        *system.steps(cluster, host),
        *endpoint.steps(cluster, host),
        *runtime.running(cluster, host),
        service("kubelet"),
    ]


def no_node(facts: Facts) -> str | None:
    return None if facts.local.kubelet_ca else "/etc/kubernetes/kubelet.conf is missing"
