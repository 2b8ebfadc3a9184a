"""Nodes that are cordoned, drained and removed, by a person's word."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kubefab import releases
from tests.e2e.harness import (
    MASTER,
    MEASURED,
    WORKER,
    Done,
    Kubefab,
    eventually,
    kubectl,
    nodes,
    objects,
    on,
    ready_nodes,
    true_on,
)

NAMED_SECONDS = 10  # in which it is wanted that somebody is told what holds a drain up
WEB = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: web, image: "registry.k8s.io/pause:{releases.release("1.37.2").pause}"}}]
      volumes: [{{name: scratch, emptyDir: {{}}}}]
"""
BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: never}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
"""


@contextmanager
def served(*manifests: str) -> Iterator[str]:
    """Something runs on the worker, and all of it goes afterwards; its pod's name."""
    kubectl("apply", "-f", "-", stdin="---\n".join(manifests))
    try:
        yield eventually(lambda: next((name for name, ready in pods().items() if ready), ""))
    finally:
        kubectl("delete", "deployments,pdb", "--all", "--wait=false")
        eventually(lambda: not pods())


def pods() -> dict[str, bool]:
    """Those of the default namespace, and whether they are Ready."""
    found = objects("pods", "-n", "default")
    return {
        one["metadata"]["name"]: "True" in str(one["status"].get("containerStatuses", [{}])[0].get("ready"))
        for one in found
    }


def cordoned(name: str = WORKER) -> bool:
    return nodes()[name]["spec"].get("unschedulable", False) is True


def test_a_budget_of_nothing_is_named_at_once_and_nothing_is_half_done(cluster: Kubefab) -> None:
    with served(WEB, BUDGET) as pod, cluster.started("node.drain", "--host", WORKER, "--timeout", "15", "--yes") as run:
        began = time.monotonic()
        assert run.says(f"default/{pod}: cannot be evicted now, for the budget never allows none")
        told = Done(0, "", "", time.monotonic() - began)
        assert run.says(f"default/{pod} is held by the budget never")
        assert cordoned()
        ended = run.ends().badly()
        assert pods() == {pod: True}
    MEASURED.append(("what holds a drain up is named", NAMED_SECONDS, told.seconds))
    assert told.seconds < 3 * NAMED_SECONDS
    assert "loses what is in scratch (emptyDir)" in ended.said
    assert f"time is over, and nothing was evicted: default/{pod} is held by the budget never" in ended.said
    assert f"{WORKER} takes pods again, as before" in ended.said
    assert not cordoned()


def test_without_a_yes_no_pod_goes(cluster: Kubefab) -> None:
    with served(WEB) as pod:
        refused = cluster("node.drain", "--host", WORKER).badly()
        assert "Deployment/web in default: stands still meanwhile" in refused.said
        assert (pods(), cordoned()) == ({pod: True}, False)


def test_what_a_person_has_cordoned_stays_so_through_everything(cluster: Kubefab) -> None:
    cluster("node.cordon", "--host", WORKER).well()
    for words in (("cluster.up",), ("fix-reboot",), ("node.drain", "--host", WORKER, "--yes"), ("cluster.up",)):
        cluster(*words).well()
        assert cordoned(), words
    assert cluster("node.uncordon", "--host", WORKER).well().changed
    assert not cordoned()


def test_a_drained_node_has_no_pods_but_those_of_every_node(cluster: Kubefab) -> None:
    with served(WEB) as pod:
        cluster("node.drain", "--host", WORKER, "--yes").well()
        assert pod not in pods()
        there = objects("pods", "-A", "--field-selector", f"spec.nodeName={WORKER}")
        assert {one["metadata"]["ownerReferences"][0]["kind"] for one in there} == {"DaemonSet"}
        assert not cluster("node.drain", "--host", WORKER).well().changed
        cluster("node.uncordon", "--host", WORKER).well()


def test_a_removed_worker_is_clean_and_joins_again(cluster: Kubefab) -> None:
    with served(WEB):
        done = cluster("node.remove", "--host", WORKER, "--yes").well()
    assert f"{WORKER} is gone" in done.stdout
    assert set(nodes()) == {MASTER}
    assert not true_on(WORKER, "ls /etc/kubernetes/kubelet.conf /var/lib/kubelet/pods 2>/dev/null")
    assert on(WORKER, "ip -brief link | grep -E 'cni0|flannel' || true") == ""
    assert not cluster("node.remove", "--host", WORKER, "--yes").well().changed
    cluster("cluster.up").well()
    assert (ready_nodes(), cordoned()) == ({MASTER, WORKER}, False)
