"""What a reset takes away and the other parts do not show."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each


@dataclass(frozen=True)
class Leftovers(Part):
    containers: int = 0
    uncounted: tuple[str, ...] = ()  # what of this could not be asked for, and why: it is not "none"
    shims: int = 0  # processes that hold containers; they outlive them by a moment
    chains: int = 0
    mounts: tuple[str, ...] = each("mount")
    tables: tuple[str, ...] = each("table")  # kube-proxy's, of nftables and of IPVS
    directories: tuple[str, ...] = each("directory")  # with something in them that is Kubernetes' or kubefab's
    foreign: tuple[str, ...] = ()  # somebody else's: it stays
    set_aside: tuple[str, ...] = ()  # somebody else's too, but where kubeadm leaves nothing
    in_the_way: tuple[str, ...] = ()  # what forbids to take anything away
