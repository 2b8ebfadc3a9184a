"""What only a person can change, before etcd goes back to a snapshot: all of it is told before anything is changed."""

from base64 import b64encode
from collections.abc import Mapping

from packaging.version import Version

from kubefab import etcd
from kubefab.backup import Snapshot
from kubefab.certificates import SHARED
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts, fingerprint
from kubefab.host import Host
from kubefab.kubeadm import MANIFESTS
from kubefab.step import MISSING, Gap, Step, Subject, complaint, on_cluster, where_there_is_one
from kubefab.steps.restore import Restore, members, of_members
from kubefab.steps.versions import tag, upstream

OLDEST = Version("3.6")  # the first etcdutl that raises revisions as it restores
ROOM = 2  # times the snapshot: itself, and the data that are made of it


def keyed(snapshot: Snapshot) -> Subject:
    """Machines that have no cluster yet: the one to be made there has to be the snapshot's, by its keys."""
    keys = "the backup's keys are on the host"
    wanted = {name: digest for name, digest in snapshot.files.items() if name in SHARED}

    def close(host: Host) -> None:
        lines = [f"{name} {b64encode((snapshot.folder / name).read_bytes()).decode()}\n" for name in wanted]
        host.change("put-keys.sh", payload="".join(lines), secret=True)

    return lambda *_: [
        complaint("the backup has the keys that all masters share", lambda _: keyless(wanted), _KEYLESS),
        complaint("no init, join or reset is under way", half_made, _HALF),
        complaint("no other keys are on the host", other_keys(wanted), "move them away: they are another cluster's"),
        Step(keys, without_keys(wanted), close, parts=("restore",)),
    ]


def possible(restore: Restore) -> Subject:
    """What only a person can change, before anything is."""
    return of_members(
        complaint("etcd's manifest says where its data are", unsaid, _UNSAID),
        complaint("no init, join or reset is under way", half_made, _HALF),
        complaint("the snapshot is this cluster's", another_cluster(restore.snapshot), _ANOTHER),
        complaint("the snapshot has a node of this cluster", of_nobody(restore.snapshot), _ANOTHER),
        complaint("etcd is 3.6 or newer", too_old, _OLD),
        complaint("etcd is no older than the snapshot's", older_etcd(restore.snapshot), _NEWER),
        complaint("etcd's image has the tool that makes its data of a snapshot", without_tool, _TOOL),
        complaint("etcd keeps its log with its data", wal_elsewhere, "take --wal-dir out of its manifest first"),
        complaint(
            "etcd's data can be moved aside", mounted, "have all of them on one disk that is mounted above `member`"
        ),
        complaint("there is room for the snapshot", no_room(restore), "make room where etcd has its data"),
    )


def nobody_else(cluster: Cluster, host: Host) -> list[Step]:
    """Who has the former data, and is none of those that get the new ones, would serve them on."""
    if host.name != cluster.speaker.name:
        return []
    masters = cluster.master_names
    return [
        complaint("every member of etcd is on a master of hosts.yml", strangers, _STRANGER),
        complaint("every master of the cluster is one of hosts.yml", strange(masters), _STRANGE),
    ]


# --- what is so instead


def keyless(keys: Mapping[str, str]) -> str | None:
    return ", ".join(f"no {name}" for name in SHARED if name not in keys) or None


def other_keys(keys: Mapping[str, str]) -> Gap:
    def gap(facts: Facts) -> str | None:
        there = facts.restore.keys
        return ", ".join(name for name in keys if there.get(name, keys[name]) != keys[name]) or None

    return gap


def without_keys(keys: Mapping[str, str]) -> Gap:
    return lambda facts: None if all(facts.restore.keys.get(name) == keys[name] for name in keys) else MISSING


def half_made(facts: Facts) -> str | None:
    local = facts.local
    marks = {"init": local.init_begun, "join": local.master_begun, "reset": local.tear_down_begun}
    return ", ".join(name for name, since in marks.items() if since) or None


def another_cluster(snapshot: Snapshot) -> Gap:
    """Its ServiceAccounts' tokens and its nodes' certificates would be worth nothing."""

    def gap(facts: Facts) -> str | None:
        theirs = sorted(fingerprint(one) for one in snapshot.authorities)
        ours = facts.local.admin_ca
        is_another = theirs and ours and ours not in theirs
        return f"it is of the one with the CA {', '.join(theirs)}, and here is {ours}" if is_another else None

    return gap


def too_old(facts: Facts) -> str | None:
    found = upstream(tag(facts.restore.image))
    return None if found >= OLDEST else f"its manifest names {facts.restore.image}"


def older_etcd(snapshot: Snapshot) -> Gap:
    """Its etcdutl would make data of it, by which that etcd then never starts ("version 3.7.0 is not supported")."""

    def gap(facts: Facts) -> str | None:
        found, form = upstream(tag(facts.restore.image)), snapshot.storage
        is_older = form and found < Version(form)
        what = f"its manifest names {facts.restore.image}, and the snapshot's data are in the form of etcd {form}"
        return what if is_older else None

    return gap


def without_tool(facts: Facts) -> str | None:
    """Of one that does not run it is seen only when it is needed, before anything is stopped."""
    return f"{facts.restore.image} has no etcdutl" if facts.restore.lacks_etcdutl else None


def wal_elsewhere(facts: Facts) -> str | None:
    return facts.restore.wal or None


def mounted(facts: Facts) -> str | None:
    return f"{facts.restore.mounted} is a mount of its own" if facts.restore.mounted else None


def no_room(restore: Restore) -> Gap:
    """Where the data lie ready it is theirs already."""
    needed = ROOM * restore.snapshot.size >> 20

    def gap(facts: Facts) -> str | None:
        free = facts.restore.free_mib
        if restore.id in (facts.restore.staged, facts.restore.restored):
            return None
        return f"{free} MiB are free; allowed: {needed} MiB, twice its size" if free < needed else None

    return gap


def headless(facts: Facts) -> str | None:
    """What is there of a control plane whose etcd cannot be known, since its manifest is away."""
    if facts.restore.peer:
        return None
    manifests = [name for name in (*facts.local.manifests, *facts.restore.aside) if name in MANIFESTS]
    found = {
        "an etcd that runs": facts.etcd.etcd_runs,
        "etcd's data": facts.local.etcd_data,
        "an admin.conf": bool(facts.local.admin_ca),
    }
    return ", ".join((*(what for what, there in found.items() if there), *manifests)) or None


def unsaid(facts: Facts) -> str | None:
    name, _, url = facts.restore.peer.partition("=")
    flags = {"data-dir": facts.restore.folder, "name": name, "initial-advertise-peer-urls": url}
    return ", ".join(f"it has no --{flag}" for flag, value in flags.items() if not value) or None


def strangers(facts: Facts) -> str | None:
    """While they have a quorum, they may be taken out; without one they are told as left behind."""
    if not any(one.etcd.member and one.etcd.member.leader for one in members(facts)):
        return None
    return ", ".join(left_behind(facts)) or None


def left_behind(facts: Facts) -> list[str]:
    """Members of the former etcd that no host answers for which gets the new data."""
    masters = {one.name: one for one in members(facts)}
    known = {one.restore.peer.partition("=")[2] for one in masters.values()}
    others = [one for one in etcd.known(masters).values() if not known & set(one.peers)]
    return [f"{one.name or f'{one.id:x}'} ({', '.join(one.peers)})" for one in others]


def strange(masters: list[str]) -> Gap:
    @where_there_is_one
    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        known = [one.node.name for name, one in facts.everyone.items() if name in masters and one.node]
        return ", ".join(name for name, node in live.nodes.items() if node.is_master and name not in known) or None

    return gap


def of_nobody(snapshot: Snapshot) -> Gap:
    """Of a snapshot that has no authority to be read: somebody has ConfigMaps encrypted."""

    def gap(facts: Facts) -> str | None:
        if snapshot.authorities:
            return None
        known = {name for host in facts.everyone.values() for name in (host.name, host.node and host.node.name)}
        theirs = sorted(snapshot.nodes)
        return None if known & set(theirs) else f"its nodes are {', '.join(theirs)}" if theirs else "it has no node"

    return gap


_HALF = "take it away, and do this again: inv restart --host NAME"
_KEYLESS = "only a folder of etcd.backup has them: name that; and put into its pki what it is without"
_ANOTHER = "a backup goes back into the cluster that it was taken of: which one is this?"
_OLD = (
    "older ones cannot raise revisions as they restore, so that caches would live on (kubernetes/kubernetes#118501): "
    "inv cluster.upgrade first; what it is, the tag of its image says, and no digest does"
)
_NEWER = (
    "no older etcd starts by these data: have hosts.yml name a Kubernetes with that etcd or a newer one, then "
    "inv cluster.upgrade, and this again; or take a snapshot from before the upgrade"
)
_TOOL = "have etcd's manifest name one that has it, as upstream's and kubeadm's own have: registry.k8s.io/etcd"
_UNSAID = "write it there as kubeadm does, - --FLAG=VALUE, one a line"
_STRANGER = (
    "it would serve the former data: give its host to hosts.yml as a master, or take it out first: "
    "inv node.remove --host NAME, with --dead where its machine is off and stays off"
)
_STRANGE = "its API server would serve the former data: name it in hosts.yml, or first: inv node.remove --host NAME"
