"""The one long wait: every node Ready, and all that a cluster needs rolled out."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts
from kubefab.host import Host
from kubefab.step import Gap, Step, cluster_progress, complaint, on_cluster, when
from kubefab.steps.network import COREDNS, DAEMON_SET

SECONDS = 300
KUBE_PROXY = "kube-system/kube-proxy"
ON_EVERY_NODE = (DAEMON_SET, KUBE_PROXY)
CONTROLLERS, RUNS = ("kube-controller-manager", "kube-scheduler"), "runs"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    workloads = (*ON_EVERY_NODE, COREDNS) if host.name == cluster.speaker.name else ()
    return [
        *when(host.wanted.role == "master", api_server(), *controllers(cluster, host)),
        *ready(cluster, host),
        *map(rolled_out, workloads),
        replace(wait("the cluster's DNS answers the host", dnsless, _DNSLESS, parts=("dns",)), follows=True),
    ]


def ready(cluster: Cluster, host: Host) -> list[Step]:
    """All nodes come first: what is rolled out on every node counts those that are Ready."""
    return [
        complaint("the kubelet finds its name servers", nameless, NAMELESS),
        wait("the node is Ready", not_ready, see_node(cluster, host)),
        wait("pod status is newer than the last boot", still_as_before, see(DAEMON_SET), parts=("node",)),
        complaint("the Node reports no pressure", pressed, f"make room on {host.name}: df -h; kubectl describe node"),
    ]


def nameless(facts: Facts) -> str | None:
    """kubeadm tells all kubelets what is right for the host that made the cluster: kubernetes/kubeadm#3034."""
    path = facts.local.lacks_resolver
    return f"it is told to read {path}, which is not there, and starts no pod" if path else None


def api_server() -> Step:
    hint = "see what it says, on the master: journalctl -u kubelet; ls /var/log/containers"
    return wait("the API server is healthy", unhealthy, hint, parts=("api",))


def controllers(cluster: Cluster, host: Host) -> Iterator[Step]:
    """Without them an API server answers, but nothing comes of what it is told."""
    for name in CONTROLLERS:
        gone = f"where its manifest is gone: {BACK.format(host.name, name)}"
        hint = f"see what it says, on {host.name}: ls /var/log/containers/{name}*; {gone}"
        pod = f"kube-system/{name}-{cluster.node_name(host)}"
        yield replace(wait(f"{name} runs", idle(name), hint, parts=("node",)), workload=pod)


def idle(name: str) -> Gap:
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        local = facts.local
        said = local.controllers.get(name, RUNS) if local.control_plane else RUNS
        if said not in (RUNS, "none"):
            raise Silent(f"whether it runs is not known: {said}")
        without = f", and /etc/kubernetes/manifests has no {name}.yaml"
        return None if said == RUNS else f"it does not run{'' if f'{name}.yaml' in local.manifests else without}"

    return gap


def has(name: str, hint: str) -> Step:
    """A DaemonSet that kubefab does not make: its absence is told at once, and not waited for."""

    def gap(facts: Facts) -> str | None:
        live = facts.cluster
        if live is None or facts.unfinished or live.silent or name in live.workloads:
            return None
        return "its DaemonSet is missing"

    return complaint(f"the cluster has {name}", gap, hint)


def has_kube_proxy(cluster: Cluster) -> Step:
    pods, address = cluster.inventory.cluster.pod_subnet, cluster.speaker.wanted.address
    return has(KUBE_PROXY, _KUBE_PROXY.format(pods, address))


@on_cluster
def unhealthy(_: ClusterFacts, facts: Facts) -> str | None:
    said = facts.api.readyz
    return None if said == "ok" else f"/readyz: {said or 'no answer'}"


@on_cluster
def not_ready(_: ClusterFacts, facts: Facts) -> str | None:
    if not facts.node:
        return "the host is not a node yet"
    if facts.node.ready:
        return None
    return facts.node.trouble + (_NO_NETWORK if "NetworkPluginNotReady" in facts.node.trouble else "")


def pressed(facts: Facts) -> str | None:
    """Told at once: whatever waits for pods there would wait in vain, and not say why."""
    return ", ".join(facts.node.pressures) or None if facts.node else None


@on_cluster
def still_as_before(live: ClusterFacts, facts: Facts) -> str | None:
    """For some seconds after a boot the API server still reports the pods as they were before it.

    Once flannel has come up again, the kubelet has reported all of its pods.
    """
    if not facts.node or not facts.node.ready or DAEMON_SET not in live.workloads:
        return None
    return None if facts.local.flannel else "flannel has not come up yet"


def not_rolled_out(name: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        if not (workload := live.workloads.get(name)):
            return "it is not there"
        # A DaemonSet counts a new node only a moment later, and a node that is away still; the pods of a node that is
        # away are replaced elsewhere only after five minutes.
        away = len(live.nodes) - live.ready_nodes
        wanted = (
            max(live.ready_nodes, 1) if name in ON_EVERY_NODE else max(workload.wanted - away, min(workload.wanted, 1))
        )
        return None if workload.ready >= wanted else f"{workload.ready} of {wanted} pods are up to date and answer"

    return gap


@on_cluster
def dnsless(live: ClusterFacts, facts: Facts) -> str | None:
    """All pods may run, and no packet of theirs come to another node: a firewall is nothing that Kubernetes sees."""
    dns = live.workloads.get(COREDNS)
    if not facts.node or not facts.node.ready or not dns or not dns.wanted:
        return None
    at = facts.dns.dns_at
    return f"{at} does not answer from here" if facts.dns.dns_silent and _is_service(at, live.service_subnet) else None


def _is_service(address: str, subnets: str) -> bool:
    """Pods may be given somebody's own resolver, which need not answer by TCP. `subnets`: "" where nobody tells."""
    try:
        among = [ip_network(subnet, strict=False) for subnet in subnets.split(",") if subnet]
        return not among or any(ip_address(address) in subnet for subnet in among)
    except ValueError:
        return False


def rolled_out(name: str) -> Step:
    return replace(wait(f"{name} is rolled out", not_rolled_out(name), see(name)), workload=name)


def wait(title: str, gap: Gap, hint: str, parts: tuple[str, ...] = ()) -> Step:
    """A slow cluster is not broken: it is waited for as long as it makes progress."""
    return Step(title, gap, None, hint, within=SECONDS, progress=cluster_progress, touches="cluster", parts=parts)


RESOLVED = "/run/systemd/resolve/resolv.conf"
NAMELESS = (
    f"where that is {RESOLVED}: kubeadm tells all kubelets of it, of a cluster made on a host with systemd-resolved; "
    f"if this host is to have none, run there: echo 'L {RESOLVED} - - - - /etc/resolv.conf' "
    ">/etc/tmpfiles.d/kubernetes-resolv.conf; systemd-tmpfiles --create kubernetes-resolv.conf"
)
BACK = (
    "on {0}, put back what was there; as kubefab has left it: cp /var/lib/kubefab-manifests/{1}.yaml /etc/kubernetes/ "
    "&& mv /etc/kubernetes/{1}.yaml /etc/kubernetes/manifests/"
)
_KUBE_PROXY = (
    "on the master: kubeadm init phase addon kube-proxy --pod-network-cidr {} --apiserver-advertise-address {}; "
    "kubefab does not support a network that replaces kube-proxy"
)
_DNSLESS = (
    "does a firewall stand between the hosts, or on one of them? flannel's packets are UDP 8472 (51820 with "
    "WireGuard), and the host itself asks, at TCP 53; "
    "which pods answer: kubectl -n kube-system get pods -o wide -l k8s-app=kube-dns"
)
_NO_NETWORK = ": without a pod network, or until it is up there (`inv install-flannel`)"


def see(name: str) -> str:
    namespace = name.partition("/")[0]
    return f"see why: kubectl -n {namespace} get pods -o wide; kubectl -n {namespace} describe pods"


def see_node(cluster: Cluster, host: Host) -> str:
    return f"see why: kubectl describe node {cluster.node_name(host)}; journalctl -u kubelet, on {host.name}"
