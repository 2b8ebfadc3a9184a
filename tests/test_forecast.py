"""How long it still takes to make the lab's parts, and how that is told."""

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lab import containers, forecast, requirements
from lab import lab as whole
from lab.forecast import Work
from lab.origin import SOURCE, Origin
from lab.parts import Part
from lab.report import Report

GO = Work("go", 10)
KUBERNETES = Work("kubernetes", 300, ["go"], compiles=True)
ETCD = Work("etcd", 30, ["go"], compiles=True)
MACHINE = Work("machine", 60)
IMAGES = Work("images", 10, ["kubernetes", "etcd", "machine"])
ALL = [GO, ETCD, KUBERNETES, MACHINE, IMAGES]


def test_compilations_take_turns_and_everything_else_goes_on_beside_them() -> None:
    assert forecast.left(ALL, {}, {}) == 10 + 30 + 300 + 10
    assert forecast.left([GO, ETCD, MACHINE], {}, {}) == 60


def test_what_is_done_and_what_has_been_spent_is_no_longer_to_come() -> None:
    assert forecast.left(ALL, {"kubernetes": 100, "machine": 40}, {"go": 10, "etcd": 30}) == 200 + 10


def test_a_slow_computer_is_believed_by_what_it_has_done() -> None:
    slow = forecast.left(ALL, {}, {"go": 20, "etcd": 60})
    assert 1.6 * (300 + 10) < slow < 2 * (300 + 10)
    assert forecast.left(ALL, {}, {"go": 20, "etcd": 60, "machine": 120}) > slow
    assert forecast.left(ALL, {}, {"go": 5, "etcd": 15}) < 0.8 * (300 + 10)


def test_a_second_that_took_eight_makes_no_hour_of_ten_minutes() -> None:
    assert forecast.left([Work("registry", 3), *ALL], {}, {"registry": 23}) < 3 * forecast.left(ALL, {}, {})


def test_what_takes_longer_than_usual_tells_it_before_it_is_done() -> None:
    before = forecast.left(ALL, {"kubernetes": 300}, {"go": 10, "etcd": 30, "machine": 60})
    assert forecast.left(ALL, {"kubernetes": 600}, {"go": 10, "etcd": 30, "machine": 60}) > before


def test_nothing_is_told_to_be_over_before_it_is() -> None:
    assert forecast.left([ETCD], {"etcd": 3000}, {}) > 60
    assert forecast.left(ALL, {}, {work.name: 1 for work in ALL}) == 0
    assert forecast.left([], {}, {}) == 0


@pytest.mark.parametrize("times", [0.5, 1, 3])
def test_a_computer_of_one_pace_is_told_the_truth_all_the_way(times: float) -> None:
    """Each moment of a run in which all takes `times` as long as usual, once two have ended."""
    took = {work.name: work.seconds * times for work in ALL}
    end = forecast.span(ALL, took)
    begins = {"go": 0, "etcd": 10 * times, "kubernetes": 40 * times, "machine": 0, "images": 340 * times}
    for now in range(int(40 * times), int(end)):
        done = {name: took[name] for name, began in begins.items() if began + took[name] <= now}
        running = {name: now - began for name, began in begins.items() if began <= now and name not in done}
        assert forecast.left(ALL, running, done) == pytest.approx(end - now, abs=end / 5)


# How it is told


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_report(clock: Clock, terminal: bool) -> tuple[Report, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=80, color_system=None, soft_wrap=True)
    report = Report(console, clock)
    report.expect([Work("etcd", 60, about="etcd 3"), Work("kubernetes", 300, ["etcd"], about="kubernetes 1")])
    return report, file


def test_through_a_pipe_each_part_has_a_line_at_both_its_ends_with_the_minutes_left() -> None:
    clock = Clock()
    report, file = a_report(clock, terminal=False)
    for work in report.works:
        with report.live, report.making(work):
            clock.now += 120
            report.remind()
    assert file.getvalue().splitlines() == [
        "etcd 3: usually 1 min 0 s",
        "about 9 min left in all: etcd 3",
        "etcd 3: done in 2 min 0 s; about 9 min left in all",
        "kubernetes 1: usually 5 min 0 s",
        "about 7 min left in all: kubernetes 1",
        "kubernetes 1: done in 2 min 0 s",
    ]


def test_a_terminal_of_80_columns_has_one_bar_for_all_and_the_part_that_is_being_made() -> None:
    clock = Clock()
    report, _ = a_report(clock, terminal=True)
    with report.making(report.works[0]):
        clock.now = 60
    with report.making(report.works[1]):
        clock.now = 120
        with report.console.capture() as seen:
            report.console.print(report.view())
    bar, row = seen.get().splitlines()
    assert bar == "━━━━━━━━━━                     1 of 2 parts made, about 4 min left in all"
    assert row[1:] == " kubernetes 1: 1 min 0 s of about 5 min 0 s"


def test_debian_packages_come_before_all_that_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = {"no-such-program": "some-package"}
    report, file = a_report(Clock(), terminal=False)
    monkeypatch.setattr(requirements, "FILES", {})
    compiled = [replace(work, compiles=True) for work in report.works]
    report.expected = {work.name: work for work in (*requirements.works(wanted), *compiled)}
    assert report.seconds_left() == 60 + 60 + 300
    monkeypatch.setattr(requirements, "apt_install", lambda log, names: wanted.clear())
    monkeypatch.setattr(requirements, "run", lambda *argv: "")
    requirements.install(report, tmp_path / "apt.log", wanted)
    assert "installing Debian packages: some-package" in file.getvalue()
    assert report.seconds_left() < 60 + 300
    before = file.getvalue()
    requirements.install(report, tmp_path / "apt.log", wanted)
    assert file.getvalue() == before


def test_a_part_that_fails_is_not_told_to_be_made() -> None:
    report, file = a_report(Clock(), terminal=False)
    with pytest.raises(OSError, match="full"), report.making(report.works[0]):
        raise OSError("full")
    assert "done" not in file.getvalue()
    assert (report.running(), report.took) == ({}, {})


def test_what_podman_takes_in_last_is_in_the_minutes_left_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = a_report(Clock(), terminal=True)
    report.expected = {}
    left: list[tuple[float, bool]] = []

    def note(*_: object) -> list[Part]:
        left.append((report.seconds_left(), report.live.is_started))
        return []

    monkeypatch.setattr(whole, "origin", lambda *_: Origin(SOURCE, "for the test"))
    monkeypatch.setattr(whole.stacks, "parts", lambda *_: [])
    for name in ("missing", "works", "install"):
        monkeypatch.setattr(whole.requirements, name, lambda *_: [])
    monkeypatch.setattr(whole.powercut, "tell_podman", lambda: None)
    monkeypatch.setattr(whole.ways_in, "ensure_key", lambda: None)
    monkeypatch.setattr(containers, "attempt", lambda *words: subprocess.CompletedProcess(words, 1))
    monkeypatch.setattr(whole.parts, "make_missing", note)
    monkeypatch.setattr(containers, "import_image", note)
    whole.prepare(report, "")
    assert [shown for _, shown in left] == [True, True]
    assert left[0][0] == 11
    assert report.seconds_left() == 0
