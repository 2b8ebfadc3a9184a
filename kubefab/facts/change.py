"""Who is at work on a host: a change that goes on, a run that has its lock."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each, seconds


@dataclass(frozen=True)
class Change:
    """A change that an earlier run began and that still goes on; `since` in seconds of the epoch.

    One of the cluster that is made by way of this machine says what it is `about`: "drain client".
    """

    title: str
    since: float
    about: str = ""

    @classmethod
    def read(cls, said: str) -> "Change":
        """One that took its lock just now may not have said yet what it is."""
        since, _, what = said.partition(" ")
        about, of_cluster, title = what.partition("|")
        return cls((title if of_cluster else what) or "a change", seconds(since), about if of_cluster else "")


@dataclass(frozen=True)
class Work(Part):
    changes: tuple[Change, ...] = each("change")
    run: Change | None = None  # who has the lock here; its title is the holder

    @property
    def going_on(self) -> Change | None:
        """The one of this machine, beside which no other is begun."""
        return next((change for change in self.changes if not change.about), None)
