"""`make bench`: everybody in one run, by turns, on fresh machines; a table of medians at its end."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import contestants, scene
from bench.contestants import ALL, INV, Contestant, Stage
from bench.race import ROOT, BenchError, Race
from kubefab import inventory
from kubefab.errors import KubefabError
from kubefab.inventory import Inventory

AGAIN = 3  # times that kubefab does nothing in each run: it is short, and noise is not
LONGEST = 8  # steps that the closing list has


@dataclass
class Score:
    """What one contestant's runs came to."""

    who: Contestant
    races: list[Race] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    trips: list[dict[str, int]] = field(default_factory=list)
    trips_again: list[dict[str, int]] = field(default_factory=list)
    restless: bool = False  # a second run found something to change

    def median(self, measure: Callable[[Race], float]) -> float:
        return statistics.median(map(measure, self.races))

    def to_init(self, race: Race) -> float:
        return race.begin(self.who.init)

    def init(self, race: Race) -> float:
        return race.seconds(self.who.init)

    def join(self, race: Race) -> float:
        return race.seconds(self.who.join)


def main() -> None:
    options = arguments()
    try:
        wanted = inventory.load(Path(os.environ.get("INV_HOSTS", ROOT / "hosts.yml")))
        began = computer()
        scores = compete(wanted, [who for who in ALL if who.name in options.only], options.runs)
    except (BenchError, KubefabError, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}\n{getattr(error, 'stderr', None) or ''}")
    text = report(scores, began)
    print(text)
    if options.write:
        (ROOT / "docs/bench.md").write_text(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = [who.name for who in ALL]
    parser.add_argument("--runs", type=int, default=3, help="of each contestant (default: 3)")
    parser.add_argument("--only", action="append", choices=names, help="this contestant (may be repeated)")
    parser.add_argument("--write", action="store_true", help="write the table to docs/bench.md too")
    options = parser.parse_args()
    options.only = options.only or names
    return options


def computer() -> str:
    load = os.getloadavg()[0]
    return f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, load {load:.1f} when it began"


def compete(wanted: Inventory, everybody: Sequence[Contestant], runs: int) -> list[Score]:
    """Each run has another one going first, so that nobody has the better times of day."""
    scores = {who.name: Score(who) for who in everybody}
    kept = Path(tempfile.mkdtemp(prefix="kubefab-bench-"))
    print(f"what everybody is given, and says: {kept}")
    for number in range(runs):
        turn = number % len(everybody)
        for who in (*everybody[turn:], *everybody[:turn]):
            print(f"run {number + 1} of {runs}, {who.name}: ", end="", flush=True)
            one_run(wanted, scores[who.name], kept / f"{number + 1}-{who.name.replace(' ', '-')}")
    return list(scores.values())


def one_run(wanted: Inventory, score: Score, folder: Path) -> None:
    folder.mkdir()
    stage = Stage(wanted, folder)
    contestants.fresh(wanted, stage.env)
    scene.prepare(folder, wanted)
    score.who.get_ready(stage)
    race = score.who.up(stage)
    contestants.check_cluster(stage)
    score.races.append(race)
    score.trips.append(contestants.round_trips(stage))
    print(f"{race.total:.1f} s, kubeadm init at {score.to_init(race):.1f} s", end="", flush=True)
    run_again(stage, score)
    print(flush=True)


def run_again(stage: Stage, score: Score) -> None:
    """The same once more, with nothing to do. By hand there is nobody who would."""
    if score.who.name == "by hand":
        return
    for _ in range(AGAIN if score.who.name == "kubefab" else 1):
        race = score.who.up(stage)
        score.again.append(race.total)
        score.restless |= not contestants.nothing_changed(race.lines)
        score.trips_again.append(contestants.round_trips(stage))
    print(f", again: {statistics.median(score.again):.2f} s", end="", flush=True)


def report(scores: Sequence[Score], began: str) -> str:
    ours = next((score for score in scores if score.who.name == "kubefab"), None)
    theirs = next((score for score in scores if score.who.name == "by hand"), None)
    lines = ["# kubefab beside its peers", "", intro(scores, began), "", *table(scores), *doubts(scores)]
    if ours and theirs:
        lines += ["", *ratios(ours, theirs)]
    if ours:
        lines += ["", *idle(ours), "", "Where kubefab's time went, by the seconds from a step's begin to its proof:"]
        lines += ["", *longest(ours)]
    lines += ["", "Every run, from fresh machines to the end:", "", *singles(scores), ""]
    return "\n".join(lines)


def intro(scores: Sequence[Score], began: str) -> str:
    runs = len(scores[0].races)
    return f"Medians of {runs} run{'s' * (runs > 1)} each, by turns, on the lab's machines; {began}."


def table(scores: Sequence[Score]) -> list[str]:
    rows: list[tuple[str, Callable[[Score], str]]] = [
        ("start to `kubeadm init`", lambda score: seconds(score.median(score.to_init))),
        ("`kubeadm init`", lambda score: seconds(score.median(score.init))),
        ("join", lambda score: seconds(score.median(score.join))),
        ("**all, until every node is Ready and CoreDNS out**", lambda score: seconds(score.median(_total))),
        (
            "the same again, nothing to do",
            lambda score: f"{statistics.median(score.again):.2f} s" if score.again else "",
        ),
    ]
    head = ["", *(score.who.name for score in scores)]
    body = [[name, *(cell(score) for score in scores)] for name, cell in rows]
    return markdown([head, ["---", *("---:" for _ in scores)], *body])


def doubts(scores: Sequence[Score]) -> list[str]:
    return [
        f"\n{score.who.name} was not idle the second time: it changed something." for score in scores if score.restless
    ]


def ratios(ours: Score, theirs: Score) -> list[str]:
    total = ours.median(_total) / theirs.median(_total)
    to_init = ours.median(ours.to_init) / theirs.median(theirs.to_init)
    return [
        f"- All of it: {total:.2f} of the time by hand (to reach: at most 0.85).",
        f"- Start to `kubeadm init`: {to_init:.2f} of the time by hand (to reach: at most 1.10).",
    ]


def idle(ours: Score) -> list[str]:
    start = statistics.median(python_start() for _ in range(AGAIN))
    return [
        f"- Nothing to do: {statistics.median(ours.again):.2f} s (to reach: at most 0.70), "
        f"of which {start:.2f} s are Python's start and imports (`inv --list`).",
        f"- Round trips by host with nothing to do: {trips(ours.trips_again)} (to reach: at most 3).",
        f"- Round trips by host from fresh: {trips(ours.trips)}.",
    ]


def python_start() -> float:
    began = time.monotonic()
    subprocess.run([INV, "--list"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def trips(found: Iterable[dict[str, int]]) -> str:
    counts: dict[str, list[int]] = {}
    for one in found:
        for host, count in one.items():
            counts.setdefault(host, []).append(count)
    return ", ".join(f"{host} {statistics.median(each):g}" for host, each in counts.items()) or "not in its log"


def longest(score: Score) -> list[str]:
    titles = {span.title for race in score.races for span in race.spans}
    medians = {title: statistics.median(slowest(race, title) for race in score.races) for title in titles}
    first = sorted(medians, key=lambda title: -medians[title])[:LONGEST]
    return markdown(
        [["step (its slowest host)", ""], ["---", "---:"], *([one, seconds(medians[one])] for one in first)]
    )


def slowest(race: Race, title: str) -> float:
    return max((span.seconds for span in race.spans if span.title == title), default=0)


def singles(scores: Sequence[Score]) -> list[str]:
    return [f"- {score.who.name}: {', '.join(seconds(race.total) for race in score.races)}" for score in scores]


def seconds(number: float) -> str:
    return f"{number:.1f} s"


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in rows]


def _total(race: Race) -> float:
    return race.total


if __name__ == "__main__":
    main()
