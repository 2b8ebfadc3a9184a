"""What only the user can change on one machine, whatever the others are like."""

import re

from packaging.version import Version

from kubefab import mirrors
from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.render import KEYRING, SOURCES, SYSCTL, apt
from kubefab.step import Gap, Step, complaint, when
from kubefab.steps.versions import upstream

KNOWN = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04", "26.04")}
ARCHITECTURES = ("x86_64", "aarch64")
MASTER_CPUS, MASTER_MIB, DISK_MIB = 2, 1700, 2048  # the first two are kubeadm's own limits
DISK_SHARE = 15  # percent free; below it the kubelet evicts (imagefs.available), and lets no pod in
MASTER_PORTS = (6443, 2379, 2380, 10250)  # and those of the release
WORKER_PORTS = (10250,)
# ss shows the kernel's names of processes, cut to 15 letters.
KUBELET, CONTROL_PLANE = "kubelet", ("kube-apiserver", "etcd", "kube-controller", "kube-scheduler")
NO_ID = "/etc/machine-id is empty or not there"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    master = host.wanted.role == "master"
    wanted = cluster.inventory.cluster.kubernetes
    ports = (*MASTER_PORTS, *cluster.release.ports) if master else WORKER_PORTS
    return [
        complaint("the system is a known Debian or Ubuntu", known_release),
        complaint("the processor is x86-64 or arm64", lambda facts: _not_among(ARCHITECTURES, facts.system.arch)),
        *when(master, *_master_size()),
        complaint("disk space is sufficient", disk_space(cluster.inventory), "make room below /var/lib"),
        complaint("the kernel is new enough", old_kernel),
        complaint("the kubelet accepts the cgroup version", cgroups(cluster), _CGROUP_HINT),
        complaint("ip, mount and pgrep are installed", lacking, "apt-get install iproute2 mount procps"),
        *when(not cluster.inventory.bundle, complaint(_ONE_SOURCE, named_twice(cluster.inventory), _TWICE)),
        complaint("no other kubeadm, kubelet or ctr comes first in PATH", shadowed, _AWAY),
        complaint("no later sysctl file overrides the kernel settings", undone_at_boot, "take the line out of it"),
        complaint("the host has a machine-id", lambda facts: None if facts.system.machine_id else NO_ID, _ID_HINT),
        complaint(
            "the host has the address of hosts.yml", elsewhere(str(host.wanted.address)), "correct it in hosts.yml"
        ),
        complaint("the ports are free", taken_ports(ports), _PORTS_HINT),
        complaint(
            "no newer Kubernetes is installed", newer_packages(wanted), _NEWER_HINT + older_hint(cluster.inventory)
        ),
    ]


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
    told = cluster.inventory.told("KubeletConfiguration.failCgroupV1")
    refused = cluster.release.refuses_cgroup_v1 and told is not False
    minor = cluster.release.minor

    def gap(facts: Facts) -> str | None:
        if facts.system.cgroups == "cgroup2fs":
            return None
        if facts.system.cgroups != "tmpfs":
            return f"/sys/fs/cgroup is {facts.system.cgroups or 'not there'}"
        return f"version 1, which Kubernetes {minor} refuses" if refused else None

    return gap


def lacking(facts: Facts) -> str | None:
    return ", ".join(facts.system.lacks) or None


def named_twice(inventory: Inventory) -> Gap:
    """With another keyring than ours apt reads neither: "Conflicting values set for option Signed-By"."""
    url = mirrors.repository(inventory)[0].url.rstrip("/")

    def gap(facts: Facts) -> str | None:
        others = [
            f"{source.file} names {source.uri}, believed by {source.keyring}"
            for source in facts.packages.apt_sources
            if source.uri.rstrip("/") == url and source.file != SOURCES and source.keyring != KEYRING
        ]
        return ", ".join(others) or None

    return gap


def shadowed(facts: Facts) -> str | None:
    """Of k3s, say, or of an older installer: whatever calls them by name would get those."""
    paths = facts.system.shadowing
    return ", ".join(f"{path} is in the way of /usr/bin/{path.rpartition('/')[2]}" for path in paths) or None


def undone_at_boot(facts: Facts) -> str | None:
    """A file of sysctl.d that sorts behind ours, and says otherwise."""
    return ", ".join(line for line in facts.system.sysctl_later if _undoes(line.partition(" ")[2])) or None


def _undoes(setting: str) -> bool:
    key, _, value = setting.partition("=")
    name = key.replace("/", ".").replace("ipv4.conf.all.forwarding", "ipv4.ip_forward")
    return value != SYSCTL.get(name, value)


def disk_space(inventory: Inventory) -> Gap:
    """Below its share of the disk a kubelet evicts what runs, unless hosts.yml tells it otherwise."""
    share = 0 if inventory.told("KubeletConfiguration.evictionHard") else DISK_SHARE

    def gap(facts: Facts) -> str | None:
        free, total = facts.system.disk_mib, facts.system.disk_total_mib
        if facts.local.kubelet_ca:
            return None  # a node's kubelet tells of it
        if free < DISK_MIB:
            return f"{free} MiB ({DISK_MIB} or more)"
        scarce = free * 100 < total * share
        return f"{free} of {total} MiB ({share} % or more: else the kubelet evicts)" if scarce else None

    return gap


def elsewhere(address: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        found, untold = facts.system.addresses, facts.system.addresses_untold
        other = f"not known: {untold}" if untold else f"{address} is none of {', '.join(found)}"
        return None if address in found and not untold else other

    return gap


def taken_ports(wanted: tuple[int, ...]) -> Gap:
    def gap(facts: Facts) -> str | None:
        ours = (KUBELET, *when(_may_have_control_plane(facts), *CONTROL_PLANE))
        taken = [port for port in wanted if facts.network.ports.get(port, KUBELET) not in ours]
        return ", ".join(f"{port} is held by {facts.network.ports[port] or '?'}" for port in taken) or None

    return gap


def _may_have_control_plane(facts: Facts) -> bool:
    """Elsewhere an etcd is somebody's own."""
    local = facts.local
    return bool(local.admin_ca or local.kubelet_ca or local.half_made or local.tear_down_begun)


def newer_packages(wanted: str) -> Gap:
    """apt does not go back by itself, and a kubelet newer than its master is not to be had."""

    def gap(facts: Facts) -> str | None:
        newer = [
            f"{name} {package.version}"
            for name in ("kubelet", "kubeadm", "kubectl")
            if (package := facts.packages.deb(name)).installed
            if upstream(package.version) > Version(wanted)
        ]
        return f"{', '.join(newer)}; hosts.yml says {wanted}" if newer else None

    return gap


def older_hint(inventory: Inventory) -> str:
    """The repository on the host may be another minor's, as after an upgrade that somebody has given up."""
    version, source = inventory.cluster.kubernetes, apt(inventory)[SOURCES].splitlines()[-1]
    listed = "" if inventory.bundle else f"echo '{source}' >{SOURCES}; apt-get update; "
    return f"a kubelet may not be newer than its master; on the host: {listed}{_OLDER.format(version)}"


def _master_size() -> tuple[Step, ...]:
    def cpus(facts: Facts) -> str | None:
        return (
            None if facts.system.cpus >= MASTER_CPUS else f"{facts.system.cpus} CPU ({MASTER_CPUS} or more on a master)"
        )

    def memory(facts: Facts) -> str | None:
        enough = facts.system.memory_mib >= MASTER_MIB
        return None if enough else f"{facts.system.memory_mib} MiB ({MASTER_MIB} or more on a master)"

    return complaint("there are enough CPUs", cpus), complaint("there is enough memory", memory)


def _not_among(allowed: tuple[str, ...], found: str) -> str | None:
    return None if found in allowed else f"{found} (known: {', '.join(allowed)})"


_OLDER = "apt-get install --allow-downgrades --allow-change-held-packages kubelet={0}-* kubeadm={0}-* kubectl={0}-*"
_NEWER_HINT = (
    "if the host is not a node yet, run there: apt-get remove --allow-change-held-packages kubelet kubeadm kubectl, "
    "then the same command again; if it is one: "
)
_ID_HINT = (
    "run systemd-machine-id-setup on the host; if its kubelet already uses D-Bus's: cp /var/lib/dbus/machine-id /etc/"
)
_CGROUP_HINT = (
    "boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false under KubeletConfiguration and "
    "ignorePreflightErrors: [SystemVerification] under InitConfiguration and JoinConfiguration in hosts.yml"
)
_ONE_SOURCE = "one apt source alone names the Kubernetes repository"
_PORTS_HINT = "stop that program there, or give it another port; ss -ltnp shows it"
_AWAY = (
    "move them away on the host: mv FILE /root/; but a kubelet that a node's own unit starts (systemctl cat kubelet) "
    "only after the packages of its version are installed and the unit starts /usr/bin/kubelet"
)
_TWICE = "take it out of that file: with two keyrings for one repository every apt-get fails"
