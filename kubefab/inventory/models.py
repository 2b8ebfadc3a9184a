"""What hosts.yml may say, as frozen, typed models.

A field's description is both what editors show (hosts.schema.json) and what an error says is allowed there.
"""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from os.path import expanduser
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from kubefab import releases
from kubefab.addons import ADDONS
from kubefab.errors import InventoryError
from kubefab.located import one_of, shown

LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"  # RFC 1123
USER = "[A-Za-z0-9_][A-Za-z0-9_.-]*"
# Narrow, since they stand in shell's words, units, apt.conf and TOML: none of it has a meaning of its own there.
REGISTRY = "[a-z0-9][a-z0-9.-]*(:[0-9]+)?"
HTTP = r"https?://[A-Za-z0-9_.:\[\]-]+"
PLAIN = "of letters, digits and _.~:/+-, and no password in it"
PATH = "[A-Za-z0-9_.~:/+-]*"
JUMP = rf"^({USER}@)?[A-Za-z0-9][A-Za-z0-9_.-]*(:[1-9][0-9]{{0,4}})?$"
BALANCER = rf"^{LABEL}(\.{LABEL})*:[1-9][0-9]{{0,4}}$"
KINDS = tuple(f"{kind}Configuration" for kind in ("Init", "Cluster", "Kubelet", "KubeProxy", "Join"))
ARGUMENTS = ("extraArgs", "kubeletExtraArgs")
SANS = "certSANs"
# Whom tasks are for: nobody could mean a host of such a name.
GROUPS = ("all", "master", "masters", "workers", "founder", "speaker")
CLOSED: dict[str, Any] = {"additionalProperties": False}
# The pod network is an add-on that every cluster has; the others come with a version of one's own, or without.
NETWORK = "flannel"
ADDON_NAMES = (NETWORK, *ADDONS)
ADDON_CHOICES = (*ADDON_NAMES, *(f"{name}@{one.version}" for name, addon in ADDONS.items() for one in addon.versions))


def _beside(file: Path, info: ValidationInfo) -> Path:
    if not str(file).isprintable() or file == Path():  # "", as of a variable that is not set
        raise PydanticCustomError("allowed", "a file's path, of printable characters")
    return Path(info.context or "", expanduser(file))


def _release(version: str) -> str:
    if releases.known(version):
        return version
    known = {"first": releases.MINORS[0], "last": releases.MINORS[-1]}
    raise PydanticCustomError("allowed", "a release of Kubernetes {first} to {last}", known)


def _addon(name: str) -> str:
    if name in ADDON_CHOICES:
        return name
    raise PydanticCustomError("allowed", "{choices}", {"choices": one_of(name, ADDON_CHOICES)})


def _server(url: str) -> str:
    """ValueError where its server cannot be told from it."""
    parts = urlsplit(url)
    if parts.scheme != "file" and not (parts.hostname and parts.port != 0):
        raise ValueError
    return url


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
Url = Annotated[str, Field(pattern=rf"^{HTTP}(/{PATH})?$"), AfterValidator(_server)]
Source = Annotated[str, Field(pattern=rf"^({HTTP}(/{PATH})?|file:///[%A-Za-z0-9_.~:/+-]+)$"), AfterValidator(_server)]
Origin = Annotated[str, Field(pattern=rf"^({HTTP}/({PATH}/)?|{REGISTRY})$")]
Disk = Annotated[str, Field(pattern=r"^/dev(/[A-Za-z0-9][A-Za-z0-9_.:+-]*)+$")]
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

    url: Source = Field(description=f"a URL with http://, https:// or file:///, {PLAIN}")
    key: Fingerprint | None = Field(default=None, description="OpenPGP fingerprint, 40 hex digits in quotes")


class Proxy(_Strict):
    """By which the hosts reach the internet: apt, the runtime and kubeadm get it."""

    http: Url = Field(description=f"a URL with http:// or https://, {PLAIN}")
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
    endpoint: str | None = Field(
        default=None,
        pattern=BALANCER,
        description="a load balancer of your own in front of the masters, NAME:PORT, for example k8s.example.org:6443",
    )
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


class Schedule(_Strict):
    """Backups of etcd that the masters make by themselves."""

    # By the clock, the same on all masters: each of these parts a day, or an hour, into equal ones.
    every: Literal["5m", "10m", "15m", "20m", "30m", "1h", "2h", "3h", "4h", "6h", "8h", "12h", "24h"] = Field(
        description="how often"
    )
    keep: int = Field(
        default=8, ge=1, le=1000, description="how many each master keeps, a number from 1 to 1000 without quotes"
    )

    @property
    def interval(self) -> timedelta:
        unit = {"m": "minutes", "h": "hours"}[self.every[-1]]
        return timedelta(**{unit: int(self.every[:-1])})


class Etcd(_Strict):
    """What kubefab does for etcd besides what kubeadm does."""

    backup: Schedule | None = Field(
        default=None, description="a mapping of every, and keep: backups that the masters make by themselves"
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
    etcd: Etcd | None = Field(default=None, description="a mapping of backup")
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
    backup: Schedule | None = None
    hosts: tuple[Host, ...]

    @property
    def release(self) -> releases.Release:
        """What this minor of Kubernetes is like."""
        return releases.release(self.cluster.kubernetes)

    def of_kubernetes(self, version: str) -> "Inventory":
        """The same for another version, as a host may still be of it. KeyError by its `release` for one not known."""
        return self.model_copy(update={"cluster": self.cluster.model_copy(update={"kubernetes": version})})

    @property
    def founder(self) -> Host:
        """The first master: it makes the cluster, where no host has a control plane."""
        return next(host for host in self.hosts if host.role == "master")

    @property
    def masters(self) -> tuple[Host, ...]:
        """The hosts with a control plane."""
        return tuple(host for host in self.hosts if host.role == "master")

    @property
    def addons(self) -> dict[str, str]:
        """The add-ons beside the pod network, each with the version that is asked for, or with ""."""
        pairs = (name.partition("@") for name in self.cluster.addons if name != NETWORK)
        return {name: version for name, _, version in pairs}

    @property
    def workers(self) -> tuple[Host, ...]:
        """All workers, absent ones too."""
        return tuple(host for host in self.hosts if host.role == "worker")

    def told(self, field: str) -> Any:
        """What hosts.yml says of a field of kubeadm's documents ("KubeletConfiguration.maxPods"); None for nothing."""
        value: Any = self.cluster.kubeadm
        for name in field.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def host(self, name: str) -> Host:
        """The host of this name. InventoryError, with the names there are, where there is none."""
        hosts = {host.name: host for host in self.hosts}
        if name in hosts:
            return hosts[name]
        found = f"found no host '{shown(name)}'" if name else "--host NAME is needed"
        raise InventoryError(f"{self.path}: {found}; allowed: {one_of(name, hosts)}")
