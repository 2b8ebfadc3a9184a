"""A host as clean as before kubeadm. The states are absences; none of them needs a living cluster."""

from collections.abc import Sequence

from kubefab import etcd, kubeadm, runtimes
from kubefab.cluster import Cluster
from kubefab.facts import CEPHS, EMPTY, Facts, clock_time
from kubefab.host import Host
from kubefab.step import Gap, Step, Subject, complaint, script, when

KEPT = "/var/lib/kubefab-kept"
CONFIGURATIONS = ("10-flannel.conflist", "10-flannel.conf")  # flannel's, and what it called it before 0.10


def steps(cluster: Cluster, host: Host) -> list[Step]:
    tear_down = script("tear-down.sh", runtimes.cri_socket(cluster.inventory))
    parts = ("node", "leftovers", "services")

    def forget_names(host: Host) -> None:
        for name in endpoints(cluster.facts(host)):
            host.change("set-endpoint.sh", name)

    return [
        complaint("nothing else is in the way", in_the_way, _IN_THE_WAY),
        # Before admin.conf goes, which tells that it is this cluster's.
        Step("~/.kube/config is not this cluster's", kubeconfig, script("take-kubeconfig.sh"), parts=("node",)),
        Step(
            "nothing of Kubernetes is left",
            leftovers,
            tear_down,
            _HINT,
            within=30,
            parts=parts,
        ),
        Step("/etc/hosts has no control plane's name", named, forget_names, parts=("system",)),
    ]


def spared(host: str | None) -> Subject:
    """Refuses the reset of one named master whose member of etcd the others need. All at once may go (`host`: None)."""

    def needed(facts: Facts) -> str | None:
        several = {name: one for name, one in facts.everyone.items() if "etcd" in one.parts}
        return etcd.needed(facts.name, several)

    asked = complaint("etcd can do without the host", needed, _NEEDED.format(host))
    return lambda _, __: [asked] if host else []


def wipeable(wipe: bool) -> Subject:
    """Asked before anything is wiped: a disk with anything on it that is not Ceph's is left alone."""

    def subject(_: Cluster, host: Host) -> list[Step]:
        named = host.wanted.disks if wipe else ()
        checked = complaint("the disks are Ceph's or empty", foreign(named), _FOREIGN, ("disks",))
        return [checked] if named else []

    return subject


def unfinished(cluster: Cluster, host: Host) -> list[Step]:
    """A reset that was broken off. `up` finishes it only where no node is left here."""
    tear_down = script("tear-down.sh", runtimes.cri_socket(cluster.inventory))
    return [
        complaint("no interrupted reset left a node here", half_torn_down, _HALF.format(host.name)),
        Step("no interrupted reset is left", torn_down_further, tear_down, _HALF.format(host.name)),
    ]


def half_torn_down(facts: Facts) -> str | None:
    begun = torn_down_further(facts)
    there = facts.local.admin_ca or facts.local.kubelet_ca or facts.local.etcd_data
    return f"{begun}, and there is one still" if begun and there else None


def torn_down_further(facts: Facts) -> str | None:
    since = facts.local.tear_down_begun
    return f"one was begun at {clock_time(since)} and not finished" if since else None


def disks(wipe: bool) -> Subject:
    """Wipes the disks that hosts.yml gives to rook; only where `wipe` asks for it."""

    def subject(_: Cluster, host: Host) -> list[Step]:
        named = host.wanted.disks if wipe else ()
        wiped = Step("the disks are empty", written(named), script("wipe-disks.sh", *named), _DISKS, parts=("disks",))
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
    """What a cluster left here, in words; and what of others is beside it and stays."""
    local, left = facts.local, facts.leftovers
    found = [
        *when(local.admin_ca or local.etcd_data, "a control plane, with all that its etcd holds"),
        *when(local.kubelet_ca, "a node"),
        *when(local.tear_down_begun, "what an interrupted reset left"),
        *when(left.containers, f"{left.containers} containers"),
        *(f"uncounted {one}" for one in left.uncounted),
        *when(left.shims, f"{left.shims} processes of containers"),
        *when(left.chains, f"{left.chains} chains of iptables"),
        *(f"{table} (kube-proxy's)" for table in left.tables),
        *when(left.mounts, f"{len(left.mounts)} mounts below /var/lib/kubelet"),
        *left.directories,
        *local.links,
        *(f"/etc/cni/net.d/{one}" for one in local.cni if one in CONFIGURATIONS),
    ]
    return f"{', '.join(found)}{_kept(facts)}" if found else None


def _kept(facts: Facts) -> str:
    stays, aside = ", ".join(facts.leftovers.foreign), ", ".join(facts.leftovers.set_aside)
    return (f"; stays: {stays}" if stays else "") + (f"; set aside below {KEPT}: {aside}" if aside else "")


def in_the_way(facts: Facts) -> str | None:
    return "; ".join(facts.leftovers.in_the_way) or None


def kubeconfig(facts: Facts) -> str | None:
    return "~/.kube/config, a copy of admin.conf" if facts.local.kubeconfig == "same" else None


def endpoints(facts: Facts) -> list[str]:
    """Our names in /etc/hosts: of this cluster, and of any that was here before."""
    return [name for name in facts.system.endpoints if name.endswith(kubeadm.DOMAIN)]


def named(facts: Facts) -> str | None:
    return ", ".join(f"{name} in /etc/hosts" for name in endpoints(facts)) or None


_FOREIGN = "kubefab wipes only what is Ceph's; where nothing on it is needed, on the host: wipefs --all DISK"
_DISKS = "what still uses it? on the host: lsblk; after a reboot nothing of Ceph does"
_HALF = "`inv restart --host {0}` ends it; if it is to stay as it is, on {0}: rm /var/lib/kubefab/tear-down"
_IN_THE_WAY = (
    "unmount or stop it for a while, then run the same command again: what is below would be lost with the rest"
)
_NEEDED = "take its member out first: `inv node.remove --host {}`; or let the masters answer that do not"
_HINT = "if something of it comes back or stays, reboot the host and run the same command again"
