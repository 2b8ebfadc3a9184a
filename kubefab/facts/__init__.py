"""What is true on a host: the frozen answer of its looks, part by part."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

from kubefab.errors import NotAsked
from kubefab.facts.addons import AddonObject, Labelled
from kubefab.facts.api import Api
from kubefab.facts.backups import Backups
from kubefab.facts.ceph import CEPH, Ceph, Rook
from kubefab.facts.certificates import Certificates
from kubefab.facts.change import Change, Work
from kubefab.facts.cluster import (
    ADDON,
    CORDONED_BY,
    OBJECTS,
    OUT_OF_SERVICE,
    ClusterFacts,
    Node,
    Workload,
    parse_cluster,
)
from kubefab.facts.disks import CEPHS, EMPTY, Disks
from kubefab.facts.dns import Dns
from kubefab.facts.endpoint import Endpoint
from kubefab.facts.etcd import Etcd, Known, Member
from kubefab.facts.explain import Explained
from kubefab.facts.files import Files
from kubefab.facts.kubeadm import Configuration, Kubeadm
from kubefab.facts.kubelet import Kubelet
from kubefab.facts.leftovers import Leftovers
from kubefab.facts.manifests import Manifest, Manifests, Process
from kubefab.facts.network import Link, Network
from kubefab.facts.node import LocalNode, authority, fingerprint
from kubefab.facts.packages import AptSource, Package, Packages
from kubefab.facts.part import Part, Untold, nothing
from kubefab.facts.pods import Kept, Pod, Pods, Replicas
from kubefab.facts.restore import Restore
from kubefab.facts.runtime import Runtime
from kubefab.facts.services import Services, Unit
from kubefab.facts.system import System
from kubefab.facts.upgrade import Deprecated, Upgrade
from kubefab.facts.volumes import Volume, Volumes
from kubefab.facts.workloads import Running, Workloads

__all__ = [
    "ADDON",
    "CEPH",
    "CEPHS",
    "CORDONED_BY",
    "EMPTY",
    "NOT_KNOWN",
    "OBJECTS",
    "OUT_OF_SERVICE",
    "PARTS",
    "AddonObject",
    "AptSource",
    "Ceph",
    "Certificates",
    "Change",
    "ClusterFacts",
    "Configuration",
    "Deprecated",
    "Dns",
    "Endpoint",
    "Etcd",
    "Facts",
    "Kept",
    "Known",
    "Kubelet",
    "Link",
    "LocalNode",
    "Manifest",
    "Manifests",
    "Member",
    "Node",
    "Package",
    "Packages",
    "Part",
    "Pod",
    "Pods",
    "Process",
    "Replicas",
    "Restore",
    "Running",
    "Unit",
    "Volume",
    "Workload",
    "authority",
    "clock_time",
    "fingerprint",
    "parse",
    "parse_cluster",
]

P = TypeVar("P", bound=Part)
NOT_KNOWN = "not known: "  # how it begins that a part could not be looked at


class Told(Generic[P]):
    """A part of a host's look. NotAsked for one that was not asked for, or could not look: that is never "none"."""

    def __init__(self, kind: type[P]) -> None:
        self.kind = kind

    def __get__(self, facts: "Facts", _: type) -> P:
        part = self.kind.script()
        found = facts.parts.get(part)
        if isinstance(found, self.kind):
            return found
        if isinstance(found, Untold):
            raise NotAsked(f"{NOT_KNOWN}{found.why}", hint=_FAILED, host=facts.name)
        raise NotAsked(f"the look has no answer for {part!r}", hint=_AGAIN, host=facts.name)


@dataclass(frozen=True)
class Facts:
    """One host, as the last looks found it; the cluster, as its speaker tells it; and the other hosts."""

    name: str = ""
    parts: Mapping[str, Part] = field(default_factory=nothing)  # by the look's own names
    cluster: ClusterFacts | None = None
    others: Mapping[str, "Facts"] = field(default_factory=nothing)  # all that were looked at, by name; they have none

    addons = Told(Labelled)
    api = Told(Api)
    backups = Told(Backups)
    ceph = Told(Rook)
    certificates = Told(Certificates)
    change = Told(Work)
    disks = Told(Disks)
    dns = Told(Dns)
    endpoint = Told(Endpoint)
    etcd = Told(Etcd)
    explain = Told(Explained)
    files = Told(Files)
    kubeadm = Told(Kubeadm)
    kubelet = Told(Kubelet)
    leftovers = Told(Leftovers)
    local = Told(LocalNode)  # of the part "node"; `node` is what the cluster says of it
    manifests = Told(Manifests)
    network = Told(Network)
    packages = Told(Packages)
    pods = Told(Pods)
    restore = Told(Restore)
    runtime = Told(Runtime)
    services = Told(Services)
    system = Told(System)
    upgrade = Told(Upgrade)
    volumes = Told(Volumes)
    workloads = Told(Workloads)

    @cached_property  # every other host's gaps ask for it, too
    def node(self) -> Node | None:
        """The Node that this very machine is: of its name, or of another where it was made by hand."""
        nodes = self.cluster.nodes if self.cluster else {}
        named = nodes.get(self.name)
        if named and (self._has_id(named) or self._is_at(named)):
            return named  # a kubelet reads the machine-id once, and may tell of an older one
        return next((node for node in nodes.values() if self._has_id(node) and self._may_be_at(node)), None)

    @property
    def trusted(self) -> bool:
        """Whether the kubelet here is of this cluster: it trusts its CA."""
        return bool(self.cluster and self.local.kubelet_ca and self.local.kubelet_ca == self.cluster.ca)

    def _has_id(self, node: Node) -> bool:
        return bool(node.machine_id) and node.machine_id == self.system.machine_id

    def _is_at(self, node: Node) -> bool:
        return node.address in self.system.addresses

    def _may_be_at(self, node: Node) -> bool:
        """A clone has the id of another machine, and not its address; only those of IPv4 are looked at."""
        return self._is_at(node) or "." not in node.address

    @property
    def unfinished(self) -> bool:
        """Whether kubeadm init did not end where the cluster's word comes from: it counts for no other host."""
        speaker = self.everyone.get(self.cluster.speaker) if self.cluster else None
        return bool(speaker and speaker.local.init_begun)

    @property
    def everyone(self) -> dict[str, "Facts"]:
        """All hosts that were looked at, this one among them."""
        return {self.name: self, **self.others}


PARTS: Mapping[str, type[Part]] = {
    told.kind.script(): told.kind for told in vars(Facts).values() if isinstance(told, Told)
}


def parse(parts: Mapping[str, str]) -> dict[str, Part]:
    """The parts of a look, the cluster's not among them. HostError for a line that cannot be understood."""
    return {name: _untold(text) or PARTS[name].read(text) for name, text in parts.items() if name in PARTS}


def _untold(text: str) -> Untold | None:
    """A part that could not look says why, in a line of its own."""
    _, untold, why = f"\n{text}".partition("\nuntold ")
    return Untold(why.partition("\n")[0]) if untold else None


def clock_time(moment: float) -> str:
    """A moment, in seconds of the epoch, as the clock on the wall here shows it."""
    return time.strftime("%H:%M:%S", time.localtime(moment))


_AGAIN = "run the same command again; if it says the same, this is a bug in kubefab"
_FAILED = "run that command on the host, and see why it fails"
