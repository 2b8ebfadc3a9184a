"""A step is a state with a name, a pure gap and one change; and the makers of the common ones."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, Packages
from kubefab.questions import UNITS, asked

if TYPE_CHECKING:
    from kubefab.cluster import Cluster
    from kubefab.host import Host

Gap = Callable[[Facts], str | None]
Close = Callable[["Host"], None]
Subject = Callable[["Cluster", "Host"], "list[Step]"]  # what brings one host to all states of one kind
T = TypeVar("T")

MISSING = "missing"  # the gap of a state of which there is nothing yet: a plan's `+`; all others are its `~`
NO_CLUSTER = "there is no cluster yet"


@dataclass(frozen=True)
class Step:
    """A state a host should be in, and how to bring it there."""

    title: str  # the state: "swap is off"
    gap: Gap  # None: it holds. Else what is there instead: "/swap.img, 2048 MiB"
    close: Close | None  # the one change, never retried; None: only the user, or time (`within`), can
    hint: str = ""  # what the user can do when it does not come true
    within: float = 0  # seconds without progress that the state may take to come true after the change
    progress: Callable[[Facts], int] | None = None  # a count of what is done so far; None: `within` is all the time
    workload: str = ""  # "namespace/name" of what is waited for: a crash loop of it ends the wait
    # What else changes with it: what the speaker says of the cluster; or that, and what each master's etcd says; or
    # what the speaker says of pods and workloads as well.
    touches: Literal["host", "cluster", "masters", "pods"] = "host"
    warning: str = ""  # what the user should know before the change is made
    again: float | None = None  # seconds after which it is told once more what is waited for; None: as of all
    anew: bool = False  # looked at before it is decided, since others change it while the run is elsewhere
    follows: bool = False  # from what other steps change, on any host: anew, once this run has changed anything
    doubted: bool = False  # the cluster is asked once more before the change: its word may be older than the host's
    only_told: bool = False  # what is so instead is shown, and left as it is: it fails nobody
    parts: tuple[str, ...] | None = None  # of the host's look, to take again as the proof; None: all of it


def when(so: object, *them: T) -> tuple[T, ...]:
    """These, where it is so: for what a list has only sometimes."""
    return them if so else ()


def on_cluster(gap: Callable[[ClusterFacts, Facts], str | None]) -> Gap:
    """A gap that needs a cluster which answers; Silent where it does not."""

    def wrapped(facts: Facts) -> str | None:
        if facts.cluster is None or facts.unfinished:
            return NO_CLUSTER
        if facts.cluster.silent:
            raise Silent(facts.cluster.unheard)
        return gap(facts.cluster, facts)

    return wrapped


def cluster_progress(facts: Facts) -> int:
    """What is done so far in the cluster: 0 while it is silent."""
    return facts.cluster.done if facts.cluster else 0


def where_there_is_one(gap: Gap) -> Gap:
    """Of a cluster that is not there yet nothing can be amiss."""
    return lambda facts: None if (found := gap(facts)) == NO_CLUSTER else found


def complaint(title: str, gap: Gap, hint: str = "", parts: tuple[str, ...] | None = None) -> Step:
    """A state that only the user can bring about."""
    return Step(title, gap, close=None, hint=hint, parts=parts)


def notice(title: str, gap: Gap, hint: str, parts: tuple[str, ...] | None = None) -> Step:
    """A state that is left to the user: told where it is not so, and no failure."""
    return Step(title, gap, close=None, hint=hint, only_told=True, parts=parts)


def script(name: str, *args: str, payload: str = "") -> Close:
    """The change that scripts/NAME makes, with these arguments and this standard input."""

    def close(host: Host) -> None:
        host.change(name, *args, payload=payload)

    return close


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def file_line(path: str, content: bytes, mode: str = "0644") -> str:
    """A file on the host, as put-files.sh is told of it."""
    return f"{mode} {path} {b64encode(content).decode()}\n"


def files(title: str, texts: Mapping[str, str]) -> Step:
    """Files, by their path on the host, with just this text."""
    digests = {path: sha256(text) for path, text in texts.items()}
    lines = [file_line(path, text.encode()) for path, text in texts.items()]

    def gap(facts: Facts) -> str | None:
        other = [path for path, digest in digests.items() if facts.files.digests.get(path) != digest]
        there = [path for path in other if path in facts.files.digests]
        return f"{', '.join(there)} differs" if there else MISSING if other else None

    return Step(title, gap, script("put-files.sh", payload="".join(lines)), parts=("files",))


def packages(title: str, names: Sequence[str], found: Callable[[Packages], str | None]) -> Step:
    """Debian packages, installed as `apt-get install NAMES` would; "NAME?" where the distribution has it."""
    needed = " ".join(name for name in names if not name.endswith("?"))
    return Step(
        title,
        lambda facts: found(facts.packages),
        script("install-packages.sh", *names),
        hint=f"try the same on the host: apt-get update && apt-get install {needed}",
        parts=("packages", "services"),
    )


def service(name: str, reads: Sequence[str] = ()) -> Step:
    """A systemd service that runs, starts at boot, and is younger than the files it reads.

    ValueError for one that no look asks of.
    """
    asked(name, UNITS)

    def gap(facts: Facts) -> str | None:
        unit = facts.services.unit(name)
        newest = max((facts.files.mtimes.get(path, 0) for path in reads), default=0)
        if unit.active != "active":
            return unit.active
        if unit.enabled != "enabled":
            return f"does not start at boot ({unit.enabled or 'no unit file'})"
        return "runs with an older configuration" if unit.since < newest else None

    return Step(
        f"{name} runs",
        gap,
        script("restart-service.sh", name, *reads),
        hint=f"see what it says: journalctl -u {name}",
        within=20,
        parts=("services", "files"),
    )
