"""Names, addresses and places of the lab."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATE = Path("/var/lib/kubefab-lab")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "kubefab-lab"
LOGS = STATE / "logs"
KEY = STATE / "ssh/id_ed25519"
KNOWN_HOSTS = STATE / "ssh/known_hosts"
HOSTS = STATE / "hosts.yml"

NETWORK = "kubefab-lab"
SUBNET = "10.250.0.0/24"
GATEWAY = "10.250.0.1"
FIRST_MACHINE = 10
MOST_MACHINES = 40
FIRST_KERNEL = 60
MOST_KERNELS = 9

SUITE = "trixie"
KUBERNETES = "1.37.2"
FLANNEL = "0.28.10"
CRI_DOCKERD = "0.4.0"
METRICS_SERVER = "0.9.0"
LOCAL_PATH = "0.0.30"
ROOK = "1.20.6"


class LabError(Exception):
    """What went wrong, and what a person can do, for the terminal."""


def machine_names(count: int) -> list[str]:
    """manager, client, client2, client3 …"""
    return ["manager", "client", *(f"client{number}" for number in range(2, count))][:count]


def kernel_names(count: int) -> list[str]:
    """Of machines with kernels of their own: vm1, vm2 …"""
    return [f"vm{number}" for number in range(1, count + 1)]


def has_a_kernel(name: str) -> bool:
    return name in kernel_names(MOST_KERNELS)


def address(name: str) -> str:
    first, names = FIRST_MACHINE, machine_names(MOST_MACHINES)
    if has_a_kernel(name):
        first, names = FIRST_KERNEL, kernel_names(MOST_KERNELS)
    return f"10.250.0.{first + names.index(name)}"


def mac_address(name: str) -> str:
    """As hardware's, it outlives reinstalling: neighbours go on finding the machine."""
    return "02:00:" + ":".join(f"{int(byte):02x}" for byte in address(name).split("."))
