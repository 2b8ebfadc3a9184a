"""The volumes that a cluster keeps for its pods."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each, words


@dataclass(frozen=True)
class Volume:
    """A PersistentVolume: whose it is, "namespace/name", and its storage class."""

    claim: str
    storage_class: str = ""

    @classmethod
    def read(cls, said: str) -> "Volume":
        return cls(*words(said, 2))


@dataclass(frozen=True)
class Volumes(Part):
    persistent: tuple[Volume, ...] = each("volume")
    volumes_told: bool = False  # whether the API server has said which there are
