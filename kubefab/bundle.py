"""A bundle: packages, images and other files of one cluster as one archive, with the checksums of all that is in it."""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from kubefab.disk import sha256
from kubefab.errors import KubefabError, reason

ABOUT, SUMS = "bundle.json", "SHA256SUMS"  # the first two in it


@dataclass(frozen=True)
class Bundle:
    """What a bundle says of itself; `sums` is the sha256 of its checksums, and so of everything."""

    sums: str
    kubernetes: str
    os: str
    arch: str
    runtime: str
    images: Mapping[str, str]  # image -> file
    files: frozenset[str]  # all that is in it


@cache
def opened(path: Path) -> Bundle:
    """KubefabError where there is none, or something else."""
    try:
        with tarfile.open(path, "r:") as archive:
            about, sums = (_next(archive, name) for name in (ABOUT, SUMS))
        files = frozenset(line.partition("  ")[2] for line in sums.decode().splitlines())
        return _checked(Bundle(sums=hashlib.sha256(sums).hexdigest(), files=files, **json.loads(about)))
    except OSError as error:
        raise KubefabError(f"{path}: {reason(error)}; `inv bundle.make` writes a bundle") from None
    except (tarfile.TarError, EOFError, ValueError, TypeError, AttributeError, RecursionError):
        raise KubefabError(f"{path}: found no bundle; allowed: a file that `inv bundle.make` wrote") from None


def _checked(made: Bundle) -> Bundle:
    """TypeError or AttributeError where it says of itself what is no text."""
    said = (made.kubernetes, made.os, made.arch, made.runtime, *made.images, *made.images.values())
    if not all(isinstance(one, str) for one in said):
        raise TypeError(said)
    return made


def read(path: Path, name: str) -> bytes:
    """A file in a bundle, if it is as its checksum says."""
    try:
        with tarfile.open(path, "r:") as archive:
            sums, found = archive.extractfile(SUMS), archive.extractfile(name)
            listed, data = (file.read() if file else b"" for file in (sums, found))
    except (KeyError, OSError, tarfile.TarError):
        raise KubefabError(f"{path}: there is no {name} in it; make it anew: inv bundle.make") from None
    if f"{hashlib.sha256(data).hexdigest()}  {name}".encode() not in listed.splitlines():
        raise KubefabError(f"{path}: {name} is not what it was when the bundle was made")
    return data


def place(url: str) -> str:
    """Of what is published at a URL, in a bundle."""
    return f"files/{url.partition('://')[2]}"


def write(path: Path, about: Mapping[str, Any], folder: Path) -> None:
    """A bundle of all files in a folder. It is there whole, or not at all."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    described = json.dumps(about, indent=2).encode()
    listed = [(hashlib.sha256(described).hexdigest(), ABOUT)]
    listed += [(sha256(file), str(file.relative_to(folder))) for file in files]
    part = path.with_name(f"{path.name}.part")
    with tarfile.open(part, "w:", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, ABOUT, described)
        _add(archive, SUMS, "".join(f"{digest}  {name}\n" for digest, name in listed).encode())
        for file in files:
            archive.add(file, file.relative_to(folder), filter=_anybodys)
    part.replace(path)
    opened.cache_clear()


def _next(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.next()
    file = archive.extractfile(member) if member and member.name == name else None
    if not file:
        raise ValueError(name)
    return file.read()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(_anybodys(member), BytesIO(data))


def _anybodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """apt reads packages as a user of its own."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    return member
