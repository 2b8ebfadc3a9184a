"""Whom to believe: a host is reached only where its SSH key is known."""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from shlex import quote

import paramiko
from paramiko.hostkeys import HostKeys

from kubefab.errors import HostError, UnknownHostKey

AS_SHA2 = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True)
class Known:
    """A line of a known_hosts file that is about this host."""

    marker: str  # @cert-authority, @revoked, or nothing
    kind: str
    key: str  # in base64
    file: Path
    number: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


def known(name: str, files: Iterable[Path]) -> list[Known]:
    """What the files say of a host. A line that cannot be read is passed over, as ssh does; so is a file."""
    return [one for file in files for one in _read(name, file)]


def _read(name: str, file: Path) -> Iterator[Known]:
    try:
        text = file.read_bytes().decode(errors="replace")
    except OSError:
        return
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) >= 3 and not words[0].startswith("#") and _is(name, words[0]) and _readable(words[2]):
            yield Known(marker, words[1], words[2], file, number)


def _is(name: str, names: str) -> bool:
    """Whether the names of a line, which may be hashed, have wildcards or be negated, are this one."""
    if names.startswith("|1|"):
        try:
            return HostKeys.hash_host(name, names) == names
        except (ValueError, IndexError):  # cut off
            return False
    patterns = names.lower().split(",")
    if any(fnmatchcase(name.lower(), _pattern(one[1:])) for one in patterns if one.startswith("!")):
        return False
    return any(fnmatchcase(name.lower(), _pattern(one)) for one in patterns if not one.startswith("!"))


def _pattern(text: str) -> str:
    """[host]:port is no set of letters."""
    return text.replace("[", "[[]")


def _readable(key: str) -> bool:
    try:
        return bool(b64decode(key, validate=True))
    except ValueError:
        return False


def preferred(found: Iterable[Known], kinds: Iterable[str]) -> list[str]:
    """The kinds of key to ask a host for: those first by which it is known."""
    by = [kind for one in found if not one.marker for kind in AS_SHA2.get(one.kind, (one.kind,))]
    return sorted(kinds, key=lambda kind: kind not in by)


class Checked(paramiko.MissingHostKeyPolicy):
    """The whole of the check, in the place of paramiko's own: that one knows neither markers nor aliases."""

    def __init__(self, name: str, files: tuple[Path, ...]) -> None:
        self.name = name
        self.files = files

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """UnknownHostKey, with the line that would accept it; HostError for one that is changed or revoked."""
        check(self.name, key, self.files)


def check(name: str, key: paramiko.PKey, files: tuple[Path, ...]) -> None:
    """Nothing where this key is known of this name. UnknownHostKey or HostError where it is not to be believed."""
    found, kind, text = known(name, files), key.get_name(), key.get_base64()
    same = [one for one in found if one.key == text]
    if revoked := [one for one in same if one.marker == "@revoked"]:
        raise HostError(
            f"its SSH key is revoked: {kind} {key.fingerprint}, by {revoked[0].where}",
            hint="give the host another key, or find out who answers in its place",
        )
    if any(not one.marker for one in same):
        return
    if others := [one for one in found if not one.marker]:
        others.sort(key=lambda one: one.kind != kind)
        raise _changed(name, key, others[0])
    what = "its SSH key is not known"
    if authorities := [one for one in found if one.marker == "@cert-authority"]:
        what = f"{what} itself, only an authority ({authorities[0].where}), which paramiko cannot follow"
    raise UnknownHostKey(f"{what}: {kind} {key.fingerprint}", accepting=f"{name} {kind} {text}", file=str(files[0]))


def _changed(name: str, key: paramiko.PKey, other: Known) -> HostError:
    return HostError(
        f"its SSH key has changed: now {key.get_name()} {key.fingerprint}; known from {other.where}",
        hint="somebody may be in between; if the machine was made anew: "
        f"ssh-keygen -R {quote(name)} -f {quote(str(other.file))}",
    )
