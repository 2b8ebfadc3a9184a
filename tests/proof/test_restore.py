"""etcd goes back to a snapshot where something goes wrong, and twice over, on one master.

What goes well there is in tests/e2e/test_restore.py, three masters are in test_restore_masters.py.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import MASTER, Kubefab, catch, kill_change, kubectl, mended, on, true_on, wait_on
from tests.e2e.test_restore import ASIDE, FURTHER, backup, make, members, nothing_left, uids, went_back
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

SWAPPED = "/var/lib/etcd/member/kubefab-restored"


@dataclass(frozen=True)
class One:
    inv: Kubefab
    source: Path


@pytest.fixture(scope="module")
def one(inv: Kubefab, tmp_path_factory: pytest.TempPathFactory) -> One:
    """A master and a worker; what is in its snapshot is cleared away by nobody, since nobody else counts it."""
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
