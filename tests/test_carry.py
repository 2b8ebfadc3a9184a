"""Big files to and from a host, over a real SSH connection to this computer."""

import hashlib
import os
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shlex import quote

import pytest

from kubefab import carry, disk
from kubefab.errors import HostError
from kubefab.host import Host
from kubefab.programs import fed
from tests.sshd import Sshd

DATA = random.Random(1).randbytes(3_000_000)


def test_a_file_arrives_as_it_was_and_is_told_as_it_goes(host: Host, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(DATA)
    told: list[str] = []
    carry.send(replace(host, tell=told.append), tmp_path / "here", f"{tmp_path}/far/there")
    assert (tmp_path / "far" / "there").read_bytes() == DATA
    assert (tmp_path / "far" / "there").stat().st_mode & 0o777 == 0o600
    assert told[-1] == "here: 3 MB of 3 MB there"


def test_what_a_program_prints_becomes_a_file_and_its_sha256(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_bytes(DATA)
    monkeypatch.setattr("kubefab.programs.script_text", lambda name: 'cat "$1"')
    told: list[str] = []
    to = tmp_path / "here"
    digest = carry.fetch(replace(host, tell=told.append), "x.sh", f"{tmp_path}/there", to=to)
    assert to.read_bytes() == DATA
    assert digest == hashlib.sha256(DATA).hexdigest() == disk.sha256(to)
    assert told[-1] == "here: 3 MB here"


def test_what_comes_is_for_its_owner_alone_and_what_was_said_of_it_is_heard(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubefab.programs.script_text", lambda name: "echo data; echo checked >&2")
    heard: list[str] = []
    before = os.umask(0)
    try:
        carry.fetch(host, "x.sh", to=tmp_path / "here", hear=heard.append)
    finally:
        os.umask(before)
    assert (tmp_path / "here").stat().st_mode & 0o777 == 0o600
    assert heard == ["checked\n"]


def test_a_folder_arrives_file_by_file_and_nothing_lands_beside_it(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.deb").write_bytes(DATA)
    (tmp_path / "evil").write_text("x")
    pack = f'cd {quote(str(tmp_path))}/far; ln -s /etc link; tar -cPf - ./a.deb ./link ../evil "$@"'
    monkeypatch.setattr("kubefab.programs.script_text", lambda name: pack)
    carry.fetch_folder(host, "x.sh", to=tmp_path / "here" / "packages")
    assert {file.name for file in (tmp_path / "here" / "packages").iterdir()} == {"a.deb", "evil"}
    assert (tmp_path / "here" / "packages" / "a.deb").read_bytes() == DATA
    assert [file.name for file in (tmp_path / "here").iterdir()] == ["packages"]


def test_what_is_no_tar_is_told(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubefab.programs.script_text", lambda name: "echo Welcome")
    with pytest.raises(HostError, match=r"what scripts/x\.sh printed is no tar"):
        carry.fetch_folder(host, "x.sh", to=tmp_path / "here")


def test_what_broke_off_is_no_file(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubefab.programs.script_text", lambda name: "echo half; echo no room >&2; exit 3")
    with pytest.raises(HostError) as error:
        carry.fetch(host, "x.sh", "a b", to=tmp_path / "here")
    assert error.value.what == "scripts/x.sh 'a b' ended with exit status 3"
    assert "no room" in error.value.lines
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("greeting", ["echo Welcome", "printf half", "printf '\\000\\377'"])
def test_what_a_login_prints_is_in_no_file(host: Host, server: Sshd, tmp_path: Path, greeting: str) -> None:
    server.greeting = greeting
    (tmp_path / "there").write_bytes(DATA)
    program = f"cat {quote(str(tmp_path))}/there"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kubefab.programs.script_text", lambda name: program)
        carry.fetch(host, "x.sh", to=tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == DATA
    carry.send(host, tmp_path / "here", f"{tmp_path}/back")
    assert (tmp_path / "back").read_bytes() == DATA


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for less than DATA."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", folder], check=False).returncode:
        pytest.skip("NOT TRIED: nobody here may mount a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_file_that_finds_no_room_there_is_told_and_leaves_nothing(host: Host, tmp_path: Path, small: Path) -> None:
    (tmp_path / "here").write_bytes(DATA)
    with pytest.raises(HostError, match="did not arrive") as told:
        carry.send(host, tmp_path / "here", f"{small}/there")
    assert "No space left on device" in told.value.lines
    assert list(small.iterdir()) == []


def test_a_file_that_finds_no_room_here_is_told_as_that(
    host: Host, tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_bytes(DATA)
    monkeypatch.setattr("kubefab.programs.script_text", lambda name: f"cat {quote(str(tmp_path))}/there")
    with pytest.raises(HostError) as told:
        carry.fetch(host, "x.sh", to=small / "here")
    assert told.value.what == f"{small}/here.part on this computer: No space left on device"


def test_a_file_that_is_not_here_is_told_as_that(host: Host, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="/none on this computer: No such file or directory"):
        carry.send(host, tmp_path / "none", f"{tmp_path}/there")


def test_a_send_that_broke_off_leaves_nothing(host: Host, tmp_path: Path) -> None:
    """The far end sees the end of its input, and cannot know that there was to be more: it is told how much."""
    (tmp_path / "here").write_bytes(DATA)

    def hang_up(_: str) -> None:
        host.link.transport().close()

    with pytest.raises(HostError, match="the connection was lost"):
        carry.send(replace(host, tell=hang_up), tmp_path / "here", f"{tmp_path}/far/there")
    for _ in range(500):
        if not list((tmp_path / "far").glob("*")):
            return
        time.sleep(0.01)
    pytest.fail(f"left behind: {list((tmp_path / 'far').glob('*'))}")


def test_a_transfer_that_says_nothing_is_not_waited_for_for_ever(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "FETCH_SECONDS", 0.1)
    monkeypatch.setattr("kubefab.programs.script_text", lambda name: "echo one; exec sleep 5")
    with pytest.raises(HostError, match="said nothing for 0 s"):
        carry.fetch(host, "x.sh", to=tmp_path / "here")


def test_a_program_is_fed_by_its_payload_alone(host: Host) -> None:
    assert fed("kubectl.sh", "text").endswith('printf %s dGV4dA== | base64 -d | main "$@"\n')
