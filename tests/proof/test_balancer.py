"""A load balancer of the user's own before three masters: a plain haproxy on this computer, and none of kubefab's."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab.settings import GATEWAY, address
from tests.e2e.harness import (
    FRONT,
    MACHINES,
    MASTER,
    Done,
    Kubefab,
    cut_power,
    eventually,
    fresh,
    hosts_file,
    on,
    power_on,
    ready_nodes,
    true_on,
)
from tests.proof.own_haproxy import program
from tests.proof.test_status import readyz

COVERS = ("kubefab/steps/endpoint.py", "scripts/put-endpoint.sh", "scripts/look/endpoint.sh")
ALL = (*MACHINES, FRONT)
PORT = 16443
BALANCER = f"{GATEWAY}:{PORT}"
THEIRS = {name: {"role": "master"} for name in MACHINES}
JOINED = f"    tcp-request connection reject unless {{ src {address(MASTER)} {address(FRONT)} }}\n"
CONFIGURATION = f"""\
defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    option redispatch 1
listen masters
    bind {BALANCER}
    default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
""" + "".join(f"    server {name} {address(name)}:6443\n" for name in MACHINES)


@dataclass(frozen=True)
class Balanced:
    inv: Kubefab
    without: Done  # an `up` to three masters while it answered nobody who had yet to join
    done: Done
    again: Done


@contextmanager
def balancing(haproxy: Path, folder: Path, configuration: str = CONFIGURATION) -> Iterator[None]:
    (folder / "haproxy.cfg").write_text(configuration)
    process = subprocess.Popen([haproxy, "-db", "-f", folder / "haproxy.cfg"], stdout=-3, stderr=-3)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def balanced(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    """One master and a worker; then three masters, at first without an answer for those that have yet to join."""
    folder = tmp_path_factory.mktemp("balancer")
    haproxy = program(tmp_path_factory.mktemp("debian"))
    ours = {"endpoint": BALANCER}
    one = hosts_file(folder / "one.yml", MASTER, FRONT, cluster=ours)
    inv = Kubefab(hosts_file(folder / "hosts.yml", *ALL, hosts=THEIRS, cluster=ours), folder)
    power_on(machines=ALL)
    fresh(*ALL)
    with balancing(haproxy, folder):
        inv("cluster.up", hosts=one).well()
    with balancing(haproxy, folder, CONFIGURATION + JOINED):
        without = inv("cluster.up")
    with balancing(haproxy, folder):
        yield Balanced(inv, without, inv("cluster.up"), inv("cluster.up"))
        inv("cluster.reset", "--yes").well()


def test_no_second_master_joins_where_it_does_not_answer_for_this_cluster(balanced: Balanced) -> None:
    said = balanced.without.badly().said
    assert f"{BALANCER} answers for this cluster" in said
    assert "port 6443 of every master" in said
    assert "+ the host is a master of the cluster" not in said


def test_all_masters_join_by_way_of_it_once_it_does(balanced: Balanced) -> None:
    balanced.done.well()
    assert ready_nodes() == set(ALL)
    assert not balanced.again.well().changed


@pytest.mark.parametrize("host", ALL)
def test_nothing_of_kubefabs_stands_before_it(balanced: Balanced, host: str) -> None:
    assert not true_on(host, "systemctl cat kubefab-endpoint || grep kubefab.internal /etc/hosts")
    if host == FRONT:
        assert f"server: https://{BALANCER}" in on(host, "cat /etc/kubernetes/kubelet.conf")


def answers(config: Path) -> bool:
    """By way of it; who was led to a master that has just died is hung up on."""
    with suppress(OSError):
        return readyz(config).startswith("ok ")
    return False


def test_a_kubeconfig_leads_there_and_outlives_the_first_master(balanced: Balanced, tmp_path: Path) -> None:
    balanced.inv("cluster.kubeconfig", "--output", str(tmp_path / "config")).well()
    (cluster,) = [one["cluster"] for one in yaml.safe_load((tmp_path / "config").read_text())["clusters"]]
    assert cluster["server"] == f"https://{BALANCER}"
    cut_power(MASTER)
    try:
        eventually(lambda: answers(tmp_path / "config"), seconds=30)
    finally:
        power_on(machines=ALL)
        eventually(lambda: not balanced.inv("cluster.status").status, 300)


def test_another_endpoint_is_refused_with_the_reason(balanced: Balanced, tmp_path: Path) -> None:
    other = hosts_file(tmp_path / "other.yml", *ALL, hosts=THEIRS, cluster={"endpoint": f"{GATEWAY}:16444"})
    assert BALANCER in balanced.inv("cluster.up", hosts=other).badly().said
