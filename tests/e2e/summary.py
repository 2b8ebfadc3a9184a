"""What the end of a run tells: where the time went, what was measured, what was skipped. Lines out of plain values."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from xml.etree import ElementTree


def suite(nodeid: str) -> str:
    return PurePath(nodeid.partition("::")[0]).stem.removeprefix("test_")


def suites(spent: Iterable[tuple[str, float]]) -> list[str]:
    """Minutes of each suite, the slowest first, and of all; `spent` has the seconds of tests, fixtures and all."""
    seconds: Counter[str] = Counter()
    for nodeid, duration in spent:
        seconds[suite(nodeid)] += duration  # type: ignore[assignment]
    rows = [*seconds.most_common(), ("in all", seconds.total())] if seconds else []
    return [f"{of / 60:5.1f} {name}" for name, of in rows]


def times(measured: Iterable[tuple[str, float, float]]) -> list[str]:
    """What, the seconds that are wanted, and those that it took."""
    return [f"{what}: {took:.3g} s, wanted {wanted:.0f} s" for what, wanted, took in measured]


def skipped(reports: Iterable[tuple[str, object]]) -> list[str]:
    """Each reason once, with how many tests it cost each suite; a report's reason is the last of three."""
    found: Counter[tuple[str, str]] = Counter()
    for nodeid, told in reports:
        reason = str(told[2] if isinstance(told, tuple) else told).removeprefix("Skipped: ")
        found[suite(nodeid), reason] += 1
    return [f"{count} of {name}: {reason}" for (name, reason), count in sorted(found.items())]


def skipped_before(said: str | None) -> Iterable[tuple[str, str]]:
    """Test and reason of what an earlier run has skipped, out of pytest's JUnit file; None: there was no such run."""
    if not said:
        return
    if not Path(said).exists():
        yield "unit", f"nobody knows what: {said} is not there"
        return
    for case in ElementTree.parse(said).iter("testcase"):
        for one in case.iter("skipped"):
            yield f"{case.get('classname', '').replace('.', '/')}.py", one.get("message", "")
