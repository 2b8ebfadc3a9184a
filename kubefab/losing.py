"""What destroys: everybody heard, the locks, the list of what dies, the question; and only then the change."""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from invoke import Context

from kubefab import report, status
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

Loss = tuple[str, str, str]  # host, title, what is there and would be lost


def destroy(c: Context, who: Who, *subjects: Subject, yes: bool, unheard: bool) -> None:
    """Brings hosts to states in which something is lost: told first, and asked for."""
    Losing(engine_of(c), who, subjects, ("leftovers",), yes, unheard).bring_about()


def remove(c: Context, name: str, subject: Callable[[str], Subject], yes: bool) -> None:
    """Takes an add-on away: what goes with it is told first, and asked for."""
    run = engine_of(c)
    _check_removable(name, run.cluster.inventory)
    Losing(run, Group.SPEAKER, [subject(name)], ("volumes", "ceph"), yes).bring_about()


@dataclass(frozen=True)
class Losing:
    """States of these hosts in which something is lost."""

    run: Engine
    who: Who
    subjects: Sequence[Subject]
    parts: tuple[str, ...]  # of the look, that tell of what may be lost
    yes: bool  # nobody is asked
    unheard: bool = False  # nor is anybody heard who does not answer

    def bring_about(self) -> None:
        """KubefabError where somebody is not heard, or does not agree; nothing was changed then."""
        # A host alone may have lost its master long ago.
        how = Pass(alone=self.unheard or isinstance(self.who, str))
        hosts = self.run.look(self.who, *self.parts, alone=how.alone)
        if not self.run.dry:
            self._hear()
            if self.run.losses(hosts, *self.subjects):
                self.run.lock(hosts, *self.parts)
                self._agree(hosts)
        self.run.converge(self.who, *self.subjects, how=how)

    def _agree(self, hosts: list[Host]) -> None:
        def losses() -> list[Loss]:
            self._hear()
            self._refuse(hosts)
            return self.run.losses(hosts, *self.subjects)

        agree(losses, self.yes, lambda: self.run.look_again(hosts, *self.parts))

    def _hear(self) -> None:
        """What does not answer may hold what nobody has listed: a whole cluster, say."""
        if self.unheard or self.who is Group.SPEAKER:  # whose gaps wait for its word themselves
            return
        cluster = self.run.cluster
        # Of several masters any one knows what the cluster would lose.
        failures = [*self.run.failures, *([] if cluster.looked_at(cluster.speaker) else self.run.unheard)]
        silent = [str(failure) for failure in failures if failure.title == ANSWERS]
        silent += [f"{cluster.speaker.name}: {why}" for why in [silence(cluster)] if why]
        if silent:
            raise KubefabError(_UNHEARD.format("\n  ".join(silent)))

    def _refuse(self, hosts: list[Host]) -> None:
        """Before anybody is asked: where one host may not be changed, none is."""
        failed = len(self.run.failures)
        self.run.complain(hosts, *self.subjects)
        if self.run.failures[failed:]:
            raise Stop("nothing was changed")
        if self.who is Group.ALL and (unknown := strangers(self.run.cluster)):
            raise KubefabError(_STRANGERS.format(", ".join(unknown), self.run.cluster.inventory.path))
        if self.who is Group.ALL and (others := others_nodes(self.run.cluster)):
            raise KubefabError(_OTHERS.format(", ".join(others)))
        if isinstance(self.who, str):
            _check_name(self.run.cluster, self.run.cluster.require(self.who))


def agree(
    losses: Callable[[], list[Loss]], yes: bool, look_again: Callable[[], None], cost: str = "all of this will be lost"
) -> None:
    """Lists what will be lost, and asks; what has grown while somebody thought about it is asked for again.

    KubefabError where nobody agrees.
    """
    told: set[tuple[str, str]] = set()
    while grown := [loss for loss in losses() if not _kinds(loss) <= told]:
        _ask(grown, yes, cost)
        told = told.union(*map(_kinds, grown))
        if yes:
            return
        look_again()


def _kinds(loss: Loss) -> set[tuple[str, str]]:
    """What is lost on a host, without how many there are: containers come and go."""
    host, _, gap = loss
    return {(host, re.sub(r"^\d+ ", "", one)) for one in gap.split(", ")}


def strangers(cluster: Cluster) -> list[str]:
    """The cluster's nodes that hosts.yml does not know."""
    live = cluster.facts(cluster.speaker).cluster
    return [node.name for node in status.strangers(cluster.inventory, live, cluster.all_facts())]


def others_nodes(cluster: Cluster) -> list[str]:
    """The hosts that are nodes of another cluster, as by a wrong address in hosts.yml."""
    live = cluster.facts(cluster.speaker).cluster
    if not live or not live.ca or cluster.facts(cluster.speaker).unfinished:
        return []
    # A Node here may trust a former CA, while that one is replaced; and a reset that was begun goes on.
    rest = {name: facts.local for name, facts in cluster.all_facts().items() if not (facts.node and facts.node.ready)}
    nodes = {name: it for name, it in rest.items() if it.kubelet_ca and not it.tear_down_begun}
    return [f"{name} is of the one at {it.kubelet_server}" for name, it in nodes.items() if it.kubelet_ca != live.ca]


def _check_name(cluster: Cluster, host: Host) -> None:
    """KubefabError where its machine is a Node of another name, and another machine has its own."""
    node, live = cluster.facts(host).node if cluster.looked_at(host) else None, cluster.facts(host).cluster
    if node and live and node.name != host.name and host.name in live.nodes:
        raise KubefabError(
            _MISNAMED.format(host.name, cluster.inventory.path, node.name, live.nodes[host.name].address)
        )


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


def tell(losses: Sequence[Loss]) -> None:
    for host, _, gap in losses:
        print(report.plain(f"{host}  - {gap}"))


def _ask(losses: list[Loss], yes: bool, cost: str) -> None:
    """Lists what will be lost, and goes on only for a yes."""
    tell(losses)
    if yes:
        return
    if not sys.stdin.isatty():
        raise KubefabError(f"{cost}; without a terminal, --yes is needed")
    with suppress(EOFError):
        if input(f"{cost[0].upper()}{cost[1:]}. Go on? [y/N] ").strip().lower() in ("y", "yes"):
            return
    raise KubefabError("nothing was changed")


_STRANGERS = "the cluster has nodes that {1} does not know: {0}; add them to it, or remove them from the cluster"
_OTHERS = (
    "hosts of hosts.yml are nodes of another cluster: {0}; are addresses swapped? If not, and you can lose them, "
    "first, for each: `inv restart --host NAME`"
)
_MISNAMED = (
    "{0} of {1} is the Node {2}, and another machine is {0}, at {3}: are addresses swapped? Correct {1}; if this "
    "machine is meant, call it {2} there, or, where no machine is {0} any more: kubectl delete node {0}"
)
_UNHEARD = (
    "kubefab cannot tell what would be lost there:\n  {}\n"
    "nothing was changed; to go on anyway, and lose whatever is there, add --unheard"
)
