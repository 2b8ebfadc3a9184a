"""How a worker joins the cluster."""

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress

from kubefab import kubeadm, runtimes
from kubefab.cluster import Cluster
from kubefab.errors import HostError, Unheard
from kubefab.facts import ClusterFacts, Facts, clock_time
from kubefab.host import Host
from kubefab.step import MISSING, Gap, Step, complaint, on_cluster, script, service, where_there_is_one
from kubefab.steps import registration, reset

DISCOVERY = "/run/kubefab/discovery.conf"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    if host.wanted.role != "worker":
        return []
    name = host.name
    return [
        own_name(host),
        complaint("no join by other means is in progress", others_join, RESTART.format(name)),
        *reset.unfinished(cluster, host),
        Step("an interrupted join had time to finish", still_joining, script("finish-join.sh"), parts=("node",)),
        no_earlier(name),
        Step(
            "no interrupted join is left",
            broken_off,
            script("tear-down.sh", runtimes.cri_socket(cluster.inventory), "unasked"),
            touches="cluster",
        ),
        *registration.registered(host),
        Step(
            "the host is a node",
            no_node,
            lambda host: join(cluster, host),
            hint=f"see what its kubelet says: journalctl -u kubelet, on {name}",
            within=30,
            touches="cluster",
        ),
        *registration.pod_network(cluster),
        token_gone(cluster, host),
        service("kubelet"),
    ]


def token_gone(cluster: Cluster, host: Host) -> Step:
    def forget(host: Host) -> None:
        delete_tokens(cluster, host.name)
        host.change("forget-token.sh")

    return Step("the join token is gone", token_left, forget, touches="cluster", parts=("node",))


def invited(_: Cluster, __: Host) -> list[Step]:
    """Before a single machine is added there has to be a cluster."""
    return [complaint("a cluster to join exists", no_cluster, _UP)]


@on_cluster
def no_cluster(_: ClusterFacts, __: Facts) -> str | None:
    return None


def own_name(host: Host) -> Step:
    return complaint(
        "no other machine uses this node name", name_taken(host), "give the new machine another name in hosts.yml"
    )


def name_taken(host: Host) -> Gap:
    """The Node of this name is Ready, and is another machine at another address."""

    name, address = host.name, str(host.wanted.address)

    @where_there_is_one
    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        node = live.nodes.get(name)
        if not node or not node.ready or node.machine_id == facts.system.machine_id:
            return None
        return f"the node {name} is at {node.address}, and Ready" if node.address != address else None

    return gap


def others_join(facts: Facts) -> str | None:
    """Somebody may be joining it by hand just now; or this is a copy of the CA, with its keys."""
    marked = facts.local.join_begun or facts.local.master_begun or facts.local.tear_down_begun
    return "/etc/kubernetes/pki/ca.crt, and no kubelet.conf" if facts.local.pki_left and not marked else None


def still_joining(facts: Facts) -> str | None:
    """While the token is there, the kubelet may finish the join by itself."""
    local = facts.local
    return _begun(local.join_begun) if local.join_begun and local.token_left and not local.kubelet_ca else None


@where_there_is_one
@on_cluster
def broken_off(_: ClusterFacts, facts: Facts) -> str | None:
    if not facts.local.join_begun or facts.local.kubelet_ca or (facts.node and facts.node.ready):
        return None
    return _begun(facts.local.join_begun)


def no_earlier(name: str) -> Step:
    title = "no earlier machine is Ready under this name"
    return Step(title, still_ready(name), None, within=120, touches="cluster")


def still_ready(name: str) -> Gap:
    """A machine reinstalled before the cluster notices, within a minute: kubeadm would refuse to join over its Node."""

    @where_there_is_one
    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        node = live.nodes.get(name)
        return "it is, still" if node and node.ready and not facts.local.kubelet_ca else None

    return gap


@on_cluster
def no_node(_: ClusterFacts, facts: Facts) -> str | None:
    return None if facts.node and facts.local.kubelet_ca else MISSING


@on_cluster
def token_left(_: ClusterFacts, facts: Facts) -> str | None:
    """kubeadm cleans up after a join, unless it was killed and the kubelet finished alone."""
    return "left by an interrupted join" if facts.local.token_left or facts.local.join_begun else None


def _begun(since: float) -> str:
    return f"begun at {clock_time(since)} and not finished"


def join(cluster: Cluster, host: Host) -> None:
    admitted(
        cluster,
        host,
        lambda discovery, document: host.change(
            "join.sh",
            DISCOVERY,
            cluster.release.checks[1],
            *kubeadm.given(cluster.inventory),
            payload=f"{base64(discovery)}\n{document}",
        ),
    )
    delete_tokens(cluster, host.name)


def admitted(cluster: Cluster, host: Host, join: Callable[[str, str], object]) -> None:
    """Joins with a token of its own, and with the CA carried over SSH: no wait for a signed cluster-info.

    kubeadm's discovery by token alone polls every 5 s for a signature that is there some 6 s after init.
    `join` is given the discovery kubeconfig and kubeadm's document. The token stays where it succeeds, and where the
    host is heard no more, since the join may go on and need it.
    """
    master = cluster.speaker.during(f"{host.name} may join")
    token, ca = master.ask("mint-token.sh", host.name, secret=True).split()
    live = cluster.facts(host).cluster
    assert live
    document = kubeadm.join_documents(cluster.inventory, host.wanted, token, DISCOVERY)
    try:
        join(kubeadm.discovery(live.endpoint, ca), document)
    except Unheard:
        raise
    except HostError:
        with suppress(HostError):  # why it did not join is what matters; the next run deletes it
            delete_tokens(cluster, host.name)
        raise


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def delete_tokens(cluster: Cluster, name: str) -> None:
    cluster.speaker.during(f"{name} has joined").change("delete-tokens.sh", name, about=f"tokens {name}")


RESTART = "if you can lose it: `inv restart --host {}`"
_UP = "`inv cluster.up` makes the cluster"
