"""QEMU: its command line, and whether this computer's KVM is of any use to it."""

import json
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import files
from lab.settings import STATE

PROGRAM = "qemu-system-x86_64"
KVM = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
REMEMBERED = STATE / "vm/kvm.json"
ACCELERATORS = {"kvm": "kvm", "emulation": "tcg,thread=multi"}
PROCESSORS = 2
MEBIBYTES = 3072
# What a kernel says that has come as far as it can without a disk.
RAN = "Unable to mount root fs"


@dataclass(frozen=True)
class Hardware:
    """What a machine is made of, besides what all of them have in common."""

    name: str
    uuid: str
    mac: str
    tap: str
    kernel: Path
    initrd: Path
    disks: Sequence[Path]
    console: Path
    monitor: Path


def process_name(name: str) -> str:
    return f"kubefab-lab-{name}"


def command(hardware: Hardware, accelerator: str) -> list[str]:
    """cache=writeback: what the machine has not synced is lost with its power, as it is anywhere."""
    words = [PROGRAM, "-name", process_name(hardware.name), *kernel(accelerator, hardware.kernel)]
    words += ["-initrd", str(hardware.initrd), "-append", "root=/dev/vda rw console=ttyS0 quiet"]
    words += ["-smp", str(PROCESSORS), "-m", str(MEBIBYTES), "-uuid", hardware.uuid, "-rtc", "base=utc"]
    for number, disk in enumerate(hardware.disks):
        words += ["-drive", f"file={disk},if=none,id=disk{number},format=raw,cache=writeback,discard=unmap"]
        words += ["-device", f"virtio-blk-pci,drive=disk{number},serial={disk.stem}"]
    words += ["-netdev", f"tap,id=net,ifname={hardware.tap},script=no,downscript=no"]
    words += ["-device", f"virtio-net-pci,netdev=net,mac={hardware.mac}", "-device", "virtio-rng-pci"]
    return [*words, "-serial", f"file:{hardware.console}", "-monitor", f"unix:{hardware.monitor},server,nowait"]


def kernel(accelerator: str, image: Path) -> list[str]:
    machine = ["-machine", "q35", "-accel", ACCELERATORS[accelerator], "-cpu", "max"]
    return [*machine, "-nodefaults", "-display", "none", "-kernel", str(image)]


def is_ours(argv: Sequence[str], name: str, monitor: Path) -> bool:
    """By its whole command line: a process id may be anybody's by now."""
    return argv[:3] == [PROGRAM, "-name", process_name(name)] and f"unix:{monitor},server,nowait" in argv


def press(monitor: Path, button: str) -> None:
    """A button of the machine's front: it is pressed once QEMU asks for the next command."""
    with socket.socket(socket.AF_UNIX) as panel:
        panel.connect(str(monitor))
        hear_prompt(panel)
        panel.sendall(f"{button}\n".encode())
        hear_prompt(panel)


def hear_prompt(panel: socket.socket) -> None:
    said = b""
    while not said.endswith(b"(qemu) "):
        if not (more := panel.recv(4096)):
            return
        said += more


def accelerator(image: Path) -> str:
    """Tried once while this computer runs: KVM can be there, open, and not run an ordinary kernel."""
    boot = BOOT_ID.read_text().strip()
    known = json.loads(REMEMBERED.read_text()) if REMEMBERED.exists() else {}
    if known.get("boot") != boot:
        known = {"boot": boot, "accelerator": "kvm" if kvm_runs(image) else "emulation"}
        files.write(REMEMBERED, json.dumps(known))
    return str(known["accelerator"])


def kvm_runs(image: Path, seconds: float = 30) -> bool:
    """Whether a kernel comes as far as looking for its disk."""
    if not KVM.exists():
        return False
    words = [PROGRAM, *kernel("kvm", image), "-no-reboot", "-m", "512"]
    words += ["-append", "console=ttyS0 panic=-1", "-serial", "stdio"]
    try:
        done = subprocess.run(words, stdin=-3, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    return RAN.encode() in done.stdout
