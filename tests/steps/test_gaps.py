"""What holds for the gap of every step there is: it is a function of facts."""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from kubefab import bundle, images, render, steps
from kubefab.addons import ADDONS
from kubefab.backup import Snapshot
from kubefab.cluster import PARTS, Cluster
from kubefab.converge import OF_MASTERS, OF_PODS
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Part, parse_cluster
from kubefab.host import Host
from kubefab.step import Gap, Step, Subject
from kubefab.steps import bundle as of_bundle
from kubefab.steps import draining, leaving, removal, reset, restore, restore_checks, upgrade, upgrade_kubelet
from kubefab.steps import images as of_images
from tests.facts import known, read, with_
from tests.fakes import HOSTS, looked
from tests.test_facts import captured

ALL = (
    HOSTS.replace("1.37.2\n", f"1.37.2\n  addons: [flannel, {', '.join(sorted(ADDONS))}]\n")
    .replace("role: master", "role: master, schedulable: true")
    .replace("role: worker", "role: worker, disks: [/dev/sdb]")
)
DOCKER = HOSTS.replace("1.37.2\n", "1.37.2\n  runtime: docker\n") + "proxy: http://near:3128\n"
ABOUT = {"kubernetes": "1.37.2", "runtime": "containerd", "arch": "x86_64", "os": "debian 13", "images": {}}

SNAPSHOT = Snapshot(Path("/nonexistent/snapshot.db"), "0" * 64, 20512, 9, datetime(2026, 11, 26, tzinfo=UTC))
RESTORE = restore.Restore("kubefab-1-r9", SNAPSHOT)

Made = Callable[[Cluster], list[Subject]]
# What makes a subject of arguments, and with which.
MAKERS: dict[Any, Made] = {
    of_bundle.gathered: lambda made: [
        of_bundle.gathered("/nonexistent/x.bundle", lambda _: [], lambda _: [], lambda _: {})
    ],
    of_images.given: lambda made: [of_images.given(images.Stock(made, Path("/nonexistent")), ["nginx:1"])],
    of_images.from_file: lambda made: [of_images.from_file(Path("/nonexistent"), ["nginx:1"], "0", ["arm64"])],
    draining.cordoned: lambda _: [draining.cordoned("client")],
    draining.uncordoned: lambda _: [draining.uncordoned("client")],
    draining.drained: lambda _: [draining.drained("client", 60, "node.drain")],
    draining.price: lambda _: [draining.price("client")],
    draining.well: lambda _: [draining.well("client")],
    leaving.dispensable: lambda _: [leaving.dispensable("client", "10.250.0.11", 20)],
    leaving.without_member: lambda _: [leaving.without_member("client", "10.250.0.11")],
    leaving.unready: lambda _: [leaving.unready("client")],
    leaving.given_up: lambda _: [leaving.given_up("client")],
    leaving.forgotten: lambda _: [leaving.forgotten("client")],
    removal.steps: lambda made: [removal.steps(name) for name in ADDONS],
    restore_checks.keyed: lambda _: [restore_checks.keyed(SNAPSHOT)],
    restore_checks.possible: lambda _: [restore_checks.possible(RESTORE)],
    restore.staged: lambda _: [restore.staged(RESTORE)],
    restore.swapped_out: lambda _: [restore.swapped_out(RESTORE)],
    restore.swapped_in: lambda _: [restore.swapped_in(RESTORE)],
    restore.running: lambda _: [restore.running(RESTORE)],
    restore.workloads_anew: lambda _: [restore.workloads_anew(RESTORE)],
    restore.of_members: lambda _: [restore.of_members()],
    reset.disks: lambda made: [reset.disks(True)],
    upgrade.fetched: lambda _: [upgrade.fetched(["registry.k8s.io/pause:3.10.2"])],
    upgrade.kept: lambda _: [upgrade.kept(["registry.k8s.io/coredns/coredns:v1.14.6"])],
    upgrade_kubelet.kubelet: lambda _: [upgrade_kubelet.kubelet(60)],
}


def functions() -> Iterator[Any]:
    for module in pkgutil.iter_modules(steps.__path__):
        found = importlib.import_module(f"{steps.__name__}.{module.name}")
        yield from (one for one in vars(found).values() if inspect.isfunction(one) and one.__module__ == found.__name__)


def is_subject(function: Any) -> bool:
    return list(get_type_hints(function).values()) == [Cluster, Host, list[Step]]


def subjects(made: Cluster) -> list[Subject]:
    """All there are: whoever writes one that is made of arguments has to name it in MAKERS."""
    found = list(functions())
    makers = [one for one in found if get_type_hints(one).get("return") == Subject]
    return [*filter(is_subject, found), *(subject for one in makers for subject in MAKERS[one](made))]


def every_step(made: Cluster) -> list[tuple[Host, Step]]:
    return [(host, step) for host in made.hosts.values() for subject in subjects(made) for step in subject(made, host)]


@pytest.fixture
def bundled(tmp_path: Path) -> str:
    (tmp_path / "folder" / "packages").mkdir(parents=True)
    bundle.write(tmp_path / "it.bundle", ABOUT, tmp_path / "folder")
    return f"{HOSTS}bundle: {tmp_path}/it.bundle\n"


@pytest.fixture(params=["all", "docker", "bundle"])
def made(request: pytest.FixtureRequest, bundled: str) -> Cluster:
    return looked({"manager": {}, "client": {}}, {"all": ALL, "docker": DOCKER, "bundle": bundled}[request.param])


def reached(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Whatever a function can get at: by its closure, its defaults, what it is bound to or a part of; and so on."""
    if id(thing) in seen or isinstance(thing, str | int | float | type | None):
        return
    seen.add(id(thing))
    yield thing
    for inner in within(thing):
        yield from reached(inner, seen)


def within(thing: Any) -> Iterator[Any]:
    if isinstance(thing, Step):
        yield thing.gap  # its close may hold whatever it wants
    elif isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif inspect.ismethod(thing):
        yield from (thing.__func__, thing.__self__)
    elif inspect.isfunction(thing):
        yield from (cell.cell_contents for cell in thing.__closure__ or ())
        yield from (*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values())
    elif isinstance(thing, dict):
        yield from (*thing.keys(), *thing.values())
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from thing
    elif is_dataclass(thing):
        yield from (getattr(thing, one.name) for one in fields(thing))
    elif hasattr(thing, "__dict__") and not inspect.ismodule(thing):
        yield from vars(thing).values()


def holders(gap: Gap) -> list[Any]:
    return [one for one in reached(gap, set()) if isinstance(one, Cluster | Host)]


def test_no_gap_can_reach_a_host(made: Cluster) -> None:
    assert {step.title for _, step in every_step(made) if holders(step.gap)} == set()


@pytest.mark.parametrize(
    "hidden",
    [
        lambda held: lambda facts: str(held),
        lambda held: lambda facts, mine=held: str(mine),
        lambda held: functools.partial(lambda mine, facts: str(mine), held),
        lambda held: lambda facts, inside=([{"it": held}],): str(inside),
        lambda held: held.facts,
        lambda held: (lambda inner: lambda facts: inner())(lambda: held),
        lambda held: Step("x", lambda facts: str(held), None).gap,
    ],
)
def test_a_cluster_is_found_wherever_a_gap_hides_it(hidden: Callable[[Cluster], Gap]) -> None:
    made = looked({})
    assert holders(hidden(made)) != []
    assert holders(lambda facts: facts.name) == []


class Recorded(dict[str, Part]):
    """The parts of a look, and which of them were read."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        super().__init__(parts)
        self.read: set[str] = set()

    def get(self, part: str, default: Any = None) -> Any:
        self.read.add(part)
        return super().get(part, default)


# A gap takes one way or the other by what is there.
LIVE = replace(parse_cluster(captured("master")["cluster"]) or ClusterFacts(), speaker="manager")
KINDS = (
    known(),
    known(cluster=LIVE),
    with_(read(captured("master")), cluster=LIVE),
    with_(read(captured("master")), cluster=replace(LIVE, nodes={}), init_begun=0),
)
# Who a host is and which address it has: no change of the cluster's changes that.
GIVEN = {"system"}


def parts_read(name: str, gap: Gap) -> set[str]:
    found = set()
    for facts in KINDS:
        parts = Recorded(facts.parts)
        with suppress(Silent):
            gap(replace(facts, name=name, parts=parts, others={} if name == "manager" else {"manager": known()}))
        found |= parts.read
    return found


def parts_looked_at_again(made: Cluster, host: Host, step: Step) -> set[str]:
    own = set(step.parts) if step.parts is not None else {*PARTS, "disks", "leftovers"}
    speaker, pods = ({"node"}, {*OF_PODS}) if host is made.founder else (set(), set())
    more = {"host": set(), "cluster": speaker | GIVEN, "masters": {*OF_MASTERS, *GIVEN}, "pods": speaker | GIVEN | pods}
    return own | more[step.touches]


def test_each_step_is_proven_by_what_it_reads(made: Cluster) -> None:
    """What a gap reads and nobody looks at again would be as before the change, for ever."""
    stale = {
        step.title: unseen
        for host, step in every_step(made)
        if step.close or step.within
        if (unseen := parts_read(host.name, step.gap) - parts_looked_at_again(made, host, step))
    }
    assert stale == {}


class Noted(dict[str, Any]):
    """A mapping in which there is nothing, and for what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.keys_asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_asked.add(key)
        return default

    def __contains__(self, key: object) -> bool:
        self.keys_asked.add(str(key))
        return False


def test_every_file_of_a_gap_is_one_that_the_look_asks_of(made: Cluster) -> None:
    """Another one would be missing for ever, and be written at every run."""
    digests, ages = Noted(), Noted()
    for _, step in every_step(made):
        with suppress(Silent):
            step.gap(known(digests=digests, mtimes=ages))
    assert len(digests.keys_asked) > 5
    assert ages.keys_asked
    assert (digests.keys_asked | ages.keys_asked) - set(render.paths(made.inventory)) == set()
