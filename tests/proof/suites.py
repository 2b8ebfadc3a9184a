"""Which suites there are, which files each proves, and whether its last proof still holds."""

import ast
import hashlib
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("tests/proof")


@dataclass(frozen=True)
class Suite:
    """A file of tests, and the globs of what it proves: paths from the checkout's top, as git has them."""

    name: str
    covers: tuple[str, ...]

    @property
    def path(self) -> Path:
        return HERE / f"test_{self.name}.py"

    @property
    def globs(self) -> list[str]:
        return [f":(glob){glob}" for glob in (*self.covers, str(self.path))]


@dataclass(frozen=True)
class Row:
    """One proof, as docs/proof.md has it. `result` begins with passed, failed or skipped; `files` is a digest.

    `figures`: what was measured and counted, in words, each with what is wanted beside it.
    """

    suite: str
    result: str
    minutes: str
    date: str
    commit: str
    files: str
    figures: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def cells(self) -> tuple[str, ...]:
        return self.suite, self.result, self.minutes, self.date, self.commit, self.files

    @property
    def passed(self) -> bool:
        return self.result.startswith("passed")


HEAD = "| suite | result | minutes | date | commit | files |\n| --- | --- | ---: | --- | --- | --- |\n"
MEASURED = "\nMeasured by these runs:\n\n| suite | figure | commit |\n| --- | --- | --- |\n"
LINES = r"((?:\|.*\n)*)"
TABLES = re.compile(f"{re.escape(HEAD)}{LINES}(?:{re.escape(MEASURED)}{LINES})?")


def read(text: str) -> dict[str, Row]:
    """The rows of the page, by suite, each with what was measured."""
    found = TABLES.search(text)
    rows, measured = map(_cells, (found[1], found[2] or "")) if found else ([], [])
    figures = {suite: tuple(figure for name, figure, _ in measured if name == suite) for suite, *_ in rows}
    return {cells[0]: Row(*cells, figures=figures[cells[0]]) for cells in rows}


def _cells(lines: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]


def written(text: str, rows: Iterable[Row]) -> str:
    """The page with these rows and no others, and what they measured; what is around that stays."""
    ordered = sorted(rows, key=lambda row: row.suite)
    measured = "".join(_line(row.suite, figure, row.commit) for row in ordered for figure in row.figures)
    tables = HEAD + "".join(_line(*row.cells) for row in ordered) + (measured and MEASURED + measured)
    return TABLES.sub(lambda _: tables, text)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def suites(root: Path = ROOT) -> list[Suite]:
    """All of them, by name. Raises LookupError for one that does not say what it covers."""
    return [Suite(path.stem.removeprefix("test_"), covers(path)) for path in sorted((root / HERE).glob("test_*.py"))]


def covers(path: Path) -> tuple[str, ...]:
    """What a suite's COVERS says; nothing of it is run."""
    for line in ast.parse(path.read_text()).body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "COVERS":
            return tuple(ast.literal_eval(line.value))
    raise LookupError(f"{path} does not say which files it proves: COVERS = (…)")


def git(root: Path, *words: str) -> list[str]:
    """The lines that git prints; none where it fails, as for a commit that is not here."""
    done = subprocess.run(["git", "-C", root, *words], text=True, capture_output=True, check=False)
    return done.stdout.splitlines()


def files(suite: Suite, root: Path = ROOT) -> list[str]:
    """What the work tree has of its files, with those that are not committed yet and without those that git ignores."""
    listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "--", *suite.globs)
    return sorted({name for name in listed if (root / name).is_file()})


def digest(suite: Suite, root: Path = ROOT) -> str:
    """Of the names and the contents of its files."""
    each = (f"{name} {hashlib.sha256((root / name).read_bytes()).hexdigest()}\n" for name in files(suite, root))
    return hashlib.sha256("".join(each).encode()).hexdigest()[:12]


def changed(suite: Suite, commit: str, root: Path = ROOT) -> list[str]:
    """Which of its files differ from that commit; none where git cannot tell."""
    new = git(root, "ls-files", "--others", "--exclude-standard", "--", *suite.globs)
    return sorted({*git(root, "diff", "--name-only", commit, "--", *suite.globs), *new})


def why_stale(suite: Suite, row: Row | None, root: Path = ROOT) -> str:
    """Why its proof does not hold; empty where it does."""
    if not row:
        return "never run"
    if not row.passed:
        return row.result
    if row.files == digest(suite, root):
        return ""
    names = changed(suite, row.commit, root)
    return f"changed since {row.commit}: {', '.join(names) or 'its files'}"


def stale(rows: Mapping[str, Row], root: Path = ROOT) -> dict[Suite, str]:
    """The suites that are worth running, each with the reason."""
    found = {suite: why_stale(suite, rows.get(suite.name), root) for suite in suites(root)}
    return {suite: reason for suite, reason in found.items() if reason}
