"""What a reset takes away and the other parts do not show."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each


@dataclass(frozen=True)
class Leftovers(Part):
    containers: int = 0
    shims: int = 0  # processes that hold containers; they outlive them by a moment
    chains: int = 0
    mounts: tuple[str, ...] = each("mount")
    directories: tuple[str, ...] = each("directory")
