"""Whom to believe: a host is reached only where its SSH key is known."""

from pathlib import Path

import paramiko
from fabric import Connection
from paramiko.hostkeys import HostKeys

from kubefab.errors import HostError, UnknownHostKey


def believe_only_known(connection: Connection, known_hosts: Path | None) -> None:
    """fabric trusts new keys by default, a jump host's too."""
    hops = [connection]
    while isinstance(hops[-1].gateway, Connection):
        hops.append(hops[-1].gateway)
    for hop in hops:
        paths = _known_hosts(hop, known_hosts)
        for path in paths:
            if path.exists():
                hop.client.load_system_host_keys(str(path))
        hop.client.set_missing_host_key_policy(_Refuse(paths[0]))


def _known_hosts(hop: Connection, chosen: Path | None) -> list[Path]:
    if chosen:
        return [chosen]
    configured = hop.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts").split()
    return [*(Path(path).expanduser() for path in configured), Path("/etc/ssh/ssh_known_hosts")]


class _Refuse(paramiko.MissingHostKeyPolicy):
    def __init__(self, file: Path) -> None:
        self.file = file

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise UnknownHostKey(
            f"its SSH key is not known: {key.get_name()} {key.fingerprint}",
            lines=f"{hostname} {key.get_name()} {key.get_base64()}",
            hint=str(self.file),
        )


def changed(error: paramiko.BadHostKeyException, connection: Connection, known_hosts: Path | None) -> HostError:
    host, port = error.hostname, connection.port
    name = host if port == 22 else f"[{host}]:{port}"
    where = _where(name, _known_hosts(connection, known_hosts))
    return HostError(
        f"its SSH key has changed: now {error.key.get_name()} {error.key.fingerprint}; known from {where}",
        hint="somebody may be in between; if the machine was made anew: "
        f"ssh-keygen -R '{name}' -f {where.rpartition(':')[0]}",
    )


def _where(name: str, files: list[Path]) -> str:
    """FILE:LINE of the key that is known under this name."""
    for path in files:
        for number, line in enumerate(path.read_text().splitlines() if path.exists() else (), start=1):
            if any(_is(name, known) for known in line.partition(" ")[0].split(",")):
                return f"{path}:{number}"
    return f"{files[0]}:?"


def _is(name: str, known: str) -> bool:
    """Whether an entry of known_hosts, which may be hashed, is this name."""
    return known == name or (known.startswith("|1|") and HostKeys.hash_host(name, known) == known)
