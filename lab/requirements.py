"""What the lab wants of a computer."""

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab import stacks
from lab.forecast import Work
from lab.parts import Part, gigabytes, missing_of
from lab.report import Report
from lab.settings import CACHE, LabError
from lab.shell import attempt, run, run_logged

# program -> the Debian package that brings it
PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "gpg": "gnupg",
    "ssh": "openssh-client",
    "iptables": "iptables",
    "ip": "iproute2",
    "gcc": "gcc",
}
# file -> the Debian package that brings it
FILES = {
    "/usr/include/stdlib.h": "libc6-dev",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
MEMORY_GIB = 3


def lacking_root() -> str | None:
    return None if os.geteuid() == 0 else "root: the lab makes containers, a network and root file systems"


def lacking_apt() -> str | None:
    return None if shutil.which("apt-get") else "Debian or Ubuntu: the lab's tools come as Debian packages"


def has_capability(status: str, bit: int) -> bool:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.M)
    return bool(found and int(found[1], 16) >> bit & 1)


def lacking_capabilities() -> str | None:
    status = Path("/proc/self/status").read_text()
    lacking = [name for name, bit in CAPABILITIES.items() if not has_capability(status, bit)]
    return f"{', '.join(lacking)}: this root is not allowed to make machines" if lacking else None


def lacking_packages() -> str | None:
    """Only what apt already knows it cannot bring; without lists nobody knows yet."""
    if not shutil.which("apt-cache") or not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        return None
    lacking = [name for name in packages() if "Candidate: (none)" in policy(name) or not policy(name)]
    return f"packages that apt does not have: {', '.join(lacking)}" if lacking else None


def policy(package: str) -> str:
    return attempt("env", "LC_ALL=C", "apt-cache", "policy", package).stdout


def lacking_forwarding() -> str | None:
    path = Path("/proc/sys/net/ipv4/ip_forward")
    if path.read_text().strip() == "1" or os.access(path, os.W_OK):
        return None
    return "IPv4 forwarding: it is off, and may not be switched on here"


def lacking_overlay() -> str | None:
    if "overlay" in Path("/proc/filesystems").read_text() or not attempt("modprobe", "overlay").returncode:
        return None
    return "the overlay file system: this kernel has none"


def memory_gib() -> float:
    total = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return int(total[1]) / 2**20 if total else 0


def lacking_memory() -> str | None:
    gib = memory_gib()
    return None if gib >= MEMORY_GIB else f"{MEMORY_GIB} GiB of memory: there are {gib:.1f}"


def lacking_disk(parts: Sequence[Part]) -> str | None:
    wanted = gigabytes(missing_of(parts)) + 2
    existing = next(path for path in (CACHE, *CACHE.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    return None if free >= wanted else f"{wanted:.0f} GB of free space below {existing}: there are {free:.0f}"


CHECKS: tuple[Callable[[], str | None], ...] = (
    lacking_root,
    lacking_apt,
    lacking_capabilities,
    lacking_packages,
    lacking_forwarding,
    lacking_overlay,
    lacking_memory,
)


def missing(parts: Sequence[Part] = stacks.BASIC) -> list[str]:
    """What this computer lacks for a lab of these parts; empty when it can host it."""
    return [lack for lack in (*(check() for check in CHECKS), lacking_disk(parts)) if lack]


def packages(programs: Mapping[str, str] = PROGRAMS) -> list[str]:
    """The Debian packages still to be installed."""
    by_program = [package for program, package in programs.items() if not shutil.which(program)]
    by_file = [package for path, package in FILES.items() if not Path(path).exists()]
    return by_program + by_file


def works(programs: Mapping[str, str] = PROGRAMS) -> list[Work]:
    """Installing them, where any is wanted. Nothing is compiled before that."""
    about = "Debian packages that the lab wants"
    return [Work("debian-packages", 60, compiles=True, about=about)] if packages(programs) else []


def install(report: Report, log: Path, programs: Mapping[str, str] = PROGRAMS) -> None:
    """Install what is wanted and not there, and say so first."""
    for work in works(programs):
        report.say(f"installing Debian packages: {' '.join(packages(programs))}")
        with report.making(work):
            apt_install(log, packages(programs))
        if still := packages(programs):
            raise LabError(f"These packages are installed, and what they should bring is not there: {' '.join(still)}")
        run("podman", "info")


def apt_install(log: Path, wanted: Sequence[str]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    run_logged(log, "apt-get", "update")
    words = ["apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    run_logged(log, *words, *wanted, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
