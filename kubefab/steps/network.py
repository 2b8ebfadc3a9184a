"""The pod network: flannel, from its own pinned manifest, with our pod subnet in it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from kubefab import downloads, kubeadm, mirrors
from kubefab.addons.addon import labelled
from kubefab.cluster import Cluster
from kubefab.facts import OBJECTS, ClusterFacts, Facts, Workload
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Close, Step, cluster_progress, on_cluster, script, when
from kubefab.steps.objects import APPLY, incomplete, setting

# The file at the tag, not the release's asset of the same name: their selectors differ, and are immutable.
MANIFEST = "https://raw.githubusercontent.com/flannel-io/flannel/v{}/Documentation/kube-flannel.yml"
IMAGES = ("ghcr.io/flannel-io/flannel:v{}", "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3")
REGISTRY = "ghcr.io"
DAEMON_SET = "kube-flannel/kube-flannel-ds"
ANNOTATION = "kubefab.internal/flannel"
SETTINGS = ("kube-flannel", "kube-flannel-cfg", "net-conf.json")
FLANNEL = "flannel"
COREDNS = "kube-system/coredns"
APPLIED = "flannel is applied"
DNS_PATCHES = "/run/kubefab/patches"
# flanneld is ready a second after its start; asked as upstream has it, it says so 10 to 15 s after it.
EAGER = {"initialDelaySeconds": 0, "periodSeconds": 2}
# Else one node that is away keeps what is applied from all others. Routes stay while flanneld is started anew.
ALL_AT_ONCE = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}}

# Interfaces that Kubernetes, container runtimes and virtual machines make themselves.
MADE = ("cni", "flannel", "docker", "veth", "br-", "kube-", "virbr", "podman")


def steps(cluster: Cluster, host: Host) -> list[Step]:
    if host.name != cluster.speaker.name:
        return []
    return [*flannel_applied(cluster, host), *cluster_dns(cluster.inventory, host)]


def begun(cluster: Cluster, host: Host) -> list[Step]:
    """What nodes get their network by as soon as they have joined."""
    return flannel_applied(cluster, host) if host.name == cluster.speaker.name else []


def flannel_applied(cluster: Cluster, host: Host) -> list[Step]:
    """Applied by the master, whoever needs it: a machine that joins may be the first with several addresses."""
    inventory, asked = cluster.inventory, when(host.name == cluster.speaker.name, "addons")
    flannel = cluster.release.flannel
    subnet = str(inventory.cluster.pod_subnet)
    everyone = tuple(str(host.address) for host in inventory.hosts)

    def wanted(facts: Facts) -> str:
        """The mark of the manifest that this cluster should have: with addresses once a host has several."""
        named = any(several(one) for one in facts.everyone.values()) or "--iface" in applied(facts.cluster)
        return mark(flannel.version, subnet, mirrors.image(REGISTRY, inventory), everyone if named else ())

    def apply(host: Host) -> None:
        manifest = downloads.published(inventory, MANIFEST.format(flannel.version), flannel.sha256).decode()
        marked = wanted(cluster.facts(host))
        text = edited(manifest, subnet, marked, lambda image: mirrors.image(image, inventory), chosen(cluster.speaker))
        cluster.speaker.during(APPLIED).change("kubectl.sh", *APPLY, payload=text)

    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        found = applied(live)
        if found != wanted(facts):
            return found or MISSING
        return incomplete(FLANNEL, live.workloads[DAEMON_SET], facts) if asked else None

    return [Step(APPLIED, gap, apply, hint=_HINT, touches="cluster", parts=asked)]


def cluster_dns(inventory: Inventory, host: Host) -> list[Step]:
    """CoreDNS, once its pods get a network: those that try before are tried again 10 to 15 s later."""

    @on_cluster
    def no_dns(live: ClusterFacts, _: Facts) -> str | None:
        return None if COREDNS in live.workloads else MISSING

    @on_cluster
    def no_network(live: ClusterFacts, facts: Facts) -> str | None:
        # On every node that takes pods by now: each may be given one of CoreDNS's.
        ready = max(live.ready_nodes, 1)
        answering = live.workloads.get(DAEMON_SET, Workload()).ready
        return f"{answering} of {ready} pods answer" if no_dns(facts) and answering < ready else None

    return [
        Step(
            "flannel answers",
            no_network,
            None,
            _SEE,
            within=300,
            progress=cluster_progress,
            workload=DAEMON_SET,
            touches="cluster",
            parts=(),
        ),
        Step(
            "CoreDNS is applied",
            no_dns,
            apply_dns(inventory, host),
            touches="cluster",
            parts=(),
        ),
    ]


def apply_dns(inventory: Inventory, host: Host) -> Close:
    """By the kubeadm that is installed there; one that is there already is brought up to it."""
    documents = kubeadm.dns_documents(inventory, host.wanted, DNS_PATCHES)
    return script("apply-dns.sh", DNS_PATCHES, payload=documents)


def applied(live: ClusterFacts | None) -> str:
    """The mark of the flannel that is there; "" for none."""
    daemons = live.workloads.get(DAEMON_SET) if live else None
    return daemons.annotations.get(ANNOTATION, "one that was applied by hand") if daemons else ""


def chosen(speaker: Host) -> dict[str, Any]:
    """What the flannel that is there is told: its backend, WireGuard say, and IPv6 are somebody's choice."""
    said: dict[str, Any] = json.loads(setting(speaker, *SETTINGS) or "{}")
    return said


def images(inventory: Inventory) -> list[str]:
    """What every node runs of it."""
    flannel = inventory.release.flannel
    return [mirrors.image(name.format(flannel.version), inventory) for name in IMAGES]


def manifests(inventory: Inventory) -> dict[str, str]:
    """What is fetched to apply it, and its sha256."""
    flannel = inventory.release.flannel
    return {MANIFEST.format(flannel.version): flannel.sha256}


def mark(version: str, subnet: str, registry: str, addresses: tuple[str, ...]) -> str:
    """What a manifest was made of: its version, and all that was edited in it."""
    elsewhere = () if registry == REGISTRY else (registry,)
    return " ".join((version, subnet, *elsewhere, *(f"--iface={address}" for address in addresses)))


def several(facts: Facts) -> bool:
    """Whether flannel has to be told its address: else it takes the first one of the default route's interface."""
    return len([name for name in facts.system.addresses.values() if not name.startswith(MADE)]) > 1


def edited(
    manifest: str, subnet: str, marked: str, named: Callable[[str], str], theirs: Mapping[str, Any] | None = None
) -> str:
    """flannel's manifest with our pod subnet, names of images and mark in it: for all nodes at once, and seen soon.

    `theirs`: what it was told besides, which stays.
    """
    documents = [document for document in yaml.safe_load_all(manifest) if document]
    count = labelled(documents, FLANNEL)
    for document in documents:
        if document["kind"] == "ConfigMap":
            network = {**json.loads(document["data"]["net-conf.json"]), **(theirs or {}), "Network": subnet}
            document["data"]["net-conf.json"] = json.dumps(network, indent=2)
        if document["kind"] == "DaemonSet":
            document["metadata"].setdefault("annotations", {}).update({ANNOTATION: marked, OBJECTS: str(count)})
            document["spec"]["updateStrategy"] = ALL_AT_ONCE
            pod = document["spec"]["template"]["spec"]
            for container in (*pod["initContainers"], *pod["containers"]):
                container["image"] = named(container["image"])
            flanneld = pod["containers"][0]
            flanneld["args"] += [word for word in marked.split() if word.startswith("--iface=")]
            flanneld.get("readinessProbe", {}).update(EAGER)
    return yaml.safe_dump_all(documents, sort_keys=False)


_HINT = "a flannel that was applied by hand from another file has to go first: kubectl delete ns kube-flannel"
_SEE = "see why: kubectl -n kube-flannel get pods -o wide; kubectl -n kube-flannel describe pods"
