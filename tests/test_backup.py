"""A backup of etcd on this computer: whole or not there, for its owner alone, and known for what it is."""

import fcntl
import hashlib
import json
import os
import random
import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from kubefab import backup
from kubefab.errors import HostError, KubefabError
from tests.databases import authority_of, small, snapshot

# What matters of a certificate here are its lines.
AUTHORITY = f"-----BEGIN CERTIFICATE-----\n{'QUJD' * 16}\nQUJD\n-----END CERTIFICATE-----\n"
DATABASE = random.Random(1).randbytes(20480)
SNAPSHOT = DATABASE + hashlib.sha256(DATABASE).digest()


def file(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "snapshot.db").write_bytes(data)
    return tmp_path / "snapshot.db"


# --- the snapshot


def test_a_snapshot_is_believed_by_the_checksum_that_etcd_appended(tmp_path: Path) -> None:
    assert backup.check(file(tmp_path, SNAPSHOT)) == hashlib.sha256(DATABASE).hexdigest()


@pytest.mark.parametrize("at", [0, len(DATABASE) - 1, len(DATABASE), len(SNAPSHOT) - 1])
def test_a_single_byte_that_is_another_is_found(tmp_path: Path, at: int) -> None:
    flipped = bytearray(SNAPSHOT)
    flipped[at] ^= 1
    with pytest.raises(HostError, match="not what etcd has sent"):
        backup.check(file(tmp_path, bytes(flipped)))


@pytest.mark.parametrize("data", [b"", SNAPSHOT[-32:], DATABASE, SNAPSHOT[:-1], SNAPSHOT[:512], SNAPSHOT + b"x"])
def test_what_came_only_in_part_is_no_snapshot(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(HostError, match="without its checksum, or only in part"):
        backup.check(file(tmp_path, data))


def test_a_snapshot_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    big = bytes(32 << 20)
    snapshot = file(tmp_path, big + hashlib.sha256(big).digest())
    del big
    tracemalloc.start()
    backup.check(snapshot)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 4 << 20


# --- the folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


ABOVE = ("pki/etcd", "pki", ".", "..", "../..")


def test_it_takes_its_name_when_it_is_whole_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "kubefab" / "backups" / "lab-1"
    before = os.umask(0)
    try:
        with backup.draft(folder) as draft:
            backup.put(draft, "pki/etcd/ca.key", b"secret")
            assert not folder.exists()
            assert mode(draft) == 0o700
    finally:
        os.umask(before)
    assert [mode(folder / path) for path in ("pki/etcd/ca.key", *ABOVE)] == [0o600, *[0o700] * 5]
    assert list(folder.parent.iterdir()) == [folder]


def test_what_broke_off_is_no_backup_and_leaves_nothing(tmp_path: Path) -> None:
    def broken_off() -> None:
        with backup.draft(tmp_path / "lab-1") as draft:
            backup.put(draft, "snapshot.db", b"half")
            raise HostError("the connection was lost")

    with pytest.raises(HostError, match="the connection was lost"):
        broken_off()
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "lab-1").mkdir()
    with pytest.raises(HostError, match="it is there already"), backup.draft(tmp_path / "lab-1"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "lab-1"]
    assert list((tmp_path / "lab-1").iterdir()) == []


def test_the_draft_of_a_run_that_was_killed_goes_and_that_of_one_that_lives_stays(tmp_path: Path) -> None:
    killed, living, others = tmp_path / ".kubefab-a.1.draft", tmp_path / ".kubefab-b.2.draft", tmp_path / ".mine.draft"
    for folder in (killed, living, others):
        folder.mkdir()
        (folder / "snapshot.db").write_bytes(b"half")
    handle = os.open(living, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with backup.draft(tmp_path / "lab-1"):
        assert (killed.exists(), living.exists(), others.exists()) == (False, True, True)
    os.close(handle)


def test_all_of_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")))
    with backup.draft(tmp_path / "lab-1") as draft:
        backup.put(draft, "pki/ca.key", b"secret")
    assert synced == [*(str(draft / path) for path in ("pki/ca.key", "pki")), str(draft), str(tmp_path)]


def test_a_place_that_cannot_be_written_is_told_as_this_computers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="file/lab-1 on this computer: "), backup.draft(tmp_path / "file" / "lab-1"):
        pass


def test_room_is_asked_for_where_the_folder_will_be(tmp_path: Path) -> None:
    assert backup.room(tmp_path / "not" / "there") == pytest.approx(backup.room(tmp_path), rel=0.1)


# --- what is in it


def line(name: str, data: bytes) -> str:
    return f"{name} {b64encode(data).decode()}"


def test_a_hosts_word_names_the_files_of_a_control_plane_and_no_others(tmp_path: Path) -> None:
    names = ("pki/ca.key", "pki/etcd/ca.crt", "manifests/etcd.yaml", "encryption-provider-config")
    evil = ("../x", "/etc/passwd", "pki/../x", "manifests/..", "manifests/../x.yaml", "snapshot.db", "backup.json", "")
    backup.put_all(tmp_path, "\n".join(line(name, b"x") for name in (*names, *evil)))
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(names)


def test_what_cannot_be_understood_is_told_without_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"what it says of pki/ca\.key cannot be understood") as told:
        backup.put_all(tmp_path, "pki/ca.key sec~ret")
    assert "sec~ret" not in str(told.value)


CONFIGURATION = "apiVersion: kubeadm.k8s.io/v1beta4\nclusterName: ä\nkind: ClusterConfiguration\n"


def field(number: int, data: bytes) -> bytes:
    """A protobuf field with a length."""
    size, length = len(data), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def text(key: str, value: str) -> bytes:
    return field(2, field(1, key.encode()) + field(2, value.encode()))


CONFIG_MAP = (
    field(1, field(1, b"kubeadm-config") + b"\x38\x81\x01")  # metadata, a number among it
    + text("ClusterStatus", "older ones have it")
    + text("ClusterConfiguration", CONFIGURATION)
    + b"\x20\x01"  # immutable
)
STORED = b"k8s\0" + field(1, field(1, b"v1") + field(2, b"ConfigMap")) + field(2, CONFIG_MAP) + field(3, b"")


def answer(value: bytes) -> bytes:
    """As etcdctl prints it."""
    return json.dumps({"header": {}, "kvs": [{"key": "a2V5", "value": b64encode(value).decode()}], "count": 1}).encode()


def test_kubeadms_configuration_is_read_as_the_api_server_stores_it(tmp_path: Path) -> None:
    backup.put_all(tmp_path, line("kubeadm-config", answer(STORED)))
    assert (tmp_path / "kubeadm.yaml").read_text("utf-8") == CONFIGURATION


def test_an_api_server_may_store_json() -> None:
    stored = json.dumps({"kind": "ConfigMap", "data": {"ClusterConfiguration": CONFIGURATION}}).encode()
    assert backup.kubeadm_config(answer(stored)) == CONFIGURATION


@pytest.mark.parametrize("value", [b"k8s:enc:aescbc:v1:key1:\x81\xff", b"", b"{", b"k8s\0\x0a\xff\xff", STORED[:60]])
def test_one_that_cannot_be_read_is_not_made_up(tmp_path: Path, value: bytes) -> None:
    backup.put_all(tmp_path, line("kubeadm-config", answer(value)))
    assert list(tmp_path.iterdir()) == []
    assert backup.kubeadm_config(b'{"header":{}}') is None


SAID = {"revision": 9, "keys": 3, "size": 20512}


def test_it_says_what_it_is_which_files_it_has_and_which_of_them_are_secret(tmp_path: Path) -> None:
    backup.put(tmp_path, "snapshot.db", SNAPSHOT)
    backup.put(tmp_path, "pki/ca.key", b"secret")
    backup.put(tmp_path, "pki/ca.crt", b"public")
    backup.finish(tmp_path, {"cluster": "lab", "host": "manager", "snapshot": SAID})
    about = json.loads((tmp_path / "backup.json").read_text())
    assert (about["format"], about["cluster"]) == (1, "lab")
    assert about["files"]["pki/ca.crt"] == hashlib.sha256(b"public").hexdigest()
    assert set(about["files"]) == {"snapshot.db", "pki/ca.key", "pki/ca.crt"}
    assert about["secret"] == ["pki/ca.key", "snapshot.db"]


def test_people_are_told_what_it_means_to_have_it_and_what_is_not_in_it(tmp_path: Path) -> None:
    backup.put(tmp_path, "snapshot.db", SNAPSHOT)
    backup.finish(tmp_path, {"host": "manager", "snapshot": SAID})
    told = backup.told(tmp_path)
    assert told.startswith(f"{tmp_path}: revision 9, 3 keys, 0.0 MB, by manager")
    assert "without pki/ca.key, pki/front-proxy-ca.key, pki/etcd/ca.key, pki/sa.key, which " in told
    assert "put what is missing into its pki" in told
    assert "without kubeadm's configuration" in told
    assert "whoever has this folder owns the cluster" in told


@pytest.mark.parametrize(
    "flag", ["    - --encryption-provider-config=/enc/x.yaml\n", '- "--encryption-provider-config=/enc/x"\n']
)
def test_people_are_told_where_what_secrets_are_read_by_is_not_in_it(tmp_path: Path, flag: str) -> None:
    """Its path is one of the API server's container, which may be another on the host."""
    backup.put(tmp_path, "manifests/kube-apiserver.yaml", flag.encode())
    backup.finish(tmp_path, {"host": "manager", "snapshot": SAID})
    assert "without the encryption-provider-config of manager's API server" in backup.told(tmp_path)
    backup.put(tmp_path, "encryption-provider-config", b"x")
    (tmp_path / "backup.json").unlink()
    backup.finish(tmp_path, {"host": "manager", "snapshot": SAID})
    assert "without the encryption" not in backup.told(tmp_path)


# --- a snapshot that is to go back

TIME = "2026-11-26T08:00:00+00:00"
MEMBERS = [{"host": "m1", "cluster_id": "1"}, {"host": "m2", "cluster_id": "babd"}]


def made_of(tmp_path: Path, data: bytes = snapshot(small(5, 9)), **about: object) -> Path:
    """A folder as etcd.backup makes it."""
    folder = tmp_path / "lab-1"
    backup.put(folder, "snapshot.db", data)
    backup.put(folder, "pki/ca.crt", AUTHORITY.encode())
    said = {"cluster": "lab", "time": TIME, "host": "m2", "members": MEMBERS, "snapshot": {}}
    backup.finish(folder, {**said, **about})
    return folder


def test_a_backup_says_of_when_it_is_which_revision_and_whose(tmp_path: Path) -> None:
    found = backup.opened(made_of(tmp_path))
    assert (found.revision, found.time.isoformat(), found.host, found.cluster) == (9, TIME, "m2", "lab")
    assert (found.etcd, found.file.name, found.size) == (0xBABD, "snapshot.db", len(snapshot(small(5, 9))))
    assert {b64decode(one).decode() for one in found.authorities} == {AUTHORITY}


def test_a_key_that_a_person_has_put_into_it_is_one_of_its_files(tmp_path: Path) -> None:
    """Of an authority whose key is on no master: it is told to be kept with the backup."""
    folder = made_of(tmp_path)
    backup.put(folder, "pki/ca.key", b"kept elsewhere")
    backup.put(folder, "notes.txt", b"mine")
    found = backup.opened(folder).files
    assert found["pki/ca.key"] == hashlib.sha256(b"kept elsewhere").hexdigest()
    assert "notes.txt" not in found


def test_its_file_does_for_the_folder(tmp_path: Path) -> None:
    folder = made_of(tmp_path)
    assert backup.opened(folder / "snapshot.db") == backup.opened(folder)


def test_a_snapshot_of_anybodys_is_known_by_itself(tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_bytes(snapshot(small(9)))
    found = backup.opened(tmp_path / "mine.db")
    assert (found.revision, found.host, found.etcd, found.authorities) == (9, "", 0, frozenset())
    assert found.time.timestamp() == int((tmp_path / "mine.db").stat().st_mtime) or found.time.microsecond


def test_a_bare_one_says_itself_of_which_cluster_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_bytes(snapshot(small(9) + authority_of(AUTHORITY).ljust(512, b"\0")))
    found = backup.opened(tmp_path / "mine.db")
    assert {b64decode(one).decode() for one in found.authorities} == {AUTHORITY}


def test_what_only_looks_like_a_certificate_says_nothing(tmp_path: Path) -> None:
    spoilt = "-----BEGIN CERTIFICATE-----\nQUJ\n-----END CERTIFICATE-----\n"
    (tmp_path / "mine.db").write_bytes(snapshot(small(9) + authority_of(spoilt).ljust(512, b"\0")))
    assert backup.opened(tmp_path / "mine.db").authorities == frozenset()


@pytest.mark.parametrize("name", ["snapshot.db", "pki/ca.crt"])
def test_a_backup_of_which_a_byte_is_another_is_refused(tmp_path: Path, name: str) -> None:
    folder = made_of(tmp_path)
    data = bytearray((folder / name).read_bytes())
    data[40] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(KubefabError, match=f"{name} is not what was backed up"):
        backup.opened(folder)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda folder: (folder / "snapshot.db").unlink(), "No such file"),
        (lambda folder: (folder / "backup.json").write_text("{"), "cannot be understood"),
        (lambda folder: (folder / "backup.json").write_text('{"format": 9}'), "has the format 9; known: 1"),
        (lambda folder: (folder / "backup.json").write_text("[]"), "cannot be understood"),
        (lambda folder: (folder / "pki/ca.crt").unlink(), "No such file"),
    ],
)
def test_what_is_no_backup_is_told(tmp_path: Path, spoil: Callable[[Path], object], why: str) -> None:
    folder = made_of(tmp_path)
    spoil(folder)
    with pytest.raises(KubefabError, match=why):
        backup.opened(folder)


@pytest.mark.parametrize("data", [b"", b"x" * 544, snapshot(b"x" * 1024), snapshot(small(9))[:-1]])
def test_what_is_no_snapshot_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.db").write_bytes(data)
    with pytest.raises(KubefabError, match=r"x\.db: "):
        backup.opened(tmp_path / "x.db")
