"""Runs that die in the middle of what they do, and the next run, which goes on from there.

A run is killed by SIGKILL, and what it began on the machines is killed there as well; or the whole machine is.
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
    on,
    power_on,
    ready_nodes,
)

PAIR = (MASTER, WORKER)


POLICY = "/etc/kubernetes/audit/policy.yaml"  # a user's own


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
        cut = run.ends()

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
