"""An upgrade: what it needs is fetched on every node, then the control planes are upgraded.

Each gap asks whether something is old, so that a run that was broken off goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import replace

from packaging.version import Version

from kubefab import images, kubeadm, mirrors, render
from kubefab.cluster import Cluster
from kubefab.errors import HostError, Silent
from kubefab.facts import ClusterFacts, Facts, Manifest, Running
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Gap, Step, Subject, complaint, files, on_cluster, script, when
from kubefab.steps import bundle, drift_proxy, health, marked, masters, network, packages, runtime, versions
from kubefab.steps.versions import behind

READY_SECONDS = 60
BOTH_PATCHES = "/run/kubefab/upgrade-patches"  # kubeadm takes one folder: scripts/shared/upgrade.sh
PHASES_OF_ALL = ("addon",)  # what kubeadm keeps in the cluster, and does last


def fetched(names: Sequence[str], alone: str | None = None) -> Subject:
    """What a node that is behind will need, on its disk; nothing that runs is changed. `names`: kubeadm's images.

    Where one host `alone` is upgraded, another one that is not Ready holds nothing up.
    """

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        node = cluster.facts(host).node
        if alone not in (None, host.name) and not (node and node.ready):
            return []
        inventory, wanted = cluster.inventory, cluster.inventory.cluster.kubernetes
        first = _etcd_before(cluster, host)
        own = [*images.for_host(host, list(names)), *first]
        states = [
            Step(
                "the node is Ready before it is upgraded",
                untouched(wanted, health.not_ready),
                None,
                hint=health.see_node(cluster, host),
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
                    hint=_MIRRORS,
                    parts=("runtime", "services"),
                ),
            ),
        ]
        states += bundle.images_loaded(cluster, host)
        if inventory.bundle:
            states.append(
                complaint("the image of etcd on its way is at hand", bundle.unheld(inventory, first), _BUNDLE_ANEW)
            )
        return [replace(one, gap=where_behind(wanted, one.gap)) for one in states]

    return steps


def etcd_first(cluster: Cluster, host: Host) -> list[Step]:
    """All members go to a late patch of their own minor version before the first goes to the next minor.

    Only the manifest is changed: a tag in kubeadm's stored configuration would hold back the next etcd.
    """
    tag, names = versions.etcd_on_its_way(cluster.inventory), cluster.master_names
    if host.name not in names or not tag:
        return []

    def set_image(host: Host) -> None:
        host.change("set-etcd-image.sh", etcd_image(cluster.facts(host), tag))

    return [
        masters.up_to_date(names),
        Step(
            f"etcd is of {tag.partition('-')[0]} before it goes farther",
            etcd_before(cluster),
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
        upgrade_by_kubeadm(cluster, host, *command, without=when(several, *PHASES_OF_ALL))

    return [
        *patched(cluster, host),
        Step(
            "no earlier copy of kubeadm's takes up room",
            earlier_copies(wanted),
            script("forget-copies.sh"),
            anew=True,
            parts=("upgrade", "kubeadm", "node"),
        ),
        Step(
            f"the control plane is of {wanted}",
            old_control_plane(wanted),
            upgrade,
            hint="see what it says: journalctl -u kubelet; ls /var/log/containers; then the same command again",
            touches="masters",
            parts=("node", "kubeadm", "packages", "manifests"),
        ),
        health.api_server(),
        static_pods(),
        *when(several, masters.up_to_date(cluster.master_names)),
    ]


def kept(names: Sequence[str]) -> Subject:
    """Upgrades what is kept in the cluster for all nodes, once every API server is new. `names`: kubeadm's images."""

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        if host.name != cluster.speaker.name:
            return []
        wanted = cluster.inventory.cluster.kubernetes

        def upgrade(host: Host) -> None:
            upgrade_by_kubeadm(cluster, host, "apply", "--yes", without=("preflight", "control-plane"))

        def switch_gates_off(host: Host) -> None:
            inventory, facts = cluster.inventory, cluster.facts(host)
            stored = kept_for_kubelets(facts).text
            made = marked.understood(lambda: kubeadm.with_gates_off(inventory, stored))
            document = marked.documents(inventory, host, facts, made)
            host.change("upload-configuration.sh", marked.KUBELET, payload=document)

        return [
            *patched(cluster, host),
            Step(
                f"kube-proxy and what kubeadm keeps are of {wanted}",
                old_proxy(wanted),
                upgrade,
                touches="cluster",
                parts=("kubeadm", "packages"),
            ),
            drift_proxy.noted_proxy(cluster),
            # kubefab's init leaves CoreDNS out, so that no upgrade by kubeadm touches it.
            Step(
                f"CoreDNS is that of {wanted}",
                old_dns(names),
                network.apply_dns(cluster.inventory, host),
                touches="cluster",
                parts=(),
            ),
            *map(health.rolled_out, (health.KUBE_PROXY, network.COREDNS)),
            # An upgrade takes each kubelet's configuration from what is kept, and adds nothing to that by itself.
            Step(
                "kubelets are told which feature gates cri-dockerd cannot live with",
                while_some_are_old(cluster, without_gates(cluster.inventory)),
                switch_gates_off,
                parts=("kubeadm",),
            ),
        ]

    return steps


def _etcd_before(cluster: Cluster, host: Host) -> list[str]:
    """The image that etcd_first needs, if it has anything to do here."""
    of_a_master = host.wanted.role == "master" and cluster.looked_at(host)
    if not of_a_master or not etcd_before(cluster)(cluster.facts(host)):
        return []
    return [etcd_image(cluster.facts(host), versions.etcd_on_its_way(cluster.inventory))]


def patched(cluster: Cluster, host: Host) -> list[Step]:
    """A cluster made by hand lacks our patches, and kubeadm gives up where their folder is missing."""
    step, wanted = files("kubeadm's patches are there", render.patches()), cluster.inventory.cluster.kubernetes
    kept = (old_control_plane(wanted), old_proxy(wanted))

    def gap(facts: Facts) -> str | None:
        anew = facts.trusted and (behind(facts, wanted) or any(old(facts) for old in kept))
        return step.gap(facts) if anew else None

    return [replace(step, gap=gap, parts=("files", "node"))] if host.wanted.role == "master" else []


def static_pods() -> Step:
    """Asked after new manifests and after a new kubelet, which may restart them, too (siderolabs/talos#14227)."""
    hint = "see why: ls /var/log/containers; journalctl -u kubelet"
    return replace(health.wait("its static pods are Ready", static, hint), touches="pods", anew=True)


def known_patches(cluster: Cluster, host: Host) -> list[Step]:
    """It has to be known which patches the user has, before anything is made without them."""
    told = None
    try:
        marked.patches(cluster.inventory, host)
    except HostError as error:
        told = error.what
    gap = where_behind(cluster.inventory.cluster.kubernetes, lambda _: told)
    return [complaint("hosts.yml says with which patches it was made", gap, marked.ONE_FOLDER)]


def upgrade_by_kubeadm(cluster: Cluster, host: Host, *command: str, without: Sequence[str]) -> None:
    """`command`: of `kubeadm upgrade`, `apply --yes` or `node`; `without`: phases to skip."""
    theirs, document = marked.patches(cluster.inventory, host), documents(cluster, host, *without)
    host.change("upgrade.sh", cluster.inventory.cluster.kubernetes, theirs, *command, payload=document)


def documents(cluster: Cluster, host: Host, *skipped: str) -> str:
    """What kubeadm reads, with the user's patches, and on masters ours."""
    theirs = marked.patches(cluster.inventory, host)
    ours = render.PATCHES if host.wanted.role == "master" else ""
    folder = BOTH_PATCHES if ours and theirs else ours or theirs
    return kubeadm.upgrade_documents(cluster.inventory, host.wanted, folder, skipped)


# --- what is so instead


def untouched(wanted: str, gap: Gap) -> Gap:
    """Asked only before the upgrade of a node has begun: afterwards, only its end brings the kubelet back.

    The new kubeadm comes first, then a configuration with which the former kubelet may not start.
    """

    def asked(facts: Facts) -> str | None:
        parts = (versions.upstream(facts.packages.deb("kubeadm").version), *versions.control_plane(facts).values())
        begun = min(parts) >= Version(wanted)
        return gap(facts) if old_package(wanted)(facts) and not begun else None

    return asked


def where_behind(wanted: str, gap: Gap) -> Gap:
    """Asked only of a node that is to be upgraded."""
    return lambda facts: gap(facts) if facts.trusted and behind(facts, wanted) else None


def unfetched(wanted: str) -> Gap:
    """Packages that are older and not fetched yet; apt does not fetch what is installed."""

    def gap(facts: Facts) -> str | None:
        older = [
            name
            for name in packages.VERSIONED
            if versions.upstream(facts.packages.deb(name).version) < Version(wanted)
            and not any(file.startswith(f"{name}_{wanted}-") for file in facts.packages.fetched)
        ]
        return f"without {', '.join(older)}" if older else None

    return gap


def etcd_before(cluster: Cluster) -> Gap:
    """A master's etcd is old, where the new one is of the next minor, and no member may go there directly."""
    inventory, tag = cluster.inventory, versions.etcd_on_its_way(cluster.inventory)
    old = old_etcd(tag, inventory.cluster.kubernetes)
    return lambda facts: old(facts) if tag and not versions.etcd_stays(facts, inventory.release.etcd_before) else None


def old_etcd(tag: str, wanted: str) -> Gap:
    """Asked where a control plane is to be upgraded; the version counts that the running member tells."""
    needed = versions.upstream(tag)

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        member, started = facts.etcd.member, versions.upstream(versions.tag(facts.local.static.get("etcd.yaml", "")))
        if facts.etcd.elsewhere or versions.oldest_api_server(facts) >= Version(wanted):
            return None
        if not member:  # with a new image in its manifest it may have newer data: no way back
            return None if started >= needed else f"its etcd gives no answer: {facts.etcd.etcd_silent}"
        return f"etcd {member.version}" if versions.upstream(member.version) < needed else None

    return gap


def etcd_image(facts: Facts, tag: str) -> str:
    """The image with this tag, from where this master's etcd comes now."""
    now = facts.local.static.get("etcd.yaml", "").partition("@")[0]
    return f"{now.rpartition(':')[0]}:{tag}"


def old_control_plane(wanted: str) -> Gap:
    """This host's static pods, and the configuration that kubeadm keeps, which the other masters go by."""

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        found = [f"{name} {now}" for name, now in versions.control_plane(facts).items() if now < Version(wanted)]
        told = facts.kubeadm.configuration
        older = told and Version("0") < versions.upstream(told.version) < Version(wanted)
        return ", ".join([*found, *when(older, f"kubeadm-config {told.version if told else ''}")]) or None

    return gap


def earlier_copies(wanted: str) -> Gap:
    """Each is as big as etcd. They stay while an upgrade is torn: one of them has the only copy of a manifest."""
    old = old_control_plane(wanted)
    return lambda facts: ", ".join(facts.upgrade.copies) or None if old(facts) and not facts.upgrade.torn else None


@on_cluster
def static(live: ClusterFacts, facts: Facts) -> str | None:
    """Pods of this host's manifests that the API server lists otherwise, or not at all. Silent where it lists nothing.

    A kubelet replaces a mirror pod once the manifest changes: a Ready one with the right image is the new pod's.
    """
    told = facts.everyone[live.speaker].workloads
    if not told.workloads_told:
        raise Silent("the API server does not list the cluster's workloads")
    if not facts.node:
        return "it is no node of the cluster"
    listed, wanted = {one.name: one for one in told.workloads}, versions.static(facts)
    pods = {name: listed.get(f"kube-system/{name}-{facts.node.name}") for name in wanted}
    found = {name: _unlike(pod, wanted[name]) for name, pod in pods.items()}
    return ", ".join(f"{name} {gap}" for name, gap in found.items() if gap) or None


def _unlike(pod: Running | None, image: str) -> str | None:
    if not pod:
        return "is not listed"
    if image not in pod.images:
        return f"is of {', '.join(pod.images)}, and not of {image}"
    return "is not Ready" if pod.short else None


def of_speaker(gap: Gap) -> Gap:
    """The gap in the facts of the master that speaks for the cluster."""
    return on_cluster(lambda live, facts: gap(facts.everyone[live.speaker]))


def old_proxy(wanted: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        found = versions.proxy(live)
        return f"kube-proxy {found}" if Version("0") < found < Version(wanted) else None

    return gap


def without_gates(inventory: Inventory) -> Gap:
    """Feature gates to be off that neither what kubeadm keeps for kubelets names, nor hosts.yml."""
    said = inventory.told("KubeletConfiguration.featureGates") or {}
    wanted = [name for name in kubeadm.gates_off(inventory) if name not in said]

    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        there = kept_for_kubelets(facts).settings if wanted else {}
        return ", ".join(f"without {name}" for name in wanted if f"featureGates.{name}" not in there) or None

    return gap


def while_some_are_old(cluster: Cluster, gap: Gap) -> Gap:
    """Asked while a kubelet is old: kubelets take this up only as they are upgraded."""
    wanted = cluster.inventory.cluster.kubernetes
    return lambda facts: gap(facts) if any(versions.is_old(one, wanted) for one in facts.everyone.values()) else None


def kept_for_kubelets(facts: Facts) -> Manifest:
    """The configuration that kubeadm keeps for kubelets. Silent where nobody could read it."""
    told = marked.kept(facts).kubelets
    if not told or told.broken:
        raise Silent("what kubeadm keeps for kubelets cannot be read")
    return told


def old_dns(names: Sequence[str]) -> Gap:
    """CoreDNS is older than the one among these images. The user's own DNS is never old."""
    wanted = next((versions.upstream(versions.tag(name)) for name in names if "/coredns:" in name), Version("0"))

    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        images = live.workloads[network.COREDNS].images if network.COREDNS in live.workloads else ()
        found = versions.upstream(versions.tag(images[0])) if images else wanted
        return f"CoreDNS {found}" if found < wanted else None

    return gap


def old_package(wanted: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = facts.packages.deb("kubelet")
        old = facts.trusted and found.installed and versions.upstream(found.version) < Version(wanted)
        return f"kubelet {found.version}" if old else None

    return gap


# An upgrade writes no mirrors: what a person has written there for a registry would be lost unasked.
_MIRRORS = (
    "they come from where `mirrors:` and `proxy:` in hosts.yml said at the last inv cluster.up; after a change there, "
    "with the cluster's present version in hosts.yml: inv cluster.up, then upgrade; or give them: inv images.preload"
)
_BUNDLE_ANEW = "make the bundle anew by this kubefab: inv bundle.make; or give the image: inv images.preload"
