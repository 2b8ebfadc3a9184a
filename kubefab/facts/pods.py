"""What nodes have whose pods are to go, by a master's word: pods, volumes, and who else is there for them."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.part import Part, each, pairs, whole, words


@dataclass(frozen=True)
class Pod:
    """A pod of such a node, and where it keeps something."""

    name: str  # "namespace/name", as of all of these
    controller: str = ""  # "Kind/name"; "": nobody makes it anew
    static: bool = False
    ready: bool = False
    ending: bool = False
    phase: str = ""
    volumes: tuple[str, ...] = ()  # "emptyDir NAME", "ephemeral NAME", 'hostPath "PATH"', "claim NAME"

    @classmethod
    def read(cls, said: str) -> "Pod":
        name, controller, state, *volumes = said.split("|")
        *flags, phase = state.split(" ")
        return cls(name, controller, "static" in flags, "ready" in flags, "ending" in flags, phase, tuple(volumes))

    @property
    def stays(self) -> bool:
        """No drain takes those that belong to every node, nor those that the kubelet makes by itself."""
        return self.static or self.controller.startswith(("DaemonSet/", "Node/"))

    @property
    def over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def set(self) -> str:
        """Its controller, as "namespace/Kind/name"."""
        return f"{self.name.partition('/')[0]}/{self.controller}"

    @property
    def claims(self) -> list[str]:
        return [f"{self.name.partition('/')[0]}/{claim}" for claim in self.of("claim")]

    def of(self, kind: str) -> list[str]:
        """Its volumes of this kind."""
        return [one.removeprefix(f"{kind} ") for one in self.volumes if one.startswith(f"{kind} ")]


@dataclass(frozen=True)
class Replicas:
    """How many pods of a set are ready in all of the cluster, and whose set it is: "Kind/name"."""

    ready: int = 0
    owner: str = ""

    @classmethod
    def read(cls, said: str) -> "Replicas":
        ready, *owner = words(said, 2)
        return cls(whole(ready), "".join(owner))


@dataclass(frozen=True)
class Kept:
    """The PersistentVolume of a claim."""

    name: str
    here: bool = False  # whether it is a folder or a disk of the one machine that its pods are on

    @classmethod
    def read(cls, said: str) -> "Kept":
        name, *here = words(said, 2)
        return cls(name, here == ["here"])


@dataclass(frozen=True)
class Pods(Part):
    pods: tuple[Pod, ...] = each("pod")
    replicas: Mapping[str, Replicas] = pairs("replicas")  # by "namespace/Kind/name"
    kept: Mapping[str, Kept] = pairs("kept")  # by claim
    attached: Mapping[str, str] = pairs("attached")  # VolumeAttachments -> PersistentVolume
    where: Mapping[str, str] = pairs("on")  # pods, and VolumeAttachments, -> the node that they are on
    held: Mapping[str, str] = pairs("held")  # pods whose budget allows no eviction now -> budget
    pods_told: bool = False  # whether the API server has said all of it

    def of(self, node: str) -> list[Pod]:
        """Those of this node."""
        return [pod for pod in self.pods if self.is_on(pod.name, node)]

    def is_on(self, name: str, node: str) -> bool:
        """Whether a pod, or a VolumeAttachment, is of this node."""
        return self.where.get(name, node) == node
