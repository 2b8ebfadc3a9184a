"""The upgrade of one kubelet, on a node without ordinary pods meanwhile.

Each gap asks whether the kubelet is old, so that a run that was broken off goes on where it was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from packaging.version import Version

from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, Running
from kubefab.host import Host
from kubefab.step import MISSING, Close, Gap, Step, Subject, on_cluster, script, when, where_there_is_one
from kubefab.steps import draining, drift_nodes, health, marked, packages, runtime, versions
from kubefab.steps.upgrade import documents, of_speaker, old_package, patched, static_pods
from kubefab.steps.versions import TASK, behind, is_old
from kubefab.steps.wanted import takes_ordinary

API_SECONDS = 60
WHOLE_SECONDS = 300  # without progress of the pods that an earlier node has lost
START_SECONDS = 60  # until a kubelet that has started tells of its version


def kubelet(seconds: int, ignored: Sequence[str] = (), names: Mapping[str, str] | None = None) -> Subject:
    """Upgrades a node's kubelet, after a drain where it takes ordinary pods; `seconds`: what that may take.

    `ignored`: workloads, as "namespace/name", that nobody waits for. `names`: host -> node, as told before, since an
    API server that is silent for a moment tells none.
    """
    by = f"{TASK} at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        wanted, name = cluster.inventory.cluster.kubernetes, (names or {}).get(host.name, host.name)

        def install(host: Host) -> None:
            document = documents(cluster, host, "preflight", "control-plane", "addon")
            host.change("upgrade-kubelet.sh", wanted, marked.patches(cluster.inventory, host), payload=document)

        return [
            *patched(cluster, host),
            Step("no API server is older than the kubelet will be", older_api_server(wanted), None, within=API_SECONDS),
            Step(
                "every workload has all of its pods before a node goes",
                of_old(wanted, unless_gone(by, short(ignored))),
                None,
                hint=_SHORT,
                within=WHOLE_SECONDS,
                touches="pods",
                anew=True,
                again=draining.TOLD_SECONDS,
                parts=(),
            ),
            Step(
                "no earlier drain of the node is under way",
                of_old(wanted, of_speaker(draining.drains(name))),
                None,
                within=seconds,
                touches="pods",
                again=draining.TOLD_SECONDS,
                parts=(),
            ),
            Step(
                "an old kubelet gets no new pods",
                of_old(wanted, draining.is_open(name)),
                by_speaker(cluster, draining.cordon_by(cluster, name, by)),
                touches="cluster",
                parts=(),
            ),
            Step(
                "an old kubelet has no pods but those of every node",
                of_old(wanted, of_speaker(draining.has_pods(name))),
                by_speaker(cluster, draining.drain(cluster, name, seconds)),
                draining.HELD,
                touches="pods",
                anew=True,
                again=draining.TOLD_SECONDS,
                parts=(),
            ),
            *(replace(one, gap=while_old(wanted, one.gap)) for one in runtime.for_another_version(cluster, host)),
            Step(
                f"the kubelet is installed and configured as of {wanted}",
                old_package(wanted),
                install,
                hint=f"see what it says: apt-cache policy kubelet, on {host.name}",
                parts=("packages", "services", "manifests"),
            ),
            *(replace(one, gap=once_new(wanted, one.gap)) for one in runtime.package_manager()),
            Step(
                f"what comes with the kubelet is of {wanted}, and held",
                unfinished(wanted),
                script("finish-packages.sh", wanted),
                hint=f"see what it says: apt-cache policy kubectl, on {host.name}",
                parts=("packages", "services"),
            ),
            Step(
                f"the kubelet that runs is of {wanted}",
                old_kubelet(wanted),
                script("restart-service.sh", "kubelet"),
                hint=f"see what it says: journalctl -u kubelet, on {host.name}",
                within=START_SECONDS,
                touches="cluster",
                parts=("services", "manifests", "node"),
            ),
            *health.ready(cluster, host),
            *when(
                host.wanted.role == "master",
                health.api_server(),
                static_pods(),
            ),
            Step(
                "nothing is left of kubeadm's upgrade",
                copies(wanted),
                script("forget-copies.sh"),
                anew=True,
                parts=("upgrade",),
            ),
            Step(
                "a node that was upgraded takes pods again",
                ours(wanted),
                by_speaker(cluster, draining.uncordon(name)),
                touches="cluster",
                parts=(),
            ),
        ]

    return steps


# --- what is so instead


def older_api_server(wanted: str) -> Gap:
    """A kubelet newer than an API server that it talks to is not supported."""

    def gap(facts: Facts) -> str | None:
        oldest = versions.oldest_api_server(facts)
        return f"one is of {oldest}" if is_old(facts, wanted) and oldest < Version(wanted) else None

    return gap


def of_old(wanted: str, gap: Gap) -> Gap:
    """Asked before an old kubelet loses its pods; on a master that takes no ordinary pods nothing is drained.

    Silent where nobody tells of the node: drained without our cordon first, it would look cordoned by a person.
    """

    @where_there_is_one
    @on_cluster
    def asked(_: ClusterFacts, facts: Facts) -> str | None:
        if not is_old(facts, wanted):
            return None
        if not facts.node:
            return "it is no node of the cluster"
        return gap(facts) if takes_ordinary(facts.node) else None

    return asked


def while_old(wanted: str, gap: Gap) -> Gap:
    """For what would disturb pods: it is done while the node has none, and never after that."""
    return lambda facts: gap(facts) if is_old(facts, wanted) else None


def unless_gone(by: str, gap: Gap) -> Gap:
    """No wait for a node that an upgrade has begun to drain: the pods that it has lost may fit nowhere else.

    Nor for one that a person has cordoned and that has no pods to lose: an earlier upgrade may have drained it, and
    left no mark. Nor beside a node of the same batch, which this run has cordoned (`by`): the wait was before that.
    """

    def asked(facts: Facts) -> str | None:
        nodes = [one.node for one in facts.everyone.values()]
        beside = any(node and node.cordoned and node.cordoned_by == by for node in nodes)
        found = None if beside or is_begun(facts) else gap(facts)
        return None if found and is_emptied(facts) else found

    return asked


def is_begun(facts: Facts) -> bool:
    """Whether an upgrade has cordoned this node, and was broken off."""
    return bool(facts.node and facts.node.cordoned_by.startswith(TASK))


def comes_first(wanted: str) -> Callable[[Facts], bool]:
    """Whether to go on with this node first: an upgrade has begun to drain it, and others may wait for its pods."""

    def so(facts: Facts) -> bool:
        try:
            return is_begun(facts) or (is_old(facts, wanted) and is_emptied(facts))
        except Silent:  # this is only about the order: each node is asked again in its turn
            return False

    return so


def is_emptied(facts: Facts) -> bool:
    """Whether a node takes no pods and has none to lose. Silent where the API server does not list them."""
    if not facts.cluster or not facts.node or not facts.node.cordoned:
        return False
    return not draining.going(facts.node.name, facts.everyone[facts.cluster.speaker])


def short(ignored: Sequence[str]) -> Gap:
    """Workloads with fewer pods than they want, as while those of the former node are not up again elsewhere."""
    return lambda facts: "; ".join(map(str, shortages(facts, ignored))) or None


def shortages(facts: Facts, ignored: Sequence[str]) -> list[Running]:
    """By the speaker's word. Silent where the API server does not list workloads."""
    live = facts.cluster
    told = facts.everyone[live.speaker].workloads if live else None
    if not live or not told or not told.workloads_told:
        raise Silent("the API server does not list the cluster's workloads")
    off = _off(live, facts)
    return [one for one in told.workloads if one.short and one.name not in ignored and not _is_off(one, off)]


def _off(live: ClusterFacts, facts: Facts) -> int:
    """The nodes that are not Ready and of no host of this run, as of absent workers: DaemonSets want pods on them."""
    known = [one.node.name for one in facts.everyone.values() if one.node]
    return sum(not node.ready and name not in known for name, node in live.nodes.items())


def _is_off(one: Running, off: int) -> bool:
    """Whether all pods that it lacks may be on the nodes that are off."""
    return one.kind == "DaemonSet" and one.ready >= one.wanted - off


def unfinished(wanted: str) -> Gap:
    """What a run that was killed after the new kubelet has left: an old kubectl, and packages that are not held.

    The configuration is not asked about: it was written before, and where it differs now, the user has changed it.
    """

    def gap(facts: Facts) -> str | None:
        debs = {name: facts.packages.deb(name) for name in packages.VERSIONED}
        if not facts.trusted or not debs["kubelet"].installed or old_package(wanted)(facts):
            return None
        old = versions.upstream(debs["kubectl"].version) < Version(wanted)
        free = [f"{name} is not held" for name, deb in debs.items() if deb.installed and not deb.held]
        return ", ".join([*when(old, f"kubectl {debs['kubectl'].version or MISSING}"), *free]) or None

    return gap


def once_new(wanted: str, gap: Gap) -> Gap:
    """For what dpkg has half installed beside a kubelet that is new: a boot starts it, and nothing is behind then."""

    def asked(facts: Facts) -> str | None:
        new = facts.trusted and not is_old(facts, wanted)
        return gap(facts) if new and {*facts.packages.dpkg_broken} & {*packages.HELD} else None

    return asked


def old_kubelet(wanted: str) -> Gap:
    """It tells its version only as it starts. After a power cut it may be new, but older than its configuration."""

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        return f"it is of {versions.kubelet(facts)}" if is_old(facts, wanted) else drift_nodes.older_kubelet(facts)

    return gap


def copies(wanted: str) -> Gap:
    return lambda facts: None if behind(facts, wanted) else ", ".join(facts.upgrade.copies) or None


def ours(wanted: str) -> Gap:
    """The node is cordoned by an upgrade, which is done here. What a person has cordoned stays so."""

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        by = facts.node.cordoned_by if facts.node else ""
        return f"cordoned by {by}" if by.startswith(TASK) and not is_old(facts, wanted) else None

    return gap


def by_speaker(cluster: Cluster, close: Close) -> Close:
    """By way of the master that speaks for the cluster."""
    return lambda host: close(cluster.speaker.during(host.title, host.tell, host.beat))


_SHORT = (
    "see why: kubectl describe pods; what is not to be waited for: --ignore NAMESPACE/NAME; then the same command again"
)
