"""What only the user can change on one machine, whatever the others are like."""

import re

from packaging.version import Version

from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.step import Gap, Step, complaint, when

KNOWN = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04", "26.04")}
ARCHITECTURES = ("x86_64", "aarch64")
MASTER_CPUS, MASTER_MIB, DISK_MIB = 2, 1700, 2048  # the first two are kubeadm's own limits
MASTER_PORTS = (6443, 2379, 2380, 10250)  # and those of the release
WORKER_PORTS = (10250,)
# ss shows the kernel's names of processes, cut to 15 letters.
KUBERNETES = ("kubelet", "kube-apiserver", "etcd", "kube-controller", "kube-scheduler")
NO_ID = "/etc/machine-id is empty or not there"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    master = host.wanted.role == "master"
    wanted = cluster.inventory.cluster.kubernetes
    ports = (*MASTER_PORTS, *cluster.release.ports) if master else WORKER_PORTS
    return [
        complaint("Debian or Ubuntu of a known release", known_release),
        complaint("x86-64 or arm64", lambda facts: _not_among(ARCHITECTURES, facts.system.arch)),
        *when(master, *_master_size()),
        complaint("disk space", disk_space, "make room below /var/lib"),
        complaint("a kernel that Kubernetes knows", old_kernel),
        complaint("cgroups that this kubelet takes", cgroups(cluster), _CGROUP_HINT),
        complaint("ip and mount are there", lacking, "install iproute2, mount"),
        complaint("the hostname is a DNS label", bad_hostname, "hostnamectl set-hostname NAME"),
        complaint("it has a machine-id", lambda facts: None if facts.system.machine_id else NO_ID, _ID_HINT),
        complaint("the address is its own", elsewhere(str(host.wanted.address)), "correct it in hosts.yml"),
        complaint("the ports are free", taken_ports(ports)),
        complaint("no newer Kubernetes is installed", newer_packages(wanted), _NEWER_HINT.format(wanted)),
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


def lacking(facts: Facts) -> str | None:
    return ", ".join(facts.system.lacks) or None


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
            if (package := facts.packages.deb(name)).installed
            if upstream(package.version) > Version(wanted)
        ]
        return f"{', '.join(newer)}; hosts.yml says {wanted}" if newer else None

    return gap


def upstream(version: str) -> Version:
    """The upstream part of a Debian version: 1:1.37.2~rc1-1.1 is 1.37.2."""
    numbers = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return Version(numbers[1] if numbers else "0")


def _master_size() -> tuple[Step, ...]:
    def cpus(facts: Facts) -> str | None:
        return (
            None if facts.system.cpus >= MASTER_CPUS else f"{facts.system.cpus} CPU ({MASTER_CPUS} or more on a master)"
        )

    def memory(facts: Facts) -> str | None:
        enough = facts.system.memory_mib >= MASTER_MIB
        return None if enough else f"{facts.system.memory_mib} MiB ({MASTER_MIB} or more on a master)"

    return complaint("enough CPUs", cpus), complaint("enough memory", memory)


def _not_among(allowed: tuple[str, ...], found: str) -> str | None:
    return None if found in allowed else f"{found} (known: {', '.join(allowed)})"


OLDER_HINT = (
    "a kubelet may not be newer than its master; on the host: apt-get install --allow-downgrades "
    "--allow-change-held-packages kubelet={0}-* kubeadm={0}-* kubectl={0}-*"
)
# The repository that is on the host is that of the newer minor: what is no node yet can begin anew.
_NEWER_HINT = (
    "where it is no node yet, on the host: apt-get remove --allow-change-held-packages kubelet kubeadm kubectl, "
    f"then the same command again; where it is one, {OLDER_HINT}"
)
_ID_HINT = "systemd-machine-id-setup; where its kubelet has one of D-Bus's already: cp /var/lib/dbus/machine-id /etc/"
_CGROUP_HINT = (
    "boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false under KubeletConfiguration and "
    "ignorePreflightErrors: [SystemVerification] under InitConfiguration and JoinConfiguration in hosts.yml"
)
