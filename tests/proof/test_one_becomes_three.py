"""One master becomes three, of a cluster that was made before there could be several; and one by `node.join`.

Meanwhile a client on a worker writes, by the cluster's name; and then the first master is removed and replaced. At the
end three become one again.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from kubefab.inventory import load
from kubefab.kubeadm import API_PORT, endpoint
from lab.settings import address
from tests.e2e.harness import (
    FRONT,
    MACHINES,
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    cluster_uid,
    fresh,
    hosts_file,
    kubectl,
    nodes,
    on,
    power_on,
    ready_nodes,
    true_on,
    wait_on,
)
from tests.e2e.writer import Writer, none_is_lost, writing

COVERS = (
    "kubefab/steps/masters.py",
    "kubefab/runbook.py",
    "scripts/join-master.sh",
    "scripts/settle-etcd.sh",
    "scripts/print-snapshot.sh",
    "scripts/remove-endpoint.sh",
)

THEIRS = {"role": "master", "schedulable": True}
ALL = {*MACHINES, FRONT}
STORED = ("configmap", "kubeadm-config", "-n", "kube-system")
# One of one, or of two, members of etcd starts anew meanwhile, and without it there is no majority.
GROWING = 15.0  # seconds
# The worker has a haproxy of its owner's.
OWN = """\
defaults
    mode tcp
    timeout connect 1s
    timeout client 1m
    timeout server 1m
listen own
    bind 127.0.0.1:8404
    server ssh 127.0.0.1:22
"""
OWN_IS = "systemctl show -p MainPID -p ActiveState haproxy; cat /etc/haproxy/haproxy.cfg"


@dataclass(frozen=True)
class Grown:
    inv: Kubefab
    uid: str  # of the cluster before
    held: Done  # a preflight while somebody else listened where the worker's haproxy is to
    haproxy: str  # the worker's owner's, before there was one of kubefab's
    joined: Done
    done: Done
    writer: Writer
    began: float


@contextmanager
def taken(host: str, port: int) -> Iterator[None]:
    """Somebody listens at this port."""
    on(host, f"systemd-run --quiet --collect --unit=e2e-port socat TCP-LISTEN:{port},fork -")
    wait_on(host, f"ss -Hltn | grep -q :{port}")
    try:
        yield
    finally:
        on(host, "systemctl stop e2e-port")


def made_older() -> None:
    """kubeadm's configuration is as kubefab wrote it while a cluster had one master."""
    text = kubectl("get", *STORED, "-o", "jsonpath={.data.ClusterConfiguration}")
    older = text.replace("certSANs:\n", f"certSANs:\n  - {address(MASTER)}\n")
    patch = json.dumps({"data": {"ClusterConfiguration": older}})
    kubectl("patch", *STORED, "--type", "merge", "--patch-file", "/dev/stdin", stdin=patch)


@pytest.fixture(scope="module")
def grown(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    """From one to two by `node.join`, and to three by `cluster.up`."""
    folder = tmp_path_factory.mktemp("growing")
    one = hosts_file(folder / "one.yml", MASTER, FRONT, hosts={MASTER: THEIRS})
    three = hosts_file(folder / "three.yml", *MACHINES, FRONT, hosts=dict.fromkeys(MACHINES, THEIRS))
    inv = Kubefab(three, folder)
    power_on(machines=(*MACHINES, FRONT))
    fresh(*MACHINES, FRONT)
    inv("cluster.up", hosts=one).well()
    made_older()
    uid = cluster_uid()
    on(FRONT, "apt-get -q update && apt-get -qy --no-install-recommends install haproxy")
    on(FRONT, "cat >/etc/haproxy/haproxy.cfg && systemctl restart haproxy", stdin=OWN)
    haproxy = on(FRONT, OWN_IS)
    with taken(FRONT, API_PORT):
        held = inv("preflight")
    with writing(FRONT, MASTER, folder / "credentials", f"{endpoint(load(one))}:{API_PORT}") as writer:
        began = time.monotonic()
        yield Grown(inv, uid, held, haproxy, inv("node.join", "--host", WORKER), inv("cluster.up"), writer, began)
    inv("cluster.reset", "--yes").well()


def test_a_master_joins_by_its_name_and_only_masters_change(grown: Grown) -> None:
    said = grown.joined.well().stdout
    assert f"{WORKER} + the host is a master of the cluster" in re.sub(" +", " ", said)
    assert not [line for line in said.splitlines() if line.startswith((f"{SPARE} ", f"{FRONT} "))]


def test_the_cluster_is_the_same_with_two_masters_more(grown: Grown) -> None:
    grown.done.well()
    assert cluster_uid() == grown.uid
    assert ready_nodes() == ALL
    told = json.loads(grown.inv("etcd.status", "--json").well().stdout)["members"]
    assert {(one["name"], one["learner"]) for one in told} == {(name, False) for name in MACHINES}


def test_who_writes_meanwhile_waits_once_for_etcd_and_loses_nothing(grown: Grown) -> None:
    grown.writer.goes_on()
    grown.writer.gaps("one master becomes three", grown.began, GROWING)


def test_etcd_was_backed_up_before_the_second_member(grown: Grown) -> None:
    (backup,) = Path(grown.inv.state / "kubefab" / "backups").iterdir()
    about = json.loads((backup / "backup.json").read_text())
    assert [one["name"] for one in about["members"]] == [MASTER]


def test_the_first_masters_address_is_in_no_later_certificate(grown: Grown) -> None:
    assert address(MASTER) not in kubectl("get", *STORED, "-o", "yaml")
    for master in (WORKER, SPARE):
        names = on(master, "openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName")
        assert f"IP Address:{address(master)}" in names
        assert f"IP Address:{address(MASTER)}\n" not in names.replace(",", "\n").replace(" \n", "\n")


def test_a_role_that_hosts_yml_changes_is_refused_with_the_command(grown: Grown, tmp_path: Path) -> None:
    less = hosts_file(tmp_path / "less.yml", *MACHINES, FRONT, hosts={WORKER: THEIRS})
    said = grown.inv("cluster.up", hosts=less).badly().said
    assert "it is a master of this cluster, and hosts.yml calls it a worker" in said
    assert f"inv node.remove --host {SPARE}" in said


def test_another_order_in_hosts_yml_changes_nothing(grown: Grown, tmp_path: Path) -> None:
    roles = {FRONT: {"role": "worker"}, **dict.fromkeys(MACHINES, THEIRS)}
    turned = hosts_file(tmp_path / "turned.yml", FRONT, SPARE, WORKER, MASTER, hosts=roles)
    assert "nothing to do" in grown.inv("cluster.up", hosts=turned).well().stdout


def test_whoever_listens_where_the_workers_haproxy_is_to_is_named_before_any_change(grown: Grown) -> None:
    said = grown.held.badly().said
    assert f"{FRONT}: FAILED: port {API_PORT} is free for haproxy" in said
    assert "socat listens there" in said


def test_a_haproxy_that_was_there_stays_beside_kubefabs(grown: Grown) -> None:
    assert "ActiveState=active" in grown.haproxy
    assert on(FRONT, OWN_IS) == grown.haproxy
    assert true_on(FRONT, "systemctl is-active kubefab-endpoint")


def contexts(inv: Kubefab, config: Path, hosts: Path | None = None) -> set[str]:
    """What a person's kubeconfig has, once kubefab has put this cluster into it."""
    inv("cluster.kubeconfig", hosts=hosts, env={"KUBECONFIG": config}).well()
    return {one["name"] for one in yaml.safe_load(config.read_text())["contexts"]}


def test_the_first_master_is_removed_for_good_and_replaced_while_the_client_writes(
    grown: Grown, tmp_path: Path
) -> None:
    """Meanwhile nobody is led to it any more."""
    before = contexts(grown.inv, tmp_path / "config")
    since = time.monotonic()
    grown.inv("node.remove", "--host", MASTER, "--yes").well()
    assert set(nodes(WORKER)) == ALL - {MASTER}
    without = hosts_file(tmp_path / "without.yml", WORKER, SPARE, FRONT, hosts=dict.fromkeys((WORKER, SPARE), THEIRS))
    grown.inv("cluster.up", hosts=without).well()
    for host in (WORKER, SPARE, FRONT):
        assert address(MASTER) not in on(host, "grep kubefab.internal /etc/hosts").split()
    told = on(FRONT, "cat /etc/kubefab/endpoint.cfg")
    assert [name for name in MACHINES if f" {address(name)}:" in told] == [WORKER, SPARE]
    after = contexts(grown.inv, tmp_path / "config", without)
    assert before - after == {f"lab/{MASTER}"}
    grown.writer.goes_on()
    grown.writer.gaps("the first master is removed for good", since)
    fresh(MASTER)
    since = time.monotonic()
    grown.inv("cluster.up").well()
    grown.writer.goes_on()
    grown.writer.gaps("another machine takes its place", since)
    assert ready_nodes(MASTER) == ALL
    assert cluster_uid() == grown.uid
    none_is_lost("from one master to three, and the first replaced", grown.writer.ends(), MACHINES)


def test_three_become_one_and_the_worker_has_no_haproxy_of_kubefabs_any_more(grown: Grown, tmp_path: Path) -> None:
    for master in (MASTER, WORKER):
        grown.inv("node.remove", "--host", master, "--yes").well()
    one = hosts_file(tmp_path / "one.yml", SPARE, FRONT, hosts={SPARE: THEIRS})
    grown.inv("cluster.up", hosts=one).well()
    assert (ready_nodes(SPARE), cluster_uid(SPARE)) == ({SPARE, FRONT}, grown.uid)
    assert not true_on(FRONT, "systemctl is-active kubefab-endpoint || ls /etc/kubefab/endpoint.cfg")
    name = endpoint(load(one))
    assert on(FRONT, f"getent hosts {name}").split()[0] == address(SPARE)
    assert on(FRONT, OWN_IS) == grown.haproxy
    assert "nothing to do" in grown.inv("cluster.up", hosts=one).well().stdout
