"""How long all of it still takes: by the usual times of its parts, and by how fast this computer has been so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

USUAL = 10.0


@dataclass(frozen=True)
class Work:
    """`seconds`: what it usually takes. It begins after the works named in `after`; compilations take turns."""

    name: str
    seconds: float
    after: Sequence[str] = ()
    compiles: bool = False
    about: str = ""


def left(works: Sequence[Work], running: Mapping[str, float], done: Mapping[str, float]) -> float:
    """Seconds until the last of them is done.

    Args:
        works: all of them, each after those that it comes after.
        running: seconds since each began that has not ended.
        done: seconds that each took that has ended.
    """
    slowness = pace(works, running, done)
    return span(works, {work.name: rest(work, slowness, running, done) for work in works})


def pace(works: Sequence[Work], running: Mapping[str, float], done: Mapping[str, float]) -> float:
    """How many times slower than usual this computer is; what is overdue by that tells more before it is done."""
    usually = {work.name: work.seconds for work in works}
    slowness = ratio(done, usually)
    overdue = {name: spent for name, spent in running.items() if spent > usually[name] * slowness}
    return ratio({**done, **overdue}, usually)


def ratio(spent: Mapping[str, float], usually: Mapping[str, float]) -> float:
    """A short work tells little: to its seconds come as many as usual."""
    return (sum(spent.values()) + USUAL) / (sum(usually[name] for name in spent) + USUAL)


def rest(work: Work, slowness: float, running: Mapping[str, float], done: Mapping[str, float]) -> float:
    """Nothing that runs is told to be over: a twentieth of it is always still to come."""
    if work.name in done:
        return 0
    whole = work.seconds * slowness
    return max(whole - running.get(work.name, 0), whole / 20)


def span(works: Sequence[Work], seconds: Mapping[str, float]) -> float:
    """From the first beginning to the last end, if each takes so many seconds from when it can begin."""
    ends: dict[str, float] = {}
    compiler = 0.0
    for work in works:
        begins = max([ends.get(name, 0) for name in work.after] + [compiler if work.compiles else 0])
        ends[work.name] = begins + seconds[work.name]
        compiler = ends[work.name] if work.compiles else compiler
    return max(ends.values(), default=0)
