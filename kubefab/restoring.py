"""etcd goes back to a snapshot, on all masters at once: what is lost by it is told and asked for first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import expanduser
from pathlib import Path

from invoke import Context

from kubefab import backup, report
from kubefab.backup import Snapshot
from kubefab.converge import Engine, Stop
from kubefab.errors import HostError, KubefabError
from kubefab.executor import engine_of
from kubefab.facts import Facts, Member
from kubefab.host import Host
from kubefab.losing import Loss, agree, tell
from kubefab.passes import Group, Pass, Who
from kubefab.step import Subject, when
from kubefab.steps import restore as steps
from kubefab.steps.restore import Restore

TOGETHER = Pass(rolling=True)  # what fails on one host ends it for all
LIST_SECONDS = 90  # scripts/list-since.sh


def restore(c: Context, source: str, yes: bool, *make: Callable[[Context], object]) -> None:
    """Brings etcd to the snapshot in this file or folder. KubefabError where it is damaged, or nobody agrees.

    `make`: the tasks that make a cluster, where there is none.
    """
    if not source:
        raise KubefabError("--from wants a folder that etcd.backup has made, or a snapshot of etcd")
    snapshot = backup.opened(Path(expanduser(source)).absolute())
    run = engine_of(c)
    restoring = Restoring(run, snapshot, yes)
    if restoring.masters():
        return restoring.bring_about()
    restoring.prepare()
    if not run.dry:
        for task in make:
            task(c)
        Restoring(run, snapshot, yes=True).bring_about()


@dataclass(frozen=True)
class Restoring:
    """Passes in turn, none of which is begun where one before it has failed."""

    run: Engine
    snapshot: Snapshot
    yes: bool

    def masters(self) -> list[Host]:
        """Those that have an etcd. Every host was looked at: one that is not may have the former data."""
        self.run.look(Group.ALL)
        masters = self.run.look(Group.MASTERS, *steps.PARTS)
        if self.run.failures or self.run.unheard:
            raise Stop(_UNHEARD)
        if elsewhere := {one.etcd.servers for one in map(self.run.cluster.facts, masters) if one.etcd.elsewhere}:
            raise KubefabError(_ELSEWHERE.format(", ".join(sorted(elsewhere))))
        return [host for host in masters if steps.is_member(self.run.cluster.facts(host))]

    def prepare(self) -> None:
        """Has the cluster that is to be made be the snapshot's: its keys are there before it is."""
        founder = self.run.cluster.founder
        self.run.complain([founder], steps.keyed(self.snapshot))
        if self.run.failures:
            raise Stop("nothing was changed")
        print(report.plain(self._told("")))
        found = [(founder.name, "", line) for line in self._to_make()]
        if self.run.dry:
            tell(found)
        else:
            agree(lambda: found, self.yes, lambda: None, "a cluster is made here")
        self.run.converge(Group.FOUNDER, steps.keyed(self.snapshot), how=TOGETHER)

    def _to_make(self) -> Iterator[str]:
        yield "there is no cluster: one is made, with the keys of the backup, and then goes back to the snapshot"
        if "encryption-provider-config" in self.snapshot.files:
            yield _ENCRYPTED

    def bring_about(self) -> None:
        if self.run.failures:
            raise Stop("nothing goes back to the snapshot before the cluster is whole")
        masters = self.run.look(Group.MASTERS)
        self.run.look_again(masters, *steps.PARTS)
        masters = [host for host in masters if steps.is_member(self.run.cluster.facts(host))]
        if not self.run.dry:
            self.run.lock(masters, *steps.PARTS)
        began = self._begun(masters)
        restore = Restore(began or self._new_id(), self.snapshot)
        self._refuse(masters, restore)
        print(report.plain(self._told(began)))
        if self.run.dry:
            tell(self._losses(masters, restore))
        elif not began:
            agree(
                lambda: self._losses(masters, restore),
                self.yes,
                lambda: self.run.look_again(masters, *steps.PARTS),
                _COST,
            )
        for who, subject in _passes(restore):
            if not self.run.failures:
                self.run.converge(who, subject, how=TOGETHER)

    def _begun(self, masters: Sequence[Host]) -> str:
        """The id of a restore of this very snapshot that was broken off; "" where there is none."""
        facts = [self.run.cluster.facts(host) for host in masters]
        found = [one for one in facts if one.restore.snapshot == self.snapshot.digest]
        return max(found, key=lambda one: one.local.restore_begun).restore.under_way if found else ""

    def _new_id(self) -> str:
        return f"kubefab-{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}-{self.snapshot.digest[:12]}"

    def _refuse(self, masters: list[Host], restore: Restore) -> None:
        self.run.complain(masters, steps.possible(restore))
        if self.run.failures:
            raise Stop("nothing was changed")

    def _told(self, began: str) -> str:
        one = self.snapshot
        by = f", of {one.host}" if one.host else ""
        taken = f"{one.time:%Y-%m-%d %H:%M:%S} UTC"
        what = f"{one.file}: of {taken}, revision {one.revision}{by}; its checksum is right"
        return f"{what}; the restore {began} goes on" if began else what

    def _losses(self, masters: Sequence[Host], restore: Restore) -> list[Loss]:
        """What etcd has and the snapshot has not, by the member that has done most."""
        self._refuse(list(masters), restore)
        answer = [(host, member) for host in masters if (member := self.run.cluster.facts(host).etcd.member)]
        found = [(host.name, "", line) for host in masters for line in self._of(self.run.cluster.facts(host))]
        if not answer:
            return [*found, (masters[0].name, "", _SILENT)]
        host, member = max(answer, key=lambda one: one[1].applied)
        return [*found, *((host.name, "", line) for line in self._since(host, member))]

    def _of(self, facts: Facts) -> Iterator[str]:
        kept = f"{facts.restore.folder}/before-restore-TIME"
        yield f"its API server and etcd stand still meanwhile; what etcd had is kept as {kept}"
        if facts.restore.under_way:
            yield f"the restore {facts.restore.under_way}, of another snapshot, is given up"

    def _since(self, host: Host, member: Member) -> Iterator[str]:
        if member.cluster != self.snapshot.etcd:
            yield _ANOTHER_ETCD if self.snapshot.etcd else _UNKNOWN_ETCD
            return
        yield f"{max(member.revision - self.snapshot.revision, 0)} writes since the snapshot"
        try:
            said = host.ask("list-since.sh", str(self.snapshot.revision), seconds=LIST_SECONDS)
        except HostError as error:
            yield f"what was made since: it cannot be told: {error}"
            return
        yield from _in_words(said)


def _in_words(said: str) -> Iterator[str]:
    """What list-since.sh has printed."""
    lines = [line.partition(" ") for line in said.splitlines()]
    made = sorted(rest for word, _, rest in lines if word == "made")
    yield from when(made, f"{', '.join(made)}: made since")
    yield from (f"{rest} objects changed since: they are as they were" for word, _, rest in lines if word == "changed")
    yield "what was deleted since is there again"


def _passes(restore: Restore) -> list[tuple[Who, Subject]]:
    """No host gets the new data before every host is without the former."""
    return [
        (Group.MASTERS, steps.staged(restore)),
        (Group.MASTERS, steps.swapped_out(restore)),
        (Group.MASTERS, steps.swapped_in(restore)),
        (Group.MASTERS, steps.running(restore)),
        (Group.ALL, steps.kubelet_anew),
        (Group.SPEAKER, steps.workloads_anew(restore)),
        (Group.SPEAKER, steps.one_etcd),
        (Group.ALL, steps.well),
        (Group.MASTERS, steps.done),
    ]


_COST = "all of this is lost"
_SILENT = "no member of etcd answers: what it has that the snapshot has not cannot be told"
_ANOTHER_ETCD = "all that etcd has now: it is another etcd than the snapshot's, or one that was restored since"
_UNKNOWN_ETCD = "all that was written since: of which etcd this snapshot is nobody has written down"
_UNHEARD = (
    "nothing was changed: a restore is of all hosts, since one that still has the former data would tell them; run the "
    "same command again once they answer, or mark a machine that is known to be away `absent: true` in hosts.yml"
)
_ELSEWHERE = "this cluster's etcd is not of kubeadm's making ({}): restore it by what you look after it with"
_ENCRYPTED = (
    "its API server encrypts what it writes to etcd: the backup's encryption-provider-config has to be on every master "
    "first, and named in hosts.yml; without it nobody can read the Secrets"
)
