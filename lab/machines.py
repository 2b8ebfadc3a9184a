"""Machines: containers with systemd as PID 1 and a disk that outlives a reboot."""

import json
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from lab import cgroups, guide, network, ways_in
from lab.distribution import MACHINE
from lab.report import Report
from lab.settings import KEY, MOST_MACHINES, NETWORK, LabError, address, mac_address, machine_names
from lab.shell import attempt, run
from lab.waiting import until

LABEL = "kubefab.lab.machine"
STACKS = {"": MACHINE, "guide": guide.MACHINE}
REPOSITORY = "localhost/kubefab-lab/machine"
# Overlay on overlay does not work: these get real directories of the computer.
VOLUMES = ("/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet")
ALIVE = ("running", "stopping")
# Where podman's monitors leave word of a container's end.
EXITS = Path("/run/libpod/exits")
Each = TypeVar("Each")
Result = TypeVar("Result")
INSIDE = "/usr/local/lib/kubefab-lab"


@dataclass(frozen=True)
class Machine:
    """What podman says of a machine, checked against what really runs."""

    name: str
    container: str
    image: str
    pid: int

    @property
    def runs(self) -> bool:
        """podman may not have noticed a power cut, and the process id may be another machine's by now."""
        return self.pid > 0 and cgroups.holds(self.container, self.pid)

    @property
    def lost(self) -> bool:
        """podman believes that it runs, and it does not."""
        return self.pid > 0 and not self.runs


def container_name(name: str) -> str:
    return f"kubefab-lab-{name}"


def parse(listed: str) -> dict[str, Machine]:
    """podman ps's JSON, in the machines' own order."""
    found = {}
    for each in json.loads(listed or "[]"):
        name = each["Labels"][LABEL]
        found[name] = Machine(name, each["Id"], each["Image"], each["Pid"] if each["State"] in ALIVE else 0)
    return {name: found[name] for name in machine_names(MOST_MACHINES) if name in found}


def existing() -> dict[str, Machine]:
    return parse(run("podman", "ps", "--all", "--filter", f"label={LABEL}", "--format", "json"))


def image(stack: str) -> str:
    return f"{REPOSITORY}:{STACKS[stack].key}"


def ensure_image(report: Report, stack: str) -> None:
    """podman's own storage has it, and none of older pins that no machine uses any more."""
    if attempt("podman", "image", "exists", image(stack)).returncode:
        with report.making_alone("the machines' image for podman", 11):
            import_image(stack)
    for old in run("podman", "images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY).splitlines():
        if old not in map(image, STACKS):
            attempt("podman", "rmi", old)


def import_image(stack: str) -> None:
    settings = ['ENTRYPOINT ["/usr/local/sbin/lab-init"]', "STOPSIGNAL SIGRTMIN+3"]
    changes = [word for each in settings for word in ("--change", each)]
    run("podman", "import", *changes, STACKS[stack].place / "root.tar", image(stack))


def limits() -> list[str]:
    """podman would raise limits; without CAP_SYS_RESOURCE it may not, and gives up."""
    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(kind)[1] for name, kind in kinds.items()}
    bounded = {name: limit for name, limit in hard.items() if limit != resource.RLIM_INFINITY}
    # podman's own limit on processes is lower than its caller's.
    return [f"--ulimit={name}={min(limit, 32768)}" for name, limit in bounded.items()]


def create(name: str, image: str) -> None:
    """A machine as new."""
    words = ["podman", "--runtime", "runc", "run", "--detach", f"--name={container_name(name)}"]
    words += [f"--hostname={name}", f"--label={LABEL}={name}", f"--network={NETWORK}", f"--ip={address(name)}"]
    words += [f"--mac-address={mac_address(name)}", "--tmpfs=/tmp", "--tmpfs=/run", *limits()]
    words += ["--privileged", "--systemd=always", "--cgroupns=private"]
    words += [f"--volume={path}" for path in VOLUMES]
    words += [f"--volume={KEY}.pub:{INSIDE}/key.pub:ro", image]
    run(*words)


def start(name: str) -> None:
    run("podman", "--runtime", "runc", "start", container_name(name))


def tidy(machine: Machine) -> None:
    """What the kernel and podman's helpers keep of a machine that has ended."""
    attempt("runc", "delete", "--force", machine.container)
    cgroups.remove_all(cgroups.of_machine(machine.name, machine.container))
    network.forget_lease(address(machine.name))


def destroy(machine: Machine) -> None:
    """The machine, its disk, and what the kernel still keeps of it."""
    tell_podman(machine)
    run("podman", "rm", "--force", "--volumes", "--time=0", machine.container)
    tidy(machine)


def tell_podman(machine: Machine) -> None:
    """Leave the exit file that the machine's monitor would have left, had it not died as well."""
    if EXITS.is_dir() and machine.lost:
        (EXITS / machine.container).write_text("137")


def revive(machine: Machine) -> bool:
    """Switch a machine on again that lost its power; whether its disk is as it was, not as new."""
    tell_podman(machine)
    tidy(machine)
    if not attempt("podman", "--runtime", "runc", "start", machine.container).returncode:
        return True
    destroy(machine)
    create(machine.name, machine.image)
    return False


def reboot(machine: Machine) -> None:
    """As a person would: systemd shuts down, the disk stays."""
    run("podman", "stop", "--time=60", machine.container)
    tidy(machine)
    start(machine.name)


def at_once(work: Callable[[Each], Result], subjects: Sequence[Each]) -> list[Result]:
    """For all machines side by side; the first failure is told when all have ended."""
    with ThreadPoolExecutor(max(1, len(subjects))) as pool:
        futures = [pool.submit(work, subject) for subject in subjects]
    return [future.result() for future in futures]


def wait(names: Sequence[str]) -> None:
    """Until every one lets people in; then who they are is written down."""
    found = existing()
    for name in names:
        if not until(partial(ways_in.lets_in, name, found[name].pid), 60):
            log = f"podman logs {container_name(name)}"
            raise LabError(f"{name} ({address(name)}) lets nobody in after 60 s: {log}")
    ways_in.write_known_hosts((machine.name, machine.pid) for machine in found.values() if machine.runs)
