"""The engine: look, tell what is missing, close it with one change, look again."""

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from kubefab.cluster import Cluster
from kubefab.crashes import CrashWatch
from kubefab.errors import Busy, HostError, KubefabError, NotAsked, Silent
from kubefab.facts import NOT_KNOWN, clock_time
from kubefab.host import Host, busy
from kubefab.locks import Locks
from kubefab.passes import ALL_AT_ONCE, ONE_BY_ONE, Group, Pass, Who
from kubefab.patience import USUAL, Patience
from kubefab.report import ANSWERS, Failure, Report
from kubefab.step import MISSING, NO_CLUSTER, Close, Step, Subject, when
from kubefab.waiting import Waiting

ORPHAN_SECONDS = 1800  # an apt on a slow line may take that long
ANSWER_SECONDS = 60
OF_MASTERS = ("node", "etcd", "kubeadm")  # the parts of the look in which masters tell of each other
OF_PODS = ("pods", "workloads", "change")  # those in which the speaker tells of the nodes that are being emptied
HOST_PAUSE, CLUSTER_PAUSE = 0.3, 1.0  # seconds between looks while a state comes true


class Stop(KubefabError):
    """What is left cannot go on without the host that failed."""


class Still(HostError):
    """A state has not come true in its time; the host was heard to the end."""


@dataclass
class Engine:
    """The only place that decides what is done. `sleep` is injectable, as the cluster's clock is."""

    cluster: Cluster
    report: Report
    dry: bool = False
    patient: bool = True  # whether a change that an earlier run began is waited for
    sleep: Callable[[float], None] = time.sleep
    failures: list[Failure] = field(default_factory=list)
    planned: int = 0
    unknown: int = 0  # the changes of which a dry run does not know whether they are to be made
    converged: bool = False
    unheard: list[Failure] = field(default_factory=list)  # masters that do not answer, where that is no failure
    _anew: dict[str, float] = field(default_factory=dict)  # host -> when we had its locks; it was looked at since
    _locks: Locks = field(init=False)
    _busy: bool = False  # whether another run has a host that we wanted to change
    _told: set[tuple[str, str, str]] = field(default_factory=set)  # host, title, gap: what a notice or a plan has shown
    _checking: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._locks = Locks(self.cluster.clock)

    def converge(self, who: Who, *subjects: Subject, how: Pass = ALL_AT_ONCE) -> None:
        """Brings these hosts, a group or one by its name, to these states.

        A host that fails is set aside. Stop where it is the master that speaks for the cluster, on which the rest
        depends, or where the pass was a rolling one.
        """
        self.converged = True
        hosts = self.look(who, alone=how.alone)
        self.complain(hosts, *subjects)
        if self.dry:
            self._each(self._going(hosts), lambda host: self._plan(host, subjects), ONE_BY_ONE)
        else:
            self._bring_all(self._going(hosts), subjects, how)
        if not how.alone:
            self._stop_without_master(who)

    @contextmanager
    def only_looking(self, patience: Patience = USUAL) -> Iterator[None]:
        """Within it nothing is reported or waited for; at its end the failures of it are forgotten."""
        before = list(self.failures), self.report.quiet, self.patient
        self.report.quiet, self.patient = True, False
        try:
            with self.cluster.asked_with(patience):
                yield
        finally:
            self.failures[:], self.report.quiet, self.patient = before

    def look(self, who: Who, *besides: str, alone: bool = False) -> list[Host]:
        """Looks at these hosts as a converge would, and at the parts `besides`. Returns the hosts that answered.

        The masters are looked at too, since one of them speaks for the cluster. A master that does not answer has
        failed; it is only `unheard` where it is not among these hosts and another master speaks, or with `alone`.
        """
        if who is Group.SPEAKER:  # which master that is shows only once they have been looked at
            self._first_look(self._masters_to_hear(), [], (), alone)
        hosts = self.chosen(who)
        self._first_look([host for host in self._masters_to_hear() if host not in hosts], hosts, besides, alone)
        self._each(self._going(hosts), lambda host: self.cluster.look(host, besides, since=0))
        return self._going(hosts)

    def _first_look(self, masters: list[Host], hosts: list[Host], besides: tuple[str, ...], alone: bool) -> None:
        more, failed = {host.name: besides for host in hosts}, len(self.failures)
        unlooked = [host for host in (*masters, *hosts) if not self.cluster.looked_at(host)]
        self._each(unlooked, lambda host: self.cluster.look(host, besides=more.get(host.name, ())))
        self._excuse({host.name for host in masters}, failed, alone)
        # Only after the look at the masters: they tell which run a change that goes on belongs to.
        seen = [host for host in self._going(unlooked) if self.cluster.looked_at(host)]
        self._each([host for host in seen if host in hosts or not alone], self._wait_for_orphan)

    def _masters_to_hear(self) -> list[Host]:
        known = {failure.host for failure in self.unheard}
        return [host for host in self._going(self.cluster.masters) if host.name not in known]

    def _excuse(self, masters: set[str], failed: int, alone: bool) -> None:
        """A master that was only to speak for the cluster has not failed where another speaks, or none has to."""
        away = [failure for failure in self.failures[failed:] if failure.host in masters]
        if alone or self._masters():
            self.unheard += away
            self.failures[:] = [failure for failure in self.failures if failure not in away]

    def stop_where_failed(self, otherwise: str = "nothing was changed") -> None:
        """Stop, with these words, where any host has failed so far: for what is done on all hosts or on none."""
        if self.failures:
            raise Stop(otherwise)

    def lock(self, hosts: list[Host], *besides: str) -> None:
        """Takes the locks of these hosts and the masters, then looks at the hosts anew. Busy where a run has one."""
        since = self._locks.take([*self._masters(), *hosts])
        self._each(hosts, lambda host: self._look_anew(host, since, besides))

    def look_again(self, hosts: list[Host], *besides: str, since: float | None = None) -> None:
        """Looks at these hosts, and at the parts `besides`; a look that began after `since` will do."""
        self._each(self._going(hosts), lambda host: self.cluster.look(host, since=since, besides=besides))

    def complain(self, hosts: list[Host], *subjects: Subject) -> None:
        """Sets aside the hosts where something is amiss that only the user can change."""
        self._each(self._going(hosts), lambda host: self._complain(host, subjects))

    def losses(self, hosts: list[Host], *subjects: Subject) -> list[tuple[str, str, str]]:
        """The changes that would be made there: host, title, gap. Silence is waited out, and counts as none."""
        found = []
        for host in self._going(hosts):
            for step in self._steps(host, subjects):
                with self._failing(host, step.title, step.hint):
                    if step.close and (gap := self._firm_gap(host, step)):
                        found.append((host.name, step.title, gap))
        return found

    def gaps(self, hosts: list[Host], *subjects: Subject, silence: bool = False) -> list[tuple[str, Step, str]]:
        """What is missing there: host, step, gap. Nothing is changed.

        What a silent API server would have to tell is no gap; with `silence` it is one that is not known.
        """
        return [
            (host.name, step, gap)
            for host in hosts
            for step in self._steps(host, subjects)
            if (gap := self._told_gap(host, step, silence))
        ]

    def chosen(self, who: Who) -> list[Host]:
        """The hosts that are meant, without those set aside. KubefabError for an unknown name."""
        groups: dict[Who, list[Host]] = {
            Group.ALL: list(self.cluster.hosts.values()),
            Group.FOUNDER: [self.cluster.founder],
            Group.SPEAKER: [self.cluster.speaker],
            Group.MASTERS: self.cluster.masters,
            Group.WORKERS: [host for host in self.cluster.hosts.values() if host.wanted.role == "worker"],
        }
        return self._going(groups[who] if isinstance(who, Group) else [self.cluster.require(who)])

    def round_trips(self) -> str:
        return ", ".join(f"{name} {host.link.trips}" for name, host in self.cluster.hosts.items())

    def let_go(self) -> None:
        """Gives the locks back, so that others may change hosts: for a run that goes on but changes nothing more."""
        self.report.close()
        self._locks.let_go()
        self._anew.clear()

    def close(self) -> None:
        self.let_go()
        self.cluster.close()

    def _going(self, hosts: Iterable[Host]) -> list[Host]:
        aside = {failure.host for failure in self.failures}
        return [host for host in hosts if host.name not in aside]

    def _each(self, hosts: list[Host], work: Callable[[Host], None], how: Pass = ALL_AT_ONCE) -> None:
        """Does the same work on several hosts at once. The failure of one does not hide that of another."""
        failed = len(self.failures)

        def guarded(host: Host) -> None:
            if not (how.rolling and self.failures[failed:]):
                with self._failing(host, ANSWERS):
                    work(host)

        for batch in how.batched(hosts):
            with ThreadPoolExecutor(how.at_once or max(1, len(batch))) as pool:
                try:
                    for ended in as_completed([pool.submit(guarded, host) for host in batch]):
                        ended.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    self.report.close()
                    self.cluster.close()  # the other threads wait no longer
                    raise

    @contextmanager
    def _failing(self, host: Host, title: str, hint: str = "") -> Iterator[None]:
        """Any error within it is this host's failure; only a KubefabError that is of no host ends the run."""
        try:
            yield
        except HostError as error:
            error.hint = error.hint or hint
            self._set_aside(host, title, error)
        except KubefabError:
            raise
        except Exception as error:
            self._set_aside(host, title, self._unforeseen(host, title, error))

    def _unforeseen(self, host: Host, title: str, error: Exception) -> HostError:
        """A fault of kubefab's own, in words; its traceback goes to the log."""
        with suppress(KubefabError):  # a log that cannot be written hides no failure
            self.cluster.log.write_line(f"{host.name}: {title}\n{''.join(traceback.format_exception(error))}")
        what = f"unexpected error in kubefab: {type(error).__name__}: {error}"
        return HostError(what, hint=f"please report it with the log: {self.cluster.log.path}")

    def _set_aside(self, host: Host, title: str, error: HostError) -> None:
        failure = Failure(host.name, title, error)
        if failure.elsewhere and error.host in self.cluster.hosts:
            self._check(self.cluster.hosts[error.host])
        self.failures.append(failure)
        self.report.stopped(host.name, f"{title}: {failure.what}")

    def _check(self, host: Host) -> None:
        """Sets this host aside where it answers no more: another host's step has failed to talk to it."""
        with self._checking:
            if self._answers(host):
                with self._failing(host, ANSWERS):
                    self.cluster.look(host, ("change",))

    def _answers(self, host: Host) -> bool:
        """False once this run has found that it does not."""
        return not any(failure.host == host.name and failure.title == ANSWERS for failure in self.failures)

    def _wait_for_orphan(self, host: Host) -> None:
        """A change whose caller was killed goes on by itself: wait for its end, then look again."""

        def gap(_: object = None) -> str | None:
            change = self.cluster.facts(host).change.going_on
            return (change and f"{change.title}, since {clock_time(change.since)}") or None

        if self.patient and gap():
            self._stop_for_another_run(host)
            title = "no change of an earlier run is still going on"
            step = Step(title, gap, None, _ORPHAN_HINT, within=ORPHAN_SECONDS, parts=("change",))
            try:
                self._prove(host, step, self.cluster.clock())
            except Still as error:
                raise HostError(f"a change of an earlier run goes on: {gap()}", hint=_ORPHAN_HINT) from error
            self.report.waited(host.name)
            self.cluster.look(host)

    def _stop_for_another_run(self, host: Host) -> None:
        """Busy where the change's caller lives: it is no orphan, but another run's, which also has the lock."""
        for place in (*self._masters(), host):
            run = self.cluster.looked_at(place) and self.cluster.facts(place).change.run
            if run and not self._locks.holds(place):
                raise Busy(busy(run.title, run.since, place.name))

    def _complain(self, host: Host, subjects: Iterable[Subject]) -> None:
        """Tells, before any change, all at once that only the user can change; and once why something is not known."""
        every = self._steps(host, subjects)
        steps = [step for step in every if step.close is None and not (step.within or step.only_told)]
        facts, untold = self.cluster.facts(host), dict[str, tuple[str, NotAsked]]()
        for step in steps:
            try:
                if gap := step.gap(facts):
                    self._set_aside(host, step.title, HostError(gap, hint=step.hint))
            except Silent as error:  # a real run asks again before the change; a dry run never gets there
                if self.dry:
                    self._doubt(host, step, error)
            except NotAsked as error:
                untold.setdefault(error.what, (step.title, error))
            except HostError as error:
                error.hint = error.hint or step.hint
                self._set_aside(host, step.title, error)
        for title, unknown in untold.values():
            self._set_aside(host, title, unknown)

    def _steps(self, host: Host, subjects: Iterable[Subject]) -> list[Step]:
        return [step for subject in subjects for step in subject(self.cluster, host)]

    def _plan(self, host: Host, subjects: Iterable[Subject]) -> None:
        for step in self._steps(host, subjects):
            if step.only_told:
                self._tell(host, step)
            elif step.close:
                with self._failing(host, step.title, step.hint):
                    self._plan_step(host, step)

    def _plan_step(self, host: Host, step: Step) -> None:
        """What several passes would see to is told once."""
        try:
            gap = step.gap(self.cluster.facts(host))
        except (Silent, NotAsked) as error:
            if self._is_new(host, step, error.what):
                self.unknown += 1
                self._doubt(host, step, error)
            return
        if gap and self._is_new(host, step, gap):
            self.planned += 1
            now = "" if _sign(gap) == "+" else f"  (now: {gap})"
            self._warn(host, step)
            self.report.say(host.name, _sign(gap), step.title + now)

    def _bring_all(self, hosts: list[Host], subjects: Sequence[Subject], how: Pass) -> None:
        """Hosts where nothing was missing are looked at once more if that was found before we had a lock."""
        failed = len(self.failures)
        self._each(hosts, lambda host: self._bring(host, subjects), how)
        self._stop_rolling(how, failed)
        if self._anew:
            since = min(self._anew.values())
            old = [host for host in self._going(hosts) if host.name not in self._anew]
            self._each(old, lambda host: self._look_anew(host, since))
            self._stop_rolling(how, failed)
            self._each(self._going(old), lambda host: self._bring(host, subjects), how)
            self._stop_rolling(how, failed)
        if self._busy:
            raise Stop("the rest waits for that run: run the same command again after it")

    def _stop_rolling(self, how: Pass, failed: int) -> None:
        if how.rolling and self.failures[failed:]:
            raise Stop(f"{self.failures[failed].host} failed: no other host is begun after it")

    def _bring(self, host: Host, subjects: Sequence[Subject]) -> None:
        """Step by step; starts over once the locks are ours, since what held before may not hold any more."""
        again = True
        while again:
            again = False
            for step in self._steps(host, subjects):
                with self._failing(host, step.title, step.hint):
                    again = self._step(host, step)
                if again or not self._going([host]):
                    break

    def _step(self, host: Host, step: Step) -> bool:
        """Brings one state about. True where it has not, since the facts were older than the lock: start over."""
        if step.only_told:
            self._tell(host, step)
            return False
        if step.anew or (step.follows and self._anew):
            self._look_again(host, step, self.cluster.clock())
        if not (gap := self._gap(host, step)):
            return False
        if step.close and self._locked_anew(host):
            return True
        if step.doubted:
            self._ask_cluster()
        if (step.close or not step.within) and not (gap := self._firm_gap(host, step)):
            return False
        asked = self._change(host, step, step.close, gap) if step.close else self.cluster.clock()
        self._prove(host, step, asked)
        self.report.came_true(host.name, step.title, _sign(gap) if step.close else "·")
        return False

    def _change(self, host: Host, step: Step, close: Close, gap: str) -> float:
        """Makes the step's one change, then looks at what it has changed. Returns when that look began."""
        self._warn(host, step)
        tell = partial(self.report.running, host.name, step.title, again=step.again)
        tell("" if _sign(gap) == "+" else gap)
        self._locks.check([*self.cluster.masters, host])
        close(host.during(step.title, tell, step.again))
        asked = self.cluster.clock()
        self._look_again(host, step, asked)
        return asked

    def _tell(self, host: Host, step: Step) -> None:
        """Shows a notice, once a run. Silence is waited out first, and fails no host."""
        if not self.dry:
            with suppress(HostError):
                self._firm_gap(host, step)
        if (gap := self._told_gap(host, step, silence=True)) and self._is_new(host, step, gap):
            self.report.say(host.name, "!", f"expected: {step.title}; found: {gap}; what to do: {step.hint}")

    def _is_new(self, host: Host, step: Step, gap: str) -> bool:
        """Whether this is to be shown for the first time. From now on it is not."""
        told = host.name, step.title, gap
        new = told not in self._told
        self._told.add(told)
        return new

    def _doubt(self, host: Host, step: Step, error: HostError) -> None:
        self.report.say(host.name, "!", f"not known whether {step.title}: {error.what}")

    def _warn(self, host: Host, step: Step) -> None:
        if step.warning:
            self.report.say(host.name, "!", step.warning)

    def _locked_anew(self, host: Host) -> bool:
        """Takes the locks before a host's first change. True where its facts were older, and were looked up anew."""
        since = self._lock(host)
        if self._anew.get(host.name, -1.0) >= since:
            return False
        self._look_anew(host, since)
        return True

    def _lock(self, host: Host) -> float:
        """Without the masters' locks the run ends; a host whose own lock is not to be had is set aside.

        Where another run has that lock, nothing is begun after this pass.
        """
        since = self._locks.take(self._masters())
        try:
            return max(since, self._locks.take([host]))
        except HostError:
            raise
        except KubefabError as error:
            self._busy |= isinstance(error, Busy)
            raise HostError(str(error)) from None

    def _masters(self) -> list[Host]:
        """The masters that answer."""
        return [host for host in self.cluster.masters if self.cluster.looked_at(host) and self._answers(host)]

    def _look_anew(self, host: Host, since: float, besides: tuple[str, ...] = ()) -> None:
        """What was found before the lock was ours may have been changed by whoever had it."""
        self.cluster.look(host, since=since, besides=besides)
        self._wait_for_orphan(host)
        if self._masters():
            self._ask_cluster(since)
        self._ask_masters(since, host)
        self._anew[host.name] = since

    def _ask_cluster(self, since: float | None = None, *besides: str) -> None:
        """Brings up to date what is known of the cluster. HostError where nobody can speak for it any more."""
        masters = self._masters()
        if not masters:
            raise HostError("it does not answer", host=self.cluster.speaker.name)
        self.cluster.ask(masters, since, besides)

    def _ask_masters(self, since: float, host: Host) -> None:
        """Brings up to date what several masters, this host among them, say of each other. A silent one has failed.

        This host is looked at last, since it may have to catch up with the others.
        """
        if host.wanted.role != "master" or len(self.cluster.masters) == 1:
            return
        others = [master for master in self._masters() if master.name != host.name]
        self._each(others, lambda master: self.cluster.look(master, OF_MASTERS, since))
        self.cluster.look(host, OF_MASTERS, since)

    def _hear_masters(self, host: Host) -> None:
        """Brings up to date what masters say of each other; one that does not answer has not failed by it."""
        if host.wanted.role == "master" and len(self.cluster.masters) > 1:
            for master in self._masters():
                with suppress(HostError):
                    self.cluster.look(master, OF_MASTERS, self.cluster.clock())

    def _look_again(self, host: Host, step: Step, since: float) -> None:
        """Looks again at all that the step's change touches: the host, the other masters, the cluster."""
        if step.touches == "masters":
            self._ask_masters(since, host)
        if step.parts != ():
            self.cluster.look(host, step.parts, since)
        if step.touches != "host":
            self._ask_cluster(since, *when(step.touches == "pods", *OF_PODS))

    def _prove(self, host: Host, step: Step, asked: float) -> None:
        """Waits until the gap that called for the change is closed; Still where it is not within the step's time.

        A look that another host's wait has made since `asked` will do: each one costs the master a kubectl.
        """

        def progress() -> int:
            return step.progress(self.cluster.facts(host)) if step.progress else 0

        watch = CrashWatch(step.workload, self.cluster.clock)

        def look() -> str | None:
            nonlocal asked
            self._look_again(host, step, asked)
            asked = self.cluster.clock()
            if gap := self._gap(host, step):
                self.report.running(host.name, step.title, gap, again=step.again)
                watch.look(self.cluster.speaker)
            return gap

        gap = self._gap(host, step)
        if gap and step.within:
            pause = HOST_PAUSE if step.touches == "host" else CLUSTER_PAUSE
            gap = self._waiting(step.within, pause, progress).until_none(look)
        elif gap:
            gap = self._firm_gap(host, step)
        if gap:
            raise Still(f"still: {gap}", hint=step.hint)

    def _gap(self, host: Host, step: Step) -> str | None:
        """For telling and for waiting, silence is a gap like any other; for acting see _firm_gap."""
        try:
            return step.gap(self.cluster.facts(host))
        except (Silent, NotAsked) as error:
            return error.what

    def _told_gap(self, host: Host, step: Step, silence: bool) -> str | None:
        """The gap. Where a silent API server would have to tell it: None, or with `silence` that it is not known."""
        try:
            return step.gap(self.cluster.facts(host))
        except Silent as error:
            return f"{NOT_KNOWN}{error.what}" if silence else None
        except HostError as error:  # so that it hides no other gap
            return error.what

    def _firm_gap(self, host: Host, step: Step) -> str | None:
        """The gap for acting or failing. Silence is a reason for neither: it is waited out; Silent where it lasts."""

        def look() -> str | None:
            self._ask_cluster(None, *when(step.touches == "pods", *OF_PODS))
            self._hear_masters(host)
            if step.parts:  # some parts ask the API server, too
                self.cluster.look(host, step.parts)
            return step.gap(self.cluster.facts(host))

        try:
            return step.gap(self.cluster.facts(host))
        except Silent as error:
            self.report.running(host.name, "the API server answers", error.what)
        gap = self._waiting(ANSWER_SECONDS, CLUSTER_PAUSE).until_told(look)
        self.report.waited(host.name)
        return gap

    def _waiting(self, within: float, pause: float, progress: Callable[[], int] = lambda: 0) -> Waiting:
        return Waiting(self.cluster.clock, self.sleep, within, pause, progress)

    def _stop_without_master(self, who: Who) -> None:
        """A run goes on past a failed worker, but not without the master that speaks for the cluster."""
        if who in (Group.ALL, Group.FOUNDER, Group.SPEAKER) and not self._going([self.cluster.speaker]):
            raise Stop(f"{self.cluster.speaker.name} is the master: without it the rest cannot go on")


def _sign(gap: str) -> str:
    """A plan's sign: + where there is nothing of the state yet, ~ where something else is there."""
    return "+" if gap in (MISSING, NO_CLUSTER) else "~"


_ORPHAN_HINT = "log in and see what it waits for; it writes to /run/kubefab/change.log"
