"""What only the user can change where a machine, the other hosts, the live cluster and hosts.yml do not agree."""

from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.kubeadm import DOMAIN
from kubefab.runtimes import cri_socket
from kubefab.step import Gap, Step, complaint, when
from kubefab.steps.machine import OLDER_HINT, upstream
from kubefab.steps.worker import own_name

SKEW_SECONDS = 30  # beyond it, certificates and tokens are "not yet valid": kubernetes/kubeadm#240
NEW_ID = "on the one that is newer: rm /etc/machine-id && systemd-machine-id-setup && reboot"
RESTART = "if it may be lost: `inv restart --host {}`"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    wanted = cluster.inventory.cluster.kubernetes
    return [
        _unique("hostname", "hostnamectl set-hostname NAME"),
        _unique("machine_id", NEW_ID),
        complaint("no other Node has its machine-id", cloned, NEW_ID),
        _unique("product_uuid", "give the virtual machines UUIDs of their own"),
        complaint(
            "clocks agree", clock_apart(cluster.master.name), "switch time synchronisation on: timedatectl set-ntp true"
        ),
        complaint("the kubelet is not newer than the master", newer_kubelet, OLDER_HINT.format(wanted)),
        as_wanted(cluster),
        complaint("the runtime is what hosts.yml says", other_runtime(cluster.inventory), _RUNTIME_HINT),
        *when(host.wanted.role != "master", own_name(host)),
        complaint("its control plane is the master of hosts.yml", exchanged(cluster.inventory), _EXCHANGED),
        complaint("nothing is left of another cluster", leftovers(cluster.inventory), RESTART.format(host.name)),
        complaint("no other pod network comes first", other_network, "move it away on the host: mv FILE /root/"),
    ]


def as_wanted(cluster: Cluster) -> Step:
    return complaint("the cluster is what hosts.yml says", unlike_live(cluster))


def _unique(what: str, hint: str) -> Step:
    return complaint(f"the {what.replace('_', '-')} is its own", lambda facts: same_elsewhere(facts, what), hint)


def same_elsewhere(facts: Facts, what: str) -> str | None:
    """Cloned machines: the second silently takes the first one's place (kubernetes/kubeadm#1130)."""
    value = getattr(facts.system, what)
    others = [name for name, other in facts.others.items() if getattr(other.system, what) == value]
    return f"{value} is also that of {', '.join(others)}" if value and others else None


def cloned(facts: Facts) -> str | None:
    """The machine that it was made of is a Node, though nobody has looked at it."""
    nodes, mine = facts.cluster.nodes.values() if facts.cluster else (), facts.system.machine_id
    known = [one.node for one in facts.everyone.values()]  # each by its own word, see same_elsewhere
    others = [node for node in nodes if mine and node.machine_id == mine and node not in known]
    return "; ".join(f"{mine} is also that of {node.name}, at {node.address}" for node in others) or None


def clock_apart(master: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        apart = facts.system.skew - facts.everyone.get(master, facts).system.skew
        if abs(apart) <= SKEW_SECONDS:
            return None
        return f"{abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} {master}"

    return gap


def newer_kubelet(facts: Facts) -> str | None:
    if not (facts.cluster and facts.cluster.version and facts.node and facts.node.version):
        return None
    if upstream(facts.node.version) <= upstream(facts.cluster.version):
        return None
    return f"kubelet {facts.node.version}, master {facts.cluster.version}"


def unlike_live(cluster: Cluster) -> Gap:
    """A live cluster's settings win: what hosts.yml says otherwise is named, never half applied."""
    wanted = cluster.inventory.cluster

    def gap(facts: Facts) -> str | None:
        live = facts.cluster
        if live is None or facts.unfinished:
            return None
        different = [
            f"the {what} is {is_} there and {should} in hosts.yml: put `{key}: {is_}` back ({otherwise})"
            for what, key, is_, should, otherwise in (
                ("version", "kubernetes", live.version, wanted.kubernetes, "an upgrade is not yet a task"),
                ("pod subnet", "pod_subnet", live.pod_subnet, str(wanted.pod_subnet), _ANOTHER),
                ("service subnet", "service_subnet", live.service_subnet, str(wanted.service_subnet), _ANOTHER),
                ("cluster's name", "name", _our_name(live.endpoint), wanted.name, _ANOTHER),
            )
            if is_ and is_ != should
        ]
        return "; ".join(different) or None

    return gap


def other_runtime(inventory: Inventory) -> Gap:
    """A node's pods do not move from one runtime to another."""
    wanted = plain(cri_socket(inventory))

    def gap(facts: Facts) -> str | None:
        found = plain(facts.local.cri_socket)
        other = facts.local.kubelet_ca and found not in ("", wanted)
        return f"this node's kubelet uses {found}, not {wanted}" if other else None

    return gap


def plain(socket: str) -> str:
    """A socket's path, however it was written."""
    return socket.removeprefix("unix://").replace("/var/run/", "/run/")


def exchanged(inventory: Inventory) -> Gap:
    """Another host of hosts.yml is the master of this node's cluster: whoever wiped it would lose it."""

    def gap(facts: Facts) -> str | None:
        return next(
            (
                f"it is {name} ({inventory.host(name).address})"
                for name, other in facts.everyone.items()
                if not facts.cluster and facts.local.kubelet_ca and facts.local.kubelet_ca == other.local.admin_ca
            ),
            None,
        )

    return gap


def leftovers(inventory: Inventory) -> Gap:
    """Of a node of another cluster, of a control plane without its admin.conf."""
    master = inventory.master.name

    def gap(facts: Facts) -> str | None:
        if master not in facts.everyone:
            return None  # whose node it is cannot be told
        live = facts.cluster
        if exchanged(inventory)(facts):
            return None  # what is there is a cluster that runs
        if facts.name == master and (facts.local.init_begun or facts.local.admin_ca):
            return None  # what was broken off is taken up again, and a control plane is its own
        if facts.local.kubelet_ca and (live is None or facts.local.kubelet_ca != live.ca):
            other = f"not of this one ({live.ca})" if live else "and there is none here"
            return f"a node of the cluster with the CA {facts.local.kubelet_ca}, {other}"
        return _control_plane_parts(facts)

    return gap


def _control_plane_parts(facts: Facts) -> str | None:
    parts = [f"/etc/kubernetes/manifests/{one}" for one in facts.local.manifests]
    parts += ["/var/lib/etcd"] if facts.local.etcd_data else []
    return ", ".join(parts) or None


def other_network(facts: Facts) -> str | None:
    """What sorts before flannel's file would win over it: flannel-io/flannel#888. Other names nobody reads."""
    read = [one for one in facts.local.cni if one.endswith((".conf", ".conflist", ".json"))]
    before = [f"/etc/cni/net.d/{one}" for one in read if one < "10-flannel.conflist"]
    return ", ".join(before) or None


def _our_name(live: str) -> str:
    """The cluster's name where its endpoint is one of ours; one that was made by hand keeps its own."""
    name = live.removeprefix("https://").rpartition(":")[0]
    return name.removesuffix(DOMAIN) if name.endswith(DOMAIN) else ""


_EXCHANGED = (
    "are addresses or roles exchanged in hosts.yml? Only if not, and if that cluster may be lost: "
    "`inv restart --host NAME`"
)
_ANOTHER = "another one wants `inv cluster.reset`"
_RUNTIME_HINT = "put the former `runtime:` back; or, for another one: `inv cluster.reset`, then `inv cluster.up`"
