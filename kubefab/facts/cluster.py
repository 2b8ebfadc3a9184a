"""The cluster, as the host that speaks for it tells it."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_origin, get_type_hints

from kubefab.facts.part import not_understood, nothing

# It annotates the workload of an add-on that is applied last: NAME VERSION EDITION; and it labels all of its objects.
ADDON = "kubefab.internal/addon"
OBJECTS = "kubefab.internal/objects"  # annotates the same workload: how many objects have that label
# What kubectl says where somebody has answered, or nobody was asked; the first that fits.
REFUSALS = {
    "Unauthorized": "the API server does not know whom admin.conf is for (see: inv certs.status)",
    "certificate has expired": "a certificate has ended (see: inv certs.status; inv certs.renew renews it)",
    "certificate signed by unknown authority": "the API server is not of the cluster that admin.conf is for",
    "Forbidden": "the API server forbids its own admin to look",
    "not found": "kubectl is not there (`inv install-kubeadm` installs it)",
}
_ALWAYS = ("Node", "DaemonSet", "Deployment", "APIService")  # the kinds that each look asks for
_NO_ANSWER = "the API server gives no answer"
_LIST = re.compile(r'\{\s*"apiVersion"')  # how kubectl's JSON begins
ROLE = "node-role.kubernetes.io/"
# It annotates a Node that a task of ours has cordoned, and is the name under which that has set `unschedulable`.
CORDONED_BY = "kubefab.internal/cordoned-by"
# A taint's, the weakest first: by that one pods still come where there is no room elsewhere.
EFFECTS = ("PreferNoSchedule", "NoSchedule", "NoExecute")
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"  # taints a Node whose machine is off, by a person's word
FLANNEL = "flannel.alpha.coreos.com/public-ip"  # flanneld annotates its Node with it, once, at its start


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
    pressures: tuple[str, ...] = ()  # DiskPressure and its kind: pods are evicted, and none comes
    roles: tuple[str, ...] = ()
    taints: Mapping[str, str] = field(default_factory=nothing)  # key -> effect, the strongest of several
    cordoned: bool = False  # whether somebody keeps new pods off it
    cordoned_by: str = ""  # the task that did it, and lets it take pods again; "" for a person, or who may be one
    mark: str = ""  # the task that did so once, by its annotation: kubectl leaves that to whoever cordons later
    pod_cidr: str = ""
    announced: bool = False  # whether its flannel has told the others' how to reach it
    images: int = 0  # that are there; its kubelet tells of fifty

    @property
    def is_master(self) -> bool:
        """By its label, of which older releases have another."""
        return not {"control-plane", "master"}.isdisjoint(self.roles)

    @property
    def barred_by(self) -> list[str]:
        """The keys of the taints that keep pods away."""
        return [key for key, effect in self.taints.items() if effect != EFFECTS[0]]

    @property
    def cordoner(self) -> str:
        """Who keeps pods off it, in words. A mark alone says too little: before kubefab set cordons under its own name
        it was all there was, and a person's own cordon leaves it."""
        return self.cordoned_by or f"a person{self.mark and f', or still by {self.mark}'}"


@dataclass(frozen=True)
class Workload:
    """A Deployment or DaemonSet: how many pods it wants, how many are up to date and answer."""

    wanted: int = 0
    ready: int = 0
    images: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=nothing)
    current: bool = False  # whether these numbers are about what was applied last


@dataclass(frozen=True)
class ClusterFacts:
    """What the host `speaker` says of the cluster. `silent` is why its API server gives no answer."""

    speaker: str = ""
    version: str = ""
    pod_subnet: str = ""
    service_subnet: str = ""
    endpoint: str = ""
    ca: str = ""
    silent: str = ""
    nodes: Mapping[str, Node] = field(default_factory=nothing)
    workloads: Mapping[str, Workload] = field(default_factory=nothing)
    apis: Mapping[str, str] = field(default_factory=nothing)  # APIService -> what is wrong with it, "" for nothing
    kept: tuple[str, ...] = ()  # "Pod namespace/name" and its like: asked for while kubeadm init has not ended

    @property
    def unheard(self) -> str:
        """Why its API server cannot be asked, in words: a refusal is no silence."""
        meant = next((meaning for words, meaning in REFUSALS.items() if words in self.silent), _NO_ANSWER)
        return f"{meant}: {self.silent}"

    @property
    def ready_nodes(self) -> int:
        return sum(node.ready for node in self.nodes.values())

    @property
    def done(self) -> int:
        """What has come true here, as a count: it grows while a cluster comes up, however slowly."""
        nodes = sum(1 + one.ready + one.announced + one.images for one in self.nodes.values())
        return nodes + sum(one.ready + one.current for one in self.workloads.values())

    @property
    def addons(self) -> dict[str, str]:
        """The add-ons that kubefab has put there, and their versions."""
        marks = [workload.annotations.get(ADDON, "").split() for workload in self.workloads.values()]
        return {name: "".join(rest[:1]) for name, *rest in filter(None, marks)}


def parse_cluster(text: str) -> ClusterFacts | None:
    """The cluster, from the look's part "cluster"; None where there is no control plane.

    HostError where it cannot be understood.
    """
    found = dict(_lines(text))
    if not found:
        return None
    try:
        return _cluster(found, {name for word, name in _lines(text) if word == "ours"})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise not_understood("cluster", f"{type(error).__name__} {error}") from None


def _cluster(found: Mapping[str, str], ours: Collection[str]) -> ClusterFacts:
    """`ours`: the Nodes that a task keeps pods off."""
    items, silent = _answer(found)
    return ClusterFacts(
        version=found.get("version", ""),
        pod_subnet=found.get("cluster-cidr", ""),
        service_subnet=found.get("service-cluster-ip-range", ""),
        silent=silent,
        nodes={node.name: node for node in (_node(item, ours) for item in items if item["kind"] == "Node")},
        workloads={_name(item): _workload(item) for item in items if item["kind"] in ("DaemonSet", "Deployment")},
        apis={_text(item["metadata"]["name"]): _api(item) for item in items if item["kind"] == "APIService"},
        kept=tuple(f"{_text(item['kind'])} {_name(item)}" for item in items if item["kind"] not in _ALWAYS),
    )


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        name, _, value = line.partition(" ")
        if name:
            yield name, value.strip(" ")


def _answer(found: Mapping[str, str]) -> tuple[list[Any], str]:
    """The objects that kubectl printed, its warnings around them passed over; or why there are none."""
    answer = found.get("answer", "")
    begin = _LIST.search(answer) or re.search("{", answer)  # a warning may have braces, too
    try:
        return json.JSONDecoder().raw_decode(answer[begin.start() if begin else 0 :])[0]["items"], ""
    except (ValueError, KeyError, RecursionError):
        return [], found.get("silent") or f"kubectl said {answer[:200]!r}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _check(made: Any) -> None:
    """TypeError for a field that is not what Kubernetes' API makes of it: gaps rely on that."""
    for name, kind in _types(made.__class__).items():
        value = getattr(made, name)
        if not isinstance(value, get_origin(kind) or kind):
            raise TypeError(f"{name}: {value!r}")
        inside = (*value, *value.values()) if isinstance(value, Mapping) else value
        for text in inside if isinstance(inside, tuple) else ():
            _text(text)


@cache
def _types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _node(item: Mapping[str, Any], ours: Collection[str]) -> Node:
    cordoned = item.get("spec", {}).get("unschedulable") is True
    mark = item["metadata"].get("annotations", {}).get(CORDONED_BY, "")
    status, info = item["status"], item["status"].get("nodeInfo", {})
    conditions = status.get("conditions", ())
    ready: Mapping[str, str] = next((c for c in conditions if c["type"] == "Ready"), {})
    addresses = {a["type"]: a["address"] for a in reversed(status.get("addresses", ()))}  # the first of its kind counts
    made = Node(
        name=item["metadata"]["name"],
        machine_id=info.get("machineID", ""),
        version=info.get("kubeletVersion", "").removeprefix("v"),
        address=addresses.get("InternalIP", ""),
        runtime=info.get("containerRuntimeVersion", ""),
        ready=ready.get("status") == "True",
        trouble="" if ready.get("status") == "True" else ready.get("message", "its kubelet has not reported yet"),
        pressures=tuple(c["type"] for c in conditions if c["type"].endswith("Pressure") and c["status"] == "True"),
        roles=tuple(label.removeprefix(ROLE) for label in item["metadata"].get("labels", {}) if ROLE in label),
        taints=_taints(item.get("spec", {}).get("taints", ())),
        cordoned=cordoned,
        cordoned_by=mark if cordoned and item["metadata"]["name"] in ours else "",
        mark=mark,
        pod_cidr=item.get("spec", {}).get("podCIDR", ""),
        announced=FLANNEL in item["metadata"].get("annotations", {}),
        images=len(status.get("images") or ()),
    )
    _check(made)
    return made


def _taints(said: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """By their keys, one of which may have several effects: the strongest counts."""
    found = sorted(said, key=lambda taint: EFFECTS.index(taint["effect"]) if taint.get("effect") in EFFECTS else 0)
    return {taint["key"]: taint.get("effect", "") for taint in found}


def _api(item: Mapping[str, Any]) -> str:
    conditions = item.get("status", {}).get("conditions", ())
    available: Mapping[str, str] = next((one for one in conditions if one["type"] == "Available"), {})
    return "" if available.get("status") == "True" else _text(available.get("message", "not looked at yet"))


def _workload(item: Mapping[str, Any]) -> Workload:
    status, template = item.get("status", {}), item["spec"]["template"]["spec"]
    daemons = item["kind"] == "DaemonSet"
    current = status.get("observedGeneration") == item["metadata"].get("generation")
    updated = status.get("updatedNumberScheduled" if daemons else "updatedReplicas", 0)
    ready = status.get("numberAvailable" if daemons else "availableReplicas", 0)
    containers = (*template.get("initContainers", ()), *template["containers"])
    made = Workload(
        wanted=status.get("desiredNumberScheduled", 1) if daemons else item["spec"].get("replicas", 1),
        ready=min(updated, ready) if current else 0,
        current=current,
        images=tuple(dict.fromkeys(container["image"] for container in containers)),
        annotations=item["metadata"].get("annotations", {}),
    )
    _check(made)
    return made
