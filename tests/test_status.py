"""How a cluster is: the verdict and its exit status, what is wrong in words, and the command that comes next."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from invoke import Exit

from kubefab import report, runbook, status
from kubefab.cluster import Cluster
from kubefab.errors import HostError, Refused, Silent, Unreachable
from kubefab.facts import ADDON, CORDONED_BY, ClusterFacts, Facts, Known, Node, Workload
from kubefab.host import Host
from kubefab.inventory import Inventory, Schedule
from kubefab.patience import SHORT, USUAL
from kubefab.report import Failure
from kubefab.status import Found, State
from kubefab.step import Step, Subject, complaint
from kubefab.steps import backups, health, masters, preflight, rook
from tests.facts import read, with_
from tests.fakes import HOSTS, inventory, three_masters
from tests.members import DEAD, IDS, SILENT, M, look, membership
from tests.runs import ADMIN, Run, in_place

WELL = ("manager", "client")
DOUBT = "not known whether anything can be written"
Told = Callable[..., tuple[int, dict[str, Any]]]


def nodes(*ready: str, without: Sequence[str] = (), **spec: Any) -> str:
    """What the look's part `cluster` prints where these nodes are Ready, and those are not."""
    items = [
        {
            "kind": "Node",
            "metadata": {"name": name},
            "spec": spec,
            "status": {
                "conditions": [{"type": "Ready", "status": str(name in ready), "message": "[stopped]"}],
                "nodeInfo": {"machineID": f"id-{name}"},
            },
        }
        for name in (*ready, *without)
    ]
    return "answer " + json.dumps({"items": items})


def away() -> None:
    raise Unreachable("cannot be reached")


def refused() -> None:
    raise Refused("cannot be reached at 10.0.0.1:22: Connection refused")


def behind_a_jump_host_that_is_away() -> None:
    raise Unreachable("jump host bastion: cannot be reached", on_the_way=True)


def not_let_in() -> None:
    raise HostError("does not let admin in: Authentication failed.")


def made(wanted: str | Inventory = HOSTS) -> Run:
    """A cluster where all is well."""
    run = Run(wanted)
    for name, host in run.cluster.hosts.items():
        run(name).parts["system"] = f"machine_id id-{name}"
        if host.wanted.role == "master":
            members = {"etcd": look(name)} if name in M else {}
            run(name).parts.update(node=f"{ADMIN}\nmanifest etcd.yaml", cluster=nodes(*run.cluster.hosts), **members)
    return run


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_place(made(), monkeypatch)


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_place(made(three_masters()), monkeypatch)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """The exit status, and the JSON."""

    def run_it(run: Run, *besides: Subject) -> tuple[int, dict[str, Any]]:
        code = shown(run, *besides, as_json=True)
        return code, json.loads(capsys.readouterr().out)

    return run_it


def shown(run: Run, *besides: Subject, as_json: bool = False) -> int:
    try:
        subjects = preflight.as_wanted, health.ready, backups.steps, *besides
        runbook.show_status(run.context, *subjects, as_json=as_json)
    except Exit as ended:
        return int(ended.code)
    return 0


# --- 0, 1 and 2


@pytest.mark.parametrize("masters", [1, 3])
def test_where_all_is_well_the_exit_status_is_0(masters: int, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    code, found = told(in_place(made(three_masters() if masters == 3 else HOSTS), monkeypatch))
    assert (code, found["state"], found["problems"], found["next"]) == (0, "well", [], None)


def test_where_anything_is_wrong_it_is_1(one: Run, told: Told) -> None:
    one("manager").parts["cluster"] = nodes("manager", without=["client"])
    code, found = told(one)
    assert (code, found["state"], found["healthy"]) == (1, "wrong", False)
    assert found["problems"] == ["client: expected: the node is Ready; found: [stopped]"]


def test_what_hosts_yml_says_otherwise_is_wrong_too(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    run = in_place(made(), monkeypatch)
    run("manager").parts["cluster"] = f"version 1.37.1\n{nodes(*WELL)}"
    code, found = told(run)
    assert (code, found["next"].partition(";")[0]) == (1, "inv cluster.upgrade")
    assert "the cluster is of 1.37.1" in found["problems"][0]


def test_a_cluster_that_is_not_there_yet_is_1_and_told_once(run: Run, told: Told) -> None:
    code, found = told(run)
    assert (code, found["verdict"], found["problems"]) == (1, "not well", ["there is no cluster yet"])
    assert (found["nodes"], found["version"], found["next"]) == ([], None, "inv cluster.up")


def test_where_no_api_server_answers_it_is_2_and_told_once(one: Run, told: Told) -> None:
    one("manager").parts.update(cluster="silent refused", etcd=look("m1", "m1", leader=IDS["m1"]), api="")
    one.cluster._readyz = lambda host, ca, silent: ""
    code, found = told(one)
    assert (code, found["state"]) == (2, "unwritable")
    assert found["verdict"] == "no API server answers in 3 s: nothing can be written"
    assert found["problems"] == ["manager: the API server gives no answer: refused"]
    assert (found["nodes"], found["addons"]) == (None, None), "not heard is not none"
    assert found["next"] == "inv fix-reboot"


def test_an_api_server_that_is_slow_is_not_taken_for_none(one: Run, told: Told) -> None:
    """kubectl had no answer in time, and /readyz says ok."""
    one("manager").parts.update(cluster="silent no answer in 3 s", etcd=look("m1", "m1", leader=IDS["m1"]))
    code, found = told(one)
    assert (code, found["verdict"]) == (1, "not known whether all is well")
    assert found["problems"] == ["manager: not known: the API server gives no answer: no answer in 3 s"]
    assert found["next"].startswith("inv cluster.status, once more")


def test_a_node_that_is_not_ready_by_somebodys_late_answer_is_known_to_be_so(three: Run, told: Told) -> None:
    """A kubelet says so of a runtime that hangs."""
    hangs = "container runtime is down, rpc error: code = DeadlineExceeded desc = context deadline exceeded"
    step = Step("the node is Ready", lambda _: hangs, None, within=3)
    code, found = told(three, lambda _, host: [step] if host.name == "m2" else [])
    assert (code, found["verdict"]) == (1, "not well")
    assert found["problems"] == [f"m2: expected: the node is Ready; found: {hangs}"]


def test_what_a_busy_master_does_not_say_in_time_is_not_known_and_asked_again(three: Run, told: Told) -> None:
    """Each once, though several states want it."""
    three("m2").parts["etcd"] = SILENT
    three.cluster._readyz = lambda host, ca, silent: "no answer within 3 s" if host.name == "m3" else "ok"
    wanted = [health.api_server(), masters.up_to_date(M)]
    code, found = told(three, lambda _, host: wanted if host.name in M else [])
    assert (code, found["state"], found["verdict"]) == (1, "wrong", "not known whether all is well")
    assert found["problems"] == [
        "m2: not known: its etcd gives no answer: context deadline exceeded",
        "m3: not known: /readyz: no answer within 3 s",
    ]
    assert found["next"].startswith("inv cluster.status, once more")


def test_what_is_wrong_besides_is_the_verdict(three: Run, told: Told) -> None:
    three("m2").parts["etcd"] = SILENT
    three("m3").on_look = away
    assert told(three)[1]["verdict"] == "not well"


@pytest.mark.parametrize(("masters", "words"), [(HOSTS, "the master is away"), (three_masters(), "all 3 masters are")])
def test_where_no_master_answers_it_is_2(
    masters: str | Inventory, words: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = in_place(made(masters), monkeypatch)
    for host in run.cluster.masters:
        run(host.name).on_look = away
    code, found = told(run)
    assert code == 2
    assert found["verdict"].startswith(words)
    assert [line for line in found["problems"] if "cannot be reached" not in line] == []
    assert found["next"] == "inv preflight"


@pytest.mark.parametrize("masters", [HOSTS, three_masters()])
def test_masters_that_let_nobody_in_may_serve_and_are_not_told_as_lost(
    masters: str | Inventory, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a wrong user in hosts.yml."""
    run = in_place(made(masters), monkeypatch)
    for host in run.cluster.masters:
        run(host.name).on_look = not_let_in
    code, found = told(run)
    assert (code, found["state"], found["verdict"]) == (1, "wrong", DOUBT)
    assert len(found["problems"]) == len(run.cluster.masters)
    assert all("does not let admin in" in line for line in found["problems"])
    assert found["next"] == "inv preflight"


@pytest.mark.parametrize("masters", [HOSTS, three_masters()])
@pytest.mark.parametrize("why", [refused, behind_a_jump_host_that_is_away])
def test_masters_that_may_be_on_are_not_told_as_lost(
    masters: str | Inventory, why: Callable[[], None], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a wrong port in hosts.yml, or a jump host that is off."""
    run = in_place(made(masters), monkeypatch)
    for host in run.cluster.masters:
        run(host.name).on_look = why
    code, found = told(run)
    assert (code, found["state"], found["verdict"]) == (1, "wrong", DOUBT)


def test_one_master_that_lets_nobody_in_is_not_lost_with_two_that_are_off(three: Run, told: Told) -> None:
    for name in ("m1", "m2"):
        three(name).on_look = away
    three("m3").on_look = not_let_in
    code, found = told(three)
    assert (code, found["verdict"]) == (1, DOUBT)


def test_a_master_that_lets_nobody_in_is_no_proof_that_a_quorum_is_lost(three: Run, told: Told) -> None:
    """The API server of the one that was looked at may be down alone, and its etcd late with the news."""
    for name in ("m1", "m2"):
        three(name).on_look = not_let_in
    three("m3").parts["cluster"] = "silent no answer in 3 s"
    three.cluster._readyz = lambda host, ca, silent: ""
    code, found = told(three)
    assert (code, found["verdict"]) == (1, DOUBT)


def test_where_the_others_are_too_many_it_is_lost_whoever_lets_nobody_in(three: Run, told: Told) -> None:
    three("m1").on_look = not_let_in
    three("m2").on_look = away
    three("m3").parts.update(cluster="silent no answer in 3 s", etcd=look("m3", leader=0))
    three.cluster._readyz = lambda host, ca, silent: ""
    assert told(three)[0] == 2


# --- each host once, and for a short time


def test_a_host_is_waited_for_no_longer_than_a_status_has_time(one: Run) -> None:
    patience = []
    one("client").on_look = lambda: patience.append(one.cluster.hosts["client"].link.network.patience)
    shown(one)
    assert (patience, one.cluster.hosts["client"].link.network.patience) == ([SHORT], USUAL)


def test_a_host_that_does_not_answer_is_a_problem_like_others(one: Run, told: Told) -> None:
    one("client").on_look = away
    code, found = told(one)
    assert (code, found["problems"], found["next"]) == (1, ["client: cannot be reached"], "inv preflight")
    assert len(one("client").looks) == 1


def test_a_change_that_goes_on_is_told_and_not_waited_for(one: Run, told: Told) -> None:
    one("client").parts["change"] = "change 1795377600 swap is off"
    assert told(one)[1]["problems"] == ["client: a change is going on: swap is off"]
    assert one.clock.slept == []


def test_a_status_leaves_what_comes_after_it_as_it_was(one: Run, told: Told) -> None:
    one.engine.failures.append(Failure("third", "swap is off", HostError("no")))
    told(one)
    assert (one.engine.report.quiet, one.engine.patient) == (False, True)
    assert [failure.host for failure in one.engine.failures] == ["third"]


# --- several masters


@pytest.mark.parametrize("dead", M)
def test_one_of_three_masters_away_is_wrong_and_the_others_tell_of_all(dead: str, three: Run, told: Told) -> None:
    leader = next(name for name in M if name != dead)
    for name in M:
        three(name).parts["etcd"] = look(name, leader=IDS[leader])
    three(dead).on_look = away
    code, found = told(three)
    assert (code, found["state"], found["problems"]) == (1, "wrong", [f"{dead}: cannot be reached"])
    assert {one["name"] for one in found["nodes"]} == {*M, "client"}
    assert {one["name"]: one["leader"] for one in found["etcd"]["members"]} == {
        name: None if name == dead else name == leader for name in M
    }


@pytest.mark.parametrize("left", M)
def test_two_of_three_masters_away_are_named_as_a_lost_quorum(left: str, three: Run, told: Told) -> None:
    for name in M:
        three(name).on_look = away
    three(left).on_look = lambda: None
    three(left).parts.update(cluster="silent no answer in 3 s", etcd=look(left, leader=0, errors=["no leader"]))
    three.cluster._readyz = lambda host, ca, silent: "no answer within 1 s"
    code, found = told(three)
    assert (code, found["verdict"]) == (2, "2 of 3 masters are away: nothing can be written")
    assert f"{left}: its etcd knows of no leader: nothing can be written by way of it" in found["problems"]
    assert {one["name"]: (one["ssh"], one["etcd"]) for one in found["hosts"]} == {
        **{name: (False, None) for name in M if name != left},
        left: (True, "no leader"),
        "client": (True, None),
    }


def test_whoever_has_just_lost_the_others_still_believes_in_a_leader(three: Run, told: Told) -> None:
    for name in ("m1", "m2"):
        three(name).on_look = away
    three("m3").parts["cluster"] = "silent no answer in 3 s"
    three.cluster._readyz = lambda host, ca, silent: ""
    assert told(three)[1]["verdict"] == "2 of 3 masters are away: nothing can be written"


def test_members_that_do_not_answer_on_masters_that_do_are_told_as_that(three: Run, told: Told) -> None:
    for name in ("m1", "m2"):
        three(name).parts.update(etcd=DEAD, cluster="silent refused")
    three("m3").parts.update(etcd=look("m3", leader=0), cluster="silent refused")
    three.cluster._readyz = lambda host, ca, silent: ""
    code, found = told(three)
    assert (code, found["verdict"]) == (2, "2 of 3 members of etcd do not answer: nothing can be written")
    assert "m1: its etcd does not run" in found["problems"]


def test_an_api_server_that_answers_speaks_for_members_that_were_not_heard(three: Run, told: Told) -> None:
    """A master that is cut off from the others is heard, and they are not."""
    for name in ("m2", "m3"):
        three(name).parts["etcd"] = "untold ss: no answer in 3 s"
    three("m1").parts["etcd"] = look("m1", leader=0)
    assert told(three)[0] == 1


def test_an_election_is_no_quorum_either(three: Run, told: Told) -> None:
    for name in M:
        three(name).parts["etcd"] = look(name, leader=0)
    code, found = told(three)
    assert (code, found["verdict"]) == (2, "etcd has no leader: nothing can be written")


def test_where_etcd_has_no_room_left_nothing_can_be_written(three: Run, told: Told) -> None:
    three("m2").parts["etcd"] = look("m2", errors=["memberID:162 alarm:NOSPACE"])
    code, found = told(three)
    assert (code, found["verdict"]) == (2, "the etcd of m2 has no room left: nothing can be written")
    assert found["next"] == "inv etcd.defragment"


def test_a_database_near_its_quota_is_told_with_what_gives_room_back(three: Run, told: Told) -> None:
    three("m2").parts["etcd"] = look("m2", dbSize=90, dbSizeQuota=100)
    _, found = told(three)
    assert found["next"] == "inv etcd.defragment"


def with_backups(monkeypatch: pytest.MonkeyPatch, **said: str) -> Run:
    """Three masters that are to back etcd up; what they say of it."""
    run = in_place(made(three_masters().model_copy(update={"backup": Schedule(every="6h")})), monkeypatch)
    for name, text in said.items():
        run(name).parts["backups"] = text
    return run


def test_the_last_backup_and_the_last_failure_are_told(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    run = with_backups(
        monkeypatch,
        m1="backup 2026-11-26T06-00-00Z 9\nbackup_failed_at 1795672800\nbackup_failed no space left",
        m2="backup 2026-11-26T12-00-00Z 9",
    )
    _, found = told(run)
    success = {"time": "2026-11-26T12:00:00+00:00", "host": "m2"}
    failure = {"time": "2026-11-26T06:00:00+00:00", "host": "m1", "why": "no space left"}
    assert found["backups"] == {
        "every": "6h",
        "keep": 8,
        "last_success": success,
        "last_failure": failure,
        "kept": {"m1": 1, "m2": 1, "m3": 0},
    }
    assert "etcd was backed up last at 2026-11-26 12:00:00 UTC, on m2; wanted: every 6h" in found["notes"]
    assert "a backup of etcd failed last at 2026-11-26 06:00:00 UTC, on m1: no space left" in found["notes"]
    assert not [line for line in found["problems"] if "backup of etcd" in line]


def test_a_backup_that_failed_last_is_wrong_with_the_way_to_see_why(
    monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    failed = "backup_failed_at 1795672800\nbackup_failed no space left"
    code, found = told(with_backups(monkeypatch, m2=f"backup 2026-11-26T00-00-00Z 9\n{failed}"))
    assert code == 1
    wrong = "the last backup of etcd failed: 2026-11-26 06:00:00 UTC, on m2: no space left"
    assert found["problems"][-1] == wrong


def test_a_master_without_its_timer_is_told(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    _, found = told(with_backups(monkeypatch))
    assert "m1: expected: a timer backs etcd up every 6h; found: missing" in found["problems"]


def test_where_no_backups_are_wanted_nothing_is_told_of_them(three: Run, told: Told) -> None:
    three("m1").parts["backups"] = "backup 2026-11-26T06-00-00Z 9"
    _, found = told(three)
    assert (found["backups"], [line for line in found["notes"] if "back" in line]) == (None, [])


def test_who_has_fallen_behind_is_named(three: Run, told: Told) -> None:
    three("m2").parts["etcd"] = look("m2", raftAppliedIndex=90_000)
    three("m1").parts["etcd"] = look("m1", raftAppliedIndex=89_100)
    three("m3").parts["etcd"] = look("m3", raftAppliedIndex=80_000)
    code, found = told(three)
    assert (code, found["problems"]) == (1, ["m3: its etcd has fallen behind the others by 10000 writes"])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (look("m3", "m3", cluster=0xFF, leader=IDS["m3"]), "these are 2 clusters of etcd"),
        (look("m3"), "m3: its etcd was removed: the others count its member no more"),
    ],
)
def test_a_member_that_is_none_of_theirs_is_named_with_the_way_back(
    said: str, words: str, three: Run, told: Told
) -> None:
    for name in ("m1", "m2"):
        three(name).parts["etcd"] = look(name, *(M if "ff" in words or "clusters" in words else ("m1", "m2")))
    three("m3").parts["etcd"] = said
    code, found = told(three)
    assert code == 1
    assert [line for line in found["problems"] if line.startswith(words)] != []
    assert found["next"] == "inv node.remove --host m3, then inv cluster.up"


def test_a_member_of_a_master_that_is_none_of_hosts_yml_is_named_with_the_command(three: Run, told: Told) -> None:
    wanted = three.cluster.inventory
    three.cluster.inventory = wanted.model_copy(update={"hosts": (*wanted.hosts[:2], wanted.hosts[3])})
    del three.cluster.hosts["m3"]
    for name in ("m1", "m2"):
        three(name).parts["cluster"] = nodes("m1", "m2", "client", without=["m3"])
    code, found = told(three)
    assert code == 1
    assert "member m3 (https://m3:2380) was not heard: no master that answers has it" in found["problems"]
    assert found["next"] == "inv node.remove --host m3 --dead"


def test_whose_node_is_ready_is_not_called_dead_by_the_next_command(three: Run, told: Told) -> None:
    """--dead would be refused; and who switched it off for that might leave etcd without its quorum."""
    wanted = three.cluster.inventory
    three.cluster.inventory = wanted.model_copy(update={"hosts": (*wanted.hosts[:2], wanted.hosts[3])})
    del three.cluster.hosts["m3"]
    for name in ("m1", "m2"):
        three(name).parts["cluster"] = nodes(*M, "client")
    found = told(three)[1]
    assert "member m3 (https://m3:2380) was not heard: no master that answers has it" in found["problems"]
    assert found["next"].startswith("add `m3: {address: ")


def test_masters_away_are_known_by_their_addresses_where_their_members_are_called_otherwise(
    three: Run, told: Told
) -> None:
    said = look("m1", leader=0, errors=["no leader"])
    for name in ("m2", "m3"):
        three(name).on_look = away
        place = three.cluster.hosts[name].wanted.address
        said = said.replace(
            f'"name": "{name}", "peerURLs": ["https://{name}', f'"name": "ip", "peerURLs": ["https://{place}'
        )
    three("m1").parts.update(cluster="silent no answer in 3 s", etcd=said)
    three.cluster._readyz = lambda host, ca, silent: "no answer within 1 s"
    code, found = told(three)
    assert (code, found["verdict"]) == (2, "2 of 3 masters are away: nothing can be written")
    assert not [line for line in found["problems"] if line.startswith("member")]


def test_a_master_away_is_known_by_the_name_of_its_node_where_its_member_is_at_another_address(
    three: Run, told: Told
) -> None:
    three("m3").on_look = away
    place = str(three.cluster.hosts["m3"].wanted.address)
    items = json.loads(nodes("m1", "m2", "ip-3", "client").removeprefix("answer "))
    items["items"][2]["status"]["addresses"] = [{"type": "InternalIP", "address": place}]
    for name in ("m1", "m2"):
        said = look(name).replace('"name": "m3"', '"name": "ip-3"')
        three(name).parts.update(cluster=f"answer {json.dumps(items)}", etcd=said)
    assert not [line for line in told(three)[1]["problems"] if line.startswith("member")]


def test_a_dead_member_of_an_earlier_machine_of_a_masters_name_is_named_with_the_command(
    three: Run, told: Told
) -> None:
    for name in ("m1", "m2"):
        three(name).parts["etcd"] = look(name).replace("https://m3", "https://10.9.9.9")
    three("m3").parts.update(etcd="", node="", system="machine_id id-m3\naddress 10.0.0.3 eth0")
    assert told(three)[1]["next"] == "inv node.remove --host m3, then inv cluster.up"


def test_of_two_halves_neither_is_named_to_be_removed(three: Run, told: Told) -> None:
    three("m3").on_look = away
    three("m1").parts["etcd"] = look("m1", "m1", cluster=0xFF, leader=IDS["m1"])
    three("m2").parts["etcd"] = look("m2", "m2")
    assert told(three)[1]["next"] == "inv preflight"


def test_who_has_all_data_is_not_named_to_be_removed_beside_one_that_has_begun_anew(three: Run, told: Told) -> None:
    three("m3").on_look = away
    three("m1").parts["etcd"] = look("m1", "m1", leader=IDS["m1"], raftAppliedIndex=20)
    three("m2").parts["etcd"] = look("m2", leader=0, raftAppliedIndex=13020)
    found = told(three)[1]
    assert found["next"] == "inv preflight"
    assert not [line for line in found["problems"] if "removed" in line]
    assert "m1: its etcd has fallen behind the others by 13000 writes" in found["problems"]


def test_what_could_not_be_looked_at_is_told(three: Run, told: Told) -> None:
    three("m3").parts.update(etcd="untold ss: no answer in 3 s", network="untold ss: no answer in 3 s")
    code, found = told(three)
    assert (code, found["problems"]) == (1, ["m3: not known: ss: no answer in 3 s"])


def test_an_etcd_of_others_is_theirs_to_look_after(three: Run, told: Told) -> None:
    for name in M:
        three(name).parts["etcd"] = "servers https://10.9.9.9:2379"
    code, found = told(three)
    assert (code, found["etcd"]) == (0, None)


def test_an_etcd_that_hangs_is_told_of_each(three: Run, told: Told) -> None:
    for name in M:
        three(name).parts.update(etcd=SILENT, cluster="silent no answer in 3 s")
    three.cluster._readyz = lambda host, ca, silent: ""
    code, found = told(three)
    assert code == 2
    assert "m2: not known: its etcd gives no answer: context deadline exceeded" in found["problems"]
    assert {one["etcd"] for one in found["hosts"] if one["role"] == "master"} == {"silent"}


@pytest.mark.parametrize(
    ("says", "code", "next_"),
    [
        ({"errors": ["memberID:161 alarm:NOSPACE"]}, 2, "inv etcd.defragment"),
        ({"dbSize": 90, "dbSizeQuota": 100}, 1, "inv etcd.defragment"),
        ({"errors": ["memberID:161 alarm:CORRUPT"]}, 1, "inv cluster.up"),
    ],
)
def test_the_etcd_of_a_single_master_is_asked_too_since_its_api_server_reads_on_from_a_full_one(
    says: dict[str, Any], code: int, next_: str, one: Run, told: Told
) -> None:
    one("manager").parts["etcd"] = look("m1", "m1", leader=IDS["m1"], **says)
    ended, found = told(one)
    assert (ended, found["next"]) == (code, next_)
    assert len(found["etcd"]["members"]) == 1


@pytest.mark.parametrize("said", [look("m1", "m1", leader=IDS["m1"]), SILENT, DEAD, "untold ss: no answer in 3 s"])
def test_of_a_single_master_that_answers_etcd_is_told_where_it_says_that_something_is_wrong_alone(
    said: str, one: Run, told: Told
) -> None:
    """By its answer etcd serves: one that is too busy for etcdctl, or of somebody's own, is not called wrong."""
    one("manager").parts["etcd"] = said
    code, found = told(one)
    assert (code, found["problems"], found["etcd"]) == (0, [], None)


def test_an_even_number_of_masters_is_told_and_not_wrong(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = three_masters()
    two = wanted.model_copy(update={"hosts": wanted.hosts[1:]})
    run = in_place(made(two), monkeypatch)
    for name in ("m2", "m3"):
        run(name).parts["etcd"] = look(name, "m2", "m3")
    code, found = told(run)
    assert code == 0
    assert found["notes"] == ["2 masters bear the loss of 0, as 1 do: etcd needs more than half of them"]


@pytest.mark.parametrize(
    ("there", "learner", "note"),
    [
        (("m1",), "", "etcd has 1 member with a vote, and hosts.yml names 3 masters: it bears the loss of none"),
        (("m1", "m2"), "", "etcd has 2 members with a vote, and hosts.yml names 3 masters: it bears the loss of none"),
        (M, "m3", "etcd has 2 members with a vote, and hosts.yml names 3 masters: it bears the loss of none"),
        (M, "", None),
    ],
)
def test_how_many_may_be_lost_while_masters_are_yet_to_join_is_told_and_not_wrong(
    there: Sequence[str], learner: str, note: str | None, three: Run
) -> None:
    facts = {name: read({"node": "manifest etcd.yaml", "etcd": grown(name, there, learner)}) for name in there}
    found = Found(three_masters(), ClusterFacts(speaker="m1"), facts, {})
    assert [line for line in status.notes(found) if "etcd" in line] == [note] * bool(note)


def grown(name: str, there: Sequence[str], learner: str) -> str:
    """What the etcd of this host says while these are its members."""
    said, head, _ = look(name, *there).partition("membership ")
    return f"{said}{head}{membership(*there, learner=learner)}"


def test_a_member_too_many_bears_the_loss_of_no_more_and_is_told() -> None:
    four = {name: read({"node": "manifest etcd.yaml", "etcd": look(name, *M)}) for name in M}
    for name, facts in four.items():
        more = (*facts.etcd.membership, Known(9, "m4"))
        four[name] = with_(facts, membership=more)
    found = Found(three_masters(), ClusterFacts(speaker="m1"), four, {})
    assert "etcd has 4 members with a vote, and hosts.yml names 3 masters: it bears the loss of 1" in status.notes(
        found
    )


@pytest.mark.parametrize("facts", [{}, {"m1": {"etcd": DEAD}}])
def test_how_many_may_be_lost_is_not_told_where_nobody_says_who_is_a_member(facts: dict[str, dict[str, str]]) -> None:
    said = {name: read({"node": "manifest etcd.yaml", **parts}) for name, parts in facts.items()}
    assert status.notes(Found(three_masters(), ClusterFacts(speaker="m1"), said, {})) == []


def test_what_haproxy_cannot_see_without_anonymous_requests_is_told_and_not_wrong(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = in_place(made(three_masters()), monkeypatch)
    for name in M:
        run(name).parts["etcd"] = look(name)
    run("client").parts["endpoint"] = "sees m1 UP; L7OK 401\nsees m2 DOWN; L7STS 403\nsees m3 UP; L7OK 200"
    code, found = told(run)
    assert code == 0
    assert found["notes"] == [f"m1: {status._BLIND}"]


def test_what_several_subjects_want_is_told_once(one: Run, capsys: pytest.CaptureFixture[str]) -> None:
    one("manager").parts["cluster"] = nodes("manager", without=["client"])
    with pytest.raises(Exit):
        runbook.show_status(one.context, health.ready, health.ready, as_json=False)
    assert capsys.readouterr().out.count("expected: the node is Ready") == 1


# --- nodes


def test_a_node_that_hosts_yml_does_not_know_is_named_with_both_commands(one: Run, told: Told) -> None:
    one("manager").parts["cluster"] = nodes(*WELL, "old")
    code, found = told(one)
    assert code == 1
    (line,) = found["problems"]
    assert line.startswith("the node old is not in hosts.yml: to keep it, add `old: {address: ")
    assert "inv node.remove --host old" in line
    assert "inv restart --host old" in line
    assert found["next"].endswith("to hosts.yml, then: inv cluster.up")


def test_a_host_that_is_marked_absent_is_none_of_those(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    run = in_place(made(HOSTS + "  old: {address: 10.250.0.12, role: worker, absent: true}\n"), monkeypatch)
    run("manager").parts["cluster"] = nodes(*WELL, "old")
    assert told(run)[0] == 0


def called_otherwise(name: str, address: str) -> str:
    """The same, of a cluster made by hand where the Node at this address has a name of its own."""
    items = json.loads(nodes("manager").removeprefix("answer "))["items"]
    other = json.loads(nodes(without=[name]).removeprefix("answer "))["items"]
    other[0]["status"]["addresses"] = [{"type": "InternalIP", "address": address}]
    return "answer " + json.dumps({"items": items + other})


def test_a_host_that_is_away_is_the_node_at_its_address_whatever_that_is_called(one: Run, told: Told) -> None:
    """It cannot say so itself, and hosts.yml takes no second host at that address."""
    one("manager").parts["cluster"] = called_otherwise("ip-11", "10.250.0.11")
    one("client").on_look = away
    assert told(one)[1]["problems"] == ["client: cannot be reached"]


def test_so_is_one_that_is_marked_absent(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    run = in_place(made(HOSTS.replace("role: worker", "role: worker, absent: true")), monkeypatch)
    run("manager").parts["cluster"] = called_otherwise("ip-11", "10.250.0.11")
    assert told(run)[0] == 0


def test_a_node_at_the_address_of_a_host_that_has_one_of_its_own_name_is_not_known(one: Run, told: Told) -> None:
    items = [*json.loads(called_otherwise("old", "10.250.0.11").removeprefix("answer "))["items"]]
    items += json.loads(nodes(without=["client"]).removeprefix("answer "))["items"]
    one("manager").parts["cluster"] = "answer " + json.dumps({"items": items})
    one("client").on_look = away
    assert [line for line in told(one)[1]["problems"] if line.startswith("the node old is not in hosts.yml")]


TAKEN = [{"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}]


def test_a_node_that_was_taken_for_dead_and_is_back_is_wrong_until_its_taint_goes(one: Run, told: Told) -> None:
    one("manager").parts["cluster"] = nodes(*WELL, taints=TAKEN)
    code, found = told(one)
    away = "inv kubectl -- taint node manager node.kubernetes.io/out-of-service-"
    assert (code, found["next"]) == (1, away)
    assert found["problems"][0] == (
        "manager is Ready and has the taint node.kubernetes.io/out-of-service, as a machine that is off for good: it "
        f"keeps no pods until: {away}"
    )


def test_while_it_is_off_its_taint_is_as_it_should_be(one: Run, told: Told) -> None:
    one("manager").parts["cluster"] = nodes(without=WELL, taints=TAKEN)
    assert not [line for line in told(one)[1]["problems"] if "taint" in line]


def test_a_cordon_of_which_only_the_mark_of_a_task_is_left_is_told_with_both(one: Run, told: Told) -> None:
    """A task of an earlier kubefab, which set it under no name of its own; or a person, since that was killed."""
    cluster = nodes(*WELL, unschedulable=True).replace(
        '"name": "client"', f'"name": "client", "annotations": {{"{CORDONED_BY}": "cluster.upgrade at 1"}}'
    )
    one("manager").parts["cluster"] = cluster
    assert (
        "client is cordoned by a person, or still by cluster.upgrade at 1: no new pods come to it; "
        "inv node.uncordon --host client ends that"
    ) in told(one)[1]["notes"]


def test_a_cordoned_node_is_named_and_not_wrong(one: Run, told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    one("manager").parts["cluster"] = nodes(*WELL, unschedulable=True)
    code, found = told(one)
    assert (code, [node["cordoned"] for node in found["nodes"]]) == (0, [True, True])
    assert (
        "client is cordoned by a person: no new pods come to it; inv node.uncordon --host client ends that"
        in found["notes"]
    )
    shown(one)
    assert "yes, cordoned" in capsys.readouterr().out


# --- for people


LIVE = ClusterFacts(
    version="1.37.2",
    nodes={
        "manager": Node("manager", "a", "1.37.2", "10.250.0.10", ready=True, roles=("control-plane",)),
        "client": Node("client", "b", "1.37.1", "10.250.0.11", trouble="[stopped]"),
    },
)


def asked(name: str, services: str = "") -> Facts:
    """A host whose etcd was not looked at."""
    facts = read({"services": services})
    return replace(facts, name=name, parts={part: told for part, told in facts.parts.items() if part != "etcd"})


READY = Step("the node is Ready", lambda _: None, None, within=300)


def people(live: ClusterFacts | None, *gaps: tuple[str, Step, str], text: str = HOSTS) -> list[str]:
    found = Found(inventory(text), live, {name: asked(name) for name in WELL}, {}, gaps)
    return report.status(status.as_data(status.status(found))).splitlines()


def test_the_verdict_comes_first_and_what_to_do_last() -> None:
    assert [line.split() for line in people(LIVE, ("client", READY, "[stopped]"))] == [
        ["lab:", "not", "well"],
        ["node", "role", "ready", "version", "address"],
        ["manager", "control-plane", "yes", "1.37.2", "10.250.0.10"],
        ["client", "worker", "no", "1.37.1", "10.250.0.11"],
        ["client:", "expected:", "the", "node", "is", "Ready;", "found:", "[stopped]"],
        ["what", "to", "do", "next:", "inv", "cluster.up"],
    ]


def test_where_all_is_well_nothing_is_to_be_done() -> None:
    assert people(LIVE)[0] == "lab: all is well"
    assert not [line for line in people(LIVE) if "what to do" in line]


@pytest.mark.parametrize(("hint", "cure"), [("", "inv preflight"), ("make room on client: df -h", "make room on")])
def test_what_no_run_changes_has_its_own_cure(hint: str, cure: str) -> None:
    last = people(LIVE, ("client", complaint("the Node reports no pressure", str, hint), "DiskPressure"))[-1]
    assert last.startswith(f"what to do next: {cure}")


def test_without_an_api_server_people_see_what_each_host_says(three: Run, capsys: pytest.CaptureFixture[str]) -> None:
    three("m1").on_look = away
    three("m2").on_look = away
    unit = "Id=kubelet.service\nActiveState=active\n"
    three("m3").parts.update(cluster="silent refused", etcd=look("m3", leader=0), services=unit)
    three.cluster._readyz = lambda host, ca, silent: "no answer within 1 s"
    assert shown(three) == 2
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["lab:", "2", "of", "3", "masters", "are", "away:", "nothing", "can", "be", "written"]
    assert lines[1] == ["host", "role", "SSH", "kubelet", "API", "server", "etcd"]
    assert lines[2] == ["m1", "master", "no", "answer", "?", "?", "?"]
    assert lines[4] == ["m3", "master", "answers", "active", "no", "answer", "within", "1", "s", "no", "leader"]
    assert lines[5] == ["client", "worker", "answers", "inactive"]


def test_the_status_names_addons_and_those_that_hosts_yml_does_not() -> None:
    marked = {"kube-system/metrics-server": Workload(annotations={ADDON: "metrics-server 0.9.0"})}
    live = ClusterFacts(nodes=LIVE.nodes, workloads=marked)
    told = "add-on metrics-server 0.9.0, not in hosts.yml; to remove it: inv addon.remove --name metrics-server"
    assert told in people(live)
    named = HOSTS.replace("1.37.2\n", "1.37.2\n  addons: [flannel, metrics-server]\n")
    assert "add-on metrics-server 0.9.0" in people(live, text=named)


def test_the_status_is_one_object() -> None:
    facts = {"manager": asked("manager"), "client": asked("client", "Id=kubelet.service\nActiveState=failed\n")}
    found = Found(inventory(), LIVE, facts, {}, [("client", READY, "[stopped]")])
    assert json.loads(report.as_json(status.as_data(status.status(found)))) == {
        "cluster": "lab",
        "state": "wrong",
        "verdict": "not well",
        "healthy": False,
        "version": "1.37.2",
        "problems": ["client: expected: the node is Ready; found: [stopped]"],
        "next": "inv cluster.up",
        "notes": [],
        "hosts": [
            {
                "name": "manager",
                "role": "master",
                "ssh": True,
                "kubelet": "inactive",
                "api_server": "none",
                "etcd": None,
            },
            {"name": "client", "role": "worker", "ssh": True, "kubelet": "failed", "api_server": None, "etcd": None},
        ],
        "nodes": [
            {
                "name": "manager",
                "roles": ["control-plane"],
                "ready": True,
                "cordoned": False,
                "cordoned_by": None,
                "version": "1.37.2",
                "address": "10.250.0.10",
            },
            {
                "name": "client",
                "roles": [],
                "ready": False,
                "cordoned": False,
                "cordoned_by": None,
                "version": "1.37.1",
                "address": "10.250.0.11",
            },
        ],
        "etcd": None,
        "backups": None,
        "drift": [],
        "addons": [],
    }


def test_what_is_not_as_hosts_yml_says_is_counted_and_is_nothing_wrong() -> None:
    drift = [
        ("manager", READY, "--v is 2, not 4"),
        ("client", READY, "changed by hand: maxPods is 50"),
        ("client", READY, "x"),
    ]
    found = status.status(Found(inventory(), LIVE, {}, {}, drift=drift))
    told = status.as_data(found)
    assert (found.state, told["notes"]) == (
        State.WELL,
        [f"manager, client: {status._DRIFT}: 3 (inv --dry cluster.up shows each)"],
    )
    assert told["drift"][0] == {"host": "manager", "state": READY.title, "found": "--v is 2, not 4"}


def test_what_is_wrong_already_is_no_drift_besides(one: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def unlike(title: str) -> Subject:
        return lambda cluster, host: [Step(title, lambda _: "another", None, within=1)]

    with pytest.raises(Exit):
        runbook.show_status(one.context, unlike("first"), drift=(unlike("first"), unlike("second")), as_json=True)
    assert {one["state"] for one in json.loads(capsys.readouterr().out)["drift"]} == {"second"}


def test_drift_that_nobody_could_look_at_is_not_none() -> None:
    drift = [("client", READY, "not known: cannot be read")]
    assert status.notes(Found(inventory(), LIVE, {}, {}, drift=drift)) == [f"client: not known: {status._DRIFT}"]
    silent = replace(LIVE, silent="busy")
    assert status.notes(Found(inventory(), silent, {}, {}, drift=drift)) == []


def test_drift_that_needs_an_answer_which_did_not_come_is_not_none(
    one: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cluster's own part of the look may have had one, and another kubectl of it none in time."""

    def gap(_: Facts) -> str | None:
        raise Silent("what kubeadm keeps in the cluster cannot be read")

    steps = [Step("it is as in hosts.yml", gap, None)]
    runbook.show_status(one.context, drift=(lambda cluster, host: steps,), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert {one["found"] for one in told["drift"]} == {"not known: what kubeadm keeps in the cluster cannot be read"}
    assert [note for note in told["notes"] if "not known: " in note] == [f"manager, client: not known: {status._DRIFT}"]


def ceph(cluster: Cluster, host: Host) -> list[Step]:
    return [complaint("no other Ceph cluster is there", rook.strange)] if host.name == cluster.speaker.name else []


@pytest.fixture
def with_disks(monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_place(made(HOSTS.replace("role: worker", "role: worker, disks: [/dev/sdb]")), monkeypatch)


def test_what_an_api_server_that_answers_does_not_say_of_ceph_is_not_taken_for_well(
    with_disks: Run, told: Told
) -> None:
    code, found = told(with_disks, ceph)
    assert (code, found["verdict"], found["next"]) == (1, "not known whether all is well", status.AGAIN)
    assert found["problems"] == ["manager: not known: the API server does not say whether there is a Ceph cluster"]


def test_it_is_asked_once_more_with_more_time_before_that_is_told(with_disks: Run, told: Told) -> None:
    run, asked = with_disks, list[object]()

    def asks() -> None:
        asked.append(run.cluster._network.patience)
        run("manager").parts["ceph"] = "ceph_told yes" if asked[-1] is USUAL else ""

    run("manager").on_look = asks
    assert told(run, ceph)[0] == 0
    assert asked.count(USUAL) == 1
    told(run)
    assert asked.count(USUAL) == 1, "nobody wants to know"


def test_drift_that_cannot_be_told_hides_nothing_else(one: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """As where somebody has deleted kubeadm-config, and a setting of hosts.yml would come by it."""

    def gap(_: Facts) -> str | None:
        raise HostError("kubeadm-config is missing")

    steps = [Step("it is as in hosts.yml", gap, None), Step("it is there", lambda _: "it is gone", None)]
    runbook.show_status(one.context, drift=(lambda cluster, host: steps,), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert {one["found"] for one in told["drift"]} == {"kubeadm-config is missing", "it is gone"}
    assert {node["name"] for node in told["nodes"]} == {"manager", "client"}


def test_the_states_are_the_exit_statuses_that_are_promised() -> None:
    assert {state.name.lower(): state.value for state in State} == {"well": 0, "wrong": 1, "unwritable": 2}
