"""Whether the masters back etcd up as hosts.yml says: when they did last, and what is wrong with it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from kubefab.facts import Facts
from kubefab.inventory import Schedule
from kubefab.render import BACKUP_TIMER

SERVICE, TIMER = "kubefab-backup", "kubefab-backup.timer"
GRACE = timedelta(minutes=10)  # for a backup to be made, and clocks that differ
APART = timedelta(minutes=1)  # the clocks of two masters whose timers act at one time


@dataclass(frozen=True)
class Event:
    """When a backup was made, or failed, on which host, and why."""

    time: datetime
    host: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.time:%Y-%m-%d %H:%M:%S} UTC, on {self.host}{self.why and f': {self.why}'}"

    def as_data(self) -> dict[str, Any]:
        return {
            "time": self.time.isoformat(timespec="seconds"),
            "host": self.host,
            **({"why": self.why} if self.why else {}),
        }


@dataclass(frozen=True)
class Kept:
    """What masters say of the backups that they have made, and what hosts.yml says of them."""

    wanted: Schedule
    masters: Mapping[str, Facts]  # those whose word on it was heard
    now: datetime
    unheard: Sequence[str] = ()  # the others: of what they have done nothing is known

    @property
    def success(self) -> Event | None:
        """The last one of all masters, of this cluster."""
        return self._last(
            Event(time, name)
            for name, facts in self.masters.items()
            for time in facts.backups.backups
            if time not in facts.backups.former_backups
        )

    @property
    def failure(self) -> Event | None:
        return self._last(
            Event(datetime.fromtimestamp(facts.backups.backup_failed_at, UTC), name, facts.backups.backup_failed)
            for name, facts in self.masters.items()
            if facts.backups.backup_failed
        )

    def _last(self, events: Iterable[Event]) -> Event | None:
        """What a wrong clock says to be of the future would hide for ever what comes."""
        past = (one for one in events if one.time <= self.now + GRACE)
        return max(past, key=lambda one: one.time, default=None)

    @property
    def told(self) -> list[str]:
        """The last success, and the last failure."""
        every, success, failure = self.wanted.every, self.success, self.failure
        last = f"etcd was backed up last at {success}" if success else "the masters have not backed etcd up yet"
        return [f"{last}; wanted: every {every}", *([f"a backup of etcd failed last at {failure}"] if failure else [])]

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is wrong, and on which host to see why."""
        failure = self.failure
        if failure and self._failed(failure):
            yield f"the last backup of etcd failed: {failure}", failure.host
            return
        for name, facts in self.masters.items():
            if facts.services.unit(SERVICE).active == "failed":
                yield f"{name}: {SERVICE}.service has failed, and could not say why", name
        if self._overdue():
            last = f"the last one is of {self.success}" if self.success else "there is none"
            yield f"no backup of etcd was made when it was due, every {self.wanted.every}: {last}", self._first()

    def _failed(self, failure: Event) -> bool:
        """Whether no master has made one since, or in the same round."""
        success = self.success
        return not success or success.time < failure.time - (APART if success.host != failure.host else timedelta())

    def _overdue(self) -> bool:
        """Of a master that was not heard it may be, and of one whose timer does not run it is told elsewhere."""
        runs = all(facts.services.unit(TIMER).since for facts in self.masters.values())
        timers = [facts.files.mtimes.get(BACKUP_TIMER, 0) for facts in self.masters.values()]  # a boot changes none
        if self.unheard or not runs or not timers or not all(timers):
            return False
        since = datetime.fromtimestamp(max(timers), UTC)
        last = max(since, self.success.time) if self.success else since
        return self.now - last > 2 * self.wanted.interval + GRACE

    def _first(self) -> str:
        return self.success.host if self.success else next(iter(self.masters))

    def as_data(self) -> dict[str, Any]:
        success, failure = self.success, self.failure
        return {
            "every": self.wanted.every,
            "keep": self.wanted.keep,
            "last_success": success.as_data() if success else None,
            "last_failure": failure.as_data() if failure else None,
            "kept": {name: len(facts.backups.backups) for name, facts in self.masters.items()},
        }
