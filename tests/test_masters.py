"""The four jobs of a master, where there are three: who founds, who speaks, who are masters, whose locks are held."""

import time
from contextlib import suppress

import pytest

from kubefab.cluster import Cluster
from kubefab.converge import Stop
from kubefab.errors import HostError, KubefabError
from kubefab.facts import ClusterFacts, Facts
from kubefab.passes import ALL, FOUNDER, IN_TURN, MASTERS, SPEAKER, WORKERS
from kubefab.step import MISSING, Step, Subject, on_cluster
from kubefab.steps import addons, control_plane, health, masters, network, preflight, rook, wanted, worker
from tests.fakes import cluster, looked, step, three_masters, world
from tests.runs import ADMIN, Run, each, nodes, wants

M = ("m1", "m2", "m3")


@pytest.fixture
def run() -> Run:
    return Run(three_masters())


def away() -> None:
    raise HostError("cannot be reached")


def served(*names: str, silent: tuple[str, ...] = ()) -> dict[str, dict[str, str]]:
    """What a look finds on these hosts: all have the cluster's control plane, and some of them are silent."""
    word = {name: "silent refused" if name in silent else nodes(*M, "client") for name in names}
    return {**{name: {} for name in (*M, "client")}, **{name: {"node": ADMIN, "cluster": word[name]} for name in names}}


@on_cluster
def no_client(live: ClusterFacts, _: Facts) -> str | None:
    return None if "client" in live.nodes else MISSING


def who(made: Cluster, subject: Subject, title: str) -> set[str]:
    """The hosts that have a step of which this is part of the title."""
    return {name for name, host in made.hosts.items() if any(title in one.title for one in subject(made, host))}


# --- who founds


def test_where_no_host_has_a_control_plane_the_first_master_founds_the_cluster(run: Run) -> None:
    assert run.engine.chosen(FOUNDER) == [run.cluster.hosts["m1"]]
    made = looked(served(), three_masters())
    assert who(made, control_plane.steps, "the control plane exists") == {"m1"}


def test_nothing_is_founded_beside_a_control_plane_of_a_host_that_is_no_master(run: Run) -> None:
    run.put_cluster("m1", on="client")
    with suppress(Stop):
        run.engine.converge(ALL, control_plane.steps)
    assert run.failures["m1"] == "no other host has a control plane: client has /etc/kubernetes/admin.conf"
    assert run.ran == []


@pytest.mark.parametrize("left", ["admin_ca QUJD\ninit_begun 1795377600", "etcd_data yes"])
def test_nothing_is_founded_beside_what_another_master_has_left_of_one(run: Run, left: str) -> None:
    run("m3").parts["node"] = left
    with suppress(Stop):
        run.engine.converge(ALL, control_plane.steps)
    assert run.failures["m1"].startswith("no other host has a control plane: m3 has ")
    assert run.ran == []


def test_the_first_master_founds_nothing_beside_another_ones_cluster_and_joins_it() -> None:
    made = looked(served("m3"), three_masters())
    assert who(made, control_plane.steps, "the control plane exists") == set()
    assert "m1" in who(made, masters.steps, "the host is a master")


def test_a_run_stops_where_its_founder_may_not_found(run: Run) -> None:
    run.put_cluster("m1", on="client")
    with pytest.raises(Stop, match="m1 is the master"):
        run.engine.converge(ALL, control_plane.steps)


def test_nothing_is_founded_where_a_master_could_not_be_looked_at(run: Run) -> None:
    run("m2").on_look = away
    with pytest.raises(Stop):
        run.engine.converge(ALL, control_plane.steps)
    assert run.failures == {
        "m2": "it answers: cannot be reached",
        "m1": "every master was looked at: m2 was not: it may have a cluster",
    }
    assert run.ran == []


def test_a_master_that_was_not_looked_at_is_no_word_of_there_being_no_cluster() -> None:
    made = cluster(three_masters())
    for name in ("m1", "m2", "client"):
        made.look(made.hosts[name])
    live = made.facts(made.hosts["client"]).cluster
    assert live
    assert live.silent == "m3 was not looked at"
    made.look(made.hosts["m3"])
    assert made.facts(made.hosts["client"]).cluster is None


# --- who speaks


def test_the_first_master_whose_api_server_answers_speaks() -> None:
    assert looked(served(*M), three_masters()).speaker.name == "m1"
    assert looked(served(*M, silent=("m1",)), three_masters()).speaker.name == "m2"
    assert looked(served("m3"), three_masters()).speaker.name == "m3"
    assert looked(served(), three_masters()).speaker.name == "m1"


def test_a_master_whose_init_was_broken_off_speaks_for_nobody_while_another_can() -> None:
    worlds = served("m1", "m2")
    worlds["m1"]["node"] += "\ninit_begun 1795377600"
    assert looked(worlds, three_masters()).speaker.name == "m2"


def test_where_all_are_silent_the_cluster_is_silent_and_not_none() -> None:
    made = looked(served(*M, silent=M), three_masters())
    live = made.facts(made.hosts["client"]).cluster
    assert live
    assert (live.speaker, live.silent) == ("m1", "refused")


@pytest.mark.parametrize("falls", ["silent", "away"])
def test_another_takes_over_when_the_speaker_falls_silent(falls: str) -> None:
    made = looked(served(*M), three_masters())
    world(made, "m2").parts["cluster"] = nodes("new")
    if falls == "away":
        world(made, "m1").on_look = away
    else:
        world(made, "m1").parts["cluster"] = "silent refused"
    made.ask(made.masters)
    assert made.speaker.name == "m2"
    live = made.facts(made.hosts["client"]).cluster
    assert live
    assert list(live.nodes) == ["new"]
    assert len(world(made, "m3").looks) == 1


def test_who_speaks_goes_on_though_an_earlier_master_is_back() -> None:
    made = looked(served(*M, silent=("m1",)), three_masters())
    world(made, "m1").parts["cluster"] = nodes(*M)
    made.look(made.hosts["m1"])
    assert made.speaker.name == "m2"


def test_where_no_master_can_be_talked_to_that_is_the_speakers_failure() -> None:
    made = looked(served(*M), three_masters())
    for name in M:
        world(made, name).on_look = away
    with pytest.raises(HostError, match="cannot be reached"):
        made.ask(made.masters)


def test_a_wait_goes_on_by_another_masters_word(run: Run) -> None:
    for name in M:
        run.put_cluster(*M, on=name)

    def falls() -> None:
        run("m1").on_look = away
        run("m2").parts["cluster"] = nodes(*M, "client")

    run.clock.on_sleep = falls
    run.engine.converge(
        WORKERS, each(Step("the host is a node", no_client, None, within=300, touches="cluster", parts=()))
    )
    assert run.failures == {}


def test_a_master_that_is_away_is_no_failure_of_a_join_that_another_speaks_for(run: Run) -> None:
    for name in M:
        run.put_cluster(*M, on=name)
    run("m1").on_look = away
    run.converge("client", wants("a"))
    assert (run.failures, run("client").ran) == ({}, ["put a"])
    assert [failure.host for failure in run.engine.unheard] == ["m1"]


@pytest.mark.parametrize("subject", [network.steps, health.steps])
def test_what_concerns_the_cluster_is_the_speakers_to_do(subject: Subject) -> None:
    assert who(looked(served(*M, silent=("m1",)), three_masters()), subject, "flannel") == {"m2"}


def test_addons_and_rook_are_the_speakers_to_deploy() -> None:
    plain = three_masters()
    named = plain.model_copy(
        update={"cluster": plain.cluster.model_copy(update={"addons": ("flannel", "metrics-server")})}
    )
    made = looked(served(*M, silent=("m1",)), named)
    assert {name for name, host in made.hosts.items() if addons.steps(made, host)} == {"m2"}
    assert {name for name, host in made.hosts.items() if rook.deployed(made, host)} <= {"m2"}


def test_what_changes_the_cluster_goes_by_way_of_the_speaker() -> None:
    made = looked(served(*M, silent=("m1",)), three_masters())
    world(made, "m2").answers["mint-token.sh"] = "abcdef.0123456789abcdef QUJD"
    worker.join(made, made.hosts["client"])
    assert [line.split()[0] for line in world(made, "m2").ran] == ["mint-token.sh", "delete-tokens.sh"]
    assert world(made, "m1").ran == []


# --- who are masters


def test_every_masters_api_server_is_asked_for_its_health() -> None:
    made = looked(served(*M), three_masters())
    assert who(made, health.steps, "the API server is healthy") == set(M)


def test_nothing_of_a_masters_own_is_left_of_another_cluster() -> None:
    made = looked(served(*M), three_masters())
    for name in M:
        host = made.hosts[name]
        world(made, name).parts["node"] = f"{ADMIN}\nmanifest etcd.yaml\netcd_data yes"
        made.look(host)
        assert step(preflight.steps(made, host), "nothing is left of another cluster").gap(made.facts(host)) is None


def test_all_masters_take_pods_where_none_is_named(run: Run) -> None:
    assert [host.name for host in run.engine.chosen(MASTERS)] == list(M)
    assert [host.name for host in run.engine.chosen(WORKERS)] == ["client"]
    assert all(wanted.untainted(run.cluster, host) for host in run.engine.chosen(MASTERS))


# --- what masters say of each other

OF_EACH_OTHER = ("node", "etcd", "kubeadm")


def test_what_masters_say_of_each_other_is_asked_anew_under_the_lock_and_after_a_step_that_is_about_it(
    run: Run,
) -> None:
    for name in M:
        run.put_cluster(*M, on=name)
    run.engine.look(ALL)
    run.converge("m3", wants("a", touches="masters"))
    assert [run("m1").looks.count(OF_EACH_OTHER), run("m3").looks.count(OF_EACH_OTHER)] == [2, 1]
    assert OF_EACH_OTHER not in run("client").looks


def test_a_workers_step_asks_no_master_of_the_others(run: Run) -> None:
    for name in M:
        run.put_cluster(*M, on=name)
    run.engine.look(ALL)
    run.converge("client", wants("a", touches="cluster"))
    assert not [name for name in M if OF_EACH_OTHER in run(name).looks]


def test_where_one_joins_its_failure_keeps_the_next_from_being_begun(run: Run) -> None:
    for name in M:
        run.put_cluster(*M, on=name)

    def fail(host: object) -> None:
        raise HostError("no")

    with pytest.raises(Stop, match="m1 failed: no other host is begun after it"):
        run.engine.converge(MASTERS, each(wants("a", close=fail)), how=IN_TURN)
    assert set(run.failures) == {"m1"}


# --- whose locks are held


def test_whoever_changes_a_host_holds_the_locks_of_all_masters_that_answer(run: Run) -> None:
    for name in M:
        run.put_cluster(*M, on=name)
    run("m2").on_look = away
    run.converge("client", wants("a"))
    assert [len(run(name).locks) for name in (*M, "client")] == [1, 0, 1, 1]


def test_another_run_that_has_one_masters_lock_has_the_cluster(run: Run) -> None:
    run("m3").held_by = "eve@desk, process 7"
    with pytest.raises(KubefabError, match="another run is under way: eve@desk, process 7"):
        run.converge("client", wants("a"))
    assert run("client").ran == []


def test_the_speaker_is_chosen_by_its_first_look(run: Run) -> None:
    for name in M:
        run.put_cluster(*M, on=name)
    run("m1").parts["cluster"] = "silent refused"
    run.engine.converge(SPEAKER, each(wants("a")))
    assert [run(name).ran for name in M] == [[], ["put a"], []]


def test_a_test_knows_who_speaks_however_slow_its_threads_are(run: Run) -> None:
    """On real hosts it may be any of them: whoever is heard first."""
    for name in M:
        run.put_cluster(*M, on=name)
    run("m1").on_look = lambda: time.sleep(0.05)
    run.engine.look(ALL)
    assert run.cluster.speaker.name == "m1"


def test_without_a_speaker_the_rest_cannot_go_on(run: Run) -> None:
    for name in M:
        run.put_cluster(*M, on=name)

    def fail(host: object) -> None:
        raise HostError("no")

    with pytest.raises(Stop, match="m1 is the master"):
        run.engine.converge(SPEAKER, each(wants("a", close=fail)))
