"""Backups that the masters make by themselves: their timer, and their way to this computer."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from kubefab import backup, carry, passes, render, runbook
from kubefab.errors import HostError, KubefabError
from kubefab.facts import Unit
from kubefab.host import Host
from kubefab.inventory import Schedule
from kubefab.schedule import TIMER
from kubefab.step import MISSING, sha256
from kubefab.steps import backups
from tests.databases import small, snapshot
from tests.facts import known, with_
from tests.fakes import looked, step, three_masters
from tests.members import CLUSTER, M, membership, status
from tests.runs import ADMIN, Run, in_place, nodes
from tests.test_backup import SNAPSHOT

SCHEDULE = Schedule(every="6h", keep=4)
WANTED = three_masters().model_copy(update={"backup": SCHEDULE})
TEXTS = render.backups(SCHEDULE)
TITLE, RUNS = "a timer backs etcd up every 6h", f"{TIMER} runs"
WELL = known(
    "m1",
    digests={path: sha256(text) for path, text in TEXTS.items()},
    mtimes=dict.fromkeys(TEXTS, 5.0),
    units={TIMER: Unit("active", "enabled", since=10)},
)
MADE = looked({name: {} for name in M}, WANTED)


def gap(title: str, **said: object) -> str | None:
    return step(backups.steps(MADE, MADE.hosts["m1"]), title).gap(with_(WELL, **said))


@pytest.mark.parametrize(
    ("title", "said", "told"),
    [
        (TITLE, {"digests": WELL.files.digests}, None),
        (TITLE, {"digests": {}}, MISSING),
        (TITLE, {"digests": {**WELL.files.digests, render.BACKUP_SERVICE: "0"}}, f"{render.BACKUP_SERVICE} differs"),
        (RUNS, {"units": WELL.services.units}, None),
        (RUNS, {"units": {TIMER: Unit("inactive", "enabled")}}, "inactive"),
        (RUNS, {"units": {TIMER: Unit("active", "disabled", since=10)}}, "does not start at boot (disabled)"),
        (RUNS, {"mtimes": {render.BACKUP_SERVICE: 11.0}}, "runs with an older configuration"),
        (RUNS, {"mtimes": {render.BACKUP_PROGRAM: 11.0}}, None),  # which is read at each start of it
    ],
)
def test_a_timer_that_is_not_as_hosts_yml_says_is_found(title: str, said: dict[str, object], told: str | None) -> None:
    assert gap(title, **said) == told


def test_workers_have_none() -> None:
    assert backups.steps(MADE, MADE.hosts["client"]) == []


def test_another_number_that_is_kept_makes_another_file() -> None:
    other = render.backups(SCHEDULE.model_copy(update={"keep": 5}))
    assert [path for path, text in other.items() if text != TEXTS[path]] == [render.BACKUP_SERVICE]


def test_the_program_on_a_host_is_all_of_it() -> None:
    assert "find_etcd()" in TEXTS[render.BACKUP_PROGRAM]
    assert '. "${0%/*}' not in TEXTS[render.BACKUP_PROGRAM]


def test_where_hosts_yml_wants_none_kubefabs_timer_goes_and_nobody_elses() -> None:
    made = looked({name: {} for name in M}, three_masters())
    (gone,) = backups.steps(made, made.hosts["m1"])
    assert gone.gap(known(timer_files=("/etc/x.timer",))) == "/etc/x.timer"
    assert gone.gap(WELL) is None


def test_a_run_puts_the_timer_on_every_master_and_then_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = in_place(Run(WANTED), monkeypatch)
    for name in M:
        run(name).parts.update(node=ADMIN, cluster=nodes(*M))

        def change(name: str = name) -> None:
            done = run(name).ran[-1]
            if done == "put-files.sh":
                run(name).parts["files"] = "".join(f"file {path} {sha256(text)}\n" for path, text in TEXTS.items())
            else:
                stamp = "Thu 2026-11-26 12:00:00 UTC"
                states = f"unit ActiveState=active\nunit UnitFileState=enabled\nunit ActiveEnterTimestamp={stamp}"
                run(name).parts["services"] = f"unit Id={TIMER}\n{states}"

        run(name).on_change = change
    for _ in range(2):
        run.engine.converge(passes.ALL, backups.steps)
    files = f"{render.BACKUP_TIMER} {render.BACKUP_SERVICE}"
    assert (run.ran, run.failures) == (["put-files.sh", f"restart-service.sh {TIMER} {files}"] * 3, {})


# --- to this computer

TIMES = ("2026-11-26T06-00-00Z", "2026-11-26T12-00-00Z")
ABOUT = f"""\
checked {{"hash":1,"revision":9,"totalKey":3,"totalSize":20480}}
member {status("m2")}
membership {membership(*M)}
kubernetes 1.37.2
kubeadm 1.37.2-1.1
"""
KEYS = f"pki/ca.key {b64encode(b'secret').decode()}\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The first and the second master have made a backup each."""
    made = in_place(Run(WANTED), monkeypatch)
    for name in M:
        made(name).parts.update(node=ADMIN, cluster=nodes(*M))
    for name, time in zip(M, TIMES, strict=False):
        made(name).parts["backups"] = f"backup {time} {len(SNAPSHOT)}"
    gives(made, monkeypatch)
    return made


def gives(run: Run, monkeypatch: pytest.MonkeyPatch, snapshot: bytes = SNAPSHOT) -> list[str]:
    """What comes over SSH; of what was asked."""
    asked: list[str] = []

    def ask(host: Host) -> Callable[..., str]:
        def answer(script: str, name: str, file: str, **how: object) -> str:
            asked.append(f"{host.name} {script} {name} {file}{' in secret' if how.get('secret') else ''}")
            return {"keys": KEYS, "about": ABOUT}[file]

        return answer

    def fetch(host: Host, script: str, *args: str, to: Path) -> str:
        asked.append(" ".join((host.name, script, *args)))
        to.touch(0o600)
        to.write_bytes(snapshot)
        return ""

    monkeypatch.setattr("tests.fakes.FakeHost.ask", property(ask))
    monkeypatch.setattr(carry, "fetch", fetch)
    return asked


FOLDERS = tuple(f"lab-{time}" for time in TIMES)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_all_that_masters_have_made_come_here_each_as_a_folder_of_its_own(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runbook.fetch_backups(run.context, str(tmp_path))
    assert (names(tmp_path), run.failures) == (list(FOLDERS), {})
    said = capsys.readouterr().out
    assert f"{tmp_path}/{FOLDERS[1]}: revision 9, 3 keys, 0.0 MB, by m2; its checksum is that of etcd" in said
    assert said.count("whoever has one of these folders owns the cluster") == 1


def test_such_a_folder_is_as_those_of_a_backup_by_hand(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = snapshot(small(9))
    gives(run, monkeypatch, sent)
    runbook.fetch_backups(run.context, str(tmp_path))
    folder = tmp_path / FOLDERS[1]
    found = backup.opened(folder)
    assert (found.host, found.cluster, found.revision, found.etcd) == ("m2", "lab", 9, CLUSTER)
    assert f"{found.time:%H:%M}" == "12:00"
    assert (folder / "pki/ca.key").read_bytes() == b"secret"
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    about = json.loads((folder / "backup.json").read_text())
    assert about["snapshot"]["sha256"] == hashlib.sha256(sent[:-32]).hexdigest()
    assert (about["kubernetes"], about["kubeadm"]) == ("1.37.2", "1.37.2-1.1")
    assert [one["name"] for one in about["members"]] == list(M)


def test_keys_are_asked_for_in_secret(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = gives(run, monkeypatch)
    runbook.fetch_backups(run.context, str(tmp_path))
    first = f"m1 print-backup.sh {TIMES[0]}"
    assert asked[:3] == [f"{first} keys in secret", f"{first} about", f"{first} snapshot.db"]


def test_what_is_here_is_not_fetched_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runbook.fetch_backups(run.context, str(tmp_path))
    asked = gives(run, monkeypatch)
    runbook.fetch_backups(run.context, str(tmp_path))
    assert asked == []


def test_a_snapshot_that_came_as_another_one_is_not_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gives(run, monkeypatch, bytes([SNAPSHOT[0] ^ 1]) + SNAPSHOT[1:])
    runbook.fetch_backups(run.context, str(tmp_path))
    assert names(tmp_path) == []
    assert set(run.failures) == {"m1", "m2"}


def test_one_that_is_damaged_hides_no_newer_one(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("m1").parts["backups"] = "".join(f"backup {time} {len(SNAPSHOT)}\n" for time in TIMES)
    run("m2").parts["backups"] = ""

    def fetch(host: Host, script: str, name: str, file: str, to: Path) -> str:
        to.touch(0o600)
        to.write_bytes(SNAPSHOT if name == TIMES[1] else bytes([SNAPSHOT[0] ^ 1]) + SNAPSHOT[1:])
        return ""

    monkeypatch.setattr(carry, "fetch", fetch)
    runbook.fetch_backups(run.context, str(tmp_path))
    assert (names(tmp_path), set(run.failures)) == ([FOLDERS[1]], {"m1"})


def test_a_master_that_is_away_hides_no_other(run: Run, tmp_path: Path) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    run("m1").on_look = away
    runbook.fetch_backups(run.context, str(tmp_path))
    assert (names(tmp_path), set(run.failures)) == ([FOLDERS[1]], {"m1"})


def test_a_dry_run_tells_which_would_come(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.engine.dry = True
    runbook.fetch_backups(run.context, str(tmp_path))
    said = capsys.readouterr().out
    assert f"m1      + the backup of 2026-11-26 06:00:00 UTC is in {tmp_path}/{FOLDERS[0]}" in said
    assert names(tmp_path) == []


def test_where_there_is_no_room_for_them_none_is_begun(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "room", lambda folder: 0)
    runbook.fetch_backups(run.context, str(tmp_path))
    assert (names(tmp_path), set(run.failures)) == ([], {"m1", "m2"})


def test_where_no_master_has_made_any_that_is_told(run: Run, tmp_path: Path) -> None:
    for name in M:
        run(name).parts["backups"] = ""
    with pytest.raises(KubefabError, match=r"no master has made a backup by itself: `etcd: \{backup:"):
        runbook.fetch_backups(run.context, str(tmp_path))
