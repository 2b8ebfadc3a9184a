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
from kubefab.step import Close, Gap, Step, Subject, complaint, on_cluster, script, when
from kubefab.steps import bundle, draining, health, masters, packages, runtime, versions
from kubefab.steps.network import COREDNS
from kubefab.steps.versions import TASK, behind

API_SECONDS = READY_SECONDS = 60
ANSWER_SECONDS = 120  # until an API server has started anew
COPIES = 2  # times etcd's folder, which grows meanwhile
SKEW = 3  # minors that a kubelet may be older: https://kubernetes.io/releases/version-skew-policy/
WHOLE_SECONDS = 300  # without news of the pods that a node before has lost
START_SECONDS = 60  # until a kubelet that has started tells of its version
PHASES_OF_ALL = ("addon",)  # what kubeadm keeps in the cluster, and does last


def taken_up(cluster: Cluster, host: Host) -> list[Step]:
    """What an upgrade that was broken off may need before anybody can be asked for anything."""
    if host.wanted.role != "master":
        return []

    def put(host: Host) -> None:
        host.change("put-manifests.sh", *cluster.facts(host).upgrade.torn)

    return [
        Step("no manifest is left away by an upgrade", torn, put, parts=("node", "upgrade")),
        *when(
            host.name == cluster.speaker.name,
            Step("the API server answers", unheard, None, _SILENT, within=ANSWER_SECONDS, touches="cluster", parts=()),
        ),
    ]


def listed(cluster: Cluster, host: Host) -> list[Step]:
    """What is to be told before anybody is asked: a busy API server may not list all of it at once."""
    title = "the API server lists pods and workloads"
    wait = Step(title, unlisted, None, _SILENT, within=ANSWER_SECONDS, touches="pods", parts=())
    return [wait] if host.name == cluster.speaker.name else []


def possible(cluster: Cluster, host: Host) -> list[Step]:
    """What only a person can change, before anything is."""
    inventory = cluster.inventory
    wanted = inventory.cluster.kubernetes
    told = None if inventory.release.upgrades else f"{wanted} is older than 1.32"
    return [
        *when(
            host.name == cluster.speaker.name,
            complaint("kubeadm can be told how to upgrade", lambda _: told, "by hand: kubeadm upgrade apply"),
            complaint("no minor is skipped", skipped(wanted), "a minor at a time: put that one into hosts.yml first"),
        ),
        complaint("the kubelet is at most three minors older", too_old(wanted), "upgrade that kubelet by hand first"),
        *when(
            host.wanted.role == "master",
            complaint("there is room for kubeadm's copy of etcd", no_room(wanted), "make room below /etc/kubernetes"),
        ),
    ]


def fetched(names: Sequence[str]) -> Subject:
    """What a node that is behind will need, on its disk; nothing that runs is changed. `names`: kubeadm's images."""

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        inventory, wanted = cluster.inventory, cluster.inventory.cluster.kubernetes
        own = [*images.for_host(host, list(names)), *_etcd_before(cluster, host)]
        states = [
            Step(
                "the node is Ready before it is upgraded",
                untouched(wanted, health.not_ready),
                None,
                hint=f"see why: kubectl describe node {host.name}; journalctl -u kubelet, on {host.name}",
                within=READY_SECONDS,
                touches="cluster",
                parts=(),
            ),
            *bundle.steps(cluster, host),
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
        states += bundle.images_loaded(cluster, host)
        return [replace(one, gap=where_behind(wanted, one.gap)) for one in states]

    return steps


def etcd_first(cluster: Cluster, host: Host) -> list[Step]:
    """Several members go to the newest etcd of their own minor before the first of them goes to the next one.

    In the manifest alone: a tag in kubeadm's stored configuration would hold back the next etcd.
    """
    tag, names = cluster.release.etcd_before, [one.name for one in cluster.masters]
    if host.name not in names or len(names) == 1 or not tag:
        return []

    def set_image(host: Host) -> None:
        host.change("set-etcd-image.sh", etcd_image(cluster.facts(host), tag))

    return [
        Step(
            f"etcd is of {tag.partition('-')[0]} before it goes farther",
            old_etcd(tag, cluster.inventory.cluster.kubernetes),
            set_image,
            hint="see what it says: ls /var/log/containers/etcd*",
            within=masters.SECONDS,
            touches="masters",
            parts=("node", "etcd", "api"),
        ),
        masters.up_to_date(names),
        health.api_server(),
    ]


def control_plane(cluster: Cluster, host: Host) -> list[Step]:
    """The static pods of a master, and with the first of them kubeadm's own configuration."""
    if host.wanted.role != "master":
        return []
    wanted, several = cluster.inventory.cluster.kubernetes, len(cluster.masters) > 1

    def upgrade(host: Host) -> None:
        told = cluster.facts(host).kubeadm.configuration
        command = ("node",) if told and told.version == wanted else ("apply", "--yes")
        document = _document(cluster, host, *when(several, *PHASES_OF_ALL))
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
    document = _document(cluster, host, "preflight", "control-plane")
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
        document = _document(cluster, host, "preflight", "control-plane", "addon")
        return [
            Step("no API server is older than the kubelet will be", older_api_server(wanted), None, within=API_SECONDS),
            Step(
                "every workload has all of its pods before a node goes",
                of_old(wanted, unless_gone(of_speaker(short(ignored)))),
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
                unfinished(wanted),
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
            *when(
                host.wanted.role == "master",
                health.api_server(),
                replace(
                    health.wait(
                        "its static pods are Ready", of_speaker(static(name)), "see why: ls /var/log/containers"
                    ),
                    touches="pods",
                    anew=True,
                ),
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


def _etcd_before(cluster: Cluster, host: Host) -> list[str]:
    """The image of etcd_first, where it is needed."""
    if not cluster.looked_at(host) or not any(one.gap(cluster.facts(host)) for one in etcd_first(cluster, host)[:1]):
        return []
    return [etcd_image(cluster.facts(host), cluster.release.etcd_before)]


def node_name(cluster: Cluster, host: Host) -> str:
    """Its name in the cluster."""
    node = cluster.facts(host).node if cluster.looked_at(host) else None
    return node.name if node else host.name


def _document(cluster: Cluster, host: Host, *skipped: str) -> str:
    """kubeadm's own; the folder of our patches only a master among several has."""
    among_several = host.wanted.role == "master" and len(cluster.masters) > 1
    folder = render.ETCD_PATCH.rpartition("/")[0] if among_several else ""
    return kubeadm.upgrade_documents(cluster.inventory, folder, skipped)


# --- what is so instead


def torn(facts: Facts) -> str | None:
    return ", ".join(facts.upgrade.torn) or None


def unheard(facts: Facts) -> str | None:
    return facts.cluster.unheard if facts.cluster and facts.cluster.silent else None


def unlisted(facts: Facts) -> str | None:
    told = facts.pods.pods_told and facts.workloads.workloads_told
    return None if told else "it has not said which there are"


def skipped(wanted: str) -> Gap:
    """kubeadm goes from one minor to the next."""

    def gap(facts: Facts) -> str | None:
        now, then = versions.oldest_api_server(facts), Version(wanted)
        if not now.major or then.minor <= now.minor + 1:
            return None
        return f"from {now} to {wanted}; next is a version of {now.major}.{now.minor + 1}"

    return gap


def too_old(wanted: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        old = is_old(facts, wanted) and versions.kubelet(facts).minor < Version(wanted).minor - SKEW
        return f"it is of {versions.kubelet(facts)}, and {wanted} is to be the control plane's" if old else None

    return gap


def no_room(wanted: str) -> Gap:
    """kubeadm copies all of etcd's folder before it upgrades it."""

    def gap(facts: Facts) -> str | None:
        needed = COPIES * facts.upgrade.etcd_mib
        if not behind(facts, wanted) or facts.upgrade.room_mib >= needed:
            return None
        return f"{facts.upgrade.room_mib} MiB are free; allowed: {needed} MiB, twice of what etcd has"

    return gap


def untouched(wanted: str, gap: Gap) -> Gap:
    """What is asked of a kubelet of which nothing is upgraded yet: once begun, only the end of it brings it back."""
    return lambda facts: gap(facts) if old_package(wanted)(facts) else None


def static(node: str) -> Gap:
    """Those of this node, by the speaker's facts: a new kubelet may begin them anew (siderolabs/talos#14227)."""

    def gap(facts: Facts) -> str | None:
        here = [one for one in shortages(facts, ()) if one.kind == "Pod" and one.name.endswith(f"-{node}")]
        return ", ".join(one.name for one in here) or None

    return gap


def copies(wanted: str) -> Gap:
    return lambda facts: None if behind(facts, wanted) else ", ".join(facts.upgrade.copies) or None


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


def old_etcd(tag: str, wanted: str) -> Gap:
    """Where a control plane is to be upgraded; by the member that runs, which proves it."""
    needed = versions.upstream(tag)

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        member = facts.etcd.member
        if facts.etcd.elsewhere or versions.oldest_api_server(facts) >= Version(wanted):
            return None
        if not member:
            return f"its etcd gives no answer: {facts.etcd.etcd_silent}"
        return f"etcd {member.version}" if versions.upstream(member.version) < needed else None

    return gap


def etcd_image(facts: Facts, tag: str) -> str:
    """From where this master has its etcd now."""
    return f"{facts.local.static.get('etcd.yaml', '').rpartition(':')[0]}:{tag}"


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


def unless_gone(gap: Gap) -> Gap:
    """Nobody waits before a node that an upgrade has begun to empty: what it has lost may have no other place."""
    return lambda facts: None if facts.node and facts.node.cordoned_by.startswith(TASK) else gap(facts)


def short(ignored: Sequence[str]) -> Gap:
    """What has fewer pods than it wants, as where those of the node before are not up again elsewhere."""
    return lambda facts: "; ".join(map(str, shortages(facts, ignored))) or None


def shortages(facts: Facts, ignored: Sequence[str]) -> list[Running]:
    """By the speaker's facts. Silent where the API server has not said what there is."""
    if not facts.workloads.workloads_told:
        raise Silent("the API server does not list the cluster's workloads")
    return [one for one in facts.workloads.workloads if one.short and one.name not in ignored]


def unfinished(wanted: str) -> Gap:
    """Of what comes with the kubelet: killed there, dpkg leaves some of it old, and what it has unpacked not held."""

    def gap(facts: Facts) -> str | None:
        debs = {name: facts.packages.deb(name) for name in packages.VERSIONED}
        if not facts.trusted or not debs["kubelet"].installed:
            return None
        old = [name for name in ("kubelet", "kubectl") if versions.upstream(debs[name].version) < Version(wanted)]
        free = [f"{name} is not held" for name, deb in debs.items() if deb.installed and not deb.held]
        return ", ".join([*(f"{name} {debs[name].version}" for name in old), *free]) or None

    return gap


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


_SILENT = "see what it says, on the master: journalctl -u kubelet; ls /var/log/containers"
_SHORT = (
    "see why: kubectl describe pods; what is not to be waited for: --ignore NAMESPACE/NAME; then the same command again"
)
