"""A master's join that dies at each of its points, by SIGKILL or by a power cut: the same command, the same end."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.harness import (
    MACHINES,
    SPARE,
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

COVERS = (
    "kubefab/steps/masters.py",
    "scripts/join-master.sh",
    "scripts/remove-member.sh",
    "scripts/shared/made.sh",
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


def ends_well(inv: Kubefab) -> None:
    inv("cluster.up").well()
    told = json.loads(inv("etcd.status", "--json").well().stdout)["members"]
    assert sorted((one["name"], one["learner"]) for one in told) == sorted((name, False) for name in MACHINES)
    assert len({one["cluster_id"] for one in told}) == 1
    assert ready_nodes() == set(MACHINES)
    assert on(SPARE, "ls /var/lib/kubefab 2>/dev/null; true") == ""
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
