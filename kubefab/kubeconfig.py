"""Kubeconfigs on a computer that is none of the hosts: which files count, and how they are read and written."""

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import tenacity
import yaml

from kubefab.disk import sync
from kubefab.errors import KubefabError, reason
from kubefab.kubeadm import dumped

NOBODYS = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS)  # of a folder where nobody can write
LOCK_TRIES, LOCK_PAUSE = 20, 0.1  # a kubectl that writes is done in a moment


def reachable_at(text: str, server: str, credentials: Mapping[str, str] | None = None) -> str:
    """The kubeconfig with this server, by these credentials: the endpoint's own name is known to the hosts alone.

    KubefabError where the text is no kubeconfig.
    """
    if _authority(text) is None:
        raise KubefabError(_NONE)
    document = yaml.safe_load(text)
    for entry in document["clusters"]:
        entry["cluster"]["server"] = server
    if credentials:
        document["users"][0]["user"] = dict(credentials)
    return dumped([document])


def inside(text: str) -> tuple[str, dict[str, str]]:
    """The CA, in base64, and the credentials of the one cluster and user that are in it. KubefabError as above."""
    try:
        document = yaml.safe_load(text)
        credentials = dict(document["users"][0]["user"])
        return str(document["clusters"][0]["cluster"]["certificate-authority-data"]), credentials
    except (yaml.YAMLError, TypeError, ValueError, LookupError, RecursionError):
        raise KubefabError(_NONE) from None


def save(text: str, path: Path, force: bool) -> Path | None:
    """Writes it for its owner alone; where `force` wrote over somebody else's, tells where that is kept.

    KubefabError where another's would be written over without `force`, or it cannot be written.
    """
    try:
        was = path.read_bytes() if path.exists() else None
        anothers = was is not None and _anothers(was, text)
        if anothers and not force:
            raise KubefabError(f"{path} {anothers}; --force writes over it, and a copy of it is kept")
        copy = kept(path) if was and anothers else None
        if was and copy:
            _write(copy, was)
        _write(path, text.encode())
    except (OSError, ValueError) as error:
        raise KubefabError(f"{path}: {reason(error)}") from error
    return copy


def private(path: Path) -> str:
    """The kubeconfig in this file; "" where there is none that can be read, or others may read it."""
    try:
        text = path.read_text("utf-8")
        inside(text)
        return "" if path.stat().st_mode & 0o077 else text
    except (OSError, ValueError, KubefabError):
        return ""


def files() -> list[Path]:
    """Those that kubectl reads, the first first. Source: k8s.io/client-go, tools/clientcmd/loader.go."""
    named = filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep))
    once: dict[str, Path] = {}  # of two names of one file the first: what is put into it would be taken out again
    for name in named:
        once.setdefault(os.path.realpath(name), Path(name))
    return list(once.values()) or [Path(os.path.expanduser("~/.kube/config"))]


def home(among: Sequence[Path]) -> Path:
    """Where kubectl puts what is in none of them yet: the first that is there, else the last."""
    return next((path for path in among if path.exists()), among[-1])


def change(paths: Sequence[Path], changed: Callable[[Mapping[Path, str]], Mapping[Path, str]]) -> None:
    """Reads them and writes what `changed` makes of them, while no kubectl does. KubefabError where that fails.

    `changed` gives the files alone that are to be written, in this order.
    """
    with _locked(paths):
        for path, text in changed({path: _read(path) for path in paths}).items():
            with _named(path):
                _write(path, text.encode())


def kept(path: Path) -> Path:
    """A name beside this file that nobody has yet, for what it is now."""
    plain = path.with_name(f"{path.name}.before-kubefab")
    timed = (plain.with_name(f"{plain.name}-{second}") for second in count(int(time.time())))
    return next(one for one in chain((plain,), timed) if not os.path.lexists(one))


def _read(path: Path) -> str:
    """ "" where it is not there."""
    with _named(path):
        try:
            return path.read_text("utf-8")
        except FileNotFoundError:
            return ""


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise KubefabError(f"{path}: {reason(error)}") from error


@contextmanager
def _locked(paths: Sequence[Path]) -> Iterator[None]:
    """By kubectl's own locks, in its own order. Where nobody may write, nobody has to be kept from it."""
    with ExitStack() as held:
        for path in sorted(paths, key=str):
            _make_kubectls_folder(path)
            lock = path.with_name(f"{path.name}.lock")
            try:
                _take(lock, path)
            except OSError as error:
                if error.errno not in NOBODYS:
                    raise
            else:
                held.callback(lock.unlink, missing_ok=True)
        yield


def _take(lock: Path, path: Path) -> None:
    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(FileExistsError),
        stop=tenacity.stop_after_attempt(LOCK_TRIES),
        wait=tenacity.wait_fixed(LOCK_PAUSE),
        reraise=True,
    )
    try:
        os.close(again(os.open, lock, os.O_CREAT | os.O_EXCL, 0))
    except FileExistsError:
        raise KubefabError(f"another program is writing {path}: {lock} is there; if none is: rm {lock}") from None


def _make_kubectls_folder(path: Path) -> None:
    """~/.kube, which nobody has who has just begun."""
    if path.parent.name == ".kube":
        with _named(path):
            path.parent.mkdir(mode=0o700, exist_ok=True)


def _write(path: Path, data: bytes) -> None:
    """On the disk before it has its name: a power cut leaves the one before, or this one. Links lead on to their file.

    It is for its owner alone, who stays who that was.
    """
    _make_kubectls_folder(path)
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            _give(file.fileno(), target)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        sync(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def _give(handle: int, target: Path) -> None:
    """Root, by sudo, writes a file of somebody else's."""
    with suppress(FileNotFoundError):
        owner = target.stat()
        if owner.st_uid != os.geteuid():
            os.fchown(handle, owner.st_uid, owner.st_gid)


def _anothers(was: bytes, text: str) -> str:
    """Why this file is not an older copy of the kubeconfig; "" where it is."""
    found = was.decode("utf-8", "replace")
    if _authority(found) != _authority(text):
        return "is not of this cluster"
    if _users(found) != _users(text):
        return "lets another user in"
    return "" if _besides(found) == _besides(text) else "was changed by hand"


def _besides(text: str) -> dict[str, Any]:
    """What is in it but for what comes from the cluster: the server, and the users with their keys and certificates."""
    document = yaml.safe_load(text)
    for entry in document["clusters"]:
        for key in ("server", "tls-server-name"):
            entry["cluster"].pop(key, None)
    # Not every kubeadm writes a line `preferences: {}`.
    return {key: value for key, value in document.items() if value and key != "users"}


def _authority(text: str) -> Any:
    """Whom a kubeconfig believes; None for what is no kubeconfig."""
    try:
        return {entry["cluster"]["certificate-authority-data"] for entry in yaml.safe_load(text)["clusters"]}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _users(text: str) -> Any:
    """Whom a kubeconfig lets in, by name; None where nobody can tell."""
    try:
        return {entry["name"] for entry in yaml.safe_load(text).get("users") or ()}
    except (TypeError, KeyError):
        return None


_NONE = "/etc/kubernetes/admin.conf on the master is no kubeconfig: see what is in it, or made it so"
