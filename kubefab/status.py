"""How a cluster is, by one look at all of its hosts: the verdict, what is wrong, and what to do next. Pure."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from kubefab import etcd
from kubefab.errors import NotAsked
from kubefab.facts import NOT_KNOWN, OUT_OF_SERVICE, ClusterFacts, Facts, Known, Node
from kubefab.inventory import Host, Inventory
from kubefab.patience import SHORT
from kubefab.schedule import SERVICE, Kept
from kubefab.step import NO_CLUSTER, Step

CERTIFICATES = "inv certs.status"
LONG_AGO = datetime.min.replace(tzinfo=UTC)
PREFLIGHT, UP, REBOOTED = "inv preflight", "inv cluster.up", "inv fix-reboot"
_BLIND = "without anonymous requests haproxy sees that an API server answers, and not whether it has its etcd"
_DOUBT = "not known whether anything can be written"
_DRIFT = "what is not as hosts.yml says, or was changed by hand"
AGAIN = f"inv cluster.status, once more: what had no answer in time may only be busy; if it says the same: {UP}"
LATE = re.compile(r"no answer (with)?in \d|context deadline exceeded")  # of kubectl, /readyz and etcdctl
# How a gap begins where kubefab's own question had no answer. Other gaps, as why a node is not Ready, may quote a late
# answer to somebody else.
ASKED = re.compile(r"no answer|/readyz: no answer|its etcd gives no answer: ")
GONE = "inv node.remove --host {} --dead"
JOURNAL = f"inv node.shell --host {{}} -- journalctl -u {SERVICE}"
IN_SERVICE = f"inv kubectl -- taint node {{}} {OUT_OF_SERVICE}-"
DEFRAGMENT = "inv etcd.defragment"


class State(Enum):
    """Its value is the exit status."""

    WELL = 0
    WRONG = 1
    UNWRITABLE = 2


@dataclass(frozen=True)
class Found:
    """What one look has found."""

    wanted: Inventory
    live: ClusterFacts | None
    facts: Mapping[str, Facts]  # of the hosts that answered
    away: Mapping[str, str]  # why the others did not
    gaps: Sequence[tuple[str, Step, str]] = ()  # host, state, what is there instead
    now: datetime = LONG_AGO
    drift: Sequence[tuple[str, Step, str]] = ()  # the same, of what is not as hosts.yml says and yet not wrong
    unseen: Collection[str] = ()  # the hosts of `away` whose machines may run all the same

    @property
    def masters(self) -> list[str]:
        return [host.name for host in self.wanted.masters]

    @property
    def answers(self) -> bool:
        """Whether an API server tells of the cluster."""
        return bool(self.live and not self.live.silent)

    @property
    def told(self) -> ClusterFacts | None:
        """What the cluster says of itself; empty where every master says that there is none; None where nobody does."""
        if self.live:
            return self.live if self.answers else None
        return None if set(self.masters) & set(self.away) else ClusterFacts()


@dataclass(frozen=True)
class Problem:
    """What is wrong, in one line, and the command for it."""

    text: str
    cure: str = UP

    @property
    def known(self) -> bool:
        return f": {NOT_KNOWN}" not in self.text


@dataclass(frozen=True)
class Status:
    """The verdict on what was found. `cure` is the next command, None where all is well."""

    found: Found
    state: State
    verdict: str
    problems: tuple[Problem, ...]
    cure: str | None


def status(found: Found) -> Status:
    problems = tuple(dict.fromkeys(_problems(found)))  # several subjects may have the same state
    if lost := unwritable(found):
        cure = PREFLIGHT if set(found.masters) & set(found.away) else REBOOTED
        cure = DEFRAGMENT if lost == etcd.without_room(_etcds(found)) else cure
        return Status(found, State.UNWRITABLE, f"{lost}: nothing can be written", problems, cure)
    if problems:
        known = any(problem.known for problem in problems)
        verdict = _DOUBT if _in_doubt(found) else "not well" if known else "not known whether all is well"
        return Status(found, State.WRONG, verdict, problems, problems[0].cure)
    return Status(found, State.WELL, "all is well", (), None)


def unwritable(found: Found) -> str | None:
    """Why nothing can be written. None where something can, and of a cluster that is not there yet."""
    if found.live is None:
        return None
    silent = not _answers(found)
    away = [name for name in found.masters if name in found.away]
    if lost := etcd.lost_quorum(_etcds(found), _calls(found, away), silent, found.unseen):
        return lost
    if _in_doubt(found):
        return None
    if silent and len(away) == len(found.masters):
        return "the master is away" if len(away) == 1 else f"all {len(away)} masters are away"
    return f"no API server answers in {SHORT.question} s" if silent else etcd.without_room(_etcds(found))


def _in_doubt(found: Found) -> bool:
    """Whether a master may serve that could not be looked at (a wrong user, say), and none that was looked at does."""
    return bool(found.live and not _answers(found) and set(found.masters) & set(found.unseen))


def _answers(found: Found) -> bool:
    """Whether any API server answers kubectl, or at least says that it is healthy."""
    healthy = [_told(lambda facts: facts.api.readyz, found.facts.get(name)) == "ok" for name in found.masters]
    return found.answers or any(healthy)


def _etcds(found: Found) -> dict[str, Facts]:
    """The masters whose etcd was looked at; none where it is not of kubeadm's making."""
    there = {name: facts for name, facts in found.facts.items() if _told(etcd.told, facts)}
    if any(facts.etcd.elsewhere for facts in there.values()):
        return {}
    return _only_heard(there) if _serves_alone(found) else there


def _only_heard(masters: etcd.Masters) -> dict[str, Facts]:
    """Those of them whose member has answered."""
    return {name: masters[name] for name in etcd.heard(masters)}


def _serves_alone(found: Found) -> bool:
    """Whether the only master's API server answers, and so does its etcd, though it may not have said so itself."""
    return found.answers and len(found.masters) == 1


def _told(what: Callable[[Facts], Any], facts: Facts | None) -> Any:
    """`what` of these facts; None where it was not looked at, or could not be."""
    try:
        return what(facts) if facts else None
    except NotAsked:
        return None


# --- what is wrong


def _problems(found: Found) -> Iterator[Problem]:
    """The most urgent comes first: its cure is the next command."""
    yield from (Problem(f"{name}: {why}", PREFLIGHT) for name, why in found.away.items())
    yield from _of_cluster(found)
    yield from _of_etcd(found)
    for name, facts in found.facts.items():
        changes = _told(lambda one: one.change.changes, facts) or ()
        yield from (Problem(f"{name}: a change is going on: {one.title}") for one in changes)
    yield from (_not_so(*gap) for gap in found.gaps if found.live)
    yield from (_stranger(node, found.wanted) for node in strangers(found.wanted, found.live, found.facts))
    yield from (_back(node) for node in _nodes(found) if node.ready and OUT_OF_SERVICE in node.taints)
    yield from _of_certificates(found)
    if found.live and (kept := _kept(found)):
        yield from (Problem(text, JOURNAL.format(host)) for text, host in kept.problems())


def _of_cluster(found: Found) -> Iterator[Problem]:
    if found.live is None:
        yield Problem(NO_CLUSTER)
    elif found.live.silent and found.live.speaker:
        cure = AGAIN if _answers(found) else REBOOTED
        yield _said(f"{found.live.speaker}: {found.live.unheard}", cure)


def _of_etcd(found: Found) -> Iterator[Problem]:
    masters = _etcds(found) if found.live else {}
    unknown = {} if _serves_alone(found) else dict(_unknown(found))
    unheard = _calls(found, {*found.away, *unknown})
    yield from (_said(line, _cure_of_etcd(found, masters, unheard)) for line in etcd.problems(masters, unheard))
    yield from (Problem(f"{name}: {why}", PREFLIGHT) for name, why in unknown.items())


def _calls(found: Found, names: Collection[str]) -> etcd.Away:
    """These hosts, with the names and addresses that a member of theirs may have: kubeadm calls it as its Node."""
    return {
        host.name: {host.name, str(host.address), *(node.name for node in _nodes(found) if _is_at(node, host))}
        for host in found.wanted.hosts
        if host.name in names
    }


def _is_at(node: Node, host: Host) -> bool:
    return node.address == str(host.address)


def _unknown(found: Found) -> Iterator[tuple[str, str]]:
    """The hosts whose etcd could not be looked at, and why."""
    for name, facts in found.facts.items():
        try:
            _ = "etcd" in facts.parts and etcd.told(facts)
        except NotAsked as error:
            yield name, error.what


def _of_certificates(found: Found) -> Iterator[Problem]:
    """What is wrong with the certificates of each host that has any; `certs.status` lists them all."""
    issued = {name for name, facts in found.facts.items() if _told(lambda one: one.certificates.issued, facts)}
    if issued:
        from kubefab import certificates  # a host without a cluster has none to read

        asked = certificates.validity(found.wanted, found.facts.values())
    for name, facts in found.facts.items():
        if name in issued:
            yield from (Problem(line, CERTIFICATES) for line in certificates.problems(facts, found.now, asked))
        elif "certificates" in facts.parts and _told(lambda one: one.certificates, facts) is None:
            yield Problem(f"{name}: its certificates are not known", CERTIFICATES)


def _kept(found: Found) -> Kept | None:
    """The backups that the masters are to make by themselves; None where hosts.yml wants none."""
    if not found.wanted.backup:
        return None
    asked = {name: found.facts.get(name) for name in found.masters}
    heard = {
        name: one for name, one in asked.items() if one and _told(lambda it: (it.backups, it.services, it.files), one)
    }
    return Kept(found.wanted.backup, heard, found.now, [name for name in asked if name not in heard])


def _cure_of_etcd(found: Found, masters: etcd.Masters, away: etcd.Away) -> str:
    """A member that can never rejoin has to be removed first: it stands in the way of every join."""
    if outside := etcd.outsiders(masters):
        return etcd.ANEW.format(outside[0])
    if gone := [member for member in etcd.strangers(masters, away) if member.name]:
        name = etcd.earlier(gone[0], masters)
        return etcd.ANEW.format(name) if name else _cure_of_stranger(gone[0], found)
    return DEFRAGMENT if etcd.is_full(masters) else UP


def _cure_of_stranger(member: Known, found: Found) -> str:
    """One whose Node is Ready only has no place in hosts.yml: nobody is told to take it for dead."""
    called, unknown = {member.name, *member.addresses}, strangers(found.wanted, found.live, found.facts)
    alive = [node for node in unknown if node.ready and {node.name, node.address} & called]
    return _stranger(alive[0], found.wanted).cure if alive else GONE.format(member.name)


def _not_so(host: str, step: Step, gap: str) -> Problem:
    """A state by its title, worded so that it does not read as true. What no run changes, only its hint can cure."""
    if gap.startswith(f"{NOT_KNOWN}the API server"):
        return Problem(f"{host}: {gap}", AGAIN)
    if gap.startswith(NOT_KNOWN) or (ASKED.match(gap) and LATE.search(gap)):  # told once, of however many states
        return _said(f"{host}: {gap}", PREFLIGHT)
    told = step.close or step.within
    return Problem(f"{host}: expected: {step.title}; found: {gap}", UP if told else step.hint or PREFLIGHT)


def _said(line: str, cure: str) -> Problem:
    """What had no answer in a status's short time counts as not known: a busy machine may need longer."""
    if LATE.search(line) and NOT_KNOWN not in line:
        return Problem(line.replace(": ", f": {NOT_KNOWN}", 1), AGAIN)
    return Problem(line, cure)


def strangers(wanted: Inventory, live: ClusterFacts | None, facts: Mapping[str, Facts]) -> list[Node]:
    """The cluster's nodes that hosts.yml does not know.

    A Node made by hand may have another name than its host, which only the host can tell: where that is away, or
    `absent`, the Node at its address counts as its own.
    """
    nodes = live.nodes if live else {}
    ours = [_told(lambda one: one.node, each) for each in facts.values()]
    known = {host.name for host in wanted.hosts} | {node.name for node in ours if node}
    mute = {str(host.address) for host in wanted.hosts if host.name not in {*facts, *nodes}}
    return [node for node in nodes.values() if node.name not in known and node.address not in mute]


def _back(node: Node) -> Problem:
    """A machine that was taken for dead and is back: nothing takes away its taint unless a person does."""
    cure = IN_SERVICE.format(node.name)
    what = f"{node.name} is Ready and has the taint {OUT_OF_SERVICE}, as a machine that is off for good"
    return Problem(f"{what}: it keeps no pods until: {cure}", cure)


def _stranger(node: Node, wanted: Inventory) -> Problem:
    role = "master" if node.is_master else "worker"
    entry = f"`{node.name}: {{address: {node.address}, role: {role}}}`"
    text = (
        f"the node {node.name} is not in {wanted.path}: to keep it, add {entry} to its hosts, then inv cluster.up; "
        f"to take it away, add it too, then inv node.remove --host {node.name}, or, where its Node is gone already, "
        f"inv restart --host {node.name}"
    )
    return Problem(text, f"add {entry} to {wanted.path}, then: {UP}")


# --- what is told


def notes(found: Found) -> list[str]:
    """What is worth knowing, though nothing is wrong with it."""
    cordoned = [_cordon(node) for node in _nodes(found) if node.cordoned]
    kept = _kept(found) if found.live else None
    others = (etcd.bears(_etcds(found), len(found.masters)), _unseen(found), *_drift(found))
    return [*cordoned, *(kept.told if kept else ()), *filter(None, others)]


def _drift(found: Found) -> Iterator[str]:
    """Only where the cluster answers: that it does not is told already."""
    if not found.answers:
        return
    unknown = dict.fromkeys(host for host, _, gap in found.drift if gap.startswith(NOT_KNOWN))
    known = [host for host, _, gap in found.drift if not gap.startswith(NOT_KNOWN)]
    if known:
        yield f"{', '.join(dict.fromkeys(known))}: {_DRIFT}: {len(known)} (inv --dry cluster.up shows each)"
    if unknown:
        yield f"{', '.join(unknown)}: {NOT_KNOWN}{_DRIFT}"


def _cordon(node: Node) -> str:
    ends = f"inv node.uncordon --host {node.name} ends that"
    return f"{node.name} is cordoned by {node.cordoner}: no new pods come to it; {ends}"


def _unseen(found: Found) -> str:
    """What a worker's haproxy cannot see of an API server that has `anonymous-auth: false`."""
    blind = [name for facts in found.facts.values() for name in _told(lambda one: one.endpoint.blind, facts) or ()]
    return f"{', '.join(dict.fromkeys(blind))}: {_BLIND}" if blind else ""


def _nodes(found: Found) -> list[Node]:
    return list(found.live.nodes.values()) if found.live else []


def as_data(told: Status) -> dict[str, Any]:
    """All of it as plain data. What was not heard is null."""
    found, masters, kept = told.found, _members_to_show(told.found), _kept(told.found)
    live = found.told
    return {
        "cluster": found.wanted.cluster.name,
        "state": told.state.name.lower(),
        "verdict": told.verdict,
        "healthy": told.state is State.WELL,
        "version": found.live.version if found.live else None,
        "problems": [problem.text for problem in told.problems],
        "next": told.cure,
        "notes": notes(found),
        "hosts": [_host(found, host) for host in found.wanted.hosts if not host.absent],
        "nodes": [_node(node) for node in live.nodes.values()] if live else None,
        "etcd": {"members": etcd.members_as_data(masters)} if masters else None,
        "backups": kept.as_data() if kept else None,
        "drift": [{"host": host, "state": step.title, "found": gap} for host, step, gap in found.drift],
        "addons": [_addon(found, *addon) for addon in live.addons.items()] if live else None,
    }


def _addon(found: Found, name: str, version: str) -> dict[str, Any]:
    return {"name": name, "version": version, "wanted": name in found.wanted.addons}


def _members_to_show(found: Found) -> dict[str, Facts]:
    """None of a single master whose etcd is well: nobody has to know what an etcd is to be told so."""
    masters = _etcds(found)
    return {} if _serves_alone(found) and not etcd.problems(masters) else masters


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "roles": node.roles,
        "ready": node.ready,
        "cordoned": node.cordoned,
        "cordoned_by": node.cordoned_by or None,
        "version": node.version,
        "address": node.address,
    }


def _host(found: Found, host: Host) -> dict[str, Any]:
    """What SSH, its kubelet, its API server and its etcd say of it, whoever speaks for the cluster."""
    facts, master = found.facts.get(host.name), host.role == "master"
    return {
        "name": host.name,
        "role": host.role,
        "ssh": host.name in found.facts,
        "kubelet": _told(lambda one: one.services.unit("kubelet").active, facts),
        "api_server": _told(lambda one: one.api.readyz or "none", facts) if master else None,
        "etcd": _told(etcd.in_a_word, facts) if master else None,
    }
