"""The key that opens every machine, and the machines' own keys."""

import socket
from collections.abc import Iterable
from pathlib import Path

from lab.settings import KEY, KNOWN_HOSTS, address
from lab.shell import run


def ensure_key() -> None:
    """One key per computer, for root and both sudo users."""
    if not KEY.exists():
        KEY.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "kubefab-lab", "-f", KEY)


def host_keys(name: str, folder: Path) -> list[str]:
    """Read out of the machine itself, not over the network: this is what makes them worth trusting."""
    keys = sorted(folder.glob("ssh_host_*_key.pub"))
    return [f"{address(name)} {' '.join(path.read_text().split()[:2])}" for path in keys]


def write_known_hosts(lines: Iterable[str]) -> None:
    fresh = KNOWN_HOSTS.with_suffix(".new")
    fresh.write_text("".join(f"{line}\n" for line in lines))
    fresh.replace(KNOWN_HOSTS)


def sshd_answers(name: str) -> bool:
    try:
        with socket.create_connection((address(name), 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def ssh(name: str, *words: str, known_hosts: Path = KNOWN_HOSTS) -> list[str]:
    """The command line that opens a machine."""
    options = [f"UserKnownHostsFile={known_hosts}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
    flags = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "/dev/null", "-i", str(KEY), *flags, f"root@{address(name)}", *words]
