"""Commands on this computer."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.settings import LabError


def attempt(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """The outcome, good or bad."""
    words = [*map(str, argv)]
    return subprocess.run(
        words, encoding="utf-8", errors="replace", capture_output=True, stdin=subprocess.DEVNULL, check=False
    )


def run(*argv: str | Path) -> str:
    done = attempt(*argv)
    if done.returncode:
        raise LabError(f"{' '.join(map(str, argv))}\nfailed with {done.returncode}:\n{done.stderr or done.stdout}")
    return done.stdout.strip()


def run_logged(log: Path, *argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """For what takes minutes: its output is worth a file."""
    with log.open("a") as output:
        print("+", *argv, file=output, flush=True)
        done = subprocess.run(
            [*map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=env,
            check=False,
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"{argv[0]} failed with {done.returncode}. The end of {log}:\n{last}")
