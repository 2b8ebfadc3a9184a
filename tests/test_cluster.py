"""What one invocation knows: looks shared and merged, hosts by name, the cluster by its master's word."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kubefab.cluster import PARTS, Cluster
from kubefab.errors import HostError, KubefabError
from kubefab.facts import ClusterFacts, fingerprint
from kubefab.facts.api import FORBIDDEN
from kubefab.log import Log
from tests import fakes
from tests.facts import with_
from tests.fakes import HOSTS, inventory, looked, world

AWAY = "  away: {address: 10.250.0.12, role: worker, absent: true}\n"
EMPTY = 'answer {"items": []}'


def test_a_second_look_within_one_moment_is_shared() -> None:
    made = fakes.cluster()
    host, found = made.founder, world(made, "manager")
    asked = made.clock()
    made.look(host, since=asked)
    made.look(host, since=asked)
    assert len(found.looks) == 1


def test_a_look_that_began_before_it_was_asked_for_is_not_shared() -> None:
    made = fakes.cluster()
    made.look(made.founder)
    made.look(made.founder)
    assert len(world(made, "manager").looks) == 2


def test_all_who_wait_for_a_look_in_flight_share_the_next() -> None:
    made = fakes.cluster()
    found = world(made, "manager")
    in_flight, asked_for = threading.Event(), threading.Event()

    def look() -> None:
        in_flight.set()
        asked_for.wait(30)

    found.on_look = look
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(made.look, made.founder)
        in_flight.wait(30)
        asked = [pool.submit(made.look, made.founder, None, made.clock()) for _ in range(8)]
        asked_for.set()
        [one.result() for one in (first, *asked)]
    assert len(found.looks) == 2


def test_two_hosts_are_looked_at_side_by_side() -> None:
    made = fakes.cluster()
    both = threading.Barrier(2, timeout=30)

    def meet() -> None:
        both.wait()

    for name in made.hosts:
        world(made, name).on_look = meet
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(made.look, made.hosts.values()))


def test_the_master_alone_is_asked_for_the_cluster() -> None:
    made = looked({"manager": {}, "client": {}})
    assert world(made, "manager").looks == [(*PARTS, "cluster", "addons", "backups", "kubeadm")]
    assert world(made, "client").looks == [PARTS]


def test_a_partial_look_keeps_what_it_did_not_ask_for() -> None:
    made = looked({"client": {"system": "hostname client", "node": "link cni0"}})
    world(made, "client").parts = {"node": ""}
    made.look(made.hosts["client"], ("node",))
    facts = made.facts(made.hosts["client"])
    assert (facts.system.hostname, facts.local.links) == ("client", ())


def test_what_one_host_says_strangely_is_told_of_that_host() -> None:
    made = looked({"client": {"system": "hostname client"}})
    world(made, "client").parts["files"] = "mtime /etc/hosts ?"
    with pytest.raises(
        HostError, match=r"the answer to a look cannot be understood: files: mtime /etc/hosts \?"
    ) as raised:
        made.look(made.hosts["client"])
    assert raised.value.host == "client"
    assert made.facts(made.hosts["client"]).system.hostname == "client"


def test_an_answer_that_is_the_same_again_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of 200 nodes answers with megabytes, once a second while it is waited for."""
    made = looked({"manager": {"cluster": EMPTY}, "client": {}})
    monkeypatch.setattr("kubefab.facts.parse_cluster", lambda text: pytest.fail("parsed again"))
    made.look(made.founder)
    made.look(made.founder, ("node",))
    assert made.facts(made.hosts["client"]).cluster is not None


def test_the_others_are_facts_of_a_host_too() -> None:
    made = looked({"manager": {"system": "hostname one"}, "client": {"system": "hostname two"}})
    client = made.facts(made.hosts["client"])
    assert (client.name, client.others["manager"].system.hostname) == ("client", "one")
    assert list(client.everyone) == ["client", "manager"]
    world(made, "manager").parts["system"] = "hostname other"
    made.look(made.founder, ("system",))
    assert made.facts(made.hosts["client"]).others["manager"].system.hostname == "other"
    assert client.others["manager"].system.hostname == "one"


def test_a_look_that_failed_is_not_taken_for_one() -> None:
    made = fakes.cluster()
    world(made, "client").on_look = lambda: pytest.fail("no")
    with pytest.raises(pytest.fail.Exception):
        made.look(made.hosts["client"], since=0)
    world(made, "client").on_look = lambda: None
    assert not made.looked_at(made.hosts["client"])
    made.look(made.hosts["client"], since=0)
    assert made.looked_at(made.hosts["client"])


def test_every_host_is_told_what_the_master_knows_of_the_cluster() -> None:
    node = "admin_ca QUJD\nadmin_server https://lab.kubefab.internal:6443"
    made = looked({"manager": {"node": node, "cluster": f"version 1.37.2\n{EMPTY}"}, "client": {}})
    live = ClusterFacts(
        version="1.37.2", ca=fingerprint("QUJD"), endpoint="https://lab.kubefab.internal:6443", speaker="manager"
    )
    assert [facts.cluster for facts in made.all_facts().values()] == [live, live]
    assert made.all_facts()["client"].cluster is made.all_facts()["manager"].cluster


def test_the_health_check_believes_the_clusters_own_authority() -> None:
    made, asked = fakes.cluster(), []
    made._readyz = lambda host, ca, silent: asked.append((host.name, ca)) or "ok"  # type: ignore[func-returns-value]
    world(made, "manager").parts = {"node": "admin_ca QUJD", "cluster": EMPTY}
    made.look(made.founder)
    made.look(made.founder, ("api",))  # the authority is that of the look before
    made.look(made.founder, ("node", "cluster"))
    assert asked == [("manager", "QUJD"), ("manager", "QUJD")]


def test_without_a_cluster_the_way_to_its_health_is_tried_all_the_same() -> None:
    asked: list[str] = []
    made = fakes.cluster()
    made._readyz = lambda host, ca, silent: asked.append(ca) or FORBIDDEN  # type: ignore[func-returns-value]
    made.look(made.founder)
    assert (asked, made.facts(made.founder).api.readyz) == ([""], FORBIDDEN)


def test_hosts_not_looked_at_have_no_facts() -> None:
    assert list(looked({"client": {}}).all_facts()) == ["client"]


def test_an_absent_host_is_none_of_the_hosts() -> None:
    made = fakes.cluster(HOSTS + AWAY)
    assert list(made.hosts) == ["manager", "client"]
    with pytest.raises(KubefabError, match=r"away is marked `absent: true` in hosts\.yml"):
        made.require("away")


def test_a_host_that_is_there_is_found_by_its_name() -> None:
    assert fakes.cluster().require("client").name == "client"


def test_nothing_is_connected_before_it_is_needed(tmp_path: object) -> None:
    made = Cluster(inventory(), Log(inventory().path), lambda host, ca, silent: "ok")
    made.close()
    assert [host.link.trips for host in made.hosts.values()] == [0, 0]


def test_a_hosts_facts_do_not_change_with_the_next_look() -> None:
    made = looked({"client": {"system": "hostname client"}})
    before = made.facts(made.hosts["client"])
    world(made, "client").parts["system"] = "hostname other"
    made.look(made.hosts["client"])
    assert made.facts(made.hosts["client"]) == with_(before, hostname="other")
