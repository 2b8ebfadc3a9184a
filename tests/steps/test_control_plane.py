"""The control plane on the master."""

from dataclasses import replace

import pytest

from kubefab.facts import ClusterFacts, Facts, Node, Unit, clock_time
from kubefab.step import MISSING
from kubefab.steps import control_plane
from tests.facts import known, with_
from tests.fakes import cluster, step, world

BEGUN = 1795377600
ALONE = ClusterFacts(nodes={"manager": Node("manager")})
BOTH = replace(ALONE, nodes={name: Node(name) for name in ("manager", "client")})
RUNS = {"kubelet": Unit("active", "enabled")}
WELL = known(admin_ca="aaa", kubeconfig="same", cluster=BOTH, units=RUNS, healthz="ok")


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(init_begun=BEGUN), "what was broken off serves nobody", None),
        (known(init_begun=BEGUN, cluster=ALONE), "what was broken off serves nobody", None),
        (
            known(init_begun=BEGUN, cluster=BOTH),
            "what was broken off serves nobody",
            "kubeadm init did not finish, yet it knows client",
        ),
        (
            known(init_begun=BEGUN),
            "no kubeadm init is left broken off",
            f"begun at {clock_time(BEGUN)} and not finished",
        ),
        (known(), "the control plane is there", MISSING),
        (known(), "kubectl works for whoever logs in", MISSING),
        (known(kubeconfig="other"), "kubectl works for whoever logs in", "other"),
    ],
)
def test_what_is_missing_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(control_plane.steps(made, made.master), title).gap(facts) == gap


@pytest.mark.parametrize("facts", [WELL, with_(WELL, cluster=ALONE)])
def test_a_control_plane_that_serves_is_left_alone(facts: Facts) -> None:
    made = cluster()
    assert [one.title for one in control_plane.steps(made, made.master) if one.gap(facts)] == []


def test_a_kubelet_that_was_stopped_is_started_before_the_api_server_is_waited_for() -> None:
    made = cluster()
    dead = with_(WELL, cluster=ClusterFacts(silent="refused"), units={"kubelet": Unit("inactive", "enabled")})
    steps = control_plane.steps(made, made.master)
    kubelet = step(steps, "kubelet runs")
    assert kubelet.gap(dead) == "inactive"
    assert steps.index(kubelet) + 1 == steps.index(step(steps, "the API server is well"))


def test_one_made_by_hand_is_taken_over_as_it_is() -> None:
    made = cluster()
    by_hand = with_(WELL, cluster=replace(ALONE, nodes={"other-name": Node("other-name")}), kubeconfig="")
    gaps = {one.title: gap for one in control_plane.steps(made, made.master) if (gap := one.gap(by_hand))}
    assert gaps == {"kubectl works for whoever logs in": MISSING}


def test_only_what_a_marker_tells_of_is_ever_torn_down() -> None:
    made = cluster()
    for one in control_plane.steps(made, made.master):
        if one.close:
            one.close(made.master)
    assert world(made, "manager").ran == [
        "tear-down.sh unix:///run/containerd/containerd.sock",
        "init.sh config validate",
        "restart-service.sh kubelet",
        "put-kubeconfig.sh",
    ]
    torn = step(control_plane.steps(made, made.master), "no kubeadm init is left broken off")
    assert torn.gap(known(admin_ca="aaa", etcd_data=True, cluster=ClusterFacts(silent="refused"))) is None


def test_kubeadm_reads_the_rendered_documents() -> None:
    made = cluster()
    close = step(control_plane.steps(made, made.master), "the control plane is there").close
    assert close
    close(made.master)
    assert "kind: ClusterConfiguration" in world(made, "manager").payloads["init.sh"]


def test_the_api_server_is_given_time() -> None:
    made = cluster()
    well = step(control_plane.steps(made, made.master), "the API server is well")
    assert (well.close, well.within, well.touches) == (None, 300, "cluster")
