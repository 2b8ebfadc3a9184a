"""The add-ons: those that hosts.yml names, and one that is asked for by itself."""

import json
from typing import Any

from kubefab import downloads, mirrors
from kubefab.addons import ADDONS, DASHBOARDS, Addon, Version
from kubefab.addons.addon import Document
from kubefab.addons.rook import ROOK
from kubefab.cluster import Cluster
from kubefab.facts import ADDON, ClusterFacts, Facts
from kubefab.host import Host
from kubefab.images import full_name
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Gap, Step, complaint, on_cluster, where_there_is_one
from kubefab.steps import network
from kubefab.steps.health import rolled_out, wait
from kubefab.steps.objects import APPLY, incomplete, setting
from kubefab.steps.wanted import takes_ordinary


def steps(cluster: Cluster, host: Host) -> list[Step]:
    """Those that hosts.yml names, on the first master, which applies them."""
    named = [ADDONS[name] for name in cluster.inventory.addons if name != ROOK.name]  # it wants more: steps/rook.py
    return deployed(cluster, *named) if named and host.name == cluster.speaker.name else []


def dashboard(cluster: Cluster, _: Host) -> list[Step]:
    """The one that hosts.yml names, or today's."""
    return deployed(cluster, addon_shown(cluster.inventory))


def addon_shown(inventory: Inventory) -> Addon:
    return next((one for one in DASHBOARDS if one.name in inventory.addons), DASHBOARDS[0])


def deployed(cluster: Cluster, *addons: Addon, warning: str = "") -> list[Step]:
    """Add-ons that answer, whether hosts.yml names them or not; all of them start before any is waited for."""
    return [
        complaint("a node takes ordinary pods", no_room, _UNTAINT, ()),
        *(applied(cluster, addon, warning) for addon in addons),
        *(step for addon in addons for step in answering(addon)),
    ]


def applied(cluster: Cluster, addon: Addon, warning: str) -> Step:
    version = chosen(addon, cluster.inventory)
    warnings = (outside(addon, version, cluster.release.minor), warning)
    return Step(
        f"{addon.name} is applied",
        not_applied(addon, mark(addon, version, cluster.inventory)),
        lambda host: apply(host, addon, version, cluster.inventory),
        hint="see the full log for what the API server said of each object",
        touches="cluster",
        parts=("addons",),
        warning="; ".join(filter(None, warnings)),
    )


def answering(addon: Addon) -> list[Step]:
    served = [wait(f"{api} is served", not_served(api), _SEE_API + api) for api in addon.apis]
    return [rolled_out(addon.workload), *served]


def chosen(addon: Addon, inventory: Inventory) -> Version:
    """The version for this cluster, of which hosts.yml has the word."""
    version = addon.version(inventory.release.minor, inventory.addons.get(addon.name, ""))
    return version or addon.versions[-1]


def outside(addon: Addon, version: Version, minor: str) -> str:
    """What to say of a version that is not documented for this minor; "" for one that is."""
    if version.suits(minor):
        return ""
    return f"{addon.mark(version)} is documented for Kubernetes {version.minors}, and this is {minor}"


def apply(host: Host, addon: Addon, version: Version, inventory: Inventory) -> None:
    """In goes: new kinds before what is of them, and what carries the mark after all the rest was accepted."""
    documents = documents_of(addon, version, inventory)
    kinds = [one for one in documents if one["kind"] == "CustomResourceDefinition"]
    rest = [one for one in documents if one not in kinds]
    _keep_theirs(host, addon, rest)
    if kinds:
        host.change("kubectl.sh", *APPLY, payload=dumped(kinds))
        names = [f"crd/{one['metadata']['name']}" for one in kinds]
        host.change("kubectl.sh", "wait", "--for=condition=Established", "--timeout=60s", *names)
    for part in (rest[:-1], rest[-1:]):
        host.change("kubectl.sh", *APPLY, payload=dumped(part))


def _keep_theirs(host: Host, addon: Addon, documents: list[Document]) -> None:
    """What a person has written there takes the place of what was published."""
    if not addon.theirs:
        return
    name, key = addon.theirs
    there = setting(host, addon.workload.partition("/")[0], name, key)
    for document in documents:
        if there and document["kind"] == "ConfigMap" and document["metadata"]["name"] == name:
            document["data"][key] = there


def mark(addon: Addon, version: Version, inventory: Inventory) -> str:
    """What an add-on was made of: its version, how, and the registries that its images were renamed to."""
    elsewhere = [f"{registry}={mirror}" for registry, mirror in mirrors.renamed(inventory).items()]
    return " ".join((addon.mark(version), addon.edition, *elsewhere))


def documents_of(addon: Addon, version: Version, inventory: Inventory) -> list[Document]:
    """What is applied, with every image named as this cluster's runtime is asked for it."""
    published = addon.documents(fetched(version, inventory), mark(addon, version, inventory))
    return [renamed(document, version, inventory) for document in published]


def renamed(document: Any, version: Version, inventory: Inventory) -> Any:
    """Also where an image stands elsewhere than under `image`, as rook's do."""
    if isinstance(document, list):
        return [renamed(one, version, inventory) for one in document]
    if isinstance(document, str):
        return mirrors.image(document, inventory) if document in version.images else document
    if not isinstance(document, dict):
        return document
    return {
        key: mirrors.image(value, inventory)
        if key == "image" and isinstance(value, str)
        else renamed(value, version, inventory)
        for key, value in document.items()
    }


def fetched(version: Version, inventory: Inventory) -> list[str]:
    """The version's manifests, as they were published."""
    found = [downloads.published(inventory, one.url, one.sha256, downloads.kept) for one in version.manifests]
    return [text.decode() for text in found]


def all_manifests(inventory: Inventory) -> dict[str, str]:
    """What is fetched for all that hosts.yml names, the network too, and its sha256."""
    files = [
        one
        for addon in _named(inventory)
        for one in (*chosen(addon, inventory).manifests, *chosen(addon, inventory).apart)
    ]
    return {**network.manifests(inventory), **{one.url: one.sha256 for one in files}}


def all_images(inventory: Inventory) -> list[str]:
    """What runs in the cluster for all that hosts.yml names, the network too."""
    found = network.images(inventory)
    for addon in _named(inventory):
        version = chosen(addon, inventory)
        found += _images(documents_of(addon, version, inventory))
        found += [mirrors.image(image, inventory) for image in version.images]
    return [full_name(image) for image in found]


def _named(inventory: Inventory) -> list[Addon]:
    return [ADDONS[name] for name in inventory.addons]


def _images(document: Any) -> list[str]:
    """Every `image:` in it, however deep."""
    if isinstance(document, list):
        return [image for one in document for image in _images(one)]
    if not isinstance(document, dict):
        return []
    below = [image for key, value in document.items() if key != "image" for image in _images(value)]
    return [*([document["image"]] if isinstance(document.get("image"), str) else []), *below]


def dumped(documents: list[Document]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})


def not_applied(addon: Addon, wanted: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        workload = live.workloads.get(addon.workload)
        if not workload:
            return MISSING
        found = workload.annotations.get(ADDON, "one that was applied by hand")
        return incomplete(addon.name, workload, facts) if found == wanted else found

    return gap


@where_there_is_one
@on_cluster
def no_room(live: ClusterFacts, _: Facts) -> str | None:
    """Pods that tolerate no taint would wait for ever."""
    return None if taking_pods(live) else "every node is a master with kubeadm's taint"


def taking_pods(live: ClusterFacts) -> list[str]:
    return [node.name for node in live.nodes.values() if takes_ordinary(node)]


def not_served(api: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        return live.apis.get(api, "it is not there") or None

    return gap


_UNTAINT = "`inv untaint` lets the master take pods, `inv join-worker` brings workers"
_SEE_API = "see why: kubectl describe apiservice "
