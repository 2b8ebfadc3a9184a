"""A host as clean as before kubeadm. The states are absences; none of them needs a living cluster."""

from collections.abc import Sequence

from kubefab import kubeadm, runtimes
from kubefab.cluster import Cluster
from kubefab.facts import CEPHS, EMPTY, Facts
from kubefab.host import Host
from kubefab.step import Gap, Step, Subject, script, when


def steps(cluster: Cluster, host: Host) -> list[Step]:
    tear_down = script("tear-down.sh", runtimes.cri_socket(cluster.inventory))
    parts = ("node", "leftovers", "services")

    def forget_names(host: Host) -> None:
        for name in endpoints(cluster.facts(host)):
            host.change("set-endpoint.sh", name)

    return [
        # While admin.conf is still there to tell that it is this cluster's.
        Step("~/.kube/config is not this cluster's", kubeconfig, script("take-kubeconfig.sh"), parts=("node",)),
        Step(
            "nothing of Kubernetes is left",
            leftovers,
            tear_down,
            _HINT,
            within=30,
            parts=parts,
        ),
        Step("no control plane has a name here", named, forget_names, parts=("system",)),
    ]


def wipeable(wipe: bool) -> Subject:
    """Asked before anything is taken away: of a disk with anything on it that is not Ceph's nothing is."""

    def subject(_: Cluster, host: Host) -> list[Step]:
        named = host.wanted.disks if wipe else ()
        checked = Step("its disks are Ceph's, or empty", foreign(named), None, _FOREIGN, parts=("disks",))
        return [checked] if named else []

    return subject


def disks(wipe: bool) -> Subject:
    """The disks that hosts.yml gives to rook, as they were bought; only for those who ask for it."""

    def subject(_: Cluster, host: Host) -> list[Step]:
        named = host.wanted.disks if wipe else ()
        wiped = Step("its disks are empty", written(named), script("wipe-disks.sh", *named), _DISKS, parts=("disks",))
        return [wiped] if named else []

    return subject


def foreign(disks: Sequence[str]) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = unlike(facts, disks, EMPTY, CEPHS)
        return ", ".join(f"{disk}: {state}" for disk, state in found.items()) or None

    return gap


def written(disks: Sequence[str]) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = unlike(facts, disks, EMPTY)
        return ", ".join(f"{disk}, with all on it ({state})" for disk, state in found.items()) or None

    return gap


def unlike(facts: Facts, disks: Sequence[str], *states: str) -> dict[str, str]:
    """The disks that are in none of these states, and what they are."""
    found = {disk: facts.disks.states.get(disk, "not there") for disk in disks}
    return {disk: state for disk, state in found.items() if state not in states}


def leftovers(facts: Facts) -> str | None:
    """What a cluster left here, in words."""
    left = facts.leftovers
    found = [
        *when(facts.local.admin_ca, "a control plane, with all that its etcd holds"),
        *when(facts.local.kubelet_ca, "a node"),
        *when(left.containers, f"{left.containers} containers"),
        *when(left.shims, f"{left.shims} processes of containers"),
        *when(left.chains, f"{left.chains} chains of iptables"),
        *when(left.mounts, f"{len(left.mounts)} mounts below /var/lib/kubelet"),
        *left.directories,
        *facts.local.links,
        *(f"/etc/cni/net.d/{one}" for one in facts.local.cni if "flannel" in one),
    ]
    return ", ".join(found) or None


def kubeconfig(facts: Facts) -> str | None:
    return "~/.kube/config, a copy of admin.conf" if facts.local.kubeconfig == "same" else None


def endpoints(facts: Facts) -> list[str]:
    """Our names in /etc/hosts: of this cluster, and of any that was here before."""
    return [name for name in facts.system.endpoints if name.endswith(kubeadm.DOMAIN)]


def named(facts: Facts) -> str | None:
    return ", ".join(f"{name} in /etc/hosts" for name in endpoints(facts)) or None


_FOREIGN = "kubefab wipes only what is Ceph's; where nothing on it is needed, on the host: wipefs --all DISK"
_DISKS = "what still uses it? on the host: lsblk; after a reboot nothing of Ceph does"
_HINT = "if something of it comes back or stays, reboot the host and run the same command again"
