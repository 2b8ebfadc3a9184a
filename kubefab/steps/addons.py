"""The add-ons: those that hosts.yml names, one that is asked for by itself, and one that is to go."""

from collections.abc import Callable

from kubefab import downloads, releases, render
from kubefab.addons import ADDONS, DASHBOARDS, Addon, Version
from kubefab.cluster import Cluster
from kubefab.facts import ADDON, ClusterFacts, Facts
from kubefab.inventory import Inventory
from kubefab.remote import Host
from kubefab.step import MISSING, Gap, Step, on_cluster
from kubefab.steps.health import not_rolled_out, see, wait

APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager=kubefab", "-f", "-")
DELETE = ("delete", "--ignore-not-found", "--timeout=120s", "-f", "-")


def steps(cluster: Cluster, host: Host) -> list[Step]:
    """Those that hosts.yml names, on the first master, which applies them."""
    named = [ADDONS[name] for name in cluster.inventory.addons]
    return deployed(cluster, *named) if named and host.name == cluster.master.name else []


def dashboard(cluster: Cluster, _: Host) -> list[Step]:
    """The one that hosts.yml names, or today's."""
    return deployed(cluster, addon_shown(cluster.inventory))


def addon_shown(inventory: Inventory) -> Addon:
    return next((one for one in DASHBOARDS if one.name in inventory.addons), DASHBOARDS[0])


def deployed(cluster: Cluster, *addons: Addon) -> list[Step]:
    """Add-ons that answer, whether hosts.yml names them or not; all of them start before any is waited for."""
    return [
        Step("a node takes ordinary pods", no_room, None, _UNTAINT, touches="cluster", parts=()),
        *(applied(cluster, addon) for addon in addons),
        *(step for addon in addons for step in answering(addon)),
    ]


def applied(cluster: Cluster, addon: Addon) -> Step:
    version = chosen(addon, cluster.inventory)
    return Step(
        f"{addon.name} is applied",
        not_applied(addon, version),
        lambda host: apply(host, addon, version, cluster.inventory),
        hint="see the full log for what the API server said of each object",
        touches="cluster",
        parts=(),
        warning=outside(addon, version, cluster.release.minor),
    )


def answering(addon: Addon) -> list[Step]:
    served = [wait(f"{api} is served", not_served(api), _SEE_API + api) for api in addon.apis]
    return [wait(f"{addon.workload} is rolled out", not_rolled_out(addon.workload), see(addon.workload)), *served]


def removed(name: str) -> Callable[[Cluster, Host], list[Step]]:
    """No trace of an add-on."""
    addon = ADDONS[name]

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        def delete(host: Host) -> None:
            live = cluster.facts(host).cluster
            found = live.addons.get(name, "") if live else ""
            version = addon.version(cluster.release.minor, found) or chosen(addon, cluster.inventory)
            documents = addon.documents(fetched(version, cluster.inventory), version)
            host.change("kubectl.sh", *DELETE, payload=dumped(documents[::-1]))

        return [
            Step(f"nothing is kept by {name}", in_use(addon), None, _IN_USE, parts=("volumes",)),
            Step(f"{name} is not there", there(name), delete, touches="cluster", parts=()),
        ]

    return steps


def chosen(addon: Addon, inventory: Inventory) -> Version:
    """The version for this cluster, of which hosts.yml has the word."""
    minor = releases.release(inventory.cluster.kubernetes).minor
    version = addon.version(minor, inventory.addons.get(addon.name, ""))
    return version or addon.versions[-1]


def outside(addon: Addon, version: Version, minor: str) -> str:
    """What to say of a version that is not documented for this minor; "" for one that is."""
    if version.suits(minor):
        return ""
    return f"{addon.mark(version)} is documented for Kubernetes {version.minors}, and this is {minor}"


def apply(host: Host, addon: Addon, version: Version, inventory: Inventory) -> None:
    """In two goes: what carries the mark only after all the rest was accepted."""
    documents = addon.documents(fetched(version, inventory), version)
    for part in (documents[:-1], documents[-1:]):
        host.change("kubectl.sh", *APPLY, payload=dumped(part))


def fetched(version: Version, inventory: Inventory) -> list[str]:
    """The version's manifests, as they were published."""
    files = [(render.mirrored(one.url, inventory)[0], one.sha256) for one in version.manifests]
    return [downloads.kept(url, sha256).decode() for url, sha256 in files]


def dumped(documents: list[dict[str, object]]) -> str:
    import yaml

    return yaml.safe_dump_all(documents, sort_keys=False)


def not_applied(addon: Addon, version: Version) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        workload = live.workloads.get(addon.workload)
        found = workload.annotations.get(ADDON, "one that was applied by hand") if workload else MISSING
        return None if found == addon.mark(version) else found

    return gap


def there(name: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        version = live.addons.get(name)
        return f"{name} {version}, with all that it serves" if version else None

    return gap


def in_use(addon: Addon) -> Gap:
    def gap(facts: Facts) -> str | None:
        if facts.cluster and not facts.volumes_told:
            return "the API server does not tell which volumes there are"
        kept = [volume.claim for volume in facts.volumes if volume.storage_class == addon.storage_class]
        return f"volumes of these claims: {', '.join(kept)}" if kept else None

    return gap


def no_room(facts: Facts) -> str | None:
    """Pods that tolerate no taint would wait for ever. Nothing is said of a cluster that is not there yet."""
    if not facts.cluster or facts.cluster.silent:
        return None
    if any(not set(node.taints) & set(TAINTS) for node in facts.cluster.nodes.values()):
        return None
    return "every node is a master with kubeadm's taint"


def not_served(api: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        return live.apis.get(api, "it is not there") or None

    return gap


TAINTS = (releases.CONTROL_PLANE, releases.MASTER)
_UNTAINT = "`inv untaint` lets the master take pods, `inv join-worker` brings workers"
_SEE_API = "see why: kubectl describe apiservice "
_IN_USE = "delete the claims first, and their data with them: kubectl delete pvc NAME -n NAMESPACE"
