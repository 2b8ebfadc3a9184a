"""Parts that take long to make are made once, kept by the content of their pins."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab import computer, files
from lab.forecast import Work, left
from lab.report import Report, duration
from lab.settings import CACHE, HERE, LOGS, LabError
from lab.shell import run_logged

UNFINISHED = CACHE / "unfinished"
MODULES = CACHE / "go/mod"  # of Go: the sources that it has fetched


@dataclass(frozen=True)
class Job:
    """One part being made: fills `out`, tells everything to `log`."""

    out: Path
    log: Path

    def run(self, *argv: str | Path, cwd: Path | None = None, **env: str) -> None:
        # Whatever a tool leaves behind when it is killed then lies where the next run cleans up.
        env = {**os.environ, "TMPDIR": str(UNFINISHED), **env}
        run_logged(self.log, *argv, cwd=cwd, env=env)


@dataclass(frozen=True)
class Part:
    """Something that is made from its pins alone, so that the same pins need it made once."""

    name: str
    about: str
    pins: tuple[Path | str, ...]
    make: Callable[[Job], None]
    seconds: int
    needs: "tuple[Part, ...]" = ()
    tools: "tuple[Part, ...]" = ()
    """What it is made with: another of these makes no other part."""
    compiles: bool = False
    gigabytes: float = 0.5

    @cached_property
    def key(self) -> str:
        digest = hashlib.sha256(self.name.encode())
        for pin in self.pins:
            digest.update(pinned_bytes(pin))
        for part in self.needs:
            digest.update(part.key.encode())
        return digest.hexdigest()[:12]

    @property
    def place(self) -> Path:
        return CACHE / self.name / self.key

    @property
    def cached(self) -> bool:
        return self.place.is_dir()


def pinned_bytes(pin: Path | str) -> bytes:
    """A pin's own content; a directory's is that of all files in it, names included."""
    if isinstance(pin, str):
        return b"\0text\0" + pin.encode()
    files = sorted(path for path in pin.rglob("*") if path.is_file()) if pin.is_dir() else [pin]
    return b"".join(b"\0file\0%s\0%s" % (str(path.relative_to(HERE)).encode(), path.read_bytes()) for path in files)


def laid_out(folder: Path, to: Path, without: Sequence[str] = ()) -> None:
    """A folder of the checkout, for all to read: its own modes are what its owner's umask has left of git's."""
    shutil.copytree(folder, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*without))
    for path in (to, *to.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def make(part: Part, report: Report) -> None:
    """Make a part where nobody looks, and move it into place when it is whole."""
    out = UNFINISHED / f"{part.name}-{part.key}"
    log = LOGS / f"{part.name}.log"
    out.mkdir(parents=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with report.making(work(part)):
        part.make(Job(out, log))
    os.sync()
    part.place.parent.mkdir(parents=True, exist_ok=True)
    out.rename(part.place)


def everything(parts: Iterable[Part]) -> Iterator[Part]:
    """Each part once, after what it needs."""
    seen: set[str] = set()
    for part in parts:
        for each in (*everything((*part.tools, *part.needs)), part):
            if each.name not in seen:
                seen.add(each.name)
                yield each


def missing_of(parts: Iterable[Part]) -> list[Part]:
    """What is to be made, each once, after what it needs; a part that is kept needs nothing more.

    What is soon made comes first, since it tells how fast this computer is.
    """
    found: dict[str, Part] = {}
    for part in sorted(parts, key=lambda part: part.seconds):
        if not part.cached:
            found |= {each.name: each for each in (*missing_of((*part.tools, *part.needs)), part)}
    return list(found.values())


def make_missing(parts: Sequence[Part], report: Report) -> list[Part]:
    """Make what is not cached, as much at once as the parts' needs allow."""
    wanted = missing_of(parts)
    if not wanted:
        return []
    check_space(wanted)
    report.say(announcement(wanted))
    report.expect([work(part) for part in wanted])
    # Only a run that was broken off leaves anything here, and only one run is let in at a time.
    shutil.rmtree(UNFINISHED, ignore_errors=True)
    forget_what_may_be_hollow()
    futures: dict[str, Future[None]] = {}
    # Two compilations at once only take each other's processors.
    with ThreadPoolExecutor(1) as compiler, ThreadPoolExecutor(len(wanted)) as others:
        for part in wanted:
            before = [futures[need.name] for need in (*part.tools, *part.needs) if need.name in futures]
            pool = compiler if part.compiles else others
            futures[part.name] = pool.submit(make_after, before, part, report)
        try:
            while wait(futures.values(), timeout=60).not_done:
                report.remind()
        except KeyboardInterrupt:
            # What is being made hears of it too; what waits would still begin, one part after the other.
            for future in futures.values():
                future.cancel()
            raise
    failures = [error for future in futures.values() if (error := future.exception())]
    if failures:
        raise LabError("\n".join(dict.fromkeys(map(str, failures))))
    return wanted


def forget_what_may_be_hollow() -> None:
    """Go takes for whole what it has unpacked, and does not sync it: a power cut leaves files of it empty."""
    note = MODULES.parent / "unpacked-in-boot"
    if not note.exists() or note.read_text() != computer.boot():
        shutil.rmtree(MODULES, ignore_errors=True)
        files.write(note, computer.boot())


def work(part: Part) -> Work:
    after = [need.name for need in (*part.tools, *part.needs)]
    return Work(part.name, part.seconds, after, part.compiles, part.about)


def announcement(wanted: Sequence[Part]) -> str:
    """What is going to happen, and for how long."""
    usually = duration(left([work(part) for part in wanted], running={}, done={}))
    free = shutil.disk_usage(CACHE).free / 1e9
    wants = f"wants {gigabytes(wanted):.0f} of {free:.0f} GB free in {CACHE} for a while"
    return f"{len(wanted)} parts to make, once: usually {usually} in all; {wants}"


def gigabytes(parts: Iterable[Part]) -> float:
    return sum(part.gigabytes for part in parts)


def make_after(before: Sequence[Future[None]], part: Part, report: Report) -> None:
    for future in before:
        future.result()
    make(part, report)


def check_space(wanted: Sequence[Part]) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    needed = gigabytes(wanted)
    free = shutil.disk_usage(CACHE).free / 1e9
    if free < needed:
        raise LabError(f"{CACHE}: {needed:.0f} GB are wanted for what is to be built, {free:.0f} GB are free.")


def kept(parts: Iterable[Part]) -> list[Part]:
    return [part for part in everything(parts) if part.cached]


def newest_first(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)


def prune(parts: Sequence[Part], keep: int = 2) -> None:
    """Forget parts of old pins; a few stay for other checkouts of the project."""
    for part in kept(parts):
        for old in newest_first(part.place.parent)[keep:]:
            if old != part.place:
                shutil.rmtree(old)


def touch(parts: Sequence[Part]) -> None:
    """Used now: what is pruned is what nobody has used for longest."""
    now = time.time()
    for part in kept(parts):
        os.utime(part.place, (now, now))
