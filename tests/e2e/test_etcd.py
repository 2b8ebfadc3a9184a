"""A snapshot of etcd that can be trusted, and what etcd says of itself. Half a minute on a cluster that is well."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kubefab import backup
from kubefab.errors import HostError

from .harness import (
    MASTER,
    WORKER,
    Kubefab,
    attempt,
    catch,
    kubectl,
    logins,
    mode,
    on,
    true_on,
    untouched,
    wait_on,
)

API, ETCD = (f"/etc/kubernetes/manifests/{name}.yaml" for name in ("kube-apiserver", "etcd"))
LISTENS = "ss -Hltn | grep -q :6443"
NAME = "written-before"
# In front of Debian's: it holds what makes a snapshot on the master, until a file is gone.
TIMEOUT, HOLD, HELD = "/usr/local/bin/timeout", "/run/e2e-hold", "/run/e2e-held"
HOLDING = f"""\
#!/bin/sh
case "$*" in *"snapshot save"*) touch {HELD}; while [ -e {HOLD} ]; do sleep 0.1; done ;; esac
exec /usr/bin/timeout "$@"
"""


@contextmanager
def no_api_server() -> Iterator[None]:
    """Its manifest is gone meanwhile; afterwards it is back, and answers."""
    on(MASTER, f"mv {API} /root/")
    try:
        wait_on(MASTER, f"! {LISTENS}")
        yield
    finally:
        on(MASTER, f"mv /root/kube-apiserver.yaml {API}")
        wait_on(MASTER, "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz")


@pytest.fixture(scope="module")
def folder(well: Kubefab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that was made while the API server was dead."""
    kubectl("create", "configmap", NAME, "--from-literal=a=b", "-n", "default")
    output = tmp_path_factory.mktemp("backups")
    try:
        with no_api_server(), untouched(WORKER):
            done = well("etcd.backup", "--output", str(output)).well()
    finally:
        kubectl("delete", "configmap", NAME, "-n", "default")
    assert "whoever has this folder owns the cluster" in done.stdout
    (made,) = output.iterdir()
    return made


def test_a_dead_api_server_is_no_reason_against_a_backup(folder: Path) -> None:
    """What was written before is in it, and what was deleted after it."""
    assert NAME.encode() in (folder / "snapshot.db").read_bytes()
    about = json.loads((folder / "backup.json").read_text())
    assert about["snapshot"]["revision"] > 0
    assert about["snapshot"]["keys"] > 100
    assert [(one["name"], one["leader"]) for one in about["members"]] == [(MASTER, True)]


def test_it_has_what_no_snapshot_brings_back_as_it_is_on_the_master(folder: Path) -> None:
    for name in ("pki/ca.key", "pki/etcd/ca.key", "pki/sa.key", "pki/front-proxy-ca.key", "manifests/etcd.yaml"):
        assert (folder / name).read_text() == on(MASTER, f"cat /etc/kubernetes/{name}")
    stored = kubectl("get", "configmap", "kubeadm-config", "-n", "kube-system", "-o", "jsonpath={.data}")
    assert (folder / "kubeadm.yaml").read_text() == json.loads(stored)["ClusterConfiguration"]
    assert not (folder / "manifests" / "kube-apiserver.yaml").exists()  # it was away meanwhile


def test_it_is_for_its_owner_alone_and_nothing_is_left_of_it_on_the_master(folder: Path) -> None:
    modes = {path: mode(path) for path in (folder, *folder.rglob("*"))}
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}
    assert not true_on(MASTER, "ls -d /var/lib/kubefab-etcd.*")


def test_one_flipped_byte_of_it_is_found(folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "snapshot.db").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.db").write_bytes(data)
    assert (
        backup.check(folder / "snapshot.db") == json.loads((folder / "backup.json").read_text())["snapshot"]["sha256"]
    )
    with pytest.raises(HostError, match="not what etcd has sent"):
        backup.check(tmp_path / "flipped.db")


def test_a_backup_that_was_killed_is_none_and_the_next_one_clears_up_behind_it(well: Kubefab, tmp_path: Path) -> None:
    on(MASTER, f"touch {HOLD}; cat >{TIMEOUT}; chmod +x {TIMEOUT}", stdin=HOLDING)
    try:
        with well.started("etcd.backup", "--output", str(tmp_path)) as run:
            catch(run, MASTER, f"[ -e {HELD} ]")
            assert [path.suffix for path in tmp_path.iterdir()] == [".draft"]
            run.is_told(signal.SIGKILL)
    finally:
        on(MASTER, f"rm -f {TIMEOUT} {HOLD} {HELD}")
    # What it began there goes on, finds that nobody reads, and takes away what it made; but not after a power cut.
    wait_on(MASTER, "! ls -d /var/lib/kubefab-etcd.* 2>/dev/null", 30)
    on(MASTER, "mkdir /var/lib/kubefab-etcd.cut; echo x >/var/lib/kubefab-etcd.cut/snapshot.db")
    well("etcd.backup", "--output", str(tmp_path)).well()
    (made,) = tmp_path.iterdir()
    assert (made / "backup.json").exists()
    assert not true_on(MASTER, "ls -d /var/lib/kubefab-etcd.*")


def status(inv: Kubefab, *words: str) -> tuple[int, dict[str, Any]]:
    done = inv("etcd.status", "--json", *words)
    return done.status, json.loads(done.stdout)


def test_the_status_is_what_etcd_says_of_itself_and_only_the_master_is_asked(well: Kubefab) -> None:
    before = logins(WORKER)
    with untouched(MASTER):
        ended, told = status(well)
    assert (ended, told["healthy"], told["problems"], logins(WORKER)) == (0, True, [], before)
    (member,) = told["members"]
    assert (member["host"], member["name"], member["leader"], member["learner"]) == (MASTER, MASTER, True, False)
    assert member["version"] in on(MASTER, f"grep image: {ETCD}")
    assert "etcd is well" in well("etcd.status").well().stdout


def test_an_etcd_that_hangs_is_told_and_never_taken_for_none(well: Kubefab) -> None:
    on(MASTER, "pkill -STOP -x etcd")
    try:
        ended, told = status(well)
    finally:
        on(MASTER, "pkill -CONT -x etcd")
        wait_on(MASTER, "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz")
    (problem,) = told["problems"]
    assert (ended, told["members"]) == (1, [])
    assert problem.startswith(f"{MASTER}: its etcd gives no answer: ")


def test_nothing_secret_is_in_a_log(well: Kubefab, folder: Path) -> None:
    key = (folder / "pki/ca.key").read_text().splitlines()[1]
    assert not [log for log in well.logs() if key in log.read_text()]
    assert attempt(MASTER, f"journalctl --no-pager | grep -F {key}").returncode == 1
