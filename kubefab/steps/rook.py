"""Rook, and the Ceph cluster that its operator makes of the disks in hosts.yml."""

from collections.abc import Callable

from kubefab import downloads
from kubefab.addons.addon import Manifest, Version
from kubefab.addons.rook import CEPHS, NAMESPACE, ROOK, cluster_documents, cluster_mark, name_of
from kubefab.cluster import Cluster
from kubefab.facts import EMPTY, Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Gap, Step
from kubefab.steps import addons

WORD_SECONDS = 90  # until the operator has said anything of its cluster
READY_SECONDS = 1200  # images of more than a gigabyte, on every node with a disk
HEALTHY = ("HEALTH_OK", "HEALTH_WARN")


def steps(cluster: Cluster, host: Host) -> list[Step]:
    """What `up` does for it, where hosts.yml names it."""
    return deployed(cluster, host) if ROOK.name in cluster.inventory.addons else []


def deployed(cluster: Cluster, host: Host) -> list[Step]:
    if host.name != cluster.master.name:
        return []
    return [
        Step("there are disks for it", no_disks(cluster.inventory), None, _NO_DISKS, parts=()),
        # Of the master, too, since it is the master that gives them away.
        Step("the disks for Ceph are raw and empty", lambda facts: not_raw(cluster, facts), None, _NOT_RAW, parts=()),
        Step("the nodes with disks take pods", lambda _: off_limits(cluster), None, _UNTAINT, parts=()),
        Step("no other Ceph cluster is there", strange, None, _STRANGE, parts=("ceph",)),
        *addons.deployed(cluster, ROOK, warning=without_rbd(cluster)),
        Step(
            "the Ceph cluster is applied",
            lambda facts: other_ceph(facts, _mark(cluster)),
            lambda host: apply(host, cluster),
            hint="see the full log for what the API server said of it",
            touches="cluster",
            parts=("ceph",),
        ),
        _wait("rook's operator takes care of it", no_word, WORD_SECONDS),
        _wait("the Ceph cluster is Ready, and healthy", not_ready, READY_SECONDS),
    ]


def _wait(title: str, gap: Gap, seconds: float) -> Step:
    return Step(title, gap, None, _SEE, within=seconds, touches="cluster", parts=("ceph",))


def disks_of(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    return {host.name: host.disks for host in inventory.hosts if host.disks and not host.absent}


def _version(cluster: Cluster) -> Version:
    return addons.chosen(ROOK, cluster.inventory)


def _used(cluster: Cluster) -> Manifest:
    """What it was made of stays, however many nodes there are by now: the two are two clusters, by name."""
    facts, ceph = cluster.facts(cluster.master), CEPHS[_version(cluster).version]
    live, made = facts.cluster, facts.ceph.mark.split() if facts.ceph else []
    if len(made) > 1:
        return ceph.cluster if made[1] == name_of(ceph.cluster) else ceph.cluster_test
    return ceph.manifest(len(addons.taking_pods(live)) if live else 0)


def _mark(cluster: Cluster) -> str:
    return cluster_mark(_version(cluster).version, _used(cluster), disks_of(cluster.inventory))


def apply(host: Host, cluster: Cluster) -> None:
    used, version = _used(cluster), _version(cluster)
    text = downloads.published(cluster.inventory, used.url, used.sha256, downloads.kept).decode()
    documents = cluster_documents(text, CEPHS[version.version], disks_of(cluster.inventory), _mark(cluster))
    named = addons.renamed(documents, version, cluster.inventory)
    host.change("kubectl.sh", *addons.APPLY, payload=addons.dumped(named))


def not_raw(cluster: Cluster, master: Facts) -> str | None:
    """Asked until they are Ceph's own: then they carry its signature. A host that was not looked at has none."""
    hosts = cluster.all_facts()
    found = {
        f"{name} {disk}": hosts.get(name, Facts()).disks.get(disk, "not there")
        for name, disks in disks_of(cluster.inventory).items()
        for disk in disks
        if not (master.ceph and disk in master.ceph.disks(name))
    }
    return ", ".join(f"{disk}: {state}" for disk, state in found.items() if state != EMPTY) or None


def off_limits(cluster: Cluster) -> str | None:
    """A node with disks has to run what stores on them."""
    hosts = cluster.all_facts()
    nodes = {name: hosts[name].node for name in disks_of(cluster.inventory) if name in hosts}
    tainted = [name for name, node in nodes.items() if node and not addons.takes_pods(node)]
    return f"kubeadm's taint is on {', '.join(tainted)}" if tainted else None


def no_disks(inventory: Inventory) -> Callable[[Facts], str | None]:
    return lambda _: None if disks_of(inventory) else f"no host of {inventory.path} has `disks:`"


def without_rbd(cluster: Cluster) -> str:
    """A warning only: what stores needs no module, what mounts a volume does."""
    lacking = [name for name, facts in cluster.all_facts().items() if facts.disks and not facts.rbd]
    return f"no rbd in the kernel of {', '.join(lacking)}: pods there cannot mount its volumes" if lacking else ""


def other_ceph(facts: Facts, mark: str) -> str | None:
    if not facts.ceph:
        return MISSING
    return None if facts.ceph.mark == mark else facts.ceph.mark


def strange(facts: Facts) -> str | None:
    return "one that was applied by hand" if facts.ceph and not facts.ceph.mark else None


def no_word(facts: Facts) -> str | None:
    if facts.ceph and facts.ceph.phase:
        return None
    return "its operator has not said a word of it: neither a phase nor a message"


def not_ready(facts: Facts) -> str | None:
    if not facts.ceph or facts.ceph.phase != "Ready":
        return f"{facts.ceph.phase or 'no phase'}: {facts.ceph.message}" if facts.ceph else "it is not there"
    return None if facts.ceph.health in HEALTHY else facts.ceph.health or "no word of its health"


_SEE = f"see why, on the master: kubectl -n {NAMESPACE} logs deploy/rook-ceph-operator; kubectl -n {NAMESPACE} get pods"
_NO_DISKS = "name raw, empty ones, at the hosts that have them: disks: [/dev/sdb]"
_UNTAINT = "`inv untaint --host NAME` lets a master take pods"
_STRANGE = "kubefab leaves it alone; take rook out of hosts.yml, or that cluster away, with its data"
_NOT_RAW = "name another one; what is on it stays, unless you ask for: inv restart --host NAME --wipe-disks"
