"""An add-on that is to go, with all that it serves."""

from kubefab.addons import ADDONS, Addon
from kubefab.addons.rook import NAMESPACE, ROOK
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts
from kubefab.host import Host
from kubefab.step import Gap, Step, Subject, on_cluster, when
from kubefab.steps import addons

DELETE = ("delete", "--ignore-not-found", "--timeout=120s")


def steps(name: str) -> Subject:
    """No trace of an add-on."""
    addon = ADDONS[name]

    def subject(cluster: Cluster, host: Host) -> list[Step]:
        def delete(host: Host) -> None:
            live = cluster.facts(host).cluster
            found = live.addons.get(name, "") if live else ""
            version = addon.version(cluster.release.minor, found) or addons.chosen(addon, cluster.inventory)
            documents = addon.documents(addons.fetched(version, cluster.inventory), addon.mark(version))
            host.change("kubectl.sh", *DELETE, "-f", "-", payload=addons.dumped(documents[::-1]))

        return [
            *when(addon is ROOK, *_without_ceph()),
            Step(f"nothing is kept by {name}", in_use(addon), None, _IN_USE, parts=("volumes",)),
            Step(f"{name} is not there", there(name), delete, touches="cluster", parts=()),
        ]

    return subject


def _without_ceph() -> list[Step]:
    return [Step("there is no Ceph cluster", kept_by_ceph, delete_ceph, _DATA, touches="cluster", parts=("ceph",))]


def there(name: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, _: Facts) -> str | None:
        version = live.addons.get(name)
        return f"{name} {version}, with all that it serves" if version else None

    return gap


def in_use(addon: Addon) -> Gap:
    def gap(facts: Facts) -> str | None:
        if facts.cluster and not facts.volumes.volumes_told:
            return "the API server does not tell which volumes there are"
        if not addon.storage_class:
            return None
        kept = [volume.claim for volume in facts.volumes.persistent if volume.storage_class == addon.storage_class]
        return f"volumes of these claims: {', '.join(kept)}" if kept else None

    return gap


def kept_by_ceph(facts: Facts) -> str | None:
    return "a Ceph cluster; its data stay on its disks and below /var/lib/rook" if facts.ceph.applied else None


def delete_ceph(host: Host) -> None:
    """Before its operator, which has to take leave of it."""
    host.change("kubectl.sh", *DELETE, "--namespace", NAMESPACE, "cephblockpools,cephclusters", "--all")


_IN_USE = "delete the claims first, and their data with them: kubectl delete pvc NAME -n NAMESPACE"
_DATA = f"see why: kubectl -n {NAMESPACE} describe cephclusters"
