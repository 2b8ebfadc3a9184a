"""One invocation, without invoke: an engine over fake hosts, its clock, and what it did."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from invoke import Config, Context

from kubefab import executor
from kubefab.converge import Engine, Who
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.passes import ALL_AT_ONCE, Pass
from kubefab.report import Report
from kubefab.step import MISSING, Close, Gap, Step, Subject
from tests.fakes import HOSTS, Clock, World, cluster, world

ADMIN = "admin_ca QUJD\nadmin_server https://lab.kubefab.internal:6443"


class InTurn(Engine):
    """Several masters are first heard in the order of hosts.yml: whose word comes first speaks, and threads race."""

    def _each(self, hosts: list[Host], work: Callable[[Host], None], how: Pass = ALL_AT_ONCE) -> None:
        unheard = [host for host in hosts if host.wanted.role == "master" and not self.cluster.looked_at(host)]
        super()._each(hosts, work, replace(how, at_once=1) if len(unheard) > 1 else how)


class Run:
    reports: ClassVar[list[Report]] = []  # of all that this test has made

    def __init__(self, wanted: str | Inventory = HOSTS, *, dry: bool = False) -> None:
        self.clock = Clock()
        self.cluster = cluster(wanted, clock=self.clock.now)
        report = Report(self.cluster.hosts)
        self.reports.append(report)
        self.engine = InTurn(self.cluster, report, dry, patient=not dry, sleep=self.clock.sleep)
        self.context = Context(Config(overrides={"run": {"dry": dry}}))

    def __call__(self, name: str) -> World:
        return world(self.cluster, name)

    def converge(self, who: Who, *steps: Step) -> None:
        self.engine.converge(who, each(*steps))

    def put_cluster(self, *names: str, on: str = "manager") -> None:
        """This master has a cluster of these nodes."""
        self(on).parts.update(node=ADMIN, cluster=nodes(*names))

    @property
    def ran(self) -> list[str]:
        return [line for name in self.cluster.hosts for line in self(name).ran]

    @property
    def failures(self) -> dict[str, str]:
        return {failure.host: f"{failure.title}: {failure.error.what}" for failure in self.engine.failures}


def in_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Its engine is the one that hosts.yml would have made; nobody is at a terminal."""
    monkeypatch.setattr(executor, "_made", run.engine)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return run


def each(*steps: Step) -> Subject:
    return lambda cluster, host: list(steps)


def nodes(*names: str) -> str:
    """What the look's part `cluster` prints where there are these nodes."""
    items = [{"kind": "Node", "metadata": {"name": name}, "status": {}} for name in names]
    return "answer " + json.dumps({"items": items})


def lost(world: World) -> None:
    """The lock that is held there is so no more."""
    assert world.lock
    world.lock.lost = "it was not heard of for 90 s"


# A state of a fake host is a line in the look's part "files".


def has(state: str) -> Gap:
    return lambda facts: None if state in facts.files.digests else MISSING


def put(state: str) -> Close:
    """The change that brings a state about."""

    def close(host: Host) -> None:
        host.change(f"put {state}")
        found = vars(host)["world"].parts
        found["files"] = found.get("files", "") + f"file {state} 0\n"

    return close


def wants(state: str, **fields: Any) -> Step:
    return Step(state, has(state), **{"close": put(state), "parts": ("files",), **fields})
