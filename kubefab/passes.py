"""Which hosts are meant, and how they are gone through."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

T = TypeVar("T")


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
    batches: bool = False  # no new host before all of those have ended that were begun together
    rolling: bool = False  # no new host after a failure of this pass
    alone: bool = False  # it concerns no cluster: a master that does not answer is no reason to stop

    def batched(self, hosts: Sequence[T]) -> list[Sequence[T]]:
        """Who is begun together, in turn."""
        size = (self.at_once if self.batches else None) or max(1, len(hosts))
        return [hosts[first : first + size] for first in range(0, len(hosts), size)]


Who = Group | str
ALL, FOUNDER, SPEAKER, MASTERS, WORKERS = Group
ALL_AT_ONCE = Pass()
ONE_BY_ONE = Pass(at_once=1)
IN_TURN = Pass(at_once=1, rolling=True)  # the next only where all is well with the one before
TOGETHER = Pass(rolling=True)  # what fails on one host ends it for all
ALONE = Pass(alone=True)
