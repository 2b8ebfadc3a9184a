"""What is true on a host: the parsed, frozen answer of one look."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

ADDON = "kubefab.internal/addon"  # annotates the workload of an add-on that is applied last: NAME VERSION
CEPH = "kubefab.internal/ceph"  # annotates rook's Ceph cluster: what of hosts.yml it was made of
EMPTY = "empty"  # the state of a disk on which there is nothing at all


def nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Package:
    """A Debian package: dpkg's own word on it (`ii`, `hi`, `iF` …), and its version."""

    status: str
    version: str = ""

    @property
    def installed(self) -> bool:
        return self.status[1:2] == "i"

    @property
    def held(self) -> bool:
        return self.status[:1] == "h"


@dataclass(frozen=True)
class Unit:
    """A systemd unit; `since` is when it started, in seconds of the epoch, 0 where it did not."""

    active: str = "inactive"
    enabled: str = ""
    since: float = 0
    result: str = "success"


@dataclass(frozen=True)
class Change:
    """A change that an earlier run began and that still goes on; `since` in seconds of the epoch."""

    title: str
    since: float


@dataclass(frozen=True)
class Node:
    """A machine as the cluster knows it."""

    name: str
    machine_id: str = ""
    version: str = ""
    address: str = ""
    runtime: str = ""
    ready: bool = False
    trouble: str = ""
    roles: tuple[str, ...] = ()
    taints: Mapping[str, str] = field(default_factory=nothing)  # key -> effect


@dataclass(frozen=True)
class Workload:
    """A Deployment or DaemonSet: how many pods it wants, how many are up to date and answer."""

    wanted: int = 0
    ready: int = 0
    images: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=nothing)


@dataclass(frozen=True)
class Volume:
    """A PersistentVolume: whose it is, "namespace/name", and its storage class."""

    claim: str
    storage_class: str = ""


@dataclass(frozen=True)
class Ceph:
    """rook's Ceph cluster: what it was made of, and what its operator says of it."""

    mark: str
    phase: str = ""
    health: str = ""
    message: str = ""

    def disks(self, host: str) -> list[str]:
        """The disks of this host that were given to it."""
        made = (word.partition("=") for word in self.mark.split())
        return next((devices.split(",") for name, _, devices in made if name == host and devices), [])


@dataclass(frozen=True)
class ClusterFacts:
    """What the first master says of the cluster. `silent` is why its API server gives no answer.

    `unfinished`: its kubeadm init was broken off, and what it says counts for nobody but who cleans it away.
    """

    version: str = ""
    pod_subnet: str = ""
    service_subnet: str = ""
    endpoint: str = ""
    ca: str = ""
    silent: str = ""
    unfinished: bool = False
    healthz: str = ""
    nodes: Mapping[str, Node] = field(default_factory=nothing)
    workloads: Mapping[str, Workload] = field(default_factory=nothing)
    apis: Mapping[str, str] = field(default_factory=nothing)  # APIService -> what is wrong with it, "" for nothing

    @property
    def ready_nodes(self) -> int:
        return sum(node.ready for node in self.nodes.values())

    @property
    def addons(self) -> dict[str, str]:
        """The add-ons that kubefab has put there, and their versions."""
        found = [workload.annotations.get(ADDON, "") for workload in self.workloads.values()]
        return {name: version for name, version, *_ in (mark.split() for mark in found if mark)}


@dataclass(frozen=True)
class Facts:
    """One host, as the last look found it. Every default means "not there"."""

    os: str = ""
    os_version: str = ""
    arch: str = ""
    kernel: str = ""
    cpus: int = 0
    memory_mib: int = 0
    disk_mib: int = 0
    hostname: str = ""
    machine_id: str = ""
    product_uuid: str = ""
    addresses: Mapping[str, str] = field(default_factory=nothing)  # address -> interface
    skew: float = 0  # seconds that the host's clock is ahead of ours
    cgroups: str = ""
    lacks: tuple[str, ...] = ()
    swap: tuple[str, ...] = ()
    swap_later: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    sysctl: Mapping[str, str] = field(default_factory=nothing)
    endpoints: Mapping[str, str] = field(default_factory=nothing)  # name -> address, of /etc/hosts
    files: Mapping[str, str] = field(default_factory=nothing)  # path -> sha256
    mtimes: Mapping[str, float] = field(default_factory=nothing)
    packages: Mapping[str, Package] = field(default_factory=nothing)
    dpkg_broken: tuple[str, ...] = ()
    apt_lock: str = ""
    units: Mapping[str, Unit] = field(default_factory=nothing)
    cri: str = ""  # what containerd says of it
    images: tuple[str, ...] = ()
    docker: str = ""  # "ok", or why Docker Engine gives no answer
    docker_cri: str = ""
    docker_images: tuple[str, ...] = ()
    cri_dockerd: str = ""  # its version
    ports: Mapping[int, str] = field(default_factory=nothing)
    admin_ca: str = ""
    kubelet_ca: str = ""
    admin_server: str = ""
    cri_socket: str = ""  # what this node's kubelet uses
    join_begun: bool = False
    init_begun: str = ""
    etcd_data: bool = False
    manifests: tuple[str, ...] = ()
    cni: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    flannel: bool = False  # whether it has come up since the boot
    kubeconfig: str = ""
    containers: int = 0
    shims: int = 0  # processes that hold containers; they outlive them by a moment
    chains: int = 0
    mounts: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    certificates: Mapping[str, str] = field(default_factory=nothing)  # path -> DER, in base64
    confs: Mapping[str, str] = field(default_factory=nothing)  # path -> server, and the user's certificate
    static_pods: Mapping[str, str] = field(default_factory=nothing)  # manifest -> image
    tokens: Mapping[str, str] = field(default_factory=nothing)  # id -> end and description, all in base64
    info_server: str = ""
    info_ca: str = ""
    disks: Mapping[str, str] = field(default_factory=nothing)  # path -> EMPTY, or what is on it
    rbd: bool = False
    ceph: Ceph | None = None
    volumes: tuple[Volume, ...] = ()
    volumes_told: bool = False  # whether the API server has said which there are
    change: Change | None = None
    run: Change | None = None  # who has the lock here; its title is the holder
    cluster: ClusterFacts | None = None

    @property
    def node(self) -> Node | None:
        """The Node that this very machine is, whatever its name."""
        nodes = self.cluster.nodes.values() if self.cluster else ()
        return next((node for node in nodes if self.machine_id and node.machine_id == self.machine_id), None)


def clock_time(moment: float) -> str:
    """A moment, in seconds of the epoch, as the clock on the wall here shows it."""
    return time.strftime("%H:%M:%S", time.localtime(moment))


def sections(text: str) -> dict[str, str]:
    """A look's output by its parts: `== system` begins the part "system"."""
    parts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("== "):
            lines = parts.setdefault(line[3:], [])
        else:
            lines.append(line)
    return {name: "\n".join(lines) for name, lines in parts.items()}


def parse(parts: Mapping[str, str]) -> Facts:
    """Facts from the parts of one or more looks, the cluster's not among them."""
    found: dict[str, Any] = {}
    for part, text in parts.items():
        if part not in ("cluster", "services"):
            for name, value in _lines(text):
                if reader := _READERS.get(name):
                    reader(found, name, value)
    found["units"] = _units(parts.get("services", ""))
    return Facts(**found)


def parse_cluster(parts: Mapping[str, str], master: Facts) -> ClusterFacts | None:
    """The cluster, from the parts of the first master's look; None where there is no control plane."""
    found = dict(_lines(parts.get("cluster", "")))
    if not found:
        return None
    items, silent = _answer(found)
    return ClusterFacts(
        version=found.get("version", ""),
        pod_subnet=found.get("cluster-cidr", ""),
        service_subnet=found.get("service-cluster-ip-range", ""),
        silent=silent,
        unfinished=bool(master.init_begun),
        healthz=parts.get("healthz", ""),
        ca=master.admin_ca,
        endpoint=master.admin_server,
        nodes={node.name: node for node in (_node(item) for item in items if item["kind"] == "Node")},
        workloads={_name(item): _workload(item) for item in items if item["kind"] in ("DaemonSet", "Deployment")},
        apis={item["metadata"]["name"]: _api(item) for item in items if item["kind"] == "APIService"},
    )


def authority(node: str) -> str:
    """The certificate in base64 that admin.conf trusts, from the look's part "node"."""
    return dict(_lines(node)).get("admin_ca", "")


def _answer(found: Mapping[str, str]) -> tuple[list[Any], str]:
    """The objects that kubectl printed, its warnings around them passed over; or why there are none."""
    answer = found.get("answer", "")
    try:
        return json.JSONDecoder().raw_decode(answer[answer.index("{") :])[0]["items"], ""
    except (ValueError, KeyError):
        return [], found.get("silent") or f"kubectl said {answer[:200]!r}"


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        yield name, value.strip()


Reader = Callable[[dict[str, Any], str, str], None]


def _one(convert: Callable[[str], Any], to: str = "") -> Reader:
    def read(found: dict[str, Any], name: str, value: str) -> None:
        found[to or name] = convert(value)

    return read


def _number(value: str) -> int:
    """0 where the command that counts is not there."""
    return int(value or 0)


def _many(to: str, convert: Callable[[str], Any] = str) -> Reader:
    def read(found: dict[str, Any], _: str, value: str) -> None:
        found[to] = tuple(dict.fromkeys((*found.get(to, ()), convert(value))))

    return read


def _pairs(to: str, key: Callable[[str], Any] = str, convert: Callable[[str], Any] = str) -> Reader:
    def read(found: dict[str, Any], _: str, value: str) -> None:
        name, _, rest = value.partition(" ")
        found.setdefault(to, {})[key(name)] = convert(rest)

    return read


def _endpoint(found: dict[str, Any], _: str, value: str) -> None:
    address, *names = value.split()
    found.setdefault("endpoints", {}).update(dict.fromkeys(names, address))


def _change(found: dict[str, Any], name: str, value: str) -> None:
    """A change that took its lock just now may not have said yet what it is."""
    since, _, title = value.partition(" ")
    found[name] = Change(title or "a change", float(since or 0))


def _skew(found: dict[str, Any], name: str, value: str) -> None:
    """`clock` is the host's time, `asked` ours at the same moment: the look's caller adds that line."""
    found["skew"] = found.get("skew", 0) + (float(value) if name == "clock" else -float(value))


def fingerprint(text: str) -> str:
    """A short name for a certificate: the first 12 hex digits of its text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_READERS: Mapping[str, Reader] = {
    **{name: _one(str) for name in ("os", "os_version", "arch", "kernel", "hostname", "machine_id")},
    **{name: _one(str) for name in ("product_uuid", "cgroups", "apt_lock", "cri", "init_begun")},
    **{name: _one(str) for name in ("docker", "docker_cri", "cri_dockerd", "cri_socket")},
    **{name: _one(str) for name in ("kubeconfig", "admin_server", "info_server")},
    **{name: _one(_number) for name in ("cpus", "memory_mib", "disk_mib", "containers", "shims", "chains")},
    **{name: _one("yes".__eq__) for name in ("join_begun", "etcd_data", "flannel", "volumes_told", "rbd")},
    **{name: _one(fingerprint) for name in ("admin_ca", "kubelet_ca", "info_ca")},
    "clock": _skew,
    "asked": _skew,
    "endpoint": _endpoint,
    "address": _pairs("addresses"),
    "lacks": _many("lacks"),
    "swap": _many("swap"),
    "swap_later": _many("swap_later"),
    "module": _many("modules"),
    "manifest": _many("manifests"),
    "cni": _many("cni"),
    "link": _many("links"),
    "image": _many("images"),
    "docker_image": _many("docker_images"),
    "directory": _many("directories"),
    "mount": _many("mounts"),
    "volume": _many("volumes", convert=lambda rest: Volume(*rest.split())),
    "dpkg_broken": _many("dpkg_broken"),
    "sysctl": _pairs("sysctl"),
    "file": _pairs("files"),
    "mtime": _pairs("mtimes", convert=float),
    "certificate": _pairs("certificates"),
    "conf": _pairs("confs"),
    "static_pod": _pairs("static_pods"),
    "token": _pairs("tokens"),
    "port": _pairs("ports", key=int),
    "package": _pairs("packages", convert=lambda rest: Package(*rest.split())),  # status, version
    "disk": _pairs("disks"),
    "ceph": _one(lambda value: Ceph(*value.split("|", 3))),
    "change": _change,
    "run": _change,
}


def _units(text: str) -> dict[str, Unit]:
    """`systemctl show` of several units: a block of Name=value lines each, an empty one between."""
    units = {}
    for block in re.split(r"^unit ?$", text, flags=re.MULTILINE):
        values = dict(line.removeprefix("unit ").split("=", 1) for line in block.splitlines() if "=" in line)
        if name := values.get("Id"):
            units[name.removesuffix(".service")] = Unit(
                active=values.get("ActiveState", ""),
                enabled=values.get("UnitFileState", ""),
                since=_epoch(values.get("ActiveEnterTimestamp", "")),
                result=values.get("Result", ""),
            )
    return units


def _epoch(stamp: str) -> float:
    """systemd's "Sun 2026-11-22 19:36:01.123456 UTC" in seconds of the epoch; 0 for none."""
    parts = stamp.split()
    if len(parts) < 3:
        return 0
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in parts[2] else "%Y-%m-%d %H:%M:%S"
    return datetime.strptime(" ".join(parts[1:3]), form).replace(tzinfo=UTC).timestamp()


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


ROLE = "node-role.kubernetes.io/"


def _node(item: Mapping[str, Any]) -> Node:
    status, info = item["status"], item["status"].get("nodeInfo", {})
    ready: Mapping[str, str] = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
    addresses = {a["type"]: a["address"] for a in status.get("addresses", ())}
    return Node(
        name=item["metadata"]["name"],
        machine_id=info.get("machineID", ""),
        version=info.get("kubeletVersion", "").removeprefix("v"),
        address=addresses.get("InternalIP", ""),
        runtime=info.get("containerRuntimeVersion", ""),
        ready=ready.get("status") == "True",
        trouble="" if ready.get("status") == "True" else ready.get("message", "its kubelet has not reported yet"),
        roles=tuple(label.removeprefix(ROLE) for label in item["metadata"].get("labels", {}) if ROLE in label),
        taints={taint["key"]: taint.get("effect", "") for taint in item.get("spec", {}).get("taints", ())},
    )


def _api(item: Mapping[str, Any]) -> str:
    conditions = item.get("status", {}).get("conditions", ())
    available: Mapping[str, str] = next((one for one in conditions if one["type"] == "Available"), {})
    return "" if available.get("status") == "True" else available.get("message", "not looked at yet")


def _workload(item: Mapping[str, Any]) -> Workload:
    status, template = item.get("status", {}), item["spec"]["template"]["spec"]
    daemons = item["kind"] == "DaemonSet"
    current = status.get("observedGeneration") == item["metadata"].get("generation")
    updated = status.get("updatedNumberScheduled" if daemons else "updatedReplicas", 0)
    ready = status.get("numberAvailable" if daemons else "availableReplicas", 0)
    containers = (*template.get("initContainers", ()), *template["containers"])
    return Workload(
        wanted=status.get("desiredNumberScheduled", 1) if daemons else item["spec"].get("replicas", 1),
        ready=min(updated, ready) if current else 0,
        images=tuple(dict.fromkeys(container["image"] for container in containers)),
        annotations=item["metadata"].get("annotations", {}),
    )
