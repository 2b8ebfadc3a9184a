"""Where the cluster's name leads, on each host: by that name all of it talk to an API server."""

from collections.abc import Callable, Sequence

from kubefab import kubeadm
from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Gap, Step

Places = Callable[[Facts], Sequence[str]]  # the addresses to which the name may lead on a host, the best one first


def steps(cluster: Cluster, host: Host) -> list[Step]:
    name, places = kubeadm.endpoint(cluster.inventory), allowed(cluster.inventory)

    def lead(host: Host) -> None:
        host.change("set-endpoint.sh", name, places(cluster.facts(host))[0])

    return [Step("/etc/hosts has the control plane's name", elsewhere(name, places), lead, parts=("system",))]


def elsewhere(name: str, places: Places) -> Gap:
    """A cluster that was made by hand keeps the endpoint it has."""

    def gap(facts: Facts) -> str | None:
        if facts.cluster and name not in facts.cluster.endpoint:
            return None
        found = facts.system.endpoints.get(name, MISSING)
        return None if found in places(facts) else found

    return gap


def allowed(inventory: Inventory) -> Places:
    """On a master its own API server, once that answers; whoever has none yet needs one that does."""
    founder = inventory.founder.name
    masters = {host.name: str(host.address) for host in inventory.hosts if host.role == "master"}

    def places(facts: Facts) -> list[str]:
        if not facts.cluster or len(masters) == 1:
            return [masters[founder]]
        if facts.name in masters and serves(facts):
            return [masters[facts.name]]
        working = [name for name in masters if name in facts.others and serves(facts.others[name])]
        # While its own is away for a moment, what has joined is not led elsewhere and back.
        own = [facts.name] if facts.name in masters and joined(facts) else []
        names = [*working, *own] or list(masters)
        return [masters[name] for name in sorted(names, key=lambda name: name != speaker(facts))]

    return places


def serves(facts: Facts) -> bool:
    """Whether this master's own API server answers: its kubectl may ask another master's."""
    return joined(facts) and facts.api.readyz == "ok"


def joined(facts: Facts) -> bool:
    """Whether it has a control plane that nothing of kubefab's will take away again."""
    return bool(facts.local.admin_ca) and not facts.local.init_begun and not facts.local.master_begun


def speaker(facts: Facts) -> str:
    return facts.cluster.speaker if facts.cluster else ""
