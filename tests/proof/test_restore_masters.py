"""etcd goes back to a snapshot on three masters: together, broken off, without a quorum, on new machines."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import (
    FRONT,
    MACHINES,
    MASTER,
    SPARE,
    WORKER,
    Kubefab,
    all_is_well,
    catch,
    cut_power,
    eventually,
    fresh,
    hosts_file,
    in_time,
    kubectl,
    nodes,
    on,
    power_on,
    ready_nodes,
    true_on,
    wait_on,
)
from tests.e2e.test_restore import backup, gets_traffic, make, members, nothing_left, uids, went_back

from .test_restore import SWAPPED

COVERS = (
    "kubefab/restoring.py",
    "kubefab/steps/restore*.py",
    "kubefab/bolt.py",
    "scripts/*restore*.sh",
    "scripts/*control-plane.sh",
    "scripts/swap-etcd.sh",
    "scripts/list-since.sh",
    "scripts/put-keys.sh",
    "scripts/settle-etcd.sh",
)

THEIRS = {"role": "master", "schedulable": True}
THREE_SECONDS = 180.0  # which the issue wants


@dataclass(frozen=True)
class Three:
    inv: Kubefab
    source: Path
    uid: str  # of a ConfigMap
    nodes: dict[str, str]


@pytest.fixture(scope="module")
def masters(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    folder = tmp_path_factory.mktemp("three")
    hosts = hosts_file(folder / "hosts.yml", *MACHINES, FRONT, hosts=dict.fromkeys(MACHINES, THEIRS))
    inv = Kubefab(hosts, folder)
    power_on(machines=(*MACHINES, FRONT))
    fresh(*MACHINES, FRONT)
    inv("cluster.up").well()
    uid = make("was-there")
    source = backup(inv, tmp_path_factory.mktemp("backups"))
    make("came-later")
    yield Three(inv, source, uid, uids_of_nodes())
    inv("cluster.reset", "--yes").well()


def uids_of_nodes() -> dict[str, str]:
    return {name: one["metadata"]["uid"] for name, one in nodes().items()}


def is_back(three: Three) -> None:
    """On each master: the same data, one etcd, and all is well."""
    for name in MACHINES:
        now = uids("configmaps", master=name)
        assert (now.get("was-there"), "came-later" in now) == (three.uid, False), name
    assert uids_of_nodes() == three.nodes
    told = members(three.inv)
    assert {one["host"] for one in told} == set(MACHINES)
    assert len({one["cluster_id"] for one in told}) == 1
    assert ready_nodes() == {*MACHINES, FRONT}
    assert nothing_left(*MACHINES)


def test_three_masters_go_back_together(masters: Three) -> None:
    done = went_back(masters.inv, masters.source).well()
    is_back(masters)
    in_time("etcd.restore on three masters", THREE_SECONDS, done)


def test_a_new_pod_of_theirs_gets_traffic_through_a_service(masters: Three) -> None:
    gets_traffic()
    kubectl("delete", "pod", "-n", "default", "--all", "--wait=false")
    kubectl("delete", "service", "serves", "-n", "default")


def killed_when_some_have_the_new_data(masters: Three) -> None:
    for name in MACHINES:
        on(name, f"rm -f {SWAPPED}")
    make("came-later")
    with masters.inv.started("etcd.restore", "--from", str(masters.source), "--yes") as run:
        catch(run, WORKER, f"[ -e {SWAPPED} ]")
        run.is_killed()


def test_killed_when_some_have_the_new_data_it_goes_on(masters: Three) -> None:
    killed_when_some_have_the_new_data(masters)
    went_back(masters.inv, masters.source).well()
    is_back(masters)


def test_a_worker_that_is_lost_on_the_way_keeps_no_master_down(masters: Three) -> None:
    killed_when_some_have_the_new_data(masters)
    cut_power(FRONT)
    said = went_back(masters.inv, masters.source).badly().said
    assert "the masters have the snapshot's data, and run; the rest waits for all hosts" in said
    for name in MACHINES:
        on(name, "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz")
    power_on(machines=(*MACHINES, FRONT))
    went_back(masters.inv, masters.source).well()
    is_back(masters)


def test_a_lost_quorum_is_made_good_though_no_kubelet_knows_what_it_runs(masters: Three) -> None:
    """Two of three have lost what etcd had; and kubelets that begin without an API server end nothing of before."""
    for name in (WORKER, SPARE):
        on(name, "mv /etc/kubernetes/manifests/etcd.yaml /root/")
        wait_on(name, "! pgrep -x etcd")
        on(name, "rm -rf /var/lib/etcd/member; mv /root/etcd.yaml /etc/kubernetes/manifests/")
    for name in MACHINES:
        on(name, "systemctl restart kubelet")
    eventually(lambda: not true_on(MASTER, "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz"))
    went_back(masters.inv, masters.source).well()
    is_back(masters)


def test_new_machines_of_the_same_names_become_what_the_backup_is_of(masters: Three) -> None:
    """All masters are gone, and the worker has outlived them."""
    fresh(*MACHINES)
    done = went_back(masters.inv, masters.source).well()
    assert "there is no cluster: one is made, with the keys of the backup" in done.stdout
    is_back(masters)
    all_is_well(masters.inv)
