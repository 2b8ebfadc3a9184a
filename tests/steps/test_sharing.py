"""What else uses a host's network: each complaint with its words."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from kubefab.facts import ClusterFacts, Facts, Node, Workload
from kubefab.facts.network import OnInterface, Route
from kubefab.steps import sharing
from tests.facts import known, with_
from tests.fakes import cluster, step

NETWORK = "no other pod network is present"
FLANNEL = "no other flannel is there"
WITHIN = "host networks and cluster subnets do not overlap"
ADDRESS = "the node's address is on one interface only"
PORT = "UDP 8472 is free for flannel"
NETWORKD = "systemd-networkd leaves the pods' links alone"
READY = ClusterFacts(nodes={"client": Node("client", machine_id="abc", ready=True)})
NODES = {name: Node(name, pod_cidr=f"10.244.{n}.0/24") for n, name in enumerate(("manager", "client"))}
WITH_FLANNEL = replace(READY, workloads={"kube-flannel/kube-flannel-ds": Workload(1, 1)})
FILE = "/etc/systemd/network/80-all.network"


def route(network: str, interface: str) -> Route:
    return Route(IPv4Network(network), interface)


def complaints(facts: Facts) -> dict[str, str]:
    made = cluster()
    return {one.title: gap for one in sharing.steps(made, made.hosts["client"]) if (gap := one.gap(facts))}


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(cni=("05-cilium.conflist",)), NETWORK, "/etc/cni/net.d/05-cilium.conflist"),
        (
            known(cni=("10-flannel.conflist", "10-weave.conflist", "10-kuberouter.conflist")),
            NETWORK,
            "/etc/cni/net.d/10-weave.conflist, /etc/cni/net.d/10-kuberouter.conflist",
        ),
        (known(cni=("01-podman.conflist",)), NETWORK, "/etc/cni/net.d/01-podman.conflist"),  # it would win
        (
            known("client", machine_id="abc", cluster=READY),
            NETWORK,
            "the Node is Ready, but the cluster has no flannel",
        ),
        (
            known(routes=(route("10.244.77.0/24", "e2e0"), route("10.96.3.0/30", "tun0"))),
            WITHIN,
            "10.244.77.0/24 by e2e0 is within pod_subnet 10.244.0.0/16, "
            "10.96.3.0/30 by tun0 is within service_subnet 10.96.0.0/12",
        ),
        (
            known(addresses_on=(OnInterface("10.250.0.11", "eth0"), OnInterface("10.250.0.11", "cni0"))),
            ADDRESS,
            "10.250.0.11 is on eth0 and cni0",
        ),
        (
            known(vxlans={"cilium_vxlan": 8472, "flannel.1": 8472}),
            PORT,
            "the link cilium_vxlan has it (ip link delete cilium_vxlan)",
        ),
        (known(udp={8472: "socat"}), PORT, "socat has it"),
        (known(networkd=(FILE, f"{FILE} Type=ether")), NETWORKD, f"{FILE} would be for veth0123abcd"),
        (known(networkd=(FILE, f"{FILE} Name=*")), NETWORKD, f"{FILE} would be for cni0, flannel.1, veth0123abcd"),
    ],
)
def test_what_pods_would_meet_is_told(facts: Facts, title: str, gap: str) -> None:
    assert complaints(facts) == {title: gap}


@pytest.mark.parametrize(
    "facts",
    [
        known(),
        known(cni=("10-flannel.conflist", "87-podman.conflist", "99-loopback.conf", "100-crio-bridge.conflist")),
        known(cni=("10-weave.conflist.bak", "README")),  # nobody reads these
        known("client", machine_id="abc", cluster=WITH_FLANNEL),
        known("client", machine_id="abc", cluster=READY, cni=("10-flannel.conflist",)),  # deleted; it comes back
        known(
            routes=(route("10.244.0.0/24", "cni0"), route("10.244.1.0/24", "flannel.1"), route("10.0.0.0/8", "eth0"))
        ),
        known(addresses_on=(OnInterface("10.250.0.11", "eth0"), OnInterface("172.31.9.11", "eth0"))),
        known(vxlans={"flannel.1": 8472, "vxlan0": 4789}, udp={68: "dhclient"}),
        known(networkd=(FILE, f"{FILE} Name=en*")),
    ],
)
def test_what_pods_can_live_with_is_no_complaint(facts: Facts) -> None:
    assert complaints(facts) == {}


def test_a_flannel_that_is_elsewhere_in_the_cluster_is_told_once() -> None:
    """As in a cluster made by hand long ago: two of them would share the links, and just one has the rights."""
    there = dict.fromkeys(("kube-system/kube-flannel-ds-amd64", "kube-flannel/kube-flannel-ds"), Workload(1, 1))
    found, made = known(cluster=replace(READY, workloads=there), cni=("10-flannel.conflist",)), cluster()
    assert step(sharing.steps(made, made.founder), FLANNEL).gap(found) == "kube-system/kube-flannel-ds-amd64"
    assert complaints(found) == {}


def test_the_file_that_keeps_networkd_away_is_told() -> None:
    made = cluster()
    hint = sharing.steps(made, made.founder)[-1].hint
    assert "/etc/systemd/network/00-kubernetes.network" in hint
    assert "Unmanaged=yes" in hint


@pytest.mark.parametrize(
    "facts",
    [
        known(routes=(route("10.244.0.0/16", "flannel-wg"), route("10.244.3.0/24", "flannel.ipip"))),
        known(flannel=True, cluster=ClusterFacts(nodes=NODES), routes=(route("10.244.1.0/24", "eth0"),)),
        known(flannel=True, cluster=ClusterFacts(silent="no answer"), routes=(route("10.244.1.0/24", "eth0"),)),
        known(vxlans={"flannel.7": 8472}),
    ],
    ids=["WireGuard and IPIP", "host-gw and DirectRouting", "while nobody tells of the nodes", "another VNI"],
)
def test_what_flannel_makes_by_a_backend_of_somebodys_choice_is_its_own(facts: Facts) -> None:
    """kubefab keeps the backend that is in net-conf.json; a run stopped at its routes from then on, and an upgrade."""
    assert complaints(facts) == {}


@pytest.mark.parametrize(
    "facts",
    [
        known(flannel=True, cluster=ClusterFacts(nodes=NODES)),
        known(cluster=ClusterFacts(nodes=NODES)),
        known(cluster=ClusterFacts(silent="no answer")),
        known(flannel=True),
    ],
    ids=["no node's", "no flannel here", "neither known", "no cluster"],
)
def test_others_routes_are_told_beside_flannels(facts: Facts) -> None:
    others = with_(facts, routes=(route("10.244.9.0/24", "tun0"),))
    assert complaints(others) == {WITHIN: "10.244.9.0/24 by tun0 is within pod_subnet 10.244.0.0/16"}
