"""Rook, and the Ceph cluster that its operator makes of the disks in hosts.yml."""

from dataclasses import replace

from kubefab import downloads
from kubefab.addons.addon import Manifest, Version
from kubefab.addons.rook import CEPHS, NAMESPACE, ROOK, cluster_documents, cluster_mark, name_of
from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import CEPHS as CEPHS_OWN
from kubefab.facts import EMPTY, Ceph, ClusterFacts, Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Gap, Step, cluster_progress, complaint, on_cluster, where_there_is_one
from kubefab.steps import addons
from kubefab.steps.objects import APPLY
from kubefab.steps.wanted import takes_ordinary

WORD_SECONDS = 90  # until the operator has said anything of its cluster
READY_SECONDS = 1200  # images of more than a gigabyte, on every node with a disk
HEALTHY = ("HEALTH_OK", "HEALTH_WARN")


def steps(cluster: Cluster, host: Host) -> list[Step]:
    """What `up` does for it, where hosts.yml names it."""
    return deployed(cluster, host) if ROOK.name in cluster.inventory.addons else []


def deployed(cluster: Cluster, host: Host) -> list[Step]:
    if host.name != cluster.speaker.name:
        return []
    return [
        complaint("hosts.yml names disks for Ceph", no_disks(cluster.inventory), _NO_DISKS, ()),
        # Of the master, too, since it is the master that gives them away.
        complaint("the disks for Ceph are raw and empty", not_raw(cluster.inventory), _NOT_RAW, ("ceph",)),
        complaint("the nodes with disks take pods", off_limits(cluster.inventory), _UNTAINT, ()),
        complaint("no other Ceph cluster is there", strange, _STRANGE, ("ceph",)),
        *addons.deployed(cluster, ROOK, warning=without_rbd(cluster)),
        Step(
            "the Ceph cluster is applied",
            other_ceph(cluster.inventory),
            lambda host: apply(host, cluster.inventory, cluster.facts(host)),
            hint="see the full log for what the API server said of it",
            touches="cluster",
            parts=("ceph",),
        ),
        _wait("rook's operator works on the Ceph cluster", no_word, WORD_SECONDS),
        replace(_wait("the Ceph cluster is Ready, and healthy", not_ready, READY_SECONDS), progress=cluster_progress),
    ]


def _wait(title: str, gap: Gap, seconds: float) -> Step:
    return Step(title, gap, None, _SEE, within=seconds, touches="cluster", parts=("ceph",))


def disks_of(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    return {host.name: host.disks for host in inventory.hosts if host.disks and not host.absent}


def told(facts: Facts) -> tuple[Ceph, ...]:
    """The Ceph clusters that there are. Silent where the API server has not said: that is never "none"."""
    if facts.cluster and not facts.ceph.ceph_told:
        raise Silent("the API server does not say whether there is a Ceph cluster")
    return facts.ceph.clusters


def applied(facts: Facts) -> Ceph | None:
    """Ours, or else any. Silent as above."""
    found = told(facts)
    return next((one for one in found if one.mark), next(iter(found), None))


def _version(inventory: Inventory) -> Version:
    return addons.chosen(ROOK, inventory)


def _used(inventory: Inventory, facts: Facts) -> Manifest:
    """What it was made of stays, however many nodes there are by now: the two are two clusters, by name."""
    ceph = CEPHS[_version(inventory).version]
    live, found = facts.cluster, applied(facts)
    made = found.mark.split() if found else []
    if len(made) > 1:
        return ceph.cluster if made[1] == name_of(ceph.cluster) else ceph.cluster_test
    return ceph.manifest(len(addons.taking_pods(live)) if live else 0)


def _mark(inventory: Inventory, facts: Facts) -> str:
    return cluster_mark(_version(inventory).version, _used(inventory, facts), disks_of(inventory))


def apply(host: Host, inventory: Inventory, facts: Facts) -> None:
    used, version = _used(inventory, facts), _version(inventory)
    text = downloads.published(inventory, used.url, used.sha256, downloads.kept).decode()
    documents = cluster_documents(text, CEPHS[version.version], disks_of(inventory), _mark(inventory, facts))
    named = addons.renamed(documents, version, inventory)
    host.change("kubectl.sh", *APPLY, payload=addons.dumped(named))


def not_raw(inventory: Inventory) -> Gap:
    """Asked until they are Ceph's own: then they carry its signature."""

    def gap(facts: Facts) -> str | None:
        given = applied(facts) or Ceph("")
        found = {
            f"{name} {disk}": _state(facts.everyone.get(name), disk, set(given.disks(name)) - set(disks))
            for name, disks in disks_of(inventory).items()
            for disk in disks
            if disk not in given.disks(name)
        }
        return ", ".join(f"{disk}: {state}" for disk, state in found.items() if state != EMPTY) or None

    return gap


def _state(facts: Facts | None, disk: str, former: set[str]) -> str:
    """`former`: what the Ceph cluster was given there by names that hosts.yml no longer has."""
    found = facts.disks.states.get(disk, "not there") if facts else "not looked at"
    return f"{found}, and maybe {_SAME.format(', '.join(sorted(former)))}" if found == CEPHS_OWN and former else found


def off_limits(inventory: Inventory) -> Gap:
    """A node with disks has to run what stores on them."""

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        nodes = {name: one.node for name, one in facts.everyone.items() if name in disks_of(inventory)}
        tainted = [name for name, node in nodes.items() if node and not takes_ordinary(node)]
        return f"kubeadm's taint is on {', '.join(tainted)}" if tainted else None

    return gap


def no_disks(inventory: Inventory) -> Gap:
    return lambda _: None if disks_of(inventory) else f"no host of {inventory.path} has `disks:`"


def without_rbd(cluster: Cluster) -> str:
    """A warning only: what stores needs no module, what mounts a volume does."""
    found, named = cluster.all_facts(), disks_of(cluster.inventory)
    lacking = [name for name, facts in found.items() if name in named and not facts.disks.rbd]
    return f"no rbd in the kernel of {', '.join(lacking)}: pods there cannot mount its volumes" if lacking else ""


def other_ceph(inventory: Inventory) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = applied(facts)
        return MISSING if not found else None if found.mark == _mark(inventory, facts) else found.mark

    return gap


def strange(facts: Facts) -> str | None:
    return None if all(one.mark for one in told(facts)) else "one that was applied by hand"


def no_word(facts: Facts) -> str | None:
    found = applied(facts)
    if found and found.phase:
        return None
    return "rook's operator reports neither a phase nor a message"


def not_ready(facts: Facts) -> str | None:
    found = applied(facts)
    if not found or found.phase != "Ready":
        return f"{found.phase or 'no phase'}: {found.message}" if found else "it is not there"
    return None if found.health in HEALTHY else found.health or "its health is not reported"


_SEE = f"see why, on the master: kubectl -n {NAMESPACE} logs deploy/rook-ceph-operator; kubectl -n {NAMESPACE} get pods"
_NO_DISKS = "name raw, empty disks at the hosts that have them: disks: [/dev/sdb]"
_UNTAINT = "`inv untaint --host NAME` lets a master take pods"
_STRANGE = "kubefab leaves it alone: take rook out of hosts.yml, or remove that cluster with its data"
_SAME = "what the Ceph cluster has there as {}, by another name"
_NOT_RAW = (
    "name it as before, if it is the same disk; name another disk; or, if nothing on it is needed: `inv restart "
    "--host NAME --wipe-disks` wipes what is Ceph's, `wipefs --all DISK` on the host all else"
)
