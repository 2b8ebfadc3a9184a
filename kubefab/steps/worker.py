"""A worker's way into the cluster."""

from base64 import b64encode

from kubefab import kubeadm, runtimes
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts
from kubefab.host import Host
from kubefab.step import MISSING, NO_CLUSTER, Gap, Step, on_cluster, script, service

DISCOVERY = "/run/kubefab/discovery.conf"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    if host.wanted.role != "worker":
        return []
    name = host.name
    tear_down = script("tear-down.sh", runtimes.cri_socket(cluster.inventory))

    def delete_node(_: Host) -> None:
        cluster.master.during(f"{name} is no other machine's Node").ask("kubectl.sh", "delete", "node", name)

    def forget_token(host: Host) -> None:
        host.change("forget-token.sh")
        cluster.master.during(f"{name} has joined").ask("delete-tokens.sh", name)

    return [
        own_name(host),
        Step("its name is no other machine's Node", stale_node(name), delete_node, touches="cluster", parts=("node",)),
        Step(
            "no join is left broken off",
            broken_off(name),
            tear_down,
            touches="cluster",
        ),
        Step(
            "it is a node",
            no_node(name),
            lambda host: join(cluster, host),
            hint=f"see what its kubelet says: journalctl -u kubelet, on {name}",
            within=30,
            touches="cluster",
        ),
        Step("no token of its join is left", token_left, forget_token, parts=("node",)),
        service("kubelet"),
    ]


def invited(cluster: Cluster, host: Host) -> list[Step]:
    """What has to be there before one machine alone can be added."""
    role = host.wanted.role
    return [
        Step(
            "it is a worker in hosts.yml",
            lambda _: None if role == "worker" else f"it is a {role}",
            None,
            _UP,
        ),
        Step("there is a cluster to join", no_cluster, None, _UP),
    ]


@on_cluster
def no_cluster(_: ClusterFacts, __: Facts) -> str | None:
    return None


def own_name(host: Host) -> Step:
    return Step("its name is nobody else's", name_taken(host), None, "give the new machine another name in hosts.yml")


def name_taken(host: Host) -> Gap:
    """A machine at another address is there, and well, under this name."""

    name, address = host.name, str(host.wanted.address)

    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        node = live.nodes.get(name)
        if not node or not node.ready or node.machine_id == facts.system.machine_id:
            return None
        return f"the node {name} is at {node.address}, and Ready" if node.address != address else None

    return _where_there_is_one(gap)


def stale_node(name: str) -> Gap:
    """The Node of a machine that was installed anew, or whose kubelet.conf was taken away."""

    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        if not (node := live.nodes.get(name)):
            return None
        if node.machine_id != facts.system.machine_id:
            return f"it is still that of machine {node.machine_id}"
        return None if facts.local.kubelet_ca else "it is, but this machine has no kubelet.conf any more"

    return _where_there_is_one(gap)


def broken_off(name: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        if facts.node or not (facts.local.kubelet_ca or join_left(facts)):
            return None
        return "there is a kubelet.conf, and no Node" if facts.local.kubelet_ca else "a join did not finish"

    return _where_there_is_one(gap)


def no_node(name: str) -> Gap:
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        return None if facts.node and facts.local.kubelet_ca else MISSING

    return gap


def token_left(facts: Facts) -> str | None:
    """kubeadm cleans up after a join, unless it was killed and the kubelet finished alone."""
    return "what a broken-off join left" if join_left(facts) else None


def join_left(facts: Facts) -> bool:
    return facts.local.token_left or facts.local.pki_left


def join(cluster: Cluster, host: Host) -> None:
    """Joins with a token of its own, and with the CA carried over SSH: no wait for a signed cluster-info.

    kubeadm's discovery by token alone polls every 5 s for a signature that is there some 6 s after init.
    """
    master = cluster.master.during(f"{host.name} may join")
    token, ca = master.ask("mint-token.sh", host.name, secret=True).split()
    live = cluster.facts(host).cluster
    assert live
    discovery = b64encode(kubeadm.discovery(live.endpoint, ca).encode()).decode()
    document = kubeadm.join_documents(cluster.inventory, host.wanted, token, DISCOVERY)
    try:
        host.change("join.sh", DISCOVERY, cluster.release.checks[1], payload=f"{discovery}\n{document}")
    finally:
        master.ask("delete-tokens.sh", host.name)


def _where_there_is_one(gap: Gap) -> Gap:
    """Nothing can be in the way of a cluster that is not there yet."""
    return lambda facts: None if (found := gap(facts)) == NO_CLUSTER else found


_UP = "`inv cluster.up` makes the cluster"
