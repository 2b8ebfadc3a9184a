"""Runs that are killed while what they began goes on, and a control plane that an earlier run seems to have left.

To be sure of the moment, the program that is to be found at work is stopped (SIGSTOP) as soon as it is there.
"""

from dataclasses import dataclass

import pytest

from tests.e2e.harness import (
    DPKG,
    MASTER,
    WORKER,
    Done,
    Kubefab,
    cluster_uid,
    freeze,
    fresh,
    objects,
    on,
    ready_nodes,
    thaw,
)
from tests.e2e.test_broken_off import ended_well

COVERS = (
    "kubefab/steps/control_plane.py",
    "kubefab/steps/registration.py",
    "scripts/change.sh",
    "scripts/init.sh",
    "scripts/join.sh",
    "scripts/finish-join.sh",
)

PAIR = (MASTER, WORKER)

WAITS = "earlier run"  # what is said of an orphan


STAGES = ((MASTER, DPKG), (MASTER, "kubeadm init"), (WORKER, "kubeadm join"))


@dataclass(frozen=True)
class Orphans:
    """What the runs said that met an orphan still at work."""

    apt: str
    init: str
    join: str
    end: Done


@pytest.fixture(scope="module")
def orphans(inv: Kubefab) -> Orphans:
    """Four runs: each but the last is killed, while a program of its own goes on."""
    fresh(*PAIR)
    frozen: list[tuple[str, str]] = []
    said = []
    for host, program in (*STAGES, ("", "")):
        with inv.started("cluster.up") as run:
            if frozen:
                run.says(WAITS)
                thaw(*frozen[-1])
            if host:
                freeze(run, host, program)
                frozen.append((host, program))
                run.is_killed()
            else:
                end = run.ends()
            said.append(run.said())
    return Orphans(apt=said[1], init=said[2], join=said[3], end=end)


def test_a_run_waits_for_the_apt_of_a_killed_one(orphans: Orphans) -> None:
    said = next(line for line in orphans.apt.splitlines() if WAITS in line)
    assert said.startswith(MASTER)
    assert "containerd is installed" in said or "Kubernetes" in said, said


def test_a_run_waits_for_the_kubeadm_init_of_a_killed_one(orphans: Orphans) -> None:
    said = next(line for line in orphans.init.splitlines() if WAITS in line)
    assert said.startswith(MASTER)
    assert "the control plane exists" in said
    assert "broken off" not in orphans.init, "what was still being made was taken for broken off"


def test_a_run_waits_for_the_kubeadm_join_of_a_killed_one(orphans: Orphans) -> None:
    said = next(line for line in orphans.join.splitlines() if WAITS in line)
    assert said.startswith(WORKER)
    assert "the host is a node" in said
    assert "broken off" not in orphans.join


def test_runs_that_waited_for_orphans_end_well(orphans: Orphans, inv: Kubefab) -> None:
    orphans.end.well()
    ended_well()
    assert "nothing to do" in inv("cluster.up").well().stdout


def test_a_run_says_in_a_pipe_what_it_waits_for(orphans: Orphans) -> None:
    """Since when, too: else nobody could tell a slow machine from a dead one."""
    said = next(line for line in orphans.apt.splitlines() if WAITS in line)
    assert any(part.count(":") == 2 for part in said.replace(",", " ").split()), said
    assert objects("nodes")


def test_a_control_plane_with_a_marker_left_is_heard_and_never_taken_back(cluster: Kubefab) -> None:
    """As somebody leaves it who has ended a broken-off init by hand; and its API server is down at that moment."""
    uid = cluster_uid()
    on(
        MASTER,
        "mkdir -p /var/lib/kubefab; date +%s >/var/lib/kubefab/init; systemctl stop kubelet; pkill kube-apiserver",
    )
    try:
        said = cluster("cluster.up").badly().stderr
    finally:
        on(MASTER, "rm /var/lib/kubefab/init")
    assert f"the node {WORKER}" in said
    assert "inv cluster.reset" in said
    cluster("cluster.up").well()
    assert cluster_uid() == uid
    assert ready_nodes() == set(PAIR)
