"""The disk, the kernel and the initial RAM disk that machines with kernels of their own begin with."""

import shutil
from functools import partial
from pathlib import Path

from lab import distribution
from lab.parts import Job, Part
from lab.settings import HERE, SUITE

FILES = HERE / "image-kernels"
SHARED = distribution.IMAGE / "machine/etc"
PACKAGES = [
    *distribution.MACHINE_PACKAGES,
    *("linux-image-cloud-amd64", "initramfs-tools", "systemd-resolved", "systemd-timesyncd", "udev"),
    *("e2fsprogs", "lvm2", "mdadm", "cryptsetup-bin", "btrfs-progs", "gdisk"),
]
KERNEL = ("vmlinuz", "initrd.img")
DISK_GIB = 12


def make(job: Job) -> None:
    """As a fresh installation has them, the package lists are there."""
    sync_in = partial(distribution.sync_in, job)
    hooks = [sync_in(SHARED, "/etc"), sync_in(FILES / "machine", "/"), str(FILES / "finish-machine.sh")]
    customized = [f"--customize-hook={hook}" for hook in hooks]
    distribution.debootstrap(job, PACKAGES, "--variant=apt", "--skip=cleanup/apt/lists", *customized)
    shutil.rmtree(job.out / distribution.SYNCED)
    root = job.out / "root"
    root.mkdir()
    job.run("tar", "--extract", "--numeric-owner", "--file", job.out / "root.tar", "--directory", root)
    (job.out / "root.tar").unlink()
    for name in KERNEL:
        shutil.copy(next((root / "boot").glob(f"{name}-*")), job.out / name)
    job.run("mkfs.ext4", "-q", "-L", "root", "-d", root, job.out / "disk.img", f"{DISK_GIB}G")
    shutil.rmtree(root)


PART = Part(
    "kernels",
    f"the disk of machines with kernels of their own, Debian {SUITE}",
    (FILES, SHARED, " ".join(PACKAGES), SUITE, Path(__file__)),
    make,
    seconds=150,
    gigabytes=4,
)
