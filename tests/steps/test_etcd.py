"""A snapshot of etcd, from the choice of its master to the folder on this computer."""

import hashlib
import json
from base64 import b64encode
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kubefab import backup, carry, passes, runbook
from kubefab.converge import Stop
from kubefab.errors import KubefabError
from kubefab.facts import Member
from kubefab.host import Host
from kubefab.steps.etcd import room_here, room_there
from tests.facts import known
from tests.fakes import three_masters
from tests.runs import ADMIN, Run, in_place, nodes
from tests.test_backup import SNAPSHOT
from tests.test_etcd import DEAD, SILENT, M, look

CHECKED = 'checked {"hash":1,"revision":9,"totalKey":3,"totalSize":20480}\n'
ALONE = '{"members":[{"ID":1,"name":"m1","peerURLs":["https://10.250.0.11:2380"]}]}'
KEYS = f"pki/ca.key {b64encode(b'secret').decode()}\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Three masters, the second of which leads, and no workers' word in it."""
    made = Run(three_masters())
    for name in M:
        made(name).parts.update(
            node=f"{ADMIN}\nmanifest etcd.yaml", cluster=nodes(*M), etcd=look(name), system="disk_mib 9000"
        )
        made(name).answers["print-keys.sh"] = KEYS
    gives(monkeypatch)
    return in_place(made, monkeypatch)


def gives(monkeypatch: pytest.MonkeyPatch, snapshot: bytes = SNAPSHOT, said: str = CHECKED) -> list[str]:
    """What comes over SSH in place of a snapshot; who was asked for one."""
    asked: list[str] = []

    def fetch(host: Host, script: str, *args: str, to: Path, hear: Any) -> str:
        asked.append(f"{host.name} {script} {' '.join(args)}")
        to.write_bytes(snapshot)
        hear(said)
        return ""

    monkeypatch.setattr(carry, "fetch", fetch)
    return asked


def made(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.glob("*"))


def test_the_leaders_snapshot_lands_in_a_folder_of_its_own_with_all_that_it_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = gives(monkeypatch)
    runbook.back_up(run.context, str(tmp_path))
    assert asked == ["m2 print-snapshot.sh 480"]
    (folder,) = made(tmp_path)
    assert datetime.strptime(folder.name, "lab-%Y-%m-%dT%H-%M-%SZ").year >= 2026
    assert (folder / "snapshot.db").read_bytes() == SNAPSHOT
    assert (folder / "pki/ca.key").read_bytes() == b"secret"
    about = json.loads((folder / "backup.json").read_text())
    assert about["snapshot"] == {
        "sha256": hashlib.sha256(SNAPSHOT[:-32]).hexdigest(),
        "size": len(SNAPSHOT),
        "revision": 9,
        "keys": 3,
        "hash": 1,
    }
    assert (about["cluster"], about["host"], about["problems"]) == ("lab", "m2", [])
    assert [one["name"] for one in about["members"]] == list(M)
    assert "whoever has this folder owns the cluster" in capsys.readouterr().out


def test_it_holds_the_lock_of_every_master_so_that_no_run_changes_what_it_copies(run: Run, tmp_path: Path) -> None:
    runbook.back_up(run.context, str(tmp_path))
    assert [len(run(name).locks) for name in M] == [1, 1, 1]
    assert run("client").looks == []


def test_a_dead_api_server_is_no_reason_against_it(run: Run, tmp_path: Path) -> None:
    for name in M:
        run(name).parts["cluster"] = "silent refused"
    runbook.back_up(run.context, str(tmp_path))
    assert run.failures == {}
    assert len(made(tmp_path)) == 1


def test_without_the_leader_another_gives_it_and_what_is_wrong_is_told_and_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = gives(monkeypatch)
    run("m2").parts["etcd"] = DEAD
    runbook.back_up(run.context, str(tmp_path))
    assert asked[0].startswith("m1 ")
    assert "m1      ! m2: its etcd does not run" in capsys.readouterr().out
    assert json.loads((made(tmp_path)[0] / "backup.json").read_text())["problems"] == ["m2: its etcd does not run"]


def test_where_no_member_answers_nothing_is_written(run: Run, tmp_path: Path) -> None:
    for name in M:
        run(name).parts["etcd"] = DEAD
    with pytest.raises(KubefabError, match=r"no snapshot can be had:\n  m1: its etcd does not run"):
        runbook.back_up(run.context, str(tmp_path))
    assert (made(tmp_path), run.ran) == ([], [])


def test_a_dry_run_says_where_it_would_be_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.engine.dry = True
    runbook.back_up(run.context, str(tmp_path))
    assert f"m2      + a snapshot of etcd is in {tmp_path}/lab-" in capsys.readouterr().out
    assert (made(tmp_path), run.ran) == ([], [])


FLIPPED = bytes([SNAPSHOT[0] ^ 1]) + SNAPSHOT[1:]


@pytest.mark.parametrize(
    ("snapshot", "said", "told"),
    [
        (FLIPPED, CHECKED, "the snapshot is not what etcd has sent: its checksum is another one"),
        (SNAPSHOT, "", "etcd's own tool said of the snapshot what cannot be understood"),
        (SNAPSHOT, "checked [1]\n", "etcd's own tool said of the snapshot what cannot be understood"),
    ],
)
def test_a_snapshot_that_is_not_believed_is_not_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: bytes, said: str, told: str
) -> None:
    gives(monkeypatch, snapshot, said)
    runbook.back_up(run.context, str(tmp_path))
    assert run.failures["m2"].endswith(told)
    assert made(tmp_path) == []


def test_without_an_output_it_is_below_the_users_own_state(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.cluster.log, "path", tmp_path / "kubefab" / "x.log")
    runbook.back_up(run.context, None)
    (folder,) = made(tmp_path / "kubefab" / "backups")
    assert folder.name.startswith("lab-")


# --- before a second master joins


@pytest.fixture
def growing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The first of the three has a cluster of its own, and the others have nothing."""
    monkeypatch.setattr(run.cluster.log, "path", tmp_path / "kubefab" / "x.log")
    alone = look("m1").replace(look("m1").partition("membership ")[2], ALONE)
    run("m1").parts["etcd"] = alone
    for name in ("m2", "m3"):
        run(name).parts.update(node="", cluster="", etcd="")
    run.engine.look(passes.ALL)
    return run


def backups(tmp_path: Path) -> int:
    return len(made(tmp_path / "kubefab" / "backups"))


def test_etcd_is_backed_up_before_a_second_master_joins_the_only_member(growing: Run, tmp_path: Path) -> None:
    runbook.save_before_growing(growing.context)
    assert (backups(tmp_path), growing.failures) == (1, {})


def mute(growing: Run, etcd: str = SILENT) -> str:
    """The only member says nothing any more; what it said before."""
    before = growing("m1").parts["etcd"]
    growing("m1").parts["etcd"] = etcd
    growing.engine.look_again(growing.cluster.masters, "etcd")
    return before


def test_the_only_member_that_is_silent_for_a_moment_is_asked_again_before_a_second_one_joins(
    growing: Run, tmp_path: Path
) -> None:
    before = mute(growing)
    growing.clock.on_sleep = lambda: growing("m1").parts.update(etcd=before)
    runbook.save_before_growing(growing.context)
    assert (backups(tmp_path), growing.failures) == (1, {})


@pytest.mark.parametrize(("said", "why"), [(SILENT, "context deadline exceeded"), (DEAD, "it does not run")])
def test_no_master_joins_where_it_stays_unknown_whether_it_would_be_the_second(
    growing: Run, said: str, why: str
) -> None:
    mute(growing, said)
    with pytest.raises(Stop, match="no master joins without"):
        runbook.save_before_growing(growing.context)
    title = "it is known who the members of etcd are"
    assert growing.failures == {"m1": f"{title}: still: its etcd does not say: {why}"}
    assert (growing.ran, 30 <= growing.clock.ahead < 120) == ([], True)


def test_no_master_joins_where_the_backup_before_it_failed(growing: Run) -> None:
    growing("m1").parts["system"] = "disk_mib 0"
    growing.engine.look_again(growing.cluster.masters)
    with pytest.raises(Stop, match="no master joins without"):
        runbook.save_before_growing(growing.context)


def test_a_dry_run_waits_for_no_member_and_says_that_it_is_not_known(
    growing: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    mute(growing)
    growing.engine.dry = True
    runbook.save_before_growing(growing.context)
    assert "m1      ! expected: it is known who the members of etcd are; found: its etcd does not say" in (
        capsys.readouterr().out
    )
    assert growing.clock.ahead == 0


def test_a_worker_joins_without_one(growing: Run, tmp_path: Path) -> None:
    runbook.save_before_growing(growing.context, "client")
    assert backups(tmp_path) == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m1", {"node": "", "etcd": ""}),  # the machine is as new
        ("m1", {"node": f"{ADMIN}\nmanifest etcd.yaml\ninit_begun 1"}),  # what was broken off is taken up again
        ("m2", {"node": f"{ADMIN}\nmanifest etcd.yaml", "etcd": look("m2")}),  # another one tells
    ],
)
def test_who_has_no_etcd_or_only_half_of_one_or_another_that_tells_is_not_waited_for(
    growing: Run, tmp_path: Path, name: str, said: dict[str, str]
) -> None:
    mute(growing)
    growing(name).parts.update(said)
    growing.engine.look_again(growing.cluster.masters, "etcd")
    runbook.save_before_growing(growing.context)
    assert (backups(tmp_path), growing.failures) == (0, {})
    assert growing.clock.ahead == 0


def test_who_is_settled_already_is_not_waited_for(run: Run) -> None:
    """As after a power cut: `up` starts what does not run."""
    for name in M:
        run(name).parts["etcd"] = DEAD
    run.engine.look(passes.ALL)
    runbook.save_before_growing(run.context)
    assert run.failures == {}


def test_a_cluster_of_several_members_grows_without_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.cluster.log, "path", tmp_path / "kubefab" / "x.log")
    run.engine.look(passes.ALL)
    runbook.save_before_growing(run.context)
    assert backups(tmp_path) == 0


def test_where_there_is_no_cluster_there_is_nothing_to_back_up(growing: Run, tmp_path: Path) -> None:
    growing("m1").parts.update(node="", cluster="", etcd="")
    growing.engine.look_again(growing.cluster.masters, "etcd")
    runbook.save_before_growing(growing.context)
    assert backups(tmp_path) == 0


def test_one_master_is_to_grow_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = in_place(Run(), monkeypatch)
    runbook.save_before_growing(alone.context)
    assert [alone(name).looks for name in ("manager", "client")] == [[], []]


# --- room


@pytest.mark.parametrize(("free", "size", "told"), [(400, 200 << 20, False), (399, 200 << 20, True)])
def test_a_host_without_room_for_twice_the_database_is_told_before(free: int, size: int, told: bool) -> None:
    found = room_there(known(disk_mib=free, member=Member(1, 1, size=size)))
    assert found == ("418 MB are free; allowed: 419 MB, twice its database" if told else None)


def test_this_computer_has_to_have_room_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backup, "room", lambda folder: 1_000_000)
    facts = known(member=Member(1, 1, size=600_000))
    assert room_here(tmp_path / "x")(facts) == "1 MB are free; allowed: 1 MB, twice its database"
    assert room_here(tmp_path / "x")(known(member=Member(1, 1, size=500_000))) is None


def test_without_room_nothing_is_begun(run: Run, tmp_path: Path) -> None:
    run("m2").parts["system"] = "disk_mib 0"
    runbook.back_up(run.context, str(tmp_path))
    assert run.failures["m2"].startswith("there is room for a snapshot on the host: 0 MB are free")
    assert (made(tmp_path), run.ran) == ([], [])
