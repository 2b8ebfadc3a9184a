"""Which hosts are meant, and how they are gone through."""

from dataclasses import dataclass
from enum import Enum, auto


class Group(Enum):
    """Hosts that the runbook means together. Who runs it names hosts, and never one of these."""

    ALL = auto()
    FOUNDER = auto()  # the master that makes the cluster
    SPEAKER = auto()  # the master by whose word the cluster is known, and by way of which it is changed
    MASTERS = auto()
    WORKERS = auto()


@dataclass(frozen=True)
class Pass:
    """How a list of states is brought to several hosts: to all of them at once, unless it says otherwise."""

    at_once: int | None = None  # how many hosts are worked on at one time; None: all, for they mostly wait
    rolling: bool = False  # no new host after a failure of this pass
    alone: bool = False  # it concerns no cluster: a master that does not answer is no reason to stop


Who = Group | str
ALL_AT_ONCE = Pass()
ONE_BY_ONE = Pass(at_once=1)
