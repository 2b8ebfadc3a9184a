"""What only the user can change where a host's network has something that pods' traffic would meet."""

from ipaddress import IPv4Network

from kubefab.cluster import Cluster
from kubefab.facts import Facts, Link
from kubefab.facts.network import Route
from kubefab.host import Host
from kubefab.step import Gap, Step, complaint, when
from kubefab.steps.network import DAEMON_SET

VXLAN_PORT = 8472  # flannel's, which is Linux' own
OURS = ("cni0", "flannel")  # how the links begin that the pod network makes: flannel.1, or another of its backends'
# What the pod network makes, as systemd-networkd knows it.
MADE = (Link("cni0", "bridge", "bridge"), Link("flannel.1", "vxlan", "vxlan"), Link("veth0123abcd", "ether", "veth"))
CONFLIST = "10-flannel.conflist"
# Files of tools that keep to their own containers, and of the loopback that every pod has.
HARMLESS = ("podman", "crio-bridge", "loopback")


def steps(cluster: Cluster, host: Host) -> list[Step]:
    wanted = cluster.inventory.cluster
    subnets = {"pod_subnet": wanted.pod_subnet, "service_subnet": wanted.service_subnet}
    return [
        complaint("no other pod network is present", other_network, _OTHER_NETWORK),
        *when(host.name == cluster.speaker.name, complaint("no other flannel is there", other_flannel, _OTHER_FLANNEL)),
        complaint("host networks and cluster subnets do not overlap", within(subnets), _WITHIN),
        complaint("the node's address is on one interface only", on_several(str(host.wanted.address)), _ON_SEVERAL),
        complaint(
            "UDP 8472 is free for flannel", taken_port, "remove the link, or stop the program that holds the port"
        ),
        complaint("systemd-networkd leaves the pods' links alone", taken_over, _TAKEN_OVER),
    ]


def other_network(facts: Facts) -> str | None:
    """A pod network is one for all nodes: what sorts before flannel's file would win, the rest would lose its pods."""
    read = [name for name in facts.local.cni if name.endswith((".conf", ".conflist", ".json")) and name != CONFLIST]
    others = [name for name in read if name < CONFLIST or not any(word in name for word in HARMLESS)]
    if others:
        return ", ".join(f"/etc/cni/net.d/{name}" for name in others)
    # Without a file of its own, yet Ready: a network that keeps it elsewhere.
    by_another = facts.node and facts.node.ready and CONFLIST not in facts.local.cni
    without = facts.cluster and DAEMON_SET not in facts.cluster.workloads
    return "the Node is Ready, but the cluster has no flannel" if by_another and without else None


def other_flannel(facts: Facts) -> str | None:
    """Upstream had it in kube-system until 0.19: ours beside it would take its links, and its rights by their name."""
    daemons = facts.cluster.workloads if facts.cluster else ()
    found = [one for one in daemons if one.partition("/")[2].startswith("kube-flannel") and one != DAEMON_SET]
    return ", ".join(found) or None


def within(subnets: dict[str, IPv4Network]) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = [
            f"{route.network} by {route.interface} is within {name} {subnet}"
            for route in facts.network.routes
            for name, subnet in subnets.items()
            if route.network.subnet_of(subnet) and not _is_flannels(route, facts)
        ]
        return ", ".join(found) or None

    return gap


def _is_flannels(route: Route, facts: Facts) -> bool:
    """Its backend is somebody's choice: by host-gw and DirectRouting other nodes' pods are behind the host's own link.

    Where nobody tells of the nodes, a route on a host where flannel runs is no reason to leave that host as it is.
    """
    if route.interface.startswith(OURS):
        return True
    live = facts.cluster if facts.local.flannel else None
    return bool(live and (live.silent or str(route.network) in (node.pod_cidr for node in live.nodes.values())))


def on_several(address: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        interfaces = [one.interface for one in facts.network.addresses_on if one.address == address]
        return f"{address} is on {' and '.join(interfaces)}" if len(interfaces) > 1 else None

    return gap


def taken_port(facts: Facts) -> str | None:
    links = [name for name, port in facts.network.vxlans.items() if port == VXLAN_PORT and not name.startswith(OURS)]
    taken = [f"the link {name} has it (ip link delete {name})" for name in links]
    taken += [f"{who} has it" for port, who in facts.network.udp.items() if port == VXLAN_PORT]
    return ", ".join(taken) or None


def taken_over(facts: Facts) -> str | None:
    """It would give them the host's address, and take them out of their bridge."""
    found = {link.name: file for link in MADE if (file := facts.network.managed_by(link))}
    files = dict.fromkeys(found.values())
    return f"{', '.join(files)} would be for {', '.join(found)}" if found else None


_OTHER_NETWORK = "if no pod needs it any more: mv FILE /root/ on the host; else keep that network: kubefab's is flannel"
_OTHER_FLANNEL = (
    "where its net-conf.json names another Backend than vxlan, first put its ConfigMap kube-flannel-cfg into a "
    "namespace kube-flannel; then kubectl -n NAMESPACE delete daemonset NAME: links stay, and pods keep their addresses"
)
_WITHIN = "choose another `pod_subnet` or `service_subnet` in hosts.yml, or another network for that interface"
_ON_SEVERAL = "remove it from the other interface: ip addr del ADDRESS dev INTERFACE; networkctl list shows who set it"
_TAKEN_OVER = (
    "on the host: printf '[Match]\\nName=cni0 flannel.1 veth*\\n[Link]\\nUnmanaged=yes\\n' "
    ">/etc/systemd/network/00-kubernetes.network; networkctl reload"
)
