"""Machines: containers with systemd as PID 1 and a disk that outlives a reboot."""

import json
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab import cgroups, network, ways_in
from lab.distribution import MACHINE
from lab.settings import KEY, MOST_MACHINES, NETWORK, LabError, address, mac_address, machine_names
from lab.shell import attempt, run
from lab.waiting import until

LABEL = "kubefab.lab.machine"
REPOSITORY = "localhost/kubefab-lab/machine"
# Overlay on overlay does not work: these get real directories of the computer.
VOLUMES = ("/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet")
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
        """podman may not have noticed a power cut, and the process id may be someone else's by now."""
        return self.pid > 0 and Path(f"/proc/{self.pid}/root{INSIDE}/installed").exists()


def container_name(name: str) -> str:
    return f"kubefab-lab-{name}"


def parse(listed: str) -> dict[str, Machine]:
    """podman ps's JSON, in the machines' own order."""
    found = {}
    for each in json.loads(listed or "[]"):
        name = each["Labels"][LABEL]
        found[name] = Machine(
            name, each["Id"], each["Image"], each["Pid"] if each["State"] == "running" else 0
        )
    return {name: found[name] for name in machine_names(MOST_MACHINES) if name in found}


def existing() -> dict[str, Machine]:
    return parse(run("podman", "ps", "--all", "--filter", f"label={LABEL}", "--format", "json"))


def image() -> str:
    return f"{REPOSITORY}:{MACHINE.key}"


def ensure_image() -> None:
    """podman's own storage has it, and none of older pins that no machine uses any more."""
    if attempt("podman", "image", "exists", image()).returncode:
        settings = ['ENTRYPOINT ["/usr/local/sbin/lab-init"]', "STOPSIGNAL SIGRTMIN+3"]
        changes = [word for each in settings for word in ("--change", each)]
        run("podman", "import", *changes, MACHINE.place / "root.tar", image())
    for old in run("podman", "images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY).splitlines():
        if old != image():
            attempt("podman", "rmi", old)


def limits() -> list[str]:
    """podman would raise limits; without CAP_SYS_RESOURCE it may not, and gives up."""
    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(kind)[1] for name, kind in kinds.items()}
    bounded = {name: limit for name, limit in hard.items() if limit != resource.RLIM_INFINITY}
    # podman's own limit on processes is lower than its caller's.
    return [f"--ulimit={name}={min(limit, 32768)}" for name, limit in bounded.items()]


def create(name: str) -> None:
    """A machine as new."""
    words = [
        "podman",
        "--runtime",
        "runc",
        "run",
        "--detach",
        f"--name={container_name(name)}",
        f"--hostname={name}",
    ]
    words += [
        f"--network={NETWORK}",
        f"--ip={address(name)}",
        f"--mac-address={mac_address(name)}",
        f"--label={LABEL}={name}",
    ]
    words += [
        "--privileged",
        "--systemd=always",
        "--cgroupns=private",
        "--tmpfs=/tmp",
        "--tmpfs=/run",
        *limits(),
    ]
    words += [f"--volume={path}" for path in VOLUMES]
    words += [f"--volume={KEY}.pub:{INSIDE}/key.pub:ro", image()]
    run(*words)


def start(name: str) -> None:
    run("podman", "--runtime", "runc", "start", container_name(name))


def destroy(machine: Machine) -> None:
    """The machine, its disk, and what the kernel still keeps of it."""
    run("podman", "rm", "--force", "--volumes", "--time=0", machine.container)
    cgroups.remove_all(cgroups.of_machine(machine.name, machine.container))
    network.forget_lease(address(machine.name))


def revive(machine: Machine) -> None:
    """Switch a machine on again that lost its power; its disk is as it was."""
    attempt("podman", "stop", "--time=0", machine.container)
    cgroups.remove_all(cgroups.of_machine(machine.name, machine.container))
    network.forget_lease(address(machine.name))
    if attempt("podman", "--runtime", "runc", "start", machine.container).returncode:
        destroy(machine)
        create(machine.name)


def reboot(machine: Machine) -> None:
    """As a person would: systemd shuts down, the disk stays."""
    run("podman", "stop", "--time=60", machine.container)
    cgroups.remove_all(cgroups.of_machine(machine.name, machine.container))
    start(machine.name)


def at_once(work: Callable[[str], None], names: Sequence[str]) -> None:
    """For all machines side by side; the first failure is told when all have ended."""
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        for future in [pool.submit(work, name) for name in names]:
            future.result()


def wait(names: Sequence[str]) -> None:
    """Until every one lets people in; then who they are is written down."""
    found = existing()
    for name in names:
        if not until(partial(ways_in.lets_in, name, found[name].pid), 60):
            log = f"podman logs {container_name(name)}"
            raise LabError(f"{name} ({address(name)}) lets nobody in after 60 s: {log}")
    ways_in.write_known_hosts((machine.name, machine.pid) for machine in found.values() if machine.runs)
