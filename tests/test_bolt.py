"""The revision that a database of etcd's has come to, by its bytes."""

from pathlib import Path

import pytest

from kubefab import bolt
from tests import databases
from tests.databases import authority_of, branch, bucket, deep, leaf, meta, namespace_of, page, small


def revision(tmp_path: Path, data: bytes) -> int:
    (tmp_path / "db").write_bytes(data)
    return bolt.revision(tmp_path / "db")


@pytest.mark.parametrize("revisions", [(7,), (2, 3, 1407), (1, (1 << 40) + 5)])
def test_it_is_the_last_of_a_small_bucket(tmp_path: Path, revisions: tuple[int, ...]) -> None:
    assert revision(tmp_path, small(*revisions)) == revisions[-1]


def test_it_is_the_last_of_many_pages(tmp_path: Path) -> None:
    assert revision(tmp_path, deep(2, 3, 4, 5, 6)) == 6


def test_what_etcd_sends_behind_it_is_no_part_of_it(tmp_path: Path) -> None:
    assert revision(tmp_path, databases.snapshot(small(9))) == 9


def test_of_its_two_heads_the_one_counts_that_was_written_last(tmp_path: Path) -> None:
    old = leaf((b"key", bucket(5)))
    data = meta(2, 3) + meta(3, 4) + old + leaf((b"key", bucket(4))) + leaf((databases.key(8), b"")) + page(2)
    assert revision(tmp_path, data) == 8


def test_one_in_which_nothing_was_ever_written_has_none(tmp_path: Path) -> None:
    assert revision(tmp_path, meta(2, 1) + meta(2, 0) + leaf((b"key", bucket(3))) + page(2)) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 100,
        bytes(4096),
        b"kkkk" * 4096,
        meta(2, 1),
        meta(2, 1, magic=1) + meta(2, 2),
        meta(2, 1) + meta(2, 0) + leaf((b"other", bucket(3))),
        meta(2, 1) + meta(2, 0) + branch((b"key", 2)),
        meta(9, 1) + meta(9, 0) + leaf((b"key", bucket(3))),
    ],
)
def test_other_bytes_are_told_and_never_end_it_otherwise(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no database of etcd's|empty file"):
        revision(tmp_path, data)


def authorities(tmp_path: Path, data: bytes) -> set[str]:
    (tmp_path / "db").write_bytes(data)
    return {f"{one}\n" for one in bolt.authorities(tmp_path / "db")}


PEM = f"-----BEGIN CERTIFICATE-----\n{'QUJD' * 400}\n-----END CERTIFICATE-----\n"
OTHER = PEM.replace("QUJD", "REVG")


def test_the_authority_is_what_every_namespace_has_of_it(tmp_path: Path) -> None:
    data = small(7) + authority_of(PEM) + page(2) + authority_of(PEM, "default") + authority_of(OTHER, "former")
    assert authorities(tmp_path, data) == {PEM, OTHER}


def test_it_is_found_where_an_api_server_stores_json(tmp_path: Path) -> None:
    said = PEM.replace("\n", "\\n").encode()
    data = b'/registry/configmaps/default/kube-root-ca.crt{"kind":"ConfigMap","data":{"ca.crt":"' + said + b'"}}'
    assert authorities(tmp_path, small(7) + data) == {PEM}


def test_of_several_in_one_bundle_each_counts(tmp_path: Path) -> None:
    assert authorities(tmp_path, small(7) + authority_of(OTHER + "# the new one\n" + PEM)) == {PEM, OTHER}


@pytest.mark.parametrize(
    "data",
    [
        b"/registry/configmaps/default/mine" + PEM.encode(),
        b"/registry/configmaps/default/kube-root-ca.crt k8s:enc:aescbc:v1:" + bytes(range(256)),
        b"/registry/configmaps/default/kube-root-ca.crt k8s:enc:x\0\x12/registry/secrets/default/tls" + PEM.encode(),
        b"/registry/configmaps/default/kube-root-ca.crt" + bytes(9000) + PEM.encode(),
        b"/registry/configmaps/default/kube-root-ca.crt" + PEM[:300].encode(),
    ],
)
def test_other_certificates_and_encrypted_ones_are_nobodys(tmp_path: Path, data: bytes) -> None:
    assert authorities(tmp_path, small(7) + data) == set()


UID, OTHER_UID = "5f0b7f2e-9a3c-4d7e-8f10-2b6c1d0e9a47", "00000000-9a3c-4d7e-8f10-2b6c1d0e9a47"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (namespace_of(UID), {UID}),
        (namespace_of(OTHER_UID, "kube-system-2") + namespace_of(UID) + namespace_of(OTHER_UID, "other"), {UID}),
        (b"/registry/namespaces/kube-system\x10k8s:enc:aescbc:v1:x" + namespace_of(OTHER_UID, "other"), set()),
        (b"", set()),
    ],
)
def test_whose_a_snapshot_is_the_uid_of_kube_system_tells(tmp_path: Path, data: bytes, found: set[str]) -> None:
    (tmp_path / "db").write_bytes(small(7) + data)
    assert bolt.identities(tmp_path / "db") == found


@pytest.mark.parametrize(("pairs", "found"), [(((b"storageVersion", b"3.7.0"), (b"term", b"1.5")), "3.7"), ((), "")])
def test_it_tells_of_which_etcd_its_form_is(tmp_path: Path, pairs: tuple[tuple[bytes, bytes], ...], found: str) -> None:
    inline = leaf(*pairs).rstrip(b"\0") + bytes(8)
    root = leaf((b"key", bucket(9)), (b"meta", bucket(0) + inline))
    (tmp_path / "db").write_bytes(meta(2, 1) + meta(2, 0) + root)
    assert bolt.storage(tmp_path / "db") == found
