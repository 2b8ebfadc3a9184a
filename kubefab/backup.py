"""A backup of etcd on this computer: a folder that is whole, or not there; and what proves that it is."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import ssl
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from kubefab import bolt
from kubefab.disk import here, sha256, sync
from kubefab.errors import HostError, KubefabError, reason

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
    with here(folder):
        _make(folder.parent)
        _tidy(folder.parent)
        place = folder.with_name(f"{DRAFT}{folder.name}.{os.getpid()}.draft")
        place.mkdir(mode=0o700)
        lock = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place
        with here(folder):
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


def room(folder: Path) -> int:
    """Bytes that are free where this folder is, or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def check(snapshot: Path) -> str:
    """The sha256 of what etcd has sent, which it says itself, in its last 32 bytes. HostError where that is another.

    Its database has whole pages, so that a length without these bytes is known, too. Sources: etcd-io/etcd,
    server/etcdserver/api/v3rpc/maintenance.go (Snapshot), etcdutl/snapshot/v3_snapshot.go (hasChecksum).
    """
    with here(snapshot), snapshot.open("rb") as file:
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
    with here(folder / name):
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
    with here(folder):
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        sums = {name: sha256(folder / name) for name in files}
    said = {"format": FORMAT, **about, "files": sums, "secret": [name for name in files if SECRET.fullmatch(name)]}
    put(folder, ABOUT, json.dumps(said, indent=2).encode() + b"\n")


def told(*folders: Path) -> str:
    """What these backups are, and what it means to have them."""
    which = "this folder" if len(folders) == 1 else "one of these folders"
    return "\n".join((*map(_told, folders), _MEANS.format(which)))


def _told(folder: Path) -> str:
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    one = about["snapshot"]
    snapshot = f"revision {one['revision']}, {one['keys']} keys, {one['size'] / 1e6:.1f} MB, by {about['host']}"
    missing = [name for name in _KEYS if name not in about["files"]]
    without = [_KEYLESS.format(", ".join(missing), folder, missing[0])] if missing else []
    if KUBEADM not in about["files"]:
        without.append(_UNCONFIGURED)
    if "encryption-provider-config" not in about["files"] and encrypts(folder):
        without.append(_UNREADABLE.format(about["host"]))
    return "\n".join((f"{folder}: {snapshot}; its checksum is that of etcd", *without))


def encrypts(folder: Path) -> bool:
    """Whether the API server's manifest names what Secrets are read by."""
    manifest = folder / "manifests" / "kube-apiserver.yaml"
    return manifest.exists() and b"--encryption-provider-config=" in manifest.read_bytes()


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of etcd on this computer that is what etcd has sent, and what else is known of it."""

    file: Path
    digest: str  # etcd's own sha256
    size: int
    revision: int
    time: datetime  # when it was taken; of one that nobody has written down anything of, when its file was
    host: str = ""  # of whose member it was taken; of all that follows "" is what nobody has written down
    cluster: str = ""  # its name in hosts.yml
    etcd: int = 0  # the id of etcd's own cluster
    storage: str = ""  # the minor of etcd in whose form its data are, "3.7"; older ones do not start by it
    authorities: frozenset[str] = frozenset()  # the cluster's CA, and former ones, as a kubeconfig has them: in base64
    nodes: frozenset[str] = frozenset()  # that it knows; looked for only where no authority is known
    files: Mapping[str, str] = field(default_factory=dict)  # what is beside it, and the sha256 of each

    @property
    def folder(self) -> Path:
        return self.file.parent

    def identities(self) -> set[str]:
        """The UIDs that kube-system has in it; none where nobody can tell."""
        return bolt.identities(self.file)


def opened(path: Path) -> Snapshot:
    """The snapshot in a folder that etcd.backup has made, or in a file of anybody's.

    KubefabError where it is damaged, or no snapshot of etcd: nothing may be made of it then.
    """
    file = path / SNAPSHOT if path.is_dir() else path
    try:
        about = _told_of(file)
        digest = check(file)
        revision = bolt.revision(file)
        size, changed = file.stat().st_size, datetime.fromtimestamp(file.stat().st_mtime, UTC)
        known: dict[str, Any] = _known(about, file) if about else {"time": changed}
        known["storage"] = bolt.storage(file)
        if not known.get("authorities"):
            known["authorities"] = frozenset(_authorities(file))
        if not known["authorities"]:
            known["nodes"] = frozenset(bolt.nodes(file))
    except (HostError, OSError) as error:
        raise KubefabError(f"{file}: {error if isinstance(error, HostError) else reason(error)}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise KubefabError(f"{file}: what it is cannot be understood: {type(error).__name__} {error}") from None
    return Snapshot(file, digest, size, revision, **known)


def _told_of(file: Path) -> Mapping[str, Any] | None:
    """backup.json, where this snapshot is one of etcd.backup's; each file that it names is what it was."""
    if file.name != SNAPSHOT or not (file.parent / ABOUT).exists():
        return None
    about: Mapping[str, Any] = json.loads((file.parent / ABOUT).read_text("utf-8"))
    if about["format"] != FORMAT:
        raise HostError(f"{ABOUT} has the format {about['format']}; known: {FORMAT}")
    for name, digest in about["files"].items():
        if sha256(file.parent / name) != digest:
            raise HostError(f"{name} is not what was backed up: its checksum is another one")
    return about


def _known(about: Mapping[str, Any], file: Path) -> dict[str, Any]:
    ids = [one["cluster_id"] for one in about["members"] if one["host"] == about["host"]]
    authority = file.parent / "pki" / "ca.crt"
    texts = [authority.read_text("utf-8")] if authority.exists() else []
    return {
        "time": datetime.fromisoformat(about["time"]),
        "host": str(about["host"]),
        "cluster": str(about["cluster"]),
        "etcd": int(ids[0], 16) if ids else 0,
        "files": {**_put_there(file.parent, about["files"]), **about["files"]},
        "authorities": frozenset(map(_as_in_kubeconfigs, texts)),
    }


def _put_there(folder: Path, known: Collection[str]) -> dict[str, str]:
    """What a person may have put there besides what is known: a key that no master has, say."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: sha256(path) for name, path in paths.items() if NAMES.fullmatch(name) and name not in known}


def _authorities(file: Path) -> Iterator[str]:
    """By its own word; of one in a page that is free again half may be overwritten."""
    for one in bolt.authorities(file):
        with suppress(ValueError):
            yield _as_in_kubeconfigs(one)


def _as_in_kubeconfigs(certificate: str) -> str:
    """kubeadm writes it anew there, without what somebody may have put around it."""
    return b64encode(ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(certificate)).encode()).decode()


_KEYS = ("pki/ca.key", "pki/front-proxy-ca.key", "pki/etcd/ca.key", "pki/sa.key")
_KEYLESS = (
    "without {0}, which that master has not: new machines want all keys: before it goes into any, put what is missing "
    "into its pki ({1}/{2})"
)
_UNCONFIGURED = "without kubeadm's configuration, which could not be read from etcd: it is in the snapshot alone"
_UNREADABLE = (
    "without the encryption-provider-config of {}'s API server, which is not at its path on that host: "
    "keep it with this, since nobody can read the Secrets without it"
)
_MEANS = (
    "whoever has {} owns the cluster: it holds all its Secrets, and the keys of its authorities; "
    "keep a copy of it elsewhere, where nobody else reads"
)
_AGAIN = "run the same command again; nothing was kept of this one"
