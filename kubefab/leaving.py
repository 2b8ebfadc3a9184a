"""A node is cordoned, drained or removed: by way of another master, and at a price that is told and asked for first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from invoke import Context, Exit

from kubefab import etcd, report
from kubefab import inventory as wanted
from kubefab.converge import Engine
from kubefab.errors import KubefabError, Refused, Unreachable
from kubefab.executor import engine_of
from kubefab.facts import Node
from kubefab.host import Host
from kubefab.losing import Loss, agree
from kubefab.passes import ALONE, Group, Who
from kubefab.step import Subject, when
from kubefab.steps import draining, leaving, reset
from kubefab.steps.etcd import backup_of

Stages = Sequence[tuple[Who, Sequence[Subject]]]  # hosts, and the states that they are brought to

PARTS = ("pods", "etcd", "leftovers")


class Seconds(int):
    """Read with the command line itself, so that a wrong one is told before anything is begun."""

    def __new__(cls, seconds: "str | int") -> "Seconds":
        text = str(seconds)
        if not (text.isascii() and text.isdigit() and 0 < len(text) < 6 and int(text)):
            raise Exit(f"--timeout: found {seconds!r}; allowed: seconds, a number from 1 to 99999", code=1)
        return super().__new__(cls, seconds)


TEN_MINUTES = Seconds(600)


def of_node(c: Context, name: str, subject: Callable[[str], Subject]) -> None:
    """Brings a node to a state, by its name in the cluster or in hosts.yml."""
    run = engine_of(c)
    run.converge(Group.SPEAKER, subject(_node_of(run, name)), how=ALONE)


def drain(c: Context, name: str, seconds: Seconds, yes: bool) -> None:
    """Has a node's pods go elsewhere, once what that costs was told and agreed to."""
    run = engine_of(c)
    node = _node_of(run, name)
    subjects = [draining.well(node), draining.drained(node, seconds, "node.drain"), draining.cordoned(node)]
    Leaving(run, node, [(Group.SPEAKER, subjects)], yes).bring_about()


def remove(c: Context, name: str, seconds: Seconds, dead: bool, yes: bool) -> None:
    """Takes a node out of the cluster; its machine is reset, unless somebody says that it is off and stays off."""
    run = engine_of(c)
    node = _node_of(run, name)
    host = _host(run, name, node)
    name = host.name if host else name
    address = str(host.address) if host else _address(run, node)
    asked = leaving.dispensable(node, address, 0 if run.dry else leaving.ANSWER_SECONDS)  # a plan waits for nothing
    member = leaving.without_member(node, address)
    gone = leaving.forgotten(node)
    if dead:
        _check_off(run, host, node, address)
        stages: Stages = [(Group.SPEAKER, [leaving.unready(node), asked, member, leaving.given_up(node), gone])]
    else:
        _check_there(run, name)
        pods = draining.drained(node, seconds, "node.remove")
        stages = [(Group.SPEAKER, [pods, asked, member]), (name, [reset.steps]), (Group.SPEAKER, [gone])]
    with run.only_looking():
        run.look(Group.MASTERS, "etcd")
    run.converge(Group.SPEAKER, asked, how=ALONE)  # before anybody is asked what it may cost
    stages = [*_saved(run, node, address), *stages]
    Leaving(run, node, stages, yes, "" if dead else name, _FORCED if dead else "").bring_about()
    if host and not (run.dry or run.failures):
        link = (run.cluster.hosts.get(host.name) or run.cluster.absent[host.name]).link
        print(report.plain("\n".join(_left_to_do(host, link.known_as, run.cluster.inventory.path, dead))))


def _host(run: Engine, name: str, node: str, among: Group = Group.ALL) -> wanted.Host | None:
    """Its host, an absent one too: by its name in hosts.yml, or by the word of the machine that is this Node."""
    hosts = {host.name: host for host in run.cluster.inventory.hosts}
    if name not in hosts:
        with run.only_looking():
            run.look(among)
        known = run.cluster.all_facts().values()
        name = next((facts.name for facts in known if facts.node and facts.node.name == node), "")
    return hosts.get(name)


def _at(run: Engine, address: str) -> wanted.Host | None:
    """The host of hosts.yml at this address, absent or not, unless its machine is known to be a Node."""
    known = run.cluster.all_facts()
    nodes = {name for name, facts in known.items() if facts.node}
    also = {name for name, facts in known.items() if address in facts.system.addresses}
    hosts = [host for host in run.cluster.inventory.hosts if host.name not in nodes]
    return next((host for host in hosts if host.name in also or str(host.address) == address), None)


def _address(run: Engine, node: str) -> str:
    """The address of a node that hosts.yml does not know. Without a Node, `node` may be its etcd member's address."""
    live = run.cluster.facts(run.cluster.speaker).cluster
    return live.nodes[node].address if live and node in live.nodes else node


def _saved(run: Engine, node: str, address: str) -> Stages:
    """A backup of etcd before one of its members goes."""
    if not leaving.members(run.cluster.facts(run.cluster.speaker), node, address):
        return []
    masters = {one.name: run.cluster.facts(one) for one in filter(run.cluster.looked_at, run.cluster.masters)}
    backup = backup_of(run.cluster, masters, etcd.problems(masters))
    return [(backup.source, [backup.subject])]


def _node_of(run: Engine, name: str) -> str:
    """The Node's name; from here on another master speaks, where one can. KubefabError for an unknown name."""
    if not name:  # else it would match a member of etcd that has not started: that has no name either
        run.cluster.require(name)
    run.look(Group.SPEAKER)
    live = run.cluster.facts(run.cluster.speaker).cluster
    run.stop_where_failed()
    if live is None or live.silent:
        raise KubefabError(f"{run.cluster.speaker.name}: {live.unheard}" if live else "there is no cluster yet")
    if there := live.nodes.get(name):
        _check_whose(run, there)
    else:
        _check_name(run.cluster.inventory, name)
    node = name if name in live.nodes or _is_member(run, name) else _node_at(run, run.cluster.require(name))
    host = _host(run, name, node, Group.MASTERS)
    run.cluster.leave(host.name if host else name, node)
    return node


def _check_name(inventory: wanted.Inventory, name: str) -> None:
    """KubefabError for a host's address: only a member of etcd that is of no host may be called by an address."""
    if called := next((host.name for host in inventory.hosts if str(host.address) == name), None):
        raise KubefabError(f"{name} is the address of {called} in {inventory.path}: say --host {called}")


def _check_whose(run: Engine, node: Node) -> None:
    """KubefabError where this Node is or may be another machine than the host that hosts.yml calls so.

    Else one machine would be drained, and the other one reset.
    """
    name, place = node.name, node.address
    at = {host.name: str(host.address) for host in run.cluster.inventory.hosts}
    if at.get(name, place) == place:
        return
    owners = [_node_there(run, one) for one, address in at.items() if address == place]
    own = _node_there(run, name)
    if {None, name} & {*owners} or own not in (None, "", name):
        raise KubefabError(_OTHER.format(name, run.cluster.inventory.path, place))
    if own == "" and node.ready:
        raise KubefabError(_FORMER.format(name, run.cluster.inventory.path, place or "an unknown address"))


def _node_there(run: Engine, name: str) -> str | None:
    """Which Node this host is by its own word, "" for none; None where it gives no answer."""
    if not (host := run.cluster.hosts.get(name)):
        return None
    with run.only_looking():
        run.look(name)
    if not run.cluster.looked_at(host):
        return None
    node = run.cluster.facts(host).node
    return node.name if node else ""


def _is_member(run: Engine, name: str) -> bool:
    """Whether etcd has a member of this name or address that is of no host of ours: its Node may be gone already."""
    if name in {host.name for host in run.cluster.inventory.hosts}:
        return False
    with run.only_looking():
        run.look(Group.MASTERS, "etcd")
    return bool(leaving.members(run.cluster.facts(run.cluster.speaker), name, name))


def _node_at(run: Engine, host: Host) -> str:
    """The name of this host's Node, which may differ from the host's. KubefabError where only a person can know it."""
    with run.only_looking():
        run.look(host.name)
    facts = run.cluster.facts(host)
    if run.cluster.looked_at(host):
        return run.cluster.node_name(host)
    nodes = facts.cluster.nodes.values() if facts.cluster else ()
    if there := next((node.name for node in nodes if node.address == str(host.wanted.address)), None):
        raise KubefabError(_WHOSE.format(host.name, there))
    return host.name


def _check_there(run: Engine, name: str) -> None:
    """KubefabError where its machine cannot be reset."""
    if name not in {host.name for host in run.cluster.inventory.hosts}:
        raise KubefabError(_UNKNOWN.format(name, run.cluster.inventory.path))
    run.cluster.require(name)
    run.look(name)
    run.stop_where_failed(_IS_IT_OFF.format(name))


def _check_off(run: Engine, host: wanted.Host | None, node: str, address: str) -> None:
    """KubefabError where somebody answers there: no person's word makes that a machine that is off."""
    if not (there := host or _at(run, address)):
        return
    error = run.cluster.unanswered(there.name)
    if not error:
        without = "`absent: true` and --dead" if there.absent else "--dead"
        raise KubefabError(_ANSWERS.format(there.name, without) if host else _PERHAPS.format(there.name, node))
    if error.on_the_way:
        raise KubefabError(_BEHIND.format(there.name, error))
    if isinstance(error, Refused):
        raise KubefabError(_ON.format(there.name, error))
    if not isinstance(error, Unreachable):
        raise KubefabError(f"{there.name}: somebody answers at its address: {error}\n  what to do: {error.hint}")


@dataclass(frozen=True)
class Leaving:
    """Stages in turn, none of which is begun where one before it has failed: hosts, and their states."""

    run: Engine
    node: str
    stages: Stages
    yes: bool
    machine: str = ""  # the host that is reset
    warning: str = ""

    def bring_about(self) -> None:
        """KubefabError where nobody agrees, or something is amiss; nothing was changed then."""
        hosts = list({host.name: host for who, _ in self.stages for host in self._looked_at(who)}.values())
        if not self.run.dry:
            self._refuse(hosts)
            if self._losses(hosts):
                self.run.lock(hosts, *PARTS)
                agree(lambda: self._losses(hosts), self.yes, lambda: self.run.look_again(hosts, *PARTS), _COST)
        for who, subjects in self.stages:
            if not self.run.failures:
                self.run.converge(who, *subjects, how=ALONE)

    def _looked_at(self, who: Who) -> list[Host]:
        hosts = self.run.look(who, *PARTS)
        self.run.stop_where_failed()
        return hosts

    def _refuse(self, hosts: list[Host]) -> None:
        for host in hosts:
            self.run.complain([host], *self._of(host))
        self.run.stop_where_failed()

    def _of(self, host: Host) -> list[Subject]:
        speaks = host.name == self.run.cluster.speaker.name
        meant = (host.name, Group.SPEAKER) if speaks else (host.name,)
        return [one for who, subjects in self.stages if who in meant for one in subjects]

    def _losses(self, hosts: list[Host]) -> list[Loss]:
        self._refuse(hosts)
        speaker = self.run.cluster.speaker
        live = self.run.cluster.facts(speaker).cluster
        resets = [host for host in hosts if host.name == self.machine]
        gaps = [gap for _, _, gap in self.run.losses([speaker], draining.price(self.node))]
        found = [*when(self.warning and live and self.node in live.nodes, self.warning), *"\n".join(gaps).splitlines()]
        losses = [*((self.node, "", line) for line in found), *self.run.losses(resets, reset.steps)]
        self.run.stop_where_failed()
        return losses


def _left_to_do(host: wanted.Host, known_as: str, path: Path, dead: bool) -> Iterator[str]:
    """What a person has to do afterwards. `known_as`: what ssh calls the host in known_hosts."""
    yield f"{host.name} is gone; take it out of {path}, else `inv cluster.up` makes it a node again"
    if host.role == "master":
        yield _MASTER
    if dead:
        known = f" -f {quote(str(host.ssh.known_hosts))}" if host.ssh.known_hosts else ""
        yield f"before another machine has its address: ssh-keygen -R {quote(known_as)}{known}"


_COST = "all of this is lost, or stands still meanwhile"
_FORCED = "taken for dead: if its machine runs on, what both write to one volume is spoilt"
_MASTER = (
    "then `inv cluster.up`, so that the others ask for it no more; and `inv cluster.kubeconfig` where one led there"
)
_UNKNOWN = (
    "{1} does not know {0}, so that its machine cannot be reset: name it there once more; if the machine is off and "
    "stays off, add --dead"
)
_IS_IT_OFF = "nothing was changed; if the machine is off and stays off: `inv node.remove --host {} --dead`"
_ANSWERS = "{0} answers over SSH, so that it is not off: without {1} it is drained, and its machine reset"
_ON = (
    "{0}: a machine is on at its address: {1}\n  what to do: switch it off; or start its sshd, and leave out --dead; "
    "if another machine has the address now, take {0} out of hosts.yml first"
)
_BEHIND = (
    "{0}: not known whether a machine is on at its address: {1}\n  what to do: see to the jump host, or name another "
    "one in hosts.yml (ssh.jump); if neither can be, see for yourself that the machine is off, and take {0} out of "
    "hosts.yml first"
)
_PERHAPS = (
    "{0} answers over SSH at {1}'s address, and may be its machine: if it is another one, let it join first, without "
    "`absent: true`: inv cluster.up"
)
_OTHER = (
    "{0} of {1} is not the Node {0}, which is at {2}, or nobody there answers; if the host is meant: --host with its "
    "own Node's name; if that Node: --host with the name of the host at {2}"
)
_FORMER = (
    "the Node {0} is at {2}, and Ready; the {0} of {1} is another machine, and no Node: for the Node, write its "
    "address there, or switch its machine off and wait a minute; for the other machine, write another name there"
)
_WHOSE = "{0} does not answer, and no Node has its name: the one at its address is {1}; if it is that: --host {1}"
