"""What is wrong between values of hosts.yml that are right, each by itself."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from kubefab import releases
from kubefab.addons import ADDONS, Addon
from kubefab.inventory import overlay
from kubefab.inventory.models import ADDON_CHOICES, GROUPS, NETWORK, Cluster
from kubefab.located import Problem, Values, shown

# Prefixes that kubeadm takes: 2**16 nodes at most, a /24 for each; 2**20 services at most, 10 at least.
BITS = {"pod_subnet": (8, 24), "service_subnet": (12, 28)}


def contradictions(values: Values) -> Iterator[Problem]:
    """Every problem between these values; those that are wrong by themselves are None."""
    for rule in (
        _same_addresses,
        _names,
        _roles,
        _endpoint,
        _networks,
        _addons,
        _packages,
        _registries,
        _runtime,
        _repository,
    ):
        yield from rule(values)
    yield from overlay.contradictions(values)


def _of_hosts(values: Values, field: str) -> dict[str, Any]:
    column = {loc[1]: value for loc, value in values.items() if loc[:1] == ("hosts",) and loc[2:] == (field,)}
    return {str(name): value for name, value in column.items() if value is not None}


def _same_addresses(values: Values) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, address in _of_hosts(values, "address").items():
        if first.setdefault(address, name) != name:
            yield ("hosts", name, "address"), f"'{address}' is the address of {first[address]}, too"
    for name in values.get(("hosts",)) or ():
        if first.get(name, name) != name:
            yield ("hosts", name), f"'{name}' is the address of {first[name]}: choose another name"


def _roles(values: Values) -> Iterator[Problem]:
    roles = _of_hosts(values, "role")
    masters = [name for name, role in roles.items() if role == "master"]
    if roles and not masters and len(roles) == len(values[("hosts",)] or ()):
        yield ("hosts",), "no host has role: master"
    for name in _of_hosts(values, "schedulable"):
        if roles.get(name) == "worker":
            yield ("hosts", name, "schedulable"), f"only a master can have this, and {name} is a worker"
    for name, absent in _of_hosts(values, "absent").items():
        if absent and roles.get(name) == "master":
            yield ("hosts", name, "absent"), f"only a worker can have this, and {name} is a master"


def _names(values: Values) -> Iterator[Problem]:
    for name in values.get(("hosts",)) or ():
        if name in GROUPS:
            yield ("hosts", name), f"'{name}' means a group of hosts: choose another name"


def _endpoint(values: Values) -> Iterator[Problem]:
    where = str(values.get(("cluster", "endpoint")) or "").rpartition(":")[0]
    roles = _of_hosts(values, "role")
    for name, address in _of_hosts(values, "address").items():
        if where in (name, address) and roles.get(name) == "master":
            yield (
                ("cluster", "endpoint"),
                f"'{where}' is {name}, and would be gone with it: name what stands before all",
            )
    if where.endswith(".kubefab.internal"):
        yield ("cluster", "endpoint"), f"'{where}' is a name of kubefab's own: leave the line out"


def _networks(values: Values) -> Iterator[Problem]:
    networks = {}
    for field, (widest, narrowest) in BITS.items():
        info = Cluster.model_fields[field]
        text = values.get(("cluster", field), info.default)
        if text and widest <= IPv4Network(text).prefixlen <= narrowest:
            networks[field] = IPv4Network(text)
        elif text:
            yield ("cluster", field), f"found '{text}'; allowed: {info.description}"
    pods, services = networks.get("pod_subnet"), networks.get("service_subnet")
    if pods and services and pods.overlaps(services):
        yield ("cluster", "pod_subnet"), f"'{pods}' overlaps service_subnet '{services}'"
    if pods:
        yield from _room(values, pods)
    for name, address in _of_hosts(values, "address").items():
        for field, network in networks.items():
            if IPv4Address(address) in network:
                yield (
                    ("hosts", name, "address"),
                    f"'{address}' is within {field} '{network}': one of them has to change",
                )


def _room(values: Values, pods: IPv4Network) -> Iterator[Problem]:
    """Whoever comes when all networks are taken never gets one, and a cluster keeps its pod_subnet."""
    hosts = len(values.get(("hosts",)) or ()) - sum(_of_hosts(values, "absent").values())
    mask = overlay.node_mask(values)
    if mask is None or (room := pods.num_addresses >> (32 - mask)) >= hosts:
        return
    nodes = f"{room} node{'' if room == 1 else 's'}, a /{mask} for each"
    wider = mask - (hosts - 1).bit_length()
    yield ("cluster", "pod_subnet"), _NO_ROOM.format(pods, nodes, hosts, wider)


def _addons(values: Values) -> Iterator[Problem]:
    named = values.get(("cluster", "addons"))
    if not isinstance(named, list) or not all(name in ADDON_CHOICES for name in named):
        return
    names = [name.partition("@")[0] for name in named]
    if NETWORK not in names:
        yield ("cluster", "addons"), f"{NETWORK} is missing: without a pod network no node becomes Ready"
    if twice := [name for name in names if names.count(name) > 1]:
        yield ("cluster", "addons"), f"{twice[0]} is named twice"
    version = str(values.get(("cluster", "kubernetes")) or "")
    for name in named if releases.known(version) else ():
        if addon := ADDONS.get(name.partition("@")[0]):
            yield from _reach(addon, name.partition("@")[2], releases.release(version).minor)


def _reach(addon: Addon, wanted: str, minor: str) -> Iterator[Problem]:
    found = addon.version(minor, wanted)
    if found is None or not found.reaches(minor):
        pinned = " or ".join(f"{one.version} with {one.minors}" for one in addon.versions)
        yield ("cluster", "addons"), f"{addon.name} is not known to run on Kubernetes {minor}; allowed: {pinned}"


def _packages(values: Values) -> Iterator[Problem]:
    for loc, value in values.items():
        packages = re.search(r"//(pkgs\.k8s|apt\.kubernetes)\.io/", str(loc[1:2]))
        if loc[:1] == ("mirrors",) and packages and str(value).startswith("file:"):
            yield loc, f"'{shown(value)}' is on this computer: packages need a URL that the hosts can reach"


def _registries(values: Values) -> Iterator[Problem]:
    for loc, value in values.items():
        if loc[:1] != ("mirrors",) or "://" in str(loc[1:2]):
            continue
        if loc[2:] == ("key",) and value:
            yield loc, "only a URL can have a key, and this is a registry"
        if loc[2:] in ((), ("url",)) and isinstance(value, str) and re.search("^file:|//[^/]+/.", value):
            yield loc, f"'{shown(value)}' has a path: a registry's mirror is a URL without one"


def _runtime(values: Values) -> Iterator[Problem]:
    version = values.get(("cluster", "kubernetes"))
    runtime = values.get(("cluster", "runtime"), Cluster.model_fields["runtime"].default)
    if version and runtime and runtime not in (allowed := releases.release(version).runtimes):
        yield ("cluster", "runtime"), f"Kubernetes {version} does not run on {runtime}; allowed: {', '.join(allowed)}"


def _repository(values: Values) -> Iterator[Problem]:
    version = values.get(("cluster", "kubernetes"))
    if not version or releases.release(version).published or values.get(("bundle",)):
        return
    urls = [repository.url for repository in releases.release(version).repositories]
    mirrors = [str(loc[1]) for loc in values if loc[:1] == ("mirrors",) and loc[1:]]
    if not any(url.startswith(mirror) for url in urls for mirror in mirrors):
        wanted = f"`mirrors` needs an entry for {' or '.join(urls)}"
        yield ("cluster", "kubernetes"), f"'{version}' is published nowhere any more: {wanted}"


_NO_ROOM = (
    "'{}' has room for {}, and there are {} hosts: choose a /{} or wider, or a greater node-cidr-mask-size under "
    "controllerManager.extraArgs"
)
