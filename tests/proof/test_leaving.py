"""A node that goes: a machine that is dead, a removal that is cut off after each of its steps, and masters."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from json import loads
from pathlib import Path

import pytest

from lab.settings import KNOWN_HOSTS, address
from tests.e2e.harness import (
    MACHINES,
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    believed,
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
from tests.e2e.test_leaving import BUDGET, WEB, cordoned, served

from .upgrades import killed_in_turn

COVERS = (
    "kubefab/leaving.py",
    "kubefab/steps/draining.py",
    "kubefab/steps/leaving.py",
    "scripts/drain.sh",
    "scripts/shared/cordons.sh",
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


def test_a_person_who_cordons_beside_a_drain_keeps_his_cordon_when_its_time_is_over(cluster: Kubefab) -> None:
    """kubectl leaves the annotation of the drain; who has set it says the Node."""
    with served(WEB, BUDGET), cluster.started("node.drain", "--host", WORKER, "--timeout", "20", "--yes") as run:
        assert run.says("is held by the budget never")
        kubectl("uncordon", WORKER)
        kubectl("cordon", WORKER)
        ended = run.ends().badly()
    assert f"{WORKER} stays cordoned, since a person may have done that" in ended.said
    assert cordoned()
    assert f"{WORKER} is cordoned by a person, or still by node.drain at" in cluster("cluster.status").well().stdout
    cluster("node.uncordon", "--host", WORKER).well()
    assert not cordoned()


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
ROLES = {name: {"role": "master"} for name in MACHINES}
SNAPSHOT = "a snapshot of etcd is in "


@dataclass(frozen=True)
class Replaced:
    """What came of the founder's death; its machine is as new by now, with other keys than these known ones."""

    inv: Kubefab
    before: set[str]  # members
    stays: Done  # another master, while the founder is dead
    removed: Done
    left: set[str]  # nodes
    known: Path


@pytest.fixture(scope="module")
def masters(inv: Kubefab) -> Iterator[Kubefab]:
    """All three machines are masters of one cluster."""
    them = replace(inv, hosts=hosts_file(inv.state / "masters.yml", *MACHINES, hosts=ROLES))
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


def test_a_masters_removal_that_is_killed_after_its_steps_is_gone_on_with(masters: Kubefab) -> None:
    """One removal goes on from one kill to the next."""
    steps = (
        SNAPSHOT,
        f"{WORKER} takes no new pods meanwhile",
        f"{WORKER} has no pods but those of every node",
        f"etcd has no member {WORKER}",
        "nothing of Kubernetes is left",
        " has no control plane's name",
        f"the cluster has no Node {WORKER}",
    )
    told = killed_in_turn(masters, steps, MACHINES, "node.remove", "--host", WORKER, "--yes")
    assert SNAPSHOT in told
    assert {*told} & {*steps[3:]}, "never killed once its member was out"
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


@pytest.fixture(scope="module")
def replaced(masters: Kubefab, tmp_path_factory: pytest.TempPathFactory) -> Replaced:
    """The first of hosts.yml, which has made the cluster, dies for good; its removal is killed after its steps."""
    before = ids(masters)
    cut_power(MASTER)
    stays = masters("node.remove", "--host", WORKER, "--yes")
    words = ("node.remove", "--host", MASTER, "--dead", "--yes")
    steps = (
        SNAPSHOT,
        f"etcd has no member {MASTER}",
        f"{MASTER} is out of service",
        f"the cluster has no Node {MASTER}",
    )
    assert SNAPSHOT in killed_in_turn(masters, steps, (WORKER, SPARE), *words)
    removed = masters(*words)
    left = set(nodes(WORKER))
    power_on()
    eventually(lambda: f"{MASTER}: its etcd was removed" in masters("cluster.status").stdout)
    known = Path(believed(tmp_path_factory.mktemp("known-before")))
    fresh(MASTER)
    return Replaced(masters, before, stays, removed, left, known)


def test_without_the_dead_founder_no_other_master_goes(replaced: Replaced) -> None:
    assert f"away: {MASTER}" in replaced.stays.badly().said


def test_the_dead_founder_is_removed_by_way_of_another(replaced: Replaced) -> None:
    assert f"ssh-keygen -R {address(MASTER)}" in replaced.removed.well().stdout
    assert replaced.left == {WORKER, SPARE}


def test_a_machine_of_its_name_and_address_takes_its_place_once_its_former_key_is_forgotten(replaced: Replaced) -> None:
    """As the refusal says; the new key is believed by the machine's own word, not by the network's."""
    inv, known = replaced.inv, replaced.known
    theirs = hosts_file(known.with_name("hosts.yml"), *MACHINES, hosts=ROLES, ssh={"known_hosts": str(known)})
    refused = inv("cluster.up", hosts=theirs).badly().said
    assert "its SSH key has changed" in refused
    cure = re.search(r"ssh-keygen -R \S+ -f \S+", refused)
    assert cure, refused
    subprocess.run(shlex.split(cure[0]), capture_output=True, check=True)
    assert not keys_of(MASTER, known)
    with known.open("a") as file:
        file.writelines(keys_of(MASTER, KNOWN_HOSTS))
    inv("cluster.up", hosts=theirs).well()
    assert members(inv) == set(MACHINES)
    assert ready_nodes(WORKER) == ready_nodes(MASTER) == set(MACHINES)
    assert len(ids(inv) & replaced.before) == 2


def keys_of(host: str, known: Path) -> list[str]:
    return [line for line in known.read_text().splitlines(keepends=True) if line.startswith(f"{address(host)} ")]
