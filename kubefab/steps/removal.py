"""An add-on that is to go, with all that it serves."""

from kubefab.addons import ADDONS, Addon
from kubefab.addons.addon import Document
from kubefab.addons.rook import NAMESPACE, ROOK
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts, Volume
from kubefab.host import Host
from kubefab.step import Gap, Step, Subject, complaint, on_cluster, when
from kubefab.steps import addons, rook
from kubefab.steps.objects import objects

DELETE = ("delete", "--ignore-not-found", "--timeout=120s")


def steps(name: str) -> Subject:
    """No trace of an add-on."""
    addon = ADDONS[name]

    def subject(cluster: Cluster, host: Host) -> list[Step]:
        def delete(host: Host) -> None:
            facts = cluster.facts(host)
            found = facts.cluster.addons.get(name, "") if facts.cluster else ""
            version = addon.version(cluster.release.minor, found) or addons.chosen(addon, cluster.inventory)
            documents = addon.documents(addons.fetched(version, cluster.inventory), addon.mark(version))
            parts = in_turn(documents) if found else of_those(objects(name, facts), in_turn(documents))
            for part in parts:
                host.change("kubectl.sh", *DELETE, "-f", "-", payload=addons.dumped(part))

        return [
            *when(addon is ROOK, complaint("no Ceph cluster of others exists", rook.strange, _OTHERS, ("ceph",))),
            complaint(f"no volume needs {name}", in_use(addon), _IN_USE, ("volumes",)),
            *when(addon is ROOK, without_ceph()),
            Step(f"{name} is not there", there(name), delete, touches="cluster", parts=("addons",)),
        ]

    return subject


def without_ceph() -> Step:
    title = "no Ceph cluster is left"
    return Step(title, kept_by_ceph, delete_ceph, _DATA, touches="cluster", parts=("ceph",))


def in_turn(documents: list[Document]) -> list[list[Document]]:
    """What carries the mark, once all that it may have to take leave of is gone; and last the Namespace it is in."""
    spaces = [one for one in documents if one["kind"] == "Namespace"]
    others = [one for one in documents[:-1] if one not in spaces]
    return [part for part in (others[::-1], documents[-1:], spaces) if part]


def of_those(left: list[str], parts: list[list[Document]]) -> list[list[Document]]:
    """What is left, as it was told: by now somebody may have others of the same names, in the same Namespace, too."""
    ours = [[one for one in part if as_told(one) in left] for part in parts]
    return [part for part in ours if part]


def as_told(document: Document) -> str:
    """Its kind and name, as kubectl calls them: configmap/x, deployment.apps/x."""
    group = document["apiVersion"].rpartition("/")[0]
    return f"{'.'.join(filter(None, (document['kind'].lower(), group)))}/{document['metadata']['name']}"


def there(name: str) -> Gap:
    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        besides = f", and all else in the namespace {own_namespace(name)}" if own_namespace(name) else ""
        if version := live.addons.get(name):
            return f"{name} {version}, with all that it serves{besides}"
        left = objects(name, facts)
        besides = besides if f"namespace/{own_namespace(name)}" in left else ""
        return f"what is left of it: {', '.join(left)}{besides}" if left else None

    return gap


def own_namespace(name: str) -> str:
    """The Namespace that goes with an add-on, and with it whatever others have there; "" where it has none."""
    namespace = ADDONS[name].workload.partition("/")[0]
    return "" if namespace == "kube-system" else namespace


def in_use(addon: Addon) -> Gap:
    def gap(facts: Facts) -> str | None:
        if facts.cluster and not facts.volumes.volumes_told:
            return "the API server does not list the volumes"
        kept = [volume.claim for volume in facts.volumes.persistent if _keeps(addon, volume)]
        return f"volumes of these claims: {', '.join(kept)}" if kept else None

    return gap


def _keeps(addon: Addon, volume: Volume) -> bool:
    """Also who keeps it for a claim in a Namespace that goes: with the claim go its data."""
    theirs = addon.storage_class != "" and volume.storage_class == addon.storage_class
    return theirs or volume.driver in addon.drivers or volume.claim.partition("/")[0] == own_namespace(addon.name) != ""


def kept_by_ceph(facts: Facts) -> str | None:
    if not rook.told(facts) and not facts.ceph.pools:
        return None
    return f"a Ceph cluster, and all data in {', '.join(facts.ceph.pools) or 'it, which has no pool'}"


def delete_ceph(host: Host) -> None:
    """Before its operator, which has to take leave of it; and what is in it first: nobody can take its end back."""
    for kinds in ("cephblockpools,cephfilesystems,cephobjectstores", "cephclusters"):
        host.change("kubectl.sh", *DELETE, "--namespace", NAMESPACE, kinds, "--all")


_IN_USE = (
    "delete the claims first, and their data with them: kubectl delete pvc NAME -n NAMESPACE; where a claim is gone "
    "already, its volume: kubectl get pv; kubectl delete pv NAME"
)
_OTHERS = "kubefab leaves it alone, and without rook nobody manages it: remove it first, with its data"
_DATA = f"see why: kubectl -n {NAMESPACE} describe cephclusters,cephblockpools,cephfilesystems,cephobjectstores"
