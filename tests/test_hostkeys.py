"""Whose key is believed, against a server in a thread."""

from pathlib import Path

import pytest
from paramiko.hostkeys import HostKeys

from kubefab import hostkeys
from kubefab.errors import HostError, UnknownHostKey
from kubefab.ssh import Link
from kubefab.sudo import Sudo
from tests.sshd import HOST_KEY, OTHER_KEY, Sshd


def test_a_key_that_nobody_knows_is_refused_with_the_line_that_would_accept_it(server: Sshd) -> None:
    server.know(None)
    with pytest.raises(UnknownHostKey) as refused:
        Link(server.host(), Sudo()).transport()
    error = refused.value
    assert error.what == f"its SSH key is not known: {HOST_KEY.get_name()} {HOST_KEY.fingerprint}"
    assert error.lines == f"[127.0.0.1]:{server.port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    assert error.hint == str(server.known_hosts)
    server.known_hosts.write_text(f"{error.lines}\n")
    Link(server.host(), Sudo()).transport()


def test_a_changed_key_is_refused_by_the_line_that_knows_another(server: Sshd) -> None:
    server.know(OTHER_KEY)
    with pytest.raises(HostError) as refused:
        Link(server.host(), Sudo()).transport()
    where = f"{server.known_hosts}:1"
    assert refused.value.what == (
        f"its SSH key has changed: now {HOST_KEY.get_name()} {HOST_KEY.fingerprint}; known from {where}"
    )
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}' -f {server.known_hosts}" in refused.value.hint


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ("10.0.0.1", 2),
        ("[10.0.0.1]:22,10.0.0.1,manager", 2),
        (HostKeys.hash_host("10.0.0.1"), 2),
        ("10.0.0.10", None),
        (HostKeys.hash_host("10.0.0.10"), None),
    ],
)
def test_the_line_of_a_key_is_found_by_plain_and_hashed_names(tmp_path: Path, names: str, line: int | None) -> None:
    file = tmp_path / "known_hosts"
    key = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    file.write_text(f"other {key}\n{names} {key}\n")
    found = hostkeys._where("10.0.0.1", [file])
    assert found == (f"{file}:{line or '?'}")


@pytest.mark.parametrize("hashed", [False, True])
def test_a_port_is_part_of_a_name(tmp_path: Path, hashed: bool) -> None:
    name = "[10.0.0.1]:2222"
    file = tmp_path / "known_hosts"
    key = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    file.write_text(f"10.0.0.1 {key}\n{HostKeys.hash_host(name) if hashed else name} {key}\n")
    assert hostkeys._where(name, [file]) == f"{file}:2"


@pytest.mark.parametrize("line", ["# a comment", "", "other ssh-rsa", "other ssh-rsa AAAA", "# 10.0.0.1 x y"])
def test_lines_that_are_no_keys_are_passed_over(tmp_path: Path, line: str) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{line}\n10.0.0.1 {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    assert hostkeys._where("10.0.0.1", [file]) == f"{file}:2"
