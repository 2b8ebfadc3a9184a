"""A cluster comes to a newer version: fetched everywhere, then the control planes, and then each kubelet.

Every state says "an old …": true by itself once that is new, so that a run broken off goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from packaging.version import Version

from kubefab import images, kubeadm, mirrors, render
from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, Node, Running
from kubefab.host import Host
from kubefab.releases import CONTROL_PLANE, MASTER
from kubefab.step import Close, Gap, Step, Subject, on_cluster, script, when
from kubefab.steps import draining, health, masters, packages, runtime, versions
from kubefab.steps.network import COREDNS
from kubefab.steps.versions import TASK, behind

API_SECONDS = 60
WHOLE_SECONDS = 300  # without news of the pods that a node before has lost
START_SECONDS = 60  # until a kubelet that has started tells of its version
PHASES_OF_ALL = ("addon",)  # what kubeadm keeps in the cluster, and does last


def fetched(names: Sequence[str]) -> Subject:
    """What a node that is behind will need, on its disk; nothing that runs is changed. `names`: kubeadm's images."""

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        inventory, wanted = cluster.inventory, cluster.inventory.cluster.kubernetes
        own = images.for_host(host, list(names))
        states = [
            *runtime.package_manager(),
            *packages.sources(inventory),
            *when(
                not inventory.bundle,
                Step(
                    f"the packages of Kubernetes {wanted} are downloaded",
                    unfetched(wanted),
                    script("fetch-kubernetes.sh", wanted),
                    hint=f"does {mirrors.repository(inventory)[0].url} have it? see: apt-cache policy kubelet",
                    parts=("packages",),
                ),
                Step(
                    f"the images of Kubernetes {wanted} are there",
                    images.lacking(inventory, own),
                    script("fetch-images.sh", "--wait", inventory.cluster.runtime, "", "", "", *own),
                    hint="`mirrors:` in hosts.yml says where they come from; or give them: inv images.preload",
                    parts=("runtime", "services"),
                ),
            ),
        ]
        return [replace(one, gap=where_behind(wanted, one.gap)) for one in states]

    return steps


def control_plane(cluster: Cluster, host: Host) -> list[Step]:
    """The static pods of a master, and with the first of them kubeadm's own configuration."""
    if host.wanted.role != "master":
        return []
    wanted, several = cluster.inventory.cluster.kubernetes, len(cluster.masters) > 1

    def upgrade(host: Host) -> None:
        told = cluster.facts(host).kubeadm.configuration
        command = ("node",) if told and told.version == wanted else ("apply", "--yes")
        document = _document(cluster, *when(several, *PHASES_OF_ALL))
        host.change("upgrade.sh", wanted, *command, payload=document)

    return [
        Step(
            f"the control plane is of {wanted}",
            old_control_plane(wanted),
            upgrade,
            hint="see what it says: journalctl -u kubelet; ls /var/log/containers; then the same command again",
            touches="masters",
            parts=("node", "kubeadm", "packages"),
        ),
        health.api_server(),
        *when(several, masters.up_to_date([one.name for one in cluster.masters])),
    ]


def kept(cluster: Cluster, host: Host) -> list[Step]:
    """What kubeadm keeps in the cluster for all of its nodes, once every API server is new."""
    if host.name != cluster.speaker.name:
        return []
    wanted = cluster.inventory.cluster.kubernetes
    document = _document(cluster, "preflight", "control-plane")
    return [
        Step(
            f"kube-proxy and CoreDNS are those of {wanted}",
            old_proxy(wanted),
            script("upgrade.sh", wanted, "apply", "--yes", payload=document),
            touches="cluster",
            parts=("kubeadm", "packages"),
        ),
        *map(health.rolled_out, (health.KUBE_PROXY, COREDNS)),
    ]


def kubelet(seconds: int, ignored: Sequence[str] = ()) -> Subject:
    """A node's kubelet, without pods meanwhile where it has ordinary ones; `seconds`: what its drain may take.

    `ignored`: workloads, as "namespace/name", that nobody waits for.
    """

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        wanted, name = cluster.inventory.cluster.kubernetes, node_name(cluster, host)
        by = f"{TASK} at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        document = _document(cluster, "preflight", "control-plane", "addon")
        return [
            Step("no API server is older than the kubelet will be", older_api_server(wanted), None, within=API_SECONDS),
            Step(
                "every workload has all of its pods before a node goes",
                of_old(wanted, of_speaker(short(ignored))),
                None,
                hint=_SHORT,
                within=WHOLE_SECONDS,
                touches="pods",
                anew=True,
                again=draining.TOLD_SECONDS,
                parts=(),
            ),
            Step(
                "an old kubelet gets no new pods",
                of_old(wanted, draining.is_open(name)),
                by_speaker(cluster, draining.cordon(name, by)),
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
            Step(
                f"the kubelet is installed and configured as of {wanted}",
                old_package(wanted),
                script("upgrade-kubelet.sh", wanted, payload=document),
                hint=f"see what it says: apt-cache policy kubelet, on {host.name}",
                parts=("packages", "services"),
            ),
            Step(
                f"the kubelet that runs is of {wanted}",
                old_kubelet(wanted),
                script("restart-service.sh", "kubelet"),
                hint=f"see what it says: journalctl -u kubelet, on {host.name}",
                within=START_SECONDS,
                touches="cluster",
                parts=("services",),
            ),
            *health.ready(cluster, host),
            *when(host.wanted.role == "master", health.api_server()),
            Step(
                "a node that was upgraded takes pods again",
                ours(wanted),
                by_speaker(cluster, draining.uncordon(name)),
                touches="cluster",
                parts=(),
            ),
        ]

    return steps


def node_name(cluster: Cluster, host: Host) -> str:
    """Its name in the cluster."""
    node = cluster.facts(host).node if cluster.looked_at(host) else None
    return node.name if node else host.name


def _document(cluster: Cluster, *skipped: str) -> str:
    several = len(cluster.masters) > 1
    folder = render.ETCD_PATCH.rpartition("/")[0] if several else ""
    return kubeadm.upgrade_documents(cluster.inventory, folder, skipped)


# --- what is so instead


def where_behind(wanted: str, gap: Gap) -> Gap:
    """What is asked of a node alone that is to be upgraded."""
    return lambda facts: gap(facts) if facts.trusted and behind(facts, wanted) else None


def unfetched(wanted: str) -> Gap:
    """Of the packages that are older; those that are installed apt does not fetch."""

    def gap(facts: Facts) -> str | None:
        older = [
            name
            for name in packages.VERSIONED
            if versions.upstream(facts.packages.deb(name).version) < Version(wanted)
            and not any(file.startswith(f"{name}_{wanted}-") for file in facts.packages.fetched)
        ]
        return f"without {', '.join(older)}" if older else None

    return gap


def old_control_plane(wanted: str) -> Gap:
    """Of this host; and that kubeadm's own configuration says so, by which the other masters go."""

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        found = [f"{name} {now}" for name, now in versions.control_plane(facts).items() if now < Version(wanted)]
        told = facts.kubeadm.configuration
        older = told and Version("0") < versions.upstream(told.version) < Version(wanted)
        return ", ".join([*found, *when(older, f"kubeadm-config {told.version if told else ''}")]) or None

    return gap


def old_proxy(wanted: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        found = versions.proxy(live)
        return f"kube-proxy {found}" if Version("0") < found < Version(wanted) else None

    return gap


def older_api_server(wanted: str) -> Gap:
    """A kubelet newer than an API server that it talks to is not supported."""

    def gap(facts: Facts) -> str | None:
        oldest = versions.oldest_api_server(facts)
        return f"one is of {oldest}" if is_old(facts, wanted) and oldest < Version(wanted) else None

    return gap


def is_old(facts: Facts, wanted: str) -> bool:
    """Whether the kubelet of this node of the cluster is to be upgraded, or is at it."""
    return facts.trusted and versions.kubelet(facts) < Version(wanted)


def of_old(wanted: str, gap: Gap) -> Gap:
    """What is asked before an old kubelet loses its pods; a master that takes no ordinary ones keeps them."""

    def asked(facts: Facts) -> str | None:
        return gap(facts) if is_old(facts, wanted) and takes_ordinary(facts.node) else None

    return asked


def takes_ordinary(node: Node | None) -> bool:
    return bool(node) and not {CONTROL_PLANE, MASTER} & set(node.taints if node else ())


def short(ignored: Sequence[str]) -> Gap:
    """What has fewer pods than it wants, as where those of the node before are not up again elsewhere."""
    return lambda facts: "; ".join(map(str, shortages(facts, ignored))) or None


def shortages(facts: Facts, ignored: Sequence[str]) -> list[Running]:
    """By the speaker's facts. Silent where the API server has not said what there is."""
    if not facts.workloads.workloads_told:
        raise Silent("the API server does not list the cluster's workloads")
    return [one for one in facts.workloads.workloads if one.short and one.name not in ignored]


def old_package(wanted: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = facts.packages.deb("kubelet")
        old = facts.trusted and found.installed and versions.upstream(found.version) < Version(wanted)
        return f"kubelet {found.version}" if old else None

    return gap


def old_kubelet(wanted: str) -> Gap:
    """It tells of its version once, as it starts."""

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        return f"it is of {versions.kubelet(facts)}" if is_old(facts, wanted) else None

    return gap


def ours(wanted: str) -> Gap:
    """Cordoned by an upgrade, which is at its end here. What a person has cordoned stays so."""

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        by = facts.node.cordoned_by if facts.node else ""
        return f"cordoned by {by}" if by.startswith(TASK) and not is_old(facts, wanted) else None

    return gap


def of_speaker(gap: Gap) -> Gap:
    """As the master finds it that speaks for the cluster."""
    return on_cluster(lambda live, facts: gap(facts.everyone[live.speaker]))


def by_speaker(cluster: Cluster, close: Close) -> Close:
    """By way of the master that speaks for the cluster."""
    return lambda host: close(cluster.speaker.during(host.title, host.tell, host.beat))


_SHORT = (
    "see why: kubectl describe pods; what is not to be waited for: --ignore NAMESPACE/NAME; then the same command again"
)
