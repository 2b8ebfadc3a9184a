"""What is asked before an upgrade: what earlier ones have left, the room for one, and APIs that will go."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each, words


@dataclass(frozen=True)
class Deprecated:
    """An API that somebody has asked this master's API server for since its start."""

    api: str  # "group/version"
    resource: str
    gone: str  # the minor that has it no more

    @classmethod
    def read(cls, said: str) -> "Deprecated":
        return cls(*words(said, 3))


@dataclass(frozen=True)
class Upgrade(Part):
    copies: tuple[str, ...] = each("copy")  # kubeadm's own, below /etc/kubernetes/tmp
    torn: tuple[str, ...] = ()  # manifests that an upgrade has moved away, and not put in place
    etcd_mib: int = 0  # of etcd's folder
    etcd_unmeasured: str = ""  # why nobody knows how much that is
    room_mib: int = 0  # free where kubeadm copies it to
    copies_mib: int = 0  # of these copies
    deprecated: tuple[Deprecated, ...] = ()
    asked_told: bool = False  # whether this master's API server has said what it was asked for
    kubelet_flags: tuple[str, ...] = each("kubelet_flag")  # "FLAG FILE": told the kubelet beside its configuration
