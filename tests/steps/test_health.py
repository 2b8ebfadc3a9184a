"""The one long wait."""

from dataclasses import replace

import pytest

from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, Node, Workload
from kubefab.step import NO_CLUSTER
from kubefab.steps import health, preflight, reboot
from tests.facts import known, with_
from tests.fakes import cluster, step

NAMES = "the kubelet finds its name servers"
PRESSED = "the Node reports no pressure"
RUN = ("kube-controller-manager runs", "kube-scheduler runs")
API, READY, BOOT, FLANNEL, PROXY, COREDNS = (
    "the API server is healthy",
    "the node is Ready",
    "pod status is newer than the last boot",
    "kube-flannel/kube-flannel-ds is rolled out",
    "kube-system/kube-proxy is rolled out",
    "kube-system/coredns is rolled out",
)
DNS = "the cluster's DNS answers the host"


def live(*ready: bool, **workloads: Workload) -> Facts:
    """A machine that is the first of these nodes."""
    trouble = "cni plugin not initialized"
    nodes = {f"n{at}": Node(f"n{at}", f"id{at}", ready=yes, trouble=trouble) for at, yes in enumerate(ready)}
    names = {"flannel": "kube-flannel/kube-flannel-ds", "proxy": "kube-system/kube-proxy", "dns": health.COREDNS}
    found = {names[name]: workload for name, workload in workloads.items()}
    return known(machine_id="id0", readyz="ok", cluster=ClusterFacts(nodes=nodes, workloads=found))


SILENT: dict[str, object] = {"dns_at": "10.96.0.10", "dns_silent": True}


def serving(subnets: str) -> Facts:
    facts = live(True, dns=Workload(2, 2))
    assert facts.cluster
    return replace(facts, cluster=replace(facts.cluster, service_subnet=subnets))


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(), API, NO_CLUSTER),
        (known(cluster=ClusterFacts()), API, "/readyz: no answer"),
        (
            known(cluster=ClusterFacts(), readyz="500 Internal Server Error"),
            API,
            "/readyz: 500 Internal Server Error",
        ),
        (live(), API, None),
        (live(False), NAMES, None),
        (
            with_(live(False), lacks_resolver=health.RESOLVED),
            NAMES,
            "it is told to read /run/systemd/resolve/resolv.conf, which is not there, and starts no pod",
        ),
        (known(), READY, NO_CLUSTER),
        (known(cluster=ClusterFacts()), READY, "the host is not a node yet"),
        (live(False), READY, "cni plugin not initialized"),
        (live(True), READY, None),
        (live(False), BOOT, None),  # the other wait says so
        (live(True, flannel=Workload()), BOOT, "flannel has not come up yet"),
        (with_(live(True, flannel=Workload()), flannel=True), BOOT, None),
        (live(True), BOOT, None),  # without flannel it would be waited for in vain
        (live(True, True), FLANNEL, "it is not there"),
        (live(True, True, flannel=Workload(2, 1)), FLANNEL, "1 of 2 pods are up to date and answer"),
        (live(True, True, flannel=Workload(2, 2)), FLANNEL, None),
        # A node that joined a moment ago is not counted by its DaemonSets yet,
        (live(True, True, True, flannel=Workload(2, 2)), FLANNEL, "2 of 3 pods are up to date and answer"),
        (live(True, True, True, proxy=Workload(2, 2)), PROXY, "2 of 3 pods are up to date and answer"),
        # and one that is away is counted still.
        (live(True, False, flannel=Workload(2, 1)), FLANNEL, None),
        (live(False, flannel=Workload(1, 0)), FLANNEL, "0 of 1 pods are up to date and answer"),
        (live(True, True, True, dns=Workload(2, 2)), COREDNS, None),
        (live(True, dns=Workload(2, 1)), COREDNS, "1 of 2 pods are up to date and answer"),
        (live(True, False, dns=Workload(2, 1)), COREDNS, None),
        (live(True, False, False, dns=Workload(2, 0)), COREDNS, "0 of 1 pods are up to date and answer"),
        (live(True, dns=Workload(0, 0)), COREDNS, None),  # somebody wants none
        (with_(live(True, dns=Workload(2, 2)), dns_at="10.96.0.10"), DNS, None),
        (with_(live(True, dns=Workload(2, 2)), **SILENT), DNS, "10.96.0.10 does not answer from here"),
        (with_(serving("10.96.0.0/12"), **SILENT), DNS, "10.96.0.10 does not answer from here"),
        (with_(serving("10.0.0.0/24,10.96.0.0/12"), **SILENT), DNS, "10.96.0.10 does not answer from here"),
        (with_(serving("fd00::/108"), **SILENT), DNS, None),  # a resolver of somebody's own
        (with_(live(True, dns=Workload(0, 0)), **SILENT), DNS, None),  # somebody wants none
        # What says so of these is another state.
        (with_(live(False, dns=Workload(2, 2)), **SILENT), DNS, None),
        (with_(live(True), **SILENT), DNS, None),
        (with_(known(cluster=ClusterFacts()), **SILENT), DNS, None),
    ],
)
def test_what_is_not_well_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(health.steps(made, made.founder), title).gap(facts) == gap


def test_the_api_server_and_workloads_are_the_masters_to_tell() -> None:
    made = cluster()
    assert {one.title for one in health.steps(made, made.founder)} == {
        API,
        *RUN,
        NAMES,
        READY,
        BOOT,
        PRESSED,
        FLANNEL,
        PROXY,
        COREDNS,
        DNS,
    }
    assert [one.title for one in health.steps(made, made.hosts["client"])] == [NAMES, READY, BOOT, PRESSED, DNS]


def test_the_clusters_dns_is_asked_anew_since_what_led_to_it_may_have_been_changed() -> None:
    made = cluster()
    assert step(health.steps(made, made.founder), DNS).follows


def test_another_file_of_name_servers_than_systemd_resolveds_is_the_persons_to_bring() -> None:
    gap, made = with_(live(False), lacks_resolver="/etc/mine"), cluster()
    one = step(health.steps(made, made.founder), NAMES)
    assert one.gap(gap) == "it is told to read /etc/mine, which is not there, and starts no pod"
    assert f"where that is {health.RESOLVED}" in one.hint


def test_all_of_it_is_waited_for_and_nothing_is_changed() -> None:
    made = cluster()
    for one in (one for one in health.steps(made, made.founder) if one.title not in (NAMES, PRESSED)):
        assert (one.close, one.within, one.touches) == (None, 300, "cluster")


def test_why_a_node_is_not_ready_is_asked_by_the_name_that_the_cluster_has_for_it() -> None:
    made = cluster()
    made._alone["client"], made._found["client"] = live(False), {"node": "looked at"}
    hint = step(health.steps(made, made.hosts["client"]), READY).hint
    assert hint == "see why: kubectl describe node n0; journalctl -u kubelet, on client"


def master(**said: object) -> Facts:
    return with_(live(True), admin_ca="ca", **said)


@pytest.mark.parametrize(
    ("facts", "gaps"),
    [
        (master(controllers=dict.fromkeys(health.CONTROLLERS, "runs")), [None, None]),
        (master(controllers={"kube-scheduler": "none"}, manifests=("kube-scheduler.yaml",)), [None, "it does not run"]),
        (with_(live(True), controllers=dict.fromkeys(health.CONTROLLERS, "none")), [None, None]),  # no master yet
        (master(controllers=dict.fromkeys(health.CONTROLLERS, "none"), master_begun=1), [None, None]),
    ],
)
def test_a_master_without_its_controller_manager_or_its_scheduler_is_not_well(
    facts: Facts, gaps: list[str | None]
) -> None:
    """Its API server is."""
    made = cluster()
    assert [step(health.steps(made, made.founder), title).gap(facts) for title in RUN] == gaps


def test_whether_they_run_may_be_not_known() -> None:
    made, facts = cluster(), master(controllers={"kube-scheduler": "pgrep does not say what runs"})
    with pytest.raises(Silent, match="not known: pgrep does not say"):
        step(health.steps(made, made.founder), RUN[1]).gap(facts)


def test_one_whose_manifest_somebody_took_away_is_told_so_with_the_way_to_get_it_back() -> None:
    made = cluster()
    one = step(health.steps(made, made.founder), RUN[1])
    gone = master(controllers={"kube-scheduler": "none"}, manifests=("etcd.yaml",))
    assert one.gap(gone) == "it does not run, and /etc/kubernetes/manifests has no kube-scheduler.yaml"
    way = "cp /var/lib/kubefab-manifests/kube-scheduler.yaml /etc/kubernetes/ && mv /etc/kubernetes/kube-scheduler.yaml"
    assert f"on {made.founder.name}, put back what was there; as kubefab has left it: {way}" in one.hint


@pytest.mark.parametrize(
    ("facts", "gap"),
    [
        (live(True, proxy=Workload()), None),
        (live(True), "its DaemonSet is missing"),
        (known(), None),
        (with_(live(True), cluster=ClusterFacts(silent="refused")), None),
        (with_(live(True), init_begun=1), None),  # it comes last in kubeadm init
    ],
)
def test_a_cluster_without_kube_proxy_is_told_and_not_waited_for(facts: Facts, gap: str | None) -> None:
    made = cluster()
    one = health.has_kube_proxy(made)
    assert (one.gap(facts), one.close, one.within) == (gap, None, 0)
    assert "--pod-network-cidr 10.244.0.0/16 --apiserver-advertise-address 10.250.0.10" in one.hint
    for steps in (preflight.steps(made, made.founder), reboot.steps(made, made.founder)):
        assert step(steps, one.title).gap(facts) == gap


def test_a_disk_fuller_than_the_kubelet_bears_is_told_at_once() -> None:
    made, full = cluster(), Node("client", "id", ready=True, pressures=("DiskPressure", "PIDPressure"))
    found = known("client", machine_id="id", cluster=ClusterFacts(nodes={"client": full}))
    told = step(health.steps(made, made.hosts["client"]), PRESSED)
    assert told.gap(found) == "DiskPressure, PIDPressure"
    assert (told.within, told.gap(live(True))) == (0, None)
    assert told.gap(known()) is None  # a plan of what is to come
    assert "client" in told.hint
