"""Whose key is believed, against a server in a thread."""

from pathlib import Path
from shlex import quote

import pytest
from paramiko.hostkeys import HostKeys

from kubefab import hostkeys
from kubefab.errors import HostError, UnknownHostKey
from kubefab.ssh import Link
from kubefab.sudo import Sudo
from tests.sshd import ADDRESS, HOST_KEY, OTHER_KEY, Sshd


def test_a_key_that_nobody_knows_is_refused_with_the_line_that_would_accept_it(server: Sshd) -> None:
    server.know(None)
    with pytest.raises(UnknownHostKey) as refused:
        Link(server.host(), Sudo()).transport()
    error = refused.value
    assert error.what == f"its SSH key is not known: {HOST_KEY.get_name()} {HOST_KEY.fingerprint}"
    assert error.accepting == f"[127.0.0.1]:{server.port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    assert error.file == str(server.known_hosts)
    server.known_hosts.write_text(f"{error.accepting}\n")
    Link(server.host(), Sudo()).transport()


def test_a_changed_key_is_refused_by_the_line_that_knows_another(server: Sshd) -> None:
    server.know(OTHER_KEY)
    with pytest.raises(HostError) as refused:
        Link(server.host(), Sudo()).transport()
    where = f"{server.known_hosts}:1"
    assert refused.value.what == (
        f"its SSH key has changed: now {HOST_KEY.get_name()} {HOST_KEY.fingerprint}; known from {where}"
    )
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}' -f {quote(str(server.known_hosts))}" in refused.value.hint


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ("10.0.0.1", 2),
        ("[10.0.0.1]:22,10.0.0.1,manager", 2),
        (HostKeys.hash_host("10.0.0.1"), 2),
        ("10.0.0.10", None),
        (HostKeys.hash_host("10.0.0.10"), None),
    ],
    ids=["plain", "among others", "hashed", "another's", "another's, hashed"],
)
def test_the_line_of_a_key_is_found_by_plain_and_hashed_names(tmp_path: Path, names: str, line: int | None) -> None:
    file = tmp_path / "known_hosts"
    key = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    file.write_text(f"other {key}\n{names} {key}\n")
    assert [one.number for one in hostkeys.known("10.0.0.1", [file])] == ([line] if line else [])


@pytest.mark.parametrize("hashed", [False, True])
def test_a_port_is_part_of_a_name(tmp_path: Path, hashed: bool) -> None:
    name = "[10.0.0.1]:2222"
    file = tmp_path / "known_hosts"
    key = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    file.write_text(f"10.0.0.1 {key}\n{HostKeys.hash_host(name) if hashed else name} {key}\n")
    assert [one.where for one in hostkeys.known(name, [file])] == [f"{file}:2"]


@pytest.mark.parametrize("line", ["# a comment", "", "other ssh-rsa", "other ssh-rsa AAAA", "# 10.0.0.1 x y"])
def test_lines_that_are_no_keys_are_passed_over(tmp_path: Path, line: str) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{line}\n10.0.0.1 {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    assert [one.number for one in hostkeys.known("10.0.0.1", [file])] == [2]


KNOWN = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
OTHER = f"{OTHER_KEY.get_name()} {OTHER_KEY.get_base64()}"
AUTHORITY = "@cert-authority *.example.org,127.* ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZha2U="


def reached(server: Sshd, *lines: str) -> None:
    server.known_hosts.write_text("".join(f"{line}\n" for line in lines))
    link = Link(server.host(), Sudo())
    link.transport()
    link.close()


@pytest.mark.parametrize(
    "line",
    [
        AUTHORITY,
        "other ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG",  # cut off
        "other ssh-rsa AAAAB3NzaC1yc2EAAAABAwAAAAEA",  # a key that cannot be
        "other ssh-new@example.org AAAA",
        "|1|cut ssh-ed25519 AAAA",
        "@unheard * ssh-ed25519 AAAA",
        "\udcff\udcfe",
    ],
)
def test_what_is_another_hosts_or_nobodys_stops_nobody(server: Sshd, line: str) -> None:
    name = f"[{ADDRESS}]:{server.port}"
    server.known_hosts.write_bytes(f"{line}\n{name} {KNOWN}\n".encode(errors="surrogateescape"))
    Link(server.host(), Sudo()).transport()


@pytest.mark.parametrize("names", ["*", "[127.0.0.?]:*", "!10.*,*"])
def test_wildcards_are_names(server: Sshd, names: str) -> None:
    reached(server, f"{names} {KNOWN}")


def test_a_name_that_is_excepted_is_none(server: Sshd) -> None:
    with pytest.raises(UnknownHostKey):
        reached(server, f"*,![{ADDRESS}]:{server.port} {KNOWN}")


def test_a_revoked_key_is_refused_though_it_is_known(server: Sshd) -> None:
    name = f"[{ADDRESS}]:{server.port}"
    with pytest.raises(HostError, match=rf"its SSH key is revoked: .*, by {server.known_hosts}:2"):
        reached(server, f"{name} {KNOWN}", f"@revoked * {KNOWN}")


def test_a_host_that_an_authority_alone_vouches_for_is_told_as_that(server: Sshd) -> None:
    with pytest.raises(
        UnknownHostKey, match=f"not known itself, only an authority \\({server.known_hosts}:1\\)"
    ) as told:
        reached(server, AUTHORITY.replace("127.*", f"[{ADDRESS}]:*"))
    reached(server, told.value.accepting)


def test_another_key_of_its_own_is_no_harm(server: Sshd) -> None:
    reached(server, f"[{ADDRESS}]:{server.port} {OTHER}", f"[{ADDRESS}]:{server.port} {KNOWN}")


def test_a_file_of_keys_that_cannot_be_read_is_passed_over(server: Sshd, tmp_path: Path) -> None:
    assert hostkeys.known("a", [tmp_path, tmp_path / "none"]) == []


def test_those_kinds_of_key_are_asked_for_first_by_which_a_host_is_known(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("a ssh-rsa AAAA\n@cert-authority a ssh-ed25519 AAAA\n")
    kinds = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"]
    found = hostkeys.preferred(hostkeys.known("a", [file]), kinds)
    assert found == ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "ecdsa-sha2-nistp256"]
