"""As whom to log in: the keys that ssh would try, in its order, of files and of an agent."""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey

from kubefab.ways import Way

KINDS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
AGENT_SECONDS = 60  # somebody may have to touch or to unlock something


class NotLetIn(paramiko.AuthenticationException):
    """No key was taken; `hint` where it is known what would help."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class Agent(AgentSSH):
    """The agent at a socket; one that is not there has no keys."""

    def __init__(self, path: str) -> None:
        super().__init__()
        with suppress(OSError, paramiko.SSHException):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(AGENT_SECONDS)
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]


class Identities(AuthStrategy):
    """Keys that an agent has of those that are named, its others, then the files (OpenSSH: pubkey_prepare)."""

    def __init__(self, way: Way) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self.way = way
        self.locked: list[Path] = []
        self.unusable: list[str] = []

    def get_sources(self) -> Iterator[AuthSource]:
        for key in self._keys():
            yield InMemoryPrivateKey(self.way.user, key)

    def _keys(self) -> Iterator[paramiko.PKey]:
        agents = Agent(self.way.agent).get_keys() if self.way.agent else ()
        named = [public for path in (*self.way.keys, *self.way.certificates) if (public := _public(path))]
        for offered in sorted(agents, key=lambda key: key.asbytes() not in named):
            if offered.asbytes() in named or not self.way.only_these:
                yield from _certified(offered, self.way.certificates)
                yield offered
        held = {key.asbytes() for key in agents}
        for path in self.way.keys:
            if _public(path) not in held and (key := self._private(path)):
                yield from _certified(key, (*self.way.certificates, Path(f"{path}-cert.pub")))
                yield key

    def _private(self, path: Path) -> paramiko.PKey | None:
        """None where ssh would pass it over as well, or paramiko has to."""
        if not os.path.isfile(path) or path.suffix == ".pub":
            return None
        for kind in KINDS:
            try:
                return kind.from_private_key_file(str(path))
            except paramiko.PasswordRequiredException:
                self.locked.append(path)
                return None
            except (paramiko.SSHException, OSError, ValueError, IndexError):
                continue
        self.unusable.append(_why_unusable(path))
        return None

    def authenticate(self, transport: paramiko.Transport) -> object:  # type: ignore[override]
        """Tries them one by one. NotLetIn where none is taken, or where a key is not enough."""
        tried = 0
        for source in self.get_sources():
            tried += 1
            try:
                missing = source.authenticate(transport)
            except paramiko.SSHException:
                if transport.is_active():
                    continue
                break  # too many keys for this sshd
            if missing:
                raise NotLetIn(f"a key is not enough there: it wants {' or '.join(missing)} besides")
            return source
        raise self._refused(tried)

    def _refused(self, tried: int) -> NotLetIn:
        if self.unusable and not tried:
            return NotLetIn("; ".join(self.unusable), "let kubefab log in with another key: `ssh.key` in hosts.yml")
        if self.locked:
            hint = f"unlock it for all of them: ssh-add {self.locked[0]}"
            return NotLetIn(f"the key has a passphrase: {self.locked[0]}", hint)
        return NotLetIn(f"it takes none of {tried} keys" if tried else NO_KEY)


NO_KEY = "there is no key here"


def _certified(key: paramiko.PKey, certificates: Iterable[Path]) -> Iterator[paramiko.PKey]:
    """The same key, bearing each certificate that is about it: whatever is offered in vain costs one of few tries."""
    if "-cert-" in key.get_name():  # as an agent has it
        return
    for certificate in dict.fromkeys(certificates):
        with suppress(paramiko.SSHException, OSError, ValueError, IndexError):
            key.load_certificate(str(certificate))
            if key.public_blob and _numbers(key.asbytes()) in key.public_blob.key_blob:
                yield key
        key.public_blob = None


def _numbers(blob: bytes) -> bytes:
    """What follows the kind: a certificate has the same, between a nonce and what it certifies (PROTOCOL.certkeys)."""
    return blob[4 + int.from_bytes(blob[:4], "big") :]


def _public(path: Path) -> bytes:
    """The blob of a key, from the public one beside it or in its place; b"" where there is none."""
    public = path if path.suffix == ".pub" else Path(f"{path}.pub")
    with suppress(OSError, ValueError, IndexError, paramiko.SSHException):
        return paramiko.pkey.PublicBlob.from_string(public.read_text("utf-8", "replace")).key_blob
    return b""


def _why_unusable(path: Path) -> str:
    with suppress(OSError, ValueError):
        kind = Path(f"{path}.pub").read_text("utf-8", "replace").partition(" ")[0]
        if kind.startswith("sk-"):
            return f"{path} is of a security key ({kind}), which paramiko cannot use"
    return f"{path} is no private key that paramiko can read"
