"""What is fetched from the internet or from a mirror, each believed only by its pin."""

import hashlib
import os
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import tenacity

from kubefab import bundle, mirrors, releases
from kubefab.errors import HostError, reason
from kubefab.inventory import Inventory

SECONDS = 30


class _Passing(Exception):
    """A failure that another attempt may cure."""


@cache
def fetch(url: str) -> bytes:
    """The bytes at a URL. HostError, in words for the user, where they are not to be had."""
    import requests

    if url.startswith("file://"):
        return _read(url)

    def get() -> bytes:
        try:
            answer = requests.get(url, timeout=SECONDS)
        except requests.RequestException as error:
            raise _Passing(reason(error)) from error
        if answer.status_code >= 500:
            raise _Passing(f"{answer.status_code} {answer.reason}")
        if not answer.ok:
            raise HostError(f"{url}: {answer.status_code} {answer.reason}", hint=_HINT)
        return answer.content

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Passing),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_exponential(),
        reraise=True,
    )
    try:
        return attempts(get)
    except _Passing as error:
        raise HostError(f"{url}: {error}", hint=_HINT) from error


def _read(url: str) -> bytes:
    try:
        return Path(unquote(urlsplit(url).path)).read_bytes()
    except (OSError, ValueError) as error:
        raise HostError(f"{url}: {reason(error)}", hint=_HINT) from error


def pinned(url: str, sha256: str) -> bytes:
    """The bytes at a URL if they are those that were pinned."""
    return checked(url, fetch(url), sha256)


def checked(url: str, found: bytes, sha256: str) -> bytes:
    if (digest := hashlib.sha256(found).hexdigest()) != sha256:
        raise HostError(f"{url}: its sha256 is {digest}, pinned is {sha256}", hint="ask who changed it, and why")
    return found


def kept(url: str, sha256: str) -> bytes:
    """The same, from the time that it was fetched before: a computer without internet may have it, too.

    A cache that cannot be read or written (full, read-only, of a user without a home) is none.
    """
    with suppress(OSError, RuntimeError):
        found = (_cache() / sha256).read_bytes()
        if hashlib.sha256(found).hexdigest() == sha256:
            return found
    found = pinned(url, sha256)
    with suppress(OSError, RuntimeError):
        _keep(_cache() / sha256, found)
    return found


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubefab"


def _keep(file: Path, data: bytes) -> None:
    """Whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def published(inventory: Inventory, url: str, sha256: str, get: Callable[[str, str], bytes] | None = None) -> bytes:
    """A pinned file: out of hosts.yml's bundle, or from its public address or that one's mirror."""
    if inventory.bundle:
        return checked(url, bundle.read(inventory.bundle, bundle.place(url)), sha256)
    return (get or pinned)(mirrors.mirrored(url, inventory)[0], sha256)


def key(url: str, fingerprint: str) -> bytes:
    """An armored OpenPGP key as apt's keyring: of those that are there the pinned one alone."""
    try:
        found = keys(dearmored(fetch(url)))
    except (ValueError, IndexError) as error:
        raise HostError(f"{url}: this is no OpenPGP key", hint=_HINT) from error
    if fingerprint not in found:
        raise HostError(
            f"{url}: its key is {', '.join(found) or 'none'}, pinned is {fingerprint}",
            hint="a mirror with its own signature needs `key: FINGERPRINT` in hosts.yml",
        )
    return found[fingerprint]


def repository_key(inventory: Inventory) -> bytes:
    """What the apt repository of the wanted minor is signed with, or its mirror."""
    return key(mirrors.repository(inventory)[0].key, signer(inventory))


def signer(inventory: Inventory) -> str:
    """Whose key the apt repository, or its mirror, has to be signed with: its fingerprint."""
    return mirrors.repository(inventory)[1] or releases.KEY


def fingerprints(keyring: bytes) -> list[str]:
    """Of the keys in a keyring; [] for what is none."""
    try:
        return list(keys(keyring))
    except (ValueError, IndexError):
        return []


def dearmored(text: bytes) -> bytes:
    """The packets within an ASCII armor (RFC 9580, section 6); b"" where there is none."""
    _, _, rest = text.replace(b"\r", b"").partition(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")
    body = rest.partition(b"\n\n")[2].partition(b"-----END")[0]
    return b64decode(b"".join(line for line in body.split(b"\n") if not line.startswith(b"=")))


def keys(packets: bytes) -> dict[str, bytes]:
    """Each primary key (tag 6, version 4) with what belongs to it, by its fingerprint: RFC 9580, 4.2 and 5.5.4.2."""
    found: dict[str, bytes] = {}
    fingerprint = ""
    while packets:
        tag, body, rest = _packet(packets)
        if tag == 6:
            header = b"\x99" + len(body).to_bytes(2, "big")
            fingerprint = hashlib.sha1(header + body).hexdigest().upper()  # noqa: S324  the format says so
        found[fingerprint] = found.get(fingerprint, b"") + packets[: len(packets) - len(rest)]
        packets = rest
    return found


def _packet(data: bytes) -> tuple[int, bytes, bytes]:
    """The first packet's tag and body, and what follows it."""
    if data[0] & 0x40:
        tag, first = data[0] & 0x3F, data[1]
        size, start = (first, 2) if first < 192 else (((first - 192) << 8) + data[2] + 192, 3)
        if first == 255:
            size, start = int.from_bytes(data[2:6], "big"), 6
    else:
        tag, width = (data[0] & 0x3C) >> 2, 1 << (data[0] & 3)
        size, start = int.from_bytes(data[1 : 1 + width], "big"), 1 + width
    return tag, data[start : start + size], data[start + size :]


_HINT = "is it reachable from here? `mirrors:` in hosts.yml can name another source"
