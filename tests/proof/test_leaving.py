"""A node that goes: a machine that is dead, a removal that is cut off after each of its steps, and masters."""

from collections.abc import Iterator
from dataclasses import replace
from json import loads

import pytest

from tests.e2e.harness import (
    MASTER,
    SPARE,
    WORKER,
    Kubefab,
    cut_power,
    eventually,
    fresh,
    hosts_file,
    kubectl,
    nodes,
    objects,
    on,
    power_on,
    ready_nodes,
    true_on,
    wait_on,
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


# --- masters

# What an etcd says that shall begin over an empty folder: its manifest names others too, or itself alone.
REFUSES = "member count is unequal|cannot fetch cluster info from peer urls"


@pytest.fixture(scope="module")
def masters(inv: Kubefab) -> Iterator[Kubefab]:
    """All three machines are masters of one cluster."""
    three = {WORKER: {"role": "master"}, SPARE: {"role": "master"}}
    them = replace(inv, hosts=hosts_file(inv.state / "masters.yml", MASTER, WORKER, SPARE, hosts=three))
    inv("cluster.reset", "--yes").well()
    fresh(SPARE)  # who was here before may have made it a node of another cluster
    them("cluster.up").well()
    yield them
    power_on()
    them("cluster.reset", "--yes", "--unheard").well()


def members(inv: Kubefab) -> set[str]:
    """Their hosts, by the word of etcd's own, all of which are well."""
    return {one["host"] for one in told(inv)}


def ids(inv: Kubefab) -> set[str]:
    return {one["id"] for one in told(inv)}


def told(inv: Kubefab) -> list[dict[str, str]]:
    found: list[dict[str, str]] = loads(inv("etcd.status", "--json").well().stdout)["members"]
    return found


def test_the_founder_goes_by_way_of_another_and_joins_again_as_any_other(masters: Kubefab) -> None:
    done = masters("node.remove", "--host", MASTER, "--yes").well()
    assert "a snapshot of etcd is in" in done.stdout
    two = hosts_file(masters.state / "two.yml", WORKER, SPARE, hosts={SPARE: {"role": "master"}})
    assert members(replace(masters, hosts=two)) == {WORKER, SPARE}
    assert set(nodes(WORKER)) == {WORKER, SPARE}
    assert not true_on(MASTER, "test -e /etc/kubernetes/admin.conf || test -e /var/lib/etcd/member")
    masters("cluster.up").well()
    assert members(masters) == {MASTER, WORKER, SPARE}


def test_a_masters_removal_that_is_killed_once_its_member_is_out_is_gone_on_with(masters: Kubefab) -> None:
    with masters.started("node.remove", "--host", WORKER, "--yes") as run:
        assert run.says(f"etcd has no member {WORKER}  ")
        run.is_killed()
    masters("node.remove", "--host", WORKER, "--yes").well()
    assert set(nodes()) == {MASTER, SPARE}
    masters("cluster.up").well()
    assert members(masters) == {MASTER, WORKER, SPARE}


def test_a_master_whose_etcd_has_lost_its_data_serves_nothing_and_comes_back_as_a_new_member(masters: Kubefab) -> None:
    before = ids(masters)
    # An API server that has run on without its etcd would let the kubelet wait for minutes before it starts anything.
    stopped = "systemctl stop kubelet; pkill -KILL -x etcd; pkill -KILL -x kube-apiserver"
    on(SPARE, f"{stopped}; rm -r /var/lib/etcd/member; systemctl start kubelet")
    wait_on(SPARE, f"grep -rqsE '{REFUSES}' /var/log/pods/kube-system_etcd-*")
    status = masters("cluster.status")
    assert status.status == 1
    assert f"{SPARE}: its etcd" in status.stdout
    assert not true_on(SPARE, "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz")
    # Until the cluster has noticed that, it waits for a kubelet to end pods that hears nothing of it.
    eventually(lambda: SPARE not in ready_nodes())
    masters("node.remove", "--host", SPARE, "--yes").well()
    masters("cluster.up").well()
    assert members(masters) == {MASTER, WORKER, SPARE}
    assert len(ids(masters) & before) == 2


def test_a_dead_master_goes_and_a_machine_of_its_name_and_address_takes_its_place(masters: Kubefab) -> None:
    cut_power(SPARE)
    stays = masters("node.remove", "--host", WORKER, "--yes").badly()
    assert f"away: {SPARE}" in stays.said
    masters("node.remove", "--host", SPARE, "--dead", "--yes").well()
    assert set(nodes()) == {MASTER, WORKER}
    power_on()
    eventually(lambda: f"{SPARE}: its etcd was removed" in masters("cluster.status").stdout)
    fresh(SPARE)
    masters("cluster.up").well()
    assert members(masters) == {MASTER, WORKER, SPARE}
    assert ready_nodes() == {MASTER, WORKER, SPARE}
