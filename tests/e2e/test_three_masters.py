"""Three masters, with a run that dies in the middle of a master's join; and then each loss.

Five minutes: the leader of etcd is cut off the network, the founder removed for good and replaced, and at last the
leader loses its power, and another master with it.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.settings import address

from .harness import (
    MACHINES,
    MASTER,
    SPARE,
    WORKER,
    Done,
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
    nodes,
    on,
    plug_in,
    power_on,
    ready_nodes,
    true_on,
    unplug,
    without_cluster,
)
from .writer import none_is_lost, writing

KEYS = ("ca.key", "etcd/ca.key", "front-proxy-ca.key", "sa.key")
THEIRS = {"role": "master", "schedulable": True}


@dataclass(frozen=True)
class Made:
    """What the runs said: one that was killed in the second master's join, the next, and the one after it."""

    inv: Kubefab
    killed: str
    done: Done
    again: Done


@pytest.fixture(scope="module")
def made(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("three-masters")
    hosts = hosts_file(folder / "hosts.yml", *MACHINES, hosts=dict.fromkeys(MACHINES, THEIRS))
    inv = Kubefab(hosts, folder)
    without_cluster(inv)
    with inv.started("cluster.up") as run:
        # By now its kubelet runs, and etcd has it as a learner.
        catch(run, WORKER, "[ -e /etc/kubernetes/manifests/etcd.yaml ]", 600)
        run.is_killed()
        kill_change(WORKER)
        killed = run.said()
    yield Made(inv, killed, inv("cluster.up"), inv("cluster.up"))
    inv("cluster.reset", "--yes").well()


def members(inv: Kubefab) -> list[dict[str, object]]:
    told: list[dict[str, object]] = json.loads(inv("etcd.status", "--json").well().stdout)["members"]
    return told


def leader_first(inv: Kubefab) -> list[str]:
    """The masters, with the leader of etcd before the others. After a join busy processors may choose anew."""
    (leader,) = [one["host"] for one in eventually(lambda: members(inv)) if one["leader"]]
    return sorted(MACHINES, key=lambda name: name != leader)


def test_a_master_that_joined_half_is_taken_back_and_joined_again(made: Made) -> None:
    assert "the host is a master of the cluster" not in made.killed.replace("waiting: the host is a master", "")
    said = made.done.well().stdout
    in_time("three masters, after a run that was killed", 180, made.done)
    lines = [line for line in said.splitlines() if line.startswith(f"{WORKER} ")]
    (member,) = [n for n, line in enumerate(lines) if f"etcd has no member of an earlier {WORKER}" in line]
    (back,) = [n for n, line in enumerate(lines) if "~ no interrupted join of a master is left" in line]
    (joined,) = [n for n, line in enumerate(lines) if "+ the host is a master of the cluster" in line]
    assert member < back < joined


def test_the_masters_join_one_after_another(made: Made) -> None:
    joins = [line for line in made.done.stdout.splitlines() if "+ the host is a master of the cluster" in line]
    assert [line.split()[0] for line in joins] == [WORKER, SPARE]


def test_then_there_is_nothing_to_do_and_all_is_well(made: Made) -> None:
    assert "nothing to do" in made.again.well().stdout
    assert json.loads(all_is_well(made.inv, "--json").stdout)["state"] == "well"
    assert ready_nodes() == set(MACHINES)


def test_each_is_a_voter_of_one_cluster_with_all_that_the_leader_has(made: Made) -> None:
    told = members(made.inv)
    assert {one["name"] for one in told} == set(MACHINES)
    assert [one["learner"] for one in told] == [False] * 3
    assert sum(one["leader"] is True for one in told) == 1
    assert len({one["cluster_id"] for one in told}) == 1


@pytest.mark.parametrize("master", MACHINES)
def test_each_masters_own_api_server_is_ready(made: Made, master: str) -> None:
    here = "https://127.0.0.1:6443"
    ready = f"kubectl --kubeconfig /etc/kubernetes/admin.conf --server {here} get --raw /readyz"
    assert on(master, ready) == "ok"


@pytest.mark.parametrize("master", MACHINES)
def test_each_masters_kube_proxy_asks_its_own_api_server(made: Made, master: str) -> None:
    asked = on(master, "ss -Htnp state established 'dport = :6443' | awk '/kube-proxy/ { print $4 }'")
    assert set(asked.split()) == {f"{address(master)}:6443"}


@pytest.mark.parametrize("master", MACHINES)
def test_no_etcd_would_begin_anew_over_an_empty_folder(made: Made, master: str) -> None:
    """It runs with what its manifest says, and kubeadm would write that again."""
    manifest = on(master, "cat /etc/kubernetes/manifests/etcd.yaml")
    running = on(master, "tr '\\0' '\\n' </proc/$(pgrep -xo etcd)/cmdline")
    for text in (manifest, running):
        assert "--initial-cluster-state=existing" in text
    (first,) = [line.split("=", 1)[1] for line in running.splitlines() if line.startswith("--initial-cluster=")]
    assert {one.partition("=")[0] for one in first.split(",")} != set(MACHINES)
    assert "initial-cluster-state=existing" in on(master, "cat /etc/kubefab/patches/etcd+json.yaml")


def test_the_shared_keys_are_the_same_for_root_alone_and_in_no_log(made: Made) -> None:
    for name in KEYS:
        path = f"/etc/kubernetes/pki/{name}"
        assert len({on(master, f"cat {path}") for master in MACHINES}) == 1
        assert {on(master, f"stat -c %a {path}").strip() for master in MACHINES} == {"600"}
        secret = on(MASTER, f"cat {path}").splitlines()[1]
        assert not [log for log in made.inv.logs() if secret in log.read_text()]
        for master in MACHINES:
            assert on(master, f"journalctl --no-pager | grep -cF -e {secret} || true").strip() == "0"


def test_no_masters_certificate_has_another_ones_address(made: Made) -> None:
    addresses = {name: on(name, "hostname -I").split()[0] for name in MACHINES}
    for master in MACHINES:
        names = on(master, "openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName")
        assert {other for other, address in addresses.items() if f":{address}," in f"{names.strip()},"} == {master}
    assert "10.250.0." not in kubectl("get", "configmap", "kubeadm-config", "-n", "kube-system", "-o", "yaml")


def test_what_makes_a_join_is_gone_after_it(made: Made) -> None:
    for master in MACHINES:
        left = on(
            master,
            "ls -d /var/lib/kubefab/* /run/kubefab/*.conf* /etc/kubernetes/bootstrap-kubelet.conf 2>/dev/null; true",
        )
        assert left.split() == []


def test_a_leader_that_is_cut_off_the_network_costs_no_long_gap_and_no_write(made: Made, tmp_path: Path) -> None:
    """Of a client of another master."""
    leader, other, _ = leader_first(made.inv)
    with writing(other, other, tmp_path / "credentials") as writer:
        since = time.monotonic()
        unplug(leader)
        writer.goes_on()
        writer.gaps("the leader cut off the network", since)
        plug_in(leader)
        all_is_well(made.inv)
        none_is_lost("the leader cut off the network", writer.ends(), MACHINES)


def test_the_founder_is_removed_for_good_and_another_machine_takes_its_place(made: Made) -> None:
    before = members(made.inv)
    made.inv("node.remove", "--host", MASTER, "--yes").well()
    assert set(nodes(WORKER)) == {WORKER, SPARE}
    assert not true_on(MASTER, "ls -d /etc/kubernetes/admin.conf /var/lib/etcd/member")
    fresh(MASTER)
    made.inv("cluster.up").well()
    after = members(made.inv)
    assert {one["name"] for one in after} == set(MACHINES)
    assert {one["cluster_id"] for one in after} == {one["cluster_id"] for one in before}
    assert len({one["id"] for one in after} & {one["id"] for one in before}) == 2
    assert ready_nodes() == set(MACHINES)


def test_a_leader_without_power_costs_as_little_and_with_another_master_the_quorum(made: Made, tmp_path: Path) -> None:
    """Which is told in time, and comes back without a hand: the last one here, for the two have to boot."""
    leader, other, last = leader_first(made.inv)
    with writing(last, last, tmp_path / "credentials") as writer:
        since = time.monotonic()
        cut_power(leader)
        writer.goes_on()
        writer.gaps("the leader without power", since)
        cut_power(other)
        try:
            told = made.inv("cluster.status")
        finally:
            power_on()
        assert (told.status, told.stdout.splitlines()[0]) == (2, "lab: 2 of 3 masters are away: nothing can be written")
        in_time("a status while two of three masters are dead", 5, told)
        all_is_well(made.inv)
        none_is_lost("the leader without power, and another master", writer.ends(), MACHINES)
