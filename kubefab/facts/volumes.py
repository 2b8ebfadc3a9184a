"""The volumes that a cluster keeps for its pods."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each


@dataclass(frozen=True)
class Volume:
    """A PersistentVolume: whose it is, "namespace/name", its storage class, and the CSI driver that keeps it."""

    claim: str
    storage_class: str = ""
    driver: str = ""

    @classmethod
    def read(cls, said: str) -> "Volume":
        claim, storage_class, driver = said.split("|", 2)
        return cls(claim, storage_class, driver)


@dataclass(frozen=True)
class Volumes(Part):
    persistent: tuple[Volume, ...] = each("volume")
    volumes_told: bool = False  # whether the API server has said which there are
