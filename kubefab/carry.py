"""Big files to and from a host, over its one connection; their sha256 tells whether all of it came over."""

import hashlib
import os
import shlex
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import paramiko

from kubefab.disk import here
from kubefab.errors import HostError
from kubefab.framing import Frame
from kubefab.host import Host
from kubefab.programs import fed
from kubefab.ssh import taken, talking

CHUNK = 1 << 18
FETCH_SECONDS = 600.0  # without a byte: packages are gathered there before the first one comes
SEND_SECONDS = 120.0
# A part is never taken for the whole, and none is left behind.
RECEIVE = (
    'printf "\\n%s\\n" "$3"; printf "\\n%s\\n" "$3" >&2; umask 077; set -eu; mkdir -p "${1%/*}"; '
    'trap "rm -f \\"$1.part\\"" EXIT; trap exit HUP INT TERM; cat >"$1.part"; '
    'test "$(stat -c %s "$1.part")" = "$2"; mv -f "$1.part" "$1"'
)


def fetch(host: Host, script: str, *args: str, to: Path, hear: Callable[[str], object] = lambda _: None) -> str:
    """What a script prints there, as a file here, for its owner's eyes alone; its sha256.

    `hear` is told what it said on standard error. HostError where the script fails, or there is no room.
    """
    frame = Frame()
    command, stdin = host.link.sudo.wrap(host.link, frame.command(args), frame.program(fed(script)), frame)
    digest, size, part = hashlib.sha256(), 0, to.with_name(f"{to.name}.part")
    with host.named(), host.link.channel(command, FETCH_SECONDS) as channel, here(part), _private(part) as file:
        with talking(FETCH_SECONDS):
            taken(channel, stdin)
            channel.shutdown_write()
        for data in frame.stream(_received(channel)):
            file.write(data)
            digest.update(data)
            size += len(data)
            host.tell(f"{to.name}: {_mb(size)} here")
        status, errors = _ended(channel, frame)
    if status != 0:
        raise HostError(
            f"{shlex.join([f'scripts/{script}', *args])} ended with exit status {status}", host.shown(errors)
        )
    hear(errors)
    part.replace(to)
    return digest.hexdigest()


def _private(path: Path) -> IO[bytes]:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def fetch_folder(host: Host, script: str, *args: str, to: Path) -> None:
    """The files in the flat tar that a script prints there. HostError where it fails, or prints something else."""
    with here(to):
        to.mkdir(parents=True)
    packed = to / "packed.tar"
    fetch(host, script, *args, to=packed)
    try:
        with here(to), tarfile.open(packed) as archive:
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
    """A file of this computer, there, for root's eyes only. HostError where it does not arrive as a whole."""
    with here(file):
        size, source = file.stat().st_size, file.open("rb")
    frame, done = Frame(), 0
    words = shlex.join(["sh", "-c", RECEIVE, "receive", to, str(size), frame.mark])
    command, stdin = host.link.sudo.wrap(host.link, words, b"", frame)
    with host.named(), host.link.channel(command, SEND_SECONDS) as channel, source:
        with talking(SEND_SECONDS):
            # Where there is no room, nobody reads on: what was said of it tells more.
            going = taken(channel, stdin)
            while going and (data := _read(source, file)):
                going = taken(channel, data)
                done += len(data)
                host.tell(f"{file.name}: {_mb(done)} of {_mb(size)} there")
            channel.shutdown_write()
        for _ in frame.stream(_received(channel)):
            pass
        status, errors = _ended(channel, frame)
    if status != 0:
        raise HostError(f"{file} did not arrive as {to}", host.shown(errors), "is there room for it?")


def _received(channel: paramiko.Channel) -> Iterator[bytes]:
    with talking(FETCH_SECONDS):
        yield from iter(lambda: channel.recv(CHUNK), b"")


def _ended(channel: paramiko.Channel, frame: Frame) -> tuple[int, str]:
    """Exit status, and what was said on standard error."""
    with talking(FETCH_SECONDS):
        errors = channel.makefile_stderr("rb").read().decode(errors="replace")
        status = channel.recv_exit_status()
    if status == -1:
        raise HostError("the connection was lost", frame.after(errors), "run the same command again")
    return status, frame.after(errors)


def _read(source: IO[bytes], file: Path) -> bytes:
    with here(file):
        return source.read(CHUNK)


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
