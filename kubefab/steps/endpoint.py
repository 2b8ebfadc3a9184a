"""Where the cluster's name leads on each host: every part of the cluster talks to an API server by that name.

With one master it leads there. With several, a master asks its own API server, and a worker a haproxy of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kubefab import inventory, kubeadm, render
from kubefab.cluster import Cluster
from kubefab.facts import Facts, fingerprint
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.kubeadm import API_PORT
from kubefab.step import MISSING, Gap, Step, complaint, files, script, service, sha256, when
from kubefab.steps.health import KUBE_PROXY, see, wait

Places = Callable[[Facts], Sequence[str]]  # the addresses to which the name may lead on a host, the best one first
LOCAL = "127.0.0.1"
UNIT = "kubefab-endpoint"
WELL = "UP; L7"  # begins haproxy's word on a master that has passed its last health check


def steps(cluster: Cluster, host: Host) -> list[Step]:
    if cluster.inventory.cluster.endpoint:
        return balanced(cluster)
    name = kubeadm.endpoint(cluster.inventory)
    in_front = has_haproxy(cluster.inventory, host.wanted)
    return [
        *when(in_front, *haproxy(cluster)),
        leads(cluster),
        *(replace(one, gap=once_ours(name, one.gap)) for one in followed(name)),
        *when(not in_front, no_haproxy_left()),
    ]


def has_haproxy(wanted: Inventory, host: inventory.Host) -> bool:
    """Whether kubefab runs haproxy there: on workers, with several masters and no load balancer of the user's."""
    return host.role == "worker" and len(wanted.masters) > 1 and not wanted.cluster.endpoint


def bundled(wanted: Inventory) -> list[str]:
    """The packages that a bundle has to hold for this, as apt names them."""
    return ["haproxy"] if any(has_haproxy(wanted, host) for host in wanted.hosts) else []


def unless_by_hand(name: str, gap: Gap) -> Gap:
    """A cluster that was made by hand keeps its own endpoint: no gap there."""
    return lambda facts: None if facts.cluster and name not in facts.cluster.endpoint else gap(facts)


def once_ours(name: str, gap: Gap) -> Gap:
    """A gap that is asked only where a cluster exists, whose CA proves its masters, and goes by our name."""
    return lambda facts: gap(facts) if facts.cluster and name in facts.cluster.endpoint else None


# --- a load balancer of the user's own


def balanced(cluster: Cluster) -> list[Step]:
    """The load balancer is asked only by hosts that have yet to join through it, and have kubectl by now."""

    def tell(host: Host) -> None:
        host.change("put-endpoint.sh", payload=f"{cluster.authority}\n")

    return [
        Step("the host knows the cluster's CA", to_join(without_authority), tell, parts=("files",)),
        Step(
            f"{kubeadm.server(cluster.inventory)} answers for this cluster",
            to_join(
                lambda facts: None if facts.endpoint.balancer == "ok" else facts.endpoint.balancer or "not asked yet"
            ),
            None,
            hint=_BALANCER,
            within=30,
            parts=("endpoint",),
        ),
    ]


def to_join(gap: Gap) -> Gap:
    def wrapped(facts: Facts) -> str | None:
        joins = facts.cluster and facts.cluster.ca and not facts.local.kubelet_ca
        return gap(facts) if joins and facts.packages.deb("kubectl").installed else None

    return wrapped


def without_authority(facts: Facts) -> str | None:
    assert facts.cluster  # see to_join and once_ours
    there = facts.files.contents.get(render.AUTHORITY)
    if there is None:
        return MISSING
    return None if fingerprint(there) == facts.cluster.ca else f"{render.AUTHORITY} is not this cluster's CA"


# --- where it leads


def leads(cluster: Cluster) -> Step:
    name, places = kubeadm.endpoint(cluster.inventory), allowed(cluster.inventory)

    def gap(facts: Facts) -> str | None:
        found = facts.system.endpoints.get(name, MISSING)
        return None if found in places(facts) else found

    def lead(host: Host) -> None:
        host.change("set-endpoint.sh", name, places(cluster.facts(host))[0])

    title = "/etc/hosts has the control plane's name"
    return Step(title, unless_by_hand(name, gap), lead, parts=("system", "endpoint"))


def allowed(wanted: Inventory) -> Places:
    """A worker asks its haproxy, once that runs; a master its own API server, once that answers.

    Before that, either asks a master whose API server answers.
    """
    founder, masters = wanted.founder.name, {host.name: str(host.address) for host in wanted.masters}

    def places(facts: Facts) -> list[str]:
        if not facts.cluster or len(masters) == 1:
            return [masters[founder]]
        if facts.name not in masters and runs(facts):
            return [LOCAL]
        if facts.name in masters and serves(facts):
            return [masters[facts.name]]
        working = [name for name in masters if name in facts.others and serves(facts.others[name])]
        # A master that has joined may keep its own while that is away for a moment, lest it is led to and fro.
        own = [facts.name] if facts.name in masters and facts.local.control_plane else []
        names = [*working, *own] or list(masters)
        return [masters[name] for name in sorted(names, key=lambda name: name != speaker(facts))]

    return places


def serves(facts: Facts) -> bool:
    """Whether this master's own API server answers. Its kubectl would not show that: it may ask another master's."""
    return facts.local.control_plane and facts.api.readyz == "ok"


def speaker(facts: Facts) -> str:
    return facts.cluster.speaker if facts.cluster else ""


# --- who follows


def followed(name: str) -> list[Step]:
    """The kubelet and kube-proxy begin anew: neither looks up a name again while it has a connection."""
    return [
        Step(
            "the kubelet goes by the control plane's name",
            kubelet_elsewhere(name),
            script("restart-service.sh", "kubelet"),
            hint="see what it says: journalctl -u kubelet",
            within=30,
            parts=("services", "endpoint"),
        ),
        Step(
            "kube-proxy goes by the control plane's name",
            proxy_elsewhere(name),
            script("restart-proxy.sh"),
            hint="see what the kubelet says of it: journalctl -u kubelet",
            within=30,
            parts=("endpoint",),
        ),
    ]


def kubelet_elsewhere(name: str) -> Gap:
    """Only of a kubelet that uses the name: those of newer masters use their own API server's address."""

    def gap(facts: Facts) -> str | None:
        place = facts.system.endpoints.get(name)
        others = [address for address in facts.endpoint.kubelet_at if address != place]
        return f"it asks {', '.join(others)}" if others and name in facts.local.kubelet_server else None

    return gap


def proxy_elsewhere(name: str) -> Gap:
    """A pod in the host's network has a copy of its /etc/hosts, made when the container started."""

    def gap(facts: Facts) -> str | None:
        place, found = facts.system.endpoints.get(name), facts.endpoint.proxy_has.get(name, "no such name")
        return f"its /etc/hosts has {found}" if facts.endpoint.proxy == "runs" and found != place else None

    return gap


# --- a worker's haproxy


def haproxy(cluster: Cluster) -> list[Step]:
    """It has to run and reach a master before the name leads there."""
    name, text = kubeadm.endpoint(cluster.inventory), render.haproxy(cluster.inventory)

    def tell(host: Host) -> None:
        host.change("put-endpoint.sh", payload=f"{cluster.authority}\n{text}")

    before = [
        Step(
            "haproxy is installed",
            not_installed,
            script("install-haproxy.sh"),
            hint="try the same on the host: apt-get update && apt-get install haproxy",
            parts=("packages", "services", "endpoint"),
        ),
        files(f"{UNIT} has its unit", render.haproxy_unit()),
    ]
    then = [
        Step("haproxy is told of every master", untold(sha256(text)), tell, parts=("files",)),
        service(UNIT, reads=[render.ENDPOINT_UNIT]),
        Step(
            f"{UNIT} has read its configuration",
            unread,
            script("reload-service.sh", UNIT, render.ENDPOINT, render.AUTHORITY),
            hint=_SAYS,
            within=10,
            parts=("services", "files"),
        ),
        Step("haproxy reaches a master", reaches_nobody, None, hint=_FIREWALL, within=30, parts=("endpoint",)),
    ]
    return [
        *(replace(one, gap=unless_by_hand(name, one.gap)) for one in before),
        *(replace(one, gap=once_ours(name, one.gap)) for one in then),
    ]


def port_is_free(wanted: Inventory) -> Step:
    return complaint(f"port {API_PORT} is free for haproxy", unless_by_hand(kubeadm.endpoint(wanted), taken), _TAKEN)


def taken(facts: Facts) -> str | None:
    holder = facts.network.ports.get(API_PORT)
    return f"{holder or '?'} listens there" if holder is not None and not runs(facts) else None


def not_installed(facts: Facts) -> str | None:
    if not facts.packages.deb("haproxy").installed:
        return MISSING
    return "its package has started haproxy.service" if facts.endpoint.haproxy_begun else None


def untold(digest: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        if render.ENDPOINT not in facts.files.digests:
            return MISSING
        if facts.files.digests[render.ENDPOINT] != digest:
            return f"{render.ENDPOINT} differs"
        return without_authority(facts)

    return gap


def unread(facts: Facts) -> str | None:
    newest = max(facts.files.mtimes.get(path, 0) for path in (render.ENDPOINT, render.AUTHORITY))
    return "it runs with an older one" if facts.services.unit(UNIT).changed < newest else None


def runs(facts: Facts) -> bool:
    return facts.services.unit(UNIT).active == "active"


def reaches_nobody(facts: Facts) -> str | None:
    seen = facts.endpoint.sees
    return None if any(word.startswith(WELL) for word in seen.values()) else _words(seen) or "it says nothing"


def proven(cluster: Cluster, host: Host) -> list[Step]:
    """Checks that need running pods; and that haproxy reaches all masters, else missed only when one of them dies."""
    if cluster.inventory.cluster.endpoint:
        return []
    name = kubeadm.endpoint(cluster.inventory)
    reaches = Step(
        "haproxy reaches every master that serves",
        misses(cluster.inventory),
        None,
        hint=_FIREWALL,
        within=30,
        parts=("endpoint",),
    )
    # kube-proxy may have started while the name led elsewhere, too late for the earlier check to see it.
    started = wait("kube-proxy has started", no_proxy, see(KUBE_PROXY), parts=("node", "endpoint"))
    there = [started, *followed(name), *when(has_haproxy(cluster.inventory, host.wanted), reaches)]
    return [replace(one, gap=once_ours(name, one.gap)) for one in there]


def no_proxy(facts: Facts) -> str | None:
    ready = facts.node and facts.node.ready
    return "its container does not run" if ready and facts.endpoint.proxy == "none" else None


def misses(wanted: Inventory) -> Gap:
    masters = [host.name for host in wanted.masters]

    def gap(facts: Facts) -> str | None:
        serving = [name for name in masters if name in facts.others and serves(facts.others[name])]
        seen = {name: facts.endpoint.sees.get(name, "not known to it") for name in serving}
        return _words({name: word for name, word in seen.items() if not word.startswith(WELL)}) or None

    return gap


def _words(seen: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {word.strip()}" for name, word in seen.items())


def no_haproxy_left() -> Step:
    """It is left from when there were several masters; nothing goes through it now."""
    return Step(
        "no haproxy of kubefab's is left", haproxy_left, script("remove-endpoint.sh"), parts=("files", "services")
    )


def haproxy_left(facts: Facts) -> str | None:
    left = (render.ENDPOINT, render.AUTHORITY, render.ENDPOINT_UNIT)
    return ", ".join(path for path in left if path in facts.files.digests) or None


_BALANCER = (
    "it has to lead to port 6443 of every master, as TCP and without TLS of its own: see what it says to this host: "
    "curl --cacert /etc/kubefab/ca.crt https://NAME:PORT/readyz"
)
_SAYS = f"see what it says: journalctl -u {UNIT}"
_FIREWALL = f"does a firewall stand before port {API_PORT} of the masters? {_SAYS}"
_TAKEN = "stop that program there, or give it another port: kubefab's haproxy leads from there to all masters"
