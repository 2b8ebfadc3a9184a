"""etcd goes back to a snapshot where something goes wrong, twice over, and on three masters, without a quorum too.

What goes well on one master is in tests/e2e/test_restore.py.
"""

import json
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
    kill_change,
    kubectl,
    mended,
    nodes,
    on,
    power_on,
    ready_nodes,
    true_on,
    wait_on,
)
from tests.e2e.test_restore import ASIDE, FURTHER, backup, gets_traffic, make, members, nothing_left, uids, went_back
from tests.e2e.watcher import watching

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
SWAPPED = "/var/lib/etcd/member/kubefab-restored"


@dataclass(frozen=True)
class One:
    inv: Kubefab
    source: Path


@pytest.fixture(scope="module")
def one(inv: Kubefab, tmp_path_factory: pytest.TempPathFactory) -> One:
    """A master and a worker. Nothing of them is cleared away: the three masters are made of new machines."""
    mended(inv)
    make("was-there")
    return One(inv, backup(inv, tmp_path_factory.mktemp("backups")))


@pytest.mark.parametrize(
    ("place", "condition"),
    [
        ("while the data are made", "[ -e /var/lib/kubefab-etcd.restore/snapshot.db ]"),
        ("while all is stopped", f"[ -e {ASIDE}/etcd.yaml ]"),
        ("once it has the data", f"[ -e {SWAPPED} ]"),
        ("once it may start", f"[ -e {SWAPPED} ] && pgrep -x kube-apiserver"),
    ],
)
def test_killed_on_its_way_the_same_command_goes_on(one: One, place: str, condition: str) -> None:
    on(MASTER, f"rm -f {SWAPPED}")  # an earlier one's tells nothing of this
    make("came-later")
    with one.inv.started("etcd.restore", "--from", str(one.source), "--yes") as run:
        catch(run, MASTER, condition)
        run.is_killed()
    kill_change(MASTER)
    if true_on(MASTER, "[ -e /var/lib/kubefab/restore ]"):
        assert "no restore of etcd is under way" in one.inv("cluster.up").badly().said
    went_back(one.inv, one.source).well()
    now = uids("configmaps")
    assert ("was-there" in now, "came-later" in now) == (True, False)
    assert nothing_left(MASTER)
    assert not one.inv("cluster.up").well().changed


def test_the_same_backup_goes_back_twice_and_who_watches_sees_both(one: One, tmp_path: Path) -> None:
    with watching(MASTER, tmp_path / "credentials") as watcher:
        for _ in range(2):
            make("came-later")
            watcher.knows("came-later")
            (before,) = members(one.inv)
            went_back(one.inv, one.source).well()
            watcher.knows("was-there", without=("came-later",))
            (after,) = members(one.inv)
            assert after["revision"] > before["revision"] + FURTHER


def test_what_was_broken_off_before_the_data_are_in_place_may_be_given_up(one: One) -> None:
    make("stays")
    on(MASTER, f"rm -f {SWAPPED}")
    with one.inv.started("etcd.restore", "--from", str(one.source), "--yes") as run:
        catch(run, MASTER, f"[ -e {ASIDE}/etcd.yaml ]")
        run.is_killed()
    kill_change(MASTER)
    one.inv("etcd.give-up-restore").well()
    assert "stays" in uids("configmaps")
    assert nothing_left(MASTER)
    kubectl("delete", "configmap", "stays", "-n", "default")


def test_over_an_emptied_folder_etcd_begins_no_new_cluster_and_a_backup_brings_the_data_back(one: One) -> None:
    make("stays")
    source = backup(one.inv, one.source.parent / "emptied")
    manifest, logs = "/etc/kubernetes/manifests/etcd.yaml", "/var/log/containers/etcd-*"
    flag = "--initial-cluster-state=existing"  # which the first upgrade brings
    on(MASTER, f"sed -i 's|^\\( *\\)- --initial-cluster=.*|&\\n\\1- {flag}|' {manifest}")
    wait_on(MASTER, f"pgrep -fx 'etcd .*{flag}.*'")
    on(MASTER, f"mv {manifest} /root/ && timeout 60 sh -c 'while pgrep -x etcd; do sleep 0.1; done'")
    on(MASTER, f"rm -rf /var/lib/etcd/member; mv /root/etcd.yaml {manifest}")
    wait_on(MASTER, f"grep -qs 'cannot fetch cluster info from peer urls' {logs}")
    assert not true_on(MASTER, "[ -e /var/lib/etcd/member/wal ]")
    done = one.inv("cluster.status", "--json")
    told = json.loads(done.stdout)
    assert done.status == 2
    assert [line for line in told["problems"] if line.startswith(f"{MASTER}: its etcd has lost its data: ")]
    went_back(one.inv, source).well()
    assert "stays" in uids("configmaps")
    kubectl("delete", "configmap", "stays", "-n", "default")
    assert not one.inv("cluster.up").well().changed


# --- three masters


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
