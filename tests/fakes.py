"""Hosts that answer from memory, and an inventory to go with them."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kubefab.cluster import Cluster
from kubefab.errors import Busy
from kubefab.host import LOOK_SECONDS, Host
from kubefab.inventory import Inventory, parse
from kubefab.lock import Lock
from kubefab.log import Log
from kubefab.questions import Questions
from kubefab.step import Step

HOSTS = """\
cluster:
  name: lab
  kubernetes: 1.37.2
hosts:
  manager: {address: 10.250.0.10, role: master}
  client: {address: 10.250.0.11, role: worker}
"""


@cache
def inventory(text: str = HOSTS) -> Inventory:
    return parse(text, Path("hosts.yml"))


def many_hosts(workers: int) -> str:
    lines = (f"  client{n}: {{address: 10.250.1.{n}, role: worker}}\n" for n in range(1, workers + 1))
    return HOSTS.replace("  client: {address: 10.250.0.11, role: worker}\n", "".join(lines))


def three_masters() -> Inventory:
    """m1, m2, m3 and a worker."""
    one, worker = inventory().hosts
    masters = [one.model_copy(update={"name": f"m{n}", "address": one.address + n}) for n in range(1, 4)]
    return inventory().model_copy(update={"hosts": (*masters, worker)})


@dataclass
class World:
    """What is true on a fake host, by part of the look; what was asked and done there."""

    parts: dict[str, str] = field(default_factory=dict)
    looks: list[tuple[str, ...]] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)  # of each change
    locks: list[str] = field(default_factory=list)
    lock: Lock | None = None  # the last of them
    held_by: str = ""  # somebody else's lock
    on_look: Callable[[], None] = lambda: None
    on_lock: Callable[[], None] = lambda: None
    on_change: Callable[[], None] = lambda: None
    answers: dict[str, str] = field(default_factory=dict)  # what `ask` says, by script
    payloads: dict[str, str] = field(default_factory=dict)
    of_thread: threading.local = field(default_factory=threading.local)  # .change: its own last one


@dataclass(frozen=True)
class FakeHost(Host):
    """A host without a network."""

    world: World = field(default_factory=World)

    def look(self, parts: tuple[str, ...], questions: Questions) -> dict[str, str]:
        self.world.looks.append(parts)
        self.world.on_look()
        return {part: self.world.parts.get(part, "") for part in parts}

    def change(self, script: str, *args: str, payload: str = "", secret: bool = False, about: str = "") -> str:
        self.world.of_thread.change = " ".join((script, *args))
        self.world.ran.append(self.world.of_thread.change)
        self.world.about.append(about)
        self.world.payloads[script] = payload
        self.world.on_change()
        return ""

    def ask(
        self, script: str, *args: str, payload: str = "", secret: bool = False, seconds: float = LOOK_SECONDS
    ) -> str:
        self.world.ran.append(" ".join((script, *args)))
        return self.world.answers.get(script, "")

    @contextmanager
    def lock(self, holder: str) -> Iterator[Lock]:
        if self.world.held_by:
            raise Busy(f"another run is under way: {self.world.held_by}")
        self.world.locks.append(holder)
        self.world.lock, self.world.held_by = Lock(), holder
        self.world.on_lock()
        try:
            yield self.world.lock
        finally:
            self.world.held_by = ""


class Unwritten(Log):
    """A log that is kept in memory."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))
        self.lines: list[str] = []

    def write_line(self, line: str) -> None:
        self.lines.append(line)


class Clock:
    """The computer's own clock, and what was slept on top of it: a test waits for nothing."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.ahead = 0.0
        self.on_sleep: Callable[[], None] = lambda: None

    def now(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ahead += seconds
        self.on_sleep()


def cluster(
    wanted: str | Inventory = HOSTS, readyz: str = "ok", clock: Callable[[], float] = time.monotonic
) -> Cluster:
    """A cluster of fake hosts, not looked at yet."""
    wanted = inventory(wanted) if isinstance(wanted, str) else wanted
    made = Cluster(wanted, Unwritten(), lambda host, ca, silent: readyz if ca else "", clock)
    for hosts in (made.hosts, made.absent):
        hosts |= {name: FakeHost(host.wanted, host.link, host.log) for name, host in hosts.items()}
    return made


def looked(worlds: Mapping[str, Mapping[str, str]], wanted: str | Inventory = HOSTS) -> Cluster:
    """A cluster of fake hosts, each with these parts of a look."""
    made = cluster(wanted)
    for name, parts in worlds.items():
        world(made, name).parts.update(parts)
        made.look(made.hosts[name])
    return made


def world(cluster: Cluster, name: str) -> World:
    host = cluster.hosts.get(name) or cluster.absent[name]
    assert isinstance(host, FakeHost)
    return host.world


def step(steps: Sequence[Step], title: str) -> Step:
    """The one step of this title."""
    (found,) = [one for one in steps if one.title == title]
    return found
