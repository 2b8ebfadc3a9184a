"""etcd with the data of a snapshot, on every master at once; and whoever has seen others begins anew.

What runs is told apart from what is to run by a restore's id, the token of the etcd that it makes: its data bear it.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from packaging.version import Version

from kubefab import carry, etcd, runtimes
from kubefab.backup import Snapshot
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts, fingerprint
from kubefab.host import Host
from kubefab.step import MISSING, Gap, Step, Subject, complaint, on_cluster, script, when
from kubefab.steps import health, registration
from kubefab.steps.agreement import CONTROL_PLANE
from kubefab.steps.health import KUBE_PROXY
from kubefab.steps.network import COREDNS, DAEMON_SET
from kubefab.steps.versions import tag, upstream

OLDEST = Version("3.6")  # the first etcdutl that raises revisions as it restores
BUMP = 1_000_000_000  # by which it does: see scripts/stage-restore.sh
RESTORED = "kubefab.internal/restored"  # annotates a workload, and its pods, that a restore has had begun anew
THERE = "/var/lib/kubefab-etcd.restore/snapshot.db"  # what is left of it goes with the next backup
ROOM = 2  # times the snapshot: itself, and the data that are made of it
MEMBER_SECONDS = 120
SHARED = tuple(f"{name}.{kind}" for name in ("ca", "front-proxy-ca", "etcd/ca") for kind in ("crt", "key"))
SHARED += ("sa.key", "sa.pub")
PARTS = ("etcd", "restore")
ANEW = {KUBE_PROXY: "daemonset", DAEMON_SET: "daemonset", COREDNS: "deployment"}


@dataclass(frozen=True)
class Restore:
    """One restore: its id, and of which snapshot."""

    id: str
    snapshot: Snapshot


def is_member(facts: Facts) -> bool:
    """Whether kubeadm has made an etcd here, wherever its manifest is just now."""
    return bool(facts.restore.peer)


def keyed(snapshot: Snapshot) -> Subject:
    """Machines that have no cluster yet: the one to be made there has to be the snapshot's, by its keys."""
    keys = "the backup's keys are on the host"
    wanted = {name: digest for name, digest in snapshot.files.items() if name.removeprefix("pki/") in SHARED}

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
        complaint("no init, join or reset is under way", half_made, _HALF),
        complaint("the snapshot is this cluster's", another_cluster(restore.snapshot), _ANOTHER),
        complaint("etcd is 3.6 or newer", too_old, _OLD),
        complaint("etcd keeps its log with its data", wal_elsewhere, "take --wal-dir out of its manifest first"),
        complaint("there is room for the snapshot", no_room(restore), "make room where etcd has its data"),
    )


def staged(restore: Restore) -> Subject:
    """The data are made while the former etcd still runs: what a snapshot lacks is found before anything is lost."""

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        def close(host: Host) -> None:
            runtime = "docker" if runtimes.by_docker(cluster.inventory) else "containerd"
            carry.send(host, restore.snapshot.file, THERE)
            host.change("stage-restore.sh", restore.id, THERE, runtime, ",".join(peers(cluster.facts(host))))

        title = "the snapshot's data are ready on the host"
        ready = Step(title, unstaged(restore.id), close, "nothing that runs was changed", parts=("restore",))
        return of_members(ready)(cluster, host)

    return steps


def swapped_out(restore: Restore) -> Subject:
    """Of former data nothing is served once any host has the new ones."""
    stop = script("stop-control-plane.sh", restore.id, restore.snapshot.digest)
    title, hint = "no API server and no etcd has the former data", "see why one does not end: journalctl -u kubelet"
    return of_members(Step(title, former_runs(restore.id), stop, hint, parts=("node", "restore")))


def swapped_in(restore: Restore) -> Subject:
    swap = script("swap-etcd.sh", restore.id)
    return of_members(Step("etcd's data are the snapshot's", former(restore.id), swap, parts=("node", "restore")))


def running(restore: Restore) -> Subject:
    """The control plane over the new data: its controller manager and scheduler have begun anew with it."""
    start = script("start-control-plane.sh", restore.id)
    return of_members(
        Step("the kubelet sees the whole control plane", put_aside, start, parts=("node", "restore")),
        Step(
            "its etcd has the snapshot's data",
            unlike(restore),
            None,
            hint="see what it says: ls /var/log/containers/etcd*; journalctl -u kubelet",
            within=MEMBER_SECONDS,
            parts=("etcd",),
        ),
        health.api_server(),
    )


def kubelet_anew(cluster: Cluster, host: Host) -> list[Step]:
    """A kubelet goes by what it was told before, and the API server of the former data may have told it more.

    A node that came after the snapshot was taken registers again.
    """
    title, restart = "the kubelet has begun after the restore", script("restart-service.sh", "kubelet")
    return [
        *on_nodes(Step(title, older_kubelet, restart, within=20, parts=("services", "system"))),
        *registration.registered(host),
        *when(host.wanted.role == "master", registration.marked(cluster, host)),
    ]


def workloads_anew(restore: Restore) -> Subject:
    """What gives pods their network and their names."""
    return lambda *_: [
        Step(
            f"{name} has begun after the restore",
            older_pods(name, restore.id),
            roll(name, restore.id),
            touches="cluster",
            parts=(),
        )
        for name in ANEW
    ]


def one_etcd(_: Cluster, __: Host) -> list[Step]:
    """By the word of all members: they are one cluster, which one of them leads."""
    title, hint = "all members of etcd are of one cluster and answer", "see what is wrong: inv etcd.status"
    return [Step(title, torn, None, hint, within=MEMBER_SECONDS, touches="masters", parts=PARTS)]


def well(cluster: Cluster, host: Host) -> list[Step]:
    """Who has yet to join is not waited for. Who has registered again may have another subnet for its pods."""
    ready = health.ready(cluster, host)
    return on_nodes(*ready, *registration.pod_network(cluster), *health.steps(cluster, host))


def done(cluster: Cluster, host: Host) -> list[Step]:
    """The marker goes last of all: until then the same command goes on."""
    end = Step("no restore is under way", under_way, script("end-restore.sh"), parts=("node", "restore"))
    return of_members(end)(cluster, host)


def of_members(*steps: Step) -> Subject:
    """Of masters that have an etcd: who has yet to join, joins what was restored."""
    mine = [replace(one, gap=where(is_member, one.gap)) for one in steps]
    return lambda _, host: mine if host.wanted.role == "master" else []


def on_nodes(*steps: Step) -> list[Step]:
    return [
        replace(
            one,
            gap=where(lambda facts: facts.local.kubelet_ca, one.gap),
            parts=None if one.parts is None else (*one.parts, "node"),
        )
        for one in steps
    ]


def where(so: Callable[[Facts], object], gap: Gap) -> Gap:
    return lambda facts: gap(facts) if so(facts) else None


# --- what only a person can change


def keyless(keys: Mapping[str, str]) -> str | None:
    return ", ".join(f"no pki/{name}" for name in SHARED if f"pki/{name}" not in keys) or None


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
        theirs = fingerprint(snapshot.authority) if snapshot.authority else ""
        ours = facts.local.admin_ca
        return (
            f"it is of the one with the CA {theirs}, and here is {ours}"
            if theirs and ours not in ("", theirs)
            else None
        )

    return gap


def too_old(facts: Facts) -> str | None:
    found = upstream(tag(facts.restore.image))
    return None if found >= OLDEST else f"its manifest names {facts.restore.image}"


def wal_elsewhere(facts: Facts) -> str | None:
    return facts.restore.wal or None


def no_room(restore: Restore) -> Gap:
    """Where the data lie ready it is theirs already."""
    needed = ROOM * restore.snapshot.size >> 20

    def gap(facts: Facts) -> str | None:
        free = facts.restore.free_mib
        if restore.id in (facts.restore.staged, facts.restore.restored):
            return None
        return f"{free} MiB are free; allowed: {needed} MiB, twice its size" if free < needed else None

    return gap


# --- how far it has come


def unstaged(id: str) -> Gap:
    return lambda facts: None if id in (facts.restore.staged, facts.restore.restored) else "they are not"


def former_runs(id: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        if facts.restore.restored == id:
            return None
        could = [name for name in facts.local.manifests if name in CONTROL_PLANE]
        found = [*facts.restore.runs, *could]
        if facts.restore.under_way != id:
            return ", ".join(found) or "it may come back"
        return ", ".join(found) or None

    return gap


def former(id: str) -> Gap:
    return lambda facts: None if facts.restore.restored == id else "they are the former ones"


def put_aside(facts: Facts) -> str | None:
    return f"the kubelet does not see {', '.join(facts.restore.aside)}" if facts.restore.aside else None


def unlike(restore: Restore) -> Gap:
    """What cannot be told of its data by their revision is told by the hash of the snapshot that they were made of."""

    def gap(facts: Facts) -> str | None:
        member = facts.etcd.member
        if not member:
            return etcd.in_a_word(facts)
        if not member.leader:
            return etcd.NO_LEADER
        least = restore.snapshot.revision + BUMP
        return f"it is at revision {member.revision}; wanted: {least} at least" if member.revision < least else None

    return gap


def older_kubelet(facts: Facts) -> str | None:
    unit = facts.services.unit("kubelet")
    if unit.active != "active":
        return unit.active
    return "it is older" if unit.since - facts.system.skew < _restored_at(facts) else None


def _restored_at(facts: Facts) -> float:
    """When the last master got its data, by this computer's clock."""
    return max((one.restore.restored_at - one.system.skew for one in _members(facts)), default=0)


def older_pods(name: str, id: str) -> Gap:
    """Where there is no such workload, as with another network, there is nothing to begin anew."""

    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        workload = live.workloads.get(name)
        return "its pods are older" if workload and workload.annotations.get(RESTORED) != id else None

    return gap


def roll(name: str, id: str) -> Callable[[Host], None]:
    """One patch, so that what tells of it is never there without it."""
    namespace, _, short = name.partition("/")
    mark = {"metadata": {"annotations": {RESTORED: id}}}
    patch = json.dumps({**mark, "spec": {"template": mark}})
    words = ("patch", ANEW[name], short, "--namespace", namespace, "--patch-file", "/dev/stdin")

    def close(host: Host) -> None:
        host.change("kubectl.sh", *words, payload=patch, about=f"roll {name}")

    return close


def torn(facts: Facts) -> str | None:
    """What else may be wrong with them, as a database that is nearly full, the snapshot has brought along."""
    masters = {one.name: one for one in _members(facts)}
    members = etcd.heard(masters).values()
    whole = len(members) == len(masters) and len({(one.cluster, one.leader) for one in members}) == 1
    return None if whole else "; ".join(etcd.problems(masters)) or "they follow different leaders"


def peers(facts: Facts) -> list[str]:
    """All members of the etcd that is to be, NAME=URL."""
    return [one.restore.peer for one in _members(facts)]


def _members(facts: Facts) -> list[Facts]:
    """By their names, so that each host has them in the same order."""
    everyone = sorted(facts.everyone.items())
    return [one for _, one in everyone if "restore" in one.parts and is_member(one)]


def under_way(facts: Facts) -> str | None:
    return f"{facts.restore.under_way} is" if facts.restore.under_way else None


_HALF = "take it away, and do this again: inv restart --host NAME"
_KEYLESS = "only a folder of etcd.backup has them: name that, and not its snapshot"
_ANOTHER = "a backup goes back into the cluster that it was taken of: which one is this?"
_OLD = (
    "older ones cannot raise revisions as they restore, so that caches would live on (kubernetes/kubernetes#118501): "
    "inv cluster.upgrade first"
)
