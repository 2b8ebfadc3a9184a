"""etcd goes back to a snapshot, on all masters at once: what is lost by it is told and asked for first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from os.path import expanduser
from pathlib import Path

from invoke import Context

from kubefab import backup, etcd, report
from kubefab.backup import Snapshot
from kubefab.converge import Engine
from kubefab.errors import HostError, KubefabError
from kubefab.executor import engine_of
from kubefab.facts import Facts, Member, fingerprint
from kubefab.host import Host
from kubefab.losing import Loss, agree, tell
from kubefab.passes import TOGETHER, Group, Who
from kubefab.step import Subject, when
from kubefab.steps import restore as steps
from kubefab.steps.restore import Restore
from kubefab.steps.restore_checks import headless, keyed, left_behind, nobody_else, possible

Made = Callable[[Context], object]

LIST_SECONDS = 90  # scripts/list-since.sh


def restore(c: Context, source: str, yes: bool, make: Sequence[Made], rest: Sequence[Made]) -> None:
    """Brings etcd to the snapshot in this file or folder. KubefabError where it is damaged, or nobody agrees.

    `make`: the tasks that make a control plane where there is no cluster; `rest`: those that make it whole afterwards.
    After a run that was broken off, `rest` follows while a host has yet to join: missing add-ons cannot be told.
    """
    if not source:
        raise KubefabError("--from wants a folder that etcd.backup has made, or a snapshot of etcd")
    snapshot = backup.opened(Path(expanduser(source)).absolute())
    run = engine_of(c)
    masters = there = _members(run)
    if not there:
        Making(run, snapshot, yes).prepare()
        if run.dry:
            return
        _each(run, c, make)
        masters = _members(run)
    Restoring(run, snapshot, yes or not there).bring_about(masters)
    if run.dry or run.failures:
        return
    if not there or _unmade(run):
        _each(run, c, rest)
    else:
        print(report.plain(_REST))


def give_up(c: Context) -> None:
    """Gives up a restore that was broken off. KubefabError where a master has the snapshot's data already."""
    run = engine_of(c)
    masters = _members(run)
    if not run.dry:  # a restore that goes on may be about to swap
        run.lock(masters, *steps.PARTS)
        run.stop_where_failed(_UNHEARD)
    found = {host.name: run.cluster.facts(host).restore for host in masters}
    begun = {one.under_way for one in found.values() if one.under_way}
    if gone := [name for name, one in found.items() if one.restored in begun]:
        raise KubefabError(_TOO_LATE.format(", ".join(gone)))
    run.converge(Group.MASTERS, steps.given_up)


def _each(run: Engine, c: Context, tasks: Sequence[Made]) -> None:
    for task in tasks:
        task(c)
        run.stop_where_failed(_HALF)


def _members(run: Engine) -> list[Host]:
    """The masters that have an etcd. Stop where one was not looked at, since it may serve the former data."""
    began = run.cluster.clock()
    masters = run.look(Group.MASTERS, *steps.PARTS)
    run.stop_where_failed(_UNHEARD)
    run.look_again(masters, *steps.PARTS, since=began)
    facts = [run.cluster.facts(host) for host in masters]
    if elsewhere := {one.etcd.servers for one in facts if one.etcd.elsewhere}:
        raise KubefabError(_ELSEWHERE.format(", ".join(sorted(elsewhere))))
    if broken := {one.name: left for one in facts if (left := headless(one))}:
        told = "; ".join(f"{name} has {left}" for name, left in broken.items())
        raise KubefabError(_HEADLESS.format(told))
    return [host for host, one in zip(masters, facts, strict=True) if steps.is_member(one)]


def _hear_workers(run: Engine, otherwise: str) -> None:
    """Stop, with these words, where a worker does not answer."""
    began = run.cluster.clock()
    run.look(Group.WORKERS)
    run.look_again(run.chosen(Group.WORKERS), since=began)
    run.stop_where_failed(otherwise)


def _unmade(run: Engine) -> bool:
    """Whether a host of hosts.yml has yet to join."""
    return any(
        not facts.local.kubelet_ca or (host.wanted.role == "master" and not steps.is_member(facts))
        for host in run.cluster.hosts.values()
        for facts in [run.cluster.facts(host)]
    )


def _told(snapshot: Snapshot, began: str = "") -> str:
    taken = f"{snapshot.time:%Y-%m-%d %H:%M:%S} UTC"
    when_ = f"of {taken}, of {snapshot.host}" if snapshot.host else _UNDATED.format(taken)
    what = f"{snapshot.file}: {when_}; revision {snapshot.revision}; its checksum is right"
    return f"{what}; the restore {began} goes on" if began else what


def _encrypted(snapshot: Snapshot) -> list[str]:
    if "encryption-provider-config" in snapshot.files:
        return [_ENCRYPTED.format("the backup's encryption-provider-config", "")]
    known = "manifests/kube-apiserver.yaml" in snapshot.files and backup.encrypts(snapshot.folder)
    whose = f"the encryption-provider-config of {snapshot.host}'s API server"
    return [*when(known, _ENCRYPTED.format(whose, ", and the backup is without it"))]


@dataclass(frozen=True)
class Making:
    """A new cluster for the snapshot. The snapshot's keys are put there first, so that kubeadm takes them for it."""

    run: Engine
    snapshot: Snapshot
    yes: bool

    def prepare(self) -> None:
        _hear_workers(self.run, _UNHEARD)
        founder = self.run.cluster.founder
        self.run.complain([founder], keyed(self.snapshot))
        self.run.stop_where_failed()
        print(report.plain(_told(self.snapshot)))
        found = [*self._losses(founder)]
        if self.run.dry:
            tell(found)
        else:
            agree(lambda: found, self.yes, lambda: None, "a cluster is made here, and what is listed is lost")
        self.run.converge(Group.FOUNDER, keyed(self.snapshot), how=TOGETHER)

    def _losses(self, founder: Host) -> Iterator[Loss]:
        """The new API server is empty at first, and nodes of the snapshot's cluster that still run believe it."""
        yield founder.name, "", "there is no cluster: one is made, with the keys of the backup, and goes back to it"
        yield from ((founder.name, "", line) for line in _encrypted(self.snapshot))
        ours = {fingerprint(one) for one in self.snapshot.authorities}
        for name, facts in self.run.cluster.all_facts().items():
            if facts.local.kubelet_ca in ours:
                yield name, "", "its pods end, with what is in their emptyDirs; those of the snapshot begin anew"


@dataclass(frozen=True)
class Restoring:
    """Passes in turn, none of which is begun where one before it has failed."""

    run: Engine
    snapshot: Snapshot
    yes: bool

    def bring_about(self, masters: list[Host]) -> None:
        if not self.run.dry:
            self.run.lock(masters, *steps.PARTS)
        began = self._begun(masters)
        restore = Restore(began or steps.new_id(self.snapshot, self._facts(masters), datetime.now(UTC)), self.snapshot)
        if not _swapped(self._facts(masters), restore.id):  # once one is, nothing runs until this goes on
            _hear_workers(self.run, _UNHEARD)
        self._refuse(masters, restore)
        print(report.plain(_told(self.snapshot, began)))
        if self.run.dry:
            tell(self._losses(masters, restore))
        elif any(steps.serves_former(one, restore.id) for one in self._facts(masters)):
            look = partial(self.run.look_again, masters, *steps.PARTS)
            agree(lambda: self._losses(masters, restore), self.yes, look, _COST)
        self._converge(_to_swap(restore))
        if not self.run.dry:  # the former API servers are gone, whatever the facts say
            self.run.look_again(masters, *steps.PARTS)
        self._converge([(Group.MASTERS, steps.running(restore))])
        if not (self.run.dry or self.run.failures):
            _hear_workers(self.run, _HALF_BACK)
        self._converge(_to_end(restore))

    def _converge(self, passes: Sequence[tuple[Who, Subject]]) -> None:
        for who, subject in passes:
            if not self.run.failures:
                self.run.converge(who, subject, how=TOGETHER)

    def _facts(self, masters: Sequence[Host]) -> list[Facts]:
        return [self.run.cluster.facts(host) for host in masters]

    def _begun(self, masters: Sequence[Host]) -> str:
        """The id of a restore of this very snapshot, for these masters, that was broken off; "" where there is none.

        Also "" where no master has its data, and one may have served the former data since: a new one is begun.
        """
        facts = self._facts(masters)
        ours = f"-{steps.of_peers(facts)}-"
        found = [one for one in facts if one.restore.snapshot == self.snapshot.digest and ours in one.restore.under_way]
        if not found:
            return ""
        id = max(found, key=lambda one: one.local.restore_begun).restore.under_way
        return id if _swapped(facts, id) or not any(steps.serves_former(one, id) for one in facts) else ""

    def _refuse(self, masters: list[Host], restore: Restore) -> None:
        """Other hosts matter only before the swap: after it the API server tells of those in the snapshot."""
        swapped = _swapped(self._facts(masters), restore.id)
        self.run.complain(masters, possible(restore), *when(not swapped, nobody_else))
        self.run.stop_where_failed()

    def _losses(self, masters: list[Host], restore: Restore) -> list[Loss]:
        """What etcd has and the snapshot has not, by the member with most writes applied."""
        self._refuse(masters, restore)
        found = [(one.name, "", line) for one in self._facts(masters) for line in self._of(one, restore)]
        answer = [(host, one) for host in masters if (one := self.run.cluster.facts(host).etcd.member)]
        # Where no member answers, any master will do.
        host, member = max(answer, key=lambda one: one[1].applied, default=(next(iter(masters)), None))
        lost = self._since(host, member) if member else [_SILENT]
        left = (f"member {one} is left behind: {etcd.NEVER}" for one in left_behind(self.run.cluster.facts(host)))
        return [*found, *((host.name, "", line) for line in (*lost, *left, *_encrypted(self.snapshot), *_ALWAYS))]

    def _of(self, facts: Facts, restore: Restore) -> Iterator[str]:
        kept = f"{facts.restore.folder}/before-restore-TIME"
        yield f"its API server and etcd stand still meanwhile; what etcd had is kept as {kept}"
        begun = facts.restore.under_way
        if begun and begun != restore.id:
            yield f"the restore {begun}, which was broken off, is given up"
        elif begun and steps.serves_former(facts, restore.id):
            yield "it has, and may serve, the former data, though others have stopped"

    def _since(self, host: Host, member: Member) -> Iterator[str]:
        if member.cluster != self.snapshot.etcd:
            yield _ANOTHER_ETCD if self.snapshot.etcd else _UNKNOWN_ETCD
            return
        if member.revision < self.snapshot.revision:  # ids are made of names: an etcd begun anew has the same id
            yield _LOWER.format(member.revision)
            return
        writes = f"{member.revision - self.snapshot.revision} writes since the snapshot"
        try:
            said = host.ask("list-since.sh", str(self.snapshot.revision), seconds=LIST_SECONDS)
        except HostError as error:
            yield f"{writes}{_PERHAPS}"
            yield f"what was made since: it cannot be told: {error}"
            return
        has = {line.removeprefix("uid ") for line in said.splitlines() if line.startswith("uid ")}
        had = self.snapshot.identities()
        if has and had and not has & had:
            yield _ANOTHER_ETCD
            return
        yield writes if has and had else f"{writes}{_PERHAPS}"
        yield from _in_words(said)


def _swapped(masters: Sequence[Facts], id: str) -> bool:
    """Whether one of them has the data of this restore."""
    return any(one.restore.restored == id for one in masters)


def _in_words(said: str) -> Iterator[str]:
    """What list-since.sh has printed."""
    lines = [line.partition(" ") for line in said.splitlines()]
    made = sorted(rest for word, _, rest in lines if word == "made")
    yield from when(made, f"{', '.join(made)}: made since")
    yield from (f"{rest} objects changed since: they are as they were" for word, _, rest in lines if word == "changed")
    yield "what was deleted since is there again"


def _to_swap(restore: Restore) -> list[tuple[Who, Subject]]:
    """No host gets the new data before every host is without the former."""
    return [
        (Group.MASTERS, steps.staged(restore)),
        (Group.MASTERS, steps.swapped_out(restore)),
        (Group.MASTERS, steps.swapped_in(restore)),
    ]


def _to_end(restore: Restore) -> list[tuple[Who, Subject]]:
    return [
        (Group.ALL, steps.kubelet_anew),
        (Group.SPEAKER, steps.workloads_anew(restore)),
        (Group.SPEAKER, steps.one_etcd),
        (Group.ALL, steps.well),
        (Group.MASTERS, steps.done),
    ]


_COST = "all of this is lost"
_ALWAYS = (
    "pods that came since end, and one that has moved since may run twice for a moment",
    "a volume that was deleted since is there again, and its storage is not",
)
_SILENT = "no member of etcd answers: what it has that the snapshot has not cannot be told"
_ANOTHER_ETCD = "all that etcd has now: it is another etcd than the snapshot's, or one that was restored since"
_PERHAPS = ", if it is still that etcd, and has not begun anew since: nobody can say so"
_UNKNOWN_ETCD = "all that was written since: of which etcd this snapshot is nobody has written down"
_LOWER = (
    "all that etcd has now: its revision, {}, is lower than the snapshot's, as that of an etcd that has begun anew "
    "over an emptied folder, or of a member that was left behind"
)
_UNDATED = "the file is of {}; when the snapshot was taken nobody has written down"
_REST = "etcd has the snapshot's data; what else hosts.yml wants, `inv cluster.up` makes"
_HALF = "nothing goes back to the snapshot before its cluster is made: the same command goes on"
_TOO_LATE = (
    "{} has the snapshot's data already: only going on is possible, by the same command with the same snapshot; what "
    "etcd had is kept beside them"
)
_HEADLESS = (
    "{}, and no manifest of etcd's, /etc/kubernetes/manifests/etcd.yaml: what is there may be all that is left of the "
    "cluster; put the manifest back, or take away what is left: inv restart --host NAME"
)
_ABSENT = (
    "run the same command again once they answer. A worker that is known to be away gets `absent: true` in hosts.yml"
)
_UNHEARD = (
    "nothing was changed: a restore is of all hosts, since one that still has the former data would tell them; "
    f"{_ABSENT}; a master that is lost for good is taken out of it, and {etcd.NEVER}"
)
_HALF_BACK = f"the masters have the snapshot's data, and run; the rest waits for all hosts: {_ABSENT}"
_ELSEWHERE = "this cluster's etcd is not of kubeadm's making ({}): restore it by what you look after it with"
_ENCRYPTED = (
    "its API server encrypts what it writes to etcd: {} has to be on every master first{}, and be named in hosts.yml; "
    "without it nobody can read the Secrets"
)
