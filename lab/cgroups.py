"""Control groups that machines leave behind on computers with cgroup v1."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def of_machine(name: str, container: str) -> Iterator[Path]:
    """In the tree that lab-init makes, and in podman's own below every controller."""
    yield ROOT / "systemd/kubefab-lab" / name
    yield from ROOT.glob(f"*/libpod_parent/libpod-{container}")
    yield from ROOT.glob(f"libpod_parent/libpod-{container}")


def holds(container: str, pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether the process is in that container: podman names its control groups after it."""
    try:
        return container in (proc / str(pid) / "cgroup").read_text()
    except OSError:
        return False


def remove(group: Path) -> None:
    """The deepest first; one with a living process in it stays."""
    folders = sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
    for folder in (*folders, group):
        with suppress(OSError):
            folder.rmdir()


def remove_all(groups: Iterable[Path]) -> None:
    for group in groups:
        remove(group)


def remove_parents() -> None:
    """podman's own, unless someone's container still runs in them."""
    remove_all((ROOT / "systemd/kubefab-lab", *ROOT.glob("*/libpod_parent"), ROOT / "libpod_parent"))
