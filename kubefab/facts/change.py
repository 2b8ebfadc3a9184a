"""Who is at work on a host: a change that goes on, a run that has its lock."""

from dataclasses import dataclass, field

from kubefab.facts.part import Part, seconds


@dataclass(frozen=True)
class Change:
    """A change that an earlier run began and that still goes on; `since` in seconds of the epoch."""

    title: str
    since: float

    @classmethod
    def read(cls, said: str) -> "Change":
        """One that took its lock just now may not have said yet what it is."""
        since, _, title = said.partition(" ")
        return cls(title or "a change", seconds(since))


@dataclass(frozen=True)
class Work(Part):
    going_on: Change | None = field(default=None, metadata={"line": "change"})
    run: Change | None = None  # who has the lock here; its title is the holder
