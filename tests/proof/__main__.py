"""`make proof`: each suite that is stale, in a pytest of its own; docs/proof.md has at once what came of it.

What the suite measured stands there, too.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

from lab.versions import VERSIONS
from tests.proof.suites import ROOT, Row, Suite, digest, git, read, stale, suites, why_stale, written

PAGE = ROOT / "docs/proof.md"
LOGS = ROOT / ".proof"
SUITE_MINUTES = 30
ALL_MINUTES = 180
FAREWELL = 60  # seconds that a suite has to take away what it began


def main(words: Sequence[str]) -> int:
    """0 where no proof is left to be done, 1 where one is; 2 for what cannot be understood."""
    asked = arguments().parse_args(words)
    rows = read(PAGE.read_text())
    if asked.stale:
        tell_stale(stale(rows))
        return 0
    chosen = named(asked.suite) or list(stale(rows))
    ends = time.monotonic() + 60 * ALL_MINUTES
    if chosen:
        build(chosen)
    left = not_begun(chosen, rows, ends)
    for suite in left:
        print(f"{suite.name}: not begun, {ALL_MINUTES} minutes are over; make proof again goes on here")
    return int(bool(left or any(why_stale(suite, read(PAGE.read_text()).get(suite.name)) for suite in chosen)))


def build(chosen: Sequence[Suite]) -> None:
    """What the lab serves, before any suite's time runs. Why it cannot be built here, each suite says."""
    LOGS.mkdir(exist_ok=True)
    older = VERSIONS if any("upgrade" in suite.name for suite in chosen) else ()
    options = ["--everything", *(word for version in older for word in ("--kubernetes", version))]
    subprocess.run([Path(sys.executable).with_name("inv"), "lab.up", *options], cwd=ROOT, check=False)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__)
    parser.add_argument("--stale", action="store_true", help="only list the suites whose proof does not hold, and why")
    parser.add_argument("--suite", action="append", default=[], help="this one only, though its proof may hold")
    return parser


def named(names: Iterable[str]) -> list[Suite]:
    """Suites by their names; the program ends where there is no such suite."""
    known = {suite.name: suite for suite in suites()}
    if strange := [name for name in names if name not in known]:
        arguments().error(f"no suite {', '.join(strange)}; there are: {', '.join(known)}")
    return [known[name] for name in names]


def tell_stale(found: dict[Suite, str]) -> None:
    for suite, reason in found.items():
        print(f"{suite.name}: {reason}")
    if not found:
        print("every proof holds")


def not_begun(chosen: Sequence[Suite], rows: dict[str, Row], ends: float) -> list[Suite]:
    """Proves one after the other; those for which the time is too short, by the monotonic clock, are given back."""
    left = []
    for suite in chosen:
        usual = float(rows[suite.name].minutes) if suite.name in rows else SUITE_MINUTES
        if time.monotonic() + 60 * usual > ends:
            left.append(suite)
        else:
            record(prove(suite, min(60 * SUITE_MINUTES, ends - time.monotonic())))
    return left


def prove(suite: Suite, seconds: float) -> Row:
    """Runs one suite for that long at most. The files are those that were there when it began."""
    log, outcome = LOGS / f"{suite.name}.log", LOGS / f"{suite.name}.xml"
    outcome.unlink(missing_ok=True)
    print(f"{suite.name}: begun; to look on: tail -f {log.relative_to(ROOT)}", flush=True)
    files, commit, began = digest(suite), git(ROOT, "rev-parse", "--short", "HEAD")[0], time.monotonic()
    in_time = run(suite, log, outcome, seconds)
    result = summary(outcome) if in_time else f"failed: too long, ended after {seconds / 60:.0f} minutes"
    minutes = f"{(time.monotonic() - began) / 60:.1f}"
    print(f"{suite.name}: {result} ({minutes} minutes)", flush=True)
    return Row(
        suite.name,
        result,
        minutes,
        date.today().isoformat(),
        commit,
        files,
        figures=figures(outcome) if in_time else (),
    )


def run(suite: Suite, log: Path, outcome: Path, seconds: float) -> bool:
    """Whether pytest came to its end by itself. Whoever interrupts us interrupts it."""
    # A caller in the background ignores interrupts, and would hand that down.
    command = ["env", "--default-signal", sys.executable, "-m", "pytest", str(suite.path)]
    # What many tests share may take longer to make than pytest lets one test take.
    command += [f"--junit-xml={outcome}", "--durations=10", f"--override-ini=faulthandler_timeout={seconds:.0f}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, stdin=-3, start_new_session=True
        )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    finally:
        end(process)
    return True


def end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupts it, so that it takes away what it began; kills it where it does not end."""
    for how in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
            wait_for(process)


def wait_for(process: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(FAREWELL)


def summary(outcome: Path) -> str:
    """The result in one line, out of pytest's JUnit file."""
    if not outcome.exists():
        return "failed: pytest itself did not come to its end"
    cases = list(ElementTree.parse(outcome).iter("testcase"))
    bad = [case.get("name", "") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    if bad or not cases:
        return f"failed: {', '.join(dict.fromkeys(bad)) or 'it has no tests'}"
    if not skipped:
        return "passed"
    reasons = "; ".join(dict.fromkeys(reason(case) for case in skipped))
    return f"skipped: {reasons}" if len(skipped) == len(cases) else f"passed, {len(skipped)} skipped: {reasons}"


def reason(case: ElementTree.Element) -> str:
    """Why a test was skipped."""
    told = case.find("skipped")
    assert told is not None
    return cell(told.get("message", ""))


def figures(outcome: Path) -> tuple[str, ...]:
    """What the suite has measured and counted, as tests/proof/conftest.py has put it into pytest's JUnit file."""
    if not outcome.exists():
        return ()
    told = ElementTree.parse(outcome).iterfind(".//property[@name='figure']")
    return tuple(cell(one.get("value", "")) for one in told)


def cell(text: str) -> str:
    """A text as a cell of a table can have it."""
    return text.replace("|", "/").replace("\n", " ")


def record(row: Row) -> None:
    """Its row is the suite's only one; the page is never half written."""
    text = PAGE.read_text()
    there = {suite.name for suite in suites()}
    rows = {name: old for name, old in read(text).items() if name in there} | {row.suite: row}
    new = PAGE.with_suffix(".new")
    new.write_text(written(text, rows.values()))
    shutil.move(new, PAGE)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted; docs/proof.md has what was done, and make proof again goes on from there")
