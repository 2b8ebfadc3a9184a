"""Add-ons: those of hosts.yml, those taken out of it, and what they are good for."""

from collections.abc import Iterator
from json import loads
from pathlib import Path

import pytest

from tests.e2e.harness import MASTER, WORKER, Kubefab, eventually, hosts_file, kubectl, mended, untouched

COVERS = ("kubefab/addons/*", "kubefab/steps/addons.py", "kubefab/steps/objects.py", "kubefab/facts/addons.py")

WITH = ["flannel", "metrics-server", "local-path@0.0.30"]  # the newest that can be built in the lab
STORED = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  storageClassName: local-path
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers:
  - name: tools
    image: registry.k8s.io/lab/tools:1
    command: [sh, -c, "cat /data/kept 2>/dev/null; echo kept >/data/kept; sleep 3600"]
    volumeMounts: [{name: data, mountPath: /data}]
"""


@pytest.fixture(scope="module")
def named(inv: Kubefab) -> Iterator[Path]:
    """A cluster with the add-ons that hosts.yml names."""
    mended(inv)
    take_away(inv)
    hosts = hosts_file(inv.state / "addons.yml", MASTER, WORKER, cluster={"addons": WITH})
    planned = inv("--dry", "cluster.up", hosts=hosts).well().stdout
    assert "+ metrics-server is applied" in planned
    assert "+ local-path is applied" in planned
    inv("cluster.up", hosts=hosts).well()
    yield hosts
    take_away(inv)


def take_away(inv: Kubefab) -> None:
    kubectl("delete", "pod/writer", "pvc/data", "--ignore-not-found")
    kubectl("wait", "--for=delete", "pv", "--all", "--timeout=180s")
    for name in ("local-path", "metrics-server"):
        inv("addon.remove", "--name", name, "--yes").well()


def pod_says() -> str:
    kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=180s")
    return kubectl("logs", "writer").strip()


def test_a_second_up_changes_nothing(named: Path, inv: Kubefab) -> None:
    with untouched(MASTER, WORKER):
        assert "nothing to do" in inv("cluster.up", hosts=named).well().stdout


def test_an_object_that_somebody_deleted_is_applied_again(named: Path, inv: Kubefab) -> None:
    binding = "clusterrolebinding/metrics-server:system:auth-delegator"
    kubectl("delete", binding)
    assert "~ metrics-server is applied" in inv("cluster.up", hosts=named).well().stdout
    assert kubectl("get", binding, "-o", "name").strip()
    assert "nothing to do" in inv("cluster.up", hosts=named).well().stdout


def test_kubectl_top_answers(named: Path) -> None:
    told = eventually(lambda: kubectl("top", "nodes", "--no-headers"), pause=2)
    assert {line.split()[0] for line in told.splitlines()} == {MASTER, WORKER}


def test_a_claim_is_bound_and_keeps_its_data(named: Path) -> None:
    kubectl("apply", "-f", "-", stdin=STORED)
    assert pod_says() == ""
    assert kubectl("get", "pvc", "data", "-o", "jsonpath={.status.phase}") == "Bound"
    kubectl("delete", "pod", "writer")
    kubectl("apply", "-f", "-", stdin=STORED)
    assert pod_says() == "kept"


def test_storage_in_use_is_not_removed(named: Path, inv: Kubefab) -> None:
    kubectl("apply", "-f", "-", stdin=STORED)
    pod_says()
    done = inv("addon.remove", "--name", "local-path", "--yes").badly()
    assert "volumes of these claims: default/data" in done.stderr
    assert kubectl("get", "storageclass", "local-path", "-o", "name").strip()


def test_status_names_an_addon_that_was_taken_out_of_hosts_yml(named: Path, inv: Kubefab) -> None:
    told = inv("cluster.status").well().stdout
    assert "add-on metrics-server 0.9.0, not in " in told
    assert "inv addon.remove --name metrics-server" in told
    found = {one["name"]: one for one in loads(inv("cluster.status", "--json").well().stdout)["addons"]}
    assert found["metrics-server"] == {"name": "metrics-server", "version": "0.9.0", "wanted": False}
    found = {one["name"]: one for one in loads(inv("cluster.status", "--json", hosts=named).well().stdout)["addons"]}
    assert found["metrics-server"]["wanted"] is True


def test_up_leaves_what_was_taken_out_of_hosts_yml(named: Path, inv: Kubefab) -> None:
    assert "nothing to do" in inv("cluster.up").well().stdout


def test_what_hosts_yml_still_names_is_not_removed(named: Path, inv: Kubefab) -> None:
    done = inv("addon.remove", "--name", "metrics-server", "--yes", hosts=named).badly()
    assert "take it out there first" in done.stderr


@pytest.mark.parametrize("name", ["flannel", "nothing"])
def test_what_is_no_addon_is_told_with_those_that_are(cluster: Kubefab, name: str) -> None:
    done = cluster("addon.remove", "--name", name, "--yes").badly()
    assert "allowed: metrics-server, local-path" in done.stderr


def test_removal_asks_first_and_leaves_nothing(named: Path, inv: Kubefab) -> None:
    asked = inv("addon.remove", "--name", "metrics-server").badly()
    assert "metrics-server 0.9.0, with all that it serves" in asked.stdout
    assert "--yes" in asked.stderr
    inv("addon.remove", "--name", "metrics-server", "--yes").well()
    assert kubectl("get", "apiservices,deployments", "-A", "-o", "name").count("metrics") == 0
    assert "nothing to do" in inv("addon.remove", "--name", "metrics-server", "--yes").well().stdout
    inv("cluster.up", hosts=named).well()
