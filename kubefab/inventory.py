"""hosts.yml -> frozen, typed models; every problem at once, with its line. Pure: nothing here uses a host.

A field's description is both what editors show (hosts.schema.json) and what an error says is allowed there.
`python -m kubefab.inventory` prints that schema.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network
from os.path import expanduser
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from kubefab import releases
from kubefab.addons import ADDONS, Addon
from kubefab.errors import InventoryError
from kubefab.located import Loc, Tree, Values, compose, shown, words

__all__ = ["Host", "Inventory", "InventoryError", "Mirror", "Ssh", "load", "parse", "schema"]

Problem = tuple[Loc, str, str]  # where, what was found, what is allowed

LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # RFC 1123
USER = "[A-Za-z0-9_][A-Za-z0-9_.-]*"
JUMP = rf"^({USER}@)?[A-Za-z0-9][A-Za-z0-9_.-]*(:[1-9][0-9]{{0,4}})?$"
KINDS = tuple(f"{kind}Configuration" for kind in ("Init", "Cluster", "Kubelet", "KubeProxy", "Join"))
ARGUMENTS = ("extraArgs", "kubeletExtraArgs")
SANS = "certSANs"
CLOSED: dict[str, Any] = {"additionalProperties": False}
# The pod network is an add-on that every cluster has; the others come with a version of one's own, or without.
NETWORK = "flannel"
ADDON_NAMES = (NETWORK, *ADDONS)
ADDON_CHOICES = (*ADDON_NAMES, *(f"{name}@{one.version}" for name, addon in ADDONS.items() for one in addon.versions))
# Fields of kubeadm that kubefab goes by itself: one who wrote them here would have half a cluster of each.
TOLD_ELSEWHERE = {
    "ClusterConfiguration.kubernetesVersion": "`cluster.kubernetes` says it",
    "ClusterConfiguration.networking.podSubnet": "`cluster.pod_subnet` says it",
    "ClusterConfiguration.networking.serviceSubnet": "`cluster.service_subnet` says it",
    "InitConfiguration.localAPIEndpoint.bindPort": "it is 6443 everywhere",
    "InitConfiguration.nodeRegistration.name": "the name under `hosts` says it",
    "InitConfiguration.nodeRegistration.criSocket": "`cluster.runtime` says it",
    "JoinConfiguration.nodeRegistration.name": "the name under `hosts` says it",
    "JoinConfiguration.nodeRegistration.criSocket": "`cluster.runtime` says it",
}
# Prefixes that kubeadm takes: 2**16 nodes at most, a /24 for each; 2**20 services at most, 10 at least.
BITS = {"pod_subnet": (8, 24), "service_subnet": (12, 28)}


def _beside(file: Path, info: ValidationInfo) -> Path:
    return Path(info.context or "", expanduser(file))


def _release(version: str) -> str:
    if releases.known(version):
        return version
    known = {"first": releases.MINORS[0], "last": releases.MINORS[-1]}
    raise PydanticCustomError("allowed", "a release of Kubernetes {first} to {last}", known)


def _addon(name: str) -> str:
    if name in ADDON_CHOICES:
        return name
    raise PydanticCustomError("allowed", "{choices}", {"choices": _one_of(name, ADDON_CHOICES)})


def _unicast(address: IPv4Address) -> IPv4Address:
    if address.is_loopback or address.is_multicast or address.is_link_local or address.is_unspecified:
        raise PydanticCustomError("allowed", "an address that the other hosts can reach")
    return address


def _overlay(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Any kubeadm field; only those are looked into that we merge with our own."""
    for key, value in document.items():
        if key in ARGUMENTS and not _are_arguments(value):
            allowed = "{key} as a mapping of names to values, or a list of {name, value}"
            raise PydanticCustomError("allowed", allowed, {"key": key})
        if key == SANS and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise PydanticCustomError("allowed", "{key} as a list of names and addresses", {"key": key})
        if key not in ARGUMENTS and isinstance(value, Mapping):
            _overlay(value)
    return document


def _are_arguments(value: Any) -> bool:
    if isinstance(value, list) and all(isinstance(one, Mapping) and set(one) == {"name", "value"} for one in value):
        return all(isinstance(part, str | int | float) for one in value for part in one.values())
    return isinstance(value, Mapping) and all(isinstance(one, str | int | float) for one in value.values())


File = Annotated[Path, AfterValidator(_beside)]
Fingerprint = Annotated[
    str, Field(pattern="^([0-9A-Fa-f] *){40}$"), AfterValidator(lambda key: key.replace(" ", "").upper())
]
Version = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}$")]
Release = Annotated[Version, AfterValidator(_release)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Overlay = Annotated[Mapping[str, Any], AfterValidator(_overlay)]
AddonName = Annotated[str, AfterValidator(_addon), Field(json_schema_extra={"enum": list(ADDON_CHOICES)})]
Kind = Annotated[str, Field(pattern=f"^({'|'.join(KINDS)})$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
Source = Annotated[str, Field(pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?|file:///[^\s?#]+)$")]
Origin = Annotated[str, Field(pattern=r"^(https?://[^\s/?#@]+/([^\s?#]*/)?|[a-z0-9][a-z0-9.-]*(:[0-9]+)?)$")]
Disk = Annotated[str, Field(pattern=r"^/dev/[A-Za-z0-9][A-Za-z0-9/_.:+-]*$")]
HostName = Annotated[str, Field(pattern=rf"^{LABEL}(\.{LABEL})*$", max_length=63)]


# What comes by way of another validator is Python's, in which a list is no tuple.
Listed = BeforeValidator(lambda names: tuple(names) if isinstance(names, list) else names)
Names = Annotated[tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9./_-]+$")], ...], Listed]


class _Strict(BaseModel):
    model_config = {"frozen": True, "extra": "forbid"}


class Ssh(_Strict):
    """The way to a host. What is None is left to ~/.ssh/config."""

    user: str | None = Field(default=None, pattern=f"^{USER}$", description="a user to log in as")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="sshd's port, a number from 1 to 65535 without quotes"
    )
    key: File | None = Field(default=None, description="private key's file, beside hosts.yml or with ~")
    known_hosts: File | None = Field(default=None, description="host keys' file, beside hosts.yml or with ~")
    jump: str | None = Field(default=None, pattern=JUMP, description="a host between, [user@]host[:port]")


class Mirror(_Strict):
    """What to ask instead; with a key where an apt mirror signs itself."""

    url: Source = Field(description="a URL with http://, https:// or file:///, and no password in it")
    key: Fingerprint | None = Field(default=None, description="OpenPGP fingerprint, 40 hex digits in quotes")


class Proxy(_Strict):
    """By which the hosts reach the internet: apt, the runtime and kubeadm get it."""

    http: Url = Field(description="a URL with http:// or https:// and no password in it")
    https: Url | None = Field(default=None, description="another one for https://, a URL like that for http")
    no_proxy: Names = Field(
        default=(),
        description="a list of names, domains (.example.org) and networks to reach directly, besides the hosts",
    )


class CriDockerd(_Strict):
    """Another release of cri-dockerd than kubefab's own choice."""

    version: Version = Field(description="a release without a v, for example 0.4.0")
    sha256: Sha256 = Field(description="the sha256 of its archive for the hosts' architecture, 64 hex digits")


class Cluster(_Strict):
    """The cluster that `inv cluster.up` makes."""

    name: str = Field(
        pattern=f"^{LABEL}$", description="a name of at most 63 lower-case letters, digits and '-' (RFC 1123)"
    )
    kubernetes: Release = Field(description="a release with its patch and without a v, for example 1.37.2")
    runtime: Literal["containerd", "docker"] = Field(default="containerd", description="what runs the containers")
    cri_dockerd: CriDockerd | None = Field(default=None, description="a release of cri-dockerd, version and sha256")
    pod_subnet: IPv4Network = Field(
        default=IPv4Network("10.244.0.0/16"),
        description="a network of /8 to /24, by its first address, for example 10.244.0.0/16",
    )
    service_subnet: IPv4Network = Field(
        default=IPv4Network("10.96.0.0/12"),
        description="a network of /12 to /28, by its first address, for example 10.96.0.0/12",
    )
    addons: tuple[AddonName, ...] = Field(
        default=(NETWORK,), description="a list of add-ons, each as NAME or NAME@VERSION"
    )
    kubeadm: Mapping[Kind, Overlay] = Field(
        default={},
        description="fields over those that kubefab writes, by kind: " + ", ".join(KINDS),
        json_schema_extra={**CLOSED, "properties": {kind: {"type": "object"} for kind in KINDS}},
    )


class Machine(_Strict):
    """One entry under hosts."""

    address: Annotated[IPv4Address, AfterValidator(_unicast)] = Field(
        description="an IPv4 address, for example 10.0.0.11"
    )
    role: Literal["master", "worker"] = Field(description="master, worker")
    schedulable: bool = Field(default=False, description="true or false, without quotes: pods on this master")
    absent: bool = Field(default=False, description="true or false, without quotes: known to be away")
    disks: tuple[Disk, ...] = Field(default=(), description="a list of raw, empty disks for rook, each as /dev/NAME")
    ssh: Ssh = Field(default_factory=Ssh, description="what differs from the ssh settings of all hosts")


class Host(Machine):
    """A machine with its name; its ssh settings are its own over those of all hosts."""

    name: str


ShortMirror = BeforeValidator(
    lambda mirror: {"url": mirror} if isinstance(mirror, str) else mirror, json_schema_input_type=Source | Mirror
)


ShortProxy = BeforeValidator(
    lambda proxy: {"http": proxy} if isinstance(proxy, str) else proxy, json_schema_input_type=Url | Proxy
)


class HostsFile(_Strict):
    """hosts.yml as it is written."""

    cluster: Cluster = Field(description="a mapping with the cluster's name and release")
    mirrors: Mapping[Origin, Annotated[Mirror, ShortMirror]] = Field(
        default={},
        description="what to ask instead, by URL that ends in / (https://pkgs.k8s.io/) or registry (quay.io)",
        json_schema_extra=CLOSED,
    )
    proxy: Annotated[Proxy | None, ShortProxy] = Field(
        default=None, description="the hosts' way to the internet: a URL, or a mapping of http, https, no_proxy"
    )
    bundle: File | None = Field(
        default=None, description="the one source, a file that `inv bundle.make` wrote, beside hosts.yml or with ~"
    )
    ssh: Ssh = Field(default_factory=Ssh, description="the way to all hosts")
    hosts: Mapping[HostName, Machine] = Field(
        min_length=1,
        description="machines by name, at most 63 lower-case letters, digits, '-' and '.' (RFC 1123)",
        json_schema_extra=CLOSED,
    )


class Inventory(_Strict):
    """What the user wants: the cluster and its machines."""

    path: Path
    cluster: Cluster
    mirrors: Mapping[str, Mirror]
    proxy: Proxy | None = None
    bundle: Path | None = None
    hosts: tuple[Host, ...]

    @property
    def master(self) -> Host:
        """The first master."""
        return next(host for host in self.hosts if host.role == "master")

    @property
    def addons(self) -> dict[str, str]:
        """The add-ons beside the pod network, each with the version that is asked for, or with ""."""
        pairs = (name.partition("@") for name in self.cluster.addons if name != NETWORK)
        return {name: version for name, _, version in pairs}

    @property
    def workers(self) -> tuple[Host, ...]:
        """All workers, absent ones too."""
        return tuple(host for host in self.hosts if host.role == "worker")

    def host(self, name: str) -> Host:
        """The host of this name. InventoryError, with the names there are, where there is none."""
        hosts = {host.name: host for host in self.hosts}
        if name in hosts:
            return hosts[name]
        found = f"found no host '{shown(name)}'" if name else "--host NAME is needed"
        raise InventoryError(f"{self.path}: {found}; allowed: {_one_of(name, hosts)}")


# --- from text to models


def load(path: Path) -> Inventory:
    """The inventory in this file. InventoryError where it cannot be read, or has problems."""
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise InventoryError(f"{path}: {error.strerror}; INV_HOSTS may name another file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InventoryError(f"{path}:{line}: found a byte that is not UTF-8; allowed: text") from None


def parse(text: str, path: Path) -> Inventory:
    """The inventory in this text; `path` is what errors name, and relative files are beside it.

    InventoryError with every problem at once.
    """
    tree = Tree(path)
    data = tree.read(compose(text, path), line=1)
    errors: list[ErrorDetails] = []
    try:
        file = HostsFile.model_validate_json(json.dumps(data), strict=True, context=path.parent)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    for problem in (
        *(_explained(error, tree) for error in errors),
        *_contradictions(tree.valid(error["loc"] for error in errors)),
    ):
        tree.complain(*problem)
    if tree.problems:
        raise InventoryError("\n".join(f"{path}:{line}: {text}" for line, text in sorted(tree.problems)))
    mirrors = {name: _mirror(name, mirror) for name, mirror in file.mirrors.items()}
    hosts = tuple(_host(name, machine, file.ssh) for name, machine in file.hosts.items())
    return Inventory(
        path=path, cluster=file.cluster, mirrors=mirrors, proxy=file.proxy, bundle=file.bundle, hosts=hosts
    )


def _mirror(origin: str, mirror: Mirror) -> Mirror:
    """One URL takes another's place only if both end in /; a registry's client adds its own."""
    slash = "/" if "://" in origin else ""
    return mirror.model_copy(update={"url": mirror.url.rstrip("/") + slash})


def _host(name: str, machine: Machine, ssh: Ssh) -> Host:
    """A setting that is null is set: `jump: null` reaches one host without the jump host of the others."""
    own = machine.ssh.model_dump(exclude_unset=True)
    return Host(**{**dict(machine), "name": name, "ssh": ssh.model_copy(update=own)})


# --- what was found, what is allowed


def _one_of(found: object, choices: Iterable[str]) -> str:
    names = list(choices)
    meant = get_close_matches(str(found), names, 1)
    return ", ".join(names) + (f"; did you mean {meant[0]}?" if meant else "")


def _explained(error: ErrorDetails, tree: Tree) -> Problem:
    loc, kind = error["loc"], error["type"]
    if kind == "extra_forbidden":
        return loc, "an unknown key", _one_of(loc[-1], _expected(loc[:-1])[0].model_fields) + _elsewhere(loc[-1])
    if loc[-1:] == ("[key]",) and kind.startswith("string_"):
        return loc[:-1], f"'{shown(loc[-2])}'", _expected(loc[:-1])[1]
    found = "nothing" if kind == "missing" else words(tree.places[tree.nearest(loc)][1])
    return loc, found, _allowed(error)


def _elsewhere(key: str | int) -> str:
    """Where a key belongs that has strayed."""
    places: dict[str, type[BaseModel]] = {
        "at the top": HostsFile,
        "under cluster": Cluster,
        "under a host": Machine,
        "under ssh": Ssh,
    }
    return next((f"; it belongs {place}" for place, model in places.items() if key in model.model_fields), "")


def _allowed(error: ErrorDetails) -> str:
    kind, description = _expected(error["loc"])
    match error["type"]:
        case "allowed":
            return error["msg"]
        case "literal_error":
            return _one_of(error["input"], re.findall("'(.+?)'", error["ctx"]["expected"]))
        case "model_type":
            return "a mapping of " + ", ".join(kind.model_fields)
    return description


def _expected(loc: Loc) -> tuple[Any, str]:
    """The type of what belongs there, and the description of the field that it is, or is in."""
    kind: Any = HostsFile
    description: Any = ""
    for part in loc:
        kind = get_args(kind)[0] if isinstance(kind, UnionType) else kind  # of `Model | None`
        if hasattr(kind, "model_fields"):
            kind, description = kind.model_fields[part].annotation, kind.model_fields[part].description
        else:
            kind = get_args(kind)[-1]
        if isinstance(kind, UnionType):  # a mapping that may be left out
            kind = get_args(kind)[0]
    return kind, description


# --- what is wrong between values that are right, each by itself


def _contradictions(values: Values) -> Iterator[Problem]:
    for rule in (_same_addresses, _roles, _networks, _addons, _packages, _registries, _runtime, _repository, _fields):
        yield from rule(values)


def _of_hosts(values: Values, field: str) -> dict[str, Any]:
    column = {loc[1]: value for loc, value in values.items() if loc[:1] == ("hosts",) and loc[2:] == (field,)}
    return {str(name): value for name, value in column.items() if value is not None}


def _same_addresses(values: Values) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name, address in _of_hosts(values, "address").items():
        if first.setdefault(address, name) != name:
            yield ("hosts", name, "address"), f"'{address}', as for {first[address]}", "one of its own"


def _roles(values: Values) -> Iterator[Problem]:
    roles = _of_hosts(values, "role")
    masters = [name for name, role in roles.items() if role == "master"]
    if len(masters) > 1:
        yield ("hosts", masters[1], "role"), f"{len(masters)} masters: {', '.join(masters)}", "for now one"
    if roles and not masters and len(roles) == len(values[("hosts",)] or ()):
        yield ("hosts",), "no master", "one host with role: master"
    for name in _of_hosts(values, "schedulable"):
        if roles.get(name) == "worker":
            yield ("hosts", name, "schedulable"), "it on a worker", "only on a master"
    for name, absent in _of_hosts(values, "absent").items():
        if absent and roles.get(name) == "master":
            yield ("hosts", name, "absent"), "it on a master", "only on a worker"


def _networks(values: Values) -> Iterator[Problem]:
    networks = {}
    for field, (widest, narrowest) in BITS.items():
        info = Cluster.model_fields[field]
        text = values.get(("cluster", field), info.default)
        if text and widest <= IPv4Network(text).prefixlen <= narrowest:
            networks[field] = IPv4Network(text)
        elif text:
            yield ("cluster", field), f"'{text}'", str(info.description)
    pods, services = networks.get("pod_subnet"), networks.get("service_subnet")
    if pods and services and pods.overlaps(services):
        yield ("cluster", "pod_subnet"), f"'{pods}', over service_subnet '{services}'", "networks apart"
    for name, address in _of_hosts(values, "address").items():
        for field, network in networks.items():
            if IPv4Address(address) in network:
                yield ("hosts", name, "address"), f"'{address}', within {field} '{network}'", "one outside it"


def _addons(values: Values) -> Iterator[Problem]:
    named = values.get(("cluster", "addons"))
    if not isinstance(named, list) or not all(name in ADDON_CHOICES for name in named):
        return
    names = [name.partition("@")[0] for name in named]
    if NETWORK not in names:
        yield ("cluster", "addons"), f"no {NETWORK}", "it among them: without a pod network no node becomes Ready"
    if twice := [name for name in names if names.count(name) > 1]:
        yield ("cluster", "addons"), f"{twice[0]} twice", "each once"
    version = str(values.get(("cluster", "kubernetes")) or "")
    for name in named if releases.known(version) else ():
        if addon := ADDONS.get(name.partition("@")[0]):
            yield from _reach(addon, name.partition("@")[2], releases.release(version).minor)


def _reach(addon: Addon, wanted: str, minor: str) -> Iterator[Problem]:
    found = addon.version(minor, wanted)
    if found is None or not found.reaches(minor):
        pinned = " or ".join(f"{one.version} with {one.minors}" for one in addon.versions)
        yield ("cluster", "addons"), f"{addon.name} with Kubernetes {minor}", pinned


def _packages(values: Values) -> Iterator[Problem]:
    for loc, value in values.items():
        if loc[:1] == ("mirrors",) and "//pkgs.k8s.io/" in str(loc[1:2]) and str(value).startswith("file:"):
            yield loc, f"'{shown(value)}'", "for packages a URL that the hosts themselves can ask"


def _registries(values: Values) -> Iterator[Problem]:
    for loc, value in values.items():
        if loc[:1] != ("mirrors",) or "://" in str(loc[1:2]):
            continue
        if loc[2:] == ("key",) and value:
            yield loc, "it for a registry", "only for a URL"
        if loc[2:] in ((), ("url",)) and isinstance(value, str) and re.search("^file:|//[^/]+/.", value):
            yield loc, f"'{shown(value)}'", "for a registry a URL without a path"


def _runtime(values: Values) -> Iterator[Problem]:
    version = values.get(("cluster", "kubernetes"))
    runtime = values.get(("cluster", "runtime"), Cluster.model_fields["runtime"].default)
    if version and runtime and runtime not in (allowed := releases.release(version).runtimes):
        yield ("cluster", "runtime"), f"'{runtime}' for Kubernetes {version}", ", ".join(allowed)


def _repository(values: Values) -> Iterator[Problem]:
    version = values.get(("cluster", "kubernetes"))
    if not version or releases.release(version).published or values.get(("bundle",)):
        return
    urls = [repository.url for repository in releases.release(version).repositories]
    mirrors = [str(loc[1]) for loc in values if loc[:1] == ("mirrors",) and loc[1:]]
    if not any(url.startswith(mirror) for url in urls for mirror in mirrors):
        allowed = f"one that mirrors has a repository for, at {' or '.join(urls)}: both have none of it any more"
        yield ("cluster", "kubernetes"), f"'{version}'", allowed


def _fields(values: Values) -> Iterator[Problem]:
    for field, told in TOLD_ELSEWHERE.items():
        if values.get(loc := ("cluster", "kubeadm", *field.split("."))) is not None:
            yield loc, "it", f"none here: {told}"


def schema() -> str:
    """hosts.schema.json: what editors complete and check hosts.yml with."""
    body = HostsFile.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **body}, indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
