"""The Node that a machine is: known to its cluster, marked as what it is, with the pod network that is its own."""

import time
from ipaddress import ip_address, ip_network

from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts, Unit
from kubefab.host import Host
from kubefab.releases import CONTROL_PLANE, Release
from kubefab.step import Gap, Step, on_cluster, script, when, where_there_is_one
from kubefab.steps.health import KUBE_PROXY
from kubefab.steps.network import DAEMON_SET

START_SECONDS = 30
OFF_BALANCERS = "node.kubernetes.io/exclude-from-external-load-balancers"


def registered(host: Host) -> list[Step]:
    """A kubelet tells the cluster of its machine at its own start alone: kubernetes/kubernetes#71398."""
    close = script("restart-service.sh", "kubelet")
    name = host.name
    hint = f"see what its kubelet says: journalctl -u kubelet, on {name}; or, {_RESTART.format(name)}"
    return [
        Step("the kubelet had time to register", still_telling, None, hint, within=60, touches="cluster"),
        Step("the cluster has a Node for this host", deleted, close, hint, within=60, touches="cluster", warning=_LOST),
        Step("the Node belongs to this machine", of_another_id, close, hint, within=60, touches="cluster"),
    ]


@where_there_is_one
@on_cluster
def deleted(_: ClusterFacts, facts: Facts) -> str | None:
    return "none, although kubelet.conf belongs to this cluster" if facts.trusted and not facts.node else None


@where_there_is_one
@on_cluster
def still_telling(_: ClusterFacts, facts: Facts) -> str | None:
    """kubeadm join ends a moment before the Node is there: right after it nobody has deleted one."""
    kubelet = facts.services.units.get("kubelet", Unit())
    young = kubelet.active == "active" and facts.system.clock - kubelet.since < START_SECONDS
    return "the kubelet has only just started" if facts.trusted and not facts.node and young else None


@where_there_is_one
@on_cluster
def of_another_id(_: ClusterFacts, facts: Facts) -> str | None:
    """Its kubelet reads the machine-id once: somebody changed it since."""
    told, mine = facts.node.machine_id if facts.node else "", facts.system.machine_id
    return f"the Node still has the machine-id {told}" if facts.trusted and told and mine and told != mine else None


def marked(cluster: Cluster, host: Host) -> Step:
    """What kubeadm gives a master's Node once; the label comes last, so that it tells of both."""
    release, taints = cluster.release, not host.wanted.schedulable

    def close(host: Host) -> None:
        node = cluster.facts(host).node
        assert node  # the gap has seen it
        for what, keys in (*when(taints, ("taint", _taints(release))), ("label", _labels(release))):
            words = (what, "node", node.name, *keys, "--overwrite")
            cluster.speaker.during(host.title).change("kubectl.sh", *words, about=f"{what} {node.name}")

    return Step("the Node has a master's label and taint", unmarked, close, touches="cluster", parts=())


@where_there_is_one
@on_cluster
def unmarked(_: ClusterFacts, facts: Facts) -> str | None:
    if not facts.node or facts.node.is_master:
        return None
    return "the master's label is missing"


def _taints(release: Release) -> list[str]:
    return [f"{key}:NoSchedule" for key in release.taints]


def _labels(release: Release) -> list[str]:
    return [f"{key}=" for key in dict.fromkeys((CONTROL_PLANE, *release.taints, OFF_BALANCERS))]


def pod_network(cluster: Cluster) -> list[Step]:
    """Where a Node was made anew, what flannel and the bridge have may be of the old one."""

    def close(host: Host) -> None:
        _count_anew(cluster, host)
        host.change("restart-flannel.sh")  # last, since it closes the gap: a run broken off before it does both again

    return [
        # It tells the cluster before it tells the host.
        Step("flannel knows this Node", _flannels(stale_flannel), close, touches="cluster", doubted=True),
        Step(
            "cni0 is in the node's pod subnet", _flannels(stale_bridge), script("remake-bridge.sh"), touches="cluster"
        ),
    ]


def _count_anew(cluster: Cluster, host: Host) -> None:
    """The controller of DaemonSets does not count a Node again that came back with its pod: any change makes it."""
    live = cluster.facts(host).cluster
    if live and KUBE_PROXY in live.workloads:
        now = f"kubefab.internal/counted={time.time():.0f}"
        words = ("annotate", "daemonset", "kube-proxy", "--namespace", "kube-system", now, "--overwrite")
        cluster.speaker.during(host.title).change("kubectl.sh", *words, about=f"count {host.name}")


def _flannels(gap: Gap) -> Gap:
    """Of other networks nothing is known."""

    @where_there_is_one
    @on_cluster
    def flannels(live: ClusterFacts, facts: Facts) -> str | None:
        return gap(facts) if facts.node and DAEMON_SET in live.workloads else None

    return flannels


def stale_flannel(facts: Facts) -> str | None:
    if not facts.node or not facts.local.flannel:
        return None  # it is still coming up
    if not facts.node.announced:
        return "not yet, though it has come up"
    return _outside(facts.local.subnet.partition("/")[0], facts, "it has the subnet of")


def stale_bridge(facts: Facts) -> str | None:
    bridge = next((address for address, link in facts.system.addresses.items() if link == "cni0"), "")
    return _outside(bridge, facts, "cni0 has")


def _outside(address: str, facts: Facts, what: str) -> str | None:
    """Where this address is not in the Node's pod subnet; None where one of them is not known yet, or is IPv6."""
    subnet = facts.node.pod_cidr if facts.node else ""
    if "." not in address or "." not in subnet or ip_address(address) in ip_network(subnet, strict=False):
        return None
    return f"{what} {address}, and its Node {subnet}"


_RESTART = "if you can lose it: `inv restart --host {}`"  # without a host it takes the whole cluster away
_LOST = "the Node was deleted: labels and taints set by others are lost; set them again"
