"""etcd gets a snapshot's data, on every master at once; whatever has read the former data begins anew.

A restore's id is the token of the etcd that it makes, and is written into its data: by it the new data are known.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from kubefab import carry, etcd, runtimes
from kubefab.backup import Snapshot
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts
from kubefab.host import Host
from kubefab.kubeadm import MANIFESTS
from kubefab.step import Gap, Step, Subject, on_cluster, script, when
from kubefab.steps import health, registration
from kubefab.steps.health import KUBE_PROXY
from kubefab.steps.network import COREDNS, DAEMON_SET

FURTHER = 1_000_000_000  # than any client has seen: etcd's own documentation has this number
RESTORED = "kubefab.internal/restored"  # annotates a workload that a restore has restarted, and its pods
THERE = "/var/lib/kubefab-etcd.restore/snapshot.db"  # what is left of it goes with the next backup
MEMBER_SECONDS = 120
PARTS = ("etcd", "restore")
_LEAST = re.compile(r"-r(\d{1,19})$")
ANEW = {KUBE_PROXY: "daemonset", DAEMON_SET: "daemonset", COREDNS: "deployment"}


@dataclass(frozen=True)
class Restore:
    """One restore: its id, and of which snapshot. All that has to be the same on every master is in the id."""

    id: str
    snapshot: Snapshot

    @property
    def least(self) -> int:
        """The revision that the new etcd begins at."""
        return int(self.id.rpartition("-r")[2])


def new_id(snapshot: Snapshot, masters: Sequence[Facts], now: datetime) -> str:
    """It names the members, in short, and a revision that is higher than any that a client has seen.

    Where no member answers, that is not known, but it is less than a thousand for each second since 1970; and an
    earlier restore may have begun at such a revision, too.
    """
    heard = [one.etcd.member.revision for one in masters if one.etcd.member]
    earlier = [int(found[1]) for one in masters if (found := _LEAST.search(one.restore.restored))]
    unheard = [int(now.timestamp()) * 1000, *(one + 1000 * FURTHER for one in earlier)]
    least = FURTHER + max(snapshot.revision, *(heard or unheard))
    return f"kubefab-{now:%Y-%m-%dT%H-%M-%SZ}-{snapshot.digest[:12]}-{of_peers(masters)}-r{least}"


def of_peers(masters: Sequence[Facts]) -> str:
    """A short hash of the members that the data are for: with one more or less, other data are needed."""
    return "p" + sha256(",".join(sorted(one.restore.peer for one in masters)).encode()).hexdigest()[:8]


def serves_former(facts: Facts, id: str) -> bool:
    """Whether this host may still serve the former data, whatever the restore of this id has done elsewhere."""
    there = set(facts.local.manifests) & set(MANIFESTS)
    return facts.restore.restored != id and bool(facts.restore.under_way != id or there)


def is_member(facts: Facts) -> bool:
    """Whether kubeadm has made an etcd here, even while its manifest is put aside."""
    return bool(facts.restore.peer)


def staged(restore: Restore) -> Subject:
    """Makes the data while the former etcd still runs: a fault of the snapshot shows before anything is lost."""

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        def close(host: Host) -> None:
            runtime = "docker" if runtimes.by_docker(cluster.inventory) else "containerd"
            bump = str(restore.least - restore.snapshot.revision)
            carry.send(host, restore.snapshot.file, THERE)
            host.change("stage-restore.sh", restore.id, THERE, runtime, peers(cluster.facts(host)), bump)

        title = "the snapshot's data are ready on the host"
        ready = Step(title, unstaged(restore.id), close, "nothing that runs was changed", parts=("restore",))
        return of_members(ready)(cluster, host)

    return steps


def swapped_out(restore: Restore) -> Subject:
    """No host may serve the former data once any host has the new ones."""
    stop = script("stop-control-plane.sh", restore.id, restore.snapshot.digest)
    title, hint = "no API server and no etcd has the former data", "see why one does not end: journalctl -u kubelet"
    return of_members(Step(title, former_runs(restore.id), stop, hint, parts=("node", "restore")))


def swapped_in(restore: Restore) -> Subject:
    swap = script("swap-etcd.sh", restore.id)
    return of_members(Step("etcd's data are the snapshot's", former(restore.id), swap, parts=("node", "restore")))


def running(restore: Restore) -> Subject:
    """The control plane runs over the new data; its controller manager and scheduler have begun anew, too."""
    start = script("start-control-plane.sh", restore.id)
    return of_members(
        Step("the kubelet sees the whole control plane", put_aside, start, parts=("node", "restore")),
        *now(
            Step(
                "its etcd has the snapshot's data",
                unlike(restore),
                None,
                hint="see what it says: ls /var/log/containers/etcd*; journalctl -u kubelet",
                within=MEMBER_SECONDS,
                parts=("etcd",),
            ),
            health.api_server(),
        ),
    )


def kubelet_anew(cluster: Cluster, host: Host) -> list[Step]:
    """A kubelet goes by what an API server with the former data has told it, until it begins anew.

    A node that came after the snapshot was taken registers again.
    """
    title, restart = "the kubelet has begun after the restore", script("restart-service.sh", "kubelet")
    return [
        *on_nodes(Step(title, older_kubelet, restart, within=20, parts=("services", "system"))),
        *now(*registration.registered(host)),
        *when(host.wanted.role == "master", *now(registration.marked(cluster, host))),
    ]


def workloads_anew(restore: Restore) -> Subject:
    """Restarts what gives pods their network and their names."""
    return lambda *_: [
        Step(
            f"{name} has begun after the restore",
            older_pods(name, restore.id),
            roll(name, restore.id),
            touches="cluster",
            parts=(),
            anew=True,
        )
        for name in ANEW
    ]


def one_etcd(_: Cluster, __: Host) -> list[Step]:
    """All members have to say that they are one cluster with one leader."""
    title, hint = "all members of etcd are of one cluster and answer", "see what is wrong: inv etcd.status"
    return [Step(title, torn, None, hint, within=MEMBER_SECONDS, touches="masters", parts=PARTS, anew=True)]


def well(cluster: Cluster, host: Host) -> list[Step]:
    """A host that has yet to join is not waited for. A node that registered again may have another pod subnet."""
    ready = health.ready(cluster, host)
    return on_nodes(*now(*ready, *registration.pod_network(cluster), *health.steps(cluster, host)))


def done(cluster: Cluster, host: Host) -> list[Step]:
    """The marker goes last: until then the same command goes on."""
    end = Step("no restore is under way", under_way, script("end-restore.sh"), parts=("node", "restore"))
    return of_members(end)(cluster, host)


def given_up(cluster: Cluster, host: Host) -> list[Step]:
    """The way back, while no master has the new data."""
    title, back = "the former control plane runs on", script("give-up-restore.sh")
    return of_members(Step(title, left_over, back, parts=("node", "restore")), *now(health.api_server()))(cluster, host)


def now(*steps: Step) -> list[Step]:
    """Looked at anew: what was found before everything stopped says nothing of what runs now."""
    return [replace(one, anew=bool(one.close or one.within)) for one in steps]


def of_members(*steps: Step) -> Subject:
    """Only for masters that have an etcd: one that has yet to join, joins what was restored."""
    mine = [where(is_member, "restore", one) for one in steps]
    return lambda _, host: mine if host.wanted.role == "master" else []


def on_nodes(*steps: Step) -> list[Step]:
    return [where(lambda facts: facts.local.kubelet_ca, "node", one) for one in steps]


def where(so: Callable[[Facts], object], part: str, step: Step) -> Step:
    """A step that is asked only where `so` holds, which needs this part of the look."""
    gap = step.gap
    parts = None if step.parts is None else tuple(dict.fromkeys((*step.parts, part)))
    return replace(step, gap=lambda facts: gap(facts) if so(facts) else None, parts=parts)


# --- how far it has come


def unstaged(id: str) -> Gap:
    return lambda facts: None if id in (facts.restore.staged, facts.restore.restored) else "they are not"


def former_runs(id: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        if facts.restore.restored == id:
            return None
        could = [name for name in facts.local.manifests if name in MANIFESTS]
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
    """Its revision must have been raised. That its data are the snapshot's, the hash has proved as they were made."""

    def gap(facts: Facts) -> str | None:
        member = facts.etcd.member
        if not member:
            return etcd.in_a_word(facts)
        if not member.leader:
            return etcd.NO_LEADER
        low = member.revision < restore.least
        return f"it is at revision {member.revision}; wanted: {restore.least} at least" if low else None

    return gap


def older_kubelet(facts: Facts) -> str | None:
    unit = facts.services.unit("kubelet")
    if unit.active != "active":
        return unit.active
    return "it is older" if unit.since - facts.system.skew < _restored_at(facts) else None


def _restored_at(facts: Facts) -> float:
    """When the last master got its data, by this computer's clock."""
    return max((one.restore.restored_at - one.system.skew for one in members(facts)), default=0)


def older_pods(name: str, id: str) -> Gap:
    """Without this workload, as with another pod network, nothing has to begin anew."""

    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        workload = live.workloads.get(name)
        return "its pods are older" if workload and workload.annotations.get(RESTORED) != id else None

    return gap


def roll(name: str, id: str) -> Callable[[Host], None]:
    """One patch for both, so that the workload's annotation is never there without a restart."""
    namespace, _, short = name.partition("/")
    mark = {"metadata": {"annotations": {RESTORED: id}}}
    patch = json.dumps({**mark, "spec": {"template": mark}})
    words = ("patch", ANEW[name], short, "--namespace", namespace, "--patch-file", "/dev/stdin")

    def close(host: Host) -> None:
        host.change("kubectl.sh", *words, payload=patch, about=f"roll {name}")

    return close


def torn(facts: Facts) -> str | None:
    """Other troubles, as a database that is nearly full, do not count: the snapshot has brought them along."""
    masters = {one.name: one for one in members(facts)}
    heard = etcd.heard(masters).values()
    whole = len(heard) == len(masters) and len({(one.cluster, one.leader) for one in heard}) == 1
    return None if whole else "; ".join(etcd.problems(masters)) or "they follow different leaders"


def left_over(facts: Facts) -> str | None:
    found = facts.restore
    return f"{found.under_way or found.staged} is begun" if found.under_way or found.staged or found.aside else None


def peers(facts: Facts) -> str:
    """All members of the new etcd, NAME=URL,…"""
    return ",".join(one.restore.peer for one in members(facts))


def members(facts: Facts) -> list[Facts]:
    """The masters with an etcd, sorted by name, so that each host gets them in the same order."""
    everyone = sorted(facts.everyone.items())
    return [one for _, one in everyone if "restore" in one.parts and is_member(one)]


def under_way(facts: Facts) -> str | None:
    return f"{facts.restore.under_way} is" if facts.restore.under_way else None
