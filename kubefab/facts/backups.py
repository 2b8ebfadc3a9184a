"""The backups of etcd that a master has made by itself, how the last one failed that did, and what makes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from kubefab.facts.part import Part, each, pairs, seconds

NAME = "%Y-%m-%dT%H-%M-%SZ"  # of a backup's folder: when it was taken


def moment(name: str) -> datetime:
    """ValueError for what is no such name."""
    return datetime.strptime(name, NAME).replace(tzinfo=UTC)


def _bytes(said: str) -> int:
    """A disk is bigger than what `whole` takes."""
    if not said.isascii() or len(said) > 18:
        raise ValueError(said)
    return int(said or 0)


@dataclass(frozen=True)
class Backups(Part):
    backups: Mapping[Annotated[datetime, moment], Annotated[int, _bytes]] = pairs("backup")  # and their sizes
    former_backups: tuple[Annotated[datetime, moment], ...] = each("former_backup")  # those of these of another cluster
    backup_failed: str = ""  # why the last one did that did
    backup_failed_at: Annotated[float, seconds] = 0  # when it began, in seconds of the epoch
    timer_files: tuple[str, ...] = each("timer_file")  # those that kubefab has put there
