"""Where the cluster's name leads."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kubefab import kubeadm, render
from kubefab.facts import ClusterFacts, Facts, Node, Package, Unit, fingerprint
from kubefab.step import MISSING, Step, sha256
from kubefab.steps import agreement, endpoint
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, inventory, looked, step, three_masters, world
from tests.runs import ADMIN, nodes

NAME = "lab.kubefab.internal"
TITLE = "/etc/hosts has the control plane's name"
M = {"m1": "10.250.0.11", "m2": "10.250.0.12", "m3": "10.250.0.13"}
LIVE = ClusterFacts(speaker="m1", endpoint=f"https://{NAME}:6443", ca="aaa")
SERVES: Mapping[str, Any] = {"admin_ca": "aaa", "readyz": "ok"}
HALF_JOINED = {**SERVES, "master_begun": 1}
STARTING: Mapping[str, Any] = {"admin_ca": "aaa", "readyz": "no answer"}


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


# --- a worker's haproxy

CFG, CA, UNIT = render.ENDPOINT, render.AUTHORITY, render.ENDPOINT_UNIT
OURS = ClusterFacts(speaker="m1", endpoint=f"https://{NAME}:6443", ca=fingerprint("Q0E="))
RUNS = {"kubefab-endpoint": Unit("active", "enabled", since=10, changed=10)}
WELL = known(
    "client",
    OURS,
    {name: known(name, OURS, **SERVES) for name in M},
    debs={"haproxy": Package("ii")},
    digests={
        UNIT: sha256(render.haproxy_unit()[UNIT]),
        CFG: sha256(render.haproxy(three_masters())),
        CA: "",
    },
    contents={CA: "Q0E="},
    mtimes={UNIT: 1, CFG: 1, CA: 1},
    units=RUNS,
    endpoints={NAME: "127.0.0.1"},
    sees=dict.fromkeys(M, "UP; L7OK 200"),
    kubelet_server=f"https://{NAME}:6443",
    kubelet_at=("127.0.0.1",),
    proxy="runs",
    proxy_has={NAME: "127.0.0.1"},
)
TELLS, READ, REACHES, KUBELET, PROXY, STARTED, ALL = (
    "haproxy is told of every master",
    "kubefab-endpoint has read its configuration",
    "haproxy reaches a master",
    "the kubelet goes by the control plane's name",
    "kube-proxy goes by the control plane's name",
    "kube-proxy has started",
    "haproxy reaches every master that serves",
)


def gaps(facts: Facts, on: str = "client") -> dict[str, str]:
    made = cluster(three_masters())
    return {one.title: gap for one in endpoint.steps(made, made.hosts[on]) if (gap := one.gap(facts))}


def test_a_worker_that_is_well_misses_nothing() -> None:
    assert gaps(WELL) == {}


@pytest.mark.parametrize(
    ("said", "title", "gap"),
    [
        ({"debs": {}}, "haproxy is installed", MISSING),
        ({"haproxy_begun": True}, "haproxy is installed", "its package has started haproxy.service"),
        ({"digests": {**WELL.files.digests, UNIT: "0"}}, "kubefab-endpoint has its unit", f"{UNIT} differs"),
        ({"digests": {UNIT: WELL.files.digests[UNIT]}}, TELLS, MISSING),
        ({"digests": {**WELL.files.digests, CFG: "0"}}, TELLS, f"{CFG} differs"),
        ({"contents": {CA: "QkE="}}, TELLS, f"{CA} is not this cluster's CA"),
        ({"mtimes": {CFG: 11}}, READ, "it runs with an older one"),
        ({"mtimes": {CA: 11}}, READ, "it runs with an older one"),
        ({"sees": {"m1": "UP 1/2; INI", "m2": "DOWN; L4CON"}}, REACHES, "m1: UP 1/2; INI, m2: DOWN; L4CON"),
        ({"sees": {}}, REACHES, "it says nothing"),
        ({"sees": {"m1": "DOWN; L4CON", "m2": "UP; L7OK 401"}}, REACHES, None),
        ({"endpoints": {NAME: M["m1"]}, "kubelet_at": (), "proxy": "none", "proxy_has": {}}, TITLE, M["m1"]),
        ({"kubelet_at": ("127.0.0.1", M["m1"])}, KUBELET, f"it asks {M['m1']}"),
        ({"kubelet_at": (M["m1"],), "kubelet_server": "https://lb:6443"}, KUBELET, None),
        ({"proxy_has": {NAME: M["m1"]}}, PROXY, f"its /etc/hosts has {M['m1']}"),
        ({"proxy_has": {}}, PROXY, "its /etc/hosts has no such name"),
    ],
)
def test_what_a_workers_haproxy_lacks_is_named(said: dict[str, Any], title: str, gap: str | None) -> None:
    assert gaps(with_(WELL, **said)) == ({title: gap} if gap else {})


def test_the_name_leads_to_haproxy_only_once_that_runs() -> None:
    stopped = with_(WELL, units={}, endpoints={NAME: M["m2"]}, kubelet_at=(M["m2"],), proxy_has={NAME: M["m2"]})
    assert gaps(stopped) == {"kubefab-endpoint runs": "inactive", READ: "it runs with an older one"}


def test_haproxy_is_installed_before_there_is_a_cluster_and_told_of_it_afterwards() -> None:
    assert set(gaps(known("client"))) == {"haproxy is installed", "kubefab-endpoint has its unit", TITLE}


def test_a_cluster_with_an_endpoint_of_its_own_has_none_of_it() -> None:
    by_hand = ClusterFacts(speaker="m1", endpoint="https://10.250.0.11:6443", ca="aaa")
    assert gaps(known("client", by_hand, kubelet_at=("10.0.0.1",), proxy_has={NAME: "10.0.0.1"})) == {}


def test_a_master_has_no_haproxy() -> None:
    assert {title for title in gaps(known("m2"), on="m2") if "haproxy" in title} == set()


def test_a_masters_kube_proxy_begins_anew_once_the_name_leads_to_itself() -> None:
    at_home: dict[str, Any] = {
        "endpoints": {NAME: M["m2"]},
        "kubelet_server": f"https://{M['m2']}:6443",
        "kubelet_at": (M["m2"],),
    }
    joined = known("m2", OURS, proxy="runs", proxy_has={NAME: M["m1"]}, **SERVES, **at_home)
    assert gaps(joined, on="m2") == {PROXY: f"its /etc/hosts has {M['m1']}"}


def test_where_one_master_is_left_haproxy_goes_once_nobody_asks_it() -> None:
    made = cluster()
    left = with_(WELL, cluster=OURS)
    found = [one.title for one in endpoint.steps(made, made.hosts["client"]) if one.gap(left)]
    assert found == [TITLE, "no haproxy of kubefab's is left"]
    moved = with_(left, endpoints={NAME: "10.250.0.10"})
    found = [one.title for one in endpoint.steps(made, made.hosts["client"]) if one.gap(moved)]
    assert found == [KUBELET, PROXY, "no haproxy of kubefab's is left"]


def test_each_state_of_a_worker_has_its_change() -> None:
    made = looked({"m1": {"node": ADMIN, "cluster": nodes("m1")}, "client": {}}, three_masters())
    for one in endpoint.steps(made, made.hosts["client"]):
        if one.close:
            one.close(made.hosts["client"])
    assert world(made, "client").ran == [
        "install-haproxy.sh",
        "put-files.sh",
        "put-endpoint.sh",
        f"restart-service.sh kubefab-endpoint {UNIT}",
        f"reload-service.sh kubefab-endpoint {CFG} {CA}",
        f"set-endpoint.sh {NAME} {M['m1']}",
        "restart-service.sh kubelet",
        "restart-proxy.sh",
    ]
    assert world(made, "client").payloads["put-endpoint.sh"] == f"QUJD\n{render.haproxy(three_masters())}"


@pytest.mark.parametrize(
    ("sees", "gap"),
    [
        ({}, None),
        ({"m3": "DOWN; L4TOUT"}, "m3: DOWN; L4TOUT"),
        ({"m3": "UP; L7OK 401"}, None),
        ({"m2": "DOWN; L7STS 500"}, None),  # it does not serve: a master's own business
    ],
)
def test_a_master_that_serves_and_that_a_worker_does_not_reach_is_named(sees: dict[str, str], gap: str | None) -> None:
    made = cluster(three_masters())
    others = {**WELL.others, "m2": known("m2", OURS, **STARTING)}
    reached = step(endpoint.proven(made, made.hosts["client"]), ALL)
    assert reached.gap(with_(WELL, others=others, sees={**WELL.endpoint.sees, **sees})) == gap
    assert ALL not in [one.title for one in endpoint.proven(made, made.hosts["m1"])]


NOT_READY = replace(OURS, nodes={"client": Node("client", "id")})
READY = replace(OURS, nodes={"client": Node("client", "id", ready=True)})


@pytest.mark.parametrize(
    ("live", "said", "gap"),
    [
        (READY, {"proxy": "none", "proxy_has": {}}, {STARTED: "its container does not run"}),
        (READY, {"proxy": "runs", "proxy_has": {NAME: M["m1"]}}, {PROXY: f"its /etc/hosts has {M['m1']}"}),
        (READY, {"proxy": "", "proxy_has": {}}, {}),  # nothing there can tell
        (NOT_READY, {"proxy": "none", "proxy_has": {}}, {}),  # the node's own gap says why
    ],
)
def test_a_kube_proxy_that_began_late_is_waited_for_and_asked_where_the_name_led(
    live: ClusterFacts, said: dict[str, Any], gap: dict[str, str]
) -> None:
    """Its /etc/hosts is copied before anybody can see it run."""
    made = cluster(three_masters())
    facts = with_(WELL, cluster=live, machine_id="id", **said)
    assert {one.title: found for one in endpoint.proven(made, made.hosts["client"]) if (found := one.gap(facts))} == gap


@pytest.mark.parametrize(
    ("facts", "gap"),
    [
        (known(), None),
        (known(ports={6443: "nginx"}), "nginx listens there"),
        (known(ports={6443: "haproxy"}), "haproxy listens there"),
        (known(ports={6443: "haproxy"}, units=RUNS), None),
        (known(cluster=ClusterFacts(endpoint="https://lb:6443"), ports={6443: "nginx"}), None),
    ],
)
def test_whoever_else_listens_where_haproxy_is_to_is_a_complaint(facts: Facts, gap: str | None) -> None:
    made = cluster(three_masters())
    title = "port 6443 is free for haproxy"
    complaint = step(agreement.steps(made, made.hosts["client"]), title)
    assert (complaint.gap(facts), complaint.close) == (gap, None)
    assert title not in [one.title for one in agreement.steps(made, made.hosts["m1"])]


def test_a_bundle_for_several_masters_has_haproxy() -> None:
    assert (endpoint.bundled(three_masters()), endpoint.bundled(inventory())) == (["haproxy"], [])


# --- a load balancer of the user's own

BALANCED = HOSTS.replace("1.37.2\n", "1.37.2\n  endpoint: k8s.example.org:443\n")
BEFORE = ClusterFacts(speaker="manager", endpoint="https://k8s.example.org:443", ca=fingerprint("Q0E="))
JOINS = known("client", BEFORE, debs={"kubectl": Package("ii")}, contents={CA: "Q0E="}, balancer="ok")
KNOWS, ANSWERS = "the host knows the cluster's CA", "k8s.example.org:443 answers for this cluster"


@pytest.mark.parametrize(
    ("facts", "gaps"),
    [
        (JOINS, {}),
        (with_(JOINS, contents={}, balancer=""), {KNOWS: MISSING, ANSWERS: "not asked yet"}),
        (with_(JOINS, contents={CA: "QkE="}), {KNOWS: f"{CA} is not this cluster's CA"}),
        (with_(JOINS, balancer="Unable to connect"), {ANSWERS: "Unable to connect"}),
        (with_(JOINS, balancer="", debs={}), {}),  # nobody can ask yet
        (with_(JOINS, balancer="", kubelet_ca=BEFORE.ca), {}),  # it has joined, and asks all the time
        (known("client"), {}),
    ],
)
def test_a_load_balancer_answers_before_a_host_joins_by_way_of_it(facts: Facts, gaps: dict[str, str]) -> None:
    made = cluster(BALANCED)
    for host in made.hosts.values():
        assert {one.title: gap for one in endpoint.steps(made, host) if (gap := one.gap(facts))} == gaps


def test_before_a_load_balancer_of_the_users_nothing_of_kubefabs_stands() -> None:
    made = inventory(BALANCED)
    assert "k8s.example.org:443" in kubeadm.init_documents(made, made.founder)
    assert endpoint.bundled(made.model_copy(update={"hosts": three_masters().hosts})) == []


@pytest.mark.parametrize(
    ("live", "wanted", "gap"),
    [
        ("https://k8s.example.org:443", "k8s.example.org:443", None),
        ("https://lab.kubefab.internal:6443", None, None),
        ("https://10.250.0.10:6443", None, None),  # made by hand
        ("", "k8s.example.org:443", None),
        ("https://lab.kubefab.internal:6443", "k8s.example.org:443", "take that line out"),
        ("https://k8s.example.org:443", "k8s.example.org:6443", "put `endpoint: k8s.example.org:443` back"),
    ],
)
def test_no_cluster_moves_to_another_endpoint(live: str, wanted: str | None, gap: str | None) -> None:
    made = cluster(HOSTS.replace("1.37.2\n", f"1.37.2\n  endpoint: {wanted}\n") if wanted else HOSTS)
    found = agreement.as_wanted(made).gap(known("client", ClusterFacts(endpoint=live)))
    assert (gap in found and "kubeadm cannot move it" in found) if gap and found else found == gap
