"""What the computer serves to its machines: an image registry and an HTTP server."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from lab import distribution, guide, images, manifests, packages, serve, versions
from lab.parts import Part
from lab.settings import GATEWAY, KUBERNETES, LOGS, STATE, LabError
from lab.waiting import until

WWW = STATE / "www"
PATIENCE = 5  # seconds until a port is free
SERVE = STATE / "serve.py"
CONFIG = """version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {images}}}
  maintenance: {{readonly: {{enabled: true}}}}
http: {{addr: "{address}", secret: the lab's}}
"""


@dataclass(frozen=True)
class Registry:
    """Images of one stack, at a port of their own; of several parts the first that is built."""

    name: str
    parts: Callable[[], Sequence[Part]]
    port: int

    @property
    def address(self) -> str:
        return f"{GATEWAY}:{self.port}"

    @property
    def config(self) -> Path:
        return STATE / f"{self.name}.yml"

    @property
    def images(self) -> Part | None:
        return first_built(*self.parts())

    def publish(self, images: Part) -> None:
        place = STATE / self.name.replace("registry", "images")
        point(place, images.place)
        self.config.write_text(CONFIG.format(images=place, address=self.address))


def first_built(*parts: Part) -> Part | None:
    return next((part for part in parts if part.cached), None)


REGISTRY = Registry("registry", lambda: (*versions.images_parts(), images.ALL, images.PART), 5000)
GUIDES = Registry("guide-registry", lambda: (guide.IMAGES_PART,), 5001)


@dataclass(frozen=True)
class Service:
    """A daemon, known by its command line: no pid file that could be stale."""

    name: str
    argv: Sequence[str]
    address: str
    path: str

    @property
    def url(self) -> str:
        return f"http://{self.address}/{self.path}"

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name}.log"


def services(wanted: Sequence[Registry] | None = None) -> list[Service]:
    # The interpreter itself, not the one of a checkout's virtual environment: it may go, this stays.
    python = os.path.realpath(sys.executable)
    program = str(distribution.REGISTRY.place / "docker-registry")
    registries = [
        Service(each.name, [program, "serve", str(each.config)], each.address, "v2/")
        for each in wanted or registries_wanted()
    ]
    return [
        *registries,
        Service(
            "http",
            [python, "-I", str(SERVE), GATEWAY, "8080", str(WWW)],
            f"{GATEWAY}:8080",
            f"pkgs/{packages.repository(KUBERNETES)}/Release.key",
        ),
    ]


def registries_wanted() -> list[Registry]:
    """The guide's once it is built, for whichever stack this command is."""
    return [REGISTRY, *([GUIDES] if GUIDES.images else [])]


def processes() -> dict[int, list[str]]:
    """Every living process's command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[int(path.parent.name)] = path.read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
    return found


def is_ours(argv: Sequence[str]) -> bool:
    """Also one that another checkout, or an older version of this one, started: it names what it serves."""
    known = any(argv[1:] == service.argv[1:] for service in services((REGISTRY, GUIDES)))
    return known or (str(WWW) in argv and "python" in argv[0])


def pid_of(service: Service, alive: dict[int, list[str]]) -> int | None:
    return next((pid for pid, argv in alive.items() if argv == list(service.argv)), None)


def answers(service: Service) -> bool:
    try:
        return requests.head(service.url, timeout=2).ok
    except requests.RequestException:
        return False


def point(link: Path, target: Path) -> None:
    """A symbolic link that is never missing, not even for a moment."""
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f"{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def publish() -> None:
    """What is served now: a running service needs no restart for it."""
    shutil.copy(serve.__file__, SERVE)
    for registry in (REGISTRY, GUIDES):
        if registry.images:
            registry.publish(registry.images)
    folders = {
        "guide": [guide.PACKAGES_PART],
        "pkgs": [*versions.packages_parts(), packages.PART],
        "cri-dockerd": [packages.CRI_DOCKERD_PART],
    }
    for name, candidates in folders.items():
        if part := first_built(*candidates):
            point(WWW / name, part.place)
    if served := first_built(manifests.ALL, manifests.PART):
        for folder in served.place.iterdir():
            point(WWW / folder.name, folder)


def is_free(address: str) -> bool:
    """Nobody listens there, nor at that port of all addresses: who does would answer in our service's place."""
    host, _, port = address.partition(":")
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended do not count
        try:
            ours.bind((host, int(port)))
        except OSError as error:
            return error.errno != errno.EADDRINUSE  # what else is wrong the service itself says
    return True


def start(service: Service) -> None:
    """Outlives the command that started it."""
    if not until(lambda: is_free(service.address), PATIENCE):  # one of ours that was stopped may still be ending
        who = f"ss -Hltnp sport = :{service.address.partition(':')[2]}"
        raise LabError(f"{service.address} is taken, and the lab's {service.name} needs it; who has it: {who}")
    LOGS.mkdir(parents=True, exist_ok=True)
    with service.log.open("a") as log:
        process = subprocess.Popen(
            service.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    until(lambda: answers(service) or process.poll() is not None, 15)
    if not answers(service):
        last = "\n".join(service.log.read_text(errors="replace").splitlines()[-5:])
        raise LabError(f"The {service.name} does not answer at {service.url}. The end of {service.log}:\n{last}")


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def ensure() -> list[str]:
    """Both run and answer; returns the names of those that had to be started."""
    publish()
    alive = processes()
    wanted = [service for service in services() if not (pid_of(service, alive) and answers(service))]
    kept = {pid_of(service, alive) for service in services() if service not in wanted}
    for pid, argv in alive.items():
        if is_ours(argv) and pid not in kept:
            stop(pid)
    for service in wanted:
        start(service)
    return [service.name for service in wanted]


def stop_all() -> None:
    for pid, argv in processes().items():
        if is_ours(argv):
            stop(pid)
