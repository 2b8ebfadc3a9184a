"""The pod network: flannel, from its own pinned manifest, with our pod subnet in it."""

import json

import yaml

from kubefab import downloads, render
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts, Workload
from kubefab.inventory import Inventory
from kubefab.remote import Host
from kubefab.step import MISSING, Step, on_cluster, script

FLANNEL = "0.28.10"
# The file at the tag, not the release's asset of the same name: their selectors differ, and are immutable.
FLANNEL_URL = f"https://raw.githubusercontent.com/flannel-io/flannel/v{FLANNEL}/Documentation/kube-flannel.yml"
FLANNEL_SHA256 = "944a3c1f925f117727a1b7272a323c80965da642498397ec7e6ea9bef0f9e6c5"
FLANNEL_IMAGES = (
    f"ghcr.io/flannel-io/flannel:v{FLANNEL}",
    "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3",
)
DAEMON_SET = "kube-flannel/kube-flannel-ds"
ANNOTATION = "kubefab.internal/flannel"
COREDNS = "kube-system/coredns"
# flanneld is ready a second after its start; asked as upstream has it, it says so 10 to 15 s after it.
EAGER = {"initialDelaySeconds": 0, "periodSeconds": 2}

# Interfaces that Kubernetes, container runtimes and virtual machines make themselves.
MADE = ("cni", "flannel", "docker", "veth", "br-", "kube-", "virbr", "podman")


def steps(cluster: Cluster, host: Host) -> list[Step]:
    if host.name != cluster.master.name:
        return []
    inventory = cluster.inventory
    subnet = str(inventory.cluster.pod_subnet)
    everyone = tuple(str(host.address) for host in inventory.hosts)

    def wanted(live: ClusterFacts | None) -> str:
        """The mark of the manifest that this cluster should have: with interfaces once a host has several."""
        chosen = any(several(facts) for facts in cluster.all_facts().values()) or "--iface" in applied(live)
        return mark(subnet, everyone if chosen else ())

    def apply(host: Host) -> None:
        manifest = downloads.pinned(render.mirrored(FLANNEL_URL, inventory)[0], FLANNEL_SHA256).decode()
        # By the server: what others own in these objects is told apart from what is ours.
        arguments = ("apply", "--server-side", "--force-conflicts", "--field-manager=kubefab", "-f", "-")
        text = edited(manifest, subnet, wanted(cluster.facts(host).cluster))
        host.change("kubectl.sh", *arguments, payload=text)

    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        found = applied(live)
        return None if found == wanted(live) else found or MISSING

    return [
        Step("flannel is applied", gap, apply, hint=_HINT, touches="cluster", parts=()),
        *cluster_dns(inventory, host),
    ]


def cluster_dns(inventory: Inventory, host: Host) -> list[Step]:
    """CoreDNS, once its pods get a network: those that try before are tried again 10 to 15 s later."""
    documents = render.init_documents(inventory, host.wanted)

    @on_cluster
    def no_dns(live: ClusterFacts, _: Facts) -> str | None:
        return None if COREDNS in live.workloads else MISSING

    @on_cluster
    def no_network(live: ClusterFacts, facts: Facts) -> str | None:
        if not no_dns(facts) or live.workloads.get(DAEMON_SET, Workload()).ready:
            return None
        return "no pod of it answers yet"

    return [
        Step("flannel answers", no_network, None, _SEE, within=300, touches="cluster", parts=()),
        Step("CoreDNS is applied", no_dns, script("apply-dns.sh", payload=documents), touches="cluster", parts=()),
    ]


def applied(live: ClusterFacts | None) -> str:
    """The mark of the flannel that is there; "" for none."""
    daemons = live.workloads.get(DAEMON_SET) if live else None
    return daemons.annotations.get(ANNOTATION, "one that was applied by hand") if daemons else ""


def mark(subnet: str, addresses: tuple[str, ...]) -> str:
    """What a manifest was made of: its version, and all that was edited in it."""
    return " ".join((FLANNEL, subnet, *(f"--iface={address}" for address in addresses)))


def several(facts: Facts) -> bool:
    """Whether flannel has to be told which interface to use: else it takes the default route's."""
    return len({name for name in facts.addresses.values() if not name.startswith(MADE)}) > 1


def edited(manifest: str, subnet: str, marked: str) -> str:
    """flannel's manifest with our pod subnet, interfaces and mark in it, and a probe that sees it soon."""
    documents = [document for document in yaml.safe_load_all(manifest) if document]
    for document in documents:
        if document["kind"] == "ConfigMap":
            network = {**json.loads(document["data"]["net-conf.json"]), "Network": subnet}
            document["data"]["net-conf.json"] = json.dumps(network, indent=2)
        if document["kind"] == "DaemonSet":
            document["metadata"].setdefault("annotations", {})[ANNOTATION] = marked
            flanneld = document["spec"]["template"]["spec"]["containers"][0]
            flanneld["args"] += [word for word in marked.split() if word.startswith("--iface=")]
            flanneld.get("readinessProbe", {}).update(EAGER)
    return yaml.safe_dump_all(documents, sort_keys=False)


_HINT = "a flannel that was applied by hand from another file has to go first: kubectl delete ns kube-flannel"
_SEE = "see why: kubectl -n kube-flannel get pods -o wide; kubectl -n kube-flannel describe pods"
