"""How far a restore of etcd has come on a master, and what it needs to know of its etcd."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from kubefab.facts.part import Part, each, pairs, seconds, whole


@dataclass(frozen=True)
class Restore(Part):
    under_way: str = ""  # the id of the restore that was begun here and is not done
    snapshot: str = ""  # the sha256 of its snapshot
    folder: str = ""  # of etcd's data; "" where this is no master
    mounted: str = ""  # what of that which has to make room for the new data is a mount of its own
    wal: str = ""  # of its log, where somebody keeps that elsewhere
    peer: str = ""  # this member, NAME=URL
    image: str = ""  # that its manifest names, which will run
    staged: str = ""  # the id of the restore whose data are ready to take their place
    restored: str = ""  # of the one by which etcd's data were made; "" for those that have come about by themselves
    restored_at: Annotated[float, seconds] = 0  # when they took their place, in seconds of the epoch
    keys: Mapping[str, str] = pairs("key")  # of those that all masters share: pki/NAME -> sha256
    free_mib: Annotated[int, whole] = 0
    aside: tuple[str, ...] = each("aside")  # manifests of the control plane that the kubelet does not see
    lacks_etcdutl: bool = False  # the image of the etcd that runs is without it; one that does not run tells nothing
    runs: tuple[str, ...] = each("runs")  # what of the control plane does
