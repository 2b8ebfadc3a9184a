"""What only the user can change: told before any change, all of it at once."""

import re

from packaging.version import Version

from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.kubeadm import DOMAIN
from kubefab.runtimes import cri_socket
from kubefab.step import Gap, Step, when
from kubefab.steps.worker import own_name

KNOWN = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04", "26.04")}
ARCHITECTURES = ("x86_64", "aarch64")
MASTER_CPUS, MASTER_MIB, DISK_MIB = 2, 1700, 2048  # the first two are kubeadm's own limits
SKEW_SECONDS = 30  # beyond it, certificates and tokens are "not yet valid": kubernetes/kubeadm#240
MASTER_PORTS = (6443, 2379, 2380, 10250)  # and those of the release
WORKER_PORTS = (10250,)
# ss shows the kernel's names of processes, cut to 15 letters.
KUBERNETES = ("kubelet", "kube-apiserver", "etcd", "kube-controller", "kube-scheduler")
RESTART = "if it may be lost: `inv restart --host {}`"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    master = host.wanted.role == "master"
    name, wanted = host.name, cluster.inventory.cluster.kubernetes
    return [
        _user("Debian or Ubuntu of a known release", known_release),
        _user("x86-64 or arm64", lambda facts: _not_among(ARCHITECTURES, facts.system.arch)),
        *when(master, *_master_size()),
        _user("disk space", disk_space, "make room below /var/lib"),
        _user("a kernel that Kubernetes knows", old_kernel),
        _user("cgroups that this kubelet takes", cgroups(cluster), _CGROUP_HINT),
        _user("ip and mount are there", lambda facts: ", ".join(facts.system.lacks) or None, "install iproute2, mount"),
        _user("the hostname is a DNS label", bad_hostname, "hostnamectl set-hostname NAME"),
        _unique("hostname", "hostnamectl set-hostname NAME"),
        _unique("machine_id", "rm /etc/machine-id && systemd-machine-id-setup && reboot"),
        _unique("product_uuid", "give the virtual machines UUIDs of their own"),
        _user("the address is its own", elsewhere(str(host.wanted.address)), "correct it in hosts.yml"),
        _user(
            "clocks agree", clock_apart(cluster.master.name), "switch time synchronisation on: timedatectl set-ntp true"
        ),
        _user("the ports are free", taken_ports((*MASTER_PORTS, *cluster.release.ports) if master else WORKER_PORTS)),
        _user("no newer Kubernetes is installed", newer_packages(wanted), _NEWER_HINT.format(wanted)),
        _user("the kubelet is not newer than the master", newer_kubelet, _OLDER_HINT.format(wanted)),
        _as_wanted(cluster),
        _user("the runtime is what hosts.yml says", other_runtime(cluster.inventory), _RUNTIME_HINT),
        *when(not master, own_name(host)),
        _user("its control plane is the master of hosts.yml", exchanged(cluster.inventory), _EXCHANGED),
        _user("nothing is left of another cluster", leftovers(cluster.inventory), RESTART.format(name)),
        _user("no other pod network comes first", other_network, "move it away on the host: mv FILE /root/"),
    ]


def as_wanted(cluster: Cluster, host: Host) -> list[Step]:
    """Told once, for all of the cluster."""
    return [_as_wanted(cluster)] if host.name == cluster.master.name else []


def _as_wanted(cluster: Cluster) -> Step:
    return _user("the cluster is what hosts.yml says", unlike_live(cluster))


def known_release(facts: Facts) -> str | None:
    if facts.system.os_version in KNOWN.get(facts.system.os, ()):
        return None
    allowed = "; ".join(f"{name} {', '.join(versions)}" for name, versions in KNOWN.items())
    return f"{facts.system.os} {facts.system.os_version} (known: {allowed})"


def old_kernel(facts: Facts) -> str | None:
    numbers = re.match(r"(\d+)\.(\d+)", facts.system.kernel)
    new = numbers is not None and (int(numbers[1]), int(numbers[2])) >= (3, 10)
    return None if new else f"{facts.system.kernel} (3.10 or newer)"


def cgroups(cluster: Cluster) -> Gap:
    """cgroup v1 is refused by newer kubelets, unless hosts.yml tells them not to."""
    told = cluster.inventory.cluster.kubeadm.get("KubeletConfiguration", {})
    refused = cluster.release.refuses_cgroup_v1 and told.get("failCgroupV1") is not False
    minor = cluster.release.minor

    def gap(facts: Facts) -> str | None:
        if facts.system.cgroups == "cgroup2fs":
            return None
        if facts.system.cgroups != "tmpfs":
            return f"/sys/fs/cgroup is {facts.system.cgroups or 'not there'}"
        return f"version 1, which Kubernetes {minor} refuses" if refused else None

    return gap


def bad_hostname(facts: Facts) -> str | None:
    label = re.fullmatch(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", facts.system.hostname)
    return None if label else f"{facts.system.hostname!r}: RFC 1123 allows small letters, digits and -"


def disk_space(facts: Facts) -> str | None:
    enough = facts.system.disk_mib >= DISK_MIB or facts.local.kubelet_ca
    return None if enough else f"{facts.system.disk_mib} MiB ({DISK_MIB} or more)"


def elsewhere(address: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        return (
            None if address in facts.system.addresses else f"{address} is none of {', '.join(facts.system.addresses)}"
        )

    return gap


def clock_apart(master: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        apart = facts.system.skew - facts.everyone.get(master, facts).system.skew
        if abs(apart) <= SKEW_SECONDS:
            return None
        return f"{abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} {master}"

    return gap


def taken_ports(wanted: tuple[int, ...]) -> Gap:
    def gap(facts: Facts) -> str | None:
        taken = [port for port in wanted if facts.local.ports.get(port, "kubelet") not in KUBERNETES]
        return ", ".join(f"{port} is held by {facts.local.ports[port] or '?'}" for port in taken) or None

    return gap


def newer_packages(wanted: str) -> Gap:
    """apt does not go back by itself, and a kubelet newer than its master is not to be had."""

    def gap(facts: Facts) -> str | None:
        newer = [
            f"{name} {package.version}"
            for name in ("kubelet", "kubeadm", "kubectl")
            if (package := facts.packages.debs.get(name)) and package.installed
            if upstream(package.version) > Version(wanted)
        ]
        return f"{', '.join(newer)}; hosts.yml says {wanted}" if newer else None

    return gap


def upstream(version: str) -> Version:
    """The upstream part of a Debian version: 1:1.37.2~rc1-1.1 is 1.37.2."""
    numbers = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return Version(numbers[1] if numbers else "0")


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


def _user(title: str, gap: Gap, hint: str = "") -> Step:
    return Step(title, gap, close=None, hint=hint)


def _master_size() -> tuple[Step, ...]:
    def cpus(facts: Facts) -> str | None:
        return (
            None if facts.system.cpus >= MASTER_CPUS else f"{facts.system.cpus} CPU ({MASTER_CPUS} or more on a master)"
        )

    def memory(facts: Facts) -> str | None:
        enough = facts.system.memory_mib >= MASTER_MIB
        return None if enough else f"{facts.system.memory_mib} MiB ({MASTER_MIB} or more on a master)"

    return _user("enough CPUs", cpus), _user("enough memory", memory)


def _unique(what: str, hint: str) -> Step:
    return _user(f"the {what.replace('_', '-')} is its own", lambda facts: same_elsewhere(facts, what), hint)


def same_elsewhere(facts: Facts, what: str) -> str | None:
    """Cloned machines: the second silently takes the first one's place (kubernetes/kubeadm#1130)."""
    value = getattr(facts.system, what)
    others = [name for name, other in facts.others.items() if getattr(other.system, what) == value]
    return f"{value} is also that of {', '.join(others)}" if value and others else None


def _not_among(allowed: tuple[str, ...], found: str) -> str | None:
    return None if found in allowed else f"{found} (known: {', '.join(allowed)})"


_EXCHANGED = (
    "are addresses or roles exchanged in hosts.yml? Only if not, and if that cluster may be lost: "
    "`inv restart --host NAME`"
)
_ANOTHER = "another one wants `inv cluster.reset`"
_OLDER_HINT = (
    "a kubelet may not be newer than its master; on the host: apt-get install --allow-downgrades "
    "--allow-change-held-packages kubelet={0}-* kubeadm={0}-* kubectl={0}-*"
)
# The repository that is on the host is that of the newer minor: what is no node yet can begin anew.
_NEWER_HINT = (
    "where it is no node yet, on the host: apt-get remove --allow-change-held-packages kubelet kubeadm kubectl, "
    f"then the same command again; where it is one, {_OLDER_HINT}"
)
_RUNTIME_HINT = "put the former `runtime:` back; or, for another one: `inv cluster.reset`, then `inv cluster.up`"
_CGROUP_HINT = (
    "boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false under KubeletConfiguration and "
    "ignorePreflightErrors: [SystemVerification] under InitConfiguration and JoinConfiguration in hosts.yml"
)
