"""A master's join that dies at each of its points, by SIGKILL or by a power cut: the same command, the same end."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from lab.settings import address
from tests.e2e.harness import (
    MACHINES,
    MASTER,
    SPARE,
    WORKER,
    Kubefab,
    catch,
    cut_power,
    fresh,
    hosts_file,
    kill_change,
    on,
    power_on,
    ready_nodes,
)

from .test_one_becomes_three import made_older
from .upgrades import killed_in_turn

COVERS = (
    "kubefab/steps/masters.py",
    "scripts/init.sh",
    "scripts/join-master.sh",
    "scripts/remove-member.sh",
    "scripts/settle-etcd.sh",
    "scripts/shared/made.sh",
    "scripts/shared/settle.sh",
    "scripts/tear-down.sh",
)

THEIRS = {"role": "master", "schedulable": True}
POINTS = {
    "the marker": "[ -e /var/lib/kubefab/join-master ]",
    "the keys": "[ -e /etc/kubernetes/pki/sa.pub ]",
    "the static pods": "[ -e /etc/kubernetes/manifests/kube-scheduler.yaml ]",
    "the kubelet": "[ -e /etc/kubernetes/bootstrap-kubelet.conf ]",
    "the learner": "[ -e /etc/kubernetes/manifests/etcd.yaml ]",
    "the node": "[ -e /etc/kubernetes/kubelet.conf ]",
    "the kubelet that is stopped": "ls /etc/kubernetes/manifest.* >/dev/null 2>&1",
}


@pytest.fixture(scope="module")
def three(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    folder = tmp_path_factory.mktemp("killed-joins")
    hosts = hosts_file(folder / "hosts.yml", *MACHINES, hosts=dict.fromkeys(MACHINES, THEIRS))
    inv = Kubefab(hosts, folder)
    fresh(*MACHINES)
    inv("cluster.up").well()
    yield inv
    inv("cluster.reset", "--yes").well()


# Around the join itself, from the first change to the last: what the run tells of, in turn.
STEPS = (
    "a snapshot of etcd is in ",
    "haproxy is told of every master",
    "kube-proxy goes by the control plane's name",
    "kubeadm's configuration has no master's address",
    "the host is a master of the cluster",
    "the join token is gone",
    "etcd starts over its data alone",
)


def ends_well(inv: Kubefab, masters: Sequence[str] = MACHINES) -> None:
    inv("cluster.up").well()
    told = json.loads(inv("etcd.status", "--json").well().stdout)["members"]
    assert sorted((one["name"], one["learner"]) for one in told) == sorted((name, False) for name in masters)
    assert len({one["cluster_id"] for one in told}) == 1
    assert ready_nodes() == set(MACHINES)
    for host in MACHINES:
        assert on(host, "ls /var/lib/kubefab 2>/dev/null; true") == ""
    assert "nothing to do" in inv("cluster.up").well().stdout


@pytest.mark.parametrize("point", POINTS)
def test_a_join_that_is_killed_is_done_again(three: Kubefab, point: str) -> None:
    """Before it, the machine was reset alone: the member that it had is taken out, too."""
    three("restart", "--host", SPARE, "--yes").well()
    with three.started("cluster.up") as run:
        catch(run, SPARE, POINTS[point], 600)
        run.is_killed()
        kill_change(SPARE)
    ends_well(three)


def test_one_that_is_killed_once_its_earlier_member_is_out_is_done_again(three: Kubefab) -> None:
    three("restart", "--host", SPARE, "--yes").well()
    assert killed_in_turn(three, [f"etcd has no member of an earlier {SPARE}"], MACHINES, "cluster.up")
    ends_well(three)


def test_so_is_one_in_a_power_cut(three: Kubefab) -> None:
    three("restart", "--host", SPARE, "--yes").well()
    with three.started("cluster.up") as run:
        catch(run, SPARE, POINTS["the learner"], 600)
        cut_power(SPARE)
        run.ends()
    power_on()
    ends_well(three)


def test_a_run_that_is_killed_alone_finds_the_join_at_its_end(three: Kubefab) -> None:
    """The change on the machine outlives it."""
    three("restart", "--host", SPARE, "--yes").well()
    with three.started("cluster.up") as run:
        catch(run, SPARE, POINTS["the learner"], 600)
        run.is_killed()
    ends_well(three)


def test_so_is_an_init_that_is_killed_while_the_kubelet_is_stopped(three: Kubefab) -> None:
    """Where there are to be several masters, etcd begins anew before the first has any user."""
    three("cluster.reset", "--yes").well()
    with three.started("cluster.up") as run:
        catch(run, MASTER, POINTS["the kubelet that is stopped"], 600)
        run.is_killed()
        kill_change(MASTER)
    ends_well(three)


def test_each_run_is_killed_after_the_next_of_the_steps_by_which_one_master_becomes_two(three: Kubefab) -> None:
    """A worker's way to the masters changes with it. One cluster goes on from one kill to the next."""
    three("cluster.reset", "--yes").well()
    one = hosts_file(three.state / "one.yml", MASTER, SPARE)
    two = replace(three, hosts=hosts_file(three.state / "two.yml", *MACHINES, hosts={WORKER: {"role": "master"}}))
    three("cluster.up", hosts=one).well()
    made_older()
    told = killed_in_turn(two, STEPS, MACHINES, "cluster.up")
    assert {STEPS[0], "the host is a master of the cluster"} <= {*told}
    ends_well(two, (MASTER, WORKER))
    for host in (MASTER, WORKER):  # by whichever run: the last of the steps may be at it when the one before is told of
        assert "--initial-cluster-state=existing" in on(host, "cat /etc/kubernetes/manifests/etcd.yaml")
    assert address(MASTER) not in on(WORKER, "openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -text")
