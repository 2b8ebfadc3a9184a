"""A master's member of etcd, by its own word, as etcdctl prints it in JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from kubefab.facts.part import Part, each

T = TypeVar("T")
HERE = ("//127.0.0.1:", "//localhost:", "//[::1]:")


@dataclass(frozen=True)
class Member:
    """What a member says of itself: `etcdctl endpoint status`. Ids are numbers of 64 bits, sizes are bytes."""

    id: int
    cluster: int
    leader: int = 0  # the id of whom it follows; 0: it knows of none
    learner: bool = False
    revision: int = 0
    applied: int = 0  # how far in raft's log it has done what was decided
    version: str = ""
    size: int = 0  # of its database, what is free in it included
    used: int = 0  # what is not free in it; 0: it does not say
    quota: int = 0  # 0: it does not say, as before etcd 3.6; below: none
    errors: tuple[str, ...] = ()  # its alarms, "memberID:1 alarm:NOSPACE", and that it has no leader

    @classmethod
    def read(cls, said: str) -> "Member":
        return _from_json(said, _member)


@dataclass(frozen=True)
class Known:
    """A member as another one knows it: `etcdctl member list`. One that has not started yet has no name."""

    id: int
    name: str = ""
    peers: tuple[str, ...] = ()
    learner: bool = False

    @property
    def addresses(self) -> set[str]:
        """At which the others reach it."""
        return {url.partition("//")[2].rpartition(":")[0].strip("[]") for url in self.peers} - {""}


def _members(said: str) -> tuple[Known, ...]:
    return _from_json(said, lambda found: tuple(map(_known, found["members"]))) if said else ()


def _bytes(said: str) -> int:
    """A disk is bigger than what `whole` takes."""
    if not said.isascii() or len(said) > 18:
        raise ValueError(said)
    return int(said or 0)


@dataclass(frozen=True)
class Etcd(Part):
    cluster_state: str = ""  # what it was started with: "existing", or "new", which is etcd's own choice
    first_members: tuple[str, ...] = each("first_member")  # NAME=URL, of whom it was told to make its cluster
    servers: str = ""  # where this master's API server finds its etcd
    etcd_runs: bool = False  # whether the etcd of a pod listens here
    etcd_silent: str = ""  # why its member gives no answer
    member: Member | None = None
    membership: Annotated[tuple[Known, ...], _members] = ()
    quota: Annotated[int, _bytes] = 0  # by its arguments; 0: etcd's own; below: none

    @property
    def elsewhere(self) -> bool:
        """Whether this master's API server uses an etcd that is not of kubeadm's making."""
        return bool(self.servers) and not any(place in self.servers for place in HERE)


def _from_json(said: str, make: Callable[[Any], T]) -> T:
    """ValueError for what is something else, whatever that is."""
    try:
        return make(json.loads(said))
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from None


def _member(found: Any) -> Member:
    status = found[0]["Status"]
    header = status["header"]
    return Member(
        id=_number(header["member_id"]),
        cluster=_number(header["cluster_id"]),
        leader=_number(status.get("leader", 0)),
        learner=status.get("isLearner") is True,
        revision=_number(header.get("revision", 0)),
        applied=_number(status.get("raftAppliedIndex", 0)),
        version=_text(status.get("version", "")),
        size=_number(status.get("dbSize", 0)),
        used=_number(status.get("dbSizeInUse", 0)),
        quota=_quota(status.get("dbSizeQuota", 0)),
        errors=tuple(map(_text, status.get("errors") or ())),
    )


def _known(found: Any) -> Known:
    return Known(
        id=_number(found["ID"]),
        name=_text(found.get("name", "")),
        peers=tuple(map(_text, found.get("peerURLs") or ())),
        learner=found.get("isLearner") is True,
    )


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise TypeError(f"{value!r} is no such number")
    return value


def _quota(value: object) -> int:
    """As etcd was told: below 0 there is none (its server/storage/quota.go)."""
    return value if type(value) is int and value < 0 else _number(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
