"""What destroys: everybody heard, the locks, the list of what dies, the question; and only then the change."""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from invoke import Context

from kubefab import report
from kubefab.addons import ADDONS
from kubefab.cluster import Cluster
from kubefab.converge import Engine, Stop
from kubefab.errors import KubefabError
from kubefab.executor import engine_of
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.passes import Group, Pass, Who
from kubefab.report import ANSWERS
from kubefab.step import Subject


def destroy(c: Context, who: Who, *subjects: Subject, yes: bool, unheard: bool) -> None:
    """Brings hosts to states in which something is lost: told first, and asked for."""
    run = engine_of(c)
    how = Pass(alone=unheard or who is not Group.ALL)  # a host alone may have lost its master long ago
    hosts = run.look(who, "leftovers", alone=how.alone)
    if not (run.dry or unheard):
        _refuse_unheard(run)
    if not run.dry and run.losses(hosts, *subjects):
        run.lock(hosts, "leftovers")
        _lose(run, who, hosts, subjects, ("leftovers",), yes, unheard)
    run.converge(who, *subjects, how=how)


def remove(c: Context, name: str, subject: Callable[[str], Subject], yes: bool) -> None:
    """Takes an add-on away: what goes with it is told first, and asked for."""
    run = engine_of(c)
    _check_removable(name, run.cluster.inventory)
    parts = ("volumes", "ceph")
    hosts = run.look(Group.SPEAKER, *parts)
    if not run.dry and run.losses(hosts, subject(name)):
        run.lock(hosts, *parts)
        _lose(run, Group.SPEAKER, hosts, [subject(name)], parts, yes, unheard=False)
    run.converge(Group.SPEAKER, subject(name))


def _refuse_unheard(run: Engine) -> None:
    """What does not answer may hold what nobody has listed: a whole cluster, say."""
    silent = [str(failure) for failure in (*run.failures, *run.unheard) if failure.title == ANSWERS]
    silent += [f"{run.cluster.speaker.name}: {why}" for why in [silence(run.cluster)] if why]
    if silent:
        raise KubefabError(_UNHEARD.format("\n  ".join(silent)))


def _lose(
    run: Engine,
    who: Who,
    hosts: list[Host],
    subjects: Sequence[Subject],
    parts: Sequence[str],
    yes: bool,
    unheard: bool,
) -> None:
    """Lists what will be lost, and asks; what has grown while somebody thought about it is asked for again."""
    told: set[tuple[str, str]] = set()
    while True:
        if not unheard:
            _refuse_unheard(run)
        _refuse(run, who, hosts, subjects)
        grown = [loss for loss in run.losses(hosts, *subjects) if not _kinds(loss) <= told]
        if not grown:
            return
        _ask(grown, yes)
        told = told.union(*map(_kinds, grown))
        if yes:
            return
        run.look_again(hosts, *parts)


def _refuse(run: Engine, who: Who, hosts: list[Host], subjects: Sequence[Subject]) -> None:
    """Before anybody is asked: where one host may not be changed, none is."""
    failed = len(run.failures)
    run.complain(hosts, *subjects)
    if run.failures[failed:]:
        raise Stop("nothing was changed")
    if who is Group.ALL and (unknown := strangers(run.cluster)):
        raise KubefabError(_STRANGERS.format(", ".join(unknown), run.cluster.inventory.path))


def _kinds(loss: tuple[str, str, str]) -> set[tuple[str, str]]:
    """What is lost on a host, without how many there are: containers come and go."""
    host, _, gap = loss
    return {(host, re.sub(r"^\d+ ", "", one)) for one in gap.split(", ")}


def strangers(cluster: Cluster) -> list[str]:
    """The cluster's nodes that hosts.yml does not know."""
    live = cluster.facts(cluster.speaker).cluster
    known = {host.name for host in cluster.inventory.hosts}
    known |= {facts.node.name for facts in cluster.all_facts().values() if facts.node}
    return [name for name in (live.nodes if live else ()) if name not in known]


def silence(cluster: Cluster) -> str | None:
    """Why a control plane that may have served says nothing; None where it does, or where it is ours, half made."""
    if not cluster.looked_at(cluster.speaker):
        return None
    facts = cluster.facts(cluster.speaker)
    if facts.local.init_begun or facts.local.tear_down_begun:
        return None
    if not facts.cluster:
        return "etcd has data there, and there is no admin.conf to ask with" if facts.local.etcd_data else None
    return facts.cluster.silent and f"its API server gives no answer: {facts.cluster.silent}"


def _check_removable(name: str, wanted: Inventory) -> None:
    if name not in ADDONS:
        raise KubefabError(f"found no add-on {name!r} that can be removed; allowed: {', '.join(ADDONS)}")
    if name in wanted.addons:
        raise KubefabError(f"{wanted.path} names {name}, so that `up` would bring it back: take it out there first")


def _ask(losses: list[tuple[str, str, str]], yes: bool) -> None:
    """Lists what will be lost, and goes on only for a yes."""
    for host, _, gap in losses:
        print(report.plain(f"{host}  - {gap}"))
    if yes:
        return
    if not sys.stdin.isatty():
        raise KubefabError("this would all be lost; without a terminal it wants --yes")
    with suppress(EOFError):
        if input("All of this will be lost. Go on? [y/N] ").strip().lower() in ("y", "yes"):
            return
    raise KubefabError("nothing was changed")


_STRANGERS = "the cluster has nodes that {1} does not know: {0}; write them into it, or take them out of the cluster"
_UNHEARD = (
    "what is lost there cannot be told:\n  {}\n"
    "nothing was changed; to go on without their word, and lose what they may have: --unheard"
)
