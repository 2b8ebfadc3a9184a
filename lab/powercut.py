"""podman sees a power cut by /run being empty. Where /run is kept on the disk it has to be told."""

from collections.abc import Iterable
from pathlib import Path

from lab.services import processes

# podman forgets what it believed to be running when this file is not there.
ALIVE = Path("/run/libpod/alive")
NAMESPACES = Path("/run/netns")


def dead_namespaces() -> list[Path]:
    """Network namespaces that ended with the kernel, of which only the files are left."""
    return [path for path in NAMESPACES.glob("netns-*") if not is_mounted(path)]


def is_mounted(path: Path) -> bool:
    return path.stat().st_dev != path.parent.stat().st_dev


def any_monitor(command_lines: Iterable[list[str]]) -> bool:
    """Every living container of podman's has one, whoever's it is."""
    return any(argv and Path(argv[0]).name == "conmon" for argv in command_lines)


def tell_podman() -> None:
    """Only where nothing of podman's, ours or not, can be alive."""
    dead = dead_namespaces()
    if not dead or any_monitor(processes().values()):
        return
    for path in dead:
        path.unlink()
    ALIVE.unlink(missing_ok=True)
