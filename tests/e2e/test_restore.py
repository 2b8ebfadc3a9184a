"""etcd goes back to a snapshot on one master, and a damaged one changes nothing. Two minutes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kubefab.backup import opened

from .harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    all_is_well,
    attempt,
    eventually,
    kubectl,
    nodes,
    objects,
    on,
    ready_nodes,
    true_on,
    untouched,
)
from .watcher import Watcher, watching

TOOLS = "registry.k8s.io/lab/tools:1"
ASIDE = "/etc/kubernetes/kubefab-restore"
FURTHER = 1_000_000_000
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 1
  tolerations: [{{operator: Exists}}]
  containers: [{{name: tools, image: "{image}", command: [sh, -c, "{command}"]}}]
"""
SERVES = "echo it answers >/tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp"


def make(name: str, master: str = MASTER) -> str:
    """A ConfigMap; its UID."""
    kubectl("create", "configmap", name, "-n", "default", master=master)
    return kubectl("get", "configmap", name, "-n", "default", "-o", "jsonpath={.metadata.uid}", master=master)


def uids(kind: str, master: str = MASTER) -> dict[str, str]:
    found = objects(kind, "-n", "default", master=master)
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}


def pod(name: str, command: str) -> None:
    kubectl("apply", "-f", "-", stdin=POD.format(name=name, image=TOOLS, command=command))
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=180s")


def backup(inv: Kubefab, folder: Path) -> Path:
    inv("etcd.backup", "--output", str(folder)).well()
    return max(folder.iterdir())


def members(inv: Kubefab) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(inv("etcd.status", "--json").well().stdout)["members"]
    return told


def nothing_left(*masters: str) -> bool:
    """But what was kept."""
    left = f"ls -d {ASIDE} /var/lib/kubefab/restore /var/lib/etcd/kubefab-restore* /var/lib/kubefab-etcd.* 2>/dev/null"
    mounted = "grep etcd-image /proc/mounts"
    return not any(true_on(name, f'[ -n "$({left}; {mounted})" ]') for name in masters)


NETWORK = (("-n", "kube-system", "-l", "k8s-app in (kube-proxy, kube-dns)"), ("-n", "kube-flannel"))


def begun() -> set[str]:
    """Each pod of kube-proxy, CoreDNS and flannel by its UID, and each kubelet by its start."""
    pods = {one["metadata"]["uid"] for those in NETWORK for one in objects("pods", *those)}
    since = "systemctl show -P ActiveEnterTimestampMonotonic kubelet"
    return pods | {f"{host} {on(host, since)}" for host in (MASTER, WORKER)}


@dataclass(frozen=True)
class Back:
    """A master and a worker, before and after."""

    inv: Kubefab
    source: Path
    uids: dict[str, str]  # of nodes and ConfigMaps, by their names
    pod: str  # the UID of one that ran all the while
    version: str  # a client's, of what it had seen of the former data
    cluster: str  # etcd's own id before
    begun: set[str]
    done: Done
    watcher: Watcher  # that was there all the while


@pytest.fixture(scope="module")
def back(well: Kubefab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Back]:
    before = {name: one["metadata"]["uid"] for name, one in nodes().items()}
    before["was-there"], before["was-deleted"] = make("was-there"), make("was-deleted")
    pod("stays", "exec sleep 36000")
    (former,) = members(well)
    source = backup(well, tmp_path_factory.mktemp("backups"))
    make("came-later")
    kubectl("delete", "configmap", "was-deleted", "-n", "default")
    pod("came-later", "exec sleep 36000")
    # kubectl's own lists have no version.
    listed = json.loads(kubectl("get", "--raw", "/api/v1/namespaces/default/configmaps"))
    version = listed["metadata"]["resourceVersion"]
    stays = uids("pods")["stays"]
    with watching(MASTER, tmp_path_factory.mktemp("watcher") / "credentials") as watcher:
        watcher.knows("came-later", without=("was-deleted",))
        former_id, was_begun = former["cluster_id"], begun()
        done = went_back(well, source)
        yield Back(well, source, before, stays, version, former_id, was_begun, done, watcher)
    kubectl("delete", "pod,configmap", "-n", "default", "--all", "--wait=false")
    kubectl("delete", "service", "serves", "-n", "default", "--ignore-not-found")
    on(MASTER, "rm -rf /var/lib/etcd/before-restore-*")


def went_back(inv: Kubefab, source: Path) -> Done:
    return inv("etcd.restore", "--from", str(source), "--yes")


def test_what_was_written_before_is_there_with_its_uid_and_what_came_after_is_gone(back: Back) -> None:
    said = back.done.well().stdout
    assert "configmaps/default/came-later" in said
    now = {**uids("configmaps"), **{name: one["metadata"]["uid"] for name, one in nodes().items()}}
    assert {name: now.get(name) for name in back.uids} == back.uids
    assert "came-later" not in now


def test_pods_of_the_snapshot_run_on_and_others_end(back: Back) -> None:
    (stays,) = objects("pods", "-n", "default", "--field-selector", "metadata.name=stays")
    assert stays["metadata"]["uid"] == back.pod
    assert stays["status"]["containerStatuses"][0]["restartCount"] == 0
    assert "came-later" not in uids("pods")
    eventually(lambda: not any(true_on(host, "ls -d /var/log/pods/default_came-later_*") for host in (MASTER, WORKER)))


def test_an_open_watch_sees_what_has_gone_back(back: Back) -> None:
    back.watcher.knows("was-there", "was-deleted", without=("came-later",))
    assert back.watcher.expired


def test_who_has_seen_the_former_data_is_told_so(back: Back) -> None:
    watch = f"/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=5&resourceVersion={back.version}"
    said = attempt(MASTER, f"kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw '{watch}'")
    assert "too old resource version" in said.stdout + said.stderr


def test_kubelets_and_what_gives_pods_their_network_and_names_have_begun_anew(back: Back) -> None:
    """They may have seen what is no more. A former pod of CoreDNS's takes some seconds to end."""
    eventually(lambda: len(now := begun()) == len(back.begun) and not now & back.begun, 60)


def test_a_new_pod_gets_traffic_through_a_service(back: Back) -> None:
    gets_traffic()


def gets_traffic() -> None:
    pod("serves", SERVES)
    kubectl("expose", "pod", "serves", "-n", "default", "--port=80", "--target-port=8080")
    pod("asks", "exec sleep 36000")
    ask = ("exec", "asks", "--", "curl", "-sS", "--max-time", "5", "http://serves/")
    eventually(lambda: "it answers" in kubectl(*ask), 60)


def test_it_is_another_etcd_with_a_higher_revision_and_all_is_well(back: Back) -> None:
    (member,) = members(back.inv)
    assert member["cluster_id"] != back.cluster
    assert member["revision"] > int(back.version) + FURTHER
    assert ready_nodes() == {MASTER, WORKER}
    all_is_well(back.inv)
    assert not back.inv("cluster.up").well().changed


def test_what_etcd_had_is_kept_and_nothing_else(back: Back) -> None:
    (kept,) = on(MASTER, "ls -d /var/lib/etcd/before-restore-*").split()
    assert true_on(MASTER, f"[ -s {kept}/snap/db ] && [ -d {kept}/wal ]")
    assert nothing_left(MASTER)


def test_a_damaged_snapshot_is_refused_before_anything_changes(back: Back, tmp_path: Path) -> None:
    data = bytearray((back.source / "snapshot.db").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.db").write_bytes(data)
    with untouched(MASTER, WORKER):
        done = went_back(back.inv, tmp_path / "damaged.db").badly()
    assert "its checksum is another one" in done.said


def test_a_bare_snapshot_is_known_by_the_authority_that_is_in_it(back: Back, tmp_path: Path) -> None:
    mine = tmp_path / "mine.db"
    mine.write_bytes((back.source / "snapshot.db").read_bytes())
    assert opened(mine).authorities == opened(back.source).authorities != frozenset()
    line = (back.source / "pki/ca.crt").read_bytes().splitlines()[3]
    data = mine.read_bytes()[:-32].replace(line, line[::-1])
    mine.write_bytes(data + sha256(data).digest())
    with untouched(MASTER, WORKER):
        said = went_back(back.inv, mine).badly().said
    assert "it is of the one with the CA " in said


def test_without_a_yes_nothing_is_changed(back: Back) -> None:
    began = on(MASTER, "pgrep -x etcd")
    said = back.inv("etcd.restore", "--from", str(back.source)).badly().said
    assert "without a terminal, --yes is needed" in said
    assert on(MASTER, "pgrep -x etcd") == began
