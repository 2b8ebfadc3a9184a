"""Big files to and from a host, over its one connection; their sha256 tells whether all of it came over."""

import hashlib
import shlex
import shutil
import tarfile
from pathlib import Path

from kubefab.errors import HostError
from kubefab.host import Host
from kubefab.programs import fed

CHUNK = 1 << 18
RECEIVE = 'umask 077; mkdir -p "${1%/*}"; cat >"$1"'


def fetch(host: Host, script: str, *args: str, to: Path, payload: str = "") -> str:
    """What a script prints there, as a file here; its sha256. HostError where the script fails."""
    command, stdin = host.link.sudo.wrap(
        host.link, shlex.join(["sh", "-s", "--", *args]), fed(script, payload).encode()
    )
    digest, size, part = hashlib.sha256(), 0, to.with_name(f"{to.name}.part")
    with host.link.channel(command) as channel, part.open("wb") as file:
        channel.sendall(stdin)
        channel.shutdown_write()
        while data := channel.recv(CHUNK):
            file.write(data)
            digest.update(data)
            size += len(data)
            host.tell(f"{to.name}: {_mb(size)} here")
        errors = channel.makefile_stderr("rb").read().decode(errors="replace")
        status = channel.recv_exit_status()
    if status != 0:
        raise HostError(f"{shlex.join([f'scripts/{script}', *args])} ended with exit status {status}", errors)
    part.replace(to)
    return digest.hexdigest()


def fetch_folder(host: Host, script: str, *args: str, to: Path) -> None:
    """The files in the flat tar that a script prints there. HostError where it fails, or prints something else."""
    to.mkdir(parents=True)
    packed = to / "packed.tar"
    fetch(host, script, *args, to=packed)
    try:
        with tarfile.open(packed) as archive:
            _unpack(archive, to)
    except (tarfile.TarError, EOFError) as error:
        raise HostError(f"what scripts/{script} printed is no tar: {error}") from error
    packed.unlink()


def _unpack(archive: tarfile.TarFile, to: Path) -> None:
    """Regular files alone, by their last names: a host's word leads nowhere else on this computer.

    `extractall(filter="data")` would do, and Python 3.11.2, Debian 12's own, has none.
    """
    for member in archive:
        if member.isfile() and (data := archive.extractfile(member)):
            with data, (to / Path(member.name).name).open("wb") as file:
                shutil.copyfileobj(data, file)


def send(host: Host, file: Path, to: str) -> None:
    """A file of this computer, there, for root's eyes only."""
    command, stdin = host.link.sudo.wrap(host.link, shlex.join(["sh", "-c", RECEIVE, "receive", to]), b"")
    size, done = file.stat().st_size, 0
    with host.link.channel(command) as channel, file.open("rb") as source:
        channel.sendall(stdin)
        while data := source.read(CHUNK):
            channel.sendall(data)
            done += len(data)
            host.tell(f"{file.name}: {_mb(done)} of {_mb(size)} there")
        channel.shutdown_write()
        errors = channel.makefile_stderr("rb").read().decode(errors="replace")
        status = channel.recv_exit_status()
    if status != 0:
        raise HostError(f"{file} did not arrive as {to}", errors, "is there room for it?")


def sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
