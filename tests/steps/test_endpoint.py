"""Where the cluster's name leads."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubefab.facts import ClusterFacts, Facts
from kubefab.step import MISSING, Step
from kubefab.steps import endpoint
from tests.facts import known
from tests.fakes import cluster, looked, step, three_masters, world
from tests.runs import ADMIN, nodes

NAME = "lab.kubefab.internal"
TITLE = "/etc/hosts has the control plane's name"
M = {"m1": "10.250.0.11", "m2": "10.250.0.12", "m3": "10.250.0.13"}
LIVE = ClusterFacts(speaker="m1", endpoint=f"https://{NAME}:6443", ca="aaa")
SERVES = {"admin_ca": "aaa", "readyz": "ok"}
HALF_JOINED = {**SERVES, "master_begun": 1}
STARTING = {"admin_ca": "aaa", "readyz": "no answer"}


def named(on: str) -> Step:
    made = cluster(three_masters())
    return step(endpoint.steps(made, made.hosts[on]), TITLE)


def at(name: str, live: ClusterFacts | None = LIVE, leads_to: str = "", **masters: Mapping[str, Any]) -> Facts:
    """This host, where these masters are like that, and the name leads to `leads_to`."""
    others = {other: known(other, live, **said) for other, said in masters.items() if other != name}
    endpoints = {NAME: leads_to} if leads_to else {}
    return known(name, live, others, endpoints=endpoints, **masters.get(name, {}))


@pytest.mark.parametrize(
    ("facts", "gap"),
    [
        (known(), MISSING),
        (known(endpoints={NAME: "10.0.0.1"}), "10.0.0.1"),
        (known(endpoints={NAME: "10.250.0.10"}), None),
        (known(cluster=ClusterFacts(endpoint=f"https://{NAME}:6443")), MISSING),
    ],
)
def test_the_name_of_a_cluster_of_one_master_leads_to_that(facts: Facts, gap: str | None) -> None:
    made = cluster()
    for host in made.hosts.values():
        assert step(endpoint.steps(made, host), TITLE).gap(facts) == gap


def test_a_cluster_that_was_made_by_hand_keeps_its_endpoint() -> None:
    live = ClusterFacts(speaker="m1", endpoint="https://10.250.0.11:6443")
    assert named("client").gap(at("client", live, m1=SERVES)) is None


@pytest.mark.parametrize("host", [*M, "client"])
def test_the_name_leads_to_the_founder_where_there_is_no_cluster(host: str) -> None:
    assert named(host).gap(at(host, None, M["m2"])) == M["m2"]
    assert named(host).gap(at(host, None, M["m1"])) is None


def test_on_a_master_whose_api_server_answers_the_name_leads_to_that() -> None:
    all_serve = dict.fromkeys(M, SERVES)
    for name, address in M.items():
        assert named(name).gap(at(name, LIVE, address, **all_serve)) is None
    assert named("m2").gap(at("m2", LIVE, M["m1"], **all_serve)) == M["m1"]


@pytest.mark.parametrize("own", [{}, HALF_JOINED], ids=["not joined", "half joined"])
def test_a_master_that_joins_needs_one_that_works(own: Mapping[str, Any]) -> None:
    def gap(leads_to: str) -> str | None:
        return named("m3").gap(at("m3", LIVE, leads_to, m1=STARTING, m2=SERVES, m3=own))

    assert {address: gap(address) for address in M.values()} == {**{one: one for one in M.values()}, M["m2"]: None}


def test_a_master_that_has_joined_is_not_led_elsewhere_while_its_api_server_starts() -> None:
    masters = {"m1": SERVES, "m2": STARTING}
    assert named("m2").gap(at("m2", LIVE, M["m2"], **masters)) is None
    assert named("m2").gap(at("m2", LIVE, M["m1"], **masters)) is None
    assert named("m2").gap(at("m2", LIVE, M["m3"], **masters)) == M["m3"]


def test_a_worker_may_ask_any_master_that_works() -> None:
    masters = {"m1": SERVES, "m2": SERVES, "m3": STARTING}
    gaps = [named("client").gap(at("client", LIVE, address, **masters)) for address in M.values()]
    assert gaps == [None, None, M["m3"]]


@pytest.mark.parametrize("host", [*M, "client"])
def test_where_no_api_server_answers_the_name_stays(host: str) -> None:
    masters = dict.fromkeys(M, STARTING)
    assert named(host).gap(at(host, LIVE, M.get(host, M["m3"]), **masters)) is None


def test_of_those_that_work_the_speaker_is_chosen() -> None:
    serves, silent = ({"node": ADMIN, "cluster": word} for word in (nodes("m1"), "silent refused"))
    made = looked({"m1": silent, "m2": serves, "m3": serves, "client": {}}, three_masters())
    for name in ("client", "m3"):
        close = step(endpoint.steps(made, made.hosts[name]), TITLE).close
        assert close
        close(made.hosts[name])
    assert world(made, "client").ran == [f"set-endpoint.sh {NAME} {M['m2']}"]
    assert world(made, "m3").ran == [f"set-endpoint.sh {NAME} {M['m3']}"]
