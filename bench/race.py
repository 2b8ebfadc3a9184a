"""One contestant's run: its lines with the time each came, and what they say of where the time went."""

import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

Line = tuple[float, str]  # seconds after the start, and what was said then


class BenchError(Exception):
    """A contestant that did not come to the end: nothing can be compared."""


@dataclass(frozen=True)
class Span:
    """Something that was being done, in seconds after the start."""

    title: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True)
class Race:
    """One run from its start to its end."""

    total: float
    spans: tuple[Span, ...]
    lines: tuple[str, ...]

    def begin(self, title: str) -> float:
        """When the first one of this title began."""
        return min(span.begin for span in self.named(title))

    def seconds(self, title: str) -> float:
        """How long those of this title, one beside the other, took in all."""
        return max(span.end for span in self.named(title)) - self.begin(title)

    def named(self, title: str) -> list[Span]:
        found = [span for span in self.spans if span.title == title]
        if not found:
            raise BenchError(
                f"nothing was said of {title!r}; there was: {', '.join(span.title for span in self.spans)}"
            )
        return found


def run(argv: Iterable[object], log: Path, env: Mapping[str, str]) -> tuple[float, list[Line]]:
    """Runs it to its end, all it says kept in a log. BenchError where it fails."""
    words = [str(word) for word in argv]
    lines: list[Line] = []
    began = time.monotonic()
    with (
        log.open("w") as kept,
        subprocess.Popen(
            words,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            lines.append((time.monotonic() - began, line.rstrip("\n")))
            kept.write(f"{lines[-1][0]:8.3f} {line}")
    seconds = time.monotonic() - began
    if process.returncode:
        last = "\n".join(text for _, text in lines[-20:])
        raise BenchError(f"{words[0]} ended with {process.returncode}. The end of {log}:\n{last}")
    return seconds, lines


def titled(lines: Sequence[Line], pattern: str, end: float) -> tuple[Span, ...]:
    """Spans of a contestant that says what it does one thing after the other, as each begins."""
    begins = [(at, found[1]) for at, line in lines if (found := re.match(pattern, line))]
    ends = [*(at for at, _ in begins[1:]), end]
    return tuple(Span(title, at, until) for (at, title), until in zip(begins, ends, strict=False))


def proven(lines: Sequence[Line]) -> tuple[Span, ...]:
    """kubefab's own: a line when a step has come true on a host, with the seconds that it took."""
    found = [(at, re.match(r"\S+ +[+~·] (.+)  ([\d.]+) s$", line)) for at, line in lines]
    return tuple(Span(step[1], at - float(step[2]), at) for at, step in found if step)
