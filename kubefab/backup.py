"""A backup of etcd on this computer: a folder that is whole, or not there; and what proves that it is."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from kubefab.disk import sync
from kubefab.errors import HostError, reason

SNAPSHOT, ABOUT, KUBEADM = "snapshot.db", "backup.json", "kubeadm.yaml"
DRAFT = ".kubefab-"  # how the name of one begins that is not whole yet
FORMAT = 1  # of backup.json
SECRET = re.compile(r"snapshot\.db|pki/.*\.key|encryption-provider-config")
# A host's word names these files here, and no others.
NAMES = re.compile(r"pki/(etcd/)?[a-z-]+\.(crt|key|pub)|manifests/\w[\w.-]*\.yaml|encryption-provider-config")
_PAGE = 512  # bytes
_MAGIC = b"k8s\0"


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """A folder beside this one, which takes its name when all in it is on the disk. HostError where that fails.

    Until then it is nobody else's to read, and locked, so that the drafts of runs that broke off are known, and go.
    """
    with _here(folder):
        _make(folder.parent)
        _tidy(folder.parent)
        place = folder.with_name(f"{DRAFT}{folder.name}.{os.getpid()}.draft")
        place.mkdir(mode=0o700)
        lock = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place
        with _here(folder):
            _sync(place)
            if folder.exists():
                raise FileExistsError(0, "it is there already")
            place.rename(folder)
            sync(folder.parent)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def _tidy(parent: Path) -> None:
    """What runs have left that were killed: whoever lives holds the lock of his."""
    for old in parent.glob(f"{DRAFT}*.draft"):
        with suppress(OSError):
            lock = os.open(old, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                os.close(lock)


def _make(folder: Path) -> None:
    """A folder, and those above it that are not there: `mkdir(parents=True)` lets others into these."""
    for path in (*reversed(folder.parents), folder):
        path.mkdir(mode=0o700, exist_ok=True)


def _sync(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


@contextmanager
def _here(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{path} on this computer: {reason(error)}"
        raise HostError(what, hint="is there room for it, and may you write there?") from error


def room(folder: Path) -> int:
    """Bytes that are free where this folder is, or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def check(snapshot: Path) -> str:
    """The sha256 of what etcd has sent, which it says itself, in its last 32 bytes. HostError where that is another.

    Its database has whole pages, so that a length without these bytes is known, too. Sources: etcd-io/etcd,
    server/etcdserver/api/v3rpc/maintenance.go (Snapshot), etcdutl/snapshot/v3_snapshot.go (hasChecksum).
    """
    with _here(snapshot), snapshot.open("rb") as file:
        whole = file.seek(0, os.SEEK_END)
        size = whole - hashlib.sha256().digest_size
        if size <= 0 or size % _PAGE:
            raise HostError(f"the snapshot came without its checksum, or only in part ({whole} bytes)", hint=_AGAIN)
        file.seek(0)
        digest = _digest(file, size)
        if file.read() != digest:
            raise HostError("the snapshot is not what etcd has sent: its checksum is another one", hint=_AGAIN)
    return digest.hex()


def _digest(file: IO[bytes], size: int) -> bytes:
    """The sha256 of what comes next, so many bytes."""
    digest = hashlib.sha256()
    while size and (data := file.read(min(size, 1 << 20))):
        digest.update(data)
        size -= len(data)
    return digest.digest()


def put(folder: Path, name: str, data: bytes) -> None:
    """A file of a backup, for its owner's eyes alone."""
    with _here(folder / name):
        _make((folder / name).parent)
        with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)


def put_all(folder: Path, said: str) -> None:
    """The files that scripts/print-keys.sh has printed. HostError for what cannot be understood."""
    for line in said.splitlines():
        name, _, body = line.partition(" ")
        try:
            data = b64decode(body, validate=True)
        except ValueError:
            raise HostError(f"what it says of {name[:80]} cannot be understood", hint=_AGAIN) from None
        if name == "kubeadm-config":
            if text := kubeadm_config(data):
                put(folder, KUBEADM, text.encode())
        elif NAMES.fullmatch(name):
            put(folder, name, data)


def kubeadm_config(answer: bytes) -> str | None:
    """ClusterConfiguration, out of what etcdctl printed of the ConfigMap; None where it is not to be read.

    Somebody may have it encrypted in etcd. Kubernetes' objects are a message Unknown there, with the object's own
    message inside (k8s.io/apimachinery, runtime/serializer/protobuf and runtime/generated.proto; core/v1).
    """
    try:
        value = b64decode(json.loads(answer)["kvs"][0]["value"])
        if value.startswith(b"{"):  # an API server may be told to store JSON
            return str(json.loads(value)["data"]["ClusterConfiguration"])
        raw = dict(_fields(value.removeprefix(_MAGIC)))[2]
        texts = (dict(_fields(entry)) for at, entry in _fields(raw) if at == 2)
        return {text[1]: text[2] for text in texts}[b"ClusterConfiguration"].decode()
    except (LookupError, TypeError, ValueError, RecursionError):
        return None


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message that have a length: number and content. ValueError for others' bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            _, at = _varint(message, at)
        elif tag & 7 == 2:
            size, at = _varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        else:
            raise ValueError(f"a field of the kind {tag & 7}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def finish(folder: Path, about: Mapping[str, Any]) -> None:
    """backup.json: what this is a backup of, and the sha256 of each file in it."""
    with _here(folder):
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        sums = {name: _sha256(folder / name) for name in files}
    said = {"format": FORMAT, **about, "files": sums, "secret": [name for name in files if SECRET.fullmatch(name)]}
    put(folder, ABOUT, json.dumps(said, indent=2).encode() + b"\n")


def told(folder: Path) -> str:
    """What a backup is, and what it means to have it."""
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    one = about["snapshot"]
    snapshot = f"revision {one['revision']}, {one['keys']} keys, {one['size'] / 1e6:.1f} MB, by {about['host']}"
    without = [_WITHOUT[name] for name in _WITHOUT if name not in about["files"]]
    return "\n".join((f"{folder}: {snapshot}; its checksum is that of etcd", *without, _MEANS))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_WITHOUT = {
    "pki/ca.key": "without the key of the cluster's CA, which is not on that master: keep it with this",
    KUBEADM: "without kubeadm's configuration, which could not be read from etcd: it is in the snapshot alone",
}
_MEANS = (
    "whoever has this folder owns the cluster: it holds all its Secrets, and the keys of its authorities; "
    "keep a copy of it elsewhere, where nobody else reads"
)
_AGAIN = "run the same command again; nothing was kept of this one"
