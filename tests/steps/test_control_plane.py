"""The control plane on the master."""

from dataclasses import replace

import pytest

from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, Node, Unit, Workload, clock_time
from kubefab.step import MISSING
from kubefab.steps import control_plane
from tests.facts import known, with_
from tests.fakes import cluster, step, world

BEGUN = 1795377600
MANAGER = Node("manager", "abc", "10.250.0.10", roles=("control-plane",))
ALONE = ClusterFacts(nodes={"manager": MANAGER})
BOTH = replace(ALONE, nodes={"manager": MANAGER, "client": Node("client")})
SILENT = ClusterFacts(silent="refused")
RUNS = {"kubelet": Unit("active", "enabled")}
WELL = known("manager", machine_id="abc", admin_ca="aaa", kubeconfig="same", cluster=BOTH, units=RUNS, readyz="ok")
SERVES, CLEANED, IDLE = (
    "the interrupted kubeadm init has no users",
    "no interrupted kubeadm init is left",
    "the kubelet of the interrupted init runs",
)
CUT = f"begun at {clock_time(BEGUN)} and not finished"
# Marked as begun a minute ago, with data of etcd's.
HALF = known("manager", init_begun=BEGUN, clock=BEGUN + 60, etcd_data=True, cluster=ALONE)


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(), "the control plane exists", MISSING),
        (known(), "kubectl works for the login user", MISSING),
        (known(kubeconfig="other"), "kubectl works for the login user", "other"),
        (known(kubeconfig="works"), "kubectl works for the login user", None),
    ],
)
def test_what_is_missing_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(control_plane.steps(made, made.founder), title).gap(facts) == gap


YET = "kubeadm init did not finish, but the cluster has"


@pytest.mark.parametrize(
    ("facts", "serves"),
    [
        (HALF, None),
        (with_(HALF, cluster=None, etcd_data=False), None),  # killed before there was an admin.conf
        (with_(HALF, cluster=SILENT, etcd_data=False), None),  # killed before etcd ever ran
        (with_(HALF, cluster=SILENT, etcd_data=False, manifests=("etcd.yaml", "kube-apiserver.yaml")), None),
        (with_(HALF, cluster=None), "etcd has data here, and there is no admin.conf to ask about them with"),
        (with_(HALF, cluster=BOTH), f"{YET} the node client"),
        (with_(HALF, cluster=replace(ALONE, workloads={"kube-system/coredns": Workload()})), None),
        (with_(HALF, cluster=replace(ALONE, workloads={"default/shop": Workload()})), f"{YET} default/shop"),
        (with_(HALF, cluster=replace(ALONE, kept=("Pod kube-system/etcd-manager",))), None),
        (with_(HALF, cluster=replace(ALONE, kept=("StatefulSet default/db",))), f"{YET} StatefulSet default/db"),
        (with_(HALF, cluster=replace(ALONE, kept=("PersistentVolume /pv1",))), f"{YET} PersistentVolume /pv1"),
        (with_(HALF, clock=BEGUN + 3601), f"{YET} all that was made since, for that is more than an hour ago"),
        (with_(HALF, clock=BEGUN - 60), f"{YET} all that was made since, for its clock was set back after it"),
    ],
)
def test_only_a_control_plane_that_served_nobody_is_taken_back(facts: Facts, serves: str | None) -> None:
    """Where somebody may use it there is a complaint, and nothing that could be done is left to do."""
    made = cluster()
    steps = control_plane.steps(made, made.founder)
    assert step(steps, SERVES).gap(facts) == serves
    assert step(steps, CLEANED).gap(facts) == (None if serves else CUT)
    assert steps.index(step(steps, IDLE)) < steps.index(step(steps, SERVES)) < steps.index(step(steps, CLEANED))


@pytest.mark.parametrize(
    "facts",
    [
        with_(HALF, cluster=SILENT),
        with_(HALF, cluster=SILENT, etcd_data=False, manifests=("kube-apiserver.yaml",)),  # its etcd is elsewhere
        with_(HALF, cluster=ClusterFacts(silent="Error from server (Forbidden)")),  # so it says while it comes up
    ],
)
def test_a_silent_control_plane_that_may_have_served_is_waited_for_and_never_taken_back(facts: Facts) -> None:
    made = cluster()
    steps = control_plane.steps(made, made.founder)
    for title in (SERVES, CLEANED):
        with pytest.raises(Silent):
            step(steps, title).gap(facts)
    assert step(steps, IDLE).gap(with_(facts, units={"kubelet": Unit("inactive")})) == "inactive"
    assert step(steps, IDLE).gap(with_(facts, units=RUNS)) is None
    assert "inv cluster.reset" in step(steps, SERVES).hint
    assert "rm /var/lib/kubefab/init" in step(steps, SERVES).hint


def test_without_a_marker_nothing_is_taken_back_whatever_it_looks_like() -> None:
    made = cluster()
    for facts in (SILENT, ALONE, BOTH, None):
        found = with_(HALF, init_begun=0, admin_ca="aaa", cluster=facts)
        for one in control_plane.steps(made, made.founder):
            assert one.title not in (SERVES, CLEANED, IDLE) or one.gap(found) is None


@pytest.mark.parametrize("facts", [WELL, with_(WELL, cluster=ALONE)])
def test_a_control_plane_that_serves_is_left_alone(facts: Facts) -> None:
    made = cluster()
    assert [one.title for one in control_plane.steps(made, made.founder) if one.gap(facts)] == []


def test_a_kubelet_that_was_stopped_is_started_before_the_api_server_is_waited_for() -> None:
    made = cluster()
    dead = with_(WELL, cluster=ClusterFacts(silent="refused"), units={"kubelet": Unit("inactive", "enabled")})
    steps = control_plane.steps(made, made.founder)
    kubelet = step(steps, "kubelet runs")
    assert kubelet.gap(dead) == "inactive"
    assert steps.index(kubelet) + 1 == steps.index(step(steps, "the API server is healthy"))


def test_one_made_by_hand_is_taken_over_as_it_is() -> None:
    made = cluster()
    by_hand = with_(
        WELL, cluster=replace(ALONE, nodes={"other-name": replace(MANAGER, name="other-name")}), kubeconfig=""
    )
    gaps = {one.title: gap for one in control_plane.steps(made, made.founder) if (gap := one.gap(by_hand))}
    assert gaps == {"kubectl works for the login user": MISSING}


def test_what_was_broken_off_is_taken_back_as_what_nobody_was_asked_about() -> None:
    made = cluster()
    close = step(control_plane.steps(made, made.founder), CLEANED).close
    assert close
    close(made.founder)
    assert world(made, "manager").ran == ["tear-down.sh unix:///run/containerd/containerd.sock unasked"]


def test_kubeadm_reads_the_rendered_documents() -> None:
    made = cluster()
    close = step(control_plane.steps(made, made.founder), "the control plane exists").close
    assert close
    close(made.founder)
    assert "kind: ClusterConfiguration" in world(made, "manager").payloads["init.sh"]


def test_the_api_server_is_given_time() -> None:
    made = cluster()
    well = step(control_plane.steps(made, made.founder), "the API server is healthy")
    assert (well.close, well.within, well.touches) == (None, 300, "cluster")
