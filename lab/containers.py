"""Machines that are containers, with systemd as PID 1 and a disk that outlives a reboot."""

import json
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups, guide, network, ways_in
from lab.distribution import MACHINE
from lab.forecast import Work
from lab.report import Report
from lab.settings import KEY, MOST_MACHINES, NETWORK, address, mac_address, machine_names
from lab.shell import attempt, run

LABEL = "kubefab.lab.machine"
STACKS = {"": MACHINE, "guide": guide.MACHINE}
REPOSITORY = "localhost/kubefab-lab/machine"
# Overlay on overlay does not work: these get real directories of the computer.
VOLUMES = ("/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet")
ALIVE = ("running", "stopping")
# Where podman's monitors leave word of a container's end.
EXITS = Path("/run/libpod/exits")
INSIDE = "/usr/local/lib/kubefab-lab"


@dataclass(frozen=True)
class Container:
    """What podman says of a machine, checked against what really runs."""

    name: str
    container: str
    image: str
    pid: int
    kind = "container"
    patience = 60

    @property
    def runs(self) -> bool:
        """podman may not have noticed a power cut, and the process id may be another machine's by now.

        A process that is ending keeps its control group until it is waited for, and has no root directory any more.
        """
        return self.pid > 0 and cgroups.holds(self.container, self.pid) and (self.root / "etc").exists()

    @property
    def lost(self) -> bool:
        """podman believes that it runs, and it does not."""
        return self.pid > 0 and not self.runs

    @property
    def log(self) -> str:
        return f"podman logs {container_name(self.name)}"

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.pid}/root")

    def lets_in(self) -> bool:
        """sshd answers, and the machine is so far up that it no longer turns users away."""
        return not (self.root / "run/nologin").exists() and ways_in.sshd_answers(self.name)

    def host_keys(self) -> list[str]:
        return ways_in.host_keys(self.name, self.root / "etc/ssh")

    def destroy(self) -> None:
        """The machine, its disk, and what the kernel still keeps of it."""
        self.tell_podman()
        run("podman", "rm", "--force", "--volumes", "--time=0", self.container)
        self.tidy()

    def revive(self) -> bool:
        """Switch a machine on again that lost its power; whether its disk is as it was, not as new."""
        self.tell_podman()
        self.tidy()
        if not attempt("podman", "--runtime", "runc", "start", self.container).returncode:
            return True
        self.destroy()
        create(self.name, self.image)
        return False

    def reboot(self) -> None:
        """As a person would: systemd shuts down, the disk stays."""
        run("podman", "stop", "--time=60", self.container)
        self.tidy()
        run("podman", "--runtime", "runc", "start", self.container)

    def cut(self) -> None:
        run("podman", "kill", self.container)

    def tidy(self) -> None:
        """What the kernel and podman's helpers keep of a machine that has ended."""
        attempt("runc", "delete", "--force", self.container)
        cgroups.remove_all(cgroups.of_machine(self.name, self.container))
        network.forget_lease(address(self.name))

    def tell_podman(self) -> None:
        """Leave the exit file that the machine's monitor would have left, had it not died as well."""
        if EXITS.is_dir() and self.lost:
            (EXITS / self.container).write_text("137")


def container_name(name: str) -> str:
    return f"kubefab-lab-{name}"


def parse(listed: str) -> dict[str, Container]:
    """podman ps's JSON, in the machines' own order."""
    found = {}
    for each in json.loads(listed or "[]"):
        name = each["Labels"][LABEL]
        found[name] = Container(name, each["Id"], each["Image"], each["Pid"] if each["State"] in ALIVE else 0)
    return {name: found[name] for name in machine_names(MOST_MACHINES) if name in found}


def existing() -> dict[str, Container]:
    return parse(run("podman", "ps", "--all", "--filter", f"label={LABEL}", "--format", "json"))


def image(stack: str) -> str:
    return f"{REPOSITORY}:{STACKS[stack].key}"


def works(stack: str) -> list[Work]:
    """Importing the machines' image into podman's own storage, where that has it not."""
    if shutil.which("podman") and not attempt("podman", "image", "exists", image(stack)).returncode:
        return []
    return [Work("podman", 11, ("debian-packages", STACKS[stack].name), about="the machines' image for podman")]


def ensure_image(report: Report, stack: str) -> None:
    for work in works(stack):
        with report.making(work):
            import_image(stack)


def forget_images() -> None:
    """Those of older pins that no machine uses any more."""
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
