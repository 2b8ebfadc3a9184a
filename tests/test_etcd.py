"""etcd's members together: what is wrong with them, of whom a snapshot is taken, and what is told of each."""

import json
import re
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from invoke import Exit

from kubefab import etcd, report, runbook
from kubefab.errors import HostError, KubefabError
from kubefab.facts import ClusterFacts, Facts, Node
from tests.facts import read, with_
from tests.fakes import three_masters
from tests.members import CLUSTER, DEAD, IDS, SILENT, M, look, membership, status
from tests.runs import ADMIN, Run, in_place, nodes


def masters(**looks: str) -> dict[str, Facts]:
    """Three masters that are well, but for these."""
    said = {name: look(name) for name in M} | looks
    return {name: master(name, text) for name, text in said.items()}


def master(name: str, said: str, node: str = "manifest etcd.yaml") -> Facts:
    """At the address that its member is at, by what the others say."""
    return read({"etcd": said, "node": node, "system": f"address {name} eth0"})


def wrong(**looks: str) -> list[str]:
    return etcd.problems(masters(**looks))


def test_three_that_follow_one_are_well() -> None:
    assert wrong() == []


def test_a_member_may_be_needed_where_nobody_says_how_many_there_are() -> None:
    """m3 is dead, and no list was to be had of the others: each would be the last but one, by what is known."""
    unlisted = {name: f"etcd_runs yes\nmember {status(name)}\nmembership " for name in ("m1", "m2")}
    told = "etcd does not say who its members are, of which more than half have to answer"
    for known in (masters(**unlisted, m3=DEAD), masters(**unlisted, m3=SILENT)):
        assert (etcd.needed("m1", known), etcd.missed("m1", known)) == (told, told)
        assert (etcd.needed("m3", known), etcd.missed("m3", known)) == (None, None)  # it answers nobody now
    one = masters(**unlisted)
    assert (etcd.needed("m1", one), etcd.missed("m1", one)) == (None, None)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (DEAD, "m3: its etcd does not run"),
        (SILENT, "m3: its etcd gives no answer: context deadline exceeded"),
    ],
)
def test_one_that_says_nothing_is_told_with_why(said: str, told: str) -> None:
    assert wrong(m3=said) == [told]


@pytest.mark.parametrize(
    ("folder", "node", "told"),
    [
        ("/var/lib/etcd", "", "its etcd has lost its data: there is no log of it in member/wal of what its pod has"),
        ("/var/lib/etcd", "\netcd_data yes", "its etcd has lost its data"),  # an empty database, of a start in vain
        ("/var/lib/etcd", "\netcd_data yes\netcd_log yes", "its etcd does not run"),
        ("/var/lib/etcd", "\ninit_begun 1", "its etcd does not run"),  # it never had any
        ("/var/lib/etcd", "\nmaster_begun 1", "its etcd does not run"),
        ("/var/lib/etcd --wal-dir=/fast", "", "its etcd does not run"),
        ("/srv/etcd", "", "its etcd does not run"),  # nobody has looked there
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_an_emptied_folder_is_named_and_a_master_alone_is_told_the_way_back(
    folder: str, node: str, told: str, alone: bool
) -> None:
    command = f"--data-dir={folder}".replace(" ", ", ")
    text = f"spec: {{containers: [{{name: etcd, command: [etcd, {command}]}}]}}"
    manifests = f"now etcd {b64encode(text.encode()).decode()}"
    m1 = read({"etcd": DEAD, "node": f"manifest etcd.yaml{node}", "manifests": manifests})
    (line,) = etcd.problems({"m1": m1} if alone else {**masters(), "m1": m1})
    assert line.startswith(f"m1: {told}")
    assert ("inv etcd.restore" in line) == (alone and "lost" in told)


def test_a_member_that_no_master_of_ours_has_is_told() -> None:
    two = {name: facts for name, facts in masters().items() if name != "m3"}
    assert etcd.problems(two) == ["member m3 (https://m3:2380) was not heard: no master that answers has it"]


def test_a_master_without_etcd_is_told() -> None:
    none = masters(m1=look("m1", "m1", "m2"), m2=look("m2", "m1", "m2"))
    none["m3"] = read({"etcd": ""})
    assert etcd.problems(none) == ["m3: no etcd was made there"]


def test_two_clusters_are_told_with_who_is_in_which() -> None:
    """kubeadm's own manifest founds a new cluster where the data were lost (cmd/kubeadm/app/phases/etcd/local.go)."""
    lost = look("m3", "m3", cluster=0xFF, leader=IDS["m3"])
    assert wrong(m3=lost) == ["these are 2 clusters of etcd, and not one: m1, m2: babda65a1f85d223; m3: ff"]


def test_two_leaders_are_told() -> None:
    assert wrong(m3=look("m3", leader=IDS["m3"])) == ["they follow different leaders: m1, m2: a2; m3: a3"]


def test_no_leader_is_told_of_each() -> None:
    alone = wrong(m1=look("m1", leader=0, errors=["etcdserver: no leader"]), m2=DEAD, m3=DEAD)
    assert "m1: its etcd knows of no leader: nothing can be written by way of it" in alone
    assert len(alone) == 3


@pytest.mark.parametrize("errors", [["memberID:161 alarm:NOSPACE "], ["memberID:161  alarm:NOSPACE"]])
def test_an_alarm_is_told_by_its_name(errors: list[str]) -> None:
    """Protobuf's own text puts one blank between fields or two, at random (protobuf-go, internal/detrand)."""
    assert wrong(m1=look("m1", errors=errors)) == [
        "m1: alarm NOSPACE: its database has outgrown its quota, and nothing is written any more"
    ]


def test_whatever_else_it_complains_of_is_told() -> None:
    assert wrong(m1=look("m1", errors=["etcdserver: something"])) == ["m1: etcdserver: something"]


@pytest.mark.parametrize(
    ("size", "quota", "said"),
    [
        (1_600_000, 2_000_000, ["80% of the 2.0 MB"]),
        (1_599_999, 2_000_000, []),
        (1_900_000_000, 0, ["88% of the 2147.5 MB"]),  # etcd before 3.6 does not tell its quota
    ],
)
def test_a_database_near_its_quota_is_told(size: int, quota: int, said: list[str]) -> None:
    found = wrong(m1=look("m1", dbSize=size, dbSizeQuota=quota))
    assert len(found) == len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))


def test_the_quota_of_an_older_etcd_is_in_its_arguments() -> None:
    old = look("m1", dbSize=80, dbSizeQuota=0) + "\nquota 8589934592"
    assert etcd.quota(masters(m1=old)["m1"]) == 8 << 30


@pytest.mark.parametrize("said", [look("m1", dbSizeQuota=-1), look("m1", dbSizeQuota=0) + "\nquota -1"])
def test_an_etcd_that_was_told_of_no_quota_is_never_full(said: str) -> None:
    """As server/storage/quota.go has it: below 0 there is none. etcd tells it as it was told, since 3.6."""
    assert wrong(m1=said) == []
    assert not etcd.is_full(masters(m1=said))
    assert [row[6] for row in etcd.rows(data(m1=said))] == ["no quota", "0%", "0%"]


def test_a_learner_has_no_vote_yet() -> None:
    assert wrong(m3=look("m3", isLearner=True)) == ["m3: its member still learns, and has no vote yet"]


def test_a_member_that_has_never_started_is_told() -> None:
    added = json.loads(membership(*M))
    added["members"].append({"ID": 7, "peerURLs": ["https://10.0.0.9:2380"]})
    said = look("m1").replace(membership(*M), json.dumps(added))
    (told,) = wrong(m1=said)
    assert told.startswith("member at https://10.0.0.9:2380, which was added and has never started, was not heard")


def test_a_member_that_was_removed_is_told() -> None:
    gone = {"m1": look("m1", "m1", "m2"), "m2": look("m2", "m1", "m2"), "m3": look("m3")}
    assert wrong(**gone) == ["m3: its etcd was removed: the others count its member no more"]


def test_a_member_that_was_removed_and_ended_by_itself_is_told_as_that() -> None:
    """As etcd does when it learns of it at its start, a returned machine's say."""
    gone = masters(m1=look("m1", "m1", "m2"), m2=look("m2", "m1", "m2"), m3=DEAD)
    assert etcd.problems(gone) == ["m3: its etcd was removed: the others count its member no more"]
    assert etcd.outsiders(gone) == ["m3"]


def test_one_that_is_only_just_added_is_not_taken_for_removed() -> None:
    added = json.loads(membership("m1", "m2"))
    added["members"].append({"ID": 7, "peerURLs": ["https://m3:2380"], "isLearner": True})
    said = {name: look(name).replace(membership(*M), json.dumps(added)) for name in ("m1", "m2")}
    assert etcd.outsiders(masters(**said, m3=DEAD)) == []


ANEW = look("m1", "m1", leader=IDS["m1"], raftAppliedIndex=20)  # kubeadm's manifest over an emptied folder: same ids
ALL_DATA = look("m2", leader=0, raftAppliedIndex=13020)


@pytest.mark.parametrize("m3", [DEAD, None])
def test_one_that_begins_anew_under_its_former_id_does_not_make_who_has_all_data_a_removed_one(m3: str | None) -> None:
    found = masters(m1=ANEW, m2=ALL_DATA, m3=m3 or "")
    found = found if m3 else {name: facts for name, facts in found.items() if name != "m3"}
    assert not [line for line in etcd.problems(found) if "removed" in line]
    assert etcd.outsiders(found) == []


@pytest.mark.parametrize("said", [DEAD, SILENT])
def test_one_master_s_word_alone_does_not_make_a_silent_member_a_removed_one(said: str) -> None:
    found = {name: facts for name, facts in masters(m1=ANEW, m2=said).items() if name != "m3"}
    assert not [line for line in etcd.problems(found) if "removed" in line]
    assert etcd.outsiders(found) == []


def test_of_two_masters_the_one_that_was_removed_and_still_answers_is_told() -> None:
    found = masters(m1=look("m1", "m1", leader=IDS["m1"], raftAppliedIndex=13), m2=look("m2", "m1", "m2", leader=0))
    del found["m3"]
    assert etcd.outsiders(found) == ["m2"]


def by_hand(m2: str, node: str = "manifest etcd.yaml") -> dict[str, Facts]:
    """Three masters whose members are called otherwise than hosts.yml calls them; what m2's etcd says."""
    said = {
        name: re.sub(
            r'"name": "m(.)", "peerURLs": \["https://m', r'"name": "ip-\1", "peerURLs": ["https://10.0.0.', look(name)
        )
        for name in M
    } | {"m2": m2}
    return {
        name: read({"etcd": text, "node": node, "system": f"address 10.0.0.{name[1:]} eth0"})
        for name, text in said.items()
    }


@pytest.mark.parametrize("said", [DEAD, SILENT])
def test_a_silent_member_is_known_by_its_address_whatever_its_name(said: str) -> None:
    found = by_hand(said)
    (told,) = etcd.problems(found)
    assert told.startswith(("m2: its etcd does not run", "m2: its etcd gives no answer"))
    assert (etcd.outsiders(found), etcd.strangers(found, {})) == ([], [])


def test_a_silent_member_is_known_by_the_name_of_its_node() -> None:
    node = Node("ip-2", machine_id="id-2", address="10.9.0.2")
    found = by_hand(DEAD)
    found["m2"] = with_(
        replace(found["m2"], cluster=ClusterFacts(nodes={"ip-2": node})),
        machine_id="id-2",
        addresses={"10.9.0.2": "eth0"},
    )
    assert (etcd.outsiders(found), etcd.strangers(found, {})) == ([], [])


def test_where_a_machines_addresses_are_not_known_its_member_is_not_told_as_removed() -> None:
    found = by_hand(DEAD)
    found["m2"] = with_(found["m2"], addresses={})
    assert etcd.outsiders(found) == []


def test_a_member_of_a_master_that_is_away_is_known_by_its_address() -> None:
    found = {name: facts for name, facts in by_hand(DEAD).items() if name != "m2"}
    assert etcd.strangers(found, {"m2": {"m2", "10.0.0.2"}}) == []
    assert [one.name for one in etcd.strangers(found, {"m2": {"m2", "10.0.0.9"}})] == ["ip-2"]


def test_masters_that_are_away_are_told_as_that_whatever_their_members_names() -> None:
    away = {"m2": {"10.0.0.2"}, "m3": {"10.0.0.3"}}
    found = {name: facts for name, facts in by_hand(DEAD).items() if name == "m1"}
    assert etcd.lost_quorum(found, away, silent=True) == "2 of 3 masters are away"
    assert etcd.lost_quorum(found, away, silent=True, unseen=["m3"]) is None


def test_a_dead_member_of_an_earlier_machine_of_this_name_is_named_with_its_cure() -> None:
    """Of a new machine at another address, which has no etcd yet: none may join beside the dead member."""
    found = masters(**{name: look(name).replace("https://m", "https://10.0.0.") for name in ("m1", "m2")})
    found["m3"] = with_(master("m3", "", node=""), addresses={"10.0.0.33": "eth0"})
    assert etcd.problems(found) == [
        "m3: no etcd was made there",
        "member m3 (https://10.0.0.3:2380) is of an earlier m3, at another address: inv node.remove --host m3, then "
        "inv cluster.up",
    ]


@pytest.mark.parametrize(
    ("peer", "node"),
    [
        ("10.0.0.33", ""),  # its own
        ("m3", ""),  # a name, which may lead there
        ("fd00::3", ""),  # only addresses of IPv4 are looked at
        ("10.0.0.3", "manifest etcd.yaml"),  # its etcd may be known to the others at an address that is translated
    ],
)
def test_a_member_of_its_name_that_may_be_its_own_is_none_of_an_earlier_machine(peer: str, node: str) -> None:
    found = masters(**{name: look(name).replace("https://m3", f"https://{peer}") for name in ("m1", "m2")})
    found["m3"] = with_(master("m3", DEAD, node=node), addresses={"10.0.0.33": "eth0"})
    assert etcd.strangers(found, {}) == []


def test_members_that_were_not_told_are_never_taken_for_none() -> None:
    alone = {"m1": read({"etcd": f"{DEAD}\netcd_runs yes\nmember {status('m1', leader=IDS['m1'])}\nmembership "})}
    assert etcd.problems(alone) == ["m1: its etcd did not say which members there are"]


# --- of whom a snapshot is taken


def test_a_snapshot_is_the_leaders() -> None:
    assert etcd.best(masters(m1=look("m1", raftAppliedIndex=99)), []) == "m2"


def test_it_is_that_of_most_masters_and_not_of_one_that_has_begun_anew() -> None:
    anew = look("m1", "m1", cluster=0xFF, leader=IDS["m1"], raftAppliedIndex=999)
    assert etcd.best(masters(m1=anew), []) == "m2"


@pytest.mark.parametrize("cluster", [CLUSTER, 0xFF])
@pytest.mark.parametrize("m2", [0, IDS["m3"]])  # its leader: an election, and one that was just lost
def test_it_is_not_of_one_that_leads_itself_alone_where_another_has_done_more(cluster: int, m2: int) -> None:
    anew = look("m1", "m1", cluster=cluster, leader=IDS["m1"], raftAppliedIndex=20)
    found = masters(m1=anew, m2=look("m2", leader=m2, raftAppliedIndex=13020), m3=DEAD)
    assert etcd.best(found, []) == "m2"


def test_it_is_the_leaders_of_most_where_one_has_begun_anew_under_its_former_id() -> None:
    assert etcd.best(masters(m1=look("m1", "m1", leader=IDS["m1"], raftAppliedIndex=99)), []) == "m2"


def test_a_learner_that_follows_makes_nobody_the_leader_of_most() -> None:
    two = look("m1", "m1", "m2", leader=IDS["m1"])
    learning = look("m3", leader=IDS["m1"], isLearner=True, raftAppliedIndex=99)
    assert etcd.best(masters(m1=two, m2=look("m2", leader=0, raftAppliedIndex=13), m3=learning), []) == "m2"


def test_of_one_master_alone_it_is_its_own() -> None:
    found = masters(m1=look("m1", "m1", leader=IDS["m1"]))
    assert etcd.best({"m1": found["m1"]}, []) == "m1"


def test_without_the_leader_it_is_of_the_one_that_has_done_most() -> None:
    assert etcd.best(masters(m2=DEAD, m3=look("m3", raftAppliedIndex=13)), []) == "m3"


def test_a_learner_gives_none() -> None:
    assert etcd.best(masters(m2=DEAD, m1=look("m1", isLearner=True, raftAppliedIndex=99)), []) == "m3"


def test_where_nobody_answers_there_is_none_and_it_is_said_why() -> None:
    with pytest.raises(KubefabError, match="no snapshot can be had:\n  m1: its etcd does not run"):
        etcd.best(masters(m1=DEAD, m2=DEAD, m3=DEAD), ["m1: its etcd does not run"])


def test_an_etcd_that_is_not_of_kubeadms_making_is_refused_with_the_reason() -> None:
    with pytest.raises(KubefabError, match=r"not of kubeadm's making \(https://10.9.9.9:2379\)"):
        etcd.check_ours({"m1": read({"etcd": "servers https://10.9.9.9:2379"})}, [])


def test_where_there_is_no_cluster_it_is_said_what_makes_one() -> None:
    with pytest.raises(KubefabError, match=r"inv cluster\.up"):
        etcd.check_ours({"m1": read({"etcd": ""})}, [])


def test_a_master_that_is_away_may_have_one() -> None:
    etcd.check_ours({"m1": read({"etcd": ""})}, ["m2: cannot be reached"])


# --- what is told


def data(**looks: str) -> dict[str, Any]:
    found = masters(**looks)
    return etcd.as_data("lab", found, etcd.problems(found))


def test_it_is_plain_data_with_ids_that_no_reader_of_json_rounds() -> None:
    told = json.loads(report.as_json(data()))
    assert [one["id"] for one in told["members"]] == ["a1", "a2", "a3"]
    assert [one["leader"] for one in told["members"]] == [False, True, False]
    assert {one["cluster_id"] for one in told["members"]} == {"babda65a1f85d223"}
    assert (told["healthy"], told["problems"]) == (True, [])


def test_what_was_not_heard_is_null_and_for_people_a_question_mark() -> None:
    told = data(m3=SILENT)
    assert (told["members"][2]["name"], told["members"][2]["revision"], told["members"][2]["alarms"]) == (
        "m3",
        None,
        None,
    )
    assert etcd.rows(told)[2] == ("m3", *"?" * 8)
    assert etcd.rows(told)[1] == (
        *("m2", "m2", "leader", "3.7.0", "9", "0.0 MB", "0%", "none"),
        "babda65a1f85d223",
    )


def test_whoever_follows_nobody_is_no_follower() -> None:
    told = etcd.rows(data(m1=look("m1", leader=0)))
    assert [row[2] for row in told] == ["no leader", "leader", "follower"]


def test_people_are_told_the_verdict_below_the_table() -> None:
    told = data(m3=DEAD)
    text = report.judged(told, etcd.HEAD, etcd.rows(told), "etcd is well", "etcd is not well:")
    assert "lab: etcd is not well:\n  m3: its etcd does not run" in text
    assert report.judged(data(), etcd.HEAD, etcd.rows(data()), "etcd is well", "").endswith("\nlab: etcd is well")


# --- the task


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(three_masters())
    for name in M:
        made(name).parts.update(node=f"{ADMIN}\nmanifest etcd.yaml", cluster=nodes(*M), etcd=look(name))
    return in_place(made, monkeypatch)


def test_the_status_asks_masters_alone_and_is_one_object(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    runbook.show_etcd(run.context, as_json=True)
    assert json.loads(capsys.readouterr().out)["healthy"] is True
    assert run("client").looks == []
    assert run.ran == []


def test_a_master_that_cannot_be_reached_is_told_and_the_exit_status_is_1(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    run("m3").on_look = away
    with pytest.raises(Exit) as ended:
        runbook.show_etcd(run.context, as_json=True)
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == [
        "m3: cannot be reached",
        "member m3 (https://m3:2380) was not heard: no master that answers has it",
    ]


def test_what_could_not_be_looked_at_is_told_and_never_none(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("m3").parts["etcd"] = "untold ss: no answer in 20 s"
    with pytest.raises(Exit):
        runbook.show_etcd(run.context, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["problems"][0] == "m3: not known: ss: no answer in 20 s"


def test_a_dead_api_server_is_no_reason_to_say_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for name in M:
        run(name).parts["cluster"] = "silent refused"
    runbook.show_etcd(run.context, as_json=False)
    assert capsys.readouterr().out.endswith("lab: etcd is well\n")
