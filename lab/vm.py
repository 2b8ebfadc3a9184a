"""Machines with kernels of their own: QEMU, and disks that outlive a loss of power."""

import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import network, qemu, requirements, services, vm_image, ways_in
from lab.distribution import architecture
from lab.settings import GATEWAY, KEY, MOST_KERNELS, STATE, LabError, address, kernel_names, mac_address
from lab.shell import attempt, run
from lab.waiting import until

FOLDER = STATE / "vm"
# In the machine's order, vda first. Two are raw, as rook wants them; only what is written takes room here.
DISKS = {"disk": "12G", "swap": "1G", "raw1": "12G", "raw2": "12G"}
# Seconds until a machine lets people in, or has shut down: emulation is some ten times slower.
PATIENCE = {"kvm": 60, "emulation": 600}
# Home -> the user's number, as the image's finish-machine.sh has made them.
HOMES = {"/root": 0, "/home/sudoer": 1000, "/home/sudopass": 1001}
PROGRAMS = {qemu.PROGRAM: "qemu-system-x86", "mkfs.ext4": "e2fsprogs", "debugfs": "e2fsprogs", "mkswap": "util-linux"}
RESOLVERS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))


@dataclass(frozen=True)
class VM:
    """A folder with disks, and the process that QEMU is while the machine is on."""

    name: str

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def monitor(self) -> Path:
        return self.folder / "monitor"

    @property
    def image(self) -> str:
        return self.noted("image")

    @property
    def kind(self) -> str:
        """What it was switched on with: kvm or emulation."""
        return self.noted("accelerator")

    @property
    def patience(self) -> int:
        return PATIENCE[self.kind]

    @property
    def log(self) -> str:
        return str(self.folder / "console.log")

    @property
    def tap(self) -> str:
        return f"kubefab-{self.name}"

    @property
    def runs(self) -> bool:
        return self.pid(services.processes()) is not None

    def noted(self, what: str) -> str:
        path = self.folder / what
        return path.read_text() if path.exists() else ""

    def pid(self, alive: Mapping[int, list[str]]) -> int | None:
        return next((pid for pid, argv in alive.items() if qemu.is_ours(argv, self.name, self.monitor)), None)

    def lets_in(self) -> bool:
        """sshd answers, and the machine is so far up that it no longer turns users away."""
        words = ways_in.ssh(self.name, "test ! -e /run/nologin", known_hosts=self.folder / "known_hosts")
        return ways_in.sshd_answers(self.name) and not attempt("timeout", "30", *words).returncode

    def host_keys(self) -> list[str]:
        return (self.folder / "known_hosts").read_text().splitlines()

    def start(self) -> None:
        """Outlives the command that started it."""
        network.plug_in(self.tap, address(self.name))
        hardware = self.hardware()
        (self.folder / "accelerator").write_text(qemu.accelerator(hardware.kernel))
        words = qemu.command(hardware, self.kind)
        with (self.folder / "qemu.log").open("w") as log:
            process = subprocess.Popen(words, stdin=-3, stdout=log, stderr=log, start_new_session=True, cwd="/")
        until(lambda: self.monitor.exists() or process.poll() is not None, 15)
        if process.poll() is not None:
            raise LabError(f"QEMU ended at once:\n{(self.folder / 'qemu.log').read_text()}")

    def hardware(self) -> qemu.Hardware:
        kernel, initrd = (self.folder / name for name in vm_image.KERNEL)
        return qemu.Hardware(
            name=self.name,
            uuid=self.noted("uuid"),
            mac=mac_address(self.name),
            tap=self.tap,
            kernel=kernel,
            initrd=initrd,
            disks=[self.folder / f"{name}.img" for name in DISKS],
            console=self.folder / "console.log",
            monitor=self.monitor,
        )

    def cut(self) -> None:
        if pid := self.pid(services.processes()):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not self.runs, 15)
        self.monitor.unlink(missing_ok=True)

    def reboot(self) -> None:
        """As a person would: the power button, systemd shuts down, the disks stay."""
        qemu.press(self.monitor, "system_powerdown")
        if not until(lambda: not self.runs, self.patience):
            raise LabError(f"{self.name} has not shut down after {self.patience} s: {self.log}")
        self.cut()
        self.start()

    def revive(self) -> bool:
        self.cut()
        self.start()
        return True

    def destroy(self) -> None:
        self.cut()
        network.unplug(self.tap, address(self.name))
        shutil.rmtree(self.folder, ignore_errors=True)


def lacking(count: int) -> list[str]:
    """What this computer lacks for so many; the memory is beside that of the containers."""
    if not count:
        return []
    wanted = requirements.MEMORY_GIB + count * qemu.MEBIBYTES / 1024
    there = requirements.memory_gib()
    return [
        *([] if architecture() == "amd64" else ["x86-64: a machine with a kernel of its own is of that kind alone"]),
        *([] if there >= wanted else [f"{wanted:.0f} GiB of memory: there are {there:.1f}"]),
    ]


def existing() -> dict[str, VM]:
    """Also one of which only the process is left."""
    alive = services.processes()
    every = [VM(name) for name in kernel_names(MOST_KERNELS)]
    return {one.name: one for one in every if one.folder.is_dir() or one.pid(alive)}


def image() -> str:
    return vm_image.PART.key


def create(name: str, image: str) -> None:
    """A machine as new. Its folder takes its name when it is whole."""
    half = FOLDER / f"{name}.half"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for each in ("disk.img", *vm_image.KERNEL):
        run("cp", "--sparse=always", "--reflink=auto", vm_image.PART.place / each, half)
    for disk, size in DISKS.items():
        run("truncate", f"--size={size}", half / f"{disk}.img")
    run("mkswap", "--quiet", "--label", "swap", half / "swap.img")
    (half / "uuid").write_text(str(uuid.uuid4()))
    (half / "image").write_text(image)
    make_host_keys(name, half)
    write_into(half / "disk.img", half / "files", own_files(name, half))
    half.rename(FOLDER / name)
    VM(name).start()


def make_host_keys(name: str, folder: Path) -> None:
    """Here, so that they are known before anybody asks for them over the network."""
    (folder / "etc/ssh").mkdir(parents=True)
    run("ssh-keygen", "-A", "-f", folder)
    (folder / "known_hosts").write_text("".join(f"{line}\n" for line in ways_in.host_keys(name, folder / "etc/ssh")))


@dataclass(frozen=True)
class Own:
    """A file that this machine alone has."""

    path: str
    text: str
    mode: int = 0o644
    owner: int = 0


def own_files(name: str, folder: Path) -> Iterator[Own]:
    yield Own("/etc/hostname", f"{name}\n")
    yield Own("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n")
    yield Own("/etc/systemd/network/lan.network", lan(name, resolvers(RESOLVERS)))
    for home, number in HOMES.items():
        yield Own(f"{home}/.ssh/authorized_keys", KEY.with_suffix(".pub").read_text(), 0o600, number)
    for path in (folder / "etc/ssh").iterdir():
        yield Own(f"/etc/ssh/{path.name}", path.read_text(), 0o644 if path.suffix == ".pub" else 0o600)


def lan(name: str, nameservers: list[str]) -> str:
    """For the network card alone: what pods' links are is not this file's business."""
    dns = "".join(f"DNS={one}\n" for one in nameservers)
    return f"[Match]\nName=en*\n\n[Network]\nAddress={address(name)}/24\nGateway={GATEWAY}\n{dns}"


def resolvers(files: tuple[Path, ...]) -> list[str]:
    """This computer's nameservers, without those that only it can ask."""
    for path in files:
        found = re.findall(r"^nameserver\s+(\d\S+)", path.read_text() if path.exists() else "", re.M)
        if reachable := [one for one in found if not one.startswith("127.")]:
            return reachable
    return []


def write_into(disk: Path, folder: Path, files: Iterator[Own]) -> None:
    """Without mounting it, which not every computer allows."""
    folder.mkdir()
    said = []
    for number, file in enumerate(files):
        (folder / str(number)).write_text(file.text)
        fields = {"mode": f"0{0o100000 | file.mode:o}", "uid": file.owner, "gid": file.owner}
        said += [f'write "{folder / str(number)}" {file.path}']
        said += [f"set_inode_field {file.path} {field} {value}" for field, value in fields.items()]
    (folder / "commands").write_text("".join(f"{line}\n" for line in said))
    done = attempt("debugfs", "-w", "-f", folder / "commands", disk)
    if wrong := done.stderr.splitlines()[1:]:  # the first line is its version
        raise LabError(f"{disk}: {' '.join(wrong)}")
    shutil.rmtree(folder)
