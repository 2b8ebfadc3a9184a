"""The disks of a host."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.part import Part, pairs

EMPTY = "empty"  # the state of a disk on which there is nothing at all
CEPHS = "Ceph's"  # and of one on which there is nothing else


@dataclass(frozen=True)
class Disks(Part):
    states: Mapping[str, str] = pairs("disk")  # path -> EMPTY, CEPHS, or what is on it
    rbd: bool = False
