"""What runs in the cluster, by a master's word: how many pods each workload wants, and how many are ready."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each, whole, words

MANY = 100  # words that an item may have


@dataclass(frozen=True)
class Running:
    """A Deployment, StatefulSet or DaemonSet; or a static pod, which is one of itself."""

    kind: str
    name: str  # "namespace/name"
    wanted: int
    ready: int
    images: tuple[str, ...] = ()  # of a static pod

    @classmethod
    def read(cls, said: str) -> "Running":
        kind, name, wanted, ready, *images = words(said, MANY)
        return cls(kind, name, whole(wanted), whole(ready), tuple(images))

    @property
    def short(self) -> bool:
        """Whether it has fewer pods than it wants."""
        return self.ready < self.wanted

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.ready} of {self.wanted} pods are ready"


@dataclass(frozen=True)
class Workloads(Part):
    workloads: tuple[Running, ...] = each("workload")
    workloads_told: bool = False  # whether the API server has said all of it
