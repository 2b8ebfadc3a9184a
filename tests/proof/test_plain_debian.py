"""The newcomer's way: a fresh clone on a Debian that has git and make and no more. Ten minutes."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lab import containers, distribution, lock, parts, powercut, requirements
from lab.parts import Job, Part
from lab.report import Report
from lab.settings import LOGS
from tests.e2e.conftest import hosted
from tests.e2e.harness import TOLD

COVERS = (
    "Makefile",
    "pyproject.toml",
    "requirements.lock",
    "lab/go.lock",
    "lab/toolchain.py",
    "lab/components.py",
    "lab/distribution.py",
    "lab/go/cni/*",
    "lab/go/pause/*",
)

ROOT = Path(__file__).resolve().parents[2]
SUITES = {"bookworm": "3.11", "trixie": "3.13"}  # and their Pythons
PACKAGES = ("git", "make", "ca-certificates")
# What this computer tells pip and Go, and whom to believe, in files.
FILES = (
    *(Path("/etc", name) for name in ("pip.conf", "xdg/pip/pip.conf", "ssl/certs/ca-certificates.crt")),
    *(Path.home() / name for name in (".pip/pip.conf", ".config/pip/pip.conf", ".config/go/env", ".netrc")),
)


def make_root(suite: str, job: Job) -> None:
    """As its installer leaves the smallest one, with what README wants; apt is told what this computer's is told."""
    distribution.debootstrap(job, PACKAGES, "--variant=minbase", "--skip=cleanup/apt/lists", suite=suite)


def plain(suite: str) -> Part:
    about = f"a plain Debian {suite}"
    return Part(f"plain-{suite}", about, (" ".join(PACKAGES), suite), partial(make_root, suite), seconds=60)


def told() -> dict[str, str]:
    """What this computer's environment tells pip and Go, and whom to believe."""
    return {name: value for name, value in os.environ.items() if re.fullmatch(TOLD, name, re.IGNORECASE)}


def files() -> dict[Path, str]:
    """The files that tell more -> where the programs of a machine's root look for them."""
    found = [path for path in (*map(Path, told().values()), *FILES) if path.is_absolute() and path.exists()]
    return {path: str(path).replace(str(Path.home()), "/root", 1) for path in found}


class Machine:
    """A Debian as new, with the network of this computer and all that it tells its programs."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite = suite
        self.name = f"kubefab-plain-{suite}"
        (folder / "root").mkdir()
        bundle = ["git", "bundle", "create", "--quiet", f"{folder}/kubefab.bundle", "HEAD"]
        unpack = ["tar", "--extract", f"--file={plain(suite).place}/root.tar", f"--directory={folder}/root"]
        for words in (bundle, unpack, [*self.podman(folder), "sleep", "infinity"]):
            subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def podman(self, folder: Path) -> list[str]:
        """What starts it."""
        words = ["podman", "--runtime", "runc", "run", "--replace", "--detach", f"--name={self.name}"]
        words += ["--privileged", "--network=host", *containers.limits()]
        words += [f"--env={name}" for name in told()]
        words += [f"--volume={here}:{there}:ro" for here, there in files().items()]
        return [*words, f"--volume={folder}/kubefab.bundle:/kubefab.bundle:ro", "--rootfs", f"{folder}/root"]

    def run(self, script: str, user: str = "root") -> "subprocess.CompletedProcess[str]":
        """What a person who is logged in there types."""
        home = "/root" if user == "root" else f"/home/{user}"
        words = ["podman", "exec", f"--user={user}", f"--workdir={home}", f"--env=HOME={home}", self.name]
        return subprocess.run(
            [*words, "sh", "-ec", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def well(self, script: str, user: str = "root") -> str:
        done = self.run(script, user)
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{self.suite}: exit status {done.returncode}\n{said[-8000:]}"
        return said

    def remove(self) -> None:
        subprocess.run(["podman", "rm", "--force", "--time=0", self.name], check=False, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def made() -> None:
    """Their root file systems, kept as other parts of the lab are."""
    hosted()
    report = Report()
    powercut.tell_podman()
    with lock.held(report.say):
        requirements.install(report, LOGS / "apt.log")
        parts.make_missing([plain(suite) for suite in SUITES], report)


@pytest.fixture(scope="module", params=SUITES)
def machine(request: pytest.FixtureRequest, made: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp(request.param)
    new = Machine(request.param, folder)
    yield new
    new.remove()
    shutil.rmtree(folder / "root")


CHECKED = "git clone --quiet -c advice.detachedHead=false /kubefab.bundle kubefab && cd kubefab && make check"


def test_there_is_neither_go_nor_python(machine: Machine) -> None:
    assert machine.run("command -v go python3").returncode != 0


def test_make_check_passes_in_a_fresh_clone(machine: Machine) -> None:
    assert re.search(r"\d+ passed", machine.well(CHECKED))
    assert machine.well("kubefab/.venv/bin/python --version").startswith(f"Python {SUITES[machine.suite]}.")


def test_make_makes_no_venv_a_second_time(machine: Machine) -> None:
    assert "making .venv" not in machine.well("cd kubefab && make --dry-run sentences")


BUILT = """cd kubefab && .venv/bin/python -c '
from lab import components, parts
from lab.report import Report
parts.make_missing([components.PARTS[name] for name in ("pause", "cni")], Report())'
"""


def test_the_lab_builds_with_a_go_of_its_own(machine: Machine) -> None:
    said = machine.well(BUILT)
    assert re.search("^pause .* done in", said, re.M)
    assert re.search("^cni .* done in", said, re.M)
    assert "bridge" in machine.well("ls .cache/kubefab-lab/cni/*/")


def test_nothing_of_what_this_computer_tells_its_programs_is_written(machine: Machine) -> None:
    assert machine.well("cd kubefab && git status --porcelain") == ""


def test_make_check_passes_for_an_ordinary_user(machine: Machine) -> None:
    """Nothing is theirs but their home; what only root can try says so."""
    machine.well("useradd --create-home eve")
    said = machine.well(f"export PATH=/usr/local/bin:/usr/bin:/bin:/usr/games\n{CHECKED}", user="eve")
    assert re.search(r"\d+ passed", said)
    assert "NOT TRIED: only root can try the scripts in namespaces of their own" in said
