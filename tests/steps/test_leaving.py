"""What goes of a node for good: its member of etcd first, its volumes, and its Node last."""

from dataclasses import replace
from typing import Any

import pytest

from kubefab import releases
from kubefab.errors import Silent
from kubefab.facts import OUT_OF_SERVICE, ClusterFacts, Facts, Known, Member, Node, Pod
from kubefab.steps import leaving
from tests.facts import known
from tests.fakes import HOSTS, cluster, step, world

ADDRESS = {f"m{n}": f"10.250.0.1{n}" for n in (1, 2, 3)}
KNOWN = {name: Known(0xA0 + n, name, (f"https://{ADDRESS[name]}:2380",)) for n, name in enumerate(ADDRESS, start=1)}
LIVE = ClusterFacts(nodes={name: Node(name, name, address=address, ready=True) for name, address in ADDRESS.items()})


def master(name: str, *members: Known, answers: bool = True, **said: Any) -> Facts:
    """A master whose member of etcd knows these; by default all three."""
    member = Member(KNOWN[name].id, 1, leader=0xA1) if answers else None
    where: dict[str, Any] = {"addresses": {ADDRESS[name]: "eth0"}, "machine_id": name}
    return known(name, LIVE, member=member, membership=members or tuple(KNOWN.values()), **where, **said)


def speaker(*others: Facts, members: tuple[Known, ...] = ()) -> Facts:
    return replace(master("m1", *members), others={one.name: one for one in others})


M2, M3 = master("m2"), master("m3")
DEAD = Known(0xDD, "m3", ("https://10.250.0.13:2380",))


# --- its member


def test_a_member_is_known_by_its_name_or_by_its_address() -> None:
    assert leaving.is_member("m3", ADDRESS["m3"])(speaker(M2, M3)) == "m3 (a3)"
    assert leaving.is_member("m3", "")(speaker(M2, M3)) == "m3 (a3)"
    renamed = replace(KNOWN["m3"], name="old")
    assert leaving.is_member("m3", ADDRESS["m3"])(speaker(M2, members=(KNOWN["m1"], renamed))) == "old (a3)"


def test_one_that_has_never_started_has_no_name_and_goes_too() -> None:
    added = replace(KNOWN["m3"], name="")
    assert (
        leaving.is_member("m3", ADDRESS["m3"])(speaker(members=(KNOWN["m1"], added)))
        == "one that has never started (a3)"
    )


def test_what_another_host_answers_for_is_not_its_member() -> None:
    """A name that two hosts had in turn."""
    wrong = replace(KNOWN["m2"], name="m3")
    found = leaving.members(speaker(M2, members=(KNOWN["m1"], wrong, DEAD)), "m3", ADDRESS["m3"])
    assert found == [DEAD]


@pytest.mark.parametrize("others", [(M2, M3), (M2,)])
def test_of_two_nodes_at_one_address_the_members_name_decides(others: tuple[Facts, ...]) -> None:
    both = replace(LIVE, nodes={**LIVE.nodes, "old": Node("old", "x", address=ADDRESS["m3"])})
    facts = speaker(*(replace(one, cluster=both) for one in others))
    assert leaving.members(replace(facts, cluster=both), "old", ADDRESS["m3"]) == []
    assert leaving.members(replace(facts, cluster=both), "m3", ADDRESS["m3"]) == [KNOWN["m3"]]


def test_a_host_that_is_no_node_is_known_by_its_own_name() -> None:
    gone = replace(LIVE, nodes={name: node for name, node in LIVE.nodes.items() if name != "m3"})
    facts = replace(speaker(replace(M2, cluster=gone), replace(M3, cluster=gone)), cluster=gone)
    assert leaving.members(facts, "m3", ADDRESS["m3"]) == [KNOWN["m3"]]
    assert leaving.members(facts, ADDRESS["m3"], ADDRESS["m3"]) == []


def test_a_cluster_that_does_not_say_which_nodes_it_has_tells_nobody_whose_a_member_is() -> None:
    with pytest.raises(Silent, match="the API server gives no answer: refused"):
        leaving.members(replace(speaker(M2, M3), cluster=ClusterFacts(silent="refused")), "m3", ADDRESS["m3"])


def test_a_worker_is_no_member() -> None:
    assert leaving.is_member("client", "10.250.0.20")(speaker(M2, M3)) is None
    assert leaving.no_quorum("client", "10.250.0.20")(speaker(M2, M3)) is None


def test_members_that_are_listed_by_another_master_alone_are_gone_once_the_one_that_was_asked_lists_them_no_more() -> (
    None
):
    assert leaving.is_member("m3", ADDRESS["m3"])(speaker(M2, members=(KNOWN["m1"], KNOWN["m2"]))) is None


def test_an_etcd_that_does_not_say_who_its_members_are_is_no_word_of_the_node_being_none() -> None:
    silent = known("m1", LIVE, etcd_runs=True, etcd_silent="refused")
    for gap in (leaving.is_member("m3", ADDRESS["m3"]), leaving.no_quorum("m3", ADDRESS["m3"])):
        with pytest.raises(Silent, match="m1: its etcd does not say who its members are: refused"):
            gap(silent)


@pytest.mark.parametrize(
    ("others", "members", "gap"),
    [
        ((M2, M3), tuple(KNOWN.values()), None),
        ((M2,), tuple(KNOWN.values()), None),  # m3 is dead, and goes
        (
            (master("m2", answers=False), M3),
            tuple(KNOWN.values()),
            "2 members would be left, of which 2 have to answer; away: m2",
        ),
        ((M3,), tuple(KNOWN.values()), "2 members would be left, of which 2 have to answer; away: m2"),
        ((M3,), (KNOWN["m1"], KNOWN["m3"]), None),
        ((M3,), (KNOWN["m1"], KNOWN["m3"], replace(KNOWN["m2"], learner=True)), None),
    ],
)
def test_etcd_never_falls_below_its_quorum(
    others: tuple[Facts, ...], members: tuple[Known, ...], gap: str | None
) -> None:
    assert leaving.no_quorum("m3", ADDRESS["m3"])(speaker(*others, members=members)) == gap


def test_a_member_without_a_leader_does_not_count_as_one_that_answers() -> None:
    alone = known("m2", LIVE, member=Member(0xA2, 1, leader=0), addresses={ADDRESS["m2"]: "eth0"})
    assert leaving.no_quorum("m3", ADDRESS["m3"])(speaker(alone, M3)) is not None


def test_the_last_master_removes_nobody_and_least_of_all_itself() -> None:
    assert leaving.last_master("m1")(speaker()) == "m1 is the only one that answers"
    assert leaving.last_master("m2")(speaker()) is None


def test_it_is_taken_out_by_its_id_by_way_of_the_host_that_is_asked() -> None:
    made = cluster()
    made._alone["manager"] = replace(speaker(M2, M3), name="manager", cluster=None)
    out = step(leaving.without_member("m3", ADDRESS["m3"])(made, made.founder), "etcd has no member m3")
    assert out.close
    out.close(made.founder)
    assert (world(made, "manager").ran, world(made, "manager").about) == (["remove-member.sh a3"], ["member a3"])


# --- a machine that is off


def given_up(*pods: Pod, taints: dict[str, str] | None = None, **said: Any) -> Facts:
    node = Node("client", taints=taints or {})
    return known("m1", ClusterFacts(nodes={"client": node}), pods=pods, pods_told=True, **said)


def test_its_volumes_are_waited_for_and_its_pods_that_end() -> None:
    facts = given_up(Pod("default/x", ending=True), Pod("default/y"), attached={"a": "pv"})
    assert leaving.holds("client")(facts) == "volume pv (a), pod default/x"
    assert leaving.holds("client")(given_up(Pod("default/y"))) is None
    assert leaving.holds("client")(given_up(Pod("kube-system/etcd-m", static=True, ending=True))) is None


def test_it_is_out_of_service_by_its_taint() -> None:
    assert leaving.in_service("client")(given_up()) == "its pods and volumes wait for it"
    assert leaving.in_service("client")(given_up(taints={OUT_OF_SERVICE: "NoExecute"})) is None


@pytest.mark.parametrize(("minor", "steps"), [("1.25.0", 0), ("1.26.0", 2), ("1.37.2", 2)])
def test_a_cluster_that_does_not_know_the_taint_is_not_given_it(minor: str, steps: int) -> None:
    made = cluster(HOSTS.replace("1.37.2", minor))
    assert releases.release(minor).forces_off == bool(steps)
    assert len(leaving.given_up("client")(made, made.founder)) == steps


def test_what_goes_counts_as_progress() -> None:
    made = cluster()
    wait = step(leaving.given_up("client")(made, made.founder), "client holds no volume")
    assert wait.progress
    assert wait.progress(given_up(attached={"a": "pv"})) > wait.progress(given_up(attached={"a": "pv", "b": "pv2"}))


@pytest.mark.parametrize(
    ("subject", "ran"),
    [
        (leaving.given_up, f"taint node client {OUT_OF_SERVICE}=nodeshutdown:NoExecute --overwrite"),
        (leaving.forgotten, "delete node client --timeout=60s"),
    ],
)
def test_what_is_done_to_it_is_done_by_kubectl(subject: Any, ran: str) -> None:
    made = cluster()
    close = subject("client")(made, made.founder)[0].close
    close(made.founder)
    assert world(made, "manager").ran == [f"kubectl.sh {ran}"]
