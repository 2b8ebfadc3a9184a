"""rook's Ceph cluster, as a master tells of it."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each

CEPH = "kubefab.internal/ceph"  # annotates rook's Ceph cluster: what of hosts.yml it was made of


@dataclass(frozen=True)
class Ceph:
    """What it was made of, and what its operator says of it."""

    mark: str
    phase: str = ""
    health: str = ""
    message: str = ""

    @classmethod
    def read(cls, said: str) -> "Ceph":
        return cls(*said.split("|", 3))

    def disks(self, host: str) -> list[str]:
        """The disks of this host that were given to it."""
        made = (word.partition("=") for word in self.mark.split(" "))
        return next((devices.split(",") for name, _, devices in made if name == host and devices), [])


@dataclass(frozen=True)
class Rook(Part):
    clusters: tuple[Ceph, ...] = each("ceph")
    pools: tuple[str, ...] = each("ceph_pool")  # and file systems and object stores: kind and name
    ceph_told: bool = False  # whether the API server has said of all of them which there are
