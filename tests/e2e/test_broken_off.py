"""Runs that die in the middle of what they do, and the next run, which goes on from there. Four minutes.

A run is killed by SIGKILL; what it began on the machines goes on (the orphan), or is killed there as well.
To be sure of the moment, the program that is to be found at work is stopped (SIGSTOP) as soon as it is there.
"""

from dataclasses import dataclass

import pytest

from .harness import (
    CHANGE,
    DPKG,
    MASTER,
    WORKER,
    Done,
    Kubefab,
    attempt,
    catch,
    cluster_uid,
    coredns_answers,
    cut_power,
    freeze,
    fresh,
    kill_change,
    machine_id,
    nodes,
    objects,
    on,
    power_on,
    ready_nodes,
    thaw,
)

PAIR = (MASTER, WORKER)
POLICY = "/etc/kubernetes/audit/policy.yaml"  # a user's own
WAITS = "earlier run"  # what is said of an orphan
STAGES = ((MASTER, DPKG), (MASTER, "kubeadm init"), (WORKER, "kubeadm join"))


def ended_well() -> None:
    """A cluster as any other."""
    assert ready_nodes() == set(PAIR)
    assert {name: node["status"]["nodeInfo"]["machineID"] for name, node in nodes().items()} == {
        host: machine_id(host) for host in PAIR
    }
    assert coredns_answers()
    for host in PAIR:
        assert on(host, "dpkg --audit") == ""
        assert attempt(host, f"flock -n {CHANGE} true").returncode == 0
        left = on(host, "ls /etc/kubernetes/bootstrap-kubelet.conf /var/lib/kubefab/* /run/kubefab/*.conf 2>&1; true")
        assert left.count("No such file") == 3, left


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


@dataclass(frozen=True)
class Deaths:
    """What the runs said that came after both the run and its orphan had died, or the whole machine."""

    audit: str
    policies: set[str]
    in_the_power_cut: Done
    apt: str
    init: str
    power_cut: str
    end: Done


@pytest.fixture(scope="module")
def deaths(inv: Kubefab) -> Deaths:
    fresh(*PAIR)
    for host in PAIR:
        on(host, f"mkdir -p $(dirname {POLICY}); echo mine >{POLICY}")
    with inv.started("cluster.up") as run:
        freeze(run, MASTER, DPKG, when='[ -n "$(dpkg --audit)" ]')
        run.is_killed()
    for host in PAIR:
        kill_change(host)
    audit = on(MASTER, "dpkg --audit")

    with inv.started("cluster.up") as run:
        catch(run, MASTER, "[ -e /etc/kubernetes/manifests/etcd.yaml ]")
        run.is_killed()
        kill_change(MASTER)
        after_apt = run.said()

    with inv.started("cluster.up") as run:
        catch(run, MASTER, "pgrep -f '^kubeadm init' && [ -e /etc/kubernetes/manifests/etcd.yaml ]")
        cut_power(MASTER)
        after_init = run.said()
        power_on()
        cut = run.ends(120)

    with inv.started("cluster.up") as run:
        catch(run, WORKER, "[ -e /etc/kubernetes/bootstrap-kubelet.conf ]")
        run.is_killed()
        kill_change(WORKER)
        after_power_cut = run.said()
    end = inv("cluster.up")
    policies = {on(host, f"cat {POLICY}") for host in PAIR}
    return Deaths(audit, policies, cut, after_apt, after_init, after_power_cut, end)


def test_a_killed_apt_is_mended(deaths: Deaths) -> None:
    assert "containerd" in deaths.audit or "runc" in deaths.audit, "dpkg was not broken"
    assert "dpkg has no half-installed packages" in deaths.apt


def test_a_killed_kubeadm_init_is_cleaned_and_done_again(deaths: Deaths) -> None:
    assert "no interrupted kubeadm init is left" in deaths.init


def test_a_run_ends_with_one_message_when_the_master_loses_its_power(deaths: Deaths) -> None:
    said = deaths.in_the_power_cut.badly().stderr
    assert "the connection was lost" in said
    assert "run the same command again" in said


def test_a_kubeadm_init_in_a_power_cut_is_cleaned_and_done_again(deaths: Deaths) -> None:
    assert "no interrupted kubeadm init is left" in deaths.power_cut


def test_a_killed_kubeadm_join_ends_well_after_all(deaths: Deaths, inv: Kubefab) -> None:
    deaths.end.well()
    ended_well()
    assert "nothing to do" in inv("cluster.up").well().stdout
    assert cluster_uid()


def test_what_is_cleaned_is_kubeadms_alone(deaths: Deaths) -> None:
    assert deaths.policies == {"mine\n"}


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


# --- destroying


def test_a_killed_reset_is_done_again(cluster: Kubefab) -> None:
    for host in PAIR:
        on(host, f"mkdir -p $(dirname {POLICY}); echo mine >{POLICY}")
    with cluster.started("cluster.reset", "--yes") as run:
        catch(run, MASTER, "pgrep -f '^kubeadm reset'")
        run.is_killed()
    for host in PAIR:
        kill_change(host)
    cluster("cluster.reset", "--yes").well()
    for host in PAIR:
        left = "find /etc/kubernetes /var/lib/etcd /var/lib/kubelet /var/lib/cni -type f 2>/dev/null; true"
        assert on(host, left).split() == [POLICY]
        on(host, f"rm -r $(dirname {POLICY})")
        assert on(host, "ctr -n k8s.io containers ls -q") == ""
    assert "nothing to do" in cluster("cluster.reset", "--yes").well().stdout
