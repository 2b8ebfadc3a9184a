"""Go: the computer's own where it is new enough, else a pinned one, which is a Go module: any Go fetches it."""

import json
import re
import shutil
from functools import cache
from pathlib import Path

from lab.distribution import architecture
from lab.settings import CACHE, LabError
from lab.shell import attempt

OLDEST = (1, 26)
VERSION = "1.26.8"
# The modules' checksums, as go.sum would have them.
SUMS = {
    "amd64": "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=",
    "arm64": "h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=",
}


@cache
def go() -> Path:
    """The program to build with; Debian's is for fetching alone.

    Raises:
        LabError: it cannot be fetched, or is not what it was.
    """
    own = shutil.which("go")
    return Path(own) if own and version(attempt(own, "version").stdout) >= OLDEST else fetched()


def version(said: str) -> tuple[int, ...]:
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else ()


def fetched() -> Path:
    arch = architecture()
    module = f"golang.org/toolchain@v0.0.1-go{VERSION}.linux-{arch}"
    place = f"GOMODCACHE={CACHE / 'go/toolchain'}"
    done = attempt("env", "-C", "/", place, "GOFLAGS=-modcacherw", "go", "mod", "download", "-json", module)
    told = json.loads(done.stdout or "{}")
    if told.get("Sum") != SUMS[arch]:
        raise LabError(f"{module}: {told.get('Error') or told.get('Sum') or done.stderr}")
    make_programs(Path(told["Dir"]))
    return Path(told["Dir"], "bin/go")


def make_programs(folder: Path) -> None:
    """The files of a module are never programs."""
    for pattern in ("bin/*", "pkg/tool/*/*"):
        for path in folder.glob(pattern):
            path.chmod(0o755)
