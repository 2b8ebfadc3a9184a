"""A node that goes: a machine that is dead, a removal that is cut off after each of its steps, and masters."""

from collections.abc import Iterator

import pytest

from tests.e2e.harness import (
    MASTER,
    WORKER,
    Kubefab,
    cut_power,
    eventually,
    hosts_file,
    kubectl,
    nodes,
    objects,
    power_on,
    ready_nodes,
)
from tests.e2e.test_leaving import WEB, served

COVERS = (
    "kubefab/leaving.py",
    "kubefab/steps/draining.py",
    "kubefab/steps/leaving.py",
    "scripts/drain.sh",
    "scripts/remove-member.sh",
    "scripts/shared/held.sh",
    "scripts/look/pods.sh",
)

# Nobody attaches or detaches it: it is there until somebody deletes it.
VOLUME = f"""\
apiVersion: v1
kind: PersistentVolume
metadata: {{name: far}}
spec:
  capacity: {{storage: 1Mi}}
  accessModes: [ReadWriteOnce]
  csi: {{driver: nobody.example, volumeHandle: far}}
---
apiVersion: storage.k8s.io/v1
kind: VolumeAttachment
metadata: {{name: held}}
spec: {{attacher: nobody.example, nodeName: {WORKER}, source: {{persistentVolumeName: far}}}}
"""
STEPS = (
    f"{WORKER} takes no new pods meanwhile  ",
    f"{WORKER} has no pods but those of every node  ",
    "nothing of Kubernetes is left  ",
    "/etc/hosts has no control plane's name  ",
)


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_the_same_command_ends_the_same(cluster: Kubefab, step: str) -> None:
    with served(WEB):
        with cluster.started("node.remove", "--host", WORKER, "--yes") as run:
            assert run.says(step)
            run.is_killed()
        cluster("node.remove", "--host", WORKER, "--yes").well()
    assert set(nodes()) == {MASTER}
    cluster("cluster.up").well()
    assert ready_nodes() == {MASTER, WORKER}


def test_a_drain_whose_caller_was_killed_goes_on_and_is_waited_for(cluster: Kubefab) -> None:
    with served(WEB):
        with cluster.started("node.drain", "--host", WORKER, "--yes") as run:
            assert run.says("takes no new pods meanwhile")
            run.is_killed()
        cluster("node.drain", "--host", WORKER, "--yes").well()
        assert objects("pods", "-n", "default", "--field-selector", f"spec.nodeName={WORKER}") == []
        cluster("node.uncordon", "--host", WORKER).well()


@pytest.fixture
def dead(cluster: Kubefab) -> Iterator[Kubefab]:
    """A cluster whose worker has lost its power while it held a volume."""
    kubectl("apply", "-f", "-", stdin=VOLUME)
    cut_power(WORKER)
    yield cluster
    kubectl("delete", "volumeattachments,pv", "--all", "--wait=false")
    power_on()
    cluster("restart", "--host", WORKER, "--yes", "--unheard").well()
    cluster("cluster.up").well()


def test_a_dead_workers_volumes_are_waited_for_and_one_that_comes_back_is_nobodys(
    dead: Kubefab, cluster: Kubefab
) -> None:
    refused = dead("node.remove", "--host", WORKER, "--yes").badly()
    assert f"`inv node.remove --host {WORKER} --dead`" in refused.said
    with dead.started("node.remove", "--host", WORKER, "--dead", "--yes") as run:
        assert run.says("holds no volume: volume far (held)", 180)
        kubectl("delete", "volumeattachment", "held")
        done = run.ends().well()
    assert "ssh-keygen -R" in done.stdout
    assert set(nodes()) == {MASTER}
    power_on()
    eventually(lambda: ready_nodes() == {MASTER, WORKER})
    alone = hosts_file(dead.state / "alone.yml", MASTER)
    status = dead("cluster.status", hosts=alone)
    assert status.status == 1
    assert WORKER in status.said
    alive = dead("node.remove", "--host", WORKER, "--dead", "--yes").badly()
    assert f"{WORKER} answers over SSH, so that it is not off" in alive.said
