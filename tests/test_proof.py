"""make proof: which suites are stale and why, and what of a run is written down."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab.versions import VERSIONS
from tests.proof import __main__ as proof
from tests.proof.suites import ROOT, Row, Suite, covers, digest, files, read, stale, suites, why_stale, written

ROW = Row("one", "passed", "3.2", "2026-11-25", "d55bcdf", "0123456789ab")
ONE = Suite("one", ("src/*.py", "run.sh"))
PAGE = """\
# Above

| suite | result | minutes | date | commit | files |
| --- | --- | ---: | --- | --- | --- |
| one | passed | 3.2 | 2026-11-25 | d55bcdf | 0123456789ab |

Below
"""


# --- the table


def test_a_row_is_read_as_it_was_written() -> None:
    assert read(PAGE) == {"one": ROW}
    assert written(PAGE, [ROW]) == PAGE


def test_what_stands_around_the_table_stays_and_rows_come_by_name() -> None:
    two, bad = replace(ROW, suite="two"), replace(ROW, suite="a", result=r"failed: a \1 in a name")
    page = written(PAGE, [two, bad, ROW])
    assert page.startswith("# Above\n")
    assert page.endswith("|\n\nBelow\n")
    assert list(read(page).values()) == [bad, ROW, two]


def test_a_page_without_a_row_has_none_and_takes_one() -> None:
    empty = written(PAGE, [])
    assert read(empty) == {}
    assert written(empty, [ROW]) == PAGE


FIGURES = ("a: b, power: 2.31 s, wanted 3 s", "482 writes acknowledged, 0 of them lost")
MEASURED = """\

Measured by these runs:

| suite | figure | commit |
| --- | --- | --- |
| one | a: b, power: 2.31 s, wanted 3 s | d55bcdf |
| one | 482 writes acknowledged, 0 of them lost | d55bcdf |
"""


def test_what_a_run_has_measured_stands_below_the_table_and_is_read_again() -> None:
    row = replace(ROW, figures=FIGURES)
    page = written(PAGE, [row])
    assert page == PAGE.replace("\nBelow", f"{MEASURED}\nBelow")
    assert read(page) == {"one": row}
    assert written(page, [row]) == page


def test_the_next_runs_figures_take_the_place_of_those_before_and_others_stay() -> None:
    two = replace(ROW, suite="two", figures=("a gap: 4 s, wanted 3 s",))
    page = written(written(PAGE, [two, replace(ROW, figures=FIGURES)]), [replace(ROW, commit="e9cba1e"), two])
    assert read(page) == {"one": replace(ROW, commit="e9cba1e"), "two": two}
    assert written(page, [ROW]) == PAGE


# --- what is stale


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A work tree with one suite and the files that it proves, all committed."""
    for name, text in (
        ("src/a.py", "a"),
        ("src/deep/b.py", "b"),
        ("run.sh", ""),
        (".gitignore", "src/made.py"),
        ("tests/proof/test_one.py", f"COVERS = {ONE.covers!r}\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=one")
    return tmp_path


def git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", root, *words], check=True, text=True, capture_output=True).stdout.strip()


def proven(checkout: Path) -> Row:
    return replace(ROW, commit=git(checkout, "rev-parse", "--short", "HEAD"), files=digest(ONE, checkout))


def test_the_files_of_a_suite_are_those_of_its_globs_and_itself(checkout: Path) -> None:
    (checkout / "src/made.py").write_text("git ignores it")
    (checkout / "src/new.py").write_text("not committed yet")
    assert files(ONE, checkout) == ["run.sh", "src/a.py", "src/new.py", "tests/proof/test_one.py"]


def test_a_proof_holds_while_its_files_have_the_same_contents(checkout: Path) -> None:
    row = proven(checkout)
    (checkout / "src/deep/b.py").write_text("none of its files")
    (checkout / "src/a.py").touch()
    assert why_stale(ONE, row, checkout) == ""
    assert stale({"one": row}, checkout) == {}


@pytest.mark.parametrize("name", ["src/a.py", "src/new.py", "tests/proof/test_one.py"])
def test_a_proof_is_stale_when_a_file_is_another_and_it_is_named(checkout: Path, name: str) -> None:
    row = proven(checkout)
    with (checkout / name).open("a") as file:
        file.write("# more\n")
    assert why_stale(ONE, row, checkout) == f"changed since {row.commit}: {name}"


def test_a_proof_is_stale_when_a_file_is_gone(checkout: Path) -> None:
    row = proven(checkout)
    (checkout / "run.sh").unlink()
    assert why_stale(ONE, row, checkout) == f"changed since {row.commit}: run.sh"


def test_a_proof_at_a_commit_that_is_not_here_is_stale_all_the_same(checkout: Path) -> None:
    row = replace(proven(checkout), commit="0123456", files="another")
    assert why_stale(ONE, row, checkout) == "changed since 0123456: its files"


def test_what_did_not_pass_or_was_never_run_is_stale(checkout: Path) -> None:
    failed = replace(proven(checkout), result="failed: test_x")
    assert why_stale(ONE, failed, checkout) == "failed: test_x"
    assert stale({}, checkout) == {ONE: "never run"}


def test_a_suite_that_does_not_say_what_it_covers_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("def test_y(): pass\n")
    with pytest.raises(LookupError, match=r"test_x\.py does not say which files it proves"):
        covers(tmp_path / "test_x.py")


@pytest.mark.parametrize("suite", suites(), ids=lambda suite: suite.name)
def test_every_glob_of_every_suite_matches_a_file(suite: Suite) -> None:
    there = {glob: files(Suite(suite.name, (glob,))) for glob in suite.covers}
    assert [glob for glob, names in there.items() if len(names) < 2] == [], "the suite itself is one"


# --- a run


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page and a folder for the logs; the suites are `one` and `two`, both never run, and pytest is a shell."""
    (tmp_path / "proof.md").write_text(written(PAGE, []))
    both = [ONE, replace(ONE, name="two")]
    monkeypatch.setattr(proof, "PAGE", tmp_path / "proof.md")
    monkeypatch.setattr(proof, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(proof, "build", lambda chosen: None)
    monkeypatch.setattr(proof, "suites", lambda: both)
    monkeypatch.setattr(proof, "stale", lambda rows: {s: "never run" for s in both if s.name not in rows})
    return tmp_path


def fake(monkeypatch: pytest.MonkeyPatch, *ends: str | BaseException) -> None:
    """Suites that end so, one after the other."""
    told = iter(ends)

    def prove(suite: Suite, seconds: float) -> Row:
        result = next(told)
        if isinstance(result, BaseException):
            raise result
        return replace(ROW, suite=suite.name, result=result, files=digest(suite))

    monkeypatch.setattr(proof, "prove", prove)


def results(desk: Path) -> dict[str, str]:
    return {name: row.result for name, row in read((desk / "proof.md").read_text()).items()}


def test_every_stale_suite_is_run_and_written_down(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "failed: test_x", "passed")
    assert proof.main([]) == 1
    assert results(desk) == {"one": "failed: test_x", "two": "passed"}


def test_an_interrupt_leaves_what_was_done_and_the_next_run_goes_on(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "passed", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        proof.main([])
    assert results(desk) == {"one": "passed"}
    fake(monkeypatch, "passed")
    assert proof.main([]) == 0
    assert results(desk) == {"one": "passed", "two": "passed"}


def test_a_suite_that_was_asked_for_is_run_though_its_proof_holds(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "passed", "failed: test_x")
    assert proof.main(["--suite", "two"]) == 0
    assert proof.main(["--suite", "two"]) == 1
    assert results(desk) == {"two": "failed: test_x"}


def test_a_suite_that_is_not_there_is_told_with_those_that_are(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        proof.main(["--suite", "three"])
    assert "no suite three; there are: one, two" in capsys.readouterr().err


def test_stale_lists_and_runs_nothing(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert proof.main(["--stale"]) == 0
    assert capsys.readouterr().out == "one: never run\ntwo: never run\n"


def test_a_suite_for_which_the_time_is_too_short_is_not_begun(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "ALL_MINUTES", proof.SUITE_MINUTES - 1)
    assert proof.main([]) == 1
    assert results(desk) == {}
    assert "one: not begun" in capsys.readouterr().out


def test_what_is_built_first_takes_its_time_of_the_three_hours(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]

    def build(chosen: Sequence[Suite]) -> None:
        clock[0] = 60 * (proof.ALL_MINUTES - proof.SUITE_MINUTES / 2)

    monkeypatch.setattr(proof, "build", build)
    monkeypatch.setattr(proof.time, "monotonic", lambda: clock[0])
    fake(monkeypatch, "passed", "passed")
    assert proof.main([]) == 1
    assert results(desk) == {}
    assert "two: not begun, 180 minutes are over; make proof again goes on here" in capsys.readouterr().out


# --- one suite

OUTCOME = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b">{b}</testcase><testcase name="c">{c}</testcase></testsuite></testsuites>"""
SKIPPED = '<skipped message="no KVM | here"/>'


@pytest.mark.parametrize(
    ("b", "c", "told"),
    [
        ("", "", "passed"),
        (SKIPPED, SKIPPED, "passed, 2 skipped: no KVM / here"),
        (SKIPPED, "<failure/>", "failed: c"),
        ("<error/>", "<failure/>", "failed: b, c"),
    ],
)
def test_the_result_is_told_in_one_line(tmp_path: Path, b: str, c: str, told: str) -> None:
    (tmp_path / "xml").write_text(OUTCOME.format(b=b, c=c))
    assert proof.summary(tmp_path / "xml") == told


def test_a_suite_that_skips_all_of_its_tests_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "xml").write_text(f'<testsuite><testcase name="a">{SKIPPED}</testcase></testsuite>')
    assert proof.summary(tmp_path / "xml") == "skipped: no KVM / here"


def test_a_pytest_that_died_or_found_no_test_has_failed(tmp_path: Path) -> None:
    assert proof.summary(tmp_path / "xml").startswith("failed: pytest")
    (tmp_path / "xml").write_text("<testsuite/>")
    assert proof.summary(tmp_path / "xml") == "failed: it has no tests"


TOLD = """<testsuites><testsuite><properties>
<property name="other" value="x"/><property name="figure" value="a | b: 2 s"/><property name="figure" value="c"/>
</properties></testsuite></testsuites>"""


def test_what_a_run_has_measured_is_read_out_of_its_outcome(tmp_path: Path) -> None:
    assert proof.figures(tmp_path / "xml") == ()
    (tmp_path / "xml").write_text(OUTCOME.format(b="", c=""))
    assert proof.figures(tmp_path / "xml") == ()
    (tmp_path / "xml").write_text(TOLD)
    assert proof.figures(tmp_path / "xml") == ("a / b: 2 s", "c")


def test_what_a_suite_measures_and_counts_comes_into_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what all suites have, tests/proof/conftest.py."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    suite = """
from tests.e2e.harness import COUNTED, MEASURED
from tests.proof.conftest import figures
def test_it():
    MEASURED.append(("no gap", 3, 2.314))
    COUNTED.append("7 writes acknowledged, 0 of them lost")
def test_bad(): assert False
"""
    row = proved(tmp_path, monkeypatch, suite, 60)
    assert row.result == "failed: test_bad"
    assert row.figures == ("no gap: 2.31 s, wanted 3 s", "7 writes acknowledged, 0 of them lost")


def test_a_suite_is_run_by_a_pytest_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = proved(tmp_path, monkeypatch, "def test_it(): print('hello')\ndef test_bad(): assert False", 60)
    assert (row.suite, row.result) == ("one", "failed: test_bad")
    assert "1 failed, 1 passed" in (tmp_path / "logs/one.log").read_text()


def test_a_suite_that_takes_too_long_is_ended_and_takes_away_what_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, not killed, so that its fixtures end as well."""
    suite = """
import pytest, time, pathlib
@pytest.fixture
def began():
    pathlib.Path("began").touch()
    yield
    pathlib.Path("began").unlink()
    pathlib.Path("taken-away").touch()
def test_it(began): time.sleep(600)
"""

    class Slow(subprocess.Popen):  # type: ignore[type-arg]
        def wait(self, timeout: float | None = None) -> int:
            """Half an hour is over as soon as the suite is in the middle of it."""
            if timeout != 1800:
                return super().wait(timeout)
            while not (tmp_path / "began").exists() and self.poll() is None:
                time.sleep(0.05)
            raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(proof.subprocess, "Popen", Slow)
    row = proved(tmp_path, monkeypatch, suite, 1800)
    assert row.result == "failed: too long, ended after 30 minutes"
    assert (tmp_path / "taken-away").exists(), "killed, not interrupted"


def proved(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> Row:
    """What came of a suite of this text, in a checkout of its own."""
    (folder / ONE.path).parent.mkdir(parents=True)
    (folder / ONE.path).write_text(text)
    (folder / "logs").mkdir()
    monkeypatch.setattr(proof, "ROOT", folder)
    monkeypatch.setattr(proof, "LOGS", folder / "logs")
    monkeypatch.setattr(proof, "git", lambda root, *words: ["d55bcdf"])
    return proof.prove(ONE, seconds)


@pytest.mark.parametrize(("name", "builds"), [("docker", False), ("killed_upgrades", True)])
def test_another_kubernetes_is_built_before_an_upgrades_time_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, builds: bool
) -> None:
    ran: list[list[object]] = []
    monkeypatch.setattr(proof, "LOGS", tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda words, **_: ran.append(words))
    proof.build([Suite(name, ())])
    assert [word for word in VERSIONS if word in ran[0]] == (list(VERSIONS) if builds else [])


def test_the_page_has_a_table_for_the_rows() -> None:
    assert written((ROOT / "docs/proof.md").read_text(), [ROW]).count("| one | passed |") == 1
