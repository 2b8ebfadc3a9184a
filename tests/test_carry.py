"""Big files to and from a host, over a real SSH connection to this computer."""

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest

from kubefab import carry
from kubefab.errors import HostError
from kubefab.host import Host
from kubefab.programs import fed

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
    monkeypatch.setattr("kubefab.programs.script_text", lambda name: 'cat; cat "$1"')
    told: list[str] = []
    to = tmp_path / "here"
    digest = carry.fetch(replace(host, tell=told.append), "x.sh", f"{tmp_path}/there", to=to, payload="first ")
    assert to.read_bytes() == b"first " + DATA
    assert digest == hashlib.sha256(b"first " + DATA).hexdigest() == carry.sha256(to)
    assert told[-1] == "here: 3 MB here"


def test_a_folder_arrives_file_by_file_and_nothing_lands_beside_it(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.deb").write_bytes(DATA)
    (tmp_path / "evil").write_text("x")
    pack = f'cd {tmp_path}/far; ln -s /etc link; tar -cPf - ./a.deb ./link ../evil "$@"'
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


def test_a_file_that_finds_no_room_is_told(host: Host, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"x")
    with pytest.raises(HostError, match="did not arrive"):
        carry.send(host, tmp_path / "here", "/proc/none/there")


def test_a_program_is_fed_by_its_payload_alone(host: Host) -> None:
    assert fed("kubectl.sh", "text").endswith('printf %s dGV4dA== | base64 -d | main "$@"\n')
