"""etcd gives room back: on which member first, what is asked of it before, and when writes are taken again."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from kubefab import runbook
from kubefab.converge import Stop
from kubefab.errors import KubefabError, NotAsked
from kubefab.facts import Member
from kubefab.steps.defragment import holes, overfull, without_room
from tests.facts import known
from tests.fakes import three_masters
from tests.members import DEAD, IDS, M, look
from tests.runs import ADMIN, Run, in_place, nodes

HOLES = {"dbSize": 90_000_000, "dbSizeInUse": 9_000_000}
NONE = {"dbSize": 9_000_000, "dbSizeInUse": 9_000_000}
ALARM = {"errors": ["memberID:161 alarm:NOSPACE "]}
FULL = {"dbSize": 99_000_000, "dbSizeInUse": 99_000_000, "dbSizeQuota": 100_000_000, **ALARM}


class Members:
    """Three masters whose members do as they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **says: Any) -> None:
        self.run = in_place(Run(three_masters()), monkeypatch)
        self.says: dict[str, dict[str, Any]] = {name: dict(says or HOLES) for name in M}
        self.done: list[str] = []
        for name in M:
            self.run(name).on_change = partial(self.changed, name)
        self.tell()

    def tell(self) -> None:
        for name, says in self.says.items():
            told = look(name, **says) if says else DEAD
            self.run(name).parts.update(
                node=f"{ADMIN}\nmanifest etcd.yaml", cluster=nodes(*M), etcd=told, restore="free_mib 9000"
            )

    def changed(self, name: str) -> None:
        did = self.run(name).ran[-1]
        self.done.append(f"{name} {did}")
        match did.split()[0]:
            case "defragment-etcd.sh":
                self.says[name]["dbSize"] = self.says[name]["dbSizeInUse"]
            case "compact-etcd.sh":
                for says in self.says.values():
                    says["dbSizeInUse"] = 9_000_000
            case "disarm-etcd.sh":
                for says in self.says.values():
                    says.pop("errors")
        self.tell()


def test_each_member_gives_room_back_one_at_a_time_and_the_leader_last(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members(monkeypatch)
    runbook.defragment(members.run.context)
    assert members.done == [f"{name} defragment-etcd.sh" for name in ("m1", "m3", "m2")]
    assert members.run.failures == {}


def test_where_another_one_leads_meanwhile_that_one_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members(monkeypatch)
    done = members.run("m1").on_change

    def m3_is_chosen() -> None:
        for says in members.says.values():
            says["leader"] = IDS["m3"]
        done()

    members.run("m1").on_change = m3_is_chosen
    runbook.defragment(members.run.context)
    assert members.done == [f"{name} defragment-etcd.sh" for name in ("m1", "m2", "m3")]


def test_a_second_run_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members(monkeypatch, **NONE)
    runbook.defragment(members.run.context)
    assert members.done == []


def test_a_dry_run_tells_what_it_would_give_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    members = Members(monkeypatch)
    members.run.engine.dry = True
    runbook.defragment(members.run.context)
    assert "m2      ~ its database has no room that nobody uses  (now: 81.0 MB of 90.0 MB)" in capsys.readouterr().out
    assert members.done == []


def test_a_full_etcd_forgets_its_history_gives_room_back_and_takes_writes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = Members(monkeypatch, **FULL, revision=1407)
    runbook.defragment(members.run.context)
    assert members.done == [
        "m1 compact-etcd.sh 1407",
        "m1 defragment-etcd.sh",
        "m3 defragment-etcd.sh",
        "m2 defragment-etcd.sh",
        "m2 disarm-etcd.sh",
    ]


def test_where_it_is_no_history_that_fills_it_the_alarm_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members(monkeypatch, **FULL)
    members.run("m1").on_change = lambda: members.done.append(members.run("m1").ran[-1])
    with pytest.raises(Stop):
        runbook.defragment(members.run.context)
    assert members.done == ["compact-etcd.sh 9"]
    assert members.run.failures == {"m1": "what etcd keeps is less than it may: still: it keeps 99% of it"}


def test_a_member_whose_data_are_others_is_touched_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members(monkeypatch, **HOLES, errors=["memberID:161 alarm:CORRUPT "])
    with pytest.raises(Stop):
        runbook.defragment(members.run.context)
    assert (members.done, list(members.run.failures)) == ([], ["m1"])


def test_without_a_leader_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members(monkeypatch, **HOLES, leader=0)
    with pytest.raises(Stop):
        runbook.defragment(members.run.context)
    assert (members.done, members.run.failures) == ([], {"m1": "etcd has a leader: no leader"})


def test_the_next_one_is_not_begun_before_the_last_one_has_what_the_others_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = Members(monkeypatch)
    done = members.run("m1").on_change

    def falls_behind() -> None:
        done()
        members.says["m1"]["raftAppliedIndex"] = 1
        members.says["m2"]["raftAppliedIndex"] = 9000
        members.tell()

    members.run("m1").on_change = falls_behind
    with pytest.raises(Stop):
        runbook.defragment(members.run.context)
    assert members.done == ["m1 defragment-etcd.sh"]
    assert members.run.failures == {"m1": "its member has what the others have: still: 8999 writes behind"}


def test_one_that_does_not_answer_is_told_after_the_others_were_done(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members(monkeypatch)
    members.says["m3"] = {}
    members.tell()
    with pytest.raises(KubefabError, match=r"(?s)^not done: the etcd of m3 does not.*m3: its etcd does not run"):
        runbook.defragment(members.run.context)
    assert members.done == ["m1 defragment-etcd.sh", "m2 defragment-etcd.sh"]


def test_a_member_of_no_master_of_hosts_yml_is_told_though_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = Members(monkeypatch, **NONE)
    monkeypatch.setitem(IDS, "m4", 0xA4)
    for name in M:
        members.run(name).parts["etcd"] = look(name, *M, "m4", **NONE)
    with pytest.raises(KubefabError, match=r"(?s)^not done: the etcd of m4 does not.*no master that answers has it"):
        runbook.defragment(members.run.context)
    assert members.done == []


# --- the gaps


@pytest.mark.parametrize(
    ("size", "used", "told"),
    [
        (100 << 20, 98 << 20, None),
        (100 << 20, 89 << 20, "11.5 MB of 104.9 MB"),
        (3 << 20, 1 << 20, None),
        ((3 << 20) + 1, 1 << 20, "2.1 MB of 3.1 MB"),
    ],
)
def test_as_much_as_a_busy_etcd_frees_in_a_moment_is_no_hole(size: int, used: int, told: str | None) -> None:
    assert holes(known(member=Member(1, 1, size=size, used=used))) == told


def test_what_is_used_and_not_told_is_not_none() -> None:
    with pytest.raises(NotAsked, match="does not say how much"):
        holes(known(member=Member(1, 1, size=9)))


@pytest.mark.parametrize(("free", "told"), [(100, None), (99, "104 MB are free; wanted: 105 MB")])
def test_a_second_database_wants_room_beside_the_first(free: int, told: str | None) -> None:
    assert without_room(known(free_mib=free, member=Member(1, 1, size=200 << 20, used=100 << 20))) == told


def test_history_is_forgotten_only_where_there_is_no_room() -> None:
    full = Member(1, 1, size=90, used=90, quota=100)
    assert overfull(known(member=full)) is None
    alarmed = Member(1, 1, size=90, used=90, quota=100, errors=("alarm:NOSPACE",))
    assert overfull(known(member=alarmed)) == "it keeps 90% of it"
    assert overfull(known(member=replace(alarmed, quota=-1))) is None


def test_what_is_done_to_the_only_member_goes_by_what_it_said_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run may have had the lock until now, and a look at a single master is not one at its etcd."""
    run = in_place(Run(), monkeypatch)
    alone = {**FULL, "leader": IDS["m1"]}

    def tell(**says: Any) -> None:
        member = look("m1", "m1", **{**alone, **says})
        run("manager").parts.update(node=f"{ADMIN}\nmanifest etcd.yaml", etcd=member, restore="free_mib 9000")

    tell(revision=9)
    run("manager").parts["cluster"] = nodes("manager")
    run("manager").on_lock = partial(tell, revision=2000)
    with pytest.raises(Stop):
        runbook.defragment(run.context)
    assert run.ran == ["compact-etcd.sh 2000"]
