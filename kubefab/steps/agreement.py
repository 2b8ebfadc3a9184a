"""What only the user can change where a machine, the other hosts, the live cluster and hosts.yml do not agree."""

from packaging.version import Version

from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts, clock_time
from kubefab.facts.api import FORBIDDEN
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.kubeadm import DOMAIN, MANIFESTS
from kubefab.runtimes import by_docker, cri_socket
from kubefab.step import Gap, Step, complaint, notice, when
from kubefab.steps import docker, endpoint
from kubefab.steps.health import has_kube_proxy
from kubefab.steps.machine import older_hint
from kubefab.steps.versions import TASK, behind, proxy, upstream
from kubefab.steps.worker import own_name

# Seconds that clocks may be apart before it is told, and before nothing is begun: certificates and tokens are "not yet
# valid" then, kubernetes/kubeadm#240.
TELL, STOP = 2, 15
NEW_ID = "on the newer one: rm -f /etc/machine-id /var/lib/dbus/machine-id && systemd-machine-id-setup && reboot"
CONTAINERD_ROOT = "/var/lib/containerd"
RESTART = "if you can lose it: `inv restart --host {}`"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    wanted = cluster.inventory.cluster.kubernetes
    return [
        restored(),
        _unique("hostname", "hostnamectl set-hostname NAME"),
        _unique("machine_id", NEW_ID),
        complaint("no other Node has this machine-id", cloned, NEW_ID),
        complaint("clocks agree", clock_apart(cluster.speaker.name, STOP), _CLOCKS),
        notice(f"clocks agree to {TELL} s", clock_apart(cluster.speaker.name, TELL), _CLOCKS),
        complaint("the kubelet is not newer than the master", newer_kubelet, older_hint(cluster.inventory)),
        complaint("the cluster is not newer than hosts.yml", newer_cluster(wanted), _NO_WAY_BACK),
        as_wanted(cluster),
        *when(
            host.wanted.role == "master",
            complaint("sshd allows forwarding to the API server", forbidden, _FORBIDDEN),
        ),
        complaint(
            "the cluster has a pod subnet", no_pod_subnet, _NO_POD_SUBNET.format(cluster.inventory.cluster.pod_subnet)
        ),
        *when(host.name == cluster.speaker.name, has_kube_proxy(cluster)),
        complaint("the runtime is what hosts.yml says", other_runtime(cluster.inventory), _RUNTIME_HINT),
        *when(
            not by_docker(cluster.inventory),
            complaint("containerd keeps its place", stores_elsewhere, _ROOT_HINT),
        ),
        *when(
            by_docker(cluster.inventory),
            complaint("Docker's configuration agrees with Kubernetes", docker.contradicts, docker.HINT),
        ),
        own_name(host),
        complaint("the host has the role of hosts.yml", other_role(host.wanted.role), _ROLE.format(host.name)),
        *when(
            host.name == cluster.speaker.name,
            complaint(
                "hosts.yml gives no other host another role", other_roles(cluster.inventory), _ROLE.format("NAME")
            ),
        ),
        *when(endpoint.has_haproxy(cluster.inventory, host.wanted), endpoint.port_is_free(cluster.inventory)),
        complaint("the host's cluster is the one in hosts.yml", exchanged(cluster.inventory), _EXCHANGED),
        complaint("nothing is left of another cluster", leftovers(cluster.inventory), RESTART.format(host.name)),
    ]


def as_wanted(cluster: Cluster) -> Step:
    return complaint("the cluster is what hosts.yml says", unlike_live(cluster))


def upgraded(cluster: Cluster) -> Step:
    """Of every host: what an upgrade has not begun, or not ended."""
    return complaint(
        "the node has the version in hosts.yml", older_node(cluster.inventory.cluster.kubernetes), _UPGRADE
    )


def restored() -> Step:
    """Of every host: until a restore is done, nobody else may start or change what it has put aside."""
    return complaint("no restore of etcd is under way", restoring, _RESTORE)


def restoring(facts: Facts) -> str | None:
    begun = {name: one.local.restore_begun for name, one in facts.everyone.items() if "node" in one.parts}
    first = min((moment, name) for name, moment in begun.items() if moment) if any(begun.values()) else None
    return f"one was begun on {first[1]} at {clock_time(first[0])}" if first else None


def _unique(what: str, hint: str) -> Step:
    return complaint(
        f"no other host has this {what.replace('_', '-')}", lambda facts: same_elsewhere(facts, what), hint
    )


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


def clock_apart(master: str, allowed: float) -> Gap:
    """From the master's; and before there is a cluster from this computer's: its certificates begin now.

    Told is what is certain: a look of some seconds may have read a clock at any moment of them.
    """

    def gap(facts: Facts) -> str | None:
        ours, theirs = facts.system, facts.everyone.get(master, facts).system
        compared = [(ours.skew - theirs.skew, ours.asked_within + theirs.asked_within, master)]
        if not facts.cluster:
            compared.append((ours.skew, ours.asked_within, "this computer"))
        for apart, doubt, whose in compared:
            if (least := abs(apart) - doubt) > allowed:
                return f"at least {int(least)} s {'ahead of' if apart > 0 else 'behind'} {whose}"
        return None

    return gap


def newer_kubelet(facts: Facts) -> str | None:
    if not (facts.cluster and facts.cluster.version and facts.node and facts.node.version):
        return None
    if upstream(facts.node.version) <= upstream(facts.cluster.version):
        return None
    return f"kubelet {facts.node.version}, master {facts.cluster.version}"


def newer_cluster(wanted: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        live = facts.cluster
        newer = live and not facts.unfinished and upstream(live.version) > Version(wanted)
        return f"it is of {live.version}, and hosts.yml says {wanted}" if live and newer else None

    return gap


def older_node(wanted: str) -> Gap:
    """No node is upgraded in place, with its pods on it; and until all are done, nobody joins.

    His kubelet would be newer than some API server.
    """

    def gap(facts: Facts) -> str | None:
        live = facts.cluster
        if not live or facts.unfinished:
            return None
        found = _half_done(live, facts, wanted) if facts.trusted else _older_masters(live, wanted)
        return f"{', '.join(found)}; hosts.yml says {wanted}" if found else None

    return gap


def _half_done(live: ClusterFacts, facts: Facts, wanted: str) -> list[str]:
    """What an upgrade has still to do here; of what is about all of the cluster its speaker tells."""
    by = facts.node.cordoned_by if facts.node else ""
    older = live.speaker == facts.name and Version("0") < proxy(live) < Version(wanted)
    return [
        *behind(facts, wanted),
        *when(older, f"kube-proxy {proxy(live)}"),
        *when(by.startswith(TASK), f"cordoned by {by}"),
    ]


def _older_masters(live: ClusterFacts, wanted: str) -> list[str]:
    if Version("0") < upstream(live.version) < Version(wanted):
        return [f"the cluster is of {live.version}"]
    masters = [node for node in live.nodes.values() if node.is_master]
    return [
        f"{node.name} is still of {node.version}"
        for node in masters
        if Version("0") < upstream(node.version) < Version(wanted)
    ]


def no_pod_subnet(facts: Facts) -> str | None:
    """A cluster that was made by hand without one gives its nodes no networks, and flannel would never come up."""
    live = facts.cluster
    without = live and live.version and not live.pod_subnet and not facts.unfinished
    return "the controller manager has no --cluster-cidr" if without else None


def forbidden(facts: Facts) -> str | None:
    """Its health is asked through a tunnel: known before there is an API server, and in vain afterwards."""
    return FORBIDDEN if facts.api.readyz == FORBIDDEN else None


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
                ("pod subnet", "pod_subnet", live.pod_subnet, str(wanted.pod_subnet), _ANOTHER),
                ("service subnet", "service_subnet", live.service_subnet, str(wanted.service_subnet), _ANOTHER),
                ("cluster's name", "name", _our_name(live.endpoint), wanted.name, _ANOTHER),
            )
            if is_ and is_ != should
        ]
        return "; ".join((*different, *when(moved := _moved(live.endpoint, wanted.endpoint), moved))) or None

    return gap


def _moved(live: str, wanted: str | None) -> str:
    """An endpoint is in every kubeconfig of the cluster, and kubeadm changes none of them."""
    now = live.removeprefix("https://")
    if not wanted or now in ("", wanted):
        return ""
    cure = f"put `endpoint: {now}` back" if not _our_name(live) else "take that line out"
    return f"the endpoint is {now} there and {wanted} in hosts.yml: {cure} (kubeadm cannot move it: kubeadm#338)"


def other_runtime(inventory: Inventory) -> Gap:
    """A node's pods do not move from one runtime to another."""
    wanted = plain(cri_socket(inventory))

    def gap(facts: Facts) -> str | None:
        found = plain(facts.local.cri_socket)
        other = facts.local.kubelet_ca and found not in ("", wanted)
        return f"this node's kubelet uses {found}, not {wanted}" if other else None

    return gap


def stores_elsewhere(facts: Facts) -> str | None:
    """Its file is written anew: what is there, a node's own pods too, would be out of its sight."""
    root = facts.runtime.containerd_root
    return f'/etc/containerd/config.toml says root = "{root}"' if root not in ("", CONTAINERD_ROOT) else None


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
    masters = {host.name for host in inventory.masters}

    def gap(facts: Facts) -> str | None:
        if not masters <= set(facts.everyone):
            return None  # whose node it is cannot be told
        live = facts.cluster
        if exchanged(inventory)(facts):
            return None  # what is there is a cluster that runs
        if facts.local.master_begun or (facts.name in masters and facts.local.init_begun):
            return None  # what was broken off is taken up again
        if facts.name in masters and facts.local.admin_ca:
            return other_cluster(facts)
        if facts.local.kubelet_ca and (live is None or facts.local.kubelet_ca != live.ca):
            other = f"not of this one ({live.ca})" if live else "and there is none here"
            return f"a node of the cluster with the CA {facts.local.kubelet_ca}, {other}"
        return _control_plane_parts(facts)

    return gap


def other_cluster(facts: Facts) -> str | None:
    """Two masters of hosts.yml that have founded a cluster each."""
    live, ca = facts.cluster, facts.local.admin_ca
    if not live or not live.ca or ca == live.ca:
        return None
    return f"a control plane of the cluster with the CA {ca}; {live.speaker} has one with {live.ca}"


def other_role(role: str) -> Gap:
    """By another word in hosts.yml a worker becomes no master; nor a master a worker: its member of etcd would stay."""

    def gap(facts: Facts) -> str | None:
        if not facts.trusted or facts.unfinished or facts.local.master_begun:
            return None
        parts = facts.local.admin_ca or set(facts.local.manifests) & set(MANIFESTS)
        if role == "worker" and parts:
            return "it is a master of this cluster, and hosts.yml calls it a worker"
        if role == "master" and not parts:
            return "it is a worker of this cluster, and hosts.yml calls it a master"
        return None

    return gap


def other_roles(inventory: Inventory) -> Gap:
    """Of the master that speaks, whose complaint ends a run for all: workers' haproxy would lose the masters meant."""

    def gap(facts: Facts) -> str | None:
        roles = {host.name: host.role for host in inventory.hosts}
        them = [one for one in facts.others.values() if "node" in one.parts]
        told = [(one.name, other_role(roles[one.name])(one)) for one in them]
        return "; ".join(f"{name}: {what}" for name, what in told if what) or None

    return gap


def _control_plane_parts(facts: Facts) -> str | None:
    """Static pods of the user's own are none of it."""
    parts = [f"/etc/kubernetes/manifests/{one}" for one in facts.local.manifests if one in MANIFESTS]
    parts += ["data of etcd"] if facts.local.etcd_data else []
    return ", ".join(parts) or None


def _our_name(live: str) -> str:
    """The cluster's name where its endpoint is one of ours; one that was made by hand keeps its own."""
    name = live.removeprefix("https://").rpartition(":")[0]
    return name.removesuffix(DOMAIN) if name.endswith(DOMAIN) else ""


_NO_WAY_BACK = "Kubernetes does not go back: put the version that it has into hosts.yml"
_UPGRADE = "inv cluster.upgrade; or, to stay with what there is: put the former `kubernetes:` back"
_FORBIDDEN = (
    "in the host's sshd_config, at least for the user in hosts.yml: AllowTcpForwarding yes (or local), PermitOpen "
    "localhost:6443; then: systemctl reload ssh"
)
_NO_POD_SUBNET = (
    "on the master: kubectl -n kube-system edit configmap kubeadm-config (networking: podSubnet: {0}), and in "
    "/etc/kubernetes/manifests/kube-controller-manager.yaml: --allocate-node-cidrs=true --cluster-cidr={0}; "
    "or, if you can lose it: `inv cluster.reset`"
)
_CLOCKS = "have its clock set by others: timedatectl set-ntp true, or where that knows no NTP: apt-get install chrony"
_EXCHANGED = (
    "are addresses or roles swapped in hosts.yml? If not, and you can lose that cluster: `inv restart --host NAME`"
)
_ROLE = "to give it the other role: `inv node.remove --host {0}`, then `inv cluster.up`; else put its former role back"
_RESTORE = (
    "let it go on: inv etcd.restore --from the same snapshot, which is needed until it is done; or, as long as no etcd "
    "has it: inv etcd.give-up-restore"
)
_ANOTHER = "another one needs `inv cluster.reset` first"
_ROOT_HINT = (
    "kubefab writes that file anew; move the line into one that is read too, /etc/containerd/conf.d/root.toml, after a "
    "line `version = 2`"
)
_RUNTIME_HINT = "put the former `runtime:` back; or, for another one: `inv cluster.reset`, then `inv cluster.up`"
